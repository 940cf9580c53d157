//! Breaking something on air, and telling from the box's own events and counters what came of it.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use holdfast::clock;
use holdfast::events::{BoxSnapshot, Event, EventKind, OutputSnapshot, OutputState, Role};
use holdfast::model::Media;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::box_::DemoBox;
use super::servers::Servers;
use super::tools::Tools;
use super::uplinks::{self, Uplinks};

/// How long holdfastd or a server stays away.
const AWAY: Duration = Duration::from_secs(5);

/// What can be broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// kill -9 for the encoder process.
    Encoder,
    /// kill -9 for holdfastd, which comes back after 5 s (as systemd would bring it).
    Supervisor,
    /// kill -9 for the process that sends.
    DataPlane,
    /// kill -9 for the first server, which comes back after 5 s.
    Destination,
    /// The uplink in use is taken away, and comes back after 5 s.
    Link,
}

/// A fault that was injected.
#[derive(Debug)]
pub(super) struct Injected {
    fault: Fault,
    pid: i64,
    at: Media,
    before: BoxSnapshot,
    back_at: Option<Instant>,
}

impl Injected {
    pub(super) fn now(
        fault: Fault,
        demo: &mut DemoBox,
        servers: &mut Servers,
        uplinks: &mut Uplinks,
    ) -> Result<Self, String> {
        let before = demo.look().ok_or("the box does not answer")?;
        let shoot = |pid: Option<i32>| {
            let pid = pid.ok_or("there is no such process to kill")?;
            kill(Pid::from_raw(pid), Signal::SIGKILL).map_err(|e| format!("cannot kill process {pid}: {e}"))?;
            Ok::<_, String>(i64::from(pid))
        };
        let (pid, away) = match fault {
            Fault::Encoder => (shoot(demo.pid(|r| matches!(r, Role::Encode(_))))?, false),
            Fault::DataPlane => (shoot(demo.pid(|r| *r == Role::Transmit))?, false),
            Fault::Supervisor => (i64::from(demo.kill_daemon()), true),
            Fault::Destination => (i64::from(servers.kill_first()), true),
            Fault::Link => {
                uplinks.lose_first()?;
                (i64::from(uplinks.pid()), true)
            }
        };
        Ok(Self { fault, pid, at: clock::media(), before, back_at: away.then(|| clock::now() + AWAY) })
    }

    /// Brings back what is to come back.
    pub(super) fn go_on(
        &mut self,
        demo: &mut DemoBox,
        servers: &mut Servers,
        uplinks: &mut Uplinks,
        tools: &Tools,
    ) -> Result<(), String> {
        if self.back_at.is_none_or(|at| clock::now() < at) {
            return Ok(());
        }
        self.back_at = None;
        match self.fault {
            Fault::Supervisor => uplinks.at_box(|| demo.restart_daemon()),
            Fault::Destination => uplinks.at_box(|| servers.restart_first(tools)),
            Fault::Link => uplinks.heal_first(),
            Fault::Encoder | Fault::DataPlane => Ok(()),
        }
    }

    /// What came of it, from the event log and the counters.
    pub(super) fn told(&self, demo: &DemoBox, last: &BoxSnapshot) -> String {
        let events: Vec<Event> = demo.events().into_iter().filter(|e| e.mono >= self.at).collect();
        let after = |is_it: &dyn Fn(&Event) -> bool| events.iter().find(|e| is_it(e)).map(|e| e.mono - self.at);
        let ms = |time: Option<Media>| time.map_or("never".to_owned(), |t| format!("after {} ms", t.to_ticks(1000)));
        let switched = |to: &'static str| {
            move |e: &Event| {
                e.kind == EventKind::Switched && e.evidence.get("to").is_some_and(|t| (t == "slate") == (to == "slate"))
            }
        };
        let pid = self.pid;
        match self.fault {
            Fault::Encoder => format!(
                "The encoder (process {pid}) was killed. The stand-in was on air {}, the live picture again {}. {}",
                ms(after(&|e| e.kind == EventKind::Switched)),
                ms(after(&|e| e.kind == EventKind::ChildReady).and_then(|ready| {
                    events
                        .iter()
                        .find(|e| e.kind == EventKind::Switched && e.mono - self.at > ready && switched("live")(e))
                        .map(|e| e.mono - self.at)
                })),
                self.sessions(last),
            ),
            Fault::Supervisor => format!(
                "holdfastd (process {pid}) was killed and came back {} s later. Its children went on and were taken over: {} of {}. {}",
                AWAY.as_secs(),
                events.iter().filter(|e| e.kind == EventKind::ChildAdopted).count(),
                self.before.children.len(),
                self.sessions(last),
            ),
            Fault::DataPlane => format!(
                "The sender (process {pid}) was killed. Another one was publishing again {}, in the same timeline.",
                ms(after(&|e| e.kind == EventKind::OutputPublishing)),
            ),
            Fault::Destination => format!(
                "The server of film (process {pid}) was killed and came back {} s later; publishing there again {}. {}",
                AWAY.as_secs(),
                ms(after(&|e| e.kind == EventKind::OutputPublishing && e.subject == "film")),
                self.sessions(last),
            ),
            Fault::Link => format!(
                "The uplink {} was taken away and came back {} s later. The others carried {}, another one alone {}. \
                 {} {}",
                uplinks::FIRST,
                AWAY.as_secs(),
                ms(after(&|e| e.kind == EventKind::PathDoubted)),
                ms(after(&|e| e.kind == EventKind::PathSwitched)),
                at_the_relay(&self.before, last),
                self.sessions(last),
            ),
        }
    }

    /// Whose session lasted.
    fn sessions(&self, last: &BoxSnapshot) -> String {
        let outputs = |s: &BoxSnapshot| s.plane.as_ref().map_or_else(Vec::new, |p| p.outputs.clone());
        let was_up = |o: &OutputSnapshot| o.state == OutputState::Publishing;
        let (before, after) = (outputs(&self.before), outputs(last));
        let lasted =
            |o: &&OutputSnapshot| after.iter().any(|a| a.id == o.id && a.sessions == o.sessions && a.lost == o.lost);
        let (kept, broken): (Vec<_>, Vec<_>) = before.iter().filter(|o| was_up(o)).partition(lasted);
        let names = |list: &[&OutputSnapshot]| list.iter().map(|o| o.id.to_string()).collect::<Vec<_>>().join(", ");
        match (kept.is_empty(), broken.is_empty()) {
            (_, true) => format!("Nobody was disconnected and nothing was lost ({}).", names(&kept)),
            (true, false) => format!("Disconnected: {}.", names(&broken)),
            (false, false) => format!("Disconnected: {}. Without a loss: {}.", names(&broken), names(&kept)),
        }
    }
}

/// What the relay itself says that it lacks since the fault.
fn at_the_relay(before: &BoxSnapshot, last: &BoxSnapshot) -> String {
    let missing = |s: &BoxSnapshot| {
        let plane = s.plane.as_ref()?;
        let output = plane.outputs.iter().find(|o| o.id.as_str() == uplinks::NAME)?;
        Some(output.srt.as_ref()?.far_end?.missing)
    };
    match (missing(before), missing(last)) {
        (Some(before), Some(last)) => {
            format!("The relay says that {} packets never arrived.", last.saturating_sub(before))
        }
        (_, None) | (None, _) => "The relay did not say what it lacks.".to_owned(),
    }
}
