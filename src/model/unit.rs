//! One encoded picture or one packet of sound.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{CodecConfig, InputId, Media, RenditionId};

/// Picture or sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// One access unit: everything that belongs to one instant of one track. Shared as `Arc<AccessUnit>`; nobody copies
/// the payload.
#[derive(Clone, Debug)]
pub struct AccessUnit {
    /// Where it came from. The slate is an input too.
    pub input: InputId,
    /// Which encode it belongs to.
    pub rendition: RenditionId,
    /// Picture or sound.
    pub track: Track,
    /// When it is shown. On CLOCK_MONOTONIC before the switch, programme time after it.
    pub pts: Media,
    /// When it is decoded. Our own encoders have no reordering: `dts == pts`.
    pub dts: Media,
    /// A decoder can start here. Always true for sound.
    pub key: bool,
    /// What a decoder needs to read `payload`; compare by value (cheap when the pointers are equal).
    pub config: Arc<CodecConfig>,
    /// The bytes, in the form [`super::Codec`] states.
    pub payload: Bytes,
}
