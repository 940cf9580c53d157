//! A film, and the bytes of its packets, for what arrives in the form that they have in the file.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools;

/// Pictures of a second of film.
pub const RATE: u32 = 30;

/// One packet of a film.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// When it is shown, nanoseconds.
    pub at: i64,
    pub bytes: Vec<u8>,
}

/// A film as MP4, whose packets are in the form that the box uses: AVCC or HVCC without parameter sets, raw AAC.
pub struct Film {
    pub file: PathBuf,
    pub pictures: Vec<Packet>,
    pub sound: Vec<Packet>,
}

impl Film {
    /// A moving picture, 320x180, whose pictures are reordered, with a tone.
    pub fn make(dir: &Path, encoder: &str, seconds: u32) -> Self {
        let file = dir.join("film.mp4");
        let (picture, tone) = (
            format!("testsrc2=size=320x180:rate={RATE}:duration={seconds}"),
            format!("sine=frequency=440:sample_rate=48000:duration={seconds}"),
        );
        let mut command = tools::ffmpeg();
        command.args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &tone, "-c:v", encoder]);
        command.args(["-preset", "veryfast", "-bf", "3", "-g", "30", "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2"]);
        run(command.arg("-y").arg(&file));
        let [pictures, sound] = ["0:v", "0:a"].map(|track| packets(&file, track));
        assert_eq!(pictures.len(), (RATE * seconds) as usize);
        Self { file, pictures, sound }
    }
}

/// The packets of a track as they stand in the file: FFmpeg's list says when and how long, its dump has the bytes.
fn packets(file: &Path, track: &str) -> Vec<Packet> {
    let read = |format: &[&str]| {
        run(tools::ffmpeg().arg("-i").arg(file).args(["-map", track, "-c", "copy", "-f"]).args(format).arg("-"))
    };
    let list = String::from_utf8(read(&["framecrc"])).unwrap();
    let base = list.lines().find_map(|line| line.strip_prefix("#tb 0: 1/")).expect("a time base");
    let base: i64 = base.trim().parse().unwrap();
    let dump = read(&["data"]);
    let mut rest = dump.as_slice();
    let mut packets = Vec::new();
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<i64> = line.split(',').take(5).map(|field| field.trim().parse().unwrap()).collect();
        let (bytes, after) = rest.split_at(fields[4] as usize);
        packets.push(Packet { at: fields[2] * 1_000_000_000 / base, bytes: bytes.to_vec() });
        rest = after;
    }
    assert!(rest.is_empty(), "{} bytes of the dump belong to no packet", rest.len());
    packets
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
