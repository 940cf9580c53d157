//! What people see of modems, dishes and the machine itself.

use serde::{Deserialize, Serialize};

/// All of it, as holdfastd last heard it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TelemetrySnapshot {
    /// Whether ModemManager answers.
    pub modem_service: ServiceState,
    /// The modems that it knows.
    pub modems: Vec<ModemSnapshot>,
    /// Starlink dishes, those that do not answer too.
    pub dishes: Vec<DishSnapshot>,
    /// The machine; `None` until it has been looked at.
    pub machine: Option<MachineSnapshot>,
}

/// Whether a source of telemetry answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum ServiceState {
    /// It is not asked, or has not had the time to answer.
    #[default]
    NotAsked,
    /// It does not. That is nothing wrong: many boxes have no modem.
    Silent {
        /// Why, as far as is known.
        because: String,
    },
    /// It does.
    Answers,
}

/// How a modem reaches its network; the later the faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Technology {
    /// GSM, GPRS, EDGE.
    #[serde(rename = "2G")]
    Gsm,
    /// UMTS, HSPA, CDMA2000.
    #[serde(rename = "3G")]
    Umts,
    /// LTE, its narrow-band kinds too.
    #[serde(rename = "LTE")]
    Lte,
    /// 5G beside an LTE cell that leads (non-stand-alone).
    #[serde(rename = "5G NSA")]
    FiveGBesideLte,
    /// 5G on its own (stand-alone).
    #[serde(rename = "5G SA")]
    FiveG,
}

impl Technology {
    /// As people call it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Gsm => "2G",
            Self::Umts => "3G",
            Self::Lte => "LTE",
            Self::FiveGBesideLte => "5G NSA",
            Self::FiveG => "5G SA",
        }
    }
}

/// How far a modem is (MMModemState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModemState {
    /// It cannot be used.
    Failed,
    /// Not told.
    Unknown,
    /// Being looked at.
    Initializing,
    /// Its SIM wants a code.
    Locked,
    /// Switched off.
    Disabled,
    /// Being switched off.
    Disabling,
    /// Being switched on.
    Enabling,
    /// Switched on, not registered.
    Enabled,
    /// Looking for a network.
    Searching,
    /// In a network.
    Registered,
    /// Ending its connection.
    Disconnecting,
    /// Making a connection.
    Connecting,
    /// Connected.
    Connected,
}

/// Whether a SIM can be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum SimState {
    /// Not told.
    Unknown,
    /// It can.
    Ready,
    /// There is none, or it cannot be read.
    Missing,
    /// It wants a code first.
    Locked {
        /// Which: `SIM PIN`.
        code: String,
        /// Attempts left.
        retries: Option<u32>,
    },
}

/// Whose network a modem is in (MMModem3gppRegistrationState).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Registration {
    /// Not told.
    Unknown,
    /// None, and none is looked for.
    None,
    /// One is looked for.
    Searching,
    /// Refused.
    Denied,
    /// Emergency calls or messages only.
    Restricted,
    /// Its own.
    Home,
    /// Another's.
    Roaming,
}

/// What a modem hears of one kind of cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RadioSnapshot {
    /// Reference signal received power, dBm.
    pub rsrp_dbm: Option<f64>,
    /// Reference signal received quality, dB.
    pub rsrq_db: Option<f64>,
    /// Signal to noise ratio, dB.
    pub snr_db: Option<f64>,
}

/// How a modem's connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BearerState {
    /// Not connected.
    Down,
    /// Connected.
    Up,
    /// Connected, but the network carries nothing at the moment.
    Suspended,
}

/// One connection of a modem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BearerSnapshot {
    /// The kernel's name of its interface.
    pub interface: Option<String>,
    /// How it is.
    pub state: BearerState,
    /// Why it could not be made, or ended, in the modem's words.
    pub error: Option<String>,
}

/// A modem.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModemSnapshot {
    /// The device, as the kernel knows it: the socket that it is plugged into.
    pub id: String,
    /// Maker and model.
    pub model: String,
    /// The interface that carries its traffic.
    pub interface: Option<String>,
    /// How far it is.
    pub state: ModemState,
    /// Its SIM.
    pub sim: SimState,
    /// Whose network.
    pub registration: Registration,
    /// The network's name.
    pub operator: Option<String>,
    /// How it reaches the network.
    pub technology: Option<Technology>,
    /// Signal quality, per cent, as phones show it in bars.
    pub quality_percent: Option<u32>,
    /// LTE cells.
    pub lte: Option<RadioSnapshot>,
    /// 5G cells.
    pub nr: Option<RadioSnapshot>,
    /// Its connections.
    pub bearers: Vec<BearerSnapshot>,
}

impl ModemSnapshot {
    /// What the cell is like that decides whether there is a connection: on 5G NSA that is the LTE cell.
    pub fn leading_cell(&self) -> Option<RadioSnapshot> {
        match self.technology {
            Some(Technology::FiveG) => self.nr,
            Some(Technology::Gsm | Technology::Umts | Technology::Lte | Technology::FiveGBesideLte) | None => self.lte,
        }
    }

    /// Whether it is in a network that carries data.
    pub fn is_registered(&self) -> bool {
        matches!(self.registration, Registration::Home | Registration::Roaming)
    }
}

/// A Starlink dish.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DishSnapshot {
    /// Where it is asked.
    pub address: String,
    /// The interface that it is behind; `None` where the routing table knows.
    pub interface: Option<String>,
    /// What it says.
    pub state: DishState,
}

/// What a dish says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum DishState {
    /// Nothing.
    Silent {
        /// Why, as far as is known.
        because: String,
    },
    /// How it is.
    Answers(DishFigures),
}

/// How a dish is, at most a second ago.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DishFigures {
    /// Something stands between it and its satellite now.
    pub obstructed_now: bool,
    /// Part of the sky that is obstructed, 0 to 1.
    pub obstructed_fraction: f64,
    /// The outage that goes on.
    pub outage: Option<OutageSnapshot>,
    /// Round trip to the ground station's point of presence, ms.
    pub latency_ms: Option<f64>,
    /// Part of the pings to it that were lost, 0 to 1.
    pub drop_fraction: f64,
    /// Until a satellite is planned for it, s; 0 while there is one.
    pub first_slot_s: f64,
    /// Bit/s received.
    pub down_bps: u64,
    /// Bit/s sent.
    pub up_bps: u64,
    /// Speed of its cable, Mbit/s.
    pub ethernet_mbit: Option<u32>,
    /// What it complains of, in words.
    pub alerts: Vec<String>,
}

/// An outage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutageSnapshot {
    /// Why, in words.
    pub cause: String,
    /// For how long, ms.
    pub for_ms: u64,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MachineSnapshot {
    /// Thermometers.
    pub zones: Vec<ZoneSnapshot>,
    /// How fast the processor may run, where the kernel says.
    pub processor: Option<ProcessorSnapshot>,
    /// Why the processor is slowed down, in words; empty while it is not.
    pub throttled: Vec<String>,
    /// Times that it was slowed down since the boot, where the kernel counts.
    pub throttle_count: Option<u64>,
    /// The power supply, where it is watched.
    pub supply: SupplyState,
    /// Where recordings go.
    pub disks: Vec<DiskSnapshot>,
}

/// A thermometer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneSnapshot {
    /// What the kernel calls it.
    pub name: String,
    /// Degrees Celsius.
    pub celsius: f64,
    /// Where the kernel begins to slow the machine down, degrees Celsius.
    pub throttles_at: Option<f64>,
}

/// How fast the processor may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessorSnapshot {
    /// The most that is allowed now, MHz.
    pub allowed_mhz: u32,
    /// The most that it can, MHz.
    pub most_mhz: u32,
}

/// The power supply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupplyState {
    /// Nothing watches it.
    #[default]
    Unknown,
    /// It is enough.
    Enough,
    /// Its voltage is too low.
    TooLow,
}

/// A disk that recordings go to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskSnapshot {
    /// The directory.
    pub directory: String,
    /// Bytes that may still be written.
    pub free_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}
