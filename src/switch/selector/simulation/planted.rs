//! The rules are rules only if they notice: each bug is planted, and a story or a scenario has to break a rule over it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::tell;
use crate::switch::selector::planted::{Bug, plant};
use crate::switch::selector::tests;

/// No bug may hide from so many stories.
const STORIES: u64 = 1000;

#[track_caller]
fn is_noticed(bug: Bug) {
    let seed = (0..STORIES).find(|seed| plant(bug, || catch_unwind(AssertUnwindSafe(|| tell(*seed)))).is_err());
    println!("{bug:?}: noticed by the story of seed {seed:?}");
    assert!(seed.is_some(), "{bug:?} was noticed by none of {STORIES} stories");
}

#[test]
fn a_fault_that_has_not_stood_and_moves_the_picture_is_noticed() {
    is_noticed(Bug::MovesAtOnce);
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
fn a_probation_that_goes_on_over_a_fault_is_noticed() {
    is_noticed(Bug::ProbationGoesOn);
}

#[test]
fn changes_without_a_bound_are_noticed() {
    is_noticed(Bug::ChangesWithoutBound);
}

#[test]
fn an_input_with_nothing_to_show_that_is_kept_is_noticed() {
    is_noticed(Bug::ClingsToTheChosen);
}

#[test]
fn a_frozen_input_that_is_left_for_another_is_noticed() {
    is_noticed(Bug::LeavesForNoBetter);
}

#[test]
fn a_preferred_input_that_is_not_returned_to_is_noticed() {
    is_noticed(Bug::NeverReturns);
}

#[test]
fn a_slate_in_the_place_of_a_picture_on_probation_is_noticed() {
    is_noticed(Bug::PrefersTheSlate);
}

#[test]
fn an_operator_who_is_not_obeyed_at_once_is_noticed() {
    is_noticed(Bug::DoubtsTheOperator);
}

#[test]
fn an_operator_who_is_forgotten_is_noticed() {
    is_noticed(Bug::ForgetsTheOperator);
}

#[test]
fn a_lead_that_was_not_held_is_noticed() {
    is_noticed(Bug::LeadsForAMoment);
}

#[test]
fn deadlines_that_are_forgotten_are_noticed() {
    is_noticed(Bug::ForgetsDeadlines);
}

#[test]
fn an_input_that_is_waited_for_for_ever_is_noticed() {
    is_noticed(Bug::WaitsForEver);
}

#[test]
fn a_wrong_fault_that_is_blamed_is_noticed() {
    is_noticed(Bug::BlamesTheWrongFault);
}

#[test]
fn sleep_that_counts_is_noticed() {
    let scenario = tests::time_in_which_this_process_slept_counts_for_nothing_story;
    scenario();
    assert!(plant(Bug::CountsItsOwnSleep, || catch_unwind(scenario)).is_err());
}
