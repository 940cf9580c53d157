//! A publishing session against a server that says anything at all, at any time.
#![no_main]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast::config::Secret;
use holdfast::model::{
    AccessUnit, AudioFormat, Codec, CodecConfig, FrameRate, InputId, Media, RenditionId, Track, TrackFormat,
    VideoFormat,
};
use holdfast::mux::flv::StreamFacts;
use holdfast::rtmp::session::{MAX_INPUT, Publication, Session};
use libfuzzer_sys::fuzz_target;

const FORMAT: VideoFormat = VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) };

fn drain(session: &mut Session) {
    let waiting: usize = session.outbox().slices().map(<[u8]>::len).sum();
    session.outbox().advance(waiting);
    while let Some(event) = session.poll_event() {
        assert!(!format!("{event:?}").contains("s3cr3t"), "the stream key is in {event:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let mut now = Instant::now();
    let mut random = fastrand::Rng::with_seed(1);
    let publication = Publication {
        app: "live".to_owned(),
        tc_url: "rtmp://server/live".to_owned(),
        name: Secret::new("s3cr3t"),
        facts: StreamFacts {
            video: Codec::Hevc,
            video_format: FORMAT,
            video_bitrate: 1_000_000,
            audio: Codec::Aac,
            audio_format: AudioFormat { rate: 48_000, channels: 2, samples: 1024 },
            audio_bitrate: 96_000,
        },
    };
    // Every other one stands by, and publishes when it is told to.
    let begin = if data.first().is_some_and(|mode| mode & 0x40 != 0) { Session::standby } else { Session::new };
    let mut session = begin(publication, &mut random, now);
    let unit = AccessUnit {
        input: InputId::new("camera").expect("a name"),
        rendition: RenditionId::new("main").expect("a name"),
        track: Track::Video,
        pts: Media::ZERO,
        dts: Media::ZERO,
        key: true,
        config: Arc::new(CodecConfig {
            codec: Codec::Hevc,
            record: Bytes::from_static(&[1; 23]),
            format: TrackFormat::Video(FORMAT),
            bitrate: 1_000_000,
        }),
        payload: Bytes::from_static(&[0, 0, 0, 2, 0x26, 1]),
    };
    // A third of the inputs begin after the handshake, which chance alone would seldom get through.
    let (&mode, mut data) = data.split_first().unwrap_or((&0, &[]));
    if mode % 3 != 0 {
        let mut answer = vec![3];
        answer.resize(1 + 2 * 1536, 0);
        session.handle_input(&answer, now);
    }
    while let Some((&length, rest)) = data.split_first() {
        let (piece, rest) = rest.split_at(rest.len().min(usize::from(length) + 1).min(MAX_INPUT));
        session.handle_input(piece, now);
        drain(&mut session);
        if session.is_publishing() {
            session.send(&unit);
        }
        if length == 254 {
            session.publish(Secret::new("s3cr3t"), now);
        }
        if length == 255 {
            session.end(Media::ZERO, now);
        }
        now += Duration::from_millis(u64::from(length));
        if session.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            session.handle_timeout(now);
            assert!(session.poll_timeout().is_none_or(|(deadline, _)| deadline > now), "a timer that does not move on");
        }
        drain(&mut session);
        data = rest;
    }
    session.handle_closed("the input ended", now);
    drain(&mut session);
});
