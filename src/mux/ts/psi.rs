//! Tables: which programme there is, of which streams, by what name (H.222.0 §2.4.4; SDT: ETSI EN 300 468 §5.2.3).

mod descriptor;
mod section;
#[cfg(test)]
mod tests;

use bytes::{BufMut, Bytes, BytesMut};

use crate::model::CodecConfig;
use crate::mux::MuxError;

pub(super) use descriptor::Carriage;
pub(super) use section::{Assembler, Section};

/// Packet identifier of the programme association table.
pub(super) const PAT_PID: u16 = 0;
/// Packet identifier of the service description table.
const SDT_PID: u16 = 0x11;
const PAT: u8 = 0;
const PMT: u8 = 2;
const SDT: u8 = 0x42;
/// Streams of a programme looked at; the rest is not.
const MAX_STREAMS: usize = 64;
/// `transport_stream_id`; and the number of the only programme.
const STREAM_ID: u16 = 1;

/// One stream of a programme, to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) pid: u16,
    pub(super) carriage: Carriage,
    descriptors: Bytes,
}

impl Announced {
    /// # Errors
    /// As [`Carriage::of`].
    pub(super) fn new(config: &CodecConfig) -> Result<Self, MuxError> {
        let carriage = Carriage::of(config)?;
        Ok(Self { pid: carriage.pid(), carriage, descriptors: carriage.descriptors(config)? })
    }
}

/// The tables of one programme, ready to be put into packets: each of these is one section.
#[derive(Clone, Debug, Default)]
pub(super) struct Tables {
    pat: Bytes,
    pmt: Bytes,
    sdt: Bytes,
}

/// Names in the service description table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service<'a> {
    pub(super) programme: u16,
    pub(super) pmt_pid: u16,
    pub(super) provider: &'a str,
    pub(super) name: &'a str,
}

impl Tables {
    /// `version` is of the programme map; it goes up, modulo 32, when `streams` change.
    pub(super) fn new(service: Service<'_>, version: u8, pcr_pid: u16, streams: &[Announced]) -> Self {
        let mut pat = BytesMut::new();
        pat.put_u16(service.programme);
        pat.put_u16(0xe000 | service.pmt_pid);

        let mut pmt = BytesMut::new();
        pmt.put_u16(0xe000 | pcr_pid);
        pmt.put_u16(0xf000); // no descriptors of the programme as a whole
        for stream in streams {
            pmt.put_u8(stream.carriage.stream_type());
            pmt.put_u16(0xe000 | stream.pid);
            pmt.put_u16(0xf000 | stream.descriptors.len() as u16);
            pmt.put_slice(&stream.descriptors);
        }

        let (provider, name) = (short(service.provider), short(service.name));
        let mut sdt = BytesMut::new();
        sdt.put_u16(0xff01); // original_network_id: none of those that are assigned
        sdt.put_u8(0xff);
        sdt.put_u16(service.programme);
        sdt.put_u8(0xfc); // no event information
        let length = 3 + provider.len() + name.len();
        sdt.put_u16(4 << 13 | (length as u16 + 2)); // running
        sdt.put_slice(&[0x48, length as u8, 1]); // service_descriptor: digital television
        for text in [provider, name] {
            sdt.put_u8(text.len() as u8);
            sdt.put_slice(text);
        }

        Self {
            pat: section::build(PAT, STREAM_ID, 0, &pat),
            pmt: section::build(PMT, service.programme, version, &pmt),
            sdt: section::build(SDT, STREAM_ID, 0, &sdt),
        }
    }

    /// Packet identifier and section of each table.
    pub(super) fn sections(&self, pmt_pid: u16, with_sdt: bool) -> impl Iterator<Item = (u16, Bytes)> {
        let sdt = with_sdt.then(|| (SDT_PID, self.sdt.clone()));
        [(PAT_PID, self.pat.clone()), (pmt_pid, self.pmt.clone())].into_iter().chain(sdt)
    }
}

/// As many characters as keep each table within one packet; names are plain, so that these are bytes too.
fn short(text: &str) -> &[u8] {
    text.as_bytes().get(..64).unwrap_or(text.as_bytes())
}

/// What the programme association table says: number and PMT packet identifier of each programme.
///
/// `None` if the section is of another table.
pub(super) fn parse_pat(section: &Section<'_>) -> Option<Vec<(u16, u16)>> {
    if section.table != PAT {
        return None;
    }
    let entries = section.body.chunks_exact(4).filter_map(|entry| {
        let &[a, b, c, d] = entry else { return None };
        Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c & 0x1f, d])))
    });
    // Number 0 is not a programme but the network information table.
    Some(entries.filter(|(number, _)| *number != 0).collect())
}

/// What the programme map table says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Map {
    pub(super) programme: u16,
    pub(super) pcr_pid: u16,
    /// Stream type, packet identifier, and how it is carried if we know that.
    pub(super) streams: Vec<(u8, u16, Option<Carriage>)>,
}

/// `None` if the section is of another table or ends too early.
pub(super) fn parse_pmt(section: &Section<'_>) -> Option<Map> {
    if section.table != PMT {
        return None;
    }
    let (&[a, b, c, d], rest) = section.body.split_first_chunk::<4>()?;
    let mut rest = rest.get(usize::from(u16::from_be_bytes([c & 0x0f, d]))..)?;
    let mut streams = Vec::new();
    while let Some((&[kind, p, q, l, m], after)) = rest.split_first_chunk::<5>() {
        let (descriptors, after) = after.split_at_checked(u16::from_be_bytes([l & 0x0f, m]).into())?;
        rest = after;
        if streams.len() < MAX_STREAMS {
            streams.push((kind, u16::from_be_bytes([p & 0x1f, q]), Carriage::read(kind, descriptors)));
        }
    }
    Some(Map { programme: section.id, pcr_pid: u16::from_be_bytes([a & 0x1f, b]), streams })
}
