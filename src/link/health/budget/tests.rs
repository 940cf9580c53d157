//! Counters, caps and forecasts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use super::*;
use crate::model::Price;

const GB: u64 = 1_000_000_000;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn plan(cap: u64, at_cap: AtCap) -> DataPlan {
    DataPlan { cap: Some(cap), at_cap, ..DataPlan::default() }
}

fn end(at: Instant) -> Option<End> {
    Some(End { at, called: "18:30".to_owned() })
}

/// Tells it each second.
fn run(budget: &mut Budget, now: &mut Instant, seconds: u64, rate: u64) -> Vec<Allowance> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        *now += secs(1);
        budget.carried(rate, *now);
        told.extend(budget.poll().map(|notice| notice.allowance));
    }
    told
}

#[test]
fn a_forecast_over_the_cap_warns_long_before_it_is_reached() {
    let mut now = Instant::now();
    let mut budget = Budget::new(plan(5 * GB, AtCap::LastResort), 0, now);
    budget.show_ends(end(now + secs(3 * 3600)), now);
    // 1 MB/s for three hours are 10.8 GB.
    let told = run(&mut budget, &mut now, 60, 1_000_000);
    assert_eq!(told, [Allowance::Warned]);
    let figures = budget.figures(now);
    assert!(figures.used < GB / 10 && figures.forecast.as_ref().unwrap().0 > 10 * GB, "{figures:?}");
    assert_eq!(
        figures.to_string(),
        "it has carried 60 MB of 5 GB; at this rate 10.8 GB by 18:30; the rest lasts 82 min"
    );
    assert_eq!(run(&mut budget, &mut now, 3600, 1_000_000), [], "told once");
    assert_eq!(run(&mut budget, &mut now, 3600, 1_000_000), [Allowance::Spent]);
    assert_eq!(budget.allowance(), Allowance::Spent);
}

#[test]
fn what_suffices_is_not_warned_of() {
    let mut now = Instant::now();
    let mut budget = Budget::new(plan(20 * GB, AtCap::Bar), GB, now);
    budget.show_ends(end(now + secs(3 * 3600)), now);
    assert_eq!(run(&mut budget, &mut now, 3 * 3600, 1_000_000), []);
    assert!(budget.used() > 11 * GB && budget.used() < 12 * GB);
}

#[test]
fn a_burst_does_not_make_it_blink() {
    let mut now = Instant::now();
    let mut budget = Budget::new(plan(12 * GB, AtCap::Bar), 0, now);
    budget.show_ends(end(now + secs(3 * 3600)), now);
    let mut told = Vec::new();
    for _ in 0..60 {
        told.extend(run(&mut budget, &mut now, 50, 900_000));
        told.extend(run(&mut budget, &mut now, 10, 2_000_000));
    }
    assert!(told.len() <= 2, "{told:?}");
}

#[test]
fn the_cap_bars_and_a_new_period_frees() {
    let mut now = Instant::now();
    let mut budget = Budget::new(plan(GB, AtCap::Bar), 0, now);
    let told = run(&mut budget, &mut now, 120, 10_000_000);
    assert_eq!(told, [Allowance::Warned, Allowance::Barred], "without an end there is no forecast, but 80 % used");
    budget.renew(0, now);
    assert_eq!(budget.poll().unwrap().allowance, Allowance::Free);
}

#[test]
fn what_was_carried_before_anybody_looked_is_no_rate() {
    let mut now = Instant::now();
    let mut budget = Budget::new(plan(20 * GB, AtCap::Bar), 0, now);
    budget.show_ends(end(now + secs(3600)), now);
    budget.carried(9 * GB, now);
    assert_eq!(run(&mut budget, &mut now, 600, 100_000), []);
    assert!(budget.figures(now).forecast.unwrap().0 < 10 * GB);
}

#[test]
fn more_that_is_bought_frees_it_and_what_is_used_up_at_the_start_is_known_at_once() {
    let now = Instant::now();
    let mut budget = Budget::new(plan(20 * GB, AtCap::LastResort), 20 * GB, now);
    assert_eq!(budget.allowance(), Allowance::Spent);
    let told = budget.poll().unwrap().to_string();
    let wanted = "its data cap is reached, so it is used only if nothing else works: it has carried 20 GB of 20 GB";
    assert_eq!(told, wanted);
    budget.plan(&plan(24 * GB, AtCap::LastResort), now);
    assert!(budget.poll().unwrap().to_string().starts_with("may be used again, for a while"));
    budget.plan(&plan(40 * GB, AtCap::LastResort), now);
    assert_eq!(budget.poll().unwrap().allowance, Allowance::Free);
}

#[test]
fn without_a_cap_it_is_counted_and_priced_and_that_is_all() {
    let mut now = Instant::now();
    let price = Price { thousandths: 4500, currency: "EUR".to_owned() };
    let mut budget = Budget::new(DataPlan { price: Some(price), ..DataPlan::default() }, 0, now);
    budget.show_ends(end(now + secs(7200)), now);
    assert_eq!(run(&mut budget, &mut now, 3600, 2_000_000), []);
    assert_eq!(
        budget.figures(now).to_string(),
        "it has carried 7.2 GB (32.40 EUR); at this rate 14.4 GB (64.80 EUR) by 18:30"
    );
}
