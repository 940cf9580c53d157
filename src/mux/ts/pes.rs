//! PES packets (H.222.0 §2.4.3.6): one access unit, or some of sound, and when it belongs.

use bytes::{BufMut, Bytes, BytesMut};

use super::clock::Stamp;

/// Bytes before the ones that `PES_packet_length` counts.
pub(super) const PREFIX: usize = 6;

/// The header for `length` bytes of payload. A packet too long for its length field says 0, which is allowed in
/// transport streams for pictures: it ends where the next one begins.
pub(super) fn header(stream_id: u8, length: usize, pts: Stamp, dts: Stamp) -> (Bytes, Bounded) {
    let with_dts = pts != dts;
    let optional = if with_dts { 10 } else { 5 };
    let (said, bounded) = match u16::try_from(length + 3 + usize::from(optional)) {
        Ok(said) => (said, Bounded::ByLength),
        Err(_) => (0, Bounded::ByNext),
    };
    let mut out = BytesMut::with_capacity(PREFIX + 13);
    out.put_slice(&[0, 0, 1, stream_id]);
    out.put_u16(said);
    out.put_slice(&[0x84, if with_dts { 0xc0 } else { 0x80 }, optional]); // data_alignment_indicator
    put_stamp(&mut out, if with_dts { 3 } else { 2 }, pts);
    if with_dts {
        put_stamp(&mut out, 1, dts);
    }
    (out.freeze(), bounded)
}

/// How a receiver finds the end of a PES packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bounded {
    ByLength,
    ByNext,
}

fn put_stamp(out: &mut BytesMut, mark: u8, stamp: Stamp) {
    let bits = stamp.bits();
    out.put_u8(mark << 4 | (bits >> 29) as u8 & 0x0e | 1);
    out.put_u16((bits >> 14) as u16 & 0xfffe | 1);
    out.put_u16((bits << 1) as u16 | 1);
}

/// A PES packet taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pes {
    pub(super) pts: Option<Stamp>,
    /// `pts` where the packet says none.
    pub(super) dts: Option<Stamp>,
    pub(super) payload: Bytes,
}

/// Length in bytes from the start code on, if the packet says it; `Err` if it is not a PES packet.
pub(super) fn length(start: &[u8]) -> Option<Result<Option<usize>, NotPes>> {
    let &[a, b, c, _, high, low] = start.first_chunk::<PREFIX>()?;
    if [a, b, c] != [0, 0, 1] {
        return Some(Err(NotPes));
    }
    let said = usize::from(u16::from_be_bytes([high, low]));
    Some(Ok((said > 0).then_some(said + PREFIX)))
}

/// The start code is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotPes;

impl Pes {
    /// Takes a whole packet apart. `None` if its header is not whole or of no media stream.
    pub(super) fn parse(packet: &Bytes) -> Option<Self> {
        let &[_, _, _, id, _, _, first, flags, optional] = packet.first_chunk::<9>()?;
        // Those without the optional header (table 2-21): maps, padding, private_stream_2, ECM, EMM and the like.
        if matches!(id, 0xbc | 0xbe | 0xbf | 0xf0 | 0xf1 | 0xf2 | 0xf8 | 0xff) || first & 0xc0 != 0x80 {
            return None;
        }
        let end = 9 + usize::from(optional);
        let fields = packet.get(9..end)?;
        let pts = if flags & 0x80 != 0 { read_stamp(fields) } else { None };
        let dts = if flags & 0xc0 == 0xc0 { fields.get(5..).and_then(read_stamp) } else { None };
        Some(Self { pts, dts: dts.or(pts), payload: packet.slice(end..) })
    }
}

fn read_stamp(field: &[u8]) -> Option<Stamp> {
    let &[a, b, c, d, e] = field.first_chunk::<5>()?;
    let bits = u64::from(a & 0x0e) << 29
        | u64::from(b) << 22
        | u64::from(c & 0xfe) << 14
        | u64::from(d) << 7
        | u64::from(e >> 1);
    Some(Stamp::from_bits(bits))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stamp_is_laid_out_as_in_the_standard() {
        let (bytes, _) = header(0xe0, 1, Stamp::from_bits(0x1_ffff_ffff), Stamp::from_bits(0x1_ffff_ffff));
        assert_eq!(bytes[..], [0, 0, 1, 0xe0, 0, 9, 0x84, 0x80, 5, 0x2f, 0xff, 0xff, 0xff, 0xff]);
        let (bytes, _) = header(0xe0, 1, Stamp::from_bits(1 << 30), Stamp::from_bits(1));
        assert_eq!(bytes[7..], [0xc0, 10, 0x33, 0, 1, 0, 1, 0x11, 0, 1, 0, 3]);
    }

    #[test]
    fn only_what_fits_into_16_bits_says_its_length() {
        let stamp = Stamp::from_bits(0);
        assert_eq!(header(0xe0, 65_527, stamp, stamp).1, Bounded::ByLength);
        let (bytes, bounded) = header(0xe0, 65_528, stamp, stamp);
        assert_eq!((bounded, &bytes[4..6]), (Bounded::ByNext, &[0, 0][..]));
        assert_eq!(length(&bytes), Some(Ok(None)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            pts in 0u64..1 << 33, dts in 0u64..1 << 33, length in prop_oneof![0usize..300, 65_500usize..65_600],
        ) {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let (head, bounded) = header(0xbd, payload.len(), Stamp::from_bits(pts), Stamp::from_bits(dts));
            let packet: Bytes = [&head[..], &payload].concat().into();
            let said = super::length(&packet).unwrap().unwrap();
            prop_assert_eq!(said, (bounded == Bounded::ByLength).then_some(packet.len()));
            let read = Pes::parse(&packet).unwrap();
            prop_assert_eq!((read.pts, read.dts), (Some(Stamp::from_bits(pts)), Some(Stamp::from_bits(dts))));
            prop_assert_eq!(&read.payload[..], &payload[..]);
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut data: Vec<u8>, like_pes: bool) {
            if like_pes && data.len() > 9 {
                data[..3].copy_from_slice(&[0, 0, 1]);
                data[6] = 0x80;
            }
            let _ = length(&data);
            let _ = Pes::parse(&data.into());
        }
    }
}
