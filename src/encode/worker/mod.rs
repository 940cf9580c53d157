//! The running worker of one input: captures, encodes every rendition once, and hands the access units to the data
//! plane.
//!
//! ```text
//!   source threads ──► grid thread ──► encoder pipelines ──► the loop ──► outbox ──► media.sock
//!   (capture room)     (grid.rs)       (feed.rs)               │  ▲
//!                       │  └── report every 100 ms ────────────┘  └── keyframe, bit rate (data plane)
//!                       └─► thumbnail, once a second           └──► beat, report, events (holdfastd)
//! ```
//!
//! The loop beats only while the grid thread reports and every encoder answers ([`progress`]). An encoder that fails
//! ends the worker, which is then started again; sources come and go without that.
//!
//! *Invariant:* nothing the data plane or holdfastd does or fails to do makes an encoder wait.

mod cadence;
mod feed;
mod gate;
mod grid;
mod keyframes;
mod labels;
mod outbox;
mod plane_link;
mod progress;
mod report;

#[cfg(test)]
mod cadence_tests;
#[cfg(test)]
mod cold_tests;
#[cfg(test)]
mod gate_tests;
#[cfg(test)]
mod remote_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod thumbnail_tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::ElementExt;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::feed::{Made, VideoControl, job_of, start_audio, start_video};
use self::gate::{GateControl, gate};
use self::grid::{Grid, GridReport};
use self::outbox::Outbox;
use self::plane_link::{LinkEvent, PlaneLink};
use self::progress::{Progress, Stuck};
use self::report::Reporter;
use crate::capture::SourceError;
use crate::capture::board::{self, Board};
use crate::capture::network::{self, FeedSender};
use crate::capture::pipeline;
use crate::capture::source::Source;
use crate::clock;
use crate::config::profile::StandbyMode;
use crate::config::{AudioSettings, EncoderChoice, InputSettings, RenditionSettings, Settings};
use crate::encode::error::EncoderError;
use crate::encode::protocol::{Gate, ToWorker};
use crate::encode::table::VideoJob;
use crate::encode::thumbnail;
use crate::events::{ChildCommand, ChildMessage, EventKind, Severity};
use crate::model::{FrameRate, InputId, Name, RenditionId, VideoFormat};

/// How a worker finds the encoder for a job: [`crate::encode::choose::choose`], or a fixed answer in a test.
pub type Choose = fn(&VideoJob, &EncoderChoice, &Path) -> Result<Name, EncoderError>;

/// Where a worker's beats, reports and events go; must not block.
pub type Say = Box<dyn Fn(ChildMessage) + Send>;

/// What a worker is told to do.
#[derive(Clone, Debug)]
pub struct WorkerSetup {
    /// Its source.
    pub input: InputSettings,
    /// The programme's grid.
    pub frame_rate: FrameRate,
    /// The video encodes.
    pub renditions: Vec<RenditionSettings>,
    /// The audio encodes.
    pub audio: Vec<AudioSettings>,
    /// Where the data plane listens.
    pub media_socket: PathBuf,
    /// Where trial encodes are remembered.
    pub probe_cache: PathBuf,
    /// Where what the input shows is to be put as a JPEG.
    pub thumbnail: PathBuf,
    /// How an encoder is found.
    pub choose: Choose,
    /// What the encoders do while the input is not on air.
    pub standby: StandbyMode,
    /// What the hardware profile knows of its capture device.
    pub board: Arc<dyn Board>,
}

impl WorkerSetup {
    /// The part of `settings` that the worker of `input` needs; `None` if there is no such input.
    pub fn of(settings: &Settings, input: &InputId, paths: &crate::config::Paths, choose: Choose) -> Option<Self> {
        Some(Self {
            input: settings.inputs.iter().find(|i| &i.id == input)?.clone(),
            frame_rate: settings.frame_rate,
            renditions: settings.renditions.clone(),
            audio: settings.audio_renditions(),
            media_socket: paths.media_socket(),
            probe_cache: paths.probe_cache(),
            thumbnail: paths.thumbnail(input),
            choose,
            standby: StandbyMode::Warm,
            board: board::Unknown::shared(),
        })
    }

    /// What every source is brought to: as large as the largest rendition.
    fn canvas(&self) -> VideoFormat {
        let largest = self.renditions.iter().max_by_key(|r| (u64::from(r.width) * u64::from(r.height), r.width));
        let (width, height) = largest.map_or((1280, 720), |r| (r.width, r.height));
        VideoFormat { width, height, rate: self.frame_rate }
    }
}

/// Why a worker ends although nobody asked it to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// No rendition has an encoder that works.
    #[error("no rendition can be encoded here; `holdfast probe` tells why")]
    NoVideo,
    /// An encoder could not be made.
    #[error(transparent)]
    Encoder(#[from] EncoderError),
    /// The source could not be made.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// An encoder's pipeline does not fit together or does not start.
    #[error("rendition {rendition}: the encoder does not start; `holdfast probe` tells whether it works here")]
    Pipeline {
        /// Which.
        rendition: String,
    },
    /// An encoder failed while it ran.
    #[error("rendition {rendition}: the encoder failed: {why}")]
    EncoderFailed {
        /// Which.
        rendition: RenditionId,
        /// What it said.
        why: String,
    },
    /// A capture driver holds a thread that only the end of the process frees.
    #[error("{0}; this process ends so that the kernel takes the device back")]
    Stuck(String),
    /// A thread of this process ended.
    #[error("the {0} thread ended unexpectedly")]
    Thread(&'static str),
}

/// Units on their way from the encoders to the loop. When full, the encoders wait and their pictures wait before them.
const MADE: usize = 1024;
/// Between two heartbeats.
const BEAT: Duration = Duration::from_millis(100);
/// Heartbeats between two reports: 500 ms.
const BEATS_PER_REPORT: u32 = 5;
/// For the last words to the data plane.
const FAREWELL: Duration = Duration::from_millis(200);

/// Runs until told to stop.
///
/// # Errors
/// [`WorkerError`]: end the process with that text; whoever started it starts it again.
pub async fn run(setup: WorkerSetup, say: Say, mut asked: mpsc::Receiver<ChildCommand>) -> Result<(), WorkerError> {
    let mut reporter = Reporter::new(setup.input.id.clone(), setup.thumbnail.display().to_string(), say);
    let Some(families) = choose_encoders(&setup, &mut reporter, &mut asked).await? else {
        return Ok(());
    };
    let mut worker = Worker::start(&setup, &families, reporter)?;
    let ended = worker.run(&mut asked).await;
    let stopped = worker.stop(ended.as_ref().err().map_or("stopped", |_| "failed")).await;
    ended.and(stopped)
}

/// Finds an encoder for every rendition, which may take seconds of trial encodes; `None` when told to stop meanwhile.
async fn choose_encoders(
    setup: &WorkerSetup,
    reporter: &mut Reporter,
    asked: &mut mpsc::Receiver<ChildCommand>,
) -> Result<Option<Vec<Option<Name>>>, WorkerError> {
    let mut families = Vec::new();
    for rendition in &setup.renditions {
        let (job, choice, cache) =
            (job_of(rendition, setup.canvas()), rendition.encoder.clone(), setup.probe_cache.clone());
        let choose = setup.choose;
        let mut trial = tokio::task::spawn_blocking(move || choose(&job, &choice, &cache));
        let found = loop {
            tokio::select! {
                found = &mut trial => break found.map_err(|_| WorkerError::Thread("trial encode"))?,
                command = asked.recv() => if matches!(command, None | Some(ChildCommand::Stop)) { return Ok(None) },
                () = tokio::time::sleep(BEAT) => reporter.beat(),
            }
        };
        families.push(found.map_or_else(
            |e| {
                reporter.event(EventKind::Note, Severity::Alert, rendition.id.as_str(), e.to_string());
                None
            },
            Some,
        ));
    }
    if families.iter().all(Option::is_none) { Err(WorkerError::NoVideo) } else { Ok(Some(families)) }
}

/// One encode, as the loop knows it.
struct Stream {
    rendition: RenditionId,
    encoder: String,
    pipeline: gst::Pipeline,
    /// None for sound.
    control: Option<VideoControl>,
}

struct Worker {
    streams: Vec<Stream>,
    outbox: Outbox,
    link: PlaneLink,
    linked: bool,
    /// What an input's sender delivers, on its way to the source.
    feed: FeedSender,
    gate: GateControl,
    standby: StandbyMode,
    /// As the data plane said last.
    open: Gate,
    progress: Progress,
    stuck: Option<Stuck>,
    reporter: Reporter,
    made: mpsc::Receiver<Made>,
    reports: mpsc::Receiver<GridReport>,
    grid: JoinHandle<()>,
    thumbnail: thumbnail::Keeper,
    stop: Arc<AtomicBool>,
}

impl Worker {
    fn start(setup: &WorkerSetup, families: &[Option<Name>], reporter: Reporter) -> Result<Self, WorkerError> {
        let canvas = setup.canvas();
        let (gate, keeper) = gate(Gate::Closed, setup.standby, setup.frame_rate);
        let (made_in, made) = mpsc::channel(MADE);
        let (report_in, reports) = mpsc::channel(8);
        let mut outbox = Outbox::new(setup.input.id.clone(), std::process::id());
        let (mut streams, mut videos, mut audios) = (Vec::new(), Vec::new(), Vec::new());
        for (rendition, family) in setup.renditions.iter().zip(families) {
            let Some(family) = family else { continue };
            let number = u16::try_from(streams.len()).unwrap_or(u16::MAX);
            let (pipeline, feed, control) = start_video(number, rendition, canvas, family, &gate, &made_in)?;
            let encoder = control.factory().to_owned();
            outbox.add_stream(rendition.id.clone(), encoder.clone());
            streams.push(Stream { rendition: rendition.id.clone(), encoder, pipeline, control: Some(control) });
            videos.push(feed);
        }
        for settings in &setup.audio {
            let number = u16::try_from(streams.len()).unwrap_or(u16::MAX);
            let (pipeline, feed, encoder) = start_audio(number, settings, &made_in)?;
            outbox.add_stream(settings.rendition(), encoder.clone());
            streams.push(Stream { rendition: settings.rendition(), encoder, pipeline, control: None });
            audios.push(feed);
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (feed, fed) = network::feed();
        let (thumbnail, thumbnail_feed) =
            thumbnail::Keeper::start(setup.thumbnail.clone(), canvas).map_err(|_| WorkerError::Thread("thumbnail"))?;
        let grid = Grid {
            source: Source::open(&setup.input, canvas, fed, setup.board.clone())?,
            rate: setup.frame_rate,
            videos,
            audios,
            gate: keeper,
            thumbnail: thumbnail_feed,
            reports: report_in,
            stop: stop.clone(),
        };
        let thread = std::thread::Builder::new().name("grid".to_owned());
        let grid = thread.spawn(move || grid.run()).map_err(|_| WorkerError::Thread("grid"))?;
        let mut progress = Progress::new(streams.len(), clock::media());
        progress.gate(Gate::Closed);
        Ok(Self {
            feed,
            gate,
            standby: setup.standby,
            open: Gate::Closed,
            progress,
            streams,
            outbox,
            link: PlaneLink::new(setup.media_socket.clone()),
            linked: false,
            stuck: None,
            reporter,
            made,
            reports,
            grid,
            thumbnail,
            stop,
        })
    }

    async fn run(&mut self, asked: &mut mpsc::Receiver<ChildCommand>) -> Result<(), WorkerError> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beats = 0;
        loop {
            tokio::select! {
                biased;
                made = self.made.recv() => self.made(made.ok_or(WorkerError::Thread("encoder"))?)?,
                report = self.reports.recv() => self.grid_reported(report.ok_or(WorkerError::Thread("grid"))?)?,
                command = asked.recv() => if matches!(command, None | Some(ChildCommand::Stop)) { return Ok(()) },
                event = self.link.next(&mut self.outbox) => self.linked(event),
                _ = beat.tick() => {
                    beats += 1;
                    self.beat();
                    if beats % BEATS_PER_REPORT == 0 {
                        self.report();
                    }
                }
            }
        }
    }

    fn made(&mut self, made: Made) -> Result<(), WorkerError> {
        match made {
            Made::Unit(unit) => {
                self.progress.unit_made(unit.stream);
                let is_picture =
                    self.streams.get(usize::from(unit.stream)).is_some_and(|stream| stream.control.is_some());
                if is_picture && !self.gate.counts(unit.pts) {
                    self.reporter.stood_by(unit.stream);
                    return Ok(());
                }
                self.reporter.unit_made(&unit, clock::media());
                self.outbox.push(unit);
            }
            Made::Spoilt { stream, why } => self.reporter.spoilt(self.name(stream).as_str(), &why),
            Made::Failed { stream, why } => {
                return Err(WorkerError::EncoderFailed { rendition: self.name(stream), why });
            }
        }
        Ok(())
    }

    fn grid_reported(&mut self, report: GridReport) -> Result<(), WorkerError> {
        self.progress.grid_reported(&report.fed, clock::media());
        self.outbox.condition(&report.condition);
        self.reporter.grid_reported(report).map_or(Ok(()), |stuck| Err(WorkerError::Stuck(stuck)))
    }

    fn report(&self) {
        if let Some(why) = self.thumbnail.trouble() {
            self.reporter.event(EventKind::Note, Severity::Warning, "thumbnail", why);
        }
        self.reporter.report(&self.streams, &self.outbox, self.thumbnail.taken());
    }

    fn beat(&mut self) {
        let stuck = self.progress.stuck(clock::media());
        if stuck == self.stuck && stuck.is_some() {
            return;
        }
        self.stuck = stuck;
        match stuck {
            None => self.reporter.beat(),
            Some(Stuck::Grid) => self.reporter.hangs("the capture thread"),
            Some(Stuck::Encoder(stream)) => self.reporter.hangs(&format!("the encoder of {}", self.name(stream))),
        }
    }

    fn linked(&mut self, event: LinkEvent) {
        match event {
            LinkEvent::Connected => {
                self.linked = true;
                self.force_keyframe(None);
            }
            LinkEvent::Wish(ToWorker::ForceKeyframe { rendition }) => self.force_keyframe(rendition.as_ref()),
            LinkEvent::Wish(ToWorker::SetBitrate { rendition, bitrate }) => {
                let stream = self.streams.iter().find(|s| s.rendition == rendition);
                if let Some(control) = stream.and_then(|s| s.control.as_ref()) {
                    control.set_bitrate(bitrate);
                }
            }
            LinkEvent::Wish(ToWorker::SetGate { gate }) => self.set_gate(gate),
            LinkEvent::Wish(ToWorker::Feed(feed)) => self.feed.push(feed),
            LinkEvent::Wish(ToWorker::Welcome { .. }) => {}
            LinkEvent::Wish(ToWorker::Refused { reason }) => {
                self.link.refused(&mut self.outbox);
                self.lost(&format!("refused by the data plane: {reason}"));
            }
            LinkEvent::Lost(why) => self.lost(&format!("no data plane: {why}")),
        }
    }

    fn set_gate(&mut self, gate: Gate) {
        if gate != self.open && self.standby == StandbyMode::Cold {
            self.open_sessions(gate);
        }
        self.open = gate;
        self.gate.ask(gate);
        self.progress.gate(gate);
    }

    /// Opens the encoders' sessions before they are fed, or gives them back. A driver that does not let go keeps this loop from
    /// beating, and the worker is replaced.
    fn open_sessions(&mut self, gate: Gate) {
        let state = match gate {
            Gate::Open => gst::State::Playing,
            Gate::Closed => gst::State::Ready,
        };
        let pictures = self.streams.iter().enumerate().filter(|(_, stream)| stream.control.is_some());
        self.progress.opened(pictures.clone().map(|(n, _)| n));
        for (_, stream) in pictures {
            // A failure comes as a message, and ends the worker.
            let _ = stream.pipeline.set_state(state);
        }
    }

    fn lost(&mut self, why: &str) {
        // Attempts to connect fail ten times a second while there is no data plane; one line says it.
        if std::mem::replace(&mut self.linked, false) {
            self.reporter.event(EventKind::Note, Severity::Info, "data plane", why.to_owned());
        }
    }

    fn force_keyframe(&self, rendition: Option<&RenditionId>) {
        for stream in self.streams.iter().filter(|s| rendition.is_none_or(|r| *r == s.rendition)) {
            if let Some(control) = &stream.control {
                control.force_keyframe();
            }
        }
    }

    fn name(&self, stream: u16) -> RenditionId {
        self.streams.get(usize::from(stream)).map_or_else(unknown, |s| s.rendition.clone())
    }

    async fn stop(mut self, reason: &str) -> Result<(), WorkerError> {
        self.stop.store(true, Ordering::Relaxed);
        self.outbox.end(reason);
        // Ends when everything is written and the data plane closes, or says nothing more, or does not listen.
        let _ = tokio::time::timeout(FAREWELL, async {
            while self.linked && !matches!(self.link.next(&mut self.outbox).await, LinkEvent::Lost(_)) {}
        })
        .await;
        // Encoders that wait for room in this channel would not stop.
        drop(self.made);
        let pipelines: Vec<gst::Pipeline> = self.streams.into_iter().map(|s| s.pipeline).collect();
        let (grid, thumbnail) = (self.grid, self.thumbnail);
        tokio::task::spawn_blocking(move || {
            let joined = grid.join();
            thumbnail.finish();
            let stuck = pipelines.iter().filter(|pipeline| !pipeline::stop(pipeline)).count();
            match (joined, stuck) {
                (Err(_), _) => Err(WorkerError::Thread("grid")),
                (Ok(()), 0) => Ok(()),
                (Ok(()), _) => Err(WorkerError::Stuck("an encoder does not stop".to_owned())),
            }
        })
        .await
        .map_err(|_| WorkerError::Thread("teardown"))?
    }
}

fn unknown() -> RenditionId {
    RenditionId::new("unknown").expect("letters only")
}
