//! Sound of a source with a clock of its own, played at ours: a ring, and a resampler that takes a little more or less of it
//! than it gives.

use std::collections::VecDeque;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Adjustable, FixedAsync, Resampler, Slip};

use super::drift::{Drift, Step};
use super::tape::Sample;

/// Samples that are played at a time.
pub(super) const BLOCK: usize = 480;

/// See the module.
#[derive(Debug)]
pub(super) struct Stretch {
    ring: VecDeque<Sample>,
    drift: Drift,
    slip: Option<Slip<f32>>,
}

impl Stretch {
    /// Aims at `target` samples of what [`Self::play`] is told.
    pub(super) fn new(target: usize) -> Self {
        let slip = Slip::new(BLOCK, 2, FixedAsync::Output).ok();
        Self { ring: VecDeque::new(), drift: Drift::new(target), slip }
    }

    /// Samples that wait.
    pub(super) fn len(&self) -> usize {
        self.ring.len()
    }

    /// These come after what waits.
    pub(super) fn write(&mut self, samples: &[Sample]) {
        self.ring.extend(samples);
    }

    /// Nothing waits any more.
    pub(super) fn clear(&mut self) {
        self.ring.clear();
    }

    /// The next [`BLOCK`] samples, or silence. `fill` is what the controller keeps at its target, in samples: how many wait,
    /// or how late the first of them is.
    pub(super) fn play(&mut self, fill: usize, out: &mut [Sample]) {
        out.fill([0.0; 2]);
        let (Step::Play { ppm, discard }, Some(slip)) = (self.drift.step(fill, BLOCK), &mut self.slip) else {
            return;
        };
        self.ring.drain(..discard.min(self.ring.len()));
        // Output over input: to play slower is to make more of the same. Out of range it takes the nearest limit.
        let _ = slip.set_resample_ratio(1.0 + ppm / 1e6, false);
        let needed = slip.input_frames_next().min(self.ring.len());
        let taken: Vec<f32> = self.ring.drain(..needed).flatten().collect();
        let flat = out.as_flattened_mut();
        if let (Ok(from), Ok(mut to)) =
            (InterleavedSlice::new(&taken, 2, needed), InterleavedSlice::new_mut(flat, 2, BLOCK))
        {
            // Fewer samples than it asked for leave the block silent; the controller keeps that from happening.
            let _ = slip.process_into_buffer(&from, &mut to, None);
        }
    }

    /// The correction in force, parts per million.
    pub(super) fn ppm(&self) -> i32 {
        self.drift.ppm()
    }
}
