//! The network as the kernel reports it.
//!
//! ```text
//!   kernel ──multicast, dump──► netlink ──Fact──┐
//!   driver ◄──carrier? every 50 ms── ethtool ───┼─► network (pure diff) ──► Links, Change ──► bonds, events, people
//!   sysfs ──────► hardware ──► identity, class ─┘
//! ```
//!
//! [`udp`] has the sockets that carry SRT and probes. [`probe`] asks over each link whether anybody answers, [`portal`]
//! whether a captive portal does, and [`resolve`] looks names up, each over that link and no other. [`pinning`] finds
//! out whether what is bound to a link leaves by it at all, and [`tables`] gives each a routing table. [`health`] judges
//! links by that and more, and chooses between them for RTMP. [`Accounting`] counts what links carry, for those whose data
//! somebody pays for.
//!
//! *Invariant:* nothing the kernel merely repeats is taken for news, nothing it forgets to tell is missed for long, and
//! asking it holds up nobody who sends.

mod accounting;
mod calendar;
mod change;
mod class;
mod counters;
mod court;
mod ethtool;
mod fact;
mod hardware;
pub mod health;
mod hints;
mod identity;
mod judging;
mod ledger;
mod links;
mod monitor;
mod netlink;
mod network;
pub mod networkd;
mod outlet;
pub mod pinning;
pub mod portal;
pub mod probe;
pub mod resolve;
pub mod tables;
mod told;
pub mod udp;

#[cfg(test)]
mod tests;

pub use accounting::Accounting;
pub use change::{Change, What};
pub use class::Classified;
pub use court::{Court, Standings};
pub use fact::{LinkState, Mac, Rule};
pub use hints::Hints;
pub use identity::{Identity, bus_path};
pub use judging::{JudgedSession, Judging, Report};
pub use ledger::{Allowances, Ledger, News, Saved, SavedError};
pub use links::{CARRIER_POLL, DefaultRoute, Knowledge, Link, Links};
pub use monitor::{Ask, Monitor, Options, Return, look, watch, watch_returns};
pub use outlet::Outlet;
pub use told::{TELL_EVERY, Telling, Use};

/// What those are given who have no monitor: nothing is known, and nothing ever will be.
pub fn unknown() -> tokio::sync::watch::Receiver<std::sync::Arc<Links>> {
    tokio::sync::watch::channel(std::sync::Arc::default()).1
}
