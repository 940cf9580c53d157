//! Which input the switch wants on air. Where to cut to it is [`super::splice`]'s matter.
//!
//! ```text
//!   each input:
//!                 connects     ┌───────────┐ good for 2 s (new), or for its probation   ┌────────┐
//!     NeverSeen ──────────────►│ Probation │───────────────────────────────────────────►│ Proven │
//!                              └───────────┘                                            └────────┘
//!                     good again │      ▲ any fault begins it anew                           │ a fault that can be shown
//!                                │      └──────┐                                             │ and has stood, or any other:
//!                              ┌─┴───────────────────────────────────────────────────────┐   │ the next probation is twice
//!                              │ Impaired: late, lossy │ Empty: frozen, black │ nothing   │◄──┘ as long
//!                              └─────────────────────────────────────────────────────────┘
//!
//!   the programme:
//!              the best there is, if there is a turn
//!     ┌───────┐ ───────────────────────────────────► ┌─────────┐ its first picture ┌───────┐
//!     │ Slate │                                      │ Awaited │ ─────────────────►│ There │
//!     └───────┘ ◄─────────────────────────────────── └─────────┘                   └───────┘
//!              nothing to show, and nobody else             ▲  a better one            │
//!                                                           └──────────────────────────┘
//! ```
//!
//! *Better.* Proven inputs come before those on probation, those before impaired ones, and those before empty ones; a picture
//! with nothing to see still comes before the slate, which is last. Among equals the order of preference decides, or the
//! points ([`SelectionMode::Scored`]).
//!
//! - An input with nothing to show (no signal, no worker, stalled) is left at once for the best there is.
//! - One whose fault can be shown is left once the fault has stood for its hold-off, and only for a better one that is proven
//!   or has been so for [`SETTLE`](trust::SETTLE): a frozen picture is not left for another frozen one.
//! - One that is good is left for a preferred one (by points: for one that leads for long enough) only if that is proven.
//! - Being on air with a picture beats the slate: what is on probation is shown at once when nothing better is there.
//!
//! *Anti-flap bound.* Every change to an input costs a turn: at most [`MOST_IN_A_MINUTE`] in any 60 s whatever the inputs do,
//! and as many to the slate and one more. Nobody waits for a turn longer than [`ONE_IN`]. Inputs that are not proven leave
//! [`KEPT_FOR_PROVEN`] turns for those that are, or wait for [`ONE_IN`]: a worker that crashes again and again comes back three
//! times at once, and then every ten seconds. What an operator asks for is free, and so is staying with a picture that never left.
//!
//! *By hand.* A chosen input is shown at once if it has a picture, and kept whatever that is like. When it has nothing to
//! show, the rules choose; it is returned to when it is proven. The slate is kept until another choice.
//!
//! *Waiting.* A chosen input has to deliver something within [`super::Thresholds::answer`], and, where another one has something
//! to show, to be cut to within three times that; otherwise it counts as stalled, and the old picture, if it is still there,
//! was never gone. Who was waited for in vain is tried after the others.
//!
//! *Invariant:* a good picture is only left for a proven one, or for what an operator asked for.

mod candidate;
mod planted;
mod policy;
mod score;
mod trust;
mod turns;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use candidate::Candidate;
use planted::{Bug, planted};
use policy::Pick;
pub use turns::{BURST, KEPT_FOR_PROVEN, MOST_IN_A_MINUTE, ONE_IN};
use turns::{Price, Turns};

use super::report::{Happened, Reason};
use crate::events::InputSnapshot;
use crate::model::{Condition, Duty, InputId, Manual, Media, Selection, SelectionMode};

/// A chosen input that delivers, but nothing that could be cut to, is waited for so many times as long as one that is silent.
const PATIENCE: i64 = 3;

#[derive(Debug)]
pub(super) struct Selector {
    /// In order of preference.
    candidates: Vec<Candidate>,
    selection: Selection,
    answer: Media,
    manual: Manual,
    order: Order,
    choice: Choice,
    /// What was left since the last decision.
    left: Option<Left>,
    /// While nothing is chosen: whose pictures are waited for all the same.
    last: Option<InputId>,
    /// Since when an input has been ahead of the chosen one.
    leads: BTreeMap<InputId, Media>,
    turns: Turns,
    /// When a turn comes that somebody waits for.
    waits: Option<Media>,
    news: Vec<Happened>,
    now: Media,
}

/// What the programme is to show.
#[derive(Debug)]
enum Choice {
    Slate,
    Input { input: InputId, arrival: Arrival },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arrival {
    /// Nothing of it was on air yet.
    Awaited {
        since: Media,
    },
    There,
}

#[derive(Debug)]
struct Left {
    input: InputId,
    arrival: Arrival,
    reason: Reason,
}

/// What became of what an operator chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// It was asked for just now.
    Fresh,
    Followed,
    /// It cannot be shown; the rules choose meanwhile.
    Overruled,
}

/// Something else is to be on air.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// `None` is the slate.
    pub(super) to: Option<InputId>,
    pub(super) reason: Reason,
}

impl Selector {
    pub(super) fn new(inputs: Vec<InputId>, selection: Selection, answer: Media) -> Self {
        Self {
            candidates: inputs.into_iter().map(|id| Candidate::new(id, &selection)).collect(),
            selection,
            answer,
            manual: Manual::Auto,
            order: Order::Followed,
            choice: Choice::Slate,
            left: None,
            last: None,
            leads: BTreeMap::new(),
            turns: Turns::full(),
            waits: None,
            news: Vec::new(),
            now: Media(i64::MIN),
        }
    }

    pub(super) fn chosen(&self) -> Option<&InputId> {
        match &self.choice {
            Choice::Input { input, .. } => Some(input),
            Choice::Slate => None,
        }
    }

    /// Whose pictures are waited for: those of the chosen input, or of the one that was chosen last.
    fn awaited(&self) -> Option<&InputId> {
        match self.manual {
            Manual::Slate => None,
            Manual::Auto | Manual::Input(_) => self.chosen().or(self.last.as_ref()),
        }
    }

    /// What a worker is to be ready for as far as the choice goes. Whatever is still on air needs its gate open too.
    pub(super) fn duty(&self, input: &InputId) -> Duty {
        if self.awaited() == Some(input) { Duty::OnAir } else { Duty::Warm }
    }

    pub(super) fn inputs(&self) -> impl Iterator<Item = &InputId> {
        self.candidates.iter().map(|c| &c.id)
    }

    pub(super) fn manual(&self) -> &Manual {
        &self.manual
    }

    pub(super) fn selection(&self) -> &Selection {
        &self.selection
    }

    /// False if there is no such input.
    pub(super) fn connected(&mut self, input: &InputId, now: Media) -> bool {
        let candidate = self.candidate_mut(input);
        candidate.map(|c| c.connected(now)).is_some()
    }

    /// Its worker is gone: `why` in the words of the connection, `reason` for whatever follows.
    pub(super) fn lost(&mut self, input: &InputId, why: &str, reason: &Reason, now: Media) {
        if let Some(candidate) = self.candidate_mut(input) {
            candidate.lost(why, now);
        }
        if self.chosen() == Some(input) {
            self.leave(reason.clone());
        }
    }

    /// What its worker says of it. Counts for the worker that is connected; the next one begins with nothing wrong.
    pub(super) fn condition(&mut self, input: &InputId, condition: Condition, now: Media) {
        if let Some(candidate) = self.candidate_mut(input) {
            candidate.is_told(condition, now);
        }
    }

    /// Its pictures were on air and stopped coming. That is over with the next one, or, where its gate is closed, after some
    /// seconds.
    pub(super) fn stalled(&mut self, input: &InputId, reason: &Reason, now: Media) {
        if let Some(candidate) = self.candidate_mut(input) {
            candidate.stalled(reason.clone(), now);
        }
        if self.chosen() == Some(input) {
            self.leave(reason.clone());
        }
    }

    pub(super) fn picture(&mut self, input: &InputId, now: Media) {
        if let Some(candidate) = self.candidate_mut(input) {
            candidate.picture(now);
        }
    }

    /// Its first picture since it was chosen is on air.
    pub(super) fn arrived(&mut self, input: &InputId) {
        if let Choice::Input { input: chosen, arrival } = &mut self.choice
            && chosen == input
        {
            *arrival = Arrival::There;
        }
    }

    /// What an operator wants. False if there is no such input; then nothing changes.
    pub(super) fn command(&mut self, manual: Manual) -> bool {
        if let Manual::Input(input) = &manual
            && !self.inputs().any(|i| i == input)
        {
            return false;
        }
        self.news.push(Happened::ChosenByHand { wanted: manual.clone() });
        (self.manual, self.order) = (manual, Order::Fresh);
        true
    }

    /// Other rules. What is known of the inputs stays.
    pub(super) fn select(&mut self, selection: Selection, now: Media) {
        self.candidates.iter_mut().for_each(|c| c.select(&selection, now));
        self.selection = selection;
        self.leads.clear();
    }

    /// Another list. What is known of inputs that stay is kept; returns those that are gone.
    pub(super) fn replace(&mut self, inputs: Vec<InputId>) -> Vec<InputId> {
        let mut old = std::mem::take(&mut self.candidates);
        self.candidates = inputs
            .into_iter()
            .map(|id| match old.iter().position(|c| c.id == id) {
                Some(i) => old.remove(i),
                None => Candidate::new(id, &self.selection),
            })
            .collect();
        let gone: Vec<_> = old.into_iter().map(|c| c.id).collect();
        if let Manual::Input(input) = &self.manual
            && gone.contains(input)
        {
            self.news.push(Happened::Released { input: input.clone() });
            (self.manual, self.order) = (Manual::Auto, Order::Followed);
        }
        self.last = self.last.take().filter(|last| !gone.contains(last));
        self.leads.retain(|input, _| !gone.contains(input));
        gone
    }

    /// Decides, where `shown` is the input whose picture is on air. Call it after whatever was told, and at
    /// [`Self::deadline`].
    pub(super) fn choose(&mut self, shown: Option<&InputId>, now: Media) -> Option<Decision> {
        self.now = now;
        self.candidates.iter_mut().for_each(|c| c.tick(now));
        self.give_up_what_cannot_be_shown(now);
        let left = self.left.take();
        if let Some(left) = &left {
            self.stay_with_what_never_left(left, shown);
        }
        self.waits = None;
        let reason = match self.pick(left.as_ref(), now) {
            Some(Pick { to, reason, price }) => match self.turns.pay(self.discounted(price), now) {
                Ok(()) => {
                    self.go_to(to, shown, now);
                    Some(reason)
                }
                Err(next) => {
                    self.waits = Some(next);
                    None
                }
            },
            None => None,
        };
        self.follow_up(now);
        let reason = reason.or(left.map(|l| l.reason))?;
        self.leads.clear();
        Some(Decision { to: self.chosen().cloned(), reason })
    }

    /// What is to be told besides.
    pub(super) fn take_news(&mut self) -> Vec<Happened> {
        std::mem::take(&mut self.news)
    }

    /// When something follows from time alone.
    pub(super) fn deadline(&self) -> Option<(Media, &'static str)> {
        if planted(Bug::ForgetsDeadlines) {
            return None;
        }
        let of_inputs = self.candidates.iter().flat_map(Candidate::deadlines);
        let turn = self.waits.map(|at| (at, "the programme may change its input again"));
        let answer = self.overdue().map(|at| (at, "a chosen input has shown nothing"));
        let lead = match self.selection.mode {
            SelectionMode::Scored(lead) => lead.held,
            SelectionMode::Standby => Media::ZERO,
        };
        let leads = self.leads.values().map(|since| (*since + lead, "an input has led for long enough"));
        let all = of_inputs.chain(turn).chain(answer).chain(leads);
        all.filter(|(at, _)| *at > self.now).min_by_key(|(at, _)| *at)
    }

    /// This process slept for so long: that is held against nobody.
    pub(super) fn forgive(&mut self, slept: Media) {
        self.candidates.iter_mut().for_each(|c| c.forgive(slept));
        if let Choice::Input { arrival: Arrival::Awaited { since }, .. } = &mut self.choice {
            *since = *since + slept;
        }
        self.leads.values_mut().for_each(|since| *since = *since + slept);
    }

    pub(super) fn snapshot(&self, now: Media) -> Vec<InputSnapshot> {
        let score = |c: &Candidate| matches!(self.selection.mode, SelectionMode::Scored(_)).then(|| c.points());
        self.candidates.iter().map(|c| InputSnapshot { score: score(c), ..c.snapshot(now) }).collect()
    }

    /// Whoever asks for a change is not made to wait for it.
    fn discounted(&self, price: Price) -> Price {
        if self.order == Order::Fresh { Price::Free } else { price }
    }

    fn candidate(&self, input: &InputId) -> Option<&Candidate> {
        self.candidates.iter().find(|c| c.id == *input)
    }

    fn candidate_mut(&mut self, input: &InputId) -> Option<&mut Candidate> {
        self.candidates.iter_mut().find(|c| c.id == *input)
    }
}
