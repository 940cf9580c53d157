//! A programme from its first picture on: the same switch, feed and outputs as on the box ([`crate::programme`]), and the
//! slates that stand in for its sender.
//!
//! The switch's units have one time, their place on a grid. What network sources have beyond that (pictures that are shown
//! later than decoded, sound between the places) is the difference of a unit's two times, which the switch keeps.

use std::fmt;
use std::time::Duration;

use super::timeline::{Placed, Timeline};
use crate::clock;
use crate::config::{AudioSettings, EncoderChoice, RelaySettings, RenditionSettings};
use crate::encode::slate::emergency::{self, Clip};
use crate::encode::table::VideoJob;
use crate::events::{OutputSnapshot, RecordingSnapshot, SourceOnAir};
use crate::model::{
    AccessUnit, AudioFormat, AudioGrid, Codec, InputId, Media, RenditionId, TrackFormat, VideoFormat, VideoGrid,
};
use crate::output::{EventSink, OutputCommand};
use crate::programme::{Order, Programme, Wanted};
use crate::switch::{Epoch, Input, SavedTime, SlateClip, SwitchSnapshot};

/// A switch hands out no time before its own beginning; the first picture lies a little before the present.
const BEFORE: Media = Media::from_millis(300);
/// Where another switch goes on, at least so much later.
const AFTER: Media = Media::from_millis(400);
/// Bit rate that the slate keeps below, bit/s.
const SLATE_RATE: u32 = 2_000_000;
/// All switches of this process are on the same clock.
const SAME_CLOCK: &str = "relay";

/// What a programme consists of, as far as outputs announce it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Formats {
    /// Codec of the picture.
    pub(super) video: Codec,
    /// Its size and rate.
    pub(super) picture: VideoFormat,
    /// Codec of the sound; silence is AAC.
    pub(super) sound: Codec,
    /// The length of its packets. Half as long as usual, every other one would find its place taken.
    pub(super) grid: AudioGrid,
}

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VideoFormat { width, height, rate } = self.picture;
        let AudioGrid { samples, rate: hertz } = self.grid;
        let (video, sound) = (self.video.label(), self.sound.label());
        write!(f, "{video} {width}x{height} at {:.2}/s, {sound} {hertz} Hz in packets of {samples}", rate.as_f64())
    }
}

/// What our own encoders make, and nearly all others.
pub(super) const fn usual_grid(codec: Codec) -> AudioGrid {
    if matches!(codec, Codec::Opus) { AudioGrid::OPUS } else { AudioGrid::AAC }
}

/// See the module.
pub(super) struct Stage {
    formats: Formats,
    name: RenditionId,
    sound: RenditionId,
    input: InputId,
    programme: Programme,
    slates: Slates,
}

/// Which slates are loaded.
#[derive(Default)]
struct Slates {
    picture: Option<TrackFormat>,
    silence: bool,
}

/// What all stages of a programme have in common.
pub(super) struct Setting<'s> {
    pub(super) config: &'s RelaySettings,
    pub(super) programme: &'s RenditionId,
    pub(super) input: &'s InputId,
    pub(super) events: &'s EventSink,
    pub(super) seed: u64,
}

impl Stage {
    /// A stage for `formats`; its outputs begin at once.
    pub(super) fn new(setting: &Setting<'_>, formats: Formats, line: &mut Timeline) -> Self {
        let rendition = rendition(setting.programme, &formats);
        let now = line.now(clock::media());
        let (epoch, _) = Epoch::resume(None, SAME_CLOCK, now - BEFORE, clock::wall(), formats.picture.rate);
        let (events, inputs) = (setting.events.clone(), vec![setting.input.clone()]);
        let renditions = std::slice::from_ref(&rendition);
        let wanted = wanted(setting.config, &formats, renditions);
        let mut programme = Programme::new(&wanted, inputs, epoch, Order::Decoding, events, setting.seed);
        programme.set_on_air(true);
        let (name, sound) = (setting.programme.clone(), rendition.audio.rendition());
        Self { formats, name, sound, input: setting.input.clone(), programme, slates: Slates::default() }
    }

    /// Other formats: another switch, later on the same timeline, and all outputs anew, since what they announced to their
    /// far ends is not true any more.
    pub(super) fn rebuild(&mut self, config: &RelaySettings, formats: Formats, line: &mut Timeline) {
        let (now, wall) = (line.now(clock::media()), clock::wall());
        let offset = self.programme.epoch().offset() + AFTER;
        let saved = SavedTime { boot_id: SAME_CLOCK.to_owned(), offset, last: now + offset - BEFORE, wall };
        let (epoch, _) = Epoch::resume(Some(&saved), SAME_CLOCK, now - BEFORE, wall, formats.picture.rate);
        let rendition = rendition(&self.name, &formats);
        let wanted = wanted(config, &formats, std::slice::from_ref(&rendition));
        self.programme.rebuild(&wanted, vec![self.input.clone()], epoch);
        self.sound = rendition.audio.rendition();
        (self.formats, self.slates) = (formats, Slates::default());
    }

    /// Whether these formats can go on here. Another size can: it is only another decoder configuration.
    pub(super) fn suits(&self, formats: &Formats) -> bool {
        let (ours, theirs) = (&self.formats, formats);
        (ours.video, ours.picture.rate) == (theirs.video, theirs.picture.rate)
            && (ours.sound, ours.grid) == (theirs.sound, theirs.grid)
    }

    /// Another size.
    pub(super) const fn set_picture(&mut self, picture: VideoFormat) {
        self.formats.picture = picture;
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
        let grid = VideoGrid(self.formats.picture.rate);
        let Some(Placed { place, .. }) = line.picture(unit.dts, grid, clock::media()) else { return };
        (unit.dts, unit.pts) = (place, place + shown_later);
        unit.rendition = self.name.clone();
        let config = unit.config.clone();
        self.handle(Input::Unit(unit), line);
        if self.slates.picture != Some(config.format) && self.is_live() {
            self.slates.picture = Some(config.format);
            self.load_picture(config.format, line, slate_name);
        }
    }

    /// Sound in the sender's time.
    pub(super) fn sound(&mut self, mut unit: AccessUnit, line: &mut Timeline) {
        let Some(Placed { place, rest }) = line.sound(unit.pts, self.formats.grid, clock::media()) else { return };
        (unit.dts, unit.pts) = (place, place + rest);
        unit.rendition = self.sound.clone();
        let format = unit.config.format;
        self.handle(Input::Unit(unit), line);
        // Silence of another sample rate or with other channels would be another stream for every decoder.
        let AudioGrid { samples, rate } = usual_grid(self.formats.sound);
        let usual = TrackFormat::Audio(AudioFormat { rate, channels: 2, samples });
        if !self.slates.silence && format == usual && self.has_sound() {
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
        self.programme.poll_timeout().map(|at| at - line.ahead())
    }

    /// What is sent, for people.
    pub(super) fn snapshot(&self, line: &mut Timeline) -> SwitchSnapshot {
        self.programme.snapshot(line.now(clock::media()))
    }

    /// The latest of every destination and recording.
    pub(super) fn outputs(&self) -> (Vec<OutputSnapshot>, Vec<RecordingSnapshot>) {
        (self.programme.destinations(), self.programme.recordings())
    }

    /// Tells all outputs.
    pub(super) fn tell(&self, command: OutputCommand) {
        self.programme.tell(None, command);
    }

    /// Ends all outputs cleanly, in a bounded time.
    pub(super) async fn end(self) {
        self.programme.end().await;
    }

    fn is_live(&self) -> bool {
        matches!(self.programme.snapshot(Media::ZERO).source, SourceOnAir::Input(_))
    }

    /// Whether sound of the sender has gone out.
    fn has_sound(&self) -> bool {
        self.programme
            .snapshot(Media::ZERO)
            .renditions
            .iter()
            .any(|r| r.id == self.sound && !r.codec.is_video() && r.live > 0)
    }

    fn handle(&mut self, input: Input, line: &mut Timeline) {
        // A sender at the other end of a network cannot be asked for a keyframe; its next one comes by itself.
        drop(self.programme.handle(input, line.now(clock::media())));
        self.set_clock(line);
    }

    fn set_clock(&self, line: &Timeline) {
        self.programme.clock().set(line.ahead() + self.programme.epoch().offset());
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
            self.load(clip, self.name.clone(), line);
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
        let _ = self.programme.load_slate(SlateClip { rendition, config, units }, line.now(clock::media()));
        self.set_clock(line);
    }
}

fn wanted<'s>(config: &'s RelaySettings, formats: &Formats, renditions: &'s [RenditionSettings]) -> Wanted<'s> {
    Wanted {
        name: &config.name,
        rate: formats.picture.rate,
        renditions,
        sound: Some(formats.grid),
        selection: None,
        destinations: &config.destinations,
        srt_destinations: &config.srt_destinations,
        recordings: &config.recordings,
    }
}

/// The programme as if it were encoded here. Nobody says its nominal rates, so none are claimed.
fn rendition(programme: &RenditionId, formats: &Formats) -> RenditionSettings {
    RenditionSettings {
        id: programme.clone(),
        codec: formats.video,
        width: formats.picture.width,
        height: formats.picture.height,
        bitrate: 0,
        keyframe_interval: Duration::from_secs(2),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: formats.sound, bitrate: 0 },
    }
}
