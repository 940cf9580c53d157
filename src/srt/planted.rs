//! Bugs that the simulation plants to see that its rules notice them. Outside tests there are none: [`planted`] is a
//! constant `false` there, and what depends on it is compiled away.

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

/// Whether this bug is planted.
#[cfg(not(test))]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}

#[cfg(test)]
pub(crate) use in_tests::{plant, planted};

#[cfg(test)]
mod in_tests {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in this thread.
    pub(crate) fn planted(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Runs something with a bug planted in this thread, whatever becomes of it.
    pub(crate) fn plant<T>(bug: Bug, work: impl FnOnce() -> T) -> T {
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
