//! The thread that makes thumbnails, and the grid thread's way to it.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gstreamer as gst;
use gstreamer_video as gst_video;
use gstreamer_video::prelude::*;
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

use super::QUALITY;
use super::pace::{Pace, Step};
use super::shrink::{Planes, Small, shrink};
use crate::capture::canvas::video_info;
use crate::clock;
use crate::model::{Condition, Media, VideoFormat, Wall};

/// What the kernel is told of the thread: who encodes comes first (nice(2)).
const NICE: i32 = 10;
/// There is none.
const NONE: i64 = i64::MIN;

/// The worker's end: what there is, and the end of the thread.
#[derive(Debug)]
pub struct Keeper {
    thread: JoinHandle<()>,
    taken: Arc<AtomicI64>,
    troubles: Receiver<String>,
}

/// The grid thread's end. Dropped, it ends the thread, which removes the file.
#[derive(Debug)]
pub struct ThumbnailFeed {
    pace: Pace,
    orders: SyncSender<Order>,
}

#[derive(Debug)]
enum Order {
    /// The picture of that time.
    Show(gst::Buffer, Wall),
    Remove,
}

impl Keeper {
    /// Keeps the file at `path` for pictures in `canvas`. What an earlier worker left there is removed.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub fn start(path: PathBuf, canvas: VideoFormat) -> io::Result<(Self, ThumbnailFeed)> {
        // One waits; the one that is being made is the thread's.
        let (orders, inbox) = sync_channel(1);
        let (complain, troubles) = sync_channel(1);
        let taken = Arc::new(AtomicI64::new(NONE));
        let maker = Maker { path, layout: video_info(canvas), taken: taken.clone(), complain, complained: false };
        let thread = std::thread::Builder::new().name("thumbnail".to_owned()).spawn(move || maker.run(&inbox))?;
        Ok((Self { thread, taken, troubles }, ThumbnailFeed { pace: Pace::default(), orders }))
    }

    /// Of when the picture is that the file shows; `None` while there is no file.
    pub fn taken(&self) -> Option<Wall> {
        Some(self.taken.load(Ordering::Relaxed)).filter(|taken| *taken != NONE).map(Wall)
    }

    /// Why none can be written, told once until one can be.
    pub fn trouble(&self) -> Option<String> {
        self.troubles.try_recv().ok()
    }

    /// Waits until the file is removed. Call it when the grid thread has ended, which drops its feed.
    pub fn finish(self) {
        // A thread that ended by itself has nothing more to say.
        let _ = self.thread.join();
    }
}

impl ThumbnailFeed {
    /// The place at `time`, with the picture it shows and what is wrong with the input. Never waits.
    pub fn place(&mut self, time: Media, picture: Option<&gst::Buffer>, condition: &Condition) {
        let step = self.pace.step(time, picture.is_some(), condition);
        let order = match (step, picture) {
            (Step::Remove, _) => Order::Remove,
            (Step::Take, Some(picture)) => Order::Show(picture.clone(), clock::wall()),
            (Step::Take | Step::Wait, _) => return,
        };
        // While one waits this is not done, and asked for again at the next place.
        if self.orders.try_send(order).is_ok() {
            self.pace.done(step, time);
        }
    }
}

struct Maker {
    path: PathBuf,
    layout: Option<gst_video::VideoInfo>,
    taken: Arc<AtomicI64>,
    complain: SyncSender<String>,
    complained: bool,
}

impl Maker {
    fn run(mut self, orders: &Receiver<Order>) {
        // For this thread alone. Refused, it has the rank of the others.
        let _ = rustix::process::setpriority_process(None, NICE);
        self.remove();
        while let Ok(order) = orders.recv() {
            match order {
                Order::Show(buffer, taken) => self.show(&buffer, taken),
                Order::Remove => self.remove(),
            }
        }
        self.remove();
    }

    fn show(&mut self, buffer: &gst::BufferRef, taken: Wall) {
        // What is not what the canvas says is nobody's picture; the encoders say so.
        let Some(small) = self.layout.as_ref().and_then(|layout| small(buffer, layout)) else { return };
        match jpeg(&small).and_then(|jpeg| replace(&self.path, &jpeg)) {
            Ok(()) => {
                self.taken.store(taken.0, Ordering::Relaxed);
                self.complained = false;
            }
            Err(e) => {
                self.remove();
                if !std::mem::replace(&mut self.complained, true) {
                    // A full box means that the same has not been read yet.
                    let _ = self.complain.try_send(format!("no thumbnail: {}: {e}", self.path.display()));
                }
            }
        }
    }

    fn remove(&self) {
        self.taken.store(NONE, Ordering::Relaxed);
        // Usually because there is none.
        let _ = fs::remove_file(&self.path);
    }
}

fn small(buffer: &gst::BufferRef, layout: &gst_video::VideoInfo) -> Option<Small> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, layout).ok()?;
    let plane = |n| frame.plane_data(n).ok();
    let stride = |n: usize| usize::try_from(*frame.plane_stride().get(n)?).ok();
    let planes = [plane(0)?, plane(1)?, plane(2)?];
    let strides = [stride(0)?, stride(1)?, stride(2)?];
    let (width, height) = (usize::try_from(frame.width()).ok()?, usize::try_from(frame.height()).ok()?);
    Some(shrink(&Planes::new(planes, strides, width, height)?))
}

/// The JPEG of a small picture.
///
/// # Errors
/// The encoder's; it has none for sizes up to 65535.
pub fn jpeg(small: &Small) -> io::Result<Vec<u8>> {
    let side = |pixels: usize| u32::try_from(pixels).unwrap_or(u32::MAX);
    let mut file = Vec::with_capacity(16 << 10);
    let mut encoder = JpegEncoder::new_with_quality(&mut file, QUALITY);
    let encoded = encoder.encode(&small.rgb, side(small.width), side(small.height), ExtendedColorType::Rgb8);
    encoded.map_err(io::Error::other).map(|()| file)
}

/// Puts `content` in the place of `path` in one step, for everybody to read. It is not worth waiting for a disk: the directory
/// is emptied at boot.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Its role's lock keeps every other worker away from this name.
    let part = path.with_extension("jpg.part");
    fs::write(&part, content)
        .and_then(|()| fs::set_permissions(&part, fs::Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&part, path))
        .inspect_err(|_| {
            let _ = fs::remove_file(&part);
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    use super::*;
    use crate::model::{Fault, Finding, FrameRate};

    const CANVAS: VideoFormat = VideoFormat { width: 642, height: 362, rate: FrameRate::whole(30) };

    /// A grey picture with padding that is not.
    fn picture(level: u8) -> gst::Buffer {
        let layout = video_info(CANVAS).unwrap();
        let mut bytes = vec![255; layout.size()];
        for (plane, (width, height)) in [(642, 362), (321, 181), (321, 181)].into_iter().enumerate() {
            let stride = usize::try_from(layout.stride()[plane]).unwrap();
            assert!(stride > width, "there is padding");
            let rows = bytes[layout.offset()[plane]..].chunks_mut(stride).take(height);
            rows.for_each(|row| row[..width].fill(if plane == 0 { level } else { 128 }));
        }
        gst::Buffer::from_mut_slice(bytes)
    }

    fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
        let deadline = clock::now() + Duration::from_secs(20);
        while !there() {
            assert!(clock::now() < deadline, "{what}: not within 20 s");
            std::thread::yield_now();
        }
    }

    fn level(file: &[u8]) -> u8 {
        let image = image::load_from_memory_with_format(file, image::ImageFormat::Jpeg).unwrap().into_rgb8();
        assert_eq!((image.width(), image.height()), (319, 180));
        let first = image.get_pixel(0, 0).0[0];
        for pixel in image.pixels() {
            assert!(pixel.0.iter().all(|level| level.abs_diff(first) <= 2), "not even: {pixel:?} beside {first}");
        }
        first
    }

    #[test]
    fn whoever_reads_reads_a_whole_jpeg() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("thumbnails/cam.jpg");
        let layout = video_info(CANVAS).unwrap();
        let files: Vec<Vec<u8>> =
            [16, 125, 235].map(|level| jpeg(&small(&picture(level), &layout).unwrap()).unwrap()).into();
        replace(&path, &files[0]).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let writer = {
            let (path, over) = (path.clone(), over.clone());
            std::thread::spawn(move || {
                let mut written = 0u32;
                while !over.load(Ordering::Relaxed) {
                    replace(&path, &files[written as usize % files.len()]).unwrap();
                    written += 1;
                }
                written
            })
        };
        let mut seen = std::collections::BTreeSet::new();
        let mut reads = 0;
        wait_for("a few hundred reads, and each of the three among them", || {
            seen.insert(level(&fs::read(&path).unwrap()));
            reads += 1;
            reads >= 200 && seen.len() >= 3
        });
        over.store(true, Ordering::Relaxed);
        println!("    {reads} reads beside {} writes: levels {seen:?}", writer.join().unwrap());
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [0, 127, 255]);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a temporary file was left behind");
    }

    #[test]
    fn it_is_there_while_there_is_something_to_show_and_gone_otherwise() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cam.jpg");
        fs::write(&path, "of an earlier worker").unwrap();
        let (keeper, mut feed) = Keeper::start(path.clone(), CANVAS).unwrap();
        wait_for("what was there is removed", || !path.exists());
        assert_eq!(keeper.taken(), None);
        let began = clock::wall();
        feed.place(Media::from_millis(0), Some(&picture(125)), &Condition::GOOD);
        wait_for("the first", || keeper.taken().is_some());
        assert!(keeper.taken().unwrap() >= began && keeper.taken().unwrap() <= clock::wall());
        assert_eq!(level(&fs::read(&path).unwrap()), 127);
        feed.place(Media::from_millis(500), Some(&picture(235)), &Condition::GOOD);
        feed.place(Media::from_millis(1000), Some(&picture(16)), &Condition::GOOD);
        wait_for("the next second's", || level(&fs::read(&path).unwrap()) == 0);

        let stalled = Condition::new(vec![Finding { fault: Fault::Stalled, evidence: String::new() }]);
        wait_for("none", || {
            feed.place(Media::from_millis(1500), None, &stalled);
            !path.exists() && keeper.taken().is_none()
        });
        feed.place(Media::from_millis(2600), Some(&picture(125)), &Condition::GOOD);
        wait_for("again", || keeper.taken().is_some());
        assert!(path.exists());
        drop(feed);
        keeper.finish();
        assert!(!path.exists(), "it outlived its input");
    }

    #[test]
    fn a_place_where_nothing_can_be_written_is_told_once() {
        gst::init().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().join("thumbnails");
        fs::write(&directory, "no directory").unwrap();
        let (keeper, mut feed) = Keeper::start(directory.join("cam.jpg"), CANVAS).unwrap();
        let mut told = Vec::new();
        let mut second = 0;
        wait_for("told", || {
            second += 1;
            feed.place(Media::from_millis(1000 * second), Some(&picture(16)), &Condition::GOOD);
            told.extend(keeper.trouble());
            !told.is_empty()
        });
        assert!(told[0].starts_with("no thumbnail: /") && told[0].contains("thumbnails/cam.jpg"), "{told:?}");
        fs::remove_file(&directory).unwrap();
        wait_for("written", || {
            second += 1;
            feed.place(Media::from_millis(1000 * second), Some(&picture(16)), &Condition::GOOD);
            told.extend(keeper.trouble());
            keeper.taken().is_some()
        });
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn a_grid_thread_never_waits_for_a_thumbnail() {
        let (orders, _never_read) = sync_channel(1);
        let mut feed = ThumbnailFeed { pace: Pace::default(), orders };
        gst::init().unwrap();
        let picture = picture(16);
        for second in 0..100 {
            feed.place(Media::from_millis(1000 * second), Some(&picture), &Condition::GOOD);
        }
        assert_eq!(feed.pace.step(Media::from_millis(99_040), true, &Condition::GOOD), Step::Take, "still owed");
    }
}
