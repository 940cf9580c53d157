//! The recorder's second thread: everything that waits for the disk to be done. Forcing data out, closing and renaming
//! files, and salvaging what a crash left open. The writing thread does none of this, so that a slow `fdatasync` cannot
//! hold it up.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use bytes::Bytes;

use super::disk::Disk;
use super::policy::Cause;
use super::report::Report;
use crate::mux::fmp4::{Tail, box_header};

/// Work in hand-over order. The writing thread waits when there is more than this; by then the disk has been stuck
/// through several files.
pub(super) const JOBS: usize = 8;

/// Something that waits for the disk.
#[derive(Debug)]
pub(super) enum Job {
    /// Close what a crash left open.
    Salvage(Vec<PathBuf>),
    /// Force the file's data out.
    Sync(Arc<File>),
    /// Force out, and give the file its final name.
    Close(Close),
}

/// A file that is complete.
#[derive(Debug)]
pub(super) struct Close {
    pub(super) file: Arc<File>,
    /// With `.part`.
    pub(super) part: PathBuf,
    /// Its final name, in the same directory.
    pub(super) closed: PathBuf,
    /// Bytes to put over those at this offset: the duration.
    pub(super) duration: Option<(u64, Bytes)>,
    pub(super) bytes: u64,
    pub(super) lasted_ms: u64,
    pub(super) why: &'static str,
}

/// What became of a job.
#[derive(Debug)]
pub(super) enum Done {
    /// A [`Job::Sync`] ended.
    Synced(Result<(), Cause>),
    /// A [`Job::Close`] failed; the file keeps its `.part` and is salvaged later.
    CloseFailed(Cause),
}

/// Runs until the other end of `jobs` is gone and all are done.
pub(super) fn run(disk: &dyn Disk, report: &Report, jobs: &Receiver<Job>, done: &SyncSender<Done>) {
    while let Ok(job) = jobs.recv() {
        let outcome = match job {
            Job::Salvage(parts) => {
                parts.iter().for_each(|part| salvage(disk, report, part));
                None
            }
            Job::Sync(file) => Some(Done::Synced(disk.sync(&file).map_err(|error| Cause::from(&error)))),
            Job::Close(close) => {
                let result = finish(disk, &close);
                if result.is_ok() {
                    report.closed(&close.closed.display().to_string(), close.why, close.bytes, close.lasted_ms);
                }
                result.err().map(|error| Done::CloseFailed(Cause::from(&error)))
            }
        };
        // Never full for long: the writing thread takes these between any two units, and drops its end only when it
        // no longer cares.
        if let Some(outcome) = outcome {
            let _ = done.send(outcome);
        }
    }
}

fn finish(disk: &dyn Disk, close: &Close) -> io::Result<()> {
    if let Some((at, duration)) = &close.duration {
        // Readers do without it.
        let _ = close.file.write_all_at(duration, *at);
    }
    disk.sync(&close.file)?;
    rename(&close.part, &close.closed)
}

/// Renames within a directory and waits until the directory is on the disk.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    match to.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

/// Closes a file that its writer did not: cuts a torn last fragment off and renames it. A file that is still being
/// written (its writer holds the lock) is left alone, and so is one the disk does not let us mend.
pub(super) fn salvage(disk: &dyn Disk, report: &Report, part: &Path) {
    let Ok(file) = OpenOptions::new().read(true).write(true).open(part) else { return };
    if file.try_lock().is_err() {
        return;
    }
    let Ok(length) = file.metadata().map(|meta| meta.len()) else { return };
    let closed = part.with_extension("");
    let Some(whole) = whole_fragments(&file, length) else {
        if fs::remove_file(part).is_ok() {
            report.discarded(&closed.display().to_string(), length);
        }
        return;
    };
    let mended = file.set_len(whole).and_then(|()| disk.sync(&file)).and_then(|()| rename(part, &closed));
    if mended.is_ok() {
        report.salvaged(&closed.display().to_string(), whole, length - whole);
    }
}

/// How much of the file is whole fragments.
fn whole_fragments(file: &File, length: u64) -> Option<u64> {
    let mut tail = Tail::new();
    loop {
        let mut header = [0; 16];
        let Ok(n) = file.read_at(&mut header, tail.at()) else { break };
        match header.get(..n).map(box_header) {
            Some(Ok(header)) if tail.step(header, length) => {}
            _ => break,
        }
    }
    tail.whole()
}
