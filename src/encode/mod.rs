//! Encoded once; carried to the data plane.
//!
//! ```text
//!   table ──► build ──► an element                     worker: frames ──► elements ──► protocol ──► data plane
//!     └─► choose: probe ──child──► trial ─┐            slate: one picture ──► elements ──► a file ──────┘
//!            └──── verdict ◄── outcome ◄──┘
//! ```
//!
//! *Invariant:* nothing outside this room and `capture` links GStreamer, and what links it sits behind the feature
//! `encode`. The worker protocol does not: the data plane speaks it too. An encoder that was not tried in a child
//! process is not run in a worker.

// Which elements, what to tell them, and what a trial of them means.                              pure
pub mod error;
pub mod report;
pub mod table;
pub mod verdict;

// A table entry becomes an element, and is tried.                                     (feature "encode")
#[cfg(feature = "encode")]
pub mod build;
#[cfg(feature = "encode")]
mod cache;
#[cfg(feature = "encode")]
pub mod choose;
#[cfg(feature = "encode")]
pub mod command;
#[cfg(all(test, feature = "encode"))]
mod decoded;
#[cfg(feature = "encode")]
mod machine;
#[cfg(feature = "encode")]
mod offline;
#[cfg(feature = "encode")]
pub mod probe;
#[cfg(feature = "encode")]
pub mod registry;
#[cfg(feature = "encode")]
mod trial;

// What is sent when there is no picture.
pub mod slate;

// What an input shows, as a small file.
pub mod thumbnail;

// How high the picture's bit rate is.                                                             pure
pub mod bitrate;

// How units get to the data plane.                                                                pure
pub mod protocol;
pub mod session;
#[cfg(feature = "encode")]
pub mod worker;
