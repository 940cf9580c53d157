//! The thread that keeps the grid: at the time of each place it asks the source for the picture and hands it to every
//! encoder, and every 10 ms likewise for sound.
//!
//! *Invariant:* each place of the grid is delivered at most once, in order. A thread that woke late delivers the places
//! it missed, up to [`CATCH_UP`] of picture; what is beyond that is given up and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::mpsc;

use super::feed::{AudioFeed, VideoFeed};
use super::gate::GateKeeper;
use super::labels::COMMON_SAMPLES;
use crate::capture::Notice;
use crate::capture::pace::Ticker;
use crate::capture::source::{Source, SourceStatus};
use crate::capture::tape::SAMPLE_RATE;
use crate::clock;
use crate::encode::thumbnail::ThumbnailFeed;
use crate::model::{Condition, FrameRate, Media, VideoGrid};

/// Picture that is caught up with.
const CATCH_UP: Media = Media::from_millis(1000);
/// Sound that is caught up with: cheaper to make, and a hole in it is worse.
const CATCH_UP_SOUND: Media = Media::from_millis(5000);
/// The grid of sound blocks: 10 ms each.
const BLOCKS: VideoGrid = VideoGrid(FrameRate::whole(100));
/// Samples in a block.
const BLOCK: usize = SAMPLE_RATE as usize / 100;
/// Blocks between two reports: 100 ms.
const REPORT_EVERY: i64 = 10;

/// What the grid thread says of itself.
#[derive(Clone, Debug)]
pub(super) struct GridReport {
    /// The source.
    pub(super) status: SourceStatus,
    /// What is wrong with it.
    pub(super) condition: Condition,
    /// What happened to the source since the last report.
    pub(super) notices: Vec<Notice>,
    /// Units fed to each stream since the last report.
    pub(super) fed: Vec<u64>,
    /// Places given up because the thread was away for too long.
    pub(super) given_up: u64,
    /// How each video stream's encoder keeps up.
    pub(super) queues: Vec<Queue>,
}

/// What waits for a video encoder, and what did not wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    /// The worker's number for the stream.
    pub(super) stream: u16,
    /// Picture that waits.
    pub(super) waiting: Media,
    /// Places left out because it cannot keep up.
    pub(super) left_out: u64,
}

/// Everything the thread owns.
pub(super) struct Grid {
    pub(super) source: Source,
    pub(super) rate: FrameRate,
    pub(super) videos: Vec<VideoFeed>,
    pub(super) audios: Vec<AudioFeed>,
    pub(super) gate: GateKeeper,
    pub(super) thumbnail: ThumbnailFeed,
    pub(super) reports: mpsc::Sender<GridReport>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Grid {
    /// Runs until `stop` is set.
    pub(super) fn run(mut self) {
        let lead = self.source.sound_lead();
        let now = clock::media();
        let grid = VideoGrid(self.rate);
        let mut pictures = Ticker::new(grid, now, CATCH_UP, 1);
        let mut blocks = Ticker::new(BLOCKS, now, CATCH_UP_SOUND, COMMON_SAMPLES / BLOCK as i64);
        let (mut given_up, mut fed) = (0, vec![0; self.videos.len() + self.audios.len()]);
        let mut condition = Condition::GOOD;
        // A block is due when it is over, less the lead.
        let late = BLOCKS.interval() - lead;
        while !self.stop.load(Ordering::Relaxed) {
            clock::sleep_until(pictures.deadline().min(blocks.deadline() + late));

            let due = blocks.due(clock::media() - late);
            if due.skipped > 0 {
                let samples = due.skipped * BLOCK as i64;
                self.audios.iter_mut().for_each(|audio| audio.given_up(samples));
            }
            for block in due.places {
                self.sound(block * BLOCK as i64, &mut fed);
                if block % REPORT_EVERY == 0 {
                    self.report(&mut fed, given_up);
                }
            }

            let due = pictures.due(clock::media());
            given_up += due.skipped.unsigned_abs();
            for n in due.places {
                self.picture(n, grid.time_of(n), &condition, &mut fed);
            }

            let found = self.source.condition(clock::media());
            if *found != condition {
                condition = found.clone();
                self.report(&mut fed, given_up);
            }
        }
    }

    fn sound(&mut self, at: i64, fed: &mut [u64]) {
        let mut block = [[0.0; 2]; BLOCK];
        self.source.sound(at, &mut block);
        for audio in &mut self.audios {
            let pushed = audio.push(at, &block);
            count(fed, audio.stream(), pushed);
        }
    }

    fn picture(&mut self, n: i64, time: Media, condition: &Condition, fed: &mut [u64]) {
        // Asked for even when nobody wants it: a source goes on, and is watched.
        let picture = self.source.picture(n, time);
        self.thumbnail.place(time, picture, condition);
        let Some(picture) = picture else { return };
        if !self.gate.admits(n, time) {
            return;
        }
        for video in &mut self.videos {
            let pushed = video.push(n, picture);
            count(fed, video.stream(), pushed);
        }
    }

    fn report(&mut self, fed: &mut [u64], given_up: u64) {
        let notices = std::iter::from_fn(|| self.source.notice()).collect();
        let report = GridReport {
            status: self.source.status(),
            condition: self.source.condition(clock::media()).clone(),
            notices,
            fed: fed.to_vec(),
            given_up,
            queues: self.videos.iter().map(VideoFeed::queue).collect(),
        };
        fed.fill(0);
        // A loop that does not read its reports sends no heartbeat either, and the worker is replaced.
        let _ = self.reports.try_send(report);
    }
}

fn count(fed: &mut [u64], stream: u16, pushed: bool) {
    if let Some(fed) = fed.get_mut(usize::from(stream)) {
        *fed += u64::from(pushed);
    }
}
