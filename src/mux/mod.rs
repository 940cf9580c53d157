//! Access units become what a container or a wire wants: FLV tags, MP4 fragments, transport packets; and back.
//!
//! ```text
//!   encoder's buffer ──canonical──► AccessUnit ─┬─flv──► RTMP
//!   (Annex B, ADTS, …)   │               ▲      ├─fmp4─► recording
//!                        │               └──────┴─ts───► SRT; both wires are read back, too
//!                        ├ avc, hevc, vui, av1, aac, opus: the bitstreams, as far as a muxer must read them
//!                        └ still: a picture that repeats the one before it
//! ```
//!
//! *Invariant:* payload bytes are passed on by reference, and copied once where headers go between them every 184 bytes; a
//! muxer writes only the bytes around them. No input, however malformed, panics a parser or makes it allocate more than a
//! small multiple of the input's own length.

pub mod aac;
pub mod av1;
pub mod avc;
pub mod canonical;
pub mod flv;
pub mod fmp4;
pub mod hevc;
pub mod nal;
pub mod opus;
pub mod still;
pub mod ts;
pub mod vui;

mod bits;
mod error;
#[cfg(test)]
pub(crate) mod fixtures;
mod rates;

pub use error::MuxError;
