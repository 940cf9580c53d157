//! One session per destination, one thread per recording.
//!
//! The whole data plane runs on one thread (recordings write on their own), so a [`Feed`] is shared by reference count,
//! without a lock. *Invariant:* every output reads the programme through its own [`Subscription`] and loses only its own
//! data; none waits for another, and the programme waits for none.

mod feed;
pub mod record;
pub mod rtmp;
pub mod srt;
mod time;
mod transport;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use crate::events::Event;

pub use feed::{Feed, Received, Subscription, Wake};
pub use time::ProgrammeClock;
pub use transport::{Next, Payloads, Transport};

/// What an output is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputCommand {
    /// Go on air.
    Start,
    /// End cleanly and wait for Start.
    Stop,
    /// Stop waiting, try now.
    RetryNow,
    /// An interface came back: try now, and begin the back-off from its start.
    NetworkReturned,
    /// The link does not bear even the least bit rate: leave out whole groups and go on at the newest keyframe. For
    /// those that read the programme unit by unit; others drop by themselves what is too late.
    SkipAhead,
}

/// Where outputs report what happened. Never blocks.
pub type EventSink = Arc<dyn Fn(Event) + Send + Sync>;

/// A running output. Dropping it ends the output uncleanly (the socket closes, the recording is closed properly).
#[derive(Debug)]
pub struct OutputHandle<S> {
    /// Bounded; a full queue means the output is being told faster than it can act, and the newest command is dropped.
    pub commands: mpsc::Sender<OutputCommand>,
    /// Its latest state.
    pub snapshot: watch::Receiver<S>,
}
