//! The inputs that come over a network: a session for each, as a task, and a strand between it and its worker.

use std::collections::BTreeMap;

use holdfast::clock;
use holdfast::config::{InputSettings, NetworkInput, Sender, Settings, Source};
use holdfast::encode::protocol::Gate;
use holdfast::events::{Event, EventKind, InputSender, InputSnapshot, Role, Severity};
use holdfast::ingest::arrival::Arrival;
use holdfast::ingest::passing::{Passing, Wanted};
use holdfast::ingest::strand::{Followed, Path, Strand};
use holdfast::ingest::{rtmp, rtsp, srt};
use holdfast::model::{AccessUnit, Condition, Duty, Feed, Finding, InputId, Media, VideoFormat};
use holdfast::output::EventSink;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Arrivals of all of them that wait for the plane. Sessions that cannot be held up leave units out beyond that.
const ARRIVALS: usize = 1024;
/// Arrivals of one of them that wait for their turn.
const OF_ONE: usize = 256;

/// One input.
struct Inlet {
    settings: NetworkInput,
    wanted: Option<Wanted>,
    strand: Strand,
    session: JoinHandle<()>,
    passing: JoinHandle<()>,
}

impl Drop for Inlet {
    fn drop(&mut self) {
        self.session.abort();
        self.passing.abort();
    }
}

/// All of them.
pub(crate) struct Inlets {
    inlets: BTreeMap<InputId, Inlet>,
    out: mpsc::Sender<(InputId, Arrival)>,
    events: EventSink,
}

impl Inlets {
    /// None yet; what comes in comes out of the receiver.
    pub(crate) fn new(events: EventSink) -> (Self, mpsc::Receiver<(InputId, Arrival)>) {
        let (out, arrivals) = mpsc::channel(ARRIVALS);
        (Self { inlets: BTreeMap::new(), out, events }, arrivals)
    }

    /// Begins, ends and leaves alone what these settings ask for.
    pub(crate) fn apply(&mut self, settings: &Settings) {
        let all: BTreeMap<&InputId, &NetworkInput> = settings.inputs.iter().filter_map(network).collect();
        self.inlets.retain(|input, inlet| {
            all.get(input).is_some_and(|own| **own == inlet.settings && wanted(settings, input, own) == inlet.wanted)
        });
        for (input, own) in all {
            if !self.inlets.contains_key(input) {
                let inlet = self.begin(input, own, wanted(settings, input, own));
                self.inlets.insert(input.clone(), inlet);
            }
        }
    }

    fn begin(&self, input: &InputId, settings: &NetworkInput, wanted: Option<Wanted>) -> Inlet {
        let (out, mut arrivals) = mpsc::channel(OF_ONE);
        let (id, events) = (input.clone(), self.events.clone());
        let session = match settings.sender.clone() {
            Sender::Srt(srt) => tokio::task::spawn_local(srt::take(id, srt, out, events)),
            Sender::Rtsp(rtsp) => tokio::task::spawn_local(rtsp::watch(id, rtsp, out)),
            Sender::Rtmp(rtmp) => tokio::task::spawn_local(rtmp::take(id, rtmp, out, events)),
        };
        let (id, all) = (input.clone(), self.out.clone());
        let passing = tokio::task::spawn_local(async move {
            while let Some(arrival) = arrivals.recv().await {
                if all.send((id.clone(), arrival)).await.is_err() {
                    return;
                }
            }
        });
        let strand = Strand::new(settings.cushion, settings.limits.clone(), wanted.clone().map(Passing::new));
        Inlet { settings: settings.clone(), wanted, strand, session, passing }
    }

    /// What follows from what came over the network.
    pub(crate) fn arrived(&mut self, input: &InputId, arrival: Arrival) -> Followed {
        let Some(inlet) = self.inlets.get_mut(input) else { return Followed::default() };
        // SRT's sessions tell it themselves, with all their paths.
        if !matches!(inlet.settings.sender, Sender::Srt(_)) {
            tell(input, &arrival, &inlet.strand, &self.events);
        }
        inlet.strand.arrived(arrival, clock::media())
    }

    /// When [`Self::take_due`] has something.
    pub(crate) fn next_due(&self) -> Option<Media> {
        self.inlets.values().filter_map(|inlet| inlet.strand.next_due()).min()
    }

    /// What passes through and is due by `now`.
    pub(crate) fn take_due(&mut self, now: Media) -> Vec<AccessUnit> {
        self.inlets.values_mut().flat_map(|inlet| inlet.strand.take_due(now)).collect()
    }

    /// What the gate of an input's worker has to be for its duty: one that goes on air as it is has no need of its encoders.
    pub(crate) fn gate(&mut self, input: &InputId, duty: Duty) -> Gate {
        if let Some(inlet) = self.inlets.get_mut(input) {
            inlet.strand.set_duty(duty);
        }
        match (self.path(input), duty) {
            (Path::Decoded, Duty::OnAir) => Gate::Open,
            (Path::AsItIs, _) | (Path::Decoded, Duty::Warm) => Gate::Closed,
        }
    }

    /// The gate after its path has changed.
    pub(crate) fn gate_now(&mut self, input: &InputId) -> Gate {
        let duty = self.inlets.get(input).map_or(Duty::Warm, |inlet| inlet.strand.duty());
        self.gate(input, duty)
    }

    /// Over what an input reaches the switch.
    pub(crate) fn path(&self, input: &InputId) -> Path {
        self.inlets.get(input).map_or(Path::Decoded, |inlet| inlet.strand.path())
    }

    /// For a worker that has just come.
    pub(crate) fn catch_up(&self, input: &InputId) -> Vec<Feed> {
        self.inlets.get(input).map(|inlet| inlet.strand.catch_up()).unwrap_or_default()
    }

    /// `condition` of its worker, with what is wrong with its network.
    pub(crate) fn condition(&self, input: &InputId, condition: &Condition) -> Condition {
        let finding = self.inlets.get(input).and_then(|inlet| inlet.strand.finding());
        match finding {
            Some(finding) => with(condition, finding),
            None => condition.clone(),
        }
    }

    /// Adds to each input who sends it.
    pub(crate) fn show(&self, inputs: &mut [InputSnapshot], now: Media) {
        for input in inputs {
            input.sender = self.sender(&input.id, now);
        }
    }

    fn sender(&self, input: &InputId, now: Media) -> Option<InputSender> {
        self.inlets.get(input)?.strand.sender(now)
    }
}

/// Senders that come and go are events.
fn tell(input: &InputId, arrival: &Arrival, strand: &Strand, events: &EventSink) {
    let (kind, severity, reason) = match arrival {
        Arrival::Began { from } => (EventKind::SenderConnected, Severity::Info, from.clone()),
        Arrival::Ended { why } => match strand.sender(clock::media()) {
            Some(sender) => (EventKind::SenderGone, Severity::Alert, format!("{}: {why}", sender.from)),
            None => (EventKind::Note, Severity::Warning, why.clone()),
        },
        Arrival::Unit(_) | Arrival::TimeBase | Arrival::Network(_) => return,
    };
    let at = (clock::wall(), clock::media());
    let event = Event::new(at, Role::Transmit, kind, severity, input.as_str(), reason);
    events(event.with("input", input.as_str()));
}

fn network(input: &InputSettings) -> Option<(&InputId, &NetworkInput)> {
    match &input.source {
        Source::Network(network) => Some((&input.id, network)),
        Source::V4l2 { .. } | Source::File { .. } | Source::Pattern { .. } => None,
    }
}

/// What a stream has to be to go on air as it is: the one rendition there is.
fn wanted(settings: &Settings, input: &InputId, own: &NetworkInput) -> Option<Wanted> {
    let [rendition] = &settings.renditions[..] else { return None };
    own.pass_through.then(|| Wanted {
        input: input.clone(),
        rendition: rendition.id.clone(),
        codec: rendition.codec,
        picture: VideoFormat { width: rendition.width, height: rendition.height, rate: settings.frame_rate },
        sound: rendition.audio.rendition(),
        sound_codec: rendition.audio.codec,
    })
}

fn with(condition: &Condition, finding: Finding) -> Condition {
    let mut findings = condition.findings().to_vec();
    findings.push(finding);
    Condition::new(findings)
}
