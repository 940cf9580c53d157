//! TOML text to [`HardwareProfile`](super::HardwareProfile): the parts of the board.

use std::collections::BTreeSet;

use super::values::{self, MOST, device, fitted, glob, list, verified, words};
use super::{
    Active, Button, ButtonLine, CaptureDevice, DeviceSigns, Display, DisplayKind, EncoderLimit, Encoders,
    InterfaceRole, KnownFamily, Led, LedLine, Planes, Standby, StandbyMode, ThermalZone, Verified,
};
use crate::config::file::read_name;
use crate::config::name::{self, Names};
use crate::config::report::{Absent, Complaint, Report, Reported, nearest, quote};
use crate::config::section::{Section, choice, type_in_words};
use crate::config::srt::interface;
use crate::config::telemetry::celsius;
use crate::config::{frame_rate, size};
use crate::events::LinkClass;
use crate::model::{Codec, EdidName, Name};

const CODECS: [(&str, Codec); 3] = [("h264", Codec::H264), ("hevc", Codec::Hevc), ("av1", Codec::Av1)];
const CODEC_ALIASES: [(&str, &str); 3] = [("h265", "hevc"), ("h.265", "hevc"), ("h.264", "h264")];

/// The tables under `key`, each called by the name it must have; `read` takes the rest of each.
fn named<T>(
    root: &mut Section<'_>,
    key: &'static str,
    report: &mut Report<'_>,
    mut read: impl FnMut(&mut Section<'_>, Name) -> Result<T, Reported>,
) -> Result<Vec<T>, Reported> {
    let mut names = Names::new();
    each(root, key, report, |section| {
        let name = names.take(section, key, key);
        // Where the name is wrong the rest is read all the same, for its own mistakes.
        let stand_in = || Name::new("nameless").map_err(|_| Reported);
        let part = read(section, name.clone().or_else(|_| stand_in())?);
        name.and(part)
    })
}

/// The tables under `key`, not too many.
fn each<T>(
    root: &mut Section<'_>,
    key: &'static str,
    report: &mut Report<'_>,
    mut read: impl FnMut(&mut Section<'_>) -> Result<T, Reported>,
) -> Result<Vec<T>, Reported> {
    let sections = root.tables(key);
    if sections.len() > MOST {
        let problem = format!("stands here {} times", sections.len());
        return Err(root.complain(key, &Complaint::new(problem, format!("keep at most {MOST}"))));
    }
    let mut parts = Vec::new();
    for mut section in sections {
        parts.push(read(&mut section));
        section.finish(report);
    }
    parts.into_iter().collect()
}

/// `drivers` and `paths`.
fn known_by(section: &mut Section<'_>) -> Result<DeviceSigns, Reported> {
    let drivers = section.or("drivers", Vec::new(), |v| list(v, "[\"uvcvideo\"]", glob));
    let paths = section.or("paths", Vec::new(), |v| list(v, "[\"platform-fe801000.csi*\"]", glob));
    Ok(DeviceSigns { drivers: drivers?, paths: paths? })
}

/// `[[capture]]`.
pub(super) fn capture(
    root: &mut Section<'_>,
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Vec<CaptureDevice>, Reported> {
    const PLANES: [(&str, Planes); 2] = [("single", Planes::Single), ("multi", Planes::Multi)];
    const ALIASES: [(&str, &str); 3] = [("mplane", "multi"), ("multiplanar", "multi"), ("one", "single")];
    named(root, "capture", report, |section, name| {
        let title = section.required("title", "title = \"what people call it\"", read_name);
        let known_by = known_by(section);
        let usb = section.or("usb", Vec::new(), |v| list(v, "[\"0fd9:0066\"]", values::usb));
        let planes = section.or("planes", Planes::Single, |v| choice(v, &PLANES, &ALIASES));
        let format = section.optional("format", values::format);
        let edid = section.optional("edid", |v| choice(v, &EdidName::ALL.map(|edid| (edid.as_str(), edid)), &[]));
        let subdevice = section.optional("subdevice", glob);
        let quirks = section.or("quirks", Vec::new(), |v| list(v, "[\"a sentence\"]", words));
        let (fitted, verified) = (fitted(section), verified(section, whole));
        let (known_by, usb) = (known_by?, usb?);
        if known_by == DeviceSigns::default() && usb.is_empty() {
            let complaint = Complaint::new("says nothing to know it by", "add drivers, paths or usb");
            return Err(section.lacks(Absent::Other, &complaint));
        }
        Ok(CaptureDevice {
            name,
            title: title?,
            known_by,
            usb,
            planes: planes?,
            format: format?,
            edid: edid?,
            subdevice: subdevice?,
            quirks: quirks?,
            fitted: fitted?,
            verified: verified?,
        })
    })
}

/// `[encoders]` and `[[encoder_limit]]`.
pub(super) fn encoders(
    root: &mut Section<'_>,
    families: &[KnownFamily],
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Encoders, Reported> {
    let limits = limits(root, families, report);
    let Some(mut section) = root.table("encoders", "write [encoders] with one bracket, once")? else {
        return Ok(Encoders { limits: limits?, ..Encoders::default() });
    };
    let mut order = Vec::new();
    for (key, codec) in CODECS {
        let families = section.optional(key, |v| {
            let listed = list(v, "[\"va\", \"x264\"]", |item| family(item, codec, families))?;
            let all: BTreeSet<&Name> = listed.iter().collect();
            if all.len() < listed.len() {
                return Err(Complaint::new("names a family twice", "keep the one that comes first"));
            }
            Ok(listed)
        });
        order.push(families.map(|families| families.map(|families| (codec, families))));
    }
    let verified = verified(&mut section, whole);
    section.finish(report);
    let order: Vec<Option<(Codec, Vec<Name>)>> = order.into_iter().collect::<Result<_, _>>()?;
    Ok(Encoders { order: order.into_iter().flatten().collect(), limits: limits?, verified: Some(verified?) })
}

fn limits(
    root: &mut Section<'_>,
    families: &[KnownFamily],
    report: &mut Report<'_>,
) -> Result<Vec<EncoderLimit>, Reported> {
    each(root, "encoder_limit", report, |section| {
        let codec = section.required("codec", "codec = \"h264\"", |v| choice(v, &CODECS, &CODEC_ALIASES));
        let makes = codec.unwrap_or(Codec::H264);
        let family = section.required("family", "family = \"v4l2m2m\"", |v| family(v, makes, families));
        let size = section.required("size", "size = \"1920x1080\"", size::read);
        let rate = section.required("frame_rate", "frame_rate = 30", frame_rate::read);
        let (width, height) = size?;
        Ok(EncoderLimit { family: family?, codec: codec?, width, height, rate: rate? })
    })
}

/// A family of the encoder table that makes `codec`.
fn family(value: &toml::de::DeValue<'_>, codec: Codec, families: &[KnownFamily]) -> Result<Name, Complaint> {
    let name = name::read(value)?;
    let makers = || families.iter().filter(|known| known.codecs.contains(&codec)).map(|known| known.name);
    if makers().any(|maker| maker == name.as_str()) {
        return Ok(name);
    }
    let remedy = match nearest(name.as_str(), makers()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("choose from {}", makers().collect::<Vec<_>>().join(", ")),
    };
    let problem = format!("has {}, no encoder family that makes {}", quote(name.as_str()), codec.label());
    Err(Complaint::new(problem, remedy))
}

/// `[standby]`.
pub(super) fn standby(root: &mut Section<'_>, whole: Verified, report: &mut Report<'_>) -> Result<Standby, Reported> {
    const MODES: [(&str, StandbyMode); 2] = [("warm", StandbyMode::Warm), ("cold", StandbyMode::Cold)];
    const ALIASES: [(&str, &str); 3] = [("hot", "warm"), ("off", "cold"), ("none", "cold")];
    let Some(mut section) = root.table("standby", "write [standby] with one bracket, once")? else {
        let remedy = "add one with mode = \"warm\", or \"cold\" where the hardware has too few sessions";
        return Err(root.lacks(Absent::Key("standby"), &Complaint::new("has no [standby]", remedy)));
    };
    let mode = section.required("mode", "mode = \"warm\" or \"cold\"", |v| choice(v, &MODES, &ALIASES));
    let sessions = section.optional("hardware_sessions", sessions);
    let verified = verified(&mut section, whole);
    section.finish(report);
    Ok(Standby { mode: mode?, hardware_sessions: sessions?, verified: verified? })
}

fn sessions(value: &toml::de::DeValue<'_>) -> Result<u32, Complaint> {
    let limits = "write 1 to 64 without quotes, or leave it out where nobody knows";
    let Some(number) = value.as_integer() else {
        return Err(Complaint::new(format!("is {}, not a number of encodes", type_in_words(value)), limits));
    };
    let parsed = number.as_str().parse().ok().filter(|n| (1..=64).contains(n));
    parsed.ok_or_else(|| Complaint::new(format!("is {}", number.as_str()), limits))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ssd1306,
    St7789,
    Framebuffer,
}

/// `[display]`.
pub(super) fn display(
    root: &mut Section<'_>,
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Option<Display>, Reported> {
    const KINDS: [(&str, Kind); 3] =
        [("ssd1306", Kind::Ssd1306), ("st7789", Kind::St7789), ("framebuffer", Kind::Framebuffer)];
    const ALIASES: [(&str, &str); 4] =
        [("oled", "ssd1306"), ("tft", "st7789"), ("fb", "framebuffer"), ("hdmi", "framebuffer")];
    let Some(mut section) = root.table("display", "write [display] with one bracket, once")? else { return Ok(None) };
    let kind =
        section.required("kind", "kind = \"ssd1306\", \"st7789\" or \"framebuffer\"", |v| choice(v, &KINDS, &ALIASES));
    let Ok(kind) = kind else {
        section.hand_over(report);
        return Err(Reported);
    };
    let (kind, size) = (display_kind(&mut section, kind), display_size(&mut section, kind));
    let (fitted, verified) = (fitted(&mut section), verified(&mut section, whole));
    section.finish(report);
    let (width, height) = size?;
    Ok(Some(Display { kind: kind?, width, height, fitted: fitted?, verified: verified? }))
}

fn display_size(section: &mut Section<'_>, kind: Kind) -> Result<(u32, u32), Reported> {
    match kind {
        Kind::Framebuffer => Ok((0, 0)),
        Kind::Ssd1306 | Kind::St7789 => section.required("size", "size = \"128x64\"", panel_size),
    }
}

/// A small panel's size, which [`size::read`] thinks too small to encode.
fn panel_size(value: &toml::de::DeValue<'_>) -> Result<(u32, u32), Complaint> {
    let written = crate::config::section::text(value)?;
    let parts = written.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parts.filter(|(w, h): &(u32, u32)| (16..=1024).contains(w) && (16..=1024).contains(h)).ok_or_else(|| {
        let problem = format!("is {}, not a display's size", quote(written));
        Complaint::new(problem, "write width x height in pixels, 16 to 1024 each, such as \"128x64\"")
    })
}

fn display_kind(section: &mut Section<'_>, kind: Kind) -> Result<DisplayKind, Reported> {
    Ok(match kind {
        Kind::Ssd1306 => {
            let bus = section.required("bus", "bus = \"/dev/i2c-1\"", |v| device(v, "\"/dev/i2c-1\""));
            let address = section.required("address", "address = 0x3c", values::i2c_address);
            DisplayKind::Ssd1306 { bus: bus?, address: address? }
        }
        Kind::St7789 => {
            let bus = section.required("bus", "bus = \"/dev/spidev0.0\"", |v| device(v, "\"/dev/spidev0.0\""));
            let data_command = section.required("data_command", "data_command = \"GPIO25\"", values::line);
            let reset = section.optional("reset", values::line);
            let backlight = section.optional("backlight", values::line);
            DisplayKind::St7789 { bus: bus?, data_command: data_command?, reset: reset?, backlight: backlight? }
        }
        Kind::Framebuffer => {
            let device = section.required("device", "device = \"/dev/fb0\"", |v| device(v, "\"/dev/fb0\""));
            DisplayKind::Framebuffer { device: device? }
        }
    })
}

/// `[[button]]`.
pub(super) fn buttons(
    root: &mut Section<'_>,
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Vec<Button>, Reported> {
    const LEVELS: [(&str, Active); 2] = [("low", Active::Low), ("high", Active::High)];
    named(root, "button", report, |section, name| {
        let line = section.optional("gpio", values::line);
        let active = section.or("active", Active::Low, |v| choice(v, &LEVELS, &[]));
        let key = section.optional("key", values::key);
        let (fitted, verified) = (fitted(section), verified(section, whole));
        let wired = match (line?, key?) {
            (Some(line), None) => ButtonLine::Gpio { line, active: active? },
            (None, Some(key)) => ButtonLine::Key(key),
            (Some(_), Some(_)) => {
                let complaint =
                    Complaint::new("stands beside gpio", "keep one: the kernel makes a key of it, or nobody does");
                return Err(section.complain("key", &complaint));
            }
            (None, None) => {
                let complaint =
                    Complaint::new("has neither gpio nor key", "add gpio = \"GPIO17\" or key = \"KEY_PLAYPAUSE\"");
                return Err(section.lacks(Absent::AnyOf(&["gpio", "key"]), &complaint));
            }
        };
        Ok(Button { name, wired, fitted: fitted?, verified: verified? })
    })
}

/// `[[led]]`.
pub(super) fn leds(root: &mut Section<'_>, whole: Verified, report: &mut Report<'_>) -> Result<Vec<Led>, Reported> {
    named(root, "led", report, |section, name| {
        let kernel = section.optional("kernel", values::led);
        let line = section.optional("gpio", values::line);
        let (fitted, verified) = (fitted(section), verified(section, whole));
        let wired = match (kernel?, line?) {
            (Some(kernel), None) => LedLine::Kernel(kernel),
            (None, Some(line)) => LedLine::Gpio(line),
            (Some(_), Some(_)) => {
                let complaint =
                    Complaint::new("stands beside kernel", "keep one: the kernel drives it, or nobody does");
                return Err(section.complain("gpio", &complaint));
            }
            (None, None) => {
                let complaint =
                    Complaint::new("has neither kernel nor gpio", "add kernel = \"ACT\" or gpio = \"GPIO22\"");
                return Err(section.lacks(Absent::AnyOf(&["kernel", "gpio"]), &complaint));
            }
        };
        Ok(Led { name, wired, fitted: fitted?, verified: verified? })
    })
}

/// `[[interface]]`.
pub(super) fn interfaces(
    root: &mut Section<'_>,
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Vec<InterfaceRole>, Reported> {
    const ROLES: [(&str, LinkClass); 4] = [
        ("ethernet", LinkClass::Ethernet),
        ("5g", LinkClass::Cellular),
        ("wifi", LinkClass::WiFi),
        ("starlink", LinkClass::Starlink),
    ];
    const ALIASES: [(&str, &str); 5] =
        [("lte", "5g"), ("modem", "5g"), ("cellular", "5g"), ("wlan", "wifi"), ("lan", "ethernet")];
    let mut taken = BTreeSet::new();
    each(root, "interface", report, |section| {
        let name = section.required("name", "name = \"eth0\"", interface);
        if let Ok(name) = &name {
            section.call(format!("interface \"{name}\""));
        }
        let role = section
            .required("role", "role = \"ethernet\", \"5g\", \"wifi\" or \"starlink\"", |v| choice(v, &ROLES, &ALIASES));
        let known_by = known_by(section);
        let (fitted, verified) = (fitted(section), verified(section, whole));
        let (name, known_by) = (name?, known_by?);
        if !taken.insert(name.clone()) {
            let complaint = Complaint::new(format!("\"{name}\" is taken already"), "give each interface its own");
            return Err(section.complain("name", &complaint));
        }
        if known_by == DeviceSigns::default() {
            let complaint = Complaint::new("says nothing to know it by", "add drivers or paths");
            return Err(section.lacks(Absent::Other, &complaint));
        }
        Ok(InterfaceRole { name, role: role?, known_by, fitted: fitted?, verified: verified? })
    })
}

/// `[[thermal]]`.
pub(super) fn thermal(
    root: &mut Section<'_>,
    whole: Verified,
    report: &mut Report<'_>,
) -> Result<Vec<ThermalZone>, Reported> {
    each(root, "thermal", report, |section| {
        let zone = section.required("zone", "zone = \"cpu-thermal\"", glob);
        if let Ok(zone) = &zone {
            section.call(format!("thermal zone \"{zone}\""));
        }
        let warn = section.required("warn", "warn = \"75C\"", celsius);
        let slows = section.required("slows", "slows = \"80C\"", celsius);
        let verified = verified(section, whole);
        let (warn, slows) = (warn?, slows?);
        if warn > slows {
            let complaint = Complaint::new("is above slows", "warn before the board slows down");
            return Err(section.complain("warn", &complaint));
        }
        Ok(ThermalZone { zone: zone?, warn_celsius: warn, slows_celsius: slows, verified: verified? })
    })
}
