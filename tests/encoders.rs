//! Trials of real encoders in real child processes, and of children that misbehave.
#![cfg(feature = "encode")]
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast::encode::probe::Prober;
use holdfast::encode::table::VideoJob;
use holdfast::encode::verdict::{ENOUGH, Outcome};
use holdfast::model::{Codec, FrameRate, Name};

/// Generous, since the tests share their processors; a trial that works ends long before.
const ALLOWANCE: f64 = 12.0;

fn job(codec: Codec, width: u32, height: u32) -> VideoJob {
    VideoJob {
        codec,
        width,
        height,
        rate: FrameRate::whole(30),
        bitrate: 600_000,
        keyframe_interval: Duration::from_secs(2),
    }
}

fn attempt(program: PathBuf, allowance: f64, job: &VideoJob, family: &str) -> Outcome {
    Prober { program, allowance }.attempt(job, &Name::new(family).unwrap())
}

fn real(job: &VideoJob, family: &str) -> Outcome {
    attempt(env!("CARGO_BIN_EXE_holdfast-encode").into(), ALLOWANCE, job, family)
}

/// A program that takes `trial` and does `body` instead.
fn fake(dir: &Path, body: &str) -> PathBuf {
    let path = dir.join("fake");
    // Written by another process: a test that forks while this one had it open for writing would make it "busy".
    let write = "printf '#!/bin/sh\n%s\n' \"$1\" > \"$2\" && chmod 755 \"$2\"";
    let status = std::process::Command::new("sh").args(["-c", write, "sh", body]).arg(&path).status().unwrap();
    assert!(status.success());
    path
}

fn of_fake(body: &str) -> Outcome {
    let dir = tempfile::tempdir().unwrap();
    attempt(fake(dir.path(), body), 1.0, &job(Codec::H264, 320, 180), "x264")
}

#[test]
fn every_software_family_that_is_installed_passes_its_trial() {
    let mut passed = Vec::new();
    for (family, codec, width, height) in [
        ("x264", Codec::H264, 640, 360),
        ("openh264", Codec::H264, 640, 360),
        ("x265", Codec::Hevc, 320, 180),
        ("aom", Codec::Av1, 320, 180),
        ("svtav1", Codec::Av1, 320, 180),
    ] {
        match real(&job(codec, width, height), family) {
            Outcome::Works(measured) => {
                assert!(measured.units >= ENOUGH, "{family}: {measured:?}");
                assert!(measured.decoded, "{family}: nothing here decodes its output");
                passed.push(family);
            }
            Outcome::NotRegistered { why } => eprintln!("{family} was not tried: {why}"),
            broken @ (Outcome::Refused { .. }
            | Outcome::NoSession { .. }
            | Outcome::Wrong { .. }
            | Outcome::Crashed { .. }
            | Outcome::Hung { .. }
            | Outcome::NotTried { .. }) => panic!("{family}: {broken:?}"),
        }
    }
    assert!(passed.contains(&"x264"), "not even x264 was tried");
}

#[test]
fn a_size_that_is_no_multiple_of_sixteen_comes_out_as_asked() {
    for family in ["x264", "openh264"] {
        let outcome = real(&job(Codec::H264, 426, 242), family);
        assert!(matches!(outcome, Outcome::Works(_) | Outcome::NotRegistered { .. }), "{family}: {outcome:?}");
    }
}

#[test]
fn hardware_that_is_not_there_is_said_not_to_be_there() {
    // No machine has all of these.
    let outcomes = ["nvenc", "qsv", "rkmpp"].map(|family| real(&job(Codec::H264, 1280, 720), family));
    assert!(outcomes.iter().any(|o| matches!(o, Outcome::NotRegistered { .. })), "{outcomes:?}");
}

#[test]
fn a_trial_that_crashes_is_a_finding() {
    let outcome = of_fake("echo '{\"units\":7}'; echo 'assertion failed' >&2; kill -SEGV $$");
    assert_eq!(outcome, Outcome::Crashed { signal: Some(libc::SIGSEGV), said: "assertion failed".into() });
    let outcome = of_fake("exit 3");
    assert_eq!(outcome, Outcome::Crashed { signal: None, said: String::new() });
}

#[test]
fn a_trial_that_hangs_is_killed_with_its_helpers() {
    // The child and its helper both hold a lock, which falls when the last of them is dead.
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    let body = format!("exec 9>{}; flock 9; sleep 1000 & echo '{{\"units\":3}}'; wait", lock.display());
    let outcome = attempt(fake(dir.path(), &body), 1.0, &job(Codec::H264, 320, 180), "x264");
    assert_eq!(outcome, Outcome::Hung { seconds: 5, units: 3, stuck: false });
    let (dead, all_dead) = std::sync::mpsc::sync_channel(1);
    let file = std::fs::File::open(&lock).unwrap();
    std::thread::spawn(move || dead.send(nix::fcntl::Flock::lock(file, nix::fcntl::FlockArg::LockExclusive).is_ok()));
    assert_eq!(all_dead.recv_timeout(Duration::from_secs(60)), Ok(true), "something outlived the trial");
}

#[test]
fn what_a_plugin_prints_is_not_taken_for_a_result() {
    let outcome = of_fake("echo 'hello from a driver'; echo '[1,2'; head -c 300000 /dev/zero; exit 0");
    assert_eq!(outcome, Outcome::Crashed { signal: None, said: String::new() });
}

#[test]
fn a_program_that_is_not_there_is_no_crash_of_ours() {
    let outcome = attempt("/nonexistent/holdfast-encode".into(), 1.0, &job(Codec::H264, 320, 180), "x264");
    assert!(matches!(outcome, Outcome::NotTried { .. }), "{outcome:?}");
}

mod slate {
    use std::process::{Command, Output};

    use bytes::Bytes;
    use holdfast::encode::protocol::FromWorker;
    use holdfast::model::{CodecConfig, RenditionId, TrackFormat};
    use std::sync::Arc;

    use super::*;

    const CONFIG: &str = r#"
[box]
name = "North stage"
[programme]
frame_rate = 30
[[input]]
name = "test"
kind = "pattern"
[slate]
IMAGE
[[rendition]]
name = "main"
codec = "h264"
size = "640x360"
bitrate = "800k"
keyframe_interval = "1s"
encoder = "x264"
[[rendition]]
name = "small"
codec = "hevc"
size = "320x180"
bitrate = "300k"
encoder = "x265"
[[rendition]]
name = "tiny"
codec = "av1"
size = "320x180"
bitrate = "200k"
encoder = "aom"
"#;

    struct Rig {
        dir: tempfile::TempDir,
    }

    impl Rig {
        fn new(image: &str) -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("last-good.toml"), CONFIG.replace("IMAGE", image)).unwrap();
            Self { dir }
        }

        fn run(&self, rendition: &str, more: &[&str]) -> Output {
            let state = self.dir.path().display().to_string();
            let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-encode"));
            command.args(["slate", "--rendition", rendition, "--runtime", &state, "--state", &state]).args(more);
            command.output().unwrap()
        }

        fn made(&self, rendition: &str) -> PathBuf {
            let output = self.run(rendition, &[]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
        }
    }

    type Clip = (RenditionId, String, Arc<CodecConfig>, Vec<(bool, Bytes)>);

    fn read(path: &Path) -> Vec<Clip> {
        let mut clips: Vec<Clip> = Vec::new();
        for message in holdfast::encode::slate::file::read(path).unwrap() {
            match message {
                FromWorker::Format { stream, rendition, encoder, config } => {
                    assert_eq!(usize::from(stream), clips.len());
                    clips.push((rendition, encoder, config, Vec::new()));
                }
                FromWorker::Unit { stream, key, payload, .. } => clips[usize::from(stream)].3.push((key, payload)),
                FromWorker::Hello(_) | FromWorker::Bye { .. } | FromWorker::Condition(_) => {
                    panic!("{message:?} in a slate")
                }
            }
        }
        clips
    }

    #[test]
    fn each_rendition_gets_one_closed_group_and_its_silence() {
        let rig = Rig::new("");
        for (name, codec, audio, frames) in [
            ("main", Codec::H264, "aac-128k", 30),
            ("small", Codec::Hevc, "aac-128k", 60),
            ("tiny", Codec::Av1, "opus-96k", 60),
        ] {
            let path = rig.made(name);
            let clips = read(&path);
            let [(rendition, encoder, config, units), (sound, _, _, packets)] = &clips[..] else {
                panic!("{name} has {} clips", clips.len())
            };
            assert_eq!((rendition.as_str(), config.codec, sound.as_str()), (name, codec, audio));
            assert!(encoder.ends_with("enc"), "{encoder}");
            assert_eq!(units.len(), frames, "{name}");
            let keys: Vec<_> = units.iter().map(|(key, _)| *key).collect();
            assert!(keys[0] && !keys[1..].contains(&true), "{name}: {keys:?}");
            assert!(
                matches!(config.format, TrackFormat::Video(v) if v.width == if name == "main" { 640 } else { 320 })
            );
            assert!(packets.len() >= 30 && packets.iter().all(|(_, p)| !p.is_empty() && p.len() < 400), "{name}");
            // A still picture after its keyframe costs next to nothing.
            let rest: usize = units[1..].iter().map(|(_, p)| p.len()).sum();
            assert!(rest / (frames - 1) < 2000, "{name}: {} bytes a frame", rest / (frames - 1));
        }
    }

    #[test]
    fn a_slate_that_is_there_is_not_made_again_and_no_part_is_left_behind() {
        let rig = Rig::new("");
        let path = rig.made("main");
        let before = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert_eq!(rig.made("main"), path);
        assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), before);
        let files: Vec<_> = std::fs::read_dir(path.parent().unwrap()).unwrap().flatten().map(|f| f.path()).collect();
        assert_eq!(files, [path]);
    }

    #[test]
    fn a_picture_that_cannot_be_read_leaves_the_card() {
        let rig = Rig::new("image = \"broken.png\"");
        std::fs::write(rig.dir.path().join("broken.png"), b"no picture").unwrap();
        let png = rig.dir.path().join("card.png");
        let output = rig.run("small", &["--png", &png.display().to_string()]);
        assert!(output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("the slate shows the box's name"), "{told}");
        assert!(std::fs::metadata(&png).unwrap().len() > 1000);
        assert!(rig.made("small").exists());
    }

    #[test]
    fn a_rendition_that_is_not_configured_is_named() {
        let output = Rig::new("").run("huge", &[]);
        assert!(!output.status.success());
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("slate huge:") && told.contains("has no such rendition"), "{told}");
    }
}
