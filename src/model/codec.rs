//! Codecs and the configuration a decoder needs before the first frame.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::FrameRate;

/// The codecs the box speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Codec {
    /// H.264 / AVC (ITU-T H.264). Access units are 4-byte length-prefixed NAL units without AUD, SPS or PPS.
    H264,
    /// H.265 / HEVC (ITU-T H.265). As H.264, without VPS, SPS, PPS or AUD.
    Hevc,
    /// AV1. Access units are one temporal unit of OBUs with size fields, without temporal delimiters.
    Av1,
    /// AAC-LC, raw access units without ADTS.
    Aac,
    /// Opus packets.
    Opus,
}

impl Codec {
    /// Whether this codes pictures.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::H264 | Self::Hevc | Self::Av1)
    }

    /// The name people use.
    pub const fn label(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Aac => "AAC",
            Self::Opus => "Opus",
        }
    }
}

/// The picture format of an encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VideoFormat {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Frames per second on the shared grid.
    pub rate: FrameRate,
}

/// The sound format of an encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AudioFormat {
    /// Samples per second.
    pub rate: u32,
    /// Channels; 2 throughout the box for now.
    pub channels: u8,
    /// Samples per access unit: 1024 for AAC, 960 for Opus.
    pub samples: u32,
}

/// Picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrackFormat {
    /// Picture.
    Video(VideoFormat),
    /// Sound.
    Audio(AudioFormat),
}

/// What a decoder must know before the first access unit. Two equal configurations need no new sequence header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CodecConfig {
    /// Which codec.
    pub codec: Codec,
    /// The decoder configuration record: `avcC` (ISO/IEC 14496-15 §5.3.3), `hvcC` (§8.3.3), `av1C` (AV1-ISOBMFF §2.3),
    /// AudioSpecificConfig (ISO/IEC 14496-3 §1.6) or `OpusHead` (RFC 7845 §5.1).
    pub record: Bytes,
    /// Geometry or channels.
    pub format: TrackFormat,
    /// Nominal bit rate, bit/s, for metadata.
    pub bitrate: u32,
}
