//! The only reader of time.
//!
//! Everything that decides takes `now` as an argument; the shells get it here. Going through tokio's clock lets a test
//! with paused time drive shells and cores alike. *Invariant:* no other file
//! reads a clock (`tests/tidy`), and nothing is decided here.

#![expect(clippy::disallowed_methods, reason = "this is the one place that may read a clock")]

use std::time::{Duration, Instant};

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};

use crate::model::{Media, Wall};

/// Now, for decisions and deadlines.
pub fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Now on CLOCK_MONOTONIC, the clock that workers stamp media with. The same in every process of this boot.
pub fn media() -> Media {
    match clock_gettime(ClockId::CLOCK_MONOTONIC) {
        Ok(t) => Media(t.tv_sec().saturating_mul(1_000_000_000).saturating_add(t.tv_nsec())),
        // CLOCK_MONOTONIC exists on every Linux; the origin is the only honest answer if it does not.
        Err(_) => Media::ZERO,
    }
}

/// Blocks this thread until CLOCK_MONOTONIC reads `time`; returns at once when it is past. For threads that keep a
/// media grid; everything else waits in tokio.
pub fn sleep_until(time: Media) {
    let deadline = TimeSpec::from_duration(time.to_duration());
    // A signal may end the wait early; the deadline is absolute, so waiting again costs nothing.
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &deadline)
        == Err(nix::errno::Errno::EINTR)
    {}
}

/// Ticks at the multiples of `period`, and skips those that are missed. Whoever has the same period, or a multiple of it, is
/// woken together: once for sixty-four destinations.
pub fn in_step(period: Duration) -> tokio::time::Interval {
    let nanoseconds = i64::try_from(period.as_nanos()).unwrap_or(i64::MAX).max(1);
    let since_last = Media(media().0.rem_euclid(nanoseconds)).to_duration();
    let mut interval = tokio::time::interval_at(tokio::time::Instant::now() + (period - since_last), period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    interval
}

/// Now, for people.
pub fn wall() -> Wall {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Wall(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
