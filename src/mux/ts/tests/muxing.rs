use super::*;
use crate::mux::ts::psi::{Assembler, parse_pmt};

const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x110;
const PMT_PID: u16 = 0x20;

fn beginnings(seen: &[Seen], pid: u16) -> Vec<&Seen> {
    seen.iter().filter(|packet| packet.pid == pid && packet.unit_start).collect()
}

fn steps(times: &[Media]) -> Vec<Media> {
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

#[test]
fn the_clock_comes_every_40_ms_and_says_the_time_its_payload_belongs_to() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut bench = Bench::with_slack(Settings::default(), move || Media(rng.i64(0..4_500_000)));
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 4), ms(60));
    // No encoder for a while: the clock goes on alone.
    bench.idle(START + ms(7000));
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    let clocks = clocks(&seen);
    let longest = steps(&clocks.iter().map(|c| c.1).collect::<Vec<_>>()).into_iter().max().unwrap();
    assert!(longest <= ms(40), "{longest:?}");
    let first = clocks[0].1 - clocks[0].0;
    assert!(clocks.iter().all(|(at, clock)| (*clock - *at - first).0.abs() <= 37), "more than a tick of jitter");
    assert!(clocks.last().unwrap().0 > START + ms(6960));
    let alone = seen.iter().filter(|packet| packet.adaptation.pcr.is_some() && !packet.has_payload).count();
    assert!((75..100).contains(&alone), "{alone} packets of nothing but the clock in 3 s");
}

#[test]
fn pictures_at_30_a_second_carry_the_clock_without_packets_of_its_own() {
    let mut bench = Bench::new(Settings::default());
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 3), ms(60));
    let alone = packets(&bench.payloads).iter().filter(|packet| !packet.has_payload).count();
    assert_eq!(alone, 0);
}

#[test]
fn tables_come_every_100_ms_and_before_each_keyframe() {
    let mut bench = Bench::new(Settings::default());
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 3), ms(60));
    bench.idle(START + ms(6000));
    let seen = packets(&bench.payloads);
    for pid in [0, PMT_PID] {
        let times: Vec<Media> = beginnings(&seen, pid).iter().map(|packet| packet.payload_at).collect();
        let longest = steps(&times).into_iter().max().unwrap();
        // Tables alone wait for company as long as sound does.
        assert!(longest <= ms(110), "{longest:?} on {pid:#x}");
    }
    for payload in bench.payloads.iter().filter(|payload| payload.key) {
        let pids: Vec<u16> = packets(std::slice::from_ref(payload)).iter().map(|packet| packet.pid).collect();
        assert_eq!(pids[..2], [0, PMT_PID]);
        let first = packets(std::slice::from_ref(payload)).into_iter().find(|packet| packet.pid == VIDEO_PID).unwrap();
        assert!(first.unit_start && first.adaptation.random_access && first.adaptation.pcr.is_some());
    }
    let marked = seen.iter().filter(|packet| packet.adaptation.random_access).count();
    assert_eq!(marked, bench.payloads.iter().filter(|payload| payload.key).count());
}

#[test]
fn a_unit_that_comes_in_time_is_ahead_of_the_clock_and_one_that_does_not_is_counted() {
    let sent = programme(Codec::H264, Codec::Aac, START, 2);
    let mut bench = Bench::new(Settings { delay: ms(300), ..Settings::default() });
    bench.feed(&sent, ms(299));
    assert_eq!(bench.muxer.counters().late, 0);

    let mut bench = Bench::new(Settings { delay: ms(300), ..Settings::default() });
    bench.feed(&sent, ms(310));
    let count = bench.muxer.counters();
    assert_eq!((count.late, count.latest), (count.units, ms(10)));
    assert!(count.units > 100, "late is not dropped");
}

#[test]
fn counters_and_clock_go_on_over_an_encoder_that_is_restarted_with_other_parameters() {
    let mut bench = Bench::new(Settings::default());
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 1), ms(60));
    let mut other = (*unit(Codec::H264, 0, START).config).clone();
    let mut record = other.record.to_vec();
    let last = record.len() - 1;
    // High profile's record ends in the number of SPS extensions; anything before is a parameter set.
    record[last - 4] ^= 0x10;
    other.record = record.into();
    let other = Arc::new(other);
    for n in 0..8 {
        let at = START + ms(3000 + 33 * n as i64);
        bench.idle(at + ms(60));
        bench.push(&AccessUnit { config: other.clone(), ..unit(Codec::H264, n, at) });
    }
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    let longest = steps(&clocks(&seen).iter().map(|c| c.1).collect::<Vec<_>>()).into_iter().max().unwrap();
    assert!(longest <= ms(40));
    let flagged: Vec<u16> = seen.iter().filter(|packet| packet.adaptation.discontinuity).map(|p| p.pid).collect();
    assert_eq!(flagged.len(), 5, "only the first packet of each: {flagged:x?}");
    assert_eq!(maps(&seen), [(0, vec![VIDEO_PID, AUDIO_PID])], "the same streams, the same map");
}

/// Versions of the programme map, and the streams in each.
fn maps(seen: &[Seen]) -> Vec<(u8, Vec<u16>)> {
    let mut found = Vec::new();
    for packet in beginnings(seen, PMT_PID) {
        let version = packet.body[6] >> 1 & 31;
        Assembler::default().push(&packet.body, true, |section| {
            let map = parse_pmt(&section.unwrap()).unwrap();
            found.push((version, map.streams.iter().map(|stream| stream.1).collect()));
        });
    }
    found.dedup();
    found
}

#[test]
fn a_stream_that_is_new_or_another_codec_makes_another_version_of_the_map() {
    let mut bench = Bench::new(Settings { sound: false, ..Settings::default() });
    for n in 0..8 {
        bench.push(&unit(Codec::H264, n, START + ms(33 * n as i64)));
    }
    bench.push(&unit(Codec::Aac, 0, START + ms(300)));
    assert_eq!(
        bench.push(&unit(Codec::Hevc, 1, START + ms(300))),
        Taken::Undecodable,
        "another codec begins with a key"
    );
    for n in 0..4 {
        bench.push(&unit(Codec::Hevc, n, START + ms(333 + 33 * n as i64)));
    }
    bench.push(&unit(Codec::Opus, 0, START + ms(500)));
    bench.push(&unit(Codec::H264, 0, START + ms(533)));
    bench.idle(START + ms(1000));
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    assert_eq!(
        maps(&seen),
        [
            (0, vec![0x100]),
            (1, vec![0x100, 0x110]),
            (2, vec![0x101, 0x110]),
            (3, vec![0x101, 0x111]),
            (4, vec![0x100, 0x111]),
        ]
    );
    let (outputs, demuxer) = demux(&bench.payloads);
    let codecs: Vec<_> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::Streams { video, audio, .. } => Some((*video, *audio)),
            Output::Unit(_) | Output::Gap(_) | Output::TimeBase { .. } => None,
        })
        .collect();
    let (h264, hevc) = (Some(Codec::H264), Some(Codec::Hevc));
    let (aac, opus) = (Some(Codec::Aac), Some(Codec::Opus));
    assert_eq!(codecs, [(h264, None), (h264, aac), (hevc, aac), (hevc, opus), (h264, opus)]);
    assert_eq!((units(&outputs, Track::Video).len(), units(&outputs, Track::Audio).len()), (13, 2));
    assert_eq!(demuxer.counters().lost, 0);
}

#[test]
fn the_first_map_waits_for_sound_but_not_for_ever() {
    let mut bench = Bench::new(Settings::default());
    bench.push(&unit(Codec::H264, 0, START));
    bench.idle(START + ms(30));
    bench.push(&unit(Codec::H264, 1, START + ms(33)));
    assert!(bench.payloads.is_empty());
    bench.push(&unit(Codec::Aac, 0, START + ms(20)));
    assert_eq!(maps(&packets(&bench.payloads)), [(0, vec![VIDEO_PID, AUDIO_PID])]);

    let mut bench = Bench::new(Settings::default());
    bench.push(&unit(Codec::H264, 0, START));
    bench.idle(START + ms(201));
    assert_eq!(bench.payloads[0].at, START + ms(200));
    assert_eq!(maps(&packets(&bench.payloads)), [(0, vec![VIDEO_PID])]);
}

#[test]
fn the_end_of_a_picture_does_not_wait_and_sound_not_long() {
    let mut bench = Bench::new(Settings { sound: false, ..Settings::default() });
    bench.push(&unit(Codec::H264, 0, START));
    bench.push(&unit(Codec::H264, 1, START + ms(33)));
    assert!(bench.muxer.poll_timeout().unwrap().0 > START, "nothing is left in the muxer");
    bench.idle(START + ms(40));
    bench.push(&unit(Codec::Aac, 0, START + ms(20)));
    let before = bench.payloads.len();
    bench.idle(START + ms(51));
    let sound: Vec<Media> = packets(&bench.payloads[before..])
        .into_iter()
        .filter(|packet| packet.pid == AUDIO_PID)
        .map(|packet| packet.payload_at)
        .collect();
    assert!(!sound.is_empty() && sound.iter().all(|at| *at <= START + ms(50)), "{sound:?}");
}

#[test]
fn nothing_is_sent_before_the_first_keyframe_and_nothing_undecodable_after_a_gap() {
    let mut bench = Bench::new(Settings::default());
    assert_eq!(bench.muxer.poll_timeout(), None);
    assert_eq!(bench.push(&unit(Codec::Aac, 0, START)), Taken::Undecodable);
    assert_eq!(bench.push(&unit(Codec::H264, 1, START)), Taken::Undecodable);
    assert!(bench.payloads.is_empty());
    assert_eq!(bench.push(&unit(Codec::H264, 4, START)), Taken::Muxed);
    let broken = AccessUnit { payload: Bytes::from_static(&[0, 0, 0, 9, 1]), ..unit(Codec::H264, 1, START) };
    assert!(matches!(bench.push(&broken), Taken::Refused(_)));
    assert_eq!(bench.push(&unit(Codec::H264, 2, START)), Taken::Undecodable);
    assert_eq!(bench.push(&unit(Codec::Aac, 2, START)), Taken::Muxed);
    assert_eq!(bench.push(&unit(Codec::H264, 0, START)), Taken::Muxed);
    let count = bench.muxer.counters();
    assert_eq!((count.units, count.undecodable, count.refused), (3, 3, 1));
}

#[test]
fn a_programme_of_sound_alone_has_its_clock_there() {
    let mut bench = Bench::new(Settings { pictures: false, ..Settings::default() });
    for n in 0..100 {
        let at = START + Media(n as i64 * 1024 * 1_000_000_000 / 48_000);
        bench.idle(at);
        bench.push(&unit(Codec::Aac, n, at));
    }
    bench.idle(START + ms(4000));
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    let longest = steps(&clocks(&seen).iter().map(|c| c.1).collect::<Vec<_>>()).into_iter().max().unwrap();
    assert!(longest <= ms(40), "{longest:?}");
    let (outputs, _) = demux(&bench.payloads);
    assert_eq!(units(&outputs, Track::Audio).len(), 100);
}

#[test]
fn a_caller_that_does_not_poll_costs_no_more_than_the_bound() {
    let mut muxer = Muxer::new(Settings::default());
    let mut slice = vec![0x65; 4 << 20];
    slice[..4].copy_from_slice(&((4u32 << 20) - 4).to_be_bytes());
    let large = AccessUnit { payload: slice.into(), ..unit(Codec::H264, 0, START) };
    let taken: Vec<Taken> = (0..12).map(|_| muxer.push(&large)).collect();
    assert_eq!(taken.iter().filter(|taken| **taken == Taken::Muxed).count(), 7);
    assert_eq!(taken.last(), Some(&Taken::Overflow));
    assert_eq!(muxer.push(&unit(Codec::H264, 1, START)), Taken::Undecodable);
    while muxer.poll(START).is_some() || muxer.poll(START + ms(200)).is_some() {}
    assert_eq!(muxer.push(&large), Taken::Muxed);
}

#[test]
fn a_discontinuity_is_marked_once_on_every_packet_identifier() {
    let mut bench = Bench::new(Settings::default());
    bench.feed(&programme(Codec::H264, Codec::Aac, START, 1), ms(60));
    let before = bench.payloads.len();
    bench.muxer.mark_discontinuity();
    bench.now = ms(0);
    bench.feed(&programme(Codec::H264, Codec::Aac, ms(0), 1), ms(60));
    let seen = packets(&bench.payloads);
    assert_continuous(&seen);
    let flagged: Vec<u16> =
        packets(&bench.payloads[before..]).iter().filter(|p| p.adaptation.discontinuity).map(|p| p.pid).collect();
    assert_eq!(flagged.len(), 5, "{flagged:x?}");
    let clock = packets(&bench.payloads[before..]).into_iter().find(|packet| packet.adaptation.pcr.is_some()).unwrap();
    assert!(clock.adaptation.discontinuity);
    let mut demuxer = Demuxer::new(source());
    let mut bases = Vec::new();
    for (n, payload) in bench.payloads.iter().enumerate() {
        demuxer.push(&payload.bytes, instant(START + ms(n as i64)));
        bases.extend(std::iter::from_fn(|| demuxer.poll()).filter(|o| matches!(o, Output::TimeBase { marked: true })));
    }
    assert_eq!((bases.len(), demuxer.counters().time_bases), (1, 1));
}
