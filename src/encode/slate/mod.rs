//! What is sent when there is no picture: a still, and silence, encoded beforehand.
//!
//! ```text
//!   box's name ─► card ──┐                    ┌─► a file in the slate directory, named by `file`
//!   PNG or JPEG ─► image ┴─► picture ─► make ─┘     Format, Unit … of the picture; Format, Unit … of the silence
//! ```
//!
//! `holdfast-encode slate` makes one file per rendition, once; the data plane loads it before any worker starts, so that
//! it needs no live encoder. Settings decide the file's name, so both sides find it without asking each other; which
//! encoder made it stands inside.
//!
//! A box on which that never worked sends the [`emergency`] slate, which needs no encoder at all.
//!
//! *Invariant:* a file that carries the right name is whole (it is renamed into place), and its first picture is a keyframe.

pub mod card;
pub mod emergency;
pub mod file;
pub mod picture;
mod text;

#[cfg(feature = "encode")]
mod image;
#[cfg(feature = "encode")]
mod make;

#[cfg(feature = "encode")]
pub use image::{ImageError, fit, save_png};
#[cfg(feature = "encode")]
pub use make::{SlateError, make, picture_for};
