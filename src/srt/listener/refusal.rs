//! Refusals: each is counted, and told at most once a second per kind, so that an attacker cannot fill a log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Route;
use crate::srt::stream_id::StreamId;
use crate::srt::wire::RejectReason;

/// Why a caller was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// The cookie is not ours, or too old. Not answered.
    WrongCookie,
    /// Too many handshakes from there, or from everywhere. Not answered.
    TooMany,
    /// The handshake makes no sense.
    Malformed,
    /// SRT before 1.3.
    OldVersion,
    /// Not live mode.
    NotLive,
    /// It wants a packet filter.
    Filter,
    /// It wants another cipher than AES-CTR.
    Cipher,
    /// The passphrases differ.
    WrongPassphrase,
    /// It has no passphrase, and one is demanded.
    PassphraseMissing,
    /// It has a passphrase, and there is none here.
    PassphraseUnexpected,
    /// Key material of another connection, without proof of having the keys.
    Replayed,
    /// Groups are not taken, or not of this type, or the group is full.
    Group,
    /// Too many callers wait for a decision, or are connected.
    Full,
    /// The decision did not come in time.
    Undecided,
    /// The decision was no.
    Denied,
}

impl Refusal {
    /// A word for the event's evidence, stable across releases.
    pub const fn code(self) -> &'static str {
        match self {
            Self::WrongCookie => "wrong-cookie",
            Self::TooMany => "too-many-handshakes",
            Self::Malformed => "malformed",
            Self::OldVersion => "too-old",
            Self::NotLive => "not-live",
            Self::Filter => "filter",
            Self::Cipher => "cipher",
            Self::WrongPassphrase => "wrong-passphrase",
            Self::PassphraseMissing => "passphrase-missing",
            Self::PassphraseUnexpected => "passphrase-unexpected",
            Self::Replayed => "replayed-key-material",
            Self::Group => "group",
            Self::Full => "full",
            Self::Undecided => "undecided",
            Self::Denied => "denied",
        }
    }

    /// What the caller is told; None to tell it nothing.
    pub(super) const fn reason(self) -> Option<RejectReason> {
        Some(match self {
            Self::WrongCookie | Self::TooMany => return None,
            Self::Malformed | Self::Replayed => RejectReason::Rogue,
            Self::OldVersion => RejectReason::Version,
            Self::NotLive => RejectReason::Congestion,
            Self::Filter => RejectReason::Filter,
            Self::Cipher => RejectReason::Crypto,
            Self::WrongPassphrase => RejectReason::BadSecret,
            Self::PassphraseMissing | Self::PassphraseUnexpected => RejectReason::Unsecure,
            Self::Group => RejectReason::Group,
            Self::Full => RejectReason::Backlog,
            Self::Undecided => RejectReason::Timeout,
            Self::Denied => RejectReason::Peer,
        })
    }
}

/// A refusal, told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The last one refused.
    pub route: Route,
    /// What it asked for, as far as that was read.
    pub stream_id: StreamId,
    /// Why.
    pub refusal: Refusal,
    /// How many were refused for this reason since it was last told, with this one.
    pub times: u64,
}

/// Between two events of one kind.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub(super) struct Refusals {
    kinds: BTreeMap<Refusal, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    untold: u64,
    told: Option<Instant>,
}

impl Refusals {
    /// Counts one, and returns the event if it is time for one.
    pub(super) fn count(
        &mut self,
        refusal: Refusal,
        route: Route,
        stream_id: &StreamId,
        now: Instant,
    ) -> Option<Refused> {
        let count = self.kinds.entry(refusal).or_default();
        count.total += 1;
        count.untold += 1;
        if count.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        count.told = Some(now);
        let times = std::mem::take(&mut count.untold);
        Some(Refused { route, stream_id: stream_id.clone(), refusal, times })
    }

    pub(super) fn total(&self, refusal: Refusal) -> u64 {
        self.kinds.get(&refusal).map_or(0, |count| count.total)
    }
}
