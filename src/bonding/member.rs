//! One path as a policy sees it: how far it is trusted, and what is measured of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::decision::{Carrier, Congestion, Evidence, LinkId};
use super::{
    DELIVERED_PER_CENT, LEAST_PATIENCE, LOSS_LEAST, LOSS_PER_CENT, PROBATION, PROBATION_MOST, PROBE_EVERY, QUEUE_SHARE,
};
use crate::srt::planted::{Bug, planted};
use crate::srt::session::{PathId, PathView, Session};

/// A full acknowledgement comes every 10 ms (draft §4.8.1); two of them may be late or lost.
const ACK_INTERVALS: Duration = Duration::from_millis(20);
/// The most that a path's unpunctuality is allowed for.
const MOST_PATIENCE: Duration = Duration::from_millis(100);
/// How often delivery is measured.
const SAMPLE_EVERY: Duration = Duration::from_millis(10);
/// How many measurements are kept: 1.28 s.
const SAMPLES: usize = 128;
/// Delivery is measured over two round trips, but no less than this: acknowledgements and bursts are coarse.
const DELIVERY_LEAST: Duration = Duration::from_millis(400);
/// A shortfall has to last for two round trips, but no less than this.
const SHORTFALL_LEAST: Duration = Duration::from_millis(100);
/// ... and by no fewer packets.
const SHORTFALL_PACKETS: u64 = 20;
/// A link that has not failed for so long, after it was trusted again, starts anew with the shortest probation.
const FORGIVEN_AFTER: Duration = Duration::from_secs(300);

/// How far a link is trusted. The history outlives its paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) link: LinkId,
    /// Failures, each soon after it had been trusted.
    pub(super) relapses: u32,
    /// When it failed last, or was trusted again after that.
    remembered: Option<Instant>,
    trust: Trust,
}

/// Whether a link may be switched to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// It has to be clean for `needs` first.
    Probation { begun: Instant, clean_since: Option<Instant>, needs: Duration },
    /// It may.
    Trusted,
}

impl Record {
    pub(super) const fn new(link: LinkId, begun: Instant, needs: Duration) -> Self {
        let trust = Trust::Probation { begun, clean_since: None, needs };
        Self { link, relapses: 0, remembered: None, trust }
    }

    pub(super) const fn trusted(link: LinkId) -> Self {
        Self { link, relapses: 0, remembered: None, trust: Trust::Trusted }
    }

    /// It failed: it is on probation for 10 s, doubled with each relapse.
    pub(super) fn fail(&mut self, now: Instant) -> Duration {
        if self.remembered.is_some_and(|at| now.saturating_duration_since(at) < FORGIVEN_AFTER) {
            self.relapses = self.relapses.saturating_add(1);
        } else {
            self.relapses = 0;
        }
        self.remembered = Some(now);
        let needs = PROBATION.saturating_mul(1 << self.relapses.min(8)).min(PROBATION_MOST);
        self.trust = Trust::Probation { begun: now, clean_since: None, needs };
        needs
    }

    pub(super) fn is_trusted(&self) -> bool {
        self.trust == Trust::Trusted
    }

    /// It is clean, or not. Returns how long the probation took when it ends.
    pub(super) fn judge(&mut self, clean: bool, now: Instant) -> Option<Duration> {
        let Trust::Probation { begun, clean_since, needs } = &mut self.trust else { return None };
        if !clean {
            *clean_since = None;
            return None;
        }
        let since = *clean_since.get_or_insert(now);
        if now.saturating_duration_since(since) < *needs {
            return None;
        }
        let took = now.saturating_duration_since(*begun);
        self.trust = Trust::Trusted;
        self.remembered = self.remembered.map(|_| now);
        Some(took)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    sent: u64,
    arrived: u64,
}

/// Whether a path is to be used as its weight says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Resort {
    /// Only if no other works: what it carries costs, say.
    #[default]
    Last,
    /// It is.
    Any,
}

/// A path.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: PathId,
    pub(super) link: LinkId,
    pub(super) weight: u16,
    pub(super) resort: Resort,
    pub(super) carrier: Carrier,
    samples: VecDeque<Sample>,
    /// Since when less arrives than is offered.
    short_since: Option<Instant>,
    /// When the next probe is due.
    pub(super) probe_due: Instant,
    /// Since when a probe has not been answered, nor anything else come.
    asked: Option<Instant>,
    /// Probes and answers at the beginning of the current window, and when that was.
    window: (Instant, u64, u64, u64, u64),
    /// What the last window showed: lost of sent.
    pub(super) probe_loss: (u64, u64),
    /// Packets given to the session since the last one that was sent here as a probe.
    pub(super) since_duplicate: u32,
}

/// One probe may be lost by chance.
const PROBES_LOST: u64 = 2;
/// Probes are judged over this time.
const PROBE_WINDOW: Duration = Duration::from_secs(2);

impl Member {
    pub(super) const fn new(id: PathId, link: LinkId, weight: u16, now: Instant) -> Self {
        Self {
            id,
            link,
            weight,
            resort: Resort::Any,
            carrier: Carrier::There,
            samples: VecDeque::new(),
            short_since: None,
            probe_due: now,
            asked: None,
            window: (now, 0, 0, 0, 0),
            probe_loss: (0, 0),
            since_duplicate: 0,
        }
    }

    /// A probe leaves.
    pub(super) fn asks(&mut self, now: Instant) {
        self.probe_due = now + PROBE_EVERY;
        self.asked.get_or_insert(now);
    }

    /// For how long it has not answered, its round trip not counted.
    pub(super) fn unanswered(&self, evidence: &Evidence) -> Duration {
        let since = self.asked.map_or(Duration::ZERO, |asked| evidence.at.saturating_duration_since(asked));
        since.saturating_sub(evidence.rtt.unwrap_or_default())
    }

    /// Measures.
    pub(super) fn sample(&mut self, view: &PathView, now: Instant) {
        if self.asked.is_some_and(|asked| view.heard > asked) {
            self.asked = None;
        }
        if self.samples.back().is_none_or(|last| now.saturating_duration_since(last.at) >= SAMPLE_EVERY) {
            if self.samples.len() == SAMPLES {
                self.samples.pop_front();
            }
            self.samples.push_back(Sample { at: now, sent: view.sent, arrived: view.arrived });
        }
        let (offered, delivered) = self.delivery(view, now);
        let short = offered >= SHORTFALL_PACKETS && delivered * 100 < offered * DELIVERED_PER_CENT;
        self.short_since = short.then(|| self.short_since.unwrap_or(now));
        let (begun, probes, answers, sent, lost) = self.window;
        if now.saturating_duration_since(begun) >= PROBE_WINDOW {
            // Answers may belong to probes of the window before, so one may seem to be missing, or one too many.
            let unanswered = (view.probes - probes).saturating_sub(view.answers - answers);
            let probes = view.probes - probes + (view.sent - sent);
            self.probe_loss = (unanswered.saturating_sub(1) + view.lost.saturating_sub(lost), probes);
            self.window = (now, view.probes, view.answers, view.sent, view.lost);
        }
    }

    /// What was offered to the path in the last two round trips but one, and what of it arrived a round trip later.
    fn delivery(&self, view: &PathView, now: Instant) -> (u64, u64) {
        let Some(rtt) = view.rtt.filter(|_| !view.hole) else { return (0, 0) };
        let window = (rtt * 2).max(DELIVERY_LEAST);
        let way = rtt + ACK_INTERVALS;
        let at = |back: Duration| {
            let then = now.checked_sub(back)?;
            self.samples.iter().rev().find(|sample| sample.at <= then)
        };
        // Arrivals are known some milliseconds late; counting a little more of them errs on the safe side.
        match (at(window + way), at(way), at(window + ACK_INTERVALS), at(Duration::ZERO)) {
            (Some(first), Some(last), Some(before), Some(after)) => {
                (last.sent.saturating_sub(first.sent), after.arrived.saturating_sub(before.arrived))
            }
            _ => (0, 0),
        }
    }

    pub(super) fn evidence(&self, view: &PathView, latency: Duration, now: Instant) -> Evidence {
        let (offered, delivered) = self.delivery(view, now);
        Evidence {
            at: now,
            rtt: view.rtt,
            since_progress: now.saturating_duration_since(view.progress),
            overdue: view.answer_expected.map_or(Duration::ZERO, |at| now.saturating_duration_since(at)),
            patience: patience(view.lateness),
            lateness: view.lateness,
            silent: now.saturating_duration_since(view.heard),
            queue_delay: view.queue_delay,
            queue_limit: latency / QUEUE_SHARE,
            sent_lately: view.sent_lately,
            lost_lately: view.lost_lately,
            offered,
            delivered,
            short_for: self.short_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        }
    }

    /// Whether it answers probes as a clean path does and nothing waits on it: what probation asks for.
    pub(super) fn is_clean(&self, evidence: &Evidence) -> bool {
        let (lost, of) = self.probe_loss;
        let lossy = lost >= PROBES_LOST && lost * 100 > of * LOSS_PER_CENT;
        let silent = self.unanswered(evidence) > PROBE_EVERY * 3;
        evidence.rtt.is_some() && !lossy && !silent && !is_overdue(evidence) && congestion(evidence).is_none()
    }
}

/// How long an answer may be overdue: max(25 ms, 2 × 10 ms + 4 × mean lateness).
pub(super) fn patience(lateness: Duration) -> Duration {
    if planted(Bug::IsTooPatient) {
        return Duration::from_millis(500);
    }
    (ACK_INTERVALS + lateness * 4).clamp(LEAST_PATIENCE, MOST_PATIENCE)
}

/// When an answer on this path is overdue.
pub(super) fn deadline(session: &Session, path: PathId) -> Option<Instant> {
    let expected = session.answer_expected(path)?;
    Some(expected + patience(session.lateness(path)))
}

pub(super) fn is_overdue(evidence: &Evidence) -> bool {
    evidence.overdue > Duration::ZERO && evidence.overdue >= evidence.patience
}

/// How it fails to carry what it is given.
pub(super) fn congestion(evidence: &Evidence) -> Option<Congestion> {
    if planted(Bug::IgnoresCongestion) {
        return None;
    }
    if evidence.queue_delay.is_some_and(|delay| delay > evidence.queue_limit) {
        return Some(Congestion::Queue);
    }
    if evidence.lost_lately >= LOSS_LEAST && evidence.lost_lately * 100 > evidence.sent_lately * LOSS_PER_CENT {
        return Some(Congestion::Loss);
    }
    let lasting = evidence.rtt.is_some_and(|rtt| evidence.short_for >= (rtt * 2).max(SHORTFALL_LEAST));
    lasting.then_some(Congestion::Shortfall)
}
