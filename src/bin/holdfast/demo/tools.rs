//! What `make demo` has put into `.tools/`: programs that nobody here wrote.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The programs and the film.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    ffmpeg: PathBuf,
    server: PathBuf,
    pub(super) film: PathBuf,
}

impl Tools {
    pub(super) fn find(directory: &Path) -> Result<Self, String> {
        let at = |part: &str| {
            let path = directory.join(part);
            let path = std::path::absolute(&path).unwrap_or(path);
            if path.exists() { Ok(path) } else { Err(format!("{} is missing; `make demo` fetches it", path.display())) }
        };
        Ok(Self {
            ffmpeg: at("bin/ffmpeg")?,
            server: at("nms/node_modules/node-media-server/bin/app.js")?,
            film: at("bigbuckbunny.mp4")?,
        })
    }

    /// node-media-server with the configuration `config`.
    pub(super) fn server(&self, config: &Path) -> Command {
        let mut command = Command::new("node");
        command.arg(&self.server).arg("-c").arg(config);
        command
    }

    /// Takes one picture from `url` into `file`.
    pub(super) fn picture(&self, url: &str, file: &Path) -> Command {
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-nostdin", "-loglevel", "error", "-rw_timeout", "10000000", "-y", "-i", url, "-frames:v", "1"]);
        command.arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// A checksum of each picture in `file` as it is stored, in its order, as FFmpeg prints them (framemd5).
    pub(super) fn checksums(&self, file: &Path) -> Result<String, String> {
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "error", "-i"]).arg(file);
        command.args(["-map", "0:v:0", "-c", "copy", "-f", "framemd5", "-"]);
        let output = command.output().map_err(|e| format!("FFmpeg does not run: {e}"))?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Whether FFmpeg reads `file` to its end, in words.
    pub(super) fn check(&self, file: &Path) -> String {
        let mut command = Command::new(&self.ffmpeg);
        command.args(["-nostdin", "-hide_banner", "-loglevel", "info", "-stats", "-xerror", "-i"]).arg(file);
        command.args(["-map", "0", "-c", "copy", "-f", "null", "-"]);
        let Ok(output) = command.output() else { return "FFmpeg does not run".to_owned() };
        let text = String::from_utf8_lossy(&output.stderr);
        let length = text.rsplit("time=").next().and_then(|rest| rest.split_whitespace().next()).unwrap_or("?");
        if output.status.success() {
            format!("FFmpeg reads all of it, {length}")
        } else {
            "FFmpeg finds it damaged".to_owned()
        }
    }
}
