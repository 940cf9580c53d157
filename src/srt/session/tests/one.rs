//! Plain SRT: one path.

use std::time::Duration;

use super::harness::{End, ISN, Pair, Peer, ms};
use crate::srt::session::{Closed, Event, MaxBandwidth, PathId, SendError, SessionConfig};
use crate::srt::wire::{Control, Packet, SeqNo};

const INTERVAL: Duration = Duration::from_micros(1500);

fn pair() -> Pair {
    Pair::new(Peer::Single, ms(120), ms(20))
}

/// Loses each data packet with this chance, the first time and again.
fn lossy(seed: u64, chance: f64) -> impl FnMut(&Packet<'_>, Duration) -> bool {
    let mut random = fastrand::Rng::with_seed(seed);
    move |packet, _| !matches!(packet, Packet::Data(_)) || random.f64() >= chance
}

#[test]
fn everything_arrives_in_order_one_latency_after_it_was_made() {
    let mut pair = pair();
    pair.stream(ms(2000), INTERVAL);
    pair.run(ms(200));
    assert_eq!(pair.numbers(), (0..1334).collect::<Vec<_>>());
    assert_eq!(pair.extra(), 0);
    let first = &pair.delivered[0];
    // Made at start + 80 ms, 20 ms on its way, held for 120 ms.
    assert_eq!(first.1 - pair.start, ms(80 + 20 + 120));
    for (delivered, at) in &pair.delivered {
        assert_eq!(*at, delivered.play_at);
        assert_eq!(*at - pair.start, Duration::from_micros(delivered.source_us) + ms(140));
    }
    let stats = pair.sender.path_stats(PathId(0), pair.now).unwrap();
    assert_eq!(stats.rtt, Some(ms(40)));
    assert_eq!(stats.counters.acknowledged, 1334);
    assert_eq!(stats.in_flight, 0);
    let stats = pair.sender.stats(pair.now);
    assert_eq!((stats.send_buffer.packets, stats.send_buffer.bytes), (0, 0));
}

#[test]
fn acknowledgements_come_every_10_ms_and_light_ones_in_between() {
    let mut pair = pair();
    pair.stream(ms(1000), INTERVAL);
    pair.run(ms(200));
    let full = pair.receiver.path_stats(PathId(0), pair.now).unwrap().counters.acks_sent;
    assert!((98..=104).contains(&full), "{full} in a second");
    let mut fast = Pair::new(Peer::Single, ms(120), ms(20));
    fast.stream(ms(1000), Duration::from_micros(50));
    fast.run(ms(200));
    let both = fast.receiver.path_stats(PathId(0), fast.now).unwrap().counters.acks_sent;
    assert!((350..=420).contains(&both), "20,000 packets, one for each 64 and 100: {both}");
    assert_eq!(fast.missing(), 0);
}

#[test]
fn losses_are_repaired_within_the_latency_and_sent_once() {
    for seed in 0..20 {
        let mut pair = pair();
        // Until the round trip has been measured, packets may be sent again once too often.
        pair.stream(ms(300), INTERVAL);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut lost = 0;
        let counted = std::rc::Rc::new(std::cell::Cell::new(0));
        let count = counted.clone();
        // Only what is sent for the first time is lost.
        pair.rule(0, End::Sender, move |packet, _| {
            let Packet::Data(data) = packet else { return true };
            let passes = data.header.retransmitted || random.f64() >= 0.05;
            lost += u64::from(!passes);
            count.set(lost);
            passes
        });
        pair.stream(ms(3000), INTERVAL);
        // What follows the last loss tells of it.
        pair.rule(0, End::Sender, |_, _| true);
        pair.send();
        pair.run(ms(300));
        assert_eq!(pair.missing(), 0, "seed {seed}");
        assert!(counted.get() > 50);
        assert_eq!(pair.extra(), counted.get(), "seed {seed}: each is sent again once");
        let stats = pair.receiver.stats(pair.now).counters;
        assert_eq!(stats.recovered, counted.get());
    }
}

#[test]
fn a_round_trip_of_seconds_is_measured_and_what_is_lost_is_sent_once_in_it() {
    let mut pair = Pair::new(Peer::Single, ms(8000), ms(20));
    pair.stream(ms(1000), INTERVAL);
    // A queue has filled up.
    pair.link(0, End::Sender).delay = ms(2000);
    pair.stream(ms(5000), INTERVAL);
    let rtt = pair.receiver.path_stats(PathId(0), pair.now).unwrap().rtt.unwrap();
    assert!((ms(1980)..=ms(2040)).contains(&rtt), "{rtt:?}");
    let before = pair.extra();
    pair.rule(0, End::Sender, lossy(3, 0.02));
    pair.stream(ms(4000), INTERVAL);
    pair.rule(0, End::Sender, |_, _| true);
    pair.send();
    pair.run(ms(9000));
    assert_eq!(pair.missing(), 0);
    // 2,667 packets, of which one in fifty is lost, and of those one in fifty again.
    let again = pair.extra() - before;
    assert!((30..90).contains(&again), "{again} sent again");
}

#[test]
fn heavy_losses_in_both_directions_cost_little_more_than_they_must() {
    for seed in 0..20 {
        let mut pair = Pair::new(Peer::Single, ms(400), ms(20));
        pair.rule(0, End::Sender, lossy(seed, 0.1));
        let mut random = fastrand::Rng::with_seed(seed + 1000);
        pair.rule(0, End::Receiver, move |_, _| random.f64() >= 0.1);
        pair.stream(ms(3000), INTERVAL);
        pair.rule(0, End::Sender, |_, _| true);
        pair.send();
        pair.run(ms(600));
        assert_eq!(pair.missing(), 0, "seed {seed}");
        let sent = 2000.0;
        let least = sent * 0.1 / 0.9;
        assert!((pair.extra() as f64) < least * 1.3, "seed {seed}: {} for at least {least}", pair.extra());
    }
}

#[test]
fn what_cannot_come_in_time_is_skipped_and_the_rest_plays_on() {
    let mut pair = pair();
    // Number 100 never gets through.
    pair.rule(
        0,
        End::Sender,
        |packet, _| !matches!(packet, Packet::Data(data) if data.header.seq == SeqNo::new(ISN).plus(100)),
    );
    pair.stream(ms(1000), INTERVAL);
    pair.run(ms(200));
    let numbers = pair.numbers();
    assert_eq!(numbers.len(), 666);
    assert!(!numbers.contains(&100));
    for (delivered, at) in &pair.delivered {
        assert_eq!(*at, delivered.play_at, "nothing waits for it");
    }
    assert_eq!(pair.receiver.stats(pair.now).counters.skipped, 1);
    let sender = pair.sender.stats(pair.now);
    assert_eq!(sender.send_buffer.packets, 0, "it is forgotten");
    // Asked for every 30 ms or so, sent at most once a round trip of 40 ms, for 120 ms.
    assert!((2..=4).contains(&pair.extra()), "{}", pair.extra());
}

#[test]
fn a_silent_path_is_kept_alive_and_a_dead_one_given_up() {
    let mut pair = pair();
    pair.run(ms(20_000));
    assert!(pair.sender.paths().next().is_some());
    pair.rule(0, End::Receiver, |_, _| false);
    pair.run(ms(7_000));
    let closed = Event::PathClosed { path: PathId(0), why: Closed::PeerIdle };
    assert!(pair.events.contains(&(End::Sender, closed)), "{:?}", pair.events);
    assert!(pair.sender.is_open(), "the session waits for its path to come back");
}

#[test]
fn closing_waits_for_what_is_on_its_way_and_tells_the_peer() {
    let mut pair = pair();
    pair.rule(0, End::Sender, lossy(3, 0.05));
    pair.stream(ms(500), INTERVAL);
    pair.rule(0, End::Sender, |_, _| true);
    pair.send();
    pair.sender.close(pair.now);
    assert_eq!(pair.sender.send(bytes::Bytes::new(), pair.now, pair.now), Err(SendError::Closed));
    pair.run(ms(130));
    assert!(!pair.events.contains(&(End::Sender, Event::Closed)), "the peer has not played everything");
    pair.run(ms(60));
    assert_eq!(pair.missing(), 0);
    pair.run(ms(500));
    assert!(pair.events.contains(&(End::Sender, Event::Closed)));
    assert!(pair.events.contains(&(End::Receiver, Event::Closed)));
    assert_eq!(pair.missing(), 0);
    assert_eq!(pair.sender.poll_timeout(), None);
}

#[test]
fn closing_does_not_wait_for_a_dead_peer_for_ever() {
    let mut pair = pair();
    pair.rule(0, End::Sender, |_, _| false);
    pair.stream(ms(100), INTERVAL);
    pair.sender.close(pair.now);
    pair.run(ms(1300));
    assert!(pair.events.contains(&(End::Sender, Event::Closed)));
}

#[test]
fn a_hole_longer_than_the_buffer_is_survived() {
    let mut pair = pair();
    pair.stream(ms(500), INTERVAL);
    let from = pair.elapsed();
    pair.rule(0, End::Sender, move |_, at| at < from || at > from + ms(4000));
    pair.stream(ms(6000), Duration::from_micros(200));
    pair.run(ms(300));
    let numbers = pair.numbers();
    assert_eq!(numbers.last(), Some(&(334 + 30_000 - 1)));
    let skipped = pair.receiver.stats(pair.now).counters.skipped;
    assert!((19_000..=20_100).contains(&skipped), "{skipped}");
    assert!(pair.delivered.iter().rev().take(1000).all(|(delivered, at)| *at == delivered.play_at));
}

#[test]
fn packets_are_paced_by_the_measured_input_and_its_overhead() {
    let config = SessionConfig { max_bandwidth: MaxBandwidth::Input { overhead: 25 }, ..Default::default() };
    let mut pair = Pair::with(Peer::Single, ms(400), ms(20), config);
    pair.stream(ms(2000), INTERVAL);
    let begun = pair.now;
    // Twenty at once, as a key frame may be: at 125 % of a packet each 1.5 ms they take 24 ms, less what may burst.
    for _ in 0..20 {
        pair.send();
    }
    let before = pair.link(0, End::Sender).data;
    assert!(before < 1334 + 10, "{}", before - 1334);
    pair.run_until(begun + ms(30));
    assert_eq!(pair.link(0, End::Sender).data, 1354);
    pair.run(ms(500));
    assert_eq!(pair.missing(), 0);
}

#[test]
fn a_fixed_bandwidth_is_never_exceeded_and_what_becomes_too_old_is_dropped() {
    let config = SessionConfig { max_bandwidth: MaxBandwidth::Fixed(500_000), ..Default::default() };
    let mut pair = Pair::with(Peer::Single, ms(120), ms(20), config);
    // 888 kB/s are offered.
    pair.stream(ms(3000), INTERVAL);
    pair.run(ms(300));
    let sent = pair.link(0, End::Sender).data * 1360;
    assert!(sent <= 500_000 * 33 / 10 + 10_000, "{sent}");
    let counters = pair.sender.stats(pair.now).counters;
    assert!(counters.dropped_unsent > 500, "{counters:?}");
    assert_eq!(pair.missing(), counters.dropped_unsent);
    assert_eq!(pair.receiver.path_stats(PathId(0), pair.now).unwrap().counters.naks_sent, 0, "the peer was told");
}

#[test]
fn the_flow_window_is_kept() {
    let config = SessionConfig { receive_buffer: 64, max_bandwidth: MaxBandwidth::Unlimited, ..Default::default() };
    let mut pair = Pair::with(Peer::Single, ms(120), ms(20), config);
    // 80 packets would wait to be played.
    pair.stream(ms(2000), INTERVAL);
    pair.run(ms(300));
    let numbers = pair.numbers();
    assert!(numbers.len() > 600, "{}", numbers.len());
    let counters = pair.receiver.stats(pair.now).counters;
    assert!(counters.no_room < 40, "only at first, before the room was known: {counters:?}");
}

#[test]
fn nonsense_and_what_is_for_others_changes_nothing() {
    let mut pair = pair();
    pair.stream(ms(100), INTERVAL);
    let mut random = fastrand::Rng::with_seed(11);
    for length in 0..1400 {
        let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
        pair.receiver.handle_datagram(PathId(0), &bytes::Bytes::from(noise), pair.now);
    }
    pair.receiver.handle_datagram(PathId(9), &bytes::Bytes::from_static(&[0; 20]), pair.now);
    assert!(pair.receiver.path_stats(PathId(0), pair.now).unwrap().counters.refused > 1000);
    assert_eq!(pair.receiver.stats(pair.now).counters.stray, 1);
    pair.stream(ms(100), INTERVAL);
    pair.run(ms(200));
    assert_eq!(pair.missing(), 0);
}

/// Everything a peer can say, with any numbers: it may spoil its own session, but nothing grows and nothing breaks.
#[test]
fn a_hostile_peer_cannot_make_it_grow_or_panic() {
    let mut random = fastrand::Rng::with_seed(5);
    for _ in 0..300 {
        let mut pair = pair();
        pair.lawful = false;
        pair.stream(ms(30), INTERVAL);
        for _ in 0..200 {
            let to_sender = random.bool();
            let mut datagram = bytes::BytesMut::new();
            let near = SeqNo::new(ISN).plus(random.u32(0..60));
            let seq = if random.bool() { near } else { SeqNo::new(random.u32(..)) };
            let (word, dest) = (random.u16(0..9), if to_sender { 0x1000u32 } else { 0x2000 });
            use bytes::BufMut;
            if random.u8(0..3) == 0 {
                datagram.put_u32(seq.get());
                datagram.put_u32(0xe000_0000 | random.u32(0..1000));
            } else {
                datagram.put_u16(0x8000 | if word == 8 { 0x7fff } else { word });
                datagram.put_u16(if random.bool() { 0x4846 } else { 0 });
                datagram.put_u32(random.u32(0..8));
            }
            datagram.put_u32(random.u32(..));
            datagram.put_u32(dest);
            for _ in 0..random.u8(0..12) {
                let value = if random.bool() { near.get() } else { random.u32(..) };
                datagram.put_u32(value | if random.u8(0..4) == 0 { 0x8000_0000 } else { 0 });
            }
            let session = if to_sender { &mut pair.sender } else { &mut pair.receiver };
            session.handle_datagram(PathId(0), &datagram.freeze(), pair.now);
            pair.run(Duration::from_micros(300));
            let stats = pair.receiver.stats(pair.now);
            assert!(stats.receive_buffer <= 8192 && stats.missing <= 3 * 8192, "{stats:?}");
        }
    }
}

#[test]
fn the_same_calls_give_the_same_datagrams() {
    let run = |seed| {
        let mut pair = pair();
        pair.rule(0, End::Sender, lossy(seed, 0.03));
        pair.stream(ms(1000), INTERVAL);
        pair.run(ms(200));
        pair.trace
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn a_shutdown_lets_what_has_arrived_be_played() {
    let mut pair = pair();
    pair.stream(ms(60), INTERVAL);
    pair.sender.close_path(PathId(0), pair.now);
    pair.run(ms(30));
    assert!(pair.events.contains(&(End::Receiver, Event::Closed)));
    pair.run(ms(300));
    assert_eq!(pair.numbers().len(), 40);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_is_not_believed() {
    let mut pair = pair();
    pair.stream(ms(30), INTERVAL);
    let ack = crate::srt::wire::Ack { number: 1, up_to: SeqNo::new(ISN).plus(5000), report: None };
    let mut datagram = bytes::BytesMut::new();
    let control = Control::Ack(ack);
    let (timestamp, dest) = (crate::srt::wire::Timestamp::ZERO, crate::srt::wire::SocketId(0x1000));
    crate::srt::wire::ControlPacket { timestamp, dest, control }.encode(&mut datagram);
    pair.sender.handle_datagram(PathId(0), &datagram.freeze(), pair.now);
    assert_eq!(pair.sender.path_stats(PathId(0), pair.now).unwrap().counters.refused, 1);
    pair.stream(ms(30), INTERVAL);
    pair.run(ms(200));
    assert_eq!(pair.missing(), 0);
}
