//! What was counted and measured. Nothing here is estimated from settings.

use std::time::Duration;

use super::event::PathId;
use super::path::Duty;
use super::rate::Amount;

/// What one path has done since it was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathCounters {
    /// Data packets that left for the first time on this path.
    pub sent: Amount,
    /// Data packets that left again, or in another path's stead.
    pub retransmitted: Amount,
    /// Of ours, acknowledged on this path.
    pub acknowledged: u64,
    /// Of ours, reported lost by the peer.
    pub reported_lost: u64,
    /// Probes sent: acknowledgements that say nothing new, to be answered.
    pub probes: u64,
    /// Answers to acknowledgements of ours, probes included.
    pub answers: u64,
    /// Data packets that arrived, of whatever use.
    pub received: Amount,
    /// Of them, the first of their sequence number on any path.
    pub first: Amount,
    /// Of them, already there.
    pub duplicate: u64,
    /// Of them, after their time.
    pub belated: u64,
    /// Of them, marked as retransmitted.
    pub received_again: u64,
    /// Sequence numbers that this path has skipped and has not brought later on its own.
    pub missing: u64,
    /// Of ours, ACKs of either kind sent.
    pub acks_sent: u64,
    /// ACKs received.
    pub acks_received: u64,
    /// NAKs sent.
    pub naks_sent: u64,
    /// NAKs received.
    pub naks_received: u64,
    /// Drop requests sent.
    pub drop_requests_sent: u64,
    /// Payloads that could not be deciphered: no key, or encrypted where it should not be.
    pub undecipherable: u64,
    /// Datagrams that made no sense or were for another socket.
    pub refused: u64,
}

/// One path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathStats {
    /// Which.
    pub id: PathId,
    /// What it is used for.
    pub duty: Duty,
    /// Since it was added.
    pub age: Duration,
    /// Smoothed round-trip time; None before it was measured.
    pub rtt: Option<Duration>,
    /// Its variance.
    pub rtt_variance: Duration,
    /// Waiting in queues on the way to the peer; None before it was measured.
    pub queue_delay: Option<Duration>,
    /// Waiting in queues on the way from the peer; None before it was measured.
    pub arrival_delay: Option<Duration>,
    /// Data leaving, per second, retransmissions included.
    pub send_rate: Amount,
    /// Data arriving, per second, as the peer counts it, bytes.
    pub peer_receive_rate: u32,
    /// Data arriving here, per second.
    pub receive_rate: Amount,
    /// In flight: sent and neither acknowledged nor reported lost.
    pub in_flight: u64,
    /// Waiting to be sent.
    pub queued: u64,
    /// Room that the peer has, packets.
    pub window: u64,
    /// Since something last came from the peer.
    pub silent_for: Duration,
    /// Counters.
    pub counters: PathCounters,
}

/// What a session has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Packets given to it.
    pub offered: Amount,
    /// Packets that the peer has, by its acknowledgements.
    pub acknowledged: u64,
    /// Packets whose time passed before they left on any path.
    pub dropped_unsent: u64,
    /// Packets that left and whose time passed without an acknowledgement. They may have arrived.
    pub dropped_unacknowledged: u64,
    /// Packets delivered.
    pub delivered: Amount,
    /// Packets skipped because their time came first.
    pub skipped: u64,
    /// Packets that had been asked for and came in time.
    pub recovered: u64,
    /// Packets for which there was no room.
    pub no_room: u64,
    /// Packets sent again although nobody had asked, because nothing was heard of them.
    pub unasked: u64,
    /// Packets that were not taken because the peer's datagrams are too small for them.
    pub too_long: u64,
    /// Datagrams for no path of the session.
    pub stray: u64,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionStats {
    /// Counters.
    pub counters: SessionCounters,
    /// Given to it, per second.
    pub send_rate: Amount,
    /// Delivered, per second.
    pub receive_rate: Amount,
    /// In the send buffer.
    pub send_buffer: Amount,
    /// Age of the oldest packet in the send buffer.
    pub send_buffer_span: Duration,
    /// Waiting to be played, packets.
    pub receive_buffer: u64,
    /// From the next packet to be played to its time: how much of the latency is left for repairs.
    pub receive_buffer_span: Duration,
    /// Missing and still hoped for.
    pub missing: u64,
    /// How long packets are held here.
    pub receive_latency: Duration,
    /// Correction for the peer's clock, µs; positive when it is slow.
    pub drift_us: i64,
}
