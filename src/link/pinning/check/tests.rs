#![allow(clippy::unwrap_used)]

use super::*;
use crate::link::links::DefaultRoute;

const INDEX: u32 = 7;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn default_route(v6: bool, table: u32) -> DefaultRoute {
    DefaultRoute { v6, table, metric: 100, gateway: Some(ip(if v6 { "fe80::1" } else { "192.0.2.1" })) }
}

fn leaves(gateway: &str) -> Answer {
    Answer::Leaves { by: INDEX, gateway: Some(ip(gateway)), table: MAIN_TABLE }
}

/// An interface by which everything leaves.
fn good() -> Grounds {
    let link = Link {
        index: INDEX,
        addresses: vec![(ip("192.0.2.7"), 24), (ip("2001:db8:7::7"), 64), (ip("fe80::7"), 64)],
        routes: vec![default_route(false, MAIN_TABLE), default_route(true, MAIN_TABLE)],
        ..Link::example("wwan0", LinkState::Up)
    };
    let main = |v6| Rule { priority: 32766, v6, table: MAIN_TABLE, ..Rule::default() };
    Grounds {
        name: "wwan0".into(),
        link: Some(link),
        rules: vec![main(false), main(true)],
        v4: Of { out: leaves("192.0.2.1"), source: Some(ip("192.0.2.7")), back: Back::LetIn },
        v6: Of { out: leaves("fe80::1"), source: Some(ip("2001:db8:7::7")), back: Back::Unknown },
        sockets: Sockets::Allowed,
        filter: Some(ReverseFilter { all: 0, own: 2 }),
        v6_is_off: false,
    }
}

/// What is found when `change` is made to a good interface.
fn with(change: impl FnOnce(&mut Grounds, &mut Link)) -> PinCheck {
    let mut grounds = good();
    let mut link = grounds.link.take().unwrap();
    change(&mut grounds, &mut link);
    grounds.link = Some(link);
    check(&grounds)
}

#[test]
fn a_good_interface_says_how_it_is_left() {
    let found = check(&good());
    assert!(found.leaves() && found.findings.is_empty(), "{found:?}");
    assert_eq!(found.words(), "IPv4 from 192.0.2.7 via 192.0.2.1; IPv6 from 2001:db8:7::7 via fe80::1");
    let direct = with(|grounds, _| grounds.v4.out = Answer::Leaves { by: INDEX, gateway: None, table: MAIN_TABLE });
    assert!(direct.words().starts_with("IPv4 from 192.0.2.7, without a gateway"), "{}", direct.words());
}

#[test]
fn an_interface_that_is_not_there_or_not_up_is_all_that_is_said() {
    assert_eq!(check(&Grounds { link: None, ..good() }).findings, [Finding::NotThere]);
    for (state, finding) in [(LinkState::Off, Finding::Off), (LinkState::NoCarrier, Finding::NoCarrier)] {
        let found = with(|_, link| link.state = state);
        assert_eq!((found.leaves(), found.findings), (false, vec![finding]));
    }
    assert_eq!(with(|grounds, _| grounds.sockets = Sockets::Forbidden).findings, [Finding::MayNotBind]);
}

#[test]
fn without_addresses_there_is_nothing_to_leave_from() {
    let found = with(|_, link| link.addresses.retain(|(address, _)| *address == ip("fe80::7")));
    assert_eq!((found.v4, found.v6, found.findings), (Way::NoAddress, Way::NoAddress, vec![Finding::NoAddress]));
    let only_v4 = with(|_, link| link.addresses.retain(|(address, _)| address.is_ipv4()));
    assert!(only_v4.leaves() && only_v4.findings.is_empty(), "one kind is enough: {only_v4:?}");
    let off = with(|grounds, link| {
        grounds.v6_is_off = true;
        link.addresses.retain(|(address, _)| address.is_ipv4());
    });
    assert!(off.leaves() && off.findings.is_empty());
    assert!(off.words().ends_with("; IPv6 is switched off"), "{}", off.words());
    let neither = with(|grounds, link| {
        grounds.v6_is_off = true;
        link.addresses.clear();
    });
    assert_eq!(neither.findings, [Finding::NoAddress, Finding::V6Off]);
    let remedy = neither.findings[1].remedy("eth0.5");
    assert_eq!(remedy, "sysctl -w net/ipv6/conf/eth0.5/disable_ipv6=0");
}

#[test]
fn a_default_route_that_leads_elsewhere_alone_is_no_way_out() {
    let found = with(|grounds, link| {
        grounds.v4.out = Answer::NoWay;
        link.routes.retain(|route| route.v6);
    });
    assert!(found.leaves(), "by IPv6 it does");
    assert_eq!((found.v4, &found.findings[..]), (Way::Not, &[Finding::NoDefaultRoute { v6: false }][..]));
    let remedy = found.findings[0].remedy("wwan0");
    assert!(remedy.starts_with("ip route add default via ROUTER dev wwan0 "), "{remedy}");
    let v6 = with(|grounds, link| {
        grounds.v6.out = Answer::NoWay;
        link.routes.retain(|route| !route.v6);
    });
    assert_eq!(v6.findings, [Finding::NoDefaultRoute { v6: true }]);
    assert!(v6.findings[0].remedy("wwan0").starts_with("ip -6 route add"), "{:?}", v6.findings);
}

#[test]
fn a_table_of_its_own_wants_a_rule_that_leads_there() {
    let aside = |grounds: &mut Grounds, link: &mut Link| {
        grounds.v4.out = Answer::NoWay;
        link.routes = vec![default_route(false, 201), default_route(true, MAIN_TABLE)];
    };
    let found = with(aside);
    assert_eq!(found.findings, [Finding::NoRule { v6: false, table: 201 }]);
    let remedy = found.findings[0].remedy("wwan0");
    assert!(remedy.starts_with("ip rule add oif wwan0 lookup 201 priority 1000"), "{remedy}");
    for other in [
        Rule { oif: Some("eth0".into()), ..Rule::default() },
        Rule { from: Some((ip("192.0.2.7"), 32)), ..Rule::default() },
        Rule { v6: true, ..Rule::default() },
        Rule { mark: Some(1), ..Rule::default() },
    ] {
        let found = with(|grounds, link| {
            aside(grounds, link);
            grounds.rules.push(Rule { priority: 1000, table: 201, ..other });
        });
        assert_eq!(found.findings, [Finding::NoRule { v6: false, table: 201 }], "a rule for others");
    }
    let ruled = with(|grounds, link| {
        aside(grounds, link);
        grounds.rules.push(Rule { priority: 1000, table: 201, oif: Some("wwan0".into()), ..Rule::default() });
    });
    assert_eq!(ruled.findings, [Finding::NoDefaultRoute { v6: false }], "the rule is not what is missing");
}

#[test]
fn another_interface_and_anothers_address_are_found() {
    let found = with(|grounds, _| grounds.v4.out = Answer::Leaves { by: 3, gateway: None, table: MAIN_TABLE });
    assert_eq!(found.findings, [Finding::Elsewhere { v6: false }]);
    let found = with(|grounds, _| grounds.v4.source = Some(ip("10.0.0.1")));
    assert_eq!(found.findings, [Finding::ForeignSource { source: ip("10.0.0.1") }]);
    let remedy = found.findings[0].remedy("wwan0");
    assert!(remedy.ends_with("ip route show table all dev wwan0"), "{remedy}");
}

#[test]
fn answers_are_thrown_away_only_where_the_filter_is_strict() {
    let thrown = |filter| {
        with(|grounds, _| {
            grounds.v4.back = Back::ThrownAway;
            grounds.filter = filter;
        })
    };
    // Whichever is larger counts, and 2 is loose.
    for (all, own, is_strict) in [(0, 0, false), (1, 0, true), (0, 1, true), (1, 2, false), (2, 1, false)] {
        let filter = ReverseFilter { all, own };
        let expected = if is_strict { vec![Finding::StrictFilter(filter)] } else { Vec::new() };
        assert_eq!(thrown(Some(filter)).findings, expected, "{all} {own}");
    }
    assert!(thrown(None).findings.is_empty());
    let let_in = with(|grounds, _| grounds.filter = Some(ReverseFilter { all: 1, own: 1 }));
    assert!(let_in.findings.is_empty(), "strict, and the way back is the same");
    let finding = Finding::StrictFilter(ReverseFilter { all: 1, own: 0 });
    assert!(finding.remedy("wwan0").starts_with("sysctl -w net.ipv4.conf.wwan0.rp_filter=2;"));
    assert!(finding.what("wwan0").contains("rp_filter: all 1, wwan0 0"), "{}", finding.what("wwan0"));
}

#[test]
fn people_see_what_is_wrong_and_what_to_do() {
    let shown = with(|grounds, link| {
        grounds.v4.out = Answer::NoWay;
        link.routes.retain(|route| route.v6);
    })
    .shown();
    assert!(shown.leaves && shown.words.starts_with("IPv6 from"), "{shown:?}");
    assert_eq!(shown.troubles.len(), 1);
    assert_eq!(shown.troubles[0].code, "no-default-route");
    assert!(!shown.troubles[0].remedy.is_empty());
}
