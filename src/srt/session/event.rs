//! What goes in and comes out of a session.

use std::fmt;
use std::time::Instant;

use bytes::{BufMut, Bytes};

use crate::srt::crypto::{KeyChange, KmStatus};
use crate::srt::wire::{HEADER_LEN, SeqNo};

/// One path of a session: a number that is not used again, so a path that comes back is a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathId(pub u32);

impl fmt::Display for PathId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "path {}", self.0)
    }
}

/// A datagram to be sent: `header` and then `payload`. In two pieces, since the payload is shared between paths and
/// retransmissions: a socket that takes several slices (`sendmsg`) sends it without a copy.
#[derive(Clone, Debug)]
pub struct Transmit {
    /// Where.
    pub path: PathId,
    /// The first 16 bytes.
    pub header: [u8; HEADER_LEN],
    /// The rest.
    pub payload: Bytes,
}

impl Transmit {
    /// Bytes of the datagram.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        HEADER_LEN + self.payload.len()
    }

    /// Appends the datagram in one piece.
    pub fn write_to(&self, out: &mut impl BufMut) {
        out.put_slice(&self.header);
        out.put_slice(&self.payload);
    }
}

/// A packet that is to be played.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its sequence number.
    pub seq: SeqNo,
    /// When it was made, by the peer's clock: µs since its start, wraps counted.
    pub source_us: u64,
    /// When it is to be played, by ours.
    pub play_at: Instant,
    /// So many packets between this and the one delivered before never came.
    pub skipped: u64,
    /// Its content.
    pub payload: Bytes,
}

/// Why a path has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Its owner closed it.
    Here,
    /// The peer said so.
    ByPeer,
    /// Nothing came from the peer for too long.
    PeerIdle,
}

/// What happened in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A path has been added.
    PathAdded(PathId),
    /// A path has ended; its number means nothing any more. It can come back as a new one.
    PathClosed {
        /// Which.
        path: PathId,
        /// Why.
        why: Closed,
    },
    /// A message of the layers above has come ([`super::Session::send_message`]).
    Message {
        /// On which path.
        path: PathId,
        /// What.
        body: Bytes,
    },
    /// Keys have changed.
    Keys {
        /// Of one path; None for all.
        path: Option<PathId>,
        /// How.
        change: KeyChange,
    },
    /// The peer does not take a new key: it will not be able to read what comes after the change.
    KeyRefused {
        /// Whose peer.
        path: PathId,
        /// What it says.
        status: KmStatus,
    },
    /// The session is over: it was closed here and everything has been said, or the peer has closed its last path.
    /// What has arrived can still be taken out.
    Closed,
}

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A packet is to be played.
    Deliver,
    /// An acknowledgement is due.
    Acknowledge,
    /// Lost packets are to be asked for.
    Nak,
    /// Nothing was heard of the end of what was sent.
    Tail,
    /// A packet may leave at the pace of its path.
    Pace,
    /// The oldest packet in the send buffer is of no use any more.
    Expire,
    /// A path's report is due.
    Report,
    /// A path has to say something.
    KeepAlive,
    /// A path may be dead.
    PeerIdle,
    /// A key is to be announced again.
    Key,
    /// The end of waiting for acknowledgements.
    Linger,
}

/// Why a packet is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed,
    /// It would not fit into a datagram: live mode has one packet per message.
    #[error("{bytes} bytes do not fit into one packet of {most}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
        /// Bytes that fit.
        most: usize,
    },
}

/// Why a path is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddPathError {
    /// The session is closing or closed.
    #[error("the session is closed")]
    Closed,
    /// There are as many as there can be.
    #[error("a session has at most {} paths", super::MAX_PATHS)]
    TooMany,
}
