//! The called side of a handshake: one listener for all callers and all local ports.
//!
//! ```text
//!   INDUCTION ──► cookie                                             nothing is kept
//!   CONCLUSION ─► good cookie? ─► seen before? ── yes ─► the same answer again
//!                                    │ no
//!                                    ▼
//!                  alone, or first of its group ──► Request ──accept──► keys? ──► Connected
//!                                    │                 └────reject, late──────► refused
//!                  next of its group ─► waits for the first ─► keys? ──► Joined
//! ```
//!
//! Whom to let in, and with which passphrase, is decided by who hears [`ListenerEvent::Request`]. A group is known by the
//! peer's group id *and* the stream id, and its members have to have the group's passphrase: libsrt goes by the id alone.
//!
//! *Invariant:* nothing is kept of a datagram without a good cookie; of those with one, a bounded number for a bounded
//! time.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::crypto::{Passphrase, Random};
use super::negotiated::{Negotiated, Offer, stamp, timestamp};
use super::stream_id::StreamId;
use super::wire::{
    Control, ControlPacket, Extensions, GroupType, Handshake, HandshakeKind, MAGIC, Packet, RejectReason, SocketId,
    Timestamp, VERSION_5, wire_address,
};

mod admission;
mod cookie;
mod groups;
mod limiter;
mod pending;
mod refusal;
mod seen;

use cookie::Cookies;
use groups::Groups;
use limiter::Limiter;
use pending::{Arrival, Pending};
use refusal::Refusals;
pub use refusal::{Refusal, Refused};
use seen::Seen;

/// How a datagram came, and hence how its answer has to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// Which of our sockets; a number of the shell's.
    pub socket: u32,
    /// The address it was sent to (IP_PKTINFO), for the answer to come from there.
    pub local: Option<IpAddr>,
    /// Whom it came from.
    pub peer: SocketAddr,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where.
    pub route: Route,
    /// What.
    pub datagram: Vec<u8>,
}

/// What a listener is set up with.
#[derive(Clone, Copy, Debug)]
pub struct ListenerConfig {
    /// What is offered to every caller; an acceptance may name other latencies.
    pub offer: Offer,
    /// Whether groups are taken (libsrt's SRTO_GROUPCONNECT).
    pub groups: bool,
    /// Most callers that wait for a decision at a time.
    pub most_pending: usize,
    /// Most connections at a time.
    pub most_connections: usize,
    /// How long a decision may take; the caller gives up after 3 s as a rule.
    pub decide_within: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self {
            offer: Offer::default(),
            groups: true,
            most_pending: 64,
            most_connections: 256,
            decide_within: Duration::from_secs(3),
        }
    }
}

/// A caller that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestId(u64);

/// Somebody asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// For [`Listener::accept`] and [`Listener::reject`].
    pub id: RequestId,
    /// Where it calls from, and where to.
    pub route: Route,
    /// What it asks for.
    pub stream_id: StreamId,
    /// Whether it sent keys, that is, has a passphrase.
    pub encrypted: bool,
    /// The type of its group, if it is the first member of one.
    pub group: Option<GroupType>,
    /// Its SRT version: 0x010501 is 1.5.1.
    pub peer_version: u32,
    /// Latency that it asks of us when we receive. The larger of both sides' counts, so it cannot be given less.
    pub latency: Duration,
}

/// Yes.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    /// The passphrase that the caller has to have; None if it must not have one.
    pub passphrase: Option<Passphrase>,
    /// Latency when we receive, instead of the offer's. The caller may want more.
    pub receive_latency: Option<Duration>,
    /// Latency when the caller receives, instead of the offer's. It may want more.
    pub send_latency: Option<Duration>,
}

/// What happened at a listener.
#[derive(Clone, Debug)]
pub enum ListenerEvent {
    /// Decide.
    Request(Request),
    /// A connection is up: begin a session.
    Connected {
        /// Whose.
        request: RequestId,
        /// How its datagrams come and go.
        route: Route,
        /// What was agreed on.
        negotiated: Box<Negotiated>,
    },
    /// Another member of a group is up: add a path to the session whose [`super::Membership::local`] is the same.
    Joined {
        /// How its datagrams come and go.
        route: Route,
        /// What was agreed on.
        negotiated: Box<Negotiated>,
    },
    /// Somebody was refused, at most once a second per reason.
    Refused(Refused),
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListenerStats {
    /// First steps answered.
    pub inductions: u64,
    /// Second steps with a good cookie, repetitions not counted.
    pub conclusions: u64,
    /// Second steps that came again.
    pub repetitions: u64,
    /// Connections that came up, members that joined included.
    pub connections: u64,
    /// Answers that were not sent because the shell did not fetch them.
    pub dropped_answers: u64,
}

/// One caller: libsrt knows it by address, socket and initial sequence number; address and socket will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Caller {
    peer: SocketAddr,
    socket: SocketId,
}

/// How far a caller has come.
#[derive(Debug)]
enum Standing {
    Waits(Box<Pending>),
    Connected {
        answer: Vec<u8>,
        /// When the answer's timestamps are 0.
        start: Instant,
        group: Option<super::wire::GroupId>,
    },
    /// Refused with this answer, or closed since.
    Over(Option<Vec<u8>>),
}

/// Callers that are over are remembered while their cookie may still be good, so that what is repeated late begins
/// nothing.
const REMEMBER: Duration = Duration::from_secs(120);
const MOST_OVER: usize = 1024;
/// Answers that wait to be sent.
const MOST_TRANSMITS: usize = 256;
/// Events that wait to be heard, besides those that answer a decision.
const MOST_EVENTS: usize = 1024;

/// Listens. Feed it the datagrams for [`SocketId::LISTENER`], whichever of the ports they come in at; send what
/// [`Self::poll_transmit`] has, and decide what [`Self::poll_event`] asks.
#[derive(Debug)]
pub struct Listener {
    config: ListenerConfig,
    random: Random,
    start: Instant,
    cookies: Cookies,
    limiter: Limiter,
    seen: Seen,
    refusals: Refusals,
    stats: ListenerStats,
    callers: BTreeMap<Caller, Standing>,
    waiting: BTreeMap<RequestId, Caller>,
    connected: BTreeMap<SocketId, Caller>,
    over: VecDeque<(Instant, Caller)>,
    groups: Groups,
    next_request: u64,
    transmits: VecDeque<Transmit>,
    events: VecDeque<ListenerEvent>,
}

impl Listener {
    /// Begins to listen. `random` is seeded by the system, or by a test.
    pub fn new(config: ListenerConfig, mut random: Random, now: Instant) -> Self {
        Self {
            config,
            start: now,
            cookies: Cookies::new(&mut random, now),
            limiter: Limiter::new(now),
            seen: Seen::default(),
            refusals: Refusals::default(),
            stats: ListenerStats::default(),
            callers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            connected: BTreeMap::new(),
            over: VecDeque::new(),
            groups: Groups::default(),
            next_request: 0,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            random,
        }
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// What happened since the last call.
    pub fn poll_event(&mut self) -> Option<ListenerEvent> {
        self.events.pop_front()
    }

    /// When [`Self::handle_timeout`] must be called: when the oldest undecided request is too old.
    pub fn poll_timeout(&self) -> Option<(Instant, RequestId)> {
        let (id, caller) = self.waiting.first_key_value()?;
        match self.callers.get(caller) {
            Some(Standing::Waits(pending)) => Some((pending.expires, *id)),
            Some(Standing::Connected { .. } | Standing::Over(_)) | None => None,
        }
    }

    /// What was counted.
    pub const fn stats(&self) -> &ListenerStats {
        &self.stats
    }

    /// How many were refused for this reason.
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.refusals.total(refusal)
    }

    /// Time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((expires, id)) = self.poll_timeout()
            && expires <= now
        {
            self.refuse_waiting(id, Refusal::Undecided, None, now);
        }
    }

    /// Takes a datagram. What is no handshake for a listener is ignored.
    pub fn handle_datagram(&mut self, route: Route, datagram: &[u8], now: Instant) {
        let Ok(Packet::Control(packet)) = Packet::decode(datagram) else { return };
        let Control::Handshake(handshake) = packet.control else { return };
        if packet.dest != SocketId::LISTENER {
            return;
        }
        match handshake.kind {
            HandshakeKind::Induction => self.give_cookie(route, &handshake, now),
            HandshakeKind::Conclusion => self.handle_conclusion(route, &handshake, packet.timestamp, now),
            // Rendezvous, and what only a listener says.
            HandshakeKind::WaveAHand
            | HandshakeKind::Agreement
            | HandshakeKind::Rejected(_)
            | HandshakeKind::Unknown(_) => {}
        }
    }

    /// The connection with this socket of ours is over.
    pub fn connection_closed(&mut self, local: SocketId, now: Instant) {
        let Some(caller) = self.connected.remove(&local) else { return };
        if let Some(Standing::Connected { group: Some(group), .. }) = self.callers.get(&caller) {
            self.groups.member_left(*group);
        }
        self.set_over(caller, None, now);
    }

    /// The session of this group of ours is over: the next member is the first of a new one. Its connections have to
    /// be closed as well.
    pub fn group_closed(&mut self, local: super::wire::GroupId) {
        self.groups.close(local);
    }

    /// The answer is not longer than the question, so nobody can be flooded with answers to questions in his name; and it
    /// is never for another listener, which would take it for a question, so that the two would answer each other for ever.
    fn give_cookie(&mut self, route: Route, question: &Handshake, now: Instant) {
        if question.socket_id == SocketId::LISTENER {
            return;
        }
        self.stats.inductions += 1;
        let answer = Handshake {
            version: VERSION_5,
            encryption: 0,
            extension: MAGIC,
            cookie: self.cookies.bake(route.peer, now),
            peer_ip: wire_address(route.peer.ip()),
            extensions: Extensions::NONE,
            ..*question
        };
        let datagram = encode(question.socket_id, answer, timestamp(self.start, now));
        self.transmit(route, datagram);
    }

    fn handle_conclusion(&mut self, route: Route, handshake: &Handshake, stamped: Timestamp, now: Instant) {
        let nobody = StreamId::default();
        if !self.cookies.is_good(handshake.cookie, route.peer, now) {
            return self.tell(Refusal::WrongCookie, route, &nobody, now);
        }
        self.forget(now);
        let caller = Caller { peer: route.peer, socket: handshake.socket_id };
        let (again, start) = match self.callers.get(&caller) {
            Some(Standing::Waits(_) | Standing::Over(None)) => {
                self.stats.repetitions += 1;
                return;
            }
            Some(Standing::Connected { answer, start, .. }) => (Some(answer.clone()), *start),
            Some(Standing::Over(Some(answer))) => (Some(answer.clone()), self.start),
            None => (None, self.start),
        };
        if let Some(mut datagram) = again {
            self.stats.repetitions += 1;
            stamp(&mut datagram, timestamp(start, now));
            return self.transmit(route, datagram);
        }
        if !self.limiter.allows(route.peer.ip(), now) || self.events.len() >= MOST_EVENTS {
            return self.tell(Refusal::TooMany, route, &nobody, now);
        }
        self.stats.conclusions += 1;
        self.next_request += 1;
        let id = RequestId(self.next_request);
        let expires = now + self.config.decide_within;
        match Pending::read(handshake, Arrival { id, route, timestamp: stamped, now, expires }) {
            Ok(pending) => self.admit(caller, pending, now),
            Err((refusal, stream_id)) => {
                // Nothing is kept of it: what it sends again is refused again, as far as the limiter allows.
                self.tell(refusal, route, &stream_id, now);
                if let Some(reason) = refusal.reason() {
                    let datagram = self.rejection(handshake.socket_id, handshake, reason, now);
                    self.transmit(route, datagram);
                }
            }
        }
    }

    fn rejection(&self, dest: SocketId, question: &Handshake, reason: RejectReason, now: Instant) -> Vec<u8> {
        let answer = Handshake {
            version: VERSION_5,
            encryption: 0,
            extension: 0,
            kind: HandshakeKind::Rejected(reason),
            extensions: Extensions::NONE,
            ..*question
        };
        encode(dest, answer, timestamp(self.start, now))
    }

    /// Counts a refusal, and tells of it if it is time.
    fn tell(&mut self, refusal: Refusal, route: Route, stream_id: &StreamId, now: Instant) {
        if let Some(refused) = self.refusals.count(refusal, route, stream_id, now)
            && self.events.len() < MOST_EVENTS
        {
            self.events.push_back(ListenerEvent::Refused(refused));
        }
    }

    fn transmit(&mut self, route: Route, datagram: Vec<u8>) {
        if self.transmits.len() < MOST_TRANSMITS {
            self.transmits.push_back(Transmit { route, datagram });
        } else {
            self.stats.dropped_answers += 1;
        }
    }

    fn set_over(&mut self, caller: Caller, answer: Option<Vec<u8>>, now: Instant) {
        self.callers.insert(caller, Standing::Over(answer));
        self.over.push_back((now + REMEMBER, caller));
        self.forget(now);
    }

    /// Forgets callers that have been over for long enough.
    fn forget(&mut self, now: Instant) {
        while let Some((until, caller)) = self.over.front().copied()
            && (until <= now || self.over.len() > MOST_OVER)
        {
            self.over.pop_front();
            if matches!(self.callers.get(&caller), Some(Standing::Over(_))) {
                self.callers.remove(&caller);
            }
        }
    }
}

fn encode(dest: SocketId, handshake: Handshake, timestamp: Timestamp) -> Vec<u8> {
    let mut datagram = Vec::new();
    ControlPacket { timestamp, dest, control: Control::Handshake(handshake) }.encode(&mut datagram);
    datagram
}

#[cfg(test)]
mod tests;
