//! Pure. Frames as they come out of RTP become access units: in canonical form, with their configuration, on one clock,
//! with decoding times.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::super::arrival::Arrival;
use super::cadence::Cadence;
use super::one_clock::{OneClock, Placed};
use super::order::Order;
use crate::model::{
    AccessUnit, AudioFormat, Codec, FrameRate, InputId, Media, RenditionId, Track, TrackFormat, VideoFormat, VideoGrid,
};
use crate::mux::canonical::{Canonical, Canonicaliser};
use crate::mux::{MuxError, avc, hevc};

/// How long pictures are left out that no decoder can start at. Cameras have a key picture at least this often; a stream
/// that refreshes bit by bit has none, and is passed on as it is.
const KEY_WITHIN: Duration = Duration::from_secs(12);
/// Frames one after another that cannot be read, after which the session is of no use.
const UNREADABLE: u32 = 200;

/// One frame.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) track: Track,
    /// When it is shown, on its track's own clock.
    pub(super) local: Media,
    pub(super) arrived: Instant,
    /// The configuration record, with the first frame and whenever it changes.
    pub(super) record: Option<Bytes>,
    /// Length-prefixed NAL units, or one raw unit of AAC.
    pub(super) payload: Bytes,
}

/// One session's frames.
#[derive(Debug)]
pub(super) struct Frames {
    clock: OneClock,
    picture: Picture,
    sound: Canonicaliser,
    maker: Maker,
    unreadable: u32,
    refusal: Option<MuxError>,
}

#[derive(Debug)]
struct Picture {
    codec: Codec,
    cadence: Cadence<Waiting>,
    /// Once the frame rate is known.
    line: Option<Line>,
}

/// A picture that waits for the frame rate.
#[derive(Debug)]
struct Waiting {
    placed: Placed,
    frame: Frame,
}

#[derive(Debug)]
struct Line {
    shape: Canonicaliser,
    order: Order,
    start: Start,
}

/// Where decoders can begin.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// Nothing has come yet.
    Before,
    /// No key picture has come since this.
    Sought(Instant),
    /// It was shown at this time; what is shown earlier refers to pictures that did not come.
    At(Media),
    /// Nothing earlier can come any more.
    Passed,
}

/// What all units have in common.
#[derive(Debug)]
struct Maker {
    input: InputId,
    rendition: RenditionId,
}

impl Frames {
    /// `codec` is the picture's; `rate` if it was said.
    pub(super) fn new(input: InputId, codec: Codec, rate: Option<FrameRate>) -> Self {
        let sound = TrackFormat::Audio(AudioFormat { rate: 48_000, channels: 2, samples: 1024 });
        Self {
            clock: OneClock::default(),
            picture: Picture { codec, cadence: Cadence::new(rate), line: None },
            sound: Canonicaliser::new(Codec::Aac, sound, 0),
            maker: Maker { rendition: RenditionId(input.0.clone()), input },
            unreadable: 0,
            refusal: None,
        }
    }

    /// Takes a frame and passes on what it makes ready.
    pub(super) fn push(&mut self, frame: Frame, mut each: impl FnMut(Arrival)) {
        let placed = self.clock.place(frame.track, frame.local, frame.arrived);
        match frame.track {
            Track::Audio => {
                let unit = unit_of_sound(&mut self.sound, frame).map(|unit| {
                    each(Arrival::Unit(self.maker.unit(Track::Audio, placed.at, placed.at, unit)));
                });
                self.note(unit);
            }
            Track::Video => {
                let Some((ready, rate)) = self.picture.cadence.push(placed.at, Waiting { placed, frame }) else {
                    return;
                };
                for waiting in ready {
                    let done = self.picture.take(waiting, rate, &self.maker, &mut each);
                    self.note(done);
                }
            }
        }
    }

    /// A sender report said that `track` was at `local` when the sender's clock was at `sender`. Whether times begin anew.
    pub(super) fn report(&mut self, track: Track, sender: Media, local: Media) -> bool {
        self.clock.report(track, sender, local)
    }

    /// Why this session is of no use, if it is not.
    pub(super) fn refusal(&self) -> Option<&MuxError> {
        self.refusal.as_ref()
    }

    fn note(&mut self, done: Result<(), MuxError>) {
        match done {
            Ok(()) => self.unreadable = 0,
            Err(error) => {
                self.unreadable += 1;
                if self.unreadable == UNREADABLE {
                    self.refusal = Some(error);
                }
            }
        }
    }
}

fn unit_of_sound(shape: &mut Canonicaliser, frame: Frame) -> Result<Canonical, MuxError> {
    if let Some(record) = &frame.record {
        shape.set_codec_data(record)?;
    }
    shape.push(frame.payload)
}

impl Picture {
    fn take(
        &mut self,
        waiting: Waiting,
        rate: FrameRate,
        maker: &Maker,
        each: &mut impl FnMut(Arrival),
    ) -> Result<(), MuxError> {
        let codec = self.codec;
        let Waiting { placed: Placed { at, jumped }, frame: Frame { arrived, record, payload, .. } } = waiting;
        let line = self.line.get_or_insert_with(|| {
            let format = TrackFormat::Video(VideoFormat { width: 0, height: 0, rate });
            let order = Order::new(0, VideoGrid(rate).interval());
            Line { shape: Canonicaliser::new(codec, format, 0), order, start: Start::Before }
        });
        if let Some(record) = &record {
            line.shape.set_codec_data(record)?;
            line.order.restart(reordering(codec, record));
        }
        if jumped {
            line.order.restart(None);
        }
        let unit = line.shape.push(payload)?;
        line.start = line.start.with(unit.key, at, arrived);
        if line.start.leaves_out(at) {
            return Ok(());
        }
        let decoded = line.order.push(at);
        if decoded.anew {
            each(Arrival::TimeBase);
        }
        each(Arrival::Unit(maker.unit(Track::Video, at, decoded.dts, unit)));
        Ok(())
    }
}

/// How many pictures at most are decoded before one that is shown earlier, if the record says so.
fn reordering(codec: Codec, record: &[u8]) -> Option<u8> {
    match codec {
        Codec::H264 => {
            let (_, sets) = avc::parse_avcc(record).ok()?;
            sets.of(avc::SPS).filter_map(|sps| avc::reordering(sps).ok()?).max()
        }
        Codec::Hevc => {
            let (_, sets) = hevc::parse_hvcc(record).ok()?;
            sets.of(hevc::SPS).filter_map(|sps| hevc::reordering(sps).ok()).max()
        }
        Codec::Av1 | Codec::Aac | Codec::Opus => None,
    }
}

impl Start {
    /// After a picture, the one that is shown at `at`.
    fn with(self, key: bool, at: Media, now: Instant) -> Self {
        match self {
            Self::Before | Self::Sought(_) if key => Self::At(at),
            Self::Before => Self::Sought(now),
            Self::Sought(since) if now.saturating_duration_since(since) >= KEY_WITHIN => Self::Passed,
            // The next key picture's forerunners refer to what came.
            Self::At(first) if key && at > first => Self::Passed,
            Self::Sought(_) | Self::At(_) | Self::Passed => self,
        }
    }

    fn leaves_out(self, at: Media) -> bool {
        match self {
            Self::Before | Self::Sought(_) => true,
            Self::At(first) => at < first,
            Self::Passed => false,
        }
    }
}

impl Maker {
    fn unit(&self, track: Track, pts: Media, dts: Media, unit: Canonical) -> AccessUnit {
        AccessUnit {
            input: self.input.clone(),
            rendition: self.rendition.clone(),
            track,
            pts,
            dts,
            key: unit.key,
            config: unit.config,
            payload: unit.payload,
        }
    }
}

#[cfg(test)]
mod tests;
