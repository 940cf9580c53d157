//! How a picture is to be shown: what `vui_parameters` say, which begin alike in H.264 (ITU-T H.264 §E.1.1) and HEVC (ITU-T H.265
//! §E.2.1). AV1's sequence header has the same codes of colours (ITU-T H.273).

use super::MuxError;
use super::bits::Bits;

/// What the colours of a picture mean; 2 stands for: nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Colour {
    /// `video_full_range_flag`, or AV1's `color_range`.
    pub full_range: bool,
    /// `colour_primaries`; 1 is BT.709.
    pub primaries: u8,
    /// `transfer_characteristics`; 1 is BT.709.
    pub transfer: u8,
    /// `matrix_coefficients`; 1 is BT.709.
    pub matrix: u8,
}

impl Default for Colour {
    /// Nothing is said, and the range is limited.
    fn default() -> Self {
        Self { full_range: false, primaries: 2, transfer: 2, matrix: 2 }
    }
}

/// The shape of a picture's pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// As wide as high, or nothing is said.
    #[default]
    Square,
    /// Wider or narrower.
    Oblong,
}

/// How the lines of a picture were taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scan {
    /// All at once, or nothing is said.
    #[default]
    Progressive,
    /// Every second one later, or they may be.
    Interlaced,
}

/// The beginning of `vui_parameters`, up to the colours.
///
/// # Errors
/// Truncated data.
pub(super) fn head(bits: &mut Bits<'_>) -> Result<(Pixels, Colour), MuxError> {
    let pixels = if bits.flag()? { pixels(bits)? } else { Pixels::Square };
    if bits.flag()? {
        bits.skip(1)?; // overscan_appropriate_flag
    }
    let mut colour = Colour::default();
    if bits.flag()? {
        bits.skip(3)?; // video_format
        colour.full_range = bits.flag()?;
        if bits.flag()? {
            (colour.primaries, colour.transfer, colour.matrix) = (bits.u8()?, bits.u8()?, bits.u8()?);
        }
    }
    Ok((pixels, colour))
}

/// `chroma_loc_info_present_flag` and what belongs to it, which follow.
///
/// # Errors
/// Truncated data.
pub(super) fn skip_chroma_location(bits: &mut Bits<'_>) -> Result<(), MuxError> {
    if bits.flag()? {
        bits.ue("chroma_sample_loc_type_top_field")?;
        bits.ue("chroma_sample_loc_type_bottom_field")?;
    }
    Ok(())
}

/// `aspect_ratio_idc` (table E-1 of both), and the ratio in full.
fn pixels(bits: &mut Bits<'_>) -> Result<Pixels, MuxError> {
    const UNSPECIFIED: u8 = 0;
    const SQUARE: u8 = 1;
    const IN_FULL: u8 = 255;
    Ok(match bits.u8()? {
        UNSPECIFIED | SQUARE => Pixels::Square,
        IN_FULL => {
            let (width, height) = (bits.u(16)?, bits.u(16)?);
            // A ratio with a zero in it is unspecified.
            if width == height || width == 0 || height == 0 { Pixels::Square } else { Pixels::Oblong }
        }
        _ => Pixels::Oblong,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_ratio_in_full_may_still_be_that_of_a_square() {
        let read = |[w, x, h, y]: [u8; 4]| {
            let data = [255, w, x, h, y, 0x5a];
            let mut bits = Bits::plain("test", &data);
            (pixels(&mut bits).unwrap(), bits.u8().unwrap())
        };
        assert_eq!(read([0, 16, 0, 16]), (Pixels::Square, 0x5a));
        assert_eq!(read([0, 0, 0, 11]), (Pixels::Square, 0x5a));
        assert_eq!(read([0, 16, 0, 11]), (Pixels::Oblong, 0x5a));
        let code = |code: u8| pixels(&mut Bits::plain("test", &[code]));
        let read = [code(0), code(1), code(2), code(16)].map(Result::unwrap);
        assert_eq!(read, [Pixels::Square, Pixels::Square, Pixels::Oblong, Pixels::Oblong]);
        assert!(code(255).is_err(), "cut off");
    }
}
