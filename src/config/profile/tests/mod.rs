#![allow(clippy::unwrap_used, clippy::panic)]

mod detection;
mod mistakes;

use super::*;
use crate::model::FrameRate;

/// The encoder table's families, as far as these tests need them; tests of the table itself compare the committed
/// profiles with all of it.
fn families() -> Vec<KnownFamily> {
    use Codec::{Av1, H264, Hevc};
    let makers: [(&'static str, &[Codec]); 11] = [
        ("va", &[H264, Hevc, Av1]),
        ("va-lp", &[H264, Hevc, Av1]),
        ("nvenc", &[H264, Hevc, Av1]),
        ("qsv", &[H264, Hevc, Av1]),
        ("rkmpp", &[H264, Hevc]),
        ("v4l2m2m", &[H264]),
        ("x264", &[H264]),
        ("openh264", &[H264]),
        ("x265", &[Hevc]),
        ("svtav1", &[Av1]),
        ("aom", &[Av1]),
    ];
    makers.into_iter().map(|(name, codecs)| KnownFamily { name, codecs: codecs.to_vec() }).collect()
}

fn embedded() -> Vec<HardwareProfile> {
    let parsed = EMBEDDED.iter().map(|(file, text)| match parse_profile(file, text, &families()) {
        Ok(profile) => profile,
        Err(errors) => panic!("{errors}"),
    });
    parsed.collect()
}

fn profile(name: &str) -> HardwareProfile {
    embedded().into_iter().find(|profile| profile.name.as_str() == name).unwrap()
}

fn order(profile: &HardwareProfile, codec: Codec, width: u32, height: u32, fps: u32) -> String {
    let order = profile.encoders.order_for(codec, width, height, FrameRate::whole(fps));
    order.map_or("the table's".to_owned(), |families| families.iter().map(Name::as_str).collect::<Vec<_>>().join(" "))
}

#[test]
fn every_committed_profile_is_right_and_is_called_as_its_file() {
    let profiles = embedded();
    for ((file, _), profile) in EMBEDDED.iter().zip(&profiles) {
        assert_eq!(*file, format!("{}.toml", profile.name));
        assert!(!profile.about.is_empty() && profile.title.len() < 60, "{file}");
    }
    let names: Vec<_> = profiles.iter().map(|profile| &profile.name).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[test]
fn none_claims_to_be_verified_that_was_not() {
    for profile in embedded() {
        assert_eq!(profile.verified, Verified::FromDocuments, "{}", profile.name);
        let parts = profile.capture.iter().map(|part| (part.name.as_str(), part.verified));
        let parts = parts.chain(profile.display.iter().map(|display| (display.kind.title(), display.verified)));
        let verified: Vec<_> = parts.filter(|(_, v)| *v == Verified::OnHardware).map(|(name, _)| name).collect();
        let expected: &[&str] = if profile.name.as_str() == "virtual" { &["vivid", "framebuffer"] } else { &[] };
        assert_eq!(verified, expected, "{}", profile.name);
    }
}

#[test]
fn every_order_ends_with_the_processor() {
    for profile in embedded() {
        for (codec, families) in &profile.encoders.order {
            let last = families.last().unwrap().as_str();
            assert!(["openh264", "x265", "aom"].contains(&last), "{} {codec:?}: {last}", profile.name);
        }
    }
}

#[test]
fn the_boards_are_what_people_say_of_them() {
    let pi5 = profile("raspberry-pi-5");
    assert_eq!(order(&pi5, Codec::H264, 1920, 1080, 30), "x264 openh264", "it has no encoder in hardware");
    assert_eq!(pi5.capture[0].subdevice.as_ref().unwrap().to_string(), "tc358743*");

    let pi4 = profile("raspberry-pi-4");
    assert_eq!(order(&pi4, Codec::H264, 1920, 1080, 30), "v4l2m2m x264 openh264");
    assert_eq!(order(&pi4, Codec::H264, 1280, 720, 60), "v4l2m2m x264 openh264", "as many pixels a second");
    assert_eq!(order(&pi4, Codec::H264, 1920, 1080, 50), "x264 openh264");
    assert_eq!(order(&pi4, Codec::H264, 2560, 1440, 15), "x264 openh264", "wider than it takes");
    assert_eq!((pi4.standby.mode, pi4.standby.hardware_sessions), (StandbyMode::Cold, Some(1)));
    let Some(Display { kind: DisplayKind::Ssd1306 { address, .. }, width, height, fitted, .. }) = &pi4.display else {
        panic!("{:?}", pi4.display)
    };
    assert_eq!((*address, *width, *height, *fitted), (0x3c, 128, 64, Fitted::Optional));
    let wired = ButtonLine::Gpio { line: "GPIO17".to_owned(), active: Active::Low };
    assert_eq!(pi4.buttons[0].wired, wired);

    let rk3588 = profile("rk3588");
    let hdmi = &rk3588.capture[0];
    assert_eq!((hdmi.planes, hdmi.edid), (Planes::Multi, Some(EdidName::Hd1080p60)));
    assert!(hdmi.known_by.fit(Some("rk_hdmirx"), None) && hdmi.known_by.fit(Some("snps_hdmirx"), None));
    assert_eq!(order(&rk3588, Codec::Av1, 1280, 720, 30), "svtav1 aom", "it makes no AV1");

    let nvidia = profile("nvidia");
    assert_eq!((nvidia.standby.mode, nvidia.standby.hardware_sessions), (StandbyMode::Cold, Some(3)));
    let cam_link = nvidia.capture.iter().find(|c| c.usb == [UsbId { vendor: 0x0fd9, product: 0x0066 }]).unwrap();
    assert_eq!(cam_link.format, PixelFormat::named("NV12"));

    assert_eq!(order(&profile("generic"), Codec::H264, 1280, 720, 30), "the table's");
}

#[test]
fn the_least_profile_is_short() {
    let text =
        "name = \"b\"\ntitle = \"B\"\nverified = true\n[match]\ncompatible = [\"a,b\"]\n[standby]\nmode = \"warm\"\n";
    let profile = parse_profile("b.toml", text, &families()).unwrap();
    assert_eq!(profile.verified, Verified::OnHardware);
    assert_eq!(profile.standby.verified, Verified::OnHardware, "a part is as the whole unless it says otherwise");
    assert_eq!((profile.display, profile.encoders), (None, Encoders::default()));
}
