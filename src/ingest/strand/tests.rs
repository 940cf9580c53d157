#![allow(clippy::unwrap_used, clippy::panic)]
use bytes::Bytes;

use super::*;
use crate::model::{AudioFormat, Codec, FrameRate, InputId, RenditionId, TrackFormat, VideoFormat};

fn ms(ms: i64) -> Media {
    Media::from_millis(ms)
}

fn unit(track: Track, at: i64, key: bool, record: u8) -> Arrival {
    let (codec, format) = match track {
        Track::Video => {
            (Codec::H264, TrackFormat::Video(VideoFormat { width: 640, height: 360, rate: FrameRate::whole(30) }))
        }
        Track::Audio => (Codec::Aac, TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 })),
    };
    let config = CodecConfig { codec, record: Bytes::from(vec![record]), format, bitrate: 0 };
    Arrival::Unit(AccessUnit {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("cam").unwrap(),
        track,
        pts: ms(at),
        dts: ms(at),
        key,
        config: Arc::new(config),
        payload: Bytes::from_static(b"unit"),
    })
}

fn strand() -> Strand {
    let mut strand = Strand::new(Duration::from_millis(200), NetworkLimits::USUAL, None);
    assert!(strand.finding().unwrap().evidence.contains("nobody has sent"));
    assert!(strand.arrived(Arrival::Began { from: "a camera".into() }, ms(1000)).feeds.is_empty());
    strand
}

fn times(feeds: &[Feed]) -> Vec<(bool, Media)> {
    let time = |feed: &Feed| match feed {
        Feed::Unit { track, pts, .. } => Some((*track == Track::Video, *pts)),
        Feed::Format(_) | Feed::End { .. } => None,
    };
    feeds.iter().filter_map(time).collect()
}

#[test]
fn units_are_due_a_cushion_after_the_later_of_both_tracks() {
    let mut strand = strand();
    let first = strand.arrived(unit(Track::Video, 50_000, true, 1), ms(1000)).feeds;
    assert!(matches!(&first[..], [Feed::Format(config), Feed::Unit { .. }] if config.codec == Codec::H264));
    assert_eq!(times(&first), [(true, ms(1200))]);
    // The sound that belongs to it comes 80 ms later.
    let sound = strand.arrived(unit(Track::Audio, 50_000, true, 1), ms(1080)).feeds;
    assert_eq!(times(&sound), [(false, ms(1280))]);
    let next = strand.arrived(unit(Track::Video, 50_100, false, 1), ms(1100)).feeds;
    assert_eq!((next.len(), times(&next)[0].1), (1, ms(1380)), "the picture waits for the sound");
    assert_eq!(strand.finding(), None);
}

#[test]
fn times_that_make_no_sense_put_nothing_off() {
    let hour = 3_600_000;
    // Sound on a clock of its own, an hour off either way.
    for at in [50_000 - hour, 50_000 + hour] {
        let mut apart = strand_with_picture();
        assert_eq!(times(&apart.arrived(unit(Track::Audio, at, true, 1), ms(1000)).feeds), [(false, ms(1200))]);
        assert_eq!(times(&apart.arrived(unit(Track::Video, 50_033, false, 1), ms(1033)).feeds), [(true, ms(1233))]);
    }
    // A picture that is to be shown in an hour, or before it is decoded.
    for (pts, shown) in [(50_033 + hour, 1233 + 1400), (50_033 - hour, 1233)] {
        let Arrival::Unit(mut odd) = unit(Track::Video, 50_033, false, 1) else { panic!("a unit") };
        odd.pts = ms(pts);
        let mut strand = strand_with_picture();
        assert_eq!(times(&strand.arrived(Arrival::Unit(odd), ms(1033)).feeds), [(true, ms(shown))]);
    }
}

fn strand_with_picture() -> Strand {
    let mut strand = strand();
    strand.arrived(unit(Track::Video, 50_000, true, 1), ms(1000));
    strand
}

#[test]
fn a_worker_that_comes_later_begins_with_the_last_keyframe() {
    let mut strand = strand();
    assert!(strand.catch_up().is_empty());
    for n in 0..10 {
        strand.arrived(unit(Track::Video, n * 33, n == 0 || n == 6, 1), ms(1000 + n * 33));
        strand.arrived(unit(Track::Audio, n * 33, true, 1), ms(1000 + n * 33));
    }
    let feeds = strand.catch_up();
    assert!(matches!(&feeds[..2], [Feed::Format(_), Feed::Format(_)]));
    assert!(matches!(&feeds[2], Feed::Unit { key: true, track: Track::Video, .. }));
    assert_eq!(times(&feeds).len(), 8);
    assert!(times(&feeds).iter().all(|(_, pts)| *pts >= ms(1000 + 6 * 33)));
}

#[test]
fn another_configuration_is_told_and_what_was_before_it_is_forgotten() {
    let mut strand = strand();
    strand.arrived(unit(Track::Video, 0, true, 1), ms(1000));
    let changed = strand.arrived(unit(Track::Video, 33, true, 2), ms(1033)).feeds;
    assert!(matches!(&changed[..], [Feed::Format(_), Feed::Unit { .. }]));
    assert_eq!(times(&strand.catch_up()).len(), 1);
}

#[test]
fn a_sender_that_is_gone_is_told_once_and_the_next_has_a_time_of_its_own() {
    let mut strand = strand();
    strand.arrived(unit(Track::Video, 9_000_000, true, 1), ms(1000));
    assert_eq!(strand.sender(ms(3500)).unwrap().for_s, 2);
    let ended = strand.arrived(Arrival::Ended { why: "it hung up".into() }, ms(4000)).feeds;
    assert_eq!(ended, [Feed::End { reason: "the sender is gone: it hung up".into() }]);
    assert!(strand.arrived(Arrival::Ended { why: "again".into() }, ms(4000)).feeds.is_empty());
    assert_eq!(strand.finding().unwrap().evidence, "there is no sender: again");
    assert!(strand.catch_up().is_empty() && strand.sender(ms(4000)).is_none());
    strand.arrived(Arrival::Began { from: "another".into() }, ms(5000));
    let first = strand.arrived(unit(Track::Video, 7, true, 1), ms(6000)).feeds;
    assert_eq!((first.len(), times(&first)[0].1), (2, ms(6200)), "its format is told again");
    strand.arrived(Arrival::TimeBase, ms(6000));
    assert_eq!(times(&strand.arrived(unit(Track::Video, 800_000, true, 1), ms(7000)).feeds), [(true, ms(7200))]);
}

#[test]
fn a_group_without_end_is_not_kept() {
    let mut strand = strand();
    for n in 0..5000 {
        strand.arrived(unit(Track::Video, n * 33, n == 0, 1), ms(1000 + n * 33));
    }
    assert!(strand.catch_up().is_empty());
}

#[test]
fn what_is_as_it_is_wanted_goes_past_the_worker_while_it_is_on_air_and_until_it_differs() {
    use crate::ingest::passing::Wanted;

    let picture = VideoFormat { width: 80, height: 50, rate: FrameRate::whole(30) };
    let record = crate::ingest::passing::tests::record();
    let wanted = Wanted {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        codec: Codec::H264,
        picture,
        sound: RenditionId::new("aac-96k").unwrap(),
        sound_codec: Codec::Aac,
    };
    let mut strand = Strand::new(Duration::from_millis(200), NetworkLimits::USUAL, Some(Passing::new(wanted)));
    strand.arrived(Arrival::Began { from: "a camera".into() }, ms(0));
    let show = |strand: &mut Strand, n: i64, picture: VideoFormat| {
        let Arrival::Unit(mut unit) = unit(Track::Video, n * 100 / 3, n % 30 == 0, 0) else { panic!("a unit") };
        unit.config = Arc::new(CodecConfig {
            record: record.clone(),
            format: TrackFormat::Video(picture),
            ..CodecConfig::clone(&unit.config)
        });
        strand.arrived(Arrival::Unit(unit), ms(1000 + n * 100 / 3))
    };
    assert!(show(&mut strand, 0, picture).path.is_none());
    let news = strand.arrived(unit(Track::Audio, 0, true, 1), ms(1000)).path;
    assert_eq!(news.map(|(path, _)| path), Some(Path::AsItIs));
    show(&mut strand, 1, picture);
    assert_eq!(strand.next_due(), None, "not on air");
    strand.set_duty(Duty::OnAir);
    let mut units = Vec::new();
    for n in 2..40 {
        show(&mut strand, n, picture);
        units.extend(strand.take_due(ms(1000 + n * 100 / 3)));
    }
    // What came 200 ms ago and longer is due; nothing is early, and each picture waits for the one after it.
    assert_eq!(units.len(), 33);
    assert!(units.iter().all(|u| u.rendition.as_str() == "main"));
    assert!(units.iter().filter(|u| u.key).all(|u| (u.pts - ms(2200)).0.abs() < 34_000_000));
    assert!(strand.next_due() > Some(ms(1000 + 39 * 100 / 3)));
    let small = VideoFormat { width: 40, ..picture };
    let changed = show(&mut strand, 40, small);
    assert_eq!(changed.path.map(|(path, _)| path), Some(Path::Decoded));
    assert_eq!(strand.path(), Path::Decoded);
    strand.take_due(ms(3000));
    assert_eq!(show(&mut strand, 41, small).path, None, "that was told");
    assert_eq!(strand.next_due(), None, "its worker's turn");
}

#[test]
fn what_never_was_as_it_is_wanted_is_told_once() {
    use crate::ingest::passing::Wanted;

    let format = VideoFormat { width: 80, height: 50, rate: FrameRate::whole(30) };
    let wanted = Wanted {
        input: InputId::new("cam").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        codec: Codec::Hevc,
        picture: format,
        sound: RenditionId::new("aac-96k").unwrap(),
        sound_codec: Codec::Aac,
    };
    let mut strand = Strand::new(Duration::from_millis(200), NetworkLimits::USUAL, Some(Passing::new(wanted)));
    let mut told = Vec::new();
    for sender in 0..2 {
        strand.arrived(Arrival::Began { from: "a camera".into() }, ms(sender * 1000));
        for n in 0..30 {
            let at = ms(sender * 1000 + n * 33);
            for track in [Track::Video, Track::Audio] {
                told.extend(strand.arrived(unit(track, n * 33, n == 0, 1), at).path);
            }
        }
    }
    let why = "it cannot go on air as it is: it is H.264, and the rendition HEVC".to_owned();
    assert_eq!(told, [(Path::Decoded, why)]);
    assert_eq!(strand.path(), Path::Decoded);
}
