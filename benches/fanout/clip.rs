//! The clip both subjects send: made once by FFmpeg 9 from the film, and split into access units for our feeder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::model::{AudioFormat, Codec, CodecConfig, FrameRate, TrackFormat, VideoFormat};
use holdfast::mux::canonical::Canonicaliser;

pub const FPS: u32 = 30;
const SECONDS: u32 = 12;
const AUDIO_SAMPLES: u32 = 1024;

/// One encoded picture or packet.
#[derive(Clone, Debug)]
pub struct Unit {
    pub key: bool,
    pub payload: Bytes,
}

/// The clip.
#[derive(Debug)]
pub struct Clip {
    pub file: PathBuf,
    pub video: Vec<Unit>,
    pub audio: Vec<Unit>,
    pub video_config: Arc<CodecConfig>,
    pub audio_config: Arc<CodecConfig>,
}

pub fn tool(path: &str) -> PathBuf {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools").join(path);
    assert!(tool.exists(), "{} is missing: run scripts/setup --test once (make bench-fanout does)", tool.display());
    tool
}

fn ffmpeg(input: &Path, arguments: &[&str], output: &Path) {
    let mut command = Command::new(tool("bin/ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y", "-stream_loop", "-1", "-i"]).arg(input);
    let status = command.args(arguments).arg(output).status().expect("FFmpeg starts");
    assert!(status.success(), "FFmpeg could not make {}", output.display());
}

impl Clip {
    pub fn prepare() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (file, h264, adts) = (dir.join("fanout.flv"), dir.join("fanout.h264"), dir.join("fanout.aac"));
        let length = SECONDS.to_string();
        if !adts.exists() {
            let rate = FPS.to_string();
            let encode = [
                "-t",
                &length,
                "-vf",
                "fps=30,format=yuv420p",
                "-r",
                &rate,
                "-c:v",
                "libx264",
                "-preset",
                "veryfast",
                "-bf",
                "0",
                "-b:v",
                "6M",
                "-minrate",
                "6M",
                "-maxrate",
                "6M",
                "-bufsize",
                "6M",
                "-g",
                "60",
                "-keyint_min",
                "60",
                "-sc_threshold",
                "0",
                "-x264-params",
                "nal-hrd=cbr:force-cfr=1",
                "-c:a",
                "aac",
                "-ac",
                "2",
                "-ar",
                "48000",
                "-b:a",
                "128k",
            ];
            ffmpeg(&tool("bigbuckbunny.mp4"), &encode, &file);
            let video =
                ["-t", &length, "-map", "0:v", "-c", "copy", "-bsf:v", "h264_mp4toannexb,h264_metadata=aud=insert"];
            ffmpeg(&file, &[&video[..], &["-f", "h264"]].concat(), &h264);
            ffmpeg(&file, &["-t", &length, "-map", "0:a", "-c", "copy", "-f", "adts"], &adts);
        }
        let video_format = TrackFormat::Video(VideoFormat { width: 1280, height: 720, rate: FrameRate::whole(FPS) });
        let audio_format = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: AUDIO_SAMPLES });
        let read = |file: &Path| Bytes::from(std::fs::read(file).expect("just made"));
        let (video, video_config) = units(Codec::H264, video_format, 6_000_000, split_annex_b(&read(&h264)));
        let (audio, audio_config) = units(Codec::Aac, audio_format, 128_000, split_adts(&read(&adts)));
        Self { file, video, audio, video_config, audio_config }
    }

    pub fn video_bits_per_second(&self) -> f64 {
        bits(&self.video) * f64::from(FPS) / self.video.len() as f64
    }

    pub fn audio_bits_per_second(&self) -> f64 {
        bits(&self.audio) * 48_000.0 / f64::from(AUDIO_SAMPLES) / self.audio.len() as f64
    }

    pub fn keyframe_seconds(&self) -> f64 {
        let keys = self.video.iter().filter(|u| u.key).count();
        self.video.len() as f64 / keys as f64 / f64::from(FPS)
    }
}

fn bits(units: &[Unit]) -> f64 {
    units.iter().map(|u| u.payload.len()).sum::<usize>() as f64 * 8.0
}

fn units(codec: Codec, format: TrackFormat, bitrate: u32, raw: Vec<Bytes>) -> (Vec<Unit>, Arc<CodecConfig>) {
    let mut canonical = Canonicaliser::new(codec, format, bitrate);
    let mut config = None;
    let units = raw
        .into_iter()
        .map(|bytes| {
            let unit = canonical.push(bytes).expect("FFmpeg's output is well-formed");
            config.get_or_insert(unit.config);
            Unit { key: unit.key, payload: unit.payload }
        })
        .collect();
    (units, config.expect("the clip is not empty"))
}

/// At access unit delimiters, of which the first may have parameter sets before it.
fn split_annex_b(stream: &Bytes) -> Vec<Bytes> {
    let delimiters = stream.windows(4).enumerate().filter(|(_, w)| *w == [0, 0, 1, 9]).map(|(i, _)| i);
    let mut starts: Vec<usize> = delimiters.collect();
    starts[0] = 0;
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts.iter().zip(ends).map(|(&from, to)| stream.slice(from..to)).collect()
}

fn split_adts(stream: &Bytes) -> Vec<Bytes> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at + 7 <= stream.len() {
        let length =
            usize::from(stream[at + 3] & 3) << 11 | usize::from(stream[at + 4]) << 3 | usize::from(stream[at + 5]) >> 5;
        frames.push(stream.slice(at..at + length));
        at += length;
    }
    frames
}
