//! A file as a source: decoded ahead of time, looped for ever, paced by its own timestamps.
//!
//! ```text
//!   filesrc ─ decodebin ┬─ videoconvertscale ─ appsink ─► 2 pictures ─► FilePace (12)  ┐ read by the
//!                       └─ audioconvert ─ resample ─ appsink ─► 1 s ──► Tape (≤ 1.5 s) ┘ grid thread
//! ```
//!
//! The decoder runs until the queues are full and waits. At the end of the file it seeks back to the start while the
//! queues play out, so the loop has no seam; a pipeline that cannot seek, or failed, is replaced. Every pass begins
//! where the last one ended on a time line that only grows, and picture and sound are placed on it by timestamp.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::branches::{Branches, Line, Picture, Screen};
use super::pace::{Counts, FilePace};
use super::pipeline::{element, error_text, pipeline, stop};
use super::tape::{SAMPLE_RATE, Sample, Tape, time_of};
use super::witness::Witness;
use super::{Notice, SourceError};
use crate::model::{Media, TruthSettings, VideoFormat, VideoGrid};

/// Sound to have in hand; beyond it the decoder waits.
const SOUND_AHEAD: usize = SAMPLE_RATE as usize;
/// Sound in hand after which a file that has shown no picture is taken to have none.
const SOUND_ONLY_AFTER: usize = SAMPLE_RATE as usize * 9 / 10;
/// Waits after failed passes, doubled up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A looping file, as the grid thread sees it.
#[derive(Debug)]
pub(super) struct FileSource {
    screen: Screen,
    sounds: Receiver<(Media, Vec<Sample>)>,
    tape: Tape,
    /// Dropped with the source, which ends the decoder's thread.
    _alive: SyncSender<()>,
}

impl FileSource {
    /// Starts decoding `path` in the background. A file that is missing or broken is tried again and again, and said
    /// so through `notices`.
    pub(super) fn open(path: &Path, canvas: VideoFormat, truth: &TruthSettings, notices: SyncSender<Notice>) -> Self {
        let (picture_out, pictures) = sync_channel(2);
        let (sound_out, sounds) = sync_channel(48);
        let (alive, ended) = sync_channel(0);
        let decoder = Decoder {
            path: path.to_owned(),
            canvas,
            truth: truth.clone(),
            numbers: Arc::default(),
            picture_out,
            sound_out,
            line: Arc::default(),
            notices,
            ended,
        };
        std::thread::spawn(move || decoder.run());
        let pace = FilePace::new(VideoGrid(canvas.rate));
        Self { screen: Screen::new(pictures, pace), sounds, tape: Tape::default(), _alive: alive }
    }

    /// The picture for the grid place at `time`.
    pub(super) fn picture(&mut self, time: Media, witness: &mut Witness) -> Option<&gst::Buffer> {
        self.screen.picture(time, witness)
    }

    /// The sound from sample number `at` of the grid on.
    pub(super) fn sound(&mut self, at: i64, out: &mut [Sample], witness: &mut Witness) {
        while self.tape.len() < SOUND_AHEAD {
            let Ok((time, samples)) = self.sounds.try_recv() else { break };
            self.tape.write(time.to_ticks(SAMPLE_RATE), &samples);
        }
        if self.screen.pace.origin().is_none() && self.tape.len() >= SOUND_ONLY_AFTER {
            self.screen.pace.begin_at(time_of(at));
        }
        match self.screen.pace.origin() {
            Some(origin) => {
                if self.tape.read(at - origin.to_ticks(SAMPLE_RATE), out) > 0 {
                    witness.sound(out, time_of(at));
                }
            }
            None => out.fill([0.0; 2]),
        }
    }

    /// What happened to pictures.
    pub(super) fn counts(&self) -> Counts {
        self.screen.pace.counts()
    }
}

struct Decoder {
    path: PathBuf,
    canvas: VideoFormat,
    truth: TruthSettings,
    /// Pictures decoded so far.
    numbers: Arc<AtomicU64>,
    picture_out: SyncSender<(Media, Picture)>,
    sound_out: SyncSender<(Media, Vec<Sample>)>,
    line: Arc<Line>,
    notices: SyncSender<Notice>,
    ended: Receiver<()>,
}

/// How a pipeline's life ended.
enum End {
    /// The source was dropped.
    Stopped,
    /// It could not go back to the start, though it played.
    CannotSeek,
    /// It failed.
    Failed(String),
}

impl Decoder {
    fn run(self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let before = self.line.end();
            match self.play() {
                Ok(End::Stopped) => return,
                Ok(End::CannotSeek) => {}
                Ok(End::Failed(why)) => self.say(Notice::Lost(format!("file {}: {why}", self.path.display()))),
                Err(e) => self.say(Notice::Lost(format!("file {}: {e}", self.path.display()))),
            }
            self.line.next_pass(VideoGrid(self.canvas.rate));
            if self.line.end() > before {
                pause = FIRST_PAUSE;
                continue;
            }
            // The sender is never used, so this is a wait that ends early when the source is dropped.
            if !matches!(self.ended.recv_timeout(pause), Err(std::sync::mpsc::RecvTimeoutError::Timeout)) {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn say(&self, notice: Notice) {
        // A full box means that nobody has read the last notices yet; those say the same.
        let _ = self.notices.try_send(notice);
    }

    /// Plays the file round and round in one pipeline.
    fn play(&self) -> Result<End, SourceError> {
        let pipeline = self.build()?;
        let bus = pipeline.bus().ok_or(SourceError::Missing("bus".to_owned()))?;
        let started = pipeline.set_state(gst::State::Playing);
        let mut begun = self.line.end();
        let end = loop {
            let message = bus.timed_pop_filtered(
                gst::ClockTime::from_mseconds(100),
                &[gst::MessageType::Error, gst::MessageType::Eos, gst::MessageType::StateChanged],
            );
            if self.ended.try_recv() == Err(TryRecvError::Disconnected) {
                break End::Stopped;
            }
            match message.as_ref().map(|m| m.view()) {
                Some(gst::MessageView::Error(error)) => break End::Failed(error_text(error)),
                // A file that was cut off while it was played ends at once, again and again; another may have its name by now.
                Some(gst::MessageView::Eos(_)) if self.line.end() == begun => {
                    break End::Failed("it ends before the first picture".to_owned());
                }
                Some(gst::MessageView::Eos(_)) => {
                    begun = self.line.end();
                    self.line.next_pass(VideoGrid(self.canvas.rate));
                    let again = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
                    if pipeline.seek_simple(again, gst::ClockTime::ZERO).is_err() {
                        break End::CannotSeek;
                    }
                }
                None if started.is_err() => break End::Failed("cannot be opened".to_owned()),
                _ => {}
            }
        };
        // A sender that waits for room must see the end of its channel or room; unblock by stopping the flow first.
        if !stop(&pipeline) {
            return Ok(End::Failed("the decoder does not stop".to_owned()));
        }
        Ok(end)
    }

    fn build(&self) -> Result<gst::Pipeline, SourceError> {
        let pipeline = pipeline("file");
        let source = element("filesrc")?;
        source.set_property("location", self.path.to_string_lossy().as_ref());
        let decoder = element("decodebin")?;
        pipeline.add_many([&source, &decoder]).map_err(|_| SourceError::Link("filesrc"))?;
        source.link(&decoder).map_err(|_| SourceError::Link("decodebin"))?;

        let branches = Branches {
            pipeline: pipeline.downgrade(),
            canvas: self.canvas,
            truth: self.truth.clone(),
            numbers: self.numbers.clone(),
            picture_out: self.picture_out.clone(),
            sound_out: self.sound_out.clone(),
            line: self.line.clone(),
            notices: self.notices.clone(),
            what: format!("file {}", self.path.display()),
        };
        decoder.connect_pad_added(move |_, pad| branches.attach(pad));
        Ok(pipeline)
    }
}
