//! A publishing session and its place in the programme, and what a destination waits for.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, sleep_until};

use super::confirmed::Confirmed;
use super::connection::{BATCH_BYTES, BATCH_UNITS, Connection};
use super::destination::Opening;
use super::report::{Lag, Report};
use super::routing::Aside;
use crate::clock;
use crate::config::RtmpUrl;
use crate::distribute::{Cursor, Replay};
use crate::link::JudgedSession;
use crate::link::health::ServerFault;
use crate::model::{AccessUnit, Media, Track};
use crate::mux::flv::Taken;
use crate::output::{OutputCommand, Received, Subscription};
use crate::rtmp::policy::Progress;
use crate::rtmp::session::SessionEvent;
use crate::rtmp::trouble::Trouble;

/// Seconds of which a session remembers where it was: about as long as a server's kernel takes in what nobody reads.
const TRAIL: usize = 11;

/// What is being done about it.
pub(super) enum Line {
    Idle,
    Opening(Opening),
    Live(Box<Live>),
    Ending(Box<Connection>),
}

/// A publishing session and its place in the programme.
pub(super) struct Live {
    pub(super) connection: Connection,
    pub(super) subscription: Subscription,
    pub(super) confirmed: Confirmed,
    pub(super) progress: Progress,
    /// Where it was at each of the last [`TRAIL`] seconds, oldest first, and when that was last noted.
    trail: VecDeque<Cursor>,
    noted: Instant,
    /// For the judge of its link.
    pub(super) judged: Option<JudgedSession>,
    /// Units in the outbox.
    pub(super) batch: u64,
    /// Programme time of the newest unit sent.
    pub(super) newest: Media,
    pub(super) replacement: Option<Replacement>,
    /// Until when it is not moved, whatever its server asks: where it was sent last, nobody took it.
    pub(super) stays_until: Option<Instant>,
    /// What it did while it carried beside another.
    beside: Beside,
}

/// What nobody has counted yet.
#[derive(Default)]
struct Beside {
    units: u64,
    bytes: u64,
    left_out: u64,
}

/// The session the server asked us to move to.
pub(super) enum Replacement {
    Opening(Opening, RtmpUrl),
    /// Accepted; takes over at the next keyframe.
    Ready(Box<Connection>, RtmpUrl),
}

/// Why the task woke.
pub(super) enum Woken {
    Command(Option<OutputCommand>),
    Retry,
    Opened(Result<Connection, Trouble>),
    Tick,
    Session(SessionEvent),
    ReplacementOpened(Result<Connection, Trouble>, RtmpUrl),
    /// The keyframe with which the replacement begins.
    ReplacementsTurn(Arc<AccessUnit>),
    /// A keyframe comes next, with which another link could begin.
    Keyframe(Arc<AccessUnit>),
    /// The server is silent, and its link is not.
    Fault(ServerFault),
    /// Something beside the publishing session.
    Aside(Aside),
    /// Interfaces are other than they were, or nobody tells any more.
    Links(Result<(), watch::error::RecvError>),
}

impl Line {
    /// Carries on until something happens. Cancel-safe.
    pub(super) async fn woken(
        &mut self,
        commands: &mut mpsc::Receiver<OutputCommand>,
        tick: &mut Interval,
        retry: Option<Instant>,
        report: &mut Report,
    ) -> Woken {
        match self {
            Self::Idle => idle(commands, tick, retry).await,
            Self::Opening(opening) => tokio::select! {
                biased;
                command = commands.recv() => Woken::Command(command),
                opened = opening => Woken::Opened(opened),
            },
            Self::Live(live) => live.woken(commands, tick, report).await,
            Self::Ending(connection) => tokio::select! {
                biased;
                command = commands.recv() => Woken::Command(command),
                event = connection.next_event() => Woken::Session(event),
            },
        }
    }
}

impl Live {
    pub(super) fn new(
        connection: Connection,
        subscription: Subscription,
        judged: Option<JudgedSession>,
        now: Instant,
    ) -> Self {
        Self {
            connection,
            confirmed: Confirmed::new(subscription.cursor()),
            subscription,
            trail: VecDeque::with_capacity(TRAIL),
            noted: now,
            judged,
            progress: Progress::new(now),
            batch: 0,
            newest: Media::ZERO,
            replacement: None,
            stays_until: None,
            beside: Beside::default(),
        }
    }

    /// Time has passed.
    pub(super) fn note_place(&mut self, now: Instant) {
        if now.saturating_duration_since(self.noted) < Duration::from_secs(1) {
            return;
        }
        self.noted = now;
        if self.trail.len() >= TRAIL {
            self.trail.pop_front();
        }
        self.trail.push_back(self.subscription.cursor());
    }

    /// From where on a server is to be sent everything again that may have read nothing for a while: its kernel confirms
    /// until its buffer is full, which says nothing about the server. As the kernel here says if the way is to blame.
    pub(super) fn unread_since(&mut self) -> Replay {
        let state = self.connection.state();
        self.confirmed.observe(state.unconfirmed);
        let unread = state.figures.is_shut_out();
        let place = self.confirmed.place();
        Replay::wishing(self.trail.front().filter(|_| unread).copied().unwrap_or(place), place)
    }

    /// Leaves out what cannot get through in time.
    pub(super) fn skip_ahead(&mut self, report: &mut Report, now: Instant) {
        let units = self.subscription.skip_ahead();
        if units > 0 {
            report.lagged(units, Lag::BelowFloor, now);
            self.confirmed.skipped(self.subscription.cursor());
        }
    }

    /// Carries units to the socket until something else happens.
    pub(super) async fn woken(
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
                fault = fault(&mut self.judged) => return Woken::Fault(fault),
                (opened, url) = opened(&mut self.replacement) => return Woken::ReplacementOpened(opened, url),
            }
        }
    }

    /// Carries the programme beside another session, until the connection ends. Cancel-safe.
    pub(super) async fn carry(&mut self) -> Trouble {
        loop {
            if self.connection.is_drained() {
                let bytes = self.connection.take_written();
                if bytes > 0 {
                    self.confirmed.wrote(bytes, self.subscription.cursor());
                    self.beside.bytes += bytes;
                    self.beside.units += std::mem::take(&mut self.batch);
                }
                while self.batch_has_room()
                    && let Some(received) = self.subscription.try_next()
                {
                    self.take_aside(received);
                }
            }
            // What else it may say is for when it is the only one.
            while let Some(event) = self.connection.session.poll_event() {
                if let SessionEvent::Ended(trouble) = event {
                    return trouble;
                }
            }
            let is_drained = self.connection.is_drained();
            tokio::select! {
                biased;
                received = self.subscription.next(), if is_drained => self.take_aside(received),
                () = self.connection.turn() => {}
            }
        }
    }

    fn take_aside(&mut self, received: Received) {
        match received {
            Received::Unit(unit) => self.send(&unit),
            Received::Skipped { units } => {
                self.beside.left_out += units;
                self.confirmed.skipped(self.subscription.cursor());
            }
        }
    }

    /// It is the one that publishes from here on.
    pub(super) fn comes_forward(&mut self, report: &mut Report, judged: Option<JudgedSession>, now: Instant) {
        (self.judged, self.noted, self.progress) = (judged, now, Progress::new(now));
        let Beside { units, bytes, left_out } = std::mem::take(&mut self.beside);
        report.count(units, bytes);
        if left_out > 0 {
            report.lagged(left_out, Lag::Away, now);
        }
    }

    /// It carries no more: what is left of it is the end of its stream.
    pub(super) fn stands_down(mut self, report: &Report, now: Instant) -> Connection {
        report.count(self.beside.units, self.beside.bytes + self.connection.take_written());
        self.connection.session.end(self.newest, now);
        self.connection
    }

    fn batch_has_room(&mut self) -> bool {
        self.connection.session.outbox().len() < BATCH_BYTES && self.batch < BATCH_UNITS
    }

    /// Fills the batch with what the feed has.
    fn fill(&mut self, report: &mut Report) -> Option<Woken> {
        while self.batch_has_room() {
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
                if begins_group && self.judged.is_some() {
                    return Some(Woken::Keyframe(unit));
                }
                self.send(&unit);
            }
        }
        None
    }

    pub(super) fn send(&mut self, unit: &AccessUnit) {
        self.newest = unit.dts;
        if self.connection.session.send(unit) == Taken::Muxed {
            self.batch += 1;
        }
    }

    pub(super) fn written(&mut self, report: &Report) {
        let bytes = self.connection.take_written();
        if bytes > 0 {
            self.confirmed.wrote(bytes, self.subscription.cursor());
            report.count(std::mem::take(&mut self.batch), bytes);
        }
    }
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

async fn fault(judged: &mut Option<JudgedSession>) -> ServerFault {
    match judged {
        Some(judged) => judged.fault().await,
        None => std::future::pending().await,
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
