//! The lines between holdfastd, its children and the command, and the saved programme time.
#![no_main]

use holdfast::events::{ChildCommand, ChildMessage, ControlReply, ControlRequest, Event};
use holdfast::model::{FrameRate, Media, Wall};
use holdfast::switch::{Epoch, SavedTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for line in text.lines() {
        let _ = serde_json::from_str::<ChildMessage>(line);
        let _ = serde_json::from_str::<ChildCommand>(line);
        let _ = serde_json::from_str::<ControlRequest>(line);
        let _ = serde_json::from_str::<ControlReply>(line);
        let _ = serde_json::from_str::<Event>(line);
        if let Ok(saved) = SavedTime::parse(line) {
            let (now, wall) = (Media::from_millis(5_000), Wall(1_800_000_000_000_000));
            for boot in ["a", saved.boot_id.as_str()] {
                let (epoch, _) = Epoch::resume(Some(&saved), boot, now, wall, FrameRate::whole(30));
                // Every later time is a later programme time, whatever was saved.
                assert!(epoch.programme(now + Media::from_millis(40)) > epoch.programme(now));
            }
        }
    }
});
