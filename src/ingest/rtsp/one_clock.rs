//! Pure. Picture and sound on one clock. RTP gives each its own, with an origin by chance; three things relate them:
//!
//! 1. `RTP-Info` in the answer to PLAY (RFC 2326 §12.33): what comes in here counts from the same instant. Where it is
//!    missing, each counts from its first packet, so both begin together. Believed unless arrival contradicts.
//! 2. When things arrive: where that contradicts, and where a clock jumps.
//! 3. Sender reports (RFC 3550 §6.4.1), every few seconds: exact, and believed from then on. Sound moves to the picture.

use std::time::{Duration, Instant};

use crate::model::{Media, Track};

/// How much earlier or later than it arrives something may belong at the beginning. Servers send the pictures since the last
/// key picture all at once.
const BELIEVED: Duration = Duration::from_secs(2);
/// How far a clock goes back where it has not jumped: pictures come out of order.
const BACK: Duration = Duration::from_secs(2);
/// How far a clock runs ahead of arrival where it has not jumped.
const AHEAD: Duration = Duration::from_secs(3);
/// Sound and picture this far apart are together: nobody sees it (ITU-R BT.1359), and reports are no more exact.
const TOGETHER: Media = Media::from_millis(15);
/// Reports that move sound by more than this are nonsense: clocks that have nothing to do with one another.
const NONSENSE: Media = Media::from_millis(10_000);
/// Reports that are farther apart than this are not compared: a clock may have been set in between.
const TOO_OLD: Media = Media::from_millis(20_000);

/// `ticks` of `hz` as a time; the origin for `hz` 0.
pub(super) fn media_of(ticks: i64, hz: u32) -> Media {
    let nanoseconds = i128::from(ticks) * 1_000_000_000 / i128::from(hz.max(1));
    Media(i64::try_from(nanoseconds).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX }))
}

/// A 64-bit NTP time stamp (RFC 3550 §4) as nanoseconds since 1900.
pub(super) fn media_of_ntp(stamp: u64) -> Media {
    let nanoseconds = (u128::from(stamp) * 1_000_000_000) >> 32;
    Media(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
}

/// The clock of one session.
#[derive(Debug, Default)]
pub(super) struct OneClock {
    picture: Line,
    sound: Line,
    agreement: Agreement,
}

/// One track's own clock.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    /// What is added to its times. `None` before the first.
    offset: Option<Media>,
    /// The latest time given out, and when that arrived.
    last: Option<(Media, Instant)>,
    /// From the last sender report: the sender's clock, and the track's at the same instant.
    report: Option<(Media, Media)>,
}

/// Whether sender reports have been heeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Agreement {
    /// Not yet: the first are.
    #[default]
    None,
    /// Yes.
    Reached,
    /// Yes, and the last ones wanted to move sound by this; heeded if the next do too.
    Doubted(Media),
}

/// Where a frame belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) at: Media,
    /// Its track's clock jumped just before it, and has been moved so that time goes on as things arrive.
    pub(super) jumped: bool,
}

impl OneClock {
    /// Where a frame of `track` belongs that is at `local` on its own clock and arrived at `now`.
    pub(super) fn place(&mut self, track: Track, local: Media, now: Instant) -> Placed {
        let (line, other) = match track {
            Track::Video => (&mut self.picture, self.sound),
            Track::Audio => (&mut self.sound, self.picture),
        };
        let (offset, jumped) = match (line.offset, line.last) {
            (Some(offset), Some(last)) if goes_on(local + offset, last, now) => (offset, false),
            (_, Some(last)) => (reached(last, now) - local, true),
            (_, None) => (first_offset(local, other, now), false),
        };
        if jumped {
            line.report = None;
        }
        line.offset = Some(offset);
        let at = local + offset;
        if jumped || line.last.is_none_or(|(last, _)| last < at) {
            line.last = Some((at, now));
        }
        Placed { at, jumped }
    }

    /// A sender report said that `track` was at `local` when the sender's clock was at `sender`. Whether sound was moved,
    /// so that its times are not comparable with those before.
    pub(super) fn report(&mut self, track: Track, sender: Media, local: Media) -> bool {
        let line = match track {
            Track::Video => &mut self.picture,
            Track::Audio => &mut self.sound,
        };
        line.report = Some((sender, local));
        let (Some(picture), Some(sound)) = (self.picture.origin(), self.sound.origin()) else { return false };
        if distance(picture.heard, sound.heard) > TOO_OLD {
            return false;
        }
        let shift = sound.zero - picture.zero;
        let size = distance(sound.zero, picture.zero);
        let heeded = match self.agreement {
            _ if size > NONSENSE => return false,
            _ if size <= TOGETHER => false,
            Agreement::None => true,
            Agreement::Reached => {
                self.agreement = Agreement::Doubted(shift);
                return false;
            }
            Agreement::Doubted(before) if distance(before, shift) <= TOGETHER => true,
            Agreement::Doubted(_) => {
                self.agreement = Agreement::Doubted(shift);
                return false;
            }
        };
        self.agreement = Agreement::Reached;
        if heeded {
            self.sound.offset = self.sound.offset.map(|offset| offset + shift);
            self.sound.last = self.sound.last.map(|(at, when)| (at + shift, when));
        }
        heeded
    }
}

/// What a report says.
struct Origin {
    /// The sender's clock when it was made.
    heard: Media,
    /// The sender's clock at our time 0.
    zero: Media,
}

impl Line {
    fn origin(&self) -> Option<Origin> {
        let ((heard, local), offset) = (self.report?, self.offset?);
        Some(Origin { heard, zero: heard - (local + offset) })
    }
}

/// What is added to a track's clock that is at `local` when its first frame arrives.
fn first_offset(local: Media, other: Line, now: Instant) -> Media {
    let (Some(offset), Some(last)) = (other.offset, other.last) else { return Media::ZERO };
    let by_arrival = reached(last, now);
    let by_clock = local + offset;
    if distance(by_clock, by_arrival) <= Media::from_duration(BELIEVED) { offset } else { by_arrival - local }
}

fn goes_on(at: Media, last: (Media, Instant), now: Instant) -> bool {
    let most = reached(last, now) + Media::from_duration(AHEAD);
    last.0 - Media::from_duration(BACK) <= at && at <= most
}

/// Where time is by now.
fn reached((at, when): (Media, Instant), now: Instant) -> Media {
    at + Media::from_duration(now.saturating_duration_since(when))
}

fn distance(a: Media, b: Media) -> Media {
    Media((a - b).0.saturating_abs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods)]
    use proptest::prelude::*;

    use super::*;

    /// A clock to which things arrive, milliseconds after the beginning.
    struct Rig {
        clock: OneClock,
        began: Instant,
    }

    impl Rig {
        fn new() -> Self {
            Self { clock: OneClock::default(), began: Instant::now() }
        }

        fn place(&mut self, track: Track, local: i64, arrives: u64) -> (i64, bool) {
            let now = self.began + Duration::from_millis(arrives);
            let placed = self.clock.place(track, Media::from_millis(local), now);
            (placed.at.0 / 1_000_000, placed.jumped)
        }

        fn report(&mut self, track: Track, sender: i64, local: i64) -> bool {
            self.clock.report(track, Media::from_millis(sender), Media::from_millis(local))
        }
    }

    #[test]
    fn what_counts_from_one_instant_stays_as_it_is() {
        let mut rig = Rig::new();
        assert_eq!(rig.place(Track::Video, 130, 0), (130, false));
        assert_eq!(rig.place(Track::Audio, 100, 5), (100, false));
        assert_eq!(rig.place(Track::Video, 50, 40), (50, false), "pictures are reordered");
        // A second of pictures at once, and a stall.
        assert_eq!(rig.place(Track::Video, 1130, 60), (1130, false));
        assert_eq!(rig.place(Track::Video, 9000, 8900), (9000, false));
    }

    #[test]
    fn an_origin_that_arrival_contradicts_is_not_believed() {
        let mut rig = Rig::new();
        rig.place(Track::Video, 23_000_000, 0);
        assert_eq!(rig.place(Track::Audio, -7_000_000, 20), (23_000_020, false));
        assert_eq!(rig.place(Track::Audio, -6_999_980, 40), (23_000_040, false));
    }

    #[test]
    fn a_clock_that_jumps_goes_on_as_things_arrive() {
        for to in [-50_000_000, 0, 70_000_000] {
            let mut rig = Rig::new();
            rig.place(Track::Video, 20_000, 0);
            rig.place(Track::Video, 20_040, 40);
            assert_eq!(rig.place(Track::Video, to, 85), (20_085, true));
            assert_eq!(rig.place(Track::Video, to + 40, 125), (20_125, false));
        }
    }

    #[test]
    fn sender_reports_bring_sound_to_the_picture() {
        let mut rig = Rig::new();
        rig.place(Track::Video, 0, 0);
        rig.place(Track::Audio, 0, 10);
        // At 50 000 of the sender picture was at 1000, and at 50 500 sound at 1300: it began 200 ms later.
        assert!(!rig.report(Track::Video, 50_000, 1000));
        assert!(rig.report(Track::Audio, 50_500, 1300));
        assert_eq!(rig.place(Track::Audio, 1300, 1500), (1500, false));
        assert_eq!(rig.place(Track::Video, 1500, 1500), (1500, false));
        assert!(!rig.report(Track::Video, 51_000, 2000), "settled");
    }

    #[test]
    fn later_reports_are_heeded_when_they_insist() {
        let mut rig = Rig::new();
        rig.place(Track::Video, 0, 0);
        rig.place(Track::Audio, 0, 0);
        rig.report(Track::Video, 10_000, 0);
        assert!(!rig.report(Track::Audio, 10_010, 0), "10 ms are nothing");
        // The sender's clock is set by a second between two reports, and both are heard again after that.
        assert!(!rig.report(Track::Video, 16_000, 5000));
        assert!(!rig.report(Track::Audio, 16_010, 5000));
        // Sound drifts by 100 ms.
        assert!(!rig.report(Track::Audio, 21_110, 10_000));
        assert!(rig.report(Track::Video, 21_000, 10_000));
        assert_eq!(rig.place(Track::Audio, 10_000, 10_000).0, 10_110);
    }

    #[test]
    fn reports_that_have_nothing_to_do_with_one_another_are_left_alone() {
        let mut rig = Rig::new();
        rig.place(Track::Video, 0, 0);
        rig.place(Track::Audio, 0, 0);
        rig.report(Track::Video, 10_000, 0);
        assert!(!rig.report(Track::Audio, 70_000, 0), "a minute later: too old");
        assert!(!rig.report(Track::Audio, 25_000, 0), "fifteen seconds: nonsense");
        assert_eq!(rig.place(Track::Audio, 20, 20), (20, false));
    }

    #[test]
    fn units_are_those_of_the_specifications() {
        assert_eq!(media_of(3000, 90_000), Media(33_333_333));
        assert_eq!(media_of(-48_000, 48_000), Media(-1_000_000_000));
        assert_eq!((media_of(i64::MIN, 1), media_of(5, 0)), (Media(i64::MIN), Media(5_000_000_000)));
        assert_eq!(media_of_ntp(3 << 32 | 1 << 31), Media(3_500_000_000));
        assert!(media_of_ntp(u64::MAX).0 > 0);
    }

    proptest! {
        #[test]
        fn no_times_do_harm(steps in prop::collection::vec((any::<bool>(), any::<bool>(), any::<i64>(), any::<i64>()), 0..50)) {
            let mut clock = OneClock::default();
            let began = Instant::now();
            for (n, (picture, is_report, a, b)) in (0u64..).zip(steps) {
                let track = if picture { Track::Video } else { Track::Audio };
                if is_report {
                    clock.report(track, Media(a), Media(b));
                } else {
                    clock.place(track, Media(a), began + Duration::from_millis(n));
                }
            }
        }
    }
}
