//! What the processes say to each other, one JSON object a line.
//!
//! ```text
//!   holdfast ──ControlRequest──► holdfastd ◄──ChildMessage── holdfast-transmit, holdfast-encode
//!            ◄──ControlReply───            ──ChildCommand──►
//! ```
//!
//! Both children and the command connect *to* holdfastd, so that a restarted holdfastd finds its children again: they
//! reconnect and say who they are, and the kernel (SO_PEERCRED) vouches for the process id.

use serde::{Deserialize, Serialize};

use super::{BoxSnapshot, Event, PlaneSnapshot, WorkerReport};
use crate::model::{InputId, Manual, OutputId, RenditionId};

/// Version of [`ChildMessage`] and [`ChildCommand`]. A child with another version is replaced.
pub const CHILD_PROTOCOL: u32 = 1;
/// Version of [`ControlRequest`] and [`ControlReply`].
pub const CONTROL_PROTOCOL: u32 = 1;

/// Which process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// holdfastd.
    Supervisor,
    /// holdfast-transmit.
    Transmit,
    /// holdfast-encode for one input.
    Encode(InputId),
    /// holdfast-relay, which is on another machine and nobody's child.
    Relay,
}

/// From a child to holdfastd.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum ChildMessage {
    /// First line on every connection.
    Hello {
        /// [`CHILD_PROTOCOL`].
        protocol: u32,
        /// Who.
        role: Role,
        /// Hash of the part of the configuration this process runs with; a stale child is told to reload or replaced.
        settings: String,
    },
    /// At least every 200 ms from the process's main loop: it is alive and gets things done.
    Beat,
    /// From a worker, every 500 ms.
    Worker(WorkerReport),
    /// From the data plane, every 500 ms and at each change.
    Plane(PlaneSnapshot),
    /// Something happened. Kept (bounded) while holdfastd is away and sent when it is back.
    Event(Event),
}

/// From holdfastd to a child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum ChildCommand {
    /// The answer to Hello.
    Welcome {
        /// [`CHILD_PROTOCOL`].
        protocol: u32,
    },
    /// Read the last-good configuration again.
    Reload,
    /// Start or end all outputs. Ending is clean: FCUnpublish, files closed.
    SetOnAir {
        /// The wish.
        on: bool,
    },
    /// Try a waiting destination now; `None` means all.
    RetryNow {
        /// Which.
        output: Option<OutputId>,
    },
    /// Data plane: ask the input on air for a keyframe.
    ForceKeyframe {
        /// Which rendition; `None` means all.
        rendition: Option<RenditionId>,
    },
    /// Data plane: change a running encoder's bit rate.
    SetBitrate {
        /// Which rendition.
        rendition: RenditionId,
        /// Bit/s.
        bitrate: u32,
    },
    /// Data plane: what an operator wants on air; told again to each that begins.
    Choose {
        /// An input, the slate, or whatever the rules choose.
        choice: Manual,
    },
    /// Data plane: what telemetry says of a link. Told again each second while it stands; forgotten when it is not.
    Hint {
        /// The kernel's name of its interface.
        link: String,
        /// What is expected of it.
        expected: Expected,
    },
    /// Data plane: what the machine's heat leaves of every bit rate. Told again with each look at the machine while it takes any;
    /// forgotten when it is not.
    Ceiling {
        /// In thousandths of what was configured; 1000 is all of it.
        permille: u32,
        /// Milliseconds from now after which this is not believed any more; the receiver has a limit of its own.
        for_ms: u64,
        /// Why, in words.
        because: String,
    },
    /// End cleanly and exit 0.
    Stop,
}

/// What telemetry expects of a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Expected {
    /// The next seconds will be bad.
    Trouble {
        /// Milliseconds from now after which this is not believed any more; the receiver has a limit of its own.
        for_ms: u64,
        /// Why, in words.
        because: String,
    },
    /// Nothing of the kind.
    Nothing,
}

/// What an operator can ask for, from the command line now, from the panel and the page later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Go on air.
    Start,
    /// Go off air, cleanly.
    Stop,
    /// Try a waiting destination now.
    Retry {
        /// Which; `None` means all.
        output: Option<OutputId>,
    },
    /// Read the configuration file again.
    Reload,
    /// A keyframe on all renditions.
    Keyframe,
    /// Another bit rate, within the rendition's configured maximum.
    Bitrate {
        /// Which rendition.
        rendition: RenditionId,
        /// Bit/s.
        bitrate: u32,
    },
    /// What is to be on air; stays in force until another choice.
    Choose {
        /// An input, the slate, or whatever the rules choose.
        choice: Manual,
    },
    /// End all children cleanly and exit (tests and the demo; systemd does this by stopping the units).
    Shutdown,
}

/// From the command line to holdfastd.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum ControlRequest {
    /// The whole snapshot, once; with `watch`, again at each change (at most 5 a second).
    Status {
        /// Keep sending.
        watch: bool,
    },
    /// The last `last` events; with `follow`, new ones as they happen.
    Events {
        /// How many of the past.
        last: usize,
        /// Keep sending.
        follow: bool,
    },
    /// Do something.
    Do(Command),
}

/// From holdfastd to the command line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub enum ControlReply {
    /// The state of the box.
    Status(Box<BoxSnapshot>),
    /// One event.
    Event(Event),
    /// Done, or in hand; in words.
    Done {
        /// What was done.
        text: String,
    },
    /// Refused; in words, with the remedy.
    Refused {
        /// Why, and what to do.
        text: String,
    },
}
