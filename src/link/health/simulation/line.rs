//! What a link is like at every moment, written down before the story begins, so that the fate of a packet is known when
//! it leaves.

/// Microseconds since the story began.
pub(super) type Us = u64;

pub(super) const MS: Us = 1000;
pub(super) const S: Us = 1_000_000;

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Way {
    pub(super) hole: bool,
    /// Share of packets lost.
    pub(super) loss: f64,
}

/// Who stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    None,
    /// Nothing passes.
    Everything,
    /// TCP does not pass, probes do.
    Tcp,
}

/// What a link is like from a time on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Era {
    pub(super) from: Us,
    pub(super) forward: Way,
    pub(super) back: Way,
    pub(super) carrier: bool,
    /// Whether the interface is there.
    pub(super) there: bool,
    pub(super) wall: Wall,
    /// Bufferbloat: what is added to the way forward rises to this until the era's middle and falls again.
    pub(super) bloat: Us,
    /// What is added to the way forward all the while.
    pub(super) slow: Us,
    pub(super) until: Us,
}

impl Era {
    const QUIET: Self = Self {
        from: 0,
        forward: Way { hole: false, loss: 0.0 },
        back: Way { hole: false, loss: 0.0 },
        carrier: true,
        there: true,
        wall: Wall::None,
        bloat: 0,
        slow: 0,
        until: Us::MAX,
    };

    /// Whether TCP gets through both ways at all.
    pub(super) fn carries(&self) -> bool {
        self.carrier && self.there && self.wall == Wall::None && !self.forward.hole && !self.back.hole
    }

    /// ... and nothing is lost.
    pub(super) fn is_clean(&self) -> bool {
        self.carries() && self.forward.loss == 0.0 && self.back.loss == 0.0 && self.bloat == 0
    }
}

/// Something that happens to a link for a while.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Trouble {
    HoleForward,
    HoleBack,
    Hole,
    Loss(f64),
    Bloat(Us),
    Slow(Us),
    NoCarrier,
    Gone,
    Wall(Wall),
}

/// A link's delay and its troubles.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) delay: Us,
    pub(super) jitter: Us,
    eras: Vec<Era>,
    /// The era that was asked for last.
    at: usize,
    /// The latest arrivals, which later packets do not overtake.
    last: [Us; 2],
}

impl Line {
    pub(super) fn new(delay: Us, jitter: Us, troubles: &[(Us, Us, Trouble)]) -> Self {
        let mut edges: Vec<Us> = troubles.iter().flat_map(|(from, until, _)| [*from, *until]).chain([0]).collect();
        edges.sort_unstable();
        edges.dedup();
        let mut eras = Vec::with_capacity(edges.len());
        for (index, from) in edges.iter().enumerate() {
            let until = edges.get(index + 1).copied().unwrap_or(Us::MAX);
            let mut era = Era { from: *from, until, ..Era::QUIET };
            for (_, _, trouble) in troubles.iter().filter(|(begins, ends, _)| begins <= from && ends > from) {
                match trouble {
                    Trouble::HoleForward => era.forward.hole = true,
                    Trouble::HoleBack => era.back.hole = true,
                    Trouble::Hole => (era.forward.hole, era.back.hole) = (true, true),
                    Trouble::Loss(loss) => (era.forward.loss, era.back.loss) = (*loss, *loss),
                    Trouble::Bloat(most) => era.bloat = *most,
                    Trouble::Slow(slow) => era.slow = *slow,
                    Trouble::NoCarrier => era.carrier = false,
                    Trouble::Gone => (era.there, era.carrier) = (false, false),
                    Trouble::Wall(wall) => era.wall = *wall,
                }
            }
            eras.push(era);
        }
        Self { delay, jitter, eras, at: 0, last: [0, 0] }
    }

    pub(super) fn eras(&self) -> &[Era] {
        &self.eras
    }

    fn era(&self, at: Us) -> &Era {
        let ahead = self.eras[self.at..].iter().take_while(|era| era.from <= at).count();
        // The first era begins at 0.
        &self.eras[(self.at + ahead).saturating_sub(1)]
    }

    /// What it is like now. Times must not go back.
    pub(super) fn now(&mut self, at: Us) -> Era {
        while self.eras.get(self.at + 1).is_some_and(|era| era.from <= at) {
            self.at += 1;
        }
        self.eras[self.at]
    }

    /// When a packet that leaves now gets there, if it does.
    pub(super) fn forward(&mut self, at: Us, tcp: bool, random: &mut fastrand::Rng) -> Option<Us> {
        self.travel(0, at, tcp, random)
    }

    /// When what the far end sends at `at` gets here, if it does.
    pub(super) fn back(&mut self, at: Us, tcp: bool, random: &mut fastrand::Rng) -> Option<Us> {
        self.travel(1, at, tcp, random)
    }

    fn travel(&mut self, direction: usize, at: Us, tcp: bool, random: &mut fastrand::Rng) -> Option<Us> {
        let era = *self.era(at);
        let way = if direction == 0 { era.forward } else { era.back };
        let walled = match era.wall {
            Wall::None => false,
            Wall::Everything => true,
            Wall::Tcp => tcp,
        };
        // Drawn for every packet, so that one's fate does not depend on another's.
        let (loss, jitter) = (random.f64(), random.u64(0..=self.jitter));
        if way.hole || walled || !era.carrier || !era.there || loss < way.loss {
            return None;
        }
        let queue = if direction == 0 && era.bloat > 0 {
            let middle = (era.until - era.from) / 2;
            let from_edge = (at - era.from).min(era.until - at);
            era.bloat * from_edge / middle.max(1)
        } else {
            0
        };
        let slow = if direction == 0 { era.slow } else { 0 };
        let arrival = (at + self.delay + jitter + queue + slow).max(self.last[direction]);
        self.last[direction] = arrival;
        // What is under way when the carrier is lost or a hole begins arrives: the hole is at the near end.
        Some(arrival)
    }
}
