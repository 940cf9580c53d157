//! Counters, caps and forecasts.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use super::*;

const GB: u64 = 1_000_000_000;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Reads the counter each second.
fn run(budget: &mut Budget, now: &mut Instant, counter: &mut u64, seconds: u64, rate: u64) -> Vec<Allowance> {
    let mut told = Vec::new();
    for _ in 0..seconds {
        *now += secs(1);
        *counter += rate;
        budget.read(*now, *counter);
        told.extend(budget.poll().map(|notice| notice.allowance));
    }
    told
}

#[test]
fn a_forecast_over_the_cap_warns_long_before_it_is_reached() {
    let (mut now, mut counter) = (Instant::now(), 0);
    let plan = Plan { cap: 5 * GB, at_cap: AtCap::LastResort };
    let mut budget = Budget::new(plan, 0, Some(now + secs(3 * 3600)));
    // 1 MB/s for three hours are 10.8 GB.
    let told = run(&mut budget, &mut now, &mut counter, 60, 1_000_000);
    assert_eq!(told, [Allowance::Warned]);
    let figures = budget.figures(now);
    assert!(figures.used < GB / 10 && figures.forecast.unwrap() > 10 * GB, "{figures:?}");
    assert!(figures.to_string().contains("at the end of the show"), "{figures}");
    assert_eq!(run(&mut budget, &mut now, &mut counter, 3600, 1_000_000), [], "told once");
    assert_eq!(run(&mut budget, &mut now, &mut counter, 3600, 1_000_000), [Allowance::Spent]);
    assert_eq!(budget.allowance(), Allowance::Spent);
}

#[test]
fn what_suffices_is_not_warned_of() {
    let (mut now, mut counter) = (Instant::now(), 7 * GB);
    let plan = Plan { cap: 20 * GB, at_cap: AtCap::Bar };
    let mut budget = Budget::new(plan, GB, Some(now + secs(3 * 3600)));
    assert_eq!(run(&mut budget, &mut now, &mut counter, 3 * 3600, 1_000_000), []);
    assert!(budget.used() > 11 * GB && budget.used() < 12 * GB);
}

#[test]
fn a_burst_does_not_make_it_blink() {
    let (mut now, mut counter) = (Instant::now(), 0);
    let plan = Plan { cap: 12 * GB, at_cap: AtCap::Bar };
    let mut budget = Budget::new(plan, 0, Some(now + secs(3 * 3600)));
    let mut told = Vec::new();
    for _ in 0..60 {
        told.extend(run(&mut budget, &mut now, &mut counter, 50, 900_000));
        told.extend(run(&mut budget, &mut now, &mut counter, 10, 2_000_000));
    }
    assert!(told.len() <= 2, "{told:?}");
}

#[test]
fn the_cap_bars_and_a_new_period_frees() {
    let (mut now, mut counter) = (Instant::now(), 0);
    let mut budget = Budget::new(Plan { cap: GB, at_cap: AtCap::Bar }, 0, None);
    let told = run(&mut budget, &mut now, &mut counter, 120, 10_000_000);
    assert_eq!(told, [Allowance::Warned, Allowance::Barred], "without an end there is no forecast, but 80 % used");
    budget.renew(now);
    assert_eq!(budget.poll().unwrap().allowance, Allowance::Free);
}

#[test]
fn a_counter_that_begins_anew_is_not_counted_back() {
    let mut now = Instant::now();
    let mut budget = Budget::new(Plan { cap: GB, at_cap: AtCap::Bar }, 0, None);
    for counter in [5000, 6000, 200, 300] {
        now += secs(1);
        budget.read(now, counter);
    }
    assert_eq!(budget.used(), 1000 + 200 + 100);
}
