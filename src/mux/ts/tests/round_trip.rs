use super::*;
use crate::model::CodecConfig;

const PAIRS: [(Codec, Codec); 5] = [
    (Codec::H264, Codec::Aac),
    (Codec::Hevc, Codec::Opus),
    (Codec::Av1, Codec::Opus),
    (Codec::H264, Codec::Opus),
    (Codec::Av1, Codec::Aac),
];
const LATENCY: Media = Media::from_millis(80);
const DELAY: Media = Media::from_millis(500);

/// The units that a receiver must get: from the first keyframe on, sound only after it.
fn expected(units: &[Arc<AccessUnit>], track: Track) -> Vec<&AccessUnit> {
    let first = units.iter().position(|unit| unit.track == Track::Video && unit.key).unwrap();
    units[first..].iter().filter(|unit| unit.track == track).map(|unit| &**unit).collect()
}

fn assert_same(got: &[&AccessUnit], expected: &[&AccessUnit]) {
    assert_eq!(got.len(), expected.len());
    for (n, (got, expected)) in got.iter().zip(expected).enumerate() {
        assert_eq!((&got.payload, got.key), (&expected.payload, expected.key), "unit {n}");
        let off = [got.pts - expected.pts - DELAY, got.dts - expected.dts - DELAY];
        assert!(off.iter().all(|off| off.0.abs() <= 5556), "unit {n} is off by {off:?}, more than half a tick");
        let (a, b): (&CodecConfig, &CodecConfig) = (&got.config, &expected.config);
        assert_eq!((a.codec, &a.record), (b.codec, &b.record), "unit {n}");
        // The fixture's format says 1024 samples for Opus too; its packets are of 960.
        assert!(a.format == b.format || a.codec == Codec::Opus, "unit {n}: {:?}", a.format);
    }
}

#[test]
fn every_codec_comes_back_as_it_went_in() {
    for (video, audio) in PAIRS {
        let sent = programme(video, audio, START, 2);
        let mut bench = Bench::new(Settings::default());
        bench.feed(&sent, LATENCY);
        let (outputs, demuxer) = demux(&bench.payloads);
        for track in [Track::Video, Track::Audio] {
            assert_same(&units(&outputs, track), &expected(&sent, track));
        }
        let count = demuxer.counters();
        let faults = [count.continuity, count.sync_losses, count.skipped, count.unusable, count.tables, count.lost];
        assert_eq!(
            (faults, count.malformed, count.untimed, count.time_bases),
            ([0; 6], 0, 0, 0),
            "{video:?}, {audio:?}"
        );
        let streams = outputs.iter().filter(|output| matches!(output, Output::Streams { .. })).count();
        assert_eq!(streams, 1, "{video:?}, {audio:?}: the map is complete from the first");
    }
}

#[test]
fn time_stamps_and_clock_go_over_the_wrap_of_33_bits() {
    // 26.5 hours: half a second before PTS wraps, a second before the clock does.
    let wrap = Media((1 << 33) * 100_000 / 9);
    let start = wrap - ms(1000);
    let end = wrap + ms(500);
    let sent = programme(Codec::H264, Codec::Aac, start, 3);
    let mut bench = Bench::new(Settings::default());
    bench.now = start;
    bench.feed(&sent, LATENCY);
    let (outputs, demuxer) = demux(&bench.payloads);
    for track in [Track::Video, Track::Audio] {
        assert_same(&units(&outputs, track), &expected(&sent, track));
    }
    assert_eq!(demuxer.counters().time_bases, 0);
    let dts: Vec<Media> = units(&outputs, Track::Video).iter().map(|unit| unit.dts).collect();
    assert!(dts.first() < Some(&wrap) && dts.last() > Some(&end));
}

fn silent() -> Bench {
    Bench::new(Settings { sound: false, ..Settings::default() })
}

/// H.264 units of the given sizes: a keyframe, then one slice each.
fn sized(sizes: &[usize]) -> Vec<AccessUnit> {
    let mut made = vec![unit(Codec::H264, 0, START)];
    for (n, size) in (1i64..).zip(sizes) {
        let mut slice = vec![0xa5; *size];
        slice[0] = 0x41;
        let payload = [&(*size as u32).to_be_bytes()[..], &slice].concat();
        let at = START + ms(33 * n);
        made.push(AccessUnit { payload: payload.into(), key: false, ..unit(Codec::H264, 1, at) });
    }
    made
}

#[test]
fn units_of_every_size_fill_their_packets_exactly() {
    let around = |middle: usize| middle - 12..middle + 12;
    // One to three packets; and where the PES packet's length stops fitting into 16 bits.
    let sizes: Vec<usize> = (1..600).chain(around(65_515)).chain([100_000, 300_001]).collect();
    let sent = sized(&sizes);
    let mut bench = silent();
    for unit in &sent {
        bench.idle(unit.dts);
        bench.push(unit);
    }
    assert_continuous(&packets(&bench.payloads));
    let (outputs, demuxer) = demux(&bench.payloads);
    assert_same(&units(&outputs, Track::Video), &sent.iter().collect::<Vec<_>>());
    assert_eq!(demuxer.counters().lost, 0);
}

#[test]
fn a_large_picture_comes_out_before_the_next_one_is_there() {
    // 170 to 184 bytes in the last packet: with and without room for the end mark beside them.
    for size in 184 * 400..184 * 401 {
        let sent = sized(&[size]);
        let mut bench = silent();
        let mut demuxer = Demuxer::new(Source { rate: Some(crate::model::FrameRate::whole(30)), ..source() });
        sent.iter().for_each(|unit| {
            bench.push(unit);
        });
        bench.payloads.iter().for_each(|payload| demuxer.push(&payload.bytes, instant(payload.at)));
        let outputs: Vec<Output> = std::iter::from_fn(|| demuxer.poll()).collect();
        assert_eq!(units(&outputs, Track::Video).len(), 2, "a picture of {size} bytes");
    }
}

#[test]
fn pictures_that_are_shown_later_than_decoded_keep_both_times() {
    let mut sent = sized(&[50; 20]);
    for (n, unit) in sent.iter_mut().enumerate() {
        unit.pts = unit.dts + ms([66, 133, 0][n % 3]);
    }
    let mut bench = silent();
    sent.iter().for_each(|unit| {
        bench.push(unit);
    });
    let (outputs, _) = demux(&bench.payloads);
    assert_same(&units(&outputs, Track::Video), &sent.iter().collect::<Vec<_>>());
}

#[test]
fn whoever_joins_at_a_keyframe_payload_can_decode_at_once() {
    let sent = programme(Codec::H264, Codec::Aac, START, 2);
    let mut bench = Bench::new(Settings::default());
    bench.feed(&sent, LATENCY);
    let keys: Vec<usize> = (0..bench.payloads.len()).filter(|n| bench.payloads[*n].key).collect();
    assert_eq!(keys.len(), sent.iter().filter(|unit| unit.track == Track::Video && unit.key).count());
    let (outputs, demuxer) = demux(&bench.payloads[keys[5]..]);
    assert!(units(&outputs, Track::Video)[0].key);
    let count = demuxer.counters();
    assert_eq!((count.continuity, count.lost, count.undecodable), (0, 0, 0));
}
