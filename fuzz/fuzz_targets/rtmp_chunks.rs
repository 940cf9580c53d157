//! The chunk stream reader, in pieces of every size: it must hold no more than it promises, and read the same messages
//! however the bytes arrive.
#![no_main]

use holdfast::rtmp::chunk::{Message, Reader};
use libfuzzer_sys::fuzz_target;

const MAX_MESSAGE: usize = 4096;

fn read(data: &[u8], step: usize) -> (Vec<Message>, bool) {
    let mut reader = Reader::new(MAX_MESSAGE);
    let mut messages = Vec::new();
    for piece in data.chunks(step) {
        reader.feed(piece);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    assert!(message.payload.len() <= MAX_MESSAGE);
                    messages.push(message);
                }
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    (messages, true)
}

fuzz_target!(|data: &[u8]| {
    let Some((&step, data)) = data.split_first() else { return };
    assert_eq!(read(data, usize::from(step).max(1)), read(data, data.len().max(1)));
});
