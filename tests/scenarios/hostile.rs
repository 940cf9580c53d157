//! Whoever can open the media socket says whatever it likes; the programme does not notice.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use holdfast::encode::protocol::PROTOCOL;
use holdfast::events::Command;

use crate::support::config::Configuration;
use crate::support::process::resident_kib;
use crate::support::receiver::Ffmpeg;
use crate::support::results::record;
use crate::support::rig::{Rig, live, repetitions};

const FPS: u32 = 30;

fn message(kind: u8, stream: u16, announced: u32, body: &[u8]) -> Vec<u8> {
    let mut out = vec![0x48, kind];
    out.extend(stream.to_be_bytes());
    out.extend(announced.to_be_bytes());
    out.extend(body);
    out
}

fn hello(input: &str) -> Vec<u8> {
    let body = format!(r#"{{"protocol":{PROTOCOL},"input":"{input}","pid":1}}"#);
    message(1, 0, body.len() as u32, body.as_bytes())
}

/// Things no worker says.
fn attacks(random: &mut fastrand::Rng) -> Vec<Vec<u8>> {
    let mut unit = vec![1, 0, 0, 0];
    unit.extend(i64::MAX.to_be_bytes());
    unit.extend(i64::MIN.to_be_bytes());
    vec![
        Vec::new(),
        (0..4096).map(|_| random.u8(..)).collect(),
        message(1, 0, u32::MAX, b"{"),
        message(3, 0, 16 << 20, &[0; 100]),
        message(3, 63, 20, &unit),
        message(99, 0, 0, b""),
        message(2, u16::MAX, 2, &[0xff, 0xff]),
        hello("pattern")[..10].to_vec(),
        hello("nobody"),
        [hello("nobody"), message(3, 5, 20, &unit)].concat(),
        message(1, 0, 60_000, "[".repeat(60_000).as_bytes()),
    ]
}

#[test]
fn a_hostile_peer_on_the_media_socket_does_not_touch_the_programme() {
    let mut rig = Rig::new("hostile-peer");
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    rig.configure(
        &Configuration::new(FPS).pattern("pattern").rendition("main", "h264", "640x360", "700k", "aac").destination(
            "ffmpeg",
            "main",
            &ffmpeg.url(),
        ),
    );
    rig.go_on_air("pattern");
    rig.wait_publishing(&["ffmpeg"]);
    rig.let_pass(3);
    let (transmit, worker) = (rig.transmit_pid(), rig.worker_pid("pattern"));
    let before = resident_kib(transmit).expect("the data plane runs");

    let mut random = fastrand::Rng::with_seed(11);
    let mut open = Vec::new();
    let mut sent = 0;
    for _ in 0..repetitions(5, 100) {
        for attack in attacks(&mut random) {
            // Refused, hung up on and half read are all fine.
            let Ok(mut socket) = UnixStream::connect(rig.paths.media_socket()) else { continue };
            let _ = socket.set_write_timeout(Some(Duration::from_millis(200)));
            let _ = socket.write_all(&attack);
            sent += 1;
            open.push(socket);
        }
        rig.let_pass(1);
    }
    // Connections that say nothing and stay.
    for _ in 0..100 {
        open.extend(UnixStream::connect(rig.paths.media_socket()));
    }
    rig.let_pass(5);
    let after = resident_kib(transmit).expect("the data plane was not killed");
    assert_eq!(rig.transmit_pid(), transmit, "the data plane was replaced");
    assert_eq!(rig.worker_pid("pattern"), worker, "the worker was replaced");
    rig.wait_for_source(&live("pattern"));
    let held = open.len();
    drop(open);
    rig.order(Command::Stop);
    let recording = ffmpeg.recording();
    rig.shut_down();

    let count = recording.count();
    record(
        "hostile-peer",
        &[
            ("attacks", sent.to_string()),
            ("connections_held", held.to_string()),
            ("frames", count.frames.to_string()),
            ("lost", count.lost.to_string()),
            ("memory_grew_kib", (after as i64 - before as i64).to_string()),
        ],
    );
    assert!(count.is_perfect(), "{count}");
    assert!(after < before + 32 * 1024, "the data plane grew from {before} to {after} KiB");
}
