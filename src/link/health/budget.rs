//! Pure. How much data a link may still carry until the show ends.
//!
//! ```text
//!   Free ──── 80 % used, or the forecast for the end of the show is above the cap ────► Warned
//!     ▲  ◄─── less than 75 % used and the forecast is below 95 % of the cap ────────────  │
//!     └────── a new billing period ────── Spent, or Barred ◄──── the cap is reached ──────┘
//! ```
//!
//! A link that has reached its cap is left for any other that works ([`AtCap::LastResort`]), or not used at all
//! ([`AtCap::Bar`]), as the operator wants it. What was used is counted from what the link itself has carried, both ways,
//! retransmissions included, since that is what is billed.

use std::fmt;
use std::time::{Duration, Instant};

use super::evidence::Secs;
use crate::model::{AtCap, DataPlan};

/// Warned from so many per cent of the cap on.
pub const WARN_USED: u64 = 80;
/// ... and not warned any more below so many.
pub const CALM_USED: u64 = 75;
/// ... if the forecast is below so many.
pub const CALM_FORECAST: u64 = 95;
/// The rate of use is measured over about so long, so that a pause or a burst does not change the forecast.
pub const RATE_OVER: Duration = Duration::from_secs(300);
/// Nothing is forecast before so much of the use was seen.
const RATE_LEAST: Duration = Duration::from_secs(30);
/// How long the rest lasts is not told where it is longer than this: it says nothing about any show.
const LASTS_TOLD: Duration = Duration::from_secs(7 * 86_400);

/// Whether a link may carry more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allowance {
    /// It may.
    Free,
    /// It may, but the end is in sight.
    Warned,
    /// Only if nothing else works.
    Spent,
    /// It may not.
    Barred,
}

/// When the show ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When that is.
    pub at: Instant,
    /// What people call it: `18:30`.
    pub called: String,
}

/// Why somebody is told of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What it was.
    pub before: Allowance,
    /// What follows.
    pub allowance: Allowance,
    /// The figures.
    pub figures: Figures,
}

/// The figures of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// What was bought.
    pub plan: DataPlan,
    /// Bytes used.
    pub used: u64,
    /// Bytes used at the end of the show if it goes on like this, and what people call that; None if that is not known.
    pub forecast: Option<(u64, String)>,
    /// How long the rest lasts if it goes on like this; None if hardly anything is used, or too little is known.
    pub lasts: Option<Duration>,
}

/// The budget of one link.
#[derive(Debug)]
pub struct Budget {
    plan: DataPlan,
    /// When the show ends, if somebody said so.
    show_ends: Option<End>,
    used: u64,
    /// When it was first and last told what was carried.
    begun: Option<Instant>,
    heard: Option<Instant>,
    /// Bytes per second.
    rate: f64,
    allowance: Allowance,
    notice: Option<Notice>,
}

impl Budget {
    /// A budget of which `used` bytes are gone already.
    pub fn new(plan: DataPlan, used: u64, now: Instant) -> Self {
        let mut budget = Self {
            plan,
            show_ends: None,
            used,
            begun: None,
            heard: None,
            rate: 0.0,
            allowance: Allowance::Free,
            notice: None,
        };
        budget.decide(now);
        budget
    }

    /// Whether the link may carry more.
    pub const fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Bytes used, to be kept over restarts.
    pub const fn used(&self) -> u64 {
        self.used
    }

    /// Something else was bought.
    pub fn plan(&mut self, plan: &DataPlan, now: Instant) {
        self.plan.clone_from(plan);
        self.decide(now);
    }

    /// The show ends then, or nobody knows when.
    pub fn show_ends(&mut self, end: Option<End>, now: Instant) {
        self.show_ends = end;
        self.decide(now);
    }

    /// A new billing period has begun, and so much of it is used already.
    pub fn renew(&mut self, used: u64, now: Instant) {
        self.used = used;
        self.decide(now);
    }

    /// The link has carried so many bytes more, both ways, since it was last told of.
    pub fn carried(&mut self, more: u64, now: Instant) {
        self.used = self.used.saturating_add(more);
        if let (Some(begun), Some(heard)) = (self.begun, self.heard) {
            let passed = now.saturating_duration_since(heard);
            if passed.is_zero() {
                return self.decide(now);
            }
            // Over the whole of the time at first, then over the last minutes.
            let seen = now.saturating_duration_since(begun).min(RATE_OVER);
            let weight = (passed.as_secs_f64() / seen.as_secs_f64()).min(1.0);
            self.rate += (more as f64 / passed.as_secs_f64() - self.rate) * weight;
        } else {
            // What was carried before anybody looked says nothing about the rate.
            self.begun = Some(now);
        }
        self.heard = Some(now);
        self.decide(now);
    }

    /// What somebody is to be told, once each.
    pub const fn poll(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// How it stands.
    pub fn figures(&self, now: Instant) -> Figures {
        let known = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) >= RATE_LEAST);
        let forecast = self.show_ends.as_ref().filter(|_| known).map(|end| {
            let left = end.at.saturating_duration_since(now);
            (self.used.saturating_add((self.rate * left.as_secs_f64()) as u64), end.called.clone())
        });
        let rest = self.plan.cap.map_or(0, |cap| cap.saturating_sub(self.used)) as f64;
        let lasts = (known && self.plan.cap.is_some() && self.rate > 1.0)
            .then(|| Duration::try_from_secs_f64(rest / self.rate).unwrap_or(Duration::MAX));
        Figures { plan: self.plan.clone(), used: self.used, forecast, lasts }
    }

    fn decide(&mut self, now: Instant) {
        let allowance = self.allows(now);
        if allowance != self.allowance {
            let before = std::mem::replace(&mut self.allowance, allowance);
            self.notice = Some(Notice { before, allowance, figures: self.figures(now) });
        }
    }

    fn allows(&self, now: Instant) -> Allowance {
        let Some(cap) = self.plan.cap else { return Allowance::Free };
        let figures = self.figures(now);
        let used = u128::from(figures.used) * 100;
        let of_cap = |per_cent: u64| u128::from(cap) * u128::from(per_cent);
        let forecast = figures.forecast.map_or(0, |(bytes, _)| u128::from(bytes) * 100);
        let warned = used >= of_cap(WARN_USED) || forecast > of_cap(100);
        let calm = used < of_cap(CALM_USED) && forecast < of_cap(CALM_FORECAST);
        match self.allowance {
            _ if figures.used >= cap => match self.plan.at_cap {
                AtCap::LastResort => Allowance::Spent,
                AtCap::Bar => Allowance::Barred,
            },
            Allowance::Warned if !calm => Allowance::Warned,
            Allowance::Free | Allowance::Warned | Allowance::Spent | Allowance::Barred if warned => Allowance::Warned,
            Allowance::Free | Allowance::Warned | Allowance::Spent | Allowance::Barred => Allowance::Free,
        }
    }
}

/// As data are sold: `16.2 GB`, `20 GB`, `850 MB`.
pub(in crate::link) struct Bytes(pub(in crate::link) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, called) = match self.0 {
            0..1_000_000_000 => (1_000_000, "MB"),
            1_000_000_000..1_000_000_000_000 => (1_000_000_000, "GB"),
            _ => (1_000_000_000_000, "TB"),
        };
        // Rounded down: what is not used up is never said to be.
        match (self.0 / unit, self.0 % unit * 10 / unit) {
            (whole, 0) => write!(f, "{whole} {called}"),
            (whole, tenths) => write!(f, "{whole}.{tenths} {called}"),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it has carried {}", Bytes(self.used))?;
        let money =
            |bytes: u64| self.plan.price.as_ref().map_or(String::new(), |price| format!(" ({})", price.of(bytes)));
        if let Some(cap) = self.plan.cap {
            write!(f, " of {}", Bytes(cap))?;
        }
        write!(f, "{}", money(self.used))?;
        if let Some((forecast, end)) = &self.forecast {
            write!(f, "; at this rate {}{} by {end}", Bytes(*forecast), money(*forecast))?;
        }
        let is_left = |_: &Duration| self.plan.cap.is_some_and(|cap| self.used < cap);
        match self.lasts.filter(is_left).filter(|lasts| *lasts < LASTS_TOLD) {
            Some(lasts) => write!(f, "; the rest lasts {}", Rough(lasts)),
            None => Ok(()),
        }
    }
}

/// A time to plan by: `40 min`, `3 h 20 min`.
struct Rough(Duration);

impl fmt::Display for Rough {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0..120 => write!(f, "{}", Secs(self.0)),
            seconds @ 120..7200 => write!(f, "{} min", seconds / 60),
            seconds => write!(f, "{} h {} min", seconds / 3600, seconds % 3600 / 60),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = &self.figures;
        match self.allowance {
            Allowance::Free => write!(f, "within its data cap: {figures}"),
            Allowance::Warned if self.before > Allowance::Warned => {
                write!(f, "may be used again, for a while: {figures}")
            }
            Allowance::Warned => write!(f, "its data cap will be reached: {figures}"),
            Allowance::Spent => {
                write!(f, "its data cap is reached, so it is used only if nothing else works: {figures}")
            }
            Allowance::Barred => write!(f, "its data cap is reached, so it is not used any more: {figures}"),
        }
    }
}

#[cfg(test)]
mod tests;
