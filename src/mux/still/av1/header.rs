//! Frame headers (§5.9.2), as far as a still depends on them: up to `refresh_frame_flags`.

use super::super::{Obstacle, Refusal};
use crate::mux::av1::Tools;
use crate::mux::bits::Bits;

/// What a frame header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// `show_frame`.
    pub shown: bool,
    /// `frame_presentation_time`, if it is told.
    pub presented: Option<u32>,
    /// `current_frame_id`, if frames have one.
    pub id: Option<u32>,
    /// `refresh_frame_flags`: the slots it is kept in.
    pub refreshed: u8,
}

/// `frame_type`.
mod kind {
    pub(super) const KEY: u32 = 0;
    pub(super) const INTRA_ONLY: u32 = 2;
    pub(super) const SWITCH: u32 = 3;
}

impl Frame {
    /// The payload of a frame or a frame header OBU, or as much as that. `extension` is `obu_extension_header`, or 0.
    pub(super) fn parse(payload: &[u8], tools: &Tools, extension: u8) -> Result<Self, Refusal> {
        let mut bits = Bits::plain("AV1 frame header", payload);
        // show_existing_frame
        if bits.flag()? {
            return Err(Obstacle::Existing.into());
        }
        let kind = bits.u(2)?;
        let shown = bits.flag()?;
        if kind == kind::KEY && shown {
            return Err(Obstacle::ShownOnce.into());
        }
        let mut presented = None;
        if let (true, false, Some(model)) = (shown, tools.equal_intervals, tools.model) {
            presented = Some(bits.u(model.presentation_bits)?);
        }
        if !shown {
            bits.skip(1)?; // showable_frame
        }
        let resilient = kind == kind::SWITCH || bits.flag()?;
        bits.skip(1)?; // disable_cdf_update
        let screen_content = match tools.screen_content {
            None => bits.flag()?,
            Some(always) => always,
        };
        if screen_content && tools.integer_motion_told {
            bits.skip(1)?; // force_integer_mv
        }
        let id = tools.id_bits.map(|length| bits.u(length)).transpose()?;
        if kind != kind::SWITCH {
            bits.skip(1)?; // frame_size_override_flag
        }
        bits.skip(tools.order_hint_bits)?;
        if !(resilient || matches!(kind, kind::KEY | kind::INTRA_ONLY)) {
            bits.skip(3)?; // primary_ref_frame
        }
        if let Some(model) = tools.model
            && bits.flag()?
        {
            for _ in tools.points.iter().filter(|(idc, modelled)| *modelled && is_in(*idc, extension)) {
                bits.skip(model.removal_bits)?; // buffer_removal_time
            }
        }
        let refreshed = if kind == kind::SWITCH { 0xff } else { bits.u8()? };
        Ok(Self { shown, presented, id, refreshed })
    }
}

/// Whether an operating point has the layers that `obu_extension_header` names: `temporal_id` and `spatial_id`.
fn is_in(idc: u32, extension: u8) -> bool {
    let (temporal, spatial) = (extension >> 5, extension >> 3 & 3);
    idc == 0 || idc >> temporal & 1 == 1 && idc >> (spatial + 8) & 1 == 1
}
