//! NAL units as H.264 and HEVC encoders deliver them: after start codes or after lengths.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::MuxError;
use super::error::field;

/// How NAL units are told apart in an encoder's buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `00 00 01` or `00 00 00 01` before each unit (H.264 Annex B, H.265 Annex B).
    AnnexB,
    /// A big-endian length of this many bytes (1, 2 or 4) before each unit (ISO/IEC 14496-15 §4.3).
    Lengths(u8),
}

impl Framing {
    /// From `lengthSizeMinusOne` of a configuration record.
    pub(super) fn from_length_size_minus_one(what: &'static str, value: u8) -> Result<Self, MuxError> {
        match value {
            0 | 1 | 3 => Ok(Self::Lengths(value + 1)),
            _ => Err(field(what, "lengthSizeMinusOne", value)),
        }
    }
}

/// Parameter set NAL units by type and id; one of each, ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParameterSets(BTreeMap<(u8, u8), Bytes>);

impl ParameterSets {
    /// The longest unit a configuration record can carry, bytes.
    pub const MAX_UNIT: usize = u16::MAX as usize;

    /// Adds or replaces the set of that type and id; tells whether anything changed. The bytes are copied, so that a
    /// few dozen bytes do not keep a whole picture in memory.
    ///
    /// # Errors
    /// A unit above [`Self::MAX_UNIT`].
    pub fn insert(&mut self, unit_type: u8, id: u8, unit: &[u8]) -> Result<bool, MuxError> {
        if unit.len() > Self::MAX_UNIT {
            return Err(MuxError::TooLarge { what: "a parameter set", length: unit.len(), max: Self::MAX_UNIT });
        }
        let known = self.0.get(&(unit_type, id)).is_some_and(|old| old == unit);
        if !known {
            self.0.insert((unit_type, id), Bytes::copy_from_slice(unit));
        }
        Ok(!known)
    }

    /// The sets of one type, by rising id.
    pub fn of(&self, unit_type: u8) -> impl Iterator<Item = &Bytes> {
        self.0.range((unit_type, 0)..=(unit_type, u8::MAX)).map(|(_, unit)| unit)
    }
}

/// The NAL units of `data` as byte ranges, in order, without start codes, lengths and trailing zeros.
/// Empty units are left out. After an error the iterator ends; Annex B has no errors.
pub fn ranges(data: &[u8], framing: Framing) -> Ranges<'_> {
    let at = match framing {
        Framing::AnnexB => next_start_code(data, 0).1,
        Framing::Lengths(_) => 0,
    };
    Ranges { data, framing, at }
}

/// See [`ranges`].
#[derive(Debug)]
pub struct Ranges<'a> {
    data: &'a [u8],
    framing: Framing,
    at: usize,
}

impl Iterator for Ranges<'_> {
    type Item = Result<Range<usize>, MuxError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.data.len() {
            let range = match self.framing {
                Framing::AnnexB => self.until_start_code(),
                Framing::Lengths(size) => match self.by_length(usize::from(size)) {
                    Ok(range) => range,
                    Err(error) => {
                        self.at = self.data.len();
                        return Some(Err(error));
                    }
                },
            };
            if !range.is_empty() {
                return Some(Ok(range));
            }
        }
        None
    }
}

impl Ranges<'_> {
    fn until_start_code(&mut self) -> Range<usize> {
        let start = self.at;
        let (end, next) = next_start_code(self.data, start);
        self.at = next;
        // trailing_zero_8bits, and the zero_byte of a four-byte start code.
        let zeros = self.data.get(start..end).unwrap_or_default().iter().rev().take_while(|b| **b == 0).count();
        start..end - zeros
    }

    fn by_length(&mut self, size: usize) -> Result<Range<usize>, MuxError> {
        let truncated = MuxError::Truncated { what: "length-prefixed NAL unit", at: self.at };
        let Some(prefix) = self.data.get(self.at..self.at + size) else { return Err(truncated) };
        let length = prefix.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        let start = self.at + size;
        let end = start.checked_add(length).filter(|end| *end <= self.data.len()).ok_or(truncated)?;
        self.at = end;
        // A `size` of 0 would not get on; the constructors never make one, and this makes it harmless.
        if size == 0 {
            self.at = self.data.len();
        }
        Ok(start..end)
    }
}

/// Where the next `00 00 01` at or after `from` begins and where it ends; the end of `data` twice if there is none.
fn next_start_code(data: &[u8], from: usize) -> (usize, usize) {
    let mut at = from;
    while let Some(window) = data.get(at..at + 3) {
        match window {
            [0, 0, 1] => return (at, at + 3),
            // Nothing that contains this byte can be a start code.
            [_, _, last] if *last > 1 => at += 3,
            _ => at += 1,
        }
    }
    (data.len(), data.len())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn units(data: &[u8], framing: Framing) -> Vec<&[u8]> {
        ranges(data, framing).map(|r| &data[r.unwrap()]).collect()
    }

    #[test]
    fn start_codes_of_both_lengths_and_trailing_zeros_are_not_part_of_a_unit() {
        let data = [9, 9, 0, 0, 0, 1, 0x67, 1, 0, 0, 0, 0, 1, 0x68, 0, 0, 1, 0, 0, 1, 0x65, 0, 0];
        assert_eq!(units(&data, Framing::AnnexB), [&[0x67, 1][..], &[0x68], &[0x65]]);
    }

    #[test]
    fn lengths_of_every_size_are_read() {
        assert_eq!(units(&[1, 7, 0, 2, 8, 9], Framing::Lengths(1)), [&[7][..], &[8, 9]]);
        assert_eq!(units(&[0, 1, 7, 0, 2, 8, 9], Framing::Lengths(2)), [&[7][..], &[8, 9]]);
        assert_eq!(units(&[0, 0, 0, 1, 7], Framing::Lengths(4)), [&[7][..]]);
    }

    #[test]
    fn a_length_beyond_the_buffer_is_an_error_with_its_place_and_ends_the_walk() {
        let data = [0, 0, 0, 1, 7, 0, 0, 0, 9, 1];
        let mut walk = ranges(&data, Framing::Lengths(4));
        assert_eq!(walk.next(), Some(Ok(4..5)));
        assert_eq!(walk.next(), Some(Err(MuxError::Truncated { what: "length-prefixed NAL unit", at: 5 })));
        assert_eq!(walk.next(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_yield_ordered_units_within_them(data: Vec<u8>, size in 0u8..6, annex_b: bool) {
            let framing = if annex_b { Framing::AnnexB } else { Framing::Lengths(size) };
            let mut last = 0;
            for range in ranges(&data, framing).flatten() {
                prop_assert!(range.start >= last && range.start < range.end && range.end <= data.len());
                last = range.end;
            }
        }

        #[test]
        fn annex_b_and_lengths_agree(units_in in prop::collection::vec(prop::collection::vec(1u8..=255, 1..40), 0..6)) {
            let (mut annex_b, mut lengths) = (Vec::new(), Vec::new());
            for unit in &units_in {
                annex_b.extend_from_slice(&[0, 0, 0, 1]);
                annex_b.extend_from_slice(unit);
                lengths.extend_from_slice(&(unit.len() as u32).to_be_bytes());
                lengths.extend_from_slice(unit);
            }
            prop_assert_eq!(units(&annex_b, Framing::AnnexB), units(&lengths, Framing::Lengths(4)));
        }
    }
}
