//! Pure. Encoders that fall behind: told when their queue grows, before a picture is left out, and with the remedy.
//!
//! Fewer bits hardly help one: most of what it does it does for each pixel, whatever the bit rate. So nothing is lowered here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::heat::{Notice, Pressure};
use crate::encode::table::{self, Kind};
use crate::events::{Severity, WorkerReport, WorkerStream};
use crate::model::{InputId, RenditionId};

/// An encoder that keeps up has no picture or one waiting; this is more than a slow moment, ms. Pictures are left out from two
/// seconds on.
const BEHIND_MS: u32 = 500;
/// Behind for so long: it does not catch up by itself.
const LASTS: Duration = Duration::from_secs(3);
/// Without it for so long: over.
const OVER: Duration = Duration::from_secs(30);
/// It goes on: said again so often.
const AGAIN: Duration = Duration::from_secs(60);
/// A worker that says nothing for so long is not there.
const GONE: Duration = Duration::from_secs(5);

/// The encoders of all workers.
#[derive(Clone, Debug, Default)]
pub struct Strain {
    encoders: BTreeMap<(InputId, RenditionId), Encoder>,
}

#[derive(Clone, Debug)]
struct Encoder {
    seen: Instant,
    left_out: u64,
    behind_since: Option<Instant>,
    good_since: Option<Instant>,
    told: Option<(Severity, Instant)>,
}

impl Strain {
    /// Takes in what a worker reports at `now`.
    pub fn see(&mut self, report: &WorkerReport, now: Instant) -> Vec<Notice> {
        self.encoders.retain(|_, encoder| now.saturating_duration_since(encoder.seen) < GONE);
        let pictures = report.streams.iter().filter_map(|s| Some((s, table::element(&s.encoder)?.0.kind)));
        let mut notices = Vec::new();
        for (stream, kind) in pictures {
            let key = (report.input.clone(), stream.rendition.clone());
            let encoder = self.encoders.entry(key).or_insert_with(|| Encoder::new(stream.left_out, now));
            notices.extend(encoder.see(stream, kind, &report.input, now));
        }
        notices
    }

    /// Whether one of them falls behind at `now`.
    pub fn pressure(&self, now: Instant) -> Pressure {
        let behind = |encoder: &Encoder| {
            now.saturating_duration_since(encoder.seen) < GONE && encoder.behind_since.is_some_and(|at| lasts(at, now))
        };
        if self.encoders.values().any(behind) { Pressure::Behind } else { Pressure::None }
    }
}

fn lasts(since: Instant, now: Instant) -> bool {
    now.saturating_duration_since(since) >= LASTS
}

impl Encoder {
    const fn new(left_out: u64, now: Instant) -> Self {
        Self { seen: now, left_out, behind_since: None, good_since: None, told: None }
    }

    fn see(&mut self, stream: &WorkerStream, kind: Kind, input: &InputId, now: Instant) -> Option<Notice> {
        self.seen = now;
        let before = std::mem::replace(&mut self.left_out, stream.left_out);
        // Another worker counts from anew.
        let lost = stream.left_out.saturating_sub(before);
        if lost == 0 && stream.waiting_ms < BEHIND_MS {
            self.behind_since = None;
            let good = now.saturating_duration_since(*self.good_since.get_or_insert(now));
            return (good >= OVER && self.told.take().is_some()).then(|| {
                let reason = format!("{} keeps up again, since {} s", stream.encoder, good.as_secs());
                notice(Severity::Info, stream, input, reason)
            });
        }
        self.good_since = None;
        let since = *self.behind_since.get_or_insert(now);
        let severity = if lost > 0 { Severity::Alert } else { Severity::Warning };
        let is_told = self.told.is_some_and(|(told, at)| told >= severity && now.saturating_duration_since(at) < AGAIN);
        if is_told || (lost == 0 && !lasts(since, now)) {
            return None;
        }
        self.told = Some((severity, now));
        Some(notice(severity, stream, input, words(stream, kind)))
    }
}

fn words(stream: &WorkerStream, kind: Kind) -> String {
    let WorkerStream { encoder, rendition, waiting_ms, left_out, .. } = stream;
    let lost = match left_out {
        0 => "pictures will be left out".to_owned(),
        count => format!("{count} pictures were left out so far"),
    };
    let remedy = match kind {
        Kind::Software => format!(
            "fewer bits hardly help the processor: give {rendition} a smaller size or frame rate, or an encoder in hardware \
             (holdfast probe tells what works here)"
        ),
        Kind::Hardware => format!(
            "fewer bits hardly help it: give {rendition} a smaller size or frame rate, or have fewer renditions and inputs \
             share the hardware"
        ),
    };
    format!("{encoder} cannot keep up: {waiting_ms} ms of pictures wait for it, {lost}; {remedy}")
}

fn notice(severity: Severity, stream: &WorkerStream, input: &InputId, reason: String) -> Notice {
    let evidence = vec![
        ("input", input.as_str().into()),
        ("encoder", stream.encoder.clone().into()),
        ("waiting_ms", stream.waiting_ms.into()),
        ("left_out", stream.left_out.into()),
        ("latency_ms", stream.latency_ms.into()),
    ];
    Notice { severity, subject: stream.rendition.to_string(), reason, evidence }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn report(encoder: &str, waiting_ms: u32, left_out: u64) -> WorkerReport {
        let stream = |name: &str, encoder: &str| WorkerStream {
            rendition: RenditionId::new(name).unwrap(),
            encoder: encoder.to_owned(),
            encoded: 100,
            stood_by: 0,
            overflowed: 0,
            latency_ms: waiting_ms,
            waiting_ms,
            left_out,
            bitrate_changes: 0,
            keyframes_by_bitrate: 0,
        };
        WorkerReport {
            thumbnail: None,
            input: InputId::new("cam").unwrap(),
            signal: String::new(),
            has_picture: true,
            repeated: 0,
            dropped: 0,
            drift_ppm: 0,
            streams: vec![stream("main", encoder), stream("aac-128k", "avenc_aac")],
        }
    }

    /// A report every half second; what was said, by the half second, and whether there was pressure.
    fn told(of: &[(u64, u32, u64)], encoder: &str) -> (Vec<(u64, Severity, String)>, String) {
        let (mut strain, start, mut half) = (Strain::default(), crate::clock::now(), 0);
        let (mut said, mut pressed) = (Vec::new(), String::new());
        for (halves, waiting, left_out) in of {
            for _ in 0..*halves {
                let now = start + Duration::from_millis(half * 500);
                let notices = strain.see(&report(encoder, *waiting, *left_out), now);
                said.extend(notices.into_iter().map(|n| (half, n.severity, n.reason)));
                pressed.push(if strain.pressure(now) == Pressure::Behind { 'x' } else { '.' });
                half += 1;
            }
        }
        (said, pressed)
    }

    #[test]
    fn a_queue_that_stays_is_told_before_a_picture_is_left_out_with_the_remedy() {
        let (said, pressed) = told(&[(4, 33, 0), (10, 700, 0), (2, 1980, 12), (80, 33, 12)], "x264enc");
        let (at, severities): (Vec<_>, Vec<_>) = said.iter().map(|(half, severity, _)| (*half, *severity)).unzip();
        assert_eq!(at, [10, 14, 76], "{said:?}");
        assert_eq!(severities, [Severity::Warning, Severity::Alert, Severity::Info]);
        assert!(
            said[0].2.starts_with("x264enc cannot keep up: 700 ms of pictures wait for it, pictures will be left out")
        );
        assert!(said[0].2.contains("fewer bits hardly help the processor: give main a smaller size"), "{}", said[0].2);
        assert!(said[1].2.contains("12 pictures were left out so far"), "{}", said[1].2);
        assert_eq!(&pressed[..18], "..........xxxxxx..", "while it lasts, and no longer");
    }

    #[test]
    fn a_slow_moment_is_nothing_and_hardware_has_another_remedy() {
        let (said, _) = told(&[(4, 33, 0), (5, 1500, 0), (10, 0, 0), (5, 900, 0), (10, 0, 0)], "x264enc");
        assert_eq!(said, []);
        let (said, _) = told(&[(20, 900, 0)], "v4l2h264enc");
        assert!(said[0].2.contains("share the hardware"), "{said:?}");
    }

    #[test]
    fn what_goes_on_is_said_once_a_minute_and_a_new_worker_counts_from_anew() {
        let (said, _) = told(&[(400, 900, 7)], "x264enc");
        assert_eq!(said.len(), 4, "in 200 s: {said:?}");
        let (said, _) = told(&[(4, 33, 700), (10, 33, 0)], "x264enc");
        assert_eq!(said, []);
    }

    #[test]
    fn a_worker_that_is_gone_presses_nobody() {
        let (mut strain, start) = (Strain::default(), crate::clock::now());
        for half in 0..10 {
            strain.see(&report("x264enc", 900, 0), start + Duration::from_millis(half * 500));
        }
        assert_eq!(strain.pressure(start + Duration::from_secs(5)), Pressure::Behind);
        assert_eq!(strain.pressure(start + Duration::from_secs(10)), Pressure::None);
    }
}
