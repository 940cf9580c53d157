//! Main and backup: which path carries, and when another takes over.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use super::decision::{Carrier, Congestion, Decision, Doubt, Evidence};
use super::member::{Member, Resort, congestion, is_overdue};
use super::{
    Bond, DEAD_AFTER, DUPLICATE_EVERY, MOST_SWITCHES, NO_CARRIER_AFTER, Policy, UNSTEADY_DOUBTS, UNSTEADY_WITHIN,
};
use crate::srt::planted::{Bug, planted};
use crate::srt::session::{Duty, PathId};

/// Switches are counted over this time.
const MINUTE: Duration = Duration::from_secs(60);
/// A doubted path is believed again when it has answered for so long, or for a round trip.
const STEADY_AFTER: Duration = Duration::from_millis(50);
/// A path on probation takes over if nothing trusted has answered for so long.
const FORCED_AFTER: Duration = Duration::from_secs(3);
/// A congested path stays if no spare proves itself within this time; so does one that was to make room for a heavier.
const GIVE_UP_AFTER: Duration = Duration::from_millis(500);
/// After a doubt that came to nothing for want of a better path, the next one is put off for so long; so is the first
/// one of a stream.
pub(super) const CALM: Duration = Duration::from_secs(1);

/// A resting path that has not answered for so long is no spare.
const SILENT_AFTER: Duration = Duration::from_millis(500);

/// Losses count for so long: a path has its carrier again for no less before it carries alone.
const AFTERMATH: Duration = Duration::from_millis(200);

/// Which path carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Carrying {
    /// There is none.
    None,
    /// It does.
    One { main: PathId },
    /// Several do.
    Doubted(Doubted),
}

/// A path that carried and the ones that stand in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Doubted {
    /// None if it is gone.
    main: Option<PathId>,
    why: Doubt,
    since: Instant,
    spares: Vec<Spare>,
    /// Since when there is nothing wrong with the main path any more.
    well_since: Option<Instant>,
    /// A switch was put off.
    put_off: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spare {
    id: PathId,
    /// What it had delivered and when it had last answered when it began to carry.
    arrived: u64,
    progress: Instant,
    proven: bool,
}

impl Doubted {
    /// Whether the path that is doubted can go on carrying.
    const fn is_optional(&self) -> bool {
        matches!(self.why, Doubt::Congested(_) | Doubt::Preferred | Doubt::Unsteady)
    }
}

impl Carrying {
    /// Those that do.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathId> + use<'_> {
        let (main, spares) = match self {
            Self::None => (None, &[][..]),
            Self::One { main } => (Some(*main), &[][..]),
            Self::Doubted(doubted) => (doubted.main, &doubted.spares[..]),
        };
        main.into_iter().chain(spares.iter().map(|spare| spare.id))
    }
}

impl Bond {
    /// A path has been added.
    pub(super) fn joined(&mut self, id: PathId, now: Instant) {
        match self.policy {
            Policy::Single => {
                for member in &self.members {
                    self.session.set_duty(member.id, Duty::Rest);
                }
                self.carry(id);
                self.session.duplicate_tail(id, now);
                self.carrying = Carrying::One { main: id };
            }
            Policy::Broadcast => self.carry(id),
            Policy::Backup => {
                self.session.probe(id, now);
                match &mut self.carrying {
                    Carrying::None => {
                        self.carry(id);
                        self.session.duplicate_tail(id, now);
                        self.carrying = Carrying::One { main: id };
                    }
                    Carrying::One { .. } => self.rest(id),
                    // There is trouble: another path is welcome.
                    Carrying::Doubted(_) => self.stand_in(id, now),
                }
            }
        }
    }

    /// A path has ended.
    pub(super) fn left(&mut self, id: PathId, now: Instant) {
        let Some(index) = self.members.iter().position(|member| member.id == id) else { return };
        let link = self.members.remove(index).link;
        if self.policy != Policy::Backup {
            if self.main() == Some(id) {
                self.carrying = Carrying::None;
            }
            return;
        }
        if self.sent.is_none() {
            // Who sends nothing decides nothing.
            if self.main() == Some(id) {
                let next = self.members.first().map(|member| member.id);
                self.carrying = next.map_or(Carrying::None, |main| Carrying::One { main });
                next.into_iter().for_each(|main| self.carry(main));
            }
            return;
        }
        let carried = match &mut self.carrying {
            Carrying::None => false,
            Carrying::One { main } => *main == id,
            Carrying::Doubted(doubted) => {
                doubted.spares.retain(|spare| spare.id != id);
                doubted.main == Some(id)
            }
        };
        self.distrust(link, carried, now);
        if self.members.is_empty() {
            self.carrying = Carrying::None;
        } else if carried {
            self.doubt(None, Doubt::Gone, None, now);
        }
    }

    /// Nothing gets through on this path, and that is known before any answer is overdue.
    pub(super) fn without_carrier(&mut self, id: PathId, now: Instant) {
        if self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= super::PAUSE) {
            // Who sends nothing decides nothing.
            return;
        }
        match &mut self.carrying {
            Carrying::One { main } if *main == id => self.doubt_carrier(id, now),
            Carrying::Doubted(doubted) if doubted.main == Some(id) => {
                (doubted.why, doubted.since, doubted.well_since) = (Doubt::NoCarrier, now, None);
                self.everyone_carries(now);
            }
            // A spare that blinks is none.
            Carrying::One { .. } => {
                if let Some(link) = self.member(id).map(|member| member.link)
                    && self.is_trusted(id)
                {
                    self.distrust(link, false, now);
                    self.rest(id);
                }
            }
            // It proves nothing while nothing gets through.
            Carrying::Doubted(_) | Carrying::None => {}
        }
    }

    /// Whether a path that lost its carrier is dead. One that has it again only has to answer.
    fn stays_without_carrier(&mut self, doubted: &Doubted, after: Duration, now: Instant) -> bool {
        let Some(main) = doubted.main else { return true };
        if self.carrier(main) == Carrier::Lost {
            return after >= NO_CARRIER_AFTER;
        }
        self.evidence(main, now).is_none_or(|evidence| evidence.since_progress >= DEAD_AFTER)
    }

    fn doubt_carrier(&mut self, main: PathId, now: Instant) {
        let unsteady = self.doubts.len() >= UNSTEADY_DOUBTS && self.has_trusted_spare(main);
        let evidence = self.evidence(main, now);
        self.doubt(Some(main), if unsteady { Doubt::Unsteady } else { Doubt::NoCarrier }, evidence, now);
    }

    /// A link has failed: while it carried, or while it rested.
    fn distrust(&mut self, link: super::LinkId, carried: bool, now: Instant) {
        let Some(record) = self.records.get_mut(&link) else { return };
        if !carried && !record.is_trusted() {
            record.judge(false, now);
            return;
        }
        let needs = record.fail(now);
        let relapses = record.relapses;
        self.decide(Decision::Probation { link, needs, relapses });
    }

    /// Measures, judges, decides.
    pub(super) fn review(&mut self, now: Instant) {
        self.reviewed = now;
        if self.sent.is_none_or(|sent| now.saturating_duration_since(sent) >= super::PAUSE) {
            // Who sends nothing decides nothing.
            return;
        }
        self.measure(now);
        match self.carrying.clone() {
            Carrying::None => {}
            Carrying::One { main } => self.review_main(main, now),
            Carrying::Doubted(doubted) => self.review_doubt(doubted, now),
        }
    }

    fn measure(&mut self, now: Instant) {
        for index in 0..self.members.len() {
            let id = self.members[index].id;
            let Some(view) = self.session.view(id, now) else { continue };
            self.members[index].sample(&view, now);
            let resting = view.duty != Duty::Carry;
            if resting && self.members[index].probe_due <= now {
                self.members[index].asks(now);
                self.session.probe(id, now);
            }
            let Some(evidence) = self.evidence(id, now) else { continue };
            let link = self.members[index].link;
            let clean = self.members[index].is_clean(&evidence);
            let silent = self.members[index].unanswered(&evidence) > SILENT_AFTER;
            let Some(record) = self.records.get_mut(&link) else { continue };
            if resting && silent && record.is_trusted() {
                // A spare that does not answer is none.
                self.distrust(link, false, now);
            } else if let Some(after) = record.judge(clean, now) {
                self.decide(Decision::Trusted { link, after });
            } else {
                continue;
            }
            if resting {
                self.rest(id);
            }
        }
    }

    /// Every so often the newest packet also takes each resting path to Holdfast.
    pub(super) fn probe_with_data(&mut self) {
        let Carrying::One { main } = self.carrying else { return };
        let spared = |member: &&mut Member| member.id != main && member.resort == Resort::Any;
        for member in self.members.iter_mut().filter(spared) {
            member.since_duplicate += 1;
            if member.since_duplicate >= DUPLICATE_EVERY {
                member.since_duplicate = 0;
                self.session.duplicate_newest(member.id);
            }
        }
    }

    fn review_main(&mut self, main: PathId, now: Instant) {
        let Some(evidence) = self.evidence(main, now) else { return };
        while self.doubts.front().is_some_and(|at| now.saturating_duration_since(*at) > UNSTEADY_WITHIN) {
            self.doubts.pop_front();
        }
        if self.carrier(main) == Carrier::Lost {
            return self.doubt_carrier(main, now);
        }
        if is_overdue(&evidence) {
            let unsteady = self.doubts.len() >= UNSTEADY_DOUBTS && self.has_trusted_spare(main);
            let why = if unsteady { Doubt::Unsteady } else { Doubt::Overdue };
            return self.doubt(Some(main), why, Some(evidence), now);
        }
        if self.calm_until.is_some_and(|until| now < until) {
            return;
        }
        if let Some(how) = congestion(&evidence)
            && self.has_better_spare(main, now)
        {
            return self.doubt(Some(main), Doubt::Congested(how), Some(evidence), now);
        }
        let rank = self.rank(main);
        let better = self.members.iter().any(|member| self.is_trusted(member.id) && self.rank(member.id) > rank);
        // Half of the switches that are allowed are kept for when they are needed.
        if better && self.switches_lately(now) < MOST_SWITCHES / 2 {
            self.doubt(Some(main), Doubt::Preferred, Some(evidence), now);
        }
    }

    fn has_trusted_spare(&self, main: PathId) -> bool {
        self.members.iter().any(|member| member.id != main && self.is_trusted(member.id))
    }

    /// Whether there is a path that answers and has nothing of what the main path suffers from.
    fn has_better_spare(&mut self, main: PathId, now: Instant) -> bool {
        let others: Vec<PathId> = self.members.iter().map(|member| member.id).filter(|id| *id != main).collect();
        others.into_iter().any(|id| {
            self.evidence(id, now)
                .is_some_and(|evidence| self.member(id).is_some_and(|member| member.is_clean(&evidence)))
        })
    }

    /// Whether one of those that carry already is fast enough, if not perfect: what it lost once says little about that.
    fn has_faster_spare(&mut self, doubted: &Doubted, now: Instant) -> bool {
        doubted.spares.iter().filter(|spare| spare.proven).any(|spare| {
            self.evidence(spare.id, now).is_some_and(|evidence| {
                let slow = matches!(congestion(&evidence), Some(Congestion::Queue | Congestion::Shortfall));
                !slow && !is_overdue(&evidence)
            })
        })
    }

    /// From here on others carry as well.
    fn doubt(&mut self, main: Option<PathId>, why: Doubt, evidence: Option<Evidence>, now: Instant) {
        let rank = main.map(|main| self.rank(main)).unwrap_or_default();
        let others: Vec<PathId> = self
            .members
            .iter()
            .filter(|member| Some(member.id) != main)
            // Whoever is preferred must be trusted and better; in an emergency everyone is welcome.
            .filter(|member| why != Doubt::Preferred || (self.is_trusted(member.id) && self.rank(member.id) > rank))
            .map(|member| member.id)
            .collect();
        if others.is_empty() {
            if let (Some(path), Some(evidence)) = (main, evidence)
                && self.calm_until.is_none_or(|until| now >= until)
            {
                self.calm_until = Some(now + CALM);
                self.decide(Decision::NoSpare { path, why, evidence });
            }
            return;
        }
        self.counters.doubts += 1;
        if matches!(why, Doubt::Overdue | Doubt::NoCarrier) {
            self.doubts.push_back(now);
        }
        self.carrying =
            Carrying::Doubted(Doubted { main, why, since: now, spares: Vec::new(), well_since: None, put_off: false });
        let before = self.counters.tail;
        for id in &others {
            self.stand_in(*id, now);
        }
        let tail = self.counters.tail - before;
        self.decide(Decision::Doubted { path: main, why, evidence, spares: others, tail });
    }

    /// A path begins to carry beside the doubted one.
    fn stand_in(&mut self, id: PathId, now: Instant) {
        let Some(view) = self.session.view(id, now) else { return };
        let Carrying::Doubted(doubted) = &mut self.carrying else { return };
        let spare = Spare { id, arrived: view.arrived, progress: view.progress, proven: false };
        doubted.spares.push(spare);
        self.session.set_duty(id, Duty::Carry);
        if !planted(Bug::ForgetsTheTail) {
            self.counters.tail += self.session.duplicate_tail(id, now);
        }
    }

    fn review_doubt(&mut self, mut doubted: Doubted, now: Instant) {
        let after = now.saturating_duration_since(doubted.since);
        self.prove(&mut doubted, now);
        if let Some(main) = doubted.main
            && self.is_well_again(&mut doubted, main, now)
        {
            return self.clear(main, &doubted, now);
        }
        let best = self.best(&doubted, now);
        // The best of those that carry may be a poor one, which looked better when it began.
        let strained = best.and_then(|best| self.evidence(best, now)).is_some_and(|of| congestion(&of).is_some());
        self.dismiss(&mut doubted, best.filter(|_| !strained), after);
        let optional = doubted.is_optional();
        self.carrying = Carrying::Doubted(doubted.clone());
        if (best.is_none() || strained) && !optional {
            // Those that were dismissed are needed after all.
            self.everyone_carries(now);
        }
        let Some(best) = best else {
            // Nothing better has come of it.
            if let Some(main) = doubted.main
                && optional
                && after >= GIVE_UP_AFTER
            {
                self.clear(main, &doubted, now);
            }
            return;
        };
        // A path on probation only takes over from one that is dead; from one that is congested it takes half of the
        // burden, that is, both carry everything.
        let may = match doubted.why {
            Doubt::Overdue => after >= DEAD_AFTER && (self.is_trusted(best) || after >= FORCED_AFTER),
            Doubt::NoCarrier => {
                self.stays_without_carrier(&doubted, after, now) && (self.is_trusted(best) || after >= FORCED_AFTER)
            }
            Doubt::Congested(_) | Doubt::Unsteady | Doubt::Preferred => self.is_trusted(best),
            Doubt::Gone => true,
        };
        if may && (!strained || after >= FORCED_AFTER) {
            self.switch(best, doubted, now);
        }
    }

    /// Which spares have delivered something of what they were given.
    fn prove(&mut self, doubted: &mut Doubted, now: Instant) {
        for spare in &mut doubted.spares {
            let Some(view) = self.session.view(spare.id, now) else { continue };
            spare.proven |= view.arrived > spare.arrived && view.progress > spare.progress;
        }
    }

    /// Whether there has been nothing wrong with the doubted path for long enough.
    fn is_well_again(&mut self, doubted: &mut Doubted, main: PathId, now: Instant) -> bool {
        let Some(evidence) = self.evidence(main, now) else { return false };
        let answered = evidence.since_progress < now.saturating_duration_since(doubted.since);
        let (well, needs) = match doubted.why {
            // Late answers are how congestion begins; and what was lost in a hole is not told at once.
            // What was lost with the carrier is told later, and is not to be taken for congestion.
            Doubt::NoCarrier => {
                let after = now.saturating_duration_since(doubted.since);
                (congestion(&evidence).is_none() || after >= CALM, AFTERMATH.max(evidence.rtt.unwrap_or_default()))
            }
            Doubt::Overdue => {
                let relief = match congestion(&evidence) {
                    None => false,
                    Some(Congestion::Loss) => self.has_better_spare(main, now),
                    Some(Congestion::Queue | Congestion::Shortfall) => {
                        self.has_better_spare(main, now) || self.has_faster_spare(doubted, now)
                    }
                };
                (!relief, STEADY_AFTER.max(evidence.rtt.unwrap_or_default()))
            }
            Doubt::Congested(_) => (congestion(&evidence).is_none(), CALM),
            // There need be nothing wrong with it.
            Doubt::Unsteady | Doubt::Preferred | Doubt::Gone => (false, CALM),
        };
        if !well || !answered || is_overdue(&evidence) || self.carrier(main) == Carrier::Lost {
            doubted.well_since = None;
            return false;
        }
        let since = *doubted.well_since.get_or_insert(now);
        now.saturating_duration_since(since) >= needs
    }

    /// The best of the spares that have proved themselves: trusted before others, then by weight, then the nearest.
    fn best(&mut self, doubted: &Doubted, now: Instant) -> Option<PathId> {
        let proven = doubted.spares.iter().filter(|spare| spare.proven).map(|spare| spare.id);
        let mut ranked = Vec::new();
        for id in proven {
            let (Some(evidence), Some(member)) = (self.evidence(id, now), self.member(id)) else { continue };
            let congested = congestion(&evidence).is_some();
            // Out of a congested path into another one would be no gain.
            if is_overdue(&evidence) || (congested && doubted.is_optional()) {
                continue;
            }
            ranked.push((congested, !self.is_trusted(id), Reverse((member.resort, member.weight)), evidence.rtt, id));
        }
        ranked.into_iter().min().map(|(.., id)| id)
    }

    /// Once one has proved itself, those that have not may stop; they had their chance.
    fn dismiss(&mut self, doubted: &mut Doubted, best: Option<PathId>, after: Duration) {
        let Some(best) = best else { return };
        // All go on while it is not known whom to trust.
        if after < STEADY_AFTER || doubted.put_off || !self.is_trusted(best) {
            return;
        }
        let gone: Vec<PathId> = doubted.spares.iter().map(|spare| spare.id).filter(|id| *id != best).collect();
        for id in gone {
            self.rest(id);
        }
        doubted.spares.retain(|spare| spare.id == best);
    }

    /// The path that was doubted carries alone again.
    fn clear(&mut self, main: PathId, doubted: &Doubted, now: Instant) {
        self.carrying = Carrying::One { main };
        // Whatever a spare was about to send, and what the path has lost meanwhile.
        self.counters.tail += self.session.duplicate_tail(main, now);
        for spare in &doubted.spares {
            self.rest(spare.id);
        }
        match doubted.why {
            Doubt::Overdue => self.counters.false_suspicions += 1,
            // It was gone, and nobody chose that.
            Doubt::NoCarrier => {}
            Doubt::Congested(_) | Doubt::Unsteady | Doubt::Gone | Doubt::Preferred => {
                self.calm_until = Some(now + CALM);
            }
        }
        let after = now.saturating_duration_since(doubted.since);
        if let Some(evidence) = self.evidence(main, now) {
            self.decide(Decision::Cleared { path: main, after, evidence });
        }
    }

    fn switches_lately(&mut self, now: Instant) -> usize {
        while self.switches.front().is_some_and(|at| now.saturating_duration_since(*at) >= MINUTE) {
            self.switches.pop_front();
        }
        if planted(Bug::SwitchesWithoutBound) { 0 } else { self.switches.len() }
    }

    fn switch(&mut self, to: PathId, mut doubted: Doubted, now: Instant) {
        if self.switches_lately(now) >= MOST_SWITCHES {
            if !doubted.put_off {
                self.counters.put_off += 1;
                doubted.put_off = true;
                self.carrying = Carrying::Doubted(doubted);
                self.everyone_carries(now);
            }
            return;
        }
        self.switches.push_back(now);
        self.doubts.clear();
        self.counters.switches += 1;
        let Some(evidence) = self.evidence(to, now) else { return };
        self.carrying = Carrying::One { main: to };
        self.counters.tail += self.session.duplicate_tail(to, now);
        if let Some(from) = doubted.main
            && let Some(link) = self.member(from).map(|member| member.link)
            && doubted.why != Doubt::Preferred
        {
            self.distrust(link, true, now);
        }
        let others: Vec<PathId> = self.members.iter().map(|member| member.id).filter(|id| *id != to).collect();
        for id in others {
            self.rest(id);
        }
        let after = now.saturating_duration_since(doubted.since);
        self.decide(Decision::Switched { from: doubted.main, to, why: doubted.why, after, evidence });
    }

    /// Nobody may be chosen, so nobody is left out.
    fn everyone_carries(&mut self, now: Instant) {
        let Carrying::Doubted(doubted) = &self.carrying else { return };
        let carries = |id| doubted.main == Some(id) || doubted.spares.iter().any(|spare| spare.id == id);
        let idle: Vec<PathId> = self.members.iter().map(|member| member.id).filter(|id| !carries(*id)).collect();
        for id in idle {
            self.stand_in(id, now);
        }
    }
}
