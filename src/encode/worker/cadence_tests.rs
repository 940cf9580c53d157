//! What changes of bit rate cost with real encoders: what the table says of each family, measured.
#![allow(clippy::unwrap_used)]

use super::tests::{RATE, Rig, places, rendition};
use super::*;
use crate::config::Source;
use crate::encode::protocol::Gate;
use crate::encode::table::{self, Change};
use crate::model::{Codec, VideoGrid};

/// Pictures between two changes: not a divisor of the group's thirty, so that changes fall anywhere in one.
const APART: usize = 13;
const CHANGES: u32 = 8;

#[test]
fn keyframes_that_changes_of_bit_rate_cost_are_what_the_table_says() {
    for (family, codec) in [("x264", Codec::H264), ("openh264", Codec::H264), ("x265", Codec::Hevc)] {
        let main = RenditionSettings {
            codec,
            encoder: EncoderChoice::Family(Name::new(family).unwrap()),
            ..rendition("main", (320, 180), 400_000)
        };
        let rig = Rig::start(Source::Pattern { noise: false }, vec![main], Vec::new());
        let mut plane = rig.accept_on_standby();
        plane.wish(&ToWorker::SetGate { gate: Gate::Open });
        let mut units = Vec::new();
        for n in 0..=CHANGES {
            units.extend(plane.until(|u| u.get("main").is_some_and(|u| u.len() >= APART)).remove("main").unwrap());
            if n < CHANGES {
                // Another each time: what an encoder has already is no change.
                let (rendition, bitrate) = (RenditionId::new("main").unwrap(), 380_000 - n * 20_000);
                plane.wish(&ToWorker::SetBitrate { rendition, bitrate });
            }
        }
        units.extend(plane.until(|u| u.get("main").is_some_and(|u| u.len() >= 30)).remove("main").unwrap());
        let numbers = places(&units, VideoGrid(RATE));
        let keys = units.iter().zip(&numbers).filter(|(unit, _)| unit.key).map(|(_, place)| *place);
        let off_cadence = keys.skip(1).filter(|place| place % 30 != 0).count();
        let report = rig.stop();
        let main = &report.streams[0];
        let (changes, cost) = (main.bitrate_changes, main.keyframes_by_bitrate);
        println!(
            "    {}: {changes} changes, {cost} keyframes by them; {off_cadence} keyframes off the cadence arrived",
            main.encoder
        );
        // Two wishes before one picture are one change on a busy machine.
        assert!((4..=u64::from(CHANGES)).contains(&changes), "{changes}");
        let (_, element) = table::element(&main.encoder).unwrap();
        match element.bitrate.change {
            // Where a place was left out, on a busy machine, a group begins a place later.
            Change::Smooth => {
                let holes = numbers.windows(2).filter(|pair| pair[1] != pair[0] + 1).count();
                let most = u64::try_from(holes).unwrap();
                assert!(cost <= most && off_cadence <= holes, "{family}: {cost}, {off_cadence} with {holes} holes");
            }
            // One that falls where a group begins costs nothing.
            Change::FirstKeyframe => assert!(cost <= 1 && off_cadence <= 1, "{family}: {cost}, {off_cadence}"),
            Change::Keyframe => assert!(cost <= changes && cost + 3 >= changes, "{family}: {cost} of {changes}"),
            Change::Anew => unreachable!("{family} is not among them"),
        }
    }
}
