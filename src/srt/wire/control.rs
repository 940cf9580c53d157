//! Control packets (draft §3.2).

use bytes::BufMut;

use super::ack::Ack;
use super::handshake::Handshake;
use super::loss::LossList;
use super::number::{MsgNo, SeqNo, SeqRange, SocketId, Timestamp};
use super::{DecodeError, HEADER_LEN, word, words};

/// A control packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlPacket<'a> {
    /// When it was sent, by the sender's clock.
    pub timestamp: Timestamp,
    /// The receiving socket.
    pub dest: SocketId,
    /// What it says.
    pub control: Control<'a>,
}

/// What a control packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// Agreeing on a connection.
    Handshake(Handshake<'a>),
    /// "I am still here."
    KeepAlive,
    /// What has arrived.
    Ack(Ack),
    /// What has not.
    Nak(LossList<'a>),
    /// The path is congested. libsrt never sends it.
    CongestionWarning,
    /// The end of the connection.
    Shutdown,
    /// Answers a full acknowledgement, so that the receiver can measure the round-trip time.
    AckAck {
        /// [`Ack::number`].
        number: u32,
    },
    /// These will not come (any more): do not wait for them.
    DropRequest {
        /// Their message, [`MsgNo::NONE`] if they are of several.
        msgno: MsgNo,
        /// Which.
        range: SeqRange,
    },
    /// Something failed at the far end (file mode only).
    PeerError {
        /// Its number.
        code: u32,
    },
    /// Type 0x7fff: an SRT message outside the handshake, such as KMREQ (3) and KMRSP (4) when keys are refreshed.
    Extended {
        /// Which; the numbers of [`super::kind`].
        subtype: u16,
        /// Its content.
        body: &'a [u8],
    },
    /// A type that is not in the draft.
    Unknown {
        /// Its number, below 0x7fff.
        kind: u16,
        /// The 16 bits after it.
        subtype: u16,
        /// The second word of the header.
        info: u32,
        /// Its content.
        body: &'a [u8],
    },
}

const HANDSHAKE: u16 = 0;
const KEEP_ALIVE: u16 = 1;
const ACK: u16 = 2;
const NAK: u16 = 3;
const CONGESTION_WARNING: u16 = 4;
const SHUTDOWN: u16 = 5;
const ACK_ACK: u16 = 6;
const DROP_REQUEST: u16 = 7;
const PEER_ERROR: u16 = 8;
const EXTENDED: u16 = 0x7fff;

/// libsrt's peers cannot send an empty content, so a packet without one carries a word of nothing.
const NOTHING: u32 = 0;

impl<'a> ControlPacket<'a> {
    pub(super) fn decode(header: &[u8; HEADER_LEN], body: &'a [u8]) -> Result<Self, DecodeError> {
        let first = word(header, 0);
        let (kind, subtype) = ((first >> 16 & 0x7fff) as u16, first as u16);
        let info = word(header, 1);
        let control = match kind {
            HANDSHAKE => Control::Handshake(Handshake::decode(body)?),
            KEEP_ALIVE => Control::KeepAlive,
            ACK => Control::Ack(Ack::decode(info, body)?),
            NAK => Control::Nak(LossList::decode(body)?),
            CONGESTION_WARNING => Control::CongestionWarning,
            SHUTDOWN => Control::Shutdown,
            ACK_ACK => Control::AckAck { number: info },
            DROP_REQUEST => {
                let mut ends = words(body);
                let (Some(first), Some(last)) = (ends.next(), ends.next()) else {
                    return Err(DecodeError::TooShort { need: 8, have: body.len() });
                };
                let range = SeqRange::new(SeqNo::new(first), SeqNo::new(last));
                Control::DropRequest { msgno: MsgNo::new(info), range: range.ok_or(DecodeError::LossRange { first })? }
            }
            PEER_ERROR => Control::PeerError { code: info },
            EXTENDED => Control::Extended { subtype, body },
            _ => Control::Unknown { kind, subtype, info, body },
        };
        Ok(Self { timestamp: Timestamp::new(word(header, 2)), dest: SocketId(word(header, 3)), control })
    }

    /// Appends the datagram.
    pub fn encode(&self, out: &mut impl BufMut) {
        let (kind, subtype, info) = match &self.control {
            Control::Handshake(_) => (HANDSHAKE, 0, 0),
            Control::KeepAlive => (KEEP_ALIVE, 0, 0),
            Control::Ack(ack) => (ACK, 0, ack.number),
            Control::Nak(_) => (NAK, 0, 0),
            Control::CongestionWarning => (CONGESTION_WARNING, 0, 0),
            Control::Shutdown => (SHUTDOWN, 0, 0),
            Control::AckAck { number } => (ACK_ACK, 0, *number),
            Control::DropRequest { msgno, .. } => (DROP_REQUEST, 0, msgno.get()),
            Control::PeerError { code } => (PEER_ERROR, 0, *code),
            Control::Extended { subtype, .. } => (EXTENDED, *subtype, 0),
            Control::Unknown { kind, subtype, info, .. } => (*kind, *subtype, *info),
        };
        out.put_u16(kind | 0x8000);
        out.put_u16(subtype);
        out.put_u32(info);
        out.put_u32(self.timestamp.get());
        out.put_u32(self.dest.0);
        match &self.control {
            Control::Handshake(handshake) => handshake.encode(out),
            Control::Ack(ack) => ack.encode(out),
            Control::Nak(list) => out.put_slice(list.as_bytes()),
            Control::DropRequest { range, .. } => {
                out.put_u32(range.first().get());
                out.put_u32(range.last().get());
            }
            Control::Extended { body, .. } | Control::Unknown { body, .. } => out.put_slice(body),
            Control::KeepAlive
            | Control::CongestionWarning
            | Control::Shutdown
            | Control::AckAck { .. }
            | Control::PeerError { .. } => out.put_u32(NOTHING),
        }
    }
}
