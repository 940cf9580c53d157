//! The children as holdfastd holds them: a lifecycle each, a way to each, and the shell that does what the lifecycles say.

use std::collections::{BTreeMap, BTreeSet};

use tokio::sync::mpsc;

use super::lifecycle::{Input, Lifecycle, Limits, Output, Pid, Told};
use super::lock;
use super::spawn::{Spawner, Watched};
use crate::clock;
use crate::config::Paths;
use crate::events::{ChildCommand, ChildSnapshot, Event, EventKind, Role, Severity};

/// A process that is gone: of which role, which one, and how.
pub type Gone = (Role, Pid, String);

/// All children.
#[derive(Debug)]
pub struct Children {
    paths: Paths,
    spawner: Spawner,
    all: BTreeMap<Role, Child>,
    watched: BTreeSet<Pid>,
    gone: mpsc::Sender<Gone>,
    /// Workers wait for the slates: see [`Children::release_workers`].
    held_back: Option<Vec<(Role, bool)>>,
}

#[derive(Debug)]
struct Child {
    life: Lifecycle,
    commands: Option<mpsc::Sender<ChildCommand>>,
}

impl Children {
    /// No children yet. Who is gone comes through `gone`.
    pub fn new(paths: Paths, spawner: Spawner, gone: mpsc::Sender<Gone>) -> Self {
        Self { paths, spawner, all: BTreeMap::new(), watched: BTreeSet::new(), gone, held_back: Some(Vec::new()) }
    }

    /// Makes `wanted` the children that run: others end, missing ones are awaited (`from_before`) or started.
    pub async fn want(&mut self, wanted: &[Role], from_before: bool) -> Vec<Event> {
        let unwanted: Vec<_> = self.all.keys().filter(|r| !wanted.contains(r)).cloned().collect();
        let mut events = Vec::new();
        for role in unwanted {
            events.extend(self.tell(&role, Input::Unwant).await);
        }
        for role in wanted {
            let limits = if *role == Role::Transmit { Limits::TRANSMIT } else { Limits::WORKER };
            self.all.entry(role.clone()).or_insert_with(|| {
                let life = if from_before { Lifecycle::awaited(limits, clock::now()) } else { Lifecycle::new(limits) };
                Child { life, commands: None }
            });
            if !from_before {
                events.extend(self.tell(role, Input::Want).await);
            }
        }
        events
    }

    /// One input to one child's life, and everything that follows from it.
    pub async fn tell(&mut self, role: &Role, input: Input) -> Vec<Event> {
        let mut events = Vec::new();
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let Some(child) = self.all.get_mut(role) else { return events };
            child.life.handle(input, clock::now());
            while let Some(output) = self.all.get_mut(role).and_then(|c| c.life.poll_output()) {
                match output {
                    Output::Spawn { software_only } => inputs.extend(self.spawn(role, software_only).await),
                    Output::AskHolder => {
                        if let Some(pid) = lock::holder(&self.paths.lock(role)) {
                            self.watch(role, pid.as_raw());
                            inputs.push(Input::Holds(pid.as_raw()));
                        }
                    }
                    Output::AskToEnd(pid) => {
                        self.command(role, ChildCommand::Stop);
                        self.spawner.end(role, pid).await;
                    }
                    Output::Kill(pid) => self.spawner.kill(pid),
                    Output::Told(told) => events.push(event(role, &told)),
                }
            }
        }
        events
    }

    /// Time passes for all.
    pub async fn tick(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for role in self.all.keys().cloned().collect::<Vec<_>>() {
            events.extend(self.tell(&role, Input::Tick).await);
        }
        self.all.retain(|_, child| !child.life.is_over());
        events
    }

    /// A child is connected.
    pub async fn hello(&mut self, role: &Role, pid: Pid, speaks: bool, way: mpsc::Sender<ChildCommand>) -> Vec<Event> {
        let Some(child) = self.all.get_mut(role) else { return Vec::new() };
        child.commands = Some(way);
        self.watch(role, pid);
        self.tell(role, Input::Hello { pid, speaks }).await
    }

    /// A process is gone.
    pub async fn gone(&mut self, (role, pid, how): Gone) -> Vec<Event> {
        self.watched.remove(&pid);
        self.tell(&role, Input::Exited { pid, how }).await
    }

    /// The slates are made, or will not be: workers may start. Until then the one-shot encodes have the machine, and the
    /// data plane has something to show.
    pub async fn release_workers(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for (role, software_only) in self.held_back.take().unwrap_or_default() {
            if let Some(input) = self.spawn(&role, software_only).await {
                events.extend(self.tell(&role, input).await);
            }
        }
        events
    }

    /// Sends a command to a child that is there. A full queue drops it: what matters is told again at the next Hello.
    pub fn command(&self, role: &Role, command: ChildCommand) {
        if let Some(way) = self.all.get(role).and_then(|c| c.commands.as_ref()) {
            let _ = way.try_send(command);
        }
    }

    /// Whether that process is the one that has the role.
    pub fn is_current(&self, role: &Role, pid: Pid) -> bool {
        self.all.get(role).and_then(|c| c.life.pid()) == Some(pid)
    }

    /// Whether no child is left.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// For people.
    pub fn snapshot(&self) -> Vec<ChildSnapshot> {
        let of = |(role, child): (&Role, &Child)| ChildSnapshot {
            role: role.clone(),
            state: child.life.state(),
            pid: child.life.pid(),
            starts: child.life.starts(),
            last_end: child.life.last_end().map(str::to_owned),
        };
        self.all.iter().map(of).collect()
    }

    async fn spawn(&mut self, role: &Role, software_only: bool) -> Option<Input> {
        if let (Some(held), Role::Encode(_)) = (&mut self.held_back, role) {
            held.push((role.clone(), software_only));
            return None;
        }
        Some(match self.spawner.spawn(role, software_only).await {
            Ok(pid) => {
                self.watch(role, pid);
                Input::Spawned(pid)
            }
            Err(why) => Input::SpawnFailed(why),
        })
    }

    fn watch(&mut self, role: &Role, pid: Pid) {
        if !self.watched.insert(pid) {
            return;
        }
        let (role, gone) = (role.clone(), self.gone.clone());
        tokio::spawn(async move {
            let how = match Watched::open(pid) {
                Ok(process) => process.ended().await,
                Err(e) => format!("gone ({e})"),
            };
            // Waits for room: an end must not be missed.
            let _ = gone.send((role, pid, how)).await;
        });
    }
}

/// What people call a role.
pub fn label(role: &Role) -> String {
    match role {
        Role::Supervisor => "holdfastd".to_owned(),
        Role::Transmit => "data plane".to_owned(),
        Role::Encode(input) => format!("worker {input}"),
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
    Event::new((clock::wall(), clock::media()), Role::Supervisor, kind, severity, label(role), reason)
}
