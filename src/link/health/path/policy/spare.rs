//! Pure. The standby of one destination: where it is wanted, and when it carries as well.

use std::time::Instant;

use super::super::super::action::Outlook;
use super::super::super::evidence::{Evidence, Health, Probation, Unclean};
use super::super::decision::{Decision, Purpose, Route, Why};
use super::super::tier::Tier;
use super::{HOLD, Path, Readiness, Rule, Spares, Standby};

impl Path {
    /// Keeps the standby where it is needed.
    pub(super) fn prepare(&mut self, route: &Route, now: Instant) {
        if self.standby.as_ref().is_some_and(|standby| standby.route == *route) {
            self.standby = None;
        }
        if let Some((to, _)) = self.better(route, now) {
            self.better_spare = None;
            return match self.standby.as_mut().filter(|standby| standby.route == to) {
                Some(standby) => standby.purpose = Purpose::Move,
                None => self.ask(to, Purpose::Move, now),
            };
        }
        if let Some(standby) = &mut self.standby {
            standby.purpose = Purpose::Spare;
        }
        let wanted = match self.spares {
            Spares::Always => true,
            Spares::OnAlarm => self.alarm(route) || self.standby.is_some(),
        };
        let best = self.best_other(Some(&route.link), Tier::Doubtful, false, now).filter(|_| wanted);
        let (Some(best), false) = (best, matches!(self.rule, Rule::Pinned(_))) else {
            self.better_spare = None;
            return;
        };
        let Some(standby) = &self.standby else { return self.ask(best, Purpose::Spare, now) };
        if standby.route.link == best.link {
            self.better_spare = None;
            // It went to the address that is in use, since its own could not be had, which the far end may hold.
            let is_makeshift = standby.route.ingest != best.ingest && best.ingest == self.first_address(&best.link);
            if is_makeshift && standby.readiness < Readiness::Carrying {
                self.ask(best, Purpose::Spare, now);
            }
            return;
        }
        let works = self.tier(&standby.route.link, now) <= Tier::Doubtful;
        let since = match &self.better_spare {
            Some((link, since)) if *link == best.link => *since,
            Some(_) | None => now,
        };
        self.better_spare = Some((best.link.clone(), since));
        if !works || now.saturating_duration_since(since) >= HOLD {
            self.better_spare = None;
            self.ask(best, Purpose::Spare, now);
        }
    }

    fn ask(&mut self, route: Route, purpose: Purpose, now: Instant) {
        self.standby = Some(Standby { route: route.clone(), purpose, readiness: Readiness::Connecting, asked: now });
        self.push(Decision::Prepare { route, purpose });
    }

    fn alarm(&self, route: &Route) -> bool {
        self.standing(&route.link)
            .is_none_or(|standing| standing.outlook == Outlook::Foul || !matches!(standing.health, Health::Up { .. }))
    }

    /// While the carrier is lost, the standby carries as well.
    pub(super) fn activate(&mut self, route: &Route) {
        let Some(known) = self.standing(&route.link) else { return };
        let health = known.health;
        let lost = matches!(
            health,
            Health::Suspect { evidence: Evidence::NoCarrier { .. }, .. }
                | Health::Probation(Probation { unclean: Unclean::NoCarrier, .. })
        );
        let Some(standby) = &mut self.standby else { return };
        match (lost, standby.readiness) {
            (true, Readiness::Ready) => {
                standby.readiness = Readiness::Carrying;
                let (to, link) = (standby.route.clone(), route.link.clone());
                self.push(Decision::Activate { route: to, why: Why::Link { link, health } });
            }
            (false, Readiness::Carrying) => {
                standby.readiness = Readiness::Ready;
                let route = standby.route.clone();
                self.push(Decision::StandDown { route });
            }
            (true, Readiness::Connecting | Readiness::Carrying) | (false, Readiness::Connecting | Readiness::Ready) => {
            }
        }
    }

    /// The standby, if it could carry at once and is any good.
    pub(super) fn ready(&self, now: Instant) -> Option<Route> {
        let standby = self.standby.as_ref().filter(|standby| standby.readiness >= Readiness::Ready)?;
        (self.tier(&standby.route.link, now) <= Tier::Proving).then(|| standby.route.clone())
    }
}
