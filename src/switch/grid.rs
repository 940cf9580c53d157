//! The grid of one stream, and where all grids meet.

use crate::model::{AudioGrid, Codec, FrameRate, Media, VideoGrid};

/// The places of one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grid {
    Video(VideoGrid),
    Audio(AudioGrid),
}

impl Grid {
    pub(super) fn of(codec: Codec, rate: FrameRate) -> Self {
        match codec {
            Codec::H264 | Codec::Hevc | Codec::Av1 => Self::Video(VideoGrid(rate)),
            Codec::Aac => Self::Audio(AudioGrid::AAC),
            Codec::Opus => Self::Audio(AudioGrid::OPUS),
        }
    }

    pub(super) fn time_of(self, place: i64) -> Media {
        match self {
            Self::Video(grid) => grid.time_of(place),
            Self::Audio(grid) => grid.time_of(place),
        }
    }

    pub(super) fn nearest(self, time: Media) -> i64 {
        match self {
            Self::Video(grid) => grid.nearest(time),
            Self::Audio(grid) => grid.nearest(time),
        }
    }

    pub(super) fn at_or_before(self, time: Media) -> i64 {
        match self {
            Self::Video(grid) => grid.at_or_before(time),
            Self::Audio(grid) => grid.at_or_before(time),
        }
    }

    pub(super) fn at_or_after(self, time: Media) -> i64 {
        let place = self.at_or_before(time);
        if self.time_of(place) < time { place + 1 } else { place }
    }

    pub(super) fn interval(self) -> Media {
        self.time_of(1)
    }
}

/// The shortest time after which the video grid of `rate`, the AAC grid and the Opus grid meet again. Moving all three by
/// a multiple of it moves each onto itself: 1.6 s at 30 and 60 fps, 0.32 s at 25 and 50, 320.32 s at 29.97.
///
/// It is a whole number of nanoseconds, being a multiple of Opus's 20 ms, so times move without rounding too.
pub(super) fn grids_meet_every(rate: FrameRate) -> Media {
    let (num, den) = (i128::from(rate.num.max(1)), i128::from(rate.den.max(1)));
    let common = gcd(num, den);
    let (num, den) = (num / common, den / common);
    // In units of 1 / (6000 · num) s: a frame is 6000 · den, an AAC unit (8/375 s) 128 · num, an Opus packet 120 · num.
    let units = lcm(6000 * den, lcm(128 * num, 120 * num));
    Media(i64::try_from(units * 1_000_000_000 / (6000 * num)).unwrap_or(i64::MAX))
}

fn gcd(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn lcm(a: i128, b: i128) -> i128 {
    a / gcd(a, b) * b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grids_meet_where_arithmetic_says() {
        assert_eq!(grids_meet_every(FrameRate::whole(30)), Media::from_millis(1600));
        assert_eq!(grids_meet_every(FrameRate::whole(60)), Media::from_millis(1600));
        assert_eq!(grids_meet_every(FrameRate::whole(25)), Media::from_millis(320));
        assert_eq!(grids_meet_every(FrameRate { num: 60, den: 2 }), Media::from_millis(1600));
        assert_eq!(grids_meet_every(FrameRate { num: 30_000, den: 1001 }), Media::from_millis(320_320));
    }

    #[test]
    fn moving_by_that_time_moves_every_place_onto_a_place() {
        for rate in [(24, 1), (24_000, 1001), (25, 1), (30, 1), (30_000, 1001), (50, 1), (60, 1), (60_000, 1001)] {
            let rate = FrameRate { num: rate.0, den: rate.1 };
            let shift = Media(grids_meet_every(rate).0 * 7);
            for codec in [Codec::H264, Codec::Aac, Codec::Opus] {
                let grid = Grid::of(codec, rate);
                for place in (0..200_000_000).step_by(9_999_991) {
                    let moved = grid.time_of(place) + shift;
                    assert_eq!(grid.time_of(grid.nearest(moved)), moved, "{codec:?} at {rate:?}, place {place}");
                }
            }
        }
    }
}
