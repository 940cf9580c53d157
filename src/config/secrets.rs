//! The secrets file: stream keys, passphrases, passwords and the webhook's address. No message repeats anything that stands in it.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::file::document;
use super::name::Names;
use super::report::{Absent, Complaint, Problem, Report, Reported, nearest};
use super::section::{Section, text};
use super::settings::Secret;
use super::srt::passphrase;

type Entries = BTreeMap<String, Entry>;

/// Whose secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Box,
    Relay,
}

/// What has secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Destination,
    Input,
    Programme,
}

impl Owner {
    const fn word(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Input => "input",
            Self::Programme => "programme",
        }
    }

    const fn shape(self) -> &'static str {
        match self {
            Self::Destination => "write [destination.NAME] and below it key = \"…\"",
            Self::Input => "write [input.NAME] and below it passphrase = \"…\", key = \"…\" or password = \"…\"",
            Self::Programme => "write [programme.NAME] and below it passphrase = \"…\"",
        }
    }

    fn read(self, section: &mut Section<'_>) -> Found {
        let written = section.has("passphrase");
        match self {
            Self::Programme => {
                let passphrase = section.required("passphrase", "passphrase = \"…\"", passphrase);
                Found { passphrase: passphrase.map(Some).into(), ..Found::NOTHING }
            }
            // Which of them is right depends on the input's kind, which stands in the main file.
            Self::Input => {
                let found = Found {
                    key: section.optional("key", stream_key).into(),
                    passphrase: section.optional("passphrase", passphrase).into(),
                    password: section.optional("password", password).into(),
                    ..Found::NOTHING
                };
                if found != Found::NOTHING {
                    return found;
                }
                let complaint = Complaint::new(
                    "has none of passphrase, key and password",
                    "add passphrase = \"…\" for SRT, key = \"…\" for RTMP or password = \"…\" for RTSP",
                );
                section.lacks(Absent::AnyOf(&["key", "passphrase", "password"]), &complaint);
                Found::WRONG
            }
            // A stream key, a passphrase, or both.
            Self::Destination if written => {
                let passphrase = section.optional("passphrase", passphrase).into();
                let key = section.optional("key", stream_key).into();
                let backup_key = section.optional("backup_key", stream_key).into();
                Found { key, backup_key, passphrase, ..Found::NOTHING }
            }
            Self::Destination => {
                let key = match section.optional("key", stream_key) {
                    Ok(None) => {
                        let complaint = Complaint::new("has no key", "add key = \"…\", or passphrase = \"…\" for SRT");
                        Err(section.lacks(Absent::AnyOf(&["key", "passphrase"]), &complaint))
                    }
                    key => key,
                };
                section.pass_over(&["passphrase"]);
                let backup_key = section.optional("backup_key", stream_key).into();
                Found { key: key.into(), backup_key, ..Found::NOTHING }
            }
        }
    }
}

/// What the secrets file holds.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// By the destination's name.
    destinations: Entries,
    /// By the input's name; a box's.
    inputs: Entries,
    /// By the programme's name; a relay's.
    programmes: Entries,
    /// Whether the whole text could be understood. If not, a key that seems absent is not a mistake of its own.
    complete: bool,
    pub(super) webhook: Option<Secret>,
}

#[derive(Debug)]
struct Entry {
    at: usize,
    found: Found,
}

/// What the secrets file says about one destination, input or programme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// A stream key.
    pub(super) key: Key,
    /// The stream key of the backup address.
    pub(super) backup_key: Key,
    /// What SRT is encrypted with.
    pub(super) passphrase: Key,
    /// A user's, at a camera.
    pub(super) password: Key,
}

impl Found {
    /// Nothing.
    pub(super) const NOTHING: Self =
        Self { key: Key::Absent, backup_key: Key::Absent, passphrase: Key::Absent, password: Key::Absent };
    /// Something may be there, but nobody can tell.
    pub(super) const WRONG: Self =
        Self { key: Key::Wrong, backup_key: Key::Wrong, passphrase: Key::Wrong, password: Key::Wrong };
}

/// One secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Given(Secret),
    /// There is one, or may be one, but it is wrong, which has been said.
    Wrong,
    Absent,
}

impl From<Result<Option<Secret>, Reported>> for Key {
    fn from(read: Result<Option<Secret>, Reported>) -> Self {
        match read {
            Ok(Some(secret)) => Self::Given(secret),
            Ok(None) => Self::Absent,
            Err(Reported) => Self::Wrong,
        }
    }
}

impl Secrets {
    pub(super) fn read(of: Whose, report: &mut Report<'_>) -> Self {
        let mut secrets = Self::default();
        let Some(document) = document(report) else { return secrets };
        secrets.complete = report.is_well_formed();
        let mut root = Section::new(document.table(), 0, "secrets").secret();
        secrets.destinations = secrets.entries(&mut root, Owner::Destination, report);
        match of {
            Whose::Relay => secrets.programmes = secrets.entries(&mut root, Owner::Programme, report),
            Whose::Box => {
                secrets.inputs = secrets.entries(&mut root, Owner::Input, report);
                if let Ok(Some(mut alerts)) = root.table("alerts", "write [alerts] on a line of its own") {
                    secrets.webhook = alerts.optional("webhook", webhook).ok().flatten();
                    alerts.finish(report);
                }
            }
        }
        root.finish(report);
        secrets
    }

    fn entries(&mut self, root: &mut Section<'_>, owner: Owner, report: &mut Report<'_>) -> Entries {
        let mut entries = Entries::new();
        let Ok(Some(mut tables)) = root.table(owner.word(), owner.shape()) else {
            self.complete &= !root.is_wrong();
            return entries;
        };
        for (name, mut section) in tables.each_table(&format!("[{}.…]", owner.word()), owner.shape()) {
            let at = section.at();
            let found = owner.read(&mut section);
            section.finish(report);
            entries.insert(name.to_owned(), Entry { at, found });
        }
        self.complete &= !tables.is_wrong();
        tables.hand_over(report);
        entries
    }

    pub(super) fn destination(&self, name: &str) -> Found {
        self.find(&self.destinations, name)
    }

    pub(super) fn input(&self, name: &str) -> Found {
        self.find(&self.inputs, name)
    }

    pub(super) fn programme(&self, name: &str) -> Found {
        self.find(&self.programmes, name)
    }

    fn find(&self, entries: &Entries, name: &str) -> Found {
        match entries.get(name) {
            Some(entry) => entry.found.clone(),
            None if self.complete => Found::NOTHING,
            None => Found::WRONG,
        }
    }

    /// Complains about secrets of destinations that do not exist.
    pub(super) fn compare_destinations(&self, names: &Names, report: &mut Report<'_>) {
        compare(&self.destinations, Owner::Destination, names, report);
    }

    /// Likewise of inputs.
    pub(super) fn compare_inputs(&self, names: &Names, report: &mut Report<'_>) {
        compare(&self.inputs, Owner::Input, names, report);
    }

    /// Likewise of programmes.
    pub(super) fn compare_programmes(&self, names: &Names, report: &mut Report<'_>) {
        compare(&self.programmes, Owner::Programme, names, report);
    }
}

fn compare(entries: &Entries, owner: Owner, names: &Names, report: &mut Report<'_>) {
    let kind = owner.word();
    for (name, entry) in entries.iter().filter(|(name, _)| !names.contains(name)) {
        let remedy = match nearest(name, names.iter()) {
            Some(near) => format!("did you mean [{kind}.{near}]?"),
            None => format!("remove it, or add the [[{kind}]] to the main file"),
        };
        let message = format!("[{kind}.…]: there is no {kind} of this name; {remedy}");
        report.add(Problem { at: entry.at, absence: None, message });
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
            "paste the stream key alone; the address stands in the main file",
        ));
    }
    Ok(Secret::new(key))
}

fn password(value: &DeValue<'_>) -> Result<Secret, Complaint> {
    let password = text(value)?;
    if password.is_empty() {
        return Err(Complaint::new("is empty", "write the user's password; give the camera one if it has none"));
    }
    if password.len() > 512 {
        return Err(Complaint::new("is longer than 512 characters", "write the password alone"));
    }
    if password.chars().any(char::is_control) {
        return Err(Complaint::new("contains a control character", "write it on one line"));
    }
    Ok(Secret::new(password))
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
