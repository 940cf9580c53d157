//! Clocks that differ in speed: each end reads its own, the world has the true one.

use std::time::{Duration, Instant};

/// One end's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When it showed the true time.
    set: Instant,
    /// How much faster it is than the true one, parts per million.
    ppm: i64,
}

impl Clock {
    pub(super) fn new(set: Instant, ppm: i64) -> Self {
        Self { set, ppm }
    }

    /// What it shows at a true time.
    pub(super) fn shows(&self, truth: Instant) -> Instant {
        let passed = i128::try_from(truth.saturating_duration_since(self.set).as_nanos()).unwrap();
        self.set + nanos(passed + passed * i128::from(self.ppm) / 1_000_000)
    }

    /// The first true time at which it shows at least `shown`.
    pub(super) fn truth(&self, shown: Instant) -> Instant {
        let passed = i128::try_from(shown.saturating_duration_since(self.set).as_nanos()).unwrap();
        let mut truth = self.set + nanos(passed * 1_000_000 / (1_000_000 + i128::from(self.ppm)));
        while self.shows(truth) < shown {
            truth += Duration::from_nanos(1);
        }
        truth
    }
}

fn nanos(nanos: i128) -> Duration {
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(0))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
fn a_clock_shows_at_the_true_time_what_was_asked_for_and_not_before() {
    let set = Instant::now();
    for ppm in [-200, 0, 1, 200] {
        let clock = Clock::new(set, ppm);
        for seconds in [0, 1, 100, 3600] {
            let shown = set + Duration::from_secs(seconds) + Duration::from_nanos(777);
            let truth = clock.truth(shown);
            assert!(clock.shows(truth) >= shown && clock.shows(truth) - shown < Duration::from_nanos(5));
            assert!(clock.shows(truth - Duration::from_nanos(2)) < shown);
        }
    }
}
