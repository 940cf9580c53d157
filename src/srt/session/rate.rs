//! How much passes per second, from what has really passed.

use super::time::{MS, Micros, SECOND};

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Bytes of payload, unless it is said otherwise.
    pub bytes: u64,
}

impl Amount {
    /// One more packet.
    pub(super) const fn add(&mut self, bytes: usize) {
        self.packets += 1;
        self.bytes += bytes as u64;
    }
}

const BUCKET: Micros = 100 * MS;
const BUCKETS: i64 = 10;

/// What passed in the last ten complete tenths of a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateMeter {
    buckets: [Amount; BUCKETS as usize],
    filling: Amount,
    /// Number of the tenth that is filling; before the first packet there is none.
    number: Option<i64>,
    first: i64,
}

impl RateMeter {
    pub(super) const fn new() -> Self {
        Self {
            buckets: [Amount { packets: 0, bytes: 0 }; BUCKETS as usize],
            filling: Amount { packets: 0, bytes: 0 },
            number: None,
            first: 0,
        }
    }

    /// One packet passes.
    pub(super) fn add(&mut self, now: Micros, bytes: usize) {
        self.turn(now);
        if self.number.is_none() {
            self.number = Some(now.div_euclid(BUCKET));
            self.first = now.div_euclid(BUCKET);
        }
        self.filling.add(bytes);
    }

    /// Per second, over at most the last second.
    pub(super) fn per_second(&mut self, now: Micros) -> Amount {
        self.turn(now);
        let Some(number) = self.number else { return Amount::default() };
        let complete = (number - self.first).clamp(0, BUCKETS);
        if complete == 0 {
            return Amount::default();
        }
        let mut sum = Amount::default();
        for bucket in &self.buckets {
            sum.packets += bucket.packets;
            sum.bytes += bucket.bytes;
        }
        let scale = |n: u64| n * SECOND as u64 / (complete * BUCKET) as u64;
        Amount { packets: scale(sum.packets), bytes: scale(sum.bytes) }
    }

    /// For how long it has been measuring, at most a second.
    pub(super) fn span(&self, now: Micros) -> Micros {
        self.number.map_or(0, |_| (now.div_euclid(BUCKET) - self.first).clamp(0, BUCKETS) * BUCKET)
    }

    /// In the last complete tenth of a second and since.
    pub(super) fn recent(&mut self, now: Micros) -> u64 {
        self.turn(now);
        let Some(number) = self.number else { return 0 };
        self.filling.packets + self.buckets[(number - 1).rem_euclid(BUCKETS) as usize].packets
    }

    /// Closes the tenths that are over.
    fn turn(&mut self, now: Micros) {
        let Some(number) = self.number else { return };
        let current = now.div_euclid(BUCKET);
        if current <= number {
            return;
        }
        if current - number > BUCKETS {
            // After a pause it begins anew, so that the first packets are not measured against the silence before.
            *self = Self::new();
            return;
        }
        self.buckets[number.rem_euclid(BUCKETS) as usize] = std::mem::take(&mut self.filling);
        for empty in (number + 1..current).take(BUCKETS as usize) {
            self.buckets[empty.rem_euclid(BUCKETS) as usize] = Amount::default();
        }
        self.number = Some(current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_what_passed() {
        let mut meter = RateMeter::new();
        assert_eq!(meter.per_second(0), Amount::default());
        for i in 0..3000 {
            meter.add(7 * SECOND + i * MS, 1000);
        }
        let rate = meter.per_second(10 * SECOND);
        assert_eq!(rate, Amount { packets: 1000, bytes: 1_000_000 });
        assert_eq!(meter.recent(10 * SECOND), 100);
    }

    #[test]
    fn the_first_tenths_are_not_taken_for_a_whole_second_and_silence_is_zero() {
        let mut meter = RateMeter::new();
        for i in 0..200 {
            meter.add(i * MS, 100);
        }
        assert_eq!(meter.per_second(200 * MS).packets, 1000);
        assert_eq!(meter.per_second(700 * MS).packets, 285, "200 packets in 0.7 s");
        assert_eq!(meter.per_second(3 * SECOND).packets, 0);
        assert_eq!(meter.recent(3 * SECOND), 0);
    }
}
