//! Paths that fail and come back again and again.

use std::time::Duration;

use super::pair::{Pair, Peer, ms};
use crate::bonding::{Decision, MOST_SWITCHES, PROBATION_MOST, Policy};
use crate::srt::session::PathId;

const INTERVAL: Duration = ms_const(5);
const MAIN: PathId = PathId(0);

const fn ms_const(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn bound(switches: &[(Duration, PathId)]) {
    for window in switches.windows(MOST_SWITCHES + 1) {
        let span = window[MOST_SWITCHES].0 - window[0].0;
        assert!(span >= ms(60_000), "{} switches in {span:?}", MOST_SWITCHES + 1);
    }
}

#[test]
fn a_main_path_that_flaps_is_trusted_less_and_less() {
    let mut pair = Pair::new(Policy::Backup, Peer::Holdfast, ms(250), ms(10), 50);
    pair.join(1, ms(20), 20);
    pair.stream(ms(3000), INTERVAL);
    // Dead for a second, then good for just longer than its probation, for twenty minutes.
    let mut needs = ms(0);
    while pair.elapsed() < ms(1_200_000) {
        pair.hole(MAIN, true);
        pair.stream(ms(1000), INTERVAL);
        pair.hole(MAIN, false);
        for (_, decision) in &pair.decisions {
            if let Decision::Probation { needs: asked, .. } = decision {
                needs = *asked;
            }
        }
        pair.stream(needs + ms(5000), INTERVAL);
    }
    let probations: Vec<_> = pair
        .decisions
        .iter()
        .filter_map(|(_, decision)| match decision {
            Decision::Probation { needs, .. } => Some(needs.as_secs()),
            Decision::Doubted { .. }
            | Decision::Cleared { .. }
            | Decision::Switched { .. }
            | Decision::Trusted { .. }
            | Decision::NoSpare { .. } => None,
        })
        .collect();
    assert_eq!(probations[..6], [10, 20, 40, 80, 160, PROBATION_MOST.as_secs()], "{probations:?}");
    bound(&pair.switches());
    assert_eq!(pair.missing(), 0);
}

#[test]
fn short_holes_one_after_another_are_bridged_without_flapping() {
    let mut pair = Pair::new(Policy::Backup, Peer::Holdfast, ms(250), ms(10), 50);
    pair.join(1, ms(20), 20);
    pair.stream(ms(3000), INTERVAL);
    for _ in 0..200 {
        pair.hole(MAIN, true);
        pair.stream(ms(150), INTERVAL);
        pair.hole(MAIN, false);
        pair.stream(ms(450), INTERVAL);
    }
    let switches = pair.switches();
    assert!(switches.len() <= 2, "left once as unsteady: {switches:?}");
    bound(&switches);
    assert_eq!(pair.missing(), 0);
}

#[test]
fn paths_that_fail_in_turn_are_switched_between_no_more_often_than_promised() {
    for peer in [Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)] {
        for period in [600, 1100, 2300, 3700, 4600] {
            let mut pair = Pair::new(Policy::Backup, peer, ms(250), ms(10), 50);
            let other = pair.join(1, ms(15), 20);
            pair.stream(ms(3000), INTERVAL);
            for _ in 0..120_000 / (2 * period) {
                pair.hole(MAIN, true);
                pair.stream(ms(period), INTERVAL);
                pair.hole(MAIN, false);
                // Both are up for as long as the bridge needs.
                pair.stream(ms(300), INTERVAL);
                pair.hole(other, true);
                pair.stream(ms(period), INTERVAL);
                pair.hole(other, false);
                pair.stream(ms(300), INTERVAL);
            }
            bound(&pair.switches());
            assert_eq!(pair.missing(), 0, "{peer:?}, {period} ms: {:?}", pair.sender.counters());
        }
    }
}

#[test]
fn paths_that_leave_and_come_back_in_turn_are_bounded_too() {
    let mut pair = Pair::new(Policy::Backup, Peer::Holdfast, ms(250), ms(10), 50);
    let mut paths = [MAIN, pair.join(1, ms(15), 20)];
    pair.stream(ms(3000), INTERVAL);
    for round in 0..100 {
        let which = round % 2;
        pair.sender.close_path(paths[which], pair.now);
        pair.stream(ms(400), INTERVAL);
        paths[which] = pair.join(which as u32, ms(10), 50);
        pair.stream(ms(300), INTERVAL);
    }
    bound(&pair.switches());
    assert!(pair.sender.counters().put_off > 0);
    assert_eq!(pair.missing(), 0);
}
