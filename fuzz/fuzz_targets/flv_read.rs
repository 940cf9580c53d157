//! A publisher's tags, whatever is in them: read or left out, held no longer than four pictures, and the same however often.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::model::{InputId, RenditionId};
use holdfast::mux::flv::TagKind;
use holdfast::mux::flv::read::{Announced, Output, Reader, Source, rate_of};
use libfuzzer_sys::fuzz_target;

/// Kind, time stamp, time that passes before it (tens of milliseconds), length.
const HEAD: usize = 8;

fn read(mut data: &[u8], began: Instant) -> Vec<String> {
    let source = Source {
        input: InputId::new("phone").expect("a name"),
        rendition: RenditionId::new("main").expect("a name"),
    };
    let (mut reader, mut now, mut told) = (Reader::new(source), began, Vec::new());
    let (mut pushed, mut units) = (0, 0);
    while let Some((&[kind, t3, t2, t1, t0, wait, high, low], rest)) = data.split_first_chunk::<HEAD>() {
        let (body, rest) = rest.split_at(rest.len().min(usize::from(u16::from_be_bytes([high, low]))));
        now += Duration::from_millis(10 * u64::from(wait));
        let kind = match kind {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            said => {
                reader.announce(Announced { rate: rate_of(f64::from(said)), video_bitrate: 1, audio_bitrate: 1 });
                TagKind::Data
            }
        };
        let stamp = u32::from_be_bytes([t3, t2, t1, t0]);
        pushed += 1;
        reader.push(kind, stamp, Bytes::copy_from_slice(body), now, |output| {
            if let Output::Unit(unit) = &output {
                assert!(!unit.payload.is_empty(), "a unit without anything in it");
                // What is in it came with it: no more than a length field for each byte.
                assert!(unit.payload.len() <= 8 + 9 * usize::from(u16::MAX));
                units += 1;
            }
            told.push(format!("{output:?}"));
        });
        data = rest;
    }
    reader.flush(|output| {
        units += usize::from(matches!(output, Output::Unit(_)));
        told.push(format!("{output:?}"));
    });
    assert!(units <= pushed, "more units than tags");
    told
}

fuzz_target!(|data: &[u8]| {
    let began = Instant::now();
    assert_eq!(read(data, began), read(data, began));
});
