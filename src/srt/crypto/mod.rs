//! Keys, and payloads encrypted with them.
//!
//! ```text
//!   passphrase + salt ──PBKDF2──► KEK ──RFC 3394──► wrapped SEKs ──► KM message ──► peer
//!                                        SEK + salt + sequence number ──AES-CTR──► payload
//!
//!   SendKeys:  Steady ──refresh - announce packets──► Announced ──refresh packets, confirmed──► Switched
//!                 ▲                                                                                │
//!                 └───────────────────────────── announce packets ─────────────────────────────────┘
//! ```
//!
//! After draft-sharabayko-srt-01 §3.2.2 and §6, and libsrt's HaiCrypt. AES-CTR keeps payloads secret and does not
//! authenticate them: who can send from a peer's address, with its socket id, can garble payloads but not read or
//! choose them. HSv5 begins both directions with one key and one sequence number, so payloads that go both ways at
//! once hide each other badly until either side refreshes; live contribution goes one way. Chance comes from a
//! [`Random`] that is passed in.
//!
//! *Invariant:* no passphrase and no key is ever printed, and none is sent unwrapped.

mod cipher;
mod key;
mod km;
mod random;
mod receive;
mod send;
mod wrap;

pub use crate::model::KeyLength;
pub use key::Passphrase;
pub use km::{JoinToken, KeyMaterial, KmDigest, KmError, KmStatus};
pub use random::Random;
pub use receive::{KmReply, MissingKey, ReceiveKeys};
pub use send::{KeyAnnouncer, KeyChange, KmAnswer, RefreshPolicy, SendKeys};

#[cfg(test)]
mod tests;
