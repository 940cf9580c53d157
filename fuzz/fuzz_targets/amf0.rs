//! AMF0 values and commands; what decodes is encoded again and must read the same.
#![no_main]

use holdfast::rtmp::amf0::{Decoder, encode_all};
use holdfast::rtmp::command::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut decoder = Decoder::new(data);
    let mut values = Vec::new();
    while let Ok(Some(value)) = decoder.next_value() {
        values.push(value);
    }
    let bytes = encode_all(&values);
    let mut again = Decoder::new(&bytes);
    for value in &values {
        let read = again.next_value().expect("our own encoding").expect("as many values");
        // Compared as text, since a number may be NaN.
        assert_eq!(format!("{read:?}"), format!("{value:?}"));
    }
    let _ = Command::parse(data);
});
