//! What was to be seen at the receiver.

use std::fmt;

use crate::films::{CAMERA, SPARE};
use crate::support::picture::Recording;

/// What was done to a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An operator chose the other input.
    ByHand,
    /// Nothing comes from the input on air any more.
    Hung,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ByHand => "by hand",
            Self::Hung => "hung",
        })
    }
}

/// One thing that was done. Times in seconds on CLOCK_MONOTONIC.
#[derive(Clone, Debug)]
pub struct Done {
    pub fault: Fault,
    pub to: &'static str,
    pub at: f64,
    pub decided: Option<f64>,
    /// From the decision until the first new picture was in hand, ms.
    pub in_hand: Option<f64>,
}

/// What a viewer saw of it. All in ms, from when it was done.
#[derive(Clone, Debug)]
pub struct Seen {
    pub fault: Fault,
    pub to: &'static str,
    /// Until the first picture of the other input.
    pub first_new: f64,
    /// Longest time between two pictures, until a little after that.
    pub gap: f64,
    /// Until it was decided.
    pub decided: Option<f64>,
    /// And from then until the first new picture was in hand.
    pub in_hand: Option<f64>,
}

/// How much longer than until the first new picture gaps are looked for, seconds.
const AFTER: f64 = 0.5;

fn source(code: Option<u64>) -> &'static str {
    match code {
        Some(SPARE..) => "spare",
        Some(CAMERA..) => "camera",
        Some(_) | None => "nothing",
    }
}

/// Looks each of them up in what the receiver kept.
pub fn look(done: &[Done], recording: &Recording, arrivals: &[(f64, f64)]) -> Vec<Seen> {
    // Both list the pictures in the order in which they came.
    assert!(recording.pictures.len().abs_diff(arrivals.len()) <= 2, "not the same pictures");
    let pictures: Vec<_> = recording.pictures.iter().zip(arrivals).map(|(p, (_, at))| (source(p.code), *at)).collect();
    let look = |done: &Done| {
        let first = pictures.iter().find(|(name, at)| *at >= done.at && *name == done.to);
        let (_, first) = first.unwrap_or_else(|| panic!("no picture of {} after {:.3} s", done.to, done.at));
        // The gap begins with the last picture before.
        let from = pictures.partition_point(|(_, at)| *at < done.at).saturating_sub(1);
        let until = pictures.partition_point(|(_, at)| *at <= first + AFTER);
        let gaps = pictures[from..until].windows(2).map(|pair| pair[1].1 - pair[0].1);
        Seen {
            fault: done.fault,
            to: done.to,
            first_new: (first - done.at) * 1e3,
            gap: gaps.fold(0.0, f64::max) * 1e3,
            decided: done.decided.map(|at| (at - done.at) * 1e3),
            in_hand: done.in_hand,
        }
    };
    done.iter().map(look).collect()
}

/// Whether pictures came in real time between two moments.
pub fn assert_delivered(arrivals: &[(f64, f64)], from: f64, to: f64) {
    let pictures = arrivals.iter().filter(|(_, at)| (from..to).contains(at)).count() as f64;
    let due = (to - from) * 30.0;
    assert!((pictures - due).abs() < due * 0.1 + 3.0, "{pictures} pictures came, {due:.0} were due");
}
