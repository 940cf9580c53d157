//! What can be wrong with an encoder's output or a container's bytes.

use crate::model::Codec;

/// Why bytes could not be understood or carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MuxError {
    /// The bytes end inside a structure.
    #[error("{what} ends too early, at byte {at}")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// How far reading got, in bytes from the structure's start.
        at: usize,
    },
    /// A field has a value that its specification forbids or that this box does not carry.
    #[error("{what}: {field} is {value}, which is not allowed here")]
    Field {
        /// The structure.
        what: &'static str,
        /// The specification's name of the field.
        field: &'static str,
        /// Its value.
        value: u64,
    },
    /// No parameter sets or sequence header have been seen, so nothing could decode the unit.
    #[error("{} arrived before its decoder configuration", codec.label())]
    NoConfiguration {
        /// Of which codec.
        codec: Codec,
    },
    /// A unit without a coded picture or packet.
    #[error("a unit of {} holds no coded data", codec.label())]
    Empty {
        /// Of which codec.
        codec: Codec,
    },
    /// Larger than the container's length field can say.
    #[error("{what} is {length} bytes long; at most {max} can be carried")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The greatest length in bytes.
        max: usize,
    },
}

/// Shorthand for [`MuxError::Field`].
pub(super) fn field(what: &'static str, field: &'static str, value: impl Into<u64>) -> MuxError {
    MuxError::Field { what, field, value: value.into() }
}
