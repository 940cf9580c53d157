//! The one send buffer: what was given to the session and may still have to be sent on some path.

use bytes::Bytes;

use super::ring::{Position, Ring};
use super::time::Micros;
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::{KeyFlag, Timestamp};

/// A packet, ready but for the path it takes.
#[derive(Debug)]
pub(super) struct Slot {
    /// Its content: sealed if all paths share the key, clear if they do not.
    pub(super) payload: Bytes,
    /// When it was made.
    pub(super) source: Micros,
    /// The same for the wire.
    pub(super) timestamp: Timestamp,
    /// What it is sealed with.
    pub(super) key: KeyFlag,
    /// Whether the peer has it, on whichever path.
    pub(super) delivered: bool,
    /// Whether it has left on any path.
    pub(super) sent: bool,
    /// Whether it waits on some path to be sent again.
    pub(super) waiting: bool,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            payload: Bytes::new(),
            source: 0,
            timestamp: Timestamp::ZERO,
            key: KeyFlag::Clear,
            delivered: false,
            sent: false,
            waiting: false,
        }
    }
}

/// What was taken out undelivered because its time had passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Expired {
    /// Never left.
    pub(super) unsent: u64,
    /// Left, and was never acknowledged.
    pub(super) unacknowledged: u64,
}

impl Expired {
    const fn count(&mut self, slot: &Slot) {
        if slot.delivered {
        } else if slot.sent {
            self.unacknowledged += 1;
        } else {
            self.unsent += 1;
        }
    }
}

/// Positions `base..next` are in it.
#[derive(Debug)]
pub(super) struct SendBuffer {
    ring: Ring<Slot>,
    base: Position,
    next: Position,
    bytes: usize,
    first: Position,
    newest: Micros,
    /// Everything before is delivered. Not before `base`.
    delivered: Position,
}

impl SendBuffer {
    /// The first packet will be `first`.
    pub(super) fn new(first: Position, longest: usize) -> Self {
        Self { ring: Ring::new(longest), base: first, next: first, bytes: 0, first, newest: 0, delivered: first }
    }

    /// The oldest that is still there.
    pub(super) const fn base(&self) -> Position {
        self.base
    }

    /// The one that is put in next.
    pub(super) const fn next(&self) -> Position {
        self.next
    }

    /// Bytes of payload.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The first that the peer may not have: the beginning of the tail.
    pub(super) const fn delivered(&self) -> Position {
        self.delivered
    }

    /// One that is there.
    pub(super) fn get(&self, at: Position) -> Option<&Slot> {
        (self.base..self.next).contains(&at).then(|| self.ring.get(at))
    }

    /// One that is there, to be changed.
    pub(super) fn get_mut(&mut self, at: Position) -> Option<&mut Slot> {
        (self.base..self.next).contains(&at).then(|| self.ring.get_mut(at))
    }

    /// Marks one as delivered; whether that is news.
    pub(super) fn mark_delivered(&mut self, at: Position) -> bool {
        if !(self.base..self.next).contains(&at) {
            return false;
        }
        let slot = self.ring.get_mut(at);
        if slot.delivered {
            return false;
        }
        slot.delivered = true;
        if at == self.delivered {
            self.advance();
        }
        true
    }

    /// Puts a packet in. When the buffer is full, the oldest makes room; live pictures do not wait.
    pub(super) fn push(&mut self, slot: Slot, expired: &mut Expired) -> Position {
        while !self.ring.reserve(self.base, self.next, self.next + 1) {
            self.drop_oldest(expired);
        }
        let at = self.next;
        self.bytes += slot.payload.len();
        self.newest = slot.source;
        *self.ring.get_mut(at) = slot;
        self.next += 1;
        at
    }

    /// When the newest was made; it may be gone already.
    pub(super) fn newest(&self) -> Option<Micros> {
        (self.next > self.first).then_some(self.newest)
    }

    /// When the oldest was made.
    pub(super) fn oldest(&self) -> Option<Micros> {
        self.get(self.base).map(|slot| slot.source)
    }

    /// Takes out what is delivered and lies before `needed`: no path may ask for it any more.
    pub(super) fn release(&mut self, needed: Position) {
        while self.base < needed.min(self.delivered) {
            self.drop_oldest(&mut Expired::default());
        }
    }

    /// Takes out what was made before `before`.
    pub(super) fn expire(&mut self, before: Micros) -> Expired {
        let mut expired = Expired::default();
        while self.oldest().is_some_and(|made| made < before) && !planted(Bug::KeepsExpired) {
            self.drop_oldest(&mut expired);
        }
        expired
    }

    fn drop_oldest(&mut self, expired: &mut Expired) {
        if self.base == self.next {
            return;
        }
        let slot = std::mem::take(self.ring.get_mut(self.base));
        expired.count(&slot);
        self.bytes -= slot.payload.len();
        self.base += 1;
        if self.delivered < self.base {
            self.delivered = self.base;
            self.advance();
        }
    }

    fn advance(&mut self) {
        while self.get(self.delivered).is_some_and(|slot| slot.delivered) {
            self.delivered += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(source: Micros) -> Slot {
        Slot { payload: Bytes::from_static(&[0; 100]), source, ..Slot::default() }
    }

    fn filled(n: u64) -> SendBuffer {
        let mut buffer = SendBuffer::new(5, 16);
        for i in 0..n {
            buffer.push(slot(i as Micros), &mut Expired::default());
        }
        buffer
    }

    #[test]
    fn the_tail_begins_at_the_first_that_is_not_delivered() {
        let mut buffer = filled(6);
        assert!(buffer.mark_delivered(6));
        assert_eq!(buffer.delivered(), 5);
        assert!(buffer.mark_delivered(5));
        assert!(!buffer.mark_delivered(5), "no news");
        assert_eq!(buffer.delivered(), 7);
        buffer.release(6);
        assert_eq!((buffer.base(), buffer.bytes()), (6, 500), "some path still needs 6");
        buffer.release(100);
        assert_eq!((buffer.base(), buffer.bytes()), (7, 400));
        assert!(!buffer.mark_delivered(6), "gone");
    }

    #[test]
    fn what_is_too_old_goes_and_is_counted_by_what_became_of_it() {
        let mut buffer = filled(6);
        for at in [5, 6] {
            buffer.get_mut(at).unwrap().sent = true;
        }
        buffer.mark_delivered(6);
        assert_eq!(buffer.expire(4), Expired { unsent: 2, unacknowledged: 1 });
        assert_eq!((buffer.base(), buffer.delivered()), (9, 9));
    }

    #[test]
    fn a_full_buffer_lets_the_oldest_go() {
        let mut buffer = filled(16);
        let mut expired = Expired::default();
        buffer.push(slot(16), &mut expired);
        assert_eq!(expired.unsent, 1);
        assert_eq!((buffer.base(), buffer.next(), buffer.bytes()), (6, 22, 1600));
    }
}
