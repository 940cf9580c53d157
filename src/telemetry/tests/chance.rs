//! Readings by chance, from a seed: whatever the sources say, hints are justified and expire, and people hear little.

use std::collections::BTreeMap;

use super::*;
use crate::events::{BearerSnapshot, BearerState, OutageSnapshot, SupplyState};

/// One hour each.
const SEEDS: u64 = 40;
const SECONDS: u64 = 3600;
/// What is told of one thing in an hour at most: a trouble of each kind can begin and end once in its time to end. The
/// shortest, a connection's, is 10 s.
const MOST_TOLD: usize = 2 * 3600 / 10;

struct World {
    rng: fastrand::Rng,
    modem: ModemSnapshot,
    figures: DishFigures,
    dish_there: bool,
    manager_there: bool,
    machine: MachineSnapshot,
}

impl World {
    fn new(seed: u64) -> Self {
        let machine = machine(60.0, 20_000_000_000);
        let rng = fastrand::Rng::with_seed(seed);
        Self { rng, modem: modem(), figures: well(), dish_there: true, manager_there: true, machine }
    }

    /// Something changes, most likely for seconds only.
    fn step(&mut self) {
        let rng = &mut self.rng;
        let technologies = [Technology::Umts, Technology::Lte, Technology::FiveGBesideLte, Technology::FiveG];
        let networks = [Registration::Home, Registration::Home, Registration::Roaming, Registration::Searching];
        match rng.u32(..24) {
            0 => self.modem.technology = rng.bool().then(|| technologies[rng.usize(..4)]),
            1 => self.modem.registration = networks[rng.usize(..4)],
            2 | 3 => self.modem.lte = rng.bool().then(|| cell(-120.0 + rng.f64() * 20.0, -6.0 + rng.f64() * 20.0)),
            4 => self.modem.nr = rng.bool().then(|| cell(-120.0 + rng.f64() * 20.0, -6.0 + rng.f64() * 20.0)),
            5 => {
                let state = [BearerState::Up, BearerState::Down, BearerState::Suspended][rng.usize(..3)];
                let error = (state == BearerState::Down && rng.bool()).then(|| "unknown APN".to_owned());
                self.modem.bearers = vec![BearerSnapshot { interface: Some("wwan0".into()), state, error }];
            }
            6 => self.manager_there = rng.u32(..4) != 0,
            7 | 8 => self.figures.obstructed_now = rng.u32(..3) == 0,
            9 => {
                let cause = "it receives nothing".to_owned();
                self.figures.outage = (rng.u32(..3) == 0).then_some(OutageSnapshot { cause, for_ms: 1 });
            }
            10 => self.dish_there = rng.u32(..4) != 0,
            11 => self.machine.zones[0].celsius = 70.0 + rng.f64() * 20.0,
            12 => self.machine.disks[0].free_bytes = rng.u64(4_000_000_000..6_500_000_000),
            13 => self.machine.supply = if rng.bool() { SupplyState::Enough } else { SupplyState::TooLow },
            _ => {}
        }
    }

    fn readings(&self) -> [Reading; 3] {
        let modems = if self.manager_there { modems(self.modem.clone()) } else { Reading::Modems(Err("gone".into())) };
        let dish = if self.dish_there { dish(self.figures.clone()) } else { no_dish() };
        [modems, dish, Reading::Machine(self.machine.clone())]
    }

    /// Whether anything said now makes trouble likely on this link.
    fn is_trouble(&self, link: &str) -> bool {
        if link == "eth1" {
            return self.figures.obstructed_now || self.figures.outage.is_some();
        }
        let suspended = self.modem.bearers.iter().any(|bearer| bearer.state == BearerState::Suspended);
        let weak = |cell: RadioSnapshot| {
            cell.rsrp_dbm.is_some_and(|dbm| dbm < -107.0) || cell.snr_db.is_some_and(|db| db < 0.0)
        };
        suspended || !self.modem.is_registered() || self.modem.leading_cell().is_some_and(weak)
    }
}

/// Everything that was said, in words.
fn run(seed: u64) -> String {
    let (mut world, mut story) = (World::new(seed), Story::new());
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let mut digest = String::new();
    let mut standing: BTreeMap<String, bool> = BTreeMap::new();
    for _ in 0..SECONDS {
        world.step();
        for reading in world.readings() {
            story.tell(reading);
        }
        for (second, link, hint) in std::mem::take(&mut story.hints) {
            let is_trouble = matches!(hint, Hint::Trouble { .. });
            if is_trouble {
                assert!(world.is_trouble(&link), "seed {seed}, second {second}: a hint of {link} for nothing");
            } else {
                assert_eq!(standing.get(&link), Some(&true), "seed {seed}, second {second}: {link} is cleared twice");
            }
            standing.insert(link, is_trouble);
        }
        for (second, severity, subject, reason) in std::mem::take(&mut story.news) {
            assert!(!reason.is_empty() && severity < Severity::Alert, "seed {seed}: {subject} {reason}");
            let beginning: String = reason.split_whitespace().take(3).collect::<Vec<_>>().join(" ");
            *told.entry(format!("{subject}: {beginning}")).or_default() += 1;
            digest += &format!("{second} {severity:?} {subject} {reason}\n");
        }
        story.second += 1;
    }
    let (most, often) = told.iter().max_by_key(|(_, often)| **often).unwrap();
    assert!(*often <= MOST_TOLD, "seed {seed}: {most:?} was told {often} times in an hour");
    let wanted = world.manager_there.then_some(&world.modem);
    assert_eq!(story.observer.snapshot().modems.first(), wanted, "seed {seed}: the snapshot is what was said last");
    digest
}

#[test]
fn whatever_is_read_hints_are_justified_and_people_hear_little() {
    let mut lines = 0;
    for seed in 0..SEEDS {
        let said = run(seed);
        lines += said.lines().count();
        assert_eq!(said, run(seed), "seed {seed}: the same readings give the same news");
    }
    println!("{SEEDS} hours in which something changes every other second: {} lines an hour", lines as u64 / SEEDS);
}
