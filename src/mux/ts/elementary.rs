//! Access units in the form that each codec has in PES packets. The payload goes by reference; only AV1 is written anew
//! where it needs emulation prevention.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::av1 as dressed;
use super::packet::Rope;
use super::psi::{Announced, Carriage};
use crate::model::{AccessUnit, Codec, CodecConfig};
use crate::mux::aac::AudioSpecificConfig;
use crate::mux::error::field;
use crate::mux::nal::{self, Framing, ParameterSets};
use crate::mux::{MuxError, aac, av1, avc, hevc};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Access unit delimiter: any slice type may follow.
const AVC_DELIMITER: [u8; 6] = [0, 0, 0, 1, 0x09, 0xf0];
const HEVC_DELIMITER: [u8; 7] = [0, 0, 0, 1, 0x46, 0x01, 0x50];

/// What a configuration's units are dressed in.
#[derive(Clone, Debug)]
pub(super) struct Wardrobe {
    pub(super) config: Arc<CodecConfig>,
    pub(super) announced: Announced,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Delimiter, and the parameter sets in Annex B.
    Nal {
        delimiter: &'static [u8],
        sets: Bytes,
    },
    /// The sequence header OBU, with its size.
    Av1 {
        sequence_header: Bytes,
    },
    Aac(AudioSpecificConfig),
    Opus,
}

impl Wardrobe {
    /// # Errors
    /// A decoder configuration record that does not parse, or that transport streams cannot carry.
    pub(super) fn new(config: &Arc<CodecConfig>) -> Result<Self, MuxError> {
        let kind = match config.codec {
            Codec::H264 => {
                let (framing, sets) = avc::parse_avcc(&config.record)?;
                Kind::Nal { delimiter: &AVC_DELIMITER, sets: annex_b(framing, &sets, &[avc::SPS, avc::PPS])? }
            }
            Codec::Hevc => {
                let (framing, sets) = hevc::parse_hvcc(&config.record)?;
                let sets = annex_b(framing, &sets, &[hevc::VPS, hevc::SPS, hevc::PPS])?;
                Kind::Nal { delimiter: &HEVC_DELIMITER, sets }
            }
            Codec::Av1 => {
                let header = av1::parse_av1c(&config.record)?.ok_or(MuxError::NoConfiguration { codec: Codec::Av1 })?;
                let mut obu = BytesMut::new();
                let bare = [&[av1::SEQUENCE_HEADER << 3], header].concat();
                for found in av1::obus(&bare) {
                    av1::put_with_size(&mut obu, &bare, &found?);
                }
                Kind::Av1 { sequence_header: obu.freeze() }
            }
            Codec::Aac => {
                let parsed = AudioSpecificConfig::parse(&config.record)?;
                aac::adts_header(parsed, 0)?;
                Kind::Aac(parsed)
            }
            Codec::Opus => Kind::Opus,
        };
        Ok(Self { config: config.clone(), announced: Announced::new(config)?, kind })
    }

    pub(super) fn carriage(&self) -> Carriage {
        self.announced.carriage
    }

    /// Whether units with `config` can use this.
    pub(super) fn fits(&self, config: &Arc<CodecConfig>) -> bool {
        Arc::ptr_eq(&self.config, config) || self.config == *config
    }

    /// The payload of the unit's PES packet. `with_config` puts what a decoder needs to begin before it, where the
    /// codec has that in the stream.
    ///
    /// # Errors
    /// A unit that is not in canonical form or larger than its length field can say.
    pub(super) fn dress(&self, unit: &AccessUnit, with_config: bool) -> Result<Rope, MuxError> {
        let mut rope = Rope::default();
        if unit.payload.is_empty() {
            return Err(MuxError::Empty { codec: unit.config.codec });
        }
        match &self.kind {
            Kind::Nal { delimiter, sets } => {
                rope.push(Bytes::from_static(delimiter));
                if with_config {
                    rope.push(sets.clone());
                }
                for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
                    rope.push(Bytes::from_static(&START_CODE));
                    rope.push(unit.payload.slice(range?));
                }
            }
            Kind::Av1 { sequence_header } => {
                if with_config && !has_sequence_header(&unit.payload) {
                    dressed::dress_obu(sequence_header.clone(), &mut rope);
                }
                dressed::dress(&unit.payload, &mut rope)?;
            }
            Kind::Aac(config) => {
                rope.push(Bytes::copy_from_slice(&aac::adts_header(*config, unit.payload.len())?));
                rope.push(unit.payload.clone());
            }
            Kind::Opus => {
                rope.push(opus_control_header(unit.payload.len())?);
                rope.push(unit.payload.clone());
            }
        }
        Ok(rope)
    }
}

fn annex_b(framing: Framing, sets: &ParameterSets, kinds: &[u8]) -> Result<Bytes, MuxError> {
    if framing != Framing::Lengths(4) {
        return Err(field("decoder configuration", "lengthSizeMinusOne", 0u8));
    }
    let mut out = BytesMut::new();
    for unit in kinds.iter().flat_map(|kind| sets.of(*kind)) {
        out.put_slice(&START_CODE);
        out.put_slice(unit);
    }
    Ok(out.freeze())
}

fn has_sequence_header(unit: &[u8]) -> bool {
    av1::obus(unit).flatten().any(|obu| obu.obu_type == av1::SEQUENCE_HEADER)
}

/// `opus_control_header` without trims (*Opus in TS* draft): prefix, and the size in steps of 255.
fn opus_control_header(length: usize) -> Result<Bytes, MuxError> {
    /// The longest packet: 120 ms in 48 frames of the longest size (RFC 6716 §3.2.5).
    const MAX: usize = 61_298;
    if length > MAX {
        return Err(MuxError::TooLarge { what: "an Opus packet", length, max: MAX });
    }
    let mut out = BytesMut::with_capacity(3 + length / 255);
    out.put_slice(&[0x7f, 0xe0]);
    out.put_bytes(255, length / 255);
    out.put_u8((length % 255) as u8);
    Ok(out.freeze())
}
