// Any instant does to begin with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use super::*;
use crate::config::Via;
use crate::model::{OutputId, RenditionId};
use crate::rtmp::trouble::{Refusal, Step};

const MS: Duration = Duration::from_millis(1);

fn settings(takeover: Takeover) -> DestinationSettings {
    DestinationSettings {
        id: OutputId::new("out").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        url: url("a.example"),
        key: Secret::new("key"),
        takeover,
        ca_file: None,
        backup_key: None,
        via: Via::Routing,
        lowers_bitrate: true,
        enabled: true,
    }
}

fn url(host: &str) -> RtmpUrl {
    RtmpUrl { tls: false, host: host.into(), port: 1935, app: "live".into() }
}

/// A destination in virtual time.
struct Life {
    policy: Policy,
    now: Instant,
}

impl Life {
    fn started(takeover: Takeover, seed: u64) -> Self {
        let now = crate::clock::now();
        let mut policy = Policy::new(&settings(takeover), seed, 100);
        policy.start(now);
        Self { policy, now }
    }

    /// Sleeps until the next attempt is due and makes it; how long that was.
    fn next(&mut self) -> (Duration, Attempt) {
        let (until, _) = self.policy.poll_timeout().expect("an attempt is planned");
        let waited = until.saturating_duration_since(self.now);
        if !waited.is_zero() {
            assert_eq!(self.policy.attempt(until - Duration::from_nanos(1)), None, "not before its time");
        }
        self.now = self.now.max(until);
        let attempt = self.policy.attempt(self.now).expect("the attempt is due");
        assert_eq!(self.policy.attempt(self.now), None, "one attempt at a time");
        (waited, attempt)
    }

    fn publish_for(&mut self, time: Duration) {
        self.policy.published(self.now);
        assert!(matches!(self.policy.phase(), Phase::Publishing { .. }));
        self.now += time;
    }

    fn fail(&mut self, trouble: Trouble) -> Concern {
        self.policy.failed(trouble, self.now)
    }
}

fn refused(refusal: Refusal) -> Trouble {
    Trouble::Refused(refusal)
}

const LOST: Trouble = Trouble::ConnectionLost { how: "reset" };

#[test]
fn failures_in_a_row_are_waited_for_longer_and_longer_with_jitter() {
    let waits = |seed| {
        let mut life = Life::started(Takeover::ServerOverrides, seed);
        (0..10)
            .map(|_| {
                let (waited, _) = life.next();
                life.fail(Trouble::ConnectionRefused);
                waited
            })
            .collect::<Vec<_>>()
    };
    for seed in 0..50 {
        let waits = waits(seed);
        assert_eq!(waits[0], Duration::ZERO, "the first attempt is made at once");
        for (i, wait) in waits.iter().enumerate().skip(1) {
            let nominal = (BACKOFF_FIRST * (1 << (i - 1))).min(BACKOFF_MAX);
            assert!(*wait >= nominal / 2 && *wait <= nominal, "seed {seed}, wait {i}: {wait:?}");
        }
    }
    assert_ne!(waits(1), waits(2), "neighbours do not retry in step");
    assert_eq!(waits(1), waits(1), "the same seed is the same life");
}

#[test]
fn a_good_session_begins_the_back_off_anew_and_a_short_one_does_not() {
    for (lasted, is_short) in [(GOOD_SESSION, true), (GOOD_SESSION - MS, false)] {
        let mut life = Life::started(Takeover::ServerOverrides, 1);
        for _ in 0..8 {
            life.next();
            life.fail(Trouble::Unreachable);
        }
        life.next();
        life.publish_for(lasted);
        life.fail(LOST);
        assert_eq!(life.next().0 <= BACKOFF_FIRST, is_short, "after a session of {lasted:?}");
    }
}

#[test]
fn the_network_and_the_operator_cut_the_wait_short_but_only_the_network_resets_it() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    for _ in 0..8 {
        life.next();
        life.fail(Trouble::Unreachable);
    }
    life.policy.retry_now(life.now);
    assert_eq!(life.next().0, Duration::ZERO);
    life.fail(Trouble::Unreachable);
    assert!(life.policy.poll_timeout().unwrap().0 >= life.now + BACKOFF_MAX / 2);
    life.policy.network_returned(life.now);
    assert_eq!(life.next().0, Duration::ZERO);
    life.fail(Trouble::Unreachable);
    assert!(life.next().0 <= BACKOFF_FIRST);
}

#[test]
fn an_attempt_into_the_void_is_made_anew_when_the_network_returns() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.next();
    life.policy.network_returned(life.now + STALE_ATTEMPT - MS);
    assert!(matches!(life.policy.phase(), Phase::Attempting { .. }), "a young attempt is left alone");
    life.now += STALE_ATTEMPT;
    life.policy.network_returned(life.now);
    assert_eq!(life.next().0, Duration::ZERO);
}

#[test]
fn a_running_session_is_not_disturbed() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.next();
    life.publish_for(MS);
    let phase = life.policy.phase().clone();
    life.policy.network_returned(life.now);
    life.policy.retry_now(life.now);
    life.policy.start(life.now);
    assert_eq!(*life.policy.phase(), phase);
}

#[test]
fn what_needs_the_operator_is_tried_slowly_and_for_ever() {
    for trouble in [
        refused(Refusal::WrongKey),
        refused(Refusal::NoSuchApp),
        refused(Refusal::AuthenticationNeeded),
        refused(Refusal::NameBusy),
        refused(Refusal::CodecNotAccepted(crate::model::Codec::Av1)),
        Trouble::TlsName,
        Trouble::TlsUntrusted,
        Trouble::NotRtmp,
    ] {
        let mut life = Life::started(Takeover::ServerOverrides, 1);
        life.next();
        for _ in 0..5 {
            assert_eq!(life.fail(trouble.clone()), Concern::NeedsOperator, "{trouble:?}");
            let (waited, _) = life.next();
            assert!(waited >= BACKOFF_OPERATOR.mul_f64(0.8) && waited <= BACKOFF_OPERATOR, "{trouble:?}: {waited:?}");
        }
    }
}

#[test]
fn a_busy_name_just_after_losing_a_session_is_our_own_and_is_asked_for_quickly() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.next();
    life.publish_for(20 * GOOD_SESSION);
    life.fail(LOST);
    let lost = life.now;
    let mut tries = 0;
    life.next();
    while life.now < lost + OWN_SESSION_LINGERS {
        assert_eq!(life.fail(refused(Refusal::NameBusy)), Concern::MayPass);
        let (waited, _) = life.next();
        assert!(waited >= BUSY_FIRST.mul_f64(0.8) && waited <= BUSY_MAX, "{waited:?}");
        tries += 1;
    }
    assert!(tries > 55, "{tries} tries in a minute");
    assert_eq!(life.fail(refused(Refusal::NameBusy)), Concern::NeedsOperator, "after a minute it is somebody else");
}

#[test]
fn a_name_busy_where_the_server_sent_us_is_that_of_the_session_that_was_left() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.next();
    life.publish_for(20 * GOOD_SESSION);
    life.policy.moving(url("b.example"), life.now);
    for _ in 0..5 {
        assert_eq!(life.fail(refused(Refusal::NameBusy)), Concern::MayPass);
        assert!(life.next().0 <= BUSY_MAX, "off air for {BACKOFF_OPERATOR:?}");
    }
}

#[test]
fn a_name_busy_from_the_start_is_somebody_elses_but_may_be_waited_for() {
    let mut life = Life::started(Takeover::RetryUntilFree, 1);
    for _ in 0..2000 {
        life.next();
        assert_eq!(life.fail(refused(Refusal::NameBusy)), Concern::NeedsOperator);
    }
    assert!(life.next().0 <= BUSY_MAX, "asked until it is free");
}

#[test]
fn start_then_hang_up_counts_as_busy_and_is_not_mistaken_for_a_session_of_ours() {
    let mut life = Life::started(Takeover::RetryUntilFree, 1);
    for _ in 0..10 {
        life.next();
        life.publish_for(100 * MS);
        life.fail(refused(Refusal::DroppedAtOnce));
        assert_eq!(life.policy.lost, None);
    }
    assert!(life.next().0 <= BUSY_MAX);
}

#[test]
fn a_stream_that_takes_another_way_goes_where_it_is_told_and_counts_its_old_session_as_its_own() {
    let mut life = Life::started(Takeover::BackupUrl(url("b.example")), 1);
    life.policy.backup_key = Some(Secret::new("spare"));
    life.policy.head_for(0);
    life.next();
    life.publish_for(Duration::from_secs(20));
    let attempt = life.policy.turn(1, life.now).unwrap();
    assert_eq!((attempt.url.host.as_str(), attempt.name.reveal()), ("b.example", "spare"));
    assert!(matches!(life.policy.phase(), Phase::Attempting { .. }));
    // The far end still holds the session that was left: that is no matter for the operator, and it goes on there.
    assert_eq!(life.fail(Trouble::Refused(Refusal::NameBusy)), Concern::MayPass);
    let (waited, attempt) = life.next();
    assert!(waited <= BUSY_FIRST, "{waited:?}");
    assert_eq!(attempt.url.host, "b.example", "addresses take no turns any more");
    life.policy.stop();
    assert_eq!(life.policy.turn(0, life.now), None, "nobody wants it");
}

#[test]
fn a_backup_address_takes_turns_with_the_first() {
    let mut life = Life::started(Takeover::BackupUrl(url("b.example")), 1);
    for host in ["a.example", "b.example", "a.example"] {
        assert_eq!(life.next().1.url.host, host);
        life.publish_for(GOOD_SESSION);
        life.fail(LOST);
    }
}

#[test]
fn priority_rises_with_every_attempt() {
    let mut life = Life::started(Takeover::PriorityQuery, 1);
    for expected in ["key?priority=100", "key?priority=101"] {
        assert_eq!(life.next().1.name.reveal(), expected);
        life.fail(LOST);
    }
    life.policy.key = Secret::new("key?bandwidthtest=true");
    assert_eq!(life.next().1.name.reveal(), "key?bandwidthtest=true&priority=102");
}

#[test]
fn only_a_stop_ends_cleanly_and_it_wins_over_everything() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.policy.stop();
    assert_eq!(*life.policy.phase(), Phase::Off);
    life.policy.start(life.now);
    life.next();
    life.policy.stop();
    assert_eq!(*life.policy.phase(), Phase::Off, "an attempt is dropped");
    life.fail(LOST);
    assert_eq!(*life.policy.phase(), Phase::Off, "what fails afterwards is of no interest");
    life.policy.start(life.now);
    life.next();
    life.publish_for(MS);
    life.policy.stop();
    assert_eq!(*life.policy.phase(), Phase::Ending);
    assert_eq!(life.policy.poll_timeout(), None);
    life.policy.ended_cleanly();
    assert_eq!(*life.policy.phase(), Phase::Off);
}

#[test]
fn a_redirect_is_followed_from_where_the_session_is() {
    let mut life = Life::started(Takeover::ServerOverrides, 1);
    life.next();
    assert!(life.policy.redirected(Some("/x")).is_err(), "there is no session to move");
    life.publish_for(MS);
    let attempt = life.policy.redirected(Some("//b.example/x")).unwrap();
    assert_eq!(attempt.url.to_string(), "rtmp://b.example/x");
    life.policy.moved(attempt.url, life.now);
    assert_eq!(life.policy.redirected(Some("/y")).unwrap().url.to_string(), "rtmp://b.example/y");
    life.now += GOOD_SESSION;
    life.fail(LOST);
    assert_eq!(life.next().1.url, url("a.example"), "a lost session begins where it is configured");
}

#[test]
fn a_connection_that_confirms_nothing_is_dead_but_an_idle_one_is_not() {
    let start = crate::clock::now();
    let mut progress = Progress::new(start);
    let second = Duration::from_secs(1);
    for i in 1..=30u32 {
        assert_eq!(progress.observe(0, false, start + i * second), None, "idle");
    }
    let t = start + 30 * second;
    assert_eq!(progress.observe(100, true, t), None);
    assert_eq!(progress.observe(100, true, t + NO_PROGRESS - MS), None);
    assert_eq!(progress.observe(100, true, t + NO_PROGRESS), Some(Trouble::NoProgress(NO_PROGRESS)));
    assert_eq!(progress.observe(101, true, t + NO_PROGRESS), None);
}

#[test]
fn whatever_happens_there_is_always_a_next_attempt_and_it_is_never_far_nor_immediate() {
    let troubles = [
        Trouble::NameLookup,
        Trouble::ConnectTimeout,
        Trouble::ClosedDuring(Step::Publish),
        Trouble::NoAnswer(Step::Connect),
        LOST,
        refused(Refusal::NameBusy),
        refused(Refusal::DroppedAtOnce),
        refused(Refusal::WrongKey),
        Trouble::NoProgress(NO_PROGRESS),
    ];
    for seed in 0..300 {
        let mut random = fastrand::Rng::with_seed(seed);
        let takeover = match seed % 4 {
            0 => Takeover::ServerOverrides,
            1 => Takeover::PriorityQuery,
            2 => Takeover::RetryUntilFree,
            _ => Takeover::BackupUrl(url("b.example")),
        };
        let mut life = Life::started(takeover, seed);
        for i in 0..200 {
            let (waited, _) = life.next();
            assert!(waited <= BACKOFF_OPERATOR, "seed {seed}, attempt {i}: {waited:?}");
            assert!(i == 0 || waited >= BACKOFF_FIRST / 2, "seed {seed}, attempt {i}: {waited:?}");
            if random.bool() {
                life.publish_for(random.u32(1..30_000) * MS);
            }
            life.fail(troubles[random.usize(..troubles.len())].clone());
        }
    }
}
