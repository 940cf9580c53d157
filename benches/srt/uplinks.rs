//! Two emulated uplinks that fail, each make with its own kind at both ends.

use std::net::SocketAddr;
use std::time::Duration;

use holdfast::clock;
use holdfast::model::Media;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};
use holdfast::netem::{Change, Conditions};

use crate::ring::{Outcome, SOON, free_place, start};
use crate::{BOTH, Make, Plan, median};

/// ms.
const LATENCY: u64 = 250;
/// bits per second.
const RATE: u64 = 6_000_000;
/// Until the path that carries is settled and measured.
const SETTLE: Media = Media::from_millis(3000);

/// Two uplinks with this delay one way, and what else they are like at the start.
fn network(target: SocketAddr, delay: Duration, with: &[&str]) -> Emulator {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let cables = ["main", "spare"].map(|name| {
        let mut cable = Cable::new(name, Conditions::delayed(delay), Wiring::Udp { listen, target, from: None });
        for (_, change) in
            with.iter().filter_map(|order| order.split_once(' ')).filter(|(of, _)| *of == name || *of == "*")
        {
            cable.start_with(change.parse::<Change>().expect("a change"));
        }
        cable
    });
    Emulator::start(cables.into(), 11).expect("loopback has ports")
}

/// A bonded stream, something having been done to its uplinks once it had settled.
struct Run {
    outcome: Outcome,
    /// When the other uplink began to carry, µs after that came into force; None if it never did.
    switched_us: Option<f64>,
}

fn run(make: Make, kind: &str, rtt_ms: u64, with: &[&str], order: Option<&str>, seconds: f64) -> Run {
    let place = free_place();
    let common = format!("--type {kind} --latency {LATENCY} --rejoin");
    let mut receiver = start(make, &format!("listen receive {common} --seconds 5 {place}"));
    receiver.line("READY", SOON);
    let mut network = network(place, Duration::from_micros(rtt_ms * 500), with);
    let way = |name: &str| network.address(name).expect("laid");
    let mut sender = start(
        make,
        &format!("call send {common} --rate {RATE} --seconds {seconds} {},50 {},20", way("main"), way("spare")),
    );
    sender.line("CONNECTED", SOON);
    let mut switched_us = None;
    if let Some(order) = order {
        clock::sleep_until(clock::media() + SETTLE);
        let marked = network.order_at("mark").expect("the network obeys");
        let done = network.order_at(order).expect("the network obeys") - marked;
        let begun = clock::media();
        clock::sleep_until(begun + Media::from_millis(((seconds - 4.0) * 1000.0) as i64));
        let report = network.report().expect("the network answers");
        switched_us = takes_over(&report.cable("spare").expect("laid").forward.large_at_us, done).map(|at| at as f64);
    }
    let outcome = Outcome { sender: sender.report(SOON), receiver: receiver.report(SOON) };
    if std::env::var_os("VERBOSE").is_some() {
        println!("{:#?}", sender.said());
    }
    Run { outcome, switched_us }
}

/// When a path begins to carry: the first payload after `from` that four more follow within 30 ms. Probes come alone.
fn takes_over(times_us: &[u32], from: u64) -> Option<u64> {
    let later: Vec<u64> = times_us.iter().map(|at| u64::from(*at)).filter(|at| *at >= from).collect();
    later.windows(5).find(|five| five[4] - five[0] < 30_000).map(|five| five[0] - from)
}

pub fn switching(plan: Plan) {
    println!("\nmain path into a hole: ms until the other one carries; backup, latency {LATENCY} ms, 6 Mbit/s");
    println!(
        "{:>8} {:>4} {:>8} {:>3} {:>10} {:>6} {:>8}",
        "hole", "RTT", "subject", "run", "switch ms", "lost", "gap ms"
    );
    for (hole, order) in [("two-way", "main hole"), ("forward", "main hole forward")] {
        let all: &[u64] = if plan.is_short() { &[40] } else { &[10, 40, 100] };
        for &rtt in all {
            let (mut times, mut lost) = ([Vec::new(), Vec::new()], [0.0, 0.0]);
            for repetition in 1..=plan.repetitions {
                for (n, make) in BOTH.into_iter().enumerate() {
                    let run = run(make, "backup", rtt, &[], Some(order), 6.0);
                    let ms = run.switched_us.map_or(f64::INFINITY, |us| us / 1e3);
                    let gap = run.outcome.receiver["longest_gap_us"].as_f64().unwrap_or(f64::NAN) / 1e3;
                    println!(
                        "{hole:>8} {rtt:>4} {:>8} {repetition:>3} {ms:>10.1} {:>6} {gap:>8.0}",
                        make.name(),
                        run.outcome.lost()
                    );
                    times[n].push(ms);
                    lost[n] += run.outcome.lost();
                }
            }
            let [ours, theirs] = times.map(median);
            let hole = hole.replace('-', "_");
            println!(
                "RESULT srt_switch_{hole}_rtt{rtt}_ms={ours:.1} srt_switch_{hole}_rtt{rtt}_libsrt_ms={theirs:.1} \
                 srt_switch_{hole}_rtt{rtt}_ratio={:.3} srt_switch_{hole}_rtt{rtt}_lost={} srt_switch_{hole}_rtt{rtt}_libsrt_lost={}",
                ours / theirs,
                lost[0],
                lost[1]
            );
        }
    }
}

pub fn congestion(plan: Plan) {
    println!(
        "\nmain path from 20 to 2 Mbit/s with a queue of 100 ms: backup, RTT 40 ms, latency {LATENCY} ms, 6 Mbit/s"
    );
    println!("{:>8} {:>3} {:>10} {:>8} {:>8} {:>7}", "subject", "run", "switch ms", "sent", "lost", "lost %");
    let (mut times, mut shares) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for repetition in 1..=plan.repetitions {
        for (n, make) in BOTH.into_iter().enumerate() {
            let with = ["main rate 20M queue 100ms forward", "spare rate 20M queue 100ms forward"];
            let order = "main rate 2M queue 100ms forward";
            let run = run(make, "backup", 40, &with, Some(order), if plan.is_short() { 7.0 } else { 12.0 });
            let ms = run.switched_us.map_or(f64::INFINITY, |us| us / 1e3);
            let share = run.outcome.lost() * 100.0 / run.outcome.sent();
            println!(
                "{:>8} {repetition:>3} {ms:>10.1} {:>8} {:>8} {share:>7.3}",
                make.name(),
                run.outcome.sent(),
                run.outcome.lost()
            );
            times[n].push(ms);
            shares[n].push(share);
        }
    }
    let ([ours, theirs], [our_share, their_share]) = (times.map(median), shares.map(median));
    println!(
        "RESULT srt_congestion_switch_ms={ours:.1} srt_congestion_switch_libsrt_ms={theirs:.1} \
         srt_congestion_lost_percent={our_share:.3} srt_congestion_lost_libsrt_percent={their_share:.3}"
    );
}

pub fn waste(plan: Plan) {
    println!(
        "\nretransmissions under broadcast, 5 % lost on each of two uplinks: RTT 40 ms, latency {LATENCY} ms, 6 Mbit/s"
    );
    println!("{:>8} {:>3} {:>8} {:>8} {:>14}", "subject", "run", "sent", "lost", "retransmitted");
    let mut again = [Vec::new(), Vec::new()];
    for repetition in 1..=plan.repetitions {
        for (n, make) in BOTH.into_iter().enumerate() {
            let run = run(make, "broadcast", 40, &["* loss 5 forward"], None, plan.window);
            println!(
                "{:>8} {repetition:>3} {:>8} {:>8} {:>14}",
                make.name(),
                run.outcome.sent(),
                run.outcome.lost(),
                run.outcome.retransmitted()
            );
            again[n].push(run.outcome.retransmitted() / run.outcome.sent() * 1000.0);
        }
    }
    let [ours, theirs] = again.map(median);
    println!(
        "RESULT srt_broadcast_again_per_1000={ours:.2} srt_broadcast_again_per_1000_libsrt={theirs:.2} \
         srt_broadcast_again_ratio={:.4}",
        ours / theirs
    );
}
