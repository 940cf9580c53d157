//! Processes of the box are killed and stopped while it is on air.

use holdfast::clock;
use holdfast::events::{Command, Event, EventKind, Role, Severity};
use nix::sys::signal::Signal;

use crate::support::config::Configuration;
use crate::support::picture::{Kind, Recording, Stretch, arrivals};
use crate::support::process::send;
use crate::support::receiver::{Ffmpeg, Pyav};
use crate::support::results::record;
use crate::support::rig::{PATIENCE, Rig, live, repetitions};
use crate::support::wait::wait_until;

pub const FPS: u32 = 30;
pub const FRAME: f64 = 1.0 / FPS as f64;
/// Container times are whole milliseconds.
const ROUNDING: f64 = 0.0015;
/// What a busy machine may add to a reaction; reactions themselves are printed.
pub const BUSY: f64 = 0.150;

fn box_with(rig: &Rig, outputs: &[(&str, &str, String)]) {
    std::fs::create_dir(rig.dir().join("archive")).expect("our own directory");
    let mut configuration = Configuration::new(FPS)
        .pattern("pattern")
        .rendition("main", "h264", "640x360", "700k", "aac")
        .rendition("small", "hevc", "320x180", "250k", "aac")
        .recording("archive", "main", &rig.dir().join("archive"), "");
    for (name, rendition, url) in outputs {
        configuration = configuration.destination(name, rendition, url);
    }
    rig.configure(&configuration);
}

/// What every receiver must have got when nothing but the source failed: one unbroken grid of picture and sound.
pub fn assert_unbroken(name: &str, recording: &Recording) {
    assert_eq!(recording.backwards(), 0, "{name}: time went back");
    let (picture, sound) = (recording.video_time_error(FPS.into()), recording.sound_time_error(1024));
    println!("    {name}: picture {:.1} ms off its grid, sound {:.1} ms", picture * 1e3, sound * 1e3);
    assert!(picture < ROUNDING, "{name}: a place on the picture's grid is missing ({picture} s off)");
    assert!(sound < ROUNDING, "{name}: a packet of sound is missing ({sound} s off)");
}

/// Live pictures are where the source put them: the same distance in frames and in time, across every cut; and every
/// live stretch begins with a keyframe and has each of its frames once. Only a picture that is held follows without one.
pub fn assert_live_in_place(name: &str, recording: &Recording, stretches: &[Stretch]) {
    let first = recording.pictures.iter().find_map(|p| Some((p.code?, p.pts))).expect("live pictures");
    let live = |s: &&Stretch| s.kind == Kind::Live;
    for picture in stretches.iter().filter(live).flat_map(|s| &recording.pictures[s.from..s.from + s.pictures]) {
        if let Some(code) = picture.code {
            let due = first.1 + (code as f64 - first.0 as f64) * FRAME;
            assert!(
                (picture.pts - due).abs() < 2.0 * ROUNDING,
                "{name}: frame {code} is at {:.3} s, its place is {due:.3} s",
                picture.pts
            );
        }
    }
    for stretch in stretches {
        let pictures = &recording.pictures[stretch.from..stretch.from + stretch.pictures];
        let (held, key) = (stretch.kind == Kind::Held, pictures[0].key);
        assert!(held || key, "{name}: the cut at {:.3} s is not on a keyframe", pictures[0].pts);
        if stretch.kind == Kind::Live {
            let count = crate::support::picture::count(pictures.iter().map(|p| p.code));
            assert!(count.is_perfect(), "{name}: {count}");
        }
    }
}

/// What stood in between live pictures, held or the slate; the slate before the first live picture is how every programme begins.
pub fn bridges(stretches: &[Stretch]) -> Vec<Stretch> {
    let mut bridges: Vec<Stretch> = Vec::new();
    for stretch in stretches.iter().skip_while(|s| s.kind != Kind::Live).filter(|s| s.kind != Kind::Live) {
        match bridges.last_mut() {
            Some(last) if last.from + last.pictures == stretch.from => last.pictures += stretch.pictures,
            _ => bridges.push(stretch.clone()),
        }
    }
    bridges
}

/// Frames missing from within live stretches.
pub fn frames_lost(recording: &Recording) -> u64 {
    let live = |s: &Stretch| (s.kind == Kind::Live).then(|| &recording.pictures[s.from..s.from + s.pictures]);
    let stretches = recording.stretches();
    stretches.iter().filter_map(live).map(|p| crate::support::picture::count(p.iter().map(|p| p.code)).lost).sum()
}

/// Seconds from a decision to the arrival of the first picture it led to.
pub fn reaction(decision: &Event, arrivals: &[(f64, f64)], first: f64) -> f64 {
    let arrived = arrivals.iter().find(|(pts, _)| (pts - first).abs() < 2.0 * ROUNDING).expect("it arrived").1;
    arrived - decision.mono.as_nanos() as f64 / 1e9
}

/// Longest time between two pictures at the receiver.
fn longest_wait(arrivals: &[(f64, f64)]) -> f64 {
    // The first second is FFmpeg's probing.
    let settled = arrivals.iter().position(|a| a.0 > arrivals[0].0 + 1.0).unwrap_or(0);
    arrivals[settled..].windows(2).map(|w| w[1].1 - w[0].1).fold(0.0, f64::max)
}

/// Within this a worker has been replaced on a machine that is not overloaded, and viewers have seen its last picture stand.
const HELD: f64 = 2.0;

/// Kills or stops the worker again and again; the receivers must see live pictures, the last of them held, and the slate only
/// where that took long, in H.264 as in the second rendition's HEVC.
fn worker_faults(name: &'static str, signal: Signal, repetitions: u32) {
    let mut rig = Rig::new(name);
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    let small = Pyav::start(&rig.guard, rig.dir(), "small", 1);
    let outputs = [("pyav", "main", pyav.url()), ("ffmpeg", "main", ffmpeg.url()), ("small", "small", small.url())];
    box_with(&rig, &outputs);
    rig.go_on_air("pattern");
    rig.wait_publishing(&["pyav", "ffmpeg", "small"]);
    rig.let_pass(4);

    let mut decisions = Vec::new();
    for _ in 0..repetitions {
        let (worker, before) = (rig.worker_pid("pattern"), rig.events().len());
        send(worker, signal);
        let decision = rig.wait_switched(before, "slate");
        println!("    decided: {}", decision.reason);
        rig.wait_switched(before, "pattern");
        let next = rig.worker_pid("pattern");
        assert_ne!(worker, next, "the old worker is still there");
        decisions.push(decision);
        rig.let_pass(3);
    }
    for output in outputs {
        let snapshot = rig.output(output.0);
        assert_eq!((snapshot.sessions, snapshot.lost), (1, 0), "{} reconnected or lost units", output.0);
    }
    rig.order(Command::Stop);
    let recordings = [("pyav", pyav.recording(0)), ("ffmpeg", ffmpeg.recording()), ("small", small.recording(0))];
    rig.shut_down();

    for (receiver, recording) in &recordings {
        let stretches = recording.stretches();
        assert_unbroken(receiver, recording);
        assert_live_in_place(receiver, recording, &stretches);
        let bridges = bridges(&stretches);
        assert_eq!(bridges.len(), repetitions as usize, "{receiver}: {stretches:?}");
        for bridge in bridges {
            let (slates, seconds) = (recording.slates(&bridge), bridge.pictures as f64 * FRAME);
            println!("    {receiver}: {} pictures stood in, {slates} of them the slate's", bridge.pictures);
            assert!(slates == 0 || seconds >= HELD - FRAME, "{receiver}: {stretches:?}");
        }
    }
    let (main, arrivals) = (&recordings[0].1, arrivals(&pyav.log(), 0));
    for (bridge, decision) in bridges(&main.stretches()).iter().zip(&decisions) {
        let first = main.pictures[bridge.from].pts;
        let after = reaction(decision, &arrivals, first);
        record(
            name,
            &[
                ("bridged_ms", format!("{:.0}", bridge.pictures as f64 * FRAME * 1e3)),
                ("slate_pictures", main.slates(bridge).to_string()),
                ("decision_to_bridge_at_receiver_ms", format!("{:.1}", after * 1e3)),
                ("longest_wait_for_a_picture_ms", format!("{:.0}", longest_wait(&arrivals) * 1e3)),
                ("frames_lost", frames_lost(main).to_string()),
            ],
        );
        assert!(after < FRAME + BUSY, "what stands in came {:.0} ms after the decision", after * 1e3);
    }
}

#[test]
fn a_killed_worker_costs_a_few_frames_and_no_connection() {
    worker_faults("worker-killed", Signal::SIGKILL, repetitions(3, 30));
}

#[test]
fn a_hung_workers_last_picture_is_held_until_it_is_replaced() {
    worker_faults("worker-hung", Signal::SIGSTOP, repetitions(2, 20));
}

#[test]
fn a_killed_supervisor_costs_no_frame_and_finds_its_children_again() {
    let mut rig = Rig::new("supervisor-killed");
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    box_with(&rig, &[("pyav", "main", pyav.url()), ("ffmpeg", "main", ffmpeg.url())]);
    rig.go_on_air("pattern");
    rig.wait_publishing(&["pyav", "ffmpeg"]);
    rig.let_pass(3);

    for _ in 0..repetitions(2, 20) {
        let (worker, transmit) = (rig.worker_pid("pattern"), rig.transmit_pid());
        kill_supervisor(&mut rig);
        watch_frames_arrive(&pyav, 2.0);
        rig.start_daemon();
        assert_eq!((rig.worker_pid("pattern"), rig.transmit_pid()), (worker, transmit), "not the same children");
        rig.let_pass(2);
    }
    // What else the box can survive meanwhile: what stands in needs no supervisor.
    let (worker, transmit) = (rig.worker_pid("pattern"), rig.transmit_pid());
    kill_supervisor(&mut rig);
    send(worker, Signal::SIGKILL);
    watch_frames_arrive(&pyav, 3.0);
    rig.start_daemon();
    rig.wait_for_source(&live("pattern"));
    assert_eq!(rig.transmit_pid(), transmit, "the data plane was replaced");
    rig.let_pass(3);
    assert_eq!(rig.output("pyav").sessions, 1, "pyav reconnected");
    rig.order(Command::Stop);
    let recordings = [("pyav", pyav.recording(0)), ("ffmpeg", ffmpeg.recording())];
    rig.shut_down();

    for (receiver, recording) in &recordings {
        let stretches = recording.stretches();
        assert_unbroken(receiver, recording);
        assert_live_in_place(receiver, recording, &stretches);
        let slates = bridges(&stretches);
        assert_eq!(slates.len(), 1, "{receiver}: only the killed worker is to be seen: {stretches:?}");
        record(
            "supervisor-killed",
            &[
                ("receiver", (*receiver).to_owned()),
                ("frames", recording.pictures.len().to_string()),
                ("frames_lost", frames_lost(recording).to_string()),
                ("bridged_while_supervisor_was_gone_ms", format!("{:.0}", slates[0].pictures as f64 * FRAME * 1e3)),
            ],
        );
    }
}

fn kill_supervisor(rig: &mut Rig) {
    let mut daemon = rig.daemon.take().expect("it runs");
    daemon.signal(Signal::SIGKILL);
    daemon.finish(PATIENCE);
}

/// Waits until the receiver has got `seconds` more of the stream; with holdfastd gone only the receiver can tell.
fn watch_frames_arrive(pyav: &Pyav, seconds: f64) {
    let newest = || arrivals(&pyav.log(), 0).last().map_or(0.0, |a| a.0);
    let before = newest();
    wait_until(&format!("{seconds} s more at the receiver"), PATIENCE, || newest() - before >= seconds);
}

/// Kills or stops the one process whose death is visible.
fn data_plane_faults(name: &'static str, signal: Signal, repetitions: u32) {
    let mut rig = Rig::new(name);
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", repetitions + 1);
    let other = Pyav::start(&rig.guard, rig.dir(), "other", repetitions + 1);
    box_with(&rig, &[("pyav", "main", pyav.url()), ("other", "small", other.url())]);
    rig.go_on_air("pattern");
    rig.wait_publishing(&["pyav", "other"]);
    rig.let_pass(4);

    let offset = saved_offset(&rig);
    let mut reactions = Vec::new();
    for _ in 0..repetitions {
        let (worker, transmit, before) = (rig.worker_pid("pattern"), rig.transmit_pid(), rig.events().len());
        let killed = clock::media();
        send(transmit, signal);
        let publishing = ["pyav", "other"].map(|name| {
            rig.wait_event(before, &format!("{name} to publish again"), |e| {
                e.kind == EventKind::OutputPublishing && e.subject == name
            })
        });
        let live = rig.wait_switched(before, "pattern");
        let after = |event: &Event| (event.mono - killed).to_ticks(1000);
        reactions.push((after(&publishing[0]).max(after(&publishing[1])), after(&live)));
        assert!(rig.events()[before..].iter().any(|e| e.kind == EventKind::TimeResumed), "time was not resumed");
        rig.wait("another data plane", |s| {
            let child = s.children.iter().find(|c| c.role == Role::Transmit)?;
            (child.pid? != transmit).then_some(())
        });
        assert_eq!(rig.worker_pid("pattern"), worker, "the worker was replaced too");
        rig.let_pass(4);
    }
    assert_eq!(saved_offset(&rig), offset, "programme time was moved");
    rig.order(Command::Stop);

    let sessions: Vec<_> = (0..=u64::from(repetitions)).map(|n| pyav.recording(n)).collect();
    for n in 0..sessions.len() - 1 {
        let (before, after) = (&sessions[n], &sessions[n + 1]);
        let not_sent = place(after, 0) - place(before, before.pictures.len() - 1) - 1;
        record(
            name,
            &[
                ("publishing_again_ms", reactions[n].0.to_string()),
                ("live_again_ms", reactions[n].1.to_string()),
                ("programme_not_sent_ms", format!("{:.0}", not_sent as f64 * FRAME * 1e3)),
            ],
        );
        assert!(after.pictures[0].key, "session {} does not begin on a keyframe", n + 1);
    }
    for (n, session) in sessions.iter().enumerate() {
        let count = session.count();
        assert_eq!((count.lost, count.repeated, count.backwards), (0, 0, 0), "session {n}: {count}");
        assert_unbroken(&format!("session {n}"), session);
        assert_live_in_place(&format!("session {n}"), session, &session.stretches());
    }
    rig.shut_down();
    assert_archive_readable(&rig, repetitions as usize + 1);
}

/// Which frame of the source belongs where picture `i` is, whatever it shows.
fn place(recording: &Recording, i: usize) -> i64 {
    let live = recording.pictures.iter().find_map(|p| Some((p.code?, p.pts))).expect("live pictures");
    live.0 as i64 + ((recording.pictures[i].pts - live.1) * f64::from(FPS)).round() as i64
}

/// Programme time minus CLOCK_MONOTONIC, as the data plane saved it.
fn saved_offset(rig: &Rig) -> i64 {
    let text = std::fs::read_to_string(rig.paths.programme_time()).expect("programme time is saved");
    let saved: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    saved["offset"].as_i64().expect("a number")
}

/// Every file of the recording, those that were cut off too, can be read and holds every frame from its first to its
/// last.
fn assert_archive_readable(rig: &Rig, files: usize) {
    let archive = std::fs::read_dir(rig.dir().join("archive")).expect("the recording's directory");
    let mut all: Vec<_> = archive.map(|e| e.expect("readable").path()).collect();
    all.sort();
    assert!(all.len() >= files, "{files} files were begun, there are {all:?}");
    for file in all {
        let recording = Recording::read(&file);
        let count = recording.count();
        println!("    {}: {count}, {:.1} s", file.display(), recording.seconds());
        assert!(!recording.pictures.is_empty(), "{} cannot be read: {}", file.display(), recording.complaints);
        assert_eq!((count.lost, count.repeated, count.backwards), (0, 0, 0), "{}: {count}", file.display());
    }
}

#[test]
fn a_killed_data_plane_comes_back_on_a_keyframe_of_the_same_timeline() {
    data_plane_faults("data-plane-killed", Signal::SIGKILL, repetitions(2, 20));
}

#[test]
fn a_hung_data_plane_is_replaced_and_comes_back_on_a_keyframe_of_the_same_timeline() {
    data_plane_faults("data-plane-hung", Signal::SIGSTOP, repetitions(1, 20));
}

#[test]
fn without_any_input_the_slate_is_on_air() {
    let mut rig = Rig::new("no-input");
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    rig.configure(
        &Configuration::new(FPS)
            .file("film", &rig.dir().join("there-is-no-such-film.mp4"))
            .rendition("main", "h264", "640x360", "700k", "aac")
            .destination("ffmpeg", "main", &ffmpeg.url()),
    );
    rig.start_daemon();
    rig.order(Command::Start);
    rig.wait_for_source(&holdfast::events::SourceOnAir::Slate);
    rig.wait_publishing(&["ffmpeg"]);
    rig.let_pass(6);
    let status = String::from_utf8_lossy(&rig.holdfast(&["status"]).stdout).into_owned();
    println!("{status}");
    assert!(status.contains("slate"), "the status does not say what is on air");
    rig.order(Command::Stop);
    let recording = ffmpeg.recording();
    rig.shut_down();

    assert!(recording.seconds() > 5.0, "only {:.1} s of slate", recording.seconds());
    assert!(recording.pictures.iter().all(|p| p.code.is_none()), "a slate with a frame number");
    assert_unbroken("ffmpeg", &recording);
}

#[test]
fn with_a_broken_gstreamer_the_slate_of_last_time_is_on_air() {
    let mut rig = Rig::new("broken-gstreamer");
    let receivers: Vec<_> = (0..2).map(|n| Ffmpeg::start(&rig.guard, rig.dir(), &format!("ffmpeg-{n}"))).collect();
    let [mut well, mut broken] = <[Ffmpeg; 2]>::try_from(receivers).expect("two");
    let configuration = |url: &str| {
        Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "640x360", "700k", "aac")
            .destination("ffmpeg", "main", url)
    };
    rig.configure(&configuration(&well.url()));
    rig.go_on_air("pattern");
    rig.wait_publishing(&["ffmpeg"]);
    rig.wait_event(0, "the slate to be loaded", |e| {
        e.kind == EventKind::SlateChanged && e.from == Role::Transmit && e.subject == "main"
    });
    rig.shut_down();
    assert!(well.process.finish(PATIENCE).success(), "the first receiver: {}", well.process.log());

    // As after an upgrade that went wrong: no plugin can be found.
    rig.set_environment("GST_PLUGIN_SYSTEM_PATH_1_0", "/nowhere");
    rig.set_environment("GST_PLUGIN_PATH_1_0", "/nowhere");
    rig.set_environment("GST_REGISTRY_1_0", &rig.dir().join("empty-registry").display().to_string());
    rig.configure(&configuration(&broken.url()));
    rig.start_daemon();
    rig.order(Command::Start);
    rig.wait_for_source(&holdfast::events::SourceOnAir::Slate);
    rig.wait_publishing(&["ffmpeg"]);
    rig.let_pass(5);
    rig.order(Command::Stop);
    let recording = broken.recording();
    rig.shut_down();
    assert!(recording.seconds() > 4.0, "only {:.1} s of slate", recording.seconds());
    assert_unbroken("ffmpeg", &recording);
}

#[test]
fn without_any_encoder_ever_a_card_that_needs_none_is_on_air() {
    let mut rig = Rig::new("never-an-encoder");
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    rig.set_environment("GST_PLUGIN_SYSTEM_PATH_1_0", "/nowhere");
    rig.set_environment("GST_PLUGIN_PATH_1_0", "/nowhere");
    rig.set_environment("GST_REGISTRY_1_0", &rig.dir().join("empty-registry").display().to_string());
    rig.configure(
        &Configuration::new(FPS).pattern("pattern").rendition("main", "h264", "640x360", "700k", "aac").destination(
            "ffmpeg",
            "main",
            &ffmpeg.url(),
        ),
    );
    rig.start_daemon();
    rig.order(Command::Start);
    let told =
        rig.wait_event(0, "the stand-in", |e| e.kind == EventKind::SlateChanged && e.severity == Severity::Alert);
    println!("    told: {}", told.reason);
    rig.wait_for_source(&holdfast::events::SourceOnAir::Slate);
    rig.wait_publishing(&["ffmpeg"]);
    rig.let_pass(5);
    rig.order(Command::Stop);
    let recording = ffmpeg.recording();
    rig.shut_down();
    assert!(recording.seconds() > 4.0, "only {:.1} s of slate", recording.seconds());
    assert!(recording.complaints.is_empty(), "FFmpeg complains: {}", recording.complaints);
    assert_unbroken("ffmpeg", &recording);
}
