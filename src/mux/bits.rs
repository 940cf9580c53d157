//! Reads a bitstream header bit by bit, and writes one.

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

/// A writer of one NAL unit's payload.
#[derive(Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    /// Bits that do not make a byte yet, `used` of them.
    open: u8,
    used: u8,
}

impl Writer {
    pub(super) fn flag(&mut self, flag: bool) {
        self.open = self.open << 1 | u8::from(flag);
        self.used += 1;
        if self.used == 8 {
            self.bytes.push(self.open);
            (self.open, self.used) = (0, 0);
        }
    }

    /// `u(n)`: the lowest `n` bits of `value`, `n` up to 32.
    pub(super) fn u(&mut self, value: u32, n: u32) {
        for bit in (0..n.min(32)).rev() {
            self.flag(value >> bit & 1 == 1);
        }
    }

    /// `ue(v)` (H.264 §9.1).
    pub(super) fn ue(&mut self, value: u32) {
        let code = u64::from(value) + 1;
        let zeros = code.ilog2();
        self.u(0, zeros);
        self.flag(true);
        self.u(code as u32, zeros);
    }

    /// `se(v)` (H.264 §9.1.1); `value` fits into 31 bits.
    pub(super) fn se(&mut self, value: i64) {
        self.ue(if value > 0 { value * 2 - 1 } else { value * -2 } as u32);
    }

    /// Bits up to the next whole byte, all of them `with`.
    pub(super) fn align(&mut self, with: bool) {
        while self.used != 0 {
            self.flag(with);
        }
    }

    /// Whole bytes; what came before them is aligned.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.align(false);
        self.bytes.extend_from_slice(bytes);
    }

    /// What was written, filled up with zeros.
    pub(super) fn whole(mut self) -> Vec<u8> {
        self.align(false);
        self.bytes
    }
}

/// Appends `payload` to `unit` with emulation prevention bytes (H.264 §7.4.1).
pub(super) fn escape_into(payload: &[u8], unit: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in payload {
        if zeros == 2 && byte <= 3 {
            unit.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        unit.push(byte);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            codes in prop::collection::vec((0u32..=u32::MAX - 1, -0x3fff_ffff_i64..0x4000_0000, 0u32..=32), 0..40),
            zeros in 0u32..200,
        ) {
            let mut writer = Writer::default();
            writer.bytes(&vec![0; zeros as usize]);
            for (unsigned, signed, n) in &codes {
                writer.ue(*unsigned);
                writer.se(*signed);
                writer.u(*unsigned, *n);
            }
            writer.flag(true);
            let mut unit = Vec::new();
            escape_into(&writer.whole(), &mut unit);
            prop_assert!(!unit.windows(3).any(|three| three[..2] == [0, 0] && three[2] < 3), "{unit:x?}");
            let mut bits = Bits::rbsp("test", &unit);
            bits.skip(zeros * 8).unwrap();
            for (unsigned, signed, n) in codes {
                prop_assert_eq!((bits.ue("x"), bits.se("y")), (Ok(unsigned), Ok(signed)));
                prop_assert_eq!(bits.u(n), Ok((u64::from(unsigned) & ((1 << n) - 1)) as u32));
            }
            prop_assert_eq!(bits.flag(), Ok(true));
        }
    }

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
