//! Inputs over a network, session by session, against senders of other makes.
//!
//! Needs what `make setup` installs. Real time.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod support;

mod rtsp;
