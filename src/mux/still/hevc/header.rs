//! Picture parameter sets and slice segment headers, as far as a still depends on them.

use super::{MuxError, Obstacle, Refusal};
use crate::mux::bits::Bits;
use crate::mux::error::field;
use crate::mux::hevc::{self, Slicing};

const WHAT_PPS: &str = "HEVC PPS";
const WHAT_SLICE: &str = "HEVC slice segment header";

/// What slices take from a picture parameter set (§7.3.2.3.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    /// `pps_pic_parameter_set_id`, 0–63.
    pub id: u8,
    /// `pps_seq_parameter_set_id`, 0–15.
    pub sps: u8,
    /// `output_flag_present_flag`.
    pub output: bool,
    /// `num_extra_slice_header_bits`, 0–7.
    pub extra_bits: u32,
    /// `cabac_init_present_flag`.
    pub cabac_init: bool,
    /// `num_ref_idx_l0_default_active_minus1` + 1.
    pub references: u32,
    /// 26 + `init_qp_minus26`.
    pub qp: i64,
    /// `pps_slice_chroma_qp_offsets_present_flag`.
    pub chroma_offsets: bool,
    /// `weighted_pred_flag`.
    pub weighted: bool,
    /// `transquant_bypass_enabled_flag`.
    pub bypass: bool,
    /// `tiles_enabled_flag`.
    pub tiles: Option<Tiles>,
    /// `entropy_coding_sync_enabled_flag`: rows of coding tree blocks are coded apart.
    pub rows_apart: bool,
    /// `pps_loop_filter_across_slices_enabled_flag`.
    pub across_slices: bool,
    /// `deblocking_filter_override_enabled_flag`.
    pub deblocking_override: bool,
    /// `pps_deblocking_filter_disabled_flag`.
    pub deblocking_off: bool,
    /// `slice_segment_header_extension_present_flag`.
    pub header_extension: bool,
    /// `chroma_qp_offset_list_enabled_flag`.
    pub chroma_offset_lists: bool,
}

/// How pictures are divided into tiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tiles {
    /// So many across and down, of nearly the same size.
    Uniform(u32, u32),
    /// All but the last across and down, in coding tree blocks.
    Sized(Vec<u32>, Vec<u32>),
}

impl Pps {
    /// A whole NAL unit.
    pub(super) fn parse(unit: &[u8]) -> Result<Self, Refusal> {
        let mut bits = Bits::rbsp(WHAT_PPS, unit);
        bits.skip(16)?;
        let id = bits.ue_at_most("pps_pic_parameter_set_id", 63)? as u8;
        let sps = bits.ue_at_most("pps_seq_parameter_set_id", 15)? as u8;
        bits.skip(1)?; // dependent_slice_segments_enabled_flag
        let output = bits.flag()?;
        let extra_bits = bits.u(3)?;
        bits.skip(1)?; // sign_data_hiding_enabled_flag
        let cabac_init = bits.flag()?;
        let references = bits.ue_at_most("num_ref_idx_l0_default_active_minus1", 14)? + 1;
        bits.ue_at_most("num_ref_idx_l1_default_active_minus1", 14)?;
        let qp = 26 + bits.se("init_qp_minus26")?;
        // From -48, for 16 bits a sample, to 51.
        if !(-48..=51).contains(&qp) {
            return Err(field(WHAT_PPS, "init_qp_minus26", qp.unsigned_abs()).into());
        }
        bits.skip(1)?; // constrained_intra_pred_flag
        let transform_skip = bits.flag()?;
        if bits.flag()? {
            bits.ue("diff_cu_qp_delta_depth")?;
        }
        bits.se("pps_cb_qp_offset")?;
        bits.se("pps_cr_qp_offset")?;
        let chroma_offsets = bits.flag()?;
        let weighted = bits.flag()?;
        bits.skip(1)?; // weighted_bipred_flag
        let bypass = bits.flag()?;
        let (has_tiles, rows_apart) = (bits.flag()?, bits.flag()?);
        let tiles = if has_tiles { Some(Tiles::parse(&mut bits)?) } else { None };
        let across_slices = bits.flag()?;
        let (mut deblocking_override, mut deblocking_off) = (false, false);
        if bits.flag()? {
            (deblocking_override, deblocking_off) = (bits.flag()?, bits.flag()?);
            if !deblocking_off {
                bits.se("pps_beta_offset_div2")?;
                bits.se("pps_tc_offset_div2")?;
            }
        }
        if bits.flag()? {
            hevc::skip_scaling_lists(&mut bits)?;
        }
        bits.skip(1)?; // lists_modification_present_flag: of one reference there is no other order
        bits.ue("log2_parallel_merge_level_minus2")?;
        let header_extension = bits.flag()?;
        let chroma_offset_lists = bits.flag()? && extension(&mut bits, transform_skip)?;
        Ok(Self {
            id,
            sps,
            output,
            extra_bits,
            cabac_init,
            references,
            qp,
            chroma_offsets,
            weighted,
            bypass,
            tiles,
            rows_apart,
            across_slices,
            deblocking_override,
            deblocking_off,
            header_extension,
            chroma_offset_lists,
        })
    }

    /// Whether slices say where parts of them begin.
    pub(super) fn has_parts(&self) -> bool {
        self.tiles.is_some() || self.rows_apart
    }
}

/// The extensions of a picture parameter set: `chroma_qp_offset_list_enabled_flag`.
fn extension(bits: &mut Bits<'_>, transform_skip: bool) -> Result<bool, Refusal> {
    let range = bits.flag()?;
    // Several layers, depth, screen content, and what is not known yet.
    if bits.u(7)? != 0 {
        return Err(Obstacle::Profile.into());
    }
    if !range {
        return Ok(false);
    }
    if transform_skip {
        bits.ue("log2_max_transform_skip_block_size_minus2")?;
    }
    bits.skip(1)?; // cross_component_prediction_enabled_flag
    Ok(bits.flag()?)
}

impl Tiles {
    fn parse(bits: &mut Bits<'_>) -> Result<Self, MuxError> {
        // Of level 6.2: 20 across and 22 down (table A.8).
        let across = bits.ue_at_most("num_tile_columns_minus1", 19)?;
        let down = bits.ue_at_most("num_tile_rows_minus1", 21)?;
        let tiles = if bits.flag()? {
            Self::Uniform(across + 1, down + 1)
        } else {
            let mut sizes = |count| (0..count).map(|_| Ok(bits.ue_at_most("tile size", 4095)? + 1)).collect();
            let across: Result<Vec<u32>, MuxError> = sizes(across);
            Self::Sized(across?, sizes(down)?)
        };
        bits.skip(1)?; // loop_filter_across_tiles_enabled_flag
        Ok(tiles)
    }
}

/// `slice_pic_parameter_set_id` of a slice segment NAL unit.
pub(super) fn pps_id(unit: &[u8]) -> Result<u8, MuxError> {
    start(unit).map(|(_, id)| id)
}

/// Leaves the reader behind `slice_pic_parameter_set_id`.
fn start(unit: &[u8]) -> Result<(Bits<'_>, u8), MuxError> {
    let mut bits = Bits::rbsp(WHAT_SLICE, unit);
    let kind = hevc::unit_type(bits.u8()?);
    bits.skip(8)?;
    if !bits.flag()? {
        return Err(field(WHAT_SLICE, "first_slice_segment_in_pic_flag", 0u8));
    }
    if hevc::is_key(kind) {
        bits.skip(1)?; // no_output_of_prior_pics_flag
    }
    let id = bits.ue_at_most("slice_pic_parameter_set_id", 63)? as u8;
    Ok((bits, id))
}

/// What is counted on from a picture's first slice segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// `slice_pic_order_cnt_lsb`.
    pub order: u32,
}

impl Slice {
    /// A whole NAL unit, or as much as its header (§7.3.6.1) is, up to `short_term_ref_pic_set_idx`.
    pub(super) fn parse(unit: &[u8], slicing: &Slicing, pps: &Pps) -> Result<Self, Refusal> {
        let kind = hevc::unit_type(unit.first().copied().unwrap_or_default());
        let (mut bits, _) = start(unit)?;
        bits.skip(pps.extra_bits)?;
        bits.ue_at_most("slice_type", 2)?;
        // pic_output_flag
        if pps.output && !bits.flag()? {
            return Err(Obstacle::Hidden.into());
        }
        // Instantaneous refresh: all counting starts here, and nothing is referred to.
        if matches!(kind, 19 | 20) {
            return Ok(Self { order: 0 });
        }
        let order = bits.u(slicing.order_bits)?;
        // short_term_ref_pic_set_sps_flag
        let references = if bits.flag()? {
            let index = bits.u(index_bits(slicing.sets.len()))?;
            let unknown = field(WHAT_SLICE, "short_term_ref_pic_set_idx", index);
            slicing.sets.get(index as usize).cloned().ok_or(unknown)?
        } else {
            hevc::references(&mut bits, &slicing.sets, true)?
        };
        // B slices are no obstacle, but pictures that were decoded before this one and are shown after it.
        if references.iter().any(|distance| *distance > 0) {
            return Err(Obstacle::BPicture.into());
        }
        Ok(Self { order })
    }
}

/// Ceil(Log2(`count`)).
fn index_bits(count: usize) -> u32 {
    count.max(1).next_power_of_two().ilog2()
}
