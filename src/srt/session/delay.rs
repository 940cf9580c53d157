//! How long packets wait in queues on the way, from the trend of a delay: what is above the least delay seen recently
//! is waiting.

use super::time::{MS, Micros, SECOND};

/// How long the least delay is remembered: at least one of these, at most two. A route that has become longer looks
/// congested for so long.
const FLOOR: Micros = 15 * SECOND;
/// The least of this many samples is the current delay: a single late one is chance.
const RECENT: usize = 3;
/// Samples of this time count as one, the least of them: what leaves in a burst waits for itself.
const TOGETHER: Micros = 5 * MS;
/// After so long without a sample nothing is known.
const STALE: Micros = 500 * MS;

/// A delay with an unknown constant in it, and how much of it is waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueDelay {
    floor: Micros,
    next_floor: Micros,
    since: Micros,
    recent: [Micros; RECENT],
    count: usize,
    begun: Micros,
    last: Micros,
    jitter: Micros,
}

impl QueueDelay {
    pub(super) const fn new() -> Self {
        Self {
            floor: Micros::MAX,
            next_floor: Micros::MAX,
            since: Micros::MIN,
            recent: [0; RECENT],
            count: 0,
            begun: 0,
            last: 0,
            jitter: 0,
        }
    }

    /// Takes a measurement.
    pub(super) fn sample(&mut self, now: Micros, delay: Micros) {
        if self.since == Micros::MIN {
            self.since = now;
        }
        if now - self.since >= FLOOR {
            self.floor = self.next_floor;
            self.next_floor = Micros::MAX;
            self.since = now;
        }
        self.next_floor = self.next_floor.min(delay);
        self.floor = self.floor.min(delay);
        self.last = now;
        if self.count > 0 {
            let before = &mut self.recent[(self.count - 1) % RECENT];
            if now - self.begun < TOGETHER {
                *before = delay.min(*before);
                return;
            }
            self.jitter += ((delay - *before).abs() - self.jitter) / 16;
        }
        self.recent[self.count % RECENT] = delay;
        self.count += 1;
        self.begun = now;
    }

    /// Waiting in queues, µs; None without recent samples.
    pub(super) fn waiting(&self, now: Micros) -> Option<Micros> {
        let current = self.current(now)?;
        Some((current - self.floor).max(0))
    }

    /// The delay itself, constant included; None without recent samples.
    pub(super) fn current(&self, now: Micros) -> Option<Micros> {
        if self.count < RECENT || now - self.last > STALE {
            return None;
        }
        self.recent.iter().copied().min()
    }

    /// Mean difference between neighbouring samples, µs (RFC 3550 §6.4.1).
    pub(super) const fn jitter(&self) -> Micros {
        self.jitter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_the_least_is_waiting() {
        let mut delay = QueueDelay::new();
        assert_eq!(delay.waiting(0), None);
        for i in 0..10 {
            delay.sample(i * 10 * MS, 40 * MS);
        }
        assert_eq!(delay.waiting(90 * MS), Some(0));
        delay.sample(100 * MS, 90 * MS);
        assert_eq!(delay.waiting(100 * MS), Some(0), "one late packet is chance");
        delay.sample(110 * MS, 100 * MS);
        delay.sample(120 * MS, 110 * MS);
        assert_eq!(delay.waiting(120 * MS), Some(50 * MS));
        assert_eq!(delay.waiting(5 * SECOND), None, "stale");
    }

    #[test]
    fn a_longer_route_becomes_the_new_least() {
        let mut delay = QueueDelay::new();
        delay.sample(0, 20 * MS);
        let mut now = 0;
        while now < 2 * FLOOR + SECOND {
            now += 10 * MS;
            delay.sample(now, 60 * MS);
        }
        assert_eq!(delay.waiting(now), Some(0));
    }
}
