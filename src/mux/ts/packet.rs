//! Transport packets and their adaptation fields (H.222.0 §2.4.3.2–§2.4.3.5).

use std::collections::VecDeque;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::clock::Pcr;

/// Bytes of a transport packet.
pub const LENGTH: usize = 188;
/// The first byte of each.
pub(super) const SYNC: u8 = 0x47;
/// Bytes after the header.
pub(super) const BODY: usize = LENGTH - 4;
/// The packet identifier of padding.
pub(super) const NULL_PID: u16 = 0x1fff;

/// Says in `transport_private_data` that this packet ends its PES packet: user-defined tag (ETSI TS 101 154 annex D.2),
/// length, name. A PES packet above 64 KiB does not tell its length, so a receiver would have to wait for the next
/// picture before it could pass this one on.
const END_MARK: [u8; 6] = [0xe0, 4, b'H', b'F', b'e', b'n'];

/// What an adaptation field says, as far as we write or read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Adaptation {
    /// `discontinuity_indicator`: counters may jump here; together with a PCR, so does the clock.
    pub(super) discontinuity: bool,
    /// `random_access_indicator`.
    pub(super) random_access: bool,
    /// `elementary_stream_priority_indicator`.
    pub(super) priority: bool,
    pub(super) pcr: Option<Pcr>,
    /// Our end mark.
    pub(super) end: bool,
}

impl Adaptation {
    /// Bytes it takes, its length byte included; 0 if it says nothing.
    pub(super) fn size(self) -> usize {
        if self == Self::default() {
            return 0;
        }
        2 + if self.pcr.is_some() { 6 } else { 0 } + if self.end { 1 + END_MARK.len() } else { 0 }
    }

    fn put(self, out: &mut BytesMut, total: usize) {
        let Some(rest) = total.checked_sub(1) else { return };
        out.put_u8(rest as u8);
        let Some(stuffing) = total.checked_sub(self.size().max(2)) else { return };
        let flags = [self.discontinuity, self.random_access, self.priority, self.pcr.is_some(), false, false, self.end];
        out.put_u8(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)) << 1);
        if let Some(pcr) = self.pcr {
            out.put_slice(&pcr.to_bytes());
        }
        if self.end {
            out.put_u8(END_MARK.len() as u8);
            out.put_slice(&END_MARK);
        }
        out.put_bytes(0xff, stuffing);
    }

    /// `None` if it is not whole. Fields that are cut off are left out.
    fn parse(field: &[u8]) -> Self {
        let Some((&flags, mut rest)) = field.split_first() else { return Self::default() };
        let mut found = Self {
            discontinuity: flags & 0x80 != 0,
            random_access: flags & 0x40 != 0,
            priority: flags & 0x20 != 0,
            ..Self::default()
        };
        if flags & 0x10 != 0 {
            let Some((pcr, after)) = rest.split_first_chunk::<6>() else { return found };
            found.pcr = Some(Pcr::from_bytes(*pcr));
            rest = after;
        }
        let skip = if flags & 0x08 != 0 { 6 } else { 0 } + if flags & 0x04 != 0 { 1 } else { 0 };
        if flags & 0x02 != 0
            && let Some((&length, private)) = rest.get(skip..).and_then(<[u8]>::split_first)
        {
            found.end = private.get(..usize::from(length)) == Some(&END_MARK[..]);
        }
        found
    }
}

/// Bytes in pieces, handed on without a copy until they go into packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Rope {
    parts: VecDeque<Bytes>,
    length: usize,
}

impl Rope {
    pub(super) fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.length += part.len();
            self.parts.push_back(part);
        }
    }

    pub(super) fn push_front(&mut self, part: Bytes) {
        self.length += part.len();
        self.parts.push_front(part);
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Moves the next `n` bytes to `out`, or as many as there are.
    pub(super) fn move_to(&mut self, out: &mut BytesMut, mut n: usize) {
        while n > 0
            && let Some(part) = self.parts.front_mut()
        {
            let take = n.min(part.len());
            out.put_slice(part.get(..take).unwrap_or_default());
            part.advance(take);
            n -= take;
            self.length -= take;
            if part.is_empty() {
                self.parts.pop_front();
            }
        }
    }
}

/// What stands before the payload of a packet to be written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) pid: u16,
    pub(super) unit_start: bool,
    pub(super) counter: u8,
    pub(super) adaptation: Adaptation,
}

/// Appends one packet with as much of `payload` as fits, `most` bytes at most, stuffed in the adaptation field if that
/// is not enough to fill it.
pub(super) fn write(out: &mut BytesMut, head: Head, payload: &mut Rope, most: usize) {
    let room = BODY - head.adaptation.size();
    let taken = room.min(payload.len()).min(most);
    let field = BODY - taken;
    out.put_u8(SYNC);
    out.put_u16(u16::from(head.unit_start) << 14 | head.pid & NULL_PID);
    out.put_u8(u8::from(field > 0) << 5 | u8::from(taken > 0) << 4 | head.counter & 15);
    head.adaptation.put(out, field);
    payload.move_to(out, taken);
}

/// Appends a packet of padding.
pub(super) fn write_null(out: &mut BytesMut) {
    out.put_slice(&[SYNC, 0x1f, 0xff, 0x10]);
    out.put_bytes(0xff, BODY);
}

/// A packet taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) pid: u16,
    /// `payload_unit_start_indicator`.
    pub(super) unit_start: bool,
    /// `continuity_counter`, 0–15.
    pub(super) counter: u8,
    pub(super) adaptation: Adaptation,
    /// `None` if there is none, which is not the same as an empty one.
    pub(super) payload: Option<&'a [u8]>,
}

/// Why a packet cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// `transport_error_indicator`: a modem gave up on it.
    Error,
    /// `transport_scrambling_control`.
    Scrambled,
    /// An adaptation field beyond the packet, or reserved control bits.
    Malformed,
}

impl<'a> Packet<'a> {
    pub(super) fn parse(packet: &'a [u8; LENGTH]) -> Result<Self, Unusable> {
        let [_, high, low, control, body @ ..] = packet;
        if high & 0x80 != 0 {
            return Err(Unusable::Error);
        }
        if control & 0xc0 != 0 {
            return Err(Unusable::Scrambled);
        }
        let (mut adaptation, mut rest) = (Adaptation::default(), &body[..]);
        if control & 0x20 != 0 {
            let (&length, after) = rest.split_first().ok_or(Unusable::Malformed)?;
            let (field, after) = after.split_at_checked(length.into()).ok_or(Unusable::Malformed)?;
            adaptation = Adaptation::parse(field);
            rest = after;
        }
        if control & 0x30 == 0 {
            return Err(Unusable::Malformed);
        }
        Ok(Self {
            pid: u16::from_be_bytes([high & 0x1f, *low]),
            unit_start: high & 0x40 != 0,
            counter: control & 15,
            adaptation,
            payload: (control & 0x10 != 0).then_some(rest),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::Media;

    fn adaptations() -> impl Strategy<Value = Adaptation> {
        (any::<[bool; 4]>(), prop::option::of(0i64..1 << 50)).prop_map(
            |([discontinuity, random_access, priority, end], pcr)| Adaptation {
                discontinuity,
                random_access,
                priority,
                pcr: pcr.map(|time| Pcr::of(Media(time))),
                end,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pid in 0u16..0x2000, unit_start: bool, counter in 0u8..16, adaptation in adaptations(),
            length in 0usize..200, most in 0usize..400,
        ) {
            let mut payload = Rope::default();
            let bytes: Bytes = (0..length).map(|n| n as u8).collect();
            payload.push(bytes.slice(..length / 3));
            payload.push(bytes.slice(length / 3..));
            let mut out = BytesMut::new();
            write(&mut out, Head { pid, unit_start, counter, adaptation }, &mut payload, most);
            prop_assert_eq!(out.len(), LENGTH);
            let packet: [u8; LENGTH] = out[..].try_into().unwrap();
            let read = Packet::parse(&packet).unwrap();
            prop_assert_eq!((read.pid, read.unit_start, read.counter), (pid, unit_start, counter));
            prop_assert_eq!(read.adaptation, adaptation);
            let taken = read.payload.unwrap_or_default();
            prop_assert_eq!(taken, &bytes[..taken.len()]);
            prop_assert_eq!(payload.len(), length - taken.len());
            prop_assert_eq!(taken.len(), length.min(most).min(BODY - adaptation.size()));
            prop_assert_eq!(read.payload.is_some(), !taken.is_empty());
        }

        #[test]
        fn any_packet_is_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), LENGTH)) {
            bytes[1] &= 0x7f;
            bytes[3] &= 0x3f;
            let packet: [u8; LENGTH] = bytes.try_into().unwrap();
            let _ = Packet::parse(&packet);
        }
    }

    #[test]
    fn a_field_that_ends_inside_its_clock_is_read_as_far_as_it_goes() {
        assert_eq!(Adaptation::parse(&[0x50, 1, 2]), Adaptation { random_access: true, ..Adaptation::default() });
        assert_eq!(Adaptation::parse(&[0x02, 6, 0xe0, 4]), Adaptation::default());
    }

    #[test]
    fn one_byte_of_stuffing_is_a_field_without_flags() {
        let mut payload = Rope::default();
        payload.push(Bytes::from(vec![7; BODY - 1]));
        let mut out = BytesMut::new();
        let head = Head { pid: 256, unit_start: false, counter: 0, adaptation: Adaptation::default() };
        write(&mut out, head, &mut payload, BODY);
        assert_eq!(out[..6], [0x47, 1, 0, 0x30, 0, 7]);
    }
}
