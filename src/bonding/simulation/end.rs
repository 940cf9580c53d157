//! One end: the bond under test with what a shell would add to it, and a clock that is its own.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::clock::Clock;
use super::story::Story;
use crate::bonding::{Bond, BondEvent, BondReason, Decision, LinkId};
use crate::netem::End;
use crate::srt::Role;
use crate::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use crate::srt::session::{Delivered, Event, Keys, PathId, Seed, SessionConfig, SessionStats, Terms};
use crate::srt::wire::{HEADER_LEN, SeqNo, SocketId};

/// What an end said.
pub(super) enum Happened {
    /// A path has ended.
    Lost { cable: usize, socket: SocketId },
    /// The policy put the stream on another path.
    Switched,
    /// It doubts the one that carries, and others stand in from now on.
    Doubted,
    /// Nothing that concerns the world.
    Nothing,
}

pub(super) struct Side {
    pub(super) clock: Clock,
    end: End,
    story: Story,
    bond: Option<Bond>,
    /// Which cable a path runs over, and our socket there.
    paths: BTreeMap<PathId, (usize, SocketId)>,
    /// When it is woken next, in truth.
    wake: Option<(Instant, BondReason)>,
    /// When its timestamps are 0, by its own clock.
    start: Option<Instant>,
}

/// Deriving a key from a passphrase takes a millisecond, which thousands of stories cannot spend each.
static MATERIAL: LazyLock<KeyMaterial> = LazyLock::new(|| {
    let passphrase = Passphrase::new("a passphrase for stories").unwrap();
    KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut Random::from_seed(&[7; 32]))
});

impl Side {
    pub(super) fn new(end: End, story: &Story, begin: Instant) -> Self {
        let ppm = if end == End::A { 0 } else { story.drift_ppm };
        let (bond, paths, wake, start) = (None, BTreeMap::new(), None, None);
        Self { clock: Clock::new(begin, ppm), end, story: story.clone(), bond, paths, wake, start }
    }

    /// When its timestamps are 0, by its own clock: as of the first question, or so long before as the story says.
    pub(super) fn start(&mut self, at: Instant) -> Instant {
        let now = self.clock.shows(at);
        *self.start.get_or_insert(now - self.story.uptime)
    }

    pub(super) fn is_connected(&self) -> bool {
        self.bond.is_some()
    }

    pub(super) fn next_seq(&self) -> Option<SeqNo> {
        self.bond.as_ref().map(|bond| bond.session().next_seq())
    }

    /// What a member that joins says in its handshake.
    pub(super) fn keys(&self) -> Option<KeyMaterial> {
        let current = self.bond.as_ref().and_then(|bond| bond.session().keys().cloned());
        self.story.refresh.map(|_| current.unwrap_or_else(|| MATERIAL.clone()))
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.wake.map(|(at, _)| at)
    }

    pub(super) fn why(&self) -> Option<BondReason> {
        self.wake.map(|(_, why)| why)
    }

    /// What the session is made with.
    fn config(&self) -> SessionConfig {
        let usual = SessionConfig { peer_idle: self.story.peer_idle, ..SessionConfig::default() };
        match self.story.refresh {
            Some(refresh) => SessionConfig { refresh, seed: Some(Seed([self.story.seed as u8; 32])), ..usual },
            None => usual,
        }
    }

    /// A connection is there: the session begins with it, or gets another path.
    pub(super) fn join(&mut self, cable: usize, terms: &Terms, keys: Option<KeyMaterial>, now: Instant) -> bool {
        let shown = self.clock.shows(now);
        let role = if self.end == End::A { Role::Caller } else { Role::Listener };
        let terms = Terms { keys: keys.map(|material| Keys { role, material }), ..terms.clone() };
        let (link, weight) = (LinkId(u32::try_from(cable).unwrap()), 100 - 10 * u16::try_from(cable).unwrap());
        let config = self.config();
        let path = match &mut self.bond {
            Some(bond) => match bond.add_path(&terms, link, weight, shown) {
                Ok(path) => path,
                Err(_) => return false,
            },
            None => {
                let bond = Bond::new(self.story.policy, config, &terms, link, weight, shown);
                let path = bond.session().paths().next().unwrap();
                self.bond = Some(bond);
                path
            }
        };
        self.paths.insert(path, (cable, terms.local));
        true
    }

    /// The device has lost its carrier or has it again: the shell gives up what runs over it.
    pub(super) fn carrier(&mut self, cable: usize, has: bool, now: Instant) {
        if has || !self.story.hears_of_carriers {
            return;
        }
        let shown = self.clock.shows(now);
        let gone: Vec<PathId> =
            self.paths.iter().filter(|(_, (over, _))| *over == cable).map(|(path, _)| *path).collect();
        for path in gone {
            if let Some(bond) = &mut self.bond {
                bond.close_path(path, shown);
            }
        }
    }

    pub(super) fn send(&mut self, payload: Bytes, now: Instant) {
        let shown = self.clock.shows(now);
        if let Some(bond) = &mut self.bond {
            bond.send(payload, shown, shown).unwrap();
        }
    }

    pub(super) fn datagram(&mut self, cable: usize, datagram: &Bytes, now: Instant) {
        let shown = self.clock.shows(now);
        // As a shell does: the socket it is for says which path it belongs to, or else the way it came.
        let dest = datagram.get(12..16).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        let by_socket = self.paths.iter().find(|(_, (_, socket))| Some(socket.0) == dest);
        let by_cable = || self.paths.iter().rev().find(|(_, (over, _))| *over == cable);
        let path = by_socket.or_else(by_cable).map(|(path, _)| *path);
        if let (Some(bond), Some(path)) = (&mut self.bond, path) {
            bond.handle_datagram(path, datagram, shown);
        }
    }

    pub(super) fn timeout(&mut self, now: Instant) {
        let shown = self.clock.shows(now);
        if let Some(bond) = &mut self.bond {
            bond.handle_timeout(shown);
        }
    }

    /// The next datagram to be sent, and over which cable.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<(usize, [u8; HEADER_LEN], Bytes)> {
        let shown = self.clock.shows(now);
        loop {
            let transmit = self.bond.as_mut()?.poll_transmit(shown)?;
            // A path that is gone may have left something behind.
            if let Some((cable, _)) = self.paths.get(&transmit.path) {
                return Some((*cable, transmit.header, transmit.payload));
            }
        }
    }

    pub(super) fn poll_deliver(&mut self, now: Instant) -> Option<Delivered> {
        let shown = self.clock.shows(now);
        self.bond.as_mut()?.poll_deliver(shown)
    }

    pub(super) fn poll_event(&mut self, since: Duration) -> Option<Happened> {
        let event = self.bond.as_mut()?.poll_event()?;
        if self.story.tells {
            println!("{since:?} {:?} {event:?}", self.end);
        }
        Some(match event {
            BondEvent::Session(Event::PathClosed { path, .. }) => match self.paths.remove(&path) {
                Some((cable, socket)) => Happened::Lost { cable, socket },
                None => Happened::Nothing,
            },
            BondEvent::Decided(Decision::Switched { .. }) => Happened::Switched,
            BondEvent::Decided(Decision::Doubted { .. }) => Happened::Doubted,
            BondEvent::Session(_) | BondEvent::Decided(_) => Happened::Nothing,
        })
    }

    /// Once everything is out: when it has to be woken, `late` after it asked for. Straight after a timeout that must lie
    /// ahead; otherwise it may be due now, or be overdue if this end wakes up late.
    pub(super) fn settle(&mut self, now: Instant, late: Duration, after_timeout: bool) {
        let Some(bond) = &self.bond else { return };
        let shown = self.clock.shows(now);
        self.wake = bond.poll_timeout().map(|(at, why)| {
            if at > shown {
                return (self.clock.truth(at) + late, why);
            }
            assert!(!after_timeout, "the {:?} end has just done what is due and still wants {why:?}", self.end);
            (now, why)
        });
    }

    pub(super) fn stats(&mut self, now: Instant) -> Option<SessionStats> {
        let shown = self.clock.shows(now);
        self.bond.as_mut().map(|bond| bond.session_mut().stats(shown))
    }
}
