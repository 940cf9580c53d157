//! Pure. What its parameter sets say of a picture, in the same words for every codec, and whether that is what a rendition is.
//!
//! The box's encoders are fed whole pictures of square pixels in BT.709, 8 bits and 4:2:0, and reorder none. What a stream says
//! nothing of is taken for that, as decoders take it.
//!
//! Levels are left alone: size and rate are the rendition's, and with them what a decoder has to do.
//!
//! How far it reorders is said by HEVC, seldom by H.264, and by neither reliably: the times have to agree (see [`may_reorder`]).
//! AV1 has nothing to say and nothing to reorder. Whatever its frames refer to, each temporal unit shows exactly one, and units
//! come in the order in which they are shown (AV1 §7.5, AV1 in ISOBMFF §1): frames that look ahead are hidden in the unit in which they are sent,
//! and are shown later by a unit that says just that (`show_existing_frame`). So its decoding times mean nothing here; a wrapper
//! may take them from the hidden frames.
//!
//! A stream that reorders nothing can be begun at HEVC's CRA pictures too: what could refer to a picture before one would be
//! shown before it (H.265 §3, leading picture).

use crate::model::{Codec, CodecConfig};
use crate::mux::vui::{Colour, Pixels, Scan};
use crate::mux::{MuxError, av1, avc, hevc};

/// `chroma_format_idc` of 4:2:0.
const QUARTER_CHROMA: u8 = 1;
/// BT.709, or nothing said.
const COLOURS: [u8; 2] = [1, 2];

/// One sequence of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    profile: Profile,
    /// Bits per sample, of luma and of chroma.
    bits: (u8, u8),
    /// `chroma_format_idc`: 0 mono, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    chroma: u8,
    scan: Scan,
    pixels: Pixels,
    colour: Colour,
    /// Pictures over one another that make one.
    layers: u8,
    /// Pictures that may be decoded before one that is shown earlier; 0 where nothing is said.
    reordered: u8,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Profile {
    /// What the box's own encoders make, and everybody decodes.
    Usual,
    /// Another; its name.
    Other(String),
}

/// Whether a picture of `codec` may be decoded at another time than it is shown.
pub(super) const fn may_reorder(codec: Codec) -> bool {
    match codec {
        Codec::H264 | Codec::Hevc => true,
        Codec::Av1 | Codec::Aac | Codec::Opus => false,
    }
}

/// In what a picture that is described so differs from what a rendition is, for people.
pub(super) fn differs(config: &CodecConfig) -> Option<String> {
    match looks(config) {
        Ok(looks) if looks.is_empty() => Some("it has no parameter sets".to_owned()),
        // Which one of several a picture is made by is said in the picture.
        Ok(looks) => looks.iter().find_map(|look| difference(look, config.codec)),
        Err(why) => Some(format!("its parameter sets cannot be read: {why}")),
    }
}

fn difference(look: &Look, codec: Codec) -> Option<String> {
    if let Profile::Other(name) = &look.profile {
        return Some(format!("its profile is {name}, and the rendition's {}", usual(codec)));
    }
    if (look.chroma, look.bits) != (QUARTER_CHROMA, (8, 8)) {
        let (bits, chroma) = (look.bits.0.max(look.bits.1), sampling(look.chroma));
        return Some(format!("its samples have {bits} bits in {chroma}, and the rendition's 8 bits in 4:2:0"));
    }
    if look.scan == Scan::Interlaced {
        return Some("it is interlaced, and the rendition progressive".to_owned());
    }
    if look.pixels == Pixels::Oblong {
        return Some("its pixels are not square, and the rendition's are".to_owned());
    }
    let Colour { full_range, primaries, transfer, matrix } = look.colour;
    if [primaries, transfer, matrix].iter().any(|code| !COLOURS.contains(code)) {
        return Some(format!(
            "its colours are not those of BT.709: primaries {primaries}, transfer {transfer}, matrix {matrix}"
        ));
    }
    if full_range {
        return Some("its colours have the full range, and the rendition's the limited one".to_owned());
    }
    if look.layers > 1 {
        return Some(format!("its pictures have {} layers, and the rendition's one", look.layers));
    }
    (look.reordered > 0).then(|| {
        format!("its pictures may be reordered, by up to {}: its encoder is to make no B pictures", look.reordered)
    })
}

fn looks(config: &CodecConfig) -> Result<Vec<Look>, MuxError> {
    match config.codec {
        Codec::H264 => avc::parse_avcc(&config.record)?.1.of(avc::SPS).map(|unit| of_h264(unit)).collect(),
        Codec::Hevc => hevc::parse_hvcc(&config.record)?.1.of(hevc::SPS).map(|unit| of_hevc(unit)).collect(),
        Codec::Av1 => av1::parse_av1c(&config.record)?.into_iter().map(of_av1).collect(),
        Codec::Aac | Codec::Opus => Ok(Vec::new()),
    }
}

fn of_h264(unit: &[u8]) -> Result<Look, MuxError> {
    let sps = avc::parse_sps(unit)?;
    let profile = match sps.profile {
        66 | 77 | 100 => Profile::Usual,
        88 => Profile::Other("Extended".to_owned()),
        110 => Profile::Other("High 10".to_owned()),
        122 => Profile::Other("High 4:2:2".to_owned()),
        244 => Profile::Other("High 4:4:4 Predictive".to_owned()),
        other => Profile::Other(format!("number {other}")),
    };
    Ok(Look {
        profile,
        bits: (sps.luma_bits, sps.chroma_bits),
        chroma: sps.chroma,
        scan: sps.scan,
        pixels: sps.pixels,
        colour: sps.colour,
        layers: 1,
        // Usability information that breaks off says nothing here either.
        reordered: avc::reordering(unit).ok().flatten().unwrap_or_default(),
    })
}

fn of_hevc(unit: &[u8]) -> Result<Look, MuxError> {
    /// `general_tier_flag`, `general_profile_space` (§7.3.3).
    const HIGH_TIER: u8 = 0x20;
    const SPACE: u8 = 0xc0;
    /// `general_profile_compatibility_flag[1]`.
    const DECODED_AS_MAIN: u8 = 0x40;
    let (sps, shown) = hevc::parse_usability(unit)?;
    let [general, compatibility, ..] = sps.profile_tier_level;
    let number = general & 0x1f;
    let is_main = general & SPACE == 0 && (number == 1 || compatibility & DECODED_AS_MAIN != 0);
    let profile = match (is_main, number) {
        (true, _) if general & HIGH_TIER != 0 => Profile::Other("Main in the High tier".to_owned()),
        (true, _) => Profile::Usual,
        (false, 2) => Profile::Other("Main 10".to_owned()),
        (false, 3) => Profile::Other("Main Still Picture".to_owned()),
        (false, 4) => Profile::Other("one of the format range extensions".to_owned()),
        (false, other) => Profile::Other(format!("number {other}")),
    };
    Ok(Look {
        profile,
        bits: (sps.luma_bits, sps.chroma_bits),
        chroma: sps.chroma,
        scan: shown.scan,
        pixels: shown.pixels,
        colour: shown.colour,
        layers: 1,
        reordered: shown.reordered,
    })
}

fn of_av1(payload: &[u8]) -> Result<Look, MuxError> {
    let sequence = av1::parse_sequence_header(payload)?;
    let profile = match (sequence.profile, sequence.high_tier) {
        (0, false) => Profile::Usual,
        (0, true) => Profile::Other("Main in the High tier".to_owned()),
        (1, _) => Profile::Other("High".to_owned()),
        (2, _) => Profile::Other("Professional".to_owned()),
        (other, _) => Profile::Other(format!("number {other}")),
    };
    let chroma = match (sequence.mono, sequence.subsampling) {
        (true, _) => 0,
        (false, (true, true)) => QUARTER_CHROMA,
        (false, (true, false)) => 2,
        (false, (false, _)) => 3,
    };
    Ok(Look {
        profile,
        bits: (sequence.bits, sequence.bits),
        chroma,
        // It has neither fields nor a shape of pixels in its sequence header.
        scan: Scan::Progressive,
        pixels: Pixels::Square,
        colour: sequence.colour,
        layers: sequence.spatial_layers,
        reordered: 0,
    })
}

const fn usual(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "Baseline, Main or High",
        Codec::Hevc | Codec::Av1 | Codec::Aac | Codec::Opus => "Main",
    }
}

const fn sampling(chroma: u8) -> &'static str {
    match chroma {
        0 => "4:0:0",
        1 => "4:2:0",
        2 => "4:2:2",
        _ => "4:4:4",
    }
}

#[cfg(test)]
mod tests;
