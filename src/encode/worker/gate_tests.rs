//! The gate with real encoders behind it.
#![allow(clippy::unwrap_used)]

use super::tests::{RATE, Rig, assert_each_once, places, rendition};
use super::*;
use crate::config::Source;
use crate::encode::protocol::Gate;
use crate::model::{Codec, Media, VideoGrid};

#[test]
fn only_what_is_on_air_is_encoded_and_an_opening_begins_with_a_keyframe() {
    let audio = vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }];
    let rig = Rig::start(Source::Pattern { noise: false }, vec![rendition("main", (320, 180), 300_000)], audio);
    let mut plane = rig.accept_on_standby();
    // Three seconds of sound, and with them no picture at all.
    let standby = plane.until(|u| u.get("aac-96k").is_some_and(|u| u.len() >= 140));
    assert!(!standby.contains_key("main"), "{} pictures nobody asked for", standby["main"].len());

    let mut shown = Vec::new();
    for _ in 0..3 {
        let asked = clock::media();
        plane.wish(&ToWorker::SetGate { gate: Gate::Open });
        let units = plane.until(|u| u.get("main").is_some_and(|u| u.len() >= 45)).remove("main").unwrap();
        assert!(units[0].key, "an opening begins in the middle of a group");
        let places = places(&units, VideoGrid(RATE));
        assert_each_once(&places, "one opening");
        let from = (units[0].pts - asked).to_ticks(1_000_000);
        println!("    asked -> the first picture's time {from} us");
        assert!(units[0].pts > asked - Media::from_millis(1000), "not from before");
        plane.wish(&ToWorker::SetGate { gate: Gate::Closed });
        // What was let through before the wish arrived still comes, and then there is silence for a second and more.
        let rest = plane.until(|u| u.get("aac-96k").is_some_and(|u| u.len() >= 70));
        let rest = rest.get("main").cloned().unwrap_or_default();
        let last = rest.last().or(units.last()).unwrap().pts;
        assert!(rest.len() < 60, "{} pictures after the gate was closed", rest.len());
        shown.push((units.len() + rest.len(), last));
    }
    let report = rig.stop();
    let main = report.streams.iter().find(|s| s.rendition.as_str() == "main").unwrap();
    let passed: usize = shown.iter().map(|(count, _)| count).sum();
    println!("    encoded {} for the programme, received {passed}; {} while standing by", main.encoded, main.stood_by);
    assert_eq!(main.encoded, passed as u64, "each picture on air once");
    assert!((3..60).contains(&main.stood_by), "{} pictures to keep the encoder warm", main.stood_by);
}
