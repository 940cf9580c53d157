//! A stream id is taken apart or refused, and survives the wire.
#![no_main]

use holdfast::srt::StreamId;
use holdfast::srt::wire::{Extension, Extensions, MAX_TEXT, kind, put_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(id) = StreamId::new(text) else { return };
    if let Ok(access) = id.access() {
        let said = [access.resource, access.user, access.host, access.session];
        assert!(said.into_iter().flatten().all(|part| text.contains(part)));
    }
    let mut block = Vec::new();
    put_text(kind::SID, text, &mut block);
    match Extensions::new(&block).iter().next() {
        Some(Ok(Extension::StreamId(there))) => assert_eq!(there.read(MAX_TEXT).as_deref(), Some(text)),
        other => panic!("{other:?}"),
    }
});
