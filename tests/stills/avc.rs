//! H.264: x264 and OpenH264, beside FFmpeg's decoder and OpenH264's.

use holdfast::model::Codec;
use holdfast::mux::still::{Obstacle, Refusal, Stills};

use crate::film::{self, LENGTH, MOVING, NEXT, STILLS, Unit, decode, hold, runs, stills};

/// Pictures that a film is cut off after: at the keyframe, behind it, and where `frame_num` is about to start over.
const CUTS: [usize; 3] = [1, 2, 15];

/// Cuts a film of `arguments` off at each place and checks what `decoders` make of it.
fn check(name: &str, decoders: &[&str], arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let film = film::film(dir, Codec::H264, MOVING, arguments);
    // In the same pixels, or FFmpeg would convert them.
    let pixels = arguments.iter().position(|a| *a == "-pix_fmt").map_or("yuv420p", |at| arguments[at + 1]);
    for decoder in decoders {
        // OpenH264 loses a picture wherever the parameters change, stills or not.
        let other = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "0"];
        let encode = if *decoder == "h264" { &other } else { arguments };
        let next = film::film(dir, Codec::H264, NEXT, &[encode, &["-pix_fmt", pixels]].concat());
        let alone = decode(dir, Codec::H264, decoder, &next);
        assert_eq!(alone.len(), LENGTH);
        for cut in CUTS {
            hold(dir, Codec::H264, decoder, &film, cut, (&next, &alone), name);
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
            let film = film::film(
                dir,
                Codec::H264,
                &picture,
                &["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-coder", coder],
            );
            let held = stills(&film[1], 5);
            println!("{width}x{height}, coder {coder}: a still of {} bytes", held[0].payload.len());
            for decoder in BOTH {
                let mut expected = decode(dir, Codec::H264, decoder, &film[..2]);
                expected.extend(std::iter::repeat_n(expected[1].clone(), held.len()));
                let shown = decode(dir, Codec::H264, decoder, film[..2].iter().chain(&held));
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
    let film = film::film(dir, Codec::H264, MOVING, &arguments);
    let next = film::film(dir, Codec::H264, NEXT, &["-c:v", "libx264", "-bf", "0", "-pix_fmt", "yuv420p"]);
    let alone = decode(dir, Codec::H264, "h264", &next);
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
        let mut expected = decode(dir, Codec::H264, "h264", head);
        expected.extend(std::iter::repeat_n(expected[cut - 1].clone(), STILLS));
        expected.extend_from_slice(&alone);
        let held = stills(last, STILLS);
        let spliced = decode(dir, Codec::H264, "h264", head.iter().chain(&held).chain(&next));
        assert_eq!(runs(&spliced), runs(&expected), "cut after {cut}");
    }
    assert!(repeated >= 5 && refused >= 8, "{repeated} repeated, {refused} refused");
}

#[test]
fn behind_a_picture_that_is_no_reference_the_one_before_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let arguments = ["-c:v", "libx264", "-bf", "2", "-x264-params", "b-bias=-100", "-b_strategy", "1", "-coder", "0"];
    let film = film::film(dir, Codec::H264, MOVING, &arguments);
    for decoder in BOTH {
        for cut in CUTS {
            let head = &film[..cut];
            let mut expected = decode(dir, Codec::H264, decoder, head);
            expected.extend(std::iter::repeat_n(expected[cut - 1].clone(), 1 + STILLS));
            let unreferenced = unreferenced(&stills(&film[cut - 1], 1)[0]);
            let held = stills(&unreferenced, STILLS);
            let all = head.iter().chain([&unreferenced]).chain(&held);
            let shown = decode(dir, Codec::H264, decoder, all);
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
