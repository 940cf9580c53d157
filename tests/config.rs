//! Every mistake in `tests/config` is refused with exactly the message that stands beside it.
//!
//! `<mistake>.toml` is the configuration, `<mistake>.secrets.toml` its secrets file if it has one, `<mistake>.txt` what
//! the operator reads; those in `tests/config/relay` are a relay's. `BLESS=1 cargo test --test config` writes the messages
//! anew; read the difference before you commit it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use holdfast::config;

/// What the operator reads about the mistake in `path`.
fn message(path: &Path) -> String {
    let main = fs::read_to_string(path).unwrap();
    let secrets = fs::read_to_string(path.with_extension("secrets.toml")).ok();
    let secrets = secrets.as_ref().map(|text| ("secrets.toml", text.as_str()));
    let base = Path::new("/etc/holdfast");
    let refusal = if path.parent().is_some_and(|dir| dir.ends_with("relay")) {
        config::parse_relay(base, ("relay.toml", &main), secrets).err()
    } else {
        config::parse(base, ("holdfast.toml", &main), secrets).err()
    };
    refusal.map_or("accepted\n".to_owned(), |errors| format!("{errors}\n"))
}

fn files() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config");
    let dirs = [dir.clone(), dir.join("relay")];
    let entries = dirs.iter().flat_map(|dir| fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()));
    entries.filter(|path| path.is_file()).collect()
}

fn mistakes() -> Vec<PathBuf> {
    let mut paths = files();
    paths.retain(|path| {
        let name = path.to_string_lossy();
        name.ends_with(".toml") && !name.ends_with(".secrets.toml")
    });
    paths.sort();
    paths
}

#[test]
fn every_mistake_is_refused_with_exactly_its_message() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for path in mistakes() {
        let (name, expected_path) = (path.display(), path.with_extension("txt"));
        let told = message(&path);
        if bless {
            fs::write(&expected_path, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected_path).unwrap_or_default();
        if told != expected {
            wrong.push_str(&format!("\n{name}:\n{}", difference(&expected, &told)));
        }
        if told == "accepted\n" {
            wrong.push_str(&format!("\n{name}: is accepted\n"));
        }
        if told.contains("1234") || told.contains("secret@") || told.contains("hooks.example.org") {
            wrong.push_str(&format!("\n{name}: repeats a secret\n"));
        }
    }
    assert!(wrong.is_empty(), "messages differ from tests/config/*.txt (- expected, + told):\n{wrong}");
}

#[test]
fn there_are_enough_mistakes_and_no_orphans() {
    let mistakes = mistakes();
    assert!(mistakes.len() >= 45, "only {} mistakes", mistakes.len());
    for path in files() {
        let stem = path.file_name().unwrap().to_string_lossy().split('.').next().unwrap().to_owned();
        assert!(path.with_file_name(format!("{stem}.toml")).exists(), "{} belongs to no mistake", path.display());
    }
}

/// The lines of both texts, those in only one of them marked.
fn difference(expected: &str, told: &str) -> String {
    let (expected, told): (Vec<_>, Vec<_>) = (expected.lines().collect(), told.lines().collect());
    let gone = expected.iter().filter(|line| !told.contains(line)).map(|line| format!("  - {line}\n"));
    let come = told.iter().filter(|line| !expected.contains(line)).map(|line| format!("  + {line}\n"));
    gone.chain(come).collect()
}

#[test]
fn a_difference_shows_what_changed_and_nothing_else() {
    assert_eq!(difference("a\nb\n", "a\nc\n"), "  - b\n  + c\n");
}
