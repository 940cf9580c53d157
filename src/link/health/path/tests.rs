//! One path, told by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::*;
use crate::link::health::budget::Allowance;
use crate::link::health::{
    Evidence, Grade, Health, Outlook, Probation, Score, ServerFault, SessionId, Standing, Unclean,
};
use crate::model::InterfaceName;

fn name(text: &str) -> InterfaceName {
    InterfaceName::new(text).unwrap()
}

fn route(link: &str, ingest: usize) -> Route {
    Route { link: name(link), ingest }
}

struct Desk {
    path: Path,
    now: Instant,
}

impl Desk {
    fn new(rule: Rule, ingests: usize) -> Self {
        let now = Instant::now();
        Self { path: Path::new(rule, Spares::Always, ingests, now), now }
    }

    fn hear(&mut self, input: Input) -> Vec<Decision> {
        self.path.observe(self.now, input);
        self.decisions()
    }

    fn decisions(&mut self) -> Vec<Decision> {
        std::iter::from_fn(|| self.path.poll(self.now)).collect()
    }

    fn link(&mut self, link: &str, health: Health) -> Vec<Decision> {
        self.told(link, health, Allowance::Free, 80)
    }

    fn told(&mut self, link: &str, health: Health, allowance: Allowance, points: u8) -> Vec<Decision> {
        let standing = Standing { health, grade: Grade::Good, score: Score(points), outlook: Outlook::Fair };
        self.hear(Input::Link { link: name(link), standing: Some(standing), allowance })
    }

    fn up(&self) -> Health {
        Health::Up { since: self.now }
    }

    fn dead(&self) -> Health {
        Health::Dead { since: self.now, evidence: Evidence::NoCarrier { lasting: Duration::from_millis(100) } }
    }

    fn fault(&self) -> Input {
        Input::ServerFault(ServerFault {
            session: SessionId(1),
            silent: Duration::from_secs(2),
            backoff: 2,
            unbroken: Duration::from_secs(9),
        })
    }

    fn passes(&mut self, seconds: u64) -> Vec<Decision> {
        self.now += Duration::from_secs(seconds);
        self.decisions()
    }
}

fn failover() -> Rule {
    Rule::Failover(vec![name("eth"), name("lte"), name("sat")])
}

/// On `eth`, with a standby over `lte` that is ready.
fn desk(ingests: usize) -> Desk {
    let mut desk = Desk::new(failover(), ingests);
    for link in ["sat", "lte", "eth"] {
        desk.link(link, desk.up());
    }
    assert_eq!(
        desk.path.route().map(|at| at.link.as_str().to_owned()),
        Some("sat".to_owned()),
        "trusted, and first heard"
    );
    for _ in 0..2 {
        if let Some(standby) = desk.path.route().cloned().filter(|at| at.link != name("eth")) {
            assert_ne!(standby, route("eth", 0));
            desk.hear(Input::Ready(route("eth", 0)));
            desk.hear(Input::Keyframe);
        }
    }
    assert_eq!(desk.path.route(), Some(&route("eth", 0)));
    desk.hear(Input::Ready(route("lte", 0)));
    desk.passes(60);
    desk
}

#[test]
fn a_dead_link_is_left_for_its_standby_and_returned_to_at_a_keyframe() {
    let mut desk = desk(1);
    let left = desk.link("eth", desk.dead());
    assert!(matches!(&left[0], Decision::Switch { to, how: How::Hot, .. } if *to == route("lte", 0)), "{left:?}");
    desk.hear(Input::Ready(route("sat", 0)));
    desk.passes(60);
    // Trusted again.
    let made = desk.link("eth", desk.up());
    assert_eq!(made, [Decision::Prepare { route: route("eth", 0), purpose: Purpose::Move }]);
    assert_eq!(desk.hear(Input::Keyframe), [], "not before there is a session");
    assert_eq!(desk.hear(Input::Ready(route("eth", 0))), [], "not before a keyframe");
    let back = desk.hear(Input::Keyframe);
    assert!(
        matches!(&back[0], Decision::Switch { to, how: How::AtKeyframe, why: Why::Preferred(_), .. } if *to == route("eth", 0)),
        "{back:?}"
    );
}

#[test]
fn another_link_begins_with_the_next_address_where_the_far_end_may_hold_the_first() {
    let mut desk = Desk::new(failover(), 2);
    desk.path = Path::new(failover(), Spares::Always, 2, desk.now).beginning(Elsewhere::NextAddress);
    for link in ["eth", "lte", "sat"] {
        desk.link(link, desk.up());
    }
    assert_eq!(desk.path.route(), Some(&route("eth", 0)));
    desk.hear(Input::Ready(route("lte", 1)));
    let left = desk.link("eth", desk.dead());
    assert!(matches!(&left[0], Decision::Switch { to, how: How::Hot, .. } if *to == route("lte", 1)), "{left:?}");
    // And back again.
    let made = desk.link("eth", desk.up());
    assert!(made.contains(&Decision::Prepare { route: route("eth", 0), purpose: Purpose::Move }), "{made:?}");
}

#[test]
fn a_pinned_stream_begins_on_a_link_that_is_not_there_and_says_so() {
    let mut desk = Desk::new(Rule::Pinned(name("eth")), 1);
    let begun = desk.hear(Input::Link { link: name("eth"), standing: None, allowance: Allowance::Free });
    assert!(matches!(&begun[0], Decision::Switch { from: None, to, .. } if *to == route("eth", 0)), "{begun:?}");
    assert!(matches!(&begun[1], Decision::Stays { why: Why::LinkGone(_), .. }), "{begun:?}");
}

#[test]
fn a_pinned_stream_stays_and_says_so_once() {
    let mut desk = Desk::new(Rule::Pinned(name("eth")), 1);
    desk.link("lte", desk.up());
    desk.link("eth", desk.up());
    let said = desk.link("eth", desk.dead());
    assert!(matches!(&said[..], [Decision::Stays { .. }]), "{said:?}");
    assert!(said[0].to_string().starts_with("stays on eth, address 1, where it is pinned: eth is dead: no carrier"));
    assert_eq!(desk.passes(30), []);
    assert_eq!(desk.path.route(), Some(&route("eth", 0)));
}

#[test]
fn servers_take_turns_over_the_same_link_and_then_the_link_is_doubted() {
    let mut desk = desk(3);
    for ingest in [1, 2] {
        let fault = desk.fault();
        let said = desk.hear(fault);
        assert!(matches!(&said[0], Decision::Switch { to, .. } if *to == route("eth", ingest)), "{said:?}");
        desk.passes(11);
    }
    let fault = desk.fault();
    let said = desk.hear(fault);
    assert!(matches!(&said[0], Decision::Switch { to, .. } if to.link == name("lte")), "{said:?}");
    let back = desk.hear(Input::Keyframe);
    assert!(
        !back.iter().any(|d| matches!(d, Decision::Switch { .. })),
        "all servers are left alone over eth: {back:?}"
    );
}

#[test]
fn changes_beyond_the_bound_wait_and_are_made_then() {
    let mut desk = Desk::new(Rule::Failover(vec![name("eth"), name("lte")]), 1);
    desk.link("eth", desk.up());
    desk.link("lte", desk.up());
    let mut changes = 0;
    let mut put_off = None;
    for round in 0..10 {
        desk.now += Duration::from_millis(200);
        let (down, up) = if round % 2 == 0 { ("eth", "lte") } else { ("lte", "eth") };
        desk.link(up, desk.up());
        for decision in desk.link(down, desk.dead()) {
            match decision {
                Decision::Switch { .. } => changes += 1,
                Decision::PutOff { until, .. } => put_off = Some(until),
                Decision::Prepare { .. }
                | Decision::Activate { .. }
                | Decision::StandDown { .. }
                | Decision::Stays { .. }
                | Decision::Stranded { .. }
                | Decision::Halt { .. }
                | Decision::Reconnect { .. } => {}
            }
        }
        if put_off.is_some() {
            break;
        }
    }
    assert_eq!(changes, BURST);
    let until = put_off.unwrap();
    assert_eq!(desk.path.poll_timeout(), Some((until, Reason::Allowed)));
    desk.now = until;
    assert!(desk.decisions().iter().any(|decision| matches!(decision, Decision::Switch { .. })));
}

#[test]
fn a_spent_link_is_left_and_a_barred_one_at_once() {
    let mut desk = desk(1);
    let said = desk.told("eth", desk.up(), Allowance::Spent, 80);
    assert!(!said.iter().any(|decision| matches!(decision, Decision::Switch { .. })), "in its own time: {said:?}");
    let moved = desk.hear(Input::Keyframe);
    assert!(matches!(&moved[0], Decision::Switch { how: How::AtKeyframe, why: Why::BudgetSpent(_), .. }), "{moved:?}");
    desk.hear(Input::Ready(route("sat", 0)));
    desk.passes(60);
    let said = desk.told("lte", desk.up(), Allowance::Barred, 80);
    assert!(matches!(&said[0], Decision::Switch { to, .. } if *to == route("sat", 0)), "{said:?}");
}

#[test]
fn a_spent_link_is_left_for_one_that_loses_much_and_not_for_one_that_proves_itself() {
    let mut desk = Desk::new(Rule::Failover(vec![name("eth"), name("lte")]), 1);
    desk.told("eth", desk.up(), Allowance::Spent, 80);
    let probation = Probation {
        since: desk.now,
        clean: Some(desk.now),
        unclean: Unclean::Clean,
        needs: Duration::from_secs(60),
        relapses: 0,
        failed: None,
    };
    desk.told("lte", Health::Dead { since: desk.now, evidence: Evidence::Captive }, Allowance::Free, 0);
    assert_eq!(desk.path.route(), Some(&route("eth", 0)), "nothing else works");
    desk.told("lte", Health::Probation(probation), Allowance::Free, 60);
    desk.hear(Input::Ready(route("lte", 0)));
    assert_eq!(desk.hear(Input::Keyframe), [], "it may be gone in a moment");
    let poor = Standing { health: desk.up(), grade: Grade::Poor, score: Score(30), outlook: Outlook::Fair };
    desk.hear(Input::Link { link: name("lte"), standing: Some(poor), allowance: Allowance::Free });
    let moved = desk.hear(Input::Keyframe);
    assert!(matches!(&moved[0], Decision::Switch { how: How::AtKeyframe, why: Why::BudgetSpent(_), .. }), "{moved:?}");
    desk.hear(Input::Ready(route("eth", 0)));
    desk.passes(600);
    assert_eq!(desk.hear(Input::Keyframe), [], "it is not returned to");
}

#[test]
fn a_barred_link_is_not_used_though_it_is_the_only_one_and_the_stream_goes_on_when_it_may() {
    let only = [Rule::Pinned(name("eth")), Rule::Failover(vec![name("eth"), name("lte")])];
    for rule in only {
        let mut desk = Desk::new(rule, 1);
        desk.told("lte", desk.dead(), Allowance::Free, 0);
        desk.link("eth", desk.up());
        assert_eq!(desk.path.route(), Some(&route("eth", 0)));
        let halted = [Decision::Halt { why: Why::BudgetSpent(name("eth")) }];
        assert_eq!(desk.told("eth", desk.up(), Allowance::Barred, 80), halted);
        assert_eq!(desk.path.route(), None);
        assert_eq!(desk.told("eth", desk.up(), Allowance::Barred, 70), [], "told once");
        assert_eq!(desk.passes(60), []);
        let begun = desk.link("eth", desk.up());
        assert!(matches!(&begun[..], [Decision::Switch { from: None, .. }]), "more was bought: {begun:?}");
    }
}

#[test]
fn a_link_that_is_barred_from_the_start_is_not_begun_with() {
    let mut desk = Desk::new(Rule::Pinned(name("eth")), 1);
    let said = desk.told("eth", desk.up(), Allowance::Barred, 80);
    assert_eq!(said, [Decision::Halt { why: Why::BudgetSpent(name("eth")) }]);
    let mut desk = Desk::new(Rule::Failover(vec![name("eth"), name("lte")]), 1);
    desk.told("eth", desk.up(), Allowance::Barred, 80);
    desk.link("lte", desk.up());
    assert_eq!(desk.path.route(), Some(&route("lte", 0)));
    // It stays the only one: what dies under it is not a reason to use what is barred.
    let said = desk.link("lte", desk.dead());
    assert!(matches!(&said[..], [Decision::Stranded { why: Why::Link { .. } }]), "{said:?}");
}

#[test]
fn the_best_link_is_chosen_by_points_that_hold() {
    let mut desk = Desk::new(Rule::Best(vec![name("eth"), name("lte")]), 1);
    desk.link("eth", desk.up());
    desk.link("lte", desk.up());
    desk.hear(Input::Ready(route("lte", 0)));
    desk.passes(30);
    // A little better for long, or much better for a moment: no.
    desk.told("lte", desk.up(), Allowance::Free, 80 + MARGIN - 1);
    desk.passes(60);
    assert_eq!(desk.hear(Input::Keyframe), []);
    desk.told("lte", desk.up(), Allowance::Free, 80 + MARGIN);
    desk.passes(5);
    assert_eq!(desk.hear(Input::Keyframe), []);
    desk.passes(5);
    let said = desk.hear(Input::Keyframe);
    assert!(matches!(&said[0], Decision::Switch { why: Why::Better { .. }, .. }), "{said:?}");
}

#[test]
fn a_lost_carrier_makes_the_standby_carry_and_rest_again() {
    let mut desk = desk(1);
    let evidence = Evidence::NoCarrier { lasting: Duration::ZERO };
    let said = desk.link("eth", Health::Suspect { since: desk.now, evidence });
    assert!(matches!(&said[..], [Decision::Activate { route: to, .. }] if *to == route("lte", 0)), "{said:?}");
    let said = desk.link("eth", desk.up());
    assert_eq!(said, [Decision::StandDown { route: route("lte", 0) }]);
}

#[test]
fn a_session_lost_on_a_link_that_loses_packets_is_not_its_servers_fault() {
    let mut desk = desk(2);
    desk.told("lte", desk.up(), Allowance::Free, 90);
    let left = desk.hear(Input::Failed(route("eth", 0)));
    assert!(
        matches!(&left[0], Decision::Switch { to, why: Why::Poor(link), .. } if to.link == name("lte") && *link == name("eth")),
        "{left:?}"
    );
    // With as many points as the others, the link is not to blame.
    let mut desk = self::desk(2);
    let left = desk.hear(Input::Failed(route("eth", 0)));
    assert!(matches!(&left[0], Decision::Switch { to, .. } if *to == route("eth", 1)), "{left:?}");
}

#[test]
fn a_session_whose_address_is_gone_goes_to_the_standby_and_blames_nobody() {
    let mut desk = desk(2);
    assert_eq!(desk.hear(Input::Uprooted(route("sat", 0))), [], "of another route");
    let left = desk.hear(Input::Uprooted(route("eth", 0)));
    assert!(
        matches!(&left[0], Decision::Switch { to, how: How::Hot, why: Why::Uprooted(_), .. } if *to == route("lte", 0)),
        "{left:?}"
    );
    // It may be returned to as soon as there is a session.
    let made = desk.passes(1);
    assert!(
        left.iter()
            .chain(&made)
            .any(|told| matches!(told, Decision::Prepare { route: to, .. } if *to == route("eth", 0))),
        "{left:?} {made:?}"
    );
}

#[test]
fn a_standby_goes_to_the_address_it_should_have_as_soon_as_that_can_be_had() {
    let mut desk = Desk::new(failover(), 2);
    desk.path = Path::new(failover(), Spares::Always, 2, desk.now).beginning(Elsewhere::NextAddress);
    for link in ["eth", "lte", "sat"] {
        desk.link(link, desk.up());
    }
    let made = desk.hear(Input::Failed(route("lte", 1)));
    assert_eq!(made, [Decision::Prepare { route: route("lte", 0), purpose: Purpose::Spare }], "better than nothing");
    assert_eq!(desk.hear(Input::Ready(route("lte", 0))), []);
    assert_eq!(desk.passes(4), []);
    assert_eq!(desk.passes(2), [Decision::Prepare { route: route("lte", 1), purpose: Purpose::Spare }]);
}

#[test]
fn a_link_that_has_just_begun_to_lose_packets_is_left_with_its_session() {
    let mut desk = desk(2);
    let health = desk.up();
    let standing = Standing { health, grade: Grade::Good, score: Score(80), outlook: Outlook::Foul };
    desk.hear(Input::Link { link: name("eth"), standing: Some(standing), allowance: Allowance::Free });
    let left = desk.hear(Input::Failed(route("eth", 0)));
    assert!(matches!(&left[0], Decision::Switch { to, how: How::Hot, .. } if *to == route("lte", 0)), "{left:?}");
}
