//! How long a worker takes to start: from exec to its encoders, and to its first picture. `scripts/bench-start` builds and runs
//! it. Environment: `REPETITIONS` (11).
//!
//! Four ways: without the list of plugins that an earlier start has left and with it, the test picture and a film that has to be
//! decoded. The result is the median, so that one start beside which the machine did something else does not count.

// A benchmark stops at the first thing that is not as it should be, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub, dead_code)]

#[path = "../tests/starts/worker.rs"]
mod worker;

use std::path::Path;

use worker::{Home, Start};

/// The medians of both times, milliseconds.
fn median(starts: &[Start]) -> (f64, f64) {
    let middle = |time: fn(&Start) -> f64| {
        let mut times: Vec<f64> = starts.iter().map(time).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    (middle(|start| start.ready.as_secs_f64() * 1e3), middle(|start| start.picture.as_secs_f64() * 1e3))
}

fn run(what: &str, source: &str, repetitions: usize) -> ((f64, f64), (f64, f64)) {
    let home = Home::new(source);
    // The trial of the encoder is not what is measured.
    home.start();
    let cold = |home: &Home| {
        home.registries().iter().for_each(|list| std::fs::remove_file(list).unwrap());
        home.start()
    };
    let cold = median(&(0..repetitions.div_ceil(4)).map(|_| cold(&home)).collect::<Vec<_>>());
    home.start();
    let warm = median(&(0..repetitions).map(|_| home.start()).collect::<Vec<_>>());
    for (how, (ready, picture)) in [("without a list of plugins", cold), ("with one", warm)] {
        println!("  {what:<12} {how:<26} encoders after {ready:.0} ms, first picture after {picture:.0} ms");
    }
    (cold, warm)
}

fn main() {
    let repetitions = std::env::var("REPETITIONS").ok().and_then(|v| v.parse().ok()).unwrap_or(11usize).max(1);
    println!("a worker's start from exec, medians of {repetitions}:");
    let (cold, warm) = run("test picture", "kind = \"pattern\"", repetitions);
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bigbuckbunny.mp4");
    let film =
        film.exists().then(|| run("film", &format!("kind = \"file\"\npath = \"{}\"", film.display()), repetitions).1);
    let film = film.map_or_else(String::new, |(ready, picture)| {
        format!(" film_ready_ms={ready:.0} film_first_picture_ms={picture:.0}")
    });
    println!(
        "RESULT start_ready_ms={:.0} start_first_picture_ms={:.0} start_ready_without_list_ms={:.0}{film}",
        warm.0, warm.1, cold.0
    );
}
