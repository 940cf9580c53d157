//! Two bonds and the links between them, in virtual time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::bonding::{Bond, BondEvent, Decision, LinkId, Policy};
use crate::srt::session::{Delivered, Event, FEATURES, MaxBandwidth, PathId, SessionConfig, Terms};
use crate::srt::wire::{GroupType, Packet, SeqNo, SocketId, SrtFlags};

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Sender,
    Receiver,
}

/// One direction of a link.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) delay: Duration,
    /// Up to so much more, at random; packets may overtake each other.
    pub(super) jitter: Duration,
    pub(super) loss: f64,
    /// Nothing gets through.
    pub(super) hole: bool,
    /// Bytes/s and how long its queue may be.
    pub(super) rate: Option<(u64, Duration)>,
    busy: Instant,
    random: fastrand::Rng,
    pub(super) carried: u64,
}

impl Way {
    /// When a datagram that enters now comes out, if it does.
    fn carry(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        self.carried += 1;
        let lost = self.random.f64() < self.loss;
        if self.hole || lost {
            return None;
        }
        let mut leaves = now;
        if let Some((rate, queue)) = self.rate {
            leaves = self.busy.max(now);
            if leaves - now > queue {
                return None;
            }
            leaves += Duration::from_nanos(bytes as u64 * 1_000_000_000 / rate);
            self.busy = leaves;
        }
        let jitter = self.jitter.mul_f64(self.random.f64());
        Some(leaves + self.delay + jitter)
    }
}

/// Whom the sender takes the receiver for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Holdfast,
    Libsrt(u32),
}

pub(super) struct Pair {
    pub(super) now: Instant,
    pub(super) start: Instant,
    pub(super) sender: Bond,
    pub(super) receiver: Bond,
    /// By path; forward, then back.
    pub(super) ways: BTreeMap<PathId, [Way; 2]>,
    heap: BTreeMap<(Instant, u64), (End, PathId, Bytes)>,
    order: u64,
    pub(super) decisions: Vec<(Duration, Decision)>,
    pub(super) closed: Vec<PathId>,
    /// When a payload left, on which path, and which it was.
    pub(super) left: Vec<(Instant, PathId, SeqNo)>,
    pub(super) delivered: Vec<(Delivered, Instant)>,
    pub(super) trace: u64,
    peer: Peer,
    latency: Duration,
    sent: u64,
    seed: u64,
}

const ISN: u32 = 0x7fff_fff0;

impl Pair {
    /// A path over link 0 with this one-way delay.
    #[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
    pub(super) fn new(policy: Policy, peer: Peer, latency: Duration, delay: Duration, weight: u16) -> Self {
        let start = Instant::now() + Duration::from_secs(1000);
        let now = start + delay * 4;
        let config = SessionConfig { max_bandwidth: MaxBandwidth::Input { overhead: 25 }, ..SessionConfig::default() };
        let bond = |end| {
            let terms = terms(peer, end, 0, SeqNo::new(ISN), latency, start, delay);
            Bond::new(policy, config, &terms, LinkId(0), weight, now)
        };
        let mut pair = Self {
            now,
            start,
            sender: bond(End::Sender),
            receiver: bond(End::Receiver),
            ways: BTreeMap::new(),
            heap: BTreeMap::new(),
            order: 0,
            decisions: Vec::new(),
            closed: Vec::new(),
            left: Vec::new(),
            delivered: Vec::new(),
            trace: 0,
            peer,
            latency,
            sent: 0,
            seed: 1,
        };
        pair.connect(PathId(0), delay);
        pair
    }

    fn connect(&mut self, path: PathId, delay: Duration) {
        let now = self.now;
        let mut way = || {
            self.seed += 1;
            let random = fastrand::Rng::with_seed(self.seed);
            Way { delay, jitter: ms(0), loss: 0.0, hole: false, rate: None, busy: now, random, carried: 0 }
        };
        let ways = [way(), way()];
        self.ways.insert(path, ways);
    }

    /// Another path over `link`.
    pub(super) fn join(&mut self, link: u32, delay: Duration, weight: u16) -> PathId {
        let number = self.ways.len() as u32;
        let isn = self.sender.session().next_seq();
        let terms = |end| terms(self.peer, end, number, isn, self.latency, self.start, delay);
        let (to, from) = (terms(End::Sender), terms(End::Receiver));
        let path = self.sender.add_path(&to, LinkId(link), weight, self.now).unwrap();
        assert_eq!(self.receiver.add_path(&from, LinkId(link), weight, self.now), Ok(path));
        self.connect(path, delay);
        path
    }

    pub(super) fn forward(&mut self, path: PathId) -> &mut Way {
        &mut self.ways.get_mut(&path).unwrap()[0]
    }

    pub(super) fn back(&mut self, path: PathId) -> &mut Way {
        &mut self.ways.get_mut(&path).unwrap()[1]
    }

    /// Both directions.
    pub(super) fn hole(&mut self, path: PathId, hole: bool) {
        for way in self.ways.get_mut(&path).unwrap() {
            way.hole = hole;
        }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    pub(super) fn send(&mut self) {
        let mut payload = BytesMut::zeroed(1316);
        payload[..8].copy_from_slice(&self.sent.to_be_bytes());
        self.sent += 1;
        self.sender.send(payload.freeze(), self.now, self.now).unwrap();
        self.drain();
    }

    /// A packet every `interval` for `time`.
    pub(super) fn stream(&mut self, time: Duration, interval: Duration) {
        let end = self.now + time;
        let mut next = self.now;
        while next < end {
            self.run_until(next);
            self.send();
            next += interval;
        }
        self.run_until(end);
    }

    pub(super) fn run(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    fn run_until(&mut self, end: Instant) {
        loop {
            self.drain();
            let wakes = [&self.sender, &self.receiver].map(Bond::poll_timeout);
            for wake in wakes.iter().flatten() {
                assert!(wake.0 > self.now, "{:?} is due at once, again", wake.1);
            }
            let timer = wakes.into_iter().flatten().map(|(at, _)| at).min();
            let arrival = self.heap.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [timer, arrival].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = at;
            while let Some(first) = self.heap.first_entry().filter(|first| first.key().0 == at) {
                let (to, path, datagram) = first.remove();
                let bond = if to == End::Sender { &mut self.sender } else { &mut self.receiver };
                bond.handle_datagram(path, &datagram, at);
            }
            for bond in [&mut self.sender, &mut self.receiver] {
                if bond.poll_timeout().is_some_and(|(due, _)| due <= at) {
                    bond.handle_timeout(at);
                }
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        for from in [End::Sender, End::Receiver] {
            let (bond, to) = match from {
                End::Sender => (&mut self.sender, End::Receiver),
                End::Receiver => (&mut self.receiver, End::Sender),
            };
            while let Some(transmit) = bond.poll_transmit(self.now) {
                let mut datagram = BytesMut::new();
                transmit.write_to(&mut datagram);
                let datagram = datagram.freeze();
                for byte in datagram.iter().take(32) {
                    self.trace = (self.trace ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
                }
                if let (End::Sender, Ok(Packet::Data(data))) = (from, Packet::decode(&datagram)) {
                    self.left.push((self.now, transmit.path, data.header.seq));
                }
                let way = &mut self.ways.get_mut(&transmit.path).unwrap()[usize::from(from == End::Receiver)];
                if let Some(arrives) = way.carry(datagram.len() + 28, self.now) {
                    self.order += 1;
                    self.heap.insert((arrives, self.order), (to, transmit.path, datagram));
                }
            }
            while let Some(event) = bond.poll_event() {
                match event {
                    BondEvent::Decided(decision) => {
                        assert_eq!(from, End::Sender, "who receives has nothing to decide: {decision:?}");
                        self.decisions.push((self.now - self.start, decision));
                    }
                    BondEvent::Session(Event::PathClosed { path, .. }) if from == End::Sender => self.closed.push(path),
                    BondEvent::Session(_) => {}
                }
            }
        }
        while let Some(delivered) = self.receiver.poll_deliver(self.now) {
            self.delivered.push((delivered, self.now));
        }
    }

    /// How many never came, once everything is over.
    pub(super) fn missing(&mut self) -> u64 {
        self.run(self.latency + ms(500));
        let mut last = None;
        for (delivered, _) in &self.delivered {
            let number = u64::from_be_bytes(delivered.payload[..8].try_into().unwrap());
            assert!(last.is_none_or(|last| last < number), "{number} after {last:?}");
            last = Some(number);
        }
        self.sent - self.delivered.len() as u64
    }

    /// When the first new payload left on `path` after `from`.
    pub(super) fn first_on(&self, path: PathId, from: Instant) -> Option<Instant> {
        self.left.iter().find(|(at, on, _)| *on == path && *at >= from).map(|(at, ..)| *at)
    }

    pub(super) fn switches(&self) -> Vec<(Duration, PathId)> {
        let of = |(at, decision): &(Duration, Decision)| match decision {
            Decision::Switched { to, .. } => Some((*at, *to)),
            Decision::Doubted { .. }
            | Decision::Cleared { .. }
            | Decision::Probation { .. }
            | Decision::Trusted { .. }
            | Decision::NoSpare { .. } => None,
        };
        self.decisions.iter().filter_map(of).collect()
    }
}

fn terms(peer: Peer, end: End, number: u32, isn: SeqNo, latency: Duration, start: Instant, delay: Duration) -> Terms {
    let id = |end| SocketId(if end == End::Sender { 0x1000 } else { 0x2000 } + number);
    let other = if end == End::Sender { End::Receiver } else { End::Sender };
    Terms {
        local: id(end),
        peer: id(other),
        isn,
        peer_version: if let Peer::Libsrt(version) = peer { version } else { 0x01_05_05 },
        peer_flags: SrtFlags(0xbf),
        receive_latency: latency,
        send_latency: latency,
        flow_window: 8192,
        mss: 1500,
        start,
        peer_start: start + delay,
        group: Some(GroupType::Backup),
        holdfast: (peer == Peer::Holdfast).then_some(FEATURES),
        rtt: Some(delay * 2),
        keys: None,
    }
}
