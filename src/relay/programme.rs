//! One programme: what its sender delivers is taken apart, put onto our time, switched and passed on.
//!
//! ```text
//!   payloads ──► Demuxer ──units──► Timeline ──► Stage { Switch ──► Feed ──► outputs }
//! ```

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::event;
use super::stage::{Formats, Setting, Stage, usual_grid};
use super::status::{ProgrammeSnapshot, Totals};
use super::timeline::Timeline;
use crate::clock;
use crate::config::{ProgrammeSettings, RelaySettings};
use crate::events::{EventKind, Severity, SourceOnAir};
use crate::ingest::srt::Taker;
use crate::model::{AccessUnit, AudioGrid, Codec, InputId, Media, Track, TrackFormat};
use crate::mux::ts::{Demuxer, Output, Source};
use crate::output::srt::account::{Account, Stamp};
use crate::output::{EventSink, OutputCommand};

/// What senders are called as inputs of the switch.
const SENDER: &str = "sender";
/// Packets of sound that wait for the first picture: some five seconds.
const MOST_SOUND: usize = 256;
/// The first pictures of a programme wait for so long, in the sender's time, for its sound to say how long its packets
/// are: a sender may put a second of sound into one PES packet.
const LONGEST_WAIT: Media = Media::from_millis(1500);
/// Pictures that wait at most, whatever their time stamps say: that long at more pictures a second than anybody sends.
const MOST_PICTURES: usize = 256;
/// Outputs begin anew for other formats at most this often. Pictures of yet another format are left out meanwhile.
const REBUILD_EVERY: Media = Media::from_millis(1000);

/// See the module.
pub(super) struct Programme {
    settings: ProgrammeSettings,
    config: Rc<RelaySettings>,
    input: InputId,
    events: EventSink,
    line: Timeline,
    stream: Option<Stream>,
    stage: Option<Stage>,
    rebuilt: Option<Media>,
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
    /// How long its packets of sound are, once one has come.
    grid: Option<AudioGrid>,
    /// Sound that came before the first picture.
    early: VecDeque<AccessUnit>,
    /// Pictures that wait for the first sound.
    held: VecDeque<AccessUnit>,
    pictures: u64,
    /// Presentation time of the newest picture, in the sender's time.
    newest: Option<Media>,
}

impl Taker for Programme {
    fn name(&self) -> &str {
        self.settings.id.as_str()
    }

    fn begin(&mut self, _from: &str) {
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
        let (early, held) = (VecDeque::new(), VecDeque::new());
        self.stream = Some(Stream { demuxer, sound: None, grid: None, early, held, pictures: 0, newest: None });
        self.senders += 1;
        self.line.restart();
        if let Some(stage) = &mut self.stage {
            stage.connected(&mut self.line);
        }
    }

    fn payload(&mut self, bytes: &[u8], now: Instant) {
        if let Some(stream) = &mut self.stream {
            stream.demuxer.push(bytes, now);
            self.drain();
        }
    }

    fn finish(&mut self, why: &str, missing: u64) {
        let Some(stream) = &mut self.stream else { return };
        stream.demuxer.flush(clock::now());
        self.drain();
        self.release();
        self.before = self.totals();
        self.before.missing += missing;
        self.stream = None;
        if let Some(stage) = &mut self.stage {
            stage.lost(why, &mut self.line);
        }
    }

    fn timeout(&mut self) {
        let due = self.deadline().is_some_and(|at| at <= clock::media());
        if let (true, Some(stage)) = (due, &mut self.stage) {
            stage.timeout(&mut self.line);
        }
    }

    fn deadline(&self) -> Option<Media> {
        self.stage.as_ref()?.deadline(&self.line)
    }

    fn account(&self, missing: u64) -> Option<Account> {
        let stream = self.stream.as_ref()?;
        Some(Account {
            newest_picture: stream.newest.map(Stamp::of),
            pictures: stream.pictures,
            continuity_errors: stream.demuxer.counters().continuity,
            missing,
        })
    }
}

impl Programme {
    pub(super) fn new(settings: ProgrammeSettings, config: Rc<RelaySettings>, events: &EventSink, seed: u64) -> Self {
        let (events, id) = (events.clone(), settings.id.clone());
        let events: EventSink = Arc::new(move |event| events(event.with("programme", id.as_str())));
        let input = InputId::new(SENDER).expect("six lower-case letters");
        let line = Timeline::new();
        let before = Totals::default();
        let (stream, stage, rebuilt) = (None, None, None);
        Self { settings, config, input, events, line, stream, stage, rebuilt, before, senders: 0, seed }
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
                    if let Some(stream) = &mut self.stream
                        && stream.sound != audio
                    {
                        (stream.sound, stream.grid) = (audio, None);
                    }
                }
                Output::Unit(unit) if unit.track == Track::Video => self.picture(unit),
                Output::Unit(unit) => self.sound(unit),
                Output::TimeBase { .. } => self.other_time_base(),
                // Counted; the switch asks for nothing, and decoders conceal it until the next keyframe.
                Output::Gap(_) => {}
            }
        }
    }

    fn picture(&mut self, unit: AccessUnit) {
        let Some(stream) = &mut self.stream else { return };
        stream.pictures += 1;
        stream.newest = Some(stream.newest.map_or(unit.pts, |newest| newest.max(unit.pts)));
        let waited = stream.held.front().map_or(Media::ZERO, |first| unit.dts - first.dts);
        stream.held.push_back(unit);
        let waits = self.stage.is_none() && stream.sound.is_some() && stream.grid.is_none();
        if !waits || waited >= LONGEST_WAIT || stream.held.len() >= MOST_PICTURES {
            self.release();
        }
    }

    /// What comes from here on cannot be compared with what waits.
    fn other_time_base(&mut self) {
        self.release();
        self.line.restart();
    }

    /// Passes on the pictures that waited.
    fn release(&mut self) {
        while let Some(unit) = self.stream.as_mut().and_then(|stream| stream.held.pop_front()) {
            self.show(unit);
        }
    }

    fn show(&mut self, unit: AccessUnit) {
        let Some(stream) = &mut self.stream else { return };
        let TrackFormat::Video(picture) = unit.config.format else { return };
        let silent = stream.sound.is_none();
        let sound = stream.sound.unwrap_or(Codec::Aac);
        // Until its first packet has come, sound goes on as it was.
        let before = self.stage.as_ref().map(Stage::formats).filter(|before| before.sound == sound && !silent);
        let grid = stream.grid.or(before.map(|before| before.grid)).unwrap_or(usual_grid(sound));
        let formats = Formats { video: unit.config.codec, picture, sound, grid };
        if !self.prepare(formats) {
            return;
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
        let Some(stream) = &mut self.stream else { return };
        stream.grid = grid_of(&unit).or(stream.grid);
        match &mut self.stage {
            Some(stage) if self.line.is_placed() && stream.grid == Some(stage.formats().grid) => {
                stage.sound(unit, &mut self.line);
            }
            // Waits for the first picture, or for the next, with which packets of another length begin.
            Some(_) | None => {
                if stream.early.len() >= MOST_SOUND {
                    stream.early.pop_front();
                }
                stream.early.push_back(unit);
            }
        }
    }

    /// Makes the stage, or another of it, where `formats` demand that. False if it is too early for another.
    fn prepare(&mut self, formats: Formats) -> bool {
        let Some(stage) = &mut self.stage else {
            self.build(formats);
            return true;
        };
        let before = stage.formats().clone();
        if before == formats {
            return true;
        }
        let now = clock::media();
        let (severity, follow) = if stage.suits(&formats) {
            stage.set_picture(formats.picture);
            (Severity::Info, "outputs go on")
        } else if self.rebuilt.is_some_and(|last| now - last < REBUILD_EVERY) {
            return false;
        } else {
            self.rebuilt = Some(now);
            stage.rebuild(&self.config, formats.clone(), &mut self.line);
            stage.connected(&mut self.line);
            (Severity::Warning, "outputs begin anew")
        };
        let text = format!("the sender's format is {formats} from here on, and was {before}; {follow}");
        let event = event(EventKind::FormatChanged, severity, self.settings.id.as_str(), text);
        (self.events)(event.with("before", before.to_string()).with("after", formats.to_string()));
        true
    }

    /// Makes the stage.
    fn build(&mut self, formats: Formats) {
        let setting = Setting {
            config: &self.config,
            programme: &self.settings.id,
            input: &self.input,
            events: &self.events,
            seed: self.seed,
        };
        let mut stage = Stage::new(&setting, formats, &mut self.line);
        stage.connected(&mut self.line);
        self.stage = Some(stage);
    }
}

fn grid_of(unit: &AccessUnit) -> Option<AudioGrid> {
    let TrackFormat::Audio(format) = unit.config.format else { return None };
    (format.samples > 0 && format.rate > 0).then_some(AudioGrid { samples: format.samples, rate: format.rate })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use tokio::task::LocalSet;

    use super::*;
    use crate::config::Secret;
    use crate::model::RenditionId;
    use crate::mux::fixtures;

    /// A programme whose sender's tables have announced sound, none of which has come.
    fn programme() -> Programme {
        let id = RenditionId::new("main").unwrap();
        let settings = ProgrammeSettings { id, stream_id: Secret::new("main"), passphrase: None };
        let config = RelaySettings {
            name: "relay".to_owned(),
            listen: Vec::new(),
            min_latency: Duration::ZERO,
            max_latency: Duration::ZERO,
            status: None,
            probe: None,
            programmes: vec![settings.clone()],
            destinations: Vec::new(),
            srt_destinations: Vec::new(),
            recordings: Vec::new(),
        };
        let events: EventSink = Arc::new(|_| ());
        let mut programme = Programme::new(settings, Rc::new(config), &events, 1);
        programme.begin("somebody");
        programme.stream.as_mut().unwrap().sound = Some(Codec::Aac);
        programme
    }

    /// A second of them.
    fn pictures(from: Media) -> Vec<AccessUnit> {
        let units = fixtures::programme(Codec::H264, Codec::Aac, from, 1);
        units.into_iter().filter(|unit| unit.track == Track::Video).map(Arc::unwrap_or_clone).collect()
    }

    #[tokio::test]
    async fn pictures_that_wait_for_sound_do_not_wait_through_another_time_base() {
        let test = async {
            let mut programme = programme();
            pictures(Media::from_millis(100_000)).into_iter().for_each(|unit| programme.picture(unit));
            assert!(programme.stage.is_none(), "sound may come yet");
            programme.other_time_base();
            pictures(Media::ZERO).into_iter().for_each(|unit| programme.picture(unit));
            assert!(programme.stage.is_some());
            assert_eq!(programme.stream.as_ref().unwrap().held.len(), 0);
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test]
    async fn pictures_that_wait_for_sound_are_bounded_whatever_their_time_stamps_say() {
        let test = async {
            let mut programme = programme();
            for _ in 0..100 {
                pictures(Media::ZERO).into_iter().for_each(|unit| programme.picture(unit));
                assert!(programme.stream.as_ref().unwrap().held.len() < MOST_PICTURES);
            }
        };
        LocalSet::new().run_until(test).await;
    }
}
