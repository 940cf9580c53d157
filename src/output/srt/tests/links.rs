//! What the interfaces under the paths do to a destination: the interfaces are made up, the sockets are real.

use super::*;
use crate::events::{Certainty, LinkClass};
use crate::link::{Classified, Identity, Knowledge, Link, LinkState, Links as Interfaces};

const OWN: [&str; 2] = ["127.0.0.11", "127.0.0.12"];

fn link(n: usize, index: u32, state: LinkState) -> Link {
    let id = format!("wan{n}");
    Link {
        index,
        name: id.clone(),
        identity: Identity { id, reason: "its name" },
        class: Classified { class: LinkClass::Ethernet, certainty: Certainty::Certain, reason: String::new() },
        state,
        addresses: vec![(OWN[n].parse().unwrap(), 8)],
        gateways: Vec::new(),
        routes: Vec::new(),
        speed_mbit: None,
        driver: None,
        mac: None,
        carrier_changes: None,
        since: Media::ZERO,
        history: Vec::new(),
    }
}

fn with(links: &[Link]) -> Arc<Interfaces> {
    Arc::new(Interfaces { knowledge: Knowledge::Kernel, links: links.to_vec(), rules: Vec::new(), overruns: 0 })
}

/// Main and spare, each from an address that one of the interfaces has.
fn bound(far: &Far) -> SrtDestinationSettings {
    let mut settings = settings(&far.addresses(), None);
    let Links::Backup(paths) = &mut settings.links else { panic!() };
    for (path, own) in paths.iter_mut().zip(OWN) {
        path.source = own.parse().ok();
    }
    settings
}

#[tokio::test]
async fn a_lost_carrier_makes_the_spare_carry_before_any_answer_is_overdue() {
    let test = async {
        let far = Far::start(2, None);
        let (up, down) = (LinkState::Up, LinkState::NoCarrier);
        let (kernel, links) = watch::channel(with(&[link(0, 2, up), link(1, 3, up)]));
        let mut rig = Rig::start_with(bound(&far), links);
        rig.tell(OutputCommand::Start).await;
        let both = |s: &OutputSnapshot| path(s, 0).state == PathState::Carries && path(s, 1).state == PathState::Ready;
        rig.until("both up, the first carrying", both).await;
        far.until("a second of media", |far| far.payloads.len() > 60).await;

        let cut = clock::media();
        far.deaf[0].set(true);
        kernel.send_replace(with(&[link(0, 2, down), link(1, 3, up)]));
        rig.until("switched", |s| s.srt.as_ref().unwrap().switches == 1).await;
        let helped = {
            let events = rig.events.lock().unwrap();
            let doubted = events.iter().find(|e| e.kind == EventKind::PathDoubted && e.mono >= cut).unwrap();
            assert!(doubted.reason.contains("has lost its carrier"), "{}", doubted.reason);
            (doubted.mono - cut).to_duration()
        };
        println!("the spare carries {helped:?} after the carrier was lost");
        assert!(helped < Duration::from_millis(500), "{helped:?}");
        rig.until(
            "held",
            |s| matches!(&path(s, 0).state, PathState::NoLink { because } if because.contains("carrier")),
        )
        .await;
        rig.assert_told(EventKind::PathDown, Severity::Warning, "no carrier");

        far.deaf[0].set(false);
        kernel.send_replace(with(&[link(0, 2, up), link(1, 3, up)]));
        let shown = rig.until("back", |s| path(s, 0).state.is_up()).await;
        assert_eq!((path(&shown, 0).connections, path(&shown, 1).connections, shown.sessions), (2, 1, 1));
        rig.tell(OutputCommand::Stop).await;
        rig.until("off", |s| s.state == OutputState::Off).await;
        assert!(far.units() > 60 && far.core.borrow().skipped == 0, "something got lost");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_interface_joins_when_it_appears_leaves_when_it_goes_and_calls_again_when_it_is_another() {
    let test = async {
        let far = Far::start(2, None);
        let up = LinkState::Up;
        let waiting = Link { addresses: vec![(OWN[1].parse().unwrap(), 8)], ..link(1, 3, LinkState::NoCarrier) };
        let (kernel, links) = watch::channel(with(&[link(0, 2, up), waiting]));
        let mut rig = Rig::start_with(bound(&far), links);
        rig.tell(OutputCommand::Start).await;
        rig.until("publishing on the first", |s| path(s, 0).state == PathState::Carries).await;
        assert!(matches!(path(&rig.handle.snapshot.borrow(), 1).state, PathState::NoLink { .. }));

        kernel.send_replace(with(&[link(0, 2, up), link(1, 3, up)]));
        rig.until("joined", |s| path(s, 1).state.is_up()).await;
        kernel.send_replace(with(&[link(0, 2, up), link(1, 4, up)]));
        let shown = rig.until("called again", |s| path(s, 1).connections == 2 && path(s, 1).state.is_up()).await;
        assert_eq!((path(&shown, 0).connections, shown.sessions), (1, 1), "the other one's business");
        rig.assert_told(EventKind::PathDown, Severity::Warning, "another one of its name");

        drop(kernel);
        tokio::task::yield_now().await;
        let shown = rig.until("still there", |s| path(s, 1).state.is_up()).await;
        assert_eq!(path(&shown, 1).connections, 2, "where nothing is known nothing is held");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_call_from_before_the_carrier_was_lost_says_nothing_of_the_path_that_is_up_by_then() {
    let test = async {
        let far = Far::start(2, None);
        far.deaf[1].set(true);
        let (up, down) = (LinkState::Up, LinkState::NoCarrier);
        let (kernel, links) = watch::channel(with(&[link(0, 2, up), link(1, 3, up)]));
        let mut rig = Rig::start_with(bound(&far), links);
        rig.tell(OutputCommand::Start).await;
        let begun = clock::now();
        let at = |ms| sleep_until((begun + Duration::from_millis(ms)).into());
        rig.until("publishing on the first", |s| path(s, 0).state == PathState::Carries).await;
        // The second has asked for the last time, at 2.75 s, and gives up at 3 s; in between its link blinks.
        at(2850).await;
        far.deaf[1].set(false);
        kernel.send_replace(with(&[link(0, 2, up), link(1, 3, down)]));
        rig.until("held", |s| matches!(path(s, 1).state, PathState::NoLink { .. })).await;
        kernel.send_replace(with(&[link(0, 2, up), link(1, 3, up)]));
        rig.until("up", |s| path(s, 1).state.is_up()).await;
        at(4000).await;
        let shown = rig.until("still up", |s| path(s, 1).state.is_up()).await;
        assert_eq!((path(&shown, 0).connections, path(&shown, 1).connections), (1, 1));
        assert_eq!(far.core.borrow().sessions[0].paths().count(), 2, "one path over each link");
    };
    LocalSet::new().run_until(test).await;
}
