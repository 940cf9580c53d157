//! Encrypted sessions.

use std::time::Duration;

use bytes::Bytes;

use super::harness::{End, Pair, Peer, ms};
use crate::srt::crypto::{KeyChange, RefreshPolicy};
use crate::srt::session::{Duty, Event, MaxBandwidth, PathId, Seed, SessionConfig};
use crate::srt::wire::{Control, KeyFlag, Packet, kind};

const INTERVAL: Duration = Duration::from_micros(1500);

/// Keys change every 400 packets.
fn config() -> SessionConfig {
    SessionConfig {
        max_bandwidth: MaxBandwidth::Unlimited,
        refresh: RefreshPolicy::new(400, 100).unwrap(),
        seed: Some(Seed([3; 32])),
        ..SessionConfig::default()
    }
}

fn pair(peer: Peer, caller: End) -> Pair {
    Pair::sealed(peer, ms(150), ms(15), config(), Some(caller))
}

fn lossy(seed: u64, chance: f64) -> impl FnMut(&Packet<'_>, Duration) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    move |_, _| random.f64() >= chance
}

#[test]
fn keys_are_refreshed_again_and_again_without_a_hole_whoever_called() {
    for caller in [End::Sender, End::Receiver] {
        for peer in [Peer::Single, Peer::Holdfast] {
            let mut pair = pair(peer, caller);
            if peer == Peer::Holdfast && caller == End::Sender {
                pair.join(ms(40), Duty::Carry);
            }
            pair.stream(ms(4000), INTERVAL);
            pair.run(ms(300));
            assert_eq!(pair.missing(), 0, "{peer:?}, {caller:?} called");
            let of = |wanted| {
                let is = |(_, event): &&(End, Event)| matches!(event, Event::Keys { change, .. } if *change == wanted);
                pair.events.iter().filter(is).count()
            };
            assert_eq!((of(KeyChange::Announced), of(KeyChange::Switched)), (6, 6), "{peer:?}, {caller:?} called");
            let stats = pair.receiver.path_stats(PathId(0), pair.now).unwrap().counters;
            assert_eq!(stats.undecipherable, 0);
        }
    }
}

#[test]
fn losses_of_data_and_of_announcements_are_survived_while_keys_change() {
    for seed in 0..10 {
        for caller in [End::Sender, End::Receiver] {
            let mut pair = pair(Peer::Single, caller);
            pair.stream(ms(300), INTERVAL);
            pair.rule(0, End::Sender, lossy(seed, 0.05));
            pair.rule(0, End::Receiver, lossy(seed + 50, 0.05));
            pair.stream(ms(4000), INTERVAL);
            pair.rule(0, End::Sender, |_, _| true);
            pair.send();
            pair.run(ms(300));
            // A packet may fail three times in 150 ms; more than a few missing would be a key.
            assert!(pair.missing() <= 3, "seed {seed}: {} missing", pair.missing());
        }
    }
}

#[test]
fn a_path_that_joins_between_two_refreshes_reads_everything() {
    let mut pair = pair(Peer::Holdfast, End::Sender);
    for round in 0..20 {
        pair.stream(ms(110), INTERVAL);
        let joined = pair.join(ms(15 + round), Duty::Carry);
        pair.stream(ms(110), INTERVAL);
        let left = pair.sender.paths().next().unwrap();
        assert_ne!(left, joined);
        pair.sender.close_path(left, pair.now);
    }
    pair.run(ms(300));
    assert_eq!(pair.missing(), 0);
}

#[test]
fn a_path_that_dies_without_an_answer_does_not_hold_up_the_keys_of_the_others() {
    let mut pair = pair(Peer::Holdfast, End::Sender);
    pair.join(ms(20), Duty::Carry);
    pair.stream(ms(300), INTERVAL);
    for end in [End::Sender, End::Receiver] {
        pair.rule(1, end, |_, _| false);
    }
    // The next key is needed after 600 ms, and the path is given up after 5 s.
    pair.stream(ms(8000), INTERVAL);
    pair.run(ms(300));
    assert_eq!(pair.missing(), 0);
    assert_eq!(pair.sender.paths().collect::<Vec<_>>(), [PathId(0)]);
    let is = |(_, event): &&(End, Event)| matches!(event, Event::Keys { change: KeyChange::Switched, .. });
    let switched = pair.events.iter().filter(is).count();
    assert!((4..=6).contains(&switched), "{switched} times");
}

#[test]
fn a_payload_is_sealed_once_for_all_paths() {
    let mut pair = pair(Peer::Holdfast, End::Sender);
    pair.join(ms(20), Duty::Carry);
    pair.sender.send(Bytes::from_static(b"the same"), pair.now, pair.now).unwrap();
    let mut sealed = Vec::new();
    while let Some(transmit) = pair.sender.poll_transmit(pair.now) {
        let mut datagram = Vec::new();
        transmit.write_to(&mut datagram);
        if let Ok(Packet::Data(data)) = Packet::decode(&datagram) {
            assert_eq!(data.header.key, KeyFlag::Even);
            sealed.push(transmit.payload);
        }
    }
    assert_eq!(sealed.len(), 2);
    assert_ne!(sealed[0], Bytes::from_static(b"the same"));
    assert_eq!(sealed[0].as_ptr(), sealed[1].as_ptr(), "one buffer");
}

#[test]
fn clear_packets_are_not_taken_in_a_sealed_session_nor_sealed_ones_in_a_clear_session() {
    let mut sealed = pair(Peer::Single, End::Sender);
    let mut clear = Pair::new(Peer::Single, ms(150), ms(15));
    for (from, to) in [(&mut sealed, true), (&mut clear, false)] {
        from.sender.send(Bytes::from_static(b"payload"), from.now, from.now).unwrap();
        let transmit = from.sender.poll_transmit(from.now).unwrap();
        let mut datagram = Vec::new();
        transmit.write_to(&mut datagram);
        let mut other = if to { Pair::new(Peer::Single, ms(150), ms(15)) } else { pair(Peer::Single, End::Sender) };
        other.receiver.handle_datagram(PathId(0), &Bytes::from(datagram), other.now);
        assert_eq!(other.receiver.path_stats(PathId(0), other.now).unwrap().counters.undecipherable, 1);
        other.run(ms(500));
        assert!(other.delivered.is_empty());
    }
}

#[test]
fn a_refused_key_is_told_and_key_material_that_is_replayed_changes_nothing() {
    let mut pair = pair(Peer::Single, End::Sender);
    let recorded = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let record = recorded.clone();
    pair.rule(0, End::Sender, move |packet, _| {
        if let Packet::Control(packet) = packet
            && matches!(packet.control, Control::Extended { subtype: kind::KMREQ, .. })
        {
            let mut datagram = Vec::new();
            packet.encode(&mut datagram);
            record.borrow_mut().push(Bytes::from(datagram));
        }
        true
    });
    pair.stream(ms(3000), INTERVAL);
    let recorded: Vec<_> = recorded.borrow().clone();
    assert!(recorded.len() >= 4);
    for datagram in recorded {
        pair.receiver.handle_datagram(PathId(0), &datagram, pair.now);
        pair.stream(ms(50), INTERVAL);
    }
    pair.run(ms(300));
    assert_eq!(pair.missing(), 0);
    assert_eq!(pair.receiver.path_stats(PathId(0), pair.now).unwrap().counters.undecipherable, 0);
    // An answer of one word says no.
    let mut datagram = bytes::BytesMut::new();
    let control = Control::Extended { subtype: kind::KMRSP, body: &[4, 0, 0, 0] };
    let (timestamp, dest) = (crate::srt::wire::Timestamp::ZERO, crate::srt::wire::SocketId(0x1000));
    crate::srt::wire::ControlPacket { timestamp, dest, control }.encode(&mut datagram);
    pair.sender.handle_datagram(PathId(0), &datagram.freeze(), pair.now);
    pair.run(ms(1));
    assert!(pair.events.iter().any(|(_, event)| matches!(event, Event::KeyRefused { .. })));
}
