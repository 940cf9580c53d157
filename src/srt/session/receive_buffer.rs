//! The one receive buffer: what has arrived on whichever path, in order, until it is played.

use bytes::Bytes;

use super::losses::Losses;
use super::ring::{Position, Ring};
use super::time::Micros;
use crate::srt::planted::{Bug, planted};

/// A slot.
#[derive(Debug, Default)]
enum Slot {
    /// Nothing has come.
    #[default]
    Missing,
    /// It waits to be played.
    Held { payload: Bytes, source: Micros },
    /// It was played.
    Played,
    /// Its time passed before it came.
    Skipped,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    /// It is the newest, and nothing is missing before it.
    Next,
    /// It is the newest, and these before it have not come.
    After {
        /// The first missing.
        first: Position,
    },
    /// It was missing.
    Filled {
        /// Since when.
        found: Micros,
        /// How often it had been asked for.
        asked: u32,
    },
    /// It was there already.
    Duplicate,
    /// It came after its time.
    Belated,
    /// It is too far ahead for the buffer.
    NoRoom,
}

/// A packet whose time has come.
#[derive(Debug)]
pub(super) struct Played {
    /// Its position.
    pub(super) at: Position,
    /// The peer's time when it was made, µs.
    pub(super) source: Micros,
    /// Its content.
    pub(super) payload: Bytes,
    /// So many before it never came.
    pub(super) skipped: u64,
}

/// Positions `next..end` are in it, held or missing; what lies before `next` remembers what became of it.
#[derive(Debug)]
pub(super) struct ReceiveBuffer {
    ring: Ring<Slot>,
    next: Position,
    end: Position,
    held: u64,
    pub(super) losses: Losses,
    /// Skipped since the last packet that was played.
    skipped: u64,
}

impl ReceiveBuffer {
    /// For packets from `first` on, at most `longest` at a time.
    pub(super) fn new(first: Position, longest: usize) -> Self {
        Self { ring: Ring::new(longest), next: first, end: first, held: 0, losses: Losses::default(), skipped: 0 }
    }

    /// One past the newest.
    pub(super) const fn end(&self) -> Position {
        self.end
    }

    /// The next to be played.
    pub(super) const fn next(&self) -> Position {
        self.next
    }

    /// Everything before this can be acknowledged.
    pub(super) fn acknowledged(&self) -> Position {
        self.losses.first_awaited().filter(|_| !planted(Bug::AcknowledgesHoles)).unwrap_or(self.end)
    }

    /// Room, in packets.
    pub(super) const fn free(&self) -> u64 {
        (self.ring.longest() as u64).saturating_sub(self.end - self.next)
    }

    /// How many wait to be played.
    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    /// Whether a packet would be of use.
    pub(super) fn wants(&self, at: Position) -> bool {
        at >= self.end || (at >= self.next && !matches!(self.ring.get(at), Slot::Held { .. }))
    }

    /// Takes a packet; `due`: when what is missing before it is to be asked for.
    pub(super) fn insert(
        &mut self,
        at: Position,
        source: Micros,
        payload: Bytes,
        now: Micros,
        due: Micros,
    ) -> Inserted {
        if at < self.end {
            return self.insert_late(at, source, payload);
        }
        if self.held == 0 && at - self.next >= self.ring.longest() as u64 {
            // Everything was away for longer than the buffer is; nobody waits for what was missed.
            self.skip_to(at);
        }
        let first = self.end;
        if !self.extend(at + 1) {
            return Inserted::NoRoom;
        }
        *self.ring.get_mut(at) = Slot::Held { payload, source };
        self.held += 1;
        if at == first {
            return Inserted::Next;
        }
        self.losses.push(first, at - 1, now, due);
        Inserted::After { first }
    }

    fn insert_late(&mut self, at: Position, source: Micros, payload: Bytes) -> Inserted {
        if at < self.next {
            // Until its slot is used again.
            let remembered = self.end - at <= self.ring.len() as u64;
            return match self.ring.get(at) {
                Slot::Played if remembered => Inserted::Duplicate,
                Slot::Played | Slot::Missing | Slot::Held { .. } | Slot::Skipped => Inserted::Belated,
            };
        }
        let slot = self.ring.get_mut(at);
        match slot {
            Slot::Held { .. } => Inserted::Duplicate,
            Slot::Missing | Slot::Played | Slot::Skipped => {
                *slot = Slot::Held { payload, source };
                self.held += 1;
                let loss = self.losses.fill(at);
                let (found, asked) = loss.map_or((0, 0), |loss| (loss.found, loss.asked));
                Inserted::Filled { found, asked }
            }
        }
    }

    /// The sender has said that `first..=last` will not come (any more).
    pub(super) fn give_up(&mut self, first: Position, last: Position, now: Micros) {
        // A peer can name any number; what matters is near.
        let last = last.min(self.end + self.ring.longest() as u64 / 2);
        if last >= self.end && first <= self.end {
            let missing = self.end;
            if self.extend(last + 1) {
                self.losses.push(missing, last, now, now);
            }
        }
        self.losses.give_up(first, last);
    }

    /// When the next packet is played, by the time it was made at. None when there is none.
    pub(super) fn next_source(&self) -> Option<Micros> {
        if self.held == 0 {
            return None;
        }
        match self.ring.get(self.first_held()) {
            Slot::Held { source, .. } => Some(*source),
            Slot::Missing | Slot::Played | Slot::Skipped => None,
        }
    }

    /// Takes out the next packet if `is_due` by the time it was made at; what is missing before it is skipped.
    pub(super) fn play(&mut self, is_due: impl FnOnce(Micros) -> bool) -> Option<Played> {
        if !is_due(self.next_source()?) {
            return None;
        }
        let at = self.first_held();
        if at > self.next {
            self.skip_to(at);
        }
        let Slot::Held { payload, source } = std::mem::replace(self.ring.get_mut(at), Slot::Played) else {
            return None;
        };
        self.held -= 1;
        self.next = if planted(Bug::PlaysCopies) { at } else { at + 1 };
        Some(Played { at, source, payload, skipped: std::mem::take(&mut self.skipped) })
    }

    /// The first position that is held. Only when there is one.
    fn first_held(&self) -> Position {
        match self.ring.get(self.next) {
            Slot::Held { .. } => self.next,
            // Ranges that touch (asked for at different times) follow each other.
            Slot::Missing | Slot::Played | Slot::Skipped => self.losses.end_of_front(self.next),
        }
    }

    fn skip_to(&mut self, at: Position) {
        // Slots that the window has never reached need no mark.
        for skipped in self.next..at.min(self.end) {
            *self.ring.get_mut(skipped) = Slot::Skipped;
        }
        self.skipped += at - self.next;
        self.losses.forget_before(at);
        self.next = at;
        self.end = self.end.max(at);
    }

    fn extend(&mut self, end: Position) -> bool {
        if !self.ring.reserve(self.next, self.end, end) {
            return false;
        }
        for missing in self.end..end {
            *self.ring.get_mut(missing) = Slot::Missing;
        }
        self.end = end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(at: Position) -> Bytes {
        Bytes::from(at.to_be_bytes().to_vec())
    }

    fn buffer() -> ReceiveBuffer {
        ReceiveBuffer::new(1000, 64)
    }

    fn play_all(buffer: &mut ReceiveBuffer) -> Vec<(Position, u64)> {
        std::iter::from_fn(|| buffer.play(|_| true)).map(|played| (played.at, played.skipped)).collect()
    }

    fn insert(buffer: &mut ReceiveBuffer, at: Position) -> Inserted {
        buffer.insert(at, at as Micros, packet(at), 0, 0)
    }

    #[test]
    fn what_comes_in_any_order_is_played_in_order_and_once() {
        let mut buffer = buffer();
        assert_eq!(insert(&mut buffer, 1000), Inserted::Next);
        assert_eq!(insert(&mut buffer, 1003), Inserted::After { first: 1001 });
        assert_eq!(buffer.acknowledged(), 1001);
        assert_eq!(insert(&mut buffer, 1002), Inserted::Filled { found: 0, asked: 0 });
        assert_eq!(insert(&mut buffer, 1002), Inserted::Duplicate);
        assert_eq!(insert(&mut buffer, 1001), Inserted::Filled { found: 0, asked: 0 });
        assert_eq!(buffer.acknowledged(), 1004);
        assert_eq!(play_all(&mut buffer), [(1000, 0), (1001, 0), (1002, 0), (1003, 0)]);
        assert_eq!(insert(&mut buffer, 1001), Inserted::Duplicate);
        assert_eq!(buffer.held(), 0);
    }

    #[test]
    fn what_is_missing_when_the_next_is_due_is_skipped_and_counted() {
        let mut buffer = buffer();
        insert(&mut buffer, 1002);
        insert(&mut buffer, 1005);
        assert!(buffer.play(|source| source < 1002).is_none());
        assert_eq!(play_all(&mut buffer), [(1002, 2), (1005, 2)]);
        assert!(buffer.losses.is_empty());
        assert_eq!(insert(&mut buffer, 1003), Inserted::Belated);
        assert_eq!(insert(&mut buffer, 999), Inserted::Belated);
        assert_eq!(play_all(&mut buffer), []);
    }

    #[test]
    fn what_the_sender_gives_up_is_acknowledged_and_taken_all_the_same() {
        let mut buffer = buffer();
        insert(&mut buffer, 1000);
        buffer.give_up(1001, 1010, 0);
        assert_eq!((buffer.acknowledged(), buffer.end()), (1011, 1011));
        assert_eq!(insert(&mut buffer, 1005), Inserted::Filled { found: 0, asked: 0 });
        insert(&mut buffer, 1011);
        assert_eq!(play_all(&mut buffer), [(1000, 0), (1005, 4), (1011, 5)]);
        buffer.give_up(1000, 1011, 0);
        assert_eq!(buffer.acknowledged(), 1012, "the past does not change");
        buffer.give_up(2000, 3000, 0);
        assert_eq!(buffer.end(), 1012, "nor does a hole in front of nothing");
    }

    #[test]
    fn it_takes_no_more_than_fits_unless_it_is_empty() {
        let mut buffer = buffer();
        insert(&mut buffer, 1000);
        assert_eq!(insert(&mut buffer, 1064), Inserted::NoRoom);
        assert_eq!(insert(&mut buffer, 1063), Inserted::After { first: 1001 });
        assert_eq!(buffer.free(), 0);
        assert_eq!(play_all(&mut buffer), [(1000, 0), (1063, 62)]);
        assert_eq!(insert(&mut buffer, 5000), Inserted::Next, "a long silence");
        assert_eq!(play_all(&mut buffer), [(5000, 3936)]);
    }
}
