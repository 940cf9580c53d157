//! One tag body: which codec, and what of it (FLV 10.1 Annex E.4.2 and E.4.3; Enhanced RTMP v2, *Enhanced Audio* and
//! *Enhanced Video*).

use bytes::Bytes;

use super::{Foreign, LeftOut};
use crate::model::{Codec, Track};
use crate::mux::MuxError;
use crate::mux::flv::{self, CODED_FRAMES, CODED_FRAMES_X, SEQUENCE_END, SEQUENCE_START};

/// What a tag holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    /// The decoder configuration record.
    Start { codec: Codec, record: Bytes },
    /// One picture or packet of sound.
    Coded { codec: Codec, offset: Offset, data: Bytes },
    /// The end of a sequence, a command, colour information: nothing to pass on.
    Nothing,
}

/// When a picture is shown, after the time in its tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset {
    /// After it is decoded: `compositionTimeOffset`, SI24.
    pub(super) composition_ms: i32,
    /// Both times: `TimestampOffsetNano`, below a millisecond.
    pub(super) nanos: u32,
}

/// Legacy codec numbers, and the one that says that a FourCC follows.
const AVC: u8 = 7;
const AAC: u8 = 10;
const EX_AUDIO: u8 = 9;
const EX_VIDEO: u8 = 0x80;
/// Frame type of a tag that tells a player to do something (`VideoFrameType.Command`).
const COMMAND: u8 = 5;

/// Packet types beyond those that are written.
/// Colours of video; in audio `MultichannelConfig`, the loudspeakers of its channels.
const METADATA: u8 = 4;
const MULTITRACK_AUDIO: u8 = 5;
const MULTITRACK_VIDEO: u8 = 6;
const MOD_EX: u8 = 7;
/// `AvMultitrackType`: one track; others hold many in one tag.
const ONE_TRACK: u8 = 0;
/// `PacketModExType`: TimestampOffsetNano.
const OFFSET_NANO: u8 = 0;

/// What is left of a body, read from its front.
struct Rest {
    track: Track,
    bytes: Bytes,
    at: usize,
}

impl Rest {
    fn take(&mut self, count: usize) -> Result<Bytes, LeftOut> {
        if self.bytes.len() < count {
            let what = match self.track {
                Track::Video => "FLV video tag",
                Track::Audio => "FLV audio tag",
            };
            return Err(LeftOut::Malformed(self.track, MuxError::Truncated { what, at: self.at + self.bytes.len() }));
        }
        self.at += count;
        Ok(self.bytes.split_to(count))
    }

    /// A big-endian number of `count` bytes, at most 4.
    fn number(&mut self, count: usize) -> Result<u32, LeftOut> {
        Ok(self.take(count)?.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn byte(&mut self) -> Result<u8, LeftOut> {
        Ok(self.number(1)? as u8)
    }

    fn fourcc(&mut self) -> Result<[u8; 4], LeftOut> {
        Ok(self.number(4)?.to_be_bytes())
    }
}

/// # Errors
/// [`LeftOut`]: malformed, or not taken.
pub(super) fn video(body: Bytes) -> Result<Tag, LeftOut> {
    let mut rest = Rest { track: Track::Video, bytes: body, at: 0 };
    let first = rest.byte()?;
    if first & EX_VIDEO != 0 {
        return enhanced(first >> 4 & 7, first & 15, rest);
    }
    // A command to the player, one byte long, whatever the codec.
    if first >> 4 == COMMAND {
        return Ok(Tag::Nothing);
    }
    if first & 15 != AVC {
        return Err(LeftOut::Codec(Foreign::Number(Track::Video, first & 15)));
    }
    let (packet, composition_ms) = (rest.byte()?, composition(&mut rest)?);
    let codec = Codec::H264;
    Ok(match packet {
        SEQUENCE_START => Tag::Start { codec, record: rest.bytes },
        CODED_FRAMES => Tag::Coded { codec, offset: Offset { composition_ms, nanos: 0 }, data: rest.bytes },
        _ => Tag::Nothing,
    })
}

/// # Errors
/// [`LeftOut`]: malformed, or not taken.
pub(super) fn audio(body: Bytes) -> Result<Tag, LeftOut> {
    let mut rest = Rest { track: Track::Audio, bytes: body, at: 0 };
    let first = rest.byte()?;
    match first >> 4 {
        EX_AUDIO => return enhanced(0, first & 15, rest),
        AAC => {}
        number => return Err(LeftOut::Codec(Foreign::Number(Track::Audio, number))),
    }
    let codec = Codec::Aac;
    Ok(match rest.byte()? {
        SEQUENCE_START => Tag::Start { codec, record: rest.bytes },
        CODED_FRAMES => Tag::Coded { codec, offset: Offset::default(), data: rest.bytes },
        _ => Tag::Nothing,
    })
}

/// `ExVideoTagHeader` or `ExAudioTagHeader` after its first byte, and the body.
fn enhanced(frame: u8, mut packet: u8, mut rest: Rest) -> Result<Tag, LeftOut> {
    let mut offset = Offset::default();
    // Each takes two bytes of the body at least, so they come to an end.
    while packet == MOD_EX {
        let mut length = rest.number(1)? as usize + 1;
        if length == 256 {
            length = rest.number(2)? as usize + 1;
        }
        let data = rest.take(length)?;
        let kinds = rest.byte()?;
        if let (OFFSET_NANO, [high, middle, low]) = (kinds >> 4, &data[..]) {
            // Up to 999 999 (the rest is in the tag's milliseconds).
            offset.nanos = u32::from_be_bytes([0, *high, *middle, *low]).min(999_999);
        }
        packet = kinds & 15;
    }
    let is_video = rest.track == Track::Video;
    if is_video && frame == COMMAND && packet != METADATA {
        return Ok(Tag::Nothing);
    }
    if packet == (if is_video { MULTITRACK_VIDEO } else { MULTITRACK_AUDIO }) {
        let kinds = rest.byte()?;
        packet = kinds & 15;
        if kinds >> 4 != ONE_TRACK {
            return Err(LeftOut::ManyTracks(rest.track));
        }
        let fourcc = rest.fourcc()?;
        let number = rest.byte()?;
        // The first track is what the publisher would send without the others.
        if number != 0 {
            return Err(LeftOut::Track(rest.track, number));
        }
        return packet_of(fourcc, packet, offset, rest);
    }
    let fourcc = rest.fourcc()?;
    packet_of(fourcc, packet, offset, rest)
}

fn packet_of(fourcc: [u8; 4], packet: u8, mut offset: Offset, mut rest: Rest) -> Result<Tag, LeftOut> {
    let all = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Aac, Codec::Opus];
    let is_video = rest.track == Track::Video;
    let codec = all.into_iter().find(|codec| flv::fourcc(*codec) == fourcc && codec.is_video() == is_video);
    let Some(codec) = codec else { return Err(LeftOut::Codec(Foreign::FourCc(rest.track, fourcc))) };
    Ok(match packet {
        SEQUENCE_START => Tag::Start { codec, record: rest.bytes },
        CODED_FRAMES => {
            if let Codec::H264 | Codec::Hevc = codec {
                offset.composition_ms = composition(&mut rest)?;
            }
            Tag::Coded { codec, offset, data: rest.bytes }
        }
        CODED_FRAMES_X if is_video => Tag::Coded { codec, offset, data: rest.bytes },
        SEQUENCE_END | METADATA => Tag::Nothing,
        number => return Err(LeftOut::Packet(rest.track, number)),
    })
}

/// SI24.
fn composition(rest: &mut Rest) -> Result<i32, LeftOut> {
    Ok((rest.number(3)? << 8).cast_signed() >> 8)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn coded(codec: Codec, composition_ms: i32, data: &'static [u8]) -> Result<Tag, LeftOut> {
        Ok(Tag::Coded { codec, offset: Offset { composition_ms, nanos: 0 }, data: Bytes::from_static(data) })
    }

    fn start(codec: Codec, record: &'static [u8]) -> Result<Tag, LeftOut> {
        Ok(Tag::Start { codec, record: Bytes::from_static(record) })
    }

    #[test]
    fn legacy_tags_are_read_with_a_composition_offset_of_either_sign() {
        let video = |bytes: &'static [u8]| video(Bytes::from_static(bytes));
        assert_eq!(video(b"\x17\0\0\0\0rec"), start(Codec::H264, b"rec"));
        assert_eq!(video(b"\x27\x01\0\0\x64nal"), coded(Codec::H264, 100, b"nal"));
        assert_eq!(video(b"\x27\x01\xff\xff\xfdnal"), coded(Codec::H264, -3, b"nal"));
        assert_eq!(video(b"\x17\x02\0\0\0"), Ok(Tag::Nothing));
        assert_eq!(video(b"\x52\x01"), Ok(Tag::Nothing), "a command to the player");
        let audio = |bytes: &'static [u8]| audio(Bytes::from_static(bytes));
        assert_eq!(audio(b"\xaf\0\x11\x90"), start(Codec::Aac, b"\x11\x90"));
        assert_eq!(audio(b"\xaf\x01raw"), coded(Codec::Aac, 0, b"raw"));
    }

    #[test]
    fn enhanced_tags_of_every_codec_are_read() {
        let video = |bytes: &'static [u8]| video(Bytes::from_static(bytes));
        assert_eq!(video(b"\x90hvc1rec"), start(Codec::Hevc, b"rec"));
        assert_eq!(video(b"\xa1hvc1\xff\xff\xfenal"), coded(Codec::Hevc, -2, b"nal"));
        assert_eq!(video(b"\xa3hvc1nal"), coded(Codec::Hevc, 0, b"nal"));
        assert_eq!(video(b"\x91avc1\0\0\x21nal"), coded(Codec::H264, 33, b"nal"));
        assert_eq!(video(b"\x91av01obu"), coded(Codec::Av1, 0, b"obu"));
        assert_eq!(video(b"\x92av01"), Ok(Tag::Nothing));
        assert_eq!(video(b"\x94hvc1\x02\0\x09colorInfo"), Ok(Tag::Nothing));
        assert_eq!(video(b"\xd0\0"), Ok(Tag::Nothing), "a command to the player");
        let audio = |bytes: &'static [u8]| audio(Bytes::from_static(bytes));
        assert_eq!(audio(b"\x90OpusOpusHead"), start(Codec::Opus, b"OpusHead"));
        assert_eq!(audio(b"\x91Opuspacket"), coded(Codec::Opus, 0, b"packet"));
        assert_eq!(audio(b"\x91mp4araw"), coded(Codec::Aac, 0, b"raw"));
        assert_eq!(audio(b"\x94Opus\0\x02"), Ok(Tag::Nothing));
    }

    #[test]
    fn what_is_not_taken_is_named() {
        let video = |bytes: &'static [u8]| video(Bytes::from_static(bytes)).unwrap_err();
        let audio = |bytes: &'static [u8]| audio(Bytes::from_static(bytes)).unwrap_err();
        assert_eq!(video(b"\x12\0"), LeftOut::Codec(Foreign::Number(Track::Video, 2)));
        assert_eq!(video(b"\x90vp09x"), LeftOut::Codec(Foreign::FourCc(Track::Video, *b"vp09")));
        assert_eq!(video(b"\x90mp4ax"), LeftOut::Codec(Foreign::FourCc(Track::Video, *b"mp4a")));
        assert_eq!(video(b"\x95hvc1ts"), LeftOut::Packet(Track::Video, 5));
        assert_eq!(audio(b"\x2f\xff\xfb"), LeftOut::Codec(Foreign::Number(Track::Audio, 2)));
        assert_eq!(audio(b"\x90fLaCx"), LeftOut::Codec(Foreign::FourCc(Track::Audio, *b"fLaC")));
        assert!(matches!(video(b""), LeftOut::Malformed(Track::Video, MuxError::Truncated { at: 0, .. })));
        assert!(matches!(audio(b"\x90Op"), LeftOut::Malformed(Track::Audio, MuxError::Truncated { at: 3, .. })));
    }

    #[test]
    fn of_several_tracks_the_first_is_read() {
        let video = |bytes: &'static [u8]| video(Bytes::from_static(bytes));
        assert_eq!(video(b"\x96\x01hvc1\0\0\0\x05nal"), coded(Codec::Hevc, 5, b"nal"));
        assert_eq!(video(b"\x96\x01hvc1\x01\0\0\x05nal"), Err(LeftOut::Track(Track::Video, 1)));
        assert_eq!(video(b"\x96\x11hvc1\0\0\0\x05nal"), Err(LeftOut::ManyTracks(Track::Video)));
        assert_eq!(video(b"\x96\x21\0hvc1"), Err(LeftOut::ManyTracks(Track::Video)));
        let audio = |bytes: &'static [u8]| audio(Bytes::from_static(bytes));
        assert_eq!(audio(b"\x95\x01Opus\0packet"), coded(Codec::Opus, 0, b"packet"));
        assert_eq!(audio(b"\x95\x01Opus\x02packet"), Err(LeftOut::Track(Track::Audio, 2)));
    }

    #[test]
    fn modifiers_are_read_over_and_nanoseconds_added() {
        // Three bytes of nanoseconds (500 000), then one unknown modifier of 256 bytes, then coded frames.
        let mut body = b"\x97\x02\x07\xa1\x20\x07\xff\0\xff".to_vec();
        body.extend_from_slice(&[9; 256]);
        body.extend_from_slice(b"\xf1av01obu");
        let read = video(body.into());
        let offset = Offset { composition_ms: 0, nanos: 500_000 };
        assert_eq!(read, Ok(Tag::Coded { codec: Codec::Av1, offset, data: Bytes::from_static(b"obu") }));
        assert!(matches!(video(vec![0x97; 3000].into()), Err(LeftOut::Malformed(..) | LeftOut::Packet(..))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>, first in prop::sample::select(&[0x17, 0xaf, 0x91, 0x96, 0x97, 0x95][..])) {
            let body = Bytes::from([vec![first], body].concat());
            for read in [video(body.clone()), audio(body.clone())].into_iter().flatten() {
                if let Tag::Start { record: bytes, .. } | Tag::Coded { data: bytes, .. } = read {
                    prop_assert_eq!(bytes.as_ptr_range().end, body.as_ptr_range().end);
                }
            }
        }
    }
}
