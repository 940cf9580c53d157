//! Films of real encoders, what a still is put behind in them, and what real decoders make of it.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::model::{Codec, CodecConfig, FrameRate, TrackFormat, VideoFormat};
use holdfast::mux::canonical::Canonicaliser;
use holdfast::mux::nal::{self, Framing, ParameterSets};
use holdfast::mux::still::Stills;
use holdfast::mux::{av1, avc, hevc};

use crate::tools;

/// Stills: what counts pictures, in 4 to 7 bits, starts over in the course of them.
pub const STILLS: usize = 70;
/// Pictures of a film.
pub const LENGTH: usize = 16;
/// Moves, and fades, so that encoders weight their predictions. Of 21 by 12 macroblocks, the last row of them not shown whole.
pub const MOVING: &str = "testsrc2=size=336x180:rate=30,fade=out:0:40";
/// The film that follows.
pub const NEXT: &str = "mandelbrot=size=336x180:rate=30";

pub struct Unit {
    pub config: Arc<CodecConfig>,
    pub payload: Bytes,
    pub key: bool,
}

/// Runs FFmpeg; its standard output, and what it complained of.
fn ffmpeg(arguments: &[&str]) -> (String, String) {
    let output = tools::ffmpeg().args(arguments).stdin(Stdio::null()).output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {complaints}");
    (String::from_utf8_lossy(&output.stdout).into_owned(), complaints)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// FFmpeg's name of a bare stream.
fn bare(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
        Codec::Av1 => "obu",
        Codec::Aac | Codec::Opus => panic!("a sound"),
    }
}

/// A film in canonical form.
pub fn film(dir: &Path, codec: Codec, picture: &str, arguments: &[&str]) -> Vec<Unit> {
    let file = dir.join("film");
    let length = LENGTH.to_string();
    let mut command = vec!["-f", "lavfi", "-i", picture, "-frames:v", &length];
    command.extend_from_slice(arguments);
    command.extend_from_slice(&["-f", bare(codec), "-y", text(&file)]);
    ffmpeg(&command);
    let data = Bytes::from(std::fs::read(&file).unwrap());
    let format = TrackFormat::Video(VideoFormat { width: 336, height: 180, rate: FrameRate::whole(30) });
    let mut canonical = Canonicaliser::new(codec, format, 0);
    let mut units = Vec::new();
    let buffers = if codec == Codec::Av1 { temporal_units(&data) } else { access_units(codec, &data) };
    for buffer in buffers {
        let unit = canonical.push(buffer).unwrap();
        units.push(Unit { config: unit.config, payload: unit.payload, key: unit.key });
    }
    assert_eq!(units.len(), LENGTH, "{arguments:?}");
    units
}

/// Whether a NAL unit is of a picture, and then whether it is the first of that.
fn first_slice(codec: Codec, nal: &[u8]) -> Option<bool> {
    /// `SUFFIX_SEI_NUT` of HEVC: comes behind the slices.
    const SUFFIX: u8 = 40;
    if codec == Codec::H264 {
        return avc::is_picture(avc::unit_type(nal[0])).then(|| nal[1] & 0x80 != 0);
    }
    match hevc::unit_type(nal[0]) {
        SUFFIX => Some(false),
        kind => hevc::is_picture(kind).then(|| nal[2] & 0x80 != 0),
    }
}

/// Each holds one picture, with what stands before it.
fn access_units(codec: Codec, data: &Bytes) -> Vec<Bytes> {
    let (mut units, mut begin, mut end, mut has_picture) = (Vec::new(), 0, 0, false);
    for range in nal::ranges(data, Framing::AnnexB) {
        let range = range.unwrap();
        let slice = first_slice(codec, &data[range.clone()]);
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

/// Each begins with its delimiter.
fn temporal_units(data: &Bytes) -> Vec<Bytes> {
    const DELIMITER: u8 = 2;
    let delimiters = av1::obus(data).map(Result::unwrap).filter(|obu| obu.obu_type == DELIMITER);
    let mut begins: Vec<usize> = delimiters.map(|obu| obu.whole.start).collect();
    begins.push(data.len());
    begins.windows(2).map(|w| data.slice(w[0]..w[1])).collect()
}

/// With start codes, and parameter sets before every keyframe; with delimiters.
pub fn stream<'a>(codec: Codec, units: impl IntoIterator<Item = &'a Unit>) -> Vec<u8> {
    let mut out = Vec::new();
    for unit in units {
        if codec == Codec::Av1 {
            out.extend_from_slice(&[0x12, 0]);
            out.extend_from_slice(&unit.payload);
            continue;
        }
        let mut put = |nal: &[u8]| {
            out.extend_from_slice(&[0, 0, 0, 1]);
            out.extend_from_slice(nal);
        };
        if unit.key {
            let (sets, kinds) = parameters(codec, &unit.config.record);
            kinds.iter().flat_map(|kind| sets.of(*kind)).for_each(|set| put(set));
        }
        for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
            put(&unit.payload[range.unwrap()]);
        }
    }
    out
}

fn parameters(codec: Codec, record: &[u8]) -> (ParameterSets, &'static [u8]) {
    if codec == Codec::H264 {
        (avc::parse_avcc(record).unwrap().1, &[avc::SPS, avc::PPS])
    } else {
        (hevc::parse_hvcc(record).unwrap().1, &[hevc::VPS, hevc::SPS, hevc::PPS])
    }
}

/// The checksums of the decoded pictures. No decoder may complain.
pub fn decode<'a>(dir: &Path, codec: Codec, decoder: &str, units: impl IntoIterator<Item = &'a Unit>) -> Vec<String> {
    decode_in(&["-threads", "1"], dir, codec, decoder, units)
}

/// The same, with these options for FFmpeg's threads.
pub fn decode_in<'a>(
    threads: &[&str],
    dir: &Path,
    codec: Codec,
    decoder: &str,
    units: impl IntoIterator<Item = &'a Unit>,
) -> Vec<String> {
    let file = dir.join("stream");
    std::fs::write(&file, stream(codec, units)).unwrap();
    let mut command = vec!["-err_detect", "explode", "-xerror"];
    command.extend_from_slice(threads);
    let rest =
        ["-c:v", decoder, "-f", bare(codec), "-i", text(&file), "-fps_mode", "passthrough", "-f", "framemd5", "-"];
    command.extend_from_slice(&rest);
    let (sums, complaints) = ffmpeg(&command);
    assert_eq!(complaints, "", "{decoder}");
    let lines = sums.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Which pictures are how often shown in a row, for people.
pub fn runs(sums: &[String]) -> Vec<String> {
    sums.chunk_by(|a, b| a == b).map(|run| format!("{} x {}", &run[0][..6], run.len())).collect()
}

pub fn stills(after: &Unit, count: usize) -> Vec<Unit> {
    let mut stills = Stills::after(&after.config, &after.payload).unwrap();
    let next = || Unit { config: after.config.clone(), payload: stills.next_unit(), key: false };
    std::iter::repeat_with(next).take(count).collect()
}

/// Cuts `film` off after `cut` pictures, puts stills behind it, and behind those the film `next`, of which a decoder shows
/// `alone` by itself; checks what it makes of all.
pub fn hold(
    dir: &Path,
    codec: Codec,
    decoder: &str,
    film: &[Unit],
    cut: usize,
    (next, alone): (&[Unit], &[String]),
    name: &str,
) {
    let head = &film[..cut];
    let mut expected = decode(dir, codec, decoder, head);
    assert_eq!(expected.len(), cut, "{name}, {decoder}");
    let last = expected[cut - 1].clone();
    expected.extend(std::iter::repeat_n(last, STILLS));
    expected.extend_from_slice(alone);
    let held = stills(&film[cut - 1], STILLS);
    let spliced = decode(dir, codec, decoder, head.iter().chain(&held).chain(next));
    assert_eq!(runs(&spliced), runs(&expected), "{name}, {decoder}, cut after {cut}");
}
