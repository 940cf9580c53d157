//! Stills beside real encoders and decoders: a film is cut off, stills are put behind it, and behind those a film of another
//! encode. Decoders must show the last picture again and again, and the next film as if nothing had been before it, without a
//! complaint.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../scenarios/support/tools.rs"]
#[allow(dead_code)]
mod tools;

mod av1;
mod avc;
mod film;
mod hevc;
