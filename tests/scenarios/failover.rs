//! A box that publishes over RTMP and loses the uplink under it: real kernel routing, a real server that records what it
//! gets, and a relay that answers probes.

use holdfast::clock;
use holdfast::events::EventKind;
use holdfast::model::Media;

use crate::support::picture::{Count, Recording};
use crate::support::results::record;
use crate::support::rig::{repetitions, soaking};
use crate::support::show::{Fault, Plan, Show, UPLINKS, together};
use crate::support::tools::ip;

fn judge(name: &'static str, order: &str, faults: &[Fault], recordings: &[Recording]) -> Count {
    let (all, twice) = together(recordings);
    let publishing: Vec<i64> = faults.iter().map(|fault| fault.publishing).collect();
    let detected: Vec<i64> = faults.iter().map(|fault| fault.detected).collect();
    record(
        name,
        &[
            ("fault", order.to_owned()),
            ("detected_ms", format!("{detected:?}")),
            ("publishing_ms", format!("{publishing:?}")),
            ("sessions", recordings.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(publishing.iter().all(|ms| *ms <= 3000), "publishing again after {publishing:?} ms");
    all
}

#[test]
fn a_black_hole_is_left_for_the_other_uplink_and_no_frame_is_lost() {
    let Some(mut show) = Show::begin("failover-hole", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let faults: Vec<Fault> = (0..repetitions(3, 20)).map(|_| show.lose("hole")).collect();
    let recordings = show.end();
    let all = judge("failover-hole", "hole", &faults, &recordings);
    assert!(all.is_perfect(), "{all}");
}

#[test]
fn a_hole_of_one_way_and_a_pulled_cable_lose_no_frame_either() {
    let Some(mut show) = Show::begin("failover-cut", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let mut faults = Vec::new();
    for _ in 0..repetitions(1, 10) {
        for order in ["hole forward", "hole back", "cut"] {
            faults.push(show.lose(order));
        }
    }
    let recordings = show.end();
    let all = judge("failover-cut", "hole forward, hole back, cut", &faults, &recordings);
    assert!(all.is_perfect(), "{all}");
}

/// Holes of 80 to 600 ms, as a dish has them when it changes its satellite, and queues of 700 ms, as a cell has them. Neither
/// is death: the stream stays where it is, and nothing of it is lost.
#[test]
fn holes_and_queues_as_radio_has_them_move_nothing() {
    let Some(mut show) = Show::begin("failover-radio", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    // The pattern's 15 s are a matter of how long it takes to see many.
    let (holes, apart) = if soaking() { (40, Media::from_millis(15_000)) } else { (6, Media::from_millis(3000)) };
    let mut random = fastrand::Rng::with_seed(15);
    let before = show.rig.events().len();
    let in_use = show.rig.output("youtube").route.expect("a link in use");
    let mut lengths = Vec::new();
    for n in 0..holes {
        let begun = clock::media();
        if n % 3 == 2 {
            show.order(&format!("{in_use} rate 1200k queue 700ms forward"));
            clock::sleep_until(begun + Media::from_millis(2000));
            show.order(&format!("{in_use} rate off forward"));
        } else {
            let length = random.i64(80..=600);
            lengths.push(length);
            show.order(&format!("{in_use} hole"));
            clock::sleep_until(begun + Media::from_millis(length));
            show.order(&format!("{in_use} hole off"));
        }
        clock::sleep_until(begun + apart);
    }
    let (verdicts, output) = (show.verdicts(before), show.rig.output("youtube"));
    let recordings = show.end();
    let (all, _) = together(&recordings);
    record(
        "failover-radio",
        &[
            ("holes_ms", format!("{lengths:?}")),
            ("false_deaths", verdicts.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
        ],
    );
    assert_eq!(verdicts, Vec::<String>::new());
    assert_eq!((output.sessions, output.lost), (1, 0));
    assert!(all.is_perfect(), "{all}");
}

/// The link answers, the server does not: the other address, over the same link.
#[test]
fn a_server_that_hangs_behind_a_good_link_is_left_for_the_other_address() {
    let Some(show) = Show::begin("failover-server", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let before = show.rig.events().len();
    let (in_use, hung) = (show.rig.output("youtube").route, clock::media());
    show.nginx.hang();
    let moved = show.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
    println!("    {}", moved.reason);
    let after = (moved.mono - hung).to_ticks(1000);
    record("failover-server", &[("left_after_ms", after.to_string())]);
    // The kernel of a server that hangs goes on to confirm until its buffer is full.
    let verdicts = show.verdicts(before);
    assert!(verdicts.iter().any(|v| v.contains("while probes have been answered")), "{verdicts:?}");
    assert_eq!(show.rig.output("youtube").route, in_use, "the link is not to blame");
    show.nginx.go_on();
    show.rig.wait_publishing(&["youtube"]);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

/// DHCP gives the interface in use another address: whatever is bound to the old one is over.
#[test]
fn another_address_on_the_interface_in_use_costs_no_frame() {
    let Some(show) = Show::begin("failover-address", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let (mut again, mut hosts) = (Vec::new(), [1; UPLINKS.len()]);
    for n in 1..=repetitions(2, 10) {
        let (before, route) = (show.rig.events().len(), show.rig.output("youtube").route.expect("a link in use"));
        let place = 1 + UPLINKS.iter().position(|(name, _)| *name == route).expect("an uplink of ours");
        let renewed = clock::media();
        let (old, new) = (std::mem::replace(&mut hosts[place - 1], n + 9), n + 9);
        show.bed
            .at_box(|| {
                ip(&format!("addr del 10.77.{place}.{old}/24 dev {route}"))?;
                ip(&format!("addr add 10.77.{place}.{new}/24 dev {route}"))?;
                ip(&format!("route replace default via 10.77.{place}.2 dev {route} metric {place}"))
            })
            .expect("an address");
        let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        again.push((up.mono - renewed).to_ticks(1000));
        println!("    {:?}", show.verdicts(before));
        // As many changes in a row are allowed as a quick run has.
        show.rig.let_pass(if soaking() { 11 } else { 3 });
        show.wait_standby();
    }
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    record(
        "failover-address",
        &[
            ("publishing_ms", format!("{again:?}")),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(all.is_perfect(), "{all}");
}

/// A link that has failed is returned to when it has been clean for its probation, from one picture to the next.
#[test]
fn the_first_uplink_is_returned_to_at_a_keyframe_when_it_has_proved_itself() {
    let Some(mut show) = Show::begin("failover-return", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
        return;
    };
    let first = show.rig.output("youtube").route.expect("a link in use");
    let start = show.rig.events().len();
    let cut = show.lose("cut");
    let alarm = show.rig.wait_event(start, "the standby to carry as well", |e| e.reason.contains("carries as well"));
    println!("    {} {cut:?}", alarm.reason);
    let before = show.rig.events().len();
    show.rig.let_pass(50);
    assert_eq!(show.verdicts(before), Vec::<String>::new(), "not before it has proved itself");
    let back = show.rig.wait_event(before, "the stream to return", |e| e.kind == EventKind::RouteChanged);
    println!("    {}", back.reason);
    assert!(back.reason.contains("at a keyframe"), "{}", back.reason);
    show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing && e.mono > back.mono);
    show.on_air_over("the first uplink", |link| link == first);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

/// Nobody is asked: then only what TCP repeats in vain tells of a dead link, later, and no session stands by.
#[test]
fn without_probes_a_black_hole_is_left_all_the_same() {
    let Some(mut show) = Show::of(&Plan { probe: String::new(), has_standby: false, ..Plan::new("failover-unprobed") })
    else {
        return;
    };
    let before = show.rig.events().len();
    let in_use = show.rig.output("youtube").route.expect("a link in use");
    show.order(&format!("{in_use} hole"));
    let hole = clock::media();
    let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
    println!("    {:?}", show.verdicts(before));
    record("failover-unprobed", &[("publishing_ms", (up.mono - hole).to_ticks(1000).to_string())]);
    show.on_air_over("the other uplink", |link| link != in_use);
    show.rig.let_pass(3);
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    println!("    {} frames, {} lost, {twice} sent again", all.frames, all.lost);
    assert!(all.is_perfect(), "{all}");
}

#[test]
fn where_the_server_holds_the_key_the_stream_waits_for_it_and_says_what_that_cost() {
    let Some(mut show) = Show::begin("failover-held", "takeover = \"retry-until-free\"") else { return };
    let faults: Vec<Fault> = (0..repetitions(2, 20)).map(|_| show.lose("hole")).collect();
    let lost = show.rig.output("youtube").lost;
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    let publishing: Vec<i64> = faults.iter().map(|fault| fault.publishing).collect();
    record(
        "failover-held",
        &[
            ("publishing_ms", format!("{publishing:?}")),
            ("sessions", recordings.len().to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
            ("units_beyond_the_ring", lost.to_string()),
        ],
    );
    // It lets go after 2 s of silence, and is asked again every second at least; the ring holds more than that.
    assert!(all.is_perfect() && lost == 0, "{all}; {lost} units beyond the ring");
    assert!(publishing.iter().all(|ms| *ms <= 6000), "publishing again after {publishing:?} ms");
}
