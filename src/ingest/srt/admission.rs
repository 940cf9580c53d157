//! Pure. Who may send what: a caller's stream id names a place, a programme of a relay's or an input of a box's, and a place has one
//! sender at a time.
//!
//! The passphrase is not looked at here: the listener lets a caller in only if it has the one of the place that it
//! asked for. So a caller without it can find out which stream ids exist, which is what libsrt's reject codes are for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::config::Secret;
use crate::srt::wire::RejectReason;
use crate::srt::{Mode, Purpose, StreamId};

/// Why a caller is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// There is no programme of that stream id.
    UnknownStream,
    /// The stream id begins like access control and goes on like nothing known.
    BadStreamId,
    /// It wants to receive; a relay sends only to its own destinations.
    NotASender,
    /// It wants to send a file, or to exchange secrets.
    NotAStream,
    /// Somebody else is sending this programme, and is alive.
    Busy,
    /// It asks for more latency than the configuration allows.
    TooSlow,
}

impl Denial {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::UnknownStream, Self::BadStreamId, Self::NotASender, Self::NotAStream, Self::Busy, Self::TooSlow];

    /// What the caller is told: the codes of libsrt's `access-control.md`, which are HTTP's.
    pub const fn reason(self) -> RejectReason {
        match self {
            Self::UnknownStream => RejectReason::NOT_FOUND,
            Self::BadStreamId => RejectReason::BAD_REQUEST,
            Self::NotASender => RejectReason::BAD_MODE,
            Self::NotAStream => RejectReason::Server(415),
            Self::Busy => RejectReason::CONFLICT,
            Self::TooSlow => RejectReason::FORBIDDEN,
        }
    }

    /// A word for evidence and metrics, stable across releases.
    pub const fn code(self) -> &'static str {
        match self {
            Self::UnknownStream => "unknown-stream-id",
            Self::BadStreamId => "bad-stream-id",
            Self::NotASender => "not-a-sender",
            Self::NotAStream => "not-a-stream",
            Self::Busy => "programme-busy",
            Self::TooSlow => "latency-too-long",
        }
    }

    /// What an operator can do about it.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::UnknownStream => "nothing here has the stream id that it asks for: check it on both sides",
            Self::BadStreamId => "its stream id begins with #! and cannot be read: check its spelling",
            Self::NotASender => "it wants to receive (m=request), but callers can only send here: use m=publish",
            Self::NotAStream => "it does not want to send a stream (t=): leave t out",
            Self::Busy => "somebody else is sending: stop the other sender first",
            Self::TooSlow => "it asks for more latency than is allowed here: ask for less",
        }
    }
}

/// Where a caller may send to.
#[derive(Clone, Debug)]
pub struct Place {
    /// What its sender asks for, as it is or as the resource `r` of the access-control syntax (`#!::r=…`); `None`: whatever
    /// names no other place.
    pub stream_id: Option<Secret>,
    /// Its sender's passphrase; `None` for one that is open.
    pub passphrase: Option<Secret>,
}

impl Place {
    fn is_called(&self, name: &str) -> bool {
        self.stream_id.as_ref().is_some_and(|own| own.reveal() == name)
    }
}

/// What a caller asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'r> {
    /// What names the programme.
    pub stream_id: &'r StreamId,
    /// The time for repetitions. SRT takes the larger of what both sides say (draft §3.2.1.1, libsrt's
    /// `interpretSrtHandshake`), so a listener cannot give a caller less than this: it can only refuse.
    pub latency: Duration,
}

/// Which place a caller may send to. `is_taken` tells of a place whether it has a sender that is alive.
///
/// # Errors
/// Why none.
pub fn admit(
    places: &[Place],
    max_latency: Duration,
    wish: Wish<'_>,
    is_taken: impl Fn(usize) -> bool,
) -> Result<usize, Denial> {
    let place = place_of(places, wish.stream_id)?;
    if wish.latency > max_latency {
        return Err(Denial::TooSlow);
    }
    if is_taken(place) { Err(Denial::Busy) } else { Ok(place) }
}

/// Which place a stream id names.
///
/// # Errors
/// Why none.
pub fn place_of(places: &[Place], stream_id: &StreamId) -> Result<usize, Denial> {
    // As it is: an operator may have chosen one that looks like access control.
    if let Some(place) = places.iter().position(|place| place.is_called(stream_id.as_str())) {
        return Ok(place);
    }
    let access = stream_id.access().map_err(|_| Denial::BadStreamId)?;
    match access.mode {
        Some(Mode::Request) => return Err(Denial::NotASender),
        Some(Mode::Publish | Mode::Bidirectional) | None => {}
    }
    if access.purpose != Purpose::Stream {
        return Err(Denial::NotAStream);
    }
    let named = |place: &Place| access.resource.is_some_and(|resource| place.is_called(resource));
    places.iter().position(|place| place.stream_id.is_none() || named(place)).ok_or(Denial::UnknownStream)
}

/// Between two events of one kind.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Counts denials; each kind is told at most once a second, so that nobody can fill a log.
#[derive(Debug, Default)]
pub struct Denials {
    kinds: BTreeMap<Denial, Count>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    total: u64,
    untold: u64,
    told: Option<Instant>,
}

impl Denials {
    /// Counts one. How many there were since the last that was told, with this one, if this one is to be told.
    pub fn count(&mut self, denial: Denial, now: Instant) -> Option<u64> {
        let count = self.kinds.entry(denial).or_default();
        count.total += 1;
        count.untold += 1;
        if count.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        count.told = Some(now);
        Some(std::mem::take(&mut count.untold))
    }

    /// All of one kind.
    pub fn total(&self, denial: Denial) -> u64 {
        self.kinds.get(&denial).map_or(0, |count| count.total)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const MOST: Duration = Duration::from_secs(8);

    fn asks(stream_id: &StreamId) -> Wish<'_> {
        Wish { stream_id, latency: MOST }
    }

    fn places() -> Vec<Place> {
        let place = |stream_id: &str| Place { stream_id: Some(Secret::new(stream_id)), passphrase: None };
        vec![place("one"), place("#!odd"), place("tree/house")]
    }

    #[test]
    fn a_place_without_a_stream_id_takes_any_that_can_be_read() {
        let places = [Place { stream_id: None, passphrase: None }];
        for (stream_id, expected) in [
            ("", Ok(0)),
            ("anything", Ok(0)),
            ("#!::r=camera,m=publish", Ok(0)),
            ("#!::r=camera,m=request", Err(Denial::NotASender)),
            ("#!::r=one,t=file", Err(Denial::NotAStream)),
            ("#!r=one", Err(Denial::BadStreamId)),
        ] {
            let stream_id = StreamId::new(stream_id).unwrap();
            assert_eq!(admit(&places, MOST, asks(&stream_id), |_| false), expected, "{}", stream_id.as_str());
        }
    }

    #[test]
    fn a_stream_id_names_a_programme_plainly_or_as_a_resource() {
        for (stream_id, expected) in [
            ("one", Ok(0)),
            ("#!odd", Ok(1)),
            ("#!::r=tree/house,m=publish", Ok(2)),
            ("#!::m=bidirectional,u=me,r=one", Ok(0)),
            ("#!::r=one", Ok(0)),
            ("#!::r=one,m=request", Err(Denial::NotASender)),
            ("#!::r=one,m=publish,t=file", Err(Denial::NotAStream)),
            ("#!::r=one,r=two", Err(Denial::BadStreamId)),
            ("#!r=one", Err(Denial::BadStreamId)),
            ("#!::u=one", Err(Denial::UnknownStream)),
            ("One", Err(Denial::UnknownStream)),
            ("", Err(Denial::UnknownStream)),
        ] {
            let stream_id = StreamId::new(stream_id).unwrap();
            assert_eq!(admit(&places(), MOST, asks(&stream_id), |_| false), expected, "{}", stream_id.as_str());
        }
    }

    #[test]
    fn a_programme_that_is_taken_is_refused_and_no_other() {
        let (one, odd) = (StreamId::new("one").unwrap(), StreamId::new("#!odd").unwrap());
        assert_eq!(admit(&places(), MOST, asks(&one), |place| place == 0), Err(Denial::Busy));
        assert_eq!(admit(&places(), MOST, asks(&odd), |place| place == 0), Ok(1));
        assert_eq!(Denial::Busy.reason(), RejectReason::from_code(2409));
    }

    #[test]
    fn who_asks_for_more_latency_than_there_may_be_is_told_so_before_who_comes_second() {
        let one = StreamId::new("one").unwrap();
        let wish = |latency| Wish { stream_id: &one, latency };
        let more = MOST + Duration::from_millis(1);
        assert_eq!(admit(&places(), MOST, wish(MOST), |_| false), Ok(0));
        assert_eq!(admit(&places(), MOST, wish(more), |_| false), Err(Denial::TooSlow));
        assert_eq!(admit(&places(), MOST, wish(more), |_| true), Err(Denial::TooSlow));
        assert_eq!(Denial::TooSlow.reason(), RejectReason::from_code(2403));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
    fn denials_are_all_counted_and_seldom_told() {
        let (mut denials, start) = (Denials::default(), Instant::now());
        let told = (0..3000).filter_map(|ms| denials.count(Denial::Busy, start + Duration::from_millis(ms)));
        assert_eq!(told.collect::<Vec<_>>(), [1, 1000, 1000]);
        assert_eq!(denials.count(Denial::UnknownStream, start), Some(1), "another kind is told by itself");
        assert_eq!(denials.total(Denial::Busy), 3000);
    }
}
