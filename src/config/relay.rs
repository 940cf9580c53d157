//! TOML text to [`RelaySettings`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use super::destination::Context;
use super::file::{PATHS_FROM, document, read_name, without_bom};
use super::name::Names;
use super::relay_settings::{ProgrammeSettings, RelaySettings};
use super::report::{Absent, Complaint, ConfigErrors, Report, Reported, quote, verdict};
use super::secrets::{Found, Key, Secrets, Whose};
use super::section::{Section, boolean, text, text_like, type_in_words};
use super::settings::Secret;
use super::{destination, duration, path, probe, recording, srt};
use crate::model::{Name, RenditionId};

const MOST_PROGRAMMES: usize = 256;
const MOST_SOCKETS: usize = 16;
/// What libsrt proposes by default; less leaves no time for a second try on most networks.
const USUAL_MIN_LATENCY: Duration = Duration::from_millis(120);
const USUAL_MAX_LATENCY: Duration = Duration::from_secs(8);

/// Reads a relay's configuration, in the manner of [`super::parse`].
///
/// # Errors
/// Every mistake of both texts, each with its place and its remedy, and never with a secret.
pub fn parse_relay(
    base: &Path,
    main: (&str, &str),
    secrets: Option<(&str, &str)>,
) -> Result<RelaySettings, ConfigErrors> {
    let mut main_report = Report::new(main.0, without_bom(main.1));
    let mut secrets_report = secrets.map(|(name, text)| Report::new(name, without_bom(text)));

    let found_secrets = secrets_report.as_mut().map(|report| (Secrets::read(Whose::Relay, report), report.file()));
    let (settings, named) = read_main(base, found_secrets.as_ref(), &mut main_report);
    if let (Some(report), Some((secrets, _))) = (&mut secrets_report, &found_secrets) {
        if named.outputs.complete {
            secrets.compare_destinations(&named.outputs, report);
        }
        if named.programmes.complete {
            secrets.compare_programmes(&named.programmes, report);
        }
    }
    verdict(std::iter::once(main_report).chain(secrets_report))?;
    settings.map_err(|Reported| ConfigErrors::unexplained(main.0))
}

/// The names in a relay's file, wrong ones included.
struct Named {
    programmes: Names,
    outputs: Names,
}

fn read_main(
    base: &Path,
    secrets: Option<&(Secrets, &str)>,
    report: &mut Report<'_>,
) -> (Result<RelaySettings, Reported>, Named) {
    let mut named = Named { programmes: Names::new(), outputs: Names::new() };
    let Some(document) = document(report) else {
        (named.programmes.complete, named.outputs.complete) = (false, false);
        return (Err(Reported), named);
    };
    named.outputs.complete = report.is_well_formed();
    let mut root = Section::new(document.table(), 0, "the configuration");
    let base = root.or(PATHS_FROM, base.to_owned(), |v| path::read_absolute(text(v)?, "\"/etc/holdfast\""));
    let base = base.unwrap_or_else(|Reported| PathBuf::from("/"));

    let name = read_relay(&mut root, report);
    let srt = read_srt(&mut root, report);
    let status = read_status(&mut root, report);
    let arrivals = srt.as_ref().ok().map(|srt| srt.listen.as_slice());
    let probe = probe::read_listen(&mut root, arrivals, report);
    let programmes = read_programmes(&mut root, secrets, &mut named.programmes, report);
    let context = Context { base: &base, refers_by: "programme", rendition_names: &named.programmes, renditions: &[] };
    let destinations = destination::read_all(&mut root, &context, secrets, &mut named.outputs, report);
    let recordings = recording::read_all(&mut root, &context, &mut named.outputs, report);
    root.finish(report);

    let settings = || {
        let (srt, destinations) = (srt?, destinations?);
        Ok(RelaySettings {
            name: name?,
            listen: srt.listen,
            min_latency: srt.min_latency,
            max_latency: srt.max_latency,
            status: status?,
            probe: probe?,
            programmes: programmes?,
            destinations: destinations.rtmp,
            srt_destinations: destinations.srt,
            recordings: recordings?,
        })
    };
    (settings(), named)
}

fn read_relay(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<String, Reported> {
    const USUAL: &str = "Holdfast relay";
    let Some(mut section) = root.table("relay", "write [relay] with one bracket, once")? else {
        return Ok(USUAL.to_owned());
    };
    let name = section.or("name", USUAL.to_owned(), read_name);
    section.finish(report);
    name
}

struct SrtSection {
    listen: Vec<SocketAddr>,
    min_latency: Duration,
    max_latency: Duration,
}

fn read_srt(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<SrtSection, Reported> {
    let Some(mut section) = root.table("srt", "write [srt] with one bracket, once")? else {
        return Err(root.lacks(
            Absent::Key("srt"),
            &Complaint::new("has no [srt]", "add [srt] and below it listen = [\"[::]:9000\"]"),
        ));
    };
    let listen = section.required("listen", "listen = [\"[::]:9000\"]", sockets);
    let min = section.or("min_latency", USUAL_MIN_LATENCY, |v| duration::read(v, &srt::LATENCY));
    let max = section.optional("max_latency", |v| duration::read(v, &srt::LATENCY));
    let limits = match (min, max) {
        (Ok(min), Ok(None)) => Ok((min, USUAL_MAX_LATENCY.max(min))),
        (Ok(min), Ok(Some(max))) if max < min => {
            let complaint = Complaint::new("is less than min_latency", "write more, or leave it out");
            Err(section.complain("max_latency", &complaint))
        }
        (Ok(min), Ok(Some(max))) => Ok((min, max)),
        (Err(Reported), _) | (_, Err(Reported)) => Err(Reported),
    };
    section.finish(report);
    let (min_latency, max_latency) = limits?;
    Ok(SrtSection { listen: listen?, min_latency, max_latency })
}

fn read_status(root: &mut Section<'_>, report: &mut Report<'_>) -> Result<Option<SocketAddr>, Reported> {
    let Some(mut section) = root.table("status", "write [status] with one bracket, once")? else { return Ok(None) };
    let listen = section.required("listen", "listen = \"127.0.0.1:9180\"", |v| {
        socket(text_like(v, "write it as \"127.0.0.1:9180\"")?, "127.0.0.1:9180")
    });
    section.finish(report);
    listen.map(Some)
}

fn read_programmes(
    root: &mut Section<'_>,
    secrets: Option<&(Secrets, &str)>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Result<Vec<ProgrammeSettings>, Reported> {
    let was_wrong = root.is_wrong();
    let sections = root.tables("programme");
    if sections.is_empty() || sections.len() > MOST_PROGRAMMES {
        names.complete = false;
        if sections.len() > MOST_PROGRAMMES {
            let problem = format!("has {} programmes", sections.len());
            return Err(root.complain("programme", &Complaint::new(problem, format!("keep at most {MOST_PROGRAMMES}"))));
        }
        if root.is_wrong() && !was_wrong {
            return Err(Reported);
        }
        let complaint = Complaint::new("has no [[programme]]", "add at least one, with a name");
        return Err(root.lacks(Absent::Key("programme"), &complaint));
    }
    let mut asked_for = BTreeMap::new();
    let mut programmes = Vec::new();
    for mut section in sections {
        let programme = read_programme(&mut section, secrets, names);
        let programme = programme.and_then(|p| differs(&mut section, p, &mut asked_for));
        section.finish(report);
        programmes.push(programme);
    }
    programmes.into_iter().collect()
}

fn read_programme(
    section: &mut Section<'_>,
    secrets: Option<&(Secrets, &str)>,
    names: &mut Names,
) -> Result<ProgrammeSettings, Reported> {
    let name = names.take(section, "programme", "church");
    let stream_id = section.optional("stream_id", srt::stream_id);
    let open = section.or("open", false, boolean);
    let complaint = Complaint::new(
        "does not belong in this file",
        "move it to the secrets file: [programme.NAME] and below it passphrase = \"…\"",
    );
    section.refuse(&["passphrase"], &complaint);
    let name = name?;
    let found = secrets.map_or(Found::NOTHING, |(secrets, _)| secrets.programme(name.as_str()));
    let passphrase = read_passphrase(section, &name, open?, found.passphrase);
    let stream_id = stream_id?.unwrap_or_else(|| Secret::new(name.as_str()));
    Ok(ProgrammeSettings { id: RenditionId(name), stream_id, passphrase: passphrase? })
}

/// A programme without a passphrase has to say that this is meant.
fn read_passphrase(
    section: &mut Section<'_>,
    name: &Name,
    is_open: bool,
    passphrase: Key,
) -> Result<Option<Secret>, Reported> {
    match (passphrase, is_open) {
        (Key::Given(passphrase), false) => Ok(Some(passphrase)),
        (Key::Given(_), true) => {
            let complaint = Complaint::new("is true, but it has a passphrase", "remove the one or the other");
            Err(section.complain("open", &complaint))
        }
        (Key::Wrong, _) => Err(Reported),
        (Key::Absent, true) => Ok(None),
        (Key::Absent, false) => {
            let remedy = format!(
                "add [programme.{name}] and below it passphrase = \"…\" to the secrets file, or write open = true to let \
                 anybody send who knows the stream id"
            );
            Err(section.lacks(Absent::Other, &Complaint::new("has no passphrase", remedy)))
        }
    }
}

fn differs(
    section: &mut Section<'_>,
    programme: ProgrammeSettings,
    asked_for: &mut BTreeMap<String, RenditionId>,
) -> Result<ProgrammeSettings, Reported> {
    match asked_for.insert(programme.stream_id.reveal().to_owned(), programme.id.clone()) {
        None => Ok(programme),
        Some(other) => {
            let problem = format!("is that of programme \"{other}\"");
            Err(section.complain("stream_id", &Complaint::new(problem, "give each its own")))
        }
    }
}

/// One address with its port, or a list of them.
fn sockets(value: &DeValue<'_>) -> Result<Vec<SocketAddr>, Complaint> {
    const EXAMPLE: &str = "[::]:9000";
    let written: Vec<&str> = match value.as_array() {
        None => vec![text_like(value, "write a list: listen = [\"[::]:9000\"]")?],
        Some(list) if list.is_empty() => {
            return Err(Complaint::new("is empty", "write at least one: listen = [\"[::]:9000\"]"));
        }
        Some(list) if list.len() > MOST_SOCKETS => {
            return Err(Complaint::new(
                format!("has {} addresses", list.len()),
                format!("keep at most {MOST_SOCKETS}"),
            ));
        }
        Some(list) => {
            let not_text = |v: &DeValue<'_>| {
                Complaint::new(format!("has {} in it", type_in_words(v)), "put each address in double quotes")
            };
            let each = list.iter().map(|item| item.get_ref().as_str().ok_or_else(|| not_text(item.get_ref())));
            each.collect::<Result<_, _>>()?
        }
    };
    let mut sockets: Vec<SocketAddr> = Vec::new();
    for one in written {
        let address = socket(one, EXAMPLE)?;
        if sockets.contains(&address) {
            return Err(Complaint::new(format!("has {} twice", quote(one)), "remove one"));
        }
        sockets.push(address);
    }
    Ok(sockets)
}

pub(super) fn socket(written: &str, example: &str) -> Result<SocketAddr, Complaint> {
    let remedy = format!("write an address of this machine and a port, such as \"{example}\"");
    match written.parse::<SocketAddr>() {
        Ok(address) if address.port() > 0 => Ok(address),
        Ok(_) => Err(Complaint::new(format!("is {}, without a port of its own", quote(written)), remedy)),
        Err(_) => Err(Complaint::new(format!("is {}, not an address with a port", quote(written)), remedy)),
    }
}
