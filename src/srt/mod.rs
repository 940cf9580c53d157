//! SRT, live mode: one session over one or many network paths, as state machines without sockets.
//!
//! ```text
//!            caller                                 listener
//!   Induction ──INDUCTION──────────────────────────► answers with a cookie, keeps nothing
//!             ◄─────────────────INDUCTION + cookie──
//!   Conclusion ─CONCLUSION + cookie + extensions───► cookie right? ──► Request ──► accept / reject
//!             ◄───────────────CONCLUSION + extensions / code────────────────────┘
//!        │                                              │
//!        └──► Negotiated ──► Session (first path) ◄─────┘
//!                       └──► another path of it, when both belong to one group
//! ```
//!
//! [`wire`] reads and writes datagrams, [`crypto`] keeps payloads secret, [`caller`] and [`listener`] agree on a
//! connection. Written against draft-sharabayko-srt-01 and, where that is silent, what libsrt 1.5 does.
//!
//! *Invariant:* a datagram can be anything, from anybody. Nothing here panics on it, allocates more than a bounded
//! amount for it, or lets it change a session whose keys and socket ids its sender does not know.

pub mod caller;
pub mod crypto;
pub mod listener;
mod negotiated;
pub(crate) mod planted;
pub mod session;
mod stream_id;
mod trouble;
pub mod wire;

pub use negotiated::{
    MAX_MSS, MIN_MSS, Membership, Negotiated, Offer, PRIVATE_VERSION, Role, SRT_VERSION, random_isn, random_socket_id,
};
pub use stream_id::{Access, AccessError, Mode, Purpose, StreamId};
pub use trouble::{Step, Trouble, Unsuitable};
