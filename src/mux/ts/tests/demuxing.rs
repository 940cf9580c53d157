use proptest::prelude::*;

use super::*;

fn stream(video: Codec, audio: Codec) -> (Vec<Arc<AccessUnit>>, Vec<Payload>) {
    let sent = programme(video, audio, START, 1);
    let mut bench = Bench::new(Settings::default());
    bench.feed(&sent, ms(60));
    (sent, bench.payloads)
}

fn joined(payloads: &[Payload]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| payload.bytes.iter().copied()).collect()
}

fn take_apart(pieces: impl IntoIterator<Item = impl AsRef<[u8]>>) -> (Vec<Output>, Demuxer) {
    let mut demuxer = Demuxer::new(source());
    let mut outputs = Vec::new();
    for piece in pieces {
        demuxer.push(piece.as_ref(), instant(START));
        outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    }
    demuxer.flush(instant(START));
    outputs.extend(std::iter::from_fn(|| demuxer.poll()));
    (outputs, demuxer)
}

/// Whether each unit that came out is one that went in.
fn only_real_units(outputs: &[Output], sent: &[Arc<AccessUnit>]) -> bool {
    [Track::Video, Track::Audio].into_iter().all(|track| {
        units(outputs, track).iter().all(|got| {
            sent.iter().any(|unit| unit.track == track && unit.payload == got.payload && unit.key == got.key)
        })
    })
}

#[test]
fn a_lost_packet_costs_its_unit_and_is_counted_where_it_was() {
    let (sent, payloads) = stream(Codec::H264, Codec::Aac);
    let bytes = joined(&payloads);
    let whole = units(&take_apart([&bytes]).0, Track::Video).len();
    // One from the middle of a picture, and all of a packet of sound.
    let chosen = |pid: u16, begins: bool, from: usize| {
        (from..bytes.len() / PACKET).find(|n| {
            let packet = Packet::parse(bytes[n * PACKET..][..PACKET].try_into().unwrap()).unwrap();
            packet.pid == pid && packet.unit_start == begins
        })
    };
    let lost = [chosen(0x100, false, 30).unwrap(), chosen(0x110, true, 90).unwrap()];
    let rest: Vec<&[u8]> =
        bytes.chunks(PACKET).enumerate().filter(|(n, _)| !lost.contains(n)).map(|(_, packet)| packet).collect();
    let (outputs, demuxer) = take_apart(rest);
    assert!(only_real_units(&outputs, &sent));
    assert_eq!(units(&outputs, Track::Video).len(), whole - 1);
    let gaps: Vec<Track> =
        outputs.iter().filter_map(|o| if let Output::Gap(track) = o { Some(*track) } else { None }).collect();
    assert_eq!(gaps, [Track::Video, Track::Audio]);
    let count = demuxer.counters();
    // Whether anything began in a lost packet, nobody can tell.
    assert_eq!((count.continuity, count.lost), (2, 1));
    let errors: Vec<(u16, u64)> =
        demuxer.pids().filter(|(_, c)| c.errors > 0).map(|(pid, c)| (pid, c.errors)).collect();
    assert_eq!(errors, [(0x100, 1), (0x110, 1)]);
}

#[test]
fn a_packet_that_comes_twice_changes_nothing() {
    let (_, payloads) = stream(Codec::Hevc, Codec::Opus);
    let bytes = joined(&payloads);
    let once = take_apart([&bytes]).0;
    let twice: Vec<&[u8]> = bytes.chunks(PACKET).flat_map(|packet| [packet, packet]).collect();
    let (outputs, demuxer) = take_apart(twice);
    assert_eq!(units(&outputs, Track::Video).len(), units(&once, Track::Video).len());
    assert_eq!((demuxer.counters().continuity, demuxer.counters().lost), (0, 0));
    assert!(demuxer.pids().all(|(_, count)| count.duplicates > 0));
}

#[test]
fn a_clock_that_jumps_unannounced_is_another_time_base_and_a_pause_is_not() {
    let (_, payloads) = stream(Codec::H264, Codec::Aac);
    let resumed = payloads.last().unwrap().at + ms(33);
    for start in [ms(60_000), START + ms(60_000)] {
        let mut other = Bench::new(Settings::default());
        other.now = start;
        other.feed(&programme(Codec::H264, Codec::Aac, start, 1), ms(60));
        let mut demuxer = Demuxer::new(source());
        payloads.iter().for_each(|payload| demuxer.push(&payload.bytes, instant(payload.at)));
        for packet in joined(&other.payloads).chunks(PACKET) {
            let mut plain = packet.to_vec();
            // Without the discontinuity flag of a new muxer.
            if plain[3] & 0x20 != 0 && plain[4] > 0 {
                plain[5] &= 0x7f;
            }
            demuxer.push(&plain, instant(resumed));
        }
        let marks: Vec<bool> = std::iter::from_fn(|| demuxer.poll())
            .filter_map(|output| if let Output::TimeBase { marked } = output { Some(marked) } else { None })
            .collect();
        assert_eq!(marks, [false], "from {START:?} to {start:?}");
    }

    // A network that held packets back brings them all at once.
    let mut demuxer = Demuxer::new(source());
    let held_back = payloads.len() / 2;
    for (n, payload) in payloads.iter().enumerate() {
        demuxer.push(&payload.bytes, instant(payload.at + if n < held_back { Media::ZERO } else { ms(30_000) }));
    }
    assert_eq!(demuxer.counters().time_bases, 0);
    assert!(demuxer.counters().clock_interval <= ms(40));
}

#[test]
fn another_programme_of_the_same_stream_is_left_aside() {
    let (sent, first) = stream(Codec::H264, Codec::Aac);
    let mut other = Bench::new(Settings { programme: 7, ..Settings::default() });
    other.feed(&sent, ms(60));
    let mut demuxer = Demuxer::new(Source { programme: Some(7), ..source() });
    first.iter().for_each(|payload| demuxer.push(&payload.bytes, instant(payload.at)));
    assert!(demuxer.poll().is_none());
    other.payloads.iter().for_each(|payload| demuxer.push(&payload.bytes, instant(payload.at)));
    assert!(matches!(demuxer.poll(), Some(Output::Streams { .. })));
}

#[test]
fn packets_that_a_modem_gave_up_are_counted_and_cost_what_was_in_them() {
    let (sent, payloads) = stream(Codec::H264, Codec::Aac);
    let mut bytes = joined(&payloads);
    let whole = units(&take_apart([&bytes]).0, Track::Audio).len();
    let is_sound = |packet: &[u8]| Packet::parse(packet.try_into().unwrap()).unwrap().pid == 0x110;
    let chosen: Vec<usize> = (60..bytes.len() / PACKET).filter(|n| is_sound(&bytes[n * PACKET..][..PACKET])).collect();
    bytes[chosen[0] * PACKET + 1] |= 0x80; // transport_error_indicator
    bytes[chosen[10] * PACKET + 3] |= 0x80; // scrambled
    let (outputs, demuxer) = take_apart([&bytes]);
    assert!(only_real_units(&outputs, &sent));
    assert_eq!(units(&outputs, Track::Audio).len(), whole - 2);
    assert_eq!((demuxer.counters().unusable, demuxer.counters().continuity), (2, 2));
}

#[test]
fn sound_without_a_time_stamp_follows_the_sound_before_it() {
    let (_, payloads) = stream(Codec::H264, Codec::Aac);
    let bytes = joined(&payloads);
    let expected: Vec<Media> = units(&take_apart([&bytes]).0, Track::Audio).iter().map(|unit| unit.pts).collect();
    let mut stripped = Vec::new();
    let mut sound = 0;
    for packet in bytes.chunks(PACKET) {
        let mut packet = packet.to_vec();
        let parsed = Packet::parse(packet[..].try_into().unwrap()).unwrap();
        if parsed.pid == 0x110 && parsed.unit_start {
            sound += 1;
            // Every third keeps its own. PTS_DTS_flags is in the eighth byte of the PES header.
            if sound % 3 != 1 {
                let header = PACKET - parsed.payload.unwrap().len();
                packet[header + 7] = 0;
            }
        }
        stripped.extend_from_slice(&packet);
    }
    let (outputs, demuxer) = take_apart([&stripped]);
    let times: Vec<Media> = units(&outputs, Track::Audio).iter().map(|unit| unit.pts).collect();
    assert_eq!((times.len(), demuxer.counters().untimed), (expected.len(), 0));
    assert!(times.iter().zip(&expected).all(|(got, expected)| (*got - *expected).0.abs() < 12_000));
}

#[test]
fn outputs_that_nobody_takes_are_bounded() {
    let (_, payloads) = stream(Codec::H264, Codec::Aac);
    let bytes = joined(&payloads);
    let mut demuxer = Demuxer::new(source());
    for _ in 0..100 {
        demuxer.push(&bytes, instant(START));
    }
    assert_eq!(std::iter::from_fn(|| demuxer.poll()).count(), 4096);
    assert!(demuxer.counters().overflow > 0);
}

#[test]
fn a_pes_packet_larger_than_the_bound_is_given_up() {
    let (_, payloads) = stream(Codec::H264, Codec::Aac);
    let mut demuxer = Demuxer::new(source());
    payloads.iter().for_each(|payload| demuxer.push(&payload.bytes, instant(payload.at)));
    let mut packet = [0xaa; PACKET];
    let (mut at, mut counter) = (0, 0u8);
    while demuxer.counters().oversize == 0 {
        packet[..4].copy_from_slice(&[0x47, if at == 0 { 0x41 } else { 0x01 }, 0, 0x10 | counter]);
        if at == 0 {
            packet[4..18].copy_from_slice(&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 5, 0x21, 0, 1, 0, 1]);
        }
        demuxer.push(&packet, instant(START));
        (at, counter) = (at + 1, (counter + 1) & 15);
        assert!(at < 50_000, "it grows without bound");
    }
    assert!(at > 40_000);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_damaged_stream_gives_only_units_that_were_sent(
        which in 0usize..3, seed: u64, losses in 0usize..20, garbage in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (video, audio) = [(Codec::H264, Codec::Aac), (Codec::Hevc, Codec::Opus), (Codec::Av1, Codec::Opus)][which];
        let (sent, payloads) = stream(video, audio);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut kept: Vec<Vec<u8>> = joined(&payloads).chunks(PACKET).map(<[u8]>::to_vec).collect();
        for _ in 0..losses {
            kept.remove(rng.usize(..kept.len()));
        }
        let at = rng.usize(..kept.len());
        kept.insert(at, garbage);
        let (outputs, _) = take_apart(kept);
        prop_assert!(only_real_units(&outputs, &sent));
    }

    #[test]
    fn flipped_bytes_do_no_harm(seed: u64, flips in 1usize..60) {
        let (_, payloads) = stream(Codec::Av1, Codec::Aac);
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut bytes = joined(&payloads);
        for _ in 0..flips {
            let at = rng.usize(..bytes.len());
            bytes[at] = rng.u8(..);
        }
        let (_, demuxer) = take_apart(bytes.chunks(rng.usize(1..2000)));
        prop_assert!(demuxer.counters().packets as usize <= bytes.len() / PACKET);
    }

    #[test]
    fn any_packets_do_no_harm(packets: Vec<(u8, u8, Vec<u8>)>) {
        let mut demuxer = Demuxer::new(source());
        for (flags, control, body) in packets {
            let mut packet = vec![0x47, flags & 0x41, 0, control];
            packet.extend_from_slice(&body);
            packet.resize(PACKET, 0xff);
            demuxer.push(&packet, instant(START));
        }
    }
}
