//! Servers and receivers that nobody here wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::picture::Recording;
use super::process::{Guard, Process, free_port, is_listening};
use super::tools;
use super::wait::{wait_for, wait_until};

const START: Duration = Duration::from_secs(60);

/// A one-shot FFmpeg 9 listener that stores what it gets.
#[derive(Debug)]
pub struct Ffmpeg {
    pub process: Process,
    pub port: u16,
    pub file: PathBuf,
}

impl Ffmpeg {
    pub fn start(guard: &Guard, dir: &Path, name: &str) -> Self {
        let (port, file) = (free_port(), dir.join(format!("{name}.mkv")));
        Self::start_on(guard, dir, name, port, file)
    }

    /// On a given port: a receiver that comes back.
    pub fn start_on(guard: &Guard, dir: &Path, name: &str, port: u16, file: PathBuf) -> Self {
        let mut command = tools::ffmpeg();
        command
            .args(["-listen", "1", "-timeout", "600", "-i", &format!("rtmp://127.0.0.1:{port}/live/key")])
            .args(["-map", "0", "-c", "copy", "-copyts", "-flush_packets", "1", "-y"])
            .arg(&file)
            .current_dir(dir);
        let process = guard.spawn(name, &mut command);
        wait_until(&format!("{name} to listen"), START, || is_listening(port));
        Self { process, port, file }
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    /// Waits for the publisher to have gone and the file to be closed.
    pub fn recording(&mut self) -> Recording {
        self.process.finish(START);
        Recording::read(&self.file)
    }
}

/// The PyAV listener: tells when each packet came, and takes one publisher after the other.
#[derive(Debug)]
pub struct Pyav {
    pub process: Process,
    pub port: u16,
    prefix: PathBuf,
}

impl Pyav {
    pub fn start(guard: &Guard, dir: &Path, name: &str, sessions: u32) -> Self {
        let (port, prefix) = (free_port(), dir.join(name));
        let mut command = tools::python("listen.py");
        command.arg(port.to_string()).arg(&prefix).arg(sessions.to_string());
        let process = guard.spawn(name, &mut command);
        wait_until(&format!("{name} to listen"), START, || is_listening(port));
        Self { process, port, prefix }
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    pub fn log(&self) -> PathBuf {
        self.prefix.with_extension("jsonl")
    }

    /// Where session `n` is kept.
    pub fn file(&self, n: u64) -> PathBuf {
        PathBuf::from(format!("{}-{n}.mkv", self.prefix.display()))
    }

    /// Waits until session `n` has ended and reads it.
    pub fn recording(&self, n: u64) -> Recording {
        wait_until(&format!("session {n} of {} to end", self.process.name), START, || {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            log.lines()
                .filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok())
                .any(|v| v["session"] == n && v.get("end").is_some())
        });
        // The file is closed right after the line is written.
        let file = self.file(n);
        Recording::read(&wait_for("its file", START, || file.exists().then(|| file.clone())))
    }
}

/// node-media-server: RTMP, RTMPS and HTTP-FLV, records everything.
#[derive(Debug)]
#[allow(dead_code, reason = "one scenario each has used them, and the next will")]
pub struct NodeMediaServer {
    pub process: Process,
    pub rtmp: u16,
    pub rtmps: u16,
    pub http: u16,
    records: PathBuf,
}

/// Whom a server lets publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Everybody.
    Open,
    /// Only signed keys, so nobody here.
    Refusing,
}

impl NodeMediaServer {
    /// `certificate` serves RTMPS.
    pub fn start(guard: &Guard, dir: &Path, name: &str, certificate: &Certificate, admission: Admission) -> Self {
        let (rtmp, rtmps, http) = (free_port(), free_port(), free_port());
        let home = dir.join(name);
        fs::create_dir_all(&home).expect("the run's directory is writable");
        let config = serde_json::json!({
            "bind": "127.0.0.1",
            "rtmp": { "port": rtmp },
            "rtmps": { "port": rtmps, "key": certificate.key, "cert": certificate.chain },
            "http": { "port": http },
            "store": { "path": home.join("data") },
            "record": { "auto": true, "path": home.join("records") },
            "auth": { "publish": admission == Admission::Refusing, "secret": "nobody-knows" },
        });
        fs::write(home.join("config.json"), config.to_string()).expect("the run's directory is writable");
        let mut command = tools::node_media_server();
        command.arg("-c").arg(home.join("config.json")).current_dir(&home);
        let process = guard.spawn(name, &mut command);
        wait_until(&format!("{name} to listen"), START, || [rtmp, rtmps, http].into_iter().all(is_listening));
        Self { process, rtmp, rtmps, http, records: home.join("records") }
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.rtmp)
    }

    pub fn tls_url(&self, host: &str) -> String {
        format!("rtmps://{host}:{}/live", self.rtmps)
    }

    /// The files recorded for `key` of application `live`, oldest first.
    pub fn files(&self, key: &str) -> Vec<PathBuf> {
        sorted_files(&self.records.join("live").join(key))
    }

    /// The only recording of `key`. node-media-server keeps a session for 30 s after its end, so the file is read as it
    /// is once it stops growing.
    pub fn recording(&self, key: &str) -> Recording {
        let files = self.files(key);
        assert_eq!(files.len(), 1, "recordings of {key}: {files:?}");
        Recording::read(&settled(&files[0]))
    }
}

/// nginx with its RTMP module: records H.264, refuses a second publisher of the same name.
#[derive(Debug)]
pub struct Nginx {
    pub process: Process,
    pub port: u16,
    records: PathBuf,
}

/// What an nginx serves.
#[derive(Clone, Copy, Debug)]
pub struct NginxSite<'s> {
    /// Where it listens.
    pub address: &'s str,
    pub applications: &'s [&'s str],
    /// Goes into each application, e.g. `deny publish all;`.
    pub extra: &'s str,
}

impl Nginx {
    /// `extra` goes into the `live` application, e.g. `deny publish all;`.
    pub fn start(guard: &Guard, dir: &Path, name: &str, extra: &str) -> Self {
        Self::serve(guard, dir, name, &NginxSite { address: "127.0.0.1", applications: &["live"], extra })
    }

    /// In the network namespace of the calling thread. Every session has a recording of its own.
    pub fn serve(guard: &Guard, dir: &Path, name: &str, site: &NginxSite<'_>) -> Self {
        let (port, home) = (free_port(), dir.join(name));
        let records = home.join("records");
        fs::create_dir_all(&records).expect("the run's directory is writable");
        let (mut command, module) = tools::nginx();
        let (home_text, records_text) = (home.display(), records.display());
        let application = |name: &&str| {
            let extra = site.extra;
            format!(
                "application {name} {{ live on; record all; record_path {records_text}; record_unique on;
                   record_suffix -{name}.flv; {extra} }}"
            )
        };
        let applications: String = site.applications.iter().map(application).collect();
        let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
        let config = format!(
            "{user} daemon off; worker_processes 1; pid {home_text}/nginx.pid; error_log stderr info;
             load_module {module};
             events {{ worker_connections 64; }}
             rtmp {{ access_log off; server {{ listen {address}:{port}; chunk_size 4096; {applications} }} }}",
            module = module.display(),
            address = site.address,
        );
        fs::write(home.join("nginx.conf"), config).expect("the run's directory is writable");
        command.arg("-p").arg(&home).arg("-c").arg(home.join("nginx.conf")).args(["-e", "stderr"]);
        let process = guard.spawn(name, &mut command);
        wait_until(&format!("{name} to listen"), START, || is_listening(port));
        Self { process, port, records }
    }

    pub fn url(&self) -> String {
        format!("rtmp://127.0.0.1:{}/live", self.port)
    }

    pub fn pid(&self) -> i32 {
        self.process.pid()
    }

    /// Stops the process that serves, as a machine does that is out of memory. Its kernel goes on.
    pub fn hang(&self) {
        self.signal_worker(Signal::SIGSTOP);
    }

    /// Ends [`Self::hang`].
    pub fn go_on(&self) {
        self.signal_worker(Signal::SIGCONT);
    }

    fn signal_worker(&self, signal: Signal) {
        let master = self.process.pid();
        let children = fs::read_to_string(format!("/proc/{master}/task/{master}/children")).expect("it runs");
        for child in children.split_whitespace() {
            kill(Pid::from_raw(child.parse().expect("a process id")), signal).expect("it runs");
        }
    }

    /// All recordings, one for each session that has ended. One that was refused leaves an empty file.
    pub fn recordings(&self) -> Vec<Recording> {
        let mut files = sorted_files(&self.records);
        files.retain(|file| fs::metadata(file).is_ok_and(|about| about.len() > 0));
        files.iter().map(|file| Recording::read(&settled(file))).collect()
    }

    /// The recording of `key`.
    pub fn recording(&self, key: &str) -> Recording {
        let files = sorted_files(&self.records);
        let file = files.iter().find(|f| f.file_stem().is_some_and(|s| s.to_string_lossy().starts_with(key)));
        Recording::read(&settled(file.unwrap_or_else(|| panic!("nginx recorded no {key}: {files:?}"))))
    }
}

/// An authority and a server certificate signed by it, made with openssl.
#[derive(Debug)]
pub struct Certificate {
    pub authority: PathBuf,
    pub chain: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// For `name` (a DNS name) alone.
    pub fn for_name(dir: &Path, name: &str) -> Self {
        let at = |file: &str| dir.join(format!("{name}-{file}"));
        let run = |args: &[&str]| {
            let output =
                Command::new("openssl").args(args).output().expect("openssl is installed (scripts/setup --test)");
            assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        let text = |path: &PathBuf| path.to_str().expect("temporary paths are text").to_owned();
        let (ca, ca_key, request, chain, key, extensions) = (
            text(&at("authority.pem")),
            text(&at("authority.key")),
            text(&at("request.pem")),
            text(&at("server.pem")),
            text(&at("server.key")),
            text(&at("extensions.cnf")),
        );
        let ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=Holdfast test authority"];
        run(&[&authority[..], &ec, &["-keyout", &ca_key, "-out", &ca]].concat());
        let subject = format!("/CN={name}");
        run(&[&["req", "-subj", &subject][..], &ec, &["-keyout", &key, "-out", &request]].concat());
        fs::write(&extensions, format!("subjectAltName=DNS:{name}\nbasicConstraints=CA:FALSE\n"))
            .expect("the run's directory is writable");
        run(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &ca,
            "-CAkey",
            &ca_key,
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &chain,
        ]);
        Self { authority: ca.into(), chain: chain.into(), key: key.into() }
    }
}

fn sorted_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    files
}

/// Waits until a file has not grown for a second.
fn settled(file: &Path) -> PathBuf {
    let mut last = (0, std::time::Instant::now());
    wait_until(&format!("{} to stop growing", file.display()), START, || {
        let size = fs::metadata(file).map_or(0, |m| m.len());
        if size != last.0 {
            last = (size, std::time::Instant::now());
        }
        size > 0 && last.1.elapsed() > Duration::from_secs(1)
    });
    file.to_owned()
}
