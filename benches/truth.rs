//! What it costs to find out whether a picture is frozen or black: CPU per picture of 1920x1080, of one core at 60 a second.
//!
//! Four kinds of picture, since they cost differently: one that moves (its rows are kept), a still one (twice as many rows are
//! compared), noise (blocks are looked at one by one), and a black one (searched for what is lit). The result is the dearest of
//! them. CPU time counts what neighbours do to the caches, too; the least of all pictures on a clock does not. There are as many
//! pictures as a queue behind a device holds: they do not fit into a core's own cache, and have just been written.
//! And what a thumbnail of such a picture costs, of which an input makes one a second: shrunk and made a JPEG.
//! `scripts/bench-truth` builds and runs it. Environment: `REPETITIONS` (5), `PICTURES` per run (600).

// A benchmark stops at the first thing that is not as it should be, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

use std::hint::black_box;

use holdfast::capture::truth::picture::{Luma, Meter};
use holdfast::encode::thumbnail::jpeg;
use holdfast::encode::thumbnail::shrink::{Planes, shrink};
use holdfast::model::TruthSettings;
use nix::sys::resource::{UsageWho, getrusage};

const WIDTH: usize = 1920;
const HEIGHT: usize = 1080;
/// As drivers align rows.
const STRIDE: usize = 2048;
/// Different pictures in memory, 2 MB each.
const PICTURES: usize = 4;

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

/// CPU time of this process, microseconds. The time on a clock would count what its neighbours use as well.
fn cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let (user, system) = (usage.user_time(), usage.system_time());
    (user.tv_sec() + system.tv_sec()) as f64 * 1e6 + (user.tv_usec() + system.tv_usec()) as f64
}

/// A picture of soft shapes that is shifted by `shift` pixels, with `noise` levels of noise on it.
fn picture(shift: usize, noise: u8, rng: &mut fastrand::Rng) -> Vec<u8> {
    let level = |x: usize, y: usize| 60.0 + 40.0 * ((x + shift) as f32 / 90.0).sin() + 40.0 * (y as f32 / 70.0).cos();
    let mut bytes = vec![0; STRIDE * HEIGHT];
    for (y, row) in bytes.chunks_exact_mut(STRIDE).enumerate() {
        for (x, pixel) in row.iter_mut().enumerate() {
            *pixel = level(x, y) as u8 + rng.u8(0..=noise);
        }
    }
    bytes
}

fn main() {
    // `cargo bench` and `cargo test` pass arguments of their own; there is nothing to choose here.
    let (repetitions, count) = (setting("REPETITIONS", 5), setting("PICTURES", 600));
    let mut rng = fastrand::Rng::with_seed(1);
    let still = picture(0, 0, &mut rng);
    let kinds: [(&str, Vec<Vec<u8>>); 4] = [
        ("moving", (0..PICTURES).map(|n| picture(7 * n, 0, &mut rng)).collect()),
        ("still", vec![still; PICTURES]),
        ("noise", (0..PICTURES).map(|_| picture(0, 3, &mut rng)).collect()),
        ("black", vec![vec![16; STRIDE * HEIGHT]; PICTURES]),
    ];
    println!(
        "{WIDTH}x{HEIGHT}, {count} pictures per run, microseconds of CPU per picture, of all runs; and the least on a clock:"
    );
    let (mut dearest, mut least) = (0.0f64, 0.0f64);
    for (name, pictures) in &kinds {
        let (mut samples, mut quickest) = (Vec::new(), f64::MAX);
        for _ in 0..repetitions.max(1) {
            let TruthSettings { frozen, black, .. } = TruthSettings::CAPTURED;
            let mut meter = Meter::new(&frozen, &black);
            let before = cpu();
            for n in 0..count {
                let luma = Luma::new(&pictures[n % PICTURES], STRIDE, WIDTH, HEIGHT).unwrap();
                let began = std::time::Instant::now();
                black_box(meter.measure(luma));
                quickest = quickest.min(began.elapsed().as_secs_f64() * 1e6);
            }
            samples.push((cpu() - before) / count as f64);
        }
        samples.sort_by(f64::total_cmp);
        let shown: Vec<String> = samples.iter().map(|sample| format!("{sample:.1}")).collect();
        println!("  {name:<7} {}; {quickest:.1}", shown.join(" "));
        (dearest, least) = (dearest.max(samples[samples.len() / 2]), least.max(quickest));
    }
    let (small, file) = thumbnails(&kinds[2].1, repetitions, count / 10);
    println!(
        "a thumbnail: {:.0} us of CPU, of which {small:.0} us to shrink it; one a second is {:.3} % of a core",
        small + file,
        (small + file) / 1e4
    );
    println!(
        "RESULT thumbnail_ns_1080p={:.0} shrink_ns={:.0} jpeg_ns={:.0} core_percent={:.3}",
        (small + file) * 1e3,
        small * 1e3,
        file * 1e3,
        (small + file) / 1e4
    );
    println!(
        "RESULT truth_us_1080p60={dearest:.1} core_percent={:.3} truth_us_1080p60_undisturbed={least:.1}",
        dearest * 60.0 / 1e4
    );
}

/// CPU per thumbnail, microseconds: to shrink a picture with this luma (the least of all runs), and to make the JPEG.
fn thumbnails(luma: &[Vec<u8>], repetitions: usize, count: usize) -> (f64, f64) {
    let chroma: Vec<u8> = luma[0].iter().step_by(4).map(|level| 100 + level / 4).collect();
    let picture = |n: usize| {
        let planes = [luma[n % luma.len()].as_slice(), &chroma, &chroma];
        Planes::new(planes, [STRIDE, STRIDE / 2, STRIDE / 2], WIDTH, HEIGHT).unwrap()
    };
    let (mut to_shrink, mut to_encode) = (f64::MAX, f64::MAX);
    let count = count.max(1);
    for _ in 0..repetitions.max(1) {
        let began = cpu();
        let small: Vec<_> = (0..count).map(|n| shrink(black_box(&picture(n)))).collect();
        let shrunk = cpu();
        for small in &small {
            black_box(jpeg(small).unwrap());
        }
        to_shrink = to_shrink.min((shrunk - began) / count as f64);
        to_encode = to_encode.min((cpu() - shrunk) / count as f64);
    }
    (to_shrink, to_encode)
}
