//! Bytes received, as the far end wants them confirmed (RTMP 1.0 §5.4.3, §5.4.4).

use super::chunk::leading_u32;

/// What was received and what of it was confirmed.
#[derive(Debug, Default)]
pub(super) struct Acknowledgement {
    window: Option<u32>,
    received: u64,
    confirmed: u64,
}

impl Acknowledgement {
    /// Towards a far end that has not said how often.
    pub(super) const fn every(window: u32) -> Self {
        Self { window: Some(window), received: 0, confirmed: 0 }
    }

    /// The far end says how often: the payload of Window Acknowledgement Size.
    pub(super) fn wanted_every(&mut self, payload: &[u8]) {
        self.window = leading_u32(payload).filter(|window| *window > 0);
    }

    pub(super) const fn received(&mut self, bytes: usize) {
        self.received += bytes as u64;
    }

    /// What is to be confirmed now, at half the window, so that the far end never waits for it.
    pub(super) fn due(&mut self) -> Option<u32> {
        let due = self.window.is_some_and(|window| self.received - self.confirmed >= u64::from(window / 2).max(1));
        if !due {
            return None;
        }
        self.confirmed = self.received;
        // The sequence number is the total, modulo 2³².
        Some((self.received & 0xFFFF_FFFF) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_window_is_confirmed_with_the_total() {
        let mut acknowledgement = Acknowledgement::every(1000);
        acknowledgement.received(499);
        assert_eq!(acknowledgement.due(), None);
        acknowledgement.received(2);
        assert_eq!(acknowledgement.due(), Some(501));
        assert_eq!(acknowledgement.due(), None);
        acknowledgement.wanted_every(&[0, 0, 0, 2]);
        acknowledgement.received(1);
        assert_eq!(acknowledgement.due(), Some(502));
        acknowledgement.wanted_every(&[0; 4]);
        acknowledgement.received(9999);
        assert_eq!(acknowledgement.due(), None, "none are wanted");
    }
}
