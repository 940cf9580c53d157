//! What follows the fixed part of a conclusion: blocks of type, length in words, content (draft §3.2.1).

use bytes::BufMut;

use super::number::GroupId;
use super::text::{self, Text};
use super::{DecodeError, words};

/// Types of extension blocks. The first four are also the subtypes of [`super::Control::Extended`].
pub mod kind {
    /// Capabilities of the caller.
    pub const HSREQ: u16 = 1;
    /// Capabilities of the listener.
    pub const HSRSP: u16 = 2;
    /// Key material.
    pub const KMREQ: u16 = 3;
    /// The key material again, or one word saying why not.
    pub const KMRSP: u16 = 4;
    /// Stream id.
    pub const SID: u16 = 5;
    /// Congestion controller: absent means `live`.
    pub const CONGESTION: u16 = 6;
    /// Packet filter (FEC).
    pub const FILTER: u16 = 7;
    /// Membership in a group.
    pub const GROUP: u16 = 8;
    /// Between Holdfast's own ends, in the handshake and, as a subtype, afterwards. libsrt skips it.
    pub const PRIVATE: u16 = 0x4846;
}

/// What a peer can do: the third word of HSREQ and HSRSP (draft §3.2.1.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SrtFlags(pub u32);

impl SrtFlags {
    /// Sends with timestamps that the receiver should keep to.
    pub const TSBPD_SEND: Self = Self(1);
    /// Delivers by timestamps.
    pub const TSBPD_RECEIVE: Self = Self(1 << 1);
    /// Can encrypt.
    pub const CRYPT: Self = Self(1 << 2);
    /// Drops what comes too late.
    pub const TOO_LATE_DROP: Self = Self(1 << 3);
    /// Repeats NAKs periodically.
    pub const NAK_REPORT: Self = Self(1 << 4);
    /// Knows the retransmission bit of data packets.
    pub const RETRANSMIT_BIT: Self = Self(1 << 5);
    /// Wants a stream of bytes, not of messages.
    pub const STREAM: Self = Self(1 << 6);
    /// Knows packet filters.
    pub const FILTER: Self = Self(1 << 7);
    /// None.
    pub const NONE: Self = Self(0);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Without those.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are there.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// HSREQ and HSRSP (draft §3.2.1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// SRT version: 0x010500 is 1.5.0.
    pub version: u32,
    /// Flags.
    pub flags: SrtFlags,
    /// Delay that the sender of this block uses when it receives, ms.
    pub receive_latency_ms: u16,
    /// Delay that it asks for when its peer receives, ms.
    pub send_latency_ms: u16,
}

/// How members of a group share the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupType {
    /// Each sends everything.
    Broadcast,
    /// One sends, the others are ready.
    Backup,
    /// Not known to libsrt, which rejects it.
    Other(u8),
}

/// GROUP (draft §3.2.1.4; libsrt packs type, flags and weight into one word).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupExtension {
    /// The group, by the number its sender gave it.
    pub id: GroupId,
    /// Its type.
    pub group_type: GroupType,
    /// Bit 0: synchronise on message numbers, which libsrt rejects.
    pub flags: u8,
    /// The member's weight; in a backup group the highest is the main path.
    pub weight: u16,
}

/// Says that the peer is Holdfast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PrivateExtension {
    /// Of what follows the handshake; 1 is the first.
    pub version: u16,
    /// What the sender understands, one bit each.
    pub features: u32,
    /// From a caller: proves that it has the keys that it sends in KMREQ. None where there are none.
    pub token: Option<[u8; 16]>,
}

/// "HOLD": another product may use the same type.
const PRIVATE_MAGIC: u32 = 0x484f_4c44;

/// One block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension<'a> {
    /// Capabilities of the caller.
    HsReq(Capabilities),
    /// Capabilities of the listener.
    HsRsp(Capabilities),
    /// Key material, sealed.
    KmReq(&'a [u8]),
    /// The same, or one word.
    KmRsp(&'a [u8]),
    /// Stream id.
    StreamId(Text<'a>),
    /// Congestion controller.
    Congestion(Text<'a>),
    /// Packet filter.
    Filter(Text<'a>),
    /// Membership in a group.
    Group(GroupExtension),
    /// The peer is Holdfast.
    Private(PrivateExtension),
    /// Something else.
    Unknown {
        /// Its type.
        kind: u16,
        /// Whole words.
        body: &'a [u8],
    },
}

/// Longest text in an extension, bytes: what libsrt takes (MAX_SID_LENGTH).
pub const MAX_TEXT: usize = 512;

/// Appends a text extension; of a text longer than [`MAX_TEXT`] only the beginning.
pub fn put_text(kind: u16, text: &str, out: &mut impl BufMut) {
    let end = (0..=MAX_TEXT.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    let text = &text[..end.unwrap_or(0)];
    out.put_u16(kind);
    out.put_u16(text::words_of(text) as u16);
    text::put(text, out);
}

impl<'a> Extension<'a> {
    fn decode(kind: u16, body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = words(body);
        let mut field = |need: usize| {
            fields.next().ok_or(DecodeError::ExtensionTooShort { kind, need: need * 4, have: body.len() })
        };
        Ok(match kind {
            kind::HSREQ | kind::HSRSP => {
                let (version, flags, latency) = (field(3)?, field(3)?, field(3)?);
                let capabilities = Capabilities {
                    version,
                    flags: SrtFlags(flags),
                    receive_latency_ms: (latency >> 16) as u16,
                    send_latency_ms: latency as u16,
                };
                if kind == kind::HSREQ { Self::HsReq(capabilities) } else { Self::HsRsp(capabilities) }
            }
            kind::KMREQ => Self::KmReq(body),
            kind::KMRSP => Self::KmRsp(body),
            kind::SID => Self::StreamId(Text::new(body)),
            kind::CONGESTION => Self::Congestion(Text::new(body)),
            kind::FILTER => Self::Filter(Text::new(body)),
            kind::GROUP => {
                let (id, rest) = (field(2)?, field(2)?);
                Self::Group(GroupExtension {
                    id: GroupId::new(id).ok_or(DecodeError::NotAGroup { id })?,
                    group_type: match (rest >> 24) as u8 {
                        1 => GroupType::Broadcast,
                        2 => GroupType::Backup,
                        other => GroupType::Other(other),
                    },
                    flags: (rest >> 16) as u8,
                    weight: rest as u16,
                })
            }
            kind::PRIVATE => match (field(3), field(3), field(3)) {
                (Ok(PRIVATE_MAGIC), Ok(version), Ok(features)) => {
                    let token = body[12..].first_chunk().copied();
                    Self::Private(PrivateExtension { version: (version >> 16) as u16, features, token })
                }
                _ => Self::Unknown { kind, body },
            },
            _ => Self::Unknown { kind, body },
        })
    }

    /// Appends the block.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::HsReq(capabilities) => capabilities.encode(kind::HSREQ, out),
            Self::HsRsp(capabilities) => capabilities.encode(kind::HSRSP, out),
            Self::KmReq(body) => put_block(kind::KMREQ, body, out),
            Self::KmRsp(body) => put_block(kind::KMRSP, body, out),
            Self::StreamId(text) => put_block(kind::SID, text.as_bytes(), out),
            Self::Congestion(text) => put_block(kind::CONGESTION, text.as_bytes(), out),
            Self::Filter(text) => put_block(kind::FILTER, text.as_bytes(), out),
            Self::Group(group) => {
                out.put_u16(kind::GROUP);
                out.put_u16(2);
                out.put_u32(group.id.get());
                out.put_u8(match group.group_type {
                    GroupType::Broadcast => 1,
                    GroupType::Backup => 2,
                    GroupType::Other(number) => number,
                });
                out.put_u8(group.flags);
                out.put_u16(group.weight);
            }
            Self::Private(private) => {
                out.put_u16(kind::PRIVATE);
                out.put_u16(if private.token.is_some() { 7 } else { 3 });
                out.put_u32(PRIVATE_MAGIC);
                out.put_u16(private.version);
                out.put_u16(0);
                out.put_u32(private.features);
                if let Some(token) = &private.token {
                    out.put_slice(token);
                }
            }
            Self::Unknown { kind, body } => put_block(*kind, body, out),
        }
    }
}

impl Capabilities {
    fn encode(&self, kind: u16, out: &mut impl BufMut) {
        out.put_u16(kind);
        out.put_u16(3);
        out.put_u32(self.version);
        out.put_u32(self.flags.0);
        out.put_u16(self.receive_latency_ms);
        out.put_u16(self.send_latency_ms);
    }
}

/// Appends a block, its content filled up with zeros to whole words.
fn put_block(kind: u16, body: &[u8], out: &mut impl BufMut) {
    out.put_u16(kind);
    out.put_u16(body.len().div_ceil(4) as u16);
    out.put_slice(body);
    out.put_bytes(0, body.len().next_multiple_of(4) - body.len());
}

/// The blocks of one handshake as they stand in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// None.
    pub const NONE: Extensions<'static> = Extensions(&[]);

    /// Blocks that were written by [`Extension::encode`] and [`put_text`], or came in a datagram.
    pub const fn new(blocks: &'a [u8]) -> Self {
        Self(blocks)
    }

    /// As on the wire.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Block by block; nothing follows a block that is longer than the rest. Bytes after the last whole word are cut
    /// off, as in libsrt.
    pub fn iter(self) -> impl Iterator<Item = Result<Extension<'a>, DecodeError>> + use<'a> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let ([k0, k1, n0, n1], after) = rest.split_first_chunk::<4>()?;
            let (kind, claimed) = (u16::from_be_bytes([*k0, *k1]), usize::from(u16::from_be_bytes([*n0, *n1])) * 4);
            match after.split_at_checked(claimed) {
                Some((body, next)) => {
                    rest = next;
                    Some(Extension::decode(kind, body))
                }
                None => {
                    rest = &[];
                    Some(Err(DecodeError::ExtensionTooLong { kind, claimed, have: after.len() }))
                }
            }
        })
    }
}
