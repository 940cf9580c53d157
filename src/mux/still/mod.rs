//! A still: a picture that is the one before it, for places of a stream whose source hangs. It is made behind the encoder,
//! of what the last picture's header says.
//!
//! - H.264 and HEVC: a picture of one slice in which every block is skipped. A skipped block takes the last picture as it is,
//!   and there is nothing in it to quantise and nothing between its blocks to smooth.
//! - AV1: a header that shows the frame once more that the last one left in a decoder's memory (`show_existing_frame`).
//!
//! What the source coded after its last unit cannot be decoded after a still of H.264 or HEVC: a keyframe must follow.
//!
//! *Invariant:* where the last picture leaves any doubt about what a decoder would show, there is no still but a reason.

mod av1;
mod avc;
mod cabac;
mod hevc;

use bytes::Bytes;

use super::MuxError;
use crate::model::{Codec, CodecConfig};

/// Why nothing can repeat a picture.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It has no pictures.
    #[error("a still of {} cannot be made", .0.label())]
    Codec(Codec),
    /// The configuration or the picture could not be read.
    #[error(transparent)]
    Unreadable(#[from] MuxError),
    /// A slice names a parameter set that the configuration lacks.
    #[error("the picture refers to {what} {id}, which its configuration lacks")]
    UnknownSet {
        /// Which kind.
        what: &'static str,
        /// Its id.
        id: u8,
    },
    /// What the stream or its last picture is made of does not allow for one.
    #[error("a picture cannot be repeated behind {0}")]
    Behind(Obstacle),
}

/// What no still can come after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// There may be fields (H.264: `frame_mbs_only_flag` is 0), or two in a frame (HEVC).
    #[error("interlaced pictures")]
    Fields,
    /// More than one slice group.
    #[error("slice groups")]
    SliceGroups,
    /// Slices in partitions (NAL unit types 2–4).
    #[error("partitioned slices")]
    Partitions,
    /// Another layer, another view or an alpha picture, which would have to be repeated as well (H.264: NAL unit types 19–21).
    #[error("a picture of several layers")]
    Layers,
    /// `separate_colour_plane_flag` is 1.
    #[error("colour planes that are coded apart")]
    PlanesApart,
    /// `pic_order_cnt_type` is 1, for which the pictures before the last would have to be known. Encoders use 0 and 2.
    #[error("pictures that are ordered by a cycle")]
    OrderCycle,
    /// The profile has no P pictures, or a decoder keeps no reference.
    #[error("a stream of nothing but keyframes")]
    OnlyKeys,
    /// A picture that is shown between earlier ones.
    #[error("a B picture")]
    BPicture,
    /// SP and SI slices.
    #[error("a switching picture")]
    Switching,
    /// A picture that is a long-term reference itself, or after which all counting starts over.
    #[error("a picture that changes what references are")]
    Memory,
    /// A picture that is no reference where `frame_num` may leap: a decoder may have made up the reference before it.
    #[error("a picture that is no reference, where some may be missing")]
    Gaps,
    /// After an end of sequence comes a keyframe (NAL unit types 10 and 11, of HEVC 36 and 37).
    #[error("the end of a sequence")]
    End,
    /// HEVC's profiles for several layers and for what screens show, and what may come after them: slices hold more there.
    #[error("slices of an unknown profile")]
    Profile,
    /// A `TemporalId` above 0, by which no places are counted.
    #[error("a picture of a higher sub-layer")]
    Sublayers,
    /// No later picture may refer to it (HEVC).
    #[error("a picture that is no reference")]
    Unreferenced,
    /// It leaves a decoder's memory as it was, so what could be shown again is what the picture before it left (AV1).
    #[error("a frame that is kept nowhere")]
    KeptNowhere,
    /// It is decoded, but not shown, so the last that was shown is another one.
    #[error("a picture that is not shown")]
    Hidden,
    /// A frame that is shown as a keyframe must not be shown once more (AV1 §6.8.2).
    #[error("a keyframe of AV1")]
    ShownOnce,
    /// A frame that was decoded earlier, maybe a keyframe, was shown (AV1).
    #[error("a frame that was decoded earlier")]
    Existing,
}

impl From<Obstacle> for Refusal {
    fn from(obstacle: Obstacle) -> Self {
        Self::Behind(obstacle)
    }
}

/// Stills after a picture, one after the other, without end.
#[derive(Clone, Debug)]
pub struct Stills(Made);

/// By codec.
#[derive(Clone, Debug)]
enum Made {
    Avc(avc::Stills),
    Hevc(hevc::Stills),
    Av1(av1::Stills),
}

impl Stills {
    /// For `config` and the payload of the last unit that was sent with it, in the form that [`Codec`] states.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn after(config: &CodecConfig, last: &[u8]) -> Result<Self, Refusal> {
        Ok(Self(match config.codec {
            Codec::H264 => Made::Avc(avc::Stills::after(config, last)?),
            Codec::Hevc => Made::Hevc(hevc::Stills::after(config, last)?),
            Codec::Av1 => Made::Av1(av1::Stills::after(config, last)?),
            sound @ (Codec::Aac | Codec::Opus) => return Err(Refusal::Codec(sound)),
        }))
    }

    /// The payload of the next one, in the form that [`Codec`] states.
    pub fn next_unit(&mut self) -> Bytes {
        match &mut self.0 {
            Made::Avc(stills) => stills.next_unit(),
            Made::Hevc(stills) => stills.next_unit(),
            Made::Av1(stills) => stills.next_unit(),
        }
    }
}

/// The lowest `bits` bits, at most 31.
const fn mask(bits: u32) -> u32 {
    (1 << bits) - 1
}
