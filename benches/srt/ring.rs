//! One run: a receiver and a sender of the same make, each a process of its own.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use holdfast::netem::Namespace;
use serde_json::Value;

use crate::Make;
use crate::endpoint::peer::{Peer, tool, words};

pub const SOON: Duration = Duration::from_secs(30);

/// What both ends said.
#[derive(Debug)]
pub struct Outcome {
    pub sender: Value,
    pub receiver: Value,
}

impl Outcome {
    fn number(&self, of: &Value, key: &str) -> f64 {
        of[key].as_f64().unwrap_or(f64::NAN)
    }

    pub fn sent(&self) -> f64 {
        self.number(&self.sender, "sent")
    }

    pub fn received(&self) -> f64 {
        self.number(&self.receiver, "received")
    }

    /// Payloads that were handed over and never came.
    pub fn lost(&self) -> f64 {
        self.sent() - self.received()
    }

    pub fn is_sound(&self) -> bool {
        ["corrupt", "duplicates", "out_of_order"].iter().all(|key| self.number(&self.receiver, key) == 0.0)
    }

    /// CPU seconds for each gigabyte of payload.
    pub fn cost(&self, of: &Value) -> f64 {
        self.number(of, "cpu_s") / (self.received() * 1316.0 / 1e9)
    }

    pub fn retransmitted(&self) -> f64 {
        self.sender["members"].as_array().into_iter().flatten().map(|it| self.number(it, "retransmitted")).sum()
    }
}

pub fn command(make: Make, line: &str) -> Command {
    let mut command = match make {
        Make::Libsrt => Command::new(tool("bin/srt_group_peer")),
        Make::Holdfast => {
            let mut command = Command::new(std::env::current_exe().expect("we run"));
            command.arg("--endpoint");
            command
        }
    };
    command.args(words(line));
    command
}

pub fn start(make: Make, line: &str) -> Peer {
    Peer::process(&mut command(make, line))
}

pub fn start_in(namespace: Option<&Namespace>, make: Make, line: &str) -> Peer {
    match namespace {
        None => start(make, line),
        Some(namespace) => namespace.enter(|| Ok(start(make, line))).expect("the namespace can be entered"),
    }
}

/// A port of loopback that nobody has at the moment.
pub fn free_place() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr()).expect("loopback has ports")
}
