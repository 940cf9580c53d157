//! holdfastd's main loop: children, configuration, operators, events. One thread; owns all of it.

mod configuration;
mod ended;
mod orders;
mod tables;
mod telemetry;
mod warmth;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::alerts::Alerts;
use super::children::{Children, Notice};
use super::config_files::{ConfigFiles, Refused};
use super::control::{self, Desk};
use super::event_log::{self, EventLog};
use super::lifecycle::Input;
use super::links::{self, FromChild};
use super::lock;
use super::service::Service;
use super::slate_jobs::News;
use super::spawn::{Processes, Spawner};
use super::systemd::Systemd;
use super::webhook::Webhook;
use super::wish::Wish;
use crate::clock;
use crate::config::{Paths, Settings};
use crate::events::{
    BoxSnapshot, CHILD_PROTOCOL, CONTROL_PROTOCOL, ChildCommand, ChildMessage, ChildState, Event, EventKind,
    PlaneSnapshot, Role, Severity, WorkerReport, render,
};
use crate::model::Manual;

pub use ended::Ended;

/// Lifecycles want time at least every 100 ms.
const TICK: Duration = Duration::from_millis(50);
/// Ticks between two looks at the configuration files.
const LOOK_EVERY: u32 = 10;
/// Ticks between two snapshots, when nothing else calls for one.
const PUBLISH_EVERY: u32 = 2;
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
    /// Where the children's programs are; `None` for beside this one.
    pub programs: Option<PathBuf>,
}

/// Runs until told to end: by `holdfast shutdown` or SIGINT, which end the children too, or by SIGTERM, which leaves them
/// to the next holdfastd. Says which it was.
///
/// # Errors
/// In words, when it cannot begin.
pub async fn run(options: Options) -> Result<Ended, String> {
    let Options { config, secrets, paths, spawner, programs } = options;
    for directory in [&paths.runtime, &paths.state, &paths.slate_dir()] {
        std::fs::create_dir_all(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    }
    let _lock = lock::take(&paths.lock(&Role::Supervisor))
        .map_err(|e| format!("another holdfastd runs in {}: {e}", paths.runtime.display()))?;
    let (files, settings, refused) = ConfigFiles::open(config, secrets, paths.clone())?;
    let programs = programs.map_or_else(own_directory, Ok)?;
    let processes = Processes::new(paths.clone(), programs);
    let spawner = choose(spawner, &processes).await?;

    let (child_inbox, mut from_children) = mpsc::channel(INBOX);
    tokio::spawn(links::serve(listen(&paths.children_socket())?, paths.clone(), child_inbox));
    let (asked_inbox, mut asked) = mpsc::channel(INBOX);
    let (publish, snapshot) = watch::channel(None);
    let (event_feed, _) = broadcast::channel(INBOX);
    let desk = Desk { asked: asked_inbox, snapshot, events: event_feed.clone() };
    tokio::spawn(control::serve(listen(&paths.control_socket())?, desk));

    let (notices_inbox, mut notices) = mpsc::channel::<Notice>(INBOX);
    let (news_inbox, mut slate_news) = mpsc::channel::<News>(INBOX);
    let (webhook_troubles, mut troubles) = mpsc::channel::<String>(INBOX);
    let log_path = paths.event_log();
    let mut daemon = Daemon {
        children: Children::new(paths.clone(), spawner, notices_inbox),
        history: event_log::tail(&log_path, HISTORY),
        log: EventLog::start(log_path.clone()).map_err(|e| format!("{}: {e}", log_path.display()))?,
        alerts: Alerts::default(),
        telemetry: telemetry::Telemetry::start(&settings),
        warmth: warmth::Warmth::new(&settings),
        tables: tables::RoutingTables::new(&paths),
        webhook: None,
        webhook_troubles,
        wish: Wish::open(paths.on_air_wish()),
        choice: None,
        plane: None,
        workers: Vec::new(),
        refused: None,
        service: Service::default(),
        publish,
        event_feed,
        settings,
        coming: None,
        slate_job: 0,
        slate_news: news_inbox,
        processes,
        files,
        ending: false,
    };
    daemon.begin(refused);

    let cannot = |e: std::io::Error| format!("cannot listen for signals: {e}");
    let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0u32;
    while !(daemon.ending && daemon.children.is_empty()) {
        tokio::select! {
            biased;
            Some(notice) = notices.recv() => {
                let events = daemon.children.notice(notice);
                daemon.record_all(events);
            }
            Some(message) = from_children.recv() => daemon.hear(message),
            Some(question) = asked.recv() => daemon.answer(question),
            Some(news) = slate_news.recv() => daemon.hear_of_slates(news),
            reading = daemon.telemetry.next() => daemon.hear_telemetry(reading),
            told = daemon.tables.next() => daemon.hear_tables(told),
            Some(why) = troubles.recv() => {
                let text = format!("an alert could not be delivered: {why}; see [alerts] in the secrets file");
                daemon.say(EventKind::Note, Severity::Warning, "webhook", text);
            }
            // systemd ends the children's units itself; without systemd they go on and are taken over by the next one.
            _ = terminate.recv() => {
                daemon.say(EventKind::Note, Severity::Info, "", "holdfastd ends; its children go on".to_owned());
                break;
            }
            _ = interrupt.recv() => daemon.end_all(),
            _ = tick.tick() => {
                ticks = ticks.wrapping_add(1);
                daemon.tick(ticks);
            }
        }
    }
    daemon.service.ending();
    if daemon.ending {
        daemon.leave_tables().await;
    }
    daemon.log.finish();
    Ok(Ended::alone(&daemon.children.snapshot()))
}

/// Listens on `path`, replacing a socket that a dead process left there. Only this user (and root) may connect.
fn listen(path: &Path) -> Result<UnixListener, String> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

fn own_directory() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|e| format!("cannot tell where this program is: {e}"))?;
    Ok(here.parent().map_or_else(PathBuf::new, Path::to_owned))
}

async fn choose(choice: SpawnerChoice, processes: &Processes) -> Result<Spawner, String> {
    let by_systemd = match choice {
        SpawnerChoice::Systemd => true,
        SpawnerChoice::Process => false,
        // Set for whatever runs below a service too, hence the look at who started us (systemd.exec(5)).
        SpawnerChoice::Auto => std::env::var_os("INVOCATION_ID").is_some() && nix::unistd::getppid().as_raw() == 1,
    };
    if by_systemd {
        return Ok(Spawner::Systemd(Systemd::system().await?));
    }
    Ok(Spawner::Process(processes.clone()))
}

struct Daemon {
    files: ConfigFiles,
    /// In force.
    settings: Settings,
    /// Right, and in force as soon as its slates are made.
    coming: Option<Settings>,
    /// The latest job's number.
    slate_job: u32,
    slate_news: mpsc::Sender<News>,
    processes: Processes,
    children: Children,
    log: EventLog,
    history: VecDeque<Event>,
    alerts: Alerts,
    telemetry: telemetry::Telemetry,
    warmth: warmth::Warmth,
    tables: tables::RoutingTables,
    webhook: Option<Webhook>,
    webhook_troubles: mpsc::Sender<String>,
    /// The operator's wish.
    wish: Wish,
    /// What an operator wants to see; `None` until that is known.
    choice: Option<Manual>,
    plane: Option<PlaneSnapshot>,
    workers: Vec<WorkerReport>,
    refused: Option<String>,
    service: Service,
    publish: watch::Sender<Option<BoxSnapshot>>,
    event_feed: broadcast::Sender<Event>,
    ending: bool,
}

impl Daemon {
    fn begin(&mut self, refused: Option<Refused>) {
        self.open_webhook();
        self.say(EventKind::Note, Severity::Info, "", format!("holdfastd {} began", env!("CARGO_PKG_VERSION")));
        match refused {
            None => {
                let text = format!("{} is in force", self.files.name());
                self.say(EventKind::ConfigLoaded, Severity::Info, "", text);
            }
            Some(Refused(why)) => {
                let text = format!("{why}\nThe last good configuration is in force");
                self.say(EventKind::ConfigRefused, Severity::Alert, "", text);
                self.refused = Some(why);
            }
        }
        self.say_warnings();
        self.follow_tables();
        let events = self.children.begin(&wanted(&self.settings));
        self.record_all(events);
        self.make_slates(self.settings.clone());
    }

    fn hear(&mut self, message: FromChild) {
        match message {
            FromChild::Hello { role, process, speaks, settings, commands } => {
                let pid = process.pid();
                let events = self.children.hello(&role, process, speaks, commands);
                self.record_all(events);
                if self.children.is_current(&role, pid) && speaks {
                    self.greet(&role, &settings);
                }
            }
            FromChild::Said { role, pid, message } if self.children.is_current(&role, pid) => match message {
                ChildMessage::Beat => {
                    let events = self.children.tell(&role, Input::Beat);
                    self.record_all(events);
                }
                ChildMessage::Plane(plane) => {
                    self.telemetry.look_at_links(&plane);
                    // After a restart of this process the data plane is the one that remembers.
                    self.choice.get_or_insert_with(|| plane.choice.clone());
                    self.plane = Some(plane);
                }
                ChildMessage::Worker(report) => {
                    self.hear_worker(&report);
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

    /// Tells a child that has just connected what it may have missed.
    fn greet(&mut self, role: &Role, settings: &str) {
        self.children.command(role, ChildCommand::Welcome { protocol: CHILD_PROTOCOL });
        let stale = configuration::is_stale(settings, role, &self.settings, self.coming.as_ref());
        if *role == Role::Transmit {
            if stale {
                self.children.command(role, ChildCommand::Reload);
            }
            // A data plane that outlived the holdfastd before this one knows its operator's choice; this one does not.
            if let Some(choice) = &self.choice {
                self.children.command(role, ChildCommand::Choose { choice: choice.clone() });
            }
            self.children.command(role, ChildCommand::SetOnAir { on: self.wish.since().is_some() });
            self.service.ready();
        } else if stale {
            self.renew(role);
        }
    }

    fn renew(&mut self, role: &Role) {
        let because = "its part of the configuration changed".to_owned();
        let events = self.children.tell(role, Input::Renew { because });
        self.record_all(events);
    }

    fn end_all(&mut self) {
        self.ending = true;
        let events = self.children.end_all();
        self.record_all(events);
    }

    fn tick(&mut self, ticks: u32) {
        let events = self.children.tick();
        self.record_all(events);
        if ticks.is_multiple_of(LOOK_EVERY) && self.files.changed() && !self.ending {
            // Said in the log, whichever way it went.
            let _ = self.reload();
        }
        if ticks.is_multiple_of(PUBLISH_EVERY) {
            let snapshot = self.snapshot();
            self.service.alive(|| render::summary(&snapshot), clock::now());
            self.publish.send_replace(Some(snapshot));
        }
    }

    /// For whoever looks right after giving an order.
    fn publish(&mut self) {
        let snapshot = self.snapshot();
        self.publish.send_replace(Some(snapshot));
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
        if let Some(webhook) = &mut self.webhook
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

    fn snapshot(&mut self) -> BoxSnapshot {
        let children = self.children.snapshot();
        let running = |role: &Role| children.iter().any(|c| c.role == *role && c.state == ChildState::Running);
        if !running(&Role::Transmit) {
            // What a data plane that is gone last said is not the state of the box.
            self.plane = None;
        }
        self.workers.retain(|w| running(&Role::Encode(w.input.clone())));
        BoxSnapshot {
            protocol: CONTROL_PROTOCOL,
            at: clock::wall(),
            box_name: self.settings.box_name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            on_air: self.wish.since().is_some(),
            on_air_since: self.wish.since(),
            children,
            plane: self.plane.clone(),
            workers: self.workers.clone(),
            config_refused: self.refused.clone(),
            telemetry: self.telemetry.observer().snapshot().clone(),
        }
    }
}

/// The children that a configuration calls for.
fn wanted(settings: &Settings) -> Vec<Role> {
    let workers = settings.inputs.iter().map(|input| Role::Encode(input.id.clone()));
    std::iter::once(Role::Transmit).chain(workers).collect()
}
