//! Past-tense facts, each with the reason and the evidence it was decided on.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Role;
use crate::model::{Media, Wall};

/// How much it matters to the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record.
    Info,
    /// Something degraded; the programme goes on.
    Warning,
    /// Something is lost until it recovers. Goes to the webhook.
    Alert,
}

/// What happened. The variant is the type of event; `subject` names the input, rendition, output or process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The programme began (start command, boot while on air).
    WentOnAir,
    /// The programme ended by command.
    WentOffAir,
    /// Another source is on air.
    Switched,
    /// A source became usable or unusable.
    InputChanged,
    /// Something else is wrong with a source's picture or sound, or nothing is any more.
    InputCondition,
    /// A destination's session is up and publishing.
    OutputPublishing,
    /// A destination's session is down.
    OutputDown,
    /// A destination could not keep up and skipped to a keyframe.
    OutputLagged,
    /// A rendition has another bit rate than was configured, or that again.
    BitrateChanged,
    /// A path of an SRT destination is connected.
    PathUp,
    /// A path of an SRT destination is not connected any more, or could not be.
    PathDown,
    /// Another path carries from here on.
    PathSwitched,
    /// A path is, or was, doubted: others carry as well while it is found out.
    PathDoubted,
    /// A relay's programme has a sender.
    SenderConnected,
    /// A relay's programme has lost its sender.
    SenderGone,
    /// A relay refused a caller.
    CallerRefused,
    /// A relay's sender has another size, rate or codec from here on.
    FormatChanged,
    /// A recording file was opened.
    RecordingOpened,
    /// A recording file was closed and renamed.
    RecordingClosed,
    /// Recording is impaired (disk full, slow, failed) or recovered.
    RecordingTrouble,
    /// A child process was started.
    ChildStarted,
    /// A child process answered.
    ChildReady,
    /// A child process ended or was killed.
    ChildEnded,
    /// A child that was already running was taken over.
    ChildAdopted,
    /// A new configuration is in force.
    ConfigLoaded,
    /// A new configuration was refused; the last good one stays.
    ConfigRefused,
    /// The data plane found its place in programme time again after a restart.
    TimeResumed,
    /// The slate could not be prepared, or was.
    SlateChanged,
    /// The network came back; waiting destinations retry at once.
    NetworkReturned,
    /// An interface is there, or has its carrier again.
    LinkUp,
    /// An interface is gone, or has lost its carrier.
    LinkDown,
    /// An interface has another address, route or name, or its carrier blinked.
    LinkChanged,
    /// A link was found suspect, dead, answering again or trustworthy, or a server silent behind a good link.
    LinkJudged,
    /// It was looked whether what is bound to an interface leaves by it.
    PinChecked,
    /// Routing tables and rules of our own were laid or taken away, or could not be.
    TablesChanged,
    /// A link's data cap will be reached, is reached, or binds no more; or a month of its data plan begins.
    BudgetChanged,
    /// A destination's stream takes another link or address, or cannot although it should.
    RouteChanged,
    /// A modem came or went, or its network, signal or SIM is another.
    ModemChanged,
    /// A Starlink dish is obstructed, has an outage, complains or does not answer, or all that is over.
    DishChanged,
    /// The machine is hot, slowed down, short of power or of disk, or not any more.
    MachineChanged,
    /// An operator asked for something.
    CommandTaken,
    /// Something else worth knowing.
    Note,
}

/// One line of the event log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, for people.
    pub at: Wall,
    /// When, on CLOCK_MONOTONIC, for arithmetic.
    pub mono: Media,
    /// Which process says so.
    pub from: Role,
    /// What happened.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// The input, rendition, output or process it is about; empty for the box as a whole.
    pub subject: String,
    /// In words an operator can act on.
    pub reason: String,
    /// The numbers it was decided on, enough to replay it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, serde_json::Value>,
}

impl Event {
    /// An event without evidence yet.
    pub fn new(
        (at, mono): (Wall, Media),
        from: Role,
        kind: EventKind,
        severity: Severity,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            at,
            mono,
            from,
            kind,
            severity,
            subject: subject.into(),
            reason: reason.into(),
            evidence: BTreeMap::new(),
        }
    }

    /// Adds one number, word or list to the evidence.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        self.evidence.insert(key.to_owned(), value.into());
        self
    }
}
