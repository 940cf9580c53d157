//! `[[input]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::name::Names;
use super::report::{Absent, Complaint, Report, Reported, nearest, quote};
use super::section::{Section, boolean, choice, text};
use super::settings::{AudioSource, InputSettings, Source};
use super::{path, selection, watch};
use crate::model::{InputId, InputRules, SoundExpected, TruthSettings};

const MOST: usize = 16;

#[derive(Clone, Copy)]
enum Kind {
    V4l2,
    File,
    Pattern,
}

const KINDS: [(&str, Kind); 3] = [("v4l2", Kind::V4l2), ("file", Kind::File), ("pattern", Kind::Pattern)];
const ALIASES: [(&str, &str); 6] =
    [("v4l", "v4l2"), ("hdmi", "v4l2"), ("capture", "v4l2"), ("video", "file"), ("movie", "file"), ("test", "pattern")];

/// The sources in order of preference, at least one, and the rules of each.
pub(super) fn read_all(
    root: &mut Section<'_>,
    base: &Path,
    report: &mut Report<'_>,
) -> Result<(Vec<InputSettings>, BTreeMap<InputId, InputRules>), Reported> {
    let sections = root.tables("input");
    if sections.is_empty() && !root.has("input") {
        return Err(root.lacks(
            Absent::Key("input"),
            &Complaint::new("has no [[input]]", "add one; kind = \"pattern\" works without a camera"),
        ));
    }
    if sections.len() > MOST {
        let problem = format!("has {} inputs", sections.len());
        return Err(root.complain("input", &Complaint::new(problem, format!("keep at most {MOST}"))));
    }
    let mut names = Names::new();
    let mut devices = BTreeSet::new();
    let mut inputs = Vec::new();
    for mut section in sections {
        let input = read(&mut section, base, &mut names, &mut devices);
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
    names: &mut Names,
    devices: &mut BTreeSet<PathBuf>,
) -> Result<(InputSettings, InputRules), Reported> {
    let name = names.take(section, "input", "camera").and_then(|name| match name.as_str() {
        "slate" => {
            Err(section.complain("name", &Complaint::new("\"slate\" means the stand-in picture", "choose another")))
        }
        "auto" => {
            Err(section.complain("name", &Complaint::new("\"auto\" means no input of its own", "choose another")))
        }
        _ => Ok(name),
    });
    let kind = section.required("kind", "kind = \"v4l2\", \"file\" or \"pattern\"", |v| choice(v, &KINDS, &ALIASES));
    let (source, truth) = match kind {
        Ok(Kind::V4l2) => {
            let source = read_v4l2(section, devices);
            let sound = source.as_ref().map_or(SoundExpected::OnceHeard, sound_of);
            (source, watch::read(section, TruthSettings::CAPTURED, sound))
        }
        Ok(Kind::File) => {
            not_for(section, "file", &["device", "audio", "noise"]);
            let path = section.required("path", "path = \"film.mp4\"", |v| path::read(text(v)?, base));
            let source = path.map(|path| Source::File { path });
            (source, watch::read(section, TruthSettings::DECODED, SoundExpected::OnceHeard))
        }
        Ok(Kind::Pattern) => {
            not_for(section, "pattern", &["device", "audio", "path"]);
            watch::refuse(section, &meaningless("pattern"));
            (section.or("noise", false, boolean).map(|noise| Source::Pattern { noise }), Ok(TruthSettings::DECODED))
        }
        Err(Reported) => {
            section.pass_over(&["device", "audio", "path", "noise"]);
            watch::pass_over(section);
            (Err(Reported), Err(Reported))
        }
    };
    let rules = selection::read_rules(section);
    Ok((InputSettings { id: InputId(name?), source: source?, truth: truth? }, rules?))
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
    not_for(section, "v4l2", &["path", "noise"]);
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

fn not_for(section: &mut Section<'_>, kind: &str, keys: &[&'static str]) {
    section.refuse(keys, &meaningless(kind));
}

fn meaningless(kind: &str) -> Complaint {
    Complaint::new(format!("means nothing for kind \"{kind}\""), "remove it, or change the kind")
}
