//! What newer codecs become behind the relay, and sound in packets of unusual lengths.
//!
//! FFmpeg sends HEVC and Opus. AV1 it cannot put into a transport stream by the published mapping, so there the sender is
//! Holdfast's own output.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast::model::Track;

use crate::support::film::{AAC, Film, H264, Make, TAIL, after_film, found_in, pictures, timed_pictures, timed_sound};
use crate::support::process::{Process, free_port, is_listening};
use crate::support::receiver::{Admission, Certificate, NodeMediaServer};
use crate::support::rig::{PASSPHRASE, Rig, START};
use crate::support::wait::wait_until;
use crate::support::{sender, tools};

const END: Duration = Duration::from_secs(30);
const HEVC: &[&str] = &[
    "-c:v",
    "libx265",
    "-preset",
    "ultrafast",
    "-x265-params",
    "log-level=none:bframes=2:keyint=30:min-keyint=30:scenecut=0:open-gop=0",
    "-pix_fmt",
    "yuv420p",
];
const OPUS: &[&str] = &["-c:a", "libopus", "-b:a", "96k", "-ac", "2"];
const SECONDS: u32 = 6;

/// A relay whose programme goes to FFmpeg over Enhanced RTMP, to node-media-server over RTMPS, and into a recording.
struct Audience {
    rig: Rig,
    relay: Process,
    ffmpeg: Process,
    file: PathBuf,
    server: NodeMediaServer,
}

impl Audience {
    fn start() -> Self {
        let port = free_port();
        let rig = Rig::new().programme("church", true).recording("church").destination("church", port);
        let dir = rig.dir.path().to_owned();
        let certificate = Certificate::for_name(&dir, "localhost");
        let server = NodeMediaServer::start(&rig.guard, &dir, "nms", &certificate, Admission::Open);
        let authority = format!("ca_file = \"{}\"", certificate.authority.display());
        let rig = rig.output("church", "tls", &server.tls_url("localhost"), &authority, "key = \"over-tls\"");
        let file = dir.join("ffmpeg.mkv");
        let mut command = tools::ffmpeg();
        command
            .args(["-listen", "1", "-timeout", "60", "-i", &format!("rtmp://127.0.0.1:{port}/live/most-secret")])
            .args(["-map", "0", "-c", "copy", "-copyts", "-flush_packets", "1", "-y"])
            .arg(&file);
        let ffmpeg = rig.guard.spawn("ffmpeg", &mut command);
        wait_until("FFmpeg to listen", START, || is_listening(port));
        let relay = rig.start();
        Self { rig, relay, ffmpeg, file, server }
    }

    /// Waits for the sender's end, and for what everybody has got: each picture once, and the sound as it was sent.
    fn judge(mut self, codec: &str, film: &Film, sound: &[(i64, String)]) {
        let last = self.rig.wait_for("the sender to have gone", "church", |s| s["sender"].is_null());
        assert_eq!((&last["picture"]["codec"], &last["picture"]["sound"]), (&codec.into(), &"opus".into()), "{last}");
        assert_eq!((&last["totals"]["missing"], &last["totals"]["continuity_errors"]), (&0.into(), &0.into()));
        let sounds: Vec<_> = last["renditions"].as_array().into_iter().flatten().map(|r| &r["id"]).collect();
        assert!(sounds.iter().any(|id| **id == "opus"), "{sounds:?}");
        for output in last["outputs"].as_array().unwrap() {
            assert_eq!((&output["sessions"], &output["lost"]), (&1.into(), &0.into()), "{output}");
        }
        self.rig.end(&mut self.relay);
        self.ffmpeg.finish(END);
        let recorded = self.rig.recorded_files("church").remove(0);
        let served = self.server.files("over-tls");
        assert_eq!(served.len(), 1, "{served:?}");
        for (name, file) in [("FFmpeg", &self.file), ("node-media-server", &served[0]), ("the recording", &recorded)] {
            // The server's file grows until it has read everything; the last picture may be missing, see after_film.
            wait_until(&format!("{name} to have it all"), START, || pictures(file).len() + 1 >= film.pictures.len());
            same(name, file, film, sound);
        }
    }
}

fn same(name: &str, file: &Path, film: &Film, sound: &[(i64, String)]) {
    let got = timed_pictures(file);
    let digests: Vec<String> = got.iter().map(|(_, digest)| digest.clone()).collect();
    assert!(after_film(&digests, film, 0).is_empty(), "{name} got more than the film");
    // Containers' times are whole milliseconds, or better. Among the last three one may be missing, see after_film.
    let steps = got[..got.len().saturating_sub(3)].windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(steps.clone().all(|step| (2900..=3100).contains(&step)), "{name}: {:?}", steps.collect::<Vec<_>>());
    // The end may be silence of the relay's.
    let got = timed_sound(file, false);
    let packets = sound.len() * 9 / 10;
    assert!(got.len() >= packets, "{name}: {} of {} packets of sound", got.len(), sound.len());
    let begin = found_in(&got[..packets], sound).unwrap_or_else(|| panic!("{name}: packets of sound are missing"));
    println!("{name}: {} pictures, {} packets of sound, the first is number {begin}", digests.len(), got.len());
}

#[test]
fn hevc_and_opus_reach_enhanced_rtmp_and_the_recording() {
    let audience = Audience::start();
    let make = Make { seconds: SECONDS, size: "320x180", picture: HEVC, sound: OPUS, mux: &[], tail: TAIL };
    let film = Film::make(audience.rig.dir.path(), "film", make);
    let query = format!("streamid=church-id&passphrase={PASSPHRASE}");
    let mut sender = audience.rig.sender("sender", &film, 0, &query);
    assert!(sender.finish(END).success(), "{}", sender.log());
    let sound = timed_sound(&film.file, false);
    audience.judge("hevc", &film, &sound);
}

#[test]
fn av1_and_opus_reach_enhanced_rtmp_and_the_recording() {
    let audience = Audience::start();
    let dir = audience.rig.dir.path();
    // The sound comes out of a transport stream of its own; AV1 is put beside it.
    let make = Make { seconds: SECONDS, size: "160x90", picture: H264, sound: OPUS, mux: &[], tail: TAIL };
    let with_sound = Film::make(dir, "sound", make);
    let mut units = sender::units_of(&std::fs::read(&with_sound.file).unwrap());
    units.retain(|unit| unit.track == Track::Audio);
    let file = dir.join("film.obu");
    let mut command = tools::ffmpeg();
    let picture = format!("testsrc2=size=320x180:rate=30:duration={SECONDS}");
    command.args(["-f", "lavfi", "-i", &picture, "-c:v", "libsvtav1", "-preset", "11", "-g", "30"]);
    // No picture depends on a later one: one temporal unit each.
    command.args(["-svtav1-params", "pred-struct=1", "-pix_fmt", "yuv420p", "-f", "obu", "-y"]).arg(&file);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let film = Film { pictures: pictures(&file), file: file.clone() };
    assert_eq!(film.pictures.len(), 30 * SECONDS as usize);
    units.extend(sender::av1_units_of(&file, units[0].dts));
    units.sort_by_key(|unit| unit.dts);
    let (sender, _) = sender::send(units, &[SocketAddr::from((Ipv4Addr::LOCALHOST, audience.rig.ports[0]))]);
    sender.join().unwrap();
    let sound = timed_sound(&with_sound.file, false);
    audience.judge("av1", &film, &sound);
}

/// Half as long as usual: twice as many as the places that the box's own sound has.
#[test]
fn sound_in_short_packets_loses_none() {
    let rig = Rig::new().programme("church", true).recording("church").programme("guest", false).recording("guest");
    let mut relay = rig.start();
    let opus = [OPUS, &["-frame_duration", "10"]].concat();
    let aac = [AAC, &["-ar", "96000"]].concat();
    let films = [("church", opus, false), ("guest", aac, true)].map(|(name, sound, is_adts)| {
        let make = Make { seconds: 5, size: "160x90", picture: H264, sound: &sound, mux: &[], tail: TAIL };
        (name, Film::make(rig.dir.path(), name, make), is_adts)
    });
    let queries = [format!("streamid=church-id&passphrase={PASSPHRASE}"), "streamid=guest-id".to_owned()];
    let senders: Vec<_> =
        films.iter().zip(&queries).map(|((name, film, _), query)| rig.sender(name, film, 0, query)).collect();
    for mut sender in senders {
        assert!(sender.finish(END).success(), "{}", sender.log());
    }
    for (name, ..) in &films {
        let last = rig.wait_for("the sender to have gone", name, |s| s["sender"].is_null());
        let late: Vec<_> = last["renditions"].as_array().into_iter().flatten().map(|r| &r["late"]).collect();
        println!("{name}: late {late:?}, {}", last["renditions"]);
    }
    rig.end(&mut relay);
    for (name, film, is_adts) in &films {
        let recorded = rig.recorded_files(name).remove(0);
        let (got, sent) = (timed_sound(&recorded, false), timed_sound(&film.file, *is_adts));
        let begin = found_in(&got, &sent).unwrap_or_else(|| panic!("{name}: packets of sound are missing"));
        println!("{name}: {} packets of {}, the first is number {begin}", got.len(), sent.len());
        assert!(got.len() + 90 >= sent.len(), "{name}: {} of {} packets", got.len(), sent.len());
        let steps: Vec<i64> = got.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
        let length = sent[1].0 - sent[0].0;
        assert!(steps.iter().all(|step| (step - length).abs() <= 90), "{name}: {steps:?} and not {length}");
    }
}
