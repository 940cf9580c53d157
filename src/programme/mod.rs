//! One programme, from the switch to its outputs: what a box's data plane and a relay have in common.
//!
//! ```text
//!   inputs ──► Switch ──► a Feed per rendition ──┬──► RTMP destinations, recordings
//!      ▲         │                               └──► Transport ──► SRT destinations
//!      └─ keyframe wishes
//! ```
//!
//! *Invariant:* nothing here decides about the picture (the switch does) or about a session (the outputs do), and nothing
//! here waits.

mod outputs;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use outputs::{END_WITHIN, Network, Outputs, Wanted};

use crate::clock;
use crate::config::RenditionSettings;
use crate::encode::bitrate::Load;
use crate::events::{OutputSnapshot, RecordingSnapshot};
use crate::model::{AccessUnit, Duty, InputId, Media, OutputId, RenditionId, Track, Wall};
use crate::mux::ts;
use crate::output::{EventSink, Feed, OutputCommand, ProgrammeClock, Transport};
use crate::switch::{
    Epoch, Input, Output, SavedTime, SlateClip, SlateError, StreamSettings, Switch, SwitchSettings, SwitchSnapshot,
    Thresholds,
};

/// Programme kept for laggards and for replay.
const RING_AGE: Duration = Duration::from_secs(12);
/// Payload kept per rendition, bytes.
const RING_BYTES: usize = 24 << 20;

/// What the places of a stream are counted by. The switch knows no reordering: each unit has the place after the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Units come in the order of their presentation: our own encoders do not reorder.
    Presentation,
    /// Units come in the order of their decoding, which is what their places are counted by.
    Decoding,
}

/// The switch would like a keyframe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyframeWish {
    /// From this input.
    pub input: InputId,
    /// On this stream.
    pub rendition: RenditionId,
}

/// A programme and its outputs.
pub struct Programme {
    switch: Switch,
    order: Order,
    clock: ProgrammeClock,
    feeds: BTreeMap<RenditionId, Feed>,
    /// The renditions as transport streams; each muxes only while an SRT destination reads it.
    transports: BTreeMap<RenditionId, Transport>,
    /// Which feeds an audio rendition goes to.
    audiences: BTreeMap<RenditionId, Vec<Feed>>,
    outputs: Outputs,
    events: EventSink,
    has_news: bool,
    /// What workers are to be ready for and have not been told yet.
    duties: BTreeMap<InputId, Duty>,
}

impl Programme {
    /// As [`Self::with_network`], where nothing is known of the machine's interfaces.
    pub fn new(
        wanted: &Wanted<'_>,
        inputs: Vec<InputId>,
        epoch: Epoch,
        order: Order,
        events: EventSink,
        seed: u64,
    ) -> Self {
        Self::with_network(wanted, inputs, epoch, order, events, Network::unknown(), seed)
    }

    /// A programme with nothing on air, on the current single-threaded runtime (inside a `LocalSet`). `network` says what the
    /// interfaces under its outputs allow.
    pub fn with_network(
        wanted: &Wanted<'_>,
        inputs: Vec<InputId>,
        epoch: Epoch,
        order: Order,
        events: EventSink,
        network: Network,
        seed: u64,
    ) -> Self {
        let mut programme = Self {
            clock: ProgrammeClock::new(epoch.offset()),
            switch: Switch::new(switch_settings(wanted, inputs), epoch),
            order,
            feeds: BTreeMap::new(),
            transports: BTreeMap::new(),
            audiences: BTreeMap::new(),
            outputs: Outputs::new(events.clone(), network, seed),
            events,
            has_news: false,
            duties: BTreeMap::new(),
        };
        programme.build_feeds(wanted);
        programme
    }

    /// Other encodes: everything begins anew, later on the same timeline, which `epoch` goes on with.
    pub fn rebuild(&mut self, wanted: &Wanted<'_>, inputs: Vec<InputId>, epoch: Epoch) {
        self.clock = ProgrammeClock::new(epoch.offset());
        self.switch = Switch::new(switch_settings(wanted, inputs), epoch);
        self.build_feeds(wanted);
    }

    /// Other outputs of the same encodes. What did not change is not disturbed.
    pub fn apply(&mut self, wanted: &Wanted<'_>) {
        self.outputs.apply(wanted, &self.feeds, &self.transports, false);
    }

    /// One feed per rendition; its sound may be shared with others.
    fn build_feeds(&mut self, wanted: &Wanted<'_>) {
        self.feeds.clear();
        self.transports.clear();
        self.audiences.clear();
        for rendition in wanted.renditions {
            let feed = Feed::new(RING_AGE, RING_BYTES);
            let settings = ts::Settings { name: wanted.name.to_owned(), ..ts::Settings::default() };
            let transport = Transport::new(feed.clone(), self.clock.clone(), settings);
            self.audiences.entry(rendition.audio.rendition()).or_default().push(feed.clone());
            self.feeds.insert(rendition.id.clone(), feed);
            self.transports.insert(rendition.id.clone(), transport);
        }
        self.outputs.apply(wanted, &self.feeds, &self.transports, true);
    }

    /// Takes one input and passes on what follows. Returns the keyframes that are wished for.
    pub fn handle(&mut self, input: Input, now: Media) -> Vec<KeyframeWish> {
        let input = match input {
            Input::Unit(unit) if self.order == Order::Decoding => Input::Unit(by_decoding(unit)),
            input @ (Input::Unit(_)
            | Input::Connected { .. }
            | Input::Lost { .. }
            | Input::Condition { .. }
            | Input::Choose(_)
            | Input::Inputs(_)
            | Input::Select(_)
            | Input::Timeout) => input,
        };
        self.switch.handle(input, now);
        self.drain()
    }

    /// As [`Switch::load_slate`].
    ///
    /// # Errors
    /// [`SlateError`] if it cannot stand in for any stream; what was loaded stays.
    pub fn load_slate(&mut self, clip: SlateClip, now: Media) -> Result<Vec<KeyframeWish>, SlateError> {
        self.switch.load_slate(clip, now)?;
        Ok(self.drain())
    }

    fn drain(&mut self) -> Vec<KeyframeWish> {
        let mut wishes = Vec::new();
        while let Some(output) = self.switch.poll_output() {
            match output {
                Output::Unit(unit) => self.distribute(unit),
                Output::ForceKeyframe { input, rendition } => wishes.push(KeyframeWish { input, rendition }),
                Output::Duty { input, duty } => {
                    self.duties.insert(input, duty);
                }
                Output::Event(happened) => {
                    (self.events)(happened.into_event((clock::wall(), clock::media())));
                    self.has_news = true;
                }
            }
        }
        wishes
    }

    fn distribute(&self, mut unit: Arc<AccessUnit>) {
        if self.order == Order::Decoding {
            let unit = Arc::make_mut(&mut unit);
            (unit.pts, unit.dts) = mirrored(unit.pts, unit.dts);
            // Sound is not reordered: what it has beyond its place is its exact time.
            if unit.track == Track::Audio {
                unit.dts = unit.pts;
            }
        }
        match unit.track {
            Track::Video => {
                if let Some(feed) = self.feeds.get(&unit.rendition) {
                    feed.push(unit);
                }
            }
            Track::Audio => {
                for feed in self.audiences.get(&unit.rendition).into_iter().flatten() {
                    feed.push(unit.clone());
                }
            }
        }
    }

    /// When to call [`Self::handle`] with [`Input::Timeout`] if nothing else happens before; on the clock of `now`.
    pub fn poll_timeout(&self) -> Option<Media> {
        self.switch.poll_timeout().map(|(at, _)| at)
    }

    /// What workers are to be ready for, where that has changed since the last call. Tell them before they are asked for
    /// keyframes.
    pub fn take_duties(&mut self) -> BTreeMap<InputId, Duty> {
        std::mem::take(&mut self.duties)
    }

    /// Whether the source has changed since the last call.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// The clock that transport streams are stamped with. Whoever calls with another `now` than CLOCK_MONOTONIC sets it.
    pub fn clock(&self) -> &ProgrammeClock {
        &self.clock
    }

    /// The map between the time of `now` and programme time.
    pub fn epoch(&self) -> &Epoch {
        self.switch.epoch()
    }

    /// As [`Epoch::due_save`].
    pub fn due_save(&mut self, now: Media, wall: Wall) -> Option<SavedTime> {
        self.switch.due_save(now, wall)
    }

    /// The state of the switch at `now`.
    pub fn snapshot(&self, now: Media) -> SwitchSnapshot {
        self.switch.snapshot(now)
    }

    /// Starts or cleanly ends all outputs.
    pub fn set_on_air(&mut self, on: bool) {
        self.outputs.set_on_air(on);
    }

    /// Tells one output, or all of them.
    pub fn tell(&self, id: Option<&OutputId>, command: OutputCommand) {
        self.outputs.tell(id, command);
    }

    /// How those of these destinations do that publish.
    pub fn loads(&self, of: &[OutputId]) -> Vec<Load> {
        self.outputs.loads(of)
    }

    /// The latest of every destination, by name.
    pub fn destinations(&self) -> Vec<OutputSnapshot> {
        self.outputs.destinations()
    }

    /// The latest of every recording, by name.
    pub fn recordings(&self) -> Vec<RecordingSnapshot> {
        self.outputs.recordings()
    }

    /// Ends all outputs cleanly and waits until they have ended, for [`END_WITHIN`] at most.
    pub async fn end(self) {
        self.outputs.end().await;
    }
}

/// A unit as the switch takes it: its decoding time in the place of its presentation time, and as far before that as the
/// presentation time lies behind.
fn by_decoding(mut unit: AccessUnit) -> AccessUnit {
    (unit.dts, unit.pts) = mirrored(unit.dts, unit.pts);
    unit
}

/// `a` and `b`, each in the other's place, the distance kept: its own inverse.
///
/// Of a unit's presentation and decoding time it makes decoding time and what lies as far on the other side of it, which
/// is what the switch keeps the distance of.
fn mirrored(a: Media, b: Media) -> (Media, Media) {
    (a + (a - b), a)
}

fn switch_settings(wanted: &Wanted<'_>, inputs: Vec<InputId>) -> SwitchSettings {
    let picture = |r: &RenditionSettings| StreamSettings { rendition: r.id.clone(), codec: r.codec, sound: None };
    let video = wanted.renditions.iter().map(picture);
    let mut sound: Vec<_> = wanted.renditions.iter().map(|r| r.audio.clone()).collect();
    sound.sort();
    sound.dedup();
    let grid = wanted.sound;
    let sound = sound.iter().map(|a| StreamSettings { rendition: a.rendition(), codec: a.codec, sound: grid });
    SwitchSettings {
        rate: wanted.rate,
        streams: video.chain(sound).collect(),
        inputs,
        selection: wanted.selection.cloned().unwrap_or_default(),
        thresholds: Thresholds::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reordered_unit_passes_the_switch_by_its_decoding_time_and_gets_both_times_back() {
        let ms = Media::from_millis;
        // Shown two frames after it is decoded.
        let (pts, dts) = (ms(1080), ms(1000));
        let (place, behind) = {
            let (dts, pts) = mirrored(dts, pts);
            (pts, dts)
        };
        assert_eq!((place, behind), (ms(1000), ms(920)), "its place is when it is decoded");
        // The switch moves both by the same time.
        let moved = (place + ms(500), behind + ms(500));
        assert_eq!(mirrored(moved.0, moved.1), (ms(1580), ms(1500)));
        assert_eq!(mirrored(ms(7), ms(7)), (ms(7), ms(7)), "without reordering nothing changes");
    }
}
