//! The emulator's thread: carries packets until its control connection is closed.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;

use super::Wiring;
use super::tap::Taps;
use super::tcp::Tcp;
use super::udp::Udp;
use super::watch::{CableReport, Report, Seen};
use crate::clock;
use crate::netem::{Change, Duplex, End};

/// The longest order, bytes.
const LONGEST_ORDER: usize = 1024;

/// A packet on its way, and the client it belongs to, if the wiring has clients.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) flow: u32,
    pub(super) bytes: Box<[u8]>,
}

/// What wirings put packets into and take them out of.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) duplex: Duplex<Packet>,
    forward: Seen,
    back: Seen,
    marked_at_us: u64,
}

impl Carrier {
    pub(super) fn enter(&mut self, end: End, flow: u32, bytes: &[u8], now: Instant) {
        let since_mark = now_us().saturating_sub(self.marked_at_us);
        match end {
            End::A => self.forward.entered(bytes.len(), since_mark),
            End::B => self.back.entered(bytes.len(), since_mark),
        }
        self.duplex.send(end, Packet { flow, bytes: bytes.into() }, bytes.len(), now);
    }
}

/// Microseconds of CLOCK_MONOTONIC.
fn now_us() -> u64 {
    u64::try_from(clock::media().0 / 1000).unwrap_or(0)
}

/// A laid cable.
#[derive(Debug)]
pub(super) struct Cable {
    name: String,
    carrier: Carrier,
    wire: Wire,
}

#[derive(Debug)]
enum Wire {
    Udp(Udp),
    Tcp(Tcp),
    Taps(Taps),
}

impl Cable {
    pub(super) fn lay(name: String, duplex: Duplex<Packet>, wiring: Wiring) -> io::Result<Self> {
        let wire = match wiring {
            Wiring::Udp { listen, target, from } => Wire::Udp(Udp::open(listen, target, from)?),
            Wiring::Tcp { listen, target } => Wire::Tcp(Tcp::open(listen, target)?),
            Wiring::Taps(a, b) => Wire::Taps(Taps::new(a, b)),
        };
        let carrier = Carrier { duplex, forward: Seen::default(), back: Seen::default(), marked_at_us: now_us() };
        Ok(Self { name, carrier, wire })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn address(&self) -> Option<SocketAddr> {
        match &self.wire {
            Wire::Udp(udp) => Some(udp.address()),
            Wire::Tcp(tcp) => Some(tcp.address()),
            Wire::Taps(_) => None,
        }
    }

    fn apply(&mut self, change: Change, now: Instant) -> io::Result<()> {
        match &mut self.wire {
            Wire::Udp(udp) if change == Change::Rebind => udp.rebind(),
            Wire::Udp(_) => {
                self.carrier.duplex.apply(change, now);
                Ok(())
            }
            Wire::Tcp(tcp) => {
                tcp.apply(&mut self.carrier, change, now);
                Ok(())
            }
            Wire::Taps(taps) => {
                self.carrier.duplex.apply(change, now);
                taps.set_carrier(self.carrier.duplex.carrier())
            }
        }
    }

    fn report(&self) -> CableReport {
        let Carrier { duplex, forward, back, .. } = &self.carrier;
        let direction = |end, seen: &Seen| seen.report(duplex.from(end).counters(), duplex.from(end).waiting_bytes());
        CableReport {
            name: self.name.clone(),
            carrier: duplex.carrier(),
            forward: direction(End::A, forward),
            back: direction(End::B, back),
        }
    }

    /// Takes in what has come and puts out what is due.
    fn carry(&mut self, now: Instant) {
        match &mut self.wire {
            Wire::Udp(udp) => udp.carry(&mut self.carrier, now),
            Wire::Tcp(tcp) => tcp.carry(&mut self.carrier, now),
            Wire::Taps(taps) => taps.carry(&mut self.carrier, now),
        }
    }

    fn watched<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        let readable = |fd: BorrowedFd<'a>| PollFd::new(fd, PollFlags::POLLIN);
        match &self.wire {
            Wire::Udp(udp) => into.extend(udp.sockets().map(readable)),
            Wire::Tcp(tcp) => tcp.watched(&self.carrier, into),
            Wire::Taps(taps) => into.extend(taps.devices().map(readable)),
        }
    }
}

/// All cables and who commands them.
#[derive(Debug)]
pub(super) struct Work {
    cables: Vec<Cable>,
    control: UnixStream,
    said: Vec<u8>,
    marked_at_us: u64,
}

impl Work {
    pub(super) fn new(cables: Vec<Cable>, control: UnixStream) -> io::Result<Self> {
        control.set_nonblocking(true)?;
        Ok(Self { cables, control, said: Vec::new(), marked_at_us: now_us() })
    }

    pub(super) fn run(mut self) {
        // Both only sharpen the timing; without the right to do so it is as good as it gets.
        let _ = nix::sys::prctl::set_timerslack(1);
        let _ = rustix::process::setpriority_process(None, -10);
        while self.obey().is_ok() {
            let now = clock::now();
            self.cables.iter_mut().for_each(|cable| cable.carry(now));
            self.wait();
        }
    }

    fn wait(&self) {
        let due = self.cables.iter().filter_map(|cable| cable.carrier.duplex.poll_timeout()).min();
        let left = due.map(|due| due.saturating_duration_since(clock::now()));
        if left == Some(Duration::ZERO) {
            return;
        }
        let mut watched = vec![PollFd::new(self.control.as_fd(), PollFlags::POLLIN)];
        self.cables.iter().for_each(|cable| cable.watched(&mut watched));
        // A signal ends the wait early, which does no harm.
        let _ = ppoll(&mut watched, left.map(TimeSpec::from_duration), None);
    }

    /// Carries out the orders that have come; an error is the end.
    fn obey(&mut self) -> io::Result<()> {
        let mut buffer = [0; LONGEST_ORDER];
        loop {
            match self.control.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.said.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            while let Some(end) = self.said.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.said.drain(..=end).collect();
                let answer = match self.order(String::from_utf8_lossy(&line).trim()) {
                    Ok(answer) => format!("ok {answer}\n"),
                    Err(why) => format!("error {}\n", why.replace('\n', " ")),
                };
                self.answer(answer.as_bytes())?;
            }
            if self.said.len() > LONGEST_ORDER {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        Ok(())
    }

    /// An answer may be longer than the socket's buffer; whoever asked is reading it.
    fn answer(&mut self, mut answer: &[u8]) -> io::Result<()> {
        while !answer.is_empty() {
            match self.control.write(answer) {
                Ok(length) => answer = &answer[length..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let mut writable = [PollFd::new(self.control.as_fd(), PollFlags::POLLOUT)];
                    let _ = ppoll(&mut writable, None, None);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn order(&mut self, order: &str) -> Result<String, String> {
        match order {
            "mark" => {
                self.marked_at_us = now_us();
                for cable in &mut self.cables {
                    cable.carrier.marked_at_us = self.marked_at_us;
                    cable.carrier.forward.mark();
                    cable.carrier.back.mark();
                }
                Ok(self.marked_at_us.to_string())
            }
            "report" => {
                let cables = self.cables.iter().map(Cable::report).collect();
                let report = Report { at_us: now_us(), marked_at_us: self.marked_at_us, cables };
                serde_json::to_string(&report).map_err(|e| e.to_string())
            }
            order => {
                let (name, change) = order.split_once(' ').ok_or("not CABLE CHANGE, mark or report")?;
                let change: Change = change.parse().map_err(|why: crate::netem::NotAChange| why.to_string())?;
                let now = clock::now();
                let mut known = false;
                for cable in self.cables.iter_mut().filter(|cable| name == "*" || cable.name == name) {
                    known = true;
                    cable.apply(change, now).map_err(|why| format!("{}: {why}", cable.name))?;
                }
                if known { Ok(now_us().to_string()) } else { Err(format!("{name}: there is no such cable")) }
            }
        }
    }
}
