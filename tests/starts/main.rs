//! How a worker starts: from exec to its encoders and its first picture, with and without the list of GStreamer's plugins.
#![cfg(feature = "encode")]
// A test says what it expected by panicking, and it is about real time.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, missing_docs, unreachable_pub)]

mod worker;

use std::fs;
use std::path::Path;
use std::time::Duration;

use worker::{Home, Start};

/// Far above what it takes on an idle machine, which is 0.2 s.
const LONGEST: Duration = Duration::from_secs(20);

fn show(what: &str, Start { ready, picture }: Start) -> Start {
    println!(
        "    {what}: encoders ready after {} ms, first picture after {} ms",
        ready.as_millis(),
        picture.as_millis()
    );
    assert!(picture < LONGEST, "{what}: {picture:?}");
    Start { ready, picture }
}

#[test]
fn a_worker_makes_the_list_of_plugins_once_and_looks_through_none_after_that() {
    let home = Home::new("kind = \"pattern\"");
    // The first one also tries its encoder.
    show("without anything", home.start());
    let scans = home.scans();
    assert!(scans > 0, "GStreamer looked through no plugins, so that this test sees nothing");
    assert_eq!(home.registries().len(), 1);
    for _ in 0..3 {
        show("with the list", home.start());
    }
    assert_eq!(home.scans(), scans, "a worker looked through the plugins although there is a list");

    // As after a power cut.
    let list = home.registries().remove(0);
    let mut content = fs::read(&list).unwrap();
    let middle = content.len() / 2;
    content[middle] ^= 0xff;
    fs::write(&list, content).unwrap();
    show("with a damaged list", home.start());
    assert!(home.scans() > scans, "a damaged list was used");
    let scans = home.scans();
    show("with the next list", home.start());
    assert_eq!(home.scans(), scans);
}

#[test]
fn a_film_is_there_soon() {
    let film = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/bigbuckbunny.mp4");
    let home = Home::new(&format!("kind = \"file\"\npath = \"{}\"", film.display()));
    show("a film without anything", home.start());
    for _ in 0..3 {
        show("a film with the list", home.start());
    }
}

#[test]
fn where_no_list_can_be_kept_it_works_all_the_same() {
    let home = Home::new("kind = \"pattern\"");
    fs::write(home.paths.plugin_registry_dir(), "no directory").unwrap();
    show("where no list can be kept", home.start());
    show("and again, with GStreamer's own", home.start());
    assert!(home.registries().is_empty());
}
