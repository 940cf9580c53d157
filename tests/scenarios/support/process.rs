//! Child processes that end with the test, whatever ends it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::wait::wait_for;

/// Every process of a run carries this in its environment; so do the children it starts.
const MARK: &str = "HOLDFAST_TEST_RUN";

/// Kills every marked process of a run once its standard input closes: when the run is dropped, and also when the
/// test process is killed.
const GUARD: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
for round in 1 2 3; do
  for p in /proc/[0-9]*; do
    if grep -qzxF -- "$1" "$p/environ" 2>/dev/null; then kill -KILL "${p#/proc/}" 2>/dev/null; fi
  done
done
"#;

/// The guard of one run.
#[derive(Debug)]
pub struct Guard {
    child: Child,
    dir: PathBuf,
}

impl Guard {
    pub fn new(dir: &Path) -> Self {
        let child = Command::new("bash")
            .args(["-c", GUARD, "guard"])
            .arg(format!("{MARK}={}", dir.display()))
            .stdin(Stdio::piped())
            .spawn()
            .expect("bash starts");
        Self { child, dir: dir.to_owned() }
    }

    /// Starts `command` in the run; its output goes to `<name>.log` in the run's directory.
    pub fn spawn(&self, name: &str, command: &mut Command) -> Process {
        let log = self.dir.join(format!("{name}.log"));
        let out = File::options().create(true).append(true).open(&log).expect("the run's directory is writable");
        let child = command
            .env(MARK, &self.dir)
            .stdin(Stdio::null())
            .stdout(out.try_clone().expect("a file can be cloned"))
            .stderr(out)
            .spawn()
            .unwrap_or_else(|e| panic!("{name}: cannot start {:?}: {e}", command.get_program()));
        Process { name: name.to_owned(), child, log, ended: None }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).expect("a process id fits")
    }

    pub fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    pub fn is_running(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("our own child");
        }
        self.ended.is_none()
    }

    /// Waits for its end.
    pub fn finish(&mut self, bound: Duration) -> ExitStatus {
        let name = self.name.clone();
        wait_for(&format!("{name} to end"), bound, || {
            self.is_running();
            self.ended
        })
    }

    /// What it has printed so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Sends a signal to a process of this run.
pub fn send(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap_or_else(|e| panic!("cannot send {signal} to {pid}: {e}"));
}

/// Resident memory in KiB.
pub fn resident_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A TCP port on loopback that nobody listens on.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).and_then(|l| l.local_addr()).expect("loopback has free ports").port()
}

/// Whether somebody listens on this port of loopback or of all addresses, without connecting to it.
pub fn is_listening(port: u16) -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").unwrap_or_default();
    table.lines().skip(1).any(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let local = fields.next().unwrap_or_default();
        let listening = fields.nth(1) == Some("0A");
        listening && local.rsplit(':').next().and_then(|p| u16::from_str_radix(p, 16).ok()) == Some(port)
    })
}
