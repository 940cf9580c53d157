//! Pure. An encoder, a narrow link and a queue, in virtual time.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Bitrate, Bounds, Load, Verdict};
use crate::clock;
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

/// One programme over one link.
struct World {
    bitrate: Bitrate,
    random: fastrand::Rng,
    began: Instant,
    frame: u64,
    encoder: f64,
    /// What has been made and not confirmed: when, and bytes.
    queue: VecDeque<(u64, f64)>,
    credit: f64,
    confirmed: f64,
    distance: Duration,
    skipped: u64,
    fell_out: u64,
    told: Vec<(u64, u32)>,
    longest: Duration,
}

impl World {
    fn new(distance: Duration, seed: u64) -> Self {
        Self {
            bitrate: Bitrate::new(BOUNDS),
            random: fastrand::Rng::with_seed(seed),
            began: clock::now(),
            frame: 0,
            encoder: f64::from(BOUNDS.ceiling),
            queue: VecDeque::new(),
            credit: 0.0,
            confirmed: 0.0,
            distance,
            skipped: 0,
            fell_out: 0,
            told: Vec::new(),
            longest: Duration::ZERO,
        }
    }

    fn waiting(&self) -> Duration {
        let oldest = self.queue.front().map_or(self.frame, |(made, _)| *made);
        FRAME * u32::try_from(self.frame - oldest).unwrap() + self.distance
    }

    /// Seconds over a link of `capacity` bit/s.
    fn pass(&mut self, seconds: u64, capacity: f64) {
        for _ in 0..seconds * 25 {
            self.frame += 1;
            let target = f64::from(self.bitrate.target());
            self.encoder += (target - self.encoder) * FOLLOWS;
            let mean = self.encoder / 8.0 / 25.0;
            let weight = if self.frame.is_multiple_of(GROUP) { KEY } else { 1.0 };
            let even = GROUP as f64 / (GROUP as f64 - 1.0 + KEY);
            let noise = 0.8 + 0.4 * self.random.f64();
            let sound = f64::from(BOUNDS.beside) / 8.0 / 25.0;
            self.queue.push_back((self.frame, mean * weight * even * noise + sound));
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
            if self.waiting() > RING {
                self.fell_out += self.queue.len() as u64;
                self.queue.clear();
            }
            self.longest = self.longest.max(self.waiting());
            if self.frame.is_multiple_of(12) {
                self.observe();
            }
        }
    }

    fn observe(&mut self) {
        let now = self.began + FRAME * u32::try_from(self.frame).unwrap();
        let output = OutputId::new("server").unwrap();
        let load = Load { output, session: 1, waiting: self.waiting(), confirmed: self.confirmed as u64 };
        for verdict in self.bitrate.observe(&[load], now) {
            match verdict {
                Verdict::Set { bitrate, .. } => self.told.push((self.frame / 25, bitrate)),
                Verdict::SkipAhead(_) => {
                    self.skipped += self.queue.len() as u64;
                    self.queue.clear();
                }
            }
        }
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
    for (seed, capacity) in [3_500_000.0, 3_000_000.0, 2_000_000.0, 1_500_000.0, 1_000_000.0].into_iter().enumerate() {
        let mut world = World::new(near(), seed as u64);
        world.pass(30, 6_000_000.0);
        world.pass(60, capacity);
        println!("{capacity}: {:?}, longest {:?}, told {:?}", world.bitrate.target(), world.longest, world.told);
        assert_eq!((world.skipped, world.fell_out), (0, 0), "{capacity}");
        assert!(world.waiting() < Duration::from_millis(1600), "{capacity}: {:?} wait a minute later", world.waiting());
        assert!((0.5..=1.0).contains(&world.ratio(capacity)), "{capacity}: {:?}", world.told);
        // And back.
        world.pass(120, 6_000_000.0);
        assert_eq!(world.bitrate.target(), BOUNDS.ceiling, "{:?}", world.told);
    }
}

#[test]
fn a_narrow_link_is_made_use_of_without_going_up_and_down_for_ever() {
    let mut world = World::new(near(), 7);
    world.pass(120, 2_000_000.0);
    let (before, mut sum) = (world.told.len(), 0.0);
    world.longest = Duration::ZERO;
    for _ in 0..600 {
        world.pass(1, 2_000_000.0);
        sum += world.ratio(2_000_000.0);
    }
    let changes = world.told.len() - before;
    println!("mean {:.2} of the capacity, {changes} changes in 10 min, longest {:?}", sum / 600.0, world.longest);
    assert!(sum / 600.0 > 0.7, "{}", sum / 600.0);
    assert!(changes <= 120, "{changes}");
    assert!(world.longest < Duration::from_secs(4), "{:?}", world.longest);
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
    println!("left out {}, fell out of the ring {}", world.skipped, world.fell_out);
    assert!(world.skipped > 0);
    world.pass(120, 6_000_000.0);
    assert_eq!(world.bitrate.target(), BOUNDS.ceiling);
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
            let target = world.bitrate.target();
            assert!((BOUNDS.floor..=BOUNDS.ceiling).contains(&target), "seed {seed}: {target}");
        }
        assert_eq!((world.skipped, world.fell_out), (0, 0), "seed {seed}: {:?}", world.told);
        worst = worst.max(world.longest);
    }
    println!("longest queue {worst:?}");
}
