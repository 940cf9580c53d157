//! Pure. How good a link is as a choice: the order of these variants is the policy.

use std::time::{Duration, Instant};

use super::super::action::Standing;
use super::super::budget::Allowance;
use super::super::evidence::{Evidence, Health, Probation, Unclean};
use super::super::planted::{Bug, planted};
use super::super::score::Grade;

/// A link that died without a witness to tell when it returns is worth a try after so long.
pub(super) const WORTH_A_TRY: Duration = Duration::from_secs(30);

/// How good a link is, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tier {
    /// Trusted, and it carries what it is given.
    Good,
    /// On probation, and clean so far.
    Proving,
    /// Trusted, but it loses too much.
    Poor,
    /// Suspect, or not clean.
    Doubtful,
    /// Nothing is known of it.
    Unheard,
    /// Works, but its budget is spent: better than nothing.
    LastResort,
    /// Dead, gone, or not allowed.
    Out,
}

/// What is known of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// None if the interface is gone.
    pub(super) standing: Option<Standing>,
    pub(super) allowance: Allowance,
}

impl Known {
    pub(super) fn tier(&self, now: Instant) -> Tier {
        let Some(standing) = &self.standing else { return Tier::Out };
        let tier = match (&standing.health, standing.grade) {
            (Health::Up { .. }, Grade::Good) => Tier::Good,
            (Health::Up { .. }, Grade::Poor) => Tier::Poor,
            (Health::Suspect { .. }, _) => Tier::Doubtful,
            (Health::Probation(probation), _) => of_probation(probation),
            // The targets may have failed and not the link: better than one that is known to be dead.
            (Health::Dead { evidence: Evidence::ProbesSilent { .. }, .. }, _) => Tier::Unheard,
            (Health::Dead { .. }, _) => match self.retry_at() {
                Some(at) if at <= now => Tier::Unheard,
                Some(_) | None => Tier::Out,
            },
        };
        match self.allowance {
            Allowance::Free | Allowance::Warned => tier,
            Allowance::Spent => tier.max(Tier::LastResort),
            Allowance::Barred => Tier::Out,
        }
    }

    /// Whether whatever goes over it has to leave at once.
    pub(super) fn is_lost(&self) -> bool {
        let dead = |standing: Standing| matches!(standing.health, Health::Dead { .. });
        self.allowance == Allowance::Barred || self.standing.is_none_or(dead)
    }

    /// When a link is worth a try that nobody can see return.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        match self.standing?.health {
            Health::Dead { since, evidence: Evidence::BackOff { .. } | Evidence::NoProgress { probes: None, .. } } => {
                Some(since + WORTH_A_TRY)
            }
            Health::Dead { .. } | Health::Up { .. } | Health::Suspect { .. } | Health::Probation(_) => None,
        }
    }
}

fn of_probation(probation: &Probation) -> Tier {
    if planted(Bug::SkipsProbation) {
        return Tier::Good;
    }
    match probation.unclean {
        Unclean::Clean => Tier::Proving,
        Unclean::Lossy(_) => Tier::Doubtful,
        Unclean::NothingHeard if probation.failed.is_none() => Tier::Unheard,
        Unclean::Silent(_) => Tier::Unheard,
        Unclean::NothingHeard | Unclean::NoCarrier | Unclean::Captive => Tier::Out,
    }
}
