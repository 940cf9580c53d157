//! Pure. What a Starlink dish does to its link: every 15 s it changes its satellite, which costs a short hole, and now and
//! then packets queue.

use std::time::Duration;

use holdfast::netem::{Bottleneck, Change, Direction, Plan, Queue, Step};

/// Starlink plans its satellites anew every 15 s, at the same moments all over the world.
pub(super) const EVERY: Duration = Duration::from_secs(15);
/// The shortest and the longest hole, ms.
pub(super) const HOLES: (u64, u64) = (80, 600);
/// Each third time packets queue instead, for so long.
const QUEUES_FOR: Duration = Duration::from_secs(2);
/// Below what a stream of 3 Mbit/s needs.
const QUEUES_AT: Bottleneck = Bottleneck { rate: 2_500_000, queue: Queue::Time(Duration::from_millis(700)) };

/// The changes of `link` for `lasting`, the first of them at once. `wide` is how wide it is otherwise.
pub(super) fn plan(link: &str, wide: Option<Bottleneck>, lasting: Duration, seed: u64) -> Plan {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut steps = Vec::new();
    let mut at = Duration::ZERO;
    for n in 1.. {
        if at >= lasting {
            break;
        }
        let mut step = |at, change| steps.push(Step { at, link: link.to_owned(), change });
        if n % 3 == 0 {
            step(at, Change::Rate(Some(QUEUES_AT), Direction::Forward));
            step(at + QUEUES_FOR, Change::Rate(wide, Direction::Forward));
        } else {
            step(at, Change::Hole(true, Direction::Both));
            let length = Duration::from_millis(random.u64(HOLES.0..=HOLES.1));
            step(at + length, Change::Hole(false, Direction::Both));
        }
        at += EVERY;
    }
    Plan::new(steps)
}

/// What a change is to people; the end of one says nothing.
pub(super) fn told(step: &Step, next: Option<Duration>) -> Option<String> {
    let lasting = next.map_or(0, |next| next.saturating_sub(step.at).as_millis());
    match step.change {
        Change::Hole(true, _) => Some(format!("the dish changes its satellite: nothing passes for {lasting} ms")),
        Change::Rate(Some(narrow), _) if narrow == QUEUES_AT => {
            Some(format!("the dish has less to give: up to 700 ms of packets queue for {lasting} ms"))
        }
        Change::Hole(false, _)
        | Change::Rate(..)
        | Change::Delay(..)
        | Change::Jitter(..)
        | Change::Loss(..)
        | Change::Duplicate(..)
        | Change::Cut
        | Change::Heal
        | Change::Rebind => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const MINUTES: Duration = Duration::from_secs(600);

    #[test]
    fn each_quarter_of_a_minute_has_a_short_hole_or_a_queue_that_ends() {
        let plan = plan("starlink0", None, MINUTES, 15);
        let pairs: Vec<_> = plan.steps().chunks(2).collect();
        assert_eq!(pairs.len(), 40);
        for (n, pair) in pairs.iter().enumerate() {
            assert_eq!(pair[0].at, EVERY * u32::try_from(n).unwrap());
            let lasting = pair[1].at - pair[0].at;
            match (pair[0].change, pair[1].change) {
                (Change::Hole(true, _), Change::Hole(false, _)) => {
                    let (least, most) = HOLES;
                    assert!((u128::from(least)..=u128::from(most)).contains(&lasting.as_millis()), "{lasting:?}");
                }
                (Change::Rate(Some(_), _), Change::Rate(None, _)) => assert_eq!(lasting, QUEUES_FOR),
                other => unreachable!("{other:?}"),
            }
        }
        let queues = pairs.iter().filter(|pair| matches!(pair[0].change, Change::Rate(..))).count();
        assert_eq!(queues, 13);
    }

    #[test]
    fn it_ends_where_it_is_told_to_and_each_beginning_is_told_once() {
        let plan = plan("starlink0", None, Duration::from_secs(31), 15);
        let steps = plan.steps();
        assert_eq!(steps.len(), 6);
        let told: Vec<_> = (0..6).filter_map(|n| told(&steps[n], steps.get(n + 1).map(|next| next.at))).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[2].contains("queue for 2000 ms"), "{told:?}");
    }
}
