//! What is wrong with bytes that should be an EDID.

use super::timing::Timing;
use super::{BLOCK, HEADER, MOST_BLOCKS, checksum, cta};

/// A rule that bytes break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EdidFault {
    /// Not so many whole blocks.
    #[error("it has {bytes} bytes, and an EDID has 128 to 1024 in blocks of 128")]
    Length {
        /// How many it has.
        bytes: usize,
    },
    /// Not the eight bytes that each begins with (3.3).
    #[error("it does not begin as an EDID does")]
    Header,
    /// A structure that nobody has defined (3.5).
    #[error("it is of version {version}.{revision}, and only 1.0 to 1.4 are defined")]
    Version {
        /// Byte 18.
        version: u8,
        /// Byte 19.
        revision: u8,
    },
    /// The sum of a block is not a multiple of 256 (3.11).
    #[error("the last byte of block {block} is {found:#04x}, and its sum wants {wanted:#04x}")]
    Checksum {
        /// Counted from 0.
        block: usize,
        /// What stands there.
        found: u8,
        /// What should.
        wanted: u8,
    },
    /// Byte 126 counts other blocks than there are (3.11).
    #[error("it says that {told} blocks follow the first, and {there} do")]
    Extensions {
        /// Byte 126.
        told: u8,
        /// What there is.
        there: usize,
    },
    /// The first descriptor is no timing (3.10.1).
    #[error("it prefers no timing")]
    NoPreferredTiming,
    /// A data block reaches beyond its collection (CTA-861, 7.4).
    #[error("the data blocks of block {block} do not end where its timings begin")]
    DataBlocks {
        /// Counted from 0.
        block: usize,
    },
}

/// Every rule that `bytes` breaks.
pub(super) fn find(bytes: &[u8]) -> Vec<EdidFault> {
    let blocks = bytes.len() / BLOCK;
    if !bytes.len().is_multiple_of(BLOCK) || !(1..=MOST_BLOCKS).contains(&blocks) {
        return vec![EdidFault::Length { bytes: bytes.len() }];
    }
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
    let mut faults = Vec::new();
    if !bytes.starts_with(&HEADER) {
        faults.push(EdidFault::Header);
    }
    let (version, revision) = (byte(18), byte(19));
    if version != 1 || revision > 4 {
        faults.push(EdidFault::Version { version, revision });
    }
    if usize::from(byte(126)) != blocks - 1 {
        faults.push(EdidFault::Extensions { told: byte(126), there: blocks - 1 });
    }
    if bytes.get(54..72).and_then(Timing::parse).is_none() {
        faults.push(EdidFault::NoPreferredTiming);
    }
    for (n, block) in bytes.chunks_exact(BLOCK).enumerate() {
        let (found, wanted) = (block.last().copied().unwrap_or(0), checksum(block));
        if found != wanted {
            faults.push(EdidFault::Checksum { block: n, found, wanted });
        }
        if n > 0 && block.first() == Some(&cta::TAG) && !collection_is_whole(block) {
            faults.push(EdidFault::DataBlocks { block: n });
        }
    }
    faults
}

/// Whether the data blocks fill the collection exactly. 0 means that there is neither a collection nor a timing.
fn collection_is_whole(block: &[u8]) -> bool {
    let end = block.get(2).map_or(0, |at| usize::from(*at));
    if end == 0 {
        return true;
    }
    let reached = cta::data_blocks(block).last().map_or(4, |(at, _, content)| at + content.len());
    (4..BLOCK).contains(&end) && reached == end
}
