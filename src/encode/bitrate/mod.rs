//! Pure. How high a picture's bit rate is, where its uplinks do not always bear the one that was configured.
//!
//! ```text
//!   destination: programme that waits, bytes confirmed ──► Asker ──► what it can bear ──┐
//!   destination: …                                     ──► Asker ──► …               ──┤ least
//!   operator: no more than …                           ────────────────────────────────┴──────► target ──► encoder
//! ```
//!
//! Each rendition is encoded once, so it has one target: what the tightest destination that asks can bear, between the
//! operator's floor and ceiling. What is measured is *waiting*, the programme time that the far end has not confirmed: it
//! grows as soon as a link takes less than the encoder makes, whatever the reason, and long before anything is lost. A
//! destination whose far end confirms nothing at all asks for nothing: its link is dead, not narrow, and that is for those
//! who judge links.
//!
//! A destination that is behind although the picture is at its floor is told to skip ahead to the newest keyframe: whole
//! groups are left out and counted, so that what does get through is the present.

mod asker;
#[cfg(test)]
mod simulation;
mod told;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::model::OutputId;

use asker::{Asker, Wish};

pub use told::Telling;

/// Changes of less than one part in so many are not worth telling an encoder, some of which begin anew with each.
const LEAST_STEP: u32 = 25;

/// Between what a picture's bit rate may be, bit/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Below this the picture is not worth sending.
    pub floor: u32,
    /// What it has when every uplink bears it.
    pub ceiling: u32,
    /// What goes with it to each destination: its sound.
    pub beside: u32,
}

/// How a destination does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// Which.
    pub output: OutputId,
    /// Its sessions so far: figures of different ones do not go together.
    pub session: u32,
    /// Programme time that its far end has not confirmed.
    pub waiting: Duration,
    /// Bytes that its far end has confirmed.
    pub confirmed: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another bit rate.
    Set {
        /// Bit/s, from floor to ceiling.
        bitrate: u32,
        /// What it was.
        was: u32,
        /// Whose doing it is.
        because: Because,
    },
    /// This destination goes on at the newest keyframe.
    SkipAhead(OutputId),
}

/// Why a picture has the bit rate that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// A destination bears no more.
    Tight {
        /// Which.
        output: OutputId,
        /// Bit/s that its far end confirms, sound included.
        delivers: u32,
        /// Programme that waits for it.
        waiting: Duration,
    },
    /// The tightest destination bears more than before.
    Eased(OutputId),
    /// All bear what was configured.
    Free,
    /// The operator wants no more.
    Operator,
}

/// The bit rate of one rendition.
///
/// *Invariants:* the target is never above the ceiling or the operator's limit, and no destination takes it below the
/// floor; a destination that is gone holds nothing down.
#[derive(Debug)]
pub struct Bitrate {
    bounds: Bounds,
    /// The operator's.
    limit: u32,
    target: u32,
    askers: BTreeMap<OutputId, Asker>,
}

impl Bitrate {
    /// At its ceiling.
    pub const fn new(bounds: Bounds) -> Self {
        Self { bounds, limit: bounds.ceiling, target: bounds.ceiling, askers: BTreeMap::new() }
    }

    /// Bit/s that the encoder should make.
    pub const fn target(&self) -> u32 {
        self.target
    }

    /// Its bounds.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The operator wants no more than `limit`, whatever the uplinks bear.
    pub fn limit(&mut self, limit: u32) -> Option<Verdict> {
        self.limit = limit.min(self.bounds.ceiling);
        self.settle(Some(Because::Operator))
    }

    /// How its destinations do now; one that is not among `loads` asks for nothing any more. To be called about twice a
    /// second.
    pub fn observe(&mut self, loads: &[Load], now: Instant) -> Vec<Verdict> {
        self.askers.retain(|output, _| loads.iter().any(|load| &load.output == output));
        let mut verdicts = Vec::new();
        let mut lowered = None;
        for load in loads {
            let asker = self.askers.entry(load.output.clone()).or_insert_with(|| Asker::new(self.bounds, now));
            match asker.observe(load, self.target, now) {
                Some(Wish::Lower { delivers }) => {
                    let (output, waiting) = (load.output.clone(), load.waiting);
                    lowered = Some(Because::Tight { output, delivers, waiting });
                }
                Some(Wish::SkipAhead) => verdicts.push(Verdict::SkipAhead(load.output.clone())),
                None => {}
            }
        }
        verdicts.extend(self.settle(lowered));
        verdicts
    }

    fn settle(&mut self, because: Option<Because>) -> Option<Verdict> {
        let tightest = self.askers.iter().min_by_key(|(_, asker)| asker.bears());
        let bears = tightest.map_or(self.bounds.ceiling, |(_, asker)| asker.bears());
        let wanted = bears.min(self.limit);
        let was = self.target;
        let is_whole = wanted == self.limit || wanted == self.bounds.floor;
        if wanted == was || (!is_whole && wanted.abs_diff(was) < was / LEAST_STEP) {
            return None;
        }
        self.target = wanted;
        let because = match (because, tightest) {
            (Some(because), _) => because,
            (None, Some((output, asker))) if asker.bears() < self.limit => Because::Eased(output.clone()),
            (None, _) => Because::Free,
        };
        Some(Verdict::Set { bitrate: wanted, was, because })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::clock;

    const BOUNDS: Bounds = Bounds { floor: 500_000, ceiling: 4_000_000, beside: 128_000 };

    fn load(output: &str, waiting: u64, confirmed: u64) -> Load {
        let output = OutputId::new(output).unwrap();
        Load { output, session: 1, waiting: Duration::from_millis(waiting), confirmed }
    }

    /// `seconds` of a destination that gets `rate` bit/s through and has `waiting` ms waiting.
    fn pass(bitrate: &mut Bitrate, now: &mut Instant, seconds: u64, of: &[(&str, u64, u64)]) -> Vec<Verdict> {
        let mut all = Vec::new();
        for halves in 1..=seconds * 2 {
            *now += Duration::from_millis(500);
            let loads: Vec<_> = of.iter().map(|(name, rate, wait)| load(name, *wait, rate / 16 * halves)).collect();
            all.extend(bitrate.observe(&loads, *now));
        }
        all
    }

    #[test]
    fn the_tightest_decides_and_holds_nothing_when_it_is_gone() {
        let (mut bitrate, mut now) = (Bitrate::new(BOUNDS), clock::now());
        let told = pass(&mut bitrate, &mut now, 5, &[("a", 4_200_000, 100), ("b", 1_500_000, 2500)]);
        let Some(Verdict::Set { bitrate: lowered, was: 4_000_000, because: Because::Tight { output, .. } }) =
            told.first()
        else {
            panic!("{told:?}")
        };
        assert_eq!(output.as_str(), "b");
        assert!((900_000..1_400_000).contains(lowered), "{lowered}");
        let told = bitrate.observe(&[load("a", 100, u64::MAX / 2)], now + Duration::from_millis(500));
        assert_eq!(told, [Verdict::Set { bitrate: 4_000_000, was: bitrate_of(&told), because: Because::Free }]);
    }

    fn bitrate_of(told: &[Verdict]) -> u32 {
        match told {
            [Verdict::Set { was, .. }] => *was,
            _ => 0,
        }
    }

    #[test]
    fn the_operators_limit_holds_whatever_the_uplinks_bear() {
        let (mut bitrate, mut now) = (Bitrate::new(BOUNDS), clock::now());
        let told = bitrate.limit(1_000_000);
        assert_eq!(told, Some(Verdict::Set { bitrate: 1_000_000, was: 4_000_000, because: Because::Operator }));
        assert_eq!(pass(&mut bitrate, &mut now, 60, &[("a", 1_128_000, 50)]), []);
        assert_eq!(bitrate.target(), 1_000_000);
        // Below the floor, since it is the operator who says so.
        assert!(bitrate.limit(100_000).is_some());
        assert_eq!(bitrate.target(), 100_000);
    }

    #[test]
    fn whoever_confirms_nothing_asks_for_nothing() {
        let (mut bitrate, mut now) = (Bitrate::new(BOUNDS), clock::now());
        assert_eq!(pass(&mut bitrate, &mut now, 30, &[("a", 0, 9000)]), []);
        assert_eq!(bitrate.target(), BOUNDS.ceiling);
    }

    #[test]
    fn a_far_end_that_is_far_away_is_not_a_narrow_link() {
        let (mut bitrate, mut now) = (Bitrate::new(BOUNDS), clock::now());
        assert_eq!(pass(&mut bitrate, &mut now, 30, &[("a", 4_128_000, 650)]), []);
    }

    #[test]
    fn at_the_floor_whole_groups_are_left_out() {
        let (mut bitrate, mut now) = (Bitrate::new(BOUNDS), clock::now());
        let told = pass(&mut bitrate, &mut now, 20, &[("a", 300_000, 7000)]);
        assert_eq!(bitrate.target(), BOUNDS.floor);
        assert!(told.iter().any(|verdict| matches!(verdict, Verdict::SkipAhead(_))), "{told:?}");
    }
}
