//! How often a programme may change its input: a token bucket.

use super::planted::{Bug, planted};
use crate::model::Media;

/// So many changes may follow each other at once ...
pub const BURST: u32 = 6;
/// ... and then one in so long.
pub const ONE_IN: Media = Media::from_millis(10_000);
/// Most changes in any 60 s: what was saved, and what is earned meanwhile.
pub const MOST_IN_A_MINUTE: u32 = BURST + 6;
/// Changes to an input that is not proven leave so many for those to one that is.
pub const KEPT_FOR_PROVEN: u32 = 3;

/// What a change needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Price {
    /// Nothing: an operator asked for it, or nobody sees it.
    Free,
    /// A turn.
    Turn,
    /// A turn that no proven input could miss, or that comes long enough after the last one.
    SpareTurn,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    tokens: u32,
    /// When the last token came, or would have if there had been room.
    earned: Media,
    last: Option<Media>,
}

impl Turns {
    pub(super) const fn full() -> Self {
        Self { tokens: BURST, earned: Media::ZERO, last: None }
    }

    /// Pays if it can; otherwise says when it could.
    pub(super) fn pay(&mut self, price: Price, now: Media) -> Result<(), Media> {
        let due = self.last.map(|at| at + ONE_IN);
        let least = match price {
            Price::Free => return Ok(()),
            Price::SpareTurn if due.is_some_and(|at| at > now) => 1 + KEPT_FOR_PROVEN,
            Price::SpareTurn | Price::Turn => 1,
        };
        while self.tokens < BURST && self.earned + ONE_IN <= now {
            self.tokens += 1;
            self.earned = self.earned + ONE_IN;
        }
        if self.tokens == BURST {
            self.earned = now;
        }
        if self.tokens < least && !planted(Bug::ChangesWithoutBound) {
            let next = self.earned + Media(ONE_IN.0 * i64::from(least - self.tokens));
            return Err(due.map_or(next, |due| due.min(next)));
        }
        self.last = Some(now);
        self.tokens = self.tokens.saturating_sub(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::VecDeque;

    use super::*;

    #[test]
    fn no_minute_has_more_than_promised_however_it_is_asked() {
        for (seed, every) in [(1, 1), (2, 100), (3, 1700), (4, 9000), (5, 30_000)] {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut now = Media::from_millis(random.i64(0..1_000_000));
            let end = now + Media::from_millis(1_200_000);
            let (mut turns, mut taken) = (Turns::full(), VecDeque::new());
            while now < end {
                now = now + Media::from_millis(random.i64(1..=every));
                let price = if random.bool() { Price::Turn } else { Price::SpareTurn };
                if turns.pay(price, now).is_ok() {
                    taken.push_back(now);
                }
                while taken.front().is_some_and(|at| now - *at >= Media::from_millis(60_000)) {
                    taken.pop_front();
                }
                assert!(taken.len() <= MOST_IN_A_MINUTE as usize, "{} at {every}", taken.len());
            }
        }
    }

    #[test]
    fn a_turn_comes_when_it_was_promised_and_some_are_kept_for_the_proven() {
        let mut now = Media::from_millis(5);
        let mut turns = Turns::full();
        for _ in 0..BURST - KEPT_FOR_PROVEN {
            assert!(turns.pay(Price::SpareTurn, now).is_ok());
            now = now + Media::from_millis(10);
        }
        let spare = turns.pay(Price::SpareTurn, now).unwrap_err();
        assert_eq!(spare, Media::from_millis(5) + ONE_IN);
        assert!(turns.pay(Price::SpareTurn, spare - Media::from_millis(1)).is_err());
        for _ in 0..KEPT_FOR_PROVEN {
            assert!(turns.pay(Price::Turn, now).is_ok());
        }
        let next = turns.pay(Price::Turn, now).unwrap_err();
        assert!(turns.pay(Price::Turn, next - Media::from_millis(1)).is_err() && turns.pay(Price::Turn, next).is_ok());
        assert!(turns.pay(Price::Free, next).is_ok());
        // Nothing is left, and still nobody waits for longer than promised.
        let spare = turns.pay(Price::SpareTurn, next).unwrap_err();
        assert!(spare <= next + ONE_IN && turns.pay(Price::SpareTurn, spare).is_ok());
    }
}
