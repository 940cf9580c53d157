//! Pure. When each picture is decoded. RTP says only when it is shown, and pictures come in the order in which they are
//! decoded; so the decoding times are the times of showing, sorted and late by as many pictures as may be reordered.
//!
//! ```text
//!   comes      I0   P4   B2   B1   B3   P8        two pictures at most are decoded before one that is shown earlier
//!   shown       0    4    2    1    3    8
//!   decoded    -2   -1    0    1    2    3
//! ```
//!
//! *Invariant:* a picture is not decoded after it is shown, nor before the one that came before it, unless it says that
//! time begins anew. Nothing waits.

use std::collections::VecDeque;

use crate::model::Media;

/// The most that H.264 (`max_num_reorder_frames`, §E.2.1) and HEVC (§7.4.3.2.1) allow.
const DEEPEST: usize = 16;

/// The decoding times of one stream.
#[derive(Debug)]
pub(super) struct Order {
    /// How many pictures at most are decoded before one that is shown earlier.
    depth: usize,
    /// One picture, where there is nothing else to go by.
    step: Media,
    /// The latest `depth + 1` times of showing, ascending. Empty before the first picture.
    latest: Vec<Media>,
    /// The last times of showing, as they came.
    past: VecDeque<Media>,
    /// When the last picture was decoded.
    decoded: Option<Media>,
}

/// A picture's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) dts: Media,
    /// It was more out of order than was known, so that no time would have done: this one is not comparable with those
    /// before.
    pub(super) anew: bool,
}

impl Order {
    pub(super) fn new(depth: u8, step: Media) -> Self {
        let depth = usize::from(depth).min(DEEPEST);
        Self { depth, step, latest: Vec::new(), past: VecDeque::new(), decoded: None }
    }

    /// Begins again with the next picture: with another depth, or because the times of showing jumped.
    pub(super) fn restart(&mut self, depth: Option<u8>) {
        if let Some(depth) = depth {
            self.depth = usize::from(depth).min(DEEPEST);
        }
        self.latest.clear();
        self.past.clear();
    }

    /// The next picture is shown at `pts`.
    pub(super) fn push(&mut self, pts: Media) -> Decoded {
        self.insert(pts);
        let first = self.latest.first().copied().unwrap_or(pts);
        let dts = self.decoded.map_or(first, |before| before.max(first));
        let place = if dts <= pts { Decoded { dts, anew: false } } else { self.deepen(pts) };
        if self.past.len() == DEEPEST {
            self.past.pop_front();
        }
        self.past.push_back(pts);
        self.decoded = Some(place.dts);
        place
    }

    fn insert(&mut self, pts: Media) {
        if self.latest.is_empty() {
            self.fill(pts);
        }
        let place = self.latest.partition_point(|other| *other <= pts);
        self.latest.insert(place, pts);
        let excess = self.latest.len().saturating_sub(self.depth + 1);
        self.latest.drain(..excess);
    }

    /// Puts in what would have been shown before `pts`.
    fn fill(&mut self, pts: Media) {
        let mut at = pts;
        while self.latest.len() < self.depth {
            at = at - self.step;
            let at = self.decoded.map_or(at, |decoded| at.max(decoded.min(pts)));
            self.latest.insert(0, at);
        }
    }

    /// The picture is shown before the last one was decoded, so more of them are reordered than was known.
    fn deepen(&mut self, pts: Media) -> Decoded {
        let later = self.past.iter().filter(|time| **time > pts).count();
        self.depth = later.max(self.depth + 1).min(DEEPEST);
        self.decoded = None;
        self.latest = self.past.iter().copied().filter(|time| *time > pts).collect();
        self.latest.sort_unstable();
        let excess = self.latest.len().saturating_sub(self.depth);
        self.latest.drain(..excess);
        self.fill(pts);
        self.insert(pts);
        let first = self.latest.first().copied().unwrap_or(pts);
        Decoded { dts: first.min(pts), anew: true }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: Media = Media::from_millis(40);

    fn frames(times: &[i64]) -> Vec<Media> {
        times.iter().map(|n| Media::from_millis(40 * n)).collect()
    }

    fn decode(order: &mut Order, shown: &[i64]) -> Vec<(i64, bool)> {
        let places = frames(shown).into_iter().map(|pts| order.push(pts));
        places.map(|place| (place.dts.0.div_euclid(STEP.0), place.anew)).collect()
    }

    fn steady(times: std::ops::Range<i64>) -> Vec<(i64, bool)> {
        times.map(|n| (n, false)).collect()
    }

    #[test]
    fn pictures_in_order_are_decoded_when_they_are_shown() {
        assert_eq!(decode(&mut Order::new(0, STEP), &[7, 8, 9, 12, 13]), [7, 8, 9, 12, 13].map(|n| (n, false)));
    }

    #[test]
    fn reordered_pictures_are_decoded_as_long_before_as_the_stream_says() {
        let pyramid = [0, 4, 2, 1, 3, 8, 6, 5, 7, 9];
        assert_eq!(decode(&mut Order::new(2, STEP), &pyramid), steady(-2..8));
        let plain = [0, 3, 1, 2, 6, 4, 5];
        assert_eq!(decode(&mut Order::new(1, STEP), &plain), steady(-1..6));
    }

    #[test]
    fn a_stream_that_does_not_say_is_found_out_once() {
        let shown = [0, 1, 2, 6, 4, 3, 5, 10, 8, 7, 9];
        let got = decode(&mut Order::new(0, STEP), &shown);
        assert_eq!(got.iter().filter(|(_, anew)| *anew).count(), 2, "{got:?}: when 4 comes after 6, and 3 after that");
        assert_eq!(got[6..], steady(4..9), "from then on as if it had been known");
    }

    #[test]
    fn a_key_picture_with_other_parameters_begins_with_another_depth_and_time_goes_on() {
        let mut order = Order::new(2, STEP);
        assert_eq!(decode(&mut order, &[0, 4, 2, 1, 3]), steady(-2..3));
        order.restart(Some(0));
        assert_eq!(decode(&mut order, &[5, 6]), steady(5..7));
        order.restart(Some(2));
        assert_eq!(decode(&mut order, &[7, 11, 9, 8, 10]), [6, 6, 7, 8, 9].map(|n| (n, false)));
    }

    #[test]
    fn times_that_cannot_be_do_no_harm() {
        let mut order = Order::new(16, Media(i64::MAX));
        for pts in [i64::MAX, i64::MIN, 0, 0, i64::MIN, i64::MAX, i64::MIN + 1] {
            let place = order.push(Media(pts));
            assert!(place.dts.0 <= pts);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_decoded_after_it_is_shown_nor_before_its_forerunner(
            depth in 0u8..=20,
            times in prop::collection::vec(-200i64..200, 1..200),
            restarts in prop::collection::vec(0usize..40, 0..4),
        ) {
            let mut order = Order::new(depth, STEP);
            let mut before = Media(i64::MIN);
            for (n, pts) in frames(&times).into_iter().enumerate() {
                if restarts.contains(&n) {
                    order.restart((n % 2 == 0).then_some(depth / 2));
                }
                let place = order.push(pts);
                prop_assert!(place.dts <= pts);
                prop_assert!(place.anew || place.dts >= before, "{:?} after {:?}", place, before);
                before = place.dts;
                prop_assert!(order.latest.len() <= DEEPEST + 1 && order.past.len() <= DEEPEST);
            }
        }

        #[test]
        fn a_reordering_that_was_said_never_begins_anew(depth in 0u8..=16, seed: u64) {
            // Pictures are held back at random, none by more than `depth`.
            let mut chance = seed;
            let mut next = |most: usize| {
                chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (chance >> 33) as usize % (most + 1)
            };
            let mut held: Vec<(i64, usize)> = Vec::new();
            let mut came = vec![0];
            for n in 1..200 {
                held.push((n, next(depth.into())));
                // Whoever has waited as long as it may comes now.
                while let Some(at) = held.iter().position(|(_, patience)| *patience == 0) {
                    let (n, _) = held.remove(at);
                    came.push(n);
                    for (other, patience) in &mut held {
                        if *other < n {
                            *patience -= 1;
                        }
                    }
                }
            }
            let got = decode(&mut Order::new(depth, STEP), &came);
            prop_assert!(got.iter().all(|(_, anew)| !*anew));
        }
    }
}
