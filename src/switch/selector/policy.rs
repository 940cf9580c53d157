//! What to go to, from where the programme is.

use std::cmp::Reverse;

use super::super::report::{Happened, Reason};
use super::candidate::{Candidate, Class};
use super::planted::{Bug, planted};
use super::turns::Price;
use super::{Arrival, Choice, Left, Order, PATIENCE, Selector};
use crate::model::{InputId, Lead, Manual, Media, SelectionMode};

/// Where to go, if it can be paid for.
#[derive(Debug)]
pub(super) struct Pick {
    /// `None` is the slate.
    pub(super) to: Option<InputId>,
    pub(super) reason: Reason,
    pub(super) price: Price,
}

impl Pick {
    fn input(candidate: &Candidate, class: Class, reason: Reason) -> Self {
        let price = if class == Class::Proven { Price::Turn } else { Price::SpareTurn };
        Self { to: Some(candidate.id.clone()), reason, price }
    }
}

impl Selector {
    /// When a chosen input will have been waited for long enough.
    pub(super) fn overdue(&self) -> Option<Media> {
        let Choice::Input { input, arrival: Arrival::Awaited { since } } = &self.choice else { return None };
        if planted(Bug::WaitsForEver) {
            return None;
        }
        let picture = self.candidate(input).and_then(Candidate::last_picture);
        let silent = picture.map_or(*since, |at| at.max(*since)) + self.answer;
        // A source whose keyframes are rare and cannot be asked for is waited for, unless somebody else has something to show.
        let elsewhere = self.candidates.iter().any(|c| c.id != *input && c.class().is_some());
        let patience = elsewhere.then(|| *since + Media(self.answer.0.saturating_mul(PATIENCE)));
        Some(patience.map_or(silent, |patience| patience.min(silent)))
    }

    /// The chosen input has nothing to show, or was waited for in vain.
    pub(super) fn give_up_what_cannot_be_shown(&mut self, now: Media) {
        let Some(input) = self.chosen().cloned() else { return };
        if let Choice::Input { arrival: Arrival::Awaited { since }, .. } = &self.choice
            && self.overdue().is_some_and(|at| at <= now)
        {
            let reason = Reason::NoAnswer { input: input.clone(), waited: now - *since };
            return self.stalled(&input, &reason, now);
        }
        let Some(chosen) = self.candidate(&input) else { return self.leave(Reason::Removed { input }) };
        if chosen.class().is_none()
            && !planted(Bug::ClingsToTheChosen)
            && let Some(reason) = chosen.reason(now)
        {
            self.leave(reason);
        }
    }

    /// What was left before any of it was on air changes nothing for whoever watches.
    pub(super) fn stay_with_what_never_left(&mut self, left: &Left, shown: Option<&InputId>) {
        if let (Arrival::Awaited { .. }, Some(shown)) = (left.arrival, shown)
            && *shown != left.input
            && self.candidate(shown).is_some_and(|c| c.class().is_some())
        {
            self.choice = Choice::Input { input: shown.clone(), arrival: Arrival::There };
        }
    }

    pub(super) fn leave(&mut self, reason: Reason) {
        if let Choice::Input { input, arrival } = std::mem::replace(&mut self.choice, Choice::Slate) {
            self.leads.clear();
            self.last = Some(input.clone());
            self.left = Some(Left { input, arrival, reason });
        }
    }

    pub(super) fn go_to(&mut self, to: Option<InputId>, shown: Option<&InputId>, now: Media) {
        self.choice = match to {
            // It was chosen before, and the other one has not come yet.
            Some(input) if Some(&input) == shown => Choice::Input { input, arrival: Arrival::There },
            Some(input) => Choice::Input { input, arrival: Arrival::Awaited { since: now } },
            None => Choice::Slate,
        };
    }

    /// What follows from the choice: whom nobody waits for any more, and whether the operator has what they asked for.
    pub(super) fn follow_up(&mut self, now: Media) {
        let awaited = self.awaited().cloned();
        self.candidates.iter_mut().for_each(|c| c.awaited(Some(&c.id) == awaited.as_ref(), now));
        self.order = match &self.manual {
            Manual::Input(input) if self.chosen() != Some(input) => {
                if self.order != Order::Overruled
                    && let Some(wanted) = self.candidate(input)
                {
                    let (because, needs) = (wanted.reason(now), wanted.needs());
                    self.news.push(Happened::Overruled { input: input.clone(), because, needs });
                }
                Order::Overruled
            }
            Manual::Auto | Manual::Input(_) | Manual::Slate => Order::Followed,
        };
    }

    pub(super) fn pick(&mut self, left: Option<&Left>, now: Media) -> Option<Pick> {
        self.note_leads(now);
        match &self.manual {
            Manual::Slate => {
                let reason = Reason::ByHand(Manual::Slate);
                return self.chosen().map(|_| Pick { to: None, reason, price: Price::Free });
            }
            Manual::Input(input) => match self.candidate(input).and_then(|c| Some((c, c.class()?))) {
                Some(_) if self.chosen() == Some(input) => return None,
                Some((wanted, _)) if self.order == Order::Fresh && !planted(Bug::DoubtsTheOperator) => {
                    let reason = Reason::ByHand(self.manual.clone());
                    return Some(Pick { price: Price::Free, ..Pick::input(wanted, Class::Proven, reason) });
                }
                // It was not there yet when it was asked for, as after a start of this process: that is no failure.
                Some((wanted, _)) if wanted.is_new() => {
                    return Some(Pick::input(wanted, Class::Proven, Reason::ByHand(self.manual.clone())));
                }
                Some((wanted, Class::Proven)) if !planted(Bug::ForgetsTheOperator) => {
                    let reason = Reason::BackByHand { input: input.clone(), good: wanted.good_for(now) };
                    return Some(Pick::input(wanted, Class::Proven, reason));
                }
                Some(_) | None => {}
            },
            Manual::Auto => {}
        }
        match self.chosen().and_then(|chosen| self.candidates.iter().position(|c| c.id == *chosen)) {
            None => self.out_of_nothing(left, now),
            Some(place) => match self.selection.mode {
                SelectionMode::Standby => self.by_order(place, now),
                SelectionMode::Scored(lead) => self.by_points(place, lead, now),
            },
        }
    }

    /// Nothing is chosen: the best there is.
    fn out_of_nothing(&self, left: Option<&Left>, now: Media) -> Option<Pick> {
        let there = self.candidates.iter().enumerate().filter_map(|(place, c)| Some((c.class()?, place, c)));
        let there = there.filter(|(class, ..)| *class == Class::Proven || !planted(Bug::PrefersTheSlate));
        let points = |c: &Candidate| match self.selection.mode {
            SelectionMode::Standby => 0,
            SelectionMode::Scored(_) => c.points(),
        };
        let key = |(class, place, c): &(_, _, &Candidate)| (c.is_doubted(), *class, Reverse(points(c)), *place);
        let (class, _, best) = there.min_by_key(key)?;
        let reason = match left {
            Some(left) if left.input != best.id => left.reason.clone(),
            Some(_) | None => Reason::Available { input: best.id.clone(), more: best.probation_left(now) },
        };
        Some(Pick::input(best, class, reason))
    }

    /// A good one is left for a preferred one, any other for a better one.
    fn by_order(&self, place: usize, now: Media) -> Option<Pick> {
        let chosen = self.candidates.get(place)?;
        let class = chosen.class_on_air(now)?;
        if class <= Class::Probation {
            let mut preferred = self.candidates.iter().take(place);
            let best = preferred.find(|c| c.class() == Some(Class::Proven) && !planted(Bug::NeverReturns))?;
            let (input, good) = (best.id.clone(), best.good_for(now));
            let reason = Reason::Returned { input, good, before: chosen.id.clone() };
            return Some(Pick::input(best, Class::Proven, reason));
        }
        let no_better = |c: &Candidate| planted(Bug::LeavesForNoBetter) && c.id != chosen.id;
        let others = self.candidates.iter().filter_map(|c| Some((c.class()?, c)));
        let better = others.filter(|(c, o)| (*c < class && o.has_settled(*c, now)) || no_better(o));
        let (class, best) = better.min_by_key(|(class, _)| *class)?;
        Some(Pick::input(best, class, chosen.reason(now)?))
    }

    /// Whoever leads clearly and for long enough.
    fn by_points(&self, place: usize, lead: Lead, now: Media) -> Option<Pick> {
        let chosen = self.candidates.get(place)?;
        let good = chosen.class_on_air(now)? <= Class::Probation;
        let leading = self.candidates.iter().filter_map(|c| Some((c, c.class()?, *self.leads.get(&c.id)?)));
        let leading = leading.filter(|(c, class, since)| {
            let held = *since + lead.held <= now || planted(Bug::LeadsForAMoment);
            held && if good { *class == Class::Proven } else { c.has_settled(*class, now) }
        });
        let (best, class, since) = leading.min_by_key(|(c, ..)| Reverse(c.points()))?;
        let reason = Reason::Scores {
            better: best.id.clone(),
            points: best.points(),
            worse: chosen.id.clone(),
            fewer: chosen.points_on_air(now),
            held: now - since,
            because: chosen.reason(now).map(Box::new),
        };
        Some(Pick::input(best, class, reason))
    }

    fn note_leads(&mut self, now: Media) {
        let SelectionMode::Scored(lead) = self.selection.mode else { return };
        let Some(chosen) = self.chosen().and_then(|chosen| self.candidate(chosen)) else { return };
        let enough = u32::from(chosen.points_on_air(now)) + u32::from(lead.points);
        for candidate in &self.candidates {
            if u32::from(candidate.points()) >= enough {
                self.leads.entry(candidate.id.clone()).or_insert(now);
            } else {
                self.leads.remove(&candidate.id);
            }
        }
    }
}
