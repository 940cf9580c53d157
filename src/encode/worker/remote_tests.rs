//! A worker that decodes what a sender delivers. The sender is another worker: its units, moved to a later time.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bytes::Bytes;

use super::tests::{RATE, Rig, assert_each_once, decoded, places, rendition};
use crate::capture::blockcode;
use crate::config::{AudioSettings, NetworkInput, RtmpInput, Sender, Source};
use crate::encode::protocol::ToWorker;
use crate::model::{AccessUnit, Codec, Feed, Media, NetworkLimits, Track, VideoGrid};

fn audio() -> Vec<AudioSettings> {
    vec![AudioSettings { codec: Codec::Aac, bitrate: 96_000 }]
}

fn network() -> Source {
    let rtmp = RtmpInput { listen: "127.0.0.1:1935".parse().unwrap(), app: "live".into(), key: None };
    Source::Network(NetworkInput {
        sender: Sender::Rtmp(rtmp),
        cushion: Duration::from_millis(200),
        pass_through: false,
        limits: NetworkLimits::USUAL,
    })
}

fn feed(unit: &AccessUnit, later: Media) -> Feed {
    let AccessUnit { track, pts, dts, key, .. } = *unit;
    Feed::Unit { track, key, pts: pts + later, dts: dts + later, payload: unit.payload.clone() }
}

#[test]
fn a_senders_pictures_are_shown_at_their_places_and_its_end_and_its_rubbish_end_nothing_else() {
    let sender = Rig::start(Source::Pattern { noise: false }, vec![rendition("main", (320, 180), 600_000)], audio());
    let mut sent = sender.accept().until(|u| u.get("main").is_some_and(|u| u.len() >= 150));
    sender.stop();
    let (pictures, sound) = (sent.remove("main").unwrap(), sent.remove("aac-96k").unwrap());

    let rig = Rig::start(network(), vec![rendition("main", (320, 180), 600_000)], audio());
    let mut plane = rig.accept();
    // On their places again, half a second from now.
    let grid = VideoGrid(RATE);
    let begin = grid.nearest(crate::clock::media() + Media::from_millis(500));
    let later = grid.time_of(begin) - pictures[0].pts;
    plane.wish(&ToWorker::Feed(Feed::Format(pictures[0].config.clone())));
    plane.wish(&ToWorker::Feed(Feed::Format(sound[0].config.clone())));
    let mut all: Vec<&AccessUnit> = pictures.iter().chain(&sound).collect();
    all.sort_by_key(|unit| unit.dts);
    all.iter().for_each(|unit| plane.wish(&ToWorker::Feed(feed(unit, later))));
    let units = plane.until(|u| u.get("main").is_some_and(|u| u.len() >= 120));
    let shown = &units["main"];
    assert_each_once(&places(shown, grid), "the sender's pictures");
    let first = grid.nearest(pictures[0].pts);
    let mut right = 0;
    for (place, code) in decoded(shown, blockcode::read) {
        let wanted = (first + place - begin).unsigned_abs();
        assert_eq!(code, Some(wanted), "the picture of place {place}");
        right += 1;
    }
    println!("{right} pictures, each in its place");

    // It ends; another begins with rubbish, and goes on with pictures.
    plane.wish(&ToWorker::Feed(Feed::End { reason: "it hung up".into() }));
    plane.told("stalled, no sound");
    plane.wish(&ToWorker::Feed(Feed::Format(pictures[0].config.clone())));
    let now = crate::clock::media();
    for n in 0..30 {
        let at = now + Media::from_millis(300 + n * 33);
        let payload = Bytes::from(vec![n as u8; 400]);
        plane.wish(&ToWorker::Feed(Feed::Unit { track: Track::Video, key: n == 0, pts: at, dts: at, payload }));
    }
    let later = now + Media::from_millis(1500) - pictures[0].pts;
    pictures.iter().for_each(|unit| plane.wish(&ToWorker::Feed(feed(unit, later))));
    plane.told("no sound");
    let report = rig.stop();
    assert!(report.has_picture, "{report:?}");
}
