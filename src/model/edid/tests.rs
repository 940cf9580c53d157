#![allow(clippy::unwrap_used, clippy::panic)]
use super::timing::{P1080_30, P1080_60};
use super::*;

#[test]
fn each_keeps_the_rules_that_it_is_judged_by() {
    for name in EdidName::ALL {
        let edid = name.edid();
        assert_eq!(Edid::parse(edid.as_bytes()), Ok(edid.clone()), "{name}");
        assert_eq!((edid.as_bytes().len(), edid.blocks()), (256, 2));
        assert_eq!(EdidName::named(name.as_str()), Some(name));
        for block in edid.as_bytes().chunks(BLOCK) {
            assert_eq!(block.iter().map(|byte| u32::from(*byte)).sum::<u32>() % 256, 0, "{name}");
        }
    }
    assert_eq!(EdidName::named("hd-2160p60"), None);
}

#[test]
fn what_is_offered_is_what_is_read_back() {
    let contents = EdidName::Hd1080p60.edid().contents();
    assert_eq!(contents.product.as_deref(), Some("Holdfast"));
    assert_eq!(contents.preferred, Some(P1080_60.timing));
    assert_eq!(contents.vics, [16, 4, 31, 34, 33, 32, 19, 3, 18, 1]);
    assert_eq!((contents.tmds_mhz, contents.stereo_48k, contents.address), (Some(150), true, Some(0x1000)));
    let slower = EdidName::Hd1080p30.edid().contents();
    assert_eq!((slower.preferred, slower.tmds_mhz), (Some(P1080_30.timing), Some(75)));
    assert!(!slower.vics.contains(&16) && !slower.vics.contains(&31), "{:?}", slower.vics);
    let least = EdidName::Hd720p60.edid().contents();
    assert_eq!(least.vics, [4, 19, 3, 18, 1]);
}

/// Of CTA-861-G's tables 1 and 2: 93–97 and 102–107 are 3840 and 4096 pixels wide, 107 the last such below 128.
#[test]
fn nothing_leads_a_source_to_4k() {
    for name in EdidName::ALL {
        let contents = name.edid().contents();
        assert!(contents.vics.iter().all(|vic| *vic < 93), "{name}: {:?}", contents.vics);
        let fastest = name.modes().iter().map(|mode| u32::from(mode.timing.pixel_clock)).max().unwrap();
        let tmds = contents.tmds_mhz.unwrap();
        assert!(tmds * 100 >= fastest && tmds < 297, "{name}: {fastest}0 kHz, {tmds} MHz");
        // The YCbCr 4:2:0 data blocks (7.5.10, 7.5.11) are of the extended kind, 14 and 15.
        let edid = name.edid();
        let blocks = cta::data_blocks(&edid.as_bytes()[BLOCK..]);
        let extended: Vec<u8> =
            blocks.iter().filter(|(_, tag, _)| *tag == cta::EXTENDED).map(|(_, _, content)| content[0]).collect();
        assert_eq!(extended, [0], "{name}");
    }
}

#[test]
fn timings_add_up_to_the_rates_in_their_names() {
    for name in EdidName::ALL {
        for mode in name.modes() {
            let (size, rate) = mode.name.split_once('p').unwrap();
            let expected: u32 = rate.parse::<u32>().unwrap() * 100;
            let is = mode.timing.centihertz();
            assert!(is.abs_diff(expected) <= 10, "{}: {is}", mode.name);
            assert_eq!(size, format!("{}x{}", mode.timing.across.0, mode.timing.down.0));
            assert_eq!(Timing::parse(&mode.timing.descriptor()), Some(mode.timing), "{}", mode.name);
        }
    }
}

#[test]
fn the_preferred_timing_is_the_one_that_everybody_writes_for_1080p60() {
    let bytes = EdidName::Hd1080p60.edid().as_bytes()[54..72].to_vec();
    let known = [0x02, 0x3a, 0x80, 0x18, 0x71, 0x38, 0x2d, 0x40, 0x58, 0x2c, 0x45, 0, 0, 0, 0, 0, 0, 0x1e];
    assert_eq!(bytes, known);
}

/// Every byte changed in turn: the sum notices each, and names the block.
#[test]
fn a_byte_that_fell_over_is_noticed_wherever_it_is() {
    let good = EdidName::Hd1080p60.edid();
    for at in 0..256 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[at] ^= 0x10;
        let faults = Edid::parse(&bytes).expect_err(&format!("byte {at}"));
        let named = |fault: &EdidFault| matches!(fault, EdidFault::Checksum { block, .. } if *block == at / BLOCK);
        assert!(faults.iter().any(named), "byte {at}: {faults:?}");
    }
}

#[test]
fn each_fault_is_told() {
    let good = EdidName::Hd720p60.edid().as_bytes().to_vec();
    let mended = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        for block in bytes.chunks_mut(BLOCK) {
            block[BLOCK - 1] = checksum(block);
        }
        Edid::parse(&bytes).unwrap_err()
    };
    assert_eq!(mended(0, 1), [EdidFault::Header]);
    assert_eq!(mended(18, 2), [EdidFault::Version { version: 2, revision: 3 }]);
    assert_eq!(mended(126, 0), [EdidFault::Extensions { told: 0, there: 1 }]);
    assert_eq!(mended(BLOCK + 2, 9), [EdidFault::DataBlocks { block: 1 }]);
    assert_eq!(mended(BLOCK + 4, 2 << 5 | 31), [EdidFault::DataBlocks { block: 1 }]);
    let mut no_timing = good.clone();
    no_timing[54..56].fill(0);
    no_timing[127] = checksum(&no_timing[..BLOCK]);
    assert_eq!(Edid::parse(&no_timing), Err(vec![EdidFault::NoPreferredTiming]));
    for length in [0, 1, 127, 129, 9 * 128] {
        assert_eq!(Edid::parse(&vec![0; length]), Err(vec![EdidFault::Length { bytes: length }]));
    }
    let short = Edid::parse(&good[..BLOCK]).unwrap_err();
    assert_eq!(short, [EdidFault::Extensions { told: 1, there: 0 }]);
    let text = Edid::parse(&[&good[..255], &[0]].concat()).unwrap_err()[0].to_string();
    assert!(text.starts_with("the last byte of block 1 is 0x00, and its sum wants 0x"), "{text}");
}

#[test]
fn a_driver_may_put_its_own_address_in_and_nothing_else() {
    let ours = EdidName::Hd1080p60.edid();
    assert_eq!(ours.compare(&ours), Agreement::Same);
    let address = cta::address_at(ours.as_bytes()).unwrap();
    let changed = |at: usize, value: u8| {
        let mut bytes = ours.as_bytes().to_vec();
        bytes[at] = value;
        let block = &mut bytes[BLOCK..];
        block[BLOCK - 1] = checksum(block);
        Edid::parse(&bytes).unwrap()
    };
    assert_eq!(changed(address, 0x21).contents().address, Some(0x2100));
    assert_eq!(ours.compare(&changed(address, 0x21)), Agreement::OtherAddress);
    assert_eq!(ours.compare(&changed(BLOCK + 3, 0x30)), Agreement::Different { at: BLOCK + 3 });
    let Agreement::Different { at } = ours.compare(&EdidName::Hd720p60.edid()) else { panic!() };
    assert_eq!(at, 10, "the product code");
}

/// Random bytes in random places of a good one, with sums that are right, so that all of it is read.
#[test]
fn whatever_a_driver_gives_back_is_taken_or_refused() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut taken, mut refused) = (0, 0);
    for _ in 0..4000 {
        let mut bytes = EdidName::Hd1080p60.edid().as_bytes().to_vec();
        for _ in 0..rng.usize(1..6) {
            bytes[rng.usize(8..256)] = rng.u8(..);
        }
        bytes.truncate(if rng.u8(..) < 8 { rng.usize(0..256) } else { 256 });
        for block in bytes.chunks_exact_mut(BLOCK) {
            block[BLOCK - 1] = checksum(block);
        }
        match Edid::parse(&bytes) {
            Ok(edid) => {
                taken += 1;
                assert!(edid.contents().preferred.is_some());
            }
            Err(faults) => {
                refused += 1;
                assert!(!faults.is_empty());
            }
        }
    }
    assert!(taken > 500 && refused > 100, "{taken} taken, {refused} refused");
}
