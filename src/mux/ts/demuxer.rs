//! A transport stream from somewhere, back into access units: one programme, of it one picture and one sound.

mod continuity;
mod lane;
mod terms;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use self::continuity::{Continuity, Follows};
use self::lane::{Assembled, Lane};
use super::clock::{Pcr, Unwrap};
use super::packet::{LENGTH, NULL_PID, Packet, Unusable};
use super::pes::Pes;
use super::psi::{self, Assembler, Map, PAT_PID};
use super::recover::{Piece, Recover, Recovered};
use super::sync::Sync;
use crate::model::{AccessUnit, Media, Track, TrackFormat};
use crate::mux::MuxError;

pub use continuity::PidCounters;
pub use terms::{DemuxCounters, Output, Source};

/// Outputs that wait to be taken; more are dropped.
const MAX_OUTPUTS: usize = 4096;
/// How much farther than the time that passed the programme clock may go between two readings before it counts as
/// another time base.
const MAX_LEAP: Duration = Duration::from_secs(2);

/// A reading of the programme clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    clock: Media,
    at: Instant,
}

/// One transport stream being taken apart: [`push`](Self::push) what came, then [`poll`](Self::poll) until there is
/// nothing.
#[derive(Debug)]
pub struct Demuxer {
    source: Source,
    sync: Sync,
    programme: Programme,
    lanes: Vec<Lane>,
    pids: BTreeMap<u16, Continuity>,
    unwrap: Unwrap,
    reading: Option<Reading>,
    outputs: VecDeque<Output>,
    count: DemuxCounters,
}

/// What the tables said.
#[derive(Debug, Default)]
struct Programme {
    pat: Assembler,
    pmt: Assembler,
    /// Number, and packet identifier of its map.
    chosen: Option<(u16, u16)>,
    map: Option<Map>,
}

impl Programme {
    fn clock_pid(&self) -> Option<u16> {
        self.map.as_ref().map(|map| map.pcr_pid)
    }

    fn is_map(&self, pid: u16) -> bool {
        self.chosen.is_some_and(|chosen| chosen.1 == pid)
    }
}

impl Demuxer {
    /// Waits for the tables of `source`'s programme.
    pub fn new(source: Source) -> Self {
        Self {
            source,
            sync: Sync::default(),
            programme: Programme::default(),
            lanes: Vec::new(),
            pids: BTreeMap::new(),
            unwrap: Unwrap::default(),
            reading: None,
            outputs: VecDeque::new(),
            count: DemuxCounters::default(),
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> DemuxCounters {
        DemuxCounters { sync_losses: self.sync.losses, skipped: self.sync.skipped, ..self.count }
    }

    /// The packet identifiers of the programme, and what was counted on each since it belongs to it.
    pub fn pids(&self) -> impl Iterator<Item = (u16, PidCounters)> {
        self.pids.iter().map(|(pid, continuity)| (*pid, continuity.count))
    }

    /// What the programme clock said last, and when that arrived.
    pub fn clock(&self) -> Option<(Media, Instant)> {
        self.reading.map(|reading| (reading.clock, reading.at))
    }

    /// Takes bytes as they came at `now`, in any pieces.
    pub fn push(&mut self, data: &[u8], now: Instant) {
        let mut sync = std::mem::take(&mut self.sync);
        sync.push(data, |packet| self.packet(packet, now));
        self.sync = sync;
    }

    /// Brings out what waits for more: none will come.
    pub fn flush(&mut self, now: Instant) {
        let mut sync = std::mem::take(&mut self.sync);
        sync.flush(|packet| self.packet(packet, now));
        self.sync = sync;
        let mut lanes = std::mem::take(&mut self.lanes);
        lanes.iter_mut().for_each(|lane| self.finish(lane));
        self.lanes = lanes;
    }

    /// The next output. Take them all after each push: only some thousand are kept.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn packet(&mut self, bytes: &[u8; LENGTH], now: Instant) {
        self.count.packets += 1;
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(Unusable::Error | Unusable::Scrambled | Unusable::Malformed) => {
                self.count.unusable += 1;
                return;
            }
        };
        let pid = packet.pid;
        let lane = self.lanes.iter().position(|lane| lane.pid == pid);
        let (is_map, is_clock) = (self.programme.is_map(pid), self.programme.clock_pid() == Some(pid));
        if pid == NULL_PID || !(pid == PAT_PID || is_map || is_clock || lane.is_some()) {
            return;
        }
        if let (true, Some(pcr)) = (is_clock, packet.adaptation.pcr) {
            self.clock_reading(pcr, packet.adaptation.discontinuity, now);
        }
        let continuity = self.pids.entry(pid).or_default();
        let errors = continuity.count.errors;
        let follows = continuity.check(&packet);
        self.count.continuity += continuity.count.errors - errors;
        match follows {
            Follows::Again => return,
            Follows::Yes => {}
            Follows::No => self.lose(pid, lane),
        }
        let Some(payload) = packet.payload else { return };
        if pid == PAT_PID {
            self.association(payload, packet.unit_start);
        } else if is_map {
            self.map(payload, packet.unit_start);
        } else if let Some(lane) = lane.and_then(|n| self.lanes.get_mut(n)) {
            let mut done = [None, None];
            lane.push(payload, packet.unit_start, packet.adaptation.end, |assembled| {
                if let Some(free) = done.iter_mut().find(|place| place.is_none()) {
                    *free = Some(assembled);
                }
            });
            let mut lanes = std::mem::take(&mut self.lanes);
            if let Some(lane) = lanes.iter_mut().find(|lane| lane.pid == pid) {
                done.into_iter().flatten().for_each(|assembled| self.assembled(lane, assembled));
            }
            self.lanes = lanes;
        }
    }

    fn clock_reading(&mut self, pcr: Pcr, marked: bool, now: Instant) {
        self.count.clocks += 1;
        let clock = self.unwrap.clock(pcr);
        if let Some(last) = self.reading.replace(Reading { clock, at: now }) {
            let step = clock - last.clock;
            let most = Media::from_duration(now.saturating_duration_since(last.at) + MAX_LEAP);
            if marked || step < Media::ZERO || step > most {
                self.count.time_bases += 1;
                self.lanes.iter_mut().for_each(|lane| lane.next = None);
                self.output(Output::TimeBase { marked });
            } else {
                self.count.clock_interval = self.count.clock_interval.max(step);
            }
        }
    }

    fn lose(&mut self, pid: u16, lane: Option<usize>) {
        if pid == PAT_PID {
            self.programme.pat.reset();
        } else if self.programme.is_map(pid) {
            self.programme.pmt.reset();
        }
        if let Some(lane) = lane.and_then(|n| self.lanes.get_mut(n)) {
            self.count.lost += u64::from(lane.lose());
            let track = lane.track;
            self.output(Output::Gap(track));
        }
    }

    fn association(&mut self, payload: &[u8], unit_start: bool) {
        let mut found = None;
        let count = &mut self.count;
        self.programme.pat.push(payload, unit_start, |section| match section {
            Ok(section) => found = psi::parse_pat(&section).or(found.take()),
            Err(_) => count.tables += 1,
        });
        let Some(programmes) = found else { return };
        let wanted = self.source.programme;
        // The one that is being read stays the one as long as it is there.
        let stays = self.programme.chosen.filter(|chosen| programmes.contains(chosen));
        let chosen = stays.or_else(|| programmes.into_iter().find(|(n, _)| wanted.is_none_or(|wanted| wanted == *n)));
        if chosen != self.programme.chosen {
            self.programme.chosen = chosen;
            self.programme.pmt.reset();
            if self.programme.map.is_some() {
                self.programme.map = None;
                self.apply(&[]);
            }
        }
    }

    fn map(&mut self, payload: &[u8], unit_start: bool) {
        let mut found = None;
        let count = &mut self.count;
        self.programme.pmt.push(payload, unit_start, |section| match section {
            Ok(section) => found = psi::parse_pmt(&section).or(found.take()),
            Err(_) => count.tables += 1,
        });
        let chosen = self.programme.chosen;
        let Some(map) = found.filter(|map| chosen.is_some_and(|chosen| chosen.0 == map.programme)) else { return };
        if self.programme.map.as_ref() != Some(&map) {
            let streams = map.streams.clone();
            self.programme.map = Some(map);
            self.apply(&streams);
        }
    }

    /// Takes the first picture and the first sound of `streams`; those that are being read already go on.
    fn apply(&mut self, streams: &[(u8, u16, Option<psi::Carriage>)]) {
        let mut old = std::mem::take(&mut self.lanes);
        let mut lanes: Vec<Lane> = Vec::new();
        let mut others = Vec::new();
        for (kind, pid, carriage) in streams {
            let track = carriage.map(|c| if c.codec().is_video() { Track::Video } else { Track::Audio });
            let (Some(carriage), Some(track)) = (*carriage, track) else {
                others.push(*kind);
                continue;
            };
            if lanes.iter().any(|lane| lane.track == track || lane.pid == *pid) {
                others.push(*kind);
                continue;
            }
            let same = old.iter().position(|lane| lane.pid == *pid && lane.carriage == carriage);
            lanes.push(match same {
                Some(n) => old.swap_remove(n),
                None => {
                    let bitrate = match track {
                        Track::Video => self.source.video_bitrate,
                        Track::Audio => self.source.audio_bitrate,
                    };
                    Lane::new(*pid, track, carriage, Recover::new(carriage, self.source.rate, bitrate))
                }
            });
        }
        old.iter_mut().for_each(|lane| self.finish(lane));
        let codec = |track| lanes.iter().find(|lane| lane.track == track).map(|lane| lane.carriage.codec());
        let (video, audio) = (codec(Track::Video), codec(Track::Audio));
        self.lanes = lanes;
        let (lanes, programme) = (&self.lanes, &self.programme);
        self.pids.retain(|pid, _| {
            *pid == PAT_PID
                || programme.is_map(*pid)
                || programme.clock_pid() == Some(*pid)
                || lanes.iter().any(|lane| lane.pid == *pid)
        });
        self.output(Output::Streams { video, audio, others });
    }

    fn finish(&mut self, lane: &mut Lane) {
        let mut last = None;
        lane.finish(|assembled| last = Some(assembled));
        if let Some(assembled) = last {
            self.assembled(lane, assembled);
        }
        let mut found = Vec::new();
        lane.recover.flush(|unit| found.push(unit));
        found.into_iter().for_each(|unit| self.recovered(lane.track, unit));
    }

    fn assembled(&mut self, lane: &mut Lane, assembled: Assembled) {
        let packet = match assembled {
            Assembled::Whole(packet) => packet,
            Assembled::Short => {
                self.count.lost += 1;
                lane.recover.reset();
                return self.output(Output::Gap(lane.track));
            }
            Assembled::TooLarge => {
                self.count.oversize += 1;
                lane.recover.reset();
                return self.output(Output::Gap(lane.track));
            }
            Assembled::NotPes => {
                self.count.malformed += 1;
                return;
            }
        };
        let Some(pes) = Pes::parse(&packet) else {
            self.count.malformed += 1;
            return;
        };
        let stamped = pes.pts.zip(pes.dts).map(|(pts, dts)| (self.unwrap.stamp(pts), self.unwrap.stamp(dts)));
        let Some((pts, dts)) = stamped.or(lane.next.map(|next| (next, next))) else {
            self.count.untimed += 1;
            return;
        };
        let mut found = Vec::new();
        lane.recover.push(Piece { pts, dts, payload: pes.payload }, |unit| found.push(unit));
        if let (Track::Audio, Some(Ok(last))) = (lane.track, found.last()) {
            lane.next = end_of(last);
        }
        found.into_iter().for_each(|unit| self.recovered(lane.track, unit));
    }

    fn recovered(&mut self, track: Track, unit: Result<Recovered, MuxError>) {
        match unit {
            Ok(Recovered { pts, dts, unit }) => {
                self.count.units += 1;
                self.output(Output::Unit(AccessUnit {
                    input: self.source.input.clone(),
                    rendition: self.source.rendition.clone(),
                    track,
                    pts,
                    dts,
                    key: unit.key,
                    config: unit.config,
                    payload: unit.payload,
                }));
            }
            Err(MuxError::NoConfiguration { .. }) => self.count.undecodable += 1,
            Err(_) => self.count.malformed += 1,
        }
    }

    fn output(&mut self, output: Output) {
        if self.outputs.len() < MAX_OUTPUTS {
            self.outputs.push_back(output);
        } else {
            self.count.overflow += 1;
        }
    }
}

/// When the packet of sound after this one belongs.
fn end_of(last: &Recovered) -> Option<Media> {
    let TrackFormat::Audio(format) = last.unit.config.format else { return None };
    let length = i64::from(format.samples) * 1_000_000_000 / i64::from(format.rate.max(1));
    Some(last.pts + Media(length))
}
