//! One destination's task: carries out what the policy decides.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, sleep_until, timeout};

use super::confirmed::Confirmed;
use super::connection::{BATCH_BYTES, BATCH_UNITS, Connection};
use super::report::{Lag, Report, shown};
use crate::clock;
use crate::config::{DestinationSettings, RtmpUrl};
use crate::distribute::Cursor;
use crate::model::{AccessUnit, Media, Track};
use crate::mux::flv::{StreamFacts, Taken};
use crate::output::{Feed, OutputCommand, Received, Subscription, Wake};
use crate::rtmp::policy::{Attempt, Phase, Policy, Progress};
use crate::rtmp::session::SessionEvent;
use crate::rtmp::trouble::Trouble;

/// How often the kernel is asked how a connection does, and the snapshot brought up to date.
const TICK: Duration = Duration::from_millis(500);
/// How long a session with a successor may take to get rid of its last bytes.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(2);

type Opening = Pin<Box<dyn Future<Output = Result<Connection, Trouble>>>>;

/// A destination and everything it needs to make sessions.
pub(super) struct Destination {
    settings: DestinationSettings,
    facts: StreamFacts,
    policy: Policy,
    feed: Feed,
    report: Report,
    random: fastrand::Rng,
    /// Where the session that was cut off had come, for the one that follows it.
    resume: Option<Cursor>,
}

/// What is being done about it.
enum Line {
    Idle,
    Opening(Opening),
    Live(Box<Live>),
    Ending(Box<Connection>),
}

/// A publishing session and its place in the programme.
struct Live {
    connection: Connection,
    subscription: Subscription,
    confirmed: Confirmed,
    progress: Progress,
    /// Units in the outbox.
    batch: u64,
    /// Programme time of the newest unit sent.
    newest: Media,
    replacement: Option<Replacement>,
}

/// The session the server asked us to move to.
enum Replacement {
    Opening(Opening, RtmpUrl),
    /// Accepted; takes over at the next keyframe.
    Ready(Box<Connection>, RtmpUrl),
}

/// Why the task woke.
enum Woken {
    Command(Option<OutputCommand>),
    Retry,
    Opened(Result<Connection, Trouble>),
    Tick,
    Session(SessionEvent),
    ReplacementOpened(Result<Connection, Trouble>, RtmpUrl),
    /// The keyframe with which the replacement begins.
    ReplacementsTurn(Arc<AccessUnit>),
}

impl Destination {
    pub(super) fn new(
        settings: DestinationSettings,
        facts: StreamFacts,
        policy: Policy,
        feed: Feed,
        report: Report,
        seed: u64,
    ) -> Self {
        Self { settings, facts, policy, feed, report, random: fastrand::Rng::with_seed(seed), resume: None }
    }

    /// Runs until the other end of `commands` is dropped; the socket is then closed without a word.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<OutputCommand>) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut line = Line::Idle;
        loop {
            let now = clock::now();
            if matches!(line, Line::Idle)
                && let Some(attempt) = self.policy.attempt(now)
            {
                line = Line::Opening(self.open(attempt));
            }
            self.report.phase(self.policy.phase(), &self.settings.url, now);
            let retry = self.policy.poll_timeout().map(|(at, _)| at);
            let woken = match &mut line {
                Line::Idle => idle(&mut commands, &mut tick, retry).await,
                Line::Opening(opening) => tokio::select! {
                    biased;
                    command = commands.recv() => Woken::Command(command),
                    opened = opening => Woken::Opened(opened),
                },
                Line::Live(live) => live.woken(&mut commands, &mut tick, &mut self.report).await,
                Line::Ending(connection) => tokio::select! {
                    biased;
                    command = commands.recv() => Woken::Command(command),
                    event = connection.next_event() => Woken::Session(event),
                },
            };
            let Some(next) = self.react(woken, line, clock::now()) else { return };
            line = next;
        }
    }

    /// `None`: nobody wants this destination any more.
    fn react(&mut self, woken: Woken, line: Line, now: Instant) -> Option<Line> {
        Some(match (woken, line) {
            (Woken::Command(None), _) => return None,
            (Woken::Command(Some(command)), line) => self.command(command, line, now),
            (Woken::Opened(Ok(connection)), _) => {
                self.policy.published(now);
                self.publishing(connection, now)
            }
            (Woken::Opened(Err(trouble)), _) => self.failed(&trouble, now),
            (Woken::Tick, Line::Live(live)) => self.tick(live, now),
            (Woken::Session(SessionEvent::ReconnectRequested { tc_url }), Line::Live(mut live)) => {
                self.redirected(&mut live, tc_url.as_deref());
                Line::Live(live)
            }
            (Woken::Session(SessionEvent::Ended(trouble)), Line::Live(live)) => self.lost(*live, &trouble, now),
            (Woken::ReplacementOpened(Ok(connection), url), Line::Live(mut live)) => {
                live.replacement = Some(Replacement::Ready(Box::new(connection), url));
                Line::Live(live)
            }
            (Woken::ReplacementOpened(Err(trouble), url), Line::Live(live)) => self.not_moved(live, &trouble, url, now),
            (Woken::ReplacementsTurn(unit), Line::Live(live)) => self.moved(*live, &unit, now),
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
                | Woken::ReplacementOpened(..)
                | Woken::ReplacementsTurn(_),
                line,
            ) => line,
        })
    }

    fn command(&mut self, command: OutputCommand, line: Line, now: Instant) -> Line {
        match command {
            OutputCommand::Start if self.settings.enabled => self.policy.start(now),
            OutputCommand::Start => {}
            OutputCommand::Stop => {
                self.resume = None;
                self.policy.stop();
            }
            OutputCommand::RetryNow => self.policy.retry_now(now),
            OutputCommand::NetworkReturned => self.policy.network_returned(now),
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

    fn open(&mut self, attempt: Attempt) -> Opening {
        let (facts, ca_file, random) = (self.facts.clone(), self.settings.ca_file.clone(), self.random.fork());
        let interface = self.settings.interface.clone();
        Box::pin(async move { Connection::open(attempt, facts, ca_file.as_deref(), interface.as_ref(), random).await })
    }

    fn publishing(&mut self, mut connection: Connection, now: Instant) -> Line {
        let subscription = match self.resume.take() {
            Some(place) => self.feed.subscribe_from(place, Wake::EachPicture),
            None => self.feed.subscribe(Wake::EachPicture),
        };
        if let Phase::Publishing { url, .. } = self.policy.phase() {
            self.report.publishing(url, subscription.behind(), now);
        }
        let redirected = connection.redirected_early.take();
        let mut live = Box::new(Live::new(connection, subscription, now));
        if let Some(SessionEvent::ReconnectRequested { tc_url }) = redirected {
            self.redirected(&mut live, tc_url.as_deref());
        }
        Line::Live(live)
    }

    fn failed(&mut self, trouble: &Trouble, now: Instant) -> Line {
        let url = match self.policy.phase() {
            Phase::Attempting { url, .. } | Phase::Publishing { url, .. } => url.clone(),
            Phase::Off | Phase::Waiting { .. } | Phase::Ending => self.settings.url.clone(),
        };
        let concern = self.policy.failed(trouble.clone(), now);
        let wait = self.policy.poll_timeout().map_or(Duration::ZERO, |(at, _)| at.saturating_duration_since(now));
        self.report.failed(trouble, concern, wait, &url, now);
        Line::Idle
    }

    fn tick(&mut self, mut live: Box<Live>, now: Instant) -> Line {
        let state = live.connection.state();
        self.report.settle(now);
        self.report.progress(state.acknowledged, live.subscription.behind());
        live.confirmed.observe(state.unconfirmed);
        match live.progress.observe(state.acknowledged, state.outstanding, now) {
            None => Line::Live(live),
            Some(trouble) => {
                live.connection.reset_on_close();
                self.lost(*live, &trouble, now)
            }
        }
    }

    fn lost(&mut self, mut live: Live, trouble: &Trouble, now: Instant) -> Line {
        self.over(&mut live.connection);
        // As the kernel said at the last tick: now that the connection is broken it has forgotten what was in its queue.
        self.resume = Some(live.confirmed.place());
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

    fn over(&mut self, connection: &mut Connection) {
        self.report.session_over(connection.take_written(), connection.state().acknowledged);
    }

    fn redirected(&mut self, live: &mut Live, tc_url: Option<&str>) {
        match self.policy.redirected(tc_url) {
            Ok(attempt) => {
                let url = attempt.url.clone();
                self.report.note(format!("the server asks us to move to {}", shown(&url)));
                live.replacement = Some(Replacement::Opening(self.open(attempt), url));
            }
            Err(error) => self.report.note(format!("staying where we are: {error}")),
        }
    }

    /// The new place did not take us.
    fn not_moved(&mut self, live: Box<Live>, trouble: &Trouble, url: RtmpUrl, now: Instant) -> Line {
        if !trouble.is_busy() {
            self.report.note(format!("could not move as the server asks, staying: {}", trouble.in_words(&url)));
            return Line::Live(live);
        }
        // Old and new share one list of names: the old session has to go first.
        let Live { mut connection, confirmed, .. } = *live;
        self.over(&mut connection);
        self.resume = Some(confirmed.place());
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
        let mut next = Live::new(*successor, live.subscription, now);
        next.send(unit);
        leave(live.connection);
        Line::Live(Box::new(next))
    }
}

/// Closes a session that has a successor, once what it was given is written: without FCUnpublish, since the broadcast
/// goes on and both servers may share one list of names.
fn leave(mut connection: Connection) {
    connection.close_when_written();
    tokio::task::spawn_local(timeout(LEAVE_TIMEOUT, async move {
        while !matches!(connection.next_event().await, SessionEvent::EndedCleanly | SessionEvent::Ended(_)) {}
    }));
}

async fn idle(commands: &mut mpsc::Receiver<OutputCommand>, tick: &mut Interval, retry: Option<Instant>) -> Woken {
    let Some(retry) = retry else { return Woken::Command(commands.recv().await) };
    tokio::select! {
        biased;
        command = commands.recv() => Woken::Command(command),
        () = sleep_until(retry.into()) => Woken::Retry,
        // People watch the time to the next attempt run down.
        _ = tick.tick() => Woken::Tick,
    }
}

impl Live {
    fn new(connection: Connection, subscription: Subscription, now: Instant) -> Self {
        Self {
            connection,
            confirmed: Confirmed::new(subscription.cursor()),
            subscription,
            progress: Progress::new(now),
            batch: 0,
            newest: Media::ZERO,
            replacement: None,
        }
    }

    /// Carries units to the socket until something else happens.
    async fn woken(
        &mut self,
        commands: &mut mpsc::Receiver<OutputCommand>,
        tick: &mut Interval,
        report: &mut Report,
    ) -> Woken {
        loop {
            if self.connection.is_drained() {
                self.written(report);
                if let Some(woken) = self.fill(report) {
                    return woken;
                }
            }
            if let Some(event) = self.connection.session.poll_event() {
                return Woken::Session(event);
            }
            let is_drained = self.connection.is_drained();
            tokio::select! {
                // The picture first: it is what wakes this task, and the rest has nothing to say then. A reader that is
                // behind finds its socket full before long, and then the rest has its turn.
                biased;
                received = self.subscription.next(), if is_drained => {
                    // With it goes everything that waited for it: one picture and its sound in one system call, and at
                    // once, without a round of polling the rest.
                    if let Some(woken) = self.take(received, report).or_else(|| self.fill(report)) {
                        return woken;
                    }
                    self.connection.write_now().await;
                }
                command = commands.recv() => return Woken::Command(command),
                () = self.connection.turn() => {}
                _ = tick.tick() => return Woken::Tick,
                (opened, url) = opened(&mut self.replacement) => return Woken::ReplacementOpened(opened, url),
            }
        }
    }

    /// Fills the batch with what the feed has.
    fn fill(&mut self, report: &mut Report) -> Option<Woken> {
        while self.batch < BATCH_UNITS && self.connection.session.outbox().len() < BATCH_BYTES {
            let received = self.subscription.try_next()?;
            if let Some(woken) = self.take(received, report) {
                return Some(woken);
            }
        }
        None
    }

    /// Puts what was received into the outbox, unless it is the keyframe with which the successor begins.
    fn take(&mut self, received: Received, report: &mut Report) -> Option<Woken> {
        match received {
            Received::Skipped { units } => {
                // Nothing sent yet: it is what passed since the session before this one.
                let lag = if self.newest == Media::ZERO { Lag::Away } else { Lag::Slow };
                report.lagged(units, lag, clock::now());
                self.confirmed.skipped(self.subscription.cursor());
            }
            Received::Unit(unit) => {
                let begins_group = unit.track == Track::Video && unit.key;
                if begins_group && matches!(self.replacement, Some(Replacement::Ready(..))) {
                    return Some(Woken::ReplacementsTurn(unit));
                }
                self.send(&unit);
            }
        }
        None
    }

    fn send(&mut self, unit: &AccessUnit) {
        self.newest = unit.dts;
        if self.connection.session.send(unit) == Taken::Muxed {
            self.batch += 1;
        }
    }

    fn written(&mut self, report: &Report) {
        let bytes = self.connection.take_written();
        if bytes > 0 {
            self.confirmed.wrote(bytes, self.subscription.cursor());
            report.count(std::mem::take(&mut self.batch), bytes);
        }
    }
}

/// The successor, if one is on its way.
async fn opened(replacement: &mut Option<Replacement>) -> (Result<Connection, Trouble>, RtmpUrl) {
    match replacement {
        Some(Replacement::Opening(opening, url)) => {
            let opened = opening.await;
            let url = url.clone();
            *replacement = None;
            (opened, url)
        }
        Some(Replacement::Ready(..)) | None => std::future::pending().await,
    }
}
