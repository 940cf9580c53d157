//! One box on the bench: a directory, its configuration, its real processes, and what can be asked of them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command as Program;
use std::time::Duration;

use holdfast::config::Paths;
use holdfast::events::{
    BoxSnapshot, ChildState, Command, ControlReply, ControlRequest, Event, EventKind, OutputSnapshot, OutputState,
    Role, SourceOnAir,
};
use holdfast::model::InputId;

use super::config::Configuration;
use super::process::{Guard, Process};
use super::turn::{Need, Turn};
use super::wait::{wait_for, wait_quietly, wait_until};

/// Far above what anything here takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Full repetition counts, as in `make soak`.
pub fn soaking() -> bool {
    std::env::var_os("HOLDFAST_SOAK").is_some()
}

/// `quick` in `make test`, `full` in `make soak`.
pub fn repetitions(quick: u32, full: u32) -> u32 {
    if soaking() { full } else { quick }
}

/// A box.
#[derive(Debug)]
pub struct Rig {
    // Dropped in this order: the processes before their directory.
    pub daemon: Option<Process>,
    pub guard: Guard,
    pub paths: Paths,
    environment: Vec<(String, String)>,
    name: &'static str,
    home: tempfile::TempDir,
    _turn: Turn,
}

impl Rig {
    /// A box beside which another one may run.
    pub fn new(name: &'static str) -> Self {
        Self::with(Turn::wait_for(Need::Half), name)
    }

    /// A box in network namespaces of its own, with one small picture.
    pub fn small(name: &'static str) -> Self {
        Self::with(Turn::wait_for(Need::Quarter), name)
    }

    /// A box that is measured to the millisecond, or that encodes all that the machine can.
    pub fn alone(name: &'static str) -> Self {
        Self::with(Turn::wait_for(Need::All), name)
    }

    fn with(turn: Turn, name: &'static str) -> Self {
        let home = tempfile::Builder::new().prefix(&format!("holdfast-{name}-")).tempdir().expect("a writable /tmp");
        println!("--- {name} in {}", home.path().display());
        let paths = Paths::new(home.path().join("run"), home.path().join("state"));
        fs::create_dir_all(&paths.runtime).expect("our own directory");
        fs::create_dir_all(&paths.state).expect("our own directory");
        // GStreamer's list of its plugins is the same for all boxes of this machine, and says itself whether it fits; how it is
        // made, and that a box without one works, is what `tests/starts` shows.
        let plugins = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gstreamer");
        fs::create_dir_all(&plugins).expect("a writable target directory");
        symlink(&plugins, paths.plugin_registry_dir()).expect("our own directory");
        let guard = Guard::new(home.path());
        Self { daemon: None, guard, paths, environment: Vec::new(), name, home, _turn: turn }
    }

    pub fn dir(&self) -> &Path {
        self.home.path()
    }

    pub fn config_file(&self) -> PathBuf {
        self.dir().join("holdfast.toml")
    }

    pub fn configure(&self, configuration: &Configuration) {
        let secrets = self.dir().join("secrets.toml");
        fs::write(&secrets, configuration.secrets()).expect("our own directory");
        fs::set_permissions(&secrets, fs::Permissions::from_mode(0o600)).expect("our own file");
        fs::write(self.config_file(), configuration.text()).expect("our own directory");
    }

    /// For holdfastd and its children, from its next start on.
    pub fn set_environment(&mut self, key: &str, value: &str) {
        self.environment.retain(|(k, _)| k != key);
        self.environment.push((key.to_owned(), value.to_owned()));
    }

    /// Starts holdfastd and waits until it answers.
    pub fn start_daemon(&mut self) {
        let process = self.guard.spawn("holdfastd", &mut self.daemon_command());
        self.adopt_daemon(process);
    }

    /// A holdfastd that was started elsewhere, such as in a network namespace; waits until it answers.
    pub fn adopt_daemon(&mut self, process: Process) {
        self.daemon = Some(process);
        wait_until("holdfastd to answer", PATIENCE, || self.status().is_some());
    }

    /// What starts holdfastd.
    pub fn daemon_command(&self) -> Program {
        let mut command = Program::new(env!("CARGO_BIN_EXE_holdfastd"));
        command
            .arg("--config")
            .arg(self.config_file())
            .arg("--secrets")
            .arg(self.dir().join("secrets.toml"))
            .args(self.directories())
            .envs(self.environment.iter().cloned());
        command
    }

    /// Starts holdfastd, says `start` once there is a picture, as an operator does, and waits until `input` is on air.
    pub fn go_on_air(&mut self, input: &str) {
        self.start_daemon();
        self.wait_delivering();
        self.order(Command::Start);
        self.wait_for_source(&live(input));
    }

    /// A first life of the box, off air: what it makes once and keeps (trials of encoders, slates) is there afterwards.
    pub fn live_before(&mut self) {
        self.start_daemon();
        self.wait_delivering();
        self.shut_down();
    }

    /// Waits until there is a picture from everywhere; only that of the input on air is encoded.
    pub fn wait_delivering(&self) {
        self.wait("every input to deliver", |s| {
            let inputs = &s.plane.as_ref()?.inputs;
            let there = |input: &InputId| s.workers.iter().any(|worker| worker.input == *input && worker.has_picture);
            let delivering = inputs.iter().any(|i| i.last_unit_ms.is_some());
            (delivering && inputs.iter().all(|i| i.connected && there(&i.id))).then_some(())
        });
    }

    fn directories(&self) -> [std::ffi::OsString; 4] {
        let [runtime, state] = [&self.paths.runtime, &self.paths.state].map(|p| p.clone().into_os_string());
        ["--runtime".into(), runtime, "--state".into(), state]
    }

    /// The operator's command.
    pub fn holdfast(&self, arguments: &[&str]) -> std::process::Output {
        Program::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(arguments)
            .env("HOLDFAST_RUNTIME", &self.paths.runtime)
            .env("HOLDFAST_STATE", &self.paths.state)
            .output()
            .expect("holdfast starts")
    }

    fn ask(&self, request: &ControlRequest) -> Option<ControlReply> {
        let mut socket = UnixStream::connect(self.paths.control_socket()).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        let mut line = serde_json::to_string(request).expect("requests are plain data");
        line.push('\n');
        socket.write_all(line.as_bytes()).ok()?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    /// The state of the box; `None` while holdfastd does not answer.
    pub fn status(&self) -> Option<BoxSnapshot> {
        match self.ask(&ControlRequest::Status { watch: false })? {
            ControlReply::Status(snapshot) => Some(*snapshot),
            ControlReply::Event(_) | ControlReply::Done { .. } | ControlReply::Refused { .. } => None,
        }
    }

    /// Gives an order that must be taken.
    #[allow(clippy::needless_pass_by_value, reason = "an order is a word, and reads like one")]
    pub fn order(&self, command: Command) {
        match self.ask(&ControlRequest::Do(command.clone())) {
            Some(ControlReply::Done { .. }) => {}
            other => panic!("{command:?} was answered with {other:?}"),
        }
    }

    /// Waits for something to be true of the box.
    pub fn wait<T>(&self, what: &str, mut look: impl FnMut(&BoxSnapshot) -> Option<T>) -> T {
        wait_for(what, PATIENCE, || self.status().and_then(|s| look(&s)))
    }

    pub fn wait_for_source(&self, source: &SourceOnAir) {
        self.wait(&format!("{source:?} on air"), |s| {
            s.plane.as_ref().is_some_and(|p| p.on_air && p.source == *source).then_some(())
        });
    }

    /// Waits until each of `names` publishes.
    pub fn wait_publishing(&self, names: &[&str]) {
        for name in names {
            self.wait(&format!("{name} to publish"), |s| {
                let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == *name)?;
                (output.state == OutputState::Publishing && output.acknowledged > 0).then_some(())
            });
        }
    }

    /// A destination's state.
    pub fn output(&self, name: &str) -> OutputSnapshot {
        self.wait(&format!("{name} in the snapshot"), |s| {
            s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == name).cloned()
        })
    }

    /// The process id of a supervised process that runs.
    pub fn pid(&self, role: &Role) -> i32 {
        self.wait(&format!("{role:?} to run"), |s| {
            s.children.iter().find(|c| c.role == *role && c.state == ChildState::Running)?.pid
        })
    }

    pub fn worker_pid(&self, input: &str) -> i32 {
        self.pid(&Role::Encode(InputId::new(input).expect("a name")))
    }

    pub fn transmit_pid(&self) -> i32 {
        self.pid(&Role::Transmit)
    }

    /// Everything in the event log so far.
    pub fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.paths.event_log()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits for an event after the first `after`.
    pub fn wait_event(&self, after: usize, what: &str, is_it: impl Fn(&Event) -> bool) -> Event {
        wait_for(what, PATIENCE, || self.events().into_iter().skip(after).find(|e| is_it(e)))
    }

    /// Waits for the switch to another source, and says when it was decided.
    pub fn wait_switched(&self, after: usize, to: &str) -> Event {
        self.wait_event(after, &format!("the switch to {to}"), |e| {
            e.kind == EventKind::Switched && (e.subject == to || e.evidence.get("to").is_some_and(|v| v == to))
        })
    }

    /// Lets `seconds` of programme pass, by programme time.
    pub fn let_pass(&self, seconds: u32) {
        let began = self.programme_seconds();
        wait_until(
            &format!("{seconds} s of programme"),
            PATIENCE + Duration::from_secs(3 * u64::from(seconds)),
            || self.programme_seconds() - began >= f64::from(seconds),
        );
    }

    fn programme_seconds(&self) -> f64 {
        let look = || Some(self.status()?.plane?.programme_time);
        let time = wait_quietly("the box to tell programme time", PATIENCE, look);
        time.as_nanos() as f64 / 1e9
    }

    /// Ends everything cleanly: destinations are told, recordings closed.
    pub fn shut_down(&mut self) {
        self.order(Command::Shutdown);
        if let Some(mut daemon) = self.daemon.take() {
            daemon.finish(PATIENCE);
        }
    }

    fn keep_logs(&self) {
        let keep = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/failed").join(self.name);
        let _ = fs::remove_dir_all(&keep);
        if fs::create_dir_all(&keep).is_err() {
            return;
        }
        let logs = fs::read_dir(self.dir()).into_iter().flatten().flatten().map(|e| e.path());
        for file in logs.chain([self.config_file(), self.paths.event_log()]) {
            let kind = file.extension().and_then(|e| e.to_str()).unwrap_or_default();
            if ["log", "jsonl", "toml"].contains(&kind) && !file.ends_with("secrets.toml") {
                let _ = fs::copy(&file, keep.join(file.file_name().unwrap_or_default()));
            }
        }
        let tail = |path: PathBuf, lines: usize| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let all: Vec<_> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        };
        println!("--- last events:\n{}", tail(self.paths.event_log(), 15));
        println!("--- holdfastd:\n{}", tail(self.dir().join("holdfastd.log"), 15));
        println!("--- all logs are in {}", keep.display());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}

/// An input on air.
pub fn live(input: &str) -> SourceOnAir {
    SourceOnAir::Input(InputId::new(input).expect("a name"))
}
