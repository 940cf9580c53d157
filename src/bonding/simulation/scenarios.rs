//! Incidents, each as it would be reported: what the lines were like, what happened to them, and what came of it. The
//! rules of the checker hold in all of them.

use std::time::Duration;

use super::epoch;
use super::story::{Peer, Story};
use super::world::{World, ms};
use crate::bonding::Policy;
use crate::netem::{Conditions, Jitter, Loss};

/// Lines with these one-way delays, ms.
fn lines(delays: &[u64]) -> Vec<Conditions> {
    delays.iter().map(|delay| Conditions::delayed(ms(*delay))).collect()
}

/// Tells a story to its end.
fn run(story: Story) -> World {
    let mut world = World::new(Story { tells: std::env::var_os("HOLDFAST_TELLS").is_some(), ..story }, epoch());
    world.run();
    world
}

/// Tells it, and lets nothing be lost.
fn run_lossless(story: Story) -> World {
    let world = run(story);
    let missing = &world.check.missing;
    assert!(missing.is_empty(), "{} are missing: {:?} ...", missing.len(), &missing[..missing.len().min(5)]);
    world
}

const HOLDFAST_AND_LIBSRT: [Peer; 3] = [Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)];

#[test]
fn the_main_line_falls_silent_both_ways() {
    for peer in HOLDFAST_AND_LIBSRT {
        for delay in [5, 20, 50] {
            let story = Story { peer, ..Story::quiet(Policy::Backup, &lines(&[delay, delay])) };
            let world = run_lossless(story.with(&[(3000, 0, "hole")]));
            assert_eq!(world.check.switches.len(), 1, "{peer:?}");
        }
    }
}

#[test]
fn the_main_line_falls_silent_forward_only() {
    for peer in HOLDFAST_AND_LIBSRT {
        let story = Story { peer, ..Story::quiet(Policy::Backup, &lines(&[20, 20])) };
        let world = run_lossless(story.with(&[(3000, 0, "hole forward")]));
        assert_eq!(world.check.switches.len(), 1, "{peer:?}");
    }
}

#[test]
fn only_answers_are_lost() {
    // Whatever is made of it, nothing may be lost.
    let story = Story::quiet(Policy::Backup, &lines(&[20, 20]));
    let world = run_lossless(story.with(&[(2000, 0, "hole back"), (3500, 0, "heal")]));
    assert!(world.check.switches.len() <= 1);
}

#[test]
fn a_cable_is_pulled_and_put_in_again() {
    let quiet = Story::quiet(Policy::Backup, &lines(&[10, 40]));
    let story = Story { hears_of_carriers: true, length: ms(25_000), ..quiet };
    let world = run_lossless(story.with(&[(3000, 0, "cut"), (6000, 0, "heal")]));
    // To the spare at once, and back after its probation.
    assert_eq!(world.check.switches.len(), 2);
    assert!(world.check.switches[1] - world.check.switches[0] >= crate::bonding::PROBATION);
}

#[test]
fn the_main_line_becomes_narrow() {
    // From plenty to two thirds of what is needed, with a queue of 100 ms before it.
    let quiet = Story::quiet(Policy::Backup, &lines(&[20, 20]));
    let world = run_lossless(Story { length: ms(9000), ..quiet }.with(&[(3000, 0, "rate 2M queue 100ms forward")]));
    assert_eq!(world.check.switches.len(), 1);
}

#[test]
pub(super) fn the_main_line_becomes_narrow_with_a_bloated_queue() {
    let quiet = Story { latency: ms(1000), length: ms(9000), ..Story::quiet(Policy::Backup, &lines(&[20, 20])) };
    let world = run_lossless(quiet.with(&[(3000, 0, "rate 2M queue 1s forward")]));
    assert_eq!(world.check.switches.len(), 1);
}

#[test]
fn a_spare_dies_unnoticed_before_it_is_needed() {
    // The third line has to do it.
    let story = Story::quiet(Policy::Backup, &lines(&[20, 20, 20]));
    run_lossless(story.with(&[(2000, 1, "hole"), (4000, 0, "hole")]));
}

#[test]
fn a_shared_tower_takes_two_of_three_lines_at_once() {
    for policy in [Policy::Backup, Policy::Broadcast] {
        let story = Story::quiet(policy, &lines(&[20, 30, 60]));
        run_lossless(story.with(&[(2500, 0, "hole"), (2500, 1, "hole")]));
    }
}

#[test]
fn one_of_two_lines_is_cut_under_broadcast() {
    for peer in HOLDFAST_AND_LIBSRT {
        let quiet = Story { peer, ..Story::quiet(Policy::Broadcast, &lines(&[20, 60])) };
        let steps = [(2000, 0, "cut"), (3000, 0, "heal"), (4000, 1, "hole forward"), (4500, 1, "heal")];
        run_lossless(quiet.with(&steps));
    }
}

/// Nothing comes behind it that would show what is missing.
#[test]
pub(super) fn the_end_of_the_stream_is_lost() {
    for peer in HOLDFAST_AND_LIBSRT {
        for (policy, lost) in [(Policy::Single, 1), (Policy::Broadcast, 2), (Policy::Backup, 2), (Policy::Backup, 1)] {
            let quiet = Story { peer, ..Story::quiet(policy, &lines(&[20, 30][..lost.max(policy_lines(policy))])) };
            let cut = |n: usize| [(4980, n, "hole forward"), (5010, n, "heal")];
            let steps: Vec<_> = (0..lost).flat_map(cut).collect();
            let world = run_lossless(quiet.with(&steps));
            // Who has nothing more to send cannot tell a dead path from a quiet one.
            assert!(world.check.switches.len() <= 1, "{peer:?}, {policy:?}");
            // Six packets, each again on one path, or in a doubt on each.
            let again = world.retransmitted();
            assert!((1..=14).contains(&again), "{peer:?}, {policy:?}: {again} were sent again");
        }
    }
}

fn policy_lines(policy: Policy) -> usize {
    if policy == Policy::Single { 1 } else { 2 }
}

/// What is asked for again must be lost on both: 0.25 %, not 5 % of each.
#[test]
pub(super) fn both_paths_lose_5_per_cent() {
    let lossy = |delay| Conditions { loss: Loss::Random(0.05), ..Conditions::delayed(ms(delay)) };
    for peer in [Peer::Holdfast, Peer::Libsrt(0x01_05_05)] {
        let quiet = Story::quiet(Policy::Broadcast, &[lossy(15), lossy(40)]);
        let world = run(Story { peer, length: ms(20_000), ..quiet });
        let again = world.retransmitted();
        let offered = world.check.delivered + world.check.missing.len() as u64;
        assert!(again * 100 <= offered, "{peer:?}: {again} of {offered} packets were sent again");
        assert!(world.check.missing.is_empty(), "{peer:?}: {} are missing", world.check.missing.len());
    }
}

#[test]
fn a_line_that_jitters_is_not_taken_for_a_line_that_loses() {
    for peer in HOLDFAST_AND_LIBSRT {
        let jitter = Jitter { most: ms(8), reorders: true };
        let conditions = Conditions { jitter, ..Conditions::delayed(ms(20)) };
        let quiet = Story::quiet(Policy::Single, &[conditions]);
        let world = run_lossless(Story { peer, length: ms(20_000), ..quiet });
        let (again, offered) = (world.retransmitted(), world.check.delivered);
        assert!(again * 50 <= offered, "{peer:?}: {again} of {offered} packets were sent again");
    }
}

/// Each is away for long enough that the other has to be trusted, good or not, 15 times a minute.
#[test]
pub(super) fn two_paths_that_fail_in_turn() {
    let steps: Vec<(u64, usize, &str)> = (0..29u64)
        .flat_map(|n| {
            let (at, cable) = (3000 + n * 4000, (n % 2) as usize);
            [(at, cable, "hole"), (at + 3700, cable, "heal")]
        })
        .collect();
    let story = Story { length: ms(120_000), interval: ms(5), ..Story::quiet(Policy::Backup, &lines(&[10, 15])) };
    let world = run_lossless(story.with(&steps));
    assert!(world.check.switches.len() > 10, "{:?}", world.check.switches.len());
}

/// Latency for one way and one switch, and no more.
#[test]
pub(super) fn a_latency_that_is_just_enough() {
    for delay in [5, 20, 50] {
        let latency = ms(2 * delay + 40 + 25);
        let story = Story { latency, ..Story::quiet(Policy::Backup, &lines(&[delay, delay])) };
        for hole in ["hole", "hole forward"] {
            let world = run_lossless(story.clone().with(&[(3000, 0, hole)]));
            // To the answer of the last packet that got through, and 25 ms; then whenever a timer fires.
            let doubted = world.check.doubts[0] - (world.begin + ms(3000));
            assert!(doubted <= ms(2 * delay + 40), "RTT {}: {hole}: doubted after {doubted:?}", 2 * delay);
        }
    }
}

#[test]
fn everything_is_down_and_comes_back() {
    let story = Story { length: ms(12_000), ..Story::quiet(Policy::Backup, &lines(&[20, 20])) };
    let world = run(story.with(&[(2000, 0, "hole"), (2000, 1, "hole"), (9000, 0, "heal"), (9000, 1, "heal")]));
    // Only what nobody could have saved is missing, and the end is there.
    assert!(world.check.delivered > 1200 && world.check.missing.len() < 2300, "{}", world.check.delivered);
    assert!(world.check.missing.iter().all(|number| *number < 2800), "{:?}", world.check.missing.last());
}

#[test]
pub(super) fn clocks_that_differ_by_200_ppm() {
    for drift_ppm in [-200, 200] {
        let quiet = Story::quiet(Policy::Single, &lines(&[20]));
        let story = Story { drift_ppm, length: Duration::from_secs(240), interval: ms(20), ..quiet };
        let world = run_lossless(story);
        assert!(world.check.worst_play_error < ms(5), "{:?} off", world.check.worst_play_error);
    }
}

/// With wraps of sequence numbers and timestamps on the way, clocks that differ by 200 ppm, a new key every five minutes
/// or so instead of every day, and something wrong with one of the lines every 20 s.
#[test]
fn an_hour() {
    const HOUR: u64 = 3600;
    let changes =
        ["hole", "hole forward", "cut", "loss 5", "burst 3 5", "rate 200k queue 100ms", "delay 90ms", "jitter 20ms"];
    for (policy, drift_ppm) in [(Policy::Backup, 200), (Policy::Broadcast, -200)] {
        let steps: Vec<(u64, usize, &str)> = (0..HOUR / 20 - 1)
            .flat_map(|n| {
                // The same line for five minutes, then the other.
                let (at, cable) = (10_000 + n * 20_000, (n / 15 % 2) as usize);
                [(at, cable, changes[n as usize % changes.len()]), (at + 3_000, cable, "heal")]
            })
            .collect();
        let mut story = Story {
            length: Duration::from_secs(HOUR),
            interval: ms(16),
            payload: 188,
            drift_ppm,
            // Both wrap half an hour in.
            isn: crate::srt::wire::SeqNo::new(crate::srt::wire::SeqNo::MAX.get() - 110_000),
            uptime: Duration::from_micros(1 << 32) - Duration::from_secs(1800),
            hears_of_carriers: true,
            ..Story::quiet(policy, &lines(&[15, 35]))
        };
        story.refresh = crate::srt::crypto::RefreshPolicy::new(20_000, 500);
        let world = run_lossless(story.with(&steps));
        assert!(world.check.delivered > HOUR * 1000 / 16 - 20, "{policy:?}: {}", world.check.delivered);
        // 200 ppm are 12 ms a minute; they are followed to within a few.
        assert!(world.check.worst_play_error < ms(30), "{policy:?}: {:?} off", world.check.worst_play_error);
        println!(
            "an hour of {policy:?}: {} delivered, {} switches, {} datagrams, play times {:?} off at most",
            world.check.delivered,
            world.check.switches.len(),
            world.check.sent,
            world.check.worst_play_error
        );
    }
}
