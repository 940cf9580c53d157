//! A meter and a judge on a clock of their own.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, ChildStdout, Stdio};

use holdfast::capture::truth::picture::{Change, Luma, Meter};
use holdfast::capture::truth::{Input, Judge, sound};
use holdfast::model::{Fault, FrameRate, Media, TruthSettings, VideoGrid};

use crate::tools;

/// Pictures per second of every clip.
pub const RATE: VideoGrid = VideoGrid(FrameRate::whole(25));
/// Between two looks of a judge.
const LOOK: Media = Media::from_millis(10);
/// Clips do not begin at the origin of the clock.
pub const START: Media = Media::from_millis(5_000_000);

/// What was said.
#[derive(Debug, Default)]
pub struct Verdict {
    /// When each fault was told first, seconds, and on what evidence.
    pub told: BTreeMap<Fault, (f64, String)>,
    /// What is wrong at the end.
    pub at_end: Vec<Fault>,
    /// The most that a picture differed from the one that was kept, for whoever tunes.
    pub most: String,
}

/// One judge in virtual time.
pub struct Bench {
    judge: Judge,
    now: Media,
    verdict: Verdict,
}

impl Bench {
    pub fn new(settings: &TruthSettings) -> Self {
        Self { judge: Judge::new(settings, START), now: START, verdict: Verdict::default() }
    }

    /// Goes to `time` after the start, looking on the way.
    pub fn until(&mut self, time: Media) {
        while self.now + LOOK <= START + time {
            self.now = self.now + LOOK;
            self.hear(Input::Look, self.now);
        }
    }

    /// Something happens at `time` after the start.
    pub fn at(&mut self, time: Media, input: Input) {
        self.until(time);
        self.hear(input, START + time);
    }

    pub fn verdict(mut self) -> Verdict {
        self.verdict.at_end = self.judge.condition().findings().iter().map(|finding| finding.fault).collect();
        self.verdict
    }

    fn hear(&mut self, input: Input, now: Media) {
        if let Some(condition) = self.judge.handle(input, now) {
            for finding in condition.findings() {
                let at = (now - START).as_nanos() as f64 / 1e9;
                self.verdict.told.entry(finding.fault).or_insert_with(|| (at, finding.evidence.clone()));
            }
        }
    }
}

/// Judges pictures at [`RATE`], of which only the luma counts.
pub fn see(settings: &TruthSettings, pictures: &mut Pictures) -> Verdict {
    let mut meter = Meter::new(&settings.frozen, &settings.black);
    let mut bench = Bench::new(settings);
    let (width, height) = pictures.size;
    let (mut n, mut most) = (0, Change::default());
    while let Some(picture) = pictures.next() {
        let measure = meter.measure(Luma::new(picture, width, width, height).unwrap());
        let change = measure.change.unwrap_or_default();
        if n > 0 && !change.exceeds(&settings.frozen, 1.0) {
            most = Change { mean: most.mean.max(change.mean), block: most.block.max(change.block) };
        }
        bench.at(RATE.time_of(n), Input::Picture(Some(measure)));
        n += 1;
    }
    let mut verdict = bench.verdict();
    verdict.most = format!(" [still up to {:.4}, {:.1}]", most.mean, most.block);
    verdict
}

/// Judges sound at 48 kHz stereo, but for the seconds `without`, in which no samples come.
pub fn listen(settings: &TruthSettings, samples: &[f32], without: Option<(f64, f64)>) -> Verdict {
    const BLOCK: usize = 480;
    let mut meter = sound::Meter::new(48_000);
    let mut bench = Bench::new(settings);
    for (n, block) in (0..).zip(samples.chunks_exact(2 * BLOCK)) {
        let time = Media::from_millis(10 * n);
        let seconds = f64::from(n as u32) / 100.0;
        // The pictures that every input has.
        bench.at(time, Input::Held);
        if without.is_none_or(|(from, to)| seconds < from || seconds >= to) {
            bench.at(time, Input::Sound(meter.measure(block, 2).unwrap()));
        }
    }
    bench.verdict()
}

/// FFmpeg's raw pictures, one by one.
pub struct Pictures {
    pub size: (usize, usize),
    child: Child,
    out: ChildStdout,
    buffer: Vec<u8>,
}

impl Pictures {
    pub fn of(arguments: &[&str], size: (usize, usize)) -> Self {
        let mut command = tools::ffmpeg();
        command.args(["-loglevel", "error", "-threads", "1"]).args(arguments);
        command.args(["-pix_fmt", "yuv420p", "-fps_mode", "passthrough", "-f", "rawvideo", "-"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        Self { size, child, out, buffer: vec![0; size.0 * size.1 * 3 / 2] }
    }

    /// The luma of the next one.
    pub fn next(&mut self) -> Option<&[u8]> {
        if self.out.read_exact(&mut self.buffer).is_err() {
            assert!(self.child.wait().unwrap().success(), "FFmpeg failed; see above");
            return None;
        }
        self.buffer.get(..self.size.0 * self.size.1)
    }
}

/// FFmpeg's raw sound, 48 kHz stereo.
pub fn samples(arguments: &[&str]) -> Vec<f32> {
    let mut command = tools::ffmpeg();
    command.args(["-loglevel", "error"]).args(arguments);
    let output = command.args(["-ar", "48000", "-ac", "2", "-f", "f32le", "-"]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "ffmpeg {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}
