//! Stills of H.264 (ITU-T H.264): a P picture of one slice whose macroblocks are all skipped.
//!
//! A skipped macroblock takes the first reference picture as it is: at the edges its motion is none (§8.4.1.1), and so it is
//! wherever the neighbours' is none. There is nothing in it to quantise, and nothing between its blocks to smooth
//! (§8.7.2.1). The first reference is the last one that was decoded (§8.2.4.2.1).
//!
//! Stills are reference pictures themselves, each with the next `frame_num`.

mod header;
mod skipped;

use bytes::Bytes;

use super::{MuxError, Obstacle, Refusal, cabac, mask};
use crate::model::{Codec, CodecConfig};
use crate::mux::avc::{self, Order, PPS, SPS, Slicing};
use crate::mux::bits::{Writer, escape_into};
use crate::mux::error::field;
use crate::mux::nal::{self, Framing};
use header::{Kind, Pps, Slice};

/// See [`super::Stills`].
#[derive(Clone, Debug)]
pub(super) struct Stills {
    slicing: Slicing,
    chroma: u8,
    pps: Pps,
    /// Of the next still.
    frame_num: u32,
    /// `pic_order_cnt_lsb` of the next still; 0 where pictures are shown as decoded.
    order: u32,
    /// `delta_pic_order_cnt_bottom`, as in the last picture.
    bottom: i64,
    /// What follows the slice header.
    data: Data,
    delimited: bool,
}

/// All macroblocks skipped, with the slice's end.
#[derive(Clone, Debug)]
enum Data {
    /// CAVLC: their number.
    Run(u32),
    /// CABAC: whole bytes.
    Coded(Vec<u8>),
}

/// Table A-1, level 6.2, macroblocks.
const LARGEST: u64 = 139_264;
/// From one frame to the next, in `pic_order_cnt_lsb`. Where an encoder counts by one, two is later as well.
const ORDER_STEP: u32 = 2;

impl Stills {
    /// After a picture that is no reference, a still repeats the reference before it.
    pub(super) fn after(config: &CodecConfig, last: &[u8]) -> Result<Self, Refusal> {
        let found = Found::walk(last)?;
        let (_, sets) = avc::parse_avcc(&config.record)?;
        let id = header::pps_id(found.slice)?;
        let pps = sets.of(PPS).find(|pps| avc::parse_pps_id(pps) == Ok(id));
        let pps = Pps::parse(pps.ok_or(Refusal::UnknownSet { what: "picture parameter set", id })?)?;
        let (id, mut sps) = (pps.sps, None);
        for unit in sets.of(SPS) {
            let parsed = avc::parse_slicing(unit)?;
            if parsed.0.id == id {
                sps = Some(parsed);
            }
        }
        let (sps, slicing) = sps.ok_or(Refusal::UnknownSet { what: "sequence parameter set", id })?;
        check(&sps, &slicing)?;
        let slice = Slice::parse(found.slice, &slicing, sps.chroma, &pps)?;
        if slice.reference == 0 && slicing.gaps {
            return Err(Obstacle::Gaps.into());
        }
        let macroblocks = slicing.columns.saturating_mul(slicing.rows);
        if macroblocks > LARGEST {
            return Err(field("H.264 SPS", "PicSizeInMbs", macroblocks).into());
        }
        let macroblocks = macroblocks as u32;
        let mut stills = Self {
            slicing,
            chroma: sps.chroma,
            pps,
            frame_num: slice.frame_num,
            order: slice.order,
            bottom: slice.bottom,
            data: if pps.cabac { Data::Coded(skipped::cabac(macroblocks)) } else { Data::Run(macroblocks) },
            delimited: found.delimited,
        };
        stills.advance(slice.reference != 0);
        Ok(stills)
    }

    pub(super) fn next_unit(&mut self) -> Bytes {
        /// `nal_ref_idc` 1, a slice of another picture than a keyframe.
        const SLICE: u8 = 0x21;
        /// An access unit delimiter that allows for I and P slices (§7.4.2.4).
        const DELIMITER: [u8; 6] = [0, 0, 0, 2, 9, 0x30];
        let mut bits = Writer::default();
        self.write_header(&mut bits);
        match &self.data {
            Data::Run(macroblocks) => {
                bits.ue(*macroblocks);
                bits.flag(true); // rbsp_stop_one_bit
            }
            Data::Coded(bytes) => {
                bits.align(true); // cabac_alignment_one_bit
                bits.bytes(bytes);
            }
        }
        let mut unit = vec![SLICE];
        escape_into(&bits.whole(), &mut unit);
        let delimiter = if self.delimited { &DELIMITER[..] } else { &[] };
        self.advance(true);
        [delimiter, &(unit.len() as u32).to_be_bytes(), &unit].concat().into()
    }

    /// §7.3.3.
    fn write_header(&self, bits: &mut Writer) {
        let pps = &self.pps;
        bits.ue(0); // first_mb_in_slice
        bits.ue(5); // slice_type: all slices of this picture are P
        bits.ue(pps.id.into());
        bits.u(self.frame_num, self.slicing.frame_num_bits);
        if let Order::Told(n) = self.slicing.order {
            bits.u(self.order, n);
            if pps.bottom_order {
                bits.se(self.bottom);
            }
        }
        if pps.redundant {
            bits.ue(0); // redundant_pic_cnt: the primary picture
        }
        bits.flag(pps.references > 1); // num_ref_idx_active_override_flag
        if pps.references > 1 {
            bits.ue(0); // one
        }
        bits.flag(false); // ref_pic_list_modification_flag_l0
        if pps.weighted {
            // Factors of one for the only reference (§8.4.2.3.2).
            bits.ue(0);
            if self.chroma != 0 {
                bits.ue(0);
                bits.flag(false);
            }
            bits.flag(false);
        }
        bits.flag(false); // adaptive_ref_pic_marking_mode_flag
        if pps.cabac {
            bits.ue(skipped::INIT_IDC);
            bits.se(cabac::QP - pps.qp);
        } else {
            bits.se(0); // slice_qp_delta
        }
        if pps.deblocking {
            bits.ue(1); // disable_deblocking_filter_idc
        }
    }

    /// Counts on behind a picture (§7.4.3).
    fn advance(&mut self, reference: bool) {
        // A picture that is no reference has the number that the next one has.
        self.frame_num = (self.frame_num + u32::from(reference)) & mask(self.slicing.frame_num_bits);
        if let Order::Told(n) = self.slicing.order {
            self.order = (self.order + ORDER_STEP) & mask(n);
        }
    }
}

fn check(sps: &avc::Sps, slicing: &Slicing) -> Result<(), Obstacle> {
    /// constraint_set3_flag: of these profiles, intra only (§A.2.8–A.2.10).
    const INTRA: u8 = 0x10;
    /// CAVLC 4:4:4 Intra (§A.2.11).
    const CAVLC_INTRA: u8 = 44;
    let intra = matches!(sps.profile, 110 | 122 | 244) && sps.compatibility & INTRA != 0;
    if !slicing.progressive {
        Err(Obstacle::Fields)
    } else if slicing.planes_apart {
        Err(Obstacle::PlanesApart)
    } else if intra || sps.profile == CAVLC_INTRA || slicing.references == 0 {
        Err(Obstacle::OnlyKeys)
    } else if slicing.order == Order::Cycle {
        Err(Obstacle::OrderCycle)
    } else {
        Ok(())
    }
}

/// What a unit holds.
struct Found<'a> {
    /// The first slice.
    slice: &'a [u8],
    delimited: bool,
}

impl<'a> Found<'a> {
    fn walk(unit: &'a [u8]) -> Result<Self, Refusal> {
        let (mut slice, mut delimited) = (None, false);
        for range in nal::ranges(unit, Framing::Lengths(4)) {
            let nal = unit.get(range?).unwrap_or_default();
            let kind = avc::unit_type(nal.first().copied().unwrap_or_default());
            match kind {
                1 | 5 => {
                    match header::kind(nal)? {
                        Kind::P | Kind::I => {}
                        Kind::B => return Err(Obstacle::BPicture.into()),
                        Kind::Switching => return Err(Obstacle::Switching.into()),
                    }
                    slice = slice.or(Some(nal));
                }
                2..=4 => return Err(Obstacle::Partitions.into()),
                9 => delimited = true,
                10 | 11 => return Err(Obstacle::End.into()),
                19..=21 => return Err(Obstacle::Layers.into()),
                _ => {}
            }
        }
        let slice = slice.ok_or(MuxError::Empty { codec: Codec::H264 })?;
        Ok(Self { slice, delimited })
    }
}

#[cfg(test)]
mod tests;
