//! One destination's task: carries out what the roster and the bond decide.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Interval, sleep_until};

use super::Ground;
use super::call::{CallerGroup, Common, Connected, call};
use super::calls::Calls;
use super::failure::Failure;
use super::footing::{Act, Footing, Lack, Spent};
use super::report::Report;
use super::roster::{Phase, Roster};
use super::sender::Sender;
use super::witness::Witnesses;
use crate::bonding::{Bond, BondEvent, Carrier, LinkId, Policy, Resort};
use crate::clock;
use crate::config::{Links, SrtDestinationSettings};
use crate::link::health::budget::Allowance;
use crate::link::health::{Load, SrtFigures};
use crate::link::resolve::Resolver;
use crate::link::udp::Inbox;
use crate::link::{Allowances, Links as Interfaces};
use crate::output::{Next, OutputCommand, Payloads, Transport};
use crate::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use crate::srt::session::{Closed, Duty, Event, FEATURES, MaxBandwidth, PathId, Seed, SessionConfig};
use crate::srt::wire::{GroupId, GroupType};
use crate::srt::{Offer, StreamId, random_isn};

/// How often the session is measured, and the snapshot brought up to date.
const TICK: Duration = Duration::from_millis(500);
/// What the send buffer holds beyond the latency, for what is on its way and what is late.
const SPARE: Duration = Duration::from_secs(1);
/// Packets that the send buffer holds at least, and at most.
const LEAST_BUFFER: u64 = 8192;
const MOST_BUFFER: u64 = 1 << 18;
/// What a programme may have whose nominal rate nobody says, as a relay's, bit/s. The buffer grows only as it is needed.
const UNKNOWN_RATE: u64 = 50_000_000;

/// A destination and everything it needs to make sessions.
pub(super) struct Destination {
    settings: SrtDestinationSettings,
    transport: Transport,
    /// Nominal rate of the programme, bit/s.
    rate: u64,
    roster: Roster,
    report: Report,
    random: Random,
    inbox: Rc<RefCell<Inbox>>,
    plan: Option<Common>,
    calls: Calls<Result<Connected, Failure>>,
    session: Option<Running>,
    ending: Ending,
    /// Nobody commands any more: this ends once the session has.
    left: bool,
    /// What the interfaces allow, and what the kernel says of them; `None` when nobody says anything any more.
    footing: Footing,
    links: Option<watch::Receiver<Arc<Interfaces>>>,
    /// What they may carry; `None` where nobody counts that.
    allowances: Option<watch::Receiver<Option<Arc<Allowances>>>>,
    /// The paths as those know them who judge the links.
    witnesses: Witnesses,
    resolver: Option<Resolver>,
    /// Why a path was closed here.
    closing: BTreeMap<usize, Lack>,
}

/// A session with at least one path, and its place in the programme.
struct Running {
    sender: Rc<RefCell<Sender>>,
    payloads: Payloads,
}

/// Whether the session is being ended cleanly, and what comes then.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It is not.
    No,
    /// Nothing.
    ThenOff,
    /// Another one: it was wanted again before the far end had everything.
    ThenOn,
}

/// Why the task woke.
enum Woken {
    Command(Option<OutputCommand>),
    Called(usize, Result<Connected, Failure>),
    /// The session has something to do or to tell.
    Session,
    Media(Next),
    Retry,
    /// The interfaces are not what they were; or nobody says any more.
    Links(Result<(), watch::error::RecvError>),
    /// Likewise what they may carry.
    Allowances(Result<(), watch::error::RecvError>),
    Footing,
    Testimony,
    Tick,
}

impl Destination {
    pub(super) fn new(
        settings: SrtDestinationSettings,
        transport: Transport,
        rate: u64,
        report: Report,
        ground: Ground,
        (seed, jitter): ([u8; 32], u64),
    ) -> Self {
        let paths = settings.links.paths().len();
        let roster = Roster::new(paths, jitter);
        let spent = match &settings.links {
            Links::Broadcast(_) => Spent::LeftOut,
            Links::Single(_) | Links::Backup(_) => Spent::Rests,
        };
        Self {
            settings,
            transport,
            rate,
            roster,
            report,
            random: Random::from_seed(&seed),
            inbox: Rc::new(RefCell::new(Inbox::new())),
            plan: None,
            calls: Calls::new(),
            session: None,
            ending: Ending::No,
            left: false,
            footing: Footing::new(paths, spent),
            links: Some(ground.links),
            allowances: ground.allowances,
            witnesses: Witnesses::new(ground.judging),
            resolver: ground.resolver,
            closing: BTreeMap::new(),
        }
    }

    /// Runs until the other end of `commands` is dropped; the far end then finds out by itself, unless it is about to be
    /// told because of a `Stop` before.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<OutputCommand>) {
        let mut tick = clock::in_step(TICK);
        let wake = Rc::new(Notify::new());
        loop {
            let now = clock::now();
            while let Some(place) = self.roster.call(now) {
                self.call(place, now);
            }
            self.report.state(&self.roster, self.session.is_some(), self.ending != Ending::No, now);
            match self.woken(&mut commands, &mut tick, &wake).await {
                Woken::Command(None) => self.left = true,
                Woken::Command(Some(command)) => self.command(command, clock::now()),
                Woken::Called(place, Ok(connected)) => self.connected(place, &connected, &wake, clock::now()),
                Woken::Called(place, Err(failure)) => self.failed(place, &failure, clock::now()),
                Woken::Session => self.happened(clock::now()),
                Woken::Media(next) => self.media(next, clock::now()),
                Woken::Retry => {}
                Woken::Links(told) => {
                    if told.is_err() {
                        self.links = None;
                    }
                    self.look(clock::now());
                }
                Woken::Allowances(told) => {
                    if told.is_err() {
                        self.allowances = None;
                    }
                    self.look(clock::now());
                }
                Woken::Footing => self.look(clock::now()),
                Woken::Testimony => self.testify(clock::now()),
                Woken::Tick => {
                    self.measure(clock::now());
                    // One that is left out joins when those that stand do not any more.
                    if self.footing.leaves_out() {
                        self.look(clock::now());
                    }
                }
            }
            if self.left && self.ending == Ending::No {
                return;
            }
        }
    }

    async fn woken(
        &mut self,
        commands: &mut mpsc::Receiver<OutputCommand>,
        tick: &mut Interval,
        wake: &Notify,
    ) -> Woken {
        let due = self.session.as_ref().and_then(|session| session.sender.borrow_mut().arm());
        let retry = self.roster.poll_timeout();
        let footing = self.footing.poll_timeout();
        let is_quiet = self.session.is_none() && retry.is_none() && self.calls.is_empty();
        let media = async {
            match &mut self.session {
                Some(session) if self.ending == Ending::No => session.payloads.next().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        let links = async {
            match &mut self.links {
                Some(links) => links.changed().await,
                None => std::future::pending().await,
            }
        };
        let allowances = async {
            match &mut self.allowances {
                Some(allowances) => allowances.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            command = commands.recv(), if !self.left => Woken::Command(command),
            told = links => Woken::Links(told),
            told = allowances => Woken::Allowances(told),
            () = until(footing) => Woken::Footing,
            () = self.witnesses.due(), if !is_quiet => Woken::Testimony,
            () = wake.notified() => Woken::Session,
            (place, outcome) = self.calls.next() => Woken::Called(place, outcome),
            next = media => Woken::Media(next),
            () = until(due) => Woken::Session,
            () = until(retry) => Woken::Retry,
            _ = tick.tick(), if !is_quiet => Woken::Tick,
        }
    }

    fn command(&mut self, command: OutputCommand, now: Instant) {
        match command {
            OutputCommand::Start if self.settings.enabled => match self.ending {
                Ending::No => self.start(now),
                // The far end has one session of this stream at a time.
                Ending::ThenOff | Ending::ThenOn => self.ending = Ending::ThenOn,
            },
            OutputCommand::Start => {}
            OutputCommand::Stop => self.stop(now),
            OutputCommand::RetryNow => self.roster.retry_now(now),
            OutputCommand::NetworkReturned => self.roster.network_returned(now),
            // What is too late is dropped by the session itself.
            OutputCommand::SkipAhead => {}
        }
    }

    fn start(&mut self, now: Instant) {
        if !self.roster.is_wanted() {
            self.roster.start(now);
            self.footing.reset();
            self.look(now);
        }
    }

    fn stop(&mut self, now: Instant) {
        if self.ending == Ending::ThenOn {
            self.ending = Ending::ThenOff;
        }
        if !self.roster.is_wanted() {
            return;
        }
        self.roster.stop();
        self.calls.hang_up_all();
        self.measure(now);
        match &self.session {
            Some(session) => {
                self.ending = Ending::ThenOff;
                let mut sender = session.sender.borrow_mut();
                sender.bond.close(now);
                sender.settle(now);
            }
            None => self.report.ended_cleanly(),
        }
    }

    /// Does what the interfaces under the paths ask for.
    fn look(&mut self, now: Instant) {
        if !self.roster.is_wanted() {
            return;
        }
        let links = self.links.as_mut().map(|links| links.borrow_and_update().clone()).unwrap_or_default();
        if let Some(allowances) = &mut self.allowances {
            self.footing.allow(allowances.borrow_and_update().clone().unwrap_or_default());
        }
        self.rank(&links);
        for act in self.footing.look(self.settings.links.paths(), &links, now) {
            match act {
                Act::Hold { place, lack } => {
                    self.roster.hold(place, lack);
                    self.calls.hang_up(place);
                    self.let_go_of_plan();
                    self.report.path_failed(
                        place,
                        &Failure::NoLink(lack),
                        Duration::ZERO,
                        self.roster.is_any_up(),
                        now,
                    );
                }
                Act::Release { place } => self.roster.release(place, now),
                Act::Shake { place } => self.set_carrier(place, Carrier::Lost, now),
                Act::Steady { place } => self.set_carrier(place, Carrier::There, now),
                Act::Close { place, lack } => self.close(place, lack, now),
            }
        }
    }

    /// Says of each path whether it is to be kept for the last.
    fn rank(&self, links: &Interfaces) {
        let Some(session) = &self.session else { return };
        let mut sender = session.sender.borrow_mut();
        for (place, path) in self.settings.links.paths().iter().enumerate() {
            let resort = match self.footing.allowance(path, links) {
                Allowance::Free | Allowance::Warned => Resort::Any,
                Allowance::Spent | Allowance::Barred => Resort::Last,
            };
            if let Some(id) = sender.path(place) {
                sender.bond.set_resort(id, resort);
            }
        }
    }

    fn set_carrier(&mut self, place: usize, carrier: Carrier, now: Instant) {
        let Some(session) = &self.session else { return };
        let mut sender = session.sender.borrow_mut();
        if let Some(id) = sender.path(place) {
            sender.bond.set_carrier(id, carrier, now);
            sender.settle(now);
        }
    }

    fn close(&mut self, place: usize, lack: Lack, now: Instant) {
        let Some(session) = &self.session else { return };
        {
            let mut sender = session.sender.borrow_mut();
            let Some(id) = sender.path(place) else { return };
            self.closing.insert(place, lack);
            sender.bond.close_path(id, now);
            sender.settle(now);
        }
        self.happened(now);
    }

    fn call(&mut self, place: usize, now: Instant) {
        let Some(path) = self.settings.links.paths().get(place).cloned() else { return };
        let mut common = match &self.plan {
            Some(plan) => plan.clone(),
            None => {
                let plan = self.new_plan(now);
                self.plan.insert(plan).clone()
            }
        };
        if let Some(session) = &self.session {
            let sender = session.sender.borrow();
            let session = sender.bond.session();
            (common.isn, common.start) = (session.next_seq(), session.start());
            common.keys = session.keys().cloned();
        }
        if let Some(group) = &mut common.group {
            (group.weight, group.peer) = (path.weight, common.far_group.get());
        }
        let random = Random::from_seed(&self.random.bytes());
        let resolver = self.resolver.clone();
        self.calls.make(place, call(path, common, random, resolver));
    }

    /// What the paths of a new session have in common.
    fn new_plan(&mut self, now: Instant) -> Common {
        let keys = self.settings.encryption.as_ref().and_then(|encryption| {
            let passphrase = Passphrase::new(encryption.passphrase.reveal())?;
            let length = KeyLength::from_bytes(encryption.key_length.bytes()).unwrap_or_default();
            Some(KeyMaterial::generate(&passphrase, length, &mut self.random))
        });
        let group_type = match &self.settings.links {
            Links::Single(_) => None,
            Links::Broadcast(_) => Some(GroupType::Broadcast),
            Links::Backup(_) => Some(GroupType::Backup),
        };
        let id = GroupId::marked(self.random.next_u32());
        let asked = self.settings.stream_id.as_ref().map_or("", |id| id.reveal());
        Common {
            isn: random_isn(&mut self.random),
            start: now,
            offer: Offer { send_latency: self.settings.latency, features: Some(FEATURES), ..Offer::default() },
            stream_id: StreamId::new(asked).unwrap_or_default(),
            keys,
            group: group_type.map(|group_type| CallerGroup { id, group_type, weight: 0, peer: None }),
            far_group: Rc::new(Cell::new(None)),
        }
    }

    fn connected(&mut self, place: usize, connected: &Connected, wake: &Rc<Notify>, now: Instant) {
        // Its interface may have gone while it called.
        if *self.roster.phase(place) != Phase::Calling {
            return;
        }
        let Some(path) = self.settings.links.paths().get(place) else { return };
        let (link, weight) = (LinkId(u32::try_from(place).unwrap_or(u32::MAX)), path.weight);
        let terms = connected.negotiated.terms();
        for shortfall in &connected.shortfalls {
            self.report.shortfall(shortfall);
        }
        let added = match &self.session {
            Some(session) => session.sender.borrow_mut().bond.add_path(&terms, link, weight, now).ok(),
            None => {
                let policy = match &self.settings.links {
                    Links::Single(_) => Policy::Single,
                    Links::Broadcast(_) => Policy::Broadcast,
                    Links::Backup(_) => Policy::Backup,
                };
                let config = session_config(&self.settings, self.rate, Seed(self.random.bytes()));
                let bond = Bond::new(policy, config, &terms, link, weight, now);
                let id = bond.session().paths().next();
                let sender = Sender::new(bond, wake.clone());
                self.session = Some(Running { sender, payloads: self.transport.subscribe() });
                id
            }
        };
        let (Some(id), Some(session)) = (added, &self.session) else {
            // It is closing; the far end will find nobody there.
            return self.failed(place, &Failure::Lost(Closed::Here), now);
        };
        if let (Some(plan), Some(group)) = (&self.plan, connected.negotiated.group) {
            plan.far_group.set(Some(group.peer));
        }
        self.roster.connected(place, now);
        let links = self.links.as_ref().map(|links| links.borrow().clone()).unwrap_or_default();
        self.footing.connected(place, path, connected.source, &links);
        Sender::attach(&session.sender, id, place, connected, &self.inbox);
        let is_first = session.sender.borrow().ports().count() == 1;
        self.report.path_up(place, id, connected, is_first);
        session.sender.borrow_mut().settle(now);
        self.measure(now);
        // One that waited for another before it is closed need not wait any longer.
        self.look(now);
    }

    /// A call failed or a path was lost.
    fn failed(&mut self, place: usize, failure: &Failure, now: Instant) {
        let wait = self.roster.failed(place, failure.clone(), now);
        if let Some(wait) = wait {
            self.report.path_failed(place, failure, wait, self.roster.is_any_up(), now);
        }
        self.let_go_of_plan();
    }

    /// The next call is the first of another session, unless others are under way for this one.
    fn let_go_of_plan(&mut self) {
        if self.session.is_none() && !self.roster.is_any_calling() {
            self.plan = None;
        }
    }

    fn media(&mut self, next: Next, now: Instant) {
        let Some(session) = &mut self.session else { return };
        let mut sender = session.sender.borrow_mut();
        let mut next = Some(next);
        // With it goes everything that waits: one picture in as few system calls as its pace allows.
        while let Some(received) = next {
            match received {
                Next::Skipped { payloads } => self.report.lagged(payloads, now),
                Next::Payload(payload) => {
                    let made = self.transport.clock().instant(payload.at).min(now);
                    // Closed, which its event tells; or too long, which seven packets of a transport stream never are.
                    let _ = sender.send(payload.bytes, made, now);
                }
            }
            next = session.payloads.try_next();
        }
        sender.settle(now);
    }

    /// The session has something to do, or to tell.
    fn happened(&mut self, now: Instant) {
        let Some(session) = &self.session else { return };
        let sender = session.sender.clone();
        sender.borrow_mut().timeout();
        let mut has_decided = false;
        loop {
            let event = sender.borrow_mut().poll_event();
            let Some(event) = event else { break };
            match event {
                BondEvent::Decided(decision) => {
                    has_decided = true;
                    self.report.decided(&decision, &sender.borrow(), now);
                }
                BondEvent::Session(Event::PathClosed { path, why }) => self.path_closed(&sender, path, why, now),
                BondEvent::Session(Event::Message { body, .. }) => {
                    let (clock, delay) = (self.transport.clock(), self.transport.delay());
                    self.report.account(&body, clock.now() + delay, now);
                }
                BondEvent::Session(Event::KeyRefused { path, status }) => {
                    let place = sender.borrow().place(path);
                    self.report.key_refused(place, status);
                }
                BondEvent::Session(Event::Closed) => self.over(now),
                BondEvent::Session(Event::PathAdded(_) | Event::Keys { .. }) => {}
            }
        }
        if has_decided {
            self.measure(now);
        }
    }

    fn path_closed(&mut self, sender: &Rc<RefCell<Sender>>, path: PathId, why: Closed, now: Instant) {
        let place = sender.borrow().place(path);
        sender.borrow_mut().detach(path);
        let Some(place) = place else { return };
        self.report.path_gone(place);
        self.footing.disconnected(place);
        let failure = self.closing.remove(&place).map_or(Failure::Lost(why), Failure::NoLink);
        self.failed(place, &failure, now);
        if sender.borrow().ports().next().is_none() {
            self.over(now);
        }
    }

    /// The session has no path any more, or has ended: what comes next is another one.
    fn over(&mut self, now: Instant) {
        if self.session.take().is_none() {
            return;
        }
        self.report.session_over();
        self.plan = None;
        self.calls.hang_up_all();
        match std::mem::replace(&mut self.ending, Ending::No) {
            Ending::No => {}
            Ending::ThenOff => return self.report.ended_cleanly(),
            Ending::ThenOn => {
                self.report.ended_cleanly();
                return self.start(now);
            }
        }
        // Calls that were to join what is gone, and paths that were closed with it.
        for place in 0..self.settings.links.paths().len() {
            self.footing.disconnected(place);
            let wait = self.roster.failed(place, Failure::Lost(Closed::Here), now);
            if wait.is_some() {
                self.report.path_gone(place);
            }
        }
    }

    /// Tells the judges of the links how the paths over them are.
    fn testify(&mut self, now: Instant) {
        let paths = self.settings.links.paths();
        let Some(session) = &self.session else { return self.witnesses.testify(paths, []) };
        let mut sender = session.sender.borrow_mut();
        let places: Vec<_> = sender.ports().map(|(place, id, _)| (place, id)).collect();
        let stats = places.into_iter().filter_map(|(place, id)| {
            let stats = sender.bond.session_mut().path_stats(id, now)?;
            let load = if stats.duty == Duty::Carry { Load::Carries } else { Load::Rests };
            Some((place, SrtFigures { heard: stats.silent_for, load }))
        });
        self.witnesses.testify(paths, stats);
    }

    fn measure(&mut self, now: Instant) {
        if let Some(session) = &self.session {
            self.report.measure(&mut session.sender.borrow_mut(), now);
        }
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

pub(super) fn session_config(settings: &SrtDestinationSettings, rate: u64, seed: Seed) -> SessionConfig {
    let max_bandwidth = match settings.max_bandwidth {
        Some(bits) => MaxBandwidth::Fixed(u64::from(bits) / 8),
        None => MaxBandwidth::Input { overhead: settings.overhead_percent.into() },
    };
    let rate = if rate == 0 { UNKNOWN_RATE } else { rate };
    // Peaks are several times the nominal rate.
    let seconds = (settings.latency + SPARE).as_millis() as u64;
    let packets = rate / 8 / crate::mux::ts::PAYLOAD as u64 * seconds * 4 / 1000;
    let send_buffer = usize::try_from(packets.clamp(LEAST_BUFFER, MOST_BUFFER)).unwrap_or(LEAST_BUFFER as usize);
    SessionConfig { send_buffer, max_bandwidth, seed: Some(seed), ..SessionConfig::default() }
}
