//! Small real streams for tests: eight frames of a test card at 80x50 and 30 fps with a keyframe every four, and seven
//! units of a 440 Hz tone, from x264, x265, libaom and FFmpeg's AAC encoder.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use bytes::Bytes;

use super::canonical::{Canonical, Canonicaliser};
use super::nal::{self, Framing};
use super::{av1, avc, hevc};
use crate::model::{
    AccessUnit, AudioFormat, AudioGrid, Codec, CodecConfig, FrameRate, InputId, Media, RenditionId, Track, TrackFormat,
    VideoFormat, VideoGrid,
};

pub(crate) const VIDEO: TrackFormat =
    TrackFormat::Video(VideoFormat { width: 80, height: 50, rate: FrameRate { num: 30, den: 1 } });
pub(crate) const AUDIO: TrackFormat = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 });

/// The encoder's buffers, one access unit each: Annex B, OBUs, ADTS frames or Opus packets.
pub(crate) fn buffers(codec: Codec) -> Vec<Bytes> {
    match codec {
        Codec::H264 => {
            let data = include_bytes!("../../tests/fixtures/mux/testcard-80x50.h264");
            annex_b(data, |nal| avc::is_picture(avc::unit_type(nal[0])).then(|| nal[1] & 0x80 != 0))
        }
        Codec::Hevc => {
            let data = include_bytes!("../../tests/fixtures/mux/testcard-80x50.h265");
            annex_b(data, |nal| hevc::is_picture(hevc::unit_type(nal[0])).then(|| nal[2] & 0x80 != 0))
        }
        Codec::Av1 => {
            let data = Bytes::from_static(include_bytes!("../../tests/fixtures/mux/testcard-80x50.obu"));
            let mut starts: Vec<usize> = av1::obus(&data)
                .map(Result::unwrap)
                .filter(|obu| obu.obu_type == 2)
                .map(|obu| obu.whole.start)
                .collect();
            starts.push(data.len());
            starts.windows(2).map(|w| data.slice(w[0]..w[1])).collect()
        }
        Codec::Aac => {
            let mut data = Bytes::from_static(include_bytes!("../../tests/fixtures/mux/tone.adts"));
            let mut frames = Vec::new();
            while data.len() > 6 {
                let length = usize::from(data[3] & 3) << 11 | usize::from(data[4]) << 3 | usize::from(data[5]) >> 5;
                frames.push(data.split_to(length));
            }
            frames
        }
        // 20 ms of silence, CELT fullband.
        Codec::Opus => vec![Bytes::from_static(&[0xfc, 0xff, 0xfe]); 6],
    }
}

/// Cuts an Annex B stream into access units. `first_slice` tells for a slice whether it begins a picture.
fn annex_b(data: &'static [u8], first_slice: impl Fn(&[u8]) -> Option<bool>) -> Vec<Bytes> {
    let (mut units, mut start, mut end, mut has_picture) = (Vec::new(), 0, 0, false);
    for range in nal::ranges(data, Framing::AnnexB) {
        let range = range.unwrap();
        let slice = first_slice(&data[range.clone()]);
        if has_picture && slice != Some(false) {
            units.push(Bytes::from_static(&data[start..end]));
            (start, has_picture) = (end, false);
        }
        has_picture |= slice.is_some();
        end = range.end;
    }
    units.push(Bytes::from_static(&data[start..]));
    units
}

/// The same in canonical form.
pub(crate) fn canonical(codec: Codec) -> Vec<Canonical> {
    let mut shape = Canonicaliser::new(codec, if codec.is_video() { VIDEO } else { AUDIO }, 60_000);
    buffers(codec).into_iter().map(|unit| shape.push(unit).unwrap()).collect()
}

/// `seconds` of a programme from `start` on: the fixture's frames over and over, interleaved by time.
pub(crate) fn programme(video: Codec, audio: Codec, start: Media, seconds: i64) -> Vec<Arc<AccessUnit>> {
    let grid = VideoGrid(FrameRate::whole(30));
    let sound = if audio == Codec::Opus { AudioGrid::OPUS } else { AudioGrid::AAC };
    let (pictures, packets) = (canonical(video), canonical(audio));
    let end = start + Media::from_millis(1000 * seconds);
    let mut units = Vec::new();
    for (track, source) in [(Track::Video, &pictures), (Track::Audio, &packets)] {
        let time_of = |n: i64| if track == Track::Video { grid.time_of(n) } else { sound.time_of(n) };
        let first = if track == Track::Video { grid.nearest(start) } else { sound.nearest(start) };
        for (unit, n) in source.iter().cycle().zip(first..).take_while(|(_, n)| time_of(*n) < end) {
            units.push(Arc::new(AccessUnit {
                input: InputId::new("pattern").unwrap(),
                rendition: RenditionId::new("main").unwrap(),
                track,
                pts: time_of(n),
                dts: time_of(n),
                key: unit.key,
                config: unit.config.clone(),
                payload: unit.payload.clone(),
            }));
        }
    }
    units.sort_by_key(|unit| (unit.dts, unit.track));
    units
}

/// What real encoders say of 80x50 at 30 fps, hexadecimal: parameter set NAL units of H.264 and HEVC, and the payload of AV1's
/// sequence header OBU. x264, x265 4, SVT-AV1 4 and libaom 3, as FFmpeg 9 drives them.
pub(crate) mod said {
    /// x264 without B pictures, in BT.709.
    pub(crate) const X264: &[&str] = &["6764000aacb4293f1180b501010140000003004000000f03c489a8", "68ef0fcb"];
    /// With them.
    pub(crate) const X264_REORDERED: &[&str] =
        &["6764000aacd94527e23016a0202028000003000800000301e078912cb0", "68ef8fcb"];
    /// 80x64.
    pub(crate) const X264_INTERLACED: &[&str] = &["67640015ace854d80b50101014000003000400000300f07c50aa80", "68fe0fcb"];
    pub(crate) const X264_10_BITS: &[&str] = &["676e000aa6cb4293f1180880000003008000001e07891350", "68ef0fcb"];
    /// With pixels of 12:11.
    pub(crate) const X264_OBLONG: &[&str] = &["6764000aacb4293f11813501010140000003004000000f03c489a8", "68ef0fcb"];

    const X265_VPS: &str = "40010c01ffff01600000030090000003000003001eba0240";
    const X265_PPS: &str = "4401c073c189";
    /// x265 without B pictures, in BT.709.
    pub(crate) const X265: &[&str] = &[
        X265_VPS,
        "42010101600000030090000003000003001ea0288107c465ba4a4c2f016a02020208000003000800000300f040",
        X265_PPS,
    ];
    /// With them.
    pub(crate) const X265_REORDERED: &[&str] = &[
        "40010c01ffff01600000030090000003000003001e959809",
        "42010101600000030090000003000003001ea0288107c46595992930bc05a808080820000003002000000303c1",
        X265_PPS,
    ];
    /// Main 10 in BT.2020 with PQ, the usual scaling lists, and the parameters of a hypothetical decoder.
    pub(crate) const X265_HDR: &[&str] = &[
        "40010c01ffff02200000030090000003000003003c928090",
        "42010102200000030090000003000003003ca028839f236592ae4e5780b5091009040000030004000003007980325978007a10001e8488",
        "4401c173d189",
    ];
    pub(crate) const X265_422: &[&str] = &[
        "40010c01ffff0408000003009d0800000300001e928090",
        "4201010408000003009d0800000300001eb028839f3b6592ae4caf016808000003000800000300f040",
        "4401c173d189",
    ];
    /// Each picture is a field, with pixels of 5:6 in full range.
    pub(crate) const X265_FIELDS: &[&str] = &[
        "40010c01ffff01600000030040000003000003001eba0240",
        "42010101600000030040000003000003001ea0288107c465ba4a4c2fff000500066c68000003000800000300f040",
        X265_PPS,
    ];

    /// SVT-AV1 with low delay, in BT.709.
    pub(crate) const SVT: &[&str] = &["020000049967e2257c8808080820"];
    /// With frames that look ahead.
    pub(crate) const SVT_AHEAD: &[&str] = &["020000051967e2257c8808080820"];
    /// libaom in BT.709.
    pub(crate) const AOM: &[&str] = &["000000032cfc4daf9101010104"];
    /// 10 bits in BT.2020 with PQ and full range.
    pub(crate) const AOM_HDR: &[&str] = &["000000032cfc4daf9509100984"];
    pub(crate) const AOM_444: &[&str] = &["200000032cfc4daf9020"];
    pub(crate) const AOM_RGB: &[&str] = &["200000032cfc4daf92021a0040"];
    pub(crate) const AOM_MONO: &[&str] = &["000000032cfc4daf92a0"];
}

/// Bytes of their hexadecimal digits.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// What a stream of `codec` is described by that begins with `said`.
pub(crate) fn described(codec: Codec, said: &[&str]) -> CodecConfig {
    let mut sets = nal::ParameterSets::default();
    let record = match codec {
        Codec::H264 => {
            for unit in said.iter().map(|hex| bytes(hex)) {
                sets.insert(avc::unit_type(unit[0]), 0, &unit).unwrap();
            }
            avc::build_avcc(&sets).unwrap().0
        }
        Codec::Hevc => {
            for unit in said.iter().map(|hex| bytes(hex)) {
                sets.insert(hevc::unit_type(unit[0]), 0, &unit).unwrap();
            }
            hevc::build_hvcc(&sets).unwrap().0
        }
        Codec::Av1 => av1::build_av1c(&bytes(said[0])).unwrap().0,
        Codec::Aac | Codec::Opus => panic!("a sound"),
    };
    CodecConfig { codec, record, format: VIDEO, bitrate: 0 }
}
