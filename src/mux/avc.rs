//! H.264 (ITU-T H.264): what a muxer must read of it, and its configuration record (ISO/IEC 14496-15 §5.3.3).

use bytes::Bytes;

use super::MuxError;
use super::bits::Bits;
use super::error::field;
use super::nal::{Framing, ParameterSets};
use super::vui::{self, Colour, Pixels, Scan};

/// `nal_unit_type` of a sequence parameter set.
pub const SPS: u8 = 7;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 8;
const IDR: u8 = 5;
const AUD: u8 = 9;
const FILLER: u8 = 12;
const WHAT_SPS: &str = "H.264 SPS";

/// `nal_unit_type` (§7.3.1) from a unit's first byte.
pub const fn unit_type(first: u8) -> u8 {
    first & 0x1f
}

/// A picture a decoder can start at.
pub const fn is_key(unit_type: u8) -> bool {
    unit_type == IDR
}

/// A coded slice: part of a picture.
pub const fn is_picture(unit_type: u8) -> bool {
    1 <= unit_type && unit_type <= IDR
}

/// Carried in the configuration record or meaningless outside Annex B.
pub const fn is_stripped(unit_type: u8) -> bool {
    matches!(unit_type, SPS | PPS | AUD | FILLER)
}

/// What a muxer wants from a sequence parameter set (§7.3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `seq_parameter_set_id`, 0–31.
    pub id: u8,
    /// `profile_idc`.
    pub profile: u8,
    /// The constraint flags and reserved bits after it.
    pub compatibility: u8,
    /// `level_idc`, ten times the level.
    pub level: u8,
    /// `chroma_format_idc`: 0 mono, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Bits per luma sample, 8–14.
    pub luma_bits: u8,
    /// Bits per chroma sample, 8–14.
    pub chroma_bits: u8,
    /// Pixels across after cropping, 1–16384.
    pub width: u32,
    /// Pixels down after cropping, 1–16384.
    pub height: u32,
    /// Interlaced unless all its pictures are whole frames (`frame_mbs_only_flag`).
    pub scan: Scan,
    /// Of `vui_parameters`, as are the colours.
    pub pixels: Pixels,
    /// What its colours mean.
    pub colour: Colour,
}

/// What slices take from a sequence parameter set (§7.4.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slicing {
    /// Bits of `frame_num`, 4–16.
    pub frame_num_bits: u32,
    /// How slices tell when their picture is shown.
    pub order: Order,
    /// `max_num_ref_frames`.
    pub references: u32,
    /// `gaps_in_frame_num_value_allowed_flag`.
    pub gaps: bool,
    /// Macroblocks across.
    pub columns: u64,
    /// Macroblocks down; of a field, unless there are none.
    pub rows: u64,
    /// `frame_mbs_only_flag`: there are no fields.
    pub progressive: bool,
    /// `separate_colour_plane_flag`.
    pub planes_apart: bool,
}

/// `pic_order_cnt_type` (§8.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// 0: each slice says it in so many bits, 4–16.
    Told(u32),
    /// 1: as a cycle in the sequence parameter set says.
    Cycle,
    /// 2: pictures are shown as they are decoded.
    AsDecoded,
}

/// A sequence parameter set NAL unit with what slices take from it, but without its colours.
pub(super) fn parse_slicing(unit: &[u8]) -> Result<(Sps, Slicing), MuxError> {
    sps_before_vui(&mut Bits::rbsp(WHAT_SPS, unit))
}

/// Parses a sequence parameter set NAL unit, its header byte included.
///
/// # Errors
/// Truncated data, values outside the specification's ranges, or a picture above 16384 pixels a side.
pub fn parse_sps(unit: &[u8]) -> Result<Sps, MuxError> {
    let mut bits = Bits::rbsp(WHAT_SPS, unit);
    let (sps, _) = sps_before_vui(&mut bits)?;
    // Usability information that breaks off says nothing; the picture is decoded without it.
    let is_said = bits.flag().unwrap_or_default();
    let (pixels, colour) = if is_said { vui::head(&mut bits).unwrap_or_default() } else { Default::default() };
    Ok(Sps { pixels, colour, ..sps })
}

/// How many pictures at most are decoded before one that is shown earlier (`max_num_reorder_frames`, §E.2.1). `None` if
/// the sequence parameter set does not say.
///
/// # Errors
/// As [`parse_sps`].
pub fn reordering(unit: &[u8]) -> Result<Option<u8>, MuxError> {
    /// `profile_idc` without B slices (§A.2.1).
    const BASELINE: u8 = 66;
    let mut bits = Bits::rbsp(WHAT_SPS, unit);
    let (sps, slicing) = sps_before_vui(&mut bits)?;
    if slicing.order == Order::AsDecoded || sps.profile == BASELINE {
        return Ok(Some(0));
    }
    if !bits.flag()? {
        return Ok(None);
    }
    vui::head(&mut bits)?;
    vui::skip_chroma_location(&mut bits)?;
    if bits.flag()? {
        bits.skip(65)?; // timing
    }
    let nal = skip_hrd(&mut bits)?;
    let vcl = skip_hrd(&mut bits)?;
    if nal || vcl {
        bits.skip(1)?; // low_delay_hrd_flag
    }
    bits.skip(1)?; // pic_struct_present_flag
    if !bits.flag()? {
        return Ok(None);
    }
    bits.skip(1)?; // motion_vectors_over_pic_boundaries_flag
    for skipped in ["max_bytes_per_pic_denom", "max_bits_per_mb_denom", "log2_max_mv_length", "log2_max_mv_length"] {
        bits.ue(skipped)?;
    }
    Ok(Some(bits.ue_at_most("max_num_reorder_frames", 16)? as u8))
}

/// The sequence parameter set; leaves `bits` before `vui_parameters_present_flag`.
fn sps_before_vui(bits: &mut Bits<'_>) -> Result<(Sps, Slicing), MuxError> {
    const WHAT: &str = WHAT_SPS;
    let unit_type = unit_type(bits.u8()?);
    if unit_type != SPS {
        return Err(field(WHAT, "nal_unit_type", unit_type));
    }
    let profile = bits.u8()?;
    let compatibility = bits.u8()?;
    let level = bits.u8()?;
    let id = bits.ue_at_most("seq_parameter_set_id", 31)? as u8;
    let (mut chroma, mut luma_bits, mut chroma_bits, mut planes_apart) = (1, 8, 8, false);
    if has_chroma_fields(profile) {
        chroma = bits.ue_at_most("chroma_format_idc", 3)? as u8;
        planes_apart = chroma == 3 && bits.flag()?;
        luma_bits = bits.ue_at_most("bit_depth_luma_minus8", 6)? as u8 + 8;
        chroma_bits = bits.ue_at_most("bit_depth_chroma_minus8", 6)? as u8 + 8;
        bits.skip(1)?; // qpprime_y_zero_transform_bypass_flag
        if bits.flag()? {
            for list in 0..if chroma == 3 { 12 } else { 8 } {
                if bits.flag()? {
                    skip_scaling_list(bits, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    let frame_num_bits = bits.ue_at_most("log2_max_frame_num_minus4", 12)? + 4;
    let order = match bits.ue_at_most("pic_order_cnt_type", 2)? {
        0 => Order::Told(bits.ue_at_most("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4),
        1 => {
            bits.skip(1)?; // delta_pic_order_always_zero_flag
            bits.se("offset_for_non_ref_pic")?;
            bits.se("offset_for_top_to_bottom_field")?;
            for _ in 0..bits.ue_at_most("num_ref_frames_in_pic_order_cnt_cycle", 255)? {
                bits.se("offset_for_ref_frame")?;
            }
            Order::Cycle
        }
        _ => Order::AsDecoded,
    };
    let references = bits.ue("max_num_ref_frames")?;
    let gaps = bits.flag()?;
    let columns = u64::from(bits.ue("pic_width_in_mbs_minus1")?) + 1;
    let rows = u64::from(bits.ue("pic_height_in_map_units_minus1")?) + 1;
    let progressive = bits.flag()?;
    if !progressive {
        bits.skip(1)?; // mb_adaptive_frame_field_flag
    }
    bits.skip(1)?; // direct_8x8_inference_flag
    let fields = if progressive { 1 } else { 2 };
    let (unit_x, unit_y) = if planes_apart { (1, 1) } else { chroma_scale(chroma) };
    let window = crop_window(bits)?;
    let width = window.across(columns * 16, unit_x, WHAT)?;
    let height = window.down(rows * 16 * fields, unit_y * fields, WHAT)?;
    let scan = if progressive { Scan::Progressive } else { Scan::Interlaced };
    let (pixels, colour) = (Pixels::default(), Colour::default());
    let sps =
        Sps { id, profile, compatibility, level, chroma, luma_bits, chroma_bits, width, height, scan, pixels, colour };
    Ok((sps, Slicing { frame_num_bits, order, references, gaps, columns, rows, progressive, planes_apart }))
}

/// `pic_parameter_set_id` of a picture parameter set NAL unit, 0–255 (§7.3.2.2).
///
/// # Errors
/// Truncated data or an id above 255.
pub fn parse_pps_id(unit: &[u8]) -> Result<u8, MuxError> {
    let mut bits = Bits::rbsp("H.264 PPS", unit);
    bits.skip(8)?;
    Ok(bits.ue_at_most("pic_parameter_set_id", 255)? as u8)
}

/// Builds `AVCDecoderConfigurationRecord` for 4-byte lengths.
///
/// # Errors
/// No SPS or no PPS, an SPS that does not parse, or more and larger sets than the record can hold.
pub fn build_avcc(sets: &ParameterSets) -> Result<(Bytes, Sps), MuxError> {
    let (Some(first), Some(_)) = (sets.of(SPS).next(), sets.of(PPS).next()) else {
        return Err(MuxError::NoConfiguration { codec: crate::model::Codec::H264 });
    };
    let sps = parse_sps(first)?;
    let mut out = vec![1, sps.profile, sps.compatibility, sps.level, 0xfc | 3];
    for (kind, max, reserved) in [(SPS, 31, 0xe0), (PPS, 255, 0)] {
        let count = sets.of(kind).count();
        if count > max {
            return Err(MuxError::TooLarge { what: "the list of H.264 parameter sets", length: count, max });
        }
        out.push(reserved | count as u8);
        for unit in sets.of(kind) {
            put_unit(&mut out, unit);
        }
    }
    if matches!(sps.profile, 100 | 110 | 122 | 144) {
        out.extend_from_slice(&[0xfc | sps.chroma, 0xf8 | (sps.luma_bits - 8), 0xf8 | (sps.chroma_bits - 8), 0]);
    }
    Ok((out.into(), sps))
}

/// Reads `AVCDecoderConfigurationRecord`: how the units are framed, and the parameter sets.
///
/// # Errors
/// Truncated data, another version, or parameter sets that do not parse.
pub fn parse_avcc(record: &[u8]) -> Result<(Framing, ParameterSets), MuxError> {
    const WHAT: &str = "avcC";
    let truncated = MuxError::Truncated { what: WHAT, at: record.len() };
    let &[version, _, _, _, sizes, sps_count, ..] = record else { return Err(truncated) };
    if version != 1 {
        return Err(field(WHAT, "configurationVersion", version));
    }
    let mut sets = ParameterSets::default();
    let mut rest = record.get(6..).unwrap_or_default();
    for _ in 0..sps_count & 0x1f {
        let unit = take_unit(&mut rest).ok_or_else(|| truncated.clone())?;
        sets.insert(SPS, parse_sps(unit)?.id, unit)?;
    }
    let (&pps_count, mut rest) = rest.split_first().ok_or_else(|| truncated.clone())?;
    for _ in 0..pps_count {
        let unit = take_unit(&mut rest).ok_or_else(|| truncated.clone())?;
        sets.insert(PPS, parse_pps_id(unit)?, unit)?;
    }
    Ok((Framing::from_length_size_minus_one(WHAT, sizes & 3)?, sets))
}

/// Profiles whose SPS carries `chroma_format_idc` (§7.3.2.1.1).
const fn has_chroma_fields(profile: u8) -> bool {
    matches!(profile, 100 | 110 | 122 | 244 | 44 | 83 | 86 | 118 | 128 | 138 | 139 | 134 | 135)
}

/// `nal_hrd_parameters_present_flag` or `vcl_hrd_parameters_present_flag`, and the parameters if they are there (§E.1.2).
fn skip_hrd(bits: &mut Bits<'_>) -> Result<bool, MuxError> {
    let present = bits.flag()?;
    if present {
        let count = bits.ue_at_most("cpb_cnt_minus1", 31)? + 1;
        bits.skip(8)?; // scales
        for _ in 0..count {
            bits.ue("bit_rate_value_minus1")?;
            bits.ue("cpb_size_value_minus1")?;
            bits.skip(1)?; // cbr_flag
        }
        bits.skip(20)?; // lengths of delays
    }
    Ok(present)
}

fn skip_scaling_list(bits: &mut Bits<'_>, size: u32) -> Result<(), MuxError> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..size {
        if next != 0 {
            next = (last + bits.se("delta_scale")?).rem_euclid(256);
        }
        last = if next == 0 { last } else { next };
    }
    Ok(())
}

/// `SubWidthC` and `SubHeightC` (H.264 table 6-1, H.265 table 6-1); 1 for monochrome.
pub(super) const fn chroma_scale(chroma: u8) -> (u64, u64) {
    match chroma {
        1 => (2, 2),
        2 => (2, 1),
        _ => (1, 1),
    }
}

/// What is cut off a decoded picture, in crop units.
pub(super) struct Window([u64; 4]);

/// `frame_cropping_flag` or `conformance_window_flag` with the four offsets that may follow.
pub(super) fn crop_window(bits: &mut Bits<'_>) -> Result<Window, MuxError> {
    let mut offsets = [0u64; 4];
    if bits.flag()? {
        for offset in &mut offsets {
            *offset = bits.ue("crop offset")?.into();
        }
    }
    Ok(Window(offsets))
}

impl Window {
    pub(super) fn across(&self, coded: u64, unit: u64, what: &'static str) -> Result<u32, MuxError> {
        cropped(coded, (self.0[0] + self.0[1]) * unit).ok_or_else(|| field(what, "picture width", coded))
    }

    pub(super) fn down(&self, coded: u64, unit: u64, what: &'static str) -> Result<u32, MuxError> {
        cropped(coded, (self.0[2] + self.0[3]) * unit).ok_or_else(|| field(what, "picture height", coded))
    }
}

fn cropped(coded: u64, cut: u64) -> Option<u32> {
    let left = coded.checked_sub(cut)?;
    (1..=16_384).contains(&left).then_some(left as u32)
}

/// A unit after its 16-bit length; [`ParameterSets`] holds none that is longer.
pub(super) fn put_unit(out: &mut Vec<u8>, unit: &[u8]) {
    out.extend_from_slice(&(unit.len() as u16).to_be_bytes());
    out.extend_from_slice(unit);
}

/// Takes a unit after its 16-bit length.
pub(super) fn take_unit<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<2>()?;
    let (unit, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
    *rest = tail;
    Some(unit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::Codec;
    use crate::mux::{fixtures, nal};

    fn real_sps() -> Bytes {
        let unit = fixtures::buffers(Codec::H264).swap_remove(0);
        let sps = nal::ranges(&unit, Framing::AnnexB).flatten().find(|r| unit_type(unit[r.start]) == SPS).unwrap();
        unit.slice(sps)
    }

    #[test]
    fn x264s_parameters_are_read_with_the_cropping_that_makes_50_lines_of_4_macroblocks() {
        let sps = parse_sps(&real_sps()).unwrap();
        assert_eq!((sps.width, sps.height), (80, 50));
        assert_eq!((sps.id, sps.chroma, sps.luma_bits, sps.chroma_bits), (0, 1, 8, 8));
        assert_eq!(sps.colour, Colour { full_range: false, primaries: 6, transfer: 6, matrix: 6 }, "SMPTE 170M");
        assert_eq!((sps.scan, sps.pixels), (Scan::Progressive, Pixels::Square));
    }

    #[test]
    fn how_far_pictures_are_reordered_is_read_from_behind_everything_else() {
        let ue = |value: u32| {
            let bits = format!("{:b}", value + 1);
            "0".repeat(bits.len() - 1) + &bits
        };
        let sps = |profile: u8, order: u32, vui: &str| {
            let mut bits = format!("01100111{profile:08b}0000000000101000") + &ue(0);
            bits += &(ue(0) + &ue(order) + if order == 0 { "1" } else { "" } + &ue(4) + "0");
            bits += &(ue(19) + &ue(10) + "1" + "1" + "0" + vui + "10000000");
            let bytes = bits.as_bytes().chunks_exact(8);
            bytes.map(|c| c.iter().fold(0, |n, b| n << 1 | (b - b'0'))).collect::<Vec<u8>>()
        };
        let hrd = format!("1{}{}{}{}0{}", ue(0), "01000100", ue(1000), ue(2000), "10111101111011111000");
        let restriction = |reorder| format!("11{}{}{}{}{}{}", ue(0), ue(0), ue(11), ue(11), ue(reorder), ue(4));
        let timing = "1".to_owned() + &format!("{:032b}{:032b}1", 1001, 60_000);
        let full = "1".to_owned()
            + "111111111"
            + &"10".repeat(16)
            + "11"
            + "1"
            + "1010"
            + "1"
            + &"01".repeat(12)
            + "1"
            + &ue(0);
        let full = full + &ue(0) + &timing + &hrd + &hrd + "0" + "1" + &restriction(3);
        assert_eq!(reordering(&sps(77, 0, &full)), Ok(Some(3)));
        assert_eq!(reordering(&sps(77, 0, &("1".to_owned() + "0000" + "0" + "000" + &restriction(2)))), Ok(Some(2)));
        assert_eq!(reordering(&sps(77, 0, "10000000000")), Ok(None), "no restriction");
        assert_eq!(reordering(&sps(77, 0, "0")), Ok(None), "no VUI");
        assert_eq!(reordering(&sps(66, 0, "0")), Ok(Some(0)), "Baseline has no B slices");
        assert_eq!(reordering(&sps(77, 2, "0")), Ok(Some(0)), "shown as decoded");
        assert!(reordering(&real_sps()).unwrap().is_some(), "x264 says it");
    }

    #[test]
    fn an_interlaced_high_profile_picture_is_measured_in_frames() {
        let ue = |value: u32| {
            let bits = format!("{:b}", value + 1);
            "0".repeat(bits.len() - 1) + &bits
        };
        let mut bits = String::from("01100111") + "01100100" + "00000000" + "00101000"; // SPS, High, level 4.0
        bits += &(ue(0) + &ue(1) + &ue(0) + &ue(0) + "0" + "0"); // 4:2:0, 8 bits, no scaling lists
        bits += &(ue(0) + &ue(0) + &ue(4) + &ue(4) + "0"); // order count type 0, 4 reference frames
        bits += &(ue(119) + &ue(33) + "0" + "1" + "1"); // 120 by 34 field macroblocks, interlaced
        bits += &("1".to_owned() + &ue(0) + &ue(0) + &ue(0) + &ue(2)); // cropped by 2 units of 4 lines below
        bits += &("1".to_owned() + "1" + "11111111" + &"0".repeat(32) + "0"); // VUI, a sample aspect ratio of its own
        bits += &("1".to_owned() + "101" + "1" + "1" + "00001001" + "00010000" + "00001001"); // full range, BT.2020 and PQ
        bits += "01000000";
        let bytes: Vec<u8> =
            bits.as_bytes().chunks_exact(8).map(|c| c.iter().fold(0, |n, b| n << 1 | (b - b'0'))).collect();
        let sps = parse_sps(&bytes).unwrap();
        assert_eq!((sps.profile, sps.level, sps.width, sps.height), (100, 40, 1920, 1080));
        assert_eq!(sps.colour, Colour { full_range: true, primaries: 9, transfer: 16, matrix: 9 });
        assert_eq!((sps.scan, sps.pixels), (Scan::Interlaced, Pixels::Square), "a ratio of zeros says nothing");
    }

    #[test]
    fn a_record_gives_back_the_sets_it_was_built_from() {
        let mut sets = ParameterSets::default();
        sets.insert(SPS, 0, &real_sps()).unwrap();
        sets.insert(PPS, 1, &[0x68, 0x4e, 0x01]).unwrap();
        let (record, _) = build_avcc(&sets).unwrap();
        assert_eq!(record[4], 0xff);
        // PPS id 1 is `010`, the bits after the header of 0x4e.
        assert_eq!(parse_avcc(&record), Ok((Framing::Lengths(4), sets)));
    }

    #[test]
    fn every_truncation_of_a_record_is_an_error() {
        let record = fixtures::canonical(Codec::H264)[0].config.record.clone();
        // High profile's four trailing bytes are optional to a reader.
        for end in 0..record.len() - 4 {
            assert!(parse_avcc(&record[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut data in prop::collection::vec(any::<u8>(), 0..200), like_sps: bool) {
            if let (true, Some(first)) = (like_sps, data.first_mut()) {
                *first = 0x67;
            }
            if let Ok(sps) = parse_sps(&data) {
                prop_assert!((1..=16_384).contains(&sps.width) && (1..=16_384).contains(&sps.height));
            }
            let _ = reordering(&data);
            let _ = parse_pps_id(&data);
            let _ = parse_avcc(&data);
        }

        #[test]
        fn a_damaged_sps_is_read_or_refused(at in 0usize..64, to: u8) {
            let mut sps = real_sps().to_vec();
            let at = at % sps.len();
            sps[at] = to;
            let _ = parse_sps(&sps);
            let _ = reordering(&sps);
        }
    }
}
