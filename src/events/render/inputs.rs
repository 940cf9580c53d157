//! The inputs: on the box's page, and on one of their own.

use super::page::{Page, Tone};
use super::{Style, bitrates, detail, row, words};
use crate::events::{BoxSnapshot, InputSender, InputSnapshot, InputStanding, SourceOnAir, WorkerReport};
use crate::model::{Gravity, Manual};

/// All of them, each with what is wrong with it and what follows from that.
pub fn inputs(now: &BoxSnapshot, style: Style) -> String {
    let mut page = Page::new(Style { width: style.width.max(40), ..style });
    if let Some(plane) = &now.plane {
        let chosen = match &plane.choice {
            Manual::Auto => "the rules choose".to_owned(),
            by_hand @ (Manual::Input(_) | Manual::Slate) => {
                format!("an operator chose {by_hand}; holdfast choose auto lets the rules choose again")
            }
        };
        let on_air = match &plane.source {
            SourceOnAir::Input(input) => format!(" {input} is on air: "),
            SourceOnAir::Slate if plane.holds_picture() => " The last picture is held on air: ".to_owned(),
            SourceOnAir::Slate => " The slate is on air: ".to_owned(),
            SourceOnAir::Nothing => " Nothing is on air: ".to_owned(),
        };
        page.paragraph(&[(Tone::Strong, on_air.as_str())], Tone::Plain, &plane.source_reason);
        page.line(&[(Tone::Quiet, &format!(" {chosen}"))]);
    }
    section(&mut page, now);
    page.finish()
}

/// As a part of a page.
pub(super) fn section(page: &mut Page, now: &BoxSnapshot) {
    let seen = now.plane.as_ref().map_or(&[][..], |plane| &plane.inputs);
    if seen.is_empty() && now.workers.is_empty() {
        return;
    }
    page.heading(" INPUTS", "");
    for input in seen {
        let worker = now.workers.iter().find(|w| w.input == input.id);
        let is_on_air = now.plane.as_ref().is_some_and(|plane| plane.source == SourceOnAir::Input(input.id.clone()));
        let (tone, mark, state) = state(input, worker, is_on_air);
        let mut facts = worker.map_or_else(String::new, |w| w.signal.clone());
        if let Some(points) = input.score {
            facts = format!("{points} points  {facts}");
        }
        row(page, (tone, mark), input.id.as_str(), state, &facts);
        if let Some(sender) = &input.sender {
            detail(page, Tone::Quiet, &in_words(sender));
        }
        for finding in input.condition.findings() {
            let tone = match finding.fault.gravity() {
                Gravity::Hard => Tone::Bad,
                Gravity::Soft => Tone::Busy,
            };
            detail(page, tone, &format!("{}: {}", finding.fault, finding.evidence));
        }
        if let InputStanding::Probation { .. } = input.standing {
            detail(page, Tone::Busy, &format!("{}, before it is trusted again", input.standing));
        }
        if let Some(worker) = worker {
            encoders(page, worker);
        }
    }
    // Workers that run while there is no data plane to count them.
    for worker in now.workers.iter().filter(|w| !seen.iter().any(|i| i.id == w.input)) {
        let (tone, mark) = if worker.has_picture { (Tone::Good, "●") } else { (Tone::Busy, "◌") };
        let state = if worker.has_picture { "picture" } else { "no picture" };
        row(page, (tone, mark), worker.input.as_str(), state, &worker.signal);
        encoders(page, worker);
    }
}

fn state(input: &InputSnapshot, worker: Option<&WorkerReport>, is_on_air: bool) -> (Tone, &'static str, &'static str) {
    if !input.connected {
        return (Tone::Bad, "✗", "no worker");
    }
    if !worker.is_some_and(|w| w.has_picture) {
        return (Tone::Busy, "◌", "no picture");
    }
    match (&input.standing, is_on_air) {
        (InputStanding::Unusable, _) => (Tone::Bad, "✗", "unusable"),
        (InputStanding::Impaired, true) => (Tone::Busy, "●", "on air"),
        (_, true) => (Tone::Good, "●", "on air"),
        (InputStanding::Impaired, false) => (Tone::Busy, "◌", "impaired"),
        (InputStanding::Probation { .. }, false) => (Tone::Busy, "◌", "on probation"),
        (InputStanding::Absent | InputStanding::Untold | InputStanding::Ready, false) => (Tone::Good, "○", "ready"),
    }
}

/// Who sends it, and how the network does.
fn in_words(sender: &InputSender) -> String {
    let mut text = format!("{}, for {} s, {} kbit/s", sender.from, sender.for_s, sender.bitrate / 1000);
    if let Some(rtt) = sender.rtt_ms {
        text += &format!(", round trip {rtt} ms");
    }
    if sender.packets > 0 {
        let share = sender.lost as f64 * 100.0 / sender.packets as f64;
        text += &format!(", {share:.1} % lost lately");
    }
    text
}

fn encoders(page: &mut Page, worker: &WorkerReport) {
    for stream in &worker.streams {
        let mut text = format!(
            "{} by {}: {} encoded, {} ms",
            stream.rendition,
            stream.encoder,
            words::count(stream.encoded),
            stream.latency_ms
        );
        if stream.stood_by > 0 {
            text += &format!(", {} more to keep it warm", words::count(stream.stood_by));
        }
        if stream.overflowed > 0 {
            text += &format!(", {} not taken by the data plane", words::count(stream.overflowed));
        }
        if stream.left_out > 0 {
            text += &format!(", {} left out since it is too slow", words::count(stream.left_out));
        }
        if let Some(changes) = bitrates::changes(stream) {
            text += &format!(", {changes}");
        }
        detail(page, Tone::Quiet, &text);
    }
    if worker.repeated > 0 || worker.dropped > 0 {
        let text = format!(
            "{} pictures repeated and {} dropped to keep the grid",
            words::count(worker.repeated),
            words::count(worker.dropped)
        );
        detail(page, Tone::Quiet, &text);
    }
}
