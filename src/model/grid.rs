//! The shared grids: every source's frame `n` belongs to the same instant, so that any source can stand in for
//! another at any frame without moving the others.
//!
//! Video frame `n` is at `n / fps`, audio frame `k` at `k × samples / rate`; both count from the origin of the clock
//! they are on (CLOCK_MONOTONIC in the workers and in the switch).

use serde::{Deserialize, Serialize};

use super::Media;

/// Frames per second as a fraction, e.g. 30/1 or 30000/1001. Both parts are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FrameRate {
    /// Numerator, frames.
    pub num: u32,
    /// Denominator, seconds.
    pub den: u32,
}

impl FrameRate {
    /// A whole number of frames per second; 0 is taken as 1.
    pub const fn whole(fps: u32) -> Self {
        Self { num: if fps == 0 { 1 } else { fps }, den: 1 }
    }

    /// As a decimal number, for people.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num) / f64::from(self.den)
    }
}

/// The video grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoGrid(pub FrameRate);

impl VideoGrid {
    /// When frame `n` belongs.
    pub fn time_of(self, n: i64) -> Media {
        scale(n, i128::from(self.0.den) * NANOS, i128::from(self.0.num))
    }

    /// The frame nearest to `time`.
    pub fn nearest(self, time: Media) -> i64 {
        unscale(time, i128::from(self.0.num), i128::from(self.0.den) * NANOS)
    }

    /// The last frame at or before `time`.
    pub fn at_or_before(self, time: Media) -> i64 {
        let n = self.nearest(time);
        if self.time_of(n) > time { n - 1 } else { n }
    }

    /// One frame interval, to the nanosecond below.
    pub fn interval(self) -> Media {
        self.time_of(1)
    }
}

/// The audio grid: access units of a fixed number of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AudioGrid {
    /// Samples per access unit: 1024 for AAC-LC, 960 for 20 ms Opus.
    pub samples: u32,
    /// Samples per second; 48 000 throughout the box.
    pub rate: u32,
}

impl AudioGrid {
    /// AAC-LC at 48 kHz.
    pub const AAC: Self = Self { samples: 1024, rate: 48_000 };
    /// Opus at 48 kHz, 20 ms.
    pub const OPUS: Self = Self { samples: 960, rate: 48_000 };

    /// When unit `k` belongs.
    pub fn time_of(self, k: i64) -> Media {
        scale(k, i128::from(self.samples) * NANOS, i128::from(self.rate))
    }

    /// The unit nearest to `time`.
    pub fn nearest(self, time: Media) -> i64 {
        unscale(time, i128::from(self.rate), i128::from(self.samples) * NANOS)
    }

    /// The last unit that starts at or before `time`.
    pub fn at_or_before(self, time: Media) -> i64 {
        let k = self.nearest(time);
        if self.time_of(k) > time { k - 1 } else { k }
    }

    /// The length of one unit, to the nanosecond below.
    pub fn interval(self) -> Media {
        self.time_of(1)
    }
}

const NANOS: i128 = 1_000_000_000;

fn scale(n: i64, num: i128, den: i128) -> Media {
    Media(i64::try_from((i128::from(n) * num).div_euclid(den)).unwrap_or(i64::MAX))
}

fn unscale(time: Media, num: i128, den: i128) -> i64 {
    i64::try_from((i128::from(time.0) * num * 2 + den).div_euclid(den * 2)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_index_survives_the_trip_through_time() {
        let ntsc = VideoGrid(FrameRate { num: 60_000, den: 1001 });
        for n in (0..100_000_000i64).step_by(9973).chain([-5, -1, 0, 1]) {
            assert_eq!(ntsc.nearest(ntsc.time_of(n)), n);
            assert_eq!(AudioGrid::AAC.nearest(AudioGrid::AAC.time_of(n)), n);
            assert_eq!(AudioGrid::OPUS.at_or_before(AudioGrid::OPUS.time_of(n)), n);
        }
    }

    #[test]
    fn the_audio_grid_meets_the_second_every_375_aac_units() {
        assert_eq!(AudioGrid::AAC.time_of(375), Media::from_millis(8000));
    }
}
