//! A picture and its sound come in and are put on the shared grids.
//!
//! Sources ([`blockcode`]-marked pattern, file, V4L2 + ALSA) come and go; what leaves this room is one picture per place
//! on the video grid and one unbroken run of samples on the audio grid.
//!
//! *Invariant:* this room never invents a picture: where the source gave none, nothing is delivered and the data plane
//! shows the slate.

pub mod blockcode;
pub mod drift;
pub mod pace;
pub mod pattern;
pub mod tape;
