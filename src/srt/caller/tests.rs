use std::time::{Duration, Instant};

use super::*;
use crate::srt::crypto::{KeyLength, Passphrase, Random};
use crate::srt::wire::PrivateExtension;

#[expect(clippy::disallowed_methods, reason = "a test begins whenever it is run")]
fn begin() -> Instant {
    Instant::now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn keys() -> KeyMaterial {
    let passphrase = Passphrase::new("correct horse battery").unwrap();
    KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut Random::from_seed(&[3; 32]))
}

fn config(now: Instant) -> CallerConfig {
    CallerConfig {
        peer: IpAddr::from([127, 0, 0, 1]),
        socket_id: SocketId(0x28f0_fd66),
        isn: SeqNo::new(0x0783_e9e2),
        start: now,
        offer: Offer { receive_latency: ms(200), send_latency: ms(200), ..Offer::default() },
        stream_id: StreamId::default(),
        keys: None,
        group: None,
        timeout: TIMEOUT,
    }
}

fn group(peer: Option<u32>) -> Option<CallerGroup> {
    let id = GroupId::new(0x68f0_fd67).unwrap();
    Some(CallerGroup { id, group_type: GroupType::Backup, weight: 50, peer: peer.and_then(GroupId::new) })
}

fn handshake(datagram: &[u8]) -> (ControlPacket<'_>, Handshake<'_>) {
    let Ok(Packet::Control(packet)) = Packet::decode(datagram) else { panic!("not a control packet") };
    let Control::Handshake(handshake) = packet.control else { panic!("not a handshake: {packet:?}") };
    (packet, handshake)
}

/// A listener's answer to the last transmission, changed by `change`.
fn answer(question: &[u8], blocks: &[u8], change: impl FnOnce(&mut Handshake, &mut SocketId)) -> Vec<u8> {
    let (_, asked) = handshake(question);
    let mut answer = Handshake {
        version: VERSION_5,
        extension: MAGIC,
        cookie: 0x711e_ede7,
        extensions: Extensions::new(blocks),
        ..asked
    };
    if asked.kind == HandshakeKind::Conclusion {
        answer.socket_id = SocketId(0x1b43_88f8);
        answer.extension = HandshakeFlags::HSREQ;
    }
    let mut dest = asked.socket_id;
    change(&mut answer, &mut dest);
    let packet = ControlPacket { timestamp: Timestamp::new(7_000_000), dest, control: Control::Handshake(answer) };
    let mut datagram = Vec::new();
    packet.encode(&mut datagram);
    datagram
}

/// HSRSP as libsrt answers to 200/200 ms.
fn hsrsp() -> Vec<u8> {
    let theirs =
        Capabilities { version: 0x0001_0501, flags: SrtFlags(0xbf), receive_latency_ms: 400, send_latency_ms: 300 };
    let mut blocks = Vec::new();
    Extension::HsRsp(theirs).encode(&mut blocks);
    blocks
}

/// A call that has sent its conclusion, and the conclusion.
fn concluding(config: CallerConfig, now: Instant) -> (Caller, Vec<u8>) {
    let mut caller = Caller::new(config, now);
    let induction = caller.poll_transmit().unwrap();
    caller.handle_datagram(&answer(&induction, &[], |_, _| {}), now + ms(10));
    let conclusion = caller.poll_transmit().expect("at once");
    (caller, conclusion)
}

fn failure(caller: &mut Caller) -> Trouble {
    assert_eq!(caller.poll_timeout(), None, "it is over");
    match caller.poll_event() {
        Some(CallerEvent::Failed(trouble)) => trouble,
        other => panic!("{other:?}"),
    }
}

fn success(caller: &mut Caller) -> Negotiated {
    match caller.poll_event() {
        Some(CallerEvent::Connected(negotiated)) => *negotiated,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_group_member_sends_is_what_libsrt_sends() {
    let now = begin();
    let mut caller = Caller::new(CallerConfig { group: group(None), ..config(now) }, now);
    let induction = caller.poll_transmit().unwrap();
    let expected = "80000000000000000000000000000000\
                    00000004000000020783e9e2000005dc00002000000000012\
                    8f0fd66000000000100007f000000000000000000000000";
    assert_eq!(induction.iter().map(|b| format!("{b:02x}")).collect::<String>(), expected);
    caller.handle_datagram(&answer(&induction, &[], |_, _| {}), now + ms(4));
    let conclusion = caller.poll_transmit().unwrap();
    // As captured (see wire's tests), but for the capability of packet filters.
    let expected = "800000000000000000000fa000000000\
                    00000005000000050783e9e2000005dc00002000ffffffff\
                    28f0fd66711eede70100007f000000000000000000000000\
                    00010003000105050000003f00c800c80008000268f0fd6702000032";
    assert_eq!(conclusion.iter().map(|b| format!("{b:02x}")).collect::<String>(), expected);
}

#[test]
fn a_connection_is_what_the_listener_made_of_the_offer() {
    let now = begin();
    let (mut caller, conclusion) = concluding(config(now), now);
    caller.handle_datagram(&answer(&conclusion, &hsrsp(), |answer, _| answer.mss = 1400), now + ms(25));
    let negotiated = success(&mut caller);
    assert_eq!((negotiated.local, negotiated.peer), (SocketId(0x28f0_fd66), SocketId(0x1b43_88f8)));
    assert_eq!((negotiated.receive_latency, negotiated.send_latency), (ms(300), ms(400)));
    assert_eq!((negotiated.mss, negotiated.max_payload()), (1400, 1356));
    assert_eq!(negotiated.peer_version, 0x0001_0501);
    assert_eq!(negotiated.rtt, Some(ms(10)), "the shorter of both steps");
    assert_eq!(negotiated.peer_start + ms(7000), now + ms(25));
    assert!(negotiated.keys.is_none() && negotiated.group.is_none());
    assert_eq!(caller.poll_timeout(), None);
    assert_eq!(caller.poll_transmit(), None);
}

#[test]
fn each_step_is_repeated_with_a_new_time_until_the_deadline() {
    let now = begin();
    let mut caller = Caller::new(config(now), now);
    let mut sent = Vec::new();
    while let Some((at, what)) = caller.poll_timeout() {
        sent.extend(caller.poll_transmit());
        assert!(matches!(what, CallerTimeout::Repeat(Step::Induction) | CallerTimeout::GiveUp(Step::Induction)));
        caller.handle_timeout(at);
    }
    assert_eq!(sent.len(), 12);
    let times: Vec<_> = sent.iter().map(|datagram| handshake(datagram).0.timestamp.get()).collect();
    assert!(times.iter().zip(0..).all(|(time, i)| *time == i * 250_000), "{times:?}");
    assert_eq!(failure(&mut caller), Trouble::NoAnswer { step: Step::Induction, unreachable: false });

    let (mut caller, _) = concluding(config(now), now);
    caller.handle_unreachable();
    while let Some((at, _)) = caller.poll_timeout() {
        caller.handle_timeout(at);
    }
    assert_eq!(failure(&mut caller), Trouble::NoAnswer { step: Step::Conclusion, unreachable: true });
}

#[test]
fn a_round_trip_is_not_measured_on_repeated_packets() {
    let now = begin();
    let mut caller = Caller::new(config(now), now);
    caller.handle_timeout(now + ms(250));
    let induction = caller.poll_transmit().unwrap();
    caller.handle_datagram(&answer(&induction, &[], |_, _| {}), now + ms(251));
    let conclusion = caller.poll_transmit().unwrap();
    caller.handle_datagram(&answer(&conclusion, &hsrsp(), |_, _| {}), now + ms(281));
    assert_eq!(success(&mut caller).rtt, Some(ms(30)));
}

#[test]
fn a_refusal_at_either_step_ends_the_call() {
    let now = begin();
    let no = |question: &[u8]| {
        answer(question, &[], |answer, _| answer.kind = HandshakeKind::Rejected(RejectReason::NOT_FOUND))
    };
    let refused = Trouble::Refused { reason: RejectReason::NOT_FOUND, encrypted: false };
    let mut caller = Caller::new(config(now), now);
    let induction = caller.poll_transmit().unwrap();
    caller.handle_datagram(&no(&induction), now);
    assert_eq!(failure(&mut caller), refused);

    let (mut caller, conclusion) = concluding(config(now), now);
    caller.handle_datagram(&no(&conclusion), now);
    assert_eq!(failure(&mut caller), refused);
    assert_eq!(caller.poll_transmit(), None);
}

#[test]
fn what_is_not_for_this_call_changes_nothing() {
    let now = begin();
    let (mut caller, conclusion) = concluding(config(now), now);
    caller.handle_datagram(&answer(&conclusion, &hsrsp(), |_, dest| *dest = SocketId(1)), now);
    caller.handle_datagram(&answer(&conclusion, &[], |answer, _| answer.kind = HandshakeKind::Agreement), now);
    caller.handle_datagram(&answer(&conclusion, &[], |answer, _| answer.kind = HandshakeKind::Induction), now);
    caller.handle_datagram(&[0; 64], now);
    caller.handle_datagram(b"", now);
    assert!(caller.poll_event().is_none() && caller.poll_transmit().is_none());
    caller.handle_datagram(&answer(&conclusion, &hsrsp(), |_, _| {}), now);
    success(&mut caller);
}

#[test]
fn an_answer_that_does_not_suit_is_said_goodbye_to() {
    let now = begin();
    let text = |kind, text| {
        let mut blocks = hsrsp();
        put_text(kind, text, &mut blocks);
        blocks
    };
    let nonsense = |what| Trouble::Unsuitable(Unsuitable::Nonsense(what));
    type Change = fn(&mut Handshake, &mut SocketId);
    let small = Unsuitable::SmallPackets { most: 1272, needed: 1316 };
    let cases: [(Vec<u8>, Change, Trouble); 9] = [
        (hsrsp(), |answer, _| answer.isn = answer.isn.next(), nonsense("sequence number")),
        (hsrsp(), |answer, _| answer.flow_window = 1, nonsense("MSS, window or socket")),
        (hsrsp(), |answer, _| answer.mss = 40, nonsense("MSS, window or socket")),
        (hsrsp(), |answer, _| answer.mss = 1316, Trouble::Unsuitable(small)),
        (hsrsp(), |answer, _| answer.version = 4, Trouble::Unsuitable(Unsuitable::TooOld)),
        (Vec::new(), |_, _| {}, nonsense("no HSRSP")),
        (vec![0, 2, 0, 9, 1], |_, _| {}, nonsense("extensions")),
        (text(kind::FILTER, "fec,cols:10"), |_, _| {}, Trouble::Unsuitable(Unsuitable::Filter)),
        (text(kind::CONGESTION, "file"), |_, _| {}, Trouble::Unsuitable(Unsuitable::NotLive)),
    ];
    for (blocks, change, trouble) in cases {
        let (mut caller, conclusion) = concluding(config(now), now);
        caller.handle_datagram(&answer(&conclusion, &blocks, change), now);
        assert_eq!(failure(&mut caller), trouble);
        let goodbye = caller.poll_transmit().expect("the listener believes that there is a connection");
        let Ok(Packet::Control(packet)) = Packet::decode(&goodbye) else { panic!() };
        assert_eq!((packet.dest, packet.control), (SocketId(0x1b43_88f8), Control::Shutdown), "{trouble:?}");
    }
    // Just enough; and whoever only receives takes what there is.
    for (mss, payload) in [(1360, 1316), (76, 0)] {
        let (mut caller, conclusion) =
            concluding(CallerConfig { offer: Offer { payload, ..Offer::default() }, ..config(now) }, now);
        caller.handle_datagram(&answer(&conclusion, &hsrsp(), |answer, _| answer.mss = mss), now);
        success(&mut caller);
    }
    let (mut caller, conclusion) = concluding(config(now), now);
    caller.handle_datagram(&answer(&conclusion, &text(kind::CONGESTION, "live"), |_, _| {}), now);
    success(&mut caller);
}

#[test]
fn listeners_before_srt_1_3_are_told_apart() {
    let now = begin();
    let mut caller = Caller::new(config(now), now);
    let induction = caller.poll_transmit().unwrap();
    caller.handle_datagram(&answer(&induction, &[], |answer, _| answer.version = VERSION_4), now);
    assert_eq!(failure(&mut caller), Trouble::Unsuitable(Unsuitable::TooOld));
}

#[test]
fn keys_have_to_come_back_as_they_were_sent() {
    let now = begin();
    let encrypted = || CallerConfig { keys: Some(keys()), ..config(now) };
    let outcome = |config: CallerConfig, kmrsp: Option<&[u8]>| {
        let (mut caller, conclusion) = concluding(config, now);
        let mut blocks = hsrsp();
        if let Some(body) = kmrsp {
            Extension::KmRsp(body).encode(&mut blocks);
        }
        caller.handle_datagram(&answer(&conclusion, &blocks, |_, _| {}), now);
        match caller.poll_event() {
            Some(CallerEvent::Connected(negotiated)) => Ok(negotiated.keys.is_some()),
            Some(CallerEvent::Failed(trouble)) => Err(trouble),
            None => panic!("undecided"),
        }
    };
    let refused = |reason, encrypted| Err(Trouble::Refused { reason, encrypted });
    let mut garbled = keys().message().to_vec();
    garbled[50] ^= 1;
    assert_eq!(outcome(encrypted(), Some(keys().message())), Ok(true));
    assert_eq!(outcome(encrypted(), Some(&garbled)), Err(Trouble::Unsuitable(Unsuitable::Nonsense("key material"))));
    assert_eq!(outcome(encrypted(), Some(&[4, 0, 0, 0])), refused(RejectReason::BadSecret, true));
    assert_eq!(outcome(encrypted(), Some(&[3, 0, 0, 0])), refused(RejectReason::Unsecure, true));
    assert_eq!(outcome(encrypted(), Some(&[5, 0, 0, 0])), refused(RejectReason::Crypto, true));
    assert_eq!(outcome(encrypted(), None), refused(RejectReason::Unsecure, true));
    assert_eq!(outcome(config(now), Some(&[0; 4])), refused(RejectReason::Unsecure, false));
}

#[test]
fn the_group_has_to_be_answered_and_to_stay_the_same() {
    let now = begin();
    let outcome = |known: Option<u32>, answered: Option<u32>| {
        let (mut caller, conclusion) = concluding(CallerConfig { group: group(known), ..config(now) }, now);
        let mut blocks = hsrsp();
        if let Some(id) = answered.and_then(GroupId::new) {
            let group_type = GroupType::Backup;
            Extension::Group(GroupExtension { id, group_type, flags: 0, weight: 50 }).encode(&mut blocks);
        }
        caller.handle_datagram(&answer(&conclusion, &blocks, |_, _| {}), now);
        match caller.poll_event() {
            Some(CallerEvent::Connected(negotiated)) => Ok(negotiated.group.unwrap().peer.get()),
            Some(CallerEvent::Failed(trouble)) => Err(trouble),
            None => panic!("undecided"),
        }
    };
    assert_eq!(outcome(None, Some(0x5b43_88f7)), Ok(0x5b43_88f7));
    assert_eq!(outcome(Some(0x5b43_88f7), Some(0x5b43_88f7)), Ok(0x5b43_88f7));
    assert_eq!(outcome(None, None), Err(Trouble::Unsuitable(Unsuitable::NoGroup)));
    assert_eq!(outcome(Some(0x5b43_88f7), Some(0x5b43_88f8)), Err(Trouble::Unsuitable(Unsuitable::OtherGroup)));
}

#[test]
fn features_are_what_both_have() {
    let now = begin();
    let mut config = config(now);
    config.offer.features = Some(0b0110);
    config.keys = Some(keys());
    let (mut caller, conclusion) = concluding(config, now);
    let asked = Blocks::read(handshake(&conclusion).1.extensions).unwrap().private.unwrap();
    assert_eq!((asked.version, asked.features), (1, 0b0110));
    assert_eq!(asked.token, Some(keys().join_token(0x711e_ede7, 0x28f0_fd66)));
    let mut blocks = hsrsp();
    Extension::KmRsp(keys().message()).encode(&mut blocks);
    Extension::Private(PrivateExtension { version: 9, features: 0b1100, token: None }).encode(&mut blocks);
    caller.handle_datagram(&answer(&conclusion, &blocks, |_, _| {}), now);
    let common = success(&mut caller).private.unwrap();
    assert_eq!((common.version, common.features), (1, 0b0100));
}
