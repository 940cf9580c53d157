//! Out of the relay by SRT: to libsrt as Debian has it, encrypted, and to FFmpeg over IPv6. Every picture once, at its time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::film::{FRAME, Film, after_film, found_in, timed_pictures, timed_sound};
use crate::support::process::Process;
use crate::support::rig::{PASSPHRASE, Rig, START, free_udp_port};
use crate::support::tools;
use crate::support::wait::wait_until;

const END: Duration = Duration::from_secs(20);
/// A time stamp of 90 kHz is rounded when it is read and again when it is written.
const ROUNDING: i64 = 2;

#[test]
fn what_goes_on_over_srt_is_every_picture_once_at_its_time() {
    let ports = [free_udp_port(), free_udp_port()];
    let (secret, latency) = (format!("passphrase = \"{PASSPHRASE}\""), "latency = \"300ms\"");
    let rig = Rig::new().programme("church", true);
    let rig = rig.output("church", "live-transmit", &format!("srt://127.0.0.1:{}", ports[0]), latency, &secret);
    let rig = rig.output("church", "ffmpeg", &format!("srt://[::1]:{}", ports[1]), latency, "");
    let film = rig.film("film", 8, "320x180");
    let receivers = [live_transmit(&rig, ports[0]), ffmpeg(&rig, ports[1])];
    let mut relay = rig.start();
    let mut sender = rig.sender("sender", &film, 0, &format!("streamid=church-id&passphrase={PASSPHRASE}"));
    let publishing = |s: &serde_json::Value| {
        s["outputs"]
            .as_array()
            .is_some_and(|all| all.len() == 2 && all.iter().all(|o| o["state"]["is"] == "publishing"))
    };
    rig.wait_for("both destinations to be sent to", "church", publishing);
    assert!(sender.finish(END).success(), "{}", sender.log());
    let last = rig.wait_for("the slate", "church", |s| s["source"] == "slate");
    for output in last["outputs"].as_array().unwrap() {
        assert_eq!((&output["sessions"], &output["lost"]), (&1.into(), &0.into()), "{output}");
    }
    rig.end(&mut relay);
    for (mut receiver, file) in receivers {
        // Most end by themselves when the relay hangs up.
        receiver.signal(Signal::SIGINT);
        receiver.finish(END);
        is_the_film(&film, &file);
    }
}

/// Every picture of the film once, then the slate, on the same grid; the sound with them as it was with the film's.
fn is_the_film(film: &Film, file: &Path) {
    let (got, sent) = (timed_pictures(file), timed_pictures(&film.file));
    let digests: Vec<String> = got.iter().map(|(_, digest)| digest.clone()).collect();
    // A destination begins with the first keyframe after it was connected.
    let slate = after_film(&digests, film, 90);
    assert!(slate.iter().all(|picture| !film.pictures.contains(picture)), "a picture of the film came twice");
    let steps: Vec<i64> = got.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    let of_film = got.len() - slate.len();
    assert!(steps[..of_film - 1].iter().all(|step| *step == FRAME), "{steps:?}");
    // At the end of the file FFmpeg brings out what its decoder still held, without times of its own.
    assert!(slate.is_empty() || steps[of_film - 1] >= FRAME, "{steps:?}");

    let (got_sound, sent_sound) = (timed_sound(file, true), timed_sound(&film.file, true));
    let begin = found_in(&got_sound[..40], &sent_sound).expect("the sound is the film's");
    // Not counted from the end: the film's last picture may be missing.
    let first = sent.iter().position(|(_, digest)| *digest == got[0].1).expect("begins with a picture of the film");
    let (there, here) = (sent_sound[begin].0 - sent[first].0, got_sound[0].0 - got[0].0);
    println!(
        "{}: {of_film} of {} pictures, {} of the slate, sound off by {} ticks",
        file.display(),
        sent.len(),
        slate.len(),
        here - there
    );
    assert!((here - there).abs() <= ROUNDING, "sound was {there} ticks after the picture, and is {here}");
}

/// srt-live-transmit listens and writes what it gets.
fn live_transmit(rig: &Rig, port: u16) -> (Process, PathBuf) {
    let file = rig.dir.path().join("live-transmit.ts");
    File::create(&file).unwrap();
    let url = format!("srt://127.0.0.1:{port}?mode=listener&latency=300&transtype=live&passphrase={PASSPHRASE}");
    let mut command = Command::new("sh");
    let script = "exec srt-live-transmit -q -a no -chunk 1316 -loglevel fatal \"$0\" file://con >\"$1\"";
    command.args(["-c", script, &url]).arg(&file);
    (listening(rig, "live-transmit", port, &mut command), file)
}

/// FFmpeg listens on IPv6 and copies what it gets.
fn ffmpeg(rig: &Rig, port: u16) -> (Process, PathBuf) {
    let file = rig.dir.path().join("ffmpeg.ts");
    let mut command = tools::ffmpeg();
    command
        .args(["-copyts", "-i", &format!("srt://[::1]:{port}?mode=listener&latency=300000&timeout=60000000")])
        .args(["-map", "0", "-c", "copy", "-muxdelay", "0", "-muxpreload", "0", "-f", "mpegts", "-y"])
        .arg(&file);
    (listening(rig, "ffmpeg", port, &mut command), file)
}

fn listening(rig: &Rig, name: &str, port: u16, command: &mut Command) -> Process {
    let process = rig.guard.spawn(name, command);
    let end = format!(":{port:04X}");
    let sockets =
        || ["/proc/net/udp", "/proc/net/udp6"].map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let is_there = || {
        let tables = sockets();
        tables.iter().flat_map(|t| t.lines()).any(|l| l.split_whitespace().nth(1).is_some_and(|a| a.ends_with(&end)))
    };
    wait_until(&format!("{name} to listen"), START, is_there);
    process
}
