//! The worker protocol, both directions, in pieces of every size. What decodes is encoded again and must read the same.
#![no_main]

use bytes::BytesMut;
use holdfast::encode::protocol::{FromWorker, MAX_TEXT, MAX_UNIT, ToWorker};
use holdfast::encode::session::Session;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The first byte says how the rest arrives.
    let Some((&step, data)) = data.split_first() else { return };
    let step = usize::from(step).max(1);

    let mut buffer = BytesMut::new();
    'whole: for piece in data.chunks(step) {
        buffer.extend_from_slice(piece);
        loop {
            match FromWorker::decode(&mut buffer) {
                Ok(Some(message)) => {
                    let mut again = BytesMut::new();
                    message.encode(&mut again);
                    assert_eq!(FromWorker::decode(&mut again), Ok(Some(message)));
                    assert!(again.is_empty());
                }
                Ok(None) => break,
                Err(_) => break 'whole,
            }
        }
        assert!(buffer.capacity() <= MAX_UNIT + MAX_TEXT, "the decoder made room for what it was not handed");
    }

    let mut buffer = BytesMut::from(data);
    while let Ok(Some(message)) = ToWorker::decode(&mut buffer) {
        let mut again = BytesMut::new();
        message.encode(&mut again);
        assert_eq!(ToWorker::decode(&mut again), Ok(Some(message)));
    }

    let mut session = Session::AwaitingHello;
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(_)) = session.next(&mut buffer) {}
});
