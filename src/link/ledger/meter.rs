//! Pure. From what an interface's counters say to what it has carried since they were last read.
//!
//! A counter begins at 0 when its interface is made: at a reboot, and when a modem is plugged in. Within the life of one
//! interface it may wrap at 32 bits, where the driver is old or the machine is small.

use crate::model::Media;

/// Nothing carries more bytes a second whose counters have 32 bits: a gigabit.
const FASTEST_SMALL: u64 = 125_000_000;
/// Past the largest value of 32 bits.
const SMALL: u64 = 1 << 32;

/// What the counters of an interface said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::link) struct Reading {
    /// The kernel's number of the interface: another one is another interface, whatever its name.
    pub(in crate::link) index: u32,
    /// Bytes that came in.
    pub(in crate::link) received: u64,
    /// Bytes that went out.
    pub(in crate::link) sent: u64,
    /// When, on CLOCK_MONOTONIC.
    pub(in crate::link) at: Media,
}

impl Reading {
    /// Bytes since the interface was made.
    pub(super) const fn all(&self) -> u64 {
        self.received.saturating_add(self.sent)
    }

    /// Bytes since `earlier`, which was read in this boot of the machine.
    pub(super) fn since(&self, earlier: &Self) -> u64 {
        if earlier.index != self.index {
            return self.all();
        }
        let passed = (self.at - earlier.at).to_duration().as_secs().saturating_add(1);
        more(earlier.received, self.received, passed).saturating_add(more(earlier.sent, self.sent, passed))
    }
}

/// From one value of a counter to the next, which was read so many seconds later.
fn more(was: u64, is: u64, seconds: u64) -> u64 {
    if let Some(more) = is.checked_sub(was) {
        return more;
    }
    // Too much for the time, and it has not wrapped but begun anew.
    let wrapped = SMALL.checked_sub(was).and_then(|rest| rest.checked_add(is));
    wrapped.filter(|more| *more <= FASTEST_SMALL.saturating_mul(seconds)).unwrap_or(is)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(index: u32, received: u64, sent: u64, seconds: i64) -> Reading {
        Reading { index, received, sent, at: Media::from_millis(seconds * 1000) }
    }

    #[test]
    fn counters_that_go_on_are_subtracted_and_others_begin_at_nothing() {
        let first = reading(3, 1000, 500, 0);
        assert_eq!(reading(3, 1500, 700, 1).since(&first), 700);
        assert_eq!(reading(3, 300, 200, 1).since(&first), 500, "begun anew");
        assert_eq!(reading(4, 5000, 9000, 1).since(&first), 14_000, "another interface of the same name");
    }

    #[test]
    fn a_counter_of_32_bits_wraps_if_there_was_time_for_it() {
        let nearly = reading(3, SMALL - 1_000_000, SMALL - 10, 0);
        assert_eq!(reading(3, 2_000_000, 20, 1).since(&nearly), 3_000_000 + 30);
        let far = reading(3, 3 << 30, 0, 0);
        assert_eq!(reading(3, 1_000_000, 0, 1).since(&far), 1_000_000, "a gigabyte in a second is none");
        assert_eq!(reading(3, 1_000_000, 0, 60).since(&far), (1 << 30) + 1_000_000, "in a minute it is one");
        let large = reading(3, SMALL + 5, 0, 0);
        assert_eq!(reading(3, 7, 0, 1).since(&large), 7, "this one has more bits");
    }
}
