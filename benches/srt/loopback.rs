//! Without impairments: what it costs and how fast it goes, on loopback, and between two namespaces where that is allowed.

use std::net::SocketAddr;

use holdfast::netem::Namespace;

use crate::ring::{Outcome, SOON, free_place, start_in};
use crate::{BOTH, Make, Plan, median};

/// A wire between the two ends.
#[derive(Debug)]
enum Wire {
    Loopback,
    /// Two namespaces and a veth pair between them.
    Veth(Namespace, Namespace),
}

const PORT: u16 = 9000;

impl Wire {
    fn name(&self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Veth(..) => "veth",
        }
    }

    /// Loopback, and veth if this process may make it.
    fn all() -> Vec<Self> {
        let mut wires = vec![Self::Loopback];
        match Self::veth() {
            Ok(wire) => wires.push(wire),
            Err(why) => println!("no veth pair here ({why}): loopback only"),
        }
        wires
    }

    fn veth() -> std::io::Result<Self> {
        let (a, b) = (Namespace::new()?, Namespace::new()?);
        let run = |line: &str| {
            let status = std::process::Command::new("ip").args(line.split_whitespace()).status()?;
            if status.success() { Ok(()) } else { Err(std::io::Error::other(format!("ip {line}"))) }
        };
        // A process in the far namespace names it.
        let mut holder = b.enter(|| std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn())?;
        let made = a.enter(|| {
            run(&format!("link add name here type veth peer name there netns {}", holder.id()))?;
            run("address add 10.78.0.1/24 dev here")?;
            run("link set here up")
        });
        let made = made.and_then(|()| {
            b.enter(|| {
                run("address add 10.78.0.2/24 dev there")?;
                run("link set there up")
            })
        });
        let _ = holder.kill();
        let _ = holder.wait();
        made.map(|()| Self::Veth(a, b))
    }

    fn place(&self) -> SocketAddr {
        match self {
            Self::Loopback => free_place(),
            Self::Veth(..) => SocketAddr::from(([10, 78, 0, 2], PORT)),
        }
    }

    /// One link, so many bits a second for so long.
    fn run(&self, make: Make, rate: f64, seconds: f64, buffer: usize) -> Outcome {
        let place = self.place();
        let common = format!("--type none --latency 120 --buffer {buffer}");
        let (here, there) = match self {
            Self::Loopback => (None, None),
            Self::Veth(here, there) => (Some(here), Some(there)),
        };
        let mut receiver = start_in(there, make, &format!("listen receive {common} --seconds 5 {place}"));
        receiver.line("READY", SOON);
        let mut sender = start_in(here, make, &format!("call send {common} --rate {rate} --seconds {seconds} {place}"));
        Outcome { sender: sender.report(SOON * 2), receiver: receiver.report(SOON) }
    }
}

/// Of both ends' buffers, here and in the kernel: what is enough for the highest rates.
const BUFFER: usize = 48_000_000;

pub fn cost(plan: Plan) {
    println!("\nCPU seconds for each gigabyte of payload, one link, no impairments");
    println!(
        "{:>9} {:>8} {:>8} {:>3} {:>9} {:>9} {:>9} {:>8} {:>8}",
        "wire", "Mbit/s", "subject", "run", "sender", "receiver", "sum", "sent", "lost"
    );
    let mut wires = Wire::all();
    if plan.is_short() {
        wires.drain(..wires.len() - 1);
    }
    for wire in wires {
        let rates: &[f64] = if plan.is_short() { &[100.0] } else { &[20.0, 100.0, 400.0] };
        for &rate in rates {
            let mut sums = [Vec::new(), Vec::new()];
            for run in 1..=plan.repetitions {
                for (n, make) in BOTH.into_iter().enumerate() {
                    let outcome = wire.run(make, rate * 1e6, plan.window, BUFFER);
                    let (sender, receiver) = (outcome.cost(&outcome.sender), outcome.cost(&outcome.receiver));
                    println!(
                        "{:>9} {rate:>8} {:>8} {run:>3} {sender:>9.2} {receiver:>9.2} {:>9.2} {:>8} {:>8}",
                        wire.name(),
                        make.name(),
                        sender + receiver,
                        outcome.sent(),
                        outcome.lost()
                    );
                    sums[n].push(sender + receiver);
                }
            }
            let [ours, theirs] = sums.map(median);
            println!(
                "RESULT srt_cpu_{}_{rate}mbit_s_per_gb={ours:.2} srt_cpu_{}_{rate}mbit_libsrt={theirs:.2} \
                 srt_cpu_{}_{rate}mbit_ratio={:.3}",
                wire.name(),
                wire.name(),
                wire.name(),
                ours / theirs
            );
        }
    }
}

/// Mbit/s that are tried.
fn steps(first: f64, factor: f64) -> Vec<f64> {
    let mut steps = vec![first];
    while let Some(last) = steps.last().copied().filter(|last| *last < 8000.0) {
        steps.push((last * factor).round());
    }
    steps
}

pub fn highest_rate(plan: Plan) {
    let (first, factor, seconds) =
        if plan.is_short() { (400.0, 2.0, 1.0) } else { (200.0, 1.15, (plan.window / 2.0).min(5.0)) };
    println!("\nhighest rate at which everything arrives, one link, loopback: steps of {factor}, two attempts each");
    println!("{:>8} {:>8} {:>3} {:>10} {:>10}", "subject", "Mbit/s", "run", "sent", "lost");
    let mut highest = [Vec::new(), Vec::new()];
    for run in 1..=plan.repetitions {
        for (n, make) in BOTH.into_iter().enumerate() {
            let mut best = 0.0;
            'steps: for rate in steps(first, factor) {
                for attempt in [1, 2] {
                    let outcome = Wire::Loopback.run(make, rate * 1e6, seconds, BUFFER * 2);
                    // Whoever cannot keep up hands over less than was asked for.
                    let asked = rate * 1e6 * seconds / (1316.0 * 8.0);
                    let kept_up = outcome.sent() > asked * 0.98;
                    println!(
                        "{:>8} {rate:>8} {run:>3} {:>10} {:>10}{}",
                        make.name(),
                        outcome.sent(),
                        outcome.lost(),
                        if kept_up { "" } else { "  did not keep up" }
                    );
                    if kept_up && outcome.lost() == 0.0 && outcome.is_sound() {
                        best = rate;
                        break;
                    }
                    if attempt == 2 {
                        break 'steps;
                    }
                }
            }
            highest[n].push(best);
        }
    }
    let [ours, theirs] = highest.map(median);
    println!("RESULT srt_highest_mbit={ours} srt_highest_mbit_libsrt={theirs} srt_highest_ratio={:.2}", ours / theirs);
}
