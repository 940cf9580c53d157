//! Tags' time stamps: milliseconds modulo 2³² (RTMP 1.0 §4), on one clock for picture and sound.

use std::time::{Duration, Instant};

use crate::model::{Media, Track};

/// How much farther than the time that passed a track may go in one step before its clock counts as another one. As for
/// transport streams.
const MAX_LEAP: Duration = Duration::from_secs(2);
/// How far back a track may go before that; less is a sender's rounding, or two encoders' disagreement.
const MAX_BACK: Duration = Duration::from_millis(250);

/// What a time stamp is to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Follows {
    Yes,
    /// It is not comparable with them.
    No,
}

/// Turns wrapped time stamps into times that go on.
#[derive(Debug, Default)]
pub(super) struct Unwrap {
    last: Option<i64>,
    picture: Option<Stamp>,
    sound: Option<Stamp>,
}

#[derive(Clone, Copy, Debug)]
struct Stamp {
    ms: i64,
    came: Instant,
}

impl Unwrap {
    /// A tag of `track` with this time stamp came at `now`.
    pub(super) fn stamp(&mut self, track: Track, wire: u32, now: Instant) -> (Media, Follows) {
        let mut ms = match self.last {
            // The low 32 bits are the whole truth; the nearest of the times that have them is meant.
            Some(last) => last.wrapping_add(i64::from(wire.wrapping_sub(last as u32).cast_signed())),
            None => i64::from(wire),
        };
        let before = match track {
            Track::Video => self.picture,
            Track::Audio => self.sound,
        };
        let follows = before.is_none_or(|before| {
            let step = ms.saturating_sub(before.ms);
            let passed = now.saturating_duration_since(before.came);
            step >= -millis(MAX_BACK) && step <= millis(passed).saturating_add(millis(MAX_LEAP))
        });
        if !follows {
            ms = i64::from(wire);
            *self = Self::default();
        }
        self.last = Some(ms);
        let stamp = Some(Stamp { ms, came: now });
        match track {
            Track::Video => self.picture = stamp,
            Track::Audio => self.sound = stamp,
        }
        (Media::from_millis(ms), if follows { Follows::Yes } else { Follows::No })
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    // Any instant does to begin with.
    #![allow(clippy::disallowed_methods)]
    use proptest::prelude::*;

    use super::*;

    struct Tape {
        unwrap: Unwrap,
        now: Instant,
    }

    impl Tape {
        fn new() -> Self {
            Self { unwrap: Unwrap::default(), now: crate::clock::now() }
        }

        fn after(&mut self, wait_ms: u64, track: Track, wire: u32) -> (i64, Follows) {
            self.now += Duration::from_millis(wait_ms);
            let (at, follows) = self.unwrap.stamp(track, wire, self.now);
            (at.0 / 1_000_000, follows)
        }
    }

    #[test]
    fn times_go_on_over_the_wrap_of_32_bits() {
        let mut tape = Tape::new();
        let start = u32::MAX - 50;
        for n in 0..10u32 {
            let (at, follows) = tape.after(33, Track::Video, start.wrapping_add(33 * n));
            assert_eq!((at, follows), (i64::from(start) + 33 * i64::from(n), Follows::Yes));
            let (at, _) = tape.after(0, Track::Audio, start.wrapping_add(33 * n).wrapping_sub(10));
            assert_eq!(at, i64::from(start) + 33 * i64::from(n) - 10);
        }
    }

    #[test]
    fn a_clock_that_starts_again_is_told_once() {
        let mut tape = Tape::new();
        assert_eq!(tape.after(0, Track::Video, 80_000), (80_000, Follows::Yes));
        assert_eq!(tape.after(0, Track::Audio, 80_000), (80_000, Follows::Yes));
        assert_eq!(tape.after(40, Track::Audio, 3), (3, Follows::No));
        assert_eq!(tape.after(0, Track::Video, 0), (0, Follows::Yes), "the other track is on the new clock");
        assert_eq!(tape.after(33, Track::Video, 33), (33, Follows::Yes));
    }

    #[test]
    fn a_leap_is_one_only_if_the_time_did_not_pass() {
        let mut tape = Tape::new();
        tape.after(0, Track::Video, 0);
        assert_eq!(tape.after(10_000, Track::Video, 12_000).1, Follows::Yes, "it was silent for ten seconds");
        assert_eq!(tape.after(10, Track::Video, 14_010).1, Follows::Yes);
        assert_eq!(tape.after(10, Track::Video, 16_021).1, Follows::No);
    }

    #[test]
    fn a_little_back_is_rounding_and_more_is_not() {
        let mut tape = Tape::new();
        tape.after(0, Track::Audio, 1000);
        assert_eq!(tape.after(21, Track::Audio, 750), (750, Follows::Yes));
        assert_eq!(tape.after(21, Track::Audio, 499), (499, Follows::No));
    }

    proptest! {
        #[test]
        fn any_stamps_are_taken_and_stay_within_bounds(stamps: Vec<(bool, u32, u16)>) {
            let mut tape = Tape::new();
            let mut passed = 0;
            for (is_picture, wire, wait) in stamps {
                passed += i64::from(wait);
                let (at, _) = tape.after(wait.into(), if is_picture { Track::Video } else { Track::Audio }, wire);
                prop_assert_eq!(at as u32, wire);
                prop_assert!(at.abs() <= (1 << 33) + passed + 2000 * 1000, "{}", at);
            }
        }
    }
}
