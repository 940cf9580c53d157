//! The rules are rules only if they notice: each bug is planted, and a story or a scenario has to break a rule over it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::scenarios;
use super::story::Story;
use super::{epoch, tell};
use crate::srt::planted::{Bug, plant};

/// No bug may hide from so many stories.
const STORIES: u64 = 300;

/// The first story that notices.
fn noticed_by(bug: Bug) -> Option<u64> {
    (0..STORIES).find(|seed| {
        let begin = epoch();
        plant(bug, || catch_unwind(AssertUnwindSafe(|| tell(Story::random(*seed), begin)))).is_err()
    })
}

#[track_caller]
fn is_noticed(bug: Bug) {
    let seed = noticed_by(bug);
    println!("{bug:?}: noticed by the story of seed {seed:?}");
    assert!(seed.is_some(), "{bug:?} was noticed by none of {STORIES} stories");
}

#[track_caller]
fn is_noticed_in(bug: Bug, scenario: fn()) {
    scenario();
    assert!(plant(bug, || catch_unwind(scenario)).is_err(), "{bug:?} was not noticed");
}

#[test]
fn a_copy_that_is_played_again_is_noticed() {
    is_noticed(Bug::PlaysCopies);
}

#[test]
fn holes_that_are_acknowledged_are_noticed() {
    is_noticed(Bug::AcknowledgesHoles);
}

#[test]
fn uncounted_wraps_are_noticed() {
    is_noticed(Bug::ForgetsSequenceWrap);
    is_noticed(Bug::ForgetsTimestampWrap);
}

#[test]
fn packets_that_are_kept_for_nobody_are_noticed() {
    is_noticed(Bug::KeepsExpired);
}

#[test]
fn a_busy_loop_is_noticed() {
    is_noticed(Bug::StaysDue);
}

#[test]
fn keys_that_change_silently_are_noticed() {
    is_noticed(Bug::ChangesKeysSilently);
}

#[test]
fn a_forgotten_tail_is_noticed() {
    is_noticed(Bug::ForgetsTheTail);
}

#[test]
fn an_end_that_is_forgotten_is_noticed() {
    is_noticed_in(Bug::ForgetsTheEnd, scenarios::the_end_of_the_stream_is_lost);
}

#[test]
fn too_much_patience_is_noticed() {
    is_noticed_in(Bug::IsTooPatient, scenarios::a_latency_that_is_just_enough);
}

#[test]
fn congestion_that_is_ignored_is_noticed() {
    is_noticed_in(Bug::IgnoresCongestion, scenarios::the_main_line_becomes_narrow_with_a_bloated_queue);
}

#[test]
fn drift_that_is_ignored_is_noticed() {
    is_noticed_in(Bug::IgnoresDrift, scenarios::clocks_that_differ_by_200_ppm);
}

#[test]
fn switches_without_a_bound_are_noticed() {
    is_noticed_in(Bug::SwitchesWithoutBound, scenarios::two_paths_that_fail_in_turn);
}

#[test]
fn repairs_path_by_path_are_noticed() {
    is_noticed_in(Bug::RepairsEachPathByItself, scenarios::both_paths_lose_5_per_cent);
}
