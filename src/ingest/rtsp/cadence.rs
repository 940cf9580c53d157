//! Pure. How many pictures there are a second, where neither the session's description nor the stream says so: read off
//! the times of the first few pictures, which wait until it is.

use crate::model::{FrameRate, Media};

/// Pictures that are looked at. With fewer, one lost picture would decide.
const LOOK_AT: usize = 4;
/// Rates that are met with.
const USUAL: [(u32, u32); 13] = [
    (10, 1),
    (15, 1),
    (24_000, 1001),
    (24, 1),
    (25, 1),
    (30_000, 1001),
    (30, 1),
    (48, 1),
    (50, 1),
    (60_000, 1001),
    (60, 1),
    (100, 1),
    (120, 1),
];
/// Frames per second that are believed. Cameras write anything into fields that nobody reads.
const BELIEVED: std::ops::RangeInclusive<f64> = 1.0..=240.0;

/// Makes a rate of what somebody says it is, frames per second; `None` if that cannot be.
pub(super) fn rate_said(num: u32, den: u32) -> Option<FrameRate> {
    let said = f64::from(num) / f64::from(den);
    if den == 0 || !BELIEVED.contains(&said) {
        return None;
    }
    let usual = USUAL.iter().map(|(num, den)| FrameRate { num: *num, den: *den });
    // Decimals: 29.97 is 30000/1001. Those rates are a thousandth apart.
    Some(usual.into_iter().find(|rate| (rate.as_f64() / said - 1.0).abs() < 2e-4).unwrap_or(FrameRate { num, den }))
}

/// The frame rate of one stream: known, or being found.
#[derive(Debug)]
pub(super) enum Cadence<T> {
    /// What waits, and when each is shown.
    Finding(Vec<(Media, T)>),
    Known(FrameRate),
}

impl<T> Cadence<T> {
    /// `rate` if it is known.
    pub(super) fn new(rate: Option<FrameRate>) -> Self {
        rate.map_or(Self::Finding(Vec::new()), Self::Known)
    }

    /// Takes a picture that is shown at `at`; gives back those that need not wait any more, in order, and the rate.
    pub(super) fn push(&mut self, at: Media, picture: T) -> Option<(Vec<T>, FrameRate)> {
        match self {
            Self::Known(rate) => Some((vec![picture], *rate)),
            Self::Finding(waiting) => {
                waiting.push((at, picture));
                if waiting.len() < LOOK_AT {
                    return None;
                }
                let waited = std::mem::take(waiting);
                let rate = rate_of(waited.iter().map(|(at, _)| *at).collect());
                *self = Self::Known(rate);
                Some((waited.into_iter().map(|(_, picture)| picture).collect(), rate))
            }
        }
    }
}

/// The rate at which pictures are shown at these times.
fn rate_of(mut times: Vec<Media>) -> FrameRate {
    times.sort_unstable();
    let steps = times.windows(2).filter_map(|pair| match pair {
        [a, b] => Some((*b - *a).0).filter(|step| *step > 0),
        _ => None,
    });
    // The shortest, since a picture may be missing, or still to come; the mean, since cameras stamp what their clock says.
    let mut steps: Vec<i64> = steps.collect();
    steps.sort_unstable();
    let Some(&shortest) = steps.first() else { return FrameRate::whole(30) };
    let alike = steps.iter().take_while(|step| **step <= shortest.saturating_add(shortest / 2));
    let (sum, count) = alike.fold((0i64, 0i64), |(sum, count), step| (sum.saturating_add(*step), count + 1));
    let step = sum / count.max(1);
    let usual = USUAL.iter().map(|(num, den)| FrameRate { num: *num, den: *den });
    let off = |rate: &FrameRate| (1_000_000_000 * i64::from(rate.den) / i64::from(rate.num) - step).abs();
    match usual.min_by_key(off) {
        // Within a tick of 90 kHz; or a clock that is read by software.
        Some(rate) if off(&rate) <= 12_000.max(step / 25) => rate,
        Some(_) | None => {
            FrameRate::whole(u32::try_from(1_000_000_000i64.saturating_add(step / 2) / step).unwrap_or(1).clamp(1, 240))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::VideoGrid;

    fn found(times: impl IntoIterator<Item = Media>) -> (Vec<Media>, FrameRate) {
        let mut cadence = Cadence::new(None);
        let (mut order, mut found) = (Vec::new(), FrameRate::whole(1));
        for at in times {
            if let Some((pictures, rate)) = cadence.push(at, at) {
                order.extend(pictures);
                found = rate;
            }
        }
        (order, found)
    }

    #[test]
    fn every_usual_rate_is_told_from_ticks_in_decoding_order_even_if_a_picture_is_missing() {
        for (num, den) in USUAL {
            let rate = FrameRate { num, den };
            let ticks = |n: i64| Media(VideoGrid(rate).time_of(n).to_ticks(90_000) * 100_000 / 9);
            for order in [[100, 101, 102, 103], [100, 104, 102, 101], [100, 101, 103, 104]] {
                let times = order.map(ticks);
                assert_eq!(found(times), (times.to_vec(), rate), "{order:?}");
            }
        }
    }

    #[test]
    fn a_camera_that_stamps_by_its_own_clock_has_the_rate_it_means() {
        assert_eq!(found([0, 41, 79, 121].map(Media::from_millis)).1, FrameRate::whole(25));
        assert_eq!(found([0, 66, 133, 200].map(Media::from_millis)).1, FrameRate::whole(15));
    }

    #[test]
    fn an_unusual_rate_is_rounded_and_none_at_all_is_30() {
        assert_eq!(found((0..4).map(|n| Media::from_millis(143 * n))).1, FrameRate::whole(7));
        assert_eq!(found((0..4).map(|n| Media::from_millis(3000 * n))).1, FrameRate::whole(1));
        assert_eq!(found([Media::ZERO; 4]).1, FrameRate::whole(30));
        assert_eq!(found([Media(i64::MIN), Media(i64::MAX), Media(0), Media(1)]).1, FrameRate::whole(240));
    }

    #[test]
    fn what_is_said_is_believed_within_reason() {
        assert_eq!(rate_said(2997, 100), Some(FrameRate { num: 30_000, den: 1001 }));
        assert_eq!(rate_said(50, 2), Some(FrameRate::whole(25)));
        assert_eq!(rate_said(12, 1), Some(FrameRate::whole(12)));
        for (num, den) in [(0, 1), (90_000, 1), (25, 0), (0, 0), (1, 90_000)] {
            assert_eq!(rate_said(num, den), None);
        }
    }

    #[test]
    fn nothing_waits_longer_than_for_the_first_four_and_not_at_all_where_the_rate_is_said() {
        assert!(found((0..3).map(|n| Media::from_millis(40 * n))).0.is_empty());
        assert_eq!(found((0..9).map(|n| Media::from_millis(40 * n))).0.len(), 9);
        assert!(Cadence::new(Some(FrameRate::whole(25))).push(Media::ZERO, ()).is_some());
    }
}
