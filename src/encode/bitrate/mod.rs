//! Pure. How high a picture's bit rate is, where its uplinks or its machine do not always bear the one that was configured.
//!
//! ```text
//!   destination: programme that waits, bytes confirmed ──► Asker ──► what it can bear ──┐
//!   destination: …                                     ──► Asker ──► …               ──┤ least
//!   operator: no more than …                           ────────────────────────────────┤
//!   thermometers ──► Heat ──(hint that expires)──► Ceiling ────────────────────────────┴─► Steps ─► target ─► encoder
//!   workers ──► Strain: an encoder that falls behind ──► people, and Heat
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
//!
//! # What a change costs
//!
//! Some encoders begin anew with each, and that is a keyframe; some take none while they run. The encoder table says so for
//! each family ([`Pace`](super::table::Pace)), and `Steps` keeps to it: never more often than allowed, never by less than is
//! worth it except to reach an end of the way, and earlier in an emergency, which is bounded too. What waits for its time is
//! not forgotten. Workers count the keyframes that changes have cost, so that the table is measured and not believed.
//!
//! # Heat
//!
//! [`Heat`] runs in holdfastd and reacts before the processor is slowed down: near a thermometer's limit people are told,
//! then the bit rates are lowered by a tenth at a time, to a half at least and never below a floor; after a minute well below
//! the limit a tenth is given back, later after each relapse. A processor that is slowed down already loses two tenths at once.
//! Fewer bits cost an encoder a little less, TLS and radios too. An encoder that cannot keep up wants fewer pixels: [`Strain`]
//! says so, with the remedy, and lowers nothing by itself.

mod asker;
mod ceiling;
mod heat;
#[cfg(test)]
mod heat_tests;
#[cfg(test)]
mod simulation;
mod steps;
mod strain;
mod told;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::encode::table::Change;
use crate::model::OutputId;

use asker::{Asker, Wish};
use steps::{Reach, Steps, Urgency};

pub use ceiling::{CEILING_MOST, Ceiling, Ceilings};
pub use heat::{Heat, Notice, Pressure, ZoneLimit};
pub use steps::MOST_TURNS;
pub use strain::Strain;
pub use told::{Telling, cannot_change};

/// A destination for which so much waits is about to lose programme: the ring keeps twelve seconds.
const URGENT: Duration = Duration::from_millis(2500);

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
    /// The machine is too warm for more, in words.
    Heat(String),
    /// It has cooled down, though not enough for all of it.
    Cooler,
}

/// What keeps a bit rate from being higher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Nothing: it is what was configured.
    Configured,
    /// This destination bears no more.
    Link(OutputId),
    /// The operator wants no more.
    Operator,
    /// The machine is too warm, in words.
    Heat(String),
}

/// The bit rate of one rendition.
///
/// *Invariants:* the target is never above the ceiling or the operator's limit, and neither a destination nor heat takes it
/// below the floor; a destination that is gone holds nothing down. It changes no more often than the encoder's [`Steps`].
#[derive(Debug)]
pub struct Bitrate {
    bounds: Bounds,
    /// The operator's.
    limit: u32,
    heat: Option<Ceiling>,
    target: u32,
    askers: BTreeMap<OutputId, Asker>,
    steps: Steps,
    /// Why there is to be another one, as soon as its time has come.
    owed: Option<Because>,
}

impl Bitrate {
    /// At its ceiling.
    pub const fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            limit: bounds.ceiling,
            heat: None,
            target: bounds.ceiling,
            askers: BTreeMap::new(),
            steps: Steps::new(),
            owed: None,
        }
    }

    /// Bit/s that the encoder should make.
    pub const fn target(&self) -> u32 {
        self.target
    }

    /// Its bounds.
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What a change does to the stream, with the encoders that there are.
    pub const fn change(&self) -> Change {
        self.steps.change()
    }

    /// The elements that make it, by name: one for each worker.
    pub fn encoded_by<'a>(&mut self, factories: impl Iterator<Item = &'a str>) {
        self.steps.encoded_by(factories);
        if self.change() == Change::Anew {
            // What it was begun with, and keeps.
            self.target = self.bounds.ceiling;
            self.askers.clear();
            self.owed = None;
        }
    }

    /// The operator wants no more than `limit`, whatever the uplinks bear.
    pub fn limit(&mut self, limit: u32, now: Instant) -> Option<Verdict> {
        self.limit = limit.min(self.bounds.ceiling);
        self.owed = Some(Because::Operator);
        self.settle(now)
    }

    /// How its destinations do now, and what heat leaves; one that is not among `loads` asks for nothing any more. To be
    /// called about twice a second.
    pub fn observe(&mut self, loads: &[Load], heat: Option<&Ceiling>, now: Instant) -> Vec<Verdict> {
        if self.heat.as_ref() != heat {
            self.heat = heat.cloned();
        }
        if self.change() == Change::Anew {
            return Vec::new();
        }
        self.askers.retain(|output, _| loads.iter().any(|load| &load.output == output));
        let mut verdicts = Vec::new();
        let mut least = u32::MAX;
        for load in loads {
            let asker = self.askers.entry(load.output.clone()).or_insert_with(|| Asker::new(self.bounds, now));
            match asker.observe(load, self.target, now) {
                Some(Wish::Lower { delivers }) if asker.bears() < least => {
                    least = asker.bears();
                    let (output, waiting) = (load.output.clone(), load.waiting);
                    self.owed = Some(Because::Tight { output, delivers, waiting });
                }
                Some(Wish::Lower { .. }) => {}
                Some(Wish::SkipAhead) => verdicts.push(Verdict::SkipAhead(load.output.clone())),
                None => {}
            }
        }
        verdicts.extend(self.settle(now));
        verdicts
    }

    /// What keeps it from being higher than it is to be.
    pub fn bound(&self) -> Bound {
        self.wanted().1
    }

    /// What heat leaves of it, bit/s, and why; `None` if that is all, or as much as the floor.
    pub fn heat_ceiling(&self) -> Option<(u32, &str)> {
        let heat = self.heat.as_ref().filter(|_| self.change() != Change::Anew)?;
        let left = heat.of(self.bounds.ceiling).max(self.bounds.floor);
        (left < self.bounds.ceiling).then_some((left, heat.because.as_str()))
    }

    /// What it is to be, and what keeps it from being more.
    fn wanted(&self) -> (u32, Bound) {
        let (mut wanted, mut bound) = (self.bounds.ceiling, Bound::Configured);
        let tightest = self.askers.iter().min_by_key(|(_, asker)| asker.bears());
        if let Some((output, asker)) = tightest.filter(|(_, asker)| asker.bears() < wanted) {
            (wanted, bound) = (asker.bears(), Bound::Link(output.clone()));
        }
        if let Some((left, because)) = self.heat_ceiling().filter(|(left, _)| *left < wanted) {
            (wanted, bound) = (left, Bound::Heat(because.to_owned()));
        }
        if self.limit < wanted {
            (wanted, bound) = (self.limit, Bound::Operator);
        }
        (wanted, bound)
    }

    fn settle(&mut self, now: Instant) -> Option<Verdict> {
        let (wanted, bound) = self.wanted();
        let was = self.target;
        if wanted == was {
            self.owed = None;
            return None;
        }
        let because = self.because(&bound, wanted < was);
        let urgency = self.urgency(&bound, &because);
        let is_end = wanted == self.bounds.floor || !matches!(bound, Bound::Link(_));
        let reach = if is_end { Reach::End } else { Reach::Between };
        if !self.steps.admit((was, wanted), reach, urgency, now) {
            return None;
        }
        self.steps.made((was, wanted), now);
        self.target = wanted;
        self.owed = None;
        // From now on the encoder does what the destination asked for, maybe some time ago.
        if let Bound::Link(output) = &bound
            && let Some(asker) = self.askers.get_mut(output)
        {
            asker.was_heard(now);
        }
        Some(Verdict::Set { bitrate: wanted, was, because })
    }

    fn because(&self, bound: &Bound, is_lower: bool) -> Because {
        match (bound, &self.owed) {
            (Bound::Link(_), Some(tight @ Because::Tight { .. })) if is_lower => tight.clone(),
            (Bound::Link(output), _) => Because::Eased(output.clone()),
            (Bound::Heat(because), _) if is_lower => Because::Heat(because.clone()),
            (Bound::Heat(_), _) => Because::Cooler,
            (Bound::Operator | Bound::Configured, Some(Because::Operator)) => Because::Operator,
            (Bound::Operator, _) if is_lower => Because::Operator,
            (Bound::Operator | Bound::Configured, _) => Because::Free,
        }
    }

    /// As it is now, not as it was when it was asked for.
    fn urgency(&self, bound: &Bound, because: &Because) -> Urgency {
        let is_urgent = match (bound, because) {
            (Bound::Link(output), Because::Tight { .. }) => {
                self.askers.get(output).is_some_and(|asker| asker.waiting() >= URGENT)
            }
            (_, Because::Operator) => true,
            _ => false,
        };
        if is_urgent { Urgency::Urgent } else { Urgency::Usual }
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

    /// Made by the encoder that changes its rate as smoothly as any.
    fn smooth(now: Instant) -> (Bitrate, Instant) {
        let mut bitrate = Bitrate::new(BOUNDS);
        bitrate.encoded_by(["x264enc"].into_iter());
        (bitrate, now)
    }

    /// `seconds` of a destination that gets `rate` bit/s through and has `waiting` ms waiting.
    fn pass(bitrate: &mut Bitrate, now: &mut Instant, seconds: u64, of: &[(&str, u64, u64)]) -> Vec<Verdict> {
        let mut all = Vec::new();
        for halves in 1..=seconds * 2 {
            *now += Duration::from_millis(500);
            let loads: Vec<_> = of.iter().map(|(name, rate, wait)| load(name, *wait, rate / 16 * halves)).collect();
            all.extend(bitrate.observe(&loads, None, *now));
        }
        all
    }

    #[test]
    fn the_tightest_decides_and_holds_nothing_when_it_is_gone() {
        let (mut bitrate, mut now) = smooth(clock::now());
        let told = pass(&mut bitrate, &mut now, 5, &[("a", 4_200_000, 100), ("b", 1_500_000, 2500)]);
        let Some(Verdict::Set { bitrate: lowered, was: 4_000_000, because: Because::Tight { output, .. } }) =
            told.first()
        else {
            panic!("{told:?}")
        };
        assert_eq!(output.as_str(), "b");
        assert!((900_000..1_400_000).contains(lowered), "{lowered}");
        let told = bitrate.observe(&[load("a", 100, u64::MAX / 2)], None, now + Duration::from_millis(1000));
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
        let (mut bitrate, mut now) = smooth(clock::now());
        let told = bitrate.limit(1_000_000, now);
        assert_eq!(told, Some(Verdict::Set { bitrate: 1_000_000, was: 4_000_000, because: Because::Operator }));
        assert_eq!(pass(&mut bitrate, &mut now, 60, &[("a", 1_128_000, 50)]), []);
        assert_eq!(bitrate.target(), 1_000_000);
        // Below the floor, since it is the operator who says so.
        assert!(bitrate.limit(100_000, now).is_some());
        assert_eq!(bitrate.target(), 100_000);
    }

    #[test]
    fn whoever_confirms_nothing_asks_for_nothing() {
        let (mut bitrate, mut now) = smooth(clock::now());
        assert_eq!(pass(&mut bitrate, &mut now, 30, &[("a", 0, 9000)]), []);
        assert_eq!(bitrate.target(), BOUNDS.ceiling);
    }

    #[test]
    fn a_far_end_that_is_far_away_is_not_a_narrow_link() {
        let (mut bitrate, mut now) = smooth(clock::now());
        assert_eq!(pass(&mut bitrate, &mut now, 30, &[("a", 4_128_000, 650)]), []);
    }

    #[test]
    fn at_the_floor_whole_groups_are_left_out() {
        let (mut bitrate, mut now) = smooth(clock::now());
        let told = pass(&mut bitrate, &mut now, 20, &[("a", 300_000, 7000)]);
        assert_eq!(bitrate.target(), BOUNDS.floor);
        assert!(told.iter().any(|verdict| matches!(verdict, Verdict::SkipAhead(_))), "{told:?}");
    }

    fn heat(permille: u32) -> Ceiling {
        Ceiling { permille, because: "cpu-thermal has 77 °C".to_owned() }
    }

    #[test]
    fn heat_takes_its_part_and_gives_it_back_and_never_goes_below_the_floor() {
        let (mut bitrate, start) = smooth(clock::now());
        let at = |s| start + Duration::from_secs(s);
        let because = Because::Heat("cpu-thermal has 77 °C".to_owned());
        let told = bitrate.observe(&[], Some(&heat(900)), at(1));
        assert_eq!(told, [Verdict::Set { bitrate: 3_600_000, was: 4_000_000, because: because.clone() }]);
        assert_eq!(bitrate.bound(), Bound::Heat("cpu-thermal has 77 °C".to_owned()));
        assert_eq!(bitrate.observe(&[], Some(&heat(900)), at(2)), []);
        let told = bitrate.observe(&[], Some(&heat(950)), at(3));
        assert_eq!(told, [Verdict::Set { bitrate: 3_800_000, was: 3_600_000, because: Because::Cooler }]);
        let told = bitrate.observe(&[], None, at(4));
        assert_eq!(told, [Verdict::Set { bitrate: 4_000_000, was: 3_800_000, because: Because::Free }]);
        let mut fixed = Bitrate::new(Bounds { floor: 4_000_000, ..BOUNDS });
        assert_eq!(fixed.observe(&[], Some(&heat(500)), at(1)), [], "without a floor of its own it stays");
        assert_eq!(fixed.bound(), Bound::Configured);
    }

    #[test]
    fn of_heat_an_operator_and_a_link_the_least_counts() {
        let (mut bitrate, mut now) = smooth(clock::now());
        bitrate.limit(3_000_000, now);
        now += Duration::from_secs(2);
        assert_eq!(bitrate.observe(&[], Some(&heat(900)), now), [], "3.6 Mbit/s are more than that");
        assert_eq!(bitrate.bound(), Bound::Operator);
        pass(&mut bitrate, &mut now, 6, &[("a", 1_500_000, 2500)]);
        let (link, bound) = (bitrate.target(), bitrate.bound());
        assert!(link < 1_400_000 && matches!(bound, Bound::Link(_)), "{link} {bound:?}");
    }

    #[test]
    fn what_cannot_be_done_yet_is_done_when_its_time_has_come() {
        let (mut bitrate, start) = (Bitrate::new(BOUNDS), clock::now());
        bitrate.encoded_by(["vah264enc"].into_iter());
        let at = |ms| start + Duration::from_millis(ms);
        assert!(bitrate.limit(3_000_000, at(0)).is_some());
        assert_eq!(bitrate.limit(1_000_000, at(500)), None, "each is a keyframe");
        assert_eq!(bitrate.observe(&[], None, at(1500)), []);
        let told = bitrate.observe(&[], None, at(2000));
        assert_eq!(told, [Verdict::Set { bitrate: 1_000_000, was: 3_000_000, because: Because::Operator }]);
        assert_eq!(bitrate.observe(&[], Some(&heat(500)), at(2500)), [], "it has less than that");
    }

    #[test]
    fn an_encoder_that_takes_no_other_bit_rate_is_not_asked_for_any() {
        let (mut bitrate, mut now) = smooth(clock::now());
        bitrate.limit(1_000_000, now);
        bitrate.encoded_by(["svtav1enc"].into_iter());
        assert_eq!((bitrate.target(), bitrate.change()), (BOUNDS.ceiling, Change::Anew));
        assert_eq!(bitrate.limit(2_000_000, now), None);
        assert_eq!(pass(&mut bitrate, &mut now, 20, &[("a", 300_000, 7000)]), []);
        assert_eq!(bitrate.observe(&[], Some(&heat(500)), now), []);
        bitrate.encoded_by(["x264enc"].into_iter());
        let told = bitrate.observe(&[], None, now + Duration::from_millis(500));
        assert_eq!(told, [Verdict::Set { bitrate: 2_000_000, was: 4_000_000, because: Because::Operator }]);
    }
}
