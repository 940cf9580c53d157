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
/// How much the steps to and from a sample may differ where no beep is. The quiet tone's differ by 0.05 x (2 pi 440 / 48000)^2 =
/// 0.0002, what a cut has left of a beep by a few thousandths; a tone that breaks off, or goes on in another phase, by up to
/// 0.1.
const QUIET_BEND: f32 = 0.02;
/// The same at a beep, which begins and ends with a bend: 2 pi 1000 / 48000 x 0.4 = 0.052.
const LOUD_BEND: f32 = 0.085;

/// One channel.
#[derive(Clone, Debug)]
pub struct Sound {
    samples: Vec<f32>,
    /// Seconds of programme at the first of them.
    begins: f64,
}

/// A bend that no tone has.
#[derive(Clone, Debug, PartialEq)]
pub struct Click {
    /// Seconds of programme.
    pub at: f64,
    pub bend: f32,
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

    /// Bends that are too sharp for what is to be heard there.
    pub fn clicks(&self) -> Vec<Click> {
        let sharp = self.bends().filter(|(_, loud, bend)| *bend > if *loud { LOUD_BEND } else { QUIET_BEND });
        sharp.map(|(i, _, bend)| Click { at: self.time(i), bend }).collect()
    }

    /// The sharpest bend where no beep is.
    pub fn sharpest_quiet(&self) -> f32 {
        self.bends().filter(|(_, loud, _)| !loud).map(|(.., bend)| bend).fold(0.0, f32::max)
    }

    /// At each sample: whether there is a beep, and how much the steps to it and from it differ.
    fn bends(&self) -> impl Iterator<Item = (usize, bool, f32)> {
        let loud = self.loud();
        let bends = self.samples.windows(3).map(|three| (three[2] - 2.0 * three[1] + three[0]).abs());
        bends.enumerate().map(move |(i, bend)| (i + 1, loud[i + 1], bend))
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
        assert!(sound.sharpest_quiet() < 0.001);
    }

    #[test]
    fn a_tone_that_breaks_off_or_goes_on_in_another_phase_clicks() {
        let cut = 30_027;
        for (what, after) in [("silence", vec![0.0; 48_000]), ("another phase", tone(cut as i64 + 50, 1))] {
            let samples = [&tone(0, 1)[..cut], &after[..]].concat();
            let clicks = Sound { samples, begins: 0.0 }.clicks();
            assert!(!clicks.is_empty(), "{what}");
            assert!(clicks.iter().all(|click| (click.at - 0.6256).abs() < 0.001), "{what}: {clicks:?}");
        }
    }
}
