use std::net::IpAddr;

use proptest::prelude::*;

use super::handshake::{address_of_wire, wire_address};
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn encoded(packet: &ControlPacket) -> Vec<u8> {
    let mut out = Vec::new();
    packet.encode(&mut out);
    out
}

fn handshake(datagram: &[u8]) -> Handshake<'_> {
    match Packet::decode(datagram) {
        Ok(Packet::Control(ControlPacket { control: Control::Handshake(handshake), .. })) => handshake,
        other => panic!("not a handshake: {other:?}"),
    }
}

/// The conclusion that a member of libsrt's backup group sends (captured; the addresses are 127.0.0.1).
fn captured_conclusion() -> Vec<u8> {
    bytes(
        "80000000 00000000 00000fa0 00000000
         00000005 00000005 0783e9e2 000005dc 00002000 ffffffff 28f0fd66 711eede7 0100007f 00000000 00000000 00000000
         00010003 00010505 000000bf 00c800c8
         00080002 68f0fd67 02000032",
    )
}

#[test]
fn a_group_members_conclusion_as_libsrt_sends_it() {
    let datagram = captured_conclusion();
    let handshake = handshake(&datagram);
    assert_eq!(handshake.version, VERSION_5);
    assert_eq!(handshake.extension, HandshakeFlags::HSREQ | HandshakeFlags::CONFIG);
    assert_eq!(handshake.kind, HandshakeKind::Conclusion);
    assert_eq!((handshake.isn, handshake.mss, handshake.flow_window), (SeqNo::new(0x0783_e9e2), 1500, 8192));
    assert_eq!((handshake.socket_id, handshake.cookie), (SocketId(0x28f0_fd66), 0x711e_ede7));
    assert_eq!(address_of_wire(handshake.peer_ip), IpAddr::from([127, 0, 0, 1]));
    let extensions: Result<Vec<_>, _> = handshake.extensions.iter().collect();
    let group =
        GroupExtension { id: GroupId::new(0x68f0_fd67).unwrap(), group_type: GroupType::Backup, flags: 0, weight: 50 };
    let capabilities =
        Capabilities { version: 0x0001_0505, flags: SrtFlags(0xbf), receive_latency_ms: 200, send_latency_ms: 200 };
    assert_eq!(extensions.unwrap(), [Extension::HsReq(capabilities), Extension::Group(group)]);
}

#[test]
fn the_listeners_answer_as_libsrt_sends_it() {
    let blocks = bytes("00020003 00010505 000000bf 00c800c8 00080002 5b4388f7 02000014");
    let read: Vec<_> = Extensions::new(&blocks).iter().map(Result::unwrap).collect();
    assert!(matches!(read[0], Extension::HsRsp(Capabilities { version: 0x0001_0505, .. })));
    let Extension::Group(group) = read[1] else { panic!("{read:?}") };
    assert_eq!((group.id.get(), group.group_type, group.weight), (0x5b43_88f7, GroupType::Backup, 20));
    let mut again = Vec::new();
    read.iter().for_each(|extension| extension.encode(&mut again));
    assert_eq!(again, blocks);
}

#[test]
fn what_is_captured_is_written_the_same() {
    let datagram = captured_conclusion();
    let Ok(Packet::Control(packet)) = Packet::decode(&datagram) else { panic!() };
    assert_eq!(encoded(&packet), datagram);
}

#[test]
fn a_data_packet_by_hand() {
    // Sequence 5, solo, in order, odd key, retransmitted, message 3, 1 ms, socket 0x2a.
    let datagram = bytes("00000005 f4000003 000003e8 0000002a 47400011");
    let Ok(Packet::Data(packet)) = Packet::decode(&datagram) else { panic!() };
    assert_eq!(
        packet.header,
        DataHeader {
            seq: SeqNo::new(5),
            boundary: Boundary::Solo,
            in_order: true,
            key: KeyFlag::Odd,
            retransmitted: true,
            msgno: MsgNo::new(3),
            timestamp: Timestamp::new(1000),
            dest: SocketId(42),
        }
    );
    assert_eq!(packet.payload, &datagram[16..]);
    assert_eq!(Packet::peek_dest(&datagram), Some(SocketId(42)));
    assert_eq!(Packet::decode(&bytes("00000005 f8000003 000003e8 0000002a")), Err(DecodeError::BothKeys));
}

#[test]
fn acknowledgements_of_each_size() {
    let light = bytes("80020000 00000000 00000001 00000002 0000000a");
    let small = bytes("80020000 00000007 00000001 00000002 0000000a 00002710 000003e8 00001fff");
    let full =
        bytes("80020000 00000007 00000001 00000002 0000000a 00002710 000003e8 00001fff 000001f4 000003e8 000a0000");
    let ack = |datagram: &[u8]| match Packet::decode(datagram) {
        Ok(Packet::Control(ControlPacket { control: Control::Ack(ack), .. })) => ack,
        other => panic!("{other:?}"),
    };
    assert_eq!(ack(&light), Ack { number: 0, up_to: SeqNo::new(10), report: None });
    let report = AckReport { rtt_us: 10_000, rtt_variance_us: 1_000, free_buffer: 8191, rates: None };
    assert_eq!(ack(&small), Ack { number: 7, up_to: SeqNo::new(10), report: Some(report) });
    let rates = AckRates { packets_per_second: 500, capacity: 1000, bytes_per_second: Some(655_360) };
    let report = AckReport { rates: Some(rates), ..report };
    assert_eq!(ack(&full), Ack { number: 7, up_to: SeqNo::new(10), report: Some(report) });
    assert_eq!(Packet::decode(&light[..18]), Err(DecodeError::TooShort { need: 4, have: 2 }));
}

#[test]
fn a_loss_list_with_a_range_over_the_wrap() {
    let datagram = bytes("80030000 00000000 00000001 00000002 00000003 fffffffe 00000001 00000009");
    let Ok(Packet::Control(ControlPacket { control: Control::Nak(list), .. })) = Packet::decode(&datagram) else {
        panic!()
    };
    let ranges: Vec<_> = list.ranges().map(|r| (r.first().get(), r.last().get(), r.len())).collect();
    assert_eq!(ranges, [(3, 3, 1), (0x7fff_fffe, 1, 4), (9, 9, 1)]);
}

#[test]
fn loss_lists_that_make_no_sense() {
    for list in ["80000005", "80000005 00000003", "80000005 80000006", "00000001 80000005"] {
        assert!(matches!(LossList::decode(&bytes(list)), Err(DecodeError::LossRange { .. })), "{list}");
    }
    assert_eq!(LossList::decode(&bytes("00000001 0000")).unwrap().ranges().count(), 1, "half a word is cut off");
}

#[test]
fn a_loss_list_ends_where_the_room_does() {
    let pair = SeqRange::new(SeqNo::new(1), SeqNo::new(2)).unwrap();
    let ranges = [SeqRange::single(SeqNo::new(9)), pair, SeqRange::single(SeqNo::new(7))];
    for (room, expected) in [(0, 0), (4, 1), (11, 1), (12, 2), (16, 3), (99, 3)] {
        let mut body = Vec::new();
        assert_eq!(LossList::write(&ranges, room, &mut body), expected, "room {room}");
        assert!(body.len() <= room);
        assert!(LossList::decode(&body).unwrap().ranges().eq(ranges[..expected].iter().copied()));
    }
}

#[test]
fn a_drop_request_that_ends_before_it_begins() {
    let datagram = bytes("80070000 00000000 00000001 00000002 00000005 00000004");
    assert_eq!(Packet::decode(&datagram), Err(DecodeError::LossRange { first: 5 }));
}

#[test]
fn text_is_turned_round_word_by_word() {
    let mut out = Vec::new();
    put_text(kind::SID, "#!::r=live", &mut out);
    assert_eq!(out, [&[0, 5, 0, 3][..], b"::!#", b"il=r", b"\0\0ev"].concat());
    let Some(Ok(Extension::StreamId(text))) = Extensions::new(&out).iter().next() else { panic!() };
    assert_eq!(text.read(MAX_TEXT).as_deref(), Some("#!::r=live"));
    assert_eq!(text.read(9), None);

    let long = "ü".repeat(300);
    out.clear();
    put_text(kind::SID, &long, &mut out);
    let Some(Ok(Extension::StreamId(text))) = Extensions::new(&out).iter().next() else { panic!() };
    assert_eq!(text.read(MAX_TEXT).as_deref(), Some("ü".repeat(256).as_str()));

    for not_text in [b"a\0cd".as_slice(), b"\xff\xff\xff\xff"] {
        let block = Extension::Unknown { kind: kind::SID, body: not_text };
        out.clear();
        block.encode(&mut out);
        let Some(Ok(Extension::StreamId(text))) = Extensions::new(&out).iter().next() else { panic!() };
        assert_eq!(text.read(MAX_TEXT), None, "{not_text:?}");
    }
}

#[test]
fn extensions_that_do_not_fit() {
    let read = |hex: &str| Extensions::new(&bytes(hex)).iter().map(|r| r.map(|_| ())).collect::<Vec<_>>();
    let (kind, have) = (5, 4);
    assert_eq!(read("00050002 41414141"), [Err(DecodeError::ExtensionTooLong { kind, claimed: 8, have })]);
    assert_eq!(read("00010002 00010500 000000bf").len(), 1);
    assert!(matches!(read("00010001 00010500")[0], Err(DecodeError::ExtensionTooShort { kind: 1, need: 12, have: 4 })));
    assert_eq!(read("00080002 28f0fd67 02000032"), [Err(DecodeError::NotAGroup { id: 0x28f0_fd67 })]);
    assert_eq!(
        read("00080001 68f0fd67 99990000"),
        [Err(DecodeError::ExtensionTooShort { kind: 8, need: 8, have: 4 }), Ok(())]
    );
    assert_eq!(read("99990000 0005"), [Ok(())], "half a block head is cut off");
}

#[test]
fn the_private_extension_is_told_from_another_products() {
    let mut out = Vec::new();
    let ours = Extension::Private(PrivateExtension { version: 1, features: 5, token: None });
    ours.encode(&mut out);
    let proven = Extension::Private(PrivateExtension { version: 1, features: 5, token: Some([9; 16]) });
    proven.encode(&mut out);
    assert!(Extensions::new(&out).iter().eq([Ok(ours), Ok(proven)]));
    out[4] ^= 1;
    assert!(matches!(Extensions::new(&out).iter().next(), Some(Ok(Extension::Unknown { kind: kind::PRIVATE, .. }))));
}

#[test]
fn refusals_keep_their_numbers() {
    for (code, reason) in [
        (1000, RejectReason::Unknown),
        (1004, RejectReason::Rogue),
        (1010, RejectReason::BadSecret),
        (1015, RejectReason::Group),
        (1017, RejectReason::Crypto),
        (1018, RejectReason::Other(18)),
        (2401, RejectReason::UNAUTHORIZED),
        (3000, RejectReason::Other(2000)),
        (0x7fff_ffff, RejectReason::Other(0x7fff_ffff - 1000)),
    ] {
        assert_eq!(RejectReason::from_code(code), reason);
        assert_eq!(reason.code(), code);
    }
    assert_eq!(RejectReason::Other(u32::MAX).code(), 1000, "never a number that is no refusal");
}

#[test]
fn sequence_numbers_know_the_short_way_round() {
    let (last, first) = (SeqNo::MAX, SeqNo::new(0));
    assert_eq!(last.next(), first);
    assert_eq!(first.previous(), last);
    assert_eq!(first.diff(last), 1);
    assert_eq!(last.diff(first), -1);
    assert!(last.is_before(first) && first.is_after(last));
    assert_eq!(SeqNo::new(5).diff(SeqNo::new(5)), 0);
    assert_eq!(SeqNo::new(0x3fff_ffff).diff(first), 0x3fff_ffff);
    assert_eq!(SeqNo::new(0x4000_0000).diff(first), -0x4000_0000);
    assert_eq!(MsgNo::MAX.next(), MsgNo::FIRST);
    assert_eq!(Timestamp::new(5).diff(Timestamp::new(u32::MAX)), 6);
    assert_eq!(SeqNo::new(3).extend(0), 3, "never below 0");
    assert_eq!(SeqNo::MAX.extend(0), u64::from(SeqNo::MAX.get()));
}

#[test]
fn addresses_stand_as_in_libsrts_memory() {
    assert_eq!(wire_address(IpAddr::from([127, 0, 0, 1]))[..4], [1, 0, 0, 127]);
    let v6: IpAddr = "2001:db8::7".parse().unwrap();
    assert_eq!(address_of_wire(wire_address(v6)), v6);
}

fn header() -> impl Strategy<Value = DataHeader> {
    let boundary =
        prop_oneof![Just(Boundary::Middle), Just(Boundary::Last), Just(Boundary::First), Just(Boundary::Solo)];
    let key = prop_oneof![Just(KeyFlag::Clear), Just(KeyFlag::Even), Just(KeyFlag::Odd)];
    (any::<[u32; 4]>(), boundary, key, any::<[bool; 2]>()).prop_map(
        |([seq, msgno, time, dest], boundary, key, bits)| DataHeader {
            seq: SeqNo::new(seq),
            boundary,
            in_order: bits[0],
            key,
            retransmitted: bits[1],
            msgno: MsgNo::new(msgno),
            timestamp: Timestamp::new(time),
            dest: SocketId(dest),
        },
    )
}

proptest! {
    #[test]
    fn data_packets_survive_the_wire(header in header(), payload in prop::collection::vec(any::<u8>(), 0..1500)) {
        let packet = DataPacket { header, payload: &payload };
        let mut out = Vec::new();
        packet.encode(&mut out);
        prop_assert_eq!(Packet::decode(&out), Ok(Packet::Data(packet)));
    }

    #[test]
    fn what_can_be_read_is_written_so_that_it_reads_the_same(
        kind in prop_oneof![0u16..10, Just(0x7fff)],
        fields in any::<[u32; 3]>(),
        body in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let mut datagram = (0x8000 | kind).to_be_bytes().to_vec();
        datagram.extend(0u16.to_be_bytes());
        fields.iter().for_each(|field| datagram.extend(field.to_be_bytes()));
        datagram.extend(&body);
        if let Ok(Packet::Control(packet)) = Packet::decode(&datagram) {
            let again = encoded(&packet);
            prop_assert_eq!(Packet::decode(&again), Ok(Packet::Control(packet)));
            if let Control::Handshake(handshake) = packet.control {
                let mut blocks = Vec::new();
                let read: Vec<_> = handshake.extensions.iter().map_while(Result::ok).collect();
                read.iter().for_each(|extension| extension.encode(&mut blocks));
                prop_assert_eq!(Extensions::new(&blocks).iter().collect::<Result<Vec<_>, _>>(), Ok(read));
            }
        }
    }

    #[test]
    fn any_datagram_is_read_or_refused(datagram in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Packet::decode(&datagram);
        let read = Extensions::new(&datagram).iter().count();
        prop_assert!(read <= datagram.len() / 4);
    }

    #[test]
    fn extended_numbers_come_back(near in 0u64..1 << 40, step in -(1i64 << 30) + 1..1 << 30) {
        let there = near.saturating_add_signed(step);
        prop_assert_eq!(SeqNo::from(there).extend(near), there);
        prop_assert_eq!(Timestamp::from(there).extend(near), there);
        prop_assert_eq!(i64::from(SeqNo::from(there).diff(SeqNo::from(near))), there as i64 - near as i64);
    }

    #[test]
    fn a_clamped_range_lies_within_both(a in any::<u32>(), n in 0u32..2000, b in 0u32..4000, m in 0u32..2000) {
        let range = SeqRange::new(SeqNo::new(a), SeqNo::new(a).plus(n)).unwrap();
        let (first, last) = (SeqNo::new(a).plus(b).minus(2000), SeqNo::new(a).plus(b + m).minus(2000));
        let all: Vec<_> = (0..=n).map(|i| SeqNo::new(a).plus(i)).collect();
        let both = all.iter().filter(|s| !s.is_before(first) && !s.is_after(last)).count();
        let clamped = range.clamp(first, last);
        prop_assert_eq!(clamped.map_or(0, |c| c.len() as usize), both);
        prop_assert!(clamped.is_none_or(|c| range.contains(c.first()) && range.contains(c.last())));
    }
}
