//! HEVC: x265 and Kvazaar, beside FFmpeg's decoder.

use std::path::Path;

use holdfast::model::Codec;
use holdfast::mux::still::{Obstacle, Refusal, Stills};

use crate::film::{self, LENGTH, MOVING, NEXT, STILLS, Unit, decode, decode_in, hold, runs, stills};

/// Pictures that a film is cut off after: at the keyframe, behind it, and at its end.
const CUTS: [usize; 3] = [1, 2, 16];
const DECODER: &str = "hevc";
/// Its parameters follow.
const X265: [&str; 5] = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params"];

fn film(dir: &Path, picture: &str, arguments: &[&str]) -> Vec<Unit> {
    film::film(dir, Codec::Hevc, picture, arguments)
}

/// Cuts a film of `arguments` off at each place and checks what a decoder makes of it.
fn check(name: &str, picture: &str, arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let film = film(dir, picture, arguments);
    // In the same pixels, or FFmpeg would convert them.
    let pixels = arguments.iter().position(|a| *a == "-pix_fmt").map_or("yuv420p", |at| arguments[at + 1]);
    let size = picture.split([':', '=']).nth(2).unwrap();
    let next = NEXT.replace("336x180", size);
    let next = self::film(dir, &next, &[&X265[..], &["bframes=0:log-level=0", "-pix_fmt", pixels]].concat());
    let alone = decode(dir, Codec::Hevc, DECODER, &next);
    for cut in CUTS {
        hold(dir, Codec::Hevc, DECODER, &film, cut, (&next, &alone), name);
    }
    let held = stills(&film[LENGTH - 1], STILLS);
    println!("{name}: a still of {} bytes", held[0].payload.len());
}

fn x265(name: &str, picture: &str, preset: &str, parameters: &str, more: &[&str]) {
    let parameters = format!("log-level=0:bframes=0:{parameters}");
    let arguments = [&["-c:v", "libx265", "-preset", preset, "-x265-params", &parameters], more].concat();
    check(name, picture, &arguments);
}

#[test]
fn behind_x265_as_the_box_runs_it() {
    for size in ["336x180", "322x182", "1280x720"] {
        for rows in ["wpp=1", "wpp=0"] {
            let picture = format!("testsrc2=size={size}:rate=30");
            x265(&format!("zerolatency, {size}, {rows}"), &picture, "ultrafast", rows, &["-tune", "zerolatency"]);
        }
    }
}

#[test]
fn rows_that_are_decoded_side_by_side_are_where_the_entry_points_say() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for size in ["336x180", "1280x720"] {
        let picture = format!("testsrc2=size={size}:rate=30");
        let parameters = ["log-level=0:bframes=0:wpp=1", "-tune", "zerolatency"];
        let film = film(dir, &picture, &[&X265[..], &parameters].concat());
        let held = stills(&film[LENGTH - 1], STILLS);
        let in_threads = |threads: &[&str]| decode_in(threads, dir, Codec::Hevc, DECODER, film.iter().chain(&held));
        let side_by_side = in_threads(&["-threads", "4", "-thread_type", "slice"]);
        assert_eq!(side_by_side.len(), LENGTH + STILLS);
        assert_eq!(side_by_side, in_threads(&["-threads", "1"]), "{size}");
        assert!(side_by_side[LENGTH - 1..].windows(2).all(|pair| pair[0] == pair[1]), "{size}");
    }
}

#[test]
fn behind_blocks_of_every_size() {
    for (tree, smallest) in [(16, 8), (16, 16), (32, 8), (32, 32), (64, 8), (64, 16), (64, 32)] {
        for rows in [0, 1] {
            let parameters = format!("ctu={tree}:min-cu-size={smallest}:wpp={rows}");
            x265(&parameters, MOVING, "veryfast", &parameters, &[]);
        }
    }
}

#[test]
fn behind_what_a_header_may_hold() {
    for parameters in [
        "ref=1",
        "ref=4:weightp=1",
        "no-sao=1:no-deblock=1",
        "deblock=-2,3:wpp=1",
        "no-temporal-mvp=1",
        "slices=3:wpp=1",
        "tskip=1:sign-hide=1",
        "constrained-intra=1:no-strong-intra-smoothing=1",
        "scaling-list=default",
        "aud=1:hrd=1:vbv-maxrate=2000:vbv-bufsize=2000:bitrate=2000",
        "cbqpoffs=3:crqpoffs=-3",
        "log2-max-poc-lsb=4",
        "repeat-headers=1:hash=1",
        "keyint=5:min-keyint=5:open-gop=1",
        "lossless=1",
        "cu-lossless=1:rd=4",
        "opt-qp-pps=1:opt-ref-list-length-pps=1:repeat-headers=1",
        "multi-pass-opt-rps=0:rc-lookahead=0:bframes=0:intra-refresh=1",
    ] {
        x265(parameters, MOVING, "medium", parameters, &[]);
    }
}

#[test]
fn behind_other_pixels_than_most() {
    for pixels in ["yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "yuv444p10le", "yuv420p12le"] {
        for parameters in ["ref=3:weightp=1:wpp=1", "wpp=0:lossless=1"] {
            x265(&format!("{pixels}, {parameters}"), MOVING, "medium", parameters, &["-pix_fmt", pixels]);
        }
    }
}

#[test]
fn behind_kvazaar_with_tiles_and_rows() {
    for parameters in [
        "gop=0,wpp=0",
        "gop=0,wpp=1",
        "gop=0,wpp=1,slices=wpp",
        "gop=lp-g4d3t1,wpp=1",
        "gop=0,wpp=0,tiles=3x2",
        "gop=0,wpp=0,tiles=2x2,slices=tiles",
        "gop=0,wpp=0,tiles-width-split=u2",
        "gop=0,wpp=0,tiles-width-split=64,tiles-height-split=128",
        "gop=0,wpp=0,bipred=1,ref=3",
        "gop=0,wpp=0,lossless=1,transform-skip=1",
    ] {
        let arguments = ["-c:v", "libkvazaar", "-kvazaar-params", parameters];
        // It takes no sides but multiples of 8.
        check(&format!("Kvazaar, {parameters}"), &MOVING.replace("336x180", "328x184"), &arguments);
    }
}

#[test]
fn a_keyframe_that_ends_no_sequence_follows() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let film = film(dir, MOVING, &[&X265[..], &["log-level=0:bframes=0"]].concat());
    let open = self::film(
        dir,
        NEXT,
        &[&X265[..], &["log-level=0:bframes=0:keyint=5:min-keyint=5:open-gop=1", "-pix_fmt", "yuv420p"]].concat(),
    );
    let next = &open[5..];
    assert!(next[0].key);
    let alone = decode(dir, Codec::Hevc, DECODER, next);
    for cut in CUTS {
        hold(dir, Codec::Hevc, DECODER, &film, cut, (next, &alone), "a CRA picture");
    }
}

#[test]
fn behind_pictures_of_every_size() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for (width, height) in [(64, 64), (72, 64), (64, 136), (160, 90), (640, 360), (1920, 1080)] {
        for rows in ["wpp=1", "wpp=0"] {
            let picture = format!("testsrc2=size={width}x{height}:rate=30");
            let parameters = format!("log-level=0:bframes=0:{rows}");
            let film = film(dir, &picture, &[&X265[..], &[&parameters]].concat());
            let held = stills(&film[1], 5);
            println!("{width}x{height}, {rows}: a still of {} bytes", held[0].payload.len());
            let mut expected = decode(dir, Codec::Hevc, DECODER, &film[..2]);
            expected.extend(std::iter::repeat_n(expected[1].clone(), held.len()));
            let shown = decode(dir, Codec::Hevc, DECODER, film[..2].iter().chain(&held));
            assert_eq!(runs(&shown), runs(&expected), "{width}x{height}, {rows}");
        }
    }
}

#[test]
fn among_b_pictures_only_the_others_are_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let parameters = "log-level=0:bframes=3:b-adapt=0:b-pyramid=1";
    let film = film(dir, MOVING, &["-c:v", "libx265", "-x265-params", parameters]);
    let (mut repeated, mut refused) = (0, 0);
    for cut in 1..=LENGTH {
        let (head, last) = (&film[..cut], &film[cut - 1]);
        match Stills::after(&last.config, &last.payload) {
            Ok(_) => repeated += 1,
            Err(Refusal::Behind(Obstacle::BPicture | Obstacle::Unreferenced)) => {
                refused += 1;
                continue;
            }
            Err(other) => panic!("{other}"),
        }
        // The B pictures that would have come are shown before the last one, so that it is the last as well.
        let mut expected = decode(dir, Codec::Hevc, DECODER, head);
        expected.extend(std::iter::repeat_n(expected[cut - 1].clone(), STILLS));
        let held = stills(last, STILLS);
        let spliced = decode(dir, Codec::Hevc, DECODER, head.iter().chain(&held));
        assert_eq!(runs(&spliced), runs(&expected), "cut after {cut}");
    }
    assert!(repeated >= 4 && refused >= 8, "{repeated} repeated, {refused} refused");
}

#[test]
fn fields_are_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let parameters = "log-level=0:bframes=0:interlace=tff";
    let film = film(dir.path(), MOVING, &[&X265[..], &[parameters]].concat());
    for unit in film {
        let refusal = Stills::after(&unit.config, &unit.payload).unwrap_err();
        assert_eq!(refusal, Refusal::Behind(Obstacle::Fields));
    }
}

#[test]
fn keyframes_among_themselves_are_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let film = film(dir.path(), MOVING, &[&X265[..], &["log-level=0:keyint=1"]].concat());
    for unit in film {
        let refusal = Stills::after(&unit.config, &unit.payload).unwrap_err();
        assert_eq!(refusal, Refusal::Behind(Obstacle::OnlyKeys));
    }
}
