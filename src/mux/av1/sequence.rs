//! The sequence header (§5.5): what a muxer wants from it, and what frame headers take from it.

use super::super::bits::Bits;
use super::super::vui::Colour;
use super::{MuxError, field};

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

/// What frame headers take from a sequence header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mux) struct Tools {
    /// Bits of a frame's id, if frames have one (`frame_id_numbers_present_flag`).
    pub id_bits: Option<u32>,
    /// `decoder_model_info_present_flag`.
    pub model: Option<Model>,
    /// `equal_picture_interval`: frames do not say when they are shown.
    pub equal_intervals: bool,
    /// `operating_point_idc` and `decoder_model_present_for_this_op`, by operating point.
    pub points: Vec<(u32, bool)>,
    /// Whether each frame says if it is screen content (`SELECT_SCREEN_CONTENT_TOOLS`), or else whether all are.
    pub screen_content: Option<bool>,
    /// Whether each such frame says if its motion is by whole pixels (`SELECT_INTEGER_MV`).
    pub integer_motion_told: bool,
    /// `OrderHintBits`, 0–8.
    pub order_hint_bits: u32,
}

/// `timing_info` with `decoder_model_info`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mux) struct Model {
    /// `num_units_in_display_tick`.
    pub units_in_tick: u32,
    /// `time_scale`, units a second.
    pub time_scale: u32,
    /// Bits of `buffer_removal_time`, 1–32.
    pub removal_bits: u32,
    /// Bits of `frame_presentation_time`, 1–32.
    pub presentation_bits: u32,
}

/// Parses the payload of a sequence header OBU.
///
/// # Errors
/// Truncated data or reserved values.
pub fn parse_sequence_header(payload: &[u8]) -> Result<SequenceHeader, MuxError> {
    parse_tools(payload).map(|(sequence, _)| sequence)
}

/// The same, with what frame headers take from it.
pub(in crate::mux) fn parse_tools(payload: &[u8]) -> Result<(SequenceHeader, Tools), MuxError> {
    const WHAT: &str = "AV1 sequence header";
    let mut bits = Bits::plain(WHAT, payload);
    let mut tools = Tools {
        id_bits: None,
        model: None,
        equal_intervals: false,
        points: Vec::new(),
        screen_content: None,
        integer_motion_told: true,
        order_hint_bits: 0,
    };
    let profile = bits.u(3)? as u8;
    if profile > 2 {
        return Err(field(WHAT, "seq_profile", profile));
    }
    bits.skip(1)?; // still_picture
    let still = bits.flag()?;
    let points =
        if still { Points { level: bits.u(5)? as u8, ..Points::default() } } else { points(&mut bits, &mut tools)? };
    let width_bits = bits.u(4)? + 1;
    let height_bits = bits.u(4)? + 1;
    let width = bits.u(width_bits)? + 1;
    let height = bits.u(height_bits)? + 1;
    if !still && bits.flag()? {
        // delta_frame_id_length_minus_2, additional_frame_id_length_minus_1
        tools.id_bits = Some(bits.u(4)? + bits.u(3)? + 3);
    }
    bits.skip(3)?; // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
    if !still {
        inter_tools(&mut bits, &mut tools)?;
    }
    bits.skip(3)?; // enable_superres, enable_cdef, enable_restoration
    let format = color_config(&mut bits, profile)?;
    let sequence = SequenceHeader {
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
    };
    Ok((sequence, tools))
}

/// Level and tier of the first operating point, and the layers of the largest.
#[derive(Clone, Copy, Default)]
struct Points {
    level: u8,
    high_tier: bool,
    spatial_layers: u8,
}

/// `timing_info` to the end of the operating points.
fn points(bits: &mut Bits<'_>, tools: &mut Tools) -> Result<Points, MuxError> {
    let (mut delay_bits, mut spatial_layers) = (0, 0);
    if bits.flag()? {
        let (units_in_tick, time_scale) = (bits.u(32)?, bits.u(32)?);
        tools.equal_intervals = bits.flag()?;
        if tools.equal_intervals {
            bits.ue("num_ticks_per_picture_minus_1")?;
        }
        if bits.flag()? {
            delay_bits = bits.u(5)? + 1;
            bits.skip(32)?; // num_units_in_decoding_tick
            let (removal_bits, presentation_bits) = (bits.u(5)? + 1, bits.u(5)? + 1);
            tools.model = Some(Model { units_in_tick, time_scale, removal_bits, presentation_bits });
        }
    }
    let display_delay = bits.flag()?;
    let mut first = None;
    for _ in 0..=bits.u(5)? {
        let idc = bits.u(12)?; // a bit for each spatial layer, and eight for temporal ones
        spatial_layers = spatial_layers.max((idc >> 8).count_ones() as u8);
        let level = bits.u(5)? as u8;
        let high_tier = level > 7 && bits.flag()?;
        let modelled = tools.model.is_some() && bits.flag()?;
        if modelled {
            bits.skip(delay_bits + delay_bits + 1)?; // operating_parameters_info
        }
        if display_delay && bits.flag()? {
            bits.skip(4)?;
        }
        tools.points.push((idc, modelled));
        first.get_or_insert((level, high_tier));
    }
    let (level, high_tier) = first.unwrap_or_default();
    Ok(Points { level, high_tier, spatial_layers })
}

fn inter_tools(bits: &mut Bits<'_>, tools: &mut Tools) -> Result<(), MuxError> {
    bits.skip(4)?; // interintra, masked compound, warped motion, dual filter
    let order_hint = bits.flag()?;
    if order_hint {
        bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
    }
    // seq_choose_screen_content_tools, seq_force_screen_content_tools
    tools.screen_content = if bits.flag()? { None } else { Some(bits.flag()?) };
    if tools.screen_content != Some(false) {
        tools.integer_motion_told = bits.flag()?; // seq_choose_integer_mv
        if !tools.integer_motion_told {
            bits.skip(1)?; // seq_force_integer_mv
        }
    }
    if order_hint {
        tools.order_hint_bits = bits.u(3)? + 1;
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
