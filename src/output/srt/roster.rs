//! Pure. When each path of a destination calls.
//!
//! ```text
//!                      due              connected
//!   Off ──► Waiting ──────────► Calling ───────────► Up
//!             ▲                    │ failed           │ lost
//!             └────────────────────┴──────────────────┘
//!   from anywhere ──► NoLink, while its interface carries nothing ──► Waiting, due at once
//! ```
//!
//! Each path has its own waits, so that one that is dead does not keep a good one from coming back. Nothing here gives up.

use std::time::{Duration, Instant};

use super::failure::Failure;
use super::footing::Lack;

/// The first wait; it doubles with each failure in a row.
pub(super) const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait while the trouble may pass by itself. A call without an answer takes 3 s besides.
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// The wait while the trouble needs somebody to do something.
pub(super) const BACKOFF_OPERATOR: Duration = Duration::from_secs(30);
/// The wait while the far end still holds our previous connection.
pub(super) const BACKOFF_BUSY: Duration = Duration::from_secs(1);
/// A path that was up for this long was a good one: its next failure is the first again.
pub(super) const GOOD_PATH: Duration = Duration::from_secs(10);

/// How a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not wanted.
    Off,
    /// Its interface carries nothing. Does not call.
    NoLink {
        /// What is missing.
        lack: Lack,
    },
    /// Until its next call.
    Waiting {
        /// When that is.
        until: Instant,
        /// Why the last one ended; `None` before the first.
        because: Option<Failure>,
    },
    /// Calling.
    Calling,
    /// Connected.
    Up {
        /// Since when.
        since: Instant,
    },
}

#[derive(Clone, Debug)]
struct Entry {
    phase: Phase,
    /// In a row.
    failures: u32,
}

/// Decides about the paths of one destination, which are known by their place in the configuration. All waits are jittered
/// from the seed.
#[derive(Debug)]
pub(super) struct Roster {
    entries: Vec<Entry>,
    random: fastrand::Rng,
}

impl Roster {
    /// `paths` of them, none wanted.
    pub(super) fn new(paths: usize, seed: u64) -> Self {
        let entry = Entry { phase: Phase::Off, failures: 0 };
        Self { entries: vec![entry; paths], random: fastrand::Rng::with_seed(seed) }
    }

    /// How a path is.
    pub(super) fn phase(&self, path: usize) -> &Phase {
        self.entries.get(path).map_or(&Phase::Off, |entry| &entry.phase)
    }

    /// Whether the destination is wanted.
    pub(super) fn is_wanted(&self) -> bool {
        self.entries.iter().any(|entry| entry.phase != Phase::Off)
    }

    /// Whether a path is connected.
    pub(super) fn is_any_up(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.phase, Phase::Up { .. }))
    }

    /// Whether a path is calling.
    pub(super) fn is_any_calling(&self) -> bool {
        self.entries.iter().any(|entry| entry.phase == Phase::Calling)
    }

    /// The destination is wanted: all paths call at once.
    pub(super) fn start(&mut self, now: Instant) {
        for entry in self.entries.iter_mut().filter(|entry| entry.phase == Phase::Off) {
            *entry = Entry { phase: Phase::Waiting { until: now, because: None }, failures: 0 };
        }
    }

    /// It is not. What is connected or calling is to be ended.
    pub(super) fn stop(&mut self) {
        for entry in &mut self.entries {
            entry.phase = Phase::Off;
        }
    }

    /// Whoever waits calls at once.
    pub(super) fn retry_now(&mut self, now: Instant) {
        for entry in &mut self.entries {
            if let Phase::Waiting { until, .. } = &mut entry.phase {
                *until = now;
            }
        }
    }

    /// An interface came back: whatever failed so far failed because of that.
    pub(super) fn network_returned(&mut self, now: Instant) {
        for entry in &mut self.entries {
            entry.failures = 0;
        }
        self.retry_now(now);
    }

    /// Its interface carries nothing: it does not call. A path that is connected is to be closed before.
    pub(super) fn hold(&mut self, path: usize, lack: Lack) {
        if let Some(entry) = self.entries.get_mut(path).filter(|entry| entry.phase != Phase::Off) {
            *entry = Entry { phase: Phase::NoLink { lack }, failures: 0 };
        }
    }

    /// Its interface is another one than it was, or carries again: it calls at once.
    pub(super) fn release(&mut self, path: usize, now: Instant) {
        if let Some(entry) = self.entries.get_mut(path)
            && matches!(entry.phase, Phase::NoLink { .. } | Phase::Waiting { .. })
        {
            *entry = Entry { phase: Phase::Waiting { until: now, because: None }, failures: 0 };
        }
    }

    /// When a path calls next.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let waiting = self.entries.iter().filter_map(|entry| match entry.phase {
            Phase::Waiting { until, .. } => Some(until),
            Phase::Off | Phase::NoLink { .. } | Phase::Calling | Phase::Up { .. } => None,
        });
        waiting.min()
    }

    /// A path whose call is due, which then counts as calling.
    pub(super) fn call(&mut self, now: Instant) -> Option<usize> {
        let is_due = |entry: &Entry| matches!(entry.phase, Phase::Waiting { until, .. } if until <= now);
        let path = self.entries.iter().position(is_due)?;
        self.entries.get_mut(path)?.phase = Phase::Calling;
        Some(path)
    }

    /// Its call was answered.
    pub(super) fn connected(&mut self, path: usize, now: Instant) {
        if let Some(entry) = self.entries.get_mut(path).filter(|entry| entry.phase == Phase::Calling) {
            entry.phase = Phase::Up { since: now };
        }
    }

    /// Its call failed, or it was lost. Returns the wait until its next call; `None` if it is not wanted.
    pub(super) fn failed(&mut self, path: usize, failure: Failure, now: Instant) -> Option<Duration> {
        let entry = self.entries.get_mut(path)?;
        match entry.phase {
            Phase::Off | Phase::NoLink { .. } | Phase::Waiting { .. } => return None,
            Phase::Calling => {}
            Phase::Up { since } if now.saturating_duration_since(since) >= GOOD_PATH => entry.failures = 0,
            Phase::Up { .. } => {}
        }
        let (wait, floor) = if failure.is_busy() {
            (BACKOFF_BUSY, 0.8)
        } else if failure.needs_operator() {
            (BACKOFF_OPERATOR, 0.8)
        } else {
            let doubled = BACKOFF_FIRST.saturating_mul(1u32.checked_shl(entry.failures).unwrap_or(u32::MAX));
            entry.failures = entry.failures.saturating_add(1);
            (doubled.min(BACKOFF_MAX), 0.5)
        };
        let wait = wait.mul_f64(floor + (1.0 - floor) * self.random.f64());
        entry.phase = Phase::Waiting { until: now + wait, because: Some(failure) };
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::srt::session::Closed;
    use crate::srt::wire::RejectReason;
    use crate::srt::{Step, Trouble};

    const SILENT: Failure = Failure::Handshake(Trouble::NoAnswer { step: Step::Induction, unreachable: false });
    const BAD_SECRET: Failure =
        Failure::Handshake(Trouble::Refused { reason: RejectReason::BadSecret, encrypted: true });
    const BUSY: Failure = Failure::Handshake(Trouble::Refused { reason: RejectReason::Server(409), encrypted: true });

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started(paths: usize) -> (Roster, Instant) {
        let (mut roster, now) = (Roster::new(paths, 1), crate::clock::now());
        roster.start(now);
        (roster, now)
    }

    #[test]
    fn all_paths_call_at_once_and_each_only_once() {
        let (mut roster, now) = started(3);
        assert_eq!(std::iter::from_fn(|| roster.call(now)).collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(roster.poll_timeout(), None, "nobody waits");
        roster.connected(1, now);
        assert!(roster.is_any_up() && roster.is_any_calling());
    }

    #[test]
    fn waits_double_up_to_a_bound_and_one_paths_do_not_hold_another() {
        let (mut roster, mut now) = started(2);
        let mut waits = Vec::new();
        for _ in 0..8 {
            assert_eq!(roster.call(now), Some(0));
            if waits.is_empty() {
                assert_eq!(roster.call(now), Some(1));
                roster.connected(1, now);
            }
            let wait = roster.failed(0, SILENT, now).unwrap();
            assert_eq!(roster.poll_timeout(), Some(now + wait));
            waits.push(wait);
            now += wait;
        }
        assert!(waits[0] >= BACKOFF_FIRST / 2 && waits[0] <= BACKOFF_FIRST);
        assert!(waits[7] >= BACKOFF_MAX / 2 && waits[7] <= BACKOFF_MAX, "{waits:?}");
        assert!(matches!(roster.phase(1), Phase::Up { .. }));
    }

    #[test]
    fn a_good_path_that_is_lost_begins_with_the_shortest_wait() {
        let (mut roster, mut now) = started(1);
        for _ in 0..6 {
            roster.call(now).unwrap();
            now += roster.failed(0, SILENT, now).unwrap();
        }
        roster.call(now).unwrap();
        roster.connected(0, now);
        now += GOOD_PATH;
        assert!(roster.failed(0, Failure::Lost(Closed::PeerIdle), now).unwrap() <= BACKOFF_FIRST);
    }

    #[test]
    fn what_needs_an_operator_is_tried_seldom_and_what_is_busy_soon() {
        let (mut roster, now) = started(1);
        roster.call(now).unwrap();
        let wait = roster.failed(0, BAD_SECRET, now).unwrap();
        assert!(wait >= s(24) && wait <= BACKOFF_OPERATOR);
        roster.retry_now(now);
        assert_eq!(roster.call(now), Some(0), "an operator put it right");
        assert!(roster.failed(0, BUSY, now).unwrap() <= BACKOFF_BUSY);
    }

    #[test]
    fn a_network_that_returns_ends_all_waits_and_forgets_the_failures() {
        let (mut roster, mut now) = started(2);
        for _ in 0..5 {
            while roster.call(now).is_some() {}
            let waits = [0, 1].map(|path| roster.failed(path, SILENT, now).unwrap());
            now += waits.into_iter().max().unwrap();
        }
        while roster.call(now).is_some() {}
        for path in [0, 1] {
            roster.failed(path, SILENT, now).unwrap();
        }
        roster.network_returned(now);
        assert_eq!((roster.call(now), roster.call(now)), (Some(0), Some(1)));
        assert!(roster.failed(0, SILENT, now).unwrap() <= BACKOFF_FIRST);
    }

    #[test]
    fn a_path_without_its_interface_waits_for_nothing_else() {
        let (mut roster, now) = started(2);
        roster.hold(0, Lack::Carrier);
        assert_eq!((roster.call(now), roster.call(now)), (Some(1), None));
        roster.network_returned(now);
        roster.retry_now(now);
        assert_eq!(roster.poll_timeout(), None, "another network's return does not help it");
        assert_eq!(roster.failed(0, SILENT, now), None, "a call that was under way");
        roster.release(0, now);
        assert_eq!(roster.call(now), Some(0));
        roster.connected(0, now);
        roster.release(0, now);
        assert!(matches!(roster.phase(0), Phase::Up { .. }), "what is connected does not call");
        roster.stop();
        roster.hold(0, Lack::Interface);
        assert!(!roster.is_wanted(), "what is not wanted is not missed");
    }

    #[test]
    fn nothing_calls_once_it_is_stopped() {
        let (mut roster, now) = started(2);
        assert_eq!(roster.call(now), Some(0));
        roster.stop();
        assert!(!roster.is_wanted());
        assert_eq!((roster.call(now), roster.poll_timeout()), (None, None));
        assert_eq!(roster.failed(0, SILENT, now), None, "a call that ends late");
        roster.connected(0, now);
        assert_eq!(roster.phase(0), &Phase::Off);
        roster.retry_now(now);
        assert_eq!(roster.call(now), None);
    }
}
