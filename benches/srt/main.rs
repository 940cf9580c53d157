//! Our SRT engine beside libsrt 1.5 with bonding, in one run and turn by turn: what a gigabyte costs, how fast it goes, and
//! how either behaves on uplinks that fail.
//!
//! ```text
//!   sender process ══UDP on loopback, or a veth pair══► receiver process        CPU (each process's own rusage), rate
//!   sender process ══UDP══► emulated uplinks (this process) ══UDP══► receiver   switching, congestion, waste
//! ```
//!
//! Both ends of a run are of the same make, take the same arguments (`tests/peers/srt_group_peer.c`, and
//! `tests/srt/endpoint`, which is this program run again with `--endpoint`) and carry the same numbered payloads.
//! `scripts/bench-srt` builds and runs it. Environment: `REPETITIONS` (3), `WINDOW` seconds (10), `ONLY`: a list of cpu,
//! rate, switch, congestion, waste. All samples are printed, and RESULT lines with medians. Windows below 5 s are for
//! seeing that it works: fewer cases, in a minute and a half.

// A benchmark stops at the first thing that is not as it should be, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

#[path = "../../tests/srt/endpoint/mod.rs"]
mod endpoint;

mod loopback;
mod ring;
mod uplinks;

use std::sync::atomic::AtomicBool;

use endpoint::Settings;

/// The two that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    Holdfast,
    Libsrt,
}

pub const BOTH: [Make; 2] = [Make::Holdfast, Make::Libsrt];

impl Make {
    pub fn name(self) -> &'static str {
        match self {
            Self::Holdfast => "holdfast",
            Self::Libsrt => "libsrt",
        }
    }
}

pub fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub repetitions: usize,
    /// Seconds.
    pub window: f64,
}

impl Plan {
    /// Whether it is only to be seen to work.
    pub fn is_short(self) -> bool {
        self.window < 5.0
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "--endpoint") {
        let settings = Settings::of(&arguments[1..]);
        let report = endpoint::run(&settings, &mut |line| println!("{line}"), &AtomicBool::new(false));
        println!("{report}");
        return;
    }
    let plan = Plan { repetitions: setting("REPETITIONS", 3), window: setting("WINDOW", 10.0) };
    let only = setting("ONLY", String::new());
    let wanted = |part: &str| only.is_empty() || only.split(',').any(|name| name == part);
    println!("{} repetitions, windows of {} s, the two taking turns", plan.repetitions, plan.window);
    if wanted("cpu") {
        loopback::cost(plan);
    }
    if wanted("rate") {
        loopback::highest_rate(plan);
    }
    if wanted("switch") {
        uplinks::switching(plan);
    }
    if wanted("congestion") {
        uplinks::congestion(plan);
    }
    if wanted("waste") {
        uplinks::waste(plan);
    }
}
