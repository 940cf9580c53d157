//! A session that runs, in clear or encrypted, over one path or two, and a peer that says anything: data and control
//! packets of every kind with any numbers in them, between honest ones.
#![no_main]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use holdfast::srt::Role;
use holdfast::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random, RefreshPolicy};
use holdfast::srt::session::{Duty, FEATURES, Keys, PathId, Seed, Session, SessionConfig, Terms, Transmit};
use holdfast::srt::wire::{
    Ack, AckReport, Boundary, Control, ControlPacket, DataHeader, GroupType, HEADER_LEN, KeyFlag, LossList, MsgNo,
    SeqNo, SeqRange, SocketId, SrtFlags, Timestamp, kind,
};
use libfuzzer_sys::fuzz_target;

/// Derived once: it takes a millisecond.
static KEYS: LazyLock<KeyMaterial> = LazyLock::new(|| {
    let passphrase = Passphrase::new("s3cr3t s3cr3t").expect("long enough");
    KeyMaterial::generate(&passphrase, KeyLength::Aes128, &mut Random::from_seed(&[1; 32]))
});

/// Numbers wrap soon.
const ISN: SeqNo = SeqNo::new(0x7fff_ffe0);
/// Packets that each buffer holds.
const BUFFER: usize = 64;
const LATENCY: Duration = Duration::from_millis(100);
/// More datagrams than this do not come of one input.
const MOST_AT_ONCE: usize = 4096;

struct World<'a> {
    input: &'a [u8],
    now: Instant,
    ours: Session,
    /// An honest peer: what it sends arrives, and what it is sent.
    peer: Session,
    sent: u32,
}

fn config(seed: u8) -> SessionConfig {
    SessionConfig {
        send_buffer: BUFFER,
        receive_buffer: BUFFER,
        // Nobody is given up for silence here.
        peer_idle: Duration::from_secs(1 << 30),
        refresh: RefreshPolicy::new(48, 12).expect("more than is announced"),
        seed: Some(Seed([seed; 32])),
        ..SessionConfig::default()
    }
}

fn terms(mode: u8, is_ours: bool, path: u32, isn: SeqNo, now: Instant) -> Terms {
    let (local, peer) = if is_ours { (0x1000, 0x2000) } else { (0x2000, 0x1000) };
    let (group, holdfast, version) = match mode >> 1 & 3 {
        0 => (None, None, 0x01_05_05),
        1 => (Some(GroupType::Broadcast), Some(FEATURES), 0x01_05_05),
        2 => (Some(GroupType::Broadcast), None, 0x01_05_01),
        _ => (Some(GroupType::Backup), None, 0x01_05_05),
    };
    let role = if is_ours == (mode & 16 == 0) { Role::Caller } else { Role::Listener };
    Terms {
        local: SocketId(local + path),
        peer: SocketId(peer + path),
        isn,
        peer_version: version,
        peer_flags: SrtFlags(if mode & 32 == 0 { 0xbf } else { 0xaf }),
        receive_latency: LATENCY,
        send_latency: LATENCY,
        flow_window: 8192,
        mss: 1500,
        start: now,
        peer_start: now,
        group,
        holdfast,
        rtt: (mode & 64 != 0).then_some(Duration::from_millis(10)),
        keys: (mode & 1 != 0).then(|| Keys { role, material: KEYS.clone() }),
    }
}

impl World<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        first
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte());
        let (piece, rest) = self.input.split_at(self.input.len().min(length));
        self.input = rest;
        piece.to_vec()
    }

    /// Near what was sent; from time to time far away.
    fn number(&mut self) -> SeqNo {
        let near = self.byte();
        if near == 0xff {
            return SeqNo::new(u32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()]));
        }
        ISN.plus((self.sent + u32::from(near)).saturating_sub(64))
    }

    fn say(&mut self, path: u32, control: Control<'_>) {
        let mut datagram = BytesMut::new();
        let timestamp = Timestamp::new(u32::from(self.byte()) << 12);
        ControlPacket { timestamp, dest: SocketId(0x1000 + path), control }.encode(&mut datagram);
        self.ours.handle_datagram(PathId(path), &datagram.freeze(), self.now);
    }

    fn data(&mut self, path: u32) {
        let (seq, flags) = (self.number(), self.byte());
        let key = [KeyFlag::Clear, KeyFlag::Even, KeyFlag::Odd][usize::from(flags & 3) % 3];
        let header = DataHeader {
            seq,
            boundary: Boundary::Solo,
            in_order: true,
            key,
            retransmitted: flags & 4 != 0,
            msgno: MsgNo::new(u32::from(flags)),
            timestamp: Timestamp::new(u32::from(self.byte()) << if flags & 8 == 0 { 12 } else { 24 }),
            dest: SocketId(0x1000 + path),
        };
        let mut datagram = header.to_bytes().to_vec();
        datagram.extend_from_slice(&self.bytes());
        self.ours.handle_datagram(PathId(path), &Bytes::from(datagram), self.now);
    }

    fn ack(&mut self, path: u32) {
        let (up_to, what) = (self.number(), self.byte());
        let free_buffer = u32::from(self.byte());
        let rtt_us = if what & 2 == 0 { 5_000 } else { u32::from_be_bytes([self.byte(), self.byte(), 0, 0]) };
        let report = AckReport { rtt_us, rtt_variance_us: rtt_us / 2, free_buffer, rates: None };
        let ack = Ack { number: u32::from(what >> 2), up_to, report: (what & 1 == 0).then_some(report) };
        self.say(path, Control::Ack(ack));
    }

    fn nak(&mut self, path: u32) {
        let mut ranges = Vec::new();
        for _ in 0..self.byte() % 8 {
            let first = self.number();
            let more = u32::from(self.byte());
            ranges.extend(SeqRange::new(first, first.plus(more)));
        }
        let mut body = Vec::new();
        LossList::write(&ranges, 1400, &mut body);
        if let Ok(list) = LossList::decode(&body) {
            self.say(path, Control::Nak(list));
        }
    }

    fn extended(&mut self, path: u32) {
        let what = self.byte();
        let mut body = self.bytes();
        if what & 8 != 0 {
            // The keys that are known, in which the input changes bytes.
            let mut message = KEYS.message().to_vec();
            message.iter_mut().zip(&body).for_each(|(byte, change)| *byte ^= change);
            body = message;
        }
        let subtype = [kind::KMREQ, kind::KMRSP, kind::PRIVATE, u16::from(what)][usize::from(what & 3)];
        self.say(path, Control::Extended { subtype, body: &body });
    }

    fn offer(&mut self) {
        for _ in 0..self.byte() % 24 {
            let payload = Bytes::from(vec![7; 16 + usize::from(self.byte()) * 5]);
            if self.ours.send(payload, self.now, self.now).is_ok() {
                self.sent += 1;
            }
        }
    }

    /// The honest peer has its turn.
    fn honest(&mut self) {
        let _ = self.peer.send(Bytes::from_static(&[9; 188]), self.now, self.now);
        while let Some(transmit) = self.peer.poll_transmit(self.now) {
            self.ours.handle_datagram(transmit.path, &datagram(&transmit), self.now);
        }
        while self.peer.poll_deliver(self.now).is_some() || self.peer.poll_event().is_some() {}
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            self.drain();
            let next = [&self.ours, &self.peer].into_iter().filter_map(Session::poll_timeout).map(|(at, _)| at).min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            assert!(at > self.now, "what is over is still due");
            self.now = at;
            self.ours.handle_timeout(at);
            self.peer.handle_timeout(at);
        }
        self.now = until;
    }

    /// Takes everything out of ours; data packets among it.
    fn drain(&mut self) -> usize {
        let (mut count, mut data) = (0, 0);
        while let Some(transmit) = self.ours.poll_transmit(self.now) {
            count += 1;
            assert!(count <= MOST_AT_ONCE, "no end of datagrams");
            assert!(transmit.len() <= 1472 && transmit.len() >= HEADER_LEN);
            data += usize::from(transmit.header[0] & 0x80 == 0);
            self.peer.handle_datagram(transmit.path, &datagram(&transmit), self.now);
        }
        let mut last = None;
        while let Some(delivered) = self.ours.poll_deliver(self.now) {
            assert!(delivered.payload.len() <= 65536 && delivered.play_at <= self.now);
            assert!(last.is_none_or(|last| delivered.seq.is_after(last)), "in order");
            last = Some(delivered.seq);
        }
        while let Some(event) = self.ours.poll_event() {
            assert!(!format!("{event:?}").contains("s3cr3t"), "a secret is in {event:?}");
        }
        while self.peer.poll_transmit(self.now).is_some() || self.peer.poll_deliver(self.now).is_some() {}
        let stats = self.ours.stats(self.now);
        let most = BUFFER as u64;
        assert!(stats.send_buffer.packets <= most && stats.receive_buffer <= most, "{stats:?}");
        assert!(stats.missing <= 3 * most, "{stats:?}");
        for path in self.ours.paths().collect::<Vec<_>>() {
            let queued = self.ours.path_stats(path, self.now).map_or(0, |stats| stats.queued);
            assert!(queued <= 4 * most, "{queued} wait on {path}");
        }
        data
    }

    fn step(&mut self) {
        let what = self.byte();
        let path = u32::from(what >> 7);
        match what % 11 {
            0 => {
                let datagram = Bytes::from(self.bytes());
                self.ours.handle_datagram(PathId(path), &datagram, self.now);
            }
            1 => self.data(path),
            2 => self.ack(path),
            3 => self.nak(path),
            4 => {
                let number = u32::from(self.byte());
                self.say(path, Control::AckAck { number });
            }
            5 => {
                let first = self.number();
                let more = u32::from(self.byte()) << (what >> 5 & 3);
                if let Some(range) = SeqRange::new(first, first.plus(more)) {
                    self.say(path, Control::DropRequest { msgno: MsgNo::NONE, range });
                }
            }
            6 => self.extended(path),
            7 => self.offer(),
            8 => self.honest(),
            9 => {
                let time = Duration::from_millis(u64::from(self.byte()));
                self.wait(time);
            }
            _ => match self.byte() % 8 {
                0 => self.say(path, Control::Shutdown),
                1 => self.ours.close_path(PathId(path), self.now),
                2 => self.ours.close(self.now),
                3 => self.ours.set_duty(PathId(path), Duty::Rest),
                4 => self.ours.set_duty(PathId(path), Duty::Reserve),
                5 => drop(self.ours.duplicate_tail(PathId(path), self.now)),
                6 => self.ours.probe(PathId(path), self.now),
                _ => self.ours.set_duty(PathId(path), Duty::Carry),
            },
        }
        self.drain();
    }
}

fn datagram(transmit: &Transmit) -> Bytes {
    let mut datagram = BytesMut::new();
    transmit.write_to(&mut datagram);
    datagram.freeze()
}

fuzz_target!(|data: &[u8]| {
    let Some((&mode, input)) = data.split_first() else { return };
    let now = Instant::now();
    let session = |is_ours| Session::new(config(u8::from(is_ours)), &terms(mode, is_ours, 0, ISN, now), now);
    let mut world = World { input, now, ours: session(true), peer: session(false), sent: 0 };
    if mode & 8 != 0 {
        let isn = world.ours.next_seq();
        let path = world.ours.add_path(&terms(mode, true, 1, isn, now), now);
        let _ = world.peer.add_path(&terms(mode, false, 1, isn, now), now);
        world.ours.set_duty(path.expect("there is room"), Duty::Carry);
    }
    for _ in 0..512 {
        if world.input.is_empty() {
            break;
        }
        world.step();
    }
    // Whatever was said: once what was sent has lost its use, something new leaves.
    world.wait(Duration::from_secs(1));
    let paths: Vec<PathId> = world.ours.paths().collect();
    if world.ours.is_open() && !paths.is_empty() {
        paths.iter().for_each(|path| world.ours.set_duty(*path, Duty::Carry));
        world.ours.send(Bytes::from_static(&[1; 188]), world.now, world.now).expect("it is open");
        assert!(world.drain() > 0, "nothing leaves any more");
    }
});
