//! Pure. When a running encoder is given another bit rate: no more often, and by no less, than it is worth with that encoder.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::encode::table::{self, Change, Pace};

/// In any minute a bit rate changes its direction no more than so many times.
pub const MOST_TURNS: usize = 8;
const MINUTE: Duration = Duration::from_secs(60);

/// While nobody knows which encoder it is, as careful as with the worst.
const UNKNOWN: Pace = Pace { step_permille: 100, every: Duration::from_secs(4), urgent: Duration::from_secs(2) };

/// How much a change matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// It can wait until the encoder is asked anyway.
    Usual,
    /// A destination is about to lose programme, or a person waits.
    Urgent,
}

/// How far a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// As far as it may, which is worth it however little that is.
    End,
    /// Somewhere on the way.
    Between,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

impl Direction {
    fn of((from, to): (u32, u32)) -> Self {
        if to > from { Self::Up } else { Self::Down }
    }
}

/// The changes of one rendition's bit rate.
///
/// *Invariant:* between two of them at least the pace's time passes, and a minute has no more than [`MOST_TURNS`] turns.
#[derive(Debug)]
pub(super) struct Steps {
    change: Change,
    pace: Pace,
    latest: Option<(Instant, Direction)>,
    /// When its direction changed, within the last minute; oldest first.
    turns: VecDeque<Instant>,
}

impl Steps {
    pub(super) const fn new() -> Self {
        Self { change: Change::Smooth, pace: UNKNOWN, latest: None, turns: VecDeque::new() }
    }

    /// The elements that make the rendition, one for each worker; what all of them bear counts.
    pub(super) fn encoded_by<'a>(&mut self, factories: impl Iterator<Item = &'a str>) {
        let known = factories.map(|factory| match table::element(factory) {
            Some((_, element)) => (element.bitrate.change, element.bitrate.pace),
            None => (Change::Keyframe, UNKNOWN),
        });
        let worst = known.reduce(|(change, pace), (other, its)| (change.max(other), pace.slower(its)));
        (self.change, self.pace) = worst.unwrap_or((Change::Smooth, UNKNOWN));
    }

    /// What a change does to the stream.
    pub(super) const fn change(&self) -> Change {
        self.change
    }

    /// Whether the bit rate may change like that at `now`.
    pub(super) fn admit(&mut self, from_to: (u32, u32), reach: Reach, urgency: Urgency, now: Instant) -> bool {
        let (from, to) = from_to;
        let by_permille = u64::from(from.abs_diff(to)) * 1000;
        let is_worth_it = reach == Reach::End || by_permille >= u64::from(from) * u64::from(self.pace.step_permille);
        let pause = match urgency {
            Urgency::Usual => self.pace.every,
            Urgency::Urgent => self.pace.urgent,
        };
        let is_time = self.latest.is_none_or(|(at, _)| now.saturating_duration_since(at) >= pause);
        self.change != Change::Anew && is_worth_it && is_time && self.may_turn(Direction::of(from_to), now)
    }

    /// Down is always allowed. Turns alternate, so that one turn up less than the most leaves room for the turn down.
    fn may_turn(&mut self, direction: Direction, now: Instant) -> bool {
        self.turns.retain(|at| now.saturating_duration_since(*at) < MINUTE);
        let turns_up = direction == Direction::Up && self.latest.is_some_and(|(_, latest)| latest == Direction::Down);
        !turns_up || self.turns.len() + 2 <= MOST_TURNS
    }

    /// It did.
    pub(super) fn made(&mut self, from_to: (u32, u32), now: Instant) {
        let direction = Direction::of(from_to);
        if self.latest.is_some_and(|(_, latest)| latest != direction) {
            self.turns.push_back(now);
        }
        self.latest = Some((now, direction));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(factories: &[&str]) -> Steps {
        let mut steps = Steps::new();
        steps.encoded_by(factories.iter().copied());
        steps
    }

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn an_encoder_that_begins_anew_with_each_change_is_asked_seldom_and_for_much() {
        let (mut x264, mut x265, start) = (steps(&["x264enc"]), steps(&["x265enc"]), crate::clock::now());
        let change = (4_000_000, 3_700_000);
        assert!(x264.admit(change, Reach::Between, Urgency::Usual, start));
        assert!(!x265.admit(change, Reach::Between, Urgency::Usual, start), "less than a tenth");
        assert!(x265.admit(change, Reach::End, Urgency::Usual, start), "the end of the way is worth it");
        let change = (4_000_000, 3_000_000);
        for (steps, urgent, usual) in [(&mut x264, 500, 1000), (&mut x265, 2000, 4000)] {
            steps.made(change, start);
            assert!(!steps.admit(change, Reach::Between, Urgency::Urgent, at(start, urgent - 1)));
            assert!(steps.admit(change, Reach::Between, Urgency::Urgent, at(start, urgent)));
            assert!(!steps.admit(change, Reach::End, Urgency::Usual, at(start, usual - 1)));
            assert!(steps.admit(change, Reach::End, Urgency::Usual, at(start, usual)));
        }
    }

    #[test]
    fn of_several_encoders_the_worst_counts_and_one_that_is_not_known_is_as_bad() {
        assert_eq!(steps(&["x264enc", "vah264enc"]).change(), Change::Keyframe);
        assert_eq!(steps(&["vah264enc", "x264enc"]).pace.every, Duration::from_secs(4));
        assert_eq!((steps(&[]).pace, steps(&["neverenc", "x264enc"]).pace), (UNKNOWN, UNKNOWN));
        let mut fixed = steps(&["svtav1enc", "av1enc"]);
        assert_eq!(fixed.change(), Change::Anew);
        assert!(!fixed.admit((4, 2), Reach::End, Urgency::Urgent, crate::clock::now()), "it takes no other");
    }

    #[test]
    fn whoever_asks_for_it_the_direction_changes_eight_times_in_a_minute_at_most() {
        let (mut steps, start) = (steps(&["x264enc"]), crate::clock::now());
        let (mut rate, mut turns): (u32, Vec<u64>) = (4_000_000, Vec::new());
        for second in 0..600 {
            let to = if rate == 4_000_000 { 1_000_000 } else { 4_000_000 };
            if steps.admit((rate, to), Reach::End, Urgency::Urgent, at(start, second * 1000)) {
                steps.made((rate, to), at(start, second * 1000));
                turns.push(second);
                rate = to;
            } else {
                assert_eq!(rate, 1_000_000, "it waits below");
            }
        }
        for (n, first) in turns.iter().enumerate().skip(1) {
            let within = turns[n..].iter().take_while(|at| **at < first + 60).count();
            assert!(within <= MOST_TURNS, "{within} from {first} s on");
        }
        assert!(turns.len() > 60, "{}", turns.len());
    }
}
