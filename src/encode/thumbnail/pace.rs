//! Pure. When a thumbnail is made, and when there is to be none.

use crate::model::{Condition, Gravity, Media};

use super::EVERY;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Wait,
    /// Make one of this picture.
    Take,
    /// Remove what there is.
    Remove,
}

/// When the next is due.
#[derive(Clone, Debug, Default)]
pub struct Pace {
    shown: Shown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    Nothing,
    /// The picture of this time.
    Since(Media),
}

impl Pace {
    /// At the place at `time`, which has a picture or has not. An input that has nothing to show by its own truth has no
    /// thumbnail either, even while its last picture is held.
    pub fn step(&self, time: Media, has_picture: bool, condition: &Condition) -> Step {
        let has_nothing_to_show = condition.findings().iter().any(|found| found.fault.gravity() == Gravity::Hard);
        match self.shown {
            Shown::Nothing if has_picture && !has_nothing_to_show => Step::Take,
            Shown::Since(_) if has_nothing_to_show => Step::Remove,
            Shown::Since(last) if has_picture && time - last >= Media::from_duration(EVERY) => Step::Take,
            Shown::Nothing | Shown::Since(_) => Step::Wait,
        }
    }

    /// That was done at the place at `time`. Without this it is asked for again at the next place.
    pub fn done(&mut self, step: Step, time: Media) {
        self.shown = match step {
            Step::Wait => return,
            Step::Take => Shown::Since(time),
            Step::Remove => Shown::Nothing,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Fault, Finding};

    fn wrong(fault: Fault) -> Condition {
        Condition::new(vec![Finding { fault, evidence: String::new() }])
    }

    fn ms(ms: i64) -> Media {
        Media::from_millis(ms)
    }

    /// The steps other than waiting in 40 ms places from 0 to `end`, each carried out if `does` says so.
    fn steps(end: i64, see: impl Fn(i64) -> (bool, Condition), does: impl Fn(i64) -> bool) -> Vec<(i64, Step)> {
        let mut pace = Pace::default();
        let mut steps = Vec::new();
        for at in (0..end).step_by(40) {
            let (has_picture, condition) = see(at);
            let step = pace.step(ms(at), has_picture, &condition);
            if step != Step::Wait {
                steps.push((at, step));
            }
            if does(at) {
                pace.done(step, ms(at));
            }
        }
        steps
    }

    #[test]
    fn one_a_second_from_the_first_picture_on() {
        let steps = steps(3000, |at| (at >= 200, Condition::GOOD), |_| true);
        assert_eq!(steps, [(200, Step::Take), (1200, Step::Take), (2200, Step::Take)]);
    }

    #[test]
    fn what_could_not_be_handed_over_is_asked_for_again_at_the_next_place() {
        let steps = steps(1200, |_| (true, Condition::GOOD), |at| at != 1000);
        assert_eq!(steps, [(0, Step::Take), (1000, Step::Take), (1040, Step::Take)]);
    }

    #[test]
    fn none_stays_when_there_is_nothing_to_show_even_while_the_last_picture_is_held() {
        let see = |at: i64| (at < 1480, if at < 1200 { Condition::GOOD } else { wrong(Fault::Stalled) });
        assert_eq!(steps(5000, see, |_| true), [(0, Step::Take), (1000, Step::Take), (1200, Step::Remove)]);
        let again = |at: i64| (true, if (1200..2000).contains(&at) { wrong(Fault::NoSignal) } else { Condition::GOOD });
        let found = steps(2500, again, |at| at != 1200);
        let expected =
            [(0, Step::Take), (1000, Step::Take), (1200, Step::Remove), (1240, Step::Remove), (2000, Step::Take)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_picture_that_stays_away_for_a_moment_takes_nothing_away() {
        let steps = steps(3000, |at| (!(900..1300).contains(&at), Condition::GOOD), |_| true);
        assert_eq!(steps, [(0, Step::Take), (1320, Step::Take), (2320, Step::Take)]);
    }

    #[test]
    fn a_frozen_or_black_picture_is_shown_as_it_is() {
        for fault in Fault::ALL.into_iter().filter(|fault| fault.gravity() == Gravity::Soft) {
            assert_eq!(steps(1100, |_| (true, wrong(fault)), |_| true), [(0, Step::Take), (1000, Step::Take)]);
        }
    }
}
