//! The rules. Each takes what it looks at and returns what is wrong with it; none of them reads a file.

use std::fmt;

use super::rooms::{
    IMPURE_STD, LONG_FILES, LONGEST_FILE, LONGEST_MAIN, PURE_CRATES, PURE_FILES, ROOMS, Room, SLEEPERS, room,
};
use super::source::{Source, Token, paths};

/// Something to mend.
#[derive(Debug, PartialEq)]
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

fn violation(source: &Source, line: usize, what: impl Into<String>) -> Violation {
    Violation { path: source.path.clone(), line, what: what.into() }
}

/// The room that a file below `src` belongs to.
pub fn room_of(path: &str) -> Option<&'static Room> {
    let below = path.strip_prefix("src/")?;
    room(below.split('/').next()?.trim_end_matches(".rs"))
}

/// Whether a file has to be pure: by its room, by the list, by its first line, or as part of such a file.
pub fn must_be_pure(path: &str, says_pure: impl Fn(&str) -> bool) -> bool {
    if room_of(path).is_some_and(|room| room.pure) {
        return true;
    }
    let mut file = path.to_owned();
    loop {
        if PURE_FILES.contains(&file.as_str()) || says_pure(&file) {
            return true;
        }
        let Some((folder, _)) = file.trim_end_matches(".rs").rsplit_once('/') else { return false };
        file = format!("{folder}.rs");
    }
}

/// Decides and does nothing else.
pub fn purity(source: &Source, dependencies: &[String]) -> Vec<Violation> {
    let mut found = Vec::new();
    // A module of that name hides the crate.
    let module = |name: &str| source.code.windows(2).any(|pair| pair[0].text == "mod" && pair[1].text == name);
    for (path, line) in source.paths() {
        let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
        if module(first) {
            continue;
        }
        let is_crate = dependencies.iter().any(|d| d == first) && !rest.is_empty();
        let last = path.rsplit("::").next().unwrap_or("");
        let constant = last.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        if is_crate && !(first == "libc" && constant) && !PURE_CRATES.contains(&first) {
            found.push(violation(
                source,
                line,
                format!("{path}: a pure file may only name the crates {}", PURE_CRATES.join(", ")),
            ));
        }
        for (forbidden, except) in IMPURE_STD {
            let below = |base: &str| path == base || path.strip_prefix(base).is_some_and(|rest| rest.starts_with("::"));
            let whole = path == *forbidden && except.iter().any(|e| e.starts_with(&format!("{forbidden}::")));
            if below(forbidden) && !whole && !except.iter().any(|e| below(e)) {
                found.push(violation(source, line, format!("{path}: a pure file does no input or output")));
            }
        }
        if path.ends_with("Instant::now") || path.ends_with("Instant::elapsed") {
            found.push(violation(source, line, format!("{path}: take `now` as an argument")));
        }
        if path.ends_with("Rng::new") || path == "fastrand::Rng::default" {
            found.push(violation(source, line, format!("{path}: take a seeded Rng as an argument")));
        }
    }
    for (i, token) in source.code.iter().enumerate() {
        let next = source.code.get(i + 1).map_or("", |t| t.text.as_str());
        let before = i.checked_sub(1).and_then(|b| source.code.get(b)).map_or("", |t| t.text.as_str());
        let what = match (before, token.text.as_str(), next) {
            (_, "async", _) | (".", "await", _) => "a pure file waits for nothing",
            (".", "elapsed", "(") => "elapsed() reads the clock; subtract two instants",
            (_, "println" | "eprintln" | "print" | "eprint", "!") => "a pure file prints nothing",
            (_, "static", "mut") | (_, "thread_local", "!") => "a pure file keeps no state of its own",
            _ => continue,
        };
        found.push(violation(source, token.line, format!("{}: {what}", token.text)));
    }
    found
}

/// Names only the rooms it may know.
pub fn edges(source: &Source) -> Vec<Violation> {
    let Some(home) = room_of(&source.path) else { return Vec::new() };
    let mut found = Vec::new();
    for (path, line) in source.paths() {
        let Some(rest) = path.strip_prefix("crate::") else { continue };
        let Some(other) = room(rest.split("::").next().unwrap_or("")) else { continue };
        if other.name != home.name && !home.knows.contains(&other.name) {
            let what = format!("{path}: {} may not know {}: {}", home.name, other.name, home.because);
            found.push(violation(source, line, what));
        }
    }
    found
}

/// Only the clock's own file reads a clock.
pub fn one_reader_of_time(source: &Source) -> Vec<Violation> {
    if source.path == "src/clock.rs" {
        return Vec::new();
    }
    let readers = ["Instant::now", "SystemTime::now", "Timestamp::now", "Zoned::now", "clock_gettime", "gettimeofday"];
    let reads = |path: &str| readers.iter().any(|r| path == *r || path.ends_with(&format!("::{r}")));
    let of_path = source.paths().into_iter().filter(|(path, _)| reads(path));
    let mut found: Vec<_> =
        of_path.map(|(path, line)| violation(source, line, format!("{path}: only crate::clock reads time"))).collect();
    for three in source.code.windows(3) {
        if three[0].text == "." && three[1].text == "elapsed" && three[2].text == "(" {
            found.push(violation(source, three[1].line, "elapsed() reads the clock; subtract two instants"));
        }
    }
    found
}

/// One owner.
pub fn no_shared_locks(source: &Source) -> Vec<Violation> {
    let texts: Vec<&str> = source.code.iter().map(|t| t.text.as_str()).collect();
    let mut found = Vec::new();
    for (i, window) in texts.windows(2).enumerate() {
        if window != ["Arc", "<"] {
            continue;
        }
        // The type may be written with its path: Arc<std::sync::Mutex<…>>.
        let inner = texts[i + 2..].iter().find(|t| !matches!(**t, "::" | "std" | "sync" | "tokio" | "parking_lot"));
        if matches!(inner, Some(&("Mutex" | "RwLock"))) {
            found.push(violation(
                source,
                source.code[i].line,
                "Arc<lock>: one owner; publish through tokio::sync::watch",
            ));
        }
    }
    found
}

/// A test waits for a condition, never for a time; under paused time a sleep is not a wait.
pub fn no_sleep_in_tests(source: &Source) -> Vec<Violation> {
    if SLEEPERS.iter().any(|(beginning, _)| source.path.starts_with(beginning)) {
        return Vec::new();
    }
    let paused = source.tests.iter().any(|t| t.text == "start_paused");
    let call = |pair: &[Token]| matches!(pair[0].text.as_str(), "sleep" | "sleep_ms" | "usleep") && pair[1].text == "(";
    let mut found = Vec::new();
    for pair in source.tests.windows(2).filter(|pair| call(pair)) {
        if !paused {
            found.push(violation(source, pair[0].line, "sleep in a test: wait for what you wait for, with a deadline"));
        }
    }
    found
}

/// The room's door says what it is for and what it never does.
pub fn door(path: &str, text: &str) -> Vec<Violation> {
    let doc: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
    let missing = |what: &str| vec![Violation { path: path.to_owned(), line: 1, what: what.to_owned() }];
    if doc.is_empty() {
        return missing("a room opens with a //! paragraph");
    }
    if !doc.iter().any(|line| line.contains("*Invariant")) {
        return missing("the room's //! has no *Invariant* sentence");
    }
    Vec::new()
}

/// `src/lib.rs` lists exactly the rooms of the map, in its order, and says of each rightly whether it is pure.
pub fn map(lib: &str) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut comment = "";
    for (i, line) in lib.lines().enumerate() {
        let wrong = |what: String| Violation { path: "src/lib.rs".to_owned(), line: i + 1, what };
        if line.starts_with("// ") {
            comment = line;
        }
        let Some(name) = line.strip_prefix("pub mod ").and_then(|l| l.strip_suffix(';')) else { continue };
        match ROOMS.get(at) {
            Some(room) if room.name == name => {
                if comment.trim_end().ends_with("  pure") != room.pure {
                    found.push(wrong(format!(
                        "{name}: the comment above and tests/tidy/rooms.rs differ on whether it is pure"
                    )));
                }
            }
            Some(room) => found.push(wrong(format!("{name}: the map of tests/tidy/rooms.rs has {} here", room.name))),
            None => found.push(wrong(format!("{name}: is not on the map in tests/tidy/rooms.rs"))),
        }
        at += 1;
    }
    for room in ROOMS.iter().skip(at) {
        let what = format!("{} is on the map in tests/tidy/rooms.rs but not here", room.name);
        found.push(Violation { path: "src/lib.rs".to_owned(), line: 1, what });
    }
    found
}

/// Fits into a head; a binary's main only wires.
pub fn length(path: &str, text: &str) -> Vec<Violation> {
    let lines = text.lines().count();
    let is_main = path.starts_with("src/bin/") && (path.matches('/').count() == 2 || path.ends_with("/main.rs"));
    let most = if is_main { LONGEST_MAIN } else { LONGEST_FILE };
    if lines <= most || LONG_FILES.iter().any(|(long, _)| *long == path) {
        return Vec::new();
    }
    vec![Violation { path: path.to_owned(), line: lines, what: format!("{lines} lines, at most {most}: split it") }]
}

/// Words that a comment may not have: what is left to do stands in an issue.
pub fn no_leftovers(path: &str, text: &str) -> Vec<Violation> {
    let words = ["TODO", "FIXME", "XXX", "HACK"];
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let comment = line.find("//").or_else(|| line.find('#')).map_or("", |at| &line[at..]);
        let mut of_line = comment.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(word) = of_line.find(|w| words.contains(w)) {
            found.push(Violation {
                path: path.to_owned(),
                line: i + 1,
                what: format!("{word}: do it, or write an issue"),
            });
        }
    }
    found
}

/// Nothing in the tree depends on the machine or the network it was written on.
pub fn no_machine_paths(path: &str, text: &str) -> Vec<Violation> {
    // In pieces, so that this file may be looked at as well.
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("../sha", "red"),
        concat!("registry.np", "mjs"),
        concat!("py", "pi.org"),
        concat!("python", "hosted"),
        concat!("static.cra", "tes.io"),
        concat!("index.cra", "tes.io"),
    ];
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if let Some(what) = forbidden.iter().find(|f| line.contains(**f)) {
            let what = format!("{what}: belongs to one machine or network; name things by package or relative path");
            found.push(Violation { path: path.to_owned(), line: i + 1, what });
        }
    }
    found
}

/// A file that moved takes its place on the list with it.
pub fn every_pure_file_exists(exists: impl Fn(&str) -> bool) -> Vec<Violation> {
    let gone = PURE_FILES.iter().filter(|path| !exists(path));
    gone.map(|path| Violation {
        path: (*path).to_owned(),
        line: 1,
        what: "is on the list of pure files but not there".to_owned(),
    })
    .collect()
}

/// The names that a path can begin with, from Cargo.toml.
pub fn dependencies(cargo_toml: &str) -> Vec<String> {
    let Ok(manifest) = cargo_toml.parse::<toml::Table>() else { return Vec::new() };
    let names = manifest.get("dependencies").and_then(toml::Value::as_table);
    names.into_iter().flat_map(|t| t.keys()).map(|name| name.replace('-', "_")).collect()
}

/// For the checker's own tests.
pub fn paths_of(text: &str) -> Vec<String> {
    paths(&Source::new("snippet.rs", text).code).into_iter().map(|(path, _)| path).collect()
}
