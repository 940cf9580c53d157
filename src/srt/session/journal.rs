//! Which acknowledgement was sent when, so that its ACKACK tells the round-trip time.

use super::ring::Position;
use super::time::Micros;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    number: u32,
    up_to: Position,
    sent: Micros,
}

/// Acknowledgements remembered (libsrt's ACK_WND_SIZE): at one each 10 ms a round trip of ten seconds, which a queue in a mobile
/// network can make it. One that is not measured would be taken for the short one before, and all that is missing asked for
/// and sent again many times in it.
const REMEMBERED: usize = 1024;

/// Numbers full acknowledgements and remembers the last ones.
#[derive(Clone, Debug)]
pub(super) struct Journal {
    entries: Box<[Entry; REMEMBERED]>,
    last: u32,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self { entries: Box::new([Entry::default(); REMEMBERED]), last: 0 }
    }

    /// The number of an acknowledgement that is sent now, from 1.
    pub(super) fn write(&mut self, up_to: Position, now: Micros) -> u32 {
        // 31 bits, since libsrt takes it for a sequence number; 0 means a light acknowledgement.
        self.last = if self.last >= 0x7fff_ffff { 1 } else { self.last + 1 };
        self.entries[self.last as usize % REMEMBERED] = Entry { number: self.last, up_to, sent: now };
        self.last
    }

    /// An ACKACK has come: what it confirms and how long that took. Each counts once.
    pub(super) fn answered(&mut self, number: u32, now: Micros) -> Option<(Position, Micros)> {
        let entry = &mut self.entries[number as usize % REMEMBERED];
        if number == 0 || entry.number != number {
            return None;
        }
        entry.number = 0;
        Some((entry.up_to, now - entry.sent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_and_for_its_own_acknowledgement() {
        let mut journal = Journal::new();
        let first = journal.write(100, 0);
        let second = journal.write(110, 10);
        assert_eq!((first, second), (1, 2));
        assert_eq!(journal.answered(second, 50), Some((110, 40)));
        assert_eq!(journal.answered(second, 60), None, "twice");
        assert_eq!(journal.answered(first, 70), Some((100, 70)), "out of order");
        assert_eq!(journal.answered(0, 70), None);
        assert_eq!(journal.answered(99, 70), None, "never sent");
        for _ in 0..REMEMBERED {
            journal.write(0, 100);
        }
        assert_eq!(journal.answered(first, 100), None, "too old");
    }
}
