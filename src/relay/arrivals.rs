//! Where callers arrive: all ports, one listener, the sessions it lets in, and the programmes they are for.
//!
//! ```text
//!   Port ─┐                    ┌─ socket 0 ──► Listener ──► admission
//!   Port ─┼─► by socket number ┤
//!   Port ─┘                    └─ any other ─► Reception{Bond} ──payloads──► Programme
//! ```
//!
//! Touched by the tasks that serve the ports and by the relay's own, all on one thread, and never across a wait.
//!
//! *Invariant:* a datagram reaches a session only if it names a socket of that session and comes from where its path was
//! agreed on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::admission::{self, Denial, Denials, Wish};
use super::programme::Programme;
use super::reception::{News, RECEIVE_BUFFER, Reception};
use super::status::{HandshakeSnapshot, RelaySnapshot, SocketSnapshot};
use crate::clock;
use crate::config::RelaySettings;
use crate::events::{Event, EventKind, Role, Severity};
use crate::link::probe::EchoPort;
use crate::link::udp::{Arena, Datagram, Inbox, Port, Route};
use crate::output::{EventSink, OutputCommand};
use crate::srt::crypto::{Passphrase, Random};
use crate::srt::listener::{
    Acceptance, Listener, ListenerConfig, ListenerEvent, Refusal, Refused, Request, Route as Arrived,
};
use crate::srt::session::{Closed, FEATURES, PathId, Seed};
use crate::srt::wire::{GroupId, SocketId};
use crate::srt::{Negotiated, Offer, StreamId};

/// Batches that are taken from one socket before another has a turn.
const BATCHES: usize = 4;
/// Connections for each programme: the members of a group, and those that come back before the old ones are given up.
const CONNECTIONS: usize = 16;
/// Where the destination socket's number is in every SRT packet.
const DESTINATION: std::ops::Range<usize> = 12..16;

/// See the module.
pub(super) struct Hall {
    config: Rc<RelaySettings>,
    ports: Vec<Rc<Port>>,
    listener: Listener,
    denials: Denials,
    receptions: BTreeMap<Key, Reception>,
    sockets: BTreeMap<SocketId, Place>,
    groups: BTreeMap<GroupId, Key>,
    programmes: Vec<Programme>,
    /// Whose turn it is, for each programme.
    holders: Vec<Option<Key>>,
    keys: u64,
    random: Random,
    arena: Arena,
    /// Until when the relay's task sleeps, as far as it knows.
    armed: Option<Instant>,
    wake: Rc<Notify>,
    events: EventSink,
    began: Instant,
    /// Shown beside the rest.
    echo: Option<Rc<EchoPort>>,
}

/// One session, never used again.
type Key = u64;

/// Where a socket number leads.
#[derive(Clone, Copy)]
struct Place {
    key: Key,
    path: PathId,
    peer: SocketAddr,
}

impl Hall {
    pub(super) fn new(
        config: Rc<RelaySettings>,
        ports: Vec<Rc<Port>>,
        programmes: Vec<Programme>,
        (events, wake): (EventSink, Rc<Notify>),
        mut random: Random,
        echo: Option<Rc<EchoPort>>,
        now: Instant,
    ) -> Self {
        let offer = Offer {
            receive_latency: config.min_latency,
            flow_window: RECEIVE_BUFFER,
            features: Some(FEATURES),
            ..Offer::default()
        };
        let most_connections = CONNECTIONS * programmes.len();
        let listening = ListenerConfig { offer, most_connections, ..ListenerConfig::default() };
        Self {
            listener: Listener::new(listening, Random::from_seed(&random.bytes()), now),
            config,
            ports,
            denials: Denials::default(),
            receptions: BTreeMap::new(),
            sockets: BTreeMap::new(),
            groups: BTreeMap::new(),
            holders: programmes.iter().map(|_| None).collect(),
            programmes,
            keys: 0,
            random,
            arena: Arena::new(),
            armed: None,
            wake,
            events,
            began: now,
            echo,
        }
    }

    /// Takes what has come in at one of the ports.
    pub(super) fn receive(&mut self, number: usize, inbox: &mut Inbox) {
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
        let Some(place) = self.sockets.get(&number).filter(|place| place.peer == datagram.from) else { return };
        if let Some(reception) = self.receptions.get_mut(&place.key) {
            reception.receive(place.path, &self.arena.keep(datagram.bytes), now);
            touched.insert(place.key);
        }
    }

    /// Time has come for something.
    pub(super) fn timeout(&mut self, now: Instant) {
        self.listener.handle_timeout(now);
        let due = self.receptions.iter().filter(|(_, r)| r.deadline().is_some_and(|at| at <= now));
        let due = due.map(|(key, _)| *key).collect();
        self.settle(due, now);
        self.programmes.iter_mut().for_each(Programme::timeout);
    }

    /// When [`Self::timeout`] has something to do next; the relay's task will call it then, or when it is woken.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        self.armed = self.deadline();
        self.armed
    }

    fn deadline(&self) -> Option<Instant> {
        let listener = self.listener.poll_timeout().map(|(at, _)| at);
        let receptions = self.receptions.values().filter_map(Reception::deadline);
        let (now, media) = (clock::now(), clock::media());
        let programmes = self.programmes.iter().filter_map(|p| p.deadline().map(|at| now + (at - media).to_duration()));
        receptions.chain(programmes).chain(listener).min()
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
        let taken: Vec<bool> =
            (0..self.programmes.len()).map(|n| promised.contains(&n) || self.is_taken(n, now)).collect();
        let is_taken = |place: usize| taken.get(place).copied().unwrap_or(true);
        let wish = Wish { stream_id: &request.stream_id, latency: request.latency };
        match admission::admit(&self.config.programmes, self.config.max_latency, wish, is_taken) {
            Ok(place) => {
                promised.insert(place);
                let passphrase = self.config.programmes.get(place).and_then(|p| p.passphrase.as_ref());
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
        // It was let in for its stream id, so it has one that names a programme.
        let Ok(place) = admission::place_of(&self.config.programmes, &negotiated.stream_id) else {
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
        self.sockets.insert(negotiated.local, Place { key, path: path?, peer: route.peer });
        if let Some(group) = reception.group {
            self.groups.insert(group, key);
        }
        if let (Some(programme), Some(holder)) = (self.programmes.get_mut(place), self.holders.get_mut(place)) {
            *holder = Some(key);
            programme.begin();
            let event = about(EventKind::SenderConnected, Severity::Info, programme.name(), reception.in_words());
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
                self.sockets.insert(negotiated.local, Place { key, path, peer: route.peer });
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
        let Some(programme) = self.programmes.get_mut(reception.programme) else { return };
        let name = programme.name().to_owned();
        let news = reception.settle(programme, now);
        let group = reception.group;
        let mut last = "it hung up";
        for one in news {
            match one {
                News::PathUp { from, paths } => {
                    if group.is_some() {
                        let text = format!("a path from {from} is connected; {paths} of this sender's are up");
                        (self.events)(about(EventKind::PathUp, Severity::Info, &name, text));
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
                        (self.events)(about(EventKind::PathDown, Severity::Warning, &name, text));
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
        let place = reception.programme;
        let Some(programme) = self.programmes.get_mut(place) else { return };
        reception.close(now);
        drop(reception.settle(programme, now));
        if let Some(holder) = self.holders.get_mut(place).filter(|holder| **holder == Some(key)) {
            *holder = None;
            programme.finish(why, reception.missing(now));
            let text = format!("{}: {why}", reception.in_words());
            (self.events)(about(EventKind::SenderGone, Severity::Alert, programme.name(), text));
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
        let event = about(EventKind::CallerRefused, Severity::Warning, &name, text);
        (self.events)(event.with("from", from.to_string()).with("reason", code).with("times", refused.times));
    }

    fn deny(&mut self, denial: Denial, stream_id: &StreamId, from: SocketAddr, now: Instant) {
        let Some(times) = self.denials.count(denial, now) else { return };
        let text = format!("a caller from {from} was refused: {}", denial.in_words());
        let event = about(EventKind::CallerRefused, Severity::Warning, &self.named(stream_id), text);
        (self.events)(event.with("from", from.to_string()).with("reason", denial.code()).with("times", times));
    }

    /// The programme that a stream id names, or nothing: a wrong one may be somebody's secret.
    fn named(&self, stream_id: &StreamId) -> String {
        let place = admission::place_of(&self.config.programmes, stream_id).ok();
        place.and_then(|place| self.programmes.get(place)).map_or(String::new(), |p| p.name().to_owned())
    }

    fn way_back(&self, route: Arrived) -> Option<(Rc<Port>, Route)> {
        let port = self.ports.get(usize::try_from(route.socket).ok()?)?;
        Some((port.clone(), Route { to: route.peer, from: route.local }))
    }

    /// Tells all outputs of all programmes.
    pub(super) fn tell(&self, command: OutputCommand) {
        self.programmes.iter().for_each(|programme| programme.tell(command));
    }

    /// Troubles of the ports since the last call, in words.
    pub(super) fn troubles(&self) -> Vec<String> {
        self.ports.iter().filter_map(|port| port.take_trouble()).map(|trouble| trouble.to_string()).collect()
    }

    /// Ends all sessions, and leaves the programmes to be ended.
    pub(super) fn close(&mut self, now: Instant) -> Vec<Programme> {
        for key in self.receptions.keys().copied().collect::<Vec<_>>() {
            self.end(key, "the relay ends", now);
        }
        std::mem::take(&mut self.programmes)
    }

    /// For people.
    pub(super) fn snapshot(&mut self) -> RelaySnapshot {
        let now = clock::now();
        let mut programmes = Vec::new();
        for (programme, holder) in self.programmes.iter_mut().zip(&self.holders) {
            let mut snapshot = programme.snapshot();
            if let Some(reception) = holder.and_then(|key| self.receptions.get_mut(&key)) {
                snapshot.totals.missing += reception.missing(now);
                snapshot.sender = reception.snapshot(now);
            }
            programmes.push(snapshot);
        }
        let sockets = self.ports.iter().map(|port| {
            let counts = port.counts();
            SocketSnapshot { local: port.socket().local().to_string(), sent: counts.sent, lost: counts.lost }
        });
        let stats = self.listener.stats();
        let refusals = REFUSALS.iter().map(|refusal| (refusal.code(), self.listener.refused(*refusal)));
        let denials = Denial::ALL.iter().map(|denial| (denial.code(), self.denials.total(*denial)));
        RelaySnapshot {
            name: self.config.name.clone(),
            version: env!("CARGO_PKG_VERSION"),
            at: clock::wall(),
            uptime_s: now.saturating_duration_since(self.began).as_secs(),
            programmes,
            sockets: sockets.collect(),
            handshakes: HandshakeSnapshot {
                inductions: stats.inductions,
                conclusions: stats.conclusions,
                connections: stats.connections,
                refused: refusals.chain(denials).collect(),
            },
            probes: self.echo.as_deref().map(Into::into),
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

fn in_words(why: Closed) -> &'static str {
    match why {
        Closed::Here => "it was closed here",
        Closed::ByPeer => "it hung up",
        Closed::PeerIdle => "nothing came from it any more",
    }
}

pub(super) fn event(kind: EventKind, severity: Severity, subject: &str, reason: String) -> Event {
    Event::new((clock::wall(), clock::media()), Role::Relay, kind, severity, subject, reason)
}

/// About a programme; if it is known which, it says so where the switch's and the outputs' events do as well.
fn about(kind: EventKind, severity: Severity, programme: &str, reason: String) -> Event {
    let event = event(kind, severity, programme, reason);
    if programme.is_empty() { event } else { event.with("programme", programme) }
}

/// How often the status is made.
pub(super) const STATUS_EVERY: Duration = Duration::from_millis(500);
