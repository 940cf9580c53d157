//! What a receiver got, frame by frame: FFmpeg 9 lists the packets and decodes the pictures, and the block code in each
//! picture says which frame of the source it is.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};

use holdfast::capture::blockcode;

use super::tools;

/// One packet as the receiver stored it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Presentation time, seconds.
    pub pts: f64,
    pub key: bool,
    pub bytes: usize,
}

/// One picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Presentation time, seconds.
    pub pts: f64,
    pub key: bool,
    /// The source's frame number; `None` when there is none to read, as in the slate.
    pub code: Option<u64>,
}

/// A whole recording.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    pub pictures: Vec<Picture>,
    /// As they were stored.
    pub coded: Vec<Packet>,
    pub sound: Vec<Packet>,
    /// What FFmpeg complained about while reading.
    pub complaints: String,
}

/// What a run of pictures shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Each picture another number.
    Live,
    /// The last number again and again: the picture is held.
    Held,
    /// No numbers.
    Slate,
}

/// A run of pictures of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// What they show.
    pub kind: Kind,
    /// Index of its first picture.
    pub from: usize,
    /// How many.
    pub pictures: usize,
}

/// Whether every frame of the source came exactly once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Count {
    pub frames: usize,
    pub first: u64,
    pub last: u64,
    /// Numbers between the first and the last that are in no picture.
    pub lost: u64,
    /// Pictures whose number was there before.
    pub repeated: u64,
    /// Pictures whose number is below the one before.
    pub backwards: u64,
    /// Pictures without a number.
    pub unreadable: u64,
}

impl Count {
    /// Every frame, once, in order.
    pub fn is_perfect(&self) -> bool {
        self.frames > 0 && (self.lost, self.repeated, self.backwards, self.unreadable) == (0, 0, 0, 0)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} frames ({}..={}), lost {}, repeated {}, backwards {}, unreadable {}",
            self.frames, self.first, self.last, self.lost, self.repeated, self.backwards, self.unreadable
        )
    }
}

impl Recording {
    /// Reads a file, all of it that can be read.
    pub fn read(file: &Path) -> Self {
        let (packets, complaints) = packets(file);
        let (video, sound): (Vec<_>, Vec<_>) = packets.into_iter().partition(|(stream, _)| *stream == 0);
        let codes = codes(file);
        let coded = video.iter().map(|(_, packet)| packet.clone()).collect();
        // No encoder here reorders pictures, so the nth packet is the nth picture; a decoder may drop broken ones at
        // the end of a cut file.
        let pictures = video
            .into_iter()
            .zip(codes.iter().copied().map(Some).chain(std::iter::repeat(None)))
            .filter_map(|((_, p), code)| Some(Picture { pts: p.pts, key: p.key, code: code? }))
            .collect();
        Self { pictures, coded, sound: sound.into_iter().map(|(_, p)| p).collect(), complaints }
    }

    /// The stretches of live and other pictures, in order.
    pub fn stretches(&self) -> Vec<Stretch> {
        let mut all: Vec<Stretch> = Vec::new();
        for (i, picture) in self.pictures.iter().enumerate() {
            let kind = match picture.code {
                None => Kind::Slate,
                code if i > 0 && self.pictures[i - 1].code == code => Kind::Held,
                Some(_) => Kind::Live,
            };
            match all.last_mut() {
                Some(last) if last.kind == kind => last.pictures += 1,
                _ => all.push(Stretch { kind, from: i, pictures: 1 }),
            }
        }
        all
    }

    /// Of the pictures of a stretch, or of several that follow one another, those that are the slate's.
    pub fn slates(&self, stretch: &Stretch) -> usize {
        self.pictures[stretch.from..stretch.from + stretch.pictures].iter().filter(|p| p.code.is_none()).count()
    }

    /// Counts the frames of the source from the first live picture on. Every programme begins with a moment of slate.
    pub fn count(&self) -> Count {
        count(self.pictures.iter().map(|p| p.code).skip_while(Option::is_none))
    }

    /// Largest distance, in seconds, of a picture's time from where its place in the sequence puts it, at `fps`. Above
    /// the container's rounding (1 ms) means that time jumped or a grid place was left out.
    pub fn video_time_error(&self, fps: f64) -> f64 {
        time_error(self.pictures.iter().map(|p| p.pts), 1.0 / fps)
    }

    /// As [`Self::video_time_error`] for sound of `samples` a packet at 48 kHz: the sample count is continuous if this
    /// is within rounding.
    pub fn sound_time_error(&self, samples: u32) -> f64 {
        time_error(self.sound.iter().map(|p| p.pts), f64::from(samples) / 48_000.0)
    }

    /// Steps back in time, of picture and of sound.
    pub fn backwards(&self) -> usize {
        let back = |times: Vec<f64>| times.windows(2).filter(|w| w[1] <= w[0]).count();
        back(self.pictures.iter().map(|p| p.pts).collect()) + back(self.sound.iter().map(|p| p.pts).collect())
    }

    /// Seconds from the first to the last picture.
    pub fn seconds(&self) -> f64 {
        match (self.pictures.first(), self.pictures.last()) {
            (Some(first), Some(last)) => last.pts - first.pts,
            _ => 0.0,
        }
    }
}

/// Counts frames from numbers in order.
pub fn count(codes: impl Iterator<Item = Option<u64>>) -> Count {
    let mut count = Count::default();
    let mut seen = std::collections::BTreeSet::new();
    let mut previous = None;
    for code in codes {
        count.frames += 1;
        let Some(n) = code else {
            count.unreadable += 1;
            continue;
        };
        if !seen.insert(n) {
            count.repeated += 1;
        }
        if previous.is_some_and(|p| n < p) {
            count.backwards += 1;
        }
        previous = Some(n);
    }
    if let (Some(&first), Some(&last)) = (seen.first(), seen.last()) {
        (count.first, count.last) = (first, last);
        count.lost = last - first + 1 - seen.len() as u64;
    }
    count
}

fn time_error(times: impl Iterator<Item = f64>, step: f64) -> f64 {
    let times: Vec<f64> = times.collect();
    let Some(&first) = times.first() else { return 0.0 };
    times.iter().enumerate().map(|(i, t)| (t - first - i as f64 * step).abs()).fold(0.0, f64::max)
}

/// All packets of stream 0 (video) and 1 (sound), in stored order, with FFmpeg's complaints.
fn packets(file: &Path) -> (Vec<(usize, Packet)>, String) {
    let output = tools::ffmpeg()
        .args(["-copyts", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-map", "0:a:0?", "-c", "copy", "-f", "framecrc", "-"])
        .output()
        .expect("FFmpeg runs");
    let mut base = [0.0; 2];
    let mut all = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some(rest) = line.strip_prefix("#tb ") {
            let (stream, fraction) = rest.split_once(": ").expect("#tb N: a/b");
            let (num, den) = fraction.split_once('/').expect("#tb N: a/b");
            let number = |text: &str| text.parse::<f64>().expect("a number");
            base[stream.parse::<usize>().expect("a number")] = number(num) / number(den);
        } else if !line.starts_with('#') {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let number = |i: usize| fields[i].parse::<i64>().expect("framecrc prints numbers");
            let stream = usize::try_from(number(0)).expect("a stream number");
            let key = !fields[6..].contains(&"F=0x0");
            let bytes = usize::try_from(number(4)).expect("a size");
            all.push((stream, Packet { pts: number(2) as f64 * base[stream], key, bytes }));
        }
    }
    (all, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The number in each decoded picture, in order.
fn codes(file: &Path) -> Vec<Option<u64>> {
    let Some((width, height)) = size(file) else { return Vec::new() };
    let mut child = tools::ffmpeg()
        .args(["-loglevel", "fatal", "-threads", "2", "-i"])
        .arg(file)
        .args(["-map", "0:v:0", "-fps_mode", "passthrough", "-pix_fmt", "gray", "-f", "rawvideo", "-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("FFmpeg runs");
    let mut pipe = child.stdout.take().expect("stdout is piped");
    let mut luma = vec![0; width * height];
    let mut codes = Vec::new();
    while pipe.read_exact(&mut luma).is_ok() {
        codes.push(blockcode::read(&luma, width, width, height));
    }
    let _ = child.wait();
    codes
}

/// Width and height as FFmpeg reports them.
fn size(file: &Path) -> Option<(usize, usize)> {
    let mut command: Command = tools::ffmpeg();
    let output = command.args(["-loglevel", "info", "-i"]).arg(file).output().expect("FFmpeg runs");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let video = report.lines().find(|l| l.contains(" Video: "))?;
    video.split([' ', ',']).find_map(|word| {
        let (w, h) = word.split_once('x')?;
        Some((w.parse().ok()?, h.parse().ok()?))
    })
}

/// Seconds on CLOCK_MONOTONIC at which each video packet of one session reached the PyAV receiver, from its log.
pub fn arrivals(log: &Path, session: u64) -> Vec<(f64, f64)> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|v| v["session"] == session && v["video"] == true)
        .filter_map(|v| Some((v["pts"].as_f64()?, v["at"].as_f64()?)))
        .collect()
}

/// Mean volume of a file's sound in dB below full scale.
pub fn loudness(file: &Path) -> f64 {
    let mut command = tools::ffmpeg();
    let output = command
        .args(["-loglevel", "info", "-i"])
        .arg(file)
        .args(["-map", "0:a:0", "-af", "volumedetect", "-f", "null", "-"])
        .output()
        .expect("FFmpeg runs");
    let report = String::from_utf8_lossy(&output.stderr).into_owned();
    let after = report.split("mean_volume:").nth(1).unwrap_or_else(|| panic!("FFmpeg measured nothing:\n{report}"));
    after.split_whitespace().next().and_then(|n| n.parse().ok()).expect("mean_volume: -x dB")
}
