//! `[[destination]]`.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeValue;

use super::name::{self, Names};
use super::report::{Absent, Complaint, Report, Reported, nearest};
use super::secrets::{Found, Key, Secrets};
use super::section::{Section, boolean, choice, text, type_in_words};
use super::settings::{DestinationSettings, RenditionSettings, RtmpUrl, Secret, Takeover, Via};
use super::srt_settings::{SrtAddress, SrtDestinationSettings};
use super::url::Url;
use super::{path, srt, url};
use crate::model::{Codec, InterfaceName, Name, OutputId, RenditionId};

const MOST: usize = 256;

#[derive(Clone, Copy, PartialEq)]
enum Strategy {
    BackupUrl,
    PriorityQuery,
    ServerOverrides,
    RetryUntilFree,
}

const STRATEGIES: [(&str, Strategy); 4] = [
    ("backup-url", Strategy::BackupUrl),
    ("priority-query", Strategy::PriorityQuery),
    ("server-overrides", Strategy::ServerOverrides),
    ("retry-until-free", Strategy::RetryUntilFree),
];

/// Names under which people keep stream keys.
const KEY_NAMES: [&str; 6] = ["key", "stream_key", "streamkey", "stream-key", "secret", "password"];

/// What destinations and recordings refer to.
#[derive(Debug)]
pub(super) struct Context<'c> {
    pub(super) base: &'c Path,
    /// The key that names what is sent or kept.
    pub(super) refers_by: &'static str,
    pub(super) rendition_names: &'c Names,
    /// Empty when one of them is wrong, and in a relay, which learns of them from what arrives.
    pub(super) renditions: &'c [RenditionSettings],
}

/// The destinations, by what they speak.
#[derive(Debug, Default)]
pub(super) struct Destinations {
    pub(super) rtmp: Vec<DestinationSettings>,
    pub(super) srt: Vec<SrtDestinationSettings>,
}

enum Destination {
    Rtmp(DestinationSettings),
    Srt(SrtDestinationSettings),
}

/// Where a destination is and what it is told: no two may agree in both.
type Place = (String, String);

/// The destinations; `names` become those of all outputs.
pub(super) fn read_all(
    root: &mut Section<'_>,
    context: &Context<'_>,
    secrets: Option<&(Secrets, &str)>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Result<Destinations, Reported> {
    let sections = root.tables("destination");
    if sections.len() > MOST {
        let problem = format!("has {} destinations", sections.len());
        names.complete = false;
        return Err(root.complain("destination", &Complaint::new(problem, format!("keep at most {MOST}"))));
    }
    if sections.is_empty() && root.has("destination") {
        names.complete = false;
    }
    let mut seen = BTreeMap::new();
    let mut read_ones = Vec::new();
    for mut section in sections {
        let destination = read(&mut section, context, secrets, names).and_then(|d| alone(&mut section, d, &mut seen));
        section.finish(report);
        read_ones.push(destination);
    }
    let mut destinations = Destinations::default();
    for destination in read_ones {
        match destination? {
            Destination::Rtmp(rtmp) => destinations.rtmp.push(rtmp),
            Destination::Srt(srt) => destinations.srt.push(srt),
        }
    }
    Ok(destinations)
}

fn read(
    section: &mut Section<'_>,
    context: &Context<'_>,
    secrets: Option<&(Secrets, &str)>,
    names: &mut Names,
) -> Result<Destination, Reported> {
    let name = names.take(section, "destination", "youtube");
    let rendition = read_rendition(section, context);
    let mut is_srt = false;
    let url = section.required("url", "url = \"rtmps://host/app\"", |v| {
        let written = text(v)?;
        is_srt = url::is_srt(written);
        url::read_any(written)
    });
    let enabled = section.or("enabled", true, boolean);
    section.refuse(
        &KEY_NAMES,
        &Complaint::new(
            "does not belong in this file",
            "move it to the secrets file: [destination.NAME] and below it key = \"…\"",
        ),
    );
    section.refuse(
        &["passphrase"],
        &Complaint::new(
            "does not belong in this file",
            "move it to the secrets file: [destination.NAME] and below it passphrase = \"…\"",
        ),
    );
    match url {
        Ok(Url::Srt(address)) => read_srt(section, context, name, rendition, Ok(address), enabled, secrets),
        Err(Reported) if is_srt => read_srt(section, context, name, rendition, Err(Reported), enabled, secrets),
        Ok(Url::Rtmp(url)) => {
            section
                .refuse(&srt::KEYS, &Complaint::new("is for srt:// addresses", "remove it, or write srt://host:port"));
            read_rtmp(section, context, name, rendition, Ok(url), enabled, secrets)
        }
        Err(Reported) => {
            section.pass_over(&srt::KEYS);
            read_rtmp(section, context, name, rendition, Err(Reported), enabled, secrets)
        }
    }
}

fn read_rtmp(
    section: &mut Section<'_>,
    context: &Context<'_>,
    name: Result<Name, Reported>,
    rendition: Result<RenditionId, Reported>,
    url: Result<RtmpUrl, Reported>,
    enabled: Result<bool, Reported>,
    secrets: Option<&(Secrets, &str)>,
) -> Result<Destination, Reported> {
    let rendition = rendition.and_then(|id| carried_by_rtmp(section, context, id));
    let takeover = read_takeover(section, url.as_ref().ok());
    let ca_file =
        section.optional("ca_file", |v| path::read(text(v)?, context.base)).and_then(|file| match (&file, &url) {
            (Some(_), Ok(url)) if !url.tls => {
                let complaint = Complaint::new("has no effect on an rtmp:// address", "remove it, or write rtmps://");
                Err(section.complain("ca_file", &complaint))
            }
            _ => Ok(file),
        });
    let via = read_via(section);
    let lowers_bitrate = read_lowers_bitrate(section, context);
    let key = match &name {
        Ok(name) => read_key(section, name.as_str(), enabled, secrets),
        Err(Reported) => Err(Reported),
    };
    let backup_key = match (&name, &takeover) {
        (Ok(name), Ok(takeover)) => read_backup_key(section, name.as_str(), takeover, secrets),
        (Err(Reported), _) | (_, Err(Reported)) => Err(Reported),
    };
    Ok(Destination::Rtmp(DestinationSettings {
        id: OutputId(name?),
        rendition: rendition?,
        url: url?,
        key: key?,
        takeover: takeover?,
        ca_file: ca_file?,
        backup_key: backup_key?,
        via: via?,
        lowers_bitrate: lowers_bitrate?,
        enabled: enabled?,
    }))
}

fn read_srt(
    section: &mut Section<'_>,
    context: &Context<'_>,
    name: Result<Name, Reported>,
    rendition: Result<RenditionId, Reported>,
    address: Result<SrtAddress, Reported>,
    enabled: Result<bool, Reported>,
    secrets: Option<&(Secrets, &str)>,
) -> Result<Destination, Reported> {
    let complaint = Complaint::new("is for rtmp:// addresses", "remove it, or write rtmps://host/app");
    section.refuse(&["takeover", "backup_url", "ca_file", "lowers_bitrate"], &complaint);
    let complaint = Complaint::new("is for rtmp:// addresses", "write paths = [{ interface = \"eth0\" }]");
    section.refuse(&["interface", "interfaces"], &complaint);
    let found = match (&name, secrets) {
        (Ok(name), Some((secrets, _))) => Ok(secrets.destination(name.as_str())),
        (Ok(_), None) => Ok(Found::NOTHING),
        (Err(Reported), _) => Err(Reported),
    };
    let srt = srt::read(section, context, address.clone(), &rendition, found)?;
    Ok(Destination::Srt(SrtDestinationSettings {
        id: OutputId(name?),
        rendition: rendition?,
        address: address?,
        latency: srt.latency,
        stream_id: srt.stream_id,
        encryption: srt.encryption,
        overhead_percent: srt.overhead_percent,
        max_bandwidth: srt.max_bandwidth,
        links: srt.links,
        enabled: enabled?,
    }))
}

/// `rendition`, which must be one of those that the file declares. In a relay's file it is called `programme`.
pub(super) fn read_rendition(section: &mut Section<'_>, context: &Context<'_>) -> Result<RenditionId, Reported> {
    let (names, key) = (context.rendition_names, context.refers_by);
    let example = names.iter().next().unwrap_or("main");
    let id = section.required(key, &format!("{key} = \"{example}\""), name::read)?;
    if names.contains(id.as_str()) || !names.complete {
        return Ok(RenditionId(id));
    }
    let remedy = match nearest(id.as_str(), names.iter()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("choose from {}", names.iter().map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ")),
    };
    Err(section.complain(key, &Complaint::new(format!("\"{id}\" does not exist"), remedy)))
}

/// Plain RTMP has no code for Opus; servers that know Enhanced RTMP's are those that take HEVC or AV1 as well.
fn carried_by_rtmp(section: &mut Section<'_>, context: &Context<'_>, id: RenditionId) -> Result<RenditionId, Reported> {
    match context.renditions.iter().find(|r| r.id == id) {
        Some(r) if r.codec == Codec::H264 && r.audio.codec == Codec::Opus => {
            let problem = format!("\"{id}\" has H.264 with Opus, which plain RTMP cannot carry");
            let remedy = "give that rendition AAC, or HEVC or AV1, or use it for recordings only";
            Err(section.complain("rendition", &Complaint::new(problem, remedy)))
        }
        _ => Ok(id),
    }
}

fn read_takeover(section: &mut Section<'_>, url: Option<&RtmpUrl>) -> Result<Takeover, Reported> {
    let strategy = section.or("takeover", Strategy::RetryUntilFree, |v| choice(v, &STRATEGIES, &[]));
    let Ok(strategy) = strategy else {
        section.pass_over(&["backup_url"]);
        return Err(Reported);
    };
    let backup = section.optional("backup_url", |v| url::read(text(v)?))?;
    match (strategy, backup) {
        (Strategy::BackupUrl, Some(backup)) if Some(&backup) == url => {
            let complaint =
                Complaint::new("is the same as url", "write the service's backup address, or choose another takeover");
            Err(section.complain("backup_url", &complaint))
        }
        (Strategy::BackupUrl, Some(backup)) => Ok(Takeover::BackupUrl(backup)),
        (Strategy::BackupUrl, None) => Err(section.lacks(
            Absent::Other,
            &Complaint::new(
                "has takeover \"backup-url\" but no backup_url",
                "add backup_url = \"rtmps://…\", or choose another takeover",
            ),
        )),
        (_, Some(_)) => {
            let complaint =
                Complaint::new("is not used by this takeover", "add takeover = \"backup-url\", or remove it");
            Err(section.complain("backup_url", &complaint))
        }
        (Strategy::PriorityQuery, None) => Ok(Takeover::PriorityQuery),
        (Strategy::ServerOverrides, None) => Ok(Takeover::ServerOverrides),
        (Strategy::RetryUntilFree, None) => Ok(Takeover::RetryUntilFree),
    }
}

/// A relay has no encoder that could be told.
fn read_lowers_bitrate(section: &mut Section<'_>, context: &Context<'_>) -> Result<bool, Reported> {
    if context.refers_by != "rendition" {
        section.refuse(&["lowers_bitrate"], &Complaint::new("is for a box, which encodes", "remove it"));
        return Ok(false);
    }
    section.or("lowers_bitrate", true, boolean)
}

/// `interface = "eth0"` pins, `interfaces = ["eth0", "wwan0"]` fails over.
fn read_via(section: &mut Section<'_>) -> Result<Via, Reported> {
    let one = section.optional("interface", srt::interface);
    let all = section.optional("interfaces", interfaces);
    match (one?, all?) {
        (None, None) => Ok(Via::Routing),
        (Some(interface), None) => Ok(Via::Pinned(interface)),
        (None, Some(mut interfaces)) if interfaces.len() == 1 => Ok(interfaces.pop().map_or(Via::Routing, Via::Pinned)),
        (None, Some(interfaces)) => Ok(Via::Failover(interfaces)),
        (Some(_), Some(_)) => {
            let complaint = Complaint::new("says the same as interfaces, or something else", "keep one of the two");
            Err(section.complain("interface", &complaint))
        }
    }
}

fn interfaces(value: &DeValue<'_>) -> Result<Vec<InterfaceName>, Complaint> {
    let remedy = "write interfaces = [\"eth0\", \"wwan0\"], the first choice first";
    let DeValue::Array(array) = value else {
        return Err(Complaint::new(format!("is {}, not a list", type_in_words(value)), remedy));
    };
    let mut all = Vec::new();
    for value in array.iter() {
        let interface = srt::interface(value.get_ref())?;
        if all.contains(&interface) {
            return Err(Complaint::new(format!("names \"{interface}\" twice"), remedy));
        }
        all.push(interface);
    }
    match all.len() {
        0 => Err(Complaint::new("is empty", remedy)),
        1..=Via::MOST => Ok(all),
        many => Err(Complaint::new(format!("has {many} interfaces"), format!("keep at most {}", Via::MOST))),
    }
}

/// The key of the backup address, where it has one of its own.
fn read_backup_key(
    section: &mut Section<'_>,
    name: &str,
    takeover: &Takeover,
    secrets: Option<&(Secrets, &str)>,
) -> Result<Option<Secret>, Reported> {
    let found = secrets.map_or(Found::NOTHING, |(secrets, _)| secrets.destination(name));
    match (found.backup_key, takeover) {
        (Key::Absent, _) => Ok(None),
        (Key::Wrong, _) => Err(Reported),
        (Key::Given(key), Takeover::BackupUrl(_)) => Ok(Some(key)),
        (Key::Given(_), Takeover::PriorityQuery | Takeover::ServerOverrides | Takeover::RetryUntilFree) => {
            let complaint = Complaint::new(
                "has a backup_key in the secrets file and no backup_url here",
                "remove it there, or add takeover = \"backup-url\" and backup_url = \"rtmps://…\" here",
            );
            Err(section.lacks(Absent::Other, &complaint))
        }
    }
}

/// The stream key from the secrets file; a disabled destination may do without.
fn read_key(
    section: &mut Section<'_>,
    name: &str,
    enabled: Result<bool, Reported>,
    secrets: Option<&(Secrets, &str)>,
) -> Result<Secret, Reported> {
    let found = secrets.map_or(Found::NOTHING, |(secrets, _)| secrets.destination(name));
    if let Key::Given(_) = found.passphrase {
        let complaint = Complaint::new(
            "has a passphrase in the secrets file, which RTMP does not use",
            "remove it there, or write srt://host:port here",
        );
        return Err(section.lacks(Absent::Other, &complaint));
    }
    match (found.key, secrets) {
        (Key::Given(key), _) => Ok(key),
        (Key::Wrong, _) => Err(Reported),
        (Key::Absent, _) if !enabled? => Ok(Secret::default()),
        (Key::Absent, Some((_, file))) => Err(section.lacks(
            Absent::Other,
            &Complaint::new(
                "has no stream key",
                format!("add [destination.{name}] and below it key = \"…\" to {file}, or write enabled = false"),
            ),
        )),
        (Key::Absent, None) => Err(section.lacks(
            Absent::Other,
            &Complaint::new(
                "has no stream key, since there is no secrets file",
                format!("write one with [destination.{name}] and below it key = \"…\", or write enabled = false"),
            ),
        )),
    }
}

/// Two sessions with one key throw each other out.
fn alone(
    section: &mut Section<'_>,
    destination: Destination,
    seen: &mut BTreeMap<Place, OutputId>,
) -> Result<Destination, Reported> {
    let (id, enabled, place, what) = match &destination {
        Destination::Rtmp(d) => (&d.id, d.enabled, (d.url.to_string(), d.key.reveal().to_owned()), "stream key"),
        Destination::Srt(d) => {
            let asked = d.stream_id.as_ref().map_or("", |id| id.reveal());
            (&d.id, d.enabled, (d.address.to_string(), asked.to_owned()), "stream id")
        }
    };
    if !enabled {
        return Ok(destination);
    }
    match seen.insert(place, id.clone()) {
        None => Ok(destination),
        Some(other) => {
            let problem = format!("and {what} are those of destination \"{other}\"; they would throw each other off");
            Err(section.complain("url", &Complaint::new(problem, "remove one or write enabled = false")))
        }
    }
}
