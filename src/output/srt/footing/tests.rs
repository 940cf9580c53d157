#![allow(clippy::unwrap_used)]

use super::*;
use crate::config::{InterfaceName, SrtAddress};

const OWN: &str = "192.0.2.1";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn path(interface: Option<&str>) -> SrtPath {
    SrtPath {
        interface: interface.map(|name| InterfaceName::new(name).unwrap()),
        source: None,
        address: SrtAddress { host: "198.51.100.1".into(), port: 9000 },
        weight: 1,
    }
}

fn link(name: &str, index: u32, state: LinkState, addresses: &[&str]) -> Link {
    Link {
        index,
        addresses: addresses.iter().map(|a| (a.parse().unwrap(), 24)).collect(),
        ..Link::example(name, state)
    }
}

fn links(links: Vec<Link>) -> Links {
    Links { knowledge: Knowledge::Kernel, links, rules: Vec::new(), overruns: 0 }
}

fn good() -> Links {
    links(vec![link("a", 2, LinkState::Up, &[OWN]), link("b", 3, LinkState::Up, &["192.0.3.1"])])
}

fn with_a(a: Option<Link>) -> Links {
    let mut all = good();
    all.links.remove(0);
    all.links.extend(a);
    all
}

fn paths() -> Vec<SrtPath> {
    vec![path(Some("a")), path(Some("b"))]
}

/// Both connected.
fn standing() -> (Footing, Instant) {
    let (mut footing, now, paths) = (Footing::new(2, Spent::Rests), crate::clock::now(), paths());
    assert_eq!(footing.look(&paths, &good(), now), []);
    footing.connected(0, &paths[0], OWN.parse().ok(), &good());
    footing.connected(1, &paths[1], "192.0.3.1".parse().ok(), &good());
    (footing, now)
}

#[test]
fn a_blip_shakes_a_path_and_a_longer_loss_closes_it_until_the_carrier_is_back() {
    let (mut footing, now) = standing();
    let lost = with_a(Some(link("a", 2, LinkState::NoCarrier, &[OWN])));
    assert_eq!(footing.look(&paths(), &lost, now), [Act::Shake { place: 0 }]);
    assert_eq!(footing.poll_timeout(), Some(now + CLOSED_AFTER));
    assert_eq!(footing.look(&paths(), &good(), now + ms(90)), [Act::Steady { place: 0 }]);
    assert_eq!(footing.poll_timeout(), None);

    let now = now + ms(1000);
    assert_eq!(footing.look(&paths(), &lost, now), [Act::Shake { place: 0 }]);
    assert_eq!(footing.look(&paths(), &lost, now + ms(99)), []);
    let lack = Lack::Carrier;
    assert_eq!(
        footing.look(&paths(), &lost, now + ms(100)),
        [Act::Close { place: 0, lack }, Act::Hold { place: 0, lack }]
    );
    assert_eq!((footing.look(&paths(), &lost, now + ms(200)), footing.poll_timeout()), (vec![], None));
    assert_eq!(footing.look(&paths(), &good(), now + ms(300)), [Act::Release { place: 0 }]);
}

#[test]
fn a_loss_between_two_looks_is_seen_by_its_count() {
    let (mut footing, now) = standing();
    let blinked = with_a(Some(Link { carrier_changes: Some(3), ..link("a", 2, LinkState::Up, &[OWN]) }));
    assert_eq!(footing.look(&paths(), &blinked, now), [Act::Shake { place: 0 }, Act::Steady { place: 0 }]);
    assert_eq!(footing.look(&paths(), &blinked, now), []);
}

#[test]
fn the_only_path_is_not_closed_for_want_of_a_carrier_but_when_another_is_there() {
    let (mut footing, now) = standing();
    footing.disconnected(1);
    let lost = with_a(Some(link("a", 2, LinkState::NoCarrier, &[OWN])));
    assert_eq!(footing.look(&paths(), &lost, now), [Act::Shake { place: 0 }]);
    assert_eq!(footing.look(&paths(), &lost, now + ms(2000)), []);
    assert_eq!(footing.poll_timeout(), None, "nothing to wait for");
    footing.connected(1, &paths()[1], None, &lost);
    assert!(footing.look(&paths(), &lost, now + ms(2001)).contains(&Act::Close { place: 0, lack: Lack::Carrier }));
}

#[test]
fn what_is_gone_is_closed_at_once_even_if_it_is_the_only_one() {
    let (mut footing, now) = standing();
    footing.disconnected(1);
    let lack = Lack::Interface;
    assert_eq!(
        footing.look(&paths(), &with_a(None), now),
        [Act::Close { place: 0, lack }, Act::Hold { place: 0, lack }]
    );
    let again = with_a(Some(link("a", 9, LinkState::Up, &[])));
    assert_eq!(footing.look(&paths(), &again, now), [Act::Hold { place: 0, lack: Lack::Address }], "not ready yet");
    let ready = with_a(Some(link("a", 9, LinkState::Up, &[OWN])));
    assert_eq!(footing.look(&paths(), &ready, now), [Act::Release { place: 0 }]);
}

#[test]
fn another_interface_of_the_name_or_another_address_needs_another_call() {
    let (mut footing, now) = standing();
    let replaced = with_a(Some(link("a", 9, LinkState::Up, &[OWN])));
    let lack = Lack::SameInterface;
    assert_eq!(footing.look(&paths(), &replaced, now), [Act::Close { place: 0, lack }, Act::Release { place: 0 }]);

    let (mut footing, now) = standing();
    let renewed = with_a(Some(link("a", 2, LinkState::Up, &["192.0.2.99"])));
    let lack = Lack::SameAddress;
    assert_eq!(footing.look(&paths(), &renewed, now), [Act::Close { place: 0, lack }, Act::Release { place: 0 }]);
    let (mut footing, now) = standing();
    let both = with_a(Some(link("a", 2, LinkState::Up, &["192.0.2.99", OWN])));
    assert_eq!(footing.look(&paths(), &both, now), [], "one more is none of its business");
}

#[test]
fn an_interface_that_is_not_there_at_the_beginning_holds_its_path_until_it_is() {
    let (mut footing, now) = (Footing::new(2, Spent::Rests), crate::clock::now());
    assert_eq!(footing.look(&paths(), &with_a(None), now), [Act::Hold { place: 0, lack: Lack::Interface }]);
    assert_eq!(footing.look(&paths(), &with_a(None), now), [], "said once");
    assert_eq!(footing.look(&paths(), &good(), now), [Act::Release { place: 0 }]);
    let other_kind = with_a(Some(link("a", 2, LinkState::Up, &["2001:db8::1"])));
    assert_eq!(footing.look(&paths(), &other_kind, now), [Act::Hold { place: 0, lack: Lack::Address }]);
}

#[test]
fn where_nothing_is_known_nothing_is_held_and_what_was_held_is_let_go() {
    let (mut footing, now) = (Footing::new(2, Spent::Rests), crate::clock::now());
    footing.look(&paths(), &with_a(None), now);
    assert_eq!(footing.look(&paths(), &Links::default(), now), [Act::Release { place: 0 }]);
    let (mut footing, now) = standing();
    assert_eq!(footing.look(&paths(), &Links::default(), now), []);
    let unbound = vec![path(None), path(Some("lo"))];
    assert_eq!(
        Footing::new(2, Spent::Rests).look(&unbound, &links(vec![]), now),
        [],
        "the routing table's business, and loopback"
    );
}

fn allowed(allowance: Allowance) -> Arc<Allowances> {
    Arc::new([(InterfaceName::new("a").unwrap(), allowance)].into())
}

#[test]
fn a_barred_link_is_left_at_once_though_it_is_the_only_one_and_used_again_when_it_may_be() {
    let (mut footing, now) = standing();
    footing.allow(allowed(Allowance::Barred));
    let lack = Lack::Data;
    let left = [Act::Close { place: 0, lack }, Act::Hold { place: 0, lack }];
    assert_eq!(footing.look(&paths(), &good(), now), left);
    assert_eq!(footing.look(&paths(), &good(), now), [], "once");
    footing.disconnected(1);
    assert_eq!(footing.look(&paths(), &good(), now), [], "nothing else works, and it is barred");
    footing.allow(allowed(Allowance::Free));
    assert_eq!(footing.look(&paths(), &good(), now), [Act::Release { place: 0 }]);
}

#[test]
fn a_spent_link_rests_or_is_left_out_while_another_one_stands() {
    let (mut resting, now) = standing();
    resting.allow(allowed(Allowance::Spent));
    assert_eq!(resting.look(&paths(), &good(), now), [], "the bond sees to it");
    assert_eq!(resting.allowance(&paths()[0], &good()), Allowance::Spent);

    let (mut footing, now) = standing();
    footing.spent = Spent::LeftOut;
    footing.allow(allowed(Allowance::Spent));
    let lack = Lack::Data;
    let left = [Act::Close { place: 0, lack }, Act::Hold { place: 0, lack }];
    assert_eq!(footing.look(&paths(), &good(), now), left);
    assert!(footing.leaves_out());
    footing.disconnected(1);
    assert_eq!(footing.look(&paths(), &good(), now), [Act::Release { place: 0 }], "better than nothing");
}
