//! AAC (ISO/IEC 14496-3): AudioSpecificConfig and ADTS.

use bytes::Bytes;

use super::MuxError;
use super::bits::Bits;
use super::error::field;

const RATES: [u32; 13] =
    [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];

/// What a muxer wants from AudioSpecificConfig (§1.6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// `audioObjectType`; 2 is AAC-LC.
    pub object_type: u8,
    /// Samples per second.
    pub rate: u32,
    /// `channelConfiguration`, 1–7; 0 means that a program config element says it.
    pub channels: u8,
    /// 1024, or 960 with `frameLengthFlag`.
    pub samples: u32,
}

impl AudioSpecificConfig {
    /// AAC-LC with 1024 samples per access unit.
    pub const fn lc(rate: u32, channels: u8) -> Self {
        Self { object_type: 2, rate, channels, samples: 1024 }
    }

    /// Parses the record.
    ///
    /// # Errors
    /// Truncated data or reserved values.
    pub fn parse(record: &[u8]) -> Result<Self, MuxError> {
        const WHAT: &str = "AudioSpecificConfig";
        let mut bits = Bits::plain(WHAT, record);
        let mut object_type = bits.u(5)? as u8;
        if object_type == 31 {
            object_type = 32 + bits.u(6)? as u8;
        }
        let index = bits.u(4)?;
        let rate = match (index, RATES.get(index as usize)) {
            (_, Some(rate)) => *rate,
            (15, None) => bits.u(24)?,
            _ => return Err(field(WHAT, "samplingFrequencyIndex", index)),
        };
        let channels = bits.u(4)? as u8;
        if rate == 0 || channels > 7 {
            return Err(field(WHAT, "channelConfiguration or samplingFrequency", channels));
        }
        let samples = if object_type == 2 && bits.flag()? { 960 } else { 1024 };
        Ok(Self { object_type, rate, channels, samples })
    }

    /// Builds the record of an AAC-LC stream: 2 bytes, or 5 at a rate that has no index.
    pub fn build(self) -> Bytes {
        let mut bits = u64::from(self.object_type & 31);
        let mut length = 5usize;
        match RATES.iter().position(|rate| *rate == self.rate) {
            Some(index) => {
                bits = bits << 4 | index as u64;
                length += 4;
            }
            None => {
                bits = bits << 28 | 15 << 24 | u64::from(self.rate & 0xff_ffff);
                length += 28;
            }
        }
        bits = bits << 7 | u64::from(self.channels & 15) << 3 | if self.samples == 960 { 4 } else { 0 };
        length += 7;
        let bytes = (bits << (64 - length)).to_be_bytes();
        Bytes::copy_from_slice(bytes.get(..length.div_ceil(8)).unwrap_or_default())
    }
}

/// Bytes of an ADTS header without a checksum.
pub const ADTS_HEADER: usize = 7;

/// The ADTS header (§1.A.2.2) for a raw access unit of `length` bytes. ADTS has no word for SBR and PS, which decoders
/// find by themselves, nor for 960 samples per access unit.
///
/// # Errors
/// An object type, sample rate or number of channels that ADTS cannot say, or a unit above 8184 bytes.
pub fn adts_header(config: AudioSpecificConfig, length: usize) -> Result<[u8; ADTS_HEADER], MuxError> {
    const WHAT: &str = "ADTS header";
    const MAX: usize = (1 << 13) - 1 - ADTS_HEADER;
    let profile = match config.object_type {
        1..=4 => config.object_type - 1,
        5 | 29 => 1,
        other => return Err(field(WHAT, "audioObjectType", other)),
    };
    let index = RATES.iter().position(|rate| *rate == config.rate);
    let index = index.ok_or_else(|| field(WHAT, "sampling frequency", config.rate))? as u8;
    if !(1..=7).contains(&config.channels) {
        return Err(field(WHAT, "channelConfiguration", config.channels));
    }
    if length > MAX {
        return Err(MuxError::TooLarge { what: "an AAC access unit", length, max: MAX });
    }
    let whole = (length + ADTS_HEADER) as u16;
    Ok([
        0xff,
        0xf1, // MPEG-4, no checksum
        profile << 6 | index << 2 | config.channels >> 2,
        config.channels << 6 | (whole >> 11) as u8,
        (whole >> 3) as u8,
        (whole << 5) as u8 | 0x1f, // buffer fullness: variable rate
        0xfc,
    ])
}

/// Bytes of the ADTS frame that `data` begins with, 7–8191. `None` if it does not begin with one, or with too little of
/// it to tell.
pub fn adts_length(data: &[u8]) -> Option<usize> {
    let &[sync, flags, _, high, middle, low, _] = data.first_chunk::<ADTS_HEADER>()?;
    let length = usize::from(high & 3) << 11 | usize::from(middle) << 3 | usize::from(low) >> 5;
    (sync == 0xff && flags & 0xf6 == 0xf0 && length >= ADTS_HEADER).then_some(length)
}

/// Takes the ADTS header (§1.A.2.2) off a frame: what it says and the raw access unit, which shares `frame`'s bytes.
///
/// # Errors
/// No sync word, reserved values, a length that is not the buffer's, or more than one access unit in the frame.
pub fn strip_adts(frame: &Bytes) -> Result<(AudioSpecificConfig, Bytes), MuxError> {
    const WHAT: &str = "ADTS frame";
    let mut bits = Bits::plain(WHAT, frame);
    let sync = bits.u(12)?;
    if sync != 0xfff {
        return Err(field(WHAT, "syncword", sync));
    }
    bits.skip(1)?; // ID
    let layer = bits.u(2)?;
    if layer != 0 {
        return Err(field(WHAT, "layer", layer));
    }
    let header = if bits.flag()? { 7 } else { 9 }; // protection_absent
    let object_type = bits.u(2)? as u8 + 1;
    let index = bits.u(4)?;
    let &rate = RATES.get(index as usize).ok_or_else(|| field(WHAT, "sampling_frequency_index", index))?;
    bits.skip(1)?;
    let channels = bits.u(3)? as u8;
    bits.skip(4)?;
    let length = bits.u(13)? as usize;
    bits.skip(11)?;
    let more = bits.u(2)?;
    if more != 0 {
        return Err(field(WHAT, "number_of_raw_data_blocks_in_frame", more));
    }
    if length != frame.len() || length < header {
        return Err(field(WHAT, "aac_frame_length", length as u64));
    }
    Ok((AudioSpecificConfig { object_type, rate, channels, samples: 1024 }, frame.slice(header..)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_record_is_the_two_bytes_everybody_sends() {
        assert_eq!(&AudioSpecificConfig::lc(48_000, 2).build()[..], [0x11, 0x90]);
        assert_eq!(&AudioSpecificConfig::lc(44_100, 1).build()[..], [0x12, 0x08]);
    }

    #[test]
    fn records_survive_the_trip_through_bytes() {
        for config in [
            AudioSpecificConfig::lc(7350, 7),
            AudioSpecificConfig::lc(50_000, 2),
            AudioSpecificConfig { samples: 960, ..AudioSpecificConfig::lc(48_000, 2) },
        ] {
            assert_eq!(AudioSpecificConfig::parse(&config.build()), Ok(config));
        }
    }

    #[test]
    fn the_backward_compatible_sbr_signal_after_the_record_is_left_alone() {
        let parsed = AudioSpecificConfig::parse(&[0x11, 0x90, 0x56, 0xe5, 0x00]);
        assert_eq!(parsed, Ok(AudioSpecificConfig::lc(48_000, 2)));
    }

    #[test]
    fn an_adts_frame_gives_its_access_unit_without_a_copy() {
        // AAC-LC, 48 kHz, stereo, 7-byte header, 3 bytes of payload.
        let frame = Bytes::from_static(&[0xff, 0xf1, 0x4c, 0x80, 0x01, 0x5f, 0xfc, 1, 2, 3]);
        let (config, unit) = strip_adts(&frame).unwrap();
        assert_eq!(config, AudioSpecificConfig::lc(48_000, 2));
        assert_eq!((unit.as_ptr(), unit.len()), (frame[7..].as_ptr(), 3));
    }

    #[test]
    fn a_frame_of_another_length_than_it_says_is_refused() {
        let frame = Bytes::from_static(&[0xff, 0xf1, 0x4c, 0x80, 0x01, 0x5f, 0xfc, 1, 2]);
        assert!(matches!(strip_adts(&frame), Err(MuxError::Field { field: "aac_frame_length", value: 10, .. })));
    }

    #[test]
    fn a_header_that_was_put_on_comes_off_again() {
        for (rate, channels, length) in [(48_000, 2, 1), (44_100, 1, 371), (7350, 7, 8184)] {
            let config = AudioSpecificConfig::lc(rate, channels);
            let mut frame = adts_header(config, length).unwrap().to_vec();
            frame.resize(ADTS_HEADER + length, 0x21);
            assert_eq!(adts_length(&frame), Some(frame.len()));
            let (read, unit) = strip_adts(&frame.into()).unwrap();
            assert_eq!((read, unit.len()), (config, length));
        }
    }

    #[test]
    fn what_adts_cannot_say_is_refused() {
        let lc = AudioSpecificConfig::lc(48_000, 2);
        assert!(adts_header(lc, 8185).is_err());
        assert!(adts_header(AudioSpecificConfig { channels: 0, ..lc }, 1).is_err());
        assert!(adts_header(AudioSpecificConfig { rate: 50_000, ..lc }, 1).is_err());
        assert!(adts_header(AudioSpecificConfig { object_type: 42, ..lc }, 1).is_err());
        assert_eq!(adts_length(&[0xff, 0xf1, 0x4c, 0x80, 0, 0, 0xfc]), None, "shorter than its header");
        assert_eq!(adts_length(&[0xff, 0xe1, 0x4c, 0x80, 1, 0x5f, 0xfc]), None, "no sync word");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(data: Vec<u8>) {
            let _ = AudioSpecificConfig::parse(&data);
            let _ = adts_length(&data);
            let data = Bytes::from(data);
            if let Ok((_, unit)) = strip_adts(&data) {
                prop_assert!(unit.len() + 7 <= data.len());
            }
        }
    }
}
