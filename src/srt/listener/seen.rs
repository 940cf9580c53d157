//! Key material that was accepted lately.

use std::collections::{BTreeSet, VecDeque};

use crate::srt::crypto::KmDigest;

/// Remembers the newest digests.
#[derive(Debug, Default)]
pub(super) struct Seen {
    order: VecDeque<KmDigest>,
    known: BTreeSet<KmDigest>,
}

/// 64 KiB and their order.
const MOST: usize = 4096;

impl Seen {
    pub(super) fn contains(&self, digest: KmDigest) -> bool {
        self.known.contains(&digest)
    }

    pub(super) fn insert(&mut self, digest: KmDigest) {
        if !self.known.insert(digest) {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_remembered() {
        let mut seen = Seen::default();
        let digest = |i: usize| KmDigest::of(&i.to_be_bytes());
        (0..=MOST).for_each(|i| seen.insert(digest(i)));
        seen.insert(digest(MOST));
        assert!(!seen.contains(digest(0)));
        assert!((1..=MOST).all(|i| seen.contains(digest(i))));
        assert_eq!((seen.order.len(), seen.known.len()), (MOST, MOST));
    }
}
