//! What a sender over a network delivers, on its way to whoever decodes it.

use std::sync::Arc;

use bytes::Bytes;

use super::{CodecConfig, Media, Track};

/// What comes, in order. Pictures come in decoding order, and a picture's decoding time lies before its presentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Feed {
    /// What the units of its picture or its sound are from here on.
    Format(Arc<CodecConfig>),
    /// One access unit, as [`super::Codec`] states.
    Unit {
        /// Picture or sound.
        track: Track,
        /// A decoder can start here.
        key: bool,
        /// When it is due, on CLOCK_MONOTONIC.
        pts: Media,
        /// When it is to be decoded by.
        dts: Media,
        /// The bytes.
        payload: Bytes,
    },
    /// Nothing follows what came before.
    End {
        /// Why, for people.
        reason: String,
    },
}
