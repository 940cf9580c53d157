//! A capture device as a source: picture from V4L2, sound from ALSA, each with a clock of its own. `tests/vivid` runs
//! the picture's half on the kernel's `vivid` driver; not verified on hardware.
//!
//! ```text
//!   v4l2src (─ format) ─ decodebin ─ videoconvertscale ─ appsink ─ ticket ─► 4 pictures ─► LiveQueue ─► the grid
//!   signal::Watch (second descriptor) ────────────────────┴─► no signal: nothing passes, and the queue is empty
//!   alsasrc ─ audioconvert ─ resample ─ appsink ─► 0.5 s ─► ring ─► Drift + slip ─► the grid
//! ```
//!
//! Each pipeline has a thread that builds it, watches it, and builds it anew after any error, with a growing pause. The
//! encoders never notice. The picture's is taken down while the receiver has no signal, since `v4l2src` follows noise to
//! whatever size that has, and built for each signal that has become steady, with its timings put in force before.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;

use super::board::Board;
use super::canvas::{audio_caps, describe, samples_of, video_caps};
use super::pace::{Counts, LiveQueue};
use super::pipeline::{element, error_text, pipeline, sink, stop};
use super::receiver::{Reception, Standing};
use super::signal::{Device, Ticket, Watch};
use super::stretch::Stretch;
use super::tape::Sample;
use super::truth::picture::Measure;
use super::witness::{Eye, Witness};
use super::{Notice, SourceError, alsa, held};
use crate::clock;
use crate::config::AudioSource;
use crate::model::{Media, TruthSettings, VideoFormat};

/// Sound to have in the ring: 40 ms, more than a sound card's period and a busy machine's delay.
const SOUND_TARGET: usize = 1920;
/// Measures that may wait for the judge: half a second's at 240 pictures a second. A grid thread that is away for longer
/// misses the newest, which is no fault of the source: see the judge.
const MEASURES: usize = 128;
/// Pauses before a failed pipeline is built again, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// See [`FIRST_PAUSE`].
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Between two looks at whether there is something to capture.
const LOOK: Duration = Duration::from_millis(50);
/// A device whose pictures stay away for this long is started again: some stop at a short interruption of the signal, and say
/// nothing.
const STALL: Media = Media::from_millis(5000);

/// What is asked to close a device that was pulled out has it closed within this, or never.
const LETS_GO: Media = Media::from_millis(500);
/// A sound card that is open delivers, be it silence. Some stop when the signal of the picture beside them changes its mode, and
/// report no error.
const SOUND_STALL: Media = Media::from_millis(5000);
/// A sound card that delivered for longer than this was well: when it fails, it is opened again at once.
const SOUND_IS_WELL: Media = Media::from_millis(1000);
/// Between two looks for the sound card of a capture device that has none: it may come a moment after the pictures.
const SOUND_LOOK: Duration = Duration::from_millis(500);

/// A capture device, as the grid thread sees it.
#[derive(Debug)]
pub(super) struct LiveSource {
    pictures: Receiver<(Media, gst::Buffer)>,
    queue: LiveQueue<gst::Buffer>,
    measures: Receiver<(Media, Option<Measure>)>,
    sounds: Receiver<Vec<Sample>>,
    stretch: Stretch,
    watch: Arc<Watch>,
    /// What was last told of it.
    told: Option<Standing>,
    /// Dropped with the source, which ends its threads.
    _alive: (SyncSender<()>, SyncSender<()>),
}

impl LiveSource {
    /// Starts capturing in the background.
    pub(super) fn open(
        (device, audio, board): (&Path, &AudioSource, Arc<dyn Board>),
        canvas: VideoFormat,
        truth: &TruthSettings,
        notices: &SyncSender<Notice>,
    ) -> Self {
        let (picture_out, pictures) = sync_channel(4);
        let (measure_out, measures) = sync_channel(MEASURES);
        let (sound_out, sounds) = sync_channel(50);
        let (alive, ended) = sync_channel(0);
        let (alive_too, ended_too) = sync_channel(0);
        let (place, note) = (device.display().to_string(), notices.clone());
        let trouble = move |why| drop(note.try_send(Notice::Note(format!("capture {place}: {why}"))));
        let watch = Arc::new(Watch::start(device, board.clone(), trouble));
        let video = Video {
            device: device.to_owned(),
            canvas,
            truth: truth.clone(),
            picture_out,
            measure_out,
            notices: notices.clone(),
            watch: watch.clone(),
            board,
            arrived: Arc::default(),
        };
        std::thread::spawn(move || keep_up(&ended, |why| video.say(Notice::Lost(why)), || video.play(&ended)));
        let audio = Audio { device: device.to_owned(), source: audio.clone(), sound_out, notices: notices.clone() };
        if audio.source != AudioSource::None {
            std::thread::spawn(move || {
                keep_up(&ended_too, |why| audio.say(Notice::SoundLost(why)), || audio.play(&ended_too));
            });
        }
        Self {
            pictures,
            queue: LiveQueue::default(),
            measures,
            sounds,
            stretch: Stretch::new(SOUND_TARGET),
            watch,
            told: None,
            _alive: (alive, alive_too),
        }
    }

    /// The picture for the grid place at `time`.
    pub(super) fn picture(&mut self, time: Media) -> Option<&gst::Buffer> {
        while let Ok((arrived, buffer)) = self.pictures.try_recv() {
            self.queue.arrive(buffer, arrived);
        }
        if !self.watch.is_picture() {
            self.queue.clear();
        }
        self.queue.at(time)
    }

    /// Tells what came since the last time, and what the receiver says of its signal.
    pub(super) fn tell(&mut self, witness: &mut Witness) {
        self.measures.try_iter().for_each(|(arrived, measure)| witness.picture(measure, arrived));
        let standing = self.watch.standing();
        if standing != self.told {
            self.told = standing;
            witness.word(standing.and_then(Standing::finding), clock::media());
        }
    }

    /// The next block of samples.
    pub(super) fn sound(&mut self, out: &mut [Sample], witness: &mut Witness) {
        while let Ok(samples) = self.sounds.try_recv() {
            witness.sound(&samples, clock::media());
            self.stretch.write(&samples);
        }
        self.stretch.play(self.stretch.len(), out);
    }

    /// What happened to pictures.
    pub(super) fn counts(&self) -> Counts {
        self.queue.counts()
    }

    /// Correction of the sound's clock in force, parts per million.
    pub(super) fn drift_ppm(&self) -> i32 {
        self.stretch.ppm()
    }
}

/// How a pipeline's life ended.
enum End {
    /// The source was dropped.
    Stopped,
    /// The signal changed, so it must be built anew.
    SignalChanged,
    /// It failed, after having delivered something or not.
    Failed { why: String, delivered: bool },
}

/// Plays again and again until the source is dropped. `lost` hears why it has to.
fn keep_up(ended: &Receiver<()>, lost: impl Fn(String), mut play: impl FnMut() -> Result<End, SourceError>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match play() {
            Ok(End::Stopped) => return,
            Ok(End::SignalChanged) => {
                pause = FIRST_PAUSE;
                continue;
            }
            Ok(End::Failed { why, delivered }) => {
                if delivered {
                    pause = FIRST_PAUSE;
                }
                why
            }
            Err(e) => e.to_string(),
        };
        lost(why);
        if ended.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
            return;
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether the source was dropped.
fn is_over(ended: &Receiver<()>) -> bool {
    ended.try_recv() == Err(TryRecvError::Disconnected)
}

/// What a pipeline has said of its pictures, or its sound.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Nothing,
    Signal,
}

struct Video {
    device: PathBuf,
    canvas: VideoFormat,
    truth: TruthSettings,
    picture_out: SyncSender<(Media, gst::Buffer)>,
    measure_out: SyncSender<(Media, Option<Measure>)>,
    notices: SyncSender<Notice>,
    watch: Arc<Watch>,
    board: Arc<dyn Board>,
    /// When the last picture came, nanoseconds of [`clock::media`].
    arrived: Arc<AtomicI64>,
}

impl Video {
    fn play(&self, ended: &Receiver<()>) -> Result<End, SourceError> {
        // Drawn before it is looked at, so that a change in between is noticed.
        let ticket = self.watch.ticket();
        if !self.watch.standing().is_some_and(Standing::is_picture) {
            return Ok(self.wait_for_picture(ended));
        }
        if let Ok(device) = Device::open(&self.device) {
            device.take_timings();
        }
        let node = held::node(&self.device);
        let pipeline = self.build(ticket.clone())?;
        let began = clock::media();
        self.arrived.store(began.0, Ordering::Relaxed);
        let (bus, started) = (pipeline.bus(), pipeline.set_state(gst::State::Playing));
        let mut delivered = false;
        let end = loop {
            let message = bus.as_ref().and_then(|bus| {
                bus.timed_pop_filtered(
                    gst::ClockTime::from_mseconds(50),
                    &[gst::MessageType::Error, gst::MessageType::Eos, gst::MessageType::AsyncDone],
                )
            });
            if is_over(ended) {
                break End::Stopped;
            }
            if !ticket.is_valid() {
                // At once, since a driver may take longer to stop than what is wrong lasts.
                self.tell(self.watch.standing());
                break End::SignalChanged;
            }
            let why = match message.as_ref().map(|m| m.view()) {
                Some(gst::MessageView::Error(error)) => error_text(error),
                Some(gst::MessageView::Eos(_)) => "ended".to_owned(),
                None if started.is_err() => "cannot be opened".to_owned(),
                Some(gst::MessageView::AsyncDone(_)) => {
                    delivered = true;
                    continue;
                }
                _ => match self.stall(began) {
                    Some(why) => format!("{why}; started again"),
                    None => continue,
                },
            };
            break End::Failed { why: format!("capture {}: {why}", self.device.display()), delivered };
        };
        if !stop(&pipeline) {
            self.say(Notice::Stuck(format!("capture {} does not let go of its driver", self.device.display())));
        }
        drop((pipeline, bus));
        self.let_go(node.as_deref(), ended);
        Ok(end)
    }

    /// Sees to it that a device that was pulled out can come back under its name.
    fn let_go(&self, node: Option<&Path>, ended: &Receiver<()>) {
        let Some(node) = node else { return };
        let deadline = clock::media() + LETS_GO;
        while held::holds_gone(node) {
            if clock::media() > deadline {
                let device = self.device.display();
                self.say(Notice::Stuck(format!("capture {device}: GStreamer keeps a device open that was pulled out")));
                return;
            }
            if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    }

    fn stall(&self, began: Media) -> Option<&'static str> {
        let arrived = Media(self.arrived.load(Ordering::Relaxed));
        stall(self.watch.standing(), (began, arrived), clock::media())
    }

    /// A receiver without a signal may deliver noise or nothing; neither is a picture.
    fn wait_for_picture(&self, ended: &Receiver<()>) -> End {
        let mut told = None;
        loop {
            let standing = self.watch.standing();
            if standing.is_some_and(Standing::is_picture) {
                return End::SignalChanged;
            }
            if standing != told {
                self.tell(standing);
                told = standing;
            }
            if ended.recv_timeout(LOOK) != Err(RecvTimeoutError::Timeout) {
                return End::Stopped;
            }
        }
    }

    fn tell(&self, standing: Option<Standing>) {
        if let Some(bad) = standing.filter(|standing| !standing.is_picture()) {
            self.say(Notice::Lost(format!("capture {}: {bad}", self.device.display())));
        }
    }

    fn say(&self, notice: Notice) {
        // A full box means that nobody has read the last notices yet; those say the same.
        let _ = self.notices.try_send(notice);
    }

    fn build(&self, ticket: Ticket) -> Result<gst::Pipeline, SourceError> {
        let pipeline = pipeline("capture");
        let source = element("v4l2src")?;
        source.set_property("name", "capture");
        source.set_property("device", self.device.to_string_lossy().as_ref());
        // No size here: a device that changes it under fixed caps ends with not-negotiated. The filter is for what a device
        // offers and does not deliver.
        let format = element("capsfilter")?;
        if let Some(asked) = self.board.format() {
            let caps = gst::Caps::from_str(asked.caps()).map_err(|_| SourceError::Link("v4l2src"))?;
            format.set_property("caps", caps);
        }
        let decoder = element("decodebin")?;
        let scale = element("videoconvertscale")?;
        scale.set_property("add-borders", true);
        let (out, last, notices) = (self.picture_out.clone(), self.arrived.clone(), self.notices.clone());
        let (mut eye, measure_out) = (Eye::new(&self.truth, self.canvas), self.measure_out.clone());
        let (delivers, place) = (source.static_pad("src"), format!("capture {}", self.device.display()));
        let mut told = Told::Nothing;
        let sink = sink(&video_caps(self.canvas, false), move |sample| {
            let arrived = clock::media();
            last.store(arrived.0, Ordering::Relaxed);
            // What a receiver without a signal goes on delivering is nobody's picture, and is not measured either.
            if !ticket.is_valid() {
                return Ok(gst::FlowSuccess::Ok);
            }
            // Before the first picture, so that nobody who sees that one takes it for what was there before.
            if told == Told::Nothing {
                let caps = delivers.as_ref().and_then(gst::Pad::current_caps);
                let what = format!("{}{place}", layout(caps.as_deref()));
                let _ = notices.try_send(Notice::Signal(describe(caps.as_deref(), &what)));
                told = Told::Signal;
            }
            let _ = measure_out.try_send((arrived, sample.buffer().and_then(|buffer| eye.measure(buffer))));
            // A copy, since the buffer may be the driver's, which has few.
            let copy = sample.buffer().and_then(|buffer| buffer.copy_deep().ok());
            match copy.map(|buffer| out.try_send((arrived, buffer))) {
                Some(Err(TrySendError::Disconnected(_))) => Err(gst::FlowError::Eos),
                // A full channel means that the grid thread is late; it takes the newest four then.
                _ => Ok(gst::FlowSuccess::Ok),
            }
        });
        let chain = [&source, &format, &decoder];
        pipeline.add_many(chain).map_err(|_| SourceError::Link("v4l2src"))?;
        pipeline.add_many([&scale, sink.upcast_ref()]).map_err(|_| SourceError::Link("videoconvertscale"))?;
        gst::Element::link_many(chain).map_err(|_| SourceError::Link("v4l2src"))?;
        scale.link(&sink).map_err(|_| SourceError::Link("videoconvertscale"))?;
        let into = scale.static_pad("sink").ok_or(SourceError::Link("videoconvertscale"))?;
        decoder.connect_pad_added(move |_, pad| {
            // A second picture stream, or a failure, which the bus reports.
            let _ = pad.link(&into);
        });
        Ok(pipeline)
    }
}

/// Why a capture that began then, and whose last picture `arrived` then, is to be started again at `now`, if it is. A receiver
/// that has a signal delivers. Of a device that does not tell whether it has one (a stick, a webcam) nothing is missed before its
/// first picture; but one that delivered and stops has most likely hung, and if it was its source that went, it costs nothing.
fn stall(standing: Option<Standing>, (began, arrived): (Media, Media), now: Media) -> Option<&'static str> {
    let why = match standing {
        Some(Standing::Steady(Reception::Locked(_))) => "no pictures come although the receiver has a signal",
        Some(Standing::Steady(Reception::Unknown)) if arrived > began => "no more pictures come",
        Some(Standing::Steady(_) | Standing::Settling { .. }) | None => return None,
    };
    (now - arrived > STALL).then_some(why)
}

/// How its pictures lie in memory, or how they are coded: `NV12, `, `image/jpeg, `.
fn layout(caps: Option<&gst::CapsRef>) -> String {
    let Some(caps) = caps.and_then(|caps| caps.structure(0)) else { return String::new() };
    let name = caps.get::<&str>("format").unwrap_or_else(|_| caps.name().as_str());
    format!("{name}, ")
}

struct Audio {
    device: PathBuf,
    source: AudioSource,
    sound_out: SyncSender<Vec<Sample>>,
    notices: SyncSender<Notice>,
}

impl Audio {
    fn play(&self, ended: &Receiver<()>) -> Result<End, SourceError> {
        let card = match &self.source {
            AudioSource::Alsa(name) => Some(name.clone()),
            AudioSource::Paired => alsa::paired_card(Path::new("/sys"), &self.device),
            AudioSource::None => None,
        };
        let Some(card) = card else {
            // A capture without sound is silent, which is not a fault; it may get a card at the next plug.
            return Ok(match ended.recv_timeout(SOUND_LOOK) {
                Err(RecvTimeoutError::Timeout) => End::SignalChanged,
                _ => End::Stopped,
            });
        };
        self.listen(&card, &alsa_source(&card)?, ended, SOUND_STALL)
    }

    /// Plays what comes out of `source` until that fails, or nothing comes for `stall`.
    fn listen(
        &self,
        card: &str,
        source: &gst::Element,
        ended: &Receiver<()>,
        stall: Media,
    ) -> Result<End, SourceError> {
        let began = clock::media();
        let last = Arc::new(AtomicI64::new(began.0));
        let pipeline = self.build(source, last.clone())?;
        let arrived = || Media(last.load(Ordering::Relaxed));
        let (bus, started) = (pipeline.bus(), pipeline.set_state(gst::State::Playing));
        let end = loop {
            let message = bus.as_ref().and_then(|bus| {
                bus.timed_pop_filtered(
                    gst::ClockTime::from_mseconds(100),
                    &[gst::MessageType::Error, gst::MessageType::Eos],
                )
            });
            if is_over(ended) {
                break End::Stopped;
            }
            let why = match message.as_ref().map(|m| m.view()) {
                Some(gst::MessageView::Error(error)) => error_text(error),
                None if started.is_err() => "cannot be opened".to_owned(),
                None if clock::media() - arrived() > stall => "nothing comes from it; started again".to_owned(),
                None => continue,
                Some(_) => "ended".to_owned(),
            };
            break End::Failed { why: format!("sound {card}: {why}"), delivered: arrived() - began > SOUND_IS_WELL };
        };
        if !stop(&pipeline) {
            self.say(Notice::Stuck(format!("sound {card} does not let go of its driver")));
        }
        Ok(end)
    }

    fn say(&self, notice: Notice) {
        // As with pictures.
        let _ = self.notices.try_send(notice);
    }

    /// `arrived` is set to when the last block came, nanoseconds of [`clock::media`].
    fn build(&self, source: &gst::Element, arrived: Arc<AtomicI64>) -> Result<gst::Pipeline, SourceError> {
        let pipeline = pipeline("sound");
        let (convert, resample) = (element("audioconvert")?, element("audioresample")?);
        let (out, notices, mut told) = (self.sound_out.clone(), self.notices.clone(), Told::Nothing);
        let sink = sink(&audio_caps(), move |sample| {
            if told == Told::Nothing {
                let _ = notices.try_send(Notice::Sound);
                told = Told::Signal;
            }
            arrived.store(clock::media().0, Ordering::Relaxed);
            match out.try_send(sample.buffer().map(samples_of).unwrap_or_default()) {
                Err(TrySendError::Disconnected(_)) => Err(gst::FlowError::Eos),
                _ => Ok(gst::FlowSuccess::Ok),
            }
        });
        let chain = [source, &convert, &resample, sink.upcast_ref()];
        pipeline.add_many(chain).map_err(|_| SourceError::Link("alsasrc"))?;
        gst::Element::link_many(chain).map_err(|_| SourceError::Link("alsasrc"))?;
        Ok(pipeline)
    }
}

fn alsa_source(card: &str) -> Result<gst::Element, SourceError> {
    let source = element("alsasrc")?;
    source.set_property("device", card);
    source.set_property("provide-clock", false);
    // Our own controller keeps it in step; alsasrc must not correct as well.
    source.set_property_from_str("slave-method", "none");
    Ok(source)
}

#[cfg(test)]
mod tests;
