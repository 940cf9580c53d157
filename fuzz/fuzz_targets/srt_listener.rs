//! A listener among callers that say anything, in any order, from any address: before the cookie, with a good one, while
//! they wait, when they are connected and afterwards.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use holdfast::srt::caller::{Caller, CallerConfig, CallerGroup};
use holdfast::srt::crypto::{KeyLength, KeyMaterial, Passphrase, Random};
use holdfast::srt::listener::{Acceptance, Listener, ListenerConfig, ListenerEvent, RequestId, Route};
use holdfast::srt::wire::{GroupId, GroupType, RejectReason, SeqNo, SocketId};
use holdfast::srt::{Offer, StreamId};
use libfuzzer_sys::fuzz_target;

fn passphrase() -> Passphrase {
    Passphrase::new("s3cr3t s3cr3t").expect("long enough")
}

/// Derived once: it takes a millisecond.
static KEYS: LazyLock<KeyMaterial> =
    LazyLock::new(|| KeyMaterial::generate(&passphrase(), KeyLength::Aes128, &mut Random::from_seed(&[1; 32])));

struct World<'a> {
    input: &'a [u8],
    now: Instant,
    epoch: Instant,
    listener: Listener,
    requests: BTreeSet<RequestId>,
    sockets: BTreeSet<SocketId>,
    groups: BTreeSet<GroupId>,
    /// Conclusions with a good cookie.
    conclusions: BTreeMap<u8, Vec<u8>>,
}

impl World<'_> {
    fn byte(&mut self) -> u8 {
        let (&first, rest) = self.input.split_first().unwrap_or((&0, &[]));
        self.input = rest;
        first
    }

    fn bytes(&mut self) -> Vec<u8> {
        let length = usize::from(self.byte()) * 2;
        let (piece, rest) = self.input.split_at(self.input.len().min(length));
        self.input = rest;
        piece.to_vec()
    }

    fn route(host: u8) -> Route {
        let peer = if host & 1 == 0 {
            SocketAddr::from(([192, 0, 2, host], 4000))
        } else {
            SocketAddr::from(([0x2001, 0xdb8, 0, u16::from(host), 0, 0, 0, 1], 4000))
        };
        Route { socket: u32::from(host & 3), local: None, peer }
    }

    /// Delivers a datagram; returns the answers to that address.
    fn deliver(&mut self, host: u8, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.listener.handle_datagram(Self::route(host), datagram, self.now);
        let mut answers = Vec::new();
        while let Some(answer) = self.listener.poll_transmit() {
            assert!(answer.datagram.len() <= 1456);
            if answer.route == Self::route(host) {
                answers.push(answer.datagram);
            }
        }
        self.hear();
        answers
    }

    fn hear(&mut self) {
        while let Some(event) = self.listener.poll_event() {
            assert!(!format!("{event:?}").contains("s3cr3t"), "a secret is in {event:?}");
            let negotiated = match event {
                ListenerEvent::Request(request) => {
                    assert!(self.requests.insert(request.id), "asked twice");
                    continue;
                }
                ListenerEvent::Refused(refused) => {
                    assert!(refused.times > 0);
                    continue;
                }
                ListenerEvent::Connected { negotiated, .. } => {
                    let first = negotiated.group.is_none_or(|group| self.groups.insert(group.local));
                    assert!(first, "a group that is there has members that join");
                    negotiated
                }
                ListenerEvent::Joined { negotiated, .. } => {
                    assert!(negotiated.group.is_some_and(|group| self.groups.contains(&group.local)));
                    negotiated
                }
            };
            assert!(self.sockets.insert(negotiated.local), "one socket id, two connections");
            assert!(negotiated.max_payload() <= 1456);
        }
    }

    /// A caller that does as it should until it has its conclusion.
    fn call(&mut self, host: u8, how: u8) {
        let group = (how & 1 != 0).then(|| CallerGroup {
            id: GroupId::marked(u32::from(how >> 6)),
            group_type: if how & 2 == 0 { GroupType::Broadcast } else { GroupType::Backup },
            weight: u16::from(how),
            peer: None,
        });
        let config = CallerConfig {
            peer: [127, 0, 0, 1].into(),
            socket_id: SocketId(u32::from(how) + 1),
            isn: SeqNo::new(u32::from(how)),
            start: self.epoch,
            offer: Offer { features: (how & 4 != 0).then_some(u32::from(how)), ..Offer::default() },
            stream_id: StreamId::new(if how & 8 == 0 { "" } else { "#!::r=s3cr3t,m=publish" }).expect("short"),
            keys: (how & 16 != 0).then(|| KEYS.clone()),
            group,
            timeout: Duration::from_secs(3),
        };
        let mut caller = Caller::new(config, self.now);
        let induction = caller.poll_transmit().expect("it begins");
        let answers = self.deliver(host, &induction);
        assert!(answers.iter().all(|answer| answer.len() <= induction.len()), "nothing to amplify");
        for answer in answers {
            caller.handle_datagram(&answer, self.now);
        }
        if let Some(conclusion) = caller.poll_transmit() {
            self.conclusions.insert(host, conclusion);
        }
    }

    fn step(&mut self) {
        let (what, host) = (self.byte(), self.byte());
        match what % 9 {
            0 => {
                let datagram = self.bytes();
                self.deliver(host, &datagram);
            }
            1 => {
                let how = self.byte();
                self.call(host, how);
            }
            // Its conclusion, as it should be.
            2 => {
                if let Some(conclusion) = self.conclusions.get(&host).cloned() {
                    self.deliver(host, &conclusion);
                }
            }
            // Its conclusion with other bytes somewhere, shorter, or from elsewhere.
            3 => {
                let (at, to, other) = (usize::from(self.byte()), self.byte(), self.bytes());
                let Some(mut conclusion) = self.conclusions.get(&host).cloned() else { return };
                for (byte, by) in conclusion.iter_mut().skip(at).zip(&other) {
                    *byte = *by;
                }
                if to & 64 != 0 {
                    conclusion.truncate(at);
                }
                if to & 128 != 0 {
                    conclusion.extend_from_slice(&other);
                }
                self.deliver(if to & 32 == 0 { host } else { to }, &conclusion);
            }
            4 => {
                let Some(id) = self.requests.pop_first() else { return };
                let acceptance = Acceptance {
                    passphrase: (host & 1 != 0).then(passphrase),
                    receive_latency: (host & 2 != 0).then(|| Duration::from_millis(u64::from(host) << 10)),
                    send_latency: None,
                };
                self.listener.accept(id, &acceptance, self.now);
            }
            5 => {
                let Some(id) = self.requests.pop_first() else { return };
                self.listener.reject(id, RejectReason::from_code(1000 + u32::from(host)), self.now);
            }
            6 => self.now += Duration::from_millis(u64::from(host) * u64::from(host)),
            7 => {
                if let Some(local) = self.sockets.pop_first() {
                    self.listener.connection_closed(local, self.now);
                }
            }
            _ => {
                if let Some(local) = self.groups.pop_first() {
                    self.listener.group_closed(local);
                }
            }
        }
        if self.listener.poll_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.listener.handle_timeout(self.now);
            assert!(self.listener.poll_timeout().is_none_or(|(at, _)| at > self.now), "a timer that does not move on");
        }
        while let Some(answer) = self.listener.poll_transmit() {
            assert!(answer.datagram.len() <= 1456);
        }
        self.hear();
    }
}

fuzz_target!(|data: &[u8]| {
    let now = Instant::now();
    let config = ListenerConfig { most_pending: 4, most_connections: 8, ..ListenerConfig::default() };
    let mut world = World {
        input: data,
        now,
        epoch: now,
        listener: Listener::new(config, Random::from_seed(&[2; 32]), now),
        requests: BTreeSet::new(),
        sockets: BTreeSet::new(),
        groups: BTreeSet::new(),
        conclusions: BTreeMap::new(),
    };
    for _ in 0..64 {
        if world.input.is_empty() {
            break;
        }
        world.step();
    }
});
