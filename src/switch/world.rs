//! A virtual box for tests: workers with latency and the data plane around the switch; [`super::checker`] looks at everything
//! that leaves. One heap, one seeded generator, no real time.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::checker::{Checker, WellWorld};
use super::grid::Grid;
use super::*;
use crate::events::SourceOnAir;
use crate::model::{
    AccessUnit, AudioFormat, Codec, CodecConfig, Condition, Duty, Fault, Finding, FrameRate, InputId, Manual, Media,
    RenditionId, Selection, Track, TrackFormat, VideoFormat, Wall,
};

pub(super) const MS: i64 = 1_000_000;

pub(super) fn ms(ms: i64) -> Media {
    Media(ms * MS)
}

pub(super) fn id(name: &str) -> InputId {
    InputId::new(name).unwrap()
}

pub(super) fn rendition(name: &str) -> RenditionId {
    RenditionId::new(name).unwrap()
}

/// What a worker's encoder is like at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From capture to delivery.
    pub(super) latency: Media,
    /// At most this much more, at random.
    pub(super) jitter: Media,
}

pub(super) struct World {
    pub(super) now: Media,
    pub(super) switch: Switch,
    pub(super) check: Checker,
    pub(super) rng: fastrand::Rng,
    pub(super) events: Vec<(Media, Happened)>,
    pub(super) asked: u64,
    pub(super) duties: BTreeMap<InputId, Duty>,
    /// Workers encode no pictures while they are on standby.
    pub(super) gated: bool,
    settings: SwitchSettings,
    workers: BTreeMap<InputId, Worker>,
    heap: BTreeMap<(Media, u64), Due>,
    sequence: u64,
    plane: Plane,
    /// What an operator wants, as far as the data plane was there to hear it.
    pub(super) manual: Manual,
    clips: Vec<RenditionId>,
    saved: Option<SavedTime>,
}

enum Plane {
    Running,
    /// Killed; restarted at this time.
    Dead(Media),
    /// Stopped until this time, with what its sockets hold meanwhile.
    Stopped(Media, VecDeque<Input>),
}

/// What is to happen in the world.
enum Due {
    Capture { input: InputId, generation: u64, stream: usize, place: i64 },
    Deliver { input: InputId, generation: u64, stream: usize },
}

pub(super) struct Worker {
    generation: u64,
    streams: Vec<Encoder>,
    pub(super) connected: bool,
    /// What it says of its input.
    told: Condition,
    /// Since when nothing has been wrong with it.
    pub(super) healthy_since: Option<Media>,
}

struct Encoder {
    settings: StreamSettings,
    config: Arc<CodecConfig>,
    pace: Pace,
    hung: bool,
    /// The next picture is to be a keyframe.
    force: bool,
    /// After an overflow, or on a new connection: nothing goes out before a keyframe.
    await_key: bool,
    queue: VecDeque<(Media, AccessUnit)>,
}

/// Places a worker buffers before it drops to the next keyframe.
const WORKER_BUFFER: usize = 60;
/// Units the socket towards a stopped data plane holds.
const SOCKET_BUFFER: usize = 40;
const GOP: i64 = 60;

pub(super) fn settings(rate: FrameRate, streams: &[(&str, Codec)], inputs: &[&str]) -> SwitchSettings {
    SwitchSettings {
        rate,
        streams: streams
            .iter()
            .map(|(name, codec)| StreamSettings { rendition: rendition(name), codec: *codec, sound: None })
            .collect(),
        inputs: inputs.iter().map(|name| id(name)).collect(),
        selection: Selection::default(),
        thresholds: Thresholds::default(),
    }
}

pub(super) fn config(codec: Codec, rate: FrameRate, from: &str) -> Arc<CodecConfig> {
    let format = match Grid::of(codec, rate) {
        Grid::Video(_) => TrackFormat::Video(VideoFormat { width: 640, height: 360, rate }),
        Grid::Audio(grid) => TrackFormat::Audio(AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples }),
    };
    // A stream says who it is from; a picture of H.264 can be read, as far as is needed to repeat it.
    let record = if codec == Codec::H264 && from != SLATE { AVCC } else { from.as_bytes() };
    Arc::new(CodecConfig { codec, record: Bytes::copy_from_slice(record), format, bitrate: 1_000_000 })
}

/// Of 128x96 pixels, Constrained Baseline, `pic_order_cnt_type` 2.
const AVCC: &[u8] = &[
    0x01, 0x42, 0xc0, 0x0a, 0xff, 0xe1, 0x00, 0x08, 0x67, 0x42, 0xc0, 0x0a, 0xda, 0x08, 0x36, 0x40, 0x01, 0x00, 0x04,
    0x68, 0xce, 0x38, 0x80,
];
/// The header of an IDR picture's slice, with its length.
const IDR: &[u8] = &[0, 0, 0, 4, 0x65, 0x88, 0x84, 0xc0];
/// A P picture in which everything is skipped, with its length.
const SKIPPED: &[u8] = &[0, 0, 0, 5, 0x41, 0x9a, 0x22, 0x0c, 0x20];

/// What a worker delivers for a place. Its last eight bytes say which it is, and are filler to a decoder.
pub(super) fn payload(codec: Codec, key: bool, place: i64) -> Bytes {
    let picture: &[u8] = match (codec, key) {
        (Codec::H264, true) => IDR,
        (Codec::H264, false) => SKIPPED,
        (Codec::Hevc | Codec::Av1 | Codec::Aac | Codec::Opus, _) => &[],
    };
    Bytes::from([picture, &[0, 0, 0, 9, 0x0c], &place.to_be_bytes()].concat())
}

/// Reads it back.
pub(super) fn place_of(payload: &[u8]) -> i64 {
    i64::from_be_bytes(payload[payload.len() - 8..].try_into().unwrap())
}

impl World {
    pub(super) fn new(settings: SwitchSettings, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let now = ms(rng.i64(5_000..500_000_000));
        let (mut epoch, _) = Epoch::resume(None, "boot", now, wall(now), settings.rate);
        let saved = epoch.due_save(now, wall(now));
        let check = Checker::new(&settings, &epoch);
        Self {
            now,
            switch: Switch::new(settings.clone(), epoch),
            check,
            rng,
            events: Vec::new(),
            asked: 0,
            duties: BTreeMap::new(),
            gated: false,
            settings,
            workers: BTreeMap::new(),
            heap: BTreeMap::new(),
            sequence: 0,
            plane: Plane::Running,
            manual: Manual::Auto,
            clips: Vec::new(),
            saved,
        }
    }

    // What tests do to the world.

    pub(super) fn load_slates(&mut self) {
        for name in self.settings.streams.clone() {
            self.load_slate(name.rendition.as_str());
        }
    }

    pub(super) fn load_slate(&mut self, name: &str) {
        let stream = self.settings.streams.iter().find(|s| s.rendition.as_str() == name).unwrap().clone();
        if !self.clips.contains(&stream.rendition) {
            self.clips.push(stream.rendition.clone());
        }
        if matches!(self.plane, Plane::Running) {
            self.load(&stream);
        }
    }

    fn load(&mut self, stream: &StreamSettings) {
        let units = (0..if stream.codec.is_video() { 30 } else { 1 }).map(|n: u8| Bytes::from(vec![n])).collect();
        let config = config(stream.codec, self.settings.rate, "slate");
        self.check.streams.get_mut(&stream.rendition).unwrap().clip_since.get_or_insert(self.now);
        self.switch.load_slate(SlateClip { rendition: stream.rendition.clone(), config, units }, self.now).unwrap();
        self.drain();
    }

    /// Starts a worker, which connects at once and captures from its next grid places on.
    pub(super) fn start(&mut self, name: &str, pace: Pace) {
        let input = id(name);
        let generation = self.workers.get(&input).map_or(0, |w| w.generation + 1);
        let rate = self.settings.rate;
        let streams: Vec<_> = self
            .settings
            .streams
            .iter()
            .map(|s| Encoder {
                config: config(s.codec, rate, name),
                settings: s.clone(),
                pace,
                hung: false,
                force: true,
                await_key: true,
                queue: VecDeque::new(),
            })
            .collect();
        for (stream, encoder) in streams.iter().enumerate() {
            let place = Grid::of(encoder.settings.codec, rate).at_or_before(self.now) + 1;
            let at = Grid::of(encoder.settings.codec, rate).time_of(place);
            self.schedule(at, Due::Capture { input: input.clone(), generation, stream, place });
        }
        let connected = !matches!(self.plane, Plane::Dead(_));
        let healthy_since = Some(self.now);
        self.workers
            .insert(input.clone(), Worker { generation, streams, connected, told: Condition::GOOD, healthy_since });
        self.signal(Input::Connected { input });
    }

    /// SIGKILL: the socket closes at once.
    pub(super) fn kill(&mut self, name: &str) {
        let input = id(name);
        let Some(worker) = self.workers.get_mut(&input) else { return };
        worker.generation += 1;
        worker.streams.clear();
        worker.healthy_since = None;
        if std::mem::take(&mut worker.connected) {
            self.signal(Input::Lost { input, why: "end of file".into() });
        }
    }

    /// SIGSTOP: it goes on capturing into its buffers, as kernels do, and delivers nothing.
    pub(super) fn stop(&mut self, name: &str) {
        self.hang(name, |_| true);
    }

    /// One encoder of it hangs.
    pub(super) fn hang(&mut self, name: &str, which: impl Fn(&StreamSettings) -> bool) {
        if let Some(worker) = self.workers.get_mut(&id(name)) {
            worker.healthy_since = None;
            worker.streams.iter_mut().filter(|e| which(&e.settings)).for_each(|e| e.hung = true);
        }
    }

    /// SIGCONT: everything that hung goes on, its backlog first.
    pub(super) fn resume(&mut self, name: &str) {
        let input = id(name);
        let Some(worker) = self.workers.get_mut(&input) else { return };
        worker.healthy_since = Some(self.now);
        let generation = worker.generation;
        let mut wakes = Vec::new();
        for (stream, encoder) in worker.streams.iter_mut().enumerate().filter(|(_, e)| e.hung) {
            encoder.hung = false;
            for n in 0..encoder.queue.len() {
                wakes.push((self.now + ms(i64::try_from(n).unwrap() + 1), stream));
            }
        }
        for (at, stream) in wakes {
            self.schedule(at, Due::Deliver { input: input.clone(), generation, stream });
        }
    }

    /// The data plane did not take its units in time: it drops to the next keyframe.
    pub(super) fn overflow(&mut self, name: &str, which: impl Fn(&StreamSettings) -> bool) {
        if let Some(worker) = self.workers.get_mut(&id(name)) {
            worker.healthy_since = worker.healthy_since.map(|_| self.now);
            worker.streams.iter_mut().filter(|e| which(&e.settings)).for_each(Encoder::overflow);
        }
    }

    pub(super) fn set_pace(&mut self, name: &str, pace: Pace) {
        if let Some(worker) = self.workers.get_mut(&id(name)) {
            worker.healthy_since = worker.healthy_since.map(|_| self.now);
            worker.streams.iter_mut().for_each(|e| e.pace = pace);
        }
    }

    /// SIGKILL of the data plane, started again after `down`.
    pub(super) fn kill_plane(&mut self, down: Media) {
        if matches!(self.plane, Plane::Running) {
            self.plane = Plane::Dead(self.now + down);
            self.workers.values_mut().for_each(|w| w.connected = false);
        }
    }

    /// SIGSTOP of the data plane, SIGCONT after `down`.
    pub(super) fn stop_plane(&mut self, down: Media) {
        if matches!(self.plane, Plane::Running) {
            self.plane = Plane::Stopped(self.now + down, VecDeque::new());
        }
    }

    /// What a worker says of its input.
    pub(super) fn tell(&mut self, name: &str, faults: &[Fault]) {
        let input = id(name);
        let finding = |fault: &Fault| Finding { fault: *fault, evidence: format!("proof of {fault}") };
        let condition = Condition::new(faults.iter().map(finding).collect());
        if let Some(worker) = self.workers.get_mut(&input).filter(|w| !w.streams.is_empty()) {
            worker.told = condition.clone();
            worker.healthy_since = worker.healthy_since.map(|_| self.now);
            self.signal(Input::Condition { input, condition });
        }
    }

    /// What an operator asks for.
    pub(super) fn choose(&mut self, manual: Manual) {
        if !matches!(self.plane, Plane::Dead(_)) {
            self.manual = manual.clone();
            self.signal(Input::Choose(manual));
        }
    }

    /// Other rules.
    pub(super) fn select(&mut self, selection: Selection) {
        self.settings.selection = selection.clone();
        self.check.sound = selection.sound.clone();
        self.signal(Input::Select(selection));
    }

    /// Lets `time` pass.
    pub(super) fn run(&mut self, time: Media) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until `done`, at most 10 s.
    pub(super) fn run_until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = self.now + ms(10_000);
        while !done(self) {
            assert!(self.step(end), "10 s passed and still not: {what}");
        }
    }

    pub(super) fn source(&self) -> SourceOnAir {
        self.switch.snapshot(self.now).source
    }

    pub(super) fn is_live(&self, name: &str) -> bool {
        self.source() == SourceOnAir::Input(id(name))
    }

    /// From which input a stream's last unit came.
    pub(super) fn last_from(&self, name: &str) -> Option<&str> {
        self.check.streams.get(&rendition(name)).unwrap().last.as_ref().map(|l| l.input.as_str())
    }

    // The machinery.

    fn schedule(&mut self, at: Media, due: Due) {
        self.sequence += 1;
        self.heap.insert((at, self.sequence), due);
    }

    /// The next thing that happens before `end`; false if nothing does.
    fn step(&mut self, end: Media) -> bool {
        let happening = self.heap.first_key_value().map(|(k, _)| k.0);
        let plane = match &self.plane {
            Plane::Running => self.switch.poll_timeout().map(|(at, _)| at),
            Plane::Dead(until) | Plane::Stopped(until, _) => Some(*until),
        };
        let Some(at) = [happening, plane].into_iter().flatten().min().filter(|at| *at <= end) else { return false };
        self.now = self.now.max(at);
        if happening == Some(at) {
            let (_, due) = self.heap.pop_first().unwrap();
            match due {
                Due::Capture { input, generation, stream, place } => self.capture(&input, generation, stream, place),
                Due::Deliver { input, generation, stream } => self.deliver(&input, generation, stream),
            }
        } else {
            match std::mem::replace(&mut self.plane, Plane::Running) {
                Plane::Running => self.give(Input::Timeout),
                Plane::Dead(_) => self.restart_plane(),
                Plane::Stopped(_, socket) => {
                    self.check.stood_still(self.now);
                    for input in socket {
                        self.give(input);
                    }
                    self.give(Input::Timeout);
                }
            }
        }
        true
    }

    fn capture(&mut self, input: &InputId, generation: u64, stream: usize, place: i64) {
        let rate = self.settings.rate;
        let Some(worker) = self.workers.get_mut(input).filter(|w| w.generation == generation) else { return };
        let encoder = &mut worker.streams[stream];
        let grid = Grid::of(encoder.settings.codec, rate);
        let video = encoder.settings.codec.is_video();
        let key = !video || place % GOP == 0 || std::mem::take(&mut encoder.force);
        let unit = AccessUnit {
            input: input.clone(),
            rendition: encoder.settings.rendition.clone(),
            track: if video { Track::Video } else { Track::Audio },
            pts: grid.time_of(place),
            dts: grid.time_of(place),
            key,
            config: encoder.config.clone(),
            payload: payload(encoder.settings.codec, key, place),
        };
        let extra = Media(self.rng.i64(0..=encoder.pace.jitter.0));
        let queued = encoder.queue.back().map_or(Media(i64::MIN), |(at, _)| *at);
        let ready = (self.now + encoder.pace.latency + extra).max(queued);
        if encoder.queue.len() >= WORKER_BUFFER {
            encoder.overflow();
        }
        let gate = self.duties.get(input).copied().filter(|_| self.gated && video).unwrap_or(Duty::OnAir);
        if gate == Duty::Warm {
            (encoder.await_key, encoder.force) = (true, true);
        } else if key || !encoder.await_key {
            encoder.await_key = false;
            encoder.queue.push_back((ready, unit));
            self.schedule(ready, Due::Deliver { input: input.clone(), generation, stream });
        }
        self.schedule(
            grid.time_of(place + 1),
            Due::Capture { input: input.clone(), generation, stream, place: place + 1 },
        );
    }

    fn deliver(&mut self, input: &InputId, generation: u64, stream: usize) {
        let Some(worker) = self.workers.get_mut(input).filter(|w| w.generation == generation) else { return };
        let connected = worker.connected;
        let encoder = &mut worker.streams[stream];
        if encoder.hung || encoder.queue.front().is_none_or(|(ready, _)| *ready > self.now) {
            return;
        }
        let Some((_, unit)) = encoder.queue.pop_front() else { return };
        match &mut self.plane {
            Plane::Running if connected => self.give(Input::Unit(unit)),
            Plane::Stopped(_, socket) if connected && socket.len() < SOCKET_BUFFER => {
                socket.push_back(Input::Unit(unit));
            }
            Plane::Running | Plane::Stopped(..) | Plane::Dead(_) => encoder.overflow(),
        }
    }

    fn restart_plane(&mut self) {
        let rate = self.settings.rate;
        let (epoch, how) = Epoch::resume(self.saved.as_ref(), "boot", self.now, wall(self.now), rate);
        assert!(self.saved.is_none() || how == How::SameBoot);
        self.check.restart(&epoch);
        (self.manual, self.duties) = (Manual::Auto, BTreeMap::new());
        self.switch = Switch::new(self.settings.clone(), epoch);
        for name in self.clips.clone() {
            let stream = self.settings.streams.iter().find(|s| s.rendition == name).unwrap().clone();
            self.load(&stream);
        }
        let alive: Vec<_> =
            self.workers.iter().filter(|(_, w)| !w.streams.is_empty()).map(|(input, _)| input.clone()).collect();
        for input in alive {
            let worker = self.workers.get_mut(&input).unwrap();
            worker.connected = true;
            worker.healthy_since = worker.healthy_since.map(|_| self.now);
            worker.streams.iter_mut().for_each(Encoder::overflow);
            let condition = worker.told.clone();
            self.give(Input::Connected { input: input.clone() });
            self.give(Input::Condition { input, condition });
        }
    }

    /// Something the kernel tells the data plane as soon as it runs.
    fn signal(&mut self, input: Input) {
        match &mut self.plane {
            Plane::Running => self.give(input),
            Plane::Stopped(_, socket) => socket.push_back(input),
            Plane::Dead(_) => {}
        }
    }

    fn give(&mut self, input: Input) {
        if let Input::Unit(unit) = &input {
            self.check.delivered(unit, self.now);
        }
        self.switch.handle(input, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        let mut outputs = 0;
        while let Some(output) = self.switch.poll_output() {
            outputs += 1;
            match output {
                Output::Unit(unit) => {
                    let open = self.duties.get(&unit.input) != Some(&Duty::Warm);
                    assert!(open || unit.track == Track::Audio, "{}'s gate was closed on air", unit.input);
                    self.check.unit(&unit, self.now);
                }
                Output::ForceKeyframe { input, rendition } => {
                    self.asked += 1;
                    assert_eq!(self.duties.get(&input), Some(&Duty::OnAir), "a keyframe of a closed gate");
                    let worker = self.workers.get_mut(&input).unwrap();
                    for encoder in worker.streams.iter_mut().filter(|e| e.settings.rendition == rendition) {
                        encoder.force = true;
                    }
                }
                Output::Duty { input, duty } => {
                    self.duties.insert(input, duty);
                }
                Output::Event(event) => {
                    self.check.event(&event, self.now);
                    self.events.push((self.now, event));
                }
            }
        }
        let most = 1200 * self.settings.streams.len();
        assert!(outputs <= most, "{outputs} outputs at once");
        if let Some((at, why)) = self.switch.poll_timeout() {
            assert!(at > self.now, "asks to be woken at once again for: {why}");
        }
        self.check.nothing_is_owed(self.now);
        if std::env::var_os("HOLDFAST_TRACE").is_some() {
            for (at, event) in self.events.drain(..) {
                println!("{:>9.3} {event:?}", at.0 as f64 / 1e9);
            }
        }
        let well =
            |i: &InputId| self.workers.get(i).filter(|w| w.connected && w.told.is_good()).and_then(|w| w.healthy_since);
        let world = WellWorld { well: self.settings.inputs.iter().map(well).collect(), manual: &self.manual };
        self.check.the_well_are_live(&world, self.now);
        if let Some(saved) = self.switch.due_save(self.now, wall(self.now)) {
            self.saved = Some(SavedTime::parse(&saved.to_json()).unwrap());
        }
    }
}

impl Encoder {
    /// Drops what is queued, and what comes before the next keyframe.
    fn overflow(&mut self) {
        self.queue.clear();
        self.await_key = true;
        self.force = true;
    }
}

fn wall(now: Media) -> Wall {
    Wall(1_700_000_000_000_000 + now.0 / 1000)
}
