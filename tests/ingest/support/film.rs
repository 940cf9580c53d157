//! A film to be sent, and the packets that are in it: FFmpeg lists them, each with its times and its digest.

use std::path::{Path, PathBuf};

use super::tools;

/// A film as an MP4 file.
pub struct Film {
    pub file: PathBuf,
    /// In decoding order.
    pub pictures: Vec<Packet>,
    pub sound: Vec<Packet>,
}

/// One packet of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Packet {
    /// Seconds.
    pub dts: f64,
    pub pts: f64,
    pub bytes: usize,
    /// SHA-256 of its bytes, hexadecimal.
    pub digest: String,
}

/// H.264 whose pictures are reordered, as most encoders do.
pub const H264: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30"];
pub const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=2:keyint=30",
    "-tag:v",
    "hvc1",
];
/// No picture depends on a later one.
pub const HEVC_IN_ORDER: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=0:keyint=30",
    "-tag:v",
    "hvc1",
];
/// Likewise.
pub const AV1: &[&str] = &["-c:v", "libsvtav1", "-preset", "11", "-g", "30", "-svtav1-params", "pred-struct=1"];
/// Frames that look ahead are hidden until it is their turn.
pub const AV1_AHEAD: &[&str] = &["-c:v", "libsvtav1", "-preset", "11", "-g", "30", "-svtav1-params", "pred-struct=2"];
pub const AAC: &[&str] = &["-c:a", "aac", "-ac", "2"];
pub const OPUS: &[&str] = &["-c:a", "libopus", "-b:a", "96k", "-ac", "2"];

impl Film {
    /// A moving picture of 320x180 with a tone. `rate` as FFmpeg writes it.
    pub fn make(dir: &Path, name: &str, rate: &str, seconds: u32, picture: &[&str], sound: &[&str]) -> Self {
        let file = dir.join(format!("{name}.mp4"));
        let mut command = tools::ffmpeg();
        let moving = format!("testsrc2=size=320x180:rate={rate}:duration={seconds}");
        let tone = format!("sine=frequency=440:sample_rate=48000:duration={seconds}");
        command.args(["-f", "lavfi", "-i", &moving, "-f", "lavfi", "-i", &tone]).args(picture).args(sound);
        let output = command.args(["-pix_fmt", "yuv420p", "-y"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let (pictures, sound) = (packets(&file, "0:v"), packets(&file, "0:a"));
        assert!(!pictures.is_empty() && !sound.is_empty());
        Self { file, pictures, sound }
    }
}

/// The packets of one stream of a file, as they stand in it.
fn packets(file: &Path, stream: &str) -> Vec<Packet> {
    let mut command = tools::ffmpeg();
    command.arg("-i").arg(file).args(["-map", stream, "-c", "copy", "-f", "framehash", "-hash", "sha256", "-"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap();
    let (num, den) = base.split_once('/').unwrap();
    let tick = num.parse::<f64>().unwrap() / den.parse::<f64>().unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let packets = lines.map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        let time = |field: &str| field.parse::<f64>().unwrap() * tick;
        Packet {
            dts: time(fields[1]),
            pts: time(fields[2]),
            bytes: fields[4].parse().unwrap(),
            digest: fields[5].to_owned(),
        }
    });
    packets.collect()
}

/// The digest of bytes, as FFmpeg writes it.
pub fn digest(bytes: &[u8]) -> String {
    ring::digest::digest(&ring::digest::SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
