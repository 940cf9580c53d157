//! One stream: which place comes next, who fills it, and where to cut.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Thresholds;
use super::epoch::{AHEAD, Epoch};
use super::filler::{Fill, Filled, Filler, Names, Pictures, SlateClip, SlateError, StandIn};
use super::grid::Grid;
use super::latency::Latency;
use super::rate::ByteRate;
use super::report::{Cut, Reason};
use super::settings::Output;
use crate::events::RenditionSnapshot;
use crate::model::{AccessUnit, AudioGrid, Codec, FrameRate, InputId, Media, RenditionId, Track};

/// The old picture may wait for so long, unsent, until the new one's keyframe is in hand: a quick encoder's latency and some
/// places. Less than the patience with a stalled one, and destinations do not notice it.
pub(super) const HELD: Media = Media::from_millis(300);

/// One choice lets the old picture wait so many times: from the decision on, and when a keyframe has come too late.
const HOLDS: u32 = 2;

/// One stream of the programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Its name.
    pub rendition: RenditionId,
    /// Its codec; decides its grid.
    pub codec: Codec,
    /// The grid of a sound that does not have its codec's usual one: other sources than our encoders.
    pub sound: Option<AudioGrid>,
}

/// A stream's place in time and who fills it.
#[derive(Debug)]
pub(super) struct Stream {
    rendition: RenditionId,
    codec: Codec,
    grid: Grid,
    /// Programme time minus worker time.
    offset: Media,
    /// The next place to fill, on the workers' grid. Everything before it was sent or is counted as missing.
    next: i64,
    source: Source,
    /// What its live input has delivered and waits for the keyframe of another one.
    held: Option<Held>,
    /// How often it has waited since another one was chosen.
    holds: u32,
    clip: Option<SlateClip>,
    latency: Latency,
    /// When a keyframe was last asked for.
    asked: Option<Media>,
    /// The last of a live input that were sent.
    pictures: Pictures,
    /// Whether pictures since the last keyframe were shown in another order than they came in.
    reorders: bool,
    /// For how long that picture may stay before the slate.
    still: Media,
    /// Places that nobody has filled live since the stream was last live.
    filled: Filled,
    counts: Counts,
    rate: ByteRate,
    thresholds: Thresholds,
    names: Names,
}

#[derive(Debug)]
struct Held {
    until: Media,
    units: VecDeque<AccessUnit>,
}

/// Who fills the stream.
#[derive(Debug)]
enum Source {
    /// Nobody: no slate, no live unit.
    Nothing,
    /// The slate, after the last picture where that may stay for a while.
    Slate {
        /// With what.
        filler: Filler,
        /// The next place goes out at this time at the latest, whatever the pace.
        latest: Media,
    },
    /// This input.
    Live {
        /// Which.
        input: InputId,
        /// When its last unit came.
        arrived: Media,
    },
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    live: u64,
    /// Whatever stood in.
    slate: u64,
    /// Of that, pictures that were held.
    held: u64,
    missing: u64,
    late: u64,
}

/// What became of a live unit.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It went out.
    Passed,
    /// It went out after a hole, and a decoder cannot make sense of it.
    PassedBroken,
    /// It went out, and its input is on air from here on.
    Cut(Cut),
    /// It cannot be cut to: it is not a keyframe.
    NotAKey,
    /// It came too late, too early or twice.
    OffTurn,
}

impl Stream {
    pub(super) fn new(
        settings: StreamSettings,
        rate: FrameRate,
        epoch: &Epoch,
        thresholds: Thresholds,
        names: Names,
    ) -> Self {
        let grid = settings.sound.map_or_else(|| Grid::of(settings.codec, rate), Grid::Audio);
        let offset = epoch.offset();
        Self {
            rendition: settings.rendition,
            codec: settings.codec,
            grid,
            offset,
            next: grid.at_or_after(epoch.floor() - offset),
            source: Source::Nothing,
            held: None,
            holds: 0,
            clip: None,
            latency: Latency::new(),
            asked: None,
            pictures: Pictures::default(),
            reorders: false,
            still: Media::ZERO,
            filled: Filled::default(),
            counts: Counts::default(),
            rate: ByteRate::default(),
            thresholds,
            names,
        }
    }

    pub(super) fn rendition(&self) -> &RenditionId {
        &self.rendition
    }

    pub(super) fn is_video(&self) -> bool {
        self.codec.is_video()
    }

    pub(super) fn takes(&self, unit: &AccessUnit) -> bool {
        let track = if self.is_video() { Track::Video } else { Track::Audio };
        self.rendition == unit.rendition && self.codec == unit.config.codec && track == unit.track
    }

    /// The input this stream is live from.
    pub(super) fn live(&self) -> Option<&InputId> {
        match &self.source {
            Source::Live { input, .. } => Some(input),
            Source::Nothing | Source::Slate { .. } => None,
        }
    }

    pub(super) fn is_slate(&self) -> bool {
        matches!(self.source, Source::Slate { .. })
    }

    /// Where the next place lies, in worker time.
    pub(super) fn next_time(&self) -> Media {
        self.grid.time_of(self.next)
    }

    /// Where the last place lies, in worker time.
    pub(super) fn last_time(&self) -> Media {
        self.grid.time_of(self.next - 1)
    }

    /// Programme time of the last place sent; `None` before the first.
    pub(super) fn reached(&self) -> Option<Media> {
        (self.counts.live + self.counts.slate > 0).then(|| self.last_time() + self.offset)
    }

    /// A unit of an input that is on air here, or that may be cut to.
    pub(super) fn offer(&mut self, unit: AccessUnit, now: Media, may_cut: bool, out: &mut VecDeque<Output>) -> Fate {
        let place = self.grid.nearest(unit.pts);
        let time = self.grid.time_of(place);
        self.latency.sample(time, now);
        if place < self.next || time > now + AHEAD {
            self.counts.late += 1;
            return Fate::OffTurn;
        }
        if self.live() == Some(&unit.input) {
            return match (&mut self.held, &mut self.source) {
                (Some(held), Source::Live { arrived, .. }) => {
                    *arrived = now;
                    held.units.push_back(unit);
                    Fate::Passed
                }
                (Some(_) | None, _) => self.go_on(unit, now, out),
            };
        }
        if !unit.key {
            self.counts.late += 1;
            return Fate::NotAKey;
        }
        if !may_cut {
            self.counts.late += 1;
            return Fate::OffTurn;
        }
        self.release_before(place, now, out);
        if self.live().is_some() {
            self.fall(StandIn::Still, now, out);
        }
        self.fill_to(place, now, out);
        let Filled { still, slate } = std::mem::take(&mut self.filled);
        let cut = Cut {
            input: unit.input.clone(),
            rendition: self.rendition.clone(),
            latency: now - time,
            held: still,
            filled: slate,
        };
        self.pass(unit, now, out);
        Fate::Cut(cut)
    }

    /// The next unit of the live input.
    fn go_on(&mut self, unit: AccessUnit, now: Media, out: &mut VecDeque<Output>) -> Fate {
        let place = self.grid.nearest(unit.pts);
        if place < self.next {
            self.counts.late += 1;
            return Fate::OffTurn;
        }
        let hole = place > self.next;
        if hole && self.is_video() {
            self.skip_to(place);
        } else {
            self.fill_to(place, now, out);
        }
        let broken = hole && !unit.key;
        self.pass(unit, now, out);
        if broken { Fate::PassedBroken } else { Fate::Passed }
    }

    /// Whether a keyframe that was captured at `captured` and came only now tells that the next one can be waited for.
    pub(super) fn can_wait_for(&self, captured: Media, now: Media) -> bool {
        let next_one = (now - captured) + self.grid.interval() + self.grid.interval();
        self.held.is_some() || (self.holds < HOLDS && next_one <= HELD)
    }

    /// The old picture waits, so that the keyframe that is asked for now lies ahead of it. Pictures only: sound can be cut to
    /// anywhere.
    pub(super) fn wait_for_another(&mut self, now: Media) {
        if self.is_video() && self.live().is_some() && self.held.is_none() && self.holds < HOLDS {
            self.holds += 1;
            self.held = Some(Held { until: now + HELD, units: VecDeque::new() });
        }
    }

    /// When the old picture goes on, whatever has come.
    pub(super) fn held_until(&self) -> Option<Media> {
        self.held.as_ref().map(|held| held.until)
    }

    /// The old picture goes on.
    pub(super) fn release(&mut self, now: Media, out: &mut VecDeque<Output>) {
        self.release_before(i64::MAX, now, out);
    }

    /// What waits before `place` leaves; what comes after it is the new picture's.
    fn release_before(&mut self, place: i64, now: Media, out: &mut VecDeque<Output>) {
        for unit in self.held.take().into_iter().flat_map(|held| held.units) {
            if self.grid.nearest(unit.pts) < place {
                self.go_on(unit, now, out);
            }
        }
    }

    /// Live units end here: what stands in goes on, its first unit within one interval. What waits for another picture leaves
    /// before, for it was to be seen; only where the slate is asked for nothing more is.
    pub(super) fn fall(&mut self, stand_in: StandIn, now: Media, out: &mut VecDeque<Output>) {
        match stand_in {
            StandIn::Still => self.release(now, out),
            StandIn::Slate => self.held = None,
        }
        self.latency.silent();
        let pictures = std::mem::take(&mut self.pictures);
        let filler = match stand_in {
            StandIn::Still if !self.reorders => Filler::after(pictures, self.places(self.still)),
            StandIn::Still | StandIn::Slate => Filler::CLIP,
        };
        self.source = match self.clip {
            Some(_) => Source::Slate { filler, latest: now + self.grid.interval() },
            None => Source::Nothing,
        };
    }

    /// How long the last picture may stay from now on.
    pub(super) fn set_still(&mut self, still: Media) {
        self.still = still;
    }

    /// The slate is wanted: the last picture stays no longer.
    pub(super) fn end_still(&mut self) {
        if let Source::Slate { filler: filler @ Filler::Still { .. }, .. } = &mut self.source {
            *filler = Filler::CLIP;
        }
    }

    /// Whole places in a time.
    fn places(&self, time: Media) -> u32 {
        u32::try_from(time.0 / self.grid.interval().0.max(1)).unwrap_or(u32::MAX)
    }

    /// Loads a slate. True if it went on air at once.
    ///
    /// # Errors
    /// [`SlateError`] if it cannot stand in for this stream.
    pub(super) fn load(&mut self, clip: SlateClip, now: Media) -> Result<bool, SlateError> {
        if clip.config.codec != self.codec {
            let (wanted, found) = (self.codec, clip.config.codec);
            return Err(SlateError::Codec { rendition: clip.rendition, wanted, found });
        }
        if clip.units.is_empty() {
            return Err(SlateError::Empty(clip.rendition));
        }
        let changed = self.clip.as_ref() != Some(&clip);
        self.clip = Some(clip);
        match &mut self.source {
            Source::Nothing => {
                // Nothing was being sent, so there is nothing to catch up with: the first place whose turn is still to come.
                self.skip_to(self.grid.at_or_before(now - self.hold()) + 1);
                let latest = (now + self.grid.interval()).max(self.next_time());
                self.source = Source::Slate { filler: Filler::CLIP, latest };
                Ok(true)
            }
            Source::Slate { filler: Filler::Clip { position }, .. } => {
                if changed {
                    *position = 0;
                }
                Ok(false)
            }
            Source::Slate { filler: Filler::Still { .. }, .. } | Source::Live { .. } => Ok(false),
        }
    }

    /// When the slate's next unit goes out.
    pub(super) fn due(&self) -> Option<Media> {
        match self.source {
            Source::Slate { latest, .. } => Some((self.next_time() + self.hold()).min(latest)),
            Source::Nothing | Source::Live { .. } => None,
        }
    }

    /// Sends what stands in for the next one, whose time has come.
    pub(super) fn fill_one(&mut self, now: Media, out: &mut VecDeque<Output>) {
        let Some(mut due) = self.due() else { return };
        let up_to_date = self.grid.at_or_before(now - self.hold());
        if self.grid.time_of(up_to_date) - self.next_time() > self.thresholds.longest_fill {
            self.skip_to(up_to_date);
            self.source = Source::Slate { filler: Filler::CLIP, latest: now };
            due = now;
        }
        self.send_slate(now, out);
        // Where the pace slackens because the hold was raised, a place takes two intervals, not more.
        let slowest = due + self.grid.interval() + self.grid.interval();
        if let Source::Slate { latest, .. } = &mut self.source {
            *latest = slowest;
        }
    }

    /// When live units have been missing for too long.
    pub(super) fn stall_deadline(&self) -> Option<Media> {
        match self.source {
            Source::Live { arrived, .. } => {
                let expected = (self.next_time() + self.latency.recent()).max(arrived + self.grid.interval());
                Some(expected + self.allowed())
            }
            Source::Nothing | Source::Slate { .. } => None,
        }
    }

    /// The evidence of a stall, if there is one.
    pub(super) fn stalled(&self, now: Media) -> Option<Reason> {
        match &self.source {
            Source::Live { input, arrived } if self.stall_deadline().is_some_and(|at| at <= now) => {
                Some(Reason::Stalled {
                    input: input.clone(),
                    rendition: self.rendition.clone(),
                    silent: now - *arrived,
                    latency: self.latency.recent(),
                    allowed: self.allowed(),
                })
            }
            Source::Nothing | Source::Slate { .. } | Source::Live { .. } => None,
        }
    }

    /// The switch itself did not run until `now`: the silence so far is not the worker's, and what waits in the socket is
    /// backlog.
    pub(super) fn forgive(&mut self, now: Media) {
        if let Source::Live { arrived, .. } = &mut self.source {
            *arrived = now;
            self.latency.fresh_from(now);
        }
    }

    /// Whether to ask for a keyframe; at most once every [`Thresholds::ask_again`].
    pub(super) fn may_ask(&mut self, now: Media) -> bool {
        let may = self.asked.is_none_or(|asked| now - asked >= self.thresholds.ask_again);
        if may {
            self.asked = Some(now);
        }
        may
    }

    /// What was asked for came too late: it may be asked for again.
    pub(super) fn ask_at_once(&mut self) {
        self.asked = None;
    }

    /// Another worker is to fill this stream: it may be asked at once, and what it captured before does not tell its latency.
    pub(super) fn expect_another(&mut self, now: Media) {
        self.holds = 0;
        self.ask_at_once();
        self.latency.fresh_from(now);
    }

    pub(super) fn snapshot(&self, now: Media) -> RenditionSnapshot {
        let Counts { live, slate, held, missing, late } = self.counts;
        let bitrate = self.rate.bits_per_second(now);
        let holds = matches!(self.source, Source::Slate { filler: Filler::Still { .. }, .. });
        RenditionSnapshot {
            id: self.rendition.clone(),
            codec: self.codec,
            live,
            slate,
            held,
            holds,
            missing,
            late,
            bitrate,
            lowered: None,
            lowered_because: None,
            heat: None,
        }
    }

    /// How long after a place's time the slate sends it.
    fn hold(&self) -> Media {
        self.latency.recent() + self.grid.interval()
    }

    fn allowed(&self) -> Media {
        let intervals = Media(self.grid.interval().0.saturating_mul(i64::from(self.thresholds.stall_intervals)));
        intervals.max(self.thresholds.stall)
    }

    /// Leaves the places before `place` empty.
    fn skip_to(&mut self, place: i64) {
        if let Ok(missing @ 1..) = u64::try_from(place - self.next) {
            self.counts.missing += missing;
            self.next = place;
        }
    }

    /// Fills the places before `place` with what stands in, or leaves them empty if there is none or they are too many.
    fn fill_to(&mut self, place: i64, now: Media, out: &mut VecDeque<Output>) {
        let gap = self.grid.time_of(place) - self.next_time();
        if self.clip.is_some() && gap <= self.thresholds.longest_fill {
            while self.next < place {
                self.send_slate(now, out);
            }
        }
        self.skip_to(place);
    }

    fn send_slate(&mut self, now: Media, out: &mut VecDeque<Output>) {
        let Some(clip) = &self.clip else { return };
        // Between two live units: a hole in the sound.
        let mut hole = Filler::CLIP;
        let filler = match &mut self.source {
            Source::Slate { filler, .. } => filler,
            Source::Nothing | Source::Live { .. } => &mut hole,
        };
        let Some(Fill { stand_in, key, config, payload }) = filler.next(clip) else { return };
        let pts = self.grid.time_of(self.next) + self.offset;
        let input = match stand_in {
            StandIn::Still => &self.names.still,
            StandIn::Slate => &self.names.slate,
        };
        let unit = AccessUnit {
            input: input.clone(),
            rendition: self.rendition.clone(),
            track: if self.codec.is_video() { Track::Video } else { Track::Audio },
            pts,
            dts: pts,
            key: key || !self.codec.is_video(),
            config,
            payload,
        };
        self.counts.slate += 1;
        self.counts.held += u64::from(stand_in == StandIn::Still);
        self.filled.count(stand_in);
        self.send(unit, now, out);
    }

    fn pass(&mut self, mut unit: AccessUnit, now: Media, out: &mut VecDeque<Output>) {
        let reorder = unit.pts - unit.dts;
        unit.pts = self.grid.time_of(self.next) + self.offset;
        unit.dts = unit.pts - reorder;
        self.source = Source::Live { input: unit.input.clone(), arrived: now };
        self.counts.live += 1;
        self.reorders = reorder != Media::ZERO || self.reorders && !unit.key;
        if self.is_video() {
            self.pictures.push(&unit);
        }
        self.send(unit, now, out);
    }

    fn send(&mut self, unit: AccessUnit, now: Media, out: &mut VecDeque<Output>) {
        self.rate.count(unit.payload.len(), now);
        self.next += 1;
        out.push_back(Output::Unit(Arc::new(unit)));
    }
}
