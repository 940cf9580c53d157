//! What a real worker makes of a receiver: pictures while there are some, and none that is noise.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::guest::{Guest, Running};
use crate::{HDMI, NO_LOCK, NO_SIGNAL, SIGNAL, VGA, source};

const ENCODE: &str = env!("CARGO_BIN_EXE_holdfast-encode");

/// 1280x720p24, as numbered in vivid's menu: as many pixels a second as an emulated machine can make.
const HD24: &str = "dv_timings=5";

/// What this machine is: its receiver has to be told what it may be sent, and is not to be asked for what it offers first.
const PROFILE: &str = r#"
name = "bench"
title = "an emulated machine with vivid"
verified = true

[match]
hypervisor = true

[standby]
mode = "warm"

[[capture]]
name = "vivid"
title = "vivid"
drivers = ["vivid"]
format = "NV12"
edid = "hd-1080p60"
"#;

/// Small and slow; the encoder is named, since an emulated machine's is too slow to be chosen.
const CONFIGURATION: &str = r#"
[box]
profile = "bench"
profiles = "/tmp/profiles"

[programme]
frame_rate = 10

[[input]]
name = "camera"
kind = "v4l2"
device = "/dev/video0"
audio = "none"

[[rendition]]
name = "main"
codec = "h264"
size = "320x240"
bitrate = "300k"
encoder = "x264"
"#;

/// Prints what the receiver was told.
const EDID: &str = "v4l2-ctl -d /dev/video0 --get-edid=format=raw,file=/tmp/edid >/dev/null; md5sum </tmp/edid";

/// A worker in the guest, and who listens to it.
struct Worker {
    guest: Guest,
    said: Running,
    process: Running,
    /// The receiver's EDID before there was a worker.
    told_before: String,
}

impl Worker {
    fn start() -> Self {
        let mut guest = Guest::boot();
        let files = guest.files().to_owned();
        fs::write(files.join("last-good.toml"), CONFIGURATION).unwrap();
        fs::write(files.join("bench.toml"), PROFILE).unwrap();
        fs::write(files.join("listen.py"), include_str!("guest/listen.py")).unwrap();
        // Looking through all of GStreamer's plugins takes an emulated machine half a minute.
        let registry = files.join("registry");
        let made = Command::new("gst-inspect-1.0").arg("v4l2src").env("GST_REGISTRY", &registry).output();
        assert!(made.is_ok_and(|made| made.status.success()), "no gst-inspect-1.0; scripts/setup --test installs it");

        guest.run(&source(&format!("{VGA},{SIGNAL}")));
        let files = files.display();
        guest.run(&format!("mkdir /tmp/run /tmp/state /tmp/profiles && cp {files}/last-good.toml /tmp/state"));
        guest.run(&format!("cp {files}/bench.toml /tmp/profiles"));
        let told_before = guest.run(EDID);
        let said = guest.start(&format!("python3 {files}/listen.py /tmp/run/children.sock"));
        // Where the trial of the encoder fails, since this machine is busy, it is tried again, as holdfastd would.
        let process = guest.start(&format!(
            "export GST_REGISTRY={} GST_REGISTRY_UPDATE=no; until rm -f /tmp/state/probe.json; {ENCODE} run \
             --input camera --runtime /tmp/run --state /tmp/state --software-only; do :; done",
            registry.display()
        ));
        let mut worker = Self { guest, said, process, told_before };
        while !worker.hears()["event"].as_str().is_some_and(|event| event.ends_with(": picture")) {}
        worker
    }

    fn does(&mut self, what: &str) {
        println!("-- {what}");
        self.guest.run(&source(what));
    }

    fn hears(&mut self) -> Value {
        let line = self.guest.next(self.said);
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{line}: {e}"));
        if said.get("event").is_some() {
            println!("   {line}");
        }
        said
    }

    /// Waits for a report of which this is true, and returns the pictures encoded by then.
    fn reports(&mut self, mut enough: impl FnMut(bool, u64, &str) -> bool) -> u64 {
        loop {
            let said = self.hears();
            let (Some(picture), Some(encoded)) = (said["picture"].as_bool(), said["encoded"].as_u64()) else {
                continue;
            };
            if enough(picture, encoded, said["signal"].as_str().unwrap()) {
                return encoded;
            }
        }
    }

    /// Pictures are encoded, one after the other.
    fn delivers(&mut self) {
        let before = self.reports(|picture, _, _| picture);
        let after = self.reports(|picture, encoded, _| picture && encoded >= before + 5);
        println!("   {} pictures", after - before);
    }

    /// Pictures of a signal of this size are encoded.
    fn delivers_in(&mut self, size: &str) {
        self.reports(|picture, _, signal| picture && signal.contains(size) && !signal.contains("waiting"));
        self.delivers();
    }

    /// Nothing is encoded, neither noise nor the last picture again and again, once the encoder has what was fed to it before.
    fn delivers_nothing(&mut self) {
        let before = self.reports(|picture, _, _| !picture);
        let (mut last, mut still) = (before, 0);
        let after = self.reports(|picture, encoded, _| {
            assert!(!picture, "a picture out of nothing");
            still = if encoded == last { still + 1 } else { 0 };
            last = encoded;
            still == 5
        });
        println!("   nothing, after {} pictures that were on their way", after.saturating_sub(before));
    }

    /// Waits until nobody in the guest has a device open that is gone: GStreamer may keep one, and then its worker ends.
    fn lets_go(&mut self) {
        let held = "ls -l /proc/[0-9]*/fd 2>/dev/null | grep -q '/dev/video0 (deleted)'";
        self.guest.run(&format!("while {held}; do sleep 0.2; done"));
    }

    /// As [`Self::tells`], by this worker or the one after it.
    fn tells_again(&mut self, words: &str) -> String {
        self.waits_for(words, |_| {})
    }

    /// Waits for an event that says this.
    fn tells(&mut self, words: &str) -> String {
        self.waits_for(words, |evidence| panic!("the worker was replaced\n{evidence}"))
    }

    fn waits_for(&mut self, words: &str, replaced: impl Fn(&str)) -> String {
        loop {
            let said = self.hears();
            if said.get("hello").is_some() {
                replaced(&self.guest.evidence());
            }
            if let Some(event) = said["event"].as_str()
                && event.contains(words)
            {
                return event.to_owned();
            }
        }
    }
}

#[test]
fn a_worker_delivers_pictures_while_there_is_a_signal_and_never_noise() {
    let mut worker = Worker::start();
    worker.delivers();

    worker.does(NO_SIGNAL);
    let words = worker.tells("no signal");
    assert!(words.ends_with("/dev/video0: no signal; check the cable and that the camera is on"), "{words}");
    worker.delivers_nothing();
    worker.does(SIGNAL);
    worker.tells(": picture");
    worker.delivers();

    worker.does(NO_LOCK);
    worker.tells("a signal that cannot be locked to");
    worker.delivers_nothing();
    worker.does(SIGNAL);
    worker.tells(": picture");
    worker.delivers();

    // Another size: the capture is set up anew, and the worker and its encoders are not.
    worker.does(HD24);
    worker.tells("the signal changed from 640x480p59.94 to 1280x720p2");
    worker.delivers_in("1280x720");
    worker.does(VGA);
    worker.tells("to 640x480p59.94; waiting until it is steady");
    worker.delivers_in("640x480");

    // A receiver that says that it has a signal and gives nothing.
    worker.does("percentage_of_dropped_buffers=100");
    worker.tells("no pictures come although the receiver has a signal");
    worker.delivers_nothing();
    worker.does("percentage_of_dropped_buffers=0");
    worker.tells(": picture");
    worker.delivers();

    worker.does("inject_fatal_streaming_error=1");
    // Whether its pictures' end or the driver's error is noticed first is chance.
    worker.tells(&format!("capture {HDMI}: "));
    worker.delivers();

    // Unplugged and plugged in again, which is another device under the same name: it has to be told its EDID as the first one
    // was, and its pictures are of the format that the profile names, though vivid offers others before it.
    let told = worker.guest.run(EDID);
    assert_ne!(told, worker.told_before, "the receiver was not told what it may be sent");
    worker.guest.run("echo vivid.0 >/sys/bus/platform/drivers/vivid/unbind");
    worker.tells("the device is not there; plug it in again");
    worker.delivers_nothing();
    worker.lets_go();
    worker.guest.run("echo vivid.0 >/sys/bus/platform/drivers/vivid/bind");
    worker.guest.run(&source(&format!("{VGA},{SIGNAL}")));
    worker.tells_again(": picture");
    worker.delivers();
    assert_eq!(worker.guest.run(EDID), told, "the new device was told nothing");
    worker.reports(|_, _, signal| signal.contains("NV12"));

    // The driver pulls the plug itself. Its node stays, unlike that of a device that was pulled out, and it has the device back
    // only when nobody holds the old one; GStreamer still does.
    worker.does("disconnect=1");
    worker.tells_again("the device is not there; plug it in again");
    worker.delivers_nothing();

    worker.guest.run("/run/busybox killall -TERM holdfast-encode");
    loop {
        let line = worker.guest.next(worker.process);
        if line.starts_with('=') {
            assert_eq!(line, "=0", "{}", worker.guest.evidence());
            break;
        }
    }
}
