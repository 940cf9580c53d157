//! What SRT can be told, as types in which every value is legal.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::settings::Secret;
pub use crate::model::{InterfaceName, KeyLength};
use crate::model::{OutputId, RenditionId};

/// One SRT destination: this box calls, over one path or several.
#[derive(Clone, Debug, PartialEq)]
pub struct SrtDestinationSettings {
    /// Its name.
    pub id: OutputId,
    /// Which rendition it gets.
    pub rendition: RenditionId,
    /// The far end, unless a path has another.
    pub address: SrtAddress,
    /// Time in which a lost packet can be sent again, whole milliseconds, 20 ms – 30 s. The far end may want more.
    pub latency: Duration,
    /// What the far end is asked for; many services make it their stream key. At most 512 bytes.
    pub stream_id: Option<Secret>,
    /// `None`: everybody on the way can watch.
    pub encryption: Option<Encryption>,
    /// How much may be sent beyond the stream itself, for repetitions, percent; 5–100.
    pub overhead_percent: u8,
    /// Bit/s on the wire of one path, at most, repetitions included; `None` for the stream's own rate and the overhead.
    pub max_bandwidth: Option<u32>,
    /// Over what.
    pub links: Links,
    /// Whether it is used. A disabled destination stays configured.
    pub enabled: bool,
}

/// `srt://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SrtAddress {
    /// Name or address, without brackets.
    pub host: String,
    /// UDP port, not 0.
    pub port: u16,
}

impl fmt::Display for SrtAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "srt://[{}]:{}", self.host, self.port),
            false => write!(f, "srt://{}:{}", self.host, self.port),
        }
    }
}

/// AES in counter mode, its keys wrapped by a passphrase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// 10–79 bytes.
    pub passphrase: Secret,
    /// Of the stream's keys.
    pub key_length: KeyLength,
}

/// One path, or how several are used together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// Plain SRT.
    Single(SrtPath),
    /// Each packet over all of them; 2–8.
    Broadcast(Vec<SrtPath>),
    /// The best one that works, the others ready; 2–8, best first, no two of one weight.
    Backup(Vec<SrtPath>),
}

impl Links {
    /// All of them.
    pub fn paths(&self) -> &[SrtPath] {
        match self {
            Self::Single(path) => std::slice::from_ref(path),
            Self::Broadcast(paths) | Self::Backup(paths) => paths,
        }
    }
}

/// One way to the far end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SrtPath {
    /// The interface that carries it; `None` lets the routing table choose.
    pub interface: Option<InterfaceName>,
    /// Which of our addresses it leaves from; `None` for the interface's own.
    pub source: Option<IpAddr>,
    /// The far end.
    pub address: SrtAddress,
    /// The larger the better, 0–32767; what the group's handshake carries.
    pub weight: u16,
}

impl SrtPath {
    /// What people call it: its interface, or where it goes.
    pub fn label(&self) -> String {
        match (&self.interface, self.source) {
            (Some(interface), _) => interface.to_string(),
            (None, Some(source)) => source.to_string(),
            (None, None) => format!("{}:{}", self.address.host, self.address.port),
        }
    }
}
