#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::events::{LinkClass, LinkCondition};

const DEFAULT: Route = Route { v6: false, table: 254, priority: 100, to: None };
const NOW: Media = Media::ZERO;

fn link(index: u32, state: LinkState, changes: u32) -> Fact {
    Fact::Link(LinkFact {
        index,
        name: format!("eth{index}"),
        state,
        mac: Some(Mac([0, 1, 2, 3, 4, index as u8])),
        carrier_changes: Some(changes),
        ..LinkFact::default()
    })
}

fn address(index: u32, text: &str) -> Fact {
    Fact::Address { index, address: text.parse().unwrap(), prefix: 24 }
}

fn route(index: u32, placed: Placed) -> Fact {
    Fact::Route { index, route: DEFAULT, gateway: "192.0.2.254".parse().ok(), placed }
}

fn up() -> Network {
    let mut network = Network::default();
    network.resync(vec![link(2, LinkState::Up, 1), address(2, "192.0.2.1"), route(2, Placed::Beside)], NOW);
    network
}

fn whats(network: &mut Network, facts: impl IntoIterator<Item = Fact>) -> Vec<What> {
    facts.into_iter().flat_map(|fact| network.apply(fact, NOW)).map(|change| change.what).collect()
}

fn returns(whats: &[What]) -> Vec<&'static str> {
    whats.iter().filter_map(|what| if let What::Returned(why) = what { Some(*why) } else { None }).collect()
}

#[test]
fn carrier_that_comes_back_to_a_configured_interface_is_a_return() {
    let mut network = up();
    let seen =
        whats(&mut network, [link(2, LinkState::NoCarrier, 2), link(2, LinkState::Up, 3), link(2, LinkState::Up, 3)]);
    let back = What::Returned("it has carrier, an address and a default route again");
    assert_eq!(seen, [What::CarrierLost, What::CarrierReturned, back], "and its repetition is none");
}

#[test]
fn an_interface_that_is_set_up_from_nothing_returns_at_its_address_and_at_its_route() {
    let mut network = Network::default();
    let facts = [
        link(2, LinkState::Off, 0),
        link(2, LinkState::NoCarrier, 1),
        link(2, LinkState::Up, 2),
        address(2, "fe80::1"),
        address(2, "169.254.1.1"),
        address(2, "192.0.2.1"),
        address(2, "192.0.2.2"),
        route(2, Placed::Beside),
        Fact::Route { index: 2, route: Route { v6: true, ..DEFAULT }, gateway: None, placed: Placed::Beside },
    ];
    let seen = whats(&mut network, facts);
    assert_eq!(returns(&seen), ["it has carrier and an address again", "it has a default route again"]);
    assert_eq!(seen[0], What::Appeared);
    assert_eq!(
        seen.iter().filter(|what| matches!(what, What::AddressGained(_))).count(),
        2,
        "link-local ones are none"
    );
}

#[test]
fn a_gateway_that_is_changed_leaves_the_interface_its_way_out() {
    let mut network = up();
    let to = |text: &str| text.parse().ok();
    let laid = Fact::Route { index: 2, route: DEFAULT, gateway: to("192.0.2.253"), placed: Placed::Beside };
    let gone = |text: &str| Fact::RouteGone { index: 2, route: DEFAULT, gateway: to(text) };
    // The new one is laid before the old one is taken away.
    assert_eq!(whats(&mut network, [laid, gone("192.0.2.254")]), []);
    assert_eq!(network.links().links[0].gateways, [to("192.0.2.253")]);
    assert_eq!(whats(&mut network, [gone("192.0.2.253")]), [What::RouteLost]);
}

#[test]
fn switching_off_removes_the_routes_as_the_kernel_does() {
    let mut network = up();
    let seen = whats(&mut network, [link(2, LinkState::Off, 2), link(2, LinkState::Up, 3)]);
    assert_eq!(returns(&seen), ["it has carrier and an address again"]);
    assert!(seen.contains(&What::SwitchedOff) && seen.contains(&What::RouteLost) && seen.contains(&What::SwitchedOn));
}

#[test]
fn a_loss_that_nobody_saw_shows_in_the_count() {
    let mut network = up();
    assert_eq!(whats(&mut network, [link(2, LinkState::Up, 3)]), [What::Blinked { times: 1 }]);
    assert_eq!(
        whats(&mut network, [link(2, LinkState::NoCarrier, 8)]),
        [What::Blinked { times: 2 }, What::CarrierLost]
    );
}

#[test]
fn what_was_asked_is_not_told_again_and_an_older_message_does_not_undo_it() {
    let mut network = up();
    let asked = |carrier| Fact::Carrier { index: 2, carrier };
    assert_eq!(whats(&mut network, [asked(Carrier::Lost)]), [What::CarrierLost]);
    assert_eq!(whats(&mut network, [link(2, LinkState::NoCarrier, 2)]), [], "the kernel says the same, late");
    let back = whats(&mut network, [asked(Carrier::There)]);
    assert_eq!(back[0], What::CarrierReturned);
    assert_eq!(whats(&mut network, [link(2, LinkState::NoCarrier, 2)]), [], "from before");
    assert_eq!(whats(&mut network, [link(2, LinkState::Up, 3)]), []);
}

#[test]
fn a_route_that_is_replaced_leaves_the_interface_it_led_through() {
    let mut network = up();
    network.apply(link(3, LinkState::Up, 1), NOW);
    let moved = network.apply(route(3, Placed::Instead), NOW);
    let told: Vec<_> = moved.into_iter().map(|change| (change.index, change.what)).collect();
    assert_eq!(told[..2], [(2, What::RouteLost), (3, What::RouteGained)]);
}

#[test]
fn what_was_missed_is_seen_in_the_next_dump_and_what_was_known_is_not_told_again() {
    let mut network = up();
    let facts = || vec![link(2, LinkState::Up, 1), address(2, "192.0.2.1"), route(2, Placed::Beside)];
    assert_eq!(network.resync(facts(), NOW), []);
    let lost = network.resync(vec![link(2, LinkState::NoCarrier, 2)], NOW);
    assert_eq!(lost.len(), 3, "carrier, address, route: {lost:?}");
    assert!(network.resync(facts(), NOW).iter().any(|change| matches!(change.what, What::Returned(_))));
}

#[test]
fn an_interface_taken_out_and_put_in_unseen_is_another_one() {
    let with_permanent = |last| {
        Fact::Link(LinkFact {
            index: 2,
            name: "usb0".into(),
            state: LinkState::Up,
            permanent: Mac::new(&[0, 1, 2, 3, 4, last]),
            ..LinkFact::default()
        })
    };
    let mut network = Network::default();
    network.resync(vec![with_permanent(1)], NOW);
    let told: Vec<_> = network.resync(vec![with_permanent(2)], NOW).into_iter().map(|change| change.what).collect();
    assert_eq!(told, [What::Gone, What::Appeared]);
}

#[test]
fn what_others_see_says_how_it_is_and_since_when() {
    let mut network = up();
    network.apply(link(2, LinkState::NoCarrier, 2), Media::from_millis(1000));
    let links = network.links();
    let shown = links.named("eth2").unwrap().shown(vec!["relay".into()], Media::from_millis(4000));
    assert_eq!((shown.condition, shown.for_ms), (LinkCondition::NoCarrier, 3000));
    assert_eq!(shown.gateways, ["192.0.2.254"]);
    assert_eq!(shown.class, LinkClass::Unknown);
    assert!(shown.history[0].what.contains("carrier lost"), "{:?}", shown.history);
    assert!(links.preferred().is_none(), "nothing leaves by what has no carrier");
    assert_eq!(up().links().preferred().unwrap().name, "eth2");
}

/// Any fact about a few interfaces, as a kernel could say it.
fn fact() -> impl Strategy<Value = Fact> {
    let state = prop_oneof![Just(LinkState::Off), Just(LinkState::NoCarrier), Just(LinkState::Up)];
    let carrier = prop_oneof![Just(Carrier::There), Just(Carrier::Lost)];
    let index = 1u32..4;
    let placed = prop_oneof![Just(Placed::Beside), Just(Placed::Instead)];
    let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
    prop_oneof![
        (index.clone(), state, 0u32..6).prop_map(|(index, state, changes)| link(index, state, changes)),
        index.clone().prop_map(|index| Fact::LinkGone { index }),
        (index.clone(), 0u8..4).prop_map(move |(index, n)| Fact::Address { index, address: ip(n), prefix: 24 }),
        (index.clone(), 0u8..4).prop_map(move |(index, n)| Fact::AddressGone { index, address: ip(n) }),
        (index.clone(), placed).prop_map(|(index, placed)| route(index, placed)),
        index.clone().prop_map(|index| Fact::RouteGone { index, route: DEFAULT, gateway: "192.0.2.254".parse().ok() }),
        (index, carrier).prop_map(|(index, carrier)| Fact::Carrier { index, carrier }),
    ]
}

/// What a listener makes of changes: who is there, with which carrier and addresses.
#[derive(Debug, Default, PartialEq)]
struct Listener(BTreeMap<u32, (LinkState, BTreeSet<IpAddr>, bool)>);

impl Listener {
    fn of(network: &Network) -> Self {
        let of = |i: &Interface| {
            let addresses = i.addresses.keys().copied().filter(|a| is_useful(*a)).collect();
            (i.state, addresses, i.has_default_route())
        };
        Self(network.interfaces.iter().map(|(index, i)| (*index, of(i))).collect())
    }

    fn hear(&mut self, change: &Change, after: &Network) {
        let state = after.interfaces.get(&change.index).map_or(LinkState::Off, |i| i.state);
        if change.what == What::Gone {
            assert!(self.0.remove(&change.index).is_some(), "gone, but never there");
            return;
        }
        if change.what == What::Appeared {
            let routed = after.interfaces.get(&change.index).is_some_and(Interface::has_default_route);
            assert!(self.0.insert(change.index, (state, BTreeSet::new(), routed)).is_none(), "there twice");
            return;
        }
        let (known, addresses, routed) = self.0.get_mut(&change.index).expect("of an interface that is there");
        match &change.what {
            What::CarrierLost => {
                assert_eq!(*known, LinkState::Up);
                *known = LinkState::NoCarrier;
            }
            What::CarrierReturned => {
                assert_eq!(*known, LinkState::NoCarrier);
                *known = LinkState::Up;
            }
            What::SwitchedOff => {
                assert_ne!(*known, LinkState::Off);
                *known = LinkState::Off;
            }
            What::SwitchedOn => {
                assert_eq!(*known, LinkState::Off);
                *known = state;
            }
            What::AddressGained(address) => assert!(addresses.insert(*address), "gained twice"),
            What::AddressLost(address) => assert!(addresses.remove(address), "lost, but never there"),
            What::RouteGained => assert!(!std::mem::replace(routed, true)),
            What::RouteLost => assert!(std::mem::replace(routed, false)),
            What::Blinked { times } => assert!(*times > 0),
            What::Returned(_) => assert_eq!(state, LinkState::Up),
            What::Renamed { .. } | What::Appeared | What::Gone => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn whoever_only_hears_the_changes_knows_what_there_is(
        first in proptest::collection::vec(fact(), 0..20),
        then in proptest::collection::vec(fact(), 0..60),
        last in proptest::collection::vec(fact(), 0..20),
    ) {
        let mut network = Network::default();
        network.resync(first, NOW);
        let mut listener = Listener::of(&network);
        for fact in then {
            for change in network.apply(fact.clone(), NOW) {
                listener.hear(&change, &network);
            }
            prop_assert_eq!(&listener, &Listener::of(&network), "after {:?}", fact);
            // What the kernel merely repeats is no news, but for a count that goes on.
            if !matches!(fact, Fact::Link(_)) {
                prop_assert_eq!(network.apply(fact, NOW), []);
            }
        }
        for change in network.resync(last.clone(), NOW) {
            listener.hear(&change, &network);
        }
        prop_assert_eq!(&listener, &Listener::of(&network));
        let mut fresh = Network::default();
        fresh.resync(last, NOW);
        prop_assert_eq!(Listener::of(&fresh), Listener::of(&network), "a dump is the whole truth");
    }
}
