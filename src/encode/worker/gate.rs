//! Whether pictures reach the encoders: only the input that is on air is encoded.
//!
//! ```text
//!   the loop ── ask ──► wish ──► grid thread: admits(place) ──► feeds
//!      ▲                              │ the first place of each opening, the first after each closing
//!      └──── counts(time) ◄───────────┘
//! ```
//!
//! An encoder that stands by warm keeps its session open, and gets a picture a second, so that the driver does not put it to
//! sleep and a failure shows before it matters. What it makes of those is thrown away. One that stands by cold has no session
//! and gets nothing. Sound is always encoded: it costs
//! little, and its encoders carry state from block to block.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

use crate::config::profile::StandbyMode;
use crate::encode::protocol::Gate;
use crate::model::{FrameRate, Media};

/// No time at all.
const NEVER: i64 = i64::MAX;

/// The end that the loop holds.
#[derive(Clone, Debug)]
pub(super) struct GateControl(Arc<Shared>);

/// The end that the grid thread holds.
#[derive(Debug)]
pub(super) struct GateKeeper {
    shared: Arc<Shared>,
    state: Gate,
    /// Places between two pictures of a warm encoder; a cold one gets none.
    every: Option<i64>,
}

#[derive(Debug)]
struct Shared {
    wish: AtomicU8,
    /// Time of the first place of the latest opening; [`NEVER`] before.
    opened: AtomicI64,
    /// Time of the first place that was not let through since; [`NEVER`] while it is open.
    closed: AtomicI64,
}

/// Both ends, in that state.
pub(super) fn gate(state: Gate, standby: StandbyMode, rate: FrameRate) -> (GateControl, GateKeeper) {
    let shared = Arc::new(Shared {
        wish: AtomicU8::new(number(state)),
        opened: AtomicI64::new(NEVER),
        closed: AtomicI64::new(NEVER),
    });
    let every = match standby {
        StandbyMode::Warm => Some(i64::from(rate.num.div_ceil(rate.den).max(1))),
        StandbyMode::Cold => None,
    };
    (GateControl(shared.clone()), GateKeeper { shared, state: Gate::Closed, every })
}

impl GateControl {
    /// From the next place on.
    pub(super) fn ask(&self, gate: Gate) {
        self.0.wish.store(number(gate), Ordering::Release);
    }

    /// Whether the picture of that time is the first since the gate was opened.
    pub(super) fn opens_with(&self, time: Media) -> bool {
        self.0.opened.load(Ordering::Acquire) == time.as_nanos()
    }

    /// Whether what was made of the picture of that time is for the programme.
    pub(super) fn counts(&self, time: Media) -> bool {
        // In the other order than they are stored.
        let closed = self.0.closed.load(Ordering::Acquire);
        let opened = self.0.opened.load(Ordering::Acquire);
        (opened..closed).contains(&time.as_nanos())
    }
}

impl GateKeeper {
    /// Whether the picture of place `n`, at `time`, is to be encoded. To be asked once for each place, in order.
    pub(super) fn admits(&mut self, n: i64, time: Media) -> bool {
        let wished =
            if self.shared.wish.load(Ordering::Acquire) == number(Gate::Open) { Gate::Open } else { Gate::Closed };
        if wished != self.state {
            self.state = wished;
            match wished {
                Gate::Open => {
                    // In this order: between the two, nothing counts, and nothing of this opening has been made yet.
                    self.shared.opened.store(time.as_nanos(), Ordering::Release);
                    self.shared.closed.store(NEVER, Ordering::Release);
                }
                Gate::Closed => self.shared.closed.store(time.as_nanos(), Ordering::Release),
            }
        }
        match self.state {
            Gate::Open => true,
            Gate::Closed => self.every.is_some_and(|every| n % every == 0),
        }
    }
}

const fn number(gate: Gate) -> u8 {
    match gate {
        Gate::Open => 1,
        Gate::Closed => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: i64) -> Media {
        Media::from_millis(1_000_000 + n * 40)
    }

    #[test]
    fn a_closed_gate_lets_one_picture_a_second_through_and_none_of_it_counts() {
        let (control, mut keeper) = gate(Gate::Closed, StandbyMode::Warm, FrameRate::whole(25));
        let admitted: Vec<i64> = (0..100).filter(|n| keeper.admits(*n, at(*n))).collect();
        assert_eq!(admitted, [0, 25, 50, 75]);
        assert!(!(0..100).any(|n| control.counts(at(n))));
    }

    #[test]
    fn a_closed_gate_before_a_cold_encoder_lets_nothing_through() {
        let (control, mut keeper) = gate(Gate::Closed, StandbyMode::Cold, FrameRate::whole(25));
        assert!(!(0..100).any(|n| keeper.admits(n, at(n))));
        control.ask(Gate::Open);
        assert!((100..110).all(|n| keeper.admits(n, at(n))));
        control.ask(Gate::Closed);
        assert!(!(110..200).any(|n| keeper.admits(n, at(n))));
    }

    #[test]
    fn what_was_let_through_while_open_counts_and_nothing_else() {
        let (control, mut keeper) = gate(Gate::Closed, StandbyMode::Warm, FrameRate::whole(25));
        let mut counted = Vec::new();
        for n in 0..100 {
            match n {
                10 | 60 => control.ask(Gate::Open),
                30 => control.ask(Gate::Closed),
                _ => {}
            }
            assert_eq!(keeper.admits(n, at(n)), n % 25 == 0 || (10..30).contains(&n) || n >= 60, "{n}");
            assert_eq!(control.opens_with(at(n)), n == 10 || n == 60, "{n}");
            // Encoders are a few places late.
            if control.counts(at(n - 3)) {
                counted.push(n - 3);
            }
        }
        assert_eq!(counted, (10..30).chain(60..97).collect::<Vec<_>>());
    }
}
