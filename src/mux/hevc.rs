//! HEVC (ITU-T H.265): what a muxer must read of it, and its configuration record (ISO/IEC 14496-15 §8.3.3).

use bytes::Bytes;

use super::MuxError;
use super::avc::{chroma_scale, crop_window, put_unit, take_unit};
use super::bits::Bits;
use super::error::field;
use super::nal::{Framing, ParameterSets};
use crate::model::Codec;

mod slicing;
mod usability;

pub(super) use slicing::{Slicing, parse_slicing, references, skip_scaling_lists};
pub use usability::{Usability, parse_usability};

/// `nal_unit_type` of a video parameter set.
pub const VPS: u8 = 32;
/// `nal_unit_type` of a sequence parameter set.
pub const SPS: u8 = 33;
/// `nal_unit_type` of a picture parameter set.
pub const PPS: u8 = 34;
const AUD: u8 = 35;
const FILLER: u8 = 38;
const WHAT_SPS: &str = "HEVC SPS";

/// `nal_unit_type` (§7.3.1.2) from a unit's first byte.
pub const fn unit_type(first: u8) -> u8 {
    first >> 1 & 0x3f
}

/// A random access picture: BLA, IDR or CRA (§7.4.2.2).
pub const fn is_key(unit_type: u8) -> bool {
    16 <= unit_type && unit_type <= 21
}

/// A coded slice segment: part of a picture.
pub const fn is_picture(unit_type: u8) -> bool {
    unit_type < 32
}

/// Carried in the configuration record or meaningless outside Annex B.
pub const fn is_stripped(unit_type: u8) -> bool {
    matches!(unit_type, VPS | SPS | PPS | AUD | FILLER)
}

/// What a muxer wants from a sequence parameter set (§7.3.2.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`, 0–15.
    pub id: u8,
    /// `sps_max_sub_layers_minus1` + 1, 1–7.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_nesting: bool,
    /// The general part of `profile_tier_level` as it stands in the record: profile space, tier and profile in the
    /// first byte, 32 compatibility flags, 48 constraint bits, level.
    pub profile_tier_level: [u8; 12],
    /// `chroma_format_idc`: 0 mono, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma: u8,
    /// Bits per luma sample, 8–16.
    pub luma_bits: u8,
    /// Bits per chroma sample, 8–16.
    pub chroma_bits: u8,
    /// Pixels across after cropping, 1–16384.
    pub width: u32,
    /// Pixels down after cropping, 1–16384.
    pub height: u32,
}

/// Parses a sequence parameter set NAL unit, its two header bytes included.
///
/// # Errors
/// Truncated data, values outside the specification's ranges, or a picture above 16384 pixels a side.
pub fn parse_sps(unit: &[u8]) -> Result<Sps, MuxError> {
    sps_before_orders(&mut Bits::rbsp(WHAT_SPS, unit)).map(|(sps, _)| sps)
}

/// How many pictures at most are decoded before one that is shown earlier: `sps_max_num_reorder_pics` of the highest
/// sub-layer (§7.4.3.2.1).
///
/// # Errors
/// As [`parse_sps`].
pub fn reordering(unit: &[u8]) -> Result<u8, MuxError> {
    let mut bits = Bits::rbsp(WHAT_SPS, unit);
    let (sps, _) = sps_before_orders(&mut bits)?;
    Ok(orders(&mut bits, &sps)?.reordered)
}

/// How pictures are kept and put in order.
struct Orders {
    /// Bits of a picture's place (`slice_pic_order_cnt_lsb`), 4–16.
    bits: u32,
    /// `sps_max_num_reorder_pics` of the highest sub-layer.
    reordered: u8,
    /// `sps_max_dec_pic_buffering_minus1` of the highest sub-layer: pictures that are kept beside the one that is decoded.
    kept: u32,
}

/// Behind [`sps_before_orders`].
fn orders(bits: &mut Bits<'_>, sps: &Sps) -> Result<Orders, MuxError> {
    let order_bits = bits.ue_at_most("log2_max_pic_order_cnt_lsb_minus4", 12)? + 4;
    let layers = if bits.flag()? { sps.temporal_layers } else { 1 };
    let mut orders = Orders { bits: order_bits, reordered: 0, kept: 0 };
    for _ in 0..layers {
        orders.kept = bits.ue("sps_max_dec_pic_buffering_minus1")?;
        orders.reordered = bits.ue_at_most("sps_max_num_reorder_pics", 15)? as u8;
        bits.ue("sps_max_latency_increase_plus1")?;
    }
    Ok(orders)
}

/// Pictures before they are cropped.
struct Coded {
    /// `separate_colour_plane_flag`.
    planes_apart: bool,
    /// `pic_width_in_luma_samples`.
    width: u32,
    /// `pic_height_in_luma_samples`.
    height: u32,
}

/// The set as far as the bit depths; leaves `bits` behind them.
fn sps_before_orders(bits: &mut Bits<'_>) -> Result<(Sps, Coded), MuxError> {
    const WHAT: &str = WHAT_SPS;
    let unit_type = unit_type(bits.u8()?);
    if unit_type != SPS {
        return Err(field(WHAT, "nal_unit_type", unit_type));
    }
    bits.skip(8 + 4)?; // rest of the header, sps_video_parameter_set_id
    let sub_layers = bits.u(3)? as u8; // sps_max_sub_layers_minus1
    if sub_layers > 6 {
        return Err(field(WHAT, "sps_max_sub_layers_minus1", sub_layers));
    }
    let temporal_nesting = bits.flag()?;
    let mut profile_tier_level = [0; 12];
    for byte in &mut profile_tier_level {
        *byte = bits.u8()?;
    }
    skip_sub_layers(bits, sub_layers)?;
    let id = bits.ue_at_most("sps_seq_parameter_set_id", 15)? as u8;
    let chroma = bits.ue_at_most("chroma_format_idc", 3)? as u8;
    let planes_apart = chroma == 3 && bits.flag()?;
    let coded = Coded {
        planes_apart,
        width: bits.ue("pic_width_in_luma_samples")?,
        height: bits.ue("pic_height_in_luma_samples")?,
    };
    let (unit_x, unit_y) = if planes_apart { (1, 1) } else { chroma_scale(chroma) };
    let window = crop_window(bits)?;
    let width = window.across(coded.width.into(), unit_x, WHAT)?;
    let height = window.down(coded.height.into(), unit_y, WHAT)?;
    let luma_bits = bits.ue_at_most("bit_depth_luma_minus8", 8)? as u8 + 8;
    let chroma_bits = bits.ue_at_most("bit_depth_chroma_minus8", 8)? as u8 + 8;
    let sps = Sps {
        id,
        temporal_layers: sub_layers + 1,
        temporal_nesting,
        profile_tier_level,
        chroma,
        luma_bits,
        chroma_bits,
        width,
        height,
    };
    Ok((sps, coded))
}

/// The id of a VPS, SPS or PPS NAL unit; `None` for any other type.
///
/// # Errors
/// Truncated data or an id out of range.
pub fn parse_set_id(unit: &[u8]) -> Result<Option<(u8, u8)>, MuxError> {
    let kind = unit_type(unit.first().copied().unwrap_or_default());
    let mut bits = Bits::rbsp("HEVC parameter set", unit);
    Ok(match kind {
        VPS => {
            bits.skip(16)?;
            Some((VPS, bits.u(4)? as u8))
        }
        SPS => Some((SPS, parse_sps(unit)?.id)),
        PPS => {
            bits.skip(16)?;
            Some((PPS, bits.ue_at_most("pps_pic_parameter_set_id", 63)? as u8))
        }
        _ => None,
    })
}

/// Builds `HEVCDecoderConfigurationRecord` for 4-byte lengths, with all parameter sets in it (`hvc1`).
///
/// # Errors
/// No VPS, SPS or PPS, or an SPS that does not parse.
pub fn build_hvcc(sets: &ParameterSets) -> Result<(Bytes, Sps), MuxError> {
    let (Some(_), Some(first), Some(_)) = (sets.of(VPS).next(), sets.of(SPS).next(), sets.of(PPS).next()) else {
        return Err(MuxError::NoConfiguration { codec: Codec::Hevc });
    };
    let sps = parse_sps(first)?;
    let mut out = vec![1];
    out.extend_from_slice(&sps.profile_tier_level);
    out.extend_from_slice(&[
        0xf0,
        0,    // min_spatial_segmentation_idc: unknown
        0xfc, // parallelismType: unknown
        0xfc | sps.chroma,
        0xf8 | (sps.luma_bits - 8),
        0xf8 | (sps.chroma_bits - 8),
        0,
        0, // avgFrameRate: unspecified
        sps.temporal_layers << 3 | u8::from(sps.temporal_nesting) << 2 | 3,
        3, // arrays
    ]);
    for kind in [VPS, SPS, PPS] {
        out.push(0x80 | kind); // array_completeness: none of this type in the samples
        out.extend_from_slice(&(sets.of(kind).count() as u16).to_be_bytes());
        for unit in sets.of(kind) {
            put_unit(&mut out, unit);
        }
    }
    Ok((out.into(), sps))
}

/// Reads `HEVCDecoderConfigurationRecord`: how the units are framed, and the parameter sets.
///
/// # Errors
/// Truncated data, another version, or parameter sets that do not parse.
pub fn parse_hvcc(record: &[u8]) -> Result<(Framing, ParameterSets), MuxError> {
    const WHAT: &str = "hvcC";
    let truncated = MuxError::Truncated { what: WHAT, at: record.len() };
    let (Some(&version), Some(&sizes), Some(&arrays)) = (record.first(), record.get(21), record.get(22)) else {
        return Err(truncated);
    };
    // Version 0 was written by some muxers of the draft's time and reads the same.
    if version > 1 {
        return Err(field(WHAT, "configurationVersion", version));
    }
    let mut sets = ParameterSets::default();
    let mut rest = record.get(23..).unwrap_or_default();
    for _ in 0..arrays {
        let Some((&[_, high, low], tail)) = rest.split_first_chunk::<3>() else { return Err(truncated) };
        rest = tail;
        for _ in 0..u16::from_be_bytes([high, low]) {
            let unit = take_unit(&mut rest).ok_or_else(|| truncated.clone())?;
            if let Some((kind, id)) = parse_set_id(unit)? {
                sets.insert(kind, id, unit)?;
            }
        }
    }
    Ok((Framing::from_length_size_minus_one(WHAT, sizes & 3)?, sets))
}

/// The sub-layer part of `profile_tier_level` (§7.3.3).
fn skip_sub_layers(bits: &mut Bits<'_>, sub_layers: u8) -> Result<(), MuxError> {
    let mut present = [(false, false); 8];
    for layer in present.iter_mut().take(sub_layers.into()) {
        *layer = (bits.flag()?, bits.flag()?);
    }
    if sub_layers > 0 {
        bits.skip(2 * (8 - u32::from(sub_layers)))?; // reserved_zero_2bits
    }
    for (profile, level) in present {
        bits.skip(if profile { 88 } else { 0 } + if level { 8 } else { 0 })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::mux::{fixtures, nal};

    fn real_sps() -> Bytes {
        let unit = fixtures::buffers(Codec::Hevc).swap_remove(0);
        let sps = nal::ranges(&unit, Framing::AnnexB).flatten().find(|r| unit_type(unit[r.start]) == SPS).unwrap();
        unit.slice(sps)
    }

    #[test]
    fn x265s_parameters_are_read_with_the_conformance_window() {
        let sps = parse_sps(&real_sps()).unwrap();
        assert_eq!((sps.width, sps.height), (80, 50));
        assert_eq!((sps.chroma, sps.luma_bits, sps.chroma_bits), (1, 8, 8));
        assert_eq!(sps.profile_tier_level[0] & 0x1f, 1, "general_profile_idc is Main");
    }

    #[test]
    fn x265_says_how_far_pictures_are_reordered() {
        // The fixture's encoder was told to have no B pictures.
        assert_eq!(reordering(&real_sps()), Ok(0));
        for end in 0..20 {
            assert!(reordering(&real_sps()[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_record_gives_back_the_sets_it_was_built_from() {
        let record = fixtures::canonical(Codec::Hevc)[0].config.record.clone();
        let (framing, sets) = parse_hvcc(&record).unwrap();
        assert_eq!(framing, Framing::Lengths(4));
        assert_eq!([VPS, SPS, PPS].map(|kind| sets.of(kind).count()), [1, 1, 1]);
        assert_eq!(build_hvcc(&sets).unwrap().0, record);
    }

    #[test]
    fn every_truncation_of_a_record_is_an_error() {
        let record = fixtures::canonical(Codec::Hevc)[0].config.record.clone();
        for end in 0..record.len() {
            assert!(parse_hvcc(&record[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut data in prop::collection::vec(any::<u8>(), 0..200), like_sps: bool) {
            if let (true, Some(first)) = (like_sps, data.first_mut()) {
                *first = SPS << 1;
            }
            if let Ok(sps) = parse_sps(&data) {
                prop_assert!((1..=16_384).contains(&sps.width) && (1..=16_384).contains(&sps.height));
            }
            let _ = reordering(&data);
            let _ = parse_usability(&data);
            let _ = parse_set_id(&data);
            let _ = parse_hvcc(&data);
        }

        #[test]
        fn a_damaged_sps_is_read_or_refused(at in 0usize..64, to: u8) {
            let mut sps = real_sps().to_vec();
            let at = at % sps.len();
            sps[at] = to;
            let _ = parse_sps(&sps);
            let _ = reordering(&sps);
            let _ = parse_usability(&sps);
        }
    }
}
