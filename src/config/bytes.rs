//! Amounts of storage and of data: `"50G"` (thousands, as disks and data are sold) or `"50GiB"`.

use toml::de::DeValue;

use super::quantity::with_unit;
use super::report::{Complaint, quote};
use super::section::text_like;

const UNITS: [(&str, u64); 14] = [
    ("M", 1_000_000),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("G", 1_000_000_000),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("T", 1_000_000_000_000),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
    ("k", 1000),
    ("K", 1000),
    ("kB", 1000),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Bytes that a link may carry, at least `least`.
pub(super) fn data(value: &DeValue<'_>, least: u64) -> Result<u64, Complaint> {
    let written = text_like(value, "write it in quotes with its unit M, G or T, such as \"20G\"")?;
    let Some(bytes) = with_unit(written, &UNITS) else {
        let problem = format!("is {}, not an amount of data", quote(written));
        return Err(Complaint::new(problem, "write a number and M, G or T, such as \"20G\""));
    };
    if bytes < least {
        let problem = format!("is {}, too little for any show", quote(written));
        return Err(Complaint::new(problem, format!("write at least \"{}M\"", least.div_ceil(1_000_000))));
    }
    Ok(bytes)
}

/// Bytes, at least `least`.
pub(super) fn read(value: &DeValue<'_>, least: u64) -> Result<u64, Complaint> {
    let written = text_like(value, "write it in quotes with its unit M, G or T, such as \"50G\"")?;
    let Some(bytes) = with_unit(written, &UNITS) else {
        let problem = format!("is {}, not an amount of storage", quote(written));
        return Err(Complaint::new(problem, "write a number and M, G or T, such as \"50G\""));
    };
    if bytes < least {
        let problem = format!("is {}, too little to record into", quote(written));
        return Err(Complaint::new(problem, format!("write at least \"{}M\"", least.div_ceil(1_000_000))));
    }
    Ok(bytes)
}
