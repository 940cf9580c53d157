//! Pure. What the kernel says of the network, one thing at a time.

use std::fmt;
use std::net::IpAddr;

/// One thing the kernel says. Indices are the kernel's interface indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Link(LinkFact),
    LinkGone {
        index: u32,
    },
    Address {
        index: u32,
        address: IpAddr,
        prefix: u8,
    },
    AddressGone {
        index: u32,
        address: IpAddr,
    },
    Route {
        index: u32,
        route: Route,
        gateway: Option<IpAddr>,
        /// NLM_F_REPLACE: the one of the same key goes without a word, whichever interface it led through.
        placed: Placed,
    },
    RouteGone {
        index: u32,
        route: Route,
        /// Where it led: one of the same key to another gateway may be there still.
        gateway: Option<IpAddr>,
    },
    Rule(Rule),
    RuleGone(Rule),
    /// Asked for, not told: the driver's own word (ETHTOOL_GLINK).
    Carrier {
        index: u32,
        carrier: Carrier,
    },
    /// Looked up when the interface appeared.
    Hardware {
        index: u32,
        hardware: Hardware,
    },
    /// Looked up when the carrier came.
    Speed {
        index: u32,
        mbit: Option<u32>,
    },
}

/// Whether there is a signal on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Carrier {
    There,
    Lost,
}

/// Whether a route is another one or takes the place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Beside,
    Instead,
}

/// RTM_NEWLINK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LinkFact {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) state: LinkState,
    pub(super) mac: Option<Mac>,
    /// The one that the hardware was made with (IFLA_PERM_ADDRESS).
    pub(super) permanent: Option<Mac>,
    /// `veth`, `bridge`, …; `None` for hardware (IFLA_INFO_KIND).
    pub(super) kind: Option<String>,
    /// What somebody called it (IFLA_IFALIAS).
    pub(super) alias: Option<String>,
    /// Times the carrier came or went (IFLA_CARRIER_CHANGES).
    pub(super) carrier_changes: Option<u32>,
}

/// How far up an interface is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkState {
    /// Switched off; the kernel has removed its routes without a word.
    #[default]
    Off,
    /// Switched on, no carrier.
    NoCarrier,
    /// Carrier.
    Up,
}

/// What tells one route of an interface from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Route {
    pub(super) v6: bool,
    pub(super) table: u32,
    pub(super) priority: u32,
    /// `None` for a default route.
    pub(super) to: Option<(IpAddr, u8)>,
}

/// Which table is looked into for which packets.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// Lower ones are looked at first.
    pub priority: u32,
    /// For IPv6.
    pub v6: bool,
    /// Only for packets from there.
    pub from: Option<(IpAddr, u8)>,
    /// Only for packets of sockets bound to this interface.
    pub oif: Option<String>,
    /// Only for packets that came in here.
    pub iif: Option<String>,
    /// Only for packets marked so.
    pub mark: Option<u32>,
    /// The table.
    pub table: u32,
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// `None` for what is no Ethernet address, and for all zeros.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        <[u8; 6]>::try_from(bytes).ok().filter(|bytes| bytes.iter().any(|b| *b != 0)).map(Self)
    }

    /// Whether its maker vouches that there is no other one (bit 1 of the first octet, IEEE 802).
    pub(super) const fn is_universal(self) -> bool {
        self.0[0] & 0b10 == 0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an interface is made of, as sysfs and the driver tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hardware {
    /// The kernel module: `igc`, `cdc_mbim`.
    pub(super) driver: Option<String>,
    /// Where `device` points to below `/sys`: `/sys/devices/pci0000:00/…`. `None` without a device.
    pub(super) device: Option<String>,
    /// DEVTYPE of `uevent`: `wlan`, `wwan`, `bridge`, `vlan`.
    pub(super) devtype: Option<String>,
    /// USB vendor and product.
    pub(super) usb: Option<(u16, u16)>,
    pub(super) radio: Radio,
    /// The permanent address, where netlink does not tell it.
    pub(super) permanent: Option<Mac>,
}

/// Whether IEEE 802.11 is behind it (`phy80211` or `wireless` in sysfs).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Radio {
    #[default]
    Absent,
    Wifi,
}
