//! Holdfast's own bonded output sends over two cables, one of which is cut.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};

use holdfast::netem::Conditions;
use holdfast::netem::emulator::{Cable, Emulator, Wiring};

use crate::support::film::after_film;
use crate::support::rig::{Rig, START};
use crate::support::sender;
use crate::support::wait::wait_until;

#[test]
fn one_of_two_cables_is_cut_and_every_picture_arrives() {
    let rig = Rig::new().programme("church", true).recording("church");
    let film = rig.film("film", 8, "320x180");
    let mut relay = rig.start();
    let cables = rig.ports.iter().enumerate().map(|(n, port)| {
        let wiring = Wiring::Udp { listen: local(0), target: local(*port), from: None };
        Cable::new(&format!("cable{n}"), Conditions::default(), wiring)
    });
    let mut emulator = Emulator::start(cables.collect(), 1).unwrap();
    let places = ["cable0", "cable1"].map(|name| emulator.address(name).unwrap());
    let (sender, snapshot) = sender::send(sender::units_of(&fs::read(&film.file).unwrap()), &places);

    let two = rig.wait_for("both paths to bring packets", "church", |s| {
        let paths = s["sender"]["paths"].as_array();
        paths.is_some_and(|paths| paths.len() == 2 && paths.iter().all(|p| p["received"].as_u64() > Some(20)))
    });
    assert_eq!((&two["sender"]["bonding"], &two["sender"]["is_holdfast"]), (&"broadcast".into(), &true.into()));
    let verified = || snapshot.borrow().srt.as_ref().and_then(|srt| srt.far_end).is_some_and(|far| far.is_verified());
    wait_until("the sender to be told that its pictures move", START, verified);
    emulator.order("cable0 cut").unwrap();
    rig.wait_for("the cut path to be given up", "church", |s| {
        s["sender"]["paths"].as_array().is_some_and(|paths| paths.len() == 1)
    });
    sender.join().unwrap();
    let last = rig.wait_for("the sender to have gone", "church", |s| s["sender"].is_null());
    assert_eq!((&last["senders"], &last["totals"]["missing"]), (&1.into(), &0.into()), "{last}");
    assert_eq!(last["totals"]["continuity_errors"], 0);
    let far = snapshot.borrow().srt.as_ref().and_then(|srt| srt.far_end);
    if let Some(far) = far {
        assert_eq!((far.continuity_errors, far.missing), (0, 0));
        assert!(far.picture_age_ms.is_some_and(|ms| (300..5000).contains(&ms)), "{far:?}");
    }
    rig.end(&mut relay);
    let recorded = rig.recorded("church");
    after_film(&recorded[0], &film, 30);
}

fn local(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
<<<<<<< HEAD
=======

/// Holdfast's SRT output on a thread of its own, fed with a film in real time.
struct Bonded;

impl Bonded {
    fn start(film: &Film, places: &[SocketAddr]) -> (thread::JoinHandle<()>, watch::Receiver<OutputSnapshot>) {
        let units = units(&fs::read(&film.file).unwrap());
        let settings = settings(places);
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let local = tokio::task::LocalSet::new();
            local.block_on(&runtime, async {
                let begin = units[0].dts;
                let clock = ProgrammeClock::new(begin - clock::media());
                let feed = Feed::new(Duration::from_secs(10), 16 << 20);
                let transport = Transport::new(feed.clone(), clock.clone(), ts::Settings::default());
                let handle =
                    srt::spawn(settings, &rendition(), transport, Arc::new(|_| {}), holdfast::link::unknown(), 7);
                handle.commands.send(OutputCommand::Start).await.unwrap();
                tell.send(handle.snapshot.clone()).unwrap();
                let mut snapshot = handle.snapshot.clone();
                let up = |s: &OutputSnapshot| {
                    let paths = s.srt.as_ref().map_or(0, |srt| srt.paths.iter().filter(|p| p.state.is_up()).count());
                    s.state == OutputState::Publishing && paths == 2
                };
                tokio::time::timeout(START, snapshot.wait_for(up)).await.unwrap().unwrap();
                clock.set(begin - clock::media());
                for unit in units {
                    tokio::time::sleep_until(clock.instant(unit.dts).into()).await;
                    feed.push(Arc::new(unit));
                }
                handle.commands.send(OutputCommand::Stop).await.unwrap();
                let off = |s: &OutputSnapshot| s.state == OutputState::Off;
                tokio::time::timeout(START, snapshot.wait_for(off)).await.unwrap().unwrap();
            });
        });
        (thread, told.recv().unwrap())
    }
}

/// The units of a transport stream, in the order of decoding.
fn units(bytes: &[u8]) -> Vec<AccessUnit> {
    let source = Source {
        input: InputId::new("film").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        programme: None,
        rate: Some(FrameRate::whole(30)),
        video_bitrate: 0,
        audio_bitrate: 0,
    };
    let (mut demuxer, mut units) = (Demuxer::new(source), Vec::new());
    let now = clock::now();
    for piece in bytes.chunks(1316) {
        demuxer.push(piece, now);
        while let Some(output) = demuxer.poll() {
            units.extend(unit(output));
        }
    }
    demuxer.flush(now);
    while let Some(output) = demuxer.poll() {
        units.extend(unit(output));
    }
    units.sort_by_key(|unit| unit.dts);
    units
}

fn unit(output: Output) -> Option<AccessUnit> {
    match output {
        Output::Unit(unit) => Some(unit),
        Output::Streams { .. } | Output::Gap(_) | Output::TimeBase { .. } => None,
    }
}

fn settings(places: &[SocketAddr]) -> SrtDestinationSettings {
    let address = |place: &SocketAddr| SrtAddress { host: place.ip().to_string(), port: place.port() };
    let path = |place: &SocketAddr| SrtPath { interface: None, source: None, address: address(place), weight: 0 };
    SrtDestinationSettings {
        id: OutputId::new("relay").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        address: address(&places[0]),
        latency: Duration::from_millis(400),
        stream_id: Some(Secret::new("church-id")),
        encryption: Some(Encryption { passphrase: Secret::new(PASSPHRASE), key_length: KeyLength::Aes256 }),
        overhead_percent: 25,
        max_bandwidth: None,
        links: Links::Broadcast(places.iter().map(path).collect()),
        enabled: true,
    }
}

fn rendition() -> RenditionSettings {
    RenditionSettings {
        id: RenditionId::new("main").unwrap(),
        codec: Codec::H264,
        width: 320,
        height: 180,
        bitrate: 1_000_000,
        keyframe_interval: Duration::from_secs(1),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: Codec::Aac, bitrate: 128_000 },
    }
}
>>>>>>> c
