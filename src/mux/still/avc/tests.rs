#![allow(clippy::unwrap_used, clippy::panic)]
use proptest::prelude::*;

use super::*;
use crate::mux::fixtures;
use crate::mux::nal::ParameterSets;

/// A stream of our own making: everything that a slice header may hold, in one place.
#[derive(Clone, Debug)]
struct Stream {
    profile: u8,
    compatibility: u8,
    chroma: u32,
    planes_apart: bool,
    frame_num_bits: u32,
    /// `pic_order_cnt_type`, and the bits of type 0.
    order: (u32, u32),
    references: u32,
    gaps: bool,
    size: (u32, u32),
    progressive: bool,
    pps: Pps,
    slice_groups: u32,
}

impl Stream {
    fn new() -> Self {
        let pps = Pps {
            id: 3,
            sps: 2,
            cabac: false,
            bottom_order: false,
            references: 1,
            weighted: false,
            qp: 26,
            deblocking: true,
            redundant: false,
        };
        Self {
            profile: 100,
            compatibility: 0,
            chroma: 1,
            planes_apart: false,
            frame_num_bits: 4,
            order: (0, 6),
            references: 1,
            gaps: false,
            size: (20, 12),
            progressive: true,
            pps,
            slice_groups: 1,
        }
    }

    fn sps(&self) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.bytes(&[self.profile, self.compatibility, 40]);
        bits.ue(self.pps.sps.into());
        if matches!(self.profile, 100 | 110 | 122 | 244 | 44) {
            bits.ue(self.chroma);
            if self.chroma == 3 {
                bits.flag(self.planes_apart);
            }
            [0, 0].into_iter().for_each(|depth| bits.ue(depth));
            bits.u(0, 2);
        }
        bits.ue(self.frame_num_bits - 4);
        bits.ue(self.order.0);
        match self.order {
            (0, n) => bits.ue(n - 4),
            (1, _) => bits.u(0b1111, 4),
            _ => {}
        }
        bits.ue(self.references);
        bits.flag(self.gaps);
        bits.ue(self.size.0 - 1);
        bits.ue(self.size.1 - 1);
        bits.flag(self.progressive);
        bits.u(0b1000, if self.progressive { 3 } else { 4 }); // no cropping, no VUI
        nal(0x67, bits)
    }

    fn pps(&self) -> Vec<u8> {
        let pps = &self.pps;
        let mut bits = Writer::default();
        bits.ue(pps.id.into());
        bits.ue(pps.sps.into());
        bits.flag(pps.cabac);
        bits.flag(pps.bottom_order);
        bits.ue(self.slice_groups - 1);
        bits.ue(pps.references - 1);
        bits.ue(0);
        bits.flag(pps.weighted);
        bits.u(0, 2);
        bits.se(pps.qp - 26);
        bits.u(0b11, 2);
        bits.flag(pps.deblocking);
        bits.flag(false);
        bits.flag(pps.redundant);
        nal(0x68, bits)
    }

    fn config(&self) -> CodecConfig {
        let mut sets = ParameterSets::default();
        sets.insert(SPS, 2, &self.sps()).unwrap();
        sets.insert(PPS, 3, &self.pps()).unwrap();
        let (record, _) = avc::build_avcc(&sets).unwrap();
        CodecConfig { codec: Codec::H264, record, format: fixtures::VIDEO, bitrate: 0 }
    }

    fn slicing(&self) -> Slicing {
        avc::parse_slicing(&self.sps()).unwrap().1
    }

    /// A slice header up to what follows `dec_ref_pic_marking`.
    fn slice(
        &self,
        first_byte: u8,
        slice_type: u32,
        frame_num: u32,
        order: u32,
        marking: &dyn Fn(&mut Writer),
    ) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.ue(0);
        bits.ue(slice_type);
        bits.ue(self.pps.id.into());
        bits.u(frame_num, self.frame_num_bits);
        if first_byte & 0x1f == 5 {
            bits.ue(1);
        }
        if self.order.0 == 0 {
            bits.u(order, self.order.1);
            if self.pps.bottom_order {
                bits.se(-1);
            }
        }
        if self.pps.redundant {
            bits.ue(0);
        }
        if slice_type == 5 {
            bits.flag(true); // two references,
            bits.ue(1);
            bits.flag(true); // the list of which is changed,
            [0, 7, 2, 1, 3].into_iter().for_each(|modification| bits.ue(modification));
            if self.pps.weighted {
                bits.ue(5); // and which are weighted: one its luma, the other its chroma
                if self.chroma != 0 {
                    bits.ue(5);
                }
                bits.flag(true);
                [31, -2].into_iter().for_each(|weight| bits.se(weight));
                if self.chroma != 0 {
                    bits.flag(false);
                }
                bits.flag(false);
                if self.chroma != 0 {
                    bits.flag(true);
                    [30, 1, 29, 0].into_iter().for_each(|weight| bits.se(weight));
                }
            }
        }
        marking(&mut bits);
        bits.bytes(&[0xa5; 9]);
        nal(first_byte, bits)
    }

    fn p(&self, frame_num: u32, order: u32) -> Vec<u8> {
        unit(&[self.slice(0x41, 5, frame_num, order, &|bits| bits.flag(false))])
    }

    fn key(&self) -> Vec<u8> {
        unit(&[self.slice(0x65, 7, 0, 0, &|bits| bits.u(0, 2))])
    }

    fn refusal(&self, last: &[u8]) -> Refusal {
        Stills::after(&self.config(), last).unwrap_err()
    }
}

fn nal(first_byte: u8, mut bits: Writer) -> Vec<u8> {
    bits.flag(true);
    let mut unit = vec![first_byte];
    escape_into(&bits.whole(), &mut unit);
    unit
}

/// Each with its length.
fn unit(nals: &[Vec<u8>]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

/// What a reader finds in a still.
fn read(stream: &Stream, still: &[u8]) -> Slice {
    let length = u32::from_be_bytes(*still.first_chunk().unwrap()) as usize;
    assert_eq!(length + 4, still.len(), "one NAL unit");
    assert_eq!(still[4], 0x21, "of a reference picture");
    Slice::parse(&still[4..], &stream.slicing(), stream.chroma as u8, &stream.pps).unwrap()
}

fn streams() -> Vec<Stream> {
    let mut all = Vec::new();
    for bits in 0..64u32 {
        let on = |n: u32| bits >> n & 1 == 1;
        let mut stream = Stream::new();
        stream.pps.cabac = on(0);
        stream.pps.weighted = on(1);
        stream.pps.bottom_order = on(2);
        stream.pps.redundant = on(3);
        stream.pps.deblocking = on(4);
        stream.pps.references = if on(5) { 3 } else { 1 };
        stream.chroma = bits % 4;
        stream.order = if bits % 3 == 0 { (2, 0) } else { (0, 4 + bits % 13) };
        stream.frame_num_bits = 4 + bits % 11;
        all.push(stream);
    }
    all
}

#[test]
fn pictures_are_counted_on_behind_the_last_one_and_over_the_top() {
    for stream in streams() {
        let (frames, orders) = (1 << stream.frame_num_bits, 1 << stream.order.1.max(4));
        let told = stream.order.0 == 0;
        for (last, frame, order) in [(stream.key(), 0, 0), (stream.p(frames - 3, orders - 5), frames - 3, orders - 5)] {
            let order = if told { order } else { 0 };
            let mut stills = Stills::after(&stream.config(), &last).unwrap();
            for n in 1..40 {
                let slice = read(&stream, &stills.next_unit());
                let expected = if told { (order + 2 * n) % orders } else { 0 };
                assert_eq!((slice.frame_num, slice.order), ((frame + n) % frames, expected), "{stream:?}");
                let bottom = if told && stream.pps.bottom_order { -1 } else { 0 };
                assert_eq!((slice.reference, slice.bottom), (1, bottom));
            }
        }
    }
}

#[test]
fn a_still_is_followed_as_any_other_picture() {
    for stream in streams() {
        let mut stills = Stills::after(&stream.config(), &stream.p(9, 7)).unwrap();
        for _ in 0..20 {
            let still = stills.next_unit();
            let mut after = Stills::after(&stream.config(), &still).unwrap();
            assert_eq!(after.next_unit(), stills.clone().next_unit(), "{stream:?}");
        }
    }
}

#[test]
fn a_picture_that_is_no_reference_has_the_number_that_the_next_one_has() {
    let mut stream = Stream::new();
    let unreferenced = unit(&[stream.slice(0x01, 5, 9, 20, &|_| {})]);
    let slice = read(&stream, &Stills::after(&stream.config(), &unreferenced).unwrap().next_unit());
    assert_eq!((slice.frame_num, slice.order), (9, 22));
    stream.gaps = true;
    assert_eq!(stream.refusal(&unreferenced), Obstacle::Gaps.into());
    assert!(Stills::after(&stream.config(), &stream.p(9, 20)).is_ok());
}

#[test]
fn macroblocks_are_counted_in_a_run_or_coded() {
    let mut stream = Stream::new();
    let mut stills = Stills::after(&stream.config(), &stream.p(1, 2)).unwrap();
    // slice 0, type 5, PPS 3, frame 2, order 4, one reference, unchanged, sliding, quantiser, no deblocking, a run of 240
    let bits = ["1", "00110", "00100", "0010", "000100", "0", "0", "0", "1", "010", "000000011110001", "1"].concat();
    let mut expected = Writer::default();
    bits.chars().for_each(|bit| expected.flag(bit == '1'));
    assert_eq!(stills.next_unit()[5..], expected.whole());
    stream.pps.cabac = true;
    let mut stills = Stills::after(&stream.config(), &stream.p(1, 2)).unwrap();
    // … cabac_init_idc 2, quantiser 25 up, no deblocking, aligned
    let bits =
        ["1", "00110", "00100", "0010", "000100", "0", "0", "0", "011", "00000110010", "010", "1111111"].concat();
    let mut expected = Writer::default();
    bits.chars().for_each(|bit| expected.flag(bit == '1'));
    let mut coded = expected.whole();
    coded.extend_from_slice(&skipped::cabac(240));
    let mut escaped = Vec::new();
    escape_into(&coded, &mut escaped);
    assert_eq!(stills.next_unit()[5..], escaped);
}

#[test]
fn a_delimiter_comes_before_a_still_where_one_came_before_the_picture() {
    let stream = Stream::new();
    let delimited = [unit(&[vec![0x09, 0xf0], vec![0x06, 5, 1, 1, 0x80]]), stream.p(4, 8)].concat();
    let with = Stills::after(&stream.config(), &delimited).unwrap().next_unit();
    let without = Stills::after(&stream.config(), &stream.p(4, 8)).unwrap().next_unit();
    assert_eq!(with[..6], [0, 0, 0, 2, 9, 0x30]);
    assert_eq!(with[6..], without);
}

#[test]
fn what_a_still_cannot_come_after_is_refused_with_the_reason() {
    let refused = |change: &dyn Fn(&mut Stream)| {
        let mut stream = Stream::new();
        change(&mut stream);
        stream.refusal(&stream.p(1, 2))
    };
    assert_eq!(refused(&|s| s.progressive = false), Obstacle::Fields.into());
    assert_eq!(refused(&|s| s.slice_groups = 2), Obstacle::SliceGroups.into());
    assert_eq!(refused(&|s| (s.chroma, s.planes_apart) = (3, true)), Obstacle::PlanesApart.into());
    assert_eq!(refused(&|s| s.order = (1, 0)), Obstacle::OrderCycle.into());
    assert_eq!(refused(&|s| s.references = 0), Obstacle::OnlyKeys.into());
    assert_eq!(refused(&|s| s.profile = 44), Obstacle::OnlyKeys.into());
    assert_eq!(refused(&|s| (s.profile, s.compatibility) = (122, 0x10)), Obstacle::OnlyKeys.into());
    let large = MuxError::Field { what: "H.264 SPS", field: "PicSizeInMbs", value: 1 << 20 };
    assert_eq!(refused(&|s| s.size = (1024, 1024)), large.into());

    let stream = Stream::new();
    let slice =
        |first_byte, slice_type, marking: &dyn Fn(&mut Writer)| stream.slice(first_byte, slice_type, 1, 2, marking);
    let none = |bits: &mut Writer| bits.flag(false);
    let p = slice(0x41, 5, &none);
    for (nals, obstacle) in [
        (vec![slice(0x01, 6, &|_| {})], Obstacle::BPicture),
        (vec![slice(0x41, 2, &none), slice(0x41, 1, &none)], Obstacle::BPicture),
        (vec![slice(0x41, 3, &none)], Obstacle::Switching),
        (vec![slice(0x41, 9, &none)], Obstacle::Switching),
        (vec![slice(0x42, 5, &none)], Obstacle::Partitions),
        (vec![p.clone(), vec![0x74, 1, 2, 3]], Obstacle::Layers),
        (vec![p.clone(), vec![0x13, 1, 2, 3]], Obstacle::Layers),
        (vec![p.clone(), vec![0x0a]], Obstacle::End),
        (vec![slice(0x65, 7, &|bits| bits.u(0b01, 2))], Obstacle::Memory),
        // All references go; this one becomes a long-term one.
        (vec![slice(0x41, 5, &|bits| (bits.flag(true), bits.ue(5), bits.ue(0)).2)], Obstacle::Memory),
        (vec![slice(0x41, 5, &|bits| (bits.flag(true), bits.ue(6), bits.ue(0)).2)], Obstacle::Memory),
    ] {
        assert_eq!(stream.refusal(&unit(&nals)), obstacle.into());
    }
    // Other pictures may come to anything.
    let others = |bits: &mut Writer| {
        bits.flag(true);
        [1, 4, 4, 2, 3, 1, 0, 2, 0, 0].into_iter().for_each(|operation| bits.ue(operation));
    };
    assert!(Stills::after(&stream.config(), &unit(&[slice(0x41, 5, &others)])).is_ok());
}

#[test]
fn what_cannot_be_read_is_refused_with_the_place() {
    let stream = Stream::new();
    assert_eq!(stream.refusal(&[]), MuxError::Empty { codec: Codec::H264 }.into());
    let mut other = stream.clone();
    other.pps.id = 4;
    let unknown = Refusal::UnknownSet { what: "picture parameter set", id: 4 };
    assert_eq!(stream.refusal(&other.p(1, 2)), unknown);
    assert_eq!(unknown.to_string(), "the picture refers to picture parameter set 4, which its configuration lacks");
    let sound = CodecConfig { codec: Codec::Opus, ..stream.config() };
    assert_eq!(super::super::Stills::after(&sound, &stream.p(1, 2)).unwrap_err(), Refusal::Codec(Codec::Opus));
    let mut sets = ParameterSets::default();
    let mut pps = Stream::new();
    pps.pps.sps = 7;
    sets.insert(SPS, 2, &stream.sps()).unwrap();
    sets.insert(PPS, 3, &pps.pps()).unwrap();
    let config = CodecConfig { record: avc::build_avcc(&sets).unwrap().0, ..stream.config() };
    let unknown = Refusal::UnknownSet { what: "sequence parameter set", id: 7 };
    assert_eq!(Stills::after(&config, &stream.p(1, 2)).unwrap_err(), unknown);
    let picture = stream.p(1, 2);
    for end in 0..12 {
        assert!(matches!(stream.refusal(&picture[..end]), Refusal::Unreadable(_)), "cut at {end}");
    }
}

#[test]
fn a_still_of_full_hd_is_small() {
    for (cabac, most) in [(false, 16), (true, 70)] {
        let mut stream = Stream::new();
        (stream.size, stream.pps.cabac) = ((120, 68), cabac);
        let still = Stills::after(&stream.config(), &stream.p(1, 2)).unwrap().next_unit();
        assert!(still.len() <= most, "CABAC {cabac}: {} bytes", still.len());
    }
}

#[test]
fn every_picture_of_a_real_encoder_can_be_repeated_unless_it_is_a_b_picture() {
    let fates: Vec<_> = fixtures::canonical(Codec::H264)
        .iter()
        .map(|unit| Stills::after(&unit.config, &unit.payload).map(|mut stills| stills.next_unit().len()))
        .collect();
    assert!(fates.iter().any(Result::is_ok), "{fates:?}");
    assert!(fates.iter().all(|fate| fate.is_ok() || *fate == Err(Obstacle::BPicture.into())), "{fates:?}");
}

proptest! {
    #[test]
    fn any_bytes_are_repeated_or_refused(
        record in prop::collection::vec(any::<u8>(), 0..80),
        slice in prop::collection::vec(any::<u8>(), 0..60),
        first_byte in prop::sample::select(&[0x65u8, 0x41, 0x21, 0x01][..]),
        known in 0usize..64,
    ) {
        let real = streams().swap_remove(known).config();
        let any = CodecConfig { record: record.into(), ..real.clone() };
        let unit = unit(&[[&[first_byte][..], &slice].concat()]);
        for (config, unit) in [(&any, &unit), (&real, &unit), (&real, &slice)] {
            if let Ok(mut stills) = Stills::after(config, unit) {
                let still = stills.next_unit();
                prop_assert_eq!(
                    Stills::after(config, &still).unwrap().next_unit(), stills.next_unit()
                );
            }
        }
    }

    #[test]
    fn damaged_parameters_are_followed_or_refused(known in 0usize..64, at: usize, to: u8, in_record: bool) {
        let stream = streams().swap_remove(known);
        let (mut record, mut picture) = (stream.config().record.to_vec(), stream.p(1, 2));
        let damaged = if in_record { &mut record } else { &mut picture };
        let at = at % damaged.len();
        damaged[at] = to;
        let config = CodecConfig { record: record.into(), ..stream.config() };
        if let Ok(mut stills) = Stills::after(&config, &picture) {
            let still = stills.next_unit();
            prop_assert!(still.len() < 2000);
            prop_assert_eq!(Stills::after(&config, &still).unwrap().next_unit(), stills.next_unit());
        }
    }
}
