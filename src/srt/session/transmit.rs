//! Which packet leaves next, on which path.

use std::time::Instant;

use super::config::MaxBandwidth;
use super::event::Transmit;
use super::flight::{Occasion, Queued};
use super::path::PeerKind;
use super::ring::Position;
use super::send_buffer::Slot;
use super::time::{MS, Micros, micros};
use super::{DROP_MARGIN, PathId, Session};
use crate::srt::wire::{Boundary, DataHeader, HEADER_LEN, MsgNo, SeqNo, SrtFlags, UDP_HEADER_LEN};

/// Retransmissions, and what is sent in another path's stead, are late already: they may leave so much faster than the
/// pace.
const URGENT: u64 = 4;
/// After so long at the pace a packet is urgent: this part of the latency.
const PATIENCE: Micros = 8;
/// How long the input is measured before it sets the pace.
const MEASURE_FIRST: Micros = 500 * MS;
/// How often the pace is set anew.
const REPACE: Micros = 100 * MS;
/// No pace is slower, bytes/s: a stream that begins anew after a pause is not held up by its silence.
const LEAST_PACE: u64 = 125_000;

impl Session {
    /// The next datagram to be sent.
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit> {
        if let Some(waiting) = self.outbox.pop_front() {
            return Some(waiting);
        }
        let t = self.line.at(now);
        let count = self.paths.len();
        for step in 0..count {
            let index = (self.outgoing.turn + step) % count;
            if let Some(transmit) = self.next_data(index, t) {
                self.outgoing.turn = index + 1;
                return Some(transmit);
            }
        }
        self.outgoing.drained = t;
        None
    }

    fn next_data(&mut self, index: usize, now: Micros) -> Option<Transmit> {
        let flight = &self.paths[index].flight;
        if !flight.is_waiting() || !flight.pacer.is_open(now) {
            return None;
        }
        let queued = self.pick(index, now - self.outgoing.latency - micros(DROP_MARGIN))?;
        self.leave(index, queued, now)
    }

    /// Retransmissions and new packets in turn; those that are of no use any more are passed over.
    fn pick(&mut self, index: usize, oldest: Micros) -> Option<Queued> {
        loop {
            let flight = &self.paths[index].flight;
            let front = flight.queue.front().copied();
            let useful = front.is_some_and(|queued| self.is_useful(index, queued.at, oldest));
            // A full window lets only those through that the peer has asked for: it has room for them.
            let blocked = useful
                && front.is_some_and(|queued| queued.at >= flight.next)
                && !flight.has_room(self.outgoing.buffer.base());
            let flight = &mut self.paths[index].flight;
            if !flight.resend.is_empty() && (front.is_none() || blocked || !flight.resent_last) {
                flight.resent_last = true;
                let at = flight.resend.pop_front()?;
                if let Some(slot) = self.outgoing.buffer.get_mut(at) {
                    slot.waiting = false;
                }
                if self.is_useful(index, at, oldest) {
                    return Some(Queued { at, occasion: Occasion::Again });
                }
            } else if blocked {
                return None;
            } else {
                flight.resent_last = false;
                let queued = flight.queue.pop_front()?;
                if useful {
                    return Some(queued);
                }
            }
        }
    }

    /// Whether a packet still can and has to be sent on this path.
    fn is_useful(&self, index: usize, at: Position, oldest: Micros) -> bool {
        let Some(slot) = self.outgoing.buffer.get(at) else { return false };
        let path = &self.paths[index];
        slot.source >= oldest
            && match path.kind {
                PeerKind::Shared | PeerKind::PerPath { patient: true } => !slot.delivered,
                // Its buffer for this path needs it whatever the others have, unless it has it or may have.
                PeerKind::PerPath { patient: false } => {
                    let unheard = path.flight.record(at).is_some_and(|record| !record.reported);
                    at >= path.flight.acked && !(slot.delivered && unheard)
                }
            }
    }

    fn leave(&mut self, index: usize, queued: Queued, now: Micros) -> Option<Transmit> {
        let Queued { at, occasion } = queued;
        let fresh = occasion == Occasion::New;
        let slot = self.outgoing.buffer.get_mut(at)?;
        slot.sent = true;
        let path = &mut self.paths[index];
        let again = path.flight.record(at).is_some();
        let (payload, key) = match &mut path.keys {
            Some(keys) if keys.seals() => {
                keys.seal(path.flight.record(at).and_then(|record| record.key), SeqNo::from(at), &slot.payload)?
            }
            Some(_) | None => (slot.payload.clone(), slot.key),
        };
        let passed = path.flight.leaves(at, occasion, now);
        if let Some(record) = path.flight.record_mut(at) {
            record.key = Some(key);
        }
        let bytes = payload.len();
        if fresh && !again {
            path.counters.sent.add(bytes);
        } else {
            path.counters.retransmitted.add(bytes);
        }
        path.sent_rate.add(now, bytes);
        path.said = now;
        let waited = now - slot.source;
        let pace = match self.config.max_bandwidth {
            MaxBandwidth::Unlimited | MaxBandwidth::Fixed(_) => self.outgoing.pace,
            MaxBandwidth::Input { .. } => {
                let urgent = !fresh || waited > self.outgoing.latency / PATIENCE;
                self.outgoing.pace.map(|pace| if urgent { pace.saturating_mul(URGENT) } else { pace })
            }
        };
        path.flight.pacer.sent(now, bytes + HEADER_LEN + UDP_HEADER_LEN, pace);
        let marked = (!fresh || again) && path.flags.has(SrtFlags::RETRANSMIT_BIT);
        let header = data_header(slot, at, self.outgoing.first, marked);
        let transmit =
            Transmit { path: path.id, header: DataHeader { dest: path.peer, key, ..header }.to_bytes(), payload };
        match passed {
            // The peer must know that it need not wait for those before it sees the gap.
            Some((first, last)) => {
                self.say_dropped(index, first, last, now);
                self.outbox.push_back(transmit);
                self.outbox.pop_front()
            }
            None => Some(transmit),
        }
    }

    /// Sets the pace by what was given to the session lately.
    pub(super) fn update_pace(&mut self, now: Micros) {
        let out = &mut self.outgoing;
        if out.paced != Micros::MIN && now - out.paced < REPACE {
            return;
        }
        out.paced = now;
        out.pace = match self.config.max_bandwidth {
            MaxBandwidth::Unlimited => None,
            MaxBandwidth::Fixed(bytes) => Some(bytes.max(1)),
            MaxBandwidth::Input { .. } if out.rate.span(now) < MEASURE_FIRST => None,
            MaxBandwidth::Input { overhead } => {
                let second = out.rate.per_second(now);
                let headers = (HEADER_LEN + UDP_HEADER_LEN) as u64;
                let mean = second.bytes.checked_div(second.packets).unwrap_or(0) + headers;
                // A stream that has just become faster is not held back by the second before.
                let packets = second.packets.max(out.rate.recent(now) * 5);
                Some((packets * mean * (100 + u64::from(overhead.max(5))) / 100).max(LEAST_PACE))
            }
        };
    }

    /// Sends what the peer may not have yet on `path` as well, before whatever waits there. Returns how many packets.
    /// What is in flight on that path itself is left alone while it may arrive.
    pub fn duplicate_tail(&mut self, path: PathId, now: Instant) -> u64 {
        let t = self.line.at(now);
        let Some(index) = self.index(path) else { return 0 };
        let buffer = &self.outgoing.buffer;
        let path = &mut self.paths[index];
        let overdue = path.rtt.overdue();
        path.flight.queue_tail(buffer.delivered()..buffer.next(), |flight, at| {
            let delivered = buffer.get(at).is_none_or(|slot| slot.delivered);
            !delivered && flight.record(at).is_none_or(|record| at < flight.acked || t - record.sent > overdue)
        })
    }

    /// Sends the newest packet on `path` as well, to measure it. A libsrt group would take the gaps in between for
    /// losses of that member, so only Holdfast is probed so; [`Self::probe`] measures any peer.
    pub fn duplicate_newest(&mut self, path: PathId) {
        let newest = self.outgoing.buffer.next().saturating_sub(1);
        let known = self.outgoing.buffer.get(newest).is_some_and(|slot| !slot.delivered);
        let Some(path) = self.path_mut(path) else { return };
        if known && path.kind == PeerKind::Shared && path.flight.queue.back().is_none_or(|back| back.at < newest) {
            path.flight.queue.push_back(Queued { at: newest, occasion: Occasion::New });
        }
    }
}

fn data_header(slot: &Slot, at: Position, first: Position, retransmitted: bool) -> DataHeader {
    DataHeader {
        seq: SeqNo::from(at),
        boundary: Boundary::Solo,
        in_order: true,
        key: slot.key,
        retransmitted,
        // 0 is no message number, so there is one less than 26 bits have.
        msgno: MsgNo::new(((at - first) % u64::from(MsgNo::MAX.get())) as u32 + 1),
        timestamp: slot.timestamp,
        dest: crate::srt::wire::SocketId::LISTENER,
    }
}
