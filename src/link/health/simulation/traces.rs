//! What was measured on real dishes and modems, replayed: how often a link that lives would have been called dead, and when
//! a dead one was. The same with half and twice the thresholds, which is why they are what they are.
//!
//! A hole of over a second is a true death, and a verdict outside of such a hole is false. For that, holes with less than
//! [`TOGETHER`] between them are one: no probe may have fallen there. Each trace is replayed twice: pinned, so that a session
//! stays on the link and every hole is judged, and with a second link to go to, as it is used. A session that is being made
//! anew, after a hole that ended the last one, is no witness: what dies then is found by the probes alone, in their time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::checker::{Told, Turn};
use super::line::{MS, S, Trouble, Us};
use super::story::{Kind, Story, Uplink};
use super::{epoch, setting, tell};
use crate::link::health::path::MOST_IN_A_MINUTE;
use crate::link::health::{LinkClass, Thresholds};

const FILES: [&str; 5] = [
    include_str!("../../../../tests/fixtures/traces/starlink-victoria.txt"),
    include_str!("../../../../tests/fixtures/traces/starlink-obstructed.txt"),
    include_str!("../../../../tests/fixtures/traces/starlink-ship.txt"),
    include_str!("../../../../tests/fixtures/traces/5g-vehicle.txt"),
    include_str!("../../../../tests/fixtures/traces/lte-driving.txt"),
];

/// A trace begins so late: the link is trusted by then.
const LEAD: Us = 10 * S;
/// Holes that are closer to each other are one.
const TOGETHER: Us = 200 * MS;
/// Longer holes are true deaths.
const DEATH: Us = S;
/// A verdict may be so much later than the time of detection: probes and figures come at their own times.
const LATE: Us = 200 * MS;
/// Nothing of a hole is seen any more so long after its end and a round trip.
const OVER: Us = 300 * MS;

/// What was measured of one link.
#[derive(Debug)]
struct Trace {
    name: &'static str,
    class: LinkClass,
    length: Us,
    /// Round trips, from when on.
    rtt: Vec<(Us, Us)>,
    /// Shares of lost packets, from when on.
    loss: Vec<(Us, f64)>,
    holes: Vec<(Us, Us, Trouble)>,
}

impl Trace {
    fn all() -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for line in FILES.iter().flat_map(|text| text.lines()) {
            let mut words = line.split_whitespace();
            let Some(kind) = words.next().filter(|word| !word.starts_with('#')) else { continue };
            if kind == "trace" {
                let name = words.next().unwrap();
                let class = words.next().unwrap();
                let class = LinkClass::ALL.into_iter().find(|known| known.to_string().eq_ignore_ascii_case(class));
                let length = LEAD + words.next().unwrap().parse::<Us>().unwrap() * MS;
                let (rtt, loss, holes) = Default::default();
                all.push(Self { name, class: class.unwrap(), length, rtt, loss, holes });
                continue;
            }
            let trace = all.last_mut().unwrap();
            for word in words {
                let (at, what) = word.split_once(['=', '+']).unwrap();
                let (at, what) = (LEAD + at.parse::<Us>().unwrap() * MS, what.parse::<u32>().unwrap());
                let until = at + Us::from(what) * MS;
                match kind {
                    "rtt" => trace.rtt.push((at, Us::from(what) * MS)),
                    "loss" => trace.loss.push((at, f64::from(what) / 100.0)),
                    "hole" => trace.holes.push((at, until, Trouble::Hole)),
                    "up" => trace.holes.push((at, until, Trouble::HoleForward)),
                    "down" => trace.holes.push((at, until, Trouble::HoleBack)),
                    other => panic!("{other}: unknown"),
                }
            }
        }
        all
    }

    fn uplink(&self, row: &'static Thresholds) -> Uplink {
        let least = self.rtt.iter().map(|(_, rtt)| *rtt).min().unwrap();
        let mut uplink = Uplink { row, ..Uplink::quiet(self.class, least / 2 / MS) };
        uplink.troubles.clone_from(&self.holes);
        for (index, (from, rtt)) in self.rtt.iter().enumerate() {
            let until = self.rtt.get(index + 1).map_or(self.length, |(at, _)| *at);
            uplink.troubles.push((*from, until, Trouble::Slow(rtt - least)));
        }
        for (index, (from, loss)) in self.loss.iter().enumerate() {
            let until = self.loss.get(index + 1).map_or(self.length, |(at, _)| *at);
            // Of probes that went there and back.
            uplink.troubles.push((*from, until, Trouble::Loss(1.0 - (1.0 - loss).sqrt())));
        }
        uplink
    }

    /// When nothing went there and back. What is closer together than `together` is one.
    fn gaps(&self, together: Us) -> Vec<(Us, Us)> {
        let mut holes: Vec<(Us, Us)> = self.holes.iter().map(|(from, until, _)| (*from, *until)).collect();
        holes.sort_unstable();
        let mut gaps: Vec<(Us, Us)> = Vec::new();
        for (from, until) in holes {
            match gaps.last_mut() {
                Some(last) if from < last.1 + together => last.1 = last.1.max(until),
                Some(_) | None => gaps.push((from, until)),
            }
        }
        gaps
    }

    fn slowest(&self) -> Us {
        self.rtt.iter().map(|(_, rtt)| *rtt).max().unwrap()
    }

    /// `kind` says whether there is a second link, quiet, to go to.
    fn replay(&self, row: &'static Thresholds, kind: Kind) -> Told {
        let mut links = vec![self.uplink(row)];
        if kind != Kind::Pinned {
            links.push(Uplink::quiet(LinkClass::Ethernet, 15));
        }
        tell(Story { kind, length: self.length, ..Story::quiet(links) }, epoch()).1
    }

    fn figures(&self, row: &'static Thresholds) -> Figures {
        let (pinned, used) = (self.replay(row, Kind::Pinned), self.replay(row, Kind::Failover));
        let mut figures = Figures {
            length: self.length,
            alarms: used.alarms,
            switches: used.switches,
            most_in_a_minute: used.most_in_a_minute,
            stalled: used.stalled,
            ..Figures::default()
        };
        let gaps = self.gaps(TOGETHER);
        let covers = |at: Us| {
            let over = OVER + self.slowest();
            gaps.iter().any(|(from, until)| until - from > DEATH && *from <= at && at <= until + over)
        };
        for told in [&pinned, &used] {
            let of_link = told.turns.iter().filter(|(_, link, turn)| *link == 0 && *turn == Turn::Dead);
            figures.wrong.extend(of_link.map(|(at, ..)| *at).filter(|at| !covers(*at)));
        }
        // The bounds for the thresholds as they are: what is asked of half and twice of them is the same.
        let row = self.class.thresholds();
        let (dead, alone) = (us(row.dead) + LATE, us(row.alone) + LATE);
        for (from, until) in &self.gaps(1) {
            let witnessed = pinned.carried.iter().any(|(begun, over)| *begun + S <= *from && from + dead <= *over);
            match until - from {
                lasts if lasts <= 400 * MS => {}
                lasts if lasts <= DEATH => figures.short += 1,
                lasts if lasts <= dead => figures.between += 1,
                _ if witnessed => figures.dies(&pinned, *from, *until, dead),
                lasts if lasts <= alone => figures.unwitnessed += 1,
                _ => figures.dies(&pinned, *from, *until, alone),
            }
        }
        figures.suspect = suspect(&pinned);
        figures
    }
}

/// What a replay came to, or several.
#[derive(Clone, Debug, Default)]
struct Figures {
    length: Us,
    /// Holes of 0.4 to 1 s, and longer ones that are over before they could be found.
    short: usize,
    between: usize,
    /// Longer ones: how soon each was found, those that were not found in time, those that began while the link was dead, and
    /// those that were over before the probes alone could find them.
    found: Vec<Us>,
    missed: Vec<(Us, Us)>,
    known: usize,
    unwitnessed: usize,
    /// Verdicts without a true death, of both replays.
    wrong: Vec<Us>,
    suspect: Us,
    /// With a link to go to: how often its session was made ready for an alarm, how often it was gone to or back.
    alarms: u64,
    switches: u64,
    most_in_a_minute: usize,
    /// For how long the stream stood still.
    stalled: Us,
}

impl Figures {
    /// A hole that is a death: whether and when it was found.
    fn dies(&mut self, told: &Told, from: Us, until: Us, bound: Us) {
        let turns = || told.turns.iter().filter(|(_, _, turn)| matches!(turn, Turn::Dead | Turn::Returned));
        // What is said of the hole before comes in a moment after it.
        let before = turns().rfind(|(at, ..)| *at < from + OVER);
        let found = turns().find(|(at, _, turn)| *turn == Turn::Dead && (from + OVER..=until).contains(at));
        match (before, found) {
            (Some((_, _, Turn::Dead)), _) => self.known += 1,
            (_, Some((at, ..))) if at - from <= bound => self.found.push(at - from),
            (_, _) => self.missed.push((from, until)),
        }
    }

    fn add(&mut self, other: &Self) {
        self.length += other.length;
        self.short += other.short;
        self.between += other.between;
        self.found.extend(&other.found);
        self.missed.extend(&other.missed);
        self.known += other.known;
        self.unwitnessed += other.unwitnessed;
        self.wrong.extend(&other.wrong);
        self.suspect += other.suspect;
        self.alarms += other.alarms;
        self.switches += other.switches;
        self.most_in_a_minute = self.most_in_a_minute.max(other.most_in_a_minute);
        self.stalled += other.stalled;
    }
}

const HEAD: &str = "min | holes of 0.4-1 s | -1.4 s | longer | found | median | most ms | missed | known | no session | \
                    false deaths | suspect s | alarms | changes | a minute | stalled s";

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut found = self.found.clone();
        found.sort_unstable();
        let longer = found.len() + self.missed.len() + self.known + self.unwitnessed;
        let median = found.get(found.len() / 2).map_or(0, |us| us / MS);
        let most = found.last().map_or(0, |us| us / MS);
        write!(
            f,
            "{:3} | {:17} | {:6} | {longer:6} | {:5} | {median:6} | {most:7} | {:6} | {:5} | {:10} | {:12} | {:9.1} | {:6} | \
             {:7} | {:8} | {:9.1}",
            self.length / (60 * S),
            self.short,
            self.between,
            found.len(),
            self.missed.len(),
            self.known,
            self.unwitnessed,
            self.wrong.len(),
            self.suspect as f64 / 1e6,
            self.alarms,
            self.switches,
            self.most_in_a_minute,
            self.stalled as f64 / 1e6,
        )
    }
}

/// For how long the link was suspect.
fn suspect(told: &Told) -> Us {
    let (mut sum, mut since) = (0, None);
    for (at, link, turn) in &told.turns {
        match turn {
            Turn::Suspect if *link == 0 => since = since.or(Some(*at)),
            Turn::Cleared | Turn::Dead if *link == 0 => sum += since.take().map_or(0, |since| at - since),
            Turn::Suspect | Turn::Cleared | Turn::Dead | Turn::Returned => {}
        }
    }
    sum
}

fn us(duration: Duration) -> Us {
    duration.as_micros() as Us
}

/// A class's thresholds, of each silence so many per cent.
fn scaled(class: LinkClass, per_cent: u32) -> &'static Thresholds {
    let row = class.thresholds();
    let scale = |time: Duration| time * per_cent / 100;
    let (suspect, dead, alone, broken) = (scale(row.suspect), scale(row.dead), scale(row.alone), scale(row.broken));
    Box::leak(Box::new(Thresholds { suspect, dead, alone, broken, ..*row }))
}

/// All traces with these thresholds, on all cores.
fn replay(per_cent: u32) -> Vec<(Trace, Figures)> {
    let (traces, next) = (Trace::all(), AtomicUsize::new(0));
    let work = || {
        let mut done = Vec::new();
        while let Some(trace) = traces.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push((trace.name, trace.figures(scaled(trace.class, per_cent))));
        }
        done
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let mut figures: BTreeMap<&str, Figures> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    traces.into_iter().filter_map(|trace| figures.remove(trace.name).map(|figures| (trace, figures))).collect()
}

fn sum(replays: &[(Trace, Figures)]) -> Figures {
    let mut sum = Figures::default();
    replays.iter().for_each(|(_, figures)| sum.add(figures));
    sum
}

#[test]
fn no_living_link_of_the_traces_is_called_dead_and_every_dead_one_is_found() {
    let replays = replay(100);
    println!("{:18} {HEAD}", "");
    for (trace, figures) in &replays {
        println!("{:18} {figures}", trace.name);
    }
    println!("{:18} {}", "all", sum(&replays));
    for (trace, figures) in &replays {
        let (name, row) = (trace.name, trace.class.thresholds());
        assert!(figures.wrong.is_empty(), "{name}: false deaths: {:?}", figures.wrong);
        assert!(figures.missed.is_empty(), "{name}: deaths that were not found: {:?}", figures.missed);
        assert!(figures.most_in_a_minute <= MOST_IN_A_MINUTE as usize, "{name}");
        // Away and back, once a probation.
        let most = 2 * (1 + trace.length / us(row.probation));
        assert!(figures.switches <= most, "{name}: {} changes of route, at most {most}", figures.switches);
    }
}

#[test]
fn shorter_silences_kill_the_living_and_longer_ones_keep_the_dead() {
    println!("{:18} {HEAD}", "");
    let [half, whole, twice] = [50, 100, 200].map(|per_cent| {
        let figures = sum(&replay(per_cent));
        println!("{:18} {figures}", format!("{per_cent} %"));
        figures
    });
    // Told in full only where there is time, as in `make simulate`.
    let more: &[u32] = if setting("HOLDFAST_SEEDS", 0) > 0 { &[75, 85, 150] } else { &[] };
    for &per_cent in more {
        println!("{:18} {}", format!("{per_cent} %"), sum(&replay(per_cent)));
    }
    assert!(half.wrong.len() > whole.wrong.len());
    assert!(twice.missed.len() > whole.missed.len() && twice.stalled > whole.stalled);
}
