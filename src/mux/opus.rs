//! Opus: its identification header (RFC 7845 §5.1), its box (Opus in ISOBMFF §4.3.2) and packet durations
//! (RFC 6716 §3.1).

use bytes::Bytes;

use super::MuxError;
use super::error::field;

/// The identification header. Only mapping family 0 (mono and stereo), which is all the box makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpusHead {
    /// 1 or 2.
    pub channels: u8,
    /// Samples at 48 kHz to drop at the start of a stream.
    pub pre_skip: u16,
    /// Rate of the original input, samples per second; for information only.
    pub input_rate: u32,
    /// Gain to apply, 1/256 dB.
    pub gain: i16,
}

const MAGIC: &[u8; 8] = b"OpusHead";

impl OpusHead {
    /// libopus's usual look-ahead at 48 kHz, for encoders that do not tell theirs.
    pub const USUAL_PRE_SKIP: u16 = 312;

    /// Parses the header.
    ///
    /// # Errors
    /// Another magic, an unknown major version, a channel mapping family other than 0, or truncation.
    pub fn parse(record: &[u8]) -> Result<Self, MuxError> {
        const WHAT: &str = "OpusHead";
        let (head, _) = record.split_first_chunk::<19>().ok_or(MuxError::Truncated { what: WHAT, at: record.len() })?;
        let &[m0, m1, m2, m3, m4, m5, m6, m7, version, channels, p0, p1, r0, r1, r2, r3, g0, g1, family] = head;
        if [m0, m1, m2, m3, m4, m5, m6, m7] != *MAGIC {
            return Err(field(WHAT, "magic", u64::from_be_bytes([m0, m1, m2, m3, m4, m5, m6, m7])));
        }
        if version > 15 {
            return Err(field(WHAT, "version", version));
        }
        if family != 0 {
            return Err(field(WHAT, "channel mapping family", family));
        }
        if !(1..=2).contains(&channels) {
            return Err(field(WHAT, "channel count", channels));
        }
        Ok(Self {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([g0, g1]),
        })
    }

    /// Builds the header: 19 bytes.
    pub fn build(self) -> Bytes {
        let mut out = Vec::with_capacity(19);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[1, self.channels]);
        out.extend_from_slice(&self.pre_skip.to_le_bytes());
        out.extend_from_slice(&self.input_rate.to_le_bytes());
        out.extend_from_slice(&self.gain.to_le_bytes());
        out.push(0);
        out.into()
    }

    /// The body of the `dOps` box: the same fields, big-endian, version 0.
    pub fn dops(self) -> [u8; 11] {
        let [p0, p1] = self.pre_skip.to_be_bytes();
        let [r0, r1, r2, r3] = self.input_rate.to_be_bytes();
        let [g0, g1] = self.gain.to_be_bytes();
        [0, self.channels, p0, p1, r0, r1, r2, r3, g0, g1, 0]
    }
}

/// Samples at 48 kHz in a packet, from its table-of-contents byte: 120–5760.
///
/// # Errors
/// An empty packet, or one longer than 120 ms.
pub fn packet_samples(packet: &[u8]) -> Result<u32, MuxError> {
    const WHAT: &str = "Opus packet";
    let &toc = packet.first().ok_or(MuxError::Truncated { what: WHAT, at: 0 })?;
    let frame = match toc >> 3 {
        config @ 0..=11 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..=15 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).ok_or(MuxError::Truncated { what: WHAT, at: 1 })? & 0x3f),
    };
    if !(1..=5760).contains(&(frame * frames)) {
        return Err(field(WHAT, "frame count", frames));
    }
    Ok(frame * frames)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_header_survives_the_trip_through_bytes() {
        let head = OpusHead { channels: 2, pre_skip: 312, input_rate: 48_000, gain: -256 };
        assert_eq!(OpusHead::parse(&head.build()), Ok(head));
        assert_eq!(head.dops(), [0, 2, 1, 56, 0, 0, 0xbb, 0x80, 0xff, 0, 0]);
    }

    #[test]
    fn durations_follow_the_table_of_contents() {
        assert_eq!(packet_samples(&[0xfc]), Ok(960)); // CELT fullband 20 ms, one frame
        assert_eq!(packet_samples(&[0x08]), Ok(960)); // SILK narrowband 20 ms
        assert_eq!(packet_samples(&[0x61]), Ok(960)); // hybrid 10 ms, two frames
        assert_eq!(packet_samples(&[0xe3, 4]), Ok(480)); // CELT 2.5 ms, four frames
        assert!(packet_samples(&[0x1b, 63]).is_err());
        assert!(packet_samples(&[]).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>) {
            let _ = OpusHead::parse(&data);
            if let Ok(samples) = packet_samples(&data) {
                prop_assert!((120..=5760).contains(&samples));
            }
        }
    }
}
