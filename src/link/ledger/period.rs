//! Pure. When a month of a data plan begins anew, by a clock on the wall that may be wrong.
//!
//! A box without a battery for its clock begins each boot in the past, and is put right by NTP some time later; somebody may
//! set the clock wrongly by hand. So a period that is not the one at hand has to be seen for a while before it counts, a
//! clock that goes back takes nothing back, and one that returns to a period that has been renewed does not renew it again.

use std::time::{Duration, Instant};

use crate::model::Day;

/// For so long the clock on the wall has to say so.
pub(super) const STEADY: Duration = Duration::from_secs(600);
/// A clock that shows an earlier day has not been set.
const PLAUSIBLE: Day = Day { year: 2026, month: 1, day: 1 };

/// The periods of one link's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Period {
    /// Day of the month.
    pub(super) starts: u8,
    /// The first day of the one at hand; `None` before that is known.
    pub(super) begun: Option<Day>,
    /// The first day of the one that was last begun anew.
    pub(super) renewed: Option<Day>,
    coming: Option<Coming>,
}

/// Another period than the one at hand, which the clock has begun to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Coming {
    first: Day,
    since: Instant,
    /// Bytes that had been used by then.
    used: u64,
}

impl Period {
    pub(super) const fn new(starts: u8, begun: Option<Day>, renewed: Option<Day>) -> Self {
        Self { starts, begun, renewed, coming: None }
    }

    /// The clock on the wall shows `today`. Says how much is used of the period that begins, if one does.
    pub(super) fn today(&mut self, today: Day, used: u64, now: Instant) -> Option<u64> {
        let first = today.period(self.starts);
        if today < PLAUSIBLE || self.begun == Some(first) {
            self.coming = None;
            return None;
        }
        let coming = *match &mut self.coming {
            Some(coming) if coming.first == first => coming,
            other => other.insert(Coming { first, since: now, used }),
        };
        if now.saturating_duration_since(coming.since) < STEADY {
            return None;
        }
        let renews = self.begun.is_some_and(|begun| begun < first) && self.renewed != Some(first);
        (self.begun, self.coming) = (Some(first), None);
        if !renews {
            return None;
        }
        self.renewed = Some(first);
        Some(used.saturating_sub(coming.used))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use super::*;

    struct Clock {
        period: Period,
        now: Instant,
        used: u64,
    }

    impl Clock {
        fn begin(begun: &str) -> Self {
            Self { period: Period::new(1, Day::parse(begun), None), now: Instant::now(), used: 500 }
        }

        /// Shows this day for so many minutes, in each of which a byte is used.
        fn shows(&mut self, today: &str, minutes: u64) -> Vec<u64> {
            let mut renewed = Vec::new();
            for _ in 0..minutes {
                if let Some(used) = self.period.today(Day::parse(today).unwrap(), self.used, self.now) {
                    self.used = used;
                    renewed.push(used);
                }
                self.used += 1;
                self.now += Duration::from_secs(60);
            }
            renewed
        }
    }

    #[test]
    fn a_new_month_begins_with_what_was_used_since_its_first_minute() {
        let mut clock = Clock::begin("2026-11-01");
        assert!(clock.shows("2026-11-30", 100).is_empty());
        assert_eq!(clock.shows("2026-12-01", 100), [10]);
        assert!(clock.shows("2026-12-02", 100).is_empty());
        assert_eq!(clock.shows("2027-01-01", 100), [10]);
    }

    #[test]
    fn a_clock_that_is_put_right_soon_renews_nothing() {
        let mut clock = Clock::begin("2026-11-01");
        assert!(clock.shows("1970-01-01", 100).is_empty(), "never set");
        assert!(clock.shows("2026-11-28", 20).is_empty());
        assert!(clock.shows("2027-03-05", 9).is_empty(), "wrong for nine minutes");
        assert!(clock.shows("2026-11-28", 20).is_empty());
        assert_eq!(clock.used, 500 + 149);
    }

    #[test]
    fn a_clock_that_goes_back_and_forth_renews_no_period_twice() {
        let mut clock = Clock::begin("2026-10-01");
        assert_eq!(clock.shows("2026-11-01", 60).len(), 1);
        assert!(clock.shows("2026-10-07", 60).is_empty());
        assert!(clock.shows("2026-11-02", 60).is_empty());
        assert_eq!(clock.shows("2026-12-01", 60).len(), 1);
    }

    #[test]
    fn a_clock_that_was_years_ahead_does_not_stop_the_months_that_come() {
        let mut clock = Clock::begin("2026-11-01");
        assert_eq!(clock.shows("2036-05-05", 60).len(), 1, "nobody could know");
        assert!(clock.shows("2026-11-20", 60).is_empty());
        assert_eq!(clock.shows("2026-12-01", 60).len(), 1);
    }

    #[test]
    fn a_period_of_which_nothing_was_known_is_not_new() {
        let mut clock = Clock::begin("");
        assert!(clock.shows("2026-11-28", 60).is_empty());
        assert_eq!(clock.period.begun, Day::parse("2026-11-01"));
        assert_eq!(clock.shows("2026-12-01", 60).len(), 1);
    }
}
