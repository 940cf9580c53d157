//! Pure. What people see of a session with a sender over SRT, and of where it arrives.
//!
//! *Invariant:* no passphrase and no stream id is in it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Who sends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SenderSnapshot {
    /// Where it called from first.
    pub from: String,
    /// `single`, `broadcast` or `backup`, as it said.
    pub bonding: &'static str,
    /// Whether it is Holdfast, and is told what we have of its stream.
    pub is_holdfast: bool,
    /// Its SRT version.
    pub version: String,
    /// Whether nobody on the way can watch.
    pub encrypted: bool,
    /// Since it connected, ms.
    pub connected_ms: u64,
    /// Time for repetitions that was agreed on, ms.
    pub latency_ms: u64,
    /// How much of that is left for the packet that is played next, ms.
    pub buffer_ms: u64,
    /// Correction for its clock, µs.
    pub drift_us: i64,
    /// Bit/s of payload.
    pub bitrate: u64,
    /// Packets delivered.
    pub delivered: u64,
    /// Packets that never came in time.
    pub missing: u64,
    /// Packets that were asked for again and came in time.
    pub recovered: u64,
    /// Over what.
    pub paths: Vec<ArrivalSnapshot>,
}

/// What one path brings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArrivalSnapshot {
    /// Where it comes from.
    pub from: String,
    /// Where it arrives.
    pub to: String,
    /// Smoothed round-trip time, µs; `None` before it was measured.
    pub rtt_us: Option<u64>,
    /// Waiting in queues on the way, µs; `None` before it was measured.
    pub queue_delay_us: Option<u64>,
    /// Since something last came, ms.
    pub silent_ms: u64,
    /// Bit/s of payload, duplicates included.
    pub bitrate: u64,
    /// Packets that arrived.
    pub received: u64,
    /// Of them, the first of their number on any path.
    pub first: u64,
    /// Of them, already there.
    pub duplicate: u64,
    /// Of them, after their time.
    pub belated: u64,
    /// Packets that this path has skipped.
    pub missing: u64,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SocketSnapshot {
    /// Its address.
    pub local: String,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams that could not be.
    pub lost: u64,
}

/// What the listener has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct HandshakeSnapshot {
    /// First steps answered.
    pub inductions: u64,
    /// Second steps with a good cookie.
    pub conclusions: u64,
    /// Connections that came up.
    pub connections: u64,
    /// Callers that were refused, by reason.
    pub refused: BTreeMap<&'static str, u64>,
}
