//! Pure. An encoder, narrow links and their queues, a machine that becomes warm, in virtual time. Every change of bit rate is
//! held against the rules that are to hold whatever happens.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Because, Bitrate, Bounds, Ceiling, Load, MOST_TURNS, Verdict};
use crate::clock;
use crate::encode::table::{self, Change};
use crate::model::OutputId;

const BOUNDS: Bounds = Bounds { floor: 500_000, ceiling: 4_000_000, beside: 128_000 };
const FRAME: Duration = Duration::from_millis(40);
/// Frames between keyframes, each of which is as large as so many others.
const GROUP: u64 = 50;
const KEY: f64 = 12.0;
/// The share of the way to a new bit rate that an encoder goes with each frame: most of it within a second.
const FOLLOWS: f64 = 0.08;
/// Programme that the ring keeps.
const RING: Duration = Duration::from_secs(12);
/// Frames between two looks at the destinations.
const LOOK: u64 = 12;

/// The way to one destination.
struct Link {
    output: OutputId,
    distance: Duration,
    /// What has been made and not confirmed: when, and bytes.
    queue: VecDeque<(u64, f64)>,
    credit: f64,
    confirmed: f64,
    skipped: u64,
    fell_out: u64,
    longest: Duration,
}

impl Link {
    fn new(name: &str, distance: Duration) -> Self {
        let (queue, output) = (VecDeque::new(), OutputId::new(name).unwrap());
        let (credit, confirmed, longest) = (0.0, 0.0, Duration::ZERO);
        Self { output, distance, queue, credit, confirmed, skipped: 0, fell_out: 0, longest }
    }

    fn waiting(&self, frame: u64) -> Duration {
        let oldest = self.queue.front().map_or(frame, |(made, _)| *made);
        FRAME * u32::try_from(frame - oldest).unwrap() + self.distance
    }

    /// One frame more, over a link of `capacity` bit/s.
    fn carry(&mut self, frame: u64, bytes: f64, capacity: f64) {
        self.queue.push_back((frame, bytes));
        // Nothing that was not used is saved up.
        self.credit = (self.credit + capacity / 8.0 / 25.0).min(capacity / 8.0 / 5.0);
        while let Some((_, bytes)) = self.queue.front().filter(|(_, bytes)| *bytes <= self.credit) {
            (self.credit, self.confirmed) = (self.credit - bytes, self.confirmed + bytes);
            self.queue.pop_front();
        }
        if let Some((_, bytes)) = self.queue.front_mut() {
            *bytes -= self.credit;
            (self.credit, self.confirmed) = (0.0, self.confirmed + self.credit);
        }
        if self.waiting(frame) > RING {
            self.fell_out += self.queue.len() as u64;
            self.queue.clear();
        }
        self.longest = self.longest.max(self.waiting(frame));
    }
}

/// One programme over its links.
struct World {
    bitrate: Bitrate,
    factory: &'static str,
    random: fastrand::Rng,
    began: Instant,
    frame: u64,
    encoder: f64,
    /// Frames since the last keyframe.
    group: u64,
    links: Vec<Link>,
    heat: Option<Ceiling>,
    heat_since: u64,
    told: Vec<(u64, u32)>,
    changes: Vec<(Instant, u32, u32)>,
    /// Keyframes that changes have cost.
    keyframes: u64,
}

impl World {
    fn new(distance: Duration, seed: u64) -> Self {
        Self::of("x264enc", &[distance], seed)
    }

    fn of(factory: &'static str, distances: &[Duration], seed: u64) -> Self {
        let mut bitrate = Bitrate::new(BOUNDS);
        bitrate.encoded_by([factory].into_iter());
        let links = distances.iter().enumerate().map(|(n, distance)| Link::new(&format!("server{n}"), *distance));
        Self {
            bitrate,
            factory,
            random: fastrand::Rng::with_seed(seed),
            began: clock::now(),
            frame: 0,
            encoder: f64::from(BOUNDS.ceiling),
            group: 0,
            links: links.collect(),
            heat: None,
            heat_since: 0,
            told: Vec::new(),
            changes: Vec::new(),
            keyframes: 0,
        }
    }

    fn now(&self) -> Instant {
        self.began + FRAME * u32::try_from(self.frame).unwrap()
    }

    fn waiting(&self) -> Duration {
        self.links.iter().map(|link| link.waiting(self.frame)).max().unwrap()
    }

    fn longest(&self) -> Duration {
        self.links.iter().map(|link| link.longest).max().unwrap()
    }

    /// Left out on purpose, and fallen out of the ring.
    fn lost(&self) -> (u64, u64) {
        (self.links.iter().map(|link| link.skipped).sum(), self.links.iter().map(|link| link.fell_out).sum())
    }

    fn heat(&mut self, permille: Option<u32>) {
        self.heat = permille.map(|permille| Ceiling { permille, because: "warm".to_owned() });
        self.heat_since = self.frame;
    }

    /// Seconds over links that are all of `capacity` bit/s.
    fn pass(&mut self, seconds: u64, capacity: f64) {
        let capacities = vec![capacity; self.links.len()];
        self.pass_over(seconds, &capacities);
    }

    fn pass_over(&mut self, seconds: u64, capacities: &[f64]) {
        for _ in 0..seconds * 25 {
            self.frame += 1;
            let target = f64::from(self.bitrate.target());
            self.encoder += (target - self.encoder) * FOLLOWS;
            let mean = self.encoder / 8.0 / 25.0;
            self.group += 1;
            let is_key = self.group >= GROUP;
            if is_key {
                self.group = 0;
            }
            let weight = if is_key { KEY } else { 1.0 };
            let even = GROUP as f64 / (GROUP as f64 - 1.0 + KEY);
            let noise = 0.8 + 0.4 * self.random.f64();
            let sound = f64::from(BOUNDS.beside) / 8.0 / 25.0;
            let bytes = mean * weight * even * noise + sound;
            for (link, capacity) in self.links.iter_mut().zip(capacities) {
                link.carry(self.frame, bytes, *capacity);
            }
            if self.frame.is_multiple_of(LOOK) {
                self.observe();
            }
        }
    }

    fn observe(&mut self) {
        let (now, frame) = (self.now(), self.frame);
        let load = |link: &Link| {
            let (waiting, confirmed) = (link.waiting(frame), link.confirmed as u64);
            Load { output: link.output.clone(), session: 1, waiting, confirmed }
        };
        let loads: Vec<Load> = self.links.iter().map(load).collect();
        let heat = self.heat.clone();
        for verdict in self.bitrate.observe(&loads, heat.as_ref(), now) {
            match verdict {
                Verdict::Set { bitrate, was, because } => self.changed(was, bitrate, &because),
                Verdict::SkipAhead(output) => {
                    let link = self.links.iter_mut().find(|link| link.output == output).unwrap();
                    link.skipped += link.queue.len() as u64;
                    link.queue.clear();
                }
            }
        }
        self.check();
    }

    fn changed(&mut self, was: u32, bitrate: u32, because: &Because) {
        let Some((_, element)) = table::element(self.factory) else { panic!("the table has no {}", self.factory) };
        let (pace, now) = (element.bitrate.pace, self.now());
        let (at, what) = (self.frame / 25, format!("{} {because:?}", self.factory));
        if let Some((before, ..)) = self.changes.last() {
            let pause = now - *before;
            let least = if matches!(because, Because::Tight { .. }) { pace.urgent } else { pace.every };
            assert!(pause >= least, "{at} s: {pause:?} after the one before, {what}");
            if pause < pace.every {
                assert!(self.waiting() >= super::URGENT, "{at} s: earlier than usual without need, {what}");
            }
        }
        let heat = self.heat.as_ref().map(|heat| heat.of(BOUNDS.ceiling));
        let is_end = [BOUNDS.floor, BOUNDS.ceiling].contains(&bitrate) || Some(bitrate) == heat;
        let permille = u64::from(bitrate.abs_diff(was)) * 1000 / u64::from(was);
        assert!(is_end || permille >= u64::from(pace.step_permille), "{at} s: {was} to {bitrate}, {what}");
        self.changes.push((now, was, bitrate));
        self.told.push((at, bitrate));
        let is_first = self.changes.len() == 1;
        let change = element.bitrate.change;
        if change == Change::Keyframe || (change == Change::FirstKeyframe && is_first) {
            self.keyframes += 1;
            self.group = GROUP;
        }
    }

    /// What holds at every moment.
    fn check(&self) {
        let (target, at) = (self.bitrate.target(), self.frame / 25);
        assert!((BOUNDS.floor..=BOUNDS.ceiling).contains(&target), "{at} s: {target}");
        let pace = table::element(self.factory).unwrap().1.bitrate.pace;
        // It is obeyed as soon as the encoder may be told, which is looked for at each look.
        let told_for = FRAME * u32::try_from(self.frame - self.heat_since).unwrap();
        if let Some(heat) = self.heat.as_ref().filter(|_| told_for > pace.every + 2 * FRAME * LOOK as u32) {
            assert!(target <= heat.of(BOUNDS.ceiling), "{at} s: {target} with {} ‰", heat.permille);
        }
        let minute = |(then, ..): &&(Instant, u32, u32)| self.now() - *then < Duration::from_secs(60);
        let recent: Vec<bool> = self.changes.iter().filter(minute).map(|(_, was, rate)| rate > was).collect();
        let turns = recent.windows(2).filter(|pair| pair[0] != pair[1]).count();
        assert!(turns <= MOST_TURNS, "{at} s: {turns} turns in a minute: {:?}", self.told);
    }

    fn ratio(&self, capacity: f64) -> f64 {
        (f64::from(self.bitrate.target()) + f64::from(BOUNDS.beside)) / capacity
    }
}

fn near() -> Duration {
    Duration::from_millis(60)
}

#[test]
fn a_link_that_bears_it_is_left_alone() {
    for distance in [20, 60, 300, 650] {
        let mut world = World::new(Duration::from_millis(distance), distance);
        world.pass(600, 4_700_000.0);
        assert_eq!(world.told, [], "{distance} ms away");
    }
}

#[test]
fn a_link_that_becomes_narrow_is_followed_and_loses_nothing() {
    for factory in ["x264enc", "nvh264enc", "x265enc"] {
        let capacities = [3_500_000.0, 3_000_000.0, 2_000_000.0, 1_500_000.0, 1_000_000.0];
        for (seed, capacity) in capacities.into_iter().enumerate() {
            let mut world = World::of(factory, &[near()], seed as u64);
            world.pass(30, 6_000_000.0);
            world.pass(60, capacity);
            let (target, longest) = (world.bitrate.target(), world.longest());
            println!("{factory} {capacity}: {target:?}, longest {longest:?}, told {:?}", world.told);
            assert_eq!(world.lost(), (0, 0), "{factory} {capacity}");
            let waits = world.waiting();
            assert!(waits < Duration::from_millis(1600), "{factory} {capacity}: {waits:?} wait a minute later");
            assert!((0.5..=1.0).contains(&world.ratio(capacity)), "{factory} {capacity}: {:?}", world.told);
            // And back.
            world.pass(120, 6_000_000.0);
            assert_eq!(world.bitrate.target(), BOUNDS.ceiling, "{:?}", world.told);
        }
    }
}

#[test]
fn a_narrow_link_is_made_use_of_without_going_up_and_down_for_ever() {
    for (factory, most_changes) in [("x264enc", 120), ("x265enc", 120)] {
        let mut world = World::of(factory, &[near()], 7);
        world.pass(120, 2_000_000.0);
        let (before, mut sum) = (world.told.len(), 0.0);
        world.links[0].longest = Duration::ZERO;
        for _ in 0..600 {
            world.pass(1, 2_000_000.0);
            sum += world.ratio(2_000_000.0);
        }
        let changes = world.told.len() - before;
        let (mean, longest) = (sum / 600.0, world.longest());
        println!("{factory}: mean {mean:.2} of the capacity, {changes} changes in 10 min, longest {longest:?}");
        assert!(mean > 0.7, "{factory}: {mean}");
        assert!(changes <= most_changes, "{factory}: {changes}");
        assert!(longest < Duration::from_secs(4), "{factory}: {longest:?}");
    }
}

#[test]
fn holes_are_no_narrow_link() {
    let mut world = World::new(near(), 3);
    for _ in 0..40 {
        world.pass(14, 7_000_000.0);
        world.pass(1, 0.0);
    }
    assert_eq!(world.told, []);
    // One that is not a hole any more: judges of links deal with it, and nothing is learnt from it.
    world.pass(5, 0.0);
    world.pass(60, 7_000_000.0);
    assert_eq!(world.told, []);
}

#[test]
fn below_the_floor_whole_groups_are_left_out_and_what_is_sent_is_the_present() {
    let mut world = World::new(near(), 5);
    world.pass(20, 6_000_000.0);
    world.pass(120, 350_000.0);
    assert_eq!(world.bitrate.target(), BOUNDS.floor);
    println!("left out and fallen out of the ring {:?}", world.lost());
    assert!(world.lost().0 > 0);
    world.pass(120, 6_000_000.0);
    assert_eq!(world.bitrate.target(), BOUNDS.ceiling);
}

#[test]
fn heat_and_a_narrow_link_together_leave_the_least_of_both() {
    for factory in ["x264enc", "vah264enc"] {
        let mut world = World::of(factory, &[near()], 11);
        world.pass(20, 6_000_000.0);
        for permille in [900, 800, 700] {
            world.heat(Some(permille));
            world.pass(20, 6_000_000.0);
            assert_eq!(world.bitrate.target(), BOUNDS.ceiling / 1000 * permille, "{factory}");
        }
        world.pass(60, 2_000_000.0);
        assert!(world.bitrate.target() < 1_900_000, "{factory}: {:?}", world.told);
        world.pass(90, 6_000_000.0);
        assert_eq!(world.bitrate.target(), 2_800_000, "{factory}: as far as heat lets it: {:?}", world.told);
        world.heat(None);
        world.pass(10, 6_000_000.0);
        assert_eq!((world.bitrate.target(), world.lost()), (BOUNDS.ceiling, (0, 0)), "{factory}");
    }
}

#[test]
fn an_encoder_that_takes_no_other_bit_rate_is_left_alone() {
    let mut world = World::of("svtav1enc", &[near()], 13);
    world.heat(None);
    world.pass(60, 2_000_000.0);
    assert_eq!((world.told.len(), world.bitrate.target()), (0, BOUNDS.ceiling));
    assert!(world.lost().1 > 0, "the ring is all there is then");
}

#[test]
fn over_links_that_change_at_random_the_bounds_hold_and_what_fits_is_not_lost() {
    let mut worst = Duration::ZERO;
    for seed in 0..200 {
        let mut world = World::new(Duration::from_millis(20 + seed % 5 * 60), seed);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut capacity = 6_000_000.0;
        for _ in 0..40 {
            // No more than halved at a time: what a radio link does within some seconds.
            capacity = (capacity * (0.6 + 0.8 * random.f64())).clamp(900_000.0, 8_000_000.0);
            world.pass(random.u64(5..20), capacity);
        }
        assert_eq!(world.lost(), (0, 0), "seed {seed}: {:?}", world.told);
        worst = worst.max(world.longest());
    }
    println!("longest queue {worst:?}");
}

/// Every family, one to three destinations, links and heat as chance has them: the rules of [`World::check`] hold at each look.
#[test]
fn with_any_encoder_any_links_and_any_heat_the_rules_of_its_steps_hold() {
    let (mut most, mut worst) = (0, (Duration::ZERO, "", 0));
    for seed in 0..120 {
        let mut random = fastrand::Rng::with_seed(seed);
        let factory = ["x264enc", "openh264enc", "x265enc", "vah264enc", "nvh264enc", "mpph264enc"][random.usize(0..6)];
        let distances: Vec<_> = (0..random.usize(1..4)).map(|_| Duration::from_millis(random.u64(20..400))).collect();
        let mut world = World::of(factory, &distances, seed);
        let mut capacities = vec![6_000_000.0; distances.len()];
        for _ in 0..40 {
            for capacity in &mut capacities {
                *capacity = (*capacity * (0.6 + 0.8 * random.f64())).clamp(900_000.0, 8_000_000.0);
            }
            if random.u8(0..4) == 0 {
                let permille = random.u32(0..6) * 100 + 500;
                world.heat((permille < 1000).then_some(permille));
            }
            world.pass_over(random.u64(3..20), &capacities);
        }
        let per_minute = world.keyframes as f64 / (world.frame as f64 / 25.0 / 60.0);
        assert!(per_minute <= 15.0, "seed {seed}, {factory}: {per_minute:.1} keyframes a minute");
        assert_eq!(world.lost(), (0, 0), "seed {seed}, {factory}: {:?}", world.told);
        most = most.max(world.changes.len());
        worst = worst.max((world.longest(), factory, seed));
    }
    println!("{most} changes at most in some 8 min, longest queue {worst:?}");
}
