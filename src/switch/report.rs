//! What the switch did and why, for logs and for people.

use std::fmt;

use serde_json::Value;

use super::filler::StandIn;
use crate::events::{Event, EventKind, InputSnapshot, RenditionSnapshot, Role, Severity, SourceOnAir};
use crate::model::{Fault, Finding, InputId, Manual, Media, RenditionId, Wall};

/// The state of a programme at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SwitchSnapshot {
    /// Programme time of the newest picture sent; before the first, of this moment.
    pub programme_time: Media,
    /// What is being sent.
    pub source: SourceOnAir,
    /// Why.
    pub reason: String,
    /// What an operator wants on air.
    pub manual: Manual,
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
        /// Where it was cut to, if it goes to an input.
        cut: Option<Cut>,
        /// From the decision until its first picture was in hand.
        waited: Option<Media>,
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
    /// An operator chose what is to be on air, or that the rules choose.
    ChosenByHand {
        /// What.
        wanted: Manual,
    },
    /// An operator chose what there is not. Nothing changes.
    NoSuchInput {
        /// What.
        wanted: Manual,
    },
    /// The input that an operator chose cannot be shown; the rules choose until it is proven.
    Overruled {
        /// Which.
        input: InputId,
        /// What is wrong with it; `None` if no worker of it was ever there.
        because: Option<Reason>,
        /// How long it will have to be good.
        needs: Media,
    },
    /// The input that an operator chose is not configured any more; the rules choose.
    Released {
        /// Which.
        input: InputId,
    },
    /// The slate of one rendition is loaded.
    SlateLoaded {
        /// Which.
        rendition: RenditionId,
    },
}

/// A live unit that was cut to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// From which input.
    pub input: InputId,
    /// On which stream.
    pub rendition: RenditionId,
    /// Between its place on the grid and its arrival.
    pub latency: Media,
    /// Places filled by the last picture since the stream was last live.
    pub held: u64,
    /// Places filled by the slate since then.
    pub filled: u64,
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
    /// It was chosen, and nothing that could be shown came.
    NoAnswer {
        /// Which input.
        input: InputId,
        /// For how long.
        waited: Media,
    },
    /// Something else is wrong with the input that was left.
    Fault {
        /// Which input.
        input: InputId,
        /// What, and what it was told from.
        finding: Finding,
    },
    /// The sound is to be another input's.
    SoundFrom {
        /// Which.
        input: InputId,
    },
    /// Another input is chosen, and its keyframes lie behind what is on air; the slate bridges.
    Bridging {
        /// To which input.
        input: InputId,
    },
    /// A live unit that could be cut to is in hand.
    InHand(Cut),
    /// Nothing better is there.
    Available {
        /// Which input.
        input: InputId,
        /// How long it still has to be good to be trusted; `None` if it is.
        more: Option<Media>,
    },
    /// A preferred input can be trusted again.
    Returned {
        /// Which.
        input: InputId,
        /// How long nothing has been wrong with it.
        good: Media,
        /// What was on air.
        before: InputId,
    },
    /// One input has had more points for long enough.
    Scores {
        /// Which.
        better: InputId,
        /// Its points of 100.
        points: u8,
        /// What was on air.
        worse: InputId,
        /// Its points.
        fewer: u8,
        /// For how long.
        held: Media,
        /// What is wrong with it, if anything.
        because: Option<Box<Reason>>,
    },
    /// An operator wants it.
    ByHand(Manual),
    /// An operator wanted it, it failed, and can be trusted again.
    BackByHand {
        /// Which input.
        input: InputId,
        /// How long nothing has been wrong with it.
        good: Media,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: &Media| time.to_ticks(1000);
        let s = |time: &Media| time.to_ticks(1);
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
            Self::NoAnswer { input, waited } => {
                write!(f, "{input} was chosen and has delivered no picture to cut to for {} ms", ms(waited))
            }
            Self::Fault { input, finding } if finding.evidence.is_empty() => write!(f, "{input}: {}", finding.fault),
            Self::Fault { input, finding } => write!(f, "{input}: {}, {}", finding.fault, finding.evidence),
            Self::SoundFrom { input } => write!(f, "the sound is to be that of {input}"),
            Self::Bridging { input } => write!(f, "{input} is chosen; waiting for its keyframe"),
            Self::InHand(cut) => write!(f, "{} delivers", cut.input),
            Self::Available { input, more: None } => write!(f, "{input} delivers, and nothing better is there"),
            Self::Available { input, more: Some(more) } => {
                write!(f, "{input} delivers, and nothing better is there; on probation for {} s more", s(more))
            }
            Self::Returned { input, good, before } => {
                write!(f, "{input} has been good for {} s and comes before {before}", s(good))
            }
            Self::Scores { better, points, worse, fewer, held, because } => {
                write!(f, "{better} scores {points}, {worse} {fewer}, for {} s", s(held))?;
                because.iter().try_for_each(|because| write!(f, " ({because})"))
            }
            Self::ByHand(wanted) => write!(f, "{wanted} was chosen by hand"),
            Self::BackByHand { input, good } => {
                write!(f, "{input} was chosen by hand and has been good for {} s", s(good))
            }
        }
    }
}

impl Reason {
    /// What a stream gives way to that is left for this. Whoever asks for the slate wants nothing else to be seen; frozen and black
    /// pictures are only left for another input's, until which they stay themselves.
    pub(super) fn stand_in(&self) -> StandIn {
        if *self == Self::ByHand(Manual::Slate) { StandIn::Slate } else { StandIn::Still }
    }

    /// The fault that it names.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Lost { .. } | Self::Replaced { .. } => Some(Fault::Worker),
            Self::Stalled { .. } | Self::NoAnswer { .. } => Some(Fault::Stalled),
            Self::Fault { finding, .. } => Some(finding.fault),
            Self::Scores { because, .. } => because.as_ref().and_then(|because| because.fault()),
            Self::Started
            | Self::SlateReady
            | Self::Removed { .. }
            | Self::SoundFrom { .. }
            | Self::Bridging { .. }
            | Self::InHand(_)
            | Self::Available { .. }
            | Self::Returned { .. }
            | Self::ByHand(_)
            | Self::BackByHand { .. } => None,
        }
    }

    fn evidence(&self, event: Event) -> Event {
        let ms = |time: &Media| Value::from(time.to_ticks(1000));
        let event = match self.fault().map(serde_json::to_value) {
            Some(Ok(fault)) => event.with("fault", fault),
            Some(Err(_)) | None => event,
        };
        match self {
            Self::Started | Self::SlateReady | Self::ByHand(_) => event,
            Self::Lost { input, .. }
            | Self::Replaced { input }
            | Self::Removed { input }
            | Self::SoundFrom { input }
            | Self::Bridging { input } => event.with("input", input.as_str()),
            Self::Stalled { input, rendition, silent, latency, allowed } => event
                .with("input", input.as_str())
                .with("rendition", rendition.as_str())
                .with("silent_ms", ms(silent))
                .with("latency_ms", ms(latency))
                .with("allowed_ms", ms(allowed)),
            Self::NoAnswer { input, waited } => event.with("input", input.as_str()).with("waited_ms", ms(waited)),
            Self::Fault { input, finding } => {
                event.with("input", input.as_str()).with("finding", finding.evidence.as_str())
            }
            Self::InHand(cut) => cut.evidence(event.with("input", cut.input.as_str())),
            Self::Available { input, more } => {
                let event = event.with("input", input.as_str());
                more.iter().fold(event, |event, more| event.with("probation_ms", ms(more)))
            }
            Self::Returned { input, good, .. } | Self::BackByHand { input, good } => {
                event.with("input", input.as_str()).with("good_ms", ms(good))
            }
            Self::Scores { better, points, worse, fewer, held, because } => {
                let event = because.iter().fold(event, |event, because| because.evidence(event));
                event
                    .with("better", better.as_str())
                    .with("points", u64::from(*points))
                    .with("worse", worse.as_str())
                    .with("fewer", u64::from(*fewer))
                    .with("held_ms", ms(held))
            }
        }
    }
}

impl Cut {
    fn evidence(&self, event: Event) -> Event {
        event
            .with("rendition", self.rendition.as_str())
            .with("latency_ms", self.latency.to_ticks(1000))
            .with("filled_by_still", self.held)
            .with("filled_by_slate", self.filled)
    }
}

impl Happened {
    /// As a line of the event log.
    pub fn into_event(self, at: (Wall, Media)) -> Event {
        let event = |kind, severity, subject: &str, reason: String| {
            Event::new(at, Role::Transmit, kind, severity, subject, reason)
        };
        match self {
            Self::Switched { from, to, reason, cut, waited } => {
                let severity = match to {
                    SourceOnAir::Nothing => Severity::Alert,
                    SourceOnAir::Slate => Severity::Warning,
                    SourceOnAir::Input(_) => Severity::Info,
                };
                let event = event(EventKind::Switched, severity, source(&to), reason.to_string());
                let event = cut.iter().fold(reason.evidence(event), |event, cut| cut.evidence(event));
                let event = waited.iter().fold(event, |event, waited| {
                    event.with("after_decision_ms", waited.to_ticks(1_000_000) as f64 / 1e3)
                });
                event.with("from", source(&from)).with("to", source(&to))
            }
            Self::StreamFilled { rendition, reason } => {
                let text = format!("{rendition} is not live: {reason}");
                reason.evidence(event(EventKind::Switched, Severity::Warning, rendition.as_str(), text))
            }
            Self::StreamLive { rendition, reason } => {
                let text = format!("{rendition} is live: {reason}");
                reason.evidence(event(EventKind::Switched, Severity::Info, rendition.as_str(), text))
            }
            Self::ChosenByHand { wanted } => {
                let (subject, text) = (wanted.to_string(), format!("the operator chose: {wanted}"));
                event(EventKind::CommandTaken, Severity::Info, &subject, text)
            }
            Self::NoSuchInput { wanted } => {
                let text = format!("there is no input {wanted}; what is on air stays");
                event(EventKind::CommandTaken, Severity::Warning, &wanted.to_string(), text)
            }
            Self::Overruled { input, because, needs } => {
                let why = because.as_ref().map_or_else(|| "no worker of it is there".to_owned(), Reason::to_string);
                let text = format!(
                    "{input} was chosen by hand and cannot be shown ({why}); the automatic choice stands in until it has \
                     been good for {} s",
                    needs.to_ticks(1)
                );
                let event = event(EventKind::InputChanged, Severity::Warning, input.as_str(), text);
                because.iter().fold(event, |event, because| because.evidence(event))
            }
            Self::Released { input } => {
                let text =
                    format!("{input} was chosen by hand and is not configured any more; the choice is automatic");
                event(EventKind::InputChanged, Severity::Warning, input.as_str(), text)
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
