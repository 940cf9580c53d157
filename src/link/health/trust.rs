//! Pure. How often a link has failed, and how long it has to be clean for it.

use std::time::{Duration, Instant};

use super::class::{FORGIVEN_AFTER, PROBATION_MOST, PROBATION_NEW, Thresholds};
use super::evidence::Evidence;
use super::planted::{Bug, planted};

/// A link's record. It outlives deaths and returns; only time forgives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Failures, each soon after it had been trusted.
    pub(super) relapses: u32,
    /// What it failed by last.
    pub(super) failed: Option<Evidence>,
    /// Since when it has been trusted again after a failure, or failed again since.
    remembered: Option<Instant>,
}

impl Record {
    pub(super) const fn new() -> Self {
        Self { relapses: 0, failed: None, remembered: None }
    }

    /// A trusted link has failed.
    pub(super) fn fail(&mut self, evidence: Evidence, now: Instant) {
        let soon = self.remembered.is_some_and(|at| now.saturating_duration_since(at) < FORGIVEN_AFTER);
        self.relapses = if soon && !planted(Bug::ForgivesAtOnce) { self.relapses.saturating_add(1) } else { 0 };
        self.failed = Some(evidence);
        self.remembered = Some(now);
    }

    /// It is trusted again.
    pub(super) fn trusted(&mut self, now: Instant) {
        self.remembered = self.remembered.map(|_| now);
    }

    /// How long it has to be clean.
    pub(super) fn needs(&self, thresholds: &Thresholds) -> Duration {
        if planted(Bug::SkipsProbation) {
            return Duration::from_millis(1);
        }
        match self.failed {
            None => PROBATION_NEW,
            Some(_) => thresholds.probation.saturating_mul(1 << self.relapses.min(8)).min(PROBATION_MOST),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]

    use super::*;
    use crate::link::health::LinkClass;

    #[test]
    fn each_relapse_doubles_the_probation_and_time_forgives() {
        let mut now = Instant::now();
        let row = LinkClass::Ethernet.thresholds();
        let mut record = Record::new();
        assert_eq!(record.needs(row), PROBATION_NEW);
        let mut needs = Vec::new();
        for _ in 0..7 {
            record.fail(Evidence::Captive, now);
            needs.push(record.needs(row).as_secs());
            now += record.needs(row);
            record.trusted(now);
            now += FORGIVEN_AFTER - Duration::from_secs(1);
        }
        assert_eq!(needs, [30, 60, 120, 240, 480, 600, 600]);
        now += Duration::from_secs(1);
        record.fail(Evidence::Captive, now);
        assert_eq!(record.needs(row).as_secs(), 30, "ten good minutes are enough");
    }
}
