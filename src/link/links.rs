//! Pure. All interfaces at one moment, as everybody but the monitor sees them.

use std::net::IpAddr;
use std::time::Duration;

use super::change::is_useful;
use super::class::Classified;
use super::fact::{LinkState, Mac, Rule};
use super::identity::Identity;
use crate::events::{LinkCondition, LinkMoment, LinkSnapshot};
use crate::model::Media;

/// Where it is from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Knowledge {
    /// Nobody has said anything yet, or nobody says anything any more: an interface that is not listed may well be there.
    #[default]
    Nothing,
    /// The kernel has listed all there is.
    Kernel,
}

/// All interfaces, without loopback.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Whether what is not listed is not there.
    pub knowledge: Knowledge,
    /// In the order in which the kernel made them.
    pub links: Vec<Link>,
    /// Which table is looked into for which packets, first one first.
    pub rules: Vec<Rule>,
    /// Times that the kernel told more than was taken in, and everything was looked at again.
    pub overruns: u64,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The kernel's number of it.
    pub index: u32,
    /// The kernel's name for it.
    pub name: String,
    /// What it is called for good.
    pub identity: Identity,
    /// What it is.
    pub class: Classified,
    /// How far up it is.
    pub state: LinkState,
    /// Its addresses and their prefix lengths, link-local ones too.
    pub addresses: Vec<(IpAddr, u8)>,
    /// Where its default routes lead; `None` for one that needs no gateway.
    pub gateways: Vec<Option<IpAddr>>,
    /// Its default routes.
    pub routes: Vec<DefaultRoute>,
    /// Mbit/s, where the hardware says.
    pub speed_mbit: Option<u32>,
    /// The kernel module.
    pub driver: Option<String>,
    /// Its hardware address.
    pub mac: Option<Mac>,
    /// Times that the carrier came or went.
    pub carrier_changes: Option<u32>,
    /// Since when it can carry as much as it can.
    pub since: Media,
    /// What happened to it lately, oldest first.
    pub history: Vec<(Media, String)>,
}

/// A default route of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DefaultRoute {
    /// For IPv6.
    pub v6: bool,
    /// The table that it is in.
    pub table: u32,
    /// Of several in one table the least is taken.
    pub metric: u32,
    /// Where it leads; `None` where no gateway is needed.
    pub gateway: Option<IpAddr>,
}

/// RT_TABLE_MAIN.
pub(super) const MAIN_TABLE: u32 = 254;

impl Links {
    /// The interface of this name.
    pub fn named(&self, name: &str) -> Option<&Link> {
        self.links.iter().find(|link| link.name == name)
    }

    /// The interface that has this address.
    pub fn with_address(&self, address: IpAddr) -> Option<&Link> {
        self.links.iter().find(|link| link.has(address))
    }

    /// The interface that sockets leave by which are bound to none: the one with the least metric in the main table.
    pub fn preferred(&self) -> Option<&Link> {
        let metric = |link: &&Link| {
            let main = link.routes.iter().filter(|route| route.table == MAIN_TABLE);
            main.map(|route| route.metric).min()
        };
        let routed = self.links.iter().filter(|link| link.state == LinkState::Up && metric(link).is_some());
        routed.min_by_key(metric)
    }
}

impl Link {
    /// Whether it has this address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.addresses.iter().any(|(own, _)| *own == address)
    }

    /// The address from which it reaches `peer`: its first useful one of that family.
    pub fn source_for(&self, peer: IpAddr) -> Option<IpAddr> {
        let own = self.addresses.iter().map(|(own, _)| *own);
        own.filter(|own| own.is_ipv4() == peer.is_ipv4()).find(|own| is_useful(*own))
    }

    /// How far it is from carrying a programme.
    pub fn condition(&self) -> LinkCondition {
        let has_address = self.addresses.iter().any(|(address, _)| is_useful(*address));
        match (self.state, has_address, self.gateways.is_empty()) {
            (LinkState::Off, _, _) => LinkCondition::Off,
            (LinkState::NoCarrier, _, _) => LinkCondition::NoCarrier,
            (LinkState::Up, false, _) => LinkCondition::NoAddress,
            (LinkState::Up, true, true) => LinkCondition::NoRoute,
            (LinkState::Up, true, false) => LinkCondition::Ready,
        }
    }

    /// For people, at `now`.
    pub fn shown(&self, used_by: Vec<String>, now: Media) -> LinkSnapshot {
        let ago = |at: Media| u64::try_from((now - at).to_duration().as_millis()).unwrap_or(u64::MAX);
        LinkSnapshot {
            id: self.identity.id.clone(),
            id_reason: self.identity.reason.to_owned(),
            name: self.name.clone(),
            class: self.class.class,
            certainty: self.class.certainty,
            class_reason: self.class.reason.clone(),
            condition: self.condition(),
            for_ms: ago(self.since),
            addresses: self.addresses.iter().map(|(address, prefix)| format!("{address}/{prefix}")).collect(),
            gateways: self
                .gateways
                .iter()
                .map(|gateway| gateway.map_or_else(|| "direct".to_owned(), |gateway| gateway.to_string()))
                .collect(),
            speed_mbit: self.speed_mbit,
            driver: self.driver.clone(),
            mac: self.mac.map(|mac| mac.to_string()),
            carrier_changes: self.carrier_changes,
            used_by,
            judged: None,
            pin: None,
            budget: None,
            expected_trouble: None,
            history: self
                .history
                .iter()
                .rev()
                .map(|(at, what)| LinkMoment { ago_ms: ago(*at), what: what.clone() })
                .collect(),
        }
    }
}

/// How often the kernel is asked for the carrier. It delays the news of a carrier that comes and goes by up to a second,
/// and swallows some (linkwatch).
pub const CARRIER_POLL: Duration = Duration::from_millis(50);

#[cfg(test)]
impl Link {
    /// A cable of this name, of which little is known.
    pub(crate) fn example(name: &str, state: LinkState) -> Self {
        use crate::events::{Certainty, LinkClass};

        Self {
            index: 1,
            name: name.into(),
            identity: Identity { id: name.into(), reason: "its name" },
            class: Classified { class: LinkClass::Ethernet, certainty: Certainty::Certain, reason: String::new() },
            state,
            addresses: Vec::new(),
            gateways: Vec::new(),
            routes: Vec::new(),
            speed_mbit: None,
            driver: None,
            mac: None,
            carrier_changes: Some(1),
            since: Media::ZERO,
            history: Vec::new(),
        }
    }
}
