//! Pure. What the probes of a link say: who answers, since when nobody does, how many are lost.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::class::NO_WITNESS_AFTER;
use super::observation::TargetId;

/// Most targets of a link; the rest is not listened to.
const MAX_TARGETS: usize = 8;
/// Most probes of a target that wait for their answers; later ones are not waited for until some came.
const MAX_PENDING: usize = 64;
/// A target that was not asked for so long says nothing, whatever it answered before.
const ASKED_WITHIN: Duration = Duration::from_secs(1);
/// Losses are counted over so many seconds ...
const WINDOW: u64 = 10;
/// ... that ended so long ago: younger probes may still be answered.
const SETTLED: u64 = 1;
/// A probe is told of so long before or after it leaves, at most; they are further apart than that.
const TOLD_WITHIN: Duration = Duration::from_millis(20);
/// Fewer probes say nothing about losses.
const LEAST_PROBES: u32 = 10;
const SLOTS: usize = (WINDOW + SETTLED + 1) as usize;

/// What the probes say as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Probing {
    /// No target is known to answer.
    NoWitness,
    /// Answers are in time.
    Answered,
    /// Every target that used to answer owes an answer since then.
    Silent {
        /// When the first of the answers that are owed was asked for, or the last one came.
        since: Instant,
    },
}

/// One second's probes.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    second: u64,
    sent: u32,
    answered: u32,
}

#[derive(Debug)]
struct Target {
    id: TargetId,
    /// Whether it has answered and not been found useless since.
    works: bool,
    asked: Instant,
    answered: Option<Instant>,
    /// When those left that are younger than the newest that was answered.
    pending: VecDeque<Instant>,
    /// When it was found out of those of late that they were lost: younger ones were answered.
    lost: VecDeque<Instant>,
    slots: [Slot; SLOTS],
    rtt: Option<Duration>,
}

/// All targets of a link.
#[derive(Debug)]
pub(super) struct Probes {
    begun: Instant,
    targets: Vec<Target>,
}

impl Target {
    /// Since when it owes an answer. Nothing that happened before `awake` counts.
    fn silent_since(&self, awake: Instant) -> Option<Instant> {
        let first = *self.pending.front()?;
        Some(self.answered.map_or(first, |answered| first.max(answered)).max(awake))
    }

    fn is_witness(&self, now: Instant) -> bool {
        self.works && now.saturating_duration_since(self.asked) <= ASKED_WITHIN
    }

    fn slot(&mut self, second: u64) -> &mut Slot {
        let slot = &mut self.slots[(second % SLOTS as u64) as usize];
        if slot.second != second {
            *slot = Slot { second, sent: 0, answered: 0 };
        }
        slot
    }

    /// Sent and answered in the whole seconds from `first` on, of the last [`WINDOW`] that has settled.
    fn counted(&self, first: u64, second: u64) -> (u32, u32) {
        let within = self.slots.iter().filter(|slot| {
            let age = second.saturating_sub(slot.second);
            slot.second >= first && age > SETTLED && age <= WINDOW + SETTLED
        });
        within.fold((0, 0), |(sent, answered), slot| (sent + slot.sent, answered + slot.answered.min(slot.sent)))
    }
}

impl Probes {
    pub(super) const fn new(begun: Instant) -> Self {
        Self { begun, targets: Vec::new() }
    }

    fn second(&self, at: Instant) -> u64 {
        // One ahead, so that an empty slot belongs to no second.
        at.saturating_duration_since(self.begun).as_secs() + SLOTS as u64
    }

    pub(super) fn sent(&mut self, id: TargetId, now: Instant) {
        let second = self.second(now);
        let index = self.targets.iter().position(|target| target.id == id);
        if index.is_none() && self.targets.len() >= MAX_TARGETS {
            return;
        }
        if index.is_none() {
            self.targets.push(Target {
                id,
                works: false,
                asked: now,
                answered: None,
                pending: VecDeque::new(),
                lost: VecDeque::new(),
                slots: [Slot::default(); SLOTS],
                rtt: None,
            });
        }
        let index = index.unwrap_or(self.targets.len() - 1);
        let Some(target) = self.targets.get_mut(index) else { return };
        target.asked = now;
        target.slot(second).sent += 1;
        if target.pending.len() < MAX_PENDING {
            target.pending.push_back(now);
        }
    }

    /// An answer to the probe that left `rtt` ago. Answers to what was never asked are ignored.
    pub(super) fn answered(&mut self, id: TargetId, rtt: Duration, now: Instant) {
        let Some(left) = now.checked_sub(rtt) else { return };
        let second = self.second(left);
        let Some(target) = self.targets.iter_mut().find(|target| target.id == id) else { return };
        target.works = true;
        target.answered = Some(now);
        target.slot(second).answered += 1;
        while let Some(first) = target.pending.pop_front_if(|first| *first <= left + TOLD_WITHIN) {
            if first + TOLD_WITHIN < left {
                target.lost.push_back(now);
            }
        }
        while target.lost.len() > MAX_PENDING {
            target.lost.pop_front();
        }
        target.rtt = Some(target.rtt.map_or(rtt, |known| (known * 7 + rtt) / 8));
    }

    /// Other traffic of the link is answered: targets that have been silent all the while prove nothing by it.
    pub(super) fn doubt_silent(&mut self, awake: Instant, now: Instant) {
        for target in &mut self.targets {
            let silent = target.silent_since(awake).map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
            if silent >= NO_WITNESS_AFTER {
                target.works = false;
            }
        }
    }

    /// What they say as a whole: one target that answers is enough.
    pub(super) fn say(&self, awake: Instant, now: Instant) -> Probing {
        let mut said = Probing::NoWitness;
        for target in self.targets.iter().filter(|target| target.is_witness(now)) {
            said = match (target.silent_since(awake), said) {
                (None, _) => return Probing::Answered,
                (Some(since), Probing::NoWitness) => Probing::Silent { since },
                (Some(since), Probing::Silent { since: other }) => Probing::Silent { since: since.max(other) },
                (Some(_), Probing::Answered) => said,
            };
        }
        said
    }

    /// Probes of which it was found out since then that they were lost, of the target that loses least.
    pub(super) fn lost_since(&self, since: Instant, now: Instant) -> usize {
        let witnesses = self.targets.iter().filter(|target| target.is_witness(now));
        let lost = |target: &Target| target.lost.iter().filter(|at| **at >= since).count();
        witnesses.map(lost).min().unwrap_or(0)
    }

    /// When any target answered last.
    pub(super) fn last_answer(&self) -> Option<Instant> {
        self.targets.iter().filter_map(|target| target.answered).max()
    }

    /// Lost probes in per cent, of the target that loses least; None if too few were sent.
    pub(super) fn loss(&self, now: Instant) -> Option<u32> {
        self.loss_from(0, now)
    }

    /// The same of what was sent after `since`.
    pub(super) fn loss_since(&self, since: Instant, now: Instant) -> Option<u32> {
        self.loss_from(self.second(since) + 1, now)
    }

    fn loss_from(&self, first: u64, now: Instant) -> Option<u32> {
        let second = self.second(now);
        let of = |target: &Target| {
            let (sent, answered) = target.counted(first, second);
            (sent >= LEAST_PROBES).then(|| 100 * (sent - answered) / sent)
        };
        self.targets.iter().filter(|target| target.is_witness(now)).filter_map(of).min()
    }

    /// Smoothed round-trip time to the nearest target.
    pub(super) fn rtt(&self, now: Instant) -> Option<Duration> {
        self.targets.iter().filter(|target| target.is_witness(now)).filter_map(|target| target.rtt).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_probe_that_left_a_little_earlier_or_later_than_was_told_is_not_lost() {
        let ms = Duration::from_millis;
        let begun = clock::now() + Duration::from_secs(100);
        for (early, late) in [(0, 0), (3, 0), (0, 3)] {
            let (mut probes, id) = (Probes::new(begun), TargetId(1));
            let mut now = begun;
            for n in 0..30 {
                let left = begun + ms(100 * n);
                probes.sent(id, left - ms(early) + ms(late));
                now = left + ms(40);
                // Each tenth is lost.
                if n % 10 != 9 {
                    probes.answered(id, ms(40), now);
                }
            }
            assert_eq!(probes.lost_since(begun, now), 2, "told {early} ms before, {late} ms after");
        }
    }
}
