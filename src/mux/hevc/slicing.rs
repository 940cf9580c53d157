//! What slices take from a sequence parameter set (§7.3.2.2.1): most of what stands before its VUI.

use super::{Bits, Coded, MuxError, Orders, Sps, WHAT_SPS, field, orders, sps_before_orders};

/// `NumDeltaPocs` (§7.4.8) at most: as many as pictures are kept.
const MOST_REFERENCES: usize = 16;
/// `num_short_term_ref_pic_sets` at most.
const MOST_SETS: u32 = 64;
/// `num_long_term_ref_pics_sps` at most.
const MOST_LONG_TERM: u32 = 32;

/// What slices take from a sequence parameter set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mux) struct Slicing {
    /// Bits of `slice_pic_order_cnt_lsb`, 4–16.
    pub order_bits: u32,
    /// `sps_max_num_reorder_pics` of the highest sub-layer.
    pub reordered: u8,
    /// `sps_max_dec_pic_buffering_minus1` of the highest sub-layer: pictures that are kept beside the one that is decoded.
    pub kept: u32,
    /// `separate_colour_plane_flag`.
    pub planes_apart: bool,
    /// Luma samples across, before cropping.
    pub width: u32,
    /// Luma samples down, before cropping.
    pub height: u32,
    /// `MinCbLog2SizeY`, 3–6.
    pub smallest_block: u32,
    /// `CtbLog2SizeY`, 3–9; 4–6 in every profile.
    pub tree_block: u32,
    /// `sample_adaptive_offset_enabled_flag`.
    pub sao: bool,
    /// The candidates for a slice's short-term reference pictures, as [`references`] gives them.
    pub sets: Vec<Vec<i64>>,
    /// `long_term_ref_pics_present_flag`, and then `num_long_term_ref_pics_sps`.
    pub long_term: Option<u32>,
    /// `sps_temporal_mvp_enabled_flag`.
    pub temporal_motion: bool,
}

/// A sequence parameter set NAL unit with what slices take from it.
pub(in crate::mux) fn parse_slicing(unit: &[u8]) -> Result<(Sps, Slicing), MuxError> {
    read(&mut Bits::rbsp(WHAT_SPS, unit))
}

/// Leaves `bits` before `vui_parameters_present_flag`.
pub(super) fn read(bits: &mut Bits<'_>) -> Result<(Sps, Slicing), MuxError> {
    let (sps, Coded { planes_apart, width, height }) = sps_before_orders(bits)?;
    let Orders { bits: order_bits, reordered, kept } = orders(bits, &sps)?;
    let smallest_block = 3 + bits.ue_at_most("log2_min_luma_coding_block_size_minus3", 3)?;
    let tree_block = smallest_block + bits.ue_at_most("log2_diff_max_min_luma_coding_block_size", 3)?;
    for skipped in [
        "log2_min_luma_transform_block_size_minus2",
        "log2_diff_max_min_luma_transform_block_size",
        "max_transform_hierarchy_depth_inter",
        "max_transform_hierarchy_depth_intra",
    ] {
        bits.ue(skipped)?;
    }
    // scaling_list_enabled_flag, sps_scaling_list_data_present_flag
    if bits.flag()? && bits.flag()? {
        skip_scaling_lists(bits)?;
    }
    bits.skip(1)?; // amp_enabled_flag
    let sao = bits.flag()?;
    if bits.flag()? {
        bits.skip(4 + 4)?; // bit depths of PCM
        bits.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
        bits.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
        bits.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    let mut sets = Vec::new();
    for _ in 0..bits.ue_at_most("num_short_term_ref_pic_sets", MOST_SETS)? {
        let set = references(bits, &sets, false)?;
        sets.push(set);
    }
    let mut long_term = None;
    if bits.flag()? {
        let count = bits.ue_at_most("num_long_term_ref_pics_sps", MOST_LONG_TERM)?;
        for _ in 0..count {
            bits.skip(order_bits + 1)?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
        }
        long_term = Some(count);
    }
    let temporal_motion = bits.flag()?;
    bits.skip(1)?; // strong_intra_smoothing_enabled_flag
    let slicing = Slicing {
        order_bits,
        reordered,
        kept,
        planes_apart,
        width,
        height,
        smallest_block,
        tree_block,
        sao,
        sets,
        long_term,
        temporal_motion,
    };
    Ok((sps, slicing))
}

/// `scaling_list_data` (§7.3.4).
pub(in crate::mux) fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<(), MuxError> {
    for size in 0..4 {
        for _ in 0..if size == 3 { 2 } else { 6 } {
            if !bits.flag()? {
                bits.ue("scaling_list_pred_matrix_id_delta")?;
                continue;
            }
            if size > 1 {
                bits.se("scaling_list_dc_coef_minus8")?;
            }
            for _ in 0..if size == 0 { 16 } else { 64 } {
                bits.se("scaling_list_delta_coef")?;
            }
        }
    }
    Ok(())
}

/// `st_ref_pic_set` (§7.3.7): which pictures are referred to, by their distance in the order of showing: first those before,
/// the nearest first, then those after. It may be told by one of the `sets` before it: in a sequence parameter set by the last,
/// `in_slice` by any.
pub(in crate::mux) fn references(bits: &mut Bits<'_>, sets: &[Vec<i64>], in_slice: bool) -> Result<Vec<i64>, MuxError> {
    let mut found = Vec::new();
    if !sets.is_empty() && bits.flag()? {
        // delta_idx_minus1
        let back = if in_slice { bits.ue_at_most("delta_idx_minus1", sets.len() as u32 - 1)? as usize } else { 0 };
        let base = sets.iter().rev().nth(back).map(Vec::as_slice).unwrap_or_default();
        let is_before = bits.flag()?; // delta_rps_sign
        let distance = i64::from(bits.ue_at_most("abs_delta_rps_minus1", 0x7fff)?) + 1;
        let shift = if is_before { -distance } else { distance };
        for from in base.iter().copied().chain([0]) {
            // used_by_curr_pic_flag, or else use_delta_flag
            if bits.flag()? || bits.flag()? {
                found.push(from + shift);
            }
        }
        // (7-61), (7-62): the picture itself is none.
        found.retain(|distance| *distance != 0);
        found.sort_unstable_by_key(|distance| (*distance > 0, distance.abs()));
    } else {
        let before = bits.ue_at_most("num_negative_pics", MOST_REFERENCES as u32)?;
        let after = bits.ue_at_most("num_positive_pics", MOST_REFERENCES as u32)?;
        for (count, step) in [(before, -1), (after, 1)] {
            let mut distance = 0;
            for _ in 0..count {
                distance += step * (i64::from(bits.ue_at_most("delta_poc_minus1", 0x7fff)?) + 1);
                bits.skip(1)?; // used_by_curr_pic_flag
                found.push(distance);
            }
        }
    }
    if found.len() > MOST_REFERENCES {
        return Err(field(WHAT_SPS, "NumDeltaPocs", found.len() as u64));
    }
    Ok(found)
}
