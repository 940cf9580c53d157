//! The socket itself: batches in, batches out.

use std::cell::Cell;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use tokio::io::Interest;

use super::bind::suit_srt;
use super::error::{Place, UdpError, UdpTrouble};
use super::many;
use super::outbox::{Next, Outbox, Route};

/// The longest datagram there can be, and the most that the kernel merges into one buffer.
const SLOT: usize = 1 << 16;
/// Answers of the network that are read at once.
const MOST_ANSWERS: usize = 16;

/// A bound socket. Shared by reference count among the tasks of one thread.
#[derive(Debug)]
pub struct UdpSocket {
    io: tokio::net::UdpSocket,
    bulk: UdpSocketState,
    place: Place,
    trains: Cell<Trains>,
    hears_icmp: bool,
}

/// Whether equal datagrams leave in one call (UDP GSO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trains {
    Run,
    /// Refused once: by a device without checksum offload (EIO, EINVAL), or by a path whose MTU is smaller than the
    /// datagrams (EINVAL, EMSGSIZE), which are then fragmented one by one.
    Stopped,
}

/// Memory for one batch of received datagrams. Any number of sockets can use the same one in turn; only the pages that
/// datagrams have touched are real.
#[derive(Debug)]
pub struct Inbox {
    memory: Vec<u8>,
    about: [RecvMeta; BATCH_SIZE],
}

impl Default for Inbox {
    fn default() -> Self {
        Self { memory: vec![0; SLOT * BATCH_SIZE], about: [RecvMeta::default(); BATCH_SIZE] }
    }
}

impl Inbox {
    /// 2 MiB of address space.
    pub fn new() -> Self {
        Self::default()
    }
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram<'i> {
    /// Who sent it.
    pub from: SocketAddr,
    /// Which of our addresses it came to; answers leave from there.
    pub to: Option<IpAddr>,
    /// The kernel's index of the interface it came in by.
    pub interface: Option<u32>,
    /// What it says; never empty.
    pub bytes: &'i [u8],
}

impl Datagram<'_> {
    /// The way back.
    pub fn way_back(&self) -> Route {
        Route { to: self.from, from: self.to }
    }
}

/// What became of an outbox.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Datagrams the kernel took.
    pub datagrams: u64,
    /// Their bytes, without UDP and IP headers.
    pub bytes: u64,
    /// Datagrams that could not be sent and are gone.
    pub lost: u64,
    /// What went wrong last: why a datagram was lost, or what the network answered to an earlier one.
    pub trouble: Option<UdpError>,
    /// The kernel's buffer is full; the rest waits in the outbox until the socket is writable.
    pub is_blocked: bool,
}

impl UdpSocket {
    pub(super) fn new(socket: socket2::Socket, mut place: Place, hears_icmp: bool) -> io::Result<Self> {
        let bulk = UdpSocketState::new((&socket).into())?;
        suit_srt(&socket, place.local.is_ipv6());
        if hears_icmp {
            bulk.enable_transport_errors((&socket).into())?;
        }
        let io = tokio::net::UdpSocket::from_std(socket.into())?;
        place.local = io.local_addr()?;
        Ok(Self { io, bulk, place, trains: Cell::new(Trains::Run), hears_icmp })
    }

    /// Which socket this is, for people.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Its own address, the port being the one it got.
    pub fn local(&self) -> SocketAddr {
        self.place.local
    }

    /// Whether trains of datagrams leave in one call; false once that was refused.
    pub fn sends_trains(&self) -> bool {
        self.longest_train() > 1
    }

    /// Whether the kernel merges datagrams on their way in.
    pub fn receives_trains(&self) -> bool {
        self.bulk.gro_segments() > 1
    }

    /// Waits until something has come, be it an answer of the network. Cancel-safe.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub async fn readable(&self) -> io::Result<()> {
        self.io.ready(Interest::READABLE | Interest::ERROR).await.map(|_| ())
    }

    /// Waits until the kernel takes datagrams again. Cancel-safe.
    ///
    /// # Errors
    /// When the runtime has ended.
    pub async fn writable(&self) -> io::Result<()> {
        self.io.writable().await
    }

    /// Takes one batch of what has come, without waiting, and hands each datagram to `each`. Returns how many there were;
    /// 0 means that nothing is left.
    ///
    /// # Errors
    /// What the network answered to something sent earlier. The socket goes on working, and there may be more to receive.
    pub fn receive(&self, inbox: &mut Inbox, mut each: impl FnMut(Datagram<'_>)) -> Result<usize, UdpError> {
        let Inbox { memory, about } = inbox;
        let mut slots = memory.chunks_exact_mut(SLOT);
        let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] =
            std::array::from_fn(|_| IoSliceMut::new(slots.next().unwrap_or_default()));
        let mut receive = || self.bulk.recv(UdpSockRef::from(&self.io), &mut buffers, about);
        let blocked = |e: &io::Error| e.kind() == io::ErrorKind::WouldBlock;
        let received = match self.io.try_io(Interest::READABLE, &mut receive) {
            Err(e) if blocked(&e) => self.io.try_io(Interest::ERROR, &mut receive),
            received => received,
        };
        let filled = match received {
            Ok(filled) => filled,
            Err(e) if blocked(&e) => return Ok(0),
            Err(e) => return Err(self.error(self.answer().unwrap_or_else(|| UdpTrouble::while_in_use(&e)))),
        };
        let mut count = 0;
        for (buffer, about) in buffers.iter().zip(about.iter()).take(filled) {
            let bytes = buffer.get(..about.len).unwrap_or_default();
            for bytes in bytes.chunks(about.stride.max(1)) {
                count += 1;
                each(Datagram { from: about.addr, to: about.dst_ip, interface: about.interface_index, bytes });
            }
        }
        // A batch of empty datagrams is no reason to think that nothing is left.
        Ok(if filled > 0 { count.max(1) } else { 0 })
    }

    /// Sends what is in the outbox, without waiting.
    pub fn send(&self, outbox: &mut Outbox) -> Sent {
        let mut sent = Sent::default();
        let mut answers_heard = false;
        while let Some(next) = outbox.next(self.longest_train()) {
            let is_train = matches!(next, Next::Train { .. });
            match self.writing(|| self.send_next(&next, outbox)) {
                Ok(count) => {
                    answers_heard = false;
                    sent.datagrams += count as u64;
                    sent.bytes += outbox.done(count) as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    sent.is_blocked = true;
                    break;
                }
                Err(e) if is_train && matches!(e.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)) => {
                    self.trains.set(Trains::Stopped);
                }
                // Not this datagram failed: an answer to an earlier one is reported by whatever call comes next.
                Err(e) if self.hears_icmp && !answers_heard => {
                    let trouble = self.answer().unwrap_or_else(|| UdpTrouble::while_in_use(&e));
                    sent.trouble = Some(self.error(trouble));
                    answers_heard = true;
                }
                Err(e) => {
                    sent.trouble = Some(self.error(UdpTrouble::while_in_use(&e)));
                    sent.lost += 1;
                    outbox.done(1);
                    answers_heard = false;
                }
            }
        }
        sent
    }

    fn longest_train(&self) -> usize {
        match self.trains.get() {
            Trains::Run => self.bulk.max_gso_segments(),
            Trains::Stopped => 1,
        }
    }

    /// Does the system call even if the runtime does not know that the socket is writable, which of a new socket it
    /// learns only at its next turn.
    fn writing<T>(&self, call: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let tried = Cell::new(false);
        let outcome = self.io.try_io(Interest::WRITABLE, || {
            tried.set(true);
            call()
        });
        if tried.get() { outcome } else { call() }
    }

    /// How many datagrams went out.
    fn send_next(&self, next: &Next<'_>, outbox: &Outbox) -> io::Result<usize> {
        let (route, contents, segment_size, count) = match *next {
            Next::One { route, bytes } => (route, bytes, None, 1),
            Next::Train { route, bytes, segment, count } => (route, bytes, Some(segment), count),
            Next::Many { from, count } => return many::send(self.io.as_raw_fd(), from, outbox.first(count)),
        };
        let transmit = Transmit { destination: route.to, ecn: None, contents, segment_size, src_ip: route.from };
        self.bulk.try_send(UdpSockRef::from(&self.io), &transmit).map(|()| count)
    }

    /// What the network last answered, if it did.
    fn answer(&self) -> Option<UdpTrouble> {
        let mut last = None;
        for _ in 0..MOST_ANSWERS {
            match self.bulk.recv_transport_error(UdpSockRef::from(&self.io)) {
                Ok(Some(answer)) => last = Some(answer),
                Ok(None) | Err(_) => break,
            }
        }
        last.map(|answer| UdpTrouble::while_in_use(&io::Error::from_raw_os_error(answer.raw_errno)))
    }

    fn error(&self, trouble: UdpTrouble) -> UdpError {
        UdpError { place: self.place.clone(), trouble }
    }
}
