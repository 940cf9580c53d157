//! The ring and the places in it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{AccessUnit, Media, Track};

/// What a unit is counted as beside its payload: the unit itself, its reference counts, its place in the ring.
const UNIT_OVERHEAD: usize = size_of::<AccessUnit>() + 4 * size_of::<usize>();

/// The last seconds of one rendition.
#[derive(Debug)]
pub struct Ring {
    max_age: Media,
    max_bytes: usize,
    units: VecDeque<Arc<AccessUnit>>,
    /// Number of the unit at the front of `units`. Numbers count pushes and are never reused.
    first: u64,
    /// Numbers of the video keyframes in `units`, ascending.
    keys: VecDeque<u64>,
    bytes: usize,
}

/// A reader's place: the next unit it reads. Small and free to copy: a copy kept aside is a bookmark, which is all a
/// replay needs (see [`Replay`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor(Place);

/// From where a reader replays what an earlier reader's far end may not have got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// What would be best.
    wished: Cursor,
    /// What must not be missed.
    needed: Cursor,
}

impl Replay {
    /// Everything from `place` on.
    pub const fn from(place: Cursor) -> Self {
        Self { wished: place, needed: place }
    }

    /// Everything from `needed` on, and as much as is still there of what lies between `wished` and that.
    pub const fn wishing(wished: Cursor, needed: Cursor) -> Self {
        Self { wished, needed }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Waits for the first keyframe; what passes until then is not counted as lost.
    Joining,
    /// Waits for a keyframe; what passes from `from` until then is lost.
    Lost { from: u64 },
    /// Reads this unit next. If that unit has left the ring, the reader is lost from there.
    At(u64),
}

/// What a reader gets.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// The next unit.
    Unit(&'a Arc<AccessUnit>),
    /// The reader fell out of the ring; the next unit is the newest video keyframe.
    Skipped {
        /// Exactly the units between the last one it read and that keyframe.
        units: u64,
    },
}

/// How much a ring holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Units.
    pub units: usize,
    /// Payload bytes plus a fixed overhead for each unit.
    pub bytes: usize,
    /// Groups that can be joined or rewound to, the open one included.
    pub groups: usize,
}

impl Ring {
    /// A ring that holds at most `max_age` of programme and `max_bytes` of memory (payloads and a fixed overhead for each
    /// unit), and always the open group as far as it fits `max_bytes`.
    pub fn new(max_age: Duration, max_bytes: usize) -> Self {
        Self {
            max_age: Media::from_duration(max_age),
            max_bytes,
            units: VecDeque::new(),
            first: 0,
            keys: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Adds a unit, in arrival order. Sound that belongs before the keyframe just pushed stays where it arrives.
    ///
    /// What arrives before the first video keyframe is not kept: nobody could read it.
    pub fn push(&mut self, unit: Arc<AccessUnit>) {
        let starts_group = unit.key && unit.track == Track::Video;
        if starts_group {
            self.keys.push_back(self.end());
        } else if self.end() == 0 {
            return;
        }
        let newest = unit.pts;
        self.bytes += cost(&unit);
        self.units.push_back(unit);
        self.evict(newest);
    }

    /// The place of a reader that begins at the newest keyframe: at once where the ring holds it, else at the next one.
    pub fn join(&self) -> Cursor {
        Cursor(self.keys.back().map_or(Place::Joining, |&key| Place::At(key)))
    }

    /// The place from which a decoder can start and still get everything from `cursor` on: the last keyframe at or before
    /// it. Where that keyframe has left the ring, the reader's next read says what it lost.
    fn rewind_to_key(&self, cursor: Cursor) -> Cursor {
        let Place::At(next) = cursor.0 else { return cursor };
        let after = self.keys.partition_point(|&key| key <= next);
        Cursor(match after.checked_sub(1).and_then(|i| self.keys.get(i)) {
            Some(&key) => Place::At(key),
            None => Place::Lost { from: next },
        })
    }

    /// Where a reader begins that replays. Where not even the keyframe before what is needed is there any more, its first
    /// read says what it lost.
    pub fn replay(&self, replay: Replay) -> Cursor {
        let wished = self.rewind_to_key(replay.wished);
        match (wished.0, self.keys.front(), replay.needed.0) {
            (Place::Lost { .. }, Some(&oldest), Place::At(needed)) if oldest <= needed => Cursor(Place::At(oldest)),
            (Place::Lost { .. }, ..) => self.rewind_to_key(replay.needed),
            (Place::At(_) | Place::Joining, ..) => wished,
        }
    }

    /// Whether a keyframe is there that lies ahead of `cursor`.
    pub fn is_a_group_behind(&self, cursor: Cursor) -> bool {
        matches!((cursor.0, self.keys.back()), (Place::At(next), Some(&key)) if key > next)
    }

    /// Moves `cursor` to the newest keyframe, if that is ahead, and says how many units that leaves out.
    pub fn skip_ahead(&self, cursor: &mut Cursor) -> u64 {
        match (cursor.0, self.keys.back()) {
            (Place::At(next), Some(&key)) if key > next => {
                cursor.0 = Place::At(key);
                key - next
            }
            (Place::At(_) | Place::Joining | Place::Lost { .. }, _) => 0,
        }
    }

    /// What is at `cursor`, which moves past it; `None` if that has yet to arrive.
    pub fn read(&self, cursor: &mut Cursor) -> Option<Read<'_>> {
        let lost_from = match cursor.0 {
            Place::At(next) if next >= self.first => {
                let unit = self.unit(next)?;
                cursor.0 = Place::At(next + 1);
                return Some(Read::Unit(unit));
            }
            Place::At(from) | Place::Lost { from } => Some(from),
            Place::Joining => None,
        };
        let &key = self.keys.back()?;
        cursor.0 = Place::At(key);
        match lost_from {
            Some(from) => Some(Read::Skipped { units: key.saturating_sub(from) }),
            None => self.read(cursor),
        }
    }

    /// Programme time from `cursor`'s next unit to the newest. For a reader that fell out, the least it can be: what the
    /// ring holds. Zero for one that has read everything or waits to join.
    pub fn behind(&self, cursor: Cursor) -> Duration {
        let next = match cursor.0 {
            Place::At(next) | Place::Lost { from: next } => next.max(self.first),
            Place::Joining => return Duration::ZERO,
        };
        match (self.unit(next), self.units.back()) {
            (Some(next), Some(newest)) => (newest.pts - next.pts).to_duration(),
            _ => Duration::ZERO,
        }
    }

    /// How much the ring holds.
    pub fn held(&self) -> Held {
        Held { units: self.units.len(), bytes: self.bytes, groups: self.keys.len() }
    }

    /// Number of the unit that the next push adds.
    fn end(&self) -> u64 {
        self.first + self.units.len() as u64
    }

    fn unit(&self, number: u64) -> Option<&Arc<AccessUnit>> {
        let index = number.checked_sub(self.first)?;
        self.units.get(usize::try_from(index).ok()?)
    }

    fn evict(&mut self, newest: Media) {
        while let (Some(oldest), Some(&open)) = (self.units.front(), self.keys.back()) {
            let too_old = newest - oldest.pts > self.max_age;
            if self.first >= open || !(too_old || self.bytes > self.max_bytes) {
                break;
            }
            // The oldest group ends at the first keyframe behind the front.
            let end = self.keys.iter().copied().find(|&key| key > self.first).unwrap_or(open);
            while self.first < end {
                self.drop_oldest();
            }
        }
        while self.bytes > self.max_bytes && !self.units.is_empty() {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(unit) = self.units.pop_front() {
            self.bytes -= cost(&unit);
            self.first += 1;
        }
        while self.keys.front().is_some_and(|&key| key < self.first) {
            self.keys.pop_front();
        }
    }
}

fn cost(unit: &AccessUnit) -> usize {
    unit.payload.len() + UNIT_OVERHEAD
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use bytes::Bytes;

    use super::*;
    use crate::model::{AudioFormat, Codec, CodecConfig, FrameRate, InputId, RenditionId, TrackFormat, VideoFormat};

    /// Makes units of a 25 fps stream with a keyframe each second, or at will.
    struct Producer {
        video: Arc<CodecConfig>,
        audio: Arc<CodecConfig>,
        frame: i64,
    }

    impl Producer {
        fn new() -> Self {
            let video = VideoFormat { width: 1280, height: 720, rate: FrameRate::whole(25) };
            let audio = AudioFormat { rate: 48_000, channels: 2, samples: 1024 };
            let config = |codec, format| Arc::new(CodecConfig { codec, record: Bytes::new(), format, bitrate: 0 });
            Self {
                video: config(Codec::H264, TrackFormat::Video(video)),
                audio: config(Codec::Aac, TrackFormat::Audio(audio)),
                frame: 0,
            }
        }

        fn unit(&self, track: Track, pts: Media, key: bool, bytes: usize) -> Arc<AccessUnit> {
            Arc::new(AccessUnit {
                input: InputId::new("cam").unwrap(),
                rendition: RenditionId::new("main").unwrap(),
                track,
                pts,
                dts: pts,
                key,
                config: if track == Track::Video { self.video.clone() } else { self.audio.clone() },
                payload: Bytes::from(vec![0xA5; bytes]),
            })
        }

        fn picture(&mut self, key: bool, bytes: usize) -> Arc<AccessUnit> {
            self.frame += 1;
            self.unit(Track::Video, Media::from_millis((self.frame - 1) * 40), key, bytes)
        }

        fn second(&mut self, ring: &mut Ring) {
            for n in 0..25 {
                ring.push(self.picture(n == 0, 1000));
            }
        }
    }

    fn ring(seconds: u64) -> Ring {
        Ring::new(Duration::from_secs(seconds), 100 << 20)
    }

    fn next_unit(ring: &Ring, cursor: &mut Cursor) -> Arc<AccessUnit> {
        match ring.read(cursor) {
            Some(Read::Unit(unit)) => unit.clone(),
            other => panic!("expected a unit, got {other:?}"),
        }
    }

    #[test]
    fn a_reader_follows_the_open_group_unit_by_unit() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        let mut cursor = ring.join();
        assert!(ring.read(&mut cursor).is_none(), "nothing has been pushed");
        for n in 0..60i64 {
            ring.push(producer.picture(n % 25 == 0, 100));
            assert_eq!(next_unit(&ring, &mut cursor).pts, Media::from_millis(n * 40));
            assert!(ring.read(&mut cursor).is_none(), "one push, one unit");
        }
    }

    #[test]
    fn payloads_are_shared_and_freed_with_the_last_holder() {
        let (mut producer, mut ring) = (Producer::new(), ring(1));
        let unit = producer.picture(true, 50_000);
        let bytes = unit.payload.as_ptr();
        ring.push(unit.clone());
        assert_eq!(Arc::strong_count(&unit), 2, "the ring holds the unit itself");

        let got: Vec<_> = (0..64).map(|_| next_unit(&ring, &mut ring.join())).collect();
        assert!(got.iter().all(|u| u.payload.as_ptr() == bytes), "a payload was copied");
        assert_eq!(Arc::strong_count(&unit), 2 + 64);

        drop(got);
        producer.second(&mut ring);
        producer.second(&mut ring);
        assert_eq!(Arc::strong_count(&unit), 1, "the ring kept a unit older than its age");
    }

    #[test]
    fn a_joiner_begins_at_the_open_groups_keyframe() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        producer.second(&mut ring);
        ring.push(producer.picture(true, 100));
        ring.push(producer.picture(false, 100));
        let mut cursor = ring.join();
        let unit = next_unit(&ring, &mut cursor);
        assert!(unit.key);
        assert_eq!(unit.pts, Media::from_millis(1000));
    }

    #[test]
    fn a_joiner_before_the_first_keyframe_waits_for_it_and_loses_nothing() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        let mut cursor = ring.join();
        ring.push(producer.unit(Track::Audio, Media::ZERO, true, 10));
        ring.push(producer.picture(false, 10));
        assert!(ring.read(&mut cursor).is_none());
        ring.push(producer.picture(true, 10));
        assert!(next_unit(&ring, &mut cursor).key);
    }

    #[test]
    fn sound_that_arrives_after_the_keyframe_it_precedes_stays_where_it_arrived() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        producer.second(&mut ring);
        ring.push(producer.picture(true, 10));
        ring.push(producer.unit(Track::Audio, Media::from_millis(990), true, 10));
        let mut cursor = ring.join();
        assert_eq!(next_unit(&ring, &mut cursor).track, Track::Video);
        assert_eq!(next_unit(&ring, &mut cursor).pts, Media::from_millis(990));
    }

    #[test]
    fn a_laggard_is_told_exactly_what_it_lost_and_goes_on_at_the_newest_keyframe() {
        let (mut producer, mut ring) = (Producer::new(), ring(2));
        producer.second(&mut ring);
        let mut laggard = ring.join();
        for _ in 0..5 {
            next_unit(&ring, &mut laggard);
        }
        for _ in 0..6 {
            producer.second(&mut ring);
        }
        ring.push(producer.picture(true, 10));
        // 7 s of 25 were pushed, 5 were read; the newest keyframe is number 175.
        assert!(matches!(ring.read(&mut laggard), Some(Read::Skipped { units: 170 })));
        assert_eq!(next_unit(&ring, &mut laggard).pts, Media::from_millis(7000));
        assert!(ring.read(&mut laggard).is_none());
    }

    #[test]
    fn a_laggard_costs_the_others_nothing() {
        let (mut producer, mut ring) = (Producer::new(), ring(1));
        let (mut quick, mut stuck) = (ring.join(), ring.join());
        let mut read = 0;
        for n in 0..1000 {
            ring.push(producer.picture(n % 25 == 0, 10));
            if n == 0 {
                next_unit(&ring, &mut stuck);
            }
            next_unit(&ring, &mut quick);
            read += 1;
        }
        assert_eq!(read, 1000);
        assert!(matches!(ring.read(&mut stuck), Some(Read::Skipped { units: 974 })));
    }

    #[test]
    fn the_ring_holds_its_age_and_no_more() {
        let (mut producer, mut ring) = (Producer::new(), ring(3));
        for _ in 0..20 {
            producer.second(&mut ring);
            let held = ring.held();
            assert!(held.units <= 75 && held.groups <= 3, "holds {held:?} of a 3 s limit");
        }
        assert_eq!(ring.held().groups, 3);
    }

    #[test]
    fn the_ring_keeps_to_its_bytes_by_giving_up_closed_groups() {
        let limit = 60 * (1000 + UNIT_OVERHEAD);
        let (mut producer, mut ring) = (Producer::new(), Ring::new(Duration::from_secs(3600), limit));
        for _ in 0..20 {
            producer.second(&mut ring);
            assert!(ring.held().bytes <= limit);
        }
        assert_eq!(ring.held().groups, 2, "two groups of 25 fit into 60");
        let mut cursor = ring.join();
        assert!(next_unit(&ring, &mut cursor).key);
    }

    #[test]
    fn an_open_group_older_than_the_age_is_kept_whole() {
        let (mut producer, mut ring) = (Producer::new(), ring(1));
        for n in 0..500 {
            ring.push(producer.picture(n == 0, 10));
        }
        assert_eq!(ring.held().units, 500);
        assert!(next_unit(&ring, &mut ring.join()).key);
    }

    #[test]
    fn a_stream_without_keyframes_is_bounded_closed_to_joiners_and_recovers_at_the_next_keyframe() {
        let limit = 100 * (1000 + UNIT_OVERHEAD);
        let (mut producer, mut ring) = (Producer::new(), Ring::new(Duration::from_secs(10), limit));
        ring.push(producer.picture(true, 1000));
        let (mut quick, mut laggard) = (ring.join(), ring.join());
        next_unit(&ring, &mut quick);
        next_unit(&ring, &mut laggard);
        for _ in 0..1000 {
            ring.push(producer.picture(false, 1000));
            next_unit(&ring, &mut quick);
        }
        assert_eq!(ring.held(), Held { units: 100, bytes: limit, groups: 0 });

        let mut joiner = ring.join();
        assert!(ring.read(&mut joiner).is_none(), "there is no keyframe to begin at");
        assert!(ring.read(&mut laggard).is_none(), "there is no keyframe to go on at");

        ring.push(producer.picture(true, 1000));
        assert_eq!(next_unit(&ring, &mut quick).pts, Media::from_millis(1001 * 40));
        assert!(next_unit(&ring, &mut joiner).key);
        assert!(matches!(ring.read(&mut laggard), Some(Read::Skipped { units: 1000 })));
        assert!(next_unit(&ring, &mut laggard).key);
    }

    #[test]
    fn one_unit_larger_than_the_whole_ring_is_not_kept_and_is_counted() {
        let (mut producer, mut ring) = (Producer::new(), Ring::new(Duration::from_secs(10), 10_000));
        ring.push(producer.picture(true, 10));
        let mut cursor = ring.join();
        ring.push(producer.picture(true, 20_000));
        assert_eq!(ring.held(), Held { units: 0, bytes: 0, groups: 0 });
        ring.push(producer.picture(true, 10));
        assert!(matches!(ring.read(&mut cursor), Some(Read::Skipped { units: 2 })));
        assert!(next_unit(&ring, &mut cursor).key);
    }

    #[test]
    fn a_replay_begins_at_the_keyframe_before_the_bookmark() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        producer.second(&mut ring);
        let mut cursor = ring.join();
        for _ in 0..10 {
            next_unit(&ring, &mut cursor);
        }
        let acknowledged = cursor;
        producer.second(&mut ring);
        let mut replay = ring.replay(Replay::from(acknowledged));
        let unit = next_unit(&ring, &mut replay);
        assert!(unit.key && unit.pts == Media::ZERO, "began at {:?}", unit.pts);
        // At a keyframe already, nothing is repeated that need not be.
        let at_key = ring.join();
        assert_eq!(ring.replay(Replay::from(at_key)), at_key);
    }

    #[test]
    fn a_replay_whose_group_left_the_ring_counts_from_the_bookmark() {
        let (mut producer, mut ring) = (Producer::new(), ring(2));
        producer.second(&mut ring);
        let mut cursor = ring.join();
        for _ in 0..10 {
            next_unit(&ring, &mut cursor);
        }
        for _ in 0..5 {
            producer.second(&mut ring);
        }
        let mut replay = ring.replay(Replay::from(cursor));
        assert!(matches!(ring.read(&mut replay), Some(Read::Skipped { units: 115 })));
        assert!(next_unit(&ring, &mut replay).key);
    }

    #[test]
    fn what_a_replay_only_wishes_for_may_have_left_the_ring() {
        let (mut producer, mut ring) = (Producer::new(), ring(2));
        producer.second(&mut ring);
        let wished = ring.join();
        for _ in 0..4 {
            producer.second(&mut ring);
        }
        let needed = ring.join();
        let mut replay = ring.replay(Replay::wishing(wished, needed));
        let unit = next_unit(&ring, &mut replay);
        assert!(unit.key && unit.pts < next_unit(&ring, &mut needed.clone()).pts, "began at {:?}", unit.pts);
        // Without such a wish, the same place is gone.
        let mut replay = ring.replay(Replay::wishing(wished, wished));
        assert!(matches!(ring.read(&mut replay), Some(Read::Skipped { .. })));
    }

    #[test]
    fn skipping_ahead_leaves_out_whole_groups_and_counts_them() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        producer.second(&mut ring);
        let mut cursor = ring.join();
        let first = next_unit(&ring, &mut cursor);
        assert_eq!(ring.skip_ahead(&mut cursor), 0, "the newest group is read already");
        for _ in 0..3 {
            producer.second(&mut ring);
        }
        let left_out = ring.skip_ahead(&mut cursor);
        let mut whole = ring.replay(Replay::from(cursor));
        assert_eq!(whole, cursor, "at a keyframe");
        let unit = next_unit(&ring, &mut whole);
        assert_eq!(unit.pts - first.pts, Media::from_millis(3000));
        // Each second has as many units as the others; one of the first was read.
        assert_eq!(left_out % 3, 2, "{left_out}");
    }

    #[test]
    fn behind_is_the_programme_time_still_to_be_read() {
        let (mut producer, mut ring) = (Producer::new(), ring(10));
        producer.second(&mut ring);
        let mut cursor = ring.join();
        assert_eq!(ring.behind(cursor), Duration::from_millis(24 * 40));
        while ring.read(&mut cursor).is_some() {}
        assert_eq!(ring.behind(cursor), Duration::ZERO);
    }

    #[test]
    fn under_random_loads_every_reader_gets_each_unit_once_or_is_told_it_lost_it() {
        for seed in 0..200 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let limit = rng.usize(5_000..80_000);
            let mut producer = Producer::new();
            let mut ring = Ring::new(Duration::from_millis(rng.u64(200..4000)), limit);
            // Each unit says its number in its time; readers check that numbers never repeat and add up.
            let mut readers: Vec<(Cursor, Option<i64>)> = Vec::new();
            for _ in 0..2000 {
                let key = producer.frame == 0 || rng.u8(0..30) == 0;
                ring.push(producer.picture(key, rng.usize(0..2000)));
                assert!(ring.held().bytes <= limit, "seed {seed}: over the byte limit");
                if rng.u8(0..100) == 0 {
                    readers.push((ring.join(), None));
                }
                for (cursor, last) in &mut readers {
                    if rng.u8(0..10) < 7 {
                        continue;
                    }
                    let mut must_be_key = last.is_none();
                    for _ in 0..rng.usize(0..8) {
                        match ring.read(cursor) {
                            Some(Read::Unit(unit)) => {
                                let number = unit.pts.as_nanos() / 40_000_000;
                                assert_eq!(number, last.map_or(number, |l| l + 1), "seed {seed}: miscounted");
                                assert!(unit.key || !must_be_key, "seed {seed}: began off a key");
                                (*last, must_be_key) = (Some(number), false);
                            }
                            Some(Read::Skipped { units }) => {
                                *last = last.map(|l| l + i64::try_from(units).unwrap());
                                must_be_key = true;
                            }
                            None => break,
                        }
                    }
                }
            }
        }
    }
}
