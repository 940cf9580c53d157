//! Encoded once; carried to the data plane.
//!
//! *Invariant:* nothing outside this room and `capture` links GStreamer, and what links it sits behind the feature
//! `encode`. The worker protocol does not: the data plane speaks it too.

// Which elements, and what to tell them.                                                          pure
pub mod error;
pub mod table;

// A table entry becomes an element.                                                   (feature "encode")
#[cfg(feature = "encode")]
pub mod build;

// How units get to the data plane.                                                                pure
pub mod protocol;
pub mod session;
#[cfg(feature = "encode")]
pub mod worker;
