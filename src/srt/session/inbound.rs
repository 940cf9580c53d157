//! What one path brings, and when that is acknowledged.

use super::delay::QueueDelay;
use super::journal::Journal;
use super::rate::RateMeter;
use super::ring::Position;
use super::time::{MS, Micros};
use super::tsbpd::DriftTracer;
use crate::srt::planted::{Bug, planted};

/// Time between full acknowledgements (draft §4.8.1).
pub(super) const ACK_INTERVAL: Micros = 10 * MS;
/// Packets after which a light one is sent in between (draft §4.8.1).
pub(super) const LIGHT_ACK_EVERY: u32 = 64;
/// Time between the private reports of a path.
pub(super) const REPORT_INTERVAL: Micros = 20 * MS;
/// Ranges remembered that a path has skipped.
const SKIPS: usize = 8;
/// Ranges remembered that the peer will not send on this path.
const DECLINED: usize = 4;

/// The receiver's side of a path.
#[derive(Debug)]
pub(super) struct Inbound {
    /// One past the newest that this path has brought, or declined to bring.
    pub(super) next: Position,
    /// When an acknowledgement is to be looked at.
    pub(super) ack_due: Option<Micros>,
    /// The last full acknowledgement and when it was sent.
    pub(super) acked: (Position, Micros),
    /// The last light one.
    pub(super) acked_lightly: Position,
    /// What the peer is known to know.
    pub(super) ack_acked: Position,
    /// An acknowledgement is to be sent although it says nothing new but how much room there is.
    pub(super) insist: bool,
    /// Packets since the last acknowledgement of either kind.
    pub(super) since_ack: u32,
    /// When a private report is due.
    pub(super) report_due: Option<Micros>,
    pub(super) journal: Journal,
    /// Arrivals, duplicates included.
    pub(super) rate: RateMeter,
    /// How long the way is: timestamps against arrivals.
    pub(super) way: QueueDelay,
    pub(super) drift: DriftTracer,
    /// How much later than a packet behind it a packet may come: what comes in disorder is waited for so long.
    pub(super) disorder: Micros,
    /// What was skipped lately, and when: a burst that arrives in disorder skips several times.
    skips: [(Position, Position, Micros); SKIPS],
    skips_next: usize,
    declined: [(Position, Position); DECLINED],
    declined_next: usize,
}

impl Inbound {
    pub(super) fn new(first: Position, drift: DriftTracer, now: Micros) -> Self {
        Self {
            next: first,
            ack_due: None,
            acked: (first, now - ACK_INTERVAL),
            acked_lightly: first,
            ack_acked: first,
            insist: false,
            since_ack: 0,
            report_due: None,
            journal: Journal::new(),
            rate: RateMeter::new(),
            way: QueueDelay::new(),
            drift,
            disorder: 0,
            skips: [(1, 0, 0); SKIPS],
            skips_next: 0,
            // Ranges that contain nothing.
            declined: [(1, 0); DECLINED],
            declined_next: 0,
        }
    }

    /// The peer will not send `first..=last` on this path. Returns how many more it has sent before and this path has
    /// lost; less than none if what comes after has overtaken this, since these were taken for lost then.
    pub(super) fn decline(&mut self, first: Position, last: Position) -> i64 {
        let overtaken =
            if self.has_declined(first, last) { 0 } else { (last + 1).min(self.next).saturating_sub(first) };
        self.declined[self.declined_next % DECLINED] = (first, last);
        self.declined_next += 1;
        let lost = first.saturating_sub(self.next);
        self.next = self.next.max(last + 1);
        lost.cast_signed() - overtaken.cast_signed()
    }

    /// What lies between the newest and `at`, which has come, was skipped.
    pub(super) fn skip_to(&mut self, at: Position, now: Micros) {
        if at > self.next {
            self.skips[self.skips_next % SKIPS] = (self.next, at - 1, now);
            self.skips_next += 1;
        }
    }

    /// Whether a packet is one of those that were skipped less than half a round trip ago.
    pub(super) fn has_just_skipped(&self, at: Position, rtt: Micros, now: Micros) -> bool {
        self.skips.iter().any(|(first, last, when)| *first <= at && at <= *last && now - when < rtt / 2)
    }

    /// Whether it has said so of all of `first..=last`.
    pub(super) fn has_declined(&self, first: Position, last: Position) -> bool {
        self.declined.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    /// A packet came by itself, `late` after the one behind it. Without such packets the allowance for them fades.
    pub(super) fn overtaken(&mut self, late: Micros) {
        self.disorder = self.disorder.max(late + late / 4);
    }

    /// A packet came in order.
    pub(super) const fn in_order(&mut self) {
        self.disorder -= self.disorder / 2048;
    }

    /// Something may have to be acknowledged: not before an interval has passed since the last time.
    pub(super) fn arm_ack(&mut self, now: Micros) {
        let due = now.max(self.acked.1 + ACK_INTERVAL);
        self.ack_due = Some(self.ack_due.map_or(due, |armed| armed.min(due)));
    }

    /// What a full acknowledgement would say now, if one is to be sent. `up_to` is what the session has, of which this
    /// path can only acknowledge what it has seen: libsrt takes anything else for an attack.
    pub(super) fn full_ack(&mut self, up_to: Position, overdue: Micros, now: Micros) -> Option<Position> {
        self.ack_due = None;
        let up_to = up_to.min(self.next);
        let insists = std::mem::take(&mut self.insist);
        if up_to <= self.ack_acked && !insists {
            return None;
        }
        if up_to <= self.acked.0 && !insists && now - self.acked.1 < overdue {
            // Said already; if no answer comes, it is said again.
            self.ack_due = Some(self.acked.1 + overdue);
            return None;
        }
        if planted(Bug::StaysDue) {
            self.ack_due = Some(now);
            return Some(up_to);
        }
        self.acked = (up_to, now);
        self.acked_lightly = up_to;
        self.since_ack = 0;
        self.ack_due = Some(now + overdue.max(ACK_INTERVAL));
        Some(up_to)
    }

    /// The same for a light acknowledgement.
    pub(super) fn light_ack(&mut self, up_to: Position) -> Option<Position> {
        if self.since_ack < LIGHT_ACK_EVERY {
            return None;
        }
        self.since_ack = 0;
        let up_to = up_to.min(self.next);
        if up_to <= self.acked_lightly {
            return None;
        }
        self.acked_lightly = up_to;
        Some(up_to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound() -> Inbound {
        Inbound::new(100, DriftTracer::first(), 0)
    }

    #[test]
    fn acknowledgements_keep_their_distance_and_are_repeated_until_answered() {
        let mut inbound = inbound();
        inbound.next = 105;
        inbound.arm_ack(7);
        assert_eq!(inbound.ack_due, Some(7), "the first comes at once");
        assert_eq!(inbound.full_ack(103, 30 * MS, 7), Some(103));
        inbound.arm_ack(8);
        assert_eq!(inbound.ack_due, Some(7 + ACK_INTERVAL));
        assert_eq!(inbound.full_ack(103, 30 * MS, 7 + ACK_INTERVAL), None);
        assert_eq!(inbound.ack_due, Some(7 + 30 * MS));
        assert_eq!(inbound.full_ack(103, 30 * MS, 7 + 30 * MS), Some(103), "unanswered");
        inbound.ack_acked = 103;
        assert_eq!(inbound.full_ack(103, 30 * MS, 90 * MS), None);
        assert_eq!(inbound.ack_due, None, "answered");
    }

    #[test]
    fn a_path_acknowledges_nothing_beyond_what_it_has_seen() {
        let mut inbound = inbound();
        inbound.next = 105;
        assert_eq!(inbound.full_ack(200, MS, 0), Some(105));
        inbound.decline(105, 149);
        assert_eq!(inbound.full_ack(200, MS, 20 * MS), Some(150));
        assert!(inbound.has_declined(110, 120) && !inbound.has_declined(110, 150));
    }

    #[test]
    fn a_fast_path_gets_light_ones_in_between() {
        let mut inbound = inbound();
        inbound.next = 164;
        inbound.since_ack = 63;
        assert_eq!(inbound.light_ack(164), None);
        inbound.since_ack = 64;
        assert_eq!(inbound.light_ack(164), Some(164));
        inbound.since_ack = 64;
        assert_eq!(inbound.light_ack(164), None, "nothing new");
    }
}
