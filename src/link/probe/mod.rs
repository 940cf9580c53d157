//! Asks over each link, all the time, whether anybody answers.
//!
//! ```text
//!   targets ──► names ──look-up──┐
//!                                ▼
//!   Links ─► sockets ◄──── Prober (pure) ────► Observation ──► a judge of the link
//!               ║              ▲
//!               ╚══ one link ══╬═══► echo://relay (Responder), stun://anybody
//!                              ╚════ answers
//! ```
//!
//! A link is judged by what it carries and by probes, each being wrong without the other ([`super::health`]). Two targets
//! at least, in different places: one alone may be down itself. The relay has a responder of its own ([`EchoPort`]); public STUN
//! servers answer too, and are asked less often. No target is built in: whose servers a box talks to all day, and who
//! learns from them where it is, is its operator's choice.
//!
//! *Invariant:* an answer is believed only if it comes from where the question went and knows what was asked; and nothing
//! that anybody sends makes us send more than it did.

pub mod echo;
mod names;
mod prober;
mod respond;
mod responder;
mod run;
pub mod stun;

pub use prober::{
    ECHO_EVERY, LATE_AFTER, MOST_ADDRESSES, MOST_TARGETS, ProbeCounts, Prober, SEARCH_AFTER, STUN_EVERY, Transmit,
};
pub use respond::EchoPort;
pub use responder::{Responder, ResponderCounts, SOURCE_BURST, SOURCE_RATE, TOTAL_RATE};
pub use run::{Assignment, run};
