//! The thumbnails of a worker that runs: from a real film, and from the test picture.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use super::tests::{Rig, clip, rendition};
use super::*;
use crate::config::Source;

/// Waits for what is awaited of the thumbnail, of which every read must be a whole JPEG of that size. It is seen as its mean
/// level, 0 to 255; `None` while there is no file.
fn until(rig: &Rig, size: (u32, u32), what: &str, mut enough: impl FnMut(Option<u8>) -> bool) {
    let path = rig.dir.path().join("thumbnails/cam.jpg");
    let (began, patience) = (clock::now(), Duration::from_secs(60));
    loop {
        let level = fs::read(&path).ok().map(|file| {
            let image = image::load_from_memory_with_format(&file, image::ImageFormat::Jpeg).unwrap().into_luma8();
            assert_eq!((image.width(), image.height()), size);
            let sum: u64 = image.pixels().map(|pixel| u64::from(pixel.0[0])).sum();
            u8::try_from(sum / u64::from(size.0 * size.1)).unwrap()
        });
        if enough(level) {
            println!("    {what}: after {} ms", (clock::now() - began).as_millis());
            return;
        }
        assert!(clock::now() - began < patience, "{what}: not within {patience:?}; the last was {level:?}");
        clock::sleep_until(clock::media() + crate::model::Media::from_millis(20));
    }
}

#[test]
fn a_films_thumbnail_moves_with_it_and_vanishes_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("clip.mp4");
    clip(&path, false);
    // Nobody ever connects: an input that is not on air is seen as well.
    let rig = Rig::start(Source::File { path: path.clone() }, vec![rendition("main", (640, 360), 300_000)], Vec::new());
    let (mut dark, mut bright) = (false, false);
    until(&rig, (320, 180), "both halves of the film", |level| {
        dark |= level.is_some_and(|level| level < 40);
        bright |= level.is_some_and(|level| level > 215);
        dark && bright
    });
    fs::write(&path, "no film any more").unwrap();
    until(&rig, (320, 180), "none", |level| level.is_none());
    clip(&dir.path().join("again.mp4"), false);
    fs::rename(dir.path().join("again.mp4"), &path).unwrap();
    until(&rig, (320, 180), "there again", |level| level.is_some());
    rig.stop();
}

#[test]
fn a_thumbnail_is_reported_with_its_time_and_ends_with_its_worker() {
    let rig = Rig::start(Source::Pattern { noise: false }, vec![rendition("main", (640, 480), 300_000)], Vec::new());
    let _plane = rig.accept();
    until(&rig, (240, 180), "the test picture", |level| level.is_some());
    let reported = loop {
        if let ChildMessage::Worker(report) = rig.reports.recv_timeout(Duration::from_secs(20)).unwrap()
            && let Some(thumbnail) = report.thumbnail
        {
            break thumbnail;
        }
    };
    let path = rig.dir.path().join("thumbnails/cam.jpg");
    assert_eq!(reported.path, path.display().to_string());
    println!("    reported when it was {} ms old", reported.age_ms(clock::wall()));
    let dir = rig.dir.path().to_owned();
    let mut newest = reported.taken;
    until(&rig, (240, 180), "a later one", |_| {
        let thumbnails = rig
            .reports
            .try_iter()
            .filter_map(|said| if let ChildMessage::Worker(report) = said { report.thumbnail } else { None });
        newest = thumbnails.map(|thumbnail| thumbnail.taken).max().unwrap_or(newest);
        newest > reported.taken
    });
    let left = rig.stop_and_look(|| fs::read_dir(dir.join("thumbnails")).unwrap().count());
    assert_eq!(left, 0, "a thumbnail outlived its worker");
}
