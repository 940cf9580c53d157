//! Pure. A fault that must last to be told, and whose end must last to be believed.
//!
//! ```text
//!              bad for `begins`                  good for `ends`
//!   Away ──────────────────────────► Told ──────────────────────────► Away
//!      anything else starts anew          anything else starts anew
//! ```

use crate::model::{Fault, Finding, Media};

/// What an observation says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// It is beyond the limit.
    Bad,
    /// It is well within it.
    Good,
    /// Between the two.
    Neither,
}

/// One fault.
#[derive(Clone, Debug)]
pub(super) struct Latch {
    fault: Fault,
    begins: Option<Media>,
    ends: Media,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Away { bad_since: Option<Media> },
    Told { good_since: Option<Media>, finding: Finding },
}

impl Latch {
    /// `begins`: bad for so long; `None`: never. `ends`: good for so long.
    pub(super) fn new(fault: Fault, begins: Option<Media>, ends: Media) -> Self {
        Self { fault, begins, ends, state: State::Away { bad_since: None } }
    }

    /// An observation at `now`. `evidence` is told for how long it has been bad.
    pub(super) fn observe(&mut self, sign: Sign, now: Media, evidence: impl FnOnce(Media) -> String) {
        let Some(begins) = self.begins else { return };
        match &mut self.state {
            State::Away { bad_since } => {
                let since = *bad_since.get_or_insert(now);
                if sign != Sign::Bad {
                    *bad_since = None;
                } else if now - since >= begins {
                    let finding = Finding { fault: self.fault, evidence: evidence(now - since) };
                    self.state = State::Told { good_since: None, finding };
                }
            }
            State::Told { good_since, .. } => {
                let since = *good_since.get_or_insert(now);
                if sign != Sign::Good {
                    *good_since = None;
                } else if now - since >= self.ends {
                    self.state = State::Away { bad_since: None };
                }
            }
        }
    }

    /// What lasted does not last any more: nothing was observed for a while. What was told stays.
    pub(super) fn interrupt(&mut self) {
        match &mut self.state {
            State::Away { bad_since: since } | State::Told { good_since: since, .. } => *since = None,
        }
    }

    pub(super) fn finding(&self) -> Option<&Finding> {
        match &self.state {
            State::Told { finding, .. } => Some(finding),
            State::Away { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latch() -> Latch {
        Latch::new(Fault::Black, Some(Media::from_millis(3000)), Media::from_millis(200))
    }

    /// Observes `signs`, one every 100 ms; whether it is told after each, as a row of 0 and 1.
    fn told(latch: &mut Latch, signs: &str) -> String {
        let mut now = Media::ZERO;
        let observe = |sign: char| {
            let sign = match sign {
                'b' => Sign::Bad,
                'g' => Sign::Good,
                _ => Sign::Neither,
            };
            latch.observe(sign, now, |lasted| format!("for {} ms", lasted.as_nanos() / 1_000_000));
            now = now + Media::from_millis(100);
            if latch.finding().is_some() { '1' } else { '0' }
        };
        signs.chars().map(observe).collect()
    }

    #[test]
    fn it_is_told_when_it_lasted_and_ends_when_that_lasted() {
        let mut latch = latch();
        assert_eq!(told(&mut latch, &"b".repeat(31)), format!("{}1", "0".repeat(30)));
        assert_eq!(latch.finding().map(|f| f.evidence.as_str()), Some("for 3000 ms"));
        assert_eq!(told(&mut latch, "ggbgg-gggg"), "1111111100");
    }

    #[test]
    fn an_interruption_starts_anew() {
        let mut latch = latch();
        for signs in ["b".repeat(30), "g".to_owned(), "b".repeat(30), "-".to_owned(), "b".repeat(30)] {
            assert!(!told(&mut latch, &signs).contains('1'));
        }
        latch.interrupt();
        assert!(!told(&mut latch, &"b".repeat(30)).contains('1'));
    }

    #[test]
    fn never_is_never() {
        let mut latch = Latch::new(Fault::Black, None, Media::ZERO);
        assert!(!told(&mut latch, &"b".repeat(1000)).contains('1'));
    }
}
