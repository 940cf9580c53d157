//! Two ends, the cables between them, and everything that happens to them, in virtual time.
//!
//! What happens stands in one agenda of (time, number), so that a seed's story is always the same. Cables carry real
//! datagrams; each end has a clock of its own, and wakes up late if the story says so.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::checker::Checker;
use super::end::{Happened, Side};
use super::payload;
use super::story::Story;
use crate::netem::{Change, Duplex, End};
use crate::srt::crypto::KeyMaterial;
use crate::srt::session::Terms;
use crate::srt::wire::{SeqNo, SocketId, SrtFlags};

/// A member that was lost is connected anew after so long, as an application would.
const RETRY: Duration = Duration::from_millis(400);
/// Handshakes that cannot get through are given up after this time.
const HANDSHAKE: Duration = Duration::from_secs(1);

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What is to happen.
#[derive(Clone, Debug)]
enum Due {
    /// The source makes a packet.
    Offer,
    /// A step of the story: `cable` changes.
    Change { cable: usize, change: Change },
    /// The caller asks for a connection over a cable.
    Call { cable: usize },
    /// Its question is at the listener.
    Answer { cable: usize, asked: Asked, keys: Option<KeyMaterial> },
    /// The answer is at the caller.
    Established { cable: usize, asked: Asked, answered: Instant, keys: Option<KeyMaterial> },
    /// A datagram that nobody here sent.
    Garbage { end: End },
    /// Looks at what is bounded.
    Measure,
}

/// A connection in the making.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// When, in truth.
    at: Instant,
    caller: SocketId,
    listener: SocketId,
    isn: SeqNo,
    number: u32,
}

pub(super) struct Cable {
    pub(super) link: Duplex<Bytes>,
    /// The connection that both ends have over it, or are making.
    pub(super) connection: Connection,
    /// How often it was connected.
    attempts: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    None,
    Making { number: u32 },
    Made { number: u32, caller: SocketId, listener: SocketId },
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) begin: Instant,
    pub(super) story: Story,
    pub(super) caller: Side,
    pub(super) listener: Side,
    pub(super) cables: Vec<Cable>,
    pub(super) check: Checker,
    agenda: BTreeMap<(Instant, u64), Due>,
    sequence: u64,
    random: fastrand::Rng,
    offered: u64,
    offering_ends: Instant,
    /// Times that an end was woken at this very instant; a busy loop makes it grow.
    wakes_now: u32,
}

/// An end that is woken so often at one instant is in a busy loop.
const MOST_WAKES_AT_ONCE: u32 = 3;
/// How often what is bounded is measured.
const MEASURE: Duration = Duration::from_millis(50);

impl World {
    /// A world in which `story` begins to happen.
    pub(super) fn new(story: Story, begin: Instant) -> Self {
        let mut random = fastrand::Rng::with_seed(story.seed);
        let cables: Vec<Cable> = story
            .cables
            .iter()
            .map(|(forward, back)| Cable {
                link: Duplex::asymmetric(*forward, *back, random.u64(..)),
                connection: Connection::None,
                attempts: 0,
            })
            .collect();
        let check = Checker::new(&story, begin);
        let mut world = Self {
            now: begin,
            begin,
            caller: Side::new(End::A, &story, begin),
            listener: Side::new(End::B, &story, begin),
            cables,
            check,
            agenda: BTreeMap::new(),
            sequence: 0,
            random,
            offered: 0,
            offering_ends: begin + story.length,
            wakes_now: 0,
            story,
        };
        for cable in 0..world.cables.len() {
            // The first one connects first, as its handshake is the group's time base.
            let later = if cable == 0 { Duration::ZERO } else { ms(20) * u32::try_from(cable).unwrap() };
            world.plan(begin + later + world.story.joins[cable], Due::Call { cable });
        }
        for (at, cable, change) in world.story.steps.clone() {
            world.plan(begin + at, Due::Change { cable, change });
        }
        world.plan(begin + world.story.first_offer, Due::Offer);
        world.plan(begin + MEASURE, Due::Measure);
        if world.story.garbage {
            world.plan(begin + ms(1), Due::Garbage { end: End::B });
        }
        world
    }

    fn plan(&mut self, at: Instant, due: Due) {
        self.sequence += 1;
        self.agenda.insert((at, self.sequence), due);
    }

    /// Lets the whole story happen, and then what is still under way arrive.
    pub(super) fn run(&mut self) {
        self.run_for(self.story.length);
        self.run_for(self.story.latency + ms(1500));
        self.check.end(self.now);
    }

    pub(super) fn run_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.step(end) {}
        self.now = end;
    }

    /// One thing happens, if it happens by `end`.
    fn step(&mut self, end: Instant) -> bool {
        let agenda = self.agenda.first_key_value().map(|(key, _)| key.0);
        let links = self.cables.iter().filter_map(|cable| cable.link.poll_timeout()).min();
        let sides = self.caller.wake().into_iter().chain(self.listener.wake()).min();
        let Some(next) = agenda.into_iter().chain(links).chain(sides).min() else { return false };
        if next > end {
            return false;
        }
        if next > self.now {
            self.wakes_now = 0;
        }
        self.now = self.now.max(next);
        if agenda == Some(next) {
            let Some((_, due)) = self.agenda.pop_first() else { return false };
            self.happen(due);
        } else if links == Some(next) {
            self.arrive();
        } else {
            self.wakes_now += 1;
            assert!(self.wakes_now <= MOST_WAKES_AT_ONCE, "busy loop at {:?}: {self:?}", self.now - self.begin);
            for end in [End::A, End::B] {
                if self.side(end).wake().is_some_and(|at| at <= self.now) {
                    let now = self.now;
                    self.side_mut(end).timeout(now);
                    self.check.wakes += 1;
                    self.drain_after(end, true);
                }
            }
        }
        true
    }

    pub(super) fn side(&self, end: End) -> &Side {
        match end {
            End::A => &self.caller,
            End::B => &self.listener,
        }
    }

    /// Data packets that the caller sent again on the same path, or was asked for.
    pub(super) fn retransmitted(&self) -> u64 {
        self.check.retransmitted
    }

    fn side_mut(&mut self, end: End) -> &mut Side {
        match end {
            End::A => &mut self.caller,
            End::B => &mut self.listener,
        }
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Offer => self.offer(),
            Due::Change { cable, change } => {
                if self.story.tells {
                    println!("{:?} cable {cable}: {change}", self.now - self.begin);
                }
                let had = self.cables[cable].link.carrier();
                self.cables[cable].link.apply(change, self.now);
                let has = self.cables[cable].link.carrier();
                self.note(cable);
                if had != has {
                    for end in [End::A, End::B] {
                        let now = self.now;
                        self.side_mut(end).carrier(cable, has, now);
                        self.drain(end);
                    }
                }
            }
            Due::Call { cable } => self.call(cable),
            Due::Answer { cable, asked, keys } => self.answer(cable, asked, keys),
            Due::Established { cable, asked, answered, keys } => self.established(cable, asked, answered, keys),
            Due::Garbage { end } => {
                self.garbage(end);
                let later = ms(self.random.u64(1..400));
                let next = if self.random.bool() { End::A } else { End::B };
                self.plan(self.now + later, Due::Garbage { end: next });
            }
            Due::Measure => {
                self.measure();
                self.plan(self.now + MEASURE, Due::Measure);
            }
        }
    }

    fn offer(&mut self) {
        if self.now >= self.offering_ends {
            return;
        }
        let (size, burst) = (self.story.payload, self.story.burst);
        if self.caller.is_connected() {
            for _ in 0..burst {
                let number = self.offered;
                self.offered += 1;
                self.caller.send(payload::write(number, size), self.now);
                self.check.offered(number, self.now);
            }
            self.drain(End::A);
        }
        self.plan(self.now + self.story.interval * burst, Due::Offer);
    }

    fn drain(&mut self, end: End) {
        self.drain_after(end, false);
    }

    /// Lets everything out of an end.
    fn drain_after(&mut self, end: End, timeout: bool) {
        let (now, begin) = (self.now, self.begin);
        loop {
            let mut idle = true;
            let side = match end {
                End::A => &mut self.caller,
                End::B => &mut self.listener,
            };
            while let Some((cable, header, payload)) = side.poll_transmit(now) {
                idle = false;
                self.check.sent(end, cable, &header, payload.len(), now);
                let mut datagram = BytesMut::with_capacity(header.len() + payload.len());
                datagram.extend_from_slice(&header);
                datagram.extend_from_slice(&payload);
                let length = datagram.len();
                self.cables[cable].link.send(end, datagram.freeze(), length, now);
            }
            while let Some(delivered) = side.poll_deliver(now) {
                idle = false;
                self.check.delivered(end, payload::read(&delivered.payload), &delivered, now);
            }
            if let Some(happened) = side.poll_event(now - begin) {
                idle = false;
                match happened {
                    Happened::Lost { cable, socket } => self.lost(end, cable, socket),
                    Happened::Switched => self.check.switches.push(now),
                    Happened::Doubted => self.check.doubts.push(now),
                    Happened::Nothing => {}
                }
            }
            if idle {
                break;
            }
        }
        let late =
            if self.story.slack.is_zero() { Duration::ZERO } else { self.story.slack.mul_f64(self.random.f64()) };
        self.side_mut(end).settle(now, late, timeout);
    }

    /// What has arrived by now is taken in.
    fn arrive(&mut self) {
        let now = self.now;
        for cable in 0..self.cables.len() {
            for end in [End::A, End::B] {
                let mut any = false;
                while let Some(datagram) = self.cables[cable].link.poll(end, now) {
                    any = true;
                    self.side_mut(end).datagram(cable, &datagram, now);
                }
                if any {
                    self.drain(end);
                }
            }
        }
    }

    // Connections. The handshake itself has its own tests; here it takes its time, fails where a cable does, and leaves
    // both ends with what they would know.

    fn call(&mut self, cable: usize) {
        let number = self.cables[cable].attempts + 1;
        if self.cables[cable].connection != Connection::None {
            return;
        }
        // Members join a group that is there.
        if cable > 0 && !self.caller.is_connected() {
            self.plan(self.now + ms(50), Due::Call { cable });
            return;
        }
        self.cables[cable].attempts = number;
        self.cables[cable].connection = Connection::Making { number };
        let base = u32::try_from(cable).unwrap() * 100_000 + number * 2;
        let asked = Asked {
            at: self.now,
            caller: SocketId(0x1000_0000 + base),
            listener: SocketId(0x2000_0000 + base),
            isn: self.caller.next_seq().unwrap_or(self.story.isn),
            number,
        };
        match self.way(cable, End::A) {
            Some(way) => {
                let keys = self.caller.keys();
                self.plan(self.now + way, Due::Answer { cable, asked, keys });
            }
            None => self.give_up(cable),
        }
    }

    /// How long a handshake packet takes now; `None` if it does not arrive.
    fn way(&mut self, cable: usize, from: End) -> Option<Duration> {
        let link = &self.cables[cable].link;
        let conditions = link.from(from).conditions();
        let arrives = link.carrier() && !conditions.hole;
        let (delay, jitter) = (conditions.delay, conditions.jitter.most);
        arrives.then(|| delay + jitter.mul_f64(self.random.f64()))
    }

    fn give_up(&mut self, cable: usize) {
        self.cables[cable].connection = Connection::None;
        self.note(cable);
        self.plan(self.now + HANDSHAKE, Due::Call { cable });
    }

    fn answer(&mut self, cable: usize, asked: Asked, keys: Option<KeyMaterial>) {
        if self.cables[cable].connection != (Connection::Making { number: asked.number }) {
            return;
        }
        let Some(way) = self.way(cable, End::B) else { return self.give_up(cable) };
        // What the conclusion's timestamp said, at its arrival.
        let stamp = self.caller.clock.shows(asked.at) - self.caller.start(asked.at);
        let start = self.listener.start(self.now);
        let terms = Terms {
            local: asked.listener,
            peer: asked.caller,
            start,
            peer_start: self.listener.clock.shows(self.now) - stamp,
            ..self.terms(&asked)
        };
        let now = self.now;
        if !self.listener.join(cable, &terms, keys.clone(), now) {
            return self.give_up(cable);
        }
        self.drain(End::B);
        self.plan(self.now + way, Due::Established { cable, asked, answered: now, keys });
    }

    fn established(&mut self, cable: usize, asked: Asked, answered: Instant, keys: Option<KeyMaterial>) {
        if self.cables[cable].connection != (Connection::Making { number: asked.number }) {
            return;
        }
        let stamp = self.listener.clock.shows(answered) - self.listener.start(answered);
        let terms = Terms {
            local: asked.caller,
            peer: asked.listener,
            start: self.caller.start(asked.at),
            peer_start: self.caller.clock.shows(self.now) - stamp,
            ..self.terms(&asked)
        };
        let now = self.now;
        if !self.caller.join(cable, &terms, keys, now) {
            return self.give_up(cable);
        }
        let Asked { number, caller, listener, .. } = asked;
        self.cables[cable].connection = Connection::Made { number, caller, listener };
        self.check.first_way(answered - asked.at);
        self.note(cable);
        self.drain(End::A);
    }

    /// What both ends agree on.
    fn terms(&self, asked: &Asked) -> Terms {
        Terms {
            local: asked.caller,
            peer: asked.listener,
            isn: asked.isn,
            peer_version: self.story.version,
            peer_flags: SrtFlags(0xbf),
            receive_latency: self.story.latency,
            send_latency: self.story.latency,
            flow_window: 8192,
            mss: 1500,
            start: self.begin,
            peer_start: self.begin,
            group: self.story.group(),
            holdfast: self.story.holdfast(),
            rtt: None,
            keys: None,
        }
    }

    /// An end has lost a connection: it is made anew after a while, from the caller's side.
    fn lost(&mut self, end: End, cable: usize, socket: SocketId) {
        let connection = self.cables[cable].connection;
        let is_current = match connection {
            Connection::Made { caller, listener, .. } => socket == if end == End::A { caller } else { listener },
            Connection::None | Connection::Making { .. } => false,
        };
        if is_current {
            self.cables[cable].connection = Connection::None;
            self.note(cable);
            self.plan(self.now + RETRY, Due::Call { cable });
        }
    }

    /// Tells the checker what a cable is like from now on.
    fn note(&mut self, cable: usize) {
        let Cable { link, connection, .. } = &self.cables[cable];
        self.check.note(cable, link, *connection, self.now);
    }

    /// A datagram from somebody who knows an address and nothing else.
    fn garbage(&mut self, end: End) {
        let length = self.random.usize(0..200);
        let mut datagram: Vec<u8> = std::iter::repeat_with(|| self.random.u8(..)).take(length).collect();
        if length >= 16 && self.random.bool() {
            // Looks like a control packet of a kind that exists.
            datagram[0] = 0x80;
            datagram[1] = self.random.u8(0..9);
        }
        let cable = self.random.usize(0..self.cables.len());
        let now = self.now;
        self.side_mut(end).datagram(cable, &Bytes::from(datagram), now);
        self.drain(end);
    }

    fn measure(&mut self) {
        let now = self.now;
        for end in [End::A, End::B] {
            if let Some(stats) = self.side_mut(end).stats(now) {
                self.check.measured(end, &stats, now);
            }
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let connections: Vec<_> = self.cables.iter().map(|cable| cable.connection).collect();
        write!(f, "{:?} {connections:?} caller {:?} listener {:?}", self.story, self.caller.why(), self.listener.why())
    }
}
