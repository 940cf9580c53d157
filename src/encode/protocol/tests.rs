#![allow(clippy::unwrap_used, clippy::panic)]
use proptest::prelude::*;

use super::*;
use crate::model::{AudioFormat, Fault, Finding, FrameRate, VideoFormat};

pub(in crate::encode) fn config() -> Arc<CodecConfig> {
    let format = VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) };
    Arc::new(CodecConfig {
        codec: Codec::H264,
        record: Bytes::from_static(&[1, 66, 0, 30]),
        format: TrackFormat::Video(format),
        bitrate: 800_000,
    })
}

pub(in crate::encode) fn hello() -> FromWorker {
    FromWorker::Hello(Hello { protocol: PROTOCOL, input: InputId::new("cam").unwrap(), pid: 7 })
}

pub(in crate::encode) fn black() -> Condition {
    Condition::new(vec![Finding { fault: Fault::Black, evidence: "black for 3.0 s".into() }])
}

pub(in crate::encode) fn a_conversation() -> Vec<FromWorker> {
    vec![
        hello(),
        FromWorker::Format {
            stream: 3,
            rendition: RenditionId::new("main").unwrap(),
            encoder: "x264enc".into(),
            config: config(),
        },
        FromWorker::Unit {
            stream: 3,
            key: true,
            pts: Media(-5),
            dts: Media(i64::MAX),
            payload: Bytes::from_static(b"picture"),
        },
        FromWorker::Condition(black()),
        FromWorker::Condition(Condition::GOOD),
        FromWorker::Bye { reason: "asked to".into() },
    ]
}

#[test]
fn every_message_survives_the_wire_cut_at_every_byte() {
    let mut wire = BytesMut::new();
    a_conversation().iter().for_each(|m| m.encode(&mut wire));
    for cut in 0..wire.len() {
        let mut buffer = BytesMut::from(&wire[..cut]);
        let mut heard = Vec::new();
        while let Some(message) = FromWorker::decode(&mut buffer).unwrap() {
            heard.push(message);
        }
        buffer.extend_from_slice(&wire[cut..]);
        while let Some(message) = FromWorker::decode(&mut buffer).unwrap() {
            heard.push(message);
        }
        assert_eq!(heard, a_conversation(), "cut at byte {cut}");
        assert!(buffer.is_empty());
    }
}

#[test]
fn every_wish_survives_the_wire() {
    let main = RenditionId::new("main").unwrap();
    let wishes = [
        ToWorker::Welcome { protocol: PROTOCOL },
        ToWorker::ForceKeyframe { rendition: None },
        ToWorker::ForceKeyframe { rendition: Some(main.clone()) },
        ToWorker::SetBitrate { rendition: main, bitrate: 1_000_000 },
        ToWorker::SetGate { gate: Gate::Open },
        ToWorker::SetGate { gate: Gate::Closed },
        ToWorker::Refused { reason: "another worker has this input".into() },
        ToWorker::Feed(Feed::Format(config())),
        ToWorker::Feed(Feed::Unit {
            track: Track::Video,
            key: true,
            pts: Media(7),
            dts: Media(-7),
            payload: Bytes::from_static(b"picture"),
        }),
        ToWorker::Feed(Feed::Unit {
            track: Track::Audio,
            key: true,
            pts: Media(8),
            dts: Media(8),
            payload: Bytes::new(),
        }),
        ToWorker::Feed(Feed::End { reason: "it hung up".into() }),
    ];
    let mut wire = BytesMut::new();
    wishes.iter().for_each(|m| m.encode(&mut wire));
    for wish in wishes {
        assert_eq!(ToWorker::decode(&mut wire).unwrap(), Some(wish));
    }
}

#[test]
fn a_payload_is_not_copied() {
    let mut wire = BytesMut::new();
    a_conversation()[2].encode(&mut wire);
    let at = wire.as_ptr() as usize + UNIT_HEADER;
    let Some(FromWorker::Unit { payload, .. }) = FromWorker::decode(&mut wire).unwrap() else { panic!("a unit") };
    assert_eq!(payload.as_ptr() as usize, at);
}

#[test]
fn what_is_out_of_bounds_is_refused_by_name() {
    let of = |bytes: &[u8]| FromWorker::decode(&mut BytesMut::from(bytes)).unwrap_err();
    assert_eq!(of(b"GET / HTTP/1.1"), ProtocolError::Magic(b'G'));
    assert_eq!(of(&[MAGIC, 9, 0, 0, 0, 0, 0, 0]), ProtocolError::Kind(9));
    assert_eq!(of(&[MAGIC, 3, 0, 64, 0, 0, 0, 0]), ProtocolError::Stream(64));
    assert!(matches!(of(&[MAGIC, 3, 0, 0, 0xff, 0, 0, 0]), ProtocolError::TooLong { kind: 3, .. }));
    assert!(matches!(of(&[MAGIC, 1, 0, 0, 0, 2, 0, 0]), ProtocolError::TooLong { kind: 1, .. }));
    assert!(matches!(of(&[MAGIC, 1, 0, 0, 0, 0, 0, 2, b'{', b'x']), ProtocolError::Body { kind: 1, .. }));
}

#[test]
fn a_condition_has_each_fault_once_and_only_faults_that_are_known() {
    let of = |json: &str| {
        let mut wire = BytesMut::new();
        put_header(&mut wire, 5, 0, json.len());
        wire.extend_from_slice(json.as_bytes());
        FromWorker::decode(&mut wire)
    };
    let twice =
        r#"{"condition":[{"fault":"black","evidence":"black for 3.0 s"},{"fault":"black","evidence":"again"}]}"#;
    assert_eq!(of(twice), Ok(Some(FromWorker::Condition(black()))));
    assert_eq!(of(r#"{"condition":[]}"#), Ok(Some(FromWorker::Condition(Condition::GOOD))));
    for wrong in [r#"{"condition":[{"fault":"tired","evidence":""}]}"#, r#"{"condition":["black"]}"#, "{}", "[[", ""] {
        assert!(matches!(of(wrong), Err(ProtocolError::Body { kind: 5, .. })), "{wrong}");
    }
}

#[test]
fn a_format_must_say_of_its_codec_what_is_true() {
    let mut wire = BytesMut::new();
    let format = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 });
    let config = Arc::new(CodecConfig { format, ..CodecConfig::clone(&config()) });
    let rendition = RenditionId::new("main").unwrap();
    FromWorker::Format { stream: 0, rendition, encoder: String::new(), config }.encode(&mut wire);
    assert!(matches!(FromWorker::decode(&mut wire), Err(ProtocolError::Body { kind: 2, .. })));
}

proptest! {
    #[test]
    fn no_bytes_panic_or_loop(noise in prop::collection::vec(any::<u8>(), 0..400), kind in 0u8..80) {
        let mut framed = BytesMut::new();
        put_header(&mut framed, kind, 1, noise.len());
        framed.extend_from_slice(&noise);
        let _ = FromWorker::decode(&mut framed.clone());
        while let Ok(Some(_)) = ToWorker::decode(&mut framed) {}
        let _ = FromWorker::decode(&mut BytesMut::from(&noise[..]));
    }
}
