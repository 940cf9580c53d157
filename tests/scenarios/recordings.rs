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
        // The next data plane looks after what the last one left.
        let salvaged = rig.wait_event(before, "the file to be salvaged", |e| e.kind == EventKind::RecordingClosed);
        let file = salvaged.evidence["file"].as_str().expect("the file's name").to_owned();
        let recording = Recording::read(Path::new(&file));
        assert!(!recording.pictures.is_empty(), "round {round}, seed {seed:#x}: {file}: {}", recording.complaints);
        let count = recording.count();
        let missing = newest.saturating_sub(count.last);
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
        .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
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
    rig.let_pass(5);
    // Somebody else fills the disk, to the last byte.
    let filler = disk.join("filler");
    let full = fs::write(&filler, vec![0; 16 << 20]).expect_err("the disk is smaller than that");
    println!("    {full}");
    let told = rig.wait_event(0, "trouble with the recording", |e| e.kind == EventKind::RecordingTrouble);
    println!("    told: {}", told.reason);
    rig.let_pass(5);
    let state = rig.wait("the recording", |s| Some(s.plane.as_ref()?.recordings.first()?.state.clone()));
    assert!(matches!(state, RecordingState::Trouble { .. }), "the disk is full and the recording is {state:?}");
    let before = rig.events().len();
    fs::remove_file(&filler).expect("our own file");
    rig.wait_event(before, "the recording to go on", |e| e.kind == EventKind::RecordingOpened);
    rig.let_pass(5);
    let output = rig.output("ffmpeg");
    assert_eq!((output.sessions, output.lost), (1, 0), "the stream was touched");
    rig.order(Command::Stop);
    let stream = ffmpeg.recording();
    rig.shut_down();

    let count = stream.count();
    assert!(count.is_perfect(), "the stream lost frames: {count}");
    for event in rig.events().iter().filter(|e| e.subject == "archive") {
        println!("    {}", event.reason);
    }
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
            ("told", told.reason.clone()),
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
fn files_follow_each_other_at_keyframes_and_the_oldest_makes_room() {
    let mut rig = Rig::new("rotation");
    let archive = rig.dir().join("archive");
    rig.configure(
        &Configuration::new(FPS).pattern("pattern").rendition("main", "h264", "320x180", "800k", "aac").recording(
            "archive",
            "main",
            &archive,
            "rotate_after = \"10s\"\nmax_size = \"10M\"",
        ),
    );
    // What earlier shows left: more than may be kept.
    let old = ["archive_20250101T000000Z_0001.mp4", "archive_20250102T000000Z_0002.mp4"].map(|n| archive.join(n));
    for file in &old {
        fs::write(file, vec![0; 6 << 20]).expect("our own directory");
    }
    rig.go_on_air("pattern");
    rig.wait_event(0, "the second file", |e| e.kind == EventKind::RecordingClosed);
    rig.let_pass(repetitions(26, 300));
    rig.order(Command::Stop);
    rig.shut_down();

    assert!(!old[0].exists(), "the oldest file did not make room");
    assert!(old[1].exists(), "more was deleted than had to be");
    fs::remove_file(&old[1]).expect("our own file");
    let files = recorded(&archive);
    for (i, file) in files.iter().enumerate() {
        assert!(file.extension().is_some_and(|e| e == "mp4"), "{} was not closed", file.display());
        let recording = Recording::read(file);
        let count = recording.count();
        println!("    {}: {count}", file.display());
        assert!(count.is_perfect(), "{}: {count}", file.display());
        assert!(recording.pictures[0].key, "{} does not begin with a keyframe", file.display());
        if i + 1 < files.len() {
            let next = Recording::read(&files[i + 1]);
            assert_eq!(count.last + 1, next.count().first, "frames are missing between two files");
        }
    }
    record("rotation", &[("files", files.len().to_string()), ("frames_lost_between_files", "0".to_owned())]);
    assert!(files.len() >= 3, "{files:?}");
}
