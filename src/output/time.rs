//! What time it is in the programme.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

use crate::clock;
use crate::model::Media;

/// Programme time now: CLOCK_MONOTONIC plus an offset, which whoever owns programme time sets. A clone is the same clock.
#[derive(Clone, Debug)]
pub struct ProgrammeClock(Rc<Cell<Reading>>);

/// At this moment it was this time.
#[derive(Clone, Copy, Debug)]
struct Reading {
    at: Instant,
    time: Media,
}

impl Reading {
    fn with(offset: Media) -> Self {
        Self { at: clock::now(), time: clock::media() + offset }
    }
}

impl ProgrammeClock {
    /// With programme time minus CLOCK_MONOTONIC.
    pub fn new(offset: Media) -> Self {
        Self(Rc::new(Cell::new(Reading::with(offset))))
    }

    /// Another offset.
    pub fn set(&self, offset: Media) {
        self.0.set(Reading::with(offset));
    }

    /// Programme time.
    pub fn now(&self) -> Media {
        let Reading { at, time } = self.0.get();
        time + Media::from_duration(clock::now().saturating_duration_since(at))
    }

    /// When it is, or was, `time`.
    pub fn instant(&self, time: Media) -> Instant {
        let reading = self.0.get();
        let after = time - reading.time;
        if after >= Media::ZERO {
            reading.at + after.to_duration()
        } else {
            reading.at.checked_sub((Media::ZERO - after).to_duration()).unwrap_or(reading.at)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_with_the_monotonic_clock_and_finds_moments_on_both_sides() {
        let programme = ProgrammeClock::new(Media::ZERO - clock::media());
        let (begin, now) = (programme.now(), clock::now());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(programme.now() - begin, Media::from_millis(10_000));
        assert_eq!(programme.instant(begin + Media::from_millis(3000)), now + Duration::from_secs(3));
        assert_eq!(programme.instant(begin - Media::from_millis(3000)), now - Duration::from_secs(3));
    }
}
