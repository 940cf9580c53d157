//! What a hardware profile says, and what of it is there, as a page of text.

use holdfast::config::profile::{
    Active, ButtonLine, CaptureDevice, DisplayKind, Fitted, HardwareProfile, LedLine, Planes, Reason, StandbyMode,
    UsbId, Verified,
};
use holdfast::encode::table::{self, Kind};
use holdfast::events::LinkClass;
use holdfast::model::{Codec, Name};
use holdfast::supervisor::hardware::{Found, Presence, VideoDevice};

use super::elements::{Elements, key};

/// Columns of text.
const WIDTH: usize = 100;

/// What a profile has, in a sentence's worth of words.
pub(super) fn content(profile: &HardwareProfile) -> String {
    let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
    let parts = [
        count(profile.capture.len(), "capture device"),
        count(profile.interfaces.len(), "network interface"),
        count(profile.buttons.len(), "button"),
        count(profile.leds.len(), "light"),
        count(profile.thermal.len(), "thermometer"),
    ];
    format!("{}, {}{}", profile.title, parts.join(", "), verified(profile.verified))
}

/// What is to be said of a fact that nobody has seen.
pub(super) fn verified(verified: Verified) -> &'static str {
    match verified {
        Verified::OnHardware => "",
        Verified::FromDocuments => " (not verified on hardware)",
    }
}

/// The page.
pub(super) fn page(
    profile: &HardwareProfile,
    reason: Option<&Reason>,
    presence: &Presence,
    elements: Option<&Elements>,
) -> String {
    let mut page = Page { text: String::new(), whole: profile.verified };
    page.line(&format!("{}: {}", profile.name, profile.title));
    if let Some(reason) = reason {
        page.words("   ", &format!("This machine's, because {reason}."));
    }
    page.words("   ", &profile.about);
    page.words(
        "   ",
        match profile.verified {
            Verified::OnHardware => "Verified on hardware.",
            Verified::FromDocuments => "Not verified on hardware: from documents, sources and other people's reports.",
        },
    );
    capture(&mut page, profile, presence);
    encoders(&mut page, profile, presence, elements);
    standby(&mut page, profile);
    panel(&mut page, profile, presence);
    network(&mut page, profile, presence);
    thermal(&mut page, profile, presence);
    page.text
}

struct Page {
    text: String,
    whole: Verified,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push(' ');
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, title: &str) {
        self.text.push('\n');
        self.line(title);
    }

    /// Text that is broken into lines, each behind `margin`.
    fn words(&mut self, margin: &str, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && margin.len() + line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&format!("{margin}{line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(&format!("{margin}{line}"));
        }
    }

    /// One thing: where it is, and what is to be said of it.
    fn thing(&mut self, place: &str, what: &str, verified: Verified) {
        let known = match (self.whole, verified) {
            (Verified::FromDocuments, Verified::OnHardware) => " (verified)",
            (Verified::OnHardware, Verified::FromDocuments) => " (not verified on hardware)",
            _ => "",
        };
        self.line(&format!("  {place:<20} {what}{known}"));
    }

    /// More about the thing above.
    fn more(&mut self, what: &str) {
        self.words(&format!("  {:<20} ", ""), what);
    }

    /// One thing that was looked for.
    fn found(&mut self, found: &Found, what: &str, fitted: Fitted, verified: Verified) {
        match found {
            Found::Here(name) => self.thing(name, what, verified),
            Found::CannotTell(how) => {
                self.thing("cannot be seen", what, verified);
                self.more(how);
            }
            Found::NotHere(missing) => {
                let place = if fitted == Fitted::Always { "MISSING" } else { "not here" };
                self.thing(place, &format!("{what}: {missing}"), verified);
            }
        }
    }
}

fn capture(page: &mut Page, profile: &HardwareProfile, presence: &Presence) {
    page.section("CAPTURE");
    for (n, entry) in profile.capture.iter().enumerate() {
        let devices: Vec<&VideoDevice> = presence.video.iter().filter(|device| device.entry == Some(n)).collect();
        if devices.is_empty() {
            let absent = Found::NotHere(known_by(entry));
            page.found(&absent, &entry.title, entry.fitted, entry.verified);
            continue;
        }
        for device in devices {
            page.thing(&device.node, &entry.title, entry.verified);
            page.more(&told(entry, device));
            entry.quirks.iter().for_each(|quirk| page.more(&format!("- {quirk}")));
        }
    }
    for device in presence.video.iter().filter(|device| device.entry.is_none()) {
        let driver = device.driver.as_deref().unwrap_or("unknown");
        page.thing(
            &device.node,
            &format!("{}, driver {driver}: the profile does not know it", device.title),
            page.whole,
        );
    }
}

/// By what a capture device is looked for.
fn known_by(entry: &CaptureDevice) -> String {
    let usb = entry.usb.iter().map(|UsbId { vendor, product }| format!("USB {vendor:04x}:{product:04x}"));
    let drivers = entry.known_by.drivers.iter().map(|driver| format!("driver {driver}"));
    let paths = entry.known_by.paths.iter().map(|path| format!("at {path}"));
    format!("no {}", usb.chain(drivers).chain(paths).collect::<Vec<_>>().join(" or "))
}

/// How a capture device wants to be treated.
fn told(entry: &CaptureDevice, device: &VideoDevice) -> String {
    let mut told = vec![match entry.planes {
        Planes::Single => "single-planar".to_owned(),
        Planes::Multi => "multi-planar".to_owned(),
    }];
    told.extend(entry.format.as_ref().map(|format| format!("asked for {format}")));
    told.extend(entry.edid.map(|edid| match &device.subdevice {
        None => format!("must be told the EDID {edid} at each boot"),
        Some(Found::Here(subdevice)) => format!("{subdevice} must be told the EDID {edid} at each boot"),
        Some(Found::NotHere(why) | Found::CannotTell(why)) => {
            format!("must be told the EDID {edid} at each boot, and there is {why} to tell")
        }
    }));
    told.extend(device.place.as_ref().map(|place| format!("plugged in at {place}")));
    told.join("; ")
}

fn encoders(page: &mut Page, profile: &HardwareProfile, presence: &Presence, elements: Option<&Elements>) {
    page.section("ENCODERS, each tried before it is used; `holdfast probe` shows the trials");
    if profile.encoders.order.is_empty() {
        page.words("   ", "In the usual order, hardware first.");
        return;
    }
    for (codec, families) in &profile.encoders.order {
        for (n, family) in families.iter().enumerate() {
            let head = if n == 0 { codec.label() } else { "" };
            let line = format!("{:<9} {}", family.as_str(), encoder(profile, presence, elements, *codec, family));
            page.thing(head, &line, profile.encoders.verified.unwrap_or(page.whole));
        }
    }
}

fn encoder(
    profile: &HardwareProfile,
    presence: &Presence,
    elements: Option<&Elements>,
    codec: Codec,
    family: &Name,
) -> String {
    let mut told = Vec::new();
    match elements.and_then(|elements| elements.get(&(family.as_str().to_owned(), key(codec)))) {
        Some(Some(element)) => told.push(format!("{element} is here")),
        Some(None) => told.push("GStreamer has no element for it here".to_owned()),
        None => {}
    }
    if let Some((_, device)) = presence.encoders.iter().find(|(name, _)| name == family.as_str()) {
        told.push(match device {
            Found::Here(device) => format!("device {device}"),
            Found::NotHere(missing) | Found::CannotTell(missing) => missing.clone(),
        });
    }
    let limits = profile.encoders.limits.iter().filter(|limit| limit.codec == codec && &limit.family == family);
    told.extend(limits.map(|l| format!("up to {}x{} at {}", l.width, l.height, l.rate.as_f64().round())));
    if table::family(family.as_str()).is_some_and(|known| known.kind == Kind::Software) {
        told.push("on the processor".to_owned());
    }
    told.join("; ")
}

fn standby(page: &mut Page, profile: &HardwareProfile) {
    page.section("STANDBY");
    let mode = match profile.standby.mode {
        StandbyMode::Warm => "An input that is not on air keeps its encoder open.",
        StandbyMode::Cold => {
            "An input that is not on air opens its encoder when it is needed; the slate stands in until then."
        }
    };
    page.words("   ", mode);
    if let Some(sessions) = profile.standby.hardware_sessions {
        let encodes = if sessions == 1 { "one encode".to_owned() } else { format!("{sessions} encodes") };
        page.words("   ", &format!("The hardware makes {encodes} at once."));
    }
}

fn panel(page: &mut Page, profile: &HardwareProfile, presence: &Presence) {
    page.section("DISPLAY, BUTTONS, LIGHTS");
    match (&profile.display, &presence.display) {
        (Some(display), Some(found)) => {
            let size = match display.kind {
                DisplayKind::Ssd1306 { address, .. } => {
                    format!(" of {}x{} at {address:#04x}", display.width, display.height)
                }
                DisplayKind::St7789 { .. } => format!(" of {}x{}", display.width, display.height),
                DisplayKind::Framebuffer { .. } => String::new(),
            };
            let what = format!("display {}{size}", display.kind.title());
            page.found(found, &what, display.fitted, display.verified);
            if matches!(
                (&display.kind, found),
                (DisplayKind::Ssd1306 { .. } | DisplayKind::St7789 { .. }, Found::Here(_))
            ) {
                page.more("The bus is there; whether a display is on it cannot be seen.");
            }
        }
        _ => page.words("   ", "No display."),
    }
    for (button, found) in profile.buttons.iter().zip(&presence.buttons) {
        let wired = match &button.wired {
            ButtonLine::Gpio { line, active: Active::Low } => format!("{line} to ground"),
            ButtonLine::Gpio { line, active: Active::High } => format!("{line} to the supply"),
            ButtonLine::Key(key) => key.name.to_owned(),
        };
        page.found(found, &format!("button \"{}\" ({wired})", button.name), button.fitted, button.verified);
    }
    for (led, found) in profile.leds.iter().zip(&presence.leds) {
        let wired = match &led.wired {
            LedLine::Kernel(name) | LedLine::Gpio(name) => name,
        };
        page.found(found, &format!("light \"{}\" ({wired})", led.name), led.fitted, led.verified);
    }
}

fn network(page: &mut Page, profile: &HardwareProfile, presence: &Presence) {
    page.section("NETWORK");
    for (role, found) in profile.interfaces.iter().zip(&presence.interfaces) {
        let kind = match role.role {
            LinkClass::Ethernet => "a cable",
            LinkClass::Cellular => "a modem",
            LinkClass::WiFi => "Wi-Fi",
            LinkClass::Starlink => "for a Starlink dish",
            LinkClass::Virtual | LinkClass::Unknown => "an interface",
        };
        page.found(found, &format!("\"{}\": {kind}", role.name), role.fitted, role.verified);
    }
    if profile.interfaces.is_empty() {
        page.words("   ", "Nothing is said of it.");
    }
}

fn thermal(page: &mut Page, profile: &HardwareProfile, presence: &Presence) {
    page.section("TEMPERATURES");
    for (zone, found) in profile.thermal.iter().zip(&presence.thermal) {
        let what =
            format!("{} too hot from {} °C, slower from {} °C", zone.zone, zone.warn_celsius, zone.slows_celsius);
        page.found(found, &what, Fitted::Optional, zone.verified);
    }
    if profile.thermal.is_empty() {
        page.words("   ", "Nothing is said of them.");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;

    use holdfast::config::HardwareSettings;
    use holdfast::supervisor::hardware;

    use super::*;

    fn shown(name: &str, root: &std::path::Path, elements: Option<&Elements>) -> String {
        let settings = HardwareSettings { directory: Some(root.join("none")), ..HardwareSettings::default() };
        let profiles = hardware::profiles(&settings).all;
        let profile = profiles.iter().find(|profile| profile.name.as_str() == name).unwrap();
        let reason = Reason::Sign("its device tree says so".to_owned());
        page(profile, Some(&reason), &hardware::look(root, profile), elements)
    }

    #[track_caller]
    fn has(page: &str, line: &str) {
        assert!(page.lines().any(|l| l.trim() == line), "lacks {line:?}:\n{page}");
    }

    #[test]
    fn what_is_missing_is_told_from_what_need_not_be_there() {
        let root = tempfile::tempdir().unwrap();
        let page = shown("raspberry-pi-4", root.path(), None);
        has(&page, "raspberry-pi-4: Raspberry Pi 4");
        has(&page, "This machine's, because its device tree says so.");
        has(&page, "Not verified on hardware: from documents, sources and other people's reports.");
        has(&page, "not here             Elgato Cam Link 4K: no USB 0fd9:0066");
        has(&page, "H.264                v4l2m2m   no video device that encodes; up to 1920x1080 at 30");
        has(&page, "openh264  on the processor");
        has(&page, "The hardware makes one encode at once.");
        has(&page, "not here             display SSD1306 of 128x64 at 0x3c: no /dev/i2c-1");
        has(&page, "MISSING              light \"on-air\" (ACT): no /sys/class/leds/ACT");
        has(&page, "MISSING              \"eth0\": a cable: no such interface");
        assert!(page.lines().all(|line| line.chars().count() <= 140), "{page}");
    }

    #[test]
    fn what_is_there_is_named_with_its_oddities() {
        let root = tempfile::tempdir().unwrap();
        let device = root.path().join("sys/devices/platform/fdee0000.hdmi_receiver");
        let folder = root.path().join("sys/class/video4linux/video0");
        fs::create_dir_all(&device).unwrap();
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(&device, folder.join("device")).unwrap();
        fs::create_dir_all(root.path().join("dev")).unwrap();
        fs::write(root.path().join("dev/mpp_service"), "").unwrap();
        let elements = Elements::from([
            (("rkmpp".to_owned(), "h264"), None),
            (("x264".to_owned(), "h264"), Some("x264enc".to_owned())),
        ]);
        let page = shown("rk3588", root.path(), Some(&elements));
        has(&page, "/dev/video0          HDMI input of the RK3588");
        assert!(page.contains("multi-planar; must be told the EDID hd-1080p60 at each boot; plugged in at"), "{page}");
        has(&page, "- the vendor's driver refuses every format but the source's own");
        has(
            &page,
            "H.264                rkmpp     GStreamer has no element for it here; device /dev/mpp_service; up to 7680x4320 at 30",
        );
        has(&page, "x264      x264enc is here; on the processor");
    }

    #[test]
    fn what_was_verified_in_a_profile_that_was_not_is_said() {
        let root = tempfile::tempdir().unwrap();
        let page = shown("virtual", root.path(), None);
        has(&page, "not here             display framebuffer: no /dev/fb0 (verified)");
    }
}
