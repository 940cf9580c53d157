//! The rules are rules only if they notice: each bug is planted, and a story or a scenario has to break a rule over it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::story::Story;
use super::{epoch, tell};
use crate::link::health::planted::{Bug, plant};
use crate::link::health::tests;

/// No bug may hide from so many stories.
const STORIES: u64 = 3000;

/// The first story that notices.
fn noticed_by(bug: Bug) -> Option<u64> {
    let begin = epoch();
    (0..STORIES)
        .find(|seed| plant(bug, || catch_unwind(AssertUnwindSafe(|| tell(Story::random(*seed), begin)))).is_err())
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
fn one_witness_is_not_enough_for_a_death() {
    is_noticed(Bug::BelievesOneWitness);
}

#[test]
fn a_pause_that_is_taken_for_silence_is_noticed() {
    is_noticed_in(Bug::CountsThePause, tests::a_pause_is_no_silence);
}

#[test]
fn a_carrier_that_is_ignored_is_noticed() {
    is_noticed(Bug::IgnoresTheCarrier);
}

#[test]
fn a_server_that_is_never_blamed_is_noticed() {
    is_noticed(Bug::NeverBlamesTheServer);
}

#[test]
fn a_link_that_is_blamed_for_its_server_is_noticed() {
    is_noticed(Bug::BlamesTheLink);
}

#[test]
fn a_server_that_is_blamed_for_its_link_is_noticed() {
    is_noticed(Bug::BlamesTheServerAtOnce);
}

#[test]
fn trust_without_probation_is_noticed() {
    is_noticed(Bug::SkipsProbation);
}

#[test]
fn relapses_that_are_forgiven_at_once_are_noticed() {
    is_noticed(Bug::ForgivesAtOnce);
}

#[test]
fn a_move_between_keyframes_is_noticed() {
    is_noticed(Bug::SwitchesMidPicture);
}

#[test]
fn a_move_to_where_no_session_is_is_noticed() {
    is_noticed(Bug::BreaksBeforeMaking);
}

#[test]
fn changes_without_a_bound_are_noticed() {
    is_noticed(Bug::SwitchesWithoutBound);
}

#[test]
fn deadlines_that_are_forgotten_are_noticed() {
    is_noticed(Bug::ForgetsDeadlines);
}

#[test]
fn sleep_that_is_taken_for_silence_is_noticed() {
    is_noticed(Bug::CountsItsOwnSleep);
}

#[test]
fn a_dead_link_that_is_clung_to_is_noticed() {
    is_noticed(Bug::ClingsToTheFirst);
}

#[test]
fn a_portal_that_is_trusted_is_noticed() {
    is_noticed(Bug::TrustsPortals);
}

#[test]
fn a_link_without_probes_that_never_dies_is_noticed() {
    is_noticed_in(Bug::NeedsProbes, tests::a_link_whose_probes_are_filtered_dies_by_back_off);
}
