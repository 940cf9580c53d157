//! sendmmsg(2): many datagrams in one call. The one bulk call that `quinn-udp` lacks.

use std::io;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::ptr;

use socket2::SockAddr;

use super::outbox::{MANY, Route};

/// The source address of every datagram of a call, as the kernel wants to be told it (ip(7), ipv6(7)).
struct Control {
    /// Aligned as `cmsghdr` demands; `in6_pktinfo` is the larger of the two.
    memory: [u64; 5],
    length: usize,
}

impl Control {
    fn new(from: Option<IpAddr>) -> Self {
        let mut control = Self { memory: [0; 5], length: 0 };
        match from {
            None => {}
            Some(IpAddr::V4(ip)) => {
                let ipi_spec_dst = libc::in_addr { s_addr: u32::from_ne_bytes(ip.octets()) };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst, ipi_addr: libc::in_addr { s_addr: 0 } };
                control.put(libc::IPPROTO_IP, libc::IP_PKTINFO, info);
            }
            Some(IpAddr::V6(ip)) => {
                let info = libc::in6_pktinfo { ipi6_ifindex: 0, ipi6_addr: libc::in6_addr { s6_addr: ip.octets() } };
                control.put(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
            }
        }
        control
    }

    /// Writes the one message it can hold.
    fn put<T: Copy>(&mut self, level: libc::c_int, kind: libc::c_int, value: T) {
        let size = size_of::<T>() as libc::c_uint;
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
        let (space, length) = unsafe { (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size) as usize) };
        if space > size_of_val(&self.memory) || align_of::<T>() > align_of::<u64>() {
            return;
        }
        let head = self.memory.as_mut_ptr().cast::<libc::cmsghdr>();
        // SAFETY: `memory` is aligned for cmsghdr and has at least `space` bytes, which hold the header and `value`.
        unsafe {
            (*head).cmsg_level = level;
            (*head).cmsg_type = kind;
            (*head).cmsg_len = length as _;
            ptr::write_unaligned(libc::CMSG_DATA(head).cast::<T>(), value);
        }
        self.length = space;
    }
}

/// Sends `datagrams` from `from`; at most [`MANY`] of them. Returns how many went out: fewer than there are when a later one
/// was refused, which the next call will be told.
pub(super) fn send<'d>(
    socket: RawFd,
    from: Option<IpAddr>,
    datagrams: impl Iterator<Item = (Route, &'d [u8])>,
) -> io::Result<usize> {
    let mut control = Control::new(from);
    let (mut addresses, mut parts) = (Vec::with_capacity(MANY), Vec::with_capacity(MANY));
    for (route, bytes) in datagrams.take(MANY) {
        addresses.push(SockAddr::from(route.to));
        parts.push(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
    }
    let message = |(address, part): (&SockAddr, &mut libc::iovec)| {
        // SAFETY: integers and pointers, for which zero is a value; the C library may have padding of its own in it.
        let mut message: libc::mmsghdr = unsafe { std::mem::zeroed() };
        message.msg_hdr.msg_name = address.as_ptr().cast_mut().cast();
        message.msg_hdr.msg_namelen = address.len();
        message.msg_hdr.msg_iov = part;
        message.msg_hdr.msg_iovlen = 1;
        if control.length > 0 {
            message.msg_hdr.msg_control = control.memory.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = control.length as _;
        }
        message
    };
    let mut messages: Vec<libc::mmsghdr> = addresses.iter().zip(&mut parts).map(message).collect();
    loop {
        // SAFETY: every message points at an address, a part and the control message, all of which outlive the call, as do
        // the datagrams behind the parts; the kernel writes only `msg_len` of each message.
        let sent = unsafe { libc::sendmmsg(socket, messages.as_mut_ptr(), messages.len() as libc::c_uint, 0) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}
