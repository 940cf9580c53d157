//! What systemd is told of holdfastd, when systemd runs it: ready, alive, how the box is.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// Signs of life at least this often; a unit's `WatchdogSec` is to be several times as long.
const PING_EVERY: Duration = Duration::from_millis(500);

/// The talk with systemd. Without systemd (no `NOTIFY_SOCKET`) nobody is told anything.
#[derive(Debug, Default)]
pub struct Service {
    ready: bool,
    status: String,
    pinged: Option<Instant>,
}

impl Service {
    /// The box does its work: told once.
    pub fn ready(&mut self) {
        if !std::mem::replace(&mut self.ready, true) {
            tell(&[NotifyState::Ready]);
        }
    }

    /// The main loop goes round; `status` is the box in one line. Call it from nowhere else.
    pub fn alive(&mut self, status: impl FnOnce() -> String, now: Instant) {
        if self.pinged.is_some_and(|at| now.saturating_duration_since(at) < PING_EVERY) {
            return;
        }
        self.pinged = Some(now);
        let status = status();
        if status == self.status {
            tell(&[NotifyState::Watchdog]);
        } else {
            tell(&[NotifyState::Watchdog, NotifyState::Status(&status)]);
            self.status = status;
        }
    }

    /// holdfastd is about to end.
    pub fn ending(&self) {
        tell(&[NotifyState::Stopping]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    // A manager that does not listen is no reason to stop working.
    let _ = sd_notify::notify(states);
}
