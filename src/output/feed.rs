//! The shell around [`crate::distribute`]: wakes the tasks that wait for the next unit.
//!
//! Feeds and subscriptions live on the data plane's one thread and share the ring by reference count, without a lock
//! (neither is `Send`).

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::distribute::{Cursor, Held, Read, Replay, Ring};
use crate::model::{AccessUnit, Media, Track};

/// How long sound waits for a picture to be sent with, in programme time.
const SOUND_WAITS: Media = Media::from_millis(50);

/// When a waiting subscription is woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// At each unit.
    EachUnit,
    /// At each video unit, or when sound alone has been waiting for 50 ms: one system call instead of three.
    EachPicture,
}

/// What a subscription yields.
#[derive(Clone, Debug)]
pub enum Received {
    /// The next unit.
    Unit(Arc<AccessUnit>),
    /// This reader fell out of the ring; the next unit is a video keyframe.
    Skipped {
        /// Units it lost.
        units: u64,
    },
}

/// One rendition of the programme: its pictures and its sound, interleaved, in groups that begin at keyframes. A clone is
/// the same feed.
#[derive(Clone, Debug)]
pub struct Feed(Rc<RefCell<Core>>);

/// One reader's place in a [`Feed`].
///
/// It outlives the feed: when the last clone of the feed is dropped, what the ring holds can still be read, then
/// [`Subscription::next`] pends for ever. A reader ends because its owner ends it, never because its feed went away.
#[derive(Debug)]
pub struct Subscription {
    core: Rc<RefCell<Core>>,
    cursor: Cursor,
    /// Its place in [`Core::sleepers`].
    slot: usize,
}

#[derive(Debug)]
struct Core {
    ring: Ring,
    sleepers: Vec<Sleeper>,
    /// Since when, in programme time, sound has been waiting for a picture.
    sound_since: Option<Media>,
    /// Empty between pushes; keeps its capacity, so that a push allocates nothing for the wakers.
    waking: Vec<Waker>,
}

/// A subscription as the producer sees it.
#[derive(Debug)]
enum Sleeper {
    /// The subscription of this slot was dropped; the next one takes it.
    Free,
    /// Reading, or not interested.
    Awake(Wake),
    /// In `next`, with everything read.
    Asleep(Wake, Waker),
}

impl Feed {
    /// A ring that holds at most `max_age` of programme and `max_bytes` of payload (plus a small overhead for each unit),
    /// and always the open group as far as it fits `max_bytes`; see [`crate::distribute`] for the order of eviction.
    pub fn new(max_age: Duration, max_bytes: usize) -> Self {
        Self(Rc::new(RefCell::new(Core {
            ring: Ring::new(max_age, max_bytes),
            sleepers: Vec::new(),
            sound_since: None,
            waking: Vec::new(),
        })))
    }

    /// Adds a unit and wakes readers. Never waits for one.
    pub fn push(&self, unit: Arc<AccessUnit>) {
        // Wakers run foreign code, which may come back here: none is called while the core is borrowed.
        let mut waking = self.0.borrow_mut().push(unit);
        for waker in waking.drain(..) {
            waker.wake();
        }
        self.0.borrow_mut().waking = waking;
    }

    /// A reader that begins at the newest video keyframe.
    pub fn subscribe(&self, wake: Wake) -> Subscription {
        let cursor = self.0.borrow().ring.join();
        self.subscribe_at(cursor, wake)
    }

    /// A reader that begins at the last keyframe at or before that place, so that it replays what an earlier reader's far
    /// end may not have got. What has left the ring is reported by its first read.
    pub fn subscribe_from(&self, replay: Replay, wake: Wake) -> Subscription {
        let cursor = self.0.borrow().ring.replay(replay);
        self.subscribe_at(cursor, wake)
    }

    fn subscribe_at(&self, cursor: Cursor, wake: Wake) -> Subscription {
        let mut core = self.0.borrow_mut();
        let slot = core.sleepers.iter().position(|s| matches!(s, Sleeper::Free)).unwrap_or(core.sleepers.len());
        match core.sleepers.get_mut(slot) {
            Some(free) => *free = Sleeper::Awake(wake),
            None => core.sleepers.push(Sleeper::Awake(wake)),
        }
        Subscription { core: self.0.clone(), cursor, slot }
    }

    /// How much the ring holds.
    pub fn held(&self) -> Held {
        self.0.borrow().ring.held()
    }
}

impl Core {
    /// Adds a unit; the wakers to call are the caller's.
    fn push(&mut self, unit: Arc<AccessUnit>) -> Vec<Waker> {
        let picture = match unit.track {
            Track::Video => true,
            Track::Audio => unit.pts - *self.sound_since.get_or_insert(unit.pts) >= SOUND_WAITS,
        };
        if picture {
            self.sound_since = None;
        }
        self.ring.push(unit);

        let mut waking = std::mem::take(&mut self.waking);
        for sleeper in &mut self.sleepers {
            if let Sleeper::Asleep(wake, waker) = sleeper
                && (picture || *wake == Wake::EachUnit)
            {
                let awake = Sleeper::Awake(*wake);
                waking.push(std::mem::replace(waker, Waker::noop().clone()));
                *sleeper = awake;
            }
        }
        waking
    }
}

impl Subscription {
    /// The next unit, without waiting.
    pub fn try_next(&mut self) -> Option<Received> {
        Some(match self.core.borrow().ring.read(&mut self.cursor)? {
            Read::Unit(unit) => Received::Unit(unit.clone()),
            Read::Skipped { units } => Received::Skipped { units },
        })
    }

    /// The next unit. Cancel-safe: a unit is taken only when it is returned.
    pub async fn next(&mut self) -> Received {
        poll_fn(|context| {
            if let Some(received) = self.try_next() {
                return Poll::Ready(received);
            }
            if let Some(sleeper) = self.core.borrow_mut().sleepers.get_mut(self.slot) {
                match sleeper {
                    Sleeper::Asleep(_, waker) => waker.clone_from(context.waker()),
                    Sleeper::Awake(wake) => *sleeper = Sleeper::Asleep(*wake, context.waker().clone()),
                    Sleeper::Free => {}
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Programme time between this reader and the newest unit.
    pub fn behind(&self) -> Duration {
        self.core.borrow().ring.behind(self.cursor)
    }

    /// Programme time from `place`, which this or an earlier reader was at, to the newest unit.
    pub fn waiting_from(&self, place: Cursor) -> Duration {
        self.core.borrow().ring.behind(place)
    }

    /// Whether a keyframe has come that this reader has not got to yet.
    pub fn is_a_group_behind(&self) -> bool {
        self.core.borrow().ring.is_a_group_behind(self.cursor)
    }

    /// Goes on at the newest keyframe, if that is ahead, and says how many units that leaves out.
    pub fn skip_ahead(&mut self) -> u64 {
        self.core.borrow().ring.skip_ahead(&mut self.cursor)
    }

    /// A bookmark: the place of the unit that comes next. Costs the ring nothing; what it points at may be evicted.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(sleeper) = self.core.borrow_mut().sleepers.get_mut(self.slot) {
            *sleeper = Sleeper::Free;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::pin::pin;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Wake as StdWake};

    use bytes::Bytes;

    use super::*;
    use crate::model::{AudioFormat, Codec, CodecConfig, InputId, RenditionId, TrackFormat};

    #[derive(Default)]
    struct CountWakes(AtomicU32);

    impl StdWake for CountWakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn unit(track: Track, ms: i64, key: bool) -> Arc<AccessUnit> {
        let format = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 });
        let config = Arc::new(CodecConfig { codec: Codec::Aac, record: Bytes::new(), format, bitrate: 0 });
        let pts = Media::from_millis(ms);
        let (input, rendition) = (InputId::new("cam").unwrap(), RenditionId::new("main").unwrap());
        Arc::new(AccessUnit { input, rendition, track, pts, dts: pts, key, config, payload: Bytes::from(vec![7; 100]) })
    }

    fn picture(ms: i64) -> Arc<AccessUnit> {
        unit(Track::Video, ms, true)
    }

    fn sound(ms: i64) -> Arc<AccessUnit> {
        unit(Track::Audio, ms, true)
    }

    fn feed() -> Feed {
        Feed::new(Duration::from_secs(10), 1 << 20)
    }

    /// Polls `next` once; true if it was ready.
    fn poll(subscription: &mut Subscription, wakes: &Arc<CountWakes>) -> bool {
        let waker = Waker::from(wakes.clone());
        pin!(subscription.next()).poll(&mut Context::from_waker(&waker)).is_ready()
    }

    fn wakes(count: &CountWakes) -> u32 {
        count.0.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_waiting_reader_gets_the_unit_itself() {
        let feed = feed();
        let mut subscription = feed.subscribe(Wake::EachUnit);
        let pushed = picture(0);
        let (received, ()) = tokio::join!(subscription.next(), async { feed.push(pushed.clone()) });
        let Received::Unit(unit) = received else { panic!("got {received:?}") };
        assert!(Arc::ptr_eq(&unit, &pushed));
    }

    #[test]
    fn sixty_four_readers_share_one_payload() {
        let feed = feed();
        let pushed = picture(0);
        let mut readers: Vec<_> = (0..64).map(|_| feed.subscribe(Wake::EachPicture)).collect();
        feed.push(pushed.clone());
        let got: Vec<_> = readers.iter_mut().map(|r| r.try_next().unwrap()).collect();
        assert_eq!(Arc::strong_count(&pushed), 1 + 1 + 64);
        for received in got {
            let Received::Unit(unit) = received else { panic!("got {received:?}") };
            assert_eq!(unit.payload.as_ptr(), pushed.payload.as_ptr(), "a payload was copied");
        }
    }

    #[test]
    fn each_picture_sleeps_through_sound_and_reads_it_with_the_picture() {
        let (feed, count) = (feed(), Arc::new(CountWakes::default()));
        feed.push(picture(0));
        let mut reader = feed.subscribe(Wake::EachPicture);
        assert!(poll(&mut reader, &count));
        assert!(!poll(&mut reader, &count));
        feed.push(sound(5));
        feed.push(sound(26));
        assert_eq!(wakes(&count), 0, "woken for sound");
        feed.push(picture(33));
        assert_eq!(wakes(&count), 1);
        let mut units = 0;
        while poll(&mut reader, &count) {
            units += 1;
        }
        assert_eq!(units, 3);
    }

    #[test]
    fn sound_alone_wakes_each_picture_after_50_ms_of_programme() {
        let (feed, count) = (feed(), Arc::new(CountWakes::default()));
        feed.push(picture(0));
        let mut reader = feed.subscribe(Wake::EachPicture);
        let mut units = 0;
        for n in 0..100 {
            while poll(&mut reader, &count) {
                units += 1;
            }
            feed.push(sound(n * 20));
        }
        // Woken at 60 ms, and every 60 ms of 20 ms packets, although it was asleep for each of the 100.
        assert_eq!((units, wakes(&count)), (100, 25));
    }

    #[test]
    fn each_unit_is_woken_at_each_unit_and_once_only() {
        let (feed, count) = (feed(), Arc::new(CountWakes::default()));
        feed.push(picture(0));
        let mut reader = feed.subscribe(Wake::EachUnit);
        while poll(&mut reader, &count) {}
        feed.push(sound(1));
        feed.push(sound(22));
        feed.push(picture(33));
        assert_eq!(wakes(&count), 1, "a task that is already scheduled was scheduled again");
    }

    #[test]
    fn next_dropped_halfway_loses_nothing() {
        let (feed, count) = (feed(), Arc::new(CountWakes::default()));
        let mut reader = feed.subscribe(Wake::EachUnit);
        assert!(!poll(&mut reader, &count), "polled once, then dropped");
        feed.push(picture(0));
        feed.push(unit(Track::Video, 33, false));
        assert!(poll(&mut reader, &count));
        assert!(poll(&mut reader, &count));
        assert!(!poll(&mut reader, &count));
    }

    #[test]
    fn a_bookmark_replays_from_the_keyframe_before_it() {
        let feed = feed();
        feed.push(picture(0));
        let mut reader = feed.subscribe(Wake::EachUnit);
        feed.push(unit(Track::Video, 33, false));
        reader.try_next().unwrap();
        let acknowledged = reader.cursor();
        feed.push(picture(66));
        while reader.try_next().is_some() {}
        drop(reader);
        let mut reader = feed.subscribe_from(Replay::from(acknowledged), Wake::EachUnit);
        let Some(Received::Unit(first)) = reader.try_next() else { panic!("nothing to replay") };
        assert_eq!(first.pts, Media::ZERO);
    }

    #[test]
    fn the_slots_of_dropped_readers_are_used_again() {
        let feed = feed();
        for _ in 0..1000 {
            drop(feed.subscribe(Wake::EachUnit));
        }
        assert_eq!(feed.0.borrow().sleepers.len(), 1);
    }

    #[test]
    fn a_reader_survives_its_feed_and_then_waits() {
        let (feed, count) = (feed(), Arc::new(CountWakes::default()));
        feed.push(picture(0));
        let mut reader = feed.subscribe(Wake::EachUnit);
        drop(feed);
        assert!(poll(&mut reader, &count));
        assert!(!poll(&mut reader, &count));
    }
}
