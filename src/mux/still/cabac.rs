//! Arithmetic codes (CABAC, ITU-T H.264 §9.3, H.265 §9.3) that say nothing but what is expected.
//!
//! A slice in which nothing is quantised may name any quantiser, and with it the first state of each context is chosen: one
//! in which a skipped block is what is expected. So all that is said is the more probable, the lower end of the coder's
//! interval (`codILow`, `ivlLow`) stays at 0 up to the end, and all bits are zeros up to there. Only how many there are must
//! be found out. Both standards have the same coder and the same table.

use crate::mux::bits::Writer;

/// `SliceQPY` of a slice of stills: the highest, at which a skipped block is most probable.
pub(super) const QP: i64 = 51;

/// What is expected of one syntax element. Its state is `pStateIdx`, 0–62.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context(usize);

impl Context {
    /// As a slice begins with it, from `m` and `n` of the standard's tables (H.264 §9.3.1.1, H.265 §9.3.2.2).
    pub(super) const fn new(m: i64, n: i64) -> Self {
        let state = ((m * QP) >> 4) + n;
        // 1 is expected of those above 63, else 0.
        Self(if state > 63 { state - 64 } else { 63 - state } as usize)
    }
}

/// From the first bin up to the one that ends the slice, or a part of it that is coded apart.
#[derive(Debug)]
pub(super) struct Coder {
    /// `codIRange` or `ivlCurrRange`.
    range: u32,
    bits: Writer,
}

impl Coder {
    pub(super) fn new() -> Self {
        Self { range: 510, bits: Writer::default() }
    }

    /// A bin that is as `context` expects it.
    pub(super) fn expected(&mut self, context: &mut Context) {
        let row = LESS_PROBABLE.get(context.0).or(LESS_PROBABLE.last());
        self.range -= row.and_then(|row| row.get((self.range >> 6 & 3) as usize)).copied().unwrap_or_default();
        context.0 = (context.0 + 1).min(LESS_PROBABLE.len() - 1); // transIdxMps
        self.renormalise();
    }

    /// The bin that could have ended the slice, but does not.
    pub(super) fn goes_on(&mut self) {
        self.range -= 2;
        self.renormalise();
    }

    /// The bin that ends it: whole bytes, with the bit that trailing zeros follow.
    pub(super) fn end(mut self) -> Vec<u8> {
        // The end lies above the rest of the interval (H.264 §9.3.4.5): the lower end is flushed, its lowest bit the last one.
        self.bits.u((self.range - 2) | 1, 9);
        self.bits.whole()
    }

    /// It needs no more than one step here. What leaves is the top of a lower end of 0.
    fn renormalise(&mut self) {
        if self.range < 256 {
            self.bits.flag(false);
            self.range <<= 1;
        }
    }
}

/// `rangeTabLPS` (H.264 table 9-44) up to 62, the last state that adapts.
#[rustfmt::skip]
const LESS_PROBABLE: [[u32; 4]; 63] = [
    [128, 176, 208, 240], [128, 167, 197, 227], [128, 158, 187, 216], [123, 150, 178, 205], [116, 142, 169, 195],
    [111, 135, 160, 185], [105, 128, 152, 175], [100, 122, 144, 166], [95, 116, 137, 158], [90, 110, 130, 150],
    [85, 104, 123, 142], [81, 99, 117, 135], [77, 94, 111, 128], [73, 89, 105, 122], [69, 85, 100, 116],
    [66, 80, 95, 110], [62, 76, 90, 104], [59, 72, 86, 99], [56, 69, 81, 94], [53, 65, 77, 89],
    [51, 62, 73, 85], [48, 59, 69, 80], [46, 56, 66, 76], [43, 53, 63, 72], [41, 50, 59, 69],
    [39, 48, 56, 65], [37, 45, 54, 62], [35, 43, 51, 59], [33, 41, 48, 56], [32, 39, 46, 53],
    [30, 37, 43, 50], [29, 35, 41, 48], [27, 33, 39, 45], [26, 31, 37, 43], [24, 30, 35, 41],
    [23, 28, 33, 39], [22, 27, 32, 37], [21, 26, 30, 35], [20, 24, 29, 33], [19, 23, 27, 31],
    [18, 22, 26, 30], [17, 21, 25, 28], [16, 20, 23, 27], [15, 19, 22, 25], [14, 18, 21, 24],
    [14, 17, 20, 23], [13, 16, 19, 22], [12, 15, 18, 21], [12, 14, 17, 20], [11, 14, 16, 19],
    [11, 13, 15, 18], [10, 12, 15, 17], [10, 12, 14, 16], [9, 11, 13, 15], [9, 11, 12, 14],
    [8, 10, 12, 14], [8, 9, 11, 13], [7, 9, 11, 12], [7, 9, 10, 12], [7, 8, 10, 11],
    [6, 8, 9, 11], [6, 7, 9, 10], [6, 7, 8, 9],
];

#[cfg(test)]
pub(super) mod decoder {
    //! The arithmetic decoder (H.264 §9.3.1.2, §9.3.3.2), for the tests of what is coded.
    #![allow(clippy::unwrap_used)]
    use super::{Context, LESS_PROBABLE};
    use crate::mux::bits::Bits;

    pub(in super::super) struct Decoder<'a> {
        bits: Bits<'a>,
        length: usize,
        read: usize,
        range: u32,
        offset: u32,
    }

    impl<'a> Decoder<'a> {
        pub(in super::super) fn new(data: &'a [u8]) -> Self {
            let mut bits = Bits::plain("slice data", data);
            let offset = bits.u(9).unwrap();
            Self { bits, length: data.len() * 8, read: 9, range: 510, offset }
        }

        /// Whether a bin is as expected. If it is not, no more can be read.
        pub(in super::super) fn is_expected(&mut self, context: &mut Context) -> bool {
            self.range -= LESS_PROBABLE[context.0][(self.range >> 6 & 3) as usize];
            let expected = self.offset < self.range;
            context.0 = (context.0 + 1).min(62);
            self.renormalise();
            expected
        }

        pub(in super::super) fn goes_on(&mut self) -> bool {
            self.range -= 2;
            let goes_on = self.offset < self.range;
            if goes_on {
                self.renormalise();
            }
            goes_on
        }

        /// Behind the bin that ends it: the last bit that was read is a one, and none but zeros of one byte follow.
        pub(in super::super) fn ends_here(mut self) -> bool {
            let rest = self.length - self.read;
            self.offset & 1 == 1 && rest < 8 && self.bits.u(rest as u32) == Ok(0)
        }

        fn renormalise(&mut self) {
            while self.range < 256 {
                self.range <<= 1;
                self.offset = self.offset << 1 | u32::from(self.bits.flag().unwrap());
                self.read += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_probable_gets_rarer_and_one_step_is_enough() {
        assert!(LESS_PROBABLE.windows(2).all(|w| (0..4).all(|i| w[0][i] >= w[1][i])));
        assert!(LESS_PROBABLE.iter().all(|row| row.is_sorted()));
        for range in 256..=510u32 {
            let most = LESS_PROBABLE[0][(range >> 6 & 3) as usize];
            assert!((range - most) * 2 >= 256, "{range}");
        }
    }

    #[test]
    fn contexts_begin_as_the_standards_compute_them() {
        // H.264 table 9-13, ctxIdx 11 for cabac_init_idc 2: 29 * 51 >> 4 is 92, and 108 is 44 above 64.
        assert_eq!(Context::new(29, 16), Context(44));
        // H.265, initValue 107 of split_cu_flag: -15 * 51 >> 4 is -48, and 24 is 39 below 63.
        assert_eq!(Context::new(-15, 72), Context(39));
    }
}
