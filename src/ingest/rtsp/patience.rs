//! Pure. How long a camera is waited for.

use std::time::Duration;

/// How long a camera may take to answer a request.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long until the first frame: some cameras send nothing before their next key picture.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Nothing for this long is the end.
const GOES_ON_WITHIN: Duration = Duration::from_secs(3);
/// After a goodbye: what is still on its way.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What is to come next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The first frame.
    Starting,
    /// Frame after frame.
    Flowing,
    /// Nothing: the camera has said goodbye.
    Ending,
}

impl Phase {
    /// How long it may be quiet.
    pub(super) const fn patience(self) -> Duration {
        match self {
            Self::Starting => STARTS_WITHIN,
            Self::Flowing => GOES_ON_WITHIN,
            Self::Ending => LAST_WORDS,
        }
    }
}
