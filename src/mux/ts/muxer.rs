//! One programme as a transport stream, written once for however many SRT outputs send it.
//!
//! `now` is programme time, the clock that access units are stamped with; the programme clock reference *is* `now`. A
//! unit's time stamps on the wire are its own plus a constant delay, which covers what capture, encoder and switch
//! take: so a unit that arrives in time has its DTS ahead of the clock, and one that does not is counted.
//!
//! Without a bit rate, packets leave as soon as they can: a payload waits for company at most [`Settings::hold`], and
//! one with the end of a picture or the clock in it does not wait. With a bit rate, packet `n` belongs to `origin + n ×
//! 1504 / rate`, and the clock says that time; what no unit fills is padding.

mod lane;
mod packets;
mod settings;
mod terms;

use std::collections::VecDeque;

use bytes::Bytes;

use self::lane::{Lane, Pes};
use self::packets::Packets;
use super::psi::{Announced, Service, Tables};
use super::{PACKET, PACKETS};
use crate::model::{AccessUnit, Media, Track};

pub use settings::Settings;
pub use terms::{MuxCounters, Payload, Reason, Taken};

/// Longest time between two sets of PAT and PMT (ETSI TR 101 290 test 1.3.a allows 500 ms).
const TABLES: Media = Media::from_millis(100);
/// Age at which they are sent along with something else, rather than soon after by themselves.
const TABLES_EARLY: Media = Media::from_millis(80);
/// Longest time between two service description tables (EN 300 468 §5.1.4.1 asks for 2 s).
const SERVICES: Media = Media::from_millis(1000);
/// How long the first keyframe waits for sound to be known, so that the first map has both.
const GATHER: Media = Media::from_millis(200);
/// The packet identifier of the programme map.
const PMT_PID: u16 = 0x20;
/// Bytes of units waiting at most; a caller that polls gets nowhere near it.
const MAX_QUEUED: u64 = 32 << 20;
/// With a bit rate: how much may wait, as time.
const MAX_BEHIND: Media = Media::from_millis(2000);
/// With a bit rate: packets not asked for in this time are skipped rather than sent in one go.
const MAX_STALL: Media = Media::from_millis(500);

/// One programme being muxed. Feed it with [`push`](Self::push), then [`poll`](Self::poll) until there is nothing, and
/// again when [`poll_timeout`](Self::poll_timeout) says.
#[derive(Debug)]
pub struct Muxer {
    settings: Settings,
    video: Lane,
    audio: Lane,
    packets: Packets,
    tables: Tables,
    version: u8,
    /// Streams in `tables`: picture, sound.
    mapped: [Option<Announced>; 2],
    /// `mapped` has changed since.
    unmapped: bool,
    /// Tables to be written before anything else.
    sections: VecDeque<(u16, Bytes)>,
    /// Bytes in the lanes' queues.
    queued: u64,
    state: State,
    slots: Option<Slots>,
}

/// Whether there is a programme yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its first unit has not come.
    Silent,
    /// It has, and waits for the other stream.
    Gathering { since: Option<Media> },
    Running {
        /// The latest `now`.
        now: Option<Media>,
        clock_at: Option<Media>,
        tables_at: Option<Media>,
        services_at: Option<Media>,
    },
}

impl State {
    const BEGINNING: Self = Self::Running { now: None, clock_at: None, tables_at: None, services_at: None };
}

/// Packets at a constant bit rate.
#[derive(Clone, Copy, Debug)]
struct Slots {
    origin: Media,
    next: u64,
    rate: u64,
}

impl Slots {
    fn time_of(self, n: u64) -> Media {
        let nanos = i128::from(n) * (PACKET as i128 * 8 * 1_000_000_000) / i128::from(self.rate.max(1));
        self.origin + Media(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

impl Muxer {
    /// Waits for the first unit.
    pub fn new(settings: Settings) -> Self {
        let clock_interval = settings.clock_interval.clamp(Media(1), Settings::MAX_CLOCK_INTERVAL);
        Self {
            settings: Settings { clock_interval, ..settings },
            video: Lane::default(),
            audio: Lane::default(),
            packets: Packets::default(),
            tables: Tables::default(),
            version: 31,
            mapped: [None, None],
            unmapped: false,
            sections: VecDeque::new(),
            queued: 0,
            state: State::Silent,
            slots: None,
        }
    }

    /// What was counted so far.
    pub fn counters(&self) -> MuxCounters {
        self.packets.count
    }

    /// Takes a unit, whose time stamps are programme time.
    pub fn push(&mut self, unit: &AccessUnit) -> Taken {
        let taken = self.take(unit);
        let count = &mut self.packets.count;
        match taken {
            Taken::Muxed => count.units += 1,
            Taken::Undecodable => count.undecodable += 1,
            Taken::Overflow => count.overflow += 1,
            Taken::Refused(_) => count.refused += 1,
        }
        taken
    }

    fn take(&mut self, unit: &AccessUnit) -> Taken {
        let starts = self.settings.pictures == (unit.track == Track::Video);
        let limit = self.limit();
        let lane = match unit.track {
            Track::Video => &mut self.video,
            Track::Audio => &mut self.audio,
        };
        if self.state == State::Silent && !(starts && unit.key) {
            // Sound before the first picture is not sent, but it is in the first programme map.
            if let (Track::Audio, Ok(announced)) = (unit.track, Announced::new(&unit.config)) {
                lane.announced = Some(announced.clone());
                self.mapped = [None, Some(announced)];
                self.unmapped = true;
            }
            return Taken::Undecodable;
        }
        let other_codec = lane.wardrobe.as_ref().is_some_and(|wardrobe| wardrobe.config.codec != unit.config.codec);
        if !unit.key && (lane.gap || other_codec || lane.wardrobe.is_none()) {
            lane.gap = true;
            return Taken::Undecodable;
        }
        if self.queued + unit.payload.len() as u64 > limit {
            lane.gap = unit.track == Track::Video;
            return Taken::Overflow;
        }
        match lane.push(unit, self.settings.delay) {
            Ok(length) => {
                lane.gap = false;
                self.queued += length as u64;
                if self.state == State::Silent {
                    self.state = State::Gathering { since: None };
                }
                Taken::Muxed
            }
            Err(error) => {
                lane.gap = unit.track == Track::Video;
                Taken::Refused(error)
            }
        }
    }

    /// The next payload, as far as there is one at `now`; call it until it returns `None`. A `now` before the last one
    /// is taken as that.
    pub fn poll(&mut self, now: Media) -> Option<Payload> {
        if let State::Gathering { since } = &mut self.state {
            let since = *since.get_or_insert(now);
            if self.lacks_sound() && now < since + GATHER {
                return None;
            }
            self.state = State::BEGINNING;
        }
        let State::Running { now: last, .. } = &mut self.state else { return None };
        let now = last.map_or(now, |last| last.max(now));
        *last = Some(now);
        match self.settings.rate {
            None => self.poll_free(now),
            Some(rate) => self.poll_paced(now, rate),
        }
    }

    fn poll_free(&mut self, now: Media) -> Option<Payload> {
        loop {
            // A keyframe and its tables begin a payload, so that a new receiver gets nothing that it cannot use.
            if self.packets.is_full() || (!self.packets.is_empty() && self.keyframe_is_next()) {
                return Some(self.packets.take(now));
            }
            if !self.put_next(now) {
                let ripe = self.packets.since().is_some_and(|since| now >= since + self.settings.hold);
                let leaves = ripe || (self.packets.urgent && !self.packets.is_empty());
                return leaves.then(|| self.packets.take(now));
            }
        }
    }

    fn poll_paced(&mut self, now: Media, rate: u64) -> Option<Payload> {
        let slots = self.slots.get_or_insert(Slots { origin: now, next: 0, rate });
        if now > slots.time_of(slots.next) + MAX_STALL {
            *slots = Slots { origin: now, next: 0, rate };
            self.packets.count.stalls += 1;
        }
        let mut slots = *slots;
        while slots.time_of(slots.next) <= now {
            let at = slots.time_of(slots.next);
            slots.next += 1;
            if !self.put_next(at) {
                self.packets.put_padding(at);
            }
            if self.packets.is_full() {
                self.slots = Some(slots);
                return Some(self.packets.take(at));
            }
        }
        self.slots = Some(slots);
        None
    }

    /// When [`poll`](Self::poll) has something to do even if no unit comes, and why. `None` before the first unit.
    pub fn poll_timeout(&self) -> Option<(Media, Reason)> {
        let (now, clock_at, tables_at) = match self.state {
            State::Silent => return None,
            State::Gathering { since: Some(since) } if self.lacks_sound() => {
                return Some((since + GATHER, Reason::Units));
            }
            State::Running { now: Some(now), clock_at, tables_at, .. } => (now, clock_at, tables_at),
            State::Gathering { .. } | State::Running { now: None, .. } => {
                return Some((Media(i64::MIN), Reason::Units));
            }
        };
        if let Some(slots) = self.slots {
            let missing = PACKETS - self.packets.filled();
            return Some((slots.time_of(slots.next + missing as u64 - 1), Reason::Rate));
        }
        if self.head().is_some() {
            return Some((now, Reason::Units));
        }
        let due = |at: Option<Media>, interval| at.map_or(now, |at| at + interval);
        let hold = self.packets.since().map(|since| (since + self.settings.hold, Reason::Hold));
        [(due(clock_at, self.settings.clock_interval), Reason::Clock), (due(tables_at, TABLES), Reason::Tables)]
            .into_iter()
            .chain(hold)
            .min()
    }

    /// What follows does not go on from what was before: the next packets say so, and `now` may jump. What still waits
    /// goes first if [`poll`](Self::poll) is not asked for it before.
    pub fn mark_discontinuity(&mut self) {
        self.packets.jump();
        self.slots = None;
        if let State::Running { .. } = self.state {
            self.state = State::BEGINNING;
        }
    }

    fn lacks_sound(&self) -> bool {
        self.settings.sound && self.audio.announced.is_none()
    }

    fn limit(&self) -> u64 {
        let by_rate = self.settings.rate.map(|rate| rate / 8 * (MAX_BEHIND.0 / 1_000_000_000) as u64);
        by_rate.map_or(MAX_QUEUED, |limit| limit.min(MAX_QUEUED))
    }

    /// The unit that goes next. Sound first: it is small, and a large picture would hold it up.
    fn head(&self) -> Option<&Pes> {
        self.audio.queue.front().or_else(|| self.video.queue.front())
    }

    fn keyframe_is_next(&self) -> bool {
        self.sections.is_empty() && self.head().is_some_and(|pes| pes.key && pes.is_fresh() && !pes.introduced)
    }

    /// Writes the packet that is most urgent at `at`, if there is any.
    fn put_next(&mut self, at: Media) -> bool {
        self.refresh_tables(at);
        let pictures = self.settings.pictures;
        let clock_is_due = self.clock_is_due(at);
        if clock_is_due && self.clock_goes_alone() {
            let Some(pid) = self.clock_pid() else { return false };
            self.packets.put_clock(pid, at);
            self.clock_was_put(at);
            return true;
        }
        if let Some((pid, section)) = self.sections.pop_front() {
            self.packets.put_section(pid, section, at);
            return true;
        }
        let sound = !self.audio.queue.is_empty();
        let lane = if sound { &mut self.audio } else { &mut self.video };
        let Some(pes) = lane.queue.front_mut() else { return false };
        let begins = pes.is_fresh();
        if begins && pes.dts < at {
            self.packets.count.late += 1;
            self.packets.count.latest = self.packets.count.latest.max(at - pes.dts);
        }
        let with_clock = sound != pictures && (clock_is_due || (begins && pictures));
        let before = pes.rope.len();
        self.packets.put_unit(pes, with_clock, at);
        let left = pes.rope.len();
        self.queued = self.queued.saturating_sub((before - left) as u64);
        if left == 0 {
            lane.queue.pop_front();
            // The end of a picture does not wait: a receiver shows nothing without it.
            self.packets.urgent |= !sound;
        }
        if with_clock {
            self.clock_was_put(at);
        }
        true
    }

    /// Whether a clock reference that is due must have a packet of its own. Without a bit rate all packets that wait
    /// leave together, so one of the stream that carries the clock will do if there is any; with one, it has to be the
    /// next.
    fn clock_goes_alone(&self) -> bool {
        let State::Running { clock_at, .. } = self.state else { return false };
        let leader = if self.settings.pictures { &self.video } else { &self.audio };
        let others = !self.sections.is_empty() || (self.settings.pictures && !self.audio.queue.is_empty());
        leader.queue.is_empty() || (self.slots.is_some() && others && clock_at.is_some())
    }

    fn clock_is_due(&self, at: Media) -> bool {
        let State::Running { clock_at, .. } = self.state else { return false };
        clock_at.is_none_or(|last| at >= last + self.settings.clock_interval)
    }

    fn clock_was_put(&mut self, at: Media) {
        if let State::Running { clock_at, .. } = &mut self.state {
            *clock_at = Some(at);
        }
    }

    /// The packet identifier that the programme map names.
    fn clock_pid(&self) -> Option<u16> {
        let [video, audio] = &self.mapped;
        let leader = if self.settings.pictures { video } else { audio };
        leader.as_ref().map(|stream| stream.pid)
    }

    /// Lines up the tables if their time has come, or if the next unit begins with them.
    fn refresh_tables(&mut self, at: Media) {
        let State::Running { tables_at, services_at, .. } = &mut self.state else { return };
        if !self.sections.is_empty() {
            return;
        }
        let age = if self.audio.queue.is_empty() && self.video.queue.is_empty() { TABLES } else { TABLES_EARLY };
        let mut due = tables_at.is_none_or(|last| at >= last + age);
        let head = self.audio.queue.front_mut().or_else(|| self.video.queue.front_mut());
        if let Some(pes) = head.filter(|pes| pes.is_fresh() && !pes.introduced) {
            pes.introduced = true;
            self.packets.key |= pes.key;
            due = true;
        }
        if !due {
            return;
        }
        let services = services_at.is_none_or(|last| at >= last + SERVICES);
        *tables_at = Some(at);
        if services {
            *services_at = Some(at);
        }
        self.map_streams();
        self.sections.extend(self.tables.sections(PMT_PID, services));
    }

    /// Makes new tables if the streams that come next are others than those in the last.
    fn map_streams(&mut self) {
        let mut changed = std::mem::take(&mut self.unmapped);
        for (mapped, lane) in self.mapped.iter_mut().zip([&mut self.video, &mut self.audio]) {
            if let Some(stream) = lane.queue.front_mut().and_then(Pes::announce) {
                *mapped = Some(stream);
                changed = true;
            }
        }
        let (Some(pid), true) = (self.clock_pid(), changed) else { return };
        self.version = (self.version + 1) & 31;
        let service = Service {
            programme: self.settings.programme,
            pmt_pid: PMT_PID,
            provider: "Holdfast",
            name: &self.settings.name,
        };
        let streams: Vec<Announced> = self.mapped.iter().flatten().cloned().collect();
        self.tables = Tables::new(service, self.version, pid, &streams);
    }
}
