//! The slice data of a P picture that is nothing but skipped macroblocks, in CABAC (§9.3).
//!
//! Two bins a macroblock: `mb_skip_flag`, which is 1, and `end_of_slice_flag`, which is 1 for the last. As the neighbours
//! are skipped too, or none, the first always has the same context (§9.3.3.1.1.1).

use super::super::cabac::{Coder, Context};

/// `cabac_init_idc` of the slice.
pub(super) const INIT_IDC: u32 = 2;

/// ctxIdx 11 for that `cabac_init_idc` (table 9-13): 1 is expected.
const SKIPPED: Context = Context::new(29, 16);

/// Whole bytes, from after `cabac_alignment_one_bit` to the trailing bits.
pub(super) fn cabac(macroblocks: u32) -> Vec<u8> {
    let (mut coder, mut skipped) = (Coder::new(), SKIPPED);
    for _ in 1..macroblocks {
        coder.expected(&mut skipped);
        coder.goes_on();
    }
    coder.expected(&mut skipped);
    coder.end()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::cabac::decoder::Decoder;
    use super::*;

    proptest! {
        #[test]
        fn a_decoder_finds_so_many_macroblocks_and_then_the_end(macroblocks in 1u32..=140_000) {
            for n in [macroblocks, macroblocks % 100 + 1] {
                let data = cabac(n);
                let (mut decoder, mut skipped, mut found) = (Decoder::new(&data), SKIPPED, 1);
                while decoder.is_expected(&mut skipped) && decoder.goes_on() {
                    found += 1;
                }
                prop_assert_eq!(found, n);
                prop_assert!(decoder.ends_here());
            }
        }
    }
}
