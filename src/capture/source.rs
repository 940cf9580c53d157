//! One source as the grid thread sees it: asked for the picture of a place and for the sound of a run of samples, it
//! answers at once with what it has.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use super::board::Board;
use super::canvas::{describe, video_caps, video_info};
use super::file::FileSource;
use super::live::LiveSource;
use super::network::{FeedReceiver, NetworkSource};
use super::pace::Counts;
use super::pattern::{Canvas, Pattern, Tone};
use super::tape::Sample;
use super::witness::Witness;
use super::{Notice, SourceError};
use crate::model::{Condition, Fault, Finding, Media, VideoFormat, VideoGrid};
use crate::{clock, config};

/// A running source.
#[derive(Debug)]
pub struct Source {
    kind: Kind,
    notices: Receiver<Notice>,
    /// What the source was last heard to be.
    description: String,
    has_picture: bool,
    witness: Witness,
}

#[derive(Debug)]
enum Kind {
    Pattern(PatternSource),
    File(FileSource),
    Live(LiveSource),
    Network(NetworkSource),
}

/// What there is to say about a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// In words.
    pub description: String,
    /// Whether the last place had a picture.
    pub has_picture: bool,
    /// What happened to its pictures.
    pub counts: Counts,
    /// Correction of its sound's clock in force, parts per million.
    pub drift_ppm: i32,
}

/// Notices that may wait; when full, the newest are lost, since they repeat.
const NOTICES: usize = 16;

impl Source {
    /// Starts a source in the background. Its pictures are brought to `canvas`. What a sender over a network delivers comes
    /// out of `feed`, and what is known of a capture device is asked of `board`; other kinds of source look at neither.
    ///
    /// # Errors
    /// [`SourceError`] when this GStreamer lacks something basic. A source that is merely absent is not an error; it
    /// is tried again for ever.
    pub fn open(
        settings: &config::InputSettings,
        canvas: VideoFormat,
        feed: FeedReceiver,
        board: Arc<dyn Board>,
    ) -> Result<Self, SourceError> {
        let (say, notices) = sync_channel(NOTICES);
        let truth = &settings.truth;
        let (kind, description) = match &settings.source {
            config::Source::Pattern { noise } => (
                Kind::Pattern(PatternSource::new(canvas, *noise)?),
                describe(Some(&video_caps(canvas, true)), "pattern"),
            ),
            config::Source::File { path } => {
                (Kind::File(FileSource::open(path, canvas, truth, say)), format!("file {}", path.display()))
            }
            config::Source::V4l2 { device, audio } => {
                let live = LiveSource::open((device, audio, board), canvas, truth, &say);
                (Kind::Live(live), format!("capture {}", device.display()))
            }
            config::Source::Network(_) => {
                (Kind::Network(NetworkSource::open(feed, canvas, truth, say)), "no sender yet".to_owned())
            }
        };
        let witness = Witness::new(truth, clock::media());
        Ok(Self { kind, notices, description, has_picture: false, witness })
    }

    /// How much earlier than its time sound can be had: a made or decoded source's is there in advance, so that its
    /// encoded packets need not come later than the pictures they belong to.
    pub fn sound_lead(&self) -> Media {
        match self.kind {
            Kind::Pattern(_) | Kind::File(_) => Media::from_millis(40),
            Kind::Live(_) | Kind::Network(_) => Media::ZERO,
        }
    }

    /// The picture of grid place `n`, at `time`; `None` where the source has none.
    pub fn picture(&mut self, n: i64, time: Media) -> Option<&gst::Buffer> {
        let picture = match &mut self.kind {
            Kind::Pattern(pattern) => pattern.picture(n),
            Kind::File(file) => file.picture(time, &mut self.witness),
            Kind::Live(live) => live.picture(time),
            Kind::Network(network) => network.picture(time, &mut self.witness),
        };
        self.has_picture = picture.is_some();
        picture
    }

    /// The sound from sample number `at` of the grid on; silence where there is none.
    pub fn sound(&mut self, at: i64, out: &mut [Sample]) {
        match &mut self.kind {
            Kind::Pattern(pattern) => pattern.tone.fill(at, out),
            Kind::File(file) => file.sound(at, out, &mut self.witness),
            Kind::Live(live) => live.sound(out, &mut self.witness),
            Kind::Network(network) => network.sound(at, out, &mut self.witness),
        }
    }

    /// What is wrong with it at `now`; to be asked at least every 100 ms. With a test picture nothing ever is.
    pub fn condition(&mut self, now: Media) -> &Condition {
        match &mut self.kind {
            Kind::Pattern(_) => self.witness.held(now),
            Kind::File(_) | Kind::Network(_) => {}
            Kind::Live(live) => live.tell(&mut self.witness),
        }
        self.witness.look(now);
        self.witness.condition()
    }

    /// The next thing that happened to the source.
    pub fn notice(&mut self) -> Option<Notice> {
        let notice = self.notices.try_recv().ok()?;
        match &notice {
            Notice::Signal(text) | Notice::Lost(text) => self.description.clone_from(text),
            Notice::Sound | Notice::SoundLost(_) | Notice::Note(_) | Notice::Stuck(_) => {}
        }
        if let (Kind::File(_), Notice::Lost(why)) = (&self.kind, &notice) {
            let finding = Finding { fault: Fault::Encoder, evidence: why.clone() };
            self.witness.word(Some(finding), clock::media());
        }
        Some(notice)
    }

    /// How it is.
    pub fn status(&self) -> SourceStatus {
        let (counts, drift_ppm) = match &self.kind {
            Kind::Pattern(_) => (Counts::default(), 0),
            Kind::File(file) => (file.counts(), 0),
            Kind::Live(live) => (live.counts(), live.drift_ppm()),
            Kind::Network(network) => (network.counts(), network.drift_ppm()),
        };
        SourceStatus { description: self.description.clone(), has_picture: self.has_picture, counts, drift_ppm }
    }
}

/// Draws each picture for its place when it is asked for, into buffers that are used again.
#[derive(Debug)]
struct PatternSource {
    pattern: Pattern,
    tone: Tone,
    info: gst_video::VideoInfo,
    pool: gst::BufferPool,
    shown: Option<gst::Buffer>,
}

impl PatternSource {
    fn new(canvas: VideoFormat, noise: bool) -> Result<Self, SourceError> {
        let info = video_info(canvas).ok_or(SourceError::Missing("I420 video".to_owned()))?;
        let pool = gst_video::VideoBufferPool::new().upcast::<gst::BufferPool>();
        let mut config = pool.config();
        let size = u32::try_from(info.size()).unwrap_or(u32::MAX);
        config.set_params(Some(&video_caps(canvas, true)), size, 0, 0);
        pool.set_config(config).map_err(|_| SourceError::Missing("buffer pool".to_owned()))?;
        pool.set_active(true).map_err(|_| SourceError::Missing("buffer pool".to_owned()))?;
        let pattern = Pattern::new(canvas.width, canvas.height, VideoGrid(canvas.rate), noise);
        Ok(Self { pattern, tone: Tone::default(), info, pool, shown: None })
    }

    fn picture(&mut self, n: i64) -> Option<&gst::Buffer> {
        let mut buffer = self.pool.acquire_buffer(None).ok()?;
        {
            let mut frame = gst_video::VideoFrameRef::from_buffer_ref_writable(buffer.get_mut()?, &self.info).ok()?;
            let strides = [0, 1, 2].map(|plane| usize::try_from(self.info.stride()[plane]).unwrap_or(0));
            let [y, u, v, _] = frame.planes_data_mut();
            self.pattern.draw(n, &mut Canvas { planes: [y, u, v], strides });
        }
        self.shown = Some(buffer);
        self.shown.as_ref()
    }
}

impl Drop for PatternSource {
    fn drop(&mut self) {
        // Buffers still in use go back to the heap when they are done with; nothing more can be done about a failure.
        let _ = self.pool.set_active(false);
    }
}
