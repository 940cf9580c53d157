//! Pure. Facts that are told only once they have lasted, so that what flickers is told once.

use std::time::{Duration, Instant};

/// Between two looks no more than this is counted: nobody knows what was in a longer gap.
const LONGEST_STEP: Duration = Duration::from_secs(10);
/// Time without a trouble makes up for this part of it.
const FORGIVEN: u32 = 4;

/// What a [`Latch`] or [`Steady`] wants to last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hold {
    /// Until it has begun; time is gathered over short interruptions.
    pub(super) begins: Duration,
    /// Until it has ended; this time without a break.
    pub(super) ends: Duration,
}

impl Hold {
    pub(super) const fn secs(begins: u64, ends: u64) -> Self {
        Self { begins: Duration::from_secs(begins), ends: Duration::from_secs(ends) }
    }
}

/// What became of a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is there.
    Begins,
    /// It is over.
    Ends,
}

/// A trouble that is there or not.
#[derive(Clone, Debug)]
pub(super) struct Latch {
    hold: Hold,
    state: State,
    seen: Option<(bool, Instant)>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// Not there; so much of it has gathered.
    Off(Duration),
    /// There; without it since then.
    On(Option<Instant>),
}

impl Latch {
    pub(super) const fn new(hold: Hold) -> Self {
        Self { hold, state: State::Off(Duration::ZERO), seen: None }
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.state, State::On(_))
    }

    /// Takes in whether the trouble is there at `now`.
    pub(super) fn see(&mut self, is_there: bool, now: Instant) -> Option<Turn> {
        let (was_there, step) = match self.seen.replace((is_there, now)) {
            Some((was, at)) => (was, now.saturating_duration_since(at).min(LONGEST_STEP)),
            None => (false, Duration::ZERO),
        };
        match &mut self.state {
            State::Off(gathered) => {
                *gathered = if was_there { *gathered + step } else { gathered.saturating_sub(step / FORGIVEN) };
                if !is_there || *gathered < self.hold.begins {
                    return None;
                }
                self.state = State::On(None);
                Some(Turn::Begins)
            }
            State::On(without_since) => {
                if is_there {
                    *without_since = None;
                    return None;
                }
                let since = *without_since.get_or_insert(now);
                if now.saturating_duration_since(since) < self.hold.ends {
                    return None;
                }
                self.state = State::Off(Duration::ZERO);
                Some(Turn::Ends)
            }
        }
    }
}

/// A fact of several values.
#[derive(Clone, Debug)]
pub(super) struct Steady<T> {
    told: Option<T>,
    next: Option<(T, Instant)>,
}

impl<T: Clone + PartialEq> Steady<T> {
    pub(super) const fn new() -> Self {
        Self { told: None, next: None }
    }

    /// Takes in the value at `now`; gives the one that was told before once another has lasted `hold`, which is asked with
    /// both. The first value is nothing that changed.
    pub(super) fn see(&mut self, value: &T, hold: impl Fn(&T, &T) -> Duration, now: Instant) -> Option<T> {
        let Some(told) = &self.told else {
            self.told = Some(value.clone());
            return None;
        };
        if told == value {
            self.next = None;
            return None;
        }
        let since = match &self.next {
            Some((next, since)) if next == value => *since,
            _ => {
                self.next = Some((value.clone(), now));
                now
            }
        };
        if now.saturating_duration_since(since) < hold(told, value) {
            return None;
        }
        self.next = None;
        self.told.replace(value.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One look a second; the seconds at which it turned.
    fn turns(hold: Hold, looks: impl IntoIterator<Item = bool>) -> Vec<(u64, Turn)> {
        let (mut latch, start) = (Latch::new(hold), crate::clock::now());
        let looks = (0..).zip(looks);
        looks.filter_map(|(s, there)| Some((s, latch.see(there, start + Duration::from_secs(s))?))).collect()
    }

    fn of(parts: &[(bool, usize)]) -> Vec<bool> {
        parts.iter().flat_map(|(there, n)| std::iter::repeat_n(*there, *n)).collect()
    }

    #[test]
    fn a_trouble_is_told_when_it_has_lasted_and_ends_when_it_has_stayed_away() {
        let looks = of(&[(false, 5), (true, 10), (false, 29), (true, 1), (false, 40)]);
        assert_eq!(turns(Hold::secs(3, 30), looks), [(8, Turn::Begins), (75, Turn::Ends)]);
    }

    #[test]
    fn a_single_look_is_no_trouble_unless_none_has_to_last() {
        assert_eq!(turns(Hold::secs(3, 30), of(&[(false, 5), (true, 1), (false, 60)])), []);
        let at_once = turns(Hold::secs(0, 5), of(&[(true, 1), (false, 60)]));
        assert_eq!(at_once, [(0, Turn::Begins), (6, Turn::Ends)]);
    }

    #[test]
    fn what_is_there_every_other_second_gathers_and_is_told_once() {
        let flicker = (0..600).map(|s| s % 2 == 0);
        assert_eq!(turns(Hold::secs(3, 30), flicker), [(8, Turn::Begins)]);
    }

    #[test]
    fn nobody_knows_what_was_in_a_long_gap() {
        let (mut latch, start) = (Latch::new(Hold::secs(15, 30)), crate::clock::now());
        assert_eq!(latch.see(true, start), None);
        assert_eq!(latch.see(true, start + Duration::from_secs(3600)), None, "ten seconds at most count");
        assert_eq!(latch.see(true, start + Duration::from_secs(3605)), Some(Turn::Begins));
    }

    #[test]
    fn a_value_changes_when_it_has_lasted_as_long_as_that_change_must() {
        let (mut steady, start) = (Steady::new(), crate::clock::now());
        let hold = |from: &u8, to: &u8| Duration::from_secs(if to < from { 2 } else { 5 });
        let values = [5, 5, 4, 5, 4, 4, 4, 4, 5, 5, 5, 5, 5, 5, 5];
        let told: Vec<_> = (0u64..)
            .zip(values)
            .filter_map(|(s, value)| Some((s, steady.see(&value, hold, start + Duration::from_secs(s))?)))
            .collect();
        assert_eq!(told, [(6, 5), (13, 4)], "at which second, and what it was before");
    }
}
