//! FLV tag bodies from somewhere, back into access units: of one publisher, one picture and one sound.
//!
//! ```text
//!   tag ─tag─► codec, record or frame ─time─► Media ─pace─► rate known? ─canonical─► AccessUnit
//! ```
//!
//! Legacy tags carry H.264 and AAC, enhanced ones those and HEVC, AV1 and Opus by FourCC. Of a publisher that sends
//! several tracks the first of each kind is taken. What is not taken is said with its reason, [`LeftOut`].

mod left_out;
mod pace;
mod tag;
mod time;

use std::time::Instant;

use bytes::Bytes;

use self::pace::Pace;
use self::tag::{Offset, Tag};
use self::time::{Follows, Unwrap};
use super::TagKind;
use crate::model::{
    AccessUnit, AudioFormat, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat,
};
use crate::mux::MuxError;
use crate::mux::canonical::{Canonical, Canonicaliser};
use crate::mux::opus::packet_samples;

pub use self::left_out::{Foreign, LeftOut};
pub use self::pace::rate_of;

/// What units are labelled with.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where they come from.
    pub input: InputId,
    /// Which encode they are.
    pub rendition: RenditionId,
}

/// What a publisher says of its stream in `onMetaData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Pictures a second. Believed where the first pictures do not say otherwise.
    pub rate: Option<FrameRate>,
    /// Nominal bit rate of the picture, bit/s; 0 if it does not say.
    pub video_bitrate: u32,
    /// Nominal bit rate of the sound, bit/s; 0 if it does not say.
    pub audio_bitrate: u32,
}

/// What comes out, in order.
#[derive(Clone, Debug)]
pub enum Output {
    /// An access unit. Its times are the tags', and go on over the wrap of their 32 bits.
    Unit(AccessUnit),
    /// The publisher's clock started anew: times from here on are not comparable with those before.
    TimeBase,
    /// A tag that is not passed on.
    LeftOut(LeftOut),
}

/// One publisher's tags being read: [`push`](Self::push) each as it comes.
///
/// Holds at most the first four pictures, which wait until their rate is known, and one decoder configuration a track.
#[derive(Debug)]
pub struct Reader {
    source: Source,
    announced: Announced,
    unwrap: Unwrap,
    picture: Option<Picture>,
    sound: Option<Sound>,
}

#[derive(Debug)]
struct Picture {
    codec: Codec,
    record: Option<Bytes>,
    pace: Pace,
    shape: Option<(FrameRate, Canonicaliser)>,
    waiting: Vec<Frame>,
}

#[derive(Debug)]
struct Sound {
    codec: Codec,
    record: Option<Bytes>,
    shape: Option<Canonicaliser>,
}

#[derive(Debug)]
struct Frame {
    pts: Media,
    dts: Media,
    data: Bytes,
}

impl Reader {
    /// At a publisher's first tag.
    pub fn new(source: Source) -> Self {
        Self { source, announced: Announced::default(), unwrap: Unwrap::default(), picture: None, sound: None }
    }

    /// The publisher described its stream.
    pub const fn announce(&mut self, announced: Announced) {
        self.announced = announced;
    }

    /// Takes the body of one tag, which came at `now`.
    pub fn push(&mut self, kind: TagKind, timestamp_ms: u32, body: Bytes, now: Instant, mut each: impl FnMut(Output)) {
        // An empty one is sent by some to say that there is nothing just now.
        if body.is_empty() {
            return;
        }
        let read = match kind {
            TagKind::Video => tag::video(body),
            TagKind::Audio => tag::audio(body),
            TagKind::Data => return,
        };
        match read {
            Err(left_out) => each(Output::LeftOut(left_out)),
            Ok(Tag::Nothing) => {}
            Ok(Tag::Start { codec, record }) => self.start(codec, record, &mut each),
            Ok(Tag::Coded { codec, offset, data }) => {
                let track = track_of(codec);
                let (dts, follows) = self.unwrap.stamp(track, timestamp_ms, now);
                if follows == Follows::No {
                    self.settle(&mut each);
                    if let Some(picture) = &mut self.picture {
                        picture.pace.restart();
                    }
                    each(Output::TimeBase);
                }
                self.coded(codec, frame(dts, offset, data), &mut each);
            }
        }
    }

    /// Brings out what waits for more: none will come.
    pub fn flush(&mut self, mut each: impl FnMut(Output)) {
        self.settle(&mut each);
    }

    fn start(&mut self, codec: Codec, record: Bytes, each: &mut impl FnMut(Output)) {
        match track_of(codec) {
            Track::Video => {
                let same =
                    self.picture.as_ref().is_some_and(|p| p.codec == codec && p.record.as_ref() == Some(&record));
                // Many repeat it before every keyframe.
                if same {
                    return;
                }
                self.settle(each);
                // Its rate stays what it is, if it is the same encoder.
                let pace = self.picture.take().filter(|p| p.codec == codec).map(|p| p.pace).unwrap_or_default();
                let record = Some(record);
                self.picture = Some(Picture { codec, record, pace, shape: None, waiting: Vec::new() });
            }
            Track::Audio => {
                let same = self.sound.as_ref().is_some_and(|s| s.codec == codec && s.record.as_ref() == Some(&record));
                if !same {
                    self.sound = Some(Sound { codec, record: Some(record), shape: None });
                }
            }
        }
    }

    fn coded(&mut self, codec: Codec, frame: Frame, each: &mut impl FnMut(Output)) {
        match track_of(codec) {
            Track::Video => {
                if self.picture.as_ref().is_none_or(|picture| picture.codec != codec) {
                    self.settle(each);
                    let pace = Pace::default();
                    self.picture = Some(Picture { codec, record: None, pace, shape: None, waiting: Vec::new() });
                }
                let Some(picture) = &mut self.picture else { return };
                picture.pace.see(frame.dts, self.announced.rate);
                picture.waiting.push(frame);
                if let Some(rate) = picture.pace.known() {
                    self.release(rate, each);
                }
            }
            Track::Audio => {
                if self.sound.as_ref().is_none_or(|sound| sound.codec != codec) {
                    self.sound = Some(Sound { codec, record: None, shape: None });
                }
                let bitrate = self.announced.audio_bitrate;
                let Some(sound) = &mut self.sound else { return };
                let Frame { pts, dts, data } = frame;
                let unit = sound.push(data, bitrate);
                each(labelled(&self.source, codec, pts, dts, unit));
            }
        }
    }

    /// Pictures that wait for their rate go with what can be told of it by now.
    fn settle(&mut self, each: &mut impl FnMut(Output)) {
        if let Some(picture) = self.picture.as_ref().filter(|picture| !picture.waiting.is_empty()) {
            let rate = picture.pace.guess(self.announced.rate);
            self.release(rate, each);
        }
    }

    fn release(&mut self, rate: FrameRate, each: &mut impl FnMut(Output)) {
        let Some(picture) = &mut self.picture else { return };
        let codec = picture.codec;
        let bitrate = self.announced.video_bitrate;
        for Frame { pts, dts, data } in std::mem::take(&mut picture.waiting) {
            let unit = picture.shape(rate, bitrate).and_then(|shape| shape.push(data));
            each(labelled(&self.source, codec, pts, dts, unit));
        }
    }
}

impl Picture {
    /// # Errors
    /// The decoder configuration record does not parse.
    fn shape(&mut self, rate: FrameRate, bitrate: u32) -> Result<&mut Canonicaliser, MuxError> {
        // A rate that was guessed for the first pictures, and is known now, is another configuration.
        if self.shape.as_ref().is_some_and(|(known, _)| *known != rate) {
            self.shape = None;
        }
        match &mut self.shape {
            Some((_, shape)) => Ok(shape),
            empty @ None => {
                let format = TrackFormat::Video(VideoFormat { width: 0, height: 0, rate });
                let mut shape = Canonicaliser::new(self.codec, format, bitrate);
                match &self.record {
                    Some(record) => shape.set_codec_data(record)?,
                    // Without it nobody knows how long a length is.
                    None if self.codec != Codec::Av1 => {
                        return Err(MuxError::NoConfiguration { codec: self.codec });
                    }
                    None => {}
                }
                Ok(&mut empty.insert((rate, shape)).1)
            }
        }
    }
}

impl Sound {
    /// # Errors
    /// Bytes or a configuration record that do not parse, or none of the latter where it is needed.
    fn push(&mut self, data: Bytes, bitrate: u32) -> Result<Canonical, MuxError> {
        let shape = match &mut self.shape {
            Some(shape) => shape,
            empty @ None => {
                let samples = if self.codec == Codec::Opus { packet_samples(&data)? } else { 1024 };
                let format = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples });
                let mut shape = Canonicaliser::new(self.codec, format, bitrate);
                match &self.record {
                    Some(record) => shape.set_codec_data(record)?,
                    None if self.codec == Codec::Aac => {
                        return Err(MuxError::NoConfiguration { codec: self.codec });
                    }
                    None => {}
                }
                empty.insert(shape)
            }
        };
        shape.push(data)
    }
}

const fn track_of(codec: Codec) -> Track {
    if codec.is_video() { Track::Video } else { Track::Audio }
}

fn frame(time: Media, offset: Offset, data: Bytes) -> Frame {
    let dts = time + Media(offset.nanos.into());
    Frame { pts: dts + Media::from_millis(offset.composition_ms.into()), dts, data }
}

fn labelled(source: &Source, codec: Codec, pts: Media, dts: Media, unit: Result<Canonical, MuxError>) -> Output {
    let track = track_of(codec);
    match unit {
        Ok(Canonical { payload, key, config, .. }) => Output::Unit(AccessUnit {
            input: source.input.clone(),
            rendition: source.rendition.clone(),
            track,
            pts,
            dts,
            key,
            config,
            payload,
        }),
        Err(MuxError::NoConfiguration { codec }) => Output::LeftOut(LeftOut::Undecodable(codec)),
        // A tag of parameter sets or delimiters alone.
        Err(MuxError::Empty { codec }) => Output::LeftOut(LeftOut::Empty(codec)),
        Err(error) => Output::LeftOut(LeftOut::Malformed(track, error)),
    }
}

#[cfg(test)]
mod tests;
