//! The shell around [`Court`]: hears the kernel, the probes and the sessions, and passes on what is judged.
//!
//! ```text
//!   Links ─────────────┐                 ┌──► Standings (latest) ──► a Path per destination
//!   probes ──Report────┼──► Court (pure) ┼──► a fault ──► the session whose server it is
//!   sessions ─Report───┘                 └──► Event
//! ```
//!
//! One task on the data plane's thread. *Invariant:* whoever reports never waits. What does not fit is dropped: the next
//! report says as much, and a session whose end is not heard is no witness any more after a third of a second.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};

use super::court::{Court, Standings};
use super::health::{Action, Observation, ServerFault, SessionId, SrtFigures, TcpFigures};
use super::links::Links;
use super::told::Telling;
use crate::clock;
use crate::events::{Event, JudgedSnapshot, Role};
use crate::model::InterfaceName;

/// Reports waiting to be heard.
const REPORTS: usize = 1024;
/// Faults waiting for a session: the last one counts.
const FAULTS: usize = 2;
/// What people see is brought up to date so often.
const SHOWN_EVERY: Duration = Duration::from_millis(500);

/// What is reported of a link.
#[derive(Debug)]
pub enum Report {
    /// Something was seen.
    Saw(InterfaceName, Observation),
    /// A session has begun, and wants to know when its server is at fault.
    Began(SessionId, mpsc::Sender<ServerFault>),
}

/// The way to the judges. A clone leads to the same ones.
#[derive(Clone, Debug)]
pub struct Judging {
    reports: mpsc::Sender<Report>,
    standings: watch::Receiver<Arc<Standings>>,
    shown: watch::Receiver<BTreeMap<InterfaceName, JudgedSnapshot>>,
    sessions: Rc<Cell<u32>>,
}

/// One session as its link's judge hears of it. When it is dropped, the judge hears that it is over.
#[derive(Debug)]
pub struct JudgedSession {
    link: InterfaceName,
    id: SessionId,
    reports: mpsc::Sender<Report>,
    faults: mpsc::Receiver<ServerFault>,
}

impl Judging {
    /// Judges the interfaces of these names from here on, on the current single-threaded runtime, and tells `events` what
    /// is found. Ends when all handles are dropped. If `links` is closed, nobody watches the interfaces, and all are taken to
    /// be there.
    pub fn start(
        links: watch::Receiver<Arc<Links>>,
        names: watch::Receiver<BTreeSet<InterfaceName>>,
        events: impl Fn(Event) + 'static,
    ) -> Self {
        let (reports, inbox) = mpsc::channel(REPORTS);
        let (standings, judged) = watch::channel(Arc::default());
        let (shown, seen) = watch::channel(BTreeMap::new());
        let sitting = Sitting {
            court: Court::default(),
            links,
            names,
            standings,
            shown,
            faults: BTreeMap::new(),
            telling: Telling::default(),
            events: Box::new(events),
        };
        tokio::task::spawn_local(sitting.run(inbox));
        Self { reports, standings: judged, shown: seen, sessions: Rc::default() }
    }

    /// How all judged interfaces are.
    pub fn standings(&self) -> watch::Receiver<Arc<Standings>> {
        self.standings.clone()
    }

    /// The same for people.
    pub fn shown(&self) -> BTreeMap<InterfaceName, JudgedSnapshot> {
        self.shown.borrow().clone()
    }

    /// Where probes report.
    pub fn reports(&self) -> mpsc::Sender<Report> {
        self.reports.clone()
    }

    /// A session over `link` begins.
    pub fn session(&self, link: InterfaceName) -> JudgedSession {
        let id = SessionId(self.sessions.get());
        self.sessions.set(id.0.wrapping_add(1));
        let (faults, told) = mpsc::channel(FAULTS);
        // Full: it will not hear of its server's faults, and finds them out by itself, later.
        let _ = self.reports.try_send(Report::Began(id, faults));
        JudgedSession { link, id, reports: self.reports.clone(), faults: told }
    }
}

impl JudgedSession {
    /// What the kernel says of its connection.
    pub fn saw(&self, figures: TcpFigures) {
        self.report(Observation::Tcp(self.id, figures));
    }

    /// What SRT says of its path.
    pub fn heard(&self, figures: SrtFigures) {
        self.report(Observation::Srt(self.id, figures));
    }

    /// Waits until its server is at fault, for ever if need be. Cancel-safe.
    pub async fn fault(&mut self) -> ServerFault {
        match self.faults.recv().await {
            Some(fault) => fault,
            None => std::future::pending().await,
        }
    }

    /// Which link it goes over.
    pub const fn link(&self) -> &InterfaceName {
        &self.link
    }

    fn report(&self, observation: Observation) {
        // The next one says the same, a moment later.
        let _ = self.reports.try_send(Report::Saw(self.link.clone(), observation));
    }
}

impl Drop for JudgedSession {
    fn drop(&mut self) {
        self.report(Observation::SessionEnded(self.id));
    }
}

struct Sitting {
    court: Court,
    links: watch::Receiver<Arc<Links>>,
    names: watch::Receiver<BTreeSet<InterfaceName>>,
    standings: watch::Sender<Arc<Standings>>,
    shown: watch::Sender<BTreeMap<InterfaceName, JudgedSnapshot>>,
    faults: BTreeMap<SessionId, mpsc::Sender<ServerFault>>,
    telling: Telling,
    events: Box<dyn Fn(Event)>,
}

impl Sitting {
    async fn run(mut self, mut inbox: mpsc::Receiver<Report>) {
        let mut show = clock::in_step(SHOWN_EVERY);
        self.look();
        loop {
            self.pass_on();
            let due = self.court.poll_timeout();
            let is_empty = self.names.borrow().is_empty();
            tokio::select! {
                biased;
                report = inbox.recv() => match report {
                    Some(report) => self.hear(report),
                    None => return,
                },
                true = changed(&mut self.links) => self.look(),
                true = changed(&mut self.names) => self.look(),
                () = sleep_until(due) => {}
                _ = show.tick(), if !is_empty => drop(self.shown.send_replace(self.court.shown())),
            }
        }
    }

    fn look(&mut self) {
        let is_watched = self.links.has_changed().is_ok();
        let (names, links) = (self.names.borrow_and_update().clone(), self.links.borrow_and_update().clone());
        self.court.interfaces(&names, is_watched.then_some(&*links), clock::now());
    }

    fn hear(&mut self, report: Report) {
        match report {
            Report::Saw(link, observation) => {
                if let Observation::SessionEnded(session) = observation {
                    self.faults.remove(&session);
                }
                self.court.observe(&link, observation, clock::now());
            }
            Report::Began(session, faults) => {
                // Those whose end did not fit among the reports.
                self.faults.retain(|_, faults| !faults.is_closed());
                self.faults.insert(session, faults);
            }
        }
    }

    fn pass_on(&mut self) {
        let now = clock::now();
        while let Some((link, action)) = self.court.poll(now) {
            if let Action::BlameServer(fault) = action
                && let Some(session) = self.faults.get(&fault.session)
            {
                // Full: it knows already.
                let _ = session.try_send(fault);
            }
            let at = (clock::wall(), clock::media());
            if let Some(event) = self.telling.judged(&link, &action, at, Role::Transmit) {
                (self.events)(event);
            }
        }
        if let Some(standings) = self.court.news() {
            self.standings.send_replace(standings);
        }
    }
}

/// Whether there is something new; pends when there never will be.
async fn changed<T>(what: &mut watch::Receiver<T>) -> bool {
    match what.changed().await {
        Ok(()) => true,
        Err(_) => std::future::pending().await,
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
