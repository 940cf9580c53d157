//! Pure. Which routes and rules are wanted, and how to get there from what the kernel has.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::link::change::is_useful;
use crate::link::links::MAIN_TABLE;

/// Marks routes and rules as ours (rtm_protocol, FRA_PROTOCOL). Nobody in iproute2's list has it.
pub const PROTOCOL: u8 = 72;
/// The first of our tables; an interface's is as much further on as the kernel's number of it.
pub const FIRST_TABLE: u32 = 100_000;
/// Tables, and so numbers of interfaces, that are ours to use.
const TABLES: u32 = 100_000;
/// Priority of the rules for what is bound to an interface: before the main table (32766) and those of most tunnels.
pub const BY_INTERFACE: u32 = 1000;
/// Priority of the rules that send what has an address of an interface to networks that are known.
pub const NEAR_FIRST: u32 = 1001;
/// Priority of the rules that send the rest of it over that interface.
pub const BY_ADDRESS: u32 = 1002;
/// Routes of one interface and kind that are copied; with more of them it is no uplink but a router, and only the networks
/// on it are.
const MOST_ROUTES: usize = 64;

/// A route that leads through one interface.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableRoute {
    pub(super) table: u32,
    /// 0 bits for a default route.
    pub(super) to: (IpAddr, u8),
    pub(super) metric: u32,
    /// The kernel's number of the interface.
    pub(super) by: u32,
    pub(super) gateway: Option<IpAddr>,
    /// The address to leave from; `None` lets the kernel choose.
    pub(super) source: Option<IpAddr>,
}

impl TableRoute {
    fn is_default(&self) -> bool {
        self.to.1 == 0
    }

    /// Whether the address is among those that it leads to.
    fn reaches(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            // The first 32 bits of 128.
            IpAddr::V4(v4) => u128::from(u32::from(v4)) << 96,
            IpAddr::V6(v6) => u128::from(v6),
        };
        let mask = u128::MAX.checked_shl(128 - u32::from(self.to.1)).unwrap_or(0);
        self.to.0.is_ipv6() == address.is_ipv6() && (bits(self.to.0) ^ bits(address)) & mask == 0
    }

    /// The kernel has one route of each at most.
    fn place(&self) -> (u32, (IpAddr, u8), u32) {
        (self.table, self.to, self.metric)
    }
}

/// A rule that looks into one table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TableRule {
    pub(super) v6: bool,
    pub(super) priority: u32,
    /// For what is bound to this interface.
    pub(super) oif: Option<String>,
    /// For what has this address.
    pub(super) from: Option<IpAddr>,
    pub(super) table: u32,
    /// Routes with no more bits than this do not count.
    pub(super) suppress: Option<u32>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Interface {
    pub(super) index: u32,
    pub(super) name: String,
    /// Routes can be laid through it.
    pub(super) is_on: bool,
    pub(super) addresses: Vec<IpAddr>,
}

/// What the kernel has, and who put it there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) interfaces: Vec<Interface>,
    /// With the protocol that marks them.
    pub(super) routes: Vec<(TableRoute, u8)>,
    /// The same; those that choose by something else as well are not among them.
    pub(super) rules: Vec<(TableRule, u8)>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    AddRoute(TableRoute),
    RemoveRoute(TableRoute),
    AddRule(TableRule),
    RemoveRule(TableRule),
}

/// What is to be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) routes: BTreeSet<TableRoute>,
    pub(super) rules: BTreeSet<TableRule>,
    /// The interfaces that have a table of ours, and which.
    pub(super) tables: BTreeMap<String, u32>,
}

fn is_our_table(table: u32) -> bool {
    (FIRST_TABLE..FIRST_TABLE + TABLES).contains(&table)
}

fn is_our_route((route, protocol): &(TableRoute, u8)) -> bool {
    *protocol == PROTOCOL && is_our_table(route.table)
}

fn is_our_rule((rule, protocol): &(TableRule, u8)) -> bool {
    let leads_to_ours = match rule.priority {
        BY_INTERFACE => is_our_table(rule.table) && rule.oif.is_some(),
        NEAR_FIRST => rule.table == MAIN_TABLE && rule.suppress == Some(0) && rule.from.is_some(),
        BY_ADDRESS => is_our_table(rule.table) && rule.from.is_some(),
        _ => false,
    };
    *protocol == PROTOCOL && leads_to_ours
}

/// What the interfaces of these names are to have.
pub(super) fn wanted(state: &State, names: &BTreeSet<String>) -> Wanted {
    let mut wanted = Wanted::default();
    let ours = state.interfaces.iter().filter(|i| names.contains(&i.name) && i.is_on && i.index < TABLES);
    for interface in ours {
        for v6 in [false, true] {
            of_interface(state, interface, v6, &mut wanted);
        }
    }
    wanted
}

fn of_interface(state: &State, interface: &Interface, v6: bool, wanted: &mut Wanted) {
    let table = FIRST_TABLE + interface.index;
    let foreign = || {
        let through = state.routes.iter().filter(|one| !is_our_route(one)).map(|(route, _)| route);
        through.filter(|route| route.by == interface.index && route.to.0.is_ipv6() == v6)
    };
    // The one that the kernel would take; else whatever is in a table of somebody's.
    let defaults = foreign().filter(|route| route.is_default());
    let told = defaults.min_by_key(|route| (route.table != MAIN_TABLE, *route)).cloned();
    let Some(default) = told.or_else(|| kept(state, interface, v6, foreign())) else { return };
    if is_left_to_others(state, &interface.name, v6, || foreign().filter(|route| route.is_default())) {
        return;
    }
    let near: Vec<&TableRoute> =
        foreign().filter(|route| !route.is_default() && route.table == default.table).collect();
    let is_router = near.len() > MOST_ROUTES;
    let near = near.into_iter().filter(|route| !is_router || route.gateway.is_none()).take(MOST_ROUTES);
    let mut taken = BTreeSet::new();
    for route in near.chain([&default]) {
        let route = TableRoute { table, ..route.clone() };
        if taken.insert(route.place()) {
            wanted.routes.insert(route);
        }
    }
    let rule = |priority| TableRule { v6, priority, oif: None, from: None, table, suppress: None };
    wanted.rules.insert(TableRule { oif: Some(interface.name.clone()), ..rule(BY_INTERFACE) });
    let own = interface.addresses.iter().filter(|address| address.is_ipv6() == v6 && is_useful(**address));
    for address in own.take(MOST_ROUTES) {
        // Two modems may well have been given the same one, and then it says nothing.
        if state.interfaces.iter().filter(|other| other.addresses.contains(address)).count() == 1 {
            let from = Some(*address);
            wanted.rules.insert(TableRule { from, table: MAIN_TABLE, suppress: Some(0), ..rule(NEAR_FIRST) });
            wanted.rules.insert(TableRule { from, ..rule(BY_ADDRESS) });
        }
    }
    wanted.tables.insert(interface.name.clone(), table);
}

/// The default route that we had laid, where there is no other any more although its gateway is as near as it was: a DHCP
/// client that replaces "the" default route by that of another interface (dhclient-script does) takes nothing away from this one.
/// Of IPv6 only routers know.
fn kept<'s>(
    state: &State,
    interface: &Interface,
    v6: bool,
    mut foreign: impl Iterator<Item = &'s TableRoute>,
) -> Option<TableRoute> {
    let is_its = |route: &&TableRoute| route.is_default() && route.by == interface.index && !route.to.0.is_ipv6();
    let ours = state.routes.iter().filter(|one| is_our_route(one)).map(|(route, _)| route).find(is_its)?;
    let is_near = match ours.gateway {
        Some(gateway) => foreign.any(|route| route.gateway.is_none() && route.reaches(gateway)),
        None => interface.addresses.iter().any(|address| address.is_ipv4() && is_useful(*address)),
    };
    (!v6 && is_near).then(|| TableRoute { table: MAIN_TABLE, ..ours.clone() })
}

/// Whether somebody else sends what is bound to the interface into a table with a way out.
fn is_left_to_others<'s, D: Iterator<Item = &'s TableRoute>>(
    state: &'s State,
    name: &str,
    v6: bool,
    defaults: impl Fn() -> D,
) -> bool {
    let others = state.rules.iter().filter(|one| !is_our_rule(one)).map(|(rule, _)| rule);
    let mut for_it = others.filter(|rule| rule.v6 == v6 && rule.oif.as_deref() == Some(name) && rule.from.is_none());
    for_it.any(|rule| rule.suppress.is_none() && defaults().any(|route| route.table == rule.table))
}

/// How to get from what the kernel has to what is wanted. Ways are laid before anybody is sent there, and nobody is sent
/// there any more before they are taken away.
pub(super) fn steps(state: &State, wanted: &Wanted) -> Vec<Step> {
    let laid: BTreeSet<&TableRoute> = state.routes.iter().filter(|one| is_our_route(one)).map(|(r, _)| r).collect();
    let ruled: Vec<&TableRule> = state.rules.iter().filter(|one| is_our_rule(one)).map(|(r, _)| r).collect();
    let mut steps = Vec::new();
    let mut replaced = BTreeSet::new();
    let mut missing: Vec<&TableRoute> = wanted.routes.iter().filter(|route| !laid.contains(route)).collect();
    // A gateway is looked for in the networks that are there already.
    missing.sort_by_key(|route| (route.gateway.is_some(), *route));
    for route in missing {
        for old in laid.iter().filter(|old| old.place() == route.place() && !wanted.routes.contains(**old)) {
            if replaced.insert(*old) {
                steps.push(Step::RemoveRoute((*old).clone()));
            }
        }
        steps.push(Step::AddRoute(route.clone()));
    }
    let new = wanted.rules.iter().filter(|rule| !ruled.contains(rule));
    steps.extend(new.cloned().map(Step::AddRule));
    let mut kept = BTreeSet::new();
    for rule in ruled {
        // The kernel takes the same rule twice.
        if !wanted.rules.contains(rule) || !kept.insert(rule) {
            steps.push(Step::RemoveRule(rule.clone()));
        }
    }
    let stale = laid.iter().filter(|route| !wanted.routes.contains(**route) && !replaced.contains(*route));
    steps.extend(stale.map(|route| Step::RemoveRoute((*route).clone())));
    steps
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = |f: &mut fmt::Formatter<'_>, verb: &str, route: &TableRoute| {
            let (to, bits) = route.to;
            write!(f, "ip route {verb} {to}/{bits} table {} metric {}", route.table, route.metric)?;
            route.gateway.map_or(Ok(()), |gateway| write!(f, " via {gateway}"))
        };
        let rule = |f: &mut fmt::Formatter<'_>, verb: &str, rule: &TableRule| {
            write!(f, "ip{} rule {verb} priority {}", if rule.v6 { " -6" } else { "" }, rule.priority)?;
            rule.oif.as_ref().map_or(Ok(()), |oif| write!(f, " oif {oif}"))?;
            rule.from.map_or(Ok(()), |from| write!(f, " from {from}"))?;
            write!(f, " lookup {}", rule.table)
        };
        match self {
            Self::AddRoute(one) => route(f, "add", one),
            Self::RemoveRoute(one) => route(f, "del", one),
            Self::AddRule(one) => rule(f, "add", one),
            Self::RemoveRule(one) => rule(f, "del", one),
        }
    }
}

#[cfg(test)]
mod tests;
