//! What a session tells of its input, each thing once.

use crate::clock;
use crate::events::{Event, EventKind, Role, Severity};
use crate::model::InputId;
use crate::output::EventSink;

/// Events about one input.
pub(crate) struct Teller {
    input: InputId,
    events: EventSink,
    /// The last note, which is not said again.
    noted: Option<String>,
}

impl Teller {
    pub(crate) fn new(input: &InputId, events: EventSink) -> Self {
        Self { input: input.clone(), events, noted: None }
    }

    /// For those who make events of their own.
    pub(crate) fn events(&self) -> EventSink {
        self.events.clone()
    }

    /// An event about the input.
    pub(crate) fn say(&self, kind: EventKind, severity: Severity, reason: String) {
        let name = self.input.as_str();
        let at = (clock::wall(), clock::media());
        (self.events)(Event::new(at, Role::Transmit, kind, severity, name, reason).with("input", name));
    }

    /// Something that may be tried again and again, and fail for the same reason.
    pub(crate) fn note(&mut self, severity: Severity, reason: &str) {
        if self.noted.as_deref() != Some(reason) {
            self.noted = Some(reason.to_owned());
            self.say(EventKind::Note, severity, reason.to_owned());
        }
    }

    /// What was noted is over: if it comes again it is said again.
    pub(crate) fn forget(&mut self) {
        self.noted = None;
    }
}
