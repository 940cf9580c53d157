//! What `holdfast signal` says of a receiver, while its cable is pulled and its source changes.

use serde_json::Value;

use crate::guest::{Guest, Running};
use crate::{HD, HDMI, NO_LOCK, NO_SIGNAL, OUT_OF_RANGE, SIGNAL, VGA, WEBCAM, source};

const HOLDFAST: &str = env!("CARGO_BIN_EXE_holdfast");

/// `holdfast signal --watch --json`, and when what it tells of was done.
struct Watch {
    guest: Guest,
    said: Running,
    /// When the last thing was done, and its doing was over, microseconds of the guest's wall clock.
    done: Option<(i64, i64)>,
}

impl Watch {
    fn does(&mut self, command: &str) {
        let said = self.guest.run(&format!("date +%s%6N; {command} && date +%s%6N"));
        let mut times = said.lines().filter_map(|line| line.parse().ok());
        self.done = times.next().zip(times.next_back());
    }

    /// The next transition, which has to be to this.
    fn tells(&mut self, standing: &str) -> Value {
        let line = self.guest.next(self.said);
        let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert_eq!(value["standing"], standing, "{line}\n{}", self.guest.evidence());
        if let (Some(at), Some((begun, over))) = (value["at"].as_i64(), self.done) {
            println!(
                "{standing}: told {:.1} ms after what does it was begun, {:.1} ms after it was over",
                ms(at - begun),
                ms(at - over)
            );
        }
        value
    }

    /// A signal that comes is told to be there, and to be good when it has stayed. `fault` is what holds meanwhile.
    fn tells_of_a_signal(&mut self, fault: &str, size: (u32, u32)) -> Value {
        let settling = self.tells("settling");
        assert_eq!(settling["fault"], fault, "{settling}");
        let locked = self.tells("locked");
        assert_eq!((&locked["width"], &locked["height"]), (&size.0.into(), &size.1.into()), "{locked}");
        assert_eq!(locked["fault"], Value::Null);
        let waited = locked["at"].as_i64().unwrap() - settling["at"].as_i64().unwrap();
        assert!(waited >= 499_000, "believed after {waited} us");
        locked
    }
}

fn ms(microseconds: i64) -> f64 {
    microseconds as f64 / 1000.0
}

#[test]
fn a_receiver_tells_the_truth_about_its_signal_and_a_webcam_that_it_has_none_to_tell() {
    let mut guest = Guest::boot();

    let (code, said) = guest.outcome(&format!("{HOLDFAST} signal {WEBCAM}"));
    assert_eq!((code, said), (0, format!("{WEBCAM} (vivid): this device does not tell whether it has a signal")));
    let (code, said) = guest.outcome(&format!("{HOLDFAST} signal /dev/null"));
    assert_eq!((code, said), (1, "holdfast: /dev/null is not a video device".to_owned()));

    guest.run(&source(&format!("{VGA},{SIGNAL}")));
    let said = guest.start(&format!("{HOLDFAST} signal {HDMI} --watch --json"));
    let mut watch = Watch { guest, said, done: None };
    let first = watch.tells("locked");
    assert_eq!((&first["width"], &first["height"]), (&640.into(), &480.into()));
    assert!((first["rate"].as_f64().unwrap() - 59.94).abs() < 0.01, "{first}");
    assert_eq!(first["interlaced"], false);

    watch.does(&source(NO_SIGNAL));
    let gone = watch.tells("no-signal");
    assert_eq!(gone["fault"], "no-signal");
    assert_eq!(gone["words"], "no signal; check the cable and that the camera is on");
    let (code, said) = watch.guest.outcome(&format!("{HOLDFAST} signal {HDMI}"));
    assert_eq!((code, said), (1, format!("{HDMI} (vivid): no signal; check the cable and that the camera is on")));

    watch.does(&source(SIGNAL));
    watch.tells_of_a_signal("no-signal", (640, 480));

    watch.does(&source(NO_LOCK));
    assert_eq!(watch.tells("no-lock")["fault"], "no-lock");
    watch.does(&source(OUT_OF_RANGE));
    assert_eq!(watch.tells("out-of-range")["fault"], "out-of-range");
    watch.does(&source(SIGNAL));
    watch.tells_of_a_signal("out-of-range", (640, 480));

    // Another format at the camera, without a moment of nothing in between.
    watch.does(&source(HD));
    let locked = watch.tells_of_a_signal("mode-change", (1280, 720));
    assert_eq!(locked["words"], "signal 1280x720p60");

    an_edid_brings_the_signal_and_is_what_was_loaded(&mut watch);

    // The driver forgets the device until the last who had it open lets go, as we do.
    watch.does(&source("disconnect=1"));
    assert_eq!(watch.tells("gone")["fault"], "device-gone");
    watch.tells_of_a_signal("device-gone", (1280, 720));

    // The node itself goes, and comes back.
    watch.does("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind");
    assert_eq!(watch.tells("gone")["words"], "the device is not there; plug it in again");
    let (code, said) = watch.guest.outcome(&format!("{HOLDFAST} signal {HDMI}"));
    assert_eq!((code, said), (1, format!("{HDMI}: the device is not there; plug it in again")));
    watch.does("echo vivid.0 >/sys/bus/platform/drivers/vivid/bind");
    watch.tells_of_a_signal("device-gone", (1280, 720));
}

/// A source sends nothing, or what the receiver cannot take, to one that does not say what it can; some receivers forget it at
/// each start, and some take one and lose it. Hence what is loaded has to be read back.
fn an_edid_brings_the_signal_and_is_what_was_loaded(watch: &mut Watch) {
    let read = format!("v4l2-ctl -d {HDMI} --get-edid=format=raw,file=/tmp/edid >/dev/null && md5sum </tmp/edid");
    let mut seen = Vec::new();
    for kind in ["hdmi", "hdmi-4k-300mhz"] {
        watch.guest.run(&format!("v4l2-ctl -d {HDMI} --set-edid=edid={kind}"));
        seen.push(watch.guest.run(&read));
    }
    assert_ne!(seen[0], seen[1]);
    watch.guest.run("cp /tmp/edid /tmp/wanted");
    watch.does(&format!("v4l2-ctl -d {HDMI} --clear-edid"));
    watch.tells("no-signal");
    watch.does(&format!("v4l2-ctl -d {HDMI} --set-edid=file=/tmp/wanted,format=raw --fix-edid-checksums"));
    watch.tells_of_a_signal("no-signal", (1280, 720));
    assert_eq!(watch.guest.run(&read), seen[1]);
}
