//! Pure. The test picture and its tone: everything in them is a function of the grid place, so that a lost, repeated or
//! shifted frame can be measured at the far end.
//!
//! - the grid frame number as a [`blockcode`] along the bottom edge, and in digits;
//! - where it is asked for, a band of noise, other with every frame: plain bars and a box need so few bits that they say
//!   nothing of what an uplink bears;
//! - a white box that sweeps across once every four seconds;
//! - on the first places of each whole second of the grid a white flash, and from exactly that second a 1 kHz beep of
//!   60 ms, over a quiet 440 Hz tone that never stops.

use super::blockcode;
use super::tape::{SAMPLE_RATE, Sample};
use crate::model::{Media, VideoGrid};

/// Places that the flash lasts.
const FLASH_PLACES: i64 = 2;
/// Places for one sweep of the box.
const SWEEP_SECONDS: i64 = 4;
/// 75 % colour bars in BT.709 limited range: white, yellow, cyan, green, magenta, red, blue, as Y, Cb, Cr.
const BARS: [[u8; 3]; 7] =
    [[180, 128, 128], [168, 44, 136], [145, 147, 44], [134, 63, 52], [63, 193, 204], [51, 109, 212], [28, 212, 120]];
/// Digits 0–9, three columns by five rows, bits from the top left.
const DIGITS: [u16; 10] = [0o75557, 0o26227, 0o71747, 0o71717, 0o55711, 0o74717, 0o74757, 0o71111, 0o75757, 0o75717];

/// A picture in planar 4:2:0 that may be drawn on.
#[derive(Debug)]
pub struct Canvas<'a> {
    /// Y, Cb, Cr.
    pub planes: [&'a mut [u8]; 3],
    /// Bytes a line, of each.
    pub strides: [usize; 3],
}

/// The test picture at one size.
#[derive(Clone, Debug)]
pub struct Pattern {
    width: usize,
    height: usize,
    grid: VideoGrid,
    noise: bool,
    /// One line of the bars in each plane; every line above the band is the same.
    bars: [Vec<u8>; 3],
}

impl Pattern {
    /// The picture for `width` x `height`, both even.
    pub fn new(width: u32, height: u32, grid: VideoGrid, noise: bool) -> Self {
        let (width, height) = (width as usize, height as usize);
        let line = |plane: usize, length: usize| (0..length).map(|x| BARS[x * BARS.len() / length][plane]).collect();
        let chroma = width.div_ceil(2);
        Self { width, height, grid, noise, bars: [line(0, width), line(1, chroma), line(2, chroma)] }
    }

    /// Draws the picture of grid place `n`, every pixel of it.
    pub fn draw(&self, n: i64, canvas: &mut Canvas<'_>) {
        let band = blockcode::band_top(self.height);
        let [luma, cb, cr] = &mut canvas.planes;
        let [stride, cb_stride, cr_stride] = canvas.strides;
        lines(luma, stride, band, &self.bars[0]);
        for (plane, stride, bars) in [(cb, cb_stride, &self.bars[1]), (cr, cr_stride, &self.bars[2])] {
            lines(plane, stride, band.div_ceil(2), bars);
            for line in plane.chunks_mut(stride).skip(band.div_ceil(2)) {
                line.fill(128);
            }
        }
        if self.noise {
            draw_noise(n, luma, stride, band / 2..band * 3 / 4);
        }
        self.draw_box(n, luma, stride, band);
        self.draw_number(n, luma, stride, band);
        if self.places_into_second(n) < FLASH_PLACES {
            let (w, h) = (self.width / 6, self.height / 6);
            rectangle(luma, stride, (self.width - w, 0), (w, h), 235);
        }
        // The low 32 bits; the clock starts at boot, so they last for two years at 60 fps.
        blockcode::draw(n.unsigned_abs(), luma, stride, self.width, self.height);
    }

    /// Places since the one that stands for the last whole second.
    fn places_into_second(&self, n: i64) -> i64 {
        let half = self.grid.interval().as_nanos() / 2;
        let second = (self.grid.time_of(n).as_nanos() + half).div_euclid(1_000_000_000);
        n - self.grid.nearest(Media::from_millis(second * 1000))
    }

    fn draw_box(&self, n: i64, luma: &mut [u8], stride: usize, band: usize) {
        let side = self.height / 8;
        let sweep = (self.grid.nearest(Media::from_millis(SWEEP_SECONDS * 1000))).max(1);
        let place = usize::try_from(n.rem_euclid(sweep)).unwrap_or(0);
        let x = place * (self.width - side) / usize::try_from(sweep).unwrap_or(1);
        rectangle(luma, stride, (x, band - side - side / 4), (side, side), 235);
    }

    fn draw_number(&self, n: i64, luma: &mut [u8], stride: usize, band: usize) {
        let text = n.unsigned_abs().to_string();
        let dot = (self.width / (5 * text.len())).min(band / 16).max(1);
        let (left, top) = ((self.width - dot * 4 * text.len()) / 2, band / 4);
        rectangle(luma, stride, (left - dot, top - dot), (dot * (4 * text.len() + 1), dot * 7), 16);
        for (i, digit) in text.bytes().enumerate() {
            let bits = DIGITS[usize::from(digit - b'0')];
            for dot_at in (0..15).filter(|at| bits >> (14 - at) & 1 == 1) {
                let (column, row) = (dot_at % 3, dot_at / 3);
                rectangle(luma, stride, (left + dot * (4 * i + column), top + dot * row), (dot, dot), 235);
            }
        }
    }
}

/// Fills these lines with noise that is a function of `n` (xorshift64, Marsaglia 2003), within the limited range.
fn draw_noise(n: i64, luma: &mut [u8], stride: usize, band: std::ops::Range<usize>) {
    let mut state = n.unsigned_abs().wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for line in luma.chunks_mut(stride).take(band.end).skip(band.start) {
        for eight in line.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            for (pixel, random) in eight.iter_mut().zip(state.to_le_bytes()) {
                *pixel = 16 + random % 220;
            }
        }
    }
}

/// Copies `line` to the first `count` lines of a plane.
fn lines(plane: &mut [u8], stride: usize, count: usize, line: &[u8]) {
    for to in plane.chunks_mut(stride).take(count) {
        if let Some(to) = to.get_mut(..line.len()) {
            to.copy_from_slice(line);
        }
    }
}

fn rectangle(luma: &mut [u8], stride: usize, (x, y): (usize, usize), (w, h): (usize, usize), value: u8) {
    for line in luma.chunks_mut(stride).skip(y).take(h) {
        if let Some(pixels) = line.get_mut(x..x + w) {
            pixels.fill(value);
        }
    }
}

/// The tone. It repeats every second, so one second is computed once.
#[derive(Clone, Debug)]
pub struct Tone {
    second: Vec<f32>,
}

impl Default for Tone {
    fn default() -> Self {
        let wave =
            |i: u32, hz: f32, peak: f32| (std::f32::consts::TAU * hz * (i as f32) / SAMPLE_RATE as f32).sin() * peak;
        let beep = SAMPLE_RATE * 60 / 1000;
        let second = (0..SAMPLE_RATE)
            .map(|i| wave(i, 440.0, 0.05) + if i < beep { wave(i, 1000.0, 0.4) } else { 0.0 })
            .collect();
        Self { second }
    }
}

impl Tone {
    /// The samples from number `at` on, counted from the origin of the grid.
    pub fn fill(&self, at: i64, out: &mut [Sample]) {
        let from = usize::try_from(at.rem_euclid(i64::from(SAMPLE_RATE))).unwrap_or(0);
        for (to, &level) in out.iter_mut().zip(self.second.iter().cycle().skip(from)) {
            *to = [level; 2];
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::FrameRate;

    fn luma_of(n: i64, (w, h): (u32, u32), grid: VideoGrid) -> Vec<u8> {
        let (w, h) = (w as usize, h as usize);
        let (mut y, mut u, mut v) = (vec![1; w * h], vec![1; w * h / 4], vec![1; w * h / 4]);
        let (width, height) = (u32::try_from(w).unwrap(), u32::try_from(h).unwrap());
        let mut canvas = Canvas { planes: [&mut y, &mut u, &mut v], strides: [w, w / 2, w / 2] };
        Pattern::new(width, height, grid, false).draw(n, &mut canvas);
        assert!(y.iter().chain(&u).chain(&v).all(|&p| p != 1), "a pixel was not drawn");
        y
    }

    #[test]
    fn every_size_carries_its_number() {
        for (w, h) in [(128, 96), (320, 180), (640, 360), (1280, 720), (720, 1280), (1920, 1080)] {
            for n in [0, 7, 5_400_000, 4_000_000_000] {
                let luma = luma_of(n, (w, h), VideoGrid(FrameRate::whole(30)));
                let (w, h) = (w as usize, h as usize);
                assert_eq!(blockcode::read(&luma, w, w, h), Some(n.unsigned_abs()), "{n} at {w}x{h}");
            }
        }
    }

    #[test]
    fn noise_is_another_with_each_frame_and_leaves_the_number_alone() {
        let (w, h) = (640, 360);
        let draw = |n| {
            let (mut y, mut u, mut v) = (vec![0; w * h], vec![0; w * h / 4], vec![0; w * h / 4]);
            let mut canvas = Canvas { planes: [&mut y, &mut u, &mut v], strides: [w, w / 2, w / 2] };
            Pattern::new(640, 360, VideoGrid(FrameRate::whole(30)), true).draw(n, &mut canvas);
            y
        };
        let (one, other) = (draw(41), draw(42));
        assert_eq!(blockcode::read(&one, w, w, h), Some(41));
        assert_eq!(one, draw(41), "a function of the place");
        let differing = one.iter().zip(&other).filter(|(a, b)| a != b).count();
        assert!(differing > w * h / 5, "{differing}");
    }

    #[test]
    fn the_flash_marks_the_first_places_of_each_second_and_only_those() {
        let ntsc = FrameRate { num: 30_000, den: 1001 };
        for (rate, from) in [(FrameRate::whole(30), 3_000), (FrameRate::whole(60), 0), (ntsc, 90_000)] {
            let grid = VideoGrid(rate);
            let flashes = (from..from + 300).filter(|&n| luma_of(n, (128, 96), grid)[127] == 235);
            let starts: Vec<i64> = flashes.step_by(2).collect();
            assert!(starts.len() >= 4, "{starts:?}");
            for n in starts {
                let off = grid.time_of(n).as_nanos().rem_euclid(1_000_000_000);
                assert!(off.min(1_000_000_000 - off) <= grid.interval().as_nanos() / 2 + 1, "place {n}");
            }
        }
    }

    #[test]
    fn the_tone_has_no_seams_and_beeps_on_the_second() {
        let tone = Tone::default();
        let mut blocks = Vec::new();
        for block in 0..150 {
            let mut out = [[0.0; 2]; 480];
            tone.fill(123 * 48_000 + block * 480, &mut out);
            blocks.extend(out.map(|s| s[0]));
        }
        assert!(blocks.windows(2).all(|w| (w[1] - w[0]).abs() < 0.07), "a click");
        let loudest = |range: std::ops::Range<usize>| blocks[range].iter().fold(0.0f32, |a, s| a.max(s.abs()));
        assert!(loudest(0..1000) > 0.35 && loudest(48_000..49_000) > 0.35);
        assert!(loudest(3000..48_000) < 0.06);
    }
}
