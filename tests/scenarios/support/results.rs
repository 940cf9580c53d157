//! Measured values: printed, and kept in `results/<scenario>.tsv` (a header, then one line per measurement).

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Appends one measurement.
pub fn record(scenario: &str, values: &[(&str, String)]) {
    println!("    {scenario}: {}", values.iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>().join(", "));
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    fs::create_dir_all(&dir).expect("results/ can be made");
    let file = dir.join(format!("{scenario}.tsv"));
    let fresh = !file.exists();
    let mut out = OpenOptions::new().create(true).append(true).open(file).expect("results/ is writable");
    let line = |cells: Vec<&str>| format!("{}\n", cells.join("\t"));
    let mut text = if fresh { line(values.iter().map(|(k, _)| *k).collect()) } else { String::new() };
    text.push_str(&line(values.iter().map(|(_, v)| v.as_str()).collect()));
    out.write_all(text.as_bytes()).expect("results/ is writable");
}
