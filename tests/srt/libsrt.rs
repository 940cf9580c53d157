//! libsrt over one plain link, either end calling and either sending: keys of every length that change while it runs, stream
//! ids, IPv6.

use std::time::Duration;

use crate::endpoint::peer::{Peer, words};
use crate::pipes::PASSPHRASE;
use crate::table::{Row, judge, side_by_side};

const SOON: Duration = Duration::from_secs(25);
/// How long the sender sends.
const SECONDS: u64 = 4;
/// Packets between keys: at the rate used, some every second.
const REFRESH: u64 = 400;

#[derive(Clone, Copy, Debug)]
struct Case {
    we_call: bool,
    we_send: bool,
    /// 0 for none.
    key_bytes: usize,
    refreshes: bool,
    host: &'static str,
    stream_id: &'static str,
}

impl Case {
    fn name(&self) -> String {
        let role = if self.we_call { "calls" } else { "listens" };
        let way = if self.we_send { "sends" } else { "receives" };
        let keys = if self.key_bytes == 0 { "clear".to_owned() } else { format!("AES-{}", self.key_bytes * 8) };
        let refresh = if self.refreshes { ", new keys" } else { "" };
        let named = if self.stream_id.is_empty() { "" } else { ", stream id" };
        format!("Holdfast {role}, {way}, {keys}{refresh}{named}, {}", self.host)
    }

    fn line(&self, calls: bool, sends: bool) -> String {
        let verb = if calls { "call" } else { "listen" };
        let role =
            if sends { format!("send --seconds {SECONDS} --rate 6000000") } else { "receive --seconds 3".to_owned() };
        let keys = match self.key_bytes {
            0 => String::new(),
            bytes => format!("--passphrase {PASSPHRASE} --key-bytes {bytes}"),
        };
        // Whoever sends makes the keys.
        let refresh = if self.refreshes && sends { format!("--refresh {REFRESH}") } else { String::new() };
        let named =
            if calls && !self.stream_id.is_empty() { format!("--stream-id {}", self.stream_id) } else { String::new() };
        // What a process does not get to in this time is given up, as SRT wants it: this is not about slow machines.
        format!("{verb} {role} --type none --latency 1000 {keys} {refresh} {named}")
    }

    fn carry(&self) -> Row {
        let port = std::net::UdpSocket::bind((self.host.trim_matches(['[', ']']), 0))
            .and_then(|socket| socket.local_addr())
            .expect("loopback has the address")
            .port();
        let place = format!("{}:{port}", self.host);
        let start = |ours: bool, line: String| {
            let words = words(&format!("{line} {place}"));
            if ours { Peer::holdfast(&words) } else { Peer::libsrt(&words) }
        };
        let (caller_sends, listener_sends) = (self.we_send == self.we_call, self.we_send != self.we_call);
        let mut listener = start(!self.we_call, self.line(false, listener_sends));
        listener.line("READY", SOON);
        let mut caller = start(self.we_call, self.line(true, caller_sends));
        let (called, answered) = (caller.report(SOON), listener.report(SOON));
        let (sent, received) = if caller_sends { (called, answered) } else { (answered, called) };
        let number = |value: &serde_json::Value, key: &str| value[key].as_u64().unwrap_or(0);
        let bad = number(&received, "corrupt") + number(&received, "duplicates") + number(&received, "out_of_order");
        let (count, arrived) = (number(&sent, "sent"), number(&received, "received"));
        let undecrypted: u64 =
            received["members"].as_array().into_iter().flatten().map(|member| number(member, "undecrypted")).sum();
        let ours = if self.we_call { caller.said() } else { listener.said() };
        let changes = ours.iter().filter(|line| line.starts_with("KEY ")).count();
        // libsrt does not tell of its own; what it sealed with the next one is read or counted as undecrypted.
        if self.refreshes && self.we_send {
            assert!(changes >= 3, "{}: {changes} changes of keys: {ours:?}", self.name());
        }
        let remark = format!("{changes} changes of keys, {undecrypted} undecrypted, {bad} wrong");
        let missing = count.saturating_sub(arrived) + bad + undecrypted;
        Row { case: self.name(), sent: count, received: arrived, missing, remark }
    }
}

#[test]
fn libsrt_over_one_link() {
    let mut cases = Vec::new();
    for we_call in [true, false] {
        for we_send in [true, false] {
            let plain = Case { we_call, we_send, key_bytes: 0, refreshes: false, host: "127.0.0.1", stream_id: "" };
            let key_bytes = if we_send == we_call { 32 } else { 24 };
            cases.push(Case { key_bytes: 16, refreshes: true, ..plain });
            cases.push(Case { key_bytes, refreshes: true, stream_id: "#!::r=live/stage,m=publish", ..plain });
            cases.push(Case { host: "[::1]", ..plain });
            cases.push(Case { host: "[::1]", key_bytes: 56 - key_bytes, stream_id: "live/stage", ..plain });
        }
    }
    let rows = side_by_side(4, &cases, Case::carry);
    judge("libsrt over one link: new keys, stream ids, IPv6", &rows);
}
