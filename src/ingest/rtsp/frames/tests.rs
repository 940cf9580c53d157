#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::wildcard_enum_match_arm,
    clippy::needless_pass_by_value,
    clippy::needless_borrowed_reference
)]

use proptest::prelude::*;

use super::*;
use crate::mux::fixtures::canonical;

const CODECS: [Codec; 2] = [Codec::H264, Codec::Hevc];

fn frames(codec: Codec, rate: Option<FrameRate>) -> Frames {
    Frames::new(InputId::new("camera").unwrap(), codec, rate)
}

/// Pictures of the fixture, shown in this order of 33 ms.
fn pictures(codec: Codec, began: Instant, shown: &[i64]) -> Vec<Frame> {
    let record = canonical(codec)[0].config.record.clone();
    // Parameter sets are taken out by the client, delimiters are not.
    let delimiter: &[u8] = if codec == Codec::H264 { &[0, 0, 0, 2, 9, 0x10] } else { &[0, 0, 0, 3, 0x46, 1, 0x50] };
    let payloads =
        canonical(codec).into_iter().map(|unit| Bytes::from([delimiter, &unit.payload[..]].concat())).cycle();
    let times = shown.iter().zip(0u64..);
    let frame = |(payload, (shown, n)): (Bytes, (&i64, u64))| Frame {
        track: Track::Video,
        local: VideoGrid(FrameRate::whole(30)).time_of(*shown),
        arrived: began + Duration::from_millis(33 * n),
        record: (n == 0).then(|| record.clone()),
        payload,
    };
    payloads.zip(times).map(frame).collect()
}

fn push(frames: &mut Frames, frame: Frame) -> Vec<Arrival> {
    let mut got = Vec::new();
    frames.push(frame, |arrival| got.push(arrival));
    got
}

fn units(frames: &mut Frames, all: impl IntoIterator<Item = Frame>) -> Vec<AccessUnit> {
    let arrivals = all.into_iter().flat_map(|frame| push(frames, frame)).collect::<Vec<_>>();
    let unit = |arrival| match arrival {
        Arrival::Unit(unit) => unit,
        other => panic!("{other:?}"),
    };
    arrivals.into_iter().map(unit).collect()
}

#[test]
fn pictures_come_out_in_canonical_form_with_their_configuration() {
    for codec in CODECS {
        let mut frames = frames(codec, Some(FrameRate::whole(30)));
        let got = units(&mut frames, pictures(codec, Instant::now(), &[0, 1, 2, 3, 4, 5, 6, 7]));
        let expected = canonical(codec);
        assert_eq!(got.len(), expected.len());
        for (n, (got, expected)) in (0..).zip(got.iter().zip(&expected)) {
            assert_eq!((&got.payload, got.key), (&expected.payload, expected.key));
            assert_eq!((&got.config.record, got.config.format), (&expected.config.record, expected.config.format));
            let at = VideoGrid(FrameRate::whole(30)).time_of(n);
            assert_eq!((got.pts, got.dts, got.track), (at, at, Track::Video));
            assert_eq!(got.input.as_str(), "camera");
        }
    }
}

#[test]
fn where_nobody_says_the_rate_the_first_four_pictures_wait_for_it() {
    let mut frames = frames(Codec::H264, None);
    let mut all = pictures(Codec::H264, Instant::now(), &[0, 1, 2, 3, 4]).into_iter();
    assert!(all.by_ref().take(3).all(|frame| push(&mut frames, frame).is_empty()));
    let got = units(&mut frames, all);
    assert_eq!(got.len(), 5);
    for unit in got {
        assert!(matches!(unit.config.format, TrackFormat::Video(format)
            if format == VideoFormat { width: 80, height: 50, rate: FrameRate::whole(30) }));
    }
}

#[test]
fn nothing_comes_before_the_first_key_picture_nor_what_is_shown_before_it() {
    let mut frames = frames(Codec::Hevc, Some(FrameRate::whole(30)));
    // The fixture has a key picture every four. Its second picture comes first.
    let mut all = pictures(Codec::Hevc, Instant::now(), &[0, 1, 2, 3, 7, 5, 6, 8, 12]);
    let record = all[0].record.clone();
    all.remove(0);
    all[0].record = record;
    let got = units(&mut frames, all);
    let shown = got.iter().map(|unit| VideoGrid(FrameRate::whole(30)).nearest(unit.pts)).collect::<Vec<_>>();
    assert_eq!(shown, [7, 8, 12], "5 and 6 are shown before the key picture that came before them");
    assert!(got[0].key);
}

#[test]
fn a_stream_without_any_key_picture_is_passed_on_after_a_while() {
    let mut frames = frames(Codec::H264, Some(FrameRate::whole(30)));
    let began = Instant::now();
    let all = pictures(Codec::H264, began, &[0, 1]);
    let at = |seconds: u64, record| Frame {
        local: Media::from_millis(1000 * seconds as i64),
        arrived: began + Duration::from_secs(seconds),
        record,
        ..all[1].clone()
    };
    assert!(push(&mut frames, at(0, all[0].record.clone())).is_empty());
    assert!(push(&mut frames, at(2, None)).is_empty());
    assert_eq!(push(&mut frames, at(12, None)).len(), 1);
}

#[test]
fn an_unexpected_order_says_that_time_begins_anew() {
    let mut frames = frames(Codec::H264, Some(FrameRate::whole(30)));
    let all = pictures(Codec::H264, Instant::now(), &[0, 3, 1, 2, 6]);
    let arrivals = all.into_iter().flat_map(|frame| push(&mut frames, frame)).collect::<Vec<_>>();
    let anew = arrivals.iter().position(|arrival| matches!(arrival, Arrival::TimeBase));
    assert_eq!((anew, arrivals.len()), (Some(2), 6), "x264 said 0 for the fixture");
}

#[test]
fn sound_is_raw_aac_on_the_pictures_clock() {
    let mut frames = frames(Codec::H264, Some(FrameRate::whole(30)));
    let began = Instant::now();
    push(&mut frames, pictures(Codec::H264, began, &[0]).remove(0));
    let expected = canonical(Codec::Aac);
    for (n, unit) in (0i64..).zip(&expected) {
        let frame = Frame {
            track: Track::Audio,
            local: Media::from_millis(-5_000_000 + 21 * n),
            arrived: began + Duration::from_millis(21 * n as u64),
            record: (n == 0).then(|| unit.config.record.clone()),
            payload: unit.payload.clone(),
        };
        let got = units(&mut frames, [frame]).remove(0);
        assert_eq!((&got.payload, &got.config.record), (&unit.payload, &unit.config.record));
        assert_eq!((got.pts, got.dts, got.key), (Media::from_millis(21 * n), Media::from_millis(21 * n), true));
    }
}

#[test]
fn a_stream_that_cannot_be_read_is_given_up_and_one_bad_picture_is_not() {
    let mut frames = frames(Codec::H264, Some(FrameRate::whole(30)));
    let began = Instant::now();
    let good = pictures(Codec::H264, began, &[0]).remove(0);
    let bad = Frame { payload: Bytes::from_static(&[0, 0, 0, 9, 1]), record: None, ..good.clone() };
    push(&mut frames, good.clone());
    for _ in 0..UNREADABLE - 1 {
        assert!(push(&mut frames, bad.clone()).is_empty());
    }
    assert_eq!(push(&mut frames, Frame { record: None, ..good }).len(), 1);
    assert!(frames.refusal().is_none());
    for _ in 0..UNREADABLE {
        push(&mut frames, bad.clone());
    }
    assert!(matches!(frames.refusal(), Some(MuxError::Truncated { .. })), "{:?}", frames.refusal());
}

proptest! {
    #[test]
    fn no_frames_do_harm_and_decoding_times_keep_their_promise(
        said: bool,
        steps in prop::collection::vec(
            (0u8..8, any::<i64>(), -20_000i64..20_000, 0u64..4_000, prop::collection::vec(any::<u8>(), 0..60)),
            0..60,
        ),
    ) {
        let rate = said.then_some(FrameRate::whole(25));
        let mut frames = frames(Codec::H264, rate);
        let mut now = Instant::now();
        let real = pictures(Codec::H264, now, &[0, 1, 2, 3, 4, 5, 6, 7]);
        let (mut before, mut local) = (Media(i64::MIN), 0i64);
        for (n, (kind, wild, step, wait, bytes)) in steps.into_iter().enumerate() {
            now += Duration::from_millis(wait);
            local = if kind == 0 { wild / 1_000_000 } else { local.saturating_add(step) };
            let track = if kind == 1 { Track::Audio } else { Track::Video };
            let record = (n == 0 || kind == 2).then(|| real[0].record.clone().unwrap());
            let payload = if kind == 3 { Bytes::from(bytes) } else { real[n % 8].payload.clone() };
            let frame = Frame { track, local: Media::from_millis(local), arrived: now, record, payload };
            if kind == 4 {
                frames.report(track, Media(wild), Media::from_millis(local));
            }
            for arrival in push(&mut frames, frame) {
                match arrival {
                    Arrival::TimeBase => before = Media(i64::MIN),
                    Arrival::Unit(unit) if unit.track == Track::Video => {
                        prop_assert!(unit.dts <= unit.pts && unit.dts >= before);
                        before = unit.dts;
                    }
                    _ => {}
                }
            }
        }
    }
}
