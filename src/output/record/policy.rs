//! Pure. What a recorder decides: what the queue lets in, when a file ends, when data is forced to the disk, which files
//! make room, when to try again. `now` is an argument, although the room does I/O.

use std::time::{Duration, Instant};

use crate::config::RecordingSettings;

/// Data written is forced to the disk this often at most.
pub(super) const SYNC_EVERY: Duration = Duration::from_secs(2);
/// Free space and quota are looked at this often.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Waits between attempts, by failures in a row.
const BACK_OFF: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
    Duration::from_secs(30),
];
/// After recording this long without failure, the back-off begins from its start.
const STEADY: Duration = Duration::from_secs(60);
/// A quota is shared by at least this many files, so that the oldest can go without all going.
const FILES_PER_QUOTA: u64 = 4;
/// A full disk must have this much more than the minimum before recording goes on, or a sixteenth of the minimum if
/// that is less: else it would stop again at once.
const RESUME_MARGIN: u64 = 64 << 20;

/// Why nothing can be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// Less free than there must be, and nothing of ours left to delete; or the disk said so itself.
    Full,
    /// The directory is not there.
    Missing,
    /// The file system is mounted read-only.
    ReadOnly,
    /// We may not write there.
    Denied,
    /// The disk reports errors.
    Failing,
    /// Somebody removed the file while it was being written.
    Removed,
    /// Anything else, in the system's words.
    Other(String),
}

/// Whether recording works, and when to try again if not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Working, or not tried yet. `failures` are remembered until it has worked for [`STEADY`].
    Good { since: Option<Instant>, failures: usize },
    /// Nothing is recorded until `retry_at`.
    Trouble { cause: Cause, since: Instant, retry_at: Instant, failures: usize },
}

impl Health {
    pub(super) const fn new() -> Self {
        Self::Good { since: None, failures: 0 }
    }

    pub(super) const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::Good { .. } => None,
            Self::Trouble { cause, .. } => Some(cause),
        }
    }

    /// Takes a failure; true if it is news to the operator.
    pub(super) fn fail(&mut self, cause: Cause, now: Instant) -> bool {
        let (news, began, before) = match self {
            Self::Good { since, failures } => {
                let steady = since.is_some_and(|since| now.saturating_duration_since(since) >= STEADY);
                (true, now, if steady { 0 } else { *failures })
            }
            Self::Trouble { cause: old, since, failures, .. } => (*old != cause, *since, *failures),
        };
        let wait = BACK_OFF.get(before).or(BACK_OFF.last()).copied().unwrap_or(STEADY);
        *self = Self::Trouble { cause, since: began, retry_at: now + wait, failures: before + 1 };
        news
    }

    pub(super) fn may_try(&self, now: Instant) -> bool {
        match self {
            Self::Good { .. } => true,
            Self::Trouble { retry_at, .. } => now >= *retry_at,
        }
    }

    /// Somebody asked to try at once, with the back-off from its start.
    pub(super) fn retry_now(&mut self, now: Instant) {
        match self {
            Self::Good { failures, .. } => *failures = 0,
            Self::Trouble { retry_at, failures, .. } => (*retry_at, *failures) = (now, 0),
        }
    }

    /// Something was written. How long the trouble lasted if this ends one.
    pub(super) fn wrote(&mut self, now: Instant) -> Option<Duration> {
        match self {
            Self::Good { since, .. } => {
                since.get_or_insert(now);
                None
            }
            Self::Trouble { since, failures, .. } => {
                let lasted = now.saturating_duration_since(*since);
                *self = Self::Good { since: Some(now), failures: *failures };
                Some(lasted)
            }
        }
    }
}

/// Why a file ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is as long as files are to be.
    Age,
    /// It takes its share of the quota.
    Size,
    /// The encoder's configuration changed, or time did not go on.
    Discontinuity,
    /// Recording was stopped.
    Stopped,
    /// The disk is full.
    Full,
    /// Something could not be written.
    Failed,
}

impl Ending {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Age => "a new file begins",
            Self::Size => "a new file begins: this one has its share of max_size",
            Self::Discontinuity => "a new file begins: the encoder's configuration changed",
            Self::Stopped => "recording stopped",
            Self::Full => "the disk is full",
            Self::Failed => "the disk did not take more",
        }
    }
}

/// Whether a file of that age and size ends at the keyframe at hand.
pub(super) fn ends_file(settings: &RecordingSettings, age: Duration, bytes: u64) -> Option<Ending> {
    if age >= settings.rotate_after {
        Some(Ending::Age)
    } else if settings.max_bytes.is_some_and(|max| bytes >= max / FILES_PER_QUOTA) {
        Some(Ending::Size)
    } else {
        None
    }
}

/// How room is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// So many of the oldest closed files go.
    pub(super) delete: usize,
    /// Whether that is enough to record.
    pub(super) enough: bool,
}

/// What must go so that quota and free space are kept.
///
/// `closed` are the sizes of this recording's closed files, oldest first; `current` what is not closed
/// yet; `free` what
/// the disk has. A recorder that had stopped because of a full disk (`stopped`) wants some more before it goes on.
pub(super) fn make_room(settings: &RecordingSettings, closed: &[u64], current: u64, free: u64, stopped: bool) -> Room {
    let minimum = settings.min_free_bytes;
    let margin = if stopped { RESUME_MARGIN.min(minimum / 16) } else { 0 };
    // A disk without a byte left is full even if nothing must stay free.
    let wanted = minimum.saturating_add(margin).max(1);
    let mut used = closed.iter().fold(current, |sum, bytes| sum.saturating_add(*bytes));
    let mut free = free;
    let mut delete = 0;
    for bytes in closed {
        let over = settings.max_bytes.is_some_and(|max| used > max);
        if !over && free >= wanted {
            break;
        }
        used = used.saturating_sub(*bytes);
        free = free.saturating_add(*bytes);
        delete += 1;
    }
    Room { delete, enough: free >= wanted }
}

/// When data is forced to the disk: at most every [`SYNC_EVERY`], and never while the last time is still under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyncPace {
    Idle { last: Option<Instant> },
    UnderWay { since: Instant },
}

impl SyncPace {
    /// Whether to begin one.
    pub(super) fn due(&mut self, now: Instant) -> bool {
        match self {
            Self::Idle { last } if last.is_none_or(|last| now.saturating_duration_since(last) >= SYNC_EVERY) => {
                *self = Self::UnderWay { since: now };
                true
            }
            Self::Idle { .. } | Self::UnderWay { .. } => false,
        }
    }

    /// It ended.
    pub(super) fn done(&mut self) {
        if let Self::UnderWay { since } = *self {
            *self = Self::Idle { last: Some(since) };
        }
    }
}

/// How full the queue to the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// At most half full.
    Easy,
    /// More than half full.
    High,
    /// The unit at hand does not fit.
    Full,
}

/// Lets units into the queue. When it overflows, everything is left out until a video keyframe comes while the queue is
/// at most half full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    Shut { since: Instant, lost: u64 },
}

/// What happens to the unit at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// It goes in.
    In,
    /// It goes in, the first after so many were left out for so long.
    InAgain { lost: u64, lasted: Duration },
    /// It is left out; `news` for the first.
    Out { news: bool },
}

impl Gate {
    /// `keyframe`: the unit is a video keyframe.
    pub(super) fn offer(&mut self, keyframe: bool, level: Level, now: Instant) -> Entry {
        match (&mut *self, level) {
            (Self::Open, Level::Easy | Level::High) => Entry::In,
            (Self::Open, Level::Full) => {
                *self = Self::Shut { since: now, lost: 1 };
                Entry::Out { news: true }
            }
            (Self::Shut { since, lost }, Level::Easy) if keyframe => {
                let entry = Entry::InAgain { lost: *lost, lasted: now.saturating_duration_since(*since) };
                *self = Self::Open;
                entry
            }
            (Self::Shut { lost, .. }, _) => {
                *lost += 1;
                Entry::Out { news: false }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::model::{OutputId, RenditionId};

    fn settings(max_bytes: Option<u64>, min_free_bytes: u64) -> RecordingSettings {
        RecordingSettings {
            id: OutputId::new("archive").unwrap(),
            rendition: RenditionId::new("main").unwrap(),
            directory: "/recordings".into(),
            rotate_after: Duration::from_secs(600),
            max_bytes,
            min_free_bytes,
        }
    }

    fn at(seconds: u64) -> Instant {
        // One origin for all of a test's times.
        static ORIGIN: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        *ORIGIN.get_or_init(crate::clock::now) + Duration::from_secs(seconds)
    }

    #[test]
    fn attempts_are_further_and_further_apart_until_it_has_worked_for_a_minute() {
        let mut health = Health::new();
        let mut now = 0;
        for wait in [1, 2, 4, 8, 15, 30, 30] {
            health.fail(Cause::Full, at(now));
            assert!(!health.may_try(at(now + wait - 1)), "after {wait} s");
            assert!(health.may_try(at(now + wait)));
            now += wait;
        }
        health.wrote(at(now));
        health.fail(Cause::Full, at(now + 59));
        assert!(!health.may_try(at(now + 59 + 29)), "59 s of recording do not reset the back-off");
        health.wrote(at(now + 100));
        health.fail(Cause::Full, at(now + 160));
        assert!(health.may_try(at(now + 161)));
    }

    #[test]
    fn an_episode_is_news_once_and_its_end_tells_how_long_it_was() {
        let mut health = Health::new();
        assert_eq!(health.wrote(at(0)), None);
        assert!(health.fail(Cause::Full, at(10)));
        assert!(!health.fail(Cause::Full, at(11)));
        assert!(health.fail(Cause::Missing, at(13)), "another cause is news");
        assert_eq!(health.wrote(at(20)), Some(Duration::from_secs(10)));
        assert_eq!(health.wrote(at(21)), None);
    }

    #[test]
    fn asking_to_retry_is_obeyed_at_once() {
        let mut health = Health::new();
        for i in 0..5 {
            health.fail(Cause::ReadOnly, at(i));
        }
        assert!(!health.may_try(at(6)));
        health.retry_now(at(6));
        assert!(health.may_try(at(6)));
        health.fail(Cause::ReadOnly, at(6));
        assert!(health.may_try(at(7)), "the back-off begins from its start");
    }

    #[test]
    fn a_file_ends_by_age_or_by_its_share_of_the_quota() {
        let settings = settings(Some(400), 0);
        assert_eq!(ends_file(&settings, Duration::from_secs(599), 99), None);
        assert_eq!(ends_file(&settings, Duration::from_secs(600), 99), Some(Ending::Age));
        assert_eq!(ends_file(&settings, Duration::from_secs(1), 100), Some(Ending::Size));
    }

    #[test]
    fn the_oldest_files_go_until_the_quota_is_kept() {
        let settings = settings(Some(100), 0);
        assert_eq!(make_room(&settings, &[30, 30, 30], 10, 1000, false), Room { delete: 0, enough: true });
        assert_eq!(make_room(&settings, &[30, 30, 30], 11, 1000, false), Room { delete: 1, enough: true });
        assert_eq!(make_room(&settings, &[30, 30, 30], 71, 1000, false), Room { delete: 3, enough: true });
    }

    #[test]
    fn the_oldest_files_go_until_enough_is_free_and_then_recording_stops() {
        let settings = settings(None, 50);
        assert_eq!(make_room(&settings, &[30, 30], 0, 50, false), Room { delete: 0, enough: true });
        assert_eq!(make_room(&settings, &[30, 30], 0, 49, false), Room { delete: 1, enough: true });
        assert_eq!(make_room(&settings, &[3, 3], 0, 40, false), Room { delete: 2, enough: false });
    }

    #[test]
    fn a_recorder_that_stopped_wants_a_margin_before_it_goes_on() {
        let settings = settings(None, 160);
        assert!(make_room(&settings, &[], 0, 160, false).enough);
        assert!(!make_room(&settings, &[], 0, 169, true).enough);
        assert!(make_room(&settings, &[], 0, 170, true).enough);
    }

    #[test]
    fn a_disk_without_a_byte_left_is_full_whatever_must_stay_free() {
        assert!(!make_room(&settings(None, 0), &[], 0, 0, false).enough);
    }

    #[test]
    fn data_is_forced_out_every_two_seconds_and_never_twice_at_once() {
        let mut pace = SyncPace::Idle { last: None };
        assert!(pace.due(at(0)));
        assert!(!pace.due(at(9)), "the first is still under way");
        pace.done();
        assert!(pace.due(at(9)));
        pace.done();
        assert!(!pace.due(at(10)));
        assert!(pace.due(at(11)));
    }

    #[test]
    fn after_an_overflow_nothing_enters_before_a_keyframe_finds_the_queue_half_empty() {
        let mut gate = Gate::Open;
        assert_eq!(gate.offer(false, Level::High, at(0)), Entry::In);
        assert_eq!(gate.offer(true, Level::Full, at(1)), Entry::Out { news: true });
        assert_eq!(gate.offer(false, Level::Easy, at(2)), Entry::Out { news: false });
        assert_eq!(gate.offer(true, Level::High, at(3)), Entry::Out { news: false });
        assert_eq!(gate.offer(true, Level::Easy, at(4)), Entry::InAgain { lost: 3, lasted: Duration::from_secs(3) });
        assert_eq!(gate.offer(false, Level::Easy, at(4)), Entry::In);
    }

    proptest! {
        #[test]
        fn no_file_goes_that_need_not_and_none_stays_that_must_go(
            closed in prop::collection::vec(0u64..1000, 0..10),
            current in 0u64..1000, free in 0u64..3000, max in prop::option::of(0u64..4000), min in 0u64..3000,
        ) {
            let settings = settings(max, min);
            let room = make_room(&settings, &closed, current, free, false);
            let after = |deleted: usize| {
                let gone: u64 = closed[..deleted].iter().sum();
                let used = closed.iter().sum::<u64>() + current - gone;
                (max.is_none_or(|max| used <= max), free + gone >= min.max(1))
            };
            let (within, enough) = after(room.delete);
            prop_assert_eq!(room.enough, enough);
            prop_assert!(room.delete == closed.len() || within && enough);
            prop_assert!(room.delete == 0 || after(room.delete - 1) != (true, true), "one less would have done");
        }
    }
}
