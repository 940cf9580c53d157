//! A box whose processor is about to be slowed down by its heat gives its encoder less to do before pictures are late.
//!
//! The thermometer is a file of ours, laid over the kernel's in a mount namespace that only this box's processes see: what reads
//! it and what becomes of it is the product's, from `/sys` to the receiver.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Program;

use holdfast::clock;
use holdfast::events::{Command, EventKind};

use crate::faults::{FPS, assert_unbroken};
use crate::support::config::Configuration;
use crate::support::receiver::Pyav;
use crate::support::results::record;
use crate::support::rig::{Rig, live};

/// Bit/s of the picture.
const FULL: u32 = 1_500_000;

/// A board whose maker says from where on it is slow.
const PROFILE: &str = r#"
name = "bench"
title = "a board that gets warm"
verified = true

[match]
architecture = ["x86_64", "aarch64"]

[standby]
mode = "warm"

[[thermal]]
zone = "soc-thermal"
warn = "80C"
slows = "95C"
"#;

/// The kernel's folder of thermometers with one in it.
struct Thermometer(PathBuf);

impl Thermometer {
    fn in_folder(folder: &Path) -> Self {
        let zone = folder.join("thermal_zone0");
        fs::create_dir_all(&zone).expect("the run's directory is writable");
        fs::write(zone.join("type"), "soc-thermal\n").expect("as above");
        let thermometer = Self(zone);
        thermometer.shows(45);
        thermometer
    }

    fn shows(&self, celsius: u32) {
        fs::write(self.0.join("temp"), format!("{celsius}000\n")).expect("the run's directory is writable");
    }
}

#[test]
fn a_box_that_is_too_hot_gives_its_encoder_less_to_do_and_loses_no_frame() {
    let mut rig = Rig::new("heat");
    let (folder, profiles) = (rig.dir().join("thermal"), rig.dir().join("profiles"));
    let thermometer = Thermometer::in_folder(&folder);
    fs::create_dir(&profiles).expect("the run's directory is writable");
    fs::write(profiles.join("bench.toml"), PROFILE).expect("as above");
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
    let configuration = Configuration::new(FPS)
        .profile("bench", &profiles)
        .add("input", "camera", "kind = \"pattern\"\nnoise = true")
        .rendition_with("main", "h264", "640x360", "1500k", "aac", "bitrate_floor = \"300k\"")
        .destination("pyav", "main", &pyav.url());
    rig.configure(&configuration);

    let plain = rig.daemon_command();
    let mut command = Program::new("unshare");
    if !nix::unistd::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /sys/class/thermal && exec \"$@\""]).arg(&folder);
    command.arg(plain.get_program()).args(plain.get_args());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let daemon = rig.guard.spawn("holdfastd", &mut command);
    rig.adopt_daemon(daemon);
    rig.wait_delivering();
    rig.order(Command::Start);
    rig.wait_for_source(&live("camera"));
    rig.wait_publishing(&["pyav"]);
    rig.wait("the thermometer to be read", |s| {
        s.telemetry
            .machine
            .as_ref()?
            .zones
            .iter()
            .any(|zone| zone.name == "soc-thermal" && zone.celsius < 50.0)
            .then_some(())
    });
    rig.let_pass(5);

    let (before, hot) = (rig.events().len(), clock::media());
    thermometer.shows(96);
    let told = rig.wait_event(before, "the heat to be told", |e| e.kind == EventKind::MachineChanged);
    println!("    {}", told.reason);
    let taken = |s: &holdfast::events::BoxSnapshot| {
        let rendition = s.plane.as_ref()?.renditions.iter().find(|r| r.id.as_str() == "main")?.clone();
        let heat = rendition.heat?;
        rendition.lowered.map(|lowered| (lowered, heat.because))
    };
    let (lowered, because) = rig.wait("the encoder to be asked for less", taken);
    let after = (clock::media() - hot).to_ticks(1000);
    println!("    {lowered} bit/s after {after} ms: {because}");
    assert!((FULL / 2..FULL).contains(&lowered), "{lowered} of {FULL} bit/s");
    assert!(because.contains("soc-thermal"), "{because}");
    rig.let_pass(8);
    let output = rig.output("pyav");
    rig.order(Command::Stop);
    let recording = pyav.recording(0);
    rig.shut_down();

    assert_eq!((output.sessions, output.lost), (1, 0), "it reconnected or lost units");
    assert_unbroken("pyav", &recording);
    let count = recording.count();
    assert!(count.is_perfect(), "{count}");
    let times = recording.pictures.first().zip(recording.pictures.last()).map(|(first, last)| (first.pts, last.pts));
    let (begin, end) = times.expect("there are pictures");
    let bytes = |from: f64| {
        let within = |pts: f64| (from..from + 4.0).contains(&pts);
        recording.coded.iter().filter(|p| within(p.pts)).map(|p| p.bytes).sum::<usize>()
    };
    // Two groups of pictures while it was cool, and two at the end.
    let (full, less) = (bytes(begin + 1.0), bytes(end - 4.5));
    println!("    {full} bytes in 4 s before, {less} at the end; {count}");
    record(
        "heat",
        &[
            ("lowered_to", lowered.to_string()),
            ("after_ms", after.to_string()),
            ("bytes_before", full.to_string()),
            ("bytes_after", less.to_string()),
            ("frames_lost", count.lost.to_string()),
        ],
    );
    assert!(less < full * 9 / 10, "the encoder made as much as before: {less} of {full} bytes");
}
