//! The rules, checked at every step against what is true.

use std::collections::VecDeque;

use super::story::{Story, Wish};
use super::truth::{Truth, Worth};
use super::world::Worker;
use super::{ANSWER, MS, S};
use crate::model::{Fault, InputId, Lead, Media, Selection, SelectionMode};
use crate::switch::report::Reason;
use crate::switch::selector::trust::SETTLE;
use crate::switch::selector::{BURST, Decision, KEPT_FOR_PROVEN, MOST_IN_A_MINUTE, ONE_IN};

const MINUTE: Media = Media(60 * S);
/// The slowest worker's first picture, and a moment.
const LATENCY: Media = Media(450 * MS);

pub(super) struct Checker {
    ids: Vec<InputId>,
    inputs: Vec<Truth>,
    selection: Selection,
    wish: Wish,
    /// Changes to an input that cost a turn.
    paid: VecDeque<Media>,
    /// Since when each input has led the chosen one.
    leads: Vec<Option<Media>>,
    chosen: Option<usize>,
    /// Nothing was chosen although something could be shown; nothing was on air although something could be.
    idle: Since,
    dark: Since,
    /// Decisions since then.
    tries: i64,
    /// A well input was there, and the programme was not as good.
    worse: Vec<Since>,
    overruled: Since,
    pub(super) digest: u64,
    pub(super) told: Told,
}

/// What a story came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Told {
    pub(super) changes: u64,
    pub(super) to_slate: u64,
    pub(super) by_hand: u64,
    pub(super) returns: u64,
    pub(super) by_points: u64,
    pub(super) unanswered: u64,
    pub(super) most_in_a_minute: usize,
    pub(super) longest_dark: Media,
}

impl Told {
    pub(super) fn add(&mut self, other: Self) {
        self.changes += other.changes;
        self.to_slate += other.to_slate;
        self.by_hand += other.by_hand;
        self.returns += other.returns;
        self.by_points += other.by_points;
        self.unanswered += other.unanswered;
        self.most_in_a_minute = self.most_in_a_minute.max(other.most_in_a_minute);
        self.longest_dark = self.longest_dark.max(other.longest_dark);
    }
}

/// How long something has been so.
#[derive(Clone, Copy, Default)]
struct Since(Option<Media>);

impl Since {
    fn note(&mut self, is: bool, now: Media) -> Media {
        self.0 = is.then(|| self.0.unwrap_or(now));
        self.0.map_or(Media::ZERO, |since| now - since)
    }
}

/// One step, and what came of it.
pub(super) struct Step<'s> {
    pub(super) now: Media,
    pub(super) workers: &'s [Worker],
    pub(super) decision: Option<&'s Decision>,
    pub(super) by_hand: Option<Wish>,
    pub(super) before: Option<usize>,
    pub(super) shown_before: Option<usize>,
    pub(super) chosen: Option<usize>,
    pub(super) shown: Option<usize>,
}

impl Checker {
    pub(super) fn new(story: &Story) -> Self {
        let heeds = story.selection.heeds_sound();
        let inputs: Vec<_> = story.inputs.iter().map(|i| Truth::new(story.selection.rules(i), heeds)).collect();
        Self {
            ids: story.inputs.clone(),
            leads: vec![None; inputs.len()],
            worse: vec![Since::default(); inputs.len()],
            inputs,
            selection: story.selection.clone(),
            wish: Wish::Auto,
            paid: VecDeque::new(),
            chosen: None,
            idle: Since::default(),
            dark: Since::default(),
            tries: 0,
            overruled: Since::default(),
            digest: 0xcbf2_9ce4_8422_2325,
            told: Told::default(),
        }
    }

    pub(super) fn connected(&mut self, input: usize, now: Media) {
        self.inputs[input].connected(now);
    }

    pub(super) fn lost(&mut self, input: usize, now: Media) {
        self.inputs[input].lost(now);
    }

    pub(super) fn told(&mut self, input: usize, faults: &[Fault], now: Media) {
        self.inputs[input].told(faults, now);
    }

    pub(super) fn hung(&mut self, input: usize) {
        self.inputs[input].ever_hung = true;
    }

    pub(super) fn stalled(&mut self, input: usize) {
        self.inputs[input].silent = true;
    }

    pub(super) fn picture(&mut self, input: usize) {
        self.inputs[input].silent = false;
    }

    pub(super) fn forgive(&mut self, slept: Media) {
        self.inputs.iter_mut().for_each(|i| i.forgive(slept));
        self.leads.iter_mut().flatten().for_each(|at| *at = *at + slept);
    }

    /// What was not done while the process slept is held against nobody.
    pub(super) fn slept(&mut self) {
        (self.idle, self.dark, self.overruled) = Default::default();
        self.worse.iter_mut().for_each(|since| *since = Since::default());
    }

    /// Before the selector decides.
    pub(super) fn before(&mut self, now: Media) {
        self.inputs.iter_mut().for_each(|i| i.pass(now));
        self.note_leads(now);
    }

    fn note_leads(&mut self, now: Media) {
        let SelectionMode::Scored(lead) = self.selection.mode else { return };
        let Some(chosen) = self.chosen else { return };
        let enough = self.inputs[chosen].points_on_air(now) + u32::from(lead.points);
        for (since, input) in self.leads.iter_mut().zip(&self.inputs) {
            let leads = input.worth().is_some() && input.points() >= enough;
            *since = leads.then(|| since.unwrap_or(now));
        }
    }

    /// After it has.
    pub(super) fn after(&mut self, step: &Step<'_>) {
        if let Some(wish) = step.by_hand {
            self.wish = wish;
        }
        if let Some(decision) = step.decision {
            self.decided(decision, step);
        }
        self.chosen = step.chosen;
        self.obeys(step);
        self.is_on_air(step);
        self.is_as_good_as_it_gets(step);
        for word in [step.now.0, place(step.chosen), place(step.shown)] {
            self.digest = (self.digest ^ word.cast_unsigned()).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn decided(&mut self, decision: &Decision, step: &Step<'_>) {
        let now = step.now;
        let what = format!("{:?} at {now:?}: {}", decision.to, decision.reason);
        self.names_the_fault(&decision.reason, &what, now);
        if let Reason::NoAnswer { .. } = decision.reason {
            self.told.unanswered += 1;
        }
        let Some(to) = step.chosen else {
            self.told.to_slate += 1;
            let asked = matches!(self.wish, Wish::Slate);
            assert!(
                asked || step.before.is_none() || self.has_nothing(step.before, step),
                "{what}: a picture was left"
            );
            return;
        };
        // It stays with, or goes back to, what never left.
        let stays = step.shown_before == Some(to);
        let by_hand = step.by_hand.is_some();
        if !by_hand && !stays {
            self.told.changes += 1;
            self.paid.push_back(now);
        }
        while self.paid.front().is_some_and(|at| now - *at >= MINUTE) {
            self.paid.pop_front();
        }
        self.told.most_in_a_minute = self.told.most_in_a_minute.max(self.paid.len());
        assert!(self.paid.len() <= MOST_IN_A_MINUTE as usize, "{what}: {} changes in a minute", self.paid.len());
        if by_hand {
            self.told.by_hand += 1;
        } else {
            self.is_better(to, decision, step, &what);
        }
        self.leads.iter_mut().for_each(|since| *since = None);
    }

    /// What was chosen has nothing to show any more, as far as anybody can tell.
    fn has_nothing(&self, input: Option<usize>, step: &Step<'_>) -> bool {
        input.is_none_or(|i| self.inputs[i].worth().is_none() || self.inputs[i].silent || step.workers[i].hung)
    }

    fn names_the_fault(&self, reason: &Reason, what: &str, now: Media) {
        let number = |id: &InputId| self.ids.iter().position(|i| i == id).unwrap();
        match reason {
            Reason::Fault { input, finding } => {
                let truth = &self.inputs[number(input)];
                assert!(truth.has(finding.fault, &finding.evidence, now), "{what}: that is not what is wrong");
            }
            // It came back a moment before, at best.
            Reason::NoAnswer { input, .. } => assert!(self.inputs[number(input)].ever_hung, "{what}: it answered"),
            Reason::Scores { because: Some(because), .. } => self.names_the_fault(because, what, now),
            Reason::Returned { input, good, .. } | Reason::BackByHand { input, good } => {
                let truth = &self.inputs[number(input)];
                let needs = if truth.ever_hung { Media::ZERO } else { truth.needs() };
                assert!(*good >= needs || truth.worth() == Some(Worth::Proven), "{what}: it needs {needs:?}");
            }
            _ => {}
        }
    }

    /// Nobody is left for somebody who is not better.
    fn is_better(&mut self, to: usize, decision: &Decision, step: &Step<'_>, what: &str) {
        let now = step.now;
        let target = &self.inputs[to];
        let worth = target.worth();
        assert!(worth.is_some(), "{what}: it has nothing to show");
        let trusted = target.ever_hung || worth == Some(Worth::Proven);
        let from = self.is_left(decision, step, what).filter(|from| !self.has_nothing(Some(*from), step));
        let left = from.and_then(|from| self.inputs[from].worth_on_air(now));
        let unanswered = matches!(decision.reason, Reason::NoAnswer { .. });
        match (from, left) {
            _ if unanswered || step.shown_before == Some(to) => {}
            (Some(from), Some(Worth::Proven | Worth::Good)) => {
                let wanted = matches!(self.wish, Wish::Input(input) if input == to);
                // An operator's word came before the worker of what they want: that is no reason to doubt it.
                let waited_for = wanted && target.is_new();
                assert!(trusted || waited_for, "{what}: a good picture was left for one on probation");
                match self.selection.mode {
                    _ if wanted => self.told.returns += 1,
                    SelectionMode::Standby => {
                        self.told.returns += 1;
                        assert!(to < from, "{what}: a good picture was left for one that is not preferred");
                    }
                    SelectionMode::Scored(lead) => self.leads(to, from, lead, what, now),
                }
            }
            (Some(from), Some(soft)) => match self.selection.mode {
                _ if matches!(self.wish, Wish::Input(input) if input == to) => {}
                SelectionMode::Standby => {
                    assert!(worth < Some(soft), "{what}: {soft:?} was left for {worth:?}");
                }
                SelectionMode::Scored(lead) => self.leads(to, from, lead, what, now),
            },
            (None, _) | (_, None) => self.is_best(to, what),
        }
    }

    /// Who is left: what was chosen; or what never left the air, if what was chosen after it did not answer.
    fn is_left(&self, decision: &Decision, step: &Step<'_>, what: &str) -> Option<usize> {
        let named = match &decision.reason {
            Reason::Fault { input, .. } | Reason::Scores { worse: input, .. } => input,
            Reason::Returned { before, .. } => before,
            _ => return step.before,
        };
        let named = self.ids.iter().position(|i| i == named);
        let unanswered = step.before.is_some_and(|before| self.inputs[before].ever_hung);
        let known = named == step.before || (named == step.shown_before && unanswered) || step.before.is_none();
        assert!(known || self.has_nothing(step.before, step), "{what}: that is not what was left");
        if step.before.is_none() { None } else { named }
    }

    fn leads(&mut self, to: usize, from: usize, lead: Lead, what: &str, now: Media) {
        self.told.by_points += 1;
        // What is chosen again at this moment has been led since this moment.
        let again = self.chosen != Some(from);
        let enough = self.inputs[from].points_on_air(now) + u32::from(lead.points);
        let leads_now = self.inputs[to].points() >= enough;
        let since = if again { leads_now.then_some(now) } else { self.leads[to] };
        let since = since.unwrap_or_else(|| panic!("{what}: it does not lead"));
        assert!(since + lead.held <= now, "{what}: it leads since {since:?}");
    }

    fn is_best(&self, to: usize, what: &str) {
        if self.inputs[to].ever_hung || matches!(self.wish, Wish::Input(input) if input == to) {
            return;
        }
        let worth = |input: &Truth| input.worth().filter(|_| !input.ever_hung);
        let best = self.inputs.iter().filter_map(worth).min();
        assert_eq!(self.inputs[to].worth(), best, "{what}: something better is there");
        let first = self.inputs.iter().position(|i| worth(i) == best);
        let by_order = self.selection.mode == SelectionMode::Standby;
        assert!(!by_order || first == Some(to), "{what}: {first:?} is preferred");
    }

    fn obeys(&mut self, step: &Step<'_>) {
        let now = step.now;
        let late = match self.wish {
            Wish::Auto => return,
            Wish::Slate => {
                assert_eq!((step.chosen, step.shown), (None, None), "the slate was chosen by hand, at {now:?}");
                return;
            }
            Wish::Input(wanted) => {
                let truth = &self.inputs[wanted];
                let has_picture = truth.worth().is_some() && !truth.silent;
                if step.by_hand.is_some() && has_picture && !truth.ever_hung {
                    assert_eq!(step.chosen, Some(wanted), "chosen by hand at {now:?}");
                }
                let kept = step.before != Some(wanted) || self.has_nothing(Some(wanted), step);
                assert!(kept || step.chosen == Some(wanted), "what was chosen by hand was left at {now:?}");
                let well = truth.well_since(now).is_some() && !truth.ever_hung;
                self.overruled.note(well && step.chosen != Some(wanted), now)
            }
        };
        assert!(late <= self.patience(), "what was chosen by hand is well and not returned to for {late:?}");
    }

    /// The longest that anything may have to wait: for a turn, and for those that do not answer.
    fn patience(&self) -> Media {
        let hung = i64::try_from(self.inputs.iter().filter(|i| i.ever_hung).count()).unwrap();
        let turn = if self.paid.len() >= (BURST - KEPT_FOR_PROVEN) as usize { ONE_IN } else { Media::ZERO };
        Media(turn.0 * (hung + 1) + ANSWER.0 * hung)
    }

    /// Never the slate while there is something to show.
    fn is_on_air(&mut self, step: &Step<'_>) {
        let now = step.now;
        while self.paid.front().is_some_and(|at| now - *at >= MINUTE) {
            self.paid.pop_front();
        }
        if let Some(chosen) = step.chosen {
            assert!(self.inputs[chosen].worth().is_some(), "{chosen} has nothing to show at {now:?}");
        }
        let wanted = !matches!(self.wish, Wish::Slate);
        let there = wanted && self.inputs.iter().any(|i| i.worth().is_some() && !i.ever_hung);
        let proven = there && self.inputs.iter().any(|i| i.worth() == Some(Worth::Proven) && !i.ever_hung);
        let idle = self.idle.note(there && step.chosen.is_none(), now);
        let bound = match self.paid.len() {
            spent if spent >= BURST as usize => ONE_IN,
            spent if !proven && spent >= (BURST - KEPT_FOR_PROVEN) as usize => ONE_IN,
            _ => Media::ZERO,
        };
        let waited = step.chosen.is_none() && there;
        assert!(!waited || bound > Media::ZERO, "nothing is chosen at {now:?} although there is something, and a turn");
        assert!(idle <= bound, "nothing is chosen at {now:?}, for {idle:?}, although there is something");
        let silent = |i: usize| self.inputs[i].worth().is_some() && !self.inputs[i].ever_hung && self.delivers(i, step);
        let fit = wanted && (0..self.inputs.len()).any(silent);
        let dark = self.dark.note(fit && step.shown.is_none(), now);
        self.told.longest_dark = self.told.longest_dark.max(dark);
        // Each decision may be for somebody who fails before the first picture.
        self.tries = if dark == Media::ZERO { 0 } else { self.tries + i64::from(step.decision.is_some()) };
        let bound = Media((self.patience().0 + LATENCY.0) * (1 + self.tries));
        assert!(dark <= bound, "the slate is on air at {now:?} for {dark:?} although a picture is there");
    }

    /// Whether it sends anything: a fault that leaves nothing to show counts as nothing.
    fn delivers(&self, input: usize, step: &Step<'_>) -> bool {
        step.workers[input].connected && !step.workers[input].hung
    }

    /// A good, proven input is on air wherever one is there, and the preferred one of several.
    fn is_as_good_as_it_gets(&mut self, step: &Step<'_>) {
        let now = step.now;
        if !matches!(self.wish, Wish::Auto) {
            return self.worse.iter_mut().for_each(|since| *since = Since::default());
        }
        let held = match self.selection.mode {
            SelectionMode::Standby => Media::ZERO,
            SelectionMode::Scored(lead) => lead.held,
        };
        let bound = Media(self.patience().0 + LATENCY.0 + SETTLE.0 + held.0);
        for well in 0..self.inputs.len() {
            let truth = &self.inputs[well];
            let is_well = truth.well_since(now).is_some() && !truth.ever_hung;
            let worse = match (step.shown, self.selection.mode) {
                (Some(shown), _) if shown == well => false,
                (None, _) => true,
                (Some(shown), SelectionMode::Standby) => {
                    let on_air = self.inputs[shown].worth_on_air(now);
                    on_air > Some(Worth::Good) || on_air.is_none() || well < shown
                }
                (Some(shown), SelectionMode::Scored(lead)) => {
                    let points = self.inputs[shown].points_on_air(now);
                    self.inputs[shown].worth().is_none() || truth.points() >= points + u32::from(lead.points)
                }
            };
            let late = self.worse[well].note(is_well && worse, now);
            assert!(late <= bound, "{well} is well and better than {:?} for {late:?} at {now:?}", step.shown);
        }
    }
}

fn place(input: Option<usize>) -> i64 {
    input.map_or(-1, |i| i64::try_from(i).unwrap())
}
