#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::model::{AudioFormat, FrameRate};
use crate::mux::avc::{PPS, SPS, build_avcc};
use crate::mux::nal::ParameterSets;

const RATE: FrameRate = FrameRate::whole(30);
const GRID: VideoGrid = VideoGrid(RATE);

/// The configuration record of a Baseline stream of 80x50 that says nothing about its colours.
pub(in crate::ingest) fn record() -> bytes::Bytes {
    let ue = |value: u32| {
        let bits = format!("{:b}", value + 1);
        "0".repeat(bits.len() - 1) + &bits
    };
    let mut bits = String::from("01100111") + "01000010" + "11000000" + "00011110"; // SPS, Baseline, level 3.0
    bits += &(ue(0) + &ue(0) + &ue(2) + &ue(1) + "0"); // order count type 2, one reference frame
    bits += &(ue(4) + &ue(3) + "1" + "1"); // 5 by 4 macroblocks, progressive
    bits += &("1".to_owned() + &ue(0) + &ue(0) + &ue(0) + &ue(7)); // cropped by 7 units of 2 lines below
    bits += "01"; // no VUI, and the end
    bits += &"0".repeat(bits.len().next_multiple_of(8) - bits.len());
    let byte = |bits: &[u8]| bits.iter().fold(0, |n, bit| n << 1 | (bit - b'0'));
    let sps: Vec<u8> = bits.as_bytes().chunks_exact(8).map(byte).collect();
    let mut sets = ParameterSets::default();
    sets.insert(SPS, 0, &sps).unwrap();
    sets.insert(PPS, 0, &[0x68, 0xce, 0x38, 0x80]).unwrap();
    build_avcc(&sets).unwrap().0
}

fn config() -> CodecConfig {
    let format = TrackFormat::Video(VideoFormat { width: 80, height: 50, rate: RATE });
    CodecConfig { codec: Codec::H264, record: record(), format, bitrate: 0 }
}

fn wanted() -> Wanted {
    Wanted {
        input: InputId::new("remote").unwrap(),
        rendition: RenditionId::new("main").unwrap(),
        codec: Codec::H264,
        picture: VideoFormat { width: 80, height: 50, rate: RATE },
        sound: RenditionId::new("aac-96k").unwrap(),
        sound_codec: Codec::Aac,
    }
}

fn unit(track: Track, config: CodecConfig, at: Media, key: bool) -> AccessUnit {
    AccessUnit {
        input: InputId::new("network").unwrap(),
        rendition: RenditionId::new("network").unwrap(),
        track,
        pts: at,
        dts: at,
        key,
        config: Arc::new(config),
        payload: bytes::Bytes::from_static(b"unit"),
    }
}

fn picture(at: Media, key: bool) -> AccessUnit {
    unit(Track::Video, config(), at, key)
}

fn sound(at: Media) -> AccessUnit {
    let format = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 });
    let record = bytes::Bytes::from_static(&[0x11, 0x90]);
    unit(Track::Audio, CodecConfig { codec: Codec::Aac, record, format, bitrate: 0 }, at, true)
}

fn passing() -> Passing {
    let mut passing = Passing::new(wanted());
    assert!(passing.unit(picture(Media::ZERO, true)).is_empty());
    assert_eq!(*passing.verdict(), Verdict::Unknown);
    passing.unit(sound(Media::ZERO));
    assert_eq!(*passing.verdict(), Verdict::Passes);
    passing
}

#[test]
fn what_matches_gets_the_places_of_the_grid_and_the_names_of_the_renditions() {
    let mut passing = passing();
    let phase = Media::from_millis(9);
    let mut out = Vec::new();
    for n in 1000..1100 {
        out.extend(passing.unit(picture(GRID.time_of(n) + phase, n % 30 == 0)));
        out.extend(passing.unit(sound(AudioGrid::AAC.time_of(2 * n) + phase)));
    }
    let pictures: Vec<_> = out.iter().filter(|u| u.track == Track::Video).collect();
    assert!(pictures.iter().all(|u| u.rendition.as_str() == "main" && u.input.as_str() == "remote" && u.pts == u.dts));
    let places: Vec<_> = pictures.iter().map(|u| GRID.nearest(u.pts)).collect();
    assert_eq!(places, (1000..1099).collect::<Vec<_>>());
    assert!(pictures.iter().all(|u| u.pts == GRID.time_of(GRID.nearest(u.pts))));
    let sounds: Vec<_> = out.iter().filter(|u| u.track == Track::Audio).collect();
    assert_eq!((sounds.len(), sounds[0].rendition.as_str()), (100, "aac-96k"));
    assert!(sounds.iter().all(|u| u.pts == AudioGrid::AAC.time_of(AudioGrid::AAC.nearest(u.pts))));
}

#[test]
fn a_clock_that_differs_costs_a_picture_before_a_keyframe_or_leaves_a_place_empty() {
    for (ppm, left_out, empty) in [(300, 17..=19, 0..=0), (-300, 0..=0, 17..=19)] {
        let mut passing = passing();
        let (mut rng, mut places, mut most) = (fastrand::Rng::with_seed(5), Vec::new(), 0);
        for n in 1000..61_000_i64 {
            let true_time = GRID.time_of(n);
            let time = true_time - Media((i128::from((true_time - GRID.time_of(1000)).0) * ppm / 1_000_000) as i64);
            let at = time + Media(rng.i64(-2_000_000..2_000_000));
            for unit in passing.unit(picture(at, n % 60 == 0)) {
                let place = GRID.nearest(unit.pts);
                assert!(places.last().is_none_or(|last| place > *last), "a place twice");
                most = most.max(place - GRID.nearest(time));
                places.push(place);
            }
        }
        let holes = places.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
        assert!(left_out.contains(&passing.left_out()), "{ppm}: {} left out", passing.left_out());
        assert!(empty.contains(&holes), "{ppm}: {holes} empty");
        assert!(most <= 2, "{ppm}: {most} places late");
    }
}

#[test]
fn what_differs_is_told_in_words() {
    let differs = |change: &dyn Fn(&mut Wanted)| {
        let mut wanted = wanted();
        change(&mut wanted);
        let mut passing = Passing::new(wanted);
        passing.unit(picture(Media::ZERO, true));
        passing.unit(sound(Media::ZERO));
        match passing.verdict().clone() {
            Verdict::Differs(why) => why,
            other @ (Verdict::Unknown | Verdict::Passes) => panic!("{other:?}"),
        }
    };
    assert_eq!(differs(&|w| w.picture.width = 1280), "it is 80x50 at 30.00/s, and the rendition 1280x50 at 30.00/s");
    assert_eq!(
        differs(&|w| w.picture.rate = FrameRate::whole(25)),
        "it is 80x50 at 30.00/s, and the rendition 80x50 at 25.00/s"
    );
    assert_eq!(differs(&|w| w.codec = Codec::Hevc), "it is H.264, and the rendition HEVC");
    assert_eq!(differs(&|w| w.sound_codec = Codec::Opus), "its sound is AAC, and ours Opus");
}

#[test]
fn each_codec_passes_where_its_rendition_has_it() {
    use crate::mux::fixtures::{described, said};

    for (codec, said) in [(Codec::H264, said::X264), (Codec::Hevc, said::X265), (Codec::Av1, said::SVT_AHEAD)] {
        let mut passing = Passing::new(Wanted { codec, ..wanted() });
        passing.unit(sound(Media::ZERO));
        let mut out = Vec::new();
        for n in 100..160 {
            out.extend(passing.unit(unit(Track::Video, described(codec, said), GRID.time_of(n), n % 30 == 0)));
        }
        assert_eq!(*passing.verdict(), Verdict::Passes, "{codec:?}");
        assert_eq!(out.iter().map(|u| GRID.nearest(u.pts)).collect::<Vec<_>>(), (100..159).collect::<Vec<_>>());
        // A wrapper may say that a unit is decoded earlier than it is shown: when its first frame came, which is hidden.
        let early = AccessUnit { dts: GRID.time_of(158), ..out[58].clone() };
        let early = AccessUnit { pts: GRID.time_of(160), ..early };
        let shown = passing.unit(early);
        assert_eq!(shown.len(), 1, "the one that waited");
        let differs = matches!(passing.verdict(), Verdict::Differs(_));
        assert_eq!(differs, codec != Codec::Av1, "{codec:?}: {:?}", passing.verdict());
        let next = passing.unit(unit(Track::Video, described(codec, said), GRID.time_of(161), false));
        assert!(next.iter().all(|u| u.pts == GRID.time_of(160) && u.dts == u.pts));
        assert_eq!(next.len(), usize::from(codec == Codec::Av1));
    }
}

#[test]
fn reordered_pictures_and_another_format_end_it_and_another_sender_may_begin_it() {
    let mut passing = passing();
    assert!(passing.unit(picture(GRID.time_of(1), true)).len() <= 1);
    let reordered = AccessUnit { dts: GRID.time_of(2), ..picture(GRID.time_of(4), false) };
    assert_eq!(passing.unit(reordered).len(), 1, "the one that waited");
    assert_eq!(*passing.verdict(), Verdict::Differs("its pictures are reordered".into()));
    assert!(passing.unit(picture(GRID.time_of(5), true)).is_empty());
    passing.restart();
    assert_eq!(*passing.verdict(), Verdict::Unknown);
    passing.unit(sound(Media::ZERO));
    passing.unit(picture(GRID.time_of(100), true));
    assert_eq!(*passing.verdict(), Verdict::Passes);
    let small = TrackFormat::Video(VideoFormat { width: 40, height: 50, rate: RATE });
    let other = CodecConfig { format: small, ..config() };
    passing.unit(unit(Track::Video, other, GRID.time_of(101), true));
    assert!(matches!(passing.verdict(), Verdict::Differs(_)));
}
