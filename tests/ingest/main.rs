//! Inputs over a network, as senders that nobody here wrote find them: real programs, real sockets, and every picture and
//! packet of sound that arrives compared with what was sent.
//!
//! Needs what `make setup` installs. Real time, a minute or two.

// A test says what it expected by panicking, and it is about real time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    missing_docs,
    unreachable_pub
)]

mod support;

mod rtmp;
mod rtsp;
