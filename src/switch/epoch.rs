//! Programme time: worker time plus an offset that is chosen once and kept.
//!
//! ```text
//!                 boot A                         boot B
//!   worker time   0 ──────────────► power cut    0 ───────────────►
//!   offset          ├─ o ─┤                        ├─ o', larger by what boot B's clock lacks, on the grids ─┤
//!   programme     ──────────────────► last ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─ ─►  never back
//! ```
//!
//! *Invariant:* a later process never hands out a programme time that an earlier one may have handed out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::grid::grids_meet_every;
use crate::model::{FrameRate, Media, Wall};

/// How far ahead of the clock a unit may lie and still be let through. What a process sends at any moment is earlier than
/// that moment plus this, which is what the next process starts after.
pub(super) const AHEAD: Media = Media::from_millis(100);

/// After a reboot, programme time goes on at least this far after the last time saved: ten times the interval between two
/// saves.
const GUARD: Media = Media::from_millis(10_000);

/// A box that says it was off for longer has a wall clock that is wrong.
const LONGEST_ABSENCE: Media = Media::from_millis(30 * 24 * 3600 * 1000);

/// Between two saves.
const SAVE_EVERY: Media = Media::from_millis(1000);

/// Beyond this (100 years) a saved time is damage.
const PLAUSIBLE: i64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

/// The map from worker time to programme time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Epoch {
    boot_id: String,
    offset: Media,
    floor: Media,
    saved: Option<Media>,
}

/// What survives a restart, as JSON in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedTime {
    /// The kernel's `boot_id`: CLOCK_MONOTONIC means the same as long as this does.
    pub boot_id: String,
    /// Programme time minus worker time.
    pub offset: Media,
    /// Every programme time handed out before the save is below this.
    pub last: Media,
    /// When, by the wall clock.
    pub wall: Wall,
}

/// How programme time went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Nothing usable was saved: programme time begins near zero.
    Began,
    /// The same boot: the same timeline, to the nanosecond.
    SameBoot,
    /// Another boot: programme time went on by the time the wall clock says the box was away.
    AnotherBoot {
        /// Counted from the last save, at least 10 s.
        away: Duration,
    },
    /// Another boot, and a wall clock that went backwards or jumped by more than 30 days: programme time went on by 10 s.
    AnotherBootWithoutClock,
}

/// A saved time that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SavedTimeError {
    /// Not the JSON that was written.
    #[error("is damaged: {0}")]
    Json(#[from] serde_json::Error),
    /// A time no box has reached.
    #[error("is damaged: {field} of {value} ns is not a time this box can have reached")]
    Implausible {
        /// Which.
        field: &'static str,
        /// What it says.
        value: i64,
    },
}

impl SavedTime {
    /// Reads what [`SavedTime::to_json`] wrote.
    ///
    /// # Errors
    /// [`SavedTimeError`] for anything else; programme time then begins anew.
    pub fn parse(json: &str) -> Result<Self, SavedTimeError> {
        let saved: Self = serde_json::from_str(json)?;
        saved.check()?;
        Ok(saved)
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn check(&self) -> Result<(), SavedTimeError> {
        if !(0..=PLAUSIBLE).contains(&self.last.0) {
            return Err(SavedTimeError::Implausible { field: "last", value: self.last.0 });
        }
        if !(-PLAUSIBLE..=PLAUSIBLE).contains(&self.offset.0) {
            return Err(SavedTimeError::Implausible { field: "offset", value: self.offset.0 });
        }
        Ok(())
    }
}

impl Epoch {
    /// Finds the place in programme time again.
    ///
    /// - Same boot: the saved offset, so that a restarted data plane goes on in the same timeline.
    /// - Another boot: as far after `saved.last` as the wall clock says the box was away, but at least 10 s; 10 s if the
    ///   wall clock cannot be right.
    /// - Nothing saved, or damage: near zero.
    ///
    /// The offset is a multiple of the time after which the grids of `rate` and of both audio codecs meet (see
    /// `grids_meet_every`), rounded up, so that places of worker time are places of programme time. With another frame rate
    /// than before, the same boot's offset is rounded up too.
    pub fn resume(saved: Option<&SavedTime>, boot_id: &str, now: Media, wall: Wall, rate: FrameRate) -> (Self, How) {
        let saved = saved.filter(|s| s.check().is_ok());
        let (least, how) = match saved {
            None => (Media::ZERO - now, How::Began),
            // On the same boot the clock cannot be behind the save; if it is, the two do not belong together.
            Some(s) if s.boot_id == boot_id && now + s.offset + AHEAD >= s.last => (s.offset, How::SameBoot),
            Some(s) => {
                let elapsed = Media(wall.0.saturating_sub(s.wall.0).saturating_mul(1000));
                let (away, how) = if (Media::ZERO..=LONGEST_ABSENCE).contains(&elapsed) {
                    let away = elapsed.max(GUARD);
                    (away, How::AnotherBoot { away: away.to_duration() })
                } else {
                    (GUARD, How::AnotherBootWithoutClock)
                };
                (s.last + away - now, how)
            }
        };
        let offset = round_up(least, grids_meet_every(rate));
        let floor = now + offset + AHEAD;
        (Self { boot_id: boot_id.to_owned(), offset, floor, saved: None }, how)
    }

    /// Programme time minus worker time.
    pub fn offset(&self) -> Media {
        self.offset
    }

    /// The programme time of `worker`, a time on CLOCK_MONOTONIC.
    pub fn programme(&self, worker: Media) -> Media {
        worker + self.offset
    }

    /// The first programme time this process may hand out.
    pub fn floor(&self) -> Media {
        self.floor
    }

    /// What to save, once a second and at the first call; `None` in between. The first is to be on the disk before anything
    /// is sent. Write it with a rename, so that a power cut leaves the old one or the new one.
    pub fn due_save(&mut self, now: Media, wall: Wall) -> Option<SavedTime> {
        if self.saved.is_some_and(|saved| now - saved < SAVE_EVERY) {
            return None;
        }
        self.saved = Some(now);
        let last = self.programme(now) + AHEAD;
        Some(SavedTime { boot_id: self.boot_id.clone(), offset: self.offset, last, wall })
    }
}

fn round_up(time: Media, step: Media) -> Media {
    let (time, step) = (i128::from(time.0), i128::from(step.0.max(1)));
    let steps = -(-time).div_euclid(step);
    Media(i64::try_from(steps * step).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::super::grid::Grid;
    use super::*;
    use crate::model::Codec;

    const RATES: [(u32, u32); 4] = [(25, 1), (30, 1), (30_000, 1001), (60, 1)];
    const HOUR: i64 = 3_600_000;

    fn rates() -> impl Iterator<Item = FrameRate> {
        RATES.into_iter().map(|(num, den)| FrameRate { num, den })
    }

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    fn wall(ms: i64) -> Wall {
        Wall(1_700_000_000_000_000 + ms * 1000)
    }

    fn assert_on_the_grids(epoch: &Epoch, rate: FrameRate) {
        for codec in [Codec::Hevc, Codec::Aac, Codec::Opus] {
            let grid = Grid::of(codec, rate);
            for place in [0, 1, 17, 123_456_789] {
                let moved = epoch.programme(grid.time_of(place));
                assert_eq!(grid.time_of(grid.nearest(moved)), moved, "{codec:?} left its grid at {rate:?}");
            }
        }
    }

    #[test]
    fn the_first_start_begins_near_zero() {
        for rate in rates() {
            let (epoch, how) = Epoch::resume(None, "a", ms(5 * HOUR + 123), wall(0), rate);
            assert_eq!(how, How::Began);
            let begin = epoch.programme(ms(5 * HOUR + 123));
            assert!(begin >= Media::ZERO && begin < grids_meet_every(rate), "begins at {begin:?}");
            assert_on_the_grids(&epoch, rate);
        }
    }

    #[test]
    fn a_restarted_data_plane_goes_on_in_the_same_timeline() {
        for rate in rates() {
            let (mut first, _) = Epoch::resume(None, "a", ms(70_000), wall(0), rate);
            let saved = first.due_save(ms(90_000), wall(20_000)).unwrap();
            let (second, how) = Epoch::resume(Some(&saved), "a", ms(91_500), wall(21_500), rate);
            assert_eq!(how, How::SameBoot);
            assert_eq!(second.offset(), first.offset());
            assert!(second.floor() > first.programme(ms(91_500)), "could send again what was sent just before");
        }
    }

    #[test]
    fn a_reboot_at_any_moment_goes_on_by_the_time_the_box_was_off() {
        for rate in rates() {
            let mut rng = fastrand::Rng::with_seed(7);
            let (mut epoch, _) = Epoch::resume(None, "boot 0", ms(20_000), wall(0), rate);
            let (mut now, mut clock, mut reached) = (ms(20_000), 0, Media::ZERO);
            for boot in 1..200 {
                // It runs for a while, saving each second; the last save is up to 1 s old when the power goes.
                let saved = epoch.due_save(now, wall(clock)).unwrap();
                let ran = rng.i64(0..1000);
                reached = reached.max(epoch.programme(now + ms(ran)) + AHEAD);
                let off = rng.i64(3_000..3 * HOUR);
                clock += ran + off;
                now = ms(rng.i64(2_000..40_000));
                let (next, how) = Epoch::resume(Some(&saved), &format!("boot {boot}"), now, wall(clock), rate);
                assert!(matches!(how, How::AnotherBoot { .. }));
                assert!(next.floor() > reached, "boot {boot} went back from {reached:?} to {:?}", next.floor());
                let jump = next.programme(now) - saved.last;
                let most = ms((ran + off).max(10_000)) + grids_meet_every(rate);
                assert!(jump <= most, "boot {boot} jumped by {jump:?}, more than {most:?}");
                assert_on_the_grids(&next, rate);
                epoch = next;
            }
        }
    }

    #[test]
    fn a_wall_clock_that_cannot_be_right_is_ignored() {
        let rate = FrameRate::whole(30);
        let saved = SavedTime { boot_id: "a".into(), offset: Media::ZERO, last: ms(HOUR), wall: wall(0) };
        for elapsed in [-1, -50 * 365 * 24 * HOUR, 31 * 24 * HOUR, i64::MAX / 2_000_000] {
            let (epoch, how) = Epoch::resume(Some(&saved), "b", ms(9000), wall(elapsed), rate);
            assert_eq!(how, How::AnotherBootWithoutClock, "believed a jump of {elapsed} ms");
            let begin = epoch.programme(ms(9000));
            assert!(begin >= ms(HOUR + 10_000) && begin < ms(HOUR + 11_600), "begins at {begin:?}");
        }
    }

    #[test]
    fn a_boot_id_that_came_back_with_an_earlier_clock_is_another_boot() {
        let rate = FrameRate::whole(30);
        let saved = SavedTime { boot_id: "a".into(), offset: Media::ZERO, last: ms(HOUR), wall: wall(0) };
        let (epoch, how) = Epoch::resume(Some(&saved), "a", ms(1000), wall(20_000), rate);
        assert_eq!(how, How::AnotherBoot { away: Duration::from_secs(20) });
        assert!(epoch.programme(ms(1000)) >= ms(HOUR));
    }

    #[test]
    fn another_frame_rate_moves_on_to_the_next_place_where_its_grids_meet() {
        let saved = SavedTime { boot_id: "a".into(), offset: ms(320), last: ms(1000), wall: wall(0) };
        for rate in rates() {
            let (epoch, how) = Epoch::resume(Some(&saved), "a", ms(60_000), wall(60_000), rate);
            assert_eq!(how, How::SameBoot);
            assert!(epoch.offset() >= ms(320));
            assert_on_the_grids(&epoch, rate);
        }
    }

    #[test]
    fn programme_time_passes_every_wrap_of_the_wire_formats() {
        // 33 bits of 90 kHz wrap after 26.5 h, 32 bits of milliseconds after 49.7 days.
        let rate = FrameRate { num: 30_000, den: 1001 };
        let (mut epoch, _) = Epoch::resume(None, "0", ms(0), wall(0), rate);
        let mut last = Media::ZERO;
        for hour in 1..=(60 * 24) {
            let (now, wall) = (ms(hour * HOUR), wall(hour * HOUR));
            let saved = epoch.due_save(now, wall).unwrap();
            let (next, how) = Epoch::resume(Some(&SavedTime::parse(&saved.to_json()).unwrap()), "0", now, wall, rate);
            assert_eq!(how, How::SameBoot);
            assert!(next.floor() > last);
            last = next.floor();
            epoch = next;
        }
        assert!(last > ms(60 * 24 * HOUR));
        assert_on_the_grids(&epoch, rate);
    }

    #[test]
    fn a_damaged_file_is_refused_and_a_damaged_value_is_not_used() {
        for text in ["", "{", "null", "{}", r#"{"boot_id":"a","offset":0,"last":-1,"wall":0}"#] {
            assert!(SavedTime::parse(text).is_err(), "accepted {text:?}");
        }
        for (offset, last) in [(i64::MAX, 0), (i64::MIN, 0), (0, i64::MAX), (0, i64::MIN), (0, -1)] {
            let saved =
                SavedTime { boot_id: "a".into(), offset: Media(offset), last: Media(last), wall: Wall(i64::MIN) };
            let (epoch, how) = Epoch::resume(Some(&saved), "a", ms(1000), wall(0), FrameRate::whole(30));
            assert_eq!(how, How::Began, "used offset {offset}, last {last}");
            assert!(epoch.programme(ms(1000)) < ms(1600));
        }
    }

    #[test]
    fn saves_are_due_once_a_second() {
        let (mut epoch, _) = Epoch::resume(None, "a", ms(0), wall(0), FrameRate::whole(25));
        let saves = (0..10_000).filter(|&t| epoch.due_save(ms(t), wall(t)).is_some()).count();
        assert_eq!(saves, 10);
    }
}
