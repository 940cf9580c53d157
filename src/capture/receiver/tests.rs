#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

/// 1920x1080 at 148.5 MHz, as the kernel's v4l2-dv-timings.h has it.
fn timings_1080p60() -> Timings {
    timings((1920, 1080), 148_500_000, [88, 44, 148, 4, 5, 36])
}

fn timings(size: (u32, u32), clock: u64, blanking: [u32; 6]) -> Timings {
    let mut timings = [0; 33];
    (timings[1], timings[2]) = size;
    let clock = clock.to_ne_bytes();
    timings[5] = u32::from_ne_bytes(clock[..4].try_into().unwrap());
    timings[6] = u32::from_ne_bytes(clock[4..].try_into().unwrap());
    timings[7..13].copy_from_slice(&blanking);
    timings
}

const HD: Mode = Mode { width: 1920, height: 1080, rate_millihertz: 60_000, scan: Scan::Progressive };
const VGA: Mode = Mode { width: 640, height: 480, rate_millihertz: 59_940, scan: Scan::Progressive };

fn answer(timings: Result<Timings, i32>, status: Result<u32, i32>) -> Option<Reception> {
    Reception::of(&Answer { timings, status })
}

#[test]
fn timings_are_read_as_the_trade_writes_them() {
    assert_eq!(Mode::of(&timings_1080p60()), Some(HD));
    assert_eq!(HD.to_string(), "1920x1080p60");
    let vga = timings((640, 480), 25_175_000, [16, 96, 48, 10, 2, 33]);
    assert_eq!(Mode::of(&vga).unwrap().to_string(), "640x480p59.94");
    // V4L2_DV_BT_CEA_1920X1080I50: 25 pictures of two fields.
    let mut interlaced = timings((1920, 1080), 74_250_000, [528, 44, 148, 2, 5, 15]);
    interlaced[3] = 1;
    interlaced[13..16].copy_from_slice(&[2, 5, 16]);
    let mode = Mode::of(&interlaced).unwrap();
    assert_eq!((mode.rate_millihertz, mode.scan), (25_000, Scan::Interlaced));
    assert_eq!(mode.to_string(), "1920x1080i50");
}

#[test]
fn a_receiver_that_tells_a_reduced_rate_is_believed() {
    let mut timings = timings_1080p60();
    // V4L2_DV_FL_CAN_REDUCE_FPS, IS_CE_VIDEO, HAS_CEA861_VIC: of the standard, not of the signal.
    timings[17] = 0x92;
    assert_eq!(Mode::of(&timings).unwrap().to_string(), "1920x1080p60");
    timings[17] = 0x92 | 0x4;
    assert_eq!(Mode::of(&timings).unwrap().to_string(), "1920x1080p60", "it cannot tell");
    timings[17] = 0x92 | 0x204;
    assert_eq!(Mode::of(&timings).unwrap().to_string(), "1920x1080p59.94");
}

#[test]
fn timings_without_a_size_or_a_clock_are_taken_for_what_they_are() {
    assert_eq!(Mode::of(&[0; 33]), None);
    assert_eq!(answer(Ok([0; 33]), Ok(0)), None, "a driver that succeeds and measures nothing says nothing");
    let no_clock = timings((1280, 720), 0, [110, 40, 220, 5, 5, 20]);
    assert_eq!(Mode::of(&no_clock).unwrap().to_string(), "1280x720p");
}

#[test]
fn each_errno_is_what_the_api_says_and_a_webcam_is_unknown() {
    for (errno, is) in [
        (libc::ENOLINK, Some(Reception::NoSignal)),
        (libc::ENOLCK, Some(Reception::NoLock)),
        (libc::ERANGE, Some(Reception::OutOfRange)),
        (libc::ENODEV, Some(Reception::Gone)),
        (libc::ENOTTY, Some(Reception::Unknown)),
        (libc::EBUSY, None),
        (libc::EIO, None),
    ] {
        assert_eq!(answer(Err(errno), Ok(0)), is, "errno {errno}");
    }
    assert_eq!(answer(Err(libc::ENOTTY), Ok(0x2)), Some(Reception::NoSignal), "an input without timings");
    assert_eq!(answer(Err(libc::ENODATA), Ok(0x1_0000)), Some(Reception::NoLock));
    assert_eq!(answer(Err(libc::ENOTTY), Err(libc::ENOTTY)), Some(Reception::Unknown));
    assert_eq!(answer(Err(libc::ENOTTY), Err(libc::ENODEV)), Some(Reception::Gone));
    assert_eq!(answer(Ok(timings_1080p60()), Ok(0x2)), Some(Reception::Locked(HD)), "what is measured is there");
}

#[test]
fn each_fault_names_its_remedy() {
    for bad in [Reception::NoSignal, Reception::NoLock, Reception::OutOfRange, Reception::Gone] {
        let standing = Standing::Steady(bad);
        let finding = standing.finding().unwrap();
        assert_eq!(Some(finding.fault), bad.fault());
        assert!(finding.evidence.ends_with(bad.remedy().unwrap()), "{finding:?}");
        assert!(!standing.is_picture());
    }
    for good in [Reception::Locked(HD), Reception::Unknown] {
        assert_eq!(Standing::Steady(good).finding(), None);
        assert!(Standing::Steady(good).is_picture());
    }
    assert_eq!(
        Standing::Steady(Reception::NoSignal).to_string(),
        "no signal; check the cable and that the camera is on"
    );
}

/// A receiver, and a clock that the test moves.
struct Bench {
    receiver: Receiver,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        Self { receiver: Receiver::default(), now: crate::clock::now() }
    }

    /// What it says of `seen`, `ms` later.
    fn after(&mut self, ms: u64, seen: Reception) -> Option<Standing> {
        self.now += Duration::from_millis(ms);
        self.receiver.look(Some(seen), self.now)
    }
}

#[test]
fn the_first_look_counts_at_once() {
    assert_eq!(
        Bench::new().after(0, Reception::Locked(HD)),
        Some(Standing::Steady(Reception::Locked(HD))),
        "nothing can have changed"
    );
    assert_eq!(Bench::new().after(0, Reception::Unknown), Some(Standing::Steady(Reception::Unknown)), "a webcam");
    let mut bench = Bench::new();
    assert_eq!(bench.receiver.look(None, bench.now), None, "nothing was said");
    assert_eq!(bench.after(1000, Reception::NoSignal), Some(Standing::Steady(Reception::NoSignal)));
}

#[test]
fn a_signal_that_goes_is_told_at_once_and_one_that_returns_when_it_stays() {
    let mut bench = Bench::new();
    bench.after(0, Reception::Locked(HD));
    assert_eq!(bench.after(10, Reception::NoSignal), Some(Standing::Steady(Reception::NoSignal)));
    assert_eq!(bench.after(10, Reception::NoLock), Some(Standing::Steady(Reception::NoLock)));
    let settling = bench.after(10, Reception::Locked(HD)).unwrap();
    assert_eq!(settling.fault(), Some(Fault::NoLock), "it has not proved itself");
    assert!(!settling.is_picture());
    assert_eq!(bench.receiver.look_again(bench.now), bench.now + SETTLE);
    assert_eq!(bench.after(200, Reception::Locked(HD)), None);
    assert_eq!(bench.after(299, Reception::Locked(HD)), None);
    assert_eq!(bench.after(1, Reception::Locked(HD)), Some(Standing::Steady(Reception::Locked(HD))));
}

#[test]
fn a_mode_change_is_one_fault_and_settles_on_the_last_mode() {
    let mut bench = Bench::new();
    bench.after(0, Reception::Locked(VGA));
    let settling = bench.after(10, Reception::Locked(HD)).unwrap();
    assert_eq!(settling.fault(), Some(Fault::ModeChange));
    assert_eq!(
        settling.to_string(),
        "the signal changed from 640x480p59.94 to 1920x1080p60; waiting until it is steady"
    );
    // A third one in between begins the wait anew.
    let half = Mode { rate_millihertz: 30_000, ..HD };
    bench.after(400, Reception::Locked(half));
    assert_eq!(bench.after(400, Reception::Locked(half)), None);
    assert_eq!(bench.after(100, Reception::Locked(half)), Some(Standing::Steady(Reception::Locked(half))));
}

#[test]
fn a_mode_that_comes_back_before_it_was_settled_settles_too() {
    let mut bench = Bench::new();
    bench.after(0, Reception::Locked(VGA));
    bench.after(10, Reception::Locked(HD));
    let back = bench.after(10, Reception::Locked(VGA)).unwrap();
    assert_eq!(back, Standing::Settling { was: Reception::Locked(VGA), mode: VGA });
    assert_eq!(bench.after(500, Reception::Locked(VGA)), Some(Standing::Steady(Reception::Locked(VGA))));
}

#[test]
fn a_measurement_that_wavers_is_the_same_signal() {
    let mut bench = Bench::new();
    bench.after(0, Reception::Locked(HD));
    for rate_millihertz in [59_940, 60_003, 59_997, 60_000] {
        assert_eq!(bench.after(10, Reception::Locked(Mode { rate_millihertz, ..HD })), None);
    }
    assert!(bench.after(10, Reception::Locked(Mode { rate_millihertz: 50_000, ..HD })).is_some());
}

#[test]
fn a_driver_that_does_not_say_changes_nothing_but_is_asked_again() {
    let mut bench = Bench::new();
    bench.after(0, Reception::NoSignal);
    bench.after(10, Reception::Locked(HD));
    bench.now += SETTLE;
    assert_eq!(bench.receiver.look(None, bench.now), None);
    assert!(bench.receiver.look_again(bench.now) > bench.now, "no busy loop");
    assert_eq!(bench.after(500, Reception::Locked(HD)), Some(Standing::Steady(Reception::Locked(HD))));
}

fn any_reception() -> impl Strategy<Value = Option<Reception>> {
    let other = Mode { rate_millihertz: 50_000, ..HD };
    prop_oneof![
        4 => Just(Some(Reception::Locked(HD))),
        2 => Just(Some(Reception::Locked(VGA))),
        1 => Just(Some(Reception::Locked(other))),
        1 => Just(Some(Reception::NoSignal)),
        1 => Just(Some(Reception::NoLock)),
        1 => Just(Some(Reception::OutOfRange)),
        1 => Just(Some(Reception::Gone)),
        1 => Just(None),
    ]
}

proptest! {
    /// Over any story: no picture is trusted while the last look was bad, none of a mode that was not seen throughout
    /// SETTLE, and only changes are told.
    #[test]
    fn bad_news_count_at_once_and_good_news_when_they_last(
        story in proptest::collection::vec((0_u64..400, any_reception()), 1..60)
    ) {
        let mut bench = Bench::new();
        let mut told = None;
        // Since when nothing else was seen than this, and whether that is what was seen first.
        let mut since: Option<(Reception, Instant)> = None;
        let mut first = true;
        for (ms, seen) in story {
            bench.now += Duration::from_millis(ms);
            let said = bench.receiver.look(seen, bench.now);
            if let Some(said) = said {
                prop_assert_ne!(Some(said), told, "told twice");
                told = Some(said);
            }
            if let Some(seen) = seen {
                if since.is_none_or(|(held, _)| held != seen) {
                    first = since.is_none();
                    since = Some((seen, bench.now));
                }
                let standing = bench.receiver.standing();
                prop_assert_eq!(Some(standing), told, "what holds was told");
                match seen {
                    Reception::Locked(mode) => {
                        let lasted = bench.now - since.unwrap().1 >= SETTLE;
                        let trusted = standing == Standing::Steady(Reception::Locked(mode));
                        prop_assert!(!trusted || first || lasted);
                        prop_assert!(trusted || !lasted);
                    }
                    bad @ (Reception::NoSignal
                    | Reception::NoLock
                    | Reception::OutOfRange
                    | Reception::Gone
                    | Reception::Unknown) => prop_assert_eq!(standing, Standing::Steady(bad)),
                }
            }
            prop_assert!(bench.receiver.look_again(bench.now) > bench.now, "no busy loop");
        }
    }
}
