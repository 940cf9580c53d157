//! Pure. The bugs that the simulation plants; see `model::planting`.

use crate::model::plantable;

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

plantable!(pub(super) Bug);
