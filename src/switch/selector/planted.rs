//! Bugs that the simulation plants to see that its rules notice them. Outside tests there are none: [`planted`] is a
//! constant `false` there, and what depends on it is compiled away.

/// A bug that can be planted, each as one line where it would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// A fault that can be shown moves the picture without having stood.
    MovesAtOnce,
    /// An input is trusted as soon as it is good.
    SkipsProbation,
    /// Each probation is as long as the first.
    ForgivesAtOnce,
    /// A fault during probation does not begin it anew.
    ProbationGoesOn,
    /// Changes are not counted.
    ChangesWithoutBound,
    /// An input with nothing to show is kept.
    ClingsToTheChosen,
    /// A frozen input is left for another frozen one.
    LeavesForNoBetter,
    /// The preferred input is not returned to.
    NeverReturns,
    /// An input on probation is not shown although nothing else is there.
    PrefersTheSlate,
    /// What was chosen by hand has to be proven first.
    DoubtsTheOperator,
    /// What was chosen by hand is not returned to once it failed.
    ForgetsTheOperator,
    /// A lead counts from its first moment.
    LeadsForAMoment,
    /// Deadlines are forgotten: nothing is decided until something else happens.
    ForgetsDeadlines,
    /// A chosen input may take for ever to show its first picture.
    WaitsForEver,
    /// Another fault than the one that counted is named.
    BlamesTheWrongFault,
    /// The time in which this process slept counts.
    CountsItsOwnSleep,
}

/// Whether this bug is planted.
#[cfg(not(test))]
pub(super) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(super) use in_tests::{plant, planted};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    pub(in super::super) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Runs something with a bug planted in this thread, whatever becomes of it.
    pub(in super::super) fn plant<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
        struct Uproot;
        impl Drop for Uproot {
            fn drop(&mut self) {
                PLANTED.set(None);
            }
        }
        PLANTED.set(Some(bug));
        let _uproot = Uproot;
        work()
    }
}
