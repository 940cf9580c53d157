//! Holdfast's processes against real servers, with faults. Each scenario reads like an incident report.
//!
//! They need what `scripts/setup --test` installs, and they run one at a time, since each wants the machine's cores.
//! `HOLDFAST_SOAK=1` gives full repetition counts (`make soak`).

// A test says what it expected by panicking.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]
// Real processes live in real time.
#![allow(clippy::disallowed_methods)]

mod support;

mod instruments;
