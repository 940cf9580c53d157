//! The rest of a sequence parameter set (§7.3.2.2.1) as far as it says how pictures are shown. Nothing in it has a length, so
//! all that stands before has to be read.

use super::super::vui::{self, Colour, Pixels, Scan};
use super::{Bits, MuxError, Sps, WHAT_SPS, field, orders, sps_before_orders};

/// `NumDeltaPocs` (§7.4.8) at most: as many as pictures are kept.
const MOST_REFERENCES: usize = 16;
/// `num_short_term_ref_pic_sets` at most.
const MOST_SETS: u32 = 64;
/// `num_long_term_ref_pics_sps` at most.
const MOST_LONG_TERM: u32 = 32;

/// How the pictures of a sequence are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usability {
    /// How many pictures at most are decoded before one that is shown earlier: `sps_max_num_reorder_pics`.
    pub reordered: u8,
    /// Interlaced where a picture is a field, or the source is said to be (`general_interlaced_source_flag`, §7.4.4).
    pub scan: Scan,
    /// Of `vui_parameters`, as are the colours.
    pub pixels: Pixels,
    /// What its colours mean.
    pub colour: Colour,
}

/// Parses a sequence parameter set NAL unit as far as `field_seq_flag`. The frame rate behind it is not read: encoders that are
/// told none write their time base there, so that it is counted by the times that the stream comes with.
///
/// # Errors
/// As [`super::parse_sps`], and values out of range in what stands between.
pub fn parse_usability(unit: &[u8]) -> Result<(Sps, Usability), MuxError> {
    /// `general_interlaced_source_flag`, behind the profile and its compatibility flags.
    const INTERLACED: u8 = 0x40;
    let mut bits = Bits::rbsp(WHAT_SPS, unit);
    let sps = sps_before_orders(&mut bits)?;
    let (reordered, order_bits) = orders(&mut bits, &sps)?;
    skip_to_vui(&mut bits, order_bits)?;
    let mut shown = Usability {
        reordered,
        scan: if sps.profile_tier_level[5] & INTERLACED == 0 { Scan::Progressive } else { Scan::Interlaced },
        pixels: Pixels::default(),
        colour: Colour::default(),
    };
    if bits.flag()? {
        (shown.pixels, shown.colour) = vui::head(&mut bits)?;
        vui::skip_chroma_location(&mut bits)?;
        bits.skip(1)?; // neutral_chroma_indication_flag
        if bits.flag()? {
            shown.scan = Scan::Interlaced; // field_seq_flag
        }
    }
    Ok((sps, shown))
}

/// Leaves `bits` before `vui_parameters_present_flag`. `order_bits` are those of a picture's place.
fn skip_to_vui(bits: &mut Bits<'_>, order_bits: u32) -> Result<(), MuxError> {
    for skipped in [
        "log2_min_luma_coding_block_size_minus3",
        "log2_diff_max_min_luma_coding_block_size",
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
    bits.skip(2)?; // amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag()? {
        bits.skip(4 + 4)?; // bit depths of PCM
        bits.ue("log2_min_pcm_luma_coding_block_size_minus3")?;
        bits.ue("log2_diff_max_min_pcm_luma_coding_block_size")?;
        bits.skip(1)?; // pcm_loop_filter_disabled_flag
    }
    let mut before = Vec::new();
    for n in 0..bits.ue_at_most("num_short_term_ref_pic_sets", MOST_SETS)? {
        before = references(bits, (n > 0).then_some(&before[..]))?;
    }
    if bits.flag()? {
        for _ in 0..bits.ue_at_most("num_long_term_ref_pics_sps", MOST_LONG_TERM)? {
            bits.skip(order_bits + 1)?; // lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag
        }
    }
    bits.skip(2) // sps_temporal_mvp_enabled_flag, strong_intra_smoothing_enabled_flag
}

/// `scaling_list_data` (§7.3.4).
fn skip_scaling_lists(bits: &mut Bits<'_>) -> Result<(), MuxError> {
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

/// `st_ref_pic_set` (§7.3.7) in a sequence parameter set: which pictures are referred to, by their distance in the order of
/// showing: first those before, the nearest first, then those after. `base` is the set before, which it may be told by.
fn references(bits: &mut Bits<'_>, base: Option<&[i64]>) -> Result<Vec<i64>, MuxError> {
    let mut found = Vec::new();
    if let Some(base) = base
        && bits.flag()?
    {
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

#[cfg(test)]
mod tests;
