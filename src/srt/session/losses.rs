//! What is missing at the receiver, and when it is asked for.

use std::collections::VecDeque;

use super::ring::Position;
use super::time::Micros;

/// Neighbouring positions that are missing together and have been asked for equally often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loss {
    /// The first.
    pub(super) first: Position,
    /// The last.
    pub(super) last: Position,
    /// When it is asked for (again).
    pub(super) due: Micros,
    /// When it was found to be missing.
    pub(super) found: Micros,
    /// How often it has been asked for.
    pub(super) asked: u32,
    /// The sender has said that it will not come: not asked for, not waited for in acknowledgements, still taken if it
    /// does come.
    pub(super) given_up: bool,
}

/// Ordered by position, no two overlap. As long as the window at most, so bounded.
#[derive(Debug, Default)]
pub(super) struct Losses {
    list: VecDeque<Loss>,
    /// Not later than the earliest `due`.
    earliest: Option<Micros>,
}

impl Losses {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many positions.
    pub(super) fn count(&self) -> u64 {
        self.list.iter().map(|loss| loss.last - loss.first + 1).sum()
    }

    /// The first position from `next` on that is not missing, when `next` is.
    pub(super) fn end_of_front(&self, next: Position) -> Position {
        let mut end = next;
        for loss in &self.list {
            if loss.first != end {
                break;
            }
            end = loss.last + 1;
        }
        end
    }

    /// The first missing position that may still come: everything before it can be acknowledged.
    pub(super) fn first_awaited(&self) -> Option<Position> {
        self.list.iter().find(|loss| !loss.given_up).map(|loss| loss.first)
    }

    /// When [`Self::take_due`] has something to do. It may turn out to be nothing.
    pub(super) const fn earliest(&self) -> Option<Micros> {
        self.earliest
    }

    /// `first..=last` after everything known is missing.
    pub(super) fn push(&mut self, first: Position, last: Position, found: Micros, due: Micros) {
        self.list.push_back(Loss { first, last, due, found, asked: 0, given_up: false });
        self.wake(due);
    }

    /// A missing position has come.
    pub(super) fn fill(&mut self, at: Position) -> Option<Loss> {
        let index = self.list.partition_point(|loss| loss.last < at);
        let loss = *self.list.get(index)?;
        if at < loss.first {
            return None;
        }
        match (at == loss.first, at == loss.last) {
            (true, true) => {
                self.list.remove(index);
            }
            (true, false) => self.list[index].first = at + 1,
            (false, true) => self.list[index].last = at - 1,
            (false, false) => {
                self.list[index].last = at - 1;
                self.list.insert(index + 1, Loss { first: at + 1, ..loss });
            }
        }
        Some(loss)
    }

    /// What lies before `next` is no longer waited for.
    pub(super) fn forget_before(&mut self, next: Position) {
        while let Some(loss) = self.list.front_mut() {
            if loss.first >= next {
                return;
            }
            if loss.last < next {
                self.list.pop_front();
            } else {
                loss.first = next;
                return;
            }
        }
    }

    /// The sender has said that `first..=last` will not come.
    pub(super) fn give_up(&mut self, first: Position, last: Position) {
        let mut index = self.list.partition_point(|loss| loss.last < first);
        while let Some(loss) = self.list.get(index).copied().filter(|loss| loss.first <= last) {
            if loss.first < first {
                self.list[index].last = first - 1;
                index += 1;
                self.list.insert(index, Loss { first, ..loss });
            }
            if loss.last > last {
                self.list[index].last = last;
                self.list.insert(index + 1, Loss { first: last + 1, ..loss });
            }
            self.list[index].given_up = true;
            index += 1;
        }
    }

    /// Those that have not been asked for yet and lie before `passed` will not come on their own any more, but for what
    /// is out of order, `disorder` after they were found missing: then they are due.
    pub(super) fn hasten(&mut self, passed: Position, disorder: Micros) {
        let mut earliest = Micros::MAX;
        for loss in &mut self.list {
            if loss.last >= passed {
                break;
            }
            if loss.asked == 0 && !loss.given_up {
                loss.due = loss.due.min(loss.found + disorder);
                earliest = earliest.min(loss.due);
            }
        }
        if earliest != Micros::MAX {
            self.wake(earliest);
        }
    }

    /// Calls `ask` with each range that is due; what it returns is when the range is due again.
    pub(super) fn take_due(&mut self, now: Micros, mut ask: impl FnMut(&Loss) -> Micros) {
        self.earliest = None;
        let mut earliest = Micros::MAX;
        for loss in self.list.iter_mut().filter(|loss| !loss.given_up) {
            if loss.due <= now {
                loss.due = ask(loss).max(now + 1);
                loss.asked += 1;
            }
            earliest = earliest.min(loss.due);
        }
        if earliest != Micros::MAX {
            self.earliest = Some(earliest);
        }
    }

    fn wake(&mut self, due: Micros) {
        self.earliest = Some(self.earliest.map_or(due, |earliest| earliest.min(due)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(losses: &Losses) -> Vec<(Position, Position, bool)> {
        losses.list.iter().map(|loss| (loss.first, loss.last, loss.given_up)).collect()
    }

    #[test]
    fn what_comes_splits_the_range_it_was_missing_from() {
        let mut losses = Losses::default();
        losses.push(10, 19, 0, 0);
        losses.push(30, 30, 0, 0);
        assert!(losses.fill(15).is_some());
        assert!(losses.fill(10).is_some());
        assert!(losses.fill(19).is_some());
        assert!(losses.fill(30).is_some());
        assert_eq!(losses.fill(15), None, "it is not missing any more");
        assert_eq!(ranges(&losses), [(11, 14, false), (16, 18, false)]);
        assert_eq!(losses.count(), 7);
        losses.forget_before(17);
        assert_eq!(ranges(&losses), [(17, 18, false)]);
    }

    #[test]
    fn what_is_given_up_is_not_asked_for_and_does_not_hold_up_acknowledgements() {
        let mut losses = Losses::default();
        losses.push(10, 19, 0, 5);
        losses.give_up(0, 12);
        assert_eq!(losses.first_awaited(), Some(13));
        losses.give_up(15, 16);
        assert_eq!(ranges(&losses), [(10, 12, true), (13, 14, false), (15, 16, true), (17, 19, false)]);
        let mut asked = Vec::new();
        losses.take_due(5, |loss| {
            asked.push((loss.first, loss.last));
            25
        });
        assert_eq!(asked, [(13, 14), (17, 19)]);
        losses.give_up(0, 100);
        assert_eq!(losses.first_awaited(), None);
        assert!(losses.fill(12).is_some(), "it may come all the same");
    }

    #[test]
    fn a_range_is_asked_for_when_it_is_due_and_then_again() {
        let mut losses = Losses::default();
        losses.push(10, 10, 0, 100);
        losses.push(20, 21, 100, 200);
        let due = |losses: &mut Losses, now| {
            let mut asked = Vec::new();
            losses.take_due(now, |loss| {
                asked.push((loss.first, loss.asked));
                now + 50
            });
            asked
        };
        assert_eq!(losses.earliest(), Some(100));
        assert_eq!(due(&mut losses, 100), [(10, 0)]);
        assert_eq!(losses.earliest(), Some(150));
        losses.hasten(22, 10);
        assert_eq!(due(&mut losses, 110), [(20, 0)], "everyone has passed 20");
        assert_eq!(due(&mut losses, 150), [(10, 1)]);
    }
}
