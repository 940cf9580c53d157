#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::mux::fixtures::{bytes, said};
use crate::mux::hevc::{references, reordering};

const BT709: Colour = Colour { full_range: false, primaries: 1, transfer: 1, matrix: 1 };

fn of(said: &[&str]) -> (Sps, Usability) {
    parse_usability(&bytes(said[1])).unwrap()
}

#[test]
fn x265_says_what_it_was_told_to_encode() {
    let (sps, shown) = of(said::X265);
    assert_eq!((sps.width, sps.height, sps.luma_bits, sps.chroma), (80, 50, 8, 1));
    let whole = Usability { reordered: 0, scan: Scan::Progressive, pixels: Pixels::Square, colour: BT709 };
    assert_eq!(shown, whole);
    assert_eq!(of(said::X265_REORDERED).1, Usability { reordered: 2, ..whole }, "a pyramid of B pictures");

    let (sps, shown) = of(said::X265_HDR);
    assert_eq!((sps.profile_tier_level[0], sps.luma_bits, sps.chroma_bits), (2, 10, 10));
    let pq = Colour { full_range: false, primaries: 9, transfer: 16, matrix: 9 };
    assert_eq!(shown, Usability { colour: pq, ..whole });

    let (sps, shown) = of(said::X265_422);
    assert_eq!((sps.profile_tier_level[0], sps.luma_bits, sps.chroma), (4, 10, 2));
    assert_eq!(shown, Usability { colour: Colour::default(), ..whole }, "nothing is said of its colours");

    let full = Colour { full_range: true, ..Colour::default() };
    let fields = Usability { reordered: 0, scan: Scan::Interlaced, pixels: Pixels::Oblong, colour: full };
    assert_eq!(of(said::X265_FIELDS).1, fields);
}

#[test]
fn every_truncation_before_the_frame_rate_is_an_error() {
    for said in [said::X265, said::X265_HDR, said::X265_FIELDS] {
        let sps = bytes(said[1]);
        let read = (0..sps.len()).map(|end| parse_usability(&sps[..end]));
        let enough = read.clone().position(|read| read.is_ok()).unwrap();
        println!("{enough} of {} bytes", sps.len());
        assert!(enough > 20 && read.skip(enough).all(|read| read.is_ok()));
    }
}

fn ue(value: u32) -> String {
    let bits = format!("{:b}", value + 1);
    "0".repeat(bits.len() - 1) + &bits
}

/// Main, 80x56, of three sub-layers whose orders are said apart; `tools` stand between the transform depths and the VUI.
fn sps(interlaced: bool, tools: &str, vui: &str) -> Vec<u8> {
    let mut bits = format!("0100001000000001{:04b}{:03b}1", 0, 2); // header, VPS 0, three sub-layers
    bits += &format!("00000001{:032b}", 0x6000_0000_u32); // Main, which Main 10 decodes too
    bits += &format!("{}{:046b}{:08b}", if interlaced { "01" } else { "10" }, 0, 30); // the source, level 1
    bits += "1001000000000000"; // of the sub-layers the first has a profile and the second a level
    bits += &("01".repeat(44) + "00011110");
    bits += &(ue(0) + &ue(1) + &ue(80) + &ue(56) + "0" + &ue(0) + &ue(0)); // 4:2:0, no window, 8 bits
    bits += &(ue(4) + "1"); // 8 bits for a picture's place
    for reordered in 0..3 {
        bits += &(ue(4) + &ue(reordered) + &ue(0));
    }
    bits += &(ue(0) + &ue(3) + &ue(0) + &ue(3) + &ue(1) + &ue(1) + tools + vui);
    bits += "10000000";
    let mut out: Vec<u8> = Vec::new();
    for byte in bits.as_bytes().chunks_exact(8).map(|c| c.iter().fold(0, |n, b| n << 1 | (b - b'0'))) {
        if out.ends_with(&[0, 0]) && byte <= 3 {
            out.push(3);
        }
        out.push(byte);
    }
    out
}

/// Scaling lists of their own, PCM, four sets of references of which two are told by others, two long-term ones.
fn everything() -> String {
    let mut tools = String::from("11"); // scaling lists are on, and here
    for size in 0..4 {
        for matrix in 0..if size == 3 { 2 } else { 6 } {
            if matrix == 0 {
                let coefficients = if size == 0 { 16 } else { 64 };
                tools += &("1".to_owned() + if size > 1 { "00100" } else { "" } + &"010".repeat(coefficients));
            } else {
                tools += &("0".to_owned() + &ue(0));
            }
        }
    }
    tools += &("11".to_owned() + "1" + "01110111" + &ue(0) + &ue(1) + "1"); // AMP, SAO, PCM
    tools += &ue(4);
    tools += &(ue(2) + &ue(1) + &ue(0) + "1" + &ue(2) + "0" + &ue(4) + "1"); // -1, -4; 5
    tools += &("1".to_owned() + "1" + &ue(0) + "1" + "01" + "00" + "1"); // a picture later: -2, -5; 4 is left out; -1
    tools += &("1".to_owned() + "0" + &ue(0) + "1" + "01" + "1" + "1"); // and back: -1, -4, none for -1 + 1; 1
    tools += &("0".to_owned() + &ue(1) + &ue(0) + &ue(0) + "1"); // said in full: -1
    tools += &("1".to_owned() + &ue(2) + "101010101" + "010101010"); // long-term
    tools + "11"
}

#[test]
fn what_stands_before_the_colours_is_read_over() {
    // A ratio of 16:11, and colours in full range; where chroma lies; no neutral chroma; whole frames.
    let vui = "1".to_owned()
        + "111111111"
        + &format!("{:016b}{:016b}", 16, 11)
        + "0"
        + "1"
        + "10111"
        + &"00000001".repeat(3)
        + "1"
        + &ue(0)
        + &ue(0)
        + "0"
        + "0"
        + "0";
    let none = "0".to_owned() + "00" + "0" + &ue(0) + "0" + "11";
    for tools in [none, everything()] {
        let unit = sps(false, &tools, &vui);
        let (read, shown) = parse_usability(&unit).unwrap();
        assert_eq!((read.width, read.height, read.temporal_layers), (80, 56, 3));
        assert_eq!((shown.reordered, shown.scan, shown.pixels), (2, Scan::Progressive, Pixels::Oblong));
        assert_eq!(shown.colour, Colour { full_range: true, ..BT709 });
        assert_eq!(reordering(&unit), Ok(2));
        let unit = sps(true, &tools, "0");
        let (_, shown) = parse_usability(&unit).unwrap();
        assert_eq!((shown.scan, shown.pixels), (Scan::Interlaced, Pixels::Square), "by its source");
        assert_eq!(shown.colour, Colour::default());
    }
}

#[test]
fn references_that_are_told_by_others_are_counted_as_the_standard_has_it() {
    let read = |bits: &str, base: Option<&[i64]>| {
        let bits = bits.to_owned() + &"0".repeat(16);
        let data: Vec<u8> =
            bits.as_bytes().chunks_exact(8).map(|c| c.iter().fold(0, |n, b| n << 1 | (b - b'0'))).collect();
        let sets: Vec<_> = base.map(<[i64]>::to_vec).into_iter().collect();
        references(&mut Bits::plain("test", &data), &sets, false)
    };
    let first = read(&(ue(2) + &ue(1) + &ue(0) + "1" + &ue(2) + "0" + &ue(4) + "1"), None).unwrap();
    assert_eq!(first, [-1, -4, 5]);
    // A picture later, and the one that the first set belongs to; 5 is not kept.
    let later = "1".to_owned() + "1" + &ue(0) + "1" + "01" + "00" + "1";
    assert_eq!(read(&later, Some(&first)).unwrap(), [-1, -2, -5]);
    // One earlier: what would be itself is none, whatever is said.
    let earlier = "1".to_owned() + "0" + &ue(0) + "1" + "1" + "1" + "1";
    assert_eq!(read(&earlier, Some(&[-1, -2, -5])).unwrap(), [-1, -4, 1]);
    let full = "1".to_owned() + "1" + &ue(0) + &"1".repeat(17);
    let sixteen: Vec<i64> = (1..=16).map(|n| -n).collect();
    assert!(read(&full, Some(&sixteen)).is_err(), "seventeen of them");
    assert!(read(&ue(17), None).is_err());
}

proptest! {
    #[test]
    fn any_set_is_read_or_refused(which in 0usize..3, at in 0usize..64, to: u8, tail in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut sps = bytes([said::X265, said::X265_HDR, said::X265_FIELDS][which][1]);
        let at = at % sps.len();
        sps[at] = to;
        let _ = parse_usability(&sps);
        sps.truncate(at);
        sps.extend(tail);
        if let Ok((read, shown)) = parse_usability(&sps) {
            prop_assert_eq!(reordering(&sps), Ok(shown.reordered));
            prop_assert!((1..=16_384).contains(&read.width) && shown.reordered <= 15);
        }
    }
}
