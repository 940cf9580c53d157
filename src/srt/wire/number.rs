//! The numbers of SRT. They wrap, so they have no total order: compare by [`SeqNo::diff`] and its kin.

use std::fmt;

/// Sequence number of a data packet: 31 bits, wraps to 0 (draft §3.1). One packet, one number, on every path of a
/// group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqNo(u32);

impl SeqNo {
    /// The largest.
    pub const MAX: Self = Self(0x7fff_ffff);

    /// Takes the low 31 bits.
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MAX.0)
    }

    /// As on the wire, below 2^31.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        self.plus(1)
    }

    /// The one before it.
    #[must_use]
    pub const fn previous(self) -> Self {
        self.minus(1)
    }

    /// `n` further on.
    #[must_use]
    pub const fn plus(self, n: u32) -> Self {
        Self::new(self.0.wrapping_add(n))
    }

    /// `n` back.
    #[must_use]
    pub const fn minus(self, n: u32) -> Self {
        Self::new(self.0.wrapping_sub(n))
    }

    /// How far `self` is ahead of `other`, the short way round: -2^30..2^30.
    pub const fn diff(self, other: Self) -> i32 {
        // Shifted to the top, the 31-bit difference gets its sign from two's complement.
        (self.0.wrapping_sub(other.0) << 1).cast_signed() >> 1
    }

    /// Whether it comes before `other`, the short way round.
    pub const fn is_before(self, other: Self) -> bool {
        self.diff(other) < 0
    }

    /// Whether it comes after `other`, the short way round.
    pub const fn is_after(self, other: Self) -> bool {
        self.diff(other) > 0
    }

    /// The number without wraps that is nearest to `near` and ends in these 31 bits. Never below 0.
    pub const fn extend(self, near: u64) -> u64 {
        extend(self.0, near, 31)
    }
}

impl fmt::Display for SeqNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

impl From<u64> for SeqNo {
    /// The low 31 bits of a number without wraps; the inverse of [`Self::extend`].
    fn from(extended: u64) -> Self {
        Self::new(extended as u32)
    }
}

/// Message number of a data packet: 26 bits, 1 is the first and follows the largest (draft §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MsgNo(u32);

impl MsgNo {
    /// What a drop request carries when it speaks of sequence numbers only.
    pub const NONE: Self = Self(0);
    /// Of a session's first message.
    pub const FIRST: Self = Self(1);
    /// The largest.
    pub const MAX: Self = Self(0x03ff_ffff);

    /// Takes the low 26 bits.
    pub const fn new(value: u32) -> Self {
        Self(value & Self::MAX.0)
    }

    /// As on the wire, below 2^26.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The one after it; 0 is passed over.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 == Self::MAX.0 { Self::FIRST } else { Self(self.0 + 1) }
    }
}

/// Microseconds since the sender's start, 32 bits: wraps every 71 min 35 s (draft §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Timestamp(u32);

impl Timestamp {
    /// The sender's start.
    pub const ZERO: Self = Self(0);

    /// As on the wire.
    pub const fn new(micros: u32) -> Self {
        Self(micros)
    }

    /// As on the wire, µs.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// How far `self` is ahead of `other`, the short way round, µs.
    pub const fn diff(self, other: Self) -> i32 {
        self.0.wrapping_sub(other.0).cast_signed()
    }

    /// The time without wraps, µs, that is nearest to `near` and ends in these 32 bits. Never below 0.
    pub const fn extend(self, near: u64) -> u64 {
        extend(self.0, near, 32)
    }
}

impl From<u64> for Timestamp {
    /// The low 32 bits of a time without wraps, µs; the inverse of [`Self::extend`].
    fn from(micros: u64) -> Self {
        Self(micros as u32)
    }
}

/// Which socket at the far end a packet is for. Positive and without bit 30, which marks groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u32);

impl SocketId {
    /// Where a caller sends before it knows the far end's: to the listener.
    pub const LISTENER: Self = Self(0);
    /// The largest that libsrt takes for one; bit 30 marks a group.
    pub const MAX: Self = Self(0x3fff_ffff);
}

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{:08x}", self.0)
    }
}

/// Identity of a group at the side that made it: a socket id with bit 30 set (libsrt's SRTGROUP_MASK).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(u32);

impl GroupId {
    /// Marks a group.
    pub const MARK: u32 = 0x4000_0000;

    /// None when the mark is missing, which libsrt answers with 1004.
    pub const fn new(value: u32) -> Option<Self> {
        if value & Self::MARK == 0 { None } else { Some(Self(value)) }
    }

    /// A group's id from 30 bits of any value.
    pub const fn marked(value: u32) -> Self {
        Self(value & SocketId::MAX.0 | Self::MARK)
    }

    /// As on the wire.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${:08x}", self.0)
    }
}

/// Sequence numbers `first..=last`, `last` not before `first`: up to 2^30 of them, on a peer's say-so. Clamp to what is
/// in flight before walking them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SeqRange {
    first: SeqNo,
    last: SeqNo,
}

impl SeqRange {
    /// None if `last` comes before `first`.
    pub const fn new(first: SeqNo, last: SeqNo) -> Option<Self> {
        if last.is_before(first) { None } else { Some(Self { first, last }) }
    }

    /// One.
    pub const fn single(seq: SeqNo) -> Self {
        Self { first: seq, last: seq }
    }

    /// The first of them.
    pub const fn first(self) -> SeqNo {
        self.first
    }

    /// The last of them.
    pub const fn last(self) -> SeqNo {
        self.last
    }

    /// How many, at least 1.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub const fn len(self) -> u32 {
        self.last.diff(self.first).unsigned_abs() + 1
    }

    /// Whether `seq` is one of them.
    pub const fn contains(self, seq: SeqNo) -> bool {
        !seq.is_before(self.first) && !seq.is_after(self.last)
    }

    /// What of it lies in `first..=last`.
    #[must_use]
    pub const fn clamp(self, first: SeqNo, last: SeqNo) -> Option<Self> {
        let first = if self.first.is_before(first) { first } else { self.first };
        let last = if self.last.is_after(last) { last } else { self.last };
        Self::new(first, last)
    }
}

/// Nearest number to `near` whose low `bits` are `value`.
const fn extend(value: u32, near: u64, bits: u32) -> u64 {
    let turn = 1u64 << bits;
    let here = (near & !(turn - 1)) | value as u64;
    let half = turn / 2;
    if here > near.saturating_add(half) && here >= turn {
        here - turn
    } else if here.saturating_add(half) < near {
        here.saturating_add(turn)
    } else {
        here
    }
}
