//! Pure. Which link carries a destination's stream, given how all links are.
//!
//! ```text
//!              begins                     the link is dead, gone, barred: at once, to the standby
//!   no route ──────────► on a route ──────────────────────────────────────────────────────► on another
//!                            │   ▲    a better link is trusted: made ready, then at a keyframe    ▲
//!                            │   └────────────────────────────────────────────────────────────────┤
//!                            └── the server is silent, the link is not: next server, same link ───┘
//! ```
//!
//! - [`Rule::Pinned`]: one link, never left for another, whatever happens; it says so. Its servers still take turns.
//! - [`Rule::Failover`]: the first link of the list that is any good. Away from a dead one at once; back to a better one
//!   only when that is trusted again, a session there is ready, and a keyframe is due.
//! - [`Rule::Best`]: for those who gave no order: the link with the most points. One that is trusted is only left for one
//!   that has had [`MARGIN`] more for [`HOLD`].
//!
//! A link whose data cap is reached comes last: any other that is trusted is better, and it is not returned to. One that is
//! barred then carries nothing, though that ends the stream ([`Decision::Halt`]).
//!
//! A server is to blame when its session is silent over a link that answers: the next one of the destination's addresses
//! is tried over the same link; only when all of them have failed there within a minute, another link.
//!
//! *Anti-flap bound.* Every change of route costs a token; there are never more than [`MOST_IN_A_MINUTE`] in any 60 s, and
//! nobody has to wait for one for longer than [`ONE_IN`]. Changes of choice leave [`KEPT_FOR_NEED`] tokens for others.
//!
//! *Invariant:* the present route is only given up for another one, unless its operator bars the link. Every [`Decision`] says
//! why.

mod bucket;
mod decision;
mod faults;
mod policy;
mod tier;

#[cfg(test)]
mod tests;

pub use bucket::{BURST, KEPT_FOR_NEED, MOST_IN_A_MINUTE, ONE_IN};
pub use decision::{Decision, How, Purpose, Route, Why};
pub use policy::{Elsewhere, HOLD, Input, MARGIN, Path, Reason, Rule, Spares};
