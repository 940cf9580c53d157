//! What happens at venues, one thing at a time. Each prints what it measured.

use super::checker::Told;
use super::line::{MS, S, Trouble, Us, Wall};
use super::story::{Story, Uplink};
use super::world::World;
use super::{epoch, spread, tell};
use crate::link::health::path::{Decision, Why};
use crate::link::health::{Health, LinkClass};

const TEN_MINUTES: Us = 600 * S;

fn two(class: LinkClass) -> Vec<Uplink> {
    vec![Uplink::quiet(class, 20), Uplink::quiet(LinkClass::Ethernet, 15)]
}

fn run(mut story: Story, seed: u64) -> Told {
    story.seed = seed;
    tell(story, epoch()).1
}

#[test]
fn ten_minutes_of_the_15_second_pattern_kill_nothing() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut links = two(LinkClass::Starlink);
        links[0] = links[0].clone().starlink(TEN_MINUTES, &mut random);
        let told = run(Story { length: TEN_MINUTES, ..Story::quiet(links) }, seed);
        println!("seed {seed}: {} alarms, off air at most {} ms", told.alarms, told.worst_off_air / MS);
        assert_eq!((told.deaths, told.switches, told.blamed), (0, 0, 0), "seed {seed}");
        assert!(told.alarms > 0, "the pattern is not there");
    }
}

#[test]
fn ten_minutes_of_bufferbloat_and_holes_kill_nothing() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut links = two(LinkClass::Cellular);
        links[0] = links[0].clone().cellular(TEN_MINUTES, &mut random);
        let told = run(Story { length: TEN_MINUTES, ..Story::quiet(links) }, seed);
        println!("seed {seed}: {} alarms, off air at most {} ms", told.alarms, told.worst_off_air / MS);
        assert_eq!((told.deaths, told.switches), (0, 0), "seed {seed}");
        assert!(told.alarms > 0, "the pattern is not there");
    }
}

#[test]
fn ten_minutes_of_30_per_cent_loss_kill_nothing() {
    for seed in 0..4 {
        let mut links = two(LinkClass::Cellular);
        links[0] = links[0].clone().with(10 * S, TEN_MINUTES, Trouble::Loss(0.3));
        let told = run(Story { length: TEN_MINUTES, ..Story::quiet(links) }, seed);
        println!("seed {seed}: {} changes of route, {} of choice", told.switches, told.returns);
        assert_eq!(told.deaths, 0, "seed {seed}");
        assert_eq!(told.switches, 1, "it goes to the good link, once, and stays there");
    }
}

/// When the stream had left after nothing passed any more.
fn leaves_after(class: LinkClass, trouble: Trouble, talks: bool) -> Vec<Us> {
    let mut after = Vec::new();
    for seed in 0..40 {
        let mut links = two(class);
        links[0] = links[0].clone().with(20 * S + seed * 23 * MS, 50 * S, trouble);
        let told = run(Story { talks, ..Story::quiet(links) }, seed);
        assert_eq!(told.switches, 1, "{trouble:?}, seed {seed}");
        after.extend(told.left_after);
        after.extend(told.left_carrier_after);
    }
    assert_eq!(after.len(), 40);
    after
}

#[test]
fn black_holes_are_left_in_time() {
    for trouble in [Trouble::Hole, Trouble::HoleForward, Trouble::HoleBack] {
        for (class, most) in [(LinkClass::Ethernet, 1200), (LinkClass::Cellular, 1400), (LinkClass::Starlink, 1400)] {
            let after = leaves_after(class, trouble, false);
            println!("{class}, {trouble:?}: {}", spread(&after));
            assert!(after.iter().all(|us| *us <= most * MS), "{class}, {trouble:?}");
        }
    }
}

#[test]
fn a_half_open_link_whose_far_end_talks_is_left_at_the_hard_limit() {
    let after = leaves_after(LinkClass::Ethernet, Trouble::HoleForward, true);
    println!("half open: {}", spread(&after));
    assert!(after.iter().all(|us| *us <= 2700 * MS));
}

#[test]
fn a_cable_that_is_pulled_is_left_within_150_ms() {
    let after = leaves_after(LinkClass::Ethernet, Trouble::NoCarrier, false);
    println!("cable pulled: {}", spread(&after));
    assert!(after.iter().all(|us| *us <= 152 * MS));
}

#[test]
fn a_blip_of_the_carrier_costs_a_duplicate_not_a_switch() {
    let mut links = two(LinkClass::Ethernet);
    for n in 0..20 {
        links[0] = links[0].clone().with((5 + n) * S, (5 + n) * S + 45 * MS, Trouble::NoCarrier);
    }
    let told = run(Story::quiet(links), 1);
    assert_eq!((told.deaths, told.switches), (0, 0));
    assert!(told.alarms > 0);
}

#[test]
fn a_portal_is_left_and_not_returned_to_while_it_stands() {
    for wall in [Wall::Everything, Wall::Tcp] {
        let mut links = two(LinkClass::Wifi);
        links[0] = links[0].clone().with(20 * S, 200 * S, Trouble::Wall(wall));
        let mut world = World::new(Story { length: 400 * S, ..Story::quiet(links) }, epoch());
        world.run();
        // Away, and back after the wall is gone and the probation over.
        assert_eq!((world.check.told.switches, world.check.told.returns), (2, 1), "{wall:?}");
        assert_eq!(world.session.as_ref().map(|session| session.link), Some(0), "{wall:?}");
    }
}

#[test]
fn a_silent_server_is_left_for_the_next_one_over_the_same_link() {
    let mut after = Vec::new();
    for seed in 0..20 {
        let silent = vec![(20 * S + seed * 23 * MS, 60 * S)];
        let story = Story { servers: vec![silent, Vec::new()], ..Story::quiet(two(LinkClass::Cellular)) };
        let mut world = World::new(Story { seed, ..story }, epoch());
        world.run();
        let route = world.path.route().cloned().unwrap();
        assert_eq!((world.index_of(&route), route.ingest), (0, 1), "seed {seed}");
        assert_eq!((world.check.told.switches, world.check.told.deaths), (1, 0), "seed {seed}");
        after.extend(world.check.told.left_server_after.clone());
    }
    println!("silent servers: {}", spread(&after));
    assert!(after.iter().all(|us| *us <= 2000 * MS));
}

#[test]
fn a_plug_that_nobody_holds_still_is_left_once_and_trusted_late() {
    let mut links = two(LinkClass::Ethernet);
    for n in 0..40 {
        links[0] = links[0].clone().with((10 + 2 * n) * S, (10 + 2 * n) * S + 700 * MS, Trouble::NoCarrier);
    }
    let told = run(Story { length: 200 * S, ..Story::quiet(links) }, 1);
    println!("{} deaths, {} changes of route", told.deaths, told.switches);
    // Away at 10 s, back 30 s after the last of 40.
    assert_eq!((told.switches, told.returns), (2, 1));
}

#[test]
fn a_link_that_fails_after_each_return_is_returned_to_less_and_less() {
    let mut links = two(LinkClass::Ethernet);
    // Dead for 5 s, 45 s after each return, for an hour.
    let mut at = 20 * S;
    let mut relapses = 0;
    while at < 3000 * S {
        links[0] = links[0].clone().with(at, at + 5 * S, Trouble::Hole);
        at += 5 * S + ((30 * S) << relapses).min(600 * S) + 45 * S;
        relapses += 1;
    }
    let told = run(Story { length: 3600 * S, ..Story::quiet(links) }, 1);
    println!("{relapses} failures in an hour, {} changes of route", told.switches);
    assert!(told.switches <= 2 * relapses + 1);
    assert!(told.most_in_a_minute <= 2);
}

#[test]
fn every_decision_says_why() {
    let health = Health::Dead {
        since: epoch(),
        evidence: crate::link::health::Evidence::AllSilent {
            stream: crate::link::health::Stream::Tcp,
            silent: std::time::Duration::from_millis(1040),
            probes: std::time::Duration::from_millis(1100),
        },
    };
    assert_eq!(health.to_string(), "dead: no TCP acknowledgement for 1.04 s and no probe answer for 1.10 s");
    let link = crate::model::InterfaceName::new("starlink").unwrap();
    let told = Decision::Stranded { why: Why::Link { link, health } };
    assert_eq!(
        told.to_string(),
        "nowhere to go: starlink is dead: no TCP acknowledgement for 1.04 s and no probe answer for 1.10 s"
    );
}
