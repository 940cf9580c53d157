//! The encoder pipelines: pictures and sound of the grid in, access units on the grid out.
//!
//! ```text
//!   grid thread ─► appsrc ─ videoconvertscale ─ encoder ─ appsink ─► Encoded
//!   grid thread ─► appsrc ─ audioconvert ─ encoder ─ appsink ─► Encoded
//! ```
//!
//! An `appsrc` never blocks the grid thread. What an encoder cannot keep up with waits in it, two seconds of it at most;
//! beyond that places are left out and counted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use tokio::sync::mpsc as channel;

use super::cadence::{Cadence, Told};
use super::gate::GateControl;
use super::grid::Queue;
use super::labels::{Feeder, Labeller, Shift};
use super::outbox::Encoded;
use super::{WorkerError, keyframes};
use crate::capture::canvas::{audio_caps, buffer_of, video_caps};
use crate::capture::pipeline::{element, error_text, pipeline, running_time, sink};
use crate::capture::tape::{SAMPLE_RATE, Sample};
use crate::config::{AudioSettings, RenditionSettings};
use crate::encode::build::{BuiltEncoder, Heeded, Wish, audio_output_caps, build_audio, build_video};
use crate::encode::table::VideoJob;
use crate::model::{AudioFormat, AudioGrid, Codec, Media, Name, TrackFormat, VideoFormat, VideoGrid};
use crate::mux::canonical::Canonicaliser;

/// What comes out of the pipelines.
#[derive(Debug)]
pub(super) enum Made {
    /// One access unit.
    Unit(Encoded),
    /// One buffer that is not an access unit; the stream goes on with the next.
    Spoilt { stream: u16, why: String },
    /// The encoder is of no more use.
    Failed { stream: u16, why: String },
}

/// What an operator or the data plane may ask of a running video encoder.
#[derive(Debug)]
pub(super) struct VideoControl {
    encoder: BuiltEncoder,
    counts: Arc<Counts>,
}

/// What changes of bit rate have come to.
#[derive(Debug, Default)]
struct Counts {
    changes: AtomicU64,
    keyframes: AtomicU64,
}

impl VideoControl {
    /// The element's name.
    pub(super) fn factory(&self) -> &str {
        &self.encoder.factory
    }

    /// The next picture becomes a keyframe.
    pub(super) fn force_keyframe(&self) {
        self.encoder.keyframe_request().send();
    }

    /// Changes of bit rate that the encoder has taken, and keyframes that came of them.
    pub(super) fn changes(&self) -> (u64, u64) {
        (self.counts.changes.load(Ordering::Relaxed), self.counts.keyframes.load(Ordering::Relaxed))
    }

    /// Another bit rate, bit/s.
    pub(super) fn set_bitrate(&self, bitrate: u32) {
        self.encoder.set_bitrate(bitrate);
    }
}

/// Where the grid thread puts pictures.
#[derive(Debug)]
pub(super) struct VideoFeed {
    stream: u16,
    appsrc: gst_app::AppSrc,
    grid: VideoGrid,
    most_waiting: u64,
    left_out: u64,
}

impl VideoFeed {
    /// The picture of place `n`; false when it was left out.
    pub(super) fn push(&mut self, n: i64, picture: &gst::BufferRef) -> bool {
        if self.appsrc.current_level_buffers() >= self.most_waiting {
            self.left_out += 1;
            return false;
        }
        let mut buffer = picture.copy();
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(time(self.grid.time_of(n)));
            buffer.set_dts(None);
            // Rounded up: an encoder that counts in frames would take less for none at all.
            buffer.set_duration(time(self.grid.interval() + Media(1)));
        }
        self.appsrc.push_buffer(buffer).is_ok()
    }

    /// The worker's number for the stream.
    pub(super) fn stream(&self) -> u16 {
        self.stream
    }

    /// How its encoder keeps up.
    pub(super) fn queue(&self) -> Queue {
        let pictures = i64::try_from(self.appsrc.current_level_buffers()).unwrap_or(i64::MAX);
        let waiting = Media(self.grid.interval().0.saturating_mul(pictures));
        Queue { stream: self.stream, waiting, left_out: self.left_out }
    }
}

/// Where the grid thread puts sound.
#[derive(Debug)]
pub(super) struct AudioFeed {
    stream: u16,
    appsrc: gst_app::AppSrc,
    feeder: Feeder,
    shifts: mpsc::SyncSender<Shift>,
}

impl AudioFeed {
    /// The block of samples that begins at number `at`; whether anything was fed.
    pub(super) fn push(&mut self, at: i64, block: &[Sample]) -> bool {
        let feed = self.feeder.block(at, block.len());
        self.tell(feed.shift);
        let samples = &block[feed.leave_out.min(block.len())..];
        if samples.is_empty() {
            return false;
        }
        let mut buffer = buffer_of(samples);
        if let Some(buffer) = buffer.get_mut() {
            let end = feed.position + i64::try_from(samples.len()).unwrap_or(0);
            let (start, end) = (sample_time(feed.position), sample_time(end));
            buffer.set_pts(start);
            buffer.set_duration(end.saturating_sub(start));
        }
        self.appsrc.push_buffer(buffer).is_ok()
    }

    /// `samples` will never come.
    pub(super) fn given_up(&mut self, samples: i64) {
        let shift = self.feeder.given_up(samples);
        self.tell(shift);
    }

    /// The worker's number for the stream.
    pub(super) fn stream(&self) -> u16 {
        self.stream
    }

    fn tell(&self, shift: Option<Shift>) {
        if let Some(shift) = shift {
            // Room for more absences of several seconds than can happen before the encoder reads one; at worst the
            // labels stay behind and the data plane drops the late sound.
            let _ = self.shifts.try_send(shift);
        }
    }
}

/// Builds and starts the video encoder of one rendition. Pictures come in as `canvas`.
pub(super) fn start_video(
    stream: u16,
    rendition: &RenditionSettings,
    canvas: VideoFormat,
    family: &Name,
    gate: &GateControl,
    out: &channel::Sender<Made>,
) -> Result<(gst::Pipeline, VideoFeed, VideoControl), WorkerError> {
    let job = job_of(rendition, canvas);
    let mut encoder = build_video(&job, family)?;
    let heeded = encoder.take_heeded();
    let (mut cadence, counts) = (Cadence::default(), Arc::new(Counts::default()));
    let counted = counts.clone();
    let grid = VideoGrid(canvas.rate);
    let format = VideoFormat { width: rendition.width, height: rendition.height, rate: canvas.rate };
    let mut canonical = Canonicaliser::new(rendition.codec, TrackFormat::Video(format), rendition.bitrate);
    let mut codec_data = CodecData::default();
    let mut newest = None;
    let units = out.clone();
    let sink = sink(&gst::Caps::new_any(), move |sample| {
        let made = codec_data.take(sample, &mut canonical).and_then(|()| {
            let place = running_time(sample).map(|t| grid.nearest(Media(t))).ok_or("a picture without a time")?;
            if newest.is_some_and(|newest| place <= newest) {
                return Err(format!("place {place} came out of order"));
            }
            newest = Some(place);
            let unit = unit(stream, grid.time_of(place), sample, &mut canonical)?;
            // What the encoder was told before this picture entered it is here, since that was before it came out.
            for Heeded { pts, what } in heeded.iter().flat_map(|heeded| heeded.try_iter()) {
                let told = match what {
                    Wish::Keyframe => Told::Keyframe,
                    Wish::Bitrate => Told::Bitrate,
                };
                cadence.told(told, grid.nearest(Media(i64::try_from(pts.nseconds()).unwrap_or(0))));
            }
            if unit.key {
                cadence.key(place);
            }
            let (changes, keyframes) = cadence.counts();
            counted.changes.store(changes, Ordering::Relaxed);
            counted.keyframes.store(keyframes, Ordering::Relaxed);
            Ok(unit)
        });
        hand_over(&units, stream, made)
    });

    let pipeline = pipeline(rendition.id.as_str());
    let appsrc = source(&video_caps(canvas, true));
    let scale = element("videoconvertscale")?;
    scale.set_property("add-borders", true);
    // A filter on either side, since some encoders leave out of their caps what can only be so.
    let (before, after) = (capsfilter(&encoder.input_caps)?, capsfilter(&encoder.output_caps)?);
    keyframes::align(&before, &encoder, grid, i64::from(job.keyframe_frames()), gate.clone());
    let chain = [appsrc.upcast_ref(), &scale, &before, &encoder.element, &after, sink.upcast_ref()];
    start(&pipeline, &chain, stream, out)?;
    let feed = VideoFeed { stream, appsrc, grid, most_waiting: most_waiting(canvas), left_out: 0 };
    Ok((pipeline, feed, VideoControl { encoder, counts }))
}

/// Builds and starts one audio encoder; returns its element's name too.
pub(super) fn start_audio(
    stream: u16,
    settings: &AudioSettings,
    out: &channel::Sender<Made>,
) -> Result<(gst::Pipeline, AudioFeed, String), WorkerError> {
    let encoder = build_audio(settings)?;
    let factory = encoder.factory().map_or_else(String::new, |f| f.name().to_string());
    let grid = if settings.codec == Codec::Opus { AudioGrid::OPUS } else { AudioGrid::AAC };
    let format = AudioFormat { rate: grid.rate, channels: 2, samples: grid.samples };
    let mut canonical = Canonicaliser::new(settings.codec, TrackFormat::Audio(format), settings.bitrate);
    let mut codec_data = CodecData::default();
    let mut labeller = Labeller::default();
    let (shifts, told) = mpsc::sync_channel(64);
    let units = out.clone();
    let sink = sink(&gst::Caps::new_any(), move |sample| {
        told.try_iter().for_each(|shift| labeller.shift(shift));
        let place = labeller.next_place();
        let made = codec_data
            .take(sample, &mut canonical)
            .and_then(|()| unit(stream, grid.time_of(place), sample, &mut canonical));
        hand_over(&units, stream, made)
    });

    let pipeline = pipeline(settings.rendition().as_str());
    let appsrc = source(&audio_caps());
    let (convert, after) = (element("audioconvert")?, capsfilter(&audio_output_caps(settings.codec))?);
    start(&pipeline, &[appsrc.upcast_ref(), &convert, &encoder, &after, sink.upcast_ref()], stream, out)?;
    let feeder = Feeder::new(grid, decoder_delay(&factory));
    Ok((pipeline, AudioFeed { stream, appsrc, feeder, shifts }, factory))
}

/// The trial job that stands for a rendition.
pub(super) fn job_of(rendition: &RenditionSettings, canvas: VideoFormat) -> VideoJob {
    VideoJob {
        codec: rendition.codec,
        width: rendition.width,
        height: rendition.height,
        rate: canvas.rate,
        bitrate: rendition.bitrate,
        keyframe_interval: rendition.keyframe_interval,
    }
}

/// Pictures that may wait for an encoder: two seconds, so that a second that was caught up with at once fits beside one of
/// slowness, but not more than 128 MiB, and a third of a second in any case.
fn most_waiting(canvas: VideoFormat) -> u64 {
    let fps = u64::from(canvas.rate.num.div_ceil(canvas.rate.den));
    let bytes = (u64::from(canvas.width) * u64::from(canvas.height) * 3 / 2).max(1);
    (2 * fps).min((128 << 20) / bytes).max(fps / 3 + 1)
}

/// By how many samples a decoder gives the sound back late, per encoder; measured with an impulse, and checked by this
/// room's tests.
fn decoder_delay(factory: &str) -> u32 {
    match factory {
        "voaacenc" => 1600,
        // The look-ahead that RFC 7845 §5.1 calls pre-skip.
        "opusenc" => 312,
        // One frame of the transform's overlap, as every plain AAC-LC encoder has.
        _ => 1024,
    }
}

/// Configuration records that come in the caps: `codec_data`, or for Opus the first `streamheader`.
#[derive(Default)]
struct CodecData {
    seen: Option<gst::Buffer>,
}

impl CodecData {
    fn take(&mut self, sample: &gst::Sample, canonical: &mut Canonicaliser) -> Result<(), String> {
        let Some(structure) = sample.caps().and_then(|caps| caps.structure(0)) else { return Ok(()) };
        let header = structure.get::<gst::ArrayRef<'_>>("streamheader").ok();
        let first = header.as_ref().and_then(|h| h.as_slice().first()?.get::<gst::Buffer>().ok());
        let Some(record) = structure.get::<gst::Buffer>("codec_data").ok().or(first) else { return Ok(()) };
        if self.seen.as_ref() == Some(&record) {
            return Ok(());
        }
        let map = record.map_readable().map_err(|_| "a configuration record that cannot be read")?;
        canonical.set_codec_data(&map).map_err(|e| e.to_string())?;
        drop(map);
        self.seen = Some(record);
        Ok(())
    }
}

fn unit(stream: u16, pts: Media, sample: &gst::Sample, canonical: &mut Canonicaliser) -> Result<Encoded, String> {
    let buffer = sample.buffer().ok_or("an empty sample")?;
    // Copied, since hardware encoders have few output buffers and the access unit may live for a minute.
    let map = buffer.map_readable().map_err(|_| "an encoded buffer that cannot be read")?;
    let unit = canonical.push(Bytes::copy_from_slice(&map)).map_err(|e| e.to_string())?;
    Ok(Encoded { stream, pts, key: unit.key, config: unit.config, payload: unit.payload })
}

/// Waits while the worker's loop has a thousand units to take in; the pictures behind wait in the `appsrc` then.
fn hand_over(
    out: &channel::Sender<Made>,
    stream: u16,
    made: Result<Encoded, String>,
) -> Result<gst::FlowSuccess, gst::FlowError> {
    let made = made.map_or_else(|why| Made::Spoilt { stream, why }, Made::Unit);
    out.blocking_send(made).map_err(|_| gst::FlowError::Eos)?;
    Ok(gst::FlowSuccess::Ok)
}

fn source(caps: &gst::Caps) -> gst_app::AppSrc {
    // Live: several encoders choose their low-latency path by it. Bounded by whoever pushes.
    gst_app::AppSrc::builder().caps(caps).is_live(true).format(gst::Format::Time).block(false).max_bytes(0).build()
}

fn capsfilter(caps: &gst::Caps) -> Result<gst::Element, WorkerError> {
    let filter = element("capsfilter")?;
    filter.set_property("caps", caps);
    Ok(filter)
}

fn start(
    pipeline: &gst::Pipeline,
    chain: &[&gst::Element],
    stream: u16,
    out: &channel::Sender<Made>,
) -> Result<(), WorkerError> {
    let name = pipeline.name();
    let refused = |_| WorkerError::Pipeline { rendition: name.to_string() };
    pipeline.add_many(chain).map_err(refused)?;
    gst::Element::link_many(chain).map_err(refused)?;
    let failures = out.clone();
    if let Some(bus) = pipeline.bus() {
        bus.set_sync_handler(move |_, message| {
            if let gst::MessageView::Error(error) = message.view() {
                // A full channel has a loop behind it that hangs, which the missing heartbeat tells.
                let _ = failures.try_send(Made::Failed { stream, why: error_text(error) });
            }
            gst::BusSyncReply::Drop
        });
    }
    pipeline.set_state(gst::State::Playing).map_err(|_| WorkerError::Pipeline { rendition: name.to_string() })?;
    Ok(())
}

fn time(media: Media) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(media.as_nanos()).unwrap_or(0))
}

fn sample_time(sample: i64) -> gst::ClockTime {
    let nanos = i128::from(sample) * 1_000_000_000 / i128::from(SAMPLE_RATE);
    gst::ClockTime::from_nseconds(u64::try_from(nanos).unwrap_or(0))
}
