//! Hardware profiles and EDIDs from outside: the committed files, the command that checks them, and edid-decode, which
//! knows the standards better than anybody and shares no code with us.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use holdfast::config::HardwareSettings;
use holdfast::config::profile::EMBEDDED;
use holdfast::encode::table;
use holdfast::model::EdidName;
use holdfast::supervisor::hardware;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hw-profiles")
}

#[test]
fn the_embedded_profiles_are_the_committed_ones() {
    let mut files: Vec<(String, String)> = fs::read_dir(committed())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()))
        .collect();
    files.sort();
    let mut embedded = EMBEDDED.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
    embedded.sort();
    assert_eq!(embedded, files, "src/config/profile/embedded.rs lists the files in hw-profiles");
}

#[test]
fn every_committed_profile_is_read_strictly_and_names_only_families_of_the_encoder_table() {
    let settings = HardwareSettings { directory: Some(committed()), ..HardwareSettings::default() };
    let profiles = hardware::profiles(&settings);
    assert_eq!(profiles.warnings, Vec::<String>::new());
    assert_eq!(profiles.all.len(), EMBEDDED.len(), "each takes the place of the embedded one of its name");
    for profile in &profiles.all {
        for (codec, families) in &profile.encoders.order {
            for name in families {
                let family = table::family(name.as_str()).unwrap_or_else(|| panic!("{}: {name}", profile.name));
                assert!(family.makes(*codec), "{}: {name} makes no {codec:?}", profile.name);
            }
        }
    }
}

fn check_profile(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    let nowhere = ["check-profile", "--config", "/nonexistent/holdfast.toml"];
    command.args(nowhere).args(arguments).output().unwrap()
}

/// Exit code, standard output, standard error.
fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_file_that_is_right_is_said_to_be_and_a_mistake_is_told_with_its_line() {
    let right = committed().join("rk3588.toml");
    let (code, out, err) = told(&check_profile(&[right.to_str().unwrap()]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("rk3588.toml is right: Rockchip RK3588 board, 4 capture devices"), "{out}");
    assert!(out.contains("not verified on hardware"), "{out}");

    let dir = tempfile::tempdir().unwrap();
    let wrong = dir.path().join("wrong.toml");
    let text =
        fs::read_to_string(&right).unwrap().replace("mode = \"warm\"", "mode = \"tepid\"").replace("planes", "plains");
    fs::write(&wrong, &text).unwrap();
    let line = |what: &str| text.lines().position(|line| line.starts_with(what)).unwrap() + 1;
    let (code, out, err) = told(&check_profile(&[wrong.to_str().unwrap()]));
    assert_eq!((code, out.as_str()), (Some(1), ""));
    let mode =
        format!("wrong.toml:{}:8: [standby]: mode is \"tepid\", which is not known here", line("mode = \"tepid\""));
    let planes =
        format!("wrong.toml:{}:1: capture \"hdmi\": unknown key \"plains\"; did you mean planes?", line("plains"));
    assert!(err.contains(&mode) && err.contains(&planes), "{err}");

    let (code, _, err) = told(&check_profile(&["/nonexistent/board.toml"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("/nonexistent/board.toml: cannot be read"), "{err}");
}

#[test]
fn a_name_is_shown_whatever_the_machine_is_and_an_unknown_one_is_refused() {
    let (code, out, _) = told(&check_profile(&["raspberry-pi-5"]));
    assert_eq!(code, Some(0));
    for said in
        ["raspberry-pi-5: Raspberry Pi 5", "Not verified on hardware", "no hardware encoder at all", "x264", "TC358743"]
    {
        assert!(out.contains(said), "{said}:\n{out}");
    }
    let (code, _, err) = told(&check_profile(&["raspberry-pi-6"]));
    assert_eq!(code, Some(1));
    assert!(err.contains("there is no hardware profile \"raspberry-pi-6\"; did you mean"), "{err}");
    let (code, out, _) = told(&check_profile(&["--list"]));
    assert_eq!((code, out.lines().count()), (Some(0), EMBEDDED.len()), "{out}");
}

#[test]
fn this_machine_gets_one_and_is_told_why() {
    let (code, out, err) = told(&check_profile(&[]));
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("This machine's, because ") && out.contains("ENCODERS"), "{out}");
}

/// edid-decode's judgement: what it prints, and whether it is content.
fn decode(bytes: &[u8]) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("edid.bin");
    fs::write(&file, bytes).unwrap();
    let output = Command::new("edid-decode").arg("--check").arg(&file).output();
    let output = output.unwrap_or_else(|e| panic!("edid-decode: {e}; `make setup` installs it"));
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn edid_decode_finds_nothing_wrong_with_any_edid_of_ours() {
    for name in EdidName::ALL {
        let edid = name.edid();
        let (content, said) = decode(edid.as_bytes());
        assert!(content && said.contains("EDID conformity: PASS"), "{name}:\n{said}");
        assert!(!said.contains("Warnings:") && !said.contains("Failures:"), "{name}:\n{said}");
        let contents = edid.contents();
        let tmds = format!("Maximum TMDS clock: {} MHz", contents.tmds_mhz.unwrap());
        let preferred = contents.preferred.unwrap();
        let size = format!("DTD 1:  {}x{}", preferred.across.0, preferred.down.0);
        let found = [
            tmds.as_str(),
            size.as_str(),
            "Display Product Name: 'Holdfast'",
            "Linear PCM",
            "Source physical address: 1.0.0.0",
        ];
        for what in found {
            assert!(said.contains(what), "{name} lacks {what}:\n{said}");
        }
        for mode in name.modes() {
            let vic = format!("VIC {:>3}:", mode.vic);
            let line = said
                .lines()
                .find(|line| line.trim_start().starts_with(&vic))
                .unwrap_or_else(|| panic!("{name}: {vic}\n{said}"));
            let (width, height) = (mode.timing.across.0, mode.timing.down.0);
            assert!(line.contains(&format!("{width}x{height} ")), "{name}: {line}");
        }
        let vics = said.lines().filter(|line| line.trim_start().starts_with("VIC")).count();
        assert_eq!(vics, contents.vics.len(), "{name}:\n{said}");
    }
}

/// So that a check that never complains is not taken for praise.
#[test]
fn edid_decode_agrees_with_us_about_a_wrong_sum() {
    let mut bytes = EdidName::Hd1080p60.edid().as_bytes().to_vec();
    bytes[255] ^= 0x40;
    let (content, said) = decode(&bytes);
    assert!(!content && said.contains("EDID conformity: FAIL"), "{said}");
    assert!(holdfast::model::Edid::parse(&bytes).is_err());
}
