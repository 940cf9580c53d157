//! Whether what is bound to an interface leaves by it: asked of the kernel, told with what to do.
//!
//! ```text
//!   Links (addresses, default routes, rules) ─┐
//!   kernel ◄── ask: which way? which way back? ├─► Grounds ──► check (pure) ──► PinCheck ──► events, `holdfast links`
//!   sysctl, a socket that sends nothing ──────┘
//! ```
//!
//! A socket that is bound to an interface (SO_BINDTODEVICE) never leaves by another one. That does not make it leave by
//! its own: without a default route *through that interface* IPv4 looks for the whole Internet on the cable and waits, and
//! IPv6 fails; with strict reverse path filtering the questions go out and the answers are thrown away. Both look like a
//! dead link. So the kernel is asked beforehand what it would do; nothing is sent for that.
//!
//! *Invariant:* looking changes nothing, sends nothing and needs no privilege.

mod ask;
mod check;
mod run;
mod told;

pub use ask::look;
pub use check::{Answer, Back, Finding, Grounds, Of, PinCheck, ReverseFilter, Sockets, Way, check};
pub use run::{CheckedPins, run};
