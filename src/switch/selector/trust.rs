//! How often an input has failed, and how long it has to be good for it.

use super::planted::{Bug, planted};
use crate::model::{InputRules, Media};

/// An input that has never failed is proven after so long: the first pictures of a worker that crashes over them.
pub(super) const SETTLE: Media = Media::from_millis(2000);

/// An input's record. It outlives failures and returns; only time forgives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    trust: Trust,
    /// Failures in a row, each soon after it had been trusted.
    relapses: u32,
    /// Since when it has been trusted again after a failure, or failed again since.
    remembered: Option<Media>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It has neither failed nor been good for long enough.
    New,
    Given,
    Lost,
}

impl Record {
    pub(super) const fn new() -> Self {
        Self { trust: Trust::New, relapses: 0, remembered: None }
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trust == Trust::Given
    }

    /// It has neither failed nor been good for long enough.
    pub(super) fn is_new(&self) -> bool {
        self.trust == Trust::New
    }

    /// Something that counts is wrong with it.
    pub(super) fn fail(&mut self, now: Media) {
        if self.trust == Trust::Given {
            let soon = self.remembered.is_some_and(|at| now - at < InputRules::FORGIVEN_AFTER);
            self.relapses = if soon && !planted(Bug::ForgivesAtOnce) { self.relapses.saturating_add(1) } else { 0 };
            self.remembered = Some(now);
        }
        self.trust = Trust::Lost;
    }

    /// It has been good for long enough.
    pub(super) fn prove(&mut self, now: Media) {
        self.trust = Trust::Given;
        self.remembered = self.remembered.map(|_| now);
    }

    /// How long it has to be good.
    pub(super) fn needs(&self, rules: &InputRules) -> Media {
        if planted(Bug::SkipsProbation) {
            return Media::from_millis(1);
        }
        match self.trust {
            Trust::New => SETTLE.min(rules.probation),
            Trust::Given | Trust::Lost => {
                let doubled = Media(rules.probation.0.saturating_mul(1 << self.relapses.min(16)));
                doubled.min(InputRules::PROBATION_MOST.max(rules.probation))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    #[test]
    fn each_relapse_doubles_the_probation_and_time_forgives() {
        let rules = InputRules::default();
        let (mut record, mut now) = (Record::new(), Media::ZERO);
        assert_eq!(record.needs(&rules), SETTLE);
        record.prove(now);
        let mut needs = Vec::new();
        for _ in 0..7 {
            record.fail(now);
            record.fail(now);
            needs.push(record.needs(&rules).to_ticks(1));
            now = now + record.needs(&rules);
            record.prove(now);
            now = now + InputRules::FORGIVEN_AFTER - ms(1);
        }
        assert_eq!(needs, [10, 20, 40, 80, 160, 300, 300]);
        now = now + ms(1);
        record.fail(now);
        assert_eq!(record.needs(&rules), ms(10_000), "ten good minutes are enough");
    }

    #[test]
    fn whoever_has_never_been_trusted_has_nothing_to_relapse_from() {
        let rules = InputRules::default();
        let mut record = Record::new();
        for n in 0..5 {
            record.fail(ms(n * 1000));
            assert_eq!(record.needs(&rules), rules.probation, "a loss during probation begins it again");
        }
        record.prove(ms(20_000));
        record.fail(ms(21_000));
        assert_eq!(record.needs(&rules), rules.probation, "its first failure");
    }

    #[test]
    fn a_probation_that_is_long_by_itself_is_never_cut() {
        let rules = InputRules { probation: ms(400_000), ..InputRules::default() };
        let mut record = Record::new();
        record.prove(ms(0));
        for _ in 0..3 {
            record.fail(ms(0));
            assert_eq!(record.needs(&rules), ms(400_000));
            record.prove(ms(0));
        }
    }
}
