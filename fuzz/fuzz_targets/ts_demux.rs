//! A transport stream in any pieces; what comes out of it goes through our own muxer, whose stream must be without fault.
#![no_main]

use std::time::{Duration, Instant};

use holdfast::model::{AccessUnit, InputId, Media, RenditionId, Track};
use holdfast::mux::ts::{Demuxer, Muxer, Output, PACKET, PAYLOAD, Settings, Source};
use libfuzzer_sys::fuzz_target;

fn demuxer() -> Demuxer {
    Demuxer::new(Source {
        input: InputId::new("relay").expect("a name"),
        rendition: RenditionId::new("main").expect("a name"),
        programme: None,
        rate: None,
        video_bitrate: 0,
        audio_bitrate: 0,
    })
}

fn units(demuxer: &mut Demuxer, into: &mut Vec<AccessUnit>) {
    while let Some(output) = demuxer.poll() {
        if let Output::Unit(unit) = output {
            into.push(unit);
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [piece, rate, data @ ..] = data else { return };
    let (mut now, mut read) = (holdfast::clock::now(), Vec::new());
    let mut first = demuxer();
    for bytes in data.chunks(usize::from(*piece) * 7 + 1) {
        now += Duration::from_millis(1);
        first.push(bytes, now);
        units(&mut first, &mut read);
    }
    first.flush(now);
    units(&mut first, &mut read);
    let packets = first.counters().packets;
    assert!(packets as usize <= data.len() / PACKET);

    // On a clock of our own: the stream's may stand still or jump.
    let rate = (rate & 1 == 1).then_some(u64::from(*rate) * 100_000 + 1_000_000);
    let pictures = read.iter().any(|unit| unit.track == Track::Video);
    let mut muxer = Muxer::new(Settings { rate, pictures, sound: false, ..Settings::default() });
    let mut second = demuxer();
    let (mut at, mut again) = (Media::ZERO, Vec::new());
    let mut drain = |muxer: &mut Muxer, at: Media, now: Instant| {
        while let Some(payload) = muxer.poll(at) {
            assert!(!payload.bytes.is_empty() && payload.bytes.len() <= PAYLOAD && payload.bytes.len() % PACKET == 0);
            second.push(&payload.bytes, now);
            units(&mut second, &mut again);
        }
        second.counters()
    };
    for unit in &read {
        at = at + Media::from_millis(5);
        muxer.push(&AccessUnit { pts: at + Media::from_millis(10), dts: at, ..unit.clone() });
        let count = drain(&mut muxer, at, now + at.to_duration());
        assert_eq!((count.continuity, count.sync_losses, count.unusable, count.tables, count.lost), (0, 0, 0, 0, 0));
        if let Some((due, _)) = muxer.poll_timeout() {
            assert!(rate.is_some() || due >= at);
        }
    }
});
