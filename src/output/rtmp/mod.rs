//! A destination: RTMP sessions on real sockets.
//!
//! [`crate::rtmp::policy`] decides when and where a session is tried, [`crate::rtmp::session`] what is said in it; here
//! are only sockets, name look-ups, TLS and waiting. One task per destination on the data plane's thread:
//!
//! ```text
//!   Feed ──units──► destination ──► Session ──► Outbox ══writev══► socket
//!   commands ─────►      │  ▲                                         │
//!                        │  └────────── events ◄── Session ◄──read────┘
//!                        └──► OutputSnapshot, Event
//! ```
//!
//! The outbox is filled only when it is empty, and then with what the feed has, up to a bound: normally one picture and
//! the sound that came with it, in one system call. So a destination that does not read holds one batch and its place in
//! the ring, which passes it by: it is told how much it lost and goes on at a keyframe. A session that was cut off leaves
//! the place up to which its far end confirmed the programme; the next one goes on from the keyframe before it.
//!
//! *Invariant:* nothing a destination or its network does makes another destination wait, and no stream key leaves this
//! room except towards its server.

mod confirmed;
mod connection;
mod destination;
mod live;
mod report;
mod routing;
mod socket;
mod switching;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::{EventSink, Feed, OutputHandle};
use crate::clock;
use crate::config::{DestinationSettings, RenditionSettings};
use crate::events::OutputSnapshot;
use crate::link::resolve::Resolver;
use crate::link::{Allowances, Judging, Links};
use crate::model::{AudioFormat, AudioGrid, Codec, FrameRate, VideoFormat};
use crate::mux::flv::StreamFacts;
use crate::rtmp::policy::Policy;

use destination::Destination;
use report::Report;

/// Commands waiting for a destination; it takes them between any two system calls.
const COMMANDS: usize = 8;

/// What a destination needs that chooses between interfaces.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Who says which of them carry.
    pub judging: Judging,
    /// Who looks names up over each.
    pub resolver: Resolver,
    /// What the kernel says of them.
    pub links: watch::Receiver<Arc<Links>>,
    /// What each of them may carry; nothing is begun before that is known.
    pub allowances: watch::Receiver<Option<Arc<Allowances>>>,
}

/// Starts a destination on the current single-threaded runtime (inside a `LocalSet`). It waits for
/// [`super::OutputCommand::Start`]; a destination that is not enabled ignores it.
///
/// `rendition` is the one named by `settings`, `rate` the programme's frame rate; without a `choice` a destination is bound
/// to the interface it is pinned to, and nobody notices when that is dead; `seed` makes its back-off differ from
/// its neighbours'.
pub fn spawn(
    settings: DestinationSettings,
    rendition: &RenditionSettings,
    rate: FrameRate,
    feed: Feed,
    events: EventSink,
    choice: Option<Choice>,
    seed: u64,
) -> OutputHandle<OutputSnapshot> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (report, snapshot): (Report, watch::Receiver<OutputSnapshot>) = Report::new(&settings, events);
    let policy = Policy::new(&settings, seed, first_priority());
    let facts = stream_facts(rendition, rate);
    tokio::task::spawn_local(Destination::new(settings, facts, policy, feed, report, choice, seed).run(inbox));
    OutputHandle { commands, snapshot }
}

/// Seconds since 2026, so that priorities rise across restarts of the process.
fn first_priority() -> u64 {
    const YEAR_2026: i64 = 1_767_225_600;
    u64::try_from(clock::wall().0 / 1_000_000 - YEAR_2026).unwrap_or(1)
}

fn stream_facts(rendition: &RenditionSettings, rate: FrameRate) -> StreamFacts {
    let grid = if rendition.audio.codec == Codec::Opus { AudioGrid::OPUS } else { AudioGrid::AAC };
    StreamFacts {
        video: rendition.codec,
        video_format: VideoFormat { width: rendition.width, height: rendition.height, rate },
        video_bitrate: rendition.bitrate,
        audio: rendition.audio.codec,
        audio_format: AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples },
        audio_bitrate: rendition.audio.bitrate,
    }
}
