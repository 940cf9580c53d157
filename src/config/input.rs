//! `[[input]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::name::Names;
use super::ports::Ports;
use super::report::{Absent, Complaint, Report, Reported, nearest, quote};
use super::secrets::{Found, Secrets};
use super::section::{Section, boolean, choice, text};
use super::sender::{By, Kept};
use super::settings::{AudioSource, InputSettings, Source};
use super::{path, selection, sender, watch};
use crate::model::{InputId, InputRules, Name, SoundExpected, TruthSettings};

const MOST: usize = 16;

#[derive(Clone, Copy)]
enum Kind {
    V4l2,
    Network(By),
    File,
    Pattern,
}

const KINDS: [(&str, Kind); 6] = [
    ("v4l2", Kind::V4l2),
    ("srt", Kind::Network(By::Srt)),
    ("rtmp", Kind::Network(By::Rtmp)),
    ("rtsp", Kind::Network(By::Rtsp)),
    ("file", Kind::File),
    ("pattern", Kind::Pattern),
];
const ALIASES: [(&str, &str); 13] = [
    ("v4l", "v4l2"),
    ("hdmi", "v4l2"),
    ("capture", "v4l2"),
    ("video", "file"),
    ("movie", "file"),
    ("test", "pattern"),
    ("rtmp-server", "rtmp"),
    ("rtmp-publisher", "rtmp"),
    ("srt-listener", "srt"),
    ("srt-caller", "srt"),
    ("ip-camera", "rtsp"),
    ("ipcam", "rtsp"),
    ("onvif", "rtsp"),
];
/// What people have heard of, and the box does not speak.
const UNSUPPORTED: [&str; 10] = ["rist", "ndi", "whip", "webrtc", "hls", "udp", "rtp", "rtmps", "rtsps", "srtla"];

impl Kind {
    /// The keys that such an input has beside those of every input.
    const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::V4l2 => &["device", "audio"],
            Self::Network(by) => by.keys(),
            Self::File => &["path"],
            Self::Pattern => &["noise"],
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::V4l2 => "v4l2",
            Self::Network(By::Srt) => "srt",
            Self::Network(By::Rtmp) => "rtmp",
            Self::Network(By::Rtsp) => "rtsp",
            Self::File => "file",
            Self::Pattern => "pattern",
        }
    }
}

/// The keys that are some kind's, each once.
fn keys_of_kinds() -> BTreeSet<&'static str> {
    KINDS.iter().flat_map(|(_, kind)| kind.keys()).copied().collect()
}

/// What the inputs before this one have.
struct Taken<'n> {
    names: &'n mut Names,
    devices: BTreeSet<PathBuf>,
    ports: Ports,
}

/// The sources in order of preference, at least one, and the rules of each; `names` become theirs.
pub(super) fn read_all(
    root: &mut Section<'_>,
    base: &Path,
    secrets: Option<&(Secrets, &str)>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Result<(Vec<InputSettings>, BTreeMap<InputId, InputRules>), Reported> {
    let sections = root.tables("input");
    if sections.is_empty() {
        names.complete = false;
    }
    if sections.is_empty() && !root.has("input") {
        return Err(root.lacks(
            Absent::Key("input"),
            &Complaint::new("has no [[input]]", "add one; kind = \"pattern\" works without a camera"),
        ));
    }
    if sections.len() > MOST {
        names.complete = false;
        let problem = format!("has {} inputs", sections.len());
        return Err(root.complain("input", &Complaint::new(problem, format!("keep at most {MOST}"))));
    }
    let mut taken = Taken { names, devices: BTreeSet::new(), ports: Ports::default() };
    let mut inputs = Vec::new();
    for mut section in sections {
        let input = read(&mut section, base, secrets, &mut taken);
        section.finish(report);
        inputs.push(input);
    }
    let inputs: Vec<(InputSettings, InputRules)> = inputs.into_iter().collect::<Result<_, _>>()?;
    let rules = inputs.iter().map(|(input, rules)| (input.id.clone(), *rules)).collect();
    Ok((inputs.into_iter().map(|(input, _)| input).collect(), rules))
}

fn read(
    section: &mut Section<'_>,
    base: &Path,
    secrets: Option<&(Secrets, &str)>,
    taken: &mut Taken<'_>,
) -> Result<(InputSettings, InputRules), Reported> {
    let name = taken.names.take(section, "input", "camera").and_then(|name| match name.as_str() {
        "slate" => {
            Err(section.complain("name", &Complaint::new("\"slate\" means the stand-in picture", "choose another")))
        }
        "still" => {
            Err(section.complain("name", &Complaint::new("\"still\" means a picture that is held", "choose another")))
        }
        "auto" => {
            Err(section.complain("name", &Complaint::new("\"auto\" means no input of its own", "choose another")))
        }
        _ => Ok(name),
    });
    let kept = kept(&name, secrets);
    let example = "kind = \"v4l2\", \"srt\", \"rtmp\", \"rtsp\", \"file\" or \"pattern\"";
    let (source, truth) = match section.required("kind", example, read_kind) {
        Ok(kind) => {
            refuse_others(section, kind);
            read_source(section, kind, base, &kept, taken)
        }
        Err(Reported) => {
            for key in keys_of_kinds() {
                section.pass_over(&[key]);
            }
            let remedy = "move it to the secrets file, below [input.NAME]";
            section.refuse(&sender::SECRET_NAMES, &Complaint::new("does not belong in this file", remedy));
            watch::pass_over(section);
            (Err(Reported), Err(Reported))
        }
    };
    let rules = selection::read_rules(section);
    Ok((InputSettings { id: InputId(name?), source: source?, truth: truth? }, rules?))
}

fn read_kind(value: &DeValue<'_>) -> Result<Kind, Complaint> {
    let written = text(value)?;
    if UNSUPPORTED.iter().any(|word| word.eq_ignore_ascii_case(written)) {
        let remedy = "send it over SRT or RTMP, or take the camera's RTSP: kind = \"srt\", \"rtmp\" or \"rtsp\"";
        return Err(Complaint::new(format!("is {}, which is not supported", quote(written)), remedy));
    }
    choice(value, &KINDS, &ALIASES)
}

/// What an input is, and when something is wrong with it.
fn read_source(
    section: &mut Section<'_>,
    kind: Kind,
    base: &Path,
    kept: &Kept<'_>,
    taken: &mut Taken<'_>,
) -> (Result<Source, Reported>, Result<TruthSettings, Reported>) {
    let none_kept = match kind {
        Kind::Network(_) => Ok(()),
        Kind::V4l2 | Kind::File | Kind::Pattern => kept.refuse_others(section, kind.word(), &[]),
    };
    let (source, truth) = match kind {
        Kind::Network(by) => {
            let source = sender::read(section, by, kept, &mut taken.ports).map(Source::Network);
            (source, watch::read(section, TruthSettings::DECODED, SoundExpected::OnceHeard))
        }
        Kind::V4l2 => {
            let source = read_v4l2(section, &mut taken.devices);
            let sound = source.as_ref().map_or(SoundExpected::OnceHeard, sound_of);
            (source, watch::read(section, TruthSettings::CAPTURED, sound))
        }
        Kind::File => {
            let path = section.required("path", "path = \"film.mp4\"", |v| path::read(text(v)?, base));
            let source = path.map(|path| Source::File { path });
            (source, watch::read(section, TruthSettings::DECODED, SoundExpected::OnceHeard))
        }
        Kind::Pattern => {
            watch::refuse(section, &meaningless("pattern"));
            (section.or("noise", false, boolean).map(|noise| Source::Pattern { noise }), Ok(TruthSettings::DECODED))
        }
    };
    (none_kept.and(source), truth)
}

/// What the secrets file has of the input called `name`.
fn kept<'s>(name: &'s Result<Name, Reported>, secrets: Option<&'s (Secrets, &str)>) -> Kept<'s> {
    let found = match (name, secrets) {
        (Ok(name), Some((secrets, _))) => secrets.input(name.as_str()),
        (Ok(_), None) => Found::NOTHING,
        (Err(Reported), _) => Found::WRONG,
    };
    Kept { name: name.as_ref().map_or("NAME", Name::as_str), found, file: secrets.map(|(_, file)| *file) }
}

/// Whoever names a sound card means it to be there; a device without one of its own is silent.
fn sound_of(source: &Source) -> SoundExpected {
    match source {
        Source::V4l2 { audio: AudioSource::None, .. } => SoundExpected::Never,
        Source::V4l2 { audio: AudioSource::Alsa(_), .. } => SoundExpected::Always,
        Source::V4l2 { audio: AudioSource::Paired, .. }
        | Source::File { .. }
        | Source::Pattern { .. }
        | Source::Network(_) => SoundExpected::OnceHeard,
    }
}

fn read_v4l2(section: &mut Section<'_>, devices: &mut BTreeSet<PathBuf>) -> Result<Source, Reported> {
    let device = section
        .required("device", "device = \"/dev/video0\", or better its name under /dev/v4l/by-path", |v| {
            path::read_absolute(text(v)?, "\"/dev/video0\", or better its name under /dev/v4l/by-path")
        })
        .and_then(|device| {
            if devices.insert(device.clone()) {
                return Ok(device);
            }
            let complaint = Complaint::new("is in use by another input", "give each input its own device");
            Err(section.complain("device", &complaint))
        });
    let audio = section.or("audio", AudioSource::Paired, read_audio);
    Ok(Source::V4l2 { device: device?, audio: audio? })
}

fn read_audio(value: &DeValue<'_>) -> Result<AudioSource, Complaint> {
    let written = text(value)?;
    match written {
        "paired" => Ok(AudioSource::Paired),
        "none" => Ok(AudioSource::None),
        "default" => Ok(AudioSource::Alsa(written.to_owned())),
        _ if written.contains(':') && written.len() <= 128 && written.chars().all(|c| c.is_ascii_graphic()) => {
            Ok(AudioSource::Alsa(written.to_owned()))
        }
        _ => {
            let remedy = match nearest(written, ["paired", "none"]) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "choose \"paired\", \"none\" or an ALSA device such as \"hw:2,0\"".to_owned(),
            };
            Err(Complaint::new(format!("is {}, not a source of sound", quote(written)), remedy))
        }
    }
}

/// Refuses what other kinds have.
fn refuse_others(section: &mut Section<'_>, kind: Kind) {
    for key in keys_of_kinds().into_iter().filter(|key| !kind.keys().contains(key)) {
        let complaint = match (kind, key) {
            (Kind::Network(By::Rtmp), "url") => {
                Complaint::new("is for kinds that call", "write listen = \"[::]:1935\": a publisher calls this box")
            }
            (Kind::Network(By::Rtsp), "listen") => Complaint::new(
                "is for kinds that are called",
                "write url = \"rtsp://camera/stream\": this box calls the camera",
            ),
            _ => meaningless(kind.word()),
        };
        section.refuse(&[key], &complaint);
    }
}

fn meaningless(kind: &str) -> Complaint {
    Complaint::new(format!("means nothing for kind \"{kind}\""), "remove it, or change the kind")
}
