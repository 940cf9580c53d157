//! Pure. How well a link that is alive carries: points, and a grade that does not change with every gust.

use std::fmt;
use std::time::{Duration, Instant};

/// A link that loses more than so many per cent is poor ...
pub const POOR_LOSS: u32 = 20;
/// ... if that lasts for so long.
pub const POOR_AFTER: Duration = Duration::from_secs(5);
/// A poor link has to lose no more than this ...
pub const GOOD_LOSS: u32 = 10;
/// ... for so long before it is good again.
pub const GOOD_AFTER: Duration = Duration::from_secs(20);
/// Points move towards what was measured last with this time constant.
const SMOOTH: Duration = Duration::from_secs(5);

/// Whether a link that is alive is worth having.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It carries what it is given.
    Good,
    /// It loses so much that any good link is better.
    Poor,
}

/// Points of a link, 0 to 100: one less for each 20 ms of round trip, at most 40, and two less for each per cent of loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score(pub u8);

impl Score {
    /// Nothing is known yet.
    pub const UNKNOWN: Self = Self(50);

    /// Of what was measured.
    pub fn of(rtt: Duration, loss: u32) -> Self {
        let slow = u32::try_from(rtt.as_millis() / 20).unwrap_or(u32::MAX).min(40);
        let points = 100_u32.saturating_sub(slow).saturating_sub(loss.saturating_mul(2));
        Self(u8::try_from(points).unwrap_or(100))
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of 100", self.0)
    }
}

/// Follows a link's quality.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quality {
    grade: Grade,
    /// Since when what is measured speaks for the other grade.
    turning: Option<Instant>,
    points: Option<f64>,
    at: Instant,
}

impl Quality {
    pub(super) const fn new(now: Instant) -> Self {
        Self { grade: Grade::Good, turning: None, points: None, at: now }
    }

    pub(super) const fn grade(&self) -> Grade {
        self.grade
    }

    pub(super) fn score(&self) -> Score {
        // Between 0 and 100 by construction.
        self.points.map_or(Score::UNKNOWN, |points| Score(points.round() as u8))
    }

    /// A session could not be served although the link answers: it loses too much.
    pub(super) const fn fails(&mut self) {
        self.grade = Grade::Poor;
        self.turning = None;
    }

    /// What was measured of late.
    pub(super) fn measure(&mut self, rtt: Duration, loss: u32, now: Instant) {
        let measured = f64::from(Score::of(rtt, loss).0);
        let weight = (now.saturating_duration_since(self.at).as_secs_f64() / SMOOTH.as_secs_f64()).min(1.0);
        self.points = Some(self.points.map_or(measured, |points| points + (measured - points) * weight));
        self.at = now;
        let (speaks, lasts) = match self.grade {
            Grade::Good => (loss > POOR_LOSS, POOR_AFTER),
            Grade::Poor => (loss <= GOOD_LOSS, GOOD_AFTER),
        };
        if !speaks {
            self.turning = None;
            return;
        }
        let since = *self.turning.get_or_insert(now);
        if now.saturating_duration_since(since) >= lasts {
            self.turning = None;
            self.grade = match self.grade {
                Grade::Good => Grade::Poor,
                Grade::Poor => Grade::Good,
            };
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;

    const TICK: Duration = Duration::from_millis(100);

    fn run(quality: &mut Quality, loss: impl Fn(u32) -> u32, seconds: u32, now: &mut Instant) -> u32 {
        let mut changes = 0;
        for tick in 0..seconds * 10 {
            let before = quality.grade();
            *now += TICK;
            quality.measure(Duration::from_millis(40), loss(tick), *now);
            changes += u32::from(quality.grade() != before);
        }
        changes
    }

    #[test]
    fn a_grade_between_the_thresholds_stays_what_it_is() {
        let mut now = Instant::now();
        let mut quality = Quality::new(now);
        assert_eq!(run(&mut quality, |_| 15, 600, &mut now), 0);
        assert_eq!(quality.grade(), Grade::Good);
        assert_eq!(run(&mut quality, |_| 30, 60, &mut now), 1);
        assert_eq!(run(&mut quality, |_| 15, 600, &mut now), 0);
        assert_eq!(quality.grade(), Grade::Poor);
        assert_eq!(run(&mut quality, |_| 3, 60, &mut now), 1);
    }

    #[test]
    fn a_grade_changes_at_most_five_times_in_a_minute_whatever_is_measured() {
        for period in [3, 50, 120, 250, 400] {
            let mut now = Instant::now();
            let mut quality = Quality::new(now);
            let changes = run(&mut quality, |tick| if tick / period % 2 == 0 { 90 } else { 0 }, 600, &mut now);
            assert!(changes <= 50, "{changes} changes in ten minutes at {period}");
        }
    }

    #[test]
    fn gusts_do_not_count() {
        let mut now = Instant::now();
        let mut quality = Quality::new(now);
        assert_eq!(run(&mut quality, |tick| if tick % 100 < 40 { 90 } else { 0 }, 600, &mut now), 0);
    }

    #[test]
    fn a_faster_link_and_a_cleaner_one_have_more_points() {
        let ms = Duration::from_millis;
        assert_eq!(Score::of(ms(0), 0), Score(100));
        assert!(Score::of(ms(40), 0) > Score::of(ms(400), 0));
        assert!(Score::of(ms(400), 0) > Score::of(ms(40), 30));
        assert_eq!(Score::of(Duration::from_secs(3600), 100), Score(0));
    }
}
