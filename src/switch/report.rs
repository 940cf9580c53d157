//! What the switch did and why, for logs and for people.

use std::fmt;

use serde_json::Value;

use crate::events::{Event, EventKind, InputSnapshot, RenditionSnapshot, Role, Severity, SourceOnAir};
use crate::model::{InputId, Media, RenditionId, Wall};

/// The state of a programme at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchSnapshot {
    /// Programme time of the newest picture sent; before the first, of this moment.
    pub programme_time: Media,
    /// What is being sent.
    pub source: SourceOnAir,
    /// Why.
    pub reason: String,
    /// The inputs, in order of preference.
    pub inputs: Vec<InputSnapshot>,
    /// The streams, in the order of the settings.
    pub renditions: Vec<RenditionSnapshot>,
}

/// A decision the switch took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The programme has another source. Several streams change one after the other; the programme is live as soon as one
    /// picture is.
    Switched {
        /// Before.
        from: SourceOnAir,
        /// After.
        to: SourceOnAir,
        /// Why.
        reason: Reason,
    },
    /// One stream is filled by the slate or by silence while the programme's source stays.
    StreamFilled {
        /// Which.
        rendition: RenditionId,
        /// Why.
        reason: Reason,
    },
    /// That stream is live again.
    StreamLive {
        /// Which.
        rendition: RenditionId,
        /// How it came back.
        reason: Reason,
    },
    /// The slate of one rendition is loaded.
    SlateLoaded {
        /// Which.
        rendition: RenditionId,
    },
}

/// What a decision was based on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The process has just started.
    Started,
    /// There is a slate, and no input has delivered a keyframe yet.
    SlateReady,
    /// The worker's connection ended.
    Lost {
        /// Its input.
        input: InputId,
        /// What the connection said.
        why: String,
    },
    /// Another worker connected for the same input.
    Replaced {
        /// Its input.
        input: InputId,
    },
    /// The input is not configured any more.
    Removed {
        /// Which.
        input: InputId,
    },
    /// Nothing came for too long.
    Stalled {
        /// From which input.
        input: InputId,
        /// On which stream.
        rendition: RenditionId,
        /// Since the last unit.
        silent: Media,
        /// The latency its units had.
        latency: Media,
        /// How long past that they may be late.
        allowed: Media,
    },
    /// A preferred input is ready, and its keyframes lie behind what is on air; the slate bridges.
    Bridging {
        /// To which input.
        input: InputId,
    },
    /// A live unit that could be cut to is in hand.
    InHand {
        /// From which input.
        input: InputId,
        /// On which stream.
        rendition: RenditionId,
        /// Between its place on the grid and its arrival.
        latency: Media,
        /// Places filled by the slate since the stream was last live.
        filled: u64,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Media| time.to_ticks(1000);
        match self {
            Self::Started => {
                f.write_str("the data plane has just started; neither an input nor the slate is there yet")
            }
            Self::SlateReady => f.write_str("no input has delivered a picture yet"),
            Self::Lost { input, why } => write!(f, "lost the worker of {input}: {why}"),
            Self::Replaced { input } => write!(f, "another worker took over {input}; waiting for its first keyframe"),
            Self::Removed { input } => write!(f, "{input} is not configured any more"),
            Self::Stalled { input, rendition, silent, latency, allowed } => write!(
                f,
                "{input} has delivered nothing for {rendition} for {} ms (latency {} ms, allowed {} ms more)",
                ms(silent),
                ms(latency),
                ms(allowed)
            ),
            Self::Bridging { input } => write!(f, "{input} is back and preferred; waiting for its keyframe"),
            Self::InHand { input, .. } => write!(f, "{input} delivers"),
        }
    }
}

impl Reason {
    fn evidence(&self, event: Event) -> Event {
        let ms = |time: &Media| Value::from(time.to_ticks(1000));
        match self {
            Self::Started | Self::SlateReady => event,
            Self::Lost { input, .. }
            | Self::Replaced { input }
            | Self::Removed { input }
            | Self::Bridging { input } => event.with("input", input.as_str()),
            Self::Stalled { input, rendition, silent, latency, allowed } => event
                .with("input", input.as_str())
                .with("rendition", rendition.as_str())
                .with("silent_ms", ms(silent))
                .with("latency_ms", ms(latency))
                .with("allowed_ms", ms(allowed)),
            Self::InHand { input, rendition, latency, filled } => event
                .with("input", input.as_str())
                .with("rendition", rendition.as_str())
                .with("latency_ms", ms(latency))
                .with("filled_by_slate", *filled),
        }
    }
}

impl Happened {
    /// As a line of the event log.
    pub fn into_event(self, at: (Wall, Media)) -> Event {
        let event = |kind, severity, subject: &str, reason: String| {
            Event::new(at, Role::Transmit, kind, severity, subject, reason)
        };
        match self {
            Self::Switched { from, to, reason } => {
                let severity = match to {
                    SourceOnAir::Nothing => Severity::Alert,
                    SourceOnAir::Slate => Severity::Warning,
                    SourceOnAir::Input(_) => Severity::Info,
                };
                let event = event(EventKind::Switched, severity, source(&to), reason.to_string());
                reason.evidence(event).with("from", source(&from)).with("to", source(&to))
            }
            Self::StreamFilled { rendition, reason } => {
                let text = format!("{rendition} is filled by the slate: {reason}");
                reason.evidence(event(EventKind::Switched, Severity::Warning, rendition.as_str(), text))
            }
            Self::StreamLive { rendition, reason } => {
                let text = format!("{rendition} is live: {reason}");
                reason.evidence(event(EventKind::Switched, Severity::Info, rendition.as_str(), text))
            }
            Self::SlateLoaded { rendition } => {
                let text = format!("the slate of {rendition} is loaded");
                event(EventKind::SlateChanged, Severity::Info, rendition.as_str(), text)
            }
        }
    }
}

fn source(source: &SourceOnAir) -> &str {
    match source {
        SourceOnAir::Nothing => "nothing",
        SourceOnAir::Slate => "slate",
        SourceOnAir::Input(input) => input.as_str(),
    }
}
