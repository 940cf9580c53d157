//! The relay as a process of its own: senders over real sockets, destinations and recordings that keep what they get, and
//! every picture compared with what was sent.
//!
//! Needs what `make setup` installs. Real time, three minutes at most.

// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod support;

mod bonded;
mod changes;
mod codecs;
mod groups;
mod onward;
mod probes;
mod refusals;
mod senders;
