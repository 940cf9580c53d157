//! Packets of sound: a PES packet holds one or many, and with ADTS one may begin in a PES packet and end in the next.

use bytes::{Buf, Bytes, BytesMut};

use super::Piece;
use crate::model::Media;
use crate::mux::MuxError;
use crate::mux::aac::{adts_length, strip_adts};
use crate::mux::error::field;
use crate::mux::opus::packet_samples;

const NANOS: i64 = 1_000_000_000;
/// Bytes; what is left of a frame that is not whole is shorter.
const LONGEST_FRAME: usize = 8191;

/// ADTS frames across PES packets.
#[derive(Debug, Default)]
pub(in crate::mux::ts) struct Adts {
    held: BytesMut,
    /// When the frame in `held` belongs.
    next: Option<Media>,
}

impl Adts {
    pub(super) fn reset(&mut self) {
        self.held.clear();
        self.next = None;
    }

    /// Passes on each whole frame and when it belongs: the first that begins in `piece` at its time stamp, the others
    /// as many samples later as were between.
    pub(super) fn push(&mut self, piece: &Piece, mut each: impl FnMut(Result<Bytes, MuxError>, Media)) {
        let carried = self.held.len();
        let mut time = self.next.filter(|_| carried > 0).unwrap_or(piece.pts);
        self.held.extend_from_slice(&piece.payload);
        let mut data = std::mem::take(&mut self.held).freeze();
        let whole = data.len();
        let mut stamped = carried == 0;
        while !data.is_empty() {
            if !stamped && whole - data.len() >= carried {
                (time, stamped) = (piece.pts, true);
            }
            let Some(length) = adts_length(&data) else {
                if !could_be_header(&data) {
                    let skip = next_sync(&data);
                    each(Err(field("ADTS frame", "syncword", u64::from(data[0]))), time);
                    data.advance(skip);
                    continue;
                }
                break;
            };
            if length > data.len() {
                break;
            }
            let frame = data.split_to(length);
            let length = strip_adts(&frame).map(|(config, _)| duration(config.samples, config.rate));
            let at = time;
            time = time + *length.as_ref().unwrap_or(&Media::ZERO);
            each(length.map(|_| frame), at);
        }
        self.next = Some(time);
        self.held = data.slice(..data.len().min(LONGEST_FRAME)).into();
    }
}

/// Whether a header may begin here that is not all there yet.
fn could_be_header(data: &[u8]) -> bool {
    match data {
        [0xff] => true,
        [0xff, flags, rest @ ..] => flags & 0xf6 == 0xf0 && rest.len() < 5,
        _ => false,
    }
}

/// Bytes to the next place where a header may begin; at least 1.
fn next_sync(data: &[u8]) -> usize {
    let rest = data.get(1..).unwrap_or_default();
    let found = (0..rest.len())
        .find(|at| rest.get(*at..).is_some_and(|rest| adts_length(rest).is_some() || could_be_header(rest)));
    1 + found.unwrap_or(rest.len())
}

fn duration(samples: u32, rate: u32) -> Media {
    Media(i64::from(samples) * NANOS / i64::from(rate.max(1)))
}

/// Passes on each Opus packet and when it belongs. Trims are skipped over: streams are joined in the middle anyway.
pub(super) fn control_headers(piece: &Piece, mut each: impl FnMut(Result<Bytes, MuxError>, Media)) {
    let (mut data, mut time) = (piece.payload.clone(), piece.pts);
    while !data.is_empty() {
        let packet = match control_header(&data) {
            Ok((header, length)) => data.split_to(header + length).split_off(header),
            Err(error) => return each(Err(error), time),
        };
        let at = time;
        if let Ok(samples) = packet_samples(&packet) {
            time = time + duration(samples, 48_000);
        }
        each(Ok(packet), at);
    }
}

/// Bytes of the control header and of the packet after it, both within `data`.
fn control_header(data: &[u8]) -> Result<(usize, usize), MuxError> {
    const WHAT: &str = "Opus control header";
    let truncated = MuxError::Truncated { what: WHAT, at: data.len() };
    let Some((&[a, b], rest)) = data.split_first_chunk::<2>() else { return Err(truncated) };
    let prefix = u16::from_be_bytes([a, b]);
    if prefix >> 5 != 0x3ff {
        return Err(field(WHAT, "control_header_prefix", prefix >> 5));
    }
    let mut length = 0;
    let mut at = 2;
    for byte in rest {
        length += usize::from(*byte);
        at += 1;
        if *byte != 255 {
            break;
        }
    }
    at += if b & 0x10 != 0 { 2 } else { 0 } + if b & 0x08 != 0 { 2 } else { 0 };
    if b & 0x04 != 0 {
        at += 1 + usize::from(*data.get(at).ok_or_else(|| truncated.clone())?);
    }
    if at == 2 || length == 0 || at + length > data.len() {
        return Err(truncated);
    }
    Ok((at, length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::Codec;
    use crate::mux::fixtures::buffers;

    /// The fixture in PES packets of `size` bytes, each stamped with the first frame that begins in it.
    fn pieces(size: usize) -> Vec<Piece> {
        let frames = buffers(Codec::Aac);
        let all: Bytes = frames.iter().flat_map(|frame| frame.iter().copied()).collect();
        let mut begins = Vec::new();
        let mut at = 0;
        for (n, frame) in (0i64..).zip(&frames) {
            begins.push((at, Media(n * 1024 * NANOS / 48_000)));
            at += frame.len();
        }
        (0..all.len())
            .step_by(size)
            .map(|from| {
                let pts = begins.iter().find(|(at, _)| *at >= from).map_or(Media(-1), |found| found.1);
                Piece { pts, dts: pts, payload: all.slice(from..(from + size).min(all.len())) }
            })
            .collect()
    }

    #[test]
    fn frames_come_out_whole_and_in_time_however_they_lie_in_pes_packets() {
        let frames = buffers(Codec::Aac);
        for size in [1, 6, 7, 100, 371, 1000, 100_000] {
            let (mut adts, mut found) = (Adts::default(), Vec::new());
            for piece in pieces(size) {
                adts.push(&piece, |frame, at| found.push((frame.unwrap(), at)));
            }
            assert_eq!(found.iter().map(|f| f.0.clone()).collect::<Vec<_>>(), frames, "in packets of {size}");
            for (n, (_, at)) in (0i64..).zip(&found) {
                assert!((at.0 - n * 1024 * NANOS / 48_000).abs() < 10, "frame {n} of packets of {size} at {at:?}");
            }
        }
    }

    #[test]
    fn a_frame_goes_by_the_stamp_of_the_pes_packet_it_begins_in() {
        let frames = buffers(Codec::Aac);
        let (a, b) = frames[1].split_at(50);
        let piece =
            |ms, payload: Vec<u8>| Piece { pts: Media::from_millis(ms), dts: Media::ZERO, payload: payload.into() };
        let (mut adts, mut found) = (Adts::default(), Vec::new());
        for piece in [piece(0, [&frames[0][..], a].concat()), piece(500, [b, &frames[2]].concat())] {
            adts.push(&piece, |frame, at| found.push((frame.unwrap(), at.0 / 1_000_000)));
        }
        let times: Vec<i64> = found.iter().map(|frame| frame.1).collect();
        assert_eq!(times, [0, 21, 500]);
    }

    #[test]
    fn garbage_between_frames_is_told_and_skipped() {
        let frames = buffers(Codec::Aac);
        let payload: Bytes = [&frames[0][..], &[1, 0xff, 2, 3], &frames[1]].concat().into();
        let (mut good, mut bad) = (0, 0);
        Adts::default().push(&Piece { pts: Media::ZERO, dts: Media::ZERO, payload }, |frame, _| match frame {
            Ok(_) => good += 1,
            Err(_) => bad += 1,
        });
        assert_eq!((good, bad), (2, 1));
    }

    #[test]
    fn trims_and_extensions_of_the_control_header_are_skipped() {
        let payload = Bytes::from_static(&[
            0x7f, 0xfc, 3, 0, 10, 0, 20, 2, 9, 9, 0xfc, 0xff, 0xfe, 0x7f, 0xe0, 3, 0xfc, 0xff, 0xfd,
        ]);
        let mut found = Vec::new();
        control_headers(&Piece { pts: Media::ZERO, dts: Media::ZERO, payload }, |packet, at| {
            found.push((packet.unwrap().to_vec(), at));
        });
        assert_eq!(found, [(vec![0xfc, 0xff, 0xfe], Media(0)), (vec![0xfc, 0xff, 0xfd], Media(20_000_000))]);
    }

    proptest! {
        #[test]
        fn any_pieces_are_taken_and_little_is_held(payloads: Vec<Vec<u8>>, like_adts: bool) {
            let mut adts = Adts::default();
            for mut payload in payloads {
                if let (true, [a, b, ..]) = (like_adts, &mut payload[..]) {
                    (*a, *b) = (0xff, 0xf1);
                }
                let piece = Piece { pts: Media::ZERO, dts: Media::ZERO, payload: payload.into() };
                adts.push(&piece, |_, _| {});
                prop_assert!(adts.held.len() <= LONGEST_FRAME);
                control_headers(&piece, |_, _| {});
            }
        }
    }
}
