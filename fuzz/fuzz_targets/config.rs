//! The configuration: any text, up to a zero byte as the main file and behind it as the secrets file.
#![no_main]

use std::path::Path;

use holdfast::config;
use holdfast::events::Role;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    let (main, secrets) = text.split_once('\0').map_or((&*text, None), |(main, secrets)| (main, Some(secrets)));
    let base = Path::new("/etc/holdfast");
    match config::parse(base, ("main", main), secrets.map(|text| ("secrets", text))) {
        Ok(settings) => {
            let moved = config::with_paths_from(main, base);
            let again = config::parse(Path::new("/"), ("moved", &moved), secrets.map(|text| ("secrets", text)));
            let same = |other: &config::Settings| other.hash_for(&Role::Supervisor) == settings.hash_for(&Role::Supervisor);
            assert!(again.as_ref().is_ok_and(same), "a copy elsewhere means something else: {again:?}");
        }
        Err(errors) => {
            assert!(!errors.errors.is_empty());
            for error in &errors.errors {
                assert!(!error.message.contains("defect in Holdfast"), "a refusal without a reason");
                assert!(!error.message.contains(char::is_control), "{error}");
                let text = if error.file == "main" { main } else { secrets.unwrap_or("") };
                assert!(error.line >= 1 && error.line <= text.split('\n').count(), "{error}: no such line");
            }
        }
    }
});
