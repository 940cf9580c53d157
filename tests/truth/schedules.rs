//! When pictures and sound come, without what is in them.

use holdfast::capture::truth::Input;
use holdfast::model::{Fault, FrameRate, Media, TruthSettings, VideoGrid};

use crate::Outcome;
use crate::bench::Bench;
use crate::clips::Set::{self, HeldOut, Tuning};

/// Seconds of each.
const LENGTH: i64 = 20;

type Schedule =
    (Set, &'static str, &'static [(Fault, f64, f64)], &'static [Fault], fn(&mut fastrand::Rng) -> Vec<Media>);

fn at(fps: u32) -> impl Iterator<Item = Media> {
    let grid = VideoGrid(FrameRate::whole(fps));
    (0..).map(move |n| grid.time_of(n)).take_while(|at| *at < Media::from_millis(1000 * LENGTH))
}

fn late(fps: u32, rng: &mut fastrand::Rng, chance: f64, most_ms: i64) -> Vec<Media> {
    let mut times: Vec<Media> = Vec::new();
    let mut free = Media::ZERO;
    for due in at(fps) {
        if rng.f64() < chance {
            free = due + Media::from_millis(rng.i64(0..=most_ms));
        }
        times.push(due.max(free));
    }
    times
}

fn without(fps: u32, from_ms: i64, to_ms: i64) -> Vec<Media> {
    at(fps).filter(|at| *at < Media::from_millis(from_ms) || *at >= Media::from_millis(to_ms)).collect()
}

fn changes(from: u32, to: u32, at_ms: i64) -> Vec<Media> {
    let at_ms = Media::from_millis(at_ms);
    at(from).filter(|at| *at < at_ms).chain(at(to).filter(|at| *at >= at_ms)).collect()
}

/// Name, what is true, what is over at the end, and when pictures come.
const SCHEDULES: &[Schedule] = &[
    (Tuning, "60 a second, 10 ms of jitter", &[], &[], |rng| {
        at(60).map(|at| at + Media(rng.i64(0..10_000_000))).collect()
    }),
    (Tuning, "delayed by a busy machine, up to 120 ms", &[], &[], |rng| late(30, rng, 0.005, 120)),
    (Tuning, "one in five missing", &[(Fault::Irregular, 5.0, 8.0)], &[], |rng| {
        at(30).filter(|_| rng.f64() > 0.2).collect()
    }),
    (Tuning, "a stall of 330 ms", &[(Fault::Stalled, 10.0, 10.4)], &[Fault::Stalled], |_| without(30, 10_000, 10_300)),
    (Tuning, "four pictures missing", &[], &[], |_| without(30, 10_000, 10_120)),
    (Tuning, "ends after 10 s", &[(Fault::Stalled, 10.0, 10.4)], &[], |_| without(30, 10_000, 99_000)),
    (Tuning, "nothing at all", &[(Fault::Stalled, 3.0, 3.2)], &[], |_| Vec::new()),
    (Tuning, "one a second", &[], &[], |_| at(1).collect()),
    (Tuning, "50 a second, each late by up to 18 ms", &[], &[], |rng| {
        at(50).map(|at| at + Media(rng.i64(0..18_000_000))).collect()
    }),
    (Tuning, "a busy machine, up to 190 ms once in 5 s", &[], &[], |rng| late(30, rng, 0.007, 190)),
    (Tuning, "a camera that slows down in the dark", &[], &[], |_| changes(30, 15, 3000)),
    (Tuning, "5 a second, a stall of 1 s", &[(Fault::Stalled, 10.0, 10.9)], &[Fault::Stalled], |_| {
        without(5, 10_000, 11_000)
    }),
    (HeldOut, "24 a second, as they fall on places of 60", &[], &[], |_| {
        let places = VideoGrid(FrameRate::whole(60));
        at(24).map(|at| places.time_of(places.nearest(at))).collect()
    }),
    (HeldOut, "holes of 120 ms twice a second", &[(Fault::Irregular, 5.0, 8.0)], &[], |_| {
        at(30).filter(|at| at.as_nanos() / 1_000_000 % 500 >= 120).collect()
    }),
    (HeldOut, "a stall of 2 s, and regular again", &[(Fault::Stalled, 8.0, 8.4)], &[Fault::Stalled], |_| {
        without(60, 8000, 10_000)
    }),
    (HeldOut, "a device that opens after 2.5 s", &[], &[], |_| without(30, 0, 2500)),
    // These took the places of four above that moved a limit.
    (HeldOut, "60 a second, each late by up to 14 ms", &[], &[], |rng| {
        at(60).map(|at| at + Media(rng.i64(0..14_000_000))).collect()
    }),
    (HeldOut, "25 a second, a busy machine, up to 180 ms", &[], &[], |rng| late(25, rng, 0.01, 180)),
    (HeldOut, "a camera that is faster in the light", &[], &[], |_| changes(25, 50, 7000)),
    (HeldOut, "10 a second, a stall of 2 s", &[(Fault::Stalled, 12.0, 12.5)], &[Fault::Stalled], |_| {
        without(10, 12_000, 14_000)
    }),
    (HeldOut, "one in six missing, and jitter", &[(Fault::Irregular, 5.0, 8.0)], &[], |rng| {
        let left = at(50).enumerate().filter(|(n, _)| n % 6 != 3);
        left.map(|(_, at)| at + Media(rng.i64(0..5_000_000))).collect()
    }),
];

pub fn all() -> impl Iterator<Item = Outcome> {
    SCHEDULES.iter().zip(0..).filter(|((set, ..), _)| set.is_asked()).map(|((set, name, truth, over, times), seed)| {
        let mut bench = Bench::new(&TruthSettings::CAPTURED);
        for time in times(&mut fastrand::Rng::with_seed(seed)) {
            bench.at(time, Input::Picture(None));
        }
        bench.until(Media::from_millis(1000 * LENGTH));
        Outcome { name, set: *set, truth: truth.to_vec(), over: over.to_vec(), verdict: bench.verdict() }
    })
}
