//! Names that the operator gives, and which of them are taken.

use std::collections::BTreeSet;

use toml::de::DeValue;

use super::report::{Complaint, Reported, quote};
use super::section::{Section, text};
use crate::model::Name;

/// The names in one part of the file.
#[derive(Debug)]
pub(super) struct Names {
    taken: BTreeSet<String>,
    /// Whether every name could be read. If not, a reference to a name that seems absent is not a mistake.
    pub(super) complete: bool,
}

impl Names {
    pub(super) fn new() -> Self {
        Self { taken: BTreeSet::new(), complete: true }
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.taken.contains(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.taken.iter().map(String::as_str)
    }

    /// Reads the section's own name, calls the section by it and takes it.
    pub(super) fn take(&mut self, section: &mut Section<'_>, kind: &str, example: &str) -> Result<Name, Reported> {
        let name = section.required("name", &format!("name = \"{example}\""), read);
        let Ok(name) = name else {
            self.complete = false;
            return Err(Reported);
        };
        section.call(format!("{kind} \"{name}\""));
        if !self.taken.insert(name.as_str().to_owned()) {
            let complaint = Complaint::new(format!("\"{name}\" is taken already"), "choose another, names are unique");
            return Err(section.complain("name", &complaint));
        }
        Ok(name)
    }
}

/// A short label in the safe alphabet of [`Name`].
pub(super) fn read(value: &DeValue<'_>) -> Result<Name, Complaint> {
    let written = text(value)?;
    Name::new(written).map_err(|error| {
        let reason = error.to_string();
        let (problem, remedy) = reason.split_once("; ").unwrap_or((&reason, "choose another"));
        let remedy = slug(written).map_or_else(|| remedy.to_owned(), |slug| format!("did you mean \"{slug}\"?"));
        let problem = if written.is_empty() { problem.to_owned() } else { format!("{} {problem}", quote(written)) };
        Complaint::new(problem, remedy)
    })
}

/// `written` in the safe alphabet: `Main Camera` becomes `main-camera`.
fn slug(written: &str) -> Option<Name> {
    let safe: String = written
        .trim()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c.to_ascii_lowercase() } else { '-' })
        .collect();
    Name::new(&safe).ok().filter(|_| written.is_ascii())
}
