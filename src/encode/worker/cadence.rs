//! Pure. Which keyframes came of a change of bit rate: those that stand where nobody asked for one, just behind a change.
//!
//! The encoder table says for each family what a change costs ([`crate::encode::table::Change`]). This counts it, so that it
//! is seen where the table is wrong about a driver.

use std::collections::VecDeque;

/// An encoder begins its keyframe at the picture that was asked for, or as much later as it holds back pictures: hardware
/// up to four (VA without live input).
const WITHIN: i64 = 8;
/// Requests that are kept: an encoder that makes no keyframe of any of them.
const MOST_ASKED: usize = 64;

/// What an encoder was told, just before the picture of a place entered it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// To begin a group.
    Keyframe,
    /// Another bit rate.
    Bitrate,
}

/// One encoder's keyframes.
#[derive(Debug, Default)]
pub(super) struct Cadence {
    /// The places of which a keyframe is expected, oldest first.
    asked: VecDeque<i64>,
    /// The latest change of bit rate that no keyframe is known to have come of.
    changed: Option<i64>,
    changes: u64,
    by_bitrate: u64,
}

impl Cadence {
    /// The picture of `place` is about to enter the encoder, which was told this.
    pub(super) fn told(&mut self, told: Told, place: i64) {
        match told {
            Told::Keyframe => {
                if self.asked.len() == MOST_ASKED {
                    self.asked.pop_front();
                }
                self.asked.push_back(place);
            }
            Told::Bitrate => {
                self.changes += 1;
                self.changed = Some(place);
            }
        }
    }

    /// The picture of `place` came out as a keyframe.
    pub(super) fn key(&mut self, place: i64) {
        self.asked.retain(|asked| place - asked < WITHIN);
        if self.asked.front().is_some_and(|asked| *asked <= place) {
            self.asked.pop_front();
            // One that is due anyway costs nothing more.
            self.changed.take_if(|changed| *changed <= place);
            return;
        }
        if self.changed.take_if(|changed| *changed <= place).is_some_and(|changed| place - changed < WITHIN) {
            self.by_bitrate += 1;
        }
    }

    /// Changes that it was told, and keyframes that came of them.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.changes, self.by_bitrate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of 30 pictures; changes at these places; an encoder that gives keyframes `late` places after it was asked for
    /// them, and at each change if it is of that kind.
    fn counts(changes: &[i64], late: i64, begins_anew: bool) -> (u64, u64) {
        let mut cadence = Cadence::default();
        let mut due = Vec::new();
        for place in 0..300 {
            if place % 30 == 0 {
                cadence.told(Told::Keyframe, place);
                due.push(place + late);
            }
            if changes.contains(&place) {
                cadence.told(Told::Bitrate, place);
                if begins_anew {
                    due.push(place + late);
                }
            }
            if due.contains(&place) {
                cadence.key(place);
            }
        }
        cadence.counts()
    }

    #[test]
    fn keyframes_off_the_cadence_behind_a_change_are_counted() {
        let changes = [17, 45, 82, 100, 145, 201];
        for late in [0, 1, 4] {
            assert_eq!(counts(&changes, late, false), (6, 0), "{late} places later");
            assert_eq!(counts(&changes, late, true), (6, 6), "{late} places later");
        }
    }

    #[test]
    fn a_change_where_a_group_begins_anyway_costs_nothing() {
        assert_eq!(counts(&[30, 90], 0, true), (2, 0));
        assert_eq!(counts(&[30, 90], 2, true), (2, 0));
    }

    #[test]
    fn a_keyframe_long_after_a_change_or_without_one_is_not_counted() {
        let mut cadence = Cadence::default();
        cadence.key(3);
        cadence.told(Told::Bitrate, 10);
        cadence.key(40);
        cadence.key(41);
        assert_eq!(cadence.counts(), (1, 0));
        // An encoder that ignores what it is asked for keeps nothing for ever.
        (0..10_000).for_each(|place| cadence.told(Told::Keyframe, place));
        assert_eq!(cadence.asked.len(), MOST_ASKED);
    }
}
