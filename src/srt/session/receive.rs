//! Datagrams that arrive.

use std::time::Instant;

use bytes::Bytes;

use super::event::{Closed, Event};
use super::inbound::{LIGHT_ACK_EVERY, REPORT_INTERVAL};
use super::path::{PeerKind, QUIET};
use super::receive_buffer::Inserted;
use super::report::Private;
use super::ring::Position;
use super::time::{MS, Micros};
use super::{PathId, Session, State};
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::{Control, DataHeader, HEADER_LEN, Packet, SeqNo, SeqRange, Timestamp, kind};

/// Added to when a slower path should have brought a packet, for what is not measured.
const SPREAD_MARGIN: Micros = MS;
/// The slower path is not waited for longer than this part of the latency.
const SPREAD_LIMIT: Micros = 3;
/// Packets that were overtaken are not waited for longer than this part of the latency.
const DISORDER_LIMIT: Micros = 8;

impl Session {
    /// Takes a datagram that came on `path`.
    pub fn handle_datagram(&mut self, path: PathId, datagram: &Bytes, now: Instant) {
        let t = self.line.at(now);
        let Some(index) = self.index(path) else {
            self.counters.stray += 1;
            return;
        };
        let path = &mut self.paths[index];
        let Ok(packet) = Packet::decode(datagram) else {
            path.counters.refused += 1;
            return;
        };
        let dest = match &packet {
            Packet::Data(data) => data.header.dest,
            Packet::Control(control) => control.dest,
        };
        if dest != path.local || self.state == State::Closed {
            path.counters.refused += 1;
            return;
        }
        path.heard = t;
        match packet {
            Packet::Data(data) => self.on_data(index, &data.header, datagram, t),
            Packet::Control(control) => self.on_control(index, control.control, control.timestamp, t),
        }
    }

    fn on_data(&mut self, index: usize, header: &DataHeader, datagram: &Bytes, now: Micros) {
        let bytes = datagram.len() - HEADER_LEN;
        let end = self.incoming.buffer.end();
        let at = if planted(Bug::ForgetsSequenceWrap) {
            (end & !u64::from(SeqNo::MAX.get())) | u64::from(header.seq.get())
        } else {
            header.seq.extend(end)
        };
        let source = self.incoming.base.source(header.timestamp, now);
        let path = &mut self.paths[index];
        path.counters.received.add(bytes);
        path.inbound.rate.add(now, bytes);
        path.inbound.since_ack += 1;
        if header.retransmitted {
            path.counters.received_again += 1;
        } else {
            path.inbound.way.sample(now, self.incoming.base.offset(source, now));
        }
        if path.wants_reports() && path.inbound.report_due.is_none() {
            path.inbound.report_due = Some(now + REPORT_INTERVAL);
        }
        let newest = self.incoming.buffer.end();
        let due = if at > newest { self.gap_due(index, at, source, now) } else { now };
        let payload = datagram.slice(HEADER_LEN..);
        // What is there already need not be opened.
        let payload = if self.incoming.buffer.wants(at) {
            let Some(opened) = self.keys.open(self.paths[index].keys.as_ref(), header.key, header.seq, payload) else {
                self.paths[index].counters.undecipherable += 1;
                return;
            };
            opened
        } else {
            payload
        };
        let inserted = self.incoming.buffer.insert(at, source, payload, now, due);
        let path = &mut self.paths[index];
        let overtaken = at < path.inbound.next;
        if path.inbound.next == at {
            path.inbound.in_order();
        }
        // A number that is too far ahead must not make this path wait there.
        if at >= path.inbound.next && inserted != Inserted::NoRoom {
            path.inbound.skip_to(at, now);
            path.counters.missing += at - path.inbound.next;
            path.inbound.next = at + 1;
        } else if !header.retransmitted || path.inbound.has_just_skipped(at, path.rtt.smoothed(), now) {
            // Overtaken, not lost. A repeat that comes so soon cannot have been asked for here: it stands in for another
            // path.
            path.counters.missing = path.counters.missing.saturating_sub(1);
        }
        let counters = &mut path.counters;
        match inserted {
            Inserted::Next | Inserted::After { .. } => counters.first.add(bytes),
            Inserted::Filled { found, asked } => {
                counters.first.add(bytes);
                self.counters.recovered += u64::from(asked > 0);
                if !header.retransmitted && overtaken {
                    path.inbound.overtaken(now - found);
                }
            }
            Inserted::Duplicate => counters.duplicate += 1,
            Inserted::Belated => counters.belated += 1,
            Inserted::NoRoom => self.counters.no_room += 1,
        }
        self.after_arrival(index, now);
    }

    /// When what is missing before `at`, which path `index` has just brought, is to be asked for: at once when the path
    /// keeps packets in order and no other path carries data; otherwise when the slowest of them should have brought it.
    fn gap_due(&mut self, index: usize, at: Position, source: Micros, now: Micros) -> Micros {
        let disorder = self.paths[index].inbound.disorder.min(self.incoming.base.latency() / DISORDER_LIMIT);
        if self.paths.len() == 1 || planted(Bug::RepairsEachPathByItself) {
            return now + disorder;
        }
        let here = self.incoming.base.offset(source, now);
        let carriers = self.carriers(now);
        let mut due = now + disorder;
        for (other, path) in self.paths.iter().enumerate() {
            if other == index || !carriers[other] || path.inbound.next >= at {
                continue;
            }
            let way = &path.inbound.way;
            let behind = way.current(now).map_or(0, |offset| offset + 4 * way.jitter() - here);
            due = due.max(now + behind.max(0) + SPREAD_MARGIN);
        }
        due.min(now + self.incoming.base.latency() / SPREAD_LIMIT)
    }

    /// Which paths bring the stream, as opposed to probes and repairs: those with at least half as many packets lately
    /// as the one with the most.
    fn carriers(&mut self, now: Micros) -> [bool; super::MAX_PATHS] {
        let mut recent = [0; super::MAX_PATHS];
        for (recent, path) in recent.iter_mut().zip(&mut self.paths) {
            *recent = path.inbound.rate.recent(now);
        }
        let most = recent.iter().copied().max().unwrap_or(0);
        recent.map(|recent| recent > 0 && recent * 2 >= most)
    }

    fn after_arrival(&mut self, index: usize, now: Micros) {
        if self.paths.len() > 1 {
            if !self.incoming.buffer.losses.is_empty() {
                let carriers = self.carriers(now);
                let passed = self.paths.iter().enumerate().filter(|(i, _)| carriers[*i]).map(|(_, p)| p.inbound.next);
                let passed = passed.min().unwrap_or(0);
                let disorder = self.paths.iter().map(|path| path.inbound.disorder).max().unwrap_or(0);
                let most = self.incoming.base.latency() / DISORDER_LIMIT;
                self.incoming.buffer.losses.hasten(passed, disorder.min(most));
            }
            // What one path has brought, the others can acknowledge as well.
            let acknowledged = self.incoming.buffer.acknowledged();
            for path in &mut self.paths {
                let inbound = &mut path.inbound;
                if inbound.ack_due.is_none() && acknowledged.min(inbound.next) > inbound.acked.0 {
                    inbound.arm_ack(now);
                }
            }
        }
        self.paths[index].inbound.arm_ack(now);
        for index in 0..self.paths.len() {
            self.acknowledge(index, now);
        }
        if self.incoming.buffer.losses.earliest().is_some_and(|due| due <= now) {
            self.ask(now);
        }
    }

    /// Acknowledges if that is due.
    pub(super) fn acknowledge(&mut self, index: usize, now: Micros) {
        let path = &mut self.paths[index];
        let is_due = path.inbound.ack_due.is_some_and(|due| due <= now);
        if !is_due && path.inbound.since_ack < LIGHT_ACK_EVERY {
            return;
        }
        let acknowledged = self.incoming.buffer.acknowledged();
        if is_due {
            if let Some(up_to) = path.inbound.full_ack(acknowledged, path.rtt.overdue(), now) {
                self.say_ack(index, up_to, now);
            }
        } else if let Some(up_to) = path.inbound.light_ack(acknowledged) {
            self.say_light_ack(index, up_to, now);
        }
    }

    /// Asks for what is missing and due: on the path with the shortest round trip first, then on the others in turn.
    pub(super) fn ask(&mut self, now: Micros) {
        let mut order: Vec<usize> = (0..self.paths.len()).collect();
        order.sort_by_key(|i| (now - self.paths[*i].heard > QUIET, self.paths[*i].rtt.smoothed()));
        let paths = &self.paths;
        let mut asking: Vec<Vec<SeqRange>> = vec![Vec::new(); paths.len()];
        self.incoming.buffer.losses.take_due(now, |loss| {
            let may = |i: &&usize| {
                let path = &paths[**i];
                // libsrt breaks a connection that asks for what it has not sent there.
                let sent_there = path.inbound.next > loss.last || path.kind == PeerKind::Shared;
                sent_there && !path.inbound.has_declined(loss.first, loss.last)
            };
            let count = order.iter().filter(may).count().max(1);
            let Some(index) = order.iter().filter(may).nth(loss.asked as usize % count) else {
                return now + paths.first().map_or(QUIET, |path| path.rtt.nak_interval());
            };
            asking[*index].extend(SeqRange::new(SeqNo::from(loss.first), SeqNo::from(loss.last)));
            now + paths[*index].rtt.nak_interval()
        });
        for (index, ranges) in asking.iter().enumerate() {
            self.say_lost(index, ranges, now);
        }
    }

    fn on_control(&mut self, index: usize, control: Control<'_>, timestamp: Timestamp, now: Micros) {
        match control {
            Control::Ack(ack) => self.on_ack(index, &ack, now),
            Control::Nak(list) => self.on_nak(index, list, now),
            Control::AckAck { number } => self.on_ack_ack(index, number, timestamp, now),
            Control::DropRequest { range, .. } => self.on_drop_request(index, range, now),
            Control::Shutdown => self.remove_path(index, Closed::ByPeer),
            Control::Extended { subtype: kind::PRIVATE, body } => self.on_private(index, body, now),
            Control::Extended { subtype: kind::KMREQ, body } => self.on_key_request(index, body, now),
            Control::Extended { subtype: kind::KMRSP, body } => self.on_key_response(index, body),
            Control::KeepAlive
            | Control::Handshake(_)
            | Control::CongestionWarning
            | Control::PeerError { .. }
            | Control::Extended { .. }
            | Control::Unknown { .. } => {}
        }
    }

    fn on_ack_ack(&mut self, index: usize, number: u32, timestamp: Timestamp, now: Micros) {
        let path = &mut self.paths[index];
        let Some((up_to, rtt)) = path.inbound.journal.answered(number, now) else { return };
        path.counters.answers += 1;
        path.rtt.sample(rtt);
        path.measured = now;
        path.inbound.ack_acked = path.inbound.ack_acked.max(up_to);
        let base = &self.incoming.base;
        let offset = base.offset(base.source(timestamp, now), now);
        let estimate = path.inbound.drift.sample(now, offset, rtt, base.drift());
        let Some(estimate) = estimate else { return };
        // The path with the most samples leads; the others only keep their estimates at hand.
        let own = self.paths[index].inbound.drift.weight(now);
        let leads = self.paths.iter().all(|path| path.inbound.drift.weight(now) <= own);
        if leads {
            self.incoming.base.follow(estimate);
        }
    }

    fn on_drop_request(&mut self, index: usize, range: SeqRange, now: Micros) {
        let buffer = &self.incoming.buffer;
        let first = range.first().extend(buffer.end());
        // The peer can name any number; what is further ahead than the buffer is long concerns nobody yet.
        let last = (first + u64::from(range.len() - 1)).min(buffer.end() + self.config.receive_buffer as u64);
        if last < first {
            return;
        }
        let path = &mut self.paths[index];
        path.counters.missing = path.counters.missing.saturating_add_signed(path.inbound.decline(first, last));
        // Whether another path has sent these is not known, only whether it has said that it will not: one that carried
        // them into a hole is about to be replaced by this one.
        let mut others = self.paths.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, path)| path);
        let first = first.max(self.incoming.buffer.next());
        if first <= last && others.all(|path| path.inbound.has_declined(first, last)) {
            self.incoming.buffer.give_up(first, last, now);
        }
        self.after_arrival(index, now);
    }

    fn on_private(&mut self, index: usize, body: &[u8], now: Micros) {
        let path = &mut self.paths[index];
        match Private::decode(body) {
            Some(Private::Report(report)) => {
                let has_more = path.take_report(report, self.outgoing.buffer.base(), now);
                if has_more {
                    self.outgoing.known = self.outgoing.known.max(path.seen);
                }
            }
            Some(Private::Message(body)) => {
                let path = path.id;
                self.event(Event::Message { path, body: Bytes::copy_from_slice(body) });
            }
            None => {}
        }
    }
}
