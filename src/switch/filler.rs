//! What fills the places of a stream for which no live unit comes: the last picture for a while, then the slate.
//!
//! A viewer takes a picture that stands still for half a second for nothing, and a card that flashes up for as long for an
//! accident. So where a source ends without a word, its last picture is repeated until the next source delivers, and only if
//! that takes long the slate comes. See [`crate::mux::still`] for how a picture is repeated that was never decoded here;
//! where it cannot be, the slate comes at once.

use std::sync::Arc;

use bytes::Bytes;

use super::programme::{SLATE, STILL};
use crate::model::{AccessUnit, Codec, CodecConfig, InputId, RenditionId};
use crate::mux::still::{Obstacle, Refusal, Stills};

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

/// The last two pictures of a live input that were sent: what of their units has to be kept to repeat one.
#[derive(Debug, Default)]
pub(super) struct Pictures {
    last: Option<Picture>,
    before: Option<Picture>,
}

#[derive(Debug)]
struct Picture {
    config: Arc<CodecConfig>,
    payload: Bytes,
}

impl Pictures {
    /// One more was sent.
    pub(super) fn push(&mut self, unit: &AccessUnit) {
        let sent = Picture { config: unit.config.clone(), payload: unit.payload.clone() };
        self.before = self.last.replace(sent);
    }

    /// What repeats the last one, or the one before where the last has left a decoder's memory as it was.
    fn stills(self) -> Option<(Stills, Arc<CodecConfig>)> {
        let after = |picture: &Picture| Stills::after(&picture.config, &picture.payload);
        let last = self.last?;
        match after(&last) {
            Ok(stills) => Some((stills, last.config)),
            Err(Refusal::Behind(Obstacle::KeptNowhere)) => {
                let before = self.before?;
                Some((after(&before).ok()?, before.config))
            }
            Err(_) => None,
        }
    }
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

    /// The last of `pictures` for at most so many places, if it can be repeated.
    pub(super) fn after(pictures: Pictures, places: u32) -> Self {
        if places == 0 {
            return Self::CLIP;
        }
        match pictures.stills() {
            Some((stills, config)) => Self::Still { stills: Box::new(stills), config, left: places },
            None => Self::CLIP,
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
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::model::{Media, Track};
    use crate::mux::fixtures;

    /// What stands in behind these pictures for three places, and then the slate.
    fn held(codec: Codec, units: &[(Arc<CodecConfig>, Bytes)]) -> (Vec<StandIn>, Bytes) {
        let mut pictures = Pictures::default();
        for (config, payload) in units {
            pictures.push(&AccessUnit {
                input: InputId::new("camera").unwrap(),
                rendition: RenditionId::new("main").unwrap(),
                track: Track::Video,
                pts: Media::ZERO,
                dts: Media::ZERO,
                key: false,
                config: config.clone(),
                payload: payload.clone(),
            });
        }
        let (config, rendition) = (fixtures::canonical(codec)[0].config.clone(), RenditionId::new("main").unwrap());
        let clip = SlateClip { rendition, config, units: vec![Bytes::from_static(b"slate")] };
        let mut filler = Filler::after(pictures, 3);
        let fills: Vec<Fill> = (0..4).map(|_| filler.next(&clip).unwrap()).collect();
        (fills.iter().map(|fill| fill.stand_in).collect(), fills[0].payload.clone())
    }

    /// The first units of a real encoder.
    fn sent(codec: Codec) -> Vec<(Arc<CodecConfig>, Bytes)> {
        fixtures::canonical(codec).into_iter().map(|unit| (unit.config, unit.payload)).collect()
    }

    const HELD: [StandIn; 4] = [StandIn::Still, StandIn::Still, StandIn::Still, StandIn::Slate];

    #[test]
    fn a_picture_of_every_codec_is_held_for_as_long_as_it_may_be() {
        for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
            assert_eq!(held(codec, &sent(codec)[..2]).0, HELD, "{codec:?}");
            assert_eq!(held(codec, &[]).0, [StandIn::Slate; 4], "{codec:?}");
        }
        assert_eq!(held(Codec::Av1, &sent(Codec::Av1)[..1]).0, [StandIn::Slate; 4], "a keyframe");
    }

    #[test]
    fn behind_a_frame_that_is_kept_nowhere_the_one_before_is_held() {
        let [key, kept, ..] = &sent(Codec::Av1)[..] else { panic!("eight frames") };
        let (_, expected) = held(Codec::Av1, &[key.clone(), kept.clone()]);
        let nowhere = (kept.0.clone(), kept_nowhere(&kept.1));
        let fate = Stills::after(&nowhere.0, &nowhere.1).map(|_| ());
        assert_eq!(fate, Err(Refusal::Behind(Obstacle::KeptNowhere)));
        assert_eq!(held(Codec::Av1, &[kept.clone(), nowhere.clone()]), (HELD.to_vec(), expected));
        assert_eq!(held(Codec::Av1, &[kept.clone(), nowhere.clone(), nowhere.clone()]).0, [StandIn::Slate; 4]);
        assert_eq!(held(Codec::Av1, &[key.clone(), nowhere]).0, [StandIn::Slate; 4]);
    }

    /// The frame with `refresh_frame_flags` 0: they lie 31 bits behind the header of the unit and its size.
    fn kept_nowhere(unit: &[u8]) -> Bytes {
        let mut unit = unit.to_vec();
        (unit[6], unit[7]) = (unit[6] & 0xfe, unit[7] & 0x01);
        unit.into()
    }
}
