//! The bugs that the simulation plants; see `model::planting`.

use crate::model::plantable;

/// A bug that can be planted, each as one line where it would be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// The play position stays at the packet that was played, so a late copy of it is played again.
    PlaysCopies,
    /// Holes are acknowledged like what has arrived.
    AcknowledgesHoles,
    /// Sequence numbers are taken as they are, wraps uncounted.
    ForgetsSequenceWrap,
    /// Timestamps are taken as they are, wraps uncounted.
    ForgetsTimestampWrap,
    /// The peer's clock is taken to be as fast as ours.
    IgnoresDrift,
    /// Packets that nobody can use any more stay in the send buffer.
    KeepsExpired,
    /// An acknowledgement that was sent stays due.
    StaysDue,
    /// A new key is used without a word to the peer.
    ChangesKeysSilently,
    /// Another path takes over without what is in flight on the one before.
    ForgetsTheTail,
    /// What is lost at the end of what was sent waits for somebody to ask for it.
    ForgetsTheEnd,
    /// A path that does not answer is given half a second more.
    IsTooPatient,
    /// A path is good as long as it answers, however little it delivers.
    IgnoresCongestion,
    /// Switches are not counted.
    SwitchesWithoutBound,
    /// What one path lacks is asked for and sent again at once, whatever the others are about to bring, as libsrt does.
    RepairsEachPathByItself,
}

plantable!(pub(crate) Bug);
