//! holdfastd's main loop: children, configuration, operators, events. One thread; owns all of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::alerts::Alerts;
use super::children::{Children, Gone};
use super::config_files::{ConfigFiles, Refused};
use super::control::{self, Asked, Desk};
use super::event_log::{self, EventLog};
use super::lifecycle::Input;
use super::links::{self, FromChild};
use super::slate_jobs;
use super::spawn::{Processes, Spawner};
use super::systemd::Systemd;
use super::webhook::Webhook;
use super::{children, lock};
use crate::clock;
use crate::config::{Paths, Settings};
use crate::events::{
    BoxSnapshot, CONTROL_PROTOCOL, ChildCommand, ChildMessage, ChildState, Command, ControlReply, Event, EventKind,
    PlaneSnapshot, Role, Severity, WorkerReport,
};
use crate::model::{InputId, Wall};

/// Lifecycles want time at least every 100 ms.
const TICK: Duration = Duration::from_millis(50);
/// Ticks between two looks at the configuration files.
const LOOK_EVERY: u32 = 20;
/// Events kept for `holdfast events` without reading the disk.
const HISTORY: usize = 2000;
/// Messages from children waiting for the main loop; beyond that the children's sockets wait, and they keep the newest.
const INBOX: usize = 256;

/// How children are to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpawnerChoice {
    /// systemd if it started us, else processes.
    Auto,
    /// Processes.
    Process,
    /// systemd's units.
    Systemd,
}

/// What holdfastd is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// The secrets file, if named.
    pub secrets: Option<PathBuf>,
    /// Where this instance lives.
    pub paths: Paths,
    /// How children are started.
    pub spawner: SpawnerChoice,
}

/// Runs until told to end.
///
/// # Errors
/// In words, when it cannot begin.
pub async fn run(options: Options) -> Result<(), String> {
    let Options { config, secrets, paths, spawner } = options;
    for directory in [&paths.runtime, &paths.state, &paths.slate_dir()] {
        std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    let lock_file = paths.lock(&Role::Supervisor);
    let _lock = lock::take(&lock_file).map_err(|e| format!("{}: {e}", lock_file.display()))?;
    let (files, settings, refused) = ConfigFiles::open(config, secrets, paths.clone())?;

    let (child_inbox, mut from_children) = mpsc::channel(INBOX);
    tokio::spawn(links::serve(listen(&paths.children_socket())?, paths.clone(), child_inbox));
    let (gone_inbox, mut gone) = mpsc::channel::<Gone>(INBOX);
    let (asked_inbox, mut asked) = mpsc::channel(INBOX);
    let (publish, snapshot) = watch::channel(None);
    let (event_feed, _) = broadcast::channel(INBOX);
    let desk = Desk { asked: asked_inbox, snapshot, events: event_feed.clone() };
    tokio::spawn(control::serve(listen(&paths.control_socket())?, desk));

    let spawner = choose(spawner, &paths).await?;
    let log_path = paths.event_log();
    let mut daemon = Daemon {
        children: Children::new(paths.clone(), spawner, gone_inbox),
        history: event_log::tail(&log_path, HISTORY),
        log: EventLog::start(log_path.clone()).map_err(|e| format!("{}: {e}", log_path.display()))?,
        alerts: Alerts::default(),
        webhook: None,
        on_air: on_air_since(&paths),
        plane: None,
        workers: Vec::new(),
        refused: None,
        ready: false,
        publish,
        event_feed,
        settings,
        files,
        paths: paths.clone(),
    };
    daemon.begin(refused).await;

    let (slates_done, mut slates) = mpsc::channel(1);
    daemon.make_slates(&slates_done);
    let cannot = |e: std::io::Error| format!("cannot listen for signals: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    let mut ending = false;
    while !(ending && daemon.children.is_empty()) {
        tokio::select! {
            biased;
            Some(gone) = gone.recv() => {
                let events = daemon.children.gone(gone).await;
                daemon.record_all(events);
            }
            Some(message) = from_children.recv() => daemon.hear(message).await,
            Some(question) = asked.recv() => ending |= daemon.answer(question, &slates_done).await,
            Some(events) = slates.recv() => {
                daemon.record_all(events);
                let events = daemon.children.release_workers().await;
                daemon.record_all(events);
            }
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                let events = daemon.children.tick().await;
                daemon.record_all(events);
                if ticks.is_multiple_of(LOOK_EVERY) && daemon.files.changed() {
                    daemon.reload(&slates_done).await;
                }
                daemon.publish();
            }
            // systemd ends the children's units itself; without systemd they go on and are taken over by the next one.
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => {
                ending = true;
                daemon.end_all().await;
            }
        }
    }
    Ok(())
}

/// Listens on `path`, replacing a socket that a dead process left there.
fn listen(path: &std::path::Path) -> Result<UnixListener, String> {
    let _ = std::fs::remove_file(path);
    UnixListener::bind(path).map_err(|e| format!("{}: {e}", path.display()))
}

async fn choose(choice: SpawnerChoice, paths: &Paths) -> Result<Spawner, String> {
    let by_systemd = choice == SpawnerChoice::Systemd
        || choice == SpawnerChoice::Auto
            && std::env::var_os("INVOCATION_ID").is_some_and(|_| nix::unistd::getppid().as_raw() == 1);
    if by_systemd {
        return Ok(Spawner::Systemd(Systemd::system().await?));
    }
    let processes = Processes::new(paths.clone()).map_err(|e| format!("cannot tell where this program is: {e}"))?;
    Ok(Spawner::Process(processes))
}

/// Since when the operator wants the box on air, from the wish that survives reboots.
fn on_air_since(paths: &Paths) -> Option<Wall> {
    let since = std::fs::read_to_string(paths.on_air_wish()).ok()?;
    Some(Wall(since.trim().parse().unwrap_or_else(|_| clock::wall().0)))
}

struct Daemon {
    paths: Paths,
    files: ConfigFiles,
    settings: Settings,
    children: Children,
    log: EventLog,
    history: VecDeque<Event>,
    alerts: Alerts,
    webhook: Option<Webhook>,
    /// The operator's wish, and since when.
    on_air: Option<Wall>,
    plane: Option<PlaneSnapshot>,
    workers: Vec<WorkerReport>,
    refused: Option<String>,
    ready: bool,
    publish: watch::Sender<Option<BoxSnapshot>>,
    event_feed: broadcast::Sender<Event>,
}

impl Daemon {
    async fn begin(&mut self, refused: Option<Refused>) {
        self.open_webhook();
        self.say(EventKind::Note, Severity::Info, "", format!("holdfastd {} began", env!("CARGO_PKG_VERSION")));
        match refused {
            None => self.say(EventKind::ConfigLoaded, Severity::Info, "", self.files.name()),
            Some(Refused(why)) => {
                let text = format!("{why}\nThe last good configuration is in force");
                self.say(EventKind::ConfigRefused, Severity::Alert, "", text);
                self.refused = Some(why);
            }
        }
        for warning in self.files.warnings() {
            self.say(EventKind::Note, Severity::Warning, "configuration", warning);
        }
        let events = self.children.want(&self.wanted(), true).await;
        self.record_all(events);
    }

    fn wanted(&self) -> Vec<Role> {
        let workers = self.settings.inputs.iter().map(|input| Role::Encode(input.id.clone()));
        std::iter::once(Role::Transmit).chain(workers).collect()
    }

    fn make_slates(&self, done: &mpsc::Sender<Vec<Event>>) {
        tokio::spawn(slate_jobs::run(self.paths.clone(), self.settings.clone(), done.clone()));
    }

    async fn hear(&mut self, message: FromChild) {
        match message {
            FromChild::Hello { role, pid, speaks, settings, commands } => {
                let events = self.children.hello(&role, pid, speaks, commands).await;
                self.record_all(events);
                if !self.children.is_current(&role, pid) {
                    return;
                }
                self.children.command(&role, ChildCommand::Welcome { protocol: crate::events::CHILD_PROTOCOL });
                let stale = settings != self.settings.hash_for(&role);
                if role == Role::Transmit {
                    if stale {
                        self.children.command(&role, ChildCommand::Reload);
                    }
                    self.children.command(&role, ChildCommand::SetOnAir { on: self.on_air.is_some() });
                    self.tell_ready();
                } else if stale {
                    self.renew(&role).await;
                }
            }
            FromChild::Said { role, pid, message } if self.children.is_current(&role, pid) => match message {
                ChildMessage::Beat => {
                    let events = self.children.tell(&role, Input::Beat).await;
                    self.record_all(events);
                }
                ChildMessage::Plane(plane) => self.plane = Some(plane),
                ChildMessage::Worker(report) => {
                    self.workers.retain(|w| w.input != report.input);
                    self.workers.push(report);
                    self.workers.sort_by(|a, b| a.input.cmp(&b.input));
                }
                ChildMessage::Event(event) => self.record(event),
                ChildMessage::Hello { .. } => {}
            },
            // The last words of a process that has been replaced: its events count, its state does not.
            FromChild::Said { message: ChildMessage::Event(event), .. } => self.record(event),
            FromChild::Said { .. } => {}
        }
    }

    fn tell_ready(&mut self) {
        if !self.ready {
            self.ready = true;
            // Told only where systemd listens; elsewhere there is nobody to tell.
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        }
    }

    async fn renew(&mut self, role: &Role) {
        let because = "its part of the configuration changed".to_owned();
        let events = self.children.tell(role, Input::Renew { because }).await;
        self.record_all(events);
    }

    /// True when holdfastd is to end.
    async fn answer(&mut self, question: Asked, slates: &mpsc::Sender<Vec<Event>>) -> bool {
        match question {
            Asked::Events(last, reply) => {
                let skip = self.history.len().saturating_sub(last);
                let _ = reply.send(self.history.iter().skip(skip).cloned().collect());
                false
            }
            Asked::Do(command, reply) => {
                let ending = command == Command::Shutdown;
                let answer = self.obey(command, slates).await;
                let _ = reply.send(answer);
                ending
            }
        }
    }

    async fn obey(&mut self, command: Command, slates: &mpsc::Sender<Vec<Event>>) -> ControlReply {
        let done = |text: &str| ControlReply::Done { text: text.to_owned() };
        let text = serde_json::to_string(&command).unwrap_or_default();
        self.say(EventKind::CommandTaken, Severity::Info, "", text);
        match command {
            Command::Start => match self.set_on_air(true) {
                Ok(()) => done("going on air"),
                Err(text) => ControlReply::Refused { text },
            },
            Command::Stop => match self.set_on_air(false) {
                Ok(()) => done("going off air; destinations and recordings are ended cleanly"),
                Err(text) => ControlReply::Refused { text },
            },
            Command::Retry { output } => {
                if let Some(id) = &output
                    && !self.settings.destinations.iter().any(|d| &d.id == id)
                    && !self.settings.recordings.iter().any(|r| &r.id == id)
                {
                    let text = format!("there is no destination or recording {id}; holdfast status lists them");
                    return ControlReply::Refused { text };
                }
                self.children.command(&Role::Transmit, ChildCommand::RetryNow { output });
                done("trying now")
            }
            Command::Reload => {
                self.reload(slates).await;
                match &self.refused {
                    None => done("the configuration is in force"),
                    Some(why) => ControlReply::Refused { text: format!("{why}\nThe last good one stays in force.") },
                }
            }
            Command::Keyframe => {
                self.children.command(&Role::Transmit, ChildCommand::ForceKeyframe { rendition: None });
                done("asked for keyframes")
            }
            Command::Bitrate { rendition, bitrate } => {
                let Some(settings) = self.settings.rendition(&rendition) else {
                    let text = format!("there is no rendition {rendition}; holdfast status lists them");
                    return ControlReply::Refused { text };
                };
                if !(50_000..=settings.bitrate).contains(&bitrate) {
                    let text = format!(
                        "{rendition} may have 50 kbit/s to {} kbit/s; the configuration sets the limit",
                        settings.bitrate / 1000
                    );
                    return ControlReply::Refused { text };
                }
                self.children.command(&Role::Transmit, ChildCommand::SetBitrate { rendition, bitrate });
                done("asked the encoder")
            }
            Command::Shutdown => {
                self.end_all().await;
                done("ending everything")
            }
        }
    }

    fn set_on_air(&mut self, on: bool) -> Result<(), String> {
        let path = self.paths.on_air_wish();
        if on && self.on_air.is_none() {
            let now = clock::wall();
            std::fs::write(&path, now.0.to_string())
                .map_err(|e| format!("cannot remember it in {}: {e}; is the data partition full?", path.display()))?;
            self.on_air = Some(now);
        } else if !on {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(format!("cannot remove {}: {e}", path.display()));
                }
                _ => self.on_air = None,
            }
        }
        self.children.command(&Role::Transmit, ChildCommand::SetOnAir { on });
        Ok(())
    }

    async fn end_all(&mut self) {
        let events = self.children.want(&[], false).await;
        self.record_all(events);
    }

    /// Reads the files again; a mistake in them changes nothing but what is said.
    async fn reload(&mut self, slates: &mpsc::Sender<Vec<Event>>) {
        let settings = match self.files.load() {
            Ok(settings) => settings,
            Err(Refused(why)) => {
                if self.refused.as_ref() != Some(&why) {
                    let text = format!("{why}\nThe last good configuration stays in force");
                    self.say(EventKind::ConfigRefused, Severity::Alert, "", text);
                }
                self.refused = Some(why);
                return;
            }
        };
        self.refused = None;
        let before = std::mem::replace(&mut self.settings, settings);
        let same = |role: &Role| before.hash_for(role) == self.settings.hash_for(role);
        let changed: Vec<_> = self.wanted().into_iter().filter(|role| !same(role)).collect();
        if changed.is_empty() && same(&Role::Supervisor) {
            return;
        }
        let names: Vec<_> = changed.iter().map(children::label).collect();
        let text = if names.is_empty() { "only holdfastd is concerned".to_owned() } else { names.join(", ") };
        self.say(EventKind::ConfigLoaded, Severity::Info, "", format!("{}; concerns: {text}", self.files.name()));
        self.open_webhook();
        let known: Vec<InputId> = before.inputs.iter().map(|i| i.id.clone()).collect();
        self.workers.retain(|w| self.settings.inputs.iter().any(|i| i.id == w.input));
        let events = self.children.want(&self.wanted(), false).await;
        self.record_all(events);
        for role in changed {
            match &role {
                Role::Transmit => self.children.command(&role, ChildCommand::Reload),
                Role::Encode(input) if known.contains(input) => self.renew(&role).await,
                Role::Encode(_) | Role::Supervisor => {}
            }
        }
        self.make_slates(slates);
    }

    fn open_webhook(&mut self) {
        let address = self.settings.alerts.webhook.clone();
        self.webhook = address.and_then(|a| Webhook::start(a, self.settings.box_name.clone()).ok());
    }

    fn say(&mut self, kind: EventKind, severity: Severity, subject: &str, reason: String) {
        let at = (clock::wall(), clock::media());
        self.record(Event::new(at, Role::Supervisor, kind, severity, subject, reason));
    }

    fn record_all(&mut self, events: Vec<Event>) {
        for event in events {
            self.record(event);
        }
    }

    fn record(&mut self, event: Event) {
        self.log.write(&event);
        if let Some(webhook) = &self.webhook
            && self.alerts.admits(&event, clock::now())
        {
            webhook.send(&event);
        }
        // Nobody may be following.
        let _ = self.event_feed.send(event.clone());
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(event);
    }

    fn publish(&mut self) {
        let children = self.children.snapshot();
        if !children.iter().any(|c| c.role == Role::Transmit && c.state == ChildState::Running) {
            // What a data plane that is gone last said is not the state of the box.
            self.plane = None;
        }
        let running = |input: &InputId| {
            children.iter().any(|c| c.role == Role::Encode(input.clone()) && c.state == ChildState::Running)
        };
        self.workers.retain(|w| running(&w.input));
        let status = if self.on_air.is_some() { "on air" } else { "off air" };
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog, sd_notify::NotifyState::Status(status)]);
        self.publish.send_replace(Some(BoxSnapshot {
            protocol: CONTROL_PROTOCOL,
            at: clock::wall(),
            box_name: self.settings.box_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            on_air: self.on_air.is_some(),
            on_air_since: self.on_air,
            children,
            plane: self.plane.clone(),
            workers: self.workers.clone(),
            config_refused: self.refused.clone(),
        }));
    }
}
