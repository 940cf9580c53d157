//! Brings whatever an encoder delivers into the form that [`Codec`] states, and finds the decoder configuration in it.

use std::ops::Range;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};

use super::aac::{AudioSpecificConfig, strip_adts};
use super::nal::{self, Framing, ParameterSets};
use super::opus::{OpusHead, packet_samples};
use super::{MuxError, av1, avc, hevc};
use crate::model::{AudioFormat, Codec, CodecConfig, TrackFormat, VideoFormat};

/// An encoder's buffer in canonical form.
#[derive(Clone, Debug)]
pub struct Canonical {
    /// The bytes, in the form [`Codec`] states. Shares the encoder's buffer unless units had to be reframed or
    /// something was taken out of the middle.
    pub payload: Bytes,
    /// A decoder can start here.
    pub key: bool,
    /// What a decoder must know; the same `Arc` until it changes.
    pub config: Arc<CodecConfig>,
    /// `config` differs from the previous unit's, or this is the first.
    pub config_changed: bool,
}

/// One encoder's output, buffer by buffer. Each buffer is one access unit.
///
/// - H.264, HEVC: Annex B until [`set_codec_data`](Self::set_codec_data) gives an `avcC` or `hvcC`, then
///   length-prefixed as it says. Parameter sets are taken from either and from the units.
/// - AV1: low-overhead OBUs, with or without `av1C`.
/// - AAC: ADTS until an AudioSpecificConfig is given, then raw.
/// - Opus: packets; `OpusHead` is made up if none is given.
#[derive(Debug)]
pub struct Canonicaliser {
    codec: Codec,
    format: TrackFormat,
    bitrate: u32,
    stream: Stream,
    config: Option<Arc<CodecConfig>>,
    /// The last unit handed out had `config`.
    announced: bool,
}

/// What is known of the bitstream so far.
#[derive(Debug)]
enum Stream {
    Nal { dialect: Dialect, framing: Framing, sets: ParameterSets, kept: Vec<Range<usize>> },
    Av1 { sequence_header: Option<Bytes> },
    Aac { raw: bool },
    Opus,
}

#[derive(Clone, Copy, Debug)]
enum Dialect {
    Avc,
    Hevc,
}

impl Canonicaliser {
    /// For an encoder of `codec`. `format` is what it was asked for; width and height in the configuration are what
    /// its parameter sets say. `bitrate` is nominal, bit/s.
    pub fn new(codec: Codec, format: TrackFormat, bitrate: u32) -> Self {
        let nal = |dialect| Stream::Nal {
            dialect,
            framing: Framing::AnnexB,
            sets: ParameterSets::default(),
            kept: Vec::new(),
        };
        let stream = match codec {
            Codec::H264 => nal(Dialect::Avc),
            Codec::Hevc => nal(Dialect::Hevc),
            Codec::Av1 => Stream::Av1 { sequence_header: None },
            Codec::Aac => Stream::Aac { raw: false },
            Codec::Opus => Stream::Opus,
        };
        Self { codec, format, bitrate, stream, config: None, announced: false }
    }

    /// Takes the decoder configuration record that came beside the stream (GStreamer's `codec_data`).
    ///
    /// # Errors
    /// A record that does not parse; the previous state is kept.
    pub fn set_codec_data(&mut self, record: &[u8]) -> Result<(), MuxError> {
        match &mut self.stream {
            Stream::Nal { dialect, framing, sets, .. } => {
                (*framing, *sets) = match dialect {
                    Dialect::Avc => avc::parse_avcc(record)?,
                    Dialect::Hevc => hevc::parse_hvcc(record)?,
                };
                // Some encoders (hev1, avc3) leave the record empty and put the sets into the stream.
                match self.nal_config() {
                    Ok(config) => self.configure(config),
                    Err(MuxError::NoConfiguration { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            Stream::Av1 { sequence_header } => {
                if let Some(payload) = av1::parse_av1c(record)? {
                    let (record, seq) = av1::build_av1c(payload)?;
                    *sequence_header = Some(Bytes::copy_from_slice(payload));
                    let config = self.video_config(record, seq.width, seq.height);
                    self.configure(config);
                }
            }
            Stream::Aac { raw } => {
                let parsed = AudioSpecificConfig::parse(record)?;
                *raw = true;
                let config =
                    self.audio_config(Bytes::copy_from_slice(record), parsed.rate, parsed.channels, parsed.samples);
                self.configure(config);
            }
            Stream::Opus => {
                let head = OpusHead::parse(record)?;
                let config = self.opus_config(head);
                self.configure(config);
            }
        }
        Ok(())
    }

    /// One access unit, as the encoder delivered it.
    ///
    /// # Errors
    /// Malformed bytes, no coded data, or no decoder configuration yet. The unit is lost; the next one may be fine.
    pub fn push(&mut self, unit: Bytes) -> Result<Canonical, MuxError> {
        let (payload, key) = match &self.stream {
            Stream::Nal { .. } => self.push_nal(&unit)?,
            Stream::Av1 { .. } => self.push_av1(&unit)?,
            Stream::Aac { .. } => (self.push_aac(unit)?, true),
            Stream::Opus => (self.push_opus(unit)?, true),
        };
        let config = self.config.clone().ok_or(MuxError::NoConfiguration { codec: self.codec })?;
        let config_changed = !std::mem::replace(&mut self.announced, true);
        Ok(Canonical { payload, key, config, config_changed })
    }

    fn push_nal(&mut self, unit: &Bytes) -> Result<(Bytes, bool), MuxError> {
        let Stream::Nal { dialect, framing, sets, kept } = &mut self.stream else {
            return Err(MuxError::Empty { codec: self.codec });
        };
        let (mut key, mut picture, mut changed) = (false, false, false);
        kept.clear();
        for range in nal::ranges(unit, *framing) {
            let range = range?;
            let nal = unit.get(range.clone()).unwrap_or_default();
            let first = nal.first().copied().unwrap_or_default();
            let (is_key, is_picture, stripped, set) = match dialect {
                Dialect::Avc => {
                    let t = avc::unit_type(first);
                    let set = match t {
                        avc::SPS => Some((t, avc::parse_sps(nal)?.id)),
                        avc::PPS => Some((t, avc::parse_pps_id(nal)?)),
                        _ => None,
                    };
                    (avc::is_key(t), avc::is_picture(t), avc::is_stripped(t), set)
                }
                Dialect::Hevc => {
                    let t = hevc::unit_type(first);
                    (hevc::is_key(t), hevc::is_picture(t), hevc::is_stripped(t), hevc::parse_set_id(nal)?)
                }
            };
            if let Some((kind, id)) = set {
                changed |= sets.insert(kind, id, nal)?;
            }
            key |= is_key;
            picture |= is_picture;
            if !stripped {
                kept.push(range);
            }
        }
        if !picture {
            return Err(MuxError::Empty { codec: self.codec });
        }
        let payload = frame(unit, kept, *framing);
        if changed || self.config.is_none() {
            let config = self.nal_config()?;
            self.configure(config);
        }
        Ok((payload, key))
    }

    fn push_av1(&mut self, unit: &Bytes) -> Result<(Bytes, bool), MuxError> {
        let parts = av1::split(unit)?;
        if !parts.has_frame {
            return Err(MuxError::Empty { codec: self.codec });
        }
        if let (Some(seen), Stream::Av1 { sequence_header }) = (parts.sequence_header, &mut self.stream)
            && sequence_header.as_ref() != Some(&seen)
        {
            let (record, seq) = av1::build_av1c(&seen)?;
            *sequence_header = Some(Bytes::copy_from_slice(&seen));
            let config = self.video_config(record, seq.width, seq.height);
            self.configure(config);
        }
        Ok((parts.payload, parts.key))
    }

    fn push_aac(&mut self, unit: Bytes) -> Result<Bytes, MuxError> {
        let raw = matches!(self.stream, Stream::Aac { raw: true });
        let payload = if raw {
            unit
        } else {
            let (adts, payload) = strip_adts(&unit)?;
            let config = self.audio_config(adts.build(), adts.rate, adts.channels, adts.samples);
            self.configure(config);
            payload
        };
        if payload.is_empty() { Err(MuxError::Empty { codec: self.codec }) } else { Ok(payload) }
    }

    fn push_opus(&mut self, unit: Bytes) -> Result<Bytes, MuxError> {
        packet_samples(&unit)?;
        if self.config.is_none() {
            let (input_rate, channels) = match self.format {
                TrackFormat::Audio(audio) => (audio.rate, audio.channels),
                TrackFormat::Video(_) => (48_000, 2),
            };
            let head = OpusHead { channels, pre_skip: OpusHead::USUAL_PRE_SKIP, input_rate, gain: 0 };
            let config = self.opus_config(head);
            self.configure(config);
        }
        Ok(unit)
    }

    fn configure(&mut self, config: CodecConfig) {
        if self.config.as_deref() != Some(&config) {
            self.config = Some(Arc::new(config));
            self.announced = false;
        }
    }

    fn nal_config(&self) -> Result<CodecConfig, MuxError> {
        let Stream::Nal { dialect, sets, .. } = &self.stream else {
            return Err(MuxError::NoConfiguration { codec: self.codec });
        };
        let (record, width, height) = match dialect {
            Dialect::Avc => avc::build_avcc(sets).map(|(record, sps)| (record, sps.width, sps.height))?,
            Dialect::Hevc => hevc::build_hvcc(sets).map(|(record, sps)| (record, sps.width, sps.height))?,
        };
        Ok(self.video_config(record, width, height))
    }

    fn video_config(&self, record: Bytes, width: u32, height: u32) -> CodecConfig {
        let format = match self.format {
            TrackFormat::Video(asked) => TrackFormat::Video(VideoFormat { width, height, ..asked }),
            audio @ TrackFormat::Audio(_) => audio,
        };
        CodecConfig { codec: self.codec, record, format, bitrate: self.bitrate }
    }

    fn audio_config(&self, record: Bytes, rate: u32, channels: u8, samples: u32) -> CodecConfig {
        let format = TrackFormat::Audio(AudioFormat { rate, channels, samples });
        CodecConfig { codec: self.codec, record, format, bitrate: self.bitrate }
    }

    fn opus_config(&self, head: OpusHead) -> CodecConfig {
        let samples = match self.format {
            TrackFormat::Audio(audio) => audio.samples,
            TrackFormat::Video(_) => 960,
        };
        self.audio_config(head.build(), 48_000, head.channels, samples)
    }
}

/// `kept` units of `unit` with 4-byte lengths: a slice of `unit` where that is what stands there already, else a copy.
fn frame(unit: &Bytes, kept: &[Range<usize>], framing: Framing) -> Bytes {
    let in_a_row = kept.windows(2).all(|w| w[0].end + 4 == w[1].start);
    if let (Framing::Lengths(4), true, Some(first), Some(last)) = (framing, in_a_row, kept.first(), kept.last()) {
        // A four-byte length stands before every unit, the first included.
        return unit.slice(first.start.saturating_sub(4)..last.end);
    }
    let mut out = BytesMut::with_capacity(kept.iter().map(|range| range.len() + 4).sum());
    for range in kept {
        out.put_u32(range.len() as u32);
        out.put_slice(unit.get(range.clone()).unwrap_or_default());
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;
    use crate::mux::fixtures::{AUDIO, VIDEO, buffers, canonical};

    const CODECS: [Codec; 5] = [Codec::H264, Codec::Hevc, Codec::Av1, Codec::Aac, Codec::Opus];

    fn shape(codec: Codec) -> Canonicaliser {
        Canonicaliser::new(codec, if codec.is_video() { VIDEO } else { AUDIO }, 60_000)
    }

    /// The fixture with 4-byte lengths in place of start codes, parameter sets and all.
    fn length_prefixed(codec: Codec) -> Vec<Bytes> {
        let reframe = |unit: Bytes| {
            let all: Vec<_> = nal::ranges(&unit, Framing::AnnexB).map(Result::unwrap).collect();
            frame(&unit, &all, Framing::AnnexB)
        };
        buffers(codec).into_iter().map(reframe).collect()
    }

    #[test]
    fn every_codec_has_its_keyframes_where_the_encoder_put_them_and_one_configuration() {
        for codec in CODECS {
            let units = canonical(codec);
            let keys: Vec<bool> = units.iter().map(|unit| unit.key).collect();
            if codec.is_video() {
                assert_eq!(keys, [true, false, false, false, true, false, false, false], "{codec:?}");
                assert_eq!(units[0].config.format, VIDEO, "{codec:?}");
            } else {
                assert!(keys.len() >= 6 && keys.iter().all(|key| *key), "{codec:?}");
            }
            let changed: Vec<usize> = (0..units.len()).filter(|i| units[*i].config_changed).collect();
            assert_eq!(changed, [0], "{codec:?}");
            assert!(units.iter().all(|unit| Arc::ptr_eq(&unit.config, &units[0].config)), "{codec:?}");
        }
    }

    #[test]
    fn annex_b_and_length_prefixed_buffers_come_out_the_same() {
        for codec in [Codec::H264, Codec::Hevc] {
            let expected = canonical(codec);
            let mut shape = shape(codec);
            shape.set_codec_data(&expected[0].config.record).unwrap();
            for (unit, expected) in length_prefixed(codec).into_iter().zip(&expected) {
                let got = shape.push(unit).unwrap();
                assert_eq!((&got.payload, got.key, &got.config), (&expected.payload, expected.key, &expected.config));
            }
        }
    }

    #[test]
    fn a_length_prefixed_picture_behind_its_parameter_sets_is_not_copied() {
        for codec in [Codec::H264, Codec::Hevc] {
            let record = canonical(codec)[0].config.record.clone();
            let mut shape = shape(codec);
            shape.set_codec_data(&record).unwrap();
            for unit in length_prefixed(codec) {
                let got = shape.push(unit.clone()).unwrap().payload;
                assert_eq!(got.as_ptr_range().end, unit.as_ptr_range().end, "{codec:?}: a slice of the same buffer");
            }
        }
    }

    #[test]
    fn nothing_but_pictures_and_their_messages_is_left_in_a_unit() {
        for unit in canonical(Codec::H264) {
            for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
                let kind = avc::unit_type(unit.payload[range.unwrap().start]);
                assert!(!avc::is_stripped(kind), "nal_unit_type {kind}");
            }
        }
        for unit in canonical(Codec::Hevc) {
            for range in nal::ranges(&unit.payload, Framing::Lengths(4)) {
                let kind = hevc::unit_type(unit.payload[range.unwrap().start]);
                assert!(!hevc::is_stripped(kind), "nal_unit_type {kind}");
            }
        }
    }

    #[test]
    fn a_filler_between_slices_is_taken_out_at_the_price_of_a_copy() {
        let mut shape = shape(Codec::H264);
        shape.set_codec_data(&canonical(Codec::H264)[0].config.record).unwrap();
        let unit = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1, 0, 0, 0, 2, 0x0c, 0xff, 0, 0, 0, 2, 0x65, 2]);
        let got = shape.push(unit).unwrap();
        assert_eq!(&got.payload[..], [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 2, 0x65, 2]);
    }

    #[test]
    fn another_parameter_set_in_the_stream_is_another_configuration() {
        let mut shape = shape(Codec::H264);
        let units = buffers(Codec::H264);
        let first = shape.push(units[0].clone()).unwrap();
        let mut other = vec![0, 0, 1, 0x68, 0xff, 0xee];
        other.extend_from_slice(&units[1]);
        let second = shape.push(other.into()).unwrap();
        assert!(second.config_changed);
        assert_ne!(first.config.record, second.config.record);
        assert!(!shape.push(units[2].clone()).unwrap().config_changed);
    }

    #[test]
    fn a_unit_before_its_configuration_is_refused_and_the_stream_goes_on_after_it() {
        for codec in [Codec::H264, Codec::Hevc, Codec::Av1] {
            let mut shape = shape(codec);
            let units = buffers(codec);
            assert_eq!(shape.push(units[1].clone()).unwrap_err(), MuxError::NoConfiguration { codec });
            assert!(shape.push(units[0].clone()).unwrap().config_changed);
        }
    }

    #[test]
    fn raw_aac_is_passed_on_once_its_configuration_is_known() {
        let mut shape = shape(Codec::Aac);
        shape.set_codec_data(&[0x11, 0x90, 0x56, 0xe5, 0x00]).unwrap();
        let unit = Bytes::from_static(&[0x21, 0x10]);
        let got = shape.push(unit.clone()).unwrap();
        assert_eq!((got.payload.as_ptr(), got.config.format), (unit.as_ptr(), AUDIO));
        assert_eq!(shape.push(Bytes::new()).unwrap_err(), MuxError::Empty { codec: Codec::Aac });
    }

    proptest! {
        #[test]
        fn any_buffers_are_shaped_or_refused_within_bounds(
            codec in prop::sample::select(&CODECS[..]),
            record in prop::option::of(prop::collection::vec(any::<u8>(), 0..64)),
            units in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4),
        ) {
            let mut shape = shape(codec);
            if let Some(record) = record {
                let _ = shape.set_codec_data(&record);
            }
            for unit in units {
                let length = unit.len();
                if let Ok(got) = shape.push(unit.into()) {
                    prop_assert!(got.payload.len() <= 8 + 9 * length);
                }
            }
        }

        #[test]
        fn a_damaged_real_buffer_is_shaped_or_refused(
            codec in prop::sample::select(&CODECS[..]), at: usize, to: u8, cut: usize,
        ) {
            let mut shape = shape(codec);
            for unit in buffers(codec) {
                let mut unit = unit.to_vec();
                let (at, cut) = (at % unit.len(), cut % (2 * unit.len()));
                unit[at] = to;
                unit.truncate(cut);
                let _ = shape.push(unit.into());
            }
        }
    }
}
