//! The network as the kernel reports it.
//!
//! ```text
//!   kernel ──multicast──► netlink ──Fact──► returns (pure diff) ──Return──► whoever waits to reconnect
//!              dump ─────────┘
//! ```
//!
//! [`udp`] has the sockets that carry SRT.
//!
//! *Invariant:* nothing is polled, and nothing the kernel merely repeats is taken for news.

pub mod health;
mod netlink;
mod returns;
pub mod udp;

pub use netlink::watch_returns;
pub use returns::Return;
