//! One programme: what its sender delivers is taken apart, put onto our time, switched and passed on.
//!
//! ```text
//!   payloads ──► Demuxer ──units──► Timeline ──► Stage { Switch ──► Feed ──► outputs }
//! ```

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::stage::{Formats, Setting, Stage};
use super::status::{ProgrammeSnapshot, Totals};
use super::timeline::Timeline;
use crate::clock;
use crate::config::{ProgrammeSettings, RelaySettings};
use crate::events::SourceOnAir;
use crate::model::{AccessUnit, Codec, InputId, Media, Track, TrackFormat};
use crate::mux::ts::{Demuxer, Output, Source};
use crate::output::srt::account::{Account, Stamp};
use crate::output::{EventSink, OutputCommand};

/// What senders are called as inputs of the switch.
const SENDER: &str = "sender";
/// Packets of sound that wait for the first picture: some five seconds.
const MOST_SOUND: usize = 256;

/// See the module.
pub(super) struct Programme {
    settings: ProgrammeSettings,
    config: Rc<RelaySettings>,
    input: InputId,
    events: EventSink,
    line: Timeline,
    stream: Option<Stream>,
    stage: Option<Stage>,
    /// Of senders that are gone.
    before: Totals,
    senders: u64,
    seed: u64,
}

/// What a sender's transport stream has brought so far.
struct Stream {
    demuxer: Demuxer,
    /// Codec of its sound, once its tables have said.
    sound: Option<Codec>,
    /// Sound that came before the first picture.
    early: VecDeque<AccessUnit>,
    pictures: u64,
    /// Presentation time of the newest picture, in the sender's time.
    newest: Option<Media>,
}

impl Programme {
    pub(super) fn new(settings: ProgrammeSettings, config: Rc<RelaySettings>, events: &EventSink, seed: u64) -> Self {
        let events = events.clone();
        let input = InputId::new(SENDER).expect("six lower-case letters");
        let line = Timeline::new();
        let before = Totals::default();
        Self { settings, config, input, events, line, stream: None, stage: None, before, senders: 0, seed }
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.settings.id.as_str()
    }

    /// A sender begins.
    pub(super) fn begin(&mut self) {
        self.finish("another sender took over", 0);
        let source = Source {
            input: self.input.clone(),
            rendition: self.settings.id.clone(),
            programme: None,
            rate: None,
            video_bitrate: 0,
            audio_bitrate: 0,
        };
        let demuxer = Demuxer::new(source);
        self.stream = Some(Stream { demuxer, sound: None, early: VecDeque::new(), pictures: 0, newest: None });
        self.senders += 1;
        self.line.restart();
        if let Some(stage) = &mut self.stage {
            stage.connected(&mut self.line);
        }
    }

    /// What a packet of the sender's brought.
    pub(super) fn payload(&mut self, bytes: &[u8], now: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.demuxer.push(bytes, now);
            self.drain();
        }
    }

    /// The sender is gone. `missing` is its session's count of packets that never came.
    pub(super) fn finish(&mut self, why: &str, missing: u64) {
        let Some(stream) = &mut self.stream else { return };
        stream.demuxer.flush(clock::now());
        self.drain();
        self.before = self.totals();
        self.before.missing += missing;
        self.stream = None;
        if let Some(stage) = &mut self.stage {
            stage.lost(why, &mut self.line);
        }
    }

    /// The switch's deadline has come.
    pub(super) fn timeout(&mut self) {
        let due = self.deadline().is_some_and(|at| at <= clock::media());
        if let (true, Some(stage)) = (due, &mut self.stage) {
            stage.timeout(&mut self.line);
        }
    }

    /// When [`Self::timeout`] has something to do, CLOCK_MONOTONIC.
    pub(super) fn deadline(&self) -> Option<Media> {
        self.stage.as_ref()?.deadline(&self.line)
    }

    /// What the sender is told that we have. `missing` is its session's count.
    pub(super) fn account(&self, missing: u64) -> Option<Account> {
        let stream = self.stream.as_ref()?;
        Some(Account {
            newest_picture: stream.newest.map(Stamp::of),
            pictures: stream.pictures,
            continuity_errors: stream.demuxer.counters().continuity,
            missing,
        })
    }

    /// Tells all outputs.
    pub(super) fn tell(&self, command: OutputCommand) {
        if let Some(stage) = &self.stage {
            stage.tell(command);
        }
    }

    /// Ends all outputs cleanly, in a bounded time.
    pub(super) async fn end(self) {
        if let Some(stage) = self.stage {
            stage.end().await;
        }
    }

    /// For people, without the sender, of which others know.
    pub(super) fn snapshot(&mut self) -> ProgrammeSnapshot {
        let totals = self.totals();
        let (stage, line) = (&self.stage, &mut self.line);
        let switch = stage.as_ref().map(|stage| stage.snapshot(line));
        let (outputs, recordings) = stage.as_ref().map(Stage::outputs).unwrap_or_default();
        let (source, reason) = match &switch {
            Some(switch) => (switch.source.clone(), switch.reason.clone()),
            None => (SourceOnAir::Nothing, "nobody has sent it since the relay started".to_owned()),
        };
        ProgrammeSnapshot {
            id: self.settings.id.clone(),
            source,
            source_reason: reason,
            programme_time: switch.as_ref().map(|switch| switch.programme_time),
            picture: stage.as_ref().map(|stage| stage.formats().into()),
            renditions: switch.map(|switch| switch.renditions).unwrap_or_default(),
            senders: self.senders,
            totals,
            sender: None,
            outputs,
            recordings,
        }
    }

    fn totals(&self) -> Totals {
        let mut totals = self.before;
        if let Some(stream) = &self.stream {
            totals.pictures += stream.pictures;
            totals.continuity_errors += stream.demuxer.counters().continuity;
        }
        totals
    }

    fn drain(&mut self) {
        while let Some(output) = self.stream.as_mut().and_then(|stream| stream.demuxer.poll()) {
            match output {
                Output::Streams { audio, .. } => {
                    if let Some(stream) = &mut self.stream {
                        stream.sound = audio;
                    }
                }
                Output::Unit(unit) if unit.track == Track::Video => self.picture(unit),
                Output::Unit(unit) => self.sound(unit),
                Output::TimeBase { .. } => self.line.restart(),
                // Counted; the switch asks for nothing, and decoders conceal it until the next keyframe.
                Output::Gap(_) => {}
            }
        }
    }

    fn picture(&mut self, unit: AccessUnit) {
        let Some(stream) = &mut self.stream else { return };
        let TrackFormat::Video(picture) = unit.config.format else { return };
        stream.pictures += 1;
        stream.newest = Some(stream.newest.map_or(unit.pts, |newest| newest.max(unit.pts)));
        let silent = stream.sound.is_none();
        let formats = Formats { video: unit.config.codec, picture, sound: stream.sound.unwrap_or(Codec::Aac) };
        if !self.stage.as_ref().is_some_and(|stage| stage.suits(&formats)) {
            self.build(formats);
        }
        let Some(stage) = &mut self.stage else { return };
        let name = &self.config.name;
        let early: Vec<AccessUnit> = self.stream.as_mut().map(|s| s.early.drain(..).collect()).unwrap_or_default();
        stage.picture(unit, &mut self.line, name);
        early.into_iter().for_each(|unit| stage.sound(unit, &mut self.line));
        if silent {
            stage.without_sound(&mut self.line);
        }
    }

    fn sound(&mut self, unit: AccessUnit) {
        match (&mut self.stage, &mut self.stream) {
            (Some(stage), _) if self.line.is_placed() => stage.sound(unit, &mut self.line),
            (_, Some(stream)) => {
                if stream.early.len() >= MOST_SOUND {
                    stream.early.pop_front();
                }
                stream.early.push_back(unit);
            }
            (_, None) => {}
        }
    }

    /// Makes the stage, or another of it.
    fn build(&mut self, formats: Formats) {
        if let Some(stage) = &mut self.stage {
            stage.rebuild(&self.config, formats, &mut self.line);
            return stage.connected(&mut self.line);
        }
        let events = self.events.clone();
        let programme = self.settings.id.clone();
        let marked: EventSink = Arc::new(move |event| events(event.with("programme", programme.as_str())));
        let setting = Setting {
            config: &self.config,
            programme: &self.settings.id,
            input: &self.input,
            events: &marked,
            seed: self.seed,
        };
        let mut stage = Stage::new(&setting, formats, &mut self.line);
        stage.connected(&mut self.line);
        self.stage = Some(stage);
    }
}
