//! Films to be sent, and what is in a file that was received: each picture and each packet of sound by its digest, with
//! the time it belongs to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tools;

/// Ticks of 90 kHz in a picture, 30 of them a second.
pub const FRAME: i64 = 3000;

/// A film as a transport stream, and what is in it.
pub struct Film {
    pub file: PathBuf,
    /// The digest of each picture, in the order they are shown.
    pub pictures: Vec<String>,
}

/// How a film is made: FFmpeg's arguments.
#[derive(Clone, Copy)]
pub struct Make<'a> {
    pub seconds: u32,
    pub size: &'a str,
    pub picture: &'a [&'a str],
    pub sound: &'a [&'a str],
    pub mux: &'a [&'a str],
    /// How much longer the sound is. FFmpeg throws away what it has not sent yet when it ends, whatever its linger; that
    /// is to be sound.
    pub tail: Duration,
}

/// Long enough for that, and far too short for the last picture, which ends when the sender does, to count as stalled.
pub const TAIL: Duration = Duration::from_millis(120);

/// H.264 whose pictures are reordered, as most encoders do.
pub const H264: &[&str] = &["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p"];
pub const AAC: &[&str] = &["-c:a", "aac", "-ac", "2"];

impl Film {
    /// A moving picture at 30 a second with a tone, as `make` says.
    pub fn make(dir: &Path, name: &str, make: Make<'_>) -> Self {
        let file = dir.join(format!("{name}.ts"));
        let mut command = tools::ffmpeg();
        let seconds = Duration::from_secs(make.seconds.into());
        let picture = format!("testsrc2=size={}:rate=30:duration={}", make.size, make.seconds);
        let sound = format!("sine=frequency=440:sample_rate=48000:duration={}", (seconds + make.tail).as_secs_f64());
        command
            .args(["-f", "lavfi", "-i", &picture, "-f", "lavfi", "-i", &sound])
            .args(make.picture)
            .args(make.sound)
            .args(make.mux)
            .args(["-f", "mpegts", "-y"])
            .arg(&file);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let pictures = pictures(&file);
        assert_eq!(pictures.len(), 30 * make.seconds as usize);
        Self { file, pictures }
    }
}

/// The digest of each picture of a file, decoded by FFmpeg.
pub fn pictures(file: &Path) -> Vec<String> {
    timed_pictures(file).into_iter().map(|(_, digest)| digest).collect()
}

/// The pictures of a file: when each is shown, in ticks of 90 kHz, and its digest. Each in its own size.
pub fn timed_pictures(file: &Path) -> Vec<(i64, String)> {
    digests(file, &["-map", "0:v", "-noautoscale", "-fps_mode", "passthrough"])
}

/// The packets of sound of a file, not decoded; AAC without its ADTS headers.
pub fn timed_sound(file: &Path, is_adts: bool) -> Vec<(i64, String)> {
    let filter: &[&str] = if is_adts { &["-bsf:a", "aac_adtstoasc"] } else { &[] };
    digests(file, &[&["-map", "0:a", "-c", "copy"], filter].concat())
}

fn digests(file: &Path, arguments: &[&str]) -> Vec<(i64, String)> {
    let mut command = tools::ffmpeg();
    command.arg("-copyts").arg("-i").arg(file).args(arguments).args(["-enc_time_base", "1:90000"]);
    let output = command.args(["-f", "framemd5", "-"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/90000");
    let (num, den) = base.split_once('/').unwrap();
    let (num, den): (i64, i64) = (num.parse().unwrap(), den.parse().unwrap());
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let timed = lines.map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<i64>().unwrap() * 90_000 * num / den, fields[5].to_owned())
    });
    timed.collect()
}

/// Asserts that `got` begins with the end of `film`, of which at most `missed` pictures are left out at its beginning.
/// Returns what comes after.
///
/// A picture ends where the next begins, and the last one when its sender hangs up. Where that takes long, on a machine that
/// does other things as well, the slate has its place: the picture that was sent last may be missing, which for reordered
/// pictures is one of the last three.
pub fn after_film<'g>(got: &'g [String], film: &Film, missed: usize) -> &'g [String] {
    let first = got.first().unwrap_or_else(|| panic!("nothing was received"));
    let begin = film.pictures.iter().position(|picture| picture == first).expect("begins with a picture of the film");
    assert!(begin <= missed, "begins only with picture {begin}");
    let mut wanted = film.pictures[begin..].to_vec();
    let all = wanted.len();
    let without = (1..=3.min(all)).map(|back| {
        let mut some = wanted.clone();
        some.remove(all - back);
        some
    });
    if !got.starts_with(&wanted) {
        wanted = without.into_iter().find(|some| got.starts_with(some)).unwrap_or(wanted);
    }
    assert!(got.len() >= wanted.len(), "{} of {} pictures", got.len(), wanted.len());
    for (n, (wanted, got)) in wanted.iter().zip(got).enumerate() {
        assert_eq!(wanted, got, "picture {n} of {}", film.pictures.len());
    }
    &got[wanted.len()..]
}

/// Where in `whole` the packets of `part` begin; all of them must follow one another there.
pub fn found_in(part: &[(i64, String)], whole: &[(i64, String)]) -> Option<usize> {
    let digests = |packets: &[(i64, String)]| packets.iter().map(|(_, digest)| digest.clone()).collect::<Vec<_>>();
    let (part, whole) = (digests(part), digests(whole));
    whole.windows(part.len().max(1)).position(|window| window == part)
}
