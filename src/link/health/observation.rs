//! Pure. What a judge hears of a link, and from whom.

use std::time::{Duration, Instant};

/// A session that this link carries: one connection to one server. Numbered by whoever made it, never twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u32);

/// Somebody who answers probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u8);

/// One thing that was seen of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// From netlink, or from asking the driver.
    Carrier(Carrier),
    /// From TCP_INFO of a session over this link, every 20 to 100 ms while it lives.
    Tcp(SessionId, TcpFigures),
    /// From the SRT session whose path goes over this link, as often.
    Srt(SessionId, SrtFigures),
    /// The session is over, or has gone to another link.
    SessionEnded(SessionId),
    /// A probe left, or was to leave: one that the kernel refuses counts as sent.
    ProbeSent(TargetId),
    /// The answer to the probe that left `rtt` ago.
    ProbeAnswered {
        /// By whom.
        target: TargetId,
        /// How long it took.
        rtt: Duration,
    },
    /// What telemetry says.
    Hint(Hint),
    /// What the check for captive portals says.
    Portal(Portal),
}

/// Whether the interface has a carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// It has.
    Up,
    /// It has none.
    Down,
}

/// What the kernel says of a TCP connection (tcp_info, linux/tcp.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFigures {
    /// Since any acknowledgement came: tcpi_last_ack_recv. Meaningless after a pause, which is accounted for here.
    pub last_ack_recv: Duration,
    /// Segments sent and not acknowledged: tcpi_unacked.
    pub unacked: u32,
    /// Retransmissions in a row that ran into their timeout: tcpi_backoff.
    pub backoff: u8,
    /// Bytes acknowledged so far: tcpi_bytes_acked.
    pub bytes_acked: u64,
    /// Bytes that wait to be sent or confirmed, in the kernel or before it.
    pub queued: u64,
}

impl TcpFigures {
    /// Whether everything that was sent is confirmed, and still something waits: the far end's buffer is full, since nobody
    /// reads it there. What it has confirmed was then not read either (RFC 9293 §3.8.6.1, a zero window).
    pub const fn is_shut_out(&self) -> bool {
        self.unacked == 0 && self.queued > 0
    }
}

/// What an SRT session says of one of its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtFigures {
    /// Since anything came from the peer.
    pub heard: Duration,
    /// Whether the path carries data, so that the peer acknowledges something every 10 ms (draft §4.8.1). A path that
    /// rests hears a keep-alive a second, which proves nothing when it is late.
    pub load: Load,
}

/// Whether a path carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It does.
    Carries,
    /// It does not.
    Rests,
}

/// What telemetry says. A hint arms the standby; it never makes a link dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The next seconds will be bad: the dish is obstructed, the modem loses its cell.
    Trouble {
        /// Not believed any more from then on; at most [`super::HINT_MOST`] ahead.
        until: Instant,
    },
    /// Nothing of the kind.
    Clear,
}

/// What stands between this link and the Internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portal {
    /// The check got its own page.
    Clear,
    /// It got somebody else's.
    Captive,
}
