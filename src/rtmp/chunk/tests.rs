#![allow(clippy::unwrap_used, clippy::panic)]

use proptest::prelude::*;

use super::*;

const MAX: usize = 1 << 20;

fn read_all(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Message>, ChunkError> {
    reader.feed(bytes);
    let mut messages = Vec::new();
    while let Some(message) = reader.next_message()? {
        messages.push(message);
    }
    Ok(messages)
}

fn wire(messages: &[(Route, Bytes)]) -> Vec<u8> {
    let mut outbox = Outbox::new();
    // Our chunk size is announced as on a real connection.
    let announce = Route { chunk_stream: 2, kind: kind::SET_CHUNK_SIZE, stream: 0, timestamp_ms: 0 };
    write(&mut outbox, announce, &[], Bytes::copy_from_slice(&(CHUNK_SIZE as u32).to_be_bytes()));
    for (route, body) in messages {
        write(&mut outbox, *route, &body[..body.len().min(8)], body.slice(body.len().min(8)..));
    }
    outbox.slices().flatten().copied().collect()
}

fn route(kind: u8, timestamp_ms: u32) -> Route {
    Route { chunk_stream: 6, kind, stream: 1, timestamp_ms }
}

#[test]
fn a_message_has_the_layout_of_the_specification() {
    let mut outbox = Outbox::new();
    write(&mut outbox, route(9, 0x010203), &[0x17], Bytes::from_static(b"ab"));
    let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
    assert_eq!(bytes, *b"\x06\x01\x02\x03\0\0\x03\x09\x01\0\0\0\x17ab");
    assert_eq!(outbox.slices().count(), 2, "one inline header and one shared payload");
}

#[test]
fn an_extended_timestamp_is_repeated_in_every_chunk() {
    let mut outbox = Outbox::new();
    write(&mut outbox, route(9, 0x0123_4567), &[], vec![7; CHUNK_SIZE + 1].into());
    let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
    assert_eq!(bytes[..16], *b"\x06\xff\xff\xff\x01\0\x01\x09\x01\0\0\0\x01\x23\x45\x67");
    assert_eq!(bytes[16 + CHUNK_SIZE..], *b"\xc6\x01\x23\x45\x67\x07");
}

#[test]
fn a_peer_that_does_not_repeat_the_extended_timestamp_is_understood() {
    let mut bytes = b"\x06\xff\xff\xff\0\0\x82\x09\x01\0\0\0\x01\x23\x45\x67".to_vec();
    bytes.extend_from_slice(&[9; 128]);
    for repeated in [&b""[..], b"\x01\x23\x45\x67"] {
        let mut whole = bytes.clone();
        whole.push(0xC6);
        whole.extend_from_slice(repeated);
        whole.extend_from_slice(&[9, 9]);
        whole.extend_from_slice(b"\x02\0\0\0\0\0\0\x03\0\0\0\0\xC2");
        let messages = read_all(&mut Reader::new(MAX), &whole).unwrap();
        assert_eq!(messages[0].payload, vec![9; 130], "repeated: {repeated:?}");
        assert_eq!(messages[0].timestamp_ms, 0x0123_4567);
    }
}

#[test]
fn relative_headers_add_up() {
    let bytes = b"\x04\0\0\x64\0\0\x01\x08\x01\0\0\0a\x44\0\0\x15\0\0\x01\x08b\x84\0\0\x16c\xC4d";
    let messages = read_all(&mut Reader::new(MAX), bytes).unwrap();
    assert_eq!(messages.iter().map(|m| m.timestamp_ms).collect::<Vec<_>>(), [100, 121, 143, 165]);
    assert!(messages.iter().all(|m| m.stream == 1 && m.kind == 8 && m.payload.len() == 1));
}

#[test]
fn long_chunk_stream_ids_are_read() {
    for (basic, id) in [(&b"\x00\x05"[..], 69), (b"\x01\x05\x02", 64 + 5 + 512)] {
        let mut bytes = basic.to_vec();
        bytes.extend_from_slice(b"\0\0\0\0\0\x01\x14\0\0\0\0x");
        let mut reader = Reader::new(MAX);
        assert_eq!(read_all(&mut reader, &bytes).unwrap().len(), 1);
        assert!(reader.streams.contains_key(&id));
    }
}

#[test]
fn interleaved_and_aborted_messages_do_not_disturb_each_other() {
    let mut bytes = b"\x03\0\0\0\0\0\x82\x14\0\0\0\0".to_vec();
    bytes.extend_from_slice(&[1; 128]);
    bytes.extend_from_slice(b"\x04\0\0\0\0\0\x82\x14\0\0\0\0");
    bytes.extend_from_slice(&[2; 128]);
    bytes.extend_from_slice(b"\xC3\x01\x01");
    // The second is given up and another begins in its place.
    bytes.extend_from_slice(b"\x02\0\0\0\0\0\x04\x02\0\0\0\0\0\0\0\x04");
    bytes.extend_from_slice(b"\x04\0\0\0\0\0\x01\x14\0\0\0\0z");
    let mut reader = Reader::new(MAX);
    let messages = read_all(&mut reader, &bytes).unwrap();
    assert_eq!(messages.iter().map(|m| m.payload.len()).collect::<Vec<_>>(), [130, 1]);
    assert_eq!(reader.pending, 0);
}

#[test]
fn what_a_peer_announces_is_not_allocated() {
    let long = b"\x03\0\0\0\xff\xff\xff\x14\0\0\0\0";
    assert_eq!(read_all(&mut Reader::new(MAX), long), Err(ChunkError::TooLong { chunk_stream: 3, length: 0xFF_FFFF }));
    assert_eq!(
        read_all(&mut Reader::new(MAX), b"\x43\0\0\0"),
        Err(ChunkError::NoHeader { chunk_stream: 3, format: 1 })
    );
    assert_eq!(
        read_all(&mut Reader::new(MAX), b"\x02\0\0\0\0\0\x04\x01\0\0\0\0\0\0\0\0"),
        Err(ChunkError::ChunkSizeZero)
    );
    let mut reader = Reader::new(1000);
    let mut outcome = Ok(Vec::new());
    for id in 3..40u8 {
        let mut bytes = vec![id];
        bytes.extend_from_slice(b"\0\0\0\0\x03\xe8\x14\0\0\0\0");
        bytes.extend_from_slice(&[0; 128]);
        outcome = outcome.and_then(|_| read_all(&mut reader, &bytes));
    }
    assert_eq!(outcome, Err(ChunkError::TooMuchPending { chunk_stream: 10 }));
    let mut reader = Reader::new(MAX);
    let many = (0..65u8).flat_map(|id| [&[0, id][..], b"\0\0\0\0\0\0\x14\0\0\0\0"].concat()).collect::<Vec<_>>();
    assert_eq!(read_all(&mut reader, &many), Err(ChunkError::TooManyStreams));
}

#[test]
fn a_stream_split_at_every_byte_reads_the_same() {
    let messages = [
        (route(20, 0), Bytes::from_static(b"connect")),
        (route(9, EXTENDED - 1), Bytes::from(vec![1; 300])),
        (route(9, EXTENDED), Bytes::from(vec![2; 300])),
        (route(8, u32::MAX), Bytes::new()),
    ];
    let bytes = wire(&messages);
    let whole = read_all(&mut Reader::new(MAX), &bytes).unwrap();
    assert_eq!(whole.len(), messages.len());
    for at in 0..bytes.len() {
        let mut reader = Reader::new(MAX);
        let mut read = read_all(&mut reader, &bytes[..at]).unwrap();
        read.extend(read_all(&mut reader, &bytes[at..]).unwrap());
        assert_eq!(read, whole, "split at byte {at}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        messages in prop::collection::vec((8u8..=20, any::<u32>(), 0usize..200_000, any::<u8>()), 1..6),
        step in 1usize..100_000,
    ) {
        let messages: Vec<_> =
            messages.into_iter().map(|(k, t, n, fill)| (route(k, t), Bytes::from(vec![fill; n]))).collect();
        let mut reader = Reader::new(MAX);
        let mut read = Vec::new();
        for piece in wire(&messages).chunks(step) {
            read.extend(read_all(&mut reader, piece).unwrap());
        }
        prop_assert_eq!(read.len(), messages.len());
        for (read, (route, body)) in read.iter().zip(&messages) {
            prop_assert_eq!((read.kind, read.timestamp_ms, read.stream), (route.kind, route.timestamp_ms, route.stream));
            prop_assert_eq!(&read.payload, body);
        }
    }

    #[test]
    fn no_bytes_can_hurt(bytes in prop::collection::vec(any::<u8>(), 0..2000), step in 1usize..64) {
        let mut reader = Reader::new(4096);
        for piece in bytes.chunks(step) {
            if read_all(&mut reader, piece).is_err() {
                break;
            }
            prop_assert!(reader.pending <= 4096);
            prop_assert!(reader.buffer.len() <= 4096 + 64 + 18);
        }
    }
}
