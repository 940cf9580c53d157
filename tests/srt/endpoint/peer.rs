//! Whoever takes part in a test, held by what it prints: a process, or an endpoint of ours in a thread.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use holdfast::clock;
use serde_json::Value;

use super::{Settings, run};

/// Lines that wait to be read; a peer that prints more than that has gone mad and waits.
const MOST_LINES: usize = 1 << 16;

#[derive(Debug)]
enum End {
    Process(Child),
    Thread(Option<JoinHandle<()>>, Arc<AtomicBool>),
}

/// Ends when dropped.
#[derive(Debug)]
pub struct Peer {
    name: String,
    lines: Receiver<String>,
    past: VecDeque<String>,
    end: End,
}

/// What `make setup` has put into `.tools/`.
pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools").join(path);
    assert!(tool.exists(), "{} is missing: run make setup once (make test does)", tool.display());
    tool
}

/// A program of the system that `make setup` installs.
pub fn installed(program: &str) -> PathBuf {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|directory| directory.join(program))
        .find(|path| path.exists());
    found.unwrap_or_else(|| panic!("{program} is missing: run make setup once (make test does)"))
}

/// Words of a command line.
pub fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

impl Peer {
    /// libsrt with groups: `tests/peers/srt_group_peer.c`.
    pub fn libsrt(arguments: &[String]) -> Self {
        Self::process(Command::new(tool("bin/srt_group_peer")).args(arguments))
    }

    /// Ours, in a thread.
    pub fn holdfast(arguments: &[String]) -> Self {
        let settings = Settings::of(arguments);
        let stop = Arc::new(AtomicBool::new(false));
        let (to, lines) = sync_channel(MOST_LINES);
        let told = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut say = |line: String| drop(to.send(line));
            let report = run(&settings, &mut say, &told);
            say(report.to_string());
        });
        Self { name: "holdfast".to_owned(), lines, past: VecDeque::new(), end: End::Thread(Some(thread), stop) }
    }

    /// Any program. Its standard error is ours, so that a failed test shows it.
    pub fn process(command: &mut Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        if command.get_envs().next().is_none() {
            command.env("LC_ALL", "C");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let output = child.stdout.take().expect("piped");
        let (to, lines) = sync_channel(MOST_LINES);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if to.send(line).is_err() {
                    return;
                }
            }
        });
        Self { name, lines, past: VecDeque::new(), end: End::Process(child) }
    }

    /// Its input, once.
    pub fn input(&mut self) -> Option<std::process::ChildStdin> {
        match &mut self.end {
            End::Process(child) => child.stdin.take(),
            End::Thread(..) => None,
        }
    }

    /// The next line that begins so; the others are passed over.
    pub fn line(&mut self, begins: &str, within: Duration) -> String {
        let until = clock::now() + within;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(clock::now())) {
                Ok(line) if line.starts_with(begins) => return line,
                Ok(line) => self.past.push_back(line),
                Err(why) => panic!("{} did not say {begins} within {within:?} ({why:?}): {:?}", self.name, self.past),
            }
        }
    }

    /// What it printed so far.
    pub fn said(&mut self) -> Vec<String> {
        self.past.extend(self.lines.try_iter());
        self.past.iter().cloned().collect()
    }

    /// Its report at its end.
    pub fn report(&mut self, within: Duration) -> Value {
        let line = self.line("{", within);
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{}: {e}: {line}", self.name))
    }

    /// Waits for the end of its output.
    pub fn ended(&mut self, within: Duration) {
        let until = clock::now() + within;
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(clock::now())) {
                Ok(line) => self.past.push_back(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} did not end within {within:?}: {:?}", self.name, self.past)
                }
            }
        }
        if let End::Process(child) = &mut self.end {
            let _ = child.wait();
        }
    }

    /// The process's number.
    pub fn pid(&self) -> Option<u32> {
        match &self.end {
            End::Process(child) => Some(child.id()),
            End::Thread(..) => None,
        }
    }

    /// Asks it to end in order: SIGTERM.
    pub fn stop(&mut self) {
        match &mut self.end {
            End::Process(child) => {
                let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap_or_default());
                let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
            }
            End::Thread(_, stop) => stop.store(true, Ordering::Relaxed),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        match &mut self.end {
            End::Process(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
            End::Thread(thread, stop) => {
                stop.store(true, Ordering::Relaxed);
                if let Some(thread) = thread.take() {
                    let _ = thread.join();
                }
            }
        }
    }
}
