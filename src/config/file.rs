//! TOML text to [`Settings`].
//!
//! Every part of the file is read even when another is wrong, so that an operator sees all mistakes at once.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::destination::Context;
use super::hardware_settings::HardwareSettings;
use super::name::{self, Names};
use super::report::{Complaint, ConfigErrors, Report, Reported, quote, verdict};
use super::secrets::{Secrets, Whose};
use super::section::{Section, text};
use super::settings::{AlertSettings, Settings, SlateSettings};
use super::{destination, frame_rate, input, link, network, path, probe, recording, rendition, selection, telemetry};
use crate::model::FrameRate;

/// Longest text that is looked at, bytes.
pub const MAX_BYTES: usize = 1 << 20;
/// Longest line, bytes; a longer one is no configuration but something else under its name.
const MAX_LINE: usize = 4096;
/// The key for the directory at which relative paths start.
pub(super) const PATHS_FROM: &str = "paths_from";

/// Reads a configuration. `main` and `secrets` are each the name to use in messages and the text. Relative paths start
/// at `base`, unless the text has `paths_from` (see [`with_paths_from`]).
///
/// # Errors
/// Every mistake of both texts, each with its place and its remedy, and never with a secret.
pub fn parse(base: &Path, main: (&str, &str), secrets: Option<(&str, &str)>) -> Result<Settings, ConfigErrors> {
    let mut main_report = Report::new(main.0, without_bom(main.1));
    let mut secrets_report = secrets.map(|(name, text)| Report::new(name, without_bom(text)));

    let found_secrets = secrets_report.as_mut().map(|report| (Secrets::read(Whose::Box, report), report.file()));
    let (settings, named) = read_main(base, found_secrets.as_ref(), &mut main_report);
    if let (Some(report), Some((secrets, _))) = (&mut secrets_report, &found_secrets) {
        if named.outputs.complete {
            secrets.compare_destinations(&named.outputs, report);
        }
        if named.inputs.complete {
            secrets.compare_inputs(&named.inputs, report);
        }
    }
    verdict(std::iter::once(main_report).chain(secrets_report))?;
    settings.map_err(|Reported| ConfigErrors::unexplained(main.0))
}

/// `text` with the line that makes its relative paths start at `directory` wherever it is copied to; unchanged if it
/// has such a line.
pub fn with_paths_from(text: &str, directory: &Path) -> String {
    let text = without_bom(text);
    let document = Document(DeTable::parse_recoverable(text).0.into_inner());
    if document.table().contains_key(PATHS_FROM) {
        return text.to_owned();
    }
    let directory = toml::Value::String(directory.to_string_lossy().into_owned());
    format!("{PATHS_FROM} = {directory}\n{text}")
}

/// The text of `report` as a table; what cannot be understood has been reported. `None` if it is not worth looking at.
pub(super) fn document<'a>(report: &mut Report<'a>) -> Option<Document<'a>> {
    let text = report.text();
    if text.len() > MAX_BYTES {
        report.syntax(0, format!("the file is larger than {} KiB; is this the right file?", MAX_BYTES >> 10));
        return None;
    }
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if line.len() > MAX_LINE {
            report.syntax(at, format!("the line is longer than {MAX_LINE} characters; is this the right file?"));
            return None;
        }
        at += line.len();
    }
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        report.syntax(error.span().map_or(0, |span| span.start), in_plain_words(error.message()));
    }
    Some(Document(document.into_inner()))
}

/// A document, possibly nested thousands of levels deep by an enemy of the stack.
#[derive(Debug)]
pub(super) struct Document<'a>(DeTable<'a>);

impl<'a> Document<'a> {
    pub(super) fn table(&self) -> &DeTable<'a> {
        &self.0
    }
}

/// Takes the levels apart one by one; the tables' own drop would call itself for each level.
impl Drop for Document<'_> {
    fn drop(&mut self) {
        let mut left = vec![DeValue::Table(std::mem::take(&mut self.0))];
        while let Some(value) = left.pop() {
            match value {
                DeValue::Table(table) => left.extend(table.into_iter().map(|(_, value)| value.into_inner())),
                DeValue::Array(array) => left.extend(array.into_iter().map(toml::Spanned::into_inner)),
                DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => {}
                DeValue::Boolean(_) | DeValue::Datetime(_) => {}
            }
        }
    }
}

/// A syntax error with its remedy, from toml's words for it. Those never contain what stands in the text.
fn in_plain_words(message: &str) -> String {
    const PLAIN: [(&str, &str); 10] = [
        ("string values must be quoted", "the value is not in quotes; put it in double quotes"),
        (
            "duplicate key",
            "this stands here for the second time; remove one, or write lists with two brackets: [[input]]",
        ),
        ("unclosed table", "the header is not closed; close it with ]"),
        ("unclosed array", "the list is not closed; close it with ]"),
        ("key with no value", "the key has no value; write key = value"),
        ("invalid basic string", "the text is not closed; end it with the quote it begins with"),
        ("missing escaped value", "a backslash means something special here; write \\\\ for a backslash"),
        ("invalid boolean", "this is neither true nor false; write true or false, in lower case"),
        ("unexpected leading zero", "the number begins with a zero; write it without"),
        ("missing comma", "a comma is missing; put commas between the values, and close the list or table"),
    ];
    let plain = PLAIN.iter().find(|(words, _)| message.starts_with(words)).map(|(_, plain)| (*plain).to_owned());
    plain.unwrap_or_else(|| {
        let message = message.replace('\n', ", ");
        format!("{message}; write lines as key = value, [table] or # comment")
    })
}

/// The names in the file, wrong ones included.
struct Named {
    inputs: Names,
    /// Of destinations and recordings.
    outputs: Names,
}

fn read_main(
    base: &Path,
    secrets: Option<&(Secrets, &str)>,
    report: &mut Report<'_>,
) -> (Result<Settings, Reported>, Named) {
    let mut named = Named { inputs: Names::new(), outputs: Names::new() };
    let Some(document) = document(report) else {
        (named.inputs.complete, named.outputs.complete) = (false, false);
        return (Err(Reported), named);
    };
    (named.inputs.complete, named.outputs.complete) = (report.is_well_formed(), report.is_well_formed());
    let mut root = Section::new(document.table(), 0, "the configuration");
    let base = root.or(PATHS_FROM, base.to_owned(), |v| path::read_absolute(text(v)?, "\"/etc/holdfast\""));
    let base = base.unwrap_or_else(|Reported| PathBuf::from("/"));

    let this_box = read_box(&mut root, &base, report);
    let frame_rate = read_programme(&mut root, report);
    let inputs = input::read_all(&mut root, &base, secrets, &mut named.inputs, report);
    let selection = selection::read(&mut root, inputs.as_ref().ok().map(|(_, rules)| rules), report);
    let slate = read_slate(&mut root, &base, report);
    let (renditions, floors, rendition_names) = rendition::read_all(&mut root, report);
    let context = Context {
        base: &base,
        refers_by: "rendition",
        rendition_names: &rendition_names,
        renditions: renditions.as_deref().unwrap_or_default(),
    };
    let destinations = destination::read_all(&mut root, &context, secrets, &mut named.outputs, report);
    let recordings = recording::read_all(&mut root, &context, &mut named.outputs, report);
    let telemetry = telemetry::read(&mut root, report);
    let probe = probe::read(&mut root, report);
    let network = network::read(&mut root, report);
    let plans = link::read_all(&mut root, report);
    let show = link::read_show(&mut root, report);
    read_alerts(&mut root, report);
    root.finish(report);

    let settings = || {
        let (destinations, (box_name, hardware)) = (destinations?, this_box?);
        Ok(Settings {
            box_name,
            hardware,
            frame_rate: frame_rate?,
            inputs: inputs?.0,
            selection: selection?,
            slate: slate?,
            renditions: renditions?,
            floors,
            destinations: destinations.rtmp,
            srt_destinations: destinations.srt,
            recordings: recordings?,
            probe: probe?,
            network: network?,
            plans: plans?,
            show: show?,
            alerts: AlertSettings { webhook: secrets.and_then(|(secrets, _)| secrets.webhook.clone()) },
            telemetry: telemetry?,
        })
    };
    (settings(), named)
}

fn read_box(
    root: &mut Section<'_>,
    base: &Path,
    report: &mut Report<'_>,
) -> Result<(String, HardwareSettings), Reported> {
    const USUAL: &str = "Holdfast";
    let Some(mut section) = root.table("box", "write [box] with one bracket, once")? else {
        return Ok((USUAL.to_owned(), HardwareSettings::default()));
    };
    let name = section.or("name", USUAL.to_owned(), read_name);
    let profile = section.optional("profile", name::read);
    let directory = section.optional("profiles", |v| path::read(text(v)?, base));
    section.finish(report);
    let profile = profile?.filter(|profile| profile.as_str() != "auto");
    Ok((name?, HardwareSettings { profile, directory: directory? }))
}

/// A name for people: free text, 1 to 64 characters.
pub(super) fn read_name(value: &DeValue<'_>) -> Result<String, Complaint> {
    let name = text(value)?;
    let length = name.chars().count();
    if !(1..=64).contains(&length) {
        return Err(Complaint::new(format!("is {length} characters long"), "write 1 to 64"));
    }
    if name.chars().any(char::is_control) {
        return Err(Complaint::new(format!("is {}, with a control character", quote(name)), "write it on one line"));
    }
    Ok(name.to_owned())
}

fn read_programme(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<FrameRate, Reported> {
    let usual = FrameRate::whole(30);
    let Some(mut section) = root.table("programme", "write [programme] with one bracket, once")? else {
        return Ok(usual);
    };
    let rate = section.or("frame_rate", usual, frame_rate::read);
    section.finish(report);
    rate
}

fn read_slate(root: &mut Section<'_>, base: &Path, report: &mut Report<'_>) -> Result<SlateSettings, Reported> {
    let Some(mut section) = root.table("slate", "write [slate] with one bracket, once")? else {
        return Ok(SlateSettings::default());
    };
    let image = section.optional("image", |v| path::read(text(v)?, base));
    section.finish(report);
    Ok(SlateSettings { image: image? })
}

/// `[alerts]` may be there, to be found, but its one key is a secret.
fn read_alerts(root: &mut Section<'_>, report: &mut Report<'_>) {
    if let Ok(Some(mut section)) = root.table("alerts", "write [alerts] with one bracket, once") {
        let remedy = "move it to the secrets file, below [alerts]: such addresses carry tokens";
        section.refuse(&["webhook"], &Complaint::new("does not belong in this file", remedy));
        section.finish(report);
    }
}

pub(super) fn without_bom(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}
