//! AV1 (AV1 Bitstream & Decoding Process): what a muxer must read of it, and its configuration record (AV1 in ISOBMFF
//! §2.3). Streams in the low-overhead format (§5.2), one temporal unit a buffer.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::MuxError;
use super::error::field;

mod sequence;

pub(super) use sequence::{Model, Tools, parse_tools};
pub use sequence::{SequenceHeader, parse_sequence_header};

pub(super) const SEQUENCE_HEADER: u8 = 1;
pub(super) const TEMPORAL_DELIMITER: u8 = 2;
pub(super) const FRAME_HEADER: u8 = 3;
pub(super) const FRAME: u8 = 6;
const PADDING: u8 = 15;

/// One open bitstream unit within a buffer (§5.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obu {
    /// `obu_type`, 0–15.
    pub obu_type: u8,
    /// The whole unit: header, size field and payload.
    pub whole: Range<usize>,
    /// The payload.
    pub payload: Range<usize>,
    /// `obu_has_size_field`.
    pub has_size: bool,
}

/// The OBUs of `data`, in order. After an error the iterator ends.
pub fn obus(data: &[u8]) -> Obus<'_> {
    Obus { data, at: 0 }
}

/// See [`obus`].
#[derive(Debug)]
pub struct Obus<'a> {
    data: &'a [u8],
    at: usize,
}

impl Iterator for Obus<'_> {
    type Item = Result<Obu, MuxError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let &header = self.data.get(start)?;
        let obu = self.read(start, header);
        self.at = obu.as_ref().map_or(self.data.len(), |obu| obu.whole.end);
        Some(obu)
    }
}

impl Obus<'_> {
    fn read(&self, start: usize, header: u8) -> Result<Obu, MuxError> {
        const WHAT: &str = "AV1 OBU";
        if header & 0x80 != 0 {
            return Err(field(WHAT, "obu_forbidden_bit", 1u8));
        }
        let has_size = header & 2 != 0;
        let truncated = MuxError::Truncated { what: WHAT, at: start };
        let mut body = start + 1 + usize::from(header >> 2 & 1);
        let end = if has_size {
            let (length, bytes) = leb128(self.data.get(body..).unwrap_or_default()).ok_or_else(|| truncated.clone())?;
            body += bytes;
            body.checked_add(length)
        } else {
            Some(self.data.len())
        };
        match end {
            Some(end) if body <= end && end <= self.data.len() => {
                Ok(Obu { obu_type: header >> 3 & 15, whole: start..end, payload: body..end, has_size })
            }
            _ => Err(truncated),
        }
    }
}

/// `leb128()` (§4.10.5) of at most 32 bits: value and length.
fn leb128(data: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0u64;
    for (i, byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return u32::try_from(value).ok().map(|v| (v as usize, i + 1));
        }
    }
    None
}

pub(super) fn put_leb128(out: &mut BytesMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// Builds `AV1CodecConfigurationRecord` from the payload of a sequence header OBU.
///
/// # Errors
/// As [`parse_sequence_header`].
pub fn build_av1c(payload: &[u8]) -> Result<(Bytes, SequenceHeader), MuxError> {
    let seq = parse_sequence_header(payload)?;
    let mut out = BytesMut::with_capacity(payload.len() + 8);
    out.put_u8(0x81);
    out.put_u8(seq.profile << 5 | seq.level);
    let (x, y) = seq.subsampling;
    let flags = [seq.high_tier, seq.bits > 8, seq.bits > 10, seq.mono, x, y];
    out.put_u8(flags.iter().fold(0, |byte, flag| byte << 1 | u8::from(*flag)) << 2 | seq.chroma_position);
    out.put_u8(0); // no initial_presentation_delay
    out.put_u8(SEQUENCE_HEADER << 3 | 2);
    put_leb128(&mut out, payload.len());
    out.put_slice(payload);
    Ok((out.freeze(), seq))
}

/// The payload of the sequence header OBU in `AV1CodecConfigurationRecord`; `None` if it holds none.
///
/// # Errors
/// Truncated data, another version, or malformed OBUs.
pub fn parse_av1c(record: &[u8]) -> Result<Option<&[u8]>, MuxError> {
    const WHAT: &str = "av1C";
    let Some((&[version, ..], rest)) = record.split_first_chunk::<4>() else {
        return Err(MuxError::Truncated { what: WHAT, at: record.len() });
    };
    if version != 0x81 {
        return Err(field(WHAT, "marker and version", version));
    }
    for obu in obus(rest) {
        let obu = obu?;
        if obu.obu_type == SEQUENCE_HEADER {
            return Ok(rest.get(obu.payload));
        }
    }
    Ok(None)
}

/// A temporal unit as it is carried outside a bare stream, see [`split`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemporalUnit {
    /// Its OBUs with size fields, without temporal delimiters and padding.
    pub payload: Bytes,
    /// The payload of the sequence header OBU in it.
    pub sequence_header: Option<Bytes>,
    /// The first frame is a shown key frame.
    pub key: bool,
    /// Whether any frame is in it.
    pub has_frame: bool,
}

/// Takes a temporal unit apart. The payload shares `data`'s bytes where only a prefix or suffix is left out and every
/// OBU has its size field, as encoders usually write them.
///
/// # Errors
/// Malformed OBUs.
pub fn split(data: &Bytes) -> Result<TemporalUnit, MuxError> {
    let mut unit = TemporalUnit { payload: Bytes::new(), sequence_header: None, key: false, has_frame: false };
    let mut kept: Vec<Obu> = Vec::new();
    let mut still = false;
    for obu in obus(data) {
        let obu = obu?;
        let payload = data.get(obu.payload.clone()).unwrap_or_default();
        match obu.obu_type {
            TEMPORAL_DELIMITER | PADDING => continue,
            SEQUENCE_HEADER => {
                // reduced_still_picture_header
                still = payload.first().is_some_and(|b| b & 0x08 != 0);
                unit.sequence_header = Some(data.slice(obu.payload.clone()));
            }
            FRAME | FRAME_HEADER if !unit.has_frame => {
                unit.has_frame = true;
                // show_existing_frame 0, frame_type KEY_FRAME, show_frame 1 (§5.9.2)
                unit.key = still || payload.first().is_some_and(|b| b & 0xf0 == 0x10);
            }
            _ => {}
        }
        kept.push(obu);
    }
    let whole = kept.iter().all(|obu| obu.has_size) && kept.windows(2).all(|w| w[0].whole.end == w[1].whole.start);
    unit.payload = match (whole, kept.first(), kept.last()) {
        (true, Some(first), Some(last)) => data.slice(first.whole.start..last.whole.end),
        _ => rewrite(data, &kept),
    };
    Ok(unit)
}

fn rewrite(data: &[u8], kept: &[Obu]) -> Bytes {
    let mut out = BytesMut::with_capacity(kept.iter().map(|obu| obu.whole.len() + 8).sum());
    for obu in kept {
        put_with_size(&mut out, data, obu);
    }
    out.freeze()
}

/// Appends an OBU of `data`, with a size field even if it has none there.
pub(super) fn put_with_size(out: &mut BytesMut, data: &[u8], obu: &Obu) {
    let Some((header, after)) = data.get(obu.whole.clone()).and_then(<[u8]>::split_first) else { return };
    out.put_u8(header | 2);
    if header & 4 != 0 {
        out.put_slice(after.get(..1).unwrap_or_default());
    }
    put_leb128(out, obu.payload.len());
    out.put_slice(data.get(obu.payload.clone()).unwrap_or_default());
}

/// Whether an OBU begins a frame that is shown (§5.9.2): each temporal unit has one, and ends with it.
pub(super) fn is_shown_frame(obu_type: u8, payload: &[u8]) -> bool {
    // show_existing_frame, or show_frame after it and two bits of frame_type.
    matches!(obu_type, FRAME | FRAME_HEADER) && payload.first().is_some_and(|b| b & 0x90 != 0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::Codec;
    use crate::mux::fixtures;

    #[test]
    fn libaoms_sequence_header_is_read() {
        let unit = split(&fixtures::buffers(Codec::Av1)[0]).unwrap();
        let seq = parse_sequence_header(&unit.sequence_header.unwrap()).unwrap();
        assert_eq!((seq.width, seq.height, seq.bits, seq.profile), (80, 50, 8, 0));
        assert_eq!((seq.mono, seq.subsampling, seq.still), (false, (true, true), false));
    }

    #[test]
    fn a_temporal_unit_loses_its_delimiter_without_a_copy() {
        let buffer = fixtures::buffers(Codec::Av1).swap_remove(0);
        let unit = split(&buffer).unwrap();
        assert!(unit.key && unit.has_frame);
        assert_eq!(unit.payload.as_ptr(), buffer[2..].as_ptr());
        assert!(obus(&unit.payload).flatten().all(|obu| obu.has_size && obu.obu_type != TEMPORAL_DELIMITER));
    }

    #[test]
    fn a_last_obu_without_a_size_field_gets_one() {
        // Delimiter; an empty metadata OBU with an extension; a frame that runs to the end of the buffer.
        let buffer = Bytes::from_static(&[0x12, 0, 0x2e, 0x08, 0, 0x30, 0x10, 7, 7]);
        let unit = split(&buffer).unwrap();
        assert_eq!(&unit.payload[..], [0x2e, 0x08, 0, 0x32, 3, 0x10, 7, 7]);
        assert!(unit.key);
    }

    #[test]
    fn a_record_gives_back_the_sequence_header_it_was_built_from() {
        let header = split(&fixtures::buffers(Codec::Av1)[0]).unwrap().sequence_header.unwrap();
        let (record, _) = build_av1c(&header).unwrap();
        assert_eq!(parse_av1c(&record), Ok(Some(&header[..])));
    }

    #[test]
    fn sizes_beyond_the_buffer_or_32_bits_are_refused() {
        assert!(split(&Bytes::from_static(&[0x32, 5, 0])).is_err());
        assert!(split(&Bytes::from_static(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])).is_err());
        assert!(split(&Bytes::from_static(&[0x32, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])).is_err());
        assert!(split(&Bytes::from_static(&[0x36])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>) {
            let _ = parse_sequence_header(&data);
            let _ = parse_av1c(&data);
            let length = data.len();
            if let Ok(unit) = split(&data.into()) {
                // Each OBU takes at least a byte and gains at most a size field.
                prop_assert!(unit.payload.len() <= 8 + 9 * length);
                prop_assert!(obus(&unit.payload).all(|obu| obu.is_ok()));
            }
        }
    }
}
