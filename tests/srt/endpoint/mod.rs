//! An SRT endpoint of our own engine between real sockets: the thinnest shell there can be around `bonding`, a caller or
//! listener that sends or receives numbered payloads over one path or several. It takes the arguments of
//! `tests/peers/srt_group_peer.c` and reports in the same words, so that tests and benchmarks can put either in the
//! other's place: in a thread of a test, or as a process of its own.

// A test stops at the first thing that is not as it should be.
#![allow(clippy::unwrap_used, clippy::panic, dead_code, unreachable_pub)]

mod connect;
#[path = "../../peers/numbered.rs"]
pub mod numbered;
pub mod peer;
mod port;
mod report;
mod settings;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::bonding::{Bond, BondCounters, BondEvent, Decision};
use holdfast::clock;
use holdfast::link::udp::{Binding, Inbox, Route};
use holdfast::srt::caller::Caller;
use holdfast::srt::crypto::{KeyMaterial, Random};
use holdfast::srt::listener::{self, Listener, ListenerConfig};
use holdfast::srt::random_isn;
use holdfast::srt::session::{Event, PathId, SessionCounters};
use holdfast::srt::wire::{GroupId, SeqNo, SocketId};
use serde_json::{Value, json};

use numbered::{PAYLOAD, Tally};
use port::{Arrival, Port};
pub use settings::Settings;
use settings::{Direction, Place, Role};

/// A lost member calls again after this time.
const REJOIN: Duration = Duration::from_millis(500);
/// How long a caller tries to get its first member up.
const CONNECT: Duration = Duration::from_secs(10);
/// Payloads are handed over at most so often; above some thousand a second, one wake-up serves several.
const TICK: Duration = Duration::from_micros(500);
/// How often counters are looked at.
const LOOK: Duration = Duration::from_millis(100);
/// Batches that are read from one socket before the others have their turn.
const MOST_BATCHES: usize = 8;

/// Microseconds of CLOCK_MONOTONIC.
pub fn now_us() -> u64 {
    u64::try_from(clock::media().0 / 1000).unwrap_or(0)
}

/// Runs to its end, or until told. `say` hears READY, CONNECTED, MEMBER, REFUSED and DECIDED lines.
pub fn run(settings: &Settings, say: &mut dyn FnMut(String), stop: &AtomicBool) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut endpoint = Endpoint::new(settings, say);
        while !matches!(endpoint.phase, Phase::Over) && !stop.load(Ordering::Relaxed) {
            endpoint.turn().await;
        }
        endpoint.report()
    })
}

/// How far one place has come, for a caller.
enum Way {
    Idle { again: Instant },
    Calling(Box<Caller>),
    Up,
}

/// A session beside the one that counts, of somebody who may be anybody: what it brings is thrown away.
struct Guest {
    bond: Bond,
    course: Course,
}

/// How the datagrams of one path come and go.
#[derive(Clone, Copy)]
struct Course {
    path: PathId,
    local: SocketId,
    port: usize,
    peer: SocketAddr,
    from: Option<IpAddr>,
    weight: u16,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Nobody is connected yet.
    Waiting {
        until: Option<Instant>,
    },
    Running,
    /// Everything was handed over; it is played there at the latest at this time.
    Draining {
        until: Instant,
    },
    Closing,
    Over,
}

enum Content {
    Numbered,
    Stream(Vec<u8>),
}

struct Endpoint<'a> {
    settings: &'a Settings,
    say: &'a mut dyn FnMut(String),
    random: Random,
    ports: Vec<Port>,
    ways: Vec<Way>,
    listener: Option<Listener>,
    bond: Option<Bond>,
    courses: Vec<Course>,
    guests: Vec<Guest>,
    /// What all members of a group say alike.
    start: Instant,
    isn: SeqNo,
    group: GroupId,
    peer_group: Option<GroupId>,
    local_group: Option<GroupId>,
    keys: Option<KeyMaterial>,
    phase: Phase,
    content: Content,
    file: Option<File>,
    begun: Instant,
    sent: u64,
    refused: u64,
    took: f64,
    tally: Tally,
    heard: Instant,
    looked: Instant,
    paths: report::Paths,
    session: SessionCounters,
    counters: BondCounters,
    refusals: BTreeMap<&'static str, (u64, u64)>,
    inbox: Inbox,
    arrivals: Vec<Arrival>,
    blocked: bool,
}

impl<'a> Endpoint<'a> {
    fn new(settings: &'a Settings, say: &'a mut dyn FnMut(String)) -> Self {
        let now = clock::now();
        let mut random = chance();
        let calls = settings.direction == Direction::Call;
        let binding = |place: &Place| match calls {
            true => {
                let any = if place.target.is_ipv4() {
                    IpAddr::from(Ipv4Addr::UNSPECIFIED)
                } else {
                    Ipv6Addr::UNSPECIFIED.into()
                };
                Binding::caller(None, (place.source.unwrap_or(any), 0).into())
            }
            false => Binding::listener(place.target),
        };
        let ports: Vec<_> = settings.places.iter().map(|place| Port::open(binding(place), settings.buffer)).collect();
        let listener = (!calls).then(|| {
            let config = ListenerConfig { offer: connect::offer(settings), ..ListenerConfig::default() };
            Listener::new(config, chance(), now)
        });
        let reads = settings.role == Role::Send && settings.file.is_some();
        let mut stream = Vec::new();
        if reads {
            let path = settings.file.as_ref().expect("just asked");
            File::open(path).expect("the file is there").read_to_end(&mut stream).expect("it can be read");
        }
        let writes = settings.file.as_ref().filter(|_| settings.role == Role::Receive);
        let passphrase = settings.passphrase();
        let isn = random_isn(&mut random);
        let group = GroupId::marked(settings.group_id.unwrap_or_else(|| random.next_u32()));
        if !calls {
            let places: Vec<_> = ports.iter().map(|port| port.local().to_string()).collect();
            say(format!("READY {}", places.join(" ")));
        }
        Self {
            keys: passphrase.map(|it| KeyMaterial::generate(&it, settings.key_length(), &mut random)),
            settings,
            say,
            random,
            ways: ports.iter().map(|_| Way::Idle { again: now }).collect(),
            ports,
            listener,
            bond: None,
            courses: Vec::new(),
            guests: Vec::new(),
            // Somewhat earlier, so that nothing lies before it.
            start: now,
            isn,
            group,
            peer_group: None,
            local_group: None,
            phase: Phase::Waiting { until: calls.then(|| now + CONNECT) },
            content: if reads { Content::Stream(stream) } else { Content::Numbered },
            file: writes.map(|path| File::create(path).expect("it can be written")),
            begun: now,
            sent: 0,
            refused: 0,
            took: 0.0,
            tally: Tally::default(),
            heard: now,
            looked: now,
            paths: BTreeMap::new(),
            session: SessionCounters::default(),
            counters: BondCounters::default(),
            refusals: BTreeMap::new(),
            inbox: Inbox::new(),
            arrivals: Vec::new(),
            blocked: false,
        }
    }

    /// One turn: what is due, what leaves; then waits, and takes what has come.
    async fn turn(&mut self) {
        let now = clock::now();
        self.call(now);
        self.timeouts(now);
        self.hand_over(now);
        self.drain();
        if matches!(self.phase, Phase::Over) {
            return;
        }
        let deadline = self.deadline(now);
        tokio::select! {
            biased;
            () = port::any_readable(&self.ports) => {}
            () = tokio::time::sleep_until(deadline.into()) => {}
        }
        self.receive();
    }

    fn timeouts(&mut self, now: Instant) {
        for way in &mut self.ways {
            if let Way::Calling(caller) = way
                && caller.poll_timeout().is_some_and(|(at, _)| at <= now)
            {
                caller.handle_timeout(now);
            }
        }
        if let Some(listener) = &mut self.listener
            && listener.poll_timeout().is_some_and(|(at, _)| at <= now)
        {
            listener.handle_timeout(now);
        }
        if let Some(bond) = &mut self.bond
            && bond.poll_timeout().is_some_and(|(at, _)| at <= now)
        {
            bond.handle_timeout(now);
        }
        for guest in &mut self.guests {
            if guest.bond.poll_timeout().is_some_and(|(at, _)| at <= now) {
                guest.bond.handle_timeout(now);
            }
        }
        if now >= self.looked + LOOK {
            self.look(now);
        }
        match self.phase {
            Phase::Waiting { until: Some(until) } if now >= until => {
                (self.say)("FAILED no connection".to_owned());
                self.phase = Phase::Over;
            }
            Phase::Draining { until } if now >= until => {
                // Whoever receives drains after the end.
                let receives = self.settings.role == Role::Receive;
                self.phase = if receives { Phase::Over } else { Phase::Closing };
                if let Some(bond) = &mut self.bond {
                    bond.close(now);
                }
            }
            Phase::Running if self.settings.role == Role::Receive && now >= self.heard + self.patience() => {
                self.phase = Phase::Over;
            }
            Phase::Waiting { .. } | Phase::Running | Phase::Draining { .. } | Phase::Closing | Phase::Over => {}
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_secs_f64(self.settings.seconds)
    }

    /// Payload `number` is due so long after the first.
    fn due(&self, number: u64) -> Instant {
        self.begun + Duration::from_secs_f64(number as f64 * PAYLOAD as f64 * 8.0 / self.settings.rate.max(1.0))
    }

    /// A sender's payloads that are due.
    fn hand_over(&mut self, now: Instant) {
        if !matches!(self.phase, Phase::Running) || self.settings.role == Role::Receive {
            return;
        }
        let end = self.begun + Duration::from_secs_f64(self.settings.seconds);
        let mut is_over = now >= end;
        while !is_over && self.due(self.sent) <= now {
            let payload = match &self.content {
                Content::Numbered => numbered::write(self.settings.stream, self.sent, now_us()),
                Content::Stream(bytes) => {
                    let chunk = bytes.chunks(PAYLOAD).nth(self.sent as usize);
                    Bytes::copy_from_slice(chunk.unwrap_or_default())
                }
            };
            is_over = payload.is_empty();
            if is_over {
                break;
            }
            let Some(bond) = &mut self.bond else { return };
            if bond.send(payload, now, now).is_err() {
                self.refused += 1;
                is_over = true;
                break;
            }
            self.sent += 1;
        }
        if is_over {
            self.took = (now - self.begun).as_secs_f64();
            self.phase = Phase::Draining { until: now + self.settings.latency() + Duration::from_millis(500) };
        }
    }

    fn deadline(&self, now: Instant) -> Instant {
        let far = now + LOOK;
        let callers = self.ways.iter().filter_map(|way| match way {
            Way::Idle { again } if self.listener.is_none() => Some(*again),
            Way::Calling(caller) => caller.poll_timeout().map(|(at, _)| at),
            Way::Idle { .. } | Way::Up => None,
        });
        let listener = self.listener.as_ref().and_then(|listener| listener.poll_timeout()).map(|(at, _)| at);
        let bonds = self.bond.iter().chain(self.guests.iter().map(|guest| &guest.bond));
        let bond = bonds.filter_map(Bond::poll_timeout).map(|(at, _)| at).min();
        let sends = matches!(self.phase, Phase::Running) && self.settings.role == Role::Send;
        let due = sends.then(|| self.due(self.sent).max(now + TICK));
        let blocked = self.blocked.then(|| now + Duration::from_millis(1));
        let phase = match self.phase {
            Phase::Draining { until } => Some(until),
            Phase::Waiting { .. } | Phase::Running | Phase::Closing | Phase::Over => None,
        };
        callers.chain(listener).chain(bond).chain(due).chain(blocked).chain(phase).fold(far, Instant::min)
    }

    fn receive(&mut self) {
        for index in 0..self.ports.len() {
            for _ in 0..MOST_BATCHES {
                let mut arrivals = std::mem::take(&mut self.arrivals);
                let more = self.ports[index].receive(&mut self.inbox, &mut arrivals);
                let now = clock::now();
                for arrival in arrivals.drain(..) {
                    self.take(index, &arrival, now);
                }
                self.arrivals = arrivals;
                if !more {
                    break;
                }
            }
        }
    }

    fn take(&mut self, port: usize, arrival: &Arrival, now: Instant) {
        let Some(dest) = arrival.bytes.get(12..16) else { return };
        let dest = SocketId(dest.try_into().map(u32::from_be_bytes).unwrap_or_default());
        let course = self.courses.iter().find(|it| it.local == dest && it.port == port && it.peer == arrival.from);
        if let (Some(course), Some(bond)) = (course, &mut self.bond) {
            return bond.handle_datagram(course.path, &arrival.bytes, now);
        }
        if let Some(guest) = self.guests.iter_mut().find(|it| it.course.local == dest && it.course.peer == arrival.from)
        {
            return guest.bond.handle_datagram(guest.course.path, &arrival.bytes, now);
        }
        if let Some(listener) = &mut self.listener {
            let route = listener::Route { socket: port as u32, local: arrival.to, peer: arrival.from };
            listener.handle_datagram(route, &arrival.bytes, now);
        } else if let Way::Calling(caller) = &mut self.ways[port]
            && arrival.from == self.settings.places[port].target
        {
            caller.handle_datagram(&arrival.bytes, now);
        }
        // Its answer decides where the datagrams after it belong.
        self.handshakes(now);
    }

    /// Everything that the state machines have to say.
    fn drain(&mut self) {
        let now = clock::now();
        self.handshakes(now);
        while let Some(transmit) = self.bond.as_mut().and_then(|bond| bond.poll_transmit(now)) {
            if let Some(course) = self.courses.iter().find(|course| course.path == transmit.path) {
                let route = Route { to: course.peer, from: course.from };
                self.ports[course.port].push(route, |out| transmit.write_to(out));
            }
        }
        while let Some(delivered) = self.bond.as_mut().and_then(|bond| bond.poll_deliver(now)) {
            self.heard = now;
            match &mut self.file {
                Some(file) => {
                    file.write_all(&delivered.payload).expect("the disk has room");
                    self.tally.count_unseen();
                }
                None => self.tally.count(&delivered.payload, now_us()),
            }
        }
        while let Some(event) = self.bond.as_mut().and_then(Bond::poll_event) {
            match event {
                BondEvent::Session(event) => self.session_event(&event, now),
                BondEvent::Decided(decision) => self.decided(&decision),
            }
        }
        self.entertain(now);
        self.blocked = false;
        for port in &mut self.ports {
            self.blocked |= port.flush();
        }
    }

    fn entertain(&mut self, now: Instant) {
        for guest in &mut self.guests {
            while let Some(transmit) = guest.bond.poll_transmit(now) {
                let route = Route { to: guest.course.peer, from: guest.course.from };
                self.ports[guest.course.port].push(route, |out| transmit.write_to(out));
            }
            while guest.bond.poll_deliver(now).is_some() {}
            while let Some(event) = guest.bond.poll_event() {
                if let (BondEvent::Session(Event::PathClosed { .. }), Some(listener)) = (event, &mut self.listener) {
                    listener.connection_closed(guest.course.local, now);
                }
            }
        }
        self.guests.retain(|guest| guest.bond.session().paths().next().is_some());
    }

    fn session_event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PathClosed { path, why } => {
                (self.say)(format!("MEMBER {} down {why:?} at_us {}", path.0, now_us()));
                let Some(index) = self.courses.iter().position(|course| course.path == *path) else { return };
                let course = self.courses.remove(index);
                match &mut self.listener {
                    Some(listener) => listener.connection_closed(course.local, now),
                    None => self.ways[course.port] = Way::Idle { again: now + REJOIN },
                }
            }
            Event::Closed => {
                if let (Some(listener), Some(group)) = (&mut self.listener, self.local_group) {
                    listener.group_closed(group);
                }
                // What has arrived is still played.
                self.phase = match self.settings.role {
                    Role::Receive => {
                        Phase::Draining { until: now + self.settings.latency() + Duration::from_millis(100) }
                    }
                    Role::Send => Phase::Over,
                };
            }
            Event::KeyRefused { path, status } => (self.say)(format!("REFUSED key {} {status:?}", path.0)),
            Event::Keys { change, .. } => (self.say)(format!("KEY {change:?} at_us {}", now_us())),
            Event::PathAdded(_) | Event::Message { .. } => {}
        }
    }

    fn decided(&mut self, decision: &Decision) {
        let what = match decision {
            Decision::Doubted { path, why, tail, .. } => format!("doubted {path:?} {why:?} tail {tail}"),
            Decision::Cleared { path, after, .. } => format!("cleared {path} after {after:?}"),
            Decision::Switched { from, to, why, after, .. } => {
                format!("switched {from:?} to {to} {why:?} after {after:?}")
            }
            Decision::Probation { link, needs, .. } => format!("probation {link:?} {needs:?}"),
            Decision::Trusted { link, after } => format!("trusted {link:?} {after:?}"),
            Decision::NoSpare { path, why, .. } => format!("no-spare {path} {why:?}"),
        };
        (self.say)(format!("DECIDED {what} at_us {}", now_us()));
    }

    /// Takes note of all counters.
    fn look(&mut self, now: Instant) {
        self.looked = now;
        let Some(bond) = &mut self.bond else { return };
        for course in &self.courses {
            if let Some(stats) = bond.session_mut().path_stats(course.path, now) {
                self.paths.insert(course.path, (course.weight, stats));
            }
        }
        self.session = bond.session_mut().stats(now).counters;
        self.counters = bond.counters();
    }

    fn report(&mut self) -> Value {
        self.look(clock::now());
        let mut report = match self.settings.role {
            Role::Send => report::sent(self.sent, self.refused, self.took),
            Role::Receive => report::received(&self.tally),
        };
        let refusals = self
            .refusals
            .iter()
            .map(|(code, (events, times))| ((*code).to_owned(), json!({"events": events, "times": times})));
        let refusals = Value::Object(refusals.collect());
        report::complete(&mut report, &self.paths, self.session, self.counters, refusals);
        report["lost_here"] = self.ports.iter().map(|port| port.lost).sum::<u64>().into();
        report
    }
}

/// From the system.
fn chance() -> Random {
    let mut seed = [0; 32];
    let filled = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut seed);
    filled.expect("the system has chance");
    Random::from_seed(&seed)
}
