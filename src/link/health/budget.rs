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

/// What becomes of a link whose cap is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtCap {
    /// It is used if nothing else works.
    LastResort,
    /// It is not used, though the stream ends by it.
    Bar,
}

/// What a link may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes in all, both ways.
    pub cap: u64,
    /// What happens then.
    pub at_cap: AtCap,
}

/// Whether a link may carry more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Why somebody is told of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What follows.
    pub allowance: Allowance,
    /// The figures.
    pub figures: Figures,
}

/// The figures of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Bytes allowed.
    pub cap: u64,
    /// Bytes used.
    pub used: u64,
    /// Bytes used at the end of the show if it goes on like this; None if that is not known.
    pub forecast: Option<u64>,
    /// How long the rest lasts if it goes on like this; None if hardly anything is used, or too little is known.
    pub lasts: Option<Duration>,
}

/// The budget of one link.
#[derive(Debug)]
pub struct Budget {
    plan: Plan,
    /// When the show ends, if somebody said so.
    show_ends: Option<Instant>,
    /// Used before this process counted.
    before: u64,
    /// The link's own counter: when it was read first and last.
    counter: Option<u64>,
    counted: u64,
    begun: Option<Instant>,
    read: Option<Instant>,
    /// Bytes per second.
    rate: f64,
    allowance: Allowance,
    notice: Option<Notice>,
}

impl Budget {
    /// A budget of which `used` bytes are gone already.
    pub const fn new(plan: Plan, used: u64, show_ends: Option<Instant>) -> Self {
        Self {
            plan,
            show_ends,
            before: used,
            counter: None,
            counted: 0,
            begun: None,
            read: None,
            rate: 0.0,
            allowance: Allowance::Free,
            notice: None,
        }
    }

    /// Whether the link may carry more.
    pub const fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// Bytes used, to be kept over restarts.
    pub const fn used(&self) -> u64 {
        self.before.saturating_add(self.counted)
    }

    /// The show ends then, or nobody knows when.
    pub fn show_ends(&mut self, at: Option<Instant>, now: Instant) {
        self.show_ends = at;
        self.decide(now);
    }

    /// A new billing period begins.
    pub fn renew(&mut self, now: Instant) {
        (self.before, self.counted) = (0, 0);
        self.decide(now);
    }

    /// The interface's counter of bytes, both ways, stands at `counter`. One that has gone back is that of an interface
    /// that was replugged, and begins at 0.
    pub fn read(&mut self, now: Instant, counter: u64) {
        let (Some(last), Some(read)) = (self.counter, self.read) else {
            (self.counter, self.read, self.begun) = (Some(counter), Some(now), Some(now));
            return self.decide(now);
        };
        let more = counter.checked_sub(last).unwrap_or(counter);
        self.counted = self.counted.saturating_add(more);
        let passed = now.saturating_duration_since(read);
        (self.counter, self.read) = (Some(counter), Some(now));
        if !passed.is_zero() {
            // Over the whole of the time at first, then over the last minutes.
            let seen = self.begun.map_or(passed, |begun| now.saturating_duration_since(begun));
            let weight = (passed.as_secs_f64() / seen.min(RATE_OVER).as_secs_f64()).min(1.0);
            self.rate += (more as f64 / passed.as_secs_f64() - self.rate) * weight;
        }
        self.decide(now);
    }

    /// What somebody is to be told, once each.
    pub fn poll(&mut self) -> Option<Notice> {
        self.notice.take()
    }

    /// How it stands.
    pub fn figures(&self, now: Instant) -> Figures {
        let used = self.used();
        let known = self.begun.is_some_and(|begun| now.saturating_duration_since(begun) >= RATE_LEAST);
        let left = self.show_ends.map(|ends| ends.saturating_duration_since(now));
        let forecast = left.filter(|_| known).map(|left| used.saturating_add((self.rate * left.as_secs_f64()) as u64));
        let rest = self.plan.cap.saturating_sub(used) as f64;
        let lasts =
            (known && self.rate > 1.0).then(|| Duration::try_from_secs_f64(rest / self.rate).unwrap_or(Duration::MAX));
        Figures { cap: self.plan.cap, used, forecast, lasts }
    }

    fn decide(&mut self, now: Instant) {
        let figures = self.figures(now);
        let used = u128::from(figures.used) * 100;
        let of_cap = |per_cent: u64| u128::from(self.plan.cap) * u128::from(per_cent);
        let forecast = figures.forecast.map_or(0, |bytes| u128::from(bytes) * 100);
        let warned = used >= of_cap(WARN_USED) || forecast > of_cap(100);
        let calm = used < of_cap(CALM_USED) && forecast < of_cap(CALM_FORECAST);
        let allowance = match self.allowance {
            _ if figures.used >= self.plan.cap => match self.plan.at_cap {
                AtCap::LastResort => Allowance::Spent,
                AtCap::Bar => Allowance::Barred,
            },
            Allowance::Warned if !calm => Allowance::Warned,
            Allowance::Free | Allowance::Warned | Allowance::Spent | Allowance::Barred => {
                if warned {
                    Allowance::Warned
                } else {
                    Allowance::Free
                }
            }
        };
        if allowance != self.allowance {
            self.allowance = allowance;
            self.notice = Some(Notice { allowance, figures });
        }
    }
}

struct Bytes(u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes @ 0..1_000_000_000 => write!(f, "{} MB", bytes / 1_000_000),
            bytes => write!(f, "{:.1} GB", bytes as f64 / 1e9),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} used", Bytes(self.used), Bytes(self.cap))?;
        if let Some(lasts) = self.lasts.filter(|_| self.used < self.cap) {
            write!(f, ", the rest lasts {}", Secs(lasts))?;
        }
        match self.forecast {
            Some(forecast) => write!(f, ", {} at the end of the show", Bytes(forecast)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.allowance {
            Allowance::Free => "within its budget",
            Allowance::Warned => "its budget will not last",
            Allowance::Spent => "its budget is spent, so it is used only if nothing else works",
            Allowance::Barred => "its budget is spent, so it is not used any more",
        };
        write!(f, "{what}: {}", self.figures)
    }
}

#[cfg(test)]
mod tests;
