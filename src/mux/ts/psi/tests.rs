#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::model::Codec;
use crate::mux::fixtures::canonical;

const SERVICE: Service<'_> = Service { programme: 1, pmt_pid: 0x20, provider: "somebody", name: "stage" };

fn whole(section: &Bytes, each: impl FnOnce(Section<'_>)) {
    let mut each = Some(each);
    let payload = [&[0][..], section].concat();
    Assembler::default().push(&payload, true, |section| (each.take().unwrap())(section.unwrap()));
    assert!(each.is_none(), "the section did not come out");
}

#[test]
fn each_codec_is_recognised_in_the_map_that_announces_it() {
    for codec in [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Aac, Codec::Opus] {
        let stream = Announced::new(&canonical(codec)[0].config).unwrap();
        let tables = Tables::new(SERVICE, 5, 0x1ffe, std::slice::from_ref(&stream));
        whole(&tables.pmt, |section| {
            let map = parse_pmt(&section).unwrap();
            assert_eq!((map.programme, map.pcr_pid), (1, 0x1ffe));
            assert_eq!(map.streams, [(stream.carriage.stream_type(), stream.pid, Some(stream.carriage))]);
        });
        whole(&tables.pat, |section| assert_eq!(parse_pat(&section), Some(vec![(1, 0x20)])));
    }
}

#[test]
fn every_table_fits_into_one_packet() {
    let name = "n".repeat(200);
    let streams = [Codec::Av1, Codec::Opus].map(|codec| Announced::new(&canonical(codec)[0].config).unwrap());
    let tables = Tables::new(Service { provider: &name, name: &name, ..SERVICE }, 31, 0x102, &streams);
    for (pid, section) in tables.sections(0x20, true) {
        assert!(section.len() < 184, "table on {pid:#x}: {} bytes", section.len());
    }
}

#[test]
fn the_av1_descriptors_are_those_of_the_published_mapping() {
    let config = &canonical(Codec::Av1)[0].config;
    let stream = Announced::new(config).unwrap();
    assert_eq!(stream.descriptors[..6], *b"\x05\x04AV01");
    assert_eq!(stream.descriptors[6..11], [0x80, 4, config.record[0], config.record[1], config.record[2]]);
    assert_eq!(stream.descriptors[11], 0xc0);
}

#[test]
fn a_private_stream_without_a_known_registration_stays_unknown() {
    assert_eq!(Carriage::read(6, &[]), None);
    assert_eq!(Carriage::read(6, b"\x05\x04KLVA"), None);
    assert_eq!(Carriage::read(6, b"\x05\x04Opus"), None, "without its extension descriptor");
    assert_eq!(Carriage::read(6, b"\x05\x04Opus\x7f\x02\x80\x06"), None, "six channels");
    assert_eq!(Carriage::read(6, b"\x0a\x04und\0\x05\x04AV1G"), Some(Carriage::Av1Plain));
    assert_eq!(Carriage::read(0x11, &[]), None, "LATM");
}

proptest! {
    #[test]
    fn any_body_is_read_or_refused(table: u8, id: u16, body: Vec<u8>) {
        let section = Section { table, id, body: &body };
        let _ = parse_pat(&section);
        if let Some(map) = parse_pmt(&Section { table: PMT, ..section }) {
            prop_assert!(map.streams.len() <= MAX_STREAMS);
        }
    }
}
