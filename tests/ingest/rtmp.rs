//! Publishers over RTMP: FFmpeg and GStreamer, with the right words and the wrong ones, killed, frozen, and some that are none.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast::config::{RtmpInput, Secret};
use holdfast::ingest::arrival::Arrival;
use holdfast::ingest::passing::{Passing, Verdict, Wanted};
use holdfast::ingest::rtmp::{Matter, Remark, serve};
use holdfast::model::{
    AccessUnit, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat, VideoGrid,
};
use holdfast::rtmp::server::{Denial, Step};
use nix::sys::signal::Signal;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::support::film::{AAC, AV1, AV1_AHEAD, Film, H264, HEVC, HEVC_IN_ORDER, OPUS, digest};
use crate::support::process::{Guard, Process};
use crate::support::tools;
use crate::support::wait::wait_until;

/// Far above what anything here takes on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);
const KEY: &str = "most-secret";

/// An input that listens, and what it has said so far.
struct Input {
    dir: tempfile::TempDir,
    guard: Guard,
    at: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    remarks: Arc<Mutex<Vec<Remark>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Input {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::new(dir.path());
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let at = listener.local_addr().unwrap();
        let (arrivals, remarks) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
        let (stop, stopped) = oneshot::channel();
        let (into, told) = (arrivals.clone(), remarks.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let all = async {
                let settings = RtmpInput { listen: at, app: "live".to_owned(), key: Some(Secret::new(KEY)) };
                let (out, mut inbox) = mpsc::channel(16);
                let listener = TcpListener::from_std(listener).unwrap();
                let tell = move |remark: Remark| told.lock().unwrap().push(remark);
                let serving = serve(listener, InputId::new("phone").unwrap(), settings, out, tell);
                let taking = async {
                    while let Some(arrival) = inbox.recv().await {
                        into.lock().unwrap().push(arrival);
                    }
                };
                tokio::select! {
                    ((), ()) = async { tokio::join!(serving, taking) } => panic!("the input ended by itself"),
                    _ = stopped => {}
                }
            };
            tokio::task::LocalSet::new().block_on(&runtime, all);
        });
        Self { dir, guard, at, arrivals, remarks, stop: Some(stop), thread: Some(thread) }
    }

    fn url(&self, app: &str, key: &str) -> String {
        format!("rtmp://{}/{app}/{key}", self.at)
    }

    /// FFmpeg, sending the film at its own pace.
    fn ffmpeg(&self, name: &str, film: &Film, url: &str) -> Process {
        let mut command = tools::ffmpeg();
        command.args(["-re", "-i"]).arg(&film.file).args(["-map", "0", "-c", "copy", "-f", "flv", url]);
        self.guard.spawn(name, &mut command)
    }

    /// Everything that has arrived from the `session`th publisher, the first being 0.
    fn units(&self, session: usize) -> Vec<AccessUnit> {
        let (mut began, mut units) = (0, Vec::new());
        for arrival in &*self.arrivals.lock().unwrap() {
            match arrival {
                Arrival::Began { .. } => began += 1,
                Arrival::Unit(unit) if began == session + 1 => units.push(unit.clone()),
                Arrival::Unit(_) | Arrival::TimeBase | Arrival::Network(_) | Arrival::Ended { .. } => {}
            }
        }
        units
    }

    /// What happened, without media.
    fn story(&self) -> Vec<String> {
        let word = |arrival: &Arrival| match arrival {
            Arrival::Began { .. } => Some("began".to_owned()),
            Arrival::TimeBase => Some("time base".to_owned()),
            Arrival::Ended { why } => Some(why.clone()),
            Arrival::Unit(_) | Arrival::Network(_) => None,
        };
        self.arrivals.lock().unwrap().iter().filter_map(word).collect()
    }

    fn remarks(&self) -> Vec<Remark> {
        self.remarks.lock().unwrap().clone()
    }

    fn has_denied(&self, denial: &Denial) -> bool {
        self.remarks().iter().any(|remark| remark.what == Matter::Denied(denial.clone()))
    }

    /// Nothing that was said holds the key.
    fn keeps_its_secret(&self) {
        let said = format!("{:?} {:?}", self.story(), self.remarks());
        assert!(!said.contains(KEY), "{said}");
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the input's thread panicked");
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Sender {
    Ffmpeg,
    GStreamer,
}

const ENDED: &str = "the publisher ended its broadcast";

/// Each packet of the film, once, in order, with its times, and nothing else.
///
/// Tags have no times before zero, which decoding begins with where pictures are reordered. FFmpeg moves all of them; others
/// move only those that have to be, so they are not looked at.
fn same(sender: Sender, film: &Film, units: &[AccessUnit], codecs: (Codec, Codec)) {
    let base = units.iter().find(|unit| unit.track == Track::Video).unwrap().pts;
    let seconds = |time: Media| (time - base).0 as f64 / 1e9 + film.pictures[0].pts;
    for (track, sent, codec) in [(Track::Video, &film.pictures, codecs.0), (Track::Audio, &film.sound, codecs.1)] {
        let got: Vec<_> = units.iter().filter(|unit| unit.track == track).collect();
        // GStreamer leaves out the last packet of sound, half of which is after the film's end; into a file as well.
        let left_out = usize::from((sender, track) == (Sender::GStreamer, Track::Audio));
        let sent = &sent[..sent.len() - left_out];
        let bytes: usize = got.iter().map(|unit| unit.payload.len()).sum();
        println!("    {codec:?}: {} of {} packets, {bytes} bytes", got.len(), sent.len());
        let digests: Vec<String> = got.iter().map(|unit| digest(&unit.payload)).collect();
        let missing: Vec<usize> = (0..sent.len()).filter(|n| !digests.contains(&sent[*n].digest)).collect();
        assert_eq!((got.len(), missing), (sent.len(), vec![]), "{codec:?}");
        for (n, (got, sent)) in got.iter().zip(sent).enumerate() {
            let what = format!("packet {n} of {codec:?}, {} bytes for {}", got.payload.len(), sent.bytes);
            assert_eq!((digest(&got.payload), got.config.codec), (sent.digest.clone(), codec), "{what}");
            // Tags have whole milliseconds.
            let (dts, pts) = (seconds(got.dts), seconds(got.pts));
            if sender == Sender::Ffmpeg || sent.dts >= 0.0 {
                assert!((dts - sent.dts).abs() < 0.0021, "{what}: decoded at {dts} for {}", sent.dts);
                assert!((pts - sent.pts).abs() < 0.0021, "{what}: shown at {pts} for {}", sent.pts);
            }
        }
    }
}

fn published_by_ffmpeg(rate: &str, pictures: (Codec, &[&str]), sound: (Codec, &[&str])) {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", rate, 4, pictures.1, sound.1);
    let mut ffmpeg = input.ffmpeg("ffmpeg", &film, &input.url("live", KEY));
    wait_until("the publisher's end", PATIENCE, || input.story().len() >= 2);
    assert!(ffmpeg.finish(PATIENCE).success(), "{}", ffmpeg.log());
    assert_eq!(input.story(), ["began", ENDED], "{}", ffmpeg.log());
    let units = input.units(0);
    same(Sender::Ffmpeg, &film, &units, (pictures.0, sound.0));
    let TrackFormat::Video(format) = units.iter().find(|u| u.track == Track::Video).unwrap().config.format else {
        panic!("a picture without a picture's format")
    };
    let (num, den) = rate.split_once('/').unwrap_or((rate, "1"));
    assert_eq!((format.width, format.height), (320, 180));
    assert_eq!((format.rate.num.to_string(), format.rate.den.to_string()), (num.to_owned(), den.to_owned()));
    let reports: Vec<_> = input
        .arrivals
        .lock()
        .unwrap()
        .iter()
        .filter_map(|a| if let Arrival::Network(n) = a { Some(*n) } else { None })
        .collect();
    println!("    {reports:?}");
    assert!(reports.len() >= 3 && reports.iter().any(|n| n.bytes > 0 && n.rtt.is_some_and(|rtt| rtt < PATIENCE)));
    assert_eq!(input.remarks(), []);
    input.keeps_its_secret();
    assert!(
        matches!(&input.arrivals.lock().unwrap()[0], Arrival::Began { from } if from.starts_with("127.0.0.1:") && from.contains("Lavf"))
    );
}

#[test]
fn h264_and_aac_from_ffmpeg_arrive_once_and_in_order() {
    published_by_ffmpeg("30000/1001", (Codec::H264, H264), (Codec::Aac, AAC));
}

#[test]
fn hevc_and_opus_from_ffmpeg_arrive_over_enhanced_rtmp() {
    published_by_ffmpeg("25", (Codec::Hevc, HEVC), (Codec::Opus, OPUS));
}

#[test]
fn av1_and_aac_from_ffmpeg_arrive_over_enhanced_rtmp() {
    published_by_ffmpeg("50", (Codec::Av1, AV1), (Codec::Aac, AAC));
}

/// What becomes of a film of `codec` that FFmpeg publishes, on its way past the encoders: the film, and its units on our grid.
fn passed(codec: Codec, picture: &[&str]) -> (Film, Passing, Vec<AccessUnit>) {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 3, picture, AAC);
    let mut ffmpeg = input.ffmpeg("ffmpeg", &film, &input.url("live", KEY));
    wait_until("the publisher's end", PATIENCE, || input.story().len() >= 2);
    assert!(ffmpeg.finish(PATIENCE).success(), "{}", ffmpeg.log());
    let mut passing = Passing::new(Wanted {
        input: InputId::new("remote").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        codec,
        picture: VideoFormat { width: 320, height: 180, rate: FrameRate::whole(30) },
        sound: RenditionId::new("aac-96k").unwrap(),
        sound_codec: Codec::Aac,
    });
    let units = input.units(0);
    let sound = units.iter().find(|unit| unit.track == Track::Audio).unwrap().clone();
    // So that the sound is described before the first picture.
    passing.unit(sound);
    let out = units.into_iter().flat_map(|unit| passing.unit(unit)).filter(|unit| unit.track == Track::Video);
    let out = out.collect();
    (film, passing, out)
}

#[test]
fn hevc_and_av1_from_ffmpeg_go_on_air_as_they_are_where_the_rendition_has_them() {
    let grid = VideoGrid(FrameRate::whole(30));
    for (codec, picture) in [(Codec::Hevc, HEVC_IN_ORDER), (Codec::Av1, AV1), (Codec::Av1, AV1_AHEAD)] {
        let (film, passing, out) = passed(codec, picture);
        println!("    {codec:?}: {} of {} pictures, {:?}", out.len(), film.pictures.len(), passing.verdict());
        assert_eq!(*passing.verdict(), Verdict::Passes, "{codec:?}");
        // The last one waits for the one after it.
        assert_eq!(out.len(), film.pictures.len() - 1, "{codec:?}");
        for (unit, sent) in out.iter().zip(&film.pictures) {
            assert_eq!(digest(&unit.payload), sent.digest, "{codec:?} at {}", sent.pts);
        }
        let places: Vec<i64> = out.iter().map(|unit| grid.nearest(unit.pts)).collect();
        assert!(places.windows(2).all(|pair| pair[1] == pair[0] + 1), "{codec:?}: {places:?}");
        assert!(out.iter().all(|unit| unit.dts == unit.pts && unit.pts == grid.time_of(grid.nearest(unit.pts))));
    }
}

#[test]
fn hevc_with_b_pictures_or_for_another_rendition_is_decoded_and_told_why() {
    let (_, passing, out) = passed(Codec::Hevc, HEVC);
    let Verdict::Differs(why) = passing.verdict() else { panic!("{:?}", passing.verdict()) };
    println!("    {why}");
    assert!(why.contains("reordered, by up to") && out.is_empty(), "{why}");
    let (_, passing, out) = passed(Codec::Av1, HEVC_IN_ORDER);
    let Verdict::Differs(why) = passing.verdict() else { panic!("{:?}", passing.verdict()) };
    assert!(why == "it is HEVC, and the rendition AV1" && out.is_empty(), "{why}");
}

#[test]
fn who_guesses_is_not_looked_at_and_who_knows_the_key_is_let_in_after_a_pause() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 2, H264, AAC);
    let is_paused = || input.remarks().iter().any(|remark| matches!(remark.what, Matter::Denied(Denial::Guesses(_))));
    let mut tries = 0;
    while !is_paused() {
        tries += 1;
        // The pauses grow until the next try falls into one, however slow this machine is.
        assert!(tries < 12, "never paused: {:?}", input.remarks());
        let mut ffmpeg = input.ffmpeg("guesser", &film, &input.url("live", &format!("guess-{tries}")));
        assert!(!ffmpeg.finish(PATIENCE).success());
    }
    let began = Instant::now();
    // Its key is not looked at either, until the pause is over.
    while !input.story().contains(&"began".to_owned()) {
        assert!(began.elapsed() < PATIENCE * 3, "{:?}", input.remarks());
        let mut ffmpeg = input.ffmpeg("publisher", &film, &input.url("live", KEY));
        ffmpeg.finish(PATIENCE);
    }
    println!("    paused at the {tries}th try, let in {:?} later; {:?}", began.elapsed(), input.remarks());
    input.keeps_its_secret();
}

#[test]
fn h264_and_aac_from_gstreamer_arrive_once_and_in_order() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 4, H264, AAC);
    let mut command = std::process::Command::new("gst-launch-1.0");
    let file = format!("location={}", film.file.display());
    let to = format!("location={}", input.url("live", KEY));
    command.args(["-e", "filesrc", &file, "!", "qtdemux", "name=d", "flvmux", "name=m", "streamable=true", "!"]);
    command.args(["rtmp2sink", &to, "d.video_0", "!", "queue", "!", "h264parse", "!", "m.video"]);
    command.args(["d.audio_0", "!", "queue", "!", "aacparse", "!", "m.audio"]);
    let mut gstreamer = input.guard.spawn("gstreamer", &mut command);
    wait_until("the publisher's end", PATIENCE, || input.story().len() >= 2);
    assert!(gstreamer.finish(PATIENCE).success(), "{}", gstreamer.log());
    same(Sender::GStreamer, &film, &input.units(0), (Codec::H264, Codec::Aac));
    assert_eq!((input.story(), input.remarks()), (vec!["began".to_owned(), ENDED.to_owned()], vec![]));
}

#[test]
fn who_has_the_wrong_key_or_application_is_told_so_and_publishes_nothing() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 2, H264, AAC);
    let wrong = [
        ("key", input.url("live", "guess"), Denial::WrongKey, "Wrong stream key"),
        ("app", input.url("life", KEY), Denial::WrongApp, "No such application here"),
    ];
    for (name, url, denial, printed) in wrong {
        let mut ffmpeg = input.ffmpeg(name, &film, &url);
        assert!(!ffmpeg.finish(PATIENCE).success());
        println!("    {}", ffmpeg.log().trim());
        assert!(ffmpeg.log().contains(printed), "{}", ffmpeg.log());
        wait_until("the denial", PATIENCE, || input.has_denied(&denial));
    }
    let to = format!("location={}", input.url("live", "guess"));
    let mut command = std::process::Command::new("gst-launch-1.0");
    command.args([
        "videotestsrc",
        "num-buffers=30",
        "!",
        "x264enc",
        "!",
        "flvmux",
        "streamable=true",
        "!",
        "rtmp2sink",
        &to,
    ]);
    let mut gstreamer = input.guard.spawn("gstreamer", &mut command);
    assert!(!gstreamer.finish(PATIENCE).success());
    println!("    {}", gstreamer.log().trim());
    assert!(gstreamer.log().contains("Wrong stream key"), "{}", gstreamer.log());
    assert_eq!(input.story(), Vec::<String>::new());
    input.keeps_its_secret();
}

#[test]
fn a_publisher_that_is_killed_ends_at_once_and_begins_again() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 8, H264, AAC);
    let mut first = input.ffmpeg("first", &film, &input.url("live", KEY));
    wait_until("pictures of the first", PATIENCE, || input.units(0).len() > 100);
    first.signal(Signal::SIGKILL);
    let killed = Instant::now();
    wait_until("its end", PATIENCE, || input.story().len() == 2);
    println!("    {:.3} s after it was killed", killed.elapsed().as_secs_f64());
    first.finish(PATIENCE);
    let mut second = input.ffmpeg("second", &film, &input.url("live", KEY));
    wait_until("the second's end", PATIENCE, || input.story().len() == 4);
    assert!(second.finish(PATIENCE).success(), "{}", second.log());
    let story = input.story();
    assert_eq!((story[0].as_str(), story[2].as_str(), story[3].as_str()), ("began", "began", ENDED));
    assert_ne!(story[1], ENDED);
    same(Sender::Ffmpeg, &film, &input.units(1), (Codec::H264, Codec::Aac));
    // The first's are the film's beginning.
    let got: Vec<_> = input.units(0).iter().filter(|u| u.track == Track::Video).map(|u| digest(&u.payload)).collect();
    assert!(film.pictures.iter().map(|packet| &packet.digest).take(got.len()).eq(&got));
}

#[test]
fn a_second_publisher_is_refused_while_the_first_is_there_and_taken_when_that_is_frozen() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 12, H264, AAC);
    let first = input.ffmpeg("first", &film, &input.url("live", KEY));
    wait_until("pictures of the first", PATIENCE, || input.units(0).len() > 60);
    let mut second = input.ffmpeg("second", &film, &input.url("live", KEY));
    assert!(!second.finish(PATIENCE).success());
    println!("    {}", second.log().trim());
    assert!(second.log().contains("Another publisher is live"), "{}", second.log());
    assert!(input.has_denied(&Denial::Taken));
    assert_eq!(input.story(), ["began"]);
    first.signal(Signal::SIGSTOP);
    let frozen = Instant::now();
    // It tries until it is let in, as encoders do.
    let mut tries = 0;
    let mut third = loop {
        tries += 1;
        let mut third = input.ffmpeg("third", &film, &input.url("live", KEY));
        wait_until("the third to be refused or let in", PATIENCE, || input.story().len() >= 3 || !third.is_running());
        if input.story().len() >= 3 {
            break third;
        }
        assert!(frozen.elapsed() < PATIENCE);
    };
    println!("    let in {:.3} s after the first was frozen, at try {tries}", frozen.elapsed().as_secs_f64());
    assert!(frozen.elapsed() > Duration::from_millis(1500));
    assert_eq!(input.story()[1..], ["it was silent, and another publisher came", "began"]);
    first.signal(Signal::SIGCONT);
    wait_until("the third's end", PATIENCE, || input.story().len() == 4);
    assert!(third.finish(PATIENCE).success(), "{}", third.log());
    // Nothing of the first came in between.
    same(Sender::Ffmpeg, &film, &input.units(1), (Codec::H264, Codec::Aac));
}

#[test]
fn what_is_no_publisher_is_closed_and_disturbs_none() {
    let input = Input::start();
    let film = Film::make(input.dir.path(), "film", "30", 8, H264, AAC);
    let connect = || {
        let stream = TcpStream::connect(input.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    };
    let began = Instant::now();
    // One says nothing; one begins its handshake and stops; a dozen more only connect.
    let (mut silent, mut slow) = (connect(), connect());
    slow.write_all(&[3; 700]).unwrap();
    let closed = std::thread::spawn(move || {
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).unwrap();
        silent.read_to_end(&mut rest).unwrap();
        (began.elapsed(), rest)
    });
    let mut ffmpeg = input.ffmpeg("ffmpeg", &film, &input.url("live", KEY));
    wait_until("pictures", PATIENCE, || input.units(0).len() > 30);
    let mut random = fastrand::Rng::with_seed(1);
    for first in [b'G', 22, 3] {
        let mut garbage = vec![first];
        garbage.extend(std::iter::repeat_with(|| random.u8(..)).take(60_000));
        let mut stream = connect();
        // It may be closed before it has sent all of it.
        let _ = stream.write_all(&garbage);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    wait_until("the denials", PATIENCE, || input.has_denied(&Denial::NotRtmp) && input.has_denied(&Denial::Tls));
    let (after, rest) = closed.join().unwrap();
    println!("    the silent ones were closed after {:.3} s", after.as_secs_f64());
    assert!(rest.is_empty() && after >= Duration::from_millis(4900));
    wait_until("that denial", PATIENCE, || input.has_denied(&Denial::Late(Step::Handshake)));
    // More than may be: those that came before them go, the publisher stays.
    let crowd: Vec<_> = (0..20).map(|_| connect()).collect();
    wait_until("the crowd to be told", PATIENCE, || input.has_denied(&Denial::Crowded));
    drop(crowd);
    wait_until("the publisher's end", PATIENCE, || input.story().len() == 2);
    assert!(ffmpeg.finish(PATIENCE).success(), "{}", ffmpeg.log());
    same(Sender::Ffmpeg, &film, &input.units(0), (Codec::H264, Codec::Aac));
    input.remarks().iter().for_each(|remark| println!("    {remark}"));
}
