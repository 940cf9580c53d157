//! What a policy decided, and the numbers it decided by.

use std::time::{Duration, Instant};

use crate::srt::session::PathId;

/// Where a path goes through: an uplink of the box. A path that comes back is a new path over the same link, and the
/// link's history is what it is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u32);

/// What was known of a path when something was decided about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// When.
    pub at: Instant,
    /// Smoothed round-trip time; None before it was measured.
    pub rtt: Option<Duration>,
    /// Since the peer last said that it has more than it had.
    pub since_progress: Duration,
    /// For how long an answer is overdue: the first packet of which nothing was heard has made its round trip.
    pub overdue: Duration,
    /// How long an answer may be overdue.
    pub patience: Duration,
    /// By how much answers are late on average.
    pub lateness: Duration,
    /// Since anything came from the peer.
    pub silent: Duration,
    /// Waiting in queues on the way.
    pub queue_delay: Option<Duration>,
    /// The most that may wait there.
    pub queue_limit: Duration,
    /// Data packets that left in the last 100 to 200 ms.
    pub sent_lately: u64,
    /// Data packets reported lost in the last 100 to 200 ms.
    pub lost_lately: u64,
    /// Data packets that left in two round trips, at least 400 ms, that ended one before.
    pub offered: u64,
    /// Data packets that arrived one round trip later.
    pub delivered: u64,
    /// For how long fewer have arrived than [`super::DELIVERED_PER_CENT`].
    pub short_for: Duration,
}

/// How a path fails to carry what it is given although it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Congestion {
    /// Packets wait on the way for longer than [`super::QUEUE_SHARE`] of the latency.
    Queue,
    /// More than [`super::LOSS_PER_CENT`] are lost.
    Loss,
    /// Less than [`super::DELIVERED_PER_CENT`] arrive.
    Shortfall,
}

/// Whether there is a signal on a path's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// As far as anybody knows.
    There,
    /// Nothing gets through.
    Lost,
}

/// Why a path is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Acknowledgements are overdue.
    Overdue,
    /// It carries less than it is given.
    Congested(Congestion),
    /// It was doubted again and again.
    Unsteady,
    /// Its link has no carrier.
    NoCarrier,
    /// It is gone.
    Gone,
    /// A path of higher weight is clean again.
    Preferred,
}

/// What a policy decided. In order, and with the datagrams between them, enough to decide it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// From here on others carry what `path` carries as well, beginning with what the peer may not have.
    Doubted {
        /// Which; None if the path is gone.
        path: Option<PathId>,
        /// Why.
        why: Doubt,
        /// By what.
        evidence: Option<Evidence>,
        /// The others.
        spares: Vec<PathId>,
        /// Packets in flight that were sent on them again.
        tail: u64,
    },
    /// The doubt was not justified: the path carries alone again.
    Cleared {
        /// Which.
        path: PathId,
        /// How long it was doubted.
        after: Duration,
        /// By what.
        evidence: Evidence,
    },
    /// Another path carries from here on.
    Switched {
        /// Which did before.
        from: Option<PathId>,
        /// Which does now.
        to: PathId,
        /// Why.
        why: Doubt,
        /// How long the first was doubted.
        after: Duration,
        /// What was known of the new one.
        evidence: Evidence,
    },
    /// A link has to be clean for so long before a path over it is trusted.
    Probation {
        /// Which.
        link: LinkId,
        /// How long.
        needs: Duration,
        /// How often it failed soon after it had been trusted.
        relapses: u32,
    },
    /// A link was clean for long enough.
    Trusted {
        /// Which.
        link: LinkId,
        /// How long that took, with the times that it was not.
        after: Duration,
    },
    /// A path is doubted and nothing else is there.
    NoSpare {
        /// Which.
        path: PathId,
        /// Why.
        why: Doubt,
        /// By what.
        evidence: Evidence,
    },
}
