//! What modems, dishes and the machine say of themselves.
//!
//! ```text
//!   ModemManager ──D-Bus──► modem ───┐
//!   dish ──────────gRPC───► dish ────┼─Reading──► Observer (pure) ──► Hint ──► the data plane's judges of links
//!   /sys, statvfs ────────► machine ─┘              │  └────────────► News ──► the event log, alerts
//!                                                   └─ TelemetrySnapshot ────► holdfast status, holdfast links
//! ```
//!
//! [`Sources`] reads, each source in a task or thread of its own; the [`Observer`] decides what a reading is worth. Every
//! source may be absent, come and go: that is a fact to show, not an error, and is asked for again without noise.
//!
//! # When telemetry says what
//!
//! | | begins | ends |
//! |---|---|---|
//! | hint: dish | it is obstructed, or has an outage, now | 3 s without |
//! | hint: modem | no network any more (for 30 s at most), connection suspended, or the signal below [`modem::LIMITS`] | 3 s without; the signal 3 dB above |
//! | news: dish obstructed, outage | 3 s of it, not necessarily in one | 30 s without |
//! | news: technology | another for 5 s if it is slower, 30 s if it is faster | |
//! | news: roaming, weak signal | 10 s of it | 60 s without |
//! | news: too hot | at the limit for 10 s | 60 s at least 5 °C below it |
//! | news: supply, disk, SIM | at once | 60 s without; a disk 10 % above its limit |
//!
//! What the machine's heat leaves of the bit rates is decided in the room `encode`, from the same readings.
//!
//! *Invariant:* nothing here decides about a link. A hint expires by itself [`crate::link::health::HINT_MOST`] after the
//! reading that it rests on, and a source that hangs holds up neither another source nor holdfastd.

mod hinting;
mod latch;
mod news;
mod observer;
mod reading;
mod sources;

pub mod dish;
pub mod machine;
pub mod modem;

#[cfg(test)]
mod tests;

pub use news::{LinkHint, News};
pub use observer::{Limits, Observer, Output};
pub use reading::{DishId, Reading};
pub use sources::{Bus, Options, Sources};
