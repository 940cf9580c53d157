//! Peers that mean harm, at a real listener: while they try, a session beside them must lose nothing, memory must not grow,
//! and every refusal must be counted and told at most once a second per kind.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use holdfast::clock;
use holdfast::model::Media;
use holdfast::srt::caller::{Caller, CallerConfig, CallerEvent, TIMEOUT};
use holdfast::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use holdfast::srt::wire::{Control, HandshakeKind, Packet, SeqNo, SocketId};
use holdfast::srt::{Offer, StreamId};
use serde_json::Value;

use crate::endpoint::peer::{Peer, words};
use crate::pipes::{PASSPHRASE, free_port, wait_until};

const SOON: Duration = Duration::from_secs(25);
const SECONDS: u64 = 6;
const STREAM_ID: &str = "#!::r=show,m=publish";
const GROUP: u32 = 0x1234_5678;

/// Small chance, repeatable.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Changes some bytes, and sometimes the length.
    fn spoil(&mut self, datagram: &[u8]) -> Vec<u8> {
        let mut bytes = datagram.to_vec();
        for _ in 0..1 + self.below(6) {
            let at = self.below(bytes.len());
            bytes[at] = self.next() as u8;
        }
        match self.below(4) {
            0 => bytes.truncate(self.below(bytes.len() + 1).max(1)),
            1 => bytes.extend((0..self.below(64)).map(|i| i as u8)),
            _ => {}
        }
        bytes
    }
}

fn socket(to: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.connect(to).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a time");
    socket
}

fn caller(to: SocketAddr, dice: &mut Dice, keys: Option<KeyMaterial>) -> Caller {
    let config = CallerConfig {
        peer: to.ip(),
        socket_id: SocketId(dice.next() as u32 & 0x3fff_ffff | 1),
        isn: SeqNo::new(dice.next() as u32 & 0x7fff_ffff),
        start: clock::now(),
        offer: Offer { features: Some(3), ..Offer::default() },
        stream_id: StreamId::new(STREAM_ID).expect("short"),
        keys,
        group: None,
        timeout: TIMEOUT,
    };
    Caller::new(config, clock::now())
}

/// One datagram that comes in time.
fn answer(socket: &UdpSocket) -> Option<Vec<u8>> {
    let mut bytes = [0; 2048];
    socket.recv(&mut bytes).ok().map(|length| bytes[..length].to_vec())
}

/// A whole handshake; returns the two questions, and the ids of both sockets when it succeeded.
fn shake_hands(socket: &UdpSocket, caller: &mut Caller) -> (Vec<Vec<u8>>, Option<SocketId>) {
    let mut questions = Vec::new();
    let until = clock::now() + Duration::from_secs(2);
    while clock::now() < until {
        if let Some(question) = caller.poll_transmit() {
            let _ = socket.send(&question);
            questions.push(question);
        }
        match answer(socket) {
            Some(bytes) => caller.handle_datagram(&bytes, clock::now()),
            None => caller.handle_timeout(clock::now()),
        }
        match caller.poll_event() {
            Some(CallerEvent::Connected(negotiated)) => return (questions, Some(negotiated.peer)),
            Some(CallerEvent::Failed(_)) => break,
            None => {}
        }
    }
    (questions, None)
}

/// The session that must not notice: bonded, encrypted, through a listener that takes guests as well.
struct Victim {
    listener: Peer,
    caller: Peer,
    place: SocketAddr,
    begun: Media,
}

impl Victim {
    fn new(way: Option<SocketAddr>, port: u16) -> Self {
        let keys = format!("--passphrase {PASSPHRASE}");
        let common = format!("--type broadcast --latency 500 {keys}");
        let mut listener = Peer::holdfast(&words(&format!("listen receive --guests {common} 127.0.0.1:{port}")));
        listener.line("READY", SOON);
        let place = SocketAddr::from(([127, 0, 0, 1], port));
        let way = way.unwrap_or(place);
        let mut caller = Peer::holdfast(&words(&format!(
            "call send --seconds {SECONDS} --rate 3000000 --group-id {GROUP} --stream-id {STREAM_ID} {common} {way},2 {place},1"
        )));
        caller.line("MEMBER 1", SOON);
        Self { listener, caller, place, begun: clock::media() }
    }

    /// How it went for the listener, after checking that nothing was lost.
    fn judge(mut self) -> Value {
        let (sent, received) = (self.caller.report(SOON), self.listener.report(SOON));
        assert_eq!(received["missing"], 0, "{received}\n{:?}", self.listener.said());
        assert_eq!(received["corrupt"], 0, "somebody else's payloads: {received}");
        assert_eq!(sent["sent"], received["received"], "{sent}\n{received}");
        received
    }

    fn is_running(&self) -> bool {
        clock::media() - self.begun < Media::from_millis(SECONDS as i64 * 1000 - 500)
    }
}

/// Times that a reason was told and how often it was counted.
fn refused(report: &Value, code: &str) -> (u64, u64) {
    let refusal = &report["refusals"][code];
    (refusal["events"].as_u64().unwrap_or(0), refusal["times"].as_u64().unwrap_or(0))
}

fn told_at_most_once_a_second(report: &Value) {
    for (code, refusal) in report["refusals"].as_object().expect("counted") {
        let events = refusal["events"].as_u64().unwrap_or(u64::MAX);
        assert!(events <= SECONDS + 4, "{code} was told {events} times");
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a live process has memory");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("VmRSS: n kB")
}

#[test]
fn fuzzed_datagrams_before_during_and_after_the_handshake() {
    let victim = Victim::new(None, free_port());
    let place = victim.place;
    let done = AtomicBool::new(false);
    let sent: u64 = thread::scope(|scope| {
        let fuzzers: Vec<_> = (0..2u64)
            .map(|n| {
                let done = &done;
                scope.spawn(move || fuzz(place, n + 1, done))
            })
            .collect();
        while victim.is_running() {
            wait_until(clock::media() + Media::from_millis(50));
        }
        done.store(true, Ordering::Relaxed);
        fuzzers.into_iter().map(|fuzzer| fuzzer.join().expect("it fuzzes")).sum()
    });
    let report = victim.judge();
    assert!(sent > 10_000, "only {sent} datagrams");
    let (events, times) = refused(&report, "wrong-cookie");
    assert!(events > 0 && times > 0, "{report}");
    told_at_most_once_a_second(&report);
}

/// Spoiled datagrams of every stage, each from a socket of its own.
fn fuzz(place: SocketAddr, seed: u64, done: &AtomicBool) -> u64 {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let passphrase = Passphrase::new(PASSPHRASE).expect("long enough");
    let mut sent = 0;
    while !done.load(Ordering::Relaxed) {
        let socket = socket(place);
        let keys =
            KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut Random::from_seed(&[dice.next() as u8; 32]));
        let mut caller = caller(place, &mut dice, Some(keys));
        let (questions, connected) = match dice.below(3) {
            // Before: nothing but nonsense in the shape of a first step.
            0 => (caller.poll_transmit().into_iter().collect(), None),
            // During and after: a good handshake first.
            _ => shake_hands(&socket, &mut caller),
        };
        let mut seeds = questions;
        seeds.push((0..200u8).collect());
        if let Some(peer) = connected {
            // Data, and every control packet there is, to the right socket from the right address.
            for kind in [0x8001u16, 0x8002, 0x8003, 0x8004, 0x8006, 0x8007, 0x8008, 0xffff, 0x0000, 0x4000] {
                let mut datagram = vec![0; 16 + 4 * dice.below(8)];
                datagram[..2].copy_from_slice(&kind.to_be_bytes());
                datagram[2..12].fill_with(|| dice.next() as u8);
                datagram[12..16].copy_from_slice(&peer.0.to_be_bytes());
                datagram.iter_mut().skip(16).for_each(|byte| *byte = dice.next() as u8);
                seeds.push(datagram);
            }
        }
        for _ in 0..400 {
            let seed = dice.below(seeds.len());
            let mut datagram = dice.spoil(&seeds[seed]);
            if let (Some(peer), true) = (connected, datagram.len() >= 16 && dice.below(4) > 0) {
                datagram[12..16].copy_from_slice(&peer.0.to_be_bytes());
            }
            // What the network answers is of no interest.
            sent += u64::from(socket.send(&datagram).is_ok());
            if sent % 50 == 0 {
                // A datagram a millisecond or so: hostile, but what loopback drops would prove nothing.
                wait_until(clock::media() + Media::from_millis(5));
            }
        }
    }
    sent
}

#[test]
fn a_flood_of_handshakes_takes_no_memory_and_no_packet() {
    let victim = Victim::new(None, free_port());
    let place = victim.place;
    let before = resident_kib();
    let mut dice = Dice(99);
    let (mut firsts, mut seconds) = (0u64, 0u64);
    let sockets: Vec<_> = (0..16).map(|_| socket(place)).collect();
    // First with cookies that are made up, from as many addresses as there are; then with good ones, and ever new sockets.
    let mut template = None;
    while victim.is_running() {
        let socket = &sockets[dice.below(sockets.len())];
        let mut caller = caller(place, &mut dice, None);
        let induction = caller.poll_transmit().expect("the first step");
        let _ = socket.send(&induction);
        firsts += 1;
        if firsts % 20 == 0 {
            let mut questions = Vec::new();
            while let Some(bytes) = answer(socket) {
                caller.handle_datagram(&bytes, clock::now());
                if let Some(question) = caller.poll_transmit() {
                    questions.push(question);
                    break;
                }
            }
            template = questions.pop().or(template);
        }
        if let Some(conclusion) = &template {
            for _ in 0..20 {
                let mut forged = conclusion.clone();
                // Another socket of the caller's (bytes 40..44), and in half of them another cookie (44..48).
                forged[40..44].copy_from_slice(&(dice.next() as u32 & 0x3fff_ffff).to_be_bytes());
                if dice.below(2) == 0 {
                    forged[44..48].copy_from_slice(&(dice.next() as u32).to_be_bytes());
                }
                let _ = socket.send(&forged);
                seconds += 1;
            }
        }
        wait_until(clock::media() + Media::from_millis(2));
    }
    let grown = resident_kib().saturating_sub(before);
    let report = victim.judge();
    assert!(firsts > 200 && seconds > 2000, "{firsts} and {seconds} handshakes are no flood");
    assert!(grown < 64 << 10, "grew by {grown} KiB");
    assert!(refused(&report, "wrong-cookie").1 > 100, "{report}");
    told_at_most_once_a_second(&report);
}

#[test]
fn a_wrong_passphrase_is_refused_and_said_so() {
    let victim = Victim::new(None, free_port());
    let place = victim.place;
    let mut strangers = Vec::new();
    for line in [
        format!("call send --type none --passphrase another-passphrase {place}"),
        format!("call send --type none --passphrase another-passphrase --key-bytes 32 --stream-id {STREAM_ID} {place}"),
        format!("call send --type none {place}"),
    ] {
        strangers.push(Peer::holdfast(&words(&line)));
    }
    assert_eq!(strangers[0].line("REFUSED", SOON), "REFUSED wrong-passphrase");
    assert_eq!(strangers[1].line("REFUSED", SOON), "REFUSED wrong-passphrase");
    assert_eq!(strangers[2].line("REFUSED", SOON), "REFUSED passphrase-missing");
    // libsrt's own view of it.
    let mut libsrt = Peer::libsrt(&words(&format!("call send --type none --passphrase another-passphrase {place}")));
    libsrt.ended(SOON);
    assert!(!libsrt.said().iter().any(|line| line.starts_with("CONNECTED")), "{:?}", libsrt.said());
    let report = victim.judge();
    assert!(refused(&report, "wrong-passphrase").1 >= 1, "{report}");
    assert!(refused(&report, "passphrase-missing").1 >= 1, "{report}");
    told_at_most_once_a_second(&report);
}

#[test]
fn a_group_cannot_be_joined_by_its_id_alone() {
    let victim = Victim::new(None, free_port());
    let place = victim.place;
    let group = format!("--type broadcast --group-id {GROUP} --stream 666");
    // With the group's id and stream id, but without its passphrase.
    let mut without = Peer::holdfast(&words(&format!(
        "call send {group} --stream-id {STREAM_ID} --passphrase another-passphrase --seconds 2 {place}"
    )));
    assert_eq!(without.line("REFUSED", SOON), "REFUSED wrong-passphrase");
    drop(without);
    // With its id and passphrase but another stream id: a guest with a session of its own.
    let mut beside = Peer::holdfast(&words(&format!(
        "call send {group} --stream-id #!::r=other,m=publish --passphrase {PASSPHRASE} --seconds 2 {place}"
    )));
    beside.line("CONNECTED", SOON);
    beside.report(SOON);
    let mut victim = victim;
    victim.listener.line("GUEST", SOON);
    let report = victim.judge();
    assert!(refused(&report, "wrong-passphrase").1 >= 1, "{report}");
}

#[test]
fn recorded_key_material_opens_nothing() {
    // Between the victim and its listener sits somebody who records.
    let tap = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    let tap_place = tap.local_addr().expect("bound");
    let port = free_port();
    let listener_place = SocketAddr::from(([127, 0, 0, 1], port));
    let (done, ended) = (AtomicBool::new(false), AtomicBool::new(false));
    let over = &ended;
    thread::scope(|scope| {
        let recorder = scope.spawn(|| record(&tap, listener_place, &done));
        let victim = Victim::new(Some(tap_place), port);
        let mut dice = Dice(4);
        wait_until(clock::media() + Media::from_millis(1000));
        // The recording up to here: ask for a cookie of our own, and send the victim's conclusion with it.
        done.store(true, Ordering::Relaxed);
        let (conclusion, tap) = recorder.join().expect("it records");
        // The tap goes on carrying, without recording.
        let carrier = scope.spawn(move || carry(&tap, listener_place, over));
        let socket = socket(listener_place);
        let mut rejections = 0;
        for _ in 0..5 {
            let mut caller = caller(listener_place, &mut dice, None);
            let _ = socket.send(&caller.poll_transmit().expect("the first step"));
            let Some(bytes) = answer(&socket) else { continue };
            let cookie = bytes[44..48].to_vec();
            let mut forged = conclusion.clone();
            forged[40..44].copy_from_slice(&(dice.next() as u32 & 0x3fff_ffff | 1).to_be_bytes());
            forged[44..48].copy_from_slice(&cookie);
            let _ = socket.send(&forged);
            if let Some(bytes) = answer(&socket)
                && let Ok(Packet::Control(packet)) = Packet::decode(&bytes)
                && let Control::Handshake(handshake) = packet.control
            {
                assert!(matches!(handshake.kind, HandshakeKind::Rejected(_)), "{:?}", handshake.kind);
                rejections += 1;
            }
        }
        assert!(rejections > 0);
        let report = victim.judge();
        over.store(true, Ordering::Relaxed);
        carrier.join().expect("it carries");
        assert!(refused(&report, "replayed-key-material").1 >= 1, "{report}");
    });
}

/// Carries between one client and `to` until it is told; returns the client's conclusion.
fn record(tap: &UdpSocket, to: SocketAddr, done: &AtomicBool) -> (Vec<u8>, (UdpSocket, Option<SocketAddr>)) {
    let mut client: Option<SocketAddr> = None;
    let mut conclusion = Vec::new();
    tap.set_read_timeout(Some(Duration::from_millis(100))).expect("a time");
    let mut bytes = [0; 2048];
    while !done.load(Ordering::Relaxed) || conclusion.is_empty() {
        let Ok((length, from)) = tap.recv_from(&mut bytes) else { continue };
        let datagram = &bytes[..length];
        if from == to {
            if let Some(client) = client {
                let _ = tap.send_to(datagram, client);
            }
            continue;
        }
        client = Some(from);
        if let Ok(Packet::Control(packet)) = Packet::decode(datagram)
            && let Control::Handshake(handshake) = packet.control
            && handshake.kind == HandshakeKind::Conclusion
        {
            conclusion = datagram.to_vec();
        }
        let _ = tap.send_to(datagram, to);
    }
    (conclusion, (tap.try_clone().expect("a handle"), client))
}

fn carry((tap, client): &(UdpSocket, Option<SocketAddr>), to: SocketAddr, over: &AtomicBool) {
    let mut bytes = [0; 2048];
    while !over.load(Ordering::Relaxed) {
        let Ok((length, from)) = tap.recv_from(&mut bytes) else { continue };
        let target = if from == to { client.unwrap_or(to) } else { to };
        let _ = tap.send_to(&bytes[..length], target);
    }
}
