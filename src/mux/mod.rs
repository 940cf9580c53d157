//! Access units become what a container or a wire wants: FLV tags, MP4 fragments.
//!
//! *Invariant:* payload bytes are passed on by reference; a muxer writes only the bytes around them.

pub mod flv;
