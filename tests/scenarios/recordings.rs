//! Recordings through crashes, full disks, rotation and quota.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use holdfast::events::{Command, EventKind, RecordingState};
use nix::sys::signal::Signal;

use crate::support::config::Configuration;
use crate::support::picture::Recording;
use crate::support::process::send;
use crate::support::receiver::Ffmpeg;
use crate::support::results::record;
use crate::support::rig::{Rig, live, repetitions};

const FPS: u32 = 30;
/// The rig's keyframe interval: the longest fragment.
const FRAGMENT: u64 = 2 * FPS as u64;

fn recorded(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect();
    files.sort();
    files
}

#[test]
fn a_recording_killed_at_any_moment_is_readable_up_to_its_last_fragment() {
    let mut rig = Rig::new("recording-killed");
    let archive = rig.dir().join("archive");
    fs::create_dir(&archive).expect("our own directory");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "320x180", "300k", "aac")
            .recording("archive", "main", &archive, ""),
    );
    rig.go_on_air("pattern");
    // The seed is printed, so that a failure can be run again.
    let seed = 0x5eed;
    let mut random = fastrand::Rng::with_seed(seed);
    for round in 0..repetitions(4, 50) {
        rig.wait_for_source(&live("pattern"));
        rig.wait("the recording to run", |s| {
            let recording = s.plane.as_ref()?.recordings.first()?;
            (recording.state == RecordingState::Recording && recording.bytes > 0).then_some(())
        });
        rig.let_pass(3 + random.u32(0..4));
        // A random moment within a frame too.
        let moment = random.u64(0..40_000);
        let spun = std::time::Instant::now();
        while spun.elapsed().as_micros() < u128::from(moment) {
            std::hint::spin_loop();
        }
        let (transmit, before) = (rig.transmit_pid(), rig.events().len());
        let newest = newest_frame(&rig);
        send(transmit, Signal::SIGKILL);
        rig.wait_event(before, "another data plane", |e| e.kind == EventKind::TimeResumed);

        let files = recorded(&archive);
        // The next file may have been begun already; the one that was cut off is the newest that has an end.
        let recording = files
            .iter()
            .rev()
            .map(|f| Recording::read(f))
            .find(|r| r.pictures.last().and_then(|p| p.code).is_some_and(|last| last <= newest + 1));
        let recording =
            recording.unwrap_or_else(|| panic!("round {round}, seed {seed:#x}: nothing readable in {files:?}"));
        let count = recording.count();
        let missing = newest - count.last;
        record(
            "recording-killed",
            &[
                ("round", round.to_string()),
                ("frames", count.frames.to_string()),
                ("lost_inside", count.lost.to_string()),
                ("frames_missing_at_the_end", missing.to_string()),
            ],
        );
        assert_eq!((count.lost, count.repeated, count.backwards), (0, 0, 0), "seed {seed:#x}: {count}");
        // Programme time tells the newest frame up to a beat or two late; the open fragment is at most a group long.
        assert!(missing <= FRAGMENT + u64::from(FPS), "seed {seed:#x}: {missing} frames are missing at the end");
    }
    rig.shut_down();
}

/// The source's number of the newest frame that left the switch.
fn newest_frame(rig: &Rig) -> u64 {
    let time = rig.wait("programme time", |s| Some(s.plane.as_ref()?.programme_time));
    let text = fs::read_to_string(rig.paths.programme_time()).expect("programme time is saved");
    let saved: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let worker = time.as_nanos() - saved["offset"].as_i64().expect("a number");
    u64::try_from(worker).expect("after boot") * u64::from(FPS) / 1_000_000_000
}

#[test]
fn a_full_disk_stops_the_recording_and_nothing_else() {
    let mut rig = Rig::new("disk-full");
    let disk = rig.dir().join("disk");
    fs::create_dir(&disk).expect("our own directory");
    let mounted = Program::new("mount")
        .args(["-t", "tmpfs", "-o", "size=1400k", "tmpfs"])
        .arg(&disk)
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        println!(
            "SKIPPED: a full disk needs a small file system, and mounting one needs root (CI and make test as root do)"
        );
        return;
    }
    let _disk = Mounted(disk.clone());
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "640x360", "2M", "aac")
            .recording("archive", "main", &disk, "min_free = \"1M\"")
            .destination("ffmpeg", "main", &ffmpeg.url()),
    );
    rig.go_on_air("pattern");
    rig.wait_publishing(&["ffmpeg"]);
    // The test picture is easy to encode: some 200 kbit/s with its sound fill what may be filled in a quarter of a minute.
    let told = rig.wait_event(0, "trouble with the recording", |e| e.kind == EventKind::RecordingTrouble);
    println!("    told: {}", told.reason);
    rig.let_pass(10);
    let output = rig.output("ffmpeg");
    assert_eq!((output.sessions, output.lost), (1, 0), "the stream was touched");
    let snapshot = rig.wait("the recording", |s| s.plane.as_ref()?.recordings.first().cloned());
    let state = format!("{:?}", snapshot.state);
    rig.order(Command::Stop);
    let stream = ffmpeg.recording();
    rig.shut_down();

    let count = stream.count();
    assert!(count.is_perfect(), "the stream lost frames: {count}");
    let mut frames = 0;
    for file in recorded(&disk) {
        let recording = Recording::read(&file);
        let kept = recording.count();
        println!("    {}: {kept}", file.display());
        assert_eq!((kept.lost, kept.repeated), (0, 0), "{}: {kept}", file.display());
        frames += kept.frames;
    }
    record(
        "disk-full",
        &[
            ("frames_streamed", count.frames.to_string()),
            ("frames_lost_in_stream", count.lost.to_string()),
            ("frames_recorded", frames.to_string()),
            ("recording", state),
        ],
    );
    assert!(frames > 0, "nothing of the recording can be read");
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Program::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn files_follow_each_other_at_keyframes_without_losing_a_frame() {
    let mut rig = Rig::new("rotation");
    let archive = rig.dir().join("archive");
    fs::create_dir(&archive).expect("our own directory");
    rig.configure(
        &Configuration::new(FPS).pattern("pattern").rendition("main", "h264", "320x180", "800k", "aac").recording(
            "archive",
            "main",
            &archive,
            "rotate_after = \"10s\"",
        ),
    );
    rig.go_on_air("pattern");
    rig.wait_event(0, "the first file to be closed", |e| e.kind == EventKind::RecordingClosed);
    rig.let_pass(repetitions(12, 300));
    rig.order(Command::Stop);
    rig.shut_down();

    let files = recorded(&archive);
    let recordings: Vec<_> = files.iter().map(|f| Recording::read(f)).collect();
    for (file, recording) in files.iter().zip(&recordings) {
        let count = recording.count();
        println!("    {}: {count}", file.display());
        assert!(file.extension().is_some_and(|e| e == "mp4"), "{} was not closed", file.display());
        assert!(count.is_perfect(), "{}: {count}", file.display());
        assert!(recording.pictures[0].key, "{} does not begin with a keyframe", file.display());
    }
    for pair in recordings.windows(2) {
        assert_eq!(pair[0].count().last + 1, pair[1].count().first, "frames are missing between two files");
    }
    assert!(files.len() >= 2, "no file followed another: {files:?}");
    record("rotation", &[("files", files.len().to_string())]);
}
