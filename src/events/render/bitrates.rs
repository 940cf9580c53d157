//! Bit rates that are lower than configured, and what keeps them there.

use super::page::{Page, Tone};
use super::{Style, detail, words};
use crate::events::{BoxSnapshot, RenditionSnapshot, WorkerStream};
use crate::model::RenditionId;

/// The bit rates of all renditions, or of the one that is named, and what changing them has cost.
pub fn bitrates(now: &BoxSnapshot, only: Option<&RenditionId>, style: Style) -> String {
    let mut page = Page::new(Style { width: style.width.max(40), ..style });
    let renditions = now.plane.as_ref().map_or(&[][..], |plane| &plane.renditions);
    for rendition in renditions.iter().filter(|rendition| only.is_none_or(|only| *only == rendition.id)) {
        let made = format!("{} are made", words::bit_rate(rendition.bitrate));
        page.line(&[(Tone::Strong, &format!(" {} ", rendition.id)), (Tone::Plain, &made)]);
        if rendition.lowered.is_none() {
            detail(&mut page, Tone::Good, "all that was configured is asked for");
        }
        lowered(&mut page, rendition);
        for worker in &now.workers {
            for stream in worker.streams.iter().filter(|stream| stream.rendition == rendition.id) {
                let cost = changes(stream).unwrap_or_else(|| "no change of bit rate so far".to_owned());
                detail(&mut page, Tone::Quiet, &format!("{} by {}: {cost}", worker.input, stream.encoder));
            }
        }
    }
    page.finish()
}

/// Below a rendition: what is asked for, if that is less than was configured, and why.
pub(super) fn lowered(page: &mut Page, rendition: &RenditionSnapshot) {
    if let Some(lowered) = rendition.lowered {
        let because = rendition.lowered_because.as_deref().unwrap_or("its destinations bear no more");
        detail(page, Tone::Busy, &format!("no more than {} asked for: {because}", words::bit_rate(lowered)));
    }
    if let Some(heat) = &rendition.heat
        && rendition.lowered_because.as_ref() != Some(&heat.because)
    {
        let text = format!("heat leaves {} of it: {}", words::bit_rate(heat.bitrate), heat.because);
        detail(page, Tone::Busy, &text);
    }
}

/// What changing its bit rate has cost; `None` if it was never changed.
pub(super) fn changes(stream: &WorkerStream) -> Option<String> {
    (stream.bitrate_changes > 0).then(|| {
        let changes = words::count(stream.bitrate_changes);
        match stream.keyframes_by_bitrate {
            0 => format!("{changes} changes of bit rate, none of which cost a keyframe"),
            keyframes => format!("{changes} changes of bit rate, which cost {} keyframes", words::count(keyframes)),
        }
    })
}
