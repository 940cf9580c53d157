//! How many pictures a publisher sends a second. Tags do not say it: `onMetaData` may, and the times of the first few
//! pictures do, in whole milliseconds.

use crate::model::{FrameRate, Media};
use crate::mux::rates;

/// Pictures that are looked at, as in transport streams.
pub(super) const LOOK_AT: usize = 4;
/// A time stamp is rounded, so a step between two is up to this much off, nanoseconds.
const TICK: i64 = 1_000_000;
/// Where nothing can be told.
const UNKNOWN: FrameRate = FrameRate::whole(30);

/// The frame rate of one stream, being found.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: Vec<Media>,
    known: Option<FrameRate>,
}

impl Pace {
    /// The rate once it is known; it stays what it is.
    pub(super) const fn known(&self) -> Option<FrameRate> {
        self.known
    }

    /// A picture belongs at `dts`; `said` is what the publisher says of its rate.
    pub(super) fn see(&mut self, dts: Media, said: Option<FrameRate>) {
        if self.known.is_some() {
            return;
        }
        self.seen.push(dts);
        if self.seen.len() >= LOOK_AT {
            self.known = Some(self.guess(said));
            self.seen = Vec::new();
        }
    }

    /// Times start anew; what is known remains.
    pub(super) fn restart(&mut self) {
        self.seen.clear();
    }

    /// What can be told by now.
    pub(super) fn guess(&self, said: Option<FrameRate>) -> FrameRate {
        if let Some(known) = self.known {
            return known;
        }
        let Some(counted) = self.counted() else { return said.unwrap_or(UNKNOWN) };
        match said {
            Some(said) if counted.allows(said) => said,
            Some(_) | None => counted.rate(),
        }
    }

    /// Measured by the shortest step, of which a longer one, with a lost picture in it, is a multiple.
    fn counted(&self) -> Option<Counted> {
        let steps = self.seen.windows(2).map(|pair| (pair[1] - pair[0]).0).filter(|step| *step > 0);
        let shortest = steps.clone().min()?;
        let (mut sum, mut frames, mut count) = (0i64, 0i64, 0);
        for step in steps {
            sum = sum.saturating_add(step);
            frames = frames.saturating_add(step.saturating_add(shortest / 2) / shortest);
            count += 1;
        }
        let frames = frames.max(1);
        Some(Counted { step: sum / frames, mean: sum / count, off: TICK / frames })
    }
}

/// How far apart pictures are, nanoseconds.
struct Counted {
    step: i64,
    /// If none of them was lost.
    mean: i64,
    /// By how much `step` may be off because of rounding.
    off: i64,
}

impl Counted {
    /// What a publisher says is believed where it is as near as jitter can make it: phones send pictures when they have them.
    fn allows(&self, said: FrameRate) -> bool {
        let step = 1_000_000_000 * i64::from(said.den) / i64::from(said.num.max(1));
        let is_near = |counted: i64| step.saturating_sub(counted).abs() <= TICK + counted / 4;
        is_near(self.step) || is_near(self.mean)
    }

    fn rate(&self) -> FrameRate {
        rates::within(self.step, self.off).unwrap_or_else(|| {
            let rounded = (1_000_000_000 + self.step / 2) / self.step.max(1);
            FrameRate::whole(u32::try_from(rounded).unwrap_or(1).min(1000))
        })
    }
}

/// A rate as `onMetaData` says it: a number with some decimals. `None` for what no camera does.
pub fn rate_of(said: f64) -> Option<FrameRate> {
    if !(1.0..=240.0).contains(&said) {
        return None;
    }
    // 29.97 is 10 ppm from what is meant, and 1000 ppm from 30.
    let near = |rate: &FrameRate| (rate.as_f64() - said).abs() < said * 3e-4;
    let exact = FrameRate { num: (said * 1000.0).round() as u32, den: 1000 };
    let whole = FrameRate::whole(said.round() as u32);
    Some(rates::USUAL.into_iter().find(near).or(Some(whole).filter(near)).unwrap_or(exact))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::VideoGrid;

    fn found(times: impl IntoIterator<Item = i64>, said: Option<FrameRate>) -> Option<FrameRate> {
        let mut pace = Pace::default();
        times.into_iter().for_each(|ms| pace.see(Media::from_millis(ms), said));
        pace.known()
    }

    fn stamps(rate: FrameRate, frames: [i64; 4]) -> [i64; 4] {
        frames.map(|n| VideoGrid(rate).time_of(n).to_ticks(1000))
    }

    #[test]
    fn whole_rates_are_counted_from_milliseconds_wherever_they_begin_and_with_a_picture_missing() {
        for fps in [24, 25, 30, 50, 60, 100, 120] {
            let rate = FrameRate::whole(fps);
            for first in 0..200 {
                for frames in [[0, 1, 2, 3], [0, 1, 3, 4]].map(|f| f.map(|n| first + n)) {
                    assert_eq!(found(stamps(rate, frames), None), Some(rate), "from {frames:?}");
                }
            }
        }
    }

    #[test]
    fn what_the_publisher_says_decides_where_it_can_be_true() {
        for said in rates::USUAL {
            assert_eq!(found(stamps(said, [7, 8, 9, 10]), Some(said)), Some(said));
        }
        let ntsc = FrameRate { num: 30_000, den: 1001 };
        assert_eq!(found([0, 40, 58, 99], Some(ntsc)), Some(ntsc), "jitter");
        assert_eq!(found([0, 17, 33, 50], Some(FrameRate::whole(30))), Some(FrameRate::whole(60)), "half the truth");
    }

    #[test]
    fn an_unusual_rate_is_rounded_and_none_at_all_is_30() {
        assert_eq!(found([0, 67, 133, 200], None), Some(FrameRate::whole(15)));
        assert_eq!(found([0, 3000, 6000, 9000], None), Some(FrameRate::whole(1)));
        assert_eq!(found([5; 4], None), Some(FrameRate::whole(30)));
        assert_eq!(found([0, 40, 80], None), None, "three tell nothing for certain");
    }

    #[test]
    fn decimals_of_metadata_become_fractions() {
        let rate = |num, den| Some(FrameRate { num, den });
        for (said, meant) in [
            (29.97, rate(30_000, 1001)),
            (29.970_029, rate(30_000, 1001)),
            (30.0, rate(30, 1)),
            (59.94, rate(60_000, 1001)),
            (23.976, rate(24_000, 1001)),
            (15.0, rate(15, 1)),
            (12.5, rate(12_500, 1000)),
            (0.0, None),
            (f64::NAN, None),
            (1000.0, None),
            (-30.0, None),
        ] {
            assert_eq!(rate_of(said), meant, "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_times_give_a_rate(times: [i64; 4], said: f64) {
            let mut pace = Pace::default();
            times.into_iter().for_each(|t| pace.see(Media(t), rate_of(said)));
            let rate = pace.known().unwrap();
            prop_assert!(rate.num > 0 && rate.den > 0);
        }
    }
}
