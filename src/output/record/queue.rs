//! The hand-over from the data plane to the recorder's thread: bounded in units and bytes, never waited for by the data
//! plane. What does not fit is decided by [`super::policy::Gate`].

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use super::policy::Level;
use crate::model::AccessUnit;

/// About 25 s of one picture track and one sound track.
pub(super) const UNITS: usize = 2048;
/// Five seconds at 100 Mbit/s. Also what a stuck disk can hold in memory.
pub(super) const BYTES: usize = 64 << 20;

/// What the thread is given.
#[derive(Debug)]
pub(super) enum Message {
    Unit(Arc<AccessUnit>),
    RetryNow,
}

#[derive(Debug, Default)]
struct Fill {
    units: AtomicUsize,
    bytes: AtomicUsize,
}

/// The data plane's end. Dropping it ends the recording.
#[derive(Debug)]
pub(super) struct Intake {
    sender: SyncSender<Message>,
    fill: Arc<Fill>,
}

/// The thread's end.
#[derive(Debug)]
pub(super) struct Outlet {
    receiver: Receiver<Message>,
    fill: Arc<Fill>,
}

pub(super) fn bounded() -> (Intake, Outlet) {
    let (sender, receiver) = sync_channel(UNITS);
    let fill = Arc::new(Fill::default());
    (Intake { sender, fill: fill.clone() }, Outlet { receiver, fill })
}

impl Intake {
    /// How full the queue is for `unit`.
    pub(super) fn level(&self, unit: &AccessUnit) -> Level {
        let units = self.fill.units.load(Ordering::Relaxed) + 1;
        let bytes = self.fill.bytes.load(Ordering::Relaxed).saturating_add(unit.payload.len());
        if units > UNITS || bytes > BYTES {
            Level::Full
        } else if units > UNITS / 2 || bytes > BYTES / 2 {
            Level::High
        } else {
            Level::Easy
        }
    }

    /// Units and bytes waiting for the disk.
    pub(super) fn waiting(&self) -> (usize, usize) {
        (self.fill.units.load(Ordering::Relaxed), self.fill.bytes.load(Ordering::Relaxed))
    }

    /// Hands `unit` over. False if the thread is gone, or the queue is full after all.
    pub(super) fn push(&self, unit: Arc<AccessUnit>) -> bool {
        let bytes = unit.payload.len();
        // Counted before it can be taken out, so that the counters never go below zero.
        self.fill.units.fetch_add(1, Ordering::Relaxed);
        self.fill.bytes.fetch_add(bytes, Ordering::Relaxed);
        match self.sender.try_send(Message::Unit(unit)) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.fill.units.fetch_sub(1, Ordering::Relaxed);
                self.fill.bytes.fetch_sub(bytes, Ordering::Relaxed);
                false
            }
        }
    }

    /// Asks the thread to try again. A full queue means it is not waiting for a retry, but for the disk: then there is
    /// nothing to ask.
    pub(super) fn retry_now(&self) {
        let _ = self.sender.try_send(Message::RetryNow);
    }
}

impl Outlet {
    /// The next message; an error after `timeout` or when the other end is gone and everything was taken.
    pub(super) fn next(&self, timeout: Duration) -> Result<Message, RecvTimeoutError> {
        let message = self.receiver.recv_timeout(timeout)?;
        if let Message::Unit(unit) = &message {
            self.fill.units.fetch_sub(1, Ordering::Relaxed);
            self.fill.bytes.fetch_sub(unit.payload.len(), Ordering::Relaxed);
        }
        Ok(message)
    }
}
