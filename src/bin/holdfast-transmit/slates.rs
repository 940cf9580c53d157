//! Brings the encoded slates from disk into the switch: at the start, and as they are made.
//!
//! A slate file is a sequence of worker-protocol messages ([`holdfast::encode::protocol`]): formats, then units. Where a
//! file does not come, for want of an encoder, an emergency slate that needs none stands in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use holdfast::config::{Paths, RenditionSettings, Settings};
use holdfast::encode::protocol::FromWorker;
use holdfast::encode::slate;
use holdfast::encode::table::VideoJob;
use holdfast::model::RenditionId;
use holdfast::switch::SlateClip;

/// How long the files are waited for. Longer than making them takes on the slowest hardware, since going from the stand-in
/// to the slate itself is a change of parameter sets, which spoils some receivers' pictures for a moment.
pub(crate) const STAND_IN_AFTER: Duration = Duration::from_secs(10);

/// A slate that has not been read yet.
pub(crate) struct Awaited {
    pub(crate) rendition: RenditionId,
    pub(crate) path: PathBuf,
    pub(crate) meanwhile: Meanwhile,
}

/// What is shown while a slate is awaited.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Nothing,
    StandIn,
}

/// Reads the clips of one slate file: one per stream in it.
///
/// # Errors
/// In words, naming the file.
pub(crate) fn read(path: &Path) -> Result<Vec<SlateClip>, String> {
    let messages = slate::file::read(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut clips: Vec<(u16, SlateClip)> = Vec::new();
    for message in messages {
        match message {
            FromWorker::Format { stream, rendition, config, .. } => {
                clips.push((stream, SlateClip { rendition, config, units: Vec::new() }));
            }
            FromWorker::Unit { stream, payload, .. } => {
                let clip = clips.iter_mut().find(|(s, _)| *s == stream);
                let (_, clip) = clip.ok_or_else(|| format!("{}: a unit without a format", path.display()))?;
                clip.units.push(Bytes::copy_from_slice(&payload));
            }
            FromWorker::Hello(_) | FromWorker::Bye { .. } | FromWorker::Condition(_) => {}
        }
    }
    Ok(clips.into_iter().map(|(_, clip)| clip).filter(|c| !c.units.is_empty()).collect())
}

/// The slates of all renditions, whether their files are there or not.
pub(crate) fn awaited(paths: &Paths, settings: &Settings) -> Vec<Awaited> {
    let picture = slate::file::picture_bytes(settings);
    let awaited = |r: &RenditionSettings| Awaited {
        rendition: r.id.clone(),
        path: slate::file::path(paths, settings, r, picture.as_deref()),
        meanwhile: Meanwhile::Nothing,
    };
    settings.renditions.iter().map(awaited).collect()
}

/// What stands in for the slate of `rendition`: a card and silence that need no encoder. There is no card in HEVC and AV1.
pub(crate) fn stand_in(settings: &Settings, rendition: &RenditionSettings) -> Vec<SlateClip> {
    let job = VideoJob {
        codec: rendition.codec,
        width: rendition.width,
        height: rendition.height,
        rate: settings.frame_rate,
        bitrate: rendition.bitrate,
        keyframe_interval: rendition.keyframe_interval,
    };
    let clip = |rendition: RenditionId, clip: slate::emergency::Clip| SlateClip {
        rendition,
        config: clip.config,
        units: clip.units,
    };
    let card = slate::emergency::picture(&settings.box_name, &job).map(|c| clip(rendition.id.clone(), c));
    let sound = &rendition.audio;
    let silence = slate::emergency::silence(sound.codec, sound.bitrate).map(|c| clip(sound.rendition(), c));
    card.into_iter().chain(silence).collect()
}
