//! Lengths of time: `"2s"`, `"500ms"`, `"1h30m"`.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::quantity::thousandths;
use super::report::{Complaint, quote};
use super::section::text_like;

/// A duration within `range`.
pub(super) fn read(value: &DeValue<'_>, range: &RangeInclusive<Duration>) -> Result<Duration, Complaint> {
    let written = text_like(value, "write it in quotes with its unit ms, s, m or h, such as \"2s\"")?;
    let limits = format!("write a time from \"{}\" to \"{}\"", show(*range.start()), show(*range.end()));
    let Some(duration) = parse(written.trim()) else {
        let remedy = format!("{limits}, with its unit: ms, s, m or h");
        return Err(Complaint::new(format!("is {}, not a length of time", quote(written)), remedy));
    };
    if range.contains(&duration) {
        return Ok(duration);
    }
    let side = if duration < *range.start() { "too short" } else { "too long" };
    Err(Complaint::new(format!("is {}, {side}", quote(written)), limits))
}

fn parse(mut rest: &str) -> Option<Duration> {
    let mut micros = 0u64;
    while !rest.is_empty() {
        let (number, after) = thousandths(rest)?;
        let unit = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(unit);
        let unit_millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        micros = micros.checked_add(number.checked_mul(unit_millis)?)?;
        rest = after.trim_start();
    }
    (micros > 0).then(|| Duration::from_micros(micros))
}

fn show(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (0, ms) => format!("{ms}ms"),
        (s, _) if s.is_multiple_of(3600) => format!("{}h", s / 3600),
        (s, _) if s.is_multiple_of(60) => format!("{}m", s / 60),
        (s, _) => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_add_up() {
        assert_eq!(parse("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(parse("2.5s"), Some(Duration::from_millis(2500)));
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse("1m 5s"), Some(Duration::from_secs(65)));
        for wrong in ["", "5", "s", "5 days", "99999999999999999h", "-1s", "0s"] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
