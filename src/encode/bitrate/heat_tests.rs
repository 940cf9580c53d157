//! Pure. Machines that become warm, in virtual time.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use super::ceiling::LEAST_PERMILLE;
use super::heat::{Heat, Pressure, ZoneLimit};
use crate::config::profile::Glob;
use crate::events::{MachineSnapshot, ProcessorSnapshot, Severity, ZoneSnapshot};

fn zone(name: &str, celsius: f64, throttles_at: Option<f64>) -> ZoneSnapshot {
    ZoneSnapshot { name: name.to_owned(), celsius, throttles_at }
}

fn at_celsius(celsius: f64) -> MachineSnapshot {
    MachineSnapshot { zones: vec![zone("cpu-thermal", celsius, Some(80.0))], ..MachineSnapshot::default() }
}

/// A Raspberry Pi's limits: near from 75 °C on, slowed down from 80.
fn pi() -> Heat {
    Heat::new(vec![ZoneLimit { zone: Glob::new("cpu-*").unwrap(), near: 75.0, slows: 80.0 }])
}

/// A look every five seconds, as telemetry has them.
struct Story {
    heat: Heat,
    start: Instant,
    second: u64,
    told: Vec<(u64, Severity, String)>,
}

impl Story {
    fn new(heat: Heat) -> Self {
        Self { heat, start: crate::clock::now(), second: 0, told: Vec::new() }
    }

    fn look(&mut self, machine: &MachineSnapshot, pressure: Pressure) {
        self.second += 5;
        let now = self.start + Duration::from_secs(self.second);
        for notice in self.heat.see(machine, pressure, now) {
            println!("    {} s: {:?} {} {:?}", self.second, notice.severity, notice.reason, notice.evidence);
            self.told.push((self.second, notice.severity, notice.reason));
        }
    }

    fn keep(&mut self, seconds: u64, celsius: f64) {
        for _ in 0..seconds / 5 {
            self.look(&at_celsius(celsius), Pressure::None);
        }
    }

    fn left(&self) -> u32 {
        self.heat.ceiling().map_or(1000, |ceiling| ceiling.permille)
    }

    fn told_at(&self) -> Vec<u64> {
        self.told.iter().map(|(second, ..)| *second).collect()
    }
}

#[test]
fn on_a_ramp_people_are_told_first_then_steps_are_taken_and_all_of_it_before_the_machine_slows_down() {
    let mut story = Story::new(pi());
    let (mut told_at, mut lowered_at) = (None, None);
    for look in 0..100 {
        // A tenth of a degree a second.
        let celsius = 60.0 + f64::from(look) * 0.5;
        if celsius >= 80.0 {
            break;
        }
        story.look(&at_celsius(celsius), Pressure::None);
        let told = (!story.told.is_empty()).then_some(celsius);
        told_at = told_at.or(told);
        lowered_at = lowered_at.or((story.left() < 1000).then_some(celsius));
    }
    println!("told at {told_at:?} °C, lowered at {lowered_at:?} °C, {} ‰ left at 80 °C", story.left());
    assert_eq!((told_at, lowered_at), (Some(75.0), Some(76.0)));
    assert_eq!(story.left(), 800, "30 s from there to the limit: two steps");
    assert!(story.told[0].2.contains("cpu-thermal has 75 °C and slows the machine down from 80: if that lasts"));
    assert!(story.told[1].2.contains("lowered to 90 %"), "{:?}", story.told[1]);
    assert!(story.heat.ceiling().unwrap().because.contains("cpu-thermal has"));
}

#[test]
fn it_is_given_back_step_by_step_when_it_was_cool_for_a_minute_each() {
    let mut story = Story::new(pi());
    story.keep(60, 77.0);
    assert_eq!(story.left(), 700, "after 10, 30 and 50 s");
    story.keep(300, 72.0);
    assert_eq!(story.left(), 700, "not warm, and not cool enough to prove anything");
    story.told.clear();
    story.keep(60, 69.0);
    assert_eq!(story.left(), 700);
    story.keep(5, 69.0);
    assert_eq!(story.left(), 800);
    story.keep(120, 69.0);
    assert_eq!((story.left(), story.heat.ceiling()), (1000, None));
    let severities: Vec<_> = story.told.iter().map(|(_, severity, _)| *severity).collect();
    assert_eq!(severities, [Severity::Info; 3]);
    assert!(story.told[2].2.contains("all that was configured"));
    story.told.clear();
    story.keep(3600, 69.0);
    assert_eq!(story.told, [], "nothing more to tell");
}

#[test]
fn the_data_plane_hears_of_it_with_each_look_and_once_that_it_is_over() {
    let mut story = Story::new(pi());
    let mut said = Vec::new();
    for (looks, celsius) in [(2, 60.0), (4, 77.0), (15, 60.0), (20, 60.0)] {
        for _ in 0..looks {
            story.look(&at_celsius(celsius), Pressure::None);
            said.push(story.heat.to_say().map(|ceiling| ceiling.permille));
        }
    }
    let told: Vec<u32> = said.iter().flatten().copied().collect();
    let (over, ceilings) = told.split_last().unwrap();
    assert_eq!((*over, said.last()), (1000, Some(&None)), "{said:?}");
    assert!(ceilings.iter().all(|permille| *permille == 900) && said[..4].iter().all(Option::is_none), "{said:?}");
    let without_a_gap = said[4..].iter().take_while(|said| said.is_some()).count();
    assert_eq!((ceilings.len(), without_a_gap), (14, 15), "no look without it: {said:?}");
}

/// Each time it is given back it becomes warm again: the next time it waits twice as long, up to a quarter of an hour.
#[test]
fn what_was_given_back_too_early_is_given_back_later_the_next_time() {
    let mut story = Story::new(pi());
    let mut waits = Vec::new();
    for _ in 0..7 {
        while story.left() == 1000 {
            story.keep(5, 77.0);
        }
        let (taken, since) = (story.left(), story.second);
        while story.left() == taken {
            story.keep(5, 65.0);
        }
        waits.push(story.second - since - 5);
    }
    assert_eq!(waits, [60, 120, 240, 480, 960, 960, 960]);
    // One that lasts is another matter.
    story.keep(600, 65.0);
    story.keep(15, 77.0);
    let since = story.second;
    while story.left() < 1000 {
        story.keep(5, 65.0);
    }
    assert_eq!(story.second - since - 5, 60);
}

#[test]
fn while_it_falls_nothing_more_is_taken_and_half_is_left_whatever_happens() {
    let mut story = Story::new(pi());
    for look in 0..9 {
        story.look(&at_celsius(79.5 - f64::from(look) * 0.5), Pressure::None);
    }
    assert_eq!(
        (story.left(), story.told.len()),
        (1000, 1),
        "by a degree in ten seconds: it was told, and that is enough"
    );
    story.look(&at_celsius(81.0), Pressure::None);
    assert_eq!(story.left(), 800, "where the profile says that it slows down, whatever the kernel says");
    story.keep(3600, 79.0);
    assert_eq!(story.left(), LEAST_PERMILLE);
    assert!(story.told.last().unwrap().2.contains("they go no lower"));
    assert_eq!(story.told.len(), 5, "{:?}", story.told_at());
}

#[test]
fn what_is_slowed_down_loses_two_tenths_at_once_and_only_what_is_slowed_anew_again() {
    let mut story = Story::new(pi());
    let processor = Some(ProcessorSnapshot { allowed_mhz: 1000, most_mhz: 1800 });
    let throttled = vec!["the firmware slows the processor down".to_owned()];
    let slowed = MachineSnapshot { throttled, processor, ..at_celsius(60.0) };
    story.look(&at_celsius(60.0), Pressure::None);
    story.look(&slowed, Pressure::None);
    assert_eq!((story.left(), story.told_at().len()), (800, 1));
    assert!(story.told[0].2.starts_with("the firmware slows the processor down: bit rates are lowered to 80 %"));
    story.look(&slowed, Pressure::None);
    assert_eq!(story.left(), 800);
    // One that counts, as Intel's do, without a word.
    let mut story = Story::new(Heat::new(Vec::new()));
    let counts = |n| MachineSnapshot { throttle_count: Some(n), ..MachineSnapshot::default() };
    for n in [7, 7, 7, 9] {
        story.look(&counts(n), Pressure::None);
    }
    assert_eq!((story.left(), story.told_at()), (800, vec![20]));
}

#[test]
fn an_encoder_that_falls_behind_hastens_what_heat_takes_and_takes_nothing_in_a_cool_machine() {
    let mut story = Story::new(pi());
    for _ in 0..20 {
        story.look(&at_celsius(60.0), Pressure::Behind);
    }
    assert_eq!((story.left(), story.told.len()), (1000, 0));
    for _ in 0..4 {
        story.look(&at_celsius(76.0), Pressure::Behind);
    }
    assert_eq!(story.left(), 700, "in 20 s instead of 60");
}

#[test]
fn a_thermometer_that_nobody_knows_a_limit_of_is_not_judged() {
    let mut story = Story::new(pi());
    let zones = vec![zone("nvme", 95.0, None), zone("acpitz", 91.0, Some(100.0)), zone("cpu-thermal", 50.0, None)];
    let machine = MachineSnapshot { zones, ..MachineSnapshot::default() };
    for _ in 0..20 {
        story.look(&machine, Pressure::None);
    }
    assert_eq!(story.told, []);
    let zones = vec![zone("acpitz", 95.5, Some(100.0)), zone("cpu-thermal", 50.0, Some(40.0))];
    story.look(&MachineSnapshot { zones, ..MachineSnapshot::default() }, Pressure::None);
    assert!(story.told[0].2.starts_with("acpitz has 96 °C and slows the machine down from 100"), "{:?}", story.told);
}

/// A box in a closed case: what it makes warms it, and a heat sink takes a minute to show it.
#[test]
fn in_a_warm_place_it_settles_and_does_not_swing_for_hours() {
    for (seed, ambient) in (0u64..).zip([40.0, 46.0, 50.0, 52.0, 54.0, 56.0, 60.0]) {
        let (mut story, mut random, mut celsius) = (Story::new(pi()), fastrand::Rng::with_seed(seed), ambient);
        let (mut ways, mut left, mut hottest): (Vec<(u64, u32)>, u32, f64) = (Vec::new(), 1000, 0.0);
        for _ in 0..4 * 720 {
            let heats_by = 14.0 + 16.0 * f64::from(story.left()) / 1000.0;
            celsius += (ambient + heats_by - celsius) * 5.0 / 60.0;
            story.look(&at_celsius(celsius + random.f64() * 1.5 - 0.75), Pressure::None);
            if story.left() != left {
                left = story.left();
                ways.push((story.second, left));
            }
            hottest = hottest.max(celsius);
        }
        println!("{ambient} °C around it: {hottest:.1} °C at most, {left} ‰ left, {} changes in 4 h", ways.len());
        if ambient + 30.0 < 74.0 {
            assert_eq!(ways, [], "{ambient}");
        }
        // A change lasts the longer the more often it was wrong.
        assert!(ways.len() <= 60, "{ambient}: {ways:?}");
        let late = ways.iter().filter(|(second, _)| *second > 3 * 3600).count();
        assert!(late <= 12, "{ambient}: {late} in the last hour");
        if ambient + 14.0 + 8.0 < 75.0 {
            assert!(hottest < 80.0, "{ambient}: what half the bits can do is done in time, {hottest}");
        }
    }
}
