//! A call, with keys and to a group, to a listener that answers anything.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use holdfast::srt::caller::{Caller, CallerConfig, CallerEvent, CallerGroup};
use holdfast::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use holdfast::srt::wire::{
    Capabilities, Control, ControlPacket, Extension, Extensions, GroupExtension, GroupId, GroupType, Handshake,
    HandshakeKind, MAGIC, SeqNo, SocketId, SrtFlags, Timestamp, VERSION_5,
};
use holdfast::srt::{Offer, StreamId};
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<KeyMaterial> = LazyLock::new(|| {
    let passphrase = Passphrase::new("s3cr3t s3cr3t").expect("long enough");
    KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut Random::from_seed(&[1; 32]))
});

const SOCKET: SocketId = SocketId(42);
const ISN: SeqNo = SeqNo::new(7);

/// A good answer, in which the input changes bytes.
fn answer(kind: HandshakeKind, blocks: &[u8]) -> Vec<u8> {
    let handshake = Handshake {
        version: VERSION_5,
        encryption: 0,
        extension: if kind == HandshakeKind::Induction { MAGIC } else { 7 },
        isn: ISN,
        mss: 1500,
        flow_window: 8192,
        kind,
        socket_id: SocketId(99),
        cookie: 1,
        peer_ip: [0; 16],
        extensions: Extensions::new(blocks),
    };
    let mut datagram = Vec::new();
    ControlPacket { timestamp: Timestamp::new(5), dest: SOCKET, control: Control::Handshake(handshake) }
        .encode(&mut datagram);
    datagram
}

fn blocks() -> Vec<u8> {
    let mut blocks = Vec::new();
    Extension::HsRsp(Capabilities {
        version: 0x0001_0501,
        flags: SrtFlags(0xbf),
        receive_latency_ms: 120,
        send_latency_ms: 120,
    })
    .encode(&mut blocks);
    let id = GroupId::marked(5);
    Extension::Group(GroupExtension { id, group_type: GroupType::Backup, flags: 0, weight: 1 }).encode(&mut blocks);
    Extension::KmRsp(KEYS.message()).encode(&mut blocks);
    blocks
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, mut data)) = data.split_first() else { return };
    let mut now = Instant::now();
    let group_type = GroupType::Backup;
    let config = CallerConfig {
        peer: [127, 0, 0, 1].into(),
        socket_id: SOCKET,
        isn: ISN,
        start: now,
        offer: Offer { features: (mode & 1 != 0).then_some(3), ..Offer::default() },
        stream_id: StreamId::new("live").expect("short"),
        keys: (mode & 2 != 0).then(|| KEYS.clone()),
        group: (mode & 4 != 0).then(|| CallerGroup { id: GroupId::marked(1), group_type, weight: 1, peer: None }),
        timeout: Duration::from_secs(3),
    };
    let mut caller = Caller::new(config, now);
    let mut events = 0;
    while let [what, at, length, rest @ ..] = data {
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        data = rest;
        let mut datagram = match what % 4 {
            0 => piece.to_vec(),
            1 => answer(HandshakeKind::Induction, &[]),
            _ => answer(HandshakeKind::Conclusion, &blocks()),
        };
        for (byte, other) in datagram.iter_mut().skip(usize::from(*at)).zip(piece) {
            *byte = *other;
        }
        if what & 64 != 0 {
            datagram.truncate(usize::from(*at));
        }
        if what & 128 != 0 {
            datagram.extend_from_slice(piece);
        }
        caller.handle_datagram(&datagram, now);
        now += Duration::from_millis(u64::from(*at) * 2);
        if caller.poll_timeout().is_some_and(|(at, _)| at <= now) {
            caller.handle_timeout(now);
            assert!(caller.poll_timeout().is_none_or(|(at, _)| at > now), "a timer that does not move on");
        }
        assert!(caller.poll_transmit().is_none_or(|datagram| datagram.len() <= 1456));
        while let Some(event) = caller.poll_event() {
            events += 1;
            assert!(!format!("{event:?}").contains("s3cr3t"), "a secret is in {event:?}");
            match event {
                CallerEvent::Connected(negotiated) => assert_eq!(negotiated.keys.is_some(), mode & 2 != 0),
                CallerEvent::Failed(trouble) => assert!(!trouble.in_words("a:1").is_empty()),
            }
        }
    }
    assert!(events <= 1, "a call ends once");
});
