//! The running destinations and recordings, kept in step with the settings.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast::config::{DestinationSettings, RecordingSettings, Settings};
use holdfast::events::{OutputSnapshot, RecordingSnapshot};
use holdfast::model::{OutputId, RenditionId};
use holdfast::output::{EventSink, Feed, OutputCommand, OutputHandle, record, rtmp};

/// How long the clean end of all outputs may take.
const END_WITHIN: Duration = Duration::from_secs(3);

/// Every output of the programme.
pub(crate) struct Outputs {
    destinations: BTreeMap<OutputId, Running<DestinationSettings, OutputSnapshot>>,
    recordings: BTreeMap<OutputId, Running<RecordingSettings, RecordingSnapshot>>,
    events: EventSink,
    seed: u64,
    on_air: bool,
}

struct Running<T, S> {
    settings: T,
    handle: OutputHandle<S>,
}

impl Outputs {
    /// No outputs yet; off air. `seed` makes the back-offs of this box differ from another's.
    pub(crate) fn new(events: EventSink, seed: u64) -> Self {
        Self { destinations: BTreeMap::new(), recordings: BTreeMap::new(), events, seed, on_air: false }
    }

    /// Starts what is new, ends what is gone or changed, leaves alone what is the same. `rebuilt` feeds: everything is
    /// started again.
    pub(crate) fn apply(&mut self, settings: &Settings, feeds: &BTreeMap<RenditionId, Feed>, rebuilt: bool) {
        let wanted = |id: &OutputId| settings.destinations.iter().find(|d| &d.id == id);
        self.destinations.retain(|id, now| !rebuilt && wanted(id) == Some(&now.settings) || end(&now.handle));
        let kept = |id: &OutputId| settings.recordings.iter().find(|r| &r.id == id);
        self.recordings.retain(|id, now| !rebuilt && kept(id) == Some(&now.settings) || end(&now.handle));

        for new in &settings.destinations {
            if self.destinations.contains_key(&new.id) {
                continue;
            }
            let (Some(feed), Some(rendition)) = (feeds.get(&new.rendition), settings.rendition(&new.rendition)) else {
                continue;
            };
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let events = self.events.clone();
            let handle = rtmp::spawn(new.clone(), rendition, settings.frame_rate, feed.clone(), events, self.seed);
            if self.on_air && new.enabled {
                tell(&handle, OutputCommand::Start);
            }
            self.destinations.insert(new.id.clone(), Running { settings: new.clone(), handle });
        }
        for new in &settings.recordings {
            if self.recordings.contains_key(&new.id) {
                continue;
            }
            let Some(feed) = feeds.get(&new.rendition) else { continue };
            let handle = record::spawn(new.clone(), feed.clone(), self.events.clone());
            if self.on_air {
                tell(&handle, OutputCommand::Start);
            }
            self.recordings.insert(new.id.clone(), Running { settings: new.clone(), handle });
        }
    }

    /// Starts or cleanly ends all outputs.
    pub(crate) fn set_on_air(&mut self, on: bool) {
        self.on_air = on;
        let command = if on { OutputCommand::Start } else { OutputCommand::Stop };
        for running in self.destinations.values().filter(|r| !on || r.settings.enabled) {
            tell(&running.handle, command);
        }
        for running in self.recordings.values() {
            tell(&running.handle, command);
        }
    }

    /// Tells one destination, or all of them.
    pub(crate) fn tell(&self, id: Option<&OutputId>, command: OutputCommand) {
        for (_, running) in self.destinations.iter().filter(|(other, _)| id.is_none_or(|id| id == *other)) {
            tell(&running.handle, command);
        }
        for (_, running) in self.recordings.iter().filter(|(other, _)| id.is_none_or(|id| id == *other)) {
            tell(&running.handle, command);
        }
    }

    /// The latest of every destination.
    pub(crate) fn destinations(&self) -> Vec<OutputSnapshot> {
        self.destinations.values().map(|r| r.handle.snapshot.borrow().clone()).collect()
    }

    /// The latest of every recording.
    pub(crate) fn recordings(&self) -> Vec<RecordingSnapshot> {
        self.recordings.values().map(|r| r.handle.snapshot.borrow().clone()).collect()
    }

    /// Ends everything cleanly and waits until it has ended, for a bounded time.
    pub(crate) async fn end(mut self) {
        self.set_on_air(false);
        let all = async {
            for running in self.destinations.values_mut() {
                let off = |s: &OutputSnapshot| s.state == holdfast::events::OutputState::Off;
                let _ = running.handle.snapshot.wait_for(off).await;
            }
            for running in self.recordings.values_mut() {
                let off = |s: &RecordingSnapshot| s.state == holdfast::events::RecordingState::Off;
                let _ = running.handle.snapshot.wait_for(off).await;
            }
        };
        let _ = tokio::time::timeout(END_WITHIN, all).await;
    }
}

/// A full queue means that the output has commands enough to act on already.
fn tell<S>(handle: &OutputHandle<S>, command: OutputCommand) {
    let _ = handle.commands.try_send(command);
}

/// Ends an output that is about to be dropped; always false, for `retain`.
fn end<S>(handle: &OutputHandle<S>) -> bool {
    tell(handle, OutputCommand::Stop);
    false
}
