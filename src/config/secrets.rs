//! The secrets file: stream keys and the webhook's address. No message repeats anything that stands in it.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::file::document;
use super::name::Names;
use super::report::{Complaint, Problem, Report, nearest};
use super::section::{Section, text};
use super::settings::Secret;

const SHAPE: &str = "write [destination.NAME] and below it key = \"…\"";

/// What the secrets file holds.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// By the destination's name.
    keys: BTreeMap<String, Entry>,
    /// Whether the whole text could be understood. If not, a key that seems absent is not a mistake of its own.
    complete: bool,
    pub(super) webhook: Option<Secret>,
}

#[derive(Debug)]
struct Entry {
    at: usize,
    /// `None` when it is there but wrong, which has been said.
    key: Option<Secret>,
}

/// What the secrets file says about one destination.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    Given(Secret),
    /// There is one, or may be one, but it is wrong, which has been said.
    Wrong,
    Absent,
}

impl Secrets {
    pub(super) fn read(report: &mut Report<'_>) -> Self {
        let mut secrets = Self::default();
        let Some(document) = document(report) else { return secrets };
        secrets.complete = report.is_well_formed();
        let mut root = Section::new(document.table(), 0, "secrets").secret();
        if let Ok(Some(mut destinations)) = root.table("destination", SHAPE) {
            for (name, mut section) in destinations.each_table("[destination.…]", SHAPE) {
                let at = section.at();
                let key = section.required("key", "key = \"…\"", stream_key).ok();
                section.finish(report);
                secrets.keys.insert(name.to_owned(), Entry { at, key });
            }
            secrets.complete &= !destinations.is_wrong();
            destinations.hand_over(report);
        } else {
            secrets.complete &= !root.is_wrong();
        }
        if let Ok(Some(mut alerts)) = root.table("alerts", "write [alerts] on a line of its own") {
            secrets.webhook = alerts.optional("webhook", webhook).ok().flatten();
            alerts.finish(report);
        }
        root.finish(report);
        secrets
    }

    pub(super) fn key(&self, destination: &str) -> Key {
        match self.keys.get(destination) {
            Some(Entry { key: Some(key), .. }) => Key::Given(key.clone()),
            Some(Entry { key: None, .. }) => Key::Wrong,
            None if self.complete => Key::Absent,
            None => Key::Wrong,
        }
    }

    /// Complains about keys of destinations that do not exist.
    pub(super) fn compare(&self, destinations: &Names, report: &mut Report<'_>) {
        for (name, entry) in &self.keys {
            if destinations.contains(name) {
                continue;
            }
            let remedy = match nearest(name, destinations.iter()) {
                Some(near) => format!("did you mean [destination.{near}]?"),
                None => "remove it, or add the [[destination]] to the main file".to_owned(),
            };
            let message = format!("[destination.…]: there is no destination of this name; {remedy}");
            report.add(Problem { at: entry.at, absence: None, message });
        }
    }
}

fn stream_key(value: &DeValue<'_>) -> Result<Secret, Complaint> {
    let key = text(value)?;
    if key.is_empty() {
        return Err(Complaint::new("is empty", "paste the stream key between the quotes"));
    }
    if key.len() > 512 {
        return Err(Complaint::new("is longer than 512 characters", "paste the stream key alone"));
    }
    if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Complaint::new("contains a space or a line break", "paste the stream key alone"));
    }
    if key.contains("://") {
        return Err(Complaint::new(
            "looks like an address",
            "paste the stream key alone; the address is the destination's url",
        ));
    }
    Ok(Secret::new(key))
}

fn webhook(value: &DeValue<'_>) -> Result<Secret, Complaint> {
    let url = text(value)?;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    let printable = url.len() <= 2048 && url.chars().all(|c| c.is_ascii_graphic());
    match host {
        Some(host) if !host.is_empty() && printable => Ok(Secret::new(url)),
        _ => Err(Complaint::new("is not a web address", "write it as \"https://host/path\"")),
    }
}
