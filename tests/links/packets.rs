//! Every packet that leaves a namespace: by which interface, and of what kind.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use socket2::{Domain, Protocol, Socket, Type};

/// Packets by interface (the kernel's number of it) and kind.
#[derive(Clone, Debug, Default)]
pub struct Left(BTreeMap<(u32, Kind), usize>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Tcp4,
    Tcp6,
    Udp4,
    Udp6,
    /// ARP, neighbour discovery, multicast reports: what a kernel says to its neighbours unasked, none of it to the Internet.
    Neighbours,
    Other,
}

impl Left {
    pub fn by(&self, interface: u32, kind: Kind) -> usize {
        self.0.get(&(interface, kind)).copied().unwrap_or(0)
    }

    /// All that is not between neighbours.
    pub fn far_by(&self, interface: u32) -> usize {
        let far = self.0.iter().filter(|((by, kind), _)| *by == interface && *kind != Kind::Neighbours);
        far.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> =
            self.0.iter().map(|((by, kind), count)| format!("{count} {kind:?} by interface {by}")).collect();
        f.write_str(&all.join(", "))
    }
}

/// Sees what leaves the namespace that it was made in (packet(7)). Wants CAP_NET_RAW when it is made, and never again.
pub struct Watch(Socket);

impl Watch {
    pub fn new() -> io::Result<Self> {
        let all = Protocol::from(i32::from((libc::ETH_P_ALL as u16).to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM.nonblocking(), Some(all))?;
        // Room for all of a test; the usual limit does not hold for root.
        let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::RcvBufForce, &(64 << 20));
        Ok(Self(socket))
    }

    /// What has left since the last time.
    pub fn take(&self) -> Left {
        let mut left = Left::default();
        let mut packet = [0u8; 64];
        loop {
            // SAFETY: all zeros is a valid sockaddr_ll.
            let mut from: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
            let mut length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
            // SAFETY: the descriptor is open; the kernel writes at most 64 bytes to `packet` and `length` bytes to `from`.
            let count = unsafe {
                libc::recvfrom(
                    self.0.as_raw_fd(),
                    packet.as_mut_ptr().cast(),
                    packet.len(),
                    0,
                    (&raw mut from).cast(),
                    &raw mut length,
                )
            };
            let Ok(count) = usize::try_from(count) else { return left };
            if from.sll_pkttype == libc::PACKET_OUTGOING {
                let kind = kind(u16::from_be(from.sll_protocol), &packet[..count.min(packet.len())]);
                *left.0.entry((from.sll_ifindex.unsigned_abs(), kind)).or_default() += 1;
            }
        }
    }
}

fn kind(ethertype: u16, packet: &[u8]) -> Kind {
    let byte = |at: usize| packet.get(at).copied().unwrap_or(0);
    match (i32::from(ethertype), i32::from(byte(9)), i32::from(byte(6))) {
        (libc::ETH_P_ARP, _, _) | (libc::ETH_P_IP, libc::IPPROTO_IGMP, _) => Kind::Neighbours,
        (libc::ETH_P_IP, libc::IPPROTO_TCP, _) => Kind::Tcp4,
        (libc::ETH_P_IP, libc::IPPROTO_UDP, _) => Kind::Udp4,
        (libc::ETH_P_IPV6, _, libc::IPPROTO_TCP) => Kind::Tcp6,
        (libc::ETH_P_IPV6, _, libc::IPPROTO_UDP) => Kind::Udp6,
        // Router and neighbour solicitation and advertisement (RFC 4861), multicast listener reports (behind a hop-by-hop
        // header; RFC 3810).
        (libc::ETH_P_IPV6, _, libc::IPPROTO_ICMPV6) if (133..=137).contains(&byte(40)) => Kind::Neighbours,
        (libc::ETH_P_IPV6, _, libc::IPPROTO_HOPOPTS) => Kind::Neighbours,
        _ => Kind::Other,
    }
}
