//! A machine made of files that becomes warm and cools down again: what is read of it, what heat makes of that with the limits
//! of a hardware profile, and what is left of a bit rate in the end.

use std::path::Path;
use std::time::{Duration, Instant};

use holdfast::config::profile::{EMBEDDED, parse_profile};
use holdfast::encode::bitrate::{Bitrate, Bounds, Ceilings, Heat, Pressure, ZoneLimit};
use holdfast::events::{EventKind, Role, Severity};
use holdfast::model::{Media, Wall};
use holdfast::supervisor::hardware;
use holdfast::telemetry::machine::read;

use crate::machine::file;

const BOUNDS: Bounds = Bounds { floor: 1_000_000, ceiling: 4_000_000, beside: 128_000 };

/// The limits that a profile of ours has.
fn limits(board: &str) -> Vec<ZoneLimit> {
    let (name, text) = EMBEDDED.iter().find(|(name, _)| name.contains(board)).unwrap();
    let profile = parse_profile(name, text, &hardware::families()).unwrap();
    profile.thermal.iter().map(ZoneLimit::from).collect()
}

/// holdfastd, the hint's way, and the data plane's loop, in virtual time.
struct Board {
    heat: Heat,
    ceilings: Ceilings,
    bitrate: Bitrate,
    start: Instant,
    second: u64,
    told: Vec<(u64, Severity, String)>,
    rates: Vec<(u64, u32)>,
}

impl Board {
    fn new(limits: Vec<ZoneLimit>) -> Self {
        let mut bitrate = Bitrate::new(BOUNDS);
        bitrate.encoded_by(["v4l2h264enc"].into_iter());
        let (heat, ceilings, start) = (Heat::new(limits), Ceilings::default(), holdfast::clock::now());
        Self { heat, ceilings, bitrate, start, second: 0, told: Vec::new(), rates: Vec::new() }
    }

    /// Five seconds, at whose end the machine is looked at.
    fn look(&mut self, root: &Path) {
        self.pass(5);
        let now = self.start + Duration::from_secs(self.second);
        for notice in self.heat.see(&read(root, &[]), Pressure::None, now) {
            let event = notice.into_event((Wall(0), Media::ZERO), Role::Supervisor);
            assert_eq!(event.kind, EventKind::MachineChanged);
            println!("    {} s: {} {:?}", self.second, event.reason, event.evidence);
            self.told.push((self.second, event.severity, event.reason));
        }
        if let Some(ceiling) = self.heat.to_say() {
            self.ceilings.take(ceiling, Duration::from_secs(15), now);
        }
    }

    /// The data plane's loop goes on, whoever looks at the machine.
    fn pass(&mut self, seconds: u64) {
        for _ in 0..seconds {
            self.second += 1;
            let now = self.start + Duration::from_secs(self.second);
            let before = self.bitrate.target();
            self.bitrate.observe(&[], self.ceilings.at(now), now);
            if self.bitrate.target() != before {
                self.rates.push((self.second, self.bitrate.target()));
            }
        }
    }
}

fn set(root: &Path, millidegrees: i32) {
    file(root, "sys/class/thermal/thermal_zone0/temp", &millidegrees.to_string());
}

#[test]
fn a_board_that_becomes_warm_has_fewer_bits_before_its_firmware_slows_it_down() {
    let root = tempfile::tempdir().unwrap();
    file(root.path(), "sys/class/thermal/thermal_zone0/type", "cpu-thermal");
    let throttled = "sys/bus/platform/drivers/raspberrypi-firmware/soc:firmware/get_throttled";
    file(root.path(), throttled, "0x0");
    let mut board = Board::new(limits("raspberry-pi-4"));
    // A degree in ten seconds, from 70 °C on.
    for tenths in (700..800).step_by(5) {
        set(root.path(), tenths * 100);
        board.look(root.path());
    }
    assert_eq!(board.told[0].0, 55, "at 75 °C, before anything is taken: {:?}", board.told);
    let (first, rate) = board.rates[0];
    assert_eq!(rate, 3_600_000);
    assert!(first > board.told[0].0 && first < 75, "{:?}", board.rates);
    let before_the_limit = board.bitrate.target();
    assert!(before_the_limit <= 3_200_000, "{:?}", board.rates);
    // The firmware does what it does at 80 °C.
    set(root.path(), 80_500);
    file(root.path(), throttled, "0x8");
    board.look(root.path());
    board.pass(5);
    assert!(board.bitrate.target() < before_the_limit, "{:?}", board.rates);
    assert!(board.told.last().unwrap().2.contains("soft limit of temperature"), "{:?}", board.told);
    // A fan.
    file(root.path(), throttled, "0x80000");
    set(root.path(), 62_000);
    let since = board.second;
    for _ in 0..120 {
        board.look(root.path());
    }
    println!("    {:?}", board.rates);
    assert_eq!(board.bitrate.target(), BOUNDS.ceiling, "{:?}", board.rates);
    let ups: Vec<_> = board.rates.iter().filter(|(second, _)| *second > since).collect();
    assert!(ups.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 60 && pair[1].1 > pair[0].1), "{ups:?}");
    assert!(board.told.last().unwrap().2.contains("all that was configured"));
}

#[test]
fn whoever_falls_silent_takes_nothing_away_for_long() {
    let root = tempfile::tempdir().unwrap();
    file(root.path(), "sys/class/thermal/thermal_zone0/type", "cpu-thermal");
    set(root.path(), 79_000);
    let mut board = Board::new(limits("raspberry-pi-4"));
    for _ in 0..6 {
        board.look(root.path());
    }
    board.pass(3);
    assert!(board.bitrate.target() < BOUNDS.ceiling);
    // holdfastd is gone.
    board.pass(14);
    assert_eq!(board.bitrate.target(), BOUNDS.ceiling, "{:?}", board.rates);
}
