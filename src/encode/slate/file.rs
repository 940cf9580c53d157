//! Which file holds a rendition's slate.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use crate::config::{Paths, RenditionSettings, Settings};

/// Changes when the card is drawn otherwise or a file is laid out otherwise.
const FORM: u32 = 1;
/// A larger picture file is not read; a photograph in full size has less.
const MAX_PICTURE_BYTES: u64 = 64 << 20;

/// The bytes of the configured picture; `None` if none is configured or it cannot be read, and the card with the box's
/// name takes its place.
pub fn picture_bytes(settings: &Settings) -> Option<Vec<u8>> {
    read_picture(settings.slate.image.as_deref()?)
}

fn read_picture(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes));
    (read.is_ok() && bytes.len() as u64 <= MAX_PICTURE_BYTES).then_some(bytes)
}

/// The file's name for `rendition`, given the bytes of [`picture_bytes`]: 16 hexadecimal digits and `.slate`. Another
/// name exactly when the picture, the box's name or anything about the encodes in it is another.
pub fn file_name(settings: &Settings, rendition: &RenditionSettings, picture: Option<&[u8]>) -> String {
    let mut hash = Context::new(&SHA256);
    // With its length, so that no two sequences of parts look alike.
    let mut part = |bytes: &[u8]| {
        hash.update(&(bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(&FORM.to_le_bytes());
    part(format!("{:?}", settings.frame_rate).as_bytes());
    part(format!("{rendition:?}").as_bytes());
    part(settings.box_name.as_bytes());
    part(&[u8::from(picture.is_some())]);
    part(picture.unwrap_or_default());
    let mut name = String::with_capacity(22);
    for byte in hash.finish().as_ref().iter().take(8) {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".slate"
}

/// Where `rendition`'s slate is, or will be.
pub fn path(paths: &Paths, settings: &Settings, rendition: &RenditionSettings, picture: Option<&[u8]>) -> PathBuf {
    paths.slate_dir().join(file_name(settings, rendition, picture))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::config;

    fn settings() -> Settings {
        config::parse(Path::new("/"), ("example.toml", config::EXAMPLE), Some(("s", config::EXAMPLE_SECRETS))).unwrap()
    }

    #[test]
    fn the_name_changes_with_whatever_is_in_the_file_and_with_nothing_else() {
        let base = settings();
        let rendition = base.renditions[0].clone();
        let name = file_name(&base, &rendition, None);
        assert_eq!(name.len(), 22);
        assert_eq!(name, file_name(&base, &rendition, None));

        let mut renamed = base.clone();
        renamed.box_name.push('!');
        let mut faster = base.clone();
        faster.frame_rate.num *= 2;
        let mut wider = rendition.clone();
        wider.width += 2;
        let mut louder = rendition.clone();
        louder.audio.bitrate += 1000;
        let others = [
            file_name(&renamed, &rendition, None),
            file_name(&faster, &rendition, None),
            file_name(&base, &wider, None),
            file_name(&base, &louder, None),
            file_name(&base, &rendition, Some(b"")),
            file_name(&base, &rendition, Some(b"picture")),
        ];
        let distinct: std::collections::BTreeSet<_> = others.iter().chain([&name]).collect();
        assert_eq!(distinct.len(), others.len() + 1, "{others:?}");

        let mut elsewhere = base.clone();
        elsewhere.destinations.clear();
        elsewhere.srt_destinations.clear();
        elsewhere.inputs.truncate(1);
        assert_eq!(file_name(&elsewhere, &rendition, None), name);
    }
}
