//! One elementary stream: PES packets put together from transport packets.

use bytes::{Bytes, BytesMut};

use crate::model::{Media, Track};
use crate::mux::ts::pes;
use crate::mux::ts::psi::Carriage;
use crate::mux::ts::recover::Recover;

/// The longest PES packet taken, bytes: a picture of 500 Mbit/s at 25 a second, and some.
pub(super) const MAX_PES: usize = 8 << 20;

/// One stream of the programme.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) pid: u16,
    pub(super) track: Track,
    pub(super) carriage: Carriage,
    pub(super) recover: Recover,
    /// When the packet of sound after the last belongs, for PES packets without a time stamp.
    pub(super) next: Option<Media>,
    assembly: Assembly,
}

#[derive(Debug)]
enum Assembly {
    /// Waits for the beginning of a PES packet.
    Idle,
    Filling(BytesMut),
}

/// What became of a PES packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Assembled {
    Whole(Bytes),
    /// Something of it is missing.
    Short,
    /// Larger than [`MAX_PES`].
    TooLarge,
    /// Without a start code.
    NotPes,
}

impl Lane {
    pub(super) fn new(pid: u16, track: Track, carriage: Carriage, recover: Recover) -> Self {
        Self { pid, track, carriage, recover, next: None, assembly: Assembly::Idle }
    }

    /// A transport packet was lost. Tells whether a PES packet was with it for certain.
    pub(super) fn lose(&mut self) -> bool {
        self.recover.reset();
        self.next = None;
        matches!(std::mem::replace(&mut self.assembly, Assembly::Idle), Assembly::Filling(_))
    }

    /// Takes a transport packet's payload and passes on what it completes. `end`: nothing more of this PES packet
    /// comes.
    pub(super) fn push(&mut self, payload: &[u8], unit_start: bool, end: bool, mut each: impl FnMut(Assembled)) {
        if unit_start {
            self.finish(&mut each);
            self.assembly = Assembly::Filling(BytesMut::new());
        }
        let Assembly::Filling(data) = &mut self.assembly else { return };
        data.extend_from_slice(payload);
        let done = match pes::length(data) {
            Some(Err(pes::NotPes)) => Some(Assembled::NotPes),
            Some(Ok(Some(length))) if data.len() >= length => Some(Assembled::Whole(data.split_to(length).freeze())),
            Some(Ok(None)) if end => Some(Assembled::Whole(data.split().freeze())),
            Some(Ok(None)) if data.len() > MAX_PES => Some(Assembled::TooLarge),
            _ if end => Some(Assembled::Short),
            _ => None,
        };
        if let Some(done) = done {
            self.assembly = Assembly::Idle;
            each(done);
        }
    }

    /// Passes on a PES packet that did not tell its length: the next one begins, or no more will come.
    pub(super) fn finish(&mut self, mut each: impl FnMut(Assembled)) {
        if let Assembly::Filling(data) = std::mem::replace(&mut self.assembly, Assembly::Idle) {
            each(match pes::length(&data) {
                Some(Ok(None)) => Assembled::Whole(data.freeze()),
                Some(Err(pes::NotPes)) => Assembled::NotPes,
                Some(Ok(Some(_))) | None => Assembled::Short,
            });
        }
    }
}
