//! Films whose every picture has a number and whose every second a beep, with what can be wrong with a film where it is wanted.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use holdfast::capture::pattern::{Canvas, Pattern, Tone};
use holdfast::model::{FrameRate, VideoGrid};

use super::tools;

const FPS: u32 = 30;
const SAMPLE_RATE: u32 = 48_000;

/// What a stretch of a film is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The test picture and its tone.
    Good,
    /// One picture all along; the tone goes on.
    Frozen,
    /// No picture to see and no number to read; the tone goes on.
    Black,
    /// The test picture without any sound.
    Silent,
}

/// A film that was made.
#[derive(Clone, Debug)]
pub struct Film {
    pub file: PathBuf,
    /// The number of its first picture.
    pub first: u64,
    parts: Vec<(Part, u32)>,
}

impl Film {
    /// H.264 and AAC, `size` at 30 fps, of parts that last so many seconds. `first` is a multiple of 30, so that the flash and
    /// the beep, which mark whole seconds of the numbers, come at whole seconds of the film.
    pub fn make(file: &Path, first: u64, (width, height): (u32, u32), parts: &[(Part, u32)]) -> Self {
        assert!(first.is_multiple_of(FPS.into()), "{first} is not a whole second");
        let film = Self { file: file.to_owned(), first, parts: parts.to_vec() };
        let sound = file.with_extension("s16");
        fs::write(&sound, film.sound()).expect("the run's directory is writable");
        let mut command = tools::ffmpeg();
        command
            .args(["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", &format!("{width}x{height}")])
            .args(["-r", &FPS.to_string(), "-i", "pipe:0"])
            .args(["-f", "s16le", "-ar", &SAMPLE_RATE.to_string(), "-ac", "2", "-i"])
            .arg(&sound)
            .args(["-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-g", "60", "-qp", "22"])
            .args(["-c:a", "aac", "-b:a", "160k", "-y"])
            .arg(file);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("FFmpeg starts");
        let mut pipe = child.stdin.take().expect("piped");
        film.draw(width, height, |picture| pipe.write_all(picture).expect("FFmpeg takes pictures"));
        drop(pipe);
        assert!(child.wait().expect("our own child").success(), "FFmpeg could not make {}", file.display());
        let _ = fs::remove_file(sound);
        film
    }

    /// The number of the first picture of the first such part; a black part has none of its own, but a place.
    pub fn begins(&self, part: Part) -> u64 {
        let before = self.parts.iter().take_while(|(other, _)| *other != part);
        self.first + before.map(|(_, seconds)| u64::from(seconds * FPS)).sum::<u64>()
    }

    fn draw(&self, width: u32, height: u32, mut take: impl FnMut(&[u8])) {
        let pattern = Pattern::new(width, height, VideoGrid(FrameRate::whole(FPS)), false);
        let pixels = (width * height) as usize;
        let mut picture = vec![0; pixels * 3 / 2];
        let mut n = self.first;
        for (part, seconds) in &self.parts {
            for i in 0..seconds * FPS {
                let (luma, chroma) = picture.split_at_mut(pixels);
                let (cb, cr) = chroma.split_at_mut(pixels / 4);
                match part {
                    Part::Black => {
                        luma.fill(16);
                        chroma_of(cb, cr);
                    }
                    Part::Frozen if i > 0 => {}
                    Part::Good | Part::Silent | Part::Frozen => {
                        let (width, half) = (width as usize, width as usize / 2);
                        let mut canvas = Canvas { planes: [luma, cb, cr], strides: [width, half, half] };
                        pattern.draw(i64::try_from(n).expect("32 bits"), &mut canvas);
                    }
                }
                take(&picture);
                n += 1;
            }
        }
    }

    fn sound(&self) -> Vec<u8> {
        let (tone, mut at, mut bytes) = (Tone::default(), 0, Vec::new());
        for (part, seconds) in &self.parts {
            let mut samples = vec![[0.0; 2]; (seconds * SAMPLE_RATE) as usize];
            if *part != Part::Silent {
                tone.fill(at, &mut samples);
            }
            at += i64::try_from(samples.len()).expect("minutes of sound");
            bytes.extend(samples.iter().flatten().flat_map(|level| ((level * 32_767.0) as i16).to_le_bytes()));
        }
        bytes
    }
}

/// Without colour.
fn chroma_of(cb: &mut [u8], cr: &mut [u8]) {
    cb.fill(128);
    cr.fill(128);
}
