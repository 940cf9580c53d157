//! The two that are measured.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use holdfast::config::Paths;
use holdfast::events::Role;
use holdfast::model::InputId;
use holdfast::supervisor::lock;

use crate::clip::{Clip, tool};
use crate::feeder::Feeder;
use crate::machine::{self, Cost};
use crate::sink::Sink;

/// From the first byte of every connection to the window: longer than the data plane waits for a slate, of which there is
/// none here, before it draws a stand-in.
const SETTLE: Duration = Duration::from_secs(11);

struct Subject(Child);

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The real data plane, fed over its media socket.
pub fn holdfast(clip: &Clip, n: usize, window: Duration) -> Cost {
    let home = tempfile::tempdir().unwrap();
    let paths = Paths::new(home.path().join("run"), home.path().join("state"));
    fs::create_dir_all(&paths.runtime).unwrap();
    fs::create_dir_all(&paths.state).unwrap();
    let mut sink = Sink::start();
    let (config, secrets) = configuration(n, sink.port);
    fs::write(paths.last_good_config(), config).unwrap();
    fs::write(paths.last_good_secrets(), secrets).unwrap();
    fs::set_permissions(paths.last_good_secrets(), fs::Permissions::from_mode(0o600)).unwrap();
    // The data plane goes on air by itself when this is there, as after a power cut.
    fs::write(paths.on_air_wish(), "").unwrap();

    hear(&paths.children_socket());
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-transmit"));
    command.arg("--runtime").arg(&paths.runtime).arg("--state").arg(&paths.state);
    let subject = start(&mut command, &home.path().join("transmit.log"));
    wait_for("the data plane to listen", || paths.media_socket().exists());
    // The data plane takes an input from the process that holds its role, and from nobody else.
    let role = Role::Encode(InputId::new("bench").unwrap());
    let _lock = lock::take(&paths.lock(&role)).unwrap();
    let _feeder = Feeder::start(&paths.media_socket(), "bench", clip);
    measure(&subject, &mut sink, clip, n, window)
}

/// Stands in for holdfastd, which hears the data plane's beats and reports as long as it lives.
fn hear(socket: &Path) {
    let listener = UnixListener::bind(socket).unwrap();
    thread::spawn(move || {
        let (mut link, _) = listener.accept().unwrap();
        io::copy(&mut link, &mut io::sink()).unwrap();
    });
}

/// FFmpeg 9: the same clip, copied to the same number of places.
pub fn ffmpeg(clip: &Clip, n: usize, window: Duration) -> Cost {
    let home = tempfile::tempdir().unwrap();
    let mut sink = Sink::start();
    let places: Vec<_> = (0..n).map(|i| format!("[f=flv]rtmp://127.0.0.1:{}/live/{i}", sink.port)).collect();
    let mut command = Command::new(tool("bin/ffmpeg"));
    command
        .args(["-hide_banner", "-nostdin", "-nostats", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i"])
        .arg(&clip.file)
        .args(["-map", "0", "-c", "copy", "-f", "tee"])
        .arg(places.join("|"));
    let subject = start(&mut command, &home.path().join("ffmpeg.log"));
    measure(&subject, &mut sink, clip, n, window)
}

fn measure(subject: &Subject, sink: &mut Sink, clip: &Clip, n: usize, window: Duration) -> Cost {
    wait_for("every connection to carry media", || {
        let counts = sink.counts();
        counts.len() == n && counts.iter().all(|bytes| *bytes > 200_000)
    });
    thread::sleep(SETTLE);
    let before = sink.counts();
    let cost = machine::watch(&[subject.0.id()], window);
    let after = sink.counts();
    // Nothing is measured that was not delivered.
    let due = (clip.video_bits_per_second() + clip.audio_bits_per_second()) / 8.0 * window.as_secs_f64();
    for (before, after) in before.iter().zip(&after) {
        let got = (after - before) as f64;
        assert!(got > due * 0.9 && got < due * 1.15, "a destination got {got:.0} bytes, {due:.0} were due");
    }
    cost
}

fn configuration(n: usize, port: u16) -> (String, String) {
    let mut config = "[box]\nname = \"Bench\"\n[programme]\nframe_rate = 30\n[[input]]\nname = \"bench\"\nkind = \"pattern\"\n\
         [[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"1280x720\"\nbitrate = \"6M\"\nkeyframe_interval = \"2s\"\n\
         audio = { codec = \"aac\", bitrate = \"128k\" }\n"
        .to_owned();
    let mut secrets = String::new();
    for i in 0..n {
        config += &format!(
            "[[destination]]\nname = \"d{i}\"\nrendition = \"main\"\nurl = \"rtmp://127.0.0.1:{port}/live\"\n"
        );
        secrets += &format!("[destination.d{i}]\nkey = \"k{i}\"\n");
    }
    (config, secrets)
}

fn start(command: &mut Command, log: &Path) -> Subject {
    let out = fs::File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out);
    Subject(command.spawn().unwrap_or_else(|e| panic!("{:?}: {e}", command.get_program())))
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(60), "waited a minute for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
