//! FLV tag bodies: legacy for H.264 and AAC (FLV 10.1 Annex E.4, what every ingest understands), Enhanced RTMP v2 for
//! HEVC, AV1 and Opus (`enhanced-rtmp-v2`, *Enhanced Video* and *Enhanced Audio*).
//!
//! A [`Tag`] is a few bytes of its own plus the access unit's payload by reference, so that any number of destinations
//! can send the same picture without a copy. Timestamps are milliseconds since the first keyframe of this stream.
//!
//! [`read`] is the way back.

pub mod read;

use std::sync::Arc;

use bytes::Bytes;

use crate::model::{AccessUnit, AudioFormat, Codec, CodecConfig, Media, VideoFormat};

/// What a tag carries; the numbers are the RTMP message type ids (and the FLV tag types).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Picture.
    Video = 9,
    /// AMF0 data.
    Data = 18,
}

/// The bytes before the payload: at most 8, held inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TagHead {
    bytes: [u8; Self::MAX],
    len: u8,
}

impl TagHead {
    /// Longest head: `91 FOURCC CTS`.
    pub const MAX: usize = 8;
    /// No head: the body is everything.
    pub const EMPTY: Self = Self { bytes: [0; Self::MAX], len: 0 };

    /// `first`, then `rest`; together at most [`Self::MAX`] bytes, which every caller's layout guarantees.
    fn of(first: &[u8], rest: &[u8]) -> Self {
        let mut head = Self::EMPTY;
        for (to, from) in head.bytes.iter_mut().zip(first.iter().chain(rest)) {
            *to = *from;
            head.len += 1;
        }
        head
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// One FLV tag without its 11-byte file header: RTMP carries kind and timestamp in the chunk header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// Decoding time in milliseconds since the stream's first keyframe, modulo 2³² (49.7 days).
    pub timestamp_ms: u32,
    /// Codec and packet type.
    pub head: TagHead,
    /// The access unit or the decoder configuration, shared.
    pub body: Bytes,
}

/// What became of an access unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was turned into tags.
    Muxed,
    /// Dropped: no receiver could use it, since it is sound from before the first picture, or a picture whose keyframe
    /// or decoder configuration was not sent.
    Undecodable,
}

/// Turns one stream's access units into tags. One per connection: timestamps begin at zero with its first keyframe.
#[derive(Debug, Default)]
pub struct Muxer {
    /// Programme time of the first keyframe.
    base: Option<Media>,
    video: Option<Arc<CodecConfig>>,
    audio: Option<Arc<CodecConfig>>,
}

impl Muxer {
    /// Waits for a keyframe.
    pub fn new() -> Self {
        Self::default()
    }

    /// Emits the tags for one unit: a sequence start first where the decoder configuration is new to this stream.
    pub fn push(&mut self, unit: &AccessUnit, mut emit: impl FnMut(Tag)) -> Taken {
        let codec = unit.config.codec;
        let base = match self.base {
            Some(base) => base,
            None if codec.is_video() && unit.key => *self.base.insert(unit.dts),
            None => return Taken::Undecodable,
        };
        if unit.dts < base {
            return Taken::Undecodable;
        }
        let known = if codec.is_video() { &mut self.video } else { &mut self.audio };
        let is_known = known.as_ref().is_some_and(|k| Arc::ptr_eq(k, &unit.config) || **k == *unit.config);
        if !is_known && !unit.key {
            return Taken::Undecodable;
        }
        let timestamp_ms = wrap(ticks(unit.dts, base));
        if !is_known {
            *known = Some(unit.config.clone());
            emit(sequence_start(&unit.config, timestamp_ms));
        }
        emit(coded(unit, timestamp_ms, ticks(unit.pts, base) - ticks(unit.dts, base)));
        Taken::Muxed
    }

    /// Emits the ends of the sequences that were started, stamped with programme time `at`.
    pub fn end(&self, at: Media, mut emit: impl FnMut(Tag)) {
        let Some(base) = self.base else { return };
        let timestamp_ms = wrap(ticks(at.max(base), base));
        for config in self.video.iter().chain(&self.audio) {
            if let Some(head) = sequence_end(config.codec) {
                emit(Tag { kind: kind_of(config.codec), timestamp_ms, head, body: Bytes::new() });
            }
        }
    }
}

fn ticks(time: Media, base: Media) -> i64 {
    (time - base).to_ticks(1000)
}

/// RTMP timestamps are serial numbers modulo 2³² (RTMP 1.0 §4), so the low 32 bits are the whole truth.
fn wrap(ms: i64) -> u32 {
    (ms & 0xFFFF_FFFF) as u32
}

const fn kind_of(codec: Codec) -> TagKind {
    if codec.is_video() { TagKind::Video } else { TagKind::Audio }
}

/// The FourCC of Enhanced RTMP; also for H.264 and AAC, which use it only in capability lists.
pub const fn fourcc(codec: Codec) -> [u8; 4] {
    match codec {
        Codec::H264 => *b"avc1",
        Codec::Hevc => *b"hvc1",
        Codec::Av1 => *b"av01",
        Codec::Aac => *b"mp4a",
        Codec::Opus => *b"Opus",
    }
}

/// Frame types (high nibble) and packet types (low nibble) of the first byte.
const KEY: u8 = 0x10;
const INTER: u8 = 0x20;
const AVC: u8 = 7;
const EX_VIDEO: u8 = 0x80;
const EX_AUDIO: u8 = 0x90;
/// AAC, 44 kHz, 16 bit, stereo: the flags are fixed for AAC, the truth is in the AudioSpecificConfig.
const AAC: u8 = 0xAF;

const SEQUENCE_START: u8 = 0;
const CODED_FRAMES: u8 = 1;
const SEQUENCE_END: u8 = 2;
const CODED_FRAMES_X: u8 = 3;

fn sequence_start(config: &CodecConfig, timestamp_ms: u32) -> Tag {
    let four = fourcc(config.codec);
    let head = match config.codec {
        Codec::H264 => TagHead::of(&[KEY | AVC, SEQUENCE_START, 0, 0, 0], &[]),
        Codec::Hevc | Codec::Av1 => TagHead::of(&[EX_VIDEO | KEY | SEQUENCE_START], &four),
        Codec::Aac => TagHead::of(&[AAC, SEQUENCE_START], &[]),
        Codec::Opus => TagHead::of(&[EX_AUDIO | SEQUENCE_START], &four),
    };
    Tag { kind: kind_of(config.codec), timestamp_ms, head, body: config.record.clone() }
}

fn coded(unit: &AccessUnit, timestamp_ms: u32, composition_ms: i64) -> Tag {
    let codec = unit.config.codec;
    let four = fourcc(codec);
    let frame = if unit.key { KEY } else { INTER };
    // SI24; a longer offset cannot be said and does not occur (our encoders do not reorder).
    let composition_ms = composition_ms.clamp(-0x80_0000, 0x7F_FFFF);
    let [.., c2, c1, c0] = composition_ms.to_be_bytes();
    let head = match codec {
        Codec::H264 => TagHead::of(&[frame | AVC, CODED_FRAMES, c2, c1, c0], &[]),
        Codec::Hevc if composition_ms == 0 => TagHead::of(&[EX_VIDEO | frame | CODED_FRAMES_X], &four),
        Codec::Hevc => {
            let [f0, f1, f2, f3] = four;
            TagHead::of(&[EX_VIDEO | frame | CODED_FRAMES, f0, f1, f2, f3], &[c2, c1, c0])
        }
        // AV1 has no composition offset: it shows pictures in the order it codes them.
        Codec::Av1 => TagHead::of(&[EX_VIDEO | frame | CODED_FRAMES], &four),
        Codec::Aac => TagHead::of(&[AAC, CODED_FRAMES], &[]),
        Codec::Opus => TagHead::of(&[EX_AUDIO | CODED_FRAMES], &four),
    };
    Tag { kind: kind_of(codec), timestamp_ms, head, body: unit.payload.clone() }
}

fn sequence_end(codec: Codec) -> Option<TagHead> {
    match codec {
        Codec::H264 => Some(TagHead::of(&[KEY | AVC, SEQUENCE_END, 0, 0, 0], &[])),
        Codec::Hevc | Codec::Av1 => Some(TagHead::of(&[EX_VIDEO | KEY | SEQUENCE_END], &fourcc(codec))),
        // Legacy AAC has no end of sequence.
        Codec::Aac => None,
        Codec::Opus => Some(TagHead::of(&[EX_AUDIO | SEQUENCE_END], &fourcc(codec))),
    }
}

/// What a stream is, for its `onMetaData`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// Picture codec.
    pub video: Codec,
    /// Picture size and rate.
    pub video_format: VideoFormat,
    /// Picture bit rate, bit/s.
    pub video_bitrate: u32,
    /// Sound codec.
    pub audio: Codec,
    /// Sound rate and channels.
    pub audio_format: AudioFormat,
    /// Sound bit rate, bit/s.
    pub audio_bitrate: u32,
}

/// A value in `onMetaData`.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A number.
    Number(f64),
    /// Yes or no.
    Flag(bool),
    /// A word.
    Text(String),
}

impl StreamFacts {
    /// The fields of `onMetaData` (FLV 10.1 Annex E.5), in order. Codecs with a FourCC are named by it, as a number
    /// (Enhanced RTMP v2, *Enhancing onMetaData*); data rates are in kbit/s.
    pub fn metadata(&self) -> Vec<(&'static str, Fact)> {
        let number = |n: u32| Fact::Number(f64::from(n));
        let video_id = match self.video {
            Codec::H264 => u32::from(AVC),
            Codec::Hevc | Codec::Av1 | Codec::Aac | Codec::Opus => u32::from_be_bytes(fourcc(self.video)),
        };
        let audio_id = match self.audio {
            Codec::Aac => 10,
            Codec::Opus | Codec::H264 | Codec::Hevc | Codec::Av1 => u32::from_be_bytes(fourcc(self.audio)),
        };
        vec![
            ("duration", number(0)),
            ("width", number(self.video_format.width)),
            ("height", number(self.video_format.height)),
            ("framerate", Fact::Number(self.video_format.rate.as_f64())),
            ("videodatarate", Fact::Number(f64::from(self.video_bitrate) / 1000.0)),
            ("videocodecid", number(video_id)),
            ("audiodatarate", Fact::Number(f64::from(self.audio_bitrate) / 1000.0)),
            ("audiosamplerate", number(self.audio_format.rate)),
            ("audiosamplesize", number(16)),
            ("stereo", Fact::Flag(self.audio_format.channels > 1)),
            ("audiocodecid", number(audio_id)),
            ("encoder", Fact::Text(concat!("Holdfast ", env!("CARGO_PKG_VERSION")).to_owned())),
        ]
    }
}

#[cfg(test)]
mod tests;
