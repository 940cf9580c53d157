//! A rendition as one transport stream, muxed once for however many SRT outputs send it.
//!
//! ```text
//!   Feed ──units──► Muxer ──payloads──► a queue for each subscriber, by reference
//!                     ▲ clock references and tables by timer, in programme time
//! ```
//!
//! The muxer runs while somebody subscribes. *Invariant:* a subscriber that does not read loses its own payloads, from one
//! keyframe to another, and nothing else.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use tokio::time::sleep_until;

use super::{Feed, ProgrammeClock, Received, Subscription, Wake};
use crate::model::Media;
use crate::mux::ts::{MuxCounters, Muxer, Payload, Settings};

/// Payloads that wait for a subscriber: 10 MB, four seconds at 20 Mbit/s. An SRT session takes them as they come.
const MOST: usize = 8192;

/// One rendition's transport stream. A clone is the same stream.
#[derive(Clone)]
pub struct Transport(Rc<Shared>);

struct Shared {
    feed: Feed,
    clock: ProgrammeClock,
    settings: Settings,
    core: RefCell<Core>,
}

#[derive(Default)]
struct Core {
    /// `None` of a subscriber that is gone; the next one takes its place.
    readers: Vec<Option<Reader>>,
    state: State,
    counters: MuxCounters,
}

/// Whether the muxer runs.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Idle,
    Running,
}

struct Reader {
    queue: VecDeque<Payload>,
    /// There are keyframes to begin at.
    has_keys: bool,
    /// Nothing is of use to it before the next keyframe.
    awaits_key: bool,
    lost: u64,
    waker: Option<Waker>,
}

/// What a subscriber is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The next payload. The first one begins with tables and a keyframe, if there are pictures.
    Payload(Payload),
    /// It did not read in time; the next payload is like the first.
    Skipped {
        /// Payloads it lost.
        payloads: u64,
    },
}

/// One subscriber's place in a [`Transport`].
pub struct Payloads {
    shared: Rc<Shared>,
    slot: usize,
}

impl Transport {
    /// Nothing is muxed until somebody subscribes, on the current single-threaded runtime (inside a `LocalSet`).
    pub fn new(feed: Feed, clock: ProgrammeClock, settings: Settings) -> Self {
        Self(Rc::new(Shared { feed, clock, settings, core: RefCell::default() }))
    }

    /// Everything from the next keyframe on; of a programme of sound everything from now on.
    pub fn subscribe(&self) -> Payloads {
        let mut core = self.0.core.borrow_mut();
        let reader = Some(Reader::new(self.0.settings.pictures));
        let slot = core.readers.iter().position(Option::is_none).unwrap_or(core.readers.len());
        match core.readers.get_mut(slot) {
            Some(free) => *free = reader,
            None => core.readers.push(reader),
        }
        if core.state == State::Idle {
            core.state = State::Running;
            tokio::task::spawn_local(run(self.0.clone()));
        }
        Payloads { shared: self.0.clone(), slot }
    }

    /// The clock that it is stamped with.
    pub fn clock(&self) -> &ProgrammeClock {
        &self.0.clock
    }

    /// Added to every time stamp.
    pub fn delay(&self) -> Media {
        self.0.settings.delay
    }

    /// What was counted since the muxer last began.
    pub fn counters(&self) -> MuxCounters {
        self.0.core.borrow().counters
    }
}

/// Muxes until nobody subscribes any more. A subscriber that comes later gets a new muxer: there is nobody to whom the old
/// one's counters would have to go on.
async fn run(shared: Rc<Shared>) {
    let mut subscription = shared.feed.subscribe(Wake::EachUnit);
    let mut muxer = Muxer::new(shared.settings.clone());
    loop {
        let due = muxer.poll_timeout().map(|(at, _)| shared.clock.instant(at));
        tokio::select! {
            biased;
            received = subscription.next() => {
                push(&mut muxer, received);
                push_all(&mut muxer, &mut subscription);
            }
            () = async { match due {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            } } => {}
        }
        let mut waking = Vec::new();
        {
            let mut core = shared.core.borrow_mut();
            core.readers.iter().all(Option::is_none).then(|| core.state = State::Idle);
            if core.state == State::Idle {
                return;
            }
            let now = shared.clock.now();
            while let Some(payload) = muxer.poll(now) {
                for reader in core.readers.iter_mut().flatten() {
                    reader.give(&payload);
                    waking.extend(reader.waker.take());
                }
            }
            core.counters = muxer.counters();
        }
        // Wakers run foreign code, which may come back here: none is called while the core is borrowed.
        waking.into_iter().for_each(Waker::wake);
    }
}

fn push_all(muxer: &mut Muxer, subscription: &mut Subscription) {
    while let Some(received) = subscription.try_next() {
        push(muxer, received);
    }
}

fn push(muxer: &mut Muxer, received: Received) {
    match received {
        // What the muxer does not take it counts.
        Received::Unit(unit) => drop(muxer.push(&unit)),
        // The next unit is a keyframe, and the programme clock did not jump.
        Received::Skipped { .. } => {}
    }
}

impl Reader {
    fn new(has_keys: bool) -> Self {
        Self { queue: VecDeque::new(), has_keys, awaits_key: has_keys, lost: 0, waker: None }
    }

    fn give(&mut self, payload: &Payload) {
        if self.queue.len() >= MOST {
            self.lost += self.queue.len() as u64;
            self.queue.clear();
            self.awaits_key = self.has_keys;
        }
        if self.awaits_key && !payload.key {
            // Before its first keyframe a subscriber has lost nothing.
            self.lost += u64::from(self.lost > 0);
            return;
        }
        self.awaits_key = false;
        self.queue.push_back(payload.clone());
    }

    fn take(&mut self) -> Option<Next> {
        if self.lost > 0 && !self.awaits_key {
            return Some(Next::Skipped { payloads: std::mem::take(&mut self.lost) });
        }
        self.queue.pop_front().map(Next::Payload)
    }
}

impl Payloads {
    /// The next payload, without waiting.
    pub fn try_next(&mut self) -> Option<Next> {
        self.shared.core.borrow_mut().readers.get_mut(self.slot)?.as_mut()?.take()
    }

    /// The next payload. Cancel-safe: a payload is taken only when it is returned.
    pub async fn next(&mut self) -> Next {
        poll_fn(|context| {
            let mut core = self.shared.core.borrow_mut();
            let Some(Some(reader)) = core.readers.get_mut(self.slot) else { return Poll::Pending };
            match reader.take() {
                Some(next) => Poll::Ready(next),
                None => {
                    reader.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Drop for Payloads {
    fn drop(&mut self) {
        if let Some(reader) = self.shared.core.borrow_mut().readers.get_mut(self.slot) {
            *reader = None;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::time::Duration;

    use bytes::Bytes;
    use tokio::task::LocalSet;
    use tokio::time::sleep;

    use super::*;
    use crate::model::{Codec, InputId, RenditionId, Track};
    use crate::mux::fixtures;
    use crate::mux::ts::{Demuxer, Output, Source};

    fn transport() -> (Feed, Transport) {
        let feed = Feed::new(Duration::from_secs(10), 1 << 20);
        let clock = ProgrammeClock::new(Media::ZERO - crate::clock::media());
        (feed.clone(), Transport::new(feed, clock, Settings::default()))
    }

    /// Pushes `seconds` of a programme as its time comes; `after_each` is called after each unit.
    async fn play(feed: &Feed, transport: &Transport, seconds: i64, mut after_each: impl FnMut()) {
        let begin = transport.clock().now();
        for unit in fixtures::programme(Codec::H264, Codec::Aac, begin, seconds) {
            sleep_until(transport.clock().instant(unit.pts).into()).await;
            feed.push(unit);
            // The muxer's turn, and the timers'.
            sleep(Duration::from_millis(1)).await;
            after_each();
        }
    }

    /// How many pictures and sounds are in `payloads`.
    fn units(payloads: &[Payload]) -> (usize, usize) {
        let source = Source {
            input: InputId::new("x").unwrap(),
            rendition: RenditionId::new("x").unwrap(),
            programme: None,
            rate: None,
            video_bitrate: 0,
            audio_bitrate: 0,
        };
        let (mut demuxer, now) = (Demuxer::new(source), crate::clock::now());
        payloads.iter().for_each(|p| demuxer.push(&p.bytes, now));
        demuxer.flush(now);
        let outputs: Vec<_> = std::iter::from_fn(|| demuxer.poll()).collect();
        let count = |track| outputs.iter().filter(|o| matches!(o, Output::Unit(u) if u.track == track)).count();
        (count(Track::Video), count(Track::Audio))
    }

    #[tokio::test(start_paused = true)]
    async fn two_subscribers_get_the_same_bytes_and_all_units() {
        let local = LocalSet::new();
        let test = async {
            let (feed, transport) = transport();
            let (mut one, mut other) = (transport.subscribe(), transport.subscribe());
            let (mut first, mut second) = (Vec::new(), Vec::new());
            play(&feed, &transport, 4, || {
                first.extend(std::iter::from_fn(|| one.try_next()));
                second.extend(std::iter::from_fn(|| other.try_next()));
            })
            .await;
            assert_eq!(first, second);
            let payload = |next| if let Next::Payload(payload) = next { payload } else { panic!("{next:?}") };
            let payloads: Vec<_> = first.into_iter().map(payload).collect();
            assert!(payloads[0].key, "begins with a keyframe");
            let (pictures, sounds) = units(&payloads);
            assert!(pictures >= 118 && sounds >= 180, "{pictures} pictures, {sounds} sounds of 4 s");
            assert_eq!(transport.counters().late, 0);

            drop((one, other));
            sleep(Duration::from_secs(1)).await;
            assert!(transport.0.core.borrow().state == State::Idle, "muxes for nobody");
            let mut late = transport.subscribe();
            play(&feed, &transport, 1, || ()).await;
            assert!(matches!(late.try_next(), Some(Next::Payload(p)) if p.key), "begins anew for whoever comes");
        };
        local.run_until(test).await;
    }

    #[test]
    fn pictures_begin_at_a_keyframe_at_first_and_after_a_loss() {
        let payload = |n: i64, key| Payload { at: Media(n), key, bytes: Bytes::new() };
        let mut reader = Reader::new(true);
        (0..5).for_each(|n| reader.give(&payload(n, n == 3)));
        assert_eq!(reader.take(), Some(Next::Payload(payload(3, true))), "what came before is not missed");
        for n in 5..5 + MOST as i64 {
            reader.give(&payload(n, false));
        }
        assert_eq!(reader.take(), None, "too much waited, and no keyframe since");
        reader.give(&payload(9999, true));
        assert_eq!(reader.take(), Some(Next::Skipped { payloads: MOST as u64 + 1 }));
        assert_eq!(reader.take(), Some(Next::Payload(payload(9999, true))));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_read_loses_its_own_and_is_told() {
        let local = LocalSet::new();
        let test = async {
            let (feed, transport) = transport();
            let (mut idle, mut busy) = (transport.subscribe(), transport.subscribe());
            let mut read = 0;
            while read < MOST + 200 {
                play(&feed, &transport, 10, || {
                    for next in std::iter::from_fn(|| busy.try_next()) {
                        assert!(matches!(next, Next::Payload(_)), "the other one's trouble");
                        read += 1;
                    }
                })
                .await;
            }
            let got: Vec<_> = std::iter::from_fn(|| idle.try_next()).collect();
            let [Next::Skipped { payloads }, Next::Payload(first), ..] = &got[..] else { panic!("not told") };
            assert!(first.key && *payloads >= MOST as u64, "{payloads}");
            assert_eq!(*payloads as usize + got.len() - 1, read);
        };
        local.run_until(test).await;
    }
}
