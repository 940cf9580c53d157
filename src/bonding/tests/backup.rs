//! One path carries, another is ready.

use std::time::Duration;

use super::pair::{Pair, Peer, ms};
use crate::bonding::{
    Carrier, Congestion, DUPLICATE_EVERY, Decision, Doubt, LinkId, NO_CARRIER_AFTER, PROBATION, Policy, Resort,
};
use crate::srt::session::PathId;

/// 6 Mbit/s with headers: 570 packets a second.
const INTERVAL: Duration = Duration::from_micros(1754);
const MAIN: PathId = PathId(0);
const SPARE: PathId = PathId(1);
const PEERS: [Peer; 3] = [Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)];

/// Main and spare of this round-trip time, in use for three seconds.
fn pair(peer: Peer, latency: u64, rtt: u64) -> Pair {
    let mut pair = Pair::new(Policy::Backup, peer, ms(latency), ms(rtt) / 2, 50);
    pair.join(1, ms(rtt) / 2, 20);
    pair.stream(ms(3000), INTERVAL);
    assert_eq!(pair.switches(), [], "{:?}", pair.decisions);
    assert_eq!(pair.sender.counters().doubts, 0, "{:?}", pair.decisions);
    pair
}

#[test]
fn a_hole_in_the_forward_direction_is_left_within_a_round_trip_and_40_ms() {
    for peer in PEERS {
        for rtt in [10, 40, 100] {
            let mut pair = pair(peer, 250, rtt);
            for offset in [0, 3, 7] {
                pair.stream(ms(100) + ms(offset), INTERVAL);
            }
            let begins = pair.now;
            pair.forward(MAIN).hole = true;
            pair.stream(ms(2000), INTERVAL);
            // Probes with data also leave there, one in 64; the tail is what counts.
            let tail = pair.left.windows(2).find(|w| w[0].0 >= begins && w.iter().all(|(_, on, _)| *on == SPARE));
            let took = tail.unwrap()[0].0 - begins;
            assert!(took <= ms(rtt + 40), "{peer:?}, RTT {rtt}: {took:?}");
            assert_eq!(pair.switches().len(), 1, "{:?}", pair.decisions);
            assert_eq!(pair.sender.main(), Some(SPARE));
            assert_eq!(pair.missing(), 0, "{peer:?}, RTT {rtt}");
        }
    }
}

#[test]
fn the_end_of_a_stream_in_a_hole_is_sent_on_the_spare_and_no_more_than_that() {
    for peer in PEERS {
        for rtt in [10, 40, 100] {
            let mut pair = pair(peer, 400, rtt);
            let begins = pair.now;
            pair.forward(MAIN).hole = true;
            pair.stream(ms(20), INTERVAL);
            assert_eq!(pair.missing(), 0, "{peer:?}, RTT {rtt}");
            let mut after: Vec<_> =
                pair.left.iter().filter(|(at, ..)| *at >= begins).map(|(_, on, seq)| (on, seq)).collect();
            let count = after.len();
            after.sort_by_key(|(on, seq)| (**on, seq.get()));
            after.dedup();
            assert_eq!(after.len(), count, "{peer:?}, RTT {rtt}: some left twice on one path");
            let unasked = pair.sender.session_mut().stats(pair.now).counters.unasked;
            assert_eq!(unasked, 0, "{peer:?}, RTT {rtt}: the policy was first");
        }
    }
}

#[test]
fn a_hole_that_opens_behind_a_loss_is_not_taken_for_its_repair() {
    for peer in PEERS {
        let mut pair = pair(peer, 300, 40);
        pair.forward(MAIN).hole = true;
        pair.send();
        pair.forward(MAIN).hole = false;
        pair.stream(ms(30), INTERVAL);
        let begins = pair.now;
        pair.forward(MAIN).hole = true;
        pair.stream(ms(2000), INTERVAL);
        let tail = pair.left.windows(2).find(|w| w[0].0 >= begins && w.iter().all(|(_, on, _)| *on == SPARE));
        let took = tail.unwrap()[0].0 - begins;
        assert!(took <= ms(2 * 40 + 40), "{peer:?}: {took:?}");
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
}

#[test]
fn a_dead_path_is_left_within_25_ms_of_the_last_answer_whatever_the_round_trip() {
    for peer in PEERS {
        for (rtt, most) in [(10, 31), (40, 46), (100, 76)] {
            let mut pair = pair(peer, 250, rtt);
            let begins = pair.now;
            pair.hole(MAIN, true);
            pair.stream(ms(2000), INTERVAL);
            let tail = pair.left.windows(2).find(|w| w[0].0 >= begins && w.iter().all(|(_, on, _)| *on == SPARE));
            let took = tail.unwrap()[0].0 - begins;
            assert!(took <= ms(most), "{peer:?}, RTT {rtt}: {took:?}");
            assert_eq!(pair.missing(), 0, "{peer:?}, RTT {rtt}");
        }
    }
}

#[test]
fn answers_that_come_back_clear_the_doubt_and_nothing_is_switched() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 40);
        pair.back(MAIN).hole = true;
        pair.stream(ms(80), INTERVAL);
        pair.back(MAIN).hole = false;
        pair.stream(ms(1000), INTERVAL);
        assert_eq!(pair.switches(), [], "{peer:?}");
        let counters = pair.sender.counters();
        assert_eq!((counters.doubts, counters.false_suspicions), (1, 1), "{peer:?}: {:?}", pair.decisions);
        assert_eq!(pair.sender.main(), Some(MAIN));
        // The spare carried while it lasted, and no longer.
        let carried = pair.left.iter().filter(|(_, on, _)| *on == SPARE).count();
        assert!((40..200).contains(&carried), "{peer:?}: {carried}");
        let Some(Decision::Doubted { path, why, evidence: Some(evidence), spares, tail }) =
            pair.decisions.iter().map(|(_, decision)| decision).find(|d| matches!(d, Decision::Doubted { .. }))
        else {
            panic!("{:?}", pair.decisions);
        };
        assert_eq!((*path, *why, &spares[..]), (Some(MAIN), Doubt::Overdue, &[SPARE][..]));
        assert!(evidence.overdue >= evidence.patience && *tail > 10, "{evidence:?}, {tail}");
        assert_eq!(pair.missing(), 0);
    }
}

#[test]
fn a_main_path_that_becomes_too_narrow_is_left_before_anything_is_late() {
    for peer in PEERS {
        for (megabits, queue) in [(2, 100), (5, 100), (2, 1000)] {
            let mut pair = pair(peer, 250, 20);
            let begins = pair.elapsed();
            pair.forward(MAIN).rate = Some((megabits * 125_000, ms(queue)));
            pair.stream(ms(3000), INTERVAL);
            let switches = pair.switches();
            assert_eq!(switches.len(), 1, "{peer:?}, {megabits} Mbit/s, {queue} ms: {:?}", pair.decisions);
            let doubted = pair.decisions.iter().find(|(at, _)| *at >= begins).unwrap().0;
            let took = doubted - begins;
            // 5 Mbit/s of 6 fill a queue slowly.
            let most = if megabits == 2 { 150 } else { 450 };
            assert!(took <= ms(most), "{peer:?}, {megabits} Mbit/s, {queue} ms: {took:?}");
            assert_eq!(pair.missing(), 0, "{peer:?}, {megabits} Mbit/s, {queue} ms");
        }
    }
}

#[test]
fn a_main_path_that_loses_packets_is_left_for_one_that_does_not_and_kept_if_there_is_none() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 20);
        pair.forward(MAIN).loss = 0.08;
        pair.stream(ms(3000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(SPARE), "{peer:?}: {:?}", pair.decisions);
        let why = |wanted| {
            let is = |(_, decision): &(Duration, Decision)| matches!(decision, Decision::Switched { why, .. } if *why == wanted);
            pair.decisions.iter().any(is)
        };
        assert!(why(Doubt::Congested(Congestion::Loss)), "{peer:?}: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
    let mut both = pair(Peer::Holdfast, 250, 20);
    both.forward(SPARE).loss = 0.3;
    both.back(SPARE).loss = 0.3;
    both.stream(ms(5000), INTERVAL);
    both.forward(MAIN).loss = 0.05;
    both.stream(ms(5000), INTERVAL);
    assert_eq!(both.switches(), [], "{:?}", both.decisions);
}

#[test]
fn a_path_without_carrier_is_left_at_once() {
    let mut pair = pair(Peer::Holdfast, 250, 40);
    let begins = pair.now;
    pair.hole(MAIN, true);
    pair.sender.close_path(MAIN, pair.now);
    pair.stream(ms(1000), INTERVAL);
    assert_eq!(pair.first_on(SPARE, begins), Some(begins), "{:?}", pair.decisions);
    assert_eq!(pair.sender.main(), Some(SPARE));
    assert_eq!(pair.missing(), 0);
}

#[test]
fn a_heavier_path_is_returned_to_after_its_probation_without_a_loss() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 40);
        let begins = pair.elapsed();
        pair.hole(MAIN, true);
        pair.stream(ms(2000), INTERVAL);
        pair.hole(MAIN, false);
        let clean = pair.elapsed();
        pair.stream(ms(14_000), INTERVAL);
        let switches = pair.switches();
        assert_eq!(switches.len(), 2, "{peer:?}: {:?}", pair.decisions);
        assert!(switches[0].0 - begins < ms(700) && switches[0].1 == SPARE);
        let returned = switches[1].0 - clean;
        assert!(switches[1].1 == MAIN && returned >= PROBATION && returned < PROBATION + ms(4000), "{returned:?}");
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
}

#[test]
fn a_resting_path_is_measured_with_few_packets() {
    let mut pair = pair(Peer::Holdfast, 250, 40);
    let (data, all) = (pair.left.iter().filter(|(_, on, _)| *on == SPARE).count(), pair.forward(SPARE).carried);
    let sent = 3000.0 / 1.754;
    assert!((data as f64 - sent / f64::from(DUPLICATE_EVERY)).abs() < 3.0, "{data} of {sent}");
    // 30 probes, 3 keepalives; each packet has a drop request before it and the answer to its acknowledgement after it.
    assert!(all < 4 * data as u64 + 45, "{all} with {data} packets");
    let view = pair.sender.session_mut().view(SPARE, pair.now).unwrap();
    assert_eq!(view.rtt, Some(ms(40)));
    assert!(view.answers + 2 >= view.probes && view.probes >= 28, "{view:?}");
    let trusted = |(_, decision): &(Duration, Decision)| matches!(decision, Decision::Trusted { link: LinkId(1), .. });
    assert!(pair.decisions.iter().any(trusted), "{:?}", pair.decisions);
}

#[test]
fn a_thin_stream_with_pauses_and_jitter_raises_no_doubt() {
    for peer in PEERS {
        for interval in [ms(40), ms(100), Duration::from_micros(100)] {
            let mut pair = Pair::new(Policy::Backup, peer, ms(250), ms(20), 50);
            pair.join(1, ms(30), 20);
            for _ in 0..4 {
                pair.stream(ms(2000), interval);
                pair.run(ms(2700));
            }
            assert_eq!(pair.sender.counters().doubts, 0, "{peer:?}, {interval:?}: {:?}", pair.decisions);
            assert_eq!(pair.missing(), 0);
        }
        let mut shaky = Pair::new(Policy::Backup, peer, ms(250), ms(20), 50);
        shaky.join(1, ms(30), 20);
        for path in [MAIN, SPARE] {
            shaky.forward(path).jitter = ms(4);
            shaky.back(path).jitter = ms(4);
        }
        shaky.stream(ms(60_000), INTERVAL);
        assert_eq!(shaky.switches(), [], "{peer:?}: {:?}", shaky.decisions);
        assert!(shaky.sender.counters().doubts <= 6, "{peer:?}: {:?}", shaky.sender.counters());
        assert_eq!(shaky.missing(), 0);
    }
}

#[test]
fn three_paths_of_which_two_fail_together_lose_nothing() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 40);
        let third = pair.join(2, ms(25), 10);
        pair.stream(ms(2000), INTERVAL);
        pair.hole(MAIN, true);
        pair.hole(SPARE, true);
        pair.stream(ms(4000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(third), "{peer:?}: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
}

#[test]
fn the_spare_may_fail_as_soon_as_it_carries() {
    for delay in [30, 60, 100, 200, 600, 1500] {
        let mut pair = pair(Peer::Holdfast, 250, 40);
        let third = pair.join(2, ms(25), 10);
        pair.stream(ms(2000), INTERVAL);
        pair.hole(MAIN, true);
        pair.stream(ms(delay), INTERVAL);
        pair.hole(SPARE, true);
        pair.stream(ms(4000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(third), "{delay}: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{delay}");
    }
}

#[test]
fn everything_down_is_waited_out_and_whoever_comes_first_carries() {
    let mut pair = pair(Peer::Holdfast, 250, 40);
    pair.hole(MAIN, true);
    pair.hole(SPARE, true);
    pair.stream(ms(2000), INTERVAL);
    pair.hole(SPARE, false);
    let again = pair.now;
    pair.stream(ms(4000), INTERVAL);
    let first = pair.delivered.iter().map(|(_, at)| *at).find(|at| *at > again + ms(20));
    assert!(first.unwrap() - again < ms(400), "{:?}", first.unwrap() - again);
    assert_eq!(pair.sender.main(), Some(SPARE), "{:?}", pair.decisions);
}

#[test]
fn the_same_calls_give_the_same_decisions() {
    let run = |rtt| {
        let mut pair = pair(Peer::Holdfast, 250, rtt);
        pair.forward(MAIN).loss = 0.1;
        pair.stream(ms(1000), INTERVAL);
        pair.hole(MAIN, true);
        pair.stream(ms(1000), INTERVAL);
        (pair.trace, pair.decisions.len())
    };
    assert_eq!(run(40), run(40));
    assert_ne!(run(40).0, run(41).0);
}

#[test]
fn a_lost_carrier_makes_the_spare_carry_at_once_and_a_blip_is_no_switch() {
    for peer in PEERS {
        for rtt in [10, 40] {
            let mut pair = pair(peer, 250, rtt);
            let begins = pair.now;
            pair.hole(MAIN, true);
            pair.sender.set_carrier(MAIN, Carrier::Lost, pair.now);
            pair.stream(ms(60), INTERVAL);
            let helped = pair.first_on(SPARE, begins).unwrap() - begins;
            assert!(helped <= ms(2), "{peer:?}, RTT {rtt}: the spare helps after {helped:?}");
            pair.hole(MAIN, false);
            pair.sender.set_carrier(MAIN, Carrier::There, pair.now);
            pair.stream(ms(3000), INTERVAL);
            assert_eq!(pair.switches(), [], "{peer:?}, RTT {rtt}: {:?}", pair.decisions);
            assert_eq!(pair.sender.main(), Some(MAIN), "{peer:?}, RTT {rtt}: {:?}", pair.decisions);
            assert_eq!(pair.missing(), 0, "{peer:?}, RTT {rtt}");
        }
    }
}

#[test]
fn a_path_without_carrier_is_left_after_100_ms_and_closing_it_is_no_second_doubt() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 20);
        let begins = pair.elapsed();
        pair.hole(MAIN, true);
        pair.sender.set_carrier(MAIN, Carrier::Lost, pair.now);
        pair.stream(NO_CARRIER_AFTER, INTERVAL);
        pair.sender.close_path(MAIN, pair.now);
        pair.stream(ms(2000), INTERVAL);
        let switches = pair.switches();
        assert_eq!(switches.len(), 1, "{peer:?}: {:?}", pair.decisions);
        let took = switches[0].0 - begins;
        assert!(took >= NO_CARRIER_AFTER && took <= NO_CARRIER_AFTER + ms(20), "{peer:?}: {took:?}");
        assert_eq!(pair.sender.counters().doubts, 1, "{peer:?}: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
}

#[test]
fn a_spare_that_loses_its_carrier_is_none_and_the_main_path_carries_on() {
    let mut pair = pair(Peer::Holdfast, 250, 20);
    pair.hole(SPARE, true);
    pair.sender.set_carrier(SPARE, Carrier::Lost, pair.now);
    pair.stream(ms(1000), INTERVAL);
    assert_eq!(pair.sender.counters().doubts, 0, "{:?}", pair.decisions);
    assert!(pair.decisions.iter().any(|(_, d)| matches!(d, Decision::Probation { link: LinkId(1), .. })));
    assert_eq!(pair.missing(), 0);
}

#[test]
fn a_path_that_is_kept_for_the_last_is_left_for_a_lighter_one_and_helps_when_that_dies() {
    for peer in PEERS {
        let mut pair = pair(peer, 250, 40);
        pair.sender.set_resort(MAIN, Resort::Last);
        pair.stream(ms(3000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(SPARE), "{peer:?}: {:?}", pair.decisions);
        let begins = pair.now;
        pair.stream(ms(20_000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(SPARE), "{peer:?}: though the other is heavier");
        let over_main = pair.left.iter().filter(|(at, on, _)| *at >= begins && *on == MAIN).count();
        assert_eq!(over_main, 0, "{peer:?}: what it carries costs");
        pair.hole(SPARE, true);
        pair.stream(ms(2000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(MAIN), "{peer:?}: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{peer:?}");
        pair.hole(SPARE, false);
        pair.stream(PROBATION + ms(5000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(SPARE), "{peer:?}: {:?}", pair.decisions);
        pair.sender.set_resort(MAIN, Resort::Any);
        pair.stream(PROBATION + ms(5000), INTERVAL);
        assert_eq!(pair.sender.main(), Some(MAIN), "{peer:?}: more was bought: {:?}", pair.decisions);
        assert_eq!(pair.missing(), 0, "{peer:?}");
    }
}
