//! Frame rates that are met with: containers count in ticks of their own, and what they say is one of these, rounded.

use crate::model::FrameRate;

/// Slowest first.
pub(super) const USUAL: [FrameRate; 11] = [
    FrameRate { num: 24_000, den: 1001 },
    FrameRate::whole(24),
    FrameRate::whole(25),
    FrameRate { num: 30_000, den: 1001 },
    FrameRate::whole(30),
    FrameRate::whole(48),
    FrameRate::whole(50),
    FrameRate { num: 60_000, den: 1001 },
    FrameRate::whole(60),
    FrameRate::whole(100),
    FrameRate::whole(120),
];

/// The usual rate whose pictures are nearest to `step` apart, give or take `off`; nanoseconds.
pub(super) fn nearest(step: i64, off: i64) -> Option<FrameRate> {
    let by = |rate: &FrameRate| interval(rate).saturating_sub(step).abs();
    USUAL.into_iter().filter(|rate| by(rate) <= off).min_by_key(by)
}

/// The usual rate whose pictures are `step` apart, give or take `off`; nanoseconds. Of two that may be meant, the whole one.
pub(super) fn within(step: i64, off: i64) -> Option<FrameRate> {
    let by = |rate: &FrameRate| interval(rate).saturating_sub(step).abs();
    USUAL.into_iter().filter(|rate| by(rate) <= off).min_by_key(|rate| (rate.den, by(rate)))
}

/// Between two pictures, nanoseconds.
fn interval(rate: &FrameRate) -> i64 {
    1_000_000_000 * i64::from(rate.den) / i64::from(rate.num)
}
