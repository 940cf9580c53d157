//! What we write is read by somebody else's parser (scuffle-flv).
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm)]

use std::io::Cursor;

use scuffle_flv::audio::body::AudioTagBody;
use scuffle_flv::audio::body::enhanced::{AudioPacket, ExAudioTagBody};
use scuffle_flv::audio::body::legacy::LegacyAudioTagBody;
use scuffle_flv::audio::body::legacy::aac::AacAudioData;
use scuffle_flv::tag::{FlvTag, FlvTagData};
use scuffle_flv::video::VideoData;
use scuffle_flv::video::body::VideoTagBody;
use scuffle_flv::video::body::enhanced::{
    ExVideoTagBody, VideoPacket, VideoPacketCodedFrames, VideoPacketSequenceStart,
};
use scuffle_flv::video::body::legacy::LegacyVideoTagBody;
use scuffle_flv::video::header::legacy::{LegacyVideoTagHeader, LegacyVideoTagHeaderAvcPacket};
use scuffle_flv::video::header::{VideoFrameType, VideoTagHeaderData};

use super::*;
use crate::model::{FrameRate, InputId, RenditionId, Track, TrackFormat};

/// Records of real encoders (x264, x265, SVT-AV1) for 320x240.
const AVCC: &str = "01640014ffe1001d67640014acb20283f602d418181a94000003000400000300f23c50a92001000568ebccb22c";
const HVCC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003f92\
8090210001003042010101600000030090000003000003003fa00a080f16592a4932bffc00040005a830303020000003002000000303c122000100074401\
c172b46240";
const AV1C: &str = "81000c000a0b0000002d4cffb3c0214080";
const ASC: &str = "1190";
const OPUS_HEAD: &str = "4f707573486561640102380180bb0000000000";

fn hex(text: &str) -> Bytes {
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect::<Vec<_>>().into()
}

fn config(codec: Codec) -> Arc<CodecConfig> {
    let record = hex(match codec {
        Codec::H264 => AVCC,
        Codec::Hevc => HVCC,
        Codec::Av1 => AV1C,
        Codec::Aac => ASC,
        Codec::Opus => OPUS_HEAD,
    });
    let format = if codec.is_video() {
        TrackFormat::Video(VideoFormat { width: 320, height: 240, rate: FrameRate::whole(30) })
    } else {
        TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 })
    };
    Arc::new(CodecConfig { codec, record, format, bitrate: 1_000_000 })
}

fn unit(config: &Arc<CodecConfig>, pts_ms: i64, dts_ms: i64, key: bool) -> AccessUnit {
    AccessUnit {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        track: if config.codec.is_video() { Track::Video } else { Track::Audio },
        pts: Media::from_millis(pts_ms),
        dts: Media::from_millis(dts_ms),
        key,
        config: config.clone(),
        payload: Bytes::from_static(&[0, 0, 0, 1, 0x65]),
    }
}

/// The tag as it would stand in a file, read back.
fn parse(tag: &Tag) -> FlvTag<'static> {
    let size = u32::try_from(tag.head.as_slice().len() + tag.body.len()).unwrap();
    let mut file = vec![tag.kind as u8];
    file.extend_from_slice(&size.to_be_bytes()[1..]);
    file.extend_from_slice(&tag.timestamp_ms.to_be_bytes()[1..]);
    file.push(tag.timestamp_ms.to_be_bytes()[0]);
    file.extend_from_slice(&[0, 0, 0]);
    file.extend_from_slice(tag.head.as_slice());
    file.extend_from_slice(&tag.body);
    FlvTag::demux(&mut Cursor::new(file.into())).unwrap()
}

fn video(tag: &Tag) -> VideoData<'static> {
    match parse(tag).data {
        FlvTagData::Video(video) => video,
        other => panic!("not a video tag: {other:?}"),
    }
}

fn enhanced(tag: &Tag) -> ([u8; 4], VideoPacket<'static>) {
    match video(tag).body {
        VideoTagBody::Enhanced(ExVideoTagBody::NoMultitrack { video_four_cc, packet }) => (video_four_cc.0, packet),
        other => panic!("not enhanced video: {other:?}"),
    }
}

fn push(muxer: &mut Muxer, unit: &AccessUnit) -> Vec<Tag> {
    let mut tags = Vec::new();
    muxer.push(unit, |tag| tags.push(tag));
    tags
}

#[test]
fn h264_is_legacy_avc_with_its_composition_offset() {
    let avc = config(Codec::H264);
    let mut muxer = Muxer::new();
    let tags = push(&mut muxer, &unit(&avc, 1000, 1000, true));
    assert_eq!(tags.len(), 2);
    assert!(matches!(video(&tags[0]).body, VideoTagBody::Legacy(LegacyVideoTagBody::AvcVideoPacketSeqHdr(_))));

    let frame = video(&tags[1]);
    assert_eq!(frame.header.frame_type, VideoFrameType::KeyFrame);
    let VideoTagBody::Legacy(LegacyVideoTagBody::Other { data }) = frame.body else { panic!("not NAL units") };
    assert_eq!(data, unit(&avc, 0, 0, true).payload);

    let tags = push(&mut muxer, &unit(&avc, 1133, 1033, false));
    let frame = video(&tags[0]);
    assert_eq!((tags.len(), tags[0].timestamp_ms, frame.header.frame_type), (1, 33, VideoFrameType::InterFrame));
    assert_eq!(
        frame.header.data,
        VideoTagHeaderData::Legacy(LegacyVideoTagHeader::AvcPacket(LegacyVideoTagHeaderAvcPacket::Nalu {
            composition_time_offset: 100
        }))
    );
}

#[test]
fn hevc_says_its_composition_offset_only_when_there_is_one() {
    let hevc = config(Codec::Hevc);
    let mut muxer = Muxer::new();
    let tags = push(&mut muxer, &unit(&hevc, 0, 0, true));
    let (four, packet) = enhanced(&tags[0]);
    assert_eq!(&four, b"hvc1");
    assert!(matches!(packet, VideoPacket::SequenceStart(VideoPacketSequenceStart::Hevc(_))), "{packet:?}");
    assert!(matches!(enhanced(&tags[1]).1, VideoPacket::CodedFramesX { data } if data.len() == 5));

    let tags = push(&mut muxer, &unit(&hevc, 30, 33, false));
    let VideoPacket::CodedFrames(VideoPacketCodedFrames::Hevc { composition_time_offset, data }) = enhanced(&tags[0]).1
    else {
        panic!("not HEVC frames with an offset")
    };
    // The FLV field is a signed 24-bit number; scuffle-flv returns its bits.
    assert_eq!((composition_time_offset << 8) >> 8, -3);
    assert_eq!(data.len(), 5);
}

#[test]
fn av1_frames_have_no_composition_offset() {
    let av1 = config(Codec::Av1);
    let tags = push(&mut Muxer::new(), &unit(&av1, 0, 0, true));
    let (four, packet) = enhanced(&tags[0]);
    assert_eq!(&four, b"av01");
    assert!(matches!(packet, VideoPacket::SequenceStart(VideoPacketSequenceStart::Av1(_))), "{packet:?}");
    let (_, packet) = enhanced(&tags[1]);
    assert!(matches!(packet, VideoPacket::CodedFrames(VideoPacketCodedFrames::Other(data)) if data.len() == 5));
}

#[test]
fn sound_starts_with_its_configuration() {
    for (codec, record) in [(Codec::Aac, ASC), (Codec::Opus, OPUS_HEAD)] {
        let mut muxer = Muxer::new();
        push(&mut muxer, &unit(&config(Codec::H264), 0, 0, true));
        let tags = push(&mut muxer, &unit(&config(codec), 21, 21, true));
        let read: Vec<_> = tags
            .iter()
            .map(|tag| match parse(tag).data {
                FlvTagData::Audio(audio) => match audio.body {
                    AudioTagBody::Legacy(LegacyAudioTagBody::Aac(AacAudioData::SequenceHeader(b))) => ("start", b),
                    AudioTagBody::Legacy(LegacyAudioTagBody::Aac(AacAudioData::Raw(b))) => ("frames", b),
                    AudioTagBody::Enhanced(ExAudioTagBody::NoMultitrack { audio_four_cc, packet }) => {
                        assert_eq!(&audio_four_cc.0, b"Opus");
                        match packet {
                            AudioPacket::SequenceStart { header_data } => ("start", header_data),
                            AudioPacket::CodedFrames { data } => ("frames", data),
                            other => panic!("{other:?}"),
                        }
                    }
                    other => panic!("{other:?}"),
                },
                other => panic!("not an audio tag: {other:?}"),
            })
            .collect();
        assert_eq!(read, [("start", hex(record)), ("frames", Bytes::from_static(&[0, 0, 0, 1, 0x65]))], "{codec:?}");
        assert_eq!(tags[1].timestamp_ms, 21);
    }
}

#[test]
fn every_sequence_can_be_ended() {
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
        let mut muxer = Muxer::new();
        push(&mut muxer, &unit(&config(codec), 500, 500, true));
        push(&mut muxer, &unit(&config(Codec::Opus), 500, 500, true));
        let mut tags = Vec::new();
        muxer.end(Media::from_millis(700), |tag| tags.push(tag));
        assert_eq!(tags.iter().map(|t| t.timestamp_ms).collect::<Vec<_>>(), [200, 200]);
        match video(&tags[0]).header.data {
            VideoTagHeaderData::Legacy(header) => {
                assert!(matches!(
                    header,
                    LegacyVideoTagHeader::AvcPacket(LegacyVideoTagHeaderAvcPacket::EndOfSequence)
                ));
            }
            VideoTagHeaderData::Enhanced(_) => assert_eq!(enhanced(&tags[0]).1, VideoPacket::SequenceEnd),
        }
        assert_eq!(tags[1].head.as_slice(), b"\x92Opus");
    }
}

#[test]
fn a_stream_begins_at_zero_with_its_first_keyframe() {
    let (avc, aac) = (config(Codec::H264), config(Codec::Aac));
    let mut muxer = Muxer::new();
    assert_eq!(push(&mut muxer, &unit(&aac, 40_000, 40_000, true)), [], "sound before the picture");
    assert_eq!(push(&mut muxer, &unit(&avc, 40_010, 40_010, false)), [], "a picture nobody can decode");
    assert_eq!(push(&mut muxer, &unit(&avc, 40_043, 40_043, true))[1].timestamp_ms, 0);
    assert_eq!(push(&mut muxer, &unit(&aac, 40_021, 40_021, true)), [], "sound that belongs before the first picture");
    assert_eq!(push(&mut muxer, &unit(&aac, 40_064, 40_064, true))[1].timestamp_ms, 21);
}

#[test]
fn a_changed_configuration_is_sent_before_its_keyframe_and_nothing_undecodable_before_it() {
    let (one, same) = (config(Codec::H264), config(Codec::H264));
    let two = Arc::new(CodecConfig { record: hex(&AVCC.replace("68ebccb22c", "68ebccb22d")), ..(*one).clone() });
    let mut muxer = Muxer::new();
    push(&mut muxer, &unit(&one, 0, 0, true));
    assert_eq!(push(&mut muxer, &unit(&same, 33, 33, true)).len(), 1, "an equal configuration is not repeated");
    assert_eq!(muxer.push(&unit(&two, 67, 67, false), |_| panic!("sent")), Taken::Undecodable);
    let tags = push(&mut muxer, &unit(&two, 100, 100, true));
    assert_eq!((tags.len(), tags[0].timestamp_ms, tags[0].body.clone()), (2, 100, two.record.clone()));
}

#[test]
fn timestamps_go_on_through_the_24_bit_and_32_bit_limits() {
    let avc = config(Codec::H264);
    let mut muxer = Muxer::new();
    push(&mut muxer, &unit(&avc, 5000, 5000, true));
    for (ms, wire) in [(0xFF_FFFF, 0xFF_FFFF), (0x100_0000, 0x100_0000), (0xFFFF_FFFF, u32::MAX), (0x1_0000_0000, 0)] {
        assert_eq!(push(&mut muxer, &unit(&avc, 5000 + ms, 5000 + ms, false))[0].timestamp_ms, wire);
    }
}

#[test]
fn the_payload_is_shared_not_copied() {
    let unit = unit(&config(Codec::Av1), 0, 0, true);
    let tags = push(&mut Muxer::new(), &unit);
    assert_eq!(tags[1].body.as_ptr(), unit.payload.as_ptr());
    assert_eq!(tags[0].body.as_ptr(), unit.config.record.as_ptr());
}

#[test]
fn metadata_names_codecs_as_enhanced_rtmp_does() {
    let facts = |video, audio| StreamFacts {
        video,
        video_format: VideoFormat { width: 1280, height: 720, rate: FrameRate { num: 30_000, den: 1001 } },
        video_bitrate: 4_500_000,
        audio,
        audio_format: AudioFormat { rate: 48_000, channels: 2, samples: 1024 },
        audio_bitrate: 128_000,
    };
    let id = |facts: &StreamFacts, name: &str| facts.metadata().into_iter().find(|f| f.0 == name).unwrap().1;
    let legacy = facts(Codec::H264, Codec::Aac);
    assert_eq!(id(&legacy, "videocodecid"), Fact::Number(7.0));
    assert_eq!(id(&legacy, "audiocodecid"), Fact::Number(10.0));
    assert_eq!(id(&legacy, "videodatarate"), Fact::Number(4500.0));
    assert_eq!(id(&facts(Codec::Hevc, Codec::Aac), "videocodecid"), Fact::Number(1_752_589_105.0));
    assert_eq!(id(&facts(Codec::Av1, Codec::Opus), "videocodecid"), Fact::Number(1_635_135_537.0));
    assert_eq!(id(&facts(Codec::Av1, Codec::Opus), "audiocodecid"), Fact::Number(1_332_770_163.0));
}
