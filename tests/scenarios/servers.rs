//! Thirteen destinations at once, on servers that nobody here wrote: every frame of the source must be in every
//! recording exactly once, and every rendition must have been encoded exactly once.

use std::time::Duration;

use holdfast::events::{Command, OutputState};

use crate::support::config::Configuration;
use crate::support::picture::Recording;
use crate::support::receiver::{Admission, Certificate, Ffmpeg, Nginx, NodeMediaServer, Pyav};
use crate::support::results::record;
use crate::support::rig::{Rig, repetitions};

const FPS: u32 = 30;
/// Container times are whole milliseconds.
const ROUNDING: f64 = 0.0015;

/// Name, codec, size, bit rate, sound, samples in a packet of sound.
const RENDITIONS: [(&str, &str, &str, &str, &str, u32); 3] = [
    ("h264", "h264", "640x360", "700k", "aac", 1024),
    ("hevc", "hevc", "320x180", "300k", "aac", 1024),
    ("av1", "av1", "256x144", "200k", "opus", 960),
];

#[test]
fn every_server_gets_every_frame_of_every_codec_exactly_once() {
    let seconds = repetitions(62, 600);
    let mut rig = Rig::alone("servers");
    let certificate = Certificate::for_name(rig.dir(), "localhost");
    let nms = NodeMediaServer::start(&rig.guard, rig.dir(), "nms", &certificate, Admission::Open);
    let nginx = Nginx::start(&rig.guard, rig.dir(), "nginx", "");
    let mut ffmpegs: Vec<_> =
        RENDITIONS.iter().map(|r| Ffmpeg::start(&rig.guard, rig.dir(), &format!("ffmpeg-{}", r.0))).collect();
    let pyavs: Vec<_> =
        RENDITIONS.iter().map(|r| Pyav::start(&rig.guard, rig.dir(), &format!("pyav-{}", r.0), 1)).collect();

    let mut configuration = Configuration::new(FPS).pattern("pattern");
    let ca = format!("ca_file = \"{}\"", certificate.authority.display());
    let mut names = Vec::new();
    for (i, (name, codec, size, bitrate, sound, _)) in RENDITIONS.iter().enumerate() {
        let [over_ffmpeg, over_pyav, over_rtmp, over_rtmps] =
            ["ffmpeg", "pyav", "nms", "nms-tls"].map(|server| format!("{server}-{name}"));
        configuration = configuration
            .rendition(name, codec, size, bitrate, sound)
            .destination(&over_ffmpeg, name, &ffmpegs[i].url())
            .destination(&over_pyav, name, &pyavs[i].url())
            .destination_with(&over_rtmp, name, &nms.url(), &over_rtmp, "")
            .destination_with(&over_rtmps, name, &nms.tls_url("localhost"), &over_rtmps, &ca);
        names.extend([over_ffmpeg, over_pyav, over_rtmp, over_rtmps]);
    }
    // Debian's nginx-rtmp stores H.264 only.
    configuration = configuration.destination("nginx-h264", "h264", &nginx.url());
    names.push("nginx-h264".to_owned());

    rig.configure(&configuration);
    rig.go_on_air("pattern");
    rig.wait_publishing(&names.iter().map(String::as_str).collect::<Vec<_>>());
    rig.let_pass(seconds);
    assert_encoded_once(&rig);
    for name in &names {
        let output = rig.output(name);
        assert_eq!(output.state, OutputState::Publishing, "{name}");
        assert_eq!((output.sessions, output.lost), (1, 0), "{name} reconnected or lost units");
    }
    rig.order(Command::Stop);

    let mut rows = Vec::new();
    for (i, rendition) in RENDITIONS.iter().enumerate() {
        let name = rendition.0;
        rows.push(("FFmpeg 9", "RTMP", rendition, ffmpegs[i].recording()));
        rows.push(("PyAV", "RTMP", rendition, pyavs[i].recording(0)));
        rows.push(("node-media-server", "RTMP", rendition, nms.recording(&format!("nms-{name}"))));
        rows.push(("node-media-server", "RTMPS", rendition, nms.recording(&format!("nms-tls-{name}"))));
    }
    rows.push(("nginx-rtmp", "RTMP", &RENDITIONS[0], nginx.recording("key")));
    rig.shut_down();

    let mut failures = Vec::new();
    for (server, transport, (_, codec, .., sound, samples), recording) in &rows {
        let wrong = wrong_with(recording, *samples, seconds);
        let count = recording.count();
        record(
            "servers",
            &[
                ("server", (*server).to_owned()),
                ("transport", (*transport).to_owned()),
                ("codecs", format!("{codec}+{sound}")),
                ("seconds", format!("{:.1}", recording.seconds())),
                ("frames", count.frames.to_string()),
                ("lost", count.lost.to_string()),
                ("repeated", count.repeated.to_string()),
                ("unreadable", count.unreadable.to_string()),
                ("picture_ms_off_grid", format!("{:.1}", recording.video_time_error(FPS.into()) * 1e3)),
                ("sound_ms_off_grid", format!("{:.1}", recording.sound_time_error(*samples) * 1e3)),
            ],
        );
        failures.extend(wrong.into_iter().map(|w| format!("{server} {transport} {codec}: {w}")));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn wrong_with(recording: &Recording, samples: u32, seconds: u32) -> Vec<String> {
    let mut wrong = Vec::new();
    let count = recording.count();
    if !count.is_perfect() {
        wrong.push(format!("{count}"));
    }
    if recording.seconds() < f64::from(seconds) - 2.0 {
        wrong.push(format!("only {:.1} s", recording.seconds()));
    }
    if recording.backwards() > 0 {
        wrong.push(format!("time went back {} times", recording.backwards()));
    }
    for (what, error) in
        [("picture", recording.video_time_error(FPS.into())), ("sound", recording.sound_time_error(samples))]
    {
        if error > ROUNDING {
            wrong.push(format!("{what} is up to {:.1} ms off its grid", error * 1e3));
        }
    }
    if !recording.pictures.first().is_some_and(|p| p.key) {
        wrong.push("does not begin with a keyframe".to_owned());
    }
    wrong
}

/// The encoders' own counts: one unit per place of the grid, whatever the number of destinations.
fn assert_encoded_once(rig: &Rig) {
    let status = rig.wait("a worker's report", |s| (!s.workers.is_empty() && s.plane.is_some()).then(|| s.clone()));
    let plane = status.plane.expect("waited for");
    for stream in &status.workers[0].streams {
        let sent = plane.renditions.iter().find(|r| r.id == stream.rendition).expect("what is encoded is sent");
        println!(
            "    {}: {} encoded by {}, {} sent, {} late, {} not taken",
            stream.rendition, stream.encoded, stream.encoder, sent.live, sent.late, stream.overflowed
        );
        assert_eq!(stream.overflowed, 0, "the data plane did not take units of {}", stream.rendition);
        // The two reports are up to half a second apart, and encoding starts before going on air.
        let slack = u64::from(FPS) * 5;
        assert!(
            stream.encoded.abs_diff(sent.live + sent.late) < slack,
            "{}: {} encoded, but {} sent once each",
            stream.rendition,
            stream.encoded,
            sent.live
        );
    }
}

#[test]
fn a_film_plays_to_a_server_with_its_sound() {
    let mut rig = Rig::alone("film");
    let mut ffmpeg = Ffmpeg::start(&rig.guard, rig.dir(), "ffmpeg");
    rig.configure(
        &Configuration::new(25)
            .file("film", &crate::support::tools::film())
            .rendition("main", "h264", "640x360", "700k", "aac")
            .destination("ffmpeg", "main", &ffmpeg.url()),
    );
    rig.go_on_air("film");
    rig.wait_publishing(&["ffmpeg"]);
    // The film is five seconds long: it must have begun again twice.
    rig.let_pass(13);
    rig.order(Command::Stop);
    let recording = ffmpeg.recording();
    rig.shut_down();

    assert!(recording.seconds() > 11.0, "only {:.1} s", recording.seconds());
    assert_eq!(recording.backwards(), 0, "time went back");
    assert!(recording.video_time_error(25.0) < ROUNDING, "pictures are off the grid");
    assert!(recording.sound_time_error(1024) < ROUNDING, "sound is off the grid");
    let heard = crate::support::picture::loudness(&ffmpeg.file);
    println!("    mean volume {heard:.1} dB");
    assert!(heard > -50.0, "the film's sound is silence: {heard} dB");
    assert!(ffmpeg.process.finish(Duration::from_secs(1)).success());
}
