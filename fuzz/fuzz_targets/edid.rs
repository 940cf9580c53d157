//! EDIDs as a driver may give them back: any bytes, and the same with sums that are right.
#![no_main]

use holdfast::model::edid::{Agreement, BLOCK, Edid, EdidName};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    for block in bytes.chunks_exact_mut(BLOCK) {
        let sum = block[..BLOCK - 1].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        block[BLOCK - 1] = sum.wrapping_neg();
    }
    for bytes in [data, &bytes] {
        match Edid::parse(bytes) {
            Ok(edid) => {
                let contents = edid.contents();
                assert!(contents.preferred.is_some() && contents.vics.len() <= bytes.len());
                assert_eq!(edid.compare(&edid), Agreement::Same);
                let _ = EdidName::Hd1080p60.edid().compare(&edid);
            }
            Err(faults) => assert!(!faults.is_empty(), "refused without a reason"),
        }
    }
});
