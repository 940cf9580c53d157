//! Pure. Keeps a source that has a clock of its own in step with ours, by how full its buffer is.
//!
//! ```text
//!   Waiting ──target reached──► Running ──buffer empty──► Waiting
//!                                  └─ buffer over the limit: back to the target, loss counted
//! ```

/// What to do with the buffer before the next block is taken from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Play silence: the buffer is filling.
    Silence,
    /// Play, stretched by this many parts per million (positive: play slower, the buffer is running dry), after
    /// throwing away `discard` samples.
    Play {
        /// Parts per million.
        ppm: f64,
        /// Samples to throw away first.
        discard: usize,
    },
}

/// A proportional-integral controller on the smoothed fill level.
#[derive(Clone, Debug)]
pub struct Drift {
    target: usize,
    running: bool,
    smoothed: f64,
    integral: f64,
    ppm: f64,
    discarded: u64,
    underruns: u64,
}

impl Drift {
    /// The most it corrects. Sound cards are within 200 ppm; 1000 ppm cannot be heard as a change of pitch.
    pub const LIMIT_PPM: f64 = 1000.0;
    /// Blocks over which the fill level is averaged: two seconds of 10 ms blocks, longer than any block jitter.
    const SMOOTHING: f64 = 200.0;
    /// ppm for each sample off the target: an error shrinks to a third within a minute. Small, since the fill level of
    /// a drifting card saw-tooths by a whole period, and that must not be heard as wow.
    const PROPORTIONAL: f64 = 0.35;
    /// ppm for each sample off the target and each block, so that a constant drift leaves no error. Just below what
    /// would make the loop overshoot.
    const INTEGRAL: f64 = 0.000_012;
    /// Beyond the target plus this many samples (200 ms) the buffer is cut back at once.
    const EXCESS: usize = 9600;

    /// Aims at `target` samples in the buffer: more than the source delivers at once.
    pub fn new(target: usize) -> Self {
        Self { target, running: false, smoothed: 0.0, integral: 0.0, ppm: 0.0, discarded: 0, underruns: 0 }
    }

    /// Decides about the next block, with `fill` samples in the buffer of which the block takes about `block`.
    pub fn step(&mut self, fill: usize, block: usize) -> Step {
        if self.running && fill < block + block / 8 {
            self.running = false;
            self.underruns += 1;
        }
        if !self.running {
            if fill < self.target {
                return Step::Silence;
            }
            self.running = true;
            self.smoothed = 0.0;
        }
        let discard = if fill > self.target + Self::EXCESS { fill - self.target } else { 0 };
        self.discarded += discard as u64;
        if discard > 0 {
            self.smoothed = 0.0;
        }
        let error = (fill - discard) as f64 - self.target as f64;
        self.smoothed += (error - self.smoothed) / Self::SMOOTHING;
        self.integral = (self.integral + self.smoothed * Self::INTEGRAL).clamp(-Self::LIMIT_PPM, Self::LIMIT_PPM);
        self.ppm = -(self.smoothed * Self::PROPORTIONAL + self.integral);
        self.ppm = self.ppm.clamp(-Self::LIMIT_PPM, Self::LIMIT_PPM);
        Step::Play { ppm: self.ppm, discard }
    }

    /// The correction in force, parts per million.
    pub fn ppm(&self) -> i32 {
        // Within LIMIT_PPM, so the cast is exact.
        self.ppm.round() as i32
    }

    /// Samples thrown away to get back to the target.
    pub fn discarded(&self) -> u64 {
        self.discarded
    }

    /// Times the buffer ran dry.
    pub fn underruns(&self) -> u64 {
        self.underruns
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    /// A card off by `ppm` that hands over 10 ms periods with jitter; returns the controller, and from the last ten minutes
    /// the mean correction and the extremes of the fill.
    fn run(ppm: f64, minutes: u32) -> (Drift, f64, (usize, usize)) {
        let mut rng = fastrand::Rng::with_seed(1);
        let mut drift = Drift::new(1920);
        let (mut made, mut delivered, mut taken) = (0.0f64, 0.0f64, 0.0f64);
        let (mut extremes, mut sum) = ((usize::MAX, 0), 0.0);
        for block in 0..minutes * 6000 {
            made += 480.0 * (1.0 + ppm / 1e6);
            while delivered + 480.0 + f64::from(rng.u32(0..240)) <= made {
                delivered += 480.0;
            }
            let fill = (delivered - taken) as usize;
            match drift.step(fill, 480) {
                Step::Silence => {}
                Step::Play { ppm, discard } => taken += 480.0 * (1.0 - ppm / 1e6) + discard as f64,
            }
            if block >= (minutes - 10) * 6000 {
                sum += f64::from(drift.ppm());
                extremes = (extremes.0.min(fill), extremes.1.max(fill));
            }
        }
        (drift, sum / 60_000.0, extremes)
    }

    #[test]
    fn a_drifting_card_is_followed_without_a_dropout() {
        for ppm in [-200.0, -37.0, 0.0, 50.0, 200.0] {
            let (drift, mean, (least, most)) = run(ppm, 30);
            assert!((mean + ppm).abs() < 10.0, "{ppm}: corrects by {mean}");
            assert!((f64::from(drift.ppm()) + ppm).abs() < 100.0, "{ppm}: swings to {}", drift.ppm());
            assert_eq!((drift.underruns(), drift.discarded()), (0, 0), "{ppm}");
            assert!(least > 960 && most < 3400, "{ppm}: fill {least} to {most}");
        }
    }

    #[test]
    fn a_dry_buffer_is_silent_until_it_has_filled_again() {
        let mut drift = Drift::new(1920);
        assert_eq!(drift.step(1900, 480), Step::Silence);
        assert!(matches!(drift.step(1920, 480), Step::Play { .. }));
        assert_eq!(drift.step(400, 480), Step::Silence);
        assert_eq!(drift.step(1900, 480), Step::Silence, "it must fill up first");
        assert!(matches!(drift.step(2000, 480), Step::Play { .. }));
        assert_eq!(drift.underruns(), 1);
    }

    #[test]
    fn a_buffer_that_overflows_is_cut_back_to_the_target() {
        let mut drift = Drift::new(1920);
        drift.step(1920, 480);
        let Step::Play { discard, .. } = drift.step(20_000, 480) else { panic!("it has sound") };
        assert_eq!(20_000 - discard, 1920);
    }
}
