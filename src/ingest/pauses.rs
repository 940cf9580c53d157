//! Pure. How soon a sender that is called is called again.

use std::time::Duration;

/// The first pause between two attempts, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// The pauses between attempts, doubled up to the longest.
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
