//! Who is not let in, and that nobody else notices.

use std::time::Duration;

use crate::support::rig::{PASSPHRASE, Rig};

#[test]
fn callers_without_the_right_words_are_refused_counted_and_told() {
    let rig = Rig::new().programme("church", true).programme("guest", false);
    let mut relay = rig.start();
    let film = rig.film("film", 4, "160x90");
    for (name, query, reason) in [
        ("wrong", "streamid=church-id&passphrase=seven fat years".to_owned(), "wrong-passphrase"),
        ("without", "streamid=church-id".to_owned(), "passphrase-missing"),
        ("too-many", format!("streamid=guest-id&passphrase={PASSPHRASE}"), "passphrase-unexpected"),
        ("unknown", "streamid=no-such-secret-id".to_owned(), "unknown-stream-id"),
        ("request", "streamid=#!::r=guest-id,m=request".to_owned(), "not-a-sender"),
    ] {
        let status = rig.sender(name, &film, 0, &query).finish(Duration::from_secs(20));
        assert!(!status.success(), "{name} was let in");
        assert_eq!(rig.metric(&format!("holdfast_relay_refused_total{{reason=\"{reason}\"}}")), 1.0, "{name}");
    }

    let mut first = rig.sender("first", &film, 0, &format!("streamid=church-id&passphrase={PASSPHRASE}"));
    rig.wait_for("the first sender to be in", "church", |s| s["sender"].is_object());
    let status = rig.sender("second", &film, 1, &format!("streamid=church-id&passphrase={PASSPHRASE}"));
    assert!(!{ status }.finish(Duration::from_secs(20)).success(), "a second sender was let in");
    assert_eq!(rig.metric("holdfast_relay_refused_total{reason=\"programme-busy\"}"), 1.0);
    assert!(first.finish(Duration::from_secs(20)).success(), "the first sender was disturbed:\n{}", first.log());
    let church = rig.wait_for("the first sender to have gone", "church", |s| s["sender"].is_null());
    assert_eq!(church["totals"]["pictures"], film.pictures.len());
    assert_eq!(church["totals"]["continuity_errors"], 0);
    assert_eq!(church["senders"], 1);

    rig.end(&mut relay);
    let everything = format!("{}{}", relay.log(), church);
    for secret in [PASSPHRASE, "no-such-secret-id", "church-id", "seven fat years"] {
        assert!(!everything.contains(secret), "{secret:?} is in the log");
    }
    assert!(everything.contains("\"reason\":\"programme-busy\""), "{everything}");
}
