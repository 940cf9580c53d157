//! Two ends and N cables in virtual time: named scenarios, and thousands of stories drawn from seeds, under the same rules.
//!
//! | rule | looked at |
//! |---|---|
//! | nothing is delivered twice, out of order, or changed | every delivery |
//! | what is skipped is told | every delivery |
//! | everything is played at its time | every delivery |
//! | nothing is lost if a clean path could bring it in time | every packet, the last ones too |
//! | buffers keep nothing that nobody can use | every 50 ms |
//! | no busy loop: a deadline is in the future once everything is out, and wakes are few | every step |
//! | switches per minute are bounded | every switch |
//! | the same seed tells the same story | the digest of all datagrams and deliveries |
//!
//! `HOLDFAST_SEEDS=50000` tries more stories; `HOLDFAST_SEED=76 HOLDFAST_SEEDS=1` tells one.
#![allow(clippy::unwrap_used, clippy::panic)]

mod checker;
mod clock;
mod end;
mod payload;
mod planted;
mod scenarios;
mod story;
mod world;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use crate::bonding::Policy;
use crate::netem::Conditions;
use story::Story;
use world::{World, ms};

#[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
fn epoch() -> Instant {
    Instant::now()
}

/// What a run came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Told {
    digest: u64,
    offered: u64,
    missing: u64,
    sent: u64,
    /// Of every 16th packet: those that had to arrive, and all.
    promised: (u64, u64),
}

impl Told {
    fn of(world: &World) -> Self {
        let check = &world.check;
        let missing = check.missing.len() as u64;
        let (digest, sent, promised) = (check.digest, check.sent, check.promised);
        Self { digest, offered: check.delivered + missing, missing, sent, promised }
    }

    fn add(&mut self, other: Self) {
        self.digest = self.digest.wrapping_add(other.digest);
        self.offered += other.offered;
        self.missing += other.missing;
        self.sent += other.sent;
        self.promised = (self.promised.0 + other.promised.0, self.promised.1 + other.promised.1);
    }
}

fn tell(story: Story, begin: Instant) -> Told {
    if story.tells {
        println!("{story:#?}");
    }
    let mut world = World::new(story, begin);
    world.run();
    Told::of(&world)
}

fn setting(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|s| s.parse().ok()).unwrap_or(otherwise)
}

/// Tells the stories of these seeds on all cores: the sum of what they came to, and the seeds that broke a rule; enough
/// when there are some.
fn tell_all(seeds: std::ops::Range<u64>) -> (Told, Vec<u64>) {
    const ENOUGH: usize = 20;
    let (next, failures) = (AtomicU64::new(seeds.start), AtomicUsize::new(0));
    let begin = epoch();
    let work = || {
        let (mut sum, mut failed) = (Told::default(), Vec::new());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failures.load(Ordering::Relaxed) >= ENOUGH {
                return (sum, failed);
            }
            let run = std::panic::AssertUnwindSafe(|| tell(Story::random(seed), begin));
            match std::panic::catch_unwind(run) {
                Ok(told) => sum.add(told),
                Err(_) => {
                    failures.fetch_add(1, Ordering::Relaxed);
                    failed.push(seed);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
    let (mut sum, mut failed) = (Told::default(), Vec::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            let (of_thread, failed_there) = thread.join().unwrap();
            sum.add(of_thread);
            failed.extend(failed_there);
        }
    });
    failed.sort_unstable();
    (sum, failed)
}

#[test]
fn every_rule_holds_in_stories_drawn_from_seeds() {
    let (first, seeds) = (setting("HOLDFAST_SEED", 0), setting("HOLDFAST_SEEDS", 200));
    let (sum, failed) = tell_all(first..first + seeds);
    assert!(failed.is_empty(), "the stories of these seeds broke a rule, see above: {failed:?}");
    println!(
        "{seeds} stories: {} packets offered, {} % of them promised, {} missing that were not; {} datagrams, digest {:016x}",
        sum.offered,
        100 * sum.promised.0 / sum.promised.1.max(1),
        sum.missing,
        sum.sent,
        sum.digest
    );
}

#[test]
fn the_same_seed_tells_the_same_story() {
    // At different times, which must not matter.
    for seed in [1, 2, 3, 4] {
        let begin = epoch();
        assert_eq!(tell(Story::random(seed), begin), tell(Story::random(seed), begin + ms(12_345)), "seed {seed}");
    }
    assert_ne!(tell(Story::random(1), epoch()).digest, tell(Story::random(2), epoch()).digest);
}

#[test]
fn a_quiet_line_delivers_everything_at_its_time() {
    for policy in [Policy::Single, Policy::Broadcast] {
        let cables = vec![Conditions::delayed(ms(20)); if policy == Policy::Single { 1 } else { 2 }];
        let told = tell(Story::quiet(policy, &cables), epoch());
        assert_eq!(told.missing, 0);
        assert!(told.offered > 1400, "{told:?}");
    }
}
