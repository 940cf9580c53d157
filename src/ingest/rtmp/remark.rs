//! Pure. What is worth telling people about those who connect: who was not let in, and what of a publisher is left out.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::discriminant;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::mux::flv::read::LeftOut;
use crate::rtmp::server::Denial;

/// Between two remarks of one kind, so that nobody can fill a log.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Something to tell people. Holds nothing that a stranger said but its address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// About whom; the last of them, where there were several.
    pub from: SocketAddr,
    /// What.
    pub what: Matter,
    /// How often since it was told last; at least 1.
    pub times: u64,
}

/// What a remark is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matter {
    /// Not let in.
    Denied(Denial),
    /// Publishes, and this of it is not passed on. Once a connection.
    LeftOut(LeftOut),
}

impl Matter {
    /// Whether `other` would say the same again.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Denied(one), Self::Denied(two)) => discriminant(one) == discriminant(two),
            (Self::LeftOut(one), Self::LeftOut(two)) => discriminant(one) == discriminant(two),
            (Self::Denied(_), Self::LeftOut(_)) | (Self::LeftOut(_), Self::Denied(_)) => false,
        }
    }

    /// One number a kind.
    const fn kind(&self) -> u8 {
        match self {
            Self::Denied(denial) => match denial {
                Denial::Tls => 0,
                Denial::NotRtmp => 1,
                Denial::WrongApp => 2,
                Denial::WrongKey => 3,
                Denial::Taken => 4,
                Denial::Player => 5,
                Denial::Late(_) => 6,
                Denial::Protocol { .. } => 7,
                Denial::Crowded => 8,
                Denial::Guesses(_) => 9,
            },
            Self::LeftOut(_) => 10,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Matter::Denied(denial) => write!(f, "{} was not let in: {denial}", self.from)?,
            Matter::LeftOut(left_out) => write!(f, "{} publishes, but {left_out}", self.from)?,
        }
        match self.times {
            0 | 1 => Ok(()),
            times => write!(f, " ({times} times)"),
        }
    }
}

/// Counts, and lets each kind through once a second.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    kinds: BTreeMap<u8, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    untold: u64,
    told: Option<Instant>,
}

impl Remarks {
    /// Something about `from`: the remark that is to be told, if one is.
    pub(super) fn count(&mut self, from: SocketAddr, what: Matter, now: Instant) -> Option<Remark> {
        let count = self.kinds.entry(what.kind()).or_default();
        count.untold += 1;
        if count.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        count.told = Some(now);
        Some(Remark { from, what, times: std::mem::take(&mut count.untold) })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::{Codec, Track};
    use crate::mux::flv::read::Foreign;

    #[test]
    fn each_kind_is_told_once_a_second_with_how_many_there_were() {
        let from = SocketAddr::from(([192, 0, 2, 7], 50_000));
        let (mut remarks, now) = (Remarks::default(), crate::clock::now());
        let mut count = |what: Matter, ms| remarks.count(from, what, now + Duration::from_millis(ms));
        assert_eq!(count(Matter::Denied(Denial::WrongKey), 0).unwrap().times, 1);
        assert_eq!(count(Matter::Denied(Denial::WrongKey), 10), None);
        assert_eq!(count(Matter::Denied(Denial::WrongApp), 20).unwrap().times, 1);
        assert!((30..999).all(|ms| count(Matter::Denied(Denial::WrongKey), ms).is_none()));
        let told = count(Matter::Denied(Denial::WrongKey), 1000).unwrap();
        assert_eq!(told.to_string(), "192.0.2.7:50000 was not let in: its stream key is wrong (971 times)");
    }

    #[test]
    fn what_is_left_out_is_the_same_again_whatever_its_bytes() {
        let out = |why| Matter::LeftOut(why);
        let codec = |number| out(LeftOut::Codec(Foreign::Number(Track::Audio, number)));
        assert!(codec(2).is_like(&codec(3)));
        assert!(!codec(2).is_like(&out(LeftOut::Empty(Codec::Aac))));
        assert!(!codec(2).is_like(&Matter::Denied(Denial::Tls)));
    }
}
