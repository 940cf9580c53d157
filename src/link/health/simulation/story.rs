//! What happens to the links and servers of a box: written down for a scenario, or drawn from a seed.

use super::line::{Line, MS, S, Trouble, Us, Wall};
use crate::link::health::budget::Allowance;
use crate::link::health::path::Spares;
use crate::link::health::{LinkClass, Thresholds};

/// One link.
#[derive(Clone, Debug)]
pub(super) struct Uplink {
    /// By what it is judged.
    pub(super) row: &'static Thresholds,
    pub(super) delay: Us,
    pub(super) jitter: Us,
    pub(super) troubles: Vec<(Us, Us, Trouble)>,
    /// Whether probes are filtered.
    pub(super) filtered: bool,
    /// When the portal check notices a wall, and its end.
    pub(super) checks_every: Us,
    /// Telemetry's hints.
    pub(super) hints: Vec<Us>,
    /// When its budget is spent.
    pub(super) spent: Option<(Us, Allowance)>,
}

/// Which links the destination may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Pinned,
    Failover,
    Best,
}

#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) seed: u64,
    pub(super) length: Us,
    pub(super) links: Vec<Uplink>,
    pub(super) kind: Kind,
    pub(super) spares: Spares,
    /// When each of the destination's servers is silent.
    pub(super) servers: Vec<Vec<(Us, Us)>>,
    /// When each of the two probe targets is silent.
    pub(super) targets: [Vec<(Us, Us)>; 2],
    /// Whether the server talks once a second, whatever it gets.
    pub(super) talks: bool,
    /// When TCP_INFO is read.
    pub(super) tick: Us,
    pub(super) gop: Us,
    /// When the box's own process does not run.
    pub(super) freezes: Vec<(Us, Us)>,
    /// Whether everything is printed.
    pub(super) tells: bool,
}

impl Uplink {
    pub(super) fn quiet(class: LinkClass, delay_ms: Us) -> Self {
        Self {
            row: class.thresholds(),
            delay: delay_ms * MS,
            jitter: MS,
            troubles: Vec::new(),
            filtered: false,
            checks_every: 5 * S,
            hints: Vec::new(),
            spent: None,
        }
    }

    pub(super) fn with(mut self, from: Us, until: Us, trouble: Trouble) -> Self {
        self.troubles.push((from, until, trouble));
        self
    }

    pub(super) fn line(&self) -> Line {
        Line::new(self.delay, self.jitter, &self.troubles)
    }

    /// Every 15 s, for so long, holes of 80 to 600 ms, and other delays.
    pub(super) fn starlink(mut self, length: Us, r: &mut fastrand::Rng) -> Self {
        let mut at = r.u64(0..15 * S);
        while at < length {
            self.troubles.push((at, at + r.u64(80 * MS..600 * MS), Trouble::Hole));
            at += 15 * S;
        }
        self
    }

    /// Round trips up to 760 ms, and holes of 0.1 to 0.9 s.
    pub(super) fn cellular(mut self, length: Us, r: &mut fastrand::Rng) -> Self {
        let mut at = r.u64(0..10 * S);
        while at < length {
            let lasts = r.u64(2 * S..8 * S);
            let most = 760 * MS - 2 * self.delay.min(300 * MS);
            self.troubles.push((at, at + lasts, Trouble::Bloat(r.u64(100 * MS..most))));
            // A hole while a queue is full looks longer by the queue: that is a death by the table.
            let hole = at + lasts + r.u64(200 * MS..1500 * MS);
            self.troubles.push((hole, hole + r.u64(100 * MS..900 * MS), Trouble::Hole));
            at += lasts + r.u64(4 * S..15 * S);
        }
        self
    }
}

impl Story {
    /// Two quiet links, one server, nothing happens for a minute.
    pub(super) fn quiet(links: Vec<Uplink>) -> Self {
        Self {
            seed: 1,
            length: 60 * S,
            links,
            kind: Kind::Failover,
            spares: Spares::Always,
            servers: vec![Vec::new()],
            targets: [Vec::new(), Vec::new()],
            talks: false,
            tick: 20 * MS,
            gop: 2 * S,
            freezes: Vec::new(),
            tells: std::env::var_os("HOLDFAST_TELLS").is_some(),
        }
    }

    /// A story of its own for each seed.
    pub(super) fn random(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let r = &mut random;
        let count = if r.u8(0..3) == 0 { 3 } else { 2 };
        let length = if r.u8(0..16) == 0 { r.u64(120..240) * S } else { r.u64(12..30) * S };
        let mut story = Self {
            seed,
            length,
            kind: match r.u8(0..10) {
                0 => Kind::Pinned,
                1 | 2 => Kind::Best,
                _ => Kind::Failover,
            },
            spares: if r.u8(0..4) == 0 { Spares::OnAlarm } else { Spares::Always },
            talks: r.u8(0..4) == 0,
            tick: [20, 40, 40, 50, 60][r.usize(0..5)] * MS,
            gop: [1, 2, 2, 4][r.usize(0..4)] * S,
            ..Self::quiet(Vec::new())
        };
        // In most stories one link is left alone, so that there is always somewhere to go.
        let spared = (r.u8(0..4) > 0).then(|| r.usize(0..count));
        for index in 0..count {
            let link = uplink(r, length, spared == Some(index));
            story.links.push(link);
        }
        let servers = 1 + r.usize(0..3);
        story.servers =
            (0..servers).map(|_| if r.u8(0..4) == 0 { vec![span(r, length, S, 30 * S)] } else { vec![] }).collect();
        if r.u8(0..4) == 0 {
            let target = r.usize(0..2);
            let at = r.u64(S..length);
            story.targets[target].push((at, at + r.u64(S..60 * S)));
            if r.u8(0..3) == 0 {
                story.targets[1 - target].push((at, at + r.u64(S..60 * S)));
            }
        }
        if r.u8(0..8) == 0 {
            story.freezes.push(span(r, length, 300 * MS, 4 * S));
        }
        story
    }
}

/// Some time within the story, after its first seconds.
fn span(r: &mut fastrand::Rng, length: Us, least: Us, most: Us) -> (Us, Us) {
    let from = r.u64(3 * S..length);
    (from, from + r.u64(least..most))
}

fn uplink(r: &mut fastrand::Rng, length: Us, spared: bool) -> Uplink {
    let class = LinkClass::ALL[r.usize(0..5)];
    let delay = match class {
        LinkClass::Ethernet | LinkClass::Wifi => r.u64(2..30),
        LinkClass::Starlink => r.u64(12..30),
        LinkClass::Cellular | LinkClass::Unknown => r.u64(20..80),
    };
    let mut link = Uplink::quiet(class, delay);
    link.jitter = r.u64(0..8) * MS;
    link.filtered = !spared && r.u8(0..10) == 0;
    if spared {
        return link;
    }
    link.checks_every = r.u64(2..30) * S;
    match class {
        LinkClass::Starlink => link = link.starlink(length, r),
        LinkClass::Cellular if r.bool() => link = link.cellular(length, r),
        LinkClass::Cellular | LinkClass::Ethernet | LinkClass::Wifi | LinkClass::Unknown => {}
    }
    for _ in 0..r.u8(0..4) {
        let trouble = match r.u8(0..14) {
            0..4 => Trouble::Hole,
            4 | 5 => Trouble::HoleForward,
            6 => Trouble::HoleBack,
            7 => Trouble::Loss([0.02, 0.1, 0.3, 0.3, 0.5][r.usize(0..5)]),
            8 | 9 => Trouble::NoCarrier,
            10 => Trouble::Gone,
            11 => Trouble::Wall(if r.bool() { Wall::Everything } else { Wall::Tcp }),
            _ => {
                // A plug that nobody holds still.
                let mut at = r.u64(2 * S..length);
                for _ in 0..r.u8(2..20) {
                    let lasts = r.u64(20 * MS..800 * MS);
                    link.troubles.push((at, at + lasts, Trouble::NoCarrier));
                    at += lasts + r.u64(50 * MS..3 * S);
                }
                continue;
            }
        };
        let (from, mut until) = span(r, length, 50 * MS, 3 * S);
        if r.bool() {
            until += r.u64(3 * S..60 * S);
        }
        link.troubles.push((from, until, trouble));
    }
    if r.u8(0..4) == 0 {
        link.hints.push(r.u64(0..length));
        let before = link.troubles.first().map(|(from, _, _)| from.saturating_sub(2 * S));
        link.hints.extend(before);
    }
    link.hints.sort_unstable();
    if r.u8(0..12) == 0 {
        link.spent = Some((r.u64(0..length), if r.bool() { Allowance::Spent } else { Allowance::Barred }));
    }
    link
}
