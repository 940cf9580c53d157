//! Bad networks on demand: a model of a link, and emulators that put it between real sockets.
//!
//! ```text
//!                    ┌─ queue ─► wire at a rate ─► hole? lost? ─► delay + jitter ─┐
//!   packet, now ──►  │   │ full                       │                           │ ──► packet, when it arrives
//!                    └───┴── counted, gone ◄──────────┴─ copies ──────────────────┘
//!
//!   Link (one direction)  ⊂  Duplex (a cable: two Links, one carrier)  ⊂  Emulator (Duplexes between real sockets)
//!                             ▲                                           ▲
//!                   Change ───┴── from a Plan in virtual time, or typed, or read from a socket, while it runs
//! ```
//!
//! [`link`] to [`plan`] are pure: `now` is an argument and every chance comes from a seed, so they serve simulations in
//! virtual time. [`emulator`] runs the very same links in real time, between UDP and TCP sockets or between two TAP
//! devices in namespaces of their own, whose carrier it can really take away. Kernels without `sch_netem` are common
//! (cloud and appliance kernels leave it out), and tests must not depend on which one they run on.
//!
//! The crate `str0m-netem` was considered: it counts what is in flight as queued (so a long link needs a queue of its
//! bandwidth-delay product to reach its rate), reseeds itself with every change of conditions, cannot reorder by jitter,
//! reads the clock when idle, and knows neither black holes nor carriers.
//!
//! *Invariant:* same seed, same packets and times in, same packets and times out; and one impairment's chances never
//! depend on whether another is switched on.

mod change;
mod conditions;
mod duplex;
mod link;
mod plan;

pub mod emulator;
mod namespace;
mod testbed;

pub use change::{Change, Direction, NotAChange};
pub use conditions::{Bottleneck, Bursts, Conditions, Jitter, Loss, Queue};
pub use duplex::{Duplex, End};
pub use emulator::Emulator;
pub use link::{Counters, Entry, Link};
pub use namespace::Namespace;
pub use plan::{NotAPlan, Plan, Step};
pub use testbed::{RELAY, Testbed, Uplink, Wires};
