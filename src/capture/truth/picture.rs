//! Pure. What one picture is like, and how it differs from the one that is kept.
//!
//! The kept picture is not the previous one but the last that was clearly another. A scene that moves a little from picture
//! to picture moves far away from it in time, while a codec's noise stays where it is.
//!
//! ```text
//!   every picture: rows 4, 12, 20 …      black, mean level, difference from the kept rows
//!      │ differs ──► these rows are kept; the others are forgotten
//!      └ does not ─► of every other picture two more rows of each block, in turn: kept if forgotten, else compared too
//! ```
//!
//! So every block of 16x16 is looked at in every picture, and every row of a still one within twenty-eight. A single row of
//! a block would cost less and see as much, but a codec's noise is too large in sixteen pixels. Rows are copied into memory
//! of our own, since capture buffers belong to drivers, who have few. What is lower than eight rows, lies between those of every
//! picture and is another one in each second picture only may be missed; nothing else of the picture may move for that.
//!
//! *Invariant:* no size, stride or content makes this panic, and it keeps at most one picture's luma.

use std::ops::Range;

use crate::model::{BlackLimits, FrozenLimits};

/// A block's sides, pixels.
const BLOCK: usize = 16;
/// Which of a block's rows are looked at in every picture: this one …
const FIRST: usize = 4;
/// … and the one so much below. In between is the smallest height that is seen at once.
const STEP: usize = 8;
/// Pixels that are summed up at once: as many as one's count fits in a byte and sum in 16 bits.
const RUN: usize = 128;
/// Pictures that are less black than this have no need to be searched for what is lit.
const NEARLY_BLACK: f32 = 0.9;

/// The luma of a picture, 8 bits each: the first plane of I420 or NV12.
#[derive(Clone, Copy, Debug)]
pub struct Luma<'a> {
    bytes: &'a [u8],
    stride: usize,
    width: usize,
    height: usize,
}

impl<'a> Luma<'a> {
    /// Rows of `width` pixels begin every `stride` bytes; `None` if `bytes` does not hold `height` of them.
    pub fn new(bytes: &'a [u8], stride: usize, width: usize, height: usize) -> Option<Self> {
        let before_last = height.checked_sub(1)?.checked_mul(stride)?;
        let holds = width > 0 && width <= stride && before_last.checked_add(width)? <= bytes.len();
        holds.then_some(Self { bytes, stride, width, height })
    }

    fn row(&self, y: usize) -> &'a [u8] {
        self.bytes.get(y * self.stride..).and_then(|rest| rest.get(..self.width)).unwrap_or_default()
    }
}

/// How a picture differs from the one that is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Change {
    /// Mean absolute difference as a part of the full range, 0 to 1.
    pub mean: f32,
    /// The largest mean absolute difference of a block of 16x16, in levels, 0 to 255. When it is clear that it is another
    /// picture no larger one is looked for.
    pub block: f32,
}

impl Change {
    /// Whether it is another picture. `times` makes the limits so much wider.
    pub fn exceeds(self, limits: &FrozenLimits, times: f32) -> bool {
        self.mean > limits.mean * times || self.block > limits.block * times
    }
}

/// What was measured of one picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// Against the one that is kept; `None` for the first, and after a change of size.
    pub change: Option<Change>,
    /// The black pixels' share, 0 to 1.
    pub black: f32,
    /// Mean level, 0 to 255.
    pub level: f32,
    /// The highest mean level of a block of 16x16, 0 to 255; looked for only in pictures that are nearly black.
    pub brightest: Option<f32>,
}

/// Measures one source's pictures, one after the other.
#[derive(Clone, Debug)]
pub struct Meter {
    frozen: FrozenLimits,
    black: BlackLimits,
    size: (usize, usize),
    kept: Vec<u8>,
    /// Which rows of the kept picture are there, by their place among [`STEP`].
    there: [bool; STEP],
    turn: usize,
}

impl Meter {
    /// By these limits a picture is another one, and a pixel black.
    pub fn new(frozen: &FrozenLimits, black: &BlackLimits) -> Self {
        Self {
            frozen: frozen.clone(),
            black: black.clone(),
            size: (0, 0),
            kept: Vec::new(),
            there: [false; STEP],
            turn: 0,
        }
    }

    /// The next picture.
    pub fn measure(&mut self, picture: Luma<'_>) -> Measure {
        let first = FIRST.min(picture.height - 1);
        let has_another_size = self.resize(picture);
        let mut light = Light { level: self.black.level, ..Light::default() };
        let change = self.compare(picture, first, |run| light.add(run));
        let change = (!has_another_size).then_some(change);
        let change = match change {
            Some(change) if !change.exceeds(&self.frozen, 1.0) => Some(self.look_closer(picture, change, first)),
            Some(_) | None => change,
        };
        if change.is_none_or(|change| change.exceeds(&self.frozen, 1.0)) {
            self.there = [false; STEP];
            self.keep(picture, first);
        }
        let (black, level) = light.shares();
        let brightest = (black >= NEARLY_BLACK).then(|| if black < 1.0 { self.brightest(picture, first) } else { 0.0 });
        Measure { change, black, level, brightest }
    }

    /// Whether this picture is of another size than the last, and nothing is kept of it.
    fn resize(&mut self, picture: Luma<'_>) -> bool {
        let size = (picture.width, picture.height);
        if self.size == size {
            return false;
        }
        self.size = size;
        self.kept.clear();
        self.kept.resize(picture.width * picture.height.next_multiple_of(STEP), 0);
        true
    }

    /// At the next of the other rows of a picture that does not differ in the first ones; at those of every other picture, since
    /// they cost as much again.
    fn look_closer(&mut self, picture: Luma<'_>, change: Change, first: usize) -> Change {
        self.turn = (self.turn + 1) % (2 * (STEP - 1));
        if self.turn.is_multiple_of(2) {
            return change;
        }
        let other = (first + 1 + self.turn / 2) % STEP;
        if !self.there[other] {
            self.there[other] = true;
            self.keep(picture, other);
            return change;
        }
        let other = self.compare(picture, other, |_| ());
        Change { mean: f32::midpoint(change.mean, other.mean), block: change.block.max(other.block) }
    }

    fn keep(&mut self, picture: Luma<'_>, first: usize) {
        for y in (first..picture.height).step_by(STEP) {
            if let Some(kept) = self.kept.get_mut(place(picture, y)) {
                kept.copy_from_slice(picture.row(y));
            }
        }
    }

    /// The rows from `first` on, [`STEP`] apart. Hands each run to `see` on the way, while it is
    /// in the processor's cache.
    fn compare(&self, picture: Luma<'_>, first: usize, mut see: impl FnMut(&[u8])) -> Change {
        let kept = |y: usize| self.kept.get(place(picture, y)).unwrap_or_default();
        let pixels = ((picture.height - first.min(picture.height)).div_ceil(STEP) * picture.width).max(1);
        let limits = &self.frozen;
        // Beyond these there is no more to find out.
        let settled = limits.block * limits.ends_at;
        let sum_settled = (limits.mean * limits.ends_at * 255.0 * pixels as f32) as u64;
        let (mut sum, mut block) = (0u64, 0.0f32);
        for top in (first..picture.height).step_by(BLOCK) {
            // A block has one or two of these rows.
            let below = Some(top + STEP).filter(|y| *y < picture.height);
            let upper = picture.row(top).chunks(RUN).zip(kept(top).chunks(RUN));
            let mut lower = below.map(|y| picture.row(y).chunks(RUN).zip(kept(y).chunks(RUN)));
            for upper in upper {
                let lower = lower.as_mut().and_then(Iterator::next).unwrap_or_default();
                see(upper.0);
                see(lower.0);
                let of_run = difference(upper) + difference(lower);
                let before = sum;
                sum += u64::from(of_run);
                // No block can differ by more than all of them together.
                let smallest = upper.0.len().min(BLOCK) + lower.0.len().min(BLOCK);
                if block <= settled && before <= sum_settled && of_run as f32 > block * smallest as f32 {
                    block = block.max(largest(upper, lower));
                }
            }
        }
        Change { mean: sum as f32 / (pixels as f32 * 255.0), block }
    }

    /// The highest mean level of a block. A run without a pixel that is not black is not worth its sums.
    fn brightest(&self, picture: Luma<'_>, first: usize) -> f32 {
        let is_lit = |run: &[u8]| run.iter().copied().fold(0, u8::max) > self.black.level;
        let mut brightest = 0.0f32;
        for top in (first..picture.height).step_by(BLOCK) {
            let upper = picture.row(top).chunks(RUN);
            let mut lower = Some(top + STEP).filter(|y| *y < picture.height).map(|y| picture.row(y).chunks(RUN));
            for upper in upper {
                let lower = lower.as_mut().and_then(Iterator::next).unwrap_or_default();
                if is_lit(upper) || is_lit(lower) {
                    let blocks = upper.chunks(BLOCK).enumerate().map(|(n, upper)| {
                        let lower = lower.get(n * BLOCK..n * BLOCK + upper.len()).unwrap_or_default();
                        let sum: u32 = upper.iter().chain(lower).map(|pixel| u32::from(*pixel)).sum();
                        sum as f32 / (upper.len() + lower.len()) as f32
                    });
                    brightest = blocks.fold(brightest, f32::max);
                }
            }
        }
        brightest
    }
}

/// Where row `y` is kept: beside those that are looked at together with it, so that memory is read in one go.
const fn place(picture: Luma<'_>, y: usize) -> Range<usize> {
    let row = y % STEP * picture.height.div_ceil(STEP) + y / STEP;
    row * picture.width..(row + 1) * picture.width
}

/// How dark what was seen is.
#[derive(Clone, Copy, Debug, Default)]
struct Light {
    /// Up to which a pixel is black.
    level: u8,
    black: u64,
    sum: u64,
    pixels: u64,
}

impl Light {
    #[inline]
    fn add(&mut self, run: &[u8]) {
        self.pixels += run.len() as u64;
        self.black += u64::from(run.iter().map(|pixel| u8::from(*pixel <= self.level)).sum::<u8>());
        self.sum += u64::from(run.iter().map(|pixel| u16::from(*pixel)).sum::<u16>());
    }

    /// The black pixels' share and the mean level.
    fn shares(&self) -> (f32, f32) {
        let pixels = self.pixels.max(1) as f32;
        (self.black as f32 / pixels, self.sum as f32 / pixels)
    }
}

/// The sum of absolute differences of two runs. In this form the compiler finds the instruction for it.
#[inline]
fn difference((now, kept): (&[u8], &[u8])) -> u32 {
    now.iter().zip(kept).map(|(a, b)| u32::from(a.abs_diff(*b))).sum()
}

/// The largest mean difference of a block among runs of two rows, the second of which may be empty. At the end of the runs
/// the last block overlaps the one before it.
fn largest(upper: (&[u8], &[u8]), lower: (&[u8], &[u8])) -> f32 {
    let pixels = upper.0.len().min(BLOCK) + lower.0.len().min(BLOCK);
    let mean = |sum: u32| sum as f32 / pixels.max(1) as f32;
    let (Some(upper_end), lower_end) = (last_block(upper), last_block(lower)) else {
        return mean(difference(upper) + difference(lower));
    };
    let (upper, lower) = (blocks(upper), blocks(lower));
    let mut most = of_block(upper_end) + lower_end.map_or(0, of_block);
    for (n, block) in upper.0.iter().zip(upper.1).enumerate() {
        let below = lower.0.get(n).zip(lower.1.get(n));
        most = most.max(of_block(block) + below.map_or(0, of_block));
    }
    mean(u32::from(most))
}

type Block<'a> = (&'a [u8; BLOCK], &'a [u8; BLOCK]);

fn blocks<'a>((now, kept): (&'a [u8], &'a [u8])) -> (&'a [[u8; BLOCK]], &'a [[u8; BLOCK]]) {
    (now.as_chunks().0, kept.as_chunks().0)
}

fn last_block<'a>((now, kept): (&'a [u8], &'a [u8])) -> Option<Block<'a>> {
    now.last_chunk().zip(kept.last_chunk())
}

/// The sum of a row of a block, in lanes as the compiler likes it.
#[inline]
fn of_block((now, kept): Block<'_>) -> u16 {
    let mut lanes = [0u16; BLOCK];
    for ((lane, now), kept) in lanes.iter_mut().zip(now).zip(kept) {
        *lane = u16::from(now.abs_diff(*kept));
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::TruthSettings;

    const WIDTH: usize = 640;
    const HEIGHT: usize = 360;

    fn meter() -> Meter {
        let TruthSettings { frozen, black, .. } = TruthSettings::CAPTURED;
        Meter::new(&frozen, &black)
    }

    fn flat(level: u8) -> Vec<u8> {
        vec![level; WIDTH * HEIGHT]
    }

    fn paint(picture: &mut [u8], (x, y): (usize, usize), (width, height): (usize, usize), level: u8) {
        for row in picture.chunks_mut(WIDTH).skip(y).take(height) {
            row[x..x + width].fill(level);
        }
    }

    fn measure(meter: &mut Meter, picture: &[u8]) -> Measure {
        meter.measure(Luma::new(picture, WIDTH, WIDTH, HEIGHT).unwrap())
    }

    #[test]
    fn the_same_picture_again_is_no_change_and_the_first_has_nothing_to_differ_from() {
        let (mut meter, picture) = (meter(), flat(100));
        assert_eq!(measure(&mut meter, &picture).change, None);
        for _ in 0..20 {
            assert_eq!(measure(&mut meter, &picture).change, Some(Change::default()));
        }
        assert_eq!(measure(&mut meter, &flat(101)).change, Some(Change { mean: 1.0 / 255.0, block: 1.0 }));
    }

    #[test]
    fn a_pointer_is_seen_wherever_it_is_though_the_mean_does_not_see_it() {
        for (x, y) in [(0, 0), (3, 5), (616, 348), (317, 171), (120, 9)] {
            let (mut meter, mut picture) = (meter(), flat(60));
            measure(&mut meter, &picture);
            paint(&mut picture, (x, y), (24, 12), 220);
            let change = measure(&mut meter, &picture).change.unwrap();
            assert!(change.mean < 0.002 && change.block > 10.0, "at {x},{y}: {change:?}");
        }
    }

    #[test]
    fn a_single_row_is_seen_within_twenty_eight_pictures() {
        for y in [0, 1, 2, 3, 5, 7, 200, 358, 359] {
            let (mut meter, mut picture) = (meter(), flat(60));
            for _ in 0..15 {
                measure(&mut meter, &picture);
            }
            paint(&mut picture, (300, y), (40, 1), 220);
            let seen = (0..14).any(|_| measure(&mut meter, &picture).change.unwrap().block > 10.0);
            assert!(seen, "row {y}");
        }
    }

    #[test]
    fn small_steps_add_up_until_they_are_a_change() {
        let mut meter = meter();
        let still = |m: Measure| m.change.is_some_and(|c| !c.exceeds(&TruthSettings::DECODED.frozen, 1.0));
        let mut decoded = Meter::new(&TruthSettings::DECODED.frozen, &TruthSettings::DECODED.black);
        let mut step = |level: u8| {
            let mut picture = flat(90);
            paint(&mut picture, (320, 160), (16, 16), level);
            (measure(&mut meter, &picture), measure(&mut decoded, &picture))
        };
        step(90);
        let moved = (1..30).map(|i| step(90 + i).1).filter(|m| !still(*m)).count();
        assert_eq!(moved, 1, "a level a picture, and 16 are borne");
    }

    #[test]
    fn whatever_alternates_from_picture_to_picture_is_never_still() {
        let mut meter = meter();
        for period in 2..20 {
            for n in 0..60 {
                let mut picture = flat(90);
                paint(&mut picture, (320, 160), (16, 8), if n % period == 0 { 200 } else { 20 });
                measure(&mut meter, &picture);
            }
            let changes = (60..60 + 2 * period).filter(|n| {
                let mut picture = flat(90);
                paint(&mut picture, (320, 160), (16, 8), if n % period == 0 { 200 } else { 20 });
                measure(&mut meter, &picture).change.unwrap().block > 10.0
            });
            assert!(changes.count() >= 3, "period {period}");
        }
    }

    #[test]
    fn black_is_by_count_and_what_is_lit_is_found() {
        let mut meter = meter();
        let mut picture = flat(16);
        let black = measure(&mut meter, &picture);
        assert_eq!((black.black, black.level, black.brightest), (1.0, 16.0, Some(0.0)));
        paint(&mut picture, (100, 100), (1, 8), 235);
        let hot = measure(&mut meter, &picture);
        assert!(hot.black > 0.999 && hot.brightest.unwrap() < 38.0, "a hot pixel is no light: {hot:?}");
        paint(&mut picture, (100, 100), (60, 16), 180);
        let logo = measure(&mut meter, &picture);
        assert!(logo.black > 0.98 && logo.brightest.unwrap() > 100.0, "{logo:?}");
        let grey = measure(&mut meter, &flat(39));
        assert_eq!((grey.black, grey.brightest), (0.0, None));
    }

    #[test]
    fn another_size_or_stride_begins_anew_or_changes_nothing() {
        let (mut meter, wide) = (meter(), vec![70; 2000 * HEIGHT]);
        let luma = |stride, width| Luma::new(&wide, stride, width, HEIGHT).unwrap();
        meter.measure(luma(1000, 640));
        assert_eq!(meter.measure(luma(2000, 640)).change, Some(Change::default()), "padding is not looked at");
        assert_eq!(meter.measure(luma(1000, 641)).change, None);
        assert_eq!(meter.kept.len(), 641 * HEIGHT);
    }

    #[test]
    fn what_does_not_hold_a_picture_is_refused() {
        let bytes = [0; 100];
        assert!(Luma::new(&bytes, 10, 10, 10).is_some());
        assert!(Luma::new(&bytes[..91], 10, 1, 10).is_some(), "the last row needs no padding");
        for (stride, width, height) in
            [(10, 10, 11), (9, 10, 10), (0, 0, 10), (10, 10, 0), (usize::MAX, 2, 3), (usize::MAX, usize::MAX, 2)]
        {
            assert!(Luma::new(&bytes, stride, width, height).is_none(), "{stride} {width} {height}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
        #[test]
        fn no_size_or_content_panics_and_all_is_within_its_range(
            pictures in prop::collection::vec((1usize..200, 1usize..40, 0usize..20, any::<u8>(), any::<u8>()), 1..12),
        ) {
            let mut meter = meter();
            for (width, height, padding, factor, offset) in pictures {
                let bytes: Vec<u8> =
                    (0..(width + padding) * height).map(|i| (i as u8).wrapping_mul(factor).wrapping_add(offset)).collect();
                for _ in 0..3 {
                    let m = meter.measure(Luma::new(&bytes, width + padding, width, height).unwrap());
                    let change = m.change.unwrap_or_default();
                    prop_assert!((0.0..=1.0).contains(&m.black) && (0.0..=255.0).contains(&m.level));
                    prop_assert!((0.0..=1.0).contains(&change.mean) && (0.0..=255.0).contains(&change.block));
                }
            }
        }

        /// One picture of every size: the block's mean as it is defined, and what the meter finds.
        #[test]
        fn the_largest_block_is_the_largest(width in 1usize..300, height in 5usize..40, seed in any::<u64>()) {
            let mut rng = fastrand::Rng::with_seed(seed);
            let before: Vec<u8> = (0..width * height).map(|_| rng.u8(0..250)).collect();
            let after: Vec<u8> = before.iter().map(|pixel| pixel + rng.u8(0..2) * rng.u8(0..5)).collect();
            let wide = FrozenLimits { mean: 1.0, block: 255.0, ..TruthSettings::CAPTURED.frozen };
            let mut meter = Meter::new(&wide, &TruthSettings::CAPTURED.black);
            meter.measure(Luma::new(&before, width, width, height).unwrap());
            let found = meter.compare(Luma::new(&after, width, width, height).unwrap(), FIRST, |_| ());
            let mut largest = 0.0f32;
            for top in (FIRST..height).step_by(BLOCK) {
                for run in (0..width).step_by(RUN) {
                    let end = (run + RUN).min(width);
                    for left in (run..end).step_by(BLOCK).map(|x| x.min(end.saturating_sub(BLOCK)).max(run)) {
                        let pixels: Vec<u8> = [top, top + STEP].iter().filter(|y| **y < height)
                            .flat_map(|y| (left..(left + BLOCK).min(end)).map(move |x| y * width + x))
                            .map(|at| after[at].abs_diff(before[at])).collect();
                        let mean = pixels.iter().map(|d| f32::from(*d)).sum::<f32>() / pixels.len() as f32;
                        largest = largest.max(mean);
                    }
                }
            }
            prop_assert!((found.block - largest).abs() < 0.001, "{found:?}, not {largest}");
        }
    }
}
