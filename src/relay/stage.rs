//! A programme's switch, its feed, and the outputs that read it: from the first picture on, until the formats change.
//!
//! The switch of the boxes is used as it is. Its units have one time, their place on a grid; what network sources have
//! beyond that (pictures that are shown later than decoded, sound between the places) goes round the switch in the
//! difference of a unit's two times, and is put back behind it.

use std::sync::Arc;
use std::time::Duration;

use super::outputs::{Formats, Outputs};
use super::timeline::{Placed, Timeline};
use crate::clock;
use crate::encode::slate::emergency::{self, Clip};
use crate::encode::table::VideoJob;
use crate::events::SourceOnAir;
use crate::model::{
    AccessUnit, AudioFormat, AudioGrid, Codec, InputId, Media, Name, RenditionId, Track, TrackFormat, VideoGrid,
};
use crate::output::{EventSink, Feed, ProgrammeClock};
use crate::switch::{
    Epoch, Input, Output, SLATE, SavedTime, SlateClip, StreamSettings, Switch, SwitchSettings, SwitchSnapshot,
    Thresholds,
};

/// Programme kept for laggards and for replay.
const RING_AGE: Duration = Duration::from_secs(12);
/// Payload kept, bytes.
const RING_BYTES: usize = 24 << 20;
/// A switch hands out no time before its own beginning; the first picture lies a little before the present.
const BEFORE: Media = Media::from_millis(300);
/// Where another switch goes on, at least so much later.
const AFTER: Media = Media::from_millis(400);
/// Bit rate that the slate keeps below, bit/s.
const SLATE_RATE: u32 = 2_000_000;
/// All switches of this process are on the same clock.
const SAME_CLOCK: &str = "relay";

/// See the module.
pub(super) struct Stage {
    formats: Formats,
    programme: RenditionId,
    sound: RenditionId,
    input: InputId,
    switch: Switch,
    feed: Feed,
    clock: ProgrammeClock,
    pub(super) outputs: Outputs,
    events: EventSink,
    slates: Slates,
    /// Decoding time of the newest sound.
    heard: Option<Media>,
}

/// Which slates are loaded.
#[derive(Default)]
struct Slates {
    picture: Option<TrackFormat>,
    silence: bool,
}

/// What all stages of a programme have in common.
pub(super) struct Setting<'s> {
    pub(super) config: &'s crate::config::RelaySettings,
    pub(super) programme: &'s RenditionId,
    pub(super) input: &'s InputId,
    pub(super) events: &'s EventSink,
}

impl Stage {
    /// A stage for `formats`, later on the timeline of the one `before`.
    pub(super) fn new(
        setting: &Setting<'_>,
        formats: Formats,
        before: Option<&Self>,
        line: &mut Timeline,
        seed: &mut u64,
    ) -> Self {
        let (ours, wall) = (clock::media(), clock::wall());
        let now = line.now(ours);
        let saved = before.map(|stage| {
            let offset = stage.switch.epoch().offset() + AFTER;
            SavedTime { boot_id: SAME_CLOCK.to_owned(), offset, last: now + offset - BEFORE, wall }
        });
        let rate = formats.picture.rate;
        let (epoch, _) = Epoch::resume(saved.as_ref(), SAME_CLOCK, now - BEFORE, wall, rate);
        let sound = sound_of(setting.programme);
        let streams = vec![
            StreamSettings { rendition: setting.programme.clone(), codec: formats.video },
            StreamSettings { rendition: sound.clone(), codec: formats.sound },
        ];
        let inputs = vec![setting.input.clone()];
        let clock = ProgrammeClock::new(line.ahead() + epoch.offset());
        let switch = Switch::new(SwitchSettings { rate, streams, inputs, thresholds: Thresholds::default() }, epoch);
        let feed = Feed::new(RING_AGE, RING_BYTES);
        let outputs =
            Outputs::start(setting.config, setting.programme, &formats, (&feed, &clock), setting.events, seed);
        Self {
            formats,
            programme: setting.programme.clone(),
            sound,
            input: setting.input.clone(),
            switch,
            feed,
            clock,
            outputs,
            events: setting.events.clone(),
            slates: Slates::default(),
            heard: None,
        }
    }

    /// Whether these formats can go on here. Another size can: it is only another decoder configuration.
    pub(super) fn suits(&self, formats: &Formats) -> bool {
        let (ours, theirs) = (&self.formats, formats);
        ours.video == theirs.video && ours.picture.rate == theirs.picture.rate && ours.sound == theirs.sound
    }

    /// What it is for.
    pub(super) const fn formats(&self) -> &Formats {
        &self.formats
    }

    /// The sender is there, or there again.
    pub(super) fn connected(&mut self, line: &mut Timeline) {
        self.handle(Input::Connected { input: self.input.clone() }, line);
    }

    /// It is not.
    pub(super) fn lost(&mut self, why: &str, line: &mut Timeline) {
        self.handle(Input::Lost { input: self.input.clone(), why: why.to_owned() }, line);
    }

    /// The switch's deadline is due.
    pub(super) fn timeout(&mut self, line: &mut Timeline) {
        self.handle(Input::Timeout, line);
    }

    /// A picture in the sender's time.
    pub(super) fn picture(&mut self, mut unit: AccessUnit, line: &mut Timeline, slate_name: &str) {
        let shown_later = unit.pts - unit.dts;
        let placed = line.picture(unit.dts, VideoGrid(self.formats.picture.rate), clock::media());
        put(&mut unit, placed, shown_later);
        unit.rendition = self.programme.clone();
        let config = unit.config.clone();
        self.handle(Input::Unit(unit), line);
        if self.slates.picture != Some(config.format) && self.is_live() {
            self.slates.picture = Some(config.format);
            self.load_picture(config.format, line, slate_name);
        }
    }

    /// Sound in the sender's time.
    pub(super) fn sound(&mut self, mut unit: AccessUnit, line: &mut Timeline) {
        let grid = if self.formats.sound == Codec::Opus { AudioGrid::OPUS } else { AudioGrid::AAC };
        let Some(placed) = line.sound(unit.pts, grid, clock::media()) else { return };
        put(&mut unit, placed, Media::ZERO);
        unit.rendition = self.sound.clone();
        let format = unit.config.format;
        self.handle(Input::Unit(unit), line);
        // Silence of another sample rate or with other channels would be another stream for every decoder.
        let usual = TrackFormat::Audio(AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples });
        if !self.slates.silence && format == usual && self.heard.is_some() {
            self.load_silence(line);
        }
    }

    /// The sender has no sound: destinations that want some are given silence.
    pub(super) fn without_sound(&mut self, line: &mut Timeline) {
        if !self.slates.silence && self.is_live() {
            self.load_silence(line);
        }
    }

    /// When [`Self::timeout`] is due, our clock.
    pub(super) fn deadline(&self, line: &Timeline) -> Option<Media> {
        self.switch.poll_timeout().map(|(at, _)| at - line.ahead())
    }

    /// What is sent, for people.
    pub(super) fn snapshot(&self, line: &mut Timeline) -> SwitchSnapshot {
        self.switch.snapshot(line.now(clock::media()))
    }

    fn is_live(&self) -> bool {
        matches!(self.switch.snapshot(Media::ZERO).source, SourceOnAir::Input(_))
    }

    fn handle(&mut self, input: Input, line: &mut Timeline) {
        self.switch.handle(input, line.now(clock::media()));
        self.clock.set(line.ahead() + self.switch.epoch().offset());
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Unit(unit) => self.distribute(unit),
                Output::Event(happened) => {
                    let event = happened.into_event((clock::wall(), clock::media()));
                    (self.events)(event.with("programme", self.programme.as_str()));
                }
                // A sender at the other end of a network cannot be asked; its next keyframe comes by itself.
                Output::ForceKeyframe { .. } => {}
            }
        }
    }

    fn distribute(&mut self, unit: Arc<AccessUnit>) {
        let mut unit = Arc::unwrap_or_clone(unit);
        let round = if unit.input.as_str() == SLATE { Media::ZERO } else { unit.pts - unit.dts };
        match unit.track {
            Track::Video => {
                unit.dts = unit.pts;
                unit.pts = unit.pts + round;
            }
            Track::Audio => {
                let after = self.heard.map_or(Media(i64::MIN), |heard| heard + Media::from_millis(1));
                unit.pts = (unit.pts + round).max(after);
                unit.dts = unit.pts;
                self.heard = Some(unit.pts);
            }
        }
        self.feed.push(Arc::new(unit));
    }

    /// Only H.264 can be made without an encoder; other programmes pause while their sender is away.
    fn load_picture(&mut self, format: TrackFormat, line: &mut Timeline, name: &str) {
        let TrackFormat::Video(format) = format else { return };
        let even = |pixels: u32| pixels & !1;
        let job = VideoJob {
            codec: self.formats.video,
            width: even(format.width),
            height: even(format.height),
            rate: format.rate,
            bitrate: SLATE_RATE,
            keyframe_interval: Duration::from_secs(2),
        };
        if let Some(clip) = emergency::picture(name, &job) {
            self.load(clip, self.programme.clone(), line);
        }
    }

    fn load_silence(&mut self, line: &mut Timeline) {
        self.slates.silence = true;
        if let Some(clip) = emergency::silence(self.formats.sound, 0) {
            self.load(clip, self.sound.clone(), line);
        }
    }

    fn load(&mut self, clip: Clip, rendition: RenditionId, line: &mut Timeline) {
        let Clip { config, units } = clip;
        // It is of the stream's codec and has units, which is all that can be wrong with it.
        let _ = self.switch.load_slate(SlateClip { rendition, config, units }, line.now(clock::media()));
        self.drain();
    }
}

/// Puts a unit onto its place. What it has beyond that goes round the switch as the difference of its times.
fn put(unit: &mut AccessUnit, placed: Placed, shown_later: Media) {
    unit.pts = placed.place;
    unit.dts = placed.place - placed.rest - shown_later;
}

/// The sound's name within the switch, different from the programme's.
fn sound_of(programme: &RenditionId) -> RenditionId {
    let name = if programme.as_str() == "sound" { "sound-of-it" } else { "sound" };
    RenditionId(Name::new(name).expect("lower-case letters and hyphens, under 32"))
}
