//! What a recorder tells people.

use std::path::PathBuf;

use super::policy::Cause;
use crate::clock;
use crate::config::RecordingSettings;
use crate::events::{Event, EventKind, Role, Severity};
use crate::output::EventSink;

/// Speaks for one recording; its threads each have a clone.
#[derive(Clone)]
pub(super) struct Report {
    subject: String,
    directory: PathBuf,
    min_free: u64,
    events: EventSink,
}

impl Report {
    pub(super) fn new(settings: &RecordingSettings, events: EventSink) -> Self {
        Self {
            subject: settings.id.as_str().to_owned(),
            directory: settings.directory.clone(),
            min_free: settings.min_free_bytes,
            events,
        }
    }

    pub(super) fn opened(&self, file: &str, free: Option<u64>) {
        self.tell(
            EventKind::RecordingOpened,
            Severity::Info,
            format!("recording into {file}"),
            &[("file", file.into()), ("free_bytes", free.into())],
        );
    }

    pub(super) fn closed(&self, file: &str, why: &str, bytes: u64, lasted_ms: u64) {
        self.tell(
            EventKind::RecordingClosed,
            Severity::Info,
            format!("{file} is complete: {why}"),
            &[("file", file.into()), ("bytes", bytes.into()), ("duration_ms", lasted_ms.into())],
        );
    }

    pub(super) fn salvaged(&self, file: &str, bytes: u64, cut: u64) {
        let reason = format!("{file} was left open by a crash; it is complete up to its last whole fragment");
        self.tell(
            EventKind::RecordingClosed,
            Severity::Info,
            reason,
            &[("file", file.into()), ("bytes", bytes.into()), ("cut_bytes", cut.into())],
        );
    }

    pub(super) fn discarded(&self, file: &str, bytes: u64) {
        let reason = format!("{file} was left open by a crash before its first fragment was whole; it was removed");
        self.tell(EventKind::Note, Severity::Info, reason, &[("file", file.into()), ("bytes", bytes.into())]);
    }

    pub(super) fn deleted(&self, file: &str, bytes: u64) {
        let reason = format!("{file}, the oldest file of this recording, was deleted to make room");
        self.tell(EventKind::Note, Severity::Info, reason, &[("file", file.into()), ("bytes", bytes.into())]);
    }

    pub(super) fn trouble(&self, cause: &Cause, free: Option<u64>) {
        self.tell(EventKind::RecordingTrouble, Severity::Alert, self.words(cause), &[("free_bytes", free.into())]);
    }

    pub(super) fn recovered(&self, lasted: std::time::Duration, lost: u64) {
        let reason = format!("recording again after {} s; {lost} units were not recorded", lasted.as_secs());
        self.tell(
            EventKind::RecordingTrouble,
            Severity::Info,
            reason,
            &[("lasted_ms", (lasted.as_millis() as u64).into()), ("lost", lost.into())],
        );
    }

    pub(super) fn too_slow(&self, (units, bytes): (usize, usize)) {
        let reason = format!(
            "the disk under {} does not keep up: pictures are left out of the recording until it does. Use a faster \
             disk, or a rendition with a lower bit rate",
            self.directory.display()
        );
        self.tell(
            EventKind::RecordingTrouble,
            Severity::Alert,
            reason,
            &[("waiting_units", units.into()), ("waiting_bytes", bytes.into())],
        );
    }

    pub(super) fn lagged(&self, units: u64) {
        let reason = format!("the recorder was not run for so long that {units} units passed it by");
        self.tell(EventKind::RecordingTrouble, Severity::Warning, reason, &[("lost", units.into())]);
    }

    pub(super) fn broken(&self, why: &str) {
        let reason = format!("the recorder stopped: {why}; it is started again by itself");
        self.tell(EventKind::RecordingTrouble, Severity::Alert, reason, &[]);
    }

    /// What is wrong and what to do about it.
    pub(super) fn words(&self, cause: &Cause) -> String {
        let dir = self.directory.display();
        match cause {
            Cause::Full => format!(
                "the disk under {dir} is full ({} must stay free) and this recording has no older file left to delete: \
                 delete something, lower min_free, or use a larger disk. Recording goes on by itself when there is room",
                size(self.min_free)
            ),
            Cause::Missing => format!(
                "{dir} is not there: plug in and mount the disk, or create the directory. Recording starts by itself \
                 when it is"
            ),
            Cause::ReadOnly => format!(
                "{dir} is on a file system mounted read-only, often after a disk error: check the disk and mount it \
                 writable. Recording goes on by itself then"
            ),
            Cause::Denied => {
                format!("Holdfast may not write in {dir}: give its user the right to. Recording goes on by itself then")
            }
            Cause::Failing => {
                format!("the disk under {dir} reports errors: replace it, or check its cable. Recording is retried")
            }
            Cause::Removed => "the file was removed while being recorded; recording goes on in another".to_owned(),
            Cause::Other(error) => format!("writing in {dir} failed: {error}. Recording is retried"),
        }
    }

    fn tell(&self, kind: EventKind, severity: Severity, reason: String, evidence: &[(&str, serde_json::Value)]) {
        let now = (clock::wall(), clock::media());
        let mut event = Event::new(now, Role::Transmit, kind, severity, self.subject.clone(), reason);
        for (key, value) in evidence.iter().filter(|(_, value)| !value.is_null()) {
            event = event.with(key, value.clone());
        }
        (self.events)(event);
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        1_000_000_000.. => format!("{:.1} GB", bytes as f64 / 1e9),
        1_000_000.. => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{bytes} bytes"),
    }
}
