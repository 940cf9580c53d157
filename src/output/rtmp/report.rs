//! What a destination tells people: its snapshot, and events that do not repeat themselves.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::clock;
use crate::config::{DestinationSettings, RtmpUrl};
use crate::events::{Event, EventKind, OutputSnapshot, OutputState, Role, Severity};
use crate::link::health::path::{Decision, Route, Why};
use crate::output::EventSink;
use crate::rtmp::policy::{Concern, Phase};
use crate::rtmp::session::DROPPED_AT_ONCE;
use crate::rtmp::trouble::Trouble;

/// The same trouble is told again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
/// Lost units are added up and told at most this often.
const LAG_EVERY: Duration = Duration::from_secs(10);
const AWAY: &str = "away for longer than can be sent again: goes on at the newest keyframe";

/// Writes the snapshot and the events of one destination.
pub(super) struct Report {
    name: String,
    snapshot: watch::Sender<OutputSnapshot>,
    events: EventSink,
    told: Option<Told>,
    /// Publishing, but not believed yet, and since when.
    unsettled: Option<(RtmpUrl, Instant)>,
    /// Programme time that the session began with, before it caught up.
    replays: Duration,
    lagged: Lagged,
    /// Bytes confirmed in sessions before the current one.
    acknowledged_before: u64,
}

/// The trouble the operator knows of.
struct Told {
    code: &'static str,
    is_busy: bool,
    at: Instant,
    /// Times it has happened since it was told.
    untold: u64,
}

/// Why a destination lost units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lag {
    /// It had no session for longer than the ring reaches back.
    Away,
    /// Its session takes less than the programme has.
    Slow,
    /// The same, although the programme has the least bit rate it may have.
    BelowFloor,
}

#[derive(Default)]
struct Lagged {
    told: Option<Instant>,
    untold: u64,
}

impl Report {
    pub(super) fn new(settings: &DestinationSettings, events: EventSink) -> (Self, watch::Receiver<OutputSnapshot>) {
        let (snapshot, receiver) = watch::channel(OutputSnapshot {
            id: settings.id.clone(),
            rendition: settings.rendition.clone(),
            url: shown(&settings.url),
            state: OutputState::Off,
            sessions: 0,
            sent: 0,
            lost: 0,
            bytes: 0,
            acknowledged: 0,
            behind_ms: 0,
            route: None,
            standby: None,
            srt: None,
        });
        let name = settings.id.to_string();
        (
            Self {
                name,
                snapshot,
                events,
                told: None,
                unsettled: None,
                replays: Duration::ZERO,
                lagged: Lagged::default(),
                acknowledged_before: 0,
            },
            receiver,
        )
    }

    /// Shows where the destination is in its life.
    pub(super) fn phase(&self, phase: &Phase, configured: &RtmpUrl, now: Instant) {
        let state = match phase {
            Phase::Off => OutputState::Off,
            Phase::Waiting { because: None, .. } | Phase::Attempting { .. } => OutputState::Connecting,
            Phase::Waiting { until, because: Some(trouble) } => OutputState::Waiting {
                retry_in_ms: u64::try_from(until.saturating_duration_since(now).as_millis()).unwrap_or(u64::MAX),
                because: trouble.in_words(configured),
            },
            Phase::Publishing { .. } => OutputState::Publishing,
            Phase::Ending => OutputState::Stopping,
        };
        self.snapshot.send_if_modified(|snapshot| {
            let differs = snapshot.state != state;
            snapshot.state = state;
            differs
        });
    }

    /// Counts, without waking anybody.
    pub(super) fn count(&self, sent: u64, bytes: u64) {
        self.snapshot.send_if_modified(|snapshot| {
            snapshot.sent += sent;
            snapshot.bytes += bytes;
            false
        });
    }

    /// How far the far end and this reader have come.
    pub(super) fn progress(&self, acknowledged: u64, behind: Duration) {
        let acknowledged = self.acknowledged_before + acknowledged;
        let behind_ms = u64::try_from(behind.as_millis()).unwrap_or(u64::MAX);
        self.snapshot.send_if_modified(|snapshot| {
            let differs = (snapshot.acknowledged, snapshot.behind_ms) != (acknowledged, behind_ms);
            (snapshot.acknowledged, snapshot.behind_ms) = (acknowledged, behind_ms);
            differs
        });
    }

    /// A session is publishing. Where the server has just been accepting and hanging up, that is told only when the
    /// session has outlived the habit.
    ///
    /// `replays` is how much of the programme lies between where the session begins and the newest unit.
    pub(super) fn publishing(&mut self, url: &RtmpUrl, replays: Duration, now: Instant) {
        self.snapshot.send_modify(|snapshot| snapshot.sessions += 1);
        self.replays = replays;
        if self.told.as_ref().is_some_and(|told| told.is_busy) {
            self.unsettled = Some((url.clone(), now));
        } else {
            self.tell_publishing(url);
        }
    }

    /// Time has passed in a publishing session.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some((url, _)) = self.unsettled.take_if(|(_, at)| now.saturating_duration_since(*at) >= DROPPED_AT_ONCE)
        {
            self.tell_publishing(&url);
            if self.lagged.untold > 0 {
                self.lagged.told = Some(now);
                self.tell_lag(AWAY);
            }
        }
    }

    fn tell_publishing(&mut self, url: &RtmpUrl) {
        let sessions = self.snapshot.borrow().sessions;
        let failed = self.told.take().map_or(0, |told| told.untold + 1);
        let reason = format!("publishing to {}", shown(url));
        let event = self.event(EventKind::OutputPublishing, Severity::Info, reason);
        let replayed_ms = u64::try_from(self.replays.as_millis()).unwrap_or(u64::MAX);
        (self.events)(event.with("session", sessions).with("failures_before", failed).with("replayed_ms", replayed_ms));
    }

    /// A session is over: what was written that nobody has counted yet, and all that its far end confirmed.
    pub(super) fn session_over(&mut self, uncounted: u64, acknowledged: u64) {
        self.count(0, uncounted);
        self.acknowledged_before += acknowledged;
        self.progress(0, Duration::ZERO);
    }

    /// It ended because it was told to.
    pub(super) fn ended_cleanly(&mut self) {
        (self.told, self.unsettled) = (None, None);
        let event = self.event(EventKind::OutputDown, Severity::Info, "ended as asked".to_owned());
        (self.events)(event);
    }

    /// An attempt or a session failed. The same failure again is told once a minute.
    pub(super) fn failed(&mut self, trouble: &Trouble, concern: Concern, wait: Duration, url: &RtmpUrl, now: Instant) {
        self.unsettled = None;
        let mut untold = 0;
        if let Some(told) = &mut self.told
            && told.code == trouble.code()
        {
            told.untold += 1;
            if now.saturating_duration_since(told.at) < REPEAT_AFTER {
                return;
            }
            untold = told.untold;
        }
        self.told = Some(Told { code: trouble.code(), is_busy: trouble.is_busy(), at: now, untold: 0 });
        let severity = match concern {
            Concern::MayPass => Severity::Warning,
            Concern::NeedsOperator => Severity::Alert,
        };
        let event = self.event(EventKind::OutputDown, severity, trouble.in_words(url));
        let retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        (self.events)(event.with("trouble", trouble.code()).with("retry_in_ms", retry_in_ms).with("again", untold));
    }

    /// Units fell out of the ring before this destination took them.
    pub(super) fn lagged(&mut self, units: u64, lag: Lag, now: Instant) {
        self.snapshot.send_if_modified(|snapshot| {
            snapshot.lost += units;
            false
        });
        self.lagged.untold += units;
        if self.unsettled.is_some() {
            // Told when the session is believed: a server that hangs up at once would have it told each second.
            return;
        }
        let told_lately = self.lagged.told.is_some_and(|told| now.saturating_duration_since(told) < LAG_EVERY);
        let reason = match lag {
            Lag::Slow | Lag::BelowFloor if told_lately => return,
            Lag::Slow => "too slow for this bit rate: went on at a later keyframe",
            Lag::BelowFloor => "too slow even for the lowest bit rate: left out whole groups",
            Lag::Away => AWAY,
        };
        self.lagged.told = Some(now);
        self.tell_lag(reason);
    }

    fn tell_lag(&mut self, reason: &str) {
        let units = std::mem::take(&mut self.lagged.untold);
        let event = self.event(EventKind::OutputLagged, Severity::Warning, reason.to_owned());
        (self.events)(event.with("units_lost", units));
    }

    /// Shows which way the stream takes, and where its standby is.
    pub(super) fn route(&self, route: Option<&Route>, ready: Option<&Route>) {
        let links = [route, ready].map(|route| route.map(|route| route.link.as_str()));
        self.snapshot.send_if_modified(|snapshot| {
            let differs = [snapshot.route.as_deref(), snapshot.standby.as_deref()] != links;
            if differs {
                [snapshot.route, snapshot.standby] = links.map(|link| link.map(str::to_owned));
            }
            differs
        });
    }

    /// What was decided about its links.
    pub(super) fn routed(&self, decision: &Decision, now: Instant) {
        let (severity, code) = match decision {
            Decision::Switch { why: Why::Start | Why::Preferred(_) | Why::Better { .. }, .. } => {
                (Severity::Info, "switch")
            }
            // It works, but not as it was planned: the operator has to know.
            Decision::Switch { .. } => (Severity::Alert, "switch"),
            Decision::Stays { .. } => (Severity::Alert, "stays"),
            Decision::Stranded { .. } => (Severity::Alert, "stranded"),
            Decision::Halt { .. } => (Severity::Alert, "halt"),
            Decision::PutOff { .. } => (Severity::Warning, "put-off"),
            Decision::Reconnect { .. } => (Severity::Warning, "reconnect"),
            // The stream is where it was.
            Decision::Prepare { .. } | Decision::Activate { .. } | Decision::StandDown { .. } => return,
        };
        let mut event = self.event(EventKind::RouteChanged, severity, decision.to_string()).with("decision", code);
        match decision {
            Decision::Switch { from, to, .. } => {
                event = event.with("to", to.link.as_str()).with("address", to.ingest + 1);
                if let Some(from) = from {
                    event = event.with("from", from.link.as_str());
                }
            }
            Decision::PutOff { until, .. } => {
                let wait = until.saturating_duration_since(now).as_millis();
                event = event.with("wait_ms", u64::try_from(wait).unwrap_or(u64::MAX));
            }
            Decision::Stays { .. }
            | Decision::Stranded { .. }
            | Decision::Halt { .. }
            | Decision::Reconnect { .. }
            | Decision::Prepare { .. }
            | Decision::Activate { .. }
            | Decision::StandDown { .. } => {}
        }
        (self.events)(event);
    }

    /// Something else about this destination.
    pub(super) fn note(&self, reason: String) {
        (self.events)(self.event(EventKind::Note, Severity::Info, reason));
    }

    fn event(&self, kind: EventKind, severity: Severity, reason: String) -> Event {
        Event::new((clock::wall(), clock::media()), Role::Transmit, kind, severity, self.name.clone(), reason)
    }
}

/// An address as people may see it: a query may carry a token.
pub(super) fn shown(url: &RtmpUrl) -> String {
    let text = url.to_string();
    match text.split_once('?') {
        Some((before, _)) => format!("{before}?•••"),
        None => text,
    }
}
