//! A stream of our own making: everything that a slice header may hold, in one place.

use super::*;

#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// `general_profile_space`, tier and profile; the first two bytes of constraints.
    pub profile: [u8; 3],
    pub chroma: u32,
    pub planes_apart: bool,
    pub size: (u32, u32),
    pub order_bits: u32,
    pub kept: u32,
    pub smallest: u32,
    pub tree: u32,
    pub sao: bool,
    /// Whether the sequence has three sets of references, or none.
    pub sets: bool,
    pub long_term: Option<u32>,
    pub temporal_motion: bool,
    pub fields: bool,
    pub pps: Pps,
    /// The eight flags of extensions.
    pub extensions: Option<u32>,
}

/// `short_term_ref_pic_set` in a slice.
#[derive(Clone, Copy, Debug)]
pub(super) enum References {
    /// By its index of two bits: one before; the last two before; one before and one after.
    Index(u32),
    /// In full: so many before and after.
    Told(u32, u32),
    /// By the set that lies so many back, a place earlier.
    Shifted(u32),
}

impl Stream {
    pub(super) fn new() -> Self {
        let pps = Pps {
            id: 3,
            sps: 2,
            output: false,
            extra_bits: 0,
            cabac_init: false,
            references: 1,
            qp: 26,
            chroma_offsets: false,
            weighted: false,
            bypass: false,
            tiles: None,
            rows_apart: false,
            across_slices: true,
            deblocking_override: false,
            deblocking_off: false,
            header_extension: false,
            chroma_offset_lists: false,
        };
        Self {
            profile: [1, 0x80, 0],
            chroma: 1,
            planes_apart: false,
            size: (64, 64),
            order_bits: 8,
            kept: 4,
            smallest: 3,
            tree: 6,
            sao: true,
            sets: true,
            long_term: None,
            temporal_motion: true,
            fields: false,
            pps,
            extensions: None,
        }
    }

    pub(super) fn sps(&self) -> Vec<u8> {
        let mut bits = Writer::default();
        bits.u(1, 8); // VPS 0, one sub-layer, nested
        let [profile, first, second] = self.profile;
        bits.bytes(&[profile, 0x60, 0, 0, 0, first, second, 0, 0, 0, 0, 30]);
        bits.ue(self.pps.sps.into());
        bits.ue(self.chroma);
        if self.chroma == 3 {
            bits.flag(self.planes_apart);
        }
        bits.ue(self.size.0);
        bits.ue(self.size.1);
        bits.flag(false); // whole
        bits.ue(0);
        bits.ue(0);
        bits.ue(self.order_bits - 4);
        bits.flag(true);
        [self.kept, 0, 0].into_iter().for_each(|order| bits.ue(order));
        bits.ue(self.smallest - 3);
        bits.ue(self.tree - self.smallest);
        [0, 3, 1, 1].into_iter().for_each(|transform| bits.ue(transform));
        bits.u(0b01, 2); // scaling lists, AMP
        bits.flag(self.sao);
        bits.flag(false); // PCM
        if self.sets {
            bits.ue(3);
            [1, 0, 0].into_iter().for_each(|code| bits.ue(code));
            bits.flag(true);
            bits.u(0b11, 2); // by the one before, a place earlier
            bits.ue(0);
            bits.u(0b11, 2); // both used
            bits.flag(false);
            [1, 1, 0].into_iter().for_each(|code| bits.ue(code));
            bits.flag(true);
            bits.ue(0);
            bits.flag(true);
        } else {
            bits.ue(0);
        }
        bits.flag(self.long_term.is_some());
        if let Some(candidates) = self.long_term {
            bits.ue(candidates);
            (0..candidates).for_each(|n| bits.u(n, self.order_bits + 1));
        }
        bits.flag(self.temporal_motion);
        bits.flag(true); // strong_intra_smoothing_enabled_flag
        bits.flag(self.fields);
        if self.fields {
            bits.u(0b00_0001, 6);
        }
        bits.u(0, 16);
        nal([SPS << 1, 1], bits)
    }

    pub(super) fn pps(&self) -> Vec<u8> {
        let pps = &self.pps;
        let mut bits = Writer::default();
        bits.ue(pps.id.into());
        bits.ue(pps.sps.into());
        bits.flag(true); // dependent_slice_segments_enabled_flag
        bits.flag(pps.output);
        bits.u(pps.extra_bits, 3);
        bits.flag(true);
        bits.flag(pps.cabac_init);
        bits.ue(pps.references - 1);
        bits.ue(0);
        bits.se(pps.qp - 26);
        bits.u(0b011, 3); // transform_skip_enabled_flag, cu_qp_delta_enabled_flag
        [1, 5, 6].into_iter().for_each(|offset| bits.ue(offset));
        bits.flag(pps.chroma_offsets);
        bits.flag(pps.weighted);
        bits.flag(true);
        bits.flag(pps.bypass);
        bits.flag(pps.tiles.is_some());
        bits.flag(pps.rows_apart);
        match &pps.tiles {
            None => {}
            Some(Tiles::Uniform(across, down)) => {
                bits.ue(across - 1);
                bits.ue(down - 1);
                bits.u(0b11, 2);
            }
            Some(Tiles::Sized(across, down)) => {
                bits.ue(across.len() as u32);
                bits.ue(down.len() as u32);
                bits.flag(false);
                across.iter().chain(down).for_each(|size| bits.ue(size - 1));
                bits.flag(true);
            }
        }
        bits.flag(pps.across_slices);
        let control = pps.deblocking_override || pps.deblocking_off;
        bits.flag(control);
        if control {
            bits.flag(pps.deblocking_override);
            bits.flag(pps.deblocking_off);
            if !pps.deblocking_off {
                bits.se(-2);
                bits.se(2);
            }
        }
        bits.u(0b01, 2); // scaling lists, lists_modification_present_flag
        bits.ue(2);
        bits.flag(pps.header_extension);
        let extensions = self.extensions.or(pps.chroma_offset_lists.then_some(0x80));
        bits.flag(extensions.is_some());
        if let Some(flags) = extensions {
            bits.u(flags, 8);
            bits.ue(2); // log2_max_transform_skip_block_size_minus2
            bits.flag(true);
            bits.flag(pps.chroma_offset_lists);
        }
        nal([PPS << 1, 1], bits)
    }

    pub(super) fn config(&self) -> CodecConfig {
        let mut sets = ParameterSets::default();
        sets.insert(hevc::VPS, 0, &[hevc::VPS << 1, 1, 0x0c]).unwrap();
        sets.insert(SPS, 2, &self.sps()).unwrap();
        sets.insert(PPS, 3, &self.pps()).unwrap();
        let (record, _) = hevc::build_hvcc(&sets).unwrap();
        CodecConfig { codec: Codec::Hevc, record, format: fixtures::VIDEO, bitrate: 0 }
    }

    /// A slice segment header up to the references.
    pub(super) fn slice(&self, header: [u8; 2], order: u32, references: References) -> Vec<u8> {
        let kind = hevc::unit_type(header[0]);
        let mut bits = Writer::default();
        bits.flag(true);
        if hevc::is_key(kind) {
            bits.flag(false);
        }
        bits.ue(self.pps.id.into());
        bits.u(u32::MAX, self.pps.extra_bits);
        bits.ue(0); // B
        if self.pps.output {
            bits.flag(true);
        }
        if !matches!(kind, 19 | 20) {
            bits.u(order, self.order_bits);
            match references {
                References::Index(index) => {
                    bits.flag(true);
                    bits.u(index, 2);
                }
                References::Told(before, after) => {
                    bits.flag(false);
                    if self.sets {
                        bits.flag(false);
                    }
                    bits.ue(before);
                    bits.ue(after);
                    (0..before + after).for_each(|_| bits.u(0b11, 2)); // delta 1, used
                }
                References::Shifted(back) => {
                    bits.u(0b01, 2);
                    bits.ue(back);
                    bits.flag(true);
                    bits.ue(0);
                    bits.u(0b111, 3);
                }
            }
        }
        bits.bytes(&[0xa5; 9]);
        nal(header, bits)
    }

    pub(super) fn p(&self, order: u32) -> Vec<u8> {
        unit(&[self.slice([2, 1], order, References::Told(2, 0))])
    }

    pub(super) fn key(&self) -> Vec<u8> {
        unit(&[self.slice([19 << 1, 1], 0, References::Told(0, 0))])
    }

    pub(super) fn refusal(&self, last: &[u8]) -> Refusal {
        Stills::after(&self.config(), last).unwrap_err()
    }
}

pub(super) fn nal(header: [u8; 2], mut bits: Writer) -> Vec<u8> {
    bits.flag(true);
    let mut unit = header.to_vec();
    escape_into(&bits.whole(), &mut unit);
    unit
}

/// Each with its length.
pub(super) fn unit(nals: &[Vec<u8>]) -> Vec<u8> {
    nals.iter().flat_map(|nal| [&(nal.len() as u32).to_be_bytes()[..], nal].concat()).collect()
}

/// `slice_pic_order_cnt_lsb` of a still.
pub(super) fn order(stream: &Stream, still: &[u8]) -> u32 {
    let length = u32::from_be_bytes(*still.first_chunk().unwrap()) as usize;
    assert_eq!(length + 4, still.len(), "one NAL unit");
    assert_eq!(still[4..6], [2, 1], "of a reference picture");
    let (_, slicing) = hevc::parse_slicing(&stream.sps()).unwrap();
    Slice::parse(&still[4..], &slicing, &Pps::parse(&stream.pps()).unwrap()).unwrap().order
}

pub(super) fn streams() -> Vec<Stream> {
    let mut all = Vec::new();
    for bits in 0..256u32 {
        let on = |n: u32| bits >> n & 1 == 1;
        let mut stream = Stream::new();
        stream.pps.output = on(0);
        stream.pps.weighted = on(1);
        stream.pps.cabac_init = on(2);
        stream.pps.rows_apart = on(3);
        stream.pps.bypass = on(4);
        stream.pps.references = if on(5) { 3 } else { 1 };
        stream.pps.chroma_offset_lists = on(6);
        stream.pps.deblocking_off = on(7);
        stream.pps.deblocking_override = on(2);
        stream.pps.header_extension = on(1);
        stream.pps.extra_bits = bits % 3;
        stream.pps.chroma_offsets = on(3);
        stream.pps.across_slices = on(0);
        stream.pps.qp = i64::from(bits % 50);
        stream.sao = on(4);
        stream.sets = on(6);
        stream.temporal_motion = on(5);
        stream.long_term = [None, Some(0), Some(2)][bits as usize % 3];
        stream.order_bits = 4 + bits % 13;
        stream.chroma = bits % 4;
        stream.size = (8 + bits % 37 * 8, 8 + bits % 29 * 8);
        stream.tree = 4 + bits % 3;
        stream.pps.tiles = match bits % 5 {
            0 if stream.size.0 > 128 && stream.size.1 > 128 => Some(Tiles::Uniform(2, 2)),
            1 if stream.size.0 > 128 => Some(Tiles::Sized(vec![1], vec![])),
            _ => None,
        };
        all.push(stream);
    }
    all
}
