//! Timestamp-based packet delivery (draft §4.5): when a packet that was made at the peer's time `t` is played here.
//!
//! `play = base + t + drift + latency`. `base` is where the peer's start lies on our time line, from the handshake;
//! `drift` follows the difference in speed of the two clocks. libsrt averages 1,000 samples and corrects in steps of up
//! to 5 ms; here the least of each second counts, since only delays disturb it, and the correction creeps.

use super::time::{MS, Micros, SECOND};
use crate::srt::planted::{Bug, planted};
use crate::srt::wire::Timestamp;

/// One estimate is made of the samples of this time.
const WINDOW: Micros = SECOND;
/// An estimate needs so many samples.
const FEWEST: u32 = 4;
/// The most that one estimate moves the play time. 1 ms/s follows clocks that are 1,000 ppm apart.
const STEP: Micros = MS;
/// A round trip that differs by more than this, and by more than it varies anyway, is another way.
const OTHER_WAY: Micros = 2 * MS;
/// Another way that lasts for so many estimates is the usual one from then on. Until then the drift is not known, which
/// at 200 ppm is 2 ms.
const OTHER_WAY_FOR: u32 = 10;
/// An estimate is followed by this part of the difference, so that chance averages out.
const GAIN: Micros = 4;
/// A timestamp may ask to be played at most this much later than the latency says: a peer whose clock jumps must not
/// stop the delivery.
const AHEAD: Micros = SECOND;

/// Where the peer's time lies on ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeBase {
    base: Micros,
    latency: Micros,
    drift: Micros,
}

impl TimeBase {
    /// `base`: our time when the peer's was 0.
    pub(super) const fn new(base: Micros, latency: Micros) -> Self {
        Self { base, latency, drift: 0 }
    }

    /// The peer's time of a timestamp that arrives now, µs since its start, wraps counted. The right one of the many
    /// that end in these 32 bits is the one nearest to the present, so nothing has to be remembered.
    pub(super) fn source(&self, timestamp: Timestamp, now: Micros) -> Micros {
        let present = u64::try_from(now - self.base - self.drift).unwrap_or(0);
        let extended =
            if planted(Bug::ForgetsTimestampWrap) { u64::from(timestamp.get()) } else { timestamp.extend(present) };
        let source = i64::try_from(extended).unwrap_or(0);
        source.min(now - self.base - self.drift + AHEAD)
    }

    /// When what was made at `source` is played.
    pub(super) const fn play(&self, source: Micros) -> Micros {
        self.base + self.drift + source + self.latency
    }

    /// How late something made at `source` is if it arrives now: an unknown constant and its way.
    pub(super) const fn offset(&self, source: Micros, now: Micros) -> Micros {
        now - self.base - source
    }

    /// Correction so far, µs; positive when the peer's clock is slow.
    pub(super) const fn drift(&self) -> Micros {
        self.drift
    }

    /// Receiving latency, µs.
    pub(super) const fn latency(&self) -> Micros {
        self.latency
    }

    /// Moves towards an estimate of the drift.
    pub(super) fn follow(&mut self, estimate: Micros) {
        if planted(Bug::IgnoresDrift) {
            return;
        }
        self.drift += ((estimate - self.drift) / GAIN).clamp(-STEP, STEP);
    }
}

/// Estimates the drift from the timestamps of the ACKACKs on one path.
#[derive(Clone, Copy, Debug)]
pub(super) struct DriftTracer {
    opened: Option<Micros>,
    least_offset: Micros,
    least_rtt: Micros,
    sum_rtt: Micros,
    samples: u32,
    /// Round-trip time with which the baseline was taken. Another one means another way, or a queue on it, and then the
    /// offset says nothing of the drift. libsrt takes half of the difference for the way and half for drift.
    usual_rtt: Option<Micros>,
    /// What this path's offset is without drift.
    baseline: Option<Micros>,
    /// Windows in a row with another round-trip time.
    unusual: u32,
    closed: Micros,
    weight: u32,
}

impl DriftTracer {
    /// For a session's first path, whose handshake gave the base.
    pub(super) const fn first() -> Self {
        Self { baseline: Some(0), ..Self::later() }
    }

    /// For another path: its way differs, so it begins with the drift known by then.
    pub(super) const fn later() -> Self {
        Self {
            opened: None,
            least_offset: Micros::MAX,
            least_rtt: Micros::MAX,
            sum_rtt: 0,
            samples: 0,
            usual_rtt: None,
            baseline: None,
            unusual: 0,
            closed: Micros::MIN,
            weight: 0,
        }
    }

    /// Takes a sample: `offset` of [`TimeBase::offset`]. Returns an estimate of the drift when a window closes.
    pub(super) fn sample(&mut self, now: Micros, offset: Micros, rtt: Micros, drift: Micros) -> Option<Micros> {
        let opened = *self.opened.get_or_insert(now);
        self.least_offset = self.least_offset.min(offset);
        self.least_rtt = self.least_rtt.min(rtt);
        self.sum_rtt += rtt;
        self.samples += 1;
        if now - opened < WINDOW || self.samples < FEWEST {
            return None;
        }
        let (rtt, way) = (self.least_rtt, self.least_offset);
        // What it varies by within a second, it may differ by from second to second.
        let chance = self.sum_rtt / Micros::from(self.samples) - rtt;
        let samples = self.samples;
        (self.opened, self.samples, self.sum_rtt) = (Some(now), 0, 0);
        (self.least_offset, self.least_rtt) = (Micros::MAX, Micros::MAX);
        let usual = *self.usual_rtt.get_or_insert(rtt);
        if (rtt - usual).abs() > OTHER_WAY + chance {
            self.unusual += 1;
            if self.unusual < OTHER_WAY_FOR {
                return None;
            }
            // It is the usual way from here on.
            self.usual_rtt = Some(rtt);
            self.baseline = Some(way - drift);
        }
        self.unusual = 0;
        let baseline = *self.baseline.get_or_insert(way - drift);
        (self.weight, self.closed) = (samples, now);
        Some(way - baseline)
    }

    /// How much its last estimate is worth: samples in it, 0 when it is old.
    pub(super) const fn weight(&self, now: Micros) -> u32 {
        if self.closed != Micros::MIN && now - self.closed < 3 * WINDOW { self.weight } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A peer whose clock runs `ppm` too fast, over `hours`; the worst error of the play time after the first minute.
    fn worst_error(ppm: i64, hours: i64) -> Micros {
        let way = 30 * MS;
        let mut base = TimeBase::new(way, 120 * MS);
        let mut tracer = DriftTracer::first();
        let mut random = fastrand::Rng::with_seed(7);
        let mut worst = 0;
        let mut now = way;
        while now < hours * 3600 * SECOND {
            now += 100 * MS;
            let sent = now - way - random.i64(0..5 * MS);
            let source = sent + sent * ppm / 1_000_000;
            let stamp = Timestamp::from(source as u64);
            assert_eq!(base.source(stamp, now), source, "at {now}");
            let offset = base.offset(source, now);
            if let Some(estimate) = tracer.sample(now, offset, 2 * way + random.i64(0..5 * MS), base.drift()) {
                base.follow(estimate);
            }
            if now > 60 * SECOND {
                worst = worst.max((base.play(source) - (sent + way + 120 * MS)).abs());
            }
        }
        worst
    }

    #[test]
    fn clocks_that_differ_by_200_ppm_are_followed_for_hours_and_through_wraps() {
        for ppm in [-200, 0, 200] {
            // 5 ms of jitter, of which the least of ten samples sees about half a millisecond.
            assert!(worst_error(ppm, 3) < 3 * MS, "{ppm} ppm: {} us", worst_error(ppm, 3));
        }
    }

    #[test]
    fn a_second_path_with_a_longer_way_does_not_move_the_play_time() {
        let base = TimeBase::new(0, 100 * MS);
        let mut tracer = DriftTracer::later();
        let drift = 700;
        let mut estimates = Vec::new();
        for i in 0..50 {
            let now = i * 100 * MS;
            estimates.extend(tracer.sample(now, base.offset(now - 80 * MS, now) + drift, 160 * MS, drift));
        }
        assert!(!estimates.is_empty() && estimates.iter().all(|e| *e == drift), "{estimates:?}");
    }

    #[test]
    fn queues_and_other_routes_are_not_drift() {
        let mut base = TimeBase::new(0, 100 * MS);
        let mut tracer = DriftTracer::first();
        for second in 0..200 {
            // 40 ms more in one direction: for 5 s, for 100 s, and not any more.
            let more = if (20..25).contains(&second) || (50..150).contains(&second) { 40 * MS } else { 0 };
            for tenth in 0..10 {
                let now = second * SECOND + tenth * 100 * MS;
                let offset = base.offset(now - more, now);
                if let Some(estimate) = tracer.sample(now, offset, 20 * MS + more, base.drift()) {
                    base.follow(estimate);
                }
            }
            assert_eq!(base.drift(), 0, "after {second} s");
        }
    }

    #[test]
    fn a_timestamp_from_the_far_future_cannot_stop_the_delivery() {
        let base = TimeBase::new(0, 100 * MS);
        let now = 10 * SECOND;
        let source = base.source(Timestamp::new(1_000_000_000), now);
        assert!(base.play(source) <= now + AHEAD + 100 * MS);
    }

    #[test]
    fn the_wrap_of_the_timestamp_is_invisible() {
        let base = TimeBase::new(0, 100 * MS);
        let wrap = 1 << 32;
        for source in [wrap - 10, wrap, wrap + 10] {
            let arrives = source + 20 * MS;
            assert_eq!(base.source(Timestamp::from(source as u64), arrives), source);
        }
    }
}
