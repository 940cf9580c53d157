//! The list of lost sequence numbers in a NAK (draft §3.2.5 and appendix A): single numbers, and ranges whose first
//! number has bit 31 set.

use super::number::{SeqNo, SeqRange};
use super::{DecodeError, words};

const RANGE: u32 = 0x8000_0000;

/// A loss list as it stands in the datagram, checked: every range has its end, and none runs backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossList<'a>(&'a [u8]);

impl<'a> LossList<'a> {
    /// Checks a NAK's content. Bytes that do not make a whole word are cut off, as in libsrt.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let body = &body[..body.len() & !3];
        let mut list = words(body);
        while let Some(first) = list.next() {
            if first & RANGE == 0 {
                continue;
            }
            match list.next() {
                Some(last) if last & RANGE == 0 && SeqRange::new(SeqNo::new(first), SeqNo::new(last)).is_some() => {}
                Some(_) | None => return Err(DecodeError::LossRange { first: first & !RANGE }),
            }
        }
        Ok(Self(body))
    }

    /// Appends as many of `ranges` to `body` as fit into `room` bytes. Returns how many did: ranges that did not fit
    /// belong into another NAK.
    pub fn write(ranges: &[SeqRange], room: usize, body: &mut Vec<u8>) -> usize {
        let end = body.len().saturating_add(room);
        for (written, range) in ranges.iter().enumerate() {
            let single = range.first() == range.last();
            if body.len() + if single { 4 } else { 8 } > end {
                return written;
            }
            if single {
                body.extend_from_slice(&range.first().get().to_be_bytes());
            } else {
                body.extend_from_slice(&(range.first().get() | RANGE).to_be_bytes());
                body.extend_from_slice(&range.last().get().to_be_bytes());
            }
        }
        ranges.len()
    }

    /// What is lost, in the sender's order; libsrt's is ascending.
    pub fn ranges(self) -> impl Iterator<Item = SeqRange> + use<'a> {
        let mut list = words(self.0);
        std::iter::from_fn(move || {
            let first = list.next()?;
            let last = if first & RANGE == 0 { first } else { list.next()? };
            SeqRange::new(SeqNo::new(first), SeqNo::new(last))
        })
    }

    /// As on the wire.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }
}
