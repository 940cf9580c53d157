//! One holdfastd with stand-in children in a directory of its own.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command as Program, ExitStatus};
use std::time::Duration;

use holdfast::config::Paths;
use holdfast::events::{
    BoxSnapshot, ChildSnapshot, ChildState, Command, ControlReply, ControlRequest, Event, EventKind, Role,
};
use holdfast::model::InputId;
use nix::sys::signal::Signal;

use crate::process::{Guard, Process};
use crate::stand_in;
use crate::wait::{wait_for, wait_until};

/// Far above what anything here takes on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
pub const TRANSMIT: Role = Role::Transmit;
pub const CAMERA: &str = "camera";

pub fn worker(input: &str) -> Role {
    Role::Encode(InputId::new(input).unwrap())
}

/// Whether a process exists and has not ended (a zombie has).
pub fn exists(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

/// Receives until a line begins with `wanted`.
pub fn hear(manager: &UnixDatagram, wanted: &str) {
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = Vec::new();
    loop {
        let mut datagram = [0; 4096];
        let length = manager.recv(&mut datagram).unwrap_or_else(|e| panic!("{wanted} was not said ({e}): {heard:?}"));
        let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
        let found = text.lines().any(|line| line.starts_with(wanted));
        heard.push(text);
        if found {
            return;
        }
    }
}

/// Takes what was said before, then listens for three times as long as any sign of life takes.
pub fn hear_nothing(manager: &UnixDatagram) {
    let mut datagram = [0; 4096];
    manager.set_nonblocking(true).unwrap();
    while manager.recv(&mut datagram).is_ok() {}
    manager.set_nonblocking(false).unwrap();
    manager.set_read_timeout(Some(Duration::from_millis(1500))).unwrap();
    if let Ok(length) = manager.recv(&mut datagram) {
        panic!("somebody else said {:?}", String::from_utf8_lossy(&datagram[..length]));
    }
}

pub struct Bench {
    environment: Vec<(&'static str, std::path::PathBuf)>,
    daemon: Option<Process>,
    guard: Guard,
    pub paths: Paths,
    home: tempfile::TempDir,
}

impl Bench {
    pub fn new(name: &str) -> Self {
        let home = tempfile::Builder::new().prefix(&format!("holdfastd-{name}-")).tempdir().unwrap();
        let paths = Paths::new(home.path().join("run"), home.path().join("state"));
        fs::create_dir_all(&paths.runtime).unwrap();
        let bench = Self { environment: Vec::new(), daemon: None, guard: Guard::new(home.path()), paths, home };
        stand_in::install(&bench.file("programs"));
        bench.write_secrets("");
        bench.configure(&[CAMERA, "film"], "");
        bench
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    /// A configuration with these inputs, and `more` in its `[box]`.
    pub fn configure(&self, inputs: &[&str], more: &str) {
        let inputs: String =
            inputs.iter().map(|name| format!("[[input]]\nname = \"{name}\"\nkind = \"pattern\"\n")).collect();
        let rendition = "[[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"320x180\"\nbitrate = \"1M\"\n";
        let text = format!("[box]\nname = \"Bench\"\n{more}{inputs}{rendition}");
        fs::write(self.file("part"), text).unwrap();
        fs::rename(self.file("part"), self.file("holdfast.toml")).unwrap();
    }

    pub fn set_webhook(&self, address: &str) {
        self.write_secrets(&format!("[alerts]\nwebhook = \"{address}\"\n"));
    }

    fn write_secrets(&self, text: &str) {
        let path = self.file("secrets.toml");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub fn spawn_daemon(&self) -> Process {
        let mut command = Program::new(env!("CARGO_BIN_EXE_holdfastd"));
        command.arg("--config").arg(self.file("holdfast.toml")).arg("--secrets").arg(self.file("secrets.toml"));
        // Relative, as an operator may write them; its children run elsewhere.
        command.current_dir(self.home.path()).args(["--runtime", "run", "--state", "state"]);
        command.arg("--programs").arg(self.file("programs")).args(["--spawner", "process"]);
        command.envs(self.environment.iter().map(|(key, value)| (*key, value)));
        self.guard.spawn("holdfastd", &mut command)
    }

    pub fn start(&mut self) {
        self.daemon = Some(self.spawn_daemon());
        wait_until("holdfastd to answer", PATIENCE, || self.ask(&ControlRequest::Status { watch: false }).is_some());
    }

    pub fn daemon_pid(&self) -> i32 {
        self.daemon.as_ref().unwrap().pid()
    }

    pub fn daemon_log(&self) -> String {
        self.daemon.as_ref().unwrap().log()
    }

    pub fn kill_daemon(&mut self) {
        self.end_daemon(Signal::SIGKILL);
    }

    pub fn terminate_daemon(&mut self) {
        assert!(self.end_daemon(Signal::SIGTERM).success());
    }

    fn end_daemon(&mut self, signal: Signal) -> ExitStatus {
        self.daemon.as_ref().unwrap().signal(signal);
        self.daemon_ends()
    }

    pub fn daemon_ends(&mut self) -> ExitStatus {
        self.daemon.take().unwrap().finish(PATIENCE)
    }

    fn ask(&self, request: &ControlRequest) -> Option<ControlReply> {
        let mut socket = UnixStream::connect(self.paths.control_socket()).ok()?;
        socket.set_read_timeout(Some(PATIENCE)).ok()?;
        socket.write_all((serde_json::to_string(request).unwrap() + "\n").as_bytes()).ok()?;
        let mut answer = String::new();
        BufReader::new(socket).read_line(&mut answer).ok()?;
        serde_json::from_str(&answer).ok()
    }

    pub fn ask_to(&self, command: &Command) -> Option<ControlReply> {
        self.ask(&ControlRequest::Do(command.clone()))
    }

    pub fn order(&self, command: &Command) {
        match self.ask_to(command) {
            Some(ControlReply::Done { .. }) => {}
            other => panic!("{command:?} was answered with {other:?}"),
        }
    }

    pub fn status(&self) -> BoxSnapshot {
        match self.ask(&ControlRequest::Status { watch: false }) {
            Some(ControlReply::Status(snapshot)) => *snapshot,
            other => panic!("status was answered with {other:?}"),
        }
    }

    pub fn child(&self, role: &Role) -> ChildSnapshot {
        wait_for(&format!("{role:?} to be listed"), PATIENCE, || {
            self.status().children.into_iter().find(|c| c.role == *role)
        })
    }

    /// The process that has the role, once it has answered.
    pub fn running(&self, role: &Role) -> i32 {
        self.running_other_than(role, 0)
    }

    pub fn running_other_than(&self, role: &Role, old: i32) -> i32 {
        wait_for(&format!("{role:?} to run, not as {old}"), PATIENCE, || {
            let child = self.status().children.into_iter().find(|c| c.role == *role)?;
            child.pid.filter(|pid| child.state == ChildState::Running && *pid != old)
        })
    }

    pub fn wait_until_plane_on_air(&self) {
        wait_until("the data plane to be on air", PATIENCE, || self.status().plane.is_some_and(|p| p.on_air));
    }

    pub fn events(&self) -> Vec<Event> {
        let text = fs::read_to_string(self.paths.event_log()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub fn count(&self, kind: EventKind) -> usize {
        self.events().iter().filter(|e| e.kind == kind).count()
    }

    /// The processes that ever had the role, by their own account.
    pub fn starts(&self, role: &Role) -> Vec<i32> {
        stand_in::starts(&self.paths, role)
    }

    /// Whether a stand-in was started with this argument.
    pub fn was_given(&self, pid: i32, argument: &str) -> bool {
        stand_in::arguments(pid).iter().any(|given| given == argument)
    }

    /// The processes that were told to stop, in order.
    pub fn stops(&self) -> Vec<i32> {
        stand_in::stops(&self.paths)
    }

    /// Every process of this role ends at once with these last words.
    pub fn break_role(&self, role: &Role, words: &str) {
        fs::write(stand_in::broken(&self.paths, role), words).unwrap();
    }

    pub fn mend_role(&self, role: &Role) {
        fs::remove_file(stand_in::broken(&self.paths, role)).unwrap();
    }

    /// `fail` or `hang`.
    pub fn break_slates(&self, how: &str) {
        fs::write(stand_in::slates(&self.paths), how).unwrap();
    }

    /// Has every child send an event.
    pub fn tell_children(&self, what: &str) {
        assert_eq!(what, "say something");
        fs::write(stand_in::wish_to_speak(&self.paths), "").unwrap();
    }

    /// A socket as systemd has it, given to the next holdfastd.
    pub fn listen_as_systemd(&mut self) -> UnixDatagram {
        let path = self.file("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        self.environment = vec![("NOTIFY_SOCKET", path)];
        socket
    }

    /// Stops it without ending it.
    pub fn stop_daemon(&self) {
        self.daemon.as_ref().unwrap().signal(Signal::SIGSTOP);
    }

    /// The operator's command: exit code, standard output, standard error.
    pub fn holdfast(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        let output = Program::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(arguments)
            .env("HOLDFAST_RUNTIME", &self.paths.runtime)
            .env("HOLDFAST_STATE", &self.paths.state)
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}
