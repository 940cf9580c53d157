//! Pure. The names of recording files: `<id>_<UTC yyyymmddThhmmssZ>_<number>.mp4`, with `.part` behind it until closed.

use crate::model::OutputId;

/// Behind the name of a file that is not closed.
const PART: &str = ".part";
const MP4: &str = ".mp4";

/// The name of a file of one recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileName {
    /// Counts the recording's files. Files are ordered by it, since clocks jump.
    pub(super) number: u64,
    /// Without `.part`.
    pub(super) closed: String,
}

/// A file found in the recording's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Closed(FileName),
    Part(FileName),
}

impl FileName {
    /// `time` is UTC as `yyyymmddThhmmssZ`.
    pub(super) fn new(id: &OutputId, time: &str, number: u64) -> Self {
        Self { number, closed: format!("{id}_{time}_{number:04}{MP4}") }
    }

    pub(super) fn part(&self) -> String {
        format!("{}{PART}", self.closed)
    }
}

/// Recognises a file of recording `id`; `None` for everything else, which is never touched.
pub(super) fn recognise(id: &OutputId, file: &str) -> Option<Found> {
    let (closed, is_part) = match file.strip_suffix(PART) {
        Some(closed) => (closed, true),
        None => (file, false),
    };
    let (stem, number) = closed.strip_suffix(MP4)?.rsplit_once('_')?;
    let (name, time) = stem.rsplit_once('_')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (date, clock) = time.strip_suffix('Z')?.split_once('T')?;
    let ours = name == id.as_str() && date.len() == 8 && digits(date) && clock.len() == 6 && digits(clock);
    if !ours || number.len() < 4 || !digits(number) {
        return None;
    }
    let name = FileName { number: number.parse().ok()?, closed: closed.to_owned() };
    Some(if is_part { Found::Part(name) } else { Found::Closed(name) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_name_is_recognised_as_what_it_was_made_for() {
        let id = OutputId::new("cam_a").unwrap();
        let name = FileName::new(&id, "20261118T110640Z", 7);
        assert_eq!(name.closed, "cam_a_20261118T110640Z_0007.mp4");
        assert_eq!(recognise(&id, &name.closed), Some(Found::Closed(name.clone())));
        assert_eq!(recognise(&id, &name.part()), Some(Found::Part(name)));
    }

    #[test]
    fn other_peoples_files_are_never_recognised() {
        let id = OutputId::new("a").unwrap();
        for file in [
            "b_a_20261118T102640Z_0007.mp4",
            "a_20261118T102640Z_0007.mov",
            "a_20261118T102640Z_7.mp4",
            "a_20261118T102640Z_000x.mp4",
            "a_2026118T102640Z_0007.mp4",
            "a_holiday_0007.mp4",
            "a_20261118T102640Z_0007.mp4.bak",
            "a_20261118T102640Z_99999999999999999999999.mp4",
            "a.mp4",
            "",
        ] {
            assert_eq!(recognise(&id, file), None, "{file}");
        }
    }
}
