//! Numbers with a unit, as people write them: `4.5M`, `1h30m`, `50G`; and whole numbers without one.

use std::ops::RangeInclusive;

use toml::de::DeValue;

use super::report::{Complaint, quote};
use super::section::type_in_words;

/// A whole number within `range`, written without quotes; `of` says what of.
pub(super) fn whole(value: &DeValue<'_>, range: &RangeInclusive<u32>, of: &str) -> Result<u32, Complaint> {
    whole_of(value, range, of, |digits, radix| u32::from_str_radix(digits, radix).ok())
}

/// The same, and it may be negative.
pub(super) fn whole_signed(value: &DeValue<'_>, range: &RangeInclusive<i32>, of: &str) -> Result<i32, Complaint> {
    whole_of(value, range, of, |digits, radix| i32::from_str_radix(digits, radix).ok())
}

fn whole_of<N: PartialOrd + std::fmt::Display>(
    value: &DeValue<'_>,
    range: &RangeInclusive<N>,
    of: &str,
    parse: impl FnOnce(&str, u32) -> Option<N>,
) -> Result<N, Complaint> {
    let limits = || format!("write a whole number from {} to {}, {of}", range.start(), range.end());
    let Some(number) = value.as_integer() else {
        let problem = match value.as_str() {
            Some(written) => format!("is {}, in quotes", quote(written)),
            None => format!("is {}, not a whole number", type_in_words(value)),
        };
        return Err(Complaint::new(problem, limits()));
    };
    match parse(number.as_str(), number.radix()) {
        Some(number) if range.contains(&number) => Ok(number),
        _ => Err(Complaint::new(format!("is {}", quote(number.as_str()).trim_matches('"')), limits())),
    }
}

/// A decimal number in whole thousandths of `unit`, read from the front of `text`; the rest begins with the unit.
/// Exact: no floating point. `None` when there is no number, when it has more than three decimals or does not fit.
pub(super) fn thousandths(text: &str) -> Option<(u64, &str)> {
    let digits = |t: &str| t.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits(text));
    if whole.is_empty() {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let Some(fraction) = rest.strip_prefix('.') else { return Some((whole.checked_mul(1000)?, rest)) };
    let (fraction, rest) = fraction.split_at(digits(fraction));
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let padded: u64 = format!("{fraction:0<3}").parse().ok()?;
    Some((whole.checked_mul(1000)?.checked_add(padded)?, rest))
}

/// `text` as a number and one of `units`, in the units' common measure, rounded down. Spaces between are allowed.
pub(super) fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (thousandths, unit) = thousandths(text.trim())?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit.trim_start())?;
    let scaled = u128::from(thousandths) * u128::from(*factor) / 1000;
    u64::try_from(scaled).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_to_three_decimals() {
        assert_eq!(thousandths("4.5M"), Some((4500, "M")));
        assert_eq!(thousandths("0.001"), Some((1, "")));
        assert_eq!(thousandths("0.0001"), None);
        assert_eq!(thousandths(".5M"), None);
        assert_eq!(thousandths("5.M"), None);
        assert_eq!(thousandths("-5M"), None);
        assert_eq!(thousandths("99999999999999999999"), None);
        assert_eq!(thousandths("18446744073709551615"), None);
    }

    #[test]
    fn a_unit_must_be_one_of_those_offered() {
        let units = [("k", 1000), ("M", 1_000_000)];
        assert_eq!(with_unit("4 M", &units), Some(4_000_000));
        assert_eq!(with_unit("4Mb", &units), None);
        assert_eq!(with_unit("18446744073709551M", &units), None);
    }
}
