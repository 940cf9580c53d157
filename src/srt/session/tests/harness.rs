//! Two sessions and the paths between them, in virtual time. Links are ideal but for what a test does to them: delay,
//! a rule for losses, a hole. The full simulator is elsewhere; this is for looking at one thing at a time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use crate::srt::Role;
use crate::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use crate::srt::session::{Delivered, Duty, Event, Keys, MaxBandwidth, PathId, Session, SessionConfig, Terms};
use crate::srt::wire::{Control, GroupType, Packet, SeqNo, SocketId, SrtFlags};

pub(super) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum End {
    Sender,
    Receiver,
}

/// What a test lets happen to a datagram.
pub(super) type Rule = Box<dyn FnMut(&Packet<'_>, Duration) -> bool>;

/// One direction of one path.
pub(super) struct Link {
    pub(super) delay: Duration,
    /// Whether a datagram gets through.
    pub(super) passes: Rule,
    pub(super) carried: u64,
    pub(super) data: u64,
}

impl Link {
    fn new(delay: Duration) -> Self {
        Self { delay, passes: Box::new(|_, _| true), carried: 0, data: 0 }
    }
}

/// How the two see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// One connection without a group.
    Single,
    /// The same, with a receiver that repeats nothing it asks for.
    AsksOnce,
    /// Holdfast at both ends, in a group.
    Holdfast,
    /// The sender takes the receiver for a libsrt group of this version.
    Libsrt(u32),
}

pub(super) struct Pair {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) sender: Session,
    pub(super) receiver: Session,
    /// By path number; forward, then back.
    pub(super) links: BTreeMap<u32, [Link; 2]>,
    heap: BTreeMap<(Instant, u64), (End, PathId, Bytes)>,
    order: u64,
    pub(super) delivered: Vec<(Delivered, Instant)>,
    pub(super) events: Vec<(End, Event)>,
    /// Digest of everything that moved.
    pub(super) trace: u64,
    caller: Option<End>,
    /// Whether libsrt's rules are checked.
    pub(super) lawful: bool,
    rules: Rules,
    peer: Peer,
    isn: SeqNo,
    latency: Duration,
    sent: u64,
}

/// What libsrt takes for an attack and breaks the connection for: acknowledgements and NAKs of what was not sent on
/// that path; data that jump ahead without a drop request before them.
#[derive(Default)]
struct Rules {
    /// One past the newest that was sent or declined, by path.
    next: BTreeMap<PathId, SeqNo>,
    /// Declared for a peer that keeps a buffer for each path.
    strict: bool,
}

impl Rules {
    fn look(&mut self, from: End, path: PathId, packet: &Packet<'_>) {
        let next = self.next.entry(path).or_insert(SeqNo::new(ISN));
        match (from, packet) {
            (End::Sender, Packet::Data(data)) => {
                let jump = data.header.seq.diff(*next);
                assert!(jump <= 0 || !self.strict, "{path} jumps from {next} to {} unannounced", data.header.seq);
                if jump >= 0 {
                    *next = data.header.seq.next();
                }
            }
            (End::Sender, Packet::Control(packet)) => {
                if let Control::DropRequest { range, .. } = packet.control
                    && !range.last().is_before(*next)
                {
                    *next = range.last().next();
                }
            }
            (End::Receiver, Packet::Control(packet)) => match packet.control {
                Control::Ack(ack) => assert!(!ack.up_to.is_after(*next), "{path} acknowledges {} of {next}", ack.up_to),
                Control::Nak(list) if self.strict => {
                    assert!(list.ranges().all(|range| range.last().is_before(*next)), "{path} asks beyond {next}");
                }
                Control::Nak(_)
                | Control::Handshake(_)
                | Control::KeepAlive
                | Control::CongestionWarning
                | Control::Shutdown
                | Control::AckAck { .. }
                | Control::DropRequest { .. }
                | Control::PeerError { .. }
                | Control::Extended { .. }
                | Control::Unknown { .. } => {}
            },
            (End::Receiver, Packet::Data(_)) => {}
        }
    }
}

pub(super) const ISN: u32 = 0x7fff_ff00;

impl Pair {
    /// Two ends with a first path of this one-way delay.
    pub(super) fn new(peer: Peer, latency: Duration, delay: Duration) -> Self {
        Self::with(peer, latency, delay, SessionConfig { max_bandwidth: MaxBandwidth::Unlimited, ..Default::default() })
    }

    pub(super) fn with(peer: Peer, latency: Duration, delay: Duration, config: SessionConfig) -> Self {
        Self::sealed(peer, latency, delay, config, None)
    }

    /// Encrypted; `caller`: which end called.
    #[expect(clippy::disallowed_methods, reason = "some instant; which one does not matter")]
    pub(super) fn sealed(
        peer: Peer,
        latency: Duration,
        delay: Duration,
        config: SessionConfig,
        caller: Option<End>,
    ) -> Self {
        let start = Instant::now() + Duration::from_secs(1000);
        let now = start + delay * 4;
        let isn = SeqNo::new(ISN);
        let keys = caller.map(|caller| (caller, material(&mut Random::from_seed(&[7; 32]))));
        let terms =
            |end| Terms { keys: keys_of(keys.as_ref(), end), ..terms(peer, end, 0, isn, latency, start, delay) };
        let mut pair = Self {
            start,
            now,
            sender: Session::new(config, &terms(End::Sender), now),
            receiver: Session::new(config, &terms(End::Receiver), now),
            caller,
            links: BTreeMap::new(),
            heap: BTreeMap::new(),
            order: 0,
            delivered: Vec::new(),
            events: Vec::new(),
            trace: 0,
            lawful: true,
            rules: Rules { strict: peer != Peer::Holdfast, ..Rules::default() },
            peer,
            isn,
            latency,
            sent: 0,
        };
        pair.links.insert(0, [Link::new(delay), Link::new(delay)]);
        pair
    }

    /// Another path, as a handshake would add it.
    pub(super) fn join(&mut self, delay: Duration, duty: Duty) -> PathId {
        let number = self.links.len() as u32;
        let isn = self.sender.next_seq();
        let keys = self.caller.map(|caller| match (self.sender.keys(), self.receiver.keys()) {
            (Some(keys), _) | (_, Some(keys)) => (caller, keys.clone()),
            (None, None) => unreachable!(),
        });
        let terms = |end| Terms {
            keys: keys_of(keys.as_ref(), end),
            ..terms(self.peer, end, number, isn, self.latency, self.start, delay)
        };
        let path = self.sender.add_path(&terms(End::Sender), self.now).unwrap();
        assert_eq!(self.receiver.add_path(&terms(End::Receiver), self.now), Ok(path));
        assert_eq!(path, PathId(number));
        self.rules.next.insert(path, isn);
        self.sender.set_duty(path, duty);
        self.links.insert(number, [Link::new(delay), Link::new(delay)]);
        path
    }

    pub(super) fn link(&mut self, path: u32, from: End) -> &mut Link {
        &mut self.links.get_mut(&path).unwrap()[usize::from(from == End::Receiver)]
    }

    /// What gets through from one end on one path.
    pub(super) fn rule(&mut self, path: u32, from: End, rule: impl FnMut(&Packet<'_>, Duration) -> bool + 'static) {
        self.link(path, from).passes = Box::new(rule);
    }

    /// Time since the session began.
    pub(super) fn elapsed(&self) -> Duration {
        self.now - self.start
    }

    /// One packet whose content is its number.
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

    pub(super) fn run_until(&mut self, end: Instant) {
        loop {
            self.drain();
            let wakes = [&self.sender, &self.receiver].map(Session::poll_timeout);
            for wake in wakes.iter().flatten() {
                assert!(wake.0 > self.now, "{:?} is due at once, again", wake.1);
            }
            let timer = wakes.into_iter().flatten().map(|(at, _)| at).min();
            let arrival = self.heap.first_key_value().map(|((at, _), _)| *at);
            let Some(at) = [timer, arrival].into_iter().flatten().min().filter(|at| *at <= end) else { break };
            self.now = at;
            while let Some(first) = self.heap.first_entry().filter(|first| first.key().0 == at) {
                let (to, path, datagram) = first.remove();
                let session = if to == End::Sender { &mut self.sender } else { &mut self.receiver };
                session.handle_datagram(path, &datagram, at);
            }
            for session in [&mut self.sender, &mut self.receiver] {
                if session.poll_timeout().is_some_and(|(due, _)| due <= at) {
                    session.handle_timeout(at);
                }
            }
        }
        self.now = end;
    }

    fn drain(&mut self) {
        for from in [End::Sender, End::Receiver] {
            let (session, to) = match from {
                End::Sender => (&mut self.sender, End::Receiver),
                End::Receiver => (&mut self.receiver, End::Sender),
            };
            while let Some(transmit) = session.poll_transmit(self.now) {
                let mut datagram = BytesMut::new();
                transmit.write_to(&mut datagram);
                assert_eq!(datagram.len(), transmit.len());
                let datagram = datagram.freeze();
                self.trace = digest(self.trace, (self.now - self.start).as_micros() as u64);
                self.trace = datagram.iter().take(32).fold(self.trace, |sum, byte| digest(sum, u64::from(*byte)));
                let link = &mut self.links.get_mut(&transmit.path.0).unwrap()[usize::from(from == End::Receiver)];
                let packet = Packet::decode(&datagram).unwrap();
                if self.lawful {
                    self.rules.look(from, transmit.path, &packet);
                }
                link.carried += 1;
                link.data += u64::from(matches!(packet, Packet::Data(_)));
                if (link.passes)(&packet, self.now - self.start) {
                    self.order += 1;
                    self.heap.insert((self.now + link.delay, self.order), (to, transmit.path, datagram));
                }
            }
            while let Some(event) = session.poll_event() {
                self.events.push((from, event));
            }
        }
        while let Some(delivered) = self.receiver.poll_deliver(self.now) {
            self.delivered.push((delivered, self.now));
        }
    }

    /// The numbers that were delivered, after checking that each came in order, once, and at its time.
    pub(super) fn numbers(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (delivered, at) in &self.delivered {
            assert!(*at >= delivered.play_at, "too early");
            let number = u64::from_be_bytes(delivered.payload[..8].try_into().unwrap());
            assert_eq!(delivered.seq, self.isn.plus(number as u32), "wrong number");
            assert!(numbers.last().is_none_or(|last| *last < number), "{number} after {:?}", numbers.last());
            if let Some(last) = numbers.last() {
                assert_eq!(delivered.skipped, number - last - 1, "miscounted");
            }
            numbers.push(number);
        }
        numbers
    }

    pub(super) fn missing(&self) -> u64 {
        self.sent - self.numbers().len() as u64
    }

    /// Data packets that left the sender beyond one for each payload.
    pub(super) fn extra(&self) -> u64 {
        self.links.values().map(|links| links[0].data).sum::<u64>() - self.sent
    }
}

fn material(random: &mut Random) -> KeyMaterial {
    KeyMaterial::generate(&Passphrase::new("correct horse").unwrap(), KeyLength::Aes128, random)
}

fn keys_of(keys: Option<&(End, KeyMaterial)>, end: End) -> Option<Keys> {
    let (caller, material) = keys?;
    let role = if *caller == end { Role::Caller } else { Role::Listener };
    // Each end has opened the message for itself.
    let material = KeyMaterial::open(&Passphrase::new("correct horse").unwrap(), material.message()).unwrap();
    Some(Keys { role, material })
}

fn digest(sum: u64, value: u64) -> u64 {
    (sum ^ value).wrapping_mul(0x0100_0000_01b3)
}

fn terms(peer: Peer, end: End, number: u32, isn: SeqNo, latency: Duration, start: Instant, delay: Duration) -> Terms {
    let id = |end| SocketId(if end == End::Sender { 0x1000 } else { 0x2000 } + number);
    let other = if end == End::Sender { End::Receiver } else { End::Sender };
    let flags = SrtFlags(0xbf);
    Terms {
        local: id(end),
        peer: id(other),
        isn,
        peer_version: if let Peer::Libsrt(version) = peer { version } else { 0x01_05_05 },
        peer_flags: if peer == Peer::AsksOnce { flags.without(SrtFlags::NAK_REPORT) } else { flags },
        receive_latency: latency,
        send_latency: latency,
        flow_window: 8192,
        mss: 1500,
        start,
        // What the handshake's timestamp says is late by the delay of its datagram.
        peer_start: start + delay,
        group: (!matches!(peer, Peer::Single | Peer::AsksOnce)).then_some(GroupType::Broadcast),
        rtt: None,
        keys: None,
        holdfast: (peer == Peer::Holdfast).then_some(crate::srt::session::FEATURES),
    }
}
