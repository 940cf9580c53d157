//! Pure. The network as it is known: facts in, changes out.
//!
//! The kernel repeats itself, may swallow a short loss of carrier, and loses messages when nobody reads in time. So nothing
//! is taken for news because it was said: what was known before is compared with what is known after, and a loss that
//! came and went between two looks shows in the kernel's own count of carrier changes.
//!
//! *Invariant:* whatever the order in which facts come, what is known after a [`Network::resync`] is what the dump says,
//! and its changes lead there from what was known before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;

use super::change::{Change, What, is_useful};
use super::class::{Classified, DISH, Evidence, classify};
use super::fact::{Carrier, Fact, Hardware, LinkFact, LinkState, Mac, Placed, Route, Rule};
use super::identity::{Features, Identity, identities};
use super::links::{DefaultRoute, Knowledge, Link, Links};
use crate::model::Media;

/// Addresses or routes kept per interface; beyond that, more of them make no difference.
const MAX_PER_INTERFACE: usize = 64;
/// Interfaces that are kept; a box has a handful.
const MAX_INTERFACES: usize = 256;
/// Rules that are kept.
const MAX_RULES: usize = 256;
/// Things that happened to an interface, and are remembered.
const HISTORY: usize = 8;

/// The interfaces except loopback, and the rules that choose between their routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    interfaces: BTreeMap<u32, Interface>,
    rules: BTreeSet<Rule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) state: LinkState,
    mac: Option<Mac>,
    permanent: Option<Mac>,
    kind: Option<String>,
    alias: Option<String>,
    /// As far as the kernel has told, and as was asked since.
    pub(super) carrier_changes: Option<u32>,
    /// With their prefix lengths.
    pub(super) addresses: BTreeMap<IpAddr, u8>,
    /// With their gateways.
    pub(super) routes: BTreeMap<Route, Option<IpAddr>>,
    hardware: Option<Hardware>,
    speed: Option<u32>,
    /// Since when it is as far up as it is.
    since: Media,
    history: VecDeque<(Media, String)>,
}

/// What can be reached through an interface, least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    Nothing,
    Neighbours,
    Everything,
}

impl Interface {
    pub(super) fn reach(&self) -> Reach {
        let has_address = self.addresses.keys().any(|address| is_useful(*address));
        match (self.state, has_address, self.has_default_route()) {
            (LinkState::Off | LinkState::NoCarrier, _, _) | (LinkState::Up, false, _) => Reach::Nothing,
            (LinkState::Up, true, false) => Reach::Neighbours,
            (LinkState::Up, true, true) => Reach::Everything,
        }
    }

    pub(super) fn has_default_route(&self) -> bool {
        self.routes.keys().any(|route| route.to.is_none())
    }

    fn gateways(&self) -> BTreeSet<Option<IpAddr>> {
        self.routes.iter().filter(|(route, _)| route.to.is_none()).map(|(_, gateway)| *gateway).collect()
    }

    pub(super) fn class(&self) -> Classified {
        let addresses: Vec<IpAddr> = self.addresses.keys().copied().collect();
        let gateways: Vec<IpAddr> = self.gateways().into_iter().flatten().collect();
        classify(&Evidence {
            kind: self.kind.as_deref(),
            hardware: self.hardware.as_ref(),
            addresses: &addresses,
            gateways: &gateways,
            dish_route: self.routes.keys().any(|route| route.to == Some((IpAddr::V4(DISH), 32))),
            mac: self.mac,
        })
    }

    /// The kernel's word on the link itself.
    fn link(&mut self, fact: LinkFact) {
        // What was asked of the driver since is newer than a message that counts fewer changes.
        let is_stale = fact.state != LinkState::Off
            && self.state != LinkState::Off
            && fact.carrier_changes.zip(self.carrier_changes).is_some_and(|(told, known)| told < known);
        if !is_stale {
            self.state = fact.state;
            self.carrier_changes = fact.carrier_changes.or(self.carrier_changes);
        }
        (self.name, self.mac, self.alias) = (fact.name, fact.mac, fact.alias);
        self.permanent = fact.permanent.or(self.permanent);
        self.kind = fact.kind.or_else(|| self.kind.take());
        if self.state == LinkState::Off {
            self.routes.clear();
        }
    }

    /// The driver's word on the carrier. Each change counts as one, as the kernel's count will say.
    fn carrier(&mut self, carrier: Carrier) {
        let next = match (self.state, carrier) {
            (LinkState::Up, Carrier::Lost) => LinkState::NoCarrier,
            (LinkState::NoCarrier, Carrier::There) => LinkState::Up,
            // What is switched off says nothing about its carrier.
            (LinkState::Off | LinkState::Up | LinkState::NoCarrier, _) => return,
        };
        self.state = next;
        self.carrier_changes = self.carrier_changes.map(|count| count.wrapping_add(1));
    }
}

impl Network {
    /// Takes in one fact; says what it changed.
    pub(super) fn apply(&mut self, fact: Fact, now: Media) -> Vec<Change> {
        let replaced = self.replaced(&fact);
        let index = match &fact {
            Fact::Link(link) => link.index,
            Fact::LinkGone { index }
            | Fact::Address { index, .. }
            | Fact::AddressGone { index, .. }
            | Fact::Route { index, .. }
            | Fact::RouteGone { index, .. }
            | Fact::Carrier { index, .. }
            | Fact::Hardware { index, .. }
            | Fact::Speed { index, .. } => *index,
            Fact::Rule(_) | Fact::RuleGone(_) => {
                self.take(fact);
                return Vec::new();
            }
        };
        let mut changes: Vec<Change> = replaced
            .into_iter()
            .flat_map(|(index, route, gateway)| self.step(index, Fact::RouteGone { index, route, gateway }, now))
            .collect();
        changes.extend(self.step(index, fact, now));
        changes
    }

    fn step(&mut self, index: u32, fact: Fact, now: Media) -> Vec<Change> {
        let before = self.interfaces.get(&index).cloned();
        self.take(fact);
        self.compare(index, before.as_ref(), now)
    }

    /// The routes of other interfaces in whose place this fact puts one.
    fn replaced(&self, fact: &Fact) -> Vec<(u32, Route, Option<IpAddr>)> {
        let Fact::Route { index, route, placed: Placed::Instead, .. } = fact else { return Vec::new() };
        let others = self.interfaces.iter().filter(|(other, _)| *other != index);
        others.filter_map(|(other, interface)| Some((*other, *route, *interface.routes.get(route)?))).collect()
    }

    /// Replaces everything by what a dump says; says what that changed.
    pub(super) fn resync(&mut self, facts: Vec<Fact>, now: Media) -> Vec<Change> {
        let mut fresh = Self::default();
        for fact in facts {
            fresh.take(fact);
        }
        let old = std::mem::replace(self, fresh);
        for (index, interface) in &mut self.interfaces {
            // What no dump says.
            let Some(before) = old.interfaces.get(index).filter(|before| before.is_same_device(interface)) else {
                continue;
            };
            interface.hardware = interface.hardware.take().or_else(|| before.hardware.clone());
            interface.speed = interface.speed.or(before.speed);
            (interface.since, interface.history) = (before.since, before.history.clone());
        }
        let indices: BTreeSet<u32> = old.interfaces.keys().chain(self.interfaces.keys()).copied().collect();
        indices.into_iter().flat_map(|index| self.compare(index, old.interfaces.get(&index), now)).collect()
    }

    /// What happened to an interface that was `before`; remembers it.
    fn compare(&mut self, index: u32, before: Option<&Interface>, now: Media) -> Vec<Change> {
        let whats = match (before, self.interfaces.get(&index)) {
            (None, None) => Vec::new(),
            (Some(before), Some(after)) if before.is_same_device(after) => What::between(before, after),
            // Gone and come again under one index, unseen.
            (Some(_), Some(after)) => [What::Gone, What::Appeared].into_iter().chain(What::first(after)).collect(),
            (Some(_), None) => vec![What::Gone],
            (None, Some(after)) => std::iter::once(What::Appeared).chain(What::first(after)).collect(),
        };
        if whats.is_empty() {
            return Vec::new();
        }
        let class = self.interfaces.get(&index).or(before).map(|interface| interface.class().class);
        let name = self.interfaces.get(&index).or(before).map(|interface| interface.name.clone()).unwrap_or_default();
        if let Some(after) = self.interfaces.get_mut(&index) {
            if before.is_none_or(|before| before.reach() != after.reach() || before.state != after.state) {
                after.since = now;
            }
            for what in &whats {
                if after.history.len() == HISTORY {
                    after.history.pop_front();
                }
                after.history.push_back((now, what.in_words()));
            }
        }
        let change = |what| Change { at: now, index, name: name.clone(), class, what };
        whats.into_iter().map(change).collect()
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Link(link) => {
                if self.interfaces.len() < MAX_INTERFACES || self.interfaces.contains_key(&link.index) {
                    self.interfaces.entry(link.index).or_default().link(link);
                }
            }
            Fact::LinkGone { index } => {
                self.interfaces.remove(&index);
            }
            Fact::Address { index, address, prefix } => {
                self.with(index, |i| keep(&mut i.addresses, address, prefix));
            }
            Fact::AddressGone { index, address } => self.with(index, |i| {
                i.addresses.remove(&address);
            }),
            Fact::Route { index, route, gateway, .. } => self.with(index, |i| keep(&mut i.routes, route, gateway)),
            Fact::RouteGone { index, route, gateway } => self.with(index, |i| {
                // A DHCP client lays the new one before it takes the old one away.
                if i.routes.get(&route) == Some(&gateway) {
                    i.routes.remove(&route);
                }
            }),
            Fact::Carrier { index, carrier } => self.with(index, |i| i.carrier(carrier)),
            Fact::Hardware { index, hardware } => self.with(index, |i| {
                i.permanent = i.permanent.or(hardware.permanent);
                // What was found once is not forgotten because it is being renamed again.
                let is_known = i.hardware.as_ref().is_some_and(|known| known.device.is_some());
                if hardware.device.is_some() || !is_known {
                    i.hardware = Some(hardware);
                }
            }),
            Fact::Speed { index, mbit } => self.with(index, |i| i.speed = mbit),
            Fact::Rule(rule) => {
                if self.rules.len() < MAX_RULES {
                    self.rules.insert(rule);
                }
            }
            Fact::RuleGone(rule) => {
                self.rules.remove(&rule);
            }
        }
    }

    fn with(&mut self, index: u32, change: impl FnOnce(&mut Interface)) {
        if let Some(interface) = self.interfaces.get_mut(&index) {
            change(interface);
        }
    }

    /// Interfaces whose carrier is worth asking for: those that are switched on.
    pub(super) fn switched_on(&self) -> impl Iterator<Item = (u32, &str)> {
        self.interfaces.iter().filter(|(_, i)| i.state != LinkState::Off).map(|(index, i)| (*index, i.name.as_str()))
    }

    /// All of them, by what sysfs has them under.
    pub(super) fn devices(&self) -> BTreeMap<u32, (String, Option<Mac>)> {
        self.interfaces.iter().map(|(index, interface)| (*index, (interface.name.clone(), interface.mac))).collect()
    }

    /// An interface's name and hardware address.
    pub(super) fn device(&self, index: u32) -> Option<(&str, Option<Mac>)> {
        self.interfaces.get(&index).map(|interface| (interface.name.as_str(), interface.mac))
    }

    /// All that is known, for everybody else.
    pub(super) fn links(&self) -> Links {
        let features: Vec<Features<'_>> = self.interfaces.values().map(Interface::features).collect();
        let links = self.interfaces.iter().zip(identities(&features));
        Links {
            knowledge: Knowledge::Kernel,
            links: links.map(|((index, interface), identity)| interface.view(*index, identity)).collect(),
            rules: self.rules.iter().cloned().collect(),
            overruns: 0,
        }
    }
}

impl Interface {
    /// Whether it can be the same device: a changed name or address is possible, another kind or permanent address is not.
    fn is_same_device(&self, other: &Self) -> bool {
        let differ = self.permanent.zip(other.permanent).is_some_and(|(one, other)| one != other);
        // A device that is made anew counts from the beginning.
        let counts_back = self.carrier_changes.zip(other.carrier_changes).is_some_and(|(was, is)| is < was);
        !differ && self.kind == other.kind && !(counts_back && self.mac != other.mac)
    }

    fn features(&self) -> Features<'_> {
        Features {
            name: &self.name,
            alias: self.alias.as_deref(),
            permanent: self.permanent,
            device: self.hardware.as_ref().and_then(|hardware| hardware.device.as_deref()),
        }
    }

    fn view(&self, index: u32, identity: Identity) -> Link {
        Link {
            index,
            name: self.name.clone(),
            identity,
            class: self.class(),
            state: self.state,
            addresses: self.addresses.iter().map(|(address, prefix)| (*address, *prefix)).collect(),
            gateways: self.gateways().into_iter().collect(),
            routes: self
                .routes
                .iter()
                .filter(|(route, _)| route.to.is_none())
                .map(|(route, gateway)| DefaultRoute {
                    v6: route.v6,
                    table: route.table,
                    metric: route.priority,
                    gateway: *gateway,
                })
                .collect(),
            speed_mbit: self.speed.filter(|_| self.state == LinkState::Up),
            driver: self.hardware.as_ref().and_then(|hardware| hardware.driver.clone()),
            mac: self.mac,
            carrier_changes: self.carrier_changes,
            since: self.since,
            history: self.history.iter().cloned().collect(),
        }
    }
}

/// Within bounds; a new value of what is there already always has room.
fn keep<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    if map.len() < MAX_PER_INTERFACE || map.contains_key(&key) {
        map.insert(key, value);
    }
}

#[cfg(test)]
mod tests;
