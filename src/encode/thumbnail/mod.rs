//! What an input shows, once a second, as a small JPEG that anybody on the box may look at.
//!
//! ```text
//!   grid thread: the picture of the place ──► pace ──► one may wait ──► thumbnail thread: shrink, JPEG, rename
//!     (encoded or not)                          └───── nothing to show ──► the file is removed
//! ```
//!
//! It is the picture that the grid has in hand for the encoders and the judge, at the canvas: nothing is decoded or scaled for
//! it by GStreamer. While one waits the next is not taken, so the grid never waits.
//!
//! *Invariant:* whoever reads the file reads a whole JPEG. There is none while the input has nothing to show ([`Gravity::Hard`])
//! and none after the worker's clean end; of one that was killed the file stays until its replacement or holdfastd removes
//! it, so a reader believes none that is older than [`BELIEVED`].
//!
//! [`Gravity::Hard`]: crate::model::Gravity::Hard

use std::time::Duration;

pub mod pace;
pub mod shrink;

#[cfg(feature = "encode")]
mod keeper;
#[cfg(feature = "encode")]
pub use keeper::{Keeper, ThumbnailFeed, jpeg};

/// Between two.
pub const EVERY: Duration = Duration::from_secs(1);
/// An older one is not what the input shows: five were missed.
pub const BELIEVED: Duration = Duration::from_secs(5);
/// Of the JPEG, 1 to 100: some 10 kB.
pub const QUALITY: u8 = 75;
