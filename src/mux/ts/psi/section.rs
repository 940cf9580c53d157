//! Sections (H.222.0 §2.4.4.11): the frame around every table, with its checksum.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest section of a PAT or PMT, bytes: 3 and a length of at most 1021.
const MAX: usize = 1024;
const STUFFING: u8 = 0xff;

/// A table in its section, of which it is the only one.
pub(super) fn build(table: u8, id: u16, version: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len() + 12);
    out.put_u8(table);
    // section_syntax_indicator; private_indicator is 0 in H.222.0 tables and reserved_future_use, 1, in DVB's.
    out.put_u16(if table < 0x40 { 0xb000 } else { 0xf000 } | (body.len() as u16 + 9));
    out.put_u16(id);
    out.put_u8(0xc1 | (version & 31) << 1); // applies now
    out.put_u16(0); // section 0 of 0
    out.put_slice(body);
    let sum = crc32(&out);
    out.put_u32(sum);
    out.freeze()
}

/// A section that arrived whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mux::ts) struct Section<'a> {
    pub(in crate::mux::ts) table: u8,
    /// `table_id_extension`: of the transport stream, or the programme's number.
    pub(in crate::mux::ts) id: u16,
    /// Between header and checksum.
    pub(in crate::mux::ts) body: &'a [u8],
}

/// Why a section is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mux::ts) enum Damaged {
    /// The checksum is wrong, or the length impossible.
    Checksum,
}

impl<'a> Section<'a> {
    /// `Ok(None)` for one that is not in force yet, and for tables without the long header.
    fn parse(whole: &'a [u8]) -> Result<Option<Self>, Damaged> {
        let Some((&[table, flags, _, a, b, version, _, _], rest)) = whole.split_first_chunk::<8>() else {
            return Ok(None);
        };
        if flags & 0x80 == 0 {
            return Ok(None);
        }
        if crc32(whole) != 0 {
            return Err(Damaged::Checksum);
        }
        let body = rest.get(..rest.len().saturating_sub(4)).unwrap_or_default();
        Ok((version & 1 == 1).then_some(Self { table, id: u16::from_be_bytes([a, b]), body }))
    }
}

/// Puts the sections of one packet identifier together.
#[derive(Debug, Default)]
pub(in crate::mux::ts) struct Assembler {
    held: Vec<u8>,
    /// The beginning of the section in `held` was seen.
    begun: bool,
}

impl Assembler {
    /// Forgets what is not whole: a packet was lost.
    pub(in crate::mux::ts) fn reset(&mut self) {
        self.held.clear();
        self.begun = false;
    }

    /// Takes a packet's payload and passes on what it completes.
    pub(in crate::mux::ts) fn push(
        &mut self,
        payload: &[u8],
        unit_start: bool,
        mut each: impl FnMut(Result<Section<'_>, Damaged>),
    ) {
        let mut fresh = payload;
        if unit_start {
            let Some((&pointer, after)) = payload.split_first() else { return };
            let Some((end_of_last, after)) = after.split_at_checked(pointer.into()) else { return self.reset() };
            if self.begun {
                self.held.extend_from_slice(end_of_last);
                self.complete(&mut each);
            }
            self.held.clear();
            self.begun = true;
            fresh = after;
        }
        if self.begun {
            self.held.extend_from_slice(fresh);
            self.complete(&mut each);
        }
    }

    fn complete(&mut self, each: &mut impl FnMut(Result<Section<'_>, Damaged>)) {
        let mut at = 0;
        while let Some(&[table, high, low]) = self.held.get(at..at + 3) {
            if table == STUFFING {
                self.begun = false;
                break;
            }
            let length = 3 + usize::from(u16::from_be_bytes([high & 0x0f, low]));
            if length > MAX {
                each(Err(Damaged::Checksum));
                self.begun = false;
                break;
            }
            let Some(whole) = self.held.get(at..at + length) else { break };
            match Section::parse(whole) {
                Ok(Some(section)) => each(Ok(section)),
                Ok(None) => {}
                Err(damaged) => each(Err(damaged)),
            }
            at += length;
        }
        if self.begun {
            self.held.drain(..at);
        } else {
            self.held.clear();
        }
    }
}

/// CRC-32 of H.222.0 annex A: 0x04c11db7, most significant bit first, from all ones. 0 over a section with its
/// checksum.
fn crc32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(u32::MAX, |sum, byte| {
        let index = (sum >> 24) as u8 ^ byte;
        sum << 8 ^ TABLE[usize::from(index)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut index = 0;
    while index < 256 {
        let (mut sum, mut bit) = ((index as u32) << 24, 0);
        while bit < 8 {
            sum = if sum & 0x8000_0000 == 0 { sum << 1 } else { sum << 1 ^ 0x04c1_1db7 };
            bit += 1;
        }
        table[index] = sum;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn collect(assembler: &mut Assembler, payload: &[u8], unit_start: bool) -> Vec<(u8, u16, Vec<u8>)> {
        let mut found = Vec::new();
        assembler.push(payload, unit_start, |section| {
            let section = section.unwrap();
            found.push((section.table, section.id, section.body.to_vec()));
        });
        found
    }

    #[test]
    fn the_checksum_is_the_one_of_the_standard() {
        // The check value of CRC-32/MPEG-2 in every catalogue.
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn two_sections_in_a_packet_and_one_over_three_packets_come_out() {
        let (small, large) = (build(0, 1, 3, &[1, 2, 3, 4]), build(2, 9, 0, &[5; 400]));
        let mut stream = small.to_vec();
        stream.extend_from_slice(&small);
        stream.extend_from_slice(&large);
        let mut assembler = Assembler::default();
        let mut found = Vec::new();
        for (n, piece) in stream.chunks(150).enumerate() {
            let mut payload = piece.to_vec();
            if n == 0 {
                payload.insert(0, 0);
            }
            found.extend(collect(&mut assembler, &payload, n == 0));
        }
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], (0, 1, vec![1, 2, 3, 4]));
        assert_eq!(found[2], (2, 9, vec![5; 400]));
    }

    #[test]
    fn a_section_ends_before_the_pointer_of_the_next_start() {
        let section = build(2, 1, 0, &[7; 20]);
        let mut assembler = Assembler::default();
        assert!(collect(&mut assembler, &[&[0], &section[..10]].concat(), true).is_empty());
        let rest = &section[10..];
        let payload = [&[rest.len() as u8], rest, &section[..], &[0xff; 8]].concat();
        assert_eq!(collect(&mut assembler, &payload, true).len(), 2);
    }

    #[test]
    fn damage_is_told_and_what_is_not_in_force_is_left_alone() {
        let mut bytes = [&[0][..], &build(2, 1, 0, &[7; 20])].concat();
        bytes[12] ^= 1;
        let mut told = Vec::new();
        Assembler::default().push(&bytes, true, |section| told.push(section.map(|s| s.table)));
        assert_eq!(told, [Err(Damaged::Checksum)]);

        let mut later = build(2, 1, 0, &[7; 20]).to_vec();
        later[5] &= 0xfe;
        let end = later.len() - 4;
        let sum = crc32(&later[..end]);
        later[end..].copy_from_slice(&sum.to_be_bytes());
        assert!(collect(&mut Assembler::default(), &[&[0], &later[..]].concat(), true).is_empty());
    }

    proptest! {
        #[test]
        fn any_payloads_are_taken_and_little_is_held(payloads: Vec<(Vec<u8>, bool)>) {
            let mut assembler = Assembler::default();
            for (payload, unit_start) in payloads {
                let length = payload.len();
                assembler.push(&payload, unit_start, |_| {});
                prop_assert!(assembler.held.len() <= MAX + length);
            }
        }
    }
}
