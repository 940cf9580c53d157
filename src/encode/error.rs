//! Why there is no encoder, in words an operator can act on.

use crate::model::Codec;

/// Why an encoder could not be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncoderError {
    /// The configuration names a family that the table does not have.
    #[error("there is no encoder family {0:?}; `holdfast probe` lists them")]
    UnknownFamily(String),
    /// The family exists but never makes this codec.
    #[error("{family} does not make {}", codec.label())]
    WrongCodec {
        /// The family.
        family: String,
        /// What was asked for.
        codec: Codec,
    },
    /// Neither the element nor any of its alternatives is registered.
    #[error("GStreamer has no {elements} here: {remedy}")]
    NotRegistered {
        /// The elements looked for.
        elements: String,
        /// What is missing and would help.
        remedy: String,
    },
    /// GStreamer has the element but could not make one, or it refuses a setting.
    #[error("{factory}: {why}")]
    Element {
        /// The element.
        factory: String,
        /// What went wrong.
        why: String,
    },
    /// Every candidate was tried.
    #[error("no encoder for {} {width}x{height} works here:{}", codec.label(), list(tried))]
    NoneWorks {
        /// What was asked for.
        codec: Codec,
        /// Pixels across.
        width: u32,
        /// Pixels down.
        height: u32,
        /// Each family with what was wrong with it, in the order of trying.
        tried: Vec<(String, String)>,
    },
    /// GStreamer itself does not start.
    #[error("GStreamer does not start: {0}")]
    Gstreamer(String),
}

fn list(tried: &[(String, String)]) -> String {
    tried.iter().map(|(family, why)| format!("\n  {family}: {why}")).collect()
}
