//! Pure. What the observer says.

use std::collections::BTreeMap;

use crate::events::{Event, EventKind, Role, Severity};
use crate::link::health::Hint;
use crate::model::{Media, Wall};

/// A hint about one link, for the judges of links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkHint {
    /// The kernel's name of the interface.
    pub link: String,
    /// What is expected of it.
    pub hint: Hint,
    /// Why, in words.
    pub because: String,
}

/// Something that people should know; an [`Event`] without its time.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// What happened.
    pub kind: EventKind,
    /// How much it matters.
    pub severity: Severity,
    /// The interface or part that it is about.
    pub subject: String,
    /// In words an operator can act on.
    pub reason: String,
    /// The figures it was decided on.
    pub evidence: BTreeMap<String, serde_json::Value>,
}

impl News {
    pub(super) fn new(
        kind: EventKind,
        severity: Severity,
        subject: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self { kind, severity, subject: subject.into(), reason: reason.into(), evidence: BTreeMap::new() }
    }

    /// Adds a figure, if there is one.
    #[must_use]
    pub(super) fn with(mut self, key: &str, value: impl Into<serde_json::Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.evidence.insert(key.to_owned(), value);
        }
        self
    }

    /// As an event of that time.
    pub fn into_event(self, at: (Wall, Media), from: Role) -> Event {
        let event = Event::new(at, from, self.kind, self.severity, self.subject, self.reason);
        Event { evidence: self.evidence, ..event }
    }
}
