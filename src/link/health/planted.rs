//! Pure. Bugs that the simulation plants to see that its rules notice them. Outside tests there are none: [`planted`] is
//! a constant `false` there, and what depends on it is compiled away.

/// A bug that can be planted, each as one line where it would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bug {
    /// One silent witness is enough for a death.
    BelievesOneWitness,
    /// After a pause the time since the last acknowledgement is taken for silence.
    CountsThePause,
    /// A lost carrier is left to the probes.
    IgnoresTheCarrier,
    /// A silent server is taken for nothing.
    NeverBlamesTheServer,
    /// A silent server is taken for a dead link.
    BlamesTheLink,
    /// TCP that is silent while probes are answered again is taken for a silent server at once.
    BlamesTheServerAtOnce,
    /// A link is trusted as soon as it answers.
    SkipsProbation,
    /// Each probation is as long as the first.
    ForgivesAtOnce,
    /// The way back does not wait for a keyframe.
    SwitchesMidPicture,
    /// The better link is returned to before the session there is ready.
    BreaksBeforeMaking,
    /// Switches are not counted.
    SwitchesWithoutBound,
    /// Deadlines are forgotten: nothing is decided until the next observation.
    ForgetsDeadlines,
    /// What waited while this process slept counts as silence.
    CountsItsOwnSleep,
    /// A dead link is not left as long as it was the preferred one.
    ClingsToTheFirst,
    /// A captive portal's answers are taken for the Internet.
    TrustsPortals,
    /// Without probes no link is ever dead before the hard limit.
    NeedsProbes,
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
