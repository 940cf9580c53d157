//! What is bound to an uplink leaves by it and by no other: every packet is looked at.
//!
//! The preferred uplink leads to servers of the same names and addresses, so that whatever went astray would succeed, and be
//! seen.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use holdfast::config::{
    AudioSettings, DestinationSettings, EncoderChoice, RenditionSettings, RtmpUrl, Secret, Takeover, Via,
};
use holdfast::events::{OutputState, Role};
use holdfast::link::health::Observation;
use holdfast::link::pinning::{self, Finding, Grounds, PinCheck};
use holdfast::link::probe::{Assignment, EchoPort, ProbeCounts, run as probe};
use holdfast::link::{Judging, Links, Options, Outlet, look, watch};
use holdfast::model::{
    AccessUnit, Codec, CodecConfig, FrameRate, InputId, InterfaceName, Media, OutputId, ProbeKind, ProbeTarget,
    RenditionId, Track, TrackFormat, VideoFormat,
};
use holdfast::output::rtmp::{self, Choice};
use holdfast::output::{EventSink, Feed, OutputCommand};
use tokio::sync::watch as channel;

use crate::ingest::{self, Arrived, Authority};
use crate::packets::{Kind, Left, Watch};
use crate::rights;
use crate::*;

/// Of IPv4 alone, and of IPv6 alone.
const BY_V4: &str = "four.example";
const BY_V6: &str = "six.example";
const ECHO: u16 = 9710;
/// Of pictures, in a stream: some hundreds of packets.
const STREAM: u64 = 400_000;
const PINNED: &str = "wwan0";

/// Servers of both worlds that take whatever comes.
struct Servers {
    arrived: [Arrived; 2],
}

impl Servers {
    fn start(scene: &Scene, authority: &Authority) -> Self {
        let arrived = [0, 1].map(|n: usize| {
            scene.worlds[n]
                .namespace
                .enter(|| {
                    // Like anybody's router, it does not answer for addresses that are not on the cable (ip-sysctl.rst): whoever
                    // has no route and asks there hears nothing.
                    fs::write("/proc/sys/net/ipv4/conf/all/arp_ignore", "1")?;
                    ip(&format!("address add 198.51.100.{}/32 dev lo", n + 1))?;
                    ip(&format!("-6 address add 2001:db8::{}/128 dev lo nodad", n + 1))?;
                    echo()?;
                    ingest::serve(authority)
                })
                .unwrap()
        });
        Self { arrived }
    }

    fn bytes(&self) -> [u64; 2] {
        [0, 1].map(|n: usize| self.arrived[n].bytes())
    }
}

/// Answers probes, until the test ends.
fn echo() -> io::Result<()> {
    let (opened, open) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let (port, _) = EchoPort::open(SocketAddr::new(IpAddr::from([0u16; 8]), ECHO)).unwrap();
            opened.send(()).unwrap();
            port.serve().await
        })
    });
    open.recv().map_err(io::Error::other)
}

fn picture(n: u32) -> Arc<AccessUnit> {
    let format = TrackFormat::Video(VideoFormat { width: 320, height: 240, rate: FrameRate::whole(25) });
    let config = CodecConfig { codec: Codec::H264, record: Bytes::from_static(b"record"), format, bitrate: 1 };
    let pts = Media::from_millis(3_600_000 + i64::from(n) * 40);
    Arc::new(AccessUnit {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        track: Track::Video,
        pts,
        dts: pts,
        key: n.is_multiple_of(10),
        config: Arc::new(config),
        payload: vec![7; 10_000].into(),
    })
}

/// What the data plane has, as far as it concerns this.
struct Plane {
    links: channel::Receiver<Arc<Links>>,
    judging: Judging,
    resolver: Resolver,
    authority: PathBuf,
}

impl Plane {
    fn new(places: Places, authority: &Path) -> Self {
        let links = watch(Options::default()).unwrap().links;
        let names = BTreeSet::from([InterfaceName::new(PINNED).unwrap()]);
        let judging = Judging::start(links.clone(), channel::channel(names).1, |_| {});
        Self { links, judging, resolver: Resolver::new(places), authority: authority.to_owned() }
    }

    /// A whole stream to `host` over RTMPS, by the output that a box uses, pinned.
    async fn publish(&self, host: &str) {
        let settings = DestinationSettings {
            id: OutputId::new("out").unwrap(),
            rendition: RenditionId::new("main").unwrap(),
            url: RtmpUrl { tls: true, host: host.to_owned(), port: ingest::PORT, app: "live".to_owned() },
            key: Secret::new("key"),
            takeover: Takeover::ServerOverrides,
            ca_file: Some(self.authority.clone()),
            backup_key: None,
            via: Via::Pinned(InterfaceName::new(PINNED).unwrap()),
            lowers_bitrate: false,
            enabled: true,
        };
        let rendition = RenditionSettings {
            id: settings.rendition.clone(),
            codec: Codec::H264,
            width: 320,
            height: 240,
            bitrate: 1_000_000,
            keyframe_interval: Duration::from_secs(1),
            encoder: EncoderChoice::Auto,
            audio: AudioSettings { codec: Codec::Aac, bitrate: 128_000 },
        };
        let feed = Feed::new(Duration::from_secs(60), 8 << 20);
        feed.push(picture(0));
        let last = Rc::new(Cell::new(None));
        let events: EventSink = Arc::new(|event| println!("    {}", event.reason));
        let (judging, resolver) = (self.judging.clone(), self.resolver.clone());
        // Each may carry what it can.
        let allowances = channel::channel(Some(Arc::default())).1;
        let choice = Choice { judging, resolver, links: self.links.clone(), allowances };
        let mut out = rtmp::spawn(settings, &rendition, FrameRate::whole(25), feed.clone(), events, Some(choice), 1);
        out.commands.send(OutputCommand::Start).await.unwrap();
        let began = out.snapshot.wait_for(|s| s.state == OutputState::Publishing);
        assert!(timeout(PATIENCE, began).await.is_ok_and(|seen| seen.is_ok()), "{host}: it does not begin");
        (1..50).for_each(|n| feed.push(picture(n)));
        let sent = out.snapshot.wait_for(|s| {
            last.set(Some(s.clone()));
            s.state == OutputState::Publishing && s.acknowledged >= STREAM
        });
        let done = timeout(PATIENCE, sent).await.map(|seen| seen.is_ok());
        assert_eq!(done, Ok(true), "{host}: {:?}", last.take());
        out.commands.send(OutputCommand::Stop).await.unwrap();
        let ended = out.snapshot.wait_for(|s| s.state == OutputState::Off);
        assert!(timeout(PATIENCE, ended).await.is_ok_and(|seen| seen.is_ok()), "{host}: it does not end");
    }

    /// Probes `target` over the pinned uplink until it has answered some times.
    async fn probe(&self, target: &str) {
        let target = ProbeTarget { kind: ProbeKind::Echo, host: target.to_owned(), port: ECHO };
        let (told, mut observed) = tokio::sync::mpsc::channel(1024);
        let (counts, _) = channel::channel(ProbeCounts::default());
        let probing = tokio::task::spawn_local(probe(Assignment {
            link: PINNED.into(),
            targets: channel::channel(Arc::from([target])).1,
            links: self.links.clone(),
            lookup: self.resolver.lookup(PINNED.into()),
            observations: Outlet::new(told, |seen| seen),
            counts,
            seed: 7,
        }));
        let mut answers = 0;
        while answers < 5 {
            let seen: Option<Observation> = timeout(PATIENCE, observed.recv()).await.expect("a probe is answered");
            answers += usize::from(matches!(seen, Some(Observation::ProbeAnswered { .. })));
        }
        probing.abort();
    }
}

/// A scene with servers in both worlds, that another user may read.
struct Stage {
    scene: Scene,
    servers: Servers,
    authority: PathBuf,
}

impl Stage {
    fn new() -> Option<Self> {
        let scene = Scene::new()?;
        let file = scene.dir.path().join("authority.pem");
        let authority = Authority::new(&file, &[NAME, BY_V4, BY_V6]);
        fs::set_permissions(scene.dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let servers = Servers::start(&scene, &authority);
        Some(Self { scene, servers, authority: file })
    }

    fn index(&self, uplink: &str) -> u32 {
        self.scene.at_box.enter(|| Ok(nix::net::if_::if_nametoindex(uplink)?)).unwrap()
    }

    /// Look-ups, probes and streams, all pinned; what left meanwhile. With only these capabilities, or all of root's.
    fn send_everything(&self, capabilities: Option<&BTreeSet<u32>>) -> Left {
        let (v4, v6) = (self.scene.places(&SERVERS[..1]), self.scene.places_in("netif6", &SERVERS[1..]));
        self.scene
            .at_box
            .enter(|| {
                let watch = Watch::new()?;
                if let Some(capabilities) = capabilities {
                    rights::keep_only(capabilities)?;
                    let expected = capabilities.iter().fold(0, |set, c| set | 1u64 << c);
                    assert_eq!(rights::held(), expected, "it has other rights than the service");
                }
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                LocalSet::new().block_on(&runtime, async {
                    // Names are asked of servers at both kinds of addresses.
                    for (places, host, server) in [(v4, BY_V4, SERVERS[0]), (v6, BY_V6, SERVERS[1])] {
                        let plane = Plane::new(places, &self.authority);
                        plane.publish(host).await;
                        plane.probe(server).await;
                    }
                });
                Ok(watch.take())
            })
            .unwrap()
    }
}

fn everything_leaves_by_the_pinned_uplink(capabilities: Option<&BTreeSet<u32>>) {
    let Some(stage) = Stage::new() else { return };
    let (eth, wwan) = (stage.index("eth0"), stage.index(PINNED));
    let before = stage.servers.bytes();
    let left = stage.send_everything(capabilities);
    let after = stage.servers.bytes();
    println!("    eth0 is interface {eth}, {PINNED} {wwan}; left: {left}");
    for (kind, least) in [(Kind::Tcp4, 20), (Kind::Tcp6, 20), (Kind::Udp4, 6), (Kind::Udp6, 6)] {
        assert!(left.by(wwan, kind) >= least, "only {} {kind:?} left by {PINNED}", left.by(wwan, kind));
    }
    assert_eq!(left.far_by(eth), 0, "something went astray: {left}");
    assert_eq!(after[0], before[0], "a stream arrived over eth0");
    assert!(after[1] - before[1] >= 2 * STREAM, "{before:?} to {after:?}");
    // The same watch sees what is not pinned.
    let astray = stage.scene.at_box.enter(|| {
        let watch = Watch::new()?;
        let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
        socket.send_to(b"not pinned", (SERVERS[0], 9))?;
        Ok(watch.take())
    });
    assert_eq!(astray.unwrap().by(eth, Kind::Udp4), 1, "the watch is blind");
}

#[test]
fn streams_look_ups_and_probes_leave_by_the_pinned_uplink_alone() {
    everything_leaves_by_the_pinned_uplink(None);
}

#[test]
fn so_they_do_with_the_rights_of_the_service_and_no_others() {
    let granted = rights::granted("holdfast-transmit.service");
    // A service of another user has what its unit grants; ours grant nothing.
    assert!(granted.is_subset(&rights::granted("holdfast-relay.service")), "{granted:?}");
    everything_leaves_by_the_pinned_uplink(Some(&granted));
}

/// What is found about the pinned uplink, by somebody without any rights.
fn checked(scene: &Scene) -> PinCheck {
    let looked = scene.at_box.enter(|| {
        rights::keep_only(&BTreeSet::new())?;
        pinning::look(&BTreeSet::from([PINNED.to_owned()]), &look()?)
    });
    let grounds: Vec<Grounds> = looked.unwrap();
    pinning::check(&grounds[0])
}

/// Does what a finding says; `fill` stands for what only its reader knows.
fn remedy(scene: &Scene, finding: &Finding, fill: (&str, &str)) {
    let remedy = finding.remedy(PINNED);
    let command = remedy.split_once(';').map_or(&*remedy, |(command, _)| command);
    let command = command.split_once(',').map_or(command, |(command, _)| command).replace(fill.0, fill.1);
    println!("    {}: {command}", finding.what(PINNED));
    scene
        .at_box
        .enter(|| match command.split_once(' ').unwrap() {
            ("ip", arguments) => ip(arguments),
            ("sysctl", assignment) => {
                let (key, value) = assignment.trim_start_matches("-w ").split_once('=').unwrap();
                fs::write(Path::new("/proc/sys").join(key.replace('.', "/")), value)
            }
            (other, _) => Err(io::Error::other(format!("{other}?"))),
        })
        .unwrap();
}

#[test]
fn what_keeps_a_pinned_stream_in_is_found_and_the_remedy_helps() {
    let Some(stage) = Stage::new() else { return };
    let scene = &stage.scene;
    let does = |arguments: &str| scene.at_box.enter(|| ip(arguments)).unwrap();
    let places = scene.places(&SERVERS[..1]);
    // Somebody who is really asked over the uplink, and answers or not.
    let answers = || {
        let places = places.clone();
        scene.at_box(async move || Resolver::new(places).resolve(PINNED, BY_V4, 1).await.is_ok())
    };
    let good = checked(scene);
    assert!(good.leaves() && good.findings.is_empty(), "{good:?}");
    assert_eq!(good.words(), "IPv4 from 10.78.2.1 via 10.78.2.2; IPv6 from fd00:78:2::1 via fd00:78:2::2");
    assert!(answers());

    // The route is gone, as with a second DHCP client that finds the place taken.
    does("route del default dev wwan0");
    let found = checked(scene);
    assert_eq!(found.findings, [Finding::NoDefaultRoute { v6: false }]);
    assert!(!answers(), "without a route it answers all the same");
    remedy(scene, &found.findings[0], ("ROUTER", "10.78.2.2"));
    assert_eq!((checked(scene), answers()), (good.clone(), true));

    // Both kinds are in a table of their own, and nobody looks into it.
    does("route flush exact default dev wwan0");
    does("-6 route flush exact default dev wwan0");
    does("route add default via 10.78.2.2 dev wwan0 table 201");
    does("-6 route add default via fd00:78:2::2 dev wwan0 table 201");
    let found = checked(scene);
    assert_eq!(found.findings, [false, true].map(|v6| Finding::NoRule { v6, table: 201 }));
    assert!(!found.leaves() && !answers());
    found.findings.iter().for_each(|finding| remedy(scene, finding, ("", "")));
    assert_eq!((checked(scene), answers()), (good.clone(), true));

    // Answers are thrown away: the way back to whoever answers is eth0.
    scene.at_box.enter(|| fs::write("/proc/sys/net/ipv4/conf/all/rp_filter", "1")).unwrap();
    let found = checked(scene);
    assert!(matches!(found.findings[..], [Finding::StrictFilter(_)]), "{found:?}");
    assert!(!answers(), "a strict filter lets answers in");
    remedy(scene, &found.findings[0], ("", ""));
    assert_eq!((checked(scene), answers()), (good, true));
}

#[test]
fn the_operators_command_says_it_too_and_ends_with_1() {
    let Some(scene) = Scene::new() else { return };
    let holdfast = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command.args(["links", "--check", "eth0", PINNED]).env("HOLDFAST_RUNTIME", scene.dir.path());
        let done = scene.at_box.enter(|| command.output()).unwrap();
        (done.status.code(), String::from_utf8_lossy(&done.stdout).into_owned())
    };
    let (code, page) = holdfast();
    println!("{page}");
    assert_eq!(code, Some(0), "{page}");
    assert_eq!(page.matches("what is bound to it leaves by it: IPv4 from 10.78.").count(), 2, "{page}");
    scene
        .at_box
        .enter(|| ip("route del default dev wwan0").and_then(|()| ip("-6 route del default dev wwan0")))
        .unwrap();
    let (code, page) = holdfast();
    println!("{page}");
    assert_eq!(code, Some(1), "{page}");
    let words: String = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("→ ip route add default via ROUTER dev wwan0"), "{page}");
    assert!(words.contains("no IPv6 default route leads through wwan0"), "{page}");
}

/// The check as the data plane runs it: at the start, and again when something has changed.
#[test]
fn the_data_plane_tells_at_its_start_and_when_it_changes() {
    let Some(scene) = Scene::new() else { return };
    let (told, events) = std::sync::mpsc::channel();
    let at_box = &scene.at_box;
    at_box
        .enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            LocalSet::new().block_on(&runtime, async {
                let monitor = watch(Options::default())?;
                let (_names, names) = channel::channel(BTreeSet::from([PINNED.to_owned()]));
                let (found, mut pins) = channel::channel(pinning::CheckedPins::new());
                let tell = move |event| told.send(event).unwrap();
                tokio::task::spawn_local(pinning::run(names, monitor.links.clone(), found, Role::Transmit, tell));
                let mut leaves = async |wanted: bool| {
                    let is_so =
                        |pins: &pinning::CheckedPins| pins.get(PINNED).is_some_and(|pin| pin.leaves() == wanted);
                    assert!(timeout(PATIENCE, pins.wait_for(is_so)).await.is_ok_and(|seen| seen.is_ok()), "{wanted}");
                };
                leaves(true).await;
                ip("route del default dev wwan0")?;
                ip("-6 route del default dev wwan0")?;
                leaves(false).await;
                ip("route add default via 10.78.2.2 dev wwan0")?;
                leaves(true).await;
                Ok(())
            })
        })
        .unwrap();
    let reasons: Vec<String> = events.try_iter().map(|event: holdfast::events::Event| event.reason).collect();
    println!("{}", reasons.join("\n"));
    assert_eq!(reasons.len(), 3, "one at the start, one for each change");
    assert!(reasons[0].starts_with("what is bound to wwan0 leaves by it"));
    assert!(reasons[1].starts_with("what is bound to wwan0 does not get out; no IPv4 default route"));
}
