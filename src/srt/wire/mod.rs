//! Datagrams and what they say. Decoding borrows; encoding appends.
//!
//! Every field of every packet is read by a function that is defined for all inputs: a datagram is either understood or
//! a [`DecodeError`]. What is variable in length (payload, loss list, extensions) stays in the datagram and is walked
//! by an iterator, so that a datagram costs no allocation, whatever it claims.

mod ack;
mod control;
mod data;
mod extension;
mod handshake;
mod loss;
mod number;
mod reject;
mod text;

pub use ack::{Ack, AckRates, AckReport};
pub use control::{Control, ControlPacket};
pub use data::{Boundary, DataHeader, DataPacket, KeyFlag};
pub use extension::{
    Capabilities, Extension, Extensions, GroupExtension, GroupType, MAX_TEXT, PrivateExtension, SrtFlags, kind,
    put_text,
};
pub use handshake::{
    Handshake, HandshakeFlags, HandshakeKind, MAGIC, UDT_DGRAM, VERSION_4, VERSION_5, address_of_wire, wire_address,
};
pub use loss::LossList;
pub use number::{GroupId, MsgNo, SeqNo, SeqRange, SocketId, Timestamp};
pub use reject::RejectReason;
pub use text::Text;

/// Of every packet (draft §3).
pub const HEADER_LEN: usize = 16;

/// What IPv4 and UDP add, bytes; libsrt counts MSS with it.
pub const UDP_HEADER_LEN: usize = 28;

/// Why a datagram is not a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// It ends before it should.
    #[error("{have} bytes where {need} are needed")]
    TooShort {
        /// Bytes.
        need: usize,
        /// Bytes.
        have: usize,
    },
    /// A data packet says it is encrypted with both keys.
    #[error("data packet encrypted with both keys")]
    BothKeys,
    /// A range in a loss list or a drop request has no end, or ends before it begins.
    #[error("range from sequence number {first} has no end after it")]
    LossRange {
        /// Where it begins.
        first: u32,
    },
    /// A handshake extension is longer than the packet.
    #[error("extension {kind} claims {claimed} bytes and {have} are there")]
    ExtensionTooLong {
        /// Its type.
        kind: u16,
        /// Bytes.
        claimed: usize,
        /// Bytes.
        have: usize,
    },
    /// A handshake extension is shorter than its type needs.
    #[error("extension {kind} has {have} bytes and needs {need}")]
    ExtensionTooShort {
        /// Its type.
        kind: u16,
        /// Bytes.
        need: usize,
        /// Bytes.
        have: usize,
    },
    /// The group's id is not one.
    #[error("group id {id:08x} lacks the mark of a group")]
    NotAGroup {
        /// As sent.
        id: u32,
    },
}

/// One datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Payload.
    Data(DataPacket<'a>),
    /// Everything else.
    Control(ControlPacket<'a>),
}

impl<'a> Packet<'a> {
    /// Reads a datagram.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((header, body)) = datagram.split_first_chunk::<HEADER_LEN>() else {
            return Err(DecodeError::TooShort { need: HEADER_LEN, have: datagram.len() });
        };
        if header[0] & 0x80 == 0 {
            Ok(Self::Data(DataPacket { header: DataHeader::decode(header)?, payload: body }))
        } else {
            Ok(Self::Control(ControlPacket::decode(header, body)?))
        }
    }

    /// Which socket a datagram is for, without reading the rest.
    pub fn peek_dest(datagram: &[u8]) -> Option<SocketId> {
        datagram.first_chunk::<HEADER_LEN>().map(|header| SocketId(word(header, 3)))
    }
}

/// The `i`th word of a header.
fn word(header: &[u8; HEADER_LEN], i: usize) -> u32 {
    let at = i * 4;
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// The whole words of a body.
fn words(body: &[u8]) -> impl Iterator<Item = u32> + use<'_> {
    body.as_chunks::<4>().0.iter().map(|word| u32::from_be_bytes(*word))
}

#[cfg(test)]
mod tests;
