//! SRT from senders: those that call us, over one path or many, and those that we call.
//!
//! ```text
//!   UDP ──► Hall: Listener ──admission──► Reception{Bond} ──payloads──► Taker
//! ```
//!
//! *Invariant:* what a caller sends can neither reach another taker nor make one wait.

pub mod admission;
mod call;
pub(crate) mod hall;
mod inlet;
mod listen;
mod reception;
pub mod status;

#[cfg(test)]
mod tests;

use std::time::Instant;

use tokio::sync::mpsc;

use super::arrival::Arrival;
use super::teller::Teller;
use crate::config::{SrtCall, SrtInput};
use crate::model::{InputId, Media};
use crate::output::EventSink;
use crate::output::srt::account::Account;
use crate::srt::session::Closed;

/// Takes what the sender of `input` brings, for ever, inside a `LocalSet`. Never waits for `out`: where that is full, units are
/// left out up to the next keyframe. `events` hears of senders that come and go.
pub async fn take(input: InputId, settings: SrtInput, out: mpsc::Sender<Arrival>, events: EventSink) {
    let teller = Teller::new(&input, events);
    match settings.call.clone() {
        SrtCall::Listen(address) => listen::listen(input, address, settings, out, teller).await,
        SrtCall::To(address) => call::call(input, address, settings, out, teller).await,
    }
}

/// Who takes what a sender brings, one sender at a time.
pub(crate) trait Taker {
    /// Its name, for people.
    fn name(&self) -> &str;
    /// A sender begins; who, for people.
    fn begin(&mut self, from: &str);
    /// A payload of its stream, at its time.
    fn payload(&mut self, bytes: &[u8], now: Instant);
    /// The sender is gone. `missing` is its session's count of packets that never came.
    fn finish(&mut self, why: &str, missing: u64);
    /// What the sender is told that we have; `None` for nothing. `missing` is its session's count.
    fn account(&self, missing: u64) -> Option<Account>;
    /// When [`Self::timeout`] has something to do, CLOCK_MONOTONIC.
    fn deadline(&self) -> Option<Media>;
    /// Time has come for something.
    fn timeout(&mut self);
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

const fn in_words(why: Closed) -> &'static str {
    match why {
        Closed::Here => "it was closed here",
        Closed::ByPeer => "it hung up",
        Closed::PeerIdle => "nothing came from it any more",
    }
}
