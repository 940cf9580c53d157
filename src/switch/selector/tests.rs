//! What happened to the inputs, and what the programme showed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;

use super::*;
use crate::events::InputStanding;
use crate::model::{AudioFrom, Fault, Finding, InputRules, Lead, Silence};

fn id(name: &str) -> InputId {
    InputId::new(name).unwrap()
}

fn ms(ms: i64) -> Media {
    Media::from_millis(ms)
}

/// A selector, and a splice that cuts at once.
struct Desk {
    selector: Selector,
    now: Media,
    shown: Option<InputId>,
    /// Inputs that are chosen in vain.
    mute: BTreeSet<InputId>,
    /// When, to what, why.
    switches: Vec<(i64, String, String)>,
}

impl Desk {
    fn with(inputs: &[&str], selection: Selection) -> Self {
        let inputs = inputs.iter().map(|name| id(name)).collect();
        let selector = Selector::new(inputs, selection, ms(2000));
        Self { selector, now: Media::ZERO, shown: None, mute: BTreeSet::new(), switches: Vec::new() }
    }

    /// The camera has been on air for a while, and the film is proven.
    fn camera_and_film(selection: Selection) -> Self {
        let mut desk = Self::with(&["camera", "film"], selection);
        desk.connect("camera");
        desk.connect("film");
        desk.run(3000);
        assert_eq!(desk.on_air(), "camera");
        desk.switches.clear();
        desk
    }

    fn on_air(&self) -> &str {
        self.shown.as_ref().map_or("slate", InputId::as_str)
    }

    fn choose(&mut self) {
        if let Some(Decision { to, reason }) = self.selector.choose(self.shown.as_ref(), self.now) {
            let name = to.as_ref().map_or("slate", InputId::as_str).to_owned();
            self.switches.push((self.now.to_ticks(1000), name, reason.to_string()));
            match to {
                Some(input) if !self.mute.contains(&input) => {
                    self.selector.picture(&input, self.now);
                    self.selector.arrived(&input);
                    self.shown = Some(input);
                }
                Some(_) => {}
                None => self.shown = None,
            }
        }
        assert!(self.selector.deadline().is_none_or(|(at, _)| at > self.now), "a deadline stays due");
    }

    fn run(&mut self, time: i64) {
        let end = self.now + ms(time);
        while let Some((at, _)) = self.selector.deadline().filter(|(at, _)| *at <= end) {
            self.now = at;
            self.choose();
        }
        self.now = end;
        self.choose();
    }

    fn connect(&mut self, name: &str) {
        self.selector.connected(&id(name), self.now);
        self.choose();
    }

    fn lose(&mut self, name: &str) {
        let (input, why) = (id(name), "end of file");
        if self.shown.as_ref() == Some(&input) {
            self.shown = None;
        }
        self.selector.lost(&input, why, &Reason::Lost { input: input.clone(), why: why.to_owned() }, self.now);
        self.choose();
    }

    fn tell(&mut self, name: &str, faults: &[Fault]) {
        let finding = |fault: &Fault| Finding { fault: *fault, evidence: format!("proof of {fault}") };
        self.selector.condition(&id(name), Condition::new(faults.iter().map(finding).collect()), self.now);
        self.choose();
    }

    fn command(&mut self, manual: Manual) {
        assert!(self.selector.command(manual));
        self.choose();
    }

    /// The only switch since the last call: when, to what, why.
    #[track_caller]
    fn switch(&mut self) -> (i64, String, String) {
        assert_eq!(self.switches.len(), 1, "{:?}", self.switches);
        self.switches.pop().unwrap()
    }
}

fn usual() -> Selection {
    Selection::default()
}

#[test]
fn with_nothing_chosen_whoever_is_connected_is_taken_at_once() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.choose();
    assert!(desk.switches.is_empty());
    desk.connect("film");
    let words = "film delivers, and nothing better is there; on probation for 2 s more";
    assert_eq!(desk.switch(), (0, "film".into(), words.into()));
}

#[test]
fn a_preferred_input_takes_over_once_it_has_stayed() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.connect("film");
    desk.run(100);
    desk.connect("camera");
    desk.switches.clear();
    desk.run(5000);
    let words = "camera has been good for 2 s and comes before film";
    assert_eq!(desk.switch(), (2100, "camera".into(), words.into()));
}

#[test]
fn a_preferred_input_that_keeps_crashing_never_takes_over() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.connect("film");
    desk.switches.clear();
    for _ in 0..100 {
        desk.connect("camera");
        desk.run(1900);
        desk.lose("camera");
        desk.run(100);
    }
    assert_eq!(desk.switches, []);
}

#[test]
fn a_lost_input_gives_way_to_the_next_one_and_an_unknown_one_is_not_taken() {
    let mut desk = Desk::camera_and_film(usual());
    desk.lose("camera");
    assert_eq!(desk.switch(), (3000, "film".into(), "lost the worker of camera: end of file".into()));
    assert!(!desk.selector.connected(&id("stranger"), desk.now));
    assert_eq!(desk.selector.replace(vec![id("camera")]), vec![id("film")]);
    desk.choose();
    assert_eq!(desk.switch().1, "slate");
}

#[test]
fn an_input_with_nothing_to_show_is_left_at_once_and_the_fault_is_named_with_its_evidence() {
    for fault in [Fault::DeviceGone, Fault::NoSignal, Fault::ModeChange, Fault::Encoder, Fault::Worker] {
        let mut desk = Desk::camera_and_film(usual());
        desk.tell("camera", &[Fault::Silent, Fault::Frozen, fault]);
        assert_eq!(desk.switch(), (3000, "film".into(), format!("camera: {fault}, proof of {fault}")));
    }
}

#[test]
fn a_frozen_picture_is_left_after_its_hold_off_and_returned_to_after_its_probation() {
    let mut desk = Desk::camera_and_film(usual());
    desk.tell("camera", &[Fault::Frozen]);
    desk.run(1999);
    assert_eq!(desk.switches, []);
    desk.run(1);
    assert_eq!(desk.switch(), (5000, "film".into(), "camera: frozen, proof of frozen".into()));
    desk.tell("camera", &[]);
    desk.run(20_000);
    assert_eq!(desk.switch(), (15_000, "camera".into(), "camera has been good for 10 s and comes before film".into()));
}

#[test]
fn a_fade_to_black_is_no_fault_and_costs_no_trust() {
    let mut desk = Desk::camera_and_film(usual());
    for _ in 0..10 {
        desk.tell("camera", &[Fault::Black]);
        desk.run(1900);
        desk.tell("camera", &[]);
        desk.run(100);
    }
    desk.tell("camera", &[Fault::NoSignal]);
    desk.tell("camera", &[]);
    desk.run(20_000);
    assert_eq!(desk.switches.last().unwrap().0, 33_000, "its first failure needs 10 s: {:?}", desk.switches);
}

#[test]
fn a_frozen_input_is_not_left_for_another_frozen_one_but_for_one_that_moves() {
    let mut desk = Desk::camera_and_film(usual());
    desk.tell("film", &[Fault::Frozen]);
    desk.tell("camera", &[Fault::Frozen]);
    desk.run(60_000);
    assert_eq!(desk.switches, []);
    desk.tell("film", &[Fault::Irregular]);
    desk.run(5000);
    assert_eq!(desk.switch(), (65_000, "film".into(), "camera: frozen, proof of frozen".into()), "it has settled");
    desk.tell("camera", &[]);
    desk.run(5000);
    assert_eq!(desk.switch().0, 70_000, "a late picture is left for a good one, though that is on probation");
}

#[test]
fn each_relapse_doubles_the_probation_and_a_fault_during_it_begins_it_anew() {
    let mut desk = Desk::camera_and_film(usual());
    let mut waits = Vec::new();
    for _ in 0..4 {
        desk.tell("camera", &[Fault::NoSignal]);
        desk.tell("camera", &[]);
        let good = desk.now;
        desk.switches.clear();
        desk.run(100_000);
        waits.push(desk.switch().0 - good.to_ticks(1000));
    }
    assert_eq!(waits, [10_000, 20_000, 40_000, 80_000]);
    desk.lose("camera");
    desk.connect("camera");
    desk.run(150_000);
    desk.tell("camera", &[Fault::Irregular]);
    desk.tell("camera", &[]);
    desk.switches.clear();
    desk.run(159_999);
    assert_eq!(desk.switches, []);
    desk.run(1);
    assert_eq!(desk.on_air(), "camera");
}

#[test]
fn alone_an_input_is_shown_on_probation_but_does_not_flap() {
    let mut desk = Desk::with(&["camera"], usual());
    for _ in 0..600 {
        desk.connect("camera");
        desk.run(900);
        desk.lose("camera");
        desk.run(100);
    }
    let to_camera = desk.switches.iter().filter(|s| s.1 == "camera").map(|s| s.0);
    let times: Vec<_> = to_camera.collect();
    assert_eq!(times[..3], [0, 1000, 2000], "at once as long as there are turns");
    assert!((59..=63).contains(&times.len()), "then every ten seconds: {} in ten minutes", times.len());
    assert!(times.windows(2).skip(3).all(|pair| (9000..=11_000).contains(&(pair[1] - pair[0]))), "{times:?}");
}

#[test]
fn what_is_chosen_by_hand_is_obeyed_at_once_and_kept_whatever_its_picture_is_like() {
    let mut desk = Desk::camera_and_film(usual());
    desk.tell("film", &[Fault::Frozen]);
    desk.command(Manual::Input(id("film")));
    assert_eq!(desk.switch(), (3000, "film".into(), "film was chosen by hand".into()));
    desk.run(60_000);
    assert_eq!(desk.switches, []);
    desk.command(Manual::Slate);
    assert_eq!(desk.switch(), (63_000, "slate".into(), "the slate was chosen by hand".into()));
    assert_eq!(desk.selector.duty(&id("film")), Duty::Warm);
    desk.run(60_000);
    assert_eq!(desk.switches, []);
    desk.command(Manual::Auto);
    assert_eq!(desk.switch().1, "camera");
    assert!(!desk.selector.command(Manual::Input(id("stranger"))));
    assert_eq!(desk.selector.manual(), &Manual::Auto);
}

#[test]
fn what_was_chosen_by_hand_and_fails_is_returned_to_after_its_probation_and_both_are_told() {
    let mut desk = Desk::camera_and_film(usual());
    desk.command(Manual::Input(id("film")));
    desk.selector.take_news();
    desk.switches.clear();
    desk.tell("film", &[Fault::NoSignal]);
    assert_eq!(desk.switch().1, "camera");
    let because = Reason::Fault {
        input: id("film"),
        finding: Finding { fault: Fault::NoSignal, evidence: "proof of no signal".into() },
    };
    let told = Happened::Overruled { input: id("film"), because: Some(because), needs: ms(10_000) };
    assert_eq!(desk.selector.take_news(), [told]);
    desk.tell("film", &[]);
    desk.run(30_000);
    assert_eq!(desk.switch(), (13_000, "film".into(), "film was chosen by hand and has been good for 10 s".into()));
    desk.selector.replace(vec![id("camera")]);
    assert_eq!(desk.selector.take_news(), [Happened::Released { input: id("film") }]);
}

/// As after a start of this process: the operator's word is there before the workers are.
#[test]
fn what_is_chosen_by_hand_before_it_is_there_is_taken_as_soon_as_it_comes_unless_it_has_failed() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.command(Manual::Input(id("film")));
    desk.connect("camera");
    assert_eq!(desk.on_air(), "camera");
    desk.run(500);
    desk.connect("film");
    assert_eq!(desk.on_air(), "film", "it has neither failed nor proved itself, and it is what is wanted");
    desk.tell("film", &[Fault::NoSignal]);
    assert_eq!(desk.on_air(), "camera");
    desk.tell("film", &[]);
    assert_eq!(desk.on_air(), "camera", "now it has failed");
}

#[test]
fn what_an_operator_asks_for_waits_for_no_turn() {
    let mut desk = Desk::camera_and_film(usual());
    for n in 0..40 {
        desk.command(if n % 2 == 0 { Manual::Input(id("film")) } else { Manual::Auto });
        assert_eq!(desk.on_air(), if n % 2 == 0 { "film" } else { "camera" });
    }
}

#[test]
fn the_one_with_more_points_wins_only_with_a_lead_that_was_held() {
    let rules = |worth| InputRules { worth, ..InputRules::default() };
    let inputs = [(id("camera"), rules(100)), (id("film"), rules(80))].into();
    let mode = SelectionMode::Scored(Lead { points: 20, held: ms(3000) });
    let mut desk = Desk::camera_and_film(Selection { mode, inputs, ..usual() });
    desk.tell("camera", &[Fault::Irregular]);
    desk.run(4999);
    assert_eq!(desk.switches, [], "2 s until the fault counts, 3 s of lead");
    desk.run(1);
    let words = "film scores 80, camera 60, for 3 s (camera: irregular frames, proof of irregular frames)";
    assert_eq!(desk.switch(), (8000, "film".into(), words.into()));
    desk.tell("camera", &[]);
    desk.run(60_000);
    let (at, to, words) = desk.switch();
    assert_eq!((at, to.as_str()), (18_000, "camera"), "proven, and it has led for longer than 3 s by then");
    assert_eq!(words, "camera scores 100, film 80, for 10 s");
    // A lead that is too small is none.
    desk.tell("film", &[]);
    desk.selector.select(Selection { mode, ..usual() }, desk.now);
    desk.run(60_000);
    assert_eq!(desk.switches, []);
}

#[test]
fn an_input_that_does_not_answer_is_given_up_and_the_old_picture_was_never_gone() {
    let mut desk = Desk::camera_and_film(usual());
    desk.mute.insert(id("film"));
    desk.tell("camera", &[Fault::Frozen]);
    desk.run(2000);
    assert_eq!((desk.on_air(), desk.switches.len()), ("camera", 1));
    desk.switches.clear();
    desk.run(2000);
    let words = "film was chosen and has delivered no picture to cut to for 2000 ms";
    assert_eq!(desk.switch(), (7000, "camera".into(), words.into()));
    assert_eq!(desk.on_air(), "camera");
    desk.mute.clear();
    desk.run(60_000);
    assert_eq!(desk.on_air(), "film", "its gate is closed, so it is tried again");
}

#[test]
fn whoever_was_waited_for_in_vain_is_tried_after_those_with_something_to_show() {
    let mut desk = Desk::camera_and_film(usual());
    desk.mute.insert(id("camera"));
    let reason = Reason::NoAnswer { input: id("camera"), waited: ms(0) };
    desk.shown = None;
    desk.selector.stalled(&id("camera"), &reason, desk.now);
    desk.choose();
    assert_eq!(desk.on_air(), "film");
    desk.run(9000);
    desk.switches.clear();
    desk.lose("film");
    assert_eq!(desk.switches.last().unwrap().1, "camera", "there is nobody else");
    desk.run(100);
    desk.connect("film");
    desk.run(1900);
    assert_eq!(desk.on_air(), "film");
}

#[test]
fn the_gate_of_an_input_that_stalled_stays_open_until_another_one_is_chosen() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.connect("camera");
    desk.run(3000);
    desk.shown = None;
    desk.selector.stalled(&id("camera"), &Reason::NoAnswer { input: id("camera"), waited: ms(0) }, desk.now);
    desk.choose();
    assert_eq!((desk.selector.chosen(), desk.selector.duty(&id("camera"))), (None, Duty::OnAir));
    desk.run(30_000);
    assert_eq!(desk.selector.chosen(), None, "an open gate that nothing comes through");
    desk.selector.picture(&id("camera"), desk.now);
    desk.choose();
    assert_eq!(desk.on_air(), "camera");
    desk.connect("film");
    assert_eq!(desk.selector.duty(&id("film")), Duty::Warm);
}

#[test]
fn silence_moves_the_picture_only_where_it_is_asked_to() {
    let moves = || Selection { silence: Silence::Moves, ..usual() };
    let apart = || Selection { sound: AudioFrom::Input(id("desk")), ..moves() };
    for (selection, on_air) in [(usual(), "camera"), (moves(), "film"), (apart(), "camera")] {
        let mut desk = Desk::camera_and_film(selection);
        desk.tell("camera", &[Fault::Silent]);
        desk.run(5000);
        assert_eq!(desk.on_air(), on_air);
        desk.tell("film", &[Fault::NoSound]);
        desk.tell("camera", &[Fault::NoSignal]);
        assert_eq!(desk.on_air(), "film", "no sound is better than no picture");
    }
}

#[test]
fn a_source_whose_keyframes_are_rare_is_waited_for_unless_another_one_is_there() {
    let mut desk = Desk::with(&["camera", "film"], usual());
    desk.mute.insert(id("camera"));
    desk.connect("camera");
    for _ in 0..200 {
        desk.run(100);
        desk.selector.picture(&id("camera"), desk.now);
    }
    assert_eq!(desk.switches.len(), 1, "20 s without a keyframe, and nothing else: {:?}", desk.switches);
    desk.connect("film");
    assert_eq!(desk.on_air(), "film");
}

pub(super) fn time_in_which_this_process_slept_counts_for_nothing_story() {
    let mut desk = Desk::camera_and_film(usual());
    desk.tell("camera", &[Fault::Black]);
    // It sleeps past the end of the hold-off; that the picture is back lies in the socket.
    let due = desk.selector.deadline().unwrap().0;
    desk.now = due + ms(5000);
    desk.selector.forgive(desk.now - due + ms(100));
    desk.choose();
    desk.tell("camera", &[]);
    desk.run(20_000);
    assert_eq!(desk.switches, []);
}

#[test]
fn time_in_which_this_process_slept_counts_for_nothing() {
    time_in_which_this_process_slept_counts_for_nothing_story();
}

#[test]
fn a_snapshot_says_what_is_wrong_and_what_follows() {
    let mut desk = Desk::with(&["camera", "film", "phone"], usual());
    desk.connect("camera");
    desk.connect("film");
    desk.run(3000);
    desk.tell("camera", &[Fault::Frozen]);
    desk.lose("film");
    desk.connect("film");
    desk.run(2500);
    let words = |desk: &Desk| {
        let inputs = desk.selector.snapshot(desk.now).into_iter();
        inputs.map(|i| format!("{}: {}, {}", i.id, i.condition, i.standing)).collect::<Vec<_>>()
    };
    assert_eq!(words(&desk), ["camera: frozen, impaired", "film: good, on probation, 8 s more", "phone: good, absent"]);
    desk.lose("film");
    assert_eq!(words(&desk)[1], "film: worker gone, unusable");
    let old = r#"{"id":"camera","connected":true,"last_unit_ms":null}"#;
    let parsed: InputSnapshot = serde_json::from_str(old).unwrap();
    assert_eq!((parsed.condition, parsed.standing), (Condition::GOOD, InputStanding::Untold));
}
