//! Chance that an attacker cannot guess and a test can repeat.

use std::fmt;

use ring::hmac;

/// A stream of random bytes from a seed: HMAC-SHA-256 of a counter. As good as its seed, which a shell takes from the
/// system and a test makes up.
pub struct Random {
    key: hmac::Key,
    counter: u64,
}

impl Random {
    /// Begins; the same seed gives the same bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, seed), counter: 0 }
    }

    /// The next bytes.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            self.counter = self.counter.wrapping_add(1);
            let tag = hmac::sign(&self.key, &self.counter.to_be_bytes());
            for (to, from) in chunk.iter_mut().zip(tag.as_ref()) {
                *to = *from;
            }
        }
    }

    /// The next `N` bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// Four of them.
    pub fn next_u32(&mut self) -> u32 {
        u32::from_be_bytes(self.bytes())
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Random")
    }
}
