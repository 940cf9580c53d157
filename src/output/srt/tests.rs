//! Destinations on real sockets, against a far end of our own that can be deaf on demand.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep_until, timeout};

use super::account::{Account, Stamp};
use super::*;
use crate::clock;
use crate::config::{
    AudioSettings, EncoderChoice, Encryption, InterfaceName, KeyLength, Links, Secret, SrtAddress, SrtPath,
};
use crate::events::{Event as BoxEvent, EventKind, OutputState, PathState, Severity};
use crate::link::udp::{Binding, Inbox, Route, UdpSocket};
use crate::model::{Codec, Media, OutputId, RenditionId};
use crate::mux::fixtures;
use crate::mux::ts::{Demuxer, Output, Settings, Source};
use crate::output::{Feed, OutputCommand, ProgrammeClock};
use crate::srt::crypto::{Passphrase, Random};
use crate::srt::listener::{self, Acceptance, Listener, ListenerConfig, ListenerEvent};
use crate::srt::session::{Closed, Event, FEATURES, PathId, Session, SessionConfig};
use crate::srt::wire::{GroupId, SocketId};
use crate::srt::{Negotiated, Offer};

mod links;

/// Longer than any of this takes on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSPHRASE: &str = "what only the relay knows";

/// A listener with a session for whoever it lets in, on one thread with the destination.
struct Far {
    sockets: Vec<UdpSocket>,
    /// A socket that neither hears nor says anything.
    deaf: Vec<Cell<bool>>,
    core: RefCell<FarCore>,
}

struct FarCore {
    listener: Listener,
    passphrase: Option<&'static str>,
    sessions: Vec<Session>,
    /// By our socket id: which session, which path, how to answer.
    paths: BTreeMap<SocketId, (usize, PathId, listener::Route)>,
    groups: BTreeMap<GroupId, usize>,
    payloads: Vec<Vec<u8>>,
    skipped: u64,
    ends: Vec<Closed>,
    stream_ids: Vec<String>,
}

impl Far {
    /// With `ports` sockets, which serve themselves until the test is over.
    fn start(ports: usize, passphrase: Option<&'static str>) -> Rc<Self> {
        let at = vec!["127.0.0.1:0".parse().unwrap(); ports];
        Self::start_at(&at, passphrase)
    }

    fn start_at(addresses: &[SocketAddr], passphrase: Option<&'static str>) -> Rc<Self> {
        let offer = Offer { features: Some(FEATURES), ..Offer::default() };
        let config = ListenerConfig { offer, ..ListenerConfig::default() };
        let sockets: Vec<_> = addresses.iter().map(|at| Binding::listener(*at).open().unwrap().0).collect();
        let core = FarCore {
            listener: Listener::new(config, Random::from_seed(&[9; 32]), clock::now()),
            passphrase,
            sessions: Vec::new(),
            paths: BTreeMap::new(),
            groups: BTreeMap::new(),
            payloads: Vec::new(),
            skipped: 0,
            ends: Vec::new(),
            stream_ids: Vec::new(),
        };
        let deaf = sockets.iter().map(|_| Cell::new(false)).collect();
        let far = Rc::new(Self { sockets, deaf, core: RefCell::new(core) });
        for n in 0..addresses.len() {
            spawn_local(far.clone().serve(n));
        }
        far
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(UdpSocket::local).collect()
    }

    async fn serve(self: Rc<Self>, n: usize) {
        let mut inbox = Inbox::new();
        loop {
            let core = &self.core;
            let due = {
                let core = core.borrow();
                let sessions = core.sessions.iter().filter_map(|s| s.poll_timeout().map(|(at, _)| at));
                sessions.chain(core.listener.poll_timeout().map(|(at, _)| at)).min()
            };
            // Another socket's task may have brought the next deadline nearer.
            let due = due.unwrap_or(clock::now() + PATIENCE).min(clock::now() + Duration::from_millis(5));
            tokio::select! {
                ready = self.sockets[n].readable() => ready.unwrap(),
                () = sleep_until(due.into()) => {}
            }
            let now = clock::now();
            let mut got = Vec::new();
            let hear = |d: crate::link::udp::Datagram<'_>| got.push((d.from, d.to, d.bytes.to_vec()));
            let _ = self.sockets[n].receive(&mut inbox, hear);
            if self.deaf[n].get() {
                got.clear();
            }
            let mut core = core.borrow_mut();
            for (peer, local, bytes) in got {
                core.hear(listener::Route { socket: n as u32, local, peer }, &bytes);
            }
            core.sessions.iter_mut().for_each(|session| session.handle_timeout(now));
            core.listener.handle_timeout(now);
            core.drain(|route, datagram| {
                let n = route.socket as usize;
                let mut outbox = crate::link::udp::Outbox::new();
                if !self.deaf[n].get() && outbox.push(Route { to: route.peer, from: route.local }, datagram) {
                    self.sockets[n].send(&mut outbox);
                }
            });
        }
    }

    /// Waits until `is` is true of what has come.
    async fn until(&self, what: &str, is: impl Fn(&FarCore) -> bool) {
        let looked = async {
            while !is(&self.core.borrow()) {
                sleep_until((clock::now() + Duration::from_millis(5)).into()).await;
            }
        };
        assert!(timeout(PATIENCE, looked).await.is_ok(), "never: {what}");
    }

    /// Pictures and sounds in what has come.
    fn units(&self) -> usize {
        let source = Source {
            input: crate::model::InputId::new("x").unwrap(),
            rendition: RenditionId::new("x").unwrap(),
            programme: None,
            rate: None,
            video_bitrate: 0,
            audio_bitrate: 0,
        };
        let mut demuxer = Demuxer::new(source);
        self.core.borrow().payloads.iter().for_each(|p| demuxer.push(p, clock::now()));
        demuxer.flush(clock::now());
        assert_eq!(demuxer.counters().continuity, 0, "packets are missing");
        std::iter::from_fn(|| demuxer.poll()).filter(|o| matches!(o, Output::Unit(_))).count()
    }
}

impl FarCore {
    fn hear(&mut self, route: listener::Route, bytes: &[u8]) {
        let now = clock::now();
        let Some(id) = bytes.get(12..16) else { return };
        let id = SocketId(u32::from_be_bytes(id.try_into().unwrap()));
        if id == SocketId::LISTENER {
            self.listener.handle_datagram(route, bytes, now);
        } else if let Some((session, path, _)) = self.paths.get(&id) {
            self.sessions[*session].handle_datagram(*path, &bytes.to_vec().into(), now);
        }
    }

    fn drain(&mut self, mut send: impl FnMut(listener::Route, &[u8])) {
        let now = clock::now();
        while let Some(event) = self.listener.poll_event() {
            match event {
                ListenerEvent::Request(request) => {
                    self.stream_ids.push(request.stream_id.as_str().to_owned());
                    let passphrase = self.passphrase.and_then(Passphrase::new);
                    self.listener.accept(request.id, &Acceptance { passphrase, ..Acceptance::default() }, now);
                }
                ListenerEvent::Connected { route, negotiated, .. } => {
                    let config = SessionConfig::default();
                    self.sessions.push(Session::new(config, &negotiated.terms(), now));
                    let (n, path) = (self.sessions.len() - 1, self.sessions.last().unwrap().paths().next().unwrap());
                    self.keep(n, path, route, &negotiated);
                }
                ListenerEvent::Joined { route, negotiated } => {
                    let n = self.groups[&negotiated.group.unwrap().local];
                    let path = self.sessions[n].add_path(&negotiated.terms(), now).unwrap();
                    self.keep(n, path, route, &negotiated);
                }
                ListenerEvent::Refused(_) => {}
            }
        }
        while let Some(transmit) = self.listener.poll_transmit() {
            send(transmit.route, &transmit.datagram);
        }
        for (n, session) in self.sessions.iter_mut().enumerate() {
            while let Some(transmit) = session.poll_transmit(now) {
                let mut datagram = Vec::new();
                transmit.write_to(&mut datagram);
                let path = self.paths.values().find(|(s, path, _)| (*s, *path) == (n, transmit.path));
                send(path.unwrap().2, &datagram);
            }
            while let Some(packet) = session.poll_deliver(now) {
                self.skipped += packet.skipped;
                self.payloads.push(packet.payload.to_vec());
            }
            while let Some(event) = session.poll_event() {
                if let Event::PathClosed { path, why } = event {
                    self.ends.push(why);
                    let (id, _) = self.paths.iter().find(|(_, (s, p, _))| (*s, *p) == (n, path)).unwrap();
                    self.listener.connection_closed(*id, now);
                }
            }
        }
    }

    fn keep(&mut self, session: usize, path: PathId, route: listener::Route, negotiated: &Negotiated) {
        self.paths.insert(negotiated.local, (session, path, route));
        if let Some(group) = negotiated.group {
            self.groups.insert(group.local, session);
        }
    }
}

fn place(at: SocketAddr) -> SrtAddress {
    SrtAddress { host: at.ip().to_string(), port: at.port() }
}

fn settings(far: &[SocketAddr], passphrase: Option<&str>) -> SrtDestinationSettings {
    let path = |(n, at): (usize, &SocketAddr)| SrtPath {
        interface: None,
        source: None,
        address: place(*at),
        weight: 100 - n as u16,
    };
    let mut paths: Vec<SrtPath> = far.iter().enumerate().map(path).collect();
    let encryption = |text| Encryption { passphrase: Secret::new(text), key_length: KeyLength::Aes256 };
    SrtDestinationSettings {
        id: OutputId::new("relay").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        address: place(far[0]),
        latency: Duration::from_millis(400),
        stream_id: Some(Secret::new("#!::r=st-marys,m=publish")),
        encryption: passphrase.map(encryption),
        overhead_percent: 25,
        max_bandwidth: None,
        links: if paths.len() == 1 { Links::Single(paths.remove(0)) } else { Links::Backup(paths) },
        enabled: true,
    }
}

fn rendition() -> RenditionSettings {
    RenditionSettings {
        id: RenditionId::new("main").unwrap(),
        codec: Codec::H264,
        width: 80,
        height: 50,
        bitrate: 1_000_000,
        keyframe_interval: Duration::from_millis(133),
        encoder: EncoderChoice::Auto,
        audio: AudioSettings { codec: Codec::Aac, bitrate: 64_000 },
    }
}

/// A destination, what it says, and the programme it is fed with.
struct Rig {
    handle: OutputHandle<OutputSnapshot>,
    events: Arc<Mutex<Vec<BoxEvent>>>,
    playing: Rc<Cell<bool>>,
}

impl Rig {
    /// Plays a programme in real time until the rig is dropped.
    fn start(settings: SrtDestinationSettings) -> Self {
        Self::start_with(settings, crate::link::unknown())
    }

    fn start_with(settings: SrtDestinationSettings, links: watch::Receiver<Arc<crate::link::Links>>) -> Self {
        let feed = Feed::new(Duration::from_secs(10), 1 << 22);
        let clock = ProgrammeClock::new(Media::ZERO - clock::media());
        let transport = Transport::new(feed.clone(), clock.clone(), Settings::default());
        let events = Arc::new(Mutex::new(Vec::new()));
        let sink = events.clone();
        let sink: EventSink = Arc::new(move |event| sink.lock().unwrap().push(event));
        let handle = spawn(settings, &rendition(), transport, sink, Ground::bare(links), 5);
        let playing = Rc::new(Cell::new(true));
        let goes_on = playing.clone();
        spawn_local(async move {
            let mut second = clock.now();
            while goes_on.get() {
                for unit in fixtures::programme(Codec::H264, Codec::Aac, second, 1) {
                    sleep_until(clock.instant(unit.dts).into()).await;
                    feed.push(unit);
                }
                second = second + Media::from_millis(1000);
            }
        });
        Self { handle, events, playing }
    }

    async fn tell(&self, command: OutputCommand) {
        self.handle.commands.send(command).await.unwrap();
    }

    async fn until(&mut self, what: &str, is: impl Fn(&OutputSnapshot) -> bool) -> OutputSnapshot {
        let seen = timeout(PATIENCE, self.handle.snapshot.wait_for(is)).await.ok().map(|s| s.unwrap().clone());
        seen.unwrap_or_else(|| panic!("never {what}: {:?}; {:#?}", self.handle.snapshot.borrow(), self.told()))
    }

    fn told(&self) -> Vec<String> {
        let line = |e: &BoxEvent| format!("{:?} {:?} {}: {}", e.kind, e.severity, e.subject, e.reason);
        self.events.lock().unwrap().iter().map(line).collect()
    }

    fn has_told(&self, kind: EventKind, severity: Severity, part: &str) -> bool {
        let events = self.events.lock().unwrap();
        events.iter().any(|e| e.kind == kind && e.severity == severity && e.reason.contains(part))
    }

    fn assert_told(&self, kind: EventKind, severity: Severity, part: &str) {
        assert!(self.has_told(kind, severity, part), "{kind:?} {part} not in {:#?}", self.told());
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.playing.set(false);
        let shown = format!("{:?} {:?}", self.handle.snapshot.borrow(), self.events.lock().unwrap());
        assert!(!shown.contains(PASSPHRASE) && !shown.contains("st-marys"), "tells a secret: {shown}");
    }
}

fn path(snapshot: &OutputSnapshot, n: usize) -> &crate::events::PathSnapshot {
    &snapshot.srt.as_ref().unwrap().paths[n]
}

#[test]
fn what_is_on_its_way_for_as_long_as_the_latency_fits_into_the_send_buffer() {
    let mut settings = settings(&["127.0.0.1:9000".parse().unwrap()], None);
    settings.latency = Duration::from_secs(4);
    let room = |rate| destination::session_config(&settings, rate, crate::srt::session::Seed([0; 32])).send_buffer;
    // 40 Mbit/s are 3,800 packets a second. A relay does not know the rate of what it passes on.
    for rate in [40_000_000, 0] {
        assert!(room(rate) >= 4 * 3_800, "{}", room(rate));
    }
    assert_eq!(room(1_000_000), 8192);
}

#[tokio::test]
async fn an_encrypted_programme_arrives_whole_and_ends_cleanly() {
    let test = async {
        let far = Far::start(1, Some(PASSPHRASE));
        let mut rig = Rig::start(settings(&far.addresses(), Some(PASSPHRASE)));
        rig.tell(OutputCommand::Start).await;
        rig.until("publishing", |s| s.state == OutputState::Publishing).await;
        let measured = |s: &OutputSnapshot| s.acknowledged > 50_000 && path(s, 0).rtt_us.is_some();
        let shown = rig.until("acknowledged", measured).await;
        assert_eq!((shown.sessions, shown.lost), (1, 0));
        let srt = shown.srt.as_ref().unwrap();
        assert_eq!((srt.latency_ms, srt.encrypted, &srt.paths[0].state), (Some(400), true, &PathState::Carries));
        assert_eq!(far.core.borrow().stream_ids, ["#!::r=st-marys,m=publish"]);

        rig.tell(OutputCommand::Stop).await;
        rig.until("off", |s| s.state == OutputState::Off).await;
        far.until("told of the end", |far| far.ends == [Closed::ByPeer]).await;
        assert!(far.units() > 50 && far.core.borrow().skipped == 0);
        rig.assert_told(EventKind::OutputPublishing, Severity::Info, "publishing to srt://127.0.0.1:");
        rig.assert_told(EventKind::OutputDown, Severity::Info, "ended as asked");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_destination_that_is_wanted_again_before_it_has_ended_comes_back() {
    let test = async {
        let far = Far::start(1, None);
        let mut rig = Rig::start(settings(&far.addresses(), None));
        rig.tell(OutputCommand::Start).await;
        far.until("some media", |far| far.payloads.len() > 30).await;
        rig.tell(OutputCommand::Stop).await;
        rig.tell(OutputCommand::Start).await;
        rig.until("on air again", |s| s.sessions == 2 && s.state == OutputState::Publishing).await;
        assert_eq!(far.core.borrow().ends, [Closed::ByPeer], "the first session ended cleanly before");
        for command in [OutputCommand::Stop, OutputCommand::Start, OutputCommand::Stop] {
            rig.tell(command).await;
        }
        rig.until("off", |s| s.state == OutputState::Off).await;
        far.until("told of both ends", |far| far.ends == [Closed::ByPeer; 2]).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn the_sockets_of_a_session_that_has_ended_are_given_back() {
    let test = async {
        let far = Far::start(1, None);
        let mut rig = Rig::start(settings(&far.addresses(), None));
        rig.tell(OutputCommand::Start).await;
        far.until("some media", |far| far.payloads.len() > 30).await;
        let used = far.core.borrow().paths.values().map(|(_, _, route)| route.peer).next().unwrap();
        assert!(Binding::listener(used).open().is_err(), "it is in use");
        rig.tell(OutputCommand::Stop).await;
        rig.until("off", |s| s.state == OutputState::Off).await;
        far.until("free", |_| Binding::listener(used).open().is_ok()).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_destination_that_is_dropped_after_its_stop_tells_the_far_end() {
    let test = async {
        let far = Far::start(1, None);
        let mut rig = Rig::start(settings(&far.addresses(), None));
        rig.tell(OutputCommand::Start).await;
        far.until("some media", |far| far.payloads.len() > 30).await;
        // As when a changed configuration puts another in its place.
        rig.tell(OutputCommand::Stop).await;
        rig.handle.commands = mpsc::channel(1).0;
        far.until("at an end", |far| !far.ends.is_empty()).await;
        assert_eq!(far.core.borrow().ends, [Closed::ByPeer]);
        assert!(timeout(PATIENCE, rig.handle.snapshot.wait_for(|_| false)).await.unwrap().is_err(), "its task goes on");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_refusal_is_told_with_what_to_do_and_not_hammered() {
    let test = async {
        let far = Far::start(1, Some("another passphrase"));
        let mut rig = Rig::start(settings(&far.addresses(), Some(PASSPHRASE)));
        rig.tell(OutputCommand::Start).await;
        let waits = |s: &OutputSnapshot| matches!(&s.state, OutputState::Waiting { .. });
        let shown = rig.until("refused", waits).await;
        let OutputState::Waiting { retry_in_ms, because } = &shown.state else { panic!() };
        assert!(because.contains("has another passphrase: check it on both sides"), "{because}");
        assert!(*retry_in_ms > 10_000, "again after {retry_in_ms} ms");
        rig.assert_told(EventKind::OutputDown, Severity::Alert, "has another passphrase");

        far.core.borrow_mut().passphrase = Some(PASSPHRASE);
        rig.tell(OutputCommand::RetryNow).await;
        rig.until("publishing", |s| s.state == OutputState::Publishing).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_far_end_that_comes_late_is_found_by_itself() {
    let test = async {
        let at = vec![Binding::listener("127.0.0.1:0".parse().unwrap()).open().unwrap().0.local()];
        let mut rig = Rig::start(settings(&at, None));
        rig.tell(OutputCommand::Start).await;
        let waits = |s: &OutputSnapshot| matches!(&s.state, OutputState::Waiting { .. });
        let shown = rig.until("refused", waits).await;
        let OutputState::Waiting { because, .. } = &shown.state else { panic!() };
        assert!(because.starts_with("nothing listens at 127.0.0.1:"), "{because}");
        rig.assert_told(EventKind::OutputDown, Severity::Warning, "nothing listens at");
        let _far = Far::start_at(&at, None);
        rig.until("publishing", |s| s.state == OutputState::Publishing).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_path_that_falls_silent_is_replaced_at_once_and_comes_back_by_itself() {
    let test = async {
        let far = Far::start(2, Some(PASSPHRASE));
        let mut rig = Rig::start(settings(&far.addresses(), Some(PASSPHRASE)));
        rig.tell(OutputCommand::Start).await;
        let both = |s: &OutputSnapshot| path(s, 0).state == PathState::Carries && path(s, 1).state == PathState::Ready;
        rig.until("both up, the first carrying", both).await;
        far.until("a second of media", |far| far.payloads.len() > 60).await;

        far.deaf[0].set(true);
        rig.until("switched", |s| s.srt.as_ref().unwrap().switches == 1).await;
        assert_eq!(path(&rig.handle.snapshot.borrow(), 1).state, PathState::Carries);
        rig.assert_told(EventKind::PathSwitched, Severity::Warning, "does not answer");
        // Nothing comes on it for 5 s, then it is called again; nobody answers that either.
        rig.until("lost", |s| matches!(path(s, 0).state, PathState::Calling | PathState::Waiting { .. })).await;
        assert_eq!(rig.handle.snapshot.borrow().state, OutputState::Publishing);
        rig.assert_told(EventKind::PathDown, Severity::Warning, "nothing comes from 127.0.0.1:");

        far.deaf[0].set(false);
        let shown = rig.until("back", |s| path(s, 0).state.is_up()).await;
        assert_eq!((path(&shown, 0).connections, path(&shown, 1).connections, shown.sessions), (2, 1, 1));
        rig.tell(OutputCommand::Stop).await;
        rig.until("off", |s| s.state == OutputState::Off).await;
        assert!(far.units() > 100 && far.core.borrow().skipped == 0, "something got lost");
        assert_eq!(far.core.borrow().sessions.len(), 1);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn when_the_only_path_is_lost_another_session_begins_at_a_keyframe() {
    let test = async {
        let far = Far::start(1, Some(PASSPHRASE));
        let mut rig = Rig::start(settings(&far.addresses(), Some(PASSPHRASE)));
        rig.tell(OutputCommand::Start).await;
        rig.until("publishing", |s| s.state == OutputState::Publishing).await;
        far.until("media", |far| far.payloads.len() > 20).await;
        far.deaf[0].set(true);
        rig.until("lost", |s| s.state != OutputState::Publishing).await;
        rig.assert_told(EventKind::OutputDown, Severity::Warning, "nothing comes from");
        far.deaf[0].set(false);
        // What came of the session before is of no interest any more.
        far.core.borrow_mut().payloads.clear();
        let shown = rig.until("publishing again", |s| s.sessions == 2).await;
        assert_eq!((path(&shown, 0).connections, shown.lost), (2, 0));
        far.until("media", |far| far.payloads.len() > 20).await;
        assert!(far.units() > 5, "nothing to decode");
        assert_eq!(far.core.borrow().sessions.len(), 2);
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn what_the_far_end_says_it_has_is_shown_as_verified() {
    let test = async {
        let far = Far::start(1, None);
        let mut rig = Rig::start(settings(&far.addresses(), None));
        rig.tell(OutputCommand::Start).await;
        rig.until("publishing", |s| s.state == OutputState::Publishing).await;
        far.until("a session", |far| !far.sessions.is_empty()).await;
        let say = |pictures, missing| {
            let newest_picture = Some(Stamp::of(Media::ZERO));
            let account = Account { newest_picture, pictures, continuity_errors: 0, missing };
            assert!(far.core.borrow_mut().sessions[0].send_message(&account.encode(), clock::now()));
        };
        let heard = |s: &OutputSnapshot| s.srt.as_ref().unwrap().far_end;
        say(10, 0);
        let shown = rig.until("heard", |s| heard(s).is_some()).await;
        assert!(!heard(&shown).unwrap().is_verified(), "once is not a movement");
        say(20, 3);
        let shown = rig.until("moving", |s| heard(s).is_some_and(|far| far.is_verified())).await;
        let far_end = heard(&shown).unwrap();
        assert_eq!((far_end.pictures, far_end.missing), (20, 3));
        rig.assert_told(EventKind::Note, Severity::Info, "verified");
        say(20, 3);
        rig.until("standing still", |s| heard(s).is_some_and(|far| !far.is_moving)).await;
        rig.assert_told(EventKind::Note, Severity::Warning, "pictures stand still");
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn an_interface_that_is_not_there_keeps_only_its_own_path() {
    let test = async {
        let far = Far::start(2, None);
        let mut settings = settings(&far.addresses(), None);
        let Links::Backup(paths) = &mut settings.links else { panic!() };
        paths[0].interface = InterfaceName::new("nosuch0");
        let mut rig = Rig::start(settings);
        rig.tell(OutputCommand::Start).await;
        rig.until("publishing on the other", |s| path(s, 1).state == PathState::Carries).await;
        let waits = |s: &OutputSnapshot| matches!(&path(s, 0).state, PathState::Waiting { because, .. } if because.contains("no interface of this name"));
        rig.until("waiting for the interface", waits).await;
    };
    LocalSet::new().run_until(test).await;
}
