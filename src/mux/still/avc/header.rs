//! Picture parameter sets and slice headers, as far as a still depends on them.

use super::{MuxError, Obstacle, Refusal};
use crate::mux::avc::{self, Order, Slicing};
use crate::mux::bits::Bits;

const WHAT_PPS: &str = "H.264 PPS";
const WHAT_SLICE: &str = "H.264 slice header";

/// What slices take from a picture parameter set (§7.3.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pps {
    /// `pic_parameter_set_id`, 0–255.
    pub id: u8,
    /// `seq_parameter_set_id`, 0–31.
    pub sps: u8,
    /// `entropy_coding_mode_flag`.
    pub cabac: bool,
    /// `bottom_field_pic_order_in_frame_present_flag`.
    pub bottom_order: bool,
    /// `num_ref_idx_l0_default_active_minus1` + 1.
    pub references: u32,
    /// `weighted_pred_flag`.
    pub weighted: bool,
    /// 26 + `pic_init_qp_minus26`.
    pub qp: i64,
    /// `deblocking_filter_control_present_flag`.
    pub deblocking: bool,
    /// `redundant_pic_cnt_present_flag`.
    pub redundant: bool,
}

impl Pps {
    /// A whole NAL unit.
    pub(super) fn parse(unit: &[u8]) -> Result<Self, Refusal> {
        let mut bits = Bits::rbsp(WHAT_PPS, unit);
        bits.skip(8)?;
        let id = bits.ue_at_most("pic_parameter_set_id", 255)? as u8;
        let sps = bits.ue_at_most("seq_parameter_set_id", 31)? as u8;
        let cabac = bits.flag()?;
        let bottom_order = bits.flag()?;
        if bits.ue_at_most("num_slice_groups_minus1", 7)? > 0 {
            return Err(Obstacle::SliceGroups.into());
        }
        let references = bits.ue_at_most("num_ref_idx_l0_default_active_minus1", 31)? + 1;
        bits.ue_at_most("num_ref_idx_l1_default_active_minus1", 31)?;
        let weighted = bits.flag()?;
        bits.skip(2)?; // weighted_bipred_idc
        let qp = 26 + bits.se("pic_init_qp_minus26")?;
        // From -36, for 14 bits a sample, to 51.
        if !(-36..=51).contains(&qp) {
            return Err(
                MuxError::Field { what: WHAT_PPS, field: "pic_init_qp_minus26", value: qp.unsigned_abs() }.into()
            );
        }
        bits.se("pic_init_qs_minus26")?;
        bits.se("chroma_qp_index_offset")?;
        let deblocking = bits.flag()?;
        bits.skip(1)?; // constrained_intra_pred_flag
        let redundant = bits.flag()?;
        Ok(Self { id, sps, cabac, bottom_order, references, weighted, qp, deblocking, redundant })
    }
}

/// `slice_type` (table 7-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    P,
    B,
    I,
    /// SP or SI.
    Switching,
}

/// Of a slice NAL unit.
pub(super) fn kind(unit: &[u8]) -> Result<Kind, MuxError> {
    Ok(start(unit)?.1)
}

/// `pic_parameter_set_id` of a slice NAL unit.
pub(super) fn pps_id(unit: &[u8]) -> Result<u8, MuxError> {
    let (mut bits, _) = start(unit)?;
    bits.ue_at_most("pic_parameter_set_id", 255).map(|id| id as u8)
}

/// Leaves the reader before `pic_parameter_set_id`.
fn start(unit: &[u8]) -> Result<(Bits<'_>, Kind), MuxError> {
    let mut bits = Bits::rbsp(WHAT_SLICE, unit);
    bits.skip(8)?;
    bits.ue("first_mb_in_slice")?;
    let kind = match bits.ue_at_most("slice_type", 9)? % 5 {
        0 => Kind::P,
        1 => Kind::B,
        2 => Kind::I,
        _ => Kind::Switching,
    };
    Ok((bits, kind))
}

/// What is counted on from a picture's first slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slice {
    /// `nal_ref_idc`, 0–3; 0 is no reference.
    pub reference: u8,
    /// `frame_num`.
    pub frame_num: u32,
    /// `pic_order_cnt_lsb`; 0 if there is none.
    pub order: u32,
    /// `delta_pic_order_cnt_bottom`; 0 if there is none.
    pub bottom: i64,
}

impl Slice {
    /// A whole NAL unit, or as much as its header (§7.3.3) is, up to `dec_ref_pic_marking`.
    pub(super) fn parse(unit: &[u8], slicing: &Slicing, chroma: u8, pps: &Pps) -> Result<Self, Refusal> {
        let first = unit.first().copied().unwrap_or_default();
        let (key, reference) = (avc::is_key(avc::unit_type(first)), first >> 5 & 3);
        let (mut bits, kind) = start(unit)?;
        bits.ue("pic_parameter_set_id")?;
        let frame_num = bits.u(slicing.frame_num_bits)?;
        if key {
            bits.ue_at_most("idr_pic_id", 65_535)?;
        }
        let (mut order, mut bottom) = (0, 0);
        if let Order::Told(n) = slicing.order {
            order = bits.u(n)?;
            if pps.bottom_order {
                bottom = bits.se("delta_pic_order_cnt_bottom")?;
            }
        }
        if pps.redundant {
            bits.ue_at_most("redundant_pic_cnt", 0)?;
        }
        if kind == Kind::P {
            let overridden = bits.flag()?;
            let references =
                if overridden { bits.ue_at_most("num_ref_idx_l0_active_minus1", 31)? + 1 } else { pps.references };
            skip_modification(&mut bits)?;
            if pps.weighted {
                skip_weights(&mut bits, references, chroma)?;
            }
        }
        if reference != 0 {
            read_marking(&mut bits, key)?;
        }
        Ok(Self { reference, frame_num, order, bottom })
    }
}

/// `ref_pic_list_modification` (§7.3.3.1) of a P slice.
fn skip_modification(bits: &mut Bits<'_>) -> Result<(), MuxError> {
    const END: u32 = 3;
    if bits.flag()? {
        while bits.ue_at_most("modification_of_pic_nums_idc", END)? != END {
            bits.ue("abs_diff_pic_num_minus1 or long_term_pic_num")?;
        }
    }
    Ok(())
}

/// `pred_weight_table` (§7.3.3.2) of a P slice.
fn skip_weights(bits: &mut Bits<'_>, references: u32, chroma: u8) -> Result<(), MuxError> {
    bits.ue_at_most("luma_log2_weight_denom", 7)?;
    if chroma != 0 {
        bits.ue_at_most("chroma_log2_weight_denom", 7)?;
    }
    for _ in 0..references {
        // A weight and an offset for each component.
        for components in [1, 2].into_iter().take(if chroma == 0 { 1 } else { 2 }) {
            if bits.flag()? {
                for _ in 0..components * 2 {
                    bits.se("prediction weight")?;
                }
            }
        }
    }
    Ok(())
}

/// `dec_ref_pic_marking` (§7.3.3.3). What it does to other pictures does not matter to one that only takes the last; a
/// frame cannot take that away by itself but by becoming a long-term reference.
fn read_marking(bits: &mut Bits<'_>, key: bool) -> Result<(), Refusal> {
    if key {
        bits.skip(1)?; // no_output_of_prior_pics_flag
        // long_term_reference_flag
        return if bits.flag()? { Err(Obstacle::Memory.into()) } else { Ok(()) };
    }
    // adaptive_ref_pic_marking_mode_flag
    if !bits.flag()? {
        return Ok(());
    }
    loop {
        let operands = match bits.ue_at_most("memory_management_control_operation", 6)? {
            0 => return Ok(()),
            1 | 2 | 4 => 1,
            3 => 2,
            // All references go, or this one becomes a long-term one.
            _ => return Err(Obstacle::Memory.into()),
        };
        for _ in 0..operands {
            bits.ue("memory management operand")?;
        }
    }
}
