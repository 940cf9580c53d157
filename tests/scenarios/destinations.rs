//! Destinations that misbehave, beside destinations that do not.

use std::time::Duration;

use holdfast::events::{Command, EventKind, OutputState};
use nix::sys::signal::Signal;

use crate::support::config::Configuration;
use crate::support::picture::Recording;
use crate::support::process::resident_kib;
use crate::support::receiver::{Admission, Certificate, Ffmpeg, Nginx, NodeMediaServer};
use crate::support::results::record;
use crate::support::rig::{Rig, repetitions};

const FPS: u32 = 30;
const ROUNDING: f64 = 0.0015;
/// Resident memory may grow by this much a minute once everything is warm. A leak of the stream at 1.5 Mb/s would be
/// eleven MiB a minute for each destination.
const MEMORY_SLOPE: f64 = 1.5;

#[test]
fn one_stops_reading_one_refuses_one_vanishes_and_the_others_lose_nothing() {
    let quiet = repetitions(62, 600);
    let mut rig = Rig::new("destinations");
    let certificate = Certificate::for_name(rig.dir(), "localhost");
    let nms = NodeMediaServer::start(&rig.guard, rig.dir(), "nms", &certificate, Admission::Open);
    let refusing = NodeMediaServer::start(&rig.guard, rig.dir(), "refusing", &certificate, Admission::Refusing);
    let mut good = Ffmpeg::start(&rig.guard, rig.dir(), "good");
    let stalls = Ffmpeg::start(&rig.guard, rig.dir(), "stalls");
    let mut vanishes = Ffmpeg::start(&rig.guard, rig.dir(), "vanishes");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "640x360", "1500k", "aac")
            .destination("good", "main", &good.url())
            .destination("nms", "main", &nms.url())
            .destination("stalls", "main", &stalls.url())
            .destination("refused", "main", &refusing.url())
            .destination("vanishes", "main", &vanishes.url()),
    );
    rig.go_on_air("pattern");
    rig.wait_publishing(&["good", "nms", "stalls", "vanishes"]);
    rig.let_pass(8);

    stalls.process.signal(Signal::SIGSTOP);
    vanishes.process.signal(Signal::SIGKILL);
    vanishes.process.finish(Duration::from_secs(10));
    let transmit = rig.transmit_pid();
    let mut memory = Vec::new();
    for _ in 0..quiet / 2 {
        rig.let_pass(2);
        memory.push(resident_kib(transmit).expect("the data plane runs") as f64 / 1024.0);
    }
    let stalled = rig.output("stalls");
    println!("    stalls: {:?}, {} units lost, {} ms behind", stalled.state, stalled.lost, stalled.behind_ms);
    // Between two waits it tries again, once a second.
    let refused = rig.wait("refused to wait", |snapshot| {
        let output = snapshot.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == "refused")?;
        match &output.state {
            OutputState::Waiting { because, .. } => Some(because.clone()),
            OutputState::Off | OutputState::Connecting | OutputState::Publishing | OutputState::Stopping => None,
        }
    });
    println!("    refused: {refused}");

    // Each is wanted as before: what comes back is used again.
    stalls.process.signal(Signal::SIGCONT);
    let again = Ffmpeg::start_on(&rig.guard, rig.dir(), "again", vanishes.port, rig.dir().join("again.mkv"));
    rig.order(Command::Retry { output: None });
    rig.wait_publishing(&["vanishes"]);
    rig.let_pass(5);
    // A minute is more than can be sent again; what nobody got is counted.
    assert!(rig.output("vanishes").lost > u64::from(quiet - 20) * u64::from(FPS), "not all that was lost is counted");
    for name in ["good", "nms"] {
        let output = rig.output(name);
        assert_eq!((output.sessions, output.lost), (1, 0), "{name} was touched");
    }
    rig.order(Command::Stop);
    let recordings = [("good", good.recording()), ("nms", nms.recording("key"))];
    rig.shut_down();
    drop(again);

    // The first samples still fill rings and buffers.
    let slope = slope_per_minute(&memory[memory.len() / 4..], 2.0);
    let (least, most) = memory.iter().fold((f64::MAX, 0.0_f64), |(a, b), m| (a.min(*m), b.max(*m)));
    for (name, recording) in &recordings {
        let count = recording.count();
        record(
            "destinations",
            &[
                ("receiver", (*name).to_owned()),
                ("seconds", format!("{:.0}", recording.seconds())),
                ("frames_lost", count.lost.to_string()),
                ("data_plane_mib", format!("{least:.1}-{most:.1}")),
                ("mib_per_minute", format!("{slope:.2}")),
            ],
        );
        assert!(count.is_perfect(), "{name}: {count}");
        assert!(recording.seconds() > f64::from(quiet), "{name}: only {:.1} s", recording.seconds());
        assert!(recording.video_time_error(FPS.into()) < ROUNDING, "{name}: off the grid");
        assert!(recording.sound_time_error(1024) < ROUNDING, "{name}: sound off the grid");
    }
    assert!(slope < MEMORY_SLOPE, "the data plane grows by {slope:.2} MiB a minute: {memory:?}");
}

#[test]
fn a_destination_that_is_back_within_seconds_misses_no_frame() {
    let mut rig = Rig::new("short-absence");
    let mut before = Ffmpeg::start(&rig.guard, rig.dir(), "before");
    rig.configure(
        &Configuration::new(FPS).pattern("pattern").rendition("main", "h264", "320x180", "500k", "aac").destination(
            "ffmpeg",
            "main",
            &before.url(),
        ),
    );
    rig.go_on_air("pattern");
    rig.wait_publishing(&["ffmpeg"]);
    rig.let_pass(5);
    let mark = rig.events().len();
    before.process.signal(Signal::SIGKILL);
    before.process.finish(Duration::from_secs(10));
    rig.wait_event(mark, "the loss to be noticed", |e| e.kind == EventKind::OutputDown);
    rig.let_pass(2);
    let mut after = Ffmpeg::start_on(&rig.guard, rig.dir(), "after", before.port, rig.dir().join("after.mkv"));
    let again = rig.wait_event(mark, "to publish again", |e| e.kind == EventKind::OutputPublishing);
    rig.let_pass(5);
    assert_eq!(rig.output("ffmpeg").lost, 0, "units were left out");
    rig.order(Command::Stop);
    let after = after.recording();
    rig.shut_down();

    let (kept, count) = (Recording::read(&before.file).count(), after.count());
    record(
        "short-absence",
        &[
            ("frames_before", kept.frames.to_string()),
            ("frames_after", count.frames.to_string()),
            ("frames_sent_again", (kept.last + 1).saturating_sub(count.first).to_string()),
            ("replayed_ms", again.evidence["replayed_ms"].to_string()),
        ],
    );
    assert!(count.is_perfect(), "{count}");
    assert!(after.pictures[0].key, "the second session does not begin with a keyframe");
    assert!(count.first <= kept.last + 1, "frames {} to {} reached nobody", kept.last + 1, count.first - 1);
}

/// Least squares over samples `step` seconds apart.
fn slope_per_minute(samples: &[f64], step: f64) -> f64 {
    let n = samples.len() as f64;
    let mean_x = (n - 1.0) / 2.0;
    let mean_y = samples.iter().sum::<f64>() / n;
    let (mut top, mut bottom) = (0.0, 0.0);
    for (i, y) in samples.iter().enumerate() {
        top += (i as f64 - mean_x) * (y - mean_y);
        bottom += (i as f64 - mean_x).powi(2);
    }
    top / bottom / step * 60.0
}

#[test]
fn each_refusal_is_told_in_words_an_operator_can_act_on() {
    let mut rig = Rig::new("refusals");
    let certificate = Certificate::for_name(rig.dir(), "media.example");
    let open = NodeMediaServer::start(&rig.guard, rig.dir(), "open", &certificate, Admission::Open);
    let refusing = NodeMediaServer::start(&rig.guard, rig.dir(), "refusing", &certificate, Admission::Refusing);
    let nginx = Nginx::start(&rig.guard, rig.dir(), "nginx", "");
    let closed = crate::support::process::free_port();
    let ca = format!("ca_file = \"{}\"", certificate.authority.display());
    // Somebody else publishes under our name.
    let clip = crate::instruments::numbered_clip(rig.dir(), 900);
    let mut holder = crate::support::tools::ffmpeg();
    holder.args(["-re", "-stream_loop", "-1", "-i"]).arg(&clip).args(["-c", "copy", "-f", "flv"]);
    let _holder = rig.guard.spawn("holder", holder.arg(format!("{}/busy", nginx.url())));
    crate::support::wait::wait_until("the other publisher", Duration::from_secs(30), || {
        nginx.process.log().contains("publish: name='busy'")
    });

    let absent_app = nginx.url().replace("/live", "/absent");
    rig.configure(
        &Configuration::new(FPS)
            .pattern("pattern")
            .rendition("main", "h264", "320x180", "300k", "aac")
            .destination_with("wrong-key", "main", &refusing.url(), "s3cr3t-key", "")
            .destination_with("name-busy", "main", &nginx.url(), "busy", "")
            .destination_with("not-there", "main", &format!("rtmp://127.0.0.1:{closed}/live"), "k", "")
            .destination_with("wrong-name", "main", &open.tls_url("localhost"), "k2", &ca)
            .destination_with("unknown-authority", "main", &open.tls_url("localhost"), "k3", "")
            .destination_with("not-tls", "main", &open.url().replace("rtmp:", "rtmps:"), "k4", "")
            .destination_with("no-such-host", "main", "rtmp://no-such-host.invalid/live", "k5", "")
            .destination_with("no-such-app", "main", &absent_app, "k6", ""),
    );
    rig.go_on_air("pattern");
    let expected = [
        ("wrong-key", &["key"][..]),
        ("name-busy", &["busy", "already", "in use"][..]),
        ("not-there", &["nothing listens"][..]),
        ("wrong-name", &["certificate"][..]),
        ("unknown-authority", &["certificate"][..]),
        ("not-tls", &["TLS"][..]),
        ("no-such-host", &["no-such-host.invalid"][..]),
        ("no-such-app", &["absent", "application"][..]),
    ];
    for (name, words) in expected {
        let because = rig.wait(&format!("{name} to wait"), |s| {
            let output = s.plane.as_ref()?.outputs.iter().find(|o| o.id.as_str() == name)?;
            match &output.state {
                OutputState::Waiting { because, .. } => Some(because.clone()),
                OutputState::Off | OutputState::Connecting | OutputState::Publishing | OutputState::Stopping => None,
            }
        });
        record("refusals", &[("destination", name.to_owned()), ("told", because.clone())]);
        assert!(words.iter().any(|w| because.contains(w)), "{name}: {because}");
        assert!(!because.contains("s3cr3t"), "the stream key is told: {because}");
    }
    let status = String::from_utf8_lossy(&rig.holdfast(&["status"]).stdout).into_owned();
    println!("{status}");
    for (name, _) in expected {
        assert!(status.contains(name), "{name} is not in the status");
    }
    let log = std::fs::read_to_string(rig.paths.event_log()).expect("the event log");
    assert!(!log.contains("s3cr3t") && !status.contains("s3cr3t"), "the stream key is told");
    rig.shut_down();
}
