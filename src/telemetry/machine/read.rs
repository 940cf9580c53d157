//! Looks at the machine, as any user may: thermometers, what slows the processor down, the supply's voltage, free space.
//!
//! All of it is optional: what a machine does not have, or does not let be read, is not told.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use nix::sys::statvfs::statvfs;
use tokio::sync::mpsc;

use crate::events::{DiskSnapshot, MachineSnapshot, ProcessorSnapshot, SupplyState, ZoneSnapshot};
use crate::telemetry::reading::Reading;

/// Nothing of it changes faster than an operator can act.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Things of one kind that are looked at.
const MOST: usize = 64;
/// Readings outside of these are broken thermometers, °C.
const SENSE: std::ops::RangeInclusive<f64> = -60.0..=200.0;

/// Trips below this are switched off, or the firmware's invention, °C.
const LEAST_TRIP: f64 = 40.0;

/// `get_throttled` of the Raspberry Pi's firmware: the bits that say what is so now.
const PI_UNDER_VOLTAGE: u64 = 1;
const PI_SLOWED: [(u64, &str); 3] = [
    (1 << 1, "the firmware limits the processor's speed"),
    (1 << 2, "the firmware slows the processor down"),
    (1 << 3, "the processor has reached its soft limit of temperature"),
];

/// Looks again and again, until `end` is dropped or nobody reads.
pub(in crate::telemetry) fn watch(
    root: &Path,
    disks: &[PathBuf],
    readings: &mpsc::Sender<Reading>,
    end: &Receiver<()>,
) {
    loop {
        match readings.try_send(Reading::Machine(read(root, disks))) {
            Err(mpsc::error::TrySendError::Closed(_)) => return,
            Ok(()) | Err(mpsc::error::TrySendError::Full(_)) => {}
        }
        if end.recv_timeout(LOOK_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}

/// The machine whose `/sys` is below `root`, and the disks that hold `directories`.
pub fn read(root: &Path, directories: &[PathBuf]) -> MachineSnapshot {
    let thermal = root.join("sys/class/thermal");
    let (zones, passive): (Vec<_>, Vec<_>) = zones(&thermal).into_iter().unzip();
    let firmware = firmware(root);
    let mut throttled: Vec<String> = passive.into_iter().flatten().collect();
    throttled.extend(cooling(&thermal));
    let slowed = PI_SLOWED.iter().filter(|(bit, _)| firmware.is_some_and(|bits| bits & bit != 0));
    throttled.extend(slowed.map(|(_, words)| (*words).to_owned()));
    let cpus = root.join("sys/devices/system/cpu");
    MachineSnapshot {
        zones,
        processor: processor(&cpus),
        throttled,
        throttle_count: throttle_count(&cpus),
        supply: supply(root, firmware),
        disks: directories.iter().filter_map(|directory| disk(directory)).collect(),
    }
}

/// The thermometers in the kernel's order, each with why it slows the machine down, if it does.
fn zones(thermal: &Path) -> Vec<(ZoneSnapshot, Option<String>)> {
    let mut zones = Vec::new();
    for zone in numbered(thermal, "thermal_zone") {
        let Some(celsius) = degrees(&zone.join("temp")) else { continue };
        let name = word(&zone.join("type")).unwrap_or_else(|| "thermometer".to_owned());
        let passive = (0..MOST).map_while(|n| {
            let kind = word(&zone.join(format!("trip_point_{n}_type")))?;
            Some((kind, degrees(&zone.join(format!("trip_point_{n}_temp")))))
        });
        let throttles_at =
            passive.filter(|(kind, _)| kind == "passive").filter_map(|(_, at)| at).filter(|at| *at >= LEAST_TRIP);
        let throttles_at = throttles_at.reduce(f64::min);
        let slows = throttles_at.filter(|at| celsius >= *at);
        let why = slows.map(|at| format!("{name} has {celsius:.0} °C, and the kernel slows down from {at:.0} °C"));
        zones.push((ZoneSnapshot { name, celsius, throttles_at }, why));
    }
    zones
}

/// What the kernel itself does against heat.
fn cooling(thermal: &Path) -> Vec<String> {
    let mut reasons = Vec::new();
    for device in numbered(thermal, "cooling_device") {
        let Some(kind) = word(&device.join("type")) else { continue };
        // Fans cool without slowing anything down.
        let slows = kind == "Processor" || kind.contains("cpufreq") || kind.contains("cpuidle");
        let (now, most) = (number(&device.join("cur_state")), number(&device.join("max_state")));
        if let (true, Some(now), Some(most)) = (slows, now, most)
            && now > 0
        {
            reasons.push(format!("the kernel slows the processor down, step {now} of {most}"));
        }
    }
    // One for each core says it once.
    reasons.sort();
    reasons.dedup();
    reasons
}

/// Of the fastest cores: most machines have one kind, some have two.
fn processor(cpus: &Path) -> Option<ProcessorSnapshot> {
    let policies = numbered(&cpus.join("cpufreq"), "policy");
    let speeds = policies.iter().filter_map(|policy| {
        let mhz = |name| number(&policy.join(name)).and_then(|khz| u32::try_from(khz / 1000).ok());
        Some(ProcessorSnapshot { allowed_mhz: mhz("scaling_max_freq")?, most_mhz: mhz("cpuinfo_max_freq")? })
    });
    speeds.max_by_key(|speed| (speed.most_mhz, std::cmp::Reverse(speed.allowed_mhz)))
}

/// Intel's processors count.
fn throttle_count(cpus: &Path) -> Option<u64> {
    let counts: Vec<u64> = numbered(cpus, "cpu")
        .iter()
        .filter_map(|cpu| number(&cpu.join("thermal_throttle/package_throttle_count")))
        .collect();
    // Each core repeats its package's.
    counts.into_iter().max()
}

/// `get_throttled` of a Raspberry Pi.
fn firmware(root: &Path) -> Option<u64> {
    let driver = root.join("sys/bus/platform/drivers/raspberrypi-firmware");
    let text = entries(&driver).into_iter().find_map(|device| word(&device.join("get_throttled")))?;
    u64::from_str_radix(text.trim_start_matches("0x"), 16).ok()
}

/// The kernel's driver for the Raspberry Pi's supply (rpi_volt), or its firmware.
fn supply(root: &Path, firmware: Option<u64>) -> SupplyState {
    let monitors = numbered(&root.join("sys/class/hwmon"), "hwmon");
    let volt = monitors.iter().find(|monitor| word(&monitor.join("name")).as_deref() == Some("rpi_volt"));
    let alarm = volt.and_then(|monitor| number(&monitor.join("in0_lcrit_alarm"))).map(|alarm| alarm != 0);
    match alarm.or_else(|| firmware.map(|bits| bits & PI_UNDER_VOLTAGE != 0)) {
        None => SupplyState::Unknown,
        Some(false) => SupplyState::Enough,
        Some(true) => SupplyState::TooLow,
    }
}

fn disk(directory: &Path) -> Option<DiskSnapshot> {
    let stat = statvfs(directory).ok()?;
    Some(DiskSnapshot {
        directory: directory.display().to_string(),
        free_bytes: stat.blocks_available().saturating_mul(stat.fragment_size()),
        total_bytes: stat.blocks().saturating_mul(stat.fragment_size()),
    })
}

/// The entries called `name` and a number, by number.
fn numbered(directory: &Path, name: &str) -> Vec<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix(name)?.parse::<u32>().ok();
    let mut found: Vec<(u32, PathBuf)> =
        entries(directory).into_iter().filter_map(|path| Some((number(&path)?, path))).collect();
    found.sort();
    found.truncate(MOST);
    found.into_iter().map(|(_, path)| path).collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The first line of a file, which sysfs keeps short.
fn word(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    Some(text.lines().next()?.trim().chars().take(64).collect()).filter(|word: &String| !word.is_empty())
}

fn number(path: &Path) -> Option<u64> {
    word(path)?.parse().ok()
}

/// Thousandths of a degree Celsius.
fn degrees(path: &Path) -> Option<f64> {
    let thousandths: i32 = word(path)?.parse().ok()?;
    Some(f64::from(thousandths) / 1000.0).filter(|celsius| SENSE.contains(celsius))
}
