//! One connection: a session on its socket.

use std::future::pending;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::place::Guest;
use super::remark::Matter;
use super::{Order, Said, Word};
use crate::clock;
use crate::ingest::arrival::{Arrival, Network};
use crate::rtmp::server::{MAX_INPUT, Server, ServerEvent};

/// Between two reports of how the network does.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How long the far end may take to read the last words, and to hang up.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes in the outbox at which nothing more is read: one who asks has to listen.
const ANSWERS: usize = 64 << 10;
/// Slices handed to one writev.
const SLICES: usize = 32;

/// A session, its socket, and whom it reports to.
pub(super) struct Connection {
    pub(super) guest: Guest,
    pub(super) from: SocketAddr,
    pub(super) stream: TcpStream,
    pub(super) session: Server,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) host: mpsc::Sender<Said>,
}

/// The host is gone.
struct Alone;

/// What is counted while it publishes.
struct Report {
    since: Instant,
    bytes: u64,
    /// What has been said to be left out.
    left_out: Vec<Matter>,
}

/// Whether bytes may be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// The session waits for an order.
    Asked,
}

impl Connection {
    /// From its beginning to its end, which the host is told of before the last words are through.
    pub(super) async fn run(mut self) {
        if self.live().await.is_ok() {
            self.linger().await;
        }
    }

    async fn live(&mut self) -> Result<(), Alone> {
        let mut input = vec![0; MAX_INPUT];
        let mut report = Report { since: clock::now(), bytes: 0, left_out: Vec::new() };
        let mut tick = interval(REPORT_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = Reading::Open;
        loop {
            while let Some(event) = self.session.poll_event() {
                if let ServerEvent::Asks = event {
                    reading = Reading::Asked;
                }
                self.pass_on(event, &mut report).await?;
            }
            if self.session.is_over() {
                return Ok(());
            }
            let waiting = self.session.outbox().len();
            let deadline = self.session.poll_timeout().map(|(deadline, _)| deadline);
            tokio::select! {
                biased;
                order = self.orders.recv() => {
                    reading = Reading::Open;
                    self.obey(order.ok_or(Alone)?);
                }
                ready = self.stream.writable(), if waiting > 0 => {
                    if let Err(error) = ready.and_then(|()| write(&self.stream, &mut self.session)) {
                        self.session.handle_closed(lost_how(&error));
                    }
                }
                ready = self.stream.readable(), if reading == Reading::Open && waiting < ANSWERS => {
                    self.read(ready, &mut input);
                }
                () = until(deadline) => self.session.handle_timeout(clock::now()),
                _ = tick.tick() => self.tell_network(&mut report).await?,
            }
        }
    }

    fn read(&mut self, ready: io::Result<()>, input: &mut [u8]) {
        match ready.and_then(|()| self.stream.try_read(input)) {
            Ok(0) => self.session.handle_closed("the publisher closed the connection"),
            Ok(count) => self.session.handle_input(input.get(..count).unwrap_or_default(), clock::now()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.session.handle_closed(lost_how(&error)),
        }
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::Accept => self.session.accept(clock::now()),
            Order::Refuse(why) => self.session.refuse(why),
            Order::Displace => self.session.displace(),
        }
    }

    async fn pass_on(&mut self, event: ServerEvent, report: &mut Report) -> Result<(), Alone> {
        let word = match event {
            ServerEvent::Asks => Word::Asks,
            ServerEvent::Publishing { encoder } => {
                (report.since, report.bytes) = (clock::now(), 0);
                Word::Publishing { encoder }
            }
            ServerEvent::Unit(unit) => {
                report.bytes += unit.payload.len() as u64;
                Word::Arrival(Arrival::Unit(unit))
            }
            ServerEvent::TimeBase => Word::Arrival(Arrival::TimeBase),
            ServerEvent::LeftOut(why) => {
                let is_a_loss = why.is_a_loss();
                let matter = Matter::LeftOut(why);
                if !is_a_loss || report.left_out.iter().any(|told| told.is_like(&matter)) {
                    return Ok(());
                }
                report.left_out.push(matter.clone());
                Word::Matter(matter)
            }
            ServerEvent::Refused(why) => Word::Matter(Matter::Denied(why)),
            ServerEvent::Ended(end) => Word::Ended(end),
        };
        self.say(word).await
    }

    async fn tell_network(&mut self, report: &mut Report) -> Result<(), Alone> {
        let now = clock::now();
        let over = now.saturating_duration_since(report.since);
        let network = Network { over, rtt: rtt(&self.stream), packets: 0, lost: 0, bytes: report.bytes };
        (report.since, report.bytes) = (now, 0);
        self.say(Word::Arrival(Arrival::Network(network))).await
    }

    async fn say(&self, word: Word) -> Result<(), Alone> {
        let said = Said { guest: self.guest, from: self.from, word };
        self.host.send(said).await.map_err(|_| Alone)
    }

    /// The last words are sent, and what the far end still sends is read until it hangs up. Closed at once, with bytes unread,
    /// TCP would throw the words away at the far end too; and a publisher that is still taking its leave calls it an error.
    async fn linger(mut self) {
        // Whoever was told nothing has nothing to read.
        if self.session.outbox().is_empty() {
            return;
        }
        let leave = async {
            let mut rest = [0; 4096];
            loop {
                let waiting = !self.session.outbox().is_empty();
                tokio::select! {
                    ready = self.stream.writable(), if waiting => {
                        ready?;
                        write(&self.stream, &mut self.session)?;
                    }
                    ready = self.stream.readable() => {
                        ready?;
                        match self.stream.try_read(&mut rest) {
                            Ok(0) => return Ok::<(), io::Error>(()),
                            Ok(_) => {}
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                            Err(error) => return Err(error),
                        }
                    }
                }
            }
        };
        // Whoever does not hang up is hung up on.
        let _ = timeout(LINGER, leave).await;
    }
}

fn write(stream: &TcpStream, session: &mut Server) -> io::Result<()> {
    let outbox = session.outbox();
    let written = {
        let slices: Vec<IoSlice<'_>> = outbox.slices().take(SLICES).map(IoSlice::new).collect();
        stream.try_write_vectored(&slices)
    };
    match written {
        Ok(count) => {
            outbox.advance(count);
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
        Err(error) => Err(error),
    }
}

fn lost_how(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::ECONNRESET | libc::EPIPE) => "the connection was reset by the publisher",
        Some(libc::ETIMEDOUT) => "the network stopped carrying the connection",
        Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::ENETDOWN | libc::EHOSTDOWN) => "the network is gone",
        Some(_) | None => "the connection broke",
    }
}

/// The round trip as the kernel smooths it (tcp(7), TCP_INFO).
fn rtt(stream: &TcpStream) -> Option<Duration> {
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `stream` lives; the kernel writes at most `length` bytes to `info`, which
    // has that size.
    let done = unsafe {
        libc::getsockopt(
            stream.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    // SAFETY: all-zero bytes are a valid `tcp_info` (integers only), so it is initialised however much was written.
    let info = unsafe { info.assume_init() };
    (done == 0 && info.tcpi_rtt > 0).then(|| Duration::from_micros(info.tcpi_rtt.into()))
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => pending().await,
    }
}
