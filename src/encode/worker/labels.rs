//! Pure. Which grid place an encoded packet of sound belongs to.
//!
//! An audio encoder is fed one unbroken run of samples and makes packets of a fixed number of them; its decoder gives the
//! sound back `delay` samples late. So the first sample fed is one that lies `delay` after a grid place `k`, and the
//! `j`th packet made is then exactly the sound of place `k + j`.
//!
//! ```text
//!   grid place       k           k+1          k+2
//!   samples    ──────┼────────────┼────────────┼────────
//!   fed                  ├─ packet 0 ─┼─ packet 1 ─┼─       delay →│ │←
//!   decoded          ├─ packet 0 ─┼─ packet 1 ─┼─
//! ```
//!
//! Samples that are given up (the machine was away for seconds) are a whole number of places, for every grid there is.

use std::collections::VecDeque;

use crate::model::AudioGrid;

/// Samples after which the AAC (1024) and the Opus (960) grid coincide; sound is only ever given up in multiples.
pub(super) const COMMON_SAMPLES: i64 = 15_360;

/// From packet `from` on, a packet's place is `by` further than its number and the earlier shifts say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shift {
    /// The first packet it holds for.
    pub(super) from: i64,
    /// Places.
    pub(super) by: i64,
}

/// The side that feeds samples.
#[derive(Clone, Debug)]
pub(super) struct Feeder {
    grid: AudioGrid,
    delay: i64,
    fed: i64,
    started: bool,
}

/// What to do with a block of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Feed {
    /// Samples at its beginning that come before the first place; leave them out. May be the whole block.
    pub(super) leave_out: usize,
    /// Samples fed before this block.
    pub(super) position: i64,
    /// To be told to the labeller before the block is fed.
    pub(super) shift: Option<Shift>,
}

impl Feeder {
    /// For an encoder whose decoder is `delay` samples late.
    pub(super) fn new(grid: AudioGrid, delay: u32) -> Self {
        Self { grid, delay: i64::from(delay), fed: 0, started: false }
    }

    /// A block of `length` samples that begins at sample number `at` of the clock. Blocks follow each other without a
    /// gap, except where [`given_up`](Self::given_up) was called.
    pub(super) fn block(&mut self, at: i64, length: usize) -> Feed {
        let unit = i64::from(self.grid.samples);
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let (mut leave_out, mut shift) = (0, None);
        if !self.started {
            let place = (at - self.delay + unit - 1).div_euclid(unit);
            leave_out = (place * unit + self.delay - at).min(length);
            if leave_out < length {
                self.started = true;
                shift = Some(Shift { from: 0, by: place });
            }
        }
        let position = self.fed;
        self.fed += length - leave_out;
        Feed { leave_out: usize::try_from(leave_out).unwrap_or(0), position, shift }
    }

    /// `samples`, a multiple of [`COMMON_SAMPLES`], will never come.
    pub(super) fn given_up(&mut self, samples: i64) -> Option<Shift> {
        let unit = i64::from(self.grid.samples);
        (self.started && samples > 0).then(|| Shift { from: (self.fed + unit - 1) / unit, by: samples / unit })
    }
}

/// The side that receives packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Labeller {
    made: i64,
    offset: i64,
    shifts: VecDeque<Shift>,
}

impl Labeller {
    /// What the feeder said.
    pub(super) fn shift(&mut self, shift: Shift) {
        self.shifts.push_back(shift);
    }

    /// The place of the next packet.
    pub(super) fn next_place(&mut self) -> i64 {
        while let Some(shift) = self.shifts.pop_front_if(|shift| shift.from <= self.made) {
            self.offset += shift.by;
        }
        self.made += 1;
        self.made - 1 + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An encoder: collects samples, makes a packet whenever it has enough, and its decoder is `delay` late. Returns
    /// for each packet its label and the number of the first sample it decodes to.
    fn encode(grid: AudioGrid, delay: u32, blocks: impl Iterator<Item = (i64, i64)>) -> Vec<(i64, i64)> {
        let (mut feeder, mut labeller) = (Feeder::new(grid, delay), Labeller::default());
        let (mut fed, mut made, mut expected) = (Vec::new(), Vec::new(), None);
        for (at, length) in blocks {
            if let Some(skipped) = expected.map(|e| at - e).filter(|s| *s > 0) {
                feeder.given_up(skipped).into_iter().for_each(|s| labeller.shift(s));
            }
            expected = Some(at + length);
            let feed = feeder.block(at, usize::try_from(length).unwrap_or(0));
            feed.shift.into_iter().for_each(|s| labeller.shift(s));
            assert_eq!(feed.position, i64::try_from(fed.len()).unwrap_or(0));
            fed.extend((at..at + length).skip(feed.leave_out));
            let unit = grid.samples as usize;
            while fed.len() >= (made.len() + 1) * unit {
                made.push((labeller.next_place(), fed[made.len() * unit] - i64::from(delay)));
            }
        }
        made
    }

    #[test]
    fn a_packet_decodes_to_exactly_the_samples_of_its_place() {
        for (grid, delay) in [(AudioGrid::AAC, 1024), (AudioGrid::AAC, 1600), (AudioGrid::OPUS, 312)] {
            for start in [0, 1, 479, 480, 1_000_000_007, 48_000 * 86_400 * 365] {
                let made = encode(grid, delay, (0..200).map(|b| (start + b * 480, 480)));
                assert!(made.len() > 80);
                for (i, (label, first)) in made.iter().enumerate() {
                    assert_eq!(*first, label * i64::from(grid.samples), "delay {delay}, start {start}");
                    assert_eq!(*label, made[0].0 + i64::try_from(i).unwrap_or(0));
                }
            }
        }
    }

    #[test]
    fn places_that_were_given_up_are_skipped_in_the_labels_too() {
        for (grid, delay) in [(AudioGrid::AAC, 1024), (AudioGrid::OPUS, 312)] {
            let gap = 3 * COMMON_SAMPLES;
            let blocks = (0..100).map(|b| (b * 480, 480)).chain((100..200).map(|b| (b * 480 + gap, 480)));
            let made = encode(grid, delay, blocks);
            let wrong = made.iter().filter(|(label, first)| *first != label * i64::from(grid.samples)).count();
            assert!(wrong <= 1, "only the packet that straddles the gap may begin before it: {wrong}");
            let (first, last) = (made.first().map_or(0, |m| m.0), made.last().map_or(0, |m| m.0));
            assert_eq!(last - first + 1, i64::try_from(made.len()).unwrap_or(0) + gap / i64::from(grid.samples));
        }
    }
}
