//! What `scripts/setup --test` has put into `.tools/`.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools").join(path);
    assert!(tool.exists(), "{} is missing: run scripts/setup --test once (make test does)", tool.display());
    tool
}

/// FFmpeg 9.
pub fn ffmpeg() -> Command {
    let mut command = Command::new(tool("bin/ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-loglevel", "warning"]);
    command
}

/// Python with PyAV, running one of the scripts beside this file.
pub fn python(script: &str) -> Command {
    let mut command = Command::new(tool("python/bin/python"));
    command.arg("-u").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/support").join(script));
    command
}

/// node-media-server.
pub fn node_media_server() -> Command {
    let mut command = Command::new("node");
    command.arg(tool("nms/node_modules/node-media-server/bin/app.js"));
    command
}

/// nginx, and where its RTMP module is.
pub fn nginx() -> (Command, PathBuf) {
    (Command::new(tool("bin/nginx")), tool("nginx/usr/lib/nginx/modules/ngx_rtmp_module.so"))
}

/// A film of five seconds, 1280x720, with sound.
pub fn film() -> PathBuf {
    tool("bigbuckbunny.mp4")
}

/// Runs ip(8), in the network namespace of the calling thread.
pub fn ip(arguments: &str) -> io::Result<()> {
    let done = Command::new("ip").args(arguments.split_whitespace()).output()?;
    if done.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {arguments}: {}", String::from_utf8_lossy(&done.stderr))))
}
