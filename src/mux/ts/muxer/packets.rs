//! The payload being filled, and the continuity counters of all that ever went into one.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::lane::Pes;
use super::{MuxCounters, Payload};
use crate::model::Media;
use crate::mux::ts::clock::Pcr;
use crate::mux::ts::packet::{self, Adaptation, BODY, Head, LENGTH, Rope};
use crate::mux::ts::pes::Bounded;
use crate::mux::ts::psi::Carriage;
use crate::mux::ts::{PACKETS, PAYLOAD};

/// Payloads to a block of memory.
const PER_BLOCK: usize = 32;

/// Packets of one transport stream in the order they are written.
#[derive(Debug, Default)]
pub(super) struct Packets {
    buffer: BytesMut,
    /// When the first packet went into it.
    since: Media,
    /// Something in it is to leave at once.
    pub(super) urgent: bool,
    /// A keyframe is introduced in it.
    pub(super) key: bool,
    counters: BTreeMap<u16, Counter>,
    pub(super) count: MuxCounters,
}

/// `continuity_counter` of one packet identifier.
#[derive(Clone, Copy, Debug)]
struct Counter {
    next: u8,
    /// The next packet does not follow on what a receiver may have seen, and says so.
    jumps: bool,
}

impl Packets {
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.buffer.len() >= PAYLOAD
    }

    /// Packets in it.
    pub(super) fn filled(&self) -> usize {
        self.buffer.len() / LENGTH
    }

    /// When the payload began to fill; `None` if it has not.
    pub(super) fn since(&self) -> Option<Media> {
        (!self.is_empty()).then_some(self.since)
    }

    /// The payload as it is.
    pub(super) fn take(&mut self, at: Media) -> Payload {
        let bytes = self.buffer.split().freeze();
        self.urgent = false;
        self.count.payloads += 1;
        Payload { at, key: std::mem::take(&mut self.key), bytes }
    }

    /// From here on every packet identifier says that it does not follow on what was before.
    pub(super) fn jump(&mut self) {
        self.counters.values_mut().for_each(|counter| counter.jumps = true);
    }

    pub(super) fn put_section(&mut self, pid: u16, section: Bytes, at: Media) {
        let mut rope = Rope::default();
        let adaptation = Adaptation { discontinuity: self.jumps(pid), ..Adaptation::default() };
        let fill = (BODY - adaptation.size()).saturating_sub(1 + section.len());
        rope.push(Bytes::from_static(&[0])); // pointer_field: the section begins right here
        rope.push(section);
        rope.push(Bytes::from_static(&STUFFING).slice(..fill.min(STUFFING.len())));
        self.put(pid, true, adaptation, &mut rope, BODY, at);
        self.count.tables += 1;
    }

    /// A packet of nothing but the programme clock. Its payload must leave now, for `at` is what the clock says.
    pub(super) fn put_clock(&mut self, pid: u16, at: Media) {
        let adaptation = Adaptation { pcr: Some(Pcr::of(at)), discontinuity: self.jumps(pid), ..Adaptation::default() };
        self.put(pid, false, adaptation, &mut Rope::default(), 0, at);
        self.count.clocks += 1;
        self.urgent = true;
    }

    /// The next packet of `pes`, with the programme clock in it if asked for.
    pub(super) fn put_unit(&mut self, pes: &mut Pes, with_clock: bool, at: Media) {
        let begins = pes.begin();
        let mut adaptation = Adaptation {
            discontinuity: self.jumps(pes.pid()),
            random_access: begins && pes.key,
            priority: begins && pes.key && pes.carriage == Carriage::Av1,
            pcr: with_clock.then(|| Pcr::of(at)),
            end: false,
        };
        let mut most = BODY;
        if pes.bounded == Bounded::ByNext {
            let marked = Adaptation { end: true, ..adaptation };
            if pes.rope.len() <= BODY - marked.size() {
                adaptation = marked;
            } else if pes.rope.len() <= BODY - adaptation.size() {
                // All of it would fit, but not beside the end mark: leave some for one more packet.
                most = pes.rope.len() / 2;
            }
        }
        self.put(pes.pid(), begins, adaptation, &mut pes.rope, most, at);
        if with_clock {
            self.count.clocks += 1;
            self.urgent = true;
        }
    }

    pub(super) fn put_padding(&mut self, at: Media) {
        self.room(at);
        packet::write_null(&mut self.buffer);
        self.count.packets += 1;
        self.count.padding += 1;
    }

    fn put(&mut self, pid: u16, unit_start: bool, adaptation: Adaptation, rope: &mut Rope, most: usize, at: Media) {
        self.room(at);
        let counter = self.counters.entry(pid).or_insert(Counter::NEW);
        counter.jumps = false;
        let before = rope.len();
        // A packet without payload repeats the counter of the last one with.
        let number = if before == 0 { counter.next.wrapping_sub(1) } else { counter.next };
        packet::write(&mut self.buffer, Head { pid, unit_start, counter: number & 15, adaptation }, rope, most);
        if rope.len() < before {
            counter.next = (counter.next + 1) & 15;
        }
        self.count.packets += 1;
    }

    fn jumps(&self, pid: u16) -> bool {
        self.counters.get(&pid).copied().unwrap_or(Counter::NEW).jumps
    }

    fn room(&mut self, at: Media) {
        if self.buffer.is_empty() {
            self.since = at;
            if self.buffer.capacity() < PAYLOAD {
                self.buffer.reserve(PER_BLOCK * PAYLOAD);
            }
        }
    }
}

impl Counter {
    const NEW: Self = Self { next: 0, jumps: true };
}

const STUFFING: [u8; BODY] = [0xff; BODY];
const _: () = assert!(PACKETS * LENGTH == PAYLOAD);
