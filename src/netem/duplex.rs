//! Pure. A cable: two directions and one carrier.

use std::time::Instant;

use super::change::{Change, Direction};
use super::conditions::Conditions;
use super::link::{Entry, Link};

/// One end of a cable. By custom the sender of a stream is at `A`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Sends forward.
    A,
    /// Sends back.
    B,
}

impl End {
    /// The other end.
    pub fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }
}

/// Two links, forward from A to B and back, with a common carrier.
#[derive(Debug)]
pub struct Duplex<T> {
    forward: Link<T>,
    back: Link<T>,
    carrier: bool,
    /// What healing goes back to.
    healthy: (Conditions, Conditions),
}

impl<T: Clone> Duplex<T> {
    /// A cable with the same conditions both ways.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self::asymmetric(conditions, conditions, seed)
    }

    /// A cable with different conditions forward and back.
    pub fn asymmetric(forward: Conditions, back: Conditions, seed: u64) -> Self {
        Self {
            forward: Link::new(forward, seed),
            back: Link::new(back, !seed),
            carrier: true,
            healthy: (forward, back),
        }
    }

    /// Whether a carrier is there. Without one the ends' devices say so and sending fails.
    pub fn carrier(&self) -> bool {
        self.carrier
    }

    /// The direction in which packets from `end` travel.
    pub fn from(&self, end: End) -> &Link<T> {
        match end {
            End::A => &self.forward,
            End::B => &self.back,
        }
    }

    fn link_from(&mut self, end: End) -> &mut Link<T> {
        match end {
            End::A => &mut self.forward,
            End::B => &mut self.back,
        }
    }

    /// Changes what the cable is like.
    pub fn apply(&mut self, change: Change, now: Instant) {
        match change {
            Change::Cut => {
                self.carrier = false;
                self.forward.clear(now);
                self.back.clear(now);
            }
            Change::Heal => {
                self.carrier = true;
                self.forward.set(self.healthy.0, now);
                self.back.set(self.healthy.1, now);
            }
            // A new address at the far side of a NAT: there is none in here, the emulator's sockets have one.
            Change::Rebind => {}
            Change::Delay(..)
            | Change::Jitter(..)
            | Change::Loss(..)
            | Change::Duplicate(..)
            | Change::Rate(..)
            | Change::Hole(..) => {
                let ends: &[End] = match change.direction() {
                    Direction::Forward => &[End::A],
                    Direction::Back => &[End::B],
                    Direction::Both => &[End::A, End::B],
                };
                for end in ends {
                    let link = self.link_from(*end);
                    let changed = change.applied_to(link.conditions());
                    link.set(changed, now);
                }
            }
        }
    }

    /// Sends from `end`; `None` if there is no carrier, as `ENETDOWN` would say.
    pub fn send(&mut self, end: End, packet: T, bytes: usize, now: Instant) -> Option<Entry> {
        let carrier = self.carrier;
        let link = self.link_from(end);
        if !carrier {
            link.refuse();
            return None;
        }
        Some(link.send(packet, bytes, now))
    }

    /// The next packet that has arrived at `end` by `now`.
    pub fn poll(&mut self, end: End, now: Instant) -> Option<T> {
        self.link_from(end.other()).poll(now)
    }

    /// When there is something to do, in either direction.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.forward.poll_timeout().into_iter().chain(self.back.poll_timeout()).min()
    }
}
