#![allow(clippy::unwrap_used, clippy::panic)]
use proptest::prelude::*;

use super::header::Tiles;
use super::*;
use crate::mux::fixtures;
use crate::mux::nal::ParameterSets;

mod stream;

use stream::{References, Stream, order, streams, unit};

fn bits(text: &str) -> Vec<u8> {
    let mut bits = Writer::default();
    text.chars().filter(|c| *c != ' ').for_each(|bit| bits.flag(bit == '1'));
    bits.whole()
}

#[test]
fn parameters_are_read_as_they_were_written() {
    for stream in streams() {
        assert_eq!(Pps::parse(&stream.pps()).unwrap(), stream.pps);
        let (_, slicing) = hevc::parse_slicing(&stream.sps()).unwrap();
        assert_eq!((slicing.width, slicing.height), stream.size);
        assert_eq!((slicing.sao, slicing.temporal_motion), (stream.sao, stream.temporal_motion));
        assert_eq!((slicing.long_term, slicing.kept), (stream.long_term, 4));
        let sets: &[Vec<i64>] = if stream.sets { &[vec![-1], vec![-1, -2], vec![-1, 1]] } else { &[] };
        assert_eq!(slicing.sets, sets);
    }
}

#[test]
fn a_still_reads_as_the_standard_has_it() {
    // slice 0, PPS 3, P, place 8; one reference in full, one place before; no motion of old; no SAO; one merge candidate;
    // the quantiser 25 up; edges to other slices are smoothed; aligned
    let header = "1 00100 010 00001000 0 0 010 1 1 1 0 00 0 00101 00000110010 1 1";
    let stream = Stream::new();
    let mut stills = Stills::after(&stream.config(), &stream.p(7)).unwrap();
    // Whole: 510 less 31, in state 39 for 0 of split_cu_flag; less 166, in state 7 for 1 of cu_skip_flag; less 2 for the end.
    let data = "100110111 0000000";
    assert_eq!(stills.next_unit()[6..], [bits(header), bits(data)].concat());

    // Two rows that are coded apart, of a block each.
    let mut stream = Stream::new();
    (stream.size, stream.pps.rows_apart) = ((64, 128), true);
    let mut stills = Stills::after(&stream.config(), &stream.p(7)).unwrap();
    // … the second begins behind two bytes
    let header = "1 00100 010 00001000 0 0 010 1 1 1 0 00 0 00101 00000110010 1 010 1 1 1";
    // less 2 more where the slice goes on; then less 31, less 72, in state 23 for 1 of cu_skip_flag below another
    let data = "100110101 0000000 110010101 0000000";
    assert_eq!(stills.next_unit()[6..], [bits(header), bits(data)].concat());
}

#[test]
fn pictures_are_counted_on_behind_the_last_one_and_over_the_top() {
    for stream in streams() {
        let orders = 1 << stream.order_bits;
        for (last, first) in [(stream.key(), 0), (stream.p(orders - 5), orders - 5)] {
            let mut stills = Stills::after(&stream.config(), &last).unwrap();
            for n in 1..40 {
                assert_eq!(order(&stream, &stills.next_unit()), (first + n) % orders, "{stream:?}");
            }
        }
    }
}

#[test]
fn a_still_is_followed_as_any_other_picture() {
    for stream in streams() {
        let mut stills = Stills::after(&stream.config(), &stream.p(7)).unwrap();
        for _ in 0..20 {
            let still = stills.next_unit();
            let mut after = Stills::after(&stream.config(), &still).unwrap();
            assert_eq!(after.next_unit(), stills.clone().next_unit(), "{stream:?}");
        }
    }
}

#[test]
fn a_picture_among_later_ones_is_refused_however_they_are_told() {
    let stream = Stream::new();
    let after = |references| {
        let last = unit(&[stream.slice([2, 1], 5, references)]);
        Stills::after(&stream.config(), &last).map(|mut stills| order(&stream, &stills.next_unit()))
    };
    let refused = Err(Obstacle::BPicture.into());
    assert_eq!(after(References::Index(0)), Ok(6));
    assert_eq!(after(References::Index(1)), Ok(6));
    assert_eq!(after(References::Index(2)), refused);
    assert_eq!(after(References::Told(1, 1)), refused);
    assert_eq!(after(References::Told(3, 0)), Ok(6));
    // -1 and 1 become -2 and 0, which is left out; the picture itself becomes -1.
    assert_eq!(after(References::Shifted(0)), Ok(6));
    assert!(matches!(after(References::Index(3)), Err(Refusal::Unreadable(_))), "there is no such set");
    assert!(matches!(after(References::Shifted(3)), Err(Refusal::Unreadable(_))), "there is no such set");
}

#[test]
fn a_delimiter_comes_before_a_still_where_one_came_before_the_picture() {
    let stream = Stream::new();
    let delimited = [unit(&[vec![0x46, 1, 0x50], vec![0x4e, 1, 5, 1, 1, 0x80]]), stream.p(4)].concat();
    let with = Stills::after(&stream.config(), &delimited).unwrap().next_unit();
    let without = Stills::after(&stream.config(), &stream.p(4)).unwrap().next_unit();
    assert_eq!(with[..7], [0, 0, 0, 3, 0x46, 1, 0x30]);
    assert_eq!(with[7..], without);
}

#[test]
fn what_a_still_cannot_come_after_is_refused_with_the_reason() {
    let refused = |change: &dyn Fn(&mut Stream)| {
        let mut stream = Stream::new();
        change(&mut stream);
        stream.refusal(&stream.p(1))
    };
    assert_eq!(refused(&|s| s.profile[1] = 0x40), Obstacle::Fields.into());
    assert_eq!(refused(&|s| s.fields = true), Obstacle::Fields.into());
    assert_eq!(refused(&|s| (s.chroma, s.planes_apart) = (3, true)), Obstacle::PlanesApart.into());
    assert_eq!(refused(&|s| s.kept = 0), Obstacle::OnlyKeys.into());
    assert_eq!(refused(&|s| s.profile[0] = 3), Obstacle::OnlyKeys.into());
    assert_eq!(refused(&|s| (s.profile[0], s.profile[2]) = (4, 0x20)), Obstacle::OnlyKeys.into());
    for profile in [0, 6, 9, 11, 0x41] {
        assert_eq!(refused(&|s| s.profile[0] = profile), Obstacle::Profile.into());
    }
    for flag in 0..7 {
        assert_eq!(refused(&|s| s.extensions = Some(1 << flag)), Obstacle::Profile.into());
    }
    for (change, name) in [
        (&(|s: &mut Stream| s.size = (68, 64)) as &dyn Fn(&mut Stream), "pic_width_in_luma_samples"),
        (&|s| s.size = (64, 12), "pic_height_in_luma_samples"),
        (&|s| s.size = (16_384, 16_384), "PicSizeInSamplesY"),
        (&|s| s.tree = 3, "CtbLog2SizeY"),
        (&|s| (s.smallest, s.tree) = (6, 7), "CtbLog2SizeY"),
        (&|s| s.pps.tiles = Some(Tiles::Uniform(2, 1)), "tiles"),
        (&|s| s.pps.tiles = Some(Tiles::Sized(vec![1], vec![])), "tiles"),
        (&|s| s.pps.qp = 60, "init_qp_minus26"),
    ] {
        let Refusal::Unreadable(MuxError::Field { field, .. }) = refused(change) else { panic!("{name}") };
        assert_eq!(field, name);
    }

    let stream = Stream::new();
    let slice = |kind: u8, layer: u8| stream.slice([kind << 1, layer], 1, References::Told(1, 0));
    let p = slice(1, 1);
    for (nals, obstacle) in [
        (vec![slice(0, 1)], Obstacle::Unreferenced),
        (vec![slice(8, 1)], Obstacle::Unreferenced),
        (vec![slice(1, 2)], Obstacle::Sublayers),
        (vec![p.clone(), vec![2, 9, 1]], Obstacle::Layers),
        (vec![p.clone(), vec![36 << 1, 1]], Obstacle::End),
        (vec![p, vec![37 << 1, 1]], Obstacle::End),
    ] {
        assert_eq!(stream.refusal(&unit(&nals)), obstacle.into());
    }
    let mut hidden = stream.clone();
    hidden.pps.output = true;
    // The first bit of place 0 is taken for pic_output_flag.
    assert_eq!(hidden.refusal(&stream.p(0)), Obstacle::Hidden.into());
}

#[test]
fn what_cannot_be_read_is_refused_with_the_place() {
    let stream = Stream::new();
    assert_eq!(stream.refusal(&[]), MuxError::Empty { codec: Codec::Hevc }.into());
    let mut other = stream.clone();
    other.pps.id = 4;
    let unknown = Refusal::UnknownSet { what: "picture parameter set", id: 4 };
    assert_eq!(stream.refusal(&other.p(1)), unknown);
    let mut sets = ParameterSets::default();
    let mut pps = Stream::new();
    pps.pps.sps = 7;
    sets.insert(hevc::VPS, 0, &[hevc::VPS << 1, 1, 0x0c]).unwrap();
    sets.insert(SPS, 2, &stream.sps()).unwrap();
    sets.insert(PPS, 3, &pps.pps()).unwrap();
    let config = CodecConfig { record: hevc::build_hvcc(&sets).unwrap().0, ..stream.config() };
    let unknown = Refusal::UnknownSet { what: "sequence parameter set", id: 7 };
    assert_eq!(Stills::after(&config, &stream.p(1)).unwrap_err(), unknown);
    let mut second = stream.p(1);
    second[6] &= 0x7f;
    let MuxError::Field { field, .. } = header::pps_id(&second[4..]).unwrap_err() else { panic!() };
    assert_eq!(field, "first_slice_segment_in_pic_flag");
    let picture = stream.p(1);
    for end in 0..10 {
        assert!(matches!(stream.refusal(&picture[..end]), Refusal::Unreadable(_)), "cut at {end}");
    }
}

#[test]
fn a_still_of_full_hd_is_small() {
    for (rows_apart, most) in [(false, 60), (true, 140)] {
        let mut stream = Stream::new();
        (stream.size, stream.pps.rows_apart) = ((1920, 1080), rows_apart);
        let still = Stills::after(&stream.config(), &stream.p(1)).unwrap().next_unit();
        assert!(still.len() <= most, "rows apart {rows_apart}: {} bytes", still.len());
    }
}

#[test]
fn every_picture_of_a_real_encoder_can_be_repeated() {
    for unit in fixtures::canonical(Codec::Hevc) {
        let still = Stills::after(&unit.config, &unit.payload).unwrap().next_unit();
        assert!(still.len() < 40, "{} bytes", still.len());
    }
}

proptest! {
    #[test]
    fn any_bytes_are_repeated_or_refused(
        record in prop::collection::vec(any::<u8>(), 0..80),
        slice in prop::collection::vec(any::<u8>(), 0..60),
        kind in prop::sample::select(&[1u8, 19, 20, 21, 0][..]),
        known in 0usize..256,
    ) {
        let real = streams().swap_remove(known).config();
        let any = CodecConfig { record: record.into(), ..real.clone() };
        let unit = unit(&[[&[kind << 1, 1][..], &slice].concat()]);
        for (config, unit) in [(&any, &unit), (&real, &unit), (&real, &slice)] {
            if let Ok(mut stills) = Stills::after(config, unit) {
                let still = stills.next_unit();
                prop_assert_eq!(Stills::after(config, &still).unwrap().next_unit(), stills.next_unit());
            }
        }
    }

    #[test]
    fn damaged_parameters_are_followed_or_refused(known in 0usize..256, at: usize, to: u8, in_record: bool) {
        let stream = streams().swap_remove(known);
        let (mut record, mut picture) = (stream.config().record.to_vec(), stream.p(1));
        let damaged = if in_record { &mut record } else { &mut picture };
        let at = at % damaged.len();
        damaged[at] = to;
        let config = CodecConfig { record: record.into(), ..stream.config() };
        if let Ok(mut stills) = Stills::after(&config, &picture) {
            let still = stills.next_unit();
            prop_assert_eq!(Stills::after(&config, &still).unwrap().next_unit(), stills.next_unit());
        }
    }
}
