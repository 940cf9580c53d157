//! The far end is our own publishing client, or says what a test wants said.
// Any instant does to begin with.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::needless_borrowed_reference
)]

use std::net::{Ipv4Addr, SocketAddr};

use proptest::prelude::*;

use super::*;
use crate::config::{RtmpInput, Secret};
use crate::model::{Codec, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat};
use crate::mux::fixtures::{AUDIO, VIDEO, programme};
use crate::mux::flv::StreamFacts;
use crate::rtmp::amf0::encode_all;
use crate::rtmp::command;
use crate::rtmp::session::{Publication, Session, SessionEvent};
use crate::rtmp::trouble::{Refusal, Trouble};

const KEY: &str = "s3cr3t";

fn server(key: Option<&str>, now: Instant) -> Server {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 1935));
    let settings = RtmpInput { listen, app: "live".to_owned(), key: key.map(Secret::new) };
    let mut random = fastrand::Rng::with_seed(5);
    let gate = Gate::new(&settings, &mut random);
    let source = Source { input: InputId::new("phone").unwrap(), rendition: RenditionId::new("main").unwrap() };
    Server::new(gate, source, random, now)
}

fn facts(video: Codec, audio: Codec) -> StreamFacts {
    let (TrackFormat::Video(video_format), TrackFormat::Audio(audio_format)) = (VIDEO, AUDIO) else { unreachable!() };
    StreamFacts { video, video_format, video_bitrate: 500_000, audio, audio_format, audio_bitrate: 96_000 }
}

/// Our client and the server, and the bytes between them.
struct Pair {
    client: Session,
    server: Server,
    now: Instant,
    /// Bytes go over in pieces of this size.
    piece: usize,
    said: Vec<SessionEvent>,
    heard: Vec<ServerEvent>,
    /// What the server sent.
    sent: Vec<u8>,
}

impl Pair {
    fn new(app: &str, key: &str, piece: usize) -> Self {
        let now = crate::clock::now();
        let publication = Publication {
            app: app.to_owned(),
            tc_url: format!("rtmp://host/{app}"),
            name: Secret::new(key),
            facts: facts(Codec::H264, Codec::Aac),
        };
        let client = Session::new(publication, &mut fastrand::Rng::with_seed(1), now);
        let server = server(Some(KEY), now);
        Self { client, server, now, piece, said: Vec::new(), heard: Vec::new(), sent: Vec::new() }
    }

    /// Carries bytes until both are silent. `answer` is what an asking publisher is told.
    fn run(&mut self, answer: Option<Denial>) {
        loop {
            let to_server: Vec<u8> = self.client.outbox().slices().flatten().copied().collect();
            self.client.outbox().advance(to_server.len());
            for piece in to_server.chunks(self.piece) {
                self.server.handle_input(piece, self.now);
                while let Some(event) = self.server.poll_event() {
                    let asks = matches!(event, ServerEvent::Asks);
                    self.heard.push(event);
                    match &answer {
                        _ if !asks => {}
                        None => self.server.accept(self.now),
                        Some(why) => self.server.refuse(why.clone()),
                    }
                }
            }
            let to_client: Vec<u8> = self.server.outbox().slices().flatten().copied().collect();
            self.server.outbox().advance(to_client.len());
            self.sent.extend_from_slice(&to_client);
            for piece in to_client.chunks(self.piece) {
                self.client.handle_input(piece, self.now);
                self.said.extend(std::iter::from_fn(|| self.client.poll_event()));
            }
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
        }
    }

    fn kinds(&self) -> Vec<String> {
        let word = |event: &ServerEvent| match event {
            ServerEvent::Unit(unit) => format!("{:?}", unit.track),
            other => format!("{other:?}"),
        };
        self.heard.iter().map(word).collect()
    }
}

#[test]
fn what_our_own_client_publishes_arrives_in_pieces_of_any_size() {
    for piece in [1, 7, 128, 4096, MAX_INPUT] {
        let mut pair = Pair::new("live", KEY, piece);
        pair.run(None);
        assert_eq!(pair.said, [SessionEvent::Publishing], "pieces of {piece}");
        assert!(
            matches!(&pair.heard[..], [ServerEvent::Asks, ServerEvent::Publishing { encoder: Some(name) }] if name.contains("Holdfast"))
        );
        let units = programme(Codec::H264, Codec::Aac, Media::ZERO, 2);
        for unit in &units {
            pair.client.send(unit);
            pair.run(None);
        }
        pair.client.end(Media::from_millis(2000), pair.now);
        pair.run(None);
        let of = |track: Track| units.iter().filter(move |unit| unit.track == track);
        let got: Vec<_> =
            pair.heard.iter().filter_map(|e| if let ServerEvent::Unit(u) = e { Some(u) } else { None }).collect();
        for track in [Track::Video, Track::Audio] {
            let got = got.iter().filter(|unit| unit.track == track);
            assert!(got.map(|unit| &unit.payload).eq(of(track).map(|unit| &unit.payload)), "pieces of {piece}");
        }
        // The client said how its stream is.
        let TrackFormat::Video(VideoFormat { rate, .. }) = VIDEO else { unreachable!() };
        let picture = &got.iter().find(|unit| unit.track == Track::Video).unwrap().config;
        assert!(matches!(picture.format, TrackFormat::Video(f) if f.rate == rate) && picture.bitrate == 500_000);
        assert_eq!(pair.kinds().last().unwrap(), "Ended(Unpublished)");
        assert!(pair.server.is_over());
    }
}

#[test]
fn who_is_refused_is_told_why() {
    let refusal = |app: &str, key: &str, answer: Option<Denial>| {
        let mut pair = Pair::new(app, key, 100);
        pair.run(answer);
        let [SessionEvent::Ended(Trouble::Refused(said))] = &pair.said[..] else { panic!("{:?}", pair.said) };
        let Some(ServerEvent::Refused(denial)) = pair.heard.last() else { panic!("{:?}", pair.heard) };
        let wire = String::from_utf8_lossy(&pair.sent).into_owned();
        assert!(!wire.contains(KEY) && !format!("{:?}", pair.heard).contains(KEY));
        (said.clone(), denial.clone(), wire)
    };
    let (said, denial, wire) = refusal("live", "guess", None);
    assert_eq!((said, denial), (Refusal::WrongKey, Denial::WrongKey));
    assert!(wire.contains("NetStream.Publish.Denied"));
    let (said, denial, wire) = refusal("life", KEY, None);
    assert_eq!((said, denial), (Refusal::NoSuchApp, Denial::WrongApp));
    assert!(wire.contains("NetConnection.Connect.Rejected") && wire.contains("rtmp://<this server>/live"));
    let (said, denial, wire) = refusal("live", KEY, Some(Denial::Taken));
    assert_eq!((said, denial), (Refusal::NameBusy, Denial::Taken));
    assert!(wire.contains("NetStream.Publish.BadName"));
}

#[test]
fn a_key_is_not_looked_at_where_too_many_were_wrong() {
    for key in [KEY, "guess"] {
        let mut pair = Pair::new("live", key, 100);
        pair.server.gate = pair.server.gate.clone().shut(Duration::from_millis(7100));
        pair.run(None);
        let Some(ServerEvent::Refused(denial)) = pair.heard.last() else { panic!("{:?}", pair.heard) };
        assert_eq!(*denial, Denial::Guesses(Duration::from_millis(7100)), "right or wrong");
        assert!(denial.to_string().ends_with("none is looked at for another 8 s"), "{denial}");
        let wire = String::from_utf8_lossy(&pair.sent).into_owned();
        assert!(wire.contains("NetStream.Publish.Denied") && wire.contains("try again in 8 s"), "{wire}");
    }
}

/// A far end that says anything.
struct Stranger {
    server: Server,
    now: Instant,
}

impl Stranger {
    fn after_handshake() -> Self {
        let now = crate::clock::now();
        let mut stranger = Self { server: server(Some(KEY), now), now };
        stranger.bytes(&handshake::hello(&mut fastrand::Rng::with_seed(2)));
        stranger.bytes(&[0; handshake::BLOCK]);
        stranger
    }

    fn connected() -> Self {
        let mut stranger = Self::after_handshake();
        stranger.say(command::connect("live", "rtmp://host/live"));
        stranger
    }

    fn live() -> Self {
        let mut stranger = Self::connected();
        stranger.say(command::create_stream());
        stranger.say(command::publish(KEY));
        assert!(matches!(stranger.event(), Some(ServerEvent::Asks)));
        stranger.server.accept(stranger.now);
        assert!(matches!(stranger.event(), Some(ServerEvent::Publishing { .. })));
        stranger
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.server.handle_input(bytes, self.now);
    }

    fn message(&mut self, kind: u8, payload: &[u8]) {
        // In chunks of 128, with which everybody begins.
        let [_, l2, l1, l0] = (payload.len() as u32).to_be_bytes();
        let mut wire = vec![3, 0, 0, 0, l2, l1, l0, kind, 1, 0, 0, 0];
        for (n, piece) in payload.chunks(128).enumerate() {
            wire.extend_from_slice(if n > 0 { &[0xC3] } else { &[] });
            wire.extend_from_slice(piece);
        }
        self.bytes(&wire);
    }

    fn say(&mut self, command: Vec<u8>) {
        self.message(kind::COMMAND, &command);
    }

    fn event(&mut self) -> Option<ServerEvent> {
        self.server.poll_event()
    }

    fn refusal(&mut self) -> Option<Denial> {
        match self.event() {
            Some(ServerEvent::Refused(why)) => Some(why),
            other => panic!("{other:?}"),
        }
    }

    /// What the server has said since the last look.
    fn heard(&mut self) -> Vec<Message> {
        let bytes: Vec<u8> = self.server.outbox().slices().flatten().copied().collect();
        self.server.outbox().advance(bytes.len());
        let bytes = bytes.strip_prefix(&[3]).and_then(|rest| rest.get(2 * handshake::BLOCK..)).unwrap_or(&bytes);
        let mut reader = chunk::Reader::new(1 << 20);
        reader.feed(&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0]);
        reader.feed(bytes);
        std::iter::from_fn(|| reader.next_message().unwrap()).collect()
    }

    fn waits(&mut self, wait: Duration) {
        self.now += wait;
        self.server.handle_timeout(self.now);
    }
}

#[test]
fn both_ends_are_told_how_chunks_and_windows_are() {
    let mut stranger = Stranger::connected();
    let kinds: Vec<u8> = stranger.heard().iter().map(|message| message.kind).collect();
    // Set Chunk Size is the reader's own.
    assert_eq!(kinds, [kind::WINDOW_SIZE, kind::PEER_BANDWIDTH, kind::COMMAND]);
    stranger.message(kind::WINDOW_SIZE, &200u32.to_be_bytes());
    stranger.message(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]);
    let heard = stranger.heard();
    assert_eq!((heard[0].kind, heard[0].payload.len()), (kind::ACKNOWLEDGEMENT, 4));
    assert_eq!((heard[1].kind, &heard[1].payload[..]), (kind::USER_CONTROL, &[0, 7, 1, 2, 3, 4][..]));
}

#[test]
fn other_protocols_are_known_by_their_first_byte() {
    for (bytes, denial) in [(&b"\x16\x03\x01\x02\0\x01"[..], Denial::Tls), (b"GET / HTTP/1.1\r\n", Denial::NotRtmp)] {
        let now = crate::clock::now();
        let mut stranger = Stranger { server: server(None, now), now };
        stranger.bytes(bytes);
        assert_eq!(stranger.refusal(), Some(denial));
        assert!(stranger.server.outbox().is_empty() && stranger.server.is_over());
    }
}

#[test]
fn every_step_has_its_time_and_a_slow_handshake_has_no_more() {
    let now = crate::clock::now();
    let mut stranger = Stranger { server: server(None, now), now };
    for _ in 0..49 {
        stranger.bytes(&[3]);
        stranger.waits(STEP_TIMEOUT / 50);
    }
    assert!(stranger.event().is_none());
    stranger.waits(STEP_TIMEOUT / 50);
    assert_eq!(stranger.refusal(), Some(Denial::Late(Step::Handshake)));
    for (step, mut stranger) in
        [(Step::Connect, Stranger::after_handshake()), (Step::CreateStream, Stranger::connected())]
    {
        assert_eq!(stranger.server.poll_timeout(), Some((stranger.now + STEP_TIMEOUT, step)));
        stranger.waits(STEP_TIMEOUT);
        assert_eq!(stranger.refusal(), Some(Denial::Late(step)));
        assert_eq!(stranger.server.poll_timeout(), None);
    }
}

#[test]
fn a_publisher_of_whom_nothing_comes_is_gone() {
    let mut stranger = Stranger::live();
    stranger.waits(SILENCE - Duration::from_millis(1));
    stranger.message(kind::AUDIO, b"\xaf\0\x11\x90");
    stranger.waits(SILENCE - Duration::from_millis(1));
    assert!(stranger.event().is_none());
    stranger.waits(Duration::from_millis(1));
    assert!(matches!(stranger.event(), Some(ServerEvent::Ended(End::Silent))));
}

#[test]
fn a_publisher_that_does_not_wait_for_the_answer_loses_nothing() {
    let mut stranger = Stranger::connected();
    stranger.say(command::create_stream());
    stranger.say(command::publish(KEY));
    stranger.message(kind::AUDIO, b"\xaf\0\x11\x90");
    stranger.message(kind::AUDIO, &[&b"\xaf\x01"[..], &[0x21; 100_000]].concat());
    assert!(matches!(stranger.event(), Some(ServerEvent::Asks)));
    assert!(stranger.event().is_none());
    stranger.server.accept(stranger.now);
    assert!(matches!(stranger.event(), Some(ServerEvent::Publishing { .. })));
    assert!(matches!(stranger.event(), Some(ServerEvent::Unit(unit)) if unit.payload.len() == 100_000));
}

#[test]
fn a_stranger_may_not_send_much_and_a_publisher_may() {
    let mut stranger = Stranger::connected();
    stranger.bytes(&[3, 0, 0, 0, 0x10, 0, 0, kind::VIDEO, 1, 0, 0, 0]);
    assert!(matches!(stranger.refusal(), Some(Denial::Protocol { .. })));
    let mut publisher = Stranger::live();
    publisher.bytes(&[3, 0, 0, 0, 0x10, 0, 0, kind::VIDEO, 1, 0, 0, 0]);
    assert!(publisher.event().is_none());
    let mut publisher = Stranger::live();
    publisher.bytes(&[4, 0, 0, 0, 0xff, 0, 0, kind::VIDEO, 1, 0, 0, 0]);
    assert!(matches!(publisher.event(), Some(ServerEvent::Ended(End::Protocol { .. }))));
}

#[test]
fn a_player_and_one_without_connect_get_nothing() {
    let mut stranger = Stranger::after_handshake();
    stranger.say(command::create_stream());
    stranger.say(command::publish(KEY));
    assert!(stranger.event().is_none() && stranger.heard().is_empty());
    let mut stranger = Stranger::connected();
    stranger.say(encode_all(&[Value::text("play"), Value::Number(0.0), Value::Null, Value::text(KEY)]));
    assert_eq!(stranger.refusal(), Some(Denial::Player));
}

#[test]
fn unknown_questions_are_answered_so_that_nobody_waits_and_answers_are_not() {
    let mut stranger = Stranger::connected();
    stranger.heard();
    stranger.say(encode_all(&[Value::text("_checkbw"), Value::Number(9.0), Value::Null]));
    stranger.say(encode_all(&[Value::text("_result"), Value::Number(9.0), Value::Null]));
    stranger.say(encode_all(&[Value::text("whatever"), Value::Number(0.0), Value::Null]));
    let heard = stranger.heard();
    assert_eq!(heard.len(), 1);
    let answer = Command::parse(&heard[0].payload).unwrap();
    assert_eq!((answer.name.as_str(), answer.transaction), ("_error", 9.0));
}

#[test]
fn one_that_is_displaced_is_told_and_one_that_hung_up_has_ended() {
    let mut stranger = Stranger::live();
    stranger.heard();
    stranger.server.displace();
    assert!(matches!(stranger.event(), Some(ServerEvent::Ended(End::Displaced))));
    assert!(stranger.heard().iter().any(|m| m.payload.windows(7).any(|w| w == b"BadName")));
    let mut stranger = Stranger::live();
    stranger.server.handle_closed("gone");
    assert!(matches!(stranger.event(), Some(ServerEvent::Ended(End::Closed("gone")))));
    stranger.server.handle_closed("gone");
    assert!(stranger.event().is_none());
}

#[test]
fn metadata_in_an_amf3_message_is_read_too() {
    let mut stranger = Stranger::live();
    let facts =
        Value::Object(vec![("framerate".into(), Value::Number(50.0)), ("audiodatarate".into(), Value::Number(64.0))]);
    let data = encode_all(&[Value::text("@setDataFrame"), Value::text("onMetaData"), facts]);
    stranger.message(kind::DATA_AMF3, &[&[0][..], &data].concat());
    stranger.message(kind::AUDIO, b"\xaf\0\x11\x90");
    stranger.message(kind::AUDIO, b"\xaf\x01\x21");
    assert!(matches!(stranger.event(), Some(ServerEvent::Unit(unit)) if unit.config.bitrate == 64_000));
}

proptest! {
    #[test]
    fn anything_may_be_said_at_any_time(
        step in 0usize..4,
        pieces in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), 0u64..6000, any::<u8>()), 0..20),
    ) {
        let mut stranger = match step {
            0 => { let now = crate::clock::now(); Stranger { server: server(Some(KEY), now), now } }
            1 => Stranger::after_handshake(),
            2 => Stranger::connected(),
            _ => Stranger::live(),
        };
        for (bytes, wait, kind) in pieces {
            if kind % 2 == 0 { stranger.bytes(&bytes) } else { stranger.message(kind / 8, &bytes) }
            stranger.waits(Duration::from_millis(wait));
            prop_assert!(stranger.server.poll_timeout().is_none_or(|(at, _)| at > stranger.now));
            let mut over = false;
            while let Some(event) = stranger.event() {
                prop_assert!(!over, "{:?} after the end", event);
                over = matches!(event, ServerEvent::Refused(_) | ServerEvent::Ended(_));
                prop_assert!(!matches!(event, ServerEvent::Asks | ServerEvent::Publishing { .. }), "without the key");
            }
        }
    }

    #[test]
    fn a_damaged_publisher_is_heard_or_ended(at: prop::sample::Index, to: u8, seed in 1usize..200) {
        let mut pair = Pair::new("live", KEY, seed);
        let units = programme(Codec::Hevc, Codec::Opus, Media::ZERO, 1);
        pair.run(None);
        units.iter().for_each(|unit| { pair.client.send(unit); });
        let mut wire: Vec<u8> = pair.client.outbox().slices().flatten().copied().collect();
        let at = at.index(wire.len());
        wire[at] = to;
        for piece in wire.chunks(seed * 100) {
            pair.server.handle_input(piece, pair.now);
            while pair.server.poll_event().is_some() {}
        }
    }
}
