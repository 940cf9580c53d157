//! Stand-ins for `holdfast-transmit` and `holdfast-encode`: they take the role's lock, say Hello, beat, obey, and report a
//! made-up plane. They are this test program itself, started by a script in the place of each real program.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast::clock;
use holdfast::config::Paths;
use holdfast::events::{
    ChildCommand, ChildMessage, Event, EventKind, Expected, InputSnapshot, InputStanding, PlaneSnapshot, Role,
    Severity, SourceOnAir,
};
use holdfast::model::{Condition, InputId, Manual, Media};
use holdfast::supervisor::child_link::{ChildLink, ChildSender};
use holdfast::supervisor::{load, lock};

const ARGUMENTS: &str = "STAND_IN_ARGUMENTS";

/// Puts the scripts into `programs`.
pub fn install(programs: &Path) {
    fs::create_dir_all(programs).unwrap();
    let this = std::env::current_exe().unwrap();
    for name in ["holdfast-transmit", "holdfast-encode"] {
        let script = format!(
            "#!/bin/sh\nexport {ARGUMENTS}=\"{name} $*\"\nexec '{}' --exact stand_in::child --ignored --nocapture\n",
            this.display()
        );
        let path = programs.join(name);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

fn name(role: &Role) -> String {
    match role {
        Role::Supervisor => "supervisor".to_owned(),
        Role::Relay => "relay".to_owned(),
        Role::Transmit => "transmit".to_owned(),
        Role::Encode(input) => format!("encode-{input}"),
    }
}

pub fn broken(paths: &Paths, role: &Role) -> PathBuf {
    paths.runtime.join(format!("broken-{}", name(role)))
}

pub fn slates(paths: &Paths) -> PathBuf {
    paths.runtime.join("broken-slates")
}

pub fn wish_to_speak(paths: &Paths) -> PathBuf {
    paths.runtime.join("speak")
}

/// What was last expected of a link, by its name.
pub fn hint(paths: &Paths, link: &str) -> Option<Expected> {
    serde_json::from_str(&fs::read_to_string(paths.runtime.join(format!("hint-{link}"))).ok()?).ok()
}

pub fn starts(paths: &Paths, role: &Role) -> Vec<i32> {
    numbers(&paths.runtime.join(format!("starts-{}", name(role))))
}

/// What a stand-in that runs was started with.
pub fn arguments(pid: i32) -> Vec<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let ours = variables.filter_map(|v| v.strip_prefix(ARGUMENTS)?.strip_prefix('=').map(str::to_owned)).next();
    ours.unwrap_or_default().split(' ').map(str::to_owned).collect()
}

pub fn stops(paths: &Paths) -> Vec<i32> {
    numbers(&paths.runtime.join("stops"))
}

fn numbers(path: &Path) -> Vec<i32> {
    fs::read_to_string(path).unwrap_or_default().lines().map(|line| line.parse().unwrap()).collect()
}

fn note(path: &Path) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // In one piece: others write at the same time.
    file.write_all(format!("{}\n", std::process::id()).as_bytes()).unwrap();
}

/// Not a test: the stand-in's own main.
#[test]
#[ignore = "is a child of the tests"]
fn child() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let words: Vec<&str> = arguments.split(' ').collect();
    let after = |flag: &str| words.iter().position(|w| *w == flag).and_then(|at| words.get(at + 1)).copied();
    let paths = Paths::new(after("--runtime").unwrap(), after("--state").unwrap());
    if words.contains(&"registry") {
        std::process::exit(0);
    }
    if words.contains(&"slate") {
        slate(&paths);
    }
    let role = after("--input").map_or(Role::Transmit, |input| Role::Encode(InputId::new(input).unwrap()));
    if let Ok(words) = fs::read_to_string(broken(&paths, &role)) {
        eprintln!("{words}");
        std::process::exit(1);
    }
    let _lock = lock::take(&paths.lock(&role)).unwrap();
    note(&paths.runtime.join(format!("starts-{}", name(&role))));
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(&paths, role));
    std::process::exit(0);
}

fn slate(paths: &Paths) {
    match fs::read_to_string(slates(paths)).as_deref() {
        Ok("hang") => loop {
            std::thread::park();
        },
        Ok(_) => {
            eprintln!("no encoder works");
            std::process::exit(1);
        }
        Err(_) => std::process::exit(0),
    }
}

fn settings(paths: &Paths, role: &Role) -> String {
    let secrets = paths.last_good_secrets();
    load::load(&paths.last_good_config(), Some(&secrets)).unwrap().settings.hash_for(role)
}

async fn live(paths: &Paths, role: Role) {
    let mut link = ChildLink::start(paths.children_socket(), role.clone(), settings(paths, &role));
    let sender = link.sender();
    let mut beat = tokio::time::interval(Duration::from_millis(100));
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).unwrap();
    let (mut on_air, mut spoken) = (false, false);
    loop {
        tokio::select! {
            _ = beat.tick() => {
                sender.send(ChildMessage::Beat);
                // As the real data plane does, for systemd when it is a unit of its own.
                let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
                if role == Role::Transmit {
                    report(&sender, on_air);
                }
                if !spoken && wish_to_speak(paths).exists() {
                    spoken = true;
                    let at = (clock::wall(), clock::media());
                    let event = Event::new(at, role.clone(), EventKind::Note, Severity::Info, "", "something");
                    sender.send(ChildMessage::Event(event));
                }
            }
            _ = terminated.recv() => return note(&paths.runtime.join("stops")),
            command = link.next() => match command {
                ChildCommand::Stop => return note(&paths.runtime.join("stops")),
                ChildCommand::SetOnAir { on } => on_air = on,
                ChildCommand::Reload => sender.settings(settings(paths, &role)),
                ChildCommand::Welcome { .. }
                | ChildCommand::RetryNow { .. }
                | ChildCommand::ForceKeyframe { .. }
                | ChildCommand::SetBitrate { .. }
                | ChildCommand::Choose { .. }
                | ChildCommand::Ceiling { .. } => {}
                ChildCommand::Hint { link, expected } => {
                    let said = serde_json::to_string(&expected).unwrap();
                    fs::write(paths.runtime.join(format!("hint-{link}")), said).unwrap();
                }
            },
        }
    }
}

fn report(sender: &ChildSender, on_air: bool) {
    let input = InputId::new("camera").unwrap();
    sender.send(ChildMessage::Plane(PlaneSnapshot {
        on_air,
        programme_time: Media::ZERO,
        source: SourceOnAir::Input(input.clone()),
        source_reason: "it is the stand-in's only one".to_owned(),
        choice: Manual::Auto,
        inputs: vec![InputSnapshot {
            sender: None,
            id: input,
            connected: true,
            last_unit_ms: Some(0),
            condition: Condition::GOOD,
            standing: InputStanding::Ready,
            score: None,
        }],
        renditions: Vec::new(),
        outputs: Vec::new(),
        recordings: Vec::new(),
        links: None,
    }));
}
