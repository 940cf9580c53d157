//! Which file holds a rendition's slate.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use ring::digest::{Context, SHA256};

use crate::config::{Paths, RenditionSettings, Settings};
use crate::encode::protocol::FromWorker;

/// Changes when the card is drawn otherwise or a file is laid out otherwise.
const FORM: u32 = 2;
/// Largest slate file that is read, bytes.
const MAX_FILE: u64 = 64 << 20;
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

/// What is in the slate file at `path`: formats, then units, without the farewell that marks its end. A power cut while it
/// was on its way to the disk leaves a file without that mark.
///
/// # Errors
/// In words, without the file's name.
pub fn read(path: &Path) -> Result<Vec<FromWorker>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| e.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("more than {MAX_FILE} bytes, which no slate has"));
    }
    parse(&bytes)
}

fn parse(bytes: &[u8]) -> Result<Vec<FromWorker>, String> {
    let mut buffer = BytesMut::from(bytes);
    let mut messages = Vec::new();
    while let Some(message) = FromWorker::decode(&mut buffer).map_err(|e| e.to_string())? {
        messages.push(message);
    }
    match messages.pop() {
        Some(FromWorker::Bye { .. }) if buffer.is_empty() => Ok(messages),
        _ => Err("its end is missing".to_owned()),
    }
}

/// Marks the end of a slate's file.
#[cfg(any(feature = "encode", test))]
pub(super) fn end(out: &mut BytesMut) {
    FromWorker::Bye { reason: "whole".to_owned() }.encode(out);
}

/// Whether there is a slate at `path`, whole.
pub fn is_there(path: &Path) -> bool {
    path.exists() && read(path).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;

    #[test]
    fn a_file_that_a_power_cut_tore_is_no_slate() {
        let mut whole = BytesMut::new();
        let payload = bytes::Bytes::from_static(&[7; 100]);
        let (pts, dts) = (crate::model::Media::ZERO, crate::model::Media::ZERO);
        FromWorker::Unit { stream: 0, key: true, pts, dts, payload }.encode(&mut whole);
        let unit = whole.len();
        end(&mut whole);
        assert_eq!(parse(&whole).unwrap().len(), 1);
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).is_err(), "cut at {cut} of {}", whole.len());
        }
        // Blocks that never reached the disk read as zeros.
        for from in [0, 10, unit] {
            let mut zeros = whole.to_vec();
            zeros[from..].fill(0);
            assert!(parse(&zeros).is_err(), "zeros from {from}");
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.slate");
        assert!(!is_there(&path));
        std::fs::write(&path, &whole[..unit]).unwrap();
        assert!(!is_there(&path));
        std::fs::write(&path, &whole).unwrap();
        assert!(is_there(&path));
    }

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
