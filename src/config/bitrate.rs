//! Bit rates: `"4M"`, `"4500k"`, or a whole number of bits per second.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::quantity::with_unit;
use super::report::{Complaint, quote};
use super::section::text_like;

/// A bit rate within `range`, bit/s.
pub(super) fn read(value: &DeValue<'_>, range: &RangeInclusive<u32>) -> Result<u32, Complaint> {
    let example = || format!("write a value from \"{}\" to \"{}\"", show(*range.start()), show(*range.end()));
    let (bits, written) = if let Some(number) = value.as_integer() {
        let digits = number.as_str();
        let otherwise = if digits.starts_with('-') { 0 } else { u64::MAX };
        (u64::from_str_radix(digits, number.radix()).unwrap_or(otherwise), digits.to_owned())
    } else {
        let written = text_like(value, &example())?;
        let units = [("k", 1000), ("K", 1000), ("M", 1_000_000), ("kbit/s", 1000), ("Mbit/s", 1_000_000), ("", 1)];
        let bits = with_unit(written, &units)
            .ok_or_else(|| Complaint::new(format!("is {}, not a bit rate", quote(written)), example()))?;
        (bits, quote(written))
    };
    match u32::try_from(bits) {
        Ok(bits) if range.contains(&bits) => Ok(bits),
        _ => {
            let bare = written.trim_matches('"').bytes().all(|b| b.is_ascii_digit());
            let meant = [(1000, 'k'), (1_000_000, 'M')].into_iter().find(|(factor, _)| {
                let scaled = bits.checked_mul(*factor).and_then(|scaled| u32::try_from(scaled).ok());
                bare && scaled.is_some_and(|scaled| range.contains(&scaled))
            });
            if let Some((_, unit)) = meant {
                let remedy = format!("did you mean \"{bits}{unit}\"?");
                return Err(Complaint::new(format!("is {written}, which is bits per second"), remedy));
            }
            let side = if bits < u64::from(*range.start()) { "below the least" } else { "above the most" };
            Err(Complaint::new(format!("is {written}, {side} this box allows"), example()))
        }
    }
}

/// `4500k` or `4M`.
fn show(bits: u32) -> String {
    if bits.is_multiple_of(1_000_000) { format!("{}M", bits / 1_000_000) } else { format!("{}k", bits / 1000) }
}
