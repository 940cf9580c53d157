//! In virtual time; with a real judge where it matters what that makes of it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;

use super::*;
use crate::clock;
use crate::link::health::{Action, Evidence, Health, Judge, LinkClass};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn echo(host: &str) -> ProbeTarget {
    ProbeTarget { kind: ProbeKind::Echo, host: host.to_owned(), port: 9710 }
}

fn stun(host: &str) -> ProbeTarget {
    ProbeTarget { kind: ProbeKind::Stun, host: host.to_owned(), port: 3478 }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// What a server says to a question.
fn answer(question: &[u8]) -> Vec<u8> {
    if let Ok(Echo::Question(stamp)) = Echo::read(question) {
        return Echo::Answer(stamp).write().to_vec();
    }
    let mut answer = question.to_vec();
    answer[..4].copy_from_slice(b"\x01\x01\x00\x0c");
    // 203.0.113.7:40000, veiled.
    answer.extend(b"\x00\x20\x00\x08\x00\x01");
    answer.extend((40_000u16 ^ 0x2112).to_be_bytes());
    answer.extend((0xcb00_7107u32 ^ 0x2112_a442).to_be_bytes());
    answer
}

fn observations(prober: &mut Prober) -> Vec<Observation> {
    std::iter::from_fn(|| prober.poll_observation()).collect()
}

/// One target that is known to be at one address.
fn one(target: &ProbeTarget, address: &str) -> (Prober, Instant) {
    let now = clock::now();
    let mut prober = Prober::new(1, now);
    prober.set_targets(std::slice::from_ref(target));
    prober.set_addresses(target, &[at(address)], now);
    (prober, now)
}

/// A prober, a network that answers after a while, and a judge.
struct Bench {
    prober: Prober,
    judge: Judge,
    now: Instant,
    /// Who answers, and how long that takes.
    servers: BTreeMap<SocketAddr, Duration>,
    under_way: Vec<(Instant, SocketAddr, Vec<u8>)>,
    asked: Vec<(Instant, SocketAddr)>,
    actions: Vec<(Instant, Action)>,
}

impl Bench {
    fn new(class: LinkClass, targets: &[(ProbeTarget, &[&str])], servers: &[(&str, u64)]) -> Self {
        let now = clock::now();
        let mut prober = Prober::new(7, now);
        prober.set_targets(&targets.iter().map(|(target, _)| target.clone()).collect::<Vec<_>>());
        for (target, addresses) in targets {
            prober.set_addresses(target, &addresses.iter().map(|a| at(a)).collect::<Vec<_>>(), now);
        }
        let servers = servers.iter().map(|(address, rtt)| (at(address), ms(*rtt))).collect();
        let judge = Judge::new(class, now);
        Self { prober, judge, now, servers, under_way: Vec::new(), asked: Vec::new(), actions: Vec::new() }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            while let Some(transmit) = self.prober.poll_transmit(self.now) {
                self.asked.push((self.now, transmit.to));
                if let Some(rtt) = self.servers.get(&transmit.to) {
                    self.under_way.push((self.now + *rtt, transmit.to, answer(&transmit.bytes)));
                }
            }
            while let Some(position) = self.under_way.iter().position(|(when, ..)| *when <= self.now) {
                let (_, from, bytes) = self.under_way.remove(position);
                self.prober.handle_datagram(from, &bytes, self.now);
            }
            while let Some(observation) = self.prober.poll_observation() {
                self.judge.observe(self.now, observation);
            }
            while let Some(action) = self.judge.poll(self.now) {
                self.actions.push((self.now, action));
            }
            let due = [self.prober.poll_timeout(), self.judge.poll_timeout().map(|(at, _)| at)];
            let due = due.into_iter().flatten().chain(self.under_way.iter().map(|(when, ..)| *when));
            let next = due.min().unwrap_or(end);
            assert!(next > self.now, "no busy loop");
            if next > end {
                self.now = end;
                return;
            }
            self.now = next;
        }
    }

    /// When the first such action was, since `begun`.
    fn first(&self, begun: Instant, is: impl Fn(&Action) -> bool) -> Option<Duration> {
        self.actions.iter().find(|(when, action)| *when >= begun && is(action)).map(|(when, _)| *when - begun)
    }
}

const RELAY: &str = "198.51.100.1:9710";
const OTHER: &str = "203.0.113.9:9710";
const PUBLIC: &str = "192.0.2.53:3478";

#[test]
fn echoes_are_asked_ten_times_a_second_and_public_servers_twice_on_one_grid() {
    let targets = [(echo("a"), &[RELAY][..]), (echo("b"), &[OTHER][..]), (stun("c"), &[PUBLIC][..])];
    let mut bench = Bench::new(LinkClass::Ethernet, &targets, &[(RELAY, 20), (OTHER, 30), (PUBLIC, 40)]);
    bench.run(Duration::from_secs(10) - ms(1));
    let count = |who: &str| bench.asked.iter().filter(|(_, to)| *to == at(who)).count();
    assert_eq!((count(RELAY), count(OTHER), count(PUBLIC)), (100, 100, 20));
    let mut wakes: Vec<Instant> = bench.asked.iter().map(|(when, _)| *when).collect();
    wakes.dedup();
    assert_eq!(wakes.len(), 100, "they leave together");
    assert!(matches!(bench.judge.health(), Health::Up { .. }), "{:?}", bench.judge.health());
    assert_eq!(bench.prober.mapped(), Some(at("203.0.113.7:40000")));
    let counts = bench.prober.counts();
    assert_eq!((counts.sent, counts.answered), (220, 220));
}

#[test]
fn a_judge_finds_a_dead_link_within_its_bound_and_hears_of_its_return() {
    for (targets, servers) in [
        (vec![(echo("a"), &[RELAY][..]), (echo("b"), &[OTHER][..])], vec![(RELAY, 20), (OTHER, 60)]),
        // Nothing but a public server, which is asked seldom.
        (vec![(stun("c"), &[PUBLIC][..])], vec![(PUBLIC, 45)]),
    ] {
        let mut bench = Bench::new(LinkClass::Cellular, &targets, &servers);
        bench.run(Duration::from_secs(5) + ms(37));
        assert!(matches!(bench.judge.health(), Health::Up { .. }), "{:?}", bench.judge.health());
        let (servers, cut) = (std::mem::take(&mut bench.servers), bench.now);
        bench.under_way.clear();
        bench.run(Duration::from_secs(20));
        let dead = bench.first(cut, |a| matches!(a, Action::Leave(Evidence::ProbesSilent { .. }))).unwrap();
        let alone = LinkClass::Cellular.thresholds().alone;
        assert!(dead >= alone - ms(100) && dead <= alone + STUN_EVERY, "dead after {dead:?}");
        let healed = bench.now;
        bench.servers = servers;
        bench.run(Duration::from_secs(2));
        let back = bench.first(healed, |a| matches!(a, Action::Returned(_))).unwrap();
        assert!(back <= STUN_EVERY + ms(100), "back after {back:?}");
        println!("dead after {dead:?}, back after {back:?}");
    }
}

#[test]
fn sequences_go_around() {
    let (mut prober, mut now) = one(&echo("a"), RELAY);
    prober.targets[0].sequence = u32::MAX - 1;
    for _ in 0..4 {
        let question = prober.poll_transmit(now).unwrap();
        prober.handle_datagram(question.to, &answer(&question.bytes), now + ms(7));
        now = prober.poll_timeout().unwrap();
    }
    assert_eq!((prober.targets[0].sequence, prober.counts().answered), (2, 4));
}

#[test]
fn answers_in_any_order_count_once_each_and_with_their_own_time() {
    let (mut prober, start) = one(&echo("a"), RELAY);
    let mut questions = Vec::new();
    for n in 0..3 {
        questions.push(prober.poll_transmit(start + ms(n * 100)).unwrap());
    }
    assert_eq!(observations(&mut prober), [Observation::ProbeSent(TargetId(0)); 3]);
    for n in [2, 0, 2, 1, 0] {
        prober.handle_datagram(at(RELAY), &answer(&questions[n].bytes), start + ms(250));
    }
    let rtt = |rtt| Observation::ProbeAnswered { target: TargetId(0), rtt: ms(rtt) };
    assert_eq!(observations(&mut prober), [rtt(50), rtt(250), rtt(150)]);
    assert_eq!((prober.counts().answered, prober.counts().duplicate), (3, 2));
}

#[test]
fn what_is_forged_late_or_no_answer_is_counted_and_not_believed() {
    for (target, address) in [(echo("a"), RELAY), (stun("c"), PUBLIC)] {
        let (mut prober, now) = one(&target, address);
        let question = prober.poll_transmit(now).unwrap();
        let good = answer(&question.bytes);
        observations(&mut prober);
        let mut guessed = good.clone();
        guessed[9] ^= 1;
        prober.handle_datagram(at("198.51.100.66:9710"), &good, now);
        prober.handle_datagram(at("198.51.100.1:9711"), &good, now);
        prober.handle_datagram(at("[2001:db8::1]:9710"), &guessed, now);
        assert_eq!(prober.counts().forged, 3, "{target}: from elsewhere");
        prober.handle_datagram(at(address), &guessed, now);
        let counts = prober.counts();
        // A STUN server that guesses cannot be told from one that is late.
        assert_eq!(counts.forged + counts.late, 4, "{target}: {counts:?}");
        for noise in [&[][..], &question.bytes, b"GET / HTTP/1.1", &good[..good.len() - 1]] {
            prober.handle_datagram(at(address), noise, now);
        }
        assert_eq!(prober.counts().malformed, 4, "{target}");
        prober.handle_datagram(at(address), &good, now + LATE_AFTER);
        assert_eq!(observations(&mut prober), [], "{target}");
        assert_eq!(prober.counts().answered, 0);
        // From the target as a socket for both kinds of addresses shows it.
        let (mut prober, now) = one(&echo("a"), RELAY);
        let question = prober.poll_transmit(now).unwrap();
        prober.handle_datagram(at("[::ffff:198.51.100.1]:9710"), &answer(&question.bytes), now);
        assert_eq!(prober.counts().answered, 1);
    }
}

#[test]
fn a_prober_that_was_asleep_does_not_make_up_for_it() {
    let (mut prober, start) = one(&echo("a"), RELAY);
    let now = start + Duration::from_secs(3) + ms(30);
    assert!(prober.poll_transmit(now).is_some());
    assert_eq!(prober.poll_transmit(now), None);
    assert_eq!(prober.poll_timeout(), Some(start + Duration::from_secs(3) + ms(100)), "on its grid");
}

#[test]
fn of_several_addresses_the_one_that_answers_is_kept_until_it_is_silent() {
    let (dead, alive, spare) = ("[2001:db8::1]:9710", RELAY, "198.51.100.2:9710");
    let targets = [(echo("a"), &[dead, alive, spare][..])];
    let mut bench = Bench::new(LinkClass::Ethernet, &targets, &[(alive, 20)]);
    bench.run(Duration::from_secs(8));
    let asked = |bench: &Bench, who: &str| bench.asked.iter().filter(|(_, to)| *to == at(who)).count();
    assert!(asked(&bench, dead) <= 2 && asked(&bench, alive) >= 78, "settled at once");
    assert!(matches!(bench.judge.health(), Health::Up { .. }));
    // The server moves to its other address.
    bench.servers = BTreeMap::from([(at(spare), ms(20))]);
    let moved = bench.now;
    bench.run(Duration::from_secs(5));
    assert!(bench.first(moved, |a| matches!(a, Action::Returned(_))).unwrap() <= SEARCH_AFTER + ms(500));
    let before = asked(&bench, alive);
    bench.run(Duration::from_secs(2));
    assert_eq!(asked(&bench, alive), before, "settled again");
}

#[test]
fn a_list_that_changes_leaves_the_others_as_they_were() {
    let (a, b, c) = (echo("a"), echo("b"), stun("c"));
    let (mut prober, now) = one(&a, RELAY);
    let question = prober.poll_transmit(now).unwrap();
    prober.set_targets(&[b.clone(), a.clone()]);
    assert_eq!((prober.id(&a), prober.id(&b)), (Some(TargetId(0)), Some(TargetId(1))));
    assert_eq!(prober.poll_transmit(now + ms(50)), None, "b has no address yet");
    prober.set_addresses(&b, &[at(OTHER)], now + ms(50));
    assert_eq!(prober.poll_transmit(now + ms(50)).unwrap().to, at(OTHER));
    prober.handle_datagram(question.to, &answer(&question.bytes), now + ms(60));
    assert_eq!(prober.counts().answered, 1, "what was under way counts");
    let question = prober.poll_transmit(now + ms(100)).unwrap();
    prober.set_targets(&[b.clone(), c.clone()]);
    prober.handle_datagram(question.to, &answer(&question.bytes), now + ms(110));
    assert_eq!((prober.counts().answered, prober.counts().forged), (1, 1), "nobody asks a any more");
    assert_eq!(prober.id(&c), Some(TargetId(2)), "a judge never forgets a number");
    prober.set_addresses(&a, &[at(RELAY)], now);
    prober.set_targets(&[]);
    assert_eq!((prober.poll_timeout(), prober.poll_transmit(now + ms(900))), (None, None));
}

#[test]
fn a_number_that_had_to_be_given_twice_kills_no_link() {
    let mut bench = Bench::new(LinkClass::Ethernet, &[(echo("0"), &[RELAY][..])], &[(RELAY, 20)]);
    bench.run(Duration::from_secs(5));
    assert!(matches!(bench.judge.health(), Health::Up { .. }));
    // All eight numbers are used up by others that answer, and one is left that never does.
    for n in 1..MOST_TARGETS {
        let target = echo(&n.to_string());
        bench.prober.set_targets(std::slice::from_ref(&target));
        bench.prober.set_addresses(&target, &[at(RELAY)], bench.now);
        bench.run(Duration::from_secs(1));
    }
    let silent = echo("silent");
    bench.prober.set_targets(std::slice::from_ref(&silent));
    bench.prober.set_addresses(&silent, &[at(OTHER)], bench.now);
    bench.run(Duration::from_secs(30));
    let left = bench.actions.iter().find(|(_, action)| matches!(action, Action::Leave(_)));
    assert_eq!(left, None, "{:?}", bench.judge.health());
    assert_eq!(bench.prober.id(&silent), Some(TargetId(0)));
    // Once it answers it is a witness like any other.
    bench.servers.insert(at(OTHER), ms(20));
    bench.run(Duration::from_secs(5));
    let cut = bench.now;
    bench.servers.clear();
    bench.run(Duration::from_secs(5));
    assert!(bench.first(cut, |a| matches!(a, Action::Leave(Evidence::ProbesSilent { .. }))).is_some());
}

#[test]
fn more_targets_than_a_judge_listens_to_are_not_asked() {
    let targets: Vec<ProbeTarget> = (0..20).map(|n| echo(&n.to_string())).collect();
    let now = clock::now();
    let mut prober = Prober::new(1, now);
    prober.set_targets(&targets);
    for target in &targets {
        prober.set_addresses(target, &[at(RELAY)], now);
    }
    assert_eq!(std::iter::from_fn(|| prober.poll_transmit(now)).count(), MOST_TARGETS);
}

#[test]
fn nobody_who_is_not_polled_fills_memory() {
    let (mut prober, mut now) = one(&echo("a"), RELAY);
    for _ in 0..1000 {
        let _ = prober.poll_transmit(now).unwrap();
        now = prober.poll_timeout().unwrap();
    }
    assert_eq!(observations(&mut prober).len(), MOST_OBSERVATIONS);
    assert_eq!(prober.counts().unheard, 1000 - MOST_OBSERVATIONS as u64);
    assert!(prober.targets[0].questions.len() <= MOST_QUESTIONS);
}
