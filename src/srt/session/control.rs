//! Control packets that leave.

use bytes::{Bytes, BytesMut};

use super::event::Transmit;
use super::report::{PathReport, Private};
use super::ring::Position;
use super::time::Micros;
use super::{MAX_WAITING, Session};
use crate::srt::wire::{
    Ack, AckRates, AckReport, Control, ControlPacket, HEADER_LEN, LossList, MsgNo, SeqNo, SeqRange, Timestamp, kind,
};

/// Room for a loss list in one datagram, bytes.
const NAK_ROOM: usize = 1400;

impl Session {
    /// Puts a control packet for path `index` into the outbox.
    pub(super) fn say(&mut self, index: usize, control: Control<'_>, now: Micros) {
        let Some(path) = self.paths.get_mut(index) else { return };
        path.said = now;
        let timestamp = Timestamp::from((now - self.outgoing.start).max(0).unsigned_abs());
        let mut datagram = BytesMut::with_capacity(HEADER_LEN + 64);
        ControlPacket { timestamp, dest: path.peer, control }.encode(&mut datagram);
        let mut header = [0; HEADER_LEN];
        header.copy_from_slice(&datagram.split_to(HEADER_LEN));
        if self.outbox.len() >= MAX_WAITING {
            self.outbox.pop_front();
        }
        self.outbox.push_back(Transmit { path: path.id, header, payload: datagram.freeze() });
    }

    pub(super) fn say_shutdown(&mut self, index: usize, now: Micros) {
        self.say(index, Control::Shutdown, now);
    }

    /// "Do not wait for these on this path."
    pub(super) fn say_dropped(&mut self, index: usize, first: Position, last: Position, now: Micros) {
        let Some(range) = SeqRange::new(SeqNo::from(first), SeqNo::from(last)) else { return };
        self.paths[index].counters.drop_requests_sent += 1;
        self.say(index, Control::DropRequest { msgno: MsgNo::NONE, range }, now);
    }

    /// A full acknowledgement.
    pub(super) fn say_ack(&mut self, index: usize, up_to: Position, now: Micros) {
        let path = &mut self.paths[index];
        let arriving = path.inbound.rate.per_second(now);
        let number = path.inbound.journal.write(up_to, now);
        path.counters.acks_sent += 1;
        let room = self.incoming.buffer.free();
        self.incoming.starving |= room < self.config.receive_buffer as u64 / 8;
        let report = AckReport {
            rtt_us: path.rtt.smoothed() as u32,
            rtt_variance_us: path.rtt.variance() as u32,
            free_buffer: room as u32,
            rates: Some(AckRates {
                packets_per_second: arriving.packets as u32,
                // The capacity is not estimated; what arrives fits for certain.
                capacity: arriving.packets as u32,
                bytes_per_second: Some(arriving.bytes as u32),
            }),
        };
        self.say(index, Control::Ack(Ack { number, up_to: SeqNo::from(up_to), report: Some(report) }), now);
    }

    /// An acknowledgement of the number alone.
    pub(super) fn say_light_ack(&mut self, index: usize, up_to: Position, now: Micros) {
        self.paths[index].counters.acks_sent += 1;
        self.say(index, Control::Ack(Ack { number: 0, up_to: SeqNo::from(up_to), report: None }), now);
    }

    /// Asks for `ranges`, in as many packets as it takes.
    pub(super) fn say_lost(&mut self, index: usize, mut ranges: &[SeqRange], now: Micros) {
        while !ranges.is_empty() {
            let mut body = Vec::with_capacity(ranges.len().min(NAK_ROOM / 8) * 8);
            let written = LossList::write(ranges, NAK_ROOM, &mut body);
            let Ok(list) = LossList::decode(&body) else { return };
            self.paths[index].counters.naks_sent += 1;
            self.say(index, Control::Nak(list), now);
            ranges = ranges.get(written.max(1)..).unwrap_or_default();
        }
    }

    /// Tells a Holdfast sender what this path has brought.
    pub(super) fn say_report(&mut self, index: usize, now: Micros) {
        let path = &self.paths[index];
        let report = PathReport {
            next: SeqNo::from(path.inbound.next),
            received: path.counters.received.packets as u32,
            missing: path.counters.missing as u32,
            waiting_us: path.inbound.way.waiting(now).unwrap_or(0).try_into().unwrap_or(u32::MAX),
            bytes: path.counters.received.bytes as u32,
        };
        self.say_private(index, &Private::Report(report), now);
    }

    pub(super) fn say_private(&mut self, index: usize, private: &Private<'_>, now: Micros) {
        let mut body = BytesMut::new();
        private.encode(&mut body);
        let body: Bytes = body.freeze();
        self.say(index, Control::Extended { subtype: kind::PRIVATE, body: &body }, now);
    }
}
