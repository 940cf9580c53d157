//! The bit rates of the renditions, as their destinations bear them: measures in, wishes to encoders and events out.
//!
//! *Invariant:* nothing here decides how high a bit rate is; [`holdfast::encode::bitrate`] does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast::config::Settings;
use holdfast::encode::bitrate::{Because, Bitrate, Bounds, Verdict};
use holdfast::encode::protocol::ToWorker;
use holdfast::events::{EventKind, RenditionSnapshot, Severity};
use holdfast::model::{OutputId, RenditionId};
use holdfast::output::OutputCommand;
use holdfast::programme::Programme;

/// A bit rate that goes on going up and down is told at most this often; the ends of its way are always told.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// The bit rate of every rendition.
#[derive(Debug, Default)]
pub(crate) struct Bitrates {
    all: BTreeMap<RenditionId, Adaptation>,
}

#[derive(Debug)]
struct Adaptation {
    bitrate: Bitrate,
    /// The destinations whose links it follows.
    followed: Vec<OutputId>,
    told: Option<Instant>,
    /// Since when it has been lower than configured.
    lowered: Option<Instant>,
}

/// What comes of it.
pub(crate) enum Outcome {
    /// For whoever encodes.
    Wish(ToWorker),
    /// For a destination.
    Tell(OutputId, OutputCommand),
    /// For people: about a rendition.
    Say(EventKind, Severity, RenditionId, String),
}

impl Bitrates {
    /// As the settings have them. A rendition whose bounds are the same keeps the bit rate it has.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        let mut before = std::mem::take(&mut self.all);
        for rendition in &settings.renditions {
            let floor = settings.floors.get(&rendition.id).copied();
            let ceiling = rendition.bitrate;
            let bounds = Bounds { floor: floor.unwrap_or(ceiling), ceiling, beside: rendition.audio.bitrate };
            let ours = settings.destinations.iter().filter(|d| floor.is_some() && d.rendition == rendition.id);
            let followed = ours.filter(|d| d.lowers_bitrate).map(|d| d.id.clone()).collect();
            let kept = before.remove(&rendition.id).filter(|kept| kept.bitrate.bounds() == bounds);
            let kept = kept.unwrap_or_else(|| Adaptation {
                bitrate: Bitrate::new(bounds),
                followed: Vec::new(),
                told: None,
                lowered: None,
            });
            self.all.insert(rendition.id.clone(), Adaptation { followed, ..kept });
        }
    }

    /// The operator wants no more than that.
    pub(crate) fn limit(&mut self, rendition: &RenditionId, limit: u32, now: Instant) -> Vec<Outcome> {
        let Some(adaptation) = self.all.get_mut(rendition) else { return Vec::new() };
        let verdict = adaptation.bitrate.limit(limit);
        verdict.map_or_else(Vec::new, |verdict| adaptation.carry_out(rendition, verdict, now))
    }

    /// How the destinations do now.
    pub(crate) fn observe(&mut self, programme: &Programme, now: Instant) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        for (rendition, adaptation) in self.all.iter_mut().filter(|(_, adaptation)| !adaptation.followed.is_empty()) {
            let loads = programme.loads(&adaptation.followed);
            for verdict in adaptation.bitrate.observe(&loads, now) {
                outcomes.extend(adaptation.carry_out(rendition, verdict, now));
            }
        }
        outcomes
    }

    /// What a worker that has just begun has to know: it begins with the configured bit rates.
    pub(crate) fn lowered(&self) -> Vec<ToWorker> {
        let lowered = self.all.iter().filter(|(_, a)| a.bitrate.target() < a.bitrate.bounds().ceiling);
        lowered.map(|(rendition, a)| wish(rendition, a.bitrate.target())).collect()
    }

    /// Shows them in a snapshot.
    pub(crate) fn show(&self, renditions: &mut [RenditionSnapshot]) {
        for rendition in renditions {
            let adaptation = self.all.get(&rendition.id);
            let lowered = adaptation.map(|a| (a.bitrate.target(), a.bitrate.bounds().ceiling));
            rendition.lowered = lowered.filter(|(target, ceiling)| target < ceiling).map(|(target, _)| target);
        }
    }
}

impl Adaptation {
    fn carry_out(&mut self, rendition: &RenditionId, verdict: Verdict, now: Instant) -> Vec<Outcome> {
        match verdict {
            Verdict::SkipAhead(output) => vec![Outcome::Tell(output, OutputCommand::SkipAhead)],
            Verdict::Set { bitrate, was, because } => {
                let mut outcomes = vec![Outcome::Wish(wish(rendition, bitrate))];
                let said = self.in_words(bitrate, was, &because, now);
                outcomes.extend(said.map(|(severity, text)| {
                    Outcome::Say(EventKind::BitrateChanged, severity, rendition.clone(), text)
                }));
                outcomes
            }
        }
    }

    /// `None`: on its way, of which people have heard lately.
    fn in_words(&mut self, bitrate: u32, was: u32, because: &Because, now: Instant) -> Option<(Severity, String)> {
        let Bounds { floor, ceiling, .. } = self.bitrate.bounds();
        let lately = self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY);
        let is_end = bitrate == ceiling || bitrate == floor || was == ceiling;
        if lately && !is_end && !matches!(because, Because::Operator) {
            return None;
        }
        self.told = Some(now);
        let kilobits = |bits: u32| bits / 1000;
        let (now_at, before) = (kilobits(bitrate), kilobits(was));
        let since = *self.lowered.get_or_insert(now);
        if bitrate == ceiling {
            self.lowered = None;
        }
        Some(match because {
            Because::Tight { output, delivers, waiting } => {
                let end = if bitrate == floor { ", its floor" } else { "" };
                let (delivers, waits) = (kilobits(*delivers), waiting.as_millis());
                let why = format!("{output} gets {delivers} kbit/s through, and {waits} ms of programme wait for it");
                (Severity::Warning, format!("from {before} to {now_at} kbit/s{end}: {why}"))
            }
            Because::Eased(output) => {
                (Severity::Info, format!("from {before} to {now_at} kbit/s: {output} bears more"))
            }
            Because::Free => {
                let after = now.saturating_duration_since(since).as_secs();
                (Severity::Info, format!("has its {now_at} kbit/s again, after {after} s"))
            }
            Because::Operator => (Severity::Info, format!("from {before} to {now_at} kbit/s: an operator says so")),
        })
    }
}

fn wish(rendition: &RenditionId, bitrate: u32) -> ToWorker {
    ToWorker::SetBitrate { rendition: rendition.clone(), bitrate }
}
