//! One track on its way through a decoder.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;

use super::super::branches::{Branches, Picture};
use super::super::pipeline::{element, error_text, pipeline, stop};
use super::super::tape::Sample;
use super::{Notice, SourceError};
use crate::clock;
use crate::model::{Codec, CodecConfig, Media, Track, TrackFormat, TruthSettings, VideoFormat};

/// Units that may wait to be decoded; beyond, everything up to the next keyframe is left out.
const MOST: usize = 4096;
/// What a decoder may have before it, bytes: one that takes no more does not keep up.
const BEHIND: u64 = 8 << 20;
/// A decoder whose stream is over may take so long to bring out what it has.
const LAST_WORDS: Media = Media::from_millis(1000);

/// Where what is decoded goes.
#[derive(Clone)]
pub(super) struct Out {
    pub(super) canvas: VideoFormat,
    pub(super) truth: TruthSettings,
    pub(super) picture_out: SyncSender<(Media, Picture)>,
    pub(super) sound_out: SyncSender<(Media, Vec<Sample>)>,
    pub(super) notices: SyncSender<Notice>,
}

/// See the module.
pub(super) struct Lane {
    track: Track,
    out: Out,
    waiting: VecDeque<Waiting>,
    room: Room,
    config: Option<Arc<CodecConfig>>,
    playing: Option<Playing>,
    /// Those whose stream is over, and when they are stopped at the latest.
    ending: Vec<(Playing, Media)>,
    /// Pictures decoded so far.
    numbers: Arc<AtomicU64>,
}

/// Whether units find room to wait in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Enough,
    /// One did not: what follows is of no use before the next keyframe.
    Exceeded,
}

enum Waiting {
    Format(Arc<CodecConfig>),
    Unit { key: bool, pts: Media, dts: Media, payload: Bytes },
    End,
}

/// A running decoder.
struct Playing {
    pipeline: gst::Pipeline,
    source: AppSrc,
}

impl Drop for Playing {
    fn drop(&mut self) {
        // One that does not stop costs its threads, and nothing of the show.
        stop(&self.pipeline);
    }
}

impl Lane {
    pub(super) fn new(track: Track, out: Out) -> Self {
        Self {
            track,
            out,
            waiting: VecDeque::new(),
            room: Room::Enough,
            config: None,
            playing: None,
            ending: Vec::new(),
            numbers: Arc::default(),
        }
    }

    /// What the units are from here on.
    pub(super) fn format(&mut self, config: Arc<CodecConfig>) {
        self.waiting.push_back(Waiting::Format(config));
    }

    /// The next unit.
    pub(super) fn unit(&mut self, key: bool, pts: Media, dts: Media, payload: Bytes) {
        self.room = match self.room {
            _ if self.waiting.len() >= MOST => Room::Exceeded,
            Room::Exceeded if !key => Room::Exceeded,
            Room::Exceeded | Room::Enough => Room::Enough,
        };
        if self.room == Room::Enough {
            self.waiting.push_back(Waiting::Unit { key, pts, dts, payload });
        }
    }

    /// Nothing follows what is there.
    pub(super) fn end(&mut self) {
        self.waiting.push_back(Waiting::End);
    }

    /// When the next unit is to be decoded by.
    pub(super) fn due(&self) -> Option<Media> {
        self.waiting.front().map(|first| match first {
            Waiting::Format(_) | Waiting::End => Media(i64::MIN / 2),
            Waiting::Unit { dts, .. } => *dts,
        })
    }

    /// Gives the decoder what is due before `until`.
    ///
    /// # Errors
    /// The decoder's words, when it has failed. It is built again at the next keyframe.
    pub(super) fn work(&mut self, until: Media) -> Result<(), String> {
        let now = clock::media();
        self.ending.retain(|(playing, at)| *at > now && !playing.is_over());
        if let Some(why) = self.playing.as_ref().and_then(Playing::complaint) {
            self.playing = None;
            return Err(why);
        }
        while self.due().is_some_and(|due| due <= until) {
            match self.waiting.pop_front() {
                Some(Waiting::Format(config)) => {
                    if self.config.as_ref() != Some(&config) {
                        self.finish(now);
                        self.config = Some(config);
                    }
                }
                Some(Waiting::End) => self.finish(now),
                Some(Waiting::Unit { key, pts, dts, payload }) => self.decode(key, (pts, dts), payload)?,
                None => break,
            }
        }
        Ok(())
    }

    /// Lets the decoder bring out what it has.
    fn finish(&mut self, now: Media) {
        if let Some(playing) = self.playing.take() {
            // Fails only where the pipeline has failed, and then it is of no more use.
            if playing.source.end_of_stream().is_ok() {
                self.ending.push((playing, now + LAST_WORDS));
            }
        }
    }

    fn decode(&mut self, key: bool, (pts, dts): (Media, Media), payload: Bytes) -> Result<(), String> {
        let Some(config) = self.config.clone() else { return Ok(()) };
        if self.playing.as_ref().is_some_and(|playing| playing.source.current_level_bytes() > BEHIND) {
            self.playing = None;
            return Err("it does not keep up".to_owned());
        }
        if self.playing.is_none() {
            if !key {
                return Ok(());
            }
            self.playing = Some(self.build(&config).map_err(|e| e.to_string())?);
        }
        let Some(playing) = &self.playing else { return Ok(()) };
        let mut buffer = gst::Buffer::from_slice(payload);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(clock_time(pts));
            buffer.set_dts(clock_time(dts));
            if !key {
                buffer.set_flags(gst::BufferFlags::DELTA_UNIT);
            }
        }
        // Told on the bus, which is looked at the next time.
        let _ = playing.source.push_buffer(buffer);
        Ok(())
    }

    fn build(&self, config: &CodecConfig) -> Result<Playing, SourceError> {
        let name = if self.track == Track::Video { "picture" } else { "sound" };
        let pipeline = pipeline(name);
        // Live, or a decoder on many cores holds a picture for each of them back.
        let source = AppSrc::builder().caps(&caps(config)).format(gst::Format::Time).is_live(true).build();
        source.set_max_bytes(0);
        let decoder = element("decodebin")?;
        pipeline.add_many([source.upcast_ref(), &decoder]).map_err(|_| SourceError::Link("appsrc"))?;
        source.link(&decoder).map_err(|_| SourceError::Link("decodebin"))?;
        let branches = Branches {
            pipeline: pipeline.downgrade(),
            canvas: self.out.canvas,
            truth: self.out.truth.clone(),
            numbers: self.numbers.clone(),
            picture_out: self.out.picture_out.clone(),
            sound_out: self.out.sound_out.clone(),
            line: Arc::default(),
            notices: self.out.notices.clone(),
            what: format!("{} over the network", config.codec.label()),
        };
        decoder.connect_pad_added(move |_, pad| branches.attach(pad));
        let playing = Playing { pipeline, source };
        playing.pipeline.set_state(gst::State::Playing).map_err(|_| SourceError::Link("decodebin"))?;
        Ok(playing)
    }
}

impl Playing {
    /// The pipeline's error, if it has one.
    fn complaint(&self) -> Option<String> {
        let message = self.pipeline.bus()?.pop_filtered(&[gst::MessageType::Error])?;
        let gst::MessageView::Error(error) = message.view() else { return None };
        Some(error_text(error))
    }

    /// Whether it has brought out everything.
    fn is_over(&self) -> bool {
        let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
        self.pipeline.bus().is_none_or(|bus| bus.pop_filtered(&kinds).is_some())
    }
}

/// What a parser must know of a stream before its first unit.
fn caps(config: &CodecConfig) -> gst::Caps {
    let record = gst::Buffer::from_slice(config.record.clone());
    let caps = match config.codec {
        Codec::H264 => gst::Caps::builder("video/x-h264").field("stream-format", "avc").field("alignment", "au"),
        Codec::Hevc => gst::Caps::builder("video/x-h265").field("stream-format", "hvc1").field("alignment", "au"),
        Codec::Av1 => gst::Caps::builder("video/x-av1").field("stream-format", "obu-stream").field("alignment", "tu"),
        Codec::Aac => gst::Caps::builder("audio/mpeg").field("mpegversion", 4).field("stream-format", "raw"),
        Codec::Opus => gst::Caps::builder("audio/x-opus").field("channel-mapping-family", 0),
    };
    let caps = match config.format {
        TrackFormat::Video(format) => caps
            .field("width", i32::try_from(format.width).unwrap_or(0))
            .field("height", i32::try_from(format.height).unwrap_or(0)),
        TrackFormat::Audio(format) => caps
            .field("rate", i32::try_from(format.rate).unwrap_or(48_000))
            .field("channels", i32::from(format.channels)),
    };
    match config.codec {
        Codec::H264 | Codec::Hevc | Codec::Av1 | Codec::Aac => caps.field("codec_data", record).build(),
        Codec::Opus => caps.build(),
    }
}

fn clock_time(time: Media) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(time.as_nanos()).unwrap_or(0))
}
