//! Pure. What of a modem's state is worth a hint or an event.

use std::time::{Duration, Instant};

use super::{BACK_DB, LIMITS};
use crate::events::{BearerState, EventKind, ModemSnapshot, Registration, Severity, SimState, Technology, render};
use crate::telemetry::hinting::Hinting;
use crate::telemetry::latch::{Hold, Latch, Steady, Turn};
use crate::telemetry::news::{LinkHint, News};

/// A modem that is not listed for so long is gone; while ModemManager starts it may be away for some seconds.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// After a network was lost, hints of it for so long: by then those who probe the link know.
const LOST_FOR: Duration = Duration::from_secs(30);
const SLOWER: Duration = Duration::from_secs(5);
const FASTER: Duration = Duration::from_secs(30);

/// One modem.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct ModemWatch {
    subject: String,
    model: String,
    technology: Steady<Technology>,
    sim: Latch,
    lost: Latch,
    roaming: Latch,
    weak: Latch,
    connection: Latch,
    /// The signal is below its limit, or has not been so much above it since.
    is_weak: bool,
    network: Network,
    hinting: Hinting,
    missing_since: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Network {
    /// It never was in one.
    NotYet,
    In,
    /// It was in one until then.
    LostAt(Instant),
}

impl ModemWatch {
    /// A modem that has just come, and the news of it.
    pub(in crate::telemetry) fn new(modem: &ModemSnapshot) -> (Self, News) {
        let watch = Self {
            subject: subject(modem),
            model: modem.model.clone(),
            technology: Steady::new(),
            sim: Latch::new(Hold::secs(0, 60)),
            lost: Latch::new(Hold::secs(5, 10)),
            roaming: Latch::new(Hold::secs(10, 60)),
            weak: Latch::new(Hold::secs(10, 60)),
            connection: Latch::new(Hold::secs(2, 10)),
            is_weak: false,
            network: Network::NotYet,
            hinting: Hinting::default(),
            missing_since: None,
        };
        let reason = format!("the modem {} is there: {}", modem.model, render::modem(modem));
        let news = News::new(EventKind::ModemChanged, Severity::Info, &watch.subject, reason);
        (watch, figures(news, modem))
    }

    /// Takes in how it is at `now`.
    pub(in crate::telemetry) fn see(&mut self, modem: &ModemSnapshot, now: Instant) -> (Vec<News>, Option<LinkHint>) {
        self.missing_since = None;
        self.subject = subject(modem);
        self.network = match (modem.is_registered(), self.network) {
            (true, _) => Network::In,
            (false, Network::In) => Network::LostAt(now),
            (false, before) => before,
        };
        self.is_weak = is_weak(modem, self.is_weak);
        let mut news: Vec<Option<News>> = vec![self.technology(modem, now), self.sim(modem, now)];
        news.extend([self.lost(modem, now), self.roaming(modem, now), self.weak(modem, now)]);
        news.push(self.connection(modem, now));
        let news = news.into_iter().flatten().map(|news| figures(news, modem)).collect();
        (news, self.hinting.see(modem.interface.as_deref(), self.trouble(modem, now), now))
    }

    /// It is not listed at `now`; the news once that has lasted, after which it is to be forgotten.
    pub(in crate::telemetry) fn missing(&mut self, now: Instant) -> Option<News> {
        let since = *self.missing_since.get_or_insert(now);
        if now.saturating_duration_since(since) < GONE_AFTER {
            return None;
        }
        let reason = format!("the modem {} is gone: unplugged, without power, or resetting itself", self.model);
        Some(News::new(EventKind::ModemChanged, Severity::Warning, &self.subject, reason))
    }

    /// Why its next seconds will be bad, if so.
    fn trouble(&self, modem: &ModemSnapshot, now: Instant) -> Option<String> {
        if let Network::LostAt(at) = self.network
            && now.saturating_duration_since(at) < LOST_FOR
        {
            return Some(format!("the modem has lost its network ({})", registration(modem.registration)));
        }
        if modem.bearers.iter().any(|bearer| bearer.state == BearerState::Suspended) {
            return Some("the network has suspended the modem's connection".to_owned());
        }
        (self.is_weak && self.network == Network::In).then(|| format!("the signal is weak ({})", render::modem(modem)))
    }

    fn technology(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        // Between two networks it has none, which is told as a lost network.
        let technology = modem.technology?;
        let hold = |from: &Technology, to: &Technology| if to < from { SLOWER } else { FASTER };
        let before = self.technology.see(&technology, hold, now)?;
        let severity = if technology < Technology::Lte.min(before) { Severity::Warning } else { Severity::Info };
        let reason = format!("from {} to {}: {}", before.words(), technology.words(), render::modem(modem));
        Some(self.news(severity, reason).with("from", before.words()).with("to", technology.words()))
    }

    fn sim(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        let trouble = match &modem.sim {
            SimState::Locked { code, retries } => {
                let left = retries.map_or_else(String::new, |n| format!(", {n} attempts left"));
                Some(format!(
                    "its SIM is locked: it wants the {code}{left}; unlock it with mmcli, or switch the code off in a telephone"
                ))
            }
            SimState::Missing => Some("it has no SIM that can be read; put one in".to_owned()),
            SimState::Unknown | SimState::Ready => None,
        };
        match (self.sim.see(trouble.is_some(), now)?, trouble) {
            (Turn::Begins, Some(why)) => Some(self.news(Severity::Warning, why)),
            (Turn::Begins | Turn::Ends, _) => Some(self.news(Severity::Info, "its SIM can be used again")),
        }
    }

    fn lost(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        let is_lost = matches!(self.network, Network::LostAt(_));
        Some(match self.lost.see(is_lost, now)? {
            Turn::Begins => {
                let why = format!("it has lost its network ({})", registration(modem.registration));
                self.news(Severity::Warning, why)
            }
            Turn::Ends => self.news(Severity::Info, format!("it is in a network again: {}", render::modem(modem))),
        })
    }

    fn roaming(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        let network = modem.operator.as_deref().unwrap_or("another network");
        Some(match self.roaming.see(modem.registration == Registration::Roaming, now)? {
            Turn::Begins => self.news(Severity::Warning, format!("it is roaming in {network}, which may cost more")),
            Turn::Ends => self.news(Severity::Info, "it is not roaming any more"),
        })
    }

    fn weak(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        Some(match self.weak.see(self.is_weak, now)? {
            Turn::Begins => {
                let why = format!("its signal is weak: {}; move it or its antenna", render::modem(modem));
                self.news(Severity::Warning, why)
            }
            Turn::Ends => {
                self.news(Severity::Info, format!("its signal is good enough again: {}", render::modem(modem)))
            }
        })
    }

    fn connection(&mut self, modem: &ModemSnapshot, now: Instant) -> Option<News> {
        let up = modem.bearers.iter().any(|bearer| bearer.state == BearerState::Up);
        let suspended = modem.bearers.iter().any(|bearer| bearer.state == BearerState::Suspended);
        let error = modem.bearers.iter().find_map(|bearer| bearer.error.as_deref()).filter(|_| !up);
        let turn = self.connection.see(suspended || error.is_some(), now)?;
        Some(match (turn, error) {
            (Turn::Begins, Some(error)) => {
                self.news(Severity::Warning, format!("it does not get a connection: {error}"))
            }
            (Turn::Begins, None) => self.news(Severity::Warning, "the network has suspended its connection"),
            (Turn::Ends, _) => self.news(Severity::Info, "its connection is in order again"),
        })
    }

    fn news(&self, severity: Severity, reason: impl Into<String>) -> News {
        News::new(EventKind::ModemChanged, severity, &self.subject, reason)
    }
}

/// What people know it by.
fn subject(modem: &ModemSnapshot) -> String {
    modem.interface.clone().unwrap_or_else(|| modem.model.clone())
}

fn figures(news: News, modem: &ModemSnapshot) -> News {
    let cell = modem.leading_cell().unwrap_or_default();
    news.with("model", modem.model.clone())
        .with("technology", modem.technology.map(Technology::words))
        .with("rsrp_dbm", cell.rsrp_dbm)
        .with("rsrq_db", cell.rsrq_db)
        .with("snr_db", cell.snr_db)
        .with("quality_percent", modem.quality_percent)
}

/// Below a limit; if it was, until it is [`BACK_DB`] above both. Unknown figures are no sign of anything.
fn is_weak(modem: &ModemSnapshot, was_weak: bool) -> bool {
    let Some(cell) = modem.leading_cell() else { return false };
    let [lte, nr] = LIMITS;
    let limits = if modem.technology == Some(Technology::FiveG) { nr } else { lte };
    let back = if was_weak { BACK_DB } else { 0.0 };
    let below = |figure: Option<f64>, limit: f64| figure.is_some_and(|figure| figure < limit + back);
    below(cell.rsrp_dbm, limits.rsrp_dbm) || below(cell.snr_db, limits.snr_db)
}

fn registration(registration: Registration) -> &'static str {
    match registration {
        Registration::Unknown => "it does not say why",
        Registration::None => "it looks for none",
        Registration::Searching => "it is searching",
        Registration::Denied => "the network refuses it",
        Registration::Restricted => "emergency calls only",
        Registration::Home => "at home",
        Registration::Roaming => "roaming",
    }
}
