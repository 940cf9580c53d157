//! What a session is made with.

use std::fmt;
use std::time::{Duration, Instant};

use crate::srt::Role;
use crate::srt::crypto::{KeyMaterial, RefreshPolicy};
use crate::srt::wire::{GroupType, SeqNo, SocketId, SrtFlags};

/// What both ends agreed on for one path: what a finished handshake knows.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Our socket: datagrams for any other are not ours.
    pub local: SocketId,
    /// The peer's socket.
    pub peer: SocketId,
    /// The sequence number of the first packet in either direction (in SRT 5 both are the same).
    pub isn: SeqNo,
    /// SRT version of the peer: 0x010501 is 1.5.1.
    pub peer_version: u32,
    /// What the peer can do.
    pub peer_flags: SrtFlags,
    /// How long we hold packets before they are played, from when they were made and plus their way.
    pub receive_latency: Duration,
    /// How long the peer does.
    pub send_latency: Duration,
    /// How many packets the peer has room for.
    pub flow_window: u32,
    /// Largest datagram with its IP and UDP headers, bytes: 1500 as a rule.
    pub mss: u32,
    /// When our timestamps are 0. In a group all members use that of the first.
    pub start: Instant,
    /// When the peer's are: arrival of its conclusion minus the timestamp on it.
    pub peer_start: Instant,
    /// The peer's group and its kind; None for a single connection.
    pub group: Option<GroupType>,
    /// Set if the peer is Holdfast: the features both ends know ([`FEATURES`]).
    pub holdfast: Option<u32>,
    /// Round-trip time of the handshake, if it is known.
    pub rtt: Option<Duration>,
    /// None in clear.
    pub keys: Option<Keys>,
}

/// What encrypts a session.
#[derive(Clone, Debug)]
pub struct Keys {
    /// Which end called: it makes the keys.
    pub role: Role,
    /// The keys of the handshake.
    pub material: KeyMaterial,
}

/// What later keys are made from: 32 bytes that nobody can guess, new for each session.
#[derive(Clone, Copy)]
pub struct Seed(pub [u8; 32]);

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Seed(•••)")
    }
}

/// How fast data packets may leave on a path, headers included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxBandwidth {
    /// As fast as they are given to the session.
    Unlimited,
    /// Bytes per second.
    Fixed(u64),
    /// What is given to the session, as measured, and this much more for retransmissions and for catching up. Draft
    /// §5.1.1 and libsrt's SRTO_OHEADBW: 25 %, at least 5 %.
    Input {
        /// Per cent.
        overhead: u32,
    },
}

/// What the owner of a session decides.
#[derive(Clone, Copy, Debug)]
pub struct SessionConfig {
    /// Packets that the send buffer holds at most; when it is full the oldest goes. Rounded up to a power of two.
    pub send_buffer: usize,
    /// Packets that the receive buffer holds at most, which is the flow window we grant. Rounded up to a power of two.
    pub receive_buffer: usize,
    /// How fast each path may send.
    pub max_bandwidth: MaxBandwidth,
    /// A path is closed when nothing has come from the peer for so long (libsrt's SRTO_PEERIDLETIMEO: 5 s).
    pub peer_idle: Duration,
    /// When keys are refreshed.
    pub refresh: RefreshPolicy,
    /// None: keys stay as they are.
    pub seed: Option<Seed>,
    /// How much longer than one latency [`super::Session::close`] waits for acknowledgements at most.
    pub linger: Duration,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            send_buffer: 8192,
            receive_buffer: 8192,
            max_bandwidth: MaxBandwidth::Input { overhead: 25 },
            peer_idle: Duration::from_secs(5),
            refresh: RefreshPolicy::default(),
            seed: None,
            linger: Duration::from_secs(1),
        }
    }
}

/// Most paths of one session.
pub const MAX_PATHS: usize = 16;

/// Bits of the private handshake extension's features that a session understands; to be offered in the handshake.
pub const FEATURES: u32 = feature::PATH_REPORT | feature::MESSAGE;

/// Each bit of [`FEATURES`].
pub mod feature {
    /// Reports every 20 ms of what a path brings.
    pub const PATH_REPORT: u32 = 1;
    /// Messages of the layers above.
    pub const MESSAGE: u32 = 1 << 1;
}

/// Every how often a path says something, so that its peer does not give it up (draft §4.11: 1 s).
pub const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A packet is of no use to the peer when it leaves so long after its time: the peer's clock and way may have shifted
/// since the handshake (libsrt allows for the same 20 ms in SRTO_SNDDROPDELAY).
pub const DROP_MARGIN: Duration = Duration::from_millis(20);
