//! Frame rates: `30`, or `"30000/1001"` for the broadcast rates that are not whole.

use toml::de::DeValue;

use super::report::{Complaint, quote};
use crate::model::FrameRate;

/// Frames per second, 1–120, in lowest terms.
pub(super) fn read(value: &DeValue<'_>) -> Result<FrameRate, Complaint> {
    let written = match value {
        DeValue::Integer(number) => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        DeValue::String(written) => written,
        DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err(Complaint::new("is not a number", "write 25, 30, 50, 60 or \"30000/1001\""));
        }
    };
    let parts = written.split_once('/').unwrap_or((written, "1"));
    let (Ok(num), Ok(den)) = (parts.0.trim().parse::<u32>(), parts.1.trim().parse::<u32>()) else {
        let remedy = match written {
            "23.976" | "23.98" => "write \"24000/1001\"",
            "29.97" => "write \"30000/1001\"",
            "59.94" => "write \"60000/1001\"",
            _ => "write a whole number such as 30, or a fraction such as \"30000/1001\"",
        };
        return Err(Complaint::new(format!("is {}, not an exact frame rate", quote(written)), remedy));
    };
    if den == 0 || num < den || num / 120 > den || (num / 120 == den && num % 120 != 0) {
        let problem = format!("is {}, outside 1 to 120 frames per second", quote(written));
        return Err(Complaint::new(problem, "write 25, 30, 50, 60 or \"30000/1001\""));
    }
    let common = gcd(num, den);
    Ok(FrameRate { num: num / common, den: den / common })
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
