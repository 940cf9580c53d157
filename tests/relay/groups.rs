//! A group of libsrt's sends a film to the relay's two ports; each of its members is cut off and comes back meanwhile.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use holdfast::netem::Conditions;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};
use serde_json::Value;

use crate::support::film::{AAC, Film, H264, Make, TAIL, after_film};
use crate::support::rig::{PASSPHRASE, Rig};

/// Long enough for a member to be given up (5 s), to come back and to carry alone, on a busy machine too.
const SECONDS: u32 = 24;
/// Bits per second.
const RATE: &str = "1500000";
const END: Duration = Duration::from_secs(60);

#[test]
fn a_broadcast_group_of_libsrts_loses_a_member_and_gets_it_back_without_a_gap() {
    carried("broadcast");
}

#[test]
fn a_backup_group_of_libsrts_loses_a_member_and_gets_it_back_without_a_gap() {
    carried("backup");
}

fn carried(kind: &str) {
    let rig = Rig::new().programme("church", true).recording("church");
    // A constant rate, so that a sender that knows no transport streams can pace it.
    let mux = ["-muxrate", RATE];
    let make = Make { seconds: SECONDS, size: "320x180", picture: H264, sound: AAC, mux: &mux, tail: TAIL };
    let mut film = Film::make(rig.dir.path(), "film", make);
    let mut relay = rig.start();
    let cables = [("main", 10), ("spare", 15)].into_iter().zip(rig.ports).map(|((name, delay), port)| {
        let [listen, target] = [0, port].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        Cable::new(name, Conditions::delayed(Duration::from_millis(delay)), Wiring::Udp { listen, target, from: None })
    });
    let mut network = Emulator::start(cables.collect(), 7).unwrap();
    let ends = ["main", "spare"].map(|name| network.address(name).unwrap());
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/srt_group_peer"));
    command
        .args(["call", "send", "--type", kind, "--rejoin", "--latency", "600", "--stream-id", "church-id"])
        .args(["--passphrase", PASSPHRASE, "--key-bytes", "16", "--rate", RATE, "--file"])
        .arg(&film.file)
        .args([format!("{},50", ends[0]), format!("{},20", ends[1])]);
    let mut sender = rig.guard.spawn("sender", &mut command);

    let on = |s: &Value, port: u16| {
        let paths = s["sender"]["paths"].as_array().cloned().unwrap_or_default();
        paths.into_iter().find(|path| path["to"].as_str().is_some_and(|to| to.ends_with(&format!(":{port}"))))
    };
    let [main, spare] = rig.ports;
    let two = rig.wait_for("both members, and the first to bring packets", "church", |s| {
        on(s, spare).is_some() && on(s, main).is_some_and(|path| path["first"].as_u64() > Some(100))
    });
    assert_eq!(two["sender"]["bonding"], *kind);
    network.order("main hole").unwrap();
    let alone = rig.wait_for("the member without a way to be given up", "church", |s| on(s, main).is_none());
    let before = on(&alone, spare).map_or(0, |path| path["first"].as_u64().unwrap_or(0));
    assert!(before > 100, "the spare carried nothing: {alone}");
    network.order("main heal").unwrap();
    rig.wait_for("the member to be back and to bring packets", "church", |s| {
        on(s, main).is_some_and(|path| path["received"].as_u64() > Some(20))
    });
    network.order("spare hole").unwrap();
    // For its repetitions to be missed, and not for long enough to be given up.
    rig.wait_for("the other member to be silent", "church", |s| {
        on(s, spare).is_some_and(|path| path["silent_ms"].as_u64() > Some(1500))
    });
    network.order("spare heal").unwrap();
    assert!(sender.finish(END).success(), "{}", sender.log());

    let last = rig.wait_for("the sender to have gone", "church", |s| s["sender"].is_null());
    println!("{kind}: {} packets missing, {}", last["totals"]["missing"], last["totals"]);
    assert!(sender.log().contains("REJOIN 1 connected"), "{}", sender.log());
    assert_eq!((&last["senders"], &last["totals"]["missing"]), (&1.into(), &0.into()), "{last}");
    assert_eq!(
        (&last["totals"]["continuity_errors"], &last["totals"]["pictures"]),
        (&0.into(), &(SECONDS * 30).into())
    );
    // A picture ends where the next begins. After the last one this peer waits for a second before it hangs up, and by
    // then the slate has taken its place.
    film.pictures.pop();
    rig.end(&mut relay);
    assert!(after_film(&rig.recorded("church")[0], &film, 0).is_empty(), "the slate has a file of its own");
}
