//! Groups, with a libsrt that has them: either end, either kind, encrypted and in clear, with members that are cut off and
//! come back while it runs.

use std::net::SocketAddr;
use std::time::Duration;

use holdfast::clock;
use holdfast::model::Media;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};
use holdfast::netem::{Change, Conditions};

use crate::endpoint::peer::{Peer, words};
use crate::pipes::{PASSPHRASE, free_port, wait_until};
use crate::table::{Row, judge, side_by_side};

const SOON: Duration = Duration::from_secs(25);
/// How long the sender sends: time for a member to be given up (5 s), to come back and to carry alone.
const SECONDS: i64 = 15;

#[derive(Clone, Copy, Debug)]
struct Case {
    kind: &'static str,
    we_call: bool,
    we_send: bool,
    key_bytes: usize,
    /// Each member at a port of its own.
    two_ports: bool,
}

impl Case {
    fn name(&self) -> String {
        let (role, way) =
            (if self.we_call { "calls" } else { "listens" }, if self.we_send { "sends" } else { "receives" });
        let keys = if self.key_bytes == 0 { "clear".to_owned() } else { format!("AES-{}", self.key_bytes * 8) };
        let ports = if self.two_ports { ", two ports" } else { "" };
        format!("{}: Holdfast {role}, {way}, {keys}{ports}", self.kind)
    }
}

/// Two uplinks of 20 and 30 ms there and back to these places.
pub fn two_cables(targets: &[SocketAddr], changes: &[&str]) -> Emulator {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let cables = [("main", 10), ("spare", 15)].into_iter().zip(targets.iter().cycle());
    let cables = cables.map(|((name, delay), target)| {
        let conditions = Conditions::delayed(Duration::from_millis(delay));
        let mut cable = Cable::new(name, conditions, Wiring::Udp { listen, target: *target, from: None });
        for change in changes {
            cable.start_with(change.parse::<Change>().expect("a change"));
        }
        cable
    });
    Emulator::start(cables.collect(), 7).expect("loopback has ports")
}

fn at(begun: Media, tenths: i64) {
    wait_until(begun + Media::from_millis(tenths * 100));
}

fn carry(case: &Case) -> Row {
    let Case { kind, we_call, we_send, key_bytes, two_ports } = *case;
    let keys =
        if key_bytes == 0 { String::new() } else { format!("--passphrase {PASSPHRASE} --key-bytes {key_bytes}") };
    let ports: Vec<u16> = (0..if two_ports { 2 } else { 1 }).map(|_| free_port()).collect();
    let places: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let role = |sends: bool| {
        if sends { format!("send --seconds {SECONDS} --rate 2000000") } else { "receive --seconds 9".to_owned() }
    };
    let common = format!("--type {kind} --latency 600 --rejoin {keys}");
    let start =
        |is_ours: bool, line: &str| if is_ours { Peer::holdfast(&words(line)) } else { Peer::libsrt(&words(line)) };

    let (listener_sends, caller_sends) = (we_send != we_call, we_send == we_call);
    let mut listener = start(!we_call, &format!("listen {} {common} {}", role(listener_sends), places.join(" ")));
    listener.line("READY", SOON);
    let targets: Vec<SocketAddr> = places.iter().map(|place| place.parse().expect("a place")).collect();
    let mut network = two_cables(&targets, &[]);
    let way = |network: &Emulator, name| network.address(name).expect("laid").to_string();
    let (main, spare) = (way(&network, "main"), way(&network, "spare"));
    let mut caller = start(we_call, &format!("call {} {common} {main},50 {spare},20", role(caller_sends)));
    caller.line("CONNECTED", SOON);

    let begun = clock::media();
    at(begun, 15);
    network.order("main hole").expect("the network obeys");
    // Longer than either side waits for a silent member.
    at(begun, 85);
    network.order("main heal").expect("the network obeys");
    // The caller notices by itself, and calls again until it succeeds.
    caller.line(if we_call { "MEMBER 2 weight 50 up" } else { "REJOIN 1 connected" }, SOON);
    at(begun, 115);
    network.order("spare hole").expect("the network obeys");
    at(begun, 130);
    network.order("spare heal").expect("the network obeys");

    let (called, answered) = (caller.report(SOON), listener.report(SOON));
    let (sent, received) = if caller_sends { (called, answered) } else { (answered, called) };
    let number = |value: &serde_json::Value, key: &str| value[key].as_u64().unwrap_or(0);
    let (count, arrived) = (number(&sent, "sent"), number(&received, "received"));
    let again: u64 =
        sent["members"].as_array().into_iter().flatten().map(|member| number(member, "retransmitted")).sum();
    let bad = number(&received, "corrupt") + number(&received, "duplicates") + number(&received, "out_of_order");
    let mut remark =
        format!("{again} retransmitted, {bad} wrong, longest gap {} ms", number(&received, "longest_gap_us") / 1000);
    if arrived != count || bad > 0 {
        remark += &format!("\n{sent}\n{received}\ncaller: {:?}\nlistener: {:?}", caller.said(), listener.said());
    }
    Row { case: case.name(), sent: count, received: arrived, missing: count.saturating_sub(arrived) + bad, remark }
}

#[test]
fn members_of_groups_are_cut_and_come_back() {
    let mut cases = Vec::new();
    for kind in ["broadcast", "backup"] {
        for we_call in [true, false] {
            for we_send in [true, false] {
                let key_bytes = if we_send { 0 } else { 32 };
                cases.push(Case { kind, we_call, we_send, key_bytes, two_ports: false });
                let key_bytes = if we_send { 16 } else { 0 };
                cases.push(Case { kind, we_call, we_send, key_bytes, two_ports: !we_call });
            }
        }
    }
    let rows = side_by_side(8, &cases, carry);
    judge("libsrt with bonding: a member cut for 7 s, back, then the other cut for 1.5 s", &rows);
}
