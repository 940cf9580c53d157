//! Every decoder configuration record and every bitstream header that a muxer reads; and the still that is made of both.
#![no_main]

use bytes::Bytes;
use holdfast::model::{Codec, CodecConfig, FrameRate, TrackFormat, VideoFormat};
use holdfast::mux::aac::{AudioSpecificConfig, strip_adts};
use holdfast::mux::nal::{Framing, ranges};
use holdfast::mux::opus::{OpusHead, packet_samples};
use holdfast::mux::still::Stills;
use holdfast::mux::{av1, avc, hevc};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&which, data)) = data.split_first() else { return };
    match which % 13 {
        0 => {
            let _ = avc::parse_sps(data);
            let _ = avc::reordering(data);
        }
        1 => drop(avc::parse_pps_id(data)),
        2 => {
            if let Ok((_, sets)) = avc::parse_avcc(data) {
                let _ = avc::build_avcc(&sets);
            }
        }
        3 => {
            let _ = hevc::parse_sps(data);
            if let Ok((_, shown)) = hevc::parse_usability(data) {
                assert_eq!(hevc::reordering(data), Ok(shown.reordered));
            }
        }
        4 => drop(hevc::parse_set_id(data)),
        5 => {
            if let Ok((_, sets)) = hevc::parse_hvcc(data) {
                let _ = hevc::build_hvcc(&sets);
            }
        }
        6 => {
            let _ = av1::parse_sequence_header(data);
            let _ = av1::build_av1c(data);
        }
        7 => drop(av1::parse_av1c(data)),
        8 => {
            let _ = av1::split(&Bytes::copy_from_slice(data));
            assert!(av1::obus(data).count() <= data.len());
        }
        9 => {
            if let Ok(parsed) = AudioSpecificConfig::parse(data) {
                let _ = parsed.build();
            }
            let _ = strip_adts(&Bytes::copy_from_slice(data));
        }
        10 => {
            let _ = OpusHead::parse(data).map(OpusHead::build);
            let _ = packet_samples(data);
        }
        11 => {
            for framing in [Framing::AnnexB, Framing::Lengths(1), Framing::Lengths(2), Framing::Lengths(4)] {
                let mut end = 0;
                for range in ranges(data, framing).map_while(Result::ok) {
                    assert!(range.start >= end && range.end <= data.len(), "{range:?} of {} bytes", data.len());
                    end = range.end;
                }
            }
        }
        _ => {
            // Of each codec. The record behind its own length, then the picture.
            let codec = [Codec::H264, Codec::Hevc, Codec::Av1][usize::from(which / 13 % 3)];
            let Some((&length, data)) = data.split_first() else { return };
            let (record, picture) = data.split_at(usize::from(length).min(data.len()));
            let format = TrackFormat::Video(VideoFormat { width: 320, height: 180, rate: FrameRate::whole(30) });
            let record = Bytes::copy_from_slice(record);
            let config = CodecConfig { codec, record, format, bitrate: 0 };
            if let Ok(mut stills) = Stills::after(&config, picture) {
                let still = stills.next_unit();
                let after = Stills::after(&config, &still);
                if codec == Codec::Av1 {
                    assert!(after.is_err(), "what shows a frame is no frame");
                } else {
                    assert_eq!(after.expect("a still can be repeated").next_unit(), stills.next_unit());
                }
            }
        }
    }
});
