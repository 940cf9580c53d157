//! The calls of a destination that are under way: one for each path at most.

use std::collections::BTreeMap;
use std::future::Future;

use tokio::task::{AbortHandle, JoinSet};

/// Calls by the place of their path in the configuration. A path that was held while it called, and calls anew, is not told
/// how the call before ended: it may be connected by then, or about to be.
pub(super) struct Calls<T> {
    tasks: JoinSet<(usize, u64, T)>,
    /// The number of each path's call.
    latest: BTreeMap<usize, (u64, AbortHandle)>,
    made: u64,
}

impl<T: 'static> Calls<T> {
    /// None is under way.
    pub(super) fn new() -> Self {
        Self { tasks: JoinSet::new(), latest: BTreeMap::new(), made: 0 }
    }

    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.latest.is_empty()
    }

    /// Begins a call, inside a `LocalSet`. One of the same path that is under way is over.
    pub(super) fn make(&mut self, place: usize, call: impl Future<Output = T> + 'static) {
        self.hang_up(place);
        self.made += 1;
        let number = self.made;
        let task = self.tasks.spawn_local(async move { (place, number, call.await) });
        self.latest.insert(place, (number, task));
    }

    /// A path's call does not go on; if it has an outcome already, nobody hears of it.
    pub(super) fn hang_up(&mut self, place: usize) {
        if let Some((_, task)) = self.latest.remove(&place) {
            task.abort();
        }
    }

    /// No call goes on.
    pub(super) fn hang_up_all(&mut self) {
        self.tasks = JoinSet::new();
        self.latest.clear();
    }

    /// The next outcome, and whose; waits for ever while no call is under way. Cancel-safe.
    pub(super) async fn next(&mut self) -> (usize, T) {
        loop {
            match self.tasks.join_next().await {
                Some(Ok((place, number, outcome))) => {
                    if self.latest.get(&place).is_some_and(|(latest, _)| *latest == number) {
                        self.latest.remove(&place);
                        return (place, outcome);
                    }
                }
                // It was hung up.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::task::{LocalSet, yield_now};

    use super::*;

    #[tokio::test]
    async fn of_each_path_only_the_latest_call_is_heard_of() {
        let test = async {
            let mut calls = Calls::new();
            calls.make(0, ready("done, and not heard yet"));
            calls.make(1, pending());
            yield_now().await;
            calls.hang_up(0);
            calls.make(0, ready("again"));
            calls.make(1, ready("another"));
            let mut heard = [calls.next().await, calls.next().await];
            heard.sort_unstable();
            assert_eq!(heard, [(0, "again"), (1, "another")]);
            assert!(calls.is_empty());
            calls.make(2, ready("too late"));
            yield_now().await;
            calls.hang_up_all();
            assert!(calls.is_empty());
            calls.make(3, ready("the last"));
            assert_eq!(calls.next().await, (3, "the last"));
        };
        LocalSet::new().run_until(test).await;
    }
}
