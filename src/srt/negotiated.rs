//! What a handshake is made with, and what comes out of it.

use std::time::{Duration, Instant};

use super::crypto::{KeyMaterial, Random};
use super::session::{Keys, Terms};
use super::stream_id::StreamId;
use super::wire::{
    Capabilities, Extension, Extensions, GroupExtension, GroupId, GroupType, HEADER_LEN, PrivateExtension, SeqNo,
    SocketId, SrtFlags, Text, Timestamp, UDP_HEADER_LEN,
};

/// The SRT version we say we are, 1.5.5: the libsrt whose behaviour is followed. Peers enable features by it.
pub const SRT_VERSION: u32 = 0x0001_0505;
/// The oldest that knows handshake version 5.
pub(super) const OLDEST_VERSION: u32 = 0x0001_0300;
/// The version of what our own ends say to each other ([`PrivateExtension`]).
pub const PRIVATE_VERSION: u16 = 1;
/// Largest MSS: Ethernet.
pub const MAX_MSS: u32 = 1500;
/// Seven packets of MPEG-TS (libsrt's SRT_LIVE_DEF_PLSIZE).
pub(crate) const LIVE_PAYLOAD: usize = 7 * 188;
/// Smallest MSS (libsrt's SRTO_MSS).
pub const MIN_MSS: u32 = 76;
/// Smallest flow window, packets (libsrt's `CHandShake::valid`).
pub(super) const MIN_FLOW_WINDOW: u32 = 2;

/// What we can do. Packet filters are not among it, so that no peer proposes one.
pub(super) const OUR_FLAGS: SrtFlags = SrtFlags::TSBPD_SEND
    .with(SrtFlags::TSBPD_RECEIVE)
    .with(SrtFlags::CRYPT)
    .with(SrtFlags::TOO_LATE_DROP)
    .with(SrtFlags::NAK_REPORT)
    .with(SrtFlags::RETRANSMIT_BIT);

/// What one end offers. The larger latency of both ends counts, the smaller MSS.
#[derive(Clone, Copy, Debug)]
pub struct Offer {
    /// Largest datagram with its IP and UDP headers, bytes; from [`MIN_MSS`] to [`MAX_MSS`].
    pub mss: u32,
    /// Most bytes of payload in one packet of a caller that sends: a listener that takes less is of no use to it. 0 when
    /// it only receives.
    pub payload: usize,
    /// Packets that our receive buffer holds.
    pub flow_window: u32,
    /// Latency when we receive; up to 65.535 s.
    pub receive_latency: Duration,
    /// Latency that we ask of the peer when it receives; up to 65.535 s.
    pub send_latency: Duration,
    /// Features for a peer that is Holdfast too; None keeps silent about it.
    pub features: Option<u32>,
}

impl Default for Offer {
    /// libsrt's defaults: 120 ms, 8192 packets, seven packets of MPEG-TS in each.
    fn default() -> Self {
        Self {
            mss: MAX_MSS,
            payload: LIVE_PAYLOAD,
            flow_window: 8192,
            receive_latency: Duration::from_millis(120),
            send_latency: Duration::ZERO,
            features: None,
        }
    }
}

impl Offer {
    pub(super) fn mss(&self) -> u32 {
        self.mss.clamp(MIN_MSS, MAX_MSS)
    }

    pub(super) fn private(&self, token: Option<[u8; 16]>) -> Option<PrivateExtension> {
        self.features.map(|features| PrivateExtension { version: PRIVATE_VERSION, features, token })
    }

    /// What both know of each other's private features.
    pub(super) fn common(&self, theirs: Option<PrivateExtension>) -> Option<PrivateExtension> {
        let (ours, theirs) = (self.features?, theirs?);
        let version = PRIVATE_VERSION.min(theirs.version);
        Some(PrivateExtension { version, features: ours & theirs.features, token: None })
    }
}

/// A latency as it goes into a handshake, ms.
pub(super) fn millis(latency: Duration) -> u16 {
    u16::try_from(latency.as_millis()).unwrap_or(u16::MAX)
}

/// Which end called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We did.
    Caller,
    /// The peer did.
    Listener,
}

/// Membership in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group as we call it.
    pub local: GroupId,
    /// The group as the peer calls it.
    pub peer: GroupId,
    /// Type of both.
    pub group_type: GroupType,
    /// The member's weight; in a backup group the highest is the main path.
    pub weight: u16,
}

/// A connection, agreed on: a session begins with it, or gets another path.
#[derive(Clone, Debug)]
pub struct Negotiated {
    /// Which end called.
    pub role: Role,
    /// Our socket: what the peer puts into its packets.
    pub local: SocketId,
    /// The peer's socket: what we put into ours.
    pub peer: SocketId,
    /// The first sequence number on this path in either direction. A member that joins later begins where its group is.
    pub isn: SeqNo,
    /// SRT version of the peer: 0x010501 is 1.5.1.
    pub peer_version: u32,
    /// What the peer can do.
    pub peer_flags: SrtFlags,
    /// Latency when we receive. In a group that of the first member.
    pub receive_latency: Duration,
    /// Latency when the peer receives.
    pub send_latency: Duration,
    /// Packets that the peer's receive buffer holds.
    pub flow_window: u32,
    /// Largest datagram with its IP and UDP headers, bytes.
    pub mss: u32,
    /// When our timestamps are 0. In a group all members use that of the first.
    pub start: Instant,
    /// When the peer's are: arrival of its conclusion minus the timestamp on it, so the one-way delay is in it.
    pub peer_start: Instant,
    /// Round-trip time of the handshake; None if it is not known or a packet was repeated.
    pub rtt: Option<Duration>,
    /// Keys for both directions; None in clear.
    pub keys: Option<KeyMaterial>,
    /// Membership in a group.
    pub group: Option<Membership>,
    /// What the caller asked for.
    pub stream_id: StreamId,
    /// Version and features that both ends have, if both are Holdfast.
    pub private: Option<PrivateExtension>,
}

impl Negotiated {
    /// What a session has to know of it.
    pub fn terms(&self) -> Terms {
        Terms {
            local: self.local,
            peer: self.peer,
            isn: self.isn,
            peer_version: self.peer_version,
            peer_flags: self.peer_flags,
            receive_latency: self.receive_latency,
            send_latency: self.send_latency,
            flow_window: self.flow_window,
            mss: self.mss,
            start: self.start,
            peer_start: self.peer_start,
            group: self.group.map(|group| group.group_type),
            holdfast: self.private.map(|private| private.features),
            rtt: self.rtt,
            keys: self.keys.clone().map(|material| Keys { role: self.role, material }),
        }
    }

    /// Most bytes of payload in one packet.
    pub const fn max_payload(&self) -> usize {
        payload_of(self.mss)
    }
}

/// Most bytes of payload in a datagram of this MSS.
pub(super) const fn payload_of(mss: u32) -> usize {
    (mss as usize).saturating_sub(UDP_HEADER_LEN + HEADER_LEN)
}

/// When the peer's timestamps were 0.
pub(super) fn peer_start(arrival: Instant, timestamp: Timestamp) -> Instant {
    arrival.checked_sub(Duration::from_micros(timestamp.get().into())).unwrap_or(arrival)
}

/// A timestamp for `now`.
pub(super) fn timestamp(start: Instant, now: Instant) -> Timestamp {
    let micros = now.saturating_duration_since(start).as_micros();
    Timestamp::from(u64::try_from(micros).unwrap_or(u64::MAX))
}

/// Writes the time of sending into a datagram that is sent again.
pub(super) fn stamp(datagram: &mut [u8], timestamp: Timestamp) {
    if let Some(field) = datagram.get_mut(8..12) {
        field.copy_from_slice(&timestamp.get().to_be_bytes());
    }
}

/// A socket's id from chance: not 0, and without the mark of a group.
pub fn random_socket_id(random: &mut Random) -> SocketId {
    SocketId((random.next_u32() & SocketId::MAX.0).max(1))
}

/// An initial sequence number from chance. libsrt takes the largest one for an error.
pub fn random_isn(random: &mut Random) -> SeqNo {
    SeqNo::new((random.next_u32() & SeqNo::MAX.get()).min(SeqNo::MAX.get() - 1))
}

/// The first block of each kind in a conclusion.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blocks<'a> {
    pub hsreq: Option<Capabilities>,
    pub hsrsp: Option<Capabilities>,
    pub kmreq: Option<&'a [u8]>,
    pub kmrsp: Option<&'a [u8]>,
    pub stream_id: Option<Text<'a>>,
    pub congestion: Option<Text<'a>>,
    pub filter: Option<Text<'a>>,
    pub group: Option<GroupExtension>,
    pub private: Option<PrivateExtension>,
}

impl<'a> Blocks<'a> {
    pub(super) fn read(extensions: Extensions<'a>) -> Result<Self, super::wire::DecodeError> {
        let mut blocks = Self::default();
        for extension in extensions.iter() {
            match extension? {
                Extension::HsReq(value) => blocks.hsreq = blocks.hsreq.or(Some(value)),
                Extension::HsRsp(value) => blocks.hsrsp = blocks.hsrsp.or(Some(value)),
                Extension::KmReq(value) => blocks.kmreq = blocks.kmreq.or(Some(value)),
                Extension::KmRsp(value) => blocks.kmrsp = blocks.kmrsp.or(Some(value)),
                Extension::StreamId(value) => blocks.stream_id = blocks.stream_id.or(Some(value)),
                Extension::Congestion(value) => blocks.congestion = blocks.congestion.or(Some(value)),
                Extension::Filter(value) => blocks.filter = blocks.filter.or(Some(value)),
                Extension::Group(value) => blocks.group = blocks.group.or(Some(value)),
                Extension::Private(value) => blocks.private = blocks.private.or(Some(value)),
                Extension::Unknown { .. } => {}
            }
        }
        Ok(blocks)
    }

    /// Whether the peer uses live mode, which is meant when nothing is said.
    pub(super) fn is_live(&self) -> bool {
        self.congestion.is_none_or(|name| name.read(16).as_deref() == Some("live"))
    }
}
