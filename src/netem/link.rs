//! Pure. One direction of a link: packets in, the same packets out when they arrive, or not at all.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::conditions::{Bottleneck, Conditions, Loss, Queue};

/// Packets that arrived but were not fetched yet, or are under way, at most; beyond it new ones count as overflowing. A
/// simulation that forgets to fetch must not eat the machine's memory.
const MOST_UNDER_WAY: usize = 1 << 18;

/// One direction. `T` is the packet; its length is told, so it may be anything.
#[derive(Debug)]
pub struct Link<T> {
    conditions: Conditions,
    chance: Chance,
    /// The Gilbert-Elliott state.
    bad: bool,
    /// What waits for the bottleneck; the first one is being sent.
    waiting: VecDeque<(T, usize)>,
    waiting_bytes: usize,
    /// When the first of `waiting` has been sent.
    sent_at: Option<Instant>,
    /// What is under way, by arrival; the number keeps the order among equals.
    air: BTreeMap<(Instant, u64), (T, usize)>,
    entered: u64,
    /// The latest arrival so far, which jitter without reordering may not undercut.
    last_arrival: Option<Instant>,
    counters: Counters,
}

/// One generator per impairment, so that switching one on does not change another's chances.
#[derive(Debug)]
struct Chance {
    loss: fastrand::Rng,
    jitter: fastrand::Rng,
    copies: fastrand::Rng,
}

/// What became of the packets so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Given to the link.
    pub entered: u64,
    /// Fetched at the far end, copies included.
    pub delivered: u64,
    /// Bytes of those.
    pub delivered_bytes: u64,
    /// Vanished by chance.
    pub lost: u64,
    /// Vanished in a black hole.
    pub swallowed: u64,
    /// Found the queue full.
    pub overflowed: u64,
    /// Refused for want of a carrier, or under way when it was lost.
    pub cut: u64,
    /// Copies made.
    pub copied: u64,
}

/// What the sender can know at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// The link took it. It may still vanish.
    Taken,
    /// The queue was full. A sender does not hear of it, a counter does.
    Overflowed,
}

impl<T: Clone> Link<T> {
    /// A link whose chances follow from `seed`.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        let stream = |n: u64| fastrand::Rng::with_seed(seed ^ n.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Self {
            conditions,
            chance: Chance { loss: stream(1), jitter: stream(2), copies: stream(3) },
            bad: false,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            sent_at: None,
            air: BTreeMap::new(),
            entered: 0,
            last_arrival: None,
            counters: Counters::default(),
        }
    }

    /// What it is like now.
    pub fn conditions(&self) -> &Conditions {
        &self.conditions
    }

    /// What became of the packets so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Bytes that wait for the bottleneck, the packet that is being sent included.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Packets that wait or are under way.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.air.len()
    }

    /// Whether nothing waits or is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes the conditions. What waits goes on at the new rate; what is under way arrives as it would have.
    pub fn set(&mut self, conditions: Conditions, now: Instant) {
        self.advance(now);
        let before = self.conditions.bottleneck;
        self.conditions = conditions;
        let (Some(sent_at), Some(before)) = (self.sent_at, before) else { return };
        match conditions.bottleneck {
            // The rest of the packet that is being sent takes as much longer as the new rate is slower.
            Some(after) => {
                let rest = sent_at.saturating_duration_since(now).as_nanos();
                let scaled = rest.saturating_mul(u128::from(before.rate)) / u128::from(after.rate.max(1));
                self.sent_at = Some(now + Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX)));
            }
            None => {
                self.sent_at = None;
                self.waiting_bytes = 0;
                for (packet, bytes) in std::mem::take(&mut self.waiting) {
                    self.travel(packet, bytes, now);
                }
            }
        }
    }

    /// Gives it a packet of so many bytes at `now`, which must not be before any time it was given earlier.
    pub fn send(&mut self, packet: T, bytes: usize, now: Instant) -> Entry {
        self.advance(now);
        self.counters.entered += 1;
        let Some(bottleneck) = self.conditions.bottleneck else {
            return self.travel(packet, bytes, now);
        };
        if !self.waiting.is_empty() && self.is_full(bottleneck, bytes, now) {
            self.counters.overflowed += 1;
            return Entry::Overflowed;
        }
        if self.waiting.is_empty() {
            self.sent_at = Some(now + bottleneck.time(bytes));
        }
        self.waiting_bytes += bytes;
        self.waiting.push_back((packet, bytes));
        Entry::Taken
    }

    /// The next packet that has arrived by `now`.
    pub fn poll(&mut self, now: Instant) -> Option<T> {
        self.advance(now);
        let first = self.air.first_entry()?;
        if first.key().0 > now {
            return None;
        }
        let (packet, bytes) = first.remove();
        self.counters.delivered += 1;
        self.counters.delivered_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        Some(packet)
    }

    /// When there is something to do: an arrival, or the next packet's turn at the bottleneck.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let arrival = self.air.first_key_value().map(|(key, _)| key.0);
        arrival.into_iter().chain(self.sent_at).min()
    }

    /// Everything that waits or is under way is gone, and counted as cut.
    pub(super) fn clear(&mut self, now: Instant) {
        self.advance(now);
        self.counters.cut += u64::try_from(self.len()).unwrap_or(u64::MAX);
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.sent_at = None;
        self.air.clear();
    }

    /// Counts a packet that was not even taken, for want of a carrier.
    pub(super) fn refuse(&mut self) {
        self.counters.entered += 1;
        self.counters.cut += 1;
    }

    fn is_full(&self, bottleneck: Bottleneck, bytes: usize, now: Instant) -> bool {
        match bottleneck.queue {
            Queue::Bytes(most) => self.waiting_bytes + bytes > most,
            Queue::Time(most) => {
                let first = self.waiting.front().map_or(0, |(_, bytes)| *bytes);
                let of_first = self.sent_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
                of_first + bottleneck.time(self.waiting_bytes.saturating_sub(first)) > most
            }
        }
    }

    /// Sends what is due at the bottleneck.
    fn advance(&mut self, now: Instant) {
        while let (Some(at), Some(bottleneck)) = (self.sent_at, self.conditions.bottleneck) {
            if at > now {
                break;
            }
            let Some((packet, bytes)) = self.waiting.pop_front() else {
                self.sent_at = None;
                break;
            };
            self.waiting_bytes -= bytes;
            self.travel(packet, bytes, at);
            self.sent_at = self.waiting.front().map(|(_, next)| at + bottleneck.time(*next));
        }
    }

    /// The packet left at `at`: lost, or under way, perhaps twice.
    fn travel(&mut self, packet: T, bytes: usize, at: Instant) -> Entry {
        let lost = self.is_lost();
        let copied = self.chance.copies.f64() < self.conditions.duplicate;
        // Drawn for every packet, so that the delays of the later ones do not depend on the fate of this one.
        let (arrival, arrival_of_copy) = (self.arrival(at), self.arrival(at));
        if self.conditions.hole {
            self.counters.swallowed += 1;
            return Entry::Taken;
        }
        if lost {
            self.counters.lost += 1;
            return Entry::Taken;
        }
        if self.air.len() >= MOST_UNDER_WAY {
            self.counters.overflowed += 1;
            return Entry::Overflowed;
        }
        if copied {
            self.counters.copied += 1;
            self.fly(packet.clone(), bytes, arrival_of_copy);
        }
        self.fly(packet, bytes, arrival);
        Entry::Taken
    }

    fn fly(&mut self, packet: T, bytes: usize, arrival: Instant) {
        let arrival = match self.last_arrival {
            Some(last) if !self.conditions.jitter.reorders => arrival.max(last),
            Some(_) | None => arrival,
        };
        self.last_arrival = Some(self.last_arrival.map_or(arrival, |last| last.max(arrival)));
        self.entered += 1;
        self.air.insert((arrival, self.entered), (packet, bytes));
    }

    fn arrival(&mut self, at: Instant) -> Instant {
        let share = self.chance.jitter.f64();
        at + self.conditions.delay + self.conditions.jitter.most.mul_f64(share)
    }

    fn is_lost(&mut self) -> bool {
        let (turn, fall) = (self.chance.loss.f64(), self.chance.loss.f64());
        match self.conditions.loss {
            Loss::None => false,
            Loss::Random(probability) => fall < probability,
            Loss::Bursts(bursts) => {
                let turns = if self.bad { turn < bursts.turns_good } else { turn < bursts.turns_bad };
                self.bad ^= turns;
                fall < if self.bad { bursts.loss_in_bad } else { bursts.loss_in_good }
            }
        }
    }
}

#[cfg(test)]
mod tests;
