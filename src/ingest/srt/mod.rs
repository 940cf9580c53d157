//! SRT from senders: those that call us, over one path or many, and those that we call.
//!
//! ```text
//!   UDP ──► Hall: Listener ──admission──► Reception{Bond} ──payloads──► Taker
//! ```
//!
//! *Invariant:* what a caller sends can neither reach another taker nor make one wait.

pub mod admission;
pub(crate) mod hall;
mod reception;
pub mod status;

use std::time::Instant;

use crate::model::Media;
use crate::output::srt::account::Account;

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
