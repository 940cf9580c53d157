//! What a world is like and what happens in it: written down for a scenario, or drawn from a seed.

use std::time::Duration;

use super::world::ms;
use crate::bonding::Policy;
use crate::netem::{Bottleneck, Bursts, Change, Conditions, Direction, Jitter, Loss, Queue};
use crate::srt::crypto::RefreshPolicy;
use crate::srt::session::FEATURES;
use crate::srt::wire::{GroupType, SeqNo};

/// Whom the ends take each other for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// Holdfast, which says so in the handshake.
    Holdfast,
    /// Some libsrt of this version.
    Libsrt(u32),
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) seed: u64,
    pub(super) policy: Policy,
    pub(super) peer: Peer,
    pub(super) version: u32,
    pub(super) latency: Duration,
    /// Payload bytes.
    pub(super) payload: usize,
    /// From packet to packet.
    pub(super) interval: Duration,
    /// So many at once, as a picture is.
    pub(super) burst: u32,
    pub(super) first_offer: Duration,
    /// For how long packets are made and things happen.
    pub(super) length: Duration,
    /// What each cable is like at the start, forward and back.
    pub(super) cables: Vec<(Conditions, Conditions)>,
    /// When each is connected.
    pub(super) joins: Vec<Duration>,
    pub(super) steps: Vec<(Duration, usize, Change)>,
    pub(super) isn: SeqNo,
    /// How much faster the listener's clock is.
    pub(super) drift_ppm: i64,
    /// How long timestamps have been counted when the session begins.
    pub(super) uptime: Duration,
    /// Timers fire at most so much too late.
    pub(super) slack: Duration,
    /// Whether strangers send datagrams as well.
    pub(super) garbage: bool,
    pub(super) peer_idle: Duration,
    /// Encrypted, with a new key every so many packets.
    pub(super) refresh: Option<RefreshPolicy>,
    /// Whether a lost carrier is known at once, as netlink tells it.
    pub(super) hears_of_carriers: bool,
    /// Whether everything that is said is printed.
    pub(super) tells: bool,
}

impl Story {
    /// Nothing happens: one cable of 20 ms, 3.2 Mbit/s for 5 s with a latency of 250 ms.
    pub(super) fn quiet(policy: Policy, cables: &[Conditions]) -> Self {
        Self {
            seed: 1,
            policy,
            peer: Peer::Holdfast,
            version: 0x01_05_05,
            latency: ms(250),
            payload: 1316,
            interval: Duration::from_micros(3300),
            burst: 1,
            first_offer: ms(300),
            length: ms(5000),
            cables: cables.iter().map(|conditions| (*conditions, *conditions)).collect(),
            joins: vec![Duration::ZERO; cables.len()],
            steps: Vec::new(),
            isn: SeqNo::new(1000),
            drift_ppm: 0,
            uptime: Duration::ZERO,
            slack: Duration::ZERO,
            garbage: false,
            peer_idle: Duration::from_secs(5),
            refresh: None,
            hears_of_carriers: false,
            tells: false,
        }
    }

    /// With these steps: milliseconds, cable, what changes.
    pub(super) fn with(mut self, steps: &[(u64, usize, &str)]) -> Self {
        self.steps = steps.iter().map(|(at, cable, change)| (ms(*at), *cable, change.parse().unwrap())).collect();
        self
    }

    pub(super) fn group(&self) -> Option<GroupType> {
        match self.policy {
            Policy::Single => None,
            Policy::Broadcast => Some(GroupType::Broadcast),
            Policy::Backup => Some(GroupType::Backup),
        }
    }

    /// What of Holdfast's own both ends understand.
    pub(super) fn holdfast(&self) -> Option<u32> {
        (self.peer == Peer::Holdfast).then_some(FEATURES)
    }

    /// The soonest that keys may change: a key must not be replaced while packets that it sealed may still be repeated.
    pub(super) fn soonest_refresh(&self) -> RefreshPolicy {
        let lifetime = (self.latency + ms(300)).as_nanos() / self.interval.as_nanos();
        let announce = u64::try_from(lifetime).unwrap().max(20);
        RefreshPolicy::new(3 * announce, announce / 2).unwrap()
    }

    /// Bits per second on the wire.
    pub(super) fn rate(&self) -> u64 {
        let bits = (self.payload as u64 + 16) * 8;
        bits * 1_000_000_000 / u64::try_from(self.interval.as_nanos()).unwrap()
    }

    /// A story of its own for each seed.
    pub(super) fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let r = &mut random;
        let policy = match r.u8(0..10) {
            0..2 => Policy::Single,
            2..6 => Policy::Broadcast,
            _ => Policy::Backup,
        };
        let count = if policy == Policy::Single { 1 } else { 1 + r.usize(1..3) };
        let interval = Duration::from_micros([2_000, 3_000, 5_000, 8_000, 15_000][r.usize(0..5)]);
        let peer = match r.u8(0..4) {
            0 => Peer::Libsrt([0x01_05_01, 0x01_05_05][r.usize(0..2)]),
            _ => Peer::Holdfast,
        };
        let mut story = Self {
            seed,
            peer,
            version: if let Peer::Libsrt(version) = peer { version } else { 0x01_05_05 },
            latency: ms([80, 120, 200, 250, 400, 700, 1000][r.usize(0..7)]),
            payload: [188, 1316, 1316, 1316][r.usize(0..4)],
            interval,
            burst: [1, 1, 1, 8][r.usize(0..4)],
            length: ms(r.u64(2_500..6_000)),
            isn: SeqNo::new(if r.bool() { SeqNo::MAX.get() - r.u32(0..800) } else { r.u32(..) & SeqNo::MAX.get() }),
            drift_ppm: if r.bool() { 0 } else { r.i64(-200..201) },
            // A third of them sees the timestamps wrap.
            uptime: if r.u8(0..3) == 0 {
                Duration::from_micros((1 << 32) - r.u64(0..5_000_000))
            } else {
                ms(r.u64(0..10_000))
            },
            slack: if r.u8(0..4) == 0 { Duration::from_micros(r.u64(0..1500)) } else { Duration::ZERO },
            garbage: r.u8(0..4) == 0,
            peer_idle: ms([1000, 5000][r.usize(0..2)]),
            hears_of_carriers: r.bool(),
            cables: Vec::new(),
            joins: Vec::new(),
            ..Self::quiet(policy, &[])
        };
        story.refresh = (r.u8(0..3) == 0).then(|| story.soonest_refresh());
        story.tells = std::env::var_os("HOLDFAST_TELLS").is_some();
        let lossy = r.u8(0..3) == 0;
        for cable in 0..count {
            story.cables.push((conditions(r, lossy), conditions(r, lossy)));
            story.joins.push(if cable > 0 && r.u8(0..4) == 0 { ms(r.u64(0..3000)) } else { Duration::ZERO });
        }
        // In most stories one cable is left alone, so that nothing may be lost.
        let spared = (r.u8(0..4) > 0).then(|| r.usize(0..count));
        let mut at = ms(r.u64(400..1500));
        while at < story.length {
            let cable = r.usize(0..count);
            if spared != Some(cable) {
                let trouble = trouble(r, &story);
                story.steps.push((at, cable, trouble));
                if r.u8(0..3) > 0 {
                    story.steps.push((at + ms(r.u64(5..1500)), cable, Change::Heal));
                }
            }
            at += ms(r.u64(50..1500));
        }
        story
    }
}

fn conditions(r: &mut fastrand::Rng, lossy: bool) -> Conditions {
    let jitter =
        Jitter { most: Duration::from_micros([0, 0, 500, 3_000, 12_000][r.usize(0..5)]), reorders: r.u8(0..3) == 0 };
    Conditions {
        delay: Duration::from_micros(r.u64(200..50_000)),
        jitter,
        loss: match r.u8(0..4) {
            0 if lossy => Loss::Random(r.f64() * 0.03),
            1 if lossy => Loss::Bursts(Bursts::new(r.f64() * 0.02, r.f64() * 6.0 + 1.0)),
            _ => Loss::None,
        },
        ..Conditions::default()
    }
}

fn direction(r: &mut fastrand::Rng) -> Direction {
    [Direction::Both, Direction::Both, Direction::Forward, Direction::Forward, Direction::Back][r.usize(0..5)]
}

fn trouble(r: &mut fastrand::Rng, story: &Story) -> Change {
    match r.u8(0..12) {
        0..4 => Change::Hole(true, direction(r)),
        4 => Change::Cut,
        5 => Change::Loss(Loss::Random([0.02, 0.1, 0.5][r.usize(0..3)]), direction(r)),
        6 => Change::Loss(Loss::Bursts(Bursts::new(0.05, 10.0)), direction(r)),
        7 | 8 => {
            // Between a third and nearly all of what is needed, with a queue from shallow to bloated.
            let rate = story.rate() * r.u64(30..95) / 100;
            let queue = Queue::Time(ms([20, 100, 100, 1000][r.usize(0..4)]));
            Change::Rate(Some(Bottleneck { rate: rate.max(1), queue }), direction(r))
        }
        9 => Change::Delay(ms(r.u64(0..150)), direction(r)),
        10 => Change::Jitter(Jitter { most: ms(r.u64(0..40)), reorders: r.bool() }, direction(r)),
        _ => Change::Duplicate([0.01, 0.2, 1.0][r.usize(0..3)], direction(r)),
    }
}
