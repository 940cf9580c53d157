//! Pure. What telemetry last said of each link, for as long as it is to be believed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::health::{HINT_MOST, Hint};
use crate::events::Expected;

/// Links of which hints are kept.
const MOST_LINKS: usize = 64;
/// `IFNAMSIZ` less the terminating zero.
const LONGEST_NAME: usize = 15;
/// Of an explanation that is kept, characters.
const LONGEST_REASON: usize = 200;

/// The latest hint about each link. Holds nothing that has expired.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    troubles: BTreeMap<String, Trouble>,
}

#[derive(Clone, Debug)]
struct Trouble {
    until: Instant,
    because: String,
}

impl Hints {
    /// Takes in what is expected of `link` from `now` on, as the judge of it is to hear it; `None` if there can be no such
    /// link. Trouble is believed for [`HINT_MOST`] at most, whatever was said.
    pub fn take(&mut self, link: &str, expected: Expected, now: Instant) -> Option<Hint> {
        self.troubles.retain(|_, trouble| trouble.until > now);
        if link.is_empty() || link.len() > LONGEST_NAME {
            return None;
        }
        let Expected::Trouble { for_ms, because } = expected else {
            self.troubles.remove(link);
            return Some(Hint::Clear);
        };
        let until = now + Duration::from_millis(for_ms).min(HINT_MOST);
        if self.troubles.len() < MOST_LINKS || self.troubles.contains_key(link) {
            let because = because.chars().take(LONGEST_REASON).collect();
            self.troubles.insert(link.to_owned(), Trouble { until, because });
        }
        Some(Hint::Trouble { until })
    }

    /// What is expected of `link` at `now`.
    pub fn of(&self, link: &str, now: Instant) -> Hint {
        self.standing(link, now).map_or(Hint::Clear, |trouble| Hint::Trouble { until: trouble.until })
    }

    /// Why trouble is expected of `link` at `now`; `None` if none is.
    pub fn because(&self, link: &str, now: Instant) -> Option<&str> {
        self.standing(link, now).map(|trouble| trouble.because.as_str())
    }

    fn standing(&self, link: &str, now: Instant) -> Option<&Trouble> {
        self.troubles.get(link).filter(|trouble| trouble.until > now)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn trouble(for_ms: u64) -> Expected {
        Expected::Trouble { for_ms, because: "the dish is obstructed".to_owned() }
    }

    #[test]
    fn a_hint_is_believed_until_it_expires_or_is_taken_back() {
        let (mut hints, start) = (Hints::default(), crate::clock::now());
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(hints.take("eth1", trouble(2000), start), Some(Hint::Trouble { until: at(2000) }));
        assert_eq!(hints.of("eth1", at(1999)), Hint::Trouble { until: at(2000) });
        assert_eq!(hints.because("eth1", at(1999)), Some("the dish is obstructed"));
        assert_eq!((hints.of("eth1", at(2000)), hints.because("eth1", at(2000))), (Hint::Clear, None));
        assert_eq!(hints.of("wwan0", at(1)), Hint::Clear);
        hints.take("eth1", trouble(2000), at(3000)).unwrap();
        assert_eq!(hints.take("eth1", Expected::Nothing, at(3500)), Some(Hint::Clear));
        assert_eq!(hints.of("eth1", at(3600)), Hint::Clear);
    }

    #[test]
    fn whatever_is_said_it_is_believed_for_a_short_time_and_of_few_links() {
        let (mut hints, start) = (Hints::default(), crate::clock::now());
        assert_eq!(hints.take("eth1", trouble(u64::MAX), start), Some(Hint::Trouble { until: start + HINT_MOST }));
        assert_eq!(hints.take("", trouble(1000), start), None);
        assert_eq!(hints.take("a-name-of-16-byt", trouble(1000), start), None);
        for n in 0..1000 {
            hints.take(&format!("link{n}"), trouble(1000), start).unwrap();
        }
        assert_eq!(hints.troubles.len(), MOST_LINKS);
        hints.take("eth1", Expected::Nothing, start + HINT_MOST).unwrap();
        assert!(hints.troubles.is_empty(), "nothing is kept that has expired");
    }
}
