//! What the peer acknowledges and asks for, and what is sent again.

use super::path::{Duty, PeerKind, QUIET};
use super::ring::Position;
use super::time::{MS, Micros, SECOND, micros};
use super::{DROP_MARGIN, Session};
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::{Ack, Control, LossList};

/// Drop requests that answer one NAK at most; it will be repeated.
const MAX_REFUSALS: usize = 16;
/// A round trip that has not been measured, as far as sending again goes.
const LEAST_RTT: Micros = 20 * MS;
/// A packet that has less than this part of a round trip to spare is sent again on two paths, in halves.
const HASTE: Micros = 3;

impl Session {
    pub(super) fn on_ack(&mut self, index: usize, ack: &Ack, now: Micros) {
        let path = &mut self.paths[index];
        path.counters.acks_received += 1;
        let up_to = ack.up_to.extend(path.flight.acked);
        if up_to > path.flight.next {
            // Acknowledges what was not sent.
            path.counters.refused += 1;
            return;
        }
        if let Some(report) = ack.report {
            // What was measured here is better than what the peer measured, if it is fresh.
            if now - path.measured > SECOND {
                path.rtt.reported(i64::from(report.rtt_us), i64::from(report.rtt_variance_us));
            }
            if up_to >= path.flight.acked {
                path.flight.window = u64::from(report.free_buffer);
            }
            if let Some(rates) = report.rates {
                path.peer_rate = rates.bytes_per_second.unwrap_or(0);
            }
            self.say(index, Control::AckAck { number: ack.number }, now);
        }
        let path = &mut self.paths[index];
        let from = path.flight.acked;
        if up_to <= from {
            return;
        }
        if let Some(record) = path.flight.record(up_to - 1).filter(|record| record.times == 1) {
            path.ack_delay.sample(now, now - record.sent);
        }
        path.progressed(up_to, self.outgoing.buffer.base(), now);
        path.flight.acked = up_to;
        if path.kind == PeerKind::Shared {
            self.outgoing.known = self.outgoing.known.max(up_to);
        }
        for at in from.max(self.outgoing.buffer.base())..up_to {
            let here = path.flight.record(at).is_some();
            path.counters.acknowledged += u64::from(here);
            // A libsrt member acknowledges what it was told not to wait for.
            if (here || path.kind == PeerKind::Shared) && self.outgoing.buffer.mark_delivered(at) {
                self.counters.acknowledged += 1;
            }
        }
        self.release();
        self.finish(now);
    }

    /// Takes out of the send buffer what nobody will ask for.
    fn release(&mut self) {
        let base = self.outgoing.buffer.base();
        let needed = self.paths.iter().filter(|path| path.kind != PeerKind::Shared && path.flight.in_flight(base) > 0);
        let needed = needed.map(|path| path.flight.acked).min();
        self.outgoing.buffer.release(needed.unwrap_or(Position::MAX));
    }

    pub(super) fn on_nak(&mut self, index: usize, list: LossList<'_>, now: Micros) {
        let base = self.outgoing.buffer.base();
        let path = &mut self.paths[index];
        path.counters.naks_received += 1;
        let (acked, next) = (path.flight.acked, path.flight.next);
        let mut refused = Vec::new();
        // Each position once, whatever the list says.
        let mut cursor = 0;
        for range in list.ranges() {
            let first = range.first().extend(acked).max(cursor);
            let last = (range.first().extend(acked) + u64::from(range.len() - 1)).min(next.saturating_sub(1));
            if first > last {
                continue;
            }
            cursor = last + 1;
            // It knows because the next one has come.
            let seen = (last + 2).min(next);
            let path = &mut self.paths[index];
            if path.kind == PeerKind::Shared {
                self.outgoing.known = self.outgoing.known.max(seen);
            } else if seen > path.seen {
                path.progressed(seen, base, now);
            }
            if first < base {
                refuse(&mut refused, first, last.min(base - 1));
            }
            for at in first.max(base)..=last {
                self.lost(index, at, &mut refused, now);
            }
        }
        for (first, last) in refused.into_iter().take(MAX_REFUSALS) {
            self.say_dropped(index, first, last, now);
        }
    }

    /// The peer has asked for `at` on path `index`.
    fn lost(&mut self, index: usize, at: Position, refused: &mut Vec<(Position, Position)>, now: Micros) {
        let Some(slot) = self.outgoing.buffer.get(at) else { return };
        let (delivered, waiting, source) = (slot.delivered, slot.waiting, slot.source);
        let too_late = now - source > self.outgoing.latency + micros(DROP_MARGIN);
        let kind = self.paths[index].kind;
        let speaks_for_all = kind == PeerKind::Shared;
        for (other, path) in self.paths.iter_mut().enumerate() {
            if (speaks_for_all || other == index)
                && let Some(record) = path.flight.record_mut(at).filter(|record| !record.reported)
            {
                record.reported = true;
                path.counters.reported_lost += 1;
                if !path.wants_reports() {
                    path.lost_rate.add(now, 0);
                }
            }
        }
        match kind {
            PeerKind::Shared if delivered || waiting || self.may_be_on_its_way(at, now) => {}
            PeerKind::Shared if too_late => refuse(refused, at, at),
            PeerKind::Shared => self.send_again_where_best(at, now),
            PeerKind::PerPath { patient } => {
                let content = delivered && (patient || self.paths[index].duty == Duty::Rest);
                if self.paths[index].flight.record(at).is_none() || content || too_late {
                    // Another path carries it, or has brought it, or nobody can any more. A member that rests is not
                    // read from, so that not even an old libsrt misses anything there.
                    refuse(refused, at, at);
                } else if !waiting && !self.is_expected(index, at, now) && !self.left_lately(index, at, now) {
                    self.send_again(index, at);
                }
            }
        }
    }

    /// Whether a NAK may have been written before what is on its way could arrive: a retransmission within the last
    /// round trip, or the packet itself within half of one.
    fn may_be_on_its_way(&self, at: Position, now: Micros) -> bool {
        !planted(Bug::RepairsEachPathByItself) && (0..self.paths.len()).any(|index| self.left_lately(index, at, now))
    }

    fn left_lately(&self, index: usize, at: Position, now: Micros) -> bool {
        let path = &self.paths[index];
        path.flight.record(at).is_some_and(|record| {
            // Before it was measured, the shortest time between two reports stands for it.
            let rtt = if path.rtt.is_measured() { path.rtt.smoothed() } else { LEAST_RTT };
            now - record.sent < if record.times > 1 || record.again { rtt } else { rtt / 2 }
        })
    }

    /// Whether another path has sent it and may still bring it.
    fn is_expected(&self, index: usize, at: Position, now: Micros) -> bool {
        if planted(Bug::RepairsEachPathByItself) {
            return false;
        }
        self.paths.iter().enumerate().any(|(other, path)| {
            let on_its_way =
                |record: &super::flight::Record| !record.reported && now - record.sent < path.rtt.overdue();
            other != index && path.flight.acked <= at && path.flight.record(at).is_some_and(on_its_way)
        })
    }

    pub(super) fn send_again(&mut self, index: usize, at: Position) {
        if let Some(slot) = self.outgoing.buffer.get_mut(at) {
            slot.waiting = true;
            self.paths[index].flight.resend.push_back(at);
        }
    }

    /// Sends it again on the path where it will arrive first; on the next best as well if there is no time for another
    /// attempt.
    pub(super) fn send_again_where_best(&mut self, at: Position, now: Micros) {
        let Some(slot) = self.outgoing.buffer.get(at) else { return };
        let left = slot.source + self.outgoing.latency - now;
        // Nothing is known of how soon something arrives over a path that says nothing.
        let mut candidates: Vec<(bool, Micros, usize)> = self
            .paths
            .iter()
            .enumerate()
            .filter(|(_, path)| path.duty != Duty::Rest)
            .map(|(index, path)| (now - path.heard > QUIET, path.arrival(now), index))
            .collect();
        candidates.sort_unstable();
        let Some((_, _, best)) = candidates.first().copied() else { return };
        self.send_again(best, at);
        let hasty = left * 2 < self.paths[best].rtt.smoothed() * HASTE;
        if hasty && let Some((_, _, second)) = candidates.get(1).copied() {
            self.send_again(second, at);
        }
    }
}

/// Adds to a list of ranges in ascending order.
fn refuse(list: &mut Vec<(Position, Position)>, first: Position, last: Position) {
    match list.last_mut() {
        Some((_, end)) if *end + 1 >= first => *end = last.max(*end),
        Some(_) | None => list.push((first, last)),
    }
}
