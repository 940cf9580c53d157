//! Workers and a splice around the selector, as far as it can tell them from real ones.

use std::collections::BTreeMap;

use super::checker::{Checker, Step};
use super::story::{Story, What, Wish};
use super::{ANSWER, MS, STALL};
use crate::model::{Condition, Duty, Fault, Finding, Gravity, InputId, Manual, Media};
use crate::switch::report::Reason;
use crate::switch::selector::{Decision, Selector};

pub(super) struct World {
    pub(super) now: Media,
    pub(super) story: Story,
    pub(super) selector: Selector,
    pub(super) check: Checker,
    pub(super) workers: Vec<Worker>,
    /// Whose picture is on air.
    pub(super) shown: Option<usize>,
    due: BTreeMap<(Media, u64), Due>,
    sequence: u64,
    /// The last decision's number: what an earlier one asked for is not awaited any more.
    asked: u64,
}

pub(super) struct Worker {
    pub(super) connected: bool,
    pub(super) hung: bool,
    pub(super) told: Vec<Fault>,
    generation: u64,
}

#[derive(Clone, Debug)]
enum Due {
    Story(What),
    /// The picture that was asked for.
    Picture {
        input: usize,
        asked: u64,
    },
    /// A hung worker's pictures are missed by now.
    Missed {
        input: usize,
        generation: u64,
    },
}

pub(super) fn evidence(fault: Fault, at: Media) -> String {
    format!("{fault} at {at:?}")
}

impl World {
    pub(super) fn new(story: Story) -> Self {
        let selector = Selector::new(story.inputs.clone(), story.selection.clone(), ANSWER);
        let worker = |_| Worker { connected: false, hung: false, told: Vec::new(), generation: 0 };
        let mut world = Self {
            now: Media::ZERO,
            check: Checker::new(&story),
            workers: story.inputs.iter().map(worker).collect(),
            shown: None,
            due: BTreeMap::new(),
            sequence: 0,
            asked: 0,
            selector,
            story,
        };
        for (at, what) in std::mem::take(&mut world.story.events) {
            world.schedule(at, Due::Story(what));
        }
        world
    }

    pub(super) fn run(&mut self) {
        loop {
            let due = self.due.first_key_value().map(|(key, _)| key.0);
            let deadline = self.selector.deadline().map(|(at, _)| at);
            let Some(at) = [due, deadline].into_iter().flatten().min().filter(|at| *at < self.story.end) else {
                return;
            };
            if self.story.sleeps.first().is_some_and(|(from, _)| *from <= at) {
                let (_, until) = self.story.sleeps.remove(0);
                self.oversleep(until);
            }
            self.now = self.now.max(at);
            let what = if due == Some(at) { self.due.pop_first().map(|(_, what)| what) } else { None };
            self.step(what);
        }
    }

    /// As the switch does when it finds that it slept past its deadline.
    fn oversleep(&mut self, until: Media) {
        self.now = until;
        if let Some((at, _)) = self.selector.deadline()
            && until - at > Media(100 * MS)
        {
            let slept = until - at + Media(100 * MS);
            self.selector.forgive(slept);
            self.check.forgive(slept);
        }
        // What would have been missed meanwhile is waited for anew; what the sockets hold comes first.
        let late: Vec<_> = self.due.range(..(until, 0)).map(|(key, due)| (*key, due.clone())).collect();
        for (key, due) in late {
            if matches!(due, Due::Missed { .. }) {
                self.due.remove(&key);
                self.schedule(until + STALL, due);
            }
        }
        self.check.slept();
    }

    fn schedule(&mut self, at: Media, due: Due) {
        self.sequence += 1;
        self.due.insert((at, self.sequence), due);
    }

    fn id(&self, input: usize) -> InputId {
        self.story.inputs[input].clone()
    }

    pub(super) fn number(&self, input: &InputId) -> usize {
        self.story.inputs.iter().position(|i| i == input).unwrap()
    }

    fn delivers(&self, input: usize) -> bool {
        let worker = &self.workers[input];
        let hard = |f: &Fault| f.gravity() == Gravity::Hard;
        worker.connected && !worker.hung && (self.story.repeats[input] || !worker.told.iter().any(hard))
    }

    fn step(&mut self, due: Option<Due>) {
        let mut by_hand = None;
        match due {
            None => {}
            Some(Due::Story(What::ByHand(wish))) => {
                let manual = match wish {
                    Wish::Auto => Manual::Auto,
                    Wish::Slate => Manual::Slate,
                    Wish::Input(input) => Manual::Input(self.id(input)),
                };
                assert!(self.selector.command(manual));
                by_hand = Some(wish);
            }
            Some(Due::Story(what)) => self.happens(what),
            Some(Due::Picture { input, asked }) => self.picture(input, asked),
            Some(Due::Missed { input, generation }) => self.missed(input, generation),
        }
        self.check.before(self.now);
        let shown = self.shown.map(|input| self.id(input));
        let before = (self.selector.chosen().map(|i| self.number(i)), self.shown);
        let decision = self.selector.choose(shown.as_ref(), self.now);
        self.selector.take_news();
        if let Some(decision) = &decision {
            self.apply(decision);
        }
        assert!(self.selector.deadline().is_none_or(|(at, _)| at > self.now), "a deadline stays due");
        let chosen = self.selector.chosen().map(|i| self.number(i));
        self.check.after(&Step {
            now: self.now,
            workers: &self.workers,
            decision: decision.as_ref(),
            by_hand,
            before: before.0,
            shown_before: before.1,
            chosen,
            shown: self.shown,
        });
    }

    fn happens(&mut self, what: What) {
        let now = self.now;
        match what {
            What::Connect(input) => {
                self.lose(input, |input| Reason::Replaced { input });
                let id = self.id(input);
                assert!(self.selector.connected(&id, now));
                let worker = &mut self.workers[input];
                worker.generation += 1;
                (worker.connected, worker.hung) = (true, false);
                self.check.connected(input, now);
                self.ask_again(input);
            }
            What::Lose(input) => self.lose(input, |input| Reason::Lost { input, why: "end of file".to_owned() }),
            What::Told(input, faults) => {
                if !self.workers[input].connected || self.workers[input].hung {
                    return;
                }
                let finding = |fault: &Fault| Finding { fault: *fault, evidence: evidence(*fault, now) };
                let condition = Condition::new(faults.iter().map(finding).collect());
                self.selector.condition(&self.id(input), condition, now);
                self.workers[input].told = faults;
                self.check.told(input, &self.workers[input].told, now);
                self.ask_again(input);
            }
            What::Hang(input) => {
                if self.workers[input].connected {
                    self.workers[input].hung = true;
                    self.check.hung(input);
                    let generation = self.workers[input].generation;
                    self.schedule(now + STALL, Due::Missed { input, generation });
                }
            }
            What::Resume(input) => {
                self.workers[input].hung = false;
                self.ask_again(input);
            }
            What::ByHand(_) => {}
        }
    }

    fn lose(&mut self, input: usize, reason: impl Fn(InputId) -> Reason) {
        if self.shown == Some(input) {
            self.shown = None;
        }
        let worker = &mut self.workers[input];
        worker.connected = false;
        worker.told.clear();
        let id = self.id(input);
        self.selector.lost(&id, "end of file", &reason(id.clone()), self.now);
        self.check.lost(input, self.now);
    }

    /// Pictures that were waited for may come now.
    fn ask_again(&mut self, input: usize) {
        let asked = self.asked;
        self.schedule(self.now + self.story.latency[input], Due::Picture { input, asked });
    }

    fn picture(&mut self, input: usize, asked: u64) {
        let id = self.id(input);
        if !self.delivers(input) || self.selector.duty(&id) == Duty::Warm || asked != self.asked {
            return;
        }
        self.selector.picture(&id, self.now);
        self.check.picture(input);
        if self.selector.chosen() == Some(&id) {
            self.selector.arrived(&id);
            self.shown = Some(input);
        }
    }

    fn missed(&mut self, input: usize, generation: u64) {
        let worker = &self.workers[input];
        if worker.hung && worker.generation == generation && self.shown == Some(input) {
            self.shown = None;
            let id = self.id(input);
            let reason = Reason::NoAnswer { input: id.clone(), waited: STALL };
            self.selector.stalled(&id, &reason, self.now);
            self.check.stalled(input);
        }
    }

    fn apply(&mut self, decision: &Decision) {
        self.asked += 1;
        if let Reason::NoAnswer { input, .. } = &decision.reason {
            self.check.stalled(self.number(input));
        }
        match &decision.to {
            None => self.shown = None,
            Some(to) => {
                self.ask_again(self.number(to));
            }
        }
        // A picture that was waited for although its input was not chosen.
        if let (None, Some(last)) = (&decision.to, self.selector.awaited().cloned()) {
            self.ask_again(self.number(&last));
        }
    }
}
