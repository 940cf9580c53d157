//! The keys of a `[[destination]]` whose address begins with `srt://`, some of which SRT inputs have too.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::destination::Context;
use super::quantity::whole;
use super::report::{Absent, Complaint, Reported, quote};
use super::secrets::{Found, Key};
use super::section::{Section, choice, text};
use super::settings::{RenditionSettings, Secret};
use super::srt_settings::{Encryption, InterfaceName, KeyLength, Links, SrtAddress, SrtPath};
use super::{bitrate, duration, url};
use crate::model::RenditionId;

/// The keys that only SRT has.
pub(super) const KEYS: [&str; 8] =
    ["latency", "stream_id", "mode", "key_length", "overhead", "max_bandwidth", "bonding", "paths"];

/// SRT carries the latency in 16 bits of milliseconds; beyond half a minute nobody calls it live.
pub(super) const LATENCY: RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_secs(30);
const USUAL_LATENCY: Duration = Duration::from_millis(500);
const OVERHEAD: RangeInclusive<u32> = 5..=100;
const USUAL_OVERHEAD: u32 = 25;
const BANDWIDTH: RangeInclusive<u32> = 100_000..=1_000_000_000;
const WEIGHT: RangeInclusive<u32> = 0..=32_767;
const LONGEST_STREAM_ID: usize = 512;
const MOST_PATHS: usize = 8;

#[derive(Clone, Copy, PartialEq)]
enum Bonding {
    None,
    Broadcast,
    Backup,
}

const BONDINGS: [(&str, Bonding); 3] =
    [("none", Bonding::None), ("broadcast", Bonding::Broadcast), ("backup", Bonding::Backup)];
const BONDING_ALIASES: [(&str, &str); 5] = [
    ("main/backup", "backup"),
    ("main-backup", "backup"),
    ("failover", "backup"),
    ("redundant", "broadcast"),
    ("single", "none"),
];

/// What stands in the section beside name, rendition, url and enabled.
pub(super) struct Srt {
    pub(super) latency: Duration,
    pub(super) stream_id: Option<Secret>,
    pub(super) encryption: Option<Encryption>,
    pub(super) overhead_percent: u8,
    pub(super) max_bandwidth: Option<u32>,
    pub(super) links: Links,
}

/// Reads all of them. `address` is the destination's own; where it is wrong, paths without one are too.
pub(super) fn read(
    section: &mut Section<'_>,
    context: &Context<'_>,
    address: Result<SrtAddress, Reported>,
    rendition: &Result<RenditionId, Reported>,
    found: Result<Found, Reported>,
) -> Result<Srt, Reported> {
    let caller = section.or("mode", (), mode);
    let latency = read_latency(section, USUAL_LATENCY);
    let written_id = section.optional("stream_id", stream_id);
    let key_length = section.optional("key_length", key_length);
    let overhead = section.or("overhead", USUAL_OVERHEAD, |v| whole(v, &OVERHEAD, "percent"));
    let max_bandwidth = section.optional("max_bandwidth", |v| bitrate::read(v, &BANDWIDTH));
    let max_bandwidth = match (max_bandwidth, rendition) {
        (Ok(Some(most)), Ok(id)) => enough(section, most, context.renditions.iter().find(|r| &r.id == id)),
        (most, _) => most,
    };
    let links = read_links(section, address);
    let (id, encryption) = match found {
        Ok(found) => {
            let encryption = combine_encryption(section, "destination", key_length, found.passphrase);
            (combine_id(section, written_id, found.key), encryption)
        }
        Err(Reported) => (Err(Reported), Err(Reported)),
    };
    caller?;
    Ok(Srt {
        latency: latency?,
        stream_id: id?,
        encryption: encryption?,
        overhead_percent: u8::try_from(overhead?).map_err(|_| Reported)?,
        max_bandwidth: max_bandwidth?,
        links: links?,
    })
}

/// `latency`, or the usual one.
pub(super) fn read_latency(section: &mut Section<'_>, usual: Duration) -> Result<Duration, Reported> {
    let latency = section.or("latency", usual, |v| duration::read(v, &LATENCY))?;
    Ok(Duration::from_millis(u64::try_from(latency.as_millis()).unwrap_or(u64::MAX)))
}

/// What is asked of the far end, or what a caller has to ask for.
pub(super) fn stream_id(value: &DeValue<'_>) -> Result<Secret, Complaint> {
    let id = text(value)?;
    if id.is_empty() {
        return Err(Complaint::new("is empty", "leave the line out if the far end wants none"));
    }
    if id.len() > LONGEST_STREAM_ID {
        return Err(Complaint::new(
            format!("is longer than {LONGEST_STREAM_ID} bytes"),
            "shorten it; SRT carries no more",
        ));
    }
    if id.chars().any(char::is_control) {
        return Err(Complaint::new("contains a control character", "write it on one line"));
    }
    Ok(Secret::new(id))
}

/// A passphrase, in the secrets file.
pub(super) fn passphrase(value: &DeValue<'_>) -> Result<Secret, Complaint> {
    let passphrase = text(value)?;
    match passphrase.len() {
        10..=79 if !passphrase.chars().any(char::is_control) => Ok(Secret::new(passphrase)),
        10..=79 => Err(Complaint::new("contains a control character", "write it on one line")),
        0..10 => Err(Complaint::new("is too short for SRT", "write 10 to 79 characters")),
        _ => Err(Complaint::new("is too long for SRT", "write 10 to 79 characters")),
    }
}

fn mode(value: &DeValue<'_>) -> Result<(), Complaint> {
    match text(value)? {
        "listener" | "rendezvous" => Err(Complaint::new(
            "is not \"caller\", and a destination is always called",
            "remove it; the far end listens, such as holdfast-relay",
        )),
        _ => choice(value, &[("caller", ())], &[]),
    }
}

/// Bits.
pub(super) fn key_length(value: &DeValue<'_>) -> Result<KeyLength, Complaint> {
    match whole(value, &(0..=u32::MAX), "bits")? {
        128 => Ok(KeyLength::Aes128),
        192 => Ok(KeyLength::Aes192),
        256 => Ok(KeyLength::Aes256),
        bytes @ (16 | 24 | 32) => {
            Err(Complaint::new(format!("is {bytes} bits"), format!("did you mean {} (bits, not bytes)?", bytes * 8)))
        }
        other => Err(Complaint::new(format!("is {other}, which AES does not have"), "choose from 128, 192, 256")),
    }
}

/// A key in the secrets file is the stream id as well: many services take it so.
pub(super) fn combine_id(
    section: &mut Section<'_>,
    written: Result<Option<Secret>, Reported>,
    key: Key,
) -> Result<Option<Secret>, Reported> {
    match (written?, key) {
        (_, Key::Wrong) => Err(Reported),
        (written, Key::Absent) => Ok(written),
        (None, Key::Given(key)) => Ok(Some(key)),
        (Some(_), Key::Given(_)) => {
            let complaint =
                Complaint::new("stands beside a key in the secrets file", "keep one: the key is the stream id");
            Err(section.complain("stream_id", &complaint))
        }
    }
}

/// `owner` is what the passphrase is to stand below.
pub(super) fn combine_encryption(
    section: &mut Section<'_>,
    owner: &str,
    key_length: Result<Option<KeyLength>, Reported>,
    passphrase: Key,
) -> Result<Option<Encryption>, Reported> {
    match (key_length?, passphrase) {
        (_, Key::Wrong) => Err(Reported),
        (length, Key::Given(passphrase)) => {
            Ok(Some(Encryption { passphrase, key_length: length.unwrap_or(KeyLength::Aes128) }))
        }
        (None, Key::Absent) => Ok(None),
        (Some(_), Key::Absent) => {
            let complaint = Complaint::new(
                "has no effect without a passphrase",
                format!("write passphrase = \"…\" below the {owner} in the secrets file, or remove it"),
            );
            Err(section.complain("key_length", &complaint))
        }
    }
}

/// A path that may carry less than the programme would lose all of it.
fn enough(
    section: &mut Section<'_>,
    most: u32,
    rendition: Option<&RenditionSettings>,
) -> Result<Option<u32>, Reported> {
    let Some(rendition) = rendition else { return Ok(Some(most)) };
    // Transport stream and SRT headers come to some 5 %; repetitions need room too.
    let media = u64::from(rendition.bitrate) + u64::from(rendition.audio.bitrate);
    let least = media * 11 / 10;
    if u64::from(most) >= least {
        return Ok(Some(most));
    }
    let problem = format!("is less than \"{}\" needs with its sound", rendition.id);
    let remedy = format!("write at least \"{}k\", or leave it out", least.div_ceil(1000));
    Err(section.complain("max_bandwidth", &Complaint::new(problem, remedy)))
}

fn read_links(section: &mut Section<'_>, address: Result<SrtAddress, Reported>) -> Result<Links, Reported> {
    let bonding = section.optional("bonding", |v| choice(v, &BONDINGS, &BONDING_ALIASES));
    let paths = read_paths(section, &address)?;
    let problem = |problem: String, remedy: &str| Complaint::new(problem, remedy);
    match (bonding?, paths.len()) {
        (None | Some(Bonding::None), 0) => {
            Ok(Links::Single(SrtPath { interface: None, source: None, address: address?, weight: 0 }))
        }
        (None | Some(Bonding::None), 1) => paths.into_iter().next().map(Links::Single).ok_or(Reported),
        (None, n) => Err(section.lacks(
            Absent::Key("bonding"),
            &problem(
                format!("has {n} paths but no bonding"),
                "add bonding = \"broadcast\" (each packet over all) or bonding = \"backup\" (the best that works)",
            ),
        )),
        (Some(Bonding::None), n) => Err(section.complain(
            "bonding",
            &problem(format!("is \"none\" beside {n} paths"), "write \"broadcast\" or \"backup\", or keep one path"),
        )),
        (Some(Bonding::Broadcast | Bonding::Backup), 0 | 1) => Err(section.complain(
            "bonding",
            &problem(
                "needs at least two paths".into(),
                "add paths = [{ interface = \"eth0\" }, { interface = \"wwan0\" }]",
            ),
        )),
        (_, n) if n > MOST_PATHS => {
            Err(section.complain("paths", &problem(format!("has {n} paths"), &format!("keep at most {MOST_PATHS}"))))
        }
        (Some(Bonding::Broadcast), _) => Ok(Links::Broadcast(paths)),
        (Some(Bonding::Backup), _) => by_weight(section, paths).map(Links::Backup),
    }
}

fn read_paths(section: &mut Section<'_>, address: &Result<SrtAddress, Reported>) -> Result<Vec<SrtPath>, Reported> {
    const SHAPE: &str = "write a list of tables: paths = [{ interface = \"eth0\" }, { interface = \"wwan0\" }]";
    let tables = section.list("paths", SHAPE)?;
    let most = u16::try_from(tables.len()).unwrap_or(u16::MAX);
    let mut paths: Vec<Result<(SrtPath, bool), Reported>> = Vec::new();
    for (n, mut table) in (0..most).zip(tables) {
        table.call(format!("{}, path {}", section.place(), n + 1));
        // Without weights the order says which is better.
        let path = read_path(&mut table, address, most - n);
        if let Ok((path, _)) = &path
            && let Some(twin) = paths.iter().position(|p| p.as_ref().is_ok_and(|(p, _)| same_way(p, path)))
        {
            let complaint = Complaint::new(
                format!("is the same as path {}", twin + 1),
                "give it another interface, source or address, or remove it",
            );
            paths.push(Err(table.lacks(Absent::Other, &complaint)));
        } else {
            paths.push(path);
        }
        section.absorb(table);
    }
    let paths = paths.into_iter().collect::<Result<Vec<_>, _>>()?;
    let weighed = paths.iter().filter(|(_, weighed)| *weighed).count();
    if weighed != 0 && weighed != paths.len() {
        let complaint = Complaint::new(
            format!("gives {weighed} of {} paths a weight", paths.len()),
            "give each its weight, or none: then the first is the best",
        );
        return Err(section.complain("paths", &complaint));
    }
    Ok(paths.into_iter().map(|(path, _)| path).collect())
}

/// A path, and whether its weight is written.
fn read_path(
    table: &mut Section<'_>,
    address: &Result<SrtAddress, Reported>,
    otherwise: u16,
) -> Result<(SrtPath, bool), Reported> {
    let interface = table.optional("interface", interface);
    let source = table.optional("source", source);
    let own = table.optional("address", |v| url::read_host_and_port(text(v)?));
    let weight = table.optional("weight", |v| whole(v, &WEIGHT, "the larger the better"));
    let address = match own {
        Ok(Some(own)) => Ok(own),
        Ok(None) => address.clone(),
        Err(Reported) => Err(Reported),
    };
    let (interface, source, address, weight) = (interface?, source?, address?, weight?);
    if let (Some(source), Ok(far)) = (source, address.host.parse::<IpAddr>())
        && source.is_ipv4() != far.is_ipv4()
    {
        let family = if far.is_ipv4() { "IPv4" } else { "IPv6" };
        let complaint =
            Complaint::new("is of another kind than the far end's address", format!("write an {family} address"));
        return Err(table.complain("source", &complaint));
    }
    let weighed = weight.is_some();
    let weight = weight.and_then(|w| u16::try_from(w).ok()).unwrap_or(otherwise);
    Ok((SrtPath { interface, source, address, weight }, weighed))
}

fn same_way(one: &SrtPath, other: &SrtPath) -> bool {
    (&one.interface, one.source, &one.address) == (&other.interface, other.source, &other.address)
}

pub(super) fn interface(value: &DeValue<'_>) -> Result<InterfaceName, Complaint> {
    let written = text(value)?;
    InterfaceName::new(written).ok_or_else(|| {
        let problem = format!("is {}, which no interface is called", quote(written));
        Complaint::new(problem, "write it as `ip link` lists it, such as \"eth0\"")
    })
}

fn source(value: &DeValue<'_>) -> Result<IpAddr, Complaint> {
    let written = text(value)?;
    match written.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => {
            Err(Complaint::new(format!("is {}, which is no particular address", quote(written)), "leave it out"))
        }
        Ok(ip) => Ok(ip),
        Err(_) => Err(Complaint::new(
            format!("is {}, not an IP address", quote(written)),
            "write one of the interface's own addresses, such as \"192.0.2.7\", or leave it out",
        )),
    }
}

/// Best first. Two of one weight would leave it to chance which is the main one.
fn by_weight(section: &mut Section<'_>, mut paths: Vec<SrtPath>) -> Result<Vec<SrtPath>, Reported> {
    paths.sort_by_key(|path| std::cmp::Reverse(path.weight));
    match paths.windows(2).find(|pair| matches!(pair, [one, other] if one.weight == other.weight)) {
        Some([one, ..]) => {
            let problem = format!("has two paths of weight {}", one.weight);
            let remedy = "give each another weight: the largest is the main one";
            Err(section.complain("paths", &Complaint::new(problem, remedy)))
        }
        _ => Ok(paths),
    }
}
