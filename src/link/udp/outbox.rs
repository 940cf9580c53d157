//! Pure. Datagrams on their way out, in the order they were given, ready to leave in as few system calls as possible.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// Most datagrams that wait; further ones are lost, as a full queue in the network would lose them.
const MOST: usize = 4096;
/// Most bytes of one train: what fits into one IP packet before it is cut (RFC 768, 16 bit length), with room for headers.
const LONGEST_TRAIN: usize = 65_000;
/// Most datagrams of one sendmmsg.
pub(super) const MANY: usize = 32;

/// Between which addresses a datagram travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The far end.
    pub to: SocketAddr,
    /// Which of our addresses it leaves from; `None` lets the socket's binding or the routing table say.
    pub from: Option<IpAddr>,
}

/// Datagrams that wait to be sent. Bounded: beyond 4096 they are refused.
#[derive(Debug, Default)]
pub struct Outbox {
    /// The datagrams, back to back; those before `start` are gone.
    bytes: Vec<u8>,
    start: usize,
    waiting: VecDeque<(Route, usize)>,
}

/// What leaves with the next system call: the first `count` datagrams.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'o> {
    /// One datagram.
    One { route: Route, bytes: &'o [u8] },
    /// `count` datagrams of `segment` bytes each, the last one possibly shorter, all on one route.
    Train { route: Route, bytes: &'o [u8], segment: usize, count: usize },
    /// Datagrams of any length to anywhere, but all from one of our addresses.
    Many { from: Option<IpAddr>, count: usize },
}

impl Outbox {
    /// Nothing waits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a datagram; false if there is no room for it.
    #[must_use]
    pub fn push(&mut self, route: Route, datagram: &[u8]) -> bool {
        self.push_with(route, |bytes| bytes.extend_from_slice(datagram))
    }

    /// Adds the datagram that `write` appends; false if there is no room for it, or if it is empty. `write` must not
    /// change what is there already.
    #[must_use]
    pub fn push_with(&mut self, route: Route, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        if self.waiting.len() >= MOST {
            return false;
        }
        let before = self.bytes.len();
        write(&mut self.bytes);
        match self.bytes.len().checked_sub(before) {
            None | Some(0) => false,
            Some(length) => {
                self.waiting.push_back((route, length));
                true
            }
        }
    }

    /// Datagrams that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What leaves next; trains have at most `longest_train` datagrams, 1 for none.
    pub(super) fn next(&self, longest_train: usize) -> Option<Next<'_>> {
        let (route, length) = *self.waiting.front()?;
        let (count, bytes) = self.train(0, longest_train);
        if count > 1 {
            return Some(Next::Train { route, bytes: self.slice(self.start, bytes), segment: length, count });
        }
        let various = |at: &usize| {
            self.waiting.get(*at).is_some_and(|(other, _)| other.from == route.from)
                && self.train(*at, longest_train.min(2)).0 < 2
        };
        match (1..MANY).take_while(various).count() + 1 {
            1 => Some(Next::One { route, bytes: self.slice(self.start, length) }),
            count => Some(Next::Many { from: route.from, count }),
        }
    }

    /// The first `count` datagrams.
    pub(super) fn first(&self, count: usize) -> impl Iterator<Item = (Route, &[u8])> {
        let mut at = self.start;
        self.waiting.iter().take(count).map(move |(route, length)| {
            let bytes = self.slice(at, *length);
            at += length;
            (*route, bytes)
        })
    }

    /// The first `count` datagrams are gone, one way or the other. Returns their bytes.
    pub(super) fn done(&mut self, count: usize) -> usize {
        let bytes: usize = self.waiting.drain(..count.min(self.waiting.len())).map(|(_, length)| length).sum();
        self.start += bytes;
        if self.waiting.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        bytes
    }

    /// How many datagrams from the one at `first` on can leave as a train, and their bytes.
    fn train(&self, first: usize, longest: usize) -> (usize, usize) {
        let mut waiting = self.waiting.iter().skip(first);
        let Some((route, segment)) = waiting.next() else { return (0, 0) };
        let (mut count, mut bytes) = (1, *segment);
        for (other, length) in waiting.take(longest.saturating_sub(1)) {
            if other != route || length > segment || bytes + length > LONGEST_TRAIN {
                break;
            }
            (count, bytes) = (count + 1, bytes + length);
            if length < segment {
                break;
            }
        }
        (count, bytes)
    }

    fn slice(&self, at: usize, length: usize) -> &[u8] {
        self.bytes.get(at..at + length).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn route(port: u16) -> Route {
        Route { to: SocketAddr::from(([192, 0, 2, 1], port)), from: None }
    }

    fn outbox(datagrams: &[(u16, usize)]) -> Outbox {
        let mut outbox = Outbox::new();
        for (i, (port, length)) in datagrams.iter().enumerate() {
            assert!(outbox.push(route(*port), &vec![i as u8; *length]));
        }
        outbox
    }

    /// The system calls it takes: T5 is a train of five, M3 one sendmmsg of three, 1 one sendmsg.
    fn calls(mut outbox: Outbox, longest_train: usize) -> String {
        let (mut calls, mut next_byte) = (Vec::new(), 0);
        while let Some(next) = outbox.next(longest_train) {
            let count = match next {
                Next::One { bytes, .. } => {
                    calls.push("1".to_owned());
                    assert_eq!(bytes[0], next_byte);
                    1
                }
                Next::Train { bytes, segment, count, .. } => {
                    calls.push(format!("T{count}"));
                    let firsts: Vec<u8> = bytes.chunks(segment).map(|c| c[0]).collect();
                    assert_eq!(firsts, (next_byte..next_byte + count as u8).collect::<Vec<_>>());
                    count
                }
                Next::Many { count, .. } => {
                    calls.push(format!("M{count}"));
                    count
                }
            };
            next_byte += count as u8;
            outbox.done(count);
        }
        calls.join(" ")
    }

    #[test]
    fn equal_datagrams_leave_as_trains_and_the_rest_in_batches() {
        assert_eq!(calls(outbox(&[(1, 1332); 5]), 64), "T5");
        assert_eq!(calls(outbox(&[(1, 1332); 5]), 2), "T2 T2 1");
        assert_eq!(calls(outbox(&[(1, 1332); 5]), 1), "M5", "no offload");
        assert_eq!(calls(outbox(&[(1, 44), (1, 1332), (1, 1332), (1, 60)]), 64), "1 T3", "the last may be shorter");
        assert_eq!(calls(outbox(&[(1, 1332), (2, 1332), (3, 1332)]), 64), "M3", "to three far ends");
        assert_eq!(calls(outbox(&[(1, 44), (1, 60), (2, 1332), (2, 1332)]), 64), "M2 T2");
        assert_eq!(calls(outbox(&[(1, 1332); 60]), 64), "T48 T12", "one IP packet holds 65 000 bytes");
        assert_eq!(calls(outbox(&[(1, 44); 40]), 1), "M32 M8");
    }

    #[test]
    fn datagrams_from_different_addresses_do_not_share_a_call() {
        let mut outbox = Outbox::new();
        for last in [1, 2, 2] {
            let from = Some(IpAddr::from([127, 0, 0, last]));
            assert!(outbox.push(Route { from, ..route(1) }, &[0; 10]));
        }
        assert!(matches!(outbox.next(1), Some(Next::One { .. })));
        outbox.done(1);
        assert!(matches!(outbox.next(1), Some(Next::Many { count: 2, .. })));
    }

    #[test]
    fn a_full_outbox_refuses_and_what_was_sent_makes_room() {
        let mut outbox = Outbox::new();
        for _ in 0..MOST {
            assert!(outbox.push(route(1), &[1]));
        }
        assert!(!outbox.push(route(1), &[1]));
        assert_eq!(outbox.done(MOST - 1), MOST - 1);
        assert!(outbox.bytes.len() < 10, "what is gone takes no memory");
        assert!(outbox.push(route(1), &[2]));
        assert_eq!(outbox.first(9).map(|(_, bytes)| bytes[0]).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn an_empty_datagram_is_none() {
        let mut outbox = Outbox::new();
        assert!(!outbox.push(route(1), &[]));
        assert!(outbox.is_empty() && outbox.next(64).is_none());
    }
}
