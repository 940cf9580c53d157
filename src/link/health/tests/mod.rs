//! One judge, told by hand.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::time::{Duration, Instant};

use super::*;

const TARGETS: [TargetId; 2] = [TargetId(0), TargetId(1)];
const SESSION: SessionId = SessionId(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A judge, and what it is told every 20 ms.
struct Court {
    judge: Judge,
    begin: Instant,
    now: Instant,
    said: Vec<(Duration, Action)>,
    probes: bool,
    /// Each probe of so many is lost; 0: none.
    loses: usize,
    acks: bool,
    /// None: there is no session.
    acked: Option<u64>,
    last_ack: Instant,
    backoff: u8,
    /// Since when something waits.
    waits: bool,
}

impl Court {
    /// A link that has been trusted for a while and carries a session.
    fn up(class: LinkClass) -> Self {
        let begin = Instant::now() + Duration::from_secs(1000);
        let judge = Judge::new(class, begin);
        let mut court = Self {
            judge,
            begin,
            now: begin,
            said: Vec::new(),
            probes: true,
            loses: 0,
            acks: true,
            acked: Some(0),
            last_ack: begin,
            backoff: 0,
            waits: true,
        };
        court.run(ms(5000));
        assert!(matches!(court.judge.health(), Health::Up { .. }), "{}", court.judge.health());
        court.said.clear();
        court
    }

    fn tell(&mut self, observation: Observation) {
        self.judge.observe(self.now, observation);
        self.hear();
    }

    fn hear(&mut self) {
        while let Some(action) = self.judge.poll(self.now) {
            self.said.push((self.now - self.begin, action));
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        let mut step = 0;
        while self.now < end {
            if step % 5 == 0 {
                TARGETS.iter().for_each(|target| self.tell(Observation::ProbeSent(*target)));
            }
            // Each answer is 40 ms under way.
            let is_lost = self.loses > 0 && (step / 5) % self.loses == 0;
            if step % 5 == 2 && self.probes && !is_lost {
                for target in TARGETS {
                    self.tell(Observation::ProbeAnswered { target, rtt: ms(40) });
                }
            }
            if let Some(acked) = &mut self.acked {
                if self.acks && self.waits {
                    *acked += 15_000;
                    self.last_ack = self.now - ms(1);
                }
                let figures = TcpFigures {
                    last_ack_recv: self.now - self.last_ack,
                    unacked: u32::from(self.waits) * 8,
                    backoff: self.backoff,
                    bytes_acked: *acked,
                    queued: u64::from(self.waits) * 30_000,
                };
                self.tell(Observation::Tcp(SESSION, figures));
            }
            self.now += ms(20);
            step += 1;
            self.hear();
        }
    }

    /// When something was said, counted from a time.
    fn when(&self, since: Instant, what: impl Fn(&Action) -> bool) -> Option<Duration> {
        let said = self.said.iter().find(|(_, action)| what(action))?;
        Some(said.0 - (since - self.begin))
    }
}

const fn leaves(action: &Action) -> bool {
    matches!(action, Action::Leave(_))
}

#[test]
fn both_silent_is_suspect_then_dead_and_both_say_why() {
    for (class, dead) in [(LinkClass::Ethernet, 1000), (LinkClass::Cellular, 1200)] {
        let mut court = Court::up(class);
        let since = court.now;
        (court.probes, court.acks) = (false, false);
        court.run(ms(2000));
        let armed = court.when(since, |action| matches!(action, Action::Arm { arming: Arming::Connect, .. })).unwrap();
        let left = court.when(since, leaves).unwrap();
        println!("{class}: armed after {armed:?}, left after {left:?}");
        assert!(armed >= ms(380) && armed <= ms(540), "{armed:?}");
        assert!(left >= ms(dead - 60) && left <= ms(dead + 140), "{left:?}");
        let health = court.judge.health().to_string();
        assert!(health.starts_with("dead: no TCP acknowledgement for 1."), "{health}");
        assert!(health.contains("and no probe answer for 1."), "{health}");
    }
}

#[test]
fn one_silent_witness_changes_nothing() {
    let mut court = Court::up(LinkClass::Ethernet);
    court.probes = false;
    court.run(ms(30_000));
    assert_eq!(court.said, [], "TCP is acknowledged");

    let mut court = Court::up(LinkClass::Ethernet);
    court.acks = false;
    court.run(ms(2000));
    assert!(!court.said.iter().any(|(_, action)| leaves(action)), "{:?}", court.said);
}

#[test]
pub(super) fn a_pause_is_no_silence() {
    let mut court = Court::up(LinkClass::Ethernet);
    court.waits = false;
    court.run(ms(20_000));
    court.probes = false;
    court.run(ms(200));
    (court.waits, court.acks) = (true, false);
    court.run(ms(300));
    assert_eq!(court.said, [], "a byte waits for 300 ms, whatever the last acknowledgement was");
}

#[test]
pub(super) fn a_link_whose_probes_are_filtered_dies_by_back_off() {
    let mut court = Court::up(LinkClass::Ethernet);
    court.probes = false;
    court.run(ms(5000));
    assert_eq!(court.said, []);
    court.acks = false;
    court.backoff = 2;
    court.run(ms(1500));
    assert!(!court.said.iter().any(|(_, action)| leaves(action)), "back-off 2 is not enough");
    court.backoff = 3;
    court.run(ms(100));
    assert!(matches!(court.judge.health(), Health::Dead { evidence: Evidence::BackOff { backoff: 3, .. }, .. }));
}

#[test]
fn a_silent_server_is_blamed_once_and_the_link_is_not() {
    let mut court = Court::up(LinkClass::Ethernet);
    let since = court.now;
    court.acks = false;
    court.run(ms(300));
    court.backoff = 1;
    court.run(ms(500));
    court.backoff = 2;
    court.run(ms(5000));
    let blamed: Vec<_> = court.said.iter().filter(|(_, action)| matches!(action, Action::BlameServer(_))).collect();
    assert_eq!(blamed.len(), 1, "{:?}", court.said);
    let after = court.when(since, |action| matches!(action, Action::BlameServer(_))).unwrap();
    assert!(after <= ms(1300), "{after:?}");
    assert!(matches!(court.judge.health(), Health::Up { .. }));
}

#[test]
fn a_lost_carrier_arms_at_once_and_kills_after_100_ms() {
    let mut court = Court::up(LinkClass::Starlink);
    let since = court.now;
    court.tell(Observation::Carrier(Carrier::Down));
    let armed = court.when(since, |action| matches!(action, Action::Arm { arming: Arming::Carry, .. }));
    assert_eq!(armed, Some(Duration::ZERO));
    assert_eq!(court.judge.poll_timeout(), Some((since + CARRIER_DEAD, Reason::Carrier)));
    court.run(ms(140));
    assert_eq!(court.when(since, leaves), Some(ms(100)));

    let mut court = Court::up(LinkClass::Starlink);
    court.tell(Observation::Carrier(Carrier::Down));
    court.run(ms(80));
    court.tell(Observation::Carrier(Carrier::Up));
    court.run(ms(2000));
    assert!(matches!(court.said[..], [(_, Action::Arm { .. }), (_, Action::StandDown { .. })]), "{:?}", court.said);
}

#[test]
fn a_hint_arms_and_expires_and_never_kills() {
    let mut court = Court::up(LinkClass::Starlink);
    // Whoever says "for an hour" is believed for five seconds.
    court.tell(Observation::Hint(Hint::Trouble { until: court.now + ms(3_600_000) }));
    court.run(ms(4900));
    assert!(matches!(court.said[..], [(_, Action::Arm { because: Alarm::Hint, .. })]), "{:?}", court.said);
    assert_eq!(court.judge.standing().outlook, Outlook::Foul);
    court.run(ms(200));
    assert!(matches!(court.said[1], (_, Action::StandDown { .. })));
    assert_eq!(court.judge.standing().outlook, Outlook::Fair);
    assert!(matches!(court.judge.health(), Health::Up { .. }));
}

#[test]
fn a_process_that_slept_does_not_blame_the_link() {
    let mut court = Court::up(LinkClass::Ethernet);
    court.run(ms(60));
    court.now += ms(3000);
    court.hear();
    court.run(ms(200));
    assert_eq!(court.said, []);
    // It is awake: now silence counts.
    (court.probes, court.acks) = (false, false);
    court.run(ms(1500));
    assert!(court.said.iter().any(|(_, action)| leaves(action)));
}

#[test]
fn a_server_is_not_blamed_for_what_a_lossy_link_does() {
    let mut court = Court::up(LinkClass::Cellular);
    court.loses = 3;
    court.acks = false;
    court.run(ms(300));
    court.backoff = 1;
    court.run(ms(500));
    court.backoff = 2;
    court.run(ms(1500));
    assert!(!court.said.iter().any(|(_, said)| matches!(said, Action::BlameServer(_))), "{:?}", court.said);
    court.run(ms(2500));
    let found: Vec<_> = court.said.iter().filter(|(_, said)| matches!(said, Action::TooLossy { .. })).collect();
    assert_eq!(found.len(), 1, "{:?}", court.said);
    assert!(!court.said.iter().any(|(_, said)| matches!(said, Action::BlameServer(_))), "{:?}", court.said);
    assert_eq!(court.judge.standing().grade, Grade::Poor);
}

#[test]
fn a_portal_behind_a_link_that_fell_silent_is_told() {
    let mut court = Court::up(LinkClass::Ethernet);
    (court.probes, court.acks) = (false, false);
    court.run(ms(2000));
    assert!(matches!(court.judge.health(), Health::Dead { evidence: Evidence::AllSilent { .. }, .. }));
    court.said.clear();
    court.tell(Observation::Portal(Portal::Captive));
    court.tell(Observation::Portal(Portal::Captive));
    let told: Vec<_> = court.said.iter().map(|(_, said)| said).collect();
    assert_eq!(told, [&Action::Leave(Evidence::Captive)], "once");
}

#[test]
fn a_portal_counts_unless_a_session_is_answered() {
    let mut court = Court::up(LinkClass::Wifi);
    court.tell(Observation::Portal(Portal::Captive));
    court.run(ms(1000));
    assert_eq!(court.said, [], "the session knows better");
    court.tell(Observation::SessionEnded(SESSION));
    court.acked = None;
    court.run(ms(1500));
    assert!(
        matches!(court.judge.health(), Health::Dead { evidence: Evidence::Captive, .. }),
        "{}",
        court.judge.health()
    );
    court.run(ms(200_000));
    assert!(matches!(court.judge.health(), Health::Dead { .. }), "answered probes do not matter");
    court.tell(Observation::Portal(Portal::Clear));
    court.run(ms(62_000));
    assert!(matches!(court.judge.health(), Health::Up { .. }), "{}", court.judge.health());
}

#[test]
fn srt_is_a_witness_while_its_path_carries() {
    let mut court = Court::up(LinkClass::Ethernet);
    court.acked = None;
    court.tell(Observation::SessionEnded(SESSION));
    court.probes = false;
    let figures = |heard, load| Observation::Srt(SESSION, SrtFigures { heard, load });
    for _ in 0..200 {
        court.tell(figures(ms(15), Load::Carries));
        court.run(ms(40));
    }
    assert_eq!(court.said, [], "the peer answers");
    court.probes = true;
    court.run(ms(2000));
    court.probes = false;
    let since = court.now;
    for _ in 0..40 {
        let heard = court.now - since;
        court.tell(figures(heard, Load::Carries));
        court.run(ms(40));
    }
    let health = court.judge.health().to_string();
    assert!(health.starts_with("dead: nothing from the SRT peer for 1."), "{health}");
}

#[test]
fn words_are_as_people_say_them() {
    let evidence = Evidence::AllSilent { stream: Stream::Tcp, silent: ms(1040), probes: ms(1100) };
    assert_eq!(evidence.to_string(), "no TCP acknowledgement for 1.04 s and no probe answer for 1.10 s");
    let now = Instant::now();
    let probation = Probation {
        since: now,
        clean: None,
        unclean: Unclean::Lossy(22),
        needs: ms(60_000),
        relapses: 2,
        failed: Some(Evidence::NoCarrier { lasting: ms(100) }),
    };
    assert_eq!(
        Health::Probation(probation).to_string(),
        "on probation: has to be clean for 60 s, is not: 22 % of the probes are lost; failed: no carrier for 100 ms; \
         relapses: 2"
    );
}

#[test]
fn a_link_that_begins_to_lose_probes_is_expected_to_be_trouble_before_its_points_show_it() {
    let mut court = Court::up(LinkClass::Cellular);
    assert_eq!(court.judge.standing().outlook, Outlook::Fair);
    court.loses = 3;
    court.run(ms(1500));
    let standing = court.judge.standing();
    assert_eq!((standing.outlook, standing.grade), (Outlook::Foul, Grade::Good), "{standing:?}");
    court.loses = 0;
    court.run(ms(3500));
    assert_eq!(court.judge.standing().outlook, Outlook::Fair);
}
