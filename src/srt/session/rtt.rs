//! Round-trip time (draft §4.10).

use super::time::{MS, Micros};

/// Before anything has been measured (draft §4.10).
pub(super) const INITIAL_RTT: Micros = 100 * MS;
/// Before anything has been measured (draft §4.10).
pub(super) const INITIAL_VARIANCE: Micros = 50 * MS;

/// Smoothed round-trip time and its variance, from the time between an ACK and its ACKACK, or as the peer reports them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rtt {
    smoothed: Micros,
    variance: Micros,
    samples: u64,
    last: Micros,
}

impl Default for Rtt {
    fn default() -> Self {
        Self { smoothed: INITIAL_RTT, variance: INITIAL_VARIANCE, samples: 0, last: INITIAL_RTT }
    }
}

impl Rtt {
    /// Takes a measurement: weights 7/8 and 3/4 for what was known before (draft §4.10).
    pub(super) fn sample(&mut self, rtt: Micros) {
        let rtt = rtt.max(1);
        if self.samples == 0 {
            self.smoothed = rtt;
            self.variance = rtt / 2;
        } else {
            self.variance += ((rtt - self.smoothed).abs() - self.variance) / 4;
            self.smoothed += (rtt - self.smoothed) / 8;
        }
        self.samples += 1;
        self.last = rtt;
    }

    /// Takes what the peer has measured. Its initial values say that it has not.
    pub(super) fn reported(&mut self, rtt: Micros, variance: Micros) {
        if rtt <= 0 || (rtt, variance) == (INITIAL_RTT, INITIAL_VARIANCE) {
            return;
        }
        self.smoothed = rtt;
        self.variance = variance.max(0);
        self.last = rtt;
        self.samples += 1;
    }

    /// Whether it is more than the initial guess.
    pub(super) const fn is_measured(&self) -> bool {
        self.samples > 0
    }

    /// Smoothed, µs.
    pub(super) const fn smoothed(&self) -> Micros {
        self.smoothed
    }

    /// Variance, µs.
    pub(super) const fn variance(&self) -> Micros {
        self.variance
    }

    /// After this time an answer is overdue: RTT + 4 × variance.
    pub(super) const fn overdue(&self) -> Micros {
        self.smoothed + 4 * self.variance
    }

    /// How long to wait before lost packets are reported again: half of that, but at least 20 ms (draft §4.8.2). Before
    /// anything was measured, no longer than that: the sender knows better when to send again.
    pub(super) fn nak_interval(&self) -> Micros {
        if self.is_measured() { (self.overdue() / 2).max(20 * MS) } else { 20 * MS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_replaces_the_guess_and_later_ones_are_smoothed() {
        let mut rtt = Rtt::default();
        assert_eq!((rtt.smoothed(), rtt.nak_interval()), (INITIAL_RTT, 20 * MS));
        rtt.sample(40 * MS);
        assert_eq!((rtt.smoothed(), rtt.variance()), (40 * MS, 20 * MS));
        rtt.sample(48 * MS);
        assert_eq!((rtt.smoothed(), rtt.variance()), (41 * MS, 17 * MS));
        for _ in 0..100 {
            rtt.sample(48 * MS);
        }
        assert!((47 * MS..=48 * MS).contains(&rtt.smoothed()) && rtt.variance() < MS, "{rtt:?}");
        assert!(rtt.nak_interval() >= 20 * MS);
    }

    #[test]
    fn a_peer_that_has_not_measured_reports_nothing() {
        let mut rtt = Rtt::default();
        rtt.reported(INITIAL_RTT, INITIAL_VARIANCE);
        assert!(!rtt.is_measured());
        rtt.reported(10 * MS, MS);
        assert_eq!(rtt.overdue(), 14 * MS);
    }
}
