// Any instant does to begin with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::needless_borrowed_reference
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;

use super::*;
use crate::model::CodecConfig;
use crate::mux::fixtures::{self, canonical, programme};
use crate::mux::flv::{Muxer, Tag as Written};
use crate::mux::nal::{self, Framing};

fn source() -> Source {
    Source { input: InputId::new("phone").unwrap(), rendition: RenditionId::new("main").unwrap() }
}

/// A reader, and the time at which tags come to it.
struct Far {
    reader: Reader,
    now: Instant,
    out: Vec<Output>,
}

impl Far {
    fn new() -> Self {
        Self { reader: Reader::new(source()), now: crate::clock::now(), out: Vec::new() }
    }

    fn push(&mut self, kind: TagKind, ms: u32, body: impl Into<Bytes>) {
        let out = &mut self.out;
        self.reader.push(kind, ms, body.into(), self.now, |output| out.push(output));
    }

    fn written(&mut self, tag: &Written, from: u32) {
        let body = [tag.head.as_slice(), &tag.body].concat();
        self.push(tag.kind, tag.timestamp_ms.wrapping_add(from), body);
    }

    fn units(&self) -> Vec<&AccessUnit> {
        let unit = |output| if let &Output::Unit(ref unit) = output { Some(unit) } else { None };
        self.out.iter().filter_map(unit).collect()
    }

    fn left_out(&self) -> Vec<LeftOut> {
        let left = |output: &_| if let Output::LeftOut(why) = output { Some(why.clone()) } else { None };
        self.out.iter().filter_map(left).collect()
    }

    fn time_bases(&self) -> usize {
        self.out.iter().filter(|output| matches!(output, Output::TimeBase)).count()
    }
}

/// What our own muxer makes of a programme is read back as what it was.
fn round_trip(video: Codec, audio_codec: Codec, from: u32) {
    let units = programme(video, audio_codec, Media::ZERO, 3);
    let (mut muxer, mut far, mut sent) = (Muxer::new(), Far::new(), Vec::new());
    let began = far.now;
    for unit in &units {
        far.now = began + unit.dts.to_duration();
        let mut tags = Vec::new();
        muxer.push(unit, |tag| tags.push(tag));
        if !tags.is_empty() {
            sent.push(unit.clone());
        }
        tags.iter().for_each(|tag| far.written(tag, from));
    }
    assert_eq!((far.left_out(), far.time_bases()), (vec![], 0), "{video:?} {audio_codec:?}");
    for track in [Track::Video, Track::Audio] {
        let sent: Vec<_> = sent.iter().filter(|unit| unit.track == track).collect();
        let got: Vec<_> = far.units().into_iter().filter(|unit| unit.track == track).collect();
        assert_eq!(got.len(), sent.len());
        assert!(got.len() > 80);
        for (got, sent) in got.iter().zip(&sent) {
            assert_eq!((&got.payload, got.key), (&sent.payload, sent.key));
            let off = got.dts - sent.dts - Media::from_millis(from.into());
            assert!(off.0.abs() <= 500_000, "{} ns", off.0);
            assert_eq!(got.pts, got.dts);
            // The fixture says of Opus what it says of AAC; a packet says itself how long it is.
            let format = match sent.config.format {
                TrackFormat::Audio(audio) if audio_codec == Codec::Opus => {
                    TrackFormat::Audio(AudioFormat { samples: 960, ..audio })
                }
                format => format,
            };
            let config = CodecConfig { bitrate: 0, format, ..(*sent.config).clone() };
            assert_eq!(*got.config, config);
        }
        assert!(got.windows(2).all(|pair| Arc::ptr_eq(&pair[0].config, &pair[1].config)));
    }
}

#[test]
fn what_is_written_is_read_back_for_every_codec() {
    for (video, audio) in [(Codec::H264, Codec::Aac), (Codec::Hevc, Codec::Opus), (Codec::Av1, Codec::Opus)] {
        round_trip(video, audio, 0);
    }
}

#[test]
fn times_go_on_over_the_wrap_of_32_bits() {
    round_trip(Codec::H264, Codec::Aac, u32::MAX - 1500);
}

/// A keyframe's record and payload with lengths of `size` bytes.
fn with_lengths(size: u8) -> (Bytes, Vec<Bytes>) {
    let units = canonical(Codec::H264);
    let mut record = units[0].config.record.to_vec();
    record[4] = record[4] & !3 | (size - 1);
    let reframed = units.iter().map(|unit| {
        let mut out = BytesMut::new();
        for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
            let range = range.unwrap();
            out.put_uint(range.len() as u64, size.into());
            out.put_slice(&unit.payload[range]);
        }
        out.freeze()
    });
    (record.into(), reframed.collect())
}

#[test]
fn lengths_of_two_bytes_become_four() {
    let (record, units) = with_lengths(2);
    let mut far = Far::new();
    far.push(TagKind::Video, 0, [b"\x17\0\0\0\0", &record[..]].concat());
    for (n, unit) in (0u32..).zip(&units) {
        far.push(TagKind::Video, 33 * n, [b"\x27\x01\0\0\0", &unit[..]].concat());
    }
    let got: Vec<_> = far.units().iter().map(|unit| unit.payload.clone()).collect();
    assert_eq!(got, canonical(Codec::H264).into_iter().map(|unit| unit.payload).collect::<Vec<_>>());
    assert_eq!(far.units()[0].config.record, canonical(Codec::H264)[0].config.record);
}

#[test]
fn parameter_sets_and_delimiters_in_the_stream_are_taken_out_of_it() {
    let units = canonical(Codec::H264);
    let record = &units[0].config.record;
    let (_, sets) = crate::mux::avc::parse_avcc(record).unwrap();
    let mut far = Far::new();
    far.push(TagKind::Video, 0, [b"\x17\0\0\0\0", &record[..]].concat());
    for (n, unit) in (0u32..).zip(&units) {
        let mut body = BytesMut::from(&b"\x17\x01\0\0\0\0\0\0\x02\x09\xf0"[..]);
        for set in sets.of(7).chain(sets.of(8)) {
            body.put_u32(set.len() as u32);
            body.put_slice(set);
        }
        body.put_slice(&unit.payload);
        far.push(TagKind::Video, 40 * n, body.freeze());
    }
    assert_eq!(far.units().len(), units.len());
    assert!(far.units().iter().zip(&units).all(|(got, unit)| got.payload == unit.payload && got.key == unit.key));
    assert!(matches!(far.units()[0].config.format, TrackFormat::Video(f) if f.rate == FrameRate::whole(25)));
}

#[test]
fn a_composition_offset_is_added_to_the_time_of_decoding() {
    let unit = &canonical(Codec::H264)[0];
    let mut far = Far::new();
    far.push(TagKind::Video, 0, [b"\x17\0\0\0\0", &unit.config.record[..]].concat());
    for (n, offset) in [b"\0\0\x43", b"\0\0\x85", b"\0\0\0", b"\xff\xff\xdf"].iter().enumerate() {
        far.push(TagKind::Video, 33 * n as u32, [b"\x17\x01", &offset[..], &unit.payload[..]].concat());
    }
    let times: Vec<_> = far.units().iter().map(|unit| (unit.dts.0 / 1_000_000, unit.pts.0 / 1_000_000)).collect();
    assert_eq!(times, [(0, 67), (33, 166), (66, 66), (99, 66)]);
}

/// The fixture's pictures at these times, in milliseconds.
fn pictures(far: &mut Far, times: &[u32]) {
    let units = canonical(Codec::H264);
    far.push(TagKind::Video, times[0], [b"\x17\0\0\0\0", &units[0].config.record[..]].concat());
    for (unit, ms) in units.iter().cycle().zip(times) {
        far.push(TagKind::Video, *ms, [b"\x27\x01\0\0\0", &unit.payload[..]].concat());
    }
}

#[test]
fn pictures_wait_for_their_rate_and_no_longer() {
    let mut far = Far::new();
    pictures(&mut far, &[0, 20, 40]);
    assert!(far.units().is_empty());
    let out = &mut far.out;
    far.reader.flush(|output| out.push(output));
    assert_eq!(far.units().len(), 3);
    assert!(matches!(far.units()[0].config.format, TrackFormat::Video(f) if f.rate == FrameRate::whole(50)));
}

#[test]
fn what_the_publisher_says_of_itself_is_in_the_configuration() {
    let mut far = Far::new();
    far.reader.announce(Announced { rate: rate_of(29.97), video_bitrate: 2_500_000, audio_bitrate: 96_000 });
    pictures(&mut far, &[0, 33, 67, 100]);
    far.push(TagKind::Audio, 0, &b"\xaf\x00\x11\x90"[..]);
    far.push(TagKind::Audio, 0, &b"\xaf\x01\x21\x10"[..]);
    let configs: Vec<_> = far.units().iter().map(|unit| unit.config.clone()).collect();
    let format = VideoFormat { width: 80, height: 50, rate: FrameRate { num: 30_000, den: 1001 } };
    assert_eq!((configs[0].format, configs[0].bitrate), (TrackFormat::Video(format), 2_500_000));
    assert_eq!((configs[4].format, configs[4].bitrate), (fixtures::AUDIO, 96_000));
}

#[test]
fn a_clock_that_starts_again_is_said_before_the_first_picture_on_it() {
    let mut far = Far::new();
    pictures(&mut far, &[1000, 1033, 1067, 1100, 0, 33]);
    let bases: Vec<_> = far.out.iter().map(|output| matches!(output, Output::TimeBase)).collect();
    assert_eq!(bases, [false, false, false, false, true, false, false]);
    assert_eq!(far.units()[4].dts, Media::ZERO);
}

#[test]
fn a_clock_that_starts_again_at_once_costs_no_picture_and_the_rate_is_found_after_it() {
    let mut far = Far::new();
    // A first picture at zero, the others on another clock.
    pictures(&mut far, &[0, 900_000, 900_020, 900_040, 900_060, 900_080]);
    assert_eq!((far.units().len(), far.time_bases()), (6, 1));
    let rates: Vec<_> = far.units().iter().map(|unit| unit.config.format).collect();
    assert!(matches!(rates[5], TrackFormat::Video(f) if f.rate == FrameRate::whole(50)), "{rates:?}");
    let payloads: Vec<_> = canonical(Codec::H264).into_iter().map(|unit| unit.payload).collect();
    assert!(far.units().iter().zip(&payloads).all(|(got, payload)| got.payload == *payload));
}

#[test]
fn a_repeated_configuration_is_the_same_and_another_one_is_another() {
    let mut far = Far::new();
    pictures(&mut far, &[0, 33, 67, 100]);
    pictures(&mut far, &[133, 167]);
    assert!(Arc::ptr_eq(&far.units()[0].config, &far.units()[5].config));
    let hevc = canonical(Codec::Hevc);
    far.push(TagKind::Video, 200, [b"\x90hvc1", &hevc[0].config.record[..]].concat());
    for n in 0..4 {
        far.push(TagKind::Video, 200 + 33 * n, [b"\x93hvc1", &hevc[0].payload[..]].concat());
    }
    assert_eq!(far.units()[6].config.codec, Codec::Hevc);
    assert_eq!((far.left_out(), far.time_bases()), (vec![], 0));
}

#[test]
fn what_cannot_be_used_is_said_and_what_comes_after_it_is_used() {
    let mut far = Far::new();
    far.push(TagKind::Audio, 0, &b"\xaf\x01\x21\x10"[..]);
    far.push(TagKind::Audio, 0, &b"\x2f\xff\xfb"[..]);
    far.push(TagKind::Audio, 0, &b"\xaf\x00\x11\x90"[..]);
    far.push(TagKind::Audio, 0, &b"\xaf\x01"[..]);
    far.push(TagKind::Audio, 21, &b"\xaf\x01\x21\x10"[..]);
    let mp3 = LeftOut::Codec(Foreign::Number(Track::Audio, 2));
    assert_eq!(far.left_out(), [LeftOut::Undecodable(Codec::Aac), mp3, LeftOut::Empty(Codec::Aac)]);
    assert_eq!(far.units().len(), 1);
    // A picture whose lengths go beyond its end, among good ones.
    pictures(&mut far, &[0, 33, 67, 100]);
    far.push(TagKind::Video, 133, &b"\x27\x01\0\0\0\0\0\xff\xff\x41"[..]);
    far.push(TagKind::Video, 167, [b"\x27\x01\0\0\0", &canonical(Codec::H264)[0].payload[..]].concat());
    assert!(matches!(far.left_out()[3], LeftOut::Malformed(Track::Video, MuxError::Truncated { .. })));
    assert_eq!(far.units().len(), 6);
}

#[test]
fn a_record_that_does_not_parse_takes_no_picture_with_it_but_its_own() {
    let mut far = Far::new();
    far.push(TagKind::Video, 0, &b"\x17\0\0\0\0\x09"[..]);
    for n in 0..4 {
        far.push(TagKind::Video, 33 * n, &b"\x27\x01\0\0\0\0\0\0\x01\x41"[..]);
    }
    assert_eq!(far.left_out().len(), 4);
    pictures(&mut far, &[133, 167]);
    assert_eq!(far.units().len(), 2);
}

proptest! {
    #[test]
    fn any_tags_are_read_or_left_out(
        tags in prop::collection::vec(
            (any::<bool>(), any::<u32>(), prop::sample::select(&[0x17u8, 0x27, 0xaf, 0x91, 0x93, 0x96, 0x97][..]),
             prop::collection::vec(any::<u8>(), 0..60), 0u64..5000), 0..40),
    ) {
        let mut far = Far::new();
        for (is_video, ms, first, body, wait) in tags {
            far.now += Duration::from_millis(wait);
            far.push(if is_video { TagKind::Video } else { TagKind::Audio }, ms, [vec![first], body].concat());
            prop_assert!(far.reader.picture.as_ref().is_none_or(|picture| picture.waiting.len() < pace::LOOK_AT));
        }
        let out = &mut far.out;
        far.reader.flush(|output| out.push(output));
    }

    #[test]
    fn a_damaged_real_stream_is_read_or_left_out(at: usize, to: u8, cut: usize, which in 0usize..3) {
        let (video, audio) = [(Codec::H264, Codec::Aac), (Codec::Hevc, Codec::Opus), (Codec::Av1, Codec::Opus)][which];
        let (mut muxer, mut far) = (Muxer::new(), Far::new());
        for unit in programme(video, audio, Media::ZERO, 1) {
            muxer.push(&unit, |tag| {
                let mut body = [tag.head.as_slice(), &tag.body].concat();
                let (at, cut) = (at % body.len(), cut % (2 * body.len()));
                body[at] = to;
                body.truncate(cut);
                far.push(tag.kind, tag.timestamp_ms, body);
            });
        }
    }
}
