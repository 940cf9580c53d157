//! The bytes of an EDID that Holdfast makes.

use super::timing::{self, Mode, P720_50, P720_60, P1080_24, P1080_25, P1080_30, P1080_50, P1080_60};
use super::{BLOCK, EdidName, HEADER, checksum, cta};

/// Three letters of five bits each (3.4.1). Nobody has assigned Holdfast letters; these are the Linux kernel's own
/// EDIDs'.
const MAKER: [u8; 3] = *b"LNX";
/// The display's name; sources show it to people.
const PRODUCT: &[u8] = b"Holdfast";
/// Less 1990 (3.4.4).
const YEAR: u8 = 2024u16.to_le_bytes()[0].wrapping_sub(1990u16.to_le_bytes()[0]);
/// sRGB's primaries and white (3.7).
const SRGB: [u8; 10] = [0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54];

/// What an EDID offers, best first: what it prefers, the second detailed timing, and the rest.
struct Offer {
    modes: &'static [Mode],
    /// The least multiple of 5 MHz that bears the fastest of them. Nothing faster may be sent, and 3840x2160 needs 297
    /// MHz, so that no source comes upon sending that (HDMI 1.4b, 8.3.2).
    tmds_mhz: u8,
    product_code: u16,
}

impl EdidName {
    const fn offer(self) -> Offer {
        match self {
            Self::Hd1080p60 => Offer {
                modes: &[P1080_60, P720_60, P1080_50, P1080_30, P1080_25, P1080_24, P720_50],
                tmds_mhz: 150,
                product_code: 1,
            },
            Self::Hd1080p30 => {
                Offer { modes: &[P1080_30, P720_60, P1080_25, P1080_24, P720_50], tmds_mhz: 75, product_code: 2 }
            }
            Self::Hd720p60 => Offer { modes: &[P720_60, P720_50], tmds_mhz: 75, product_code: 3 },
        }
    }

    /// The formats that a source may send, best first.
    pub fn modes(self) -> Vec<Mode> {
        let offer = self.offer();
        offer.modes.iter().copied().chain(timing::SD).chain([timing::VGA]).collect()
    }
}

pub(super) fn build(name: EdidName) -> Vec<u8> {
    let mut bytes = base(name);
    bytes.extend(extension(name));
    bytes
}

/// Closes a block: zeros up to its end, and the sum.
fn close(mut block: Vec<u8>) -> Vec<u8> {
    block.resize(BLOCK - 1, 0);
    let sum = checksum(&block);
    block.push(sum);
    block
}

fn base(name: EdidName) -> Vec<u8> {
    let offer = name.offer();
    let mut block = HEADER.to_vec();
    let letter = |at: usize| u16::from(MAKER[at] - b'@');
    block.extend((letter(0) << 10 | letter(1) << 5 | letter(2)).to_be_bytes());
    block.extend(offer.product_code.to_le_bytes());
    // No serial number, no week.
    block.extend([0, 0, 0, 0, 0, YEAR]);
    // Structure 1.3.
    block.extend([1, 3]);
    // Digital; no size, as a projector has none; gamma 2.2; RGB colour, sRGB, the first timing is the preferred one (3.6).
    block.extend([0x80, 0, 0, 120, 0x0e]);
    block.extend(SRGB);
    // Established timings: 640x480 at 60 (3.8).
    block.extend([0x20, 0, 0]);
    // Standard timings: none (3.9).
    block.extend([1; 16]);
    let mut timings = offer.modes.iter().map(|mode| mode.timing.descriptor());
    block.extend(timings.next().unwrap_or_default());
    block.extend(timings.next().unwrap_or_default());
    block.extend(range_limits(&name.modes()));
    block.extend(product());
    block.push(1);
    close(block)
}

/// Display range limits (3.10.3.3), which structure 1.3 requires.
fn range_limits(modes: &[Mode]) -> [u8; 18] {
    let byte = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
    let hertz = || modes.iter().map(|mode| mode.timing.centihertz());
    let lines = || modes.iter().map(|mode| mode.timing.line_khz());
    let clock = modes.iter().map(|mode| u32::from(mode.timing.pixel_clock)).max().unwrap_or(0);
    let mut descriptor = [0x20; 18];
    let content = [
        0,
        0,
        0,
        0xfd,
        0,
        byte(hertz().min().unwrap_or(0) / 100),
        byte(hertz().max().unwrap_or(0).div_ceil(100)),
        byte(lines().min().unwrap_or(0)),
        byte(lines().max().unwrap_or(0) + 1),
        // 10 MHz.
        byte(clock.div_ceil(1000)),
        // No formula for further timings.
        0,
        0x0a,
    ];
    for (to, from) in descriptor.iter_mut().zip(content) {
        *to = from;
    }
    descriptor
}

/// The display product name (3.10.3.4).
fn product() -> [u8; 18] {
    let mut descriptor = [0x20; 18];
    let content = [0, 0, 0, 0xfc, 0].into_iter().chain(PRODUCT.iter().copied()).chain([0x0a]);
    for (to, from) in descriptor.iter_mut().zip(content) {
        *to = from;
    }
    descriptor
}

/// The CTA-861 extension (7.5): formats, sound, HDMI.
fn extension(name: EdidName) -> Vec<u8> {
    let offer = name.offer();
    let mut collection = Vec::new();
    // None is called native here: the first detailed timing is, and there is to be one (7.5.1).
    let vics: Vec<u8> = name.modes().iter().map(|mode| mode.vic).collect();
    cta::put(&mut collection, cta::VIDEO, &vics);
    // Linear PCM, two channels, 48 kHz, 16 bits (7.5.2).
    cta::put(&mut collection, cta::AUDIO, &[1 << 3 | 1, cta::KHZ_48, 1]);
    // Front left and front right (7.5.3).
    cta::put(&mut collection, cta::SPEAKERS, &[1, 0, 0]);
    // HDMI's OUI, physical address 1.0.0.0, nothing optional, the fastest clock (HDMI 1.4b, 8.3.2).
    let [a, b, c] = cta::HDMI;
    cta::put(&mut collection, cta::VENDOR, &[a, b, c, 0x10, 0, 0, offer.tmds_mhz / 5]);
    // The source may choose the range of values and says in its InfoFrame which it chose, so that nobody has to guess;
    // nothing is cut off at the edges (7.5.6).
    cta::put(&mut collection, cta::EXTENDED, &[0, 0xca]);
    let detailed_at = u8::try_from(collection.len() + 4).unwrap_or(u8::MAX);
    // Version 3; underscan, basic audio, YCbCr 4:4:4 and 4:2:2, one native detailed timing (7.5).
    let mut block = vec![cta::TAG, 3, detailed_at, 0xf1];
    block.extend(collection);
    close(block)
}
