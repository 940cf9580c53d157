//! Incident reports: what happened to the box, and what its viewers saw.
//!
//! The checker in [`super::world`] watches every unit of every scenario: places in order and on the grid, cuts on keyframes,
//! sound without holes, live units passed on in the instant they come, the slate within one interval of a decision.
#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::Bytes;

use super::world::{Pace, World, config, id, ms, rendition, settings};
use super::*;
use crate::events::SourceOnAir;
use crate::model::{Codec, Fault, FrameRate, Manual, Media, Selection};

const QUICK: Pace = Pace { latency: Media::from_millis(30), jitter: Media::from_millis(5) };
const SLOW: Pace = Pace { latency: Media::from_millis(290), jitter: Media::from_millis(10) };
const STREAMS: [(&str, Codec); 2] = [("main", Codec::H264), ("aac-128k", Codec::Aac)];

fn thirty() -> FrameRate {
    FrameRate::whole(30)
}

fn one_camera() -> World {
    World::new(settings(thirty(), &STREAMS, &["camera"]), 1)
}

/// A box whose camera has been on air for three seconds, slate loaded.
fn on_air(mut world: World, pace: Pace) -> World {
    world.load_slates();
    world.start("camera", pace);
    world.run(ms(3000));
    assert!(world.is_live("camera"), "the camera did not come on air");
    world.events.clear();
    world
}

fn missing(world: &World) -> u64 {
    world.switch.snapshot(world.now).renditions.iter().map(|r| r.missing).sum()
}

fn count(world: &World, name: &str) -> crate::events::RenditionSnapshot {
    world.switch.snapshot(world.now).renditions.into_iter().find(|r| r.id.as_str() == name).unwrap()
}

/// The changes of the programme's source since the scenario began, in milliseconds.
fn switches(world: &World, since: Media) -> Vec<(i64, &SourceOnAir)> {
    let switched = world.events.iter().filter_map(|(at, event)| match event {
        Happened::Switched { to, .. } => Some(((*at - since).to_ticks(1000), to)),
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
fn the_worker_is_killed_and_its_last_picture_stays_until_its_successor_delivers_a_keyframe() {
    let mut world = on_air(one_camera(), QUICK);
    let before = missing(&world);
    let killed = world.now;
    world.kill("camera");
    assert_eq!(world.source(), SourceOnAir::Slate, "decided as soon as the socket closed");
    world.run(ms(34));
    assert_eq!(world.last_from("main"), Some(STILL), "one frame interval later its last picture is on air again");
    assert_eq!(world.last_from("aac-128k"), Some(SLATE), "and silence");

    world.run(ms(766));
    world.start("camera", QUICK);
    world.run(ms(1000));
    let slate = SourceOnAir::Slate;
    let camera = SourceOnAir::Input(id("camera"));
    let seen = switches(&world, killed);
    assert_eq!(seen.iter().map(|(_, to)| *to).collect::<Vec<_>>(), [&slate, &camera]);
    assert!(seen[1].0 < 800 + 40 + 34, "back with the first keyframe, {} ms after the kill", seen[1].0);
    assert_eq!(missing(&world), before, "a place stayed empty");
}

#[test]
fn the_worker_hangs_and_its_last_picture_stays_and_then_the_slate_comes() {
    let mut world = on_air(one_camera(), QUICK);
    let hung = world.now;
    world.stop("camera");
    world.run_until("the slate is on air", |w| w.source() == SourceOnAir::Slate);
    let took = (world.now - hung).to_ticks(1000);
    assert!((400..=700).contains(&took), "took {took} ms");
    // The twelve pictures that nobody delivered meanwhile are made up for at once; they belong to the two seconds.
    world.run(ms(1500));
    assert!(count(&world, "main").slate >= 45, "{} pictures", count(&world, "main").slate);
    assert_eq!(world.last_from("main"), Some(STILL));
    world.run(ms(500));
    assert_eq!(world.last_from("main"), Some(SLATE));
    assert!(world.events.iter().any(
        |(_, e)| matches!(e, Happened::Switched { reason: Reason::Stalled { silent, .. }, .. } if *silent > ms(400))
    ));
}

#[test]
fn a_picture_is_held_when_its_signal_goes_and_not_where_the_slate_is_wanted() {
    let mut world = on_air(one_camera(), QUICK);
    world.tell("camera", &[Fault::NoSignal]);
    world.run_until("the slate is on air", |w| w.source() == SourceOnAir::Slate);
    world.run(ms(34));
    assert_eq!(world.last_from("main"), Some(STILL));

    let mut world = on_air(one_camera(), QUICK);
    world.choose(Manual::Slate);
    world.run(ms(34));
    assert_eq!(world.last_from("main"), Some(SLATE));

    let mut world = on_air(one_camera(), QUICK);
    world.kill("camera");
    world.run(ms(100));
    assert_eq!(world.last_from("main"), Some(STILL));
    world.choose(Manual::Slate);
    // Two intervals, where the pace slackens.
    world.run(ms(67));
    assert_eq!(world.last_from("main"), Some(SLATE), "it was to be seen at once");
}

#[test]
fn whoever_does_not_want_a_picture_to_be_held_sees_the_slate_at_once() {
    let mut world = on_air(one_camera(), QUICK);
    world.select(Selection { still: Media::ZERO, ..Selection::default() });
    world.kill("camera");
    world.run(ms(34));
    assert_eq!(world.last_from("main"), Some(SLATE));
}

#[test]
fn a_hung_worker_goes_on_and_its_old_pictures_stay_off_the_air() {
    let mut world = on_air(one_camera(), QUICK);
    world.stop("camera");
    world.run(ms(1800));
    let late = count(&world, "main").late;
    let asked = world.asked;
    world.check.longest_silence = Media::ZERO;
    world.resume("camera");
    world.run_until("the camera is back", |w| w.is_live("camera"));
    assert!(count(&world, "main").late > late + 20, "the backlog was dropped and counted");
    assert!(world.asked > asked, "a keyframe was asked for");
    let silence = world.check.longest_silence;
    assert!(silence <= ms(40), "the slate waited for pictures that were only old: {silence:?}");
    world.run(ms(200));
    assert_eq!(world.last_from("aac-128k"), Some("camera"));
}

#[test]
fn one_renditions_encoder_hangs_and_the_other_rendition_stays_live() {
    let streams = [("main", Codec::H264), ("small", Codec::Hevc), ("aac-128k", Codec::Aac)];
    let mut world = on_air(World::new(settings(thirty(), &streams, &["camera"]), 2), QUICK);
    world.hang("camera", |s| s.rendition == rendition("small"));
    world.run(ms(1500));
    assert_eq!(world.last_from("small"), Some(SLATE));
    assert_eq!(world.last_from("main"), Some("camera"));
    assert_eq!(world.last_from("aac-128k"), Some("camera"));
    assert!(world.is_live("camera"), "the programme is live as long as one picture is");
    assert!(matches!(&world.events[..], [(_, Happened::StreamFilled { .. })]), "{:?}", world.events);

    world.resume("camera");
    world.run(ms(2000));
    assert_eq!(world.last_from("small"), Some("camera"));
    assert!(matches!(&world.events[..], [_, (_, Happened::StreamLive { .. })]), "{:?}", world.events);
}

#[test]
fn only_the_sound_stalls_and_silence_fills_it_while_the_picture_stays() {
    let mut world = on_air(one_camera(), QUICK);
    world.hang("camera", |s| s.codec == Codec::Aac);
    world.run(ms(1500));
    assert_eq!(world.last_from("aac-128k"), Some(SLATE));
    assert_eq!(world.last_from("main"), Some("camera"));
    world.resume("camera");
    world.run(ms(1000));
    assert_eq!(world.last_from("aac-128k"), Some("camera"));
    assert_eq!(count(&world, "main").slate, world.check.streams[&rendition("main")].slate);
    assert!(switches(&world, world.now).is_empty(), "the programme's source never changed");
    assert_eq!(world.events.len(), 2, "filled, and live again: {:?}", world.events);
}

#[test]
fn the_worker_overflows_the_picture_has_a_counted_hole_and_the_sound_none() {
    let mut world = on_air(one_camera(), QUICK);
    let before = count(&world, "main");
    let silence = count(&world, "aac-128k").slate;
    for _ in 0..5 {
        world.overflow("camera", |_| true);
        world.run(ms(700));
    }
    assert!(world.is_live("camera"));
    let holes = count(&world, "main").missing - before.missing;
    assert!((1..60).contains(&holes), "{holes} pictures missing");
    assert!(count(&world, "aac-128k").slate > silence, "the sound that was lost was not filled");
    assert!(world.events.is_empty(), "a hole is not a switch: {:?}", world.events);
}

#[test]
fn no_camera_and_no_encoder_ever_start_and_the_slate_is_on_air() {
    let mut world = one_camera();
    world.load_slates();
    let loaded = world.now;
    world.run_until("the slate is on air", |w| w.last_from("main") == Some(SLATE));
    assert!(world.now - loaded <= ms(134), "took {:?}", world.now - loaded);
    world.run(ms(30_000));
    let main = count(&world, "main");
    assert!((890..=905).contains(&main.slate), "{} pictures in 30 s", main.slate);
    assert_eq!((main.live, main.missing), (0, 0));
    let silence = count(&world, "aac-128k").slate;
    assert!((1390..=1410).contains(&silence), "{silence} packets in 30 s");
}

#[test]
fn there_is_no_slate_and_the_camera_goes_on_air_by_itself_with_what_was_missing_counted() {
    let mut world = one_camera();
    world.run(ms(2000));
    assert_eq!(world.source(), SourceOnAir::Nothing);
    world.start("camera", QUICK);
    world.run(ms(1000));
    assert!(world.is_live("camera"));
    let first = missing(&world);
    assert!(first > 0);

    world.kill("camera");
    world.run(ms(1000));
    assert_eq!(world.source(), SourceOnAir::Nothing);
    world.start("camera", QUICK);
    world.run(ms(1000));
    let main = count(&world, "main");
    assert!((85..95).contains(&main.missing), "{} pictures missing of three seconds without any", main.missing);
}

#[test]
fn the_slate_arrives_while_nothing_is_on_air() {
    let mut world = one_camera();
    world.start("camera", QUICK);
    world.run(ms(2000));
    world.kill("camera");
    world.run(ms(3000));
    assert_eq!(world.source(), SourceOnAir::Nothing);
    let sent = count(&world, "main").live;
    world.load_slates();
    world.run(ms(1000));
    assert_eq!(world.source(), SourceOnAir::Slate);
    let main = count(&world, "main");
    assert!(main.slate < 36, "{} pictures in a second: it tried to make up for the past", main.slate);
    assert!(main.live == sent && main.missing >= 80, "{} missing", main.missing);
}

#[test]
fn keyframes_that_lie_behind_the_slate_make_it_wait_until_one_lies_ahead() {
    let mut world = on_air(one_camera(), QUICK);
    // A quick encoder's latency has been learned; its successor takes ten times as long.
    world.run(ms(20_000));
    world.kill("camera");
    world.run(ms(500));
    let (late, started) = (count(&world, "main").late, world.now);
    world.start("camera", SLOW);
    world.run_until("the slow encoder is on air", |w| w.last_from("main") == Some("camera"));
    assert!(count(&world, "main").late > late, "its first keyframe was behind, or the scenario shows nothing");
    let took = (world.now - started).to_ticks(1000);
    assert!(took < 1500, "took {took} ms");
    assert!(world.check.longest_silence <= ms(70), "the slate paused for {:?}", world.check.longest_silence);
}

#[test]
fn the_data_plane_is_killed_and_goes_on_in_the_same_timeline() {
    let mut world = on_air(one_camera(), QUICK);
    let place = world.check.streams[&rendition("main")].last.as_ref().unwrap().place;
    world.kill_plane(ms(300));
    world.run(ms(1500));
    assert!(world.is_live("camera"));
    let again = world.check.streams[&rendition("main")].last.as_ref().unwrap().place;
    let passed = again - place;
    assert!((43..=47).contains(&passed), "{passed} places in 1.5 s");
}

#[test]
fn the_data_plane_is_stopped_and_holds_it_against_nobody() {
    let mut world = on_air(one_camera(), QUICK);
    let slate = count(&world, "main").slate;
    world.stop_plane(ms(4000));
    world.run(ms(6000));
    assert!(world.is_live("camera"));
    assert!(world.events.is_empty(), "the camera was well all the time: {:?}", world.events);
    assert_eq!(count(&world, "main").slate, slate);
}

#[test]
fn at_29_97_frames_a_worker_is_killed_once_a_minute_for_an_hour() {
    let rate = FrameRate { num: 30_000, den: 1001 };
    let mut world = on_air(World::new(settings(rate, &STREAMS, &["camera"]), 3), QUICK);
    for _ in 0..60 {
        world.run(ms(59_300));
        world.kill("camera");
        world.run(ms(700));
        world.start("camera", QUICK);
    }
    world.run(ms(3000));
    world.check.counters_agree(&world.switch.snapshot(world.now), true);
    assert_eq!(missing(&world), 0);
    let (main, sound) = (count(&world, "main"), count(&world, "aac-128k"));
    // An hour and some seconds: pictures and sound keep together to the unit.
    let seconds =
        (main.live + main.slate) as f64 * 1001.0 / 30_000.0 - (sound.live + sound.slate) as f64 * 1024.0 / 48_000.0;
    assert!(seconds.abs() < 0.1, "picture and sound are {seconds} s apart");
}

#[test]
fn sixty_frames_with_opus_and_aac_survive_a_kill_a_hang_and_a_restart() {
    let streams = [("main", Codec::Av1), ("aac-128k", Codec::Aac), ("opus-96k", Codec::Opus)];
    let mut world = on_air(World::new(settings(FrameRate::whole(60), &streams, &["camera"]), 4), QUICK);
    world.kill("camera");
    world.run(ms(400));
    world.start("camera", QUICK);
    world.run(ms(2000));
    world.stop("camera");
    world.run(ms(900));
    world.resume("camera");
    world.run(ms(2000));
    assert_eq!(missing(&world), 0);
    world.kill_plane(ms(200));
    world.run(ms(2000));
    for (name, _) in streams {
        assert_eq!(world.last_from(name), Some("camera"), "{name}");
    }
}

#[test]
fn the_preferred_camera_comes_late_and_takes_over_on_a_keyframe() {
    let mut world = World::new(settings(thirty(), &STREAMS, &["camera", "film"]), 5);
    world.load_slates();
    world.start("film", QUICK);
    world.run(ms(3000));
    assert!(world.is_live("film"));
    world.start("camera", SLOW);
    world.run(ms(1900));
    assert!(world.is_live("film"), "taken over before it had stayed");
    world.run(ms(1800));
    assert!(world.is_live("camera"));
    assert_eq!(world.last_from("aac-128k"), Some("camera"));

    world.kill("camera");
    world.run(ms(700));
    assert!(world.is_live("film"), "the next in order, which kept running, takes over");
}

#[test]
fn a_worker_that_is_replaced_without_notice_starts_over_with_a_keyframe() {
    let mut world = on_air(one_camera(), QUICK);
    world.start("camera", QUICK);
    assert_eq!(world.source(), SourceOnAir::Slate);
    world.run(ms(500));
    assert!(world.is_live("camera"));
    assert!(matches!(&world.events[0].1, Happened::Switched { reason: Reason::Replaced { .. }, .. }));
}

#[test]
fn an_input_that_is_configured_away_leaves_the_air() {
    let mut world = on_air(one_camera(), QUICK);
    world.switch.handle(Input::Inputs(vec![id("film")]), world.now);
    assert_eq!(world.source(), SourceOnAir::Slate);
    assert_eq!(world.switch.snapshot(world.now).inputs.len(), 1);
}

#[test]
fn a_unit_from_the_future_does_not_move_the_timeline() {
    let mut world = on_air(one_camera(), QUICK);
    let place = world.check.streams[&rendition("main")].last.as_ref().unwrap().place;
    let pts = world.now + ms(3_600_000);
    let unit = crate::model::AccessUnit {
        input: id("camera"),
        rendition: rendition("main"),
        track: crate::model::Track::Video,
        pts,
        dts: pts,
        key: true,
        config: config(Codec::H264, thirty(), "camera"),
        payload: Bytes::new(),
    };
    let late = count(&world, "main").late;
    world.switch.handle(Input::Unit(unit), world.now);
    assert_eq!(count(&world, "main").late, late + 1);
    world.run(ms(1000));
    let passed = world.check.streams[&rendition("main")].last.as_ref().unwrap().place - place;
    assert!((29..=31).contains(&passed), "{passed} places in a second");
}

#[test]
fn a_slate_for_something_else_is_refused_with_the_remedy() {
    let mut world = one_camera();
    let clip = |name: &str, codec, units| SlateClip {
        rendition: rendition(name),
        config: config(codec, thirty(), "slate"),
        units,
    };
    let one = || vec![Bytes::from_static(b"x")];
    let now = world.now;
    let mut load = |clip| world.switch.load_slate(clip, now).unwrap_err().to_string();
    assert_eq!(load(clip("other", Codec::H264, one())), "the programme has no rendition other");
    assert_eq!(
        load(clip("main", Codec::Hevc, one())),
        "the slate of main is HEVC, but the rendition is H.264; it has to be made again"
    );
    assert_eq!(load(clip("main", Codec::H264, vec![])), "the slate of main is empty; it has to be made again");
}

#[test]
fn every_decision_becomes_a_line_of_the_log_with_its_evidence() {
    let mut world = on_air(one_camera(), QUICK);
    world.stop("camera");
    world.run(ms(1000));
    let switched = world.events.iter().find(|(_, e)| matches!(e, Happened::Switched { .. })).unwrap();
    let (at, stalled) = switched.clone();
    let event = stalled.into_event((crate::model::Wall(0), at));
    assert_eq!(event.evidence["from"], "camera");
    assert_eq!(event.evidence["to"], "slate");
    assert_eq!(event.evidence["allowed_ms"], 400);
    assert!(event.reason.starts_with("camera has delivered nothing for main for 4"), "{}", event.reason);
}

#[test]
fn the_bit_rate_is_that_of_the_last_second() {
    let mut world = on_air(one_camera(), QUICK);
    // Live pictures of these tests have 22 bytes, and keyframes, of which there may be one, 21.
    let bitrate = count(&world, "main").bitrate;
    assert!([30 * 22 * 8, (29 * 22 + 21) * 8].contains(&bitrate), "{bitrate}");
    world.run(ms(5000));
    world.kill_plane(ms(5000));
    world.run(ms(2000));
    assert_eq!(count(&world, "main").bitrate, 0);
}
