//! The bugs that the simulation plants; see `model::planting`.

use crate::model::plantable;

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

plantable!(pub(super) Bug);
