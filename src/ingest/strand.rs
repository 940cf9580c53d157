//! Pure. One input over a network between its session and its worker: its sender's time becomes ours, and what a decoder needs to
//! begin is kept.
//!
//! ```text
//!   Arrival ──► SenderClock (a track) ──► Feed ──► the worker
//!      │                                   └─ since the last keyframe: for a worker that comes later
//!      └──► NetworkJudge ──► Finding
//! ```

use std::sync::Arc;
use std::time::Duration;

use super::arrival::{Arrival, Network};
use super::clock::SenderClock;
use super::truth::NetworkJudge;
use crate::events::InputSender;
use crate::model::{AccessUnit, CodecConfig, Fault, Feed, Finding, Media, NetworkLimits, Track};

/// What is kept since the last keyframe: units, and bytes of them. A stream with longer groups makes a new worker wait.
const MOST_UNITS: usize = 2000;
/// See [`MOST_UNITS`].
const MOST_BYTES: usize = 32 << 20;

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
    pub fn new(cushion: Duration, limits: NetworkLimits) -> Self {
        let cushion = Media(i64::try_from(cushion.as_nanos()).unwrap_or(i64::MAX));
        let lane = || Lane { clock: SenderClock::new(Media::ZERO), offset: None, config: None };
        Self {
            cushion,
            tracks: [lane(), lane()],
            presence: Presence::Nobody { why: "nobody has sent it yet".to_owned() },
            network: NetworkJudge::new(limits),
            group: Vec::new(),
            bytes: 0,
        }
    }

    /// What came at `now`, for the worker.
    pub fn arrived(&mut self, arrival: Arrival, now: Media) -> Vec<Feed> {
        match arrival {
            Arrival::Began { from } => {
                let before = self.end("another sender took over");
                self.presence = Presence::Sender { from, since: now };
                before
            }
            Arrival::Unit(unit) => self.unit(unit, now),
            Arrival::TimeBase => {
                self.restart();
                Vec::new()
            }
            Arrival::Network(network) => {
                self.network.hear(network);
                Vec::new()
            }
            Arrival::Ended { why } => self.end(&why),
        }
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
                Some(Finding { fault: Fault::Network, evidence: format!("there is no sender: {why}") })
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

    fn unit(&mut self, unit: AccessUnit, now: Media) -> Vec<Feed> {
        let mut feeds = Vec::new();
        let lane = &mut self.tracks[usize::from(unit.track == Track::Audio)];
        lane.offset = Some(lane.clock.arrived(unit.dts, now));
        let is_new = lane.config.as_ref() != Some(&unit.config);
        if is_new {
            lane.config = Some(unit.config.clone());
            feeds.push(Feed::Format(unit.config.clone()));
        }
        // What comes later than the other track is what the other has to wait for.
        let offset = self.tracks.iter().filter_map(|lane| lane.offset).max().unwrap_or_default() + self.cushion;
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
        feeds
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
        self.forget_group();
    }

    fn forget_group(&mut self) {
        self.group.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use bytes::Bytes;

    use super::*;
    use crate::model::{AudioFormat, Codec, FrameRate, InputId, RenditionId, TrackFormat, VideoFormat};

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    fn unit(track: Track, at: i64, key: bool, record: u8) -> Arrival {
        let (codec, format) = match track {
            Track::Video => {
                (Codec::H264, TrackFormat::Video(VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) }))
            }
            Track::Audio => (Codec::Aac, TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 })),
        };
        let config = CodecConfig { codec, record: Bytes::from(vec![record]), format, bitrate: 0 };
        Arrival::Unit(AccessUnit {
            input: InputId::new("cam").unwrap(),
            rendition: RenditionId::new("cam").unwrap(),
            track,
            pts: ms(at),
            dts: ms(at),
            key,
            config: Arc::new(config),
            payload: Bytes::from_static(b"unit"),
        })
    }

    fn strand() -> Strand {
        let mut strand = Strand::new(Duration::from_millis(200), NetworkLimits::USUAL);
        assert!(strand.finding().unwrap().evidence.contains("nobody has sent"));
        assert!(strand.arrived(Arrival::Began { from: "a camera".into() }, ms(1000)).is_empty());
        strand
    }

    fn times(feeds: &[Feed]) -> Vec<(bool, Media)> {
        let time = |feed: &Feed| match feed {
            Feed::Unit { track, pts, .. } => Some((*track == Track::Video, *pts)),
            Feed::Format(_) | Feed::End { .. } => None,
        };
        feeds.iter().filter_map(time).collect()
    }

    #[test]
    fn units_are_due_a_cushion_after_the_later_of_both_tracks() {
        let mut strand = strand();
        let first = strand.arrived(unit(Track::Video, 50_000, true, 1), ms(1000));
        assert!(matches!(&first[..], [Feed::Format(config), Feed::Unit { .. }] if config.codec == Codec::H264));
        assert_eq!(times(&first), [(true, ms(1200))]);
        // The sound that belongs to it comes 80 ms later.
        let sound = strand.arrived(unit(Track::Audio, 50_000, true, 1), ms(1080));
        assert_eq!(times(&sound), [(false, ms(1280))]);
        let next = strand.arrived(unit(Track::Video, 50_100, false, 1), ms(1100));
        assert_eq!((next.len(), times(&next)[0].1), (1, ms(1380)), "the picture waits for the sound");
        assert_eq!(strand.finding(), None);
    }

    #[test]
    fn a_worker_that_comes_later_begins_with_the_last_keyframe() {
        let mut strand = strand();
        assert!(strand.catch_up().is_empty());
        for n in 0..10 {
            strand.arrived(unit(Track::Video, n * 33, n == 0 || n == 6, 1), ms(1000 + n * 33));
            strand.arrived(unit(Track::Audio, n * 33, true, 1), ms(1000 + n * 33));
        }
        let feeds = strand.catch_up();
        assert!(matches!(&feeds[..2], [Feed::Format(_), Feed::Format(_)]));
        assert!(matches!(&feeds[2], Feed::Unit { key: true, track: Track::Video, .. }));
        assert_eq!(times(&feeds).len(), 8);
        assert!(times(&feeds).iter().all(|(_, pts)| *pts >= ms(1000 + 6 * 33)));
    }

    #[test]
    fn another_configuration_is_told_and_what_was_before_it_is_forgotten() {
        let mut strand = strand();
        strand.arrived(unit(Track::Video, 0, true, 1), ms(1000));
        let changed = strand.arrived(unit(Track::Video, 33, true, 2), ms(1033));
        assert!(matches!(&changed[..], [Feed::Format(_), Feed::Unit { .. }]));
        assert_eq!(times(&strand.catch_up()).len(), 1);
    }

    #[test]
    fn a_sender_that_is_gone_is_told_once_and_the_next_has_a_time_of_its_own() {
        let mut strand = strand();
        strand.arrived(unit(Track::Video, 9_000_000, true, 1), ms(1000));
        assert_eq!(strand.sender(ms(3500)).unwrap().for_s, 2);
        let ended = strand.arrived(Arrival::Ended { why: "it hung up".into() }, ms(4000));
        assert_eq!(ended, [Feed::End { reason: "the sender is gone: it hung up".into() }]);
        assert!(strand.arrived(Arrival::Ended { why: "again".into() }, ms(4000)).is_empty());
        assert_eq!(strand.finding().unwrap().evidence, "there is no sender: again");
        assert!(strand.catch_up().is_empty() && strand.sender(ms(4000)).is_none());
        strand.arrived(Arrival::Began { from: "another".into() }, ms(5000));
        let first = strand.arrived(unit(Track::Video, 7, true, 1), ms(6000));
        assert_eq!((first.len(), times(&first)[0].1), (2, ms(6200)), "its format is told again");
        strand.arrived(Arrival::TimeBase, ms(6000));
        assert_eq!(times(&strand.arrived(unit(Track::Video, 800_000, true, 1), ms(7000))), [(true, ms(7200))]);
    }

    #[test]
    fn a_group_without_end_is_not_kept() {
        let mut strand = strand();
        for n in 0..5000 {
            strand.arrived(unit(Track::Video, n * 33, n == 0, 1), ms(1000 + n * 33));
        }
        assert!(strand.catch_up().is_empty());
    }
}
