//! An encoder that delivers anything, through the canonical form into FLV tags and an MP4 file that must read back.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use holdfast::model::{
    AccessUnit, AudioFormat, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat, Wall,
};
use holdfast::mux::canonical::Canonicaliser;
use holdfast::mux::flv;
use holdfast::mux::fmp4::{Fmp4, scan};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let [which, with_record, data @ ..] = data else { return };
    let codec = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Aac, Codec::Opus][usize::from(which % 5)];
    let format = if codec.is_video() {
        TrackFormat::Video(VideoFormat { width: 320, height: 180, rate: FrameRate::whole(30) })
    } else {
        TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 })
    };
    let mut canonical = Canonicaliser::new(codec, format, 1_000_000);
    // Buffers are cut at their own length bytes.
    let mut rest = data;
    let mut next = || -> Option<&[u8]> {
        let [high, low, after @ ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (piece, after) = after.split_at(length);
        rest = after;
        Some(piece)
    };
    if with_record & 1 == 1
        && let Some(record) = next()
    {
        let _ = canonical.set_codec_data(record);
    }
    let mut muxer = flv::Muxer::new();
    let mut recording: Option<Fmp4> = None;
    let mut file = Vec::new();
    let mut pushed = 0;
    let mut at = Media::ZERO;
    while let Some(buffer) = next() {
        at = at + Media::from_millis(33);
        let Ok(unit) = canonical.push(Bytes::copy_from_slice(buffer)) else { continue };
        let unit = Arc::new(AccessUnit {
            input: InputId::new("camera").expect("a name"),
            rendition: RenditionId::new("main").expect("a name"),
            track: if codec.is_video() { Track::Video } else { Track::Audio },
            pts: at,
            dts: at,
            key: unit.key,
            config: unit.config,
            payload: unit.payload,
        });
        muxer.push(&unit, |tag| assert!(tag.head.as_slice().len() < 32));
        match &mut recording {
            Some(mp4) => match mp4.push(unit) {
                Ok(Some(fragment)) => {
                    pushed += 1;
                    fragment.parts.iter().for_each(|part| file.extend_from_slice(part));
                }
                Ok(None) => pushed += 1,
                Err(_) => {}
            },
            None => {
                if let Ok(mp4) = Fmp4::begin(unit, Wall(0)) {
                    recording = Some(mp4);
                    pushed = 1;
                }
            }
        }
    }
    if let Some(mp4) = recording {
        mp4.finish().tail.parts.iter().for_each(|part| file.extend_from_slice(part));
        let read = scan(&file).expect("our own file");
        assert_eq!(read.tracks.iter().map(|t| t.samples.len()).sum::<usize>(), pushed);
    }
});
