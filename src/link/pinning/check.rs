//! Pure. What the kernel answered, made into a verdict and what to do.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use crate::events::{PinSnapshot, PinTrouble};
use crate::link::change::is_useful;
use crate::link::fact::{LinkState, Rule};
use crate::link::links::{Link, MAIN_TABLE};

/// What is known of an interface that something is bound to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grounds {
    /// The kernel's name for it.
    pub name: String,
    /// The interface; `None` if there is none of this name.
    pub link: Option<Link>,
    /// Which table is looked into for which packets.
    pub rules: Vec<Rule>,
    /// By IPv4.
    pub v4: Of,
    /// By IPv6.
    pub v6: Of,
    /// Whether this process may bind sockets to it.
    pub sockets: Sockets,
    /// `net.ipv4.conf.*.rp_filter`; `None` if it cannot be read.
    pub filter: Option<ReverseFilter>,
    /// `net.ipv6.conf.NAME.disable_ipv6`.
    pub v6_is_off: bool,
}

/// What the kernel answers about one kind of address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Of {
    /// Which way a packet to the Internet would take that has to leave by the interface.
    pub out: Answer,
    /// Which of our addresses a socket takes that is bound to the interface and connected to the Internet; `None` if none.
    pub source: Option<IpAddr>,
    /// Whether the answer would be let in.
    pub back: Back,
}

/// Which way the kernel would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nobody asked.
    #[default]
    Unasked,
    /// This one.
    Leaves {
        /// The number of the interface that it leaves by.
        by: u32,
        /// `None` where none is needed.
        gateway: Option<IpAddr>,
        /// The table that says so.
        table: u32,
    },
    /// None: the route that is missing is looked for on the cable (IPv4), or the packet is refused (IPv6).
    NoWay,
}

/// Whether an answer from the Internet would be let in at the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Back {
    /// Nobody asked, or nobody knows.
    #[default]
    Unknown,
    /// It would.
    LetIn,
    /// It would be thrown away without a word.
    ThrownAway,
}

/// Reverse path filtering of IPv4 (`Documentation/networking/ip-sysctl.rst`): 0 off, 1 strict, 2 loose. The larger of the
/// two counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReverseFilter {
    /// `net.ipv4.conf.all.rp_filter`.
    pub all: u8,
    /// The interface's own.
    pub own: u8,
}

impl ReverseFilter {
    fn is_strict(self) -> bool {
        self.all.max(self.own) == 1
    }
}

/// Whether sockets can be bound to the interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sockets {
    /// They can.
    #[default]
    Allowed,
    /// This process may not (EPERM): Linux before 5.7 wants CAP_NET_RAW for it.
    Forbidden,
}

/// How packets of one kind leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By the interface.
    Leaves {
        /// From which of its addresses.
        source: IpAddr,
        /// Where to; `None` where no gateway is needed.
        gateway: Option<IpAddr>,
    },
    /// The interface has no address of this kind.
    NoAddress,
    /// Somebody has switched this kind off.
    SwitchedOff,
    /// Not by it, for one of the findings.
    Not,
}

/// What was found about one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinCheck {
    /// The kernel's name for it.
    pub interface: String,
    /// IPv4.
    pub v4: Way,
    /// IPv6.
    pub v6: Way,
    /// What is in the way, or may be.
    pub findings: Vec<Finding>,
}

/// Something that is in the way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// There is no such interface.
    NotThere,
    /// It is switched off.
    Off,
    /// Nothing is plugged in.
    NoCarrier,
    /// Nobody has given it an address.
    NoAddress,
    /// It has no IPv4 address, and IPv6 is switched off.
    V6Off,
    /// This process may not bind sockets to it.
    MayNotBind,
    /// No default route leads through it.
    NoDefaultRoute {
        /// For IPv6.
        v6: bool,
    },
    /// One does, in a table that nobody looks into.
    NoRule {
        /// For IPv6.
        v6: bool,
        /// That table.
        table: u32,
    },
    /// The kernel takes another interface all the same.
    Elsewhere {
        /// For IPv6.
        v6: bool,
    },
    /// Packets carry an address that is not the interface's, so that answers go elsewhere.
    ForeignSource {
        /// That address.
        source: IpAddr,
    },
    /// Answers are thrown away.
    StrictFilter(ReverseFilter),
}

/// Finds out what keeps packets from leaving by the interface.
pub fn check(grounds: &Grounds) -> PinCheck {
    let mut findings = Vec::new();
    let Some(link) = &grounds.link else {
        return PinCheck::blocked(grounds, Finding::NotThere);
    };
    match link.state {
        LinkState::Off => return PinCheck::blocked(grounds, Finding::Off),
        LinkState::NoCarrier => return PinCheck::blocked(grounds, Finding::NoCarrier),
        LinkState::Up => {}
    }
    if grounds.sockets == Sockets::Forbidden {
        return PinCheck::blocked(grounds, Finding::MayNotBind);
    }
    let v4 = way(grounds, link, false, &mut findings);
    let v6 = if grounds.v6_is_off { Way::SwitchedOff } else { way(grounds, link, true, &mut findings) };
    match (v4, v6) {
        (Way::NoAddress, Way::NoAddress) => findings.push(Finding::NoAddress),
        (Way::NoAddress, Way::SwitchedOff) => findings.extend([Finding::NoAddress, Finding::V6Off]),
        _ => {}
    }
    PinCheck { interface: grounds.name.clone(), v4, v6, findings }
}

fn way(grounds: &Grounds, link: &Link, v6: bool, findings: &mut Vec<Finding>) -> Way {
    let has_address = link.addresses.iter().any(|(address, _)| address.is_ipv6() == v6 && is_useful(*address));
    if !has_address {
        return Way::NoAddress;
    }
    let of = if v6 { grounds.v6 } else { grounds.v4 };
    let gateway = match of.out {
        Answer::Leaves { by, gateway, .. } if by == link.index => gateway,
        Answer::Leaves { .. } => {
            findings.push(Finding::Elsewhere { v6 });
            return Way::Not;
        }
        Answer::NoWay | Answer::Unasked => {
            findings.push(without_route(grounds, link, v6));
            return Way::Not;
        }
    };
    let Some(source) = of.source else {
        findings.push(Finding::NoDefaultRoute { v6 });
        return Way::Not;
    };
    if !link.has(source) {
        findings.push(Finding::ForeignSource { source });
        return Way::Not;
    }
    // What the kernel says about the way back may have other reasons where the filter is not strict.
    if let (Back::ThrownAway, Some(filter)) = (of.back, grounds.filter.filter(|filter| filter.is_strict())) {
        findings.push(Finding::StrictFilter(filter));
        return Way::Not;
    }
    Way::Leaves { source, gateway }
}

/// Why the kernel knows no way out.
fn without_route(grounds: &Grounds, link: &Link, v6: bool) -> Finding {
    let reached: BTreeSet<u32> = grounds
        .rules
        .iter()
        .filter(|rule| rule.v6 == v6 && rule.oif.as_ref().is_none_or(|oif| *oif == link.name))
        .filter(|rule| rule.from.is_none() && rule.iif.is_none() && rule.mark.is_none())
        .map(|rule| rule.table)
        .collect();
    let mut aside = link.routes.iter().filter(|route| route.v6 == v6 && route.table != MAIN_TABLE);
    match aside.find(|route| !reached.contains(&route.table)) {
        Some(route) => Finding::NoRule { v6, table: route.table },
        None => Finding::NoDefaultRoute { v6 },
    }
}

impl PinCheck {
    fn blocked(grounds: &Grounds, finding: Finding) -> Self {
        Self { interface: grounds.name.clone(), v4: Way::Not, v6: Way::Not, findings: vec![finding] }
    }

    /// Whether what is bound to the interface leaves by it, by either kind of address.
    pub fn leaves(&self) -> bool {
        [self.v4, self.v6].iter().any(|way| matches!(way, Way::Leaves { .. }))
    }

    /// How it leaves, in words; empty if it does not.
    pub fn words(&self) -> String {
        let of = |kind: &str, way: Way| match way {
            Way::Leaves { source, gateway: Some(gateway) } => Some(format!("{kind} from {source} via {gateway}")),
            Way::Leaves { source, gateway: None } => Some(format!("{kind} from {source}, without a gateway")),
            Way::SwitchedOff => Some(format!("{kind} is switched off")),
            Way::NoAddress | Way::Not => None,
        };
        [of("IPv4", self.v4), of("IPv6", self.v6)].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }

    /// For people.
    pub fn shown(&self) -> PinSnapshot {
        let trouble = |finding: &Finding| PinTrouble {
            code: finding.code().to_owned(),
            what: finding.what(&self.interface),
            remedy: finding.remedy(&self.interface),
        };
        PinSnapshot {
            leaves: self.leaves(),
            words: self.words(),
            troubles: self.findings.iter().map(trouble).collect(),
        }
    }
}

impl Finding {
    /// A word, stable across releases.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotThere => "not-there",
            Self::Off => "off",
            Self::NoCarrier => "no-carrier",
            Self::NoAddress => "no-address",
            Self::V6Off => "ipv6-off",
            Self::MayNotBind => "may-not-bind",
            Self::NoDefaultRoute { .. } => "no-default-route",
            Self::NoRule { .. } => "no-rule",
            Self::Elsewhere { .. } => "elsewhere",
            Self::ForeignSource { .. } => "foreign-source",
            Self::StrictFilter(_) => "strict-filter",
        }
    }

    /// Whether it comes and goes with the interface, which is told as such.
    pub const fn is_weather(&self) -> bool {
        matches!(self, Self::NotThere | Self::Off | Self::NoCarrier | Self::NoAddress | Self::V6Off)
    }

    /// In words, of this interface.
    pub fn what(&self, name: &str) -> String {
        match self {
            Self::NotThere => format!("there is no interface {name}"),
            Self::Off => format!("{name} is switched off"),
            Self::NoCarrier => format!("{name} has no carrier"),
            Self::NoAddress => format!("nobody has given {name} an address"),
            Self::V6Off => format!("IPv6 is switched off on {name} (disable_ipv6)"),
            Self::MayNotBind => format!("this process may not bind sockets to {name}"),
            Self::NoDefaultRoute { v6 } => {
                let what = Kind(*v6);
                format!(
                    "no {what} default route leads through {name}: what is bound to it reaches its own network alone"
                )
            }
            Self::NoRule { v6, table } => {
                let what = Kind(*v6);
                format!(
                    "its {what} default route is in table {table}, and no rule leads there for what is bound to {name}"
                )
            }
            Self::Elsewhere { v6 } => {
                format!("the kernel sends {} that is bound to {name} out of another interface", Kind(*v6))
            }
            Self::ForeignSource { source } => {
                format!("packets leave {name} with the address {source}, which is not its own: answers go elsewhere")
            }
            Self::StrictFilter(ReverseFilter { all, own }) => format!(
                "answers that come in at {name} are thrown away: reverse path filtering is strict (rp_filter: all {all}, \
                 {name} {own}), and to the kernel the way back is another interface"
            ),
        }
    }

    /// What to do: a command, or a line of a configuration.
    pub fn remedy(&self, name: &str) -> String {
        match self {
            Self::NotThere => "plug it in, or write the name that `holdfast links` shows".to_owned(),
            Self::Off => format!("ip link set {name} up"),
            Self::NoCarrier => "plug in its cable, or switch on what is at the other end".to_owned(),
            Self::NoAddress => {
                "its router does not answer DHCP, or is not asked: networkctl status, or your DHCP client".to_owned()
            }
            Self::V6Off => format!("sysctl -w {}=0", key("ipv6", name, "disable_ipv6")),
            Self::MayNotBind => {
                "Linux before 5.7 wants a capability for it: AmbientCapabilities=CAP_NET_RAW in the service's unit"
                    .to_owned()
            }
            Self::NoDefaultRoute { v6 } => format!(
                "{} route add default via ROUTER dev {name} metric 1000, with its router's address in the place of ROUTER; with \
                 systemd-networkd `holdfast networkd` writes what makes it last",
                Ip(*v6)
            ),
            Self::NoRule { v6, table } => format!(
                "{} rule add oif {name} lookup {table} priority 1000; for good with `tables = \"apply\"` below [network], or, with \
                 systemd-networkd, what `holdfast networkd` writes",
                Ip(*v6)
            ),
            Self::Elsewhere { v6 } => {
                format!("look for a rule that is before all others and not of Holdfast's making: {} rule", Ip(*v6))
            }
            Self::ForeignSource { source } => {
                format!("remove the src from its route: {} route show table all dev {name}", Ip(source.is_ipv6()))
            }
            Self::StrictFilter(_) => {
                let key = key("ipv4", name, "rp_filter");
                format!("sysctl -w {key}=2; for good the line `{key} = 2` in /etc/sysctl.d/90-holdfast.conf")
            }
        }
    }
}

/// A setting of an interface, as sysctl(8) takes it: a dot is a slash to it, unless there are slashes.
fn key(kind: &str, name: &str, setting: &str) -> String {
    let dot = if name.contains('.') { "/" } else { "." };
    ["net", kind, "conf", name, setting].join(dot)
}

/// A kind of address, in words.
struct Kind(bool);

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "IPv6" } else { "IPv4" })
    }
}

/// ip(8) for a kind of address.
struct Ip(bool);

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0 { "ip -6" } else { "ip" })
    }
}

#[cfg(test)]
mod tests;
