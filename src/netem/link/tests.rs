use std::time::{Duration, Instant};

use super::super::conditions::{Bottleneck, Bursts, Conditions, Jitter, Loss, Queue};
use super::super::{Change, Direction, Duplex, End};
use super::*;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[expect(clippy::disallowed_methods, reason = "an Instant has no other beginning")]
fn epoch() -> Instant {
    Instant::now()
}

/// Sends `count` packets of 1250 bytes, one each `every`, and says which arrived when.
fn run(link: &mut Link<u32>, count: u32, every: Duration) -> Vec<(u32, Duration)> {
    let begin = epoch();
    let mut arrived = Vec::new();
    let mut fetch = |link: &mut Link<u32>, until: Instant| {
        while let Some(at) = link.poll_timeout().filter(|at| *at <= until) {
            while let Some(packet) = link.poll(at) {
                arrived.push((packet, at - begin));
            }
        }
    };
    for n in 0..count {
        let now = begin + every * n;
        fetch(link, now);
        link.send(n, 1250, now);
    }
    fetch(link, begin + every * count + Duration::from_secs(3600));
    assert!(link.is_empty());
    arrived
}

#[test]
fn a_perfect_link_delivers_all_after_its_delay() {
    let arrived = run(&mut Link::new(Conditions::delayed(ms(20)), 1), 100, ms(1));
    let expected: Vec<_> = (0..100).map(|n| (n, ms(20) + ms(1) * n)).collect();
    assert_eq!(arrived, expected);
}

#[test]
fn jitter_keeps_the_order_unless_it_may_not() {
    for (reorders, in_order) in [(false, true), (true, false)] {
        let conditions = Conditions { jitter: Jitter { most: ms(30), reorders }, ..Conditions::delayed(ms(20)) };
        let arrived = run(&mut Link::new(conditions, 1), 1000, ms(1));
        assert_eq!(arrived.len(), 1000);
        assert_eq!(arrived.is_sorted_by_key(|(n, _)| *n), in_order);
        for (n, at) in &arrived {
            let delay = *at - ms(1) * *n;
            assert!(delay >= ms(20) && delay <= ms(50), "packet {n} took {delay:?}");
        }
        let mean = arrived.iter().map(|(n, at)| (*at - ms(1) * *n).as_secs_f64()).sum::<f64>() / 1000.0;
        assert!(mean > 0.033 && mean < if reorders { 0.037 } else { 0.05 }, "{mean}");
    }
}

#[test]
fn loss_is_as_large_as_it_says_and_comes_in_bursts_when_it_says_so() {
    let bursts = |loss| {
        let arrived = run(&mut Link::new(Conditions { loss, ..Conditions::default() }, 7), 100_000, ms(1));
        let lost = 100_000 - arrived.len();
        let gaps = arrived.windows(2).filter(|pair| pair[1].0 - pair[0].0 > 1).count();
        (lost, lost as f64 / gaps.max(1) as f64)
    };
    let (lost, length) = bursts(Loss::Random(0.05));
    assert!((4_700..5_300).contains(&lost) && length < 1.1, "{lost} lost, {length} in a row");
    let (lost, length) = bursts(Loss::Bursts(Bursts::new(0.05, 8.0)));
    assert!((4_300..5_700).contains(&lost) && (7.0..9.0).contains(&length), "{lost} lost, {length} in a row");
    assert_eq!(bursts(Loss::None).0, 0);
    assert_eq!(bursts(Loss::Random(1.0)).0, 100_000);
}

#[test]
fn a_bottleneck_spaces_packets_and_drops_what_its_queue_cannot_hold() {
    // 1250 bytes at 1 Mbit/s take 10 ms; offered is one each 5 ms, twice the rate.
    for queue in [Queue::Time(ms(100)), Queue::Bytes(12_500)] {
        let conditions =
            Conditions { bottleneck: Some(Bottleneck { rate: 1_000_000, queue }), ..Conditions::default() };
        let mut link = Link::new(conditions, 1);
        let arrived = run(&mut link, 200, ms(5));
        assert!(arrived.windows(2).all(|pair| pair[1].1 - pair[0].1 == ms(10)), "the rate is kept");
        let longest = arrived.iter().map(|(n, at)| *at - ms(5) * *n).max().unwrap();
        assert!(longest >= ms(95) && longest <= ms(110), "{queue:?}: waited {longest:?}");
        let counters = link.counters();
        assert_eq!(counters.delivered + counters.overflowed, 200);
        assert!((85..100).contains(&counters.overflowed), "{queue:?}: {counters:?}");
    }
}

#[test]
fn a_long_link_needs_no_queue_for_what_is_in_flight() {
    let bottleneck = Some(Bottleneck { rate: 1_000_000, queue: Queue::Time(ms(20)) });
    let arrived = run(&mut Link::new(Conditions { bottleneck, ..Conditions::delayed(ms(600)) }, 1), 100, ms(10));
    assert_eq!(arrived.len(), 100);
    assert!(arrived.iter().all(|(n, at)| *at == ms(610) + ms(10) * *n));
}

#[test]
fn what_waits_goes_on_at_a_new_rate() {
    let begin = epoch();
    let rate = |rate| Some(Bottleneck { rate, queue: Queue::Time(ms(1000)) });
    let mut link = Link::new(Conditions { bottleneck: rate(1_000_000), ..Conditions::default() }, 1);
    for n in 0..4 {
        link.send(n, 1250, begin);
    }
    // Half of the first has been sent; the rest of it takes ten times as long, as do the next two.
    link.set(Conditions { bottleneck: rate(100_000), ..Conditions::default() }, begin + ms(5));
    for (n, at) in [(0, 55), (1, 155), (2, 255)] {
        assert_eq!(link.poll_timeout(), Some(begin + ms(at)));
        assert_eq!(link.poll(begin + ms(at)), Some(n));
    }
    // Without a limit the rest leaves at once.
    link.set(Conditions::default(), begin + ms(300));
    assert_eq!(link.poll(begin + ms(300)), Some(3));
}

#[test]
fn a_hole_swallows_what_is_sent_and_nothing_that_was() {
    let begin = epoch();
    let mut cable = Duplex::new(Conditions::delayed(ms(20)), 1);
    cable.send(End::A, 1, 100, begin);
    cable.apply("hole forward".parse().unwrap(), begin + ms(10));
    cable.send(End::A, 2, 100, begin + ms(10));
    cable.send(End::B, 3, 100, begin + ms(10));
    assert_eq!(cable.poll(End::B, begin + ms(100)), Some(1));
    assert_eq!(cable.poll(End::B, begin + ms(100)), None);
    assert_eq!(cable.poll(End::A, begin + ms(100)), Some(3), "the way back is open");
    assert_eq!(cable.from(End::A).counters().swallowed, 1);
}

#[test]
fn a_cut_cable_refuses_and_loses_what_is_under_way_until_it_is_healed() {
    let begin = epoch();
    let mut cable = Duplex::new(Conditions::delayed(ms(20)), 1);
    cable.apply(Change::Delay(ms(30), Direction::Forward), begin);
    cable.send(End::A, 1, 100, begin);
    cable.apply(Change::Cut, begin + ms(10));
    assert_eq!(cable.send(End::A, 2, 100, begin + ms(10)), None);
    assert!(!cable.carrier());
    cable.apply(Change::Heal, begin + ms(50));
    assert!(cable.send(End::A, 3, 100, begin + ms(50)).is_some());
    assert_eq!(cable.poll_timeout(), Some(begin + ms(70)), "healed to the delay at the start");
    assert_eq!(cable.poll(End::B, begin + ms(1000)), Some(3));
    let expected = Counters { entered: 3, delivered: 1, delivered_bytes: 100, cut: 2, ..Counters::default() };
    assert_eq!(cable.from(End::A).counters(), expected);
}

fn all_at_once() -> Conditions {
    Conditions {
        delay: ms(20),
        jitter: Jitter { most: ms(10), reorders: true },
        loss: Loss::Bursts(Bursts::new(0.1, 3.0)),
        duplicate: 0.05,
        bottleneck: Some(Bottleneck { rate: 9_000_000, queue: Queue::Bytes(20_000) }),
        hole: false,
    }
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_another() {
    let trace = |seed| run(&mut Link::new(all_at_once(), seed), 5_000, ms(1));
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}

#[test]
fn copies_are_counted_and_arrive() {
    let mut link = Link::new(Conditions { duplicate: 0.25, ..Conditions::default() }, 3);
    let arrived = run(&mut link, 10_000, ms(1));
    assert_eq!(arrived.len() as u64, 10_000 + link.counters().copied);
    assert!((2_300..2_700).contains(&link.counters().copied));
}

#[test]
fn which_packets_are_lost_does_not_depend_on_the_other_impairments() {
    let lost = |conditions: Conditions| {
        let arrived = run(&mut Link::new(conditions, 5), 5_000, ms(1));
        let mut there: Vec<u32> = arrived.into_iter().map(|(n, _)| n).collect();
        there.sort_unstable();
        there.dedup();
        there
    };
    let quiet = Conditions { loss: all_at_once().loss, ..Conditions::default() };
    assert_eq!(lost(Conditions { bottleneck: None, ..all_at_once() }), lost(quiet));
}
