//! Salvaging a recording: any file, cut anywhere.
#![no_main]

use holdfast::mux::fmp4::{Tail, box_header, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = scan(data);
    let length = data.len() as u64;
    let mut tail = Tail::new();
    while let Some(rest) = usize::try_from(tail.at()).ok().and_then(|at| data.get(at..)) {
        let before = tail.at();
        let Ok(header) = box_header(rest) else { break };
        if !tail.step(header, length) {
            break;
        }
        assert!(tail.at() > before, "the walk stands still");
    }
    assert!(tail.whole().is_none_or(|whole| whole <= length));
});
