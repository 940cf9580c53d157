//! RTMP as a state machine without sockets: one publishing session, and the life of a destination across sessions; and the
//! other end, one session of a publisher with us.
//!
//! ```text
//!   Handshake ──S0S1S2──► Connect ──_result──► CreateStream ──_result──► Publish ──onStatus Start──► publishing
//!       │                    │                      │                       │                          │     │
//!       └── closed, refused, silent for 5 s ────────┴───────────────────────┴──► Ended(Trouble) ◄─ lost┘     │end
//!                                                                                EndedCleanly ◄── Ending ◄───┘
//! ```
//!
//! Written against RTMP 1.0 (Adobe, 2012) and Enhanced RTMP v2 (Veovera, 2024). [`session`] is one connection, [`policy`]
//! decides when and where the next one is made, [`trouble`] says in words why there is none. [`server`] is the session that
//! somebody else begins.
//!
//! *Invariant:* a session says FCUnpublish only when it is told to end. Whatever goes wrong looks to the server like an
//! interruption, so that a server which waits for its publisher keeps waiting. As a server, it takes no media and holds no
//! more than some messages of 64 KiB before the stream key has been seen.

mod acknowledgement;
pub mod amf0;
pub mod chunk;
pub mod command;
pub mod handshake;
mod outbox;
pub mod policy;
pub mod redirect;
pub mod server;
pub mod session;
pub mod trouble;

pub use outbox::Outbox;
