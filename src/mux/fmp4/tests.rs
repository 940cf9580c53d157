#![allow(clippy::unwrap_used, clippy::panic)]

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::model::{Codec, FrameRate, VideoFormat, VideoGrid};
use crate::mux::fixtures::{canonical, programme};

const PAIRS: [(Codec, Codec); 3] = [(Codec::H264, Codec::Aac), (Codec::Hevc, Codec::Aac), (Codec::Av1, Codec::Opus)];

/// Writes all units into one file; the fragments and the closed file.
fn record(units: &[Arc<AccessUnit>]) -> (Vec<Fragment>, Vec<u8>) {
    let (first, rest) = units.split_first().unwrap();
    let mut file = Fmp4::begin(first.clone(), Wall(0)).unwrap();
    let mut fragments: Vec<_> = rest.iter().filter_map(|unit| file.push(unit.clone()).unwrap()).collect();
    let end = file.finish();
    fragments.push(end.tail);
    let mut bytes = concat(&fragments);
    let (at, mehd) = end.duration.unwrap();
    bytes[at as usize..at as usize + mehd.len()].copy_from_slice(&mehd);
    (fragments, bytes)
}

fn concat(fragments: &[Fragment]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for fragment in fragments {
        let length: usize = fragment.parts.iter().map(Bytes::len).sum();
        assert_eq!(length as u64, fragment.length);
        fragment.parts.iter().for_each(|part| out.extend_from_slice(part));
    }
    out.to_vec()
}

#[test]
fn every_unit_is_in_the_file_once_in_order_with_its_bytes_and_its_time() {
    for (video, audio) in PAIRS {
        let units = programme(video, audio, Media::ZERO, 5);
        let (_, file) = record(&units);
        let scan = scan(&file).unwrap();
        assert_eq!(scan.tracks.len(), 2);
        assert_eq!(scan.whole, file.len());
        for (track, kind) in scan.tracks.iter().zip([Track::Video, Track::Audio]) {
            let expected: Vec<_> = units.iter().filter(|unit| unit.track == kind).collect();
            assert_eq!(track.samples.len(), expected.len(), "{video:?} {kind:?}");
            for (sample, unit) in track.samples.iter().zip(expected) {
                assert_eq!(file[sample.offset..sample.offset + sample.size], unit.payload);
                assert_eq!((sample.dts, sample.key), (unit.dts.to_ticks(track.timescale) as u64, unit.key));
            }
        }
    }
}

#[test]
fn times_are_whole_ticks_apart_on_both_grids() {
    let (_, file) = record(&programme(Codec::H264, Codec::Aac, Media::from_millis(40_000), 5));
    let scan = scan(&file).unwrap();
    assert_eq!((scan.tracks[0].timescale, scan.tracks[1].timescale), (30_000, 48_000));
    for (track, step) in scan.tracks.iter().zip([1000, 1024]) {
        assert!(track.samples.iter().all(|s| s.duration == step), "{:?}", track.entry);
        assert!(track.samples.windows(2).all(|w| w[0].dts + u64::from(w[0].duration) == w[1].dts));
    }
}

#[test]
fn ntsc_frames_are_exactly_1001_ticks_apart_for_a_hundred_hours() {
    let rate = FrameRate { num: 30_000, den: 1001 };
    let format = TrackFormat::Video(VideoFormat { width: 80, height: 50, rate });
    let config = CodecConfig { format, ..(*canonical(Codec::H264)[0].config).clone() };
    let start = VideoGrid(rate).time_of(77);
    let lane = Lane::new(VIDEO_TRACK, Arc::new(config), start);
    for n in (0..100 * 3600 * 30).step_by(997) {
        assert_eq!(lane.ticks(VideoGrid(rate).time_of(77 + n)), 1001 * n as u64);
    }
}

#[test]
fn a_programme_beyond_the_32_bit_limits_is_recorded_from_zero_with_nothing_lost() {
    // 26.5 h of 90 kHz in 33 bits, 49.7 days of milliseconds in 32; then a file that itself lasts longer than 2^32 ticks.
    let start = Media::from_millis(50 * 86_400_000);
    let mut units = programme(Codec::H264, Codec::Aac, start, 2);
    units.extend(programme(Codec::H264, Codec::Aac, start + Media::from_millis(40 * 3_600_000), 2));
    let (_, file) = record(&units);
    let scan = scan(&file).unwrap();
    let video = &scan.tracks[0].samples;
    assert_eq!((video.len(), video[0].dts), (120, 0));
    assert_eq!(video[60].dts, 40 * 3600 * 30_000);
    assert!(video[60].dts > u64::from(u32::MAX));
    // To the end of the last packet of sound, which outlasts the last picture by less than a packet.
    assert!((144_002_000..144_002_022).contains(&scan.duration_ms.unwrap()), "{:?}", scan.duration_ms);
}

#[test]
fn a_fragment_ends_before_each_keyframe_and_after_two_seconds_without_one() {
    let mut units = programme(Codec::H264, Codec::Aac, Media::ZERO, 8);
    let (fragments, _) = record(&units);
    // 240 pictures with a keyframe every four.
    assert_eq!(fragments.len(), 60);
    for unit in units.iter_mut().skip(1).filter(|unit| unit.track == Track::Video) {
        Arc::make_mut(unit).key = false;
    }
    let (fragments, file) = record(&units);
    assert_eq!(fragments.len(), 4);
    assert_eq!(scan(&file).unwrap().seek_points, Some(1));
}

#[test]
fn payloads_are_the_units_own_bytes() {
    let units = programme(Codec::Hevc, Codec::Aac, Media::ZERO, 2);
    let (fragments, _) = record(&units);
    let payloads: Vec<_> = fragments.iter().flat_map(|fragment| &fragment.parts[1..]).collect();
    for unit in &units {
        assert!(payloads.iter().any(|part| part.as_ptr() == unit.payload.as_ptr() && part.len() == unit.payload.len()));
    }
}

#[test]
fn a_file_begins_with_a_video_keyframe_and_nothing_earlier_gets_in() {
    let units = programme(Codec::H264, Codec::Aac, Media::from_millis(1000), 1);
    let sound = units.iter().find(|unit| unit.track == Track::Audio).unwrap();
    let delta = units.iter().find(|unit| !unit.key).unwrap();
    assert_eq!(Fmp4::begin(sound.clone(), Wall(0)).unwrap_err(), Refusal::NotAKeyframe);
    assert_eq!(Fmp4::begin(delta.clone(), Wall(0)).unwrap_err(), Refusal::NotAKeyframe);
    let mut file = Fmp4::begin(units[0].clone(), Wall(0)).unwrap();
    let early = AccessUnit { dts: Media::from_millis(999), ..(**sound).clone() };
    assert_eq!(file.push(Arc::new(early)).unwrap_err(), Refusal::Backwards);
    assert_eq!(file.push(units[0].clone()).unwrap_err(), Refusal::Backwards);
}

#[test]
fn another_configuration_or_a_late_track_is_refused_until_a_new_file_begins() {
    let units = programme(Codec::H264, Codec::Aac, Media::ZERO, 3);
    let mut file = Fmp4::begin(units[0].clone(), Wall(0)).unwrap();
    for unit in units.iter().skip(1).filter(|unit| unit.track == Track::Video) {
        file.push(unit.clone()).unwrap();
    }
    let sound = units.iter().rfind(|unit| unit.track == Track::Audio).unwrap();
    assert_eq!(file.push(sound.clone()).unwrap_err(), Refusal::OtherConfiguration);
    let mut other = (*units[0]).clone();
    other.dts = Media::from_millis(5000);
    other.config = Arc::new(CodecConfig { bitrate: 1, ..(*other.config).clone() });
    assert_eq!(file.push(Arc::new(other)).unwrap_err(), Refusal::OtherConfiguration);
}

#[test]
fn sound_that_comes_after_the_second_keyframe_is_still_in_the_file() {
    let mut units = programme(Codec::H264, Codec::Aac, Media::ZERO, 1);
    // A keyframe, two pictures, another keyframe, and only then the first sound.
    let pictures: Vec<_> = units.extract_if(.., |unit| unit.track == Track::Video).collect();
    let sound_from = pictures[4].dts;
    units.retain(|unit| unit.dts >= sound_from);
    let mut file = Fmp4::begin(pictures[0].clone(), Wall(0)).unwrap();
    for (n, picture) in pictures.iter().enumerate().skip(1).take(3) {
        let mut picture = picture.clone();
        Arc::make_mut(&mut picture).key = n == 3;
        assert!(file.push(picture).unwrap().is_none(), "a fragment without sound after {n} pictures");
    }
    for sound in &units {
        file.push(sound.clone()).unwrap();
    }
    let bytes: Vec<u8> = file.finish().tail.parts.concat();
    let tracks = scan(&bytes).unwrap().tracks;
    assert_eq!(tracks.iter().map(|t| t.samples.len()).collect::<Vec<_>>(), [4, units.len()]);
}

#[test]
fn a_file_whose_sound_never_comes_is_written_all_the_same() {
    let mut units = programme(Codec::H264, Codec::Aac, Media::ZERO, 5);
    units.retain(|unit| unit.track == Track::Video);
    let (fragments, file) = record(&units);
    assert!(fragments.len() >= 2, "only {} fragments", fragments.len());
    assert_eq!(scan(&file).unwrap().tracks.len(), 1);
}

#[test]
fn pictures_shown_later_than_decoded_keep_their_offset() {
    let mut units = programme(Codec::H264, Codec::Aac, Media::ZERO, 1);
    let shown = Arc::make_mut(&mut units[1]);
    assert_eq!(shown.track, Track::Audio);
    let unit = units.iter_mut().filter(|unit| unit.track == Track::Video).nth(1).unwrap();
    Arc::make_mut(unit).pts = unit.dts + Media::from_millis(100);
    let (_, file) = record(&units);
    assert_eq!(scan(&file).unwrap().tracks[0].samples[1].shift, 3000);
}

#[test]
fn a_file_cut_anywhere_is_readable_up_to_its_last_whole_fragment() {
    let (fragments, file) = record(&programme(Codec::H264, Codec::Aac, Media::ZERO, 1));
    // The closed file differs from the growing one only in the duration; cutting either is the same.
    let mut ends: Vec<usize> = Vec::new();
    for fragment in &fragments {
        ends.push(ends.last().unwrap_or(&0) + fragment.length as usize);
    }
    // The last entry also counts the seek table; its fragment is whole earlier.
    let table = fragments.last().unwrap().parts.last().unwrap().len();
    for cut in 0..=file.len() {
        let whole = ends[..ends.len() - 1].iter().chain([&(file.len() - table)]).filter(|end| **end <= cut).count();
        match scan(&file[..cut]) {
            Ok(found) => assert_eq!(found.fragments, whole, "cut at {cut}"),
            Err(_) => assert_eq!(whole, 0, "cut at {cut}"),
        }
        let mut tail = Tail::new();
        while let Some(header) = file[..cut].get(tail.at() as usize..).and_then(|rest| box_header(rest).ok()) {
            if !tail.step(header, cut as u64) {
                break;
            }
        }
        let expected = match scan(&file[..cut]) {
            Ok(found) if found.fragments > 0 => Some(found.whole as u64),
            _ => None,
        };
        assert_eq!(tail.whole(), expected, "cut at {cut}");
    }
}

#[test]
fn sound_that_comes_before_any_fragment_gets_its_track_and_silence_gets_none() {
    let mut units = programme(Codec::H264, Codec::Aac, Media::ZERO, 3);
    units.retain(|unit| unit.track == Track::Video);
    let (_, file) = record(&units);
    let scan = scan(&file).unwrap();
    assert_eq!(scan.tracks.iter().map(|track| &track.entry).collect::<Vec<_>>(), [b"avc1"]);
}

proptest! {
    #[test]
    fn any_bytes_are_scanned_or_refused(data: Vec<u8>) {
        let _ = scan(&data);
        let _ = box_header(&data);
    }

    #[test]
    fn a_damaged_file_is_scanned_or_refused_within_bounds(hits in prop::collection::vec((any::<usize>(), any::<u8>()), 1..8)) {
        let (_, mut file) = record(&programme(Codec::H264, Codec::Aac, Media::ZERO, 1));
        for (at, to) in hits {
            let at = at % file.len();
            file[at] = to;
        }
        if let Ok(scan) = scan(&file) {
            let samples: usize = scan.tracks.iter().map(|track| track.samples.len()).sum();
            prop_assert!(samples <= file.len() / 8);
            prop_assert!(scan.tracks.iter().flat_map(|t| &t.samples).all(|s| s.offset + s.size <= file.len()));
        }
    }
}
