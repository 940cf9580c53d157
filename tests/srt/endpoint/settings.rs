//! What an endpoint is to do: the arguments of `tests/peers/srt_group_peer.c`, so that either can take the other's place.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use holdfast::bonding::Policy;
use holdfast::srt::crypto::{KeyLength, Passphrase};
use holdfast::srt::wire::GroupType;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Direction {
    Call,
    Listen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Role {
    Send,
    Receive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    None,
    Broadcast,
    Backup,
}

impl Kind {
    pub fn policy(self) -> Policy {
        match self {
            Self::None => Policy::Single,
            Self::Broadcast => Policy::Broadcast,
            Self::Backup => Policy::Backup,
        }
    }

    pub fn group(self) -> Option<GroupType> {
        match self {
            Self::None => None,
            Self::Broadcast => Some(GroupType::Broadcast),
            Self::Backup => Some(GroupType::Backup),
        }
    }
}

/// `[LOCAL_IP@]IP:PORT[,WEIGHT]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub source: Option<IpAddr>,
    pub target: SocketAddr,
    pub weight: u16,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text}: not [LOCAL_IP@]IP:PORT[,WEIGHT]");
        let (rest, weight) = text.split_once(',').unwrap_or((text, "0"));
        let (source, target) = rest.split_once('@').map_or((None, rest), |(source, target)| (Some(source), target));
        Ok(Self {
            source: source.map(str::parse).transpose().map_err(|_| wrong())?,
            target: target.parse().map_err(|_| wrong())?,
            weight: weight.parse().map_err(|_| wrong())?,
        })
    }
}

#[derive(Clone, Debug, Parser)]
pub struct Settings {
    pub direction: Direction,
    pub role: Role,
    #[arg(long = "type", default_value = "broadcast")]
    pub kind: Kind,
    /// Payload bits per second.
    #[arg(long, default_value_t = 6e6)]
    pub rate: f64,
    /// How long a sender sends, or a receiver waits for the next payload.
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// ms.
    #[arg(long, default_value_t = 120)]
    pub latency: u64,
    #[arg(long)]
    pub passphrase: Option<String>,
    #[arg(long, default_value_t = 16)]
    pub key_bytes: usize,
    /// Packets between keys.
    #[arg(long)]
    pub refresh: Option<u64>,
    #[arg(long, default_value = "")]
    pub stream_id: String,
    #[arg(long, default_value_t = 1)]
    pub stream: u32,
    /// Bytes of the session's and the kernel's buffers.
    #[arg(long, default_value_t = 0)]
    pub buffer: usize,
    /// Of the rate, for retransmissions.
    #[arg(long, default_value_t = 25)]
    pub overhead: u32,
    /// For libsrt's sake; members always come back.
    #[arg(long)]
    pub rejoin: bool,
    /// Instead of numbered payloads: what is sent, or where to write what comes.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// Keeps silent about what libsrt does not know.
    #[arg(long)]
    pub plain_srt: bool,
    /// A listener takes any number of further sessions, whose payloads it throws away.
    #[arg(long)]
    pub guests: bool,
    /// A caller's id of its group; usually chance.
    #[arg(long)]
    pub group_id: Option<u32>,
    #[arg(required = true)]
    pub places: Vec<Place>,
}

impl Settings {
    pub fn of(words: &[String]) -> Self {
        Self::try_parse_from(std::iter::once(&"endpoint".to_owned()).chain(words)).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn latency(&self) -> Duration {
        Duration::from_millis(self.latency)
    }

    pub fn passphrase(&self) -> Option<Passphrase> {
        self.passphrase.as_deref().map(|text| Passphrase::new(text).expect("10 to 79 bytes"))
    }

    pub fn key_length(&self) -> KeyLength {
        KeyLength::from_bytes(self.key_bytes).expect("16, 24 or 32")
    }

    /// Packets that the session's buffers hold.
    pub fn packets(&self) -> usize {
        if self.buffer > 0 { self.buffer / 1000 + 100 } else { 8192 }
    }
}
