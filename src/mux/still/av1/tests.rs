#![allow(clippy::unwrap_used, clippy::panic)]
use proptest::prelude::*;

use super::*;
use crate::model::FrameRate;
use crate::mux::fixtures;

/// A stream of our own making: everything that a frame header may hold before its slots.
#[derive(Clone, Debug)]
struct Stream {
    still: bool,
    /// Whether pictures say when they are shown, in 10 bits of 90 000 ticks a second, and when they leave the decoder, in 12.
    told: bool,
    equal_intervals: bool,
    /// `operating_point_idc`, and whether it has a model.
    points: Vec<(u32, bool)>,
    ids: bool,
    screen_content: Option<bool>,
    integer_motion: Option<bool>,
    order_hints: bool,
}

impl Stream {
    fn new() -> Self {
        Self {
            still: false,
            told: false,
            equal_intervals: false,
            points: vec![(0, false)],
            ids: false,
            screen_content: None,
            integer_motion: None,
            order_hints: true,
        }
    }

    fn config(&self) -> CodecConfig {
        let mut bits = Writer::default();
        bits.u(0, 4);
        bits.flag(self.still);
        if self.still {
            bits.u(4, 5);
        } else {
            bits.flag(self.told);
            if self.told {
                bits.u(1, 32);
                bits.u(90_000, 32);
                bits.flag(self.equal_intervals);
                if self.equal_intervals {
                    bits.ue(2999);
                }
                bits.flag(true);
                bits.u(7, 5); // 8 bits for delays
                bits.u(1, 32);
                bits.u(11, 5);
                bits.u(9, 5);
            }
            bits.flag(false);
            bits.u(self.points.len() as u32 - 1, 5);
            for (idc, modelled) in &self.points {
                bits.u(*idc, 12);
                bits.u(4, 5);
                if self.told {
                    bits.flag(*modelled);
                    if *modelled {
                        bits.u(0x1_ffff, 17);
                    }
                }
            }
        }
        bits.u(0x88, 8); // nine bits for a width and a height
        bits.u(319, 9);
        bits.u(179, 9);
        if !self.still {
            bits.flag(self.ids);
            if self.ids {
                bits.u(2, 4);
                bits.u(1, 3); // six bits
            }
        }
        bits.u(0, 3);
        if !self.still {
            bits.u(0, 4);
            bits.flag(self.order_hints);
            if self.order_hints {
                bits.u(0, 2);
            }
            bits.flag(self.screen_content.is_none());
            if let Some(always) = self.screen_content {
                bits.flag(always);
            }
            if self.screen_content != Some(false) {
                bits.flag(self.integer_motion.is_none());
                if let Some(always) = self.integer_motion {
                    bits.flag(always);
                }
            }
            if self.order_hints {
                bits.u(6, 3);
            }
        }
        bits.u(0, 3);
        bits.u(0, 6); // 8 bits in 4:2:0
        bits.flag(true);
        let (record, _) = av1::build_av1c(&bits.whole()).unwrap();
        let TrackFormat::Video(format) = fixtures::VIDEO else { panic!() };
        let format = TrackFormat::Video(crate::model::VideoFormat { rate: FrameRate::whole(30), ..format });
        CodecConfig { codec: Codec::Av1, record, format, bitrate: 0 }
    }

    /// A frame OBU of `frame_type` `kind`. Shown at 1000, with the id 33; kept in `slots`.
    fn frame(&self, kind: u32, shown: bool, extension: Option<u8>, slots: u32) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.flag(false);
        bits.u(kind, 2);
        bits.flag(shown);
        if shown && self.told && !self.equal_intervals {
            bits.u(1000, 10);
        }
        if !shown {
            bits.flag(true);
        }
        let always_resilient = kind == 3 || kind == 0 && shown;
        if !always_resilient {
            bits.flag(false);
        }
        bits.flag(false);
        if self.screen_content.is_none() {
            bits.flag(true);
        }
        if self.screen_content != Some(false) && self.integer_motion.is_none() {
            bits.flag(true);
        }
        if self.ids {
            bits.u(33, 6);
        }
        if kind != 3 {
            bits.flag(true);
        }
        if self.order_hints {
            bits.u(0x55, 7);
        }
        if kind == 1 {
            bits.u(7, 3);
        }
        if self.told {
            bits.flag(true);
            let layers = extension.map_or(0x101, |e| 1 << (e >> 5) | 0x100 << (e >> 3 & 3));
            let timed = |(idc, modelled): &(u32, bool)| *modelled && (*idc == 0 || idc & layers == layers);
            self.points.iter().filter(|point| timed(point)).for_each(|_| bits.u(0xabc, 12));
        }
        if !(kind == 3 || kind == 0 && shown) {
            bits.u(slots, 8);
        }
        bits.u(0xa5a5, 16);
        let payload = bits.whole();
        let mut obu = vec![av1::FRAME << 3 | u8::from(extension.is_some()) << 2 | 2];
        obu.extend(extension);
        obu.push(payload.len() as u8);
        [obu, payload].concat()
    }

    fn refusal(&self, last: &[u8]) -> Refusal {
        Stills::after(&self.config(), last).unwrap_err()
    }
}

fn streams() -> Vec<Stream> {
    let mut all = Vec::new();
    for bits in 0..64u32 {
        let on = |n: u32| bits >> n & 1 == 1;
        let mut stream = Stream::new();
        (stream.told, stream.equal_intervals, stream.ids) = (on(0), on(1) && on(0), on(2));
        stream.order_hints = on(3);
        stream.screen_content = [None, Some(false), Some(true)][bits as usize % 3];
        stream.integer_motion = if on(4) { Some(on(5)) } else { None };
        stream.points = if on(5) { vec![(0x103, on(0)), (0x101, false)] } else { vec![(0, on(0) && on(4))] };
        all.push(stream);
    }
    all
}

fn bits(text: &str) -> Vec<u8> {
    let mut bits = Writer::default();
    text.chars().filter(|c| *c != ' ').for_each(|bit| bits.flag(bit == '1'));
    bits.whole()
}

/// Frame types.
const INTER: u32 = 1;
const INTRA_ONLY: u32 = 2;
const SWITCH: u32 = 3;

#[test]
fn a_frame_is_shown_from_the_first_slot_it_is_kept_in() {
    let stream = Stream::new();
    for (slots, slot) in [(0b1, 0), (0b100, 2), (0b1010_0000, 5), (0x80, 7)] {
        let mut stills = Stills::after(&stream.config(), &stream.frame(INTER, true, None, slots)).unwrap();
        for _ in 0..3 {
            assert_eq!(stills.next_unit()[..], [0x1a, 1, 0x88 | slot << 4]);
        }
    }
    let mut stills = Stills::after(&stream.config(), &stream.frame(SWITCH, true, None, 0)).unwrap();
    assert_eq!(stills.next_unit()[..], [0x1a, 1, 0x88], "a switch frame is kept in all");
    // Behind a frame that is not shown, whatever came with both.
    let unit = [
        vec![0x0a, 1, 0],
        stream.frame(INTER, false, None, 0b1),
        vec![0x2a, 2, 4, 0x80],
        stream.frame(INTRA_ONLY, true, None, 0b10),
    ];
    assert_eq!(Stills::after(&stream.config(), &unit.concat()).unwrap().next_unit()[..], [0x1a, 1, 0x98]);
}

#[test]
fn what_stands_before_the_slots_is_read_over() {
    for stream in streams() {
        for kind in [INTER, INTRA_ONLY, SWITCH] {
            for extension in [None, Some(0), Some(0x20)] {
                let frame = stream.frame(kind, true, extension, 0b0100_1000);
                let still = Stills::after(&stream.config(), &frame).unwrap().next_unit();
                let slot = if kind == SWITCH { "000" } else { "011" };
                // 1000 and a thirtieth of a second is 4000, of which 10 bits are told.
                let time = if stream.told && !stream.equal_intervals { "1110100000" } else { "" };
                let payload = bits(&["1", slot, time, if stream.ids { "100001" } else { "" }, "1"].concat());
                let header = extension.map_or(vec![0x1a], |extension| vec![0x1e, extension]);
                let expected = [header, vec![payload.len() as u8], payload].concat();
                assert_eq!(still[..], expected, "{kind}, {extension:?}, {stream:?}");
            }
        }
    }
}

#[test]
fn times_are_counted_on_without_drift() {
    let mut stream = Stream::new();
    stream.told = true;
    let mut config = stream.config();
    let TrackFormat::Video(format) = &mut config.format else { panic!() };
    format.rate = FrameRate { num: 30_000, den: 1001 };
    let mut stills = Stills::after(&config, &stream.frame(INTER, true, None, 1)).unwrap();
    let clock = stills.clock.as_mut().unwrap();
    let times: Vec<u32> = (0..4).map(|_| clock.next()).collect();
    assert_eq!(times, [1000 + 3003, 1000 + 6006, 1000 + 9009, 1000 + 12_012].map(|time| time % 1024));
}

#[test]
fn what_a_still_cannot_come_after_is_refused_with_the_reason() {
    let stream = Stream::new();
    let shown = stream.frame(INTER, true, None, 1);
    assert_eq!(stream.refusal(&stream.frame(0, true, None, 0)), Obstacle::ShownOnce.into());
    assert_eq!(stream.refusal(&stream.frame(INTER, true, None, 0)), Obstacle::KeptNowhere.into());
    assert_eq!(stream.refusal(&[0x1a, 1, 0x98]), Obstacle::Existing.into());
    assert_eq!(
        stream.refusal(&[stream.frame(INTER, false, None, 1), vec![0x1a, 1, 0x98]].concat()),
        Obstacle::Existing.into()
    );
    assert_eq!(stream.refusal(&[shown.clone(), shown.clone()].concat()), Obstacle::Layers.into());
    let mut layers = stream.clone();
    layers.points = vec![(0x301, false)];
    assert_eq!(layers.refusal(&shown), Obstacle::Layers.into());
    let mut still = stream.clone();
    still.still = true;
    assert_eq!(still.refusal(&shown), Obstacle::OnlyKeys.into());
    let empty = Refusal::from(MuxError::Empty { codec: Codec::Av1 });
    for nothing in [vec![], vec![0x0a, 0], stream.frame(INTER, false, None, 1)] {
        assert_eq!(stream.refusal(&nothing), empty);
    }
    for end in 1..7 {
        assert!(matches!(stream.refusal(&shown[..end]), Refusal::Unreadable(_)), "cut at {end}");
    }
    let bare = CodecConfig { record: Bytes::from_static(&[0x81, 0, 0, 0]), ..stream.config() };
    let none = Refusal::from(MuxError::NoConfiguration { codec: Codec::Av1 });
    assert_eq!(Stills::after(&bare, &shown).unwrap_err(), none);
}

#[test]
fn every_frame_of_a_real_encoder_can_be_shown_again_but_keyframes() {
    // Its frames have ids of 15 bits.
    for unit in fixtures::canonical(Codec::Av1) {
        let fate = Stills::after(&unit.config, &unit.payload).map(|mut stills| stills.next_unit().len());
        assert_eq!(fate, if unit.key { Err(Obstacle::ShownOnce.into()) } else { Ok(5) });
    }
}

proptest! {
    #[test]
    fn any_bytes_are_repeated_or_refused(
        record in prop::collection::vec(any::<u8>(), 0..80),
        frame in prop::collection::vec(any::<u8>(), 0..60),
        known in 0usize..64,
    ) {
        let real = streams().swap_remove(known).config();
        let any = CodecConfig { record: record.into(), ..real.clone() };
        let unit = [&[av1::FRAME << 3 | 2, frame.len() as u8][..], &frame].concat();
        for (config, unit) in [(&any, &unit), (&real, &unit), (&real, &frame)] {
            if let Ok(mut stills) = Stills::after(config, unit) {
                prop_assert!(stills.next_unit().len() < 16);
            }
        }
    }

    #[test]
    fn damaged_parameters_are_followed_or_refused(known in 0usize..64, at: usize, to: u8, in_record: bool) {
        let stream = streams().swap_remove(known);
        let (mut record, mut frame) = (stream.config().record.to_vec(), stream.frame(INTER, true, None, 4));
        let damaged = if in_record { &mut record } else { &mut frame };
        let at = at % damaged.len();
        damaged[at] = to;
        let config = CodecConfig { record: record.into(), ..stream.config() };
        if let Ok(mut stills) = Stills::after(&config, &frame) {
            let first = stills.next_unit();
            prop_assert!(first.len() < 16);
            // What shows a frame is no frame that could be shown.
            prop_assert_eq!(Stills::after(&config, &first).unwrap_err(), Obstacle::Existing.into());
        }
    }
}
