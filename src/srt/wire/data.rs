//! Data packets (draft §3.1).

use bytes::BufMut;

use super::number::{MsgNo, SeqNo, SocketId, Timestamp};
use super::{DecodeError, HEADER_LEN, word};

/// Where in its message a packet stands. In live mode every message is one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// Neither first nor last.
    Middle,
    /// The last of several.
    Last,
    /// The first of several.
    First,
    /// The only one.
    Solo,
}

/// Which key a payload is encrypted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFlag {
    /// None.
    Clear,
    /// The even one.
    Even,
    /// The odd one.
    Odd,
}

/// The 16 bytes before a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataHeader {
    /// Sequence number.
    pub seq: SeqNo,
    /// Place in the message.
    pub boundary: Boundary,
    /// Whether messages are to be delivered in order.
    pub in_order: bool,
    /// Which key the payload is encrypted with.
    pub key: KeyFlag,
    /// Whether this is not the first time on this path.
    pub retransmitted: bool,
    /// Message number.
    pub msgno: MsgNo,
    /// When the payload was made, by the sender's clock.
    pub timestamp: Timestamp,
    /// The receiving socket.
    pub dest: SocketId,
}

/// A data packet; the payload is `datagram[HEADER_LEN..]`, so an owner of the datagram can slice it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPacket<'a> {
    /// The 16 bytes before the payload.
    pub header: DataHeader,
    /// As it came: encrypted unless [`DataHeader::key`] says it is not.
    pub payload: &'a [u8],
}

const IN_ORDER: u32 = 1 << 29;
const RETRANSMITTED: u32 = 1 << 26;

impl DataHeader {
    /// The bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let boundary: u32 = match self.boundary {
            Boundary::Middle => 0,
            Boundary::Last => 1,
            Boundary::First => 2,
            Boundary::Solo => 3,
        };
        let key: u32 = match self.key {
            KeyFlag::Clear => 0,
            KeyFlag::Even => 1,
            KeyFlag::Odd => 2,
        };
        let mut second = boundary << 30 | key << 27 | self.msgno.get();
        if self.in_order {
            second |= IN_ORDER;
        }
        if self.retransmitted {
            second |= RETRANSMITTED;
        }
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&self.seq.get().to_be_bytes());
        bytes[4..8].copy_from_slice(&second.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.timestamp.get().to_be_bytes());
        bytes[12..].copy_from_slice(&self.dest.0.to_be_bytes());
        bytes
    }

    pub(super) fn decode(header: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let second = word(header, 1);
        let boundary = match second >> 30 {
            0 => Boundary::Middle,
            1 => Boundary::Last,
            2 => Boundary::First,
            _ => Boundary::Solo,
        };
        let key = match second >> 27 & 3 {
            0 => KeyFlag::Clear,
            1 => KeyFlag::Even,
            2 => KeyFlag::Odd,
            _ => return Err(DecodeError::BothKeys),
        };
        Ok(Self {
            seq: SeqNo::new(word(header, 0)),
            boundary,
            in_order: second & IN_ORDER != 0,
            key,
            retransmitted: second & RETRANSMITTED != 0,
            msgno: MsgNo::new(second),
            timestamp: Timestamp::new(word(header, 2)),
            dest: SocketId(word(header, 3)),
        })
    }
}

impl DataPacket<'_> {
    /// Appends the datagram.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(&self.header.to_bytes());
        out.put_slice(self.payload);
    }
}
