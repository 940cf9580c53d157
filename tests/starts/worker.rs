//! One worker, from exec to its first picture, in a directory and a home of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use holdfast::config::Paths;
use holdfast::encode::protocol::{Gate, ToWorker};
use holdfast::encode::session::{Intake, Session};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far above what a start takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// Stands in front of GStreamer's own helper, and counts.
const SCANNER: &str = "for scanner in /usr/lib/*/gstreamer1.0/gstreamer-1.0/gst-plugin-scanner \
                       /usr/libexec/gstreamer-1.0/gst-plugin-scanner /usr/lib*/gstreamer-1.0/gst-plugin-scanner\n\
                       do [ -x \"$scanner\" ] && exec \"$scanner\" \"$@\"\ndone\nexit 1\n";

/// How long a start took, from exec.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Until the encoders are there and the worker says Hello to the data plane.
    pub ready: Duration,
    /// Until its first picture is with the data plane, which asked for it at the Hello.
    pub picture: Duration,
}

/// Where a worker lives.
pub struct Home {
    dir: tempfile::TempDir,
    pub paths: Paths,
}

impl Home {
    /// Of a worker of that source, as the configuration has it.
    pub fn new(source: &str) -> Self {
        let dir = tempfile::Builder::new().prefix("holdfast-start-").tempdir().unwrap();
        let paths = Paths::new(dir.path().join("run"), dir.path().join("state"));
        for directory in [&paths.runtime, &paths.state, &dir.path().join("home")] {
            fs::create_dir_all(directory).unwrap();
        }
        let settings = format!(
            "[box]\nname = \"start\"\n[programme]\nframe_rate = 30\n[[input]]\nname = \"cam\"\n{source}\n\
             [[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"640x360\"\nbitrate = \"800k\"\nencoder = \"x264\"\n"
        );
        fs::write(paths.last_good_config(), settings).unwrap();
        let scanner = dir.path().join("scanner");
        let text = format!("#!/bin/sh\necho scan >> {}\n{SCANNER}", dir.path().join("scans").display());
        fs::write(&scanner, text).unwrap();
        fs::set_permissions(&scanner, fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir, paths }
    }

    /// How often GStreamer's helper was started to look through plugins.
    pub fn scans(&self) -> usize {
        fs::read_to_string(self.dir.path().join("scans")).unwrap_or_default().lines().count()
    }

    /// The lists of plugins that there are.
    pub fn registries(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.paths.plugin_registry_dir()).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Starts a worker, waits for its first picture and ends it.
    pub fn start(&self) -> Start {
        let _ = fs::remove_file(self.paths.media_socket());
        let listener = UnixListener::bind(self.paths.media_socket()).unwrap();
        let (say, heard) = sync_channel(1);
        let began = Instant::now();
        let mut worker = self.spawn();
        std::thread::spawn(move || {
            let (socket, _) = listener.accept().unwrap();
            let ready = began.elapsed();
            first_picture(socket);
            let _ = say.send(Start { ready, picture: began.elapsed() });
        });
        let start = heard.recv_timeout(PATIENCE);
        let _ = kill(Pid::from_raw(i32::try_from(worker.id()).unwrap()), Signal::SIGTERM);
        let ended = worker.wait().unwrap();
        assert!(ended.success(), "the worker: {ended}");
        start.unwrap_or_else(|_| panic!("no picture within {PATIENCE:?}"))
    }

    fn spawn(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-encode"));
        command.args(["run", "--input", "cam", "--runtime"]).arg(&self.paths.runtime);
        command.arg("--state").arg(&self.paths.state);
        for name in ["GST_REGISTRY", "GST_REGISTRY_1_0", "GST_REGISTRY_UPDATE", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
            command.env_remove(name);
        }
        command.env("HOME", self.dir.path().join("home")).env("GST_PLUGIN_SCANNER", self.dir.path().join("scanner"));
        command.env_remove("GST_PLUGIN_SCANNER_1_0").spawn().unwrap()
    }
}

/// Puts the input on air and reads until its first picture is there whole.
fn first_picture(mut socket: UnixStream) {
    let (mut session, mut buffer) = (Session::AwaitingHello, BytesMut::new());
    let mut wish = BytesMut::new();
    ToWorker::SetGate { gate: Gate::Open }.encode(&mut wish);
    socket.write_all(&wish).unwrap();
    loop {
        while let Some(intake) = session.next(&mut buffer).unwrap() {
            if matches!(intake, Intake::Unit(unit) if unit.rendition.as_str() == "main") {
                return;
            }
        }
        let mut chunk = [0; 65536];
        let n = socket.read(&mut chunk).unwrap();
        assert_ne!(n, 0, "the worker hung up");
        buffer.extend_from_slice(&chunk[..n]);
    }
}
