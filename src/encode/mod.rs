//! Encoded once; carried to the data plane.
//!
//! *Invariant:* nothing outside this room and `capture` links GStreamer, and what links it sits behind the feature
//! `encode`. The worker protocol does not: the data plane speaks it too.

pub mod protocol;
pub mod session;
