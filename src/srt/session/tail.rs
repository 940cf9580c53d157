//! The end of what was sent: nothing behind it shows the peer that it is missing, so nobody asks for it.
//!
//! A receiver finds a gap by what comes after it. When the newest packet has left and nothing was heard of it for
//! RTT + 4 RTTVar and three acknowledgement intervals, whatever the peer has not shown that it knows of is sent again
//! unasked, and so on each time that this time passes, while it can still be of use. While newer packets leave the timer
//! starts anew: they show the gap, and a path that stands still is not filled with copies. libsrt has it for peers that ask
//! only once (`checkRexmitTimer`); there a packet that was asked for is sent again by the same rule.

use super::Session;
use super::inbound::ACK_INTERVAL;
use super::path::{Duty, Path, PeerKind, QUIET};
use super::ring::Position;
use super::time::{MS, Micros};
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::SrtFlags;

/// An acknowledgement may be late by its interval, by that of the one before it, and be lost once.
const ACKS_WAITED: Micros = 3 * ACK_INTERVAL;
/// The most that a path's unpunctuality is allowed for.
const MOST_LATENESS: Micros = 80 * MS;

/// How long acknowledgements that are expected may stay away. Longer than the patience of any policy, so that those who
/// know of other paths act first.
fn grace(path: &Path) -> Micros {
    ACKS_WAITED + (4 * path.lateness).min(MOST_LATENESS)
}

/// How long after it left a packet is taken for lost.
fn patience(path: &Path) -> Micros {
    path.rtt.overdue() + grace(path)
}

impl Session {
    /// When the end of what was sent is sent again, unless something is heard of it before.
    pub(super) fn tail_due(&self) -> Option<Micros> {
        if planted(Bug::ForgetsTheEnd) || self.paths.iter().all(|path| path.duty == Duty::Rest) {
            return None;
        }
        let at = self.awaited()?;
        self.outgoing.buffer.get(at).filter(|slot| !slot.waiting && !slot.delivered)?;
        let (mut due, base) = (self.last_left(at)?, self.outgoing.buffer.base());
        for path in &self.paths {
            if path.is_unblocked(base) && path.flight.is_queued(at) {
                return None;
            }
            due = due.max(path.progress + grace(path));
            // Acknowledgements stop at a hole until it is filled.
            let hole = path.flight.record(self.outgoing.buffer.delivered()).filter(|hole| hole.reported);
            if let Some(hole) = hole.filter(|_| !path.wants_reports()) {
                due = due.max(hole.sent + patience(path));
            }
            due = due.max(self.outgoing.reminded + grace(path));
        }
        // What is learned of a path can put it into the past.
        Some(due.max(self.outgoing.drained + 1))
    }

    /// Sends again what is taken for lost.
    pub(super) fn send_tail_again(&mut self, now: Micros) {
        self.outgoing.reminded = now;
        let Some(newest) = self.newest_left() else { return };
        let first = self.outgoing.buffer.delivered().max(newest.saturating_sub(super::MAX_SEARCH));
        for at in first..=newest {
            if !self.is_lost_unheard(at, now) {
                continue;
            }
            let waits = |session: &Self| session.outgoing.buffer.get(at).is_some_and(|slot| slot.waiting);
            match self.paths.first().map(|path| path.kind) {
                Some(PeerKind::Shared) => self.send_again_where_best(at, now),
                Some(PeerKind::PerPath { .. }) => self.send_again_where_sent(at, now),
                None => {}
            }
            self.counters.unasked += u64::from(waits(self));
        }
    }

    /// The packet that the timer waits for: the newest, since it would show any gap before it; of a peer that asks only
    /// once, the first that it does not have.
    fn awaited(&self) -> Option<Position> {
        if self.asks_again() {
            self.newest_left().filter(|at| self.is_unheard(*at))
        } else {
            Some(self.outgoing.buffer.delivered())
        }
    }

    /// Whether the peer repeats what it asks for.
    fn asks_again(&self) -> bool {
        self.paths.iter().all(|path| path.flags.has(SrtFlags::NAK_REPORT))
    }

    fn newest_left(&self) -> Option<Position> {
        self.paths.iter().map(|path| path.flight.next).max()?.checked_sub(1)
    }

    /// When it is taken for lost on all paths that it left on; None if it has not left.
    fn last_left(&self, at: Position) -> Option<Micros> {
        let of = |path: &Path| path.flight.record(at).map(|record| record.sent + patience(path));
        self.paths.iter().filter_map(of).max()
    }

    /// Whether the peer has not shown that it has it or knows that it lacks it.
    fn is_unheard(&self, at: Position) -> bool {
        at >= self.outgoing.known
            && !self.paths.iter().any(|path| {
                let passed = path.kind != PeerKind::Shared && path.seen > at;
                path.flight.record(at).is_some_and(|record| record.reported || passed)
            })
    }

    fn is_lost_unheard(&self, at: Position, now: Micros) -> bool {
        let there = self.outgoing.buffer.get(at).is_some_and(|slot| !slot.delivered && !slot.waiting);
        if !there || self.last_left(at).is_none_or(|due| due > now) {
            return false;
        }
        if self.asks_again() {
            return self.is_unheard(at);
        }
        // Behind a hole nothing can be acknowledged, so only what is known to be lost is.
        let first = self.outgoing.buffer.delivered();
        let reported = |path: &Path| path.flight.record(at).is_some_and(|record| record.reported);
        at == first || self.paths.iter().any(reported) || (self.is_unheard(first) && self.is_unheard(at))
    }

    /// To a peer with a buffer for each path: over one that carries it.
    fn send_again_where_sent(&mut self, at: Position, now: Micros) {
        let carries = |path: &Path| path.duty != Duty::Rest && path.flight.record(at).is_some();
        let candidates = self.paths.iter().enumerate().filter(|(_, path)| carries(path));
        let best = candidates.min_by_key(|(_, path)| (now - path.heard > QUIET, path.arrival(now)));
        if let Some(index) = best.map(|(index, _)| index) {
            self.send_again(index, at);
        }
    }
}
