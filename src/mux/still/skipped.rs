//! The slice data of a P picture that is nothing but skipped macroblocks, in CABAC (§9.3).
//!
//! Two bins a macroblock: `mb_skip_flag`, which is 1, and `end_of_slice_flag`, which is 1 for the last. As the neighbours
//! are skipped too, or none, the first always has the same context (§9.3.3.1.1.1). A slice in which nothing is quantised
//! may name any quantiser, and with it the context's first state is chosen: one in which a skipped macroblock is what is
//! expected. So all that is said is the more probable, the lower end of the coder's interval (`codILow`, §9.3.4.2) stays at
//! 0 up to the slice's end, and all bits are zeros up to there. Only how many there are must be found out.

use super::super::bits::Writer;

/// `cabac_init_idc` of the slice.
pub(super) const INIT_IDC: u32 = 2;
/// `SliceQPY` of the slice.
pub(super) const QP: i64 = 51;

/// `m` and `n` of ctxIdx 11 for that `cabac_init_idc` (table 9-13).
const CONTEXT: (i64, i64) = (29, 16);
/// `pStateIdx` at first (§9.3.1.1); above 63 before it is taken off, so `valMPS` is 1.
const FIRST_STATE: usize = (((CONTEXT.0 * QP) >> 4) + CONTEXT.1 - 64) as usize;
/// `rangeTabLPS` (table 9-44) from the first state to 62, the last that adapts.
const LESS_PROBABLE: [[u32; 4]; 63 - FIRST_STATE] = [
    [14, 18, 21, 24],
    [14, 17, 20, 23],
    [13, 16, 19, 22],
    [12, 15, 18, 21],
    [12, 14, 17, 20],
    [11, 14, 16, 19],
    [11, 13, 15, 18],
    [10, 12, 15, 17],
    [10, 12, 14, 16],
    [9, 11, 13, 15],
    [9, 11, 12, 14],
    [8, 10, 12, 14],
    [8, 9, 11, 13],
    [7, 9, 11, 12],
    [7, 9, 10, 12],
    [7, 8, 10, 11],
    [6, 8, 9, 11],
    [6, 7, 9, 10],
    [6, 7, 8, 9],
];

/// Whole bytes, from after `cabac_alignment_one_bit` to the trailing bits.
pub(super) fn cabac(macroblocks: u32) -> Vec<u8> {
    let mut bits = Writer::default();
    let mut range = 510;
    // Renormalisation (§9.3.4.3), which needs no more than one step here. What leaves is the top of a lower end of 0.
    let renormalised = |range: u32, bits: &mut Writer| {
        if range < 256 {
            bits.flag(false);
            range << 1
        } else {
            range
        }
    };
    let last = LESS_PROBABLE.last();
    for n in 1..=macroblocks {
        let row = LESS_PROBABLE.get(n as usize - 1).or(last);
        let quarter = (range >> 6 & 3) as usize;
        range -= row.and_then(|row| row.get(quarter)).copied().unwrap_or_default(); // mb_skip_flag
        range = renormalised(range, &mut bits);
        range -= 2; // end_of_slice_flag
        if n < macroblocks {
            range = renormalised(range, &mut bits);
        }
    }
    // The end lies above that (§9.3.4.5): the lower end is flushed, its lowest bit rbsp_stop_one_bit.
    bits.u(range | 1, 9);
    bits.whole()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::super::bits::Bits;
    use super::*;

    /// The arithmetic decoder (§9.3.1.2, §9.3.3.2): the macroblocks that are skipped up to the slice's end, and what is left
    /// behind its last bit. `None` if one is not skipped or the data end too early.
    fn decode(data: &[u8]) -> Option<(u32, usize)> {
        let mut bits = Bits::plain("slice data", data);
        let (mut range, mut offset, mut read) = (510, bits.u(9).ok()?, 9);
        let mut renormalise = |range: &mut u32, offset: &mut u32| {
            while *range < 256 {
                *range <<= 1;
                *offset = *offset << 1 | u32::from(bits.flag().ok()?);
                read += 1;
            }
            Some(read)
        };
        for n in 1.. {
            let row = LESS_PROBABLE[(n as usize - 1).min(LESS_PROBABLE.len() - 1)];
            range -= row[(range >> 6 & 3) as usize];
            if offset >= range {
                return None;
            }
            renormalise(&mut range, &mut offset)?;
            range -= 2;
            if offset >= range {
                // The last bit that was read is rbsp_stop_one_bit.
                return (offset & 1 == 1).then_some((n, data.len() * 8 - renormalise(&mut 256, &mut 0)?));
            }
            renormalise(&mut range, &mut offset)?;
        }
        None
    }

    #[test]
    fn the_first_state_is_that_of_a_skipped_macroblock_that_is_expected() {
        assert_eq!(FIRST_STATE, 44);
        assert!(LESS_PROBABLE.windows(2).all(|w| (0..4).all(|i| w[0][i] >= w[1][i])), "the less probable gets rarer");
        assert!(LESS_PROBABLE.iter().all(|row| row.is_sorted()));
    }

    proptest! {
        #[test]
        fn a_decoder_finds_so_many_macroblocks_and_then_the_end(macroblocks in 1u32..=140_000) {
            for n in [macroblocks, macroblocks % 100 + 1] {
                let data = cabac(n);
                let (found, left) = decode(&data).unwrap();
                prop_assert_eq!(found, n);
                prop_assert!(left < 8, "{} bits behind the end", left);
            }
        }
    }
}
