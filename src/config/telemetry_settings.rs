//! What telemetry is wanted, as types in which every value is legal.

use std::net::SocketAddr;

use super::srt_settings::InterfaceName;

/// What of itself and its uplinks the box watches.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetrySettings {
    /// Whether ModemManager is asked.
    pub modem: bool,
    /// Which Starlink dishes are asked.
    pub dishes: Dishes,
    /// From here on a part of the machine is too hot, °C, 40–120.
    pub hot_celsius: u32,
    /// A disk with recordings that has less is nearly full, bytes.
    pub disk_low_bytes: u64,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self { modem: true, dishes: Dishes::WhereLikely, hot_celsius: 85, disk_low_bytes: 5_000_000_000 }
    }
}

/// Which Starlink dishes are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dishes {
    /// At the usual address, behind each interface that looks like Starlink.
    WhereLikely,
    /// These; none at all if there are none. At most 8.
    Listed(Vec<DishSettings>),
}

/// A Starlink dish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DishSettings {
    /// Where it answers.
    pub address: SocketAddr,
    /// The interface that it is behind; `None` lets the routing table choose, and says nothing about a link.
    pub interface: Option<InterfaceName>,
}
