//! Pure. What `holdfast probe` prints: which encoders work here, which do not, and why.

use std::fmt::Write;

use serde::Serialize;

use crate::model::Codec;

use super::table::{FAMILIES, Family, Kind, Verified, VideoJob};
use super::verdict::Outcome;

/// Everything a probe found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Holdfast's own version.
    pub holdfast: String,
    /// The installed GStreamer, as it calls itself.
    pub gstreamer: String,
    /// The kernel.
    pub kernel: String,
    /// The processor and how many of it.
    pub processor: String,
    /// Graphics devices.
    pub gpus: Vec<String>,
    /// One per family and codec, in the table's order.
    pub rows: Vec<Row>,
}

/// One trial.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The family's name.
    pub family: String,
    /// What was asked for.
    pub job: VideoJob,
    /// What came of it.
    pub outcome: Outcome,
}

impl Row {
    fn family(&self) -> Option<&'static Family> {
        FAMILIES.iter().find(|f| f.name == self.family)
    }

    fn verified(&self) -> &'static str {
        match self.family().map(|f| f.verified) {
            Some(Verified::NotOnHardware) => "not verified on hardware",
            Some(Verified::FromSources(_)) => "checked against its sources only",
            Some(Verified::Here(_)) | None => "",
        }
    }
}

/// The report as a table for a terminal, or, with `whole`, as a text that says everything to somebody far away.
pub fn render(report: &Report, whole: bool) -> String {
    let mut out = String::new();
    let _ = header(&mut out, report);
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
        let rows: Vec<_> = report.rows.iter().filter(|r| r.job.codec == codec).collect();
        if !rows.is_empty() {
            let _ = section(&mut out, codec, &rows);
        }
    }
    let _ = footer(&mut out, report, whole);
    out
}

fn header(out: &mut String, report: &Report) -> std::fmt::Result {
    let gpus = if report.gpus.is_empty() { "none found".to_owned() } else { report.gpus.join(", ") };
    writeln!(out, "Holdfast {}, {}, {}", report.holdfast, report.gstreamer, report.kernel)?;
    writeln!(out, "Processor: {}", report.processor)?;
    writeln!(out, "Graphics:  {gpus}")
}

fn section(out: &mut String, codec: Codec, rows: &[&Row]) -> std::fmt::Result {
    let Some(first) = rows.first() else { return Ok(()) };
    let VideoJob { width, height, rate, bitrate, .. } = first.job;
    let kbit = bitrate / 1000;
    writeln!(out, "\n{} at {width}x{height}, {} frames/s, {kbit} kbit/s", codec.label(), round(rate.as_f64()))?;
    writeln!(out, "  {:<10} {:<9} {:<13} {:>10} {:>9}  ", "family", "kind", "result", "real time", "cpu/frame")?;
    for row in rows {
        let kind = match row.family().map(|f| f.kind) {
            Some(Kind::Hardware) => "hardware",
            Some(Kind::Software) | None => "software",
        };
        let (speed, cpu) = match row.outcome.measured() {
            Some(m) => (format!("{:.1} x", m.realtime), format!("{:.1} ms", m.cpu_ms)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let verified = row.verified();
        let line =
            format!("  {:<10} {kind:<9} {:<13} {speed:>10} {cpu:>9}  {verified}", row.family, row.outcome.word());
        writeln!(out, "{}", line.trim_end())?;
        for note in notes(row) {
            wrapped(out, &note)?;
        }
    }
    Ok(())
}

/// What belongs under a row: why it does not work, what to know of it if it does.
fn notes(row: &Row) -> Vec<String> {
    let Some(measured) = row.outcome.measured() else { return vec![row.outcome.why()] };
    let mut notes = Vec::new();
    if row.outcome.word() != "works" {
        notes.push(row.outcome.why());
    }
    notes.extend(row.family().and_then(|f| f.label).map(str::to_owned));
    if !measured.decoded {
        notes.push("its output was not decoded: no decoder for it is installed".to_owned());
    }
    if !measured.left_out.is_empty() {
        notes.push(format!("this {} has no {}", measured.element, measured.left_out.join(", ")));
    }
    notes
}

/// Indented under the row, at most 100 characters wide.
fn wrapped(out: &mut String, text: &str) -> std::fmt::Result {
    const INDENT: &str = "             ";
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > 100 - INDENT.len() {
            writeln!(out, "{INDENT}{line}")?;
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if line.is_empty() { Ok(()) } else { writeln!(out, "{INDENT}{line}") }
}

fn footer(out: &mut String, report: &Report, whole: bool) -> std::fmt::Result {
    writeln!(out)?;
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
        let mut rows = report.rows.iter().filter(|r| r.job.codec == codec).peekable();
        if rows.peek().is_none() {
            continue;
        }
        let chosen = rows.find(|r| r.outcome.word() == "works");
        match chosen {
            Some(row) => writeln!(out, "{:<6} {} would be used", codec.label(), row.family)?,
            None => writeln!(out, "{:<6} nothing works fast enough", codec.label())?,
        }
    }
    let unverified = report.rows.iter().any(|r| r.outcome.measured().is_some() && !r.verified().is_empty());
    if whole {
        writeln!(out, "\nEach row is a trial of 60 frames in a process of its own. Real time: how many times faster")?;
        writeln!(out, "than the programme it encodes; an encoder needs 1.3 to be chosen by itself.\n")?;
        writeln!(out, "As data:")?;
        writeln!(out, "{}", serde_json::to_string(report).unwrap_or_default())
    } else if unverified {
        writeln!(out, "\nAn encoder that nobody had tried on hardware works here. Please tell us:")?;
        writeln!(out, "  holdfast-encode probe --report > report.txt")
    } else {
        Ok(())
    }
}

fn round(rate: f64) -> String {
    let text = format!("{rate:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
