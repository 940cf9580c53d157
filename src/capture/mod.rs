//! A picture and its sound come in and are put on the shared grids.
//!
//! ```text
//!   pattern ───────────────────────────────┐
//!   file ── decode ahead ── FilePace, Tape ┼─► Source: "the picture of place n?" "the sound of samples s…?"
//!   live ── LiveQueue, ring + Drift ───────┘    │         asked by the grid thread of the encode worker
//!     │                                         │
//!     ├── all that comes ── witness, truth ─────┴─► Condition: "what is wrong with it?"
//!     └ signal asks the receiver on a second descriptor; receiver says what its answers mean and when they count;
//!       plug hears devices come and go; board knows what the hardware profile says of them
//! ```
//!
//! Beside all that, `devices` asks what a capture device can deliver, for whoever plugs one in; `catalogue` puts it into words.
//!
//! Sources come and go by themselves; [`source::Source`] always answers at once with what there is.
//!
//! *Invariant:* this room never invents a picture: where the source gave none, nothing is delivered and the data plane
//! shows the slate.

pub mod blockcode;
pub mod board;
pub mod drift;
pub mod edid_io;
pub mod pace;
pub mod pattern;
pub mod plug;
pub mod receiver;
pub mod signal;
pub mod tape;
pub mod truth;

#[cfg(feature = "encode")]
mod alsa;
#[cfg(feature = "encode")]
mod branches;
#[cfg(feature = "encode")]
pub mod canvas;
#[cfg(feature = "encode")]
pub mod catalogue;
#[cfg(feature = "encode")]
pub mod devices;
#[cfg(feature = "encode")]
mod file;
#[cfg(feature = "encode")]
mod held;
#[cfg(feature = "encode")]
mod live;
#[cfg(feature = "encode")]
pub mod network;
#[cfg(feature = "encode")]
pub mod pipeline;
#[cfg(feature = "encode")]
pub mod source;
#[cfg(feature = "encode")]
mod stretch;
#[cfg(feature = "encode")]
mod witness;

/// Why a pipeline could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Something GStreamer does not have here.
    #[error("GStreamer has no {0}; install its base, good, bad, ugly and libav plugin packages")]
    Missing(String),
    /// Two elements that should fit do not.
    #[error("{0} does not fit its neighbour in the pipeline")]
    Link(&'static str),
}

/// What happened to a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It delivers; what it is, in words.
    Signal(String),
    /// It does not deliver; why, in words. It is tried again.
    Lost(String),
    /// Its sound comes.
    Sound,
    /// Its sound does not come, whatever its picture does; why, in words. It is tried again.
    SoundLost(String),
    /// Something to know that takes nothing away as yet, in words.
    Note(String),
    /// A driver does not let go; only the end of this process frees it.
    Stuck(String),
}
