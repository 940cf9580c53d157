//! What is known of one input, kept apart from the selector's own books.

use std::collections::BTreeMap;

use super::world::evidence;
use crate::model::{Fault, Gravity, InputRules, Media};
use crate::switch::selector::trust::SETTLE;

/// Better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Worth {
    Proven,
    Good,
    Moving,
    Empty,
}

pub(super) struct Truth {
    pub(super) rules: InputRules,
    heeds_sound: bool,
    pub(super) connected: bool,
    /// Since when, and the evidence it was last told with.
    faults: BTreeMap<Fault, (Media, String)>,
    good: Option<Media>,
    moving: Option<Media>,
    trusted: bool,
    failed: bool,
    relapses: u32,
    remembered: Option<Media>,
    /// It was hung once: what the selector may know of it, and when, is not told here from there on.
    pub(super) ever_hung: bool,
    /// It was waited for in vain, and nothing has come since.
    pub(super) silent: bool,
}

impl Truth {
    pub(super) fn new(rules: InputRules, heeds_sound: bool) -> Self {
        Self {
            rules,
            heeds_sound,
            connected: false,
            faults: BTreeMap::new(),
            good: None,
            moving: None,
            trusted: false,
            failed: false,
            relapses: 0,
            remembered: None,
            ever_hung: false,
            silent: false,
        }
    }

    pub(super) fn connected(&mut self, now: Media) {
        self.connected = true;
        self.silent = false;
        self.told(&[], now);
    }

    pub(super) fn lost(&mut self, now: Media) {
        if self.connected {
            self.connected = false;
            self.fail(now);
            (self.good, self.moving) = (None, None);
        }
    }

    pub(super) fn told(&mut self, faults: &[Fault], now: Media) {
        self.pass(now);
        self.faults.retain(|fault, _| faults.contains(fault));
        for fault in faults {
            self.faults.entry(*fault).or_insert((now, String::new())).1 = evidence(*fault, now);
        }
        if self.counting().any(|f| f.gravity() == Gravity::Hard) {
            self.fail(now);
        }
        let good = self.connected && self.counting().next().is_none();
        let moving = self.connected && self.counting().all(is_moving);
        self.good = good.then(|| self.good.unwrap_or(now));
        self.moving = moving.then(|| self.moving.unwrap_or(now));
    }

    /// Faults that are there and are looked at.
    fn counting(&self) -> impl Iterator<Item = Fault> {
        self.faults.keys().copied().filter(|f| self.heeds_sound || !f.is_of_sound())
    }

    fn stood(&self, fault: Fault, now: Media) -> bool {
        let hard = fault.gravity() == Gravity::Hard;
        self.faults.get(&fault).is_some_and(|(at, _)| hard || *at + self.rules.hold_off <= now)
    }

    fn fail(&mut self, now: Media) {
        if self.trusted {
            let soon = self.remembered.is_some_and(|at| now - at < InputRules::FORGIVEN_AFTER);
            self.relapses = if soon { self.relapses + 1 } else { 0 };
            self.remembered = Some(now);
        }
        (self.trusted, self.failed) = (false, true);
    }

    /// It has neither failed nor proved itself.
    pub(super) fn is_new(&self) -> bool {
        !self.trusted && !self.failed
    }

    pub(super) fn needs(&self) -> Media {
        let base = self.rules.probation;
        let most = InputRules::PROBATION_MOST.max(base);
        if self.failed { Media(base.0 << self.relapses.min(16)).min(most) } else { SETTLE.min(base) }
    }

    /// What follows from time alone.
    pub(super) fn pass(&mut self, now: Media) {
        if self.counting().any(|f| self.stood(f, now)) {
            self.fail(now);
        }
        if let Some(good) = self.good.filter(|at| !self.trusted && *at + self.needs() <= now) {
            self.trusted = true;
            self.remembered = self.remembered.map(|_| good + self.needs());
        }
    }

    pub(super) fn forgive(&mut self, slept: Media) {
        let since = [self.good.as_mut(), self.moving.as_mut()];
        for at in self.faults.values_mut().map(|(at, _)| at).chain(since.into_iter().flatten()) {
            *at = *at + slept;
        }
    }

    /// As somebody to go to.
    pub(super) fn worth(&self) -> Option<Worth> {
        self.worth_by(|_| true)
    }

    /// As somebody to stay with.
    pub(super) fn worth_on_air(&self, now: Media) -> Option<Worth> {
        self.worth_by(|f| self.stood(f, now))
    }

    fn worth_by(&self, counts: impl Fn(Fault) -> bool) -> Option<Worth> {
        let faults: Vec<_> = self.counting().filter(|f| counts(*f)).collect();
        if !self.connected || faults.iter().any(|f| f.gravity() == Gravity::Hard) {
            return None;
        }
        Some(match faults.is_empty() {
            true if self.trusted => Worth::Proven,
            true => Worth::Good,
            false if faults.iter().all(|f| is_moving(*f)) => Worth::Moving,
            false => Worth::Empty,
        })
    }

    /// Since when it has been good, if it has been for as long as it needs.
    pub(super) fn well_since(&self, now: Media) -> Option<Media> {
        let since = self.good? + self.needs();
        (self.trusted && since <= now).then_some(since)
    }

    pub(super) fn points(&self) -> u32 {
        self.points_by(|_| true)
    }

    pub(super) fn points_on_air(&self, now: Media) -> u32 {
        self.points_by(|f| self.stood(f, now))
    }

    fn points_by(&self, counts: impl Fn(Fault) -> bool) -> u32 {
        let left = |f: Fault| match f {
            Fault::Frozen | Fault::Black => 10,
            Fault::Network => 50,
            Fault::Irregular => 60,
            _ => 80,
        };
        let faults = self.counting().filter(|f| counts(*f));
        faults.fold(u32::from(self.rules.worth), |points, f| points * left(f) / 100).max(1)
    }

    /// Whether this is wrong with it, counts, and was told from this.
    pub(super) fn has(&self, fault: Fault, told_from: &str, now: Media) -> bool {
        self.stood(fault, now) && self.faults.get(&fault).is_some_and(|(_, text)| text == told_from)
    }
}

fn is_moving(fault: Fault) -> bool {
    fault.gravity() == Gravity::Soft && !matches!(fault, Fault::Frozen | Fault::Black)
}
