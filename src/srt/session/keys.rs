//! Encryption: which keys seal what leaves, which open what arrives, and their refresh.
//!
//! Who called has one set of sending keys for all paths, so a packet is sealed once, when it is given to the session.
//! Who was called has those of each caller's path, and seals packets as they leave.

use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::event::Event;
use super::path::PeerKind;
use super::time::{Micros, duration};
use super::{Keys, Session, SessionConfig};
use crate::srt::Role;
use crate::srt::crypto::{KeyAnnouncer, KeyMaterial, KmAnswer, KmReply, KmStatus, Random, ReceiveKeys, SendKeys};
use crate::srt::wire::{Control, KeyFlag, SeqNo, kind};

/// Deciphered payloads are cut from pieces of this size.
const ARENA: usize = 64 << 10;

/// The keys of one path.
#[derive(Debug)]
pub(super) struct PathKeys {
    receive: ReceiveKeys,
    /// Of a path whose peer called.
    send: Option<SendKeys>,
    announcer: KeyAnnouncer,
}

/// The keys of a session.
#[derive(Debug, Default)]
pub(super) struct SessionKeys {
    /// Of a session whose paths were called from here.
    send: Option<SendKeys>,
    random: Option<Random>,
    arena: BytesMut,
}

impl SessionKeys {
    /// Whether keys ever change.
    pub(super) const fn are_refreshed(&self) -> bool {
        self.random.is_some()
    }

    /// The keys of a path that joins; the first one's become the session's if this side called.
    pub(super) fn join(&mut self, keys: &Keys, config: &SessionConfig) -> PathKeys {
        if self.random.is_none() {
            self.random = config.seed.map(|seed| Random::from_seed(&seed.0));
        }
        let receive = ReceiveKeys::new(&keys.material);
        let of_handshake = SendKeys::new(&keys.material, config.refresh);
        match keys.role {
            Role::Caller => {
                let shared = self.send.get_or_insert_with(|| of_handshake.clone());
                let current = shared.material().message() == keys.material.message();
                // A path that was called before the last refresh does not know the new key.
                let announcer = KeyAnnouncer::new(if current { shared } else { &of_handshake });
                PathKeys { receive, send: None, announcer }
            }
            Role::Listener => {
                let announcer = KeyAnnouncer::new(&of_handshake);
                PathKeys { receive, send: Some(of_handshake), announcer }
            }
        }
    }

    /// Seals a packet for all paths. Without keys of its own the session keeps it as it is.
    pub(super) fn seal(&mut self, seq: SeqNo, payload: Bytes) -> (Bytes, KeyFlag) {
        let Some(keys) = &mut self.send else { return (payload, KeyFlag::Clear) };
        let mut payload = payload.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        let flag = keys.encrypt(seq, &mut payload);
        (payload.freeze(), flag)
    }

    /// Opens a packet that came on a path with these keys; None if that is not possible, or the packet should have been
    /// sealed and is not, or the other way round.
    pub(super) fn open(&mut self, keys: Option<&PathKeys>, flag: KeyFlag, seq: SeqNo, payload: Bytes) -> Option<Bytes> {
        match keys {
            None => (flag == KeyFlag::Clear).then_some(payload),
            Some(keys) => {
                if self.arena.capacity() < payload.len() {
                    self.arena.reserve(ARENA);
                }
                self.arena.extend_from_slice(&payload);
                let mut opened = self.arena.split();
                keys.receive.decrypt(flag, seq, &mut opened).ok()?;
                Some(opened.freeze())
            }
        }
    }
}

impl PathKeys {
    /// Seals a packet as it leaves on a path with keys of its own: `before` is what it was sealed with when it left
    /// the first time. None if that key is gone.
    pub(super) fn seal(&mut self, before: Option<KeyFlag>, seq: SeqNo, payload: &Bytes) -> Option<(Bytes, KeyFlag)> {
        let Some(keys) = &mut self.send else { return None };
        let mut sealed = BytesMut::from(&payload[..]);
        let flag = match before {
            None => keys.encrypt(seq, &mut sealed),
            Some(flag) => keys.encrypt_again(flag, seq, &mut sealed).then_some(flag)?,
        };
        Some((sealed.freeze(), flag))
    }

    /// Whether packets are sealed path by path.
    pub(super) const fn seals(&self) -> bool {
        self.send.is_some()
    }

    /// When a key is announced again.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.announcer.poll_timeout()
    }
}

impl Session {
    /// The keys that a path which joins must say in its handshake; None if the session is not encrypted or its paths
    /// are called by the peer.
    pub fn keys(&self) -> Option<&KeyMaterial> {
        self.keys.send.as_ref().map(SendKeys::material)
    }

    /// Changes keys if it is time, and tells the peers.
    pub(super) fn maintain_keys(&mut self, now: Micros) {
        // Whoever had not confirmed may have left, and then no answer of anybody's is awaited.
        self.confirm_if_all_have();
        let Some(random) = &mut self.keys.random else { return };
        if let Some(keys) = &mut self.keys.send
            && let Some(change) = keys.maintain(random)
        {
            self.events.push_back(Event::Keys { path: None, change });
        }
        for path in &mut self.paths {
            if let Some(keys) = path.keys.as_mut().and_then(|keys| keys.send.as_mut())
                && let Some(change) = keys.maintain(random)
            {
                self.events.push_back(Event::Keys { path: Some(path.id), change });
            }
        }
        self.announce_keys(now);
    }

    /// Sends the KMREQs that are due.
    pub(super) fn announce_keys(&mut self, now: Micros) {
        let instant = self.line.instant(now);
        for index in 0..self.paths.len() {
            let path = &mut self.paths[index];
            let Some(own) = &mut path.keys else { continue };
            let Some(keys) = own.send.as_ref().or(self.keys.send.as_ref()) else { continue };
            let Some(message) = own.announcer.poll(keys, duration(path.rtt.smoothed()), instant) else { continue };
            let message = message.to_vec();
            self.say(index, Control::Extended { subtype: kind::KMREQ, body: &message }, now);
        }
    }

    /// The peer has a new key.
    pub(super) fn on_key_request(&mut self, index: usize, message: &[u8], now: Micros) {
        let instant = self.line.instant(now);
        let reply = match &mut self.paths[index].keys {
            Some(keys) => keys.receive.handle_request(message, instant),
            None => KmReply::Refused(KmStatus::NoSecret),
        };
        if reply == KmReply::Accepted && self.paths[index].kind == PeerKind::Shared {
            // The peer seals for all paths alike. Another path may be in a hole now and bring packets before its own
            // announcement; with an older key of the same parity they would be opened into nonsense.
            for (_, path) in self.paths.iter_mut().enumerate().filter(|(other, _)| *other != index) {
                if let Some(keys) = path.keys.as_mut().filter(|_| path.kind == PeerKind::Shared) {
                    keys.receive.handle_request(message, instant);
                }
            }
        }
        let status;
        let body = match reply {
            KmReply::Accepted | KmReply::Repeated => message,
            KmReply::Refused(why) => {
                status = why.to_bytes();
                &status[..]
            }
            KmReply::Ignored => return,
        };
        self.say(index, Control::Extended { subtype: kind::KMRSP, body }, now);
    }

    /// The peer answers an announcement.
    pub(super) fn on_key_response(&mut self, index: usize, body: &[u8]) {
        let path = &mut self.paths[index];
        let Some(own) = &mut path.keys else { return };
        let Some(keys) = own.send.as_ref().or(self.keys.send.as_ref()) else { return };
        match own.announcer.handle_response(keys, body) {
            KmAnswer::Confirmed => {}
            KmAnswer::Refused(status) => {
                let path = path.id;
                self.event(Event::KeyRefused { path, status });
                return;
            }
            KmAnswer::Unrelated => return,
        }
        if let Some(own) = &mut self.paths[index].keys
            && let Some(keys) = &mut own.send
        {
            keys.confirm();
        } else {
            self.confirm_if_all_have();
        }
    }

    /// The next key may be used once all paths have confirmed it. Without any path nobody has.
    fn confirm_if_all_have(&mut self) {
        let Some(keys) = &mut self.keys.send else { return };
        let mut all = self.paths.iter().filter_map(|path| path.keys.as_ref()).peekable();
        if all.peek().is_some() && all.all(|own| own.announcer.is_confirmed(keys)) {
            keys.confirm();
        }
    }
}
