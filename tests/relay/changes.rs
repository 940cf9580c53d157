//! Senders that change: where they come from, and what they send.

use std::time::Duration;

use serde_json::Value;

use crate::support::film::{AAC, Film, H264, Make, TAIL, after_film, pictures};
use crate::support::process::free_port;
use crate::support::rig::{PASSPHRASE, Rig};

const END: Duration = Duration::from_secs(20);

#[test]
fn a_sender_may_come_over_ipv6() {
    let rig = Rig::listening(["[::1]", "[::]"]);
    let rig = rig.programme("church", true).recording("church").programme("guest", false).recording("guest");
    let mut relay = rig.start();
    let film = rig.film("film", 4, "160x90");
    let input = ["-i", film.file.to_str().unwrap()];
    let [own, all] = rig.ports;
    let query = format!("streamid=church-id&passphrase={PASSPHRASE}");
    let mut church = rig.sender_to("church", &input, &format!("[::1]:{own}"), &query);
    // A port at [::] takes callers over IPv4 as well.
    let mut guest = rig.sender_to("guest", &input, &format!("127.0.0.1:{all}"), "streamid=guest-id");
    for (name, from) in [("church", "[::1]:"), ("guest", "127.0.0.1")] {
        let seen = rig.wait_for("a sender", name, |s| s["sender"].is_object());
        let found = seen["sender"]["from"].as_str().unwrap();
        assert!(found.contains(from), "{name} comes from {found}");
    }
    for sender in [&mut church, &mut guest] {
        assert!(sender.finish(END).success(), "{}", sender.log());
    }
    for name in ["church", "guest"] {
        let last = rig.wait_for("the slate", name, |s| s["source"] == "slate" && s["sender"].is_null());
        assert_eq!(last["totals"]["missing"], 0);
    }
    rig.end(&mut relay);
    for name in ["church", "guest"] {
        assert!(after_film(&rig.recorded(name)[0], &film, 0).is_empty(), "the slate has a file of its own");
    }
}

#[test]
fn a_sender_that_changes_its_size_takes_the_outputs_with_it() {
    let port = free_port();
    let rig = Rig::new().programme("church", true).recording("church").destination("church", port);
    let films = [("small", "320x180", Duration::ZERO), ("large", "480x270", TAIL)].map(|(name, size, tail)| {
        let make = Make { seconds: 4, size, picture: H264, sound: AAC, mux: &[], tail };
        Film::make(rig.dir.path(), name, make)
    });
    let (mut receiver, file) = rig.receiver("receiver", port);
    let mut relay = rig.start();
    let list = rig.dir.path().join("list.txt");
    let lines = films.iter().map(|film| format!("file {}\n", film.file.display()));
    std::fs::write(&list, lines.collect::<String>()).unwrap();
    // One connection and one stream, whose parameter sets change half-way.
    let input = ["-f", "concat", "-safe", "0", "-i", list.to_str().unwrap()];
    let to = format!("127.0.0.1:{}", rig.ports[0]);
    let mut sender = rig.sender_to("sender", &input, &to, &format!("streamid=church-id&passphrase={PASSPHRASE}"));
    rig.wait_for("the small picture", "church", |s| s["picture"]["width"] == 320);
    rig.wait_for("the large picture", "church", |s| s["picture"]["width"] == 480);
    assert!(sender.finish(END).success(), "{}", sender.log());
    let last = rig.wait_for("the slate", "church", |s| s["source"] == "slate");
    assert_eq!((&last["senders"], &last["outputs"][0]["sessions"]), (&1.into(), &1.into()), "{last}");
    rig.end(&mut relay);
    receiver.finish(END);

    // Each in a file of its own, and one after the other in one connection.
    let recorded = rig.recorded("church");
    for (film, recorded) in films.iter().zip(&recorded) {
        assert!(after_film(recorded, film, 0).is_empty(), "more than the film");
    }
    let got = pictures(&file);
    let rest = after_film(&got, &films[0], 30);
    after_film(rest, &films[1], 0);

    let events = rig.events();
    let changed: Vec<&Value> = events.iter().filter(|e| e["kind"] == "format-changed").collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!((&changed[0]["subject"], &changed[0]["severity"]), (&"church".into(), &"info".into()));
    assert!(changed[0]["reason"].as_str().is_some_and(|reason| reason.contains("480x270")), "{changed:?}");
    // Everything that is told of a programme says of which, and that it is the relay's.
    assert!(events.iter().all(|e| e["from"] == "relay"), "{events:?}");
    for kind in ["switched", "output-publishing", "recording-opened", "sender-connected", "format-changed"] {
        let of_kind: Vec<&Value> = events.iter().filter(|e| e["kind"] == kind).collect();
        assert!(!of_kind.is_empty() && of_kind.iter().all(|e| e["evidence"]["programme"] == "church"), "{of_kind:?}");
    }
}

#[test]
fn a_sender_with_another_codec_lets_the_outputs_begin_anew() {
    let port = free_port();
    let rig = Rig::new().programme("church", true).recording("church").destination("church", port);
    let first = rig.film("first", 3, "160x90");
    let hevc = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:keyint=30:bframes=0"];
    let make = Make {
        seconds: 4,
        size: "160x90",
        picture: &[&hevc[..], &["-pix_fmt", "yuv420p"]].concat(),
        sound: AAC,
        mux: &[],
        tail: TAIL,
    };
    let second = Film::make(rig.dir.path(), "second", make);
    let (mut receiver, _) = rig.receiver("receiver", port);
    let mut relay = rig.start();
    let query = format!("streamid=church-id&passphrase={PASSPHRASE}");
    for (name, film) in [("first", &first), ("second", &second)] {
        let mut sender = rig.sender(name, film, 0, &query);
        rig.wait_for("the sender to be live", "church", |s| s["source"]["input"] == "sender");
        assert!(sender.finish(END).success(), "{}", sender.log());
        rig.wait_for("the sender to have gone", "church", |s| s["sender"].is_null());
    }
    let status = rig.programme_status("church");
    assert_eq!((&status["picture"]["codec"], &status["senders"]), (&"hevc".into(), &2.into()));
    rig.end(&mut relay);
    receiver.finish(END);
    let recorded = rig.recorded("church");
    after_film(&recorded[0], &first, 0);
    let last = recorded.last().expect("the second film was recorded");
    assert!(after_film(last, &second, 0).is_empty(), "more than the film");
    let events = rig.events();
    let changed: Vec<&Value> = events.iter().filter(|e| e["kind"] == "format-changed").collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert_eq!(changed[0]["severity"], "warning");
}
