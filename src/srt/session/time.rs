//! The session's own time line: whole microseconds, so that deadlines are compared and subtracted as numbers.

use std::time::{Duration, Instant};

/// Microseconds since the session was made; before that, negative.
pub(super) type Micros = i64;

/// One millisecond.
pub(super) const MS: Micros = 1_000;
/// One second.
pub(super) const SECOND: Micros = 1_000_000;

/// Where 0 is.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeLine {
    origin: Instant,
}

impl TimeLine {
    /// 0 is `origin`.
    pub(super) const fn new(origin: Instant) -> Self {
        Self { origin }
    }

    /// An instant on the line.
    pub(super) fn at(&self, instant: Instant) -> Micros {
        match instant.checked_duration_since(self.origin) {
            Some(after) => micros(after),
            None => -micros(self.origin.saturating_duration_since(instant)),
        }
    }

    /// The instant of a place on the line.
    pub(super) fn instant(&self, at: Micros) -> Instant {
        let distance = duration(at.saturating_abs());
        let instant = if at < 0 { self.origin.checked_sub(distance) } else { self.origin.checked_add(distance) };
        instant.unwrap_or(self.origin)
    }
}

/// A duration in whole microseconds.
pub(super) fn micros(duration: Duration) -> Micros {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// The other way; 0 for what is negative.
pub(super) fn duration(micros: Micros) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
    fn instants_go_onto_the_line_and_back() {
        let origin = Instant::now();
        let line = TimeLine::new(origin);
        for at in [0, 1, -1, 5 * SECOND, -3 * SECOND - 7] {
            assert_eq!(line.at(line.instant(at)), at);
        }
        assert_eq!(line.at(origin + Duration::from_millis(3)), 3 * MS);
    }
}
