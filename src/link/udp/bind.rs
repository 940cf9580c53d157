//! Making a socket, and checking what the kernel made of it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use super::error::{Place, UdpError, UdpTrouble};
use super::socket::UdpSocket;

/// Asked for by default: what 200 Mbit/s bring in 160 ms, should this process not run for so long.
const RECEIVE_BUFFER: usize = 4 << 20;
/// Asked for by default: eight full trains. More would only hide a queue from those who measure it.
const SEND_BUFFER: usize = 512 << 10;

/// Where a socket is bound and how large its buffers are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Only this interface carries it (SO_BINDTODEVICE); `None` leaves it to the routing table.
    pub interface: Option<String>,
    /// Its own address; unspecified for any, port 0 for a free one. An unspecified IPv6 address takes IPv4 as well.
    pub local: SocketAddr,
    /// Receive buffer to ask for, bytes.
    pub receive_buffer: usize,
    /// Send buffer to ask for, bytes.
    pub send_buffer: usize,
    /// Whether the network's own answers (ICMP: nobody listens, no route) are to be heard. For the side that calls: the
    /// side that listens would hear of its callers' troubles.
    pub hear_icmp: bool,
}

impl Binding {
    /// A caller's socket on `local`: usual buffers, hears ICMP.
    pub fn caller(interface: Option<String>, local: SocketAddr) -> Self {
        Self { interface, local, receive_buffer: RECEIVE_BUFFER, send_buffer: SEND_BUFFER, hear_icmp: true }
    }

    /// A listener's socket on `local`: usual buffers.
    pub fn listener(local: SocketAddr) -> Self {
        Self { interface: None, local, receive_buffer: RECEIVE_BUFFER, send_buffer: RECEIVE_BUFFER, hear_icmp: false }
    }

    /// Makes the socket, inside a tokio runtime, and says which of its buffers are smaller than asked for.
    ///
    /// # Errors
    /// What the kernel refused, with the socket's coordinates.
    pub fn open(&self) -> Result<(UdpSocket, Vec<Shortfall>), UdpError> {
        let place = Place { interface: self.interface.clone(), local: self.local };
        let refused = |e: io::Error| UdpError { place: place.clone(), trouble: UdpTrouble::while_binding(&e) };
        let socket = self.socket().map_err(refused)?;
        let shortfalls = self.size_buffers(&socket, &place);
        let socket = UdpSocket::new(socket, place.clone(), self.hear_icmp).map_err(refused)?;
        Ok((socket, shortfalls))
    }

    /// Which of our addresses a datagram to `peer` leaves from: as the routing table has it now. `None` if there is no way.
    pub fn source_towards(&self, peer: SocketAddr) -> Option<IpAddr> {
        let socket = self.socket().ok()?;
        // Sends nothing: of a datagram socket it only fixes the two ends.
        socket.connect(&peer.into()).ok()?;
        let local = socket.local_addr().ok()?.as_socket()?.ip();
        Some(local.to_canonical()).filter(|local| !local.is_unspecified())
    }

    fn socket(&self) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(self.local), Type::DGRAM, Some(Protocol::UDP))?;
        if let Some(interface) = &self.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        if self.local.is_ipv6() {
            socket.set_only_v6(!self.local.ip().is_unspecified())?;
        }
        socket.bind(&self.local.into())?;
        Ok(socket)
    }

    /// As root the limits of the system are none (SO_RCVBUFFORCE); everybody else gets at most those, without an error.
    fn size_buffers(&self, socket: &Socket, place: &Place) -> Vec<Shortfall> {
        if setsockopt(socket, sockopt::RcvBufForce, &self.receive_buffer).is_err() {
            let _ = socket.set_recv_buffer_size(self.receive_buffer);
        }
        if setsockopt(socket, sockopt::SndBufForce, &self.send_buffer).is_err() {
            let _ = socket.set_send_buffer_size(self.send_buffer);
        }
        let got = [
            (Buffer::Receive, self.receive_buffer, socket.recv_buffer_size()),
            (Buffer::Send, self.send_buffer, socket.send_buffer_size()),
        ];
        let shortfall = |(buffer, asked, reported): (Buffer, usize, io::Result<usize>)| {
            // The kernel doubles what it grants, for its own bookkeeping, and reports that (socket(7)).
            let given = reported.unwrap_or(0) / 2;
            (given < asked).then(|| Shortfall { place: place.clone(), buffer, asked, given })
        };
        got.into_iter().filter_map(shortfall).collect()
    }
}

/// One of a socket's two buffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffer {
    /// SO_RCVBUF.
    Receive,
    /// SO_SNDBUF.
    Send,
}

/// The kernel gave a socket a smaller buffer than it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// Which socket.
    pub place: Place,
    /// Which buffer.
    pub buffer: Buffer,
    /// Bytes asked for.
    pub asked: usize,
    /// Bytes given.
    pub given: usize,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, limit) = match self.buffer {
            Buffer::Receive => ("receive", "net.core.rmem_max"),
            Buffer::Send => ("send", "net.core.wmem_max"),
        };
        write!(
            f,
            "{}: the kernel gives {} of {} KiB of {name} buffer, and bursts beyond it are lost; allow more with \
             sysctl -w {limit}={}",
            self.place,
            self.given >> 10,
            self.asked >> 10,
            self.asked
        )
    }
}

/// Puts back what suits QUIC and not SRT; none of it is worth failing for.
pub(super) fn suit_srt(socket: &impl AsRawFd, is_ipv6: bool) {
    // Fragment where the path demands it. The kernel keeps to the path's MTU as far as it knows it.
    option(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_WANT);
    if is_ipv6 {
        option(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_WANT);
        option(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    }
    option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 0);
}

fn option(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: libc::c_int) {
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the kernel reads `length` bytes of `value`.
    let _ = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), length) };
}
