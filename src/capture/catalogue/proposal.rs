//! What to write into the configuration for a device.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use crate::model::{InputId, Name};

/// Whether a device's path is still its own tomorrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasting {
    /// By the socket that it is plugged into.
    ByPath,
    /// By its maker, product and serial number.
    ById,
    /// Not: the kernel numbers devices as they come.
    Node,
}

impl Lasting {
    /// What that means for who writes it down.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ByPath => "its name for as long as it is plugged in there",
            Self::ById => "its name wherever it is plugged in",
            Self::Node => "its name until devices are found in another order; it has none that stays",
        }
    }
}

/// The sound that belongs to a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Sound {
    /// A card of the same device, which records.
    Paired {
        /// `hw:2,0`.
        alsa: String,
        /// What the kernel calls it.
        title: String,
    },
    /// A card of the same device, which only plays.
    PlaysOnly {
        /// `hw:2,0`.
        alsa: String,
    },
    /// None of the same device.
    Absent {
        /// Others that record, `hw:1,0` and what the kernel calls each.
        others: Vec<(String, String)>,
    },
}

impl Sound {
    /// What there is, in a line.
    pub fn words(&self) -> String {
        match self {
            Self::Paired { alsa, title } => format!("{alsa} ({title}), of the same device"),
            Self::PlaysOnly { alsa } => format!("none: {alsa} of the same device only plays"),
            Self::Absent { others } => format!("none of the same device{}", Self::listed(others)),
        }
    }

    fn listed(others: &[(String, String)]) -> String {
        if others.is_empty() {
            return String::new();
        }
        let named: Vec<String> = others.iter().map(|(alsa, title)| format!("{alsa} ({title})")).collect();
        format!("; these record: {}", named.join(", "))
    }
}

/// A name for an input that no other has: the profile's for such a device, or made of what its driver calls it.
pub fn name_for(known_as: Option<&Name>, card: &str, taken: &BTreeSet<String>) -> String {
    let base = known_as.map_or_else(|| plain(card), |name| name.as_str().to_owned());
    let fits =
        |name: &String| !taken.contains(name) && !RESERVED.contains(&name.as_str()) && InputId::new(name).is_ok();
    let numbered = (2..=taken.len() + 2).map(|n| {
        let ending = format!("-{n}");
        let room = Name::MAX - ending.len();
        format!("{}{ending}", base.get(..room).unwrap_or(&base))
    });
    std::iter::once(base.clone()).chain(numbered).find(fits).unwrap_or_else(|| "camera".to_owned())
}

/// What `holdfast choose` takes for something else.
const RESERVED: [&str; 2] = ["auto", "slate"];

/// What is left of a card's name when it is written as a name: a-z, 0-9, and - for the rest.
fn plain(card: &str) -> String {
    // uvcvideo's cards are called "Product: Product".
    let card = card.split(':').next().unwrap_or_default();
    let mut name = String::new();
    for c in card.chars().map(|c| c.to_ascii_lowercase()) {
        if c.is_ascii_lowercase() || c.is_ascii_digit() {
            name.push(c);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(Name::MAX);
    let name = name.trim_end_matches('-');
    if name.is_empty() { "camera".to_owned() } else { name.to_owned() }
}

/// The section of the configuration for one.
pub fn block(name: &str, device: &str, lasting: Lasting, sound: &Sound) -> String {
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut block = format!("[[input]]\nname = {}\nkind = \"v4l2\"\n", quoted(name));
    let remark = match lasting {
        Lasting::ByPath | Lasting::ById => "",
        Lasting::Node => "   # may be another device's after a replug or a start",
    };
    let _ = writeln!(block, "device = {}{remark}", quoted(device));
    let (audio, remark) = match sound {
        Sound::Paired { alsa, .. } => ("paired", format!("{alsa}, of the same device")),
        Sound::PlaysOnly { alsa } => ("none", format!("silence: {alsa} of the same device only plays")),
        Sound::Absent { others } => match others.first() {
            None => ("none", "silence: no sound card records here".to_owned()),
            Some((alsa, _)) => ("none", format!("silence; or a sound card that records, such as {}", quoted(alsa))),
        },
    };
    let _ = writeln!(block, "audio = \"{audio}\"   # {remark}");
    block
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;
    use crate::config::{self, AudioSource, Source};

    /// A configuration whose only input is `block`.
    fn read(block: &str) -> (String, Source) {
        let rest = config::EXAMPLE.split_once("[[input]]").unwrap().0.to_owned();
        let renditions = "\n[[rendition]]\nname = \"main\"\ncodec = \"h264\"\nsize = \"1280x720\"\nbitrate = \"2M\"\n";
        let settings = config::parse(Path::new("/"), ("c", &format!("{rest}{block}{renditions}")), None);
        let input = settings.unwrap().inputs.remove(0);
        (input.id.as_str().to_owned(), input.source)
    }

    #[test]
    fn the_block_is_taken_by_the_configuration_as_it_is() {
        let (alsa, title) = ("hw:2,0".to_owned(), "C4K".to_owned());
        let by_path = "/dev/v4l/by-path/pci-0000:00:14.0-usb-0:2:1.0-video-index0";
        let paired = Sound::Paired { alsa: alsa.clone(), title: title.clone() };
        let written = block("cam-link-4k", by_path, Lasting::ByPath, &paired);
        assert_eq!(
            written,
            format!(
                "[[input]]\nname = \"cam-link-4k\"\nkind = \"v4l2\"\ndevice = \"{by_path}\"\naudio = \"paired\"   # hw:2,0, of the same device\n"
            )
        );
        let source = Source::V4l2 { device: by_path.into(), audio: AudioSource::Paired };
        assert_eq!(read(&written), ("cam-link-4k".to_owned(), source));

        let silent = [
            Sound::Absent { others: Vec::new() },
            Sound::Absent { others: vec![(alsa.clone(), title)] },
            Sound::PlaysOnly { alsa },
        ];
        for sound in silent {
            let (_, source) = read(&block("camera", "/dev/a\"b\\c", Lasting::Node, &sound));
            assert_eq!(source, Source::V4l2 { device: "/dev/a\"b\\c".into(), audio: AudioSource::None }, "{sound:?}");
        }
    }

    #[test]
    fn a_name_is_the_profiles_or_the_cards_and_never_anothers() {
        let taken = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (nobody, known) = (BTreeSet::new(), Name::new("cam-link-4k").unwrap());
        assert_eq!(name_for(Some(&known), "Cam Link 4K: Cam Link 4K", &nobody), "cam-link-4k");
        assert_eq!(name_for(None, "HD Pro Webcam C920: HD Pro", &nobody), "hd-pro-webcam-c920");
        assert_eq!(name_for(None, "  (ÄÖ) ", &nobody), "camera");
        assert_eq!(name_for(None, "Slate", &nobody), "slate-2");
        assert_eq!(name_for(None, "vivid", &taken(&["vivid"])), "vivid-2");
        assert_eq!(name_for(None, "vivid", &taken(&["vivid", "vivid-2", "slate"])), "vivid-3");
        let long = "a".repeat(40);
        let first = name_for(None, &long, &nobody);
        let second = name_for(None, &long, &taken(&[&first]));
        assert_eq!((first.len(), second.len(), second.ends_with("aa-2")), (32, 32, true));
    }
}
