//! What can go wrong with a UDP socket, and where.

use std::fmt;
use std::io;
use std::net::SocketAddr;

/// Which socket: the coordinates of everything that is told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The interface it is bound to, if any.
    pub interface: Option<String>,
    /// Its own address.
    pub local: SocketAddr,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interface {
            Some(interface) => write!(f, "{interface} ({})", self.local),
            None => write!(f, "{}", self.local),
        }
    }
}

/// Something went wrong with one socket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {trouble}")]
pub struct UdpError {
    /// Which socket.
    pub place: Place,
    /// What.
    pub trouble: UdpTrouble,
}

/// What went wrong, as far as an operator can do something about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UdpTrouble {
    /// ENODEV at binding.
    #[error("there is no interface of this name")]
    NoInterface,
    /// EPERM at binding.
    #[error("this process may not bind to an interface; it needs the capability CAP_NET_RAW")]
    NotAllowed,
    /// EADDRINUSE.
    #[error("another process listens there already")]
    InUse,
    /// EADDRNOTAVAIL.
    #[error("this machine does not have that address, or not yet")]
    NoSuchAddress,
    /// ENETUNREACH, EHOSTUNREACH: no route, or a router says so.
    #[error("the far end cannot be reached over this network")]
    Unreachable,
    /// ENETDOWN, EHOSTDOWN, ENODEV while in use.
    #[error("the interface is down or gone")]
    Down,
    /// ECONNREFUSED: the far end's machine answers that nobody has this port.
    #[error("nobody listens at that port")]
    Refused,
    /// EMSGSIZE.
    #[error("a datagram is longer than this network carries")]
    TooLong,
    /// EPERM, EACCES in use.
    #[error("the firewall of this machine refuses it")]
    Firewall,
    /// ENOBUFS, ENOMEM.
    #[error("the interface's queue is full")]
    QueueFull,
    /// Anything else, in the system's words.
    #[error("{0}")]
    Other(String),
}

impl UdpTrouble {
    /// A refusal of socket, setsockopt or bind.
    pub(super) fn while_binding(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENODEV) => Self::NoInterface,
            Some(libc::EPERM | libc::EACCES) => Self::NotAllowed,
            Some(libc::EADDRINUSE) => Self::InUse,
            Some(libc::EADDRNOTAVAIL) => Self::NoSuchAddress,
            _ => Self::Other(error.to_string()),
        }
    }

    /// A refusal of sendmsg or recvmsg.
    pub(super) fn while_in_use(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENETUNREACH | libc::EHOSTUNREACH) => Self::Unreachable,
            Some(libc::ENETDOWN | libc::EHOSTDOWN | libc::ENODEV | libc::ENXIO) => Self::Down,
            Some(libc::ECONNREFUSED) => Self::Refused,
            Some(libc::EADDRNOTAVAIL | libc::EINVAL) => Self::NoSuchAddress,
            Some(libc::EMSGSIZE) => Self::TooLong,
            Some(libc::EPERM | libc::EACCES) => Self::Firewall,
            Some(libc::ENOBUFS | libc::ENOMEM) => Self::QueueFull,
            _ => Self::Other(error.to_string()),
        }
    }
}
