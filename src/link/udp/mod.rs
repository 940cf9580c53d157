//! UDP sockets that stay on their interface.
//!
//! ```text
//!                      ┌───────────────────── Port ─────────────────────┐
//!   tasks ──push,flush─►│ Outbox ──trains (GSO), batches (sendmmsg)──┐   │
//!                       │                                        UdpSocket ══► one interface
//!   serving task ◄──────│─ a call per datagram ◄─ Inbox ◄─recvmmsg, GRO┘  │
//!                       └────────────────────────────────────────────────┘
//! ```
//!
//! A socket is bound to an interface (SO_BINDTODEVICE) and an address, so that the routing table has no say in which
//! uplink carries a path. It tells of each datagram which of our addresses it came to (IP_PKTINFO, IPV6_PKTINFO), and
//! sends from the address that it is given, so that a machine with several addresses answers from the one that was asked.
//! What the kernel can do in bulk is found out, not assumed: a train of equal datagrams goes out in one call (UDP_SEGMENT)
//! until the first refusal, then in one sendmmsg, and comes in merged (UDP_GRO) where the kernel merges.
//!
//! The system calls are `quinn-udp`'s, which is maintained for exactly this, except sendmmsg, which it lacks: without
//! segmentation offload, and for datagrams of unequal length, its one call per datagram is what a batch avoids. Three
//! things that suit QUIC are put back: fragmentation, since SRT datagrams have one length and a tunnel with a smaller MTU
//! must still carry them; receive timestamps, which nobody reads; dual-stack sockets, which are wanted.
//!
//! *Invariant:* no call waits, no lock is taken, and a datagram that cannot be sent is counted and forgotten, as the
//! network would.

mod bind;
mod error;
mod many;
mod outbox;
mod port;
mod socket;

#[cfg(test)]
mod tests;

pub use bind::{Binding, Buffer, Shortfall};
pub use error::{Place, UdpError, UdpTrouble};
pub use outbox::{Outbox, Route};
pub use port::{Arena, Port, PortCounts};
pub use socket::{Datagram, Inbox, Sent, UdpSocket};
