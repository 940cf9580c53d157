//! A worker whose encoders have no session while its input is not on air.
#![allow(clippy::unwrap_used)]

use super::tests::{RATE, Rig, assert_each_once, places, rendition};
use crate::config::profile::StandbyMode;
use crate::config::{AudioSettings, Source};
use crate::encode::protocol::{Gate, ToWorker};
use crate::model::{Codec, TruthSettings, VideoGrid};

#[test]
fn a_cold_encoder_is_opened_for_each_turn_on_air_and_makes_nothing_between() {
    let audio = vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }];
    let renditions = vec![rendition("main", (320, 180), 300_000)];
    let source = Source::Pattern { noise: false };
    let rig = Rig::start_with(source, TruthSettings::DECODED, renditions, audio, StandbyMode::Cold);
    let mut plane = rig.accept_on_standby();
    let before = plane.until(|u| u.get("aac-96k").is_some_and(|u| u.len() >= 60));
    assert!(!before.contains_key("main"), "it was fed while it was closed");
    let mut last = None;
    for turn in 0..3 {
        plane.wish(&ToWorker::SetGate { gate: Gate::Open });
        let units = plane.until(|u| u.get("main").is_some_and(|u| u.len() >= 40));
        plane.wish(&ToWorker::SetGate { gate: Gate::Closed });
        let on_air = &units["main"];
        let late = |n: usize| units["aac-96k"].iter().take_while(|sound| sound.pts < on_air[n].pts).count();
        println!("turn {turn}: the first picture after {} packets of sound", late(0));
        assert!(on_air[0].key, "turn {turn} begins in the middle of a group");
        let shown = places(on_air, VideoGrid(RATE));
        assert_each_once(&shown, "a turn");
        assert!(last.is_none_or(|last| shown[0] > last), "turn {turn} begins before the last one ended");
        last = shown.last().copied();
        // What was made before it heard of that; and then nothing for a second.
        let after = plane.until(|u| u.get("aac-96k").is_some_and(|u| u.len() >= 90));
        let rest = after.get("main").map_or(0, Vec::len);
        assert!(rest < 30, "turn {turn}: {rest} pictures after it was closed");
        last = after.get("main").and_then(|rest| places(rest, VideoGrid(RATE)).last().copied()).or(last);
    }
    let report = rig.stop();
    let main = report.streams.iter().find(|s| s.rendition.as_str() == "main").unwrap();
    assert_eq!(main.stood_by, 0, "{main:?}");
}
