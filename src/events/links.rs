//! What people see of a network interface: what it is, what it can do and what it did.

use serde::{Deserialize, Serialize};

/// What kind of uplink an interface is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkClass {
    /// A cable.
    Ethernet,
    /// IEEE 802.11.
    WiFi,
    /// A modem: LTE, 5G.
    Cellular,
    /// A Starlink dish behind a cable.
    Starlink,
    /// No hardware of its own: bridges, tunnels, containers.
    Virtual,
    /// Nothing tells.
    Unknown,
}

/// How sure a class is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The kernel says so.
    Certain,
    /// There are signs of it.
    Likely,
}

/// How far an interface is from carrying a programme.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkCondition {
    /// Switched off.
    Off,
    /// Switched on; nothing is plugged in, or the other side is off.
    NoCarrier,
    /// Carrier, but nobody has given it an address.
    NoAddress,
    /// Carrier and address, but no way beyond its own network.
    NoRoute,
    /// Carrier, address and a default route.
    Ready,
}

/// Something that happened to an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkMoment {
    /// Milliseconds ago.
    pub ago_ms: u64,
    /// In words.
    pub what: String,
}

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSnapshot {
    /// What it is called whatever the kernel names it today and wherever it is plugged in.
    pub id: String,
    /// What that is taken from, in words.
    pub id_reason: String,
    /// The kernel's name, e.g. `eth0`.
    pub name: String,
    /// What it is.
    pub class: LinkClass,
    /// How sure that is.
    pub certainty: Certainty,
    /// Why it is taken for that.
    pub class_reason: String,
    /// How it is.
    pub condition: LinkCondition,
    /// For how long it has been that, ms.
    pub for_ms: u64,
    /// Its addresses with their prefix lengths.
    pub addresses: Vec<String>,
    /// Where its default routes lead; `direct` for one without a gateway.
    pub gateways: Vec<String>,
    /// Mbit/s, where the hardware says.
    pub speed_mbit: Option<u32>,
    /// The kernel module.
    pub driver: Option<String>,
    /// Hardware address.
    pub mac: Option<String>,
    /// Times the carrier came or went since the kernel made the interface.
    pub carrier_changes: Option<u32>,
    /// Outputs that go over it, in words.
    pub used_by: Vec<String>,
    /// How it carries; `None` while nothing is bound to it, since nobody looks then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<JudgedSnapshot>,
    /// Whether what is bound to it leaves by it; `None` while nothing is, or nobody has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinSnapshot>,
    /// What it has carried, out of what it may; `None` where nobody has said that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetSnapshot>,
    /// Why its next seconds will be bad, as telemetry hints; `None` while nothing of the kind is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_trouble: Option<String>,
    /// The last things that happened to it, newest first.
    pub history: Vec<LinkMoment>,
}

/// Whether what is bound to an interface leaves by it, as the kernel says when it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinSnapshot {
    /// Whether it does, by IPv4 or IPv6.
    pub leaves: bool,
    /// By which kind of address, from which of its own and to which gateway, in words.
    pub words: String,
    /// What is in the way, or may be.
    pub troubles: Vec<PinTrouble>,
}

/// Something that keeps packets from leaving by the interface that they are bound to, or answers from coming in there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinTrouble {
    /// A word, stable across releases.
    pub code: String,
    /// In words.
    pub what: String,
    /// What to do: a command, or a line of a configuration.
    pub remedy: String,
}

/// Whether a link is trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is, and nothing is wrong.
    Up,
    /// It is so far; standbys are being made ready.
    Suspect,
    /// It carries nothing.
    Dead,
    /// It is new, or was dead, and has to prove itself.
    Probation,
}

/// How a link carries, as its judge sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JudgedSnapshot {
    /// In a word.
    pub verdict: Verdict,
    /// With the evidence, in words.
    pub words: String,
    /// 0 (bad) to 100.
    pub points: u8,
    /// Smoothed round-trip time of the probes, ms; `None` without a working probe.
    pub rtt_ms: Option<u64>,
    /// Probes lost in the last ten seconds, per cent; `None` if there were too few.
    pub loss_percent: Option<u32>,
}

/// Whether a link may carry more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BudgetState {
    /// It may.
    Free,
    /// It may, but the end is in sight.
    Warned,
    /// Only if nothing else works.
    Spent,
    /// It may not.
    Barred,
}

/// What a link has carried, out of what it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BudgetSnapshot {
    /// In a word.
    pub state: BudgetState,
    /// With all figures and the money, in words.
    pub words: String,
    /// Bytes that it has carried, both ways.
    pub used: u64,
    /// Bytes that it may carry; `None` for as many as it can.
    pub cap: Option<u64>,
    /// Bytes that it will have carried at the end of the show; `None` if that is not known.
    pub forecast: Option<u64>,
    /// The day since when it is counted; `None` for as long as it was.
    pub since: Option<String>,
}
