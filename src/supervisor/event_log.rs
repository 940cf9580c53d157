//! The event log: JSON lines on disk, rotated; the journal where there is one. Written by its own thread, so that a disk
//! that hangs does not hang holdfastd.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use libsystemd::logging::{Priority, connected_to_journal, journal_send};

use crate::events::{Event, Severity};

/// Size at which a file is set aside, bytes.
const ROTATE_AT: u64 = 4 << 20;
/// Files set aside, `.1` the newest.
const KEPT: u32 = 3;
/// Events waiting for the disk; more are dropped and counted in the next line written.
const QUEUE: usize = 4096;
/// How long holdfastd's own end waits for the disk.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How much of the file's end is read back at a start, bytes.
const TAIL: u64 = 1 << 20;

/// The writing end.
#[derive(Debug)]
pub struct EventLog {
    queue: mpsc::SyncSender<Event>,
    dropped: u64,
    written: mpsc::Receiver<()>,
}

impl EventLog {
    /// Opens the log at `path`.
    ///
    /// # Errors
    /// When it cannot be opened, or the system gives no thread.
    pub fn start(path: PathBuf) -> std::io::Result<Self> {
        let mut file = open(&path)?;
        let (queue, events) = mpsc::sync_channel::<Event>(QUEUE);
        let (all_written, written) = mpsc::sync_channel::<()>(1);
        let journal = connected_to_journal() || Path::new("/run/systemd/journal/socket").exists();
        std::thread::Builder::new().name("event-log".into()).spawn(move || {
            for event in events {
                if journal {
                    tell_journal(&event);
                }
                // A disk that refuses costs this line; the journal and the webhook still have it.
                let _ = append(&mut file, &path, &event);
            }
            drop(all_written);
        })?;
        Ok(Self { queue, dropped: 0, written })
    }

    /// Waits until what was handed over is written, but not for a disk that hangs.
    pub fn finish(self) {
        drop(self.queue);
        // Disconnected is what is waited for.
        let _ = self.written.recv_timeout(FINISH_WITHIN);
    }

    /// Hands an event over; never blocks.
    pub fn write(&mut self, event: &Event) {
        let mut event = event.clone();
        if self.dropped > 0 {
            event = event.with("events_dropped_before", self.dropped);
        }
        match self.queue.try_send(event) {
            Ok(()) => self.dropped = 0,
            Err(_) => self.dropped += 1,
        }
    }
}

/// The last `count` events of the log at `path`. Lines that are not events (a torn last line after a power cut) are skipped.
pub fn tail(path: &Path, count: usize) -> VecDeque<Event> {
    let mut last = VecDeque::new();
    let Ok(mut file) = File::open(path) else { return last };
    let length = file.metadata().map_or(0, |m| m.len());
    if file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).is_err() {
        return last;
    }
    for line in BufReader::new(file).split(b'\n').map_while(Result::ok) {
        if let Ok(event) = serde_json::from_slice(&line) {
            if last.len() == count {
                last.pop_front();
            }
            last.push_back(event);
        }
    }
    last
}

fn open(path: &Path) -> std::io::Result<File> {
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
    // A line torn by a power cut must not swallow the next one.
    if file.seek(SeekFrom::End(-1)).is_ok() {
        let mut last = [0];
        std::io::Read::read_exact(&mut file, &mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
        }
    }
    Ok(file)
}

fn append(file: &mut File, path: &Path, event: &Event) -> std::io::Result<()> {
    if file.metadata()?.len() >= ROTATE_AT {
        let numbered = |n: u32| path.with_extension(format!("jsonl.{n}"));
        // Where it is set aside already, and only the new one was not to be had (a full disk), that alone is tried again.
        if path.exists() {
            for n in (1..KEPT).rev() {
                let _ = std::fs::rename(numbered(n), numbered(n + 1));
            }
            std::fs::rename(path, numbered(1))?;
        }
        *file = open(path)?;
    }
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    file.write_all(&line)
}

fn tell_journal(event: &Event) {
    let priority = match event.severity {
        Severity::Info => Priority::Info,
        Severity::Warning => Priority::Warning,
        Severity::Alert => Priority::Error,
    };
    let kind = serde_json::to_string(&event.kind).unwrap_or_default();
    let evidence = serde_json::to_string(&event.evidence).unwrap_or_default();
    let fields = [
        ("SYSLOG_IDENTIFIER", "holdfast"),
        ("HOLDFAST_EVENT", kind.trim_matches('"')),
        ("HOLDFAST_SUBJECT", &event.subject),
        ("HOLDFAST_EVIDENCE", &evidence),
    ];
    let text =
        if event.subject.is_empty() { event.reason.clone() } else { format!("{}: {}", event.subject, event.reason) };
    // Without a journal the file has it.
    let _ = journal_send(priority, &text, fields.into_iter());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use super::*;
    use crate::events::{EventKind, Role};
    use crate::model::{Media, Wall};

    fn event(n: usize) -> Event {
        let text = format!("{n} {}", "x".repeat(1000));
        Event::new((Wall(0), Media(0)), Role::Supervisor, EventKind::Note, Severity::Info, "", text)
    }

    #[test]
    fn a_torn_last_line_costs_only_itself() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut file = open(&path).unwrap();
        append(&mut file, &path, &event(1)).unwrap();
        file.write_all(b"{\"at\":17,\"mo").unwrap();
        let mut file = open(&path).unwrap();
        append(&mut file, &path, &event(2)).unwrap();
        assert_eq!(tail(&path, 10), [event(1), event(2)]);
    }

    #[test]
    fn the_log_is_bounded_and_keeps_the_newest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let mut file = open(&path).unwrap();
        for n in 0..22_000 {
            append(&mut file, &path, &event(n)).unwrap();
        }
        let size: u64 =
            std::fs::read_dir(directory.path()).unwrap().map(|f| f.unwrap().metadata().unwrap().len()).sum();
        assert!(size < (u64::from(KEPT) + 1) * (ROTATE_AT + 2000), "{size} bytes");
        assert_eq!(tail(&path, 1), [event(21_999)]);
    }

    #[test]
    fn a_disk_that_had_no_room_for_a_new_file_costs_no_older_ones_and_is_written_to_when_it_has() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let numbered = |n: u32| path.with_extension(format!("jsonl.{n}"));
        let mut file = open(&path).unwrap();
        file.set_len(ROTATE_AT).unwrap();
        for n in 1..=KEPT {
            std::fs::write(numbered(n), n.to_string()).unwrap();
        }
        // As it is when the full one was set aside and no other could be made.
        std::fs::rename(&path, numbered(1)).unwrap();
        append(&mut file, &path, &event(1)).unwrap();
        append(&mut file, &path, &event(2)).unwrap();
        assert_eq!(tail(&path, 10), [event(1), event(2)]);
        assert_eq!(std::fs::read_to_string(numbered(2)).unwrap(), "2", "it was not set aside twice");
    }
}
