//! Two cameras: one of them dies, hangs or is chosen, and the other goes on. Both are the test picture, whose number is that
//! of its place on the grid, the same in both: whether a frame was lost or shown twice across a switch is read from the
//! picture.

use holdfast::events::{Command, Event, EventKind, InputStanding};
use holdfast::model::{InputId, Manual};
use nix::sys::signal::Signal;

use crate::faults::{BUSY, FPS, FRAME, assert_live_in_place, assert_unbroken, bridges, frames_lost, reaction};
use crate::support::config::Configuration;
use crate::support::picture::{Recording, arrivals};
use crate::support::process::send;
use crate::support::receiver::Pyav;
use crate::support::results::record;
use crate::support::rig::{Rig, repetitions};
use crate::support::tools::ffmpeg;

/// A box with two of them, on air with the first.
struct Cameras {
    rig: Rig,
    pyav: Pyav,
}

impl Cameras {
    fn on_air(name: &'static str) -> Self {
        let mut rig = Rig::alone(name);
        let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
        let rules = "kind = \"pattern\"\nhold_off = \"1s\"\nprobation = \"2s\"";
        let configuration = Configuration::new(FPS)
            .add("input", "camera", rules)
            .add("input", "spare", rules)
            .rendition("main", "h264", "640x360", "700k", "aac")
            .destination("pyav", "main", &pyav.url());
        rig.configure(&configuration);
        rig.go_on_air("camera");
        rig.wait_publishing(&["pyav"]);
        let camera = InputId::new("camera").expect("a name");
        rig.wait("the spare one to be ready", |s| {
            let inputs = &s.plane.as_ref()?.inputs;
            inputs.iter().all(|i| i.standing == InputStanding::Ready || i.id == camera).then_some(())
        });
        rig.let_pass(3);
        Self { rig, pyav }
    }

    /// Pictures that were encoded for the programme, and those that kept an encoder warm.
    fn encoded(&self) -> (u64, u64) {
        let workers = self.rig.status().expect("holdfastd answers").workers;
        let main = workers.iter().flat_map(|w| w.streams.iter().filter(|s| s.rendition.as_str() == "main"));
        main.fold((0, 0), |(encoded, warm), s| (encoded + s.encoded, warm + s.stood_by))
    }

    fn end(mut self) -> (Recording, Vec<(f64, f64)>) {
        let output = self.rig.output("pyav");
        assert_eq!((output.sessions, output.lost), (1, 0), "it reconnected or lost units");
        self.rig.order(Command::Stop);
        let recording = self.pyav.recording(0);
        self.rig.shut_down();
        (recording, arrivals(&self.pyav.log(), 0))
    }
}

/// The picture at the receiver with which a switch began: the first whose time is not before the switch's place.
fn first_after(recording: &Recording, decision: &Event, arrivals: &[(f64, f64)]) -> Option<f64> {
    let decided = decision.mono.as_nanos() as f64 / 1e9;
    let next = arrivals.iter().find(|(_, arrived)| *arrived > decided)?.0;
    recording.pictures.iter().map(|p| p.pts).find(|pts| *pts >= next)
}

#[test]
fn a_camera_whose_worker_dies_or_hangs_gives_way_to_the_other_and_is_trusted_again_when_it_has_proved_itself() {
    let cameras = Cameras::on_air("inputs-worker");
    let rig = &cameras.rig;
    let mut decisions = Vec::new();
    for n in 0..repetitions(2, 10) {
        let signal = if n % 2 == 0 { Signal::SIGKILL } else { Signal::SIGSTOP };
        let before = rig.events().len();
        send(rig.worker_pid("camera"), signal);
        // Its last picture may be held for the frame or two until the spare one's keyframe is there.
        let left = rig.wait_event(before, "the camera to be left", |e| {
            e.kind == EventKind::Switched && e.evidence.get("from").is_some_and(|from| from == "camera")
        });
        println!("    {signal}: {}", left.reason);
        rig.wait_switched(before, "spare");
        let back = rig.wait_switched(before, "camera");
        println!("    back: {}", back.reason);
        let spared = (back.mono - left.mono).to_ticks(1000);
        assert!(spared >= 2000, "trusted again {spared} ms after it was left, with a probation of 2 s");
        decisions.push((signal, left));
        rig.let_pass(3);
    }
    let (recording, arrivals) = cameras.end();
    let stretches = recording.stretches();
    assert_unbroken("pyav", &recording);
    assert_live_in_place("pyav", &recording, &stretches);
    let stood_in = bridges(&stretches);
    let (pictures, slates): (Vec<_>, Vec<_>) = stood_in.iter().map(|s| (s.pictures, recording.slates(s))).unzip();
    println!("    {} frames lost; {pictures:?} pictures stood in", frames_lost(&recording));
    assert!(slates.iter().all(|slates| *slates == 0), "the slate was seen between two cameras: {slates:?}");
    for (signal, left) in &decisions {
        let first = first_after(&recording, left, &arrivals).expect("pictures went on");
        let after = reaction(left, &arrivals, first);
        let bridge = pictures.iter().max().unwrap_or(&0);
        record(
            "inputs-worker",
            &[
                ("signal", signal.to_string()),
                ("decision_to_next_picture_ms", format!("{:.1}", after * 1e3)),
                ("longest_held_frames", bridge.to_string()),
                ("frames_lost", frames_lost(&recording).to_string()),
            ],
        );
        assert!(after < FRAME + BUSY, "the next picture came {:.0} ms after the decision", after * 1e3);
    }
}

#[test]
fn a_change_of_camera_by_hand_shows_every_frame_once_and_encodes_it_once() {
    let cameras = Cameras::on_air("inputs-by-hand");
    let rig = &cameras.rig;
    let (before, _) = cameras.encoded();
    let began = rig.status().and_then(|s| s.plane).expect("a data plane").renditions[0].live;
    let mut decided = Vec::new();
    for n in 0..repetitions(6, 20) {
        let to = if n % 2 == 0 { "spare" } else { "camera" };
        let events = rig.events().len();
        let done = rig.holdfast(&["choose", to]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let asked = rig.wait_event(events, "the operator's word", |e| e.reason.contains("on air"));
        let switched = rig.wait_switched(events, to);
        decided.push((switched.mono - asked.mono).to_ticks(1000));
        println!("    {to}: {}, {} ms after it was asked for", switched.reason, decided[decided.len() - 1]);
        let chosen = Manual::Input(InputId::new(to).expect("a name"));
        rig.wait("the choice to be shown", |s| (s.plane.as_ref()?.choice == chosen).then_some(()));
        rig.let_pass(1);
    }
    assert!(rig.holdfast(&["choose", "nobody"]).status.code() == Some(1), "an input that is not there");
    let shown = rig.holdfast(&["inputs"]);
    println!("{}", String::from_utf8_lossy(&shown.stdout));
    assert!(String::from_utf8_lossy(&shown.stdout).contains("an operator chose camera"), "{shown:?}");

    let (encoded, warm) = cameras.encoded();
    let on_air = rig.status().and_then(|s| s.plane).expect("a data plane").renditions[0].live - began;
    let more = (encoded - before) as f64 / on_air as f64 - 1.0;
    println!("    {} encoded for {on_air} on air, {:.1} % more; {warm} to keep warm", encoded - before, more * 100.0);
    let (recording, _) = cameras.end();
    let count = recording.count();
    println!("    {count}; asked for -> switched {decided:?} ms");
    assert_unbroken("pyav", &recording);
    assert_live_in_place("pyav", &recording, &recording.stretches());
    assert!(count.is_perfect(), "{count}");
    assert!(bridges(&recording.stretches()).is_empty(), "something stood in between two cameras that deliver");
    let median = {
        let mut sorted = decided.clone();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    record(
        "inputs-by-hand",
        &[
            ("asked_to_switched_ms", format!("{decided:?}")),
            ("median_ms", median.to_string()),
            ("encoded_more_percent", format!("{:.1}", more * 100.0)),
            ("frames", count.to_string()),
        ],
    );
    // Both are encoded from the decision until the other's keyframe is there: a few frames for each change.
    assert!(more < 0.25, "{:.0} % of the pictures were encoded twice", more * 100.0);
}

/// A film that moves for 6 s, stands still for 6 s, moves, is black for 6 s, and has a tone all along; made by FFmpeg.
fn film_with_faults(file: &std::path::Path) {
    let moving = "testsrc=size=640x360:rate=30:duration=6";
    let filters = format!(
        "{moving},format=yuv420p,tpad=stop_mode=clone:stop_duration=6[a];{moving},format=yuv420p[b];\
         color=black:size=640x360:rate=30:duration=6,format=yuv420p[c];[a][b][c]concat=n=3:v=1:a=0[v];\
         sine=frequency=440:sample_rate=48000:duration=24,volume=0.3,aformat=channel_layouts=stereo[s]"
    );
    let mut command = ffmpeg();
    command.args([
        "-filter_complex",
        &filters,
        "-map",
        "[v]",
        "-map",
        "[s]",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
    ]);
    command.args(["-g", "30", "-qp", "18", "-c:a", "aac", "-t", "24", "-y"]).arg(file);
    let done = command.output().expect("FFmpeg starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_frozen_and_a_black_picture_give_way_to_one_that_moves_and_come_back_when_they_do() {
    let mut rig = Rig::alone("inputs-picture");
    let film = rig.dir().join("film.mp4");
    film_with_faults(&film);
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
    let watched = format!(
        "kind = \"file\"\npath = \"{}\"\nfrozen_after = \"2s\"\nblack_after = \"1s\"\nhold_off = \"500ms\"\n\
         probation = \"2s\"",
        film.display()
    );
    let configuration = Configuration::new(FPS)
        .add("input", "film", &watched)
        .add("input", "spare", "kind = \"pattern\"")
        .rendition("main", "h264", "640x360", "700k", "aac")
        .destination("pyav", "main", &pyav.url());
    rig.configure(&configuration);
    rig.go_on_air("film");
    rig.wait_publishing(&["pyav"]);
    // Whichever delivers first is on air first.
    let begun = rig.wait_switched(0, "film");
    let mut seen = rig.events().iter().position(|e| *e == begun).expect("it is in the log") + 1;
    for _ in 0..repetitions(1, 10) {
        for (fault, after_ms) in [("frozen", 2000), ("black", 1000)] {
            let left = rig.wait_event(seen, &format!("the {fault} film to be left"), |e| {
                e.kind == EventKind::Switched && e.evidence.get("to").is_some_and(|to| to == "spare")
            });
            println!("    left: {}", left.reason);
            assert!(left.reason.contains(fault), "{fault}: {}", left.reason);
            let events = rig.events();
            let found = events.iter().skip(seen).find(|e| e.kind == EventKind::InputCondition).expect("it is told");
            let held = (left.mono - found.mono).to_ticks(1000);
            println!("    {}; left {held} ms later", found.reason);
            assert!(found.reason.starts_with(fault), "{}", found.reason);
            assert!(held >= 500, "a hold-off of 500 ms was {held} ms");
            let after = events.iter().position(|e| *e == left).expect("it is in the log");
            let back = rig.wait_switched(after + 1, "film");
            println!("    back: {}", back.reason);
            let spared = (back.mono - left.mono).to_ticks(1000);
            record(
                "inputs-picture",
                &[
                    ("fault", fault.to_owned()),
                    ("found_to_left_ms", held.to_string()),
                    ("spared_ms", spared.to_string()),
                ],
            );
            assert!(spared >= 2000, "{fault}, wanted for {after_ms} ms: trusted again after {spared} ms");
            seen = rig.events().iter().position(|e| *e == back).expect("it is in the log") + 1;
        }
    }
    let output = rig.output("pyav");
    assert_eq!((output.sessions, output.lost), (1, 0), "it reconnected or lost units");
    rig.order(Command::Stop);
    let recording = pyav.recording(0);
    rig.shut_down();
    assert_unbroken("pyav", &recording);
}
