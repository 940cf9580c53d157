//! Stills beside real encoders and decoders: a film of x264 or OpenH264 is cut off, stills are put behind it, and behind
//! those a film of another encode. FFmpeg's decoder and OpenH264 must show the last picture again and again, and the next
//! film as if nothing had been before it, without a complaint.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

#[path = "scenarios/support/tools.rs"]
#[allow(dead_code, unreachable_pub)]
mod tools;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::model::{Codec, CodecConfig, FrameRate, TrackFormat, VideoFormat};
use holdfast::mux::avc;
use holdfast::mux::canonical::Canonicaliser;
use holdfast::mux::nal::{self, Framing};
use holdfast::mux::still::{Obstacle, Refusal, Stills};

/// Pictures that a film is cut off after: at the keyframe, behind it, and where `frame_num` is about to start over.
const CUTS: [usize; 3] = [1, 2, 15];
/// Stills: `frame_num` and `pic_order_cnt_lsb`, of 4 to 7 bits, start over in the course of them.
const STILLS: usize = 70;
/// Pictures of a film.
const LENGTH: usize = 16;

struct Unit {
    config: Arc<CodecConfig>,
    payload: Bytes,
    key: bool,
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

/// A film in canonical form.
fn film(dir: &Path, picture: &str, arguments: &[&str]) -> Vec<Unit> {
    let file = dir.join("film.h264");
    let length = LENGTH.to_string();
    let mut command = vec!["-f", "lavfi", "-i", picture, "-frames:v", &length];
    command.extend_from_slice(arguments);
    command.extend_from_slice(&["-f", "h264", "-y", text(&file)]);
    ffmpeg(&command);
    let data = Bytes::from(std::fs::read(&file).unwrap());
    let format = TrackFormat::Video(VideoFormat { width: 336, height: 180, rate: FrameRate::whole(30) });
    let mut canonical = Canonicaliser::new(Codec::H264, format, 0);
    let mut units = Vec::new();
    for buffer in access_units(&data) {
        let unit = canonical.push(buffer).unwrap();
        units.push(Unit { config: unit.config, payload: unit.payload, key: unit.key });
    }
    assert_eq!(units.len(), LENGTH, "{arguments:?}");
    units
}

/// Each holds one picture, with what stands before it.
fn access_units(data: &Bytes) -> Vec<Bytes> {
    let (mut units, mut begin, mut end, mut has_picture) = (Vec::new(), 0, 0, false);
    for range in nal::ranges(data, Framing::AnnexB) {
        let range = range.unwrap();
        let slice = avc::is_picture(avc::unit_type(data[range.start]));
        let goes_on = slice && data[range.start + 1] & 0x80 == 0;
        if has_picture && !goes_on {
            units.push(data.slice(begin..end));
            (begin, has_picture) = (end, false);
        }
        has_picture |= slice;
        end = range.end;
    }
    units.push(data.slice(begin..));
    units
}

/// With start codes, and parameter sets before every keyframe.
fn annex_b<'a>(units: impl IntoIterator<Item = &'a Unit>) -> Vec<u8> {
    let mut out = Vec::new();
    let put = |out: &mut Vec<u8>, nal: &[u8]| {
        out.extend_from_slice(&[0, 0, 0, 1]);
        out.extend_from_slice(nal);
    };
    for unit in units {
        if unit.key {
            let (_, sets) = avc::parse_avcc(&unit.config.record).unwrap();
            sets.of(avc::SPS).chain(sets.of(avc::PPS)).for_each(|set| put(&mut out, set));
        }
        for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
            put(&mut out, &unit.payload[range.unwrap()]);
        }
    }
    out
}

/// The checksums of the decoded pictures. No decoder may complain.
fn decode(dir: &Path, decoder: &str, stream: &[u8]) -> Vec<String> {
    let file = dir.join("stream.h264");
    std::fs::write(&file, stream).unwrap();
    let mut command = vec!["-err_detect", "explode", "-xerror", "-threads", "1", "-c:v", decoder];
    command.extend_from_slice(&["-f", "h264", "-i", text(&file), "-fps_mode", "passthrough", "-f", "framemd5", "-"]);
    let (sums, complaints) = ffmpeg(&command);
    assert_eq!(complaints, "", "{decoder}");
    let lines = sums.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect()
}

/// Which pictures are how often shown in a row, for people.
fn runs(sums: &[String]) -> Vec<String> {
    sums.chunk_by(|a, b| a == b).map(|run| format!("{} x {}", &run[0][..6], run.len())).collect()
}

fn stills(after: &Unit, count: usize) -> Vec<Unit> {
    let mut stills = Stills::after(&after.config, &after.payload).unwrap();
    let next = || Unit { config: after.config.clone(), payload: stills.next_unit(), key: false };
    std::iter::repeat_with(next).take(count).collect()
}

/// Moves, and fades, so that x264 weights its predictions. Of 21 by 12 macroblocks, the last row of them not shown whole.
const MOVING: &str = "testsrc2=size=336x180:rate=30,fade=out:0:40";
const NEXT: &str = "mandelbrot=size=336x180:rate=30";

/// Cuts a film of `arguments` off at each place and checks what `decoders` make of it.
fn check(name: &str, decoders: &[&str], arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let film = film(dir, MOVING, arguments);
    // In the same pixels, or FFmpeg would convert them.
    let pixels = arguments.iter().position(|a| *a == "-pix_fmt").map_or("yuv420p", |at| arguments[at + 1]);
    for decoder in decoders {
        // OpenH264 loses a picture wherever the parameters change, stills or not.
        let other = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"];
        let encode = if *decoder == "h264" { &other } else { arguments };
        let next = self::film(dir, NEXT, &[encode, &["-pix_fmt", pixels]].concat());
        let alone = decode(dir, decoder, &annex_b(&next));
        assert_eq!(alone.len(), LENGTH);
        for cut in CUTS {
            let head = &film[..cut];
            let mut expected = decode(dir, decoder, &annex_b(head));
            assert_eq!(expected.len(), cut);
            let last = expected[cut - 1].clone();
            expected.extend(std::iter::repeat_n(last, STILLS));
            expected.extend_from_slice(&alone);
            let held = stills(&film[cut - 1], STILLS);
            let spliced = decode(dir, decoder, &annex_b(head.iter().chain(&held).chain(&next)));
            assert_eq!(runs(&spliced), runs(&expected), "{name}, {decoder}, cut after {cut}");
        }
    }
    let held = stills(&film[LENGTH - 1], STILLS);
    println!("{name}: a still of {} bytes", held[0].payload.len());
}

const BOTH: &[&str] = &["h264", "libopenh264"];
const FFMPEG: &[&str] = &["h264"];

fn x264(name: &str, decoders: &[&str], arguments: &[&str]) {
    let mut all = vec!["-c:v", "libx264", "-preset", "medium"];
    all.extend_from_slice(arguments);
    check(name, decoders, &all);
}

#[test]
fn behind_x264_as_the_box_runs_it() {
    for profile in ["baseline", "main", "high"] {
        let arguments = ["-preset", "veryfast", "-tune", "zerolatency", "-profile:v", profile];
        x264(&format!("zerolatency, {profile}"), BOTH, &arguments);
    }
}

#[test]
fn behind_run_lengths_and_arithmetic_codes_with_one_reference_and_several() {
    for profile in ["baseline", "main", "high"] {
        for references in ["1", "3"] {
            let arguments = ["-profile:v", profile, "-bf", "0", "-refs", references];
            x264(&format!("{profile}, {references} references"), BOTH, &arguments);
        }
    }
    x264("main without CABAC", BOTH, &["-profile:v", "main", "-bf", "0", "-coder", "0"]);
}

#[test]
fn behind_weighted_predictions() {
    for weights in ["0", "1", "2"] {
        for coder in ["0", "1"] {
            let arguments = ["-profile:v", "main", "-bf", "0", "-refs", "3", "-weightp", weights, "-coder", coder];
            x264(&format!("weightp {weights}, coder {coder}"), BOTH, &arguments);
        }
    }
}

#[test]
fn behind_pictures_of_several_slices() {
    for coder in ["0", "1"] {
        x264(&format!("4 slices, coder {coder}"), BOTH, &["-bf", "0", "-slices", "4", "-coder", coder]);
    }
}

#[test]
fn behind_pictures_that_say_when_they_are_shown() {
    // x264 has them do so where there may be B pictures, of which it makes none here.
    for coder in ["0", "1"] {
        let arguments = ["-bf", "2", "-x264-params", "b-bias=-100:b-pyramid=none", "-b_strategy", "1", "-coder", coder];
        x264(&format!("order told, coder {coder}"), BOTH, &arguments);
    }
}

#[test]
fn behind_other_pixels_than_most() {
    // FFmpeg's decoder is the only one here that reads them.
    for pixels in ["yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le"] {
        for coder in ["0", "1"] {
            let arguments = ["-pix_fmt", pixels, "-bf", "0", "-weightp", "2", "-coder", coder];
            x264(&format!("{pixels}, coder {coder}"), FFMPEG, &arguments);
        }
    }
}

#[test]
fn behind_pictures_of_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (width, height) in [(16, 16), (32, 16), (48, 48), (160, 90), (640, 360), (1280, 720), (1920, 1080)] {
        for coder in ["0", "1"] {
            let picture = format!("testsrc2=size={width}x{height}:rate=30");
            let film = film(dir, &picture, &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-coder", coder]);
            let held = stills(&film[1], 5);
            println!("{width}x{height}, coder {coder}: a still of {} bytes", held[0].payload.len());
            for decoder in BOTH {
                let mut expected = decode(dir, decoder, &annex_b(&film[..2]));
                expected.extend(std::iter::repeat_n(expected[1].clone(), held.len()));
                let shown = decode(dir, decoder, &annex_b(film[..2].iter().chain(&held)));
                assert_eq!(runs(&shown), runs(&expected), "{width}x{height}, coder {coder}, {decoder}");
            }
        }
    }
}

#[test]
fn behind_openh264() {
    for coder in ["cavlc", "cabac"] {
        let arguments = ["-c:v", "libopenh264", "-b:v", "900k", "-coder", coder];
        check(&format!("OpenH264, {coder}"), BOTH, &arguments);
    }
}

#[test]
fn among_b_pictures_only_the_others_are_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let arguments = ["-c:v", "libx264", "-bf", "2", "-b_strategy", "0", "-x264-params", "b-pyramid=none"];
    let film = film(dir, MOVING, &arguments);
    let next = self::film(dir, NEXT, &["-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p"]);
    let alone = decode(dir, "h264", &annex_b(&next));
    let (mut repeated, mut refused) = (0, 0);
    for cut in 1..=LENGTH {
        let (head, last) = (&film[..cut], &film[cut - 1]);
        match Stills::after(&last.config, &last.payload) {
            Ok(_) => repeated += 1,
            Err(Refusal::Behind(Obstacle::BPicture)) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        }
        // The B pictures that would have come are shown before the last one, so that it is the last as well.
        let mut expected = decode(dir, "h264", &annex_b(head));
        expected.extend(std::iter::repeat_n(expected[cut - 1].clone(), STILLS));
        expected.extend_from_slice(&alone);
        let held = stills(last, STILLS);
        let spliced = decode(dir, "h264", &annex_b(head.iter().chain(&held).chain(&next)));
        assert_eq!(runs(&spliced), runs(&expected), "cut after {cut}");
    }
    assert!(repeated >= 5 && refused >= 8, "{repeated} repeated, {refused} refused");
}

#[test]
fn behind_a_picture_that_is_no_reference_the_one_before_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let arguments = ["-c:v", "libx264", "-bf", "2", "-x264-params", "b-bias=-100", "-b_strategy", "1", "-coder", "0"];
    let film = film(dir, MOVING, &arguments);
    for decoder in BOTH {
        for cut in CUTS {
            let head = &film[..cut];
            let mut expected = decode(dir, decoder, &annex_b(head));
            expected.extend(std::iter::repeat_n(expected[cut - 1].clone(), 1 + STILLS));
            let unreferenced = unreferenced(&stills(&film[cut - 1], 1)[0]);
            let held = stills(&unreferenced, STILLS);
            let all = head.iter().chain([&unreferenced]).chain(&held);
            let shown = decode(dir, decoder, &annex_b(all));
            assert_eq!(runs(&shown), runs(&expected), "{decoder}, cut after {cut}");
        }
    }
}

/// The still `unit`, coded in run lengths, as a picture that is no reference: `adaptive_ref_pic_marking_mode_flag` goes.
fn unreferenced(unit: &Unit) -> Unit {
    /// `slice_qp_delta`, `disable_deblocking_filter_idc` and `mb_skip_run` of 252 macroblocks with the last bit behind.
    const TAIL: &str = concat!("1", "010", "000000011111101", "1");
    assert_eq!(unit.payload[4], 0x21);
    // No three zeros in a row: nothing is escaped.
    assert!(!unit.payload[4..].windows(3).any(|three| three == [0, 0, 3]));
    let bits: String = unit.payload[5..].iter().map(|byte| format!("{byte:08b}")).collect();
    let head = bits.trim_end_matches('0').strip_suffix(TAIL).unwrap();
    let mut bits = head.strip_suffix('0').unwrap().to_owned() + TAIL;
    bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
    let mut nal = vec![0x01];
    nal.extend(bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |n, bit| n << 1 | (bit - b'0'))));
    let payload = [&(nal.len() as u32).to_be_bytes(), &nal[..]].concat().into();
    Unit { config: unit.config.clone(), payload, key: false }
}
