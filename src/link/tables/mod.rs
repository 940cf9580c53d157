//! A routing table for each uplink, where the configuration asks for it (`[network] tables = "apply"`).
//!
//! ```text
//!   Links (something has changed) ──► keep ──► kernel: what is there ──► plan (pure): what is wanted, and the steps there
//!                                      │                                   │
//!                                      └──────── kernel: each step ◄───────┘
//! ```
//!
//! Of each uplink a table of its own has the networks that are on it and its default route, copied from wherever DHCP, a
//! router's advertisement or an operator has put them. The copy follows the original, but outlives it where another
//! interface's DHCP client has replaced "the" default route by its own, as dhclient's script does:
//!
//! | Priority | Rule | Why |
//! |---|---|---|
//! | [`BY_INTERFACE`] (1000) | `oif eth0 lookup T` | what is bound to the interface has its way, whoever takes it out of the main table |
//! | [`NEAR_FIRST`] (1001) | `from A lookup main suppress_prefixlength 0` | what has an address of it, to networks that are known by name, goes there as before |
//! | [`BY_ADDRESS`] (1002) | `from A lookup T` | ... and to the Internet over the interface that has the address; strict reverse path filtering is content too |
//!
//! T is [`FIRST_TABLE`] (100000) plus the kernel's number of the interface. Routes and rules are marked with protocol
//! [`PROTOCOL`] (72), which `ip rule` and `ip route show table all proto 72` show. An interface for which somebody else
//! has such a rule already, as systemd-networkd does with what `holdfast networkd` writes, is left to them.
//!
//! *Invariant:* nothing that is not marked as ours is ever changed or removed, and nothing is laid for an interface that the
//! configuration does not name.

mod keep;
mod kernel;
mod patience;
mod plan;

pub use keep::{Keeping, Told, keep};
pub use plan::{BY_ADDRESS, BY_INTERFACE, FIRST_TABLE, NEAR_FIRST, PROTOCOL};
