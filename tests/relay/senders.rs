//! FFmpeg sends, FFmpeg receives, and every picture is compared.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::film::{after_film, pictures};
use crate::support::process::free_port;
use crate::support::rig::{PASSPHRASE, Rig};

const END: Duration = Duration::from_secs(20);

#[test]
fn two_programmes_at_once_encrypted_and_not_reach_their_outputs_picture_by_picture() {
    let port = free_port();
    let rig = Rig::new().programme("church", true).programme("guest", false);
    let rig = rig.recording("church").recording("guest").destination("church", port);
    let films = [rig.film("one", 6, "320x180"), rig.film("other", 6, "192x108")];
    let (mut receiver, file) = rig.receiver("receiver", port);
    let mut relay = rig.start();
    let query = format!("streamid=%23!::r=church-id,m=publish&passphrase={PASSPHRASE}");
    let mut church = rig.sender("church", &films[0], 0, &query);
    let mut guest = rig.sender("guest", &films[1], 1, "streamid=guest-id");
    let seen = rig.wait_for("both programmes to be live", "guest", |s| {
        s["source"] == json!({"input": "sender"}) && rig.programme_status("church")["sender"]["bitrate"] != 0
    });
    assert_eq!((&seen["sender"]["encrypted"], &seen["sender"]["bonding"]), (&json!(false), &json!("single")));
    assert_eq!(rig.programme_status("church")["sender"]["encrypted"], true);
    assert!(
        !rig.get("/status").contains("most-secret") && !rig.get("/metrics").contains("church-id"),
        "a secret is shown"
    );
    for sender in [&mut church, &mut guest] {
        assert!(sender.finish(END).success(), "{}", sender.log());
    }
    rig.wait_for("the slate", "church", |s| s["source"] == "slate");
    rig.wait_for("the other slate", "guest", |s| s["source"] == "slate");
    rig.end(&mut relay);
    receiver.finish(END);

    for (programme, film) in [("church", &films[0]), ("guest", &films[1])] {
        let recorded = rig.recorded(programme);
        assert!(after_film(&recorded[0], film, 0).is_empty(), "the slate has a file of its own");
    }
    let got = pictures(&file);
    let slate = after_film(&got, &films[0], 30);
    assert!(slate.iter().all(|picture| !films[0].pictures.contains(picture)), "a picture of the film came twice");
}

#[test]
fn a_sender_that_vanishes_is_replaced_by_the_slate_and_comes_back_within_the_same_publication() {
    let port = free_port();
    let rig = Rig::new().programme("church", true).recording("church").destination("church", port);
    let film = rig.film("film", 5, "320x180");
    let (mut receiver, file) = rig.receiver("receiver", port);
    let mut relay = rig.start();
    let query = format!("streamid=church-id&passphrase={PASSPHRASE}");
    let first = rig.sender("first", &film, 0, &query);
    rig.wait_for("publishing", "church", |s| s["outputs"][0]["state"]["is"] == "publishing");
    first.signal(Signal::SIGKILL);
    rig.wait_for("the slate", "church", |s| s["source"] == "slate");
    // Nothing was said to the relay, so the old session looks taken until it has been silent for long enough.
    rig.wait_for("the old session to be given up", "church", |s| s["sender"].is_null());
    let mut second = rig.sender("second", &film, 1, &query);
    rig.wait_for("the second sender to be live", "church", |s| s["source"] == json!({"input": "sender"}));
    assert!(second.finish(END).success(), "{}", second.log());
    let last = rig.wait_for("the slate again", "church", |s| s["source"] == "slate");
    assert_eq!((&last["senders"], &last["outputs"][0]["sessions"]), (&json!(2), &json!(1)));
    rig.end(&mut relay);
    receiver.finish(END);

    let got = pictures(&file);
    // The slate's pictures are none of the film's; what follows its last stretch but one is the whole film.
    let is_film = |picture: &String| film.pictures.contains(picture);
    let slate = got.iter().position(|picture| !is_film(picture)).expect("the slate was received");
    let again = got[slate..].iter().position(is_film).expect("the film was received again") + slate;
    after_film(&got[again..], &film, 30);
}
