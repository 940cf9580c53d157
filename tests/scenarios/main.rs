//! Holdfast's processes against real servers, with faults. Each scenario reads like an incident report.
//!
//! They need what `scripts/setup --test` installs. Those that leave room for others run beside them (`support::turn`).
//! `HOLDFAST_SOAK=1` gives full repetition counts (`make soak`).

// A scenario says what it expected by panicking, and it is about real time.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    missing_docs,
    unreachable_pub
)]

mod support;

mod carriers;
mod data;
mod demo;
mod destinations;
mod failover;
mod faults;
mod heat;
mod hostile;
mod inputs;
mod instruments;
mod narrow;
mod networks;
mod recordings;
mod remote;
mod servers;
mod switches;
mod time;
mod uplinks;
