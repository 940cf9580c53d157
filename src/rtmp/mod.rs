//! RTMP as a state machine without sockets: one publishing session, and the life of a destination across sessions.
//!
//! ```text
//!   Handshake ──S0S1S2──► Connect ──_result──► CreateStream ──_result──► Publish ──onStatus Start──► publishing
//!       │                    │                      │                       │                          │     │
//!       └── closed, refused, silent for 5 s ────────┴───────────────────────┴──► Ended(Trouble) ◄─ lost┘     │end
//!                                                                                EndedCleanly ◄── Ending ◄───┘
//! ```
//!
//! Written against RTMP 1.0 (Adobe, 2012) and Enhanced RTMP v2 (Veovera, 2024). [`session`] is one connection, [`policy`]
//! decides when and where the next one is made, [`trouble`] says in words why there is none.
//!
//! *Invariant:* a session says FCUnpublish only when it is told to end. Whatever goes wrong looks to the server like an
//! interruption, so that a server which waits for its publisher keeps waiting.

pub mod amf0;
pub mod chunk;
pub mod command;
pub mod handshake;
mod outbox;
pub mod policy;
pub mod redirect;
pub mod session;
pub mod trouble;

pub use outbox::Outbox;
