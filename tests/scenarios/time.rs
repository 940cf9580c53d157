//! Programme time across what would break it: a reboot, and the wraps of 33-bit 90 kHz and 32-bit milliseconds.

use holdfast::events::{Command, EventKind};

use crate::support::config::Configuration;
use crate::support::receiver::Ffmpeg;
use crate::support::results::record;
use crate::support::rig::Rig;

const FPS: u32 = 30;
const ROUNDING: f64 = 0.0015;

/// Seconds after which a 33-bit count of 90 kHz ticks begins anew: 26.5 h.
const WRAP_90KHZ: f64 = 8_589_934_592.0 / 90_000.0;
/// Seconds after which a 32-bit count of milliseconds begins anew: 49.7 days.
const WRAP_MS: f64 = 4_294_967_296.0 / 1000.0;

/// A box that was last on air, before a reboot, at `last` seconds of programme time.
fn after_a_reboot(name: &'static str, last: f64) {
    let mut rig = Rig::new(name);
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    let archive = rig.dir().join("archive");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "320x180", "300k", "aac")
            .recording("archive", "main", &archive, "")
            .destination("ffmpeg", "main", &ffmpeg.url()),
    );
    rig.live_before();
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let saved = serde_json::json!({
        "boot_id": "00000000-0000-0000-0000-000000000000",
        "offset": 0,
        "last": (last * 1e9) as i64,
        "wall": wall.as_micros() as i64,
    });
    std::fs::write(rig.paths.programme_time(), saved.to_string()).expect("our own directory");
    // It was on air when the power went.
    std::fs::write(rig.paths.on_air_wish(), "").expect("our own directory");
    let mark = rig.events().len();
    rig.start_daemon();
    rig.wait_for_source(&crate::support::rig::live("pattern"));
    rig.wait_publishing(&["ffmpeg"]);
    let resumed = rig.wait_event(mark, "its place in time", |e| e.kind == EventKind::TimeResumed);
    println!("    told: {}", resumed.reason);
    let begin = programme_seconds(&rig);
    assert!(begin >= last, "programme time went back from {last:.3} to {begin:.3} s");
    assert!(begin < last + 120.0, "programme time jumped from {last:.3} to {begin:.3} s");
    rig.let_pass(20);
    let end = programme_seconds(&rig);
    rig.order(Command::Stop);
    let recording = ffmpeg.recording();
    rig.shut_down();

    let count = recording.count();
    record(
        "time",
        &[
            ("case", name.to_owned()),
            ("saved_s", format!("{last:.3}")),
            ("resumed_s", format!("{begin:.3}")),
            ("ended_s", format!("{end:.3}")),
            ("frames", count.frames.to_string()),
            ("lost", count.lost.to_string()),
        ],
    );
    assert!(count.is_perfect(), "{count}");
    assert_eq!(recording.backwards(), 0, "time went back at the receiver");
    assert!(recording.video_time_error(FPS.into()) < ROUNDING, "pictures are off the grid");
    assert!(recording.sound_time_error(1024) < ROUNDING, "sound is off the grid");
    for file in std::fs::read_dir(archive).expect("the recording's directory").flatten() {
        let kept = crate::support::picture::Recording::read(&file.path());
        assert!(kept.count().is_perfect(), "{}: {}", file.path().display(), kept.count());
        assert!(kept.seconds() > 15.0, "{}: {:.1} s", file.path().display(), kept.seconds());
    }
}

fn programme_seconds(rig: &Rig) -> f64 {
    rig.wait("programme time", |s| Some(s.plane.as_ref()?.programme_time)).as_nanos() as f64 / 1e9
}

#[test]
fn after_a_power_cut_the_box_is_on_air_by_itself_and_time_goes_on() {
    after_a_reboot("reboot", 3_600.0);
}

#[test]
fn time_goes_on_across_26_hours_and_a_half() {
    after_a_reboot("wrap-90khz", WRAP_90KHZ - 20.0);
}

#[test]
fn time_goes_on_across_the_end_of_32_bit_milliseconds() {
    after_a_reboot("wrap-ms", WRAP_MS - 20.0);
}
