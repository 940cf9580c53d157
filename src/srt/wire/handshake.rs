//! The handshake packet (draft §3.2.1).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::BufMut;

use super::extension::Extensions;
use super::number::{SeqNo, SocketId};
use super::reject::RejectReason;
use super::{DecodeError, words};

/// What a caller's induction says, so that peers before SRT 1.3 understand it.
pub const VERSION_4: u32 = 4;
/// What everything else says.
pub const VERSION_5: u32 = 5;
/// In the extension field of a caller's induction: UDT's datagram socket.
pub const UDT_DGRAM: u16 = 2;
/// In the extension field of a listener's induction: "I speak version 5".
pub const MAGIC: u16 = 0x4a17;

/// Bits of the extension field in a conclusion: which extensions follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandshakeFlags(pub u16);

impl HandshakeFlags {
    /// HSREQ or HSRSP.
    pub const HSREQ: u16 = 1;
    /// KMREQ or KMRSP.
    pub const KMREQ: u16 = 2;
    /// Any other.
    pub const CONFIG: u16 = 4;
}

/// Which step of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeKind {
    /// First step between rendezvous peers.
    WaveAHand,
    /// First step: is there a listener, and what is its cookie?
    Induction,
    /// Second step: everything else.
    Conclusion,
    /// Last step between rendezvous peers.
    Agreement,
    /// No.
    Rejected(RejectReason),
    /// A number that means nothing.
    Unknown(u32),
}

impl HandshakeKind {
    fn from_wire(value: u32) -> Self {
        match value {
            0 => Self::WaveAHand,
            1 => Self::Induction,
            0xffff_ffff => Self::Conclusion,
            0xffff_fffe => Self::Agreement,
            1000..=0x7fff_ffff => Self::Rejected(RejectReason::from_code(value)),
            other => Self::Unknown(other),
        }
    }

    fn to_wire(self) -> u32 {
        match self {
            Self::WaveAHand => 0,
            Self::Induction => 1,
            Self::Conclusion => 0xffff_ffff,
            Self::Agreement => 0xffff_fffe,
            Self::Rejected(reason) => reason.code(),
            Self::Unknown(value) => value,
        }
    }
}

/// A handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handshake<'a> {
    /// [`VERSION_4`] or [`VERSION_5`].
    pub version: u32,
    /// Key length that the sender would like, bytes / 8: 0 (whatever), 2, 3 or 4.
    pub encryption: u16,
    /// [`UDT_DGRAM`], [`MAGIC`] or [`HandshakeFlags`], depending on the step.
    pub extension: u16,
    /// Initial sequence number. In a group it is the same for every member.
    pub isn: SeqNo,
    /// Largest datagram with its IP and UDP headers, bytes; 1500 as a rule.
    pub mss: u32,
    /// Flow window: the most packets in flight that the sender's buffer can take.
    pub flow_window: u32,
    /// Which step.
    pub kind: HandshakeKind,
    /// The sender's socket.
    pub socket_id: SocketId,
    /// The listener's, to be sent back to it.
    pub cookie: u32,
    /// The receiver's address as the sender sees it, in libsrt's byte order: [`wire_address`].
    pub peer_ip: [u8; 16],
    /// What follows.
    pub extensions: Extensions<'a>,
}

/// Without extensions, bytes.
const LEN: usize = 48;

impl<'a> Handshake<'a> {
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((fixed, rest)) = body.split_first_chunk::<LEN>() else {
            return Err(DecodeError::TooShort { need: LEN, have: body.len() });
        };
        let mut fields = [0; LEN / 4];
        for (field, value) in fields.iter_mut().zip(words(fixed)) {
            *field = value;
        }
        let [version, types, isn, mss, flow_window, kind, socket_id, cookie, ..] = fields;
        let mut peer_ip = [0; 16];
        peer_ip.copy_from_slice(&fixed[LEN - 16..]);
        Ok(Self {
            version,
            encryption: (types >> 16) as u16,
            extension: types as u16,
            isn: SeqNo::new(isn),
            mss,
            flow_window,
            kind: HandshakeKind::from_wire(kind),
            socket_id: SocketId(socket_id),
            cookie,
            peer_ip,
            extensions: Extensions::new(rest),
        })
    }

    pub(super) fn encode(&self, out: &mut impl BufMut) {
        out.put_u32(self.version);
        out.put_u16(self.encryption);
        out.put_u16(self.extension);
        out.put_u32(self.isn.get());
        out.put_u32(self.mss);
        out.put_u32(self.flow_window);
        out.put_u32(self.kind.to_wire());
        out.put_u32(self.socket_id.0);
        out.put_u32(self.cookie);
        out.put_slice(&self.peer_ip);
        out.put_slice(self.extensions.as_bytes());
    }
}

/// An address as libsrt puts it into a handshake: its bytes as they stand in memory, turned round within each word.
pub fn wire_address(address: IpAddr) -> [u8; 16] {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
        IpAddr::V6(v6) => bytes = v6.octets(),
    }
    for word in bytes.as_chunks_mut::<4>().0 {
        word.reverse();
    }
    bytes
}

/// The inverse of [`wire_address`]; what has only a first word is IPv4.
pub fn address_of_wire(mut bytes: [u8; 16]) -> IpAddr {
    for word in bytes.as_chunks_mut::<4>().0 {
        word.reverse();
    }
    if bytes[4..].iter().all(|byte| *byte == 0) {
        IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
    } else {
        IpAddr::V6(Ipv6Addr::from(bytes))
    }
}
