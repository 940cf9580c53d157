//! What a destination costs: user and system CPU and memory of the data plane for N RTMP destinations on loopback,
//! beside FFmpeg 9's `tee` muxer doing the same with the same clip in the same run; and what is allocated for it.
//!
//! ```text
//!   feeder (this process) ══media.sock══► holdfast-transmit ══RTMP══► N connections of one sink process
//!   clip.flv ────────────────────────────► ffmpeg -f tee    ══RTMP══► N connections of one sink process
//! ```
//!
//! Counted are only the process in the middle and its memory. Ours includes receiving over the Unix socket, FFmpeg's
//! includes reading the file; the cost *per added destination* is the difference between N and 1, free of both.
//! `scripts/bench-fanout` builds and runs it. Environment: `REPETITIONS` (5), `WINDOW` seconds (10), `COUNTS` (1,4,16,64).

// A benchmark stops at the first thing that is not as it should be, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod allocations;
mod clip;
mod feeder;
mod machine;
mod sink;
mod subjects;

use std::time::Duration;

use machine::Cost;

#[global_allocator]
static ALLOCATOR: allocations::Counting = allocations::Counting;

fn setting<T: std::str::FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(default)
}

fn main() {
    if std::env::args().any(|a| a == "--sink") {
        return sink::run();
    }
    // `cargo bench` and `cargo test` pass arguments of their own; there is nothing to choose here.
    let repetitions: usize = setting("REPETITIONS", 5);
    let window = Duration::from_secs(setting("WINDOW", 10));
    let counts: Vec<usize> = setting("COUNTS", "1,4,16,64".to_owned())
        .split(',')
        .map(|n| n.parse().expect("COUNTS holds numbers"))
        .collect();

    let clip = clip::Clip::prepare();
    println!(
        "clip: H.264 1280x720, 30 fps, {:.2} Mb/s, keyframe every {:.1} s, AAC {:.0} kb/s; sink: one process, chunk size {}",
        clip.video_bits_per_second() / 1e6,
        clip.keyframe_seconds(),
        clip.audio_bits_per_second() / 1e3,
        sink::CHUNK_SIZE,
    );
    println!("window {} s, {repetitions} repetitions, the two alternating", window.as_secs());
    println!(
        "{:>9} {:>3} {:>3} {:>10} {:>10} {:>10} {:>9}",
        "subject", "N", "run", "user ms/s", "sys ms/s", "sum ms/s", "RSS MiB"
    );

    let mut ours = Samples::default();
    let mut theirs = Samples::default();
    for run in 1..=repetitions {
        for &n in &counts {
            for (name, samples) in [("holdfast", &mut ours), ("ffmpeg", &mut theirs)] {
                let cost = match name {
                    "holdfast" => subjects::holdfast(&clip, n, window),
                    _ => subjects::ffmpeg(&clip, n, window),
                };
                println!(
                    "{name:>9} {n:>3} {run:>3} {:>10.3} {:>10.3} {:>10.3} {:>9.1}",
                    cost.user,
                    cost.system,
                    cost.user + cost.system,
                    cost.resident_mib
                );
                samples.0.push((n, cost));
            }
        }
    }
    let copied = allocations::per_payload_byte(&clip, &counts);
    report(&counts, &ours, &theirs, &copied);
}

/// All samples of one subject.
#[derive(Debug, Default)]
struct Samples(Vec<(usize, Cost)>);

impl Samples {
    /// Over all runs. The kernel counts in ticks, and these beat with the frame rate: within a run the same part of the work
    /// is seen again and again, and each run sees another part. So no run is the typical one, and all of them count.
    fn mean(&self, n: usize, of: impl Fn(&Cost) -> f64) -> f64 {
        let values: Vec<f64> = self.0.iter().filter(|(count, _)| *count == n).map(|(_, c)| of(c)).collect();
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// What one more destination costs between `from` and `to` of them.
    fn per_added(&self, from: usize, to: usize, of: impl Fn(&Cost) -> f64 + Copy) -> f64 {
        (self.mean(to, of) - self.mean(from, of)) / (to - from) as f64
    }
}

fn report(counts: &[usize], ours: &Samples, theirs: &Samples, copied: &[(usize, f64)]) {
    let user = |c: &Cost| c.user;
    let total = |c: &Cost| c.user + c.system;
    println!("means, ms of CPU per second:");
    for &n in counts {
        println!(
            "  N={n:<3} user {:.3} / {:.3} = {:.2}x   total {:.3} / {:.3} = {:.2}x   RSS {:.1} / {:.1} MiB",
            ours.mean(n, user),
            theirs.mean(n, user),
            ours.mean(n, user) / theirs.mean(n, user),
            ours.mean(n, total),
            theirs.mean(n, total),
            ours.mean(n, total) / theirs.mean(n, total),
            ours.mean(n, |c| c.resident_mib),
            theirs.mean(n, |c| c.resident_mib),
        );
    }
    for pair in counts.windows(2) {
        println!(
            "  one more destination, {} to {}: user {:.3} / {:.3}   total {:.3} / {:.3}   RSS {:.0} / {:.0} KiB",
            pair[0],
            pair[1],
            ours.per_added(pair[0], pair[1], user),
            theirs.per_added(pair[0], pair[1], user),
            ours.per_added(pair[0], pair[1], total),
            theirs.per_added(pair[0], pair[1], total),
            ours.per_added(pair[0], pair[1], |c| c.resident_mib * 1024.0),
            theirs.per_added(pair[0], pair[1], |c| c.resident_mib * 1024.0),
        );
    }
    for (n, bytes) in copied {
        println!("  distribution to {n}: {bytes:.5} bytes allocated per payload byte, for all destinations together");
    }
    let (first, last) = (counts[0], *counts.last().unwrap());
    let at = if counts.contains(&16) { 16 } else { last };
    println!(
        "RESULT fanout_user_ratio_n{at}={:.3} fanout_total_ratio_n{at}={:.3} fanout_ms_per_destination_to_n{at}={:.3} \
         fanout_ms_per_destination_to_n{last}={:.3} fanout_allocated_per_payload_byte={:.4} fanout_rss_mib_n{last}={:.1}",
        ours.mean(at, user) / theirs.mean(at, user),
        ours.mean(at, total) / theirs.mean(at, total),
        ours.per_added(first, at, total),
        ours.per_added(first, last, total),
        copied.last().map_or(0.0, |(_, bytes)| *bytes),
        ours.mean(last, |c| c.resident_mib),
    );
}
