//! What a group of libsrt's asks for, path by path, and what it gets. Its answers are written by hand.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::harness::{ISN, Pair, Peer, ms};
use crate::srt::session::{Duty, PathId};
use crate::srt::wire::{
    Ack, AckReport, Control, ControlPacket, LossList, Packet, SeqNo, SeqRange, SocketId, Timestamp,
};

/// What left, in short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Data { path: u32, number: u32, again: bool },
    Dropped { path: u32, first: u32, last: u32 },
}

use Left::{Data, Dropped};

/// A sender on two paths whose round-trip time of 20 ms is known, and no receiver.
struct Group {
    pair: Pair,
}

impl Group {
    fn new(version: u32) -> Self {
        let mut pair = Pair::new(Peer::Libsrt(version), ms(500), ms(10));
        pair.join(ms(10), Duty::Carry);
        let mut group = Self { pair };
        for path in [0, 1] {
            group.ack(path, 0);
        }
        group
    }

    fn wait(&mut self, time: Duration) {
        self.pair.now += time;
        self.pair.sender.handle_timeout(self.pair.now);
    }

    fn send(&mut self, count: u32) {
        for _ in 0..count {
            self.pair.sender.send(Bytes::from_static(&[0; 100]), self.pair.now, self.pair.now).unwrap();
        }
    }

    fn says(&mut self, path: u32, control: Control<'_>) {
        let mut datagram = BytesMut::new();
        let (timestamp, dest) = (Timestamp::ZERO, SocketId(0x1000 + path));
        ControlPacket { timestamp, dest, control }.encode(&mut datagram);
        self.pair.sender.handle_datagram(PathId(path), &datagram.freeze(), self.pair.now);
    }

    fn ack(&mut self, path: u32, up_to: u32) {
        let report = AckReport { rtt_us: 20_000, rtt_variance_us: 1_000, free_buffer: 8000, rates: None };
        let ack = Ack { number: 1, up_to: SeqNo::new(ISN).plus(up_to), report: Some(report) };
        self.says(path, Control::Ack(ack));
    }

    fn nak(&mut self, path: u32, ranges: &[(u32, u32)]) {
        let isn = SeqNo::new(ISN);
        let ranges: Vec<_> =
            ranges.iter().map(|(first, last)| SeqRange::new(isn.plus(*first), isn.plus(*last)).unwrap()).collect();
        let mut body = Vec::new();
        LossList::write(&ranges, 1400, &mut body);
        self.says(path, Control::Nak(LossList::decode(&body).unwrap()));
    }

    /// Data and drop requests that leave.
    fn left(&mut self) -> Vec<Left> {
        let number = |seq: SeqNo| seq.diff(SeqNo::new(ISN)).unsigned_abs();
        let mut left = Vec::new();
        while let Some(transmit) = self.pair.sender.poll_transmit(self.pair.now) {
            let path = transmit.path.0;
            let mut datagram = Vec::new();
            transmit.write_to(&mut datagram);
            match Packet::decode(&datagram).unwrap() {
                Packet::Data(data) => {
                    left.push(Data { path, number: number(data.header.seq), again: data.header.retransmitted });
                }
                Packet::Control(packet) => {
                    if let Control::DropRequest { range, .. } = packet.control {
                        left.push(Dropped { path, first: number(range.first()), last: number(range.last()) });
                    }
                }
            }
        }
        left
    }
}

const OLD: u32 = 0x01_05_01;
const PATIENT: u32 = 0x01_05_04;

#[test]
fn what_the_other_member_has_is_declined_to_a_patient_peer_and_sent_to_an_impatient_one() {
    for version in [OLD, PATIENT] {
        let mut group = Group::new(version);
        group.send(10);
        group.left();
        group.wait(ms(25));
        group.ack(1, 10);
        group.nak(0, &[(3, 4), (7, 7)]);
        let expected = if version == OLD {
            [3, 4, 7].map(|number| Data { path: 0, number, again: true }).to_vec()
        } else {
            vec![Dropped { path: 0, first: 3, last: 4 }, Dropped { path: 0, first: 7, last: 7 }]
        };
        assert_eq!(group.left(), expected, "{version:x}");
    }
}

#[test]
fn what_the_other_member_may_still_bring_is_waited_for_and_what_it_has_lost_too_is_sent_again() {
    for version in [OLD, PATIENT] {
        let mut group = Group::new(version);
        group.send(10);
        group.left();
        group.wait(ms(21));
        group.nak(0, &[(3, 3)]);
        assert_eq!(group.left(), [], "{version:x}: it may be on its way on the other path");
        group.nak(1, &[(3, 3)]);
        assert_eq!(group.left(), [Data { path: 1, number: 3, again: true }], "{version:x}");
        group.nak(1, &[(3, 3)]);
        assert_eq!(group.left(), [], "{version:x}: it has just been sent");
        group.wait(ms(21));
        group.nak(1, &[(3, 3)]);
        assert_eq!(group.left(), [Data { path: 1, number: 3, again: true }], "{version:x}: once a round trip");
    }
}

#[test]
fn a_member_is_told_of_a_jump_before_it_sees_it_and_again_if_that_was_lost() {
    let mut group = Group::new(OLD);
    group.pair.sender.set_duty(PathId(1), Duty::Rest);
    group.send(20);
    assert_eq!(group.left().len(), 20);
    group.wait(ms(25));
    group.ack(0, 15);
    group.pair.sender.set_duty(PathId(1), Duty::Carry);
    assert_eq!(group.pair.sender.duplicate_tail(PathId(1), group.pair.now), 5);
    let left = group.left();
    assert_eq!(left[0], Dropped { path: 1, first: 0, last: 14 });
    assert_eq!(left[1..], [15, 16, 17, 18, 19].map(|number| Data { path: 1, number, again: true }));
    group.wait(ms(25));
    group.nak(1, &[(0, 14)]);
    assert_eq!(group.left(), [Dropped { path: 1, first: 0, last: 14 }]);
}

#[test]
fn a_member_that_rests_is_not_filled_up_with_what_has_been_delivered() {
    let mut group = Group::new(OLD);
    group.send(10);
    group.left();
    group.wait(ms(25));
    group.ack(1, 10);
    group.pair.sender.set_duty(PathId(0), Duty::Rest);
    group.nak(0, &[(3, 9)]);
    assert_eq!(group.left(), [Dropped { path: 0, first: 3, last: 9 }]);
}

#[test]
fn what_is_too_old_is_declined_and_what_was_never_sent_is_not_discussed() {
    let mut group = Group::new(OLD);
    group.send(10);
    group.left();
    group.wait(ms(600));
    group.send(5);
    group.left();
    group.wait(ms(21));
    group.nak(0, &[(2, 5), (12, 12), (40, 50)]);
    assert_eq!(group.left()[..], [Dropped { path: 0, first: 2, last: 5 }]);
    group.nak(1, &[(12, 12)]);
    assert_eq!(group.left()[..], [Data { path: 1, number: 12, again: true }]);
}

#[test]
fn a_packet_is_kept_until_each_member_that_carries_it_has_it() {
    let mut group = Group::new(OLD);
    group.send(10);
    group.left();
    group.wait(ms(25));
    group.ack(0, 10);
    assert_eq!(group.pair.sender.stats(group.pair.now).send_buffer.packets, 10);
    assert_eq!(group.pair.sender.unacknowledged(), 0);
    group.ack(1, 6);
    assert_eq!(group.pair.sender.stats(group.pair.now).send_buffer.packets, 4);
    // A member that is gone needs nothing.
    group.pair.sender.close_path(PathId(1), group.pair.now);
    group.send(1);
    group.left();
    group.wait(ms(25));
    group.ack(0, 11);
    assert_eq!(group.pair.sender.stats(group.pair.now).send_buffer.packets, 0);
}

#[test]
fn a_nak_of_everything_costs_a_bounded_answer() {
    let mut group = Group::new(PATIENT);
    group.send(100);
    group.left();
    group.wait(ms(25));
    // Overlapping, unordered, and each of them as long as can be.
    let ranges: Vec<_> = (0..150).map(|i| (i % 7, 0x3000_0000)).collect();
    group.nak(0, &ranges);
    group.nak(1, &ranges);
    assert!(group.left().len() <= 200);
}
