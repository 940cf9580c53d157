//! Pure. What it means that a network came back: facts in, returns out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// An interface that can carry traffic again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// Its kernel name, e.g. `eth0`.
    pub interface: String,
    /// What was seen, in words.
    pub why: &'static str,
}

/// One thing the kernel says. Indices are the kernel's interface indices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    Link { index: u32, name: String, state: LinkState },
    LinkGone { index: u32 },
    Address { index: u32, address: IpAddr },
    AddressGone { index: u32, address: IpAddr },
    DefaultRoute { index: u32, route: RouteId },
    DefaultRouteGone { index: u32, route: RouteId },
}

/// How far up an interface is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum LinkState {
    /// Switched off; the kernel has removed its routes without a word.
    #[default]
    Off,
    /// Switched on, no carrier.
    NoCarrier,
    /// Carrier.
    Up,
}

/// What tells one default route of an interface from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RouteId {
    pub(super) v6: bool,
    pub(super) table: u32,
    pub(super) priority: u32,
}

/// Addresses or routes kept per interface; beyond that, more of them make no difference.
const MAX_PER_INTERFACE: usize = 64;

/// The interfaces except loopback, as far as it takes to see one come back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Network {
    interfaces: BTreeMap<u32, Interface>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Interface {
    name: String,
    state: LinkState,
    addresses: BTreeSet<IpAddr>,
    default_routes: BTreeSet<RouteId>,
}

impl Interface {
    fn reach(&self) -> Reach {
        match (self.state, self.addresses.is_empty(), self.default_routes.is_empty()) {
            (LinkState::Off | LinkState::NoCarrier, _, _) | (LinkState::Up, true, _) => Reach::Nothing,
            (LinkState::Up, false, true) => Reach::Neighbours,
            (LinkState::Up, false, false) => Reach::Everything,
        }
    }
}

/// What can be reached through an interface, least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    Nothing,
    Neighbours,
    Everything,
}

impl Network {
    /// Takes in one fact; says whether it brought an interface back.
    pub(super) fn apply(&mut self, fact: Fact) -> Option<Return> {
        let index = match fact {
            Fact::Link { index, .. }
            | Fact::LinkGone { index }
            | Fact::Address { index, .. }
            | Fact::AddressGone { index, .. }
            | Fact::DefaultRoute { index, .. }
            | Fact::DefaultRouteGone { index, .. } => index,
        };
        let before = self.reach(index);
        self.take(fact);
        self.returned(index, before)
    }

    /// Replaces everything by what a dump says; says which interfaces that shows to be back.
    pub(super) fn resync(&mut self, facts: Vec<Fact>) -> Vec<Return> {
        let mut fresh = Self::default();
        for fact in facts {
            fresh.take(fact);
        }
        let old = std::mem::replace(self, fresh);
        self.interfaces.keys().filter_map(|index| self.returned(*index, old.reach(*index))).collect()
    }

    fn reach(&self, index: u32) -> Reach {
        self.interfaces.get(&index).map_or(Reach::Nothing, Interface::reach)
    }

    fn returned(&self, index: u32, before: Reach) -> Option<Return> {
        let interface = self.interfaces.get(&index)?;
        let after = interface.reach();
        if after <= before {
            return None;
        }
        let why = match (before, after) {
            (Reach::Nothing, Reach::Everything) => "it has carrier, an address and a default route again",
            (Reach::Nothing, _) => "it has carrier and an address again",
            _ => "it has a default route again",
        };
        Some(Return { interface: interface.name.clone(), why })
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Link { index, name, state } => {
                let interface = self.interfaces.entry(index).or_default();
                (interface.name, interface.state) = (name, state);
                if state == LinkState::Off {
                    interface.default_routes.clear();
                }
            }
            Fact::LinkGone { index } => {
                self.interfaces.remove(&index);
            }
            Fact::Address { index, address } if is_useful(address) => {
                if let Some(i) = self.interfaces.get_mut(&index).filter(|i| i.addresses.len() < MAX_PER_INTERFACE) {
                    i.addresses.insert(address);
                }
            }
            Fact::Address { .. } => {}
            Fact::AddressGone { index, address } => {
                if let Some(interface) = self.interfaces.get_mut(&index) {
                    interface.addresses.remove(&address);
                }
            }
            Fact::DefaultRoute { index, route } => {
                if let Some(i) = self.interfaces.get_mut(&index).filter(|i| i.default_routes.len() < MAX_PER_INTERFACE)
                {
                    i.default_routes.insert(route);
                }
            }
            Fact::DefaultRouteGone { index, route } => {
                if let Some(interface) = self.interfaces.get_mut(&index) {
                    interface.default_routes.remove(&route);
                }
            }
        }
    }
}

/// Link-local addresses are there before the network is.
fn is_useful(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_loopback() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_loopback() && !v6.is_unspecified(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const ROUTE: RouteId = RouteId { v6: false, table: 254, priority: 100 };

    fn link(state: LinkState) -> Fact {
        Fact::Link { index: 2, name: "eth0".into(), state }
    }

    fn address(text: &str) -> Fact {
        Fact::Address { index: 2, address: text.parse().unwrap() }
    }

    fn whys(network: &mut Network, facts: impl IntoIterator<Item = Fact>) -> Vec<&'static str> {
        facts.into_iter().filter_map(|fact| network.apply(fact)).map(|r| r.why).collect()
    }

    fn up() -> Network {
        let mut network = Network::default();
        network.resync(vec![link(LinkState::Up), address("192.0.2.1"), Fact::DefaultRoute { index: 2, route: ROUTE }]);
        network
    }

    #[test]
    fn carrier_that_comes_back_to_a_configured_interface_is_a_return() {
        let mut network = up();
        let seen = whys(&mut network, [link(LinkState::NoCarrier), link(LinkState::Up), link(LinkState::Up)]);
        assert_eq!(seen, ["it has carrier, an address and a default route again"], "and its repetition is none");
    }

    #[test]
    fn an_interface_that_is_set_up_from_nothing_returns_at_its_address_and_at_its_route() {
        let mut network = Network::default();
        let facts = [
            link(LinkState::Off),
            link(LinkState::NoCarrier),
            link(LinkState::Up),
            address("fe80::1"),
            address("169.254.1.1"),
            address("192.0.2.1"),
            address("192.0.2.2"),
            Fact::DefaultRoute { index: 2, route: ROUTE },
            Fact::DefaultRoute { index: 2, route: RouteId { v6: true, ..ROUTE } },
        ];
        assert_eq!(whys(&mut network, facts), ["it has carrier and an address again", "it has a default route again"]);
    }

    #[test]
    fn a_route_that_went_away_and_came_back_is_a_return() {
        let mut network = up();
        let (gone, back) =
            (Fact::DefaultRouteGone { index: 2, route: ROUTE }, Fact::DefaultRoute { index: 2, route: ROUTE });
        assert_eq!(whys(&mut network, [gone, back]), ["it has a default route again"]);
    }

    #[test]
    fn switching_off_removes_the_routes_as_the_kernel_does() {
        let mut network = up();
        let seen = whys(&mut network, [link(LinkState::Off), link(LinkState::Up)]);
        assert_eq!(seen, ["it has carrier and an address again"]);
    }

    #[test]
    fn loss_is_not_a_return() {
        let mut network = up();
        let gone = Fact::AddressGone { index: 2, address: "192.0.2.1".parse().unwrap() };
        assert_eq!(whys(&mut network, [gone, link(LinkState::NoCarrier), Fact::LinkGone { index: 2 }]), [""; 0]);
    }

    #[test]
    fn what_was_missed_is_seen_in_the_next_dump_and_what_was_known_is_not_told_again() {
        let mut network = up();
        let facts = || vec![link(LinkState::Up), address("192.0.2.1"), Fact::DefaultRoute { index: 2, route: ROUTE }];
        assert_eq!(network.resync(facts()), []);
        network.resync(vec![link(LinkState::NoCarrier)]);
        assert_eq!(network.resync(facts()).len(), 1);
        assert_eq!(network, up());
    }
}
