//! Ten minutes of a real film on which nothing is wrong: five seconds of it, seen in many ways that a seed chooses.

use holdfast::capture::truth::picture::{Luma, Meter};
use holdfast::capture::truth::{Input, sound};
use holdfast::model::{Media, TruthSettings};

use crate::bench::{self, Bench, Pictures, RATE};
use crate::tools;

const SIZE: (usize, usize) = (424, 240);
/// Pictures of a take: 20 s.
const TAKE: i64 = 500;
/// Takes: 640 s.
const TAKES: u64 = 32;
/// Samples of both channels per picture.
const SOUND: usize = 2 * 48_000 / 25;
/// Grain that is made once.
const GRAIN: usize = 1 << 16;

/// How a take shows the film.
#[derive(Debug)]
struct Look {
    /// Pictures of the film per picture.
    speed: f32,
    /// Contrast and brightness.
    gain: f32,
    lift: f32,
    /// Levels of grain, at most.
    grain: i8,
    /// How much it is enlarged at the beginning, and more by so much at the end.
    zoom: (f32, f32),
    /// How far it is moved in that time, as a part of what is cut off.
    pan: f32,
    /// Rows of black above and below.
    bars: usize,
    /// Pictures between two cuts.
    cut_every: i64,
    /// Of the sound.
    volume: f32,
}

impl Look {
    fn choose(rng: &mut fastrand::Rng) -> Self {
        let mut between = |from: f32, to: f32| from + (to - from) * rng.f32();
        Self {
            speed: between(0.25, 2.0),
            gain: between(0.35, 1.2),
            lift: between(-10.0, 20.0),
            grain: between(0.0, 5.0) as i8,
            zoom: (between(1.0, 1.4), between(0.0, 0.2)),
            pan: between(0.0, 1.0),
            bars: if between(0.0, 1.0) < 0.3 { 30 } else { 0 },
            cut_every: between(30.0, 250.0) as i64,
            volume: between(0.1, 1.0),
        }
    }

    /// The picture `n` of the take, out of `film`.
    fn draw(&self, film: &[Vec<u8>], n: i64, begin: f32, grain: (&[i8], usize), out: &mut [u8]) {
        let (width, height) = SIZE;
        let done = n as f32 / TAKE as f32;
        let picture = &film[(begin + n as f32 * self.speed) as usize % film.len()];
        let zoom = self.zoom.0 + self.zoom.1 * done;
        let (left, top) = (
            (width as f32 - width as f32 / zoom) * self.pan * done,
            (height as f32 - height as f32 / zoom) * (1.0 - self.pan * done),
        );
        let columns: Vec<usize> = (0..width).map(|x| ((left + x as f32 / zoom) as usize).min(width - 1)).collect();
        let levels: [u8; 256] = std::array::from_fn(|level| {
            (16.0 + (level as f32 - 16.0) * self.gain + self.lift).clamp(16.0, 235.0) as u8
        });
        for (y, row) in out.chunks_exact_mut(width).enumerate() {
            if y < self.bars || y >= height - self.bars {
                row.fill(16);
                continue;
            }
            let from = &picture[((top + y as f32 / zoom) as usize).min(height - 1) * width..][..width];
            let grain = &grain.0[(grain.1 + y * 977) % (GRAIN - width)..][..width];
            if self.grain == 0 {
                row.iter_mut().zip(&columns).for_each(|(to, x)| *to = levels[usize::from(from[*x])]);
            } else {
                for ((to, x), grain) in row.iter_mut().zip(&columns).zip(grain) {
                    *to = levels[usize::from(from[*x])].saturating_add_signed(grain % (self.grain + 1));
                }
            }
        }
    }
}

pub fn assert_no_alarm() {
    let began = std::time::Instant::now();
    let file = tools::film().display().to_string();
    let scale = "scale=424:240,format=yuv420p";
    let mut decoder = Pictures::of(&["-i", &file, "-vf", scale], SIZE);
    let film: Vec<Vec<u8>> = std::iter::from_fn(|| decoder.next().map(<[u8]>::to_vec)).collect();
    let heard = bench::samples(&["-i", &file]);
    let mut rng = fastrand::Rng::with_seed(20_261_128);
    let grain: Vec<i8> = (0..GRAIN).map(|_| rng.i8(-100..=100)).collect();
    let mut alarms = Vec::new();
    let mut picture = vec![0; SIZE.0 * SIZE.1];
    for take in 0..TAKES {
        let mut rng = fastrand::Rng::with_seed(take);
        let look = Look::choose(&mut rng);
        let mut judges = [TruthSettings::CAPTURED, TruthSettings::DECODED]
            .map(|settings| (Meter::new(&settings.frozen, &settings.black), Bench::new(&settings)));
        let (mut begin, mut ear) = (0.0, sound::Meter::new(48_000));
        for n in 0..TAKE {
            if n % look.cut_every == 0 {
                begin = rng.f32() * film.len() as f32;
            }
            look.draw(&film, n, begin, (&grain, rng.usize(0..GRAIN)), &mut picture);
            let from = n as usize * SOUND;
            let samples: Vec<f32> = (from..from + SOUND).map(|i| heard[i % heard.len()] * look.volume).collect();
            let level = ear.measure(&samples, 2).unwrap();
            for (meter, bench) in &mut judges {
                let luma = Luma::new(&picture, SIZE.0, SIZE.0, SIZE.1).unwrap();
                bench.at(RATE.time_of(n), Input::Picture(Some(meter.measure(luma))));
                bench.at(RATE.time_of(n), Input::Sound(level));
            }
        }
        for (kind, (_, bench)) in ["captured", "decoded"].iter().zip(judges) {
            let told = bench.verdict().told;
            if !told.is_empty() {
                alarms.push(format!("take {take}, {kind}: {told:?}\n    {look:?}"));
            }
        }
    }
    let (seen, took) = (Media(RATE.time_of(TAKE).as_nanos() * TAKES as i64), began.elapsed().as_secs_f64());
    let seen = seen.as_nanos() as f64 / 1e9;
    println!("{seen:.0} s of film, judged by two in {took:.1} s: {:.1} times as fast as it is seen", seen / took);
    assert!(seen >= 600.0);
    assert!(alarms.is_empty(), "{} false alarms:\n  {}", alarms.len(), alarms.join("\n  "));
}
