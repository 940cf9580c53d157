//! Reads a bitstream header bit by bit.

use super::MuxError;

/// A reader over the bytes of one NAL unit or OBU. Parameter sets are some dozens of bytes and seldom read, so this is
/// written to be obviously right, not fast.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    what: &'static str,
    data: &'a [u8],
    byte: usize,
    bit: u8,
    /// Skips `emulation_prevention_three_byte`s (ITU-T H.264 §7.4.1, H.265 §7.4.2).
    escaped: bool,
    zeros: u8,
}

impl<'a> Bits<'a> {
    /// Reads `data` as it is. `what` names it in errors.
    pub(super) fn plain(what: &'static str, data: &'a [u8]) -> Self {
        Self { what, data, byte: 0, bit: 0, escaped: false, zeros: 0 }
    }

    /// Reads `data` as a NAL unit payload, without its emulation prevention bytes.
    pub(super) fn rbsp(what: &'static str, data: &'a [u8]) -> Self {
        Self { escaped: true, ..Self::plain(what, data) }
    }

    pub(super) fn flag(&mut self) -> Result<bool, MuxError> {
        if self.bit == 0 && self.escaped && self.zeros >= 2 && self.data.get(self.byte) == Some(&3) {
            self.byte += 1;
            self.zeros = 0;
        }
        let Some(&byte) = self.data.get(self.byte) else {
            return Err(MuxError::Truncated { what: self.what, at: self.byte });
        };
        let flag = byte & (0x80 >> self.bit) != 0;
        self.bit += 1;
        if self.bit == 8 {
            self.bit = 0;
            self.byte += 1;
            self.zeros = if byte == 0 { self.zeros.saturating_add(1) } else { 0 };
        }
        Ok(flag)
    }

    /// `u(n)`, most significant bit first; `n` up to 32.
    pub(super) fn u(&mut self, n: u32) -> Result<u32, MuxError> {
        let mut value = 0u32;
        for _ in 0..n.min(32) {
            value = value << 1 | u32::from(self.flag()?);
        }
        Ok(value)
    }

    pub(super) fn u8(&mut self) -> Result<u8, MuxError> {
        Ok(self.u(8)? as u8)
    }

    pub(super) fn skip(&mut self, n: u32) -> Result<(), MuxError> {
        for _ in 0..n {
            self.flag()?;
        }
        Ok(())
    }

    /// `ue(v)`, an unsigned Exp-Golomb code (H.264 §9.1) of at most 32 bits.
    pub(super) fn ue(&mut self, field: &'static str) -> Result<u32, MuxError> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(MuxError::Field { what: self.what, field, value: u64::MAX });
            }
        }
        let rest = self.u(zeros)?;
        Ok(((1u64 << zeros) - 1 + u64::from(rest)) as u32)
    }

    /// `ue(v)` that the specification bounds.
    pub(super) fn ue_at_most(&mut self, field: &'static str, max: u32) -> Result<u32, MuxError> {
        let value = self.ue(field)?;
        if value > max { Err(MuxError::Field { what: self.what, field, value: value.into() }) } else { Ok(value) }
    }

    /// `se(v)`, a signed Exp-Golomb code (H.264 §9.1.1).
    pub(super) fn se(&mut self, field: &'static str) -> Result<i64, MuxError> {
        let k = i64::from(self.ue(field)?);
        Ok(if k % 2 == 0 { -(k / 2) } else { (k + 1) / 2 })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn exp_golomb_codes_read_as_the_table_in_the_standard() {
        // 1 | 010 | 011 | 00100 | 00101, padded
        let mut bits = Bits::plain("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<u32> = (0..5).map(|_| bits.ue("x").unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
        let mut bits = Bits::plain("test", &[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<i64> = (0..5).map(|_| bits.se("x").unwrap()).collect();
        assert_eq!(codes, [0, 1, -1, 2, -2]);
    }

    #[test]
    fn emulation_prevention_bytes_are_skipped_only_after_two_zeros() {
        let mut bits = Bits::rbsp("test", &[0, 0, 3, 1, 0, 3, 0, 0, 3]);
        let bytes: Vec<u8> = std::iter::from_fn(|| bits.u8().ok()).collect();
        assert_eq!(bytes, [0, 0, 1, 0, 3, 0, 0]);
        assert_eq!(bits.flag(), Err(MuxError::Truncated { what: "test", at: 9 }));
    }

    #[test]
    fn a_code_that_never_ends_is_refused() {
        assert!(matches!(Bits::plain("test", &[0; 16]).ue("x"), Err(MuxError::Field { field: "x", .. })));
    }
}
