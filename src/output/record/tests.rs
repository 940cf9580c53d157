#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::disk::{Disk, LocalDisk};
use super::report::Report;
use super::{closer, queue, spawn_on};
use crate::config::RecordingSettings;
use crate::events::{Event, EventKind, RecordingSnapshot, RecordingState, Severity};
use crate::model::{AccessUnit, Codec, CodecConfig, Media, OutputId, RenditionId, Track};
use crate::mux::fixtures::programme;
use crate::mux::fmp4::{Scan, scan};
use crate::output::{EventSink, Feed, OutputCommand, OutputHandle};

fn settings(directory: &Path) -> RecordingSettings {
    RecordingSettings {
        id: OutputId::new("archive").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        directory: directory.to_owned(),
        rotate_after: Duration::from_secs(3600),
        max_bytes: None,
        min_free_bytes: 0,
    }
}

/// A recording under test, with the feed it reads.
struct Rig {
    feed: Feed,
    handle: OutputHandle<RecordingSnapshot>,
    snapshot: watch::Receiver<RecordingSnapshot>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Rig {
    fn new(settings: RecordingSettings, disk: impl Disk + 'static) -> Self {
        let (events, sink) = collector();
        let feed = Feed::new(Duration::from_secs(600), 256 << 20);
        let handle = spawn_on(settings, feed.clone(), sink, Arc::new(disk));
        let snapshot = handle.snapshot.clone();
        Self { feed, handle, snapshot, events }
    }

    async fn tell(&self, command: OutputCommand) {
        self.handle.commands.send(command).await.unwrap();
    }

    /// Until the snapshot is like this.
    async fn until(&mut self, like: impl FnMut(&RecordingSnapshot) -> bool) -> RecordingSnapshot {
        self.snapshot.wait_for(like).await.unwrap().clone()
    }

    async fn start(&mut self) {
        self.tell(OutputCommand::Start).await;
        self.until(|s| s.state == RecordingState::Recording).await;
    }

    async fn push(&self, units: &[Arc<AccessUnit>]) {
        for (n, unit) in units.iter().enumerate() {
            self.feed.push(unit.clone());
            // A reader that has not read anything yet begins at the newest keyframe: let it read the first.
            if n == 0 {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
            }
        }
    }

    async fn stop(&mut self) -> RecordingSnapshot {
        self.tell(OutputCommand::Stop).await;
        self.until(|s| s.state == RecordingState::Off).await
    }

    fn events(&self, kind: EventKind) -> Vec<Event> {
        self.events.lock().unwrap().iter().filter(|event| event.kind == kind).cloned().collect()
    }
}

fn collector() -> (Arc<Mutex<Vec<Event>>>, EventSink) {
    let events = Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    (events, Arc::new(move |event| sink.lock().unwrap().push(event)))
}

/// Runs a test on one thread with real time: the recorder's threads and files are real.
fn on_air<F: Future<Output = ()>>(test: F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(LocalSet::new().run_until(test));
}

fn h264(from_s: i64, seconds: i64) -> Vec<Arc<AccessUnit>> {
    programme(Codec::H264, Codec::Aac, Media::from_millis(1000 * from_s), seconds)
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    // By number, which is what counts.
    files.sort_by_key(|path| path.to_string_lossy().rsplit('_').next().map(str::to_owned));
    files
}

fn read(path: &Path) -> Scan {
    scan(&fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn samples(scans: &[Scan]) -> usize {
    scans.iter().flat_map(|scan| &scan.tracks).map(|track| track.samples.len()).sum()
}

#[test]
fn a_programme_is_recorded_into_closed_files_with_every_unit_in_one_of_them() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig =
            Rig::new(RecordingSettings { rotate_after: Duration::from_secs(2), ..settings(dir.path()) }, LocalDisk);
        let units = h264(100, 7);
        rig.start().await;
        rig.push(&units).await;
        let end = rig.stop().await;

        let scans: Vec<Scan> = files(dir.path()).iter().map(|path| read(path)).collect();
        assert_eq!(scans.iter().map(|scan| scan.tracks[0].samples.len()).collect::<Vec<_>>(), [60, 60, 60, 30]);
        assert_eq!(samples(&scans), units.len());
        assert!(scans.iter().all(|scan| scan.duration_ms.is_some() && scan.seek_points.is_some()));
        assert!(files(dir.path()).iter().all(|path| path.extension().is_some_and(|e| e == "mp4")));
        assert_eq!((end.lost, end.file), (0, None));
        let bytes: u64 = files(dir.path()).iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        assert_eq!(end.bytes, bytes);
        assert_eq!(rig.events(EventKind::RecordingOpened).len(), 4);
        assert_eq!(rig.events(EventKind::RecordingClosed).len(), 4);
        assert_eq!(rig.events(EventKind::RecordingTrouble), []);
    });
}

#[test]
fn sound_that_comes_after_the_keyframe_of_the_next_file_is_in_the_file_it_belongs_to() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let rotate_after = Duration::from_secs(2);
        let mut rig = Rig::new(RecordingSettings { rotate_after, ..settings(dir.path()) }, LocalDisk);
        let mut units = h264(100, 7);
        // Its encoder takes longer.
        let late = |unit: &AccessUnit| if unit.track == Track::Audio { Media::from_millis(100) } else { Media::ZERO };
        units.sort_by_key(|unit| unit.dts + late(unit));
        // One packet belongs to before the first file.
        let mut early = units.iter().find(|unit| unit.track == Track::Audio).unwrap().clone();
        Arc::make_mut(&mut early).dts = Media::from_millis(99_990);
        units.insert(3, early);
        rig.start().await;
        rig.push(&units).await;
        let end = rig.stop().await;

        let scans: Vec<Scan> = files(dir.path()).iter().map(|path| read(path)).collect();
        assert_eq!(scans.iter().map(|scan| scan.tracks[0].samples.len()).collect::<Vec<_>>(), [60, 60, 60, 30]);
        assert_eq!((samples(&scans), end.lost), (units.len() - 1, 0), "sound is missing between two files");
        for scan in &scans[..3] {
            let sound = &scan.tracks[1].samples;
            let (first, last) = (sound.first().unwrap(), sound.last().unwrap());
            assert!(first.dts < 1024 && last.dts < 96_000 && last.dts + 1024 >= 96_000, "{first:?} to {last:?}");
        }
        assert!(files(dir.path()).iter().all(|path| path.extension().is_some_and(|e| e == "mp4")));
        assert_eq!(rig.events(EventKind::RecordingClosed).len(), 4);
        assert_eq!(rig.events(EventKind::RecordingTrouble), []);
    });
}

#[test]
fn recording_again_goes_on_counting_files_and_bytes() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(dir.path()), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 1)).await;
        let first = rig.stop().await;
        rig.start().await;
        rig.push(&h264(10, 1)).await;
        let second = rig.stop().await;
        let numbers: Vec<_> = files(dir.path()).iter().map(|p| p.to_string_lossy().ends_with("_0002.mp4")).collect();
        assert_eq!(numbers, [false, true]);
        assert!(second.bytes > first.bytes);
    });
}

#[test]
fn dropping_the_handle_closes_the_file() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(dir.path()), LocalDisk);
        rig.start().await;
        let units = h264(0, 3);
        rig.push(&units).await;
        let Rig { handle, mut snapshot, .. } = rig;
        drop(handle);
        while snapshot.changed().await.is_ok() {}
        assert_eq!(samples(&[read(&files(dir.path())[0])]), units.len());
    });
}

#[test]
fn another_configuration_begins_another_file_at_its_keyframe() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(dir.path()), LocalDisk);
        let mut units = h264(0, 4);
        for unit in units.iter_mut().filter(|unit| unit.dts >= Media::from_millis(2000)) {
            let unit = Arc::make_mut(unit);
            if unit.track == Track::Video {
                unit.config = Arc::new(CodecConfig { bitrate: 1, ..(*unit.config).clone() });
            }
        }
        rig.start().await;
        rig.push(&units).await;
        let end = rig.stop().await;
        let scans: Vec<Scan> = files(dir.path()).iter().map(|path| read(path)).collect();
        assert_eq!(scans.iter().map(|scan| scan.tracks[0].samples.len()).collect::<Vec<_>>(), [60, 60]);
        assert_eq!((samples(&scans), end.lost), (units.len(), 0));
    });
}

#[test]
fn the_quota_lets_the_oldest_closed_files_of_this_recording_go_and_no_others() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let strangers = ["holiday.mp4", "archive_2_20261118T102640Z_0001.mp4", "archive_20261118T102640Z_0001.txt"];
        strangers.iter().for_each(|name| fs::write(dir.path().join(name), [0; 50_000]).unwrap());
        let quota = 80_000;
        let mut rig = Rig::new(RecordingSettings { max_bytes: Some(quota), ..settings(dir.path()) }, LocalDisk);
        // Ten files of 14 kB or so, each closed before the next begins.
        for second in 0..10 {
            rig.start().await;
            rig.push(&h264(second, 1)).await;
            rig.stop().await;
        }

        let ours: Vec<_> =
            files(dir.path()).into_iter().filter(|p| !strangers.iter().any(|s| p.ends_with(s))).collect();
        let sizes: Vec<u64> = ours.iter().map(|path| fs::metadata(path).unwrap().len()).collect();
        let (last, before) = sizes.split_last().unwrap();
        assert!(before.iter().sum::<u64>() <= quota, "when the last file began, the quota was kept: {sizes:?}");
        assert!(sizes.iter().sum::<u64>() + last > quota, "no more went than had to: {sizes:?}");
        assert!(!ours.iter().any(|path| path.to_string_lossy().ends_with("_0001.mp4")));
        assert!(strangers.iter().all(|name| dir.path().join(name).exists()));
    });
}

#[test]
fn an_absent_directory_is_told_once_and_recording_begins_when_it_is_there() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let target = dir.path().join("usb");
        let mut rig = Rig::new(settings(&target), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 1)).await;
        let state = rig.until(|s| matches!(s.state, RecordingState::Trouble { .. })).await;
        let RecordingState::Trouble { because } = state.state else { panic!("{:?}", state.state) };
        assert!(because.contains("usb is not there: plug in and mount the disk"), "{because}");
        assert!(!target.exists(), "the recorder created the mount point");

        fs::create_dir(&target).unwrap();
        rig.tell(OutputCommand::RetryNow).await;
        rig.push(&h264(1, 3)).await;
        rig.until(|s| s.state == RecordingState::Recording && s.bytes > 0).await;
        let end = rig.stop().await;
        let recorded = samples(&[read(&files(&target)[0])]);
        assert_eq!(recorded as u64 + end.lost, (h264(0, 1).len() + h264(1, 3).len()) as u64);
        let trouble = rig.events(EventKind::RecordingTrouble);
        assert_eq!(trouble.iter().map(|e| e.severity).collect::<Vec<_>>(), [Severity::Alert, Severity::Info]);
    });
}

/// A gate that test code opens.
#[derive(Default)]
struct Latch {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.changed.notify_all();
    }

    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.changed.wait_while(open, |open| !*open).unwrap());
    }
}

/// A disk whose writes or syncs hang until a latch opens.
struct Hanging {
    writes: Arc<Latch>,
    syncs: Arc<Latch>,
}

impl Disk for Hanging {
    fn append(&self, file: &File, parts: &[Bytes]) -> io::Result<()> {
        self.writes.pass();
        LocalDisk.append(file, parts)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.syncs.pass();
        LocalDisk.sync(file)
    }
}

#[test]
fn a_disk_that_hangs_costs_whole_groups_of_the_recording_and_nothing_else() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let (writes, syncs) = (Arc::new(Latch::default()), Arc::new(Latch::default()));
        syncs.set(true);
        let mut rig = Rig::new(settings(dir.path()), Hanging { writes: writes.clone(), syncs });
        rig.start().await;

        // 40 s are some 3000 units; the queue holds 2048. That this line is passed at all is the point: the data plane
        // is this thread, and the disk has not taken one byte.
        let units = h264(0, 40);
        let mut pushed = units.len();
        rig.push(&units).await;
        let state = rig.until(|s| matches!(s.state, RecordingState::Trouble { .. })).await;
        assert_eq!(state.bytes, 0);
        assert!(state.lost > 0);

        writes.set(true);
        let mut from = 40;
        while !matches!(rig.snapshot.borrow_and_update().state, RecordingState::Recording) {
            let more = h264(from, 1);
            pushed += more.len();
            rig.push(&more).await;
            from += 1;
            rig.snapshot.changed().await.unwrap();
        }
        let end = rig.stop().await;
        let scan = read(&files(dir.path())[0]);
        assert_eq!(
            samples(std::slice::from_ref(&scan)) as u64 + end.lost,
            pushed as u64,
            "every unit is accounted for"
        );
        let after_the_gap = scan.tracks[0].samples.windows(2).filter(|w| w[1].dts - w[0].dts > 1000);
        assert!(after_the_gap.map(|w| w[1].key).eq([true]), "one gap, and a keyframe after it");
        let trouble = rig.events(EventKind::RecordingTrouble);
        assert_eq!(trouble.iter().map(|e| e.severity).collect::<Vec<_>>(), [Severity::Alert, Severity::Info]);
    });
}

#[test]
fn a_sync_that_hangs_does_not_hold_up_writing() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let (writes, syncs) = (Arc::new(Latch::default()), Arc::new(Latch::default()));
        writes.set(true);
        let mut rig = Rig::new(settings(dir.path()), Hanging { writes, syncs: syncs.clone() });
        rig.start().await;
        let mut before = 0;
        for second in 0..5 {
            rig.push(&h264(second, 1)).await;
            before = rig.until(|s| s.bytes > before).await.bytes;
        }
        syncs.set(true);
        let end = rig.stop().await;
        assert_eq!((end.lost, samples(&[read(&files(dir.path())[0])])), (0, h264(0, 5).len()));
    });
}

/// A disk of so many bytes.
struct Small(Arc<Mutex<u64>>);

impl Disk for Small {
    fn append(&self, file: &File, parts: &[Bytes]) -> io::Result<()> {
        let mut left = self.0.lock().unwrap();
        for part in parts {
            // As the kernel does: what fits is written.
            let fits = part.len().min(*left as usize);
            LocalDisk.append(file, &[part.slice(..fits)])?;
            *left -= fits as u64;
            if fits < part.len() {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        Ok(())
    }

    fn free(&self, _directory: &Path) -> io::Result<u64> {
        Ok(*self.0.lock().unwrap())
    }
}

#[test]
fn a_full_disk_leaves_a_readable_file_and_recording_goes_on_when_there_is_room() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let left = Arc::new(Mutex::new(30_000));
        let mut rig = Rig::new(settings(dir.path()), Small(left.clone()));
        rig.start().await;
        rig.push(&h264(0, 10)).await;
        let state = rig.until(|s| matches!(s.state, RecordingState::Trouble { .. })).await;
        let RecordingState::Trouble { because } = state.state else { panic!("{:?}", state.state) };
        assert!(because.contains("is full") && because.contains("delete something"), "{because}");

        *left.lock().unwrap() = 1_000_000;
        rig.tell(OutputCommand::RetryNow).await;
        rig.push(&h264(10, 5)).await;
        rig.until(|s| s.state == RecordingState::Recording).await;
        let end = rig.stop().await;
        let found = files(dir.path());
        let scans: Vec<Scan> = found.iter().map(|path| read(path)).collect();
        assert_eq!(scans.len(), 2);
        assert_eq!(scans[0].whole as u64, fs::metadata(&found[0]).unwrap().len(), "cut to its last whole fragment");
        assert_eq!(samples(&scans) as u64 + end.lost, (h264(0, 10).len() + h264(10, 5).len()) as u64);
        let trouble = rig.events(EventKind::RecordingTrouble);
        assert_eq!(trouble.iter().map(|e| e.severity).collect::<Vec<_>>(), [Severity::Alert, Severity::Info]);
    });
}

/// A mounted tmpfs, unmounted when dropped.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Option<Self> {
        let dir = TempDir::new().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(dir.path()).output();
        mounted.is_ok_and(|out| out.status.success()).then(|| Self(dir))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_really_full_file_system_leaves_a_readable_file() {
    let Some(disk) = Tmpfs::mount("128k") else {
        eprintln!("skipped: mounting a small tmpfs needs root");
        return;
    };
    let dir = disk.0.path().to_owned();
    on_air(async move {
        let mut rig = Rig::new(settings(&dir), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 20)).await;
        rig.until(|s| matches!(s.state, RecordingState::Trouble { .. })).await;
        let end = rig.stop().await;
        let scan = read(&files(&dir)[0]);
        assert!(scan.fragments > 50, "{}", scan.fragments);
        assert_eq!(samples(&[scan]) as u64 + end.lost, h264(0, 20).len() as u64);
        assert_eq!(end.free_bytes.map(|free| free < 128 << 10), Some(true));
    });
}

#[test]
fn what_a_crash_left_open_is_salvaged_wherever_it_was_cut() {
    // Every byte offset, so on a file system that does not wait for a disk.
    let shm = Path::new("/dev/shm");
    let dir = if shm.is_dir() { TempDir::new_in(shm) } else { TempDir::new() }.unwrap();
    let mut whole = Vec::new();
    on_air(async {
        let source = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(source.path()), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 1)).await;
        rig.stop().await;
        whole = fs::read(&files(source.path())[0]).unwrap();
    });
    whole.truncate(16_000);
    let part = dir.path().join("archive_20261118T102640Z_0001.mp4.part");
    let closed = part.with_extension("");
    let (events, sink) = collector();
    let report = Report::new(&settings(dir.path()), sink);
    let mut best = 0;
    for cut in 0..=whole.len() {
        fs::write(&part, &whole[..cut]).unwrap();
        closer::salvage(&LocalDisk, &report, &part);
        assert!(!part.exists(), "cut at {cut}");
        let fragments = scan(&whole[..cut]).map_or(0, |scan| scan.fragments);
        assert!(fragments >= best, "cut at {cut}");
        best = fragments;
        if fragments == 0 {
            assert!(!closed.exists(), "cut at {cut}: nothing whole, nothing kept");
            continue;
        }
        let salvaged = fs::read(&closed).unwrap();
        let found = scan(&salvaged).unwrap();
        assert_eq!((found.fragments, found.whole), (fragments, salvaged.len()), "cut at {cut}");
        assert_eq!(salvaged, whole[..salvaged.len()], "cut at {cut}");
        fs::remove_file(&closed).unwrap();
    }
    assert!(best > 4, "{best} fragments");
    assert_eq!(events.lock().unwrap().len(), whole.len() + 1, "each is told");
}

#[test]
fn a_file_that_another_process_is_writing_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let part = dir.path().join("archive_20261118T102640Z_0001.mp4.part");
    let writer = File::create(&part).unwrap();
    writer.try_lock().unwrap();
    let (_, sink) = collector();
    closer::salvage(&LocalDisk, &Report::new(&settings(dir.path()), sink), &part);
    assert!(part.exists());
}

#[test]
fn the_file_of_a_crashed_run_is_closed_when_the_next_begins() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(dir.path()), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 2)).await;
        rig.stop().await;
        let closed = files(dir.path()).remove(0);
        let bytes = fs::read(&closed).unwrap();
        fs::remove_file(&closed).unwrap();
        let part = PathBuf::from(format!("{}.part", closed.display()));
        fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();

        rig.start().await;
        rig.push(&h264(5, 2)).await;
        rig.stop().await;
        let found = files(dir.path());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], closed);
        assert!(read(&closed).fragments > 3);
        assert!(found[1].to_string_lossy().ends_with("_0002.mp4"), "the salvaged file's number is not used again");
    });
}

#[test]
fn the_queue_is_bounded_in_units_and_bytes() {
    let (intake, outlet) = queue::bounded();
    let unit = h264(0, 1).remove(0);
    for _ in 0..queue::UNITS {
        assert!(intake.push(unit.clone()));
    }
    assert_eq!(intake.level(&unit), super::policy::Level::Full);
    assert!(!intake.push(unit.clone()), "the bound holds whatever the gate thinks");
    while outlet.next(Duration::ZERO).is_ok() {}
    assert_eq!(intake.waiting(), (0, 0));
    let big = AccessUnit { payload: Bytes::from(vec![0; queue::BYTES / 2]), ..(*unit).clone() };
    assert!(intake.push(Arc::new(big.clone())));
    assert_eq!(intake.level(&big), super::policy::Level::High);
    assert!(intake.push(Arc::new(big.clone())));
    assert_eq!(intake.level(&big), super::policy::Level::Full);
}

#[test]
fn every_event_names_the_recording_and_says_something() {
    on_air(async {
        let dir = TempDir::new().unwrap();
        let mut rig = Rig::new(settings(dir.path()), LocalDisk);
        rig.start().await;
        rig.push(&h264(0, 1)).await;
        rig.stop().await;
        let events = rig.events.lock().unwrap();
        assert_eq!(events.iter().map(|event| event.subject.as_str()).collect::<BTreeSet<_>>(), ["archive"].into());
        assert!(events.iter().all(|event| !event.reason.is_empty()));
    });
}
