//! Pure. One input over a network between its session and its worker: its sender's time becomes ours, and what a decoder needs to
//! begin is kept.
//!
//! ```text
//!   Arrival ──► SenderClock (a track) ──► Feed ──► the worker
//!      │              │                    └─ since the last keyframe: for a worker that comes later
//!      │              └──► Passing ──► until it is due ──► the switch, where the stream goes on air as it is
//!      └──► NetworkJudge ──► Finding
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::arrival::{Arrival, Network};
use super::clock::SenderClock;
use super::passing::{Passing, Verdict};
use super::truth::NetworkJudge;
use crate::events::InputSender;
use crate::model::{AccessUnit, CodecConfig, Duty, Fault, Feed, Finding, Media, NetworkLimits, Track};

/// What is kept since the last keyframe: units, and bytes of them. A stream with longer groups makes a new worker wait.
const MOST_UNITS: usize = 2000;
/// See [`MOST_UNITS`].
const MOST_BYTES: usize = 32 << 20;

/// A picture is shown at most so long after it is decoded: twice what sixteen pictures are at 24 a second, which is as far as
/// H.264 and HEVC reorder. A later one would stand before all others until its time.
const MOST_REORDERED: Media = Media::from_millis(1400);
/// Picture and sound whose times are farther apart are not on one clock, and neither waits for the other.
const MOST_APART: Media = Media::from_millis(5000);

/// See the module.
#[derive(Debug)]
pub struct Strand {
    cushion: Media,
    tracks: [Lane; 2],
    presence: Presence,
    network: NetworkJudge,
    /// Since the last keyframe.
    group: Vec<Feed>,
    bytes: usize,
    /// Where it may go on air as it is.
    passing: Option<Passing>,
    path: Path,
    /// Why it is not what is wanted, as people were told.
    refusal: Option<String>,
    duty: Duty,
    /// What passes and is not due yet, by its time and track.
    passed: BTreeMap<(Media, Track), AccessUnit>,
}

/// Over what its pictures and sound reach the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Its worker, which decodes and encodes them again.
    Decoded,
    /// None: they are what the renditions want. Its worker only watches.
    AsItIs,
}

/// What follows from something that came.
#[derive(Debug, Default)]
pub struct Followed {
    /// For the worker.
    pub feeds: Vec<Feed>,
    /// The path is another from here on, or stays what it is for a reason that was not told before; why, for people.
    pub path: Option<(Path, String)>,
}

/// Picture or sound.
#[derive(Debug)]
struct Lane {
    clock: SenderClock,
    /// What to add to the sender's times, if that is known.
    offset: Option<Media>,
    config: Option<Arc<CodecConfig>>,
}

#[derive(Debug)]
enum Presence {
    Nobody { why: String },
    Sender { from: String, since: Media },
}

impl Strand {
    /// Nobody has sent yet. What comes is due `cushion` after it could be there at the earliest.
    pub fn new(cushion: Duration, limits: NetworkLimits, passing: Option<Passing>) -> Self {
        let cushion = Media(i64::try_from(cushion.as_nanos()).unwrap_or(i64::MAX));
        let lane = || Lane { clock: SenderClock::new(Media::ZERO), offset: None, config: None };
        Self {
            cushion,
            tracks: [lane(), lane()],
            presence: Presence::Nobody { why: "nobody has sent it yet".to_owned() },
            network: NetworkJudge::new(limits),
            group: Vec::new(),
            bytes: 0,
            passing,
            path: Path::Decoded,
            refusal: None,
            duty: Duty::Warm,
            passed: BTreeMap::new(),
        }
    }

    /// What came at `now`.
    pub fn arrived(&mut self, arrival: Arrival, now: Media) -> Followed {
        match arrival {
            Arrival::Began { from } => {
                let before = self.end("another sender took over");
                self.presence = Presence::Sender { from, since: now };
                Followed { feeds: before, ..Followed::default() }
            }
            Arrival::Unit(unit) => self.unit(unit, now),
            Arrival::TimeBase => {
                self.restart();
                Followed::default()
            }
            Arrival::Network(network) => {
                self.network.hear(network);
                Followed::default()
            }
            Arrival::Ended { why } => Followed { feeds: self.end(&why), ..Followed::default() },
        }
    }

    /// What the input is to be ready for.
    pub fn set_duty(&mut self, duty: Duty) {
        self.duty = duty;
        if duty != Duty::OnAir {
            self.passed.clear();
        }
    }

    /// When [`Self::take_due`] has something.
    pub fn next_due(&self) -> Option<Media> {
        self.passed.first_key_value().map(|((at, _), _)| *at)
    }

    /// What is due by `now`, for the switch.
    pub fn take_due(&mut self, now: Media) -> Vec<AccessUnit> {
        let mut units = Vec::new();
        while self.next_due().is_some_and(|at| at <= now) {
            units.extend(self.passed.pop_first().map(|(_, unit)| unit));
        }
        units
    }

    /// What it was last told to be ready for.
    pub fn duty(&self) -> Duty {
        self.duty
    }

    /// Over what it reaches the switch.
    pub fn path(&self) -> Path {
        self.path
    }

    /// For a worker that has just come: what a decoder needs to be where the sender is.
    pub fn catch_up(&self) -> Vec<Feed> {
        if self.group.is_empty() {
            return Vec::new();
        }
        let formats = self.tracks.iter().filter_map(|lane| lane.config.clone()).map(Feed::Format);
        formats.chain(self.group.iter().cloned()).collect()
    }

    /// What is wrong with its network, or that nobody sends.
    pub fn finding(&self) -> Option<Finding> {
        match &self.presence {
            Presence::Nobody { why } => {
                Some(Finding { fault: Fault::NoSignal, evidence: format!("there is no sender: {why}") })
            }
            Presence::Sender { .. } => self.network.finding().cloned(),
        }
    }

    /// For people.
    pub fn sender(&self, now: Media) -> Option<InputSender> {
        let Presence::Sender { from, since } = &self.presence else { return None };
        let Network { over, rtt, packets, lost, bytes } = self.network.recent();
        let bits = u128::from(bytes) * 8000;
        Some(InputSender {
            from: from.clone(),
            for_s: (now - *since).to_duration().as_secs(),
            bitrate: u64::try_from(bits / over.as_millis().max(1)).unwrap_or(u64::MAX),
            rtt_ms: rtt.map(|rtt| u64::try_from(rtt.as_millis()).unwrap_or(u64::MAX)),
            packets,
            lost,
        })
    }

    fn unit(&mut self, unit: AccessUnit, now: Media) -> Followed {
        let mut feeds = Vec::new();
        let lane = &mut self.tracks[usize::from(unit.track == Track::Audio)];
        let own = lane.clock.arrived(unit.dts, now);
        lane.offset = Some(own);
        let is_new = lane.config.as_ref() != Some(&unit.config);
        if is_new {
            lane.config = Some(unit.config.clone());
            feeds.push(Feed::Format(unit.config.clone()));
        }
        // What comes later than the other track is what the other has to wait for.
        let near = |offset: &Media| (*offset - own).0.abs() <= MOST_APART.0;
        let arrival = self.tracks.iter().filter_map(|lane| lane.offset).filter(near).max().unwrap_or(own);
        let pts = unit.dts + (unit.pts - unit.dts).clamp(Media::ZERO, MOST_REORDERED);
        let unit = AccessUnit { pts, ..unit };
        let offset = arrival + self.cushion;
        let path = self.pass(AccessUnit { pts: unit.pts + offset, dts: unit.dts + offset, ..unit.clone() });
        let AccessUnit { track, key, pts, dts, payload, .. } = unit;
        let size = payload.len();
        let feed = Feed::Unit { track, key, pts: pts + offset, dts: dts + offset, payload };
        if track == Track::Video && (key || is_new) {
            self.forget_group();
        }
        let begins = track == Track::Video && key;
        if begins || !self.group.is_empty() {
            self.group.push(feed.clone());
            self.bytes += size;
            if self.group.len() > MOST_UNITS || self.bytes > MOST_BYTES {
                self.forget_group();
            }
        }
        feeds.push(feed);
        Followed { feeds, path }
    }

    /// As it is, where it is what is wanted. Its path changes on air only where it must.
    fn pass(&mut self, unit: AccessUnit) -> Option<(Path, String)> {
        let units = self.passing.as_mut()?.unit(unit);
        if self.duty == Duty::OnAir && self.path == Path::AsItIs {
            self.passed.extend(units.into_iter().map(|unit| ((unit.pts, unit.track), unit)));
        }
        match (self.passing.as_ref()?.verdict(), self.path) {
            (Verdict::Passes, Path::Decoded) if self.duty != Duty::OnAir => {
                self.path = Path::AsItIs;
                self.refusal = None;
                Some((Path::AsItIs, "it is what the rendition wants, and goes on air as it is".to_owned()))
            }
            (Verdict::Differs(why), Path::AsItIs) => {
                self.path = Path::Decoded;
                self.refusal = Some(why.clone());
                Some((Path::Decoded, format!("it is decoded and encoded again from here on: {why}")))
            }
            (Verdict::Differs(why), Path::Decoded) if self.refusal.as_ref() != Some(why) => {
                self.refusal = Some(why.clone());
                Some((Path::Decoded, format!("it cannot go on air as it is: {why}")))
            }
            (Verdict::Differs(_) | Verdict::Passes | Verdict::Unknown, _) => None,
        }
    }

    fn end(&mut self, why: &str) -> Vec<Feed> {
        let was_there = matches!(self.presence, Presence::Sender { .. });
        self.presence = Presence::Nobody { why: why.to_owned() };
        self.network.restart();
        self.restart();
        self.tracks.iter_mut().for_each(|lane| lane.config = None);
        if was_there { vec![Feed::End { reason: format!("the sender is gone: {why}") }] } else { Vec::new() }
    }

    /// Times from here on are not comparable with those before.
    fn restart(&mut self) {
        for lane in &mut self.tracks {
            lane.clock.restart();
            lane.offset = None;
        }
        if let Some(passing) = &mut self.passing {
            passing.restart();
        }
        self.forget_group();
    }

    fn forget_group(&mut self) {
        self.group.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests;
