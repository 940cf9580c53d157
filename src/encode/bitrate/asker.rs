//! Pure. What one destination can bear.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::{Bounds, Load};

/// What a destination does is measured over so long. A keyframe that takes a while to get through is over by then, so
/// what still waits at the best moment is a queue (as RFC 8289 §3.2 has it of routers).
const WINDOW: Duration = Duration::from_secs(2);
/// Nothing confirmed for so long is no answer to how much gets through.
const SILENCE: Duration = Duration::from_millis(900);
/// A queue of so much more than the far end's distance is too long: radio links have 700 ms in good times.
const LONG: Duration = Duration::from_millis(900);
/// One of so much less is none.
const SHORT: Duration = Duration::from_millis(400);
/// One that is so long and grows by [`STEEP`] in a second is not watched for a whole window.
const TOO_LONG: Duration = Duration::from_millis(1500);
/// By how much, of the time that passes, a queue grows that is far too long for the link.
const STEEP: (u32, u32) = (2, 5);
/// The distance of a far end is no more than this, so that a queue that is there from the start is not taken for it.
const FARTHEST: Duration = Duration::from_millis(800);
/// An encoder takes up to so long to do what it is told, and the queue as long to show it.
const SETTLES: Duration = Duration::from_secs(2);
/// Of what gets through, per cent, the picture gets so much: the rest drains the queue.
const SHARE: u64 = 85;
/// The same where the queue is too long.
const SMALL_SHARE: u64 = 70;
/// Without a queue for so long, more is tried.
const CALM: Duration = Duration::from_secs(4);
/// ... for at most so long, where trying has done harm before.
const MOST_CALM: Duration = Duration::from_secs(32);
/// Harm within so long after a raise is that raise's.
const BLAMED: Duration = Duration::from_secs(10);
/// A raise that did no harm for so long was right.
const PROVEN: Duration = Duration::from_secs(30);
/// Of the wish, per cent, or of the ceiling if that is more, a raise is so much.
const STEP: (u32, u32) = (12, 4);
/// A destination that is so far behind at the floor skips ahead: half of what is kept for it.
const HOPELESS: Duration = Duration::from_secs(6);

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// It bears less than the picture has.
    Lower {
        /// Bit/s that get through.
        delivers: u32,
    },
    /// It cannot keep up even at the floor.
    SkipAhead,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    waiting: Duration,
    confirmed: u64,
}

/// One destination's wish, and what it rests on.
#[derive(Debug)]
pub(super) struct Asker {
    bounds: Bounds,
    bears: u32,
    session: u32,
    /// Two windows of samples, oldest first.
    seen: VecDeque<Sample>,
    /// The least that ever waited: how far away the far end is.
    distance: Duration,
    /// When something was last confirmed.
    confirmed_at: Instant,
    changed_at: Instant,
    raised_at: Option<Instant>,
    calm: Duration,
}

impl Asker {
    /// Bears everything, until it shows otherwise.
    pub(super) fn new(bounds: Bounds, now: Instant) -> Self {
        Self {
            bounds,
            bears: bounds.ceiling,
            session: 0,
            seen: VecDeque::new(),
            distance: FARTHEST,
            confirmed_at: now,
            changed_at: now,
            raised_at: None,
            calm: CALM,
        }
    }

    /// Bit/s of the picture.
    pub(super) const fn bears(&self) -> u32 {
        self.bears
    }

    /// Programme that waits for it now.
    pub(super) fn waiting(&self) -> Duration {
        self.seen.back().map_or(Duration::ZERO, |sample| sample.waiting)
    }

    /// The encoder was told only now; it and the queue have their time from here on.
    pub(super) fn was_heard(&mut self, now: Instant) {
        self.changed_at = now;
    }

    /// `target` is what the encoder has been told last.
    pub(super) fn observe(&mut self, load: &Load, target: u32, now: Instant) -> Option<Wish> {
        if load.session != self.session {
            (self.session, self.confirmed_at) = (load.session, now);
            self.seen.clear();
        }
        let elapsed = |since: Instant| now.saturating_duration_since(since);
        if self.seen.back().is_some_and(|last| load.confirmed > last.confirmed) {
            // What a hole was like says nothing of the link behind it.
            if elapsed(self.confirmed_at) >= SILENCE {
                self.seen.clear();
            }
            self.confirmed_at = now;
        }
        self.seen.push_back(Sample { at: now, waiting: load.waiting, confirmed: load.confirmed });
        while self.seen.front().is_some_and(|oldest| elapsed(oldest.at) > 2 * WINDOW) {
            self.seen.pop_front();
        }
        self.distance = self.distance.min(load.waiting);

        let first = self.seen.front()?;
        if elapsed(self.confirmed_at) >= SILENCE || elapsed(first.at) < WINDOW {
            return None;
        }
        let (recent, before): (Vec<_>, Vec<_>) = self.seen.iter().partition(|sample| elapsed(sample.at) <= WINDOW);
        let least = |samples: &[&Sample]| samples.iter().map(|sample| sample.waiting).min();
        let standing = least(&recent)?.saturating_sub(self.distance);
        let earlier = least(&before)?.saturating_sub(self.distance);
        let delivers = recent.first().map_or(0, |then| per_second(load.confirmed - then.confirmed, elapsed(then.at)));

        let is_draining = standing < earlier || recent.first().is_some_and(|then| load.waiting < then.waiting);
        let has_settled = elapsed(self.changed_at) >= SETTLES;
        if has_settled && ((standing >= LONG && !is_draining) || self.is_steep(load, now)) {
            return self.lower(standing, delivers, target, now);
        }
        if standing < SHORT && elapsed(self.changed_at) >= self.calm {
            self.raise(target, now);
        }
        if self.raised_at.is_some_and(|at| elapsed(at) >= PROVEN) {
            self.calm = CALM;
        }
        None
    }

    /// Whether the queue is too long and becomes longer with each second.
    fn is_steep(&self, load: &Load, now: Instant) -> bool {
        let second =
            self.seen.iter().rev().find(|sample| now.saturating_duration_since(sample.at) >= Duration::from_secs(1));
        let grew = second.map_or(Duration::ZERO, |then| load.waiting.saturating_sub(then.waiting));
        load.waiting.saturating_sub(self.distance) >= TOO_LONG && grew >= Duration::from_secs(1) * STEEP.0 / STEEP.1
    }

    fn lower(&mut self, standing: Duration, delivers: u32, target: u32, now: Instant) -> Option<Wish> {
        let Bounds { floor, beside, .. } = self.bounds;
        if self.bears <= floor {
            // What it gets through is enough: it is busy with what was made before, when there was more of it.
            if standing < HOPELESS || delivers >= floor.saturating_add(beside) {
                return None;
            }
            // It begins anew, and has the time that an encoder has.
            self.changed_at = now;
            self.seen.clear();
            return Some(Wish::SkipAhead);
        }
        if self.raised_at.take().is_some_and(|at| now.saturating_duration_since(at) < BLAMED) {
            self.calm = (self.calm * 2).min(MOST_CALM);
        }
        let share = if standing >= TOO_LONG { SMALL_SHARE } else { SHARE };
        let picture = per_cent(u64::from(delivers.saturating_sub(beside)), share);
        // What it delivers may be more than the picture is supposed to have, and still not enough.
        self.bears = picture.min(per_cent(u64::from(self.bears.min(target)), SHARE)).max(floor);
        self.changed_at = now;
        Some(Wish::Lower { delivers })
    }

    /// A little more, if what it had so far was made use of: another destination may be tighter.
    fn raise(&mut self, target: u32, now: Instant) {
        let Bounds { ceiling, .. } = self.bounds;
        if self.bears >= ceiling || u64::from(self.bears) > u64::from(target) * 5 / 4 {
            return;
        }
        let step =
            per_cent(u64::from(self.bears), u64::from(STEP.0)).max(per_cent(u64::from(ceiling), u64::from(STEP.1)));
        self.bears = self.bears.saturating_add(step).min(ceiling);
        (self.changed_at, self.raised_at) = (now, Some(now));
    }
}

fn per_cent(of: u64, share: u64) -> u32 {
    u32::try_from(of * share / 100).unwrap_or(u32::MAX)
}

fn per_second(bytes: u64, time: Duration) -> u32 {
    let millis = time.as_millis().max(1);
    u32::try_from(u128::from(bytes) * 8 * 1000 / millis).unwrap_or(u32::MAX)
}
