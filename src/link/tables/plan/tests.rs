#![allow(clippy::unwrap_used)]

use super::*;

const DHCP: u8 = 16;
const ETH: u32 = 2;
const WWAN: u32 = 3;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn net(text: &str) -> (IpAddr, u8) {
    let (address, bits) = text.split_once('/').unwrap();
    (ip(address), bits.parse().unwrap())
}

fn route(to: &str, by: u32, gateway: Option<&str>, metric: u32) -> (TableRoute, u8) {
    let gateway = gateway.map(ip);
    (TableRoute { table: MAIN_TABLE, to: net(to), metric, by, gateway, source: None }, DHCP)
}

fn interface(index: u32, name: &str, addresses: &[&str]) -> Interface {
    let addresses = addresses.iter().map(|a| ip(a)).collect();
    Interface { index, name: name.to_owned(), is_on: true, addresses }
}

fn names(all: &[&str]) -> BTreeSet<String> {
    all.iter().map(|name| (*name).to_owned()).collect()
}

fn main_rules() -> Vec<(TableRule, u8)> {
    let main = |v6| TableRule { v6, priority: 32766, oif: None, from: None, table: MAIN_TABLE, suppress: None };
    vec![(main(false), 2), (main(true), 2)]
}

/// A cable and a modem, both with a default route; the cable with IPv6 too.
fn two_uplinks() -> State {
    State {
        interfaces: vec![
            interface(ETH, "eth0", &["192.0.2.7", "2001:db8:2::7", "fe80::2"]),
            interface(WWAN, "wwan0", &["198.51.100.9"]),
        ],
        routes: vec![
            route("0.0.0.0/0", ETH, Some("192.0.2.1"), 100),
            route("192.0.2.0/24", ETH, None, 100),
            route("203.0.113.0/24", ETH, Some("192.0.2.2"), 100),
            route("::/0", ETH, Some("fe80::1"), 1024),
            route("2001:db8:2::/64", ETH, None, 256),
            route("0.0.0.0/0", WWAN, None, 700),
        ],
        rules: main_rules(),
    }
}

impl State {
    /// Does what a kernel does, and refuses what a kernel refuses.
    fn take(&mut self, step: &Step) {
        match step {
            Step::AddRoute(route) => {
                let taken = self.routes.iter().any(|(other, _)| other.place() == route.place());
                assert!(!taken, "EEXIST: {step}");
                let on = self.interfaces.iter().any(|i| i.index == route.by && i.is_on);
                assert!(on, "ENETDOWN: {step}");
                self.routes.push((route.clone(), PROTOCOL));
            }
            Step::RemoveRoute(route) => {
                let at = self.routes.iter().position(|(other, by)| other == route && *by == PROTOCOL);
                self.routes.remove(at.unwrap_or_else(|| panic!("ESRCH, or not ours: {step}")));
            }
            Step::AddRule(rule) => {
                assert!(!self.rules.iter().any(|(other, _)| other == rule), "EEXIST: {step}");
                let leads_somewhere =
                    rule.table == MAIN_TABLE || self.routes.iter().any(|(r, _)| r.table == rule.table);
                assert!(leads_somewhere, "it leads into an empty table: {step}");
                self.rules.push((rule.clone(), PROTOCOL));
            }
            Step::RemoveRule(rule) => {
                let at = self.rules.iter().position(|(other, by)| other == rule && *by == PROTOCOL);
                self.rules.remove(at.unwrap_or_else(|| panic!("ENOENT, or not ours: {step}")));
            }
        }
    }

    /// Brings about what is wanted for these interfaces; how many steps that took.
    fn settle(&mut self, names: &BTreeSet<String>) -> usize {
        let all = steps(self, &wanted(self, names));
        all.iter().for_each(|step| self.take(step));
        assert_eq!(steps(self, &wanted(self, names)), [], "it is not done when it is done");
        all.len()
    }

    /// What is somebody else's.
    fn foreign(&self) -> Self {
        Self {
            interfaces: Vec::new(),
            routes: self.routes.iter().filter(|one| one.1 != PROTOCOL).cloned().collect(),
            rules: self.rules.iter().filter(|one| one.1 != PROTOCOL).cloned().collect(),
        }
    }

    fn rules_in_order(&self) -> Vec<&TableRule> {
        let mut rules: Vec<&TableRule> = self.rules.iter().map(|(rule, _)| rule).collect();
        rules.sort_by_key(|rule| rule.priority);
        rules
    }

    /// Which way the kernel takes to `to`, of what is bound to an interface, or has an address: interface and gateway.
    fn way(&self, to: &str, oif: Option<&str>, from: Option<&str>) -> Option<(u32, Option<IpAddr>)> {
        let (to, from) = (ip(to), from.map(ip));
        let index = |name: &str| self.interfaces.iter().find(|i| i.name == name).unwrap().index;
        for rule in self.rules_in_order() {
            let is_for = rule.v6 == to.is_ipv6()
                && rule.oif.as_deref().is_none_or(|name| oif == Some(name))
                && rule.from.is_none_or(|address| from == Some(address));
            let routes = self.routes.iter().map(|(route, _)| route).filter(|r| is_for && r.table == rule.table);
            let fits = routes.filter(|r| r.reaches(to) && oif.is_none_or(|name| r.by == index(name)));
            let counts = fits.filter(|r| rule.suppress.is_none_or(|most| u32::from(r.to.1) > most));
            if let Some(best) = counts.min_by_key(|r| (std::cmp::Reverse(r.to.1), r.metric)) {
                return Some((best.by, best.gateway));
            }
        }
        None
    }
}

#[test]
fn each_uplink_has_its_way_and_everybody_else_has_the_one_they_had() {
    let mut state = two_uplinks();
    let before = state.clone();
    assert_eq!(state.settle(&names(&["eth0", "wwan0"])), 6 + 3 + 3 + 3);
    let ways = |state: &State, to| (state.way(to, Some("eth0"), None), state.way(to, Some("wwan0"), None));
    assert_eq!(ways(&state, "8.8.8.8"), (Some((ETH, Some(ip("192.0.2.1")))), Some((WWAN, None))));
    assert_eq!(ways(&state, "203.0.113.5").0, Some((ETH, Some(ip("192.0.2.2")))), "a network with a router of its own");
    assert_eq!(state.way("2606::1", Some("eth0"), None), Some((ETH, Some(ip("fe80::1")))));
    for to in ["8.8.8.8", "203.0.113.5", "192.0.2.9", "2606::1"] {
        assert_eq!(state.way(to, None, None), before.way(to, None, None), "{to} of whoever is not bound");
    }
    // What has the modem's address leaves by it, to the Internet; to a network that is known as before.
    assert_eq!(before.way("8.8.8.8", None, Some("198.51.100.9")).unwrap().0, ETH, "which is why");
    assert_eq!(state.way("8.8.8.8", None, Some("198.51.100.9")), Some((WWAN, None)));
    assert_eq!(state.way("192.0.2.9", None, Some("198.51.100.9")), Some((ETH, None)));
}

#[test]
fn nothing_is_laid_for_an_interface_that_nobody_names_and_all_goes_again() {
    let mut state = two_uplinks();
    let before = state.clone();
    assert_eq!(state.settle(&names(&["eth7"])), 0);
    state.settle(&names(&["wwan0"]));
    assert!(state.routes.iter().all(|(route, by)| *by != PROTOCOL || route.by == WWAN));
    let laid = wanted(&state, &names(&["wwan0"]));
    assert_eq!(laid.tables, BTreeMap::from([("wwan0".to_owned(), FIRST_TABLE + WWAN)]));
    state.settle(&names(&["eth0"]));
    assert!(state.routes.iter().all(|(route, by)| *by != PROTOCOL || route.by == ETH));
    let last = steps(&state, &wanted(&state, &names(&[])));
    let first_route = last.iter().position(|step| matches!(step, Step::RemoveRoute(_))).unwrap();
    assert!(last[first_route..].iter().all(|step| matches!(step, Step::RemoveRoute(_))), "rules go first");
    state.settle(&names(&[]));
    assert_eq!(state, before);
}

#[test]
fn another_gateway_and_another_address_take_the_place_of_the_old_ones() {
    let mut state = two_uplinks();
    let both = names(&["eth0", "wwan0"]);
    state.settle(&both);
    state.routes.retain(|(route, by)| !(route.is_default() && route.by == ETH && *by == DHCP && !route.to.0.is_ipv6()));
    state.routes.push(route("0.0.0.0/0", ETH, Some("192.0.2.254"), 100));
    state.interfaces[0].addresses[0] = ip("192.0.2.8");
    state.settle(&both);
    assert_eq!(state.way("8.8.8.8", Some("eth0"), None), Some((ETH, Some(ip("192.0.2.254")))));
    assert!(state.rules.iter().all(|(rule, _)| rule.from != Some(ip("192.0.2.7"))));
    assert!(state.rules.iter().any(|(rule, _)| rule.from == Some(ip("192.0.2.8"))));
}

#[test]
fn what_somebody_else_takes_care_of_is_left_to_them() {
    let mut state = two_uplinks();
    let both = names(&["eth0", "wwan0"]);
    state.settle(&both);
    // networkd lays a rule and a table for eth0, of IPv4.
    let rule =
        TableRule { v6: false, priority: 1000, oif: Some("eth0".into()), from: None, table: 201, suppress: None };
    state.rules.push((rule, 4));
    state.settle(&both);
    assert!(
        state.rules.iter().any(|(rule, by)| *by == PROTOCOL && rule.table == FIRST_TABLE + ETH && !rule.v6),
        "201 is empty"
    );
    let (mut theirs, _) = route("0.0.0.0/0", ETH, Some("192.0.2.1"), 100);
    theirs.table = 201;
    state.routes.push((theirs, DHCP));
    state.settle(&both);
    let is_ours = |rule: &TableRule, v6| rule.v6 == v6 && rule.table == FIRST_TABLE + ETH;
    assert!(!state.rules.iter().any(|(rule, by)| *by == PROTOCOL && is_ours(rule, false)), "{:?}", state.rules);
    assert!(state.rules.iter().any(|(rule, _)| is_ours(rule, true)), "of IPv6 nobody else takes care");
}

#[test]
fn a_default_route_in_somebodys_table_will_do_where_the_main_table_has_none() {
    let mut state = two_uplinks();
    for (route, _) in state.routes.iter_mut().filter(|(route, _)| route.by == WWAN) {
        route.table = 202;
    }
    state.settle(&names(&["wwan0"]));
    assert_eq!(state.way("8.8.8.8", Some("wwan0"), None), Some((WWAN, None)));
}

/// What dhclient-script does for the modem: `ip route replace default`.
#[test]
fn a_dhcp_client_that_replaces_the_default_route_takes_none_from_the_other_uplink() {
    let mut state = two_uplinks();
    let both = names(&["eth0", "wwan0"]);
    state.settle(&both);
    let is_default_of_eth = |(route, by): &(TableRoute, u8)| *by == DHCP && route.is_default() && route.by == ETH;
    state.routes.retain(|one| !is_default_of_eth(one));
    state.settle(&both);
    let way = |state: &State, to| state.way(to, Some("eth0"), None);
    assert_eq!(way(&state, "8.8.8.8"), Some((ETH, Some(ip("192.0.2.1")))));
    assert_eq!(way(&state, "2606::1"), None, "a router of IPv6 that is none any more has said so");
    // The lease has ended: address and network go, and with them the way.
    state.interfaces[0].addresses.clear();
    state.routes.retain(|(route, by)| *by == PROTOCOL || route.by != ETH);
    state.settle(&both);
    assert_eq!(way(&state, "8.8.8.8"), None);
}

#[test]
fn a_network_is_left_out_by_no_bit_too_many() {
    for (to, address, is_in) in [
        ("192.0.2.0/24", "192.0.2.255", true),
        ("192.0.2.0/24", "192.0.3.0", false),
        ("192.0.2.7/32", "192.0.2.7", true),
        ("192.0.2.7/32", "192.0.2.6", false),
        ("0.0.0.0/0", "255.255.255.255", true),
        ("0.0.0.0/0", "::1", false),
        ("2001:db8::/64", "2001:db8::ffff", true),
        ("2001:db8::/64", "2001:db8:0:1::", false),
        ("::/0", "ffff::", true),
        ("::1/128", "::2", false),
    ] {
        assert_eq!(route(to, ETH, None, 1).0.reaches(ip(address)), is_in, "{address} in {to}");
    }
}

#[test]
fn two_modems_with_the_same_address_are_told_apart_by_their_names() {
    let mut state = two_uplinks();
    state.interfaces.push(interface(4, "wwan1", &["198.51.100.9"]));
    state.routes.push(route("0.0.0.0/0", 4, Some("198.51.100.1"), 800));
    state.settle(&names(&["wwan0", "wwan1"]));
    assert!(state.rules.iter().all(|(rule, _)| rule.from.is_none()), "{:?}", state.rules);
    assert_eq!(state.way("8.8.8.8", Some("wwan1"), None), Some((4, Some(ip("198.51.100.1")))));
}

#[test]
fn a_router_with_the_whole_internets_routes_is_not_copied() {
    let mut state = two_uplinks();
    for n in 0..200u8 {
        state.routes.push(route(&format!("10.{n}.0.0/16"), ETH, Some("192.0.2.1"), 20));
    }
    state.settle(&names(&["eth0"]));
    let copied = state.routes.iter().filter(|(route, by)| *by == PROTOCOL && !route.to.0.is_ipv6()).count();
    assert_eq!(copied, 2, "its network and its default route");
}

#[test]
fn steps_read_like_what_an_operator_would_type() {
    let mut state = two_uplinks();
    state.routes.retain(|(route, _)| route.by == WWAN);
    let all: Vec<String> = steps(&state, &wanted(&state, &names(&["wwan0"]))).iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "ip route add 0.0.0.0/0 table 100003 metric 700",
            "ip rule add priority 1000 oif wwan0 lookup 100003",
            "ip rule add priority 1001 from 198.51.100.9 lookup 254",
            "ip rule add priority 1002 from 198.51.100.9 lookup 100003",
        ]
    );
}

/// Networks as they come and go, drawn from a seed, with other people's routes and rules among ours.
#[test]
fn whatever_happens_every_named_uplink_has_its_way_and_nobody_elses_things_are_touched() {
    let mut settled = 0;
    for seed in 0..400 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut state = State { rules: main_rules(), ..State::default() };
        for _ in 0..40 {
            happen(&mut state, &mut random);
            let all: Vec<&str> =
                ["eth0", "eth1", "wwan0", "wlan0"].into_iter().filter(|_| random.u8(..4) > 0).collect();
            let (wanted_names, before) = (names(&all), state.foreign());
            settled += state.settle(&wanted_names);
            assert_eq!(state.foreign(), before, "seed {seed}: something of somebody else's was touched");
            for interface in state.interfaces.iter().filter(|i| i.is_on && wanted_names.contains(&i.name)) {
                for (v6, to) in [(false, "8.8.8.8"), (true, "2606::1")] {
                    let has_default = state.routes.iter().any(|(route, by)| {
                        *by != PROTOCOL
                            && route.is_default()
                            && route.by == interface.index
                            && route.to.0.is_ipv6() == v6
                    });
                    let way = state.way(to, Some(&interface.name), None);
                    // One that we had laid may be kept for longer.
                    assert!(way.is_some() || !has_default, "seed {seed}: {} to {to}: {state:#?}", interface.name);
                    assert!(way.is_none_or(|(by, _)| by == interface.index), "seed {seed}");
                }
            }
            let stray = state.routes.iter().find(|(route, by)| {
                *by == PROTOCOL
                    && !state.interfaces.iter().any(|i| i.index == route.by && wanted_names.contains(&i.name))
            });
            assert_eq!(stray, None, "seed {seed}: a route of nobody's");
        }
    }
    println!("{settled} steps in 400 stories");
    assert!(settled > 10_000, "hardly anything happened");
}

fn happen(state: &mut State, random: &mut fastrand::Rng) {
    const NAMES: [&str; 5] = ["eth0", "eth1", "wwan0", "wlan0", "docker0"];
    let v6 = random.bool();
    let any = |state: &State, random: &mut fastrand::Rng| random.choice(&state.interfaces).map(|i| i.index);
    match random.u8(..12) {
        0 | 1 => {
            let name = *random.choice(&NAMES).unwrap();
            if !state.interfaces.iter().any(|i| i.name == name) {
                let index = state.interfaces.iter().map(|i| i.index).max().unwrap_or(1) + random.u32(1..3);
                let last = random.u8(1..5);
                let address = [format!("10.0.{index}.{last}"), format!("fd00:{index}::{last}")];
                let addresses: Vec<&str> = address.iter().map(String::as_str).collect();
                state.interfaces.push(interface(index, name, &addresses));
            }
        }
        // The kernel takes an interface's routes with it, ours too, and leaves the rules.
        2 => {
            if let Some(gone) = any(state, random) {
                state.interfaces.retain(|i| i.index != gone);
                state.routes.retain(|(route, _)| route.by != gone);
            }
        }
        3 => {
            if let Some(at) = any(state, random) {
                let interface = state.interfaces.iter_mut().find(|i| i.index == at).unwrap();
                interface.is_on = !interface.is_on;
                if !interface.is_on {
                    state.routes.retain(|(route, _)| route.by != at);
                }
            }
        }
        4 => {
            if let Some(interface) = random.choice(&mut state.interfaces) {
                interface.addresses = vec![ip(&format!("10.0.{}.{}", interface.index, random.u8(1..250)))];
            }
        }
        5..=8 => {
            let Some(by) = any(state, random) else { return };
            if !state.interfaces.iter().any(|i| i.index == by && i.is_on) {
                return;
            }
            let to = match (random.bool(), v6) {
                (true, false) => "0.0.0.0/0".to_owned(),
                (true, true) => "::/0".to_owned(),
                (false, false) => format!("10.0.{by}.0/24"),
                (false, true) => format!("fd00:{by}::/64"),
            };
            let gateway = random.bool().then_some(if v6 { "fe80::1" } else { "10.9.9.9" });
            let (mut new, protocol) = route(&to, by, gateway, random.u32(1..4) * 100);
            new.table = if random.u8(..5) == 0 { 201 } else { MAIN_TABLE };
            if !state.routes.iter().any(|(other, _)| other.place() == new.place()) {
                state.routes.push((new, protocol));
            }
        }
        // Somebody takes something away, ours or not.
        9 if !state.routes.is_empty() => drop(state.routes.swap_remove(random.usize(..state.routes.len()))),
        10 if state.rules.len() > 2 => drop(state.rules.swap_remove(random.usize(2..state.rules.len()))),
        _ => {
            let oif = (*random.choice(&NAMES).unwrap()).to_owned();
            let rule = TableRule { v6, priority: 1000, oif: Some(oif), from: None, table: 201, suppress: None };
            if !state.rules.iter().any(|(other, _)| *other == rule) {
                state.rules.push((rule, 4));
            }
        }
    }
}
