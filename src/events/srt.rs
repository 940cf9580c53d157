//! What people see of an SRT output beyond what every output has: its paths, and what the far end says that it has.

use serde::{Deserialize, Serialize};

/// How several paths are used together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BondingMode {
    /// There is one path.
    Single,
    /// All carry everything.
    Broadcast,
    /// The best that works carries, the others are ready.
    Backup,
}

/// An SRT output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SrtSnapshot {
    /// How its paths are used.
    pub bonding: BondingMode,
    /// Time for repetitions that both ends agreed on, ms; `None` without a session.
    pub latency_ms: Option<u64>,
    /// Whether nobody on the way can watch.
    pub encrypted: bool,
    /// Packets sent again since the data plane started.
    pub retransmitted: u64,
    /// Packets whose time passed before the far end confirmed them, since the data plane started.
    pub dropped: u64,
    /// Times that another path took over, since the data plane started.
    pub switches: u64,
    /// Its paths, in the order of the configuration.
    pub paths: Vec<PathSnapshot>,
    /// What the far end says of itself; `None` unless it is Holdfast and has said so in this session.
    pub far_end: Option<FarEndSnapshot>,
}

/// One path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathSnapshot {
    /// Its interface, or where it goes.
    pub label: String,
    /// How it is.
    pub state: PathState,
    /// Times it was connected since the data plane started.
    pub connections: u32,
    /// Smoothed round-trip time, µs; `None` before it was measured, and while there is no connection.
    pub rtt_us: Option<u64>,
    /// Its variance, µs.
    pub rtt_variance_us: u64,
    /// Waiting in queues on the way, µs; `None` before it was measured.
    pub queue_delay_us: Option<u64>,
    /// Bit/s of payload that leave, repetitions included, over the last second.
    pub bitrate: u64,
    /// Lost of the packets that left lately, per mille.
    pub lost_lately: u32,
    /// Packets that left for the first time, since the data plane started.
    pub sent: u64,
    /// Packets that left again, likewise.
    pub retransmitted: u64,
    /// Packets that did not arrive: as a far end that is Holdfast counts them, or as another one reports them, likewise.
    pub lost: u64,
}

/// How a path is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum PathState {
    /// Not wanted.
    Off,
    /// Calling.
    Calling,
    /// Connected, and media goes over it.
    Carries,
    /// Connected, measured, and not needed now.
    Ready,
    /// Its interface carries nothing; it calls when that does.
    NoLink {
        /// What is missing, in words.
        because: String,
    },
    /// Waiting before the next call.
    Waiting {
        /// Milliseconds until then.
        retry_in_ms: u64,
        /// Why the last one ended, in words an operator can act on.
        because: String,
    },
}

impl PathState {
    /// Whether there is a connection.
    pub const fn is_up(&self) -> bool {
        match self {
            Self::Carries | Self::Ready => true,
            Self::Off | Self::Calling | Self::NoLink { .. } | Self::Waiting { .. } => false,
        }
    }
}

/// What a relay says that it really has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FarEndSnapshot {
    /// Milliseconds since it last said so.
    pub age_ms: u64,
    /// Whether its pictures moved on between the last two times it said so: *verified*.
    pub is_moving: bool,
    /// How old its newest picture was when it said so, in programme time, ms: encoding, the way and the latency together.
    pub picture_age_ms: Option<u64>,
    /// Pictures it has taken out of the stream.
    pub pictures: u64,
    /// Continuity errors of the stream as it arrived.
    pub continuity_errors: u64,
    /// Packets that never arrived in time, over all paths.
    pub missing: u64,
}

impl FarEndSnapshot {
    /// After so long without news nothing is verified, ms.
    pub const STALE_MS: u64 = 3000;

    /// Whether it has moving pictures, as far as was said lately.
    pub const fn is_verified(&self) -> bool {
        self.is_moving && self.age_ms < Self::STALE_MS
    }
}
