//! Pure. Sound by sample number: what is written at a place is read from that place, and what was never written is
//! silence.

use std::collections::VecDeque;

use crate::model::Media;

/// One stereo sample, -1 to 1.
pub type Sample = [f32; 2];

/// Samples per second throughout the box.
pub const SAMPLE_RATE: u32 = 48_000;

/// When sample number `at` of the grid belongs.
pub fn time_of(at: i64) -> Media {
    Media(i64::try_from(i128::from(at) * 1_000_000_000 / i128::from(SAMPLE_RATE)).unwrap_or(0))
}

/// A bounded run of numbered samples.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    start: i64,
    samples: VecDeque<Sample>,
    lost: u64,
}

impl Tape {
    /// The most it holds: four seconds. Beyond that the oldest are lost and counted.
    pub const CAPACITY: usize = 4 * SAMPLE_RATE as usize;
    /// A place that is off by no more than this (2 ms) is the timestamps' rounding, and the sound goes on without a seam.
    const TOLERANCE: i64 = 96;

    /// The number after the last sample.
    pub fn end(&self) -> i64 {
        self.start.saturating_add(i64::try_from(self.samples.len()).unwrap_or(i64::MAX))
    }

    /// Samples in it.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Samples lost because nobody read them.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Appends `samples`, which begin at number `at`. A gap becomes silence, an overlap is left out.
    pub fn write(&mut self, at: i64, samples: &[Sample]) {
        let gap = at.saturating_sub(self.end());
        let mut from = 0;
        if self.samples.is_empty() || usize::try_from(gap).is_ok_and(|gap| gap >= Self::CAPACITY) {
            self.samples.clear();
            self.start = at;
        } else if gap > Self::TOLERANCE {
            let silence = usize::try_from(gap).unwrap_or(0);
            self.samples.extend(std::iter::repeat_n([0.0; 2], silence));
        } else if gap < -Self::TOLERANCE {
            from = usize::try_from(gap.saturating_neg()).unwrap_or(usize::MAX).min(samples.len());
        }
        self.samples.extend(&samples[from..]);
        let excess = self.samples.len().saturating_sub(Self::CAPACITY);
        self.drop_front(excess);
        self.lost += excess as u64;
    }

    /// Fills `out` with the samples from number `at` on, silence where there are none; returns how many were there.
    /// Everything before the end of `out` is forgotten.
    pub fn read(&mut self, at: i64, out: &mut [Sample]) -> usize {
        out.fill([0.0; 2]);
        let old = usize::try_from(at.saturating_sub(self.start)).unwrap_or(0).min(self.samples.len());
        self.drop_front(old);
        let lead = usize::try_from(self.start.saturating_sub(at)).unwrap_or(0);
        let Some(rest) = out.get_mut(lead..) else { return 0 };
        let count = rest.len().min(self.samples.len());
        for (to, sample) in rest.iter_mut().zip(self.samples.drain(..count)) {
            *to = sample;
        }
        self.start = self.start.saturating_add(i64::try_from(count).unwrap_or(0));
        count
    }

    fn drop_front(&mut self, count: usize) {
        self.samples.drain(..count.min(self.samples.len()));
        self.start = self.start.saturating_add(i64::try_from(count).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp(from: i64, count: usize) -> Vec<Sample> {
        (0..count).map(|i| [(from as f32) + i as f32; 2]).collect()
    }

    #[test]
    fn what_is_written_at_a_place_is_read_from_it() {
        let mut tape = Tape::default();
        tape.write(1000, &ramp(1000, 500));
        tape.write(1500, &ramp(1500, 500));
        let mut out = [[9.0; 2]; 400];
        assert_eq!(tape.read(900, &mut out), 300);
        assert_eq!((out[99], out[100], out[399]), ([0.0; 2], [1000.0; 2], [1299.0; 2]));
        assert_eq!(tape.read(1300, &mut out), 400);
        assert_eq!(out[0], [1300.0; 2]);
        assert_eq!(tape.read(1700, &mut out), 300);
        assert_eq!((out[299], out[300]), ([1999.0; 2], [0.0; 2]));
    }

    #[test]
    fn a_gap_is_silence_an_overlap_is_left_out_and_rounding_leaves_no_seam() {
        let mut tape = Tape::default();
        tape.write(0, &ramp(0, 1000));
        tape.write(1003, &ramp(1000, 1000));
        assert_eq!(tape.end(), 2000, "three samples of rounding made a seam");
        tape.write(5000, &ramp(5000, 10));
        assert_eq!(tape.end(), 5010);
        tape.write(0, &ramp(0, 5020));
        assert_eq!(tape.end(), 5020);
        let mut out = [[0.0; 2]; 5020];
        assert_eq!(tape.read(0, &mut out), 5020);
        assert_eq!(
            (out[1999], out[2000], out[4999], out[5000], out[5019]),
            ([1999.0; 2], [0.0; 2], [0.0; 2], [5000.0; 2], [5019.0; 2])
        );
    }

    #[test]
    fn reading_elsewhere_moves_on_and_unread_sound_is_bounded() {
        let mut tape = Tape::default();
        for i in 0..10 {
            tape.write(i * 48_000, &ramp(0, 48_000));
        }
        assert_eq!((tape.len(), tape.lost()), (Tape::CAPACITY, 6 * 48_000));
        let mut out = [[0.0; 2]; 10];
        assert_eq!(tape.read(10_000_000, &mut out), 0);
        assert!(tape.is_empty());
        tape.write(i64::MAX - 5, &ramp(0, 3));
        assert_eq!(tape.read(i64::MIN, &mut out), 0, "extremes are only numbers");
    }
}
