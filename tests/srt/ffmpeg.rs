//! FFmpeg 9: a film as MPEG-TS, compared picture by picture where it arrives.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::endpoint::peer::{Peer, tool, words};
use crate::pipes::{Case, PASSPHRASE, Piped, all_cases, free_port, wait_until};
use crate::table::{Row, judge, side_by_side};
use holdfast::clock;
use holdfast::model::Media;

const SOON: Duration = Duration::from_secs(30);
/// Pictures of the film that are compared.
const PICTURES: usize = 75;
/// ... and those after them, since FFmpeg may throw away what it has not sent yet at its end, whatever its linger.
const TAIL: usize = 25;

fn ffmpeg() -> Command {
    let mut command = Command::new(tool("bin/ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
    command
}

/// Four seconds of a test picture in 25 frames a second, padded to a constant rate.
fn film(directory: &Path) -> std::path::PathBuf {
    let file = directory.join("film.ts");
    let mut command = ffmpeg();
    command
        .args(["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25"])
        .args(["-frames:v", &(PICTURES + TAIL).to_string()]);
    command.args("-c:v libx264 -preset ultrafast -g 25 -bf 0 -b:v 1500k -maxrate 1500k -bufsize 500k".split(' '));
    command.args("-muxrate 2M -f mpegts".split(' ')).arg(&file);
    assert!(command.status().expect("FFmpeg starts").success());
    file
}

/// The digest of each picture that can be decoded.
fn pictures(file: &Path) -> Vec<String> {
    let mut command = Command::new(tool("bin/ffmpeg"));
    command.args(["-hide_banner", "-nostdin", "-loglevel", "quiet", "-i"]).arg(file);
    command.args(["-map", "0:v", "-f", "framehash", "-"]).stdout(Stdio::piped());
    let output = command.output().expect("FFmpeg starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let hashes = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit(',').next());
    hashes.map(|hash| hash.trim().to_owned()).collect()
}

fn url(case: &Case, port: u16) -> String {
    let mode = if case.it_calls { "caller" } else { "listener" };
    let keys = match case.key_bytes {
        0 => String::new(),
        bytes => format!("&passphrase={PASSPHRASE}&pbkeylen={bytes}"),
    };
    // FFmpeg counts latency in microseconds.
    format!("srt://127.0.0.1:{port}?mode={mode}&latency=300000&transtype=live&pkt_size=1316&linger=2{keys}")
}

fn carry(case: &Case, film: &Path, original: &[String], directory: &Path) -> Row {
    let port = free_port();
    let name = case.name("FFmpeg");
    let arrived = directory.join(format!("{}.ts", name.replace([' ', ','], "-")));
    let mut command = ffmpeg();
    let mut listening: Option<Peer> = None;
    let place = format!("--type none --latency 300 127.0.0.1:{port}");
    let keys = match case.key_bytes {
        0 => String::new(),
        bytes => format!("--passphrase {PASSPHRASE} --key-bytes {bytes}"),
    };
    let ours = match case.it_sends {
        true => format!("receive --seconds 10 --file {} {keys} {place}", arrived.display()),
        false => format!("send --seconds 20 --rate 2000000 --file {} {keys} {place}", film.display()),
    };
    if case.it_sends {
        command
            .args(["-re", "-i"])
            .arg(film)
            .args(["-c", "copy", "-muxrate", "2M", "-f", "mpegts"])
            .arg(url(case, port));
    } else {
        command.args(["-i", &url(case, port), "-c", "copy", "-f", "mpegts"]).arg(&arrived);
    }
    if case.it_calls {
        let mut peer = Peer::holdfast(&words(&format!("listen {ours}")));
        peer.line("READY", SOON);
        listening = Some(peer);
    }
    let mut child = Piped(command.spawn().expect("FFmpeg starts"));
    let mut ours = listening.unwrap_or_else(|| Peer::holdfast(&words(&format!("call {ours}"))));
    ours.line("CONNECTED", SOON);
    let report = ours.report(SOON);
    if !case.it_sends {
        // It ends by itself when we are gone.
        let until = clock::media() + Media::from_millis(5000);
        while clock::media() < until && child.0.try_wait().expect("ours").is_none() {
            wait_until(clock::media() + Media::from_millis(50));
        }
    }
    drop(child);
    let right = pictures(&arrived).iter().zip(original).take(PICTURES).filter(|(a, b)| a == b).count();
    let remark = format!("{} payloads", report[if case.it_sends { "received" } else { "sent" }]);
    let missing = (PICTURES - right) as u64;
    Row { case: name, sent: PICTURES as u64, received: right as u64, missing, remark }
}

#[test]
fn ffmpeg_both_ways() {
    let directory = tempfile::tempdir().expect("a place for files");
    let film = film(directory.path());
    let original = pictures(&film);
    assert_eq!(original.len(), PICTURES + TAIL);
    let rows = side_by_side(4, &all_cases(), |case| carry(case, &film, &original, directory.path()));
    judge("FFmpeg 9, pictures", &rows);
}
