//! RTSP: we watch GStreamer's server.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use holdfast::config::{RtspInput, RtspLogin, RtspTransport, Secret};
use holdfast::ingest::arrival::{Arrival, Network};
use holdfast::ingest::rtsp::watch;
use holdfast::model::{AccessUnit, Codec, FrameRate, InputId, Track, TrackFormat, VideoFormat};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use crate::support::bytes::{Film, Packet};
use crate::support::process::{Guard, Process, free_port};
use crate::support::wait::{wait_for, wait_until};

const NO_ANSWER: &str = "takes the connection and does not answer";
/// Far above what anything takes.
const BOUND: Duration = Duration::from_secs(60);

/// A camera, and where it is.
struct Camera {
    dir: TempDir,
    guard: Guard,
    port: u16,
    arguments: Vec<String>,
}

impl Camera {
    fn new(arguments: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let guard = Guard::new(dir.path());
        Self { guard, dir, port: free_port(), arguments: arguments.iter().map(|&text| text.to_owned()).collect() }
    }

    fn with_film(encoder: &str, codec: &str) -> (Self, Film) {
        let mut camera = Self::new(&["--codec", codec]);
        let film = Film::make(camera.dir.path(), encoder, 5);
        camera.arguments.extend(["--film".to_owned(), film.file.display().to_string()]);
        (camera, film)
    }

    /// Starts it and waits until it listens.
    fn start(&self, name: &str) -> Process {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ingest/rtsp_server.py");
        let mut command = Command::new("/usr/bin/python3");
        command.arg(script).arg(self.port.to_string()).args(&self.arguments);
        let mut process = self.guard.spawn(name, &mut command);
        wait_until("the camera to listen", BOUND, || {
            assert!(process.is_running(), "{}", process.log());
            process.log().contains("ready")
        });
        process
    }

    fn at(&self, path: &str, transport: RtspTransport) -> RtspInput {
        RtspInput { url: format!("rtsp://127.0.0.1:{}/{path}", self.port), login: None, transport }
    }
}

/// What arrives, and when.
struct Watched {
    arrivals: Arc<Mutex<Vec<(Instant, Arrival)>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Watched {
    fn new(settings: RtspInput) -> Self {
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let (stop, mut stopped) = oneshot::channel();
        let into = Arc::clone(&arrivals);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            LocalSet::new().block_on(&runtime, async move {
                let (out, mut taken) = mpsc::channel(64);
                let watching = tokio::task::spawn_local(watch(InputId::new("camera").unwrap(), settings, out));
                loop {
                    tokio::select! {
                        arrival = taken.recv() => into.lock().unwrap().push((Instant::now(), arrival.unwrap())),
                        _ = &mut stopped => break,
                    }
                }
                drop(taken);
                tokio::time::timeout(BOUND, watching).await.expect("it ends when nobody listens").unwrap();
            });
        });
        Self { arrivals, stop: Some(stop), thread: Some(thread) }
    }

    fn arrivals(&self) -> Vec<(Instant, Arrival)> {
        self.arrivals.lock().unwrap().clone()
    }

    /// Waits for an arrival after the first `from`; how many there were then, and what was found.
    fn wait<T>(&self, what: &str, from: usize, find: impl Fn(&Arrival) -> Option<T>) -> (usize, Instant, T) {
        wait_for(what, BOUND, || {
            let arrivals = self.arrivals.lock().unwrap();
            let mut found = arrivals.iter().enumerate().skip(from);
            found.find_map(|(n, (when, arrival))| find(arrival).map(|found| (n + 1, *when, found)))
        })
    }

    /// The end of a session, or another reason why there is none than that the server takes its time, as it does on a busy
    /// machine.
    fn wait_for_end(&self, from: usize) -> (usize, Instant, String) {
        let end = self.wait("the session to end", from, |arrival| match arrival {
            Arrival::Ended { why } if !why.ends_with(NO_ANSWER) => Some(why.clone()),
            _ => None,
        });
        println!("              {}", end.2);
        end
    }

    fn wait_for_picture(&self, from: usize) -> (usize, Instant, AccessUnit) {
        self.wait("a picture", from, |arrival| match arrival {
            Arrival::Unit(unit) if unit.track == Track::Video => Some(unit.clone()),
            _ => None,
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

/// What arrived in the last session.
fn last_session(arrivals: &[(Instant, Arrival)]) -> &[(Instant, Arrival)] {
    let began = arrivals.iter().rposition(|(_, arrival)| matches!(arrival, Arrival::Began { .. }));
    &arrivals[began.expect("a session began")..]
}

fn units(arrivals: &[(Instant, Arrival)], track: Track) -> Vec<AccessUnit> {
    let unit = |arrival: &Arrival| match arrival {
        Arrival::Unit(unit) if unit.track == track => Some(unit.clone()),
        _ => None,
    };
    arrivals.iter().filter_map(|(_, arrival)| unit(arrival)).collect()
}

fn network(arrivals: &[(Instant, Arrival)]) -> Network {
    let mut sum = Network::default();
    for (_, arrival) in arrivals {
        if let Arrival::Network(report) = arrival {
            sum.over += report.over;
            sum.packets += report.packets;
            sum.lost += report.lost;
            sum.bytes += report.bytes;
        }
    }
    sum
}

/// Watches the whole film and compares every packet.
fn film_arrives_whole(encoder: &str, parser: &str, codec: Codec, transport: RtspTransport) {
    let (camera, film) = Camera::with_film(encoder, parser);
    let _server = camera.start("camera");
    let watched = Watched::new(camera.at("film", transport));
    let (n, _, why) = watched.wait_for_end(0);
    assert!(why.ends_with("ended the stream"), "{why}");
    let arrivals = watched.arrivals();
    let session = last_session(&arrivals[..n]);
    let Arrival::Began { from } = &session[0].1 else { panic!("{:?}", session[0]) };
    assert!(from.contains(&format!("127.0.0.1:{}, GStreamer", camera.port)), "{from}");
    assert!(!session.iter().any(|(_, arrival)| matches!(arrival, Arrival::TimeBase)), "time goes on");

    let pictures = units(session, Track::Video);
    assert_eq!(pictures.len(), film.pictures.len());
    let format = VideoFormat { width: 320, height: 180, rate: FrameRate::whole(30) };
    let mut decoded = i64::MIN;
    for (n, (got, sent)) in pictures.iter().zip(&film.pictures).enumerate() {
        assert!(got.payload == sent.bytes, "picture {n}: {} bytes for {}", got.payload.len(), sent.bytes.len());
        assert_eq!((got.config.codec, got.config.format), (codec, TrackFormat::Video(format)));
        assert!(got.dts <= got.pts && got.dts.0 > decoded, "picture {n}: {:?} after {decoded}", got.dts);
        decoded = got.dts.0;
    }
    let sound = units(session, Track::Audio);
    // What is cut off the tone's beginning is the server's business.
    let cut = film.sound.iter().position(|packet| sound[0].payload == packet.bytes).expect("a packet of the film");
    assert!(cut <= 3 && sound.len() >= film.sound.len() - 4, "{cut}, {} of {}", sound.len(), film.sound.len());
    for (got, sent) in sound.iter().zip(&film.sound[cut..]) {
        assert!(got.payload == sent.bytes && got.key);
    }
    // Both are where they are in the film, but for where the film begins.
    let origin = pictures[0].pts.0 - film.pictures[0].at;
    let off = |got: &[AccessUnit], sent: &[Packet]| {
        got.iter().zip(sent).map(|(got, sent)| (got.pts.0 - sent.at - origin).abs()).max().unwrap()
    };
    let (picture, sound) = (off(&pictures, &film.pictures), off(&sound, &film.sound[cut..]));
    let report = network(session);
    println!("    picture {picture} ns, sound {sound} ns off; {report:?}; decoded {:?}", decoded - pictures[0].dts.0);
    assert!(picture <= 100_000 && sound <= 5_000_000, "picture {picture} ns, sound {sound} ns");
    assert_eq!(report.lost, 0);
    assert!(report.packets > 0 && report.bytes > 0);
}

#[test]
fn h264_and_aac_over_tcp_arrive_packet_by_packet() {
    film_arrives_whole("libx264", "h264", Codec::H264, RtspTransport::Tcp);
}

#[test]
fn h264_and_aac_over_udp_arrive_packet_by_packet() {
    film_arrives_whole("libx264", "h264", Codec::H264, RtspTransport::Udp);
}

#[test]
fn hevc_and_aac_over_tcp_arrive_packet_by_packet() {
    film_arrives_whole("libx265", "h265", Codec::Hevc, RtspTransport::Tcp);
}

#[test]
fn hevc_and_aac_over_udp_arrive_packet_by_packet() {
    film_arrives_whole("libx265", "h265", Codec::Hevc, RtspTransport::Udp);
}

#[test]
fn what_is_wrong_is_said_once_in_words_without_the_password() {
    const PASSWORD: &str = "open-sesame-7";
    let login = |password: &str| Some(RtspLogin { user: "viewer".to_owned(), password: Secret::new(password) });
    for kind in ["--basic", "--digest"] {
        let camera = Camera::new(&[kind, "viewer", PASSWORD]);
        let _server = camera.start("camera");
        let with = |path: &str, login| RtspInput { login, ..camera.at(path, RtspTransport::Tcp) };
        let first = |settings| {
            let watched = Watched::new(settings);
            let (n, _, why) = watched.wait_for_end(0);
            let is_end = |arrival: &(Instant, Arrival)| matches!(arrival.1, Arrival::Ended { .. });
            assert!(watched.arrivals()[..n].iter().all(is_end), "nothing began");
            (watched, n, why)
        };
        let (wrong, n, why) = first(with("live", login("open-sesame")));
        assert!(why.ends_with("does not accept the user name and password") && !why.contains("sesame"), "{why}");
        let (_, _, why) = first(with("live", None));
        assert!(why.ends_with("wants a user name and a password"), "{why}");
        let (_, _, why) = first(with("nowhere", login(PASSWORD)));
        assert!(why.ends_with("has nothing at this path (404)") && !why.contains("sesame"), "{why}");
        Watched::new(with("live", login(PASSWORD))).wait_for_picture(0);
        assert_eq!(wrong.arrivals().len(), n, "the same words are not said again: {:?}", wrong.arrivals());
    }
}

#[test]
fn what_we_do_not_speak_is_refused_or_left_aside_by_name() {
    let camera = Camera::new(&[]);
    let unreachable = Watched::new(camera.at("live", RtspTransport::Tcp));
    let (n, _, why) = unreachable.wait_for_end(0);
    assert!(why.starts_with("cannot connect to 127.0.0.1:") && why.contains("refused"), "{why}");
    let _server = camera.start("camera");
    unreachable.wait_for_picture(n);

    let motion = Watched::new(camera.at("motion", RtspTransport::Tcp));
    let (_, _, why) = motion.wait_for_end(0);
    assert!(why.ends_with("offers no picture in H.264 or HEVC, but JPEG"), "{why}");

    let talk = Watched::new(camera.at("talk", RtspTransport::Tcp));
    let (n, _, picture) = talk.wait_for_picture(0);
    assert!(picture.key, "the first picture is one to begin with");
    let arrivals = talk.arrivals();
    let Arrival::Began { from } = &last_session(&arrivals)[0].1 else { panic!("{:?}", arrivals[0]) };
    assert!(from.ends_with("PCMU is left aside"), "{from}");
    talk.wait("a report", n, |arrival| matches!(arrival, Arrival::Network(_)).then_some(()));
    assert!(units(&talk.arrivals(), Track::Audio).is_empty());
}

#[test]
fn a_camera_that_is_killed_is_watched_again_when_it_is_back() {
    for transport in [RtspTransport::Tcp, RtspTransport::Udp] {
        let camera = Camera::new(&[]);
        let first = camera.start("first");
        let watched = Watched::new(camera.at("live", transport));
        let (n, _, _) = watched.wait_for_picture(0);
        watched.wait("sound", n, |arrival| match arrival {
            Arrival::Unit(unit) if unit.track == Track::Audio => Some(()),
            _ => None,
        });
        first.signal(Signal::SIGKILL);
        let (n, _, _) = watched.wait_for_end(n);
        let _second = camera.start("second");
        let (began, _, ()) = watched.wait("another session", n, |arrival| match arrival {
            Arrival::Began { .. } => Some(()),
            _ => None,
        });
        let (_, _, picture) = watched.wait_for_picture(began);
        assert!(picture.key);
        let between = &watched.arrivals()[n..began - 1];
        assert!(between.iter().all(|(_, arrival)| matches!(arrival, Arrival::Ended { .. })), "{between:?}");
    }
}

#[test]
fn a_camera_that_stops_without_a_word_is_given_up_after_three_seconds() {
    let camera = Camera::new(&[]);
    let server = camera.start("camera");
    let watched = Watched::new(camera.at("live", RtspTransport::Tcp));
    let (n, _, _) = watched.wait_for_picture(0);
    watched.wait("a report", n, |arrival| matches!(arrival, Arrival::Network(_)).then_some(()));
    server.signal(Signal::SIGSTOP);
    let (n, ended, why) = watched.wait_for_end(n);
    let arrivals = watched.arrivals();
    let last = arrivals[..n].iter().rev().find(|(_, arrival)| matches!(arrival, Arrival::Unit(_))).unwrap().0;
    let silence = ended - last;
    println!("    given up after {silence:?}");
    assert!(why.ends_with("for 3 s"), "{why}");
    assert!(silence >= Duration::from_millis(2900) && silence < Duration::from_secs(8), "{silence:?}");
    let (n, _, ()) = watched.wait("another attempt to fail", n, |arrival| match arrival {
        Arrival::Ended { why } => why.ends_with(NO_ANSWER).then_some(()),
        _ => None,
    });
    server.signal(Signal::SIGCONT);
    watched.wait_for_picture(n);
}

#[test]
fn what_is_lost_over_udp_is_counted_and_the_rest_goes_on() {
    let camera = Camera::new(&["--loss", "0.05"]);
    let _server = camera.start("camera");
    let watched = Watched::new(camera.at("lossy", RtspTransport::Udp));
    let report = wait_for("eight seconds of losses", BOUND, || {
        let report = network(&watched.arrivals());
        (report.over >= Duration::from_secs(8)).then_some(report)
    });
    let arrivals = watched.arrivals();
    let pictures = units(&arrivals, Track::Video);
    let share = report.lost as f64 / report.packets as f64;
    println!("    {} pictures; {report:?}: {:.1} % lost", pictures.len(), 100.0 * share);
    // A picture of 600 kbit/s at 25 a second is two to three packets, and sound, of which nothing is lost, is one.
    assert!((0.005..0.12).contains(&share), "{report:?}");
    assert!(pictures.len() > 50 && pictures.windows(2).all(|pair| pair[0].dts <= pair[1].dts));
    assert!(!arrivals.iter().any(|(_, arrival)| matches!(arrival, Arrival::Ended { .. } | Arrival::TimeBase)));
}
