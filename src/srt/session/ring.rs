//! Slots for a moving window of positions: what is in flight, and what has arrived.

/// A position in the stream of packets: a sequence number without wraps ([`crate::srt::wire::SeqNo::extend`]).
pub(super) type Position = u64;

/// One slot for every position of a window `base..next`, found by the low bits of the position. It grows by doubling
/// as the window does, up to the length it was made for, so that an idle session is small.
#[derive(Debug)]
pub(super) struct Ring<T> {
    slots: Vec<T>,
    longest: usize,
}

/// Slots of a new ring.
const FIRST: usize = 256;

impl<T: Default> Ring<T> {
    /// Room for a window of up to `longest` positions, rounded up to a power of two.
    pub(super) fn new(longest: usize) -> Self {
        let longest = longest.clamp(1, 1 << 24).next_power_of_two();
        let mut ring = Self { slots: Vec::new(), longest };
        ring.slots.resize_with(FIRST.min(longest), T::default);
        ring
    }

    /// The longest window.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// How many positions have a slot of their own just now.
    pub(super) const fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of a position. Outside the window it is that of another one.
    pub(super) fn get(&self, at: Position) -> &T {
        &self.slots[self.index(at)]
    }

    /// The slot of a position. Outside the window it is that of another one.
    pub(super) fn get_mut(&mut self, at: Position) -> &mut T {
        let index = self.index(at);
        &mut self.slots[index]
    }

    /// Makes room for the window `base..wanted`, which has reached `next`; false when it is longer than the longest.
    pub(super) fn reserve(&mut self, base: Position, next: Position, wanted: Position) -> bool {
        let wanted = wanted.saturating_sub(base);
        if wanted <= self.slots.len() as u64 {
            return true;
        }
        if wanted > self.longest as u64 {
            return false;
        }
        let length = (wanted as usize).next_power_of_two();
        let mut slots = Vec::new();
        slots.resize_with(length, T::default);
        // What lies before the window is kept as well: a slot remembers what became of its position.
        for at in next.saturating_sub(self.slots.len() as u64)..next {
            let from = self.index(at);
            slots[(at % length as u64) as usize] = std::mem::take(&mut self.slots[from]);
        }
        self.slots = slots;
        true
    }

    fn index(&self, at: Position) -> usize {
        // The length is a power of two, so this is a mask.
        (at & (self.slots.len() as u64 - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_stays_with_its_position_while_the_ring_grows() {
        let mut ring: Ring<u64> = Ring::new(4096);
        let base = (1 << 31) - 100;
        for next in base..base + 4096 {
            assert!(ring.reserve(base, next, next + 1));
            *ring.get_mut(next) = next;
            if (next + 1 - base).is_multiple_of(128) {
                assert!((base..=next).all(|at| *ring.get(at) == at), "after {}", next - base);
            }
        }
        assert_eq!(ring.len(), 4096);
        assert!(!ring.reserve(base, base + 4096, base + 4097), "no longer than asked for");
    }
}
