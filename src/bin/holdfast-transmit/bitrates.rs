//! The bit rates of the renditions, as their destinations and the machine's heat bear them: measures in, wishes to encoders and
//! events out.
//!
//! *Invariant:* nothing here decides how high a bit rate is or what of it is told; [`holdfast::encode::bitrate`] does.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast::config::Settings;
use holdfast::encode::bitrate::{Bitrate, Bounds, Ceiling, Ceilings, Telling, Verdict, cannot_change};
use holdfast::encode::protocol::ToWorker;
use holdfast::encode::table::Change;
use holdfast::events::{EventKind, HeatCeiling, RenditionSnapshot, Severity};
use holdfast::model::{InputId, OutputId, RenditionId};
use holdfast::output::OutputCommand;
use holdfast::programme::Programme;

/// The bit rate of every rendition.
#[derive(Debug, Default)]
pub(crate) struct Bitrates {
    all: BTreeMap<RenditionId, Adaptation>,
    /// The element that makes each, in each input's worker.
    encoders: BTreeMap<(RenditionId, InputId), String>,
    /// What holdfastd says of the machine's heat.
    heat: Ceilings,
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
            self.tell_encoders(&rendition.id);
        }
    }

    /// A worker says by which element it makes a rendition.
    pub(crate) fn encoded_by(&mut self, rendition: RenditionId, input: InputId, encoder: String) -> Option<Outcome> {
        let text = cannot_change(&encoder, "bitrate_floor is of no use");
        let key = (rendition.clone(), input);
        let is_new = self.encoders.get(&key) != Some(&encoder);
        self.encoders.insert(key, encoder);
        self.tell_encoders(&rendition);
        let bitrate = &self.all.get(&rendition)?.bitrate;
        let Bounds { floor, ceiling, .. } = bitrate.bounds();
        let is_worth_it = is_new && floor < ceiling && bitrate.change() == Change::Anew;
        is_worth_it.then_some(Outcome::Say(EventKind::BitrateChanged, Severity::Warning, rendition, text))
    }

    /// A worker is gone, and its encoders with it.
    pub(crate) fn worker_gone(&mut self, input: &InputId) {
        self.encoders.retain(|(_, of), _| of != input);
        let renditions: Vec<_> = self.all.keys().cloned().collect();
        renditions.iter().for_each(|rendition| self.tell_encoders(rendition));
    }

    fn tell_encoders(&mut self, rendition: &RenditionId) {
        if let Some(adaptation) = self.all.get_mut(rendition) {
            let ours = self.encoders.iter().filter(|((of, _), _)| of == rendition);
            adaptation.bitrate.encoded_by(ours.map(|(_, encoder)| encoder.as_str()));
        }
    }

    /// What heat leaves of all of them, to be believed for so long.
    pub(crate) fn heat(&mut self, ceiling: Ceiling, time: Duration, now: Instant) {
        self.heat.take(ceiling, time, now);
    }

    /// The operator wants no more than that.
    pub(crate) fn limit(&mut self, rendition: &RenditionId, limit: u32, now: Instant) -> Vec<Outcome> {
        let Some(adaptation) = self.all.get_mut(rendition) else { return Vec::new() };
        let verdict = adaptation.bitrate.limit(limit, now);
        if adaptation.bitrate.change() == Change::Anew {
            let encoder = self.encoders.iter().find(|((of, _), _)| of == rendition);
            let encoder = encoder.map_or("its encoder", |(_, encoder)| encoder.as_str());
            let text = cannot_change(encoder, "it stays");
            return vec![Outcome::Say(EventKind::BitrateChanged, Severity::Warning, rendition.clone(), text)];
        }
        verdict.map_or_else(Vec::new, |verdict| adaptation.carry_out(rendition, verdict, now))
    }

    /// How the destinations do now.
    pub(crate) fn observe(&mut self, programme: &Programme, now: Instant) -> Vec<Outcome> {
        let mut outcomes = Vec::new();
        let heat = self.heat.at(now);
        for (rendition, adaptation) in &mut self.all {
            let loads = programme.loads(&adaptation.followed);
            for verdict in adaptation.bitrate.observe(&loads, heat, now) {
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
            let Some(Adaptation { bitrate, .. }) = self.all.get(&rendition.id) else { continue };
            let lowered = Some(bitrate.target()).filter(|target| *target < bitrate.bounds().ceiling);
            rendition.lowered = lowered;
            rendition.lowered_because = lowered.map(|_| bitrate.bound().to_string());
            let heat = bitrate.heat_ceiling();
            rendition.heat = heat.map(|(bitrate, why)| HeatCeiling { bitrate, because: why.to_owned() });
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
