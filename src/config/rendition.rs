//! `[[rendition]]`.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::name::{self, Names};
use super::report::{Absent, Complaint, Report, Reported};
use super::section::{Section, choice};
use super::settings::{AudioSettings, EncoderChoice, RenditionSettings};
use super::{bitrate, duration, size};
use crate::model::{Codec, Name, RenditionId};

const MOST: usize = 16;
const VIDEO_BITRATE: RangeInclusive<u32> = 50_000..=100_000_000;
const AUDIO_BITRATE: RangeInclusive<u32> = 32_000..=512_000;
/// Opus allows no more (RFC 6716 §2.1.1).
const OPUS_BITRATE: RangeInclusive<u32> = 32_000..=510_000;
const KEYFRAME_INTERVAL: RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(10);

const VIDEO: [(&str, Codec); 3] = [("h264", Codec::H264), ("hevc", Codec::Hevc), ("av1", Codec::Av1)];
const VIDEO_ALIASES: [(&str, &str); 9] = [
    ("h265", "hevc"),
    ("h.265", "hevc"),
    ("x265", "hevc"),
    ("avc", "h264"),
    ("h.264", "h264"),
    ("x264", "h264"),
    ("hvc1", "hevc"),
    ("av01", "av1"),
    ("aom", "av1"),
];
const AUDIO: [(&str, Codec); 2] = [("aac", Codec::Aac), ("opus", Codec::Opus)];
const AUDIO_ALIASES: [(&str, &str); 3] = [("aac-lc", "aac"), ("mp4a", "aac"), ("m4a", "aac")];

/// The renditions, at least one, the floors of those whose bit rate may go down, and their names, including those of renditions that are wrong otherwise.
pub(super) fn read_all(
    root: &mut Section<'_>,
    report: &mut Report<'_>,
) -> (Result<Vec<RenditionSettings>, Reported>, BTreeMap<RenditionId, u32>, Names) {
    let (mut names, mut floors) = (Names::new(), BTreeMap::new());
    let sections = root.tables("rendition");
    if sections.is_empty() {
        names.complete = false;
        if !root.has("rendition") {
            root.lacks(
                Absent::Key("rendition"),
                &Complaint::new(
                    "has no [[rendition]]",
                    "add one with name, codec, size and bitrate, so that there is something to send",
                ),
            );
        }
        return (Err(Reported), floors, names);
    }
    if sections.len() > MOST {
        let problem = format!("has {} renditions", sections.len());
        root.complain("rendition", &Complaint::new(problem, format!("keep at most {MOST}")));
        names.complete = false;
        return (Err(Reported), floors, names);
    }
    let mut renditions = Vec::new();
    for mut section in sections {
        let rendition = read(&mut section, &mut names, report).and_then(|rendition| {
            let floor = read_floor(&mut section, rendition.bitrate)?;
            floors.extend(floor.map(|floor| (rendition.id.clone(), floor)));
            Ok(rendition)
        });
        // Where there is no rendition, its floor has nothing to be compared with.
        section.pass_over(&["bitrate_floor"]);
        section.finish(report);
        renditions.push(rendition);
    }
    (renditions.into_iter().collect(), floors, names)
}

fn read(section: &mut Section<'_>, names: &mut Names, report: &mut Report<'_>) -> Result<RenditionSettings, Reported> {
    let name = names.take(section, "rendition", "main").and_then(|name| match is_audio_name(&name) {
        true => {
            let complaint = Complaint::new(format!("\"{name}\" is what the box calls that sound"), "choose another");
            Err(section.complain("name", &complaint))
        }
        false => Ok(name),
    });
    let codec =
        section.required("codec", "codec = \"h264\", \"hevc\" or \"av1\"", |v| choice(v, &VIDEO, &VIDEO_ALIASES));
    let size = section.required("size", "size = \"1280x720\"", size::read);
    let bitrate = section.required("bitrate", "bitrate = \"4M\"", |v| bitrate::read(v, &VIDEO_BITRATE));
    let keyframe_interval =
        section.or("keyframe_interval", Duration::from_secs(2), |v| duration::read(v, &KEYFRAME_INTERVAL));
    let encoder = section.or("encoder", EncoderChoice::Auto, |v| {
        let family = name::read(v)?;
        Ok(if family.as_str() == "auto" { EncoderChoice::Auto } else { EncoderChoice::Family(family) })
    });
    let audio = read_audio(section, codec.unwrap_or(Codec::H264), report);
    let (width, height) = size?;
    Ok(RenditionSettings {
        id: RenditionId(name?),
        codec: codec?,
        width,
        height,
        bitrate: bitrate?,
        keyframe_interval: keyframe_interval?,
        encoder: encoder?,
        audio: audio?,
    })
}

/// How far the bit rate may go down.
fn read_floor(section: &mut Section<'_>, bitrate: u32) -> Result<Option<u32>, Reported> {
    match section.optional("bitrate_floor", |v| bitrate::read(v, &VIDEO_BITRATE))? {
        Some(floor) if floor > bitrate => {
            let complaint =
                Complaint::new("is above bitrate", "write the least that is still worth sending, or remove it");
            Err(section.complain("bitrate_floor", &complaint))
        }
        floor => Ok(floor),
    }
}

/// AAC at 128 kbit/s, Opus at 96 kbit/s; Opus goes with AV1 unless something else is asked for.
fn read_audio(section: &mut Section<'_>, video: Codec, report: &mut Report<'_>) -> Result<AudioSettings, Reported> {
    let usual = if video == Codec::Av1 { Codec::Opus } else { Codec::Aac };
    let example = "write audio = { codec = \"aac\", bitrate = \"128k\" }";
    let Some(mut audio) = section.table("audio", example)? else {
        return Ok(AudioSettings { codec: usual, bitrate: usual_bitrate(usual) });
    };
    audio.call(format!("{} audio", section.place()));
    let codec = audio.or("codec", usual, |v| choice(v, &AUDIO, &AUDIO_ALIASES));
    let range = if codec == Ok(Codec::Opus) { OPUS_BITRATE } else { AUDIO_BITRATE };
    let bitrate = audio.or("bitrate", usual_bitrate(codec.unwrap_or(usual)), |v| {
        let bits = bitrate::read(v, &range)?;
        match bits % 1000 {
            0 => Ok(bits),
            _ => Err(Complaint::new("has a fraction of a kbit/s", format!("write \"{}k\"", bits / 1000))),
        }
    });
    audio.finish(report);
    Ok(AudioSettings { codec: codec?, bitrate: bitrate? })
}

const fn usual_bitrate(codec: Codec) -> u32 {
    if matches!(codec, Codec::Opus) { 96_000 } else { 128_000 }
}

/// Whether this could be [`AudioSettings::rendition`] of some sound.
fn is_audio_name(name: &Name) -> bool {
    let number = name.as_str().strip_prefix("aac-").or_else(|| name.as_str().strip_prefix("opus-"));
    number.and_then(|n| n.strip_suffix('k')).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}
