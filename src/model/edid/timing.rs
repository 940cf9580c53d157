//! Detailed timings (E-EDID 3.10.2), and the formats of CTA-861 (section 4) that a source may send.

/// A picture and the blank around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// 10 kHz.
    pub pixel_clock: u16,
    /// Active pixels, and the blank ones after them.
    pub across: (u16, u16),
    /// Active lines, and the blank ones after them.
    pub down: (u16, u16),
    /// Pixels from the picture to the sync, and of the sync.
    pub horizontal_sync: (u16, u16),
    /// Lines from the picture to the sync, and of the sync.
    pub vertical_sync: (u16, u16),
}

/// One format, with its number in CTA-861 (Video Identification Code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Its number.
    pub vic: u8,
    /// What it is called.
    pub name: &'static str,
    /// Its timing (tables 1 and 2).
    pub timing: Timing,
}

const fn mode(
    vic: u8,
    name: &'static str,
    pixel_clock: u16,
    across: (u16, u16),
    down: (u16, u16),
    horizontal_sync: (u16, u16),
    vertical_sync: (u16, u16),
) -> Mode {
    Mode { vic, name, timing: Timing { pixel_clock, across, down, horizontal_sync, vertical_sync } }
}

/// 640x480 at 60 frames a second: each display has to take it (6.2).
pub(super) const VGA: Mode = mode(1, "640x480p60", 2518, (640, 160), (480, 45), (16, 96), (10, 2));
/// Standard definition, which a display that takes HD at 60 or 50 has to take too (HDMI 1.4b, 6.2.3).
pub(super) const SD: [Mode; 2] = [
    mode(3, "720x480p60", 2700, (720, 138), (480, 45), (16, 62), (9, 6)),
    mode(18, "720x576p50", 2700, (720, 144), (576, 49), (12, 64), (5, 5)),
];
pub(super) const P720_60: Mode = mode(4, "1280x720p60", 7425, (1280, 370), (720, 30), (110, 40), (5, 5));
pub(super) const P720_50: Mode = mode(19, "1280x720p50", 7425, (1280, 700), (720, 30), (440, 40), (5, 5));
pub(super) const P1080_24: Mode = mode(32, "1920x1080p24", 7425, (1920, 830), (1080, 45), (638, 44), (4, 5));
pub(super) const P1080_25: Mode = mode(33, "1920x1080p25", 7425, (1920, 720), (1080, 45), (528, 44), (4, 5));
pub(super) const P1080_30: Mode = mode(34, "1920x1080p30", 7425, (1920, 280), (1080, 45), (88, 44), (4, 5));
pub(super) const P1080_50: Mode = mode(31, "1920x1080p50", 14850, (1920, 720), (1080, 45), (528, 44), (4, 5));
pub(super) const P1080_60: Mode = mode(16, "1920x1080p60", 14850, (1920, 280), (1080, 45), (88, 44), (4, 5));

/// Digital separate sync, both polarities positive, as all HD formats have it.
const SYNC: u8 = 0x1e;

impl Timing {
    /// Pictures in a second, in hundredths.
    pub fn centihertz(&self) -> u32 {
        let total = u64::from(self.across.0 + self.across.1) * u64::from(self.down.0 + self.down.1);
        let hundredths = (u64::from(self.pixel_clock) * 1_000_000).checked_div(total).unwrap_or(0);
        u32::try_from(hundredths).unwrap_or(u32::MAX)
    }

    /// Lines in a second, kHz, rounded down.
    pub fn line_khz(&self) -> u32 {
        (u32::from(self.pixel_clock) * 10).checked_div(u32::from(self.across.0 + self.across.1)).unwrap_or(0)
    }

    /// The 18 bytes of a detailed timing descriptor. Image size 0: it is not known (3.10.2, note).
    pub(super) fn descriptor(&self) -> [u8; 18] {
        let [clock_low, clock_high] = self.pixel_clock.to_le_bytes();
        let low = |value: u16| value.to_le_bytes()[0];
        // The upper nibbles of two 12-bit values share a byte.
        let high = |pair: (u16, u16)| (((pair.0 >> 8) & 0xf) << 4 | (pair.1 >> 8) & 0xf).to_le_bytes()[0];
        let (h, v) = (self.horizontal_sync, self.vertical_sync);
        [
            clock_low,
            clock_high,
            low(self.across.0),
            low(self.across.1),
            high(self.across),
            low(self.down.0),
            low(self.down.1),
            high(self.down),
            low(h.0),
            low(h.1),
            low((v.0 & 0xf) << 4 | v.1 & 0xf),
            low((h.0 >> 8 & 3) << 6 | (h.1 >> 8 & 3) << 4 | (v.0 >> 4 & 3) << 2 | v.1 >> 4 & 3),
            0,
            0,
            0,
            0,
            0,
            SYNC,
        ]
    }

    /// A descriptor read; `None` if it describes something else.
    pub(super) fn parse(descriptor: &[u8]) -> Option<Self> {
        let at = |n: usize| descriptor.get(n).copied().map(u16::from);
        let pixel_clock = u16::from_le_bytes([*descriptor.first()?, *descriptor.get(1)?]);
        if pixel_clock == 0 {
            return None;
        }
        let pair = |low: usize, high: u16| Some((at(low)? | (high & 0xf0) << 4, at(low + 1)? | (high & 0xf) << 8));
        let (lines, more) = (at(10)?, at(11)?);
        Some(Self {
            pixel_clock,
            across: pair(2, at(4)?)?,
            down: pair(5, at(7)?)?,
            horizontal_sync: (at(8)? | (more & 0xc0) << 2, at(9)? | (more & 0x30) << 4),
            vertical_sync: (lines >> 4 | (more & 0xc) << 2, lines & 0xf | (more & 3) << 4),
        })
    }
}
