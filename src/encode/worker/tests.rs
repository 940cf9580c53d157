//! The worker as the data plane sees it: real encoders, a real socket, every unit accounted for.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use bytes::BytesMut;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

use super::*;
use crate::capture::blockcode;
use crate::config::Source;
use crate::encode::session::{Intake, Session};
use crate::events::WorkerReport;
use crate::model::{AccessUnit, AudioGrid, Codec, Media, TruthSettings, VideoGrid};

pub(super) const RATE: FrameRate = FrameRate::whole(30);

pub(super) fn rendition(name: &str, (width, height): (u32, u32), bitrate: u32) -> RenditionSettings {
    RenditionSettings {
        id: RenditionId::new(name).unwrap(),
        codec: Codec::H264,
        width,
        height,
        bitrate,
        keyframe_interval: Duration::from_secs(1),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: Codec::Aac, bitrate: 96_000 },
    }
}

/// A worker on a thread, and the data plane's end of its socket.
pub(super) struct Rig {
    pub(super) dir: tempfile::TempDir,
    listener: UnixListener,
    asked: mpsc::Sender<ChildCommand>,
    pub(super) reports: std::sync::mpsc::Receiver<ChildMessage>,
    thread: Option<JoinHandle<Result<(), WorkerError>>>,
}

/// One connection of the worker.
pub(super) struct Plane {
    socket: UnixStream,
    session: Session,
    buffer: BytesMut,
}

impl Rig {
    pub(super) fn start(source: Source, renditions: Vec<RenditionSettings>, audio: Vec<AudioSettings>) -> Self {
        Self::start_judged(source, TruthSettings::DECODED, renditions, audio)
    }

    fn start_judged(
        source: Source,
        truth: TruthSettings,
        renditions: Vec<RenditionSettings>,
        audio: Vec<AudioSettings>,
    ) -> Self {
        Self::start_with(source, truth, renditions, audio, StandbyMode::Warm)
    }

    pub(super) fn start_with(
        source: Source,
        truth: TruthSettings,
        renditions: Vec<RenditionSettings>,
        audio: Vec<AudioSettings>,
        standby: StandbyMode,
    ) -> Self {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("media.sock")).unwrap();
        let setup = WorkerSetup {
            input: InputSettings { id: InputId::new("cam").unwrap(), source, truth },
            frame_rate: RATE,
            renditions,
            audio,
            media_socket: dir.path().join("media.sock"),
            probe_cache: dir.path().join("probe.json"),
            thumbnail: dir.path().join("thumbnails/cam.jpg"),
            standby,
            board: board::Unknown::shared(),
            choose: |job, choice, _| {
                if let EncoderChoice::Family(family) = choice {
                    return Ok(family.clone());
                }
                let family = match job.codec {
                    Codec::Hevc => "x265",
                    Codec::Av1 => "aom",
                    Codec::H264 | Codec::Aac | Codec::Opus => "x264",
                };
                Ok(Name::new(family).unwrap())
            },
        };
        let (asked, commands) = mpsc::channel(4);
        let (said, reports) = std::sync::mpsc::sync_channel(10_000);
        let say: Say = Box::new(move |message| {
            let _ = said.try_send(message);
        });
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(run(setup, say, commands)).inspect_err(|e| println!("the worker ended: {e}"))
        });
        Self { dir, listener, asked, reports, thread: Some(thread) }
    }

    /// On air.
    pub(super) fn accept(&self) -> Plane {
        let mut plane = self.accept_on_standby();
        plane.wish(&ToWorker::SetGate { gate: Gate::Open });
        plane
    }

    pub(super) fn accept_on_standby(&self) -> Plane {
        let (socket, _) = self.listener.accept().unwrap();
        Plane { socket, session: Session::AwaitingHello, buffer: BytesMut::new() }
    }

    /// Ends the worker and looks at what is left before all of it goes.
    pub(super) fn stop_and_look<T>(mut self, look: impl FnOnce() -> T) -> T {
        self.end();
        look()
    }

    fn end(&mut self) {
        self.asked.blocking_send(ChildCommand::Stop).unwrap();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    /// Ends the worker and returns its last report.
    pub(super) fn stop(mut self) -> WorkerReport {
        self.end();
        let worker = |m| if let ChildMessage::Worker(report) = m { Some(report) } else { None };
        self.reports.try_iter().filter_map(worker).last().expect("a report every 500 ms")
    }
}

impl Plane {
    pub(super) fn wish(&mut self, wish: &ToWorker) {
        let mut out = BytesMut::new();
        wish.encode(&mut out);
        self.socket.write_all(&out).unwrap();
    }

    fn next(&mut self) -> Intake {
        loop {
            if let Some(intake) = self.session.next(&mut self.buffer).unwrap() {
                return intake;
            }
            let mut chunk = [0; 65536];
            let n = self.socket.read(&mut chunk).unwrap();
            assert_ne!(n, 0, "the worker hung up");
            self.buffer.extend_from_slice(&chunk[..n]);
        }
    }

    /// Reads until the input's condition is as `wanted`; the evidence of what is wrong first of all.
    pub(super) fn told(&mut self, wanted: &str) -> String {
        let mut heard = Vec::new();
        // A unit for each of 30 pictures a second: some 100 s.
        for _ in 0..3000 {
            if let Intake::Condition(condition) = self.next() {
                if condition.to_string() == wanted {
                    return condition.findings().first().map_or_else(String::new, |finding| finding.evidence.clone());
                }
                heard.push(condition.to_string());
            }
        }
        panic!("it was never {wanted}, but {heard:?}")
    }

    /// Reads until `enough` says so of what has come per rendition.
    pub(super) fn until(
        &mut self,
        enough: impl Fn(&BTreeMap<String, Vec<AccessUnit>>) -> bool,
    ) -> BTreeMap<String, Vec<AccessUnit>> {
        let mut units: BTreeMap<String, Vec<AccessUnit>> = BTreeMap::new();
        while !enough(&units) {
            if let Intake::Unit(unit) = self.next() {
                units.entry(unit.rendition.to_string()).or_default().push(unit);
            }
        }
        units
    }
}

pub(super) fn places(units: &[AccessUnit], grid: VideoGrid) -> Vec<i64> {
    let place = |u: &AccessUnit| {
        let n = grid.nearest(u.pts);
        assert_eq!((u.pts, u.dts), (grid.time_of(n), grid.time_of(n)), "off the grid");
        n
    };
    units.iter().map(place).collect()
}

fn sound_places(units: &[AccessUnit], grid: AudioGrid) -> Vec<i64> {
    let place = |u: &AccessUnit| {
        let k = grid.nearest(u.pts);
        assert_eq!(u.pts, grid.time_of(k), "off the grid");
        k
    };
    units.iter().map(place).collect()
}

pub(super) fn assert_each_once(places: &[i64], what: &str) {
    for pair in places.windows(2) {
        assert_eq!(pair[1], pair[0] + 1, "{what}: a place is missing or came twice");
    }
}

/// What an independent decoder makes of the units: luma planes with stride and size, or samples.
fn decode(units: &[AccessUnit], caps: &str, decoder: &str, raw: &str) -> Vec<gst::Sample> {
    let description = format!("appsrc name=in format=time ! {decoder} ! appsink name=out caps={raw} sync=false");
    let pipeline = gst::parse::launch(&description).unwrap().downcast::<gst::Pipeline>().unwrap();
    let input = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    let output = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    let record = gst::Buffer::from_slice(units[0].config.record.clone());
    let mut caps: gst::Caps = caps.parse().unwrap();
    caps.make_mut().set("codec_data", record);
    input.set_caps(Some(&caps));
    pipeline.set_state(gst::State::Playing).unwrap();
    for unit in units {
        let mut buffer = gst::Buffer::from_slice(unit.payload.clone());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_nseconds(unit.pts.as_nanos().unsigned_abs()));
        input.push_buffer(buffer).unwrap();
    }
    input.end_of_stream().unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = output.pull_sample() {
        samples.push(sample);
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(!samples.is_empty(), "nothing could be decoded");
    samples
}

/// Each decoded picture as its place and what `look` makes of luma, stride, width and height.
pub(super) fn decoded<T>(units: &[AccessUnit], look: impl Fn(&[u8], usize, usize, usize) -> T) -> Vec<(i64, T)> {
    let caps = "video/x-h264,stream-format=avc,alignment=au";
    decode(units, caps, "avdec_h264 max-threads=1 ! videoconvert", "video/x-raw,format=GRAY8")
        .iter()
        .map(|sample| {
            let info = gstreamer_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
            let map = sample.buffer().unwrap().map_readable().unwrap();
            let stride = usize::try_from(info.stride()[0]).unwrap();
            let pts = Media::from_duration(sample.buffer().unwrap().pts().unwrap().into());
            (VideoGrid(RATE).nearest(pts), look(&map, stride, info.width() as usize, info.height() as usize))
        })
        .collect()
}

/// The sample number, counted from the origin of the clock, at which each decoded run of sound starts to be loud.
fn decoded_onsets(units: &[AccessUnit]) -> Vec<i64> {
    let (caps, decoder, grid) = if units[0].config.codec == Codec::Aac {
        ("audio/mpeg,mpegversion=4,stream-format=raw,rate=48000,channels=2", "avdec_aac ! audioconvert", AudioGrid::AAC)
    } else {
        ("audio/x-opus,channel-mapping-family=0,rate=48000,channels=2", "avdec_opus ! audioconvert", AudioGrid::OPUS)
    };
    let raw = "audio/x-raw,format=S16LE,channels=2,layout=interleaved";
    let mut levels = Vec::new();
    for sample in decode(units, caps, decoder, raw) {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        levels.extend(map.chunks_exact(4).map(|s| i16::from_le_bytes([s[0], s[1]]).unsigned_abs()));
    }
    // Concatenated, so that the first decoded sample is the first unit's whatever times the decoder made up.
    // libav's Opus decoder leaves out the pre-skip at the beginning.
    let skipped = if units[0].config.codec == Codec::Opus { 312 } else { 0 };
    let first = grid.nearest(units[0].pts) * i64::from(grid.samples) + skipped;
    let loud = |i: &usize| levels[*i] > 5000 && levels[i.saturating_sub(4800)..*i].iter().all(|l| *l < 5000);
    (4800..levels.len()).filter(loud).map(|i| first + i64::try_from(i).unwrap()).collect()
}

#[test]
fn every_place_of_the_grid_is_encoded_once_and_shows_its_own_number() {
    let renditions = vec![rendition("main", (320, 180), 300_000), rendition("small", (160, 90), 50_000)];
    let audio = vec![
        AudioSettings { codec: Codec::Aac, bitrate: 96_000 },
        AudioSettings { codec: Codec::Opus, bitrate: 64_000 },
    ];
    let rig = Rig::start(Source::Pattern { noise: false }, renditions, audio);
    let mut plane = rig.accept();

    let units = plane.until(|u| u.len() == 4 && u.values().all(|u| u.len() >= 100));
    // A second data plane instead of the first: everything begins anew, at a keyframe.
    drop(plane);
    let again = rig.accept().until(|u| u.get("main").is_some_and(|u| u.len() >= 10));
    let report = rig.stop();

    for name in ["main", "small"] {
        let places = places(&units[name], VideoGrid(RATE));
        assert_each_once(&places, name);
        assert!(units[name][0].key, "{name} begins in the middle of a group");
        for (unit, n) in units[name].iter().zip(&places) {
            assert!(n % 30 != 0 || unit.key, "{name}: place {n} is not a keyframe");
        }
        let pictures = decoded(&units[name], blockcode::read);
        assert_eq!(pictures.len(), places.len(), "{name}");
        for (n, number) in pictures {
            assert_eq!(number, Some(n.unsigned_abs()), "{name}: the picture of place {n}");
        }
    }
    assert_each_once(&sound_places(&units["aac-96k"], AudioGrid::AAC), "AAC");
    assert_each_once(&sound_places(&units["opus-64k"], AudioGrid::OPUS), "Opus");
    for name in ["aac-96k", "opus-64k"] {
        let onsets = decoded_onsets(&units[name]);
        assert!(!onsets.is_empty(), "{name}: no beep");
        for onset in onsets {
            let off = (onset + 24_000).rem_euclid(48_000) - 24_000;
            assert!((-48..=48).contains(&off), "{name}: the beep is {off} samples off the second");
        }
    }
    let again = &again["main"];
    assert!(again[0].key && again[0].pts > units["main"].last().unwrap().pts, "the second connection");
    assert_each_once(&places(again, VideoGrid(RATE)), "the second connection");
    assert_eq!(report.streams.len(), 4, "each encode once, however many outputs");
    assert!(report.has_picture && report.streams.iter().all(|s| s.encoded >= 100), "{report:?}");
}

/// A white and a black second, 320x180 at 30 fps, with a tick at the beginning of each.
pub(super) fn clip(path: &Path, sound: bool) {
    gst::init().unwrap();
    let half = |pattern| {
        format!("videotestsrc num-buffers=30 pattern={pattern} ! video/x-raw,width=320,height=180,framerate=30/1")
    };
    let audio = "audiotestsrc wave=ticks samplesperbuffer=480 num-buffers=190 ! audio/x-raw,rate=48000,channels=2 \
                 ! avenc_aac ! mux.";
    let description = format!(
        "concat name=halves ! x264enc tune=zerolatency speed-preset=ultrafast ! h264parse ! mp4mux name=mux \
         ! filesink location={} {} ! halves. {} ! halves. {}",
        path.display(),
        half("white"),
        half("black"),
        if sound { audio } else { "" }
    );
    let pipeline = gst::parse::launch(&description).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let done = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::NONE, &done).unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "the clip could not be made");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_file_plays_round_and_round_without_a_hole_in_picture_or_sound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip with space.mp4");
    clip(&dir.path().join("clip.mp4"), true);
    std::fs::rename(dir.path().join("clip.mp4"), &path).unwrap();
    let audio = vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }];
    let rig = Rig::start(Source::File { path }, vec![rendition("main", (320, 180), 300_000)], audio);

    let units = rig.accept().until(|u| u.get("main").is_some_and(|u| u.len() >= 150));
    let report = rig.stop();

    assert_each_once(&places(&units["main"], VideoGrid(RATE)), "picture");
    assert_each_once(&sound_places(&units["aac-96k"], AudioGrid::AAC), "sound");
    let ticks = decoded_onsets(&units["aac-96k"]);
    assert!(ticks.len() >= 3, "ticks at {ticks:?}");
    for pair in ticks.windows(2) {
        let off = pair[1] - pair[0] - 48_000;
        assert!(off.abs() < 2000, "{off} samples of sound were lost or added: {ticks:?}");
    }
    let white = |luma: &[u8], stride: usize, width: usize, height: usize| luma[stride * height / 2 + width / 2] > 128;
    let pictures = decoded(&units["main"], white);
    let turned_white = pictures.windows(2).filter(|w| w[1].1 && !w[0].1).map(|w| w[1].0);
    let seconds: Vec<i64> = turned_white.map(|n| VideoGrid(RATE).time_of(n).to_ticks(48_000)).collect();
    assert!(!seconds.is_empty());
    for at in seconds.into_iter().filter(|at| (ticks[0] - 4800..=ticks[ticks.len() - 1] + 4800).contains(at)) {
        let off = ticks.iter().map(|tick| tick - at).min_by_key(|off| off.abs()).unwrap();
        // The clip's own encoder put its sound 1024 samples late; a picture is 1600 samples long.
        assert!((-800..=2600).contains(&off), "sound is {off} samples after its picture");
    }
    // On a busy machine a picture may come after its place: the one before it is repeated, and it is dropped. A hole has more
    // of one kind.
    assert!(report.repeated.abs_diff(report.dropped) <= 10, "{report:?}");
    assert!(report.signal.starts_with("320x180 30 fps, file "), "{report:?}");
}

#[test]
fn a_file_without_sound_is_silent_and_one_that_is_missing_gives_no_picture_until_it_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.mp4");
    let audio = vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }];
    let rig = Rig::start(Source::File { path: path.clone() }, vec![rendition("main", (320, 180), 300_000)], audio);
    let mut plane = rig.accept();

    let before = plane.until(|u| u.get("aac-96k").is_some_and(|u| u.len() >= 50));
    clip(&dir.path().join("clip.mp4"), false);
    std::fs::rename(dir.path().join("clip.mp4"), &path).unwrap();
    let after = plane.until(|u| u.get("main").is_some_and(|u| u.len() >= 30));
    let report = rig.stop();

    assert!(!before.contains_key("main"), "a picture was invented");
    assert_each_once(&sound_places(&before["aac-96k"], AudioGrid::AAC), "silence");
    assert!(after["main"][0].key);
    assert_each_once(&places(&after["main"], VideoGrid(RATE)), "picture");
    assert_each_once(&sound_places(&after["aac-96k"], AudioGrid::AAC), "silence");
    assert!(report.has_picture && report.signal.starts_with("320x180"), "{report:?}");
}

#[test]
fn what_is_wrong_with_a_file_is_told_to_the_data_plane_and_again_to_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("later.mp4");
    let half = Some(Duration::from_millis(500));
    let mut truth = TruthSettings::DECODED;
    (truth.frozen.after, truth.black.after) = (half, half);
    let audio = vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }];
    let rig = Rig::start_judged(
        Source::File { path: path.clone() },
        truth,
        vec![rendition("main", (320, 180), 300_000)],
        audio,
    );
    let mut plane = rig.accept();

    assert_eq!(plane.told("good"), "", "nothing is known yet");
    let evidence = plane.told("encoder");
    assert!(evidence.contains("later.mp4"), "{evidence}");
    plane.told("encoder, stalled");
    drop(plane);
    let mut plane = rig.accept();
    plane.told("encoder, stalled");
    clip(&dir.path().join("clip.mp4"), true);
    std::fs::rename(dir.path().join("clip.mp4"), &path).unwrap();
    plane.told("good");
    let frozen = plane.told("frozen");
    assert!(frozen.starts_with("unchanged for 0.5 s (mean difference 0.0"), "{frozen}");
    let black = plane.told("black");
    assert!(black.starts_with("black for 0.5 s (100.0 % of the pixels, mean level 1"), "{black}");
    plane.told("good");
    rig.stop();
}

#[test]
fn every_codec_begins_with_a_keyframe_and_makes_another_when_asked() {
    let of = |codec: Codec| {
        let name = codec.label().to_lowercase().replace('.', "");
        RenditionSettings { codec, keyframe_interval: Duration::from_secs(600), ..rendition(&name, (160, 90), 100_000) }
    };
    let renditions = [Codec::H264, Codec::Hevc, Codec::Av1].map(of);
    let rig = Rig::start(Source::Pattern { noise: false }, renditions.to_vec(), Vec::new());
    let mut plane = rig.accept();
    let first = plane.until(|u| u.len() == 3 && u.values().all(|u| u.len() >= 15));
    let mut wish = BytesMut::new();
    ToWorker::ForceKeyframe { rendition: None }.encode(&mut wish);
    for rendition in &renditions {
        ToWorker::SetBitrate { rendition: rendition.id.clone(), bitrate: 80_000 }.encode(&mut wish);
    }

    plane.socket.write_all(&wish).unwrap();

    // Units that were on their way come first.
    let asked = |u: &AccessUnit| u.key;
    let then = plane.until(|u| u.len() == 3 && u.values().all(|u| u.iter().any(asked) || u.len() > 200));
    rig.stop();
    for (name, units) in &first {
        assert!(units[0].key, "{name} begins in the middle of a group");
        let all: Vec<AccessUnit> = units.iter().chain(&then[name]).cloned().collect();
        assert_each_once(&places(&all, VideoGrid(RATE)), name);
        assert!(then[name].iter().any(asked), "{name}: no keyframe came within 200 pictures of the wish");
    }
}
