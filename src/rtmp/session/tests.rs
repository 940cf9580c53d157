// Any instant does to begin with.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::{AudioFormat, Codec, CodecConfig, FrameRate, InputId, RenditionId, Track, TrackFormat, VideoFormat};
use crate::rtmp::amf0::{Value, encode_all};

const KEY: &str = "s3cr3t";

fn facts(video: Codec, audio: Codec) -> StreamFacts {
    StreamFacts {
        video,
        video_format: VideoFormat { width: 320, height: 240, rate: FrameRate::whole(30) },
        video_bitrate: 500_000,
        audio,
        audio_format: AudioFormat { rate: 48_000, channels: 2, samples: 1024 },
        audio_bitrate: 128_000,
    }
}

fn unit(codec: Codec, ms: i64, key: bool, size: usize) -> AccessUnit {
    let video = codec.is_video();
    let format = if video {
        TrackFormat::Video(facts(codec, codec).video_format)
    } else {
        TrackFormat::Audio(facts(codec, codec).audio_format)
    };
    AccessUnit {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        track: if video { Track::Video } else { Track::Audio },
        pts: Media::from_millis(ms),
        dts: Media::from_millis(ms),
        key,
        config: Arc::new(CodecConfig { codec, record: Bytes::from_static(b"record"), format, bitrate: 1 }),
        payload: vec![7; size].into(),
    }
}

/// The far end: reads what the session sends, says what a test wants said.
struct Far {
    session: Session,
    now: Instant,
    reader: chunk::Reader,
    /// Bytes of the client's handshake still to come.
    handshake: usize,
    received: Vec<Message>,
}

impl Far {
    fn new(facts: StreamFacts) -> Self {
        Self::begun(facts, Session::new)
    }

    fn begun(facts: StreamFacts, begin: fn(Publication, &mut fastrand::Rng, Instant) -> Session) -> Self {
        let publication =
            Publication { app: "live".into(), tc_url: "rtmp://host/live".into(), name: Secret::new(KEY), facts };
        let now = crate::clock::now();
        let session = begin(publication, &mut fastrand::Rng::with_seed(7), now);
        let reader = chunk::Reader::new(1 << 20);
        let mut far = Self { session, now, reader, handshake: 1 + 2 * handshake::BLOCK, received: Vec::new() };
        far.take();
        assert_eq!(far.handshake, handshake::BLOCK, "C0 and C1 were sent, and nothing before S1");
        far
    }

    /// At the moment in which the session waits for `step`.
    fn waiting_for(step: Step, facts: StreamFacts) -> Self {
        let mut far = Self::new(facts);
        if step == Step::Handshake {
            return far;
        }
        far.say_bytes(&hello());
        if step == Step::Connect {
            return far;
        }
        far.say("_result", 1.0, &[Value::Object(vec![]), info("status", "NetConnection.Connect.Success", "")]);
        if step == Step::CreateStream {
            return far;
        }
        far.say("_result", 4.0, &[Value::Null, Value::Number(9.0)]);
        far
    }

    fn publishing() -> Self {
        let mut far = Self::waiting_for(Step::Publish, facts(Codec::H264, Codec::Aac));
        far.say("onStatus", 0.0, &[Value::Null, info("status", "NetStream.Publish.Start", "")]);
        assert_eq!(far.session.poll_event(), Some(SessionEvent::Publishing));
        far
    }

    fn say_bytes(&mut self, bytes: &[u8]) {
        self.session.handle_input(bytes, self.now);
        self.take();
    }

    fn say_message(&mut self, kind: u8, payload: &[u8]) {
        let mut outbox = Outbox::new();
        let route = Route { chunk_stream: 3, kind, stream: 0, timestamp_ms: 0 };
        chunk::write(&mut outbox, route, &[], Bytes::copy_from_slice(payload));
        // Servers begin with a chunk size of 128.
        let bytes: Vec<u8> = outbox.slices().flatten().copied().collect();
        let mut wire = bytes[..12].to_vec();
        for (i, piece) in bytes[12..].chunks(128).enumerate() {
            wire.extend_from_slice(if i > 0 { &[0xC3] } else { &[] });
            wire.extend_from_slice(piece);
        }
        self.say_bytes(&wire);
    }

    fn say(&mut self, name: &str, transaction: f64, arguments: &[Value]) {
        let mut values = vec![Value::text(name), Value::Number(transaction)];
        values.extend_from_slice(arguments);
        self.say_message(kind::COMMAND, &encode_all(&values));
    }

    fn take(&mut self) {
        let bytes: Vec<u8> = self.session.outbox().slices().flatten().copied().collect();
        self.session.outbox().advance(bytes.len());
        let handshake = bytes.len().min(self.handshake);
        self.handshake -= handshake;
        self.reader.feed(&bytes[handshake..]);
        while let Some(message) = self.reader.next_message().unwrap() {
            self.received.push(message);
        }
    }

    fn commands(&mut self) -> Vec<Command> {
        let all = std::mem::take(&mut self.received);
        all.iter().filter(|m| m.kind == kind::COMMAND).map(|m| Command::parse(&m.payload).unwrap()).collect()
    }

    fn names(&mut self) -> Vec<String> {
        self.commands().into_iter().map(|c| c.name).collect()
    }

    fn ended(&mut self) -> Option<Trouble> {
        match self.session.poll_event() {
            Some(SessionEvent::Ended(trouble)) => {
                assert_eq!(self.session.poll_timeout(), None, "an ended session waits for nothing");
                Some(trouble)
            }
            _ => None,
        }
    }
}

/// S0 S1 S2.
fn hello() -> Vec<u8> {
    let mut bytes = vec![3];
    bytes.extend_from_slice(&[0x51; handshake::BLOCK]);
    bytes.extend_from_slice(&[0x52; handshake::BLOCK]);
    bytes
}

fn info(level: &str, code: &str, description: &str) -> Value {
    let field = |key: &str, value: &str| (key.to_owned(), Value::text(value));
    Value::Object(vec![field("level", level), field("code", code), field("description", description)])
}

#[test]
fn a_session_is_opened_as_the_specification_says() {
    let mut far = Far::new(facts(Codec::Hevc, Codec::Aac));
    far.say_bytes(&hello());
    assert_eq!(far.handshake, 0, "C2 was sent");
    assert_eq!(far.names(), ["connect"]);
    far.say("_result", 1.0, &[Value::Null, info("status", "NetConnection.Connect.Success", "")]);
    let commands = far.commands();
    assert_eq!(
        commands.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
        ["releaseStream", "FCPublish", "createStream"]
    );
    assert_eq!(commands[1].arguments, [Value::Null, Value::text(KEY)]);
    // FFmpeg's onFCPublish, and errors to releaseStream, change nothing.
    far.say_message(kind::COMMAND, b"\x02\0\x0bonFCPublish");
    far.say("_error", 2.0, &[Value::Null, info("error", "NetConnection.Call.Failed", "")]);
    far.say("_result", 4.0, &[Value::Null, Value::Number(9.0)]);
    let publish = far.received.clone();
    assert_eq!((publish[0].stream, far.names()), (9, vec!["publish".to_owned()]));
    assert!(!far.session.is_publishing());
    far.say("onStatus", 0.0, &[Value::Null, info("status", "NetStream.Publish.Start", "")]);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::Publishing));
    assert_eq!(far.received.iter().map(|m| (m.kind, m.stream)).collect::<Vec<_>>(), [(kind::DATA, 9)], "onMetaData");
    assert_eq!(far.session.poll_timeout(), None);
}

#[test]
fn a_standby_tells_the_server_no_name_until_it_is_to_publish() {
    let mut far = Far::begun(facts(Codec::H264, Codec::Aac), Session::standby);
    far.say_bytes(&hello());
    far.say("_result", 1.0, &[Value::Null, info("status", "NetConnection.Connect.Success", "")]);
    assert_eq!(far.names(), ["connect", "createStream"]);
    far.say("_result", 4.0, &[Value::Null, Value::Number(9.0)]);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::Standby));
    assert_eq!((far.session.poll_timeout(), far.names()), (None, vec![]), "it may wait as long as it likes");
    // §7.1.7: whoever does not answer a ping is thrown out.
    far.say_message(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]);
    assert_eq!(far.received.pop().unwrap().payload[..2], [0, 7]);

    far.session.publish(Secret::new("raised?priority=2"), far.now);
    far.take();
    let commands = far.commands();
    let names: Vec<_> = commands.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["releaseStream", "FCPublish", "publish"]);
    assert_eq!(commands[2].arguments[1], Value::text("raised?priority=2"));
    assert!(far.session.poll_timeout().is_some(), "an answer is awaited");
    far.say("onStatus", 0.0, &[Value::Null, info("status", "NetStream.Publish.Start", "")]);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::Publishing));
}

#[test]
fn a_standby_that_is_needed_before_it_is_ready_goes_on_to_publish() {
    let mut far = Far::begun(facts(Codec::H264, Codec::Aac), Session::standby);
    far.say_bytes(&hello());
    far.say("_result", 1.0, &[Value::Null, info("status", "NetConnection.Connect.Success", "")]);
    assert_eq!(far.names(), ["connect", "createStream"]);
    far.session.publish(Secret::new(KEY), far.now);
    far.take();
    assert_eq!(far.names(), Vec::<String>::new(), "there is no stream yet");
    far.say("_result", 4.0, &[Value::Null, Value::Number(9.0)]);
    assert_eq!(far.names(), ["releaseStream", "FCPublish", "publish"]);
    assert_eq!(far.session.poll_event(), None, "it is no standby any more");
}

#[test]
fn a_standby_that_is_hung_up_on_says_so() {
    let mut far = Far::begun(facts(Codec::H264, Codec::Aac), Session::standby);
    far.say_bytes(&hello());
    far.say("_result", 1.0, &[Value::Null, info("status", "NetConnection.Connect.Success", "")]);
    far.say("_result", 4.0, &[Value::Null, Value::Number(9.0)]);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::Standby));
    far.session.handle_closed("closed by the server", far.now);
    assert_eq!(far.ended(), Some(Trouble::ClosedDuring(Step::Standby)));
}

#[test]
fn units_travel_by_reference_behind_one_inline_header() {
    let mut far = Far::publishing();
    far.received.clear();
    assert_eq!(far.session.send(&unit(Codec::H264, 5000, false, 10)), Taken::Undecodable);
    far.session.send(&unit(Codec::H264, 5033, true, 100_000));
    far.session.send(&unit(Codec::Aac, 5040, true, 10));
    let picture = unit(Codec::H264, 5067, false, 1000);
    far.take();
    far.session.send(&picture);
    let slices: Vec<_> = far.session.outbox().slices().collect();
    assert_eq!(slices.len(), 2, "a header and the payload");
    assert_eq!(slices[1].as_ptr(), picture.payload.as_ptr(), "not a copy");
    far.take();
    let seen: Vec<_> = far.received.iter().map(|m| (m.kind, m.timestamp_ms, m.payload.len())).collect();
    assert_eq!(seen, [(9, 0, 11), (9, 0, 100_005), (8, 7, 8), (8, 7, 12), (9, 34, 1005)]);
}

#[test]
fn every_refusal_is_told_apart() {
    use Refusal::{AuthenticationNeeded, NameBusy, NoSuchApp, Other, WrongKey};
    let cases = [
        (Step::Connect, "_error", 1.0, "NetConnection.Connect.InvalidApp", "", NoSuchApp),
        (Step::Connect, "_error", 1.0, "NetConnection.Connect.Rejected", "authmod=adobe", AuthenticationNeeded),
        (Step::Connect, "onStatus", 0.0, "NetConnection.Connect.Rejected", "no app live", NoSuchApp),
        (Step::CreateStream, "onStatus", 0.0, "NetStream.Publish.BadName", "Already publishing", NameBusy),
        (Step::Publish, "onStatus", 0.0, "NetStream.Publish.BadName", "Already publishing", NameBusy),
        (Step::Publish, "onStatus", 0.0, "NetStream.Publish.Rejected", "", WrongKey),
        (Step::Publish, "_error", 5.0, "NetStream.Publish.BadName", "invalid key", WrongKey),
        (Step::Publish, "onStatus", 0.0, "Odd", "about s3cr3t", Other { said: "Odd: about •••".to_owned() }),
    ];
    for (step, name, transaction, code, description, refusal) in cases {
        let mut far = Far::waiting_for(step, facts(Codec::H264, Codec::Aac));
        far.say(name, transaction, &[Value::Null, info("error", code, description)]);
        assert_eq!(far.ended(), Some(Trouble::Refused(refusal)), "{step:?} {code}");
    }
}

#[test]
fn a_server_that_lists_other_codecs_only_is_not_sent_what_it_cannot_take() {
    let list = |name: &str| Value::Object(vec![("fourCcList".to_owned(), Value::StrictArray(vec![Value::text(name)]))]);
    let mut far = Far::waiting_for(Step::Connect, facts(Codec::Hevc, Codec::Aac));
    far.say("_result", 1.0, &[list("av01"), info("status", "NetConnection.Connect.Success", "")]);
    assert_eq!(far.ended(), Some(Trouble::Refused(Refusal::CodecNotAccepted(Codec::Hevc))));
    let mut far = Far::waiting_for(Step::Connect, facts(Codec::Av1, Codec::Opus));
    far.say("_result", 1.0, &[list("av01"), info("status", "NetConnection.Connect.Success", "")]);
    assert_eq!(far.ended(), None);
}

#[test]
fn silence_and_hanging_up_are_told_with_the_step() {
    for step in [Step::Handshake, Step::Connect, Step::CreateStream, Step::Publish] {
        let mut far = Far::waiting_for(step, facts(Codec::H264, Codec::Aac));
        assert_eq!(far.session.poll_timeout(), Some((far.now + STEP_TIMEOUT, step)));
        far.session.handle_timeout(far.now + STEP_TIMEOUT - Duration::from_nanos(1));
        assert_eq!(far.session.poll_event(), None);
        far.session.handle_timeout(far.now + STEP_TIMEOUT);
        assert_eq!(far.ended(), Some(Trouble::NoAnswer(step)));

        let mut far = Far::waiting_for(step, facts(Codec::H264, Codec::Aac));
        far.session.handle_closed("reset", far.now);
        assert_eq!(far.ended(), Some(Trouble::ClosedDuring(step)));
    }
    let mut far = Far::publishing();
    far.session.handle_closed("reset", far.now + DROPPED_AT_ONCE - Duration::from_nanos(1));
    assert_eq!(far.ended(), Some(Trouble::Refused(Refusal::DroppedAtOnce)));
    let mut far = Far::publishing();
    far.session.handle_closed("reset", far.now + DROPPED_AT_ONCE);
    assert_eq!(far.ended(), Some(Trouble::ConnectionLost { how: "reset" }));
}

#[test]
fn what_is_not_rtmp_is_called_so() {
    for bytes in [&b"HTTP/1.1 400 Bad Request"[..], b"\x15\x03\x01\x00\x02\x02\x46", b"\0"] {
        let mut far = Far::new(facts(Codec::H264, Codec::Aac));
        far.say_bytes(bytes);
        assert_eq!(far.ended(), Some(Trouble::NotRtmp));
    }
    let mut far = Far::waiting_for(Step::Connect, facts(Codec::H264, Codec::Aac));
    far.say_bytes(b"\x43\0\0\0");
    assert!(matches!(far.ended(), Some(Trouble::Protocol { .. })));
}

#[test]
fn a_clean_end_takes_the_broadcast_back_and_an_unclean_one_says_nothing() {
    let mut far = Far::publishing();
    far.session.send(&unit(Codec::H264, 0, true, 10));
    far.take();
    far.received.clear();
    far.session.end(Media::from_millis(500), far.now);
    far.take();
    assert_eq!(far.received[0].payload, &b"\x17\x02\0\0\0"[..], "end of sequence");
    assert_eq!(far.received[0].timestamp_ms, 500);
    assert_eq!(far.names(), ["FCUnpublish", "deleteStream"]);
    far.say("onStatus", 0.0, &[Value::Null, info("error", "NetStream.Unpublish.Success", "")]);
    assert_eq!(far.session.poll_event(), None, "what it says while ending is agreement");
    far.session.handle_closed("closed by the server", far.now);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::EndedCleanly));

    let mut far = Far::publishing();
    far.session.end(Media::ZERO, far.now);
    far.session.handle_timeout(far.now + END_TIMEOUT);
    assert_eq!(far.session.poll_event(), Some(SessionEvent::EndedCleanly), "a server that stays silent is left");

    let mut far = Far::publishing();
    far.received.clear();
    far.session.handle_closed("reset", far.now);
    far.take();
    assert_eq!(far.names(), [""; 0]);
}

#[test]
fn the_server_may_ask_us_to_go_elsewhere_while_we_go_on() {
    let mut far = Far::publishing();
    let request = |tc_url: Option<&str>| {
        let mut fields = vec![("code".to_owned(), Value::text("NetConnection.Connect.ReconnectRequest"))];
        fields.extend(tc_url.map(|url| ("tcUrl".to_owned(), Value::text(url))));
        Value::Object(fields)
    };
    far.say("onStatus", 0.0, &[Value::Null, request(Some("/other"))]);
    far.say("onStatus", 0.0, &[Value::Null, request(None)]);
    let tc_url = Some("/other".to_owned());
    assert_eq!(far.session.poll_event(), Some(SessionEvent::ReconnectRequested { tc_url }));
    assert_eq!(far.session.poll_event(), Some(SessionEvent::ReconnectRequested { tc_url: None }));
    assert!(far.session.is_publishing());
}

#[test]
fn a_server_that_asks_without_listening_does_not_fill_the_memory() {
    let mut far = Far::publishing();
    let mut pings = Outbox::new();
    for _ in 0..500 {
        let route = Route { chunk_stream: 3, kind: kind::USER_CONTROL, stream: 0, timestamp_ms: 0 };
        chunk::write(&mut pings, route, &[0, 6, 1, 2, 3, 4], Bytes::new());
    }
    let pings: Vec<u8> = pings.slices().flatten().copied().collect();
    for _ in 0..10_000 {
        // What is in the outbox is not taken out.
        far.session.handle_input(&pings, far.now);
        if let Some(trouble) = far.ended() {
            assert!(matches!(trouble, Trouble::Protocol { .. }), "{trouble:?}");
            return assert!(far.session.outbox().len() < MAX_WAITING + MAX_INPUT);
        }
    }
    panic!("{} bytes wait", far.session.outbox().len());
}

#[test]
fn pings_are_answered_and_received_bytes_confirmed() {
    let mut far = Far::publishing();
    far.received.clear();
    far.say_message(kind::USER_CONTROL, &[0, 6, 1, 2, 3, 4]);
    assert_eq!((far.received[0].kind, &far.received[0].payload[..]), (kind::USER_CONTROL, &[0, 7, 1, 2, 3, 4][..]));
    far.received.clear();
    far.say_message(kind::WINDOW_SIZE, &1000u32.to_be_bytes());
    far.say_message(kind::DATA, &[0; 600]);
    assert_eq!(far.received[0].kind, kind::ACKNOWLEDGEMENT);
    assert!(leading_u32(&far.received[0].payload).unwrap() >= 600);
    far.received.clear();
    far.say_message(kind::DATA, &[0; 100]);
    assert!(far.received.is_empty(), "not for every message");
    far.say_message(kind::PEER_BANDWIDTH, &[0, 0, 9, 0, 2]);
    assert_eq!((far.received[0].kind, &far.received[0].payload[..]), (kind::WINDOW_SIZE, &[0, 0, 9, 0][..]));
}

#[test]
fn a_refusal_that_quotes_the_address_does_not_tell_its_token() {
    let mut far = Far::begun(facts(Codec::H264, Codec::Aac), |publication, random, now| {
        Session::new(Publication { app: "live?token=t0ps3cret&backup=1".into(), ..publication }, random, now)
    });
    far.say_bytes(&hello());
    let said = "no rtmp://host/live?token=t0ps3cret&backup=1 for t0ps3cret, backup 1";
    far.say("_error", 1.0, &[Value::Null, info("error", "NetConnection.Odd", said)]);
    let trouble = far.ended().unwrap();
    let expected = "NetConnection.Odd: no rtmp://host/live?••• for •••, backup 1";
    assert_eq!(trouble, Trouble::Refused(Refusal::Other { said: expected.to_owned() }));
}

#[test]
fn the_key_is_not_in_what_a_session_shows() {
    let far = Far::publishing();
    assert!(!format!("{:?}", far.session).contains(KEY));
    assert!(!format!("{:?}", far.session.publication).contains(KEY));
}

#[test]
fn the_servers_side_split_at_every_byte_reads_the_same() {
    let whole = {
        let mut bytes = hello();
        for (transaction, arguments) in [(1.0, [Value::Null, Value::Null]), (4.0, [Value::Null, Value::Number(1.0)])] {
            let mut values = vec![Value::text("_result"), Value::Number(transaction)];
            values.extend(arguments);
            let body = encode_all(&values);
            bytes.extend_from_slice(&[3, 0, 0, 0, 0, 0, body.len() as u8, 20, 0, 0, 0, 0]);
            bytes.extend_from_slice(&body);
        }
        bytes
    };
    for at in (0..whole.len()).step_by(7).chain(3000..whole.len()) {
        let mut far = Far::new(facts(Codec::H264, Codec::Aac));
        far.say_bytes(&whole[..at]);
        far.say_bytes(&whole[at..]);
        assert_eq!(far.session.poll_timeout().map(|t| t.1), Some(Step::Publish), "split at byte {at}");
    }
}

proptest! {
    #[test]
    fn no_server_can_hurt(
        step in prop_oneof![Just(Step::Handshake), Just(Step::Connect), Just(Step::CreateStream), Just(Step::Publish)],
        kind in any::<u8>(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        raw in any::<bool>(),
    ) {
        let mut far = Far::waiting_for(step, facts(Codec::Av1, Codec::Opus));
        if raw { far.say_bytes(&bytes) } else { far.say_message(kind, &bytes) }
        prop_assert!(far.session.outbox().is_empty());
        let ended = std::iter::from_fn(|| far.session.poll_event()).any(|e| matches!(e, SessionEvent::Ended(_)));
        prop_assert_eq!(ended, far.session.poll_timeout().is_none() && !far.session.is_publishing());
    }
}
