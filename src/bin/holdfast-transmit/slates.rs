//! Brings the encoded slates from disk into the switch: at the start, and as they are made.
//!
//! A slate file is a sequence of worker-protocol messages ([`holdfast::encode::protocol`]): formats, then units.

use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};
use holdfast::config::{Paths, Settings};
use holdfast::encode::protocol::FromWorker;
use holdfast::encode::slate;
use holdfast::switch::SlateClip;

/// Largest slate file that is read, bytes.
const MAX_FILE: u64 = 64 << 20;

/// Reads the clips of one slate file: one per stream in it.
///
/// # Errors
/// In words, naming the file.
pub(crate) fn read(path: &Path) -> Result<Vec<SlateClip>, String> {
    let name = path.display();
    let length = std::fs::metadata(path).map_err(|e| format!("{name}: {e}"))?.len();
    if length > MAX_FILE {
        return Err(format!("{name}: {length} bytes; a slate has at most {MAX_FILE}"));
    }
    parse(&std::fs::read(path).map_err(|e| format!("{name}: {e}"))?).map_err(|e| format!("{name}: {e}"))
}

fn parse(bytes: &[u8]) -> Result<Vec<SlateClip>, String> {
    let mut buffer = BytesMut::from(bytes);
    let mut clips: Vec<(u16, SlateClip)> = Vec::new();
    while let Some(message) = FromWorker::decode(&mut buffer).map_err(|e| e.to_string())? {
        match message {
            FromWorker::Format { stream, rendition, config, .. } => {
                clips.push((stream, SlateClip { rendition, config, units: Vec::new() }));
            }
            FromWorker::Unit { stream, payload, .. } => {
                let (_, clip) = clips.iter_mut().find(|(s, _)| *s == stream).ok_or("a unit without a format")?;
                clip.units.push(Bytes::copy_from_slice(&payload));
            }
            FromWorker::Hello(_) | FromWorker::Bye { .. } => {}
        }
    }
    if !buffer.is_empty() {
        return Err(format!("{} bytes left over at its end", buffer.len()));
    }
    Ok(clips.into_iter().map(|(_, clip)| clip).filter(|c| !c.units.is_empty()).collect())
}

/// The slate files of all renditions, whether they are there or not.
pub(crate) fn files(paths: &Paths, settings: &Settings) -> Vec<PathBuf> {
    let picture = slate::file::picture_bytes(settings);
    settings.renditions.iter().map(|r| slate::file::path(paths, settings, r, picture.as_deref())).collect()
}
