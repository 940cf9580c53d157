//! Pure. What people see of a relay: `/status` is this as JSON, `/metrics` the same for Prometheus.
//!
//! *Invariant:* no passphrase, stream id or stream key is in it.

use serde::Serialize;

use super::stage::Formats;
use crate::events::{OutputSnapshot, RecordingSnapshot, RenditionSnapshot, SourceOnAir};
pub use crate::ingest::srt::status::{ArrivalSnapshot, HandshakeSnapshot, SenderSnapshot, SocketSnapshot};
use crate::link::probe::{EchoPort, ResponderCounts};
use crate::model::{Codec, Media, RenditionId, Wall};

/// The relay at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RelaySnapshot {
    /// Its name.
    pub name: String,
    /// Holdfast's version.
    pub version: &'static str,
    /// When it was taken.
    pub at: Wall,
    /// Since the relay started, s.
    pub uptime_s: u64,
    /// The programmes, in the order of the configuration.
    pub programmes: Vec<ProgrammeSnapshot>,
    /// Where callers arrive.
    pub sockets: Vec<SocketSnapshot>,
    /// Handshakes.
    pub handshakes: HandshakeSnapshot,
    /// Probes; `None` where none are answered.
    pub probes: Option<ProbeSnapshot>,
}

/// One programme.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ProgrammeSnapshot {
    /// Its name.
    pub id: RenditionId,
    /// What its outputs are given.
    pub source: SourceOnAir,
    /// Why that.
    pub source_reason: String,
    /// Programme time of the newest picture; `None` before the first.
    pub programme_time: Option<Media>,
    /// What arrives, or arrived last.
    pub picture: Option<PictureSnapshot>,
    /// What leaves the switch: picture and sound.
    pub renditions: Vec<RenditionSnapshot>,
    /// Senders that have come since the relay started.
    pub senders: u64,
    /// Counted over all of them.
    pub totals: Totals,
    /// The one there is.
    pub sender: Option<SenderSnapshot>,
    /// Destinations; none before the first picture.
    pub outputs: Vec<OutputSnapshot>,
    /// Recordings, likewise.
    pub recordings: Vec<RecordingSnapshot>,
}

/// The form of what arrives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PictureSnapshot {
    /// Codec of the picture.
    pub codec: Codec,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Pictures a second.
    pub rate: f64,
    /// Codec of the sound.
    pub sound: Codec,
}

impl From<&Formats> for PictureSnapshot {
    fn from(formats: &Formats) -> Self {
        let picture = formats.picture;
        Self {
            codec: formats.video,
            width: picture.width,
            height: picture.height,
            rate: picture.rate.as_f64(),
            sound: formats.sound,
        }
    }
}

/// What a programme's senders have brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Pictures taken out of their streams.
    pub pictures: u64,
    /// Continuity errors of their streams.
    pub continuity_errors: u64,
    /// Packets that never came in time.
    pub missing: u64,
}

/// What the responder to probes has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeSnapshot {
    /// Its address.
    pub local: String,
    /// Questions that were answered.
    pub answered: u64,
    /// Questions beyond the allowance of their source, which were not.
    pub limited: u64,
    /// Questions beyond what is answered altogether.
    pub crowded: u64,
    /// What was no question.
    pub malformed: u64,
    /// Answers that the kernel did not take.
    pub unsent: u64,
}

impl From<&EchoPort> for ProbeSnapshot {
    fn from(port: &EchoPort) -> Self {
        let ResponderCounts { answered, limited, crowded, malformed, unsent } = port.counts();
        Self { local: port.local().to_string(), answered, limited, crowded, malformed, unsent }
    }
}
