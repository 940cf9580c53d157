//! How a stream's codec is announced in the programme map, and recognised there.

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::{Codec, CodecConfig};
use crate::mux::opus::OpusHead;
use crate::mux::{MuxError, av1};

const REGISTRATION: u8 = 0x05;
const AV1_VIDEO: u8 = 0x80;
/// DVB's extension descriptor; in it Opus has the user-defined tag 0x80.
const EXTENSION: u8 = 0x7f;
const OPUS_EXTENSION: u8 = 0x80;

const H264_TYPE: u8 = 0x1b;
const HEVC_TYPE: u8 = 0x24;
const ADTS_TYPE: u8 = 0x0f;
const PRIVATE_TYPE: u8 = 0x06;

/// How a codec is carried in PES packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mux::ts) enum Carriage {
    /// Annex B.
    H264,
    /// Annex B.
    Hevc,
    /// Start codes and emulation prevention, by AOM's *Carriage of AV1 in MPEG-2 TS*.
    Av1,
    /// Plain OBUs, by GStreamer's provisional mapping `AV1G`. Only read.
    Av1Plain,
    /// ADTS.
    Aac,
    /// Control headers.
    Opus {
        /// 1 or 2.
        channels: u8,
    },
}

impl Carriage {
    /// How a configuration is carried.
    ///
    /// # Errors
    /// A record that does not parse.
    pub(in crate::mux::ts) fn of(config: &CodecConfig) -> Result<Self, MuxError> {
        Ok(match config.codec {
            Codec::H264 => Self::H264,
            Codec::Hevc => Self::Hevc,
            Codec::Av1 => Self::Av1,
            Codec::Aac => Self::Aac,
            Codec::Opus => Self::Opus { channels: OpusHead::parse(&config.record)?.channels },
        })
    }

    pub(in crate::mux::ts) fn codec(self) -> Codec {
        match self {
            Self::H264 => Codec::H264,
            Self::Hevc => Codec::Hevc,
            Self::Av1 | Self::Av1Plain => Codec::Av1,
            Self::Aac => Codec::Aac,
            Self::Opus { .. } => Codec::Opus,
        }
    }

    /// The packet identifier we give it. One for each codec, so that a receiver never finds another codec on a packet
    /// identifier it knows, and each keeps its own continuity counter.
    pub(in crate::mux::ts) fn pid(self) -> u16 {
        match self {
            Self::H264 => 0x100,
            Self::Hevc => 0x101,
            Self::Av1 | Self::Av1Plain => 0x102,
            Self::Aac => 0x110,
            Self::Opus { .. } => 0x111,
        }
    }

    /// `stream_type` (H.222.0 table 2-34).
    pub(in crate::mux::ts) fn stream_type(self) -> u8 {
        match self {
            Self::H264 => H264_TYPE,
            Self::Hevc => HEVC_TYPE,
            Self::Aac => ADTS_TYPE,
            Self::Av1 | Self::Av1Plain | Self::Opus { .. } => PRIVATE_TYPE,
        }
    }

    /// `stream_id` in PES headers (H.222.0 table 2-22).
    pub(in crate::mux::ts) fn stream_id(self) -> u8 {
        match self {
            Self::H264 | Self::Hevc => 0xe0,
            Self::Aac => 0xc0,
            Self::Av1 | Self::Av1Plain | Self::Opus { .. } => 0xbd, // private_stream_1
        }
    }

    /// The descriptors that go with it.
    ///
    /// # Errors
    /// A record that does not parse.
    pub(super) fn descriptors(self, config: &CodecConfig) -> Result<Bytes, MuxError> {
        let mut out = BytesMut::new();
        let register = |out: &mut BytesMut, name: &[u8; 4]| {
            out.put_slice(&[REGISTRATION, 4]);
            out.put_slice(name);
        };
        match self {
            Self::H264 | Self::Aac => {}
            Self::Hevc => register(&mut out, b"HEVC"),
            Self::Av1 | Self::Av1Plain => {
                register(&mut out, b"AV01");
                av1::parse_av1c(&config.record)?;
                let record = config.record.first_chunk::<3>();
                let record = record.ok_or(MuxError::Truncated { what: "av1C", at: config.record.len() })?;
                // As in av1C, but the fourth byte begins with hdr_wcg_idc; 3: no indication.
                out.put_slice(&[AV1_VIDEO, 4]);
                out.put_slice(record);
                out.put_u8(0xc0);
            }
            Self::Opus { channels } => {
                register(&mut out, b"Opus");
                out.put_slice(&[EXTENSION, 2, OPUS_EXTENSION, channels]);
            }
        }
        Ok(out.freeze())
    }

    /// Recognises a stream of somebody's programme map.
    pub(super) fn read(stream_type: u8, descriptors: &[u8]) -> Option<Self> {
        match stream_type {
            H264_TYPE => Some(Self::H264),
            HEVC_TYPE => Some(Self::Hevc),
            ADTS_TYPE => Some(Self::Aac),
            PRIVATE_TYPE => {
                let of = |tag| Descriptors(descriptors).find(move |found| found.0 == tag).map(|found| found.1);
                match of(REGISTRATION)?.first_chunk::<4>()? {
                    b"HEVC" => Some(Self::Hevc),
                    b"AV01" => Some(Self::Av1),
                    b"AV1G" => Some(Self::Av1Plain),
                    b"Opus" => match of(EXTENSION)? {
                        [OPUS_EXTENSION, channels @ 1..=2, ..] => Some(Self::Opus { channels: *channels }),
                        _ => None,
                    },
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// The descriptors of a loop: tag and content. Ends at one that is not whole.
struct Descriptors<'a>(&'a [u8]);

impl<'a> Iterator for Descriptors<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (&[tag, length], rest) = self.0.split_first_chunk::<2>()?;
        let (content, rest) = rest.split_at_checked(length.into())?;
        self.0 = rest;
        Some((tag, content))
    }
}
