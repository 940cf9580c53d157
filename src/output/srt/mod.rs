//! A destination over SRT: one session over one path or several, on real sockets.
//!
//! [`crate::bonding`] decides which path carries, [`crate::srt`] what is said on it, `roster` when a path calls; here are
//! only sockets, name look-ups and waiting. One task per destination and one for each socket, all on the data plane's
//! thread:
//!
//! ```text
//!   Transport ──payloads──► destination ──► Sender{Bond} ──► Port ══► interface, one per path
//!   commands ─────────────►      │             ▲   │  ▲        │ served by a task of its own
//!                                │  roster ──call  │  └────────┘
//!                                └──► OutputSnapshot, Event ◄─┘
//! ```
//!
//! A path that calls gets a new socket: an interface that was unplugged comes back as another one. Paths that are lost call
//! again by themselves and join the session; only when all are lost, a new session begins, at a keyframe.
//!
//! *Invariant:* nothing a destination or its network does makes another destination wait, and no passphrase and no stream
//! id leaves this room except towards its server.

pub mod account;
pub(crate) mod call;
mod calls;
mod decision;
mod destination;
mod failure;
mod footing;
mod report;
mod roster;
mod sender;
mod witness;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{mpsc, watch};

use super::{EventSink, OutputHandle, Transport};
use crate::config::{RenditionSettings, SrtDestinationSettings};
use crate::events::OutputSnapshot;
use crate::link::resolve::Resolver;
use crate::link::{Allowances, Judging, Links};

use destination::Destination;
use report::Report;

/// Commands waiting for a destination; it takes them between any two system calls.
const COMMANDS: usize = 8;

/// What a destination's paths stand on.
#[derive(Clone, Debug)]
pub struct Ground {
    /// What the kernel says of interfaces.
    pub links: watch::Receiver<Arc<Links>>,
    /// What their operator allows, if anybody counts.
    pub allowances: Option<watch::Receiver<Option<Arc<Allowances>>>>,
    /// Who judges them, if anybody does: the paths are witnesses.
    pub judging: Option<Judging>,
    /// Who looks names up over each of them; `None`: the system.
    pub resolver: Option<Resolver>,
}

impl Ground {
    /// Interfaces that nobody counts or judges.
    pub const fn bare(links: watch::Receiver<Arc<Links>>) -> Self {
        Self { links, allowances: None, judging: None, resolver: None }
    }
}

/// Starts a destination on the current single-threaded runtime (inside a `LocalSet`). It waits for
/// [`super::OutputCommand::Start`]; a destination that is not enabled ignores it.
///
/// `rendition` is the one that `transport` carries; `jitter` makes its waits differ from its neighbours'.
pub fn spawn(
    settings: SrtDestinationSettings,
    rendition: &RenditionSettings,
    transport: Transport,
    events: EventSink,
    ground: Ground,
    jitter: u64,
) -> OutputHandle<OutputSnapshot> {
    let (commands, inbox) = mpsc::channel(COMMANDS);
    let (report, snapshot): (Report, watch::Receiver<OutputSnapshot>) = Report::new(&settings, events);
    let rate = u64::from(rendition.bitrate) + u64::from(rendition.audio.bitrate);
    let destination = Destination::new(settings, transport, rate, report, ground, (entropy(), jitter));
    tokio::task::spawn_local(destination.run(inbox));
    OutputHandle { commands, snapshot }
}

/// 32 bytes that nobody can guess.
pub fn entropy() -> [u8; 32] {
    let mut bytes = [0; 32];
    // Linux's getrandom does not fail once it has begun to give.
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}
