//! One input: what is wrong with it, since when, and what it is good for.

use std::collections::BTreeMap;

use super::super::report::Reason;
use super::planted::{Bug, planted};
use super::score;
use super::trust::{Record, SETTLE};
use crate::events::{InputSnapshot, InputStanding};
use crate::model::{Condition, Fault, Finding, Gravity, InputId, InputRules, Media, Selection};

/// A stall cannot be seen to end on an input whose gate is closed. After so long with a closed gate it is given another
/// chance, on probation.
pub(super) const STALL_UNSEEN: Media = Media::from_millis(5000);

/// What an input is good for. Better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// Nothing is wrong with it, and nothing was for long enough.
    Proven,
    /// Nothing is wrong with it for the time being.
    Probation,
    /// Its picture moves, and something is wrong with it.
    Impaired,
    /// There is a picture with nothing to see: frozen or black.
    Empty,
}

#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) id: InputId,
    rules: InputRules,
    sound: Sound,
    worker: Worker,
    /// As its worker last told it.
    condition: Condition,
    pictures: Pictures,
    /// Since when each fault is there that counts.
    began: BTreeMap<Fault, Media>,
    /// Since when nothing that counts has been wrong.
    good_since: Option<Media>,
    /// Since when its picture has been worth looking at.
    moving_since: Option<Media>,
    record: Record,
    last_picture: Option<Media>,
}

/// Whether faults of sound count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sound {
    Counts,
    Ignored,
}

#[derive(Debug)]
enum Worker {
    NeverSeen,
    Connected,
    Gone(String),
}

/// Whether its pictures come, as far as the switch waited for them.
#[derive(Debug)]
enum Pictures {
    /// They do, or nobody has waited for them in vain.
    Expected,
    /// They did not.
    Missing {
        told: Reason,
        /// Since when nobody has waited for them any more.
        gate_closed: Option<Media>,
    },
    /// They did not, and that was long enough ago to try again; none has come since.
    Doubted,
}

impl Candidate {
    pub(super) fn new(id: InputId, selection: &Selection) -> Self {
        Self {
            rules: selection.rules(&id),
            sound: Sound::of(selection),
            id,
            worker: Worker::NeverSeen,
            condition: Condition::GOOD,
            pictures: Pictures::Expected,
            began: BTreeMap::new(),
            good_since: None,
            moving_since: None,
            record: Record::new(),
            last_picture: None,
        }
    }

    pub(super) fn select(&mut self, selection: &Selection, now: Media) {
        self.rules = selection.rules(&self.id);
        self.sound = Sound::of(selection);
        self.update(now);
    }

    /// What its last worker told is not true of this one.
    pub(super) fn connected(&mut self, now: Media) {
        self.worker = Worker::Connected;
        (self.condition, self.pictures) = (Condition::GOOD, Pictures::Expected);
        self.update(now);
    }

    pub(super) fn lost(&mut self, why: &str, now: Media) {
        if matches!(self.worker, Worker::Connected) {
            self.worker = Worker::Gone(why.to_owned());
            self.update(now);
        }
    }

    pub(super) fn is_told(&mut self, condition: Condition, now: Media) {
        self.condition = condition;
        self.update(now);
    }

    pub(super) fn stalled(&mut self, told: Reason, now: Media) {
        self.pictures = Pictures::Missing { told, gate_closed: None };
        self.update(now);
    }

    pub(super) fn picture(&mut self, now: Media) {
        self.last_picture = Some(now);
        if !matches!(self.pictures, Pictures::Expected) {
            self.pictures = Pictures::Expected;
            self.update(now);
        }
    }

    pub(super) fn last_picture(&self) -> Option<Media> {
        self.last_picture
    }

    /// What follows from time alone.
    pub(super) fn tick(&mut self, now: Media) {
        if self.gate_closed().is_some_and(|at| at + STALL_UNSEEN <= now) {
            self.pictures = Pictures::Doubted;
            self.update(now);
        }
        if self.began.keys().any(|fault| self.counts(*fault, now)) {
            self.record.fail(now);
        }
        if self.proven_at().is_some_and(|at| at <= now) {
            self.record.prove(now);
        }
    }

    /// Whether anybody waits for its pictures.
    pub(super) fn awaited(&mut self, awaited: bool, now: Media) {
        if let Pictures::Missing { gate_closed, .. } = &mut self.pictures {
            *gate_closed = (!awaited).then(|| gate_closed.unwrap_or(now));
        }
    }

    /// Whether it has neither failed nor proved itself.
    pub(super) fn is_new(&self) -> bool {
        self.record.is_new()
    }

    /// Whether it was waited for in vain and nothing has come since: whoever else has anything to show is tried first.
    pub(super) fn is_doubted(&self) -> bool {
        matches!(self.pictures, Pictures::Doubted)
    }

    fn gate_closed(&self) -> Option<Media> {
        match self.pictures {
            Pictures::Missing { gate_closed, .. } => gate_closed,
            Pictures::Expected | Pictures::Doubted => None,
        }
    }

    /// This process slept for so long: nothing is known of that time, and it counts for nothing.
    pub(super) fn forgive(&mut self, slept: Media) {
        if planted(Bug::CountsItsOwnSleep) {
            return;
        }
        let closed = match &mut self.pictures {
            Pictures::Missing { gate_closed, .. } => gate_closed.as_mut(),
            Pictures::Expected | Pictures::Doubted => None,
        };
        let since = [self.good_since.as_mut(), self.moving_since.as_mut(), closed];
        for at in self.began.values_mut().chain(since.into_iter().flatten()) {
            *at = *at + slept;
        }
    }

    /// When something follows from time alone. May lie in the past.
    pub(super) fn deadlines(&self) -> impl Iterator<Item = (Media, &'static str)> {
        let stood = self.began.values().map(|at| (*at + self.rules.hold_off, "a fault has stood"));
        let seen = self.gate_closed().map(|at| (at + STALL_UNSEEN, "a stall may be over"));
        let proven = self.proven_at().map(|at| (at, "an input has been good for long enough"));
        let settled = [self.good_since, self.moving_since].into_iter().flatten();
        let settled = settled.map(|at| (at + SETTLE, "an input has settled"));
        stood.chain(seen).chain(proven).chain(settled)
    }

    fn proven_at(&self) -> Option<Media> {
        let since = self.good_since.filter(|_| !self.record.is_trusted())?;
        Some(since + self.record.needs(&self.rules))
    }

    /// How long it still has to be good; `None` if it is proven, or not good.
    pub(super) fn probation_left(&self, now: Media) -> Option<Media> {
        self.proven_at().map(|at| (at - now).max(Media::ZERO))
    }

    /// How long it will have to be good once it is.
    pub(super) fn needs(&self) -> Media {
        self.record.needs(&self.rules)
    }

    /// How long nothing has been wrong with it.
    pub(super) fn good_for(&self, now: Media) -> Media {
        self.good_since.map_or(Media::ZERO, |since| now - since)
    }

    /// What it is good for as somebody to go to: whatever is wrong with it counts. `None` if there is nothing to show.
    pub(super) fn class(&self) -> Option<Class> {
        self.class_by(|_| true)
    }

    /// What it is good for as somebody to stay with: only what has stood counts.
    pub(super) fn class_on_air(&self, now: Media) -> Option<Class> {
        self.class_by(|fault| self.counts(fault, now))
    }

    fn class_by(&self, counts: impl Fn(Fault) -> bool) -> Option<Class> {
        if !matches!(self.worker, Worker::Connected) {
            return None;
        }
        let mut class = if self.record.is_trusted() { Class::Proven } else { Class::Probation };
        for fault in self.began.keys().filter(|f| counts(**f)) {
            class = class.max(match (fault.gravity(), fault) {
                (Gravity::Hard, _) => return None,
                (Gravity::Soft, Fault::Frozen | Fault::Black) => Class::Empty,
                (Gravity::Soft, _) => Class::Impaired,
            });
        }
        Some(class)
    }

    /// Whether it has been like this for long enough to go there from a picture that can be shown.
    pub(super) fn has_settled(&self, class: Class, now: Media) -> bool {
        match class {
            Class::Proven => true,
            Class::Probation => self.good_since.is_some_and(|at| at + SETTLE <= now),
            Class::Impaired => self.moving_since.is_some_and(|at| at + SETTLE <= now),
            Class::Empty => false,
        }
    }

    /// Points of 100 as somebody to go to.
    pub(super) fn points(&self) -> u8 {
        self.points_by(|_| true)
    }

    /// Points of 100 as somebody to stay with.
    pub(super) fn points_on_air(&self, now: Media) -> u8 {
        self.points_by(|fault| self.counts(fault, now))
    }

    fn points_by(&self, counts: impl Fn(Fault) -> bool + Copy) -> u8 {
        if self.class_by(counts).is_none() {
            return 0;
        }
        score::points(self.rules.worth, self.began.keys().copied().filter(|f| counts(*f)))
    }

    /// Whether a fault has stood for long enough to count.
    fn counts(&self, fault: Fault, now: Media) -> bool {
        let hold_off = match fault.gravity() {
            Gravity::Hard => Media::ZERO,
            Gravity::Soft if planted(Bug::MovesAtOnce) => Media::ZERO,
            Gravity::Soft => self.rules.hold_off,
        };
        self.began.get(&fault).is_some_and(|at| *at + hold_off <= now)
    }

    /// Why it is left: the gravest of what counts, the cause before what follows from it.
    pub(super) fn reason(&self, now: Media) -> Option<Reason> {
        let counting = || self.began.keys().copied().filter(|f| self.counts(*f, now));
        let grave = counting().find(|f| f.gravity() == Gravity::Hard);
        let fault = match grave.or_else(|| counting().next()) {
            Some(_) if planted(Bug::BlamesTheWrongFault) => Fault::NoSignal,
            fault => fault?,
        };
        let input = self.id.clone();
        let finding = self.condition.findings().iter().find(|f| f.fault == fault).cloned();
        Some(match (finding, &self.worker, &self.pictures) {
            (Some(finding), _, _) => Reason::Fault { input, finding },
            (None, Worker::Gone(why), _) if fault == Fault::Worker => Reason::Lost { input, why: why.clone() },
            (None, _, Pictures::Missing { told, .. }) => told.clone(),
            (None, _, Pictures::Expected | Pictures::Doubted) => {
                Reason::Fault { input, finding: Finding { fault, evidence: String::new() } }
            }
        })
    }

    /// Everything that is wrong with it, for people.
    fn findings(&self) -> Condition {
        let told = self.condition.findings().iter().cloned();
        let gone = match &self.worker {
            Worker::Gone(why) => Some(Finding { fault: Fault::Worker, evidence: why.clone() }),
            Worker::Connected | Worker::NeverSeen => None,
        };
        let missing = match &self.pictures {
            Pictures::Missing { told, .. } => Some(Finding { fault: Fault::Stalled, evidence: told.to_string() }),
            Pictures::Expected | Pictures::Doubted => None,
        };
        Condition::new(told.chain(gone).chain(missing).collect())
    }

    pub(super) fn snapshot(&self, now: Media) -> InputSnapshot {
        let ms = |time: Media| u64::try_from(time.to_ticks(1000)).unwrap_or(0);
        let standing = match (&self.worker, self.class()) {
            (Worker::NeverSeen, _) => InputStanding::Absent,
            (_, None) => InputStanding::Unusable,
            (_, Some(Class::Empty | Class::Impaired)) => InputStanding::Impaired,
            (_, Some(Class::Probation)) => {
                InputStanding::Probation { more_ms: ms(self.probation_left(now).unwrap_or(Media::ZERO)) }
            }
            (_, Some(Class::Proven)) => InputStanding::Ready,
        };
        InputSnapshot {
            sender: None,
            id: self.id.clone(),
            connected: matches!(self.worker, Worker::Connected),
            last_unit_ms: self.last_picture.map(|at| ms(now - at)),
            condition: self.findings(),
            standing,
            score: None,
        }
    }

    fn update(&mut self, now: Media) {
        let gone = matches!(self.worker, Worker::Gone(_)).then_some(Fault::Worker);
        let stalled = matches!(self.pictures, Pictures::Missing { .. }).then_some(Fault::Stalled);
        let told = self.condition.findings().iter().map(|f| f.fault);
        let told = told.filter(|f| !f.is_of_sound() || self.sound == Sound::Counts);
        let wrong: Vec<_> = told.chain(gone).chain(stalled).collect();
        self.began.retain(|fault, _| wrong.contains(fault));
        for fault in &wrong {
            self.began.entry(*fault).or_insert(now);
        }
        if wrong.iter().any(|f| f.gravity() == Gravity::Hard) {
            self.record.fail(now);
        }
        let connected = matches!(self.worker, Worker::Connected);
        let good = connected && (wrong.is_empty() || planted(Bug::ProbationGoesOn));
        let empty = |f: &Fault| f.gravity() == Gravity::Hard || matches!(f, Fault::Frozen | Fault::Black);
        let moving = connected && !wrong.iter().any(empty);
        self.good_since = good.then(|| self.good_since.unwrap_or(now));
        self.moving_since = moving.then(|| self.moving_since.unwrap_or(now));
    }
}

impl Sound {
    fn of(selection: &Selection) -> Self {
        if selection.heeds_sound() { Self::Counts } else { Self::Ignored }
    }
}
