//! Where callers arrive: all ports, one listener, the sessions it lets in, and those who take what they bring: the programmes of a
//! relay, an input of a box.
//!
//! ```text
//!   Port ─┐                    ┌─ socket 0 ──► Listener ──► admission
//!   Port ─┼─► by socket number ┤
//!   Port ─┘                    └─ any other ─► Reception{Bond} ──payloads──► Taker
//! ```
//!
//! Touched by the tasks that serve the ports and by the one that keeps time, all on one thread, and never across a wait.
//!
//! *Invariant:* a datagram reaches a session only if it names a socket of that session and comes from where its path was
//! agreed on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::admission::{self, Denial, Denials, Wish};
use super::reception::{News, RECEIVE_BUFFER, Reception};
use super::status::{HandshakeSnapshot, SenderSnapshot, SocketSnapshot};
use super::{Taker, admission::Place, in_words};
use crate::clock;
use crate::events::{Event, EventKind, Role, Severity};
use crate::link::udp::{Arena, Datagram, Inbox, Port, Route};
use crate::output::EventSink;
use crate::srt::crypto::{Passphrase, Random};
use crate::srt::listener::{
    Acceptance, Listener, ListenerConfig, ListenerEvent, Refusal, Refused, Request, Route as Arrived,
};
use crate::srt::session::{FEATURES, PathId, Seed};
use crate::srt::wire::{GroupId, SocketId};
use crate::srt::{Negotiated, Offer, StreamId};

/// Batches that are taken from one socket before another has a turn.
const BATCHES: usize = 4;
/// Connections for each taker: the members of a group, and those that come back before the old ones are given up.
const CONNECTIONS: usize = 16;
/// Where the destination socket's number is in every SRT packet.
const DESTINATION: std::ops::Range<usize> = 12..16;

/// See the module.
pub(crate) struct Hall<T> {
    rules: Rules,
    ports: Vec<Rc<Port>>,
    listener: Listener,
    denials: Denials,
    receptions: BTreeMap<Key, Reception>,
    sockets: BTreeMap<SocketId, Way>,
    groups: BTreeMap<GroupId, Key>,
    takers: Vec<T>,
    /// Whose turn it is, for each taker.
    holders: Vec<Option<Key>>,
    keys: u64,
    random: Random,
    arena: Arena,
    /// Until when the task that keeps time sleeps, as far as it knows.
    armed: Option<Instant>,
    wake: Rc<Notify>,
    events: EventSink,
}

/// Who may come in, and how that is told.
pub(crate) struct Rules {
    /// Where a caller may send to, one for each taker.
    pub(crate) places: Vec<Place>,
    /// The shortest time for repetitions that is agreed on.
    pub(crate) min_latency: Duration,
    /// A caller that asks for more is refused.
    pub(crate) max_latency: Duration,
    /// Who signs events.
    pub(crate) role: Role,
    /// What a taker is called in events: `programme`, `input`.
    pub(crate) taker: &'static str,
}

/// One session, never used again.
type Key = u64;

/// Where a socket number leads.
#[derive(Clone, Copy)]
struct Way {
    key: Key,
    path: PathId,
    peer: SocketAddr,
}

impl<T: Taker> Hall<T> {
    /// `wake` is told when [`Self::arm`] would say an earlier time than it did.
    pub(crate) fn new(
        rules: Rules,
        ports: Vec<Rc<Port>>,
        takers: Vec<T>,
        (events, wake): (EventSink, Rc<Notify>),
        mut random: Random,
        now: Instant,
    ) -> Self {
        let offer = Offer {
            receive_latency: rules.min_latency,
            flow_window: RECEIVE_BUFFER,
            features: Some(FEATURES),
            ..Offer::default()
        };
        let most_connections = CONNECTIONS * takers.len();
        let listening = ListenerConfig { offer, most_connections, ..ListenerConfig::default() };
        Self {
            listener: Listener::new(listening, Random::from_seed(&random.bytes()), now),
            rules,
            ports,
            denials: Denials::default(),
            receptions: BTreeMap::new(),
            sockets: BTreeMap::new(),
            groups: BTreeMap::new(),
            holders: takers.iter().map(|_| None).collect(),
            takers,
            keys: 0,
            random,
            arena: Arena::new(),
            armed: None,
            wake,
            events,
        }
    }

    /// Takes what has come in at one of the ports.
    pub(crate) fn receive(&mut self, number: usize, inbox: &mut Inbox) {
        let Some(port) = self.ports.get(number).cloned() else { return };
        let socket = u32::try_from(number).unwrap_or(u32::MAX);
        let mut touched = BTreeSet::new();
        for _ in 0..BATCHES {
            let now = clock::now();
            let hear = |datagram: Datagram<'_>| self.hear(socket, &datagram, now, &mut touched);
            match port.socket().receive(inbox, hear) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => port.note(error),
            }
        }
        self.settle(touched, clock::now());
    }

    fn hear(&mut self, socket: u32, datagram: &Datagram<'_>, now: Instant, touched: &mut BTreeSet<Key>) {
        let Some(Ok(number)) = datagram.bytes.get(DESTINATION).map(<[u8; 4]>::try_from) else { return };
        let number = SocketId(u32::from_be_bytes(number));
        if number == SocketId::LISTENER {
            let route = Arrived { socket, local: datagram.to, peer: datagram.from };
            return self.listener.handle_datagram(route, datagram.bytes, now);
        }
        let Some(way) = self.sockets.get(&number).filter(|way| way.peer == datagram.from) else { return };
        if let Some(reception) = self.receptions.get_mut(&way.key) {
            reception.receive(way.path, &self.arena.keep(datagram.bytes), now);
            touched.insert(way.key);
        }
    }

    /// Time has come for something.
    pub(crate) fn timeout(&mut self, now: Instant) {
        self.listener.handle_timeout(now);
        let due = self.receptions.iter().filter(|(_, r)| r.deadline().is_some_and(|at| at <= now));
        let due = due.map(|(key, _)| *key).collect();
        self.settle(due, now);
        self.takers.iter_mut().for_each(Taker::timeout);
    }

    /// When [`Self::timeout`] has something to do next; whoever asks will call it then, or when woken.
    pub(crate) fn arm(&mut self) -> Option<Instant> {
        self.armed = self.deadline();
        self.armed
    }

    fn deadline(&self) -> Option<Instant> {
        let listener = self.listener.poll_timeout().map(|(at, _)| at);
        let receptions = self.receptions.values().filter_map(Reception::deadline);
        let (now, media) = (clock::now(), clock::media());
        let takers = self.takers.iter().filter_map(|t| t.deadline().map(|at| now + (at - media).to_duration()));
        receptions.chain(takers).chain(listener).min()
    }

    /// Lets the listener and `touched` sessions do all that they have to.
    fn settle(&mut self, mut touched: BTreeSet<Key>, now: Instant) {
        self.settle_listener(&mut touched, now);
        for key in touched {
            self.settle_one(key, now);
        }
        let due = self.deadline();
        if due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed)) {
            self.wake.notify_one();
        }
    }

    fn settle_listener(&mut self, touched: &mut BTreeSet<Key>, now: Instant) {
        // Let in, but its session has not begun: between the two events another caller may ask for the same.
        let mut promised = BTreeSet::new();
        while let Some(event) = self.listener.poll_event() {
            match event {
                ListenerEvent::Request(request) => self.decide(&request, &mut promised, now),
                ListenerEvent::Connected { route, negotiated, .. } => {
                    touched.extend(self.begin(route, &negotiated, now));
                }
                ListenerEvent::Joined { route, negotiated } => touched.extend(self.join(route, &negotiated, now)),
                ListenerEvent::Refused(refused) => self.refused(&refused),
            }
        }
        while let Some(transmit) = self.listener.poll_transmit() {
            if let Some((port, route)) = self.way_back(transmit.route) {
                port.push(route, |out| out.extend_from_slice(&transmit.datagram));
            }
        }
        for port in &self.ports {
            port.flush();
        }
    }

    fn decide(&mut self, request: &Request, promised: &mut BTreeSet<usize>, now: Instant) {
        let taken: Vec<bool> = (0..self.takers.len()).map(|n| promised.contains(&n) || self.is_taken(n, now)).collect();
        let is_taken = |place: usize| taken.get(place).copied().unwrap_or(true);
        let wish = Wish { stream_id: &request.stream_id, latency: request.latency };
        match admission::admit(&self.rules.places, self.rules.max_latency, wish, is_taken) {
            Ok(place) => {
                promised.insert(place);
                let passphrase = self.rules.places.get(place).and_then(|p| p.passphrase.as_ref());
                let passphrase = passphrase.and_then(|p| Passphrase::new(p.reveal()));
                let acceptance = Acceptance { passphrase, ..Acceptance::default() };
                self.listener.accept(request.id, &acceptance, now);
            }
            Err(denial) => {
                self.listener.reject(request.id, denial.reason(), now);
                self.deny(denial, &request.stream_id, request.route.peer, now);
            }
        }
    }

    fn is_taken(&mut self, place: usize, now: Instant) -> bool {
        let holder = self.holders.get(place).copied().flatten();
        holder.and_then(|key| self.receptions.get_mut(&key)).is_some_and(|reception| reception.is_alive(now))
    }

    fn begin(&mut self, route: Arrived, negotiated: &Negotiated, now: Instant) -> Option<Key> {
        let way = self.way_back(route)?;
        // It was let in for its stream id, so it has one that names a place.
        let Ok(place) = admission::place_of(&self.rules.places, &negotiated.stream_id) else {
            self.listener.connection_closed(negotiated.local, now);
            return None;
        };
        let seed = Seed(self.random.bytes());
        let reception = Reception::new(negotiated, place, way, seed, now);
        let path = reception.first_path();
        if let Some(old) = self.holders.get(place).copied().flatten() {
            self.end(old, "another sender took over", now);
        }
        self.keys += 1;
        let key = self.keys;
        self.sockets.insert(negotiated.local, Way { key, path: path?, peer: route.peer });
        if let Some(group) = reception.group {
            self.groups.insert(group, key);
        }
        if let (Some(taker), Some(holder)) = (self.takers.get_mut(place), self.holders.get_mut(place)) {
            *holder = Some(key);
            let from = reception.in_words();
            taker.begin(&from);
            let name = taker.name().to_owned();
            let event = self.rules.about(EventKind::SenderConnected, Severity::Info, &name, from);
            (self.events)(event.with("from", route.peer.to_string()));
        }
        self.receptions.insert(key, reception);
        Some(key)
    }

    fn join(&mut self, route: Arrived, negotiated: &Negotiated, now: Instant) -> Option<Key> {
        let way = self.way_back(route)?;
        let key = negotiated.group.and_then(|group| self.groups.get(&group.local)).copied();
        let joined = key.and_then(|key| self.receptions.get_mut(&key)).map(|r| r.join(negotiated, way, now));
        match (key, joined) {
            (Some(key), Some(Ok(path))) => {
                self.sockets.insert(negotiated.local, Way { key, path, peer: route.peer });
                Some(key)
            }
            // Its session has just ended. The caller finds nobody there and calls again.
            _ => {
                self.listener.connection_closed(negotiated.local, now);
                None
            }
        }
    }

    fn settle_one(&mut self, key: Key, now: Instant) {
        let Some(reception) = self.receptions.get_mut(&key) else { return };
        let Some(taker) = self.takers.get_mut(reception.place) else { return };
        let name = taker.name().to_owned();
        let news = reception.settle(taker, now);
        let group = reception.group;
        let mut last = "it hung up";
        for one in news {
            match one {
                News::PathUp { from, paths } => {
                    if group.is_some() {
                        let text = format!("a path from {from} is connected; {paths} of this sender's are up");
                        (self.events)(self.rules.about(EventKind::PathUp, Severity::Info, &name, text));
                    }
                }
                News::PathDown { local, from, why, left } => {
                    self.sockets.remove(&local);
                    self.listener.connection_closed(local, now);
                    last = in_words(why);
                    if left == 0 {
                        // Members that call from here on are the first of another session.
                        if let Some(group) = group {
                            self.listener.group_closed(group);
                        }
                    } else {
                        let text = format!("the path from {from} has ended: {last}; {left} of this sender's are up");
                        (self.events)(self.rules.about(EventKind::PathDown, Severity::Warning, &name, text));
                    }
                }
                News::Over => self.end(key, last, now),
            }
        }
    }

    /// Ends a session, whatever state it is in.
    fn end(&mut self, key: Key, why: &str, now: Instant) {
        let Some(mut reception) = self.receptions.remove(&key) else { return };
        if let Some(group) = reception.group {
            self.groups.remove(&group);
            self.listener.group_closed(group);
        }
        let sockets: Vec<SocketId> = reception.sockets().collect();
        for local in sockets {
            self.sockets.remove(&local);
            self.listener.connection_closed(local, now);
        }
        let place = reception.place;
        let Some(taker) = self.takers.get_mut(place) else { return };
        reception.close(now);
        drop(reception.settle(taker, now));
        if let Some(holder) = self.holders.get_mut(place).filter(|holder| **holder == Some(key)) {
            *holder = None;
            taker.finish(why, reception.missing(now));
            let text = format!("{}: {why}", reception.in_words());
            (self.events)(self.rules.about(EventKind::SenderGone, Severity::Alert, taker.name(), text));
        }
    }

    fn refused(&mut self, refused: &Refused) {
        // Those that were denied are told with the reason when they are.
        if refused.refusal == Refusal::Denied {
            return;
        }
        let name = self.named(&refused.stream_id);
        let (from, code) = (refused.route.peer, refused.refusal.code());
        let text = format!("a caller from {from} was refused: {}", code.replace('-', " "));
        let event = self.rules.about(EventKind::CallerRefused, Severity::Warning, &name, text);
        (self.events)(event.with("from", from.to_string()).with("reason", code).with("times", refused.times));
    }

    fn deny(&mut self, denial: Denial, stream_id: &StreamId, from: SocketAddr, now: Instant) {
        let Some(times) = self.denials.count(denial, now) else { return };
        let text = format!("a caller from {from} was refused: {}", denial.in_words());
        let event = self.rules.about(EventKind::CallerRefused, Severity::Warning, &self.named(stream_id), text);
        (self.events)(event.with("from", from.to_string()).with("reason", denial.code()).with("times", times));
    }

    /// The taker that a stream id names, or nothing: a wrong one may be somebody's secret.
    fn named(&self, stream_id: &StreamId) -> String {
        let place = admission::place_of(&self.rules.places, stream_id).ok();
        place.and_then(|place| self.takers.get(place)).map_or(String::new(), |taker| taker.name().to_owned())
    }

    fn way_back(&self, route: Arrived) -> Option<(Rc<Port>, Route)> {
        let port = self.ports.get(usize::try_from(route.socket).ok()?)?;
        Some((port.clone(), Route { to: route.peer, from: route.local }))
    }

    /// Troubles of the ports since the last call, in words.
    pub(crate) fn troubles(&self) -> Vec<String> {
        self.ports.iter().filter_map(|port| port.take_trouble()).map(|trouble| trouble.to_string()).collect()
    }

    /// Ends all sessions, and leaves the takers to be ended, with all that has arrived: as much of it as the latency is long
    /// has not been passed on before.
    pub(crate) fn close(&mut self, why: &str, now: Instant) -> Vec<T> {
        for key in self.receptions.keys().copied().collect::<Vec<_>>() {
            if let Some(reception) = self.receptions.get_mut(&key)
                && let Some(taker) = self.takers.get_mut(reception.place)
            {
                reception.pass_on_early(taker, now);
            }
            self.end(key, why, now);
        }
        std::mem::take(&mut self.takers)
    }

    /// The takers, in order.
    pub(crate) fn takers_mut(&mut self) -> &mut [T] {
        &mut self.takers
    }

    /// Of each taker, the packets that its sender's session never got, and the session while it is alive.
    pub(crate) fn senders(&mut self, now: Instant) -> Vec<(u64, Option<SenderSnapshot>)> {
        let of = |holder: &Option<Key>| {
            let reception = holder.and_then(|key| self.receptions.get_mut(&key));
            reception.map_or((0, None), |reception| (reception.missing(now), reception.snapshot(now)))
        };
        self.holders.iter().map(of).collect()
    }

    /// Where callers arrive, for people.
    pub(crate) fn sockets(&self) -> Vec<SocketSnapshot> {
        let sockets = self.ports.iter().map(|port| {
            let counts = port.counts();
            SocketSnapshot { local: port.socket().local().to_string(), sent: counts.sent, lost: counts.lost }
        });
        sockets.collect()
    }

    /// What has been counted of callers.
    pub(crate) fn handshakes(&self) -> HandshakeSnapshot {
        let stats = self.listener.stats();
        let refusals = REFUSALS.iter().map(|refusal| (refusal.code(), self.listener.refused(*refusal)));
        let denials = Denial::ALL.iter().map(|denial| (denial.code(), self.denials.total(*denial)));
        HandshakeSnapshot {
            inductions: stats.inductions,
            conclusions: stats.conclusions,
            connections: stats.connections,
            refused: refusals.chain(denials).collect(),
        }
    }
}

/// What the listener refuses by itself.
const REFUSALS: [Refusal; 14] = [
    Refusal::WrongCookie,
    Refusal::TooMany,
    Refusal::Malformed,
    Refusal::OldVersion,
    Refusal::NotLive,
    Refusal::Filter,
    Refusal::Cipher,
    Refusal::WrongPassphrase,
    Refusal::PassphraseMissing,
    Refusal::PassphraseUnexpected,
    Refusal::Replayed,
    Refusal::Group,
    Refusal::Full,
    Refusal::Undecided,
];

impl Rules {
    /// About a taker; if it is known which, it says so where the switch's and the outputs' events do as well.
    fn about(&self, kind: EventKind, severity: Severity, taker: &str, reason: String) -> Event {
        let event = Event::new((clock::wall(), clock::media()), self.role.clone(), kind, severity, taker, reason);
        if taker.is_empty() { event } else { event.with(self.taker, taker) }
    }
}
