//! The machine: one made of files, and the one that this runs on.

use std::fs;
use std::path::Path;

use holdfast::events::{ProcessorSnapshot, SupplyState};
use holdfast::telemetry::machine::read;

use crate::watching::{Watching, nothing};

pub fn file(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{text}\n")).unwrap();
}

/// A Raspberry Pi that is hot, and short of power.
fn hot_pi(root: &Path) {
    for (path, text) in [
        ("thermal/thermal_zone0/type", "cpu-thermal"),
        ("thermal/thermal_zone0/temp", "82312"),
        ("thermal/thermal_zone0/trip_point_0_type", "critical"),
        ("thermal/thermal_zone0/trip_point_0_temp", "110000"),
        ("thermal/thermal_zone0/trip_point_1_type", "passive"),
        ("thermal/thermal_zone0/trip_point_1_temp", "80000"),
        ("thermal/thermal_zone10/type", "rp1_adc"),
        ("thermal/thermal_zone10/temp", "55000"),
        ("thermal/thermal_zone10/trip_point_0_type", "passive"),
        ("thermal/thermal_zone10/trip_point_0_temp", "16800"),
        ("thermal/thermal_zone2/type", "broken"),
        ("thermal/thermal_zone2/temp", "-274000"),
        ("thermal/cooling_device0/type", "cpufreq-cpu0"),
        ("thermal/cooling_device0/cur_state", "2"),
        ("thermal/cooling_device0/max_state", "9"),
        ("thermal/cooling_device1/type", "pwm-fan"),
        ("thermal/cooling_device1/cur_state", "4"),
        ("thermal/cooling_device1/max_state", "4"),
    ] {
        file(root, &format!("sys/class/{path}"), text);
    }
    file(root, "sys/devices/system/cpu/cpufreq/policy0/scaling_max_freq", "1800000");
    file(root, "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "2400000");
    file(root, "sys/class/hwmon/hwmon1/name", "rpi_volt");
    file(root, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1");
    file(root, "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled", "80008");
}

#[test]
fn a_machine_made_of_files_is_read() {
    let root = tempfile::tempdir().unwrap();
    hot_pi(root.path());
    let machine = read(root.path(), &[root.path().to_owned(), "/nowhere/at/all".into()]);
    let zones: Vec<_> = machine.zones.iter().map(|z| (z.name.as_str(), z.celsius, z.throttles_at)).collect();
    assert_eq!(zones, [("cpu-thermal", 82.312, Some(80.0)), ("rp1_adc", 55.0, None)]);
    assert_eq!(machine.processor, Some(ProcessorSnapshot { allowed_mhz: 1800, most_mhz: 2400 }));
    assert_eq!(
        machine.throttled,
        [
            "cpu-thermal has 82 °C, and the kernel slows down from 80 °C",
            "the kernel slows the processor down, step 2 of 9",
            "the processor has reached its soft limit of temperature",
        ]
    );
    assert_eq!((machine.supply, machine.throttle_count), (SupplyState::TooLow, None));
    assert_eq!(machine.disks.len(), 1, "a directory that is not there has no disk");
    assert!(machine.disks[0].free_bytes > 0 && machine.disks[0].free_bytes <= machine.disks[0].total_bytes);
}

#[test]
fn firmware_and_counters_are_read_where_there_is_nothing_better() {
    let root = tempfile::tempdir().unwrap();
    let firmware = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";
    file(root.path(), firmware, "0x50005");
    file(root.path(), "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count", "17");
    file(root.path(), "sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "17");
    let machine = read(root.path(), &[]);
    assert_eq!((machine.supply, machine.throttle_count), (SupplyState::TooLow, Some(17)));
    assert_eq!(machine.throttled, ["the firmware slows the processor down"]);
    file(root.path(), firmware, "50000");
    let machine = read(root.path(), &[]);
    assert_eq!((machine.supply, machine.throttled.len()), (SupplyState::Enough, 0), "what was is not what is");
}

#[test]
fn files_with_nonsense_in_them_are_as_good_as_absent() {
    let root = tempfile::tempdir().unwrap();
    hot_pi(root.path());
    let mut folders = vec![root.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                fs::write(path, [0xff, 0xfe, b'9', b'\n']).unwrap();
            }
        }
    }
    assert_eq!(read(root.path(), &[]), holdfast::events::MachineSnapshot::default());
}

#[test]
fn this_machine_is_read() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let machine = read(Path::new("/"), &[here.to_owned()]);
    println!("    {machine:?}");
    assert_eq!(machine.disks[0].directory, here.display().to_string());
    assert!(machine.zones.iter().all(|zone| (-60.0..=200.0).contains(&zone.celsius)));
}

#[tokio::test]
async fn the_machine_is_looked_at_again() {
    let root = tempfile::tempdir().unwrap();
    hot_pi(root.path());
    let options = holdfast::telemetry::Options { root: root.path().to_owned(), ..nothing() };
    let mut watching = Watching::start(options);
    let supply = |w: &Watching| w.state().machine.as_ref().map(|machine| machine.supply);
    assert_eq!(watching.until("the first look", supply).await, SupplyState::TooLow);
    assert!(watching.told("its voltage is too low").is_some());
    file(root.path(), "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0");
    watching.until("another look", |w| supply(w).filter(|supply| *supply == SupplyState::Enough)).await;
}
