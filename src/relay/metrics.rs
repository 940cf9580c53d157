//! Pure. The status as Prometheus reads it (text format 0.0.4).

use std::fmt::{Display, Write};

use super::status::{ProbeSnapshot, ProgrammeSnapshot, RelaySnapshot};
use crate::events::{OutputState, RecordingState, SourceOnAir};

/// All of it.
pub fn text(snapshot: &RelaySnapshot) -> String {
    let mut page = Page::default();
    page.head("uptime_seconds", "gauge", "Since the relay started.");
    page.line("uptime_seconds", &[], snapshot.uptime_s);
    handshakes(&mut page, snapshot);
    if let Some(probes) = &snapshot.probes {
        self::probes(&mut page, probes);
    }
    programmes(&mut page, &snapshot.programmes);
    senders(&mut page, &snapshot.programmes);
    outputs(&mut page, &snapshot.programmes);
    page.text
}

fn handshakes(page: &mut Page, snapshot: &RelaySnapshot) {
    page.head("connections_total", "counter", "SRT connections that came up, members of groups included.");
    page.line("connections_total", &[], snapshot.handshakes.connections);
    page.head("refused_total", "counter", "Callers that were refused, by reason.");
    for (reason, count) in &snapshot.handshakes.refused {
        page.line("refused_total", &[("reason", reason)], count);
    }
    page.head("datagrams_lost_total", "counter", "Datagrams that the kernel did not take, by socket.");
    for socket in &snapshot.sockets {
        page.line("datagrams_lost_total", &[("socket", &socket.local)], socket.lost);
    }
}

fn probes(page: &mut Page, probes: &ProbeSnapshot) {
    page.head("probes_total", "counter", "Datagrams to the port for probes, by what became of them.");
    for (fate, count) in [
        ("answered", probes.answered),
        ("limited", probes.limited),
        ("crowded", probes.crowded),
        ("malformed", probes.malformed),
    ] {
        page.line("probes_total", &[("fate", fate)], count);
    }
    page.head("probe_answers_lost_total", "counter", "Answers to probes that the kernel did not take.");
    page.line("probe_answers_lost_total", &[], probes.unsent);
}

fn programmes(page: &mut Page, programmes: &[ProgrammeSnapshot]) {
    page.head("programme_live", "gauge", "1 while the outputs are given what the sender sends.");
    for programme in programmes {
        let live = matches!(programme.source, SourceOnAir::Input(_));
        page.line("programme_live", &[("programme", programme.id.as_str())], u8::from(live));
    }
    type Count = (&'static str, &'static str, fn(&ProgrammeSnapshot) -> u64);
    let counts: [Count; 4] = [
        ("senders_total", "Senders that have come.", |p| p.senders),
        ("pictures_total", "Pictures taken out of what was sent.", |p| p.totals.pictures),
        ("continuity_errors_total", "Continuity errors of what was sent.", |p| p.totals.continuity_errors),
        ("missing_packets_total", "SRT packets that never came in time.", |p| p.totals.missing),
    ];
    for (name, help, of) in counts {
        page.head(name, "counter", help);
        for programme in programmes {
            page.line(name, &[("programme", programme.id.as_str())], of(programme));
        }
    }
}

fn senders(page: &mut Page, programmes: &[ProgrammeSnapshot]) {
    page.head("sender_connected", "gauge", "1 while the programme has a sender.");
    for programme in programmes {
        page.line("sender_connected", &[("programme", programme.id.as_str())], u8::from(programme.sender.is_some()));
    }
    let all: Vec<_> =
        programmes.iter().filter_map(|p| p.sender.as_ref().map(|sender| (p.id.as_str(), sender))).collect();
    page.head("sender_bits_per_second", "gauge", "Payload that arrives.");
    for (programme, sender) in &all {
        page.line("sender_bits_per_second", &[("programme", programme)], sender.bitrate);
    }
    page.head("sender_latency_seconds", "gauge", "Time for repetitions that was agreed on.");
    for (programme, sender) in &all {
        page.line("sender_latency_seconds", &[("programme", programme)], sender.latency_ms as f64 / 1e3);
    }
    let paths: Vec<_> = all.iter().flat_map(|(p, s)| s.paths.iter().map(move |path| (*p, path))).collect();
    page.head("path_rtt_seconds", "gauge", "Round-trip time of a path.");
    for (programme, path) in &paths {
        if let Some(rtt) = path.rtt_us {
            page.line("path_rtt_seconds", &[("programme", programme), ("from", &path.from)], rtt as f64 / 1e6);
        }
    }
    page.head("path_packets", "gauge", "Packets of a path since it was connected, by what became of them.");
    for (programme, path) in &paths {
        for (fate, count) in [
            ("received", path.received),
            ("first", path.first),
            ("duplicate", path.duplicate),
            ("belated", path.belated),
            ("missing", path.missing),
        ] {
            page.line("path_packets", &[("programme", programme), ("from", &path.from), ("fate", fate)], count);
        }
    }
}

fn outputs(page: &mut Page, programmes: &[ProgrammeSnapshot]) {
    let all: Vec<_> = programmes.iter().flat_map(|p| p.outputs.iter().map(move |o| (p.id.as_str(), o))).collect();
    page.head("output_publishing", "gauge", "1 while a destination is sent to.");
    for (programme, output) in &all {
        let up = output.state == OutputState::Publishing;
        page.line("output_publishing", &[("programme", programme), ("output", output.id.as_str())], u8::from(up));
    }
    page.head("output_bytes_total", "counter", "Bytes sent to a destination.");
    for (programme, output) in &all {
        page.line("output_bytes_total", &[("programme", programme), ("output", output.id.as_str())], output.bytes);
    }
    page.head("output_lost_total", "counter", "Units or packets that a destination could not take.");
    for (programme, output) in &all {
        page.line("output_lost_total", &[("programme", programme), ("output", output.id.as_str())], output.lost);
    }
    let kept: Vec<_> = programmes.iter().flat_map(|p| p.recordings.iter().map(move |r| (p.id.as_str(), r))).collect();
    page.head("recording_writing", "gauge", "1 while a recording is written.");
    for (programme, recording) in &kept {
        let up = recording.state == RecordingState::Recording;
        let labels = [("programme", *programme), ("recording", recording.id.as_str())];
        page.line("recording_writing", &labels, u8::from(up));
    }
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing into a string does not fail.
        let _ = writeln!(self.text, "# HELP holdfast_relay_{name} {help}\n# TYPE holdfast_relay_{name} {kind}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "holdfast_relay_{name}");
        for (n, (label, of)) in labels.iter().enumerate() {
            let begin = if n == 0 { '{' } else { ',' };
            let of = of.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{begin}{label}=\"{of}\"");
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;
    use crate::relay::status::{HandshakeSnapshot, SocketSnapshot};

    #[test]
    fn every_line_is_a_comment_or_a_name_with_a_number() {
        let mut handshakes = HandshakeSnapshot::default();
        handshakes.refused.insert("wrong-passphrase", 3);
        let socket = SocketSnapshot { local: "[::]:9000".to_owned(), sent: 1, lost: 2 };
        let local = "[::]:9710".to_owned();
        let probes = ProbeSnapshot { local, answered: 4, limited: 5, crowded: 6, malformed: 7, unsent: 8 };
        let snapshot = RelaySnapshot {
            name: "a".to_owned(),
            version: "0",
            at: Wall(0),
            uptime_s: 7,
            programmes: Vec::new(),
            sockets: vec![socket],
            handshakes,
            probes: Some(probes),
        };
        let text = text(&snapshot);
        assert!(text.contains("holdfast_relay_refused_total{reason=\"wrong-passphrase\"} 3\n"), "{text}");
        assert!(text.contains("holdfast_relay_datagrams_lost_total{socket=\"[::]:9000\"} 2\n"), "{text}");
        assert!(text.contains("holdfast_relay_probes_total{fate=\"malformed\"} 7\n"), "{text}");
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (name, value) = line.rsplit_once(' ').unwrap_or_default();
            assert!(name.starts_with("holdfast_relay_") && value.parse::<f64>().is_ok(), "{line}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = Page::default();
        page.line("x", &[("a", "b\"c\\d\n")], 1);
        assert_eq!(page.text, "holdfast_relay_x{a=\"b\\\"c\\\\d\\n\"} 1\n");
    }
}
