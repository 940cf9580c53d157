//! When the next data packet may leave.

use super::time::Micros;

/// How far a path may be behind its pace and catch up at once, µs. Also how long timers may be late without slowing the
/// path down.
pub(super) const BURST: Micros = 2_000;

/// Spaces packets out so that a path carries no more than its rate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pacer {
    /// ns, since at 400 Mbit/s a packet lasts 26 µs.
    next: i64,
}

impl Pacer {
    /// Whether a packet may leave.
    pub(super) const fn is_open(&self, now: Micros) -> bool {
        self.next <= now * 1000
    }

    /// When one may.
    pub(super) const fn opens(&self) -> Micros {
        // Rounded up: at that time it is open.
        self.next / 1000 + 1
    }

    /// A packet leaves. `rate`: bytes/s; None is without limit.
    pub(super) fn sent(&mut self, now: Micros, bytes: usize, rate: Option<u64>) {
        let Some(rate) = rate else { return };
        let lasts = bytes as u64 * 1_000_000_000 / rate.max(1);
        self.next = self.next.max((now - BURST) * 1000) + i64::try_from(lasts).unwrap_or(i64::MAX / 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::srt::session::time::{MS, SECOND};

    /// Sends whatever is allowed at ticks of `tick`; returns bytes/s.
    fn run(rate: u64, tick: Micros) -> u64 {
        let mut pacer = Pacer::default();
        let (mut now, mut sent) = (SECOND, 0);
        while now < 3 * SECOND {
            while pacer.is_open(now) {
                pacer.sent(now, 1332, Some(rate));
                sent += 1332;
            }
            now += tick;
        }
        sent / 2
    }

    #[test]
    fn the_rate_is_kept_whatever_the_timer_does() {
        for rate in [100_000, 2_500_000, 50_000_000] {
            for tick in [10, MS, 2 * MS] {
                let got = run(rate, tick);
                let error = got.abs_diff(rate) * 100 / rate;
                assert!(error <= 2, "{rate} B/s at ticks of {tick} us: {got}");
            }
        }
        assert!(run(2_500_000, 5 * MS) < 2_500_000, "what was missed for longer than a burst is not made up for");
    }

    #[test]
    fn without_a_rate_it_is_always_open() {
        let mut pacer = Pacer::default();
        pacer.sent(0, 1332, None);
        assert!(pacer.is_open(0));
    }
}
