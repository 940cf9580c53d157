//! Why a path is not connected, in words an operator can act on.

use super::footing::Lack;
use crate::link::udp::UdpError;
use crate::srt::Trouble;
use crate::srt::session::Closed;

/// Why a call failed or a path was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The name has no address, or nobody answers for it.
    NameLookup,
    /// The name has addresses, but none of the kind that the path's source address is of.
    NoSuchFamily,
    /// Its interface carries nothing.
    NoLink(Lack),
    /// The socket.
    Socket(UdpError),
    /// The handshake.
    Handshake(Trouble),
    /// It was connected.
    Lost(Closed),
}

impl Failure {
    /// A word for the event's evidence, stable across releases.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::NameLookup => "name-lookup",
            Self::NoSuchFamily => "no-such-family",
            Self::NoLink(lack) => lack.code(),
            Self::Socket(_) => "socket",
            Self::Handshake(trouble) => trouble.code(),
            Self::Lost(Closed::Here) => "closed",
            Self::Lost(Closed::ByPeer) => "closed-by-far-end",
            Self::Lost(Closed::PeerIdle) => "silent",
        }
    }

    /// Whether it is likely to stay until somebody does something.
    pub(crate) const fn needs_operator(&self) -> bool {
        match self {
            Self::Handshake(trouble) => trouble.needs_operator(),
            Self::NoSuchFamily => true,
            Self::NameLookup | Self::NoLink(_) | Self::Socket(_) | Self::Lost(_) => false,
        }
    }

    /// Whether the far end probably still holds our previous connection.
    pub(super) const fn is_busy(&self) -> bool {
        matches!(self, Self::Handshake(trouble) if trouble.is_busy())
    }

    /// `place` is `host:port`.
    pub(crate) fn in_words(&self, place: &str) -> String {
        match self {
            Self::NameLookup => format!("{place}: the name cannot be looked up: check its spelling, and the network"),
            Self::NoSuchFamily => {
                format!("{place} has no address of the kind that the path's source is of: write another source")
            }
            Self::NoLink(lack) => lack.in_words().to_owned(),
            Self::Socket(error) => error.to_string(),
            Self::Handshake(trouble) => trouble.in_words(place),
            Self::Lost(Closed::Here) => "ended".to_owned(),
            Self::Lost(Closed::ByPeer) => format!("{place} closed the connection"),
            Self::Lost(Closed::PeerIdle) => {
                format!("nothing comes from {place} any more: this network carries nothing")
            }
        }
    }
}
