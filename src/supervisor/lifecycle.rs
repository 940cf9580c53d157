//! Pure. One child's life: when it is started, when it counts as hung, when it is given up.
//!
//! ```text
//!              Want                    Hello                 no beat for `hung_after`
//!   Stopped ─────────► Starting ─────────────► Running ──────────────────────► Killing
//!      ▲                  │ no Hello in time ──────────────────────────────────►  │ │ still there after `abandon_after`
//!      │ Unwant           │ exited                  │ exited                      │ └──► Starting (a replacement;
//!      │                  ▼                         ▼                      exited │       the old one is abandoned)
//!      └── Ending ◄── BackingOff ◄──────────────────┴─────────────────────────────┘
//!                         │ first at once, then doubling to `back_off_max`; healthy for `healthy_after` resets it
//!                         └────────► Starting
//! ```
//!
//! After holdfastd's own start a child whose role somebody holds is *awaited* first: one that still works reconnects, says
//! Hello and is adopted; one that does not is hung.
//!
//! A machine that stood still must not cost children their lives: time in which this core was not called is not held
//! against anybody (see [`Lifecycle::handle`]).
//!
//! *Invariant:* at most one process of a role is started at a time, and none while another of that role is known to live
//! and has not been abandoned.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::events::ChildState;

/// Process id as the kernel gives it.
pub type Pid = i32;

/// The thresholds of one role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// From the start of the process to its Hello.
    pub hello_within: Duration,
    /// Without a beat for this long a running child is hung. A beat comes at least every 200 ms.
    pub hung_after: Duration,
    /// From being asked to end to being killed.
    pub end_within: Duration,
    /// From SIGKILL to being given up as unkillable (uninterruptible sleep in a driver).
    pub abandon_after: Duration,
    /// Second start in a row; doubles from here.
    pub back_off: Duration,
    /// Longest wait between two starts.
    pub back_off_max: Duration,
    /// Running for this long makes the next failure the first again.
    pub healthy_after: Duration,
    /// How long a child that may still run from before is awaited.
    pub await_for: Duration,
}

impl Limits {
    /// An encode worker. Its beat comes from the thread that feeds the encoders; the data plane shows the slate after
    /// 400 ms of silence by itself, so that killing can wait for certainty: five beats in a row. Its Hello may wait for
    /// GStreamer to look through all plugins, which takes long on a cold SD card and would take long again after a kill.
    pub const WORKER: Self = Self {
        hello_within: Duration::from_secs(30),
        hung_after: Duration::from_millis(1000),
        end_within: Duration::from_secs(2),
        abandon_after: Duration::from_secs(3),
        back_off: Duration::from_millis(500),
        back_off_max: Duration::from_secs(10),
        healthy_after: Duration::from_secs(30),
        await_for: Duration::from_millis(1000),
    };
    /// The data plane. Its death is visible, so that it must not be killed for a stall that viewers would not have noticed;
    /// but outputs are to be back within 2 s, of which a start, a connection and a keyframe take up to one. That leaves the
    /// same 1 s, ten of its beats.
    pub const TRANSMIT: Self = Self {
        hello_within: Duration::from_secs(10),
        end_within: Duration::from_secs(4),
        back_off: Duration::from_millis(250),
        back_off_max: Duration::from_secs(5),
        ..Self::WORKER
    };
}

/// What happens to a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is to run.
    Want,
    /// It is to end.
    Unwant,
    /// It is to end and to be started again (its configuration changed).
    Renew {
        /// Why.
        because: String,
    },
    /// The start asked for worked.
    Spawned(Pid),
    /// The start asked for did not.
    SpawnFailed(String),
    /// A process said that it is this child; the kernel vouches for the pid.
    Hello {
        /// Which process. It must be the one that holds the role's lock.
        pid: Pid,
        /// Whether it speaks our protocol.
        speaks: bool,
    },
    /// A process holds the role's lock (asked of the kernel when nobody said Hello).
    Holds(Pid),
    /// It got things done.
    Beat,
    /// The process is gone.
    Exited {
        /// Which process.
        pid: Pid,
        /// How, in words.
        how: String,
    },
    /// Time passes. Call at least every 100 ms.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Start a process of this role.
    Spawn {
        /// An earlier one could not be killed: the hardware it holds cannot be had, use software.
        software_only: bool,
    },
    /// Ask whether a process holds the role's lock; if one does, answer with [`Input::Holds`] before the next input.
    AskHolder,
    /// Ask it to end (the Stop command and SIGTERM).
    AskToEnd(Pid),
    /// SIGKILL.
    Kill(Pid),
    /// For the log.
    Told(Told),
}

/// What happened, for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A process was started.
    Started(Pid),
    /// It said Hello after this long.
    Ready(Pid, Duration),
    /// It was running already.
    Adopted(Pid),
    /// It is gone; the next start comes after this long, if it is still wanted.
    Ended {
        /// How and why.
        because: String,
        /// Until the next start; `None` if it is not wanted.
        again_in: Option<Duration>,
        /// Whether anybody wanted it to end.
        expected: bool,
    },
    /// It does not do anything and is being killed.
    Hung {
        /// Which process.
        pid: Pid,
        /// What was not seen for how long.
        because: String,
    },
    /// It cannot be killed; a replacement is started.
    Abandoned(Pid),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Phase {
    Stopped,
    /// Wanted since our own start; one from before may show up.
    Awaited {
        until: Instant,
    },
    /// It did not show up, and the kernel has been asked who holds the role.
    Asked,
    /// Spawn was asked for; `pid` is known once it worked.
    Starting {
        pid: Option<Pid>,
        since: Instant,
    },
    Running {
        pid: Pid,
        since: Instant,
        beat: Instant,
    },
    /// Asked to end.
    Ending {
        pid: Pid,
        since: Instant,
        because: String,
    },
    /// SIGKILL was sent.
    Killing {
        pid: Pid,
        since: Instant,
        because: String,
    },
    BackingOff {
        until: Instant,
    },
}

/// One child.
#[derive(Clone, Debug)]
pub struct Lifecycle {
    limits: Limits,
    phase: Phase,
    wanted: bool,
    /// Failures in a row.
    failures: u32,
    starts: u32,
    last_end: Option<String>,
    abandoned: Vec<Pid>,
    last_call: Option<Instant>,
    out: VecDeque<Output>,
}

/// Calls further apart than this mean that this process did not run.
const OVERSLEPT: Duration = Duration::from_millis(300);

impl Lifecycle {
    /// A child that is not wanted yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            phase: Phase::Stopped,
            wanted: false,
            failures: 0,
            starts: 0,
            last_end: None,
            abandoned: Vec::new(),
            last_call: None,
            out: VecDeque::new(),
        }
    }

    /// A child that is wanted and may still run from before holdfastd's own start.
    pub fn awaited(limits: Limits, now: Instant) -> Self {
        let phase = Phase::Awaited { until: now + limits.await_for };
        Self { phase, wanted: true, ..Self::new(limits) }
    }

    /// Takes one input. Drain [`Lifecycle::poll_output`] afterwards. When more than 300 ms passed since the last call, the
    /// excess is added to all deadlines.
    pub fn handle(&mut self, input: Input, now: Instant) {
        self.forgive(now);
        match input {
            Input::Want => {
                self.wanted = true;
                if self.phase == Phase::Stopped {
                    self.spawn(now);
                }
            }
            Input::Unwant => {
                self.wanted = false;
                self.end("not wanted any more", now);
            }
            Input::Renew { because } => self.end(&because, now),
            Input::Spawned(pid) => {
                if let Phase::Starting { pid: known @ None, .. } = &mut self.phase {
                    *known = Some(pid);
                    self.starts += 1;
                    self.tell(Told::Started(pid));
                    if !self.wanted {
                        self.end("not wanted any more", now);
                    }
                }
            }
            Input::SpawnFailed(why) => {
                if matches!(self.phase, Phase::Starting { pid: None, .. }) {
                    self.gone(format!("could not be started: {why}"), false, now);
                }
            }
            Input::Hello { pid, speaks } => self.hello(pid, speaks, now),
            Input::Holds(pid) => {
                if self.phase == Phase::Asked && !self.abandoned.contains(&pid) {
                    self.kill(pid, "it holds the role from before and does not answer".to_owned(), now);
                }
            }
            Input::Beat => {
                if let Phase::Running { beat, .. } = &mut self.phase {
                    *beat = now;
                }
            }
            Input::Exited { pid, how } => self.exited(pid, &how, now),
            Input::Tick => {
                if self.phase == Phase::Asked {
                    self.phase = Phase::BackingOff { until: now };
                }
            }
        }
        self.deadlines(now);
    }

    /// What is to be done, in order, until `None`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// How it is, for people.
    pub fn state(&self) -> ChildState {
        match self.phase {
            Phase::Stopped => ChildState::Stopped,
            Phase::Awaited { .. } | Phase::Asked | Phase::Starting { .. } => ChildState::Starting,
            Phase::Running { .. } | Phase::Ending { .. } => ChildState::Running,
            Phase::Killing { .. } => ChildState::Hung,
            Phase::BackingOff { .. } => ChildState::BackingOff,
        }
    }

    /// Its process, while there is one.
    pub fn pid(&self) -> Option<Pid> {
        match self.phase {
            Phase::Stopped | Phase::Awaited { .. } | Phase::Asked | Phase::BackingOff { .. } => None,
            Phase::Starting { pid, .. } => pid,
            Phase::Running { pid, .. } | Phase::Ending { pid, .. } | Phase::Killing { pid, .. } => Some(pid),
        }
    }

    /// Processes that could not be killed and still exist.
    pub fn abandoned(&self) -> &[Pid] {
        &self.abandoned
    }

    /// Starts so far.
    pub fn starts(&self) -> u32 {
        self.starts
    }

    /// How it last ended.
    pub fn last_end(&self) -> Option<&str> {
        self.last_end.as_deref()
    }

    /// Whether it has ended and will not be started again.
    pub fn is_over(&self) -> bool {
        self.phase == Phase::Stopped && !self.wanted
    }
}

impl Lifecycle {
    /// Moves every deadline by the time in which nobody called.
    fn forgive(&mut self, now: Instant) {
        let last = self.last_call.replace(now).unwrap_or(now);
        let excess = now.saturating_duration_since(last).saturating_sub(OVERSLEPT);
        match &mut self.phase {
            Phase::Awaited { until: at }
            | Phase::Starting { since: at, .. }
            | Phase::Running { beat: at, .. }
            | Phase::Ending { since: at, .. }
            | Phase::Killing { since: at, .. } => *at += excess,
            Phase::Stopped | Phase::Asked | Phase::BackingOff { .. } => {}
        }
    }

    fn hello(&mut self, pid: Pid, speaks: bool, now: Instant) {
        if self.abandoned.contains(&pid) {
            return;
        }
        if !speaks {
            return self.kill(pid, "it speaks another version of the protocol".to_owned(), now);
        }
        let told = match self.phase {
            Phase::Starting { pid: Some(started), since } if started == pid => Told::Ready(pid, now - since),
            // A second connection of the child that is known: it lost the first, not its life.
            Phase::Running { pid: known, .. }
            | Phase::Ending { pid: known, .. }
            | Phase::Killing { pid: known, .. }
                if known == pid =>
            {
                return;
            }
            Phase::Awaited { .. } | Phase::Asked | Phase::BackingOff { .. } | Phase::Stopped => Told::Adopted(pid),
            // Started by us but not yet known to be (systemd).
            Phase::Starting { pid: None, .. } => Told::Adopted(pid),
            // Only one process can hold the role's lock, and it is not the one we started: that one cannot do anything.
            Phase::Starting { pid: Some(started), .. } => {
                self.out.push_back(Output::Kill(started));
                Told::Adopted(pid)
            }
            // The one that had the lock is gone, although we have not been told yet, and systemd started another.
            Phase::Running { .. } | Phase::Ending { .. } | Phase::Killing { .. } => Told::Adopted(pid),
        };
        self.phase = Phase::Running { pid, since: now, beat: now };
        self.tell(told);
        if !self.wanted {
            self.end("not wanted", now);
        }
    }

    fn exited(&mut self, pid: Pid, how: &str, now: Instant) {
        if let Some(at) = self.abandoned.iter().position(|a| *a == pid) {
            self.abandoned.remove(at);
            return;
        }
        if self.pid() != Some(pid) {
            return;
        }
        match std::mem::replace(&mut self.phase, Phase::Stopped) {
            Phase::Running { since, .. } => {
                self.was_running(since, now);
                self.gone(how.to_owned(), false, now);
            }
            Phase::Ending { because, .. } => self.gone(format!("{because}; {how}"), true, now),
            Phase::Killing { because, .. } => self.gone(format!("{because}; {how}"), false, now),
            Phase::Starting { .. } => self.gone(format!("{how} before it said anything"), false, now),
            Phase::Stopped | Phase::Awaited { .. } | Phase::Asked | Phase::BackingOff { .. } => {}
        }
    }

    fn deadlines(&mut self, now: Instant) {
        let late = |since: Instant, limit: Duration| now.saturating_duration_since(since) >= limit;
        match self.phase.clone() {
            Phase::Awaited { until } if now >= until => {
                // Asked first, so that a hung one from before is not joined by a second.
                self.phase = Phase::Asked;
                self.out.push_back(Output::AskHolder);
            }
            Phase::Starting { pid: Some(pid), since } if late(since, self.limits.hello_within) => {
                self.kill(pid, format!("it said nothing for {:?}", now - since), now);
            }
            Phase::Running { pid, beat, .. } if late(beat, self.limits.hung_after) => {
                self.kill(pid, format!("no sign of work for {} ms", (now - beat).as_millis()), now);
            }
            Phase::Ending { pid, since, because } if late(since, self.limits.end_within) => {
                self.kill(pid, format!("{because}, and it did not end within {:?}", self.limits.end_within), now);
            }
            Phase::Killing { pid, since, because } if late(since, self.limits.abandon_after) => {
                self.abandoned.push(pid);
                self.tell(Told::Abandoned(pid));
                self.gone(format!("{because}; it cannot be killed and is left alone"), false, now);
            }
            Phase::BackingOff { until } if now >= until => {
                if self.wanted {
                    self.spawn(now);
                } else {
                    self.phase = Phase::Stopped;
                }
            }
            Phase::Stopped
            | Phase::Awaited { .. }
            | Phase::Asked
            | Phase::Starting { .. }
            | Phase::Running { .. }
            | Phase::Ending { .. }
            | Phase::Killing { .. }
            | Phase::BackingOff { .. } => {}
        }
    }

    fn spawn(&mut self, now: Instant) {
        self.phase = Phase::Starting { pid: None, since: now };
        self.out.push_back(Output::Spawn { software_only: !self.abandoned.is_empty() });
    }

    fn kill(&mut self, pid: Pid, because: String, now: Instant) {
        if let Phase::Running { since, .. } = self.phase {
            self.was_running(since, now);
        }
        self.tell(Told::Hung { pid, because: because.clone() });
        self.out.push_back(Output::Kill(pid));
        self.phase = Phase::Killing { pid, since: now, because };
    }

    /// One that was well for so long has made up for what went before, however it ends.
    fn was_running(&mut self, since: Instant, now: Instant) {
        if now.saturating_duration_since(since) >= self.limits.healthy_after {
            self.failures = 0;
        }
    }

    /// Asks a running child to end; what is not running is stopped or about to be.
    fn end(&mut self, because: &str, now: Instant) {
        match self.phase {
            Phase::Starting { pid: Some(pid), .. } | Phase::Running { pid, .. } => {
                self.out.push_back(Output::AskToEnd(pid));
                self.phase = Phase::Ending { pid, since: now, because: because.to_owned() };
            }
            Phase::Awaited { .. } | Phase::Asked | Phase::BackingOff { .. } if !self.wanted => {
                self.phase = Phase::Stopped;
            }
            Phase::Stopped
            | Phase::Awaited { .. }
            | Phase::Asked
            | Phase::Starting { .. }
            | Phase::Ending { .. }
            | Phase::Killing { .. }
            | Phase::BackingOff { .. } => {}
        }
    }

    /// The process is gone (or given up): when does the next one start?
    fn gone(&mut self, because: String, expected: bool, now: Instant) {
        let wait = if expected {
            Duration::ZERO
        } else {
            self.failures += 1;
            self.back_off()
        };
        self.phase = if self.wanted { Phase::BackingOff { until: now + wait } } else { Phase::Stopped };
        self.last_end = Some(because.clone());
        self.tell(Told::Ended { because, again_in: self.wanted.then_some(wait), expected });
    }

    /// None after the first failure, then doubling.
    fn back_off(&self) -> Duration {
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => self.limits.back_off.saturating_mul(1 << (n - 2).min(16)).min(self.limits.back_off_max),
        }
    }

    fn tell(&mut self, told: Told) {
        self.out.push_back(Output::Told(told));
    }
}

#[cfg(test)]
mod tests;
