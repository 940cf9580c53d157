//! `holdfast demo` where a link fails under a stream over RTMP, as somebody at a terminal starts it: what it says, how it
//! ends, and that it leaves nothing behind.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command as Program;
use std::time::Duration;

use holdfast::netem::{Conditions, Testbed, Uplink};
use nix::sys::signal::Signal;

use crate::support::process::Process;
use crate::support::results::record;
use crate::support::rig::{PATIENCE, Rig};
use crate::support::wait::wait_until;

/// Far above what a demonstration takes to begin, and to count at its end.
const BESIDES: Duration = Duration::from_secs(180);

/// A demonstration that runs.
struct Demo {
    rig: Rig,
    process: Process,
}

impl Demo {
    fn begin(name: &'static str, wrapper: &[&str], arguments: &[&str]) -> Self {
        let rig = Rig::new(name);
        let words: Vec<&str> = wrapper.iter().copied().chain([env!("CARGO_BIN_EXE_holdfast"), "demo"]).collect();
        let mut command = Program::new(words[0]);
        command.args(&words[1..]).args(arguments).arg("--out").arg(rig.dir().join("out"));
        command.arg("--tools").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools"));
        let process = rig.guard.spawn("demo", &mut command);
        Self { rig, process }
    }

    /// `None` where it cannot be shown.
    fn with_namespaces(name: &'static str, arguments: &[&str]) -> Option<Self> {
        match namespaces() {
            Ok(()) => Some(Self::begin(name, &[], arguments)),
            Err(why) => {
                println!("skipped: there are no namespaces with devices here ({why})");
                None
            }
        }
    }

    /// Its exit code and all it printed.
    fn finish(mut self, within: Duration) -> (i32, String) {
        let status = self.process.finish(within);
        let text = self.process.log();
        println!("{text}");
        // What was killed may take a moment to be gone on a busy machine.
        wait_until("nothing of it to run any more", PATIENCE, || left_behind(self.rig.dir()).is_empty());
        let temporary = std::env::temp_dir().join(format!("holdfast-demo-{}", self.process.pid()));
        assert!(!temporary.exists(), "{} is left", temporary.display());
        (status.code().expect("it was not killed"), text)
    }
}

/// Whether namespaces with devices are permitted.
fn namespaces() -> io::Result<()> {
    let uplink = Uplink { name: "eth0".to_owned(), conditions: Conditions::default() };
    Testbed::with_namespaces(&[uplink], 1).map(|_| ())
}

/// Shows `fault` for so many seconds; what it printed.
fn shown(name: &'static str, fault: &str, seconds: u64) -> Option<String> {
    let text = seconds.to_string();
    let demo = Demo::with_namespaces(name, &["--fault", fault, "--seconds", &text])?;
    let (code, text) = demo.finish(BESIDES + Duration::from_secs(seconds));
    assert_eq!(code, 0, "its exit code");
    Some(text)
}

/// Processes of this run; the demonstration's environment is inherited by all that it starts.
fn left_behind(dir: &Path) -> Vec<String> {
    let mark = format!("HOLDFAST_TEST_RUN={}", dir.display());
    let is_marked = |process: &Path| {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let all = fs::read_dir("/proc").expect("Linux").flatten().map(|entry| entry.path());
    let name = |process: &Path| fs::read_to_string(process.join("comm")).unwrap_or_default().trim().to_owned();
    all.filter(|process| is_marked(process)).map(|process| name(&process)).collect()
}

/// The line of the summary that begins with `what`.
fn line<'t>(text: &'t str, what: &str) -> &'t str {
    let summary = text.split("\n THE FAULT\n").nth(1).expect("a summary");
    summary.lines().map(str::trim).find(|line| line.starts_with(what)).unwrap_or_else(|| panic!("no line {what}"))
}

/// The number before `ms` in a line such as `detected    after 104 ms: …`.
fn ms(line: &str) -> u64 {
    let words: Vec<&str> = line.split_whitespace().collect();
    let unit = words.iter().position(|word| word.starts_with("ms")).expect("milliseconds");
    words[unit - 1].parse().expect("a number")
}

/// What a fault that moves the stream has to end in.
fn left_and_nothing_lost(name: &'static str, text: &str) {
    let (detected, publishing) = (ms(line(text, "detected")), ms(line(text, "publishing")));
    let pictures = line(text, "pictures").to_owned();
    record(
        name,
        &[
            ("detected_ms", detected.to_string()),
            ("publishing_ms", publishing.to_string()),
            ("pictures", pictures.trim_start_matches("pictures").trim().to_owned()),
        ],
    );
    assert!(text.contains("from eth0"), "the move is told");
    assert!(publishing <= 5000, "publishing again after {publishing} ms");
    assert!(pictures.contains("none is missing"), "{pictures}");
    assert!(text.contains("WITH A SERVER THAT HOLDS THE KEY"));
}

#[test]
fn the_demonstration_of_a_pulled_cable_shows_it() {
    let Some(text) = shown("demo-cable", "cable", 15) else { return };
    left_and_nothing_lost("demo-cable", &text);
    assert!(text.contains("its cable is pulled") && text.contains("its cable is plugged in again"));
    assert!(line(&text, "detected").contains("carrier"));
}

#[test]
fn the_demonstration_of_a_black_hole_shows_it() {
    let Some(text) = shown("demo-blackhole", "blackhole", 15) else { return };
    left_and_nothing_lost("demo-blackhole", &text);
    assert!(line(&text, "detected").contains("no probe answer"));
}

#[test]
fn the_demonstration_of_a_captive_portal_shows_it_and_what_found_it() {
    let Some(text) = shown("demo-captive", "captive", 15) else { return };
    left_and_nothing_lost("demo-captive", &text);
    assert!(line(&text, "portal").contains("captive portal"));
    assert!(text.contains("somebody has logged in"));
}

#[test]
fn the_demonstration_of_a_dish_moves_nothing() {
    let Some(text) = shown("demo-starlink", "starlink", 50) else { return };
    assert_eq!(text.matches("nothing passes for").count() / 2, 2, "two holes, as they come and in the summary");
    assert!(text.contains("packets queue for"));
    assert!(line(&text, "moved").contains("nothing: no link was found dead"));
    let pictures = line(&text, "pictures");
    record("demo-starlink", &[("pictures", pictures.trim_start_matches("pictures").trim().to_owned())]);
    assert!(pictures.contains("none is missing"), "{pictures}");
}

/// Somebody presses Ctrl-C before the link has died.
#[test]
fn a_demonstration_that_is_interrupted_leaves_nothing_behind() {
    let Some(demo) = Demo::with_namespaces("demo-interrupted", &["--fault", "blackhole", "--seconds", "600"]) else {
        return;
    };
    wait_until("the show to begin", BESIDES, || demo.process.log().contains("WHAT IS SHOWN"));
    demo.process.signal(Signal::SIGINT);
    let (code, text) = demo.finish(BESIDES);
    assert_eq!(code, 1, "nothing was shown");
    assert!(text.contains("ended before anything happened"));
}

/// Where it may not be shown it says so, and shows nothing in its place.
#[test]
fn a_demonstration_without_the_rights_for_it_says_what_it_takes() {
    let no_rights = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"];
    let wrapper: &[&str] = if nix::unistd::geteuid().is_root() { &no_rights } else { &["env"] };
    if !nix::unistd::geteuid().is_root() && namespaces().is_ok() {
        println!("skipped: everybody may make namespaces here");
        return;
    }
    let demo = Demo::begin("demo-unprivileged", wrapper, &["--fault", "cable"]);
    let (code, text) = demo.finish(BESIDES);
    assert_eq!(code, 1);
    assert!(text.contains("cannot be shown here") && text.contains("unshare -Ur"), "{text}");
}
