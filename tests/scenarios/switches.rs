//! One show in which inputs are left and returned to for every reason there is, and what the viewers saw and heard at each of
//! those changes: how soon, where on the grid, and whether picture and sound stayed together.

use std::collections::BTreeMap;
use std::fs;

use holdfast::clock;
use holdfast::events::{Command, Event, EventKind, InputStanding};
use holdfast::model::Media;
use nix::sys::signal::Signal;

use crate::faults::{FPS, FRAME, assert_unbroken};
use crate::support::config::Configuration;
use crate::support::film::{Film, Part};
use crate::support::picture::{Picture, Recording, arrivals};
use crate::support::process::send;
use crate::support::receiver::Pyav;
use crate::support::results::record;
use crate::support::rig::{Rig, live, repetitions};
use crate::support::sound::Sound;

const SIZE: (u32, u32) = (640, 360);
/// Where the numbers of the two films begin; those of the test picture count from the machine's start.
const SPARE: u64 = 3_000_000_000;
const FILM: u64 = 3_600_000_000;
/// Its faults are so far apart that it is trusted again before the next, although its probation doubles each time, and that a
/// change of input is due again: after six at once there is one in ten seconds.
const FAULTS: [(Part, u32); 7] = [
    (Part::Good, 6),
    (Part::Frozen, 4),
    (Part::Good, 12),
    (Part::Black, 4),
    (Part::Good, 14),
    (Part::Silent, 4),
    (Part::Good, 16),
];
/// A beep is heard within so much of its flash, or it is not its beep; and nothing is changed for so long after it.
const TOGETHER: f64 = 0.25;
/// Nor for so long before it: sound is cut to a packet or two after the picture.
const SETTLED: f64 = 0.5;
/// Where sound begins, half of a beep may be missing.
const BEGINNING: f64 = 2.0;

/// Who is in a picture.
fn source(code: Option<u64>) -> &'static str {
    match code {
        Some(FILM..) => "film",
        Some(SPARE..) => "spare",
        Some(_) => "camera",
        None => "slate",
    }
}

/// One change of what is on air, as it was brought about.
struct Cause {
    what: String,
    /// When the fault was made, or the order given. What is in a film is looked up afterwards.
    made: Option<Media>,
    event: Event,
}

/// A box with a camera, a film that stands by, and a better film, whose disk is not there yet.
struct Stage {
    rig: Rig,
    pyav: Pyav,
    film: Film,
    hidden: std::path::PathBuf,
    causes: Vec<Cause>,
}

impl Stage {
    fn on_air() -> Self {
        let mut rig = Rig::alone("switches");
        let hidden = rig.dir().join("not-yet.mp4");
        let spare = Film::make(&rig.dir().join("spare.mp4"), SPARE, SIZE, &[(Part::Good, 90)]);
        let film = Film::make(&hidden, FILM, SIZE, &FAULTS);
        let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
        let rules = "hold_off = \"300ms\"\nprobation = \"1s\"";
        let watched = "frozen_after = \"1s\"\nblack_after = \"500ms\"\nsilent_after = \"1s\"";
        let file = |path: &std::path::Path| format!("kind = \"file\"\npath = \"{}\"", path.display());
        let shown = rig.dir().join("film.mp4");
        let configuration = Configuration::new(FPS)
            .add("input", "film", &format!("{}\n{rules}\n{watched}", file(&shown)))
            .add("input", "camera", &format!("kind = \"pattern\"\n{rules}"))
            .add("input", "spare", &format!("{}\n{rules}", file(&spare.file)))
            .section("[selection]\nsilence = \"moves\"")
            .rendition("main", "h264", "640x360", "1500k", "aac")
            .destination("pyav", "main", &pyav.url());
        rig.configure(&configuration);
        rig.start_daemon();
        rig.wait("camera and spare to have pictures", |s| {
            let there = |name: &str| s.workers.iter().any(|w| w.input.as_str() == name && w.has_picture);
            (there("camera") && there("spare")).then_some(())
        });
        rig.order(Command::Start);
        rig.wait_for_source(&live("camera"));
        rig.wait_publishing(&["pyav"]);
        let stage = Self { rig, pyav, film, hidden, causes: Vec::new() };
        stage.wait_standing("camera", "ready", |standing| standing == InputStanding::Ready);
        stage.wait_standing("spare", "ready", |standing| standing == InputStanding::Ready);
        stage.rig.let_pass(2);
        stage
    }

    fn wait_standing(&self, name: &str, what: &str, is_it: impl Fn(InputStanding) -> bool) {
        self.rig.wait(&format!("{name} to be {what}"), |s| {
            let inputs = &s.plane.as_ref()?.inputs;
            inputs.iter().any(|i| i.id.as_str() == name && is_it(i.standing)).then_some(())
        });
    }

    /// Waits for the change to an input.
    fn changed(&mut self, after: usize, to: &str, what: &str, made: Option<Media>) -> Event {
        let event = self.rig.wait_switched(after, to);
        println!("    {what}: {}", event.reason);
        self.causes.push(Cause { what: what.to_owned(), made, event: event.clone() });
        event
    }

    fn by_hand(&mut self, changes: u32) {
        for n in 0..changes {
            let to = if n % 2 == 0 { "spare" } else { "camera" };
            let (before, made) = (self.rig.events().len(), clock::media());
            let done = self.rig.holdfast(&["choose", to]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            self.changed(before, to, "by hand", Some(made));
            self.rig.let_pass(1);
        }
        assert!(self.rig.holdfast(&["choose", "auto"]).status.success());
    }

    /// The camera's worker ends, or stands still; it is returned to when the next one has proved itself. `relapses` kills that
    /// next one too while it does.
    fn without_worker(&mut self, signal: Signal, relapses: bool) {
        let (before, worker) = (self.rig.events().len(), self.rig.worker_pid("camera"));
        let made = clock::media();
        send(worker, signal);
        self.changed(before, "spare", signal.as_str(), Some(made));
        if relapses {
            self.wait_standing("camera", "on probation", |s| matches!(s, InputStanding::Probation { .. }));
            let on_probation = self.rig.events().len();
            let next = self.rig.worker_pid("camera");
            assert_ne!(next, worker, "the old worker is still there");
            send(next, Signal::SIGKILL);
            let back = self.changed(on_probation, "camera", "returned", None);
            let between = self.rig.events();
            let switched = |e: &&Event| e.kind == EventKind::Switched && e.evidence.contains_key("to");
            let first = between[on_probation..].iter().find(switched).expect("it is in the log");
            assert_eq!(*first, back, "a loss during probation changed what is on air");
        } else {
            self.changed(before, "camera", "returned", None);
        }
        self.rig.let_pass(1);
    }

    /// The better film is there: it is taken, left for each of its faults, and returned to.
    fn with_film(&mut self) {
        let before = self.rig.events().len();
        fs::rename(&self.hidden, self.rig.dir().join("film.mp4")).expect("our own directory");
        let mut seen = self.changed(before, "film", "returned", None);
        for fault in ["frozen", "black", "silent"] {
            let at = |rig: &Rig, event: &Event| rig.events().iter().position(|e| e == event).expect("in the log") + 1;
            let after = at(&self.rig, &seen);
            let left = self.changed(after, "camera", fault, None);
            assert!(left.reason.contains(fault), "{fault}: {}", left.reason);
            let after = at(&self.rig, &left);
            seen = self.changed(after, "film", "returned", None);
        }
        self.rig.let_pass(2);
    }

    fn end(mut self) -> Show {
        let output = self.rig.output("pyav");
        assert_eq!((output.sessions, output.lost), (1, 0), "it reconnected or lost units");
        self.rig.order(Command::Stop);
        let recording = self.pyav.recording(0);
        self.rig.shut_down();
        let first = recording.sound.first().expect("there is sound").pts;
        let sound = Sound::read(&self.pyav.file(0), first);
        let arrivals = arrivals(&self.pyav.log(), 0);
        let camera = recording.pictures.iter().find(|p| source(p.code) == "camera").expect("the camera was on air");
        let place = camera.code.expect("it has a number") as f64;
        let offset = camera.pts - place * FRAME;
        Show { recording, sound, arrivals, offset, film: self.film, causes: self.causes, _rig: self.rig }
    }
}

/// What came of it.
struct Show {
    recording: Recording,
    sound: Sound,
    arrivals: Vec<(f64, f64)>,
    /// Seconds of programme minus seconds of CLOCK_MONOTONIC.
    offset: f64,
    film: Film,
    causes: Vec<Cause>,
    _rig: Rig,
}

/// How one change went.
struct Measured {
    what: String,
    to: String,
    /// From the fault, or the order, to the decision, ms.
    fault_to_decision: Option<f64>,
    /// From the decision until the first new picture was in hand, ms.
    in_hand: f64,
    /// Places of the grid from the newest one at the decision to that of the first new picture.
    frames: i64,
    /// From the decision until it was at the receiver, ms.
    arrived: f64,
    /// Of those in between, what repeats the last one.
    held: usize,
    /// Of those in between, what is the slate's.
    slate: usize,
    /// Seconds of programme.
    cut: f64,
}

impl Show {
    fn pictures(&self) -> &[Picture] {
        &self.recording.pictures
    }

    fn measure(&self, cause: &Cause) -> Measured {
        let evidence = &cause.event.evidence;
        let to = evidence["to"].as_str().expect("a name").to_owned();
        let in_hand = evidence["after_decision_ms"].as_f64().expect("a change to an input has it");
        let decided = seconds(cause.event.mono) - in_hand / 1e3;
        let about = decided + self.offset - 2.0 * FRAME;
        let is_first = |i: &usize| {
            let (before, picture) = (&self.pictures()[i - 1], &self.pictures()[*i]);
            picture.pts > about && source(picture.code) == to && source(before.code) != to
        };
        let first = (1..self.pictures().len()).find(is_first).unwrap_or_else(|| panic!("no picture of {to}"));
        let picture = &self.pictures()[first];
        assert!(picture.key, "the cut to {to} at {:.3} s is not on a keyframe", picture.pts);
        let place = ((picture.pts - self.offset) / FRAME).round() as i64;
        let near = |(pts, _): &&(f64, f64)| (pts - picture.pts).abs() < 0.003;
        let arrived = self.arrivals.iter().find(near).expect("it arrived").1;
        let before = || self.pictures()[..first].iter().rev();
        let slate = before().take_while(|p| source(p.code) == "slate").count();
        let last = before().nth(slate).and_then(|p| p.code);
        let held = before().skip(slate).take_while(|p| p.code == last).count();
        let made = cause.made.map(seconds).or_else(|| self.fault_in_film(&cause.what));
        Measured {
            what: cause.what.clone(),
            fault_to_decision: made.map(|made| (decided - made) * 1e3),
            in_hand,
            frames: place - (decided / FRAME).floor() as i64,
            arrived: (arrived - decided) * 1e3,
            // What is left for its picture had no number, or always the same.
            held: if matches!(cause.what.as_str(), "black" | "frozen") { 0 } else { held.saturating_sub(1) },
            slate: if cause.what == "black" { 0 } else { slate },
            cut: picture.pts,
            to,
        }
    }

    /// When the film went wrong, on CLOCK_MONOTONIC: it was on air then.
    fn fault_in_film(&self, fault: &str) -> Option<f64> {
        let part = match fault {
            "frozen" => Part::Frozen,
            "black" => Part::Black,
            "silent" => Part::Silent,
            _ => return None,
        };
        // The picture before it has a number whatever the part is like.
        let last = self.film.begins(part) - 1;
        let shown = self.pictures().iter().find(|p| p.code == Some(last)).expect("the film was on air");
        Some(shown.pts + FRAME - self.offset)
    }

    /// Where the picture's flash and the sound's beep of one second both are, of one source: its time and by how much the sound
    /// is later, in seconds.
    fn together(&self) -> Vec<(&'static str, f64, f64)> {
        let flashes = self.pictures().iter().filter(|p| p.code.is_some_and(|code| code % u64::from(FPS) == 0));
        let flashes: Vec<_> = flashes.map(|p| (source(p.code), p.pts)).collect();
        let mut pairs = Vec::new();
        let begins = self.pictures().first().map_or(0.0, |p| p.pts) + BEGINNING;
        for beep in self.sound.beeps().into_iter().filter(|beep| *beep > begins) {
            let distance = |flash: &&(&str, f64)| ((flash.1 - beep).abs() * 1e9) as i64;
            let Some(&(name, at)) = flashes.iter().min_by_key(distance) else { continue };
            // Nor where what is heard may be half of somebody else's beep.
            let mut around = self.pictures().iter().filter(|p| (beep - SETTLED..beep + TOGETHER).contains(&p.pts));
            if (at - beep).abs() < TOGETHER && around.all(|p| source(p.code) == name) {
                pairs.push((name, beep, beep - at));
            }
        }
        pairs
    }
}

fn seconds(time: Media) -> f64 {
    time.as_nanos() as f64 / 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn twenty_changes_for_every_reason_there_is_are_quick_and_unbroken_in_picture_and_in_sound() {
    let mut stage = Stage::on_air();
    stage.by_hand(repetitions(12, 60));
    stage.without_worker(Signal::SIGKILL, false);
    stage.without_worker(Signal::SIGSTOP, true);
    stage.with_film();
    let show = stage.end();

    let measured: Vec<_> = show.causes.iter().map(|cause| show.measure(cause)).collect();
    let pairs = show.together();
    println!(
        "    cause, to: fault to decision ms, decision to picture in hand ms, frames, at the receiver ms, held, slate, A/V ms"
    );
    for m in &measured {
        let next = pairs.iter().find(|(name, at, _)| *name == m.to && *at > m.cut);
        let fault = m.fault_to_decision.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.0}"));
        let apart = next.map_or_else(|| "-".to_owned(), |(_, _, apart)| format!("{:.1}", apart * 1e3));
        record(
            "switches",
            &[
                ("cause", m.what.clone()),
                ("to", m.to.clone()),
                ("fault_to_decision_ms", fault),
                ("decision_to_in_hand_ms", format!("{:.1}", m.in_hand)),
                ("decision_to_first_new_frames", m.frames.to_string()),
                ("decision_to_receiver_ms", format!("{:.1}", m.arrived)),
                ("held_frames", m.held.to_string()),
                ("slate_frames", m.slate.to_string()),
                ("av_offset_after_ms", apart),
            ],
        );
    }
    let of = |value: fn(&Measured) -> f64| measured.iter().map(value).collect::<Vec<_>>();
    let frames = median(of(|m| m.frames as f64));
    let clicks = show.sound.clicks();
    record(
        "switches-total",
        &[
            ("changes", measured.len().to_string()),
            ("median_frames", frames.to_string()),
            ("median_in_hand_ms", format!("{:.1}", median(of(|m| m.in_hand)))),
            ("median_at_receiver_ms", format!("{:.1}", median(of(|m| m.arrived)))),
            ("worst_at_receiver_ms", format!("{:.1}", of(|m| m.arrived).into_iter().fold(0.0, f64::max))),
            ("sharpest_bend", format!("{:.4}", show.sound.sharpest_quiet())),
            ("clicks", clicks.len().to_string()),
        ],
    );

    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    measured.iter().for_each(|m| *causes.entry(&m.what).or_default() += 1);
    println!("    {causes:?}");
    assert!(measured.len() >= 20, "only {} changes", measured.len());
    assert_eq!(
        measured.iter().map(|m| m.slate).sum::<usize>(),
        0,
        "the slate was seen between two inputs that deliver"
    );
    assert!(frames <= 2.0, "half of the changes took more than {frames} frames");
    assert_unbroken("pyav", &show.recording);
    assert!(clicks.is_empty(), "{clicks:?}; changes at {:?} s", of(|m| m.cut));
    assert_together(&pairs, &measured);
    assert_numbers_go_on(show.pictures());
}

/// Each source's beep is within a frame of its flash, before and after all changes.
fn assert_together(pairs: &[(&str, f64, f64)], measured: &[Measured]) {
    for name in ["camera", "spare", "film"] {
        let apart: Vec<f64> = pairs.iter().filter(|(of, ..)| *of == name).map(|(.., apart)| apart * 1e3).collect();
        assert!(!apart.is_empty(), "{name} was not heard with its picture");
        let (least, most) = apart.iter().fold((f64::MAX, f64::MIN), |(l, m), a| (l.min(*a), m.max(*a)));
        println!("    {name}: {} seconds, sound later than the picture by {least:.1} to {most:.1} ms", apart.len());
        assert!(least.abs().max(most.abs()) <= FRAME * 1e3 + 1.0, "{name}: {apart:?}");
    }
    let last = measured.iter().map(|m| m.cut).fold(0.0, f64::max);
    assert!(pairs.iter().any(|(_, at, _)| *at > last), "nothing was measured after the last change");
}

/// While one of them is on air, every frame of it comes once, and its last one again only until the next cut. A film that stands
/// still, or is black, has no numbers to go by.
fn assert_numbers_go_on(pictures: &[Picture]) {
    for (n, pair) in pictures.windows(2).enumerate() {
        let (Some(before), Some(after)) = (pair[0].code, pair[1].code) else { continue };
        let name = source(Some(after));
        // Films begin anew.
        if source(Some(before)) == name && after > before {
            assert_eq!(after, before + 1, "{name}: a frame was lost at {:.3} s", pair[1].pts);
        }
        let next = pictures[n + 1..].iter().find(|p| p.code != Some(after));
        let is_held = before == after && next.is_none_or(|next| next.key && source(next.code) != name);
        assert!(
            before != after || is_held || name == "film",
            "{name}: frame {after} came twice, at {:.3} s",
            pair[1].pts
        );
    }
}
