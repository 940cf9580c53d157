//! The CTA-861 extension block (7.5): a collection of data blocks.

use super::{BLOCK, Contents};

/// The extension's tag.
pub(super) const TAG: u8 = 2;

/// Tags of data blocks (table 46).
pub(super) const AUDIO: u8 = 1;
pub(super) const VIDEO: u8 = 2;
pub(super) const VENDOR: u8 = 3;
pub(super) const SPEAKERS: u8 = 4;
pub(super) const EXTENDED: u8 = 7;

/// HDMI Licensing's identifier, the last byte first.
pub(super) const HDMI: [u8; 3] = [0x03, 0x0c, 0x00];
/// Of the sampling rates in a short audio descriptor (table 52).
pub(super) const KHZ_48: u8 = 1 << 2;
/// Linear PCM (table 37).
const LPCM: u8 = 1;

/// Appends a data block: its tag and length in one byte, then what is in it, 31 bytes at most.
pub(super) fn put(collection: &mut Vec<u8>, tag: u8, payload: &[u8]) {
    debug_assert!(payload.len() < 32, "a data block's length has five bits");
    collection.push(tag << 5 | u8::try_from(payload.len()).unwrap_or(0) & 0x1f);
    collection.extend(payload);
}

/// The data blocks of an extension: where each one's content begins in `block`, its tag, its content. Ends where one
/// would reach beyond the collection, which [`super::fault`] tells.
pub(super) fn data_blocks(block: &[u8]) -> Vec<(usize, u8, &[u8])> {
    let end = block.get(2).map_or(0, |at| usize::from(*at)).min(BLOCK - 1);
    let mut found = Vec::new();
    let mut at = 4;
    while at < end {
        let Some(head) = block.get(at) else { break };
        let length = usize::from(head & 0x1f);
        let Some(content) = block.get(at + 1..at + 1 + length).filter(|_| at + 1 + length <= end) else { break };
        found.push((at + 1, head >> 5, content));
        at += 1 + length;
    }
    found
}

/// Adds what the extension `block` says; nothing if it is another kind of extension.
pub(super) fn read(block: &[u8], contents: &mut Contents) {
    if block.first() != Some(&TAG) {
        return;
    }
    for (_, tag, content) in data_blocks(block) {
        match tag {
            // Up to 64 the top bit says that it is native (7.5.1).
            VIDEO => contents
                .vics
                .extend(content.iter().map(|vic| if (129..=192).contains(vic) { vic & 0x7f } else { *vic })),
            AUDIO => {
                let stereo = |sound: &[u8]| matches!(sound, [format, rates, _] if format >> 3 & 0xf == LPCM && format & 7 >= 1 && rates & KHZ_48 != 0);
                contents.stereo_48k |= content.chunks_exact(3).any(stereo);
            }
            VENDOR if content.starts_with(&HDMI) => {
                contents.address = content.get(3..5).map(|a| u16::from_be_bytes([a[0], a[1]]));
                // Optional: without it 165 MHz is what HDMI always bears.
                contents.tmds_mhz = Some(content.get(6).map_or(165, |clock| u32::from(*clock) * 5));
            }
            _ => {}
        }
    }
}

/// Where HDMI's physical address stands in the whole of an EDID.
pub(super) fn address_at(bytes: &[u8]) -> Option<usize> {
    bytes.chunks_exact(BLOCK).enumerate().skip(1).filter(|(_, block)| block.first() == Some(&TAG)).find_map(
        |(n, block)| {
            let vendor =
                data_blocks(block).into_iter().find(|(_, tag, content)| *tag == VENDOR && content.starts_with(&HDMI));
            vendor.filter(|(_, _, content)| content.len() >= 5).map(|(at, ..)| n * BLOCK + at + 3)
        },
    )
}
