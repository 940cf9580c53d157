//! The MPEG-TS muxer and demuxer beside FFmpeg and GStreamer: they must decode what we mux, picture for picture, and we
//! must read what FFmpeg muxes. AV1 neither decodes out of a transport stream, so there FFmpeg's copy of the elementary
//! stream is compared.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "scenarios/support/tools.rs"]
#[allow(dead_code, unreachable_pub)]
mod tools;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use holdfast::model::{
    AccessUnit, AudioFormat, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat, VideoGrid,
};
use holdfast::mux::canonical::Canonicaliser;
use holdfast::mux::nal::{self, Framing};
use holdfast::mux::ts::{Demuxer, Muxer, Output, Settings, Source, Taken};
use holdfast::mux::{avc, hevc};

const START: Media = Media::from_millis(1000);

/// Runs FFmpeg; its standard output, and what it complained of.
fn ffmpeg(arguments: &[&str]) -> (Vec<u8>, String) {
    let output = tools::ffmpeg().args(arguments).stdin(Stdio::null()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {complaints}");
    (output.stdout, complaints)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn source(rate: Option<FrameRate>) -> Source {
    Source {
        input: InputId::new("file").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        programme: None,
        rate,
        video_bitrate: 0,
        audio_bitrate: 0,
    }
}

/// Encodes three seconds of a moving test card or of a tone. Returns the encoder's bytes in `format`.
fn encode(dir: &Path, name: &str, arguments: &[&str]) -> Bytes {
    let file = dir.join(name);
    let picture = "testsrc2=size=320x180:rate=30:duration=3";
    let sound = "sine=frequency=440:sample_rate=48000:duration=3";
    let mut command = vec!["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound];
    command.extend_from_slice(arguments);
    command.extend_from_slice(&["-y", text(&file)]);
    ffmpeg(&command);
    std::fs::read(&file).unwrap().into()
}

const X264: &[&str] = &["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-bf", "0"];
const X265: &[&str] =
    &["-map", "0:v", "-c:v", "libx265", "-preset", "ultrafast", "-g", "30", "-x265-params", "log-level=none:bframes=0"];
const AAC: &[&str] = &["-map", "1:a", "-ac", "2", "-c:a", "aac", "-b:a", "96k"];
const OPUS: &[&str] = &["-map", "1:a", "-ac", "2", "-c:a", "libopus", "-b:a", "96k", "-f", "ogg"];

/// Access units of an Annex B stream: each begins with a delimiter or the first parameter set, and holds one picture.
fn annex_b(data: &Bytes, codec: Codec) -> Vec<Bytes> {
    let first_slice = |unit: &[u8]| match codec {
        Codec::H264 => avc::is_picture(avc::unit_type(unit[0])).then(|| unit[1] & 0x80 != 0),
        Codec::Hevc | Codec::Av1 | Codec::Aac | Codec::Opus => {
            hevc::is_picture(hevc::unit_type(unit[0])).then(|| unit[2] & 0x80 != 0)
        }
    };
    let (mut units, mut begin, mut end, mut has_picture) = (Vec::new(), 0, 0, false);
    for range in nal::ranges(data, Framing::AnnexB) {
        let range = range.unwrap();
        let slice = first_slice(&data[range.clone()]);
        if has_picture && slice != Some(false) {
            units.push(data.slice(begin..end));
            (begin, has_picture) = (end, false);
        }
        has_picture |= slice.is_some();
        end = range.end;
    }
    units.push(data.slice(begin..));
    units
}

fn adts(data: &Bytes) -> Vec<Bytes> {
    let (mut rest, mut frames) = (data.clone(), Vec::new());
    while rest.len() > 6 {
        let length = usize::from(rest[3] & 3) << 11 | usize::from(rest[4]) << 3 | usize::from(rest[5]) >> 5;
        frames.push(rest.split_to(length));
    }
    frames
}

/// The packets of an Ogg file (RFC 3533), without the two headers of Opus.
fn ogg(data: &Bytes) -> Vec<Bytes> {
    let (mut packets, mut packet, mut at) = (Vec::new(), Vec::new(), 0);
    while at + 27 <= data.len() {
        let segments = &data[at + 27..][..usize::from(data[at + 26])];
        at += 27 + segments.len();
        for length in segments {
            packet.extend_from_slice(&data[at..][..usize::from(*length)]);
            at += usize::from(*length);
            if *length < 255 {
                packets.push(Bytes::from(std::mem::take(&mut packet)));
            }
        }
    }
    packets.split_off(2)
}

/// Temporal units: each begins with a delimiter.
fn temporal_units(data: &Bytes) -> Vec<Bytes> {
    let obus: Vec<_> = holdfast::mux::av1::obus(data).map(Result::unwrap).collect();
    let mut begins: Vec<usize> = obus.iter().filter(|obu| obu.obu_type == 2).map(|obu| obu.whole.start).collect();
    begins.push(data.len());
    begins.windows(2).map(|pair| data.slice(pair[0]..pair[1])).collect()
}

/// The encoder's buffers in canonical form on the grid.
fn canonical(codec: Codec, buffers: Vec<Bytes>) -> Vec<AccessUnit> {
    let rate = FrameRate::whole(30);
    let (format, samples) = match codec {
        Codec::Aac => (TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 }), 1024),
        Codec::Opus => (TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 960 }), 960),
        Codec::H264 | Codec::Hevc | Codec::Av1 => {
            (TrackFormat::Video(VideoFormat { width: 320, height: 180, rate }), 0)
        }
    };
    let mut shape = Canonicaliser::new(codec, format, 500_000);
    let time = |n: i64| {
        START + if codec.is_video() { VideoGrid(rate).time_of(n) } else { Media(n * samples * 1_000_000_000 / 48_000) }
    };
    let units = (0i64..).zip(buffers).map(|(n, buffer)| {
        let unit = shape.push(buffer).unwrap();
        AccessUnit {
            input: InputId::new("pattern").unwrap(),
            rendition: RenditionId::new("main").unwrap(),
            track: if codec.is_video() { Track::Video } else { Track::Audio },
            pts: time(n),
            dts: time(n),
            key: unit.key,
            config: unit.config,
            payload: unit.payload,
        }
    });
    units.collect()
}

/// A transport stream of the units, muxed in the order of their times with the timers served in between.
fn mux(settings: Settings, tracks: &[&[AccessUnit]]) -> Vec<u8> {
    let mut units: Vec<&AccessUnit> = tracks.iter().copied().flatten().collect();
    units.sort_by_key(|unit| (unit.dts, unit.track));
    let mut muxer = Muxer::new(settings);
    let (mut out, mut now) = (Vec::new(), START);
    for unit in &units {
        let arrives = unit.dts + Media::from_millis(50);
        while let Some((at, _)) = muxer.poll_timeout().filter(|(at, _)| *at < arrives) {
            now = now.max(at);
            while let Some(payload) = muxer.poll(now) {
                out.extend_from_slice(&payload.bytes);
            }
        }
        now = now.max(arrives);
        assert_eq!(muxer.push(unit), Taken::Muxed);
        while let Some(payload) = muxer.poll(now) {
            out.extend_from_slice(&payload.bytes);
        }
    }
    while let Some(payload) = muxer.poll(now + Media::from_millis(20)) {
        out.extend_from_slice(&payload.bytes);
    }
    out
}

fn demux(bytes: &[u8], rate: Option<FrameRate>) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(source(rate));
    let mut outputs = Vec::new();
    // A file has no arrival times; any that go on will do.
    let mut now = holdfast::clock::now();
    for piece in bytes.chunks(1316) {
        now += Duration::from_millis(5);
        demuxer.push(piece, now);
        outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.flush(now);
    outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    (outputs, demuxer)
}

fn units(outputs: &[Output], track: Track) -> Vec<AccessUnit> {
    let unit = |output: &Output| match output {
        Output::Unit(unit) => (unit.track == track).then(|| unit.clone()),
        Output::Streams { .. } | Output::Gap(_) | Output::TimeBase { .. } => None,
    };
    outputs.iter().filter_map(unit).collect()
}

/// Time in ticks of 90 kHz and hash of each frame that FFmpeg decodes.
fn decoded(file: &Path, map: &str) -> (Vec<(i64, String)>, String) {
    let (out, complaints) = ffmpeg(&[
        "-copyts",
        "-i",
        text(file),
        "-map",
        map,
        "-enc_time_base",
        "1:90000",
        "-fps_mode",
        "passthrough",
        "-f",
        "framemd5",
        "-",
    ]);
    let frames = String::from_utf8(out).unwrap();
    let frames = frames.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse().unwrap(), fields[5].to_owned())
    });
    (frames.collect(), complaints)
}

fn hashes(frames: &[(i64, String)]) -> Vec<&str> {
    frames.iter().map(|frame| frame.1.as_str()).collect()
}

/// FFmpeg decodes what we mux: every picture as from the encoder's own file, at its time, and says nothing against it.
fn ffmpeg_decodes(codec: Codec, extension: &str, encoder: &[&str], settings: Settings) {
    let dir = tempfile::tempdir().unwrap();
    let raw = format!("picture.{extension}");
    let picture = canonical(codec, annex_b(&encode(dir.path(), &raw, encoder), codec));
    let sound = canonical(Codec::Aac, adts(&encode(dir.path(), "sound.adts", &[AAC, &["-f", "adts"]].concat())));
    assert_eq!(picture.len(), 90);
    let delay = settings.delay;
    let file = dir.path().join("out.ts");
    std::fs::write(&file, mux(settings, &[&picture, &sound])).unwrap();

    let (frames, complaints) = decoded(&file, "0:v");
    assert_eq!(complaints, "");
    let (expected, _) = decoded(&dir.path().join(&raw), "0:v");
    assert_eq!(hashes(&frames), hashes(&expected));
    let times: Vec<i64> = picture.iter().map(|unit| (unit.pts + delay).to_ticks(90_000)).collect();
    assert_eq!(frames.iter().map(|frame| frame.0).collect::<Vec<_>>(), times);

    let (frames, complaints) = decoded(&file, "0:a");
    assert_eq!(complaints, "");
    let (expected, _) = decoded(&dir.path().join("sound.adts"), "0:a");
    assert_eq!(hashes(&frames), hashes(&expected));
    assert!((frames[0].0 - (sound[0].pts + delay).to_ticks(90_000)).abs() <= 1);
}

#[test]
fn ffmpeg_decodes_h264_and_aac() {
    ffmpeg_decodes(Codec::H264, "h264", X264, Settings::default());
}

#[test]
fn ffmpeg_decodes_hevc_and_aac() {
    ffmpeg_decodes(Codec::Hevc, "h265", X265, Settings::default());
}

#[test]
fn ffmpeg_decodes_a_stream_padded_to_a_constant_rate() {
    ffmpeg_decodes(Codec::H264, "h264", X264, Settings { rate: Some(4_000_000), ..Settings::default() });
}

#[test]
fn ffmpeg_decodes_opus() {
    let dir = tempfile::tempdir().unwrap();
    let sound = canonical(Codec::Opus, ogg(&encode(dir.path(), "sound.opus", OPUS)));
    let picture = canonical(Codec::H264, annex_b(&encode(dir.path(), "picture.h264", X264), Codec::H264));
    let file = dir.path().join("out.ts");
    std::fs::write(&file, mux(Settings::default(), &[&picture, &sound])).unwrap();
    let copy = dir.path().join("copy.opus");
    let (_, complaints) = ffmpeg(&["-i", text(&file), "-map", "0:a", "-c", "copy", "-y", text(&copy)]);
    assert_eq!(complaints, "");
    let copied = ogg(&std::fs::read(&copy).unwrap().into());
    let sent: Vec<Bytes> = sound.iter().map(|unit| unit.payload.clone()).collect();
    assert_eq!(copied, sent);
    let (frames, complaints) = decoded(&file, "0:a");
    assert_eq!((frames.len(), complaints.as_str()), (sent.len(), ""));
}

#[test]
fn ffmpeg_copies_av1_as_the_published_mapping_has_it() {
    let data = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/mux/testcard-80x50.obu")).unwrap();
    let picture = canonical(Codec::Av1, temporal_units(&data.into()));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.ts");
    std::fs::write(&file, mux(Settings { sound: false, ..Settings::default() }, &[&picture])).unwrap();
    let (stream, complaints) = ffmpeg(&["-i", text(&file), "-map", "0", "-c", "copy", "-f", "data", "-"]);
    assert_eq!(complaints, "");
    let mut expected = Vec::new();
    let mut obus = 0;
    for unit in &picture {
        for obu in holdfast::mux::av1::obus(&unit.payload) {
            expected.extend_from_slice(&[0, 0, 1]);
            escape(&unit.payload[obu.unwrap().whole], &mut expected);
            obus += 1;
        }
    }
    assert_eq!(stream, expected);
    assert_eq!(stream.windows(3).filter(|bytes| *bytes == [0, 0, 1]).count(), obus);
    assert!(stream.windows(3).any(|bytes| bytes == [0, 0, 3]), "the fixture's sequence header needs an escape");
}

/// Section 3.2 of the mapping, byte by byte.
fn escape(obu: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for byte in obu {
        if zeros == 2 && *byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        out.push(*byte);
        zeros = if *byte == 0 { zeros + 1 } else { 0 };
    }
}

/// GStreamer decodes what we mux: every picture, and all of the sound.
fn gstreamer_decodes(codec: Codec, file: &Path, picture: &str, sound: &str) {
    let dir = tempfile::tempdir().unwrap();
    let (pictures, samples) = (dir.path().join("pictures"), dir.path().join("samples"));
    let pipeline = format!(
        "filesrc location={} ! tsdemux name=d d. ! queue ! {picture} ! filesink location={} d. ! queue ! {sound} ! \
         audioconvert ! audio/x-raw,format=S16LE,channels=2 ! filesink location={}",
        text(file),
        text(&pictures),
        text(&samples)
    );
    let mut command = std::process::Command::new("gst-launch-1.0");
    command.arg("-q").args(pipeline.split_whitespace()).stdin(Stdio::null());
    let output = command.output().expect("gst-launch-1.0 is missing: run scripts/setup --test once (make test does)");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{codec:?}: {complaints}");
    let frames = std::fs::metadata(&pictures).unwrap().len() as f64 / (320.0 * 180.0 * 1.5);
    assert!((frames - 90.0).abs() < 0.01, "{codec:?}: {frames} pictures");
    // Decoders leave out what encoders put before the first sample.
    let seconds = std::fs::metadata(&samples).unwrap().len() as f64 / (48_000.0 * 4.0);
    assert!((seconds - 3.0).abs() < 0.07, "{codec:?}: {seconds} s of sound");
}

#[test]
fn gstreamer_decodes_h264_and_aac_and_hevc_and_opus() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.ts");
    let picture = canonical(Codec::H264, annex_b(&encode(dir.path(), "picture.h264", X264), Codec::H264));
    let sound = canonical(Codec::Aac, adts(&encode(dir.path(), "sound.adts", &[AAC, &["-f", "adts"]].concat())));
    std::fs::write(&file, mux(Settings::default(), &[&picture, &sound])).unwrap();
    gstreamer_decodes(Codec::H264, &file, "h264parse ! avdec_h264", "aacparse ! avdec_aac");

    let picture = canonical(Codec::Hevc, annex_b(&encode(dir.path(), "picture.h265", X265), Codec::Hevc));
    let sound = canonical(Codec::Opus, ogg(&encode(dir.path(), "sound.opus", OPUS)));
    std::fs::write(&file, mux(Settings::default(), &[&picture, &sound])).unwrap();
    gstreamer_decodes(Codec::Hevc, &file, "h265parse ! avdec_h265", "opusparse ! opusdec");
}

/// We read what FFmpeg muxes, with reordered pictures too, and what we make of it decodes to the same.
fn reads_ffmpeg(codec: Codec, video: &[&str], audio_codec: Codec, audio: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let theirs = dir.path().join("theirs.ts");
    let arguments = [&["-map", "0:v", "-map", "1:a", "-ac", "2"], video, audio, &["-f", "mpegts"]].concat();
    let bytes = encode(dir.path(), "theirs.ts", &arguments);
    let (outputs, demuxer) = demux(&bytes, None);
    let count = demuxer.counters();
    assert_eq!((count.continuity, count.lost, count.malformed, count.undecodable, count.untimed), (0, 0, 0, 0, 0));
    assert!(count.clocks > 20);
    let (picture, sound) = (units(&outputs, Track::Video), units(&outputs, Track::Audio));
    let (frames, _) = decoded(&theirs, "0:v");
    assert_eq!((picture.len(), frames.len()), (90, 90));
    assert_eq!((picture[0].config.codec, sound[0].config.codec), (codec, audio_codec));
    let rate = FrameRate::whole(30);
    assert_eq!(picture[0].config.format, TrackFormat::Video(VideoFormat { width: 320, height: 180, rate }));
    assert_eq!(picture.iter().filter(|unit| unit.key).count(), 3, "a keyframe a second");
    let mut times: Vec<i64> = picture.iter().map(|unit| unit.pts.to_ticks(90_000)).collect();
    times.sort_unstable();
    assert_eq!(times, frames.iter().map(|frame| frame.0).collect::<Vec<_>>());

    // On through our own muxer. Its clock is where FFmpeg's time stamps are.
    let shift = START - picture[0].dts;
    let shifted = |units: &[AccessUnit]| -> Vec<AccessUnit> {
        let first = picture[0].dts;
        let kept = units.iter().filter(|unit| unit.dts >= first);
        kept.map(|unit| AccessUnit { pts: unit.pts + shift, dts: unit.dts + shift, ..unit.clone() }).collect()
    };
    let ours = dir.path().join("ours.ts");
    std::fs::write(&ours, mux(Settings::default(), &[&shifted(&picture), &shifted(&sound)])).unwrap();
    let (again, complaints) = decoded(&ours, "0:v");
    assert_eq!(complaints, "");
    assert_eq!(hashes(&again), hashes(&frames));
    let (theirs, ours) = (decoded(&theirs, "0:a").0, decoded(&ours, "0:a").0);
    assert!(ours.len() + 2 >= theirs.len() && ours.len() > 100, "{} of {} packets of sound", ours.len(), theirs.len());
}

#[test]
fn reads_ffmpegs_h264_with_reordered_pictures_and_aac() {
    let video = ["-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-bf", "2", "-sc_threshold", "0"];
    reads_ffmpeg(Codec::H264, &video, Codec::Aac, &["-c:a", "aac"]);
}

#[test]
fn reads_ffmpegs_hevc_with_reordered_pictures_and_opus() {
    let options = "log-level=none:bframes=2:keyint=30:min-keyint=30:scenecut=0:open-gop=0";
    let video = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", options];
    reads_ffmpeg(Codec::Hevc, &video, Codec::Opus, &["-c:a", "libopus", "-b:a", "96k"]);
}
