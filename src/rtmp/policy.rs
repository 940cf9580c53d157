//! The life of a destination: when the next session is tried, where, under which name, and how the last one is left.
//!
//! ```text
//!            start                 due                    accepted
//!   Off ───────────► Waiting ───────────► Attempting ───────────────► Publishing
//!    ▲                  ▲                      │ trouble                   │ trouble: left uncleanly
//!    │ ended            └──────────────────────┴───────────────────────────┘
//!    └── Ending ◄──────────────────────── stop ────────────────────────────┘ (from anywhere)
//! ```
//!
//! Nothing here gives up: a refused key is tried again every half minute, since it may be put right at the other end.

use std::time::{Duration, Instant};

use super::redirect::{self, RedirectError};
use super::trouble::Trouble;
use crate::config::{DestinationSettings, RtmpUrl, Secret, Takeover};

/// The first wait; it doubles with each failure in a row.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait while the trouble may pass by itself.
pub const BACKOFF_MAX: Duration = Duration::from_secs(15);
/// The wait while the trouble needs somebody to do something.
pub const BACKOFF_OPERATOR: Duration = Duration::from_secs(30);
/// A session that lasted this long was a good one: the next failure is the first again.
pub const GOOD_SESSION: Duration = Duration::from_secs(10);
/// How long after losing a session of ours a busy name is taken to be that session.
pub const OWN_SESSION_LINGERS: Duration = Duration::from_secs(60);
/// Waits while the far end still holds our previous session: the first, and the longest.
pub const BUSY_FIRST: Duration = Duration::from_millis(250);
/// See [`BUSY_FIRST`].
pub const BUSY_MAX: Duration = Duration::from_secs(1);
/// An attempt older than this is made anew when the network returns: its packets went into the void.
pub const STALE_ATTEMPT: Duration = Duration::from_secs(1);
/// Bytes that wait this long without any being confirmed mean that the connection is dead.
pub const NO_PROGRESS: Duration = Duration::from_secs(10);

/// Where to connect and what to publish as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where.
    pub url: RtmpUrl,
    /// Stream name for the wire.
    pub name: Secret,
}

/// How the destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not wanted.
    Off,
    /// Until the next attempt.
    Waiting {
        /// When it is made.
        until: Instant,
        /// Why the last one ended; `None` before the first.
        because: Option<Trouble>,
    },
    /// Connecting.
    Attempting {
        /// Since when.
        since: Instant,
        /// Where.
        url: RtmpUrl,
    },
    /// On air.
    Publishing {
        /// Since when.
        since: Instant,
        /// Where.
        url: RtmpUrl,
    },
    /// Ending cleanly.
    Ending,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The next attempt is due.
    Retry,
}

/// What a failure means for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concern {
    /// It may pass by itself.
    MayPass,
    /// Somebody has to do something.
    NeedsOperator,
}

/// Who chooses between the addresses of a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guidance {
    /// Nobody: they take turns.
    Turns,
    /// Whoever calls [`Policy::head_for`] and [`Policy::turn`].
    Told,
}

/// Decides about one destination. All waits are jittered from the seed.
#[derive(Debug)]
pub struct Policy {
    url: RtmpUrl,
    key: Secret,
    backup_key: Option<Secret>,
    takeover: Takeover,
    random: fastrand::Rng,
    phase: Phase,
    /// Failures in a row.
    failures: u32,
    /// Busy answers in a row.
    busy: u32,
    /// The address of the next attempt: 0 for the first, 1 for the backup.
    ingest: usize,
    guidance: Guidance,
    /// For [`Takeover::PriorityQuery`]: the next priority.
    priority: u64,
    /// When a session of ours was last lost, that is, not ended cleanly.
    lost: Option<Instant>,
}

impl Policy {
    /// Off. `first_priority` must be higher than any this box has used for the same key before (seconds of wall time
    /// are); only [`Takeover::PriorityQuery`] uses it.
    pub fn new(settings: &DestinationSettings, seed: u64, first_priority: u64) -> Self {
        Self {
            url: settings.url.clone(),
            key: settings.key.clone(),
            backup_key: settings.backup_key.clone(),
            takeover: settings.takeover.clone(),
            random: fastrand::Rng::with_seed(seed),
            phase: Phase::Off,
            failures: 0,
            busy: 0,
            ingest: 0,
            guidance: Guidance::Turns,
            priority: first_priority,
            lost: None,
        }
    }

    /// How the destination is.
    pub const fn phase(&self) -> &Phase {
        &self.phase
    }

    /// When [`Self::attempt`] has something to do.
    pub fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        match &self.phase {
            Phase::Waiting { until, .. } => Some((*until, Reason::Retry)),
            Phase::Off | Phase::Attempting { .. } | Phase::Publishing { .. } | Phase::Ending => None,
        }
    }

    /// The destination is wanted.
    pub fn start(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Off | Phase::Ending) {
            (self.failures, self.busy) = (0, 0);
            self.phase = Phase::Waiting { until: now, because: None };
        }
    }

    /// The destination is not wanted. A session is to be ended cleanly and [`Self::ended_cleanly`] called; everything
    /// else is dropped.
    pub fn stop(&mut self) {
        self.phase = match self.phase {
            Phase::Publishing { .. } | Phase::Ending => Phase::Ending,
            Phase::Off | Phase::Waiting { .. } | Phase::Attempting { .. } => Phase::Off,
        };
    }

    /// The clean end is over, well or badly.
    pub fn ended_cleanly(&mut self) {
        if self.phase == Phase::Ending {
            self.phase = Phase::Off;
            self.lost = None;
        }
    }

    /// The operator is impatient.
    pub fn retry_now(&mut self, now: Instant) {
        if let Phase::Waiting { until, .. } = &mut self.phase {
            *until = now;
        }
    }

    /// An interface came back: whatever failed so far failed because of that.
    pub fn network_returned(&mut self, now: Instant) {
        self.failures = 0;
        self.retry_now(now);
        if let Phase::Attempting { since, .. } = self.phase
            && now.saturating_duration_since(since) >= STALE_ATTEMPT
        {
            self.phase = Phase::Waiting { until: now, because: None };
        }
    }

    /// The attempt to make, if one is due.
    pub fn attempt(&mut self, now: Instant) -> Option<Attempt> {
        match &self.phase {
            Phase::Waiting { until, .. } if *until <= now => {}
            Phase::Waiting { .. }
            | Phase::Off
            | Phase::Attempting { .. }
            | Phase::Publishing { .. }
            | Phase::Ending => return None,
        }
        let url = self.address(self.ingest).clone();
        self.phase = Phase::Attempting { since: now, url: url.clone() };
        Some(Attempt { url, name: self.name() })
    }

    /// How many addresses there are.
    pub const fn addresses(&self) -> usize {
        match &self.takeover {
            Takeover::BackupUrl(_) => 2,
            Takeover::PriorityQuery | Takeover::ServerOverrides | Takeover::RetryUntilFree => 1,
        }
    }

    /// Address `ingest`, counted from 0; the first for a number that is too large.
    pub const fn address(&self, ingest: usize) -> &RtmpUrl {
        match &self.takeover {
            Takeover::BackupUrl(backup) if ingest == 1 => backup,
            Takeover::BackupUrl(_) | Takeover::PriorityQuery | Takeover::ServerOverrides | Takeover::RetryUntilFree => {
                &self.url
            }
        }
    }

    /// Further attempts go to this address, and not to all in turn.
    pub const fn head_for(&mut self, ingest: usize) {
        self.guidance = Guidance::Told;
        self.ingest = ingest;
    }

    /// The stream takes another way, to this address. Whatever session or attempt there is, is given up; the attempt that
    /// is returned takes its place. `None` if the destination is not wanted.
    pub fn turn(&mut self, ingest: usize, now: Instant) -> Option<Attempt> {
        match self.phase {
            Phase::Off | Phase::Ending => return None,
            // The far end may still hold it.
            Phase::Publishing { .. } => self.lost = Some(now),
            Phase::Waiting { .. } | Phase::Attempting { .. } => {}
        }
        self.head_for(ingest);
        (self.failures, self.busy) = (0, 0);
        let url = self.address(ingest).clone();
        self.phase = Phase::Attempting { since: now, url: url.clone() };
        Some(Attempt { url, name: self.name() })
    }

    /// The server accepted.
    pub fn published(&mut self, now: Instant) {
        if let Phase::Attempting { url, .. } = &self.phase {
            self.phase = Phase::Publishing { since: now, url: url.clone() };
        }
    }

    /// An attempt failed or a session was lost. Says what that means; the wait until the next attempt is in
    /// [`Self::phase`].
    pub fn failed(&mut self, trouble: Trouble, now: Instant) -> Concern {
        match self.phase {
            Phase::Publishing { since, .. } => {
                // Only a session the server kept is one it may still hold. One that it dropped at once is not ours.
                if !trouble.is_busy() {
                    self.lost = Some(now);
                }
                if now.saturating_duration_since(since) >= GOOD_SESSION {
                    (self.failures, self.busy) = (0, 0);
                }
            }
            Phase::Attempting { .. } => {}
            Phase::Off | Phase::Waiting { .. } | Phase::Ending => return Concern::MayPass,
        }
        if self.guidance == Guidance::Turns {
            self.ingest = (self.ingest + 1) % self.addresses();
        }
        let is_ours = self.lost.is_some_and(|lost| now.saturating_duration_since(lost) < OWN_SESSION_LINGERS);
        let concern = if trouble.needs_operator() && !(trouble.is_busy() && is_ours) {
            Concern::NeedsOperator
        } else {
            Concern::MayPass
        };
        let asks_until_free = is_ours || self.takeover == Takeover::RetryUntilFree;
        let wait = if trouble.is_busy() && asks_until_free {
            let wait = doubled(BUSY_FIRST, self.busy, BUSY_MAX);
            self.busy = self.busy.saturating_add(1);
            self.jittered(wait, 0.8)
        } else if concern == Concern::NeedsOperator {
            self.jittered(BACKOFF_OPERATOR, 0.8)
        } else {
            let wait = doubled(BACKOFF_FIRST, self.failures, BACKOFF_MAX);
            self.failures = self.failures.saturating_add(1);
            self.jittered(wait, 0.5)
        };
        self.phase = Phase::Waiting { until: now + wait, because: Some(trouble) };
        concern
    }

    /// Where to go when the server asks us to reconnect; the session goes on until the new one has a keyframe.
    ///
    /// # Errors
    /// [`RedirectError`] if the address is not to be followed; the session just goes on.
    pub fn redirected(&mut self, tc_url: Option<&str>) -> Result<Attempt, RedirectError> {
        let Phase::Publishing { url, .. } = &self.phase else { return Err(RedirectError::Unreadable) };
        let url = redirect::resolve(url, tc_url)?;
        Ok(Attempt { url, name: self.name() })
    }

    /// The session that was publishing has gone before the one at `url`, where the server sent us, was there.
    pub fn moving(&mut self, url: RtmpUrl, now: Instant) {
        if matches!(self.phase, Phase::Publishing { .. }) {
            // Both places may have one list of names, and hold it for a while.
            self.lost = Some(now);
            self.phase = Phase::Attempting { since: now, url };
        }
    }

    /// The session at `url` has taken over from the one that was publishing.
    pub fn moved(&mut self, url: RtmpUrl, now: Instant) {
        if matches!(self.phase, Phase::Publishing { .. }) {
            self.phase = Phase::Publishing { since: now, url };
        }
    }

    /// The stream name of the next session.
    pub fn name(&mut self) -> Secret {
        self.name_at(self.ingest)
    }

    /// The stream name of a session at this address.
    pub fn name_at(&mut self, ingest: usize) -> Secret {
        if self.takeover != Takeover::PriorityQuery {
            let backup_key = self.backup_key.as_ref().filter(|_| ingest == 1);
            return backup_key.unwrap_or(&self.key).clone();
        }
        let key = self.key.reveal();
        let separator = if key.contains('?') { '&' } else { '?' };
        let name = format!("{key}{separator}priority={}", self.priority);
        self.priority = self.priority.saturating_add(1);
        Secret::new(name)
    }

    /// Between `floor` and 1 times `wait`.
    fn jittered(&mut self, wait: Duration, floor: f64) -> Duration {
        wait.mul_f64(floor + (1.0 - floor) * self.random.f64())
    }
}

/// `first` doubled `times` times, at most `max`.
fn doubled(first: Duration, times: u32, max: Duration) -> Duration {
    first.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX)).min(max)
}

/// Notices that the far end's TCP confirms nothing while something waits to be confirmed.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    acknowledged: u64,
    since: Instant,
}

impl Progress {
    /// From a connection's first moment.
    pub const fn new(now: Instant) -> Self {
        Self { acknowledged: 0, since: now }
    }

    /// `acknowledged` bytes so far; `outstanding` says whether any are waiting, in the kernel or before it.
    pub fn observe(&mut self, acknowledged: u64, outstanding: bool, now: Instant) -> Option<Trouble> {
        if acknowledged != self.acknowledged || !outstanding {
            *self = Self { acknowledged, since: now };
        }
        let stuck = now.saturating_duration_since(self.since);
        (stuck >= NO_PROGRESS).then_some(Trouble::NoProgress(stuck))
    }
}

#[cfg(test)]
mod tests;
