//! What one path has to send, has sent, and has had acknowledged.

use std::collections::VecDeque;

use super::pacer::Pacer;
use super::ring::{Position, Ring};
use super::time::Micros;
use crate::srt::wire::KeyFlag;

/// So many packets may be in flight however little room the peer reports.
const LEAST_WINDOW: u64 = 32;

/// What happened to one position on this path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Record {
    /// When it left last.
    pub(super) sent: Micros,
    /// Since when an answer is waited for: it does not count anew when it is sent again for want of one.
    pub(super) awaited: Micros,
    /// How often it left; 0: it has not, it belongs to other paths.
    pub(super) times: u8,
    /// The peer has reported it lost.
    pub(super) reported: bool,
    /// It had left on another path before, and was lost there.
    pub(super) again: bool,
    /// What it was sealed with, on a path with keys of its own.
    pub(super) key: Option<KeyFlag>,
}

/// Why a packet leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// It leaves for the first time on any path and in time, so its timestamp tells how long the way is.
    New,
    /// In another path's stead, or after it.
    Instead,
    /// It was asked for, or nothing was heard of it.
    Again,
}

/// A packet that waits to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Queued {
    /// Which.
    pub(super) at: Position,
    /// Why.
    pub(super) occasion: Occasion,
}

/// The sender's side of a path. Positions `acked..next` are in flight, apart from those that other paths carry.
#[derive(Debug)]
pub(super) struct Flight {
    records: Ring<Record>,
    /// The first that the peer has not acknowledged on this path.
    pub(super) acked: Position,
    /// The first that was neither sent nor declined on this path.
    pub(super) next: Position,
    /// To be sent, in order.
    pub(super) queue: VecDeque<Queued>,
    /// To be sent again.
    pub(super) resend: VecDeque<Position>,
    pub(super) pacer: Pacer,
    /// How far `next` may be ahead of `acked`: what the peer has room for.
    pub(super) window: u64,
    /// A retransmission left last, so it is the queue's turn.
    pub(super) resent_last: bool,
}

impl Flight {
    /// The peer expects `first`.
    pub(super) fn new(first: Position, longest: usize, window: u64) -> Self {
        Self {
            records: Ring::new(longest),
            acked: first,
            next: first,
            queue: VecDeque::new(),
            resend: VecDeque::new(),
            pacer: Pacer::default(),
            window,
            resent_last: false,
        }
    }

    /// What happened to `at` here; None if it never left on this path or is not in the records any more.
    pub(super) fn record(&self, at: Position) -> Option<&Record> {
        let known = at < self.next && self.next - at <= self.records.len() as u64;
        known.then(|| self.records.get(at)).filter(|record| record.times > 0)
    }

    /// The same, to be changed.
    pub(super) fn record_mut(&mut self, at: Position) -> Option<&mut Record> {
        let known = at < self.next && self.next - at <= self.records.len() as u64;
        known.then(|| self.records.get_mut(at)).filter(|record| record.times > 0)
    }

    /// How many are in flight, those of other paths between them included. What lies before `base` is given up: the
    /// peer does not keep room for it.
    pub(super) fn in_flight(&self, base: Position) -> u64 {
        self.next.saturating_sub(self.acked.max(base))
    }

    /// Whether the peer has room for another. A few may always go, in case the word of new room was lost.
    pub(super) fn has_room(&self, base: Position) -> bool {
        self.in_flight(base) < self.window.max(LEAST_WINDOW)
    }

    /// Whether anything waits to leave.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty() || !self.resend.is_empty()
    }

    /// `at` leaves now. Returns what is passed over: the peer is to be told not to wait for it here.
    pub(super) fn leaves(&mut self, at: Position, why: Occasion, now: Micros) -> Option<(Position, Position)> {
        let again = why != Occasion::New;
        if at < self.next {
            if self.next - at <= self.records.len() as u64 {
                let record = self.records.get_mut(at);
                if record.times == 0 || record.reported || why != Occasion::Again {
                    record.awaited = now;
                }
                record.sent = now;
                record.times = record.times.saturating_add(1);
                record.again |= again;
            }
            return None;
        }
        let passed = (at > self.next).then(|| (self.next, at - 1));
        self.pass(at);
        // The window of records is as long as the send buffer, so there is always room; if not, old records go.
        let base = self.acked.max((at + 1).saturating_sub(self.records.longest() as u64));
        self.records.reserve(base, self.next, at + 1);
        *self.records.get_mut(at) = Record { sent: now, awaited: now, times: 1, reported: false, again, key: None };
        self.next = at + 1;
        passed
    }

    /// Positions before `at` will not be sent here.
    pub(super) fn pass(&mut self, at: Position) {
        if at <= self.next {
            return;
        }
        let base = self.acked.max(at.saturating_sub(self.records.longest() as u64));
        self.records.reserve(base, self.next, at);
        for passed in self.next.max(at.saturating_sub(self.records.len() as u64))..at {
            *self.records.get_mut(passed) = Record::default();
        }
        if self.acked == self.next {
            // Nothing of ours is between: there is nothing to wait for.
            self.acked = at;
        }
        self.next = at;
    }

    /// Whether `at` waits to leave here without having been asked for.
    pub(super) fn is_queued(&self, at: Position) -> bool {
        self.queue.binary_search_by_key(&at, |queued| queued.at).is_ok()
    }

    /// Puts those packets of `tail` that are `wanted` among those that wait already, in order. Returns how many.
    pub(super) fn queue_tail(
        &mut self,
        tail: std::ops::Range<Position>,
        wanted: impl Fn(&Self, Position) -> bool,
    ) -> u64 {
        let mut waiting = std::mem::take(&mut self.queue);
        let mut merged = VecDeque::with_capacity(waiting.len());
        let mut added = 0;
        for at in tail {
            while let Some(before) = waiting.pop_front_if(|queued| queued.at < at) {
                merged.push_back(before);
            }
            if let Some(same) = waiting.pop_front_if(|queued| queued.at == at) {
                merged.push_back(same);
            } else if wanted(self, at) {
                merged.push_back(Queued { at, occasion: Occasion::Instead });
                added += 1;
            }
        }
        merged.append(&mut waiting);
        self.queue = merged;
        added
    }
}

#[cfg(test)]
mod tests {
    use super::Occasion::{Again, Instead, New};
    use super::*;

    #[test]
    fn an_answer_is_not_waited_for_anew_when_it_stays_away() {
        let mut flight = Flight::new(100, 1024, 50);
        flight.leaves(100, New, 1);
        let mut again = |why, reported, now| {
            flight.record_mut(100).unwrap().reported = reported;
            flight.leaves(100, why, now);
            flight.record(100).map(|record| (record.sent, record.awaited)).unwrap()
        };
        assert_eq!(again(Again, false, 5), (5, 1), "nobody has said anything");
        assert_eq!(again(Instead, false, 6), (6, 6));
        assert_eq!(again(Again, true, 9), (9, 9), "asked for");
    }

    #[test]
    fn what_is_passed_over_is_told_and_not_in_flight() {
        let mut flight = Flight::new(100, 1024, 50);
        assert_eq!(flight.leaves(100, New, 1), None);
        assert_eq!(flight.leaves(105, New, 2), Some((101, 104)));
        assert!(flight.record(103).is_none());
        assert_eq!(flight.record(105).map(|record| record.sent), Some(2));
        assert_eq!(flight.leaves(103, New, 3), None, "behind: a retransmission of what another path sent");
        assert_eq!(flight.record(103).map(|record| record.times), Some(1));
        flight.acked = 106;
        assert_eq!(flight.leaves(5000, New, 4), Some((106, 4999)));
        assert_eq!(flight.in_flight(0), 1, "what was passed over needs no acknowledgement");
        assert!(flight.record(105).is_none() && flight.record(4999).is_none());
    }

    #[test]
    fn the_tail_takes_its_place_among_what_waits() {
        let mut flight = Flight::new(100, 1024, 50);
        for (at, occasion) in [(99, Instead), (101, Instead), (103, New)] {
            flight.queue.push_back(Queued { at, occasion });
        }
        assert_eq!(flight.queue_tail(100..106, |_, at| at != 102), 3);
        let order: Vec<_> = flight.queue.iter().map(|queued| (queued.at, queued.occasion)).collect();
        let expected = [(99, Instead), (100, Instead), (101, Instead), (103, New), (104, Instead), (105, Instead)];
        assert_eq!(order, expected, "all of it, whatever was there");
    }
}
