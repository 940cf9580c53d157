//! AV1: libaom, SVT-AV1 and rav1e, beside dav1d and libaom's decoder.

use holdfast::model::Codec;
use holdfast::mux::still::{Obstacle, Refusal, Stills};

use crate::film::{LENGTH, MOVING, NEXT, STILLS, decode, film, hold, runs, stills};

const BOTH: &[&str] = &["libdav1d", "libaom-av1"];

/// Cuts a film of `arguments` off behind each picture that can be repeated, at least `least` of them.
fn check(name: &str, least: usize, arguments: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let film = film(dir, Codec::Av1, MOVING, arguments);
    let pixels = arguments.iter().position(|a| *a == "-pix_fmt").map_or("yuv420p", |at| arguments[at + 1]);
    let next = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-pix_fmt", pixels];
    let next = crate::film::film(dir, Codec::Av1, NEXT, &next);
    let mut cuts = Vec::new();
    for (unit, cut) in film.iter().zip(1..) {
        match Stills::after(&unit.config, &unit.payload) {
            Ok(_) => cuts.push(cut),
            Err(Refusal::Behind(Obstacle::ShownOnce)) => assert!(unit.key, "{name}, cut after {cut}"),
            Err(Refusal::Behind(Obstacle::KeptNowhere | Obstacle::Existing)) => assert!(!unit.key),
            Err(other) => panic!("{name}, cut after {cut}: {other}"),
        }
    }
    println!("{name}: {} of {LENGTH} can be repeated", cuts.len());
    assert!(cuts.len() >= least, "{name}: {cuts:?}");
    if cuts.is_empty() {
        return;
    }
    for decoder in BOTH {
        let alone = decode(dir, Codec::Av1, decoder, &next);
        for cut in [cuts[0], cuts[cuts.len() / 2], cuts[cuts.len() - 1]] {
            hold(dir, Codec::Av1, decoder, &film, cut, (&next, &alone), name);
        }
        // Nothing is lost to what the source goes on with.
        let cut = cuts[0];
        let whole = decode(dir, Codec::Av1, decoder, &film);
        let held = stills(&film[cut - 1], 3);
        let mut expected = whole.clone();
        expected.splice(cut..cut, std::iter::repeat_n(whole[cut - 1].clone(), 3));
        let units = film[..cut].iter().chain(&held).chain(&film[cut..]);
        assert_eq!(decode(dir, Codec::Av1, decoder, units), expected, "{name}, {decoder}: it goes on");
        // Behind a frame that is kept nowhere, the one before can be shown.
        for cut in cuts.iter().copied().filter(|cut| *cut < LENGTH) {
            let last = &film[cut];
            let fate = Stills::after(&last.config, &last.payload).map(|_| ());
            if fate == Err(Refusal::Behind(Obstacle::KeptNowhere)) {
                let mut expected = whole[..=cut].to_vec();
                expected.extend(std::iter::repeat_n(whole[cut - 1].clone(), STILLS));
                let held = stills(&film[cut - 1], STILLS);
                let shown = decode(dir, Codec::Av1, decoder, film[..=cut].iter().chain(&held));
                assert_eq!(runs(&shown), runs(&expected), "{name}, {decoder}: kept nowhere, {cut}");
            }
        }
    }
}

#[test]
fn behind_libaom() {
    let realtime = ["-c:v", "libaom-av1", "-usage", "realtime", "-cpu-used", "8", "-lag-in-frames", "0"];
    check("libaom, realtime", LENGTH - 1, &realtime);
    for parameters in ["error-resilient=1", "tile-columns=1:tile-rows=1", "reduced-tx-type-set=1:enable-order-hint=0"] {
        check(&format!("libaom, {parameters}"), LENGTH - 1, &[&realtime[..], &["-aom-params", parameters]].concat());
    }
    check("libaom, film grain", LENGTH - 1, &[&realtime[..], &["-aom-params", "film-grain-test=3"]].concat());
    check("libaom, 10 bits", LENGTH - 1, &[&realtime[..], &["-pix_fmt", "yuv420p10le"]].concat());
    check("libaom, looking ahead", 4, &["-c:v", "libaom-av1", "-cpu-used", "8", "-lag-in-frames", "12"]);
}

#[test]
fn behind_svt_av1() {
    let parameters = "pred-struct=1:lookahead=0:scd=0:rc=2";
    for preset in ["8", "11"] {
        let arguments = ["-preset", preset, "-b:v", "900k", "-svtav1-params", parameters];
        check(&format!("SVT-AV1, low delay, preset {preset}"), 1, &[&["-c:v", "libsvtav1"], &arguments[..]].concat());
    }
    check("SVT-AV1, looking ahead", 0, &["-c:v", "libsvtav1", "-preset", "10"]);
}

#[test]
fn behind_rav1e() {
    let arguments = ["-c:v", "librav1e", "-speed", "10", "-rav1e-params", "low_latency=true"];
    check("rav1e", LENGTH - 1, &arguments);
}
