//! Small real streams for tests: eight frames of a test card at 80x50 and 30 fps with a keyframe every four, and seven
//! units of a 440 Hz tone, from x264, x265, libaom and FFmpeg's AAC encoder.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::Arc;

use bytes::Bytes;

use super::canonical::{Canonical, Canonicaliser};
use super::nal::{self, Framing};
use super::{av1, avc, hevc};
use crate::model::{
    AccessUnit, AudioFormat, AudioGrid, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat,
    VideoGrid,
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
