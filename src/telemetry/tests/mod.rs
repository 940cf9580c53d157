//! What telemetry says of whole stories, in virtual time.
#![allow(clippy::unwrap_used, clippy::panic)]

mod chance;
mod stories;

use std::time::{Duration, Instant};

use super::{DishId, Limits, Observer, Output, Reading};
use crate::events::{
    DishFigures, DishState, DiskSnapshot, MachineSnapshot, ModemSnapshot, ModemState, RadioSnapshot, Registration,
    Severity, SimState, Technology, ZoneSnapshot,
};
use crate::link::health::{HINT_MOST, Hint};

const LIMITS: Limits = Limits { hot_celsius: 85.0, disk_low_bytes: 5_000_000_000 };

/// One observer and what it said, by the second.
struct Story {
    observer: Observer,
    start: Instant,
    second: u64,
    news: Vec<(u64, Severity, String, String)>,
    hints: Vec<(u64, String, Hint)>,
}

impl Story {
    fn new() -> Self {
        let start = crate::clock::now();
        Self { observer: Observer::new(LIMITS), start, second: 0, news: Vec::new(), hints: Vec::new() }
    }

    fn now(&self) -> Instant {
        self.start + Duration::from_secs(self.second)
    }

    fn tell(&mut self, reading: Reading) {
        self.observer.observe(reading, self.now());
        while let Some(output) = self.observer.poll() {
            match output {
                Output::News(news) => self.news.push((self.second, news.severity, news.subject, news.reason)),
                Output::Hint(hint) => {
                    if let Hint::Trouble { until } = hint.hint {
                        assert_eq!(until, self.now() + HINT_MOST);
                    }
                    self.hints.push((self.second, hint.link, hint.hint));
                }
            }
        }
    }

    /// The same reading every second, for so long.
    fn keep(&mut self, seconds: u64, reading: &Reading) {
        for _ in 0..seconds {
            self.tell(reading.clone());
            self.second += 1;
        }
    }

    /// The news since the last time: second, how much it matters, how it begins.
    fn take_news(&mut self) -> Vec<(u64, Severity, String)> {
        std::mem::take(&mut self.news)
            .into_iter()
            .map(|(second, severity, _, reason)| (second, severity, reason))
            .collect()
    }

    /// The hints since the last time, a letter a second: `T`rouble, `c`lear, or nothing.
    fn take_hints(&mut self) -> Vec<(u64, char)> {
        let letter = |hint| if hint == Hint::Clear { 'c' } else { 'T' };
        std::mem::take(&mut self.hints).into_iter().map(|(second, _, hint)| (second, letter(hint))).collect()
    }
}

#[track_caller]
fn assert_said(said: &[(u64, Severity, String)], wanted: &[(u64, Severity, &str)]) {
    let same = said.len() == wanted.len()
        && said.iter().zip(wanted).all(|((s, severity, text), (ws, wseverity, beginning))| {
            (s, severity) == (ws, wseverity) && text.starts_with(beginning)
        });
    assert!(same, "said:\n{said:#?}\nwanted:\n{wanted:#?}");
}

fn modem() -> ModemSnapshot {
    ModemSnapshot {
        id: "m1".into(),
        model: "Quectel RM520N-GL".into(),
        interface: Some("wwan0".into()),
        state: ModemState::Connected,
        sim: SimState::Ready,
        registration: Registration::Home,
        operator: Some("Telekom".into()),
        technology: Some(Technology::FiveGBesideLte),
        quality_percent: Some(80),
        lte: Some(cell(-90.0, 12.0)),
        nr: Some(cell(-88.0, 15.0)),
        bearers: Vec::new(),
    }
}

fn cell(rsrp: f64, snr: f64) -> RadioSnapshot {
    RadioSnapshot { rsrp_dbm: Some(rsrp), rsrq_db: Some(-11.0), snr_db: Some(snr) }
}

fn modems(modem: ModemSnapshot) -> Reading {
    Reading::Modems(Ok(vec![modem]))
}

fn dish_id() -> DishId {
    DishId { address: super::dish::USUAL, interface: Some("eth1".into()) }
}

fn well() -> DishFigures {
    DishFigures { latency_ms: Some(34.0), obstructed_fraction: 0.003, ..DishFigures::default() }
}

fn dish(figures: DishFigures) -> Reading {
    Reading::Dish(dish_id(), DishState::Answers(figures))
}

fn no_dish() -> Reading {
    Reading::Dish(dish_id(), DishState::Silent { because: "no route to host".into() })
}

fn machine(celsius: f64, free_bytes: u64) -> MachineSnapshot {
    MachineSnapshot {
        zones: vec![ZoneSnapshot { name: "cpu-thermal".into(), celsius, throttles_at: None }],
        disks: vec![DiskSnapshot { directory: "/data".into(), free_bytes, total_bytes: 100_000_000_000 }],
        ..MachineSnapshot::default()
    }
}
