//! EDID: what a receiver tells a source that it can show, so that the source sends something it can take.
//!
//! A block is 128 bytes whose sum is a multiple of 256. What is made here has two: the base block of VESA E-EDID (release A
//! revision 2, structure 1.3) and a CTA-861 extension of version 3. Section numbers below are those of VESA's *E-EDID
//! Standard*, release A revision 2, and of CTA-861-G.
//!
//! ```text
//!   EdidName ── build ──► Edid ── capture ──► receiver
//!                          ▲                      │
//!                          └── parse: every fault ┘
//! ```

mod build;
mod cta;
mod fault;
#[cfg(test)]
mod tests;
mod timing;

use std::fmt;

pub use fault::EdidFault;
pub use timing::{Mode, Timing};

/// Bytes of a block (3).
pub const BLOCK: usize = 128;
/// Most blocks that are looked at; what is larger is a display's with many extensions, and no receiver's.
const MOST_BLOCKS: usize = 8;
/// The eight bytes an EDID begins with (3.3).
const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];

/// The EDIDs that Holdfast makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EdidName {
    /// Up to 1920x1080 at 60 frames a second.
    Hd1080p60,
    /// Up to 1920x1080 at 30 frames a second, and 1280x720 at 60: for receivers whose lanes bear no more.
    Hd1080p30,
    /// Up to 1280x720 at 60 frames a second.
    Hd720p60,
}

impl EdidName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Hd1080p60, Self::Hd1080p30, Self::Hd720p60];

    /// What a hardware profile calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hd1080p60 => "hd-1080p60",
            Self::Hd1080p30 => "hd-1080p30",
            Self::Hd720p60 => "hd-720p60",
        }
    }

    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|edid| edid.as_str() == name)
    }

    /// Its bytes.
    pub fn edid(self) -> Edid {
        Edid(build::build(self))
    }
}

impl fmt::Display for EdidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One or more blocks that keep the rules.
#[derive(Clone, PartialEq, Eq)]
pub struct Edid(Vec<u8>);

impl fmt::Debug for Edid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Edid({} bytes)", self.0.len())
    }
}

/// What an EDID says, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The display's name.
    pub product: Option<String>,
    /// What the source should send.
    pub preferred: Option<Timing>,
    /// CTA-861's numbers of the formats that it may send.
    pub vics: Vec<u8>,
    /// The fastest TMDS clock, MHz; `None` where it does not say that it is HDMI.
    pub tmds_mhz: Option<u32>,
    /// Whether the source may send uncompressed sound in two channels at 48 kHz.
    pub stereo_48k: bool,
    /// HDMI's physical address, `1.0.0.0` as `0x1000`.
    pub address: Option<u16>,
}

/// How two EDIDs compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Byte for byte.
    Same,
    /// But for HDMI's physical address, which drivers put in by themselves, and the sum that goes with it.
    OtherAddress,
    /// Something else is different too.
    Different {
        /// The first such byte, counted from 0.
        at: usize,
    },
}

impl Edid {
    /// Takes `bytes` if they keep the rules.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<EdidFault>> {
        let faults = fault::find(bytes);
        if faults.is_empty() { Ok(Self(bytes.to_vec())) } else { Err(faults) }
    }

    /// The bytes, a multiple of [`BLOCK`].
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Blocks in it, 1–8.
    pub fn blocks(&self) -> u32 {
        u32::try_from(self.0.len() / BLOCK).unwrap_or(u32::MAX)
    }

    /// What it says.
    pub fn contents(&self) -> Contents {
        let mut contents = Contents {
            product: self.product(),
            preferred: self.0.get(54..72).and_then(Timing::parse),
            vics: Vec::new(),
            tmds_mhz: None,
            stereo_48k: false,
            address: None,
        };
        for block in self.0.chunks_exact(BLOCK).skip(1) {
            cta::read(block, &mut contents);
        }
        contents
    }

    /// The display product name (3.10.3.4): 13 bytes that end at a line feed.
    fn product(&self) -> Option<String> {
        let descriptors = (54..126).step_by(18).filter_map(|at| self.0.get(at..at + 18));
        let name = descriptors.into_iter().find(|d| d.starts_with(&[0, 0, 0, 0xfc, 0]))?.get(5..)?;
        let text: String = name.iter().take_while(|b| **b != 0x0a).map(|b| char::from(*b)).collect();
        Some(text.trim_end().to_owned())
    }

    /// How it compares with what a driver gives back.
    pub fn compare(&self, other: &Self) -> Agreement {
        if self == other {
            return Agreement::Same;
        }
        let own = cta::address_at(&self.0);
        let may_differ =
            |at: usize| own.is_some_and(|address| at == address || at == address + 1 || at % BLOCK == BLOCK - 1);
        let length = self.0.len().max(other.0.len());
        let differs = |at: &usize| self.0.get(*at) != other.0.get(*at) && !may_differ(*at);
        match (0..length).find(differs) {
            Some(at) => Agreement::Different { at },
            None => Agreement::OtherAddress,
        }
    }
}

/// The byte that makes the sum of a block a multiple of 256.
fn checksum(block: &[u8]) -> u8 {
    block.iter().take(BLOCK - 1).fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}
