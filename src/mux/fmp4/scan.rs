//! Reads back what [`super::Fmp4`] writes: to salvage a file that was cut off, and to check one.

use crate::mux::MuxError;
use crate::mux::error::field;

/// The header of a box (§4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoxHeader {
    /// Its four-character type.
    pub kind: [u8; 4],
    /// Length of the header itself: 8, or 16 with a 64-bit size.
    pub header: u64,
    /// Length of the whole box, header included; at least `header`.
    pub size: u64,
}

/// Reads the header at the start of `bytes`; 16 bytes are always enough.
///
/// # Errors
/// Too few bytes, a size smaller than the header, or size 0 ("to the end of the file"), which is never written here.
pub fn box_header(bytes: &[u8]) -> Result<BoxHeader, MuxError> {
    const WHAT: &str = "MP4 box header";
    let truncated = MuxError::Truncated { what: WHAT, at: bytes.len() };
    let Some((&[s0, s1, s2, s3, k0, k1, k2, k3], rest)) = bytes.split_first_chunk::<8>() else {
        return Err(truncated);
    };
    let (header, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
        1 => {
            let (large, _) = rest.split_first_chunk::<8>().ok_or(truncated)?;
            (16, u64::from_be_bytes(*large))
        }
        size => (8, size.into()),
    };
    if size < header {
        return Err(field(WHAT, "size", size));
    }
    Ok(BoxHeader { kind: [k0, k1, k2, k3], header, size })
}

/// Walks a file's top-level boxes and tells how much of it is whole fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    stage: Stage,
    at: u64,
    whole: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    FileType,
    Movie,
    Fragment,
    Data,
}

impl Tail {
    /// At the start of a file.
    pub const fn new() -> Self {
        Self { stage: Stage::FileType, at: 0, whole: None }
    }

    /// Where the next box header is to be read.
    pub const fn at(&self) -> u64 {
        self.at
    }

    /// Everything before this is readable; `None` before the first whole fragment.
    pub const fn whole(&self) -> Option<u64> {
        self.whole
    }

    /// Takes the header at [`Self::at`] in a file of `length` bytes. False when the walk is over: the box is cut off
    /// or does not belong there.
    pub fn step(&mut self, next: BoxHeader, length: u64) -> bool {
        let Some(end) = self.at.checked_add(next.size).filter(|end| *end <= length) else { return false };
        self.stage = match (self.stage, &next.kind) {
            (Stage::FileType, b"ftyp") => Stage::Movie,
            (Stage::Movie, b"moov") | (Stage::Data, b"mdat") => Stage::Fragment,
            (Stage::Fragment, b"moof") => Stage::Data,
            (Stage::Fragment, b"mfra") => Stage::Fragment,
            _ => return false,
        };
        if self.stage == Stage::Fragment && &next.kind != b"moov" {
            self.whole = Some(end);
        }
        self.at = end;
        true
    }
}

impl Default for Tail {
    fn default() -> Self {
        Self::new()
    }
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The tracks, in order.
    pub tracks: Vec<ScannedTrack>,
    /// Whole fragments.
    pub fragments: usize,
    /// Length of the part that could be read, bytes.
    pub whole: usize,
    /// The duration in `mehd`, milliseconds, once the file is closed.
    pub duration_ms: Option<u64>,
    /// Entries of the seek table, once the file is closed.
    pub seek_points: Option<u32>,
}

/// One track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScannedTrack {
    /// `track_ID`.
    pub id: u32,
    /// Ticks per second.
    pub timescale: u32,
    /// Type of the sample entry, e.g. `avc1`.
    pub entry: [u8; 4],
    /// Its samples.
    pub samples: Vec<Sample>,
}

/// One access unit in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Decoding time, ticks since the start of the file.
    pub dts: u64,
    /// Ticks.
    pub duration: u32,
    /// Composition offset, ticks.
    pub shift: i32,
    /// Where its bytes are in the file.
    pub offset: usize,
    /// How many bytes.
    pub size: usize,
    /// A decoder can start here.
    pub key: bool,
}

/// Reads a file as far as it consists of whole fragments.
///
/// # Errors
/// No readable initialisation segment, or a fragment that contradicts itself.
pub fn scan(file: &[u8]) -> Result<Scan, MuxError> {
    let mut out = Scan::default();
    let mut tail = Tail::new();
    let mut moof = 0..0;
    while let Some(header) = file.get(tail.at() as usize..).and_then(|rest| box_header(rest).ok()) {
        let start = tail.at() as usize;
        if !tail.step(header, file.len() as u64) {
            break;
        }
        let range = start..tail.at() as usize;
        let body = file.get(start + header.header as usize..range.end).unwrap_or_default();
        match &header.kind {
            b"moov" => read_moov(body, &mut out)?,
            b"moof" => moof = range,
            b"mdat" => {
                read_moof(file.get(moof.clone()).unwrap_or_default(), moof.start, range.end, &mut out)?;
                out.fragments += 1;
                out.whole = range.end;
            }
            b"mfra" => {
                out.seek_points = find(body, b"tfra").and_then(|tfra| u32_at(tfra, 12));
                out.whole = range.end;
            }
            _ => {}
        }
    }
    if out.tracks.is_empty() {
        return Err(MuxError::Truncated { what: "MP4 initialisation segment", at: tail.at() as usize });
    }
    Ok(out)
}

/// The boxes in `body`, type and content, as far as they are whole.
fn children(mut body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let header = box_header(body).ok()?;
        let content = body.get(header.header as usize..usize::try_from(header.size).ok()?)?;
        body = body.get(header.size as usize..)?;
        Some((header.kind, content))
    })
}

fn find<'a>(body: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    children(body).find(|(k, _)| k == kind).map(|(_, content)| content)
}

fn path<'a>(body: &'a [u8], kinds: &[&[u8; 4]]) -> Option<&'a [u8]> {
    kinds.iter().try_fold(body, |body, kind| find(body, kind))
}

fn u32_at(body: &[u8], at: usize) -> Option<u32> {
    body.get(at..)?.first_chunk().map(|b| u32::from_be_bytes(*b))
}

fn u64_at(body: &[u8], at: usize) -> Option<u64> {
    body.get(at..)?.first_chunk().map(|b| u64::from_be_bytes(*b))
}

fn read_moov(moov: &[u8], out: &mut Scan) -> Result<(), MuxError> {
    for (_, trak) in children(moov).filter(|(kind, _)| kind == b"trak") {
        let read = || {
            // All version 1: 64-bit times before the fields.
            let id = u32_at(find(trak, b"tkhd")?, 20)?;
            let timescale = u32_at(path(trak, &[b"mdia", b"mdhd"])?, 20)?;
            let stsd = path(trak, &[b"mdia", b"minf", b"stbl", b"stsd"])?;
            let (entry, _) = children(stsd.get(8..)?).next()?;
            Some(ScannedTrack { id, timescale, entry, samples: Vec::new() })
        };
        out.tracks.push(read().ok_or(MuxError::Truncated { what: "MP4 trak", at: trak.len() })?);
    }
    out.duration_ms = path(moov, &[b"mvex", b"mehd"]).and_then(|mehd| u64_at(mehd, 4));
    Ok(())
}

fn read_moof(moof: &[u8], moof_at: usize, end: usize, out: &mut Scan) -> Result<(), MuxError> {
    for (_, traf) in children(moof.get(8..).unwrap_or_default()).filter(|(kind, _)| kind == b"traf") {
        let truncated = || MuxError::Truncated { what: "MP4 traf", at: moof_at };
        let (tfhd, tfdt, trun) = find(traf, b"tfhd")
            .zip(find(traf, b"tfdt"))
            .zip(find(traf, b"trun"))
            .map(|((a, b), c)| (a, b, c))
            .ok_or_else(truncated)?;
        let id = u32_at(tfhd, 4).ok_or_else(truncated)?;
        let start = u64_at(tfdt, 4).ok_or_else(truncated)?;
        let track = out.tracks.iter_mut().find(|t| t.id == id).ok_or_else(|| field("MP4 traf", "track_ID", id))?;
        read_trun(trun, start, moof_at, end, &mut track.samples)?;
    }
    Ok(())
}

/// Reads a run in the shape that [`super::Fmp4`] writes: with data offset, durations and sizes.
fn read_trun(trun: &[u8], start: u64, moof_at: usize, end: usize, samples: &mut Vec<Sample>) -> Result<(), MuxError> {
    const WHAT: &str = "MP4 trun";
    let truncated = || MuxError::Truncated { what: WHAT, at: trun.len() };
    let flags = u32_at(trun, 0).ok_or_else(truncated)? & 0x00ff_ffff;
    if flags & 0x305 != 0x301 {
        return Err(field(WHAT, "flags", flags));
    }
    let count = u32_at(trun, 4).ok_or_else(truncated)?;
    let mut offset = moof_at.saturating_add(u32_at(trun, 8).ok_or_else(truncated)? as usize);
    let mut dts = start;
    let mut fields = trun.get(12..).unwrap_or_default();
    let mut take = || {
        let (value, rest) = fields.split_first_chunk::<4>()?;
        fields = rest;
        Some(u32::from_be_bytes(*value))
    };
    for _ in 0..count {
        let duration = take().ok_or_else(truncated)?;
        let size = take().ok_or_else(truncated)?;
        let sample_flags = if flags & 0x400 != 0 { take().ok_or_else(truncated)? } else { 0 };
        let shift = if flags & 0x800 != 0 { take().ok_or_else(truncated)? as i32 } else { 0 };
        let next = offset.checked_add(size as usize).filter(|next| *next <= end);
        let next = next.ok_or_else(|| field(WHAT, "sample_size", size))?;
        let key = sample_flags & 0x0001_0000 == 0;
        samples.push(Sample { dts, duration, shift, offset, size: size as usize, key });
        offset = next;
        dts = dts.saturating_add(duration.into());
    }
    Ok(())
}
