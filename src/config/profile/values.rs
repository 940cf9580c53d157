//! How people write the values of a hardware profile.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use super::glob::Glob;
use super::{Fitted, Key, UsbId, Verified};
use crate::config::path;
use crate::config::report::Reported;
use crate::config::report::{Complaint, nearest, quote};
use crate::config::section::{Section, choice, text, text_like, type_in_words};
use crate::model::PixelFormat;

/// Most things of one kind in a profile, and most words in a list.
pub(super) const MOST: usize = 32;
/// Longest text for people, characters.
const LONGEST_TEXT: usize = 600;
/// I²C's 7-bit addresses without the reserved ones (UM10204, 3.1.12).
const I2C: RangeInclusive<u8> = 0x08..=0x77;

/// Keys that a button can be, with their numbers in `linux/input-event-codes.h`.
const KEYS: [Key; 12] = [
    Key { name: "KEY_ESC", code: 1 },
    Key { name: "KEY_ENTER", code: 28 },
    Key { name: "KEY_UP", code: 103 },
    Key { name: "KEY_LEFT", code: 105 },
    Key { name: "KEY_RIGHT", code: 106 },
    Key { name: "KEY_DOWN", code: 108 },
    Key { name: "KEY_POWER", code: 116 },
    Key { name: "KEY_PLAYPAUSE", code: 164 },
    Key { name: "KEY_RECORD", code: 167 },
    Key { name: "KEY_PROG1", code: 148 },
    Key { name: "KEY_PROG2", code: 149 },
    Key { name: "KEY_SELECT", code: 353 },
];

/// Text for people, on one line.
pub(super) fn words(value: &DeValue<'_>) -> Result<String, Complaint> {
    let written = text(value)?.trim();
    let length = written.chars().count();
    if !(1..=LONGEST_TEXT).contains(&length) {
        return Err(Complaint::new(format!("is {length} characters long"), format!("write 1 to {LONGEST_TEXT}")));
    }
    if written.chars().any(char::is_control) {
        return Err(Complaint::new("has a control character or a line break in it", "write it on one line"));
    }
    Ok(written.to_owned())
}

/// A list, each of whose values `read` takes. Not empty.
pub(super) fn list<T>(
    value: &DeValue<'_>,
    example: &str,
    read: impl Fn(&DeValue<'_>) -> Result<T, Complaint>,
) -> Result<Vec<T>, Complaint> {
    let Some(array) = value.as_array() else {
        return Err(Complaint::new(format!("is {}, not a list", type_in_words(value)), format!("write {example}")));
    };
    match array.len() {
        0 => Err(Complaint::new("is an empty list", format!("write {example}, or remove it"))),
        1..=MOST => array.iter().map(|item| read(item.get_ref())).collect(),
        n => Err(Complaint::new(format!("lists {n}"), format!("keep at most {MOST}"))),
    }
}

/// A name with gaps.
pub(super) fn glob(value: &DeValue<'_>) -> Result<Glob, Complaint> {
    let written = text(value)?;
    Glob::new(written).ok_or_else(|| {
        let problem = format!("has {}, which would fit anything or nothing", quote(written));
        Complaint::new(problem, "write what it has to be; * stands for any text, ? for any one character")
    })
}

/// `"0fd9:0066"`.
pub(super) fn usb(value: &DeValue<'_>) -> Result<UsbId, Complaint> {
    let written = text(value)?;
    let number = |digits: &str| {
        let plain = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        plain.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
    };
    let ids = written.split_once(':').and_then(|(vendor, product)| Some((number(vendor)?, number(product)?)));
    let (vendor, product) = ids.ok_or_else(|| {
        let problem = format!("has {}, not the vendor and product of a USB device", quote(written));
        Complaint::new(problem, "write both in four hexadecimal digits as lsusb prints them, such as \"0fd9:0066\"")
    })?;
    Ok(UsbId { vendor, product })
}

/// A pixel format by its four characters.
pub(super) fn format(value: &DeValue<'_>) -> Result<PixelFormat, Complaint> {
    let written = text(value)?;
    PixelFormat::named(written).ok_or_else(|| {
        let problem = format!("is {}, not a pixel format that is known here", quote(written));
        let known = PixelFormat::ALL.map(PixelFormat::fourcc).join(", ");
        Complaint::new(problem, format!("write its four characters as `v4l2-ctl --list-formats` does: one of {known}"))
    })
}

/// A device file.
pub(super) fn device(value: &DeValue<'_>, example: &'static str) -> Result<PathBuf, Complaint> {
    let device = path::read_absolute(text(value)?, example)?;
    if device.starts_with(Path::new("/dev")) {
        return Ok(device);
    }
    let problem = format!("is {}, not a device", quote(&device.to_string_lossy()));
    Err(Complaint::new(problem, format!("write it as {example}")))
}

/// A 7-bit I²C address, as a number.
pub(super) fn i2c_address(value: &DeValue<'_>) -> Result<u8, Complaint> {
    let limits = "write 0x08 to 0x77 without quotes; usually 0x3c or 0x3d";
    let Some(number) = value.as_integer() else {
        return Err(Complaint::new(format!("is {}, not an I²C address", type_in_words(value)), limits));
    };
    let parsed = u8::from_str_radix(number.as_str(), number.radix()).ok().filter(|address| I2C.contains(address));
    parsed.ok_or_else(|| Complaint::new("is not an I²C address", limits))
}

/// A GPIO line's name.
pub(super) fn line(value: &DeValue<'_>) -> Result<String, Complaint> {
    let written = text_like(value, "write the line's name in quotes as `gpioinfo` prints it, such as \"GPIO17\"")?;
    let legal = (1..=64).contains(&written.len()) && written.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    legal.then(|| written.to_owned()).ok_or_else(|| {
        let problem = format!("is {}, which no line is called", quote(written));
        Complaint::new(problem, "write the line's name as `gpioinfo` prints it, such as \"GPIO17\"")
    })
}

/// An entry of `/sys/class/leds`.
pub(super) fn led(value: &DeValue<'_>) -> Result<String, Complaint> {
    let written = text(value)?;
    let legal = (1..=64).contains(&written.len())
        && !written.starts_with('.')
        && written.bytes().all(|b| b.is_ascii_graphic() && b != b'/');
    legal.then(|| written.to_owned()).ok_or_else(|| {
        let problem = format!("is {}, which no light is called", quote(written));
        Complaint::new(problem, "write its name in /sys/class/leds, such as \"ACT\"")
    })
}

/// A key.
pub(super) fn key(value: &DeValue<'_>) -> Result<Key, Complaint> {
    let written = text(value)?;
    KEYS.iter().find(|key| key.name == written).copied().ok_or_else(|| {
        let lower: Vec<String> = KEYS.iter().map(|key| key.name.to_ascii_lowercase()).collect();
        let near = nearest(written, lower.iter().map(String::as_str)).map(str::to_ascii_uppercase);
        let remedy = match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("choose from {}", KEYS.map(|key| key.name).join(", ")),
        };
        Complaint::new(format!("is {}, which is not known here", quote(written)), remedy)
    })
}

/// `verified = true`; what a part leaves out is as the whole.
pub(super) fn verified(section: &mut Section<'_>, otherwise: Verified) -> Result<Verified, Reported> {
    section.or("verified", otherwise, verified_value)
}

/// Whether somebody saw it on the hardware.
pub(super) fn verified_value(value: &DeValue<'_>) -> Result<Verified, Complaint> {
    match value.as_bool() {
        Some(true) => Ok(Verified::OnHardware),
        Some(false) => Ok(Verified::FromDocuments),
        None => Err(Complaint::new(
            "is neither true nor false",
            "write true only for what was seen on the hardware itself, otherwise false",
        )),
    }
}

/// `fitted = "optional"`.
pub(super) fn fitted(section: &mut Section<'_>) -> Result<Fitted, Reported> {
    const FITTED: [(&str, Fitted); 2] = [("always", Fitted::Always), ("optional", Fitted::Optional)];
    section.or("fitted", Fitted::Always, |v| choice(v, &FITTED, &[("no", "optional"), ("yes", "always")]))
}
