//! A cable for TCP connections. What TCP makes of a bad link is what its user sees: delay, a rate, and standstill; a lost
//! segment is sent again and only costs time, so loss, jitter and copies mean nothing here, and a hole or a lost carrier
//! holds everything back until it closes. (Through TAP devices TCP meets the real thing.)

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};

use super::work::Carrier;
use crate::netem::{Bottleneck, Change, Direction, End, Queue};

/// Connections at a time; further ones wait to be accepted.
const MOST_FLOWS: usize = 64;
/// What is under way in one direction, bytes at most; more is left with the sender.
const WINDOW: usize = 4 << 20;
/// What waits for a bottleneck, bytes at most, likewise.
const QUEUE: usize = 64 << 10;
/// What the receiver has not taken yet, bytes at most, before nothing more is delivered.
const BACKLOG: usize = 256 << 10;
/// One piece, about a segment.
const PIECE: usize = 1448;
/// Pieces taken from one connection before the others have their turn.
const BATCH: usize = 64;

#[derive(Debug)]
pub(super) struct Tcp {
    listen: TcpListener,
    address: SocketAddr,
    target: SocketAddr,
    flows: Vec<Option<Flow>>,
    /// Whether everything from A, and from B, is held back.
    held: [bool; 2],
    carrier: bool,
    under_way: [usize; 2],
}

#[derive(Debug)]
struct Flow {
    /// Of A and of B.
    sides: [Side; 2],
}

#[derive(Debug)]
struct Side {
    stream: TcpStream,
    /// It has said all it had to say.
    finished: bool,
    /// What it has not taken yet.
    backlog: VecDeque<u8>,
    /// The other side has said all.
    closing: bool,
    shut: bool,
}

impl Side {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, finished: false, backlog: VecDeque::new(), closing: false, shut: false })
    }

    /// Hands over what it takes; `false` when the connection is gone.
    fn flush(&mut self) -> bool {
        while !self.backlog.is_empty() {
            match self.stream.write(self.backlog.as_slices().0) {
                Ok(taken) => drop(self.backlog.drain(..taken)),
                Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
            }
        }
        if self.closing && !self.shut {
            self.shut = true;
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        true
    }
}

fn side_of(end: End) -> usize {
    usize::from(end == End::B)
}

impl Tcp {
    pub(super) fn open(listen: SocketAddr, target: SocketAddr) -> io::Result<Self> {
        let listen = TcpListener::bind(listen)?;
        listen.set_nonblocking(true)?;
        let address = listen.local_addr()?;
        let (held, under_way) = ([false; 2], [0; 2]);
        Ok(Self { listen, address, target, flows: Vec::new(), held, carrier: true, under_way })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn apply(&mut self, carrier: &mut Carrier, change: Change, now: Instant) {
        match change {
            Change::Cut => self.carrier = false,
            Change::Hole(hole, Direction::Forward) => self.held[0] = hole,
            Change::Hole(hole, Direction::Back) => self.held[1] = hole,
            Change::Hole(hole, Direction::Both) => self.held = [hole; 2],
            Change::Heal => {
                self.carrier = true;
                self.held = [false; 2];
                carrier.duplex.apply(change, now);
            }
            Change::Delay(..) | Change::Rate(None, _) => carrier.duplex.apply(change, now),
            // Nothing may be dropped: the queue is bounded by what is taken in, see `takes`.
            Change::Rate(Some(bottleneck), direction) => {
                let unbounded = Bottleneck { queue: Queue::Bytes(usize::MAX), ..bottleneck };
                carrier.duplex.apply(Change::Rate(Some(unbounded), direction), now);
            }
            Change::Jitter(..) | Change::Loss(..) | Change::Duplicate(..) | Change::Rebind => {}
        }
    }

    /// Whether more is taken from this end.
    fn takes(&self, carrier: &Carrier, end: End) -> bool {
        let side = side_of(end);
        let waits = carrier.duplex.from(end).waiting_bytes();
        self.carrier && !self.held[side] && waits < QUEUE && self.under_way[side] < WINDOW
    }

    pub(super) fn watched<'a>(&'a self, carrier: &Carrier, into: &mut Vec<PollFd<'a>>) {
        if self.flows.iter().flatten().count() < MOST_FLOWS && self.carrier {
            into.push(PollFd::new(self.listen.as_fd(), PollFlags::POLLIN));
        }
        for flow in self.flows.iter().flatten() {
            for end in [End::A, End::B] {
                let side = &flow.sides[side_of(end)];
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::POLLIN, !side.finished && self.takes(carrier, end) && self.has_room(flow, end));
                flags.set(PollFlags::POLLOUT, !side.backlog.is_empty());
                // Without flags it would still be told of a connection that is gone, again and again.
                if !flags.is_empty() {
                    into.push(PollFd::new(side.stream.as_fd(), flags));
                }
            }
        }
    }

    /// Whether the receiver of what comes from `end` takes what it gets.
    fn has_room(&self, flow: &Flow, end: End) -> bool {
        flow.sides[side_of(end.other())].backlog.len() < BACKLOG
    }

    pub(super) fn carry(&mut self, carrier: &mut Carrier, now: Instant) {
        self.accept();
        for n in 0..self.flows.len() {
            for end in [End::A, End::B] {
                self.take_in(n, end, carrier, now);
            }
        }
        for end in [End::A, End::B] {
            while let Some(packet) = carrier.duplex.poll(end, now) {
                let from = side_of(end.other());
                self.under_way[from] = self.under_way[from].saturating_sub(packet.bytes.len());
                let Some(Some(flow)) = self.flows.get_mut(packet.flow as usize) else { continue };
                let side = &mut flow.sides[side_of(end)];
                if packet.bytes.is_empty() {
                    side.closing = true;
                } else {
                    side.backlog.extend(packet.bytes.iter());
                }
            }
        }
        for slot in &mut self.flows {
            let Some(flow) = slot else { continue };
            let gone = !flow.sides.iter_mut().all(Side::flush);
            if gone || flow.sides.iter().all(|side| side.shut) {
                *slot = None;
            }
        }
    }

    fn accept(&mut self) {
        if !self.carrier || self.flows.iter().flatten().count() >= MOST_FLOWS {
            return;
        }
        let Ok((client, _)) = self.listen.accept() else { return };
        // Both ends are on this machine, so this does not wait; if it fails, the client's connection closes.
        let sides = TcpStream::connect(self.target).and_then(|target| Ok([Side::new(client)?, Side::new(target)?]));
        let Ok(sides) = sides else { return };
        match self.flows.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(Flow { sides }),
            None => self.flows.push(Some(Flow { sides })),
        }
    }

    fn take_in(&mut self, n: usize, end: End, carrier: &mut Carrier, now: Instant) {
        let side = side_of(end);
        let mut piece = [0; PIECE];
        for _ in 0..BATCH {
            let takes = self.takes(carrier, end);
            let Some(Some(flow)) = self.flows.get(n) else { return };
            if !takes || flow.sides[side].finished || !self.has_room(flow, end) {
                return;
            }
            let Some(Some(flow)) = self.flows.get_mut(n) else { return };
            let Ok(number) = u32::try_from(n) else { return };
            match flow.sides[side].stream.read(&mut piece) {
                Ok(length) => {
                    flow.sides[side].finished = length == 0;
                    self.under_way[side] += length;
                    carrier.enter(end, number, &piece[..length], now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.flows[n] = None;
                    return;
                }
            }
        }
    }
}
