use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::*;
use crate::srt::caller::{Caller as Call, CallerConfig, CallerEvent, CallerGroup, TIMEOUT};
use crate::srt::crypto::{KeyLength, KeyMaterial};
use crate::srt::trouble::{Trouble, Unsuitable};
use crate::srt::wire::{GroupId, SeqNo};

#[expect(clippy::disallowed_methods, reason = "a test begins whenever it is run")]
fn begin() -> Instant {
    Instant::now()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery").unwrap()
}

fn keys(seed: u8) -> Option<KeyMaterial> {
    Some(KeyMaterial::generate(&passphrase(), KeyLength::Aes128, &mut Random::from_seed(&[seed; 32])))
}

fn route(host: u8) -> Route {
    Route { socket: 0, local: None, peer: SocketAddr::from(([192, 0, 2, host], 4000)) }
}

fn group(id: u32) -> Option<CallerGroup> {
    Some(CallerGroup { id: GroupId::marked(id), group_type: GroupType::Broadcast, weight: 1, peer: None })
}

/// A listener and what it was heard saying.
struct World {
    listener: Listener,
    now: Instant,
    epoch: Instant,
    requests: Vec<Request>,
    connected: Vec<(RequestId, Negotiated)>,
    joined: Vec<Negotiated>,
    refused: Vec<Refused>,
}

impl World {
    fn new(config: ListenerConfig) -> Self {
        let now = begin();
        Self {
            listener: Listener::new(config, Random::from_seed(&[5; 32]), now),
            now,
            epoch: now,
            requests: Vec::new(),
            connected: Vec::new(),
            joined: Vec::new(),
            refused: Vec::new(),
        }
    }

    fn call(&self, socket: u32) -> CallerConfig {
        CallerConfig {
            peer: [198, 51, 100, 1].into(),
            socket_id: SocketId(socket),
            isn: SeqNo::new(1000 + socket),
            start: self.epoch,
            offer: Offer::default(),
            stream_id: StreamId::new("live/stage").unwrap(),
            keys: None,
            group: None,
            timeout: TIMEOUT,
        }
    }

    fn hear(&mut self) {
        while let Some(event) = self.listener.poll_event() {
            match event {
                ListenerEvent::Request(request) => self.requests.push(request),
                ListenerEvent::Connected { request, negotiated, .. } => self.connected.push((request, *negotiated)),
                ListenerEvent::Joined { negotiated, .. } => self.joined.push(*negotiated),
                ListenerEvent::Refused(refused) => self.refused.push(refused),
            }
        }
    }

    /// Delivers one datagram and returns the answers.
    fn deliver(&mut self, host: u8, datagram: &[u8]) -> Vec<Transmit> {
        self.now += ms(1);
        self.listener.handle_datagram(route(host), datagram, self.now);
        self.hear();
        std::iter::from_fn(|| self.listener.poll_transmit()).collect()
    }

    /// A call from `host` until the listener has its conclusion; returns the call and the conclusion.
    fn conclude(&mut self, host: u8, config: CallerConfig) -> (Call, Vec<u8>) {
        let mut call = Call::new(config, self.now);
        let induction = call.poll_transmit().unwrap();
        let answers = self.deliver(host, &induction);
        let [cookie] = answers.as_slice() else { panic!("{answers:?}") };
        assert!(cookie.datagram.len() <= induction.len(), "nothing for an attacker to amplify");
        call.handle_datagram(&cookie.datagram, self.now);
        let conclusion = call.poll_transmit().unwrap();
        for answer in self.deliver(host, &conclusion) {
            call.handle_datagram(&answer.datagram, self.now);
        }
        (call, conclusion)
    }

    /// Decides the oldest request and brings the answers to `calls`.
    fn decide(&mut self, yes: Result<&Acceptance, RejectReason>, calls: &mut [(u8, &mut Call)]) {
        let request = self.requests.remove(0);
        let known = match yes {
            Ok(acceptance) => self.listener.accept(request.id, acceptance, self.now),
            Err(reason) => self.listener.reject(request.id, reason, self.now),
        };
        assert!(known);
        self.hear();
        while let Some(answer) = self.listener.poll_transmit() {
            for (host, call) in calls.iter_mut().filter(|(host, _)| route(*host) == answer.route) {
                let _ = host;
                call.handle_datagram(&answer.datagram, self.now);
            }
        }
    }
}

fn secret() -> Acceptance {
    Acceptance { passphrase: Some(passphrase()), ..Acceptance::default() }
}

fn outcome(call: &mut Call) -> Result<Negotiated, Trouble> {
    match call.poll_event() {
        Some(CallerEvent::Connected(negotiated)) => Ok(*negotiated),
        Some(CallerEvent::Failed(trouble)) => Err(trouble),
        None => panic!("undecided"),
    }
}

fn refused(reason: RejectReason, encrypted: bool) -> Trouble {
    Trouble::Refused { reason, encrypted }
}

#[test]
fn both_ends_agree() {
    let mut world = World::new(ListenerConfig::default());
    let mut config = world.call(7);
    config.keys = keys(1);
    config.offer = Offer {
        receive_latency: ms(80),
        send_latency: ms(500),
        features: Some(6),
        mss: 1400,
        flow_window: 1000,
        ..Offer::default()
    };
    world.listener.config.offer.features = Some(3);
    let (mut call, _) = world.conclude(1, config);
    let request = world.requests[0].clone();
    assert_eq!((request.stream_id.as_str(), request.encrypted, request.group), ("live/stage", true, None));
    let acceptance = Acceptance { send_latency: Some(ms(90)), ..secret() };
    world.decide(Ok(&acceptance), &mut [(1, &mut call)]);
    let there = outcome(&mut call).unwrap();
    let (id, here) = world.connected.pop().unwrap();
    assert_eq!(id, request.id);
    assert_eq!((here.local, here.peer), (there.peer, there.local));
    assert_eq!((here.isn, there.isn), (SeqNo::new(1007), SeqNo::new(1007)));
    assert_eq!((here.receive_latency, here.send_latency), (ms(500), ms(90)));
    assert_eq!((there.send_latency, there.receive_latency), (ms(500), ms(90)));
    assert_eq!((here.mss, there.mss, here.flow_window, there.flow_window), (1400, 1400, 1000, 8192));
    assert_eq!((here.private.unwrap().features, there.private.unwrap().features), (2, 2));
    assert_eq!(here.keys.unwrap().message(), there.keys.unwrap().message());
    assert_eq!(here.peer_start, world.epoch + ms(1), "the caller's clock, and the way");
    assert_eq!(there.peer_start, here.start);
    assert_eq!(here.stream_id, there.stream_id);
}

#[test]
fn nothing_is_kept_before_a_good_cookie() {
    let mut world = World::new(ListenerConfig::default());
    for i in 0..5000u32 {
        let mut call = Call::new(world.call(i + 1), world.now);
        let induction = call.poll_transmit().unwrap();
        let host = (i % 250) as u8;
        let answers = world.deliver(host, &induction);
        call.handle_datagram(&answers[0].datagram, world.now);
        // The conclusion comes from elsewhere: its sender never saw the cookie at its own address.
        let conclusion = call.poll_transmit().unwrap();
        assert_eq!(world.deliver(host.wrapping_add(1), &conclusion), []);
    }
    let listener = &world.listener;
    assert_eq!((listener.callers.len(), listener.waiting.len(), listener.limiter.is_empty()), (0, 0, true));
    assert_eq!(listener.refused(Refusal::WrongCookie), 5000);
    assert_eq!(listener.stats().inductions, 5000);
    assert!(world.requests.is_empty());
    assert!(world.refused.len() <= 11, "10 s of flood are at most 11 events, not {}", world.refused.len());
    let told: u64 = world.refused.iter().map(|refused| refused.times).sum();
    assert!(told > 4000, "{told}");
}

#[test]
fn two_listeners_cannot_be_made_to_answer_each_other() {
    let mut world = World::new(ListenerConfig::default());
    let mut induction = Call::new(world.call(7), world.now).poll_transmit().unwrap();
    assert_eq!(world.deliver(1, &induction).len(), 1);
    // Somebody sends it in the name of another listener, from that one's port and with that one's socket.
    induction[40..44].fill(0);
    assert!(world.deliver(1, &induction).is_empty());
}

#[test]
fn an_old_cookie_is_not_good() {
    let mut world = World::new(ListenerConfig::default());
    let mut call = Call::new(world.call(1), world.now);
    let induction = call.poll_transmit().unwrap();
    let answers = world.deliver(1, &induction);
    call.handle_datagram(&answers[0].datagram, world.now);
    let conclusion = call.poll_transmit().unwrap();
    world.now += Duration::from_secs(121);
    world.deliver(1, &conclusion);
    assert_eq!(world.listener.refused(Refusal::WrongCookie), 1);
}

#[test]
fn what_is_repeated_is_answered_the_same() {
    let mut world = World::new(ListenerConfig::default());
    let (mut call, conclusion) = world.conclude(1, world.call(1));
    assert_eq!(world.deliver(1, &conclusion), [], "still waiting");
    world.decide(Ok(&Acceptance::default()), &mut []);
    let before = world.connected.len();
    for _ in 0..3 {
        let answers = world.deliver(1, &conclusion);
        assert_eq!(answers.len(), 1);
        call.handle_datagram(&answers[0].datagram, world.now);
    }
    let there = outcome(&mut call).unwrap();
    assert!(call.poll_event().is_none());
    assert_eq!((before, world.connected.len(), world.requests.len()), (1, 1, 0));
    assert_eq!(there.peer, world.connected[0].1.local);
    assert_eq!(there.peer_start, world.connected[0].1.start, "with the time of sending on it");
    assert_eq!(world.listener.stats().repetitions, 4);

    world.listener.connection_closed(there.peer, world.now);
    assert_eq!(world.deliver(1, &conclusion), [], "late, and begins nothing");
    assert!(world.requests.is_empty());
    world.now += REMEMBER;
    world.listener.forget(world.now);
    assert!(world.listener.callers.is_empty() && world.listener.over.is_empty());
}

#[test]
fn a_no_is_repeated_too() {
    let mut world = World::new(ListenerConfig::default());
    let (mut call, conclusion) = world.conclude(1, world.call(1));
    world.decide(Err(RejectReason::NOT_FOUND), &mut []);
    let answers = world.deliver(1, &conclusion);
    call.handle_datagram(&answers[0].datagram, world.now);
    assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::NOT_FOUND, false));
    assert!(world.requests.is_empty() && world.listener.refused(Refusal::Denied) == 1);
}

#[test]
fn passphrases_have_to_match() {
    for (caller, acceptance, reason, refusal) in [
        (keys(1), Acceptance::default(), RejectReason::Unsecure, Refusal::PassphraseUnexpected),
        (None, secret(), RejectReason::Unsecure, Refusal::PassphraseMissing),
        (
            keys(1),
            Acceptance { passphrase: Passphrase::new("wrong horse battery"), ..Acceptance::default() },
            RejectReason::BadSecret,
            Refusal::WrongPassphrase,
        ),
    ] {
        let mut world = World::new(ListenerConfig::default());
        let encrypted = caller.is_some();
        let (mut call, _) = world.conclude(1, CallerConfig { keys: caller, ..world.call(1) });
        world.decide(Ok(&acceptance), &mut [(1, &mut call)]);
        assert_eq!(outcome(&mut call).unwrap_err(), refused(reason, encrypted));
        assert_eq!(world.refused[0].refusal, refusal);
        assert_eq!(world.refused[0].stream_id.as_str(), "live/stage");
        assert!(world.connected.is_empty());
    }
}

#[test]
fn a_request_that_is_not_decided_is_refused() {
    let mut world = World::new(ListenerConfig::default());
    let (mut call, _) = world.conclude(1, world.call(1));
    let id = world.requests[0].id;
    let (at, waits) = world.listener.poll_timeout().unwrap();
    assert_eq!(waits, id);
    world.listener.handle_timeout(at - ms(1));
    assert!(world.listener.poll_timeout().is_some());
    world.listener.handle_timeout(at);
    assert_eq!(world.listener.poll_timeout(), None);
    let answer = world.listener.poll_transmit().unwrap();
    call.handle_datagram(&answer.datagram, at);
    assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::Timeout, false));
    assert!(!world.listener.accept(id, &Acceptance::default(), at), "too late");
    assert!(!world.listener.reject(id, RejectReason::Peer, at));
}

#[test]
fn members_join_their_group_whatever_port_they_come_in_at() {
    let mut world = World::new(ListenerConfig::default());
    let member = |world: &World, socket, seed| CallerConfig {
        group: group(77),
        keys: keys(seed),
        isn: SeqNo::new(5),
        ..world.call(socket)
    };
    let (mut first, _) = world.conclude(1, member(&world, 1, 1));
    let (mut second, _) = world.conclude(2, member(&world, 2, 2));
    assert_eq!(world.requests.len(), 1, "one decision per group");
    assert_eq!(world.requests[0].group, Some(GroupType::Broadcast));
    world.decide(Ok(&secret()), &mut [(1, &mut first), (2, &mut second)]);
    world.now += ms(5000);
    let mut config = member(&world, 3, 3);
    config.offer.send_latency = ms(900);
    let (mut third, _) = world.conclude(3, config);

    let here = [&world.connected[0].1, &world.joined[0], &world.joined[1]];
    let there: Vec<_> = [&mut first, &mut second, &mut third].map(|call| outcome(call).unwrap()).into();
    for (here, there) in here.iter().zip(&there) {
        assert_eq!((here.local, here.peer), (there.peer, there.local));
        assert_eq!(here.group.unwrap().local, there.group.unwrap().peer);
        assert_eq!(here.group.unwrap().local, here.group.unwrap().local);
        assert_eq!(here.start, world.connected[0].1.start, "one clock for all");
        assert_eq!(there.peer_start, here.start);
        assert_eq!((here.receive_latency, there.send_latency), (ms(120), ms(120)), "the first member's");
    }
    assert_eq!((world.connected.len(), world.joined.len(), world.requests.len()), (1, 2, 0));
}

#[test]
fn a_group_of_two_is_refused_with_its_first_but_each_is_asked_for() {
    let mut world = World::new(ListenerConfig::default());
    let (mut first, _) = world.conclude(1, CallerConfig { group: group(77), ..world.call(1) });
    let (mut second, _) = world.conclude(2, CallerConfig { group: group(77), ..world.call(2) });
    world.decide(Err(RejectReason::CONFLICT), &mut [(1, &mut first)]);
    assert_eq!(outcome(&mut first).unwrap_err(), refused(RejectReason::CONFLICT, false));
    assert_eq!(world.requests[0].route, route(2));
    world.decide(Ok(&Acceptance::default()), &mut [(2, &mut second)]);
    outcome(&mut second).unwrap();
    assert_eq!((world.connected.len(), world.joined.len()), (1, 0), "it is the first of the group");
}

/// A group of one, connected.
fn running() -> (World, Negotiated) {
    let mut world = World::new(ListenerConfig::default());
    let (mut call, _) = world.conclude(1, CallerConfig { group: group(77), keys: keys(1), ..world.call(1) });
    world.decide(Ok(&secret()), &mut [(1, &mut call)]);
    (world, outcome(&mut call).unwrap())
}

#[test]
fn a_group_is_not_joined_by_its_id_alone() {
    let (mut world, there) = running();
    // Without keys, with keys of another passphrase, with another type: refused.
    let wrong = Passphrase::new("stolen horse battery").unwrap();
    let stolen = Some(KeyMaterial::generate(&wrong, KeyLength::Aes128, &mut Random::from_seed(&[9; 32])));
    let mut backup = group(77);
    backup.as_mut().unwrap().group_type = GroupType::Backup;
    for (socket, keys, group, reason) in [
        (2, None, group(77), RejectReason::Unsecure),
        (3, stolen, group(77), RejectReason::BadSecret),
        (4, keys(4), backup, RejectReason::Group),
    ] {
        let encrypted = keys.is_some();
        let (mut call, _) = world.conclude(9, CallerConfig { group, keys, ..world.call(socket) });
        assert_eq!(outcome(&mut call).unwrap_err(), refused(reason, encrypted));
    }
    // With another stream id: another group, and a decision of its own.
    let stream_id = StreamId::new("live/other").unwrap();
    let config = CallerConfig { stream_id, group: group(77), keys: keys(5), ..world.call(5) };
    let (mut call, _) = world.conclude(9, config);
    world.decide(Ok(&secret()), &mut [(9, &mut call)]);
    assert_ne!(outcome(&mut call).unwrap().group.unwrap().peer, there.group.unwrap().peer);
    assert_eq!(world.joined.len(), 0, "the session has noticed nothing");
}

#[test]
fn recorded_keys_open_nothing() {
    let (mut world, _) = running();
    // Somebody has recorded the first member's conclusion, and sends its keys from elsewhere, alone or as a member.
    for (socket, group) in [(2, group(77)), (3, None)] {
        let (mut call, _) = world.conclude(9, CallerConfig { group, keys: keys(1), ..world.call(socket) });
        if group.is_none() {
            world.decide(Ok(&secret()), &mut [(9, &mut call)]);
        }
        assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::Rogue, true));
    }
    assert_eq!(world.listener.refused(Refusal::Replayed), 2);
    assert_eq!(world.joined.len(), 0);
}

#[test]
fn members_with_the_same_keys_prove_that_they_have_them() {
    let (mut world, _) = running();
    let mut config = CallerConfig { group: group(77), keys: keys(1), ..world.call(2) };
    config.offer.features = Some(0);
    let (mut call, conclusion) = world.conclude(2, config);
    outcome(&mut call).unwrap();
    assert_eq!(world.joined.len(), 1);

    // The same bytes from elsewhere, with a cookie that is good there: the proof is for another cookie.
    let mut thief = Call::new(world.call(3), world.now);
    let induction = thief.poll_transmit().unwrap();
    let answers = world.deliver(9, &induction);
    thief.handle_datagram(&answers[0].datagram, world.now);
    let own = thief.poll_transmit().unwrap();
    let mut forged = conclusion.clone();
    forged[16 + 28..16 + 32].copy_from_slice(&own[16 + 28..16 + 32]);
    world.deliver(9, &forged);
    assert_eq!((world.joined.len(), world.listener.refused(Refusal::Replayed)), (1, 1));
}

#[test]
fn a_group_is_full_some_time_and_has_room_again() {
    let (mut world, there) = running();
    let mut last = there;
    for socket in 2..=16 {
        let (mut call, _) =
            world.conclude(2, CallerConfig { group: group(77), keys: keys(socket), ..world.call(socket.into()) });
        last = outcome(&mut call).unwrap();
        world.now += ms(200);
    }
    let config =
        |world: &World, socket: u8| CallerConfig { group: group(77), keys: keys(socket), ..world.call(socket.into()) };
    let (mut call, _) = world.conclude(3, config(&world, 17));
    assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::Group, true));
    world.listener.connection_closed(last.peer, world.now);
    let (mut call, _) = world.conclude(3, config(&world, 18));
    outcome(&mut call).unwrap();

    world.listener.group_closed(world.connected[0].1.group.unwrap().local);
    let (_, _) = world.conclude(3, config(&world, 19));
    assert_eq!(world.requests.len(), 1, "the first of a new group");
}

#[test]
fn callers_that_wait_are_bounded_and_keep_nobody_from_joining() {
    let (mut world, _) = running();
    world.listener.config.most_pending = 4;
    for socket in 10..20 {
        let (mut call, _) = world.conclude(socket, world.call(socket.into()));
        if socket >= 14 {
            assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::Backlog, false));
        }
    }
    assert_eq!((world.listener.waiting.len(), world.listener.refused(Refusal::Full)), (4, 6));
    let (mut call, _) = world.conclude(2, CallerConfig { group: group(77), keys: keys(2), ..world.call(2) });
    outcome(&mut call).unwrap();
}

#[test]
fn groups_can_be_switched_off() {
    let mut world = World::new(ListenerConfig { groups: false, ..ListenerConfig::default() });
    let (mut call, _) = world.conclude(1, CallerConfig { group: group(77), ..world.call(1) });
    assert_eq!(outcome(&mut call).unwrap_err(), refused(RejectReason::Group, false));
    let (mut call, _) = world.conclude(1, world.call(2));
    world.decide(Ok(&Acceptance::default()), &mut [(1, &mut call)]);
    outcome(&mut call).unwrap();
}

#[test]
fn a_flood_with_good_cookies_is_bounded() {
    let mut world = World::new(ListenerConfig::default());
    let mut most = 0;
    for i in 0..3000u32 {
        let mut call = Call::new(world.call(i + 1), world.now);
        let induction = call.poll_transmit().unwrap();
        let host = (i % 250) as u8;
        let answers = world.deliver(host, &induction);
        call.handle_datagram(&answers[0].datagram, world.now);
        world.deliver(host, &call.poll_transmit().unwrap());
        most = most.max(world.listener.callers.len());
        let timeout = world.listener.poll_timeout();
        if let Some((at, _)) = timeout.filter(|(at, _)| *at <= world.now) {
            world.listener.handle_timeout(at);
            while world.listener.poll_transmit().is_some() {}
        }
    }
    assert!(most <= 64 + MOST_OVER, "{most}");
    assert!(world.listener.refused(Refusal::TooMany) > 1000);
    assert!(world.refused.len() < 50, "{}", world.refused.len());
}

/// Changes a conclusion that is otherwise good, and returns the reason it is refused for.
fn refused_when(change: impl Fn(&mut Vec<u8>)) -> Option<RejectReason> {
    let mut world = World::new(ListenerConfig::default());
    let mut call = Call::new(CallerConfig { group: group(77), ..world.call(1) }, world.now);
    let induction = call.poll_transmit().unwrap();
    let answers = world.deliver(1, &induction);
    call.handle_datagram(&answers[0].datagram, world.now);
    let mut conclusion = call.poll_transmit().unwrap();
    change(&mut conclusion);
    let answers = world.deliver(1, &conclusion);
    let Transmit { datagram, .. } = answers.first()?;
    let Ok(Packet::Control(packet)) = Packet::decode(datagram) else { panic!() };
    let Control::Handshake(Handshake { kind: HandshakeKind::Rejected(reason), .. }) = packet.control else {
        panic!("{packet:?}")
    };
    assert!(datagram.len() <= conclusion.len());
    Some(reason)
}

#[test]
fn conclusions_that_make_no_sense_are_refused_as_libsrt_does() {
    const BLOCKS: usize = 64;
    // HSREQ takes 16 bytes, SID 16, GROUP 12.
    assert_eq!(refused_when(|_| {}), None);
    assert_eq!(refused_when(|c| c[19] = 4), Some(RejectReason::Version));
    assert_eq!(refused_when(|c| c[28..32].fill(0)), Some(RejectReason::Rogue), "MSS 0");
    assert_eq!(refused_when(|c| c[BLOCKS + 1] = 2), Some(RejectReason::Rogue), "no HSREQ");
    assert_eq!(refused_when(|c| c[BLOCKS + 3] = 200), Some(RejectReason::Rogue), "too long");
    assert_eq!(refused_when(|c| c[BLOCKS + 6] = 2), Some(RejectReason::Version), "1.2");
    assert_eq!(refused_when(|c| c[BLOCKS + 11] |= 1 << 6), Some(RejectReason::Congestion), "stream mode");
    assert_eq!(refused_when(|c| c[BLOCKS + 17] = 6), Some(RejectReason::Congestion), "not live");
    assert_eq!(refused_when(|c| c[BLOCKS + 17] = 7), Some(RejectReason::Filter));
    assert_eq!(refused_when(|c| c[BLOCKS + 36] &= !0x40), Some(RejectReason::Rogue), "no mark of a group");
    assert_eq!(refused_when(|c| c[BLOCKS + 40] = 3), Some(RejectReason::Group), "unknown type");
    assert_eq!(refused_when(|c| c[BLOCKS + 41] = 1), Some(RejectReason::Group), "synchronised on messages");
    assert_eq!(refused_when(|c| c.truncate(BLOCKS)), Some(RejectReason::Rogue), "no extensions");
}

#[test]
fn a_caller_that_gets_no_group_back_says_so() {
    // What a libsrt without bonding would answer.
    let mut world = World::new(ListenerConfig::default());
    let (mut call, conclusion) = world.conclude(1, CallerConfig { group: group(77), ..world.call(1) });
    let (mut plain, _) = world.conclude(2, CallerConfig { isn: SeqNo::new(1001), ..world.call(2) });
    let _ = conclusion;
    world.requests.remove(0);
    world.decide(Ok(&Acceptance::default()), &mut [(2, &mut plain)]);
    let there = outcome(&mut plain).unwrap();
    let mut answer = match world.listener.callers.values().find(|s| matches!(s, Standing::Connected { .. })) {
        Some(Standing::Connected { answer, .. }) => answer.clone(),
        _ => panic!(),
    };
    answer[12..16].copy_from_slice(&1u32.to_be_bytes());
    call.handle_datagram(&answer, world.now);
    assert_eq!(outcome(&mut call).unwrap_err(), Trouble::Unsuitable(Unsuitable::NoGroup));
    assert_ne!(there.peer, SocketId::LISTENER);
}
