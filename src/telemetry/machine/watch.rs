//! Pure. What of the machine's state is worth an event.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::events::{DiskSnapshot, EventKind, MachineSnapshot, Severity, SupplyState};
use crate::telemetry::latch::{Hold, Latch, Turn};
use crate::telemetry::news::News;
use crate::telemetry::observer::Limits;

/// Below the limit by so much, °C: not too hot any more.
const COOLER: f64 = 5.0;
const HEAT: Hold = Hold::secs(10, 60);
const SLOW: Hold = Hold::secs(5, 60);
const AT_ONCE: Hold = Hold::secs(0, 60);

/// The machine.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct MachineWatch {
    hot: BTreeMap<String, Latch>,
    slow: Latch,
    supply: Latch,
    full: BTreeMap<String, Latch>,
    throttle_count: Option<u64>,
}

impl MachineWatch {
    pub(in crate::telemetry) fn new() -> Self {
        Self {
            hot: BTreeMap::new(),
            slow: Latch::new(SLOW),
            supply: Latch::new(AT_ONCE),
            full: BTreeMap::new(),
            throttle_count: None,
        }
    }

    /// Takes in how it is at `now`.
    pub(in crate::telemetry) fn see(&mut self, machine: &MachineSnapshot, limits: &Limits, now: Instant) -> Vec<News> {
        let mut news = self.heat(machine, limits.hot_celsius, now);
        news.extend(self.slow(machine, now));
        news.extend(self.supply(machine, now));
        news.extend(self.disks(machine, limits.disk_low_bytes, now));
        news
    }

    fn heat(&mut self, machine: &MachineSnapshot, limit: f64, now: Instant) -> Vec<News> {
        let names: Vec<&str> = machine.zones.iter().map(|zone| zone.name.as_str()).collect();
        self.hot.retain(|name, _| names.contains(&name.as_str()));
        let mut news = Vec::new();
        for zone in &machine.zones {
            // Zones of one name, such as a core each, count as their hottest.
            let same = machine.zones.iter().filter(|other| other.name == zone.name);
            if same.map(|other| other.celsius).fold(f64::MIN, f64::max) > zone.celsius {
                continue;
            }
            let latch = self.hot.entry(zone.name.clone()).or_insert_with(|| Latch::new(HEAT));
            let limit_now = if latch.is_on() { limit - COOLER } else { limit };
            let of = |severity, reason: String| {
                let news = News::new(EventKind::MachineChanged, severity, &zone.name, reason);
                news.with("celsius", zone.celsius).with("limit", limit)
            };
            match latch.see(zone.celsius >= limit_now, now) {
                Some(Turn::Begins) => {
                    let why = format!("{:.0} °C hot, at most {limit:.0} are right: give it air", zone.celsius);
                    news.push(of(Severity::Warning, why));
                }
                Some(Turn::Ends) => news.push(of(Severity::Info, format!("{:.0} °C, cool enough again", zone.celsius))),
                None => {}
            }
        }
        news
    }

    fn slow(&mut self, machine: &MachineSnapshot, now: Instant) -> Option<News> {
        let before = std::mem::replace(&mut self.throttle_count, machine.throttle_count);
        let counted = before.zip(machine.throttle_count).is_some_and(|(before, count)| count > before);
        let turn = self.slow.see(counted || !machine.throttled.is_empty(), now)?;
        let processor = machine.processor;
        let news = match turn {
            Turn::Begins => {
                let why = match machine.throttled.as_slice() {
                    [] => "the processor slows itself down because it is hot".to_owned(),
                    reasons => reasons.join("; "),
                };
                let why = format!("{why}: encoders may fall behind; give the box air, or lower a rendition");
                News::new(EventKind::MachineChanged, Severity::Warning, "processor", why)
            }
            Turn::Ends => News::new(EventKind::MachineChanged, Severity::Info, "processor", "not slowed down any more"),
        };
        let news = news.with("allowed_mhz", processor.map(|speed| speed.allowed_mhz));
        Some(news.with("most_mhz", processor.map(|speed| speed.most_mhz)).with("count", machine.throttle_count))
    }

    fn supply(&mut self, machine: &MachineSnapshot, now: Instant) -> Option<News> {
        let (severity, reason) = match self.supply.see(machine.supply == SupplyState::TooLow, now)? {
            Turn::Begins => {
                (Severity::Warning, "its voltage is too low: use a stronger supply, or a shorter and thicker cable")
            }
            Turn::Ends => (Severity::Info, "its voltage is right again"),
        };
        Some(News::new(EventKind::MachineChanged, severity, "power supply", reason))
    }

    fn disks(&mut self, machine: &MachineSnapshot, limit: u64, now: Instant) -> Vec<News> {
        let there = |directory: &String| machine.disks.iter().any(|disk| disk.directory == *directory);
        self.full.retain(|directory, _| there(directory));
        let mut news = Vec::new();
        for DiskSnapshot { directory, free_bytes, .. } in &machine.disks {
            let latch = self.full.entry(directory.clone()).or_insert_with(|| Latch::new(AT_ONCE));
            let limit_now = if latch.is_on() { limit.saturating_add(limit / 10) } else { limit };
            let Some(turn) = latch.see(*free_bytes < limit_now, now) else { continue };
            let free = free_bytes / 1_000_000;
            let (severity, reason) = match turn {
                Turn::Begins => {
                    let why =
                        format!("only {free} MB are free; the oldest recordings go first when there is no room left");
                    (Severity::Warning, why)
                }
                Turn::Ends => (Severity::Info, format!("{free} MB are free, which is enough again")),
            };
            let of = News::new(EventKind::MachineChanged, severity, directory, reason);
            news.push(of.with("free_bytes", *free_bytes).with("limit", limit));
        }
        news
    }
}
