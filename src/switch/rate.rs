//! How many bytes leave a stream.

use crate::model::Media;

/// Bytes of the last second, in tenths.
#[derive(Debug, Default)]
pub(super) struct ByteRate {
    tenths: [u64; 10],
    newest: i64,
}

impl ByteRate {
    pub(super) fn count(&mut self, bytes: usize, now: Media) {
        let tenth = now.0.div_euclid(100_000_000);
        for gone in (self.newest + 1..=tenth).rev().take(10) {
            self.tenths[Self::slot(gone)] = 0;
        }
        self.newest = self.newest.max(tenth);
        self.tenths[Self::slot(tenth)] += bytes as u64;
    }

    pub(super) fn bits_per_second(&self, now: Media) -> u32 {
        let tenth = now.0.div_euclid(100_000_000);
        let bytes: u64 = (tenth - 9..=tenth).filter(|t| *t <= self.newest).map(|t| self.tenths[Self::slot(t)]).sum();
        u32::try_from(bytes * 8).unwrap_or(u32::MAX)
    }

    fn slot(tenth: i64) -> usize {
        usize::try_from(tenth.rem_euclid(10)).unwrap_or(0)
    }
}
