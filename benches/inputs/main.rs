//! Two inputs and one encode: how soon a viewer sees the other input when the first one hangs or an operator asks for it, and
//! what that costs, beside GStreamer's `fallbackswitch` and `livesync` doing the same with the same films in the same run.
//!
//! ```text
//!   holdfastd, two holdfast-encode, holdfast-transmit ══RTMP══► PyAV      ours: the worker on air is stopped (SIGSTOP)
//!   inputs-peer: both films in one pipeline           ══RTMP══► PyAV      theirs: no buffer leaves the first film any more
//! ```
//!
//! Both take two films of 1280x720 at 30 fps, whose pictures carry numbers, with sound; both encode once, with x264 and the
//! same settings, and wait 400 ms for a picture before they leave an input. The receiver is the same and stamps each picture
//! when it comes; which input it is from is read from the picture. `benches/inputs-peer` is a program of ours, in a Cargo
//! project of its own, which gets the two plugins from crates.io by name.
//!
//! *Not the same:* theirs is one process, which dies with either input; ours is one for each input. Both hold the last picture.
//! `livesync` repeats it as soon as one is late, before the encoder, and has no use for a picture that comes after that; ours
//! waits until the worker is known to hang and then fills all places at once, behind the encoder, so that what was only late
//! is shown. Hence the longer gap between two arrivals here, and no difference in what a player with half a second of buffer
//! shows. Its pictures come 50 ms later, since it waits so long for each: without that it repeats pictures on a busy machine.
//! Memory is added up over processes, so what they share counts once in each.
//! Theirs returns at once; ours when the input has proved itself, which is not measured here.
//!
//! `scripts/bench-inputs` builds and runs it. Environment: `REPETITIONS` (5), `WINDOW` seconds (10) of CPU, `STALLS` (2) and
//! `CHANGES` by hand (6) in each run. All samples are printed, and RESULT lines with medians.

// A benchmark stops at the first thing that is not as it should be, and it is about real time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    unreachable_pub
)]

mod films;
#[path = "../fanout/machine.rs"]
mod machine;
mod subjects;
#[path = "../../tests/scenarios/support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the scenarios use all of it")]
mod support;
mod viewer;

use std::time::Duration;

use machine::Cost;
use viewer::{Fault, Seen};

/// What is to be done in one run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub window: Duration,
    pub stalls: usize,
    pub changes: usize,
}

/// What one run came to.
#[derive(Debug)]
pub struct Run {
    pub cost: Cost,
    pub seen: Vec<Seen>,
}

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn main() {
    let repetitions: usize = setting("REPETITIONS", 5);
    let plan = Plan {
        window: Duration::from_secs(setting("WINDOW", 10)),
        stalls: setting("STALLS", 2),
        changes: setting("CHANGES", 6),
    };
    let films = films::prepare();
    println!(
        "two films of {}x{} at 30 fps with sound, x264 {} with {} threads at {} kb/s, AAC 128 kb/s; window {} s, {repetitions} runs, \
         the two alternating",
        films::SIZE.0,
        films::SIZE.1,
        subjects::preset(),
        subjects::threads(),
        subjects::KBIT,
        plan.window.as_secs()
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 1..=repetitions {
        for (name, runs) in [("holdfast", &mut ours), ("fallbackswitch", &mut theirs)] {
            println!("--- {name}, run {n}");
            let run = match name {
                "holdfast" => subjects::holdfast(&films, plan),
                _ => subjects::fallbackswitch(&films, plan),
            };
            print(name, n, &run);
            runs.push(run);
        }
    }
    report(&ours, &theirs);
}

fn print(name: &str, n: usize, run: &Run) {
    let Cost { user, system, resident_mib } = run.cost;
    println!(
        "sample {name} run {n}: user {user:.1} system {system:.1} sum {:.1} ms of CPU per second, RSS {resident_mib:.1} MiB",
        user + system
    );
    for Seen { fault, to, first_new, gap, decided, in_hand } in &run.seen {
        let ms = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
        println!(
            "sample {name} run {n}: {fault}, to {to}: first new picture at the receiver {first_new:.1} ms, longest gap {gap:.1} ms; \
             decided after {} ms, in hand {} ms later",
            ms(decided),
            ms(in_hand)
        );
    }
}

/// Median, and the worst.
fn spread(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let median = values.get(values.len() / 2).copied().unwrap_or(f64::NAN);
    (median, values.last().copied().unwrap_or(f64::NAN))
}

fn report(ours: &[Run], theirs: &[Run]) {
    println!("\n{:<44} {:>20} {:>20}", "median (worst)", "holdfast", "fallbackswitch");
    let mut results = Vec::new();
    let mut line = |what: &str, name: &str, of: &dyn Fn(&[Run]) -> Vec<f64>| {
        let [(a, a_worst), (b, b_worst)] = [ours, theirs].map(|runs| spread(of(runs)));
        println!("{what:<44} {:>20} {:>20}", format!("{a:.1} ({a_worst:.1})"), format!("{b:.1} ({b_worst:.1})"));
        results.push(format!("inputs_{name}={a:.1} inputs_{name}_peer={b:.1}"));
    };
    let seen = |fault: Fault, value: fn(&Seen) -> Option<f64>| {
        move |runs: &[Run]| {
            let all = runs.iter().flat_map(|run| &run.seen).filter(|seen| seen.fault == fault);
            all.filter_map(value).collect::<Vec<_>>()
        }
    };
    line("by hand: order to first new picture, ms", "by_hand_ms", &seen(Fault::ByHand, |s| Some(s.first_new)));
    line("by hand: longest gap, ms", "by_hand_gap_ms", &seen(Fault::ByHand, |s| Some(s.gap)));
    line("hung: fault to first new picture, ms", "hung_ms", &seen(Fault::Hung, |s| Some(s.first_new)));
    line("hung: fault to decision, ms", "hung_decided_ms", &seen(Fault::Hung, |s| s.decided));
    let after = |s: &Seen| s.decided.map(|decided| s.first_new - decided);
    line("hung: decision to first new picture, ms", "hung_after_decision_ms", &seen(Fault::Hung, after));
    line("hung: longest gap, ms", "hung_gap_ms", &seen(Fault::Hung, |s| Some(s.gap)));
    line("CPU, ms per second", "cpu_ms_per_s", &|runs| runs.iter().map(|r| r.cost.user + r.cost.system).collect());
    line("resident memory, MiB", "rss_mib", &|runs| runs.iter().map(|r| r.cost.resident_mib).collect());
    let in_hand = spread(seen(Fault::ByHand, |s| s.in_hand)(ours));
    println!("holdfast, by hand: decision to first new picture in hand {:.1} ms (worst {:.1})", in_hand.0, in_hand.1);
    println!("RESULT {} inputs_by_hand_in_hand_ms={:.1}", results.join(" "), in_hand.0);
}
