//! The bit rates of the renditions, as their destinations bear them: measures in, wishes to encoders and events out.
//!
//! *Invariant:* nothing here decides how high a bit rate is or what of it is told; [`holdfast::encode::bitrate`] does.

use std::collections::BTreeMap;
use std::time::Instant;

use holdfast::config::Settings;
use holdfast::encode::bitrate::{Bitrate, Bounds, Telling, Verdict};
use holdfast::encode::protocol::ToWorker;
use holdfast::events::{EventKind, RenditionSnapshot, Severity};
use holdfast::model::{OutputId, RenditionId};
use holdfast::output::OutputCommand;
use holdfast::programme::Programme;

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
    telling: Telling,
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
                telling: Telling::default(),
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

    /// What a worker has to know that has just connected, or when bounds have changed: it may have the configured bit rates,
    /// or those of a data plane before this one.
    pub(crate) fn in_force(&self) -> Vec<ToWorker> {
        self.all.iter().map(|(rendition, a)| wish(rendition, a.bitrate.target())).collect()
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
                let said = self.telling.tell(self.bitrate.bounds(), (was, bitrate), &because, now);
                outcomes.extend(said.map(|(severity, text)| {
                    Outcome::Say(EventKind::BitrateChanged, severity, rendition.clone(), text)
                }));
                outcomes
            }
        }
    }
}

fn wish(rendition: &RenditionId, bitrate: u32) -> ToWorker {
    ToWorker::SetBitrate { rendition: rendition.clone(), bitrate }
}
