//! A cable for datagrams: one listening socket at A, one socket per client at B, as a NAT has mappings.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};

use super::work::Carrier;
use crate::netem::End;

/// Clients at a time; the one that was silent longest makes room.
const MOST_FLOWS: usize = 64;
/// Datagrams taken from one socket before the others have their turn.
const BATCH: usize = 256;
/// A kernel buffer for some tens of milliseconds of 400 Mbit/s, so that a busy machine loses nothing unasked.
const BUFFER: usize = 8 << 20;
/// The largest datagram.
pub(super) const LARGEST: usize = 65_536;

#[derive(Debug)]
pub(super) struct Udp {
    listen: UdpSocket,
    address: SocketAddr,
    target: SocketAddr,
    from: Option<IpAddr>,
    flows: Vec<Flow>,
    buffer: Box<[u8]>,
}

/// A client and its mapping.
#[derive(Debug)]
struct Flow {
    client: SocketAddr,
    upstream: UdpSocket,
    heard_at: Instant,
}

impl Udp {
    pub(super) fn open(listen: SocketAddr, target: SocketAddr, from: Option<IpAddr>) -> io::Result<Self> {
        let listen = socket(listen)?;
        let address = listen.local_addr()?;
        Ok(Self { listen, address, target, from, flows: Vec::new(), buffer: vec![0; LARGEST].into() })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn sockets(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        std::iter::once(self.listen.as_fd()).chain(self.flows.iter().map(|flow| flow.upstream.as_fd()))
    }

    /// Every client gets another mapping.
    pub(super) fn rebind(&mut self) -> io::Result<()> {
        for flow in &mut self.flows {
            flow.upstream = mapping(self.target, self.from)?;
        }
        Ok(())
    }

    pub(super) fn carry(&mut self, carrier: &mut Carrier, now: Instant) {
        for _ in 0..BATCH {
            // An error here is an ICMP message about an earlier datagram, or nothing left to read.
            let Ok((length, client)) = self.listen.recv_from(&mut self.buffer) else { break };
            let Some(flow) = self.flow(client, now) else { continue };
            carrier.enter(End::A, flow, &self.buffer[..length], now);
        }
        for (n, flow) in (0..).zip(&self.flows) {
            for _ in 0..BATCH {
                let Ok(length) = flow.upstream.recv(&mut self.buffer) else { break };
                carrier.enter(End::B, n, &self.buffer[..length], now);
            }
        }
        while let Some(packet) = carrier.duplex.poll(End::B, now) {
            if let Some(flow) = self.flows.get(packet.flow as usize) {
                // A full buffer or an unreachable target loses the datagram, as networks do.
                let _ = flow.upstream.send(&packet.bytes);
            }
        }
        while let Some(packet) = carrier.duplex.poll(End::A, now) {
            if let Some(flow) = self.flows.get(packet.flow as usize) {
                let _ = self.listen.send_to(&packet.bytes, flow.client);
            }
        }
    }

    /// The client's mapping, made if need be.
    fn flow(&mut self, client: SocketAddr, now: Instant) -> Option<u32> {
        let known = self.flows.iter().position(|flow| flow.client == client);
        let n = match known {
            Some(n) => n,
            None => {
                let flow = Flow { client, upstream: mapping(self.target, self.from).ok()?, heard_at: now };
                if self.flows.len() < MOST_FLOWS {
                    self.flows.push(flow);
                    self.flows.len() - 1
                } else {
                    let oldest = self.flows.iter().enumerate().min_by_key(|(_, flow)| flow.heard_at)?.0;
                    self.flows[oldest] = flow;
                    oldest
                }
            }
        };
        self.flows[n].heard_at = now;
        u32::try_from(n).ok()
    }
}

/// A socket towards the target.
fn mapping(target: SocketAddr, from: Option<IpAddr>) -> io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let upstream = socket(SocketAddr::new(from.unwrap_or(any), 0))?;
    upstream.connect(target)?;
    Ok(upstream)
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address)?;
    socket.set_nonblocking(true)?;
    // As root beyond the system's limit; otherwise up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &BUFFER).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &BUFFER)?;
    }
    setsockopt(&socket, sockopt::SndBuf, &BUFFER)?;
    Ok(socket)
}
