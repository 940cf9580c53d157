//! The running destinations and recordings, kept in step with the settings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::{DestinationSettings, RecordingSettings, RenditionSettings, SrtDestinationSettings};
use crate::encode::bitrate::Load;
use crate::events::{OutputSnapshot, OutputState, RecordingSnapshot, RecordingState};
use crate::link::{self, Links};
use crate::model::{AudioGrid, FrameRate, OutputId, RenditionId, Selection};
use crate::output::{EventSink, Feed, OutputCommand, OutputHandle, Transport, record, rtmp, srt};

/// How long the clean end of all outputs may take.
pub const END_WITHIN: Duration = Duration::from_secs(3);

/// What the settings say about a programme and its outputs.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'s> {
    /// What receivers of transport streams call it.
    pub name: &'s str,
    /// The video grid.
    pub rate: FrameRate,
    /// The encodes.
    pub renditions: &'s [RenditionSettings],
    /// The sound's grid, where it is not its codec's usual one.
    pub sound: Option<AudioGrid>,
    /// By which rules one of several inputs is chosen; the usual ones, if not given.
    pub selection: Option<&'s Selection>,
    /// RTMP destinations; those of other renditions are left out.
    pub destinations: &'s [DestinationSettings],
    /// SRT destinations, likewise.
    pub srt_destinations: &'s [SrtDestinationSettings],
    /// Recordings, likewise.
    pub recordings: &'s [RecordingSettings],
}

impl Wanted<'_> {
    fn rendition(&self, id: &RenditionId) -> Option<&RenditionSettings> {
        self.renditions.iter().find(|rendition| &rendition.id == id)
    }
}

/// What outputs are told of the interfaces under them.
#[derive(Clone, Debug)]
pub struct Network {
    /// What the kernel says.
    pub links: watch::Receiver<Arc<Links>>,
    /// For those that choose between interfaces; `None` where nobody judges them.
    pub choice: Option<rtmp::Choice>,
}

impl Network {
    /// Nothing is known, and nothing ever will be.
    pub fn unknown() -> Self {
        Self { links: link::unknown(), choice: None }
    }
}

/// Every output of a programme.
pub struct Outputs {
    rtmp: BTreeMap<OutputId, Running<DestinationSettings, OutputSnapshot>>,
    srt: BTreeMap<OutputId, Running<SrtDestinationSettings, OutputSnapshot>>,
    recordings: BTreeMap<OutputId, Running<RecordingSettings, RecordingSnapshot>>,
    events: EventSink,
    network: Network,
    seed: u64,
    on_air: bool,
}

struct Running<T, S> {
    settings: T,
    handle: OutputHandle<S>,
}

impl Outputs {
    /// No outputs yet; off air. `seed` makes the back-offs of this box differ from another's.
    pub fn new(events: EventSink, network: Network, seed: u64) -> Self {
        Self {
            rtmp: BTreeMap::new(),
            srt: BTreeMap::new(),
            recordings: BTreeMap::new(),
            events,
            network,
            seed,
            on_air: false,
        }
    }

    /// Starts what is new, ends what is gone or changed, leaves alone what is the same. `rebuilt` feeds: everything is
    /// started again.
    pub fn apply(
        &mut self,
        wanted: &Wanted<'_>,
        feeds: &BTreeMap<RenditionId, Feed>,
        transports: &BTreeMap<RenditionId, Transport>,
        rebuilt: bool,
    ) {
        keep(&mut self.rtmp, |id| wanted.destinations.iter().find(|d| &d.id == id), rebuilt, is_same_broadcast);
        keep(&mut self.srt, |id| wanted.srt_destinations.iter().find(|d| &d.id == id), rebuilt, |_, _| false);
        keep(&mut self.recordings, |id| wanted.recordings.iter().find(|r| &r.id == id), rebuilt, |_, _| false);

        for new in wanted.destinations.iter().filter(|d| !self.rtmp.contains_key(&d.id)).collect::<Vec<_>>() {
            let (Some(feed), Some(rendition)) = (feeds.get(&new.rendition), wanted.rendition(&new.rendition)) else {
                continue;
            };
            let (events, seed) = (self.events.clone(), self.next_seed());
            let handle = rtmp::spawn(
                new.clone(),
                rendition,
                wanted.rate,
                feed.clone(),
                events,
                self.network.choice.clone(),
                seed,
            );
            self.begin(&handle, new.enabled);
            self.rtmp.insert(new.id.clone(), Running { settings: new.clone(), handle });
        }
        for new in wanted.srt_destinations.iter().filter(|d| !self.srt.contains_key(&d.id)).collect::<Vec<_>>() {
            let (Some(transport), Some(rendition)) = (transports.get(&new.rendition), wanted.rendition(&new.rendition))
            else {
                continue;
            };
            let (events, seed) = (self.events.clone(), self.next_seed());
            let choice = self.network.choice.as_ref();
            let ground = srt::Ground {
                links: self.network.links.clone(),
                allowances: choice.map(|choice| choice.allowances.clone()),
                judging: choice.map(|choice| choice.judging.clone()),
                resolver: choice.map(|choice| choice.resolver.clone()),
            };
            let handle = srt::spawn(new.clone(), rendition, transport.clone(), events, ground, seed);
            self.begin(&handle, new.enabled);
            self.srt.insert(new.id.clone(), Running { settings: new.clone(), handle });
        }
        for new in wanted.recordings.iter().filter(|r| !self.recordings.contains_key(&r.id)).collect::<Vec<_>>() {
            let Some(feed) = feeds.get(&new.rendition) else { continue };
            let handle = record::spawn(new.clone(), feed.clone(), self.events.clone());
            self.begin(&handle, true);
            self.recordings.insert(new.id.clone(), Running { settings: new.clone(), handle });
        }
    }

    fn begin<S>(&self, handle: &OutputHandle<S>, enabled: bool) {
        if self.on_air && enabled {
            tell(handle, OutputCommand::Start);
        }
    }

    fn next_seed(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.seed
    }

    /// Starts or cleanly ends all outputs.
    pub fn set_on_air(&mut self, on: bool) {
        self.on_air = on;
        let command = if on { OutputCommand::Start } else { OutputCommand::Stop };
        for running in self.rtmp.values().filter(|r| !on || r.settings.enabled) {
            tell(&running.handle, command);
        }
        for running in self.srt.values().filter(|r| !on || r.settings.enabled) {
            tell(&running.handle, command);
        }
        for running in self.recordings.values() {
            tell(&running.handle, command);
        }
    }

    /// Tells one output, or all of them.
    pub fn tell(&self, id: Option<&OutputId>, command: OutputCommand) {
        tell_some(&self.rtmp, id, command);
        tell_some(&self.srt, id, command);
        tell_some(&self.recordings, id, command);
    }

    /// How those of these destinations do that publish.
    pub fn loads(&self, of: &[OutputId]) -> Vec<Load> {
        let running = of.iter().filter_map(|id| self.rtmp.get(id));
        let load = |running: &Running<DestinationSettings, OutputSnapshot>| {
            let now = running.handle.snapshot.borrow();
            (now.state == OutputState::Publishing).then(|| Load {
                output: now.id.clone(),
                session: now.sessions,
                waiting: Duration::from_millis(now.behind_ms),
                confirmed: now.acknowledged,
            })
        };
        running.filter_map(load).collect()
    }

    /// The latest of every destination, by name.
    pub fn destinations(&self) -> Vec<OutputSnapshot> {
        let rtmp = self.rtmp.values().map(|r| r.handle.snapshot.borrow().clone());
        let srt = self.srt.values().map(|r| r.handle.snapshot.borrow().clone());
        let mut all: Vec<OutputSnapshot> = rtmp.chain(srt).collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        all
    }

    /// The latest of every recording, by name.
    pub fn recordings(&self) -> Vec<RecordingSnapshot> {
        self.recordings.values().map(|r| r.handle.snapshot.borrow().clone()).collect()
    }

    /// Ends everything cleanly and waits until it has ended, for a bounded time.
    pub async fn end(mut self) {
        self.set_on_air(false);
        let all = async {
            let off = |s: &OutputSnapshot| s.state == OutputState::Off;
            for running in self.rtmp.values_mut() {
                let _ = running.handle.snapshot.wait_for(off).await;
            }
            for running in self.srt.values_mut() {
                let _ = running.handle.snapshot.wait_for(off).await;
            }
            for running in self.recordings.values_mut() {
                let off = |s: &RecordingSnapshot| s.state == RecordingState::Off;
                let _ = running.handle.snapshot.wait_for(off).await;
            }
        };
        let _ = tokio::time::timeout(END_WITHIN, all).await;
    }
}

/// Whether an RTMP server gets the same show from the one as from the other.
fn is_same_broadcast(before: &DestinationSettings, after: &DestinationSettings) -> bool {
    after.enabled && (&before.url, &before.key) == (&after.url, &after.key)
}

/// Ends what is not wanted as it is. What begins anew at once, as `goes_on` says, is cut off without a word: an end that is
/// announced is the end of the show for some services.
fn keep<'w, T: PartialEq + 'w, S>(
    running: &mut BTreeMap<OutputId, Running<T, S>>,
    wanted: impl Fn(&OutputId) -> Option<&'w T>,
    rebuilt: bool,
    goes_on: impl Fn(&T, &T) -> bool,
) {
    running.retain(|id, now| {
        let next = wanted(id);
        let stays = !rebuilt && next == Some(&now.settings);
        if !stays && !next.is_some_and(|next| goes_on(&now.settings, next)) {
            tell(&now.handle, OutputCommand::Stop);
        }
        stays
    });
}

fn tell_some<T, S>(running: &BTreeMap<OutputId, Running<T, S>>, id: Option<&OutputId>, command: OutputCommand) {
    for (_, running) in running.iter().filter(|(other, _)| id.is_none_or(|id| id == *other)) {
        tell(&running.handle, command);
    }
}

/// A full queue means that the output has commands enough to act on already.
fn tell<S>(handle: &OutputHandle<S>, command: OutputCommand) {
    let _ = handle.commands.try_send(command);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::mpsc;

    use super::*;

    #[test]
    fn what_is_gone_is_ended_and_what_only_begins_anew_is_not() {
        let id = |name: &str| OutputId::new(name).unwrap();
        // The place, and how much else there is to it.
        let before = [("same", (1, 0)), ("other-place", (2, 0)), ("other-bit-rate", (3, 0)), ("gone", (4, 0))];
        let after = BTreeMap::from([(id("same"), (1, 0)), (id("other-place"), (9, 0)), (id("other-bit-rate"), (3, 1))]);
        let stopped = |rebuilt| {
            let (mut running, mut inboxes) = (BTreeMap::new(), Vec::new());
            for (name, settings) in before {
                let (commands, inbox) = mpsc::channel(1);
                let handle = OutputHandle { commands, snapshot: watch::channel(()).1 };
                running.insert(id(name), Running { settings, handle });
                inboxes.push((name, inbox));
            }
            keep(&mut running, |id| after.get(id), rebuilt, |old, new| old.0 == new.0);
            let left: Vec<String> = running.keys().map(ToString::to_string).collect();
            let told = |(name, inbox): &mut (&'static str, mpsc::Receiver<_>)| {
                matches!(inbox.try_recv(), Ok(OutputCommand::Stop)).then_some(*name)
            };
            (left, inboxes.iter_mut().filter_map(told).collect::<Vec<_>>())
        };
        assert_eq!(stopped(false), (vec!["same".to_owned()], vec!["other-place", "gone"]));
        assert_eq!(stopped(true), (vec![], vec!["other-place", "gone"]), "other encodes of the same shows");
    }
}
