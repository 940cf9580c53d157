//! Pure. When somebody else takes away again and again what was laid, that is not fought for ever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So often within [`WITHIN`] something may be laid; a network that comes up takes three or four times.
const MOST: usize = 12;
const WITHIN: Duration = Duration::from_secs(60);

/// When something was laid lately.
#[derive(Debug, Default)]
pub(super) struct Patience {
    laid: VecDeque<Instant>,
}

/// What to do about something that is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// Lay it.
    Go,
    /// Wait until then. Somebody takes it away.
    Wait(Instant),
}

impl Patience {
    /// Something is to be laid at `now`.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        while self.laid.front().is_some_and(|at| now.saturating_duration_since(*at) >= WITHIN) {
            self.laid.pop_front();
        }
        match self.laid.front() {
            Some(first) if self.laid.len() >= MOST => Turn::Wait(*first + WITHIN),
            Some(_) | None => {
                self.laid.push_back(now);
                Turn::Go
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn whoever_takes_it_away_each_second_is_answered_twelve_times_a_minute() {
        let (mut patience, begin) = (Patience::default(), clock::now());
        let mut went = 0;
        for second in 0..300 {
            let now = begin + Duration::from_secs(second);
            match patience.turn(now) {
                Turn::Go => went += 1,
                Turn::Wait(until) => assert!(until > now && until <= now + WITHIN),
            }
        }
        assert_eq!(went, 5 * MOST);
    }

    #[test]
    fn a_network_that_changes_now_and_then_is_followed_for_ever() {
        let (mut patience, begin) = (Patience::default(), clock::now());
        for n in 0..1000 {
            assert_eq!(patience.turn(begin + Duration::from_secs(6 * n)), Turn::Go);
        }
    }
}
