//! Stills of AV1: a header that shows the frame once more that the last one left in a decoder's memory
//! (`show_existing_frame`, §5.9.2), with its film grain (§6.8.2).
//!
//! It changes nothing in the memory, so any number of them may follow, and then what the source goes on with. Only frames
//! that are no keyframes can be shown so (`showable_frame`): a keyframe would be shown as one, and once at most.

mod header;

use bytes::{BufMut, Bytes, BytesMut};

use super::{MuxError, Obstacle, Refusal, mask};
use crate::model::{Codec, CodecConfig, TrackFormat};
use crate::mux::av1::{self, Model};
use crate::mux::bits::Writer;
use header::Frame;

/// See [`super::Stills`].
#[derive(Clone, Debug)]
pub(super) struct Stills {
    /// `obu_header` of the last frame, with an extension where it has one.
    extension: Option<u8>,
    /// `frame_to_show_map_idx`.
    slot: u32,
    /// `frame_presentation_time`, where it is told.
    clock: Option<Clock>,
    /// `display_frame_id` and its bits, where frames have one.
    id: Option<(u32, u32)>,
}

/// Counts the ticks at which pictures are shown.
#[derive(Clone, Copy, Debug)]
struct Clock {
    last: u32,
    bits: u32,
    /// Ticks from one picture to the next, as a fraction.
    step: (u128, u128),
    /// Of the next still.
    number: u128,
}

impl Stills {
    pub(super) fn after(config: &CodecConfig, last: &[u8]) -> Result<Self, Refusal> {
        let sequence = av1::parse_av1c(&config.record)?.ok_or(MuxError::NoConfiguration { codec: Codec::Av1 })?;
        let (sequence, tools) = av1::parse_tools(sequence)?;
        if sequence.still {
            return Err(Obstacle::OnlyKeys.into());
        }
        if sequence.spatial_layers > 1 {
            return Err(Obstacle::Layers.into());
        }
        let mut shown = None;
        for obu in av1::obus(last) {
            let obu = obu?;
            if !matches!(obu.obu_type, av1::FRAME | av1::FRAME_HEADER) {
                continue;
            }
            // One frame is shown, the last.
            if shown.is_some() {
                return Err(Obstacle::Layers.into());
            }
            let extension = last.get(obu.whole.start).filter(|header| **header & 4 != 0);
            let extension = extension.and_then(|_| last.get(obu.whole.start + 1)).copied();
            let frame = Frame::parse(last.get(obu.payload).unwrap_or_default(), &tools, extension.unwrap_or_default())?;
            if frame.shown {
                shown = Some((frame, extension));
            }
        }
        let (frame, extension) = shown.ok_or(MuxError::Empty { codec: Codec::Av1 })?;
        if frame.refreshed == 0 {
            return Err(Obstacle::KeptNowhere.into());
        }
        let clock = match (tools.model, frame.presented) {
            (Some(model), Some(last)) => Some(Clock::new(&model, config, last)?),
            _ => None,
        };
        Ok(Self { extension, slot: frame.refreshed.trailing_zeros(), clock, id: frame.id.zip(tools.id_bits) })
    }

    pub(super) fn next_unit(&mut self) -> Bytes {
        let mut bits = Writer::default();
        bits.flag(true); // show_existing_frame
        bits.u(self.slot, 3);
        if let Some(clock) = &mut self.clock {
            bits.u(clock.next(), clock.bits);
        }
        if let Some((id, length)) = self.id {
            bits.u(id, length);
        }
        bits.flag(true); // trailing_one_bit
        let payload = bits.whole();
        let mut unit = BytesMut::with_capacity(payload.len() + 3);
        // obu_extension_flag, obu_has_size_field
        unit.put_u8(av1::FRAME_HEADER << 3 | u8::from(self.extension.is_some()) << 2 | 2);
        unit.extend(self.extension);
        av1::put_leb128(&mut unit, payload.len());
        unit.put_slice(&payload);
        unit.freeze()
    }
}

impl Clock {
    /// `last` is that of the last picture.
    fn new(model: &Model, config: &CodecConfig, last: u32) -> Result<Self, Refusal> {
        let TrackFormat::Video(format) = config.format else { return Err(Refusal::Codec(config.codec)) };
        let step = (
            u128::from(model.time_scale) * u128::from(format.rate.den),
            u128::from(model.units_in_tick) * u128::from(format.rate.num),
        );
        if step.0 == 0 || step.1 == 0 {
            return Err(crate::mux::error::field("AV1 sequence header", "num_units_in_display_tick", 0u8).into());
        }
        Ok(Self { last, bits: model.presentation_bits, step, number: 1 })
    }

    fn next(&mut self) -> u32 {
        let ticks = (self.number * self.step.0 + self.step.1 / 2) / self.step.1;
        self.number += 1;
        let time = (u128::from(self.last) + ticks) as u32;
        if self.bits > 31 { time } else { time & mask(self.bits) }
    }
}

#[cfg(test)]
mod tests;
