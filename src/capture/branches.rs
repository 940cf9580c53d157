//! What grows behind a decoder: a branch for the first picture and one for the first sound, brought to the canvas and to the
//! box's samples, measured, and handed on with their times.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::canvas::{audio_caps, describe, samples_of, video_caps};
use super::pace::FilePace;
use super::pipeline::{element, running_time, sink};
use super::tape::{SAMPLE_RATE, Sample};
use super::truth::picture::Measure;
use super::witness::{Eye, Witness};
use super::{Notice, SourceError};
use crate::model::{Media, TruthSettings, VideoFormat, VideoGrid};

/// Timestamps in files may be rounded to milliseconds; a pass that ends this little after a place ends at it.
const ROUNDING: Media = Media::from_millis(2);

/// A decoded picture.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) buffer: gst::Buffer,
    pub(super) measure: Option<Measure>,
    /// From 1.
    pub(super) number: u64,
}

/// The pictures of a source that have times, as the grid thread sees them.
#[derive(Debug)]
pub(super) struct Screen {
    pictures: Receiver<(Media, Picture)>,
    pub(super) pace: FilePace<Picture>,
    /// The number of the picture that was shown last.
    shown: u64,
}

impl Screen {
    pub(super) fn new(pictures: Receiver<(Media, Picture)>, pace: FilePace<Picture>) -> Self {
        Self { pictures, pace, shown: 0 }
    }

    /// The picture for the grid place at `time`. It is judged when it is shown, since it was decoded long before, and only
    /// the first time; while it is shown longer because that is its time, nothing is missing.
    pub(super) fn picture(&mut self, time: Media, witness: &mut Witness) -> Option<&gst::Buffer> {
        while self.pace.has_room() {
            let Ok((at, picture)) = self.pictures.try_recv() else { break };
            self.pace.arrive(at, picture);
        }
        let has_next = self.pace.has_next();
        let picture = self.pace.at(time)?;
        if picture.number != self.shown {
            self.shown = picture.number;
            witness.picture(picture.measure, time);
        } else if has_next {
            witness.held(time);
        }
        Some(&picture.buffer)
    }
}

/// Where the passes over a file lie on its time line. Of what is played once, everything lies where its own times say.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// Where the pass in hand begins.
    start: AtomicI64,
    /// Where the last picture or sound so far ends.
    end: AtomicI64,
}

impl Line {
    /// Where the last picture or sound so far ends.
    pub(super) fn end(&self) -> i64 {
        self.end.load(Ordering::Acquire)
    }

    pub(super) fn place(&self, at: i64, duration: i64) -> Media {
        let at = self.start.load(Ordering::Acquire).saturating_add(at);
        self.end.fetch_max(at.saturating_add(duration), Ordering::AcqRel);
        Media(at)
    }

    /// The next pass begins where this one ended, on the next place of a grid that begins with the first pass, so that
    /// a file at the grid's rate keeps its pictures' distance from the places.
    pub(super) fn next_pass(&self, grid: VideoGrid) {
        let end = Media(self.end.load(Ordering::Acquire));
        let n = grid.at_or_before(end);
        let start = if end - grid.time_of(n) > ROUNDING { grid.time_of(n + 1) } else { grid.time_of(n) };
        self.start.store(start.as_nanos(), Ordering::Release);
    }
}

/// Grows the pipeline as the decoder finds streams: the first picture, the first sound; others are left alone.
pub(super) struct Branches {
    pub(super) pipeline: gst::glib::WeakRef<gst::Pipeline>,
    pub(super) canvas: VideoFormat,
    pub(super) truth: TruthSettings,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) picture_out: SyncSender<(Media, Picture)>,
    pub(super) sound_out: SyncSender<(Media, Vec<Sample>)>,
    pub(super) line: Arc<Line>,
    pub(super) notices: SyncSender<Notice>,
    pub(super) what: String,
}

impl Branches {
    pub(super) fn attach(&self, pad: &gst::Pad) {
        let Some(pipeline) = self.pipeline.upgrade() else { return };
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let kind = caps.structure(0).map_or("", |s| s.name().as_str());
        let branch = match kind {
            "video/x-raw" if pipeline.by_name("pictures").is_none() => {
                // A full box means that nobody has read the last notices yet.
                let _ = self.notices.try_send(Notice::Signal(describe(Some(caps.as_ref()), &self.what)));
                self.pictures()
            }
            "audio/x-raw" if pipeline.by_name("sounds").is_none() => self.sounds(),
            _ => return,
        };
        let linked = branch.and_then(|elements| {
            pipeline.add_many(&elements).map_err(|_| SourceError::Link("the branch behind the decoder"))?;
            gst::Element::link_many(&elements).map_err(|_| SourceError::Link("the branch behind the decoder"))?;
            let first = elements
                .first()
                .and_then(|e| e.static_pad("sink"))
                .ok_or(SourceError::Link("the branch behind the decoder"))?;
            pad.link(&first).map_err(|_| SourceError::Link("the branch behind the decoder"))?;
            elements
                .iter()
                .try_for_each(gst::Element::sync_state_with_parent)
                .map_err(|_| SourceError::Link("the branch behind the decoder"))
        });
        if let Err(e) = linked {
            gst::element_error!(pipeline, gst::CoreError::Negotiation, ("{e}"));
        }
    }

    fn pictures(&self) -> Result<Vec<gst::Element>, SourceError> {
        let scale = element("videoconvertscale")?;
        scale.set_property("add-borders", true);
        let (line, out, grid) = (self.line.clone(), self.picture_out.clone(), VideoGrid(self.canvas.rate));
        let (mut eye, numbers) = (Eye::new(&self.truth, self.canvas), self.numbers.clone());
        let sink = sink(&video_caps(self.canvas, false), move |sample| {
            let (Some(time), Some(buffer)) = (running_time(sample), sample.buffer_owned()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let duration = buffer.duration().map_or(grid.interval().as_nanos(), nanos);
            let (measure, number) = (eye.measure(&buffer), 1 + numbers.fetch_add(1, Ordering::Relaxed));
            let picture = Picture { buffer, measure, number };
            out.send((line.place(time, duration), picture)).map_err(|_| gst::FlowError::Eos)?;
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_property("name", "pictures");
        Ok(vec![scale, sink.upcast()])
    }

    fn sounds(&self) -> Result<Vec<gst::Element>, SourceError> {
        let (line, out) = (self.line.clone(), self.sound_out.clone());
        let sink = sink(&audio_caps(), move |sample| {
            let (Some(time), Some(buffer)) = (running_time(sample), sample.buffer()) else {
                return Ok(gst::FlowSuccess::Ok);
            };
            let samples = samples_of(buffer);
            let duration = i64::try_from(samples.len()).unwrap_or(0) * 1_000_000_000 / i64::from(SAMPLE_RATE);
            out.send((line.place(time, duration), samples)).map_err(|_| gst::FlowError::Eos)?;
            Ok(gst::FlowSuccess::Ok)
        });
        sink.set_property("name", "sounds");
        Ok(vec![element("audioconvert")?, element("audioresample")?, sink.upcast()])
    }
}

fn nanos(time: gst::ClockTime) -> i64 {
    i64::try_from(time.nseconds()).unwrap_or(0)
}
