//! A ledger by hand, and in a world that reboots, crashes, replugs and sets its clock wrongly.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::time::Duration;

use super::*;
use crate::model::{AtCap, Media};

const GB: u64 = 1_000_000_000;
const START: Duration = Duration::from_secs(1);

fn name() -> InterfaceName {
    InterfaceName::new("wwan0").unwrap()
}

fn plan(cap: u64, at_cap: AtCap, period_starts: Option<u8>) -> BTreeMap<InterfaceName, DataPlan> {
    [(name(), DataPlan { cap: Some(cap), at_cap, period_starts, price: None })].into()
}

fn reading(index: u32, bytes: u64) -> BTreeMap<InterfaceName, Reading> {
    [(name(), Reading { index, received: bytes / 3, sent: bytes - bytes / 3, at: Media::ZERO })].into()
}

fn used(ledger: &Ledger, now: Instant) -> u64 {
    ledger.shown(now)[&name()].used
}

fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

#[test]
fn what_was_carried_before_the_plan_is_not_counted_and_a_modem_that_is_plugged_in_is() {
    let now = Instant::now();
    let plans = plan(20 * GB, AtCap::LastResort, None);
    let mut ledger = Ledger::new("boot".into(), Saved::default());
    ledger.plans(&plans, now);
    ledger.read(&reading(3, 7 * GB), now);
    assert_eq!(used(&ledger, now), 0, "since the machine was switched on");
    ledger.read(&reading(3, 8 * GB), now + START);
    assert_eq!(used(&ledger, now), GB);

    let mut ledger = Ledger::new("boot".into(), Saved::default());
    ledger.plans(&plans, now);
    ledger.read(&BTreeMap::new(), now);
    ledger.read(&reading(9, 5000), now + START);
    assert_eq!(used(&ledger, now), 5000, "it was not there before");
}

#[test]
fn allowances_are_there_before_anything_is_read_and_told_once() {
    let now = Instant::now();
    let mut first = Ledger::new("one".into(), Saved::default());
    first.plans(&plan(GB, AtCap::Bar, None), now);
    first.read(&reading(3, 0), now);
    first.read(&reading(3, GB), now + START);
    assert_eq!(*first.news().unwrap(), Allowances::from([(name(), Allowance::Barred)]));
    assert_eq!(first.news(), None, "told once");
    let (link, News::Budget(notice)) = first.poll(now).unwrap() else { panic!("a new month?") };
    assert_eq!((link, notice.allowance), (name(), Allowance::Barred));
    assert_eq!(first.poll(now), None);

    let saved = Saved::parse(&first.to_save().to_json()).unwrap();
    let mut second = Ledger::new("two".into(), saved);
    second.plans(&plan(GB, AtCap::LastResort, None), now);
    assert_eq!(second.news().unwrap()[&name()], Allowance::Spent, "as it is configured now");
    second.plans(&plan(2 * GB, AtCap::LastResort, None), now);
    assert_eq!(second.news().unwrap()[&name()], Allowance::Free, "more was bought");
}

#[test]
fn a_link_without_a_plan_keeps_its_account_for_when_it_has_one_again() {
    let now = Instant::now();
    let mut ledger = Ledger::new("boot".into(), Saved::default());
    let plans = plan(GB, AtCap::Bar, None);
    ledger.plans(&plans, now);
    ledger.read(&reading(3, 0), now);
    ledger.read(&reading(3, 4000), now + START);
    ledger.plans(&BTreeMap::new(), now);
    assert_eq!(*ledger.news().unwrap(), Allowances::new());
    assert!(ledger.shown(now).is_empty());
    ledger.plans(&plans, now);
    ledger.read(&reading(3, 9000), now + 2 * START);
    assert_eq!(used(&ledger, now), 9000, "it carried meanwhile");
}

#[test]
fn a_new_month_frees_the_link_and_tells_how_the_last_one_was() {
    let mut now = Instant::now();
    let mut ledger = Ledger::new("boot".into(), Saved::default());
    ledger.plans(&plan(GB, AtCap::Bar, Some(15)), now);
    let mut bytes = 0;
    let mut told = Vec::new();
    for (today, a_minute) in [("2026-11-14", GB / 16), ("2026-11-15", GB / 64)] {
        for _ in 0..20 {
            ledger.today(day(today), now);
            ledger.read(&reading(3, bytes), now);
            told.extend(std::iter::from_fn(|| ledger.poll(now)).map(|(_, news)| news.to_string()));
            bytes += a_minute;
            now += Duration::from_secs(60);
        }
    }
    let [warned, barred, month] = &told[..] else { panic!("{told:#?}") };
    assert!(warned.starts_with("its data cap will be reached: it has carried 812.5 MB of 1 GB"), "{warned}");
    assert!(barred.starts_with("its data cap is reached, so it is not used any more"), "{barred}");
    assert!(month.starts_with("a new month of its data plan has begun, after 1.1 GB: it has carried"), "{month}");
    assert_eq!(ledger.news().unwrap()[&name()], Allowance::Free);
    assert_eq!(used(&ledger, now), GB / 16 + 19 * (GB / 64), "those since the month began count");
    assert_eq!(ledger.shown(now)[&name()].since.as_deref(), Some("2026-11-15"));
}

#[test]
fn another_first_day_does_not_make_a_new_month() {
    let mut now = Instant::now();
    let mut ledger = Ledger::new("boot".into(), Saved::default());
    ledger.plans(&plan(GB, AtCap::Bar, Some(1)), now);
    ledger.read(&reading(3, 0), now);
    for starts in [1, 15, 20] {
        ledger.plans(&plan(GB, AtCap::Bar, Some(starts)), now);
        for _ in 0..30 {
            ledger.today(day("2026-11-28"), now);
            now += Duration::from_secs(60);
        }
        ledger.read(&reading(3, 1000 * u64::from(starts)), now);
    }
    assert_eq!(used(&ledger, now), 20_000);
}

/// One interface of a machine, and the ledger of a process that comes and goes.
struct World {
    random: fastrand::Rng,
    now: Instant,
    since_boot: Media,
    boot: u32,
    index: u32,
    /// What the interface has carried, in and out, since it was made.
    carried: [u64; 2],
    /// Its counters have so many bits.
    bits: u32,
    /// They began there.
    offset: u64,
    ledger: Option<Ledger>,
    disk: String,
    /// All that was ever carried since the first look.
    truth: u64,
    /// Of that, what nobody can know any more.
    unknowable: u64,
    /// What this interface has carried since the process looked last.
    unread: u64,
    /// What this interface has carried that the disk does not know of.
    unsaved: u64,
    /// What those before it had carried that only the process knows.
    at_risk: u64,
}

impl World {
    fn begin(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let bits = if random.bool() { 32 } else { 64 };
        let offset = if bits == 32 { (1 << 32) - random.u64(0..50_000_000) } else { random.u64(0..GB) };
        let mut world = Self {
            random,
            now: Instant::now(),
            since_boot: Media::from_millis(60_000),
            boot: 1,
            index: 3,
            carried: [0, 0],
            bits,
            offset,
            ledger: None,
            disk: String::new(),
            truth: 0,
            unknowable: 0,
            unread: 0,
            unsaved: 0,
            at_risk: 0,
        };
        world.start();
        world.save();
        world
    }

    fn start(&mut self) {
        let saved = Saved::parse(&self.disk).unwrap_or_default();
        let mut ledger = Ledger::new(format!("boot-{}", self.boot), saved);
        ledger.plans(&plan(u64::MAX, AtCap::Bar, Some(1)), self.now);
        self.ledger = Some(ledger);
        self.look();
    }

    fn counter(&self, way: usize) -> u64 {
        let whole = self.offset + self.carried[way];
        if self.bits == 32 { whole % (1 << 32) } else { whole }
    }

    fn look(&mut self) {
        let reading =
            Reading { index: self.index, received: self.counter(0), sent: self.counter(1), at: self.since_boot };
        // A clock that is anywhere, but never steady for long.
        let today = Day { year: self.random.i16(1970..2100), month: self.random.u8(1..=12), day: 1 };
        if let Some(ledger) = &mut self.ledger {
            ledger.today(today, self.now);
            ledger.read(&[(name(), reading)].into(), self.now);
            self.unread = 0;
        }
    }

    fn save(&mut self) {
        if let Some(ledger) = &self.ledger {
            self.disk = ledger.to_save().to_json();
            (self.unsaved, self.at_risk) = (self.unread, 0);
        }
    }

    fn passes(&mut self) {
        let seconds = self.random.u64(1..=20);
        for way in 0..2 {
            let bytes = self.random.u64(0..seconds * 10_000_000);
            self.carried[way] += bytes;
            for count in [&mut self.truth, &mut self.unread, &mut self.unsaved] {
                *count += bytes;
            }
        }
        self.now += Duration::from_secs(seconds);
        self.since_boot = self.since_boot + Media::from_millis(i64::try_from(seconds * 1000).unwrap());
    }

    /// The interface is another one from here on, which has carried nothing.
    fn renewed(&mut self) {
        if self.ledger.is_some() {
            self.unknowable += self.unread;
            self.at_risk += self.unsaved - self.unread;
        } else {
            self.unknowable += self.unsaved;
        }
        (self.unread, self.unsaved) = (0, 0);
        (self.carried, self.offset) = ([0, 0], 0);
    }

    fn replugged(&mut self) {
        self.renewed();
        self.index += 1;
    }

    fn rebooted(&mut self) {
        self.renewed();
        (self.boot, self.since_boot) = (self.boot + 1, Media::ZERO);
    }

    fn crashes(&mut self) {
        self.ledger = None;
        self.unknowable += std::mem::take(&mut self.at_risk);
        self.unread = self.unsaved;
    }

    fn step(&mut self) {
        self.passes();
        match self.random.u32(0..100) {
            0..60 => self.look(),
            60..75 => self.save(),
            75..80 => self.replugged(),
            80..85 => {
                self.crashes();
                self.passes();
                self.start();
            }
            85..90 => {
                self.crashes();
                self.passes();
                self.replugged();
                self.passes();
                self.start();
            }
            90..95 => {
                // Switched off properly.
                self.look();
                self.save();
                self.crashes();
                self.rebooted();
                self.passes();
                self.start();
            }
            _ => {
                // A power cut.
                self.crashes();
                self.rebooted();
                self.passes();
                self.start();
            }
        }
    }
}

#[test]
fn nothing_counts_twice_and_nothing_is_lost_that_could_be_known() {
    let (mut worst, mut all) = (0.0_f64, 0);
    for seed in 0..300 {
        let mut world = World::begin(seed);
        for _ in 0..200 {
            world.step();
        }
        world.look();
        let counted = used(world.ledger.as_ref().unwrap(), world.now);
        assert_eq!(counted + world.unknowable, world.truth, "seed {seed}, {} bits", world.bits);
        worst = worst.max(world.unknowable as f64 / world.truth as f64);
        all += counted;
    }
    println!("{} GB counted; of the story with most power cuts nobody could know {:.1} %", all / GB, worst * 100.0);
}
