//! Where callers arrive: the sockets, the listener, and the session of each sender.
//!
//! One task serves each socket, one runs the timers; all touch the hall in turn, on one thread, and never across a wait.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::door::{Answer, Door, Occupancy, Turned};
use crate::clock;
use crate::link::udp::{Arena, Datagram, Inbox, Port, Route};
use crate::srt::crypto::Random;
use crate::srt::listener::{self, Listener, ListenerConfig, ListenerEvent, ListenerStats, Refusal, Refused, Request};
use crate::srt::session::{
    Closed, Delivered, Event, FEATURES, PathId, PathStats, Seed, Session, SessionConfig, SessionStats,
};
use crate::srt::wire::{GroupId, GroupType, SocketId};
use crate::srt::{Negotiated, Offer};

/// Packets that a session holds at most: eight seconds at 40 Mbit/s.
const RECEIVE_BUFFER: usize = 32_768;
/// A relay says little.
const SEND_BUFFER: usize = 64;
/// Batches that are taken from one socket before somebody else has a turn.
const BATCHES: usize = 4;
/// Events and packets that wait to be taken; the oldest go.
const MOST_WAITING: usize = 65_536;
/// Where a datagram's destination socket stands (draft §3).
const DESTINATION: std::ops::Range<usize> = 12..16;

/// A session of a sender: a number that is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GuestId(u64);

/// What happened in the hall.
#[derive(Debug)]
pub(super) enum HallEvent {
    /// A sender is in.
    Opened { guest: GuestId, programme: usize, about: About },
    /// A path of a sender is up; also the first.
    PathUp { guest: GuestId, peer: SocketAddr },
    /// A path of a sender has ended.
    PathGone { guest: GuestId, peer: SocketAddr, why: Closed },
    /// A sender's session is over.
    Gone { guest: GuestId, programme: usize, why: Closed },
    /// The listener refused somebody; not told of each.
    Refused(Refused),
    /// The door turned somebody away.
    Turned { from: SocketAddr, why: Turned },
}

/// What was agreed on with a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub(super) group: Option<GroupType>,
    pub(super) encrypted: bool,
    pub(super) latency: Duration,
    /// SRT version.
    pub(super) version: u32,
    /// Whether it is Holdfast.
    pub(super) is_holdfast: bool,
}

struct Guest {
    programme: usize,
    session: Session,
    about: About,
    group: Option<GroupId>,
    paths: Vec<GuestPath>,
    /// When its session wants to be called.
    due: Option<Instant>,
    /// When media last came.
    heard: Instant,
    /// Why its last path ended.
    last_end: Closed,
}

struct GuestPath {
    id: PathId,
    local: SocketId,
    port: usize,
    route: Route,
}

/// What is known of one path of a sender.
#[derive(Clone, Copy, Debug)]
pub(super) struct PathNow {
    pub(super) peer: SocketAddr,
    pub(super) stats: PathStats,
}

/// See the module.
pub(super) struct Hall {
    ports: Vec<Rc<Port>>,
    listener: Listener,
    door: Door,
    random: Random,
    guests: BTreeMap<GuestId, Guest>,
    next_guest: u64,
    /// Whose is which of our socket ids.
    sockets: BTreeMap<SocketId, (GuestId, PathId)>,
    groups: BTreeMap<GroupId, GuestId>,
    /// Who is welcome: to which programme.
    expected: BTreeMap<listener::RequestId, usize>,
    arena: Arena,
    /// Sessions that have something to say.
    touched: Vec<GuestId>,
    events: VecDeque<HallEvent>,
    packets: VecDeque<(GuestId, Delivered)>,
    turned: BTreeMap<&'static str, u64>,
    stray: u64,
    armed: Option<Instant>,
    wake: Rc<Notify>,
}

impl Hall {
    pub(super) fn new(ports: Vec<Rc<Port>>, door: Door, seed: [u8; 32], wake: Rc<Notify>) -> Rc<RefCell<Self>> {
        let mut random = Random::from_seed(&seed);
        let offer = Offer {
            flow_window: u32::try_from(RECEIVE_BUFFER).unwrap_or(u32::MAX),
            features: Some(FEATURES),
            ..Offer::default()
        };
        let config = ListenerConfig { offer, ..ListenerConfig::default() };
        let listener = Listener::new(config, Random::from_seed(&random.bytes()), clock::now());
        Rc::new(RefCell::new(Self {
            ports,
            listener,
            door,
            random,
            guests: BTreeMap::new(),
            next_guest: 0,
            sockets: BTreeMap::new(),
            groups: BTreeMap::new(),
            expected: BTreeMap::new(),
            arena: Arena::new(),
            touched: Vec::new(),
            events: VecDeque::new(),
            packets: VecDeque::new(),
            turned: BTreeMap::new(),
            stray: 0,
            armed: None,
            wake,
        }))
    }

    /// Takes what has come to one of the ports.
    pub(super) fn receive(&mut self, port: usize, inbox: &mut Inbox) {
        let Some(socket) = self.ports.get(port).cloned() else { return };
        for _ in 0..BATCHES {
            let now = clock::now();
            match socket.socket().receive(inbox, |datagram| self.datagram(port, datagram, now)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => socket.note(error),
            }
        }
        self.settle(clock::now());
    }

    fn datagram(&mut self, port: usize, datagram: Datagram<'_>, now: Instant) {
        let Some(Ok(destination)) = datagram.bytes.get(DESTINATION).map(<[u8; 4]>::try_from) else {
            self.stray += 1;
            return;
        };
        let destination = SocketId(u32::from_be_bytes(destination));
        if destination == SocketId::LISTENER {
            let socket = u32::try_from(port).unwrap_or(u32::MAX);
            let route = listener::Route { socket, local: datagram.to, peer: datagram.from };
            return self.listener.handle_datagram(route, datagram.bytes, now);
        }
        let Some((id, path)) = self.sockets.get(&destination).copied() else {
            self.stray += 1;
            return;
        };
        let Some(guest) = self.guests.get_mut(&id) else { return };
        // Whoever knows the id but sends from elsewhere is not the one that we talk to.
        if !guest.paths.iter().any(|p| p.id == path && p.route.to == datagram.from) {
            self.stray += 1;
            return;
        }
        // Data packets begin with a zero bit (draft §3).
        if datagram.bytes.first().is_some_and(|first| first & 0x80 == 0) {
            guest.heard = now;
        }
        guest.session.handle_datagram(path, &self.arena.keep(datagram.bytes), now);
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
    }

    /// When [`Self::timeout`] has to be called, unless the hall wakes its task before.
    pub(super) fn arm(&mut self) -> Option<Instant> {
        let listener = self.listener.poll_timeout().map(|(at, _)| at);
        let guests = self.guests.values().filter_map(|guest| guest.due);
        self.armed = guests.chain(listener).min();
        self.armed
    }

    /// Time has come, or may have.
    pub(super) fn timeout(&mut self) {
        let now = clock::now();
        if self.listener.poll_timeout().is_some_and(|(at, _)| at <= now) {
            self.listener.handle_timeout(now);
        }
        for (id, guest) in &mut self.guests {
            if guest.due.is_some_and(|due| due <= now) {
                guest.session.handle_timeout(now);
                self.touched.push(*id);
            }
        }
        self.settle(now);
    }

    /// Takes out of listener and sessions all that they have to say.
    fn settle(&mut self, now: Instant) {
        while let Some(event) = self.listener.poll_event() {
            self.heard(event, now);
        }
        // Who was welcome and is not in by now did not have the passphrase.
        self.expected.clear();
        while let Some(transmit) = self.listener.poll_transmit() {
            let listener::Route { socket, local, peer } = transmit.route;
            if let Some(port) = usize::try_from(socket).ok().and_then(|port| self.ports.get(port)) {
                port.push(Route { to: peer, from: local }, |out| out.extend_from_slice(&transmit.datagram));
            }
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for id in touched.drain(..) {
            self.settle_guest(id, now);
        }
        self.touched = touched;
        self.ports.iter().for_each(|port| port.flush());
        let due = self.guests.values().filter_map(|guest| guest.due).min();
        let sooner = due.is_some_and(|due| self.armed.is_none_or(|armed| due < armed));
        if sooner || !self.events.is_empty() || !self.packets.is_empty() {
            self.wake.notify_one();
        }
    }

    fn settle_guest(&mut self, id: GuestId, now: Instant) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        while let Some(transmit) = guest.session.poll_transmit(now) {
            let path = guest.paths.iter().find(|path| path.id == transmit.path);
            if let Some((port, path)) = path.and_then(|path| Some((self.ports.get(path.port)?, path))) {
                port.push(path.route, |out| transmit.write_to(out));
            }
        }
        while let Some(delivered) = guest.session.poll_deliver(now) {
            if self.packets.len() >= MOST_WAITING {
                self.packets.pop_front();
            }
            self.packets.push_back((id, delivered));
        }
        guest.due = guest.session.poll_timeout().map(|(at, _)| at);
        let events: Vec<Event> = std::iter::from_fn(|| guest.session.poll_event()).collect();
        for event in events {
            match event {
                Event::PathClosed { path, why } => self.path_gone(id, path, why, now),
                Event::PathAdded(_) | Event::Message { .. } | Event::Keys { .. } => {}
                Event::KeyRefused { .. } | Event::Closed => {}
            }
        }
    }

    fn heard(&mut self, event: ListenerEvent, now: Instant) {
        match event {
            ListenerEvent::Request(request) => self.decide(&request, now),
            ListenerEvent::Connected { request, route, negotiated } => {
                if let Some(programme) = self.expected.remove(&request) {
                    self.open(programme, route, &negotiated, now);
                }
            }
            ListenerEvent::Joined { route, negotiated } => {
                let group = negotiated.group.map(|group| group.local);
                match group.and_then(|group| self.groups.get(&group).copied()) {
                    Some(guest) => self.join(guest, route, &negotiated, now),
                    // The session ended while its member was on its way.
                    None => self.listener.connection_closed(negotiated.local, now),
                }
            }
            ListenerEvent::Refused(refused) => self.tell(HallEvent::Refused(refused)),
        }
    }

    fn decide(&mut self, request: &Request, now: Instant) {
        let guests = &self.guests;
        let occupancy = |programme: usize| {
            let sender = guests.values().filter(|guest| guest.programme == programme).map(|guest| guest.heard).max();
            sender.map_or(Occupancy::Free, |heard| Occupancy::Sender { silent: now.saturating_duration_since(heard) })
        };
        match self.door.answer(request, occupancy) {
            Answer::Welcome { programme, acceptance } => {
                self.expected.insert(request.id, programme);
                self.listener.accept(request.id, &acceptance, now);
            }
            Answer::Away(why) => {
                *self.turned.entry(why.code()).or_default() += 1;
                self.listener.reject(request.id, why.reason(), now);
                self.tell(HallEvent::Turned { from: request.route.peer, why });
            }
        }
    }

    fn open(&mut self, programme: usize, route: listener::Route, negotiated: &Negotiated, now: Instant) {
        // Whoever was here before and has gone silent makes room.
        let old: Vec<GuestId> =
            self.guests.iter().filter(|(_, guest)| guest.programme == programme).map(|(id, _)| *id).collect();
        for id in old {
            self.show_out(id, now);
        }
        self.next_guest += 1;
        let id = GuestId(self.next_guest);
        let config = SessionConfig {
            send_buffer: SEND_BUFFER,
            receive_buffer: RECEIVE_BUFFER,
            seed: Some(Seed(self.random.bytes())),
            ..SessionConfig::default()
        };
        let session = Session::new(config, &negotiated.terms(), now);
        let path = session.paths().next();
        let about = About {
            group: negotiated.group.map(|group| group.group_type),
            encrypted: negotiated.keys.is_some(),
            latency: negotiated.receive_latency,
            version: negotiated.peer_version,
            is_holdfast: negotiated.private.is_some(),
        };
        let group = negotiated.group.map(|group| group.local);
        if let Some(group) = group {
            self.groups.insert(group, id);
        }
        let guest = Guest {
            programme,
            session,
            about,
            group,
            paths: Vec::new(),
            due: Some(now),
            heard: now,
            last_end: Closed::Here,
        };
        self.guests.insert(id, guest);
        self.tell(HallEvent::Opened { guest: id, programme, about });
        if let Some(path) = path {
            self.attach(id, path, route, negotiated.local);
        }
    }

    fn join(&mut self, id: GuestId, route: listener::Route, negotiated: &Negotiated, now: Instant) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        match guest.session.add_path(&negotiated.terms(), now) {
            Ok(path) => self.attach(id, path, route, negotiated.local),
            Err(_) => self.listener.connection_closed(negotiated.local, now),
        }
    }

    fn attach(&mut self, id: GuestId, path: PathId, route: listener::Route, local: SocketId) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        let port = usize::try_from(route.socket).unwrap_or(usize::MAX);
        let peer = route.peer;
        guest.paths.push(GuestPath { id: path, local, port, route: Route { to: peer, from: route.local } });
        self.sockets.insert(local, (id, path));
        self.touched.push(id);
        self.tell(HallEvent::PathUp { guest: id, peer });
    }

    fn path_gone(&mut self, id: GuestId, path: PathId, why: Closed, now: Instant) {
        let Some(guest) = self.guests.get_mut(&id) else { return };
        let Some(at) = guest.paths.iter().position(|p| p.id == path) else { return };
        let gone = guest.paths.remove(at);
        guest.last_end = why;
        let is_over = guest.paths.is_empty();
        self.sockets.remove(&gone.local);
        self.listener.connection_closed(gone.local, now);
        self.tell(HallEvent::PathGone { guest: id, peer: gone.route.to, why });
        if is_over {
            self.over(id);
        }
    }

    /// Ends a sender's session and tells it.
    pub(super) fn show_out(&mut self, id: GuestId, now: Instant) {
        if let Some(guest) = self.guests.get_mut(&id) {
            for path in guest.paths.iter().map(|path| path.id).collect::<Vec<_>>() {
                guest.session.close_path(path, now);
            }
            self.settle_guest(id, now);
        }
    }

    fn over(&mut self, id: GuestId) {
        let Some(guest) = self.guests.remove(&id) else { return };
        if let Some(group) = guest.group {
            self.groups.remove(&group);
            self.listener.group_closed(group);
        }
        self.tell(HallEvent::Gone { guest: id, programme: guest.programme, why: guest.last_end });
    }

    fn tell(&mut self, event: HallEvent) {
        if self.events.len() >= MOST_WAITING {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// What happened since the last call.
    pub(super) fn poll_event(&mut self) -> Option<HallEvent> {
        self.events.pop_front()
    }

    /// The next packet whose time has come, whosever it is.
    pub(super) fn poll_packet(&mut self) -> Option<(GuestId, Delivered)> {
        self.packets.pop_front()
    }

    /// Tells a sender something, if it is Holdfast.
    pub(super) fn say(&mut self, id: GuestId, message: &[u8]) {
        let now = clock::now();
        if let Some(guest) = self.guests.get_mut(&id) {
            guest.session.send_message(message, now);
            self.touched.push(id);
            self.settle(now);
        }
    }

    /// What is measured of a sender's session, and of its paths.
    pub(super) fn measure(&mut self, id: GuestId, now: Instant) -> Option<(About, SessionStats, Vec<PathNow>)> {
        let guest = self.guests.get_mut(&id)?;
        let mut paths = Vec::new();
        for path in &guest.paths {
            if let Some(stats) = guest.session.path_stats(path.id, now) {
                paths.push(PathNow { peer: path.route.to, stats });
            }
        }
        Some((guest.about, guest.session.stats(now), paths))
    }

    /// What the listener counted.
    pub(super) fn listener(&self) -> &ListenerStats {
        self.listener.stats()
    }

    /// How many were refused, by reason.
    pub(super) fn refusals(&self) -> BTreeMap<&'static str, u64> {
        const ALL: [Refusal; 14] = [
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
        let mut all = self.turned.clone();
        for refusal in ALL {
            let count = self.listener.refused(refusal);
            if count > 0 {
                all.insert(refusal.code(), count);
            }
        }
        all
    }

    /// Datagrams for nobody.
    pub(super) fn stray(&self) -> u64 {
        self.stray
    }

    /// The ports.
    pub(super) fn ports(&self) -> &[Rc<Port>] {
        &self.ports
    }
}
