//! What a programme is made of, what is told to the switch, and what it wants done.

use std::sync::Arc;

use super::report::Happened;
use super::splice::StreamSettings;
use crate::model::{AccessUnit, Condition, Duty, FrameRate, InputId, Manual, Media, RenditionId, Selection};

/// What a programme consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchSettings {
    /// The video grid.
    pub rate: FrameRate,
    /// The streams.
    pub streams: Vec<StreamSettings>,
    /// The inputs, in order of preference.
    pub inputs: Vec<InputId>,
    /// By which rules one of them is chosen.
    pub selection: Selection,
    /// When to decide.
    pub thresholds: Thresholds,
}

/// When the switch decides. All on the clock of `now`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A live unit may come this much later than units have lately come, before its stream is given to the slate …
    pub stall: Media,
    /// … or this many intervals of its stream, whichever is longer.
    pub stall_intervals: u32,
    /// Between two requests for the keyframe of a stream.
    pub ask_again: Media,
    /// An input that was chosen has to deliver a picture within this. It covers an encoder that is only opened then, and a
    /// keyframe that is asked for twice.
    pub answer: Media,
    /// Places that nobody filled for longer than this (the process was stopped) stay empty.
    pub longest_fill: Media,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            stall: Media::from_millis(400),
            stall_intervals: 10,
            ask_again: Media::from_millis(500),
            answer: Media::from_millis(2000),
            longest_fill: Media::from_millis(10_000),
        }
    }
}

/// What happens to a programme.
#[derive(Debug)]
pub enum Input {
    /// The worker of `input` is connected. Connected twice means another worker.
    Connected {
        /// Which input.
        input: InputId,
    },
    /// The connection of its worker ended.
    Lost {
        /// Which input.
        input: InputId,
        /// What the connection said.
        why: String,
    },
    /// A unit in worker time.
    Unit(AccessUnit),
    /// What is wrong with an input, as its worker sees it: all of it, at any time. A worker that connects begins with nothing
    /// wrong.
    Condition {
        /// Which input.
        input: InputId,
        /// What is wrong.
        condition: Condition,
    },
    /// What an operator wants on air, until they want something else.
    Choose(Manual),
    /// Other inputs, in order of preference.
    Inputs(Vec<InputId>),
    /// Other rules.
    Select(Selection),
    /// Nothing; the deadline is due.
    Timeout,
}

/// What the switch wants done.
#[derive(Clone, Debug)]
pub enum Output {
    /// This leaves the box: programme time, the next place of its stream.
    Unit(Arc<AccessUnit>),
    /// Ask the worker of `input` for a keyframe.
    ForceKeyframe {
        /// Whose worker.
        input: InputId,
        /// On which stream.
        rendition: RenditionId,
    },
    /// What the worker of `input` is to be ready for: when it connects, and at each change. An open gate is asked for before the
    /// first keyframe is, and a closed one not before nothing of the input is on air.
    Duty {
        /// Whose worker.
        input: InputId,
        /// For what.
        duty: Duty,
    },
    /// For the log.
    Event(Happened),
}
