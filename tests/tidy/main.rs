//! The house rules that the compiler cannot check: what is pure, which room may know which, who reads the clock.
//!
//! `rooms` is the map to edit when a room or an edge is added; `rules` says what is looked for; `checker` proves that
//! each rule can fail.
#![allow(clippy::unwrap_used, clippy::panic, clippy::wildcard_enum_match_arm, missing_docs, unreachable_pub)]

mod checker;
mod rooms;
mod rules;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rules::Violation;
use source::Source;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the tree from the root, sorted, without what is built, fetched or version control's.
fn tree() -> Vec<String> {
    const NOT_OURS: [&str; 9] = [
        ".git",
        "target",
        ".tools",
        "demo-out",
        "results",
        "node_modules",
        "__pycache__",
        "artifacts",
        "proptest-regressions",
    ];
    let mut files = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if NOT_OURS.iter().any(|name| path.ends_with(name)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push(path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    files.sort();
    files
}

fn text(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(root().join(path)).unwrap()).into_owned()
}

/// The Rust files below `folder`; those that are modules for tests only are all test.
fn sources(folder: &str) -> Vec<Source> {
    let files = tree().into_iter().filter(|p| p.starts_with(folder) && p.ends_with(".rs"));
    let sources: Vec<Source> = files.map(|path| Source::read(root(), &path)).collect();
    let mut test_modules = BTreeSet::new();
    for source in &sources {
        let folder = source.path.trim_end_matches("/mod.rs").trim_end_matches("/main.rs").trim_end_matches(".rs");
        test_modules.extend(source.test_modules.iter().map(|name| format!("{folder}/{name}")));
    }
    let is_test = |path: &str| {
        let stem = path.trim_end_matches(".rs");
        test_modules
            .iter()
            .any(|module| stem == module || stem.strip_prefix(module).is_some_and(|s| s.starts_with('/')))
    };
    sources.into_iter().map(|s| if is_test(&s.path) { s.into_test() } else { s }).collect()
}

#[track_caller]
fn assert_tidy(found: impl IntoIterator<Item = Violation>) {
    let found: Vec<String> = found.into_iter().map(|v| format!("  {v}")).collect();
    assert!(found.is_empty(), "{} to mend:\n{}", found.len(), found.join("\n"));
}

#[test]
fn pure_files_only_decide() {
    let dependencies = rules::dependencies(&text("Cargo.toml"));
    let says_pure = |path: &str| root().join(path).is_file() && text(path).starts_with("//! Pure.");
    let pure = sources("src/").into_iter().filter(|s| rules::must_be_pure(&s.path, says_pure));
    assert_tidy(pure.flat_map(|source| rules::purity(&source, &dependencies)));
}

#[test]
fn files_on_the_list_of_pure_ones_exist_and_say_so() {
    let unmarked =
        rooms::PURE_FILES.iter().filter(|path| root().join(path).is_file() && !text(path).starts_with("//! Pure."));
    let unmarked = unmarked.map(|path| Violation {
        path: (*path).to_owned(),
        line: 1,
        what: "is on the list of pure files but does not begin with `//! Pure.`".to_owned(),
    });
    assert_tidy(rules::every_pure_file_exists(|path| root().join(path).is_file()).into_iter().chain(unmarked));
}

#[test]
fn rooms_know_only_the_rooms_they_may() {
    assert_tidy(sources("src/").iter().flat_map(rules::edges));
}

#[test]
fn only_the_clock_reads_time() {
    assert_tidy(sources("src/").iter().flat_map(rules::one_reader_of_time));
}

#[test]
fn nothing_is_shared_under_a_lock() {
    assert_tidy(sources("src/").iter().flat_map(rules::no_shared_locks));
}

#[test]
fn no_test_sleeps() {
    let own = sources("src/").into_iter();
    let tests = sources("tests/").into_iter().map(Source::into_test);
    assert_tidy(own.chain(tests).flat_map(|source| rules::no_sleep_in_tests(&source)));
}

#[test]
fn every_room_states_its_invariant() {
    let doors = rooms::ROOMS.iter().map(|room| {
        let door = format!("src/{}/mod.rs", room.name);
        if root().join(&door).is_file() { door } else { format!("src/{}.rs", room.name) }
    });
    assert_tidy(doors.flat_map(|path| rules::door(&path, &text(&path))));
}

#[test]
fn the_map_is_the_table_of_contents_and_the_folders_are_the_rooms() {
    let mut found = rules::map(&text("src/lib.rs"));
    for path in tree().iter().filter(|p| p.starts_with("src/") && p.ends_with(".rs")) {
        if rules::room_of(path).is_none() && !path.starts_with("src/bin/") && path != "src/lib.rs" {
            let what = "belongs to no room on the map in tests/tidy/rooms.rs".to_owned();
            found.push(Violation { path: path.clone(), line: 1, what });
        }
    }
    assert_tidy(found);
}

#[test]
fn files_fit_into_a_head_and_mains_only_wire() {
    let rust = tree().into_iter().filter(|path| path.ends_with(".rs"));
    assert_tidy(rust.flat_map(|path| rules::length(&path, &text(&path))));
}

#[test]
fn nothing_is_left_to_do_in_comments() {
    let kinds = [".rs", ".toml", ".yml", "Makefile", ".py", ".js", ".sh"];
    let files = tree().into_iter().filter(|path| {
        (kinds.iter().any(|kind| path.ends_with(kind)) || path.starts_with("scripts/"))
            && !path.starts_with("tests/tidy/")
    });
    assert_tidy(files.flat_map(|path| rules::no_leftovers(&path, &text(&path))));
}

#[test]
fn nothing_depends_on_the_machine_it_was_written_on() {
    let files = tree().into_iter().filter(|path| !path.ends_with("Cargo.lock") && path != "LICENSE");
    let small = files.filter(|path| fs::metadata(root().join(path)).unwrap().len() < 1 << 20);
    assert_tidy(small.flat_map(|path| rules::no_machine_paths(&path, &text(&path))));
}
