//! Inputs that come over a network: the sessions with their senders, which live in the data plane.
//!
//! ```text
//!   sender ──► session (SRT, RTMP, RTSP) ──Arrival──► its time becomes ours ──► decode worker, or the switch as it is
//! ```
//!
//! *Invariant:* what a sender does, it does to its own input. No stream key is in what is said of it.

pub mod arrival;
pub mod clock;
mod outlet;
pub mod passing;
mod pauses;
pub mod rtmp;
pub mod rtsp;
pub mod srt;
pub mod strand;
mod teller;
pub mod truth;
