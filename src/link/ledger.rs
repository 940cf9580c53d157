//! Pure. What each link has carried, out of what its operator has bought for it.
//!
//! ```text
//!   counters ──Reading──► meter ──bytes──┐
//!   clock on the wall ──Day──► period ───┼─► Budget (one per link) ──► Allowances, News, BudgetSnapshot
//!   settings ──DataPlan──────────────────┘        │
//!                                            Saved, over restarts
//! ```
//!
//! *Invariant:* what a link has carried counts once: not again after a restart, and not only from there on. What is lost is
//! what it carried between the last save and a power cut.

mod meter;
mod period;
mod saved;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::health::budget::{Allowance, Budget, End, Figures, Notice};
use crate::events::{BudgetSnapshot, BudgetState};
use crate::model::{DataPlan, Day, InterfaceName};
use period::Period;
use saved::SavedAccount;

pub(super) use meter::Reading;
pub use saved::{Saved, SavedError};

/// What each link that has a plan may carry.
pub type Allowances = BTreeMap<InterfaceName, Allowance>;

/// What somebody is to be told of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It may carry more, or less.
    Budget(Notice),
    /// A month begins anew, after so many bytes; these are the figures of the one that begins.
    NewPeriod {
        /// Bytes.
        before: u64,
        /// The figures.
        figures: Figures,
    },
}

/// The accounts. Tell it what is known with the other methods, ask with [`Self::poll`] until there is nothing more.
#[derive(Debug)]
pub struct Ledger {
    accounts: BTreeMap<InterfaceName, Account>,
    /// Those of links that have no plan now.
    closed: BTreeMap<InterfaceName, SavedAccount>,
    /// Which boot of the machine this is.
    boot: String,
    end: Option<End>,
    told: Option<Arc<Allowances>>,
}

#[derive(Debug)]
struct Account {
    budget: Budget,
    met: Met,
    period: Option<Period>,
    /// A month began, after so many bytes, and nobody was told.
    renewed_after: Option<u64>,
}

/// Whether there was anything to read.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Met {
    /// Nobody has looked.
    Never,
    /// There was no such interface: all that it carries when it is there is new.
    Absent,
    /// In that boot of the machine.
    Read(String, Reading),
}

impl Ledger {
    /// With what is remembered of earlier runs. `boot` tells one boot of the machine from another.
    pub fn new(boot: String, saved: Saved) -> Self {
        Self { accounts: BTreeMap::new(), closed: saved.links, boot, end: None, told: None }
    }

    /// Exactly these links have a plan from here on.
    pub fn plans(&mut self, plans: &BTreeMap<InterfaceName, DataPlan>, now: Instant) {
        for (name, account) in self.accounts.extract_if(.., |name, _| !plans.contains_key(name)) {
            self.closed.insert(name, account.to_save());
        }
        for (name, plan) in plans {
            let account = self.accounts.entry(name.clone()).or_insert_with(|| {
                let saved = self.closed.remove(name);
                Account::open(plan, saved, self.end.clone(), now)
            });
            account.plan(plan, now);
        }
    }

    /// Which links are to be looked at.
    pub fn links(&self) -> impl Iterator<Item = &InterfaceName> {
        self.accounts.keys()
    }

    /// The clock on the wall shows this day.
    pub fn today(&mut self, today: Day, now: Instant) {
        for account in self.accounts.values_mut() {
            let used = account.budget.used();
            if let Some(left) = account.period.as_mut().and_then(|period| period.today(today, used, now)) {
                account.renewed_after = Some(used - left.min(used));
                account.budget.renew(left, now);
                if account.budget.allowance() == Allowance::Free {
                    // The new month says as much.
                    account.budget.poll();
                }
            }
        }
    }

    /// The show ends then, or nobody knows when.
    pub fn show_ends(&mut self, end: Option<&End>, now: Instant) {
        self.end = end.cloned();
        for account in self.accounts.values_mut() {
            account.budget.show_ends(end.cloned(), now);
        }
    }

    /// What the counters of all interfaces say that are there.
    pub(super) fn read(&mut self, there: &BTreeMap<InterfaceName, Reading>, now: Instant) {
        for (name, account) in &mut self.accounts {
            match there.get(name) {
                Some(reading) => account.read(&self.boot, *reading, now),
                None if account.met == Met::Never => account.met = Met::Absent,
                None => {}
            }
        }
    }

    /// What somebody is to be told, once each.
    pub fn poll(&mut self, now: Instant) -> Option<(InterfaceName, News)> {
        self.accounts.iter_mut().find_map(|(name, account)| {
            let renewed = account.renewed_after.take();
            if let Some(before) = renewed {
                return Some((name.clone(), News::NewPeriod { before, figures: account.budget.figures(now) }));
            }
            Some((name.clone(), News::Budget(account.budget.poll()?)))
        })
    }

    /// What all may carry, if anybody has to hear of it.
    pub fn news(&mut self) -> Option<Arc<Allowances>> {
        let allowances: Allowances =
            self.accounts.iter().map(|(name, a)| (name.clone(), a.budget.allowance())).collect();
        if self.told.as_ref().is_some_and(|told| **told == allowances) {
            return None;
        }
        let allowances = Arc::new(allowances);
        self.told = Some(allowances.clone());
        Some(allowances)
    }

    /// For people.
    pub fn shown(&self, now: Instant) -> BTreeMap<InterfaceName, BudgetSnapshot> {
        self.accounts.iter().map(|(name, account)| (name.clone(), account.shown(now))).collect()
    }

    /// What is to be remembered.
    pub fn to_save(&self) -> Saved {
        let open = self.accounts.iter().map(|(name, account)| (name.clone(), account.to_save()));
        Saved { links: open.chain(self.closed.clone()).collect() }
    }
}

impl Account {
    fn open(plan: &DataPlan, saved: Option<SavedAccount>, end: Option<End>, now: Instant) -> Self {
        let SavedAccount { used, read, period } = saved.unwrap_or(SavedAccount { used: 0, read: None, period: None });
        let met = read.map_or(Met::Never, |(boot, reading)| Met::Read(boot, reading));
        let mut budget = Budget::new(plan.clone(), used, now);
        budget.show_ends(end, now);
        Self { budget, met, period, renewed_after: None }
    }

    fn plan(&mut self, plan: &DataPlan, now: Instant) {
        self.budget.plan(plan, now);
        let is_same = |period: &Period| plan.period_starts == Some(period.starts);
        if !self.period.as_ref().is_some_and(is_same) {
            // Nobody knows what was used since another day: it counts on.
            self.period = plan.period_starts.map(|starts| Period::new(starts, None, None));
        }
    }

    fn read(&mut self, boot: &str, reading: Reading, now: Instant) {
        let more = match &self.met {
            Met::Never => 0,
            Met::Absent => reading.all(),
            Met::Read(then, earlier) if then == boot => reading.since(earlier),
            Met::Read(..) => reading.all(),
        };
        self.met = Met::Read(boot.to_owned(), reading);
        self.budget.carried(more, now);
    }

    fn to_save(&self) -> SavedAccount {
        let read = match &self.met {
            Met::Read(boot, reading) => Some((boot.clone(), *reading)),
            Met::Never | Met::Absent => None,
        };
        SavedAccount { used: self.budget.used(), read, period: self.period.clone() }
    }

    fn shown(&self, now: Instant) -> BudgetSnapshot {
        let figures = self.budget.figures(now);
        BudgetSnapshot {
            state: match self.budget.allowance() {
                Allowance::Free => BudgetState::Free,
                Allowance::Warned => BudgetState::Warned,
                Allowance::Spent => BudgetState::Spent,
                Allowance::Barred => BudgetState::Barred,
            },
            words: figures.to_string(),
            used: figures.used,
            cap: figures.plan.cap,
            forecast: figures.forecast.map(|(bytes, _)| bytes),
            since: self.period.as_ref().and_then(|period| period.begun).map(|day| day.to_string()),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget(notice) => write!(f, "{notice}"),
            Self::NewPeriod { before, figures } => {
                let before = super::health::budget::Bytes(*before);
                write!(f, "a new month of its data plan has begun, after {before}: {figures}")
            }
        }
    }
}

#[cfg(test)]
mod tests;
