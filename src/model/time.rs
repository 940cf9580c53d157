//! Points in time, kept apart by type so that they cannot be mixed.
//!
//! - [`Media`]: where a frame belongs. Workers count it on CLOCK_MONOTONIC; after the switch it is *programme time*,
//!   which starts once and never goes back, across restarts and reboots.
//! - [`Wall`]: what a clock on the wall says. Only for people (logs, file names); never for decisions.
//! - `std::time::Instant`: when something happened, passed as `now` into every decision.

use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A presentation or decoding time, or an offset between two, in nanoseconds. Signed: 292 years either way, so it
/// does not wrap within the life of a box; the wire formats' own wraps (33-bit 90 kHz, 32-bit ms) happen at the muxers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Media(pub i64);

impl Media {
    /// The origin.
    pub const ZERO: Self = Self(0);

    /// Nanoseconds since the origin.
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// From whole milliseconds.
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms.saturating_mul(1_000_000))
    }

    /// From a duration, saturating.
    pub fn from_duration(duration: Duration) -> Self {
        Self(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    }

    /// The distance from the origin, or zero for a negative time.
    pub fn to_duration(self) -> Duration {
        Duration::from_nanos(u64::try_from(self.0).unwrap_or(0))
    }

    /// In ticks of `hz`, rounded to nearest (ties away from zero).
    pub fn to_ticks(self, hz: u32) -> i64 {
        let scaled = i128::from(self.0) * i128::from(hz);
        let half = if scaled >= 0 { 500_000_000 } else { -500_000_000 };
        i64::try_from((scaled + half) / 1_000_000_000).unwrap_or(i64::MAX)
    }
}

impl Add for Media {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Media {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// A wall-clock time: microseconds since 1970-01-01T00:00:00Z. May jump; for people only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Wall(pub i64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_round_to_nearest_on_both_sides_of_zero() {
        assert_eq!(Media(33_333_333).to_ticks(90_000), 3000);
        assert_eq!(Media(-33_333_333).to_ticks(90_000), -3000);
        assert_eq!(Media::from_millis(1).to_ticks(1000), 1);
        assert_eq!(Media(499_999).to_ticks(1000), 0);
        assert_eq!(Media(500_000).to_ticks(1000), 1);
    }
}
