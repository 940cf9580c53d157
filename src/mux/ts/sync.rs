//! Finds the packets in whatever comes.

use super::packet::{LENGTH, SYNC};

/// Packets in a row that must begin with the sync byte before they are believed.
const PROOF: usize = 3;

/// Cuts bytes into packets. Holds less than three packets.
#[derive(Debug, Default)]
pub(super) struct Sync {
    held: Vec<u8>,
    locked: bool,
    /// Times that a packet was expected and something else was there.
    pub(super) losses: u64,
    /// Bytes that belonged to no packet.
    pub(super) skipped: u64,
}

impl Sync {
    /// Passes on each packet that is whole with `data`.
    pub(super) fn push(&mut self, data: &[u8], mut each: impl FnMut(&[u8; LENGTH])) {
        if self.held.is_empty() {
            let taken = self.cut(data, &mut each);
            self.held.extend_from_slice(data.get(taken..).unwrap_or_default());
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(data);
            let taken = self.cut(&held, &mut each);
            held.drain(..taken);
            self.held = held;
        }
    }

    /// Passes on what was held for want of proof: no more will come.
    pub(super) fn flush(&mut self, mut each: impl FnMut(&[u8; LENGTH])) {
        let held = std::mem::take(&mut self.held);
        for packet in held.chunks_exact(LENGTH) {
            if let Some(packet) = packet.first_chunk::<LENGTH>().filter(|packet| packet[0] == SYNC) {
                each(packet);
            }
        }
        self.locked = false;
    }

    /// Bytes used up.
    fn cut(&mut self, data: &[u8], each: &mut impl FnMut(&[u8; LENGTH])) -> usize {
        let mut at = 0;
        loop {
            if !self.locked {
                let (found, proven) = search(data, at);
                self.skipped += (found - at) as u64;
                at = found;
                self.locked = proven;
                if !proven {
                    return at;
                }
            }
            let Some(packet) = data.get(at..).and_then(<[u8]>::first_chunk::<LENGTH>) else { return at };
            if packet[0] == SYNC {
                each(packet);
                at += LENGTH;
            } else {
                self.locked = false;
                self.losses += 1;
            }
        }
    }
}

/// The first place at or after `from` where packets may begin, and whether as many as it takes are there to prove it.
fn search(data: &[u8], from: usize) -> (usize, bool) {
    for at in from..data.len() {
        let mut syncs = (0..PROOF).map(|n| data.get(at + n * LENGTH));
        if syncs.clone().all(|byte| byte.is_none_or(|byte| *byte == SYNC)) {
            return (at, syncs.all(|byte| byte.is_some()));
        }
    }
    (data.len(), false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(n: u8) -> Vec<u8> {
        let mut packet = vec![n; LENGTH];
        packet[0] = SYNC;
        packet
    }

    fn cut(sync: &mut Sync, data: &[u8]) -> Vec<u8> {
        let mut found = Vec::new();
        sync.push(data, |packet| found.push(packet[1]));
        found
    }

    #[test]
    fn packets_are_found_behind_garbage_and_in_any_pieces() {
        let stream = [vec![SYNC; 50], vec![3; 100], packet(1), packet(2), packet(3), packet(4)].concat();
        for piece in [1, 7, 187, 188, 189, 1316] {
            let mut sync = Sync::default();
            let found: Vec<u8> = stream.chunks(piece).flat_map(|data| cut(&mut sync, data)).collect();
            assert_eq!((found, sync.skipped, sync.losses), (vec![1, 2, 3, 4], 150, 0), "in pieces of {piece}");
        }
    }

    #[test]
    fn bytes_lost_in_the_middle_cost_the_packet_they_were_in() {
        let stream: Vec<u8> = (1..=8).flat_map(packet).collect();
        let mut sync = Sync::default();
        let found = cut(&mut sync, &[&stream[..400], &stream[450..]].concat());
        // The third comes with some of the fourth at its end, which the next layer notices.
        assert_eq!((found, sync.losses), (vec![1, 2, 3, 5, 6, 7, 8], 1));
    }

    #[test]
    fn a_last_packet_without_proof_comes_out_at_the_end() {
        let mut sync = Sync::default();
        assert!(cut(&mut sync, &packet(9)).is_empty());
        let mut found = Vec::new();
        sync.flush(|packet| found.push(packet[1]));
        assert_eq!(found, [9]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_cut_and_little_is_held(pieces: Vec<Vec<u8>>) {
            let mut sync = Sync::default();
            for piece in pieces {
                sync.push(&piece, |packet| assert_eq!(packet[0], SYNC));
                prop_assert!(sync.held.len() < PROOF * LENGTH);
            }
        }
    }
}
