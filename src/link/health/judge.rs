//! Pure. Judges one link by what is observed of it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::action::{Action, Alarm, Arming, Outlook, Reason, Standing};
use super::class::{BACK_OFF_DEAD, CARRIER_DEAD, HINT_MOST, LinkClass, NO_PROGRESS, OVERSLEPT, Thresholds, UNBROKEN};
use super::evidence::{Evidence, Health, Probation, ServerFault, Unclean};
use super::observation::{Carrier, Hint, Observation, Portal};
use super::planted::{Bug, planted};
use super::probes::{Probes, Probing};
use super::score::Quality;
use super::sessions::{Sessions, Traffic};
use super::trust::Record;

/// Most actions that wait to be taken out; the oldest go. A judge that is polled has fewer than five.
const MAX_WAITING: usize = 64;
/// So many probes lost while a session was not served speak against the link.
const LOST_MEANWHILE: usize = 3;
/// ... or within so long.
const SHAKY_FOR: Duration = Duration::from_secs(3);
/// A check for captive portals is believed for so long where nothing else answers.
const PORTAL_SAYS: Duration = Duration::from_secs(60);

/// The judge of one link. Tell it everything with [`Self::observe`], ask with [`Self::poll`] until it has nothing more
/// to say, and come back at [`Self::poll_timeout`] at the latest.
#[derive(Debug)]
pub struct Judge {
    thresholds: &'static Thresholds,
    health: Health,
    record: Record,
    /// Since when the carrier is lost.
    no_carrier: Option<Instant>,
    probes: Probes,
    sessions: Sessions,
    portal: Option<(Portal, Instant)>,
    /// Until when a hint is believed.
    hint: Option<Instant>,
    quality: Quality,
    /// Since when probes have been answered without a break.
    unbroken: Option<Instant>,
    /// Silence counts from here: before that this process slept, or has not begun.
    awake: Instant,
    judged: Instant,
    due: Option<(Instant, Reason)>,
    /// Since when the standby is armed, and how far.
    armed: Option<(Instant, Arming)>,
    actions: VecDeque<Action>,
}

/// What all witnesses say at one time.
#[derive(Clone, Copy)]
struct Testimony {
    traffic: Traffic,
    probing: Probing,
    /// How long the silence of either lasts.
    traffic_silent: Option<Duration>,
    probes_silent: Option<Duration>,
    /// Since anything answered, while nothing but probes is on its way: a session may have been answered a moment ago.
    idle_silent: Option<Duration>,
}

impl Judge {
    /// A link that nothing is known of: on a short probation.
    pub fn new(class: LinkClass, now: Instant) -> Self {
        Self::by(class.thresholds(), now)
    }

    /// The same, judged by these thresholds.
    pub(super) fn by(thresholds: &'static Thresholds, now: Instant) -> Self {
        let record = Record::new();
        Self {
            thresholds,
            health: Health::Probation(Probation {
                since: now,
                clean: None,
                unclean: Unclean::NothingHeard,
                needs: record.needs(thresholds),
                relapses: 0,
                failed: None,
            }),
            record,
            no_carrier: None,
            probes: Probes::new(now),
            sessions: Sessions::default(),
            portal: None,
            hint: None,
            quality: Quality::new(now),
            unbroken: None,
            awake: now,
            judged: now,
            due: None,
            armed: None,
            actions: VecDeque::new(),
        }
    }

    /// How the link is.
    pub const fn health(&self) -> &Health {
        &self.health
    }

    /// What others have to know of it.
    pub fn standing(&self) -> Standing {
        Standing {
            health: self.health,
            grade: self.quality.grade(),
            score: self.quality.score(),
            outlook: if self.hint.is_some() || self.is_shaky() { Outlook::Foul } else { Outlook::Fair },
        }
    }

    /// Whether it has begun to lose what it is given, which shows in its points only some seconds later.
    fn is_shaky(&self) -> bool {
        let lately = self.judged.checked_sub(SHAKY_FOR);
        lately.is_some_and(|since| self.probes.lost_since(since, self.judged) >= LOST_MEANWHILE)
    }

    /// Smoothed round-trip time of the probes, while there are any.
    pub fn rtt(&self) -> Option<Duration> {
        self.probes.rtt(self.judged)
    }

    /// Lost probes of the last ten seconds, per cent.
    pub fn loss(&self) -> Option<u32> {
        self.probes.loss(self.judged)
    }

    /// Something was seen of the link. `now` must not be before any time it was told earlier.
    pub fn observe(&mut self, now: Instant, observation: Observation) {
        self.wake(now);
        match observation {
            Observation::Carrier(Carrier::Up) => self.no_carrier = None,
            Observation::Carrier(Carrier::Down) => {
                if !planted(Bug::IgnoresTheCarrier) {
                    self.no_carrier.get_or_insert(now);
                }
            }
            Observation::Tcp(id, figures) => self.sessions.tcp(id, &figures, now),
            Observation::Srt(id, figures) => self.sessions.srt(id, &figures, now),
            Observation::SessionEnded(id) => self.sessions.ended(id),
            Observation::ProbeSent(target) => self.probes.sent(target, now),
            Observation::ProbeAnswered { target, rtt } => {
                self.probes.answered(target, rtt, now);
                if let Some(loss) = self.probes.loss(now) {
                    self.quality.measure(self.probes.rtt(now).unwrap_or(rtt), loss, now);
                }
            }
            Observation::Hint(Hint::Trouble { until }) => {
                self.hint = Some(until.min(now + HINT_MOST)).filter(|until| *until > now);
            }
            Observation::Hint(Hint::Clear) => self.hint = None,
            Observation::Portal(portal) => {
                self.portal = Some((portal, now));
                self.explain(now);
            }
        }
        self.judge(now);
    }

    /// What is to be done.
    pub fn poll(&mut self, now: Instant) -> Option<Action> {
        self.wake(now);
        if now > self.judged && !planted(Bug::ForgetsDeadlines) {
            self.judge(now);
        }
        self.actions.pop_front()
    }

    /// When [`Self::poll`] is to be called at the latest, and what for.
    pub const fn poll_timeout(&self) -> Option<(Instant, Reason)> {
        self.due
    }

    /// The next time at which the same testimony means something else.
    fn next(&self, testimony: &Testimony) -> Option<(Instant, Reason)> {
        let row = self.thresholds;
        let traffic = match testimony.traffic {
            Traffic::Awaits { since, .. } => Some(since),
            Traffic::Idle => None,
        };
        let probes = match testimony.probing {
            Probing::Silent { since } => Some(since),
            Probing::Answered | Probing::NoWitness => None,
        };
        let both = match (traffic, probes) {
            (Some(traffic), Some(probes)) => Some(traffic.max(probes)),
            (one, other) => one.or(other),
        };
        let silence = [
            both.map(|at| at + row.suspect),
            both.map(|at| at + row.dead),
            probes.map(|at| at + row.alone),
            probes.map(|at| at + row.broken),
            probes.map(|at| at + row.dead),
        ];
        let silence = silence.into_iter().flatten().map(|at| (at, Reason::Silence));
        let carrier = self.no_carrier.map(|at| (at.max(self.awake) + CARRIER_DEAD, Reason::Carrier));
        let hint = self.hint.map(|at| (at, Reason::HintExpires));
        let probation = match &self.health {
            Health::Probation(Probation { clean: Some(clean), needs, .. }) => {
                Some((*clean + *needs, Reason::Probation))
            }
            Health::Probation(_) | Health::Up { .. } | Health::Suspect { .. } | Health::Dead { .. } => None,
        };
        let server = self.server_deadline().map(|at| (at, Reason::Server));
        let all = silence.chain(carrier).chain(hint).chain(probation).chain(server);
        all.filter(|(at, _)| *at > self.judged).min_by_key(|(at, _)| *at)
    }

    /// When a server is to be blamed if nothing changes.
    fn server_deadline(&self) -> Option<Instant> {
        let unbroken = self.unbroken?;
        let rtt = self.probes.rtt(self.judged).unwrap_or_default();
        self.sessions
            .unblamed(self.judged)
            .filter_map(|session| {
                let hard = session.stuck.map(|at| at.max(self.awake).max(unbroken) + NO_PROGRESS);
                let soft = session.silent_since(self.awake).map(|at| at + self.thresholds.dead);
                let soft = soft.zip(session.repeat_unanswered(self.back()?, rtt)).map(|(a, b)| a.max(b));
                hard.into_iter().chain(soft).min()
            })
            .map(|at| at.max(unbroken + UNBROKEN))
            .min()
    }

    /// Since when the link has answered: a retransmission before that may have been lost with everything else.
    const fn back(&self) -> Option<Instant> {
        self.unbroken
    }

    /// Whoever comes much later than asked has slept: what was silent meanwhile may wait to be read.
    fn wake(&mut self, now: Instant) {
        if planted(Bug::CountsItsOwnSleep) {
            return;
        }
        if self.due.is_some_and(|(due, _)| now.saturating_duration_since(due) > OVERSLEPT) {
            self.awake = now;
        }
    }

    fn hear(&self, now: Instant) -> Testimony {
        let traffic = self.sessions.say(self.awake, now);
        let probing = self.probes.say(self.awake, now);
        let last_answer = self.sessions.last_answer();
        Testimony {
            traffic,
            idle_silent: match (traffic, probing) {
                (Traffic::Idle, Probing::Silent { since }) => {
                    Some(now.saturating_duration_since(last_answer.map_or(since, |at| at.max(since))))
                }
                (Traffic::Idle | Traffic::Awaits { .. }, _) => None,
            },
            probing,
            traffic_silent: match traffic {
                Traffic::Awaits { since, .. } => Some(now.saturating_duration_since(since)),
                Traffic::Idle => None,
            },
            probes_silent: match probing {
                Probing::Silent { since } => Some(now.saturating_duration_since(since)),
                Probing::Answered => Some(Duration::ZERO),
                Probing::NoWitness => None,
            },
        }
    }

    fn judge(&mut self, now: Instant) {
        self.judged = now;
        let mut heard = self.hear(now);
        let recent = |at: Instant| now.saturating_duration_since(at) < self.thresholds.suspect;
        let carries = self.sessions.last_answer().is_some_and(recent);
        if carries {
            self.probes.doubt_silent(self.awake, now);
            heard = self.hear(now);
        }
        // Where nobody answers probes, another session that is served speaks for the link.
        let answered = heard.probes_silent.map_or(carries, |silent| silent < self.thresholds.suspect);
        let answered = answered && self.no_carrier.is_none();
        self.unbroken = answered.then(|| self.unbroken.unwrap_or(now));
        if self.hint.is_some_and(|until| until <= now) {
            self.hint = None;
        }
        match self.health {
            Health::Up { .. } | Health::Suspect { .. } => self.judge_trusted(&heard, now),
            Health::Dead { since, .. } => self.judge_dead(since, &heard, now),
            Health::Probation(probation) => self.judge_probation(probation, &heard, now),
        }
        self.judge_servers(now);
        self.arm(now);
        self.due = self.next(&heard);
    }

    fn judge_trusted(&mut self, heard: &Testimony, now: Instant) {
        if let Some(evidence) = self.death(heard, now) {
            self.record.fail(evidence, now);
            return self.die(evidence, now);
        }
        self.health = match (self.suspicion(heard, now), self.health) {
            (Some(evidence), Health::Suspect { since, .. }) => Health::Suspect { since, evidence },
            (Some(evidence), _) => Health::Suspect { since: now, evidence },
            (None, Health::Up { since }) => Health::Up { since },
            (None, _) => Health::Up { since: now },
        };
    }

    /// A link that fell silent has a portal, which somebody can do something about: that has to be said.
    fn explain(&mut self, now: Instant) {
        if let Health::Dead { since, evidence } = self.health
            && evidence != Evidence::Captive
            && self.is_captive(now)
        {
            self.health = Health::Dead { since, evidence: Evidence::Captive };
            self.push(Action::Leave(Evidence::Captive));
        }
    }

    fn die(&mut self, evidence: Evidence, now: Instant) {
        self.health = Health::Dead { since: now, evidence };
        self.push(Action::Leave(evidence));
    }

    /// Whether the link carries nothing, by the table.
    fn death(&self, heard: &Testimony, now: Instant) -> Option<Evidence> {
        if let Some(since) = self.no_carrier {
            let lasting = now.saturating_duration_since(since.max(self.awake));
            if lasting >= CARRIER_DEAD {
                return Some(Evidence::NoCarrier { lasting });
            }
        }
        if self.is_captive(now) {
            return Some(Evidence::Captive);
        }
        let row = self.thresholds;
        match (heard.traffic, heard.traffic_silent, heard.probes_silent) {
            (Traffic::Awaits { stream, .. }, Some(silent), Some(probes))
                if (silent >= row.dead && probes >= row.dead)
                    || (planted(Bug::BelievesOneWitness) && silent.max(probes) >= row.dead)
                    || (planted(Bug::BlamesTheLink) && silent >= row.dead) =>
            {
                return Some(Evidence::AllSilent { stream, silent, probes });
            }
            (Traffic::Awaits { backoff, .. }, Some(silent), None)
                if backoff >= BACK_OFF_DEAD && silent >= row.dead && !planted(Bug::NeedsProbes) =>
            {
                return Some(Evidence::BackOff { silent, backoff });
            }
            (Traffic::Awaits { .. } | Traffic::Idle, _, _) => {}
        }
        if let Some(probes) = heard.idle_silent.filter(|probes| *probes >= row.alone) {
            return Some(Evidence::ProbesSilent { probes });
        }
        // The hard limit. Only what speaks for the link is heard against it: an answer to a probe in time, or, where
        // there are none, a session that gets something through.
        let stuck = self.sessions.stuck_for(self.awake, now)?;
        let excused = heard.probes_silent.is_some_and(|probes| probes < row.dead);
        (stuck >= NO_PROGRESS && !excused).then_some(Evidence::NoProgress { stuck, probes: heard.probes_silent })
    }

    /// A captive portal counts unless a session is answered: then the check is wrong.
    fn is_captive(&self, now: Instant) -> bool {
        let answered =
            self.sessions.last_answer().is_some_and(|at| now.saturating_duration_since(at) < self.thresholds.dead);
        matches!(self.portal, Some((Portal::Captive, _))) && !answered && !planted(Bug::TrustsPortals)
    }

    fn suspicion(&self, heard: &Testimony, now: Instant) -> Option<Evidence> {
        if let Some(since) = self.no_carrier {
            return Some(Evidence::NoCarrier { lasting: now.saturating_duration_since(since) });
        }
        let long = |silence: Duration| silence >= self.thresholds.suspect;
        match (heard.traffic, heard.traffic_silent, heard.probes_silent) {
            (Traffic::Awaits { stream, .. }, Some(silent), Some(probes)) if long(silent) && long(probes) => {
                Some(Evidence::AllSilent { stream, silent, probes })
            }
            (Traffic::Awaits { backoff, .. }, Some(silent), None) if long(silent) && backoff > 0 => {
                Some(Evidence::BackOff { silent, backoff })
            }
            (Traffic::Awaits { .. } | Traffic::Idle, _, _) => {
                heard.idle_silent.filter(|probes| long(*probes)).map(|probes| Evidence::ProbesSilent { probes })
            }
        }
    }

    /// Whether anything has answered after `since`.
    fn has_answered_since(&self, since: Instant) -> bool {
        let probes = self.probes.last_answer();
        let sessions = self.sessions.last_answer();
        // The check for portals is the slowest of probes, and the only one where the others are filtered or down.
        let portal = match self.portal {
            Some((Portal::Clear, at)) => Some(at),
            Some((Portal::Captive, _)) | None => None,
        };
        probes.max(sessions).max(portal).is_some_and(|at| at > since)
    }

    fn judge_dead(&mut self, since: Instant, heard: &Testimony, now: Instant) {
        let well = self.no_carrier.is_none() && !self.is_captive(now);
        if !well || !self.has_answered_since(since) {
            return;
        }
        let probation = Probation {
            since: now,
            clean: None,
            unclean: Unclean::NothingHeard,
            needs: self.record.needs(self.thresholds),
            relapses: self.record.relapses,
            failed: self.record.failed,
        };
        self.judge_probation(probation, heard, now);
        if let Health::Probation(probation) = self.health {
            self.push(Action::Returned(probation));
        }
    }

    fn judge_probation(&mut self, mut probation: Probation, heard: &Testimony, now: Instant) {
        if let Some(evidence) = self.death(heard, now) {
            return self.die(evidence, now);
        }
        probation.unclean = self.unclean(heard, now);
        probation.clean = match probation.unclean {
            Unclean::Clean => Some(probation.clean.unwrap_or(now)),
            Unclean::NothingHeard | Unclean::Silent(_) | Unclean::Lossy(_) | Unclean::NoCarrier | Unclean::Captive => {
                None
            }
        };
        if probation.clean.is_some_and(|since| now.saturating_duration_since(since) >= probation.needs) {
            self.record.trusted(now);
            self.health = Health::Up { since: now };
            self.push(Action::Trusted { after: now.saturating_duration_since(probation.since) });
        } else {
            self.health = Health::Probation(probation);
        }
    }

    /// What is wrong with a link that is to be trusted.
    fn unclean(&self, heard: &Testimony, now: Instant) -> Unclean {
        let row = self.thresholds;
        if self.no_carrier.is_some() {
            return Unclean::NoCarrier;
        }
        if self.is_captive(now) {
            return Unclean::Captive;
        }
        match (heard.probes_silent, heard.traffic_silent) {
            (Some(silent), _) if silent >= row.broken => return Unclean::Silent(silent),
            (Some(_), _) => {}
            (None, Some(silent)) if silent >= row.broken => return Unclean::Silent(silent),
            (None, Some(_)) => {}
            (None, None) => {
                let clear =
                    matches!(self.portal, Some((Portal::Clear, at)) if now.saturating_duration_since(at) < PORTAL_SAYS);
                if !clear {
                    return Unclean::NothingHeard;
                }
            }
        }
        match self.probes.loss(now) {
            Some(loss) if loss > row.loss => Unclean::Lossy(loss),
            Some(_) | None => Unclean::Clean,
        }
    }

    /// Which servers are silent although the link is not.
    fn judge_servers(&mut self, now: Instant) {
        if planted(Bug::NeverBlamesTheServer) {
            return;
        }
        let Some(back) = self.back() else { return };
        let unbroken = now.saturating_duration_since(back);
        if unbroken < UNBROKEN && !planted(Bug::BlamesTheServerAtOnce) {
            return;
        }
        let loss = match self.probes.loss_since(back, now) {
            Some(loss) => loss,
            // Another session speaks for the link.
            None if self.probes.say(self.awake, now) == Probing::NoWitness => 0,
            // Whether the link is any good is not known yet.
            None if !planted(Bug::BlamesTheServerAtOnce) => return,
            None => 0,
        };
        let rtt = self.probes.rtt(now).unwrap_or_default();
        let mut found = Vec::new();
        for session in self.sessions.fresh(now).filter(|session| !session.blamed) {
            let since = session.silent_since(self.awake);
            let silent = since.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
            let in_vain =
                session.repeat_unanswered(back, rtt).is_some_and(|at| at <= now) || planted(Bug::BlamesTheServerAtOnce);
            let stuck = session.stuck.map_or(Duration::ZERO, |at| now.saturating_duration_since(at.max(self.awake)));
            // A session that a hole has stopped waits for its own timer, however well the link is again.
            let hard = stuck >= NO_PROGRESS && unbroken >= NO_PROGRESS;
            // The link loses what it is given, the session's segments as well as probes: the share is known later.
            let lost = since.map_or(0, |at| self.probes.lost_since(at, now));
            let is_shaky = lost >= LOST_MEANWHILE && !planted(Bug::BlamesTheServerAtOnce);
            let at_fault = hard || (silent >= self.thresholds.dead && in_vain && lost == 0);
            if !at_fault {
                continue;
            }
            session.blamed = true;
            found.push(if loss > self.thresholds.loss || is_shaky {
                Action::TooLossy { session: session.id, stuck, loss }
            } else {
                let silent = silent.max(stuck);
                Action::BlameServer(ServerFault { session: session.id, silent, backoff: session.backoff, unbroken })
            });
        }
        for action in found {
            if matches!(action, Action::TooLossy { .. }) {
                self.quality.fails();
            }
            self.push(action);
        }
    }

    /// Arms the standby while there is an alarm.
    fn arm(&mut self, now: Instant) {
        let wanted = match self.health {
            Health::Suspect { evidence: evidence @ Evidence::NoCarrier { .. }, .. } => {
                Some((Arming::Carry, Alarm::Suspect(evidence)))
            }
            Health::Suspect { evidence, .. } => Some((Arming::Connect, Alarm::Suspect(evidence))),
            Health::Up { .. } | Health::Probation(_) if self.hint.is_some() => Some((Arming::Connect, Alarm::Hint)),
            Health::Up { .. } | Health::Probation(_) | Health::Dead { .. } => None,
        };
        match (wanted, self.armed) {
            (Some((arming, because)), None) => {
                self.armed = Some((now, arming));
                self.push(Action::Arm { arming, because });
            }
            (Some((arming, because)), Some((since, before))) if arming > before => {
                self.armed = Some((since, arming));
                self.push(Action::Arm { arming, because });
            }
            (None, Some((since, _))) => {
                self.armed = None;
                // Who leaves needs no word about the standby.
                if !matches!(self.health, Health::Dead { .. }) {
                    self.push(Action::StandDown { after: now.saturating_duration_since(since) });
                }
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }

    fn push(&mut self, action: Action) {
        if self.actions.len() >= MAX_WAITING {
            self.actions.pop_front();
        }
        self.actions.push_back(action);
    }
}
