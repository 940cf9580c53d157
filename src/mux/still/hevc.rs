//! Stills of HEVC (ITU-T H.265): a P picture of one slice whose coding units are all skipped, each as large as it can be.
//!
//! A skipped unit has the motion of its first merge candidate: a neighbour's, or, where there is none, no motion from the
//! first reference picture (§8.5.3.2.2–8.5.3.2.5); so all have that. Samples are taken over as they are (§8.5.3.3.3.1). There
//! is nothing to quantise; between units of the same motion no edge is smoothed (§8.7.2.4), and the slice has no sample
//! adaptive offset. The only reference is the last picture, which the slice header names by its distance.
//!
//! Stills are reference pictures themselves, each a place later than the one before.

mod header;
mod skipped;

use bytes::Bytes;

use super::{MuxError, Obstacle, Refusal, cabac, mask};
use crate::model::{Codec, CodecConfig};
use crate::mux::bits::{Writer, escape_into};
use crate::mux::error::field;
use crate::mux::hevc::{self, PPS, SPS, Slicing};
use crate::mux::nal::{self, Framing};
use crate::mux::vui::Scan;
use header::{Pps, Slice};
use skipped::Picture;

/// See [`super::Stills`].
#[derive(Clone, Debug)]
pub(super) struct Stills {
    slicing: Slicing,
    chroma: u8,
    pps: Pps,
    /// `slice_pic_order_cnt_lsb` of the next still.
    order: u32,
    /// Where parts of the slice begin, for a decoder with several threads (`entry_point_offset_minus1`).
    entries: Vec<u32>,
    /// What follows the slice header, with emulation prevention bytes.
    data: Vec<u8>,
    delimited: bool,
}

/// `MaxLumaPs` of level 6.2, luma samples (table A.8).
const LARGEST: u64 = 35_651_584;
/// `nuh_layer_id` 0 and `TemporalId` 0 of a NAL unit's second header byte.
const LOWEST_LAYER: u8 = 1;

impl Stills {
    pub(super) fn after(config: &CodecConfig, last: &[u8]) -> Result<Self, Refusal> {
        let found = Found::walk(last)?;
        let (_, sets) = hevc::parse_hvcc(&config.record)?;
        let id = header::pps_id(found.slice)?;
        let unknown = Refusal::UnknownSet { what: "picture parameter set", id };
        let pps = sets.of(PPS).find(|pps| matches!(hevc::parse_set_id(pps), Ok(Some((_, found))) if found == id));
        let pps = Pps::parse(pps.ok_or(unknown)?)?;
        let unknown = Refusal::UnknownSet { what: "sequence parameter set", id: pps.sps };
        let sps = sets.of(SPS).find(|sps| hevc::parse_sps(sps).is_ok_and(|sps| sps.id == pps.sps)).ok_or(unknown)?;
        let (sps, slicing) = check(sps)?;
        let slice = Slice::parse(found.slice, &slicing, &pps)?;
        let parts = Picture::new(&slicing, &pps)?.parts();
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        for part in parts {
            // Each begins behind a byte that is not 0, so what is escaped in it does not depend on what stands before.
            let begin = data.len();
            escape_into(&part, &mut data);
            entries.push((data.len() - begin) as u32);
        }
        entries.pop(); // the last goes on to the end
        let order = slice.order.wrapping_add(1) & mask(slicing.order_bits);
        Ok(Self { slicing, chroma: sps.chroma, pps, order, entries, data, delimited: found.delimited })
    }

    pub(super) fn next_unit(&mut self) -> Bytes {
        /// `TRAIL_R`, in the lowest layer.
        const SLICE: [u8; 2] = [1 << 1, LOWEST_LAYER];
        /// An access unit delimiter that allows for I and P slices (§7.4.3.5).
        const DELIMITER: [u8; 7] = [0, 0, 0, 3, 35 << 1, LOWEST_LAYER, 0x30];
        let mut bits = Writer::default();
        self.write_header(&mut bits);
        let mut unit = SLICE.to_vec();
        escape_into(&bits.whole(), &mut unit);
        unit.extend_from_slice(&self.data);
        let delimiter = if self.delimited { &DELIMITER[..] } else { &[] };
        self.order = (self.order + 1) & mask(self.slicing.order_bits);
        [delimiter, &(unit.len() as u32).to_be_bytes(), &unit].concat().into()
    }

    /// §7.3.6.1.
    fn write_header(&self, bits: &mut Writer) {
        const P: u32 = 1;
        let (slicing, pps) = (&self.slicing, &self.pps);
        bits.flag(true); // first_slice_segment_in_pic_flag
        bits.ue(pps.id.into());
        bits.u(0, pps.extra_bits); // slice_reserved_flag
        bits.ue(P); // slice_type
        if pps.output {
            bits.flag(true); // pic_output_flag
        }
        bits.u(self.order, slicing.order_bits);
        self.write_references(bits);
        if slicing.temporal_motion {
            bits.flag(false); // slice_temporal_mvp_enabled_flag
        }
        if slicing.sao {
            bits.flag(false); // slice_sao_luma_flag
            if self.chroma != 0 {
                bits.flag(false); // slice_sao_chroma_flag
            }
        }
        bits.flag(pps.references > 1); // num_ref_idx_active_override_flag
        if pps.references > 1 {
            bits.ue(0); // one
        }
        if pps.cabac_init {
            bits.flag(false); // cabac_init_flag
        }
        if pps.weighted {
            // Factors of one for the only reference (§8.5.3.3.4.3).
            bits.ue(0);
            if self.chroma != 0 {
                bits.se(0);
            }
            bits.flag(false);
            if self.chroma != 0 {
                bits.flag(false);
            }
        }
        bits.ue(4); // five_minus_max_num_merge_cand: the first is the only one
        bits.se(cabac::QP - pps.qp);
        if pps.chroma_offsets {
            bits.se(0);
            bits.se(0);
        }
        if pps.chroma_offset_lists {
            bits.flag(false); // cu_chroma_qp_offset_enabled_flag
        }
        if pps.deblocking_override {
            bits.flag(false); // deblocking_filter_override_flag
        }
        if pps.across_slices && !pps.deblocking_off {
            bits.flag(true); // slice_loop_filter_across_slices_enabled_flag
        }
        if pps.has_parts() {
            self.write_entries(bits);
        }
        if pps.header_extension {
            bits.ue(0); // slice_segment_header_extension_length
        }
        bits.flag(true); // byte_alignment
        bits.align(false);
    }

    /// One picture, one place before this.
    fn write_references(&self, bits: &mut Writer) {
        bits.flag(false); // short_term_ref_pic_set_sps_flag
        if !self.slicing.sets.is_empty() {
            bits.flag(false); // inter_ref_pic_set_prediction_flag
        }
        bits.ue(1); // num_negative_pics
        bits.ue(0); // num_positive_pics
        bits.ue(0); // delta_poc_s0_minus1
        bits.flag(true); // used_by_curr_pic_s0_flag
        if let Some(candidates) = self.slicing.long_term {
            if candidates > 0 {
                bits.ue(0); // num_long_term_sps
            }
            bits.ue(0); // num_long_term_pics
        }
    }

    fn write_entries(&self, bits: &mut Writer) {
        bits.ue(self.entries.len() as u32);
        if let Some(longest) = self.entries.iter().max() {
            let length = 32 - longest.saturating_sub(1).max(1).leading_zeros();
            bits.ue(length - 1); // offset_len_minus1
            self.entries.iter().for_each(|entry| bits.u(entry.saturating_sub(1), length));
        }
    }
}

/// Whether anything in a sequence parameter set forbids a still.
fn check(unit: &[u8]) -> Result<(hevc::Sps, Slicing), Refusal> {
    /// `general_profile_space` and `general_profile_idc`, without `general_tier_flag`.
    const PROFILE: u8 = 0xdf;
    /// Main Still Picture.
    const STILL: u8 = 3;
    /// Format range extensions and high throughput. Slices of later profiles hold more.
    const EXTENDED: [u8; 2] = [4, 5];
    /// `general_intra_constraint_flag` of these, behind the profile, its compatibility flags and ten others.
    const INTRA: u8 = 0x20;
    let (sps, shown) = hevc::parse_usability(unit)?;
    let (_, slicing) = hevc::parse_slicing(unit)?;
    let profile = sps.profile_tier_level[0] & PROFILE;
    let intra = profile == STILL || EXTENDED.contains(&profile) && sps.profile_tier_level[6] & INTRA != 0;
    if !matches!(profile, 1..=5) {
        Err(Obstacle::Profile.into())
    } else if shown.scan == Scan::Interlaced {
        Err(Obstacle::Fields.into())
    } else if slicing.planes_apart {
        Err(Obstacle::PlanesApart.into())
    } else if intra || slicing.kept == 0 {
        Err(Obstacle::OnlyKeys.into())
    } else if u64::from(slicing.width) * u64::from(slicing.height) > LARGEST {
        let samples = u64::from(slicing.width) * u64::from(slicing.height);
        Err(field("HEVC SPS", "PicSizeInSamplesY", samples).into())
    } else {
        Ok((sps, slicing))
    }
}

/// What a unit holds.
struct Found<'a> {
    /// The first slice segment.
    slice: &'a [u8],
    delimited: bool,
}

impl<'a> Found<'a> {
    fn walk(unit: &'a [u8]) -> Result<Self, Refusal> {
        /// `nal_unit_type` (table 7-1).
        const TRAIL_R: u8 = 1;
        const DELIMITER: u8 = 35;
        const SEQUENCE_END: u8 = 36;
        const BITSTREAM_END: u8 = 37;
        let (mut slice, mut delimited) = (None, false);
        for range in nal::ranges(unit, Framing::Lengths(4)) {
            let nal = unit.get(range?).unwrap_or_default();
            let &[first, second, ..] = nal else {
                return Err(MuxError::Truncated { what: "HEVC NAL unit", at: nal.len() }.into());
            };
            // nuh_layer_id
            if first & 1 != 0 || second & 0xf8 != 0 {
                return Err(Obstacle::Layers.into());
            }
            let kind = hevc::unit_type(first);
            match kind {
                DELIMITER => delimited = true,
                SEQUENCE_END | BITSTREAM_END => return Err(Obstacle::End.into()),
                _ if !hevc::is_picture(kind) => {}
                // The places of others are counted from the last picture of the lowest layer (§8.3.1).
                _ if second != LOWEST_LAYER => return Err(Obstacle::Sublayers.into()),
                TRAIL_R => slice = slice.or(Some(nal)),
                _ if hevc::is_key(kind) => slice = slice.or(Some(nal)),
                // Leading pictures, and those that none of their own layer may refer to.
                _ => return Err(Obstacle::Unreferenced.into()),
            }
        }
        let slice = slice.ok_or(MuxError::Empty { codec: Codec::Hevc })?;
        Ok(Self { slice, delimited })
    }
}

#[cfg(test)]
mod tests;
