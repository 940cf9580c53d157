//! The muxer and the demuxer against each other, in virtual time. What other people's parsers say is in `tests/ts.rs`.

#![allow(clippy::unwrap_used, clippy::panic)]

mod demuxing;
mod muxing;
mod rate;
mod round_trip;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::Unwrap;
use super::packet::{Adaptation, NULL_PID, Packet};
use super::*;
use crate::model::{AccessUnit, Codec, InputId, Media, RenditionId, Track};
use crate::mux::fixtures::{canonical, programme};

/// The first packet of sound after it is before the first picture.
const START: Media = Media::from_millis(3_600_020);

fn ms(ms: i64) -> Media {
    Media::from_millis(ms)
}

fn source() -> Source {
    Source {
        input: InputId::new("relay").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        programme: None,
        rate: None,
        video_bitrate: 60_000,
        audio_bitrate: 60_000,
    }
}

/// A unit of the fixture at `at`.
fn unit(codec: Codec, n: usize, at: Media) -> AccessUnit {
    let units = canonical(codec);
    let unit = &units[n % units.len()];
    AccessUnit {
        input: InputId::new("pattern").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        track: if codec.is_video() { Track::Video } else { Track::Audio },
        pts: at,
        dts: at,
        key: unit.key,
        config: unit.config.clone(),
        payload: unit.payload.clone(),
    }
}

/// A muxer in virtual time: units come `latency` after their decoding time, timers fire up to `slack` late.
struct Bench {
    muxer: Muxer,
    now: Media,
    slack: Box<dyn FnMut() -> Media>,
    payloads: Vec<Payload>,
}

impl Bench {
    fn new(settings: Settings) -> Self {
        Self { muxer: Muxer::new(settings), now: START, slack: Box::new(|| Media::ZERO), payloads: Vec::new() }
    }

    fn with_slack(settings: Settings, slack: impl FnMut() -> Media + 'static) -> Self {
        Self { slack: Box::new(slack), ..Self::new(settings) }
    }

    fn drain(&mut self) {
        while let Some(payload) = self.muxer.poll(self.now) {
            self.payloads.push(payload);
        }
    }

    /// Serves the timers up to `until`.
    fn idle(&mut self, until: Media) {
        while let Some((at, _)) = self.muxer.poll_timeout() {
            let at = at.max(self.now) + (self.slack)();
            if at >= until {
                break;
            }
            self.now = at;
            self.drain();
        }
        self.now = self.now.max(until);
    }

    fn push(&mut self, unit: &AccessUnit) -> Taken {
        let taken = self.muxer.push(unit);
        self.drain();
        taken
    }

    fn feed(&mut self, units: &[Arc<AccessUnit>], latency: Media) {
        for unit in units {
            self.idle(unit.dts + latency);
            self.push(unit);
        }
        self.idle(self.now + ms(11));
    }
}

/// What stands in the packets of some payloads.
#[derive(Clone, Debug)]
struct Seen {
    payload_at: Media,
    pid: u16,
    unit_start: bool,
    counter: u8,
    has_payload: bool,
    adaptation: Adaptation,
    body: Bytes,
}

fn packets(payloads: &[Payload]) -> Vec<Seen> {
    let each = payloads.iter().flat_map(|payload| {
        assert!(!payload.bytes.is_empty() && payload.bytes.len() <= PAYLOAD && payload.bytes.len() % PACKET == 0);
        payload.bytes.chunks_exact(PACKET).map(|bytes| {
            let packet = Packet::parse(bytes.try_into().unwrap()).unwrap();
            Seen {
                payload_at: payload.at,
                pid: packet.pid,
                unit_start: packet.unit_start,
                counter: packet.counter,
                has_payload: packet.payload.is_some(),
                adaptation: packet.adaptation,
                body: Bytes::copy_from_slice(packet.payload.unwrap_or_default()),
            }
        })
    });
    each.collect()
}

/// Everything a demuxer makes of `payloads`, each at its time.
fn demux(payloads: &[Payload]) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(source());
    let mut outputs = Vec::new();
    for payload in payloads {
        demuxer.push(&payload.bytes, instant(payload.at));
        outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.flush(instant(payloads.last().unwrap().at));
    outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    (outputs, demuxer)
}

fn instant(at: Media) -> Instant {
    use std::sync::OnceLock;
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    *ORIGIN.get_or_init(crate::clock::now) + Duration::from_nanos(u64::try_from(at.0).unwrap())
}

fn units(outputs: &[Output], track: Track) -> Vec<&AccessUnit> {
    let of_track = |output: &'_ Output| matches!(output, Output::Unit(unit) if unit.track == track);
    outputs
        .iter()
        .filter(|output| of_track(output))
        .map(|output| match output {
            Output::Unit(unit) => unit,
            Output::Streams { .. } | Output::Gap(_) | Output::TimeBase { .. } => unreachable!(),
        })
        .collect()
}

/// The programme clock wherever it stands in `packets`, not wrapped.
fn clocks(packets: &[Seen]) -> Vec<(Media, Media)> {
    let mut unwrap = Unwrap::default();
    packets.iter().filter_map(|p| Some((p.payload_at, unwrap.clock(p.adaptation.pcr?)))).collect()
}

fn assert_continuous(packets: &[Seen]) {
    let mut last = std::collections::BTreeMap::<u16, u8>::new();
    for packet in packets.iter().filter(|packet| packet.pid != NULL_PID) {
        let before = last.insert(packet.pid, packet.counter);
        if let Some(before) = before {
            let expected = if packet.has_payload { (before + 1) & 15 } else { before };
            assert_eq!(packet.counter, expected, "on {:#x} at {:?}", packet.pid, packet.payload_at);
        }
    }
}
