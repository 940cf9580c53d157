//! The two that are measured.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use holdfast::clock;
use holdfast::events::{self, EventKind};
use holdfast::model::{InputId, Manual};
use nix::sys::signal::Signal;

use crate::films::{Films, SIZE};
use crate::machine::{self, Cost};
use crate::support::config::Configuration;
use crate::support::picture::arrivals;
use crate::support::process::{Guard, send};
use crate::support::receiver::Pyav;
use crate::support::rig::{PATIENCE, Rig};
use crate::support::wait::wait_until;
use crate::viewer::{Done, Fault, assert_delivered, look};
use crate::{Plan, Run};

pub const KBIT: u32 = 2500;
/// What either waits for a picture before it leaves an input; ours cannot be changed.
const TIMEOUT_MS: u32 = 400;
/// From the first picture at the receiver to the window.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two changes: what is encoded next to the change is over.
const PAUSE: Duration = Duration::from_millis(1500);
/// How long their input hangs. Ours hangs until its worker is replaced.
const HANGS: Duration = Duration::from_secs(3);

fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// As Holdfast chooses it for 1280x720 at 30 fps: `src/encode/table`.
pub fn preset() -> &'static str {
    match f64::from(SIZE.0 * SIZE.1 * 30) / cores() as f64 {
        ..=15e6 => "veryfast",
        ..=40e6 => "superfast",
        _ => "ultrafast",
    }
}

/// As Holdfast chooses them.
pub fn threads() -> usize {
    cores().clamp(1, 4)
}

fn now() -> f64 {
    clock::media().as_nanos() as f64 / 1e9
}

/// The other input, and back.
fn names(changes: usize) -> impl Iterator<Item = &'static str> {
    ["spare", "camera"].into_iter().cycle().take(changes.next_multiple_of(2))
}

/// Waits until the receiver gets pictures, and then for it to settle.
fn settle(pyav: &Pyav) {
    wait_until("pictures at the receiver", PATIENCE, || arrivals(&pyav.log(), 0).len() > 60);
    thread::sleep(SETTLE);
}

/// The cost of these processes, during which the receiver got every picture.
fn measure(pids: &[u32], pyav: &Pyav, window: Duration) -> Cost {
    let began = now();
    let cost = machine::watch(pids, window);
    assert_delivered(&arrivals(&pyav.log(), 0), began, began + window.as_secs_f64());
    cost
}

pub fn holdfast(films: &Films, plan: Plan) -> Run {
    let mut rig = Rig::new("bench-inputs");
    let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
    let file = |path: &PathBuf| format!("kind = \"file\"\npath = \"{}\"\nprobation = \"1s\"", path.display());
    let bitrate = format!("{KBIT}k");
    let size = format!("{}x{}", SIZE.0, SIZE.1);
    let rendition = format!(
        "codec = \"h264\"\nsize = \"{size}\"\nbitrate = \"{bitrate}\"\nkeyframe_interval = \"2s\"\nencoder = \"x264\"\n\
         audio = {{ codec = \"aac\", bitrate = \"128k\" }}"
    );
    rig.configure(
        &Configuration::new(30)
            .add("input", "camera", &file(&films.camera))
            .add("input", "spare", &file(&films.spare))
            .add("rendition", "main", &rendition)
            .destination("pyav", "main", &pyav.url()),
    );
    rig.go_on_air("camera");
    rig.wait_publishing(&["pyav"]);
    settle(&pyav);
    let daemon = rig.daemon.as_ref().expect("it runs").pid();
    let pids = [daemon, rig.worker_pid("camera"), rig.worker_pid("spare"), rig.transmit_pid()];
    let cost = measure(&pids.map(|pid| pid.unsigned_abs()), &pyav, plan.window);

    let mut done = Vec::new();
    for to in names(plan.changes) {
        let (before, at) = (rig.events().len(), now());
        rig.order(events::Command::Choose { choice: Manual::Input(InputId::new(to).expect("a name")) });
        done.push(ours(Fault::ByHand, to, at, &rig.wait_switched(before, to)));
        thread::sleep(PAUSE);
    }
    rig.order(events::Command::Choose { choice: Manual::Auto });
    for _ in 0..plan.stalls {
        let (before, worker, at) = (rig.events().len(), rig.worker_pid("camera"), now());
        send(worker, Signal::SIGSTOP);
        let left = rig.wait_event(before, "the camera to be left", |e| {
            e.kind == EventKind::Switched && e.evidence.get("from").is_some_and(|from| from == "camera")
        });
        let mut hung = ours(Fault::Hung, "spare", at, &rig.wait_switched(before, "spare"));
        // It was decided when the camera was left, for the slate if its place was due.
        let left = left.mono.as_nanos() as f64 / 1e9;
        hung.decided = hung.decided.map(|decided| decided.min(left));
        done.push(hung);
        rig.wait_switched(before, "camera");
        thread::sleep(PAUSE);
    }
    rig.order(events::Command::Stop);
    let recording = pyav.recording(0);
    rig.shut_down();
    Run { cost, seen: look(&done, &recording, &arrivals(&pyav.log(), 0)) }
}

fn ours(fault: Fault, to: &'static str, at: f64, switched: &events::Event) -> Done {
    let in_hand = switched.evidence["after_decision_ms"].as_f64().expect("a number");
    let decided = switched.mono.as_nanos() as f64 / 1e9 - in_hand / 1e3;
    Done { fault, to, at, decided: Some(decided), in_hand: Some(in_hand) }
}

/// Their process, and what it says.
struct Peer {
    child: Child,
    orders: ChildStdin,
    words: Receiver<(f64, String)>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    fn start(films: &Films, pyav: &Pyav) -> Self {
        let program = std::env::var_os("INPUTS_PEER").expect("INPUTS_PEER names it: run scripts/bench-inputs");
        let mut child = Command::new(program)
            .args([&films.camera, &films.spare])
            .arg(format!("{}/key", pyav.url()))
            .arg(format!("{}x{}", SIZE.0, SIZE.1))
            .args([KBIT.to_string(), preset().to_owned(), threads().to_string(), TIMEOUT_MS.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let (orders, output) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
        let (say, words) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Some((at, what)) = line.split_once(' ') else { continue };
                let at = at.parse::<f64>().expect("nanoseconds") / 1e9;
                if say.send((at, what.to_owned())).is_err() {
                    return;
                }
            }
        });
        Self { child, orders, words }
    }

    fn order(&mut self, order: &str) -> f64 {
        let at = now();
        writeln!(self.orders, "{order}").expect("the peer runs");
        at
    }

    /// When it said so, after `at`.
    fn hear(&self, what: &str, at: f64) -> f64 {
        loop {
            let (said, word) = self.words.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("waited for {what}: {e}"));
            if said >= at && word == what {
                return said;
            }
        }
    }
}

pub fn fallbackswitch(films: &Films, plan: Plan) -> Run {
    let home = tempfile::tempdir().unwrap();
    let guard = Guard::new(home.path());
    let pyav = Pyav::start(&guard, home.path(), "pyav", 1);
    let mut peer = Peer::start(films, &pyav);
    settle(&pyav);
    let cost = measure(&[peer.child.id()], &pyav, plan.window);

    let mut done = Vec::new();
    let happened = |fault, to, at, decided| Done { fault, to, at, decided: Some(decided), in_hand: None };
    for to in names(plan.changes) {
        let at = peer.order(&format!("choose {to}"));
        let decided = peer.hear(&format!("active {to}"), at);
        done.push(happened(Fault::ByHand, to, at, decided));
        thread::sleep(PAUSE);
    }
    peer.order("auto");
    thread::sleep(PAUSE);
    for _ in 0..plan.stalls {
        let at = peer.order("stall");
        let decided = peer.hear("active spare", at);
        done.push(happened(Fault::Hung, "spare", at, decided));
        thread::sleep(HANGS);
        let at = peer.order("resume");
        peer.hear("active camera", at);
        thread::sleep(PAUSE);
    }
    drop(peer);
    let recording = pyav.recording(0);
    Run { cost, seen: look(&done, &recording, &arrivals(&pyav.log(), 0)) }
}
