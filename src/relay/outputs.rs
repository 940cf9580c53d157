//! The destinations and recordings of one programme, from when it is known what they are given.

use std::time::Duration;

use crate::config::{AudioSettings, EncoderChoice, RelaySettings, RenditionSettings};
use crate::events::{OutputSnapshot, OutputState, RecordingSnapshot, RecordingState};
use crate::model::{Codec, FrameRate, Media, OutputId, RenditionId, VideoFormat};
use crate::mux::ts;
use crate::output::{EventSink, Feed, OutputCommand, OutputHandle, ProgrammeClock, Transport, record, rtmp, srt};

/// What passes before the clean end of all outputs is waited for no more.
pub(super) const END_WITHIN: Duration = Duration::from_secs(3);
/// Added to the time stamps of onward transport streams: what comes here is as late as the sender's muxer made it.
const TRANSPORT_DELAY: Media = Media::from_millis(900);

/// What a programme consists of, as far as outputs announce it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Formats {
    /// Codec of the picture.
    pub(super) video: Codec,
    /// Its size and rate.
    pub(super) picture: VideoFormat,
    /// Codec of the sound; silence is AAC.
    pub(super) sound: Codec,
}

/// Running outputs. Dropping them ends them uncleanly, except recordings, which are closed.
pub(super) struct Outputs {
    destinations: Vec<OutputHandle<OutputSnapshot>>,
    recordings: Vec<OutputHandle<RecordingSnapshot>>,
}

impl Outputs {
    /// Starts all that the configuration wants of `programme`.
    pub(super) fn start(
        config: &RelaySettings,
        programme: &RenditionId,
        formats: &Formats,
        (feed, clock): (&Feed, &ProgrammeClock),
        events: &EventSink,
        seed: &mut u64,
    ) -> Self {
        let rendition = rendition(programme, formats);
        let rate: FrameRate = formats.picture.rate;
        let mut next_seed = || {
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *seed
        };
        let mut destinations = Vec::new();
        for settings in config.destinations.iter().filter(|d| &d.rendition == programme) {
            let (feed, events) = (feed.clone(), events.clone());
            destinations.push(rtmp::spawn(settings.clone(), &rendition, rate, feed, events, next_seed()));
        }
        let name = config.name.clone();
        let settings = ts::Settings { name, delay: TRANSPORT_DELAY, ..ts::Settings::default() };
        let transport = Transport::new(feed.clone(), clock.clone(), settings);
        for settings in config.srt_destinations.iter().filter(|d| &d.rendition == programme) {
            let (transport, events) = (transport.clone(), events.clone());
            destinations.push(srt::spawn(settings.clone(), &rendition, transport, events, next_seed()));
        }
        let kept = config.recordings.iter().filter(|r| &r.rendition == programme);
        let recordings = kept.map(|r| record::spawn(r.clone(), feed.clone(), events.clone())).collect();
        let outputs = Self { destinations, recordings };
        outputs.tell(None, OutputCommand::Start);
        outputs
    }

    /// Tells one, or all. A full queue means that an output has commands enough to act on already.
    pub(super) fn tell(&self, id: Option<&OutputId>, command: OutputCommand) {
        for handle in self.destinations.iter().filter(|h| id.is_none_or(|id| *id == h.snapshot.borrow().id)) {
            let _ = handle.commands.try_send(command);
        }
        for handle in self.recordings.iter().filter(|h| id.is_none_or(|id| *id == h.snapshot.borrow().id)) {
            let _ = handle.commands.try_send(command);
        }
    }

    /// The latest of every destination.
    pub(super) fn destinations(&self) -> Vec<OutputSnapshot> {
        self.destinations.iter().map(|h| h.snapshot.borrow().clone()).collect()
    }

    /// The latest of every recording.
    pub(super) fn recordings(&self) -> Vec<RecordingSnapshot> {
        self.recordings.iter().map(|h| h.snapshot.borrow().clone()).collect()
    }

    /// Ends all cleanly, and waits until they have.
    pub(super) async fn end(mut self) {
        self.tell(None, OutputCommand::Stop);
        for handle in &mut self.destinations {
            let _ = handle.snapshot.wait_for(|s| s.state == OutputState::Off).await;
        }
        for handle in &mut self.recordings {
            let _ = handle.snapshot.wait_for(|s| s.state == RecordingState::Off).await;
        }
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
