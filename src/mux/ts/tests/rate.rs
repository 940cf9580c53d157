use super::*;
use crate::mux::ts::packet::NULL_PID;

const RATE: u64 = 1_000_000;

fn constant() -> Settings {
    Settings { rate: Some(RATE), ..Settings::default() }
}

#[test]
fn a_constant_rate_is_constant_and_its_clock_exact() {
    let mut rng = fastrand::Rng::with_seed(3);
    let mut bench = Bench::with_slack(constant(), move || Media(rng.i64(0..3_000_000)));
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 4), ms(60));
    bench.idle(START + ms(5000));
    assert!(bench.payloads.iter().all(|payload| payload.bytes.len() == PAYLOAD));
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    let seconds = (bench.payloads.last().unwrap().at - bench.payloads[0].at).0 as f64 / 1e9;
    let rate = ((seen.len() - PACKETS) * PACKET * 8) as f64 / seconds;
    assert!((rate - RATE as f64).abs() < 1.0, "{rate} bit/s");
    // The clock advances with the packets, to a tick of 27 MHz and the rounding of the packet's time.
    let mut unwrap = Unwrap::default();
    let places: Vec<(i64, Media)> =
        (0i64..).zip(&seen).filter_map(|(n, packet)| Some((n, unwrap.clock(packet.adaptation.pcr?)))).collect();
    for pair in places.windows(2) {
        let by_packets = (pair[1].0 - pair[0].0) * (PACKET as i64) * 8 * 1_000_000_000 / RATE as i64;
        let by_clock = (pair[1].1 - pair[0].1).0;
        assert!((by_clock - by_packets).abs() <= 40, "{by_clock} ns instead of {by_packets}");
        assert!(by_clock <= 40_000_000, "{by_clock} ns between two clock references");
    }
    assert!(seen.iter().any(|packet| packet.pid == NULL_PID));
    let (outputs, demuxer) = demux(&bench.payloads);
    let sent = programme(Codec::H264, Codec::Aac, START, 4);
    let first = sent.iter().position(|unit| unit.track == Track::Video).unwrap();
    let sound = sent[first..].iter().filter(|unit| unit.track == Track::Audio).count();
    assert_eq!((units(&outputs, Track::Video).len(), units(&outputs, Track::Audio).len()), (120, sound));
    assert_eq!((demuxer.counters().continuity, demuxer.counters().lost), (0, 0));
    assert_eq!(bench.muxer.counters().late, 0);
}

#[test]
fn more_than_the_rate_carries_is_late_and_then_dropped_up_to_a_keyframe() {
    // Pictures of 4000 bytes, 30 a second, are twice the rate.
    let mut bench = Bench::new(Settings { rate: Some(500_000), delay: ms(200), sound: false, ..Settings::default() });
    let mut dropped = Vec::new();
    for n in 0..400 {
        let picture = unit(Codec::H264, n, START + ms(33 * n as i64));
        let mut payload = vec![if picture.key { 0x65 } else { 0x41 }; 4000];
        payload[..4].copy_from_slice(&3996u32.to_be_bytes());
        bench.idle(picture.dts);
        if bench.push(&AccessUnit { payload: payload.into(), ..picture }) != Taken::Muxed {
            dropped.push(n);
        }
    }
    let count = bench.muxer.counters();
    assert!(count.late > 0 && count.overflow > 0, "{count:?}");
    assert!(count.latest <= ms(2500), "hardly more than 2 s wait: {:?}", count.latest);
    let resumed = dropped.windows(2).filter(|pair| pair[1] != pair[0] + 1).map(|pair| pair[0] + 1);
    assert!(resumed.clone().count() > 0 && resumed.into_iter().all(|n| n % 4 == 0), "{dropped:?}");
    let (outputs, _) = demux(&bench.payloads);
    // The last was being sent when the test ended.
    let gaps = outputs.iter().filter(|output| matches!(output, Output::Gap(_))).count();
    assert!(gaps <= 1, "whole units are dropped, not packets");
}

#[test]
fn a_poll_that_comes_seconds_late_does_not_send_seconds_of_padding() {
    let mut bench = Bench::new(Settings { sound: false, ..constant() });
    bench.push(&unit(Codec::H264, 0, START));
    bench.idle(START + ms(100));
    let before = bench.payloads.len();
    bench.now = START + ms(10_000);
    bench.drain();
    assert!(bench.payloads.len() - before <= 2);
    assert_eq!(bench.muxer.counters().stalls, 1);
    assert_continuous(&packets(&bench.payloads));
}
