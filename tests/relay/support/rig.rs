//! One run: a directory, a relay in it, senders and receivers around it.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use super::film::{AAC, Film, H264, Make, TAIL, pictures};
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

impl Rig {
    pub fn new() -> Self {
        Self::listening(["127.0.0.1", "127.0.0.1"])
    }

    /// With its two ports at these addresses.
    pub fn listening(at: [&str; 2]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::new(dir.path());
        let (ports, status) = ([free_udp_port(), free_udp_port()], free_port());
        let listen = [format!("{}:{}", at[0], ports[0]), format!("{}:{}", at[1], ports[1])];
        let config = format!("[srt]\nlisten = {listen:?}\n\n[status]\nlisten = \"127.0.0.1:{status}\"\n");
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

    /// Answers probes there.
    pub fn probes(mut self, at: &str) -> Self {
        write!(self.config, "\n[probe]\nlisten = \"{at}\"\n").unwrap();
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

    /// To the RTMP server at this port.
    pub fn destination(self, programme: &str, port: u16) -> Self {
        let name = format!("{programme}-out");
        self.output(programme, &name, &format!("rtmp://127.0.0.1:{port}/live"), "", "key = \"most-secret\"")
    }

    /// To any address. `extra` goes into the configuration, `secret` into the other file.
    pub fn output(mut self, programme: &str, name: &str, url: &str, extra: &str, secret: &str) -> Self {
        let section = "[[destination]]";
        write!(self.config, "\n{section}\nname = \"{name}\"\nprogramme = \"{programme}\"\nurl = \"{url}\"\n{extra}\n")
            .unwrap();
        if !secret.is_empty() {
            write!(self.secrets, "[destination.{name}]\n{secret}\n").unwrap();
        }
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
        self.sender_to(name, &["-i", film.file.to_str().unwrap()], &format!("127.0.0.1:{}", self.ports[port]), query)
    }

    /// FFmpeg sends what `input` says to any address.
    pub fn sender_to(&self, name: &str, input: &[&str], to: &str, query: &str) -> Process {
        let mut command = tools::ffmpeg();
        command.arg("-re").args(input).args(["-map", "0", "-c", "copy", "-f", "mpegts"]);
        command.arg(format!("srt://{to}?pkt_size=1316&latency=300000&{query}"));
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
        self.recorded_files(programme).iter().map(|file| pictures(file)).collect()
    }

    /// The files of a programme's recording, oldest first; all are closed.
    pub fn recorded_files(&self, programme: &str) -> Vec<PathBuf> {
        let mut files: Vec<_> =
            fs::read_dir(self.recordings(programme)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert!(files.iter().all(|f| f.extension().is_some_and(|e| e == "mp4")), "a file was not closed: {files:?}");
        files
    }

    /// `seconds` of a moving picture at 30 a second with a tone; pictures are reordered, as most encoders do.
    pub fn film(&self, name: &str, seconds: u32, size: &str) -> Film {
        Film::make(self.dir.path(), name, Make { seconds, size, picture: H264, sound: AAC, mux: &[], tail: TAIL })
    }

    /// What the relay has told so far: one event a line.
    pub fn events(&self) -> Vec<Value> {
        let log = fs::read_to_string(self.dir.path().join("relay.log")).unwrap();
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// A UDP port that nobody has at the moment.
pub fn free_udp_port() -> u16 {
    UdpSocket::bind(("127.0.0.1", 0)).and_then(|s| s.local_addr()).unwrap().port()
}
