//! The children as holdfastd holds them: a lifecycle each, a way to each, and the shell that does what the lifecycles say.
//!
//! Nothing here waits: what takes time (systemd's answer, a process's end) runs in a task and comes back as a [`Notice`].

use std::collections::BTreeMap;

use tokio::sync::mpsc;

use super::lifecycle::{Input, Lifecycle, Limits, Output, Pid, Told};
use super::lock;
use super::process::Process;
use super::spawn::Spawner;
use crate::clock;
use crate::config::Paths;
use crate::events::{ChildCommand, ChildSnapshot, ChildState, Event, EventKind, Role, Severity};

/// What became of something that took time. Give it back to [`Children::notice`].
#[derive(Debug)]
pub enum Notice {
    /// A start that was asked for.
    Started(Role, Result<Process, String>),
    /// A process is gone, and how.
    Gone(Role, Pid, String),
}

/// All children.
#[derive(Debug)]
pub struct Children {
    paths: Paths,
    spawner: Spawner,
    all: BTreeMap<Role, Child>,
    /// Every process that is known and not known to be gone.
    processes: BTreeMap<Pid, Process>,
    notices: mpsc::Sender<Notice>,
    workers: Workers,
    ending: bool,
}

#[derive(Debug)]
struct Child {
    life: Lifecycle,
    commands: Option<mpsc::Sender<ChildCommand>>,
}

/// Whether workers may be started.
#[derive(Debug)]
enum Workers {
    /// The one-shot encodes of the slates have the machine; these starts wait for them, with or without hardware.
    Held(BTreeMap<Role, bool>),
    Released,
}

impl Children {
    /// No children yet, and workers held back until [`Children::release_workers`].
    pub fn new(paths: Paths, spawner: Spawner, notices: mpsc::Sender<Notice>) -> Self {
        let workers = Workers::Held(BTreeMap::new());
        Self { paths, spawner, all: BTreeMap::new(), processes: BTreeMap::new(), notices, workers, ending: false }
    }

    /// Makes `wanted` the children that run, for the first time: one whose role somebody holds from before is awaited, the
    /// others are started.
    pub fn begin(&mut self, wanted: &[Role]) -> Vec<Event> {
        for role in wanted {
            if lock::holder(&self.paths.lock(role)).is_some() {
                let life = Lifecycle::awaited(limits(role), clock::now());
                self.all.insert(role.clone(), Child { life, commands: None });
            }
        }
        self.want(wanted)
    }

    /// Makes `wanted` the children that run: others end, missing ones are started.
    pub fn want(&mut self, wanted: &[Role]) -> Vec<Event> {
        let unwanted: Vec<_> = self.all.keys().filter(|role| !wanted.contains(role)).cloned().collect();
        let mut events = Vec::new();
        for role in unwanted {
            events.extend(self.unwant(&role));
        }
        for role in wanted {
            self.entry(role);
            events.extend(self.tell(role, Input::Want));
        }
        events
    }

    /// Ends all: first the data plane, so that the last thing viewers see is the picture and not the slate, then the
    /// workers. [`Children::is_empty`] tells when it is done.
    pub fn end_all(&mut self) -> Vec<Event> {
        self.ending = true;
        let wanted: Vec<_> = self.all.keys().filter(|role| **role != Role::Transmit).cloned().collect();
        if self.all.contains_key(&Role::Transmit) { self.want(&wanted) } else { self.want(&[]) }
    }

    /// One input to one child's life, and everything that follows from it.
    pub fn tell(&mut self, role: &Role, input: Input) -> Vec<Event> {
        let mut events = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(child) = self.all.get_mut(role) else { return events };
            child.life.handle(input, clock::now());
            while let Some(output) = self.all.get_mut(role).and_then(|child| child.life.poll_output()) {
                match output {
                    Output::Spawn { software_only } => self.start(role, software_only),
                    Output::AskHolder => inputs.extend(self.holder(role).map(Input::Holds)),
                    Output::AskToEnd(pid) => self.ask_to_end(role, pid),
                    Output::Kill(pid) => {
                        if let Some(process) = self.processes.get(&pid) {
                            process.kill();
                        }
                    }
                    Output::Told(told) => {
                        if let Told::Abandoned(pid) = told {
                            self.make_room_beside(role, pid);
                        }
                        events.push(event(role, &told));
                    }
                }
            }
        }
        events
    }

    /// Time passes for all.
    pub fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for role in self.all.keys().cloned().collect::<Vec<_>>() {
            events.extend(self.tell(&role, Input::Tick));
        }
        self.all.retain(|_, child| !child.life.is_over());
        if self.ending && !self.all.contains_key(&Role::Transmit) {
            events.extend(self.want(&[]));
        }
        events
    }

    /// A child is connected. One that nobody wants (its input went from the configuration while holdfastd was down) is
    /// told to end.
    pub fn hello(
        &mut self,
        role: &Role,
        process: Process,
        speaks: bool,
        way: mpsc::Sender<ChildCommand>,
    ) -> Vec<Event> {
        let pid = process.pid();
        self.watch(role, process);
        self.entry(role).commands = Some(way);
        self.tell(role, Input::Hello { pid, speaks })
    }

    /// Something that took time is done.
    pub fn notice(&mut self, notice: Notice) -> Vec<Event> {
        match notice {
            Notice::Started(role, Ok(process)) => {
                let pid = process.pid();
                self.watch(&role, process);
                self.tell(&role, Input::Spawned(pid))
            }
            Notice::Started(role, Err(why)) => self.tell(&role, Input::SpawnFailed(why)),
            Notice::Gone(role, pid, how) => {
                self.processes.remove(&pid);
                if let Role::Encode(input) = &role {
                    // A worker that was killed leaves what its input showed; a replacement that is there makes another.
                    let _ = std::fs::remove_file(self.paths.thumbnail(input));
                }
                // Only there if it was abandoned once.
                let _ = std::fs::remove_file(abandoned_lock(&self.paths, &role, pid));
                // Who ended as it should, or was killed in mid-sentence, has not said why.
                let silent = matches!(how.as_str(), "ended by itself" | "killed by SIGKILL" | "killed by SIGTERM");
                let words = if silent { None } else { self.spawner.last_words(&role) };
                let how = words.map_or(how.clone(), |words| format!("{how} ({words})"));
                self.tell(&role, Input::Exited { pid, how })
            }
        }
    }

    /// The slates are made, or will not be: workers may start.
    pub fn release_workers(&mut self) {
        if let Workers::Held(held) = std::mem::replace(&mut self.workers, Workers::Released) {
            for (role, software_only) in held {
                self.start(&role, software_only);
            }
        }
    }

    /// Sends a command to a child that is there. A full queue drops it: what matters is told again at the next Hello.
    pub fn command(&self, role: &Role, command: ChildCommand) {
        if let Some(way) = self.all.get(role).and_then(|child| child.commands.as_ref()) {
            let _ = way.try_send(command);
        }
    }

    /// Whether that process is the one that has the role.
    pub fn is_current(&self, role: &Role, pid: Pid) -> bool {
        self.all.get(role).and_then(|child| child.life.pid()) == Some(pid)
    }

    /// Whether no child is left.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// For people. A child that could not be killed is listed beside the one that took its place.
    pub fn snapshot(&self) -> Vec<ChildSnapshot> {
        let mut children = Vec::new();
        for (role, child) in &self.all {
            children.push(ChildSnapshot {
                role: role.clone(),
                state: child.life.state(),
                pid: child.life.pid(),
                starts: child.life.starts(),
                last_end: child.life.last_end().map(str::to_owned),
            });
            children.extend(child.life.abandoned().iter().map(|pid| ChildSnapshot {
                role: role.clone(),
                state: ChildState::Abandoned,
                pid: Some(*pid),
                starts: 0,
                last_end: None,
            }));
        }
        children
    }
}

impl Children {
    fn entry(&mut self, role: &Role) -> &mut Child {
        self.all.entry(role.clone()).or_insert_with(|| Child { life: Lifecycle::new(limits(role)), commands: None })
    }

    fn unwant(&mut self, role: &Role) -> Vec<Event> {
        let mut events = self.tell(role, Input::Unwant);
        if let Workers::Held(held) = &mut self.workers
            && held.remove(role).is_some()
        {
            events.extend(self.tell(role, Input::SpawnFailed("not wanted any more".to_owned())));
        }
        events
    }

    fn start(&mut self, role: &Role, software_only: bool) {
        if let (Workers::Held(held), Role::Encode(_)) = (&mut self.workers, role) {
            held.insert(role.clone(), software_only);
            return;
        }
        let (role, spawner, notices) = (role.clone(), self.spawner.clone(), self.notices.clone());
        tokio::spawn(async move {
            let started = spawner.start(role.clone(), software_only).await;
            // Waits for room: a process must not be forgotten. Fails only when holdfastd ends.
            let _ = notices.send(Notice::Started(role, started)).await;
        });
    }

    fn ask_to_end(&self, role: &Role, pid: Pid) {
        self.command(role, ChildCommand::Stop);
        if let Some(process) = self.processes.get(&pid) {
            tokio::spawn(self.spawner.clone().end(role.clone(), process.clone()));
        }
    }

    /// The process that holds the role's lock from before, taken hold of.
    fn holder(&mut self, role: &Role) -> Option<Pid> {
        let path = self.paths.lock(role);
        let pid = lock::holder(&path)?;
        let process = Process::open(pid.as_raw()).ok()?;
        // Still the holder: so it is the holder that was taken hold of.
        (lock::holder(&path) == Some(pid)).then(|| self.watch(role, process))?;
        Some(pid.as_raw())
    }

    /// A process that cannot be killed keeps its lock; its replacement gets a file of its own.
    fn make_room_beside(&self, role: &Role, pid: Pid) {
        // When it cannot be renamed, the replacement says that it cannot have the role, and is tried again.
        let _ = std::fs::rename(self.paths.lock(role), abandoned_lock(&self.paths, role, pid));
    }

    fn watch(&mut self, role: &Role, process: Process) {
        let pid = process.pid();
        if self.processes.get(&pid).is_some_and(|known| known.started() == process.started()) {
            return;
        }
        self.processes.insert(pid, process.clone());
        let (role, notices) = (role.clone(), self.notices.clone());
        tokio::spawn(async move {
            let how = process.ended().await;
            // Waits for room: an end must not be missed. Fails only when holdfastd ends.
            let _ = notices.send(Notice::Gone(role, pid, how)).await;
        });
    }
}

fn limits(role: &Role) -> Limits {
    if *role == Role::Transmit { Limits::TRANSMIT } else { Limits::WORKER }
}

fn abandoned_lock(paths: &Paths, role: &Role, pid: Pid) -> std::path::PathBuf {
    paths.lock(role).with_extension(format!("abandoned-{pid}"))
}

/// What people call a role.
pub fn label(role: &Role) -> String {
    match role {
        Role::Supervisor => "holdfastd".to_owned(),
        Role::Transmit => "data plane".to_owned(),
        Role::Encode(input) => format!("worker {input}"),
        Role::Relay => "relay".to_owned(),
    }
}

fn event(role: &Role, told: &Told) -> Event {
    let worst = if *role == Role::Transmit { Severity::Alert } else { Severity::Warning };
    let (kind, severity, reason) = match told {
        Told::Started(pid) => (EventKind::ChildStarted, Severity::Info, format!("started as process {pid}")),
        Told::Ready(_, after) => {
            (EventKind::ChildReady, Severity::Info, format!("answered after {} ms", after.as_millis()))
        }
        Told::Adopted(pid) => {
            (EventKind::ChildAdopted, Severity::Info, format!("process {pid} was already running and is taken over"))
        }
        Told::Hung { pid, because } => {
            (EventKind::ChildEnded, worst, format!("process {pid} is being killed: {because}"))
        }
        Told::Abandoned(pid) => (
            EventKind::ChildEnded,
            Severity::Alert,
            format!("process {pid} cannot be killed (a driver holds it); a replacement starts, with software only"),
        ),
        Told::Ended { because, again_in, expected } => {
            let next = match again_in {
                None => String::new(),
                Some(wait) if wait.is_zero() => "; starting another at once".to_owned(),
                Some(wait) => format!("; starting another in {:.1} s", wait.as_secs_f64()),
            };
            (EventKind::ChildEnded, if *expected { Severity::Info } else { worst }, format!("{because}{next}"))
        }
    };
    let event = Event::new((clock::wall(), clock::media()), Role::Supervisor, kind, severity, label(role), reason);
    match told {
        Told::Started(pid) | Told::Adopted(pid) | Told::Hung { pid, .. } | Told::Abandoned(pid) => {
            event.with("pid", *pid)
        }
        Told::Ready(pid, after) => {
            event.with("pid", *pid).with("after_ms", u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
        }
        Told::Ended { again_in, expected, .. } => {
            let wait = again_in.and_then(|wait| u64::try_from(wait.as_millis()).ok());
            event.with("expected", *expected).with("again_in_ms", wait)
        }
    }
}
