//! Pure. The policy of one destination.

mod spare;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::super::action::{Outlook, Standing};
use super::super::budget::Allowance;
use super::super::evidence::ServerFault;
use super::super::planted::{Bug, planted};
use super::super::score::Score;
use super::bucket::{Bucket, KEPT_FOR_NEED};
use super::decision::{Decision, How, Purpose, Route, Why};
use super::faults::{Faults, Kind};
use super::tier::{Known, Tier};
use crate::model::InterfaceName;

/// For how long a link has to have [`MARGIN`] more points, and a better standby has to be better.
pub const HOLD: Duration = Duration::from_secs(10);
/// How many points more make a link better than one that is trusted.
pub const MARGIN: u8 = 15;
/// How many points more are enough where a session was lost: four per cent of the packets, say.
const SHAKEN_MARGIN: u8 = 8;
/// A standby that is not ready after so long has failed.
const STANDBY_TIMEOUT: Duration = Duration::from_secs(15);
/// Most decisions that wait to be taken out; the oldest go. A path that is polled has fewer than five.
const MAX_WAITING: usize = 64;

/// Which links a destination may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// This one and no other.
    Pinned(InterfaceName),
    /// The first of them that is any good.
    Failover(Vec<InterfaceName>),
    /// Whichever carries best.
    Best(Vec<InterfaceName>),
}

/// When there is to be a standby.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spares {
    /// Always.
    Always,
    /// When the present link is suspect, or telemetry expects trouble there.
    OnAlarm,
}

/// Which address another link begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere {
    /// The one that is in use.
    SameAddress,
    /// The one after it: the far end may hold the first for a session that it does not know to be dead.
    NextAddress,
}

/// What a path hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// How a link is; whenever that changes. Every link of the rule is to be told of once, also those that are not there.
    Link {
        /// Which.
        link: InterfaceName,
        /// From its judge; None if the interface is gone.
        standing: Option<Standing>,
        /// From its data budget.
        allowance: Allowance,
    },
    /// The standby there could carry at once.
    Ready(Route),
    /// No session could be had there, or it was lost.
    Failed(Route),
    /// The interface has no way there for the moment: no address, no route.
    Unreachable(Route),
    /// The session there is over, because its interface has another address now.
    Uprooted(Route),
    /// The server of the present session is silent, the link is not.
    ServerFault(ServerFault),
    /// The next access unit begins with a keyframe.
    Keyframe,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A change of route that was put off may be made.
    Allowed,
    /// A link may have been better for long enough.
    Held,
    /// A standby should have been ready.
    Standby,
    /// A server or a link may be tried again.
    Retry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Readiness {
    Connecting,
    Ready,
    Carrying,
}

#[derive(Clone, Debug)]
struct Standby {
    route: Route,
    purpose: Purpose,
    readiness: Readiness,
    asked: Instant,
}

/// What was said already and is not repeated while it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Stays,
    PutOff,
    Stranded,
}

/// The policy of one destination. Tell it everything with [`Self::observe`], ask with [`Self::poll`] until it has nothing
/// more to say, and come back at [`Self::poll_timeout`] at the latest.
#[derive(Debug)]
pub struct Path {
    rule: Rule,
    spares: Spares,
    ingests: usize,
    elsewhere: Elsewhere,
    links: BTreeMap<InterfaceName, Known>,
    route: Option<Route>,
    standby: Option<Standby>,
    /// What is wrong with the present server.
    fault: Option<Why>,
    faults: Faults,
    bucket: Bucket,
    /// Since when this link has been better than the present one.
    better: Option<(InterfaceName, Instant)>,
    /// Since when this link would be the better standby.
    better_spare: Option<(InterfaceName, Instant)>,
    told: Told,
    considered: Instant,
    decisions: VecDeque<Decision>,
}

impl Path {
    /// A destination with so many addresses, which are tried in order.
    pub fn new(rule: Rule, spares: Spares, ingests: usize, now: Instant) -> Self {
        Self {
            rule,
            spares,
            ingests: ingests.max(1),
            elsewhere: Elsewhere::SameAddress,
            links: BTreeMap::new(),
            route: None,
            standby: None,
            fault: None,
            faults: Faults::default(),
            bucket: Bucket::full(now),
            better: None,
            better_spare: None,
            told: Told::Nothing,
            considered: now,
            decisions: VecDeque::new(),
        }
    }

    /// The same, but another link begins with this address.
    #[must_use]
    pub const fn beginning(mut self, elsewhere: Elsewhere) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// Where the stream goes.
    pub const fn route(&self) -> Option<&Route> {
        self.route.as_ref()
    }

    /// Something happened. `now` must not be before any time it was told earlier.
    pub fn observe(&mut self, now: Instant, input: Input) {
        match input {
            Input::Link { link, standing, allowance } => {
                if self.links().contains(&link) {
                    self.links.insert(link, Known { standing, allowance });
                }
            }
            Input::Ready(route) => {
                if let Some(standby) = self.standby.as_mut().filter(|standby| standby.route == route) {
                    standby.readiness = standby.readiness.max(Readiness::Ready);
                }
            }
            Input::Failed(route) => {
                self.faults.note(&route, Kind::Refused, now);
                if self.standby.as_ref().is_some_and(|standby| standby.route == route) {
                    self.standby = None;
                } else if self.route.as_ref() == Some(&route) {
                    self.fault = Some(Why::Refused);
                }
            }
            Input::Unreachable(route) => {
                self.faults.note_link(&route, self.ingests, now);
                self.standby.take_if(|standby| standby.route == route);
                if self.route.as_ref() == Some(&route) {
                    self.fault = Some(Why::Refused);
                }
            }
            // Nobody there is to blame.
            Input::Uprooted(route) => {
                if self.route.as_ref() == Some(&route) {
                    self.fault = Some(Why::Uprooted(route.link));
                }
            }
            Input::ServerFault(fault) => {
                if let Some(route) = &self.route {
                    self.faults.note(route, Kind::Silent, now);
                    self.fault = Some(Why::Server(fault));
                }
            }
            Input::Keyframe => {
                self.consider(now);
                self.move_at_keyframe(now);
            }
        }
        self.consider(now);
    }

    /// What is to be done.
    pub fn poll(&mut self, now: Instant) -> Option<Decision> {
        self.consider(now);
        self.decisions.pop_front()
    }

    /// When [`Self::poll`] is to be called at the latest, and what for.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        let allowed = match self.told {
            Told::PutOff => self.bucket.next(1),
            Told::Nothing | Told::Stays | Told::Stranded => self.bucket.next(1 + KEPT_FOR_NEED),
        };
        let held = [&self.better, &self.better_spare].into_iter().flatten().map(|(_, since)| *since + HOLD);
        let connecting = self.standby.as_ref().filter(|standby| standby.readiness == Readiness::Connecting);
        let standby = connecting.map(|standby| (standby.asked + STANDBY_TIMEOUT, Reason::Standby));
        let retry = self.links.values().filter_map(Known::retry_at).chain(self.faults.next(self.considered));
        let all = held
            .map(|at| (at, Reason::Held))
            .chain(allowed.map(|at| (at, Reason::Allowed)))
            .chain(standby)
            .chain(retry.map(|at| (at, Reason::Retry)));
        all.filter(|(at, _)| *at > self.considered).min_by_key(|(at, _)| *at)
    }

    fn links(&self) -> &[InterfaceName] {
        match &self.rule {
            Rule::Pinned(link) => std::slice::from_ref(link),
            Rule::Failover(links) | Rule::Best(links) => links,
        }
    }

    fn tier(&self, link: &InterfaceName, now: Instant) -> Tier {
        self.links.get(link).map_or(Tier::Out, |known| known.tier(now))
    }

    fn is_barred(&self, link: &InterfaceName) -> bool {
        self.links.get(link).is_some_and(|known| known.allowance == Allowance::Barred)
    }

    fn standing(&self, link: &InterfaceName) -> Option<&Standing> {
        self.links.get(link)?.standing.as_ref()
    }

    fn score(&self, link: &InterfaceName) -> Score {
        self.standing(link).map_or(Score(0), |standing| standing.score)
    }

    /// Lower is better.
    fn rank(&self, link: &InterfaceName, now: Instant) -> (Tier, usize) {
        let within = match &self.rule {
            Rule::Best(_) => 100 - usize::from(self.score(link).0.min(100)),
            Rule::Pinned(_) | Rule::Failover(_) => 0,
        };
        let place = self.links().iter().position(|known| known == link).unwrap_or(usize::MAX / 2);
        (self.tier(link, now), within * self.links().len().max(1) + place)
    }

    /// The best route over another link than this one, if it is at least as good as `least`. With servers that are left
    /// alone only if `anyhow`.
    fn best_other(&self, than: Option<&InterfaceName>, least: Tier, anyhow: bool, now: Instant) -> Option<Route> {
        let others = self.links().iter().filter(|link| Some(*link) != than && self.tier(link, now) <= least);
        let well = others.clone().filter_map(|link| Some((self.rank(link, now), self.route_over(link, now)?)));
        let best = well.min_by_key(|(rank, _)| *rank).map(|(_, route)| route);
        best.or_else(|| {
            let link = others.filter(|_| anyhow).min_by_key(|link| self.rank(link, now))?;
            Some(Route { link: link.clone(), ingest: self.first_address(link) })
        })
    }

    /// The address that a session over this link is tried at first.
    fn first_address(&self, link: &InterfaceName) -> usize {
        let Some(route) = &self.route else { return 0 };
        match self.elsewhere {
            Elsewhere::NextAddress if route.link != *link => (route.ingest + 1) % self.ingests,
            Elsewhere::NextAddress | Elsewhere::SameAddress => route.ingest,
        }
    }

    /// To the first address over this link, or to the next one that is not left alone there.
    fn route_over(&self, link: &InterfaceName, now: Instant) -> Option<Route> {
        let first = self.first_address(link);
        let routes = (0..self.ingests).map(|n| Route { link: link.clone(), ingest: (first + n) % self.ingests });
        routes.into_iter().find(|route| !self.faults.has(route, now))
    }

    fn consider(&mut self, now: Instant) {
        self.considered = now;
        if self.standby.as_ref().is_some_and(|standby| {
            standby.readiness == Readiness::Connecting
                && now.saturating_duration_since(standby.asked) >= STANDBY_TIMEOUT
        }) {
            let failed = self.standby.take();
            failed.into_iter().for_each(|standby| self.faults.note(&standby.route, Kind::Refused, now));
        }
        let Some(route) = self.route.clone() else { return self.begin(now) };
        if let Some(why) = self.must_leave(&route) {
            self.leave(&route, why, now);
        } else if let Some(why) = self.fault.clone() {
            self.change_server(&route, why, now);
        } else {
            self.told = Told::Nothing;
        }
        let Some(route) = self.route.clone() else { return };
        self.prepare(&route, now);
        self.activate(&route);
        if planted(Bug::SwitchesMidPicture) {
            self.move_at_keyframe(now);
        }
    }

    fn begin(&mut self, now: Instant) {
        // Until every link has been heard of, only one that is trusted will do.
        let all = self.links().iter().all(|link| self.links.contains_key(link));
        let barred = self.links().iter().find(|link| self.is_barred(link)).cloned();
        if let (Rule::Pinned(link), true, None) = (&self.rule, all, &barred) {
            // There is nothing else to wait for.
            return self.switch(Route { link: link.clone(), ingest: 0 }, Why::Start, now);
        }
        let least = if all { Tier::LastResort } else { Tier::Good };
        match self.best_other(None, least, true, now) {
            Some(to) => self.switch(to, Why::Start, now),
            None if all => {
                let stranded = Decision::Stranded { why: Why::NoLink };
                let halt = |link| Decision::Halt { why: Why::BudgetSpent(link) };
                self.tell(Told::Stranded, barred.map_or(stranded, halt));
            }
            None => {}
        }
    }

    /// Why the present route cannot stay.
    fn must_leave(&self, route: &Route) -> Option<Why> {
        let link = route.link.clone();
        let known = self.links.get(&link).filter(|known| known.is_lost())?;
        if planted(Bug::ClingsToTheFirst) && self.links().first() == Some(&link) {
            return None;
        }
        Some(match (&known.standing, known.allowance) {
            (None, _) => Why::LinkGone(link),
            (Some(_), Allowance::Barred) => Why::BudgetSpent(link),
            (Some(standing), Allowance::Free | Allowance::Warned | Allowance::Spent) => {
                Why::Link { link, health: standing.health }
            }
        })
    }

    fn leave(&mut self, route: &Route, why: Why, now: Instant) {
        let other = self.best_other(Some(&route.link), Tier::LastResort, true, now);
        if let (true, None) = (self.is_barred(&route.link), &other) {
            (self.route, self.standby, self.fault, self.better) = (None, None, None, None);
            self.told = Told::Stranded;
            return self.push(Decision::Halt { why });
        }
        if matches!(self.rule, Rule::Pinned(_)) {
            return self.tell(Told::Stays, Decision::Stays { route: route.clone(), why });
        }
        match other {
            Some(to) => self.change(to, why, now),
            None => self.tell(Told::Stranded, Decision::Stranded { why }),
        }
    }

    /// The server is to blame, and not the link, unless that is doubtful as well.
    fn change_server(&mut self, route: &Route, why: Why, now: Instant) {
        if let (Why::Uprooted(_), Some(to)) = (&why, self.ready(now)) {
            return self.change(to, why, now);
        }
        // Where a server is found silent, its link has been found well by then.
        if let (Why::Refused, Some(to)) = (&why, self.clearly_better(route, now)) {
            return self.change(to, Why::Poor(route.link.clone()), now);
        }
        let same_link = self.route_over(&route.link, now).filter(|to| to != route);
        let to = same_link.or_else(|| match self.rule {
            Rule::Pinned(_) => None,
            Rule::Failover(_) | Rule::Best(_) => self.best_other(Some(&route.link), Tier::Poor, false, now),
        });
        match to {
            Some(to) => self.change(to, why, now),
            None => {
                self.fault = None;
                self.push(Decision::Reconnect { route: route.clone(), why });
            }
        }
    }

    /// A trusted link, where the present one is not, or has fewer points: what lost a session there may well be the link,
    /// which is judged on more evidence than has come in yet.
    fn clearly_better(&self, route: &Route, now: Instant) -> Option<Route> {
        if matches!(self.rule, Rule::Pinned(_)) {
            return None;
        }
        let to = self.best_other(Some(&route.link), Tier::Good, false, now)?;
        let ahead = self.score(&to.link).0 >= self.score(&route.link).0.saturating_add(SHAKEN_MARGIN);
        let shaky = self.standing(&route.link).is_some_and(|standing| standing.outlook == Outlook::Foul);
        (ahead || shaky || self.tier(&route.link, now) > Tier::Good).then_some(to)
    }

    /// At once, if there is a token.
    fn change(&mut self, to: Route, why: Why, now: Instant) {
        if self.bucket.take(now) {
            self.switch(to, why, now);
        } else {
            let until = self.bucket.next(1).unwrap_or(now);
            self.tell(Told::PutOff, Decision::PutOff { until, why });
        }
    }

    fn switch(&mut self, to: Route, why: Why, now: Instant) {
        let ready = self.standby.as_ref().filter(|standby| standby.route == to);
        let how = match ready.map(|standby| standby.readiness) {
            Some(Readiness::Ready | Readiness::Carrying) => How::Hot,
            Some(Readiness::Connecting) | None => How::Cold,
        };
        self.go(to, why, how, now);
    }

    fn go(&mut self, to: Route, why: Why, how: How, now: Instant) {
        let from = self.route.replace(to.clone());
        if self.standby.as_ref().is_some_and(|standby| standby.route == to) {
            self.standby = None;
        }
        self.fault = None;
        self.better = None;
        self.told = Told::Nothing;
        self.considered = now;
        self.push(Decision::Switch { from, to, why, how });
    }

    /// A route that would be better than the present one, which works.
    fn better(&mut self, route: &Route, now: Instant) -> Option<(Route, Why)> {
        let tier = self.tier(&route.link, now);
        let fair = |standing: &Standing| standing.outlook == Outlook::Fair;
        // Whatever works is better than what costs.
        let least = if tier == Tier::LastResort { Tier::Poor } else { Tier::Good };
        let candidate = self
            .best_other(Some(&route.link), least, false, now)
            .filter(|to| matches!(self.tier(&to.link, now), Tier::Good | Tier::Poor))
            .filter(|to| self.standing(&to.link).is_some_and(fair));
        let Some(to) = candidate.filter(|_| !matches!(self.rule, Rule::Pinned(_))) else {
            self.better = None;
            return None;
        };
        let link = route.link.clone();
        let why = match tier {
            // Either it is over in a second, or the link is dead.
            Tier::Doubtful if self.standing(&link).is_some_and(|standing| standing.health.is_trusted()) => None,
            Tier::Out => None,
            Tier::Proving | Tier::Unheard | Tier::Doubtful => Some(Why::Preferred(to.link.clone())),
            Tier::Poor => Some(Why::Poor(link)),
            Tier::LastResort => Some(Why::BudgetSpent(link)),
            Tier::Good => match &self.rule {
                Rule::Pinned(_) => None,
                Rule::Failover(_) => {
                    (self.rank(&to.link, now) < self.rank(&link, now)).then(|| Why::Preferred(to.link.clone()))
                }
                Rule::Best(_) => {
                    let (score, than) = (self.score(&to.link), self.score(&link));
                    let ahead = score.0 >= than.0.saturating_add(MARGIN);
                    ahead.then(|| Why::Better { link: to.link.clone(), score, than })
                }
            },
        };
        let Some(why) = why else {
            self.better = None;
            return None;
        };
        let since = match &self.better {
            Some((link, since)) if *link == to.link => *since,
            Some(_) | None => now,
        };
        self.better = Some((to.link.clone(), since));
        // Points wander; trust and lists do not.
        let held = !matches!(why, Why::Better { .. }) || now.saturating_duration_since(since) >= HOLD;
        (held && self.bucket.has(1 + KEPT_FOR_NEED, now)).then_some((to, why))
    }

    fn move_at_keyframe(&mut self, now: Instant) {
        let Some(route) = self.route.clone() else { return };
        let Some((to, why)) = self.better(&route, now) else { return };
        let ready = self.standby.as_ref().is_some_and(|standby| {
            standby.route == to && standby.purpose == Purpose::Move && standby.readiness >= Readiness::Ready
        });
        if (ready || planted(Bug::BreaksBeforeMaking)) && self.bucket.take(now) {
            self.go(to, why, How::AtKeyframe, now);
        }
    }

    /// Once, while it lasts.
    fn tell(&mut self, told: Told, decision: Decision) {
        if self.told != told {
            self.told = told;
            self.push(decision);
        }
    }

    fn push(&mut self, decision: Decision) {
        if self.decisions.len() >= MAX_WAITING {
            self.decisions.pop_front();
        }
        self.decisions.push_back(decision);
    }
}
