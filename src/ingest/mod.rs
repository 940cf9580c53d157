//! Inputs that come over a network: the sessions with their senders, which live in the data plane.
//!
//! ```text
//!   sender ──► session (SRT, RTMP, RTSP) ──Arrival──► its time becomes ours ──► decode worker, or the switch as it is
//! ```
//!
//! [`rtmp`] is the server that a publisher sends to.
//!
//! *Invariant:* what a sender does, it does to its own input. No stream key is in what is said of it.

pub mod arrival;
pub mod rtmp;
