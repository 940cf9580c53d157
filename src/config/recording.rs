//! `[[recording]]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::destination::{Context, read_rendition};
use super::name::Names;
use super::report::{Complaint, Report, Reported};
use super::section::{Section, text};
use super::settings::RecordingSettings;
use super::{bytes, duration, path};
use crate::model::OutputId;

const MOST: usize = 16;
const ROTATE_AFTER: RangeInclusive<Duration> = Duration::from_secs(10)..=Duration::from_secs(24 * 3600);
/// A quota below this could not hold a few seconds beside the file being written.
const LEAST_QUOTA: u64 = 10_000_000;

/// The recordings; they share `names` with the destinations.
pub(super) fn read_all(
    root: &mut Section<'_>,
    context: &Context<'_>,
    names: &mut Names,
    report: &mut Report<'_>,
) -> Result<Vec<RecordingSettings>, Reported> {
    let sections = root.tables("recording");
    if sections.len() > MOST {
        let problem = format!("has {} recordings", sections.len());
        return Err(root.complain("recording", &Complaint::new(problem, format!("keep at most {MOST}"))));
    }
    let mut recordings = Vec::new();
    for mut section in sections {
        let recording = read(&mut section, context, names);
        section.finish(report);
        recordings.push(recording);
    }
    recordings.into_iter().collect()
}

fn read(section: &mut Section<'_>, context: &Context<'_>, names: &mut Names) -> Result<RecordingSettings, Reported> {
    let name = names.take(section, "recording", "archive");
    let rendition = read_rendition(section, context);
    let directory =
        section.required("directory", "directory = \"/data/recordings\"", |v| path::read(text(v)?, context.base));
    let rotate_after = section.or("rotate_after", Duration::from_secs(600), |v| duration::read(v, &ROTATE_AFTER));
    let max_bytes = section.optional("max_size", |v| bytes::read(v, LEAST_QUOTA));
    let min_free_bytes = section.or("min_free", 1_000_000_000, |v| bytes::read(v, 0));
    Ok(RecordingSettings {
        id: OutputId(name?),
        rendition: rendition?,
        directory: directory?,
        rotate_after: rotate_after?,
        max_bytes: max_bytes?,
        min_free_bytes: min_free_bytes?,
    })
}
