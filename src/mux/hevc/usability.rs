//! The rest of a sequence parameter set (§7.3.2.2.1) as far as it says how pictures are shown. Nothing in it has a length, so
//! all that stands before has to be read: see [`slicing`].

use super::super::vui::{self, Colour, Pixels, Scan};
use super::{Bits, MuxError, Sps, WHAT_SPS, slicing};

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
    let (sps, slicing) = slicing::read(&mut bits)?;
    let mut shown = Usability {
        reordered: slicing.reordered,
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

#[cfg(test)]
mod tests;
