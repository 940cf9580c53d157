#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::mux::fixtures::{bytes, described, said};

fn told(codec: Codec, said: &[&str]) -> String {
    differs(&described(codec, said)).unwrap_or_default()
}

#[test]
fn what_encoders_make_of_bt_709_without_b_pictures_is_what_renditions_are() {
    let all = [(Codec::H264, said::X264), (Codec::Hevc, said::X265), (Codec::Av1, said::SVT), (Codec::Av1, said::AOM)];
    for (codec, said) in all {
        assert_eq!(differs(&described(codec, said)), None, "{codec:?}");
    }
    // Frames that look ahead are hidden in the units before.
    assert_eq!(differs(&described(Codec::Av1, said::SVT_AHEAD)), None);
}

#[test]
fn what_differs_is_named_alike_for_every_codec() {
    assert_eq!(
        told(Codec::H264, said::X264_REORDERED),
        "its pictures may be reordered, by up to 2: its encoder is to make no B pictures"
    );
    assert_eq!(told(Codec::Hevc, said::X265_REORDERED), told(Codec::H264, said::X264_REORDERED));
    assert_eq!(told(Codec::H264, said::X264_INTERLACED), "it is interlaced, and the rendition progressive");
    assert_eq!(told(Codec::Hevc, said::X265_FIELDS), "it is interlaced, and the rendition progressive");
    assert_eq!(told(Codec::H264, said::X264_OBLONG), "its pixels are not square, and the rendition's are");
    assert_eq!(
        told(Codec::H264, said::X264_10_BITS),
        "its profile is High 10, and the rendition's Baseline, Main or High"
    );
    assert_eq!(told(Codec::Hevc, said::X265_HDR), "its profile is Main 10, and the rendition's Main");
    assert_eq!(
        told(Codec::Hevc, said::X265_422),
        "its profile is one of the format range extensions, and the rendition's Main"
    );
    // AV1's Main has 10 bits, too, and no colour at all.
    let samples = |which| format!("its samples have {which}, and the rendition's 8 bits in 4:2:0");
    assert_eq!(told(Codec::Av1, said::AOM_HDR), samples("10 bits in 4:2:0"));
    assert_eq!(told(Codec::Av1, said::AOM_MONO), samples("8 bits in 4:0:0"));
    assert_eq!(told(Codec::Av1, said::AOM_444), "its profile is High, and the rendition's Main");
    assert_eq!(told(Codec::Av1, said::AOM_RGB), "its profile is High, and the rendition's Main");
}

fn usual() -> Look {
    let [look] = &looks(&described(Codec::Hevc, said::X265)).unwrap()[..] else { unreachable!("one sequence") };
    look.clone()
}

#[test]
fn colours_are_bt_709_or_unsaid_and_in_limited_range() {
    let of = |colour: Colour| difference(&Look { colour, ..usual() }, Codec::Hevc);
    let bt709 = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };
    assert_eq!((of(bt709), of(Colour::default()), of(Colour { matrix: 2, ..bt709 })), (None, None, None));
    assert_eq!(
        of(Colour { primaries: 9, transfer: 16, matrix: 9, full_range: false }).as_deref(),
        Some("its colours are not those of BT.709: primaries 9, transfer 16, matrix 9")
    );
    assert_eq!(
        of(Colour { full_range: true, ..bt709 }).as_deref(),
        Some("its colours have the full range, and the rendition's the limited one")
    );
    for colour in [Colour { primaries: 5, ..bt709 }, Colour { transfer: 18, ..bt709 }, Colour { matrix: 0, ..bt709 }] {
        assert!(of(colour).is_some_and(|why| why.contains("BT.709")), "{colour:?}");
    }
    let layers = difference(&Look { layers: 2, ..usual() }, Codec::Av1);
    assert_eq!(layers.as_deref(), Some("its pictures have 2 layers, and the rendition's one"));
}

#[test]
fn a_profile_counts_by_who_decodes_it_and_a_high_tier_is_another() {
    // The general part of profile_tier_level stands behind the two bytes of the header and one of sub-layers.
    let changed = |general: u8, compatibility: u8| {
        let mut sps = bytes(said::X265[1]);
        (sps[3], sps[4]) = (general, compatibility);
        of_hevc(&sps).unwrap().profile
    };
    assert_eq!(changed(1, 0x60), Profile::Usual);
    assert_eq!(changed(2, 0x60), Profile::Usual, "Main 10 of which it is said that Main decodes it");
    assert_eq!(changed(2, 0x20), Profile::Other("Main 10".into()));
    assert_eq!(changed(0x21, 0x60), Profile::Other("Main in the High tier".into()));
    assert_eq!(changed(0x41, 0x60), Profile::Other("number 1".into()), "of a space that is not the standard's");
}

#[test]
fn what_cannot_be_read_is_not_taken_for_anything() {
    let record = |codec, record: &'static [u8]| {
        let record = bytes::Bytes::from_static(record);
        CodecConfig { record, ..described(codec, if codec == Codec::Av1 { said::SVT } else { said::X265 }) }
    };
    let bare = differs(&record(Codec::Av1, &[0x81, 0, 0, 0]));
    assert_eq!(bare.as_deref(), Some("it has no parameter sets"));
    let broken = differs(&record(Codec::Hevc, &[1]));
    assert_eq!(broken.as_deref(), Some("its parameter sets cannot be read: hvcC ends too early, at byte 1"));
}

proptest! {
    #[test]
    fn any_record_is_judged(codec in prop::sample::select(&[Codec::H264, Codec::Hevc, Codec::Av1][..]), at in 0usize..200, to: u8, tail: Vec<u8>) {
        let said = match codec { Codec::Hevc => said::X265, Codec::Av1 => said::SVT, Codec::H264 | Codec::Aac | Codec::Opus => said::X264 };
        let config = described(codec, said);
        let mut record = config.record.to_vec();
        let at = at % record.len();
        record[at] = to;
        let _ = differs(&CodecConfig { record: record.clone().into(), ..config.clone() });
        record.truncate(at);
        record.extend(tail);
        let _ = differs(&CodecConfig { record: record.into(), ..config });
    }
}
