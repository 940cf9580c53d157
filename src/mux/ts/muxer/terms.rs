//! What the muxer says: payloads, answers, counters.

use bytes::Bytes;

use crate::model::Media;
use crate::mux::MuxError;

/// Packets for one datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The programme time that belongs to it: when it was to leave.
    pub at: Media,
    /// Tables and a keyframe begin here: a new receiver can start with this one.
    pub key: bool,
    /// 1 to 7 whole packets; always 7 with a bit rate.
    pub bytes: Bytes,
}

/// What became of an access unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It will be in the payloads.
    Muxed,
    /// Dropped: no receiver could use it, since it is sound from before the first picture, or a picture whose keyframe
    /// was not sent.
    Undecodable,
    /// Dropped: more waits than [`Muxer::poll`](super::Muxer::poll) has taken or than the bit rate carries. Pictures go
    /// on with the next keyframe.
    Overflow,
    /// Dropped: not a unit that transport streams can carry.
    Refused(MuxError),
}

/// What [`Muxer::poll_timeout`](super::Muxer::poll_timeout) waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Units are waiting.
    Units,
    /// The clock reference.
    Clock,
    /// The tables.
    Tables,
    /// A payload that has waited for company long enough.
    Hold,
    /// The bit rate.
    Rate,
}

/// Counted since the muxer was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MuxCounters {
    /// Units taken.
    pub units: u64,
    /// Units whose first packet left after their decoding time: the clock had passed them.
    pub late: u64,
    /// How late the latest was.
    pub latest: Media,
    /// Units dropped as [`Taken::Undecodable`].
    pub undecodable: u64,
    /// Units dropped as [`Taken::Overflow`].
    pub overflow: u64,
    /// Units dropped as [`Taken::Refused`].
    pub refused: u64,
    /// Payloads handed out.
    pub payloads: u64,
    /// Packets written, padding included.
    pub packets: u64,
    /// Packets of padding.
    pub padding: u64,
    /// Clock references written.
    pub clocks: u64,
    /// Tables written.
    pub tables: u64,
    /// Times that [`Muxer::poll`](super::Muxer::poll) was called so late that the bit rate could not be kept.
    pub stalls: u64,
}
