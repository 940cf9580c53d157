//! From a conclusion to a connection, or to a refusal.

use std::time::{Duration, Instant};

use super::groups::{Group, GroupKey, MOST_MEMBERS, Open};
use super::pending::Pending;
use super::refusal::Refusal;
use super::{Acceptance, Caller, Listener, ListenerEvent, RequestId, Standing, encode};
use crate::srt::crypto::KeyMaterial;
use crate::srt::negotiated::{
    Membership, Negotiated, OUR_FLAGS, Role, SRT_VERSION, millis, peer_start, random_socket_id, timestamp,
};
use crate::srt::wire::{
    Capabilities, Extension, Extensions, GroupExtension, GroupId, Handshake, HandshakeFlags, HandshakeKind,
    RejectReason, SocketId, VERSION_5, wire_address,
};

/// What a connection is to have, beside what its caller says.
struct Terms {
    keys: Option<KeyMaterial>,
    receive_latency: Duration,
    send_latency: Duration,
    start: Instant,
    group: Option<Membership>,
}

impl Listener {
    /// Lets a caller in, if it has the passphrase. False if it does not wait any more.
    pub fn accept(&mut self, id: RequestId, acceptance: &Acceptance, now: Instant) -> bool {
        let Some((caller, pending)) = self.waits(id) else { return false };
        let keys = match self.open_keys(&pending, acceptance) {
            Ok(keys) => keys,
            Err(refusal) => {
                self.refuse_waiting(id, refusal, None, now);
                return true;
            }
        };
        let offer = &self.config.offer;
        let larger = |ours: Duration, ms: u16| Duration::from_millis(millis(ours).max(ms).into());
        let receive = acceptance.receive_latency.unwrap_or(offer.receive_latency);
        let send = acceptance.send_latency.unwrap_or(offer.send_latency);
        let receive_latency = larger(receive, pending.capabilities.send_latency_ms);
        let send_latency = larger(send, pending.capabilities.receive_latency_ms);
        let start = now;
        let mut terms = Terms { keys, receive_latency, send_latency, start, group: None };
        let Some(group) = pending.group else {
            self.connect(caller, &pending, terms, now);
            return true;
        };
        let local = self.new_group_id();
        let group_type = group.group_type;
        terms.group = Some(Membership { local, peer: group.id, group_type, weight: group.weight });
        self.connect(caller, &pending, terms, now);
        let key = GroupKey { peer: group.id, stream_id: pending.stream_id.clone() };
        let acceptance = acceptance.clone();
        let open = Open { local, group_type, acceptance, receive_latency, send_latency, start, members: 1 };
        for other in self.groups.open(key, open) {
            if let Some((caller, pending)) = self.waits(other) {
                self.join(caller, &pending, now);
            }
        }
        true
    }

    /// Refuses a caller. False if it does not wait any more.
    pub fn reject(&mut self, id: RequestId, reason: RejectReason, now: Instant) -> bool {
        let waits = self.waiting.contains_key(&id);
        self.refuse_waiting(id, Refusal::Denied, Some(reason), now);
        waits
    }

    /// A caller with a good cookie and a conclusion that makes sense.
    pub(super) fn admit(&mut self, caller: Caller, pending: Pending, now: Instant) {
        let key = pending.group.map(|group| GroupKey { peer: group.id, stream_id: pending.stream_id.clone() });
        // However many strangers wait, members of a running session get in.
        if let Some(Group::Open(_)) = key.as_ref().and_then(|key| self.groups.get_mut(key)) {
            return self.join(caller, &pending, now);
        }
        let full = self.waiting.len() >= self.config.most_pending
            || self.waiting.len() + self.connected.len() >= self.config.most_connections;
        if full || (key.is_some() && !self.config.groups) {
            let refusal = if full { Refusal::Full } else { Refusal::Group };
            return self.refuse(caller, &pending, refusal, None, now);
        }
        let id = pending.id;
        self.waiting.insert(id, caller);
        match key.map(|key| (self.groups.get_mut(&key).is_some(), key)) {
            Some((true, key)) => self.groups.wait(&key, id),
            alone_or_first => {
                if let Some((_, key)) = alone_or_first {
                    self.groups.begin(key, id);
                }
                self.events.push_back(ListenerEvent::Request(pending.request()));
            }
        }
        self.callers.insert(caller, Standing::Waits(Box::new(pending)));
    }

    /// A member of a group that is open.
    fn join(&mut self, caller: Caller, pending: &Pending, now: Instant) {
        self.waiting.remove(&pending.id);
        match self.join_terms(pending) {
            Ok(terms) => self.connect(caller, pending, terms, now),
            Err(refusal) => self.refuse(caller, pending, refusal, None, now),
        }
    }

    fn join_terms(&mut self, pending: &Pending) -> Result<Terms, Refusal> {
        if self.connected.len() >= self.config.most_connections {
            return Err(Refusal::Full);
        }
        let group = pending.group.ok_or(Refusal::Group)?;
        let key = GroupKey { peer: group.id, stream_id: pending.stream_id.clone() };
        let open = match self.groups.get_mut(&key) {
            Some(Group::Open(open)) if open.group_type == group.group_type && open.members < MOST_MEMBERS => {
                open.clone()
            }
            Some(Group::Open(_) | Group::Deciding { .. }) | None => return Err(Refusal::Group),
        };
        let keys = self.open_keys(pending, &open.acceptance)?;
        if let Some(Group::Open(open)) = self.groups.get_mut(&key) {
            open.members += 1;
        }
        let Open { local, group_type, receive_latency, send_latency, start, .. } = open;
        let group = Some(Membership { local, peer: group.id, group_type, weight: group.weight });
        Ok(Terms { keys, receive_latency, send_latency, start, group })
    }

    /// Opens the keys. A message that was accepted before comes from somebody who has the keys and can prove it, or
    /// from somebody who has recorded it: libsrt makes new keys for every connection.
    fn open_keys(&mut self, pending: &Pending, acceptance: &Acceptance) -> Result<Option<KeyMaterial>, Refusal> {
        let keys = pending.open_keys(acceptance.passphrase.as_ref())?;
        if let Some(keys) = &keys {
            if self.seen.contains(keys.digest()) && !pending.has_proof(keys) {
                return Err(Refusal::Replayed);
            }
            self.seen.insert(keys.digest());
        }
        Ok(keys)
    }

    /// Answers yes.
    fn connect(&mut self, caller: Caller, pending: &Pending, terms: Terms, now: Instant) {
        let local = self.new_socket_id();
        let offer = self.config.offer;
        let mss = pending.mss.min(offer.mss());
        let mut blocks = Vec::new();
        let flags = write_blocks(pending, &terms, &mut blocks);
        let private = offer.common(pending.private);
        if let Some(ours) = offer.private(None)
            && private.is_some()
        {
            Extension::Private(ours).encode(&mut blocks);
        }
        let handshake = Handshake {
            version: VERSION_5,
            encryption: terms.keys.as_ref().map_or(0, |keys| keys.length().advertised()),
            extension: flags,
            // The caller checks that it is its own.
            isn: pending.isn,
            mss,
            flow_window: offer.flow_window,
            kind: HandshakeKind::Conclusion,
            socket_id: local,
            cookie: pending.cookie,
            peer_ip: wire_address(pending.route.peer.ip()),
            extensions: Extensions::new(&blocks),
        };
        let answer = encode(pending.socket, handshake, timestamp(terms.start, now));
        let negotiated = Negotiated {
            role: Role::Listener,
            local,
            peer: pending.socket,
            isn: pending.isn,
            peer_version: pending.capabilities.version,
            peer_flags: pending.capabilities.flags,
            receive_latency: terms.receive_latency,
            send_latency: terms.send_latency,
            flow_window: pending.flow_window,
            mss,
            start: terms.start,
            peer_start: peer_start(pending.arrival, pending.timestamp),
            rtt: None,
            keys: terms.keys,
            group: terms.group,
            stream_id: pending.stream_id.clone(),
            private,
        };
        self.waiting.remove(&pending.id);
        self.connected.insert(local, caller);
        let group = terms.group.map(|group| group.local);
        self.callers.insert(caller, Standing::Connected { answer: answer.clone(), start: terms.start, group });
        self.stats.connections += 1;
        self.transmit(pending.route, answer);
        let (route, negotiated) = (pending.route, Box::new(negotiated));
        self.events.push_back(if group.is_some_and(|local| self.groups.has_local(local)) {
            ListenerEvent::Joined { route, negotiated }
        } else {
            ListenerEvent::Connected { request: pending.id, route, negotiated }
        });
    }

    /// Refuses a caller that waits; if others of its group wait for it, the next of them is the first.
    pub(super) fn refuse_waiting(
        &mut self,
        id: RequestId,
        refusal: Refusal,
        reason: Option<RejectReason>,
        now: Instant,
    ) {
        let Some((caller, pending)) = self.waits(id) else {
            self.waiting.remove(&id);
            return;
        };
        self.refuse(caller, &pending, refusal, reason, now);
        let Some(group) = pending.group else { return };
        let key = GroupKey { peer: group.id, stream_id: pending.stream_id };
        if let Some((_, first)) = self.groups.waiting_left(&key, id).and_then(|first| self.waits(first)) {
            self.events.push_back(ListenerEvent::Request(first.request()));
        }
    }

    fn refuse(
        &mut self,
        caller: Caller,
        pending: &Pending,
        refusal: Refusal,
        reason: Option<RejectReason>,
        now: Instant,
    ) {
        self.waiting.remove(&pending.id);
        self.tell(refusal, pending.route, &pending.stream_id, now);
        let answer = reason.or(refusal.reason()).map(|reason| {
            let question = Handshake {
                version: VERSION_5,
                encryption: 0,
                extension: 0,
                isn: pending.isn,
                mss: pending.mss,
                flow_window: pending.flow_window,
                kind: HandshakeKind::Conclusion,
                socket_id: pending.socket,
                cookie: pending.cookie,
                peer_ip: wire_address(pending.route.peer.ip()),
                extensions: Extensions::NONE,
            };
            self.rejection(pending.socket, &question, reason, now)
        });
        self.set_over(caller, answer.clone(), now);
        if let Some(answer) = answer {
            self.transmit(pending.route, answer);
        }
    }

    fn waits(&self, id: RequestId) -> Option<(Caller, Pending)> {
        let caller = self.waiting.get(&id)?;
        match self.callers.get(caller) {
            Some(Standing::Waits(pending)) => Some((*caller, (**pending).clone())),
            Some(Standing::Connected { .. } | Standing::Over(_)) | None => None,
        }
    }

    fn new_socket_id(&mut self) -> SocketId {
        loop {
            let id = random_socket_id(&mut self.random);
            if !self.connected.contains_key(&id) {
                return id;
            }
        }
    }

    fn new_group_id(&mut self) -> GroupId {
        loop {
            let id = GroupId::marked(self.random.next_u32());
            if !self.groups.has_local(id) {
                return id;
            }
        }
    }
}

/// Writes the answer's extensions in libsrt's order; returns the flags that announce them.
fn write_blocks(pending: &Pending, terms: &Terms, out: &mut Vec<u8>) -> u16 {
    let mut flags = HandshakeFlags::HSREQ;
    let ours = Capabilities {
        version: SRT_VERSION,
        flags: OUR_FLAGS,
        receive_latency_ms: millis(terms.receive_latency),
        send_latency_ms: millis(terms.send_latency),
    };
    Extension::HsRsp(ours).encode(out);
    if let Some(Membership { local: id, group_type, weight, .. }) = terms.group {
        flags |= HandshakeFlags::CONFIG;
        Extension::Group(GroupExtension { id, group_type, flags: 0, weight }).encode(out);
    }
    if let Some(km) = pending.km.as_ref().filter(|_| terms.keys.is_some()) {
        flags |= HandshakeFlags::KMREQ;
        Extension::KmRsp(km).encode(out);
    }
    flags
}
