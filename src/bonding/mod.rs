//! Policies over an SRT session with several paths: which paths each packet takes, when another path takes over, and
//! which path is trusted again. The session (`srt`) is the mechanism; here it is decided.
//!
//! # Backup
//!
//! One path carries; the others rest and are measured. Two things are decided apart: to *doubt* a path, which is cheap
//! and quick, and to *leave* it, which is not.
//!
//! ```text
//!                 answers overdue, congested, unsteady, gone;
//!                    a heavier path is trusted again
//!   One(main) ───────────────────────────────────────────────► Doubt(main, spares): all of them carry,
//!       ▲  ▲                                                      │      beginning with the tail
//!       │  └──────── cleared: answers have come again ────────────┤
//!       └─────────── switched: a spare has proved itself ─────────┘
//! ```
//!
//! - A path is doubted when the first packet of which nothing was heard has made its round trip and the answer is
//!   overdue by max(25 ms, 2 × 10 ms + 4 × mean lateness). At once every other path sends what the peer may not have,
//!   and what is new; the first that is acknowledged is kept, the rest stop. If acknowledgements come back on the
//!   doubted path, it carries alone again: a false suspicion, counted, not a switch. If they do not for
//!   [`DEAD_AFTER`], it is left.
//! - A path is also doubted, and left as soon as a spare has proved itself, when it is congested: more than a quarter of
//!   the latency waits in queues, or more than 2 % were lost in the last 100 to 200 ms, or less than 90 % of what was
//!   offered for two round trips has arrived. Not if no other path is any better.
//! - A path whose link has lost its carrier is doubted at once, and left after [`NO_CARRIER_AFTER`]: a blip costs a
//!   duplicate, not a switch.
//! - Timers drive all of this, never the giving of packets.
//! - A path that was left is on probation: it has to be clean, by probes, for 10 s, doubled with each relapse up to
//!   5 min. Only a path that is through with it is returned to. Without any, all that answer carry together.
//!
//! *Anti-flap bound.* There are never more than [`MOST_SWITCHES`] switches in any 60 s. When one more would be needed,
//! all paths carry together until one is allowed again: costlier, but nothing is lost by it.
//!
//! # Broadcast
//!
//! Every packet takes every path. Each path has its own queue, pace and window, so one that fails delays nothing.
//!
//! *Invariant:* a packet is put on at least one path whenever there is one. Every decision is a [`Decision`] with the
//! numbers it was made by.

mod backup;
mod decision;
mod member;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

pub use decision::{Carrier, Congestion, Decision, Doubt, Evidence, LinkId};

use crate::srt::session::{
    AddPathError, Delivered, Duty, Event, PathId, Reason, SendError, Session, SessionConfig, Terms, Transmit,
};
use crate::srt::wire::SeqNo;
use backup::Carrying;
pub use member::Resort;
use member::{Member, Record};

/// The least time that answers may be overdue before a path is doubted.
pub const LEAST_PATIENCE: Duration = Duration::from_millis(25);
/// A doubted path without answers is left after this time, once a spare has proved itself.
pub const DEAD_AFTER: Duration = Duration::from_millis(500);
/// A path without carrier is left after this time, once a trusted spare has proved itself.
pub const NO_CARRIER_AFTER: Duration = Duration::from_millis(100);
/// A path is congested when more than this part of the latency waits in its queues.
pub const QUEUE_SHARE: u32 = 4;
/// A path is congested when it loses more than this.
pub const LOSS_PER_CENT: u64 = 2;
/// ... and at least so many packets in 100 to 200 ms, since one may be lost by chance.
pub const LOSS_LEAST: u64 = 3;
/// A path is congested when it delivers less than this.
pub const DELIVERED_PER_CENT: u64 = 90;
/// A path that is doubted more often than this within [`UNSTEADY_WITHIN`] is left for a trusted one.
pub const UNSTEADY_DOUBTS: usize = 5;
/// See [`UNSTEADY_DOUBTS`].
pub const UNSTEADY_WITHIN: Duration = Duration::from_secs(10);
/// A link that was left has to be clean for so long before it is trusted again.
pub const PROBATION: Duration = Duration::from_secs(10);
/// The longest probation: it doubles when a link fails within 5 min of its last failure.
pub const PROBATION_MOST: Duration = Duration::from_secs(300);
/// A link that has never failed is trusted after this time.
pub const PROBATION_NEW: Duration = Duration::from_secs(1);
/// Most switches in any 60 s, whatever happens.
pub const MOST_SWITCHES: usize = 10;
/// A resting path is probed every so often.
pub const PROBE_EVERY: Duration = Duration::from_millis(100);
/// A resting path to Holdfast also gets one packet in so many: 1.6 %.
pub const DUPLICATE_EVERY: u32 = 64;

/// How paths share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// One path; a second one takes over at once.
    Single,
    /// All carry everything.
    Broadcast,
    /// One carries, the others are ready.
    Backup,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BondEvent {
    /// In the session.
    Session(Event),
    /// Something was decided.
    Decided(Decision),
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BondReason {
    /// The session's.
    Session(Reason),
    /// An answer on the path that carries is overdue.
    Overdue,
    /// Paths are to be measured and judged.
    Review,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondCounters {
    /// Times that another path took over.
    pub switches: u64,
    /// Doubts, whatever came of them.
    pub doubts: u64,
    /// Of them, false suspicions.
    pub false_suspicions: u64,
    /// Packets sent again on other paths when a doubt began.
    pub tail: u64,
    /// Switches that were put off because there had been [`MOST_SWITCHES`] within a minute.
    pub put_off: u64,
}

/// Most links whose history is kept.
const MAX_LINKS: usize = 64;
/// Most decisions that wait to be taken out; the oldest go.
const MAX_WAITING: usize = 1024;
/// How often paths are judged while packets are given to the session.
const REVIEW: Duration = Duration::from_millis(10);
/// ... and while they are not.
const REVIEW_IDLE: Duration = Duration::from_millis(500);
/// No packets for so long is a pause.
const PAUSE: Duration = Duration::from_secs(2);

/// A session and the policy that says which of its paths carry. Use it as the [`Session`] it is made of: the same
/// contract, the same calls.
#[derive(Debug)]
pub struct Bond {
    session: Session,
    policy: Policy,
    members: Vec<Member>,
    records: BTreeMap<LinkId, Record>,
    carrying: Carrying,
    events: VecDeque<BondEvent>,
    counters: BondCounters,
    /// Of the last minute.
    switches: VecDeque<Instant>,
    /// Of the last ten seconds, on the main path.
    doubts: VecDeque<Instant>,
    reviewed: Instant,
    /// When everything was taken out.
    drained: Instant,
    /// Doubts that are a matter of choice are put off until then.
    calm_until: Option<Instant>,
    sent: Option<Instant>,
}

impl Bond {
    /// A bond with its first path, over `link`. The higher the weight, the rather a path carries, unless it is kept for the last
    /// ([`Self::set_resort`]).
    pub fn new(policy: Policy, config: SessionConfig, terms: &Terms, link: LinkId, weight: u16, now: Instant) -> Self {
        let session = Session::new(config, terms, now);
        let mut bond = Self {
            policy,
            members: Vec::new(),
            records: BTreeMap::new(),
            carrying: Carrying::None,
            events: VecDeque::new(),
            counters: BondCounters::default(),
            switches: VecDeque::new(),
            doubts: VecDeque::new(),
            reviewed: now,
            drained: now,
            calm_until: None,
            sent: None,
            session,
        };
        let first = bond.session.paths().next();
        if let Some(id) = first {
            // Nothing is known against it, and there is nothing else.
            bond.records.insert(link, Record::trusted(link));
            bond.join(id, link, weight, now);
        }
        bond
    }

    /// Another path, or one that comes back over the same link.
    pub fn add_path(&mut self, terms: &Terms, link: LinkId, weight: u16, now: Instant) -> Result<PathId, AddPathError> {
        let id = self.session.add_path(terms, now)?;
        self.join(id, link, weight, now);
        Ok(id)
    }

    fn join(&mut self, id: PathId, link: LinkId, weight: u16, now: Instant) {
        if self.records.len() >= MAX_LINKS && !self.records.contains_key(&link) {
            let members = &self.members;
            self.records.retain(|known, _| members.iter().any(|member| member.link == *known));
        }
        self.records.entry(link).or_insert_with(|| Record::new(link, now, PROBATION_NEW));
        self.members.push(Member::new(id, link, weight, now));
        self.joined(id, now);
    }

    /// The session: statistics, messages, what to say when a path joins.
    pub const fn session(&self) -> &Session {
        &self.session
    }

    /// The same. Its duties are the policy's business.
    pub const fn session_mut(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What was counted.
    pub const fn counters(&self) -> BondCounters {
        self.counters
    }

    /// The path that carries; None if several do, or none.
    pub fn main(&self) -> Option<PathId> {
        match &self.carrying {
            Carrying::One { main } => Some(*main),
            Carrying::Doubted(_) | Carrying::None => None,
        }
    }

    /// As [`Session::send`].
    pub fn send(&mut self, payload: Bytes, source_time: Instant, now: Instant) -> Result<SeqNo, SendError> {
        let seq = self.session.send(payload, source_time, now)?;
        let paused = self.sent.is_none_or(|sent| now.saturating_duration_since(sent) > PAUSE);
        self.sent = Some(now);
        if paused {
            self.reviewed = now;
            // Round trips and disorder are not known yet.
            self.calm_until = Some(now + backup::CALM);
        }
        if self.policy == Policy::Backup {
            self.probe_with_data();
        }
        Ok(seq)
    }

    /// As [`Session::close`].
    pub fn close(&mut self, now: Instant) {
        self.session.close(now);
    }

    /// The link under a path has lost its carrier, or has it again. Where one path carries for all, the others help at
    /// once; where all carry, they do anyway.
    pub fn set_carrier(&mut self, path: PathId, carrier: Carrier, now: Instant) {
        let Some(member) = self.members.iter_mut().find(|member| member.id == path) else { return };
        let was = std::mem::replace(&mut member.carrier, carrier);
        if was != carrier && carrier == Carrier::Lost && self.policy == Policy::Backup {
            self.without_carrier(path, now);
        }
    }

    /// Whether a path is only for when no other works. One that carries is left for any other that is trusted, without haste.
    pub fn set_resort(&mut self, path: PathId, resort: Resort) {
        let Some(member) = self.members.iter_mut().find(|member| member.id == path) else { return };
        let was = std::mem::replace(&mut member.resort, resort);
        let carries = self.carrying.paths().any(|id| id == path);
        if was != resort && !carries && self.policy == Policy::Backup {
            self.rest(path);
        }
    }

    /// As [`Session::close_path`]: a link is gone, say.
    pub fn close_path(&mut self, path: PathId, now: Instant) {
        // Whoever has proved itself since the carrier was lost takes over before, and need not do so again.
        if self.policy == Policy::Backup && self.carrier(path) == Carrier::Lost {
            self.review(now);
        }
        self.session.close_path(path, now);
        self.take_events(now);
    }

    /// As [`Session::handle_datagram`].
    pub fn handle_datagram(&mut self, path: PathId, datagram: &Bytes, now: Instant) {
        self.session.handle_datagram(path, datagram, now);
        self.take_events(now);
    }

    /// As [`Session::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.session.handle_timeout(now);
        self.take_events(now);
        if self.next_review().is_some_and(|(at, _)| at <= now) {
            self.review(now);
        }
    }

    /// As [`Session::poll_transmit`].
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        let transmit = self.session.poll_transmit(now);
        if transmit.is_none() {
            self.drained = now;
        }
        transmit
    }

    /// As [`Session::poll_deliver`].
    pub fn poll_deliver(&mut self, now: Instant) -> Option<Delivered> {
        self.session.poll_deliver(now)
    }

    /// As [`Session::poll_deliver_early`].
    pub fn poll_deliver_early(&mut self, now: Instant) -> Option<Delivered> {
        self.session.poll_deliver_early(now)
    }

    /// What happened.
    pub fn poll_event(&mut self) -> Option<BondEvent> {
        if let Some(event) = self.session.poll_event() {
            self.events.push_back(BondEvent::Session(event));
        }
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] is to be called, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, BondReason)> {
        let session = self.session.poll_timeout().map(|(at, why)| (at, BondReason::Session(why)));
        // The session's first, as it is the more telling reason at equal times.
        session.into_iter().chain(self.next_review()).min_by_key(|(at, _)| *at)
    }

    /// When paths are judged next.
    fn next_review(&self) -> Option<(Instant, BondReason)> {
        if self.policy != Policy::Backup || self.members.is_empty() || !self.session.is_open() {
            return None;
        }
        let active = self.sent.is_some_and(|sent| self.reviewed.saturating_duration_since(sent) < PAUSE);
        let review = (self.reviewed + if active { REVIEW } else { REVIEW_IDLE }, BondReason::Review);
        // What has been seen to be overdue is looked at again at the next review.
        let overdue = self.carrying.paths().filter_map(|path| member::deadline(&self.session, path));
        let overdue = overdue.filter(|at| *at > self.reviewed);
        // What is learned of a path can put its deadline into the past.
        let overdue = overdue.map(|at| (at.max(self.drained + Duration::from_micros(1)), BondReason::Overdue));
        overdue.chain([review]).min_by_key(|(at, _)| *at)
    }

    /// Takes over what the session says: paths that end concern the policy.
    fn take_events(&mut self, now: Instant) {
        while let Some(event) = self.session.poll_event() {
            let closed = match &event {
                Event::PathClosed { path, .. } => Some(*path),
                Event::PathAdded(_)
                | Event::Message { .. }
                | Event::Keys { .. }
                | Event::KeyRefused { .. }
                | Event::Closed => None,
            };
            self.push(BondEvent::Session(event));
            if let Some(path) = closed {
                self.left(path, now);
            }
        }
    }

    fn push(&mut self, event: BondEvent) {
        if self.events.len() >= MAX_WAITING {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn decide(&mut self, decision: Decision) {
        self.push(BondEvent::Decided(decision));
    }

    fn carrier(&self, id: PathId) -> Carrier {
        self.member(id).map_or(Carrier::There, |member| member.carrier)
    }

    fn member(&self, id: PathId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    /// Higher is better: trusted before others, what is not kept for the last before what is, then by weight.
    fn rank(&self, id: PathId) -> (bool, Resort, u16) {
        let (resort, weight) = self.member(id).map_or_else(Default::default, |member| (member.resort, member.weight));
        (self.is_trusted(id), resort, weight)
    }

    /// Whether a path may be switched to.
    fn is_trusted(&self, id: PathId) -> bool {
        self.member(id).and_then(|member| self.records.get(&member.link)).is_some_and(Record::is_trusted)
    }

    fn evidence(&mut self, id: PathId, now: Instant) -> Option<Evidence> {
        let view = self.session.view(id, now)?;
        let latency = self.session.send_latency();
        self.member(id).map(|member| member.evidence(&view, latency, now))
    }

    fn carry(&mut self, id: PathId) {
        self.session.set_duty(id, Duty::Carry);
    }

    /// A path that does not carry may help with repairs, if it is good and the peer takes them from any path.
    fn rest(&mut self, id: PathId) {
        let helps = self.is_trusted(id) && self.member(id).is_some_and(|member| member.resort == Resort::Any);
        let duty = if self.session.is_shared(id) && helps { Duty::Reserve } else { Duty::Rest };
        self.session.set_duty(id, duty);
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
