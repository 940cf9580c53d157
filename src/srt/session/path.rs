//! One path of a session.

use std::time::Instant;

use super::config::{Terms, feature};
use super::delay::QueueDelay;
use super::event::PathId;
use super::flight::{Flight, Record};
use super::inbound::{ACK_INTERVAL, Inbound, REPORT_INTERVAL};
use super::keys::PathKeys;
use super::rate::RateMeter;
use super::report::PathReport;
use super::ring::Position;
use super::rtt::Rtt;
use super::stats::PathCounters;
use super::time::{MS, Micros, micros};
use super::tsbpd::DriftTracer;
use crate::srt::wire::{SocketId, SrtFlags};

/// What a path is used for. The policies of `bonding` decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Every new packet, and retransmissions.
    Carry,
    /// Retransmissions only.
    Reserve,
    /// Nothing but keepalives, probes and what is asked for explicitly.
    Rest,
}

/// How the peer keeps what it receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerKind {
    /// One buffer for all paths, so an acknowledgement or a NAK on any of them speaks for all: Holdfast.
    Shared,
    /// A buffer for each path, which has to be filled by its own path: libsrt. `patient`: from 1.5.4 on it does not
    /// count a packet as lost that one path declines and another brings.
    PerPath { patient: bool },
}

/// A path whose peer has said nothing for so long is the last to be asked and the last to repair.
pub(super) const QUIET: Micros = 300 * MS;
/// libsrt from which [`PeerKind::PerPath`] is patient.
const PATIENT: u32 = 0x01_05_04;

/// Losses counted of one report at most: one that claims more is wrong, or so late that it does not matter.
const MOST_AT_ONCE: u64 = 10_000;

#[derive(Debug)]
pub(super) struct Path {
    pub(super) id: PathId,
    pub(super) local: SocketId,
    pub(super) peer: SocketId,
    pub(super) kind: PeerKind,
    pub(super) flags: SrtFlags,
    /// What of ours the peer understands.
    features: u32,
    pub(super) duty: Duty,
    pub(super) rtt: Rtt,
    pub(super) flight: Flight,
    pub(super) inbound: Inbound,
    /// When something last came from the peer.
    pub(super) heard: Micros,
    /// When something last left.
    pub(super) said: Micros,
    /// When the round-trip time was last measured here.
    pub(super) measured: Micros,
    /// From leaving to acknowledgement.
    pub(super) ack_delay: QueueDelay,
    /// When the peer was last seen to have got data that it did not have before.
    pub(super) progress: Micros,
    /// By how much such moments are late, on average.
    pub(super) lateness: Micros,
    /// The peer is known to have got something on this path that comes after everything before this.
    pub(super) seen: Position,
    /// The last private report and when it came.
    pub(super) report: Option<(PathReport, Micros)>,
    /// Packets that arrived and packets that the path skipped, by the peer's reports, wraps counted.
    pub(super) reported: (u64, u64),
    /// The most packets that were ever reported as skipped.
    most_missing: u64,
    /// Leaving, retransmissions included.
    pub(super) sent_rate: RateMeter,
    /// Reported lost.
    pub(super) lost_rate: RateMeter,
    /// What the peer says arrives, bytes/s.
    pub(super) peer_rate: u32,
    pub(super) counters: PathCounters,
    /// None in clear.
    pub(super) keys: Option<PathKeys>,
    pub(super) added: Instant,
}

impl Path {
    pub(super) fn new(
        id: PathId,
        terms: &Terms,
        isn: Position,
        first: bool,
        longest: usize,
        at: (Micros, Instant),
    ) -> Self {
        let features = terms.holdfast.unwrap_or(0);
        let kind = if terms.holdfast.is_some() || terms.group.is_none() {
            PeerKind::Shared
        } else {
            PeerKind::PerPath { patient: terms.peer_version >= PATIENT }
        };
        let (now, added) = at;
        let drift = if first { DriftTracer::first() } else { DriftTracer::later() };
        let mut rtt = Rtt::default();
        if let Some(measured) = terms.rtt {
            rtt.sample(micros(measured));
        }
        Self {
            id,
            local: terms.local,
            peer: terms.peer,
            kind,
            flags: terms.peer_flags,
            features,
            duty: if first { Duty::Carry } else { Duty::Rest },
            rtt,
            flight: Flight::new(isn, longest, u64::from(terms.flow_window.max(1))),
            inbound: Inbound::new(isn, drift, now),
            heard: now,
            said: now,
            measured: Micros::MIN / 2,
            ack_delay: QueueDelay::new(),
            progress: now,
            lateness: 0,
            seen: isn,
            report: None,
            reported: (0, 0),
            most_missing: 0,
            sent_rate: RateMeter::new(),
            lost_rate: RateMeter::new(),
            peer_rate: 0,
            counters: PathCounters::default(),
            keys: None,
            added,
        }
    }

    /// Whether the peer understands our private messages of this kind.
    pub(super) const fn understands(&self, feature: u32) -> bool {
        self.features & feature != 0
    }

    /// Whether it is to be told what it brings.
    pub(super) const fn wants_reports(&self) -> bool {
        self.understands(feature::PATH_REPORT)
    }

    /// Takes the peer's report; whether something has arrived since the last.
    pub(super) fn take_report(&mut self, report: PathReport, base: Position, now: Micros) -> bool {
        let next = report.next.extend(self.flight.acked);
        let progressed = next <= self.flight.next && next > self.seen;
        if progressed {
            self.progressed(next, base, now);
        }
        // A packet that was only late makes the number of missing ones smaller again.
        let follow = |before: u64, wire: u32| {
            before.saturating_add_signed(i64::from(wire.wrapping_sub(before as u32).cast_signed()))
        };
        let (arrived, missing) = self.reported;
        let (arrived, skipped) = (follow(arrived, report.received), follow(missing, report.missing));
        // Packets on their way in disorder go up and down in the count; only what is more than ever before is lost.
        for _ in 0..skipped.saturating_sub(self.most_missing).min(MOST_AT_ONCE) {
            self.lost_rate.add(now, 0);
        }
        self.most_missing = self.most_missing.max(skipped);
        self.reported = (arrived, skipped);
        self.report = Some((report, now));
        progressed
    }

    /// The peer has got something that comes after everything before `seen`.
    pub(super) fn progressed(&mut self, seen: Position, base: Position, now: Micros) {
        if let Some(expected) = self.answer_expected(base) {
            let late = (now - expected - ACK_INTERVAL).max(0);
            self.lateness += (late - self.lateness) / 16;
        }
        self.seen = self.seen.max(seen);
        self.progress = now;
    }

    /// The first position in flight here of which nothing has been heard; what lies before `base` is given up.
    fn first_unheard(&self, base: Position) -> Option<Position> {
        let flight = &self.flight;
        let oldest = flight.next.saturating_sub(super::MAX_SEARCH).max(base);
        let from = flight.acked.max(self.seen).max(oldest);
        (from..flight.next).find(|at| flight.record(*at).is_some())
    }

    /// The packet that holds acknowledgements up. Reports tell of what comes behind it.
    fn hole(&self) -> Option<&Record> {
        let first = self.flight.record(self.flight.acked)?;
        (first.reported && !self.wants_reports()).then_some(first)
    }

    /// Whether acknowledgements are held up by a packet that is being sent again.
    pub(super) fn is_held_up(&self) -> bool {
        self.hole().is_some()
    }

    /// When the peer should have acknowledged more, if everything goes well and not counting its own 10 ms: the first
    /// packet of which nothing was heard has made its round trip. None when nothing is on its way.
    pub(super) fn answer_expected(&self, base: Position) -> Option<Micros> {
        let first = self.first_unheard(base)?;
        let mut sent = self.flight.record(first)?.awaited;
        // Acknowledgements stop at a hole until it is filled, whatever arrives behind it. But if it is not filled by the
        // first attempt, the path may be one by now.
        if let Some(hole) = self.hole().filter(|hole| hole.times <= 2) {
            sent = sent.max(hole.sent);
        }
        Some((sent + self.rtt.smoothed()).max(self.progress))
    }

    /// Whether a packet that waits could leave but for the pace.
    pub(super) fn is_unblocked(&self, base: Position) -> bool {
        let flight = &self.flight;
        !flight.resend.is_empty()
            || flight.has_room(base)
            || flight.queue.front().is_some_and(|queued| queued.at < flight.next)
    }

    /// How long something that is queued now will take to arrive, up to a constant that all paths share.
    pub(super) fn arrival(&self, now: Micros) -> Micros {
        // Retransmissions take turns with what is queued, so the queue itself matters little.
        let waits = (self.flight.pacer.opens() - now).max(0);
        waits + self.queue_delay(now).unwrap_or(0) + self.rtt.smoothed() / 2
    }

    /// Waiting in queues on the way to the peer. How long acknowledgements take tells it, with the way back in it; the
    /// peer reports it, with what waited here in it. The smaller of the two is the better one.
    pub(super) fn queue_delay(&self, now: Micros) -> Option<Micros> {
        let fresh = |(report, at): (PathReport, Micros)| {
            (now - at < 5 * REPORT_INTERVAL).then_some(Micros::from(report.waiting_us))
        };
        let reported = self.report.and_then(fresh);
        reported.into_iter().chain(self.ack_delay.waiting(now)).min()
    }
}
