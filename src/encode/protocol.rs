//! Pure. The worker protocol: how access units get from `holdfast-encode` to `holdfast-transmit`, and wishes back.
//!
//! A Unix *stream* socket (`media.sock`, the data plane listens). Every message, in both directions, is a header of
//! 8 bytes and a body; numbers are big-endian:
//!
//! ```text
//!   0      1      2        4             8
//!   +------+------+--------+-------------+----------------
//!   | 0x48 | kind | stream | body length |  body …
//!   +------+------+--------+-------------+----------------
//!
//!   worker -> data plane                         data plane -> worker
//!   1 Hello   JSON {protocol,input,pid}          65 Welcome        JSON {protocol}
//!   2 Format  u16 n, n bytes JSON, record        66 ForceKeyframe  JSON {rendition|null}
//!   3 Unit    flags(1) 0(3) pts(8) dts(8) data   67 SetBitrate     JSON {rendition,bitrate}
//!   4 Bye     JSON {reason}                      68 Refused        JSON {reason}
//!   5 Condition  JSON {condition}                69 SetGate        JSON {gate}
//!                                                70 FeedFormat     as Format; rendition and encoder are left out
//!                                                71 FeedUnit       as Unit
//!                                                72 FeedEnd        JSON {reason}
//! ```
//!
//! 70 to 72 are a [`Feed`]: they carry what a sender over a network delivers to the worker of that input, which decodes it: stream 0 is its
//! picture, stream 1 its sound. Times are those at which it is due, on CLOCK_MONOTONIC; a picture's decoding time lies before
//! its presentation. FeedFormat comes before the first FeedUnit of a stream and whenever it is another, FeedEnd when the
//! sender is gone or its time begins anew.
//!
//! A worker says Hello first and Format before the first Unit of a stream; another Format on the same stream replaces
//! the first (a parameter-set change). It says the input's Condition after Hello, and whenever it is another: all that is wrong
//! with the picture and the sound, each with its evidence. `stream` numbers are the worker's own, 0–63. `flags` bit 0: a decoder can start
//! here. Times are nanoseconds on CLOCK_MONOTONIC, on the shared grids of [`crate::model`].
//!
//! Versions: a peer whose `protocol` differs is told `Refused` (by the data plane) or left (by the worker) and replaced
//! by the supervisor. Unknown kinds are an error, not skipped: both ends come from the same image.
//!
//! *Invariant:* no input makes the decoder panic, allocate more than it was handed, or wait for more than
//! [`MAX_UNIT`] bytes.

use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::model::{Codec, CodecConfig, Condition, Feed, InputId, Media, RenditionId, Track, TrackFormat};

/// Version of this protocol.
pub const PROTOCOL: u32 = 3;
/// Largest body of a Unit: a 4K intra picture at the highest bit rate, with room.
pub const MAX_UNIT: usize = 16 << 20;
/// Largest body of any other message.
pub const MAX_TEXT: usize = 64 << 10;
/// Streams a worker may have.
pub const MAX_STREAMS: u16 = 64;
/// Header of every message, bytes.
pub const HEADER: usize = 8;
/// Header of a Unit together with the fixed part of its body, bytes.
pub const UNIT_HEADER: usize = HEADER + UNIT_FIXED;

const MAGIC: u8 = 0x48;
const UNIT_FIXED: usize = 20;
const FLAG_KEY: u8 = 1;

/// Worker to data plane.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// The first message.
    Hello(Hello),
    /// What a stream's units are; before the first of them and at each change.
    Format {
        /// The worker's number for the stream.
        stream: u16,
        /// Which encode.
        rendition: RenditionId,
        /// The element that makes it, e.g. `x264enc`.
        encoder: String,
        /// What a decoder needs.
        config: Arc<CodecConfig>,
    },
    /// One access unit.
    Unit {
        /// The worker's number for the stream.
        stream: u16,
        /// A decoder can start here.
        key: bool,
        /// Presentation time on CLOCK_MONOTONIC.
        pts: Media,
        /// Decoding time.
        dts: Media,
        /// The bytes, canonical as [`Codec`] states.
        payload: Bytes,
    },
    /// The worker ends on purpose.
    Bye {
        /// Why.
        reason: String,
    },
    /// What is wrong with the input, until the next of these.
    Condition(Condition),
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// Which input it captures.
    pub input: InputId,
    /// Its process id.
    pub pid: u32,
}

/// Data plane to worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToWorker {
    /// The answer to Hello.
    Welcome {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// A keyframe as soon as possible.
    ForceKeyframe {
        /// Which encode; `None` means all.
        rendition: Option<RenditionId>,
    },
    /// Another bit rate.
    SetBitrate {
        /// Which encode.
        rendition: RenditionId,
        /// Bit/s.
        bitrate: u32,
    },
    /// Whether its pictures are wanted. Until it is told, a worker's gate is closed.
    SetGate {
        /// From the next picture on.
        gate: Gate,
    },
    /// The connection ends; the worker may try again later.
    Refused {
        /// Why.
        reason: String,
    },
    /// What the input's sender delivers, or no longer delivers.
    Feed(Feed),
}

/// Whether an input's pictures are encoded for the programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Every one of them; the first is a keyframe.
    Open,
    /// None; the encoder stands by.
    Closed,
}

/// What is wrong with a message. The connection is of no more use after any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// The stream is not this protocol, or lost its place.
    #[error("a message begins with byte {0:#04x}, not {MAGIC:#04x}")]
    Magic(u8),
    /// A message this end does not take.
    #[error("message kind {0} is not known here")]
    Kind(u8),
    /// A body longer than its kind allows.
    #[error("message kind {kind} announces {length} bytes; at most {limit} are allowed")]
    TooLong {
        /// The message's kind.
        kind: u8,
        /// What it announces.
        length: usize,
        /// What is allowed.
        limit: usize,
    },
    /// A body that ends too early or is not what its kind says.
    #[error("message kind {kind}: {what}")]
    Body {
        /// The message's kind.
        kind: u8,
        /// What is wrong.
        what: String,
    },
    /// A stream number out of range.
    #[error("stream {0}; a worker has at most {MAX_STREAMS}")]
    Stream(u16),
    /// Something before Hello, or a second Hello.
    #[error("{0}")]
    Order(&'static str),
    /// The other end speaks another version.
    #[error("protocol version {theirs}; this end speaks {PROTOCOL}")]
    Version {
        /// The other end's version.
        theirs: u32,
    },
    /// A unit of a stream that was never described.
    #[error("a unit of stream {0}, which has no format")]
    NoFormat(u16),
}

#[derive(Serialize, Deserialize)]
struct FormatText {
    rendition: RenditionId,
    encoder: String,
    codec: Codec,
    format: TrackFormat,
    bitrate: u32,
}

#[derive(Serialize, Deserialize)]
struct FeedFormatText {
    codec: Codec,
    format: TrackFormat,
    bitrate: u32,
}

#[derive(Serialize, Deserialize)]
struct ReasonText {
    reason: String,
}

#[derive(Serialize, Deserialize)]
struct ConditionText {
    condition: Condition,
}

#[derive(Serialize, Deserialize)]
struct WelcomeText {
    protocol: u32,
}

#[derive(Serialize, Deserialize)]
struct KeyframeText {
    rendition: Option<RenditionId>,
}

#[derive(Serialize, Deserialize)]
struct GateText {
    gate: Gate,
}

#[derive(Serialize, Deserialize)]
struct BitrateText {
    rendition: RenditionId,
    bitrate: u32,
}

/// One header and the body that followed it.
struct Frame {
    kind: u8,
    stream: u16,
    body: Bytes,
}

/// Takes one whole message off the front of `buffer`, or says that more is needed.
fn take_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, ProtocolError> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return match buffer.first() {
            Some(&byte) if byte != MAGIC => Err(ProtocolError::Magic(byte)),
            _ => Ok(None),
        };
    };
    let [magic, kind, s1, s0, l3, l2, l1, l0] = *header;
    if magic != MAGIC {
        return Err(ProtocolError::Magic(magic));
    }
    let length = u32::from_be_bytes([l3, l2, l1, l0]) as usize;
    let limit = if matches!(kind, 3 | 71) { MAX_UNIT + UNIT_FIXED } else { MAX_TEXT };
    if length > limit {
        return Err(ProtocolError::TooLong { kind, length, limit });
    }
    let stream = u16::from_be_bytes([s1, s0]);
    if stream >= MAX_STREAMS {
        return Err(ProtocolError::Stream(stream));
    }
    if buffer.len() < HEADER + length {
        return Ok(None);
    }
    buffer.advance(HEADER);
    Ok(Some(Frame { kind, stream, body: buffer.split_to(length).freeze() }))
}

fn text<'a, T: Deserialize<'a>>(kind: u8, body: &'a [u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(body).map_err(|e| ProtocolError::Body { kind, what: e.to_string() })
}

fn put_text(out: &mut BytesMut, kind: u8, body: &impl Serialize) {
    let json = serde_json::to_vec(body).expect("these types have string keys only");
    put_header(out, kind, 0, json.len());
    out.put_slice(&json);
}

fn put_header(out: &mut BytesMut, kind: u8, stream: u16, length: usize) {
    out.put_u8(MAGIC);
    out.put_u8(kind);
    out.put_u16(stream);
    out.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
}

/// The bytes that stand before a unit's payload on the wire, so that the payload itself can be written from where it is.
/// `length` is the payload's, at most [`MAX_UNIT`].
pub fn unit_header(stream: u16, key: bool, pts: Media, dts: Media, length: usize) -> [u8; UNIT_HEADER] {
    unit_header_of(3, stream, key, (pts, dts), length)
}

fn unit_header_of(kind: u8, stream: u16, key: bool, (pts, dts): (Media, Media), length: usize) -> [u8; UNIT_HEADER] {
    let mut header = [0; UNIT_HEADER];
    let mut out = &mut header[..];
    out.put_u8(MAGIC);
    out.put_u8(kind);
    out.put_u16(stream);
    out.put_u32(u32::try_from(length + UNIT_FIXED).unwrap_or(u32::MAX));
    out.put_u8(if key { FLAG_KEY } else { 0 });
    out.put_slice(&[0; 3]);
    out.put_i64(pts.as_nanos());
    out.put_i64(dts.as_nanos());
    header
}

/// A text with its length before it, and the bytes behind it.
fn text_and_record<T: serde::de::DeserializeOwned>(kind: u8, mut body: Bytes) -> Result<(T, Bytes), ProtocolError> {
    let short = |what: &str| ProtocolError::Body { kind, what: what.to_owned() };
    let length = usize::from(body.try_get_u16().map_err(|_| short("no length before its text"))?);
    if body.len() < length {
        return Err(short("ends within its text"));
    }
    let json = body.split_to(length);
    Ok((text(kind, &json)?, body))
}

fn put_text_and_record(out: &mut BytesMut, kind: u8, stream: u16, text: &impl Serialize, record: &[u8]) {
    let json = serde_json::to_vec(text).expect("these types have string keys only");
    put_header(out, kind, stream, 2 + json.len() + record.len());
    out.put_u16(u16::try_from(json.len()).unwrap_or(u16::MAX));
    out.put_slice(&json);
    out.put_slice(record);
}

fn config(kind: u8, config: CodecConfig) -> Result<Arc<CodecConfig>, ProtocolError> {
    if config.codec.is_video() != matches!(config.format, TrackFormat::Video(_)) {
        let what = "codec and format disagree about picture and sound".to_owned();
        return Err(ProtocolError::Body { kind, what });
    }
    Ok(Arc::new(config))
}

/// Whether it is a keyframe, its presentation and decoding time, and its payload.
fn unit(kind: u8, mut body: Bytes) -> Result<(bool, Media, Media, Bytes), ProtocolError> {
    let short = |what: &str| ProtocolError::Body { kind, what: what.to_owned() };
    if body.len() < UNIT_FIXED {
        return Err(short("ends within its fixed part"));
    }
    let flags = body.get_u8();
    if flags & !FLAG_KEY != 0 {
        return Err(short("unknown flags"));
    }
    body.advance(3);
    let (pts, dts) = (Media(body.get_i64()), Media(body.get_i64()));
    Ok((flags & FLAG_KEY != 0, pts, dts, body))
}

/// The stream number of a sender's picture or sound.
const fn feed_stream(track: Track) -> u16 {
    match track {
        Track::Video => 0,
        Track::Audio => 1,
    }
}

impl FromWorker {
    /// Takes one whole message off the front of `buffer`; `None` when more bytes are needed. A unit's payload shares
    /// the buffer's memory.
    ///
    /// # Errors
    /// [`ProtocolError`]; drop the connection.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, ProtocolError> {
        let Some(Frame { kind, stream, body }) = take_frame(buffer)? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            1 => Self::Hello(text(kind, &body)?),
            2 => {
                let (FormatText { rendition, encoder, codec, format, bitrate }, record) = text_and_record(kind, body)?;
                let config = config(kind, CodecConfig { codec, record, format, bitrate })?;
                Self::Format { stream, rendition, encoder, config }
            }
            3 => {
                let (key, pts, dts, payload) = unit(kind, body)?;
                Self::Unit { stream, key, pts, dts, payload }
            }
            4 => Self::Bye { reason: text::<ReasonText>(kind, &body)?.reason },
            5 => Self::Condition(text::<ConditionText>(kind, &body)?.condition),
            _ => return Err(ProtocolError::Kind(kind)),
        }))
    }

    /// Appends this message to `out`. For units prefer [`unit_header`], which spares the copy.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Hello(hello) => put_text(out, 1, hello),
            Self::Format { stream, rendition, encoder, config } => {
                let CodecConfig { codec, format, bitrate, ref record } = **config;
                let (rendition, encoder) = (rendition.clone(), encoder.clone());
                let text = FormatText { rendition, encoder, codec, format, bitrate };
                put_text_and_record(out, 2, *stream, &text, record);
            }
            Self::Unit { stream, key, pts, dts, payload } => {
                out.put_slice(&unit_header(*stream, *key, *pts, *dts, payload.len()));
                out.put_slice(payload);
            }
            Self::Bye { reason } => put_text(out, 4, &ReasonText { reason: reason.clone() }),
            Self::Condition(condition) => put_text(out, 5, &ConditionText { condition: condition.clone() }),
        }
    }
}

impl ToWorker {
    /// Takes one whole message off the front of `buffer`; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`ProtocolError`]; drop the connection.
    pub fn decode(buffer: &mut BytesMut) -> Result<Option<Self>, ProtocolError> {
        let Some(Frame { kind, stream, body }) = take_frame(buffer)? else {
            return Ok(None);
        };
        Ok(Some(match kind {
            65 => Self::Welcome { protocol: text::<WelcomeText>(kind, &body)?.protocol },
            66 => Self::ForceKeyframe { rendition: text::<KeyframeText>(kind, &body)?.rendition },
            67 => {
                let BitrateText { rendition, bitrate } = text(kind, &body)?;
                Self::SetBitrate { rendition, bitrate }
            }
            68 => Self::Refused { reason: text::<ReasonText>(kind, &body)?.reason },
            69 => Self::SetGate { gate: text::<GateText>(kind, &body)?.gate },
            70 => {
                let (FeedFormatText { codec, format, bitrate }, record) = text_and_record(kind, body)?;
                Self::Feed(Feed::Format(config(kind, CodecConfig { codec, record, format, bitrate })?))
            }
            71 => {
                let track = match stream {
                    0 => Track::Video,
                    1 => Track::Audio,
                    other => return Err(ProtocolError::NoFormat(other)),
                };
                let (key, pts, dts, payload) = unit(kind, body)?;
                Self::Feed(Feed::Unit { track, key, pts, dts, payload })
            }
            72 => Self::Feed(Feed::End { reason: text::<ReasonText>(kind, &body)?.reason }),
            _ => return Err(ProtocolError::Kind(kind)),
        }))
    }

    /// Appends this message to `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Welcome { protocol } => put_text(out, 65, &WelcomeText { protocol: *protocol }),
            Self::ForceKeyframe { rendition } => put_text(out, 66, &KeyframeText { rendition: rendition.clone() }),
            Self::SetBitrate { rendition, bitrate } => {
                put_text(out, 67, &BitrateText { rendition: rendition.clone(), bitrate: *bitrate });
            }
            Self::Refused { reason } => put_text(out, 68, &ReasonText { reason: reason.clone() }),
            Self::SetGate { gate } => put_text(out, 69, &GateText { gate: *gate }),
            Self::Feed(Feed::Format(config)) => {
                let CodecConfig { codec, format, bitrate, ref record } = **config;
                let stream = feed_stream(if codec.is_video() { Track::Video } else { Track::Audio });
                put_text_and_record(out, 70, stream, &FeedFormatText { codec, format, bitrate }, record);
            }
            Self::Feed(Feed::Unit { track, key, pts, dts, payload }) => {
                out.put_slice(&unit_header_of(71, feed_stream(*track), *key, (*pts, *dts), payload.len()));
                out.put_slice(payload);
            }
            Self::Feed(Feed::End { reason }) => put_text(out, 72, &ReasonText { reason: reason.clone() }),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
