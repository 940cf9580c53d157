//! Snapshots and events as text for a terminal. The words are the same with and without colour, and every trouble comes
//! with what to do about it, as far as the box knows.

mod bitrates;
mod inputs;
mod links;
mod page;
mod srt;
mod telemetry;
mod words;

use std::time::Duration;

use super::{
    BoxSnapshot, ChildSnapshot, ChildState, Event, OutputSnapshot, OutputState, PlaneSnapshot, RecordingSnapshot,
    RecordingState, Severity, SourceOnAir,
};
pub use bitrates::bitrates;
pub use inputs::inputs;
pub use links::links;
use page::{Page, Tone};
pub use telemetry::{dish, modem};

/// How text is to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub colour: bool,
    /// Columns; at least 40 are used.
    pub width: usize,
}

/// An event together with its time of day as the reader's clock shows it.
pub type Timed<'a> = (&'a str, &'a Event);

const NAME: usize = 16;
const STATE: usize = 13;

/// The whole box on one page.
pub fn status(now: &BoxSnapshot, recent: &[Timed<'_>], style: Style) -> String {
    let mut page = Page::new(Style { width: style.width.max(40), ..style });
    headline(&mut page, now);
    if let Some(why) = &now.config_refused {
        page.blank();
        page.paragraph(&[(Tone::Bad, " ! configuration refused, the last good one is in force: ")], Tone::Plain, why);
    }
    if let Some(plane) = &now.plane {
        destinations(&mut page, &plane.outputs);
        recordings(&mut page, &plane.recordings);
        renditions(&mut page, plane);
        links::data(&mut page, plane.links.as_deref().unwrap_or_default());
    }
    inputs::section(&mut page, now);
    telemetry::all(&mut page, &now.telemetry);
    processes(&mut page, &now.children);
    if !recent.is_empty() {
        page.heading(" LAST EVENTS", "");
        for (time, event) in recent {
            event_lines(&mut page, time, event);
        }
    }
    page.finish()
}

/// One event: time, what it is about, the reason in words.
pub fn event((time, event): Timed<'_>, style: Style) -> String {
    let mut page = Page::new(Style { width: style.width.max(40), ..style });
    event_lines(&mut page, time, event);
    page.finish()
}

/// The box in one line, for `systemctl status` and small displays.
pub fn summary(now: &BoxSnapshot) -> String {
    let (_, state, _) = on_air(now);
    let Some(plane) = now.plane.as_ref().filter(|plane| plane.on_air) else { return state };
    let wanted = plane.outputs.iter().filter(|o| o.state != OutputState::Off).count();
    let up = plane.outputs.iter().filter(|o| o.state == OutputState::Publishing).count();
    format!("{state}; {up} of {wanted} destinations publishing")
}

/// The first thing to know, how good it is, and why it is so.
fn on_air(now: &BoxSnapshot) -> (Tone, String, String) {
    match (&now.plane, now.on_air) {
        (None, true) => {
            let text = "the data plane is not up; it is being started again, see below";
            (Tone::Bad, "ON AIR is wanted, but nothing is being sent".to_owned(), text.to_owned())
        }
        (_, false) => (Tone::Quiet, "OFF AIR".to_owned(), "go on air with: holdfast start".to_owned()),
        (Some(plane), true) if !plane.on_air => {
            (Tone::Busy, "GOING ON AIR".to_owned(), "the data plane has been told".to_owned())
        }
        (Some(plane), true) => {
            let why = plane.source_reason.clone();
            match &plane.source {
                SourceOnAir::Input(input) => (Tone::Good, format!("ON AIR with {input}"), why),
                SourceOnAir::Slate if plane.holds_picture() => {
                    (Tone::Busy, "ON AIR with the last picture, held".to_owned(), why)
                }
                SourceOnAir::Slate => (Tone::Busy, "ON AIR with the slate".to_owned(), why),
                SourceOnAir::Nothing => (Tone::Bad, "ON AIR, but there is no picture to send".to_owned(), why),
            }
        }
    }
}

fn headline(page: &mut Page, now: &BoxSnapshot) {
    let version = format!("  Holdfast {}", now.version);
    page.line(&[(Tone::Strong, " "), (Tone::Strong, &now.box_name), (Tone::Quiet, &version)]);
    page.blank();
    let (tone, state, why) = on_air(now);
    let since = match (now.on_air, now.on_air_since) {
        (true, Some(since)) => {
            let micros = u64::try_from(now.at.0.saturating_sub(since.0)).unwrap_or(0);
            format!("  for {}", words::duration(Duration::from_micros(micros)))
        }
        _ => String::new(),
    };
    page.line(&[(tone, " ● "), (tone, &state), (Tone::Quiet, &since)]);
    page.paragraph(&[(Tone::Plain, "   ")], Tone::Plain, &why);
    if let Some(plane) = now.plane.as_ref().filter(|plane| plane.on_air) {
        let time = format!("   programme time {}", words::clock(plane.programme_time));
        page.line(&[(Tone::Quiet, &time)]);
    }
}

fn destinations(page: &mut Page, outputs: &[OutputSnapshot]) {
    if outputs.is_empty() {
        return;
    }
    page.heading(" DESTINATIONS", "");
    for output in outputs {
        let (tone, mark, state) = match &output.state {
            OutputState::Off => (Tone::Quiet, "○", "off"),
            OutputState::Connecting => (Tone::Busy, "◌", "connecting"),
            OutputState::Publishing => (Tone::Good, "●", "publishing"),
            OutputState::Waiting { .. } => (Tone::Bad, "✗", "waiting"),
            OutputState::Stopping => (Tone::Busy, "◌", "ending"),
        };
        let facts = match &output.state {
            OutputState::Publishing => {
                let unconfirmed = output.bytes.saturating_sub(output.acknowledged);
                let mut facts = format!("{}  {} sent", output.rendition, words::bytes(output.bytes));
                if unconfirmed > 500_000 {
                    facts += &format!(", {} not acknowledged", words::bytes(unconfirmed));
                }
                if output.behind_ms >= 1000 {
                    facts += &format!(", {}.{} s behind", output.behind_ms / 1000, output.behind_ms % 1000 / 100);
                }
                facts
            }
            // For somebody to do something.
            OutputState::Waiting { retry_in_ms: 0, .. } => output.rendition.to_string(),
            OutputState::Waiting { retry_in_ms, .. } => {
                format!("{}  tries again in {} s", output.rendition, retry_in_ms.div_ceil(1000))
            }
            OutputState::Off | OutputState::Connecting | OutputState::Stopping => output.rendition.to_string(),
        };
        row(page, (tone, mark), output.id.as_str(), state, &format!("{facts}  {}", output.url));
        if let OutputState::Waiting { because, .. } = &output.state {
            detail(page, Tone::Bad, because);
        }
        if let Some(link) = &output.route {
            let standby = output.standby.as_ref();
            let standby = standby.map_or_else(String::new, |link| format!(", a session over {link} stands by"));
            detail(page, Tone::Plain, &format!("over {link}{standby}"));
        }
        if output.lost > 0 || output.sessions > 1 {
            let what = if output.srt.is_some() { "packets" } else { "units" };
            let text = format!(
                "{} sessions, {} {what} skipped",
                words::count(output.sessions.into()),
                words::count(output.lost)
            );
            detail(page, Tone::Quiet, &text);
        }
        if let Some(srt) = &output.srt {
            srt::paths(page, srt, &output.state);
        }
    }
}

fn recordings(page: &mut Page, recordings: &[RecordingSnapshot]) {
    if recordings.is_empty() {
        return;
    }
    page.heading(" RECORDINGS", "");
    for recording in recordings {
        let (tone, mark, state) = match recording.state {
            RecordingState::Off => (Tone::Quiet, "○", "off"),
            RecordingState::Recording => (Tone::Good, "●", "recording"),
            RecordingState::Trouble { .. } => (Tone::Bad, "✗", "trouble"),
        };
        let mut facts = format!("{}  {} written", recording.rendition, words::bytes(recording.bytes));
        if let Some(free) = recording.free_bytes {
            facts += &format!(", {} free", words::bytes(free));
        }
        if recording.lost > 0 {
            facts += &format!(", {} units lost to the disk", words::count(recording.lost));
        }
        row(page, (tone, mark), recording.id.as_str(), state, &facts);
        match (&recording.state, &recording.file) {
            (RecordingState::Trouble { because }, _) => detail(page, Tone::Bad, because),
            (RecordingState::Off | RecordingState::Recording, Some(file)) => detail(page, Tone::Quiet, file),
            (RecordingState::Off | RecordingState::Recording, None) => {}
        }
    }
}

fn renditions(page: &mut Page, plane: &PlaneSnapshot) {
    if plane.renditions.is_empty() {
        return;
    }
    // The last two are seldom more than a few.
    let widths = [10, 9, 9, 8, 7];
    let columns = ["live", "held", "slate", "missing", "late"].iter().zip(widths);
    let columns: String = columns.map(|(title, width)| format!("{title:>width$}")).collect();
    page.heading(" RENDITIONS", &format!("{:1$}{columns}", "", NAME + 12));
    for rendition in &plane.renditions {
        let slate = rendition.slate.saturating_sub(rendition.held);
        let numbers = [rendition.live, rendition.held, slate, rendition.missing, rendition.late];
        let numbers = numbers.iter().zip(widths);
        let numbers: String = numbers.map(|(n, width)| format!("{:>width$}", words::count(*n))).collect();
        let text = format!(
            "   {:<NAME$}{:<7}{:>13}{numbers}",
            rendition.id.as_str(),
            rendition.codec.label(),
            words::bit_rate(rendition.bitrate)
        );
        page.line(&[(Tone::Plain, &text)]);
        bitrates::lowered(page, rendition);
    }
}

fn processes(page: &mut Page, children: &[ChildSnapshot]) {
    page.heading(" PROCESSES", "");
    for child in children {
        let (tone, mark, state) = match child.state {
            ChildState::Stopped => (Tone::Quiet, "○", "stopped"),
            ChildState::Starting => (Tone::Busy, "◌", "starting"),
            ChildState::Running => (Tone::Good, "●", "running"),
            ChildState::Hung => (Tone::Bad, "✗", "hung, killing"),
            ChildState::BackingOff => (Tone::Bad, "✗", "waiting"),
            ChildState::Abandoned => (Tone::Bad, "✗", "unkillable"),
        };
        let mut facts = child.pid.map_or_else(String::new, |pid| format!("process {pid}"));
        if child.starts > 1 {
            facts += &format!(", started {} times", child.starts);
        }
        row(page, (tone, mark), &words::role(&child.role), state, facts.trim_start_matches(", "));
        if let Some(end) = &child.last_end {
            detail(page, Tone::Quiet, &format!("last ended: {end}"));
        }
    }
}

fn event_lines(page: &mut Page, time: &str, event: &Event) {
    let (tone, mark) = match event.severity {
        Severity::Info => (Tone::Plain, " "),
        Severity::Warning => (Tone::Busy, "!"),
        Severity::Alert => (Tone::Bad, "✗"),
    };
    let subject = if event.subject.is_empty() { words::role(&event.from) } else { event.subject.clone() };
    let subject = format!(" {subject:<NAME$} ");
    let first = [(Tone::Quiet, " "), (Tone::Quiet, time), (Tone::Plain, " "), (tone, mark), (Tone::Strong, &subject)];
    page.paragraph(&first, tone, &event.reason);
}

/// ` ● name   state   facts`.
fn row(page: &mut Page, (tone, mark): (Tone, &str), name: &str, state: &str, facts: &str) {
    let name = format!(" {name:<NAME$} ");
    let state = format!("{state:<STATE$} ");
    page.line(&[(Tone::Plain, " "), (tone, mark), (Tone::Strong, &name), (tone, &state), (Tone::Plain, facts)]);
}

/// More about the row above.
fn detail(page: &mut Page, tone: Tone, text: &str) {
    page.paragraph(&[(Tone::Plain, "     ")], tone, text);
}

#[cfg(test)]
mod tests;
