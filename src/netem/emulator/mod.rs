//! Cables between real sockets, in real time: a thread, and a handle that tells it what to do.
//!
//! | wiring | carries | carrier | needs |
//! |---|---|---|---|
//! | [`Wiring::Udp`] | datagrams to one address, through a mapping per client as in a NAT | pretended: everything vanishes | nothing |
//! | [`Wiring::Tcp`] | connections to one address; a hole holds data back, since TCP would send it again | pretended, likewise | nothing |
//! | [`Wiring::Taps`] | Ethernet frames between two TAP devices | real: the devices lose theirs | `CAP_NET_ADMIN` |
//!
//! The thread sleeps in one `ppoll` until a packet comes or is due, with the kernel's timer slack switched off, so a delay is
//! kept to some tens of microseconds on an idle machine.

mod tap;
mod tcp;
mod udp;
mod watch;
mod work;

use std::io::{self, BufRead, BufReader, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;

pub use tap::Tap;
pub(super) use tap::ip;
pub use watch::{CableReport, DirectionReport, Report};

use super::{Change, Conditions, Direction, Duplex};

/// A cable to be laid.
#[derive(Debug)]
pub struct Cable {
    /// What orders call it: one word.
    pub name: String,
    /// From A to B.
    pub forward: Conditions,
    /// From B to A.
    pub back: Conditions,
    /// What it is laid between.
    pub wiring: Wiring,
}

impl Cable {
    /// A cable with the same conditions both ways.
    pub fn new(name: &str, conditions: Conditions, wiring: Wiring) -> Self {
        Self { name: name.to_owned(), forward: conditions, back: conditions, wiring }
    }

    /// Changes what it is like at the start, and again when it is healed.
    pub fn start_with(&mut self, change: Change) {
        let direction = change.direction();
        if direction != Direction::Back {
            self.forward = change.applied_to(&self.forward);
        }
        if direction != Direction::Forward {
            self.back = change.applied_to(&self.back);
        }
    }
}

/// What a cable is laid between.
#[derive(Debug)]
pub enum Wiring {
    /// A is whoever sends to `listen`, B is `target`.
    Udp {
        /// Port 0 takes any; [`Emulator::address`] says which.
        listen: SocketAddr,
        /// Where it goes.
        target: SocketAddr,
        /// The address that B sees it come from.
        from: Option<IpAddr>,
    },
    /// A is whoever connects to `listen`, B is `target`.
    Tcp {
        /// Port 0 takes any; [`Emulator::address`] says which.
        listen: SocketAddr,
        /// Where it goes.
        target: SocketAddr,
    },
    /// Two network devices.
    Taps(Tap, Tap),
}

/// A running emulator. Dropping it ends it.
#[derive(Debug)]
pub struct Emulator {
    control: BufReader<UnixStream>,
    thread: Option<JoinHandle<()>>,
    addresses: Vec<(String, SocketAddr)>,
}

impl Emulator {
    /// Lays the cables and starts carrying.
    ///
    /// # Errors
    /// If a socket cannot be opened.
    pub fn start(cables: Vec<Cable>, seed: u64) -> io::Result<Self> {
        let mut laid = Vec::new();
        let mut addresses = Vec::new();
        for (n, cable) in (0..).zip(cables) {
            let duplex = Duplex::asymmetric(cable.forward, cable.back, seed.wrapping_add(n));
            let laid_cable = work::Cable::lay(cable.name, duplex, cable.wiring)?;
            addresses.extend(laid_cable.address().map(|address| (laid_cable.name().to_owned(), address)));
            laid.push(laid_cable);
        }
        let (ours, theirs) = UnixStream::pair()?;
        let work = work::Work::new(laid, theirs)?;
        let thread = std::thread::Builder::new().name("netem".to_owned()).spawn(move || work.run())?;
        Ok(Self { control: BufReader::new(ours), thread: Some(thread), addresses })
    }

    /// Where the cable of that name listens; `None` for TAP devices and unknown names.
    pub fn address(&self, cable: &str) -> Option<SocketAddr> {
        self.addresses.iter().find(|(name, _)| name == cable).map(|(_, address)| *address)
    }

    /// Gives an order in its written form and waits for the answer, which has come into force by then. Orders are
    ///
    /// - `CABLE CHANGE` or `* CHANGE`: see [`Change`]. The answer is the time it came into force, in microseconds of
    ///   CLOCK_MONOTONIC
    /// - `mark`: what [`Report`] says counts from now on; the answer is the time, likewise
    /// - `report`: a [`Report`] in JSON
    ///
    /// # Errors
    /// If the order was not understood, or the emulator is gone.
    pub fn order(&mut self, order: &str) -> io::Result<String> {
        self.control.get_mut().write_all(format!("{}\n", order.replace('\n', " ")).as_bytes())?;
        let mut answer = String::new();
        self.control.read_line(&mut answer)?;
        match answer.trim_end().split_once(' ') {
            Some(("ok", said)) => Ok(said.to_owned()),
            Some((_, why)) => Err(io::Error::new(io::ErrorKind::InvalidInput, why.to_owned())),
            None => Err(io::Error::new(io::ErrorKind::BrokenPipe, "the emulator is gone")),
        }
    }

    /// Gives an order whose answer is a time: microseconds of CLOCK_MONOTONIC.
    ///
    /// # Errors
    /// As [`order`](Self::order).
    pub fn order_at(&mut self, order: &str) -> io::Result<u64> {
        let answer = self.order(order)?;
        answer.parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, format!("{answer}: not a time")))
    }

    /// What the cables carried.
    ///
    /// # Errors
    /// If the emulator is gone.
    pub fn report(&mut self) -> io::Result<Report> {
        let answer = self.order("report")?;
        serde_json::from_str(&answer).map_err(io::Error::from)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        // The thread ends when its control connection does.
        let _ = self.control.get_ref().shutdown(std::net::Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
