//! SRT beside others: our engine between real sockets, with everybody else's implementation at the other end, and with
//! peers that mean harm.
//!
//! Needs what `make setup` installs; what is missing fails. Real time, three minutes at most.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod endpoint;

mod ffmpeg;
mod groups;
mod gstreamer;
mod hostile;
mod libsrt;
mod live_transmit;
mod ourselves;
mod pipes;
mod srt_tokio;
mod table;
