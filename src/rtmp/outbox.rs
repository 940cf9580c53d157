//! Bytes on their way to a socket: small headers held inline, payloads by reference, laid out for one vectored write.

use std::collections::VecDeque;

use bytes::Bytes;

/// Bytes waiting to be written, as segments. Adding a picture allocates nothing once the queue has found its size.
///
/// Unbounded by itself: whoever fills it does so only when it is empty (see `output::rtmp`), so that it holds at most
/// one batch.
#[derive(Debug, Default)]
pub struct Outbox {
    segments: VecDeque<Segment>,
    /// Bytes of the first segment that are already written.
    written: usize,
    /// Bytes left in all segments.
    left: usize,
}

#[derive(Debug)]
enum Segment {
    Inline { bytes: [u8; Outbox::INLINE_MAX], len: u8 },
    Shared(Bytes),
}

impl Segment {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Inline { bytes, len } => &bytes[..usize::from(*len)],
            Self::Shared(bytes) => bytes,
        }
    }
}

impl Outbox {
    /// Longest inline segment: a chunk header with extended timestamp (16) and a tag head (8), with room to spare.
    pub const INLINE_MAX: usize = 30;

    /// Empty.
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes not yet written.
    pub const fn len(&self) -> usize {
        self.left
    }

    /// Whether everything is written.
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// The unwritten bytes in order, as slices. None is empty.
    pub fn slices(&self) -> impl Iterator<Item = &[u8]> {
        self.segments.iter().enumerate().map(|(i, s)| &s.as_slice()[if i == 0 { self.written } else { 0 }..])
    }

    /// Takes `count` bytes off the front: they are written. More than there are is taken as all.
    pub fn advance(&mut self, count: usize) {
        let mut count = count.min(self.left);
        self.left -= count;
        while let Some(first) = self.segments.front() {
            let rest = first.as_slice().len() - self.written;
            if count < rest {
                self.written += count;
                return;
            }
            count -= rest;
            self.written = 0;
            self.segments.pop_front();
        }
    }

    /// Adds a few bytes of our own; longer ones than [`Self::INLINE_MAX`] go to the heap.
    pub fn push_copy(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.left += bytes.len();
        let mut inline = [0; Self::INLINE_MAX];
        self.segments.push_back(match (inline.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(bytes);
                Segment::Inline { bytes: inline, len }
            }
            _ => Segment::Shared(Bytes::copy_from_slice(bytes)),
        });
    }

    /// Adds bytes by reference.
    pub fn push_shared(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.left += bytes.len();
            self.segments.push_back(Segment::Shared(bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_whatever_the_writes(
            pieces in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
            writes in prop::collection::vec(0usize..100, 1..50),
        ) {
            let mut outbox = Outbox::new();
            for (copy, bytes) in &pieces {
                if *copy { outbox.push_copy(bytes) } else { outbox.push_shared(bytes.clone().into()) }
            }
            let whole: Vec<u8> = pieces.into_iter().flat_map(|p| p.1).collect();
            let mut read = Vec::new();
            for count in writes.into_iter().cycle().take(2000) {
                let available: Vec<u8> = outbox.slices().flatten().copied().collect();
                prop_assert_eq!(available.len(), outbox.len());
                prop_assert!(outbox.slices().all(|s| !s.is_empty()));
                read.extend_from_slice(&available[..count.min(available.len())]);
                outbox.advance(count);
            }
            if outbox.is_empty() { prop_assert_eq!(read, whole) } else { prop_assert!(whole.starts_with(&read)) }
        }
    }
}
