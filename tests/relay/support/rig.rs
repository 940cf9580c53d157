//! One run: a directory, a relay in it, senders and receivers around it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::process::{Guard, Process, free_port, is_listening};
use super::tools;
use super::wait::{wait_for, wait_until};

pub const START: Duration = Duration::from_secs(30);
pub const PASSPHRASE: &str = "seven lean years";

pub struct Rig {
    pub dir: tempfile::TempDir,
    pub guard: Guard,
    /// Two UDP ports.
    pub ports: [u16; 2],
    pub status: u16,
    config: String,
    secrets: String,
}

/// A film as a transport stream, and what is in it.
pub struct Film {
    pub file: PathBuf,
    /// The digest of each picture, in the order they are shown.
    pub pictures: Vec<String>,
}

impl Rig {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::new(dir.path());
        let (ports, status) = ([free_udp_port(), free_udp_port()], free_port());
        let config = format!(
            "[srt]\nlisten = [\"127.0.0.1:{}\", \"127.0.0.1:{}\"]\n\n[status]\nlisten = \"127.0.0.1:{status}\"\n",
            ports[0], ports[1]
        );
        Self { dir, guard, ports, status, config, secrets: String::new() }
    }

    /// A programme whose stream id is `name-id`; encrypted, or open.
    pub fn programme(mut self, name: &str, encrypted: bool) -> Self {
        let open = if encrypted { "" } else { "open = true\n" };
        write!(self.config, "\n[[programme]]\nname = \"{name}\"\nstream_id = \"{name}-id\"\n{open}").unwrap();
        if encrypted {
            write!(self.secrets, "[programme.{name}]\npassphrase = \"{PASSPHRASE}\"\n").unwrap();
        }
        self
    }

    pub fn recording(mut self, programme: &str) -> Self {
        let directory = self.recordings(programme);
        fs::create_dir_all(&directory).unwrap();
        let directory = directory.display();
        let section = "[[recording]]";
        write!(
            self.config,
            "\n{section}\nname = \"{programme}-file\"\nprogramme = \"{programme}\"\ndirectory = \"{directory}\"\n"
        )
        .unwrap();
        self
    }

    pub fn destination(mut self, programme: &str, port: u16) -> Self {
        write!(
            self.config,
            "\n[[destination]]\nname = \"{programme}-out\"\nprogramme = \"{programme}\"\n\
             url = \"rtmp://127.0.0.1:{port}/live\"\n"
        )
        .unwrap();
        write!(self.secrets, "[destination.{programme}-out]\nkey = \"most-secret\"\n").unwrap();
        self
    }

    fn recordings(&self, programme: &str) -> PathBuf {
        self.dir.path().join(format!("{programme}-files"))
    }

    /// Starts the relay and waits for its status.
    pub fn start(&self) -> Process {
        let (config, secrets) = (self.dir.path().join("relay.toml"), self.dir.path().join("secrets.toml"));
        fs::write(&config, &self.config).unwrap();
        fs::write(secrets, &self.secrets).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-relay"));
        let relay = self.guard.spawn("relay", command.arg("--config").arg(&config));
        wait_until("the relay to serve its status", START, || is_listening(self.status));
        relay
    }

    /// What the status says of a programme.
    pub fn programme_status(&self, name: &str) -> Value {
        let status: Value = serde_json::from_str(&self.get("/status")).unwrap();
        let programmes = status["programmes"].as_array().unwrap();
        programmes.iter().find(|p| p["id"] == name).unwrap_or_else(|| panic!("{name} is not in {status}")).clone()
    }

    /// Waits until the status of a programme is as wished.
    pub fn wait_for(&self, what: &str, name: &str, is: impl Fn(&Value) -> bool) -> Value {
        wait_for(what, START, || Some(self.programme_status(name)).filter(|status| is(status)))
    }

    /// The number behind a line of the metrics.
    pub fn metric(&self, line: &str) -> f64 {
        let text = self.get("/metrics");
        let found = text.lines().find_map(|l| l.strip_prefix(line)?.strip_prefix(' '));
        found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.status)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        body.to_owned()
    }

    /// FFmpeg sends `film` once, in real time, to one of the ports.
    pub fn sender(&self, name: &str, film: &Film, port: usize, query: &str) -> Process {
        let mut command = tools::ffmpeg();
        command.arg("-re").arg("-i").arg(&film.file).args(["-map", "0", "-c", "copy", "-f", "mpegts"]);
        command.arg(format!("srt://127.0.0.1:{}?pkt_size=1316&latency=300000&{query}", self.ports[port]));
        self.guard.spawn(name, &mut command)
    }

    /// FFmpeg takes one RTMP publisher at `port`, and keeps what it gets: as FLV, which can hold the slate's decoder
    /// configuration beside the film's.
    pub fn receiver(&self, name: &str, port: u16) -> (Process, PathBuf) {
        let file = self.dir.path().join(format!("{name}.flv"));
        let mut command = tools::ffmpeg();
        command
            .args(["-listen", "1", "-timeout", "60", "-i", &format!("rtmp://127.0.0.1:{port}/live/most-secret")])
            .args(["-map", "0", "-c", "copy", "-copyts", "-flush_packets", "1", "-y"])
            .arg(&file);
        let process = self.guard.spawn(name, &mut command);
        wait_until(&format!("{name} to listen"), START, || is_listening(port));
        (process, file)
    }

    /// Ends the relay as systemd does, and reads what it recorded of `programme`, file by file.
    pub fn end(&self, relay: &mut Process) {
        relay.signal(Signal::SIGTERM);
        let status = relay.finish(Duration::from_secs(10));
        assert!(status.success(), "{status}:\n{}", relay.log());
    }

    /// The pictures of each recording of a programme, oldest first.
    pub fn recorded(&self, programme: &str) -> Vec<Vec<String>> {
        let mut files: Vec<_> =
            fs::read_dir(self.recordings(programme)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.iter().all(|f| f.extension().is_some_and(|e| e == "mp4")), "a file was not closed: {files:?}");
        files.iter().map(|file| pictures(file)).collect()
    }

    /// `seconds` of a moving picture at 30 a second with a tone; pictures are reordered, as most encoders do.
    pub fn film(&self, name: &str, seconds: u32, size: &str) -> Film {
        let file = self.dir.path().join(format!("{name}.ts"));
        let mut command = tools::ffmpeg();
        let (picture, sound) = (format!("testsrc2=size={size}:rate=30"), "sine=frequency=440:sample_rate=48000");
        command
            .args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", sound, "-t", &seconds.to_string()])
            .args(["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p"])
            .args(["-c:a", "aac", "-ac", "2", "-f", "mpegts", "-y"])
            .arg(&file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let pictures = pictures(&file);
        assert_eq!(pictures.len(), 30 * seconds as usize);
        Film { file, pictures }
    }
}

/// The digest of each picture of a file, decoded by FFmpeg.
pub fn pictures(file: &Path) -> Vec<String> {
    let output = tools::ffmpeg().arg("-i").arg(file).args(["-map", "0:v", "-f", "framemd5", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|digest| digest.trim().to_owned()).collect()
}

/// Asserts that `got` begins with the end of `film`, of which at most `missed` pictures are left out at its beginning.
/// Returns what comes after.
pub fn after_film<'g>(got: &'g [String], film: &Film, missed: usize) -> &'g [String] {
    let first = got.first().unwrap_or_else(|| panic!("nothing was received"));
    let begin = film.pictures.iter().position(|picture| picture == first).expect("begins with a picture of the film");
    assert!(begin <= missed, "begins only with picture {begin}");
    let wanted = &film.pictures[begin..];
    assert!(got.len() >= wanted.len(), "{} of {} pictures", got.len(), wanted.len());
    for (n, (wanted, got)) in wanted.iter().zip(got).enumerate() {
        assert_eq!(wanted, got, "picture {n} of {}", film.pictures.len());
    }
    &got[wanted.len()..]
}

fn free_udp_port() -> u16 {
    UdpSocket::bind(("127.0.0.1", 0)).and_then(|s| s.local_addr()).unwrap().port()
}
