//! Pure. What a session with a sender brings, whatever it speaks.

use std::time::Duration;

use crate::model::AccessUnit;

/// In the order in which it happened. A session says `Began` first, and after `Ended` only `Began`. Where it is us who call,
/// attempts that come to nothing are `Ended` as well, each reason once.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// A sender is there.
    Began {
        /// Who, for people: an address, and what it is if it said so.
        from: String,
    },
    /// One access unit, in the form [`crate::model::Codec`] states. Its times are the sender's, on one clock for picture and
    /// sound, and may be anything that fits; pictures come in decoding order. Its `rendition` means nothing.
    Unit(AccessUnit),
    /// Times from here on are not comparable with those before.
    TimeBase,
    /// How its network does; about once a second.
    Network(Network),
    /// The sender is gone, or cannot be had.
    Ended {
        /// Why, for people.
        why: String,
    },
}

/// How the network between a sender and us does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Network {
    /// Since when the counts below are counted: the length of this report.
    pub over: Duration,
    /// Round trip, where the session measures one.
    pub rtt: Option<Duration>,
    /// Packets (SRT, RTP) that came or should have come; 0 where the session has none.
    pub packets: u64,
    /// Of those, the ones that did not come in time.
    pub lost: u64,
    /// Bytes of media that came.
    pub bytes: u64,
}
