//! The chunk stream (RTMP 1.0 §5.3): messages cut into chunks, and back.
//!
//! What we write is always a type 0 header and type 3 continuations, with the extended timestamp repeated in each: no
//! state between messages, hence nothing that two implementations could disagree about. What we read is everything.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};

use super::Outbox;

/// The chunk size we announce and write with: a whole picture in most cases, and the largest that every server takes.
pub const CHUNK_SIZE: usize = 65_536;

/// Message type ids (RTMP 1.0 §5.4, §6.1, §7.1).
pub mod kind {
    /// Set Chunk Size.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Abort Message.
    pub const ABORT: u8 = 2;
    /// Acknowledgement.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// User Control.
    pub const USER_CONTROL: u8 = 4;
    /// Window Acknowledgement Size.
    pub const WINDOW_SIZE: u8 = 5;
    /// Set Peer Bandwidth.
    pub const PEER_BANDWIDTH: u8 = 6;
    /// Sound.
    pub const AUDIO: u8 = 8;
    /// Picture.
    pub const VIDEO: u8 = 9;
    /// AMF3 data.
    pub const DATA_AMF3: u8 = 15;
    /// AMF3 command.
    pub const COMMAND_AMF3: u8 = 17;
    /// AMF0 data.
    pub const DATA: u8 = 18;
    /// AMF0 command.
    pub const COMMAND: u8 = 20;
    /// Aggregate: several of the above in one.
    pub const AGGREGATE: u8 = 22;
}

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Chunk stream id, 2–63.
    pub chunk_stream: u8,
    /// Message type id.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Milliseconds.
    pub timestamp_ms: u32,
}

/// Timestamps from here on are sent in the extended field.
const EXTENDED: u32 = 0xFF_FFFF;

/// Appends one message: `head` (at most 8 bytes, copied) and then `body` (shared).
pub fn write(outbox: &mut Outbox, route: Route, head: &[u8], mut body: Bytes) {
    debug_assert!((2..64).contains(&route.chunk_stream) && head.len() <= 8);
    let length = head.len() + body.len();
    let [_, l2, l1, l0] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [_, t2, t1, t0] = route.timestamp_ms.min(EXTENDED).to_be_bytes();
    let [s3, s2, s1, s0] = route.stream.to_le_bytes();
    let extended = route.timestamp_ms.to_be_bytes();
    let extended = if route.timestamp_ms >= EXTENDED { &extended[..] } else { &[] };

    let mut first = Inline::default();
    first.push(&[route.chunk_stream, t2, t1, t0, l2, l1, l0, route.kind, s3, s2, s1, s0]);
    first.push(extended);
    first.push(head);
    outbox.push_copy(first.as_slice());
    outbox.push_shared(body.split_to(body.len().min(CHUNK_SIZE - head.len())));

    let mut next = Inline::default();
    next.push(&[0xC0 | route.chunk_stream]);
    next.push(extended);
    while !body.is_empty() {
        outbox.push_copy(next.as_slice());
        outbox.push_shared(body.split_to(body.len().min(CHUNK_SIZE)));
    }
}

#[derive(Default)]
struct Inline {
    bytes: [u8; Outbox::INLINE_MAX],
    len: usize,
}

impl Inline {
    fn push(&mut self, bytes: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(bytes) {
            *to = *from;
        }
        self.len = (self.len + bytes.len()).min(Outbox::INLINE_MAX);
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// A whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Message type id.
    pub kind: u8,
    /// Milliseconds, absolute.
    pub timestamp_ms: u32,
    /// Message stream id.
    pub stream: u32,
    /// Its bytes.
    pub payload: Bytes,
}

/// Why bytes are not a chunk stream we can go on reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChunkError {
    /// A message longer than the reader allows.
    #[error("message of {length} bytes on chunk stream {chunk_stream}")]
    TooLong {
        /// Its chunk stream.
        chunk_stream: u32,
        /// Its announced length.
        length: usize,
    },
    /// Unfinished messages on several chunk streams that together exceed what one message may have.
    #[error("too many unfinished messages on chunk stream {chunk_stream}")]
    TooMuchPending {
        /// The one that was too much.
        chunk_stream: u32,
    },
    /// A chunk stream that begins with a header relative to nothing.
    #[error("chunk stream {chunk_stream} begins with a type {format} header")]
    NoHeader {
        /// Its id.
        chunk_stream: u32,
        /// Its header type, 1–3.
        format: u8,
    },
    /// More chunk streams than anybody needs.
    #[error("more than {} chunk streams", Reader::MAX_STREAMS)]
    TooManyStreams,
    /// A chunk size of zero.
    #[error("chunk size 0")]
    ChunkSizeZero,
}

/// Puts messages together again. Handles Set Chunk Size and Abort itself; everything else is handed out.
///
/// *Invariant:* holds at most one message's maximum of unfinished messages plus one chunk, whatever the peer announces.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    chunk_size: usize,
    max_message: usize,
    streams: BTreeMap<u32, ChunkStream>,
    /// Bytes in unfinished messages.
    pending: usize,
}

/// The last header seen on one chunk stream, to which the next may be relative.
#[derive(Debug, Clone, Default)]
struct ChunkStream {
    timestamp_ms: u32,
    /// Timestamp or delta as last sent, to be repeated by type 3 headers (§5.3.1.2.4).
    field: u32,
    extended: bool,
    length: usize,
    kind: u8,
    stream: u32,
    /// The message in progress.
    partial: Option<BytesMut>,
}

impl Reader {
    /// Most chunk streams a peer may use.
    pub const MAX_STREAMS: usize = 64;

    /// A reader at the start of a chunk stream that accepts messages up to `max_message` bytes.
    pub fn new(max_message: usize) -> Self {
        Self { buffer: BytesMut::new(), chunk_size: 128, max_message, streams: BTreeMap::new(), pending: 0 }
    }

    /// Accepts messages up to `max_message` bytes from here on.
    pub const fn allow(&mut self, max_message: usize) {
        self.max_message = max_message;
    }

    /// Adds received bytes. Call [`Self::next_message`] until it says `None` before adding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ChunkError`]; the stream cannot be read on after one.
    pub fn next_message(&mut self) -> Result<Option<Message>, ChunkError> {
        loop {
            let Some(message) = self.next_chunk()? else { return Ok(None) };
            let Some(message) = message else { continue };
            match message.kind {
                kind::SET_CHUNK_SIZE => {
                    let size = leading_u32(&message.payload).map_or(0, |size| size & 0x7FFF_FFFF) as usize;
                    if size == 0 {
                        return Err(ChunkError::ChunkSizeZero);
                    }
                    self.chunk_size = size;
                }
                kind::ABORT => {
                    let aborted = leading_u32(&message.payload).and_then(|id| self.streams.get_mut(&id));
                    if let Some(partial) = aborted.and_then(|stream| stream.partial.take()) {
                        self.pending -= partial.len();
                    }
                }
                _ => return Ok(Some(message)),
            }
        }
    }

    /// Consumes one chunk. The outer `None`: not all of it is there. The inner: its message goes on.
    fn next_chunk(&mut self) -> Result<Option<Option<Message>>, ChunkError> {
        let Some((format, chunk_stream, mut at)) = basic_header(&self.buffer) else { return Ok(None) };
        let known = self.streams.get(&chunk_stream);
        if known.is_none() && format != 0 {
            return Err(ChunkError::NoHeader { chunk_stream, format });
        }
        if known.is_none() && self.streams.len() >= Self::MAX_STREAMS {
            return Err(ChunkError::TooManyStreams);
        }
        let field = |at: usize, width: usize| -> Option<u32> {
            let bytes = self.buffer.get(at..at + width)?;
            Some(bytes.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
        };
        // Everything but the message in progress, which is moved on only when the chunk is complete.
        let mut header = match known {
            Some(k) => ChunkStream { partial: None, ..*k },
            None => ChunkStream::default(),
        };
        let mut received = known.and_then(|k| k.partial.as_ref()).map(BytesMut::len);
        if format < 3 {
            // A header in the middle of a message starts another one.
            received = None;
            let Some(time) = field(at, 3) else { return Ok(None) };
            header.field = time;
            header.extended = time == EXTENDED;
            at += 3;
        }
        if format < 2 {
            let (Some(length), Some(kind)) = (field(at, 3), field(at + 3, 1)) else { return Ok(None) };
            header.length = length as usize;
            header.kind = kind as u8;
            at += 4;
        }
        if format == 0 {
            let Some(stream) = field(at, 4) else { return Ok(None) };
            header.stream = stream.swap_bytes();
            at += 4;
        }
        if header.extended {
            let Some(time) = field(at, 4) else { return Ok(None) };
            if format < 3 {
                header.field = time;
                at += 4;
            } else if time == header.field {
                // Some writers leave the repetition out: then these are the payload's first bytes, and differ.
                at += 4;
            }
        }
        if header.length > self.max_message {
            return Err(ChunkError::TooLong { chunk_stream, length: header.length });
        }
        let begun = received.unwrap_or(0);
        let take = (header.length - begun).min(self.chunk_size);
        if self.buffer.len() < at + take {
            return Ok(None);
        }
        if received.is_none() {
            header.timestamp_ms =
                if format == 0 { header.field } else { header.timestamp_ms.wrapping_add(header.field) };
        }

        self.buffer.advance(at);
        let chunk = self.buffer.split_to(take);
        let entry = self.streams.entry(chunk_stream).or_default();
        let mut partial = std::mem::replace(entry, header).partial.unwrap_or_default();
        if received.is_none() {
            self.pending -= partial.len();
            partial.clear();
        }
        if begun + take == entry.length {
            self.pending -= partial.len();
            let payload = if partial.is_empty() {
                chunk.freeze()
            } else {
                partial.extend_from_slice(&chunk);
                partial.freeze()
            };
            let ChunkStream { kind, timestamp_ms, stream, .. } = *entry;
            return Ok(Some(Some(Message { kind, timestamp_ms, stream, payload })));
        }
        self.pending += take;
        if self.pending > self.max_message {
            return Err(ChunkError::TooMuchPending { chunk_stream });
        }
        partial.extend_from_slice(&chunk);
        entry.partial = Some(partial);
        Ok(Some(None))
    }
}

/// The first four bytes as a number.
pub(super) fn leading_u32(payload: &[u8]) -> Option<u32> {
    payload.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

/// Header type, chunk stream id and length of a basic header (§5.3.1.1).
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let first = *bytes.first()?;
    let (id, length) = match first & 0x3F {
        0 => (64 + u32::from(*bytes.get(1)?), 2),
        1 => (64 + u32::from(*bytes.get(1)?) + 256 * u32::from(*bytes.get(2)?), 3),
        id => (u32::from(id), 1),
    };
    Some((first >> 6, id, length))
}

#[cfg(test)]
mod tests;
