//! The recorder's thread: takes units out of the queue and appends fragments to files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;

use super::closer::{self, Close, Done, JOBS, Job};
use super::disk::Disk;
use super::name::{FileName, Found, recognise};
use super::policy::{Cause, Ending, Health, LOOK_EVERY, SyncPace, ends_file, make_room};
use super::queue::{Message, Outlet};
use super::report::Report;
use crate::clock;
use crate::config::RecordingSettings;
use crate::model::{AccessUnit, Media, Track};
use crate::mux::fmp4::{Fmp4, Fragment, Refusal};

/// Idle work is looked after this often when no unit comes.
const IDLE: Duration = Duration::from_millis(500);
/// Sound comes later than the pictures it belongs to, by what its encoder takes longer. A file that has its last picture
/// waits this much programme for it.
const LATE_SOUND: Media = Media::from_millis(500);

/// Where the thread has got to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// Why nothing is recorded, in words.
    pub(super) trouble: Option<String>,
    /// The file being written.
    pub(super) file: Option<String>,
    /// Bytes written by this thread.
    pub(super) bytes: u64,
    /// Units this thread could not write.
    pub(super) lost: u64,
    /// Free on the disk.
    pub(super) free: Option<u64>,
}

/// Starts the thread. It ends, with its file closed, when the other end of `outlet` is gone; `progress` closes after
/// that.
pub(super) fn start(
    settings: RecordingSettings,
    disk: Arc<dyn Disk>,
    report: Report,
    outlet: Outlet,
    progress: watch::Sender<Progress>,
) -> io::Result<()> {
    let name = format!("record-{}", settings.id);
    let run = move || {
        let (jobs, inbox) = sync_channel(JOBS);
        let (done, outcomes) = sync_channel(JOBS * 2);
        let (its_disk, its_report) = (disk.clone(), report.clone());
        let closing = thread::Builder::new()
            .name("record-close".to_owned())
            .spawn(move || closer::run(&*its_disk, &its_report, &inbox, &done));
        match closing {
            Ok(closing) => {
                Writer::new(settings, disk, report, jobs, outcomes, progress).run(&outlet, closing);
            }
            Err(error) => report.broken(&format!("a thread could not be started ({error})")),
        }
    };
    thread::Builder::new().name(name).spawn(run).map(drop)
}

struct Writer {
    settings: RecordingSettings,
    disk: Arc<dyn Disk>,
    report: Report,
    jobs: SyncSender<Job>,
    outcomes: Receiver<Done>,
    progress: watch::Sender<Progress>,
    now: Progress,
    health: Health,
    sync: SyncPace,
    looked: Option<Instant>,
    stage: Stage,
    /// Units lost up to the last successful write.
    lost_before: u64,
}

enum Stage {
    /// For a keyframe, with nothing open.
    Waiting,
    Writing(Box<Writing>),
}

struct Writing {
    mp4: Fmp4,
    name: FileName,
    /// Created with the first fragment.
    target: Option<Target>,
    /// Why the file must end at the next keyframe whatever its age; of one that has ended there, why it did.
    ending: Option<Ending>,
    /// The file before it, as long as sound may come that belongs there.
    before: Option<Box<Writing>>,
}

impl Writing {
    /// Whether all sound is there of a file whose last picture is the one before this keyframe.
    fn is_whole_at(&self, keyframe: &AccessUnit) -> bool {
        keyframe.dts < self.mp4.origin() || self.mp4.sound_until().is_none_or(|until| until >= keyframe.dts)
    }
}

struct Target {
    file: Arc<File>,
    part: PathBuf,
    /// Bytes of whole fragments in it.
    length: u64,
}

impl Writer {
    fn new(
        settings: RecordingSettings,
        disk: Arc<dyn Disk>,
        report: Report,
        jobs: SyncSender<Job>,
        outcomes: Receiver<Done>,
        progress: watch::Sender<Progress>,
    ) -> Self {
        Self {
            settings,
            disk,
            report,
            jobs,
            outcomes,
            progress,
            now: Progress::default(),
            health: Health::new(),
            sync: SyncPace::Idle { last: None },
            looked: None,
            stage: Stage::Waiting,
            lost_before: 0,
        }
    }

    fn run(mut self, outlet: &Outlet, closing: thread::JoinHandle<()>) {
        loop {
            match outlet.next(IDLE) {
                Ok(Message::Unit(unit)) => self.take(unit),
                Ok(Message::RetryNow) => self.health.retry_now(clock::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.look_after();
        }
        if let Stage::Writing(writing) = self.leave() {
            self.end_file(*writing, Ending::Stopped);
        }
        self.publish();
        let Self { jobs, outcomes, progress, .. } = self;
        drop((jobs, outcomes));
        // It ends when it has closed the file, or when the disk lets it.
        let _ = closing.join();
        drop(progress);
    }

    /// The stage at hand, leaving the waiting one in its place.
    fn leave(&mut self) -> Stage {
        std::mem::replace(&mut self.stage, Stage::Waiting)
    }

    fn take(&mut self, unit: Arc<AccessUnit>) {
        self.stage = match self.leave() {
            Stage::Waiting => self.wait(unit),
            Stage::Writing(writing) => self.write(writing, unit),
        };
    }

    /// With nothing open: begins a file if it can begin here.
    fn wait(&mut self, unit: Arc<AccessUnit>) -> Stage {
        let keyframe = unit.track == Track::Video && unit.key;
        if keyframe && self.health.may_try(clock::now()) {
            match self.prepare() {
                Ok(name) => match Fmp4::begin(unit, clock::wall()) {
                    Ok(mp4) => {
                        let writing = Writing { mp4, name, target: None, ending: None, before: None };
                        return Stage::Writing(Box::new(writing));
                    }
                    Err(_) => self.now.lost += 1,
                },
                Err(cause) => {
                    self.now.lost += 1;
                    self.fail(cause);
                }
            }
        } else if keyframe || self.health.cause().is_some() {
            // What comes before the first keyframe is not lost: nothing has begun.
            self.now.lost += 1;
        }
        Stage::Waiting
    }

    fn write(&mut self, mut writing: Box<Writing>, unit: Arc<AccessUnit>) -> Stage {
        if let Some(ending) = self.ending_at(&writing, &unit) {
            return self.turn_over(writing, ending, unit);
        }
        if unit.track == Track::Audio && unit.dts < writing.mp4.origin() {
            match writing.before.take() {
                Some(mut before) => match self.put(&mut before, unit) {
                    Ok(()) => writing.before = Some(before),
                    Err(cause) => self.give_up(*before, cause),
                },
                // What comes before the first file is not lost: nothing has begun.
                None => self.now.lost += u64::from(self.now.bytes > 0),
            }
            return Stage::Writing(writing);
        }
        if unit.track == Track::Audio || unit.dts - writing.mp4.origin() >= LATE_SOUND {
            self.end_before(&mut writing);
        }
        match self.put(&mut writing, unit) {
            Ok(()) => Stage::Writing(writing),
            Err(cause) => {
                self.give_up(*writing, cause);
                Stage::Waiting
            }
        }
    }

    /// Adds a unit to a file.
    ///
    /// # Errors
    /// The file could not be written.
    fn put(&mut self, writing: &mut Writing, unit: Arc<AccessUnit>) -> Result<(), Cause> {
        match writing.mp4.push(unit) {
            Ok(None) => {}
            Ok(Some(fragment)) => {
                // The unit that completed the fragment waits in the file's muxer and goes with it.
                self.append(&writing.name, &mut writing.target, &fragment).inspect_err(|_| self.now.lost += 1)?;
            }
            Err(refusal) => {
                self.now.lost += 1;
                if refusal == Refusal::OtherConfiguration {
                    writing.ending.get_or_insert(Ending::Discontinuity);
                }
            }
        }
        Ok(())
    }

    /// The open file has its last picture; `keyframe` is the first of the next.
    fn turn_over(&mut self, mut writing: Box<Writing>, why: Ending, keyframe: Arc<AccessUnit>) -> Stage {
        self.end_before(&mut writing);
        if writing.is_whole_at(&keyframe) {
            self.end_file(*writing, why);
            return self.wait(keyframe);
        }
        writing.ending = Some(why);
        match self.wait(keyframe) {
            Stage::Writing(mut next) => {
                next.before = Some(writing);
                Stage::Writing(next)
            }
            Stage::Waiting => {
                self.end_file(*writing, why);
                Stage::Waiting
            }
        }
    }

    /// No more sound comes for the file before.
    fn end_before(&mut self, writing: &mut Writing) {
        if let Some(before) = writing.before.take() {
            let why = before.ending.unwrap_or(Ending::Age);
            self.end_file(*before, why);
        }
    }

    /// Whether the open file ends before this unit.
    fn ending_at(&self, writing: &Writing, unit: &AccessUnit) -> Option<Ending> {
        if unit.track != Track::Video || !unit.key {
            return None;
        }
        let age = unit.dts - writing.mp4.origin();
        if age.0 < 0 || !writing.mp4.takes(Track::Video, &unit.config) {
            return Some(Ending::Discontinuity);
        }
        let bytes = writing.target.as_ref().map_or(0, |target| target.length);
        writing.ending.or_else(|| ends_file(&self.settings, age.to_duration(), bytes))
    }

    /// Looks around in the directory, makes room, and finds the next file's name.
    fn prepare(&mut self) -> Result<FileName, Cause> {
        let listing = self.list()?;
        if !listing.parts.is_empty() {
            // If the queue is full, there is a next time.
            let _ = self.jobs.try_send(Job::Salvage(listing.parts.clone()));
        }
        let number = listing.last + 1;
        self.make_room(&listing)?;
        let time = jiff::Timestamp::from_microsecond(clock::wall().0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        Ok(FileName::new(&self.settings.id, &time.strftime("%Y%m%dT%H%M%SZ").to_string(), number))
    }

    fn list(&self) -> Result<Listing, Cause> {
        let entries = fs::read_dir(&self.settings.directory).map_err(|error| Cause::from(&error))?;
        let mut listing = Listing::default();
        for entry in entries.flatten() {
            let file = entry.file_name();
            match file.to_str().and_then(|file| recognise(&self.settings.id, file)) {
                Some(Found::Closed(name)) => {
                    listing.last = listing.last.max(name.number);
                    let bytes = entry.metadata().map_or(0, |meta| meta.len());
                    listing.closed.push((name, bytes));
                }
                Some(Found::Part(name)) => {
                    listing.last = listing.last.max(name.number);
                    listing.part_bytes += entry.metadata().map_or(0, |meta| meta.len());
                    listing.parts.push(entry.path());
                }
                None => {}
            }
        }
        listing.closed.sort_by_key(|(name, _)| name.number);
        Ok(listing)
    }

    /// Deletes what must go.
    fn make_room(&mut self, listing: &Listing) -> Result<(), Cause> {
        let directory = &self.settings.directory;
        let free = self.disk.free(directory).map_err(|error| Cause::from(&error))?;
        self.now.free = Some(free);
        self.looked = Some(clock::now());
        let sizes: Vec<u64> = listing.closed.iter().map(|(_, bytes)| *bytes).collect();
        let stopped = matches!(self.health.cause(), Some(Cause::Full));
        let room = make_room(&self.settings, &sizes, listing.part_bytes, free, stopped);
        for (name, bytes) in listing.closed.iter().take(room.delete) {
            let path = directory.join(&name.closed);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Cause::from(&error)),
                Ok(()) | Err(_) => {}
            }
            self.report.deleted(&path.display().to_string(), *bytes);
        }
        if room.enough { Ok(()) } else { Err(Cause::Full) }
    }

    /// Appends to the file, creating it if need be. On failure the fragment's units are counted as lost.
    fn append(&mut self, name: &FileName, target: &mut Option<Target>, fragment: &Fragment) -> Result<(), Cause> {
        let written = self.try_append(name, target, fragment);
        match written {
            Ok(()) => {
                if let Some(lasted) = self.health.wrote(clock::now()) {
                    self.report.recovered(lasted, self.now.lost - self.lost_before);
                }
                self.lost_before = self.now.lost;
                Ok(())
            }
            Err(error) => {
                self.now.lost += fragment.units;
                Err(Cause::from(&error))
            }
        }
    }

    fn try_append(&mut self, name: &FileName, target: &mut Option<Target>, fragment: &Fragment) -> io::Result<()> {
        let target = match target {
            Some(target) => target,
            none => {
                let part = self.settings.directory.join(name.part());
                let file = File::create_new(&part)?;
                // Tells a salvaging recorder that somebody writes here. Not every file system has locks.
                let _ = file.try_lock();
                let path = part.display().to_string();
                self.report.opened(&path, self.now.free);
                self.now.file = Some(path);
                none.insert(Target { file: Arc::new(file), part, length: 0 })
            }
        };
        self.disk.append(&target.file, &fragment.parts)?;
        target.length += fragment.length;
        self.now.bytes += fragment.length;
        Ok(())
    }

    /// Ends a file in good order.
    fn end_file(&mut self, mut writing: Writing, why: Ending) {
        self.end_before(&mut writing);
        let lasted_ms = writing.mp4.duration_ms();
        let end = writing.mp4.finish();
        match self.append(&writing.name, &mut writing.target, &end.tail) {
            Ok(()) => self.close(&writing.name, writing.target, end.duration, lasted_ms, why),
            Err(cause) => self.give_up_at(&writing.name, writing.target, lasted_ms, cause),
        }
    }

    /// After a failed write.
    fn give_up(&mut self, mut writing: Writing, cause: Cause) {
        self.end_before(&mut writing);
        let lasted_ms = writing.mp4.duration_ms();
        self.give_up_at(&writing.name, writing.target, lasted_ms, cause);
    }

    /// What is whole is kept and closed.
    fn give_up_at(&mut self, name: &FileName, target: Option<Target>, lasted_ms: u64, cause: Cause) {
        match target {
            Some(target) if target.length == 0 => {
                let _ = fs::remove_file(&target.part);
                self.now.file = None;
            }
            target => {
                // If the disk does not even do this, readers ignore the torn end.
                if let Some(target) = &target {
                    let _ = target.file.set_len(target.length);
                }
                self.close(name, target, None, lasted_ms, Ending::Failed);
            }
        }
        self.fail(cause);
    }

    fn close(
        &mut self,
        name: &FileName,
        target: Option<Target>,
        duration: Option<(u64, Bytes)>,
        lasted_ms: u64,
        why: Ending,
    ) {
        let Some(Target { file, part, length }) = target else { return };
        // The next one may be there already.
        self.now.file.take_if(|shown| *shown == part.display().to_string());
        let closed = self.settings.directory.join(&name.closed);
        let close = Close { file, part, closed, duration, bytes: length, lasted_ms, why: why.words() };
        // The other thread ends only after this one.
        let _ = self.jobs.send(Job::Close(close));
    }

    fn fail(&mut self, cause: Cause) {
        self.now.free = self.disk.free(&self.settings.directory).ok();
        let news = self.health.fail(cause, clock::now());
        if let Some(cause) = self.health.cause() {
            self.now.trouble = Some(self.report.words(cause));
            if news {
                self.report.trouble(cause, self.now.free);
            }
        }
    }

    /// Everything that is not about the unit at hand.
    fn look_after(&mut self) {
        while let Ok(done) = self.outcomes.try_recv() {
            match done {
                Done::Synced(result) => {
                    self.sync.done();
                    if let Err(cause) = result {
                        self.drop_file(cause);
                    }
                }
                Done::CloseFailed(cause) => self.fail(cause),
            }
        }
        let now = clock::now();
        self.look_at_disk(now);
        if let Stage::Writing(writing) = &self.stage
            && let Some(target) = &writing.target
            && self.sync.due(now)
        {
            match self.jobs.try_send(Job::Sync(target.file.clone())) {
                Ok(()) => {}
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.sync.done(),
            }
        }
        self.publish();
    }

    fn publish(&mut self) {
        if self.health.cause().is_none() {
            self.now.trouble = None;
        }
        let latest = &self.now;
        self.progress.send_if_modified(|shown| {
            let changed = shown != latest;
            if changed {
                shown.clone_from(latest);
            }
            changed
        });
    }

    /// Keeps quota and free space while a file is open.
    fn look_at_disk(&mut self, now: Instant) {
        let Stage::Writing(writing) = &self.stage else { return };
        let Some(target) = &writing.target else { return };
        if self.looked.is_some_and(|looked| now.saturating_duration_since(looked) < LOOK_EVERY) {
            return;
        }
        let gone = target.file.metadata().is_ok_and(|meta| meta.nlink() == 0);
        let looked = if gone { Err(Cause::Removed) } else { self.list().and_then(|l| self.make_room(&l)) };
        if let Err(cause) = looked {
            self.drop_file(cause);
        }
    }

    /// Ends the open file, if there is one, for a reason that is not a failed write.
    fn drop_file(&mut self, cause: Cause) {
        match self.leave() {
            Stage::Waiting => self.fail(cause),
            Stage::Writing(writing) if cause == Cause::Full => {
                self.end_file(*writing, Ending::Full);
                self.fail(cause);
            }
            // There is no file to keep.
            Stage::Writing(mut writing) if cause == Cause::Removed => {
                self.end_before(&mut writing);
                self.now.file = None;
                self.fail(cause);
            }
            Stage::Writing(writing) => self.give_up(*writing, cause),
        }
    }
}

/// This recording's files.
#[derive(Debug, Default)]
struct Listing {
    /// Oldest first, with sizes.
    closed: Vec<(FileName, u64)>,
    /// The open file, files about to be closed, and what crashes left.
    parts: Vec<PathBuf>,
    part_bytes: u64,
    /// The highest number in use.
    last: u64,
}
