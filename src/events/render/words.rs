//! Quantities as people read them.

use std::time::Duration;

use crate::events::Role;
use crate::model::Media;

/// `3.9 Mbit/s`.
pub(super) fn bit_rate(bits: u32) -> String {
    match bits {
        0 => "nothing".to_owned(),
        1..1_000_000 => format!("{} kbit/s", bits.div_ceil(1000)),
        _ => format!("{:.1} Mbit/s", f64::from(bits) / 1e6),
    }
}

/// `12.3 MB`: decimal units, as disks are sold.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut whole = count;
    let mut tenths = 0;
    let mut unit = 0;
    while whole >= 1000 && unit + 1 < UNITS.len() {
        tenths = whole % 1000 / 100;
        whole /= 1000;
        unit += 1;
    }
    if unit == 0 { format!("{whole} B") } else { format!("{whole}.{tenths} {}", UNITS[unit]) }
}

/// `239 400`: grouped by thousands with no-break spaces.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 2);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{a0}');
        }
        text.push(digit);
    }
    text
}

/// `2 h 13 min`: the two largest parts.
pub(super) fn duration(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {} min", s / 3600, s % 3600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3600),
    }
}

/// `26:30:07.3`: programme time, which does not stop at a day.
pub(super) fn clock(time: Media) -> String {
    let ms = time.as_nanos() / 1_000_000;
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    let (s, tenth) = (ms / 1000, ms % 1000 / 100);
    format!("{sign}{:02}:{:02}:{:02}.{tenth}", s / 3600, s / 60 % 60, s % 60)
}

/// What people call a process.
pub(super) fn role(role: &Role) -> String {
    match role {
        Role::Supervisor => "holdfastd".to_owned(),
        Role::Transmit => "data plane".to_owned(),
        Role::Encode(input) => format!("worker {input}"),
        Role::Relay => "relay".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_like_people_write_them() {
        assert_eq!(bit_rate(3_912_000), "3.9 Mbit/s");
        assert_eq!(bit_rate(128_000), "128 kbit/s");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(bytes(u64::MAX), "18446744.0 TB");
        assert_eq!(count(1), "1");
        assert_eq!(count(239_400), "239\u{a0}400");
        assert_eq!(duration(Duration::from_secs(59)), "59 s");
        assert_eq!(duration(Duration::from_secs(8000)), "2 h 13 min");
        assert_eq!(clock(Media::from_millis(95_407_350)), "26:30:07.3");
        assert_eq!(clock(Media::from_millis(-1500)), "-00:00:01.5");
    }
}
