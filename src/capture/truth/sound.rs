//! Pure. How loud sound is, without its direct current.

use crate::model::Media;

/// Channels that are told apart; what is in others is taken to be in the first ones.
const CHANNELS: usize = 8;
/// Below this a sound is cut off, Hz: far enough below 50 Hz mains hum to leave that as loud as it is.
const CUT_OFF: f32 = 5.0;
/// What digital silence is called, dBFS.
const FLOOR: f32 = -200.0;

/// What was measured of a block of sound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// The loudest sample, 0 to about 1.
    pub peak: f32,
    /// The root of the mean square of the loudest channel. A full-scale sine has 0.707.
    pub rms: f32,
    /// How long the block is.
    pub length: Media,
}

impl Level {
    /// [`Self::rms`] in dBFS, where 0 is a square wave of full scale; -200 for digital silence.
    pub fn dbfs(&self) -> f32 {
        decibels(self.rms)
    }
}

/// An amplitude in dBFS.
pub fn decibels(amplitude: f32) -> f32 {
    (20.0 * amplitude.log10()).max(FLOOR)
}

/// Measures one source's sound, block after block.
#[derive(Clone, Debug)]
pub struct Meter {
    rate: u32,
    /// Of the high pass that takes the direct current away.
    pole: f32,
    /// The last sample in and out, per channel; `None` before the first, which a source may begin with at any level.
    last: Option<[(f32, f32); CHANNELS]>,
}

impl Meter {
    /// For sound of so many samples per second in each channel; 0 is taken as 1.
    pub fn new(rate: u32) -> Self {
        let rate = rate.max(1);
        Self { rate, pole: 1.0 - (std::f32::consts::TAU * CUT_OFF / rate as f32).min(1.0), last: None }
    }

    /// The next samples of `channels` interleaved channels; `None` when there is not one of each.
    pub fn measure(&mut self, interleaved: &[f32], channels: usize) -> Option<Level> {
        let frames = interleaved.len().checked_div(channels)?;
        if frames == 0 {
            return None;
        }
        let first = |channel: usize| interleaved.get(channel).copied().map_or(0.0, finite);
        let mut last = self.last.unwrap_or_else(|| std::array::from_fn(|channel| (first(channel), 0.0)));
        let (mut peak, mut squares) = (0.0f32, [0.0f64; CHANNELS]);
        for frame in interleaved.chunks_exact(channels) {
            for (channel, sample) in frame.iter().enumerate() {
                let (before, passed) = &mut last[channel % CHANNELS];
                let sample = finite(*sample);
                *passed = sample - *before + self.pole * *passed;
                *before = sample;
                peak = peak.max(passed.abs());
                squares[channel % CHANNELS] += f64::from(*passed) * f64::from(*passed);
            }
        }
        // The tail of a high pass never ends; below this it is nobody's sound and slow arithmetic.
        last.iter_mut().for_each(|(_, passed)| *passed = if passed.abs() < 1e-12 { 0.0 } else { *passed });
        self.last = Some(last);
        let loudest = squares.iter().copied().fold(0.0, f64::max);
        let length = i64::try_from(frames).unwrap_or(i64::MAX).saturating_mul(1_000_000_000) / i64::from(self.rate);
        Some(Level { peak, rms: (loudest / frames as f64).sqrt() as f32, length: Media(length) })
    }
}

/// Not a number and not infinite either; sound from files may have both.
fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-8.0, 8.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const RATE: u32 = 48_000;

    /// A sine of `amplitude` on `direct` current, in blocks of 10 ms; what the last of a second's was measured to be.
    fn sine(hertz: f32, amplitude: f32, direct: f32) -> Level {
        let mut meter = Meter::new(RATE);
        let sample = |n: usize| direct + amplitude * (std::f32::consts::TAU * hertz * n as f32 / RATE as f32).sin();
        let blocks = (0..100).map(|block| {
            let samples: Vec<f32> = (block * 480..(block + 1) * 480).flat_map(|n| [sample(n); 2]).collect();
            meter.measure(&samples, 2).unwrap()
        });
        blocks.last().unwrap()
    }

    #[test]
    fn a_sine_has_3_dbfs_less_than_its_peak_also_at_mains_frequency() {
        for hertz in [50.0, 60.0, 440.0, 10_000.0] {
            let level = sine(hertz, 0.01, 0.0);
            // A block holds an odd part of the mains' period.
            assert!((level.dbfs() + 43.0).abs() < 1.0, "{hertz} Hz: {} dBFS", level.dbfs());
            assert!((decibels(level.peak) + 40.0).abs() < 0.3, "{hertz} Hz: peak {}", decibels(level.peak));
            assert_eq!(level.length, Media::from_millis(10));
        }
    }

    #[test]
    fn direct_current_is_no_sound() {
        let level = sine(440.0, 0.0001, 0.3);
        assert!((level.dbfs() + 83.0).abs() < 1.0, "{}", level.dbfs());
        let mut meter = Meter::new(RATE);
        assert_eq!(meter.measure(&[0.5; 960], 2).unwrap().rms, 0.0, "not even at its beginning");
    }

    #[test]
    fn digital_silence_is_finite_and_one_channel_is_enough_to_hear() {
        let mut meter = Meter::new(RATE);
        assert_eq!(meter.measure(&[0.0; 960], 2).unwrap().dbfs(), -200.0);
        let right: Vec<f32> = (0..960).map(|n| if n % 4 == 1 { 0.1 } else { 0.0 }).collect();
        assert!(meter.measure(&right, 2).unwrap().dbfs() > -30.0);
    }

    #[test]
    fn no_samples_have_no_level() {
        let mut meter = Meter::new(0);
        assert_eq!(meter.measure(&[], 2), None);
        assert_eq!(meter.measure(&[1.0], 2), None);
        assert_eq!(meter.measure(&[1.0], 0), None);
    }

    proptest! {
        #[test]
        fn no_samples_panic_and_all_levels_are_numbers(
            blocks in prop::collection::vec((prop::collection::vec(any::<f32>(), 0..100), 0usize..20), 0..10),
        ) {
            let mut meter = Meter::new(RATE);
            for (samples, channels) in blocks {
                if let Some(level) = meter.measure(&samples, channels) {
                    prop_assert!(level.peak.is_finite() && level.rms.is_finite() && level.dbfs() >= -200.0);
                }
            }
        }
    }
}
