//! Pure. How long a camera is waited for, and how soon it is tried again.

use std::time::Duration;

/// How long a camera may take to answer a request.
pub(super) const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// How long until the first frame: some cameras send nothing before their next key picture.
const STARTS_WITHIN: Duration = Duration::from_secs(10);
/// Nothing for this long is the end.
const GOES_ON_WITHIN: Duration = Duration::from_secs(3);
/// After a goodbye: what is still on its way.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

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

/// The pauses between attempts.
#[derive(Debug)]
pub(super) struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(PAUSES.0)
    }
}

impl Pauses {
    /// After an attempt that did or did not deliver anything.
    pub(super) fn after(&mut self, delivered: bool) -> Duration {
        if delivered {
            self.0 = PAUSES.0;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(PAUSES.1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_their_limit_and_what_was_delivered_resets_them() {
        let mut pauses = Pauses::default();
        let got = [false; 7].map(|delivered| pauses.after(delivered).as_millis());
        assert_eq!(got, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        assert_eq!([true, false].map(|delivered| pauses.after(delivered).as_millis()), [250, 500]);
    }
}
