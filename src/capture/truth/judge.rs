//! Pure. What is wrong with an input, from all that is known of it.
//!
//! ```text
//!   Input::Picture, Held ─► view (frozen, black) ─┐
//!            └────────────► arrival (stalled, ────┤
//!   Input::Look ──────────►          irregular)   ├─► Condition, told when other faults are in it
//!            └────────────► quiet (no sound, ─────┤
//!   Input::Sound ─────────►        silent)        │
//!   Input::Word ──────────────────────────────────┘
//! ```
//!
//! *Invariant:* what is told of a fault is the evidence that it was found on, and stays as it is until the fault is over.

use super::arrival::Arrival;
use super::picture::Measure;
use super::quiet::Quiet;
use super::sound::Level;
use super::view::View;
use crate::model::{Condition, Fault, Finding, Media, TruthSettings};

/// What a judge hears.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A picture came; without a measure when it could not be measured.
    Picture(Option<Measure>),
    /// None is due: the source knows that the last one is right for now.
    Held,
    /// Sound came.
    Sound(Level),
    /// The source says that this is wrong with it, or that nothing is: its receiver has no signal, its device is gone, it
    /// cannot be decoded. Until it says something else.
    Word(Option<Finding>),
    /// Time has passed. At least every 100 ms.
    Look,
}

/// Judges one input.
#[derive(Clone, Debug)]
pub struct Judge {
    view: View,
    arrival: Arrival,
    quiet: Quiet,
    word: Option<Finding>,
    looked: Media,
    condition: Condition,
}

impl Judge {
    /// Longer than this between two looks, and it was the judge who was away, which is no fault of the source.
    const AWAY: Media = Media::from_millis(100);

    /// Of an input that begins at `now`.
    pub fn new(settings: &TruthSettings, now: Media) -> Self {
        Self {
            view: View::new(settings),
            arrival: Arrival::new(settings),
            quiet: Quiet::new(settings),
            word: None,
            looked: now,
            condition: Condition::GOOD,
        }
    }

    /// What happened at `now`; the condition if it is another from here on.
    pub fn handle(&mut self, input: Input, now: Media) -> Option<&Condition> {
        match input {
            Input::Picture(measure) => {
                // What comes could be decoded.
                self.word.take_if(|word| word.fault == Fault::Encoder);
                self.arrival.picture(now);
                self.view.picture(measure, now);
            }
            Input::Held => {
                self.arrival.picture(now);
                self.view.held(now);
            }
            Input::Sound(level) => self.quiet.sound(level),
            Input::Word(word) => self.word = word,
            Input::Look => self.look(now),
        }
        let same = self.findings().count() == self.condition.findings().len()
            && self.findings().all(|finding| self.condition.findings().contains(finding));
        if same {
            return None;
        }
        self.condition = Condition::new(self.findings().cloned().collect());
        Some(&self.condition)
    }

    /// What is wrong now.
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    fn findings(&self) -> impl Iterator<Item = &Finding> {
        let (view, arrival, quiet) = (self.view.findings(), self.arrival.findings(), self.quiet.findings());
        self.word.iter().chain(arrival).chain(view).chain(quiet)
    }

    fn look(&mut self, now: Media) {
        let passed = (now - self.looked).clamp(Media::ZERO, Self::AWAY);
        self.looked = now;
        if self.arrival.look(passed, now) {
            self.view.interrupt();
        }
        self.quiet.look(passed);
    }
}

#[cfg(test)]
mod tests;
