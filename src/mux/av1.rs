//! AV1 (AV1 Bitstream & Decoding Process): what a muxer must read of it, and its configuration record (AV1 in ISOBMFF
//! §2.3). Streams in the low-overhead format (§5.2), one temporal unit a buffer.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::MuxError;
use super::bits::Bits;
use super::error::field;
use super::vui::Colour;

pub(super) const SEQUENCE_HEADER: u8 = 1;
pub(super) const TEMPORAL_DELIMITER: u8 = 2;
const FRAME_HEADER: u8 = 3;
const FRAME: u8 = 6;
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

fn put_leb128(out: &mut BytesMut, mut value: usize) {
    while value > 0x7f {
        out.put_u8(value as u8 | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

/// What a muxer wants from a sequence header (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`, 0–2.
    pub profile: u8,
    /// `seq_level_idx[0]`, 0–31.
    pub level: u8,
    /// `seq_tier[0]`.
    pub high_tier: bool,
    /// 8, 10 or 12.
    pub bits: u8,
    /// `mono_chrome`.
    pub mono: bool,
    /// `subsampling_x` and `subsampling_y`.
    pub subsampling: (bool, bool),
    /// `chroma_sample_position`, 0–3.
    pub chroma_position: u8,
    /// `reduced_still_picture_header`: every frame is a key frame.
    pub still: bool,
    /// What its colours mean.
    pub colour: Colour,
    /// Frames of one time that are shown over one another, the last in full (`operating_point_idc`): 1–4. One, where nothing is
    /// said.
    pub spatial_layers: u8,
    /// `max_frame_width_minus_1` + 1, pixels.
    pub width: u32,
    /// `max_frame_height_minus_1` + 1, pixels.
    pub height: u32,
}

/// Parses the payload of a sequence header OBU.
///
/// # Errors
/// Truncated data or reserved values.
pub fn parse_sequence_header(payload: &[u8]) -> Result<SequenceHeader, MuxError> {
    const WHAT: &str = "AV1 sequence header";
    let mut bits = Bits::plain(WHAT, payload);
    let profile = bits.u(3)? as u8;
    if profile > 2 {
        return Err(field(WHAT, "seq_profile", profile));
    }
    bits.skip(1)?; // still_picture
    let still = bits.flag()?;
    let points = if still { Points { level: bits.u(5)? as u8, ..Points::default() } } else { points(&mut bits)? };
    let width_bits = bits.u(4)? + 1;
    let height_bits = bits.u(4)? + 1;
    let width = bits.u(width_bits)? + 1;
    let height = bits.u(height_bits)? + 1;
    if !still && bits.flag()? {
        bits.skip(4 + 3)?; // lengths of frame ids
    }
    bits.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !still {
        inter_tools(&mut bits)?;
    }
    bits.skip(3)?; // enable_superres, enable_cdef, enable_restoration
    let format = color_config(&mut bits, profile)?;
    Ok(SequenceHeader {
        profile,
        level: points.level,
        high_tier: points.high_tier,
        bits: format.bits,
        mono: format.mono,
        subsampling: format.subsampling,
        chroma_position: format.position,
        still,
        colour: format.colour,
        spatial_layers: points.spatial_layers.max(1),
        width,
        height,
    })
}

/// Level and tier of the first operating point, and the layers of the largest.
#[derive(Clone, Copy, Default)]
struct Points {
    level: u8,
    high_tier: bool,
    spatial_layers: u8,
}

/// `timing_info` to the end of the operating points.
fn points(bits: &mut Bits<'_>) -> Result<Points, MuxError> {
    let (mut delay_bits, mut spatial_layers) = (None, 0);
    if bits.flag()? {
        bits.skip(32 + 32)?; // num_units_in_display_tick, time_scale
        if bits.flag()? {
            bits.ue("num_ticks_per_picture_minus_1")?;
        }
        if bits.flag()? {
            delay_bits = Some(bits.u(5)? + 1);
            bits.skip(32 + 5 + 5)?; // rest of decoder_model_info
        }
    }
    let display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.u(5)? {
        let idc = bits.u(12)?; // a bit for each spatial layer, and eight for temporal ones
        spatial_layers = spatial_layers.max((idc >> 8).count_ones() as u8);
        let level = bits.u(5)? as u8;
        let high_tier = level > 7 && bits.flag()?;
        if let Some(n) = delay_bits
            && bits.flag()?
        {
            bits.skip(n + n + 1)?; // operating_parameters_info
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        first.get_or_insert((level, high_tier));
    }
    let (level, high_tier) = first.unwrap_or_default();
    Ok(Points { level, high_tier, spatial_layers })
}

fn inter_tools(bits: &mut Bits<'_>) -> Result<(), MuxError> {
    bits.skip(4)?; // interintra, masked compound, warped motion, dual filter
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
    }
    let screen_content = bits.flag()? || bits.flag()?; // chosen per frame, or forced to this
    if screen_content && !bits.flag()? {
        bits.skip(1)?; // seq_force_integer_mv
    }
    if order_hint {
        bits.skip(3)?; // order_hint_bits_minus_1
    }
    Ok(())
}

struct Format {
    bits: u8,
    mono: bool,
    subsampling: (bool, bool),
    position: u8,
    colour: Colour,
}

/// `color_config` (§5.5.2).
fn color_config(bits: &mut Bits<'_>, profile: u8) -> Result<Format, MuxError> {
    /// BT.709 primaries, sRGB transfer, identity matrix: RGB, which is always in full range and 4:4:4.
    const RGB: Colour = Colour { full_range: true, primaries: 1, transfer: 13, matrix: 0 };
    let high = bits.flag()?;
    let depth = match (high, profile) {
        (true, 2) if bits.flag()? => 12,
        (true, _) => 10,
        (false, _) => 8,
    };
    let mono = profile != 1 && bits.flag()?;
    let mut colour = Colour::default();
    if bits.flag()? {
        (colour.primaries, colour.transfer, colour.matrix) = (bits.u8()?, bits.u8()?, bits.u8()?);
    }
    let is_rgb = !mono && Colour { full_range: true, ..colour } == RGB;
    colour.full_range = is_rgb || bits.flag()?; // color_range
    let mut format = Format { bits: depth, mono, subsampling: (true, true), position: 0, colour };
    if mono {
        return Ok(format);
    }
    format.subsampling = match (profile, depth) {
        _ if is_rgb => (false, false),
        (0, _) => (true, true),
        (1, _) => (false, false),
        (_, 12) => {
            let x = bits.flag()?;
            (x, x && bits.flag()?)
        }
        _ => (true, false),
    };
    if format.subsampling == (true, true) {
        format.position = bits.u(2)? as u8;
    }
    Ok(format)
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
