//! Inputs that come over a network, from senders that are not ours: they are decoded and encoded again as any other input is,
//! their frames are all there, and they give way when their sender is gone.

use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};

use holdfast::events::{BoxSnapshot, Command, Event, EventKind, InputSender};
use holdfast::model::Fault;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};
use holdfast::netem::{Conditions, Loss};
use nix::sys::signal::Signal;

use crate::faults::{FPS, assert_unbroken};
use crate::instruments::{numbered, numbered_by};
use crate::support::config::Configuration;
use crate::support::film::{Film, Part};
use crate::support::picture::{Count, Recording, count};
use crate::support::process::{Process, send};
use crate::support::receiver::{Ffmpeg, Pyav};
use crate::support::results::record;
use crate::support::rig::{Rig, live};
use crate::support::tools::ffmpeg;

/// Bits per second of a sender that sends at a constant rate.
const GROUP_RATE: &str = "1500000";
const PASSPHRASE: &str = "a cable is not a wall";
/// Numbers of films' pictures are small; those of the test picture are its places on the grid since the machine started.
const FILM: std::ops::Range<u64> = 1000..10_000;

/// A box with a remote input and the test picture, on air with that until somebody sends.
struct Remote {
    rig: Rig,
    pyav: Pyav,
    /// Writes down another decoder configuration in the middle of a stream, which PyAV's files cannot.
    ffmpeg: Ffmpeg,
    film: PathBuf,
}

impl Remote {
    fn on_air(name: &'static str, input: &str, secrets: &str) -> Self {
        Self::on_air_with(name, input, secrets, ("h264", "640x360"), |dir| numbered(dir, 1800, 2))
    }

    /// With a rendition of that codec and size, and that film of 320x180.
    fn on_air_with(
        name: &'static str,
        input: &str,
        secrets: &str,
        (codec, size): (&str, &str),
        film: impl FnOnce(&Path) -> PathBuf,
    ) -> Self {
        let mut rig = Rig::new(name);
        let film = film(rig.dir());
        let pyav = Pyav::start(&rig.guard, rig.dir(), "pyav", 1);
        let (port, file) = (free_tcp_port(), rig.dir().join("ffmpeg.flv"));
        let ffmpeg = Ffmpeg::start_on(&rig.guard, rig.dir(), "ffmpeg", port, file);
        let configuration = Configuration::new(FPS)
            .add("input", "remote", &format!("{input}\nhold_off = \"500ms\"\nprobation = \"2s\""))
            .add("input", "spare", "kind = \"pattern\"")
            .rendition("main", codec, size, "700k", "aac")
            .destination("pyav", "main", &pyav.url())
            .destination("ffmpeg", "main", &ffmpeg.url())
            .secret(secrets);
        rig.configure(&configuration);
        rig.start_daemon();
        rig.wait("the spare one to deliver", |s| {
            let plane = s.plane.as_ref()?;
            plane.inputs.iter().any(|i| i.id.as_str() == "spare" && i.last_unit_ms.is_some()).then_some(())
        });
        rig.order(Command::Start);
        rig.wait_for_source(&live("spare"));
        rig.wait_publishing(&["pyav", "ffmpeg"]);
        Self { rig, pyav, ffmpeg, film }
    }

    /// FFmpeg sends the film in real time; `to` says how and where.
    fn send(&self, name: &str, to: &[&str]) -> Process {
        let mut command = ffmpeg();
        command.args(["-re", "-i"]).arg(&self.film).args(["-c", "copy"]).args(to);
        self.rig.guard.spawn(name, &mut command)
    }

    fn left(&self, after: usize) -> Event {
        self.rig.wait_event(after, "the remote input to be left", |e| {
            e.kind == EventKind::Switched && e.evidence.get("from").is_some_and(|from| from == "remote")
        })
    }

    fn sender(&self) -> Option<InputSender> {
        self.rig.status().as_ref().and_then(sender)
    }

    fn end(mut self) -> Recording {
        let output = self.rig.output("pyav");
        assert_eq!((output.sessions, output.lost), (1, 0), "it reconnected or lost units");
        self.rig.order(Command::Stop);
        assert_unbroken("pyav", &self.pyav.recording(0));
        let recording = self.ffmpeg.recording();
        self.rig.shut_down();
        recording
    }
}

fn sender(snapshot: &BoxSnapshot) -> Option<InputSender> {
    snapshot.plane.as_ref()?.inputs.iter().find(|i| i.id.as_str() == "remote")?.sender.clone()
}

/// The film's pictures that came, in each stretch of them. The last one of a sender that is killed is held until it is left.
fn shown(recording: &Recording) -> Vec<Count> {
    let is_film = |code: &Option<u64>| code.is_some_and(|code| FILM.contains(&code));
    let codes: Vec<Option<u64>> = recording.pictures.iter().map(|p| p.code).collect();
    let stretches = codes.chunk_by(|a, b| is_film(a) == is_film(b));
    stretches
        .filter(|stretch| is_film(&stretch[0]))
        .map(|stretch| {
            let held = stretch.iter().rev().take_while(|code| *code == &stretch[stretch.len() - 1]).count();
            let odd = stretch.windows(2).enumerate().filter(|(_, pair)| pair[1] != pair[0].map(|code| code + 1));
            let odd: Vec<_> = odd.map(|(n, pair)| (n, pair[0], pair[1])).take(12).collect();
            println!("    of {} pictures do not follow the one before: {odd:?}", stretch.len());
            count(stretch[..stretch.len() + 1 - held].iter().copied())
        })
        .collect()
}

fn free_tcp_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port()
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("loopback").port()
}

fn is_whole(name: &str, shown: &[Count], stretches: usize, frames: usize) {
    for (n, count) in shown.iter().enumerate() {
        println!("    {name}, stretch {}: {count}", n + 1);
        assert!((count.lost, count.repeated, count.backwards) == (0, 0, 0), "{name}: {count}");
    }
    assert_eq!(shown.len(), stretches, "{name}: {shown:?}");
    assert!(shown.iter().all(|count| count.frames >= frames), "{name}: too short, {shown:?}");
}

#[test]
fn a_sender_over_srt_is_shown_frame_by_frame_and_gives_way_when_it_or_its_worker_is_killed() {
    let port = free_port();
    let input = format!("kind = \"srt\"\nlisten = \"127.0.0.1:{port}\"\nstream_id = \"camera\"");
    let secrets = format!("[input.remote]\npassphrase = \"{PASSPHRASE}\"\n");
    let remote = Remote::on_air("remote-srt", &input, &secrets);
    let to = format!("srt://127.0.0.1:{port}?pkt_size=1316&streamid=camera&passphrase={PASSPHRASE}&latency=300000")
        .replace(' ', "%20");
    let to = ["-f", "mpegts", to.as_str()];
    let first = remote.send("first", &to);
    let begun = remote.rig.wait_switched(0, "remote");
    println!("    {}", begun.reason);
    remote.rig.let_pass(4);
    println!("    {:?}", remote.sender().expect("somebody sends"));

    // Its worker: a new one begins with the last keyframe, and need not wait for the next.
    let before = remote.rig.events().len();
    send(remote.rig.worker_pid("remote"), Signal::SIGKILL);
    println!("    {}", remote.left(before).reason);
    remote.rig.wait_switched(before, "remote");
    remote.rig.let_pass(3);

    // The sender itself, without a word.
    let before = remote.rig.events().len();
    let killed = std::time::Instant::now();
    first.signal(Signal::SIGKILL);
    let left = remote.left(before);
    println!("    left within {:?}: {}", killed.elapsed(), left.reason);
    remote.rig.wait_for_source(&live("spare"));
    assert!(left.reason.contains(Fault::Stalled.words()) || left.reason.contains("network"), "{}", left.reason);
    drop(first);
    // Nobody is let in while the first may come back.
    remote.rig.wait_event(before, "the sender to be given up", |e| e.kind == EventKind::SenderGone);
    let _second = remote.send("second", &to);
    let back = remote.rig.wait_switched(before, "remote");
    let spared = (back.mono - left.mono).to_ticks(1000);
    println!("    back after {spared} ms: {}", back.reason);
    assert!(spared >= 2000, "trusted again after {spared} ms, with a probation of 2 s");
    let hung = |e: &Event| e.reason.contains("hang") || e.reason.contains("no sign of work");
    assert!(!remote.rig.events().iter().any(hung), "a worker without a sender was taken for one that hangs");
    remote.rig.let_pass(4);
    let gone = remote.rig.events().iter().filter(|e| e.kind == EventKind::SenderGone).count();
    assert_eq!(gone, 1, "it is told once that a sender was gone");
    let shown = shown(&remote.end());
    is_whole("srt", &shown, 3, 60);
    record("remote-srt", &[("left_to_back_ms", spared.to_string()), ("frames", format!("{shown:?}"))]);
}

#[test]
fn a_sender_that_listens_is_called_until_it_answers_and_again_when_it_is_gone() {
    let port = free_port();
    let input = format!("kind = \"srt\"\nurl = \"srt://127.0.0.1:{port}\"");
    let secrets = format!("[input.remote]\npassphrase = \"{PASSPHRASE}\"\n");
    let remote = Remote::on_air("remote-call", &input, &secrets);
    let told = remote.rig.wait_event(0, "the call to fail", |e| e.kind == EventKind::Note && e.subject == "remote");
    println!("    {}", told.reason);
    assert!(!told.reason.contains(PASSPHRASE));
    let at = format!("srt://127.0.0.1:{port}?mode=listener&pkt_size=1316&passphrase={PASSPHRASE}").replace(' ', "%20");
    let to = ["-f", "mpegts", at.as_str()];
    let mut first = remote.send("first", &to);
    remote.rig.wait_switched(0, "remote");
    remote.rig.let_pass(4);
    let before = remote.rig.events().len();
    first.signal(Signal::SIGTERM);
    first.finish(crate::support::rig::PATIENCE);
    println!("    {}", remote.left(before).reason);
    let _second = remote.send("second", &to);
    remote.rig.wait_switched(before, "remote");
    remote.rig.let_pass(4);
    is_whole("srt, called", &shown(&remote.end()), 2, 60);
}

/// How many pictures the worker of the remote input has encoded for the programme.
fn encoded(rig: &Rig) -> u64 {
    let workers = rig.status().expect("holdfastd answers").workers;
    let remote = workers.into_iter().filter(|w| w.input.as_str() == "remote");
    remote.flat_map(|w| w.streams).filter(|s| s.rendition.as_str() == "main").map(|s| s.encoded).sum()
}

/// The film goes on air as it is, and again after another input was chosen for a while.
fn passes(name: &'static str, codec: &str, film: impl FnOnce(&Path) -> PathBuf) {
    let port = free_port();
    let input = format!("kind = \"srt\"\nlisten = \"127.0.0.1:{port}\"\nopen = true\npass_through = true");
    let remote = Remote::on_air_with(name, &input, "", (codec, "320x180"), film);
    let to = format!("srt://127.0.0.1:{port}?pkt_size=1316");
    let _sender = remote.send("sender", &["-f", "mpegts", &to]);
    let told = |what: &'static str| move |e: &Event| e.subject == "remote" && e.reason.contains(what);
    println!("    {}", remote.rig.wait_event(0, "it to match", told("goes on air as it is")).reason);
    remote.rig.wait_switched(0, "remote");
    remote.rig.let_pass(6);
    assert_eq!(encoded(&remote.rig), 0, "it was encoded again");
    // A change by hand and back: the switch waits for the film's next keyframe, and shows the other until then.
    for choice in ["spare", "remote"] {
        let before = remote.rig.events().len();
        assert!(remote.rig.holdfast(&["choose", choice]).status.success());
        remote.rig.wait_switched(before, choice);
        remote.rig.let_pass(3);
    }
    assert_eq!(encoded(&remote.rig), 0, "it was encoded again");
    let recording = remote.end();
    is_whole("passed through", &shown(&recording), 2, 60);
}

/// A film of 320x180 that goes on as one of 640x360, as a camera's does whose menu was used, in one transport stream.
fn changing_size(rig: &Rig) -> PathBuf {
    let mut list = String::new();
    for (first, size) in [(1200, (320, 180)), (1440, (640, 360))] {
        let film = Film::make(&rig.dir().join(format!("{first}.ts")), first, size, &[(Part::Good, 8)]);
        list += &format!("file '{}'\nduration 8.0\n", film.file.display());
    }
    let file = rig.dir().join("sizes.txt");
    std::fs::write(&file, list).expect("the run's directory is writable");
    file
}

#[test]
fn a_sender_that_changes_its_size_in_the_middle_of_the_show_loses_no_frame() {
    let port = free_port();
    let input = format!("kind = \"srt\"\nlisten = \"127.0.0.1:{port}\"\nopen = true");
    let remote = Remote::on_air("remote-size", &input, "");
    let mut command = ffmpeg();
    command.args(["-re", "-f", "concat", "-safe", "0", "-i"]).arg(changing_size(&remote.rig));
    command.args(["-c", "copy", "-f", "mpegts", &format!("srt://127.0.0.1:{port}?pkt_size=1316")]);
    let mut sender = remote.rig.guard.spawn("sender", &mut command);
    remote.rig.wait_switched(0, "remote");
    let told = |size: &'static str| {
        move |s: &BoxSnapshot| {
            let remote = s.workers.iter().find(|w| w.input.as_str() == "remote")?;
            remote.signal.contains(size).then(|| remote.signal.clone())
        }
    };
    println!("    {}", remote.rig.wait("the first size", told("320x180")));
    let worker = remote.rig.worker_pid("remote");
    let before = remote.rig.events().len();
    println!("    {}", remote.rig.wait("the second size", told("640x360")));
    assert!(sender.finish(crate::support::rig::PATIENCE).success());
    println!("    {}", remote.left(before).reason);
    assert_eq!(remote.rig.worker_pid("remote"), worker, "its worker was replaced");
    let shown = shown(&remote.end());
    // From the first keyframe that was on air to the film's end, over the change.
    is_whole("another size", &shown, 1, 240);
    assert!(shown[0].first < 1440 && shown[0].last > 1560, "{shown:?}");
    record("remote-size", &[("frames", format!("{shown:?}"))]);
}

#[test]
fn a_stream_that_is_as_the_rendition_wants_it_goes_on_air_without_being_encoded_again() {
    passes("remote-pass", "h264", |dir| numbered(dir, 1800, 0));
}

#[test]
fn so_does_one_in_hevc() {
    let options = "log-level=none:bframes=0:keyint=30:crf=20";
    let encoder = ["libx265", "-preset", "ultrafast", "-x265-params", options];
    passes("remote-pass-hevc", "hevc", |dir| numbered_by(dir, 1800, &encoder));
}

#[test]
fn a_sender_over_two_links_loses_one_of_them_and_no_frame() {
    let port = free_port();
    let input = format!("kind = \"srt\"\nlisten = \"127.0.0.1:{port}\"\nlatency = \"600ms\"");
    let secrets = format!("[input.remote]\npassphrase = \"{PASSPHRASE}\"\n");
    let remote = Remote::on_air("remote-group", &input, &secrets);
    // A constant rate, since this sender paces by nothing else.
    let film = remote.film.with_extension("cbr.ts");
    let mut command = ffmpeg();
    command.arg("-i").arg(&remote.film).args(["-c", "copy", "-f", "mpegts", "-muxrate", GROUP_RATE]).arg(&film);
    assert!(command.status().expect("FFmpeg starts").success());
    let cables = [("main", 10), ("spare", 15)].map(|(name, delay)| {
        let [listen, target] = [0, port].map(|port| std::net::SocketAddr::from(([127, 0, 0, 1], port)));
        let conditions = Conditions::delayed(std::time::Duration::from_millis(delay));
        Cable::new(name, conditions, Wiring::Udp { listen, target, from: None })
    });
    let mut network = Emulator::start(cables.into(), 7).expect("loopback");
    let ends = ["main", "spare"].map(|name| network.address(name).expect("it listens"));
    let mut command = std::process::Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.tools/bin/srt_group_peer"));
    command.args(["call", "send", "--type", "broadcast", "--latency", "600", "--passphrase", PASSPHRASE]);
    command.args(["--key-bytes", "16", "--rate", GROUP_RATE, "--file"]).arg(&film);
    command.args([format!("{},50", ends[0]), format!("{},20", ends[1])]);
    let _sender = remote.rig.guard.spawn("sender", &mut command);
    println!("    {}", remote.rig.wait_switched(0, "remote").reason);
    remote.rig.let_pass(4);
    let before = remote.rig.events().len();
    network.order("main hole").expect("the emulator obeys");
    remote.rig.let_pass(5);
    println!("    over one link: {:?}", remote.sender().expect("it still sends"));
    let switched = |e: &Event| e.kind == EventKind::Switched;
    assert!(!remote.rig.events()[before..].iter().any(switched), "another input was shown meanwhile");
    let shown = shown(&remote.end());
    is_whole("a group", &shown, 1, 240);
    record("remote-group", &[("frames", format!("{shown:?}"))]);
}

#[test]
fn loss_that_is_repaired_costs_no_frame_and_loss_that_is_not_is_a_fault_of_the_input() {
    let port = free_port();
    let listen = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let target = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let way = Conditions { loss: Loss::Random(0.05), ..Conditions::delayed(std::time::Duration::from_millis(15)) };
    let cable = Cable::new("way", way, Wiring::Udp { listen, target, from: None });
    let mut network = Emulator::start(vec![cable], 7).expect("loopback");
    let at = network.address("way").expect("it listens");
    let input = format!("kind = \"srt\"\nlisten = \"127.0.0.1:{port}\"\nopen = true\nlatency = \"400ms\"");
    let remote = Remote::on_air("remote-loss", &input, "");
    let _sender = remote.send("sender", &["-f", "mpegts", &format!("srt://{at}?pkt_size=1316&latency=400000")]);
    remote.rig.wait_switched(0, "remote");
    remote.rig.let_pass(8);
    println!("    5 %: {:?}", remote.sender().expect("somebody sends"));
    let before = remote.rig.events().len();
    network.order("way loss 60").expect("the emulator obeys");
    let told = remote.rig.wait_event(before, "the loss to be told", |e| {
        e.kind == EventKind::InputCondition && e.reason.contains("network")
    });
    println!("    60 %: {}", told.reason);
    println!("    {}", remote.left(before).reason);
    remote.rig.wait_for_source(&live("spare"));
    network.order("way loss 0").expect("the emulator obeys");
    remote.rig.wait_switched(before, "remote");
    remote.rig.let_pass(4);
    let shown = shown(&remote.end());
    println!("    {shown:?}");
    let first = shown.first().expect("the film was shown");
    assert!(first.frames >= 180, "too short: {first}");
    record("remote-loss", &[("frames_at_5_percent_and_until_it_was_left", first.to_string())]);
}

#[test]
fn a_publisher_over_rtmp_is_shown_frame_by_frame_and_a_wrong_key_never() {
    let port = free_tcp_port();
    let input = format!("kind = \"rtmp\"\nlisten = \"127.0.0.1:{port}\"\napp = \"venue\"");
    let remote = Remote::on_air("remote-rtmp", &input, "[input.remote]\nkey = \"the-right-one\"\n");
    let url = |key: &str| format!("rtmp://127.0.0.1:{port}/venue/{key}");
    let mut stranger = remote.send("stranger", &["-f", "flv", &url("a-wrong-one")]);
    let refused = remote.rig.wait_event(0, "the stranger to be refused", |e| e.kind == EventKind::CallerRefused);
    println!("    {}", refused.reason);
    assert!(!refused.reason.contains("wrong-one") && !refused.reason.contains("right-one"), "{}", refused.reason);
    assert!(!stranger.finish(crate::support::rig::PATIENCE).success());
    let first = remote.send("first", &["-f", "flv", &url("the-right-one")]);
    println!("    {}", remote.rig.wait_switched(0, "remote").reason);
    remote.rig.let_pass(4);
    println!("    {:?}", remote.sender().expect("somebody publishes"));
    let before = remote.rig.events().len();
    first.signal(Signal::SIGKILL);
    println!("    {}", remote.left(before).reason);
    let _second = remote.send("second", &["-f", "flv", &url("the-right-one")]);
    remote.rig.wait_switched(before, "remote");
    remote.rig.let_pass(4);
    is_whole("rtmp", &shown(&remote.end()), 2, 60);
}

#[test]
fn a_camera_over_rtsp_is_shown_frame_by_frame_and_watched_again_when_it_is_back() {
    let port = free_tcp_port();
    let input = format!("kind = \"rtsp\"\nurl = \"rtsp://127.0.0.1:{port}/film\"\nuser = \"viewer\"");
    let remote = Remote::on_air("remote-rtsp", &input, "[input.remote]\npassword = \"at the door\"\n");
    let film = remote.film.with_extension("mp4");
    let made = ffmpeg().arg("-i").arg(&remote.film).args(["-c", "copy"]).arg(&film).status().expect("FFmpeg starts");
    assert!(made.success());
    let camera = |name: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ingest/rtsp_server.py");
        let mut command = std::process::Command::new("/usr/bin/python3");
        command.args([script, &port.to_string(), "--digest", "viewer", "at the door", "--film"]).arg(&film);
        remote.rig.guard.spawn(name, &mut command)
    };
    let first = camera("first");
    println!("    {}", remote.rig.wait_switched(0, "remote").reason);
    remote.rig.let_pass(4);
    println!("    {:?}", remote.sender().expect("it is watched"));
    let before = remote.rig.events().len();
    first.signal(Signal::SIGKILL);
    println!("    {}", remote.left(before).reason);
    drop(first);
    let _second = camera("second");
    remote.rig.wait_switched(before, "remote");
    remote.rig.let_pass(4);
    let events = remote.rig.events();
    assert!(!events.iter().any(|e| e.reason.contains("at the door")), "a password was told");
    is_whole("rtsp", &shown(&remote.end()), 2, 60);
}
