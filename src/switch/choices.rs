//! Incident reports about inputs: what was wrong with them, and what the viewers saw and heard. The same checker watches as in
//! [`super::scenarios`].
#![allow(clippy::unwrap_used, clippy::panic)]

use super::world::{Pace, World, id, ms, rendition, settings};
use super::*;
use crate::events::SourceOnAir;
use crate::model::{AudioFrom, Codec, Duty, Fault, FrameRate, Lead, Manual, Media, Selection, SelectionMode};

const QUICK: Pace = Pace { latency: Media::from_millis(30), jitter: Media::from_millis(5) };
const STREAMS: [(&str, Codec); 2] = [("main", Codec::H264), ("aac-128k", Codec::Aac)];

/// The camera is on air, the film stands by with its gate closed.
fn camera_and_film() -> World {
    let mut world = World::new(settings(FrameRate::whole(30), &STREAMS, &["camera", "film"]), 11);
    world.gated = true;
    world.load_slates();
    world.start("camera", QUICK);
    world.start("film", QUICK);
    world.run(ms(4000));
    assert!(world.is_live("camera"));
    assert_eq!((duty(&world, "camera"), duty(&world, "film")), (Some(Duty::OnAir), Some(Duty::Warm)));
    world.events.clear();
    world
}

fn duty(world: &World, name: &str) -> Option<Duty> {
    world.duties.get(&id(name)).copied()
}

/// When the programme changed its source, in milliseconds from `since`, to what, and why.
fn switches(world: &World, since: Media) -> Vec<(i64, String, String)> {
    let switched = world.events.iter().filter_map(|(at, event)| match event {
        Happened::Switched { to, reason, .. } => {
            let to = match to {
                SourceOnAir::Input(input) => input.to_string(),
                SourceOnAir::Slate => "slate".to_owned(),
                SourceOnAir::Nothing => "nothing".to_owned(),
            };
            Some(((*at - since).to_ticks(1000), to, reason.to_string()))
        }
        Happened::StreamFilled { .. }
        | Happened::StreamLive { .. }
        | Happened::SlateLoaded { .. }
        | Happened::ChosenByHand { .. }
        | Happened::NoSuchInput { .. }
        | Happened::Overruled { .. }
        | Happened::Released { .. } => None,
    });
    switched.collect()
}

#[test]
fn the_camera_loses_its_signal_and_its_last_picture_stays_until_the_films_keyframe_is_in_hand() {
    let mut world = camera_and_film();
    let lost = world.now;
    world.tell("camera", &[Fault::NoSignal]);
    assert_eq!(duty(&world, "film"), Some(Duty::OnAir), "the gate was opened at the decision");
    assert_eq!(duty(&world, "camera"), Some(Duty::OnAir), "and the other one stays open as long as it is seen");
    assert!(world.is_live("camera"));
    world.run_until("the film is on air", |w| w.is_live("film"));
    let seen = switches(&world, lost);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].2, "camera: no signal, proof of no signal");
    // The next place on the grid, a keyframe since the gate was closed, and the encoder's latency.
    assert!(seen[0].0 <= 34 + 35, "took {} ms", seen[0].0);
    world.run(ms(100));
    assert_eq!(duty(&world, "camera"), Some(Duty::Warm));
    assert_eq!(world.last_from("aac-128k"), Some("film"), "the sound follows");
}

/// How many of the camera's pictures leave at once when `then` happens while they wait for the film's keyframe, which never
/// comes, and how many in all.
fn leave(then: impl Fn(&mut World)) -> [u64; 2] {
    let live = |world: &World| world.check.streams[&rendition("main")].live;
    let mut world = camera_and_film();
    world.hang("film", |s| s.codec.is_video());
    world.choose(Manual::Input(id("film")));
    let before = live(&world);
    world.run(ms(200));
    assert_eq!(live(&world), before, "they wait");
    then(&mut world);
    let at_once = live(&world) - before;
    world.run(ms(200));
    [at_once, live(&world) - before]
}

#[test]
fn pictures_that_waited_for_the_film_are_not_thrown_away_when_the_camera_dies() {
    let [at_once, later] = leave(|world| world.kill("camera"));
    assert!((5..=7).contains(&at_once) && later == at_once, "{at_once} at once, {later} in all");
    let nothing = leave(|world| world.choose(Manual::Slate));
    assert_eq!(nothing, [0, 0], "who asks for the slate wants none of them to be seen");
}

#[test]
fn the_camera_freezes_and_comes_back_after_its_probation() {
    let mut world = camera_and_film();
    let frozen = world.now;
    world.tell("camera", &[Fault::Frozen]);
    world.run(ms(5000));
    let good = (world.now - frozen).to_ticks(1000);
    world.tell("camera", &[]);
    world.run(ms(12_000));
    let seen = switches(&world, frozen);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!((2000..2070).contains(&seen[0].0) && seen[0].1 == "film", "{seen:?}");
    assert_eq!(seen[0].2, "camera: frozen, proof of frozen");
    assert!((good + 10_000..good + 10_070).contains(&seen[1].0) && seen[1].1 == "camera", "{seen:?}");
    assert_eq!(seen[1].2, "camera has been good for 10 s and comes before film");
}

#[test]
fn without_another_input_the_slate_takes_the_place_of_no_signal_but_not_of_a_frozen_picture() {
    let mut world = World::new(settings(FrameRate::whole(30), &STREAMS, &["camera"]), 12);
    world.load_slates();
    world.start("camera", QUICK);
    world.run(ms(3000));
    world.tell("camera", &[Fault::Frozen]);
    world.run(ms(10_000));
    assert!(world.is_live("camera"), "a picture is better than the slate");
    world.tell("camera", &[Fault::NoSignal]);
    assert_eq!(world.source(), SourceOnAir::Slate);
    let snapshot = world.switch.snapshot(world.now);
    assert_eq!(snapshot.reason, "camera: no signal, proof of no signal");
    assert_eq!(snapshot.inputs[0].condition.to_string(), "no signal");
    world.run(ms(2000));
    world.tell("camera", &[]);
    world.run(ms(200));
    assert!(world.is_live("camera"), "on probation, but nothing else is there");
    let words = "camera delivers, and nothing better is there; on probation for 10 s more";
    assert_eq!(world.switch.snapshot(world.now).reason, words);
}

#[test]
fn a_crash_loop_flaps_three_times_and_then_every_ten_seconds() {
    let mut world = World::new(settings(FrameRate::whole(30), &STREAMS, &["camera"]), 13);
    world.load_slates();
    let begun = world.now;
    for _ in 0..60 {
        world.start("camera", QUICK);
        world.run(ms(700));
        world.kill("camera");
        world.run(ms(300));
    }
    let seen = switches(&world, begun);
    let live: Vec<_> = seen.iter().filter(|s| s.1 == "camera").map(|s| s.0 / 1000).collect();
    assert!((8..=9).contains(&live.len()), "{live:?}");
    assert_eq!(live[..3], [0, 1, 2]);
}

#[test]
fn the_slate_by_hand_is_silent_and_the_operators_choice_outlasts_a_frozen_picture() {
    let mut world = camera_and_film();
    let begun = world.now;
    world.choose(Manual::Slate);
    world.run(ms(34));
    assert_eq!((world.last_from("main"), world.last_from("aac-128k")), (Some(SLATE), Some(SLATE)));
    world.run(ms(20_000));
    assert_eq!((world.last_from("main"), world.last_from("aac-128k")), (Some(SLATE), Some(SLATE)));
    world.tell("film", &[Fault::Frozen]);
    world.choose(Manual::Input(id("film")));
    world.run(ms(10_000));
    assert!(world.is_live("film"));
    assert_eq!(world.last_from("aac-128k"), Some("film"));
    world.choose(Manual::Input(id("stranger")));
    world.run(ms(1000));
    assert!(world.is_live("film"));
    let told = |e: &Happened| matches!(e, Happened::NoSuchInput { .. });
    assert!(world.events.iter().any(|(_, e)| told(e)));
    world.choose(Manual::Auto);
    world.run(ms(1000));
    assert!(world.is_live("camera"));
    let words: Vec<_> = switches(&world, begun).into_iter().map(|s| s.2).collect();
    let auto = "film: frozen, proof of frozen";
    assert_eq!(words, ["the slate was chosen by hand", "film was chosen by hand", auto]);
}

#[test]
fn what_was_chosen_by_hand_fails_and_the_operator_is_told() {
    let mut world = camera_and_film();
    world.choose(Manual::Input(id("film")));
    world.run(ms(1000));
    world.kill("film");
    world.run(ms(1000));
    assert!(world.is_live("camera"));
    let overruled = world.events.iter().find(|(_, e)| matches!(e, Happened::Overruled { .. })).unwrap();
    let event = overruled.1.clone().into_event((crate::model::Wall(0), overruled.0));
    let words = "film was chosen by hand and cannot be shown (lost the worker of film: end of file); the automatic choice \
                 stands in until it has been good for 10 s";
    assert_eq!(event.reason, words);
    assert_eq!(event.evidence["fault"], "worker");
    world.start("film", QUICK);
    world.run(ms(9900));
    assert!(world.is_live("camera"));
    world.run(ms(300));
    assert!(world.is_live("film"));
    assert_eq!(world.switch.snapshot(world.now).manual, Manual::Input(id("film")));
}

#[test]
fn the_input_with_a_lead_takes_over_and_the_event_has_the_figures() {
    let mut world = camera_and_film();
    let mode = SelectionMode::Scored(Lead::default());
    world.select(Selection { mode, ..Selection::default() });
    let begun = world.now;
    world.tell("camera", &[Fault::Network]);
    world.run(ms(6000));
    let seen = switches(&world, begun);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(seen[0].2, "film scores 100, camera 50, for 3 s (camera: network, proof of network)");
    let (at, event) = world.events.iter().find(|(_, e)| matches!(e, Happened::Switched { .. })).unwrap().clone();
    let event = event.into_event((crate::model::Wall(0), at));
    assert_eq!((&event.evidence["points"], &event.evidence["fewer"]), (&100.into(), &50.into()));
    assert_eq!(event.evidence["fault"], "network");
    assert!((30..=35).contains(&event.evidence["latency_ms"].as_i64().unwrap()));
    let waited = event.evidence["after_decision_ms"].as_f64().unwrap();
    assert!((20.0..200.0).contains(&waited), "its keyframe was in hand {waited} ms after the decision");
    assert_eq!(world.switch.snapshot(world.now).inputs[0].score, Some(50));
}

#[test]
fn sound_that_is_set_apart_stays_whatever_the_picture_does_and_the_other_way_round() {
    let mut world = World::new(settings(FrameRate::whole(30), &STREAMS, &["camera", "film", "desk"]), 14);
    world.load_slates();
    for name in ["camera", "film", "desk"] {
        world.start(name, QUICK);
    }
    world.select(Selection { sound: AudioFrom::Input(id("desk")), ..Selection::default() });
    world.run(ms(4000));
    let heard = |w: &World| (w.last_from("main").unwrap().to_owned(), w.last_from("aac-128k").unwrap().to_owned());
    assert_eq!(heard(&world), ("camera".into(), "desk".into()));
    let filled = world.check.streams[&rendition("aac-128k")].slate;
    world.tell("camera", &[Fault::NoSignal]);
    world.run(ms(1000));
    world.choose(Manual::Slate);
    world.run(ms(1000));
    assert_eq!(heard(&world), (SLATE.into(), "desk".into()), "the host goes on speaking");
    world.choose(Manual::Auto);
    world.run(ms(1000));
    // What is wrong with the desk's picture, or its sound, moves neither.
    world.tell("desk", &[Fault::NoSignal, Fault::Silent]);
    world.run(ms(1000));
    assert_eq!(heard(&world), ("film".into(), "desk".into()));
    assert_eq!(world.check.streams[&rendition("aac-128k")].slate, filled, "not a packet of it was missing");
    // It dies: silence, not a microphone that nobody mixed; the picture stays.
    world.events.clear();
    world.kill("desk");
    world.run(ms(2000));
    assert_eq!(heard(&world), ("film".into(), SLATE.into()));
    world.start("desk", QUICK);
    world.run(ms(1000));
    assert_eq!(heard(&world), ("film".into(), "desk".into()));
    assert_eq!(switches(&world, world.now), []);
    world.select(Selection::default());
    world.run(ms(1000));
    assert_eq!(heard(&world), ("film".into(), "film".into()));
}

#[test]
fn an_input_whose_gate_nothing_comes_through_is_given_up_while_the_old_picture_stays() {
    let mut world = camera_and_film();
    world.stop("film");
    let begun = world.now;
    world.tell("camera", &[Fault::Black]);
    world.run(ms(30_000));
    assert_eq!(switches(&world, begun), [], "nobody saw anything of it");
    let film = &world.switch.snapshot(world.now).inputs[1];
    assert!(film.condition.has(Fault::Stalled) || film.standing != crate::events::InputStanding::Ready, "{film:?}");
    world.resume("film");
    world.run(ms(60_000));
    assert!(world.is_live("film"), "it is tried again");
}
