//! What is to be heard in a recording of the test tone: where its beeps begin, and whether it clicks anywhere.

use std::path::Path;

use super::tools;

const RATE: f64 = 48_000.0;
/// The quiet tone is 0.05 loud and the beep 0.4 more; what is above this is beep.
const LOUD: f32 = 0.12;
/// A beep that begins has had no beep for so long before it.
const PAUSE: usize = 24_000;
/// What AAC smears over, on either side of a beep: two of its blocks.
const SMEAR: usize = 2048;
/// The quiet tone's steepest step from one sample to the next: 2 pi 440 / 48000 x 0.05 = 0.0029. A cross-fade of two of them,
/// and AAC's noise, stay below this; a tone that breaks off, or goes on in another phase, steps by up to 0.1.
const QUIET_STEP: f32 = 0.012;
/// The same within a beep: 2 pi 1000 / 48000 x 0.4 = 0.052, and the quiet tone's.
const LOUD_STEP: f32 = 0.085;

/// One channel.
#[derive(Clone, Debug)]
pub struct Sound {
    samples: Vec<f32>,
    /// Seconds of programme at the first of them.
    begins: f64,
}

/// A step that no tone makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Click {
    /// Seconds of programme.
    pub at: f64,
    pub step: f32,
}

impl Sound {
    /// Decodes the first channel of a recording whose first packet of sound is at `begins`, in seconds.
    pub fn read(file: &Path, begins: f64) -> Self {
        let mut command = tools::ffmpeg();
        command.args(["-loglevel", "error", "-i"]).arg(file);
        command.args(["-map", "0:a:0", "-af", "pan=mono|c0=c0", "-ar", "48000", "-f", "f32le", "-"]);
        let output = command.output().expect("FFmpeg runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (samples, _) = output.stdout.as_chunks::<4>();
        Self { samples: samples.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(), begins }
    }

    fn time(&self, sample: usize) -> f64 {
        self.begins + sample as f64 / RATE
    }

    /// When each beep begins.
    pub fn beeps(&self) -> Vec<f64> {
        let mut last: Option<usize> = None;
        let mut found = Vec::new();
        for (i, _) in self.samples.iter().enumerate().filter(|(_, level)| level.abs() > LOUD) {
            if last.is_none_or(|last| i - last > PAUSE) {
                found.push(self.time(i));
            }
            last = Some(i);
        }
        found
    }

    /// Steps that are too steep for what is to be heard there.
    pub fn clicks(&self) -> Vec<Click> {
        let loud = self.loud();
        let steps = self.samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).enumerate();
        let steep = steps.filter(|(i, step)| *step > if loud[*i] { LOUD_STEP } else { QUIET_STEP });
        steep.map(|(i, step)| Click { at: self.time(i), step }).collect()
    }

    /// The steepest step where no beep is.
    pub fn steepest_quiet(&self) -> f32 {
        let loud = self.loud();
        let steps = self.samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).enumerate();
        steps.filter(|(i, _)| !loud[*i]).map(|(_, step)| step).fold(0.0, f32::max)
    }

    /// Whether there is a beep at, or near, each sample.
    fn loud(&self) -> Vec<bool> {
        let mut loud = vec![false; self.samples.len()];
        let mut marked = 0;
        for (i, _) in self.samples.iter().enumerate().filter(|(_, level)| level.abs() > LOUD) {
            let (from, to) = (i.saturating_sub(SMEAR).max(marked), (i + SMEAR).min(loud.len()));
            loud[from.min(to)..to].fill(true);
            marked = to;
        }
        loud
    }
}

#[cfg(test)]
mod tests {
    use holdfast::capture::pattern::Tone;

    use super::*;

    fn tone(from: i64, seconds: usize) -> Vec<f32> {
        let mut samples = vec![[0.0; 2]; seconds * 48_000];
        Tone::default().fill(from, &mut samples);
        samples.iter().map(|both| both[0]).collect()
    }

    #[test]
    fn a_tone_has_a_beep_each_second_and_no_click() {
        let sound = Sound { samples: tone(24_000, 3), begins: 10.0 };
        let beeps = sound.beeps();
        assert_eq!(beeps.len(), 3);
        for (beep, due) in beeps.iter().zip([10.5, 11.5, 12.5]) {
            assert!((beep - due).abs() < 0.001, "a beep at {beep} s, due at {due} s");
        }
        assert_eq!(sound.clicks(), []);
        assert!(sound.steepest_quiet() < 0.003);
    }

    #[test]
    fn a_tone_that_breaks_off_or_goes_on_in_another_phase_clicks() {
        let cut = 30_027;
        for (what, after) in [("silence", vec![0.0; 48_000]), ("another phase", tone(cut as i64 + 50, 1))] {
            let samples = [&tone(0, 1)[..cut], &after[..]].concat();
            let clicks = Sound { samples, begins: 0.0 }.clicks();
            assert_eq!(clicks.len(), 1, "{what}: {clicks:?}");
            assert!((clicks[0].at - 0.6256).abs() < 0.001, "{what}: {clicks:?}");
        }
    }
}
