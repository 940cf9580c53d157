//! What fills the places of a stream for which no live unit comes: the last picture for a while, then the slate.
//!
//! A viewer takes a picture that stands still for half a second for nothing, and a card that flashes up for as long for an
//! accident. So where a source ends without a word, its last picture is repeated until the next source delivers, and only if
//! that takes long the slate comes. See [`crate::mux::still`] for how a picture is repeated that was never decoded here;
//! where it cannot be, the slate comes at once.

use std::sync::Arc;

use bytes::Bytes;

use super::programme::{SLATE, STILL};
use crate::model::{Codec, CodecConfig, InputId, RenditionId};
use crate::mux::still::Stills;

/// What stands in for a stream: a loop of access units without times of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlateClip {
    /// For which stream.
    pub rendition: RenditionId,
    /// What a decoder needs.
    pub config: Arc<CodecConfig>,
    /// One GOP, the keyframe first; for sound one packet of steady silence.
    pub units: Vec<Bytes>,
}

/// Why a slate cannot be used. The stream goes on with the one it had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlateError {
    /// No such stream.
    #[error("the programme has no rendition {0}")]
    NoSuchRendition(RenditionId),
    /// Made for another codec.
    #[error("the slate of {rendition} is {}, but the rendition is {}; it has to be made again", found.label(), wanted.label())]
    Codec {
        /// Which stream.
        rendition: RenditionId,
        /// Its codec.
        wanted: Codec,
        /// The clip's.
        found: Codec,
    },
    /// Nothing in it.
    #[error("the slate of {0} is empty; it has to be made again")]
    Empty(RenditionId),
}

/// The names that units which are nobody's carry as their input's.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) slate: InputId,
    pub(super) still: InputId,
}

impl Names {
    pub(super) fn new() -> Self {
        let name = |name: &str| InputId::new(name).expect("five lower-case letters");
        Self { slate: name(SLATE), still: name(STILL) }
    }
}

/// What a live stream gives way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StandIn {
    /// Its last picture, while that may stay.
    Still,
    /// The slate, at once.
    Slate,
}

/// The last picture of a live input that was sent: what of its unit has to be kept to repeat it.
#[derive(Clone, Debug)]
pub(super) struct Last {
    pub(super) config: Arc<CodecConfig>,
    pub(super) payload: Bytes,
}

/// What stands in for a stream.
#[derive(Debug)]
pub(super) enum Filler {
    /// Its last picture, for so many places more.
    Still { stills: Box<Stills>, config: Arc<CodecConfig>, left: u32 },
    /// The clip, from this unit on.
    Clip { position: usize },
}

/// One unit that stands in.
pub(super) struct Fill {
    pub(super) stand_in: StandIn,
    pub(super) key: bool,
    pub(super) config: Arc<CodecConfig>,
    pub(super) payload: Bytes,
}

impl Filler {
    /// The clip from its beginning.
    pub(super) const CLIP: Self = Self::Clip { position: 0 };

    /// The picture of `last` for at most so many places, if it can be repeated.
    pub(super) fn after(last: Last, places: u32) -> Self {
        if places == 0 {
            return Self::CLIP;
        }
        match Stills::after(&last.config, &last.payload) {
            Ok(stills) => Self::Still { stills: Box::new(stills), config: last.config, left: places },
            Err(_) => Self::CLIP,
        }
    }

    /// The next unit; `None` from an empty clip.
    pub(super) fn next(&mut self, clip: &SlateClip) -> Option<Fill> {
        if let Self::Still { stills, config, left } = self {
            if let Some(rest) = left.checked_sub(1) {
                *left = rest;
                let (payload, config) = (stills.next_unit(), config.clone());
                return Some(Fill { stand_in: StandIn::Still, key: false, config, payload });
            }
            *self = Self::CLIP;
        }
        let Self::Clip { position } = self else { return None };
        let index = *position % clip.units.len().max(1);
        *position = index + 1;
        let payload = clip.units.get(index)?.clone();
        Some(Fill { stand_in: StandIn::Slate, key: index == 0, config: clip.config.clone(), payload })
    }
}

/// Places that something stood in for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Filled {
    pub(super) still: u64,
    pub(super) slate: u64,
}

impl Filled {
    pub(super) fn count(&mut self, stand_in: StandIn) {
        match stand_in {
            StandIn::Still => self.still += 1,
            StandIn::Slate => self.slate += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::mux::fixtures;

    #[test]
    fn a_picture_of_every_codec_is_held_for_as_long_as_it_may_be() {
        for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
            // The second unit: a keyframe of AV1 cannot be held.
            let unit = fixtures::canonical(codec).swap_remove(1);
            let rendition = RenditionId::new("main").unwrap();
            let clip = SlateClip { rendition, config: unit.config.clone(), units: vec![Bytes::from_static(b"slate")] };
            let mut filler = Filler::after(Last { config: unit.config, payload: unit.payload }, 3);
            let fills: Vec<Fill> = (0..4).map(|_| filler.next(&clip).unwrap()).collect();
            let held: Vec<bool> = fills.iter().map(|fill| fill.stand_in == StandIn::Still && !fill.key).collect();
            assert_eq!(held, [true, true, true, false], "{codec:?}");
            assert_eq!(fills[3].payload, "slate");
        }
    }
}
