//! What venues' networks do to a box on air: a page that wants somebody to log in, name servers that say nothing, an uplink
//! that loses a third of everything, an interface that is plugged in late and pulled out early.

use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast::clock;
use holdfast::events::{Event, EventKind};
use holdfast::model::Media;

use crate::support::results::record;
use crate::support::rig::repetitions;
use crate::support::show::{ECHO, Fault, Plan, SERVER, Show, together};
use crate::support::tools::ip;

/// The interface that comes and goes.
const STICK: &str = "usb0";
const CLEAR: &str = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
const LOGIN: &str = "HTTP/1.1 302 Found\r\nLocation: http://10.0.0.1/login\r\nContent-Length: 0\r\n\r\n";
const PAGE_PORT: u16 = 80;

/// Serves the page that the check asks for; to whoever comes over the first uplink it plays the portal while it is told to.
fn page(is_captive: Arc<AtomicBool>) -> io::Result<()> {
    let listener = TcpListener::bind(("0.0.0.0", PAGE_PORT))?;
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let from_first = peer.ip().to_string().starts_with("10.77.1.");
            let answer = if from_first && is_captive.load(Ordering::Relaxed) { LOGIN } else { CLEAR };
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(())
}

/// A venue's network that lets nobody out whose time is up: everything stops but the page that wants a new login. That such a
/// link answers probes again, because these are let through, is not enough.
#[test]
fn a_captive_portal_is_left_and_not_returned_to_though_it_answers_probes() {
    let is_captive = Arc::new(AtomicBool::new(false));
    let check = format!("portal_check = \"http://{SERVER}:{PAGE_PORT}/generate_204\"");
    let probe = format!("[probe]\ntargets = [\"echo://{SERVER}:{ECHO}\"]\n{check}");
    let Some(show) = Show::of(&Plan { probe, ..Plan::new("networks-portal") }) else { return };
    show.bed.at_relay(|| page(is_captive.clone())).expect("port 80 is free in its namespace");
    show.rig.let_pass(2);
    let before = show.rig.events().len();
    is_captive.store(true, Ordering::Relaxed);
    // Protocols by number: their names are in /etc/protocols, which a bare machine has not.
    let rtmp = format!("ipproto 6 sport {}", show.nginx.port);
    show.bar(1, "ipproto 17");
    show.bar(1, &rtmp);
    let moved = show.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
    println!("    {}", moved.reason);
    show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
    show.on_air_over("the other uplink", |link| link == "wwan0");
    let is_portal = |e: &Event| e.subject == "eth0" && e.reason.contains("captive portal");
    let found = show.rig.wait_event(before, "the portal to be found", is_portal);
    println!("    {}", found.reason);
    // From here on probes pass, as they do at many a portal.
    show.unbar(1, "ipproto 17");
    let passed = show.rig.events().len();
    show.rig.let_pass(20);
    let trusted =
        show.rig.events().into_iter().skip(passed).any(|e| e.subject == "eth0" && e.reason.contains("trusted"));
    assert!(!trusted, "a portal is not the Internet");
    // Somebody logs in.
    is_captive.store(false, Ordering::Relaxed);
    show.unbar(1, &rtmp);
    show.wait_standby();
    let recordings = show.end();
    let (all, twice) = together(&recordings);
    record(
        "networks-portal",
        &[
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert!(all.is_perfect(), "{all}");
}

/// An uplink that loses 30 % of all packets is alive and carries next to nothing over TCP: the stream goes where it fits.
#[test]
fn an_uplink_that_loses_a_third_of_everything_is_left_and_no_frame_is_lost() {
    let (mut left, mut again, mut frames, mut twice) = (Vec::new(), Vec::new(), Vec::new(), 0);
    // A show for each: an uplink that failed once has to be clean for longer each time.
    for _ in 0..repetitions(1, 20) {
        let Some(mut show) = Show::begin("networks-loss", "takeover = \"backup-url\"\nbackup_url = \"BACKUP\"") else {
            return;
        };
        let before = show.rig.events().len();
        let begun = show.bed.emulator.order_at("eth0 loss 30").expect("an order it knows");
        let moved = show.rig.wait_event(before, "the stream to move", |e| e.kind == EventKind::RouteChanged);
        println!("    {}", moved.reason);
        let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        let since = |at: Media| (at.as_nanos() / 1000 - i64::try_from(begun).expect("microseconds")) / 1000;
        left.push(since(moved.mono));
        again.push(since(up.mono));
        show.on_air_over("the other uplink", |link| link == "wwan0");
        show.rig.let_pass(2);
        show.order("eth0 heal");
        show.wait_standby();
        show.rig.let_pass(3);
        let lost = show.rig.output("youtube").lost;
        let (all, repeated) = together(&show.end());
        assert_eq!(lost, 0);
        assert!(all.is_perfect(), "{all}");
        frames.push(all.frames);
        twice += repeated;
    }
    record(
        "networks-loss",
        &[
            ("left_after_ms", format!("{left:?}")),
            ("publishing_ms", format!("{again:?}")),
            ("frames", frames.iter().sum::<usize>().to_string()),
            ("frames_lost", "0".to_owned()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
}

/// Plugs the stick in: its far end is in the network namespace of the server's process.
fn plug_in(show: &Show) -> io::Result<()> {
    show.bed.at_box(|| {
        ip(&format!("link add {STICK} type veth peer name relay9 netns {}", show.nginx.pid()))?;
        ip(&format!("addr add 10.77.9.1/24 dev {STICK}"))?;
        ip(&format!("link set {STICK} up"))
    })?;
    show.bed.at_relay(|| {
        ip("addr add 10.77.9.2/24 dev relay9")?;
        ip("link set relay9 up")
    })?;
    show.bed.at_box(|| ip(&format!("route add default via 10.77.9.2 dev {STICK} metric 9")))
}

/// The interface that comes first in the list is not there when the show begins; it is used once it has proved itself, and
/// left when it is pulled out.
#[test]
fn an_interface_may_come_and_go_under_a_stream_that_prefers_it() {
    let (mut faults, mut counts) = (Vec::new(), Vec::new());
    // A show for each: one that comes back has to be clean for a minute, and longer each time.
    for _ in 0..repetitions(1, 20) {
        let plan = Plan { interfaces: "\"usb0\", \"wwan0\"", has_standby: false, ..Plan::new("networks-stick") };
        let Some(show) = Show::of(&plan) else { return };
        show.on_air_over("what is there", |link| link == "wwan0");
        let before = show.rig.events().len();
        plug_in(&show).expect("a veth pair");
        let moved = show.rig.wait_event(before, "the stream to move to it", |e| e.kind == EventKind::RouteChanged);
        println!("    {}", moved.reason);
        assert!(moved.reason.contains("at a keyframe"), "{}", moved.reason);
        show.rig.wait_event(before, "it to publish there", |e| e.kind == EventKind::OutputPublishing);
        show.on_air_over("the stick", |link| link == STICK);
        show.wait_standby();
        show.rig.let_pass(2);
        let before = show.rig.events().len();
        let pulled = clock::media();
        show.bed.at_box(|| ip(&format!("link del {STICK}"))).expect("it is there");
        let moved = show.rig.wait_event(before, "the stream to move back", |e| e.kind == EventKind::RouteChanged);
        println!("    {}", moved.reason);
        let up = show.rig.wait_event(before, "it to publish again", |e| e.kind == EventKind::OutputPublishing);
        let since = |at: Media| (at - pulled).to_ticks(1000);
        faults.push(Fault { detected: since(moved.mono), publishing: since(up.mono) });
        show.rig.let_pass(2);
        counts.push(together(&show.end()));
    }
    let publishing: Vec<i64> = faults.iter().map(|fault| fault.publishing).collect();
    record(
        "networks-stick",
        &[
            ("left_ms", format!("{:?}", faults.iter().map(|fault| fault.detected).collect::<Vec<_>>())),
            ("publishing_ms", format!("{publishing:?}")),
            ("frames", counts.iter().map(|(count, _)| count.frames).sum::<usize>().to_string()),
            ("frames_lost", counts.iter().map(|(count, _)| count.lost).sum::<u64>().to_string()),
            ("frames_sent_again", counts.iter().map(|(_, twice)| twice).sum::<usize>().to_string()),
        ],
    );
    assert!(counts.iter().all(|(count, _)| count.is_perfect()), "{counts:?}");
    assert!(publishing.iter().all(|ms| *ms <= 3000), "publishing again after {publishing:?} ms");
}

/// The name servers of the first uplink say nothing: what the other uplink was told will do. What is known by then is known
/// when all fall silent.
#[test]
fn name_servers_that_say_nothing_keep_nobody_off_air() {
    const NO_NAMES: &[&str] = &["ipproto 17 sport 53", "ipproto 6 sport 53"];
    let plan = Plan { is_named: true, barred: NO_NAMES, ..Plan::new("networks-names") };
    let Some(mut show) = Show::of(&plan) else { return };
    show.on_air_over("the uplink whose name server is silent", |link| link == "eth0");
    NO_NAMES.iter().for_each(|what| show.bar(2, what));
    let fault = show.lose("hole");
    println!("    {fault:?}");
    let lost = show.rig.output("youtube").lost;
    let (all, twice) = together(&show.end());
    record(
        "networks-names",
        &[
            ("publishing_ms", fault.publishing.to_string()),
            ("frames", all.frames.to_string()),
            ("frames_lost", all.lost.to_string()),
            ("frames_sent_again", twice.to_string()),
        ],
    );
    assert_eq!(lost, 0);
    assert!(all.is_perfect(), "{all}");
}
