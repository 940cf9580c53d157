//! How late an encoder's units come, as far as the switch needs to know.

use crate::model::Media;

/// A larger lateness is a fault, not a latency: live pictures later than this give way to the slate for good.
const LARGEST: Media = Media::from_millis(3000);

/// Assumed before the first unit. Software encoders on a busy machine reach 300 ms; most stay below this.
const ASSUMED: Media = Media::from_millis(200);

/// Each sample takes back 1/64 of what an earlier, larger one raised: a spike is forgotten after some seconds.
const FORGET: i64 = 64;

/// Recent lateness: follows a rise at once, a fall slowly.
///
/// Only units captured after `since` are measured. Others come from a backlog (a worker that was stopped, a data plane
/// that was) and say how long that lasted, not how long an encode takes.
#[derive(Clone, Debug)]
pub(super) struct Latency {
    recent: Media,
    since: Since,
}

#[derive(Clone, Copy, Debug)]
enum Since {
    /// Units captured from here on count.
    Moment(Media),
    /// The stream went silent; what comes first is backlog and sets the moment.
    NextUnit,
}

impl Latency {
    pub(super) fn new() -> Self {
        Self { recent: ASSUMED, since: Since::Moment(Media(i64::MIN)) }
    }

    /// The latency to expect.
    pub(super) fn recent(&self) -> Media {
        self.recent
    }

    /// A unit captured at `captured` is here.
    pub(super) fn sample(&mut self, captured: Media, now: Media) {
        match self.since {
            Since::NextUnit => self.since = Since::Moment(now),
            Since::Moment(since) if captured >= since => {
                let sample = (now - captured).clamp(Media::ZERO, LARGEST);
                let fall = Media((self.recent - sample).0 / FORGET);
                self.recent = sample.max(self.recent - fall);
            }
            Since::Moment(_) => {}
        }
    }

    /// What was captured before `now` says nothing.
    pub(super) fn fresh_from(&mut self, now: Media) {
        self.since = Since::Moment(now);
    }

    /// The stream went silent.
    pub(super) fn silent(&mut self) {
        self.since = Since::NextUnit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    #[test]
    fn a_rise_counts_at_once_and_a_fall_in_seconds() {
        let mut latency = Latency::new();
        latency.sample(ms(0), ms(300));
        assert_eq!(latency.recent(), ms(300));
        for n in 0..30 {
            latency.sample(ms(n * 33), ms(n * 33 + 20));
        }
        assert!(latency.recent() > ms(150), "a spike was forgotten within a second");
        for n in 30..300 {
            latency.sample(ms(n * 33), ms(n * 33 + 20));
        }
        assert!(latency.recent() < ms(25), "a spike still counts after ten seconds");
    }

    #[test]
    fn a_backlog_is_not_a_latency() {
        let mut latency = Latency::new();
        latency.silent();
        latency.sample(ms(0), ms(5000));
        latency.sample(ms(33), ms(5001));
        assert_eq!(latency.recent(), ASSUMED);
        latency.sample(ms(5010), ms(5510));
        assert_eq!(latency.recent(), ms(500));
    }
}
