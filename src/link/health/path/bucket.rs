//! Pure. How often a destination may change its route: a token bucket.

use std::time::{Duration, Instant};

use super::super::planted::{Bug, planted};

/// So many changes may follow each other at once ...
pub const BURST: u32 = 4;
/// ... and then one in so long.
pub const ONE_IN: Duration = Duration::from_secs(10);
/// Most changes in any 60 s: what was saved, and what is earned meanwhile.
pub const MOST_IN_A_MINUTE: u32 = BURST + 6;
/// Changes that are a matter of choice leave so many for those that are not.
pub const KEPT_FOR_NEED: u32 = 2;

#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    tokens: u32,
    /// When the last token came, or would have if there had been room.
    earned: Instant,
}

impl Bucket {
    pub(super) const fn full(now: Instant) -> Self {
        Self { tokens: BURST, earned: now }
    }

    pub(super) fn has(&mut self, tokens: u32, now: Instant) -> bool {
        while self.tokens < BURST && self.earned + ONE_IN <= now {
            self.tokens += 1;
            self.earned += ONE_IN;
        }
        if self.tokens == BURST {
            self.earned = now;
        }
        self.tokens >= tokens || planted(Bug::SwitchesWithoutBound)
    }

    pub(super) fn take(&mut self, now: Instant) -> bool {
        let has = self.has(1, now);
        self.tokens = self.tokens.saturating_sub(1);
        has
    }

    /// When there are so many.
    pub(super) fn next(&self, tokens: u32) -> Option<Instant> {
        let lacking = tokens.saturating_sub(self.tokens);
        (lacking > 0).then(|| self.earned + ONE_IN * lacking)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn no_minute_has_more_than_promised_however_it_is_asked() {
        let begin = Instant::now();
        for (seed, every) in [(1, 1), (2, 100), (3, 1700), (4, 9000), (5, 30_000)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut now = begin;
            let mut bucket = Bucket::full(now);
            let mut taken: VecDeque<Instant> = VecDeque::new();
            while now < begin + Duration::from_secs(1200) {
                now += Duration::from_millis(random.u64(1..=every));
                if bucket.take(now) {
                    taken.push_back(now);
                }
                while taken.front().is_some_and(|at| now.saturating_duration_since(*at) >= Duration::from_secs(60)) {
                    taken.pop_front();
                }
                assert!(taken.len() <= MOST_IN_A_MINUTE as usize, "{} at {every}", taken.len());
            }
        }
    }

    #[test]
    fn a_token_comes_when_it_was_promised() {
        let mut now = Instant::now();
        let mut bucket = Bucket::full(now);
        for _ in 0..BURST {
            now += Duration::from_millis(10);
            assert!(bucket.take(now));
        }
        assert!(!bucket.take(now));
        let next = bucket.next(1).unwrap();
        assert!(!bucket.take(next - Duration::from_millis(1)) && bucket.take(next));
    }
}
