//! What a sender over a network delivers, decoded: its pictures and sound are due at the times that the data plane stamped on
//! them, which are our clock's.
//!
//! ```text
//!   FeedSender ──(2048)──► lanes: appsrc ─ decodebin ─ branch ─┬► 2 pictures ─► FilePace (stamped) ┐ read by the
//!                          each unit LEAD before it is due     └► sound ───────► ring + Drift ──────┘ grid thread
//! ```
//!
//! Another decoder configuration is another pipeline; the one before plays to its end. A decoder that fails is built again at
//! the next keyframe.

mod lane;

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use gstreamer as gst;

use self::lane::{Lane, Out};
use super::branches::Screen;
use super::pace::{Counts, FilePace};
use super::stretch::Stretch;
use super::tape::{SAMPLE_RATE, Sample, time_of};
use super::witness::Witness;
use super::{Notice, SourceError};
use crate::clock;
use crate::model::{Feed, Media, Track, TruthSettings, VideoFormat, VideoGrid};

/// Units that may wait for the decoder's thread: over ten seconds of most streams.
const FEEDS: usize = 2048;
/// So long before it is due a unit goes to the decoder, which reorders, and may have several pictures in hand.
const LEAD: Media = Media::from_millis(300);
/// How long a decoder's thread sleeps when nothing is to be decoded.
const LOOK: Duration = Duration::from_millis(50);
/// How late sound may be before what is too late is left out: what the drift controller aims at.
const SOUND_TARGET: usize = 1920;
/// Sound whose time is off by more than this begins anew; off by less it goes on, and the controller brings it back.
const SEAM: Media = Media::from_millis(100);

/// Where what a sender delivers goes in; never waits.
#[derive(Debug)]
pub struct FeedSender {
    feeds: SyncSender<Feed>,
    state: Intake,
    /// The last formats, picture and sound, which nothing can be decoded without.
    formats: [Option<Feed>; 2],
    left_out: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Intake {
    Flowing,
    /// Something did not find room: what follows is of no use before the next keyframe.
    Broken,
}

/// Where it comes out.
#[derive(Debug)]
pub struct FeedReceiver(Receiver<Feed>);

/// A way from the data plane's link to the source.
pub fn feed() -> (FeedSender, FeedReceiver) {
    let (feeds, out) = sync_channel(FEEDS);
    (FeedSender { feeds, state: Intake::Flowing, formats: [None, None], left_out: 0 }, FeedReceiver(out))
}

impl FeedSender {
    /// Passes it on, or leaves out everything up to the next keyframe.
    pub fn push(&mut self, feed: Feed) {
        if let Feed::Format(config) = &feed {
            let place = usize::from(!config.codec.is_video());
            self.formats[place] = Some(feed.clone());
        }
        if self.state == Intake::Broken {
            if !matches!(feed, Feed::Unit { track: Track::Video, key: true, .. } | Feed::End { .. }) {
                self.left_out += 1;
                return;
            }
            self.state = Intake::Flowing;
            let formats = self.formats.clone();
            formats.into_iter().flatten().for_each(|format| self.send(format));
        }
        self.send(feed);
    }

    fn send(&mut self, feed: Feed) {
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = self.feeds.try_send(feed) {
            self.state = Intake::Broken;
            self.left_out += 1;
        }
    }

    /// Units that found no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }
}

/// A sender over a network, as the grid thread sees it.
#[derive(Debug)]
pub(super) struct NetworkSource {
    screen: Screen,
    sounds: Receiver<(Media, Vec<Sample>)>,
    stretch: Stretch,
    /// When the sound after the last that waits is due.
    end: Media,
}

impl NetworkSource {
    /// Decodes what comes out of `feed` until its other end is dropped.
    pub(super) fn open(
        feed: FeedReceiver,
        canvas: VideoFormat,
        truth: &TruthSettings,
        notices: SyncSender<Notice>,
    ) -> Self {
        let (picture_out, pictures) = sync_channel(2);
        let (sound_out, sounds) = sync_channel(64);
        let out = Out { canvas, truth: truth.clone(), picture_out, sound_out, notices };
        std::thread::spawn(move || Decoder::new(out).run(&feed.0));
        let pace = FilePace::stamped(VideoGrid(canvas.rate));
        Self { screen: Screen::new(pictures, pace), sounds, stretch: Stretch::new(SOUND_TARGET), end: Media::ZERO }
    }

    /// The picture for the grid place at `time`.
    pub(super) fn picture(&mut self, time: Media, witness: &mut Witness) -> Option<&gst::Buffer> {
        self.screen.picture(time, witness)
    }

    /// The next block of sound, from sample number `at` of the grid on.
    pub(super) fn sound(&mut self, at: i64, out: &mut [Sample], witness: &mut Witness) {
        while let Ok((time, samples)) = self.sounds.try_recv() {
            witness.sound(&samples, clock::media());
            self.write(time, &samples);
        }
        // How late the first that waits is, around the target.
        let ahead = (self.end - time_of(at)).to_ticks(SAMPLE_RATE);
        let waiting = i64::try_from(self.stretch.len()).unwrap_or(i64::MAX);
        let fill = waiting - ahead + i64::try_from(SOUND_TARGET).unwrap_or(0);
        // A block and what a resampler may take beyond it must be there.
        let fill = if self.stretch.len() < out.len() * 9 / 8 { 0 } else { usize::try_from(fill).unwrap_or(0) };
        self.stretch.play(fill, out);
    }

    /// Sound that follows goes on; a hole is filled with silence, so that what comes after it is in time.
    fn write(&mut self, time: Media, samples: &[Sample]) {
        let gap = time - self.end;
        if gap > Media::from_millis(1000) || gap < Media::ZERO - SEAM {
            self.stretch.clear();
        } else if gap > SEAM {
            let silence = usize::try_from(gap.to_ticks(SAMPLE_RATE)).unwrap_or(0);
            self.stretch.write(&vec![[0.0; 2]; silence]);
        }
        self.stretch.write(samples);
        // Where it really lies: what is off by little is the controller's to bring back.
        self.end = time + time_of(i64::try_from(samples.len()).unwrap_or(0));
    }

    /// What happened to pictures.
    pub(super) fn counts(&self) -> Counts {
        self.screen.pace.counts()
    }

    /// Correction of its sound's clock in force, parts per million.
    pub(super) fn drift_ppm(&self) -> i32 {
        self.stretch.ppm()
    }
}

/// The thread that has both decoders.
struct Decoder {
    picture: Lane,
    sound: Lane,
    notices: SyncSender<Notice>,
}

impl Decoder {
    fn new(out: Out) -> Self {
        let notices = out.notices.clone();
        Self { picture: Lane::new(Track::Video, out.clone()), sound: Lane::new(Track::Audio, out), notices }
    }

    fn run(mut self, feed: &Receiver<Feed>) {
        loop {
            let now = clock::media();
            let due = [&self.picture, &self.sound].into_iter().filter_map(Lane::due).min();
            let wait = due.map_or(LOOK, |due| (due - LEAD - now).to_duration().min(LOOK));
            match feed.recv_timeout(wait) {
                Ok(one) => {
                    self.take(one);
                    feed.try_iter().for_each(|one| self.take(one));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let until = clock::media() + LEAD;
            for lane in [&mut self.picture, &mut self.sound] {
                if let Err(why) = lane.work(until) {
                    self.notices.try_send(Notice::Lost(format!("the sender's stream cannot be decoded: {why}"))).ok();
                }
            }
        }
    }

    fn take(&mut self, feed: Feed) {
        match feed {
            Feed::Format(config) if config.codec.is_video() => self.picture.format(config),
            Feed::Format(config) => self.sound.format(config),
            Feed::Unit { track: Track::Video, key, pts, dts, payload } => self.picture.unit(key, pts, dts, payload),
            Feed::Unit { track: Track::Audio, key, pts, dts, payload } => self.sound.unit(key, pts, dts, payload),
            Feed::End { reason } => {
                self.picture.end();
                self.sound.end();
                // A full box means that nobody has read the last notices yet; those say the same.
                let _ = self.notices.try_send(Notice::Lost(reason));
            }
        }
    }
}
