//! Each rule finds what it is there for, and leaves alone what only looks like it.

use super::rules::{self, Violation};
use super::source::Source;

fn pure(snippet: &str) -> Vec<Violation> {
    let dependencies = ["tokio", "bytes", "nix", "libc", "fastrand", "ring"].map(str::to_owned);
    rules::purity(&Source::new("src/switch/snippet.rs", snippet), &dependencies)
}

#[test]
fn impure_code_is_found() {
    for snippet in [
        "use std::time::Instant; fn f() -> Instant { Instant::now() }",
        "fn f() { let t = std::time::Instant::now(); }",
        "use std::{sync::Arc, fs};",
        "use std::{collections::BTreeMap, net::{IpAddr, TcpStream}};",
        "fn f() { std::fs::read(\"x\").ok(); }",
        "use std::time::{Duration, SystemTime};",
        "use tokio::sync::watch;",
        "fn f() { tokio::spawn(g()); }",
        "use nix::poll::poll;",
        "fn f() -> i32 { libc::getpid() }",
        "async fn f() {}",
        "fn f() { g().await; }",
        "fn f() { let x = async { 1 }; }",
        "fn f(t: Instant) -> Duration { t.elapsed() }",
        "fn f() { println!(\"{}\", 1); }",
        "fn f() { let r = fastrand::Rng::new(); }",
        "use fastrand::Rng; fn f() { let r = Rng::new(); }",
        "fn f() -> u64 { fastrand::u64(..) }",
        "use ring::rand::SystemRandom;",
        "use std::sync::Mutex;",
        "use std::sync::atomic::AtomicU64;",
        "static mut COUNT: u32 = 0;",
        "mod inner { pub fn f() { std::thread::yield_now(); } }",
        "impl S { fn f(&self) { std::env::var(\"X\").ok(); } }",
    ] {
        assert!(!pure(snippet).is_empty(), "not found: {snippet}");
    }
}

#[test]
fn pure_code_is_left_alone() {
    for snippet in [
        "use std::time::{Duration, Instant}; fn f(now: Instant) -> Instant { now + Duration::from_secs(1) }",
        "use std::net::{IpAddr, SocketAddr};",
        "use std::io; fn f(e: &io::Error) -> bool { e.kind() == io::ErrorKind::NotFound }",
        "use fastrand::Rng; fn f(r: &mut Rng) -> u32 { r.u32(..) }",
        "fn f() -> fastrand::Rng { fastrand::Rng::with_seed(7) }",
        "use bytes::Bytes; use ring::digest::SHA256;",
        "/// Calls tokio::spawn, println! and Instant::now.\nfn f() { let s = \"std::fs tokio::x .await\"; }",
        "// async std::thread\nfn f() {}",
        "#[cfg(test)] mod tests { use std::time::Instant; fn f() { Instant::now(); println!(\"\"); } }",
        "#[cfg(all(test, feature = \"x\"))] mod tests { use std::fs; }",
        "impl S { #[cfg(test)] fn f() { std::fs::read(\"x\").ok(); } fn g(self) {} }",
        "#[test] fn t() { std::thread::spawn(|| ()); }",
        "fn f(tokio: u32) -> u32 { tokio }",
        "mod ring; pub use ring::Cursor;",
        "fn f(signal: i32) -> bool { signal == libc::SIGSEGV }",
        "fn f<'a>(x: &'a str) -> impl Iterator<Item = char> + use<'a> { x.chars() }",
    ] {
        assert_eq!(pure(snippet), [], "{snippet}");
    }
}

#[test]
fn code_after_a_test_item_is_looked_at_again() {
    let snippet = "#[cfg(test)]\nfn helper() {}\n\n#[cfg(not(test))]\nfn f() {\n    std::fs::read(\"x\").ok();\n}\n";
    let found = pure(snippet);
    assert_eq!(found.iter().map(|v| v.line).collect::<Vec<_>>(), [6], "{found:?}");
}

#[test]
fn use_trees_are_written_out() {
    let paths = rules::paths_of("use a::{self, b::{c, d as e}, f::*}; pub(crate) use g;");
    for path in ["a::self", "a::b::c", "a::b::d", "a::f::*", "g"] {
        assert!(paths.iter().any(|p| p == path), "{path} not in {paths:?}");
    }
}

#[test]
fn an_edge_that_is_not_on_the_map_is_found() {
    let edges = |path: &str, text: &str| rules::edges(&Source::new(path, text)).len();
    assert_eq!(edges("src/switch/selector.rs", "use crate::model::Media;"), 0);
    assert_eq!(edges("src/switch/selector.rs", "use crate::switch::Splice;"), 0);
    assert_eq!(edges("src/switch/selector.rs", "use crate::{model::Media, clock};"), 1);
    assert_eq!(edges("src/model/unit.rs", "fn f() { crate::events::Event::new(); }"), 1);
    assert_eq!(edges("src/output/mod.rs", "use crate::supervisor::load;"), 1);
    assert!(super::rooms::ROOMS.iter().all(|room| !room.knows.contains(&"supervisor")), "only binaries know it");
    assert_eq!(edges("src/clock.rs", "use crate::config::Paths;"), 1);
    assert_eq!(edges("src/bin/holdfastd.rs", "use holdfast::supervisor::load;"), 0);
    assert_eq!(edges("src/switch/x.rs", "#[cfg(test)] mod tests { use crate::clock; }"), 0, "tests may look around");
}

#[test]
fn a_second_reader_of_time_is_found() {
    let readers = |path: &str, text: &str| rules::one_reader_of_time(&Source::new(path, text)).len();
    for text in [
        "fn f() { std::time::Instant::now(); }",
        "fn f() { tokio::time::Instant::now(); }",
        "use nix::time::clock_gettime;",
        "fn f() { jiff::Timestamp::now(); }",
        "fn f(t: Instant) { t.elapsed(); }",
    ] {
        assert_eq!(readers("src/output/rtmp.rs", text), 1, "{text}");
        assert_eq!(readers("src/bin/holdfast.rs", text), 1, "{text}");
    }
    assert_eq!(readers("src/clock.rs", "fn now() { tokio::time::Instant::now(); }"), 0);
    assert_eq!(readers("src/output/rtmp.rs", "fn f() { crate::clock::now(); }"), 0);
}

#[test]
fn a_shared_lock_is_found() {
    let locks = |text: &str| rules::no_shared_locks(&Source::new("src/output/x.rs", text)).len();
    assert_eq!(locks("struct S { a: Arc<Mutex<u32>> }"), 1);
    assert_eq!(locks("struct S { a: std::sync::Arc<tokio::sync::RwLock<u32>> }"), 1);
    assert_eq!(locks("struct S { a: Arc<AccessUnit>, b: Mutex<u32> }"), 0);
}

#[test]
fn a_sleeping_test_is_found() {
    let sleepers = |path: &str, text: &str| rules::no_sleep_in_tests(&Source::new(path, text).into_test()).len();
    assert_eq!(sleepers("tests/x.rs", "fn f() { std::thread::sleep(d); }"), 1);
    assert_eq!(sleepers("tests/x.rs", "fn f() { sleep(d); }"), 1);
    assert_eq!(sleepers("tests/x.rs", "fn f() { let sleep = 1; g(sleep); }"), 0);
    assert_eq!(sleepers("tests/scenarios/support/wait.rs", "fn f() { thread::sleep(d); }"), 0);
    let paused = "#[tokio::test(start_paused = true)] async fn t() { tokio::time::sleep(d).await; }";
    assert_eq!(sleepers("tests/x.rs", paused), 0, "paused time does not wait");
    let code =
        rules::no_sleep_in_tests(&Source::new("src/output/x.rs", "async fn f() { tokio::time::sleep(d).await; }"));
    assert_eq!(code, [], "a shell may sleep till its deadline");
}

#[test]
fn purity_is_inherited_from_the_room_the_list_and_the_first_line() {
    let says = |path: &str| path == "src/output/record/policy.rs";
    for path in [
        "src/switch/selector.rs",
        "src/rtmp/chunk/tests.rs",
        "src/encode/protocol.rs",
        "src/output/record/policy.rs",
        "src/output/record/policy/quota.rs",
    ] {
        assert!(rules::must_be_pure(path, says), "{path}");
    }
    for path in ["src/output/record/writer.rs", "src/clock.rs", "src/bin/holdfastd.rs", "src/lib.rs"] {
        assert!(!rules::must_be_pure(path, says), "{path}");
    }
}

#[test]
fn a_door_without_an_invariant_is_found() {
    assert_eq!(rules::door("m", "//! A room.\n//!\n//! *Invariant:* it never waits.\nuse x;\n"), []);
    assert_eq!(rules::door("m", "//! A room.\nuse x; // *Invariant:* no.\n").len(), 1);
    assert_eq!(rules::door("m", "use x;\n").len(), 1);
}

#[test]
fn a_map_in_another_order_is_found() {
    let lib = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
    assert_eq!(rules::map(&lib), []);
    assert_ne!(rules::map(&lib.replace("pub mod switch;", "pub mod swatch;")), []);
    assert_ne!(rules::map(&lib.replace("pub mod clock;\n", "")), []);
    assert_ne!(rules::map(&format!("{lib}\npub mod relay;\n")), []);
    let impure = lib.lines().map(|l| if l.starts_with("// Which source") { "// Which source." } else { l });
    assert_ne!(rules::map(&impure.collect::<Vec<_>>().join("\n")), []);
}

#[test]
fn long_files_leftovers_and_machine_paths_are_found() {
    assert_eq!(rules::length("src/mux/x.rs", &"\n".repeat(601)).len(), 1);
    assert_eq!(rules::length("src/mux/x.rs", &"\n".repeat(600)), []);
    assert_eq!(rules::length("src/bin/holdfast.rs", &"\n".repeat(201)).len(), 1);
    assert_eq!(rules::length("src/bin/holdfast/status.rs", &"\n".repeat(201)), []);
    assert_eq!(rules::length("src/encode/table/families.rs", &"\n".repeat(5000)), [], "has its reason in rooms.rs");

    assert_eq!(rules::no_leftovers("x.rs", "fn f() {} // FIXME: later\n").len(), 1);
    assert_eq!(rules::no_leftovers("x.sh", "# TODO\n").len(), 1);
    assert_eq!(rules::no_leftovers("x.rs", "let todo = XXX; // methodology, HACKNEY\n"), []);

    assert_eq!(rules::no_machine_paths("x", concat!("cd /wo", "rk/main\n")).len(), 1);
    assert_eq!(rules::no_machine_paths("x", concat!("https://registry.np", "mjs.org/x\n")).len(), 1);
    assert_eq!(rules::no_machine_paths("x", "work/main and https://example.org\n"), []);
}

#[test]
fn a_pure_file_that_is_gone_is_found() {
    assert_ne!(rules::every_pure_file_exists(|path| path != "src/encode/table/families.rs"), []);
}
