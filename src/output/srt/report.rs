//! What an SRT destination tells people: its snapshot, and events that do not repeat themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::account::Account;
use super::call::Connected;
use super::decision;
use super::failure::Failure;
use super::roster::{Phase, Roster};
use super::sender::Sender;
use crate::bonding::Decision;
use crate::clock;
use crate::config::{Links, SrtDestinationSettings};
use crate::events::{
    BondingMode, Event, EventKind, FarEndSnapshot, OutputSnapshot, OutputState, PathSnapshot, PathState, Role,
    Severity, SrtSnapshot,
};
use crate::link::udp::Shortfall;
use crate::model::Media;
use crate::output::EventSink;
use crate::srt::crypto::KmStatus;
use crate::srt::session::{Duty, PathId, SessionStats};

/// The same trouble of the same path is told again after this long.
const REPEAT_AFTER: Duration = Duration::from_secs(60);
/// Decisions of one kind, and losses, are told at most this often; the rest are counted.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Writes the snapshot and the events of one destination.
pub(super) struct Report {
    name: String,
    snapshot: watch::Sender<OutputSnapshot>,
    events: EventSink,
    paths: Vec<PathRecord>,
    /// Shortfalls that were told.
    shortfalls: BTreeSet<String>,
    decisions: BTreeMap<(EventKind, Severity), Throttle>,
    lag: Throttle,
    /// Of sessions that are over.
    before: Totals,
    /// Of the one that is not.
    current: Totals,
    session_up: bool,
    account: Option<Heard>,
}

/// What is known of a path beyond its session.
#[derive(Default)]
struct PathRecord {
    label: String,
    host: String,
    told: Option<(&'static str, Instant)>,
    untold: u64,
    up: Option<PathId>,
    connections: u32,
    before: PathTotals,
    current: PathTotals,
}

#[derive(Clone, Copy, Default)]
struct PathTotals {
    sent: u64,
    retransmitted: u64,
    lost: u64,
}

#[derive(Clone, Copy, Default)]
struct Totals {
    sent: u64,
    bytes: u64,
    acknowledged: u64,
    dropped: u64,
    switches: u64,
}

/// What the far end said, and when.
struct Heard {
    at: Instant,
    account: Account,
    is_moving: bool,
    picture_age: Option<Media>,
}

#[derive(Default)]
struct Throttle {
    told: Option<Instant>,
    untold: u64,
}

impl Throttle {
    /// Adds `count`; all that was not told yet, if it is time to tell.
    fn admits(&mut self, count: u64, now: Instant) -> Option<u64> {
        self.untold += count;
        if self.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        self.told = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

impl Report {
    pub(super) fn new(settings: &SrtDestinationSettings, events: EventSink) -> (Self, watch::Receiver<OutputSnapshot>) {
        let paths: Vec<PathRecord> = settings.links.paths().iter().map(PathRecord::of).collect();
        let shown = paths.iter().map(|path| idle(&path.label)).collect();
        let (snapshot, receiver) = watch::channel(OutputSnapshot {
            id: settings.id.clone(),
            rendition: settings.rendition.clone(),
            url: settings.address.to_string(),
            state: OutputState::Off,
            sessions: 0,
            sent: 0,
            lost: 0,
            bytes: 0,
            acknowledged: 0,
            behind_ms: 0,
            route: None,
            standby: None,
            srt: Some(SrtSnapshot {
                bonding: match settings.links {
                    Links::Single(_) => BondingMode::Single,
                    Links::Broadcast(_) => BondingMode::Broadcast,
                    Links::Backup(_) => BondingMode::Backup,
                },
                latency_ms: None,
                encrypted: settings.encryption.is_some(),
                retransmitted: 0,
                dropped: 0,
                switches: 0,
                paths: shown,
                far_end: None,
            }),
        });
        let report = Self {
            name: settings.id.to_string(),
            snapshot,
            events,
            paths,
            shortfalls: BTreeSet::new(),
            decisions: BTreeMap::new(),
            lag: Throttle::default(),
            before: Totals::default(),
            current: Totals::default(),
            session_up: false,
            account: None,
        };
        (report, receiver)
    }

    /// Shows where the destination and its paths are in their lives.
    pub(super) fn state(&self, roster: &Roster, has_session: bool, ending: bool, now: Instant) {
        let waiting = |until: Instant| millis(until.saturating_duration_since(now));
        let state = if ending {
            OutputState::Stopping
        } else if has_session {
            OutputState::Publishing
        } else if !roster.is_wanted() {
            OutputState::Off
        } else {
            self.waiting(roster, now)
        };
        self.snapshot.send_if_modified(|snapshot| {
            let mut differs = snapshot.state != state;
            snapshot.state = state;
            let Some(srt) = &mut snapshot.srt else { return differs };
            for (place, (shown, record)) in srt.paths.iter_mut().zip(&self.paths).enumerate() {
                let state = match roster.phase(place) {
                    // What it is used for is measured.
                    Phase::Up { .. } if shown.state.is_up() => continue,
                    Phase::Up { .. } => PathState::Ready,
                    Phase::Off => PathState::Off,
                    Phase::NoLink { lack } => PathState::NoLink { because: lack.in_words().to_owned() },
                    Phase::Calling | Phase::Waiting { because: None, .. } => PathState::Calling,
                    Phase::Waiting { until, because: Some(failure) } => {
                        PathState::Waiting { retry_in_ms: waiting(*until), because: failure.in_words(&record.host) }
                    }
                };
                differs |= shown.state != state;
                shown.state = state;
            }
            differs
        });
    }

    /// The state of a destination none of whose paths is up: that of the path that is the furthest.
    fn waiting(&self, roster: &Roster, now: Instant) -> OutputState {
        let mut first: Option<(Instant, String)> = None;
        let mut held: Option<(Instant, String)> = None;
        for (place, record) in self.paths.iter().enumerate() {
            match roster.phase(place) {
                Phase::Calling | Phase::Up { .. } | Phase::Waiting { because: None, .. } => {
                    return OutputState::Connecting;
                }
                Phase::Waiting { until, because: Some(failure) } => {
                    if first.as_ref().is_none_or(|(at, _)| until < at) {
                        first = Some((*until, failure.in_words(&record.host)));
                    }
                }
                // It waits for somebody else, in the last place.
                Phase::NoLink { lack } => {
                    let because = format!("{}: {}", record.label, lack.in_words());
                    held.get_or_insert((now, because));
                }
                Phase::Off => {}
            }
        }
        first.or(held).map_or(OutputState::Off, |(until, because)| OutputState::Waiting {
            retry_in_ms: millis(until.saturating_duration_since(now)),
            because,
        })
    }

    /// Takes the measurements of the session.
    pub(super) fn measure(&mut self, sender: &mut Sender, now: Instant) {
        let stats = sender.bond.session_mut().stats(now);
        let switches = sender.bond.counters().switches;
        let main = sender.bond.main();
        let paths: Vec<(usize, PathId)> = sender.ports().map(|(place, id, _)| (place, id)).collect();
        let mut shown = Vec::new();
        for (place, id) in paths {
            let session = sender.bond.session_mut();
            let (Some(stats), Some(view)) = (session.path_stats(id, now), session.view(id, now)) else { continue };
            let Some(record) = self.paths.get_mut(place) else { continue };
            record.current = PathTotals {
                sent: stats.counters.sent.packets,
                retransmitted: stats.counters.retransmitted.packets,
                lost: view.lost,
            };
            let carries = main.map_or(stats.duty == Duty::Carry, |main| main == id);
            let lately = view.lost_lately.saturating_mul(1000).checked_div(view.sent_lately).unwrap_or(0);
            let totals = record.totals();
            shown.push((
                place,
                PathSnapshot {
                    label: record.label.clone(),
                    state: if carries { PathState::Carries } else { PathState::Ready },
                    connections: record.connections,
                    rtt_us: stats.rtt.map(micros),
                    rtt_variance_us: micros(stats.rtt_variance),
                    queue_delay_us: stats.queue_delay.map(micros),
                    bitrate: stats.send_rate.bytes.saturating_mul(8),
                    lost_lately: u32::try_from(lately.min(1000)).unwrap_or(1000),
                    sent: totals.sent,
                    retransmitted: totals.retransmitted,
                    lost: totals.lost,
                },
            ));
        }
        self.current = Totals::of(&stats, switches);
        self.publish(shown, Some((&stats, sender.bond.session().send_latency())), now);
    }

    fn publish(&self, shown: Vec<(usize, PathSnapshot)>, session: Option<(&SessionStats, Duration)>, now: Instant) {
        let far_end = self.account.as_ref().map(|heard| heard.shown(now));
        let retransmitted = self.paths.iter().map(|path| path.totals().retransmitted).sum();
        let totals = self.before.plus(self.current);
        self.snapshot.send_if_modified(|snapshot| {
            let was = (snapshot.sent, snapshot.srt.clone());
            (snapshot.sent, snapshot.bytes, snapshot.acknowledged) = (totals.sent, totals.bytes, totals.acknowledged);
            snapshot.behind_ms = session.map_or(0, |(stats, _)| millis(stats.send_buffer_span));
            let Some(srt) = &mut snapshot.srt else { return false };
            srt.latency_ms = session.map(|(_, latency)| millis(latency));
            (srt.retransmitted, srt.dropped, srt.switches) = (retransmitted, totals.dropped, totals.switches);
            srt.far_end = far_end;
            for (place, path) in shown {
                if let Some(place) = srt.paths.get_mut(place) {
                    *place = path;
                }
            }
            was != (snapshot.sent, snapshot.srt.clone())
        });
    }

    /// A path is connected; the first one of a session makes the destination publish.
    pub(super) fn path_up(&mut self, place: usize, id: PathId, connected: &Connected, is_first: bool) {
        let Some(record) = self.paths.get_mut(place) else { return };
        let failed = record.told.take().map_or(0, |_| record.untold + 1);
        (record.untold, record.up) = (0, Some(id));
        record.connections += 1;
        let negotiated = &connected.negotiated;
        let version = negotiated.peer_version;
        let version = format!("{}.{}.{}", version >> 16, version >> 8 & 0xff, version & 0xff);
        let reason = format!("connected to {} from {}", connected.route.to, connected.port.socket().place());
        let mut event = self.path_event(place, EventKind::PathUp, Severity::Info, reason);
        event = event.with("srt_version", version).with("failures_before", failed);
        event = event.with("holdfast", negotiated.private.is_some());
        if let Some(rtt) = negotiated.rtt {
            event = event.with("rtt_ms", millis(rtt));
        }
        (self.events)(event);
        if is_first {
            self.session_up = true;
            self.snapshot.send_modify(|snapshot| snapshot.sessions += 1);
            let sessions = self.snapshot.borrow().sessions;
            let latency = millis(negotiated.send_latency);
            let reason = format!("publishing to {}", self.snapshot.borrow().url);
            let event = self.event(EventKind::OutputPublishing, Severity::Info, reason);
            (self.events)(event.with("session", sessions).with("latency_ms", latency));
        }
    }

    /// A path's connection is gone: what was counted on it is kept.
    pub(super) fn path_gone(&mut self, place: usize) {
        let Some(record) = self.paths.get_mut(place) else { return };
        record.before = record.totals();
        (record.current, record.up) = (PathTotals::default(), None);
        let label = record.label.clone();
        let (totals, connections) = (record.before, record.connections);
        self.snapshot.send_modify(|snapshot| {
            if let Some(shown) = snapshot.srt.as_mut().and_then(|srt| srt.paths.get_mut(place)) {
                let PathTotals { sent, retransmitted, lost } = totals;
                *shown = PathSnapshot { connections, sent, retransmitted, lost, ..idle(&label) };
            }
        });
    }

    /// A call failed or a path was lost. The same failure again is told once a minute.
    pub(super) fn path_failed(
        &mut self,
        place: usize,
        failure: &Failure,
        wait: Duration,
        others_up: bool,
        now: Instant,
    ) {
        let Some(record) = self.paths.get_mut(place) else { return };
        let same = record.told.filter(|(code, _)| *code == failure.code());
        record.untold += u64::from(same.is_some());
        if same.is_some_and(|(_, at)| now.saturating_duration_since(at) < REPEAT_AFTER) {
            return;
        }
        record.told = Some((failure.code(), now));
        let again = std::mem::take(&mut record.untold);
        let severity = if failure.needs_operator() { Severity::Alert } else { Severity::Warning };
        let reason = failure.in_words(&record.host);
        let no_link = matches!(failure, Failure::NoLink(_));
        let event = if others_up || no_link {
            self.path_event(place, EventKind::PathDown, severity, reason)
        } else {
            self.event(EventKind::OutputDown, severity, reason).with("path", self.label(Some(place)))
        };
        let mut event = event.with("trouble", failure.code()).with("again", again);
        if !no_link {
            event = event.with("retry_in_ms", millis(wait));
        }
        (self.events)(event);
    }

    /// The session is over.
    pub(super) fn session_over(&mut self) {
        self.before = self.before.plus(std::mem::take(&mut self.current));
        (self.session_up, self.account) = (false, None);
        for place in 0..self.paths.len() {
            if self.paths.get(place).is_some_and(|record| record.up.is_some()) {
                self.path_gone(place);
            }
        }
        self.publish(Vec::new(), None, clock::now());
    }

    /// It ended because it was told to.
    pub(super) fn ended_cleanly(&mut self) {
        for record in &mut self.paths {
            (record.told, record.untold) = (None, 0);
        }
        (self.events)(self.event(EventKind::OutputDown, Severity::Info, "ended as asked".to_owned()));
    }

    /// The bond has decided something.
    pub(super) fn decided(&mut self, decision: &Decision, sender: &Sender, now: Instant) {
        let told = decision::told(decision, |path| sender.place(path), |place| self.label(place));
        let throttle = self.decisions.entry((told.kind, told.severity)).or_default();
        let Some(count) = throttle.admits(1, now) else { return };
        let mut event = match told.place {
            Some(place) => self.path_event(place, told.kind, told.severity, told.reason),
            None => self.event(told.kind, told.severity, told.reason),
        };
        event.evidence.extend(told.evidence);
        (self.events)(event.with("times", count));
    }

    /// The far end says what it has. `sent` is the time stamp of what is being sent at this moment.
    pub(super) fn account(&mut self, message: &[u8], sent: Media, now: Instant) {
        let Some(account) = Account::decode(message) else { return };
        let before = self.account.as_ref().map(|heard| heard.account.pictures);
        let was_moving = self.account.as_ref().is_some_and(|heard| heard.is_moving);
        let is_moving = before.is_some_and(|before| account.pictures > before);
        let picture_age = account.newest_picture.map(|stamp| stamp.before(sent));
        self.account = Some(Heard { at: now, account, is_moving, picture_age });
        if is_moving != was_moving && before.is_some() {
            let (severity, reason) = if is_moving {
                (Severity::Info, "verified: the far end says that it has moving pictures")
            } else {
                (Severity::Warning, "the far end says that its pictures stand still")
            };
            let event = self.event(EventKind::Note, severity, reason.to_owned());
            (self.events)(event.with("pictures", account.pictures).with("missing", account.missing));
        }
    }

    /// The far end does not take a new key.
    pub(super) fn key_refused(&self, place: Option<usize>, status: KmStatus) {
        let reason = format!("the far end does not take the new key ({status:?}): it will not see what comes after it");
        let event = self.event(EventKind::Note, Severity::Warning, reason);
        (self.events)(event.with("path", self.label(place)));
    }

    /// A socket's buffer is smaller than asked for; told once per interface.
    pub(super) fn shortfall(&mut self, shortfall: &Shortfall) {
        let interface = shortfall.place.interface.clone().unwrap_or_default();
        if self.shortfalls.insert(format!("{interface} {:?}", shortfall.buffer)) {
            let event = self.event(EventKind::Note, Severity::Warning, shortfall.to_string());
            (self.events)(event.with("asked", shortfall.asked as u64).with("given", shortfall.given as u64));
        }
    }

    /// Payloads were made faster than this destination took them.
    pub(super) fn lagged(&mut self, payloads: u64, now: Instant) {
        self.snapshot.send_if_modified(|snapshot| {
            snapshot.lost += payloads;
            false
        });
        if let Some(payloads) = self.lag.admits(payloads, now) {
            let reason = "this process did not run for too long: went on at a later keyframe".to_owned();
            let event = self.event(EventKind::OutputLagged, Severity::Warning, reason);
            (self.events)(event.with("packets_lost", payloads));
        }
    }

    fn label(&self, place: Option<usize>) -> String {
        place.and_then(|place| self.paths.get(place)).map_or_else(|| "a path".to_owned(), |path| path.label.clone())
    }

    fn path_event(&self, place: usize, kind: EventKind, severity: Severity, reason: String) -> Event {
        let mut event = self.event(kind, severity, reason);
        event.subject = format!("{}/{}", self.name, self.label(Some(place)));
        event
    }

    fn event(&self, kind: EventKind, severity: Severity, reason: String) -> Event {
        Event::new((clock::wall(), clock::media()), Role::Transmit, kind, severity, self.name.clone(), reason)
    }
}

impl PathRecord {
    fn of(path: &crate::config::SrtPath) -> Self {
        let host = path.address.to_string().trim_start_matches("srt://").to_owned();
        Self { label: path.label(), host, ..Self::default() }
    }

    fn totals(&self) -> PathTotals {
        PathTotals {
            sent: self.before.sent + self.current.sent,
            retransmitted: self.before.retransmitted + self.current.retransmitted,
            lost: self.before.lost + self.current.lost,
        }
    }
}

impl Totals {
    fn of(stats: &SessionStats, switches: u64) -> Self {
        let counters = &stats.counters;
        let offered = counters.offered;
        // Acknowledged are packets, which are all about as long.
        let mean = offered.bytes.checked_div(offered.packets).unwrap_or(0);
        Self {
            sent: offered.packets,
            bytes: offered.bytes,
            acknowledged: (counters.acknowledged * mean).min(offered.bytes),
            dropped: counters.dropped_unsent + counters.dropped_unacknowledged,
            switches,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            bytes: self.bytes + other.bytes,
            acknowledged: self.acknowledged + other.acknowledged,
            dropped: self.dropped + other.dropped,
            switches: self.switches + other.switches,
        }
    }
}

impl Heard {
    fn shown(&self, now: Instant) -> FarEndSnapshot {
        FarEndSnapshot {
            age_ms: millis(now.saturating_duration_since(self.at)),
            is_moving: self.is_moving,
            picture_age_ms: self.picture_age.map(|age| millis(age.to_duration())),
            pictures: self.account.pictures,
            continuity_errors: self.account.continuity_errors,
            missing: self.account.missing,
        }
    }
}

fn idle(label: &str) -> PathSnapshot {
    PathSnapshot {
        label: label.to_owned(),
        state: PathState::Off,
        connections: 0,
        rtt_us: None,
        rtt_variance_us: 0,
        queue_delay_us: None,
        bitrate: 0,
        lost_lately: 0,
        sent: 0,
        retransmitted: 0,
        lost: 0,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
