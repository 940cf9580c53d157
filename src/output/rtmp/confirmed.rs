//! Pure. How far into the programme the far end has confirmed what it was sent, as a place in the ring.

use std::collections::VecDeque;

use crate::distribute::Cursor;

/// Most marks kept. At one mark a batch this is more than a minute of a connection that confirms nothing, which is given
/// up long before; beyond it marks are left out, so that the confirmed place errs towards sending again.
const MARKS: usize = 2048;

/// Bytes written to a connection, and the place in the ring up to which they carry the programme.
///
/// The next session goes on from the last keyframe at or before the confirmed place, so that what the network swallowed is
/// sent again and nothing is skipped. *Invariant:* the confirmed place is never behind a unit that the far end's TCP has
/// not confirmed.
#[derive(Debug)]
pub(super) struct Confirmed {
    place: Cursor,
    written: u64,
    marks: VecDeque<(u64, Cursor)>,
}

impl Confirmed {
    /// A session that begins at `place` and has carried nothing.
    pub(super) const fn new(place: Cursor) -> Self {
        Self { place, written: 0, marks: VecDeque::new() }
    }

    /// `bytes` more were handed to the kernel; they carry the programme up to `place`.
    pub(super) fn wrote(&mut self, bytes: u64, place: Cursor) {
        self.written += bytes;
        if self.marks.len() < MARKS {
            self.marks.push_back((self.written, place));
        }
    }

    /// `unconfirmed` bytes of what was handed to the kernel are not confirmed. With TLS these are more bytes than were
    /// written, which errs towards sending again.
    pub(super) fn observe(&mut self, unconfirmed: u64) {
        let confirmed = self.written.saturating_sub(unconfirmed);
        while let Some((_, place)) = self.marks.pop_front_if(|(written, _)| *written <= confirmed) {
            self.place = place;
        }
    }

    /// The reader fell out of the ring and goes on at `place`: what lies before it cannot be sent again, and was counted
    /// as lost, which must not happen a second time when the next session begins.
    pub(super) fn skipped(&mut self, place: Cursor) {
        self.marks.clear();
        self.place = place;
    }

    /// Everything before this place is confirmed, or lost for good.
    pub(super) const fn place(&self) -> Cursor {
        self.place
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::distribute::Ring;
    use crate::model::{Codec, Media};
    use crate::mux::fixtures;

    use super::*;

    /// Places need a ring; where they point does not matter here, only which one is returned.
    fn places() -> Vec<Cursor> {
        let mut ring = Ring::new(Duration::from_secs(60), 1 << 20);
        let mut cursor = ring.join();
        let units = fixtures::programme(Codec::H264, Codec::Aac, Media::ZERO, 1);
        let place_after = |unit| {
            ring.push(unit);
            assert!(ring.read(&mut cursor).is_some(), "the programme begins with a keyframe");
            cursor
        };
        units.into_iter().take(8).map(place_after).collect()
    }

    #[test]
    fn only_what_is_confirmed_to_the_last_byte_counts() {
        let places = places();
        let mut confirmed = Confirmed::new(places[0]);
        for place in &places[1..] {
            confirmed.wrote(100, *place);
        }
        confirmed.observe(700);
        assert_eq!(confirmed.place(), places[0], "nothing is confirmed");
        confirmed.observe(501);
        assert_eq!(confirmed.place(), places[1], "one byte of the second batch is missing");
        confirmed.observe(500);
        assert_eq!(confirmed.place(), places[2]);
        confirmed.observe(0);
        assert_eq!(confirmed.place(), places[7]);
    }

    #[test]
    fn what_was_skipped_is_behind_us_whatever_is_confirmed_afterwards() {
        let places = places();
        let mut confirmed = Confirmed::new(places[0]);
        confirmed.wrote(100, places[1]);
        confirmed.skipped(places[5]);
        assert_eq!(confirmed.place(), places[5]);
        confirmed.observe(0);
        assert_eq!(confirmed.place(), places[5], "went back to what has left the ring");
        confirmed.wrote(100, places[6]);
        confirmed.observe(0);
        assert_eq!(confirmed.place(), places[6]);
    }

    #[test]
    fn more_unconfirmed_than_written_confirms_nothing() {
        let places = places();
        let mut confirmed = Confirmed::new(places[0]);
        confirmed.wrote(100, places[1]);
        confirmed.observe(5000);
        assert_eq!(confirmed.place(), places[0]);
    }

    #[test]
    fn marks_are_bounded_and_those_left_out_are_sent_again() {
        let places = places();
        let mut confirmed = Confirmed::new(places[0]);
        for _ in 0..MARKS {
            confirmed.wrote(1, places[1]);
        }
        confirmed.wrote(1, places[2]);
        confirmed.observe(0);
        assert_eq!(confirmed.place(), places[1]);
    }
}
