//! One destination's task: carries out what the policy decides.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::Choice;
use super::connection::Connection;
use super::live::{Line, Live, Replacement, Woken};
use super::report::{Report, shown};
use super::routing::{Aside, Routing};
use super::socket::Way;
use crate::clock;
use crate::config::{DestinationSettings, RtmpUrl, Via};
use crate::distribute::Replay;
use crate::link::resolve::Resolver;
use crate::link::{Knowledge, Links};
use crate::model::{AccessUnit, InterfaceName};
use crate::mux::flv::StreamFacts;
use crate::output::{Feed, OutputCommand, Wake};
use crate::rtmp::policy::{Attempt, Phase, Policy};
use crate::rtmp::session::SessionEvent;
use crate::rtmp::trouble::Trouble;

/// How often the kernel is asked how a connection does, and the snapshot brought up to date.
const TICK: Duration = Duration::from_millis(500);
/// The same where a judge wants to know how the link is.
const JUDGED_TICK: Duration = Duration::from_millis(50);
/// How long a server's wish that we move is not heard after it could not be fulfilled.
const STAYS: Duration = Duration::from_secs(5);
/// How long a session with a successor may take to get rid of its last bytes.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Connection, Trouble>>>>;

/// A destination and everything it needs to make sessions.
pub(super) struct Destination {
    pub(super) settings: DestinationSettings,
    pub(super) facts: StreamFacts,
    pub(super) policy: Policy,
    pub(super) feed: Feed,
    pub(super) report: Report,
    pub(super) random: fastrand::Rng,
    /// Which link it goes over; `None` if the routing table chooses, or a pin that nobody judges.
    pub(super) routing: Option<Routing>,
    /// What the kernel says of interfaces; `None` where nobody listens to it, or it says no more.
    pub(super) links: Option<watch::Receiver<Arc<Links>>>,
    /// Where the session that was cut off had come, for the one that follows it.
    pub(super) resume: Option<Replay>,
}

impl Destination {
    pub(super) fn new(
        settings: DestinationSettings,
        facts: StreamFacts,
        policy: Policy,
        feed: Feed,
        report: Report,
        choice: Option<Choice>,
        seed: u64,
    ) -> Self {
        let links = choice.as_ref().map(|choice| choice.links.clone());
        let routing = Routing::new(&settings, choice);
        let random = fastrand::Rng::with_seed(seed);
        Self { settings, facts, policy, feed, report, random, routing, links, resume: None }
    }

    /// Runs until the other end of `commands` is dropped; the socket is then closed without a word, unless the broadcast is
    /// being ended already.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<OutputCommand>) {
        let mut tick = clock::in_step(if self.routing.is_some() { JUDGED_TICK } else { TICK });
        let mut line = Line::Idle;
        loop {
            let now = clock::now();
            line = self.follow(line, now);
            let has_route = self.routing.as_ref().is_none_or(|routing| routing.route().is_some());
            if matches!(line, Line::Idle)
                && has_route
                && let Some(attempt) = self.policy.attempt(now)
            {
                line = Line::Opening(self.open(attempt));
            }
            self.report.phase(self.policy.phase(), &self.settings.url, now);
            let retry = self.policy.poll_timeout().map(|(at, _)| at).filter(|_| has_route);
            let woken = tokio::select! {
                biased;
                woken = line.woken(&mut commands, &mut tick, retry, &mut self.report) => woken,
                aside = aside(&mut self.routing) => Woken::Aside(aside),
                told = told(&mut self.links) => Woken::Links(told),
            };
            let Some(next) = self.react(woken, line, clock::now()) else { return };
            line = next;
        }
    }

    /// `None`: nobody wants this destination any more.
    fn react(&mut self, woken: Woken, line: Line, now: Instant) -> Option<Line> {
        Some(match (woken, line) {
            // It was told to end before: that is done without it.
            (Woken::Command(None), Line::Ending(connection)) => {
                self.end_aside(connection);
                return None;
            }
            (Woken::Command(None), _) => return None,
            (Woken::Command(Some(command)), line) => self.command(command, line, now),
            (Woken::Opened(Ok(connection)), _) => {
                self.policy.published(now);
                self.publishing(connection, now)
            }
            (Woken::Opened(Err(trouble)), _) => self.failed(&trouble, now),
            (Woken::Tick, Line::Live(live)) => self.tick(live, now),
            (Woken::Session(SessionEvent::ReconnectRequested { tc_url }), Line::Live(mut live)) => {
                self.redirected(&mut live, tc_url.as_deref(), now);
                Line::Live(live)
            }
            (Woken::Session(SessionEvent::Ended(trouble)), Line::Live(live)) => self.lost(*live, &trouble, now),
            (Woken::ReplacementOpened(Ok(connection), url), Line::Live(mut live)) => {
                live.replacement = Some(Replacement::Ready(Box::new(connection), url));
                Line::Live(live)
            }
            (Woken::ReplacementOpened(Err(trouble), url), Line::Live(live)) => self.not_moved(live, &trouble, url, now),
            (Woken::ReplacementsTurn(unit), Line::Live(live)) => self.moved(*live, &unit, now),
            (Woken::Keyframe(unit), Line::Live(live)) => self.keyframe(live, &unit, now),
            (Woken::Links(Err(_)), line) => {
                self.links = None;
                line
            }
            (Woken::Links(Ok(())), Line::Live(live)) => self.look_at_address(live, now),
            (Woken::Fault(fault), line) => {
                if let Some(routing) = &mut self.routing {
                    routing.server_fault(fault, now);
                }
                line
            }
            (Woken::Aside(aside), line) => {
                self.aside(aside, now);
                line
            }
            (Woken::Session(SessionEvent::EndedCleanly | SessionEvent::Ended(_)), Line::Ending(mut connection)) => {
                self.over(&mut connection);
                self.policy.ended_cleanly();
                self.report.ended_cleanly();
                Line::Idle
            }
            // Waiting is over, or an event that changes nothing in this state.
            (
                Woken::Retry
                | Woken::Tick
                | Woken::Session(_)
                | Woken::Links(Ok(()))
                | Woken::ReplacementOpened(..)
                | Woken::ReplacementsTurn(_)
                | Woken::Keyframe(_),
                line,
            ) => line,
        })
    }

    fn command(&mut self, command: OutputCommand, mut line: Line, now: Instant) -> Line {
        match command {
            OutputCommand::Start if self.settings.enabled => {
                self.policy.start(now);
                if let Some(routing) = &mut self.routing {
                    routing.begin(now);
                }
            }
            OutputCommand::Start => {}
            OutputCommand::Stop => {
                self.resume = None;
                self.policy.stop();
                if let Some(routing) = &mut self.routing {
                    routing.end();
                }
            }
            OutputCommand::RetryNow => self.policy.retry_now(now),
            OutputCommand::NetworkReturned => self.policy.network_returned(now),
            OutputCommand::SkipAhead => {
                if let Line::Live(live) = &mut line {
                    live.skip_ahead(&mut self.report, now);
                }
            }
        }
        match (self.policy.phase(), line) {
            (Phase::Ending, Line::Live(mut live)) => {
                live.connection.session.end(live.newest, now);
                live.connection.close_when_written();
                Line::Ending(Box::new(live.connection))
            }
            // The policy has let go of this attempt.
            (Phase::Off | Phase::Waiting { .. }, Line::Opening(_)) => Line::Idle,
            (_, line) => line,
        }
    }

    pub(super) fn open(&mut self, attempt: Attempt) -> Opening {
        let (facts, ca_file, random) = (self.facts.clone(), self.settings.ca_file.clone(), self.random.fork());
        let way = self.interface().map(|link| Way { link, resolver: self.resolver(), links: self.links.clone() });
        Box::pin(async move { Connection::open(attempt, facts, ca_file.as_deref(), way, random).await })
    }

    /// Who looks names up over the interface that is chosen.
    pub(super) fn resolver(&self) -> Option<Resolver> {
        self.routing.as_ref().map(|routing| routing.resolver().clone())
    }

    /// What sessions are bound to.
    fn interface(&self) -> Option<InterfaceName> {
        let routed = self.routing.as_ref().and_then(Routing::route).map(|route| route.link.clone());
        routed.or_else(|| match &self.settings.via {
            Via::Pinned(interface) => Some(interface.clone()),
            Via::Routing | Via::Failover(_) => None,
        })
    }

    fn publishing(&mut self, mut connection: Connection, now: Instant) -> Line {
        let subscription = match self.resume.take() {
            Some(replay) => self.feed.subscribe_from(replay, Wake::EachPicture),
            None => self.feed.subscribe(Wake::EachPicture),
        };
        if let Phase::Publishing { url, .. } = self.policy.phase() {
            self.report.publishing(url, subscription.behind(), now);
        }
        let redirected = connection.redirected_early.take();
        let mut live = Box::new(Live::new(connection, subscription, self.judged(), now));
        if let Some(SessionEvent::ReconnectRequested { tc_url }) = redirected {
            self.redirected(&mut live, tc_url.as_deref(), now);
        }
        Line::Live(live)
    }

    pub(super) fn failed(&mut self, trouble: &Trouble, now: Instant) -> Line {
        let url = match self.policy.phase() {
            Phase::Attempting { url, .. } | Phase::Publishing { url, .. } => url.clone(),
            Phase::Off | Phase::Waiting { .. } | Phase::Ending => self.settings.url.clone(),
        };
        let concern = self.policy.failed(trouble.clone(), now);
        if let Some(routing) = &mut self.routing {
            routing.failed(trouble, now);
        }
        let wait = self.policy.poll_timeout().map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(now));
        self.report.failed(trouble, concern, wait, &url, now);
        Line::Idle
    }

    fn tick(&mut self, mut live: Box<Live>, now: Instant) -> Line {
        let state = live.connection.state();
        self.report.settle(now);
        live.confirmed.observe(state.unconfirmed);
        self.report.progress(state.acknowledged, live.subscription.waiting_from(live.confirmed.place()));
        live.note_place(now);
        if let Some(judged) = &live.judged {
            judged.saw(state.figures);
            // A session that gets nothing through never comes to the keyframe with which another link could begin.
            if live.subscription.is_a_group_behind()
                && let Some(routing) = &mut self.routing
            {
                routing.keyframe(now);
            }
        }
        match live.progress.observe(state.acknowledged, state.outstanding, now) {
            None => Line::Live(live),
            Some(trouble) => {
                live.connection.reset_on_close();
                self.lost(*live, &trouble, now)
            }
        }
    }

    /// A session goes on repeating itself from an address that its interface has no more, and nothing comes back to it.
    fn look_at_address(&mut self, live: Box<Live>, now: Instant) -> Line {
        let links = self.links.as_mut().map(|links| links.borrow_and_update().clone()).unwrap_or_default();
        let is_gone = |own: IpAddr| links.knowledge == Knowledge::Kernel && links.with_address(own).is_none();
        match live.connection.own_address() {
            Some(own) if !own.is_loopback() && is_gone(own) => {
                live.connection.reset_on_close();
                self.lost(*live, &Trouble::Uprooted, now)
            }
            Some(_) | None => Line::Live(live),
        }
    }

    fn lost(&mut self, live: Live, trouble: &Trouble, now: Instant) -> Line {
        // As the kernel said at the last tick: now that the connection is broken it has forgotten what was in its queue.
        let place = live.confirmed.place();
        self.lost_at(Replay::from(place), live, trouble, now)
    }

    /// The next session goes on there.
    pub(super) fn lost_at(&mut self, resume: Replay, mut live: Live, trouble: &Trouble, now: Instant) -> Line {
        self.over(&mut live.connection);
        self.resume = Some(resume);
        match live.replacement.take() {
            None => self.failed(trouble, now),
            // It went before its successor was there, which is no reason not to go where it sent us.
            Some(Replacement::Opening(opening, url)) => {
                self.policy.moving(url, now);
                Line::Opening(opening)
            }
            Some(Replacement::Ready(connection, url)) => {
                self.policy.moved(url, now);
                self.publishing(*connection, now)
            }
        }
    }

    pub(super) fn over(&mut self, connection: &mut Connection) {
        self.report.session_over(connection.take_written(), connection.state().acknowledged);
    }

    /// A broadcast that is being ended is not waited for any longer: its last words still reach the server.
    pub(super) fn end_aside(&mut self, mut connection: Box<Connection>) {
        self.over(&mut connection);
        self.report.ended_cleanly();
        leave(*connection);
    }

    fn redirected(&mut self, live: &mut Live, tc_url: Option<&str>, now: Instant) {
        // One move at a time. A server that never stops asking is not followed, nor told of, without end.
        if live.replacement.is_some() || live.stays_until.is_some_and(|until| now < until) {
            return;
        }
        match self.policy.redirected(tc_url) {
            Ok(attempt) => {
                let url = attempt.url.clone();
                self.report.note(format!("the server asks us to move to {}", shown(&url)));
                live.replacement = Some(Replacement::Opening(self.open(attempt), url));
            }
            Err(error) => {
                live.stays_until = Some(now + STAYS);
                self.report.note(format!("staying where we are: {error}"));
            }
        }
    }

    /// The new place did not take us.
    fn not_moved(&mut self, mut live: Box<Live>, trouble: &Trouble, url: RtmpUrl, now: Instant) -> Line {
        if !trouble.is_busy() {
            live.stays_until = Some(now + STAYS);
            self.report.note(format!("could not move as the server asks, staying: {}", trouble.in_words(&url)));
            return Line::Live(live);
        }
        // Old and new share one list of names: the old session has to go first.
        let Live { mut connection, confirmed, .. } = *live;
        self.over(&mut connection);
        self.resume = Some(Replay::from(confirmed.place()));
        leave(connection);
        self.policy.moving(url.clone(), now);
        let attempt = Attempt { url, name: self.policy.name() };
        Line::Opening(self.open(attempt))
    }

    /// The successor is there, and `unit` is the keyframe it begins with.
    fn moved(&mut self, mut live: Live, unit: &AccessUnit, now: Instant) -> Line {
        let Some(Replacement::Ready(successor, url)) = live.replacement.take() else {
            return Line::Live(Box::new(live));
        };
        self.over(&mut live.connection);
        self.policy.moved(url.clone(), now);
        self.report.publishing(&url, Duration::ZERO, now);
        let mut next = Live::new(*successor, live.subscription, self.judged(), now);
        next.send(unit);
        leave(live.connection);
        Line::Live(Box::new(next))
    }
}

async fn aside(routing: &mut Option<Routing>) -> Aside {
    match routing {
        Some(routing) => routing.woken().await,
        None => std::future::pending().await,
    }
}

async fn told(links: &mut Option<watch::Receiver<Arc<Links>>>) -> Result<(), watch::error::RecvError> {
    match links {
        Some(links) => links.changed().await,
        None => std::future::pending().await,
    }
}

/// Closes a session that has a successor, once what it was given is written. Where the broadcast goes on that is no
/// FCUnpublish, since both servers may share one list of names.
pub(super) fn leave(mut connection: Connection) {
    connection.close_when_written();
    tokio::task::spawn_local(timeout(LEAVE_TIMEOUT, async move {
        while !matches!(connection.next_event().await, SessionEvent::EndedCleanly | SessionEvent::Ended(_)) {}
    }));
}
