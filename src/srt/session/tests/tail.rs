//! What is lost where nothing comes behind it.

use std::time::Duration;

use super::harness::{End, ISN, Pair, Peer, ms};
use crate::srt::session::Duty;
use crate::srt::wire::{Control, Packet, SeqNo};

const INTERVAL: Duration = Duration::from_micros(1500);
const PEERS: [Peer; 5] =
    [Peer::Single, Peer::AsksOnce, Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)];

fn is_data(packet: &Packet<'_>) -> bool {
    matches!(packet, Packet::Data(_))
}

fn is_number(packet: &Packet<'_>, number: u32) -> bool {
    matches!(packet, Packet::Data(data) if data.header.seq == SeqNo::new(ISN).plus(number))
}

/// So many packets, none of which gets through on these paths.
fn send_into_a_hole(pair: &mut Pair, paths: &[u32], count: u32) {
    for path in paths {
        pair.rule(*path, End::Sender, |packet, _| !is_data(packet));
    }
    (0..count).for_each(|_| pair.send());
    for path in paths {
        pair.rule(*path, End::Sender, |_, _| true);
    }
}

#[test]
fn the_end_of_a_stream_is_sent_again_in_time_and_once() {
    for peer in PEERS {
        for (delay, latency) in [(1, 120), (20, 120), (50, 250)] {
            let mut pair = Pair::new(peer, ms(latency), ms(delay));
            pair.stream(ms(600), INTERVAL);
            send_into_a_hole(&mut pair, &[0], 5);
            pair.run(ms(400));
            assert_eq!(pair.missing(), 0, "{peer:?}, {delay} ms");
            assert!(pair.delivered.iter().all(|(delivered, at)| *at == delivered.play_at), "{peer:?}, {delay} ms");
            assert_eq!(pair.extra(), 5, "{peer:?}, {delay} ms");
            assert_eq!(pair.sender.stats(pair.now).counters.unasked, 5, "{peer:?}, {delay} ms");
            assert_eq!(pair.sender.unacknowledged(), 0, "{peer:?}, {delay} ms");
        }
    }
}

#[test]
fn a_repair_that_is_lost_is_repeated_while_there_is_time_and_no_longer() {
    let mut pair = Pair::new(Peer::Single, ms(250), ms(20));
    pair.stream(ms(600), INTERVAL);
    pair.rule(0, End::Sender, |packet, _| !is_data(packet));
    pair.send();
    // RTT and three acknowledgement intervals: 70 ms, and what the round trip's variance adds.
    pair.run(ms(120));
    let twice = pair.extra();
    assert!((1..=2).contains(&twice), "{twice}");
    pair.rule(0, End::Sender, |_, _| true);
    pair.run(ms(300));
    assert_eq!((pair.missing(), pair.extra()), (0, twice + 1));

    pair.rule(0, End::Sender, |packet, _| !is_data(packet));
    pair.send();
    pair.run(ms(2000));
    assert!(pair.extra() - twice - 1 <= 4, "{}", pair.extra());
    let counters = pair.sender.stats(pair.now).counters;
    assert_eq!((counters.dropped_unacknowledged, counters.dropped_unsent), (1, 0));
}

#[test]
fn what_another_path_has_brought_is_not_sent_again() {
    for peer in [Peer::Holdfast, Peer::Libsrt(0x01_05_01), Peer::Libsrt(0x01_05_05)] {
        let mut pair = Pair::new(peer, ms(400), ms(10));
        pair.join(ms(40), Duty::Carry);
        pair.stream(ms(600), INTERVAL);
        send_into_a_hole(&mut pair, &[0], 5);
        pair.run(ms(700));
        assert_eq!(pair.missing(), 0, "{peer:?}");
        assert_eq!(pair.extra(), 400 + 5, "{peer:?}: each packet once on either path");
        // Lost on both: sent again on one of them.
        send_into_a_hole(&mut pair, &[0, 1], 5);
        pair.run(ms(700));
        assert_eq!(pair.missing(), 0, "{peer:?}");
        assert_eq!(pair.extra(), 400 + 15, "{peer:?}");
        assert_eq!(pair.sender.stats(pair.now).counters.unasked, 5, "{peer:?}");
    }
}

#[test]
fn a_path_that_stands_still_is_not_filled_with_copies() {
    for peer in [Peer::Single, Peer::Holdfast, Peer::Libsrt(0x01_05_05)] {
        let mut pair = Pair::new(peer, ms(400), ms(20));
        pair.stream(ms(600), INTERVAL);
        pair.rule(0, End::Sender, |packet, _| !is_data(packet));
        pair.stream(ms(200), INTERVAL);
        assert_eq!(pair.extra(), 0, "{peer:?}: new packets show what is missing");
        pair.rule(0, End::Sender, |_, _| true);
        pair.stream(ms(400), INTERVAL);
        pair.run(ms(500));
        assert_eq!(pair.missing(), 0, "{peer:?}");
        assert_eq!(pair.sender.stats(pair.now).counters.unasked, 0, "{peer:?}");
    }
}

#[test]
fn an_earlier_hole_does_not_make_what_has_arrived_be_sent_again() {
    for peer in [Peer::Single, Peer::Holdfast, Peer::Libsrt(0x01_05_05)] {
        let mut pair = Pair::new(peer, ms(400), ms(20));
        pair.stream(ms(600), INTERVAL);
        // The packet and its first repair.
        let mut lost = 0;
        pair.rule(0, End::Sender, move |packet, _| {
            lost += u32::from(is_number(packet, 400));
            !is_number(packet, 400) || lost > 2
        });
        for _ in 0..10 {
            pair.send();
        }
        pair.run(ms(500));
        assert_eq!(pair.missing(), 0, "{peer:?}");
        assert_eq!(pair.extra(), 2, "{peer:?}: nothing but the one that was lost");
    }
}

#[test]
fn a_peer_that_asks_once_gets_what_was_lost_again() {
    let mut pair = Pair::new(Peer::AsksOnce, ms(400), ms(20));
    pair.stream(ms(600), INTERVAL);
    let (mut asked, mut lost) = (0, 0);
    pair.rule(0, End::Receiver, move |packet, _| {
        let asks = matches!(packet, Packet::Control(packet) if matches!(packet.control, Control::Nak(_)));
        asked += u32::from(asks);
        !asks || asked <= 1
    });
    pair.rule(0, End::Sender, move |packet, _| {
        lost += u32::from(is_number(packet, 405));
        !is_number(packet, 405) || lost > 2
    });
    pair.stream(ms(600), INTERVAL);
    pair.run(ms(500));
    assert_eq!(pair.missing(), 0);
    assert_eq!(pair.extra(), 2, "nothing but the one that was lost");
    // Not even its first question comes.
    pair.rule(
        0,
        End::Receiver,
        |packet, _| !matches!(packet, Packet::Control(packet) if matches!(packet.control, Control::Nak(_))),
    );
    let mut lost = 0;
    pair.rule(0, End::Sender, move |packet, _| {
        lost += u32::from(is_number(packet, 805));
        !is_number(packet, 805) || lost > 1
    });
    pair.stream(ms(600), INTERVAL);
    pair.run(ms(500));
    assert_eq!(pair.missing(), 0);
    let extra = pair.extra() - 2;
    assert!((1..=4).contains(&extra), "{extra}: that one and what left at about the same time");
}

#[test]
fn closing_waits_for_the_end_to_be_repaired() {
    let mut pair = Pair::new(Peer::Single, ms(250), ms(20));
    pair.stream(ms(600), INTERVAL);
    send_into_a_hole(&mut pair, &[0], 3);
    pair.sender.close(pair.now);
    pair.run(ms(500));
    assert_eq!(pair.missing(), 0);
    assert_eq!(pair.sender.stats(pair.now).counters.dropped_unacknowledged, 0);
}
