//! Pure. A sender's time on our clock.
//!
//! ```text
//!   sender's clock ──source time──► + place ──► switch time ──► the switch's grids
//!   our clock ─────────────────────► + ahead ──► what time it is for the switch
//! ```
//!
//! The switch thinks that units are made by the clock it is told the time of. A sender's clock is another: it has another
//! origin, which `place` takes care of, and another speed. Were units moved to our clock's speed, every few minutes one
//! would have to be dropped or doubled; so it is the switch's clock that is moved, by `ahead`: at once forward when a unit
//! comes earlier than expected, and slowly back when for a while all have come later, which is the filtered minimum of the
//! arrival offsets. Sound and pictures keep the distance that the sender gave them.
//!
//! *Invariant:* the switch's time never goes back, and no unit lies ahead of it.

use crate::model::{AudioGrid, Media, VideoGrid};

/// The least offset of so long is taken for the true one.
const WINDOW: Media = Media::from_millis(10_000);
/// So much of the time that passes is taken back at most: 0.2 %, ten times what bad clocks differ.
const GIVE_BACK: i64 = 500;
/// A sender whose time base jumped goes on where it was if it comes back within this time.
const SEAM: Media = Media::from_millis(1000);
/// What comes so much before its time has a wrong one: were it believed, all that comes after it would be late for good.
const LEAP: Media = Media::from_millis(5000);
/// When all units of a window were so late the switch has long given their places to the slate, and would for hours: a time
/// stamp that moved the clock was wrong.
const HOPELESS: Media = Media::from_millis(3000);
/// So many pictures in a row are not wrong: the sender has another time base, and did not say so.
const STRAYS: u32 = 30;

/// See the module.
#[derive(Debug)]
pub struct Timeline {
    /// Switch time minus our time.
    ahead: Media,
    /// What is still to be taken back of it.
    surplus: Media,
    /// Our time when it was last told.
    told: Option<Media>,
    /// Switch time minus source time; `None` before the first picture of a time base.
    place: Option<Media>,
    /// Switch time of the newest picture.
    newest: Option<Media>,
    /// Moves pictures onto their grid, where a sender's seam lies between two places.
    picture_phase: Media,
    /// Moves sound onto its grid.
    sound_phase: Media,
    /// When the window began, our time, and how late the earliest of its units was.
    window: Option<(Media, Media)>,
    /// Pictures in a row that lay too far ahead.
    strays: u32,
}

/// A unit's place on the switch's grid, and by how much its true time is later than that place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// For the switch.
    pub place: Media,
    /// To be added again afterwards.
    pub rest: Media,
}

impl Default for Timeline {
    fn default() -> Self {
        Self::new()
    }
}

impl Timeline {
    /// Nothing is known of any sender.
    pub const fn new() -> Self {
        Self {
            ahead: Media::ZERO,
            surplus: Media::ZERO,
            told: None,
            place: None,
            newest: None,
            picture_phase: Media::ZERO,
            sound_phase: Media::ZERO,
            window: None,
            strays: 0,
        }
    }

    /// Switch time minus our time.
    pub const fn ahead(&self) -> Media {
        self.ahead
    }

    /// What time it is for the switch when it is `ours` for us.
    pub fn now(&mut self, ours: Media) -> Media {
        let passed = self.told.replace(ours).map_or(Media::ZERO, |told| ours - told);
        let back = self.surplus.min(Media(passed.0.max(0) / GIVE_BACK));
        self.surplus = self.surplus - back;
        self.ahead = self.ahead - back;
        ours + self.ahead
    }

    /// Source times from here on are not comparable with those before.
    pub fn restart(&mut self) {
        self.place = None;
        self.window = None;
        self.surplus = Media::ZERO;
    }

    /// Whether sound can be placed: a picture has come.
    pub const fn is_placed(&self) -> bool {
        self.place.is_some()
    }

    /// A picture that is decoded at `source` came at `ours`. The first of a time base is put onto a place of `grid`. `None`
    /// for one whose time cannot be right.
    pub fn picture(&mut self, source: Media, grid: VideoGrid, ours: Media) -> Option<Placed> {
        let now = self.now(ours);
        if self.place.is_some_and(|offset| source + offset - now > LEAP) {
            self.strays += 1;
            if self.strays < STRAYS {
                return None;
            }
            // Not where it was: the places since have been filled.
            self.restart();
            self.newest = None;
        }
        self.strays = 0;
        let offset = *self.place.get_or_insert_with(|| {
            let seamless = self.newest.map(|newest| newest + grid.interval()).filter(|at| now - *at < SEAM);
            let at = grid.nearest(seamless.unwrap_or(now));
            grid.time_of(at) - source
        });
        let at = source + offset;
        self.newest = Some(at);
        let place = placed(at, &mut self.picture_phase, grid.interval(), |time| grid.time_of(grid.nearest(time)));
        self.arrived(at.max(place), ours);
        Some(Placed { place, rest: Media::ZERO })
    }

    /// Sound of `source` came at `ours`; `None` before the first picture, and where its time cannot be right. Each keeps its
    /// exact time as the rest, so that a grid of another sample rate, or one that lies between ours, does no harm.
    pub fn sound(&mut self, source: Media, grid: AudioGrid, ours: Media) -> Option<Placed> {
        let at = source + self.place?;
        if at - self.now(ours) > LEAP {
            return None;
        }
        let place = placed(at, &mut self.sound_phase, grid.interval(), |time| grid.time_of(grid.nearest(time)));
        self.arrived(at.max(place), ours);
        Some(Placed { place, rest: at - place })
    }

    fn arrived(&mut self, at: Media, ours: Media) {
        let late = self.now(ours) - at;
        if late < Media::ZERO {
            self.ahead = self.ahead - late;
            self.surplus = Media::ZERO;
            self.window = None;
            return;
        }
        match &mut self.window {
            Some((began, least)) if ours - *began < WINDOW => *least = late.min(*least),
            Some((_, least)) => {
                let least = late.min(*least);
                if least > HOPELESS {
                    return self.restart();
                }
                self.surplus = least;
                self.window = None;
            }
            None => self.window = Some((ours, late)),
        }
    }
}

/// The place of what belongs at `at`. What is near the middle between two places would be put now on this one, now on
/// that, for the rounding of its time stamp alone; `phase` moves such a stream as a whole.
fn placed(at: Media, phase: &mut Media, interval: Media, nearest: impl Fn(Media) -> Media) -> Media {
    let moved = at + *phase;
    if (nearest(moved) - moved).0.abs() > interval.0 / 4 {
        *phase = nearest(at) - at;
    }
    nearest(at + *phase)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FrameRate;

    const GRID: VideoGrid = VideoGrid(FrameRate::whole(30));

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    /// 90 kHz, as in a transport stream.
    fn stamped(time: Media) -> Media {
        Media(time.to_ticks(90_000) * 100_000 / 9)
    }

    fn picture(line: &mut Timeline, source: Media, ours: Media) -> Placed {
        line.picture(source, GRID, ours).expect("its time may be right")
    }

    #[test]
    fn pictures_take_one_place_each_whatever_the_senders_origin() {
        let (mut line, origin) = (Timeline::new(), Media(7_654_321_012_345));
        let places: Vec<i64> = (0..300)
            .map(|n| {
                let placed = picture(&mut line, origin + stamped(GRID.time_of(n)), ms(5_000) + GRID.time_of(n));
                GRID.nearest(placed.place)
            })
            .collect();
        assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1));
        assert!((GRID.time_of(places[0]) - ms(5_000)).0.abs() < GRID.interval().0);
    }

    #[test]
    fn a_burst_moves_the_switchs_clock_and_no_unit_is_ahead_of_it() {
        let mut line = Timeline::new();
        let mut last = Media(i64::MIN);
        for n in 0..200 {
            // The first second comes at once.
            let ours = ms(1_000) + GRID.time_of((n - 30).max(0));
            let placed = picture(&mut line, GRID.time_of(n), ours);
            let now = line.now(ours);
            assert!(placed.place <= now && now >= last, "unit {n} at {:?}, now {now:?}", placed.place);
            last = now;
        }
        assert!(line.ahead() >= ms(900));
    }

    #[test]
    fn a_slow_senders_clock_is_followed_without_a_step() {
        let (mut line, mut last) = (Timeline::new(), None);
        for n in 0..30 * 3600 {
            // 200 ppm slow: 0.72 s in an hour.
            let ours = Media(GRID.time_of(n).0 / 5000 * 5001);
            let placed = picture(&mut line, stamped(GRID.time_of(n)), ours);
            let place = GRID.nearest(placed.place);
            assert!(last.is_none_or(|last| place == last + 1), "a place was left out or doubled at {n}");
            last = Some(place);
            let late = line.now(ours) - placed.place;
            assert!(late >= Media::ZERO && late < ms(60), "{late:?} late at {n}");
        }
        assert!(line.ahead() < ms(-600), "{:?}", line.ahead());
    }

    #[test]
    fn sound_between_the_places_keeps_its_time_and_takes_one_place_each() {
        for (samples, rate) in [(1024, 48_000), (1024, 44_100)] {
            let source = AudioGrid { samples, rate };
            let mut line = Timeline::new();
            assert_eq!(line.sound(ms(0), AudioGrid::AAC, ms(0)), None);
            picture(&mut line, ms(0), ms(0));
            let offset = line.place.unwrap_or_default();
            let mut last = None;
            for k in 0..2000 {
                // Half a place off, where rounding decides.
                let time = stamped(source.time_of(k) + Media(AudioGrid::AAC.interval().0 / 2));
                let Some(placed) = line.sound(time, AudioGrid::AAC, ms(1) + time) else { continue };
                let place = AudioGrid::AAC.nearest(placed.place);
                assert!(last.is_none_or(|last| place > last), "unit {k} on a place that is taken");
                if rate == 48_000 {
                    assert!(last.is_none_or(|last| place == last + 1), "a hole before unit {k}");
                }
                last = Some(place);
                assert_eq!(placed.place + placed.rest, time + offset);
            }
            assert!(last.is_some());
        }
    }

    #[test]
    fn pictures_after_a_seam_between_two_places_take_one_place_each() {
        let (mut line, mut last) = (Timeline::new(), None);
        for n in 0..600 {
            let seam = if n < 300 { Media::ZERO } else { Media(GRID.interval().0 / 2) };
            let time = stamped(GRID.time_of(n) + seam);
            let place = GRID.nearest(picture(&mut line, time, ms(3) + time).place);
            assert!(last.is_none_or(|last| place == last + 1 || (n == 300 && place == last + 2)), "picture {n}");
            last = Some(place);
        }
    }

    #[test]
    fn sound_in_packets_of_any_length_takes_one_place_each_of_its_own_grid() {
        for (samples, rate) in [(120, 48_000), (480, 48_000), (2880, 48_000), (1024, 96_000), (1024, 24_000)] {
            let grid = AudioGrid { samples, rate };
            let (mut line, mut last) = (Timeline::new(), None);
            picture(&mut line, ms(0), ms(0));
            for k in 0..3000 {
                let time = stamped(grid.time_of(k) + Media(grid.interval().0 / 2));
                let placed = line.sound(time, grid, ms(1) + time).map(|placed| grid.nearest(placed.place));
                assert!(last.is_none_or(|last| placed == Some(last + 1)), "packet {k} of {samples} at {rate}");
                last = placed;
            }
        }
    }

    #[test]
    fn a_time_base_that_jumps_goes_on_where_it_was() {
        let mut line = Timeline::new();
        let before = picture(&mut line, ms(10_000), ms(500));
        line.restart();
        assert!(!line.is_placed());
        let after = picture(&mut line, ms(0), ms(540));
        assert_eq!(GRID.nearest(after.place), GRID.nearest(before.place) + 1);
        line.restart();
        let later = picture(&mut line, ms(77), ms(20_000));
        assert!((later.place - line.now(ms(20_000))).0.abs() <= GRID.interval().0);
    }

    #[test]
    fn a_single_time_stamp_from_far_ahead_moves_nothing() {
        let mut line = Timeline::new();
        let mut last = None;
        for n in 0..300 {
            let time = GRID.time_of(n);
            if n == 100 {
                assert_eq!(line.picture(time + ms(3_600_000), GRID, time), None);
                assert_eq!(line.sound(time + ms(3_600_000), AudioGrid::AAC, time), None);
                continue;
            }
            let place = GRID.nearest(picture(&mut line, time, time).place);
            assert!(last.is_none_or(|last| place == last + 1 || (n == 101 && place == last + 2)), "picture {n}");
            last = Some(place);
            assert!(line.now(time) - time < ms(100), "at picture {n}");
            assert!(line.sound(time, AudioGrid::AAC, time).is_some());
        }
    }

    #[test]
    fn what_would_be_late_for_hours_begins_anew_after_a_window() {
        // The first time stamp is an hour too late, or a later one by no more than may be believed.
        for (wrong, by) in [(0, ms(3_600_000)), (100, ms(4_000))] {
            let mut line = Timeline::new();
            let mut late = Vec::new();
            for n in 0..1200 {
                let ours = GRID.time_of(n);
                let source = ours + if n == wrong { by } else { ms(0) };
                let place = picture(&mut line, source, ours).place;
                late.push(line.now(ours) - place);
            }
            assert!(late[200] > HOPELESS, "{:?}", late[200]);
            assert!(late[800..].iter().all(|late| *late < ms(100)), "{:?}", late[800]);
        }
    }

    #[test]
    fn pictures_that_stay_far_ahead_have_another_time_base() {
        let mut line = Timeline::new();
        let (mut left_out, mut last) = (0, None);
        for n in 0..300 {
            let ours = GRID.time_of(n);
            let source = if n < 100 { ours } else { ours + ms(3_600_000) };
            match line.picture(source, GRID, ours) {
                Some(placed) => last = Some(placed.place),
                None => left_out += 1,
            }
        }
        assert_eq!(left_out, STRAYS - 1);
        let ours = GRID.time_of(299);
        assert!(last.is_some_and(|last| (last - ours).0.abs() < ms(100).0), "{last:?} at {ours:?}");
    }
}
