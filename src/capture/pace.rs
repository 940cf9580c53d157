//! Pure. Which picture belongs to which place on the grid.
//!
//! ```text
//!   source ──arrive──► LiveQueue (captures) ┐
//!                                           ├─ at(n) ─► one picture, the previous one again, or none
//!   source ──arrive──► FilePace  (files)    ┘
//!                        ▲
//!   clock ──► Ticker: which places are due, however late the thread woke
//! ```
//!
//! *Invariant:* a place on the grid is asked for exactly once, in order, and a picture is never shown before one that
//! arrived ahead of it.

use std::collections::VecDeque;
use std::ops::Range;

use crate::model::{Media, VideoGrid};

/// How long the last picture stands in for one that does not come. After that the source has no picture.
pub const HOLD: Media = Media::from_millis(500);

/// Hands out grid places as they fall due, each exactly once.
#[derive(Clone, Debug)]
pub struct Ticker {
    grid: VideoGrid,
    next: i64,
    /// Places are given up only in multiples of this.
    stride: i64,
    /// More places than this are not caught up with.
    most: i64,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// The places to deliver.
    pub places: Range<i64>,
    /// Places given up just before them, since the thread was away for too long.
    pub skipped: i64,
}

impl Ticker {
    /// Begins with the first place after `now`. A thread that was away longer than `catch_up` gives up the oldest
    /// places, in multiples of `stride`.
    pub fn new(grid: VideoGrid, now: Media, catch_up: Media, stride: i64) -> Self {
        let most = grid.at_or_before(catch_up).max(1);
        Self { grid, next: grid.at_or_before(now) + 1, stride: stride.max(1), most }
    }

    /// When the next place is due.
    pub fn deadline(&self) -> Media {
        self.grid.time_of(self.next)
    }

    /// The places that are due at `now`.
    pub fn due(&mut self, now: Media) -> Due {
        let end = (self.grid.at_or_before(now) + 1).max(self.next);
        let excess = (end - self.next - self.most).max(0);
        let skipped = (excess + self.stride - 1) / self.stride * self.stride;
        let places = (self.next + skipped).min(end)..end;
        let skipped = places.start - self.next;
        self.next = end;
        Due { places, skipped }
    }
}

/// What happened to pictures on their way to the grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Places filled by showing the previous picture again.
    pub repeated: u64,
    /// Pictures left out because two fell on one place.
    pub dropped: u64,
}

/// A frame synchroniser for sources with a clock of their own.
///
/// At most two pictures wait. A source a little slower than the grid repeats one when it falls a whole interval behind,
/// a faster one drops one; in between, jitter up to an interval changes nothing.
#[derive(Clone, Debug)]
pub struct LiveQueue<F> {
    waiting: VecDeque<F>,
    shown: Option<F>,
    arrived: Media,
    counts: Counts,
}

impl<F> Default for LiveQueue<F> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), shown: None, arrived: Media::ZERO, counts: Counts::default() }
    }
}

impl<F> LiveQueue<F> {
    /// Pictures that may wait.
    const DEPTH: usize = 2;

    /// A picture came in at `now`.
    pub fn arrive(&mut self, frame: F, now: Media) {
        self.arrived = now;
        self.waiting.push_back(frame);
        if self.waiting.len() > Self::DEPTH {
            self.waiting.pop_front();
            self.counts.dropped += 1;
        }
    }

    /// Forgets what waits and what is shown: it is known that they are no pictures any more.
    pub fn clear(&mut self) {
        self.waiting.clear();
        self.shown = None;
    }

    /// The picture for the place at `time`: the next one, else the previous one again for up to [`HOLD`], else none.
    pub fn at(&mut self, time: Media) -> Option<&F> {
        if let Some(next) = self.waiting.pop_front() {
            self.shown = Some(next);
        } else if time - self.arrived > HOLD {
            self.shown = None;
        } else if self.shown.is_some() {
            self.counts.repeated += 1;
        }
        self.shown.as_ref()
    }

    /// Totals.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// Shows a file's pictures by their own timestamps, on one time line that runs on through every pass over the file.
///
/// ```text
///   Filling ──enough pictures──► Playing { origin }: file time t is shown at origin + t
///                                    └─ a stall beyond RESYNC moves the origin, for picture and sound alike
///
///   Stamped: a time is one of the grid's clock already, and nothing moves it
/// ```
#[derive(Clone, Debug)]
pub struct FilePace<F> {
    state: Play,
    half_interval: Media,
    waiting: VecDeque<(Media, F)>,
    shown: Option<(Media, F)>,
    /// Places in a row that took exactly one picture.
    steady: u32,
    counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    Filling,
    Playing { origin: Media },
    Stamped,
}

impl<F> FilePace<F> {
    /// Decoded pictures that may wait.
    pub const DEPTH: usize = 12;
    /// Pictures to have in hand before the first is shown, so that a slow start of the decoder is not seen.
    const PREFILL: usize = 6;
    /// Times may be rounded to milliseconds; FLV's and Matroska's are.
    const ROUNDING: Media = Media::from_millis(2);
    /// How far pictures may come too late before the whole file is shifted instead of skipping to catch up.
    const RESYNC: Media = HOLD;

    /// For pictures that are asked for on `grid`.
    pub fn new(grid: VideoGrid) -> Self {
        Self {
            state: Play::Filling,
            half_interval: Media(grid.interval().as_nanos() / 2),
            waiting: VecDeque::with_capacity(Self::DEPTH),
            shown: None,
            steady: 0,
            counts: Counts::default(),
        }
    }

    /// For pictures whose times are the grid's: of a source that is mapped to our clock by somebody else.
    pub fn stamped(grid: VideoGrid) -> Self {
        Self { state: Play::Stamped, ..Self::new(grid) }
    }

    /// Whether another picture can be taken in. While it cannot, the decoder waits.
    pub fn has_room(&self) -> bool {
        self.waiting.len() < Self::DEPTH
    }

    /// Whether a picture waits for its time.
    pub fn has_next(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// A picture that belongs at `at` on the file's time line.
    pub fn arrive(&mut self, at: Media, frame: F) {
        self.waiting.push_back((at, frame));
    }

    /// Where the file's time line begins on the clock of the grid, once it plays.
    pub fn origin(&self) -> Option<Media> {
        match self.state {
            Play::Filling => None,
            Play::Playing { origin } => Some(origin),
            Play::Stamped => Some(Media::ZERO),
        }
    }

    /// Begins to play without picture: for files that have only sound.
    pub fn begin_at(&mut self, origin: Media) {
        if self.state == Play::Filling {
            self.state = Play::Playing { origin };
        }
    }

    /// The picture for the place at `time`.
    pub fn at(&mut self, time: Media) -> Option<&F> {
        let origin = match (self.state, self.waiting.front()) {
            (Play::Stamped, _) => Media::ZERO,
            (Play::Playing { origin }, _) => origin,
            (Play::Filling, Some((first, _))) if self.waiting.len() >= Self::PREFILL => time - *first,
            (Play::Filling, _) => return None,
        };
        if self.state == Play::Filling {
            self.state = Play::Playing { origin };
        }
        let position = time - origin;
        let taken = self.due(position);
        for (at, frame) in self.waiting.drain(..taken) {
            self.shown = Some((at, frame));
        }
        self.steady = if taken == 1 { self.steady.saturating_add(1) } else { 0 };
        let taken = taken as u64;
        let shown_at = self.shown.as_ref()?.0;
        if taken > 0 {
            self.counts.dropped += taken - 1;
            if self.state != Play::Stamped && position - shown_at > Self::RESYNC {
                self.state = Play::Playing { origin: time - shown_at };
            }
        } else if self.waiting.is_empty() && position - shown_at > HOLD {
            self.shown = None;
            return None;
        } else {
            self.counts.repeated += 1;
        }
        self.shown.as_ref().map(|(_, frame)| frame)
    }

    /// How many pictures to take for `position`: all up to the one nearest to it. A source at the rate of the grid whose
    /// pictures fall half-way between two places goes on one by one until they are clearly off, else the rounding of
    /// its timestamps would repeat and drop in turns.
    fn due(&self, position: Media) -> usize {
        let nearest = self.waiting.iter().take_while(|(at, _)| *at <= position + self.half_interval).count();
        let off = |i: usize| self.waiting.get(i).map(|(at, _)| (*at - position).as_nanos().abs());
        let tolerated = self.half_interval.as_nanos() * 3 / 2;
        let one_will_do = self.steady >= 2 && off(0).is_some_and(|off| off <= tolerated);
        // So that one that begins half-way finds its step at all.
        let lies_before = |i: usize, end: Media| self.waiting.get(i).is_some_and(|(at, _)| *at <= end);
        let (early, late) = (self.half_interval - Self::ROUNDING, self.half_interval + Self::ROUNDING);
        match nearest {
            _ if one_will_do => 1,
            0 if lies_before(0, position + late) => 1,
            2.. if !lies_before(nearest - 1, position + early) => nearest - 1,
            _ => nearest,
        }
    }

    /// Totals.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::model::FrameRate;

    const GRID: VideoGrid = VideoGrid(FrameRate::whole(30));

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    #[test]
    fn a_thread_that_wakes_late_still_delivers_every_place_once() {
        let mut rng = fastrand::Rng::with_seed(3);
        let mut ticker = Ticker::new(GRID, ms(123_456), ms(1000), 1);
        let (mut now, mut next) = (ms(123_456), None);
        for _ in 0..10_000 {
            now = now.max(ticker.deadline()) + Media(rng.i64(0..900_000_000));
            let due = ticker.due(now);
            assert_eq!(due.skipped, 0);
            for n in due.places {
                assert_eq!(n, *next.get_or_insert(n), "a place was lost or came twice");
                assert!(GRID.time_of(n) <= now, "place {n} was delivered before its time");
                next = Some(n + 1);
            }
            assert!(ticker.deadline() > now, "the ticker would spin");
        }
    }

    #[test]
    fn times_that_are_rounded_show_each_picture_once_wherever_between_two_places_they_fall() {
        for tenth in 0..334 {
            let phase = Media(tenth * 100_000);
            let mut pace = FilePace::stamped(GRID);
            let (mut fed, mut shown) = (0, Vec::new());
            for n in 0..400 {
                while pace.has_room() {
                    // As FLV has it, and with the thousandth by which a sender's clock is brought up.
                    let at = ms(GRID.time_of(fed).to_ticks(1000)) + phase + Media(GRID.time_of(fed).0 / 1000);
                    pace.arrive(at, fed);
                    fed += 1;
                }
                shown.extend(pace.at(GRID.time_of(n)).copied());
            }
            // One each in 400 of them: its clock is a thousandth slower.
            let repeated = shown.windows(2).filter(|pair| pair[0] == pair[1]).count();
            let left_out = shown.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
            assert!(repeated <= 1 && left_out == 0, "{phase:?}: {repeated} repeated, {left_out} left out");
        }
    }

    #[test]
    fn a_long_absence_is_given_up_in_whole_strides_and_counted() {
        let mut ticker = Ticker::new(VideoGrid(FrameRate::whole(100)), ms(0), ms(1000), 32);
        assert_eq!(ticker.due(ms(15)), Due { places: 1..2, skipped: 0 });
        let due = ticker.due(ms(15_000));
        assert_eq!(due.skipped % 32, 0);
        assert_eq!(due.places.start, 2 + due.skipped);
        assert_eq!(due.places.end, 1501);
        assert!((69..=100).contains(&(due.places.end - due.places.start)), "{due:?}");
    }

    #[test]
    fn jitter_within_an_interval_neither_repeats_nor_drops() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut queue = LiveQueue::default();
        let mut shown = Vec::new();
        let mut arrivals = (0..3000).map(|i| (i, GRID.time_of(i) + Media(rng.i64(0..30_000_000)))).peekable();
        for n in 1..3000 {
            while let Some((i, at)) = arrivals.next_if(|(_, at)| *at <= GRID.time_of(n)) {
                queue.arrive(i, at);
            }
            shown.extend(queue.at(GRID.time_of(n)).copied());
        }
        let settled = &shown[30..];
        assert!(settled.windows(2).all(|w| w[1] == w[0] + 1), "judder");
    }

    #[test]
    fn a_faster_source_drops_and_a_slower_one_repeats_exactly_the_difference() {
        for (fps, repeated, dropped) in [(60, 0, 300), (25, 50, 0), (15, 150, 0)] {
            let source = VideoGrid(FrameRate::whole(fps));
            let (mut queue, mut i) = (LiveQueue::default(), 0);
            for n in 0..300 {
                while source.time_of(i) <= GRID.time_of(n) {
                    queue.arrive(i, source.time_of(i));
                    i += 1;
                }
                assert!(queue.at(GRID.time_of(n)).is_some());
            }
            let counts = queue.counts();
            assert!(counts.repeated.abs_diff(repeated) <= 2, "{fps} fps: {counts:?}");
            assert!(counts.dropped.abs_diff(dropped) <= 2, "{fps} fps: {counts:?}");
        }
    }

    #[test]
    fn stamped_pictures_are_shown_at_their_times_and_a_stall_moves_nothing() {
        let mut pace = FilePace::stamped(GRID);
        let at = |n: i64| ms(70_000) + GRID.time_of(n);
        (0..5).for_each(|n| pace.arrive(at(n), n));
        assert_eq!(pace.at(at(-2)), None, "too early");
        assert_eq!((0..5).map(|n| pace.at(at(n)).copied()).collect::<Vec<_>>(), (0..5).map(Some).collect::<Vec<_>>());
        assert_eq!(pace.at(at(40)), None, "held for too long");
        // A burst that is two seconds late: the newest, and then on time again.
        (5..17).for_each(|n| pace.arrive(at(n), n));
        assert_eq!(pace.at(at(77)).copied(), Some(16));
        (76..80).for_each(|n| pace.arrive(at(n), n));
        assert_eq!(pace.at(at(78)).copied(), Some(78));
        assert_eq!(pace.origin(), Some(Media::ZERO));
    }

    #[test]
    fn a_dead_capture_holds_its_picture_for_half_a_second_and_then_has_none() {
        let mut queue = LiveQueue::default();
        assert_eq!(queue.at(ms(0)), None, "a picture out of nowhere");
        queue.arrive('a', ms(1));
        assert_eq!(queue.at(ms(33)), Some(&'a'));
        assert_eq!(queue.at(ms(500)), Some(&'a'));
        assert_eq!(queue.at(ms(502)), None);
        queue.arrive('b', ms(900));
        assert_eq!(queue.at(ms(901)), Some(&'b'), "frames resume with the source");
    }

    #[test]
    fn a_capture_that_is_known_to_be_dead_holds_nothing() {
        let mut queue = LiveQueue::default();
        queue.arrive('a', ms(1));
        queue.arrive('b', ms(2));
        assert_eq!(queue.at(ms(33)), Some(&'a'));
        queue.clear();
        assert_eq!(queue.at(ms(66)), None, "neither what was shown nor what waited");
        queue.arrive('c', ms(70));
        assert_eq!(queue.at(ms(100)), Some(&'c'));
    }

    fn play(
        pace: &mut FilePace<i64>,
        places: Range<i64>,
        mut feed: impl FnMut(&mut FilePace<i64>),
    ) -> Vec<Option<i64>> {
        places
            .map(|n| {
                feed(pace);
                pace.at(GRID.time_of(n)).copied()
            })
            .collect()
    }

    #[test]
    fn a_file_at_the_grid_rate_shows_each_picture_once_through_every_loop() {
        let mut pace = FilePace::new(GRID);
        let mut i = 0;
        let shown = play(&mut pace, 7000..9000, |pace| {
            while pace.has_room() {
                // Timestamps of a muxed file: whole milliseconds.
                pace.arrive(ms(GRID.time_of(i).as_nanos() / 1_000_000), i);
                i += 1;
            }
        });
        assert!(shown.iter().enumerate().all(|(i, s)| *s == Some(i64::try_from(i).unwrap())));
        assert_eq!(pace.counts(), Counts::default());
    }

    #[test]
    fn a_film_at_24_fps_keeps_its_speed() {
        let film = VideoGrid(FrameRate { num: 24_000, den: 1001 });
        let mut pace = FilePace::new(GRID);
        let mut i = 0;
        let shown = play(&mut pace, 0..3000, |pace| {
            while pace.has_room() {
                pace.arrive(film.time_of(i), i);
                i += 1;
            }
        });
        for (n, s) in shown.iter().enumerate() {
            let off = film.time_of(s.unwrap()) - GRID.time_of(i64::try_from(n).unwrap());
            assert!(off.as_nanos().abs() <= 26_000_000, "place {n} shows a picture {off:?} off");
        }
        assert_eq!(pace.counts().dropped, 0);
    }

    #[test]
    fn a_rate_next_to_the_grids_repeats_or_drops_exactly_the_difference() {
        for (num, den, repeated, dropped) in [(30_000, 1001, 18, 0), (30_030, 1000, 0, 18), (60, 1, 0, 18_000)] {
            let film = VideoGrid(FrameRate { num, den });
            let mut pace = FilePace::new(GRID);
            let mut i = 0;
            play(&mut pace, 0..18_000, |pace| {
                while pace.has_room() {
                    pace.arrive(ms(film.time_of(i).as_nanos() / 1_000_000), i);
                    i += 1;
                }
            });
            let counts = pace.counts();
            assert!(counts.repeated.abs_diff(repeated) <= 1, "{num}/{den}: {counts:?}");
            assert!(counts.dropped.abs_diff(dropped) <= 2, "{num}/{den}: {counts:?}");
        }
    }

    #[test]
    fn a_decoder_stall_holds_then_shows_nothing_then_goes_on_where_it_was() {
        let mut pace = FilePace::new(GRID);
        for i in 0..12 {
            pace.arrive(GRID.time_of(i), i);
        }
        let shown = play(&mut pace, 0..60, |_| ());
        assert_eq!(shown[11], Some(11));
        assert_eq!(shown[20], Some(11), "held");
        assert_eq!(shown[40], None, "held for too long");
        assert_eq!(pace.origin(), Some(Media::ZERO));
        pace.arrive(GRID.time_of(12), 12);
        assert_eq!(pace.at(GRID.time_of(60)), Some(&12));
        assert_eq!(pace.origin(), Some(GRID.time_of(60) - GRID.time_of(12)), "sound must follow");
    }

    #[test]
    fn a_short_stall_is_caught_up_with_by_skipping() {
        let mut pace = FilePace::new(GRID);
        for i in 0..10 {
            pace.arrive(GRID.time_of(i), i);
        }
        play(&mut pace, 0..15, |_| ());
        for i in 10..30 {
            pace.arrive(GRID.time_of(i), i);
        }
        assert_eq!(pace.at(GRID.time_of(15)), Some(&15));
        assert_eq!(pace.origin(), Some(Media::ZERO));
    }
}
