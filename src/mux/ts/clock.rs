//! The two clocks of a transport stream: 90 kHz time stamps of 33 bits, which wrap after 26.5 hours, and the 27 MHz
//! programme clock reference (H.222.0 §2.4.2.2, §2.4.3.7).

use crate::model::Media;

/// Ticks per second of PTS and DTS.
const STAMP_HZ: u32 = 90_000;
/// Ticks of 27 MHz in one of 90 kHz.
const EXTENSION: i64 = 300;
/// Time stamps are modulo this.
const WRAP: i64 = 1 << 33;

/// A PTS or DTS as it stands in a PES header: 90 kHz, 33 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(u64);

impl Stamp {
    /// The nearest tick to `time`, wrapped.
    pub(super) fn of(time: Media) -> Self {
        Self(time.to_ticks(STAMP_HZ).rem_euclid(WRAP) as u64)
    }

    /// From the low 33 bits.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits & (WRAP as u64 - 1))
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }
}

/// A programme clock reference: 27 MHz, modulo 300 × 2³³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pcr {
    base: Stamp,
    extension: u16,
}

impl Pcr {
    /// What the programme clock shows at `time`, rounded down: a reference must not be ahead.
    pub(super) fn of(time: Media) -> Self {
        let ticks = (i128::from(time.0) * 27).div_euclid(1000).rem_euclid(i128::from(WRAP * EXTENSION)) as i64;
        Self { base: Stamp((ticks / EXTENSION) as u64), extension: (ticks % EXTENSION) as u16 }
    }

    /// The six bytes of the adaptation field (§2.4.3.4).
    pub(super) fn to_bytes(self) -> [u8; 6] {
        let bits = self.base.0 << 15 | 0x3f << 9 | u64::from(self.extension);
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// An extension above 299 is taken as 299.
    pub(super) fn from_bytes([a, b, c, d, e, f]: [u8; 6]) -> Self {
        let bits = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
        Self { base: Stamp::from_bits(bits >> 15), extension: (bits as u16 & 0x1ff).min(EXTENSION as u16 - 1) }
    }
}

/// Turns wrapped time stamps of one programme into times that go on.
///
/// The programme clock leads: time stamps are taken to be within 13 hours of it. Without one, each follows the last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unwrap {
    /// 90 kHz, not wrapped.
    last: Option<i64>,
    by_clock: bool,
}

impl Unwrap {
    /// A reading of the programme clock.
    pub(super) fn clock(&mut self, pcr: Pcr) -> Media {
        let base = self.near(pcr.base);
        self.last = Some(base);
        self.by_clock = true;
        Media(nanos(base).0.saturating_add(i64::from(pcr.extension) * 1000 / 27))
    }

    /// A PTS or DTS.
    pub(super) fn stamp(&mut self, stamp: Stamp) -> Media {
        let ticks = self.near(stamp);
        if !self.by_clock {
            self.last = Some(ticks);
        }
        nanos(ticks)
    }

    fn near(&self, stamp: Stamp) -> i64 {
        let last = self.last.unwrap_or(stamp.0 as i64);
        let ahead = (stamp.0 as i64).wrapping_sub(last).rem_euclid(WRAP);
        last.wrapping_add(if ahead >= WRAP / 2 { ahead - WRAP } else { ahead })
    }
}

fn nanos(ticks: i64) -> Media {
    let scaled = (i128::from(ticks) * 100_000 + 4).div_euclid(9);
    Media(i64::try_from(scaled).unwrap_or(if ticks < 0 { i64::MIN } else { i64::MAX }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: i64 = 86_400_000;

    #[test]
    fn a_reference_survives_the_trip_through_bytes() {
        for time in [0, 1, 37, 999_999_999, DAY * 1_000_000 * 2] {
            let pcr = Pcr::of(Media(time));
            assert_eq!(Pcr::from_bytes(pcr.to_bytes()), pcr, "{time} ns");
        }
        // One second: 90 000 × 300. Six reserved bits between base and extension are ones.
        assert_eq!(Pcr::of(Media(1_000_000_000)).to_bytes(), [0, 0, 0xaf, 0xc8, 0x7e, 0]);
        assert_eq!(Pcr::of(Media(37)).to_bytes(), [0, 0, 0, 0, 0x7e, 0]);
        assert_eq!(Pcr::of(Media(38)).to_bytes(), [0, 0, 0, 0, 0x7e, 1]);
    }

    #[test]
    fn time_goes_on_over_the_wrap_of_33_bits() {
        let wrap = Media((1 << 33) * 100_000 / 9);
        let (mut unwrap, mut last) = (Unwrap::default(), None);
        for step in -1000..1000 {
            let time = wrap + Media::from_millis(33 * step);
            let clock = unwrap.clock(Pcr::of(time));
            let stamp = unwrap.stamp(Stamp::of(time + Media::from_millis(500)));
            assert!((clock - time).0.abs() < 12_000, "the clock is off by {} ns", (clock - time).0);
            assert!((stamp - clock - Media::from_millis(500)).0.abs() < 12_000);
            assert!(last.is_none_or(|last| clock > last));
            last = Some(clock);
        }
    }

    #[test]
    fn a_stamp_before_the_clock_is_not_taken_for_one_a_day_later() {
        let mut unwrap = Unwrap::default();
        let time = Media::from_millis(1000);
        unwrap.clock(Pcr::of(time));
        for before in [300, 5000] {
            let late = unwrap.stamp(Stamp::of(time - Media::from_millis(before)));
            assert!((time - late - Media::from_millis(before)).0.abs() < 12_000, "{late:?}");
        }
    }

    #[test]
    fn one_wild_stamp_does_not_carry_the_others_away() {
        let mut unwrap = Unwrap::default();
        let time = Media::from_millis(DAY);
        unwrap.clock(Pcr::of(time));
        unwrap.stamp(Stamp::of(time + Media::from_millis(DAY / 2)));
        let after = unwrap.stamp(Stamp::of(time));
        assert!((after - time).0.abs() < 12_000);
    }

    proptest! {
        #[test]
        fn stamps_without_a_clock_follow_each_other(
            start in 0i64..(1 << 34), steps in prop::collection::vec(0i64..1 << 20, 1..50),
        ) {
            let (mut unwrap, mut ticks) = (Unwrap::default(), start);
            let first = unwrap.stamp(Stamp::from_bits(ticks as u64));
            for step in steps {
                ticks += step;
                let at = unwrap.stamp(Stamp::from_bits(ticks as u64));
                prop_assert!(((at - first) - nanos(ticks - start)).0.abs() <= 1);
            }
        }

        #[test]
        fn any_stamps_are_taken(stamps: Vec<u64>, clocks: Vec<[u8; 6]>) {
            let mut unwrap = Unwrap::default();
            for (stamp, clock) in stamps.iter().zip(clocks.iter().cycle()) {
                unwrap.stamp(Stamp::from_bits(*stamp));
                unwrap.clock(Pcr::from_bytes(*clock));
            }
        }
    }
}
