//! Hardware profiles: any text. One that is taken can be asked everything.
#![no_main]

use std::path::Path;

use holdfast::config::profile::{Machine, choose, parse_profile};
use holdfast::model::{Codec, FrameRate};
use holdfast::supervisor::hardware;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    match parse_profile("profile", &text, &hardware::families()) {
        Ok(profile) => {
            let _ = profile.encoders.order_for(Codec::H264, 1920, 1080, FrameRate::whole(60));
            let profiles = [profile];
            let _ = choose(&Machine::default(), &profiles);
            let _ = hardware::look(Path::new("/nonexistent"), &profiles[0]);
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            for error in &errors.errors {
                assert!(!error.message.contains("defect in Holdfast"), "a refusal without a reason");
                assert!(!error.message.contains(char::is_control), "{error}");
                assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}: no such line");
            }
        }
    }
});
