//! Bit rates: `"4M"`, `"4500k"`, or a whole number of bits per second.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::quantity::with_unit;
use super::report::{Complaint, quote};
use super::section::text;

/// A bit rate within `range`, bit/s.
pub(super) fn read(value: &DeValue<'_>, range: &RangeInclusive<u32>) -> Result<u32, Complaint> {
    let example = || format!("write a value from \"{}\" to \"{}\"", show(*range.start()), show(*range.end()));
    let (bits, written) = if let Some(number) = value.as_integer() {
        let written = number.as_str().to_owned();
        let bits = u64::from_str_radix(number.as_str(), number.radix()).unwrap_or(u64::MAX);
        (bits, written)
    } else {
        let written = text(value)?;
        let units = [("k", 1000), ("K", 1000), ("M", 1_000_000), ("kbit/s", 1000), ("Mbit/s", 1_000_000), ("", 1)];
        let bits = with_unit(written, &units)
            .ok_or_else(|| Complaint::new(format!("is {}, not a bit rate", quote(written)), example()))?;
        (bits, quote(written))
    };
    match u32::try_from(bits) {
        Ok(bits) if range.contains(&bits) => Ok(bits),
        Ok(bits) if bits < *range.start() && bits.checked_mul(1000).is_some_and(|k| range.contains(&k)) => {
            Err(Complaint::new(format!("is {written}, which is bits per second"), format!("did you mean \"{bits}k\"?")))
        }
        _ => {
            let side = if bits < u64::from(*range.start()) { "below the least" } else { "above the most" };
            Err(Complaint::new(format!("is {written}, {side} this box allows"), example()))
        }
    }
}

/// `4500k` or `4M`.
fn show(bits: u32) -> String {
    if bits.is_multiple_of(1_000_000) { format!("{}M", bits / 1_000_000) } else { format!("{}k", bits / 1000) }
}
